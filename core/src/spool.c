/* SPDX-License-Identifier: MIT */
#include "kwm/spool.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"
#include "sample_codec.h"
#include "spool_format.h"

#define PUMP_MAX 8U
#define DEAD_TEXT_LEN_MAX 120U

static uint32_t sector_count(const struct kwm_spool *spool)
{
    return spool->config.flash->geometry.sector_count;
}

static uint32_t sector_len(const struct kwm_spool *spool)
{
    return spool->config.flash->geometry.sector_len;
}

static uint32_t round_up(const struct kwm_spool *spool, uint32_t len)
{
    const uint32_t unit = spool->config.flash->geometry.prog_len;
    return (len + unit - 1U) / unit * unit;
}

static bool is_geometry_valid(const struct hal_flash_geometry *geometry)
{
    const uint32_t prog_len = geometry->prog_len;
    return prog_len >= 1 && prog_len <= 256 && (prog_len & (prog_len - 1U)) == 0 &&
           geometry->sector_len >= 512 && geometry->sector_len <= (1U << 20) &&
           geometry->sector_len % prog_len == 0 && geometry->sector_count >= 4 &&
           geometry->sector_count <= UINT16_MAX;
}

int kwm_spool_init(struct kwm_spool *spool, const struct kwm_spool_config *config, uint32_t boot_id)
{
    KWM_ASSERT(config->flash != NULL && config->series != NULL && config->dropper != NULL);
    const struct hal_flash_geometry *geometry = &config->flash->geometry;
    if (!is_geometry_valid(geometry) ||
        config->stage_cap < KWM_SPOOL_STAGE_LEN_MIN(geometry->prog_len)) {
        return KWM_ERR_INVAL;
    }
    *spool = (struct kwm_spool){.config = *config, .pinned_from = KWM_SEQ_NONE};
    kwm_epochs_init(&spool->epochs, boot_id);
    spool->head = sector_count(spool) - 1U; /* the first one to be opened is sector 0 */
    spool->tail = 0;
    config->dropper->spool = spool;
    config->dropper->sector_seq = 0;
    config->dropper->wants_measurement_only = true;
    kwm_spool_step(spool);
    return KWM_OK;
}

void kwm_spool_pin(struct kwm_spool *spool, uint64_t from)
{
    spool->pinned_from = from;
}

uint32_t spool_used(const struct kwm_spool *spool)
{
    if (spool->sector_seq == 0) {
        return 0;
    }
    return (spool->head + sector_count(spool) - spool->tail) % sector_count(spool) + 1U;
}

bool kwm_spool_is_near(const struct kwm_spool *spool, uint32_t older_sector_seq,
                       uint32_t newer_sector_seq)
{
    return newer_sector_seq - older_sector_seq < sector_count(spool) / 2U;
}

/** First sample number of the sector after the tail: what is below goes with the tail. A sector
 *  whose head cannot be read holds nothing that could be: then it is the one after that. */
static uint64_t tail_end(const struct kwm_spool *spool)
{
    struct sector_header header;
    uint32_t sector = (spool->tail + 1U) % sector_count(spool);
    while (sector != spool->head) {
        if (spool_read_header(spool, sector, &header) == KWM_OK) {
            return header.seq_first;
        }
        sector = (sector + 1U) % sector_count(spool);
    }
    return spool->head_seq_first;
}

/** Tell what goes, then let the oldest sector go. */
static void drop_tail(struct kwm_spool *spool, uint64_t end)
{
    struct kwm_reader *dropper = spool->config.dropper;
    uint64_t expected = spool->seq_first;
    kwm_reader_seek(dropper, expected);
    struct kwm_sample sample;
    for (unsigned budget = sector_len(spool);
         expected < end && kwm_reader_next(dropper, &sample, &budget) == 1 && sample.seq < end;) {
        while (expected < sample.seq) {
            spool->config.on_drop(spool->config.ctx, expected++, KWM_SERIES_NONE);
        }
        spool->config.on_drop(spool->config.ctx, sample.seq, sample.measurement);
        expected = sample.seq + 1U;
    }
    while (expected < end) {
        spool->config.on_drop(spool->config.ctx, expected++, KWM_SERIES_NONE);
    }
    dropper->sector_seq = 0;
    spool->seq_first = end;
    spool->tail = (spool->tail + 1U) % sector_count(spool);
}

