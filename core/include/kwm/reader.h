/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/reader.h
 * @brief Reads samples out of the log, from any place, forwards.
 *
 * Memory:  the caller owns the reader, its table of locals and its scratch.
 * Context: main loop only; any number of readers.
 * Bounds:  a step reads at most the given number of records.
 */
#ifndef KWM_READER_H
#define KWM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/value.h"
#include "kwm/epoch.h"

#define KWM_SPOOL_PAYLOAD_LEN_MAX 4096U
/** Head byte, two bytes of length, checksum. */
#define KWM_RECORD_OVERHEAD 7U
/** Bytes of a reader's scratch. */
#define KWM_READER_SCRATCH_LEN (KWM_SPOOL_PAYLOAD_LEN_MAX + KWM_RECORD_OVERHEAD)

struct kwm_spool;

/** Where a series' declaration stands in the sector that a reader is in. */
struct kwm_local {
    uint32_t sector_seq; /**< which sector it was found in */
    uint32_t off;        /**< of the declaration's bytes in the sector */
    uint16_t len;
    uint16_t slot; /**< in the series table, if generation still fits */
    uint32_t generation;
};

/** A place in the log, going forwards. */
struct kwm_reader {
    struct kwm_spool *spool;
    struct kwm_local *locals; /**< the caller's */
    uint16_t local_cap;
    uint16_t local_count;
    uint32_t sector;     /**< index; valid only while sector_seq is in the log */
    uint32_t sector_seq; /**< 0: not placed */
    uint32_t off;
    uint32_t shift;     /**< of the spool, when it was placed */
    uint64_t seq_first; /**< of the sector */
    uint64_t seq_end;   /**< of the sector behind it; UINT64_MAX: not known */
    uint64_t seq_next;  /**< every sample below it has been passed */
    uint64_t base_tick;
    uint32_t boot_id;
    struct kwm_epoch epoch;      /**< in force here; source NONE if none */
    bool wants_measurement_only; /**< does not look up the series: the sample's slot is NONE */
    /** KWM_READER_SCRATCH_LEN bytes; NULL only where flash is mapped and takes single bytes. */
    uint8_t *scratch;
};

/** A reader's place, to go back to. */
struct kwm_reader_mark {
    uint32_t sector_seq;
    uint32_t off;
    uint64_t seq_next;
    uint64_t base_tick;
    uint32_t boot_id;
    uint32_t shift;
    uint16_t local_count;
    struct kwm_epoch epoch;
};

/** One sample as it was read. Pointers are valid until the next call on the reader or the spool. */
struct kwm_sample {
    uint64_t seq;
    uint64_t tick;
    uint32_t boot_id;
    int64_t stamp_ms; /**< 0: its boot has no epoch yet */
    uint16_t slot;    /**< in the series table */
    uint16_t measurement;
    bool is_partial;
    const uint8_t *values; /**< payload from the bitmap or first value on */
    uint16_t values_len;
};

/** Place the reader before the first sample with seq >= the given one that is still there. The next
 *  sample costs at most the records of one sector. */
void kwm_reader_seek(struct kwm_reader *reader, uint64_t seq);

/** Remember a place, and go back to it (cheap while the reader is still in the same sector). */
void kwm_reader_mark(const struct kwm_reader *reader, struct kwm_reader_mark *mark);
void kwm_reader_return(struct kwm_reader *reader, const struct kwm_reader_mark *mark);

/**
 * Go on to the next sample.
 * @param budget in: records that may be read; out: what is left of it.
 * @return 1 with a sample, 0 at the end of the log or when the budget is used up (then *budget is
 * 0).
 */
KWM_NODISCARD int kwm_reader_next(struct kwm_reader *reader, struct kwm_sample *sample,
                                  unsigned *budget);

/**
 * Decode a sample's values.
 * @param[out] values HAL_FIELDS_MAX of them; strings point into the sample.
 * @return KWM_OK or KWM_ERR_CORRUPT.
 */
KWM_NODISCARD int kwm_sample_values(const struct kwm_spool *spool, const struct kwm_sample *sample,
                                    struct hal_value *values);

#endif
