/* SPDX-License-Identifier: MIT */
#include "kwm/spool.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"
#include "sample_codec.h"
#include "spool_format.h"

#define PUMP_MAX 8U
#define DEAD_TEXT_LEN_MAX 120U
#define CHECKPOINT_LEN_MIN KWM_SPOOL_SAVE_LEN_MIN
/* Payloads of a checkpoint, and of the boot and epoch records that may go before it. */
#define CHECKPOINT_ROOM                                                                  \
    (SPOOL_CHECKPOINT_HEAD_MAX + CHECKPOINT_LEN_MIN + SPOOL_BOOT_LEN + SPOOL_EPOCH_LEN + \
     2U * KWM_RECORD_OVERHEAD)
#define BAD_RUN_MAX 3U

static int put_checkpoint(struct kwm_spool *spool, bool may_overtake);

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

/** Whether a sector has room for its head and a checkpoint, and some of it is left: else every
 *  checkpoint would cost a sector. */
static bool can_save(const struct hal_flash_geometry *geometry)
{
    const uint32_t prog_len = geometry->prog_len;
    const uint32_t head_len = (KWM_SPOOL_HEADER_LEN + prog_len - 1U) / prog_len * prog_len;
    return head_len + SPOOL_EPOCH_LEN + CHECKPOINT_ROOM + 2U * KWM_RECORD_OVERHEAD +
               2U * prog_len <=
           geometry->sector_len;
}

int kwm_spool_init(struct kwm_spool *spool, const struct kwm_spool_config *config)
{
    KWM_ASSERT(config->flash != NULL && config->series != NULL && config->dropper != NULL);
    const struct hal_flash_geometry *geometry = &config->flash->geometry;
    KWM_ASSERT(config->save != NULL || !geometry->is_durable);
    if (!is_geometry_valid(geometry) || (geometry->is_durable && !can_save(geometry)) ||
        config->stage_cap < KWM_SPOOL_STAGE_LEN_MIN(geometry->prog_len)) {
        return KWM_ERR_INVAL;
    }
    *spool =
        (struct kwm_spool){.config = *config, .pinned_from = KWM_SEQ_NONE, .is_erase_noted = true};
    spool->config.hold_ms = geometry->is_durable ? config->hold_ms : 0;
    spool->head = spool_sector_count(spool) - 1U; /* the first one to be opened is sector 0 */
    spool->tail = 0;
    config->dropper->spool = spool;
    config->dropper->sector_seq = 0;
    config->dropper->wants_measurement_only = true;
    kwm_epochs_init(&spool->epochs, 1);
    if (geometry->is_durable) {
        spool_mount(spool); /* nothing may go before the owner has its positions again */
    } else {
        kwm_spool_step(spool);
    }
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
    return (spool->head + spool_sector_count(spool) - spool->tail) % spool_sector_count(spool) + 1U;
}

bool kwm_spool_is_near(const struct kwm_spool *spool, uint32_t older_sector_seq,
                       uint32_t newer_sector_seq)
{
    return newer_sector_seq - older_sector_seq < spool_sector_count(spool) / 2U;
}

/** Where the tail's samples end, and where those behind it begin: between them are numbers that no
 *  sample has. A sector whose head cannot be read holds nothing that could be: then it is the one
 *  after that. */
static uint64_t tail_end(const struct kwm_spool *spool, uint64_t *next_first)
{
    struct sector_header header = {0};
    uint32_t sector = spool_sector_after(spool, spool->tail);
    while (sector != spool->head) {
        if (spool_read_header(spool, sector, &header) == KWM_OK) {
            break;
        }
        sector = spool_sector_after(spool, sector);
    }
    if (sector == spool->head) {
        header =
            (struct sector_header){.hole = spool->head_hole, .seq_first = spool->head_seq_first};
    }
    *next_first = header.seq_first;
    return header.seq_first - header.hole;
}

