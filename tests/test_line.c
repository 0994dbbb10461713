/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/line.h makes the lines that KWDB and InfluxDB read as what was meant, or none.
 * Method: tables; replies that KWDB gave to 118 bodies against the decoder that the property test
 *         trusts; then generated declarations and values against the decoders. Every template, line
 *         and value lies in memory of just its size. */
#include "support.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "kwm/line.h"
#include "line_check.h"
#include "line_decoder.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define STAMP_MS 1790000000123
#define LINE_CAP 65536U

static struct hal_text text_of(const char *s)
{
    return (struct hal_text){s, (uint16_t)strlen(s)};
}

/* A declaration with its values, built step by step. */
struct sample {
    uint8_t bytes[KWM_DECL_LEN_MAX];
    struct kwm_decl_builder builder;
    struct kwm_decl decl;
    struct hal_value values[HAL_FIELDS_MAX];
    unsigned value_count;
};

static struct sample sample;

static void begin(const char *measurement)
{
    sample.value_count = 0;
    kwm_decl_build(&sample.builder, sample.bytes, sizeof(sample.bytes), text_of(measurement));
}

static void tag(uint8_t role, const char *key, const char *value)
{
    const struct kwm_decl_tag it = {text_of(key), text_of(value), role};
    kwm_decl_build_tag(&sample.builder, &it);
}

static void field(const char *name, struct hal_value value)
{
    const struct kwm_decl_field it = {text_of(name), value.kind, value.scale};
    kwm_decl_build_field(&sample.builder, &it);
    sample.values[sample.value_count++] = value;
}

static struct hal_value an_int(int64_t i)
{
    return (struct hal_value){.kind = HAL_KIND_INT, .i = i};
}

static struct hal_value a_uint(uint64_t u)
{
    return (struct hal_value){.kind = HAL_KIND_UINT, .u = u};
}

static struct hal_value a_double(double d)
{
    return (struct hal_value){.kind = HAL_KIND_DOUBLE, .d = d};
}

static struct hal_value a_fixed(int64_t i, uint8_t scale)
{
    return (struct hal_value){.kind = HAL_KIND_FIXED, .scale = scale, .i = i};
}

static struct hal_value a_bool(bool b)
{
    return (struct hal_value){.kind = HAL_KIND_BOOL, .b = b};
}

static struct hal_value a_string(const char *s)
{
    return (struct hal_value){.kind = HAL_KIND_STRING, .len = (uint16_t)strlen(s), .s = s};
}

static void end(void)
{
    const int len = kwm_decl_build_end(&sample.builder);
    assert_true(len > 0);
    assert_int_equal(kwm_decl_parse(&sample.decl, sample.bytes, (size_t)len), KWM_OK);
}

/* Memory of just that size. */
static void *exactly(size_t len)
{
    void *const memory = malloc(len > 0 ? len : 1);
    assert_non_null(memory);
    return memory;
}

/* A template in memory of just its size. NULL with an error. */
static uint8_t *make_template(enum kwm_dialect dialect, struct kwm_line_losses *losses, int *err)
{
    static uint8_t large[KWM_LINE_TEMPLATE_LEN_MAX];
    memset(large, 0xA5, sizeof(large));
    *err = kwm_line_template(large, sizeof(large), dialect, &sample.decl, losses);
    if (*err <= 0) {
        return NULL;
    }
    uint8_t *const template = exactly((size_t)*err);
    assert_int_equal(kwm_line_template(template, (size_t)*err, dialect, &sample.decl,
                                       &(struct kwm_line_losses){0}),
                     *err);
    assert_memory_equal(template, large, (size_t)*err);
    return template;
}

/* The line of the sample, or an error's name. */
static const char *line_of(enum kwm_dialect dialect, int64_t stamp_ms,
                           struct kwm_line_losses *losses)
{
    static char line[LINE_CAP];
    int err;
    uint8_t *const template = make_template(dialect, losses, &err);
    if (template != NULL) {
        err = kwm_line_encode(line, sizeof(line) - 1, template, sample.values, stamp_ms, losses);
        free(template);
    }
    if (err > 0) {
        line[err] = '\0';
        return line;
    }
    return err == KWM_ERR_INVAL ? "INVAL" : err == KWM_ERR_NOENT ? "NOENT" : "another error";
}

static void expect_lines(const char *kwdb, const char *influx)
{
    struct kwm_line_losses losses = {0};
    end();
    assert_string_equal(line_of(KWM_DIALECT_KWDB, STAMP_MS, &losses), kwdb);
    assert_string_equal(line_of(KWM_DIALECT_INFLUX, STAMP_MS, &losses), influx);
}

