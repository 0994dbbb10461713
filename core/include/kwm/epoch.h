/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/epoch.h
 * @brief Turns boot time into unix time, once and for good for each record.
 *
 * A record carries (boot id, tick): 10 ms since boot. An epoch says what to add. It never changes
 * for the records under it; a correction of more than KWM_EPOCH_STEP_MS makes a new epoch for later
 * records, so that a retry always has the same 13 digits. The phase keeps stamps of one series
 * apart where epochs overlap (KWDB replaces a row of equal primary tags and stamp without a word).
 *
 * Memory:  caller's struct.   Context: main loop.   Bounds: constant time.
 */
#ifndef KWM_EPOCH_H
#define KWM_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/clock.h"

#define KWM_TICK_MS 10U
#define KWM_EPOCH_STEP_MS 500
#define KWM_EPOCH_PHASES 10U

enum kwm_epoch_source {
    KWM_EPOCH_NONE = 0,
    KWM_EPOCH_SYSTEM = 1, /**< system clock or RTC */
    KWM_EPOCH_SNTP = 2,
    KWM_EPOCH_DATE = 3, /**< Date header of a verified reply */
};

struct kwm_epoch {
    uint32_t boot_id;
    int64_t offset_ticks; /**< unix ticks minus boot ticks */
    uint8_t phase;        /**< 0..9 ms */
    uint8_t source;       /**< enum kwm_epoch_source; NONE: there is no epoch */
};

struct kwm_epochs {
    struct kwm_epoch current; /**< for records from now on */
    struct kwm_epoch first;   /**< first of this boot: for its records from before it */
    int64_t stamp_highest_ms; /**< ever given; 0: none */
    uint64_t tick_newest;     /**< of the samples so far */
    uint32_t boot_id;
    uint32_t overlaps;  /**< epochs that had to change phase */
    bool is_phase_worn; /**< the tenth overlap came: phases began anew */
};

void kwm_epochs_init(struct kwm_epochs *epochs, uint32_t boot_id);

/**
 * Take notice of the wall clock. Call it often.
 * @param oldest_ms boot time of the oldest sample that may still be given under a new epoch:
 *                  readings that go on, rows that are not closed. At most now_ms.
 * @return true when a new epoch begins: the caller puts epochs->current into the log before any
 *         record that is to use it.
 */
bool kwm_epochs_update(struct kwm_epochs *epochs, uint64_t now_ms, uint64_t oldest_ms,
                       struct hal_wall wall, enum kwm_epoch_source source);

/** @return unix milliseconds of a tick under an epoch. */
int64_t kwm_epoch_stamp_ms(const struct kwm_epoch *epoch, uint64_t tick);

/** Remember that a sample got this tick, and with it a stamp, now or once there is an epoch. */
void kwm_epochs_given(struct kwm_epochs *epochs, uint64_t tick);

/** @return the wall clock by the current epoch (SET), or unknown: the clock that ticks are
 *  aligned to. */
struct hal_wall kwm_epochs_wall(const struct kwm_epochs *epochs, uint64_t now_ms);

#endif
