/* SPDX-License-Identifier: MIT */
/* Goal:   KWDB's CREATE TABLE is read whatever clauses and spaces it has, nothing else is taken for
 *         one, and every way in which a table can fail our rows is found, with the statement that
 *         mends it where there is one.
 * Method: texts with what is to be read from them; each of them cut at every byte, under the
 *         sanitizers; and one table of wishes against tables that differ from it in one thing. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "linux/kwdb_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct kwdb_table table;

/* -- Reading ----------------------------------------------------------------------------------- */

static const struct {
    const char *name, *sql;
    const char *expected; /**< columns as "name type width flags;", NULL: refused */
} texts[] = {
    {"as the query endpoint gives it",
     "CREATE TABLE sensor ( k_timestamp TIMESTAMPTZ(3) NOT NULL, temp FLOAT8 NULL, "
     "ok BOOL NULL) TAGS ( host VARCHAR(64) NOT NULL, site VARCHAR(16) ) PRIMARY TAGS(host) "
     "retentions 0s activetime 1d partition interval 10d",
     "k_timestamp TIMESTAMPTZ 3 n;temp FLOAT8 0 ;ok BOOL 0 ;host VARCHAR 64 ntp;"
     "site VARCHAR 16 t;"},
    {"names in quotes, several primary tags, no width",
     "CREATE TABLE \"order\" (\n\tk_timestamp TIMESTAMPTZ NOT NULL,\n\t\"in\" INT8 NULL, "
     "\"a\"\"b\" BOOL\n) TAGS "
     "(\n\t\"group\" VARCHAR(64) NOT NULL,\n\tb INT4 NOT NULL ) PRIMARY TAGS(\"group\", b)",
     "k_timestamp TIMESTAMPTZ 0 n;in INT8 0 ;a\"\"b BOOL 0 ;group VARCHAR 64 ntp;b INT4 0 ntp;"},
    {"defaults and comments",
     "create table db.public.t (k_timestamp timestamptz(3) not null default now(), "
     "a varchar(8) not null default 'x,''(' comment 'a, b) not null', c int8 comment = 'NULL' "
     "not null, d int8 default (1, 2)) attributes (h char(4) not null comment = 'h') "
     "primary attributes (h) comment = 't'",
     "k_timestamp timestamptz 3 nd;a varchar 8 nd;c int8 0 n;d int8 0 d;h char 4 ntp;"},
    {"an ordinary table",
     "CREATE TABLE rel (k_timestamp INT8 NOT NULL, host VARCHAR(64) NOT NULL, inverted BOOL NULL, "
     "CONSTRAINT \"primary\" PRIMARY KEY (k_timestamp ASC, host ASC), UNIQUE INDEX i (host ASC), "
     "FAMILY \"primary\" (k_timestamp, host))",
     "k_timestamp INT8 0 n;host VARCHAR 64 n;inverted BOOL 0 ;"},
    {"nothing", "", NULL},
    {"another statement", "CREATE VIEW v AS SELECT 1", NULL},
    {"no columns", "CREATE TABLE t ()", NULL},
    {"no brackets", "CREATE TABLE t k_timestamp TIMESTAMPTZ", NULL},
    {"tags that are not all told", "CREATE TABLE t (a INT8) TAGS (b INT8", NULL},
    {"no primary tags", "CREATE TABLE t (a INT8) TAGS (b INT8)", NULL},
    {"a primary tag that is none", "CREATE TABLE t (a INT8) TAGS (b INT8) PRIMARY TAGS (c)", NULL},
    {"a sign for a name", "CREATE TABLE t (; INT8)", NULL},
    {"a quote that does not end", "CREATE TABLE t (\"a INT8)", NULL},
};

