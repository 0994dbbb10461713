/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/spool.h
 * @brief The log of typed samples over hal_flash: append at one end, read from any place, drop
 *        whole sectors at the other end when room is needed.
 *
 * The format is in docs/SPEC.md. Every sector can be read by itself: it restates the boot, the
 * epoch in force and the declaration of each series that it holds samples of. A sample has a
 * sequence number, which is its place in the log for good. Nothing here knows of outputs: who has
 * seen what is kwm/delivery.h's business.
 *
 * Memory:  stage and the readers' local tables are the caller's. Beside them only the struct.
 * Context: main loop only.
 * Bounds:  append writes one record, and with it at most a sector head, a declaration and the
 *          epoch; a reader's step reads at most the given number of records.
 */
#ifndef KWM_SPOOL_H
#define KWM_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/flash.h"
#include "hal/value.h"
#include "kwm/epoch.h"
#include "kwm/reader.h"
#include "kwm/schedule.h"
#include "kwm/series.h"

#define KWM_SPOOL_HEADER_LEN 48U
#define KWM_SPOOL_FORMAT 1U
/** save() gets at least so much room. */
#define KWM_SPOOL_SAVE_LEN_MIN 160U
#define KWM_SEQ_NONE UINT64_MAX

/** Record types: low four bits of the head byte. 0 is padding, 15 the erased byte. */
enum kwm_record_type {
    KWM_RECORD_DECL = 1,    /**< a declaration; the n-th of a sector is local id n */
    KWM_RECORD_SAMPLE = 2,  /**< all fields present */
    KWM_RECORD_PARTIAL = 3, /**< a bitmap says which fields are present */
    KWM_RECORD_EPOCH = 4,
    KWM_RECORD_BOOT = 5, /**< from here on another boot writes */
    KWM_RECORD_CHECKPOINT = 6,
    KWM_RECORD_DEAD = 7, /**< a sample that was set aside, with the reason */
};

struct kwm_spool_counters {
    uint32_t corrupt_sectors; /**< whose rest could not be read */
    uint32_t flash_errors;
    uint64_t bytes_programmed;
    uint64_t bytes_recorded; /**< of the records in them, without padding */
    uint32_t erases;
    uint32_t syncs;
    uint32_t checkpoints;
    uint32_t stages_discarded; /**< times that samples were delivered before they met the medium */
    uint32_t bad_sectors;      /**< passed over, for they could not be erased */
};

struct kwm_spool_config {
    struct hal_flash *flash;
    struct kwm_series_table *series;
    uint8_t *stage; /**< bytes on their way to flash; at least KWM_SPOOL_STAGE_LEN_MIN(prog_len) */
    size_t stage_cap;
    /** A sample is about to go because its sector is needed. measurement: KWM_SERIES_NONE if it
     *  could not be read. */
    void (*on_drop)(void *ctx, uint64_t seq, unsigned measurement);
    void *ctx;
    struct kwm_reader *dropper; /**< a reader of the spool's own, with its locals and scratch */
    /** Write what the owner wants to find again after a power cut. Called whenever a checkpoint is
     *  put into the log: at the beginning of each sector, before one is erased, and on demand.
     *  @return its bytes, at most cap; what does not fit is left out by the owner. Not NULL where
     *  flash is durable. */
    size_t (*save)(void *ctx, uint8_t *out, size_t cap);
    uint64_t boot_mark; /**< the same in two starts: the boot clock went on in between. 0: never */
    uint32_t hold_ms;   /**< how long a record may stay in the stage alone; 0: not at all */
};

/** A boot of the log that has samples from before its first epoch. */
struct kwm_late_boot {
    uint32_t boot_id;
    struct kwm_epoch epoch; /**< the first one of that boot; source NONE: it never had one */
};

#define KWM_LATE_BOOTS_MAX 8U

/** What became of the last checkpoint that was asked for. */
enum kwm_checkpoint_state {
    KWM_CHECKPOINT_NONE,   /**< none was, or it was lost to a failing medium */
    KWM_CHECKPOINT_STAGED, /**< on its way */
    KWM_CHECKPOINT_SAVED,  /**< it survives a power cut */
};

#define KWM_SPOOL_STAGE_LEN_MIN(prog_len) (2U * ((prog_len) + KWM_SPOOL_HEADER_LEN + 64U) + 768U)

