/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/delivery_state.h
 * @brief What kwm/delivery.h keeps of each measurement and of the batch in hand. Public so that the
 *        caller can own the arrays; the fields are the delivery's.
 */
#ifndef KWM_DELIVERY_STATE_H
#define KWM_DELIVERY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "kwm/account.h"
#include "kwm/reply.h"

enum kwm_stream_state {
    KWM_STREAM_NORMAL,   /**< goes with the cursor */
    KWM_STREAM_PAUSED,   /**< held, until a probe */
    KWM_STREAM_DRAINING, /**< catches up with the cursor */
};

/** A measurement in the eyes of one output. */
struct kwm_stream {
    uint8_t state;       /**< enum kwm_stream_state */
    uint8_t piece;       /**< PAUSED: enum kwm_piece that did it */
    uint8_t tries;       /**< probes that failed in a row */
    uint8_t blame_tries; /**< of them, those where a later line was stored, with one text */
    bool has_aside;
    bool is_loss_told; /**< that characters of its rows became others */
    uint32_t blame_hash;
    uint32_t aside_hash; /**< text that sets a line aside at once when others are stored */
    uint64_t blame_since_ms;
    uint64_t pos;      /**< not NORMAL: every sample of it below was counted */
    uint64_t mark;     /**< samples of it below are in doubt */
    uint64_t probe_ms; /**< PAUSED: when */
    uint32_t counts[KWM_FATE_COUNT];
};

/** One line of the batch in hand. */
struct kwm_batch_line {
    uint32_t seq_off; /**< from the batch's base */
    uint32_t hash;    /**< of the server's text */
    uint16_t len;     /**< bytes of the line; 0: it is not sent */
    uint16_t stream;
    uint8_t piece;    /**< enum kwm_piece; 0: no verdict yet */
    uint8_t said;     /**< what the reply at hand says, until it is known to count */
    uint8_t fate;     /**< enum kwm_fate of a line that cannot be sent */
    bool is_doubtful; /**< it was sent before without a verdict of its own */
};

/** A text of the server, known by its hash, about one measurement. */
struct kwm_reason {
    uint32_t hash;
    uint16_t stream;
    bool is_told;
    char text[KWM_PIECE_TEXT_LEN_MAX + 1U];
};

enum kwm_batch_kind {
    KWM_BATCH_NONE,
    KWM_BATCH_MAIN,
    KWM_BATCH_DRAIN,
    KWM_BATCH_PROBE,
    KWM_BATCH_TIME, /**< no line: samples wait for the time of day, so the server is asked */
};

struct kwm_range {
    uint16_t begin, end;
};

#endif
