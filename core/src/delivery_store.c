/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "delivery_internal.h"
#include "hal/assert.h"
#include "kwm/bytes.h"

#define ENTRY_LEN_MAX(name_len) (1U + (name_len) + 4U + 4U + 3U * 10U)
#define FLAG_EVER_STORED 1U
#define OUTPUTS 1U

/** End of what is sent of a measurement by the batch in hand, or may have been: KWM_SERIES_NONE
 *  stands for those that go with the cursor. */
static uint64_t mark_with_batch(const struct kwm_delivery *d, unsigned stream, uint64_t mark)
{
    for (unsigned i = 0; i < d->line_count; i++) {
        const struct kwm_batch_line *line = &d->config.lines[i];
        const bool is_normal = d->config.streams[line->stream].state == KWM_STREAM_NORMAL;
        const bool is_of_it = stream == KWM_SERIES_NONE ? is_normal : line->stream == stream;
        const uint64_t end = delivery_seq(d, line) + 1U;
        if (is_of_it && line->len > 0 && end > mark) {
            mark = end;
        }
    }
    return mark;
}

static uint8_t *put_stream(const struct kwm_delivery *d, unsigned index, uint8_t *out)
{
    const struct kwm_stream *stream = &d->config.streams[index];
    const char *name = delivery_stream_name(d, index);
    const size_t name_len = strlen(name);
    const uint64_t mark = mark_with_batch(d, index, stream->mark);
    const uint64_t blamed_ms = stream->blame_tries > 0 ? d->now_ms - stream->blame_since_ms : 0;
    *out++ = (uint8_t)name_len;
    memcpy(out, name, name_len);
    out += name_len;
    *out++ = stream->state;
    *out++ = stream->piece;
    *out++ = stream->tries;
    *out++ = stream->blame_tries;
    kwm_put_u32(out, stream->blame_hash);
    out = kwm_put_varint(out + 4, blamed_ms);
    out = kwm_put_varint(out, stream->pos);
    return kwm_put_varint(out, mark);
}

size_t kwm_delivery_save(const struct kwm_delivery *d, uint8_t *out, size_t cap)
{
    KWM_ASSERT(cap >= KWM_SPOOL_SAVE_LEN_MIN);
    const uint8_t *end = out + cap;
    uint8_t *start = out;
    *out++ = OUTPUTS;
    *out++ = d->was_ever_stored ? FLAG_EVER_STORED : 0;
    out = kwm_put_varint(out, d->cursor);
    out = kwm_put_varint(out, mark_with_batch(d, KWM_SERIES_NONE, d->mark));
    out = kwm_put_varint(out, kwm_zigzag(d->unnumbered));
    out = kwm_put_varint(out, d->doubtful_gap);
    for (unsigned i = 0; i < KWM_FATE_COUNT; i++) {
        out = kwm_put_varint(out, d->totals.fates[i]);
    }
    uint8_t *count = out++;
    *count = 0;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const bool is_behind = d->config.streams[i].state != KWM_STREAM_NORMAL;
        const size_t need = ENTRY_LEN_MAX(strlen(delivery_stream_name(d, i)));
        if (is_behind && (size_t)(end - out) >= need && *count < UINT8_MAX) {
            out = put_stream(d, i, out);
            (*count)++;
        }
    }
    KWM_ASSERT(out <= end);
    return (size_t)(out - start);
}

/** Read a measurement's state. @return behind it, NULL if it does not fit. */
static const uint8_t *take_stream(struct kwm_delivery *d, const uint8_t *in, const uint8_t *end)
{
    struct kwm_series_table *table = d->config.spool->config.series;
    if (in == end || (size_t)(end - in) < 1U + in[0] + 8U) {
        return NULL;
    }
    const struct hal_text name = {.s = (const char *)in + 1, .len = in[0]};
    in += 1U + name.len;
    struct kwm_stream stream = {.state = in[0],
                                .piece = in[1],
                                .tries = in[2],
                                .blame_tries = in[3],
                                .blame_hash = kwm_get_u32(in + 4)};
    uint64_t blamed_ms = 0;
    in = kwm_get_varint(in + 8, end, &blamed_ms);
    in = in != NULL ? kwm_get_varint(in, end, &stream.pos) : NULL;
    in = in != NULL ? kwm_get_varint(in, end, &stream.mark) : NULL;
    const int index = in != NULL ? kwm_series_measurement(table, name) : KWM_ERR_CORRUPT;
    const bool is_behind = stream.state == KWM_STREAM_PAUSED || stream.state == KWM_STREAM_DRAINING;
    if (index >= 0 && is_behind) {
        stream.blame_since_ms = d->now_ms - blamed_ms;
        stream.probe_ms = d->now_ms + delivery_pause_ms(d, &stream);
        d->config.streams[index] = stream;
    }
    return in;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/** Every position and mark is at or below it: a sample below one would pass for counted. */
static uint64_t highest_told(const struct kwm_delivery *d)
{
    uint64_t highest = higher(d->cursor, d->mark);
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const struct kwm_stream *stream = &d->config.streams[i];
        highest = higher(highest, higher(stream->pos, stream->mark));
    }
    return highest;
}

