/* SPDX-License-Identifier: MIT */
/* Goal:   each measurement becomes one table that KWDB takes and that keeps every row apart from
 *         the others; what cannot be such a table is refused with the input's name.
 * Method: a table of sets of inputs, made of the schemas below, with the text that is to come of
 *         them: SQL, or the reason. The SQL is compared byte for byte. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "ddl.h"
#include "kwm/name.h"

#define INPUTS_MAX 4U
#define TAGS_MAX 6U

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SCHEMA(name, tag_list, field_list)                                                \
    {                                                                                     \
        .measurement = (name), .tags = (tag_list), .tag_count = (uint8_t)COUNT(tag_list), \
        .fields = (field_list), .field_count = (uint8_t)COUNT(field_list)                 \
    }

/* -- Schemas
 *  ------------------------------------------------------------------------------------ */

static const struct hal_field_def all_fields[] = {
    {.name = "count", .kind = HAL_KIND_INT},
    {.name = "total", .kind = HAL_KIND_UINT},
    {.name = "ratio", .kind = HAL_KIND_DOUBLE},
    {.name = "temp", .kind = HAL_KIND_FIXED, .scale = 3},
    {.name = "ok", .kind = HAL_KIND_BOOL},
    {.name = "text", .kind = HAL_KIND_STRING},
};
static const struct hal_tag_def disk_tags[] = {
    {.key = "path", .role = HAL_TAG_PRIMARY},
    {.key = "fstype", .role = HAL_TAG_CONSTANT},
    {.key = "mode", .role = HAL_TAG_MUTABLE},
};
static const struct hal_tag_def reserved_tags[] = {{.key = "group", .role = HAL_TAG_PRIMARY}};
static const struct hal_tag_def many_tags[] = {
    {.key = "a", .role = HAL_TAG_PRIMARY},
    {.key = "b", .role = HAL_TAG_PRIMARY},
    {.key = "c", .role = HAL_TAG_PRIMARY},
    {.key = "d", .role = HAL_TAG_PRIMARY},
};
static const struct hal_field_def in_fields[] = {{.name = "in", .kind = HAL_KIND_INT}};
static const struct hal_field_def int_fields[] = {{.name = "value", .kind = HAL_KIND_INT}};
static const struct hal_field_def fixed_fields[] = {
    {.name = "value", .kind = HAL_KIND_FIXED, .scale = 2}, {.name = "more", .kind = HAL_KIND_BOOL}};
static const struct hal_field_def text_fields[] = {{.name = "value", .kind = HAL_KIND_STRING}};
static const struct hal_field_def path_fields[] = {{.name = "path", .kind = HAL_KIND_INT}};
static const struct hal_field_def bad_fields[] = {{.name = "Upper", .kind = HAL_KIND_INT}};

static const struct hal_schema all_schema = {
    .measurement = "every", .fields = all_fields, .field_count = COUNT(all_fields)};
static const struct hal_schema swap_schema = {
    .measurement = "swap", .fields = in_fields, .field_count = 1};
static const struct hal_schema order_schema = SCHEMA("order", reserved_tags, in_fields);
static const struct hal_schema disk_schema = SCHEMA("disk", disk_tags, int_fields);
static const struct hal_schema many_schema = SCHEMA("many", many_tags, int_fields);
static const struct hal_schema int_schema = {
    .measurement = "m", .fields = int_fields, .field_count = COUNT(int_fields)};
static const struct hal_schema fixed_schema = {
    .measurement = "m", .fields = fixed_fields, .field_count = COUNT(fixed_fields)};
static const struct hal_schema text_schema = {
    .measurement = "m", .fields = text_fields, .field_count = COUNT(text_fields)};
static const struct hal_schema path_schema = {
    .measurement = "disk", .fields = path_fields, .field_count = COUNT(path_fields)};
static const struct hal_schema bad_schema = {
    .measurement = "m", .fields = bad_fields, .field_count = COUNT(bad_fields)};
static const struct hal_schema dashed_schema = {
    .measurement = "my-table", .fields = int_fields, .field_count = COUNT(int_fields)};

/* -- Cases
 *  -------------------------------------------------------------------------------------- */

/** "key=value" of a configured tag. */
struct input_case {
    const struct hal_schema *schemas[2];
    const char *tags[2];
    const char *name_override;
    uint64_t left_out; /**< bit for each field of the first schema */
};

