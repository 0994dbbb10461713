/* SPDX-License-Identifier: MIT */
#include "kwm/number.h"

#include <stdbool.h>
#include <string.h>

#include "hal/assert.h"
#include "hal/value.h"
#include "number_internal.h"

#define E8 NUMBER_E8

/* A double is significand * 2^exponent; its bits hold the exponent with this bias. */
#define SIGNIFICAND_BITS 52
#define SIGNIFICAND_MASK 0x000FFFFFFFFFFFFFU
#define EXPONENT_MASK 0x7FFU
#define EXPONENT_BIAS 1075

_Static_assert(KWM_NUMBER_FIXED_LEN_MAX >= 1U + NUMBER_SHORT_ROOM, "a sign before the short form");
_Static_assert(KWM_NUMBER_FIXED_LEN_MAX >= 3U + 19U, "sign, zero, point and the digits of 2^63");
_Static_assert(KWM_NUMBER_DOUBLE_LEN_MAX >= 1U + 2U + 323U + 17U, "the smallest doubles");

/* ------------------------------------------------------------------ integers */

static void put_eight(char *out, uint32_t value)
{
    number_put_word(out, number_eight_digits(value) | NUMBER_ASCII_ZEROS);
}

/** Digits without leading zeros, at least one. Writes eight bytes always.
 *  @return the digits that count. */
static unsigned put_leading(char *out, uint32_t value)
{
    const uint64_t digits = number_eight_digits(value);
    const unsigned zero_bits = (unsigned)__builtin_ctzll(digits | 1ULL << 56) & 0x38U;
    number_put_word(out, (digits | NUMBER_ASCII_ZEROS) >> zero_bits);
    return 8U - zero_bits / 8U;
}

static size_t put_long(char *out, uint64_t value)
{
    const uint64_t high = value / E8;
    const uint32_t low = (uint32_t)(value - high * E8);
    size_t len;
    if (high < E8) {
        len = put_leading(out, (uint32_t)high);
    } else {
        const uint32_t top = (uint32_t)(high / E8);
        len = put_leading(out, top);
        put_eight(out + len, (uint32_t)(high - (uint64_t)top * E8));
        len += 8U;
    }
    put_eight(out + len, low);
    return len + 8U;
}

size_t kwm_number_uint(char *out, uint64_t value)
{
    return value < E8 ? put_leading(out, (uint32_t)value) : put_long(out, value);
}

size_t kwm_number_int(char *out, int64_t value)
{
    const size_t sign_len = value < 0;
    out[0] = '-';
    return sign_len + kwm_number_uint(out + sign_len, number_magnitude(value));
}

/* --------------------------------------------------------------- fixed point */

/** Put the point into len digits, so that scale of them are behind it. @return the new length. */
static size_t put_point(char *out, size_t len, size_t scale)
{
    if (len <= scale) {
        const size_t zeros = scale + 1U - len;
        memmove(out + zeros, out, len);
        memset(out, '0', zeros);
        len = scale + 1U;
    }
    const size_t whole_len = len - scale;
    memmove(out + whole_len + 1U, out + whole_len, scale);
    out[whole_len] = '.';
    return len + 1U;
}

size_t kwm_number_fixed(char *out, int64_t mantissa, unsigned scale)
{
    KWM_ASSERT(scale <= HAL_SCALE_MAX);
    const uint64_t magnitude = number_magnitude(mantissa);
    const size_t sign_len = mantissa < 0;
    out[0] = '-';
    out += sign_len;
    if (magnitude < E8 && scale >= 1U && scale <= NUMBER_SHORT_SCALE_MAX) {
        const struct number_form form = {(uint8_t)(8U - scale), '.'};
        return sign_len + number_put_short(out, (uint32_t)magnitude, &form);
    }
    const size_t len = kwm_number_uint(out, magnitude);
    return sign_len + (scale == 0 ? len : put_point(out, len, scale));
}

/* -------------------------------------------------------------------- double */

/* Shortest digits by R. Giulietti's "The Schubfach way to render doubles" (2020), with 128-bit
 * powers of ten. Those are not kept (10 KB) but made: 10^e is one of 23 powers 28 apart, with 192
 * bits, times one of 28 powers of five. The product has the right 128 bits for each e in between.
 * */

#define POWER_MIN (-308) /* of ten; doubles need -292 to 324 */
#define POWER_MAX 308
#define POWER_STRIDE 28

struct decimal {
    uint64_t digits; /* below 10^17 */
    int exponent;    /* of ten */
};

struct wide {
    uint64_t high;
    uint64_t low;
};

