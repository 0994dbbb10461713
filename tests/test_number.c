/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/number.h prints every number exactly, a double by the fewest digits that read back.
 * Method: tables; random numbers against snprintf and strtod; a guard behind each function's
 *         maximum. A double's text has to read back bit for bit, no correctly rounded text with one
 *         digit less may, and the one with as many digits has to be the same. */
#include "support.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/value.h"
#include "kwm/number.h"

#define GUARD 0x5A
#define CAP (KWM_NUMBER_DOUBLE_LEN_MAX + 1U)
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static char text[CAP];

static void prepare(void)
{
    memset(text, GUARD, sizeof(text));
}

/* What was written is a text now; nothing was written at max or behind it. */
static void finish(size_t len, size_t max)
{
    assert_true(len > 0 && len <= max);
    for (size_t i = max; i < sizeof(text); i++) {
        assert_int_equal(text[i], GUARD);
    }
    text[len] = '\0';
}

static const char *of_uint(uint64_t value)
{
    prepare();
    finish(kwm_number_uint(text, value), KWM_NUMBER_INT_LEN_MAX);
    return text;
}

static const char *of_int(int64_t value)
{
    prepare();
    finish(kwm_number_int(text, value), KWM_NUMBER_INT_LEN_MAX);
    return text;
}

static const char *of_fixed(int64_t mantissa, unsigned scale)
{
    prepare();
    finish(kwm_number_fixed(text, mantissa, scale), KWM_NUMBER_FIXED_LEN_MAX);
    return text;
}

static const char *of_double(double value)
{
    prepare();
    finish(kwm_number_double(text, value), KWM_NUMBER_DOUBLE_LEN_MAX);
    return text;
}

/* -------------------------------------------------------- int and fixed point */

static void expect_int(uint64_t value)
{
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "%" PRIu64, value);
    assert_string_equal(of_uint(value), expected);
    (void)snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)value);
    assert_string_equal(of_int((int64_t)value), expected);
}

static void expect_fixed(int64_t mantissa, unsigned scale)
{
    char expected[48];
    const uint64_t magnitude = mantissa < 0 ? 0U - (uint64_t)mantissa : (uint64_t)mantissa;
    uint64_t power = 1;
    for (unsigned i = 0; i < scale; i++) {
        power *= 10;
    }
    int len = snprintf(expected, sizeof(expected), "%s%" PRIu64, mantissa < 0 ? "-" : "",
                       magnitude / power);
    if (scale > 0) {
        len += snprintf(expected + len, sizeof(expected) - (size_t)len, ".%0*" PRIu64, (int)scale,
                        magnitude % power);
    }
    assert_string_equal(of_fixed(mantissa, scale), expected);
}

static void test_ints_at_the_edges(void **state)
{
    (void)state;
    assert_string_equal(of_uint(0), "0");
    assert_string_equal(of_int(INT64_MIN), "-9223372036854775808");
    assert_string_equal(of_int(INT64_MAX), "9223372036854775807");
    assert_string_equal(of_uint(UINT64_MAX), "18446744073709551615");
    uint64_t power = 1;
    for (unsigned i = 0; i < 20; i++) {
        expect_int(power - 1);
        expect_int(power);
        expect_int(power + 1);
        expect_int(0 - power);
        power *= 10;
    }
}

/* Every value that the eight digits are made from in another way: all below 10^5, and those whose
 * upper digits are each of 10^4. */
static void test_ints_of_up_to_eight_digits(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        expect_int(i);
    }
    for (uint64_t i = 1; i < 10000; i++) {
        expect_int(i * 10000 - 1);
        expect_int(i * 10000);
        expect_int(i * 10000 + i);
    }
}

