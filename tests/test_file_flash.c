/* SPDX-License-Identifier: MIT */
/* Goal:   a log in a file outlives the process, is one agent's alone, and no fault of the disk
 *         stops it: what cannot be written stays in memory, as far as that goes, and gets into the
 *         file when it can.
 * Method: real files below /tmp; write, sync and reserve are replaced by ones that fail, write
 *         short, are interrupted or hang on demand; permissions, RLIMIT_FSIZE and missing folders
 *         are the kernel's own. Time is made up, but for waits, which are bounded. Against a model:
 *         an array. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "linux/file_flash.h"

#define WAIT_MS_MAX 10000U
#define SECTOR_LEN 512U
#define SECTOR_COUNT 16U
#define FILE_LEN (SECTOR_LEN * SECTOR_COUNT)
#define OVERLAY_COUNT 16U
#define SMALL_OVERLAY 4U
#define NOBODY 65534U

static char folder[64];
static char path[100];
static struct file_flash file;
static struct linux_poll_set poll_set;
static uint8_t overlay[OVERLAY_COUNT * SECTOR_LEN];
static uint8_t forgotten[FILE_FLASH_FORGOTTEN_LEN(SECTOR_COUNT)];
static uint64_t now_ms;

/* ---- faults ---------------------------------------------------------------------------------- */

static atomic_int write_error, sync_error, reserve_error;
static atomic_bool is_choppy, hangs_write, hangs_sync;
static atomic_uint calls, hung;
static atomic_ullong room = ULLONG_MAX; /* what lies beyond is refused */

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void hang_while(atomic_bool *hangs)
{
    atomic_fetch_add(&hung, 1);
    while (atomic_load(hangs)) {
        pause_ms(1);
    }
    atomic_fetch_sub(&hung, 1);
}

static ssize_t faulty_write(int fd, const uint8_t *data, size_t len, uint64_t off)
{
    hang_while(&hangs_write);
    if (atomic_load(&is_choppy) && atomic_fetch_add(&calls, 1) % 2U == 0) {
        errno = EINTR;
        return -1;
    }
    errno = off >= atomic_load(&room) ? ENOSPC : atomic_load(&write_error);
    if (errno != 0) {
        return -1;
    }
    return file_sys_linux.write_at(fd, data, atomic_load(&is_choppy) ? (len + 2U) / 3U : len, off);
}

static int faulty_sync(int fd)
{
    hang_while(&hangs_sync);
    if (atomic_load(&is_choppy) && atomic_fetch_add(&calls, 1) % 2U == 0) {
        errno = EINTR;
        return -1;
    }
    errno = atomic_load(&sync_error);
    return errno != 0 ? -1 : file_sys_linux.sync(fd);
}

static int faulty_reserve(int fd, uint64_t len)
{
    errno = atomic_load(&reserve_error);
    return errno != 0 ? -1 : file_sys_linux.reserve(fd, len);
}

static const struct file_sys faulty = {
    .write_at = faulty_write, .sync = faulty_sync, .reserve = faulty_reserve};

/* ---- tools ----------------------------------------------------------------------------------- */

static uint64_t real_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

static struct file_flash_config config_of(uint32_t overlay_count)
{
    return (struct file_flash_config){.path = path,
                                      .sector_len = SECTOR_LEN,
                                      .sector_count = SECTOR_COUNT,
                                      .prog_len = 1,
                                      .overlay = overlay,
                                      .overlay_count = overlay_count,
                                      .forgotten = forgotten,
                                      .poll_set = &poll_set,
                                      .sys = &faulty};
}

static int open_small(uint32_t overlay_count)
{
    const struct file_flash_config config = config_of(overlay_count);
    return file_flash_open(&file, &config, now_ms);
}

static void open_ok(void)
{
    assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
    assert_int_equal(file.state, FILE_FLASH_OK);
}

static void close_ok(void)
{
    assert_int_equal(file_flash_close(&file, WAIT_MS_MAX), KWM_OK);
    assert_int_equal(poll_set.count, 0);
}

/** Poll to the end; only the poll set wakes. */
static int finish(void)
{
    int done = hal_flash_poll(&file.flash);
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (done == 0) {
        assert_true(real_ms() < end_ms);
        assert_true(linux_poll_wait(&poll_set, (int)WAIT_MS_MAX) > 0);
        done = hal_flash_poll(&file.flash);
    }
    return done;
}

static int erase(uint32_t sector)
{
    assert_int_equal(hal_flash_erase(&file.flash, sector), KWM_OK);
    return finish();
}

