/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/decl.h builds and reads declarations, and takes no bytes that are none.
 * Method: golden bytes; every cut and every changed byte of a declaration; tables of broken ones
 *         and of what cannot be built; every capacity over memory of just that size. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "kwm/decl.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static uint8_t bytes[4096];

static struct hal_text text_of(const char *s)
{
    return (struct hal_text){s, (uint16_t)strlen(s)};
}

static void add_tag(struct kwm_decl_builder *builder, uint8_t role, const char *key,
                    const char *value)
{
    const struct kwm_decl_tag tag = {text_of(key), text_of(value), role};
    kwm_decl_build_tag(builder, &tag);
}

static void add_field(struct kwm_decl_builder *builder, uint8_t kind, uint8_t scale,
                      const char *name)
{
    const struct kwm_decl_field field = {text_of(name), kind, scale};
    kwm_decl_build_field(builder, &field);
}

static int build_env(uint8_t *out, size_t cap)
{
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, out, cap, text_of("env"));
    add_tag(&builder, HAL_TAG_PRIMARY, "host", "gw");
    add_tag(&builder, HAL_TAG_MUTABLE, "mode", "");
    add_field(&builder, HAL_KIND_FIXED, 3, "temp");
    add_field(&builder, HAL_KIND_STRING, 0, "s");
    return kwm_decl_build_end(&builder);
}

static const uint8_t env[] = {3,          'e', 'n', 'v', 2,   0,   4,   'h', 'o', 's', 't',
                              2,          'g', 'w', 2,   4,   'm', 'o', 'd', 'e', 0,   2,
                              4 | 3 << 3, 4,   't', 'e', 'm', 'p', 6,   1,   's'};

/* Parse a copy of just that size. */
static int parse(struct kwm_decl *decl, const uint8_t *from, size_t len)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, from, len);
    return kwm_decl_parse(decl, len > 0 ? copy : copy + 1, len);
}

static void expect_text(struct hal_text text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.s, expected, text.len);
}

static void test_golden(void **state)
{
    (void)state;
    struct kwm_decl decl;
    struct kwm_decl_tag tag;
    struct kwm_decl_field field;
    assert_int_equal(build_env(bytes, sizeof(bytes)), sizeof(env));
    assert_memory_equal(bytes, env, sizeof(env));
    assert_int_equal(parse(&decl, env, sizeof(env)), KWM_OK);
    assert_int_equal(decl.len, sizeof(env));
    assert_int_equal(decl.identity_len, 21);
    assert_int_equal(decl.tag_count, 2);
    assert_int_equal(decl.field_count, 2);
    expect_text(decl.measurement, "env");
    const uint8_t *cursor = kwm_decl_tag(decl.tags, &tag);
    expect_text(tag.key, "host");
    expect_text(tag.value, "gw");
    assert_int_equal(tag.role, HAL_TAG_PRIMARY);
    cursor = kwm_decl_tag(cursor, &tag);
    expect_text(tag.key, "mode");
    expect_text(tag.value, "");
    assert_int_equal(tag.role, HAL_TAG_MUTABLE);
    assert_ptr_equal(cursor, decl.bytes + decl.identity_len);
    cursor = kwm_decl_field(decl.fields, &field);
    expect_text(field.name, "temp");
    assert_int_equal(field.kind, HAL_KIND_FIXED);
    assert_int_equal(field.scale, 3);
    cursor = kwm_decl_field(cursor, &field);
    expect_text(field.name, "s");
    assert_int_equal(field.kind, HAL_KIND_STRING);
    assert_int_equal(field.scale, 0);
    assert_ptr_equal(cursor, decl.bytes + decl.len);
}

static void test_without_tags_and_fields(void **state)
{
    (void)state;
    struct kwm_decl_builder builder;
    struct kwm_decl decl;
    kwm_decl_build(&builder, bytes, sizeof(bytes), text_of("m"));
    assert_int_equal(kwm_decl_build_end(&builder), 4);
    assert_memory_equal(bytes, "\1m\0\0", 4);
    assert_int_equal(parse(&decl, bytes, 4), KWM_OK);
    assert_int_equal(decl.identity_len, 3);
    assert_int_equal(decl.tag_count + decl.field_count, 0);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    struct kwm_decl decl;
    uint8_t more[sizeof(env) + 1] = {0};
    for (size_t len = 0; len < sizeof(env); len++) {
        assert_int_equal(parse(&decl, env, len), KWM_ERR_CORRUPT);
    }
    memcpy(more, env, sizeof(env));
    assert_int_equal(parse(&decl, more, sizeof(more)), KWM_ERR_CORRUPT);
}

