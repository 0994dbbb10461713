/* SPDX-License-Identifier: MIT */
/**
 * @file hal/value.h
 * @brief Typed values, and the schema that says what they are: the words in which a sensor speaks.
 *
 * Everything here is a plain description in memory of whoever made it. A schema and the texts that
 * it points to stay valid for as long as the sensor that owns it.
 */
#ifndef HAL_VALUE_H
#define HAL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/** Kinds of a field. The values are part of the record format (docs/SPEC.md). */
enum hal_kind {
    HAL_KIND_NONE = 0,   /**< The field is absent in this sample. */
    HAL_KIND_INT = 1,    /**< int64 */
    HAL_KIND_UINT = 2,   /**< uint64; leaves clipped to int64's range, as Telegraf does */
    HAL_KIND_DOUBLE = 3, /**< double; NaN and infinities count as absent */
    HAL_KIND_FIXED = 4,  /**< decimal fixed point: i * 10^-scale, exact */
    HAL_KIND_BOOL = 5,
    HAL_KIND_STRING = 6, /**< UTF-8, at most HAL_TEXT_LEN_MAX bytes */
};

#define HAL_SCALE_MAX 18U
#define HAL_TEXT_LEN_MAX 255U /* bytes of a name, a tag value or a string value */
#define HAL_TAGS_MAX 16U      /* tags of one series, host and global tags included */
#define HAL_FIELDS_MAX 64U    /* fields of one series */

struct hal_value {
    uint8_t kind;  /**< enum hal_kind */
    uint8_t scale; /**< HAL_KIND_FIXED: digits after the point, 0..HAL_SCALE_MAX; else 0 */
    uint16_t len;  /**< HAL_KIND_STRING: bytes; else 0 */
    union {
        int64_t i; /**< HAL_KIND_INT, and the mantissa of HAL_KIND_FIXED */
        uint64_t u;
        double d;
        bool b;
        const char *s; /**< HAL_KIND_STRING: not NUL-terminated, owned by the sensor */
    };
};

/** What a tag is to the series (KWDB keeps at most 4 primary tags and never updates a plain
 *  one). */
enum hal_tag_role {
    HAL_TAG_PRIMARY = 0,  /**< tells this series from the others of its measurement */
    HAL_TAG_CONSTANT = 1, /**< never changes for these primary tags */
    HAL_TAG_MUTABLE = 2,  /**< may change: a tag in the influx dialect, a field in kwdb's */
};

struct hal_tag_def {
    const char *key;
    uint8_t role; /**< enum hal_tag_role */
};

struct hal_field_def {
    const char *name;
    uint8_t kind;  /**< enum hal_kind, not NONE */
    uint8_t scale; /**< HAL_KIND_FIXED only */
};

/** A measurement as one sensor delivers it. */
struct hal_schema {
    const char *measurement;
    const struct hal_tag_def *tags; /**< the sensor's own; host and global tags are added later */
    const struct hal_field_def *fields;
    uint8_t tag_count;
    uint8_t field_count;
};

/** A text in somebody else's memory. s == NULL means absent. */
struct hal_text {
    const char *s;
    uint16_t len;
};

/** The fields of one series at one instant. Valid only during the call that passes it. */
struct hal_point {
    const struct hal_schema *schema;
    const struct hal_text *tags;    /**< schema->tag_count values, absent ones are left out */
    const struct hal_value *values; /**< schema->field_count values */
};

#endif