static void print_columns(char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint16_t i = 0; i < table.column_count; i++) {
        const struct kwdb_column *c = &table.columns[i];
        len += (size_t)snprintf(out + len, cap - len, "%.*s %.*s %u %s%s%s%s;", c->name.len,
                                c->name.s, c->type.len, c->type.s, (unsigned)c->width,
                                c->is_not_null ? "n" : "", c->has_default ? "d" : "",
                                c->is_tag ? "t" : "", c->is_primary ? "p" : "");
    }
    assert_true(len < cap);
}

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char out[512];
        print_message("%s\n", texts[i].name);
        const int rc = kwdb_table_parse(&table, texts[i].sql);
        if (texts[i].expected == NULL) {
            assert_int_equal(rc, KWM_ERR_INVAL);
            continue;
        }
        assert_int_equal(rc, KWM_OK);
        print_columns(out, sizeof(out));
        assert_string_equal(out, texts[i].expected);
        assert_int_equal(table.is_time_series, strstr(out, "p;") != NULL);
    }
}

/* Nothing is read beyond the end, and no part passes for a whole time-series table. */
static void test_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const size_t len = strlen(texts[i].sql);
        for (size_t cut = 0; cut < len; cut++) {
            char *copy = test_malloc(cut + 1U); /* its end is watched */
            memcpy(copy, texts[i].sql, cut);
            copy[cut] = '\0';
            const int rc = kwdb_table_parse(&table, copy);
            if (rc == KWM_OK && table.is_time_series) {
                const char *end = strstr(texts[i].sql, "PRIMARY TAGS(");
                end = end != NULL ? end : strstr(texts[i].sql, "primary attributes (");
                assert_non_null(end);
                end = strchr(end, ')');
                assert_true(cut > (size_t)(end - texts[i].sql));
            }
            test_free(copy);
        }
    }
}

static void test_too_many_columns(void **state)
{
    (void)state;
    static char sql[KWDB_COLUMNS_MAX * 16U];
    for (unsigned over = 0; over < 2; over++) {
        size_t len = (size_t)snprintf(sql, sizeof(sql), "CREATE TABLE t (c INT8");
        for (unsigned i = 1; i < KWDB_COLUMNS_MAX - 1U + over; i++) {
            len += (size_t)snprintf(sql + len, sizeof(sql) - len, ",c%u INT8", i);
        }
        (void)snprintf(sql + len, sizeof(sql) - len, ") TAGS (h INT8) PRIMARY TAGS (h)");
        assert_int_equal(kwdb_table_parse(&table, sql), over == 0 ? KWM_OK : KWM_ERR_NOSPC);
    }
}

/* -- Comparing --------------------------------------------------------------------------------- */

#define NAME(text)                            \
    {                                         \
        .s = (text), .len = sizeof(text) - 1U \
    }

static const struct kwm_ddl_table wanted = {
    .name = "t",
    .column_count = 7,
    .columns =
        {
            {.name = NAME("host"),
             .type = KWM_DDL_VARCHAR,
             .width = 64,
             .value_len = 10,
             .is_tag = true,
             .is_primary = true,
             .is_always = true},
            {.name = NAME("site"),
             .type = KWM_DDL_VARCHAR,
             .width = 64,
             .value_len = 8,
             .is_tag = true,
             .is_always = true},
            {.name = NAME("serial"), .type = KWM_DDL_VARCHAR, .width = 128, .is_tag = true},
            {.name = NAME("in"), .type = KWM_DDL_INT8},
            {.name = NAME("temp"), .type = KWM_DDL_FLOAT8},
            {.name = NAME("ok"), .type = KWM_DDL_BOOL},
            {.name = NAME("text"), .type = KWM_DDL_VARCHAR, .width = 254},
        },
};

/** The table that is right; a case puts another text in the place of one of these. */
static const char *const parts[] = {
    "k_timestamp TIMESTAMPTZ(3) NOT NULL", /* 0 */
    "\"in\" INT8 NULL",
    "temp FLOAT8 NULL",
    "ok BOOL NULL",
    "text VARCHAR(254) NULL", /* 4 */
    "host VARCHAR(64) NOT NULL",
    "site VARCHAR(16)",
    "serial VARCHAR(64)",
    "host", /* 8: primary */
};

#define RENAME "; make a new table, under another name by name_override"

