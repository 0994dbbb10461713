/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "delivery_internal.h"
#include "hal/assert.h"
#include "kwm/bytes.h"

#define PAUSE_TRANSIENT_MS 1000U
#define PAUSE_OTHER_MS 60000U
#define PAUSE_CAP_MS 3600000U
#define BLAME_TRIES 3U
#define BLAME_MS 3600000U

static struct kwm_reason *find_reason(struct kwm_delivery *d, unsigned stream, uint32_t hash)
{
    for (unsigned i = 0; i < d->config.reason_cap; i++) {
        struct kwm_reason *reason = &d->config.reasons[i];
        if (reason->hash == hash && reason->stream == stream && hash != 0) {
            return reason;
        }
    }
    return NULL;
}

/** Keep a text, without the semicolon that ends it in desc. */
static void remember_reason(struct kwm_delivery *d, unsigned stream,
                            const struct kwm_piece_info *info)
{
    if (find_reason(d, stream, info->hash) != NULL) {
        return;
    }
    struct kwm_reason *reason = &d->config.reasons[d->reason_next];
    d->reason_next = (uint8_t)((d->reason_next + 1U) % d->config.reason_cap);
    size_t len = info->len < KWM_PIECE_TEXT_LEN_MAX ? info->len : KWM_PIECE_TEXT_LEN_MAX;
    len -= len > 0 && info->text[len - 1U] == ';' ? 1U : 0U;
    *reason = (struct kwm_reason){.hash = info->hash, .stream = (uint16_t)stream};
    memcpy(reason->text, info->text, len);
}

void delivery_piece(void *ctx, const struct kwm_piece_info *info)
{
    struct kwm_delivery *d = ctx;
    while (d->judge_at < d->range.end && !delivery_is_sent(d, &d->config.lines[d->judge_at])) {
        d->judge_at++;
    }
    if (d->judge_at == d->range.end) {
        return;
    }
    struct kwm_batch_line *line = &d->config.lines[d->judge_at++];
    line->said = (uint8_t)info->piece;
    line->hash = info->hash;
    if (info->piece != KWM_PIECE_STORED) {
        remember_reason(d, line->stream, info);
    }
}

void delivery_reject(struct kwm_delivery *d)
{
    d->judge_at = d->range.begin;
    for (unsigned i = d->range.begin; i < d->range.end; i++) {
        d->config.lines[i].said = 0;
    }
}

void delivery_accept(struct kwm_delivery *d, bool is_all_stored)
{
    for (unsigned i = d->range.begin; i < d->range.end; i++) {
        struct kwm_batch_line *line = &d->config.lines[i];
        if (!delivery_is_sent(d, line)) {
            continue;
        }
        if (is_all_stored) {
            line->piece = KWM_PIECE_STORED;
        } else {
            line->piece = line->said != 0 ? line->said : (uint8_t)KWM_PIECE_UNKNOWN;
        }
    }
}

/** The in-doubt mark that a line's stream goes by. */
static uint64_t *mark_of(struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    struct kwm_stream *stream = &d->config.streams[line->stream];
    return stream->state == KWM_STREAM_NORMAL ? &d->mark : &stream->mark;
}

static void raise_mark(uint64_t *mark, uint64_t seq)
{
    *mark = *mark > seq + 1U ? *mark : seq + 1U;
}

void delivery_doubt(struct kwm_delivery *d, struct kwm_range range)
{
    for (unsigned i = range.begin; i < range.end; i++) {
        struct kwm_batch_line *line = &d->config.lines[i];
        if (delivery_is_sent(d, line)) {
            line->is_doubtful = true;
            raise_mark(mark_of(d, line), delivery_seq(d, line));
        }
    }
}

/** Whether a line may be stored, by what the server last said or by an earlier request without a
 *  verdict (the table may have changed since). */
static bool is_maybe_stored(const struct kwm_batch_line *line)
{
    const bool is_surely_not =
        line->piece == 0 || line->piece == KWM_PIECE_LINE || line->piece == KWM_PIECE_MEASUREMENT;
    return line->is_doubtful || !is_surely_not;
}

void delivery_let_go(struct kwm_delivery *d)
{
    for (unsigned i = 0; i < d->line_count; i++) {
        const struct kwm_batch_line *line = &d->config.lines[i];
        if (is_maybe_stored(line)) {
            raise_mark(mark_of(d, line), delivery_seq(d, line));
        }
    }
}

