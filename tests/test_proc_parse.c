/* SPDX-License-Identifier: MIT */
/* Goal:   numbers are read and computed with as the text says, or refused; never wrapped.
 * Method: tables at the limits of the types; decimal arithmetic against 128-bit integers. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linux/proc_parse.h"

static void test_digits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_fitting;
        uint64_t number;
        size_t used;
    } cases[] = {
        {"0", true, 0, 1},
        {"007x", true, 7, 3},
        {"18446744073709551615", true, UINT64_MAX, 20},
        {"18446744073709551616", false, 0, 20},
        {"18446744073709551620", false, 0, 20},
        {"20000000000000000000", false, 0, 20},
        {"99999999999999999999999999", false, 0, 26},
        {"", false, 0, 0},
        {"x", false, 0, 0},
        {"-1", false, 0, 0},
        {" 1", false, 0, 0},
        {"/", false, 0, 0},
        {":", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct linux_cursor cursor = linux_cursor_of(cases[i].text, strlen(cases[i].text));
        uint64_t number;
        print_message("%s\n", cases[i].text);
        assert_int_equal(linux_take_digits(&cursor, &number), cases[i].is_fitting);
        assert_int_equal(cursor.at - cases[i].text, cases[i].used);
        if (cases[i].is_fitting) {
            assert_true(number == cases[i].number);
        }
    }
}

static void test_uint_and_word(void **state)
{
    (void)state;
    static const char text[] = "  12\t34 5x word";
    struct linux_cursor cursor = linux_cursor_of(text, sizeof(text) - 1);
    uint64_t number;
    struct hal_text word;
    assert_true(linux_take_uint(&cursor, &number) && number == 12);
    assert_true(linux_take_uint(&cursor, &number) && number == 34);
    assert_false(linux_take_uint(&cursor, &number));
    assert_true(linux_take_word(&cursor, &word));
    assert_true(word.len == 1 && word.s[0] == 'x');
    assert_true(linux_take_word(&cursor, &word));
    assert_true(word.len == 4);
    assert_memory_equal(word.s, "word", 4);
    assert_false(linux_take_word(&cursor, &word));
    assert_false(linux_take_uint(&cursor, &number));
}

static void test_decimal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_fitting;
        int64_t mantissa;
        uint8_t digits;
    } cases[] = {
        {"0", true, 0, 0},
        {"-0.50", true, -50, 2},
        {" 12.", true, 12, 0},
        {".25", true, 25, 2},
        {"9223372036854775807", true, INT64_MAX, 0},
        {"-9223372036854775807", true, -INT64_MAX, 0},
        {"9223372036854775808", false, 0, 0},
        {"92233720368547758070", false, 0, 0},
        {"0.1234567890123456789", true, 123456789012345678, 18},
        {"0.0000000000000000000001", true, 0, 18},
        {"123456789012345678.9", true, 123456789012345678, 0},
        {"1 2", true, 1, 0},
        {"1.5x", false, 0, 0},
        {"1e3", false, 0, 0},
        {"-", false, 0, 0},
        {".", false, 0, 0},
        {"--1", false, 0, 0},
        {"", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct linux_cursor cursor = linux_cursor_of(cases[i].text, strlen(cases[i].text));
        struct linux_decimal number;
        print_message("\"%s\"\n", cases[i].text);
        assert_int_equal(linux_take_decimal(&cursor, &number), cases[i].is_fitting);
        if (cases[i].is_fitting) {
            assert_true(number.mantissa == cases[i].mantissa);
            assert_int_equal(number.digits, cases[i].digits);
        }
    }
}

static void test_rescale(void **state)
{
    (void)state;
    static const struct {
        int64_t mantissa;
        uint8_t digits, to;
        bool is_fitting;
        int64_t result;
    } cases[] = {
        {21437, 3, 3, true, 21437},
        {21437, 3, 5, true, 2143700},
        {21437, 3, 1, true, 214},
        {21450, 3, 1, true, 215},
        {21449, 3, 1, true, 214},
        {-21450, 3, 1, true, -215},
        {-21449, 3, 1, true, -214},
        {INT64_MAX, 0, 1, false, 0},
        {INT64_MIN, 0, 1, false, 0},
        {INT64_MAX, 18, 0, true, 9},
        {INT64_MIN, 18, 0, true, -9},
        {499999999999999999, 18, 0, true, 0},
        {500000000000000000, 18, 0, true, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct linux_decimal number = {.mantissa = cases[i].mantissa, .digits = cases[i].digits};
        print_message("%lld E-%u\n", (long long)number.mantissa, number.digits);
        assert_int_equal(linux_decimal_rescale(&number, cases[i].to), cases[i].is_fitting);
        if (cases[i].is_fitting) {
            assert_true(number.mantissa == cases[i].result);
            assert_int_equal(number.digits, cases[i].to);
        }
    }
}

__extension__ typedef __int128 wide;

static wide power_of_ten(unsigned exponent)
{
    wide power = 1;
    for (unsigned i = 0; i < exponent; i++) {
        power *= 10;
    }
    return power;
}

static struct linux_decimal random_decimal(uint64_t *seed)
{
    const unsigned bits = 1U + (unsigned)(support_random(seed) % 40U);
    const int64_t size = (int64_t)(support_random(seed) >> (64U - bits));
    return (struct linux_decimal){.mantissa = support_random(seed) % 2U == 0 ? size : -size,
                                  .digits = (uint8_t)(support_random(seed) % 10U)};
}

/** Sums and products that fit into 18 digits are exact; others are rounded once. */
static void test_arithmetic(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    print_message("seed %llu\n", (unsigned long long)seed);
    unsigned exact = 0;
    for (unsigned i = 0; i < support_runs(100000); i++) {
        const struct linux_decimal a = random_decimal(&seed);
        const struct linux_decimal b = random_decimal(&seed);
        struct linux_decimal sum = a;
        struct linux_decimal product = a;
        /* In units of 10^-18. */
        const wide wide_a = (wide)a.mantissa * power_of_ten(18U - a.digits);
        const wide wide_b = (wide)b.mantissa * power_of_ten(18U - b.digits);
        if (linux_decimal_add(&sum, b)) {
            assert_true((wide)sum.mantissa * power_of_ten(18U - sum.digits) == wide_a + wide_b);
        } else {
            const wide size = wide_a + wide_b < 0 ? -(wide_a + wide_b) : wide_a + wide_b;
            assert_true(size > (wide)INT64_MAX); /* it would not have fit with all its digits */
        }
        const wide whole = (wide)a.mantissa * b.mantissa; /* in 10^-(a.digits + b.digits) */
        if (!linux_decimal_multiply(&product, b)) {
            assert_true(whole / power_of_ten((unsigned)a.digits + b.digits) > (wide)INT64_MAX ||
                        whole / power_of_ten((unsigned)a.digits + b.digits) < (wide)INT64_MIN);
            continue;
        }
        /* Within half a unit of the last digit that is left. */
        const unsigned digits = (unsigned)a.digits + b.digits;
        const wide unit = power_of_ten(digits > product.digits ? digits - product.digits : 0U);
        wide got = (wide)product.mantissa * unit;
        wide wanted = whole;
        if (product.digits > digits) {
            wanted *= power_of_ten(product.digits - digits);
        }
        const wide error = got > wanted ? got - wanted : wanted - got;
        assert_true(2 * error <= unit);
        exact += error == 0 ? 1U : 0U;
    }
    assert_true(exact > 0);

    struct linux_decimal most = {.mantissa = INT64_MAX, .digits = 0};
    assert_true(linux_decimal_multiply(&most, (struct linux_decimal){.mantissa = -1}));
    assert_true(most.mantissa == -INT64_MAX);
    assert_false(linux_decimal_multiply(&most, (struct linux_decimal){.mantissa = 2}));
    struct linux_decimal small = {.mantissa = 15, .digits = 12};
    assert_true(linux_decimal_multiply(&small, (struct linux_decimal){.mantissa = 1, .digits = 7}));
    assert_true(small.mantissa == 2 && small.digits == 18);
    struct linux_decimal least = {.mantissa = INT64_MIN, .digits = 18};
    assert_true(linux_decimal_multiply(&least, (struct linux_decimal){.mantissa = 1}));
    assert_true(least.mantissa == -922337203685477581 && least.digits == 17);
}

static void test_shift(void **state)
{
    (void)state;
    struct linux_decimal number = {.mantissa = 84843750, .digits = 6};
    linux_decimal_shift(&number, 3);
    assert_true(linux_decimal_rescale(&number, 9) && number.mantissa == 84843750);
    number = (struct linux_decimal){.mantissa = 123456789012345678, .digits = 18};
    linux_decimal_shift(&number, 9);
    assert_int_equal(number.digits, 18);
    assert_true(number.mantissa == 123456789);
}

static void test_format(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        const char *text;
    } cases[] = {{0, "0"}, {7, "7"}, {10, "10"}, {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[21] = {0};
        assert_int_equal(linux_format_uint(text, cases[i].number), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),  cmocka_unit_test(test_uint_and_word),
        cmocka_unit_test(test_decimal), cmocka_unit_test(test_rescale),
        cmocka_unit_test(test_shift),   cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