static const struct {
    const char *name;
    const char *with; /**< NULL: taken out */
    unsigned part;
    const char
        *expected; /**< "M" missing, "W" wrong, "R" risk; text; "|" and SQL if there is any */
} cases[] = {
    {"right", "temp FLOAT8 NULL", 2, ""},
    {"a fraction may be kept in more", "\"in\" FLOAT8", 1, ""},
    {"other names of types that serve", "text NVARCHAR(300)", 4, ""},
    {"text without a bound", "text STRING", 4, ""},
    {"more columns", "ok BOOL, more INT8, dflt INT8 NOT NULL DEFAULT 1", 3, ""},
    {"a column is missing", NULL, 1,
     "Mcolumn in is missing: every row that has it is refused|ALTER TABLE t ADD COLUMN \"in\" "
     "INT8;\n"},
    {"a tag is missing", NULL, 6,
     "Mtag site is missing: every row that has it is refused|ALTER TABLE t ADD TAG site "
     "VARCHAR(64);\n"},
    {"another tag is primary", "site", 8,
     "Wtag host is not primary, but tells rows apart: KWDB replaces one of them by the other" RENAME
     "\n"},
    {"one more tag is primary that every row has", "host, site", 8, ""},
    {"one more tag is primary that some rows lack", "host, serial", 8,
     "Rtag serial is primary: a row that lacks it is refused\n"},
    {"int4", "\"in\" INT4", 1,
     "Wcolumn in is INT4, which refuses a row whose value is beyond its range|ALTER TABLE t ALTER "
     "COLUMN \"in\" TYPE INT8;\n"},
    {"int in float4", "\"in\" FLOAT4", 1,
     "Rcolumn in is FLOAT4, which keeps 7 digits and rounds the others away" RENAME "\n"},
    {"float in float4", "temp FLOAT4", 2,
     "Rcolumn temp is FLOAT4, which keeps 7 digits and rounds the others away|ALTER TABLE t ALTER "
     "COLUMN temp TYPE FLOAT8;\n"},
    {"float in int", "temp INT8", 2,
     "Wcolumn temp is INT8, which refuses every row whose value has a fraction" RENAME "\n"},
    {"number in text", "temp VARCHAR(64)", 2,
     "Wcolumn temp is VARCHAR(64), which refuses every row with a number" RENAME "\n"},
    {"bool in text", "ok VARCHAR(5)", 3,
     "Rcolumn ok is VARCHAR(5), which keeps true and false as text" RENAME "\n"},
    {"bool in short text", "ok CHAR", 3,
     "Wcolumn ok is CHAR, which refuses every row with true or false" RENAME "\n"},
    {"bool in int", "ok INT8", 3,
     "Wcolumn ok is INT8, which refuses every row with true or false" RENAME "\n"},
    {"text in int", "text INT8", 4,
     "Wcolumn text is INT8, which refuses every row with a text" RENAME "\n"},
    {"short text", "text VARCHAR(64)", 4,
     "Rcolumn text is VARCHAR(64), which refuses a row with a longer text|ALTER TABLE t ALTER "
     "COLUMN text TYPE VARCHAR(254);\n"},
    {"short tag", "site VARCHAR(7)", 6,
     "Wtag site is VARCHAR(7), which is too short for its value: every row is refused|ALTER TABLE "
     "t ALTER TAG site TYPE VARCHAR(64);\n"},
    {"just long enough", "site VARCHAR(8)", 6, ""},
    {"short primary tag", "host VARCHAR(9) NOT NULL", 5,
     "Wtag host is VARCHAR(9), which is too short for its value: every row is refused" RENAME "\n"},
    {"number for a tag", "site INT8", 6,
     "Wtag site is INT8, which refuses every row with a text" RENAME "\n"},
    {"a field may be missing", "temp FLOAT8 NOT NULL", 2,
     "Rcolumn temp is NOT NULL: a row that lacks it is refused\n"},
    {"a field that has a default", "temp FLOAT8 NOT NULL DEFAULT 0", 2, ""},
    {"a tag that every row has", "site VARCHAR(16) NOT NULL", 6, ""},
    {"a tag that some rows lack", "serial VARCHAR(64) NOT NULL", 7,
     "Rtag serial is NOT NULL: a row that lacks it is refused\n"},
    {"a column that no row has", "ok BOOL, x INT8 NOT NULL", 3,
     "Wcolumn x is NOT NULL and our rows lack it: all are refused" RENAME "\n"},
    {"microseconds", "k_timestamp TIMESTAMPTZ(6) NOT NULL", 0,
     "Wcolumn k_timestamp has not the precision of milliseconds, (3): KWDB would take our time for "
     "one in 1970" RENAME "\n"},
    {"the default precision", "k_timestamp TIMESTAMP NOT NULL", 0, ""},
    {"time that is no time", "k_timestamp INT8 NOT NULL", 0,
     "Wcolumn k_timestamp is not a TIMESTAMPTZ(3)" RENAME "\n"},
    {"time under another name", "ts TIMESTAMPTZ(3)", 0,
     "Wcolumn k_timestamp is missing: KWDB's endpoint writes the time there and nowhere "
     "else" RENAME "\n"},
};

