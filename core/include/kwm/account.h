/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/account.h
 * @brief What can become of a sample, and how many did.
 *
 * Memory:  the caller's structs.   Context: any.   Bounds: constant time.
 */
#ifndef KWM_ACCOUNT_H
#define KWM_ACCOUNT_H

#include <stdint.h>

/** What can become of a sample. */
enum kwm_fate {
    KWM_FATE_STORED,
    KWM_FATE_REFUSED_LINE,    /**< the server's verdict on this line alone (class L) */
    KWM_FATE_REFUSED_SCHEMA,  /**< held, then set aside: others of its measurement are stored (M) */
    KWM_FATE_REFUSED_UNKNOWN, /**< refused, but it may have been stored by an earlier request */
    KWM_FATE_DROPPED_ROOM,    /**< the oldest made room */
    KWM_FATE_DROPPED_NO_ROOM, /**< a new one found no room, or no series slot */
    KWM_FATE_DROPPED_TOO_LONG, /**< its line is over the buffer, or the dialect cannot carry it */
    KWM_FATE_DROPPED_NO_TIME,  /**< its time is not between 2001 and 2286 */
    KWM_FATE_DROPPED_CORRUPT,  /**< it could not be read back */
    KWM_FATE_UNKNOWN,          /**< it made room while it was in doubt */
    KWM_FATE_COUNT,
};

struct kwm_totals {
    uint64_t collected;
    uint64_t waiting;
    uint64_t fates[KWM_FATE_COUNT];
    uint64_t requests; /**< batches sent, also in part and again */
    uint64_t requests_failed;
};

/** Sums over fates. */
uint64_t kwm_totals_refused(const struct kwm_totals *totals);
uint64_t kwm_totals_dropped(const struct kwm_totals *totals);

/** @return a word for a fate ("stored", "refused_line", ...). */
const char *kwm_fate_name(enum kwm_fate fate);

#endif