/* -------------------------------------------------------------------- tables */

static void test_env(void **state)
{
    (void)state;
    begin("env");
    tag(HAL_TAG_PRIMARY, "host", "gw-17");
    tag(HAL_TAG_CONSTANT, "site", "plant-3");
    field("temp", a_fixed(21437, 3));
    field("hum", a_fixed(-4512, 2));
    field("p", a_fixed(101325, 2));
    field("n", an_int(-42));
    expect_lines("env,host='gw-17',site='plant-3' temp=21.437,hum=-45.12,p=1013.25,n=-42i "
                 "1790000000123",
                 "env,host=gw-17,site=plant-3 temp=21.437,hum=-45.12,p=1013.25,n=-42i "
                 "1790000000123000000");
}

static void test_every_kind(void **state)
{
    (void)state;
    begin("m");
    tag(HAL_TAG_PRIMARY, "host", "a");
    field("i", an_int(INT64_MIN));
    field("u", a_uint(7));
    field("d", a_double(0.1));
    field("w", a_double(5.0));
    field("z", a_double(-0.0));
    field("f", a_fixed(INT64_MIN, 18));
    field("g", a_fixed(12, 0));
    field("e", a_fixed(123456789, 8));
    field("t", a_bool(true));
    field("b", a_bool(false));
    field("s", a_string("x"));
    expect_lines("m,host='a' i=-9223372036854775808i,u=7i,d=0.1,w=5,z=-0,f=-9.223372036854775808,"
                 "g=12,e=1.23456789,t=true,b=false,s='x' 1790000000123",
                 "m,host=a i=-9223372036854775808i,u=7i,d=0.1,w=5,z=-0,f=-9.223372036854775808,"
                 "g=12,e=1.23456789,t=true,b=false,s=\"x\" 1790000000123000000");
}

static void test_uint_is_clipped_and_counted(void **state)
{
    (void)state;
    struct kwm_line_losses losses = {0};
    begin("m");
    tag(HAL_TAG_PRIMARY, "host", "a");
    field("a", a_uint(INT64_MAX));
    field("b", a_uint((uint64_t)INT64_MAX + 1));
    field("c", a_uint(UINT64_MAX));
    end();
    assert_string_equal(line_of(KWM_DIALECT_KWDB, STAMP_MS, &losses),
                        "m,host='a' a=9223372036854775807i,b=9223372036854775807i,"
                        "c=9223372036854775807i 1790000000123");
    assert_int_equal(losses.clipped, 2);
    assert_int_equal(losses.replaced, 0);
}

static void test_reserved_words(void **state)
{
    (void)state;
    begin("group");
    tag(HAL_TAG_PRIMARY, "user", "a");
    tag(HAL_TAG_MUTABLE, "index", "i");
    field("in", an_int(1));
    field("out", an_int(2));
    field("family", a_string("f"));
    expect_lines("\"group\",\"user\"='a' \"index\"='i',\"in\"=1i,out=2i,\"family\"='f' "
                 "1790000000123",
                 "group,user=a,index=i in=1i,out=2i,family=\"f\" 1790000000123000000");
    begin("index"); /* of three words only the columns are reserved */
    tag(HAL_TAG_PRIMARY, "host", "a");
    field("x", an_int(1));
    expect_lines("index,host='a' x=1i 1790000000123", "index,host=a x=1i 1790000000123000000");
}

static void test_roles(void **state)
{
    (void)state;
    begin("disk");
    tag(HAL_TAG_MUTABLE, "mode", "rw");
    tag(HAL_TAG_PRIMARY, "path", "/");
    tag(HAL_TAG_CONSTANT, "fstype", "ext4");
    tag(HAL_TAG_MUTABLE, "state", "ok");
    field("free", an_int(1));
    expect_lines("disk,path='/',fstype='ext4' mode='rw',state='ok',free=1i 1790000000123",
                 "disk,mode=rw,path=/,fstype=ext4,state=ok free=1i 1790000000123000000");
    begin("disk");
    tag(HAL_TAG_MUTABLE, "mode", "");
    tag(HAL_TAG_PRIMARY, "path", "");
    tag(HAL_TAG_CONSTANT, "fstype", "");
    field("free", an_int(1));
    expect_lines("disk,path='' free=1i 1790000000123", "disk free=1i 1790000000123000000");
}