static void put(void *ctx, const struct kwdb_finding *finding)
{
    static const char levels[] = {[KWDB_MISSING] = 'M', [KWDB_WRONG] = 'W', [KWDB_RISK] = 'R'};
    char *out = ctx;
    const size_t len = strlen(out);
    const int more = snprintf(out + len, 2048U - len, "%c%s%s%s\n", levels[finding->level],
                              finding->text, finding->sql[0] != '\0' ? "|" : "", finding->sql);
    assert_true((size_t)more < 2048U - len);
}

static void make_sql(char *out, size_t cap, unsigned part, const char *with)
{
    size_t len = (size_t)snprintf(out, cap, "CREATE TABLE t (");
    for (unsigned i = 0; i < COUNT(parts); i++) {
        const char *text = i == part ? with : parts[i];
        const char *before = i == 0 ? "" : i == 5 ? ") TAGS (" : i == 8 ? ") PRIMARY TAGS (" : ", ";
        if (text != NULL) {
            len += (size_t)snprintf(out + len, cap - len, "%s%s", before, text);
        }
    }
    (void)snprintf(out + len, cap - len, ")");
}

static void compare(const char *sql, char *out)
{
    const struct kwdb_finding_sink sink = {.put = put, .ctx = out};
    out[0] = '\0';
    assert_int_equal(kwdb_table_parse(&table, sql), KWM_OK);
    kwdb_table_compare(&wanted, &table, &sink);
}

static void test_compare(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char sql[1024];
        char out[2048];
        print_message("%s\n", cases[i].name);
        make_sql(sql, sizeof(sql), cases[i].part, cases[i].with);
        compare(sql, out);
        assert_string_equal(out, cases[i].expected);
    }
}

/* What differs in more than one place. */
static void test_compare_whole(void **state)
{
    (void)state;
    static const struct {
        const char *name, *sql, *expected;
    } wholes[] = {
        {"a primary tag is missing",
         "CREATE TABLE t (k_timestamp TIMESTAMPTZ(3), \"in\" INT8, temp FLOAT8, ok BOOL, text "
         "VARCHAR(254)) TAGS (\"a\nb\" VARCHAR(64), site VARCHAR(64), serial VARCHAR(64)) PRIMARY "
         "TAGS (\"a\nb\")",
         "Wtag host is missing and must be primary, which KWDB cannot add to a table: make a new "
         "one, under another name by name_override\n"
         "Wtag a?b is primary and our rows lack it: all are refused; set it in global_tags or the "
         "input's tags\n"},
        {"a tag is a column, and a column is a tag",
         "CREATE TABLE t (k_timestamp TIMESTAMPTZ(3), \"in\" INT8, ok BOOL, text VARCHAR(254), "
         "site VARCHAR(64)) TAGS (host VARCHAR(64), serial VARCHAR(64), temp FLOAT8) PRIMARY TAGS "
         "(host)",
         "Wcolumn temp is a tag here, whose first value KWDB keeps for ever" RENAME "\n"},
        {"an ordinary table", "CREATE TABLE t (k_timestamp INT8, host VARCHAR(64))",
         "Rit is no time-series table, so nothing else of it was looked at: rows are kept if its "
         "k_timestamp is an INT8 and its types are right, and not replaced when sent again\n"},
    };
    for (size_t i = 0; i < COUNT(wholes); i++) {
        char out[2048];
        print_message("%s\n", wholes[i].name);
        compare(wholes[i].sql, out);
        assert_string_equal(out, wholes[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_too_many_columns),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_compare_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
