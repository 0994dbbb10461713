/* SPDX-License-Identifier: MIT */
/* A log may have 4 GiB. */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include "linux/file_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "hal/assert.h"
#include "linux/thread.h"

#define STACK_LEN ((size_t)64 * 1024)
#define OPEN_TRIES_MAX 3U
#define INTERRUPTS_MAX 100U

_Static_assert(sizeof(off_t) == 8, "files of over 2 GiB");

enum state {
    STATE_FREE,    /**< no thread */
    STATE_IDLE,    /**< the mailbox is the user's */
    STATE_RUNNING, /**< the mailbox is the thread's */
    STATE_DONE,    /**< the result waits to be taken */
    STATE_ENDING,  /**< the user is gone; the thread closes the file and ends */
};

/** Under the mutex: state, fd, may_have_content. The rest belongs to whom the state says. */
struct worker {
    enum state state;
    bool may_have_content;
    int fd;     /**< the file; -1: none */
    int old_fd; /**< the one before; closed with the next job, for the user may have read it */
    bool is_read_only;
    int wake_fd;
    bool is_equipped;
    pthread_cond_t changed;
    const struct file_sys *sys;
    uint64_t file_len;
    char path[FILE_PATH_LEN_MAX + 1U];
    struct file_result result;
    uint64_t off;
    size_t len;
    bool is_fill; /**< 0xFF, not data */
    uint8_t data[FILE_PIECE_LEN_MAX];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct worker workers[FILE_WORKERS_MAX];

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

static struct worker *worker_of(int worker)
{
    KWM_ASSERT(worker >= 0 && worker < (int)FILE_WORKERS_MAX);
    return &workers[worker];
}

/* ---- the system ------------------------------------------------------------------------------ */

static ssize_t write_at(int fd, const uint8_t *data, size_t len, uint64_t off)
{
    return pwrite(fd, data, len, (off_t)off);
}

/* Not posix_fallocate(): where the file system cannot, that writes a byte into each block, and it
 * moves the file's end before what is there reads as erased. */
static int reserve(int fd, uint64_t len)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len);
}

const struct file_sys file_sys_linux = {
    .write_at = write_at, .sync = fdatasync, .reserve = reserve};

/* ---- the thread ------------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/** Write all of it. @return errno or 0. */
static int write_all(const struct worker *self, int fd, size_t len, uint64_t off)
{
    size_t done = 0;
    unsigned interrupts = 0;
    while (done < len) {
        const ssize_t got = self->sys->write_at(fd, self->data + done, len - done, off + done);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return EIO;
        } else if (errno != EINTR || ++interrupts > INTERRUPTS_MAX) {
            return errno;
        }
    }
    return 0;
}

static int sync_file(const struct worker *self, int fd)
{
    for (unsigned i = 0; i < INTERRUPTS_MAX; i++) {
        if (self->sys->sync(fd) == 0) {
            return 0;
        }
        if (errno != EINTR) {
            break;
        }
    }
    return errno;
}

/** Make the name durable, too. No harm if it cannot be: the file itself is asked for again. */
static void sync_folder(const char *path)
{
    char folder[FILE_PATH_LEN_MAX + 1U];
    const char *slash = strrchr(path, '/');
    const size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    memcpy(folder, path, len);
    folder[len] = '\0';
    const char *name = slash == NULL ? "." : len == 0 ? "/" : folder;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
    }
    close_fd(&fd);
}

static bool is_ending(const struct worker *self)
{
    lock();
    const bool is = self->state == STATE_ENDING;
    unlock();
    return is;
}

/** Write 0xFF. Of a file that grows, the length tells how far it came, should power end now. */
static int fill(struct worker *self, int fd, uint64_t from, uint64_t end)
{
    int error = 0;
    memset(self->data, 0xFF, sizeof(self->data));
    for (uint64_t off = from; off < end && error == 0;) {
        const uint64_t left = end - off;
        const size_t len = left < sizeof(self->data) ? (size_t)left : sizeof(self->data);
        error = is_ending(self) ? ECANCELED : write_all(self, fd, len, off);
        off += len;
    }
    return error;
}

