/* SPDX-License-Identifier: MIT */
/**
 * @file config_report.h
 * @brief What the parts of the reader share: where in the tree they are, and how they report.
 *
 * A place is a chain of values from the document's root down, on the stack of those who walk it.
 * Path, line and column are worked out of it only when there is something to report.
 *
 * Memory:  reports live in the arena's front.   Context: as config.h.
 * Bounds:  a report scans the document once.
 */
#ifndef KWM_CONFIG_REPORT_H
#define KWM_CONFIG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "config_arena.h"
#include "config_json.h"
#include "kwm/text.h"

#define KWM_CONFIG_REASON_LEN_MAX 511U
#define KWM_CONFIG_PATH_LEN_MAX 127U

struct kwm_config_place {
    const struct kwm_config_place *parent; /**< NULL: the root */
    const struct cJSON *node;              /**< NULL: an object that is not in the document */
    uint16_t index;                        /**< number of the value in its parent */
};

struct kwm_config_reader {
    struct kwm_config *config;
    struct kwm_config_errors *errors;
    const struct kwm_config_env *env;
    const char *document;
    size_t len;
    struct kwm_config_arena arena;
    struct kwm_text reason; /**< of the report that is being made */
    char reason_buffer[KWM_CONFIG_REASON_LEN_MAX + 1];
};

/** First value in a container; its node is NULL if there is none. */
struct kwm_config_place kwm_config_report_first(const struct kwm_config_place *container);

/** Go on to the next value; its node is NULL behind the last. */
void kwm_config_report_next(struct kwm_config_place *place);

/** How many values a container has. */
uint16_t kwm_config_report_count(const struct kwm_config_place *container);

/** The value with this key in an object, or the object itself if it has none (to report there). */
struct kwm_config_place kwm_config_report_find(const struct kwm_config_place *object,
                                               const char *key);

/** Write the path of a place: "inputs.file[1].interval". */
void kwm_config_report_path(struct kwm_text *text, const struct kwm_config_place *place);

enum kwm_config_at { KWM_CONFIG_AT_VALUE, KWM_CONFIG_AT_KEY };

/** Report an error with a fixed reason. place NULL: about the document as a whole. */
void kwm_config_report_error(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                             enum kwm_config_at at, const char *reason);

void kwm_config_report_warning(struct kwm_config_reader *reader,
                               const struct kwm_config_place *place, enum kwm_config_at at,
                               const char *reason);

/** Report an error of the text itself, at an offset. */
void kwm_config_report_syntax(struct kwm_config_reader *reader, size_t off, const char *reason);

/** Begin a reason to be composed. @return the text to append to; then kwm_config_report_end(). */
struct kwm_text *kwm_config_report_begin(struct kwm_config_reader *reader);
void kwm_config_report_end(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                           enum kwm_config_at at);

/** Report, at its key, a value whose key stood in its object before. @return whether it did. */
bool kwm_config_report_repeat(struct kwm_config_reader *reader,
                              const struct kwm_config_place *place);

/** Report an object with more than KWM_CONFIG_KEYS_MAX keys. @return whether it has. */
bool kwm_config_report_crowd(struct kwm_config_reader *reader,
                             const struct kwm_config_place *object);

/**
 * Looks for the known word that an unknown one was meant to be. Start with best NULL; offer the
 * known words one after the other.
 */
struct kwm_config_guess {
    const char *word;
    const char *best;  /**< NULL: none is near */
    unsigned distance; /**< edits between the two */
};
void kwm_config_report_offer(struct kwm_config_guess *guess, const char *known);

/** Put the reports in the order of the document. */
void kwm_config_report_sort(struct kwm_config_errors *errors);

#endif
