/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"
#include "spool_format.h"

#define HEAD_BYTES_MIN 17U /* of a checkpoint: four numbers of at least a byte, and what is fixed */

/** What is known while sectors are read. */
struct mount {
    struct kwm_spool *spool;
    uint8_t *scratch;
    struct sector_header header;
    uint32_t sector;
    uint32_t off;     /**< behind the last record that was read */
    uint32_t boot_id; /**< in force there */
    uint64_t base_tick;
    uint64_t seq_end; /**< every sample read is below it */
    struct kwm_epoch epoch;
    uint16_t local_count;
    uint64_t tick_newest;
    int64_t stamp_highest_ms;
};

/** @return the sector that is so many before the head. */
static uint32_t sector_at(const struct kwm_spool *spool, uint32_t age)
{
    return spool->head >= age ? spool->head - age : spool->head + spool_sector_count(spool) - age;
}

/** The newest sector is the head. @return false if there is none. */
static bool find_head(struct kwm_spool *spool)
{
    struct sector_header header;
    for (uint32_t i = 0; i < spool_sector_count(spool); i++) {
        if (spool_read_header(spool, i, &header) == KWM_OK &&
            header.sector_seq > spool->sector_seq) {
            spool->sector_seq = header.sector_seq;
            spool->head = i;
        }
    }
    return spool->sector_seq != 0;
}

/** The oldest sector that is in its place is the tail; those between that cannot be read are
 *  holes. */
static void find_tail(struct kwm_spool *spool)
{
    struct sector_header header;
    spool->tail = spool->head;
    for (uint32_t age = 0; age < spool_sector_count(spool) && age < spool->sector_seq; age++) {
        const uint32_t sector = sector_at(spool, age);
        if (spool_read_header(spool, sector, &header) == KWM_OK &&
            header.sector_seq == spool->sector_seq - age) {
            spool->tail = sector;
            spool->seq_first = header.seq_first;
        }
    }
}

static struct kwm_late_boot *late_boot(struct kwm_spool *spool, uint32_t boot_id)
{
    for (unsigned i = 0; i < spool->late_count; i++) {
        if (spool->late[i].boot_id == boot_id) {
            return &spool->late[i];
        }
    }
    return NULL;
}

/** A sample of a boot that had no epoch yet: its first one will be wanted. */
static void note_undated(struct kwm_spool *spool, uint32_t boot_id)
{
    if (late_boot(spool, boot_id) == NULL && spool->late_count < KWM_LATE_BOOTS_MAX) {
        spool->late[spool->late_count++] = (struct kwm_late_boot){.boot_id = boot_id};
    }
}

static void note_epoch(struct mount *m)
{
    struct kwm_late_boot *late = late_boot(m->spool, m->epoch.boot_id);
    if (late != NULL && late->epoch.source == KWM_EPOCH_NONE) {
        late->epoch = m->epoch;
    }
}

static void take_sample(struct mount *m, const struct spool_record *record)
{
    uint64_t id = 0;
    uint64_t seq_off = 0;
    int64_t tick_off = 0;
    if (spool_parse_sample(record, &id, &seq_off, &tick_off) == NULL) {
        return;
    }
    m->seq_end = m->header.seq_first + seq_off + 1U;
    const uint64_t tick = m->base_tick + (uint64_t)tick_off;
    m->tick_newest = tick > m->tick_newest ? tick : m->tick_newest;
    if (m->epoch.source == KWM_EPOCH_NONE || m->epoch.boot_id != m->boot_id) {
        note_undated(m->spool, m->boot_id);
        return;
    }
    const int64_t stamp_ms = kwm_epoch_stamp_ms(&m->epoch, tick);
    m->stamp_highest_ms = stamp_ms > m->stamp_highest_ms ? stamp_ms : m->stamp_highest_ms;
}

/** Head sector only: what it declares can be used for what is appended. */
static void take_decl(struct mount *m, const struct spool_record *record)
{
    struct kwm_spool *spool = m->spool;
    const uint16_t id = m->local_count++;
    if (m->sector != spool->head) {
        return;
    }
    const int slot = kwm_series_intern(spool->config.series, record->payload, record->len);
    if (slot >= 0) {
        spool->config.series->slots[slot].sector_seq = spool->sector_seq;
        spool->config.series->slots[slot].local_id = id;
    }
}