/** Tell what goes, then let the oldest sector go. */
static void drop_tail(struct kwm_spool *spool, uint64_t end, uint64_t next_first)
{
    struct kwm_reader *dropper = spool->config.dropper;
    uint64_t expected = spool->seq_first;
    kwm_reader_seek(dropper, expected);
    struct kwm_sample sample;
    for (unsigned budget = spool_sector_len(spool);
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
    spool->seq_first = next_first;
    spool->tail = spool_sector_after(spool, spool->tail);
}

static bool is_durable(const struct kwm_spool *spool)
{
    return spool->config.flash->geometry.is_durable;
}

static bool is_full_circle(const struct kwm_spool *spool)
{
    return spool->sector_seq != 0 && spool_sector_after(spool, spool->head) == spool->tail;
}

/** Let the tail go if the next sector is it. @return false while it has to stay. */
static bool release_tail(struct kwm_spool *spool)
{
    if (is_full_circle(spool)) {
        uint64_t next_first = 0;
        const uint64_t end = tail_end(spool, &next_first);
        if (spool->pinned_from < next_first) {
            return false;
        }
        drop_tail(spool, end, next_first);
        spool->is_erase_noted = false;
    }
    return true;
}

/** Bytes that the head has left. */
static uint32_t head_room(const struct kwm_spool *spool)
{
    return spool_sector_len(spool) - spool->off;
}

/** Whether the head has room for a checkpoint and the padding behind it. */
static bool has_checkpoint_room(const struct kwm_spool *spool)
{
    return head_room(spool) >=
           CHECKPOINT_ROOM + KWM_RECORD_OVERHEAD + 2U * spool->config.flash->geometry.prog_len;
}

/** What was let go is counted where a power cut cannot reach it, before it is erased: unless the
 *  head has no room for that, and gets none before the erase. @return whether that is so. */
static bool is_drop_saved(struct kwm_spool *spool)
{
    if (!is_durable(spool) || spool->is_erase_noted) {
        return !is_durable(spool) || spool->checkpoint != KWM_CHECKPOINT_STAGED;
    }
    if (!has_checkpoint_room(spool)) {
        return true;
    }
    spool->is_erase_noted = put_checkpoint(spool, false) == KWM_OK;
    return false;
}

/** @return whether an erase was begun. */
static bool begin_erase(struct kwm_spool *spool)
{
    if (spool->is_next_erased || spool->is_next_bad || !release_tail(spool) ||
        !is_drop_saved(spool)) {
        return false;
    }
    const uint32_t next = spool_sector_after(spool, spool->head);
    if (hal_flash_erase(spool->config.flash, next) != KWM_OK) {
        spool->counters.flash_errors++;
        return false;
    }
    spool->counters.erases++;
    spool->is_erasing = true;
    return true;
}

/** Staged bytes that go out now, in whole units, of one sector. */
static uint32_t due_len(struct kwm_spool *spool)
{
    const uint32_t unit = spool->config.flash->geometry.prog_len;
    if (spool->old_len != 0) {
        return spool->old_len; /* whole units: it was padded when the sector was left */
    }
    const uint32_t units = spool->stage_len / unit * unit;
    if (spool->config.hold_ms == 0) {
        return units;
    }
    const uint32_t wanted =
        spool->flush_to > spool->stage_off ? spool->flush_to - spool->stage_off : 0;
    return wanted < units ? wanted : units;
}

static bool begin_prog(struct kwm_spool *spool)
{
    const uint32_t len = due_len(spool);
    if (len == 0) {
        return false;
    }
    const bool is_old = spool->old_len != 0;
    const uint32_t sector = is_old ? spool->old_sector : spool->head;
    const uint32_t off =
        sector * spool_sector_len(spool) + (is_old ? spool->old_off : spool->stage_off);
    if (hal_flash_prog(spool->config.flash, off, spool->config.stage, len) != KWM_OK) {
        spool->counters.flash_errors++;
        return false;
    }
    spool->busy_len = len;
    if (!is_old && spool->stage_off + len > spool->keep_off) {
        spool->keep_off = spool->off; /* a record may have gone out in part: all of them stay */
        spool->keep_local_count = spool->local_count;
    }
    return true;
}

static bool begin_sync(struct kwm_spool *spool)
{
    if (!spool->is_sync_due || spool->old_len != 0 || spool->stage_off < spool->flush_to) {
        return false;
    }
    spool->is_sync_due = false;
    spool->counters.syncs++;
    const int err = hal_flash_sync(spool->config.flash);
    spool->is_syncing = err == KWM_OK;
    if (err < 0) {
        spool->counters.flash_errors++;
    }
    if (!spool->is_syncing && spool->checkpoint == KWM_CHECKPOINT_STAGED) {
        spool->checkpoint = err > 0 ? KWM_CHECKPOINT_SAVED : KWM_CHECKPOINT_NONE;
    }
    return true;
}

/** What was staged is lost, and the rest of the head cannot be trusted: the next record opens a
 *  sector. */
static void give_up_head(struct kwm_spool *spool)
{
    spool->busy_len = 0;
    spool->stage_len = 0;
    spool->old_len = 0;
    spool->off = spool_sector_len(spool);
    spool->stage_off = spool_sector_len(spool);
    spool->keep_off = spool_sector_len(spool);
    spool->flush_to = 0;
    spool->shift++;
    if (spool->checkpoint == KWM_CHECKPOINT_STAGED) {
        spool->checkpoint = KWM_CHECKPOINT_NONE;
        spool->is_sync_due = false;
    }
}

static void finish_prog(struct kwm_spool *spool)
{
    const uint32_t len = spool->busy_len;
    spool->busy_len = 0;
    memmove(spool->config.stage, spool->config.stage + len, spool->stage_len - len);
    spool->stage_len -= len;
    if (spool->old_len != 0) {
        spool->old_len -= len;
        spool->old_off += len;
    } else {
        spool->stage_off += len;
    }
    spool->counters.bytes_programmed += len;
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
        spool->is_next_bad = done < 0;
    } else if (spool->is_syncing) {
        spool->is_syncing = false;
        if (spool->checkpoint == KWM_CHECKPOINT_STAGED) {
            spool->checkpoint = done > 0 ? KWM_CHECKPOINT_SAVED : KWM_CHECKPOINT_NONE;
        }
    } else if (done < 0) {
        give_up_head(spool);
    } else {
        finish_prog(spool);
    }
    return true;
}

