/* SPDX-License-Identifier: MIT */
/**
 * @file config_tags.h
 * @brief Tags and names of the document: read, and held to what the output's dialect can carry.
 *
 * Memory:  tags live in the arena's front.   Context: as config.h.   Bounds: HAL_TAGS_MAX tags.
 */
#ifndef KWM_CONFIG_TAGS_H
#define KWM_CONFIG_TAGS_H

#include "config_report.h"

/**
 * Read "global_tags", or the "tags" of an input.
 * @param object its node may be NULL: no tags.
 * @param others tags that share the rows' room with these; NULL for none.
 */
void kwm_config_tags_read(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                          const struct kwm_config_tags *others, struct kwm_config_tags *tags);

/** @return why the dialect cannot carry a name (of a tag or a measurement), NULL if it can. */
const char *kwm_config_tags_check_name(enum kwm_dialect dialect, const char *name, size_t len);

/** @return why the dialect cannot carry a tag's value, NULL if it can. */
const char *kwm_config_tags_check_value(enum kwm_dialect dialect, const char *value, size_t len);

#endif
