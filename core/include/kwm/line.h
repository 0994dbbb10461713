/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/line.h
 * @brief The line encoder: a declaration and values in, one line of line protocol out.
 *
 * Two steps, so that what is constant is worked out once: kwm_line_template() turns a declaration
 * into a template (measurement, tags and field keys, quoted and escaped for the dialect);
 * kwm_line_encode() fills in values and stamp.
 *
 * kwdb:   what KWDB's /restapi/telegraf takes. Strings in single quotes with ' doubled; names bare,
 *         or in double quotes where reserved; mutable tags go out as string fields; ints with i; no
 *         exponent; 13 digits of milliseconds. Space , = ; control characters and broken UTF-8
 *         cannot be carried: each becomes _ and is counted.
 * influx: standard line protocol: backslash escapes, strings in double quotes, nanoseconds. Control
 *         characters (line feeds, too) and broken UTF-8 become _ and are counted. Tag keys and
 *         values lose backslashes at their end, which would escape what follows (Telegraf, too).
 * Both:   uint64 goes out as a signed integer with i, clipped to int64's range; tags with an empty
 *         value are left out, but for kwdb's primary ones; no newline at the end.
 *
 * Memory:  caller's buffers.   Context: any.   Bounds: one pass over declaration and values.
 */
#ifndef KWM_LINE_H
#define KWM_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/value.h"
#include "kwm/decl.h"

#define KWM_LINE_TEMPLATE_LEN_MAX 4096U

enum kwm_dialect { KWM_DIALECT_KWDB, KWM_DIALECT_INFLUX };

/** What could not be carried as it was. The caller zeroes it; both functions only add. */
struct kwm_line_losses {
    uint32_t replaced; /**< bytes that became _, and backslashes left out */
    uint32_t clipped;  /**< uint64 values over INT64_MAX */
};

/**
 * Make the template. The layout is private to the encoder.
 * @return bytes written (> 0); KWM_ERR_NOSPC if it does not fit, or is over
 *         KWM_LINE_TEMPLATE_LEN_MAX; KWM_ERR_INVAL, kwdb: if a name is not valid (kwm/name.h) or
 *         comes twice, or there is no tag for the first part of the line; influx: if a name holds
 *         control characters, broken UTF-8, or a backslash at its end or before a character that
 *         gets one, if the measurement begins with # (a comment), or a key is `time`.
 */
KWM_NODISCARD int kwm_line_template(uint8_t *out, size_t cap, enum kwm_dialect dialect,
                                    const struct kwm_decl *decl, struct kwm_line_losses *losses);

/**
 * Encode one line.
 * @param values   as many as the declaration has fields, in its order; absent: HAL_KIND_NONE, a
 *                 double that is not finite, or another kind or scale than was declared.
 * @param stamp_ms unix milliseconds; kwdb: 1000000000000..9999999999999 (exactly 13 digits);
 *                 influx: what fits into an int64 as nanoseconds.
 * @return bytes written (> 0); KWM_ERR_NOSPC if the line does not fit, nothing of it counts then;
 *         KWM_ERR_NOENT if no field is present; KWM_ERR_INVAL for a stamp out of range.
 */
KWM_NODISCARD int kwm_line_encode(char *out, size_t cap, const uint8_t *template,
                                  const struct hal_value *values, int64_t stamp_ms,
                                  struct kwm_line_losses *losses);

#endif