static int prog(uint32_t off, const void *data, size_t len)
{
    assert_int_equal(hal_flash_prog(&file.flash, off, data, len), KWM_OK);
    return finish();
}

static int sync_flash(void)
{
    assert_int_equal(hal_flash_sync(&file.flash), KWM_OK);
    return finish();
}

/** Erase a sector and put a text into it. */
static void put(uint32_t sector, const char *text)
{
    assert_int_equal(erase(sector), 1);
    assert_int_equal(prog(sector * SECTOR_LEN, text, strlen(text)), 1);
}

/** Assert that a sector is this text, and 0xFF behind it. */
static void assert_sector(uint32_t sector, const char *text)
{
    uint8_t want[SECTOR_LEN];
    uint8_t got[SECTOR_LEN];
    memset(want, 0xFF, sizeof(want));
    memcpy(want, text, strlen(text));
    assert_int_equal(hal_flash_read(&file.flash, sector * SECTOR_LEN, got, sizeof(got)), KWM_OK);
    assert_memory_equal(got, want, sizeof(want));
}

/** Let the time come at which the file is tried again, and the attempt end. */
static void retry(void)
{
    now_ms += FILE_FLASH_RETRY_MS;
    (void)file_flash_step(&file, now_ms);
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (file.is_mending || file_worker_is_busy(file.worker)) {
        assert_true(real_ms() < end_ms);
        assert_true(linux_poll_wait(&poll_set, (int)WAIT_MS_MAX) > 0);
        (void)file_flash_step(&file, now_ms);
    }
}

static void write_raw(const char *name, size_t len, uint8_t value)
{
    static uint8_t bytes[2U * FILE_LEN];
    memset(bytes, value, sizeof(bytes));
    const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
}

/** What is in the file, past the module. */
static void read_raw(const char *name, uint8_t *out, size_t len)
{
    struct stat about;
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &about), 0);
    assert_int_equal(about.st_size, len);
    assert_int_equal(read(fd, out, len), len);
    assert_int_equal(close(fd), 0);
}

static void run_shell(const char *format, const char *where)
{
    char command[256];
    (void)snprintf(command, sizeof(command), format, where);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/kwm_file_XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 0777) != 0) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/spool", folder);
    write_error = 0;
    sync_error = 0;
    reserve_error = 0;
    room = ULLONG_MAX;
    is_choppy = false;
    hangs_write = false;
    hangs_sync = false;
    now_ms = 1000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    run_shell("rm -rf '%s'", folder);
    return 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

static void test_new_file(void **state)
{
    (void)state;
    uint8_t raw[FILE_LEN];
    struct stat about;
    open_ok();
    assert_string_equal(file.text, "");
    assert_true(file.flash.geometry.is_durable);
    for (uint32_t i = 0; i < SECTOR_COUNT; i++) {
        assert_sector(i, "");
    }
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 07777U, 0600);
    assert_true(about.st_blocks * 512 >= (blkcnt_t)FILE_LEN); /* no holes */
    read_raw(path, raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++) {
        assert_int_equal(raw[i], 0xFF);
    }
    close_ok();
}

static void test_reopened(void **state)
{
    (void)state;
    open_ok();
    for (uint32_t i = 0; i < SECTOR_COUNT; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "sector %u", i);
        put(i, text);
    }
    assert_int_equal(erase(3), 1);
    assert_int_equal(sync_flash(), 1);
    assert_int_equal(file.counters.syncs, 1);
    close_ok();
    open_ok();
    assert_sector(0, "sector 0");
    assert_sector(3, "");
    assert_sector(15, "sector 15");
    /* What was in the file stays around what is added to it. */
    assert_int_equal(prog(8, "+", 1), 1);
    close_ok();
    open_ok();
    assert_sector(0, "sector 0+");
    close_ok();
}

/** Run a function in a child process. @return its exit code, or 128 + signal. */
static int in_child(int (*function)(void))
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(function());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_and_die(void)
{
    if (open_small(OVERLAY_COUNT) != KWM_OK || file.state != FILE_FLASH_OK) {
        return 1;
    }
    put(2, "last words");
    (void)raise(SIGKILL);
    return 2;
}

static void test_killed(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_and_die), 128 + SIGKILL);
    open_ok(); /* and the lock is gone */
    assert_sector(2, "last words");
    close_ok();
}

