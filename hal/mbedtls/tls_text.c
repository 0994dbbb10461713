/* SPDX-License-Identifier: MIT */
#include "mbedtls/tls_text.h"

#include <stdbool.h>
#include <string.h>

#include <mbedtls/oid.h>

#include "hal/assert.h"

#define SECONDS_A_DAY 86400

void tls_text_init(struct tls_text *text, char *out, size_t cap)
{
    KWM_ASSERT(cap >= 4);
    *text = (struct tls_text){.out = out, .cap = cap};
    out[0] = '\0';
}

void tls_text_add_bytes(struct tls_text *text, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text->len + 1 == text->cap) {
            memcpy(text->out + text->len - 3, "...", 3);
            return;
        }
        const bool is_printable = bytes[i] >= ' ' && bytes[i] <= '~';
        text->out[text->len] = (char)(is_printable ? bytes[i] : (uint8_t)'?');
        text->len++;
        text->out[text->len] = '\0';
    }
}

void tls_text_add(struct tls_text *text, const char *string)
{
    tls_text_add_bytes(text, (const uint8_t *)string, strlen(string));
}

/** Add value in base 10 or 16, with at least min digits. */
static void add_digits(struct tls_text *text, uint64_t value, unsigned base, size_t min)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        at--;
        digits[at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0 || sizeof(digits) - at < min);
    tls_text_add_bytes(text, (const uint8_t *)digits + at, sizeof(digits) - at);
}

void tls_text_add_uint(struct tls_text *text, uint64_t value)
{
    add_digits(text, value, 10, 1);
}

void tls_text_add_code(struct tls_text *text, int code)
{
    tls_text_add(text, code < 0 ? "-0x" : "0x");
    add_digits(text, code < 0 ? (uint64_t)(-(int64_t)code) : (uint64_t)code, 16, 4);
}

void tls_text_add_name(struct tls_text *text, const mbedtls_x509_name *name)
{
    bool is_first = true;
    tls_text_add(text, "\"");
    for (; name != NULL; name = name->next) {
        const char *type = NULL;
        if (name->oid.p == NULL || mbedtls_oid_get_attr_short_name(&name->oid, &type) != 0) {
            continue; /* an attribute that has no short name says little to people */
        }
        tls_text_add(text, is_first ? "" : ", ");
        tls_text_add(text, type);
        tls_text_add(text, "=");
        tls_text_add_bytes(text, name->val.p, name->val.len);
        is_first = false;
    }
    tls_text_add(text, "\"");
}

/** Days since 1970-01-01 of a date of the Gregorian calendar; the year begins in March here, so
 *  that the leap day is its last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    const int64_t month_from_march = (month + 9) % 12;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

int64_t tls_unix_s(const mbedtls_x509_time *time)
{
    return days_of(time->year, time->mon, time->day) * SECONDS_A_DAY + (int64_t)time->hour * 3600 +
           (int64_t)time->min * 60 + time->sec;
}

void tls_text_add_day(struct tls_text *text, int64_t unix_s)
{
    /* Years 0 to 9999 are all that a certificate can name; a clock beyond them is shown at the
     * edge. */
    const int64_t first = days_of(0, 3, 1);
    const int64_t last = days_of(9999, 12, 31);
    int64_t days = unix_s / SECONDS_A_DAY - (unix_s % SECONDS_A_DAY < 0 ? 1 : 0);
    days = days < first ? first : days > last ? last : days;

    const int64_t day_of_eras = days - first;
    const int64_t era = day_of_eras / 146097;
    const int64_t day_of_era = day_of_eras % 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int64_t month = (month_from_march + 2) % 12 + 1;
    const int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    const int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

    add_digits(text, (uint64_t)year, 10, 4);
    tls_text_add(text, "-");
    add_digits(text, (uint64_t)month, 10, 2);
    tls_text_add(text, "-");
    add_digits(text, (uint64_t)day, 10, 2);
}

void tls_text_add_time(struct tls_text *text, int64_t unix_s)
{
    int64_t second = unix_s % SECONDS_A_DAY;
    second += second < 0 ? SECONDS_A_DAY : 0;
    tls_text_add_day(text, unix_s);
    tls_text_add(text, " ");
    add_digits(text, (uint64_t)(second / 3600), 10, 2);
    tls_text_add(text, ":");
    add_digits(text, (uint64_t)(second / 60 % 60), 10, 2);
    tls_text_add(text, ":");
    add_digits(text, (uint64_t)(second % 60), 10, 2);
    tls_text_add(text, " UTC");
}

static void add_ipv4(struct tls_text *text, const uint8_t *ip)
{
    for (size_t i = 0; i < 4; i++) {
        tls_text_add(text, i == 0 ? "" : ".");
        tls_text_add_uint(text, ip[i]);
    }
}

/** Add an IPv6 address with its longest run of zero groups as "::" (RFC 5952, section 4.2). */
static void add_ipv6(struct tls_text *text, const uint8_t *ip)
{
    unsigned groups[8];
    size_t run_start = 0;
    size_t run_len = 1; /* a single zero group is written as 0 */
    size_t zeros = 0;
    for (size_t i = 0; i < 8; i++) {
        groups[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
        zeros = groups[i] == 0 ? zeros + 1 : 0;
        if (zeros > run_len) {
            run_len = zeros;
            run_start = i + 1 - zeros;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        if (run_len > 1 && i == run_start) {
            tls_text_add(text, "::");
            i += run_len - 1;
            continue;
        }
        const bool is_after_run = run_len > 1 && i == run_start + run_len;
        tls_text_add(text, i == 0 || is_after_run ? "" : ":");
        add_digits(text, groups[i], 16, 1);
    }
}

void tls_text_add_hosts(struct tls_text *text, const mbedtls_x509_crt *crt)
{
    bool is_first = true;
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next) {
        const unsigned type = (unsigned)san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
        const bool is_dns = type == MBEDTLS_X509_SAN_DNS_NAME;
        const bool is_ip =
            type == MBEDTLS_X509_SAN_IP_ADDRESS && (san->buf.len == 4 || san->buf.len == 16);
        if (san->buf.p == NULL || (!is_dns && !is_ip)) {
            continue;
        }
        tls_text_add(text, is_first ? "" : ", ");
        if (is_dns) {
            tls_text_add_bytes(text, san->buf.p, san->buf.len);
        } else if (san->buf.len == 4) {
            add_ipv4(text, san->buf.p);
        } else {
            add_ipv6(text, san->buf.p);
        }
        is_first = false;
    }
    if (is_first) {
        tls_text_add_name(text, &crt->subject);
    }
}
