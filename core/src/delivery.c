/* SPDX-License-Identifier: MIT */
#include "kwm/delivery.h"

#include <string.h>

#include "delivery_internal.h"
#include "hal/assert.h"
#include "kwm/bytes.h"

#define BACKOFF_BASE_MS 1000U
#define BACKOFF_CAP_MS 300000U
#define BACKOFF_MIN_MS 200U
#define BLOCKED_BASE_MS 60000U
#define BLOCKED_CAP_MS 3600000U
#define CUTS_MAX 3U
#define NOTE_POLL_MS 1U
#define TIME_TARGET "/health"

void delivery_event(const struct kwm_delivery *d, const struct kwm_event *event)
{
    struct kwm_event told = *event;
    told.name = told.name != NULL ? told.name : "";
    told.text = told.text != NULL ? told.text : "";
    told.line = told.line != NULL ? told.line : "";
    d->config.events.put(d->config.events.ctx, &told);
}

const char *delivery_stream_name(const struct kwm_delivery *d, unsigned stream)
{
    const struct kwm_series_table *table = d->config.spool->config.series;
    return stream < table->measurement_count ? table->measurements[stream].name : "";
}

static struct hal_wall wall_now(const struct kwm_delivery *d, uint64_t now_ms)
{
    return kwm_epochs_wall(&d->config.spool->epochs, now_ms);
}

static uint32_t random_bits(const struct kwm_delivery *d)
{
    return d->config.random(d->config.ctx);
}

int kwm_delivery_init(struct kwm_delivery *d, const struct kwm_delivery_config *config,
                      uint64_t now_ms)
{
    KWM_ASSERT(config->spool != NULL && config->uplink != NULL && config->reader != NULL);
    KWM_ASSERT(config->lines != NULL && config->streams != NULL && config->line != NULL);
    KWM_ASSERT(config->reasons != NULL && config->reason_cap > 0);
    if (config->line_count_max < 1 || config->line_count_max > config->line_slots ||
        config->line_slots < 2 || config->line_slots > KWM_BATCH_LINES_MAX ||
        config->line_cap < 64 || config->line_cap > KWM_LINE_LEN_MAX) {
        return KWM_ERR_INVAL;
    }
    memset(d, 0, sizeof(*d));
    d->config = *config;
    d->now_ms = now_ms;
    d->line_cap_now = config->line_count_max;
    d->cursor = config->spool->seq_next;
    memset(config->streams, 0,
           sizeof(config->streams[0]) * config->spool->config.series->measurement_cap);
    kwm_schedule_init(&d->flush, &config->flush, now_ms, wall_now(d, now_ms), false,
                      random_bits(d));
    memset(config->reasons, 0, sizeof(config->reasons[0]) * config->reason_cap);
    config->reader->spool = config->spool;
    config->reader->sector_seq = 0;
    return KWM_OK;
}

void kwm_delivery_reconfigure(struct kwm_delivery *d, const struct kwm_delivery_config *config,
                              uint64_t now_ms)
{
    KWM_ASSERT(d->kind == KWM_BATCH_NONE && config->spool == d->config.spool);
    KWM_ASSERT(config->line_count_max >= 1 && config->line_count_max <= config->line_slots);
    d->config = *config;
    d->line_cap_now = config->line_count_max;
    d->backoff_ms = now_ms;
    d->failures = 0;
    d->told_failure = 0;
    kwm_schedule_init(&d->flush, &config->flush, now_ms, wall_now(d, now_ms), false,
                      random_bits(d));
}

/** One sample less that waits, one more that has met its fate. */
void delivery_count(struct kwm_delivery *d, unsigned stream, enum kwm_fate fate)
{
    if (d->totals.waiting == 0 && d->is_restored) {
        d->unnumbered++;
        d->totals.collected++; /* the account that was found knew less than the log holds */
        d->totals.waiting++;
    }
    KWM_ASSERT(d->totals.waiting > 0);
    d->totals.waiting--;
    d->totals.fates[fate]++;
    if (stream != KWM_SERIES_NONE) {
        d->config.streams[stream].counts[fate]++;
    }
    if (fate >= KWM_FATE_DROPPED_ROOM && (d->told_drops & (1U << fate)) == 0) {
        d->told_drops |= 1U << fate;
        delivery_event(d, &(struct kwm_event){.code = KWM_EVENT_DROPPED,
                                              .reason = (uint8_t)fate,
                                              .name = delivery_stream_name(d, stream)});
    }
}

