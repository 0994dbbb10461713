/* SPDX-License-Identifier: MIT */
/* Goal:   a file that never answers costs its own value and nothing else: what is asked beside it
 *         is on time, it is left behind and counted, not asked again while it hangs, and taken up
 *         when it comes back; and there is a bound on how many can hang.
 * Method: FIFOs that nobody writes to, opened by the test when they are to answer. The sensors'
 *         clock is made up; the waits of the test are real, and bounded. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input_maker.h"
#include "linux/ask.h"
#include "linux/worker.h"

#define WAIT_MS_MAX 10000U
#define FIFO_COUNT (LINUX_WORKER_SLOTS + 2U)

static struct input_set set;
static struct input_text out;
static struct linux_poll_set poll_set;
static char folder[64];

static uint64_t real_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static const char *fifo_path(unsigned index)
{
    static char paths[FIFO_COUNT][96];
    (void)snprintf(paths[index], sizeof(paths[index]), "%s/fifo%u", folder, index);
    return paths[index];
}

static const char *file_path(void)
{
    static char path[96];
    (void)snprintf(path, sizeof(path), "%s/file", folder);
    return path;
}

/** Let the reader of a FIFO go on, if there is one. */
static void answer_fifo(unsigned index, const char *text)
{
    const int fd = open(fifo_path(index), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void)close(fd);
    }
}

static void wait_hung(unsigned count)
{
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (linux_workers_hung() != count && real_ms() < end_ms) {
        pause_ms(1);
    }
    assert_int_equal(linux_workers_hung(), count);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/kwm_worker_XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    for (unsigned i = 0; i < FIFO_COUNT; i++) {
        if (mkfifo(fifo_path(i), 0600) != 0) {
            return -1;
        }
    }
    FILE *file = fopen(file_path(), "w");
    if (file == NULL || fputs("42\n", file) < 0 || fclose(file) != 0) {
        return -1;
    }
    linux_workers_init(&poll_set);
    return 0;
}