static void test_other_length(void **state)
{
    (void)state;
    static const struct {
        size_t found;
        int rc;
    } rows[] = {{0, KWM_OK},
                {1, FILE_FLASH_RESIZED},
                {SECTOR_LEN, FILE_FLASH_RESIZED},
                {FILE_LEN - 1U, FILE_FLASH_RESIZED},
                {FILE_LEN, KWM_OK},
                {FILE_LEN + 1U, FILE_FLASH_RESIZED},
                {2U * FILE_LEN, FILE_FLASH_RESIZED}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t raw[FILE_LEN];
        char found[32];
        write_raw(path, rows[i].found, 'x');
        assert_int_equal(open_small(OVERLAY_COUNT), rows[i].rc);
        (void)snprintf(found, sizeof(found), "had %zu bytes", rows[i].found);
        assert_int_equal(strstr(file.text, found) != NULL, rows[i].rc == FILE_FLASH_RESIZED);
        close_ok();
        read_raw(path, raw, sizeof(raw));
        for (size_t b = 0; b < sizeof(raw); b++) {
            assert_int_equal(raw[b], b < rows[i].found ? 'x' : 0xFF);
        }
    }
}

static void test_bad_config(void **state)
{
    (void)state;
    static char long_path[FILE_PATH_LEN_MAX + 2U];
    memset(long_path, 'x', sizeof(long_path) - 1U);
    for (unsigned i = 0; i < 10; i++) {
        struct file_flash_config config = config_of(OVERLAY_COUNT);
        config.path = i == 0 ? "" : i == 1 ? long_path : config.path;
        config.sector_len = i == 2 ? 256 : i == 3 ? (2U << 20) : config.sector_len;
        config.sector_count = i == 4 ? 3 : i == 5 ? 65536 : config.sector_count;
        config.prog_len = i == 6 ? 0 : i == 7 ? 3 : config.prog_len;
        config.overlay_count = i == 8 ? FILE_FLASH_OVERLAY_MIN - 1U : config.overlay_count;
        config.overlay_count = i == 9 ? FILE_FLASH_OVERLAY_MAX + 1U : config.overlay_count;
        assert_int_equal(file_flash_open(&file, &config, 0), KWM_ERR_INVAL);
    }
    struct file_flash_config config = config_of(OVERLAY_COUNT);
    config.sector_len = 1U << 20;
    config.sector_count = 4096; /* 4 GiB: offsets have 32 bits */
    assert_int_equal(file_flash_open(&file, &config, 0), KWM_ERR_INVAL);
    assert_int_equal(access(path, F_OK), -1); /* nothing was made */
}

/* ---- one agent a file ------------------------------------------------------------------------ */

static int open_held(void)
{
    char who[64];
    static struct file_flash other;
    const struct file_flash_config config = config_of(OVERLAY_COUNT);
    const int rc = file_flash_open(&other, &config, now_ms);
    (void)snprintf(who, sizeof(who), "spool: is in use by another process (pid %d)", getppid());
    return rc != KWM_ERR_STATE ? 1 : strstr(other.text, who) == NULL ? 2 : 0;
}

static void test_lock(void **state)
{
    (void)state;
    open_ok();
    put(0, "mine");
    assert_int_equal(in_child(open_held), 0);
    /* In the same process, too; and a refused one takes nothing away. */
    static struct file_flash other;
    const struct file_flash_config config = config_of(OVERLAY_COUNT);
    assert_int_equal(file_flash_open(&other, &config, now_ms), KWM_ERR_STATE);
    assert_int_equal(in_child(open_held), 0);
    assert_sector(0, "mine");
    close_ok();
    open_ok();
    close_ok();
}

/* ---- a file that cannot be written ----------------------------------------------------------- */

static void assert_fallen_back(int error)
{
    char why[300];
    assert_int_equal(file.state, FILE_FLASH_FALLEN_BACK);
    assert_int_equal(file.error, error);
    (void)snprintf(why, sizeof(why), "%s: cannot be written (%s): keeping the newest %u KiB in ",
                   path, error == ETIMEDOUT ? "the disk does not answer" : strerror(error),
                   file.overlay_count * SECTOR_LEN / 1024U);
    assert_non_null(strstr(file.text, why));
}

static void assert_recovered(void)
{
    assert_int_equal(file.state, FILE_FLASH_OK);
    assert_int_equal(file.error, 0);
    assert_non_null(strstr(file.text, "spool: can be written again"));
}

