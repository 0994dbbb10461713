/* SPDX-License-Identifier: MIT */
/* The head of a reply: picohttpparser splits it, what matters to us is read strictly here. */
#include <string.h>

#include "hal/assert.h"
#include "picohttpparser.h"
#include "reply_internal.h"

#define DATE_LEN 29U
#define DAY_S 86400
#define RETRY_AFTER_S_MAX (KWM_REPLY_RETRY_AFTER_MS_MAX / 1000U)
#define BODY_LEN_DIGITS_MAX 18U /* no sum overflows 64 bits */

/* A header's value, without the blanks around it. */
struct value {
    const char *s;
    size_t len;
};

/* What is collected while the headers pass. */
struct seen {
    struct kwm_reply_head *head;
    struct value retry_after;
    bool has_type;
    bool has_date;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Does the text equal the word, which is in lower case, whatever the text's case? */
static bool equals(const char *s, size_t len, const char *word)
{
    if (len != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(s[i]) != word[i]) {
            return false;
        }
    }
    return true;
}

static struct value trim(const char *s, size_t len)
{
    while (len > 0 && is_blank(s[len - 1])) {
        len--;
    }
    while (len > 0 && is_blank(s[0])) {
        s++;
        len--;
    }
    return (struct value){s, len};
}

static int64_t digits_value(const char *s, size_t count)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

/* @return the place of the three letters in a row of such names, or -1. */
static int find_name(const char *names, const char *s)
{
    for (int i = 0; names[3 * i] != '\0'; i++) {
        if (memcmp(names + 3 * i, s, 3) == 0) {
            return i;
        }
    }
    return -1;
}

/* Leap years from year 1 to the given one. */
static int64_t leap_years(int64_t year)
{
    return year / 4 - year / 100 + year / 400;
}

/* Days from 1970-01-01 to a date of 1970 or later, or -1 if there is no such date. */
static int64_t days_since_1970(int64_t year, int month, int64_t day)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    const bool is_leap = leap_years(year) > leap_years(year - 1);
    const int64_t length = before[month + 1] - before[month] + (is_leap && month == 1 ? 1 : 0);
    if (year < 1970 || day < 1 || day > length) {
        return -1;
    }
    return 365 * (year - 1970) + leap_years(year - 1) - leap_years(1969) + before[month] +
           (is_leap && month > 1 ? 1 : 0) + day - 1;
}

/* IMF-fixdate of RFC 9110 5.6.7, strictly, the weekday included. @return unix seconds, 0 if it is
 * malformed or before 1970. */
static int64_t parse_date(struct value value)
{
    static const char form[] = "?\?\?, ## ?\?\? #### ##:##:## GMT";
    if (value.len != DATE_LEN) {
        return 0;
    }
    for (size_t i = 0; i < DATE_LEN; i++) {
        if (form[i] == '#' ? !is_digit(value.s[i]) : form[i] != '?' && form[i] != value.s[i]) {
            return 0;
        }
    }
    const int weekday = find_name("ThuFriSatSunMonTueWed", value.s); /* 1970 began on a Thursday */
    const int month = find_name("JanFebMarAprMayJunJulAugSepOctNovDec", value.s + 8);
    if (weekday < 0 || month < 0) {
        return 0;
    }
    const int64_t days =
        days_since_1970(digits_value(value.s + 12, 4), month, digits_value(value.s + 5, 2));
    const int64_t hour = digits_value(value.s + 17, 2);
    const int64_t minute = digits_value(value.s + 20, 2);
    const int64_t second = digits_value(value.s + 23, 2); /* 60 in a leap second */
    if (days < 0 || days % 7 != weekday || hour > 23 || minute > 59 || second > 60) {
        return 0;
    }
    return days * DAY_S + hour * 3600 + minute * 60 + second;
}

/* RFC 9110 10.2.3. A date counts from the server's own clock, so that ours does not matter. */
static uint32_t retry_after_ms(struct value value, int64_t date_unix_s)
{
    int64_t wait_s = 0;
    size_t digits = 0;
    while (digits < value.len && is_digit(value.s[digits])) {
        if (wait_s < RETRY_AFTER_S_MAX) {
            wait_s = wait_s * 10 + (value.s[digits] - '0');
        }
        digits++;
    }
    if (digits < value.len) {
        const int64_t then = parse_date(value);
        wait_s = then > 0 && date_unix_s > 0 ? then - date_unix_s : 0;
    }
    if (wait_s <= 0) {
        return 0;
    }
    return wait_s > RETRY_AFTER_S_MAX ? KWM_REPLY_RETRY_AFTER_MS_MAX : (uint32_t)wait_s * 1000U;
}