static void take_boot(struct mount *m, const struct spool_record *record)
{
    if (record->len == SPOOL_BOOT_LEN) {
        m->boot_id = kwm_get_u32(record->payload);
        m->base_tick = kwm_get_u64(record->payload + 4);
        m->tick_newest = 0;
    }
}

static void take_checkpoint(struct mount *m, const struct spool_record *record)
{
    struct kwm_spool *spool = m->spool;
    if (record->len < HEAD_BYTES_MIN) {
        return;
    }
    spool->checkpoint_sector = m->sector;
    spool->checkpoint_off = record->payload_off;
    spool->checkpoint_len = (uint16_t)record->len;
}

static void take(struct mount *m, const struct spool_record *record)
{
    switch (record->type) {
    case KWM_RECORD_DECL:
        take_decl(m, record);
        break;
    case KWM_RECORD_SAMPLE:
    case KWM_RECORD_PARTIAL:
        take_sample(m, record);
        break;
    case KWM_RECORD_EPOCH:
        if (spool_parse_epoch(record, &m->epoch) == KWM_OK) {
            note_epoch(m);
        }
        break;
    case KWM_RECORD_BOOT:
        take_boot(m, record);
        break;
    case KWM_RECORD_CHECKPOINT:
        take_checkpoint(m, record);
        break;
    default:
        break;
    }
}

/** Read a sector to the end of what is right in it. @return false if it is none of the log. */
static bool scan(struct mount *m, uint32_t age)
{
    struct kwm_spool *spool = m->spool;
    const uint32_t seq = spool->sector_seq - age;
    m->sector = sector_at(spool, age);
    if (spool_read_header(spool, m->sector, &m->header) != KWM_OK || m->header.sector_seq != seq) {
        return false;
    }
    m->boot_id = m->header.boot_id;
    m->base_tick = m->header.base_tick;
    m->seq_end = m->header.seq_first;
    m->epoch = (struct kwm_epoch){.source = KWM_EPOCH_NONE};
    m->local_count = 0;
    m->off = spool_records_off(spool);
    struct spool_record record = {0};
    while (m->off < spool_sector_len(spool) &&
           spool_read_record(spool, m->sector, seq, m->off, spool_sector_len(spool), m->scratch,
                             &record) == 1) {
        take(m, &record);
        m->off = record.end;
    }
    return true;
}

/** Whether a sector begins under an epoch of its boot, and its boot goes on behind it: then there
 *  is nothing in it that mounting needs. */
static bool is_plain(const struct mount *m, uint32_t age)
{
    const struct kwm_spool *spool = m->spool;
    struct sector_header header;
    struct sector_header next;
    struct spool_record record;
    struct kwm_epoch epoch;
    const uint32_t sector = sector_at(spool, age);
    return spool_read_header(spool, sector, &header) == KWM_OK &&
           spool_read_header(spool, spool_sector_after(spool, sector), &next) == KWM_OK &&
           next.sector_seq == header.sector_seq + 1U && next.boot_id == header.boot_id &&
           spool_read_record(spool, sector, header.sector_seq, spool_records_off(spool),
                             spool_sector_len(spool), m->scratch, &record) == 1 &&
           record.type == KWM_RECORD_EPOCH && spool_parse_epoch(&record, &epoch) == KWM_OK &&
           epoch.boot_id == header.boot_id;
}

/** Whether every byte is as it was erased. */
static bool is_blank(const struct mount *m, uint32_t sector, uint32_t off)
{
    while (off < spool_sector_len(m->spool)) {
        const uint32_t left = spool_sector_len(m->spool) - off;
        const uint32_t len = left < KWM_READER_SCRATCH_LEN ? left : KWM_READER_SCRATCH_LEN;
        const uint8_t *bytes = spool_view(m->spool, sector, off, len, m->scratch);
        for (uint32_t i = 0; bytes != NULL && i < len; i++) {
            if (bytes[i] != 0xFFU) {
                return false;
            }
        }
        if (bytes == NULL) {
            return false;
        }
        off += len;
    }
    return true;
}

