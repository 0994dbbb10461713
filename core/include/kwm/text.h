/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/text.h
 * @brief Writes text into a fixed buffer: what snprintf would be used for, without stdio.
 *
 * The text is NUL-terminated after every call. What does not fit is cut off, never written past the
 * end; from the first cut on nothing more is added, so that the text has no gap, and is_cut stays
 * set.
 *
 * Memory:  the caller owns struct kwm_text and the buffer.
 * Context: any.   Bounds: linear in the bytes added.
 */
#ifndef KWM_TEXT_H
#define KWM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kwm_text {
    char *out;   /**< the text so far, NUL-terminated */
    size_t cap;  /**< size of the buffer, NUL included */
    size_t len;  /**< bytes of the text, NUL excluded */
    bool is_cut; /**< something did not fit */
};

/** Begin an empty text. @param cap at least 1 (asserted). */
void kwm_text_init(struct kwm_text *text, char *out, size_t cap);

/** Add a NUL-terminated string. */
void kwm_text_append(struct kwm_text *text, const char *string);

/** Add len bytes as they are. A NUL among them would end the text for its reader. */
void kwm_text_append_bytes(struct kwm_text *text, const char *bytes, size_t len);

void kwm_text_append_char(struct kwm_text *text, char character);

/** Add a number in decimal, without sign for values >= 0 and without leading zeros. */
void kwm_text_append_uint(struct kwm_text *text, uint64_t value);
void kwm_text_append_int(struct kwm_text *text, int64_t value);

/** Add a number in lower-case hexadecimal, without prefix. @param digits at least so many, with
 *  leading zeros; 1..16. */
void kwm_text_append_hex(struct kwm_text *text, uint64_t value, unsigned digits);

#endif
