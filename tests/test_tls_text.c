/* SPDX-License-Identifier: MIT */
/* Goal:   dates, names and addresses of certificates read as people write them; nothing is written
 *         past the buffer, and a cut shows.
 * Method: tables; each capacity over a guard byte; the C library's gmtime as the oracle of dates.
 * */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mbedtls/tls_text.h"
#include "mbedtls/tls_verify.h"

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_s;
        const char *expected;
    } rows[] = {
        {0, "1970-01-01 00:00:00 UTC"},
        {-1, "1969-12-31 23:59:59 UTC"},
        {951782399, "2000-02-28 23:59:59 UTC"},
        {951782400, "2000-02-29 00:00:00 UTC"},
        {4107542399, "2100-02-28 23:59:59 UTC"},
        {4107542400, "2100-03-01 00:00:00 UTC"},
        {253402300799, "9999-12-31 23:59:59 UTC"},
        {INT64_MAX / 1000, "9999-12-31 07:12:55 UTC"},
        {-62162208001, "0000-03-01 23:59:59 UTC"},
    };
    char out[64];
    struct tls_text text;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tls_text_init(&text, out, sizeof(out));
        tls_text_add_time(&text, rows[i].unix_s);
        assert_string_equal(out, rows[i].expected);
    }
}

static void test_dates_against_libc(void **state)
{
    (void)state;
    uint64_t random = support_seed();
    for (unsigned i = 0; i < support_runs(20000); i++) {
        const time_t unix_s = (time_t)(support_random(&random) % 253402300800U);
        struct tm tm;
        assert_non_null(gmtime_r(&unix_s, &tm));
        char expected[64];
        char out[64];
        struct tls_text text;
        assert_true(strftime(expected, sizeof(expected), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0);
        tls_text_init(&text, out, sizeof(out));
        tls_text_add_time(&text, unix_s);
        assert_string_equal(out, expected);
        const mbedtls_x509_time parts = {.year = tm.tm_year + 1900,
                                         .mon = tm.tm_mon + 1,
                                         .day = tm.tm_mday,
                                         .hour = tm.tm_hour,
                                         .min = tm.tm_min,
                                         .sec = tm.tm_sec};
        assert_int_equal(tls_unix_s(&parts), unix_s);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        uint8_t ip[16];
        size_t len;
        const char *expected;
    } rows[] = {
        {{192, 0, 2, 1}, 4, "192.0.2.1"},
        {{0}, 16, "::"},
        {{[15] = 1}, 16, "::1"},
        {{[0] = 0xfe, [1] = 0x80}, 16, "fe80::"},
        {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 16, "2001:db8::1"},
        {{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}, 16, "1:2:3:4:5:6:7:8"},
        {{0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 6, 0, 7, 0, 0}, 16, "1:0:3::6:7:0"},
        {{0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0x12, 0x34}, 16, "0:2:3:4:5:6:7:1234"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t ip[16];
        memcpy(ip, rows[i].ip, sizeof(ip));
        mbedtls_x509_crt crt;
        mbedtls_x509_crt_init(&crt);
        crt.subject_alt_names.buf.tag = MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_IP_ADDRESS;
        crt.subject_alt_names.buf.p = ip;
        crt.subject_alt_names.buf.len = rows[i].len;
        char out[64];
        struct tls_text text;
        tls_text_init(&text, out, sizeof(out));
        tls_text_add_hosts(&text, &crt);
        assert_string_equal(out, rows[i].expected);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    char out[64];
    struct tls_text text;
    tls_text_init(&text, out, sizeof(out));
    tls_text_add_uint(&text, 0);
    tls_text_add(&text, " ");
    tls_text_add_uint(&text, UINT64_MAX);
    tls_text_add(&text, " ");
    tls_text_add_code(&text, -0x2700);
    tls_text_add(&text, " ");
    tls_text_add_code(&text, -0x50);
    assert_string_equal(out, "0 18446744073709551615 -0x2700 -0x0050");
}

static void test_cut(void **state)
{
    (void)state;
    static const char whole[] = "certificate of \"CN=node\x1b[31m\"";
    for (size_t cap = 4; cap <= sizeof(whole) + 1; cap++) {
        char out[sizeof(whole) + 2];
        char expected[sizeof(whole) + 2] = "certificate of \"CN=node?[31m\"";
        struct tls_text text;
        out[cap] = '#';
        tls_text_init(&text, out, cap);
        tls_text_add(&text, whole);
        tls_text_add(&text, "");
        if (cap < sizeof(whole)) {
            memcpy(expected + cap - 4, "...", 4);
        }
        assert_string_equal(out, expected);
        assert_int_equal(out[cap], '#');
        if (cap < sizeof(whole)) {
            tls_text_add(&text, "more");
            assert_string_equal(out, expected);
        }
    }
}

static void test_period(void **state)
{
    (void)state;
    static const struct {
        enum hal_wall_state state;
        uint32_t expected;
        int64_t unix_ms;
    } rows[] = {
        /* valid from 1000 s to 2000 s */
        {HAL_WALL_SET, MBEDTLS_X509_BADCERT_FUTURE, 999999},
        {HAL_WALL_SET, 0, 1000000},
        {HAL_WALL_SET, 0, 2000999},
        {HAL_WALL_SET, MBEDTLS_X509_BADCERT_EXPIRED, 2001000},
        {HAL_WALL_FLOOR, 0, 0},
        {HAL_WALL_FLOOR, 0, 2000999},
        {HAL_WALL_FLOOR, MBEDTLS_X509_BADCERT_EXPIRED, 2001000},
        {HAL_WALL_UNKNOWN, 0, 2001000},
        {HAL_WALL_UNKNOWN, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct hal_wall wall = {.state = rows[i].state, .unix_ms = rows[i].unix_ms};
        assert_int_equal(tls_verify_period(wall, 1000, 2000), rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),     cmocka_unit_test(test_dates_against_libc),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_cut),       cmocka_unit_test(test_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
