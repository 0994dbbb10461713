/* SPDX-License-Identifier: MIT */
#include "ddl.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/name.h"

#define TEXT_WIDTH 254U       /* of a text field, and of a tag that may change */
#define SENSOR_TAG_WIDTH 128U /* values that are not known beforehand: mount points, devices */

/** A table in the making. */
struct build {
    const struct kwm_collector_config *config;
    struct kwm_ddl_table *table;
    struct kwm_text *reason;
    const struct kwm_input *input; /**< whose turn it is */
    uint16_t source_count;         /**< pairs of input and schema that were taken */
};

static struct hal_text text_of(const char *s)
{
    return (struct hal_text){.s = s, .len = (uint16_t)strlen(s)};
}

static bool is_same(struct hal_text a, struct hal_text b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static void append_text(struct kwm_text *text, struct hal_text word)
{
    kwm_text_append_bytes(text, word.s, word.len);
}

/* -- Names and types
 *  ---------------------------------------------------------------------------- */

static void append_name(struct kwm_text *sql, struct hal_text name, bool is_reserved)
{
    const bool is_quoted = is_reserved || !kwm_name_is_valid(name.s, name.len);
    if (!is_quoted) {
        append_text(sql, name);
        return;
    }
    kwm_text_append_char(sql, '"');
    for (uint16_t i = 0; i < name.len; i++) {
        if (name.s[i] == '"') {
            kwm_text_append_char(sql, '"');
        }
        kwm_text_append_char(sql, name.s[i]);
    }
    kwm_text_append_char(sql, '"');
}

void kwm_ddl_append_table_name(struct kwm_text *sql, const char *name)
{
    append_name(sql, text_of(name), kwm_name_is_reserved_table(name, strlen(name)));
}

void kwm_ddl_append_column_name(struct kwm_text *sql, struct hal_text name)
{
    append_name(sql, name, kwm_name_is_reserved_column(name.s, name.len));
}

void kwm_ddl_append_type(struct kwm_text *sql, const struct kwm_ddl_column *column)
{
    static const char *const names[] = {
        [KWM_DDL_INT8] = "INT8",
        [KWM_DDL_FLOAT8] = "FLOAT8",
        [KWM_DDL_BOOL] = "BOOL",
        [KWM_DDL_VARCHAR] = "VARCHAR",
    };
    kwm_text_append(sql, names[column->type]);
    if (column->type == KWM_DDL_VARCHAR) {
        kwm_text_append_char(sql, '(');
        kwm_text_append_uint(sql, column->width);
        kwm_text_append_char(sql, ')');
    }
}

static enum kwm_ddl_type type_of(uint8_t kind)
{
    switch (kind) {
    case HAL_KIND_INT:
    case HAL_KIND_UINT:
        return KWM_DDL_INT8;
    case HAL_KIND_DOUBLE:
    case HAL_KIND_FIXED:
        return KWM_DDL_FLOAT8;
    case HAL_KIND_BOOL:
        return KWM_DDL_BOOL;
    default:
        KWM_ASSERT(kind == HAL_KIND_STRING);
        return KWM_DDL_VARCHAR;
    }
}

/* -- Why there can be no such table
 *  ------------------------------------------------------------- */

/** "inputs.cpu: table cpu: " @return KWM_ERR_INVAL, for the caller to return. */
static int begin_reason(const struct build *build, const char *input)
{
    kwm_text_append(build->reason, input);
    kwm_text_append(build->reason, ": table ");
    kwm_text_append(build->reason, build->table->name);
    kwm_text_append(build->reason, ": ");
    return KWM_ERR_INVAL;
}

static int fail_name(const struct build *build, struct hal_text name, const char *why)
{
    const int err = begin_reason(build, build->input->config.name);
    append_text(build->reason, name);
    kwm_text_append(build->reason, why);
    return err;
}

/* -- Columns
 *  ------------------------------------------------------------------------------------ */

static struct kwm_ddl_column *find(struct kwm_ddl_table *table, struct hal_text name)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (is_same(table->columns[i].name, name)) {
            return &table->columns[i];
        }
    }
    return NULL;
}

