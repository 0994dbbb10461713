/* SPDX-License-Identifier: MIT */
/**
 * @file spool_format.h
 * @brief Bytes of a sector's head, and sizes of records: private to the spool. Layout in
 * docs/SPEC.md.
 */
#ifndef KWM_SPOOL_FORMAT_H
#define KWM_SPOOL_FORMAT_H

#include <stdint.h>

#include "kwm/spool.h"

#define SPOOL_RECORD_HEAD_MAX 3U /* type and length */
#define SPOOL_EPOCH_LEN 14U
#define SPOOL_BOOT_LEN 12U
#define SPOOL_SAMPLE_HEAD_MAX 25U /* local id, sequence, tick */
#define SPOOL_DEAD_HEAD_MAX 16U   /* reason, flags, text length, local id, stamp */

#define SPOOL_CHECKPOINT_HEAD_MAX 64U /* the spool's own part */

struct sector_header {
    uint16_t hole; /**< numbers before seq_first that no sample has */
    uint32_t sector_seq;
    uint32_t erase_count;
    uint64_t seq_first;
    uint64_t base_tick;
    uint32_t boot_id;
};

void spool_write_header(const struct hal_flash_geometry *geometry,
                        const struct sector_header *header, uint8_t *out);

/** @return KWM_OK, KWM_ERR_CORRUPT if it is none of ours, KWM_ERR_IO. */
int spool_read_header(const struct kwm_spool *spool, uint32_t sector, struct sector_header *header);

static inline uint32_t spool_sector_count(const struct kwm_spool *spool)
{
    return spool->config.flash->geometry.sector_count;
}

static inline uint32_t spool_sector_len(const struct kwm_spool *spool)
{
    return spool->config.flash->geometry.sector_len;
}

/** @return the sector behind one, going round. */
static inline uint32_t spool_sector_after(const struct kwm_spool *spool, uint32_t sector)
{
    return sector + 1U < spool_sector_count(spool) ? sector + 1U : 0;
}

/** @return sectors in the log. */
uint32_t spool_used(const struct kwm_spool *spool);

/** Bytes of a sector, staged ones too; in place where possible. @return NULL on an error. */
const uint8_t *spool_view(const struct kwm_spool *spool, uint32_t sector, uint32_t off,
                          uint32_t len, uint8_t *scratch);

/** A record in place. */
struct spool_record {
    uint8_t type;
    uint32_t payload_off; /**< in the sector */
    const uint8_t *payload;
    uint32_t len;
    uint32_t end; /**< offset of the next record */
};

/**
 * Read the record at an offset.
 * @param limit   where the written part of the sector ends at the latest.
 * @param scratch for a whole record; NULL only where flash is mapped.
 * @return 1 with a record, 0 at the end of the written part, KWM_ERR_CORRUPT or KWM_ERR_IO.
 */
int spool_read_record(const struct kwm_spool *spool, uint32_t sector, uint32_t sector_seq,
                      uint32_t off, uint32_t limit, uint8_t *scratch, struct spool_record *record);

/** @return offset of the first record of a sector. */
uint32_t spool_records_off(const struct kwm_spool *spool);

/** @return KWM_OK, or KWM_ERR_CORRUPT if it is no epoch. */
int spool_parse_epoch(const struct spool_record *record, struct kwm_epoch *epoch);

/** Ids and times of a sample record. @return where its values begin, NULL if it is none. */
const uint8_t *spool_parse_sample(const struct spool_record *record, uint64_t *id,
                                  uint64_t *seq_off, int64_t *tick_off);

/** Find the log on the medium and everything that goes on from it. */
void spool_mount(struct kwm_spool *spool);

#endif