static void test_write_errors(void **state)
{
    (void)state;
    static const int errors[] = {ENOSPC, EIO, EROFS, EDQUOT};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        open_ok();
        put(1, "before");
        const unsigned changes = file.changes;
        write_error = errors[i];
        assert_int_equal(prog(SECTOR_LEN + 6U, ", then", 6), 1); /* in memory, so it succeeds */
        assert_fallen_back(errors[i]);
        assert_int_equal(file.changes, changes + 1U);
        put(2, "during");
        assert_sector(1, "before, then");
        assert_sector(2, "during");
        assert_int_equal(sync_flash(), KWM_ERR_IO); /* nothing was made durable */
        assert_int_equal(hal_flash_poll(&file.flash), 1);

        assert_int_equal(file_flash_step(&file, now_ms + FILE_FLASH_RETRY_MS - 1U),
                         now_ms + FILE_FLASH_RETRY_MS);
        assert_int_equal(file.counters.retries, 0);
        retry();
        assert_int_equal(file.counters.retries, 1);
        assert_fallen_back(errors[i]);
        assert_int_equal(file.changes, changes + 1U); /* told once */

        write_error = 0;
        retry();
        assert_recovered();
        assert_int_equal(file.counters.fallbacks, 1);
        assert_int_equal(file.counters.forgotten, 0);
        assert_sector(1, "before, then");
        assert_int_equal(sync_flash(), 1);
        close_ok();
        open_ok();
        assert_sector(1, "before, then");
        assert_sector(2, "during");
        close_ok();
        assert_int_equal(unlink(path), 0);
    }
}

/** After a sync that failed the kernel thinks that those pages are clean: they are written anew. */
static void test_sync_error(void **state)
{
    (void)state;
    open_ok();
    put(1, "synced");
    assert_int_equal(sync_flash(), 1);
    put(2, "not synced");
    sync_error = EIO;
    assert_int_equal(sync_flash(), KWM_ERR_IO);
    assert_fallen_back(EIO);
    write_raw(path, FILE_LEN, 'z'); /* the pages were thrown away */
    retry();
    assert_fallen_back(EIO);
    sync_error = 0;
    retry();
    assert_recovered();
    uint8_t raw[FILE_LEN];
    read_raw(path, raw, sizeof(raw));
    assert_memory_equal(raw + 2U * SECTOR_LEN, "not synced\xFF", 11);
    assert_int_equal(raw[SECTOR_LEN], 'z'); /* what was synced is not written again */
    close_ok();
}

static void test_forgetting(void **state)
{
    (void)state;
    assert_int_equal(open_small(SMALL_OVERLAY), KWM_OK);
    for (uint32_t i = 0; i < SECTOR_COUNT; i++) {
        put(i, "old");
    }
    write_error = ENOSPC;
    for (uint32_t i = 0; i < 7; i++) {
        put(i, "new");
    }
    assert_fallen_back(ENOSPC);
    assert_int_equal(file.counters.forgotten, 3);
    for (unsigned turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < SECTOR_COUNT; i++) {
            assert_sector(i, i < 3 ? "" : i < 7 ? "new" : "old");
        }
        if (turn == 0) {
            write_error = 0;
            retry();
            assert_recovered();
        } else if (turn == 1) {
            close_ok();
            assert_int_equal(open_small(SMALL_OVERLAY), KWM_OK);
        }
    }
    close_ok();
}

/** A forgotten sector that is used again is remembered, be it erased or only programmed. */
static void test_forgotten_used_again(void **state)
{
    (void)state;
    assert_int_equal(open_small(SMALL_OVERLAY), KWM_OK);
    for (uint32_t i = 0; i < SECTOR_COUNT; i++) {
        put(i, "old");
    }
    write_error = ENOSPC;
    for (uint32_t i = 8; i < 14; i++) {
        put(i, "new");
    }
    assert_int_equal(file.counters.forgotten, 2);
    assert_int_equal(prog(8U * SECTOR_LEN + 100U, "late", 4), 1); /* 10 makes room */
    put(9, "again");                                              /* 11 does */
    for (unsigned turn = 0; turn < 2; turn++) {
        uint8_t got[SECTOR_LEN];
        assert_int_equal(hal_flash_read(&file.flash, 8U * SECTOR_LEN, got, sizeof(got)), KWM_OK);
        assert_int_equal(got[0], 0xFF);
        assert_memory_equal(got + 99, "\xFFlate\xFF", 6);
        assert_sector(9, "again");
        assert_sector(10, "");
        assert_sector(11, "");
        assert_sector(12, "new");
        write_error = 0;
        close_ok(); /* the last attempt is made here */
        assert_int_equal(open_small(SMALL_OVERLAY), KWM_OK);
    }
    close_ok();
}

