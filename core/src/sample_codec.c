/* SPDX-License-Identifier: MIT */
#include "sample_codec.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"
#include "kwm/number.h"

static uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static bool is_present(const struct kwm_decl_field *field, const struct hal_value *value)
{
    if (value->kind != field->kind || value->kind == HAL_KIND_NONE) {
        return false;
    }
    switch (value->kind) {
    case HAL_KIND_DOUBLE:
        return kwm_number_is_finite(value->d);
    case HAL_KIND_FIXED:
        return value->scale == field->scale;
    case HAL_KIND_STRING:
        return value->len <= HAL_TEXT_LEN_MAX;
    default:
        return true;
    }
}

static size_t varint_len(uint64_t value)
{
    size_t len = 1;
    while (value >= 0x80U) {
        value >>= 7;
        len++;
    }
    return len;
}

static size_t value_len(const struct hal_value *value)
{
    switch (value->kind) {
    case HAL_KIND_INT:
    case HAL_KIND_FIXED:
        return varint_len(kwm_zigzag(value->i));
    case HAL_KIND_UINT:
        return varint_len(value->u);
    case HAL_KIND_DOUBLE:
        return 8;
    case HAL_KIND_STRING:
        return 1U + value->len;
    default:
        return 1;
    }
}

struct sample_size sample_measure(const struct kwm_decl *decl, const struct hal_value *values)
{
    struct sample_size size = {0};
    const uint8_t *cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        if (is_present(&field, &values[i])) {
            size.len += value_len(&values[i]);
            size.present++;
        }
    }
    size.is_partial = size.present != decl->field_count;
    if (size.is_partial) {
        size.len += (decl->field_count + 7U) / 8U;
    }
    return size;
}

static uint8_t *write_value(uint8_t *out, const struct hal_value *value)
{
    switch (value->kind) {
    case HAL_KIND_INT:
    case HAL_KIND_FIXED:
        return kwm_put_varint(out, kwm_zigzag(value->i));
    case HAL_KIND_UINT:
        return kwm_put_varint(out, value->u);
    case HAL_KIND_DOUBLE:
        kwm_put_u64(out, double_bits(value->d));
        return out + 8;
    case HAL_KIND_STRING:
        *out++ = (uint8_t)value->len;
        memcpy(out, value->s, value->len);
        return out + value->len;
    default:
        *out = value->b ? 1 : 0;
        return out + 1;
    }
}

uint8_t *sample_write(uint8_t *out, const struct kwm_decl *decl, const struct hal_value *values,
                      bool is_partial)
{
    uint8_t *bitmap = out;
    if (is_partial) {
        const size_t len = (decl->field_count + 7U) / 8U;
        memset(bitmap, 0, len);
        out += len;
    }
    const uint8_t *cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        if (!is_present(&field, &values[i])) {
            KWM_ASSERT(is_partial);
            continue;
        }
        if (is_partial) {
            bitmap[i / 8U] = (uint8_t)(bitmap[i / 8U] | (1U << (i % 8U)));
        }
        out = write_value(out, &values[i]);
    }
    return out;
}

/** @return the byte behind the value, or NULL if it is malformed. */
static const uint8_t *read_value(const uint8_t *in, const uint8_t *end, struct hal_value *value)
{
    uint64_t bits = 0;
    switch (value->kind) {
    case HAL_KIND_INT:
    case HAL_KIND_FIXED:
        in = kwm_get_varint(in, end, &bits);
        value->i = kwm_unzigzag(bits);
        return in;
    case HAL_KIND_UINT:
        return kwm_get_varint(in, end, &value->u);
    case HAL_KIND_DOUBLE:
        if (end - in < 8) {
            return NULL;
        }
        bits = kwm_get_u64(in);
        memcpy(&value->d, &bits, sizeof(bits));
        return in + 8;
    case HAL_KIND_STRING:
        if (in == end || end - in - 1 < in[0]) {
            return NULL;
        }
        value->len = in[0];
        value->s = (const char *)in + 1;
        return in + 1 + value->len;
    default:
        if (in == end || in[0] > 1) {
            return NULL;
        }
        value->b = in[0] == 1;
        return in + 1;
    }
}

int sample_read(const struct kwm_decl *decl, const uint8_t *in, size_t len, bool is_partial,
                struct hal_value *values)
{
    const uint8_t *end = in + len;
    const uint8_t *bitmap = in;
    if (is_partial) {
        const size_t bitmap_len = (decl->field_count + 7U) / 8U;
        if (len < bitmap_len) {
            return KWM_ERR_CORRUPT;
        }
        in += bitmap_len;
    }
    const uint8_t *cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        values[i] = (struct hal_value){.kind = HAL_KIND_NONE};
        if (is_partial && (bitmap[i / 8U] & (1U << (i % 8U))) == 0) {
            continue;
        }
        values[i].kind = field.kind;
        values[i].scale = field.scale;
        in = read_value(in, end, &values[i]);
        if (in == NULL) {
            return KWM_ERR_CORRUPT;
        }
    }
    return in == end ? KWM_OK : KWM_ERR_CORRUPT;
}