/** What was numbered, but did not reach the medium: it may have been stored if it was sent. */
static void account_for_gap(struct kwm_delivery *d)
{
    struct kwm_spool *spool = d->config.spool;
    const uint64_t log_end = spool->seq_next;
    kwm_spool_raise_seq(spool, highest_told(d));
    const uint64_t top = d->mark > d->cursor ? d->mark : d->cursor;
    if (top <= log_end) {
        return;
    }
    const uint64_t counted_to = d->cursor > log_end ? d->cursor : log_end;
    d->totals.fates[KWM_FATE_UNKNOWN] += top - counted_to;
    d->cursor = d->cursor > log_end ? top : d->cursor;
}

static uint64_t sum_fates(const struct kwm_totals *totals)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < KWM_FATE_COUNT; i++) {
        sum += totals->fates[i];
    }
    return sum;
}

/** A log without any account: what is in it was collected, and waits. */
static void restore_nothing(struct kwm_delivery *d)
{
    memset(&d->totals, 0, sizeof(d->totals));
    memset(d->config.streams, 0,
           sizeof(d->config.streams[0]) * d->config.spool->config.series->measurement_cap);
    d->was_ever_stored = false;
    d->mark = 0;
    d->doubtful_gap = 0;
    d->cursor = d->config.spool->seq_first;
    d->unnumbered = -(int64_t)d->config.spool->seq_first;
    d->totals.collected = d->config.spool->seq_next - d->config.spool->seq_first;
    d->totals.waiting = d->totals.collected;
}

static int parse(struct kwm_delivery *d, const uint8_t *in, const uint8_t *end)
{
    uint64_t off = 0;
    if (end - in < 2 || in[0] != OUTPUTS) {
        return KWM_ERR_CORRUPT;
    }
    d->was_ever_stored = (in[1] & FLAG_EVER_STORED) != 0;
    in = kwm_get_varint(in + 2, end, &d->cursor);
    in = in != NULL ? kwm_get_varint(in, end, &d->mark) : NULL;
    in = in != NULL ? kwm_get_varint(in, end, &off) : NULL;
    in = in != NULL ? kwm_get_varint(in, end, &d->doubtful_gap) : NULL;
    for (unsigned i = 0; in != NULL && i < KWM_FATE_COUNT; i++) {
        in = kwm_get_varint(in, end, &d->totals.fates[i]);
    }
    if (in == NULL || in == end) {
        return KWM_ERR_CORRUPT;
    }
    d->unnumbered = kwm_unzigzag(off);
    unsigned count = *in++;
    while (count > 0 && in != NULL) {
        in = take_stream(d, in, end);
        count--;
    }
    return in != NULL ? KWM_OK : KWM_ERR_CORRUPT;
}

void kwm_delivery_restore(struct kwm_delivery *d, const uint8_t *in, size_t len)
{
    d->is_restored = true;
    if (len == 0 || parse(d, in, in + len) != KWM_OK) {
        restore_nothing(d);
        return;
    }
    account_for_gap(d);
    const uint64_t sum = sum_fates(&d->totals);
    const uint64_t seq_next = d->config.spool->seq_next;
    d->totals.collected = seq_next + (uint64_t)d->unnumbered;
    if (d->totals.collected < sum) { /* an account newer than the log: it lost what it told of */
        d->totals.collected = sum;
        d->unnumbered = (int64_t)(sum - seq_next);
    }
    d->totals.waiting = d->totals.collected - sum;
}

bool delivery_is_noted(struct kwm_delivery *d)
{
    struct kwm_spool *spool = d->config.spool;
    if (d->is_noted || !spool->config.flash->geometry.is_durable) {
        return true;
    }
    if (d->note_until_ms == 0) {
        d->note_until_ms = d->now_ms + NOTE_MS_MAX;
        d->is_note_begun = false;
    }
    if (!d->is_note_begun || spool->checkpoint == KWM_CHECKPOINT_NONE) {
        d->is_note_begun = kwm_spool_checkpoint(spool, delivery_may_overtake(d)) == KWM_OK;
    }
    kwm_spool_step(spool);
    const bool is_saved = d->is_note_begun && spool->checkpoint == KWM_CHECKPOINT_SAVED;
    const bool is_late = d->now_ms >= d->note_until_ms;
    if (is_late && !is_saved) {
        d->rows_unnoted += d->line_count;
    }
    if (is_saved || is_late) {
        d->is_noted = true;
        d->note_until_ms = 0;
    }
    return d->is_noted;
}

bool delivery_may_overtake(const struct kwm_delivery *d)
{
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        if (d->config.streams[i].state != KWM_STREAM_NORMAL) {
            return false;
        }
    }
    return true;
}
