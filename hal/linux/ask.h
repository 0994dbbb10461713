/* SPDX-License-Identifier: MIT */
/**
 * @file linux/ask.h
 * @brief Makes a struct hal_sensor of a list of questions to files and file systems that may never
 *        answer. The workers ask; what hangs is left out, and the rest goes on around it.
 *
 * A question without an answer for LINUX_ASK_STALL_MS is left behind with its worker, and the rest
 * of the list goes to another one. As long as it hangs, its path is not asked for again.
 *
 * Memory:  the caller owns struct linux_ask.
 * Context: main loop only; all functions of struct linux_ask_ops, too.
 * Bounds:  UINT8_MAX questions a round.
 */
#ifndef LINUX_ASK_H
#define LINUX_ASK_H

#include "linux/gather.h"
#include "linux/worker.h"

#define LINUX_ASK_STALL_MS 2000U

struct linux_ask;

struct linux_ask_ops {
    /**
     * Begin a round of questions. A reading has one, and further ones as long as finish() wants.
     * @return their number (0 goes on to finish()), or what linux_sensor_fail() returned.
     */
    int (*prepare)(struct linux_ask *self);
    /** @return the path of a question; valid until the next call. */
    const char *(*path)(struct linux_ask *self, unsigned index, enum linux_question *question);
    /** Take an answer. error is ETIMEDOUT for what hangs, ENAMETOOLONG for a path too long. */
    void (*answer)(struct linux_ask *self, unsigned index, const struct linux_answer *answer,
                   struct hal_sink *sink);
    /** All are there. @return KWM_OK (or what was noted), 1 for another round, or what
     *  linux_sensor_fail() returned. */
    int (*finish)(struct linux_ask *self, struct hal_sink *sink);
};

struct linux_ask {
    struct linux_sensor base; /**< first member */
    const struct linux_ask_ops *ops;
    int err; /**< first thing that went wrong in this reading */
    bool is_prepared;
    unsigned round;    /**< of this reading, from 0 */
    int job;           /**< below 0: none */
    unsigned count;    /**< questions of this round */
    unsigned next;     /**< first that no job has had yet */
    unsigned job_size; /**< questions of the job */
    unsigned taken;    /**< answers taken from the job */
    uint64_t moved_ms; /**< when the last one came */
    uint8_t indexes[LINUX_JOB_ITEMS_MAX];
};

/** Remember that a path did not answer as it should, unless something else was noted before. The
 *  reading goes on, and ends with this error. */
void linux_ask_note(struct linux_ask *self, const char *path, int error);

/** The same for what the answer says. */
__attribute__((format(printf, 3, 4))) void linux_ask_note_text(struct linux_ask *self, int err,
                                                               const char *format, ...);

/** A reading that goes on is given up. */
void linux_ask_init(struct linux_ask *self, const char *name,
                    const struct hal_schema *const *schemas, uint8_t schema_count,
                    const struct linux_ask_ops *ops);

#endif
