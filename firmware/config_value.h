/* SPDX-License-Identifier: MIT */
/**
 * @file config_value.h
 * @brief Durations and sizes in Telegraf's notation, both ways.
 *
 * Memory:  none.   Context: any.   Bounds: linear in the text.
 */
#ifndef KWM_CONFIG_VALUE_H
#define KWM_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "kwm/text.h"

/**
 * "10s", "1m30s", "500ms", "1.5h", "1d"; a bare number means seconds, as Telegraf reads it.
 * @param[out] ms     whole milliseconds, at most 400 days.
 * @param[out] reason what is wrong, set on error.
 * @return KWM_OK or KWM_ERR_INVAL.
 */
KWM_NODISCARD int kwm_config_value_duration(const char *text, size_t len, int64_t *ms,
                                            const char **reason);

/** The same of a number in the document: seconds. */
KWM_NODISCARD int kwm_config_value_seconds(double seconds, int64_t *ms, const char **reason);

/** "10MB" (10^6 bytes), "64KiB" (2^10 bytes), "512B"; a bare number means bytes. At most 2^50. */
KWM_NODISCARD int kwm_config_value_size(const char *text, size_t len, int64_t *bytes,
                                        const char **reason);

/** Write in the largest unit that needs no fraction: "90s", "24h", "64KiB". */
void kwm_config_value_append_duration(struct kwm_text *text, int64_t ms);
void kwm_config_value_append_size(struct kwm_text *text, int64_t bytes);

#endif
