/* SPDX-License-Identifier: MIT */
#include "kwm/decl.h"

#include <string.h>

#include "hal/assert.h"

_Static_assert((unsigned)HAL_KIND_STRING <= KWM_DECL_KIND_MASK, "a kind fits into its bits");
_Static_assert((HAL_SCALE_MAX << KWM_DECL_KIND_BITS) <= UINT8_MAX, "a scale fits beside it");
_Static_assert(HAL_TEXT_LEN_MAX <= UINT8_MAX, "lengths are one byte");
_Static_assert(KWM_DECL_LEN_MAX <= UINT16_MAX, "lengths of struct kwm_decl");

static bool is_text_valid(struct hal_text text)
{
    return text.len <= HAL_TEXT_LEN_MAX &&
           (text.len == 0 || memchr(text.s, '\0', text.len) == NULL);
}

static bool is_tag_valid(const struct kwm_decl_tag *tag)
{
    return tag->role <= HAL_TAG_MUTABLE && tag->key.len > 0 && is_text_valid(tag->key) &&
           is_text_valid(tag->value);
}

static bool is_field_valid(const struct kwm_decl_field *field)
{
    return field->kind != HAL_KIND_NONE && field->kind <= HAL_KIND_STRING &&
           field->scale <= HAL_SCALE_MAX && (field->scale == 0 || field->kind == HAL_KIND_FIXED) &&
           field->name.len > 0 && is_text_valid(field->name);
}

/* ------------------------------------------------------------------- reading */

static const uint8_t *read_text(const uint8_t *cursor, struct hal_text *text)
{
    text->len = cursor[0];
    text->s = (const char *)(cursor + 1);
    return cursor + 1U + text->len;
}

const uint8_t *kwm_decl_tag(const uint8_t *cursor, struct kwm_decl_tag *tag)
{
    tag->role = cursor[0];
    return read_text(read_text(cursor + 1, &tag->key), &tag->value);
}

/** @return the byte behind the text at cursor, or NULL if it does not end by `end`. NULL stays. */
static const uint8_t *skip_text(const uint8_t *cursor, const uint8_t *end)
{
    if (cursor == NULL || cursor == end || (size_t)(end - cursor) < 1U + (size_t)cursor[0]) {
        return NULL;
    }
    return cursor + 1U + cursor[0];
}

/** @return the byte behind the byte at cursor, or NULL likewise. */
static const uint8_t *skip_byte(const uint8_t *cursor, const uint8_t *end)
{
    return cursor == NULL || cursor == end ? NULL : cursor + 1;
}

/** @return the byte behind the tags at cursor, or NULL if they are broken. */
static const uint8_t *check_tags(const uint8_t *cursor, const uint8_t *end, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct kwm_decl_tag tag;
        const uint8_t *const next = skip_text(skip_text(skip_byte(cursor, end), end), end);
        if (next == NULL) {
            return NULL;
        }
        (void)kwm_decl_tag(cursor, &tag);
        if (!is_tag_valid(&tag)) {
            return NULL;
        }
        cursor = next;
    }
    return cursor;
}

static const uint8_t *check_fields(const uint8_t *cursor, const uint8_t *end, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct kwm_decl_field field;
        const uint8_t *const next = skip_text(skip_byte(cursor, end), end);
        if (next == NULL) {
            return NULL;
        }
        (void)kwm_decl_field(cursor, &field);
        if (!is_field_valid(&field)) {
            return NULL;
        }
        cursor = next;
    }
    return cursor;
}