/** Who makes room: what the file has, then what was erased the longest time ago. */
static void test_who_is_forgotten(void **state)
{
    (void)state;
    assert_int_equal(open_small(SMALL_OVERLAY), KWM_OK);
    for (uint32_t i = 0; i < SMALL_OVERLAY; i++) {
        put(i, "old");
    }
    write_error = ENOSPC;
    assert_int_equal(prog(3, "+", 1), 1); /* 0 is the oldest, but the only one with news */
    for (uint32_t i = 4; i < 7; i++) {
        put(i, "new");
    }
    assert_int_equal(file.counters.forgotten, 0);
    assert_sector(0, "old+");
    assert_sector(1, "old");
    put(0, "anew");
    put(7, "new");
    assert_int_equal(file.counters.forgotten, 1);
    assert_sector(0, "anew");
    assert_sector(4, "");
    assert_sector(5, "new");
    write_error = 0;
    close_ok();
}

static void test_close_fallen_back(void **state)
{
    (void)state;
    open_ok();
    put(0, "kept");
    write_error = ENOSPC;
    put(0, "lost");
    assert_int_equal(file_flash_close(&file, WAIT_MS_MAX), KWM_ERR_IO);
    assert_fallen_back(ENOSPC);
    write_error = 0;
    open_ok();
    assert_sector(0, "kept");
    close_ok();
}

/** No room for the file itself: none is taken, and it is begun with when there is. */
static void test_no_room_at_start(void **state)
{
    (void)state;
    struct stat about;
    for (unsigned i = 0; i < 2; i++) {
        reserve_error = i == 0 ? ENOSPC : EOPNOTSUPP; /* the second is told by writing */
        room = i == 0 ? ULLONG_MAX : FILE_PIECE_LEN_MAX;
        assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
        assert_fallen_back(ENOSPC);
        assert_int_equal(stat(path, &about), 0);
        assert_int_equal(about.st_size, 0);
        assert_int_equal(about.st_blocks, 0);
        put(5, "early");
        assert_sector(5, "early");
        assert_sector(6, "");
        room = ULLONG_MAX;
        reserve_error = i == 0 ? 0 : EOPNOTSUPP;
        retry();
        assert_recovered();
        close_ok();
        open_ok();
        assert_sector(5, "early");
        assert_sector(6, "");
        close_ok();
        assert_int_equal(unlink(path), 0);
    }
}

static void test_no_folder(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/later/spool", folder);
    assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
    assert_fallen_back(ENOENT);
    assert_sector(0, "");
    put(0, "early");
    retry();
    assert_fallen_back(ENOENT);
    run_shell("mkdir '%s/later'", folder);
    retry();
    assert_recovered();
    close_ok();
    open_ok();
    assert_sector(0, "early");
    close_ok();
}

/** A disk that is mounted after the log began: neither log is lost, and they are not mixed. */
static void test_found_late(void **state)
{
    (void)state;
    uint8_t raw[FILE_LEN];
    (void)snprintf(path, sizeof(path), "%s/later/spool", folder);
    assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
    put(3, "newer");
    run_shell("mkdir '%s/later'", folder);
    write_raw(path, FILE_LEN, 'o');
    retry();
    assert_recovered();
    assert_non_null(strstr(file.text, ".before"));
    assert_sector(3, "newer");
    assert_sector(4, "");
    close_ok();
    open_ok();
    assert_sector(3, "newer");
    assert_sector(4, "");
    close_ok();
    char aside[160];
    (void)snprintf(aside, sizeof(aside), "%s.before", path);
    read_raw(aside, raw, sizeof(raw));
    assert_int_equal(raw[0], 'o');
    assert_int_equal(raw[FILE_LEN - 1U], 'o');
}

/** A stick that is pulled and comes back empty: what is in memory goes there. */
static void test_replaced(void **state)
{
    (void)state;
    open_ok();
    put(0, "memory has it");
    write_error = EIO;
    put(1, "pulled");
    assert_int_equal(unlink(path), 0);
    write_error = 0;
    retry();
    assert_recovered();
    assert_sector(0, "memory has it");
    close_ok();
    open_ok();
    assert_sector(0, "memory has it");
    assert_sector(1, "pulled");
    assert_sector(2, "");
    close_ok();
}

/** What may only be read is read, and written when it may be. */
static void test_read_only(void **state)
{
    (void)state;
    open_ok();
    put(0, "of before");
    close_ok();
    assert_int_equal(chmod(path, 0444), 0);
    const bool is_root = geteuid() == 0;
    assert_true(!is_root || seteuid(NOBODY) == 0);
    assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
    assert_fallen_back(EACCES);
    assert_sector(0, "of before");
    put(1, "of now");
    assert_sector(1, "of now");
    assert_int_equal(in_child(open_held), 0); /* locked all the same */
    retry();
    assert_fallen_back(EACCES);
    assert_true(!is_root || seteuid(0) == 0);
    assert_int_equal(chmod(path, 0600), 0);
    retry();
    assert_recovered();
    assert_int_equal(in_child(open_held), 0);
    close_ok();
    open_ok();
    assert_sector(0, "of before");
    assert_sector(1, "of now");
    close_ok();
}

