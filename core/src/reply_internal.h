/* SPDX-License-Identifier: MIT */
/**
 * @file reply_internal.h
 * @brief How the parts of the reply reader call each other: bytes go from the frame (reply.c) to
 *        the JSON scanner, and the characters of `desc` from there to the reader of pieces.
 */
#ifndef REPLY_INTERNAL_H
#define REPLY_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kwm/reply.h"

/** What a complete head says. */
struct kwm_reply_head {
    uint64_t body_len; /**< Content-Length, if has_body_len */
    int64_t date_unix_s;
    uint32_t retry_after_ms;
    uint16_t status; /**< 100..999 */
    bool has_body_len;
    bool is_chunked;
    bool is_json;
    bool keep_alive;
};

/** Parse a head, blank line included. @return KWM_OK, KWM_ERR_PROTO, or KWM_ERR_NOSPC with more
 *  than KWM_REPLY_HEADERS_MAX fields. */
KWM_NODISCARD int kwm_reply_head_parse(struct kwm_reply_head *head, const char *text, size_t len);

void kwm_reply_json_init(struct kwm_reply *reply);
void kwm_reply_json_feed(struct kwm_reply *reply, uint8_t byte);
/** @return true when the body so far is one JSON object. */
bool kwm_reply_json_is_whole(const struct kwm_reply *reply);
/** @return true when it is the beginning of one. */
bool kwm_reply_json_is_begun(const struct kwm_reply *reply);

void kwm_reply_pieces_init(struct kwm_reply *reply);
/** One byte of the text that holds the pieces. */
void kwm_reply_pieces_feed(struct kwm_reply *reply, char c);
/** That text is over. */
void kwm_reply_pieces_end(struct kwm_reply *reply);
/** @return true when the pieces say of each line what became of it. */
bool kwm_reply_pieces_add_up(const struct kwm_reply *reply);
/** Give the sink the one piece of a request of one line. @param is_refused it is class L whatever
 *  its text. */
void kwm_reply_pieces_put_only(const struct kwm_reply *reply, bool is_refused);

/**
 * One step in looking for a pattern in a stream.
 * @param done bytes of the pattern that the stream ends in so far, less than all of them.
 * @return the same with c added; strlen(pattern) when it was found.
 */
size_t kwm_reply_match(const char *pattern, size_t done, char c);

/** Add c to what is kept of a text, never a part of a character. @param is_full set from the first
 *  character on that does not fit; nothing is added from then on. */
void kwm_reply_keep(char *out, size_t cap, uint16_t *len, bool *is_full, char c);

/** Begin anew with what is kept of desc; add to it. */
void kwm_reply_desc_clear(struct kwm_reply *reply);
void kwm_reply_desc_add(struct kwm_reply *reply, char c);

#endif
