/* SPDX-License-Identifier: MIT */
/**
 * @file number_internal.h
 * @brief Digits of numbers below 10^8, for the line encoder and number.c: without a loop or a
 *        table, and inline, for most of a line's time goes here.
 *
 * Memory:  the caller's.   Context: any.   Bounds: straight-line.
 */
#ifndef NUMBER_INTERNAL_H
#define NUMBER_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Inline at -Os, too. */
#define NUMBER_INLINE static inline __attribute__((always_inline))

#define NUMBER_E8 100000000U
#define NUMBER_SHORT_SCALE_MAX 7U
#define NUMBER_SHORT_ROOM 16U /* what number_put_short() may write */
#define NUMBER_ASCII_ZEROS 0x3030303030303030U

/** The eight digits of a value below 10^8, one a byte (0..9), the first one in the lowest byte. */
NUMBER_INLINE uint64_t number_eight_digits(uint32_t value)
{
    /* Each step splits every part of the word in two: the quotient q goes to the upper half, the
     * rest x - 100 q stays, which is x + q * (2^16 - 100). x * 109951163 >> 40 is x / 10000 for x <
     * 10^8; x * 10486 >> 20 is x / 100 for x < 10000; x * 103 >> 10 is x / 10 for x < 100. */
    const uint32_t high = (uint32_t)((uint64_t)value * 109951163U >> 40);
    uint64_t word = (uint64_t)high << 32 | (value - high * 10000U);
    word += (word * 10486U >> 20 & 0x0000007F0000007FU) * ((1U << 16) - 100U);
    word += (word * 103U >> 10 & 0x000F000F000F000FU) * ((1U << 8) - 10U);
    return __builtin_bswap64(word);
}

/** Store it lowest byte first. */
NUMBER_INLINE void number_put_word(char *out, uint64_t word)
{
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) {
        word = __builtin_bswap64(word);
    }
    memcpy(out, &word, sizeof(word));
}

/** What to make of digits: "21437" with {8 - 3, '.'} is "21.437", "5" with {8, 'i'} is "5i". */
struct number_form {
    uint8_t
        whole_len; /**< of eight digits with leading zeros, how many are before the mark: 1..8 */
    char mark;
};

/**
 * Digits without leading zeros, but at least one before the mark.
 * @param magnitude below 10^8.
 * @return the bytes that count, of NUMBER_SHORT_ROOM that may be written.
 */
NUMBER_INLINE size_t number_put_short(char *out, uint32_t magnitude, const struct number_form *form)
{
    const uint64_t digits = number_eight_digits(magnitude);
    const uint64_t text = digits | NUMBER_ASCII_ZEROS;
    const unsigned whole_len = form->whole_len;
    const unsigned last_bit = 8U * whole_len - 8U; /* of the digit before the mark */
    const unsigned first_bit = (unsigned)__builtin_ctzll(digits | 1ULL << last_bit) & 0x38U;
    const size_t zeros = first_bit / 8U;
    number_put_word(out, text >> first_bit);
    out += whole_len - zeros;
    number_put_word(out, text >> last_bit);
    *out = form->mark; /* where the digit before it is the second time */
    return 9U - zeros;
}

NUMBER_INLINE uint64_t number_magnitude(int64_t value)
{
    return value < 0 ? 0U - (uint64_t)value : (uint64_t)value;
}

#endif