/** Let all come back, so that the next test finds all workers free. */
static int tear_down(void **state)
{
    char command[128];
    (void)state;
    for (unsigned i = 0; i < set.count; i++) {
        hal_sensor_cancel(set.sensors[i]);
    }
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (linux_workers_hung() > 0 && real_ms() < end_ms) {
        for (unsigned i = 0; i < FIFO_COUNT; i++) {
            answer_fifo(i, "1\n");
        }
        pause_ms(1);
    }
    assert_int_equal(linux_workers_hung(), 0);
    assert_int_equal(poll_set.count, 0); /* nobody waits for a worker any more */
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

/** Begin a job of one question. */
static int ask(enum linux_question question, const char *path)
{
    const int job = linux_job_begin();
    assert_true(job >= 0);
    assert_int_equal(linux_job_add(job, question, path), KWM_OK);
    linux_job_start(job);
    return job;
}

/** Wait in the poll set, without a timer that would hide a missing wake-up. */
static void wait_job(int job, unsigned count)
{
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (linux_job_poll(job) < count && real_ms() < end_ms) {
        assert_true(linux_poll_wait(&poll_set, (int)WAIT_MS_MAX) >= 0);
    }
    assert_int_equal(linux_job_poll(job), count);
    assert_true(real_ms() < end_ms);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void test_answers(void **state)
{
    (void)state;
    char pattern[96];
    const int job = linux_job_begin();
    assert_true(job >= 0);
    (void)snprintf(pattern, sizeof(pattern), "%s/fil?", folder);
    assert_int_equal(linux_job_add(job, LINUX_ASK_READ, file_path()), KWM_OK);
    assert_int_equal(linux_job_add(job, LINUX_ASK_READ, "/nothing/there"), KWM_OK);
    assert_int_equal(linux_job_add(job, LINUX_ASK_STATVFS, folder), KWM_OK);
    assert_int_equal(linux_job_add(job, LINUX_ASK_GLOB, pattern), KWM_OK);
    (void)snprintf(pattern, sizeof(pattern), "%s/fifo[01]", folder);
    assert_int_equal(linux_job_add(job, LINUX_ASK_GLOB, pattern), KWM_OK);
    linux_job_start(job);
    wait_job(job, 5);
    assert_int_equal(linux_job_answer(job, 0)->error, 0);
    assert_string_equal(linux_job_answer(job, 0)->text, "42\n");
    assert_int_equal(linux_job_answer(job, 1)->error, ENOENT);
    assert_int_equal(linux_job_answer(job, 2)->error, 0);
    assert_true(linux_job_answer(job, 2)->unit > 0);
    assert_string_equal(linux_job_answer(job, 3)->text, file_path());
    assert_int_equal(linux_job_answer(job, 4)->error, E2BIG);
    linux_job_end(job);
}

static void test_mailbox_full(void **state)
{
    (void)state;
    static char path[LINUX_JOB_TEXT_LEN_MAX + 1U];
    int job = linux_job_begin();
    assert_true(job >= 0);
    for (unsigned i = 0; i < LINUX_JOB_ITEMS_MAX; i++) {
        assert_int_equal(linux_job_add(job, LINUX_ASK_READ, file_path()), KWM_OK);
    }
    assert_int_equal(linux_job_add(job, LINUX_ASK_READ, file_path()), KWM_ERR_NOSPC);
    linux_job_start(job);
    wait_job(job, LINUX_JOB_ITEMS_MAX);
    linux_job_end(job);

    memset(path, 'x', sizeof(path) - 1);
    job = linux_job_begin();
    assert_true(job >= 0);
    assert_int_equal(linux_job_add(job, LINUX_ASK_READ, path), KWM_ERR_NOSPC);
    path[sizeof(path) - 2] = '\0';
    assert_int_equal(linux_job_add(job, LINUX_ASK_READ, path), KWM_OK);
    assert_int_equal(linux_job_add(job, LINUX_ASK_READ, ""), KWM_ERR_NOSPC);
    linux_job_start(job);
    wait_job(job, 1);
    assert_int_equal(linux_job_answer(job, 0)->error, ENAMETOOLONG);
    linux_job_end(job);
}

static void test_left_and_back(void **state)
{
    (void)state;
    const int hung = ask(LINUX_ASK_READ, fifo_path(0));
    pause_ms(20);
    assert_int_equal(linux_job_poll(hung), 0);
    assert_false(linux_workers_hang_on(fifo_path(0))); /* it is waited for */
    linux_job_leave(hung);
    assert_int_equal(linux_workers_hung(), 1);
    assert_true(linux_workers_hang_on(fifo_path(0)));
    assert_false(linux_workers_hang_on(fifo_path(1)));

    const uint64_t begin_ms = real_ms();
    for (unsigned i = 0; i < 100; i++) { /* the one in its place */
        const int job = ask(LINUX_ASK_READ, file_path());
        assert_int_not_equal(job, hung);
        wait_job(job, 1);
        linux_job_end(job);
    }
    assert_true(real_ms() - begin_ms < WAIT_MS_MAX / 2U);
    assert_int_equal(linux_workers_hung(), 1);

    answer_fifo(0, "7\n");
    wait_hung(0);
    assert_false(linux_workers_hang_on(fifo_path(0)));
}

/** A job that was over when it was left hangs on nothing. */
static void test_left_when_over(void **state)
{
    (void)state;
    const int job = ask(LINUX_ASK_READ, file_path());
    wait_job(job, 1);
    linux_job_leave(job);
    assert_int_equal(linux_workers_hung(), 0);
}

static void test_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LINUX_WORKER_SLOTS; i++) {
        const int job = ask(LINUX_ASK_READ, fifo_path(i));
        linux_job_leave(job);
        assert_int_equal(linux_workers_hung(), i + 1U);
    }
    assert_int_equal(linux_job_begin(), KWM_ERR_NOSPC);
    answer_fifo(3, "1\n");
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (linux_workers_hung() == LINUX_WORKER_SLOTS && real_ms() < end_ms) {
        pause_ms(1);
        answer_fifo(3, "1\n"); /* its thread may not have come to it yet */
    }
    const int job = ask(LINUX_ASK_READ, file_path());
    wait_job(job, 1);
    linux_job_end(job);
}