/** Find a column or make it. @return KWM_OK, or KWM_ERR_INVAL with a reason. */
static int add(struct build *build, struct hal_text name, bool is_tag, struct kwm_ddl_column **out)
{
    struct kwm_ddl_table *table = build->table;
    *out = find(table, name);
    if (*out != NULL) {
        return (*out)->is_tag == is_tag
                   ? KWM_OK
                   : fail_name(build, name,
                               " is a tag in one row and a field in another, and KWDB has one "
                               "column for both; give one of the inputs another measurement by "
                               "name_override");
    }
    if (!kwm_name_is_valid(name.s, name.len)) {
        return fail_name(build, name,
                         " is not a name that KWDB takes: a-z, 0-9 and _, no digit first, at "
                         "most 63 characters, and not k_timestamp");
    }
    if (table->column_count == KWM_DDL_COLUMNS_MAX) {
        return fail_name(build, name,
                         " is one column too many; spread the inputs over several "
                         "measurements by name_override");
    }
    *out = &table->columns[table->column_count];
    table->column_count++;
    **out = (struct kwm_ddl_column){.name = name,
                                    .type = KWM_DDL_VARCHAR,
                                    .is_tag = is_tag,
                                    .input = build->input->config.name};
    return KWM_OK;
}

static bool is_number(uint8_t type)
{
    return type == KWM_DDL_INT8 || type == KWM_DDL_FLOAT8;
}

static int add_field(struct build *build, struct hal_text name, enum kwm_ddl_type type)
{
    const uint16_t count = build->table->column_count;
    struct kwm_ddl_column *column;
    const int err = add(build, name, false, &column);
    if (err != KWM_OK) {
        return err;
    }
    if (build->table->column_count > count) {
        column->type = (uint8_t)type;
        column->width = type == KWM_DDL_VARCHAR ? TEXT_WIDTH : 0;
    } else if (column->type != type && is_number(column->type) && is_number((uint8_t)type)) {
        column->type = KWM_DDL_FLOAT8; /* which takes whole numbers, too */
    } else if (column->type != type) {
        return fail_name(build, name,
                         " has values of several kinds; give one of the inputs another "
                         "measurement by name_override");
    }
    return KWM_OK;
}

/** A tag of the sensor's own. What may change is a field to KWDB. */
static int add_sensor_tag(struct build *build, const struct hal_tag_def *def)
{
    if (def->role == HAL_TAG_MUTABLE) {
        return add_field(build, text_of(def->key), KWM_DDL_VARCHAR);
    }
    struct kwm_ddl_column *column;
    const int err = add(build, text_of(def->key), true, &column);
    if (err == KWM_OK) {
        const bool is_primary = def->role == HAL_TAG_PRIMARY;
        column->is_sensors = true;
        column->is_primary = column->is_primary || is_primary;
        column->source_count = (uint16_t)(column->source_count + (is_primary ? 1U : 0U));
    }
    return err;
}

/** A tag whose value is known: host, or a configured one. */
static int add_known_tag(struct build *build, struct hal_text key, struct hal_text value,
                         bool is_primary)
{
    struct kwm_ddl_column *column;
    const int err = add(build, key, true, &column);
    if (err != KWM_OK) {
        return err;
    }
    if (column->value.s == NULL) {
        column->value = value;
    }
    if (column->value_len < value.len) {
        column->value_len = value.len;
    }
    column->is_primary = column->is_primary || is_primary || !is_same(column->value, value);
    column->source_count++;
    return KWM_OK;
}

static bool has_key(const struct kwm_collect_tag *tags, uint8_t count, struct hal_text key)
{
    for (uint8_t i = 0; i < count; i++) {
        if (is_same(tags[i].key, key)) {
            return true;
        }
    }
    return false;
}

static int add_tags(struct build *build, const struct hal_schema *schema)
{
    const struct kwm_collector_config *config = build->config;
    const struct kwm_input_config *input = &build->input->config;
    int err = add_known_tag(build, text_of("host"), config->host, true);
    for (uint8_t i = 0; i < schema->tag_count && err == KWM_OK; i++) {
        err = add_sensor_tag(build, &schema->tags[i]);
    }
    for (uint8_t i = 0; i < input->tag_count && err == KWM_OK; i++) {
        err = add_known_tag(build, input->tags[i].key, input->tags[i].value, false);
    }
    for (uint8_t i = 0; i < config->tag_count && err == KWM_OK; i++) {
        if (!has_key(input->tags, input->tag_count, config->tags[i].key)) {
            err = add_known_tag(build, config->tags[i].key, config->tags[i].value, false);
        }
    }
    return err;
}

