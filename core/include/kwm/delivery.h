/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/delivery.h
 * @brief Which samples are sent when, and what became of each: batches, verdicts, pauses, accounts.
 *
 * One object for each output. At every moment, for the samples that were collected:
 *
 *     collected = stored + refused + dropped + unknown + waiting
 *
 * A cursor goes through the log; a measurement that the server does not take has a position of its
 * own behind it until it has caught up. See docs/DESIGN.md, "Delivery", for the rules and why they
 * are so.
 *
 * Memory:  lines, streams, reader and line buffer are the caller's.   Context: main loop only.
 * Bounds:  a step begins at most one request. It chooses from at most KWM_DELIVERY_RECORDS_MAX
 *          records, and reads a line for the second time at the cost of at most a sector; when a
 *          batch ends, it does so for each of its lines that is refused.
 *          For k lines of n that the server does not store, one batch costs at most
 *          2k(ceil(log2(n/k)) + 1) + 1 requests, and 1 where the reply adds up.
 */
#ifndef KWM_DELIVERY_H
#define KWM_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kwm/account.h"
#include "kwm/delivery_state.h"
#include "kwm/event.h"
#include "kwm/schedule.h"
#include "kwm/spool.h"
#include "kwm/uplink.h"

#define KWM_DELIVERY_RECORDS_MAX 256U
#define KWM_DELIVERY_RANGES_MAX 24U
#define KWM_BATCH_LINES_MAX 1000U
#define KWM_LINE_LEN_MAX 8192U

struct kwm_delivery_config {
    struct kwm_spool *spool;
    struct kwm_uplink *uplink;
    struct kwm_reader *reader;
    struct kwm_batch_line *lines;
    struct kwm_stream *streams; /**< as many as the series table has measurements */
    struct kwm_reason *reasons; /**< the newest texts of the server */
    uint8_t reason_cap;         /**< 1..255 */
    /** Scratch for one line. Where the text of a whole batch fits, it stays here from the pass for
     *  lengths to those for bytes: half the work, and no other memory. Else lines are made anew. */
    char *line;
    uint16_t line_cap;       /**< 64..KWM_LINE_LEN_MAX; a longer line is dropped */
    uint16_t line_slots;     /**< entries of lines: 2 or more, for a probe has two */
    uint16_t line_count_max; /**< lines in a request, 1..line_slots */
    struct kwm_schedule_config flush;
    uint8_t rest_times; /**< after a catch-up request, rest so many times what it took */
    struct kwm_event_sink events;
    uint32_t (*random)(void *ctx);
    void *ctx;
};

struct kwm_delivery {
    struct kwm_delivery_config config;
    struct kwm_totals totals;
    struct kwm_schedule flush;
    uint64_t cursor;              /**< samples of NORMAL streams below it were counted */
    uint64_t mark;                /**< samples at or above the cursor and below it are in doubt */
    uint64_t goal;                /**< the flush goes on until the cursor is here */
    uint64_t backoff_ms, rest_ms; /**< nothing, no catch-up is sent before (boot clock) */
    uint64_t now_ms;              /**< of the last step */
    uint64_t note_until_ms;       /**< a batch is sent even if no checkpoint of it can be had */
    uint64_t rows_unnoted;        /**< sent so: a power cut may hide that they were */
    int64_t unnumbered;           /**< samples collected less numbers given by the log */
    uint64_t doubtful_gap;        /**< numbers in doubt that no sample could be read of */
    bool is_noted, is_note_begun; /**< what is sent of the batch in hand survives a power cut */
    bool is_restored;             /**< it goes on with a log that it found */
    uint16_t line_cap_now;        /**< lines a request may have, after too large replies */
    uint8_t failures;             /**< in a row */
    uint8_t cuts;                 /**< cut replies in a row for this batch */
    bool was_ever_stored;
    bool is_urgent;  /**< --once and TERM: no rests, flush now */
    bool is_blocked; /**< the last failure was a mistake in credentials, certificate or name */
    bool is_select_begun;
    uint32_t dead_lost;    /**< dead letters that found no room in the log */
    uint32_t told_failure; /**< hash of the failure that was told last; 0: none */
    uint32_t told_drops;   /**< bits of the drop reasons that were told */