/** @return the line of the batch in hand that carries a sample, NULL if there is none. */
static const struct kwm_batch_line *find_seq(const struct kwm_delivery *d, uint64_t seq)
{
    unsigned low = 0;
    unsigned high = d->line_count;
    while (low < high) {
        const unsigned middle = low + (high - low) / 2U;
        const uint64_t found = delivery_seq(d, &d->config.lines[middle]);
        if (found == seq) {
            return &d->config.lines[middle];
        }
        low = found < seq ? middle + 1U : low;
        high = found < seq ? high : middle;
    }
    return NULL;
}

enum kwm_fate delivery_drop_fate(const struct kwm_delivery *d, uint64_t seq, uint64_t mark)
{
    const struct kwm_batch_line *line = find_seq(d, seq);
    if (line != NULL && line->piece == KWM_PIECE_STORED) {
        return KWM_FATE_STORED; /* in an earlier request of a batch that goes on */
    }
    const bool is_doubtful = seq < mark || (line != NULL && is_maybe_stored(line));
    return is_doubtful ? KWM_FATE_UNKNOWN : KWM_FATE_DROPPED_ROOM;
}

uint32_t delivery_pause_ms(struct kwm_delivery *d, const struct kwm_stream *stream)
{
    const uint32_t base =
        stream->piece == KWM_PIECE_TRANSIENT ? PAUSE_TRANSIENT_MS : PAUSE_OTHER_MS;
    uint64_t wait = base;
    for (unsigned i = 0; i < stream->tries && wait < PAUSE_CAP_MS; i++) {
        wait *= 2U;
    }
    wait = wait < PAUSE_CAP_MS ? wait : PAUSE_CAP_MS;
    return (uint32_t)(wait / 2U + d->config.random(d->config.ctx) % (wait / 2U + 1U));
}

static const char *reason_text(struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    const struct kwm_reason *reason = find_reason(d, line->stream, line->hash);
    return reason != NULL ? reason->text : "the server does not take them";
}

/** Hold a measurement back from this line on. */
static void pause(struct kwm_delivery *d, const struct kwm_batch_line *line, uint64_t now_ms)
{
    struct kwm_stream *stream = &d->config.streams[line->stream];
    if (stream->state == KWM_STREAM_NORMAL) {
        /* An earlier request may have carried this and later lines of it. */
        stream->mark = d->mark > delivery_seq(d, line) ? d->mark : 0;
    }
    stream->state = KWM_STREAM_PAUSED;
    stream->piece = line->piece;
    stream->tries = 0;
    stream->blame_tries = 0;
    stream->pos = delivery_seq(d, line);
    if (is_maybe_stored(line)) {
        raise_mark(&stream->mark, stream->pos);
    }
    const uint32_t wait = delivery_pause_ms(d, stream);
    stream->probe_ms = now_ms + wait;
    delivery_event(d, &(struct kwm_event){.code = KWM_EVENT_PAUSED,
                                          .reason = line->piece,
                                          .wait_ms = wait,
                                          .name = delivery_stream_name(d, line->stream),
                                          .text = reason_text(d, line)});
}

/** Set a line aside for good: count it, keep it as a dead letter, tell each reason once. */
static void refuse(struct kwm_delivery *d, const struct kwm_batch_line *line, enum kwm_fate fate)
{
    const uint64_t seq = delivery_seq(d, line);
    const char *text = reason_text(d, line);
    struct kwm_reason *reason = find_reason(d, line->stream, line->hash);
    struct kwm_event event = {
        .code = KWM_EVENT_REFUSED,
        .reason = (uint8_t)fate,
        .name = delivery_stream_name(d, line->stream),
        .text = text,
    };
    delivery_count(d, line->stream, fate);
    struct kwm_sample sample;
    if (d->config.reader->seq_next > seq) {
        kwm_reader_return(d->config.reader, &d->at_base);
    }
    if (delivery_read(d, seq, &sample)) {
        const int len = delivery_encode(d, &sample, d->config.line, d->config.line_cap);
        event.line = d->config.line;
        event.line_len = (uint16_t)(len > 0 ? len : 0);
        const int err =
            kwm_spool_append_dead(d->config.spool, &sample, (uint8_t)fate, text, strlen(text));
        d->dead_lost += err == KWM_OK ? 0U : 1U;
    }
    if (reason == NULL || !reason->is_told) {
        delivery_event(d, &event);
    }
    if (reason != NULL) {
        reason->is_told = true;
    }
}

static bool is_not_taken(const struct kwm_batch_line *line)
{
    return line->piece == KWM_PIECE_MEASUREMENT || line->piece == KWM_PIECE_TRANSIENT ||
           line->piece == KWM_PIECE_UNKNOWN;
}

