/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "delivery_internal.h"
#include "hal/assert.h"

#define STAMP_MS_MIN INT64_C(1000000000000)
#define STAMP_MS_MAX INT64_C(9999999999999)
/* The rest of the ranges is for halving one of them: 1000 lines take ten more. */
#define QUEUED_RANGES_MAX (KWM_DELIVERY_RANGES_MAX / 2U)

uint64_t delivery_seq(const struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    return d->base + line->seq_off;
}

/** Samples below were counted. */
static uint64_t position(const struct kwm_delivery *d, unsigned stream)
{
    const struct kwm_stream *s = &d->config.streams[stream];
    return s->state == KWM_STREAM_NORMAL ? d->cursor : s->pos;
}

bool delivery_is_sent(const struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    return line->len > 0 && line->piece == 0 &&
           delivery_seq(d, line) >= d->config.spool->seq_first &&
           delivery_seq(d, line) >= position(d, line->stream);
}

int delivery_encode(struct kwm_delivery *d, const struct kwm_sample *sample, char *out, size_t cap)
{
    struct kwm_series_table *table = d->config.spool->config.series;
    struct hal_value values[HAL_FIELDS_MAX];
    if (out == d->config.line) { /* over what was kept there */
        d->kept_count = 0;
        d->kept_len = 0;
    }
    const int err = kwm_sample_values(d->config.spool, sample, values);
    if (err != KWM_OK) {
        return err;
    }
    const uint8_t *template = kwm_series_template(table, sample->slot);
    if (template == NULL) {
        return KWM_ERR_NOSPC;
    }
    return kwm_line_encode(out, cap, template, values, sample->stamp_ms, &table->losses);
}

int kwm_delivery_line(struct kwm_delivery *d, const struct kwm_sample *sample)
{
    return delivery_encode(d, sample, d->config.line, d->config.line_cap);
}

/** Whether the batch wants this sample. */
static bool is_wanted(const struct kwm_delivery *d, const struct kwm_sample *sample)
{
    const struct kwm_stream *stream = &d->config.streams[sample->measurement];
    switch (d->kind) {
    case KWM_BATCH_MAIN:
        return stream->state == KWM_STREAM_NORMAL;
    case KWM_BATCH_DRAIN:
        return stream->state == KWM_STREAM_DRAINING && sample->seq >= stream->pos;
    case KWM_BATCH_PROBE:
        return stream->state == KWM_STREAM_PAUSED && stream->probe_ms <= d->begun_ms &&
               sample->seq >= stream->pos;
    default:
        return false;
    }
}

/** What the dialect cannot carry became something else: say so once for each measurement. */
static void tell_loss(struct kwm_delivery *d, const struct kwm_batch_line *line, const char *text)
{
    struct kwm_stream *stream = &d->config.streams[line->stream];
    if (!stream->is_loss_told) {
        stream->is_loss_told = true;
        delivery_event(d, &(struct kwm_event){.code = KWM_EVENT_REPLACED,
                                              .name = delivery_stream_name(d, line->stream),
                                              .line = text,
                                              .line_len = line->len});
    }
}

/** Encode behind the text of the lines before, as long as all of it fits. @return length, or an
 *  error. */
static int encode_next(struct kwm_delivery *d, const struct kwm_sample *sample, const char **text)
{
    const bool is_all_kept = d->kind != KWM_BATCH_PROBE && d->kept_count == d->line_count;
    const size_t off = is_all_kept ? d->kept_len : 0;
    char *out = d->config.line + off;
    int len = delivery_encode(d, sample, out, d->config.line_cap - off);
    if (len == KWM_ERR_NOSPC && off > 0) {
        out = d->config.line;
        len = delivery_encode(d, sample, out, d->config.line_cap);
    } else if (is_all_kept) {
        d->kept_count++;
        d->kept_len = (uint16_t)(off + (len > 0 ? (size_t)len : 0));
    }
    *text = out;
    return len;
}