void kwm_spool_step(struct kwm_spool *spool)
{
    for (unsigned i = 0; i < PUMP_MAX; i++) {
        if (!finish(spool) || (!begin_prog(spool) && !begin_sync(spool) && !begin_erase(spool))) {
            return;
        }
    }
}

bool kwm_spool_is_busy(const struct kwm_spool *spool)
{
    return spool->busy_len != 0 || spool->is_erasing || spool->is_syncing;
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

/** What is staged now will be programmed in any case. */
static void keep_all(struct kwm_spool *spool)
{
    spool->keep_off = spool->off;
    spool->keep_local_count = spool->local_count;
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
    keep_all(spool);
}

/** From here on this boot writes. */
static void put_boot(struct kwm_spool *spool, uint64_t base_tick)
{
    uint8_t *out = payload_place(spool);
    kwm_put_u32(out, spool->epochs.boot_id);
    kwm_put_u64(out + 4, base_tick);
    seal_record(spool, KWM_RECORD_BOOT, SPOOL_BOOT_LEN);
    spool->base_tick = base_tick;
    spool->is_boot_due = false;
    keep_all(spool);
}

/** What has to go before the next record. */
static void put_due(struct kwm_spool *spool, uint64_t base_tick)
{
    if (spool->is_boot_due) {
        put_boot(spool, base_tick);
    }
    if (spool->is_epoch_due) {
        put_epoch(spool);
    }
}

/** Fill the last unit up with zeros, so that it can go out. */
static void pad_stage(struct kwm_spool *spool)
{
    const uint32_t pad = round_up(spool, spool->off) - spool->off;
    if (spool->stage_len > spool->old_len) {
        memset(spool->config.stage + spool->stage_len, 0, pad);
        spool->stage_len += pad;
        spool->off += pad;
    }
}

void kwm_spool_flush(struct kwm_spool *spool)
{
    pad_stage(spool);
    keep_all(spool);
    spool->flush_to = spool->off;
    spool->is_sync_due = is_durable(spool);
    spool->staged_ms = 0;
    kwm_spool_step(spool);
}

/** Reverse bytes in place. */
static void reverse(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len / 2U; i++) {
        const uint8_t kept = bytes[i];
        bytes[i] = bytes[len - 1U - i];
        bytes[len - 1U - i] = kept;
    }
}

/** The record at the end of the stage, len bytes of it, goes before what may go again; so that it
 *  can go out alone, it ends at a unit. */