/** Numbers behind a place that does not check out were given, too: look for records up to the end
 *  of the sector, byte by byte. What is found there stays unread, but it is known how many. */
static void count_beyond(struct mount *m)
{
    struct spool_record record = {0};
    uint64_t id = 0;
    uint64_t seq_off = 0;
    int64_t tick_off = 0;
    const uint32_t seq = m->spool->sector_seq;
    for (uint32_t off = m->off; off < spool_sector_len(m->spool); off++) {
        const int got = spool_read_record(m->spool, m->sector, seq, off, spool_sector_len(m->spool),
                                          m->scratch, &record);
        const bool is_sample =
            got == 1 && (record.type == KWM_RECORD_SAMPLE || record.type == KWM_RECORD_PARTIAL);
        if (is_sample && spool_parse_sample(&record, &id, &seq_off, &tick_off) != NULL &&
            m->header.seq_first + seq_off + 1U > m->seq_end) {
            m->seq_end = m->header.seq_first + seq_off + 1U;
            off = record.end - 1U;
        }
    }
}

/** Go on where the head ends, if nothing was torn there; else the next record opens a sector. */
static void resume_head(struct mount *m)
{
    struct kwm_spool *spool = m->spool;
    const uint32_t unit = spool->config.flash->geometry.prog_len;
    const bool is_clean = m->off % unit == 0 && is_blank(m, m->sector, m->off);
    if (!is_clean) {
        count_beyond(m);
    }
    spool->off = is_clean ? m->off : spool_sector_len(spool);
    spool->stage_off = spool->off;
    spool->keep_off = spool->off;
    spool->head_seq_first = m->header.seq_first;
    spool->head_hole = m->header.hole;
    spool->base_tick = m->base_tick;
    spool->local_count = m->local_count;
    spool->keep_local_count = m->local_count;
    spool->seq_next = m->seq_end;
}

static const uint8_t *saved_bytes(const struct kwm_spool *spool, uint8_t *scratch)
{
    return spool_view(spool, spool->checkpoint_sector, spool->checkpoint_off, spool->checkpoint_len,
                      scratch);
}

/** The spool's own part of the newest checkpoint. @return where the owner's begins. */
static const uint8_t *read_own(const uint8_t *in, size_t len, struct mount *m, uint32_t *boot_id,
                               uint64_t *boot_mark, uint8_t *phase)
{
    const uint8_t *end = in + len;
    uint64_t tick = 0;
    uint64_t stamp = 0;
    uint64_t erases = 0;
    uint64_t programmed = 0;
    *boot_id = kwm_get_u32(in);
    *boot_mark = kwm_get_u64(in + 4);
    *phase = (uint8_t)(in[12] % KWM_EPOCH_PHASES);
    in = kwm_get_varint(in + 13, end, &tick);
    in = in != NULL ? kwm_get_varint(in, end, &stamp) : NULL;
    in = in != NULL ? kwm_get_varint(in, end, &erases) : NULL;
    in = in != NULL ? kwm_get_varint(in, end, &programmed) : NULL;
    if (in == NULL || m == NULL) {
        return in;
    }
    if (*boot_id == m->boot_id && tick > m->tick_newest) {
        m->tick_newest = tick;
    }
    const int64_t stamp_ms = kwm_unzigzag(stamp);
    m->stamp_highest_ms = stamp_ms > m->stamp_highest_ms ? stamp_ms : m->stamp_highest_ms;
    m->spool->counters.erases = (uint32_t)erases;
    m->spool->counters.bytes_programmed = programmed;
    return in;
}

