/* SPDX-License-Identifier: MIT */
/*
 * Goal: of whatever declaration and values, the encoder makes a line that reads back as they are,
 * in each dialect, or refuses a name that the dialect cannot carry; and it stays within every
 * capacity.
 * Input: the stamp (8 bytes); measurement; tags; fields with their values. A text is its length,
 * one byte, and bytes; counts are one byte, a number is 8. What the input lacks is zeros.
 */
#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"
#include "kwm/line.h"

/* A fuzz target is linked with the files beside it, not with those of the unit tests. */
#include "support/line_check.c"
#include "support/line_decoder.c"

#define STAMP_MS_MIN 1000000000000
#define STAMP_COUNT 8223372036855U /* kwdb's stamps that fit in nanoseconds, too */
#define LINE_CAP 65536U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t len;
};

static uint8_t take_byte(struct input *input)
{
    if (input->len == 0) {
        return 0;
    }
    input->len--;
    return *input->data++;
}

static uint64_t take_number(struct input *input)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        number = number << 8 | take_byte(input);
    }
    return number;
}

/* Texts stay in the input. */
static struct hal_text take_text(struct input *input)
{
    struct hal_text text = {.len = take_byte(input)};
    if (text.len > input->len) {
        text.len = (uint16_t)input->len;
    }
    text.s = (const char *)input->data;
    input->data += text.len;
    input->len -= text.len;
    return text;
}

static struct hal_value take_value(struct input *input, const struct kwm_decl_field *field)
{
    struct hal_value value = {.kind = field->kind, .scale = field->scale};
    const uint8_t presence = take_byte(input);
    if (field->kind == HAL_KIND_STRING) {
        const struct hal_text text = take_text(input);
        value.s = text.s;
        value.len = text.len;
    } else if (field->kind == HAL_KIND_BOOL) {
        value.b = (take_byte(input) & 1U) != 0;
    } else {
        value.u = take_number(input);
    }
    if (presence == 1) {
        value = (struct hal_value){.kind = HAL_KIND_NONE};
    } else if (presence == 2) {
        value = (struct hal_value){.kind = HAL_KIND_INT, .i = -1}; /* whatever was declared */
    }
    return value;
}

/* @return length of the declaration, or an error. */
static int take_decl(struct input *input, uint8_t *out, size_t cap, struct hal_value *values)
{
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, out, cap, take_text(input));
    const unsigned tags = take_byte(input) % (HAL_TAGS_MAX + 1U);
    for (unsigned i = 0; i < tags; i++) {
        struct kwm_decl_tag tag = {.role = (uint8_t)(take_byte(input) % 3U)};
        tag.key = take_text(input);
        tag.value = take_text(input);
        kwm_decl_build_tag(&builder, &tag);
    }
    const unsigned fields = take_byte(input) % (HAL_FIELDS_MAX + 1U);
    for (unsigned i = 0; i < fields; i++) {
        struct kwm_decl_field field = {.kind = (uint8_t)(1U + take_byte(input) % HAL_KIND_STRING)};
        if (field.kind == HAL_KIND_FIXED) {
            field.scale = (uint8_t)(take_byte(input) % (HAL_SCALE_MAX + 1U));
        }
        field.name = take_text(input);
        kwm_decl_build_field(&builder, &field);
        values[i] = take_value(input, &field);
    }
    return kwm_decl_build_end(&builder);
}

static void *exactly(size_t len)
{
    void *const memory = malloc(len > 0 ? len : 1);
    KWM_ASSERT(memory != NULL);
    return memory;
}

/* Into memory of that size, from a template in memory of its size. */
static void check_capacity(size_t cap, const uint8_t *template, const struct hal_value *values,
                           int64_t stamp_ms, const char *line, size_t len)
{
    struct kwm_line_losses losses = {7, 9};
    char *const out = exactly(cap);
    const int rc = kwm_line_encode(out, cap, template, values, stamp_ms, &losses);
    if (cap >= len) {
        KWM_ASSERT(rc == (int)len);
        KWM_ASSERT(memcmp(out, line, len) == 0);
    } else {
        KWM_ASSERT(rc == KWM_ERR_NOSPC);
        KWM_ASSERT(losses.replaced == 7 && losses.clipped == 9);
    }
    free(out);
}

static void check_line(enum kwm_dialect dialect, const struct kwm_decl *decl,
                       const uint8_t *template, const struct hal_value *values, int64_t stamp_ms,
                       const struct kwm_line_losses *template_losses)
{
    static char line[LINE_CAP];
    struct kwm_line_losses losses = {0};
    const int len = kwm_line_encode(line, sizeof(line), template, values, stamp_ms, &losses);
    if (line_present_count(decl, values) == 0) {
        KWM_ASSERT(len == KWM_ERR_NOENT);
        return;
    }
    KWM_ASSERT(len > 0);
    const char *const reason =
        line_check(dialect, decl, values, stamp_ms, line, (size_t)len, template_losses, &losses);
    if (reason != NULL) {
        fprintf(stderr, "%s:\n%.*s\n", reason, len, line);
        abort();
    }
    for (size_t less = 0; less <= 24 && less <= (size_t)len; less++) {
        check_capacity((size_t)len - less, template, values, stamp_ms, line, (size_t)len);
    }
    check_capacity((size_t)len + 1U, template, values, stamp_ms, line, (size_t)len);
    check_capacity((size_t)len / 2U, template, values, stamp_ms, line, (size_t)len);
}

static void check_dialect(enum kwm_dialect dialect, const struct kwm_decl *decl,
                          const struct hal_value *values, int64_t stamp_ms)
{
    static uint8_t large[KWM_LINE_TEMPLATE_LEN_MAX];
    struct kwm_line_losses losses = {0};
    const int len = kwm_line_template(large, sizeof(large), dialect, decl, &losses);
    KWM_ASSERT((len != KWM_ERR_INVAL) == line_is_carried(dialect, decl));
    if (len <= 0) {
        KWM_ASSERT(len == KWM_ERR_INVAL || (len == KWM_ERR_NOSPC && decl->len > 1024U));
        return;
    }
    uint8_t *const template = exactly((size_t)len);
    memcpy(template, large, (size_t)len);
    check_line(dialect, decl, template, values, stamp_ms, &losses);
    free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t bytes[KWM_DECL_LEN_MAX];
    struct hal_value values[HAL_FIELDS_MAX];
    struct kwm_decl decl;
    const int64_t stamp_ms = STAMP_MS_MIN + (int64_t)(take_number(&input) % STAMP_COUNT);
    const int len = take_decl(&input, bytes, sizeof(bytes), values);
    if (len < 0) {
        return 0;
    }
    const int err = kwm_decl_parse(&decl, bytes, (size_t)len);
    KWM_ASSERT(err == KWM_OK);
    check_dialect(KWM_DIALECT_KWDB, &decl, values, stamp_ms);
    check_dialect(KWM_DIALECT_INFLUX, &decl, values, stamp_ms);
    return 0;
}