static void test_not_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *make;
        int error;
    } rows[] = {{"ln -s target '%s'", ELOOP}, {"mkfifo '%s'", EMEDIUMTYPE}, {"mkdir '%s'", EISDIR}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_shell(rows[i].make, path);
        assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
        assert_fallen_back(rows[i].error);
        put(0, "x");
        assert_sector(0, "x");
        assert_int_equal(file_flash_close(&file, WAIT_MS_MAX), KWM_ERR_IO);
        run_shell("rm -r '%s'", path);
    }
}

/** The kernel's own refusal, which comes with a signal. */
static int meet_limit(void)
{
    const struct rlimit limit = {.rlim_cur = 2U * SECTOR_LEN, .rlim_max = RLIM_INFINITY};
    struct file_flash_config config = config_of(OVERLAY_COUNT);
    config.sys = NULL;
    if (file_flash_open(&file, &config, now_ms) != KWM_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    put(1, "below");
    if (file.state != FILE_FLASH_OK) {
        return 2;
    }
    put(2, "above");
    assert_sector(2, "above");
    return file.state == FILE_FLASH_FALLEN_BACK && file.error == EFBIG ? 0 : 3;
}

static void test_limit(void **state)
{
    (void)state;
    assert_int_equal(in_child(meet_limit), 0);
}

/* ---- a disk that takes its time -------------------------------------------------------------- */

static void test_choppy(void **state)
{
    (void)state;
    is_choppy = true;
    open_ok();
    put(1, "in pieces, each one after an interruption");
    assert_int_equal(sync_flash(), 1);
    close_ok();
    is_choppy = false;
    open_ok();
    assert_sector(1, "in pieces, each one after an interruption");
    assert_sector(2, "");
    close_ok();
}

static void wait_hung(unsigned count)
{
    const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
    while (atomic_load(&hung) != count && real_ms() < end_ms) {
        pause_ms(1);
    }
    assert_int_equal(atomic_load(&hung), count);
}

/** Begin what hangs, wait for less than the patience, then longer. */
static void hang(bool is_sync)
{
    atomic_bool *hangs = is_sync ? &hangs_sync : &hangs_write;
    open_ok();
    put(0, "before");
    *hangs = true;
    const uint64_t begin_ms = real_ms();
    const int rc = is_sync ? hal_flash_sync(&file.flash)
                           : hal_flash_prog(&file.flash, 6, (const uint8_t *)"+", 1);
    assert_int_equal(rc, KWM_OK);
    wait_hung(1);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(hal_flash_poll(&file.flash), 0);
        assert_int_equal(hal_flash_erase(&file.flash, 1), KWM_ERR_STATE);
        assert_int_equal(file_flash_step(&file, now_ms + FILE_FLASH_STALL_MS - 1U),
                         now_ms + FILE_FLASH_STALL_MS);
    }
    assert_sector(0, is_sync ? "before" : "before+"); /* reads go on */
    assert_true(real_ms() - begin_ms < WAIT_MS_MAX);  /* nothing of this waited for it */
    now_ms += FILE_FLASH_STALL_MS;
    (void)file_flash_step(&file, now_ms);
    assert_fallen_back(ETIMEDOUT);
    assert_int_equal(finish(), is_sync ? KWM_ERR_IO : 1);
    put(1, "meanwhile");
    now_ms += 10U * FILE_FLASH_RETRY_MS;
    (void)file_flash_step(&file, now_ms); /* nothing can be tried as long as it hangs */
    assert_int_equal(file.counters.retries, 0);
    *hangs = false;
    wait_hung(0);
    retry();
    assert_recovered();
    close_ok();
    open_ok();
    assert_sector(0, is_sync ? "before" : "before+");
    assert_sector(1, "meanwhile");
    close_ok();
}

static void test_sync_hangs(void **state)
{
    (void)state;
    hang(true);
}

static void test_write_hangs(void **state)
{
    (void)state;
    hang(false);
}