void kwm_delivery_collected(struct kwm_delivery *d, unsigned measurement)
{
    KWM_ASSERT(measurement < d->config.spool->config.series->measurement_count);
    d->totals.collected++;
    d->totals.waiting++;
}

void kwm_delivery_lost(struct kwm_delivery *d, unsigned measurement, enum kwm_fate fate)
{
    d->unnumbered++;
    d->totals.collected++;
    d->totals.waiting++;
    delivery_count(d, measurement, fate);
}

void kwm_delivery_dropped(struct kwm_delivery *d, uint64_t seq, unsigned measurement)
{
    if (measurement == KWM_SERIES_NONE) {
        if (seq >= d->cursor) {
            delivery_count(d, measurement,
                           seq < d->mark ? KWM_FATE_UNKNOWN : KWM_FATE_DROPPED_CORRUPT);
            d->cursor = seq + 1U;
        }
        return;
    }
    struct kwm_stream *stream = &d->config.streams[measurement];
    const bool is_behind = stream->state != KWM_STREAM_NORMAL;
    const uint64_t pos = is_behind ? stream->pos : d->cursor;
    const uint64_t mark = is_behind ? stream->mark : d->mark;
    if (seq >= pos) {
        delivery_count(d, measurement, delivery_drop_fate(d, seq, mark));
    }
    if (is_behind && seq >= pos) {
        stream->pos = seq + 1U;
    }
    if (seq >= d->cursor) {
        d->cursor = seq + 1U;
    }
}

void kwm_delivery_flush(struct kwm_delivery *d)
{
    d->goal = d->config.spool->seq_next;
}

void kwm_delivery_hurry(struct kwm_delivery *d)
{
    d->is_urgent = true;
    kwm_delivery_flush(d);
}

void kwm_delivery_realign(struct kwm_delivery *d, uint64_t now_ms)
{
    if (d->was_ever_stored) {
        kwm_schedule_realign(&d->flush, now_ms, wall_now(d, now_ms), random_bits(d));
    }
}

bool kwm_delivery_is_settled(const struct kwm_delivery *d)
{
    if (d->kind != KWM_BATCH_NONE || d->cursor < d->config.spool->seq_next) {
        return false;
    }
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state == KWM_STREAM_DRAINING ||
            (stream->state == KWM_STREAM_PAUSED && stream->piece == KWM_PIECE_TRANSIENT)) {
            return false;
        }
    }
    return true;
}

static void end_batch(struct kwm_delivery *d)
{
    kwm_spool_pin(d->config.spool, KWM_SEQ_NONE);
    d->last_kind = d->kind;
    d->kind = KWM_BATCH_NONE;
    d->line_count = 0;
    d->is_selected = false;
    d->is_noted = false;
    d->note_until_ms = 0;
    d->range_count = 0;
    d->cuts = 0;
}

void kwm_delivery_abort(struct kwm_delivery *d)
{
    if (d->is_sent) {
        delivery_doubt(d, d->range);
        kwm_uplink_abort(d->config.uplink);
        d->is_sent = false;
    }
    delivery_let_go(d);
    end_batch(d);
}

/** Earliest probe of a paused measurement. */
static uint64_t next_probe(const struct kwm_delivery *d)
{
    uint64_t next = KWM_TIME_NEVER;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state == KWM_STREAM_PAUSED && stream->probe_ms < next) {
            next = stream->probe_ms;
        }
    }
    return next;
}

/** A measurement that has caught up goes with the cursor again. One that is ahead of it (the cursor
 *  was moved to where it is by samples that made room, and then a probe was stored) waits for it.
 *  */