struct ddl_case {
    const char *name;
    const char *host;
    const char *tags[TAGS_MAX];
    struct input_case inputs[INPUTS_MAX];
    const char *expected; /**< tables, or reasons behind "! ", each with a line feed */
};

#define LEN_40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define K "    k_timestamp TIMESTAMPTZ(3) NOT NULL,\n"

static const struct ddl_case cases[] = {
    {"every kind",
     "gw",
     {"site=plant"},
     {{.schemas = {&all_schema}}},
     "CREATE TABLE every (\n" K "    count INT8,\n    total INT8,\n    ratio FLOAT8,\n"
     "    temp FLOAT8,\n    ok BOOL,\n    text VARCHAR(254)\n) TAGS (\n"
     "    host VARCHAR(64) NOT NULL,\n    site VARCHAR(64)\n) PRIMARY TAGS (host);\n"},
    {"reserved words are quoted, those of tables are fewer",
     "gw",
     {NULL},
     {{.schemas = {&swap_schema, &order_schema}},
      {.schemas = {&int_schema}, .name_override = "index"}},
     "CREATE TABLE swap (\n" K "    \"in\" INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL\n"
     ") PRIMARY TAGS (host);\n"
     "CREATE TABLE \"order\" (\n" K "    \"in\" INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL,\n"
     "    \"group\" VARCHAR(128) NOT NULL\n) PRIMARY TAGS (host, \"group\");\n"
     "CREATE TABLE index (\n" K "    value INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL\n"
     ") PRIMARY TAGS (host);\n"},
    {"a tag that may change is a column",
     "gw",
     {NULL},
     {{.schemas = {&disk_schema}}},
     "CREATE TABLE disk (\n" K "    mode VARCHAR(254),\n    value INT8\n) TAGS (\n"
     "    host VARCHAR(64) NOT NULL,\n    path VARCHAR(128) NOT NULL,\n    fstype VARCHAR(128)\n"
     ") PRIMARY TAGS (host, path);\n"},
    {"fields that are not wanted have no column, nor has a schema without any",
     "gw",
     {NULL},
     {{.schemas = {&all_schema}, .left_out = 0x3d},
      {.schemas = {&int_schema}, .left_out = 1},
      {.schemas = {&disk_schema}, .left_out = 1, .name_override = "every"}},
     "CREATE TABLE every (\n" K "    total INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL\n"
     ") PRIMARY TAGS (host);\n"},
    {"inputs of one measurement are put together",
     "gw",
     {NULL},
     {{.schemas = {&int_schema}},
      {.schemas = {&all_schema}, .left_out = 0x3e},
      {.schemas = {&fixed_schema}}},
     "CREATE TABLE m (\n" K "    value FLOAT8,\n    more BOOL\n) TAGS (\n"
     "    host VARCHAR(64) NOT NULL\n) PRIMARY TAGS (host);\n"
     "CREATE TABLE every (\n" K "    count INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL\n"
     ") PRIMARY TAGS (host);\n"},
    {"a configured tag that tells inputs apart is primary, an equal one is not",
     "gw",
     {"site=a", "room=r1"},
     {{.schemas = {&int_schema}, .tags = {"probe=one"}},
      {.schemas = {&int_schema}, .tags = {"probe=two", "room=r1"}}},
     "CREATE TABLE m (\n" K "    value INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL,\n"
     "    probe VARCHAR(64) NOT NULL,\n    site VARCHAR(64),\n    room VARCHAR(64)\n"
     ") PRIMARY TAGS (host, probe);\n"},
    {"an input's tag in the place of a global one tells apart",
     "gw",
     {"room=r1"},
     {{.schemas = {&int_schema}}, {.schemas = {&int_schema}, .tags = {"room=r2"}}},
     "CREATE TABLE m (\n" K "    value INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL,\n"
     "    room VARCHAR(64) NOT NULL\n) PRIMARY TAGS (host, room);\n"},
    {"widths hold the values",
     LEN_40 LEN_40,
     {"long=" LEN_40 LEN_40, "longer=" LEN_40 LEN_40 LEN_40 LEN_40},
     {{.schemas = {&int_schema}}},
     "CREATE TABLE m (\n" K "    value INT8\n) TAGS (\n    host VARCHAR(128) NOT NULL,\n"
     "    long VARCHAR(128),\n    longer VARCHAR(254)\n) PRIMARY TAGS (host);\n"},
    {"too many primary tags, and the next table all the same",
     "gw",
     {NULL},
     {{.schemas = {&many_schema, &int_schema}}},
     "! in0: table many: its rows are told apart by more tags than the 4 primary ones that KWDB "
     "has (host, a, b, c, d); take tags out, or give an input another measurement by "
     "name_override\n"
     "CREATE TABLE m (\n" K "    value INT8\n) TAGS (\n    host VARCHAR(64) NOT NULL\n"
     ") PRIMARY TAGS (host);\n"},
    {"a tag that only some inputs have",
     "gw",
     {NULL},
     {{.schemas = {&int_schema}}, {.schemas = {&int_schema}, .tags = {"probe=one"}}},
     "! in1: table m: the tag probe tells rows apart, and other inputs of this table lack it; give "
     "each of them that tag, or another measurement by name_override\n"},
    {"a sensor's primary tag that others lack",
     "gw",
     {NULL},
     {{.schemas = {&disk_schema}}, {.schemas = {&int_schema}, .name_override = "disk"}},
     "! in0: table disk: the tag path tells rows apart, and other inputs of this table lack it; "
     "give each of them that tag, or another measurement by name_override\n"},
    {"a tag here, a field there",
     "gw",
     {NULL},
     {{.schemas = {&disk_schema}}, {.schemas = {&path_schema}}},
     "! in1: table disk: path is a tag in one row and a field in another, and KWDB has one column "
     "for both; give one of the inputs another measurement by name_override\n"},
    {"a number here, a text there",
     "gw",
     {NULL},
     {{.schemas = {&int_schema}}, {.schemas = {&text_schema}}},
     "! in1: table m: value has values of several kinds; give one of the inputs another "
     "measurement by name_override\n"},
    {"a name that KWDB folds",
     "gw",
     {NULL},
     {{.schemas = {&bad_schema}}},
     "! in0: table m: Upper is not a name that KWDB takes: a-z, 0-9 and _, no digit first, at most "
     "63 characters, and not k_timestamp\n"},
    {"a measurement that is no name",
     "gw",
     {NULL},
     {{.schemas = {&dashed_schema}}},
     "! in0: table my-table: not a name that KWDB takes: a-z, 0-9 and _, no digit first, at most "
     "63 characters; set another one by name_override\n"},
    {"a primary value that is too long",
     "gw",
     {NULL},
     {{.schemas = {&int_schema}, .tags = {"probe=" LEN_40 LEN_40 LEN_40 LEN_40}},
      {.schemas = {&int_schema}, .tags = {"probe=two"}}},
     "! in0: table m: the value of the tag probe has more than the 128 bytes of a primary tag; "
     "shorten it\n"},
};