/** @return whether an erase was begun. */
static bool begin_erase(struct kwm_spool *spool)
{
    if (spool->is_next_erased || spool->is_erasing) {
        return false;
    }
    const uint32_t next = (spool->head + 1U) % sector_count(spool);
    if (spool->sector_seq != 0 && next == spool->tail) {
        const uint64_t end = tail_end(spool);
        if (spool->pinned_from < end) {
            return false;
        }
        drop_tail(spool, end);
    }
    if (hal_flash_erase(spool->config.flash, next) != KWM_OK) {
        spool->counters.flash_errors++;
        return false;
    }
    spool->counters.erases++;
    spool->is_erasing = true;
    return true;
}

static bool begin_prog(struct kwm_spool *spool)
{
    const uint32_t unit = spool->config.flash->geometry.prog_len;
    const uint32_t len = spool->stage_len / unit * unit;
    if (len == 0) {
        return false;
    }
    const uint32_t off = spool->head * sector_len(spool) + spool->stage_off;
    if (hal_flash_prog(spool->config.flash, off, spool->config.stage, len) != KWM_OK) {
        spool->counters.flash_errors++;
        return false;
    }
    spool->busy_len = len;
    return true;
}

/** What was staged is lost, and the rest of the head cannot be trusted: the next record opens a
 *  sector. */
static void give_up_head(struct kwm_spool *spool)
{
    spool->busy_len = 0;
    spool->stage_len = 0;
    spool->off = sector_len(spool);
    spool->stage_off = sector_len(spool);
}

/** Take note of what has ended. @return false while something still goes on. */
static bool finish(struct kwm_spool *spool)
{
    if (!kwm_spool_is_busy(spool)) {
        return true;
    }
    const int done = hal_flash_poll(spool->config.flash);
    if (done == 0) {
        return false;
    }
    spool->counters.flash_errors += done < 0 ? 1U : 0U;
    if (spool->is_erasing) {
        spool->is_erasing = false;
        spool->is_next_erased = done > 0;
    }
    if (spool->busy_len != 0 && done < 0) {
        give_up_head(spool);
    } else if (spool->busy_len != 0) {
        const uint32_t len = spool->busy_len;
        spool->busy_len = 0;
        memmove(spool->config.stage, spool->config.stage + len, spool->stage_len - len);
        spool->stage_len -= len;
        spool->stage_off += len;
        spool->counters.bytes_programmed += len;
    }
    return true;
}

void kwm_spool_step(struct kwm_spool *spool)
{
    for (unsigned i = 0; i < PUMP_MAX; i++) {
        if (!finish(spool) || (!begin_prog(spool) && !begin_erase(spool))) {
            return;
        }
    }
}

bool kwm_spool_is_busy(const struct kwm_spool *spool)
{
    return spool->busy_len != 0 || spool->is_erasing;
}

/** Put a record into the stage; the caller made sure that it fits. payload is already in place. */
static void seal_record(struct kwm_spool *spool, enum kwm_record_type type, size_t payload_len)
{
    uint8_t *head = spool->config.stage + spool->stage_len;
    head[0] = (uint8_t)type;
    uint8_t *payload = kwm_put_varint(head + 1, payload_len);
    memmove(payload, head + SPOOL_RECORD_HEAD_MAX, payload_len);
    uint8_t *end = payload + payload_len;
    kwm_put_u32(end, kwm_crc32c(spool->sector_seq, head, (size_t)(end - head)));
    const uint32_t len = (uint32_t)(end + 4 - head);
    spool->stage_len += len;
    spool->off += len;
    spool->counters.bytes_recorded += len;
}

static uint8_t *payload_place(struct kwm_spool *spool)
{
    return spool->config.stage + spool->stage_len + SPOOL_RECORD_HEAD_MAX;
}

