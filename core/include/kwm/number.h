/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/number.h
 * @brief Numbers as decimal text: no exponent, no locale, no libc.
 *
 * Every function writes at most the stated maximum, no NUL, and returns the bytes written.
 * Memory:  the caller owns out.   Context: any.   Bounds: straight-line or bounded by the maximum.
 */
#ifndef KWM_NUMBER_H
#define KWM_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KWM_NUMBER_INT_LEN_MAX 20U
#define KWM_NUMBER_FIXED_LEN_MAX 22U   /* sign, 19 digits, point, a zero before it */
#define KWM_NUMBER_DOUBLE_LEN_MAX 345U /* sign, "0.", 323 zeros, 17 digits and to spare */

/** @return whether it is neither NaN nor infinite. */
bool kwm_number_is_finite(double value);

size_t kwm_number_uint(char *out, uint64_t value);
size_t kwm_number_int(char *out, int64_t value);

/** mantissa * 10^-scale, exact, all scale digits printed (21437, 3 -> "21.437"; -5, 1 -> "-0.5").
 *  @param scale 0..HAL_SCALE_MAX; with 0 no point is printed. */
size_t kwm_number_fixed(char *out, int64_t mantissa, unsigned scale);

/** The shortest digits that read back as the same double (at most 17 significant), written without
 *  exponent ("1e21" is "1000000000000000000000"); an integral value has no point ("5").
 *  @param value finite; the caller leaves NaN and infinities out. */
size_t kwm_number_double(char *out, double value);

#endif