/** floor(10^e * 2^n) for e = POWER_MIN, POWER_MIN + 28 ..., the n that makes it 192 bits long. */
static const uint64_t powers_of_ten[][3] = {
    {0xE61ACF033D1A45DFU, 0x6FB92487298E33BDU, 0xADD7728C20B99BD1U}, /* 10^-308 */
    {0xE858AD248F5C22C9U, 0xD1B3400F8F9CFF68U, 0xF910F9F648232F14U},
    {0xEA9C227723EE8BCBU, 0x465E15A979C1CADCU, 0x0A0CE827EAC11F2DU},
    {0xECE53CEC4A314EBDU, 0xA4F8BF5635246428U, 0x4609AC5C7899CA36U},
    {0xEF340A98172AACE4U, 0x86FB897116C87C34U, 0x9C39C1DA4C49278DU},
    {0xF18899B1BC3F8CA1U, 0xDC44E6C3CB279AC1U, 0xF80F36174730CA34U},
    {0xF3E2F893DEC3F126U, 0x5A89DBA3C3EFCCFAU, 0xD8ECB58659BE9C90U},
    {0xF64335BCF065D37DU, 0x4D4617B5FF4A16D5U, 0xAA09501D5954A559U},
    {0xF8A95FCF88747D94U, 0x75A44C6397CE912AU, 0x33CCA6C06B07B74DU},
    {0xFB158592BE068D2EU, 0xEED6E2F0F0D56712U, 0xAC2E4F162CFAD40AU},
    {0xFD87B5F28300CA0DU, 0x8BCA9D6E188853FCU, 0x76DCB60081CE0FA5U},
    {0x8000000000000000U, 0x0000000000000000U, 0x0000000000000000U}, /* 10^0 */
    {0x813F3978F8940984U, 0x4000000000000000U, 0x0000000000000000U},
    {0x82818F1281ED449FU, 0xBFF8F10E7A8921A4U, 0x2000000000000000U},
    {0x83C7088E1AAB65DBU, 0x792667C6DA79E0FAU, 0x0861D3EE22D1CC53U},
    {0x850FADC09923329EU, 0x03E2CF6BC604DDB0U, 0x74A7EF0198791097U},
    {0x865B86925B9BC5C2U, 0x0B8A2392BA45A9B2U, 0x5C6658D409FB8BF7U},
    {0x87AA9AFF79042286U, 0x90FB44D2F05D0842U, 0xFB118FC9C217A1D2U},
    {0x88FCF317F22241E2U, 0x441FECE3BDF81F03U, 0x12F274928400100DU},
    {0x8A5296FFE33CC92FU, 0x82BD6B70D99AAA6FU, 0xBC10C5C5CDA97C8DU},
    {0x8BAB8EEFB6409C1AU, 0x1AD089B6C2F7548EU, 0x25C7B885BA466E37U},
    {0x8D07E33455637EB2U, 0xDB0B487B6423E1E8U, 0x7EC63730F500B406U},
    {0x8E679C2F5E44FF8FU, 0x570F09EAA7EA7648U, 0x5961DB50C6D2B886U}, /* 10^308 */
};

_Static_assert(sizeof(powers_of_ten) / sizeof(powers_of_ten[0]) ==
                   (POWER_MAX - POWER_MIN) / POWER_STRIDE + 1,
               "a power for each step");

/** 5^0 to 5^27, shifted left to 64 bits. */
static const uint64_t powers_of_five[POWER_STRIDE] = {
    0x8000000000000000U, 0xA000000000000000U, 0xC800000000000000U, 0xFA00000000000000U,
    0x9C40000000000000U, 0xC350000000000000U, 0xF424000000000000U, 0x9896800000000000U,
    0xBEBC200000000000U, 0xEE6B280000000000U, 0x9502F90000000000U, 0xBA43B74000000000U,
    0xE8D4A51000000000U, 0x9184E72A00000000U, 0xB5E620F480000000U, 0xE35FA931A0000000U,
    0x8E1BC9BF04000000U, 0xB1A2BC2EC5000000U, 0xDE0B6B3A76400000U, 0x8AC7230489E80000U,
    0xAD78EBC5AC620000U, 0xD8D726B7177A8000U, 0x878678326EAC9000U, 0xA968163F0A57B400U,
    0xD3C21BCECCEDA100U, 0x84595161401484A0U, 0xA56FA5B99019A5C8U, 0xCECB8F27F4200F3AU,
};

/** a * b from 32-bit products: no compiler needs an own type for it. */
static struct wide multiply(uint64_t a, uint64_t b)
{
    const uint64_t a_high = a >> 32;
    const uint64_t a_low = a & UINT32_MAX;
    const uint64_t b_high = b >> 32;
    const uint64_t b_low = b & UINT32_MAX;
    const uint64_t low = a_low * b_low;
    const uint64_t middle = a_high * b_low + (low >> 32);
    const uint64_t carried = a_low * b_high + (middle & UINT32_MAX);
    return (struct wide){
        .high = a_high * b_high + (middle >> 32) + (carried >> 32),
        .low = carried << 32 | (low & UINT32_MAX),
    };
}