static void test_absent_values(void **state)
{
    (void)state;
    begin("m");
    tag(HAL_TAG_PRIMARY, "host", "a");
    field("a", an_int(1));
    field("b", a_double(1.5));
    field("c", a_fixed(15, 1));
    field("d", a_string("x"));
    sample.values[0].kind = HAL_KIND_NONE;
    expect_lines("m,host='a' b=1.5,c=1.5,d='x' 1790000000123",
                 "m,host=a b=1.5,c=1.5,d=\"x\" 1790000000123000000");
    sample.values[1].d = (double)NAN;
    expect_lines("m,host='a' c=1.5,d='x' 1790000000123",
                 "m,host=a c=1.5,d=\"x\" 1790000000123000000");
    sample.values[1].d = (double)-INFINITY;
    sample.values[2].scale = 2; /* not as declared */
    expect_lines("m,host='a' d='x' 1790000000123", "m,host=a d=\"x\" 1790000000123000000");
    sample.values[3] = an_int(3); /* not as declared, either */
    expect_lines("NOENT", "NOENT");
    begin("m");
    tag(HAL_TAG_PRIMARY, "host", "a");
    tag(HAL_TAG_MUTABLE, "mode", "rw"); /* alone it makes no line */
    field("a", an_int(1));
    sample.values[0].kind = HAL_KIND_NONE;
    expect_lines("NOENT", "NOENT");
}

/* A tag's value and a string as each dialect writes them. */
static const struct awkward {
    const char *text;
    const char *kwdb;
    uint32_t kwdb_replaced;
    const char *influx_tag;
    uint32_t influx_tag_replaced;
    const char *influx_string;
    uint32_t influx_string_replaced;
} awkwards[] = {
    {"42", "'42'", 0, "42", 0, "\"42\"", 0},
    {"-1.5i", "'-1.5i'", 0, "-1.5i", 0, "\"-1.5i\"", 0},
    {"true", "'true'", 0, "true", 0, "\"true\"", 0},
    {"'", "''''", 0, "'", 0, "\"'\"", 0},
    {"it's", "'it''s'", 0, "it's", 0, "\"it's\"", 0},
    {"''", "''''''", 0, "''", 0, "\"''\"", 0},
    {"a b,c=d;e", "'a_b_c_d_e'", 4, "a\\ b\\,c\\=d;e", 0, "\"a b,c=d;e\"", 0},
    {"say \"x\"", "'say_\"x\"'", 1, "say\\ \"x\"", 0, "\"say \\\"x\\\"\"", 0},
    {"C:\\x", "'C:\\x'", 0, "C:\\x", 0, "\"C:\\\\x\"", 0},
    {"x\\\\", "'x\\\\'", 0, "x", 2, "\"x\\\\\\\\\"", 0},
    {"a\nb\tc\rd\x7F", "'a_b_c_d_'", 4, "a_b_c_d_", 4, "\"a_b_c_d_\"", 4},
    {"\xE6\xB8\xA9\xC3\xA9\xF0\x9F\x92\xA1", "'\xE6\xB8\xA9\xC3\xA9\xF0\x9F\x92\xA1'", 0,
     "\xE6\xB8\xA9\xC3\xA9\xF0\x9F\x92\xA1", 0, "\"\xE6\xB8\xA9\xC3\xA9\xF0\x9F\x92\xA1\"", 0},
    {"\xC3(\xE6\xB8", "'_(__'", 3, "_(__", 3, "\"_(__\"", 3},           /* cut short */
    {"\xC0\xAF\xE0\x80\xAF", "'_____'", 5, "_____", 5, "\"_____\"", 5}, /* overlong */
    {"\xED\xA0\x80\xED\x9F\xBF", "'___\xED\x9F\xBF'", 3, "___\xED\x9F\xBF", 3,
     "\"___\xED\x9F\xBF\"", 3}, /* a surrogate, and the last one before them */
    {"\xF4\x8F\xBF\xBF\xF4\x90\x80\x80\xF5", "'\xF4\x8F\xBF\xBF_____'", 5, "\xF4\x8F\xBF\xBF_____",
     5, "\"\xF4\x8F\xBF\xBF_____\"", 5}, /* above U+10FFFF */
};

static void expect_awkward(const struct awkward *row, enum kwm_dialect dialect)
{
    const bool is_kwdb = dialect == KWM_DIALECT_KWDB;
    struct kwm_line_losses losses = {0};
    char expected[512];
    begin("m");
    tag(HAL_TAG_PRIMARY, "k", row->text);
    field("s", a_string(row->text));
    end();
    (void)snprintf(expected, sizeof(expected), "m,k=%s s=%s 1790000000123%s",
                   is_kwdb ? row->kwdb : row->influx_tag, is_kwdb ? row->kwdb : row->influx_string,
                   is_kwdb ? "" : "000000");
    assert_string_equal(line_of(dialect, STAMP_MS, &losses), expected);
    assert_int_equal(losses.replaced, is_kwdb
                                          ? 2 * row->kwdb_replaced
                                          : row->influx_tag_replaced + row->influx_string_replaced);
}

