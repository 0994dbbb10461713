/* SPDX-License-Identifier: MIT */
/**
 * @file line_check.h
 * @brief Says whether a line means what its declaration and values say, by the decoders of
 *        line_decoder.h and a model of what the dialects carry.
 */
#ifndef LINE_CHECK_H
#define LINE_CHECK_H

#include "kwm/line.h"

/** @return whether the dialect can carry all names of the declaration. */
bool line_is_carried(enum kwm_dialect dialect, const struct kwm_decl *decl);

/** @return how many of the values a line carries. */
unsigned line_present_count(const struct kwm_decl *decl, const struct hal_value *values);

/**
 * @param template_losses of kwm_line_template(), @param losses of kwm_line_encode(); both began at
 * 0.
 * @return NULL, or what is wrong with the line.
 */
const char *line_check(enum kwm_dialect dialect, const struct kwm_decl *decl,
                       const struct hal_value *values, int64_t stamp_ms, const char *line,
                       size_t len, const struct kwm_line_losses *template_losses,
                       const struct kwm_line_losses *losses);

#endif
