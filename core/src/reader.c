/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"
#include "kwm/reader.h"
#include "kwm/spool.h"
#include "sample_codec.h"
#include "spool_format.h"

static const uint8_t magic[4] = {'K', 'W', 'M', 'L'};

static uint8_t log2_of(uint32_t power)
{
    uint8_t bits = 0;
    while (power > 1U) {
        power >>= 1;
        bits++;
    }
    return bits;
}

void spool_write_header(const struct hal_flash_geometry *geometry,
                        const struct sector_header *header, uint8_t *out)
{
    memcpy(out, magic, sizeof(magic));
    out[4] = KWM_SPOOL_FORMAT;
    out[5] = log2_of(geometry->prog_len);
    kwm_put_u16(out + 6, header->hole);
    kwm_put_u32(out + 8, geometry->sector_len);
    kwm_put_u32(out + 12, geometry->sector_count);
    kwm_put_u32(out + 16, header->sector_seq);
    kwm_put_u32(out + 20, header->erase_count);
    kwm_put_u64(out + 24, header->seq_first);
    kwm_put_u64(out + 32, header->base_tick);
    kwm_put_u32(out + 40, header->boot_id);
    kwm_put_u32(out + 44, kwm_crc32c(0, out, 44));
}

/** What of a sector is staged: its bytes from *off on. @return how many. */
static uint32_t staged_part(const struct kwm_spool *spool, uint32_t sector, uint32_t *off,
                            const uint8_t **bytes)
{
    if (spool->old_len != 0 && sector == spool->old_sector) {
        *off = spool->old_off;
        *bytes = spool->config.stage;
        return spool->old_len;
    }
    *off = spool->stage_off;
    *bytes = spool->config.stage + spool->old_len;
    return sector == spool->head && spool->sector_seq != 0 ? spool->stage_len - spool->old_len : 0;
}

const uint8_t *spool_view(const struct kwm_spool *spool, uint32_t sector, uint32_t off,
                          uint32_t len, uint8_t *scratch)
{
    struct hal_flash *flash = spool->config.flash;
    const uint32_t base = sector * flash->geometry.sector_len;
    const uint8_t *staged = NULL;
    uint32_t staged_off = 0;
    const uint32_t staged_len = staged_part(spool, sector, &staged_off, &staged);
    const uint32_t begin = off > staged_off ? off : staged_off;
    const uint32_t end = off + len < staged_off + staged_len ? off + len : staged_off + staged_len;
    if (begin >= end && flash->mapped != NULL) {
        return flash->mapped + base + off;
    }
    if (scratch == NULL && begin == off && end == off + len) {
        return staged + (off - staged_off);
    }
    KWM_ASSERT(scratch != NULL);
    const bool is_all_staged = begin == off && end == off + len;
    if (!is_all_staged && hal_flash_read(flash, base + off, scratch, len) != KWM_OK) {
        return NULL;
    }
    if (begin < end) {
        memcpy(scratch + (begin - off), staged + (begin - staged_off), end - begin);
    }
    return scratch;
}

int spool_read_header(const struct kwm_spool *spool, uint32_t sector, struct sector_header *header)
{
    uint8_t scratch[KWM_SPOOL_HEADER_LEN];
    const struct hal_flash_geometry *geometry = &spool->config.flash->geometry;
    const uint8_t *in = spool_view(spool, sector, 0, KWM_SPOOL_HEADER_LEN, scratch);
    if (in == NULL) {
        return KWM_ERR_IO;
    }
    if (memcmp(in, magic, sizeof(magic)) != 0 || in[4] != KWM_SPOOL_FORMAT ||
        in[5] != log2_of(geometry->prog_len) || kwm_get_u32(in + 8) != geometry->sector_len ||
        kwm_get_u32(in + 12) != geometry->sector_count ||
        kwm_get_u32(in + 44) != kwm_crc32c(0, in, 44)) {
        return KWM_ERR_CORRUPT;
    }
    header->hole = kwm_get_u16(in + 6);
    header->sector_seq = kwm_get_u32(in + 16);
    header->erase_count = kwm_get_u32(in + 20);
    header->seq_first = kwm_get_u64(in + 24);
    header->base_tick = kwm_get_u64(in + 32);
    header->boot_id = kwm_get_u32(in + 40);
    return KWM_OK;
}