static void test_awkward_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(awkwards); i++) {
        expect_awkward(&awkwards[i], KWM_DIALECT_KWDB);
        expect_awkward(&awkwards[i], KWM_DIALECT_INFLUX);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *measurement; /* influx: escaped as that, NULL: refused */
        const char *tag_key;
        const char *field_key;
        bool is_kwdb;
    } rows[] = {
        {"a", "a", "a", "a", true},
        {"Temp", "Temp", "Temp", "Temp", false},
        {"1a", "1a", "1a", "1a", false},
        {"k_timestamp", "k_timestamp", "k_timestamp", "k_timestamp", false},
        {"a b,c=d", "a\\ b\\,c=d", "a\\ b\\,c\\=d", "a\\ b\\,c\\=d", false},
        {"a\"b", "a\"b", "a\"b", "a\"b", false},
        {"a\\b", "a\\b", "a\\b", "a\\b", false},
        {"a\\", NULL, "a", NULL, false},
        {"\\", NULL, NULL, NULL, false},
        {"a\\ b", NULL, NULL, NULL, false},
        {"a\\=b", "a\\=b", NULL, NULL, false},
        {"a\nb", NULL, NULL, NULL, false},
        {"a\xC3", NULL, NULL, NULL, false},
        {"\xC3\xA9", "\xC3\xA9", "\xC3\xA9", "\xC3\xA9", false},
        {"#a", NULL, "#a", "#a", false},
        {"time", "time", NULL, NULL, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (unsigned place = 0; place < 3; place++) {
            struct kwm_line_losses losses = {0};
            char expected[256] = "INVAL";
            const char *const name = rows[i].name;
            const char *const influx = place == 0   ? rows[i].measurement
                                       : place == 1 ? rows[i].tag_key
                                                    : rows[i].field_key;
            begin(place == 0 ? name : "m");
            tag(HAL_TAG_PRIMARY, place == 1 ? name : "key", "v");
            field(place == 2 ? name : "field", an_int(1));
            end();
            print_message("name %zu at place %u\n", i, place);
            assert_int_equal(strcmp(line_of(KWM_DIALECT_KWDB, STAMP_MS, &losses), "INVAL") != 0,
                             rows[i].is_kwdb);
            if (influx != NULL) {
                (void)snprintf(expected, sizeof(expected), "%s,%s=v %s=1i 1790000000123000000",
                               place == 0 ? influx : "m", place == 1 ? influx : "key",
                               place == 2 ? influx : "field");
            }
            assert_string_equal(line_of(KWM_DIALECT_INFLUX, STAMP_MS, &losses), expected);
        }
    }
}

static void test_what_kwdb_refuses(void **state)
{
    (void)state;
    begin("m"); /* no tag */
    field("a", an_int(1));
    expect_lines("INVAL", "m a=1i 1790000000123000000");
    begin("m"); /* none before the first space */
    tag(HAL_TAG_MUTABLE, "mode", "rw");
    tag(HAL_TAG_CONSTANT, "site", "");
    field("a", an_int(1));
    expect_lines("INVAL", "m,mode=rw a=1i 1790000000123000000");
    begin("m"); /* one column twice */
    tag(HAL_TAG_PRIMARY, "host", "x");
    field("a", an_int(1));
    field("host", an_int(2));
    expect_lines("INVAL", "m,host=x a=1i,host=2i 1790000000123000000");
    begin("m");
    tag(HAL_TAG_PRIMARY, "host", "x");
    tag(HAL_TAG_MUTABLE, "mode", "x");
    tag(HAL_TAG_CONSTANT, "mode", "y");
    field("a", an_int(1));
    end();
    assert_string_equal(line_of(KWM_DIALECT_KWDB, STAMP_MS, &(struct kwm_line_losses){0}), "INVAL");
}

