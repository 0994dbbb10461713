/* SPDX-License-Identifier: MIT */
/**
 * @file config_json.h
 * @brief cJSON, and nothing else of it: a parsed text as a tree to walk.
 *
 * Memory:  the tree lies in the arena's scratch; nothing is ever freed singly.
 * Context: not reentrant. cJSON_InitHooks() is process-wide: the hooks point into the arena during
 *          the call, and back at cJSON's own default when it returns. Who else uses cJSON in this
 *          process is not touched, as long as all of them run in the main loop.
 * Bounds:  the text must have been scanned (config_scan.h): cJSON recurses as deep as it nests.
 */
#ifndef KWM_CONFIG_JSON_H
#define KWM_CONFIG_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "config_arena.h"

struct cJSON;

enum kwm_config_json_kind {
    KWM_CONFIG_JSON_NULL,
    KWM_CONFIG_JSON_BOOL,
    KWM_CONFIG_JSON_NUMBER,
    KWM_CONFIG_JSON_STRING,
    KWM_CONFIG_JSON_ARRAY,
    KWM_CONFIG_JSON_OBJECT,
};

/** @return the root, or NULL when the arena is full. */
const struct cJSON *kwm_config_json_parse(struct kwm_config_arena *arena, const char *text,
                                          size_t len);

enum kwm_config_json_kind kwm_config_json_kind(const struct cJSON *node);

/** First value in an array or object, NULL if there is none. */
const struct cJSON *kwm_config_json_first(const struct cJSON *node);
const struct cJSON *kwm_config_json_next(const struct cJSON *node);

/** Key of a value in an object, NUL-terminated; NULL for other values. */
const char *kwm_config_json_key(const struct cJSON *node);

/** The value of a node of that kind. */
const char *kwm_config_json_string(const struct cJSON *node);
double kwm_config_json_number(const struct cJSON *node);
bool kwm_config_json_bool(const struct cJSON *node);

#endif
