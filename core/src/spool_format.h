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

struct sector_header {
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

/** @return sectors in the log. */
uint32_t spool_used(const struct kwm_spool *spool);

#endif