static void test_stamps(void **state)
{
    (void)state;
    static const struct {
        int64_t stamp_ms;
        const char *kwdb;
        const char *influx;
    } rows[] = {
        {1000000000000, "m,k='v' a=1i 1000000000000", "m,k=v a=1i 1000000000000000000"},
        {9999999999999, "m,k='v' a=1i 9999999999999", "INVAL"},
        {999999999999, "INVAL", "m,k=v a=1i 999999999999000000"},
        {10000000000000, "INVAL", "INVAL"},
        {0, "INVAL", "m,k=v a=1i 0"},
        {-1, "INVAL", "m,k=v a=1i -1000000"},
        {9223372036854, "m,k='v' a=1i 9223372036854", "m,k=v a=1i 9223372036854000000"},
        {9223372036855, "m,k='v' a=1i 9223372036855", "INVAL"},
        {-9223372036854, "INVAL", "m,k=v a=1i -9223372036854000000"},
        {-9223372036855, "INVAL", "INVAL"},
        {INT64_MIN, "INVAL", "INVAL"},
        {INT64_MAX, "INVAL", "INVAL"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kwm_line_losses losses = {0};
        begin("m");
        tag(HAL_TAG_PRIMARY, "k", "v");
        field("a", an_int(1));
        end();
        assert_string_equal(line_of(KWM_DIALECT_KWDB, rows[i].stamp_ms, &losses), rows[i].kwdb);
        assert_string_equal(line_of(KWM_DIALECT_INFLUX, rows[i].stamp_ms, &losses), rows[i].influx);
    }
}

/* The stamp's upper five and lower eight digits are made apart: all that meet at the seam. */
static void test_stamps_at_the_seam(void **state)
{
    (void)state;
    struct kwm_line_losses losses = {0};
    int err;
    begin("m");
    tag(HAL_TAG_PRIMARY, "k", "v");
    field("a", an_int(1));
    end();
    uint8_t *const template = make_template(KWM_DIALECT_KWDB, &losses, &err);
    assert_non_null(template);
    for (int64_t high = 10000; high < 100000; high++) {
        for (int64_t step = -1; step <= 1; step++) {
            char line[64];
            char expected[64];
            const int64_t stamp_ms = high * 100000000 + step;
            if (stamp_ms < 1000000000000) {
                continue;
            }
            const int len =
                kwm_line_encode(line, sizeof(line), template, sample.values, stamp_ms, &losses);
            const int expected_len =
                snprintf(expected, sizeof(expected), "m,k='v' a=1i %" PRId64, stamp_ms);
            assert_int_equal(len, expected_len);
            assert_memory_equal(line, expected, (size_t)len);
        }
    }
    free(template);
}

static void test_template_capacity(void **state)
{
    (void)state;
    for (unsigned dialect = 0; dialect < 2; dialect++) {
        struct kwm_line_losses losses = {0};
        int len;
        begin("disk");
        tag(HAL_TAG_PRIMARY, "host", "a\nb");
        tag(HAL_TAG_MUTABLE, "mode", "rw");
        field("a_rather_long_name_of_a_field", a_fixed(1, 1));
        field("s", a_string("x"));
        end();
        free(make_template((enum kwm_dialect)dialect, &losses, &len));
        for (size_t cap = 0; cap < (size_t)len; cap++) {
            uint8_t *const out = exactly(cap);
            struct kwm_line_losses none = {0};
            assert_int_equal(
                kwm_line_template(out, cap, (enum kwm_dialect)dialect, &sample.decl, &none),
                KWM_ERR_NOSPC);
            assert_int_equal(none.replaced, 0);
            free(out);
        }
    }
}

/* Each comma of a name gets a backslash: with 64 fields there is room for 27 commas each, not for
 *  28. */
static void test_template_length_max(void **state)
{
    (void)state;
    static uint8_t out[2 * KWM_LINE_TEMPLATE_LEN_MAX];
    for (unsigned more = 0; more <= 1; more++) {
        struct kwm_line_losses losses = {0};
        begin("m");
        for (unsigned i = 0; i < HAL_FIELDS_MAX; i++) {
            field(more ? ",,,,,,,,,,,,,,,,,,,,,,,,,,,," : ",,,,,,,,,,,,,,,,,,,,,,,,,,,", an_int(1));
        }
        end();
        const int len =
            kwm_line_template(out, sizeof(out), KWM_DIALECT_INFLUX, &sample.decl, &losses);
        if (more) {
            assert_int_equal(len, KWM_ERR_NOSPC);
        } else {
            assert_in_range(len, 64 * (8 + 2 * 27), KWM_LINE_TEMPLATE_LEN_MAX);
        }
    }
}

/* --------------------------------------------------------------- the decoder */

static bool is_cell(const struct line_cell *cell, const cJSON *stored)
{
    const cJSON *const string = cJSON_GetObjectItemCaseSensitive(stored, "string");
    char text[LINE_TEXT_MAX / 64];
    if (cell->text.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, cell->text.s, cell->text.len);
    text[cell->text.len] = '\0';
    if (string != NULL) {
        return cell->kind >= LINE_CELL_WORD && strcmp(text, string->valuestring) == 0;
    }
    const char *const value = stored->valuestring;
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) {
        return (strchr("tTyY1", text[0]) != NULL) == (value[0] == 't');
    }
    const double expected = strtod(value, NULL);
    const double read = strtod(text, NULL);
    return cell->kind <= LINE_CELL_INT && expected <= read && expected >= read;
}