uint32_t spool_records_off(const struct kwm_spool *spool)
{
    const uint32_t unit = spool->config.flash->geometry.prog_len;
    return (KWM_SPOOL_HEADER_LEN + unit - 1U) / unit * unit;
}

/** Whether the sector is still in the log, and nothing moved since the reader was placed. */
static bool is_alive(const struct kwm_reader *reader)
{
    const struct kwm_spool *spool = reader->spool;
    return reader->sector_seq != 0 && reader->shift == spool->shift &&
           spool->sector_seq - reader->sector_seq < spool_used(spool);
}

/** What is known of declarations in the head is void where they moved. */
static void follow_shift(struct kwm_reader *reader)
{
    if (reader->shift == reader->spool->shift) {
        return;
    }
    reader->shift = reader->spool->shift;
    for (unsigned i = 0; i < reader->local_cap; i++) {
        reader->locals[i].sector_seq = 0;
    }
}

/** Go to the beginning of the n-th sector of the log. An unreadable one is taken as empty. */
static void enter(struct kwm_reader *reader, uint32_t nth)
{
    struct kwm_spool *spool = reader->spool;
    const uint32_t count = spool->config.flash->geometry.sector_count;
    struct sector_header header = {0};
    follow_shift(reader);
    reader->sector = (spool->tail + nth) % count;
    reader->sector_seq = spool->sector_seq - (spool_used(spool) - 1U - nth);
    reader->local_count = 0;
    reader->epoch.source = KWM_EPOCH_NONE;
    reader->off = spool->config.flash->geometry.sector_len;
    reader->seq_end = UINT64_MAX;
    if (spool_read_header(spool, reader->sector, &header) != KWM_OK ||
        header.sector_seq != reader->sector_seq) {
        spool->counters.corrupt_sectors++;
        return;
    }
    reader->seq_first = header.seq_first;
    reader->base_tick = header.base_tick;
    reader->boot_id = header.boot_id;
    if (nth + 1U < spool_used(spool) &&
        spool_read_header(spool, (reader->sector + 1U) % count, &header) == KWM_OK) {
        reader->seq_end = header.seq_first;
    }
    reader->off = spool_records_off(spool);
}

/** @return which sector of the log, from the tail, holds the sample: the last that begins at or
 *  below. */
static uint32_t find(const struct kwm_spool *spool, uint64_t seq)
{
    uint32_t low = 0;
    uint32_t high = spool_used(spool);
    while (high - low > 1U) {
        const uint32_t middle = low + (high - low) / 2U;
        uint32_t at = middle;
        struct sector_header header;
        while (at < high &&
               spool_read_header(spool,
                                 (spool->tail + at) % spool->config.flash->geometry.sector_count,
                                 &header) != KWM_OK) {
            at++;
        }
        if (at < high && header.seq_first <= seq) {
            low = at;
        } else {
            high = middle;
        }
    }
    return low;
}

void kwm_reader_seek(struct kwm_reader *reader, uint64_t seq)
{
    KWM_ASSERT(reader->spool != NULL && reader->locals != NULL);
    const bool is_here = is_alive(reader) && reader->seq_next <= seq && seq < reader->seq_end;
    reader->seq_next = seq;
    if (is_here) {
        return;
    }
    reader->sector_seq = 0;
    if (spool_used(reader->spool) != 0) {
        enter(reader, find(reader->spool, seq));
    }
}

