/* SPDX-License-Identifier: MIT */
#include "config_scan.h"

#include <string.h>

#include "hal/assert.h"

#define NUMBER_LEN_MAX 40U /* cJSON copies a number to read it */

enum expected {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_CLOSE, /* just inside [ */
    EXPECT_KEY,
    EXPECT_KEY_OR_CLOSE, /* just inside { */
    EXPECT_COMMA_OR_CLOSE,
};

static size_t end_of_string(const char *text, size_t len, size_t off)
{
    for (off++; off < len && text[off] != '"' && text[off] != '\n'; off++) {
        if (text[off] == '\\') {
            off++;
        }
    }
    return off;
}

void kwm_config_scan_blank(char *text, size_t len)
{
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        memset(text, ' ', 3);
    }
    size_t off = 0;
    while (off < len) {
        if (text[off] == '"') {
            off = end_of_string(text, len, off) + 1;
        } else if (text[off] == '/' && off + 1 < len && text[off + 1] == '/') {
            for (; off < len && text[off] != '\n'; off++) {
                text[off] = ' ';
            }
        } else {
            off++;
        }
    }
}

void kwm_config_scan_init(struct kwm_config_scan *scan, const char *text, size_t len)
{
    *scan = (struct kwm_config_scan){.text = text, .len = len, .expected = EXPECT_VALUE};
}

static enum kwm_config_scan_event fail(struct kwm_config_scan *scan, const char *reason)
{
    scan->reason = reason;
    scan->start = scan->off;
    return KWM_CONFIG_SCAN_ERROR;
}

/* The next byte, or NUL at the end. A NUL in the text is no token: that need not be told apart. */
static char peek(const struct kwm_config_scan *scan)
{
    return scan->off < scan->len ? scan->text[scan->off] : '\0';
}