    enum kwm_batch_kind kind, last_kind; /**< of this batch, and of the one before */

    /* The batch in hand. */
    bool is_selected;
    bool is_sent;      /**< a request is on its way */
    uint64_t begun_ms; /**< a probe is of the measurements that were due then */
    uint64_t base;     /**< where it begins */
    uint64_t end;      /**< everything below was looked at */
    uint32_t base_sector;
    uint16_t line_count;
    uint16_t range_count;
    struct kwm_range ranges[KWM_DELIVERY_RANGES_MAX]; /**< still to be sent; the last one next */
    struct kwm_range range;                           /**< on its way */
    uint16_t judge_at, send_at;             /**< next line that gets a piece, that goes out */
    uint16_t kept_count, kept_len;          /**< first lines whose text is in the line buffer */
    uint32_t send_off;                      /**< of the next line's text there, if it is */
    bool is_body_begun;                     /**< a line of the request's body went out */
    struct kwm_reader_mark at_base, at_end; /**< just before its first line, behind its last */
    uint8_t reason_next;
};

/** @return KWM_OK, or KWM_ERR_INVAL if a bound of the configuration is broken. */
KWM_NODISCARD int kwm_delivery_init(struct kwm_delivery *delivery,
                                    const struct kwm_delivery_config *config, uint64_t now_ms);

/** Take another configuration (the same spool, streams and lines); the batch in hand is let go
 *  first by kwm_delivery_abort(). Positions, marks and accounts stay. */
void kwm_delivery_reconfigure(struct kwm_delivery *delivery,
                              const struct kwm_delivery_config *config, uint64_t now_ms);

/**
 * Write positions, marks and totals, for a checkpoint. Measurements that are behind the cursor are
 * written as long as there is room; what is held of others then counts as unreadable after a power
 * cut. Layout in docs/SPEC.md.
 * @param cap at least KWM_SPOOL_SAVE_LEN_MIN. @return bytes written.
 */
size_t kwm_delivery_save(const struct kwm_delivery *delivery, uint8_t *out, size_t cap);

/** Go on from what was written, right after init. @param len 0: nothing was found; then all that
 *  is in the log waits. */
void kwm_delivery_restore(struct kwm_delivery *delivery, const uint8_t *in, size_t len);

/** A sample was appended. */
void kwm_delivery_collected(struct kwm_delivery *delivery, unsigned measurement);

/** A sample was collected, but could not be appended. */
void kwm_delivery_lost(struct kwm_delivery *delivery, unsigned measurement, enum kwm_fate fate);

/** The spool's on_drop. */
void kwm_delivery_dropped(struct kwm_delivery *delivery, uint64_t seq, unsigned measurement);

/** Send what there is, now: the first collection of a spool that never delivered anything. */
void kwm_delivery_flush(struct kwm_delivery *delivery);

/** Send what there is, now and without rests (--once, TERM). */
void kwm_delivery_hurry(struct kwm_delivery *delivery);

/** The wall clock was set or stepped: align the flushes anew. */
void kwm_delivery_realign(struct kwm_delivery *delivery, uint64_t now_ms);

/** @return when to call again at the latest (boot ms). */
uint64_t kwm_delivery_step(struct kwm_delivery *delivery, uint64_t now_ms);

/** @return whether every sample has its verdict, but for those of measurements that are held for
 *  more than a transient reason. */
bool kwm_delivery_is_settled(const struct kwm_delivery *delivery);

/** Break off what goes on (reload, end); its lines stay, in doubt if any of it was sent. */
void kwm_delivery_abort(struct kwm_delivery *delivery);

/** Encode a sample as it is sent, into the configured line buffer. @return length, KWM_ERR_NOSPC,
 *  KWM_ERR_INVAL (no time, or a time that cannot be sent), KWM_ERR_CORRUPT. */
KWM_NODISCARD int kwm_delivery_line(struct kwm_delivery *delivery, const struct kwm_sample *sample);

#endif
