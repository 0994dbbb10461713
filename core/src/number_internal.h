/* SPDX-License-Identifier: MIT */
/**
 * @file number_internal.h
 * @brief Digits of numbers below 10^8, for the line encoder and number.c: without a loop or a table,
 *        and inline, for most of a line's time goes here.
 *
 * Memory:  the caller's.   Context: any.   Bounds: straight-line.
 */
#ifndef NUMBER_INTERNAL_H
#define NUMBER_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/** Inline at -Os, too. */
#define NUMBER_INLINE static inline __attribute__((always_inline))

#define NUMBER_E8 100000000U
#define NUMBER_SHORT_SCALE_MAX 7U
#define NUMBER_SHORT_ROOM 17U /* what number_put_short() may write */
#define NUMBER_ASCII_ZEROS 0x3030303030303030U

/** The eight digits of a value below 10^8, one a byte (0..9), the first one in the lowest byte: each
 *  step splits every part of the word in two. */
NUMBER_INLINE uint64_t number_eight_digits(uint32_t value)
{
    /* x * 109951163 >> 40 is x / 10000 for x < 10^8; x * 10486 >> 20 is x / 100 for x < 10000;
     * x * 103 >> 10 is x / 10 for x < 100. The rest goes to the upper half of each part:
     * q + ((x - q * 100) << 16). */
    const uint32_t high = (uint32_t)((uint64_t)value * 109951163U >> 40);
    uint64_t word = high | (uint64_t)(value - high * 10000U) << 32;
    uint64_t quotients = ((word * 10486U) >> 20) & 0x0000007F0000007FU;
    word = (word << 16) - quotients * ((100U << 16) - 1U);
    quotients = ((word * 103U) >> 10) & 0x000F000F000F000FU;
    return (word << 8) - quotients * ((10U << 8) - 1U);
}

/** Lowest byte first; compilers make it one store where the machine can. */
NUMBER_INLINE void number_put_word(char *out, uint64_t word)
{
    out[0] = (char)word;
    out[1] = (char)(word >> 8);
    out[2] = (char)(word >> 16);
    out[3] = (char)(word >> 24);
    out[4] = (char)(word >> 32);
    out[5] = (char)(word >> 40);
    out[6] = (char)(word >> 48);
    out[7] = (char)(word >> 56);
}

/**
 * Digits without leading zeros, with mark behind all but the last `scale` of them; at least one digit
 * goes before it. (21437, 3, '.') makes "21.437", (5, 0, 'i') makes "5i".
 * @param magnitude below 10^8.
 * @param scale     0..NUMBER_SHORT_SCALE_MAX.
 * @return the bytes that count, of NUMBER_SHORT_ROOM that may be written.
 */
NUMBER_INLINE size_t number_put_short(char *out, uint32_t magnitude, unsigned scale, char mark)
{
    const uint64_t digits = number_eight_digits(magnitude);
    const unsigned fraction_bits = 8U * scale;
    /* The bit set keeps the digit before the mark. */
    const unsigned zero_bits =
        (unsigned)__builtin_ctzll(digits | 1ULL << (56U - fraction_bits)) & 0x38U;
    const uint64_t text = (digits | NUMBER_ASCII_ZEROS) >> zero_bits;
    const unsigned whole_bits = 64U - zero_bits - fraction_bits; /* 8 at least */
    const size_t whole_len = whole_bits / 8U;
    number_put_word(out, text);
    out[whole_len] = mark;
    number_put_word(out + whole_len + 1U, text >> 8 >> (whole_bits - 8U));
    return whole_len + 1U + scale;
}

NUMBER_INLINE uint64_t number_magnitude(int64_t value)
{
    return value < 0 ? 0U - (uint64_t)value : (uint64_t)value;
}

#endif