/* -- Method
 *  ------------------------------------------------------------------------------------- */

/** What a case's configuration is made of. */
struct fixture {
    struct kwm_collector_config config;
    struct kwm_input inputs[INPUTS_MAX];
    struct hal_sensor sensors[INPUTS_MAX];
    const struct hal_schema *schemas[INPUTS_MAX][2];
    struct kwm_collect_tag input_tags[INPUTS_MAX][2];
    struct kwm_collect_tag tags[TAGS_MAX];
};

static uint8_t make_tags(struct kwm_collect_tag *out, const char *const *list, unsigned max)
{
    uint8_t count = 0;
    while (count < max && list[count] != NULL) {
        const char *sign = strchr(list[count], '=');
        out[count].key = (struct hal_text){list[count], (uint16_t)(sign - list[count])};
        out[count].value = (struct hal_text){sign + 1, (uint16_t)strlen(sign + 1)};
        count++;
    }
    return count;
}

static void make(struct fixture *fixture, const struct ddl_case *c)
{
    static const char *const labels[INPUTS_MAX] = {"in0", "in1", "in2", "in3"};
    memset(fixture, 0, sizeof(*fixture));
    uint8_t count = 0;
    while (count < INPUTS_MAX && c->inputs[count].schemas[0] != NULL) {
        const struct input_case *from = &c->inputs[count];
        struct kwm_input_config *input = &fixture->inputs[count].config;
        struct hal_sensor *sensor = &fixture->sensors[count];
        sensor->schema_count = from->schemas[1] != NULL ? 2 : 1;
        sensor->schemas = fixture->schemas[count];
        for (unsigned s = 0; s < sensor->schema_count; s++) {
            fixture->schemas[count][s] = from->schemas[s];
            input->masks[s] = (UINT64_C(1) << from->schemas[s]->field_count) - 1U;
        }
        input->masks[0] &= ~from->left_out;
        input->sensor = sensor;
        input->name = labels[count];
        input->name_override = from->name_override != NULL ? from->name_override : "";
        input->tags = fixture->input_tags[count];
        input->tag_count = make_tags(fixture->input_tags[count], from->tags, 2);
        count++;
    }
    fixture->config = (struct kwm_collector_config){
        .inputs = fixture->inputs,
        .input_count = count,
        .tags = fixture->tags,
        .tag_count = make_tags(fixture->tags, c->tags, TAGS_MAX),
        .host = {.s = c->host, .len = (uint16_t)strlen(c->host)},
    };
}

