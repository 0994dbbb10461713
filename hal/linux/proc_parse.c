/* SPDX-License-Identifier: MIT */
#include "linux/proc_parse.h"

#include "hal/assert.h"

#define DIGITS_MAX HAL_SCALE_MAX
#define FITTING_DIGITS 19                        /* any so many fit into 64 bits */
#define MANTISSA_MAX INT64_C(100000000000000000) /* a further digit still fits */

bool linux_take_digits(struct linux_cursor *cursor, uint64_t *out)
{
    const char *at = cursor->at;
    const char *const end = cursor->end;
    const char *const safe = end - at > FITTING_DIGITS ? at + FITTING_DIGITS : end;
    uint64_t sum = 0;
    bool is_fitting = true;
    unsigned digit;
    while (at < safe && (digit = (unsigned)(unsigned char)*at - '0') <= 9U) {
        sum = sum * 10U + digit;
        at++;
    }
    while (at >= safe && at < end && (digit = (unsigned)(unsigned char)*at - '0') <= 9U) {
        if (sum >= UINT64_MAX / 10U && (sum > UINT64_MAX / 10U || digit > UINT64_MAX % 10U)) {
            is_fitting = false;
        }
        sum = sum * 10U + digit;
        at++;
    }
    const bool has_digit = at > cursor->at;
    cursor->at = at;
    *out = sum;
    return has_digit && is_fitting;
}

bool linux_take_word(struct linux_cursor *cursor, struct hal_text *out)
{
    linux_skip_blanks(cursor);
    const char *start = cursor->at;
    while (cursor->at < cursor->end && !linux_is_blank(*cursor->at)) {
        cursor->at++;
    }
    const size_t len = (size_t)(cursor->at - start);
    if (len == 0 || len > UINT16_MAX) {
        return false;
    }
    *out = (struct hal_text){.s = start, .len = (uint16_t)len};
    return true;
}

static unsigned digit_at(const struct linux_cursor *cursor)
{
    return cursor->at < cursor->end ? (unsigned)(unsigned char)*cursor->at - '0' : 10U;
}

/** Digits before the point. @return whether they fit. */
static bool take_whole(struct linux_cursor *cursor, int64_t *sum)
{
    unsigned digit;
    while ((digit = digit_at(cursor)) <= 9U) {
        if (__builtin_mul_overflow(*sum, 10, sum) ||
            __builtin_add_overflow(*sum, (int64_t)digit, sum)) {
            return false;
        }
        cursor->at++;
    }
    return true;
}

static void take_fraction(struct linux_cursor *cursor, struct linux_decimal *out)
{
    unsigned digit;
    while ((digit = digit_at(cursor)) <= 9U) {
        if (out->digits < DIGITS_MAX && out->mantissa < MANTISSA_MAX) {
            out->mantissa = out->mantissa * 10 + (int64_t)digit;
            out->digits++;
        }
        cursor->at++;
    }
}

bool linux_take_decimal(struct linux_cursor *cursor, struct linux_decimal *out)
{
    linux_skip_blanks(cursor);
    const bool is_negative = linux_take_prefix(cursor, "-", 1);
    const char *start = cursor->at;
    *out = (struct linux_decimal){.mantissa = 0};
    if (!take_whole(cursor, &out->mantissa)) {
        return false;
    }
    bool has_digit = cursor->at > start;
    if (linux_take_prefix(cursor, ".", 1)) {
        start = cursor->at;
        take_fraction(cursor, out);
        has_digit = has_digit || cursor->at > start;
    }
    out->mantissa = is_negative ? -out->mantissa : out->mantissa;
    return has_digit && (cursor->at == cursor->end || linux_is_blank(*cursor->at));
}