static void skip_blanks(struct kwm_config_scan *scan)
{
    while (scan->off < scan->len && strchr(" \t\r\n", scan->text[scan->off]) != NULL &&
           scan->text[scan->off] != '\0') {
        scan->off++;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t kwm_config_scan_utf8(const char *text, size_t len)
{
    const uint8_t *b = (const uint8_t *)text;
    if (len == 0) {
        return 0;
    }
    const size_t count = b[0] < 0x80   ? 1
                         : b[0] < 0xc2 ? 0
                         : b[0] < 0xe0 ? 2
                         : b[0] < 0xf0 ? 3
                         : b[0] < 0xf5 ? 4
                                       : 0;
    if (count == 0 || count > len) {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool is_overlong = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
    const bool is_beyond = (b[0] == 0xed && b[1] >= 0xa0) || (b[0] == 0xf4 && b[1] >= 0x90);
    return is_overlong || is_beyond ? 0 : count;
}

/* Four hex digits behind \u. @return their value, or -1. */
static int32_t hex4(const struct kwm_config_scan *scan, size_t off)
{
    int32_t value = 0;
    if (scan->len - off < 4) {
        return -1;
    }
    for (size_t i = 0; i < 4; i++) {
        const char c = scan->text[off + i];
        const char *digit =
            c == '\0' ? NULL : strchr("0123456789abcdef", c | (c >= 'A' ? 0x20 : 0));
        if (digit == NULL) {
            return -1;
        }
        value = value * 16 + (int32_t)(digit - "0123456789abcdef");
    }
    return value;
}

/* An escape, off at its backslash. @return its bytes, 0 if it is none. */
static size_t escape_len(const struct kwm_config_scan *scan, size_t off)
{
    const char c = off + 1 < scan->len ? scan->text[off + 1] : '\0';
    if (c == '\0') {
        return 0;
    }
    if (c != 'u') {
        return strchr("\"\\/bfnrt", c) != NULL ? 2 : 0;
    }
    const int32_t first = hex4(scan, off + 2);
    if (first <= 0 || (first >= 0xdc00 && first <= 0xdfff)) {
        return 0;
    }
    if (first < 0xd800 || first > 0xdbff) {
        return 6;
    }
    if (scan->len - off < 12 || scan->text[off + 6] != '\\' || scan->text[off + 7] != 'u') {
        return 0;
    }
    const int32_t second = hex4(scan, off + 8);
    return second >= 0xdc00 && second <= 0xdfff ? 12 : 0;
}

/* @return whether it is a string; off is behind it then, else at what is wrong. */
static bool scan_string(struct kwm_config_scan *scan)
{
    const size_t start = scan->off;
    scan->off++;
    while (peek(scan) != '"') {
        const char c = peek(scan);
        size_t step;
        if (c == '\0' || c == '\n' || c == '\r') {
            const bool is_nul = scan->off < scan->len && c == '\0';
            scan->off = is_nul ? scan->off : start;
            scan->reason =
                is_nul ? "a NUL byte in a string" : "this string is not closed on its line";
            return false;
        }
        if (c == '\\') {
            step = escape_len(scan, scan->off);
            scan->reason =
                "no such escape: allowed are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX, "
                "but not \\u0000";
        } else if ((uint8_t)c < 0x20) {
            step = 0;
            scan->reason = "a control character in a string: write it as \\t or \\uXXXX";
        } else {
            step = kwm_config_scan_utf8(scan->text + scan->off, scan->len - scan->off);
            scan->reason = "not UTF-8";
        }
        if (step == 0) {
            return false;
        }
        scan->off += step;
    }
    scan->off++;
    return true;
}

static size_t skip_digits(struct kwm_config_scan *scan)
{
    const size_t start = scan->off;
    while (is_digit(peek(scan))) {
        scan->off++;
    }
    return scan->off - start;
}

static bool scan_number(struct kwm_config_scan *scan)
{
    const size_t start = scan->off;
    scan->off += peek(scan) == '-';
    const bool has_zero_first = peek(scan) == '0';
    const size_t whole = skip_digits(scan);
    bool is_right = whole == 1 || (whole > 1 && !has_zero_first);
    if (peek(scan) == '.') {
        scan->off++;
        is_right = skip_digits(scan) > 0 && is_right;
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->off++;
        scan->off += peek(scan) == '+' || peek(scan) == '-';
        is_right = skip_digits(scan) > 0 && is_right;
    }
    if (is_right && scan->off - start <= NUMBER_LEN_MAX) {
        return true;
    }
    scan->off = start;
    scan->reason = "not a number: allowed are such as 10, -1 and 0.5, of at most 40 characters";
    return false;
}

static bool scan_word(struct kwm_config_scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const size_t len = strlen(words[i]);
        if (scan->len - scan->off >= len && memcmp(scan->text + scan->off, words[i], len) == 0) {
            scan->off += len;
            return true;
        }
    }
    scan->reason = "a value is expected here: \"text\", a number, true, false, [ ] or { }";
    return false;
}

/* What is said of a byte that fits nowhere, if it is one that people write. */
static const char *reason_for(const struct kwm_config_scan *scan, const char *usual)
{
    const char c = peek(scan);
    if (scan->off >= scan->len) {
        return "the document ends here, before all its brackets are closed";
    }
    if (c == '\'') {
        return "strings and keys stand in double quotes";
    }
    if (c == '/' || c == '#') {
        return "a comment begins with // and ends with its line";
    }
    return usual;
}

static enum kwm_config_scan_event open_container(struct kwm_config_scan *scan)
{
    if (scan->depth == KWM_CONFIG_DEPTH_MAX) {
        return fail(scan, "nested deeper than 8 levels");
    }
    const bool is_object = peek(scan) == '{';
    scan->is_object[scan->depth++] = is_object;
    scan->off++;
    scan->expected = is_object ? EXPECT_KEY_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
    return KWM_CONFIG_SCAN_OPEN;
}

static enum kwm_config_scan_event next_value(struct kwm_config_scan *scan)
{
    const char c = peek(scan);
    bool is_right;
    if (c == '{' || c == '[') {
        return open_container(scan);
    }
    if (c == '"') {
        is_right = scan_string(scan);
    } else if (c == '-' || is_digit(c)) {
        is_right = scan_number(scan);
    } else {
        is_right = scan_word(scan);
        scan->reason = is_right ? NULL : reason_for(scan, scan->reason);
    }
    if (!is_right) {
        return fail(scan, scan->reason);
    }
    scan->expected = EXPECT_COMMA_OR_CLOSE;
    return KWM_CONFIG_SCAN_SCALAR;
}

static enum kwm_config_scan_event next_key(struct kwm_config_scan *scan)
{
    if (peek(scan) != '"') {
        return fail(scan, peek(scan) == '}'
                              ? "no comma may stand before }"
                              : reason_for(scan, "a key in double quotes is expected here"));
    }
    if (!scan_string(scan)) {
        return fail(scan, scan->reason);
    }
    skip_blanks(scan);
    if (peek(scan) != ':') {
        return fail(scan, reason_for(scan, "a colon is expected here, between key and value"));
    }
    scan->off++;
    scan->expected = EXPECT_VALUE;
    return KWM_CONFIG_SCAN_KEY;
}

/* Behind a value: true if there is an event (close, end, error), false after a comma. */
static bool after_value(struct kwm_config_scan *scan, enum kwm_config_scan_event *event)
{
    if (scan->depth == 0) {
        *event = scan->off == scan->len
                     ? KWM_CONFIG_SCAN_END
                     : fail(scan, reason_for(scan, "nothing may follow the end of the document"));
        return true;
    }
    const bool is_object = scan->is_object[scan->depth - 1];
    if (peek(scan) == ',') {
        scan->off++;
        scan->expected = is_object ? EXPECT_KEY : EXPECT_VALUE;
        skip_blanks(scan);
        if (!is_object && peek(scan) == ']') {
            *event = fail(scan, "no comma may stand before ]");
            return true;
        }
        return false;
    }
    *event = fail(scan, reason_for(scan, is_object ? "a comma or } is expected here"
                                                   : "a comma or ] is expected here"));
    return true;
}

static bool is_close(const struct kwm_config_scan *scan)
{
    return scan->depth > 0 && peek(scan) == (scan->is_object[scan->depth - 1] ? '}' : ']') &&
           (scan->expected == EXPECT_COMMA_OR_CLOSE || scan->expected == EXPECT_KEY_OR_CLOSE ||
            scan->expected == EXPECT_VALUE_OR_CLOSE);
}

enum kwm_config_scan_event kwm_config_scan_next(struct kwm_config_scan *scan)
{
    enum kwm_config_scan_event event;
    skip_blanks(scan);
    if (is_close(scan)) {
        scan->start = scan->off++;
        scan->depth--;
        scan->expected = EXPECT_COMMA_OR_CLOSE;
        return KWM_CONFIG_SCAN_CLOSE;
    }
    if (scan->expected == EXPECT_COMMA_OR_CLOSE && after_value(scan, &event)) {
        return event;
    }
    const size_t start = scan->off;
    const bool is_key = scan->expected == EXPECT_KEY || scan->expected == EXPECT_KEY_OR_CLOSE;
    event = is_key ? next_key(scan) : next_value(scan);
    if (event != KWM_CONFIG_SCAN_ERROR) {
        scan->start = start;
    }
    return event;
}

size_t kwm_config_scan_locate(const char *text, size_t len, const uint16_t *indices, uint8_t depth,
                              bool is_key)
{
    struct kwm_config_scan scan;
    uint16_t
        at[KWM_CONFIG_DEPTH_MAX + 1]; /* at[n]: number of the latest value within n containers */
    size_t key_start = 0;
    at[0] = UINT16_MAX; /* one before the first */
    kwm_config_scan_init(&scan, text, len);
    for (;;) {
        const uint8_t level = scan.depth;
        const enum kwm_config_scan_event event = kwm_config_scan_next(&scan);
        KWM_ASSERT(event != KWM_CONFIG_SCAN_ERROR && event != KWM_CONFIG_SCAN_END);
        if (event == KWM_CONFIG_SCAN_KEY) {
            key_start = scan.start;
            continue;
        }
        if (event == KWM_CONFIG_SCAN_CLOSE) {
            continue;
        }
        at[level]++;
        if (level == depth && memcmp(at + 1, indices, depth * sizeof(at[0])) == 0) {
            const bool has_key = level > 0 && scan.is_object[level - 1];
            return is_key && has_key ? key_start : scan.start;
        }
        if (event == KWM_CONFIG_SCAN_OPEN) {
            at[scan.depth] = UINT16_MAX;
        }
    }
}

void kwm_config_scan_place(const char *text, size_t off, uint32_t *line, uint32_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < off; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((uint8_t)text[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}