/** Fill in what a sample's line is like. */
static void describe(struct kwm_delivery *d, const struct kwm_sample *sample,
                     struct kwm_batch_line *line)
{
    *line = (struct kwm_batch_line){
        .seq_off = (uint32_t)(sample->seq - d->base),
        .stream = sample->measurement,
    };
    if (sample->stamp_ms < STAMP_MS_MIN || sample->stamp_ms > STAMP_MS_MAX) {
        line->fate = KWM_FATE_DROPPED_NO_TIME;
        return;
    }
    const struct kwm_line_losses *losses = &d->config.spool->config.series->losses;
    const uint64_t before = (uint64_t)losses->replaced + losses->clipped;
    const char *text;
    const int len = encode_next(d, sample, &text);
    if (len > 0) {
        line->len = (uint16_t)len;
        if ((uint64_t)losses->replaced + losses->clipped != before) {
            tell_loss(d, line, text);
        }
    } else {
        line->fate = len == KWM_ERR_CORRUPT ? KWM_FATE_DROPPED_CORRUPT : KWM_FATE_DROPPED_TOO_LONG;
    }
}

/** A probe has two lines of a measurement: the oldest, and the newest that is near. @return whether
 *  the line was put in place of the one that was the newest so far. */
static bool replace_newest(struct kwm_delivery *d, const struct kwm_batch_line *line)
{
    unsigned found = 0;
    for (unsigned i = 0; i < d->line_count; i++) {
        if (d->config.lines[i].stream == line->stream) {
            found++;
        }
        if (found == 2) {
            memmove(&d->config.lines[i], &d->config.lines[i + 1U],
                    sizeof(*line) * (d->line_count - i - 1U));
            d->config.lines[d->line_count - 1U] = *line;
            return true;
        }
    }
    return false;
}

uint16_t delivery_line_limit(const struct kwm_delivery *d)
{
    if (d->kind != KWM_BATCH_PROBE) {
        return d->line_cap_now;
    }
    const unsigned limit = QUEUED_RANGES_MAX * (unsigned)d->line_cap_now;
    return (uint16_t)(limit < d->config.line_slots ? limit : d->config.line_slots);
}

static void take_line(struct kwm_delivery *d, const struct kwm_sample *sample)
{
    struct kwm_batch_line line;
    describe(d, sample, &line);
    if (d->kind == KWM_BATCH_PROBE && replace_newest(d, &line)) {
        return;
    }
    if (d->line_count < delivery_line_limit(d)) {
        d->config.lines[d->line_count++] = line;
    }
}

static void begin_select(struct kwm_delivery *d)
{
    kwm_reader_seek(d->config.reader, d->base);
    d->end = d->base;
    d->base_sector = 0;
    d->kept_count = 0;
    d->kept_len = 0;
    d->is_select_begun = true;
}

/** Whether a sample may still get a time: one of an earlier boot that never had one cannot. */
static bool is_undated_yet(const struct kwm_delivery *d, const struct kwm_sample *sample)
{
    return sample->stamp_ms == 0 && sample->boot_id == d->config.spool->epochs.boot_id;
}

/** Whether the batch ends before this sample. */
static bool is_beyond(const struct kwm_delivery *d, const struct kwm_sample *sample)
{
    const bool is_full = d->kind != KWM_BATCH_PROBE && d->line_count == delivery_line_limit(d);
    return is_full || (d->kind == KWM_BATCH_DRAIN && sample->seq >= d->cursor) ||
           (d->kind == KWM_BATCH_MAIN && is_undated_yet(d, sample)) ||
           !kwm_spool_is_near(d->config.spool, d->base_sector, d->config.reader->sector_seq);
}

/** Samples between two numbers could not be read back: those in doubt may be stored. */
static void note_gap(struct kwm_delivery *d, uint64_t begin, uint64_t end)
{
    uint64_t mark = d->mark;
    for (unsigned i = 0; i < d->config.spool->config.series->measurement_count; i++) {
        const struct kwm_stream *stream = &d->config.streams[i];
        const bool is_behind = stream->state != KWM_STREAM_NORMAL;
        mark = is_behind && stream->mark > mark ? stream->mark : mark;
    }
    end = end < mark ? end : mark;
    d->doubtful_gap += end > begin ? end - begin : 0;
}

