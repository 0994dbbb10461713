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
 * influx: standard line protocol: backslash escapes, strings in double quotes, nanoseconds. Line
 *         feeds and other control characters become _ ; empty tag values are left out.
 * Both:   uint64 goes out as a signed integer with i, clipped to int64's range; no newline at the
 * end.
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
    uint32_t replaced; /**< characters that became _ */
    uint32_t clipped;  /**< uint64 values over INT64_MAX */
};

/**
 * Make the template. The layout is private to the encoder.
 * @return bytes written (> 0), KWM_ERR_NOSPC if it does not fit, KWM_ERR_INVAL if the dialect
 *         cannot carry a name, or the kwdb dialect has no tag.
 */
KWM_NODISCARD int kwm_line_template(uint8_t *out, size_t cap, enum kwm_dialect dialect,
                                    const struct kwm_decl *decl, struct kwm_line_losses *losses);

/**
 * Encode one line.
 * @param values   as many as the declaration has fields, in its order; absent: HAL_KIND_NONE, or a
 *                 double that is not finite.
 * @param stamp_ms unix milliseconds; kwdb: 1000000000000..9999999999999 (exactly 13 digits).
 * @return bytes written (> 0); KWM_ERR_NOSPC if the line does not fit, nothing of it counts then;
 *         KWM_ERR_NOENT if no field is present; KWM_ERR_INVAL for a stamp out of range.
 */
KWM_NODISCARD int kwm_line_encode(char *out, size_t cap, const uint8_t *template,
                                  const struct hal_value *values, int64_t stamp_ms,
                                  struct kwm_line_losses *losses);

#endif