static void test_at_once(void **state)
{
    (void)state;
    int jobs[LINUX_WORKERS_MAX];
    for (unsigned i = 0; i < LINUX_WORKERS_MAX; i++) {
        jobs[i] = ask(LINUX_ASK_READ, fifo_path(i));
    }
    assert_int_equal(linux_job_begin(), KWM_ERR_STATE);
    linux_job_leave(jobs[0]);
    jobs[0] = ask(LINUX_ASK_READ, fifo_path(4));
    assert_int_equal(linux_job_begin(), KWM_ERR_STATE);
    for (unsigned i = 0; i < LINUX_WORKERS_MAX; i++) {
        linux_job_leave(jobs[i]);
    }
    assert_int_equal(linux_workers_hung(), LINUX_WORKERS_MAX + 1U);
}

/* ---- sensors --------------------------------------------------------------------------------- */

/** Two inputs: x has three files, of which the second one is a FIFO; y has one good file. */
static void make_two(void)
{
    char inputs[1000];
    (void)snprintf(inputs, sizeof(inputs),
                   "\"file\": [{\"name\": \"x\", \"files\": [{\"path\": \"%s\", \"field\": \"a\"}, "
                   "{\"path\": \"%s\", \"field\": \"b\"}, {\"path\": \"%s\", \"field\": \"c\"}]},"
                   "{\"name\": \"y\", \"files\": {\"path\": \"%s\", \"field\": \"d\"}}]",
                   file_path(), fifo_path(0), file_path(), file_path());
    assert_int_equal(input_make(&set, inputs), KWM_OK);
    assert_int_equal(set.count, 2);
}

/** Poll a reading that was begun, for so many real milliseconds, at one time of its clock. */
static int poll_for(struct hal_sensor *sensor, uint64_t now_ms, uint64_t ms)
{
    const uint64_t end_ms = real_ms() + ms;
    int done = 0;
    out.sink.put = input_put;
    out.len = 0;
    out.text[0] = '\0';
    while (done == 0 && real_ms() < end_ms) {
        done = hal_sensor_poll(sensor, now_ms, &out.sink);
        if (done == 0) {
            pause_ms(1);
        }
    }
    return done;
}

/** Whoever waits for a reading is woken by it, whenever its answers come: no timer helps here. */
static void test_wakes(void **state)
{
    (void)state;
    make_two();
    struct hal_sensor *y = set.sensors[1];
    const uint64_t begin_ms = real_ms();
    out.sink.put = input_put;
    for (unsigned i = 0; i < 500; i++) {
        int done = hal_sensor_begin(y, i);
        assert_int_equal(done, KWM_OK);
        while ((done = hal_sensor_poll(y, i, &out.sink)) == 0) {
            assert_true(linux_poll_wait(&poll_set, (int)WAIT_MS_MAX) > 0);
        }
        assert_int_equal(done, 1);
    }
    assert_true(real_ms() - begin_ms < WAIT_MS_MAX);
}

static void test_others_on_time(void **state)
{
    (void)state;
    make_two();
    struct hal_sensor *x = set.sensors[0];
    struct hal_sensor *y = set.sensors[1];
    assert_int_equal(hal_sensor_begin(x, 1000), KWM_OK);
    assert_int_equal(hal_sensor_begin(y, 1000), KWM_OK);
    assert_int_equal(poll_for(x, 1000, 20), 0);
    assert_int_equal(poll_for(y, 1000, WAIT_MS_MAX), 1); /* by a worker of its own */
    assert_string_equal(out.text, "y d=42\n");

    assert_int_equal(poll_for(x, 1000 + LINUX_ASK_STALL_MS - 1, 20), 0);
    assert_int_equal(linux_workers_hung(), 0);
    /* The rest of x's list goes to another worker. */
    assert_int_equal(poll_for(x, 1000 + LINUX_ASK_STALL_MS, WAIT_MS_MAX), KWM_ERR_TIMEOUT);
    assert_string_equal(out.text, "x a=42,c=42\n");
    assert_non_null(strstr(x->detail, "fifo0 does not answer"));
    assert_int_equal(linux_workers_hung(), 1);

    /* While it hangs it is not asked: the next reading does not wait for it. */
    assert_int_equal(hal_sensor_begin(x, 5000), KWM_OK);
    assert_int_equal(poll_for(x, 5000, WAIT_MS_MAX), KWM_ERR_TIMEOUT);
    assert_string_equal(out.text, "x a=42,c=42\n");
    assert_int_equal(linux_workers_hung(), 1);

    /* When it has come back it is asked again; the old answer went nowhere. */
    answer_fifo(0, "6\n");
    wait_hung(0);
    assert_int_equal(hal_sensor_begin(x, 9000), KWM_OK);
    assert_int_equal(poll_for(x, 9000, 20), 0);
    answer_fifo(0, "7\n");
    assert_int_equal(poll_for(x, 9000, WAIT_MS_MAX), 1);
    assert_string_equal(out.text, "x a=42,b=7,c=42\n");
    assert_string_equal(x->detail, "");
}