/** This start goes on with the boot of the last one, or is another. */
static void resume_epochs(struct mount *m)
{
    struct kwm_spool *spool = m->spool;
    uint32_t boot_id = 0;
    uint64_t boot_mark = 0;
    uint8_t phase = m->epoch.phase;
    if (spool->checkpoint_len != 0) {
        const uint8_t *in = saved_bytes(spool, m->scratch);
        if (in != NULL) {
            (void)read_own(in, spool->checkpoint_len, m, &boot_id, &boot_mark, &phase);
        }
    }
    const bool is_same =
        boot_mark != 0 && boot_mark == spool->config.boot_mark && boot_id >= m->boot_id;
    const uint32_t newest = boot_id > m->boot_id ? boot_id : m->boot_id;
    struct kwm_epochs *epochs = &spool->epochs;
    kwm_epochs_init(epochs, is_same ? newest : newest + 1U);
    epochs->stamp_highest_ms = m->stamp_highest_ms;
    epochs->current.phase = m->epoch.source != KWM_EPOCH_NONE ? m->epoch.phase : phase;
    spool->is_boot_due = m->boot_id != epochs->boot_id;
    if (!is_same) {
        return;
    }
    epochs->tick_newest = m->tick_newest;
    spool->tick_floor = m->tick_newest;
    if (m->epoch.source != KWM_EPOCH_NONE && m->epoch.boot_id == epochs->boot_id) {
        epochs->current = m->epoch;
        const struct kwm_late_boot *late = late_boot(spool, epochs->boot_id);
        epochs->first = late != NULL ? late->epoch : m->epoch;
    }
}

/** The newest checkpoint is in the head, or in the first sector before it that has one. */
static void find_checkpoint(struct mount *m)
{
    for (uint32_t age = 1; m->spool->checkpoint_len == 0 && age < spool_used(m->spool); age++) {
        (void)scan(m, age);
    }
}

void spool_mount(struct kwm_spool *spool)
{
    struct mount m = {.spool = spool, .scratch = spool->config.dropper->scratch};
    KWM_ASSERT(m.scratch != NULL);
    if (!find_head(spool)) {
        spool->is_boot_due = false;
        return;
    }
    find_tail(spool);
    /* Oldest first, so that a boot's first epoch is the one that is found first. */
    for (uint32_t age = spool_used(spool) - 1U; age > 0; age--) {
        if (!is_plain(&m, age)) {
            (void)scan(&m, age);
        }
    }
    spool->checkpoint_len = 0; /* an older one than the head's, if that has one */
    m.tick_newest = 0;
    m.stamp_highest_ms = 0;
    if (!scan(&m, 0)) {
        KWM_ASSERT(false); /* its head was read just now */
    }
    resume_head(&m);
    struct mount older = m;
    find_checkpoint(&older);
    resume_epochs(&m);
    const uint32_t next = spool_sector_after(spool, spool->head);
    spool->is_next_erased = next != spool->tail && is_blank(&m, next, 0);
    spool->checkpoint = spool->checkpoint_len != 0 ? KWM_CHECKPOINT_SAVED : KWM_CHECKPOINT_NONE;
}

int kwm_spool_saved(const struct kwm_spool *spool, uint8_t *out, size_t cap)
{
    uint32_t boot_id = 0;
    uint64_t boot_mark = 0;
    uint8_t phase = 0;
    if (spool->checkpoint_len == 0) {
        return 0;
    }
    const uint8_t *bytes = saved_bytes(spool, spool->config.dropper->scratch);
    const uint8_t *own_end =
        bytes != NULL ? read_own(bytes, spool->checkpoint_len, NULL, &boot_id, &boot_mark, &phase)
                      : NULL;
    if (own_end == NULL) {
        return 0;
    }
    const size_t len = spool->checkpoint_len - (size_t)(own_end - bytes);
    if (len > cap) {
        return KWM_ERR_NOSPC;
    }
    memmove(out, own_end, len); /* out may be the scratch that it was read into */
    return (int)len;
}

void kwm_spool_raise_seq(struct kwm_spool *spool, uint64_t seq)
{
    KWM_ASSERT(spool->stage_len == 0);
    if (seq <= spool->seq_next) {
        return;
    }
    spool->hole += (uint32_t)(seq - spool->seq_next);
    spool->seq_next = seq;
    spool->off = spool_sector_len(spool);
    spool->stage_off = spool->off;
    spool->keep_off = spool->off;
}
