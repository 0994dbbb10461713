/* SPDX-License-Identifier: MIT */
/**
 * @file hal/log.h
 * @brief Where finished lines of text for people go. Link-time, one sink per image.
 */
#ifndef HAL_LOG_H
#define HAL_LOG_H

#include <stddef.h>

enum hal_log_level { HAL_LOG_ERROR, HAL_LOG_WARN, HAL_LOG_INFO, HAL_LOG_DEBUG };

/**
 * Write one line. The sink adds time, level and the line end, and drops what is below its level.
 * @param text UTF-8 without a line end; need not be NUL-terminated. Never a secret.
 * @param len  bytes of text.
 */
void hal_log_write(enum hal_log_level level, const char *text, size_t len);

#endif
