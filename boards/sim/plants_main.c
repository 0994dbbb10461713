/* SPDX-License-Identifier: MIT */
/*
 * The simulator with planted bugs: each shows that an invariant can fail. Functions of the core are
 * wrapped at link time (see cmake/program.cmake); without a chosen plant they are as they were. The
 * program that is believed when it finds nothing is kwmote_sim, which has none of this.
 */
#include <stddef.h>
#include <string.h>

#include "kwm/delivery.h"
#include "kwm/epoch.h"
#include "kwm/reader.h"
#include "kwm/schedule.h"
#include "kwm/series.h"
#include "kwm/uplink.h"
#include "sim_cli.h"
#include "sim_world.h"

enum plant {
    NOTHING,
    BELIEVES_200,
    FORGETS_DOUBT,
    FORGETS_DROPS,
    FORGETS_LOST,
    BLAMES_LINES,
    CHANGES_VALUE,
    WRONG_CLOCK,
    NEWEST_EPOCH,
    LATE_RETRY,
    NO_PHASE,
    SAME_TICK,
    LATER_FIRST,
    NO_BACKOFF,
    NO_PROBE,
    ALWAYS_HALVES,
    NO_TIMEOUT,
    NEVER_SLEEPS,
    BAD_CHECKSUM,
};

static const struct sim_plant plants[] = {
    {"believes-200", "stored", "HTTP 200 is taken for stored, whatever the body says", 1},
    {"forgets-doubt", "stored", "a row whose reply was lost counts as never sent", 6},
    {"forgets-drops", "accounts", "what makes room is not counted", 1},
    {"forgets-lost", "accounts", "a sample that finds no room is not counted", 1},
    {"blames-lines", "accounts", "every refusal is the line's own fault", 1},
    {"changes-value", "value", "one value in some thousands is another one", 1},
    {"wrong-clock", "time", "all times are three seconds ahead", 1},
    {"newest-epoch", "time", "old samples get the time of the newest clock", 7},
    {"late-retry", "retry", "after a failure, stamps are 10 ms later", 2},
    {"no-phase", "once", "stamps do not differ after a step back of the clock", 12},
    {"same-tick", "once", "two samples of a series may have one tick", 1},
    {"later-first", "order", "the second half of a batch goes first", 1},
    {"no-backoff", "backoff", "a failure is tried again at once", 1},
    {"no-probe", "recovery", "a paused measurement is forgotten", 1},
    {"always-halves", "requests", "pieces that say which line it was are not believed", 1},
    {"no-timeout", "deadline", "an attempt may take a day", 1},
    {"never-sleeps", "panic", "the agent always wants to go on at once", 1},
    {"bad-checksum", "corrupt", "a record in some thousands has a wrong checksum", 8},
    {NULL, NULL, NULL, 0},
};

static enum plant chosen;
static uint32_t calls;
static const struct kwm_delivery *delivery; /* as it was stepped last */
static struct kwm_epoch newest;

static void choose(const struct sim_plant *plant)
{
    chosen = (enum plant)(plant - plants + 1);
}

/** One call in so many. */
static bool is_turn(uint32_t of)
{
    return ++calls % of == 0;
}

/* Each wrapped function: as it is declared in its header. */

enum kwm_reply_verdict __real_kwm_reply_verdict(const struct kwm_reply *reply);
enum kwm_reply_verdict __wrap_kwm_reply_verdict(const struct kwm_reply *reply);
enum kwm_reply_verdict __wrap_kwm_reply_verdict(const struct kwm_reply *reply)
{
    const enum kwm_reply_verdict verdict = __real_kwm_reply_verdict(reply);
    if (chosen == BELIEVES_200 && reply->status == 200) {
        return KWM_REPLY_STORED;
    }
    return chosen == ALWAYS_HALVES && verdict == KWM_REPLY_PIECES && reply->line_count > 1
               ? KWM_REPLY_UNCLEAR
               : verdict;
}

void __real_delivery_doubt(struct kwm_delivery *d, struct kwm_range range);
void __wrap_delivery_doubt(struct kwm_delivery *d, struct kwm_range range);
void __wrap_delivery_doubt(struct kwm_delivery *d, struct kwm_range range)
{
    if (chosen != FORGETS_DOUBT) {
        __real_delivery_doubt(d, range);
    }
}

void __real_kwm_delivery_dropped(struct kwm_delivery *d, uint64_t seq, unsigned measurement);
void __wrap_kwm_delivery_dropped(struct kwm_delivery *d, uint64_t seq, unsigned measurement);
void __wrap_kwm_delivery_dropped(struct kwm_delivery *d, uint64_t seq, unsigned measurement)
{
    if (chosen != FORGETS_DROPS) {
        __real_kwm_delivery_dropped(d, seq, measurement);
    }
}

void __real_kwm_delivery_lost(struct kwm_delivery *d, unsigned measurement, enum kwm_fate fate);
void __wrap_kwm_delivery_lost(struct kwm_delivery *d, unsigned measurement, enum kwm_fate fate);
void __wrap_kwm_delivery_lost(struct kwm_delivery *d, unsigned measurement, enum kwm_fate fate)
{
    if (chosen != FORGETS_LOST) {
        __real_kwm_delivery_lost(d, measurement, fate);
    }
}

void __real_delivery_piece(void *ctx, const struct kwm_piece_info *info);
void __wrap_delivery_piece(void *ctx, const struct kwm_piece_info *info);
void __wrap_delivery_piece(void *ctx, const struct kwm_piece_info *info)
{
    struct kwm_piece_info said = *info;
    if (chosen == BLAMES_LINES && said.piece != KWM_PIECE_STORED) {
        said.piece = KWM_PIECE_LINE;
    }
    __real_delivery_piece(ctx, &said);
}