static void overtake(struct kwm_spool *spool, uint32_t len)
{
    const uint32_t end = spool->off - len;
    const uint32_t pad = round_up(spool, spool->keep_off + len) - (spool->keep_off + len);
    memset(spool->config.stage + spool->stage_len, 0, pad);
    spool->stage_len += pad;
    spool->off += pad;
    uint8_t *from = spool->config.stage + spool->old_len + (spool->keep_off - spool->stage_off);
    reverse(from, end - spool->keep_off);
    reverse(from + (end - spool->keep_off), len + pad);
    reverse(from, end - spool->keep_off + len + pad);
    spool->keep_off += len + pad;
    spool->shift++;
}

/** Bytes that a checkpoint may take of a sector: the rest is for samples. */
static size_t checkpoint_max(const struct kwm_spool *spool)
{
    const size_t quarter = spool_sector_len(spool) / 4U;
    return SPOOL_CHECKPOINT_HEAD_MAX +
           (quarter > CHECKPOINT_LEN_MIN ? quarter : CHECKPOINT_LEN_MIN);
}

/** The spool's own part of a checkpoint. */
static uint8_t *put_checkpoint_head(const struct kwm_spool *spool, uint8_t *out)
{
    const struct kwm_epochs *epochs = &spool->epochs;
    kwm_put_u32(out, epochs->boot_id);
    kwm_put_u64(out + 4, spool->config.boot_mark);
    out[12] = epochs->current.phase;
    out = kwm_put_varint(out + 13, epochs->tick_newest);
    out = kwm_put_varint(out, kwm_zigzag(epochs->stamp_highest_ms));
    out = kwm_put_varint(out, spool->counters.erases);
    return kwm_put_varint(out, spool->counters.bytes_programmed);
}

/** Room for a payload in stage and head, less what padding may take. */
static size_t payload_room(const struct kwm_spool *spool)
{
    const size_t stage = spool->config.stage_cap - spool->stage_len;
    const size_t head = spool_sector_len(spool) - spool->off;
    const size_t room = stage < head ? stage : head;
    const size_t taken = KWM_RECORD_OVERHEAD + 2U * spool->config.flash->geometry.prog_len;
    const size_t left = room > taken ? room - taken : 0;
    return left < KWM_SPOOL_PAYLOAD_LEN_MAX ? left : KWM_SPOOL_PAYLOAD_LEN_MAX;
}

static int put_checkpoint(struct kwm_spool *spool, bool may_overtake)
{
    if (payload_room(spool) < SPOOL_CHECKPOINT_HEAD_MAX + CHECKPOINT_LEN_MIN) {
        return KWM_ERR_NOSPC;
    }
    const uint32_t before = spool->off;
    uint8_t *start = payload_place(spool);
    uint8_t *out = put_checkpoint_head(spool, start);
    size_t cap = payload_room(spool);
    cap = (cap < checkpoint_max(spool) ? cap : checkpoint_max(spool)) - (size_t)(out - start);
    out += spool->config.save(spool->config.ctx, out, cap);
    seal_record(spool, KWM_RECORD_CHECKPOINT, (size_t)(out - start));
    if (may_overtake && spool->keep_off >= spool->stage_off && spool->keep_off < before) {
        overtake(spool, spool->off - before);
        spool->flush_to = spool->keep_off;
    } else {
        pad_stage(spool);
        keep_all(spool);
        spool->flush_to = spool->off;
        spool->staged_ms = 0;
    }
    spool->checkpoint = KWM_CHECKPOINT_STAGED;
    spool->is_sync_due = true;
    spool->counters.checkpoints++;
    return KWM_OK;
}

/** Leave a sector that cannot be erased out: it is one of the log without anything in it. */
static void pass_over_bad(struct kwm_spool *spool)
{
    if (!spool->is_next_bad) {
        return;
    }
    spool->is_next_bad = false;
    if (spool->bad_run >= BAD_RUN_MAX || spool->bad_run * 4U >= spool_sector_count(spool)) {
        return; /* that many are no chance: the medium refuses, and what it holds stays */
    }
    spool->bad_run++;
    spool->counters.bad_sectors++;
    spool->head = spool_sector_after(spool, spool->head);
    spool->sector_seq++;
    spool->shift++;
    spool->stage_off = spool_sector_len(spool);
    spool->keep_off = spool_sector_len(spool);
    spool->off = spool_sector_len(spool);
    spool->flush_to = 0;
}