void kwm_reader_mark(const struct kwm_reader *reader, struct kwm_reader_mark *mark)
{
    *mark = (struct kwm_reader_mark){
        .sector_seq = reader->sector_seq,
        .off = reader->off,
        .seq_next = reader->seq_next,
        .base_tick = reader->base_tick,
        .boot_id = reader->boot_id,
        .shift = reader->shift,
        .local_count = reader->local_count,
        .epoch = reader->epoch,
    };
}

/** Whether the declarations before a mark are at hand: another sector may have been read meanwhile,
 *  and this one anew, but not as far. */
static bool has_locals(const struct kwm_reader *reader, const struct kwm_reader_mark *mark)
{
    for (unsigned i = 0; i < mark->local_count; i++) {
        if (reader->locals[i].sector_seq != mark->sector_seq) {
            return false;
        }
    }
    return true;
}

void kwm_reader_return(struct kwm_reader *reader, const struct kwm_reader_mark *mark)
{
    if (!is_alive(reader) || reader->sector_seq != mark->sector_seq ||
        reader->shift != mark->shift || !has_locals(reader, mark)) {
        reader->sector_seq = 0;
        kwm_reader_seek(reader, mark->seq_next);
        return;
    }
    reader->off = mark->off;
    reader->seq_next = mark->seq_next;
    reader->base_tick = mark->base_tick;
    reader->boot_id = mark->boot_id;
    reader->local_count = mark->local_count;
    reader->epoch = mark->epoch;
}

int spool_read_record(const struct kwm_spool *spool, uint32_t sector, uint32_t sector_seq,
                      uint32_t off, uint32_t limit, uint8_t *scratch, struct spool_record *record)
{
    const uint32_t left = limit - off;
    const uint32_t head_len = left < SPOOL_RECORD_HEAD_MAX ? left : SPOOL_RECORD_HEAD_MAX;
    const uint8_t *head = spool_view(spool, sector, off, head_len, scratch);
    if (head == NULL) {
        return KWM_ERR_IO;
    }
    if (head[0] == 0xFFU) {
        return 0;
    }
    *record = (struct spool_record){.type = head[0], .end = off + 1U};
    if (head[0] == 0) {
        return 1;
    }
    uint64_t len = 0;
    const uint8_t *payload = kwm_get_varint(head + 1, head + head_len, &len);
    if (payload == NULL || len > KWM_SPOOL_PAYLOAD_LEN_MAX) {
        return KWM_ERR_CORRUPT;
    }
    const uint32_t before = (uint32_t)(payload - head);
    const uint32_t total = before + (uint32_t)len + 4U;
    if (total > left) {
        return KWM_ERR_CORRUPT;
    }
    head = spool_view(spool, sector, off, total, scratch);
    if (head == NULL) {
        return KWM_ERR_IO;
    }
    if (kwm_get_u32(head + total - 4U) != kwm_crc32c(sector_seq, head, total - 4U)) {
        return KWM_ERR_CORRUPT;
    }
    record->payload_off = off + before;
    record->payload = head + before;
    record->len = (uint32_t)len;
    record->end = off + total;
    return 1;
}

int spool_parse_epoch(const struct spool_record *record, struct kwm_epoch *epoch)
{
    if (record->len != SPOOL_EPOCH_LEN || record->payload[12] >= KWM_EPOCH_PHASES ||
        record->payload[13] == KWM_EPOCH_NONE) {
        return KWM_ERR_CORRUPT;
    }
    *epoch = (struct kwm_epoch){
        .boot_id = kwm_get_u32(record->payload),
        .offset_ticks = (int64_t)kwm_get_u64(record->payload + 4),
        .phase = record->payload[12],
        .source = record->payload[13],
    };
    return KWM_OK;
}

const uint8_t *spool_parse_sample(const struct spool_record *record, uint64_t *id,
                                  uint64_t *seq_off, int64_t *tick_off)
{
    const uint8_t *end = record->payload + record->len;
    uint64_t tick = 0;
    const uint8_t *in = kwm_get_varint(record->payload, end, id);
    in = in != NULL ? kwm_get_varint(in, end, seq_off) : NULL;
    in = in != NULL ? kwm_get_varint(in, end, &tick) : NULL;
    *tick_off = kwm_unzigzag(tick);
    return in;
}

