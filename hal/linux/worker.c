/* SPDX-License-Identifier: MIT */
/* A 32-bit statvfs() fails with EOVERFLOW on file systems of today's sizes. */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include "linux/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "hal/assert.h"
#include "linux/thread.h"

/** For glob(), and for file systems in user space that bring a library. */
#define STACK_LEN (256U * 1024U)

_Static_assert(sizeof(fsblkcnt_t) == 8, "file systems of over 2^32 blocks");

enum state {
    STATE_EMPTY,   /**< no thread */
    STATE_IDLE,    /**< the thread waits */
    STATE_FILLING, /**< the main loop writes questions */
    STATE_RUNNING, /**< the thread works on them */
    STATE_LEFT,    /**< it still does, and nobody waits for it */
};

struct item {
    uint16_t off; /**< of the path in text */
    uint8_t question;
};

/** A worker and its mailbox. Questions belong to the main loop until RUNNING, then to the thread;
 *  answers below `done` to the main loop. */
struct worker {
    enum state state; /**< under the mutex, as is done */
    unsigned done;
    unsigned count;
    size_t text_len;
    int wake_fd;      /**< readable when all is done */
    bool is_equipped; /**< wake_fd and start are made */
    pthread_cond_t start;
    struct item items[LINUX_JOB_ITEMS_MAX];
    char text[LINUX_JOB_TEXT_LEN_MAX];
    struct linux_answer answers[LINUX_JOB_ITEMS_MAX];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct worker workers[LINUX_WORKER_SLOTS];
static struct linux_poll_set *poll_set;

static void lock(void)
{
    const int rc = pthread_mutex_lock(&mutex);
    KWM_ASSERT(rc == 0);
}

static void unlock(void)
{
    const int rc = pthread_mutex_unlock(&mutex);
    KWM_ASSERT(rc == 0);
}

static struct worker *worker_of(int job)
{
    KWM_ASSERT(job >= 0 && job < (int)LINUX_WORKER_SLOTS);
    return &workers[job];
}

void linux_workers_init(struct linux_poll_set *woken)
{
    poll_set = woken;
}

/* ---- the threads ----------------------------------------------------------------------------- */

static int read_file(const char *path, struct linux_answer *answer)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return errno;
    }
    ssize_t got;
    do {
        got = read(fd, answer->text, LINUX_ANSWER_LEN_MAX);
    } while (got < 0 && errno == EINTR);
    const int error = got < 0 ? errno : 0;
    (void)close(fd);
    answer->len = (uint16_t)(got > 0 ? got : 0);
    answer->text[answer->len] = '\0';
    return error;
}

static int stat_file_system(const char *path, struct linux_answer *answer)
{
    struct statvfs found;
    if (statvfs(path, &found) != 0) {
        return errno;
    }
    answer->unit = found.f_frsize;
    answer->blocks = found.f_blocks;
    answer->blocks_free = found.f_bfree;
    answer->blocks_available = found.f_bavail;
    answer->inodes = found.f_files;
    answer->inodes_free = found.f_ffree;
    return 0;
}

static int expand(const char *pattern, struct linux_answer *answer)
{
    glob_t found = {.gl_pathc = 0};
    int error = 0;
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0) {
        error = ENOENT;
    } else if (found.gl_pathc > 1) {
        error = E2BIG;
    } else if (strlen(found.gl_pathv[0]) > LINUX_ANSWER_LEN_MAX) {
        error = ENAMETOOLONG;
    } else {
        answer->len = (uint16_t)strlen(found.gl_pathv[0]);
        memcpy(answer->text, found.gl_pathv[0], answer->len + 1U);
    }
    globfree(&found);
    return error;
}

static void answer_item(struct worker *self, unsigned index)
{
    struct linux_answer *answer = &self->answers[index];
    const char *path = self->text + self->items[index].off;
    switch (self->items[index].question) {
    case LINUX_ASK_READ:
        answer->error = read_file(path, answer);
        break;
    case LINUX_ASK_STATVFS:
        answer->error = stat_file_system(path, answer);
        break;
    default:
        KWM_ASSERT(self->items[index].question == LINUX_ASK_GLOB);
        answer->error = expand(path, answer);
        break;
    }
}

/** Workers that are not left behind. Under the mutex. */
static unsigned count_at_work(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LINUX_WORKER_SLOTS; i++) {
        count += workers[i].state != STATE_EMPTY && workers[i].state != STATE_LEFT ? 1U : 0U;
    }
    return count;
}

/** After an answer, under the mutex. @return whether the thread is to go on at all. */
static bool publish(struct worker *self)
{
    self->done++;
    if (self->state == STATE_LEFT) {
        self->state = count_at_work() < LINUX_WORKERS_MAX ? STATE_IDLE : STATE_EMPTY;
        return self->state == STATE_IDLE;
    }
    if (self->done == self->count) {
        (void)eventfd_write(self->wake_fd, 1); /* the counter has room for it */
    }
    return true;
}

/** Under the mutex. A job that is left before its thread woke up counts, too: the thread finds out
 *  after the first question. */
static bool has_work(const struct worker *self)
{
    return (self->state == STATE_RUNNING || self->state == STATE_LEFT) && self->done < self->count;
}