/** Whether another line of the same measurement was stored in this batch. */
static bool is_other_stored(const struct kwm_delivery *d, unsigned stream)
{
    for (unsigned i = 0; i < d->line_count; i++) {
        if (d->config.lines[i].stream == stream && d->config.lines[i].piece == KWM_PIECE_STORED) {
            return true;
        }
    }
    return false;
}

static enum kwm_fate aside_fate(const struct kwm_batch_line *line, bool is_doubtful)
{
    return line->piece == KWM_PIECE_MEASUREMENT && !is_doubtful ? KWM_FATE_REFUSED_SCHEMA
                                                                : KWM_FATE_REFUSED_UNKNOWN;
}

/** Count a line that has a final verdict. @return false if its measurement has to be held for
 *  it. */
static bool settle(struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    const struct kwm_stream *stream = &d->config.streams[line->stream];
    const bool is_doubtful = line->is_doubtful || delivery_seq(d, line) < *mark_of(d, line);
    if (line->len == 0) {
        delivery_count(d, line->stream, (enum kwm_fate)line->fate);
    } else if (line->piece == KWM_PIECE_STORED ||
               (line->piece == KWM_PIECE_DUPLICATE && is_doubtful)) {
        delivery_count(d, line->stream, KWM_FATE_STORED);
    } else if (line->piece == KWM_PIECE_LINE || line->piece == KWM_PIECE_DUPLICATE) {
        refuse(d, line, is_doubtful ? KWM_FATE_REFUSED_UNKNOWN : KWM_FATE_REFUSED_LINE);
    } else if (stream->has_aside && stream->aside_hash == line->hash &&
               is_other_stored(d, line->stream)) {
        refuse(d, line, aside_fate(line, is_doubtful));
    } else {
        return false;
    }
    return true;
}

/** Whether a line was counted already: its sample made room, and that was counted then. */
static bool is_gone(const struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    const struct kwm_stream *stream = &d->config.streams[line->stream];
    const uint64_t pos = stream->state == KWM_STREAM_NORMAL ? d->cursor : stream->pos;
    return delivery_seq(d, line) < pos;
}

/** Move on behind a line before it is counted: a checkpoint may be written at any dead letter, and
 *  has to tell of both or of neither. */
static void pass(struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    struct kwm_stream *stream = &d->config.streams[line->stream];
    uint64_t *pos = stream->state == KWM_STREAM_NORMAL ? &d->cursor : &stream->pos;
    *pos = delivery_seq(d, line) + 1U;
}

/** Lines in order; a measurement that is held stays where its first such line is. */
static void commit_lines(struct kwm_delivery *d, uint64_t now_ms)
{
    for (unsigned i = 0; i < d->line_count; i++) {
        const struct kwm_batch_line *line = &d->config.lines[i];
        struct kwm_stream *stream = &d->config.streams[line->stream];
        if (stream->state == KWM_STREAM_PAUSED) {
            if (is_maybe_stored(line)) {
                raise_mark(&stream->mark, delivery_seq(d, line));
            }
        } else if (!is_gone(d, line)) {
            pass(d, line);
            if (!settle(d, line)) {
                pause(d, line, now_ms);
            }
        }
    }
}

static void commit_main(struct kwm_delivery *d, uint64_t now_ms)
{
    commit_lines(d, now_ms);
    if (d->end == d->base) {
        d->goal = d->cursor; /* nothing that could be sent: wait for the next flush */
    }
    d->cursor = d->cursor > d->end ? d->cursor : d->end;
}

static void commit_drain(struct kwm_delivery *d, uint64_t now_ms)
{
    const uint64_t end = d->end < d->cursor ? d->end : d->cursor;
    commit_lines(d, now_ms);
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state == KWM_STREAM_DRAINING && stream->pos < end) {
            stream->pos = end;
        }
    }
}

static void resume(struct kwm_delivery *d, unsigned index, uint64_t pos)
{
    struct kwm_stream *stream = &d->config.streams[index];
    stream->state = KWM_STREAM_DRAINING;
    stream->pos = stream->pos > pos ? stream->pos : pos;
    stream->tries = 0;
    stream->blame_tries = 0;
    delivery_event(
        d, &(struct kwm_event){.code = KWM_EVENT_RESUMED, .name = delivery_stream_name(d, index)});
}

/** The oldest was not taken, a later one was: the line is to blame. @return whether that is
 *  proven. */