/* Read it all; a sanitizer sees a step outside. */
static void walk(const struct kwm_decl *decl)
{
    const uint8_t *cursor = decl->tags;
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        assert_true(tag.key.len > 0 && tag.role <= HAL_TAG_MUTABLE);
    }
    assert_ptr_equal(cursor, decl->bytes + decl->identity_len);
    cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        assert_true(field.name.len > 0 && field.kind >= 1 && field.kind <= HAL_KIND_STRING);
    }
    assert_ptr_equal(cursor, decl->bytes + decl->len);
}

static void test_every_changed_byte_is_safe(void **state)
{
    (void)state;
    uint8_t changed[sizeof(env)];
    struct kwm_decl decl;
    unsigned parsed = 0;
    for (size_t at = 0; at < sizeof(env); at++) {
        for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
            memcpy(changed, env, sizeof(env));
            changed[at] = (uint8_t)byte;
            if (parse(&decl, changed, sizeof(changed)) == KWM_OK) {
                walk(&decl);
                parsed++;
            }
        }
    }
    assert_true(parsed > sizeof(env)); /* the texts may be anything but NUL */
}

static void test_broken(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *s;
        size_t len;
    } rows[] = {
        {"no measurement", "\0\0\0", 3},
        {"NUL in the measurement", "\1\0\0\0", 4},
        {"role 3", "\1m\1\3\1k\1v\0", 9},
        {"empty key", "\1m\1\0\0\1v\0", 8},
        {"NUL in a key", "\1m\1\0\1\0\1v\0", 9},
        {"NUL in a value", "\1m\1\0\1k\1\0\0", 9},
        {"kind 0", "\1m\0\1\0\1f", 7},
        {"kind 7", "\1m\0\1\7\1f", 7},
        {"scale of an int", "\1m\0\1\x09\1f", 7},
        {"scale 19", "\1m\0\1\x9C\1f", 7},
        {"empty name", "\1m\0\1\1\0", 6},
        {"NUL in a name", "\1m\0\1\1\1\0", 7},
    };
    struct kwm_decl decl;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (parse(&decl, (const uint8_t *)rows[i].s, rows[i].len) != KWM_ERR_CORRUPT) {
            fail_msg("%s", rows[i].what);
        }
    }
    assert_int_equal(parse(&decl, (const uint8_t *)"\1m\0\1\x94\1f", 7), KWM_OK); /* scale 18 */
}

static void test_every_capacity(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < sizeof(env); cap++) {
        uint8_t *const out = malloc(cap > 0 ? cap : 1);
        assert_non_null(out);
        assert_int_equal(build_env(cap > 0 ? out : out + 1, cap), KWM_ERR_NOSPC);
        free(out);
    }
}

static void test_length_max(void **state)
{
    (void)state;
    char value[HAL_TEXT_LEN_MAX + 1];
    struct kwm_decl_builder builder;
    struct kwm_decl decl;
    memset(value, 'v', sizeof(value));
    value[HAL_TEXT_LEN_MAX] = '\0';
    kwm_decl_build(&builder, bytes, sizeof(bytes), text_of("m"));
    for (unsigned i = 0; i < 7; i++) {
        add_tag(&builder, HAL_TAG_CONSTANT, "k", value); /* 259 bytes each */
    }
    value[KWM_DECL_LEN_MAX - 3 - 7 * 259 - 4 - 1] = '\0';
    add_tag(&builder, HAL_TAG_CONSTANT, "k", value);
    assert_int_equal(kwm_decl_build_end(&builder), KWM_DECL_LEN_MAX);
    assert_int_equal(parse(&decl, bytes, KWM_DECL_LEN_MAX), KWM_OK);
    walk(&decl);
    /* The same with the last value a byte longer is refused for its length alone. */
    bytes[KWM_DECL_LEN_MAX - 1 - strlen(value) - 1]++;
    bytes[KWM_DECL_LEN_MAX - 1] = 'v';
    bytes[KWM_DECL_LEN_MAX] = 0;
    assert_int_equal(parse(&decl, bytes, KWM_DECL_LEN_MAX + 1), KWM_ERR_CORRUPT);
    kwm_decl_build(&builder, bytes, sizeof(bytes), text_of("m"));
    for (unsigned i = 0; i < 9; i++) {
        memset(value, 'v', HAL_TEXT_LEN_MAX);
        add_tag(&builder, HAL_TAG_CONSTANT, "k", value);
    }
    assert_int_equal(kwm_decl_build_end(&builder), KWM_ERR_NOSPC);
}

