/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/schedule.h
 * @brief When the next tick of something periodic is due: aligned, jittered, without bursts.
 *
 * Memory:  caller's struct.   Context: any.   Bounds: constant time.
 */
#ifndef KWM_SCHEDULE_H
#define KWM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/clock.h"

/** There is nothing to do at any time. */
#define KWM_TIME_NEVER UINT64_MAX

struct kwm_schedule_config {
    uint32_t interval_ms; /**< 1..86400000 */
    uint32_t offset_ms;   /**< added to each instant (collection_offset, or the device's phase) */
    /** Each tick starts 0..jitter_ms later, at random; its instant stays. What reaches the interval
     *  counts as just below it. */
    uint32_t jitter_ms;
    bool is_aligned; /**< round_interval: ticks at multiples of the interval of the wall clock */
};

struct kwm_schedule {
    struct kwm_schedule_config config;
    uint64_t instant_ms; /**< the scheduled instant of the next tick, boot clock */
    uint64_t due_ms;     /**< when it may start: instant plus jitter */
};

/** A tick that has come. */
struct kwm_tick {
    /** What its samples are stamped with: the scheduled instant (the last one, if several have
     *  passed), or now if it began over a second late. */
    uint64_t instant_ms;
    uint32_t missed; /**< ticks left out because the next one had come before they began */
};

/** Set the first tick: the next aligned instant after now (is_first_now: now itself). What is not
 *  aligned counts from now. wall may be unknown (a floor is no time either): then ticks are aligned
 *  to the boot clock until kwm_schedule_realign(). */
void kwm_schedule_init(struct kwm_schedule *schedule, const struct kwm_schedule_config *config,
                       uint64_t now_ms, struct hal_wall wall, bool is_first_now, uint32_t random);

/** The wall clock was set or stepped: align anew, never before now. A tick whose instant has come
 *  already stays. */
void kwm_schedule_realign(struct kwm_schedule *schedule, uint64_t now_ms, struct hal_wall wall,
                          uint32_t random);

/** @return whether a tick is due; if so it is taken, and the next one set: after now, never a
 *  burst. An aligned instant nearer than an eighth of the interval is left out: it is this one,
 *  which a wall clock that is being slewed has moved. */
bool kwm_schedule_take(struct kwm_schedule *schedule, uint64_t now_ms, struct hal_wall wall,
                       uint32_t random, struct kwm_tick *tick);

/** Phase of this device: a hash of its identity (FNV-1a, mixed), 0..interval_ms-1. */
uint32_t kwm_schedule_phase(const char *identity, uint32_t interval_ms);

/** Full jitter: uniform in 0..min(cap_ms, base_ms * 2^tries) (tries from 0). */
uint32_t kwm_backoff_ms(uint32_t base_ms, uint32_t cap_ms, unsigned tries, uint32_t random);

#endif