/* @return whether the decoded line has all that KWDB would store. */
static bool is_stored(const struct line_decoded *line, const cJSON *row)
{
    const cJSON *column;
    cJSON_ArrayForEach(column, row)
    {
        bool is_found = strcmp(column->string, "table") == 0;
        if (strcmp(column->string, "k_timestamp") == 0) {
            is_found = line->stamp == strtoll(column->valuestring, NULL, 10);
        }
        for (unsigned i = 0; i < line->cell_count && !is_found; i++) {
            const struct line_cell *const cell = &line->cells[i];
            is_found = cell->name.len == strlen(column->string) &&
                       memcmp(cell->name.s, column->string, cell->name.len) == 0 &&
                       is_cell(cell, column);
        }
        if (!is_found) {
            print_message("column %s\n", column->string);
            return false;
        }
    }
    return true;
}

/* What the decoder of KWDB's rules does not do: other databases, dates and functions as stamps; and
 * a case whose record has characters by their numbers. */
static bool is_beyond_the_decoder(const char *body)
{
    return strncmp(body, "db1.", 4) == 0 || strstr(body, "now()") != NULL ||
           strstr(body, " '2023") != NULL || strstr(body, "\xE6\xB8\xA9") != NULL;
}

/* The decoder takes what KWDB took, with the same values, and refuses what it called no statement
 * or no SQL. (What needs a table to be refused, it takes.) */
static void test_decoder_agrees_with_kwdb(void **state)
{
    (void)state;
    static char file[65536];
    static struct line_decoded line;
    const size_t len = support_read_file("data/kwdb-vectors.json", file, sizeof(file));
    cJSON *const root = cJSON_ParseWithLength(file, len);
    unsigned taken = 0;
    unsigned refused = 0;
    const cJSON *it;
    assert_non_null(root);
    cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(root, "cases"))
    {
        const cJSON *const body = cJSON_GetObjectItemCaseSensitive(it, "body");
        const cJSON *const reply = cJSON_GetObjectItemCaseSensitive(it, "reply");
        const char *const desc =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "desc"));
        const cJSON *const rows = cJSON_GetObjectItemCaseSensitive(it, "stored");
        if (body == NULL || is_beyond_the_decoder(body->valuestring)) {
            continue;
        }
        const char *const reason =
            line_decode_kwdb(&line, body->valuestring, strlen(body->valuestring));
        const bool is_good = strcmp(desc, "success;") == 0;
        const bool is_bad =
            strstr(desc, "statement and please check") != NULL ||
            strstr(desc, "only support single") != NULL || strstr(desc, "syntax error") != NULL ||
            strstr(desc, "lexical error") != NULL || strstr(desc, "multiple assignments") != NULL;
        if ((is_good && (reason != NULL || !is_stored(&line, cJSON_GetArrayItem(rows, 0)))) ||
            (is_bad && reason == NULL)) {
            fail_msg("%s\nKWDB: %s\ndecoder: %s", body->valuestring, desc,
                     reason != NULL ? reason : "fine");
        }
        taken += is_good ? 1U : 0U;
        refused += is_bad ? 1U : 0U;
    }
    cJSON_Delete(root);
    print_message("%u bodies taken, %u refused as KWDB did\n", taken, refused);
    assert_true(taken > 40 && refused > 25);
}

/* ------------------------------------------------------------------ property */

static uint64_t seed;

static unsigned below(unsigned limit)
{
    return (unsigned)(support_random(&seed) % limit);
}

static const char *const names[] = {
    "temp",       "host",      "k_timestamp",
    "in",         "Temp",      "_",
    "usage_user", "9a",        "time",
    "#c",         "a b",       "a,b",
    "a=b",        "a\\",       "a\\ b",
    "\\\\x",      "\xC3\xA9t", "\xC3",
    "a\nb",       "\"q\"",     "an_unusually_long_name_of_a_field_that_is_over_two_blocks_xxxxx"};

