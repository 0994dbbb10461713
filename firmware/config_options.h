/* SPDX-License-Identifier: MIT */
/**
 * @file config_options.h
 * @brief Reads an object of the document against a table of options (hal/input.h), whoever owns the
 *        table: an input of the board, or one of the firmware's own (config_tables.h).
 *
 * Memory:  options live in the arena's front.   Context: as config.h.
 * Bounds:  KWM_CONFIG_KEYS_MAX keys in an object; OBJECTS do not nest.
 */
#ifndef KWM_CONFIG_OPTIONS_H
#define KWM_CONFIG_OPTIONS_H

#include <stdbool.h>

#include "config_report.h"

/** Kinds of the firmware's own tables, beyond hal_option_kind. */
enum kwm_config_kind {
    KWM_CONFIG_SIZE = 64, /**< "4MB" in the document, bytes in number */
    KWM_CONFIG_TABLE, /**< object of strings; only checked to be an object, walked by its owner */
    KWM_CONFIG_ANY,   /**< not looked at: its owner does; no fallback */
};

/** A key that Telegraf has and we do not, or that may have only one meaning here. */
struct kwm_config_foreign {
    const char *key;
    const char
        *accepted; /**< values that change nothing, such as "POST|post" or "true"; NULL: none */
    const char *reason; /**< why any other value is refused, and what to do */
};

/** What may stand in an object. */
struct kwm_config_keys {
    const struct hal_option_def *own;    /**< ends with key NULL */
    const struct hal_option_def *shared; /**< the same, or NULL: keys that all of its kind have */
    const struct kwm_config_foreign *foreign; /**< ends with key NULL */
};

/**
 * Read an object. Keys that are absent get their fallback. An option that was wrong is reported,
 * and left given but zero: its text is NULL then.
 * @param object      its node may be NULL: an object with no keys.
 * @param[out] own    options in the order of keys->own; its list is NULL if the arena is full.
 * @param[out] shared the same of keys->shared, if that is not NULL.
 */
void kwm_config_options_read(struct kwm_config_reader *reader,
                             const struct kwm_config_place *object,
                             const struct kwm_config_keys *keys, struct hal_options *own,
                             struct hal_options *shared);

/** The string at a place, with variables put in, NUL-terminated, in the arena. @return false when
 * it was reported, or the arena is full. */
bool kwm_config_options_text(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                             struct hal_text *text);

#endif