static void test_counts_max(void **state)
{
    (void)state;
    for (unsigned more = 0; more <= 1; more++) {
        struct kwm_decl_builder builder;
        kwm_decl_build(&builder, bytes, sizeof(bytes), text_of("m"));
        for (unsigned i = 0; i < HAL_TAGS_MAX + more; i++) {
            add_tag(&builder, HAL_TAG_CONSTANT, "k", "v");
        }
        assert_int_equal(kwm_decl_build_end(&builder), more ? KWM_ERR_INVAL : 4 + 16 * 5);
        kwm_decl_build(&builder, bytes, sizeof(bytes), text_of("m"));
        for (unsigned i = 0; i < HAL_FIELDS_MAX + more; i++) {
            add_field(&builder, HAL_KIND_BOOL, 0, "f");
        }
        assert_int_equal(kwm_decl_build_end(&builder), more ? KWM_ERR_INVAL : 4 + 64 * 3);
    }
}

/* As above, but past the builder. */
static void test_one_more_than_counts_max(void **state)
{
    (void)state;
    for (unsigned more = 0; more <= 1; more++) {
        struct kwm_decl decl;
        size_t len = 0;
        bytes[len++] = 1;
        bytes[len++] = 'm';
        bytes[len++] = (uint8_t)(HAL_TAGS_MAX + more);
        for (unsigned i = 0; i < HAL_TAGS_MAX + more; i++) {
            memcpy(bytes + len, "\1\1k\1v", 5);
            len += 5;
        }
        bytes[len++] = 0;
        assert_int_equal(parse(&decl, bytes, len), more ? KWM_ERR_CORRUPT : KWM_OK);
        bytes[2] = 0;
        len = 3;
        bytes[len++] = (uint8_t)(HAL_FIELDS_MAX + more);
        for (unsigned i = 0; i < HAL_FIELDS_MAX + more; i++) {
            memcpy(bytes + len, "\5\1f", 3);
            len += 3;
        }
        assert_int_equal(parse(&decl, bytes, len), more ? KWM_ERR_CORRUPT : KWM_OK);
    }
}

static void test_what_cannot_be_built(void **state)
{
    (void)state;
    static char longest[HAL_TEXT_LEN_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    const struct hal_text too_long = {longest, sizeof(longest)};
    const struct hal_text nul = {"a\0b", 3};
    const struct hal_text good = {"a", 1};
    const struct hal_text empty = {NULL, 0};
    const struct {
        struct hal_text measurement;
        struct kwm_decl_tag tag;
        struct kwm_decl_field field;
    } rows[] = {
        {too_long, {good, good, 0}, {good, HAL_KIND_INT, 0}},
        {nul, {good, good, 0}, {good, HAL_KIND_INT, 0}},
        {empty, {good, good, 0}, {good, HAL_KIND_INT, 0}},
        {good, {too_long, good, 0}, {good, HAL_KIND_INT, 0}},
        {good, {nul, good, 0}, {good, HAL_KIND_INT, 0}},
        {good, {empty, good, 0}, {good, HAL_KIND_INT, 0}},
        {good, {good, too_long, 0}, {good, HAL_KIND_INT, 0}},
        {good, {good, nul, 0}, {good, HAL_KIND_INT, 0}},
        {good, {good, good, 3}, {good, HAL_KIND_INT, 0}},
        {good, {good, good, 0}, {too_long, HAL_KIND_INT, 0}},
        {good, {good, good, 0}, {nul, HAL_KIND_INT, 0}},
        {good, {good, good, 0}, {empty, HAL_KIND_INT, 0}},
        {good, {good, good, 0}, {good, HAL_KIND_NONE, 0}},
        {good, {good, good, 0}, {good, HAL_KIND_STRING + 1, 0}},
        {good, {good, good, 0}, {good, HAL_KIND_INT, 1}},
        {good, {good, good, 0}, {good, HAL_KIND_FIXED, HAL_SCALE_MAX + 1}},
        {good, {good, empty, 2}, {good, HAL_KIND_FIXED, HAL_SCALE_MAX}}, /* this one can */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kwm_decl_builder builder;
        kwm_decl_build(&builder, bytes, sizeof(bytes), rows[i].measurement);
        kwm_decl_build_tag(&builder, &rows[i].tag);
        kwm_decl_build_field(&builder, &rows[i].field);
        const int expected = i + 1 < COUNT(rows) ? KWM_ERR_INVAL : 11;
        if (kwm_decl_build_end(&builder) != expected) {
            fail_msg("row %zu", i);
        }
    }
}

static void test_tags_come_before_fields(void **state)
{
    (void)state;
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, bytes, sizeof(bytes), text_of("m"));
    add_field(&builder, HAL_KIND_INT, 0, "f");
    expect_assert_failure(add_tag(&builder, HAL_TAG_PRIMARY, "k", "v"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_without_tags_and_fields),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_every_changed_byte_is_safe),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_every_capacity),
        cmocka_unit_test(test_length_max),
        cmocka_unit_test(test_counts_max),
        cmocka_unit_test(test_one_more_than_counts_max),
        cmocka_unit_test(test_what_cannot_be_built),
        cmocka_unit_test(test_tags_come_before_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