/* A name: a good one, a reserved word, an awkward one, or anything. */
static struct hal_text random_name(char *memory, bool is_tame)
{
    const unsigned choice = is_tame ? below(4) : below(7);
    unsigned reserved = 0;
    while (line_reserved_words[reserved] != NULL) {
        reserved++;
    }
    if (choice == 3) {
        return text_of(line_reserved_words[below(reserved)]);
    }
    if (choice == 4) {
        return text_of(names[below(COUNT(names))]);
    }
    const unsigned len = 1 + below(choice == 6 ? 64 : 12);
    for (unsigned i = 0; i < len; i++) {
        memory[i] = (char)(choice == 6 ? 1 + below(255)
                                       : (unsigned char)"abcdefghijklmnopqrstuvwxyz_"[below(27)]);
    }
    return (struct hal_text){memory, (uint16_t)len};
}

/* A text: short, awkward, anything, or of the characters that a dialect minds. */
static struct hal_text random_text(char *memory, bool has_nul)
{
    const unsigned choice = below(8);
    if (choice < 3) {
        return text_of(awkwards[below(COUNT(awkwards))].text);
    }
    const unsigned len = below(choice == 3 ? HAL_TEXT_LEN_MAX + 1 : 24);
    for (unsigned i = 0; i < len; i++) {
        memory[i] = choice < 5   ? (char)(has_nul ? below(256) : 1 + below(255))
                    : choice < 7 ? " ,=;'\"\\\n\t_a\xC3\xA9\xE6\xB8\xA9"[below(16)]
                                 : "0123456789abc-.i"[below(16)];
    }
    return (struct hal_text){memory, (uint16_t)len};
}

static uint64_t random_bits(void)
{
    return support_random(&seed) >> below(64);
}

static double random_double(void)
{
    static const double special[] = {
        0.0,  -0.0, 1.0, 0.1, 5e-324, 2.2250738585072011e-308, 1e21, 1.7976931348623157e308,
        1e-5, 100.0};
    double value = special[below(COUNT(special))];
    uint64_t bits = support_random(&seed);
    switch (below(6)) {
    case 0:
        break;
    case 1:
        value = (double)(int64_t)random_bits();
        break;
    case 2:
        value = (double)(random_bits() % 1000000) / 1000.0;
        break;
    case 3:
        bits &= 0x800FFFFFFFFFFFFFU; /* subnormal */
        memcpy(&value, &bits, sizeof(value));
        break;
    case 4:
        value = below(2) ? (double)NAN : (double)INFINITY;
        break;
    default:
        memcpy(&value, &bits, sizeof(value));
    }
    return below(2) ? value : -value;
}

static struct hal_value random_value(const struct kwm_decl_field *declared, char *memory)
{
    struct hal_value value = {.kind = declared->kind, .scale = declared->scale};
    if (declared->kind == HAL_KIND_STRING) {
        const struct hal_text text = random_text(memory, true);
        value.s = text.s;
        value.len = text.len;
    } else if (declared->kind == HAL_KIND_DOUBLE) {
        value.d = random_double();
    } else if (declared->kind == HAL_KIND_BOOL) {
        value.b = below(2) != 0;
    } else {
        static const int64_t edges[] = {0,         -1,         99999999,  100000000,
                                        -99999999, -100000000, INT64_MIN, INT64_MAX};
        value.i = below(4) == 0 ? edges[below(COUNT(edges))] : (int64_t)random_bits();
        value.i = below(2) || value.i == INT64_MIN ? value.i : -value.i;
    }
    switch (below(16)) {
    case 0:
        value.kind = HAL_KIND_NONE;
        break;
    case 1: /* another kind than declared, if it is another; all others have no pointers */
        value = (struct hal_value){.kind = HAL_KIND_INT, .i = 5};
        break;
    case 2:
        value.scale = declared->kind == HAL_KIND_FIXED ? (uint8_t)below(19) : 0;
        break;
    default:
        break;
    }
    return value;
}