static int take_decl(struct kwm_reader *reader, const struct spool_record *record)
{
    if (reader->local_count == reader->local_cap) {
        return KWM_ERR_CORRUPT;
    }
    struct kwm_local *local = &reader->locals[reader->local_count++];
    /* Going back leaves entries that are still right: keep what was looked up. */
    if (local->sector_seq != reader->sector_seq || local->off != record->payload_off) {
        *local = (struct kwm_local){.sector_seq = reader->sector_seq,
                                    .off = record->payload_off,
                                    .len = (uint16_t)record->len};
    }
    return 0;
}

static int take_boot(struct kwm_reader *reader, const struct spool_record *record)
{
    if (record->len != SPOOL_BOOT_LEN) {
        return KWM_ERR_CORRUPT;
    }
    reader->boot_id = kwm_get_u32(record->payload);
    reader->base_tick = kwm_get_u64(record->payload + 4);
    return 0;
}

/** @return the measurement of a declaration, for who needs no more than that. */
static int resolve_measurement(struct kwm_reader *reader, struct kwm_local *local)
{
    if (local->generation != 0) {
        return local->slot;
    }
    struct kwm_decl decl;
    const uint8_t *bytes =
        spool_view(reader->spool, reader->sector, local->off, local->len, reader->scratch);
    if (bytes == NULL || kwm_decl_parse(&decl, bytes, local->len) != KWM_OK) {
        return KWM_ERR_CORRUPT;
    }
    const int measurement = kwm_series_measurement(reader->spool->config.series, decl.measurement);
    if (measurement >= 0) {
        local->slot = (uint16_t)measurement;
        local->generation = 1;
    }
    return measurement;
}

/** @return the series' slot, taken into the table again if it was retired; or an error. */
static int resolve(struct kwm_reader *reader, uint64_t id)
{
    if (id >= reader->local_count) {
        return KWM_ERR_CORRUPT;
    }
    struct kwm_local *local = &reader->locals[id];
    if (reader->wants_measurement_only) {
        return resolve_measurement(reader, local);
    }
    struct kwm_series_table *table = reader->spool->config.series;
    if (local->generation != 0 && table->slots[local->slot].generation == local->generation) {
        return local->slot;
    }
    const uint8_t *bytes =
        spool_view(reader->spool, reader->sector, local->off, local->len, reader->scratch);
    const int slot = bytes == NULL ? KWM_ERR_IO : kwm_series_intern(table, bytes, local->len);
    if (slot >= 0) {
        local->slot = (uint16_t)slot;
        local->generation = table->slots[slot].generation;
    }
    return slot;
}

/** First epoch of a boot, for its samples from before it; source NONE: there is none (yet). */
static const struct kwm_epoch *first_epoch(const struct kwm_spool *spool, uint32_t boot_id)
{
    static const struct kwm_epoch none = {.source = KWM_EPOCH_NONE};
    if (boot_id == spool->epochs.boot_id) {
        return &spool->epochs.first;
    }
    for (unsigned i = 0; i < spool->late_count; i++) {
        if (spool->late[i].boot_id == boot_id) {
            return &spool->late[i].epoch;
        }
    }
    return &none;
}

static int64_t stamp_of(const struct kwm_reader *reader, uint64_t tick)
{
    if (reader->epoch.source != KWM_EPOCH_NONE && reader->epoch.boot_id == reader->boot_id) {
        return kwm_epoch_stamp_ms(&reader->epoch, tick);
    }
    const struct kwm_epoch *first = first_epoch(reader->spool, reader->boot_id);
    return first->source != KWM_EPOCH_NONE ? kwm_epoch_stamp_ms(first, tick) : 0;
}

