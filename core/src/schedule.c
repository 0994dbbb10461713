/* SPDX-License-Identifier: MIT */
#include "kwm/schedule.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"

#define INTERVAL_MS_MAX 86400000U
#define LATE_MS 1000U
/* A tick this near to the one before it (an eighth of the interval) is the same tick, which a wall
 * clock that is being slewed has moved. */
#define NEAR_SHARE 8U

/* Uniform in 0..max: the high half of the product, whose bias is below 2^-32 of a step's share. */
static uint32_t scale(uint32_t random, uint32_t max)
{
    return (uint32_t)((uint64_t)random * ((uint64_t)max + 1U) >> 32);
}

/* The clock that ticks are aligned to, at now, modulo the interval. */
static uint32_t clock_phase(uint64_t now_ms, struct hal_wall wall, uint32_t interval_ms)
{
    if (wall.state != HAL_WALL_SET) {
        return (uint32_t)(now_ms % interval_ms);
    }
    const int64_t phase = wall.unix_ms % (int64_t)interval_ms;
    return (uint32_t)(phase < 0 ? phase + (int64_t)interval_ms : phase);
}

/* Time from now to the next aligned instant: 1..interval_ms. */
static uint32_t wait_ms(const struct kwm_schedule_config *config, uint64_t now_ms,
                        struct hal_wall wall)
{
    const uint32_t interval = config->interval_ms;
    const uint32_t phase = clock_phase(now_ms, wall, interval);
    const uint32_t wait = (config->offset_ms % interval + interval - phase) % interval;
    return wait == 0 ? interval : wait;
}

/* Jitter stays below the interval, so that ticks keep their order. */
static void set_next(struct kwm_schedule *schedule, uint64_t instant_ms, uint32_t random)
{
    const struct kwm_schedule_config *config = &schedule->config;
    const uint32_t max =
        config->jitter_ms < config->interval_ms ? config->jitter_ms : config->interval_ms - 1U;
    schedule->instant_ms = instant_ms;
    schedule->due_ms = instant_ms + scale(random, max);
}

void kwm_schedule_init(struct kwm_schedule *schedule, const struct kwm_schedule_config *config,
                       uint64_t now_ms, struct hal_wall wall, bool is_first_now, uint32_t random)
{
    KWM_ASSERT(schedule != NULL && config != NULL);
    KWM_ASSERT(config->interval_ms >= 1 && config->interval_ms <= INTERVAL_MS_MAX);
    schedule->config = *config;
    if (is_first_now) {
        schedule->instant_ms = now_ms;
        schedule->due_ms = now_ms;
    } else if (config->is_aligned) {
        set_next(schedule, now_ms + wait_ms(config, now_ms, wall), random);
    } else {
        const uint32_t offset = config->offset_ms % config->interval_ms;
        set_next(schedule, now_ms + (offset == 0 ? config->interval_ms : offset), random);
    }
}

void kwm_schedule_realign(struct kwm_schedule *schedule, uint64_t now_ms, struct hal_wall wall,
                          uint32_t random)
{
    KWM_ASSERT(schedule != NULL);
    /* A tick whose instant has come only waits for its jitter, or to be taken: it stays. */
    if (schedule->config.is_aligned && schedule->instant_ms > now_ms) {
        set_next(schedule, now_ms + wait_ms(&schedule->config, now_ms, wall), random);
    }
}

bool kwm_schedule_take(struct kwm_schedule *schedule, uint64_t now_ms, struct hal_wall wall,
                       uint32_t random, struct kwm_tick *tick)
{
    KWM_ASSERT(schedule != NULL && tick != NULL);
    if (now_ms < schedule->due_ms) {
        return false;
    }
    const uint32_t interval = schedule->config.interval_ms;
    const uint64_t jitter = schedule->due_ms - schedule->instant_ms;
    const uint64_t missed = (now_ms - schedule->instant_ms) / interval;
    const uint64_t instant = schedule->instant_ms + missed * interval;
    tick->missed = missed < UINT32_MAX ? (uint32_t)missed : UINT32_MAX;
    tick->instant_ms = now_ms - instant > jitter + LATE_MS ? now_ms : instant;
    uint64_t next = instant + interval;
    if (schedule->config.is_aligned) {
        next = now_ms + wait_ms(&schedule->config, now_ms, wall);
        if (next - instant < interval / NEAR_SHARE) {
            next += interval;
        }
    }
    set_next(schedule, next, random);
    return true;
}

uint32_t kwm_schedule_phase(const char *identity, uint32_t interval_ms)
{
    KWM_ASSERT(identity != NULL && interval_ms > 0);
    /* FNV-1a leaves the high bits of like names alike, and those are the ones used. Constants: the
     * finalizer of MurmurHash3. */
    uint32_t hash = kwm_hash(KWM_HASH_INIT, identity, strlen(identity));
    hash ^= hash >> 16;
    hash *= 0x85ebca6bU;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35U;
    hash ^= hash >> 16;
    return scale(hash, interval_ms - 1U);
}

uint32_t kwm_backoff_ms(uint32_t base_ms, uint32_t cap_ms, unsigned tries, uint32_t random)
{
    const unsigned doublings = tries < 32 ? tries : 32; /* more than any cap */
    const uint64_t limit = (uint64_t)base_ms << doublings;
    return scale(random, limit < cap_ms ? (uint32_t)limit : cap_ms);
}
