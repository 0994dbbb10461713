/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/text.h writes exactly what was asked for, not past the buffer, and says when it cut.
 * Method: tables of numbers at their limits; every capacity from 1 up over a guard byte. */
#include "support.h"

#include <string.h>

#include "kwm/text.h"

static void test_strings(void **state)
{
    (void)state;
    char out[32];
    struct kwm_text text;
    kwm_text_init(&text, out, sizeof(out));
    assert_string_equal(out, "");
    kwm_text_append(&text, "inputs.");
    kwm_text_append_bytes(&text, "cpuXX", 3);
    kwm_text_append_char(&text, '!');
    kwm_text_append(&text, "");
    kwm_text_append_bytes(&text, NULL, 0);
    assert_string_equal(out, "inputs.cpu!");
    assert_int_equal(text.len, 11);
    assert_false(text.is_cut);
}

static void test_decimal(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *expected;
    } rows[] = {
        {0, "0"},
        {7, "7"},
        {-1, "-1"},
        {10, "10"},
        {-1234567890, "-1234567890"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[32];
        struct kwm_text text;
        kwm_text_init(&text, out, sizeof(out));
        kwm_text_append_int(&text, rows[i].value);
        assert_string_equal(out, rows[i].expected);
        if (rows[i].value >= 0) {
            kwm_text_init(&text, out, sizeof(out));
            kwm_text_append_uint(&text, (uint64_t)rows[i].value);
            assert_string_equal(out, rows[i].expected);
        }
    }
    char out[32];
    struct kwm_text text;
    kwm_text_init(&text, out, sizeof(out));
    kwm_text_append_uint(&text, UINT64_MAX);
    assert_string_equal(out, "18446744073709551615");
}

static void test_hex(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        unsigned digits;
        const char *expected;
    } rows[] = {
        {0, 1, "0"},
        {0, 2, "00"},
        {10, 1, "a"},
        {0x1f, 2, "1f"},
        {0x123, 2, "123"},
        {0xdeadbeef, 16, "00000000deadbeef"},
        {UINT64_MAX, 1, "ffffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[32];
        struct kwm_text text;
        kwm_text_init(&text, out, sizeof(out));
        kwm_text_append_hex(&text, rows[i].value, rows[i].digits);
        assert_string_equal(out, rows[i].expected);
    }
}

static void test_every_capacity(void **state)
{
    (void)state;
    static const char whole[] = "ab-1718ffz";
    for (size_t cap = 1; cap <= sizeof(whole) + 2; cap++) {
        char out[sizeof(whole) + 3];
        memset(out, '#', sizeof(out));
        struct kwm_text text;
        kwm_text_init(&text, out, cap);
        kwm_text_append(&text, "ab");
        kwm_text_append_int(&text, -17);
        kwm_text_append_uint(&text, 18);
        kwm_text_append_hex(&text, 0xff, 2);
        kwm_text_append_char(&text, 'z');
        const size_t fits = cap > sizeof(whole) - 1 ? sizeof(whole) - 1 : cap - 1;
        assert_int_equal(text.len, fits);
        assert_memory_equal(out, whole, fits);
        assert_int_equal(out[fits], '\0');
        assert_int_equal(out[cap], '#');
        assert_int_equal(text.is_cut, fits < sizeof(whole) - 1);
    }
}

static void test_no_gap_after_a_cut(void **state)
{
    (void)state;
    char out[4];
    struct kwm_text text;
    kwm_text_init(&text, out, sizeof(out));
    kwm_text_append(&text, "abc");
    assert_false(text.is_cut);
    kwm_text_append(&text, "");
    assert_false(text.is_cut);
    kwm_text_append(&text, "d");
    assert_true(text.is_cut);
    kwm_text_append(&text, "e");
    assert_string_equal(out, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_every_capacity),
        cmocka_unit_test(test_no_gap_after_a_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
