/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/series.h
 * @brief The live series: their declarations and line templates, cached in a fixed pool.
 *
 * The truth about a series is its declaration in the log; this table is what is at hand in RAM. The
 * least recently used series makes room for a new one, which costs nothing but making its template
 * again. Measurements are numbered here in the order in which they are first seen, for good.
 *
 * Memory:  slots, measurements and pool are the caller's.   Context: main loop.
 * Bounds:  a lookup walks one chain; making room moves the pool's bytes at most once a slot.
 */
#ifndef KWM_SERIES_H
#define KWM_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "kwm/decl.h"
#include "kwm/line.h"
#include "kwm/name.h"

#define KWM_SERIES_BUCKETS 64U
#define KWM_SERIES_NONE UINT16_MAX

struct kwm_measurement {
    char name[HAL_TEXT_LEN_MAX + 1U];
};

/** One slot. Private but for what the spool and the collector keep in it. */
struct kwm_series {
    uint32_t hash;       /**< of the whole declaration */
    uint32_t key_hash;   /**< of measurement and primary tags: whose stamps must differ */
    uint32_t generation; /**< changes whenever the slot changes hands; 0: free */
    uint32_t used;       /**< when it was last used, in lookups */
    uint32_t decl_off;   /**< in the pool */
    uint32_t template_off;
    uint16_t decl_len;
    uint16_t template_len; /**< 0: not made yet */
    uint16_t next;         /**< in its chain */
    uint16_t measurement;
    /* Where things stand in the declaration, which was checked when it was taken in. */
    uint16_t identity_len;
    uint16_t tags_off;
    uint16_t fields_off;
    uint8_t tag_count;
    uint8_t field_count;
    /* Kept here for the spool: where it is declared in the head sector. */
    uint32_t sector_seq;
    uint16_t local_id;
    /** Newest tick (10 ms) of this boot given to a sample of it or a twin: none is given twice. */
    uint64_t tick_newest;
    bool has_twin; /**< another slot may have the same measurement and primary tags */
};

struct kwm_series_table {
    struct kwm_series *slots;
    struct kwm_measurement *measurements;
    uint8_t *pool;
    size_t pool_cap;
    size_t pool_len;
    uint16_t slot_cap;
    uint16_t measurement_cap;
    uint16_t measurement_count;
    uint16_t buckets[KWM_SERIES_BUCKETS];
    uint32_t clock;
    uint32_t generation;
    uint32_t retired;              /**< series that had to make room */
    enum kwm_dialect dialect;      /**< of the cached templates */
    struct kwm_line_losses losses; /**< of all templates and lines made */
};

/** Ready an empty table: set slots, measurements, pool and their caps before. */
void kwm_series_init(struct kwm_series_table *table, enum kwm_dialect dialect);

/** Forget all templates and speak another dialect from now on. */
void kwm_series_set_dialect(struct kwm_series_table *table, enum kwm_dialect dialect);

/**
 * Find the series with this very declaration, or take it in.
 * @param bytes a well-formed declaration; copied.
 * @return slot index, KWM_ERR_NOSPC if it cannot fit or there are too many measurements,
 *         KWM_ERR_CORRUPT if it is not well-formed.
 */
KWM_NODISCARD int kwm_series_intern(struct kwm_series_table *table, const uint8_t *bytes,
                                    size_t len);

/** @return whether the slot is still of this generation; it counts as used then. */
bool kwm_series_use(struct kwm_series_table *table, unsigned slot, uint32_t generation);

/** A sample of the slot gets this tick: none of equal measurement and primary tags may have it,
 *  too. */
void kwm_series_give_tick(struct kwm_series_table *table, unsigned slot, uint64_t tick);

/** View of a slot's declaration; valid until the next intern or template. */
void kwm_series_decl(const struct kwm_series_table *table, unsigned slot, struct kwm_decl *decl);

/** @return the template, made if need be, valid until the next intern; NULL if the dialect cannot
 *          carry the series or it does not fit. */
const uint8_t *kwm_series_template(struct kwm_series_table *table, unsigned slot);

/** @return index of the measurement, taken in if new; KWM_ERR_NOSPC if there are too many. */
KWM_NODISCARD int kwm_series_measurement(struct kwm_series_table *table, struct hal_text name);

#endif
