/* SPDX-License-Identifier: MIT */
/**
 * @file linux/file_worker.h
 * @brief The thread that opens, writes and syncs one file; the blocking half of linux/file_flash.h.
 *
 * A job is put into the worker's own mailbox, data included, so that the thread never touches
 * memory of the one who asked: a disk that hangs keeps a thread and its mailbox, and nothing else.
 *
 * Lock: flock(), exclusive, not waited for. It belongs to the open file, as an OFD lock does;
 * a POSIX lock belongs to the process, so that two users in one process would not exclude each
 * other, and closing any other descriptor of the file would end it. Unlike an OFD lock it can be
 * had on a file that is open for reading only, and its holder's pid can be had: from /proc/locks.
 *
 * Memory:  static, 5 KiB for each of FILE_WORKERS_MAX; untouched until used.
 * Context: one user a worker, in one thread; the workers' threads are the module's own, with all
 *          signals blocked.
 * Bounds:  FILE_WORKERS_MAX at once, those left behind in a system call that hangs included.
 */
#ifndef LINUX_FILE_WORKER_H
#define LINUX_FILE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hal/err.h"

#define FILE_WORKERS_MAX 4U
#define FILE_PATH_LEN_MAX 511U
#define FILE_PIECE_LEN_MAX 4096U

/** What a file that was found too late is renamed to has this at its end. */
#define FILE_ASIDE_SUFFIX ".before"

/** The system calls that a test makes fail. Each sets errno. */
struct file_sys {
    ssize_t (*write_at)(int fd, const uint8_t *data, size_t len, uint64_t off); /**< pwrite() */
    int (*sync)(int fd);                                                        /**< fdatasync() */
    int (*reserve)(int fd, uint64_t len); /**< blocks for so many bytes, the file's length kept */
};

extern const struct file_sys file_sys_linux;

enum file_job { FILE_JOB_NONE, FILE_JOB_OPEN, FILE_JOB_WRITE, FILE_JOB_SYNC };

struct file_result {
    enum file_job job;
    int error; /**< errno; 0: done */
    /* OPEN; fd is set if the file can be read, even if error says that it cannot be written: */
    int fd;             /**< for pread(); the worker's, good until the next job; -1: none */
    uint64_t found_len; /**< bytes that the file had */
    bool is_other;      /**< not the file that was open before (or emptied): all of it reads 0xFF */
    bool is_set_aside;  /**< a file with content came to be at the path too late: renamed */
    pid_t holder;       /**< EWOULDBLOCK: who has it, as far as known; else 0 */
};

/**
 * Get a worker for the file at path (copied).
 * @param len bytes that the file is to have; longer is cut, shorter is filled with 0xFF.
 * @return its number, KWM_ERR_INVAL for a path that is too long, KWM_ERR_NOSPC if all are taken,
 *         KWM_ERR_IO if the system lacks a thread or a descriptor.
 */
KWM_NODISCARD int file_worker_begin(const char *path, uint64_t len, const struct file_sys *sys);

/** Begin to open the file, or to look whether the path still leads to it. */
void file_worker_open(int worker);

/** Begin to write len bytes, 1..FILE_PIECE_LEN_MAX, copied. @param data NULL: 0xFF, any length. */
void file_worker_write(int worker, uint64_t off, const uint8_t *data, size_t len);

void file_worker_sync(int worker);

/** @return whether a job is in the mailbox, be it over; none can be begun until it is taken. */
bool file_worker_is_busy(int worker);

/** Take the result of the job. @return whether it is over. */
bool file_worker_take(int worker, struct file_result *result);

/** Wait until the job is over. @param ms at most. @return whether it is. */
bool file_worker_wait(int worker, unsigned ms);

/** A file that was not found by now is too late: content of it will be set aside.
 *  @return the descriptor if it was found in the meantime, else -1. */
int file_worker_no_content(int worker);

/** @return a descriptor that is readable when a job is over. */
int file_worker_wake_fd(int worker);

/** Close the file, end the thread. @param ms to wait at most; a thread that hangs then ends by
 *  itself, and holds the lock until then. The number is void. @return whether it has ended. */
bool file_worker_end(int worker, unsigned ms);

#endif