static void rejoin(struct kwm_delivery *d)
{
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state == KWM_STREAM_DRAINING && stream->pos == d->cursor) {
            d->mark = d->mark > stream->mark ? d->mark : stream->mark;
            stream->state = KWM_STREAM_NORMAL;
        }
    }
}

/** Samples of no known measurement have met their fate. */
static void count_many(struct kwm_delivery *d, enum kwm_fate fate, uint64_t count)
{
    if (count > 0) {
        d->totals.fates[fate] += count - 1U;
        d->totals.waiting -= count - 1U;
        delivery_count(d, KWM_SERIES_NONE, fate);
    }
}

/** Once all are at the end of the log, what still waits is what could not be read back. */
static void count_unreadable(struct kwm_delivery *d)
{
    bool is_any_behind = d->cursor < d->config.spool->seq_next;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        is_any_behind = is_any_behind || d->config.streams[i].state != KWM_STREAM_NORMAL;
    }
    if (is_any_behind) {
        return;
    }
    const uint64_t lost = d->totals.waiting;
    const uint64_t doubtful = d->doubtful_gap < lost ? d->doubtful_gap : lost;
    d->doubtful_gap = 0;
    count_many(d, KWM_FATE_UNKNOWN, doubtful);
    count_many(d, KWM_FATE_DROPPED_CORRUPT, lost - doubtful);
}

/** Where the measurement that is furthest behind is draining from. */
static uint64_t lowest_drain(const struct kwm_delivery *d)
{
    uint64_t lowest = KWM_SEQ_NONE;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state == KWM_STREAM_DRAINING && stream->pos < d->cursor &&
            stream->pos < lowest) {
            lowest = stream->pos;
        }
    }
    return lowest;
}

static uint64_t lowest_due_probe(const struct kwm_delivery *d, uint64_t now_ms)
{
    uint64_t lowest = KWM_SEQ_NONE;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state == KWM_STREAM_PAUSED && stream->probe_ms <= now_ms &&
            stream->pos < lowest) {
            lowest = stream->pos;
        }
    }
    return lowest;
}

static void begin_batch(struct kwm_delivery *d, enum kwm_batch_kind kind, uint64_t base,
                        uint64_t now_ms)
{
    d->kind = kind;
    d->begun_ms = now_ms;
    d->base = base;
    d->is_selected = false;
    d->is_select_begun = false;
    d->line_count = 0;
    d->range_count = 0;
    d->range = (struct kwm_range){0};
    d->cuts = 0;
}

/** A flush is due by the clock, or because a batch is full. */
static void look_at_flush(struct kwm_delivery *d, uint64_t now_ms)
{
    struct kwm_tick tick;
    const uint64_t seq_next = d->config.spool->seq_next;
    if (kwm_schedule_take(&d->flush, now_ms, wall_now(d, now_ms), random_bits(d), &tick) ||
        seq_next - d->cursor >= d->line_cap_now) {
        d->goal = seq_next;
    }
}

static bool has_time(const struct kwm_delivery *d)
{
    return d->config.spool->epochs.first.source != KWM_EPOCH_NONE;
}

/** Whether there is something for the cursor to do: to send, or to ask for the time first. */
static bool is_main_wanted(const struct kwm_delivery *d)
{
    return d->cursor < d->goal;
}

/** Those who are behind must not keep the others waiting until they have caught up, nor the other
 *  way round: they take turns. @return whether there is something to do now. */