static int add_schema(struct build *build, const struct hal_schema *schema, uint64_t mask)
{
    int err = add_tags(build, schema);
    for (uint8_t i = 0; i < schema->field_count && err == KWM_OK; i++) {
        if ((mask >> i & 1U) != 0) {
            err =
                add_field(build, text_of(schema->fields[i].name), type_of(schema->fields[i].kind));
        }
    }
    build->source_count++;
    return err;
}

/* -- Which tags are primary
 *  --------------------------------------------------------------------- */

static int fail_missing(const struct build *build, const struct kwm_ddl_column *column)
{
    const int err = begin_reason(build, column->input);
    kwm_text_append(build->reason, "the tag ");
    append_text(build->reason, column->name);
    kwm_text_append(build->reason,
                    " tells rows apart, and other inputs of this table lack it; give each of them "
                    "that tag, or another measurement by name_override");
    return err;
}

static int fail_crowd(const struct build *build, const struct kwm_ddl_column *last)
{
    const int err = begin_reason(build, last->input);
    kwm_text_append(build->reason, "its rows are told apart by more tags than the 4 primary ones "
                                   "that KWDB has (");
    unsigned count = 0;
    for (uint16_t i = 0; i < build->table->column_count; i++) {
        if (build->table->columns[i].is_primary) {
            kwm_text_append(build->reason, count > 0 ? ", " : "");
            append_text(build->reason, build->table->columns[i].name);
            count++;
        }
    }
    kwm_text_append(build->reason, "); take tags out, or give an input another measurement by "
                                   "name_override");
    return err;
}

static int settle_primary(struct build *build)
{
    unsigned count = 0;
    for (uint16_t i = 0; i < build->table->column_count; i++) {
        struct kwm_ddl_column *column = &build->table->columns[i];
        column->is_always = column->is_tag && column->source_count == build->source_count;
        /* A configured tag that some inputs have and others have not. */
        column->is_primary = column->is_primary || (column->value.s != NULL && !column->is_always);
        if (!column->is_primary) {
            continue;
        }
        if (!column->is_always) {
            return fail_missing(build, column);
        }
        count++;
        if (count > KWM_DDL_PRIMARY_MAX) {
            return fail_crowd(build, column);
        }
    }
    return KWM_OK;
}

static int settle_widths(struct build *build)
{
    for (uint16_t i = 0; i < build->table->column_count; i++) {
        struct kwm_ddl_column *column = &build->table->columns[i];
        if (!column->is_tag) {
            continue;
        }
        if (column->is_primary && column->value_len > KWM_DDL_PRIMARY_WIDTH_MAX) {
            const int err = begin_reason(build, column->input);
            kwm_text_append(build->reason, "the value of the tag ");
            append_text(build->reason, column->name);
            kwm_text_append(build->reason,
                            " has more than the 128 bytes of a primary tag; shorten it");
            return err;
        }
        const uint16_t len = column->is_sensors && column->value_len < SENSOR_TAG_WIDTH
                                 ? SENSOR_TAG_WIDTH
                                 : column->value_len;
        column->width = len <= 64U ? 64U : len <= 128U ? 128U : len <= 254U ? 254U : len;
    }
    return KWM_OK;
}

/* -- Tables
 *  ------------------------------------------------------------------------------------- */

/** Put together what all inputs say of the measurement. */
static int add_schemas(struct build *build)
{
    int err = KWM_OK;
    for (unsigned i = 0; i < build->config->input_count; i++) {
        const struct kwm_input *input = &build->config->inputs[i];
        for (unsigned s = 0; s < input->config.sensor->schema_count && err == KWM_OK; s++) {
            if (input->config.masks[s] != 0 &&
                strcmp(kwm_input_measurement(input, s), build->table->name) == 0) {
                build->input = input;
                err = add_schema(build, input->config.sensor->schemas[s], input->config.masks[s]);
            }
        }
    }
    return err;
}

/** Whether an earlier place has the same measurement. */
static bool is_done(const struct kwm_collector_config *config, unsigned place, const char *name)
{
    for (unsigned at = 0; at < place; at++) {
        const struct kwm_input *input = &config->inputs[at / KWM_COLLECT_SCHEMAS_MAX];
        const unsigned schema = at % KWM_COLLECT_SCHEMAS_MAX;
        if (schema < input->config.sensor->schema_count && input->config.masks[schema] != 0 &&
            strcmp(kwm_input_measurement(input, schema), name) == 0) {
            return true;
        }
    }
    return false;
}

