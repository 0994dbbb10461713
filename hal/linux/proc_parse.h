/* SPDX-License-Identifier: MIT */
/**
 * @file linux/proc_parse.h
 * @brief Words and numbers of a text that is not trusted: no terminator needed, no locale.
 *
 * Memory:  the caller's text, which is not written to.   Context: any.
 * Bounds:  linear in the text; numbers that do not fit are refused, never wrapped.
 */
#ifndef LINUX_PROC_PARSE_H
#define LINUX_PROC_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hal/value.h"

/** What is left of a text. */
struct linux_cursor {
    const char *at;
    const char *end;
};

static inline bool linux_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline void linux_skip_blanks(struct linux_cursor *cursor)
{
    const char *at = cursor->at;
    while (at < cursor->end && linux_is_blank(*at)) {
        at++;
    }
    cursor->at = at;
}

static inline struct linux_cursor linux_cursor_of(const char *text, size_t len)
{
    return (struct linux_cursor){.at = text, .end = text + len};
}

/** Go past a prefix. @return whether it was there. */
static inline bool linux_take_prefix(struct linux_cursor *cursor, const char *prefix, size_t len)
{
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, prefix, len) != 0) {
        return false;
    }
    cursor->at += len;
    return true;
}

/** Digits, nothing before them. @return false without a digit, or if they do not fit. */
bool linux_take_digits(struct linux_cursor *cursor, uint64_t *out);

/** Blanks and a whole number that ends at a blank or the end. */
static inline bool linux_take_uint(struct linux_cursor *cursor, uint64_t *out)
{
    linux_skip_blanks(cursor);
    return linux_take_digits(cursor, out) &&
           (cursor->at == cursor->end || linux_is_blank(*cursor->at));
}

/** Blanks and a word up to the next blank. @return false at the end, or for one of over
 *  UINT16_MAX bytes. */
bool linux_take_word(struct linux_cursor *cursor, struct hal_text *out);

/** A decimal number: mantissa * 10^-digits. */
struct linux_decimal {
    int64_t mantissa;
    uint8_t digits; /**< after the point; 0..HAL_SCALE_MAX */
};

/**
 * Blanks, "-", digits, "." and digits, up to a blank or the end. Digits after the point that have
 * no room any more are left out.
 * @return false if it is none, or does not fit.
 */
bool linux_take_decimal(struct linux_cursor *cursor, struct linux_decimal *out);

/** Bring to so many digits after the point, rounded half away from zero. @return whether it
 *  fits. */
bool linux_decimal_rescale(struct linux_decimal *value, uint8_t digits);

/** value += other. @return whether it fits. */
bool linux_decimal_add(struct linux_decimal *value, struct linux_decimal other);

/** value *= other, with as many digits after the point as fit, the last one rounded.
 *  @return whether its whole part fits. */
bool linux_decimal_multiply(struct linux_decimal *value, struct linux_decimal other);

/** value *= 10^-digits; digits that have no room any more are rounded away. */
void linux_decimal_shift(struct linux_decimal *value, uint8_t digits);

/** Write a number. @param out at least 20 bytes. @return bytes; no NUL. */
size_t linux_format_uint(char *out, uint64_t number);

#endif