static void put_epoch(struct kwm_spool *spool)
{
    const struct kwm_epoch *epoch = &spool->epochs.current;
    uint8_t *out = payload_place(spool);
    kwm_put_u32(out, epoch->boot_id);
    kwm_put_u64(out + 4, (uint64_t)epoch->offset_ticks);
    out[12] = epoch->phase;
    out[13] = epoch->source;
    seal_record(spool, KWM_RECORD_EPOCH, SPOOL_EPOCH_LEN);
    spool->is_epoch_due = false;
}

/** Everything staged goes out, the last unit padded with zeros. @return whether it is out. */
static bool flush_stage(struct kwm_spool *spool)
{
    const uint32_t padded = round_up(spool, spool->stage_len);
    if (spool->busy_len == 0 && padded != spool->stage_len) {
        memset(spool->config.stage + spool->stage_len, 0, padded - spool->stage_len);
        spool->off += padded - spool->stage_len;
        spool->stage_len = padded;
    }
    kwm_spool_step(spool);
    return spool->stage_len == 0;
}

static int open_sector(struct kwm_spool *spool, uint64_t base_tick)
{
    if (spool->stage_len != 0 && !flush_stage(spool)) {
        return KWM_ERR_NOSPC;
    }
    kwm_spool_step(spool);
    if (!spool->is_next_erased) {
        return KWM_ERR_NOSPC;
    }
    spool->head = (spool->head + 1U) % sector_count(spool);
    spool->sector_seq++;
    spool->is_next_erased = false;
    spool->head_seq_first = spool->seq_next;
    spool->base_tick = base_tick;
    spool->local_count = 0;
    spool->stage_off = 0;
    const struct sector_header header = {
        .sector_seq = spool->sector_seq,
        .seq_first = spool->seq_next,
        .base_tick = base_tick,
        .boot_id = spool->epochs.boot_id,
    };
    spool_write_header(&spool->config.flash->geometry, &header, spool->config.stage);
    spool->stage_len = round_up(spool, KWM_SPOOL_HEADER_LEN);
    memset(spool->config.stage + KWM_SPOOL_HEADER_LEN, 0, spool->stage_len - KWM_SPOOL_HEADER_LEN);
    spool->off = spool->stage_len;
    if (spool->epochs.current.source != KWM_EPOCH_NONE) {
        put_epoch(spool);
    }
    return KWM_OK;
}

/** Make sure that the stage has room for len bytes. @return whether it has. */
static bool reserve(struct kwm_spool *spool, size_t len)
{
    if (spool->config.stage_cap - spool->stage_len < len + SPOOL_RECORD_HEAD_MAX) {
        kwm_spool_step(spool);
    }
    return spool->config.stage_cap - spool->stage_len >= len + SPOOL_RECORD_HEAD_MAX;
}

/** Whether an empty sector, and an empty stage, have room for so much behind head and epoch. */
static bool can_fit(const struct kwm_spool *spool, size_t len)
{
    const size_t total = round_up(spool, KWM_SPOOL_HEADER_LEN) + SPOOL_EPOCH_LEN +
                         KWM_RECORD_OVERHEAD + len + SPOOL_RECORD_HEAD_MAX;
    return total <= sector_len(spool) && total <= spool->config.stage_cap;
}

static bool is_declared(const struct kwm_spool *spool, const struct kwm_series *series)
{
    return spool->sector_seq != 0 && series->sector_seq == spool->sector_seq;
}

static bool has_local(const struct kwm_spool *spool)
{
    return spool->local_count < spool->config.dropper->local_cap;
}

static void put_decl(struct kwm_spool *spool, struct kwm_series *series)
{
    memcpy(payload_place(spool), spool->config.series->pool + series->decl_off, series->decl_len);
    seal_record(spool, KWM_RECORD_DECL, series->decl_len);
    series->sector_seq = spool->sector_seq;
    series->local_id = spool->local_count++;
}

/**
 * Get ready to write a payload about a series: open a sector if need be, declare the series in it.
 * @param len upper bound of the payload.
 */