/** A deadline that is shorter than the patience of the sensor. */
static void test_cancelled(void **state)
{
    (void)state;
    make_two();
    struct hal_sensor *x = set.sensors[0];
    assert_int_equal(hal_sensor_begin(x, 1000), KWM_OK);
    assert_int_equal(poll_for(x, 1000, 20), 0);
    hal_sensor_cancel(x);
    assert_int_equal(linux_workers_hung(), 1);
    assert_int_equal(hal_sensor_begin(x, 2000), KWM_OK);
    assert_int_equal(poll_for(x, 2000, WAIT_MS_MAX), KWM_ERR_TIMEOUT);
    assert_string_equal(out.text, "x a=42,c=42\n");
    assert_int_equal(linux_workers_hung(), 1);

    /* A new configuration knows what hangs. */
    make_two();
    assert_int_equal(hal_sensor_begin(set.sensors[0], 3000), KWM_OK);
    assert_int_equal(poll_for(set.sensors[0], 3000, WAIT_MS_MAX), KWM_ERR_TIMEOUT);
    assert_int_equal(linux_workers_hung(), 1);
}

/** More inputs that hang than there are workers: each fails for itself, and a bounded number of
 *  threads is gone. */
static void test_all_hang(void **state)
{
    (void)state;
    static char inputs[4000];
    uint64_t now_ms = 1000;
    int len = snprintf(inputs, sizeof(inputs), "\"file\": [");
    for (unsigned i = 0; i < FIFO_COUNT; i++) {
        len += snprintf(inputs + len, sizeof(inputs) - (size_t)len,
                        "%s{\"name\": \"m%u\", \"files\": {\"path\": \"%s\", \"field\": \"a\"}}",
                        i > 0 ? ", " : "", i, fifo_path(i));
    }
    (void)snprintf(inputs + len, sizeof(inputs) - (size_t)len, "]");
    assert_int_equal(input_make(&set, inputs), KWM_OK);
    for (unsigned i = 0; i < FIFO_COUNT; i++) {
        assert_int_equal(hal_sensor_begin(set.sensors[i], now_ms), KWM_OK);
    }
    int results[FIFO_COUNT] = {0};
    for (unsigned turn = 0; turn < 100; turn++) {
        now_ms += LINUX_ASK_STALL_MS / 4U;
        for (unsigned i = 0; i < FIFO_COUNT; i++) {
            if (results[i] == 0) {
                results[i] = hal_sensor_poll(set.sensors[i], now_ms, &out.sink);
            }
        }
    }
    unsigned left = 0;
    for (unsigned i = 0; i < FIFO_COUNT; i++) {
        left += results[i] == KWM_ERR_TIMEOUT ? 1U : 0U;
        assert_true(results[i] == KWM_ERR_TIMEOUT || results[i] == KWM_ERR_NOSPC);
    }
    assert_int_equal(left, LINUX_WORKER_SLOTS);
    assert_int_equal(linux_workers_hung(), LINUX_WORKER_SLOTS);
    assert_non_null(strstr(set.sensors[FIFO_COUNT - 1U]->detail, "12 workers hang"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mailbox_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_when_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wakes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_on_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_hang, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
