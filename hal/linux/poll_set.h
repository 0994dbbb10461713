/* SPDX-License-Identifier: MIT */
/**
 * @file linux/poll_set.h
 * @brief The descriptors that the main loop waits for.
 *
 * Whoever has nothing to do until a descriptor is ready says so here; board_idle() then waits for
 * all of them at once. A wish is good for one wake-up: once its descriptor was ready it is
 * forgotten, and who still has to wait says so again. So a descriptor that nobody reads at the
 * moment (a kept connection that the server has closed) cannot keep the loop awake.
 *
 * Memory:  the caller owns struct linux_poll_set; zeroed is empty.
 * Context: main loop only.
 * Bounds:  LINUX_POLL_MAX descriptors; linear in their number.
 */
#ifndef LINUX_POLL_SET_H
#define LINUX_POLL_SET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "hal/err.h"

/** 4 outputs with up to 8 connection attempts each or their name lookup, 4 workers, signals. */
#define LINUX_POLL_MAX 40U

#define LINUX_POLL_READ 1U
#define LINUX_POLL_WRITE 2U

struct linux_poll_set {
    struct pollfd fds[LINUX_POLL_MAX];
    size_t count;
    int wake_in_ms; /**< for the next wait only; counts if has_wake */
    bool has_wake;
};

/** Wake the next waits when fd is ready, until it was once. Adds to what was wished for fd before.
 *  @param events LINUX_POLL_READ, LINUX_POLL_WRITE or both. The table is full: asserted, for every
 *  user of it has a bound. */
void linux_poll_set_want(struct linux_poll_set *set, int fd, unsigned events);

/** Wake the next wait (only) after at most ms milliseconds. */
void linux_poll_set_wake_in(struct linux_poll_set *set, int ms);

/** Forget fd; needed before it is closed. Unknown descriptors are fine. */
void linux_poll_set_remove(struct linux_poll_set *set, int fd);

/**
 * Wait until a wish comes true, a signal arrives or the time is over.
 * @param timeout_ms at most; below 0: no limit.
 * @return number of ready descriptors, 0 for time or signal, or KWM_ERR_IO.
 */
KWM_NODISCARD int linux_poll_wait(struct linux_poll_set *set, int timeout_ms);

#endif