bool delivery_select(struct kwm_delivery *d)
{
    struct kwm_reader *reader = d->config.reader;
    if (!d->is_select_begun) {
        begin_select(d);
    }
    unsigned budget = KWM_DELIVERY_RECORDS_MAX;
    struct kwm_sample sample;
    kwm_reader_seek(reader, d->end);
    for (kwm_reader_mark(reader, &d->at_end); kwm_reader_next(reader, &sample, &budget) == 1;
         kwm_reader_mark(reader, &d->at_end)) {
        if (d->line_count == 0) {
            d->at_base = d->at_end; /* just before the sample */
        }
        if (d->base_sector == 0) {
            d->base_sector = reader->sector_seq;
        }
        if (is_beyond(d, &sample)) {
            d->end = sample.seq;
            return true;
        }
        note_gap(d, d->end, sample.seq);
        if (is_wanted(d, &sample)) {
            take_line(d, &sample);
        }
        d->end = sample.seq + 1U;
    }
    if (budget == 0) {
        return false;
    }
    note_gap(d, d->end, d->config.spool->seq_next);
    d->end = d->config.spool->seq_next;
    return true;
}

void delivery_queue(struct kwm_delivery *d)
{
    const uint16_t step = d->line_cap_now;
    d->range_count = 0;
    /* The last range is sent first. A probe may need two requests where one holds one line only. */
    for (unsigned end = d->line_count; end > 0;) {
        KWM_ASSERT(d->range_count < QUEUED_RANGES_MAX);
        const unsigned begin = (end - 1U) / step * step;
        d->ranges[d->range_count++] = (struct kwm_range){(uint16_t)begin, (uint16_t)end};
        end = begin;
    }
}

uint32_t delivery_measure(struct kwm_delivery *d, struct kwm_range range, uint16_t *count)
{
    uint32_t len = 0;
    *count = 0;
    for (unsigned i = range.begin; i < range.end; i++) {
        if (delivery_is_sent(d, &d->config.lines[i])) {
            len += d->config.lines[i].len + (*count > 0 ? 1U : 0U);
            (*count)++;
        }
    }
    return len;
}

int delivery_body_rewind(void *ctx)
{
    struct kwm_delivery *d = ctx;
    d->send_at = 0;
    d->send_off = 0;
    while (d->send_at < d->range.begin) {
        d->send_off += d->config.lines[d->send_at++].len;
    }
    d->is_body_begun = false;
    kwm_reader_return(d->config.reader, &d->at_base);
    return KWM_OK;
}

bool delivery_read(struct kwm_delivery *d, uint64_t seq, struct kwm_sample *sample)
{
    struct kwm_reader *reader = d->config.reader;
    unsigned budget =
        2U * d->config.spool->config.flash->geometry.sector_len; /* no record is less */
    kwm_reader_seek(reader, seq);
    const int got = kwm_reader_next(reader, sample, &budget);
    return got == 1 && sample->seq == seq;
}

/** Write one line of the batch. @return its length, or KWM_ERR_STATE if it is not what it was. */
static int write_line(struct kwm_delivery *d, const struct kwm_batch_line *line, uint8_t *out,
                      size_t cap)
{
    struct kwm_sample sample;
    if (d->send_at < d->kept_count) {
        memcpy(out, d->config.line + d->send_off, line->len);
        return line->len;
    }
    if (!delivery_read(d, delivery_seq(d, line), &sample)) {
        return KWM_ERR_STATE;
    }
    struct kwm_line_losses *losses = &d->config.spool->config.series->losses;
    const struct kwm_line_losses counted = *losses; /* when the line was described */
    const int len = delivery_encode(d, &sample, (char *)out, cap);
    *losses = counted;
    return len == (int)line->len ? len : KWM_ERR_STATE;
}

int delivery_body_read(void *ctx, uint8_t *out, size_t cap)
{
    struct kwm_delivery *d = ctx;
    size_t len = 0;
    while (d->send_at < d->range.end) {
        const struct kwm_batch_line *line = &d->config.lines[d->send_at];
        if (!delivery_is_sent(d, line)) {
            d->send_off += line->len;
            d->send_at++;
            continue;
        }
        const size_t separator = d->is_body_begun ? 1U : 0U;
        if (cap - len < line->len + separator) {
            break;
        }
        if (d->is_body_begun) {
            out[len++] = '\n';
        }
        d->is_body_begun = true;
        const int got = write_line(d, line, out + len, cap - len);
        if (got < 0) {
            return got;
        }
        len += (size_t)got;
        d->send_off += line->len;
        d->send_at++;
    }
    return (int)len;
}