static void *run(void *arg)
{
    struct worker *self = arg;
    bool is_alive = true;
    lock();
    while (is_alive) {
        while (!has_work(self)) {
            const int rc = pthread_cond_wait(&self->start, &mutex);
            KWM_ASSERT(rc == 0);
        }
        const unsigned index = self->done;
        unlock();
        answer_item(self, index);
        lock();
        is_alive = publish(self);
    }
    unlock();
    return NULL;
}

/* ---- the main loop's side -------------------------------------------------------------------- */

/** Make a worker. Its descriptor and condition stay when its thread ends. */
static bool hire(struct worker *self)
{
    if (!self->is_equipped) {
        self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (self->wake_fd < 0) {
            return false;
        }
        const int rc = pthread_cond_init(&self->start, NULL);
        KWM_ASSERT(rc == 0);
        self->is_equipped = true;
    }
    return linux_thread_start(run, self, STACK_LEN);
}

/** Take a slot for a job. @param[out] needs_thread whether it has none yet. */
static int take_slot(bool *needs_thread)
{
    int idle = -1;
    int empty = -1;
    lock();
    for (int i = (int)LINUX_WORKER_SLOTS - 1; i >= 0; i--) {
        idle = workers[i].state == STATE_IDLE ? i : idle;
        empty = workers[i].state == STATE_EMPTY ? i : empty;
    }
    const unsigned at_work = count_at_work();
    int slot = idle;
    if (idle < 0 && (at_work >= LINUX_WORKERS_MAX || empty < 0)) {
        slot = at_work > 0 ? KWM_ERR_STATE : KWM_ERR_NOSPC;
    } else if (idle < 0) {
        slot = empty;
    }
    *needs_thread = idle < 0;
    if (slot >= 0) {
        workers[slot].state = STATE_FILLING;
        workers[slot].count = 0;
        workers[slot].done = 0;
        workers[slot].text_len = 0;
    }
    unlock();
    return slot;
}

int linux_job_begin(void)
{
    bool needs_thread = false;
    const int slot = take_slot(&needs_thread);
    if (slot >= 0 && needs_thread && !hire(&workers[slot])) {
        lock();
        workers[slot].state = STATE_EMPTY;
        unlock();
        return KWM_ERR_IO;
    }
    return slot;
}

int linux_job_add(int job, enum linux_question question, const char *path)
{
    struct worker *self = worker_of(job);
    const size_t len = strlen(path) + 1U;
    if (self->count == LINUX_JOB_ITEMS_MAX || len > sizeof(self->text) - self->text_len) {
        return KWM_ERR_NOSPC;
    }
    memcpy(self->text + self->text_len, path, len);
    self->items[self->count++] =
        (struct item){.off = (uint16_t)self->text_len, .question = (uint8_t)question};
    self->text_len += len;
    return KWM_OK;
}

void linux_job_start(int job)
{
    struct worker *self = worker_of(job);
    lock();
    KWM_ASSERT(self->state == STATE_FILLING && self->count > 0);
    self->state = STATE_RUNNING;
    const int rc = pthread_cond_signal(&self->start);
    unlock();
    KWM_ASSERT(rc == 0);
}

unsigned linux_job_poll(int job)
{
    struct worker *self = worker_of(job);
    lock();
    KWM_ASSERT(self->state == STATE_RUNNING);
    const unsigned done = self->done;
    unlock();
    if (poll_set != NULL) {
        linux_poll_set_want(poll_set, self->wake_fd, LINUX_POLL_READ);
    }
    return done;
}

const struct linux_answer *linux_job_answer(int job, unsigned index)
{
    const struct worker *self = worker_of(job);
    KWM_ASSERT(index < self->count);
    return &self->answers[index];
}

static void drop_wake(struct worker *self)
{
    if (poll_set != NULL) {
        linux_poll_set_remove(poll_set, self->wake_fd);
    }
}

void linux_job_end(int job)
{
    struct worker *self = worker_of(job);
    eventfd_t count;
    drop_wake(self);
    lock();
    KWM_ASSERT(self->state == STATE_FILLING ||
               (self->state == STATE_RUNNING && self->done == self->count));
    (void)eventfd_read(self->wake_fd, &count);
    self->state = STATE_IDLE;
    unlock();
}

void linux_job_leave(int job)
{
    struct worker *self = worker_of(job);
    eventfd_t count;
    drop_wake(self);
    lock();
    KWM_ASSERT(self->state == STATE_RUNNING);
    const bool is_done = self->done == self->count;
    self->state = is_done ? STATE_IDLE : STATE_LEFT;
    if (is_done) {
        (void)eventfd_read(self->wake_fd, &count);
    }
    unlock();
}

bool linux_workers_hang_on(const char *path)
{
    bool is_hung = false;
    lock();
    for (unsigned i = 0; i < LINUX_WORKER_SLOTS && !is_hung; i++) {
        const struct worker *self = &workers[i];
        is_hung = self->state == STATE_LEFT &&
                  strcmp(self->text + self->items[self->done].off, path) == 0;
    }
    unlock();
    return is_hung;
}

unsigned linux_workers_hung(void)
{
    unsigned count = 0;
    lock();
    for (unsigned i = 0; i < LINUX_WORKER_SLOTS; i++) {
        count += workers[i].state == STATE_LEFT ? 1U : 0U;
    }
    unlock();
    return count;
}