/** @return 1 with the sample, 0 if it lies below seq_next, or an error. */
static int take_sample(struct kwm_reader *reader, const struct spool_record *record,
                       struct kwm_sample *sample)
{
    uint64_t id = 0;
    uint64_t seq = 0;
    int64_t tick_off = 0;
    const uint8_t *in = spool_parse_sample(record, &id, &seq, &tick_off);
    if (in == NULL) {
        return KWM_ERR_CORRUPT;
    }
    seq += reader->seq_first;
    if (seq < reader->seq_next) {
        return 0;
    }
    const uint32_t values_off = (uint32_t)(in - record->payload);
    const int slot = resolve(reader, id);
    if (slot < 0) {
        return slot;
    }
    const uint8_t *payload = spool_view(reader->spool, reader->sector, record->payload_off,
                                        record->len, reader->scratch);
    if (payload == NULL) {
        return KWM_ERR_IO;
    }
    *sample = (struct kwm_sample){
        .seq = seq,
        .tick = reader->base_tick + (uint64_t)tick_off,
        .boot_id = reader->boot_id,
        .slot = reader->wants_measurement_only ? KWM_SERIES_NONE : (uint16_t)slot,
        .measurement = reader->wants_measurement_only
                           ? (uint16_t)slot
                           : reader->spool->config.series->slots[slot].measurement,
        .is_partial = record->type == KWM_RECORD_PARTIAL,
        .values = payload + values_off,
        .values_len = (uint16_t)(record->len - values_off),
    };
    sample->stamp_ms = stamp_of(reader, sample->tick);
    return 1;
}

static int take(struct kwm_reader *reader, const struct spool_record *record,
                struct kwm_sample *sample)
{
    switch (record->type) {
    case KWM_RECORD_DECL:
        return take_decl(reader, record);
    case KWM_RECORD_SAMPLE:
    case KWM_RECORD_PARTIAL:
        return take_sample(reader, record, sample);
    case KWM_RECORD_EPOCH:
        return spool_parse_epoch(record, &reader->epoch);
    case KWM_RECORD_BOOT:
        return take_boot(reader, record);
    default: /* padding, checkpoints, dead letters, and what a later version may add */
        return 0;
    }
}

/** @return whether there is another sector; the reader is in it then. */
static bool next_sector(struct kwm_reader *reader)
{
    if (reader->sector_seq == reader->spool->sector_seq) {
        return false;
    }
    const uint32_t used = spool_used(reader->spool);
    enter(reader, used - (reader->spool->sector_seq - reader->sector_seq));
    return true;
}

int kwm_reader_next(struct kwm_reader *reader, struct kwm_sample *sample, unsigned *budget)
{
    struct kwm_spool *spool = reader->spool;
    if (!is_alive(reader)) {
        kwm_reader_seek(reader, reader->seq_next);
    }
    while (*budget > 0 && reader->sector_seq != 0) {
        (*budget)--;
        const uint32_t len = spool->config.flash->geometry.sector_len;
        const uint32_t limit = reader->sector == spool->head ? spool->off : len;
        struct spool_record record = {0};
        int got = reader->off < limit
                      ? spool_read_record(spool, reader->sector, reader->sector_seq, reader->off,
                                          limit, reader->scratch, &record)
                      : 0;
        if (got == 0) {
            if (!next_sector(reader)) {
                return 0;
            }
            continue;
        }
        got = got > 0 ? take(reader, &record, sample) : got;
        if (got < 0) {
            spool->counters.corrupt_sectors++;
            reader->off = limit;
            continue;
        }
        reader->off = record.end;
        if (got == 1) {
            reader->seq_next = sample->seq + 1U;
            return 1;
        }
    }
    return 0;
}

int kwm_sample_values(const struct kwm_spool *spool, const struct kwm_sample *sample,
                      struct hal_value *values)
{
    struct kwm_decl decl;
    kwm_series_decl(spool->config.series, sample->slot, &decl);
    return sample_read(&decl, sample->values, sample->values_len, sample->is_partial, values);
}