/** What is on its way and may not arrive is not in the file yet. */
static void test_write_hangs_then_fails(void **state)
{
    (void)state;
    assert_int_equal(open_small(SMALL_OVERLAY), KWM_OK);
    put(0, "old");
    hangs_write = true;
    assert_int_equal(hal_flash_erase(&file.flash, 0), KWM_OK);
    wait_hung(1);
    now_ms += FILE_FLASH_STALL_MS;
    (void)file_flash_step(&file, now_ms);
    assert_fallen_back(ETIMEDOUT);
    for (uint32_t i = 1; i <= SMALL_OVERLAY; i++) {
        put(i, "new");
    }
    assert_int_equal(file.counters.forgotten, 1);
    write_error = EIO;
    hangs_write = false;
    retry();
    assert_fallen_back(EIO);
    assert_sector(0, "");
    write_error = 0;
    retry();
    assert_recovered();
    close_ok();
    open_ok();
    assert_sector(0, "");
    assert_sector(SMALL_OVERLAY, "new");
    close_ok();
}

/** Open a file in memory that can be taken away. */
static struct file_flash *open_in(uint8_t *memory, const char *name)
{
    struct file_flash *doomed = (struct file_flash *)(void *)memory;
    struct file_flash_config config = config_of(OVERLAY_COUNT);
    config.overlay = memory + sizeof(*doomed);
    config.forgotten = config.overlay + sizeof(overlay);
    config.path = memcpy(config.forgotten + sizeof(forgotten), name, strlen(name) + 1U);
    assert_int_equal(file_flash_open(doomed, &config, now_ms), KWM_OK);
    return doomed;
}

/** The thread of a file that was closed touches nothing of its user, and lets go of the lock when
 *  it comes back. Threads that hang are bounded. */
static void test_closed_while_hung(void **state)
{
    (void)state;
    const size_t len = sizeof(struct file_flash) + sizeof(overlay) + sizeof(forgotten) + 160U;
    const size_t path_len = strlen(path);
    uint8_t *memory[FILE_WORKERS_MAX];
    for (unsigned i = 0; i < FILE_WORKERS_MAX; i++) {
        path[path_len] = (char)('a' + (char)i);
        open_ok();
        close_ok();
    }
    hangs_write = true;
    for (unsigned i = 0; i < FILE_WORKERS_MAX; i++) {
        path[path_len] = (char)('a' + (char)i);
        memory[i] = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(memory[i] != MAP_FAILED);
        struct file_flash *doomed = open_in(memory[i], path);
        assert_int_equal(hal_flash_erase(&doomed->flash, 0), KWM_OK);
        wait_hung(i + 1U);
        const uint64_t begin_ms = real_ms();
        assert_int_equal(file_flash_close(doomed, 20), KWM_ERR_TIMEOUT);
        assert_true(real_ms() - begin_ms < WAIT_MS_MAX / 2U);
        assert_int_equal(poll_set.count, 0);
        assert_int_equal(mprotect(memory[i], len, PROT_NONE), 0);
        assert_int_equal(open_small(OVERLAY_COUNT),
                         i + 1U < FILE_WORKERS_MAX ? KWM_ERR_STATE : KWM_ERR_NOSPC);
    }
    hangs_write = false;
    wait_hung(0);
    for (unsigned i = 0; i < FILE_WORKERS_MAX; i++) {
        path[path_len] = (char)('a' + (char)i);
        const uint64_t end_ms = real_ms() + WAIT_MS_MAX;
        int rc = open_small(OVERLAY_COUNT);
        while (rc != KWM_OK && real_ms() < end_ms) {
            pause_ms(1);
            rc = open_small(OVERLAY_COUNT);
        }
        assert_int_equal(rc, KWM_OK);
        close_ok();
        assert_int_equal(munmap(memory[i], len), 0);
    }
}

/** A disk that does not answer when the file is made: the log begins in memory. */
static void test_open_hangs(void **state)
{
    (void)state;
    hangs_write = true;
    const uint64_t begin_ms = real_ms();
    assert_int_equal(open_small(OVERLAY_COUNT), KWM_OK);
    assert_true(real_ms() - begin_ms < FILE_FLASH_OPEN_MS + WAIT_MS_MAX);
    assert_fallen_back(ETIMEDOUT);
    put(0, "begun");
    hangs_write = false;
    retry(); /* the opening comes to its end */
    if (file.state != FILE_FLASH_OK) {
        retry();
    }
    assert_recovered();
    close_ok();
    open_ok();
    assert_sector(0, "begun");
    assert_sector(1, "");
    close_ok();
}

/* ---- at random ------------------------------------------------------------------------------- */

static uint8_t model[FILE_LEN];

static void compare_with_model(void)
{
    uint8_t got[FILE_LEN];
    assert_int_equal(hal_flash_read(&file.flash, 0, got, sizeof(got)), KWM_OK);
    assert_memory_equal(got, model, sizeof(model));
}