static bool is_json_type(struct value value)
{
    static const char json[] = "application/json";
    const size_t len = sizeof(json) - 1;
    if (value.len < len || !equals(value.s, len, json)) {
        return false;
    }
    const struct value rest = trim(value.s + len, value.len - len);
    return rest.len == 0 || rest.s[0] == ';';
}

/* Does the list hold the option? RFC 9110 7.6.1. */
static bool has_option(struct value list, const char *option)
{
    size_t begin = 0;
    for (size_t i = 0; i <= list.len; i++) {
        if (i == list.len || list.s[i] == ',') {
            const struct value one = trim(list.s + begin, i - begin);
            if (equals(one.s, one.len, option)) {
                return true;
            }
            begin = i + 1;
        }
    }
    return false;
}

/* RFC 9112 6.3: lengths that contradict each other may be an attack, so they end the reading. */
static int read_body_len(struct kwm_reply_head *head, struct value value)
{
    if (value.len == 0 || value.len > BODY_LEN_DIGITS_MAX) {
        return KWM_ERR_PROTO;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.s[i])) {
            return KWM_ERR_PROTO;
        }
    }
    const uint64_t len = (uint64_t)digits_value(value.s, value.len);
    if (head->has_body_len && head->body_len != len) {
        return KWM_ERR_PROTO;
    }
    head->has_body_len = true;
    head->body_len = len;
    return KWM_OK;
}

static int read_header(struct seen *seen, const struct phr_header *header)
{
    struct kwm_reply_head *head = seen->head;
    const char *name = header->name;
    const size_t len = header->name_len;
    if (name == NULL) {
        return KWM_ERR_PROTO; /* a folded line, obsolete since RFC 7230 */
    }
    const struct value value = trim(header->value, header->value_len);
    if (equals(name, len, "content-length")) {
        return read_body_len(head, value);
    }
    if (equals(name, len, "transfer-encoding")) {
        if (head->is_chunked || !equals(value.s, value.len, "chunked")) {
            return KWM_ERR_PROTO;
        }
        head->is_chunked = true;
    } else if (equals(name, len, "connection")) {
        head->keep_alive = head->keep_alive && !has_option(value, "close");
    } else if (equals(name, len, "content-type")) {
        head->is_json = is_json_type(value) && (head->is_json || !seen->has_type);
        seen->has_type = true;
    } else if (equals(name, len, "date")) {
        head->date_unix_s = seen->has_date ? head->date_unix_s : parse_date(value);
        seen->has_date = true;
    } else if (equals(name, len, "retry-after")) {
        seen->retry_after = value;
    }
    return KWM_OK;
}

int kwm_reply_head_parse(struct kwm_reply_head *head, const char *text, size_t len)
{
    struct phr_header headers[KWM_REPLY_HEADERS_MAX];
    size_t count = KWM_REPLY_HEADERS_MAX;
    int minor_version = 0;
    int status = 0;
    const char *reason = NULL;
    size_t reason_len = 0;
    KWM_ASSERT(head != NULL && text != NULL);

    const int used = phr_parse_response(text, len, &minor_version, &status, &reason, &reason_len,
                                        headers, &count, 0);
    if (used < 0 || (size_t)used != len) {
        return count == KWM_REPLY_HEADERS_MAX ? KWM_ERR_NOSPC : KWM_ERR_PROTO;
    }
    if (status < 100) {
        return KWM_ERR_PROTO;
    }
    *head = (struct kwm_reply_head){.status = (uint16_t)status, .keep_alive = minor_version >= 1};
    struct seen seen = {.head = head};
    for (size_t i = 0; i < count; i++) {
        const int rc = read_header(&seen, &headers[i]);
        if (rc != KWM_OK) {
            return rc;
        }
    }
    if (head->is_chunked && head->has_body_len) {
        return KWM_ERR_PROTO;
    }
    head->retry_after_ms = retry_after_ms(seen.retry_after, head->date_unix_s);
    return KWM_OK;
}