static void test_fixed_table(void **state)
{
    (void)state;
    static const struct {
        int64_t mantissa;
        unsigned scale;
        const char *expected;
    } rows[] = {
        {21437, 3, "21.437"},
        {-5, 1, "-0.5"},
        {0, 0, "0"},
        {0, 3, "0.000"},
        {-1, 18, "-0.000000000000000001"},
        {7, 0, "7"},
        {-70, 1, "-7.0"},
        {99999999, 7, "9.9999999"},
        {100000000, 7, "10.0000000"},
        {99999999, 8, "0.99999999"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MIN, 1, "-922337203685477580.8"},
        {INT64_MIN, 18, "-9.223372036854775808"},
        {INT64_MAX, 18, "9.223372036854775807"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(of_fixed(rows[i].mantissa, rows[i].scale), rows[i].expected);
    }
    expect_assert_failure((void)kwm_number_fixed(text, 1, HAL_SCALE_MAX + 1));
}

/* Random numbers of every length in bits, so that short ones come as often as long ones. */
static void test_ints_and_fixed_at_random(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    const unsigned runs = support_runs(50000);
    print_message("KWM_SEED=%" PRIu64 "\n", seed);
    for (unsigned i = 0; i < runs; i++) {
        const uint64_t bits = support_random(&seed) % 64;
        const uint64_t value = support_random(&seed) >> bits;
        expect_int(value);
        expect_int(0 - value);
        expect_fixed((int64_t)value, (unsigned)(support_random(&seed) % (HAL_SCALE_MAX + 1)));
        expect_fixed((int64_t)(0 - value), (unsigned)(support_random(&seed) % (HAL_SCALE_MAX + 1)));
    }
}

/* -------------------------------------------------------------------- double */

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static bool reads_back(const char *number, double value)
{
    return to_bits(strtod(number, NULL)) == to_bits(value);
}

/* The significant digits of [-]digits[.digits][e...]: no sign, point, zeros at either end. */
static size_t significant(const char *number, char *digits)
{
    size_t len = 0;
    for (const char *p = number; *p != '\0' && *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9' && (len > 0 || *p != '0')) {
            digits[len++] = *p;
        }
    }
    while (len > 0 && digits[len - 1] == '0') {
        len--;
    }
    digits[len] = '\0';
    return len;
}

/* [-]digits[.digits], a digit on each side of the point, no zero before another digit. */
static bool is_plain(const char *number)
{
    const char *p = number + (*number == '-' ? 1 : 0);
    const size_t whole = strspn(p, "0123456789");
    if (whole == 0 || (whole > 1 && *p == '0')) {
        return false;
    }
    p += whole;
    if (*p == '.') {
        const size_t fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
        return fraction > 0 && *p == '\0' && p[-1] != '0';
    }
    return *p == '\0';
}

static void expect_double(double value)
{
    char digits[CAP];
    char rounded[64];
    char rounded_digits[64];
    const char *const number = of_double(value);
    const size_t count = significant(number, digits);
    if (!is_plain(number) || !reads_back(number, value) || count > 17) {
        fail_msg("%a (%.17g) is \"%s\"", value, value, number);
    }
    if (count == 0) {
        return;
    }
    (void)snprintf(rounded, sizeof(rounded), "%.*e", (int)count - 1, value);
    (void)significant(rounded, rounded_digits);
    if (reads_back(rounded, value) && strcmp(digits, rounded_digits) != 0) {
        fail_msg("%a is \"%s\", but \"%s\" is nearer", value, number, rounded);
    }
    if (count > 1) {
        (void)snprintf(rounded, sizeof(rounded), "%.*e", (int)count - 2, value);
        if (reads_back(rounded, value)) {
            fail_msg("%a is \"%s\", but \"%s\" is shorter", value, number, rounded);
        }
    }
}

static void test_double_table(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *expected;
    } rows[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {100.0, "100"},
        {99.99, "99.99"},
        {5e-5, "0.00005"},
        {1e21, "1000000000000000000000"},
        {1e22, "10000000000000000000000"},
        {1e23, "100000000000000000000000"},
        {123456789012345680.0, "123456789012345680"},
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {9007199254740994.0, "9007199254740994"},
        {5e-324, NULL},
        {DBL_MIN, NULL},
        {DBL_MAX, NULL},
        {2.2250738585072011e-308, NULL}, /* the largest one below DBL_MIN */
        {2.2250738585072009e-308, NULL},
        {9.5367431640625e-07, "0.00000095367431640625"},
        {8.41e21, NULL}, /* a known loser of one digit */
        {9.409340012568248e18, "9409340012568248000"},
        {1.2345678901234567e-5, "0.000012345678901234568"},
        {2.0e-16, "0.0000000000000002"},
        {4.35e-323, NULL},
        {2.9802322387695312e-8, NULL}, /* 2^-25: the bound below is nearer */
        {5.764607523034235e39, NULL},
        {1.152921504606847e40, NULL},
        {2.305843009213694e40, NULL},
        {4.4501477170144023e-308, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].expected != NULL) {
            assert_string_equal(of_double(rows[i].value), rows[i].expected);
        }
        expect_double(rows[i].value);
        expect_double(-rows[i].value);
    }
    assert_int_equal(strlen(of_double(DBL_MAX)), 309);
    assert_int_equal(strlen(of_double(5e-324)), 326);
    expect_assert_failure((void)kwm_number_double(text, (double)NAN));
    expect_assert_failure((void)kwm_number_double(text, (double)INFINITY));
}