/** Give the file its length. If there is no room for it, take none. @return errno or 0. */
static int resize(struct worker *self, int fd, uint64_t found_len)
{
    if (found_len >= self->file_len) {
        const bool is_cut =
            found_len == self->file_len || ftruncate(fd, (off_t)self->file_len) == 0;
        return is_cut ? 0 : errno;
    }
    int error = self->sys->reserve(fd, self->file_len) == 0 ? 0 : errno;
    if (error == 0 || error == EOPNOTSUPP || error == ENOSYS || error == EINTR) {
        error = fill(self, fd, found_len, self->file_len);
        error = error == 0 ? sync_file(self, fd) : error;
    }
    if (error != 0) {
        const int ignored = ftruncate(fd, (off_t)found_len);
        (void)ignored;
    } else if (found_len == 0) {
        sync_folder(self->path);
    }
    return error;
}

/** Who holds the lock: the kernel's list has "... FLOCK ADVISORY WRITE <pid> <dev>:<inode> ...".
 *  @return 0 if it does not tell. */
static pid_t find_holder(const struct stat *about)
{
    char line[256];
    char place[64];
    long pid = 0;
    FILE *list = fopen("/proc/locks", "re");
    if (list == NULL) {
        return 0;
    }
    (void)snprintf(place, sizeof(place), " %02x:%02x:%llu ", major(about->st_dev),
                   minor(about->st_dev), (unsigned long long)about->st_ino);
    while (pid == 0 && fgets(line, sizeof(line), list) != NULL) {
        char *end = strstr(line, place);
        if (end != NULL && strstr(line, " FLOCK ") != NULL && strstr(line, "->") == NULL) {
            *end = '\0';
            const char *start = strrchr(line, ' ');
            pid = start != NULL ? strtol(start, NULL, 10) : 0;
        }
    }
    (void)fclose(list);
    return pid > 0 ? (pid_t)pid : 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/** Whether the path (still) leads to the file. */
static bool is_at_path(const struct worker *self, const struct stat *about)
{
    struct stat there;
    return lstat(self->path, &there) == 0 && is_same(&there, about);
}

/** Open the path for writing, or at least for reading. @return the descriptor or -1.
 *  @param[out] error why it cannot be opened or written, or 0. */
static int open_path(const struct worker *self, bool *is_read_only, int *error)
{
    const int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    int fd = open(self->path, O_RDWR | O_CREAT | flags, 0600);
    *error = fd < 0 ? errno : 0;
    *is_read_only = *error == EROFS || *error == EACCES || *error == EPERM;
    if (*is_read_only) {
        fd = open(self->path, O_RDONLY | flags);
    }
    return fd;
}

/**
 * Let a file be the one that is worked on, if what is in it can be: it is what was read before, or
 * nothing was told of the content yet. Else its rows would be mixed with newer ones.
 */
static bool adopt(struct worker *self, int fd, bool is_read_only, bool is_current, bool is_empty)
{
    lock();
    const bool is_fit = is_current || is_empty || (self->fd < 0 && self->may_have_content);
    if (is_fit) {
        self->result.is_other = (!is_current && self->fd >= 0) || is_empty;
        self->old_fd = self->fd;
        self->fd = fd;
        self->is_read_only = is_read_only;
    }
    unlock();
    return is_fit;
}

/** Keep a file that came too late under another name. @return errno or 0. */
static int set_aside(struct worker *self)
{
    char name[FILE_PATH_LEN_MAX + sizeof(FILE_ASIDE_SUFFIX)];
    (void)snprintf(name, sizeof(name), "%s%s", self->path, FILE_ASIDE_SUFFIX);
    if (rename(self->path, name) != 0) {
        return errno;
    }
    self->result.is_set_aside = true;
    return 0;
}

/** Look at what was opened and take it, or not. @return errno, 0 or ESTALE: open anew. */
static int take_file(struct worker *self, int *fd, bool is_read_only)
{
    struct stat about;
    struct stat current;
    if (fstat(*fd, &about) != 0) {
        return errno;
    }
    if (!S_ISREG(about.st_mode)) {
        return EMEDIUMTYPE;
    }
    const bool is_current =
        self->fd >= 0 && fstat(self->fd, &current) == 0 && is_same(&about, &current);
    self->result.found_len = (uint64_t)about.st_size;
    if (is_current && (is_read_only || !self->is_read_only)) {
        self->result.is_other = about.st_size == 0;
        return 0; /* it is open already */
    }
    if (is_current) {
        (void)flock(self->fd, LOCK_UN); /* it is ours, but of the descriptor that cannot write */
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        self->result.holder = error == EWOULDBLOCK ? find_holder(&about) : 0;
        return error;
    }
    if (!is_at_path(self, &about)) {
        return ESTALE;
    }
    if (!adopt(self, *fd, is_read_only, is_current, about.st_size == 0)) {
        const int error = is_read_only ? EROFS : set_aside(self);
        return error == 0 ? ESTALE : error;
    }
    *fd = -1;
    return 0;
}

static int open_file(struct worker *self)
{
    int error = ESTALE;
    int write_error = 0;
    bool is_read_only = false;
    for (unsigned i = 0; i < OPEN_TRIES_MAX && error == ESTALE; i++) {
        int fd = open_path(self, &is_read_only, &write_error);
        error = fd >= 0 ? take_file(self, &fd, is_read_only) : write_error;
        close_fd(&fd);
    }
    if (error != 0 || is_read_only) {
        return error != 0 ? error : write_error;
    }
    return resize(self, self->fd, self->result.found_len);
}

static int do_job(struct worker *self)
{
    close_fd(&self->old_fd);
    switch (self->result.job) {
    case FILE_JOB_OPEN:
        return open_file(self);
    case FILE_JOB_WRITE:
        return self->is_fill ? fill(self, self->fd, self->off, self->off + self->len)
                             : write_all(self, self->fd, self->len, self->off);
    default:
        KWM_ASSERT(self->result.job == FILE_JOB_SYNC);
        return sync_file(self, self->fd);
    }
}

static void *run(void *arg)
{
    struct worker *self = arg;
    lock();
    while (self->state != STATE_ENDING) {
        if (self->state != STATE_RUNNING) {
            const int rc = pthread_cond_wait(&self->changed, &mutex);
            KWM_ASSERT(rc == 0);
            continue;
        }
        unlock();
        const int error = do_job(self);
        lock();
        self->result.error = error;
        self->result.fd = self->fd;
        if (self->state == STATE_RUNNING) {
            self->state = STATE_DONE;
            (void)eventfd_write(self->wake_fd, 1); /* the counter has room for it */
            (void)pthread_cond_broadcast(&self->changed);
        }
    }
    unlock();
    close_fd(&self->old_fd);
    close_fd(&self->fd); /* and with it the lock */
    lock();
    self->state = STATE_FREE;
    (void)pthread_cond_broadcast(&self->changed);
    unlock();
    return NULL;
}

/* ---- the user's side ------------------------------------------------------------------------- */

/** Descriptor and condition stay when the thread ends. */
static bool equip(struct worker *self)
{
    if (self->is_equipped) {
        eventfd_t count;
        (void)eventfd_read(self->wake_fd, &count);
        return true;
    }
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0) {
        return false;
    }
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    KWM_ASSERT(rc == 0);
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    KWM_ASSERT(rc == 0);
    rc = pthread_cond_init(&self->changed, &attr);
    KWM_ASSERT(rc == 0);
    (void)pthread_condattr_destroy(&attr);
    self->is_equipped = true;
    return true;
}