static bool choose(struct kwm_delivery *d, uint64_t now_ms)
{
    look_at_flush(d, now_ms);
    rejoin(d);
    count_unreadable(d);
    if (!d->is_urgent && now_ms < d->rest_ms) {
        return false;
    }
    const uint64_t drain = lowest_drain(d);
    const bool is_main_wanted_now = is_main_wanted(d);
    if (is_main_wanted_now && !has_time(d)) {
        begin_batch(d, KWM_BATCH_TIME, d->cursor, now_ms);
    } else if (is_main_wanted_now && d->last_kind != KWM_BATCH_MAIN) {
        begin_batch(d, KWM_BATCH_MAIN, d->cursor, now_ms);
    } else if (next_probe(d) <= now_ms) {
        begin_batch(d, KWM_BATCH_PROBE, lowest_due_probe(d, now_ms), now_ms);
    } else if (drain != KWM_SEQ_NONE) {
        begin_batch(d, KWM_BATCH_DRAIN, drain, now_ms);
    } else if (is_main_wanted_now) {
        begin_batch(d, KWM_BATCH_MAIN, d->cursor, now_ms);
    }
    return d->kind != KWM_BATCH_NONE;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/** When there is something to do again: a flush, or catch-up once the rest is over. */
static uint64_t idle_until(const struct kwm_delivery *d)
{
    const uint64_t rest_ms = d->is_urgent ? 0 : d->rest_ms;
    const bool has_catch_up = lowest_drain(d) != KWM_SEQ_NONE || is_main_wanted(d);
    const uint64_t catch_up_ms = has_catch_up ? rest_ms : later(next_probe(d), rest_ms);
    return earlier(d->flush.due_ms, catch_up_ms);
}

/** The uplink asks an unknown server for the time before it sends a credential, and tells the
 *  board; so any request will do. */
static void ask_time(struct kwm_delivery *d, uint64_t now_ms)
{
    const struct kwm_request request = {.method = "GET", .target = TIME_TARGET};
    const int err = kwm_uplink_submit(d->config.uplink, &request, now_ms);
    KWM_ASSERT(err == KWM_OK);
    d->is_sent = true;
}

/** Send the next range. @return whether a request is on its way. */
static bool send_next(struct kwm_delivery *d, uint64_t now_ms)
{
    while (d->range_count > 0) {
        d->range = d->ranges[d->range_count - 1U];
        uint16_t count = 0;
        const uint32_t len = delivery_measure(d, d->range, &count);
        if (count == 0) {
            d->range_count--;
            continue;
        }
        const struct kwm_request request = {
            .method = "POST",
            .content_len = len,
            .body = {.rewind = delivery_body_rewind, .read = delivery_body_read, .ctx = d},
            .line_count = count,
            .pieces = {.put = delivery_piece, .ctx = d},
        };
        delivery_reject(d);
        kwm_spool_pin(d->config.spool, delivery_seq(d, &d->config.lines[d->range.begin]));
        const int err = kwm_uplink_submit(d->config.uplink, &request, now_ms);
        KWM_ASSERT(err == KWM_OK);
        d->totals.requests++;
        d->is_sent = true;
        return true;
    }
    return false;
}

/** Halve the range on its way, at the largest power of two below its number of lines. */
static void halve(struct kwm_delivery *d)
{
    const struct kwm_range range = d->range;
    const unsigned count = (unsigned)range.end - range.begin;
    unsigned half = 1;
    while (half * 2U < count) {
        half *= 2U;
    }
    KWM_ASSERT(count > 1 && d->range_count < KWM_DELIVERY_RANGES_MAX);
    const uint16_t middle = (uint16_t)(range.begin + half);
    d->ranges[d->range_count - 1U] = (struct kwm_range){middle, range.end};
    d->ranges[d->range_count++] = (struct kwm_range){range.begin, middle};
}

static bool is_single(const struct kwm_delivery *d)
{
    return d->range.end - d->range.begin == 1;
}

/** The reply, or the batch itself, is too large for somebody. */
static void too_large(struct kwm_delivery *d)
{
    const unsigned count = (unsigned)d->range.end - d->range.begin;
    if (is_single(d)) {
        d->config.lines[d->range.begin].piece = KWM_PIECE_UNKNOWN;
        d->config.lines[d->range.begin].hash = 0; /* it is no text that says so */
        d->range_count--;
        return;
    }
    d->line_cap_now = (uint16_t)((count + 1U) / 2U);
    halve(d);
}

/** Tell a failure unless it is the one that was told last; numbers (times, above all) aside. */
static void tell_failure(struct kwm_delivery *d, struct kwm_event *event)
{
    uint32_t hash = kwm_hash(KWM_HASH_INIT, &event->code, sizeof(event->code));
    hash = kwm_hash(hash, &event->err, sizeof(event->err));
    hash = kwm_hash(hash, &event->status, sizeof(event->status));
    for (const char *c = event->text; *c != '\0'; c++) {
        hash = *c >= '0' && *c <= '9' ? hash : kwm_hash(hash, c, 1);
    }
    hash |= 1U;
    if (hash != d->told_failure) {
        d->told_failure = hash;
        delivery_event(d, event);
    }
}

/** Keep everything, try again later. */
static void not_now(struct kwm_delivery *d, uint64_t now_ms, enum kwm_reply_verdict verdict)
{
    const struct kwm_uplink_outcome *outcome = &d->config.uplink->outcome;
    const struct kwm_reply *reply = &d->config.uplink->reply;
    struct kwm_event event = {
        .code = KWM_EVENT_FAILING,
        .err = outcome->err,
        .stage = (uint8_t)outcome->stage,
        .endpoint = outcome->endpoint,
        .status = reply->status,
        .text = outcome->err != KWM_OK ? outcome->detail : reply->desc,
    };
    if (d->kind == KWM_BATCH_TIME && outcome->err == KWM_OK) {
        event.text = "the time of day is not known, and rows wait for it; set this device's clock";
    }
    /* A token that ran out is no mistake: the next exchange logs in again. */
    const bool is_auth = verdict == KWM_REPLY_AUTH && !outcome->was_token_refused;
    if (is_auth || outcome->err == KWM_ERR_AUTH) {
        event.code = KWM_EVENT_AUTH;
    } else if (verdict == KWM_REPLY_MISTAKE) {
        event.code = KWM_EVENT_MISTAKE;
    }
    d->is_blocked = event.code != KWM_EVENT_FAILING || outcome->err == KWM_ERR_VERIFY ||
                    outcome->err == KWM_ERR_NOENT;
    const bool is_slow = d->is_blocked && outcome->err != KWM_ERR_NOENT;
    uint32_t wait =
        kwm_backoff_ms(is_slow ? BLOCKED_BASE_MS : BACKOFF_BASE_MS,
                       is_slow ? BLOCKED_CAP_MS : BACKOFF_CAP_MS, d->failures, random_bits(d));
    wait = wait < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : wait;
    if (outcome->err == KWM_OK && reply->retry_after_ms > wait) {
        wait = reply->retry_after_ms;
    }
    d->failures = d->failures < UINT8_MAX ? (uint8_t)(d->failures + 1U) : UINT8_MAX;
    d->totals.requests_failed++;
    d->backoff_ms = now_ms + wait;
    event.wait_ms = wait;
    if (!outcome->was_token_refused) {
        tell_failure(d, &event);
    }
}

static void worked(struct kwm_delivery *d, uint64_t now_ms)
{
    const struct kwm_uplink_outcome *outcome = &d->config.uplink->outcome;
    if (d->told_failure != 0 || !d->was_ever_stored) {
        delivery_event(d, &(struct kwm_event){.code = KWM_EVENT_DELIVERING,
                                              .endpoint = outcome->endpoint,
                                              .count = d->failures});
    }
    d->told_failure = 0;
    d->failures = 0;
    d->is_blocked = false;
    d->cuts = 0;
    d->was_ever_stored = true;
    d->rest_ms = now_ms + (uint64_t)outcome->took_ms * d->config.rest_times;
    if (d->line_cap_now < d->config.line_count_max && d->range_count == 0) {
        d->line_cap_now = (uint16_t)(d->line_cap_now + 1U + d->line_cap_now / 8U);
        d->line_cap_now =
            d->line_cap_now < d->config.line_count_max ? d->line_cap_now : d->config.line_count_max;
    }
}

/** @return the verdict on the whole exchange. A cut reply may still have a status that says
 *  enough. */
static enum kwm_reply_verdict verdict_of(struct kwm_delivery *d)
{
    const struct kwm_uplink_outcome *outcome = &d->config.uplink->outcome;
    const bool is_our_reply = outcome->stage == KWM_UPLINK_RECV;
    if (outcome->is_reply_too_large) {
        return KWM_REPLY_TOO_LARGE;
    }
    const bool is_cut = d->config.uplink->reply.is_cut;
    if (!is_our_reply || (outcome->err != KWM_OK && !is_cut)) {
        return KWM_REPLY_NOT_NOW;
    }
    const enum kwm_reply_verdict verdict = kwm_reply_verdict(&d->config.uplink->reply);
    d->cuts = is_cut ? (uint8_t)(d->cuts + 1U) : 0;
    return verdict == KWM_REPLY_NOT_NOW && d->cuts >= CUTS_MAX ? KWM_REPLY_TOO_LARGE : verdict;
}

static void judge_time(struct kwm_delivery *d, uint64_t now_ms)
{
    const struct hal_wall_source *wall = &d->config.uplink->config.wall;
    d->is_sent = false;
    if (d->config.uplink->outcome.err != KWM_OK || wall->now(wall->ctx).state != HAL_WALL_SET) {
        not_now(d, now_ms, KWM_REPLY_NOT_NOW);
    }
    end_batch(d);
}

static void judge(struct kwm_delivery *d, uint64_t now_ms)
{
    const enum kwm_reply_verdict verdict = verdict_of(d);
    d->is_sent = false;
    kwm_spool_pin(d->config.spool, KWM_SEQ_NONE);
    switch (verdict) {
    case KWM_REPLY_STORED:
    case KWM_REPLY_PIECES:
        delivery_accept(d, verdict == KWM_REPLY_STORED);
        d->range_count--;
        worked(d, now_ms);
        return;
    case KWM_REPLY_UNCLEAR:
        delivery_doubt(d, d->range);
        worked(d, now_ms);
        halve(d);
        return;
    case KWM_REPLY_TOO_LARGE:
        delivery_doubt(d, d->range);
        d->cuts = 0;
        d->rest_ms = now_ms + (uint64_t)d->config.uplink->outcome.took_ms * d->config.rest_times;
        too_large(d);
        return;
    default:
        if (d->config.uplink->outcome.was_sent) {
            delivery_doubt(d, d->range);
        }
        not_now(d, now_ms, verdict);
        if (d->config.uplink->outcome.err == KWM_ERR_STATE) {
            delivery_let_go(d); /* a line of it is not what it was: choose anew */
            end_batch(d);
        }
        return;
    }
}

uint64_t kwm_delivery_step(struct kwm_delivery *d, uint64_t now_ms)
{
    d->now_ms = now_ms;
    if (d->is_sent) {
        const uint64_t wake = kwm_uplink_step(d->config.uplink, now_ms);
        if (d->config.uplink->state != KWM_UPLINK_DONE) {
            return wake;
        }
        if (d->kind == KWM_BATCH_TIME) {
            judge_time(d, now_ms);
            return now_ms; /* an epoch begins before the next step */
        }
        judge(d, now_ms);
    }
    if (now_ms < d->backoff_ms) {
        return earlier(d->backoff_ms, kwm_uplink_step(d->config.uplink, now_ms));
    }
    if (d->kind == KWM_BATCH_NONE && !choose(d, now_ms)) {
        return idle_until(d);
    }
    if (d->kind == KWM_BATCH_TIME) {
        ask_time(d, now_ms);
        return now_ms;
    }
    if (!d->is_selected) {
        if (!delivery_select(d)) {
            return now_ms;
        }
        d->is_selected = true;
        delivery_queue(d);
    } else if (d->range_count > 0 && !d->is_urgent && now_ms < d->rest_ms) {
        return d->rest_ms; /* a search goes on, or a batch in parts: catch-up */
    }
    if (d->range_count > 0 && !delivery_is_noted(d)) {
        return now_ms + NOTE_POLL_MS;
    }
    if (send_next(d, now_ms)) {
        return now_ms;
    }
    delivery_commit(d, now_ms);
    end_batch(d);
    return now_ms;
}