/** 10^exponent * 2^n with the n that makes it 128 bits long, rounded down, plus 1. */
static struct wide power_of_ten(int exponent)
{
    KWM_ASSERT(exponent >= POWER_MIN && exponent < POWER_MAX + POWER_STRIDE);
    const unsigned index = (unsigned)(exponent - POWER_MIN);
    const uint64_t *ten = powers_of_ten[index / POWER_STRIDE];
    const uint64_t five = powers_of_five[index % POWER_STRIDE];
    const struct wide last = multiply(ten[2], five);
    const struct wide middle = multiply(ten[1], five);
    struct wide power = multiply(ten[0], five);
    uint64_t rest = middle.low + last.high;
    const uint64_t carried = middle.high + (rest < last.high ? 1U : 0U);
    power.low += carried;
    power.high += power.low < carried ? 1U : 0U;
    if (power.high >> 63 == 0) {
        power.high = power.high << 1 | power.low >> 63;
        power.low = power.low << 1 | rest >> 63;
    }
    power.low++;
    power.high += power.low == 0 ? 1U : 0U;
    return power;
}

/** The upper 64 bits of the 192-bit product; odd if anything but zeros is below them. */
static uint64_t round_to_odd(struct wide power, uint64_t factor)
{
    const struct wide low = multiply(power.low, factor);
    struct wide high = multiply(power.high, factor);
    high.low += low.high;
    high.high += high.low < low.high ? 1U : 0U;
    return high.high | (high.low > 1U ? 1U : 0U);
}

/** 4 * value and 4 times the bounds of what reads back as the same double, all over 10^exponent. */
struct interval {
    uint64_t lower;
    uint64_t middle;
    uint64_t upper;
};

/** @return the digits of the shortest number in the interval, the one nearest to the middle. */
static struct decimal shortest_in(const struct interval *in, int exponent)
{
    const uint64_t floor = in->middle / 4U;
    const uint64_t tens = floor / 10U;
    if (tens > 0) {
        const bool is_down = in->lower <= tens * 40U;
        const bool is_up = tens * 40U + 40U <= in->upper;
        if (is_down != is_up) {
            return (struct decimal){tens + (is_up ? 1U : 0U), exponent + 1};
        }
    }
    const bool is_down = in->lower <= floor * 4U;
    const bool is_up = floor * 4U + 4U <= in->upper;
    const uint64_t half = floor * 4U + 2U;
    const bool is_nearer_up = in->middle > half || (in->middle == half && (floor & 1U) != 0);
    const bool takes_up = is_down != is_up ? is_up : is_nearer_up;
    return (struct decimal){floor + (takes_up ? 1U : 0U), exponent};
}

/** floor(log10(2^binary)), or of 3/4 of that. Shifts of negative numbers keep their sign. */
static int decimal_exponent(int binary, bool is_three_quarters)
{
    return (binary * 1262611 - (is_three_quarters ? 524031 : 0)) >> 22;
}

/** @param significand not 0. */
static struct decimal shortest(uint64_t significand, int binary, bool is_lower_closer)
{
    const uint64_t open = significand & 1U; /* an odd one does not own its bounds */
    const int exponent = decimal_exponent(binary, is_lower_closer);
    const int shift = binary + ((-exponent * 1741647) >> 19) + 1; /* log2(10^-exponent) in it */
    const struct wide power = power_of_ten(-exponent);
    const uint64_t middle = significand * 4U;
    KWM_ASSERT(shift >= 1 && shift <= 4);
    const struct interval interval = {
        .lower = round_to_odd(power, (middle - (is_lower_closer ? 1U : 2U)) << shift) + open,
        .middle = round_to_odd(power, middle << shift),
        .upper = round_to_odd(power, (middle + 2U) << shift) - open,
    };
    struct decimal result = shortest_in(&interval, exponent);
    while (result.digits % 10U == 0) {
        result.digits /= 10U;
        result.exponent++;
    }
    return result;
}

static size_t put_decimal(char *out, const struct decimal *decimal)
{
    const size_t len = kwm_number_uint(out, decimal->digits);
    if (decimal->exponent < 0) {
        return put_point(out, len, (size_t)-decimal->exponent);
    }
    memset(out + len, '0', (size_t)decimal->exponent);
    return len + (size_t)decimal->exponent;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

bool kwm_number_is_finite(double value)
{
    return (bits_of(value) >> SIGNIFICAND_BITS & EXPONENT_MASK) != EXPONENT_MASK;
}

size_t kwm_number_double(char *out, double value)
{
    const uint64_t bits = bits_of(value);
    const size_t sign_len = (size_t)(bits >> 63);
    const unsigned biased = (unsigned)(bits >> SIGNIFICAND_BITS) & EXPONENT_MASK;
    const uint64_t stored = bits & SIGNIFICAND_MASK;
    KWM_ASSERT(biased != EXPONENT_MASK);
    out[0] = '-';
    out += sign_len;
    if (biased == 0 && stored == 0) {
        out[0] = '0';
        return sign_len + 1U;
    }
    const uint64_t significand = biased == 0 ? stored : stored | 1ULL << SIGNIFICAND_BITS;
    const int binary = (biased == 0 ? 1 : (int)biased) - EXPONENT_BIAS;
    if (binary <= 0 && binary >= -SIGNIFICAND_BITS &&
        (significand & ((1ULL << -binary) - 1U)) == 0) {
        return sign_len + kwm_number_uint(out, significand >> -binary);
    }
    const struct decimal decimal = shortest(significand, binary, stored == 0 && biased > 1U);
    return sign_len + put_decimal(out, &decimal);
}
