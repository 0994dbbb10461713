/* SPDX-License-Identifier: MIT */
/**
 * @file linux/worker.h
 * @brief Threads that ask what may never answer: a dead NFS mount, a stuck bus, a FIFO.
 *
 * A job is a list of questions, each a path and what to do with it. It is copied into the worker's
 * own mailbox, and the answers are taken out of it, so that a thread never touches memory of the
 * one who asked. Who finds that a worker does not get on leaves it behind with linux_job_leave():
 * it is counted, another takes its place, and it joins the others again if it ever comes back.
 *
 * Memory:  static, 25 KiB for each of LINUX_WORKER_SLOTS; untouched until used.
 * Context: main loop only; the threads are the module's own, with all signals blocked.
 * Bounds:  LINUX_WORKERS_MAX at work at once; LINUX_WORKER_SLOTS with those that hang: when all of
 *          them do, nothing more is asked.
 */
#ifndef LINUX_WORKER_H
#define LINUX_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/value.h"
#include "linux/poll_set.h"

#define LINUX_WORKERS_MAX 4U
#define LINUX_WORKER_SLOTS 12U
#define LINUX_JOB_ITEMS_MAX 64U
#define LINUX_JOB_TEXT_LEN_MAX 8192U
#define LINUX_ANSWER_LEN_MAX HAL_TEXT_LEN_MAX

enum linux_question {
    LINUX_ASK_READ,    /**< the first bytes of a file */
    LINUX_ASK_STATVFS, /**< room on a file system */
    LINUX_ASK_GLOB,    /**< the one path that fits a pattern */
};

struct linux_answer {
    int error; /**< errno; E2BIG for GLOB: more than one path fits */
    union {
        struct {
            uint16_t len;
            char text[LINUX_ANSWER_LEN_MAX + 1]; /**< READ, GLOB; NUL-terminated */
        };
        struct {
            uint64_t unit; /**< STATVFS: bytes of a block; then blocks, then inodes */
            uint64_t blocks, blocks_free, blocks_available;
            uint64_t inodes, inodes_free;
        };
    };
};

/** @param poll_set is woken when a job is over; NULL: nothing is woken. */
void linux_workers_init(struct linux_poll_set *poll_set);

/** Get a worker. @return its number, KWM_ERR_STATE while all are at work, KWM_ERR_NOSPC if all
 *  hang, or KWM_ERR_IO if the system lacks a thread or a descriptor. */
KWM_NODISCARD int linux_job_begin(void);

/** Put a question into the mailbox. @return KWM_OK, or KWM_ERR_NOSPC if it is full. */
KWM_NODISCARD int linux_job_add(int job, enum linux_question question, const char *path);

void linux_job_start(int job);

/** @return answers that are there, of all that were asked for. The main loop is woken when the last
 *  one is there, be it already. */
unsigned linux_job_poll(int job);

/** @param index below what linux_job_poll() returned. Valid until the job ends or is left. */
const struct linux_answer *linux_job_answer(int job, unsigned index);

/** Give the worker back, when all answers are there. The job's number is void then. */
void linux_job_end(int job);

/** Leave a worker to itself; after its present question it is free. The job's number is void. */
void linux_job_leave(int job);

/** @return whether a worker that was left is still busy with this path. */
bool linux_workers_hang_on(const char *path);

/** @return workers that were left and did not come back. */
unsigned linux_workers_hung(void);

#endif
