/* SPDX-License-Identifier: MIT */
/**
 * @file config_inputs.h
 * @brief Reads "inputs" against the board's list of inputs and their tables.
 *
 * Memory:  as config.h.   Context: as config.h.   Bounds: KWM_CONFIG_INPUTS_MAX inputs.
 */
#ifndef KWM_CONFIG_INPUTS_H
#define KWM_CONFIG_INPUTS_H

#include "config_report.h"

/** Read them into reader->config->inputs. Agent, output and global tags must have been read.
 *  @param inputs its node may be NULL: that is reported. */
void kwm_config_inputs_read(struct kwm_config_reader *reader,
                            const struct kwm_config_place *inputs);

#endif