int kwm_decl_parse(struct kwm_decl *decl, const uint8_t *bytes, size_t len)
{
    const uint8_t *const end = bytes + len;
    if (len > KWM_DECL_LEN_MAX) {
        return KWM_ERR_CORRUPT;
    }
    const uint8_t *cursor = skip_text(bytes, end);
    if (cursor == NULL || cursor == end || cursor[0] > HAL_TAGS_MAX) {
        return KWM_ERR_CORRUPT;
    }
    (void)read_text(bytes, &decl->measurement);
    decl->tag_count = cursor[0];
    decl->tags = cursor + 1;
    cursor = check_tags(decl->tags, end, decl->tag_count);
    if (decl->measurement.len == 0 || !is_text_valid(decl->measurement) || cursor == NULL ||
        cursor == end || cursor[0] > HAL_FIELDS_MAX) {
        return KWM_ERR_CORRUPT;
    }
    decl->identity_len = (uint16_t)(cursor - bytes);
    decl->field_count = cursor[0];
    decl->fields = cursor + 1;
    if (check_fields(decl->fields, end, decl->field_count) != end) {
        return KWM_ERR_CORRUPT;
    }
    decl->bytes = bytes;
    decl->len = (uint16_t)len;
    return KWM_OK;
}

/* ------------------------------------------------------------------ building */

static bool has_failed(const struct kwm_decl_builder *builder)
{
    return builder->err != KWM_OK;
}

static void put_byte(struct kwm_decl_builder *builder, uint8_t byte)
{
    if (has_failed(builder)) {
        return;
    }
    if (builder->len == builder->cap) {
        builder->err = KWM_ERR_NOSPC;
        return;
    }
    builder->out[builder->len++] = byte;
}

static void put_text(struct kwm_decl_builder *builder, struct hal_text text)
{
    put_byte(builder, (uint8_t)text.len);
    if (has_failed(builder) || text.len == 0) {
        return;
    }
    if (builder->cap - builder->len < text.len) {
        builder->err = KWM_ERR_NOSPC;
        return;
    }
    memcpy(builder->out + builder->len, text.s, text.len);
    builder->len += text.len;
}

void kwm_decl_build(struct kwm_decl_builder *builder, uint8_t *out, size_t cap,
                    struct hal_text measurement)
{
    *builder = (struct kwm_decl_builder){.out = out,
                                         .cap = cap < KWM_DECL_LEN_MAX ? cap : KWM_DECL_LEN_MAX};
    if (measurement.len == 0 || !is_text_valid(measurement)) {
        builder->err = KWM_ERR_INVAL;
    }
    put_text(builder, measurement);
    builder->tag_count_off = builder->len;
    put_byte(builder, 0);
}

void kwm_decl_build_tag(struct kwm_decl_builder *builder, const struct kwm_decl_tag *tag)
{
    KWM_ASSERT(builder->field_count_off == 0); /* tags come before fields */
    if (has_failed(builder)) {
        return;
    }
    if (!is_tag_valid(tag) || builder->out[builder->tag_count_off] == HAL_TAGS_MAX) {
        builder->err = KWM_ERR_INVAL;
        return;
    }
    put_byte(builder, tag->role);
    put_text(builder, tag->key);
    put_text(builder, tag->value);
    if (!has_failed(builder)) {
        builder->out[builder->tag_count_off]++;
    }
}

/** The fields begin, if they have not. */
static void begin_fields(struct kwm_decl_builder *builder)
{
    if (builder->field_count_off == 0) {
        builder->field_count_off = builder->len;
        put_byte(builder, 0);
    }
}

void kwm_decl_build_field(struct kwm_decl_builder *builder, const struct kwm_decl_field *field)
{
    begin_fields(builder);
    if (has_failed(builder)) {
        return;
    }
    if (!is_field_valid(field) || builder->out[builder->field_count_off] == HAL_FIELDS_MAX) {
        builder->err = KWM_ERR_INVAL;
        return;
    }
    put_byte(builder, (uint8_t)(field->kind | (unsigned)field->scale << KWM_DECL_KIND_BITS));
    put_text(builder, field->name);
    if (!has_failed(builder)) {
        builder->out[builder->field_count_off]++;
    }
}

int kwm_decl_build_end(struct kwm_decl_builder *builder)
{
    begin_fields(builder);
    return has_failed(builder) ? builder->err : (int)builder->len;
}