static int build_table(struct build *build)
{
    build->table->column_count = 0;
    if (!kwm_name_is_valid(build->table->name, strlen(build->table->name))) {
        const int err = begin_reason(build, build->input->config.name);
        kwm_text_append(build->reason,
                        "not a name that KWDB takes: a-z, 0-9 and _, no digit first, at most 63 "
                        "characters; set another one by name_override");
        return err;
    }
    int err = add_schemas(build);
    if (err == KWM_OK) {
        err = settle_primary(build);
    }
    if (err == KWM_OK) {
        err = settle_widths(build);
    }
    return err == KWM_OK ? 1 : err;
}

int kwm_ddl_next(const struct kwm_collector_config *config, unsigned *cursor,
                 struct kwm_ddl_table *table, struct kwm_text *reason)
{
    KWM_ASSERT(config != NULL && cursor != NULL && table != NULL && reason != NULL);
    KWM_ASSERT(config->host.s != NULL);
    while (*cursor < config->input_count * KWM_COLLECT_SCHEMAS_MAX) {
        const unsigned place = *cursor;
        const unsigned schema = place % KWM_COLLECT_SCHEMAS_MAX;
        const struct kwm_input *input = &config->inputs[place / KWM_COLLECT_SCHEMAS_MAX];
        (*cursor)++;
        if (schema >= input->config.sensor->schema_count || input->config.masks[schema] == 0) {
            continue;
        }
        table->name = kwm_input_measurement(input, schema);
        if (!is_done(config, place, table->name)) {
            struct build build = {
                .config = config, .table = table, .reason = reason, .input = input};
            return build_table(&build);
        }
    }
    return 0;
}

/* -- SQL
 *  ---------------------------------------------------------------------------------------- */

void kwm_ddl_create_database(struct kwm_text *sql, const char *name)
{
    kwm_text_append(sql, "CREATE TS DATABASE ");
    kwm_ddl_append_table_name(sql, name);
    kwm_text_append_char(sql, ';');
}

static void append_columns(struct kwm_text *sql, const struct kwm_ddl_table *table, bool is_tag)
{
    bool is_first = is_tag; /* the time stands before the fields */
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct kwm_ddl_column *column = &table->columns[i];
        if (column->is_tag != is_tag) {
            continue;
        }
        kwm_text_append(sql, is_first ? "\n    " : ",\n    ");
        is_first = false;
        kwm_ddl_append_column_name(sql, column->name);
        kwm_text_append_char(sql, ' ');
        kwm_ddl_append_type(sql, column);
        kwm_text_append(sql, column->is_primary ? " NOT NULL" : "");
    }
}

void kwm_ddl_create_table(struct kwm_text *sql, const struct kwm_ddl_table *table)
{
    kwm_text_append(sql, "CREATE TABLE ");
    kwm_ddl_append_table_name(sql, table->name);
    kwm_text_append(sql, " (\n    k_timestamp TIMESTAMPTZ(3) NOT NULL");
    append_columns(sql, table, false);
    kwm_text_append(sql, "\n) TAGS (");
    append_columns(sql, table, true);
    kwm_text_append(sql, "\n) PRIMARY TAGS (");
    bool is_first = true;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].is_primary) {
            kwm_text_append(sql, is_first ? "" : ", ");
            is_first = false;
            kwm_ddl_append_column_name(sql, table->columns[i].name);
        }
    }
    kwm_text_append(sql, ");");
}

static void begin_alter(struct kwm_text *sql, const struct kwm_ddl_table *table, const char *verb,
                        const struct kwm_ddl_column *column)
{
    kwm_text_append(sql, "ALTER TABLE ");
    kwm_ddl_append_table_name(sql, table->name);
    kwm_text_append(sql, verb);
    kwm_text_append(sql, column->is_tag ? "TAG " : "COLUMN ");
    kwm_ddl_append_column_name(sql, column->name);
}

void kwm_ddl_add_column(struct kwm_text *sql, const struct kwm_ddl_table *table,
                        const struct kwm_ddl_column *column)
{
    begin_alter(sql, table, " ADD ", column);
    kwm_text_append_char(sql, ' ');
    kwm_ddl_append_type(sql, column);
    kwm_text_append_char(sql, ';');
}

void kwm_ddl_alter_type(struct kwm_text *sql, const struct kwm_ddl_table *table,
                        const struct kwm_ddl_column *column)
{
    begin_alter(sql, table, " ALTER ", column);
    kwm_text_append(sql, " TYPE ");
    kwm_ddl_append_type(sql, column);
    kwm_text_append_char(sql, ';');
}
