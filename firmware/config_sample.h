/* SPDX-License-Identifier: MIT */
/**
 * @file config_sample.h
 * @brief Writes a configuration to start from: every option with its default and what it means,
 *        made from the tables that the reader checks documents against.
 *
 * The sample is accepted by kwm_config_read() as it is; host, user and password in it are examples.
 * Lines behind // may be taken in by removing the //: their commas are right.
 *
 * Memory:  512 bytes of stack.   Context: any.   Bounds: linear in the tables.
 */
#ifndef KWM_CONFIG_SAMPLE_H
#define KWM_CONFIG_SAMPLE_H

#include <stddef.h>

#include "hal/input.h"

/**
 * @param inputs the board's list.
 * @param put    takes one line, its line feed included. Whether it could be written, the owner of
 *               ctx finds out for itself.
 */
void kwm_config_sample(const struct hal_input_def *inputs,
                       void (*put)(void *ctx, const char *text, size_t len), void *ctx);

#endif