bool linux_decimal_rescale(struct linux_decimal *value, uint8_t digits)
{
    KWM_ASSERT(digits <= DIGITS_MAX);
    while (value->digits < digits) {
        if (__builtin_mul_overflow(value->mantissa, 10, &value->mantissa)) {
            return false;
        }
        value->digits++;
    }
    /* All at once, for a half that is made by rounding must not be rounded again. */
    int64_t power = 1;
    for (; value->digits > digits; value->digits--) {
        power *= 10;
    }
    const int64_t rest = value->mantissa % power;
    const int64_t half = power / 2;
    value->mantissa /= power;
    if (power > 1) {
        value->mantissa += rest >= half ? 1 : rest <= -half ? -1 : 0;
    }
    return true;
}

static void drop_zeros(struct linux_decimal *value)
{
    while (value->digits > 0 && value->mantissa % 10 == 0) {
        value->mantissa /= 10;
        value->digits--;
    }
}

bool linux_decimal_add(struct linux_decimal *value, struct linux_decimal other)
{
    drop_zeros(value);
    drop_zeros(&other);
    const uint8_t digits = value->digits > other.digits ? value->digits : other.digits;
    return linux_decimal_rescale(value, digits) && linux_decimal_rescale(&other, digits) &&
           !__builtin_add_overflow(value->mantissa, other.mantissa, &value->mantissa);
}

/** 128 bits without a type that 32-bit machines lack; the least significant part first. */
struct wide {
    uint32_t parts[4];
};

static struct wide multiply(uint64_t a, uint64_t b)
{
    const uint32_t left[2] = {(uint32_t)a, (uint32_t)(a >> 32)};
    const uint32_t right[2] = {(uint32_t)b, (uint32_t)(b >> 32)};
    struct wide product = {{0}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; j < 2; j++) {
            carry += (uint64_t)left[i] * right[j] + product.parts[i + j];
            product.parts[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product.parts[i + 2U] = (uint32_t)carry;
    }
    return product;
}

/** @return the remainder. */
static unsigned divide_by_ten(struct wide *number)
{
    uint64_t rest = 0;
    for (unsigned i = 4; i-- > 0;) {
        rest = rest << 32 | number->parts[i];
        number->parts[i] = (uint32_t)(rest / 10U);
        rest %= 10U;
    }
    return (unsigned)rest;
}

static uint64_t size_of(int64_t number)
{
    return number < 0 ? 0U - (uint64_t)number : (uint64_t)number;
}

bool linux_decimal_multiply(struct linux_decimal *value, struct linux_decimal other)
{
    drop_zeros(value);
    drop_zeros(&other);
    struct wide product = multiply(size_of(value->mantissa), size_of(other.mantissa));
    unsigned digits = (unsigned)value->digits + other.digits;
    unsigned rest = 0;
    while (product.parts[3] != 0 || product.parts[2] != 0 || product.parts[1] > INT32_MAX ||
           digits > DIGITS_MAX) {
        if (digits == 0) {
            return false;
        }
        rest = divide_by_ten(&product);
        digits--;
    }
    const uint64_t size =
        ((uint64_t)product.parts[1] << 32 | product.parts[0]) + (rest >= 5U ? 1U : 0U);
    if (size > INT64_MAX) {
        return false;
    }
    const bool is_negative = (value->mantissa < 0) != (other.mantissa < 0);
    value->mantissa = is_negative ? -(int64_t)size : (int64_t)size;
    value->digits = (uint8_t)digits;
    return true;
}

void linux_decimal_shift(struct linux_decimal *value, uint8_t digits)
{
    KWM_ASSERT(digits <= DIGITS_MAX);
    drop_zeros(value);
    value->digits = (uint8_t)(value->digits + digits);
    if (value->digits > DIGITS_MAX) {
        (void)linux_decimal_rescale(value, DIGITS_MAX); /* fewer digits always fit */
    }
}

size_t linux_format_uint(char *out, uint64_t number)
{
    char reversed[20];
    size_t len = 0;
    do {
        reversed[len++] = (char)('0' + number % 10U);
        number /= 10U;
    } while (number > 0);
    for (size_t i = 0; i < len; i++) {
        out[i] = reversed[len - 1 - i];
    }
    return len;
}
