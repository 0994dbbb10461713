/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/decl.h
 * @brief The declaration of a series as bytes: measurement, tags with their values, fields.
 *
 * The same bytes are the payload of a declaration record in the log (docs/SPEC.md) and what the
 * line encoder reads. All lengths are one byte, texts have no NUL:
 *
 *   len measurement | tag count, {role, len key, len value}... | field count, {kind|scale<<3, len
 *   name}...
 *
 * The part up to the field count is the identity of the series: equal bytes, same series.
 *
 * Memory:  struct kwm_decl points into the caller's bytes, which stay put while it is used.
 * Context: any.   Bounds: HAL_TAGS_MAX tags, HAL_FIELDS_MAX fields.
 */
#ifndef KWM_DECL_H
#define KWM_DECL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/value.h"

#define KWM_DECL_LEN_MAX 2048U

/* A field's kind and scale share a byte. */
#define KWM_DECL_KIND_BITS 3U
#define KWM_DECL_KIND_MASK 7U

struct kwm_decl {
    const uint8_t *bytes;
    uint16_t len;
    uint16_t identity_len; /**< bytes up to, not including, the field count */
    struct hal_text measurement;
    const uint8_t *tags;   /**< first tag; walk with kwm_decl_tag() */
    const uint8_t *fields; /**< first field; walk with kwm_decl_field() */
    uint8_t tag_count;
    uint8_t field_count;
};

struct kwm_decl_tag {
    struct hal_text key;
    struct hal_text value;
    uint8_t role; /**< enum hal_tag_role */
};

struct kwm_decl_field {
    struct hal_text name;
    uint8_t kind; /**< enum hal_kind */
    uint8_t scale;
};

/** Check bytes from anywhere and make a view of them. @return KWM_OK or KWM_ERR_CORRUPT. */
KWM_NODISCARD int kwm_decl_parse(struct kwm_decl *decl, const uint8_t *bytes, size_t len);

/** Read the tag at cursor. @return the next cursor. Call it tag_count times from decl->tags. */
const uint8_t *kwm_decl_tag(const uint8_t *cursor, struct kwm_decl_tag *tag);

/** Read the field at cursor. @return the next cursor. Call it field_count times from
 *  decl->fields. */
static inline const uint8_t *kwm_decl_field(const uint8_t *cursor, struct kwm_decl_field *field)
{
    field->kind = cursor[0] & KWM_DECL_KIND_MASK;
    field->scale = (uint8_t)(cursor[0] >> KWM_DECL_KIND_BITS);
    field->name = (struct hal_text){.s = (const char *)(cursor + 2), .len = cursor[1]};
    return cursor + 2 + cursor[1];
}

/** Writes a declaration. Order: measurement, tags, fields. A failed step makes the rest no-ops. */
struct kwm_decl_builder {
    uint8_t *out;
    size_t cap;
    size_t len;
    size_t tag_count_off;
    size_t field_count_off; /**< 0 until the first field; = identity_len afterwards */
    int err;
};

void kwm_decl_build(struct kwm_decl_builder *builder, uint8_t *out, size_t cap,
                    struct hal_text measurement);
void kwm_decl_build_tag(struct kwm_decl_builder *builder, const struct kwm_decl_tag *tag);
void kwm_decl_build_field(struct kwm_decl_builder *builder, const struct kwm_decl_field *field);

/** @return length, KWM_ERR_NOSPC if it did not fit, KWM_ERR_INVAL if a text is empty (a tag value
 *          may be), over HAL_TEXT_LEN_MAX or holds a NUL, a role, kind or scale is none, or there
 *          are too many of something. What was built parses. */
KWM_NODISCARD int kwm_decl_build_end(struct kwm_decl_builder *builder);

#endif