static int open_sector(struct kwm_spool *spool, uint64_t base_tick)
{
    if (spool->old_len != 0 || (spool->is_next_bad && spool->stage_len != 0)) {
        kwm_spool_flush(spool);
    }
    if (spool->old_len != 0) {
        return KWM_ERR_NOSPC;
    }
    if (spool->stage_len == 0) {
        pass_over_bad(spool);
    }
    kwm_spool_step(spool);
    const uint32_t need = round_up(spool, KWM_SPOOL_HEADER_LEN) + SPOOL_EPOCH_LEN +
                          KWM_RECORD_OVERHEAD + 2U * spool->config.flash->geometry.prog_len;
    if (!spool->is_next_erased || spool->config.stage_cap - spool->stage_len < need) {
        kwm_spool_flush(spool);
        return KWM_ERR_NOSPC;
    }
    pad_stage(spool);
    spool->old_sector = spool->head;
    spool->old_off = spool->stage_off;
    spool->old_len = spool->stage_len;
    spool->head = spool_sector_after(spool, spool->head);
    spool->sector_seq++;
    spool->is_next_erased = false;
    spool->bad_run = 0;
    spool->head_seq_first = spool->seq_next;
    spool->head_hole = (uint16_t)(spool->hole < UINT16_MAX ? spool->hole : UINT16_MAX);
    spool->hole = 0;
    spool->base_tick = base_tick;
    spool->local_count = 0;
    spool->stage_off = 0;
    spool->is_boot_due = false;
    const struct sector_header header = {
        .hole = spool->head_hole,
        .sector_seq = spool->sector_seq,
        .seq_first = spool->seq_next,
        .base_tick = base_tick,
        .boot_id = spool->epochs.boot_id,
    };
    uint8_t *out = spool->config.stage + spool->stage_len;
    spool_write_header(&spool->config.flash->geometry, &header, out);
    spool->off = round_up(spool, KWM_SPOOL_HEADER_LEN);
    memset(out + KWM_SPOOL_HEADER_LEN, 0, spool->off - KWM_SPOOL_HEADER_LEN);
    spool->stage_len += spool->off;
    keep_all(spool);
    spool->is_epoch_due = false;
    if (spool->epochs.current.source != KWM_EPOCH_NONE) {
        put_epoch(spool);
    }
    if (is_durable(spool)) {
        (void)release_tail(spool); /* one checkpoint tells of it and begins the sector */
        const bool is_put = put_checkpoint(spool, false) == KWM_OK;
        spool->is_erase_noted = spool->is_erase_noted || is_put;
    }
    return KWM_OK;
}

int kwm_spool_checkpoint(struct kwm_spool *spool, bool may_overtake)
{
    KWM_ASSERT(is_durable(spool));
    if (spool->sector_seq == 0 || !has_checkpoint_room(spool)) {
        const int err = open_sector(spool, spool->epochs.tick_newest);
        if (err != KWM_OK || spool->checkpoint == KWM_CHECKPOINT_STAGED) {
            return err; /* a sector begins with one */
        }
    }
    if (spool->busy_len != 0 && may_overtake) {
        kwm_spool_step(spool); /* what is being programmed must not move */
        if (spool->busy_len != 0) {
            return KWM_ERR_NOSPC;
        }
    }
    if (payload_room(spool) < CHECKPOINT_ROOM) {
        kwm_spool_step(spool);
        return KWM_ERR_NOSPC;
    }
    put_due(spool, spool->epochs.tick_newest);
    if (put_checkpoint(spool, may_overtake && spool->config.hold_ms != 0) != KWM_OK) {
        kwm_spool_step(spool);
        return KWM_ERR_NOSPC;
    }
    kwm_spool_step(spool);
    return KWM_OK;
}