static int prepare(struct kwm_spool *spool, struct kwm_series *series, size_t len, uint64_t tick)
{
    const size_t decl_need = series->decl_len + KWM_RECORD_OVERHEAD;
    const size_t need = len + KWM_RECORD_OVERHEAD;
    if (len > KWM_SPOOL_PAYLOAD_LEN_MAX || !can_fit(spool, need + decl_need)) {
        return KWM_ERR_NOSPC;
    }
    const bool is_known = is_declared(spool, series);
    const size_t here = need + (is_known ? 0 : decl_need) +
                        (spool->is_epoch_due ? SPOOL_EPOCH_LEN + KWM_RECORD_OVERHEAD : 0);
    const bool is_full = spool->sector_seq == 0 || (!is_known && !has_local(spool)) ||
                         sector_len(spool) - spool->off < here;
    if (is_full ? open_sector(spool, tick) != KWM_OK : !reserve(spool, here)) {
        return KWM_ERR_NOSPC;
    }
    if (spool->is_epoch_due) {
        put_epoch(spool);
    }
    if (!is_declared(spool, series)) {
        put_decl(spool, series);
    }
    return KWM_OK;
}

int kwm_spool_append(struct kwm_spool *spool, unsigned slot, uint64_t tick,
                     const struct hal_value *values, uint64_t *seq)
{
    struct kwm_series *series = &spool->config.series->slots[slot];
    struct kwm_decl decl;
    kwm_series_decl(spool->config.series, slot, &decl);
    const struct sample_size size = sample_measure(&decl, values);
    if (size.present == 0) {
        return KWM_ERR_NOENT;
    }
    if (tick <= series->tick_newest) {
        tick = series->tick_newest + 1U;
    }
    const int err = prepare(spool, series, size.len + SPOOL_SAMPLE_HEAD_MAX, tick);
    if (err != KWM_OK) {
        return err;
    }
    kwm_series_give_tick(spool->config.series, slot, tick);
    kwm_epochs_given(&spool->epochs, tick);
    *seq = spool->seq_next++;
    uint8_t *start = payload_place(spool);
    uint8_t *out = kwm_put_varint(start, series->local_id);
    out = kwm_put_varint(out, *seq - spool->head_seq_first);
    out = kwm_put_varint(out, kwm_zigzag((int64_t)(tick - spool->base_tick)));
    out = sample_write(out, &decl, values, size.is_partial);
    seal_record(spool, size.is_partial ? KWM_RECORD_PARTIAL : KWM_RECORD_SAMPLE,
                (size_t)(out - start));
    kwm_spool_step(spool);
    return KWM_OK;
}

int kwm_spool_append_dead(struct kwm_spool *spool, const struct kwm_sample *sample, uint8_t reason,
                          const char *text, size_t len)
{
    struct kwm_series *series = &spool->config.series->slots[sample->slot];
    len = len < DEAD_TEXT_LEN_MAX ? len : DEAD_TEXT_LEN_MAX;
    const int err =
        prepare(spool, series, SPOOL_DEAD_HEAD_MAX + len + sample->values_len, sample->tick);
    if (err != KWM_OK) {
        return err;
    }
    uint8_t *start = payload_place(spool);
    start[0] = reason;
    start[1] = sample->is_partial ? 1 : 0;
    start[2] = (uint8_t)len;
    memcpy(start + 3, text, len);
    uint8_t *out = kwm_put_varint(start + 3 + len, series->local_id);
    out = kwm_put_varint(out, kwm_zigzag(sample->stamp_ms));
    memcpy(out, sample->values, sample->values_len);
    seal_record(spool, KWM_RECORD_DEAD, (size_t)(out + sample->values_len - start));
    kwm_spool_step(spool);
    return KWM_OK;
}

void kwm_spool_set_wall(struct kwm_spool *spool, uint64_t now_ms, uint64_t oldest_ms,
                        struct hal_wall wall, enum kwm_epoch_source source)
{
    if (!kwm_epochs_update(&spool->epochs, now_ms, oldest_ms, wall, source) ||
        spool->sector_seq == 0) {
        return; /* the first sector will begin with it */
    }
    const size_t need = SPOOL_EPOCH_LEN + KWM_RECORD_OVERHEAD;
    spool->is_epoch_due = true;
    if (sector_len(spool) - spool->off >= need && reserve(spool, need)) {
        put_epoch(spool);
        kwm_spool_step(spool);
    }
}