static void random_step(uint64_t *seed)
{
    const uint64_t dice = support_random(seed);
    const uint32_t sector = (uint32_t)(dice >> 8) % SECTOR_COUNT;
    const uint32_t off = sector * SECTOR_LEN + (uint32_t)(dice >> 16) % SECTOR_LEN;
    uint8_t bytes[SECTOR_LEN];
    bool works;
    switch (dice % 16U) {
    case 0:
        write_error = dice & 0x100U ? ENOSPC : 0;
        break;
    case 1:
        sync_error = dice & 0x100U ? EIO : 0;
        break;
    case 2:
        now_ms += FILE_FLASH_RETRY_MS / 2U;
        (void)file_flash_step(&file, now_ms);
        break;
    case 3:
        works = file.state == FILE_FLASH_OK && sync_error == 0;
        assert_int_equal(sync_flash(), works ? 1 : KWM_ERR_IO);
        break;
    case 4:
    case 5:
    case 6:
        assert_int_equal(erase(sector), 1);
        memset(model + (size_t)sector * SECTOR_LEN, 0xFF, SECTOR_LEN);
        break;
    default:
        memset(bytes, (int)(dice >> 40 & 0xFFU), sizeof(bytes));
        const size_t len = 1U + (size_t)(dice >> 48) % (SECTOR_LEN - off % SECTOR_LEN);
        assert_int_equal(prog(off, bytes, len), 1);
        memcpy(model + off, bytes, len);
        break;
    }
}

/** With memory for all sectors nothing is ever forgotten, whatever fails when. */
static void test_random(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    uint8_t raw[FILE_LEN];
    print_message("seed %llu\n", (unsigned long long)seed);
    memset(model, 0xFF, sizeof(model));
    for (unsigned run = 0; run < support_runs(20); run++) {
        open_ok();
        for (unsigned i = 0; i < 300; i++) {
            random_step(&seed);
            compare_with_model();
        }
        write_error = 0;
        sync_error = 0;
        assert_int_equal(file.counters.forgotten, 0);
        close_ok();
        read_raw(path, raw, sizeof(raw));
        assert_memory_equal(raw, model, sizeof(model));
    }
}

/** Sectors of more than a piece, over a large file. */
static void test_large_sectors(void **state)
{
    (void)state;
    enum { LEN = 3 * FILE_PIECE_LEN_MAX / 2 };
    static uint8_t large[4U * LEN], bits[8], data[LEN], got[LEN];
    const struct file_flash_config config = {.path = path,
                                             .sector_len = LEN,
                                             .sector_count = 64,
                                             .prog_len = 8,
                                             .overlay = large,
                                             .overlay_count = 4,
                                             .forgotten = bits,
                                             .poll_set = &poll_set,
                                             .sys = &faulty};
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7U);
    }
    assert_int_equal(file_flash_open(&file, &config, now_ms), KWM_OK);
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(erase(i), 1);
        assert_int_equal(prog(i * LEN, data, LEN), 1);
        write_error = i >= 20 && i < 40 ? ENOSPC : 0;
        if (i == 41) {
            retry();
            assert_recovered();
        }
    }
    close_ok();
    assert_int_equal(file_flash_open(&file, &config, now_ms), KWM_OK);
    unsigned blank = 0;
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(hal_flash_read(&file.flash, i * LEN, got, LEN), KWM_OK);
        const bool is_blank = got[1] == 0xFF;
        blank += is_blank ? 1U : 0U;
        for (size_t b = 0; b < LEN; b++) {
            assert_int_equal(got[b], is_blank ? 0xFF : data[b]);
        }
    }
    assert_int_equal(blank, 21 - 4); /* 21 to 41 went to memory, which has room for 4 */
    close_ok();
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_new_file),
        ROW(test_reopened),
        ROW(test_killed),
        ROW(test_other_length),
        ROW(test_bad_config),
        ROW(test_lock),
        ROW(test_write_errors),
        ROW(test_sync_error),
        ROW(test_forgetting),
        ROW(test_forgotten_used_again),
        ROW(test_who_is_forgotten),
        ROW(test_close_fallen_back),
        ROW(test_no_room_at_start),
        ROW(test_no_folder),
        ROW(test_found_late),
        ROW(test_replaced),
        ROW(test_read_only),
        ROW(test_not_a_file),
        ROW(test_limit),
        ROW(test_choppy),
        ROW(test_sync_hangs),
        ROW(test_write_hangs),
        ROW(test_write_hangs_then_fails),
        ROW(test_closed_while_hung),
        ROW(test_open_hangs),
        ROW(test_random),
        ROW(test_large_sectors),
    };
    return cmocka_run_group_tests_name("file_flash", tests, NULL, NULL);
}