int __real_kwm_sample_values(const struct kwm_spool *spool, const struct kwm_sample *sample,
                             struct hal_value *values);
int __wrap_kwm_sample_values(const struct kwm_spool *spool, const struct kwm_sample *sample,
                             struct hal_value *values);
int __wrap_kwm_sample_values(const struct kwm_spool *spool, const struct kwm_sample *sample,
                             struct hal_value *values)
{
    const int err = __real_kwm_sample_values(spool, sample, values);
    if (chosen == CHANGES_VALUE && sample->seq % 4096U == 4095U) {
        values[1].i ^= 1;
    }
    return err;
}

bool __real_kwm_epochs_update(struct kwm_epochs *epochs, uint64_t now_ms, uint64_t oldest_ms,
                              struct hal_wall wall, enum kwm_epoch_source source);
bool __wrap_kwm_epochs_update(struct kwm_epochs *epochs, uint64_t now_ms, uint64_t oldest_ms,
                              struct hal_wall wall, enum kwm_epoch_source source);
bool __wrap_kwm_epochs_update(struct kwm_epochs *epochs, uint64_t now_ms, uint64_t oldest_ms,
                              struct hal_wall wall, enum kwm_epoch_source source)
{
    wall.unix_ms += chosen == WRONG_CLOCK ? 3000 : 0;
    const bool is_new = __real_kwm_epochs_update(epochs, now_ms, oldest_ms, wall, source);
    newest = epochs->current;
    return is_new;
}

int64_t __real_kwm_epoch_stamp_ms(const struct kwm_epoch *epoch, uint64_t tick);
int64_t __wrap_kwm_epoch_stamp_ms(const struct kwm_epoch *epoch, uint64_t tick);
int64_t __wrap_kwm_epoch_stamp_ms(const struct kwm_epoch *epoch, uint64_t tick)
{
    const bool is_late = chosen == LATE_RETRY && delivery != NULL && delivery->failures > 0;
    const int64_t stamp_ms =
        __real_kwm_epoch_stamp_ms(chosen == NEWEST_EPOCH ? &newest : epoch, tick);
    return stamp_ms - (chosen == NO_PHASE ? epoch->phase : 0) + (is_late ? 10 : 0);
}

void __real_kwm_series_give_tick(struct kwm_series_table *table, unsigned slot, uint64_t tick);
void __wrap_kwm_series_give_tick(struct kwm_series_table *table, unsigned slot, uint64_t tick);
void __wrap_kwm_series_give_tick(struct kwm_series_table *table, unsigned slot, uint64_t tick)
{
    if (chosen != SAME_TICK) {
        __real_kwm_series_give_tick(table, slot, tick);
    }
}

void __real_delivery_queue(struct kwm_delivery *d);
void __wrap_delivery_queue(struct kwm_delivery *d);
void __wrap_delivery_queue(struct kwm_delivery *d)
{
    if (chosen == LATER_FIRST && d->line_count > 1) {
        d->line_cap_now = (uint16_t)((d->line_count + 1U) / 2U);
    }
    __real_delivery_queue(d);
    if (chosen == LATER_FIRST && d->range_count == 2) {
        const struct kwm_range first = d->ranges[1];
        d->ranges[1] = d->ranges[0];
        d->ranges[0] = first;
    }
}

uint32_t __real_kwm_backoff_ms(uint32_t base_ms, uint32_t cap_ms, unsigned tries, uint32_t random);
uint32_t __wrap_kwm_backoff_ms(uint32_t base_ms, uint32_t cap_ms, unsigned tries, uint32_t random);
uint32_t __wrap_kwm_backoff_ms(uint32_t base_ms, uint32_t cap_ms, unsigned tries, uint32_t random)
{
    return chosen == NO_BACKOFF ? 0 : __real_kwm_backoff_ms(base_ms, cap_ms, tries, random);
}

int __real_kwm_uplink_init(struct kwm_uplink *uplink, const struct kwm_uplink_config *config);
int __wrap_kwm_uplink_init(struct kwm_uplink *uplink, const struct kwm_uplink_config *config);
int __wrap_kwm_uplink_init(struct kwm_uplink *uplink, const struct kwm_uplink_config *config)
{
    struct kwm_uplink_config changed = *config;
    changed.timeout_ms = chosen == NO_TIMEOUT ? 86400000U : config->timeout_ms;
    return __real_kwm_uplink_init(uplink, &changed);
}

uint64_t __real_kwm_delivery_step(struct kwm_delivery *d, uint64_t now_ms);
uint64_t __wrap_kwm_delivery_step(struct kwm_delivery *d, uint64_t now_ms);
uint64_t __wrap_kwm_delivery_step(struct kwm_delivery *d, uint64_t now_ms)
{
    delivery = d;
    for (unsigned i = 0; chosen == NO_PROBE && i < SIM_MEASUREMENTS_MAX; i++) {
        d->config.streams[i].probe_ms = now_ms + 3600000U;
    }
    const uint64_t wake_ms = __real_kwm_delivery_step(d, now_ms);
    return chosen == NEVER_SLEEPS ? now_ms : wake_ms;
}

uint32_t __real_kwm_crc32c(uint32_t seed, const uint8_t *data, size_t len);
uint32_t __wrap_kwm_crc32c(uint32_t seed, const uint8_t *data, size_t len);
uint32_t __wrap_kwm_crc32c(uint32_t seed, const uint8_t *data, size_t len)
{
    const uint32_t crc = __real_kwm_crc32c(seed, data, len);
    return chosen == BAD_CHECKSUM && is_turn(5000) ? crc ^ 1U : crc;
}

int main(int argc, char **argv)
{
    static const struct sim_plants all = {.list = plants, .choose = choose};
    return sim_cli(argc, argv, &all);
}