/* At a power of two the bound below is nearer than the one above, so that the nearest text with one
 * digit less may miss and its neighbour hit. */
static void expect_no_shorter_neighbour(double value)
{
    char digits[CAP];
    char rounded[64];
    const size_t count = significant(of_double(value), digits);
    if (count < 2) {
        return;
    }
    (void)snprintf(rounded, sizeof(rounded), "%.*e", (int)count - 2, value);
    const char *const exponent_text = strchr(rounded, 'e') + 1;
    const long exponent = strtol(exponent_text, NULL, 10) - ((long)count - 2);
    (void)significant(rounded, digits);
    int64_t scaled = strtoll(digits, NULL, 10);
    for (size_t i = strlen(digits); i < count - 1; i++) {
        scaled *= 10;
    }
    for (int64_t step = -1; step <= 1; step++) {
        (void)snprintf(rounded, sizeof(rounded), "%" PRId64 "e%ld", scaled + step, exponent);
        if (reads_back(rounded, value)) {
            fail_msg("%a is \"%s\", but \"%s\" is shorter", value, of_double(value), rounded);
        }
    }
}

static void test_double_at_every_exponent(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        const uint64_t power = exponent << 52;
        for (int64_t step = -3; step <= 3; step++) {
            const double value = from_bits(power + (uint64_t)step);
            if (isfinite(value)) {
                expect_double(value);
            }
        }
        expect_double(from_bits(power | 0x000FFFFFFFFFFFFFU));
        expect_double(from_bits(power | 0x0008000000000000U));
        if (exponent > 0) {
            expect_no_shorter_neighbour(from_bits(power));
        }
    }
    for (unsigned bit = 0; bit < 52; bit++) {
        expect_double(from_bits(1ULL << bit));
        expect_double(from_bits((1ULL << bit) - 1));
    }
}

static void test_double_at_powers_of_ten(void **state)
{
    (void)state;
    for (int exponent = -323; exponent <= 308; exponent++) {
        char power[16];
        (void)snprintf(power, sizeof(power), "1e%d", exponent);
        const uint64_t bits = to_bits(strtod(power, NULL));
        for (uint64_t step = 0; step < 5; step++) {
            expect_double(from_bits(bits + step));
            expect_double(from_bits(bits > step ? bits - step : 0));
        }
    }
}

static void test_double_at_random(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    const unsigned runs = support_runs(1000000);
    print_message("KWM_SEED=%" PRIu64 ", %u random bit patterns\n", seed, runs);
    for (unsigned i = 0; i < runs; i++) {
        const double value = from_bits(support_random(&seed));
        if (isfinite(value)) {
            expect_double(value);
        }
    }
}

/* What a system's metrics are like: integers, decimals of few digits, percentages. */
static void test_double_as_in_metrics(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    const unsigned runs = support_runs(1000000) / 10;
    for (unsigned i = 0; i < runs; i++) {
        const uint64_t r = support_random(&seed);
        const double whole = (double)(int64_t)(r >> (r % 64));
        const double total = (double)(1 + (support_random(&seed) >> 40));
        expect_double(whole);
        expect_double((double)(r % 100000) / 1000.0);
        expect_double(100.0 * (double)(r % 100000) / total);
        expect_double((double)(float)((double)(r % 1000) / 7.0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ints_at_the_edges),
        cmocka_unit_test(test_ints_of_up_to_eight_digits),
        cmocka_unit_test(test_fixed_table),
        cmocka_unit_test(test_ints_and_fixed_at_random),
        cmocka_unit_test(test_double_table),
        cmocka_unit_test(test_double_at_every_exponent),
        cmocka_unit_test(test_double_at_powers_of_ten),
        cmocka_unit_test(test_double_at_random),
        cmocka_unit_test(test_double_as_in_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
