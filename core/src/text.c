/* SPDX-License-Identifier: MIT */
#include "kwm/text.h"

#include <string.h>

#include "hal/assert.h"

#define DIGITS_MAX 20U /* of a uint64 in decimal */

void kwm_text_init(struct kwm_text *text, char *out, size_t cap)
{
    KWM_ASSERT(cap > 0);
    text->out = out;
    text->cap = cap;
    text->len = 0;
    text->is_cut = false;
    out[0] = '\0';
}

void kwm_text_append_bytes(struct kwm_text *text, const char *bytes, size_t len)
{
    if (text->is_cut) {
        return;
    }
    const size_t room = text->cap - 1 - text->len;
    if (len > room) {
        len = room;
        text->is_cut = true;
    }
    if (len > 0) {
        memcpy(text->out + text->len, bytes, len);
    }
    text->len += len;
    text->out[text->len] = '\0';
}

void kwm_text_append(struct kwm_text *text, const char *string)
{
    kwm_text_append_bytes(text, string, strlen(string));
}

void kwm_text_append_char(struct kwm_text *text, char character)
{
    kwm_text_append_bytes(text, &character, 1);
}

/* Digits are made from the last one backwards, at the end of a buffer that holds any uint64. */
static void append_digits(struct kwm_text *text, uint64_t value, unsigned base, unsigned digits_min)
{
    char digits[DIGITS_MAX];
    size_t at = DIGITS_MAX;
    while (value > 0 || DIGITS_MAX - at < digits_min) {
        at--;
        digits[at] = "0123456789abcdef"[value % base];
        value /= base;
    }
    kwm_text_append_bytes(text, digits + at, DIGITS_MAX - at);
}

void kwm_text_append_uint(struct kwm_text *text, uint64_t value)
{
    append_digits(text, value, 10, 1);
}

void kwm_text_append_int(struct kwm_text *text, int64_t value)
{
    if (value >= 0) {
        append_digits(text, (uint64_t)value, 10, 1);
        return;
    }
    kwm_text_append_char(text, '-');
    append_digits(text, 0 - (uint64_t)value, 10, 1); /* right for INT64_MIN, too */
}

void kwm_text_append_hex(struct kwm_text *text, uint64_t value, unsigned digits)
{
    KWM_ASSERT(digits >= 1 && digits <= 16);
    append_digits(text, value, 16, digits);
}
