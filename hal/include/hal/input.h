/* SPDX-License-Identifier: MIT */
/**
 * @file hal/input.h
 * @brief How a board offers its inputs: each with a table of options, and a function that makes a
 *        sensor of it.
 *
 * The configuration reader checks a document against these tables and fills the options; it knows
 * no input by name. The list of a board ends with an entry whose name is NULL.
 */
#ifndef HAL_INPUT_H
#define HAL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/sensor.h"

enum hal_option_kind {
    HAL_OPTION_BOOL,
    HAL_OPTION_INT,
    HAL_OPTION_DURATION, /**< "10s" in the document, milliseconds in number */
    HAL_OPTION_STRING,
    HAL_OPTION_STRINGS, /**< array of strings */
    HAL_OPTION_OBJECTS, /**< array of objects, each checked against members */
};

struct hal_option_def {
    const char *key;
    const char *help; /**< one line, for `config create`; "" for none */
    const char
        *fallback;    /**< the default as JSON text, for `config create` and the help; the reader
                               fills it in when the key is absent. NULL: the key is required */
    int64_t min, max; /**< INT, DURATION (ms); STRING, STRINGS: bytes of each; OBJECTS: count */
    const struct hal_option_def *members; /**< OBJECTS: ends with key NULL */
    const char *const *choices;           /**< STRING, STRINGS: the only values allowed, ends with
                                               NULL; NULL: any */
    uint8_t kind;                         /**< enum hal_option_kind */
};

struct hal_option;

/** All options of one input or member object, in the order of its table. */
struct hal_options {
    const struct hal_option *list;
    uint16_t count;
};

struct hal_option {
    const struct hal_option_def *def;
    bool is_given; /**< stood in the document (else it is the fallback) */
    union {
        bool flag;
        int64_t number;
        struct hal_text text; /**< NUL-terminated too */
        struct {
            const struct hal_text *list;
            uint16_t count;
        } texts; /**< each NUL-terminated */
        struct {
            const struct hal_options *list;
            uint16_t count;
        } objects;
    };
};

/** What an input may use when it is made. */
struct hal_input_env {
    struct hal_options options; /**< stays valid as long as the sensor */
    const char *label;          /**< "inputs.disk" or "inputs.file[1]", for messages */
    char *reason; /**< on failure: why, as a sentence with what to do; NUL-terminated */
    size_t reason_cap;
};

struct hal_input_def {
    const char *name;                     /**< key under "inputs" */
    const char *help;                     /**< one line */
    const struct hal_option_def *options; /**< ends with key NULL; never NULL */
    /**
     * Make a sensor. Its memory belongs to the board (a fixed number of each kind).
     * @param[out] sensor set on success.
     * @return KWM_OK; KWM_ERR_INVAL for options that do not fit together; KWM_ERR_NOSPC when there
     *         are no more of this kind.
     */
    int (*create)(const struct hal_input_env *env, struct hal_sensor **sensor);
};

/** @return the option with this key; the key must be in the table (asserted). */
const struct hal_option *hal_option_get(const struct hal_options *options, const char *key);

#endif