int file_worker_begin(const char *path, uint64_t len, const struct file_sys *sys)
{
    const size_t path_len = strlen(path);
    if (path_len == 0 || path_len > FILE_PATH_LEN_MAX) {
        return KWM_ERR_INVAL;
    }
    int found = KWM_ERR_NOSPC;
    lock();
    for (int i = 0; i < (int)FILE_WORKERS_MAX && found < 0; i++) {
        if (workers[i].state == STATE_FREE) {
            workers[i].state = STATE_IDLE;
            found = i;
        }
    }
    unlock();
    if (found < 0) {
        return found;
    }
    struct worker *self = &workers[found];
    self->fd = -1;
    self->old_fd = -1;
    self->is_read_only = false;
    self->may_have_content = true;
    self->sys = sys;
    self->file_len = len;
    memcpy(self->path, path, path_len + 1U);
    if (!equip(self) || !linux_thread_start(run, self, STACK_LEN)) {
        lock();
        self->state = STATE_FREE;
        unlock();
        return KWM_ERR_IO;
    }
    return found;
}

static void start(struct worker *self, enum file_job job)
{
    lock();
    KWM_ASSERT(self->state == STATE_IDLE);
    self->result = (struct file_result){.job = job, .fd = self->fd};
    self->state = STATE_RUNNING;
    (void)pthread_cond_broadcast(&self->changed);
    unlock();
}