static void random_sample(void)
{
    static char texts[2 * HAL_TAGS_MAX + HAL_FIELDS_MAX + 1][HAL_TEXT_LEN_MAX + 1];
    static char field_names[HAL_FIELDS_MAX][HAL_TEXT_LEN_MAX + 1];
    const bool is_tame = below(4) != 0;
    const unsigned tags = below(8) == 0 ? below(HAL_TAGS_MAX + 1) : below(4);
    const unsigned fields = below(8) == 0 ? below(HAL_FIELDS_MAX + 1) : 1 + below(6);
    sample.value_count = 0;
    kwm_decl_build(&sample.builder, sample.bytes, sizeof(sample.bytes),
                   random_name(texts[2 * HAL_TAGS_MAX + HAL_FIELDS_MAX], is_tame));
    for (unsigned i = 0; i < tags; i++) {
        const struct kwm_decl_tag it = {random_name(texts[2 * i], is_tame),
                                        random_text(texts[2 * i + 1], false), (uint8_t)below(3)};
        kwm_decl_build_tag(&sample.builder, &it);
    }
    for (unsigned i = 0; i < fields; i++) {
        struct kwm_decl_field it = {random_name(field_names[i], is_tame), (uint8_t)(1 + below(6)),
                                    0};
        it.scale = it.kind == HAL_KIND_FIXED ? (uint8_t)below(HAL_SCALE_MAX + 1) : 0;
        kwm_decl_build_field(&sample.builder, &it);
        sample.values[i] = random_value(&it, texts[2 * HAL_TAGS_MAX + i]);
    }
}

/* The line also comes out whole into memory of just its size, and not at all into a byte less. */
static void expect_exact_capacity(const uint8_t *template, int64_t stamp_ms, const char *line,
                                  size_t len)
{
    struct kwm_line_losses losses = {1000, 2000};
    for (size_t less = 0; less <= len && less <= 40; less += 1 + less / 8) {
        const size_t cap = len - less;
        char *const out = exactly(cap);
        losses = (struct kwm_line_losses){1000, 2000};
        const int rc = kwm_line_encode(out, cap, template, sample.values, stamp_ms, &losses);
        if (less == 0) {
            assert_int_equal(rc, len);
            assert_memory_equal(out, line, len);
        } else {
            assert_int_equal(rc, KWM_ERR_NOSPC);
            assert_int_equal(losses.replaced, 1000);
            assert_int_equal(losses.clipped, 2000);
        }
        free(out);
    }
}

/* @return whether there was a line. */
static bool expect_line(enum kwm_dialect dialect)
{
    static char line[LINE_CAP];
    struct kwm_line_losses template_losses = {0};
    struct kwm_line_losses losses = {0};
    const int64_t stamp_ms = 1000000000000 + (int64_t)(support_random(&seed) % 8223372036855U);
    int rc;
    uint8_t *const template = make_template(dialect, &template_losses, &rc);
    assert_int_equal(rc != KWM_ERR_INVAL, line_is_carried(dialect, &sample.decl));
    if (template == NULL) {
        assert_true(rc == KWM_ERR_INVAL || sample.decl.len > 1024); /* else there was room */
        return false;
    }
    rc = kwm_line_encode(line, sizeof(line), template, sample.values, stamp_ms, &losses);
    if (line_present_count(&sample.decl, sample.values) == 0) {
        assert_int_equal(rc, KWM_ERR_NOENT);
        free(template);
        return false;
    }
    assert_true(rc > 0);
    const char *const reason = line_check(dialect, &sample.decl, sample.values, stamp_ms, line,
                                          (size_t)rc, &template_losses, &losses);
    if (reason != NULL) {
        fail_msg("%s:\n%.*s", reason, rc, line);
    }
    expect_exact_capacity(template, stamp_ms, line, (size_t)rc);
    free(template);
    return true;
}

static void test_generated(void **state)
{
    (void)state;
    seed = support_seed();
    const unsigned runs = support_runs(20000);
    unsigned lines[2] = {0, 0};
    print_message("KWM_SEED=%" PRIu64 "\n", seed);
    for (unsigned i = 0; i < runs; i++) {
        random_sample();
        const int len = kwm_decl_build_end(&sample.builder);
        if (len < 0) {
            assert_int_equal(len, KWM_ERR_NOSPC);
            continue;
        }
        assert_int_equal(kwm_decl_parse(&sample.decl, sample.bytes, (size_t)len), KWM_OK);
        lines[0] += expect_line(KWM_DIALECT_KWDB) ? 1U : 0U;
        lines[1] += expect_line(KWM_DIALECT_INFLUX) ? 1U : 0U;
    }
    print_message("%u runs: %u lines for KWDB, %u for InfluxDB\n", runs, lines[0], lines[1]);
    assert_true(lines[0] > runs / 8 && lines[1] > runs / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_uint_is_clipped_and_counted),
        cmocka_unit_test(test_reserved_words),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_absent_values),
        cmocka_unit_test(test_awkward_texts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_kwdb_refuses),
        cmocka_unit_test(test_stamps),
        cmocka_unit_test(test_stamps_at_the_seam),
        cmocka_unit_test(test_template_capacity),
        cmocka_unit_test(test_template_length_max),
        cmocka_unit_test(test_decoder_agrees_with_kwdb),
        cmocka_unit_test(test_generated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
