/* SPDX-License-Identifier: MIT */
/**
 * @file delivery_internal.h
 * @brief The parts of kwm/delivery.h among each other.
 */
#ifndef KWM_DELIVERY_INTERNAL_H
#define KWM_DELIVERY_INTERNAL_H

#include "kwm/delivery.h"

#define NOTE_MS_MAX 5000U

/* delivery.c */
void delivery_event(const struct kwm_delivery *d, const struct kwm_event *event);
const char *delivery_stream_name(const struct kwm_delivery *d, unsigned stream);
void delivery_count(struct kwm_delivery *d, unsigned stream, enum kwm_fate fate);

/* delivery_batch.c: choosing lines, and writing them out */
/** @return true when the choice is made (possibly of no line), false to be called again. */
bool delivery_select(struct kwm_delivery *d);
/** Lines that the batch may have. */
uint16_t delivery_line_limit(const struct kwm_delivery *d);
/** Put the whole batch up to be sent, in ranges that a request may hold. */
void delivery_queue(struct kwm_delivery *d);
/** @return bytes of the body of a range, and its lines in *count. */
uint32_t delivery_measure(struct kwm_delivery *d, struct kwm_range range, uint16_t *count);
int delivery_body_rewind(void *ctx);
int delivery_body_read(void *ctx, uint8_t *out, size_t cap);
/** Whether a line of the batch goes out. */
bool delivery_is_sent(const struct kwm_delivery *d, const struct kwm_batch_line *line);
uint64_t delivery_seq(const struct kwm_delivery *d, const struct kwm_batch_line *line);
/** Read a line's sample for the second time. @return whether it is still as it was. */
bool delivery_read(struct kwm_delivery *d, uint64_t seq, struct kwm_sample *sample);
/** Encode the sample that the reader is at into the line buffer. @return length or an error. */
int delivery_encode(struct kwm_delivery *d, const struct kwm_sample *sample, char *out, size_t cap);

/* delivery_judge.c: from replies to verdicts, from verdicts to accounts */
void delivery_piece(void *ctx, const struct kwm_piece_info *info);
/** What the request at hand says of its lines becomes theirs. */
void delivery_accept(struct kwm_delivery *d, bool is_all_stored);
/** Nothing of what it says of its lines counts. */
void delivery_reject(struct kwm_delivery *d);
/** All lines of the batch have verdicts: count them, pause and resume, move on. */
void delivery_commit(struct kwm_delivery *d, uint64_t now_ms);
/** Note that the lines of a range may be stored. */
void delivery_doubt(struct kwm_delivery *d, struct kwm_range range);
/** The batch ends without being counted: what may be stored of it stays in doubt. */
void delivery_let_go(struct kwm_delivery *d);
uint32_t delivery_pause_ms(struct kwm_delivery *d, const struct kwm_stream *stream);

/* delivery_store.c */
/** Have the batch in hand noted in the log. @return whether it is, or has to do without. */
bool delivery_is_noted(struct kwm_delivery *d);
/** Whether cursor and mark say all of the newest samples. */
bool delivery_may_overtake(const struct kwm_delivery *d);

/** What becomes of a sample that makes room. @param mark samples below are in doubt */
enum kwm_fate delivery_drop_fate(const struct kwm_delivery *d, uint64_t seq, uint64_t mark);

#endif