void file_worker_open(int worker)
{
    start(worker_of(worker), FILE_JOB_OPEN);
}

void file_worker_write(int worker, uint64_t off, const uint8_t *data, size_t len)
{
    struct worker *self = worker_of(worker);
    KWM_ASSERT(!file_worker_is_busy(worker));
    KWM_ASSERT(len > 0 && (data == NULL || len <= FILE_PIECE_LEN_MAX));
    if (data != NULL) {
        memcpy(self->data, data, len);
    }
    self->is_fill = data == NULL;
    self->off = off;
    self->len = len;
    start(self, FILE_JOB_WRITE);
}

void file_worker_sync(int worker)
{
    start(worker_of(worker), FILE_JOB_SYNC);
}

bool file_worker_is_busy(int worker)
{
    const struct worker *self = worker_of(worker);
    lock();
    const bool is_busy = self->state != STATE_IDLE;
    unlock();
    return is_busy;
}

bool file_worker_take(int worker, struct file_result *result)
{
    struct worker *self = worker_of(worker);
    eventfd_t count;
    lock();
    const bool is_done = self->state == STATE_DONE;
    if (is_done) {
        (void)eventfd_read(self->wake_fd, &count);
        *result = self->result;
        self->state = STATE_IDLE;
    }
    unlock();
    return is_done;
}

/** Wait, under the mutex, while the state is this one. @return whether it changed in time. */
static bool wait_while(struct worker *self, enum state state, unsigned ms)
{
    struct timespec end;
    int rc = clock_gettime(CLOCK_MONOTONIC, &end);
    KWM_ASSERT(rc == 0);
    end.tv_sec += (time_t)(ms / 1000U);
    end.tv_nsec += (long)(ms % 1000U) * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_nsec -= 1000000000L;
        end.tv_sec++;
    }
    while (self->state == state && rc == 0) {
        rc = pthread_cond_timedwait(&self->changed, &mutex, &end);
    }
    return self->state != state;
}

bool file_worker_wait(int worker, unsigned ms)
{
    struct worker *self = worker_of(worker);
    lock();
    const bool is_over = wait_while(self, STATE_RUNNING, ms);
    unlock();
    return is_over;
}

int file_worker_no_content(int worker)
{
    struct worker *self = worker_of(worker);
    lock();
    self->may_have_content = false;
    const int fd = self->fd;
    unlock();
    return fd;
}

int file_worker_wake_fd(int worker)
{
    return worker_of(worker)->wake_fd;
}

bool file_worker_end(int worker, unsigned ms)
{
    struct worker *self = worker_of(worker);
    lock();
    KWM_ASSERT(self->state != STATE_FREE && self->state != STATE_ENDING);
    self->state = STATE_ENDING;
    (void)pthread_cond_broadcast(&self->changed);
    const bool has_ended = wait_while(self, STATE_ENDING, ms);
    unlock();
    return has_ended;
}