void kwm_spool_counted(struct kwm_spool *spool, uint64_t seq)
{
    const bool is_held = spool->config.hold_ms != 0 && spool->off > spool->keep_off &&
                         spool->keep_off >= spool->stage_off && spool->busy_len == 0;
    if (!is_held || seq < spool->seq_next) {
        return;
    }
    spool->stage_len -= spool->off - spool->keep_off;
    spool->off = spool->keep_off;
    spool->local_count = spool->keep_local_count;
    for (unsigned i = 0; i < spool->config.series->slot_cap; i++) {
        struct kwm_series *series = &spool->config.series->slots[i];
        if (series->sector_seq == spool->sector_seq && series->local_id >= spool->local_count) {
            series->sector_seq = 0;
        }
    }
    spool->shift++;
    spool->staged_ms = 0;
    spool->counters.stages_discarded++;
}

uint64_t kwm_spool_hold(struct kwm_spool *spool, uint64_t now_ms)
{
    if (spool->config.hold_ms == 0 || spool->off <= spool->keep_off) {
        spool->staged_ms = 0;
        return KWM_TIME_NEVER;
    }
    if (spool->staged_ms == 0) {
        spool->staged_ms = now_ms + 1U; /* never 0 */
    }
    const uint64_t due_ms = spool->staged_ms + spool->config.hold_ms;
    const bool is_filling = spool->stage_len > spool->config.stage_cap / 2U;
    if (now_ms < due_ms && !is_filling) {
        return due_ms;
    }
    kwm_spool_flush(spool);
    return now_ms + spool->config.hold_ms;
}

/** Make sure that the stage has room for len bytes. @return whether it has. */
static bool reserve(struct kwm_spool *spool, size_t len)
{
    if (spool->config.stage_cap - spool->stage_len <
        len + SPOOL_RECORD_HEAD_MAX + spool->config.flash->geometry.prog_len) {
        kwm_spool_flush(spool);
    }
    return spool->config.stage_cap - spool->stage_len >=
           len + SPOOL_RECORD_HEAD_MAX + spool->config.flash->geometry.prog_len;
}

/** Whether an empty sector, and an empty stage, have room for so much behind head and epoch. */
static bool can_fit(const struct kwm_spool *spool, size_t len)
{
    const size_t checkpoint = is_durable(spool) ? checkpoint_max(spool) : 0;
    const size_t total = round_up(spool, KWM_SPOOL_HEADER_LEN) + SPOOL_EPOCH_LEN +
                         KWM_RECORD_OVERHEAD + len + SPOOL_RECORD_HEAD_MAX + checkpoint;
    return total <= spool_sector_len(spool) && total <= spool->config.stage_cap;
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

/** Bytes of the head for a payload about a series and all that has to go before it. */
static size_t room_for(const struct kwm_spool *spool, const struct kwm_series *series, size_t len)
{
    return len + KWM_RECORD_OVERHEAD +
           (is_declared(spool, series) ? 0 : series->decl_len + KWM_RECORD_OVERHEAD) +
           (spool->is_epoch_due ? SPOOL_EPOCH_LEN + KWM_RECORD_OVERHEAD : 0) +
           (spool->is_boot_due ? SPOOL_BOOT_LEN + KWM_RECORD_OVERHEAD : 0);
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
    const bool is_full = spool->sector_seq == 0 ||
                         (!is_declared(spool, series) && !has_local(spool)) ||
                         spool_sector_len(spool) - spool->off < room_for(spool, series, len);
    if (is_full && open_sector(spool, tick) != KWM_OK) {
        return KWM_ERR_NOSPC;
    }
    const size_t here = room_for(spool, series, len);
    if (!reserve(spool, here) || spool_sector_len(spool) - spool->off < here) {
        return KWM_ERR_NOSPC;
    }
    put_due(spool, tick);
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
    const uint64_t newest =
        series->tick_newest > spool->tick_floor ? series->tick_newest : spool->tick_floor;
    if (tick <= newest) {
        tick = newest + 1U;
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
    keep_all(spool);
    kwm_spool_step(spool);
    return KWM_OK;
}

void kwm_spool_set_wall(struct kwm_spool *spool, uint64_t now_ms, uint64_t oldest_ms,
                        struct hal_wall wall, enum kwm_epoch_source source)
{
    if (kwm_epochs_update(&spool->epochs, now_ms, oldest_ms, wall, source)) {
        spool->is_epoch_due = spool->sector_seq != 0; /* the first sector will begin with it */
    }
}
