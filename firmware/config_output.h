/* SPDX-License-Identifier: MIT */
/**
 * @file config_output.h
 * @brief Reads "outputs": the one output "http", with all of it that can be checked up front.
 *
 * Memory:  as config.h.   Context: as config.h.   Bounds: KWM_ENDPOINTS_MAX URLs.
 */
#ifndef KWM_CONFIG_OUTPUT_H
#define KWM_CONFIG_OUTPUT_H

#include "config_report.h"

/** Read it into reader->config->output. @param outputs its node may be NULL: that is reported. */
void kwm_config_output_read(struct kwm_config_reader *reader,
                            const struct kwm_config_place *outputs);

#endif