static void test_tables(void **state)
{
    (void)state;
    static struct kwm_ddl_table table;
    static struct fixture fixture;
    static char out[KWM_DDL_LEN_MAX];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kwm_text text;
        unsigned cursor = 0;
        print_message("%s\n", cases[i].name);
        make(&fixture, &cases[i]);
        kwm_text_init(&text, out, sizeof(out));
        for (int rc = 1; rc != 0;) {
            char why[512];
            struct kwm_text reason;
            kwm_text_init(&reason, why, sizeof(why));
            rc = kwm_ddl_next(&fixture.config, &cursor, &table, &reason);
            if (rc == 1) {
                kwm_ddl_create_table(&text, &table);
                kwm_text_append(&text, "\n");
            } else if (rc != 0) {
                assert_int_equal(rc, KWM_ERR_INVAL);
                kwm_text_append(&text, "! ");
                kwm_text_append(&text, why);
                kwm_text_append(&text, "\n");
            }
        }
        assert_string_equal(out, cases[i].expected);
        assert_false(text.is_cut);
    }
}

/* The endpoint removes line feeds: what they parted must stay apart. */
static void test_lines_can_be_joined(void **state)
{
    (void)state;
    static struct kwm_ddl_table table;
    static struct fixture fixture;
    static char out[KWM_DDL_LEN_MAX];
    struct kwm_text text;
    char why[512];
    struct kwm_text reason;
    unsigned cursor = 0;
    kwm_text_init(&text, out, sizeof(out));
    kwm_text_init(&reason, why, sizeof(why));
    make(&fixture, &cases[2]);
    assert_int_equal(kwm_ddl_next(&fixture.config, &cursor, &table, &reason), 1);
    kwm_ddl_create_table(&text, &table);
    for (const char *c = strchr(out, '\n'); c != NULL; c = strchr(c + 1, '\n')) {
        assert_true(strchr("(,", c[-1]) != NULL || c[1] == ')');
    }
}

static void test_alter(void **state)
{
    (void)state;
    static struct kwm_ddl_table table;
    static struct fixture fixture;
    char out[KWM_DDL_ALTER_LEN_MAX];
    char why[64];
    struct kwm_text reason;
    struct kwm_text text;
    unsigned cursor = 0;
    kwm_text_init(&reason, why, sizeof(why));
    make(&fixture, &cases[1]);
    assert_int_equal(kwm_ddl_next(&fixture.config, &cursor, &table, &reason), 1);
    assert_int_equal(kwm_ddl_next(&fixture.config, &cursor, &table, &reason), 1);
    assert_string_equal(table.name, "order");
    kwm_text_init(&text, out, sizeof(out));
    for (uint16_t i = 0; i < table.column_count; i++) {
        kwm_ddl_add_column(&text, &table, &table.columns[i]);
    }
    assert_string_equal(out, "ALTER TABLE \"order\" ADD TAG host VARCHAR(64);"
                             "ALTER TABLE \"order\" ADD TAG \"group\" VARCHAR(128);"
                             "ALTER TABLE \"order\" ADD COLUMN \"in\" INT8;");
    kwm_text_init(&text, out, sizeof(out));
    kwm_ddl_alter_type(&text, &table, &table.columns[1]);
    kwm_ddl_alter_type(&text, &table, &table.columns[2]);
    assert_string_equal(out, "ALTER TABLE \"order\" ALTER TAG \"group\" TYPE VARCHAR(128);"
                             "ALTER TABLE \"order\" ALTER COLUMN \"in\" TYPE INT8;");
}