static bool blame(struct kwm_stream *stream, const struct kwm_batch_line *line, uint64_t now_ms)
{
    if (stream->blame_tries == 0 || stream->blame_hash != line->hash) {
        stream->blame_tries = 0;
        stream->blame_hash = line->hash;
        stream->blame_since_ms = now_ms;
    }
    stream->blame_tries = (uint8_t)(stream->blame_tries + (stream->blame_tries < UINT8_MAX));
    return stream->blame_tries >= BLAME_TRIES && now_ms - stream->blame_since_ms >= BLAME_MS;
}

/** What a probe's two lines say of their measurement. later may be NULL. */
static void commit_probe_of(struct kwm_delivery *d, const struct kwm_batch_line *oldest,
                            const struct kwm_batch_line *later, uint64_t now_ms)
{
    struct kwm_stream *stream = &d->config.streams[oldest->stream];
    const uint64_t seq = delivery_seq(d, oldest);
    stream->probe_ms = now_ms + PAUSE_TRANSIENT_MS;
    /* In doubt before this request: the later line's mark comes afterwards. */
    const bool is_doubtful = oldest->is_doubtful || seq < stream->mark;
    const bool was_gone = is_gone(d, oldest);
    if (!was_gone) {
        pass(d, oldest);
    }
    const bool is_settled = !was_gone && settle(d, oldest);
    if (later != NULL && is_maybe_stored(later)) {
        raise_mark(&stream->mark, delivery_seq(d, later));
    }
    if (was_gone) {
        return;
    }
    if (is_settled) {
        resume(d, oldest->stream, seq + 1U);
        return;
    }
    KWM_ASSERT(is_not_taken(oldest));
    stream->pos = seq;
    if (is_maybe_stored(oldest)) {
        raise_mark(&stream->mark, seq);
    }
    const bool is_later_stored = later != NULL && later->piece == KWM_PIECE_STORED;
    if (is_later_stored && blame(stream, oldest, now_ms)) {
        pass(d, oldest);
        refuse(d, oldest, aside_fate(oldest, is_doubtful));
        stream->has_aside = true;
        stream->aside_hash = oldest->hash;
        resume(d, oldest->stream, seq + 1U);
        return;
    }
    stream->piece = oldest->piece;
    stream->tries = (uint8_t)(stream->tries + (stream->tries < UINT8_MAX));
    stream->probe_ms = now_ms + delivery_pause_ms(d, stream);
}

/** @return index of the n-th line of a stream in the batch, or line_count. */
static unsigned find_line(const struct kwm_delivery *d, unsigned stream, unsigned nth)
{
    for (unsigned i = 0; i < d->line_count; i++) {
        if (d->config.lines[i].stream == stream && nth-- == 0) {
            return i;
        }
    }
    return d->line_count;
}

static void commit_probe(struct kwm_delivery *d, uint64_t now_ms)
{
    /* Whether a measurement without a line in the batch has none up to its end, or at all. */
    const bool is_seen = d->line_count < delivery_line_limit(d);
    const bool is_complete = is_seen && d->end >= d->config.spool->seq_next;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        struct kwm_stream *stream = &d->config.streams[i];
        if (stream->state != KWM_STREAM_PAUSED || stream->probe_ms > d->begun_ms) {
            continue;
        }
        const unsigned oldest = find_line(d, i, 0);
        const unsigned later = find_line(d, i, 1);
        if (oldest < d->line_count) {
            commit_probe_of(d, &d->config.lines[oldest],
                            later < d->line_count ? &d->config.lines[later] : NULL, now_ms);
        } else if (is_complete) {
            resume(d, i, d->end); /* nothing of it is left */
        } else if (is_seen && stream->pos < d->end) {
            stream->pos = d->end; /* look further on at once */
        } else {
            stream->probe_ms = now_ms + PAUSE_TRANSIENT_MS;
        }
    }
}

void delivery_commit(struct kwm_delivery *d, uint64_t now_ms)
{
    kwm_spool_pin(d->config.spool, d->base);
    switch (d->kind) {
    case KWM_BATCH_MAIN:
        commit_main(d, now_ms);
        break;
    case KWM_BATCH_DRAIN:
        commit_drain(d, now_ms);
        break;
    default:
        commit_probe(d, now_ms);
        break;
    }
    kwm_spool_pin(d->config.spool, KWM_SEQ_NONE);
    kwm_reader_return(d->config.reader, &d->at_end); /* where the next batch will begin */
    if (delivery_may_overtake(d)) {
        kwm_spool_counted(d->config.spool, d->cursor);
    }
}
