/* SPDX-License-Identifier: MIT */
#include "kwm/epoch.h"

#include "hal/assert.h"

#define TICK_MS ((int64_t)KWM_TICK_MS)

void kwm_epochs_init(struct kwm_epochs *epochs, uint32_t boot_id)
{
    *epochs = (struct kwm_epochs){.boot_id = boot_id};
}

int64_t kwm_epoch_stamp_ms(const struct kwm_epoch *epoch, uint64_t tick)
{
    KWM_ASSERT(epoch->source != KWM_EPOCH_NONE);
    return ((int64_t)tick + epoch->offset_ticks) * TICK_MS + epoch->phase;
}

/** The highest stamp follows the newest tick. */
static void raise_stamp(struct kwm_epochs *epochs, uint64_t tick)
{
    const int64_t stamp_ms = kwm_epoch_stamp_ms(&epochs->current, tick);
    if (stamp_ms > epochs->stamp_highest_ms) {
        epochs->stamp_highest_ms = stamp_ms;
    }
}

void kwm_epochs_given(struct kwm_epochs *epochs, uint64_t tick)
{
    if (tick > epochs->tick_newest) {
        epochs->tick_newest = tick;
    }
    if (epochs->current.source != KWM_EPOCH_NONE) {
        raise_stamp(epochs, tick);
    }
}

struct hal_wall kwm_epochs_wall(const struct kwm_epochs *epochs, uint64_t now_ms)
{
    if (epochs->current.source == KWM_EPOCH_NONE) {
        return (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    }
    return (struct hal_wall){
        .state = HAL_WALL_SET,
        .unix_ms = (int64_t)now_ms + epochs->current.offset_ticks * TICK_MS,
    };
}

/** Nearest multiple of a tick, halves up, also below zero. */
static int64_t round_ticks(int64_t ms)
{
    const int64_t shifted = ms + TICK_MS / 2;
    return shifted >= 0 ? shifted / TICK_MS : -((-shifted + TICK_MS - 1) / TICK_MS);
}

static void choose_phase(struct kwm_epochs *epochs, uint64_t first_tick, struct kwm_epoch *next)
{
    next->phase = epochs->current.phase;
    if (epochs->stamp_highest_ms == 0 ||
        kwm_epoch_stamp_ms(next, first_tick) > epochs->stamp_highest_ms) {
        return;
    }
    epochs->overlaps++;
    next->phase = (uint8_t)((epochs->current.phase + 1U) % KWM_EPOCH_PHASES);
    epochs->is_phase_worn = epochs->is_phase_worn || next->phase == 0;
}

bool kwm_epochs_update(struct kwm_epochs *epochs, uint64_t now_ms, uint64_t oldest_ms,
                       struct hal_wall wall, enum kwm_epoch_source source)
{
    KWM_ASSERT(oldest_ms <= now_ms);
    if (wall.state != HAL_WALL_SET) {
        return false;
    }
    const bool is_first = epochs->current.source == KWM_EPOCH_NONE;
    const int64_t offset_ms = wall.unix_ms - (int64_t)now_ms;
    const int64_t off_by = offset_ms - epochs->current.offset_ticks * TICK_MS;
    if (!is_first && off_by <= KWM_EPOCH_STEP_MS && off_by >= -KWM_EPOCH_STEP_MS) {
        return false;
    }
    struct kwm_epoch next = {
        .boot_id = epochs->boot_id,
        .offset_ticks = round_ticks(offset_ms),
        .source = (uint8_t)source,
    };
    /* The first epoch also dates what was collected since boot. After a step back, a reading that
     * began before it could get the stamp of the one before that. After a step forward it cannot:
     * ticks and offsets both rise. */
    const uint64_t since_ms = off_by < 0 ? oldest_ms : now_ms;
    choose_phase(epochs, is_first ? 0 : since_ms / KWM_TICK_MS, &next);
    epochs->current = next;
    if (is_first) {
        epochs->first = next;
        raise_stamp(epochs, epochs->tick_newest);
    }
    return true;
}