struct kwm_spool {
    struct kwm_spool_config config;
    struct kwm_spool_counters counters;
    struct kwm_epochs epochs;
    uint32_t head, tail; /**< sectors; the log is tail..head, going round */
    uint32_t sector_seq; /**< of the head; 0: nothing was written yet */
    uint32_t off;        /**< where the next record goes in the head */
    uint32_t old_sector; /**< the head before this one: its last bytes stand first in the stage */
    uint32_t old_off, old_len;
    uint32_t stage_off; /**< offset in the head of the first staged byte of it */
    uint32_t stage_len; /**< with those of the old head */
    uint32_t busy_len;  /**< staged bytes that are being programmed */
    uint64_t seq_first; /**< oldest sample in the log */
    uint64_t seq_next;  /**< the next sample's */
    uint64_t head_seq_first;
    uint64_t base_tick;
    uint64_t pinned_from; /**< samples from here on must stay; KWM_SEQ_NONE: none */
    uint64_t tick_floor;  /**< of this boot, before a restart: given to nothing again */
    uint64_t staged_ms;   /**< when the oldest sample that is only staged came; 0: there is none */
    uint32_t flush_to;    /**< offset in the head up to which the stage goes out now */
    uint32_t keep_off;    /**< what is staged behind it may go again once it is counted */
    uint32_t shift;       /**< changes whenever staged records move: places in the head are void */
    uint32_t hole;        /**< numbers below seq_next that no sample has, accounted for at mount */
    uint16_t head_hole;   /**< those before the head's first */
    uint32_t checkpoint_sector, checkpoint_off; /**< the newest one found at mount; off 0: none */
    uint16_t checkpoint_len;
    uint16_t local_count;
    uint16_t keep_local_count;
    uint8_t checkpoint; /**< enum kwm_checkpoint_state */
    uint8_t bad_run;    /**< sectors in a row that could not be erased */
    uint8_t late_count;
    struct kwm_late_boot late[KWM_LATE_BOOTS_MAX];
    bool is_next_erased;
    bool is_next_bad;
    bool is_erasing;
    bool is_erase_noted; /**< what went with the tail is in a checkpoint, saved or on its way */
    bool is_sync_due, is_syncing;
    bool is_boot_due;  /**< this boot's record goes into the head before the next one */
    bool is_epoch_due; /**< the epoch does */
};

/**
 * Go on with the log that is on a durable medium, or begin an empty one. Reads the head of each
 * sector, and of those in which a boot begins or has no time yet, everything.
 * @return KWM_OK, KWM_ERR_INVAL for an impossible geometry (a durable one needs sectors of about
 *         350 bytes and three program units) or too little stage.
 */
KWM_NODISCARD int kwm_spool_init(struct kwm_spool *spool, const struct kwm_spool_config *config);

/** Read what save() wrote into the newest checkpoint that was found. @return its length, 0 if there
 *  is none, KWM_ERR_NOSPC if cap is too little. */
KWM_NODISCARD int kwm_spool_saved(const struct kwm_spool *spool, uint8_t *out, size_t cap);

/** No sample gets a number below this again: those that are missing were accounted for. Only
 *  between init and the first record. */
void kwm_spool_raise_seq(struct kwm_spool *spool, uint64_t seq);

/**
 * Put a checkpoint into the log and see it to the medium; config.checkpoint says how far it is.
 * @param may_overtake it says enough of the samples that are only staged: they may stay there.
 * @return KWM_OK, or KWM_ERR_NOSPC: try again in the next step.
 */
KWM_NODISCARD int kwm_spool_checkpoint(struct kwm_spool *spool, bool may_overtake);

/** See all that is staged to the medium. */
void kwm_spool_flush(struct kwm_spool *spool);

/** Every sample below seq was counted, for good: what is staged of them need not be written. */
void kwm_spool_counted(struct kwm_spool *spool, uint64_t seq);

/** Flush what has been held for hold_ms. @return when to call again. */
uint64_t kwm_spool_hold(struct kwm_spool *spool, uint64_t now_ms);

/** Move what is staged towards flash, and erase ahead. Bounded; call it in every step. */
void kwm_spool_step(struct kwm_spool *spool);

/** @return whether flash is at work: step again soon. */
bool kwm_spool_is_busy(const struct kwm_spool *spool);

/** Let the epoch follow the wall clock; a new one goes into the log before the next record.
 *  @param oldest_ms as for kwm_epochs_update(). */
void kwm_spool_set_wall(struct kwm_spool *spool, uint64_t now_ms, uint64_t oldest_ms,
                        struct hal_wall wall, enum kwm_epoch_source source);

/**
 * Append one sample of a series.
 * @param slot   in the series table.
 * @param tick   10 ms since boot; becomes the next free one of the series if it is not above its
 * newest.
 * @param values as many as the declaration has fields, in its order, kinds as declared or NONE.
 * @return KWM_OK and its sequence number in *seq; KWM_ERR_NOSPC when there is no room (all that
 *         could go is pinned, flash is not ready, or it could not be had in an empty sector): the
 *         sample took no number; KWM_ERR_NOENT if no value is present.
 */
KWM_NODISCARD int kwm_spool_append(struct kwm_spool *spool, unsigned slot, uint64_t tick,
                                   const struct hal_value *values, uint64_t *seq);

/**
 * Keep a sample with the reason why the server refused it.
 * @param text what the server said, cut to 120 bytes.
 * @return KWM_OK or KWM_ERR_NOSPC.
 */
KWM_NODISCARD int kwm_spool_append_dead(struct kwm_spool *spool, const struct kwm_sample *sample,
                                        uint8_t reason, const char *text, size_t len);

/** Samples with seq >= from must not be dropped; KWM_SEQ_NONE ends it. */
void kwm_spool_pin(struct kwm_spool *spool, uint64_t from);

/** @return whether a sector is at most half of the log away from another, older one. */
bool kwm_spool_is_near(const struct kwm_spool *spool, uint32_t older_sector_seq,
                       uint32_t newer_sector_seq);

#endif