static void test_database(void **state)
{
    (void)state;
    static const struct {
        const char *name, *sql;
    } databases[] = {
        {"db1", "CREATE TS DATABASE db1;"},
        {"Plant", "CREATE TS DATABASE \"Plant\";"},
        {"order", "CREATE TS DATABASE \"order\";"},
        {"a\"b", "CREATE TS DATABASE \"a\"\"b\";"},
    };
    for (size_t i = 0; i < COUNT(databases); i++) {
        char out[64];
        struct kwm_text text;
        kwm_text_init(&text, out, sizeof(out));
        kwm_ddl_create_database(&text, databases[i].name);
        assert_string_equal(out, databases[i].sql);
    }
}

/* As many columns and as long names as there can be: the bounds of the buffers are right. */
static void test_bounds(void **state)
{
    (void)state;
    static char names[KWM_DDL_COLUMNS_MAX + 1U][KWM_NAME_LEN_MAX + 1U];
    static struct hal_field_def fields[4][HAL_FIELDS_MAX];
    static struct hal_schema schemas[4];
    static struct kwm_ddl_table table;
    static struct fixture fixture;
    static char out[KWM_DDL_LEN_MAX];
    char measurement[KWM_NAME_LEN_MAX + 1U];
    struct ddl_case c = {.host = "gw"};
    (void)snprintf(measurement, sizeof(measurement), "%063d", 0);
    measurement[0] = 't';
    for (unsigned i = 0; i < KWM_DDL_COLUMNS_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "f%062u", i);
        fields[i / HAL_FIELDS_MAX][i % HAL_FIELDS_MAX] =
            (struct hal_field_def){.name = names[i], .kind = HAL_KIND_STRING};
    }
    /* The host takes the place of the last field but for one case. */
    for (unsigned over = 0; over < 2; over++) {
        for (unsigned i = 0; i < 3; i++) {
            const unsigned left = i == 2 && over == 0 ? 2U : 1U;
            schemas[i] = (struct hal_schema){.measurement = measurement,
                                             .fields = fields[i],
                                             .field_count = (uint8_t)(HAL_FIELDS_MAX - left)};
            c.inputs[i].schemas[0] = &schemas[i];
        }
        fields[3][0] = (struct hal_field_def){.name = "x", .kind = HAL_KIND_INT};
        fields[3][1] = (struct hal_field_def){.name = "y", .kind = HAL_KIND_INT};
        fields[3][2] = (struct hal_field_def){.name = "z", .kind = HAL_KIND_INT};
        schemas[3] =
            (struct hal_schema){.measurement = measurement, .fields = fields[3], .field_count = 3};
        c.inputs[3].schemas[0] = &schemas[3];
        char why[512];
        struct kwm_text reason;
        unsigned cursor = 0;
        make(&fixture, &c);
        kwm_text_init(&reason, why, sizeof(why));
        const int rc = kwm_ddl_next(&fixture.config, &cursor, &table, &reason);
        assert_int_equal(rc, over == 0 ? 1 : KWM_ERR_INVAL);
        if (over == 0) {
            struct kwm_text text;
            assert_int_equal(table.column_count, KWM_DDL_COLUMNS_MAX);
            kwm_text_init(&text, out, sizeof(out));
            kwm_ddl_create_table(&text, &table);
            assert_false(text.is_cut);
            for (uint16_t i = 0; i < table.column_count; i++) {
                char alter[KWM_DDL_ALTER_LEN_MAX];
                kwm_text_init(&text, alter, sizeof(alter));
                kwm_ddl_alter_type(&text, &table, &table.columns[i]);
                assert_false(text.is_cut);
            }
        } else {
            assert_non_null(strstr(why, "z is one column too many"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables), cmocka_unit_test(test_lines_can_be_joined),
        cmocka_unit_test(test_alter),  cmocka_unit_test(test_database),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
