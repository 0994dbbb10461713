/* SPDX-License-Identifier: MIT */
#include "kwdb_table.h"

#include <string.h>
#include <strings.h>

#include "kwm/text.h"

#define TEXT_WIDTH_DEFAULT 254U

/* -- Tokens
 *  ------------------------------------------------------------------------------------- */

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_QUOTED, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SIGN };

struct scanner {
    const char *at;
    enum token_kind kind; /**< of the token in hand */
    struct hal_text token;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           (unsigned char)c >= 0x80U;
}

/** What stands between two quotes, doubled ones included. */
static void scan_quoted(struct scanner *scanner, char quote)
{
    scanner->kind = quote == '"' ? TOKEN_QUOTED : TOKEN_STRING;
    scanner->at++;
    scanner->token.s = scanner->at;
    while (*scanner->at != '\0' && (*scanner->at != quote || scanner->at[1] == quote)) {
        scanner->at += *scanner->at == quote ? 2 : 1;
    }
    scanner->token.len = (uint16_t)(scanner->at - scanner->token.s);
    scanner->at += *scanner->at == quote ? 1 : 0;
}

static void next(struct scanner *scanner)
{
    while (is_space(*scanner->at)) {
        scanner->at++;
    }
    const char *begin = scanner->at;
    if (*begin == '"' || *begin == '\'') {
        scan_quoted(scanner, *begin);
        return;
    }
    scanner->kind = *begin == '\0'     ? TOKEN_END
                    : is_digit(*begin) ? TOKEN_NUMBER
                    : is_word(*begin)  ? TOKEN_WORD
                                       : TOKEN_SIGN;
    if (scanner->kind == TOKEN_SIGN) {
        scanner->at++;
    }
    while (scanner->kind != TOKEN_SIGN && is_word(*scanner->at)) {
        scanner->at++;
    }
    scanner->token = (struct hal_text){.s = begin, .len = (uint16_t)(scanner->at - begin)};
}

static bool is_text(struct hal_text text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.s, word, text.len) == 0;
}

static bool is_keyword(const struct scanner *scanner, const char *word)
{
    return scanner->kind == TOKEN_WORD && is_text(scanner->token, word);
}

static bool is_sign(const struct scanner *scanner, char sign)
{
    return scanner->kind == TOKEN_SIGN && scanner->token.s[0] == sign;
}

/** Go past a keyword or sign. @return whether it was there. */
static bool take_keyword(struct scanner *scanner, const char *word)
{
    const bool is_there = is_keyword(scanner, word);
    if (is_there) {
        next(scanner);
    }
    return is_there;
}

static bool take_sign(struct scanner *scanner, char sign)
{
    const bool is_there = is_sign(scanner, sign);
    if (is_there) {
        next(scanner);
    }
    return is_there;
}

static bool take_name(struct scanner *scanner, struct hal_text *name)
{
    *name = scanner->token;
    const bool is_name = scanner->kind == TOKEN_WORD || scanner->kind == TOKEN_QUOTED;
    if (is_name) {
        next(scanner);
    }
    return is_name;
}

/* -- CREATE TABLE
 *  ------------------------------------------------------------------------------- */

/** Go to the comma or bracket that ends a column, and see on the way what is said of it. */
static void skip_clauses(struct scanner *scanner, struct kwdb_column *column)
{
    unsigned depth = 0;
    bool is_after_not = false;
    while (scanner->kind != TOKEN_END &&
           (depth > 0 || (!is_sign(scanner, ',') && !is_sign(scanner, ')')))) {
        if (is_sign(scanner, '(')) {
            depth++;
        } else if (is_sign(scanner, ')')) {
            depth--;
        }
        if (depth == 0 && column != NULL) {
            column->is_not_null =
                column->is_not_null || (is_after_not && is_keyword(scanner, "null"));
            column->has_default = column->has_default || is_keyword(scanner, "default");
        }
        is_after_not = is_keyword(scanner, "not");
        next(scanner);
    }
}

static uint32_t take_width(struct scanner *scanner)
{
    uint32_t width = 0;
    if (!take_sign(scanner, '(')) {
        return 0;
    }
    for (uint16_t i = 0; scanner->kind == TOKEN_NUMBER && i < scanner->token.len && i < 8U; i++) {
        const char c = scanner->token.s[i];
        width = is_digit(c) ? width * 10U + (uint32_t)(c - '0') : width;
    }
    while (scanner->kind != TOKEN_END && !take_sign(scanner, ')')) {
        next(scanner);
    }
    return width;
}

/** A key, an index or the like, which is no column. */
static bool is_constraint(const struct scanner *scanner)
{
    static const char *const words[] = {"constraint", "family", "index",
                                        "primary",    "check",  "foreign"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (is_keyword(scanner, words[i])) {
            return true;
        }
    }
    struct scanner ahead = *scanner;
    return (take_keyword(&ahead, "unique") || take_keyword(&ahead, "inverted")) &&
           (is_keyword(&ahead, "index") || is_sign(&ahead, '('));
}

static int parse_column(struct kwdb_table *table, struct scanner *scanner, bool is_tag)
{
    struct kwdb_column column = {.is_tag = is_tag};
    if (is_constraint(scanner)) {
        skip_clauses(scanner, NULL);
        return KWM_OK;
    }
    if (!take_name(scanner, &column.name) || !take_name(scanner, &column.type)) {
        return KWM_ERR_INVAL;
    }
    column.width = take_width(scanner);
    skip_clauses(scanner, &column);
    if (table->column_count == KWDB_COLUMNS_MAX) {
        return KWM_ERR_NOSPC;
    }
    table->columns[table->column_count] = column;
    table->column_count++;
    return KWM_OK;
}

/** `(column, ...)` */
static int parse_columns(struct kwdb_table *table, struct scanner *scanner, bool is_tag)
{
    if (!take_sign(scanner, '(')) {
        return KWM_ERR_INVAL;
    }
    do {
        const int err = parse_column(table, scanner, is_tag);
        if (err != KWM_OK) {
            return err;
        }
    } while (take_sign(scanner, ','));
    return take_sign(scanner, ')') ? KWM_OK : KWM_ERR_INVAL;
}

static bool is_equal(struct hal_text a, struct hal_text b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static struct kwdb_column *find(struct kwdb_table *table, struct hal_text name)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (is_equal(table->columns[i].name, name)) {
            return &table->columns[i];
        }
    }
    return NULL;
}

/** `PRIMARY TAGS (name, ...)` */
static int parse_primary(struct kwdb_table *table, struct scanner *scanner)
{
    if (!take_keyword(scanner, "primary") ||
        (!take_keyword(scanner, "tags") && !take_keyword(scanner, "attributes")) ||
        !take_sign(scanner, '(')) {
        return KWM_ERR_INVAL;
    }
    do {
        struct hal_text name;
        struct kwdb_column *column = take_name(scanner, &name) ? find(table, name) : NULL;
        if (column == NULL) {
            return KWM_ERR_INVAL;
        }
        column->is_primary = true;
    } while (take_sign(scanner, ','));
    return take_sign(scanner, ')') ? KWM_OK : KWM_ERR_INVAL;
}

int kwdb_table_parse(struct kwdb_table *table, const char *sql)
{
    struct scanner scanner = {.at = sql};
    table->column_count = 0;
    table->is_time_series = false;
    next(&scanner);
    if (!take_keyword(&scanner, "create") || !take_keyword(&scanner, "table")) {
        return KWM_ERR_INVAL;
    }
    struct hal_text name; /* of up to three parts */
    do {
        if (!take_name(&scanner, &name)) {
            return KWM_ERR_INVAL;
        }
    } while (take_sign(&scanner, '.'));
    int err = parse_columns(table, &scanner, false);
    if (err == KWM_OK && (take_keyword(&scanner, "tags") || take_keyword(&scanner, "attributes"))) {
        table->is_time_series = true;
        err = parse_columns(table, &scanner, true);
        if (err == KWM_OK) {
            err = parse_primary(table, &scanner);
        }
    }
    return err;
}

/* -- What a type can hold
 *  ----------------------------------------------------------------------- */

static bool is_integer(const struct kwdb_column *column)
{
    return is_text(column->type, "INT8") || is_text(column->type, "INT4") ||
           is_text(column->type, "INT2");
}

static bool is_varying(const struct kwdb_column *column)
{
    return is_text(column->type, "VARCHAR") || is_text(column->type, "NVARCHAR") ||
           is_text(column->type, "CHAR") || is_text(column->type, "NCHAR") ||
           is_text(column->type, "STRING");
}

/** Bytes or characters of a text column; UINT32_MAX if there is no bound. */
static uint32_t text_width(const struct kwdb_column *column)
{
    if (column->width > 0) {
        return column->width;
    }
    return is_text(column->type, "STRING")                                   ? UINT32_MAX
           : is_text(column->type, "CHAR") || is_text(column->type, "NCHAR") ? 1U
                                                                             : TEXT_WIDTH_DEFAULT;
}

/** How a column serves for values of ours. */
struct fit {
    enum kwdb_level level;
    const char *why; /**< NULL: it serves */
    bool can_alter;  /**< KWDB can change it to the type that we want */
};

static struct fit fit_number(enum kwm_ddl_type wanted, const struct kwdb_column *column)
{
    if (is_text(column->type, "FLOAT8") ||
        (wanted == KWM_DDL_INT8 && is_text(column->type, "INT8"))) {
        return (struct fit){.why = NULL};
    }
    if (is_text(column->type, "FLOAT4")) {
        return (struct fit){KWDB_RISK, "which keeps 7 digits and rounds the others away",
                            wanted == KWM_DDL_FLOAT8};
    }
    if (wanted == KWM_DDL_INT8 && is_integer(column)) {
        return (struct fit){KWDB_WRONG, "which refuses a row whose value is beyond its range",
                            true};
    }
    return (struct fit){KWDB_WRONG,
                        is_integer(column) ? "which refuses every row whose value has a fraction"
                                           : "which refuses every row with a number",
                        false};
}

static struct fit fit_text(const struct kwm_ddl_column *wanted, const struct kwdb_column *column)
{
    if (!is_varying(column)) {
        return (struct fit){KWDB_WRONG, "which refuses every row with a text", false};
    }
    const uint32_t width = text_width(column);
    if (wanted->is_tag && wanted->value_len > width) {
        return (struct fit){KWDB_WRONG, "which is too short for its value: every row is refused",
                            !column->is_primary};
    }
    if (!wanted->is_tag && width < wanted->width) {
        return (struct fit){KWDB_RISK, "which refuses a row with a longer text", true};
    }
    return (struct fit){.why = NULL};
}

static struct fit fit_of(const struct kwm_ddl_column *wanted, const struct kwdb_column *column)
{
    switch (wanted->type) {
    case KWM_DDL_INT8:
    case KWM_DDL_FLOAT8:
        return fit_number((enum kwm_ddl_type)wanted->type, column);
    case KWM_DDL_BOOL:
        if (is_text(column->type, "BOOL")) {
            return (struct fit){.why = NULL};
        }
        return is_varying(column) && text_width(column) >= 5U
                   ? (struct fit){KWDB_RISK, "which keeps true and false as text", false}
                   : (struct fit){KWDB_WRONG, "which refuses every row with true or false", false};
    default:
        return fit_text(wanted, column);
    }
}

/* -- Findings
 *  ----------------------------------------------------------------------------------- */

struct comparison {
    const struct kwm_ddl_table *wanted;
    const struct kwdb_table *table;
    const struct kwdb_finding_sink *sink;
    struct kwm_text text;
    struct kwm_text sql;
    char text_buffer[KWDB_FINDING_LEN_MAX];
    char sql_buffer[KWM_DDL_ALTER_LEN_MAX];
};

/** Begin a finding with the words `kind name`. */
static void begin(struct comparison *c, const char *kind, struct hal_text name)
{
    kwm_text_init(&c->text, c->text_buffer, sizeof(c->text_buffer));
    kwm_text_init(&c->sql, c->sql_buffer, sizeof(c->sql_buffer));
    kwm_text_append(&c->text, kind);
    kwm_text_append_bytes(&c->text, name.s, name.len);
}

static void put(struct comparison *c, enum kwdb_level level, const char *words)
{
    kwm_text_append(&c->text, words);
    for (size_t i = 0; i < c->text.len; i++) { /* names of the server's may hold anything */
        if ((unsigned char)c->text_buffer[i] < ' ' || c->text_buffer[i] == '\x7f') {
            c->text_buffer[i] = '?';
        }
    }
    const struct kwdb_finding finding = {
        .level = level, .text = c->text_buffer, .sql = c->sql_buffer};
    c->sink->put(c->sink->ctx, &finding);
}

static const char *kind_of(bool is_tag)
{
    return is_tag ? "tag " : "column ";
}

static void find_missing(struct comparison *c, const struct kwm_ddl_column *wanted)
{
    begin(c, kind_of(wanted->is_tag), wanted->name);
    if (!wanted->is_primary) {
        kwm_ddl_add_column(&c->sql, c->wanted, wanted);
        put(c, KWDB_MISSING, " is missing: every row that has it is refused");
    } else {
        put(c, KWDB_WRONG,
            " is missing and must be primary, which KWDB cannot add to a table: "
            "make a new one, under another name by name_override");
    }
}

static void compare_column(struct comparison *c, const struct kwm_ddl_column *wanted,
                           const struct kwdb_column *column)
{
    const struct fit fit = fit_of(wanted, column);
    if (fit.why != NULL) {
        begin(c, kind_of(wanted->is_tag), wanted->name);
        kwm_text_append(&c->text, " is ");
        kwm_text_append_bytes(&c->text, column->type.s, column->type.len);
        if (column->width > 0) {
            kwm_text_append_char(&c->text, '(');
            kwm_text_append_uint(&c->text, column->width);
            kwm_text_append_char(&c->text, ')');
        }
        kwm_text_append(&c->text, ", ");
        if (fit.can_alter && column->is_tag == wanted->is_tag) {
            kwm_ddl_alter_type(&c->sql, c->wanted, wanted);
        }
        kwm_text_append(&c->text, fit.why);
        put(c, fit.level,
            c->sql.len > 0 ? "" : "; make a new table, under another name by name_override");
    }
    if (wanted->is_primary && !column->is_primary) {
        begin(c, "tag ", wanted->name);
        put(c, KWDB_WRONG,
            " is not primary, but tells rows apart: KWDB replaces one of them by "
            "the other; make a new table, under another name by name_override");
    } else if (!wanted->is_tag && column->is_tag) {
        begin(c, "column ", wanted->name);
        put(c, KWDB_WRONG,
            " is a tag here, whose first value KWDB keeps for ever; make a new "
            "table, under another name by name_override");
    } else if (!wanted->is_always &&
               (column->is_primary || (column->is_not_null && !column->has_default))) {
        begin(c, kind_of(wanted->is_tag), wanted->name);
        put(c, KWDB_RISK,
            column->is_primary ? " is primary: a row that lacks it is refused"
                               : " is NOT NULL: a row that lacks it is refused");
    }
}

static void compare_time(struct comparison *c)
{
    static const struct hal_text name = {.s = "k_timestamp", .len = 11};
    const struct kwdb_column *column = NULL;
    for (uint16_t i = 0; i < c->table->column_count && column == NULL; i++) {
        column = is_equal(c->table->columns[i].name, name) ? &c->table->columns[i] : NULL;
    }
    begin(c, "column ", name);
    if (column == NULL) {
        put(c, KWDB_WRONG,
            " is missing: KWDB's endpoint writes the time there and nowhere else; "
            "make a new table, under another name by name_override");
        return;
    }
    const bool is_time = is_text(column->type, "TIMESTAMPTZ") || is_text(column->type, "TIMESTAMP");
    if (!is_time) {
        put(c, KWDB_WRONG,
            " is not a TIMESTAMPTZ(3); make a new table, under another name by "
            "name_override");
    } else if (column->width != 0 && column->width != 3U) {
        put(c, KWDB_WRONG,
            " has not the precision of milliseconds, (3): KWDB would take our time "
            "for one in 1970; make a new table, under another name by "
            "name_override");
    }
}

static bool is_wanted(const struct kwm_ddl_table *wanted, struct hal_text name)
{
    for (uint16_t i = 0; i < wanted->column_count; i++) {
        if (is_equal(wanted->columns[i].name, name)) {
            return true;
        }
    }
    return is_equal(name, (struct hal_text){.s = "k_timestamp", .len = 11});
}

/** What the table insists on and our rows have not. */
static void compare_others(struct comparison *c)
{
    for (uint16_t i = 0; i < c->table->column_count; i++) {
        const struct kwdb_column *column = &c->table->columns[i];
        if (!column->is_primary && (!column->is_not_null || column->has_default)) {
            continue;
        }
        if (is_wanted(c->wanted, column->name)) {
            continue;
        }
        begin(c, kind_of(column->is_tag), column->name);
        put(c, KWDB_WRONG,
            column->is_primary
                ? " is primary and our rows lack it: all are refused; set it in global_tags or "
                  "the input's tags"
                : " is NOT NULL and our rows lack it: all are refused; make a new table, under "
                  "another name by name_override");
    }
}

void kwdb_table_compare(const struct kwm_ddl_table *wanted, const struct kwdb_table *table,
                        const struct kwdb_finding_sink *sink)
{
    struct comparison c = {.wanted = wanted, .table = table, .sink = sink};
    if (!table->is_time_series) {
        begin(&c, "it is no time-series table", (struct hal_text){.s = "", .len = 0});
        put(&c, KWDB_RISK,
            ", so nothing else of it was looked at: rows are kept if its k_timestamp is an INT8 "
            "and "
            "its types are right, and not replaced when sent again");
        return;
    }
    compare_time(&c);
    for (uint16_t i = 0; i < wanted->column_count; i++) {
        const struct kwm_ddl_column *column = &wanted->columns[i];
        const struct kwdb_column *have = NULL;
        for (uint16_t k = 0; k < table->column_count && have == NULL; k++) {
            have = is_equal(table->columns[k].name, column->name) ? &table->columns[k] : NULL;
        }
        if (have == NULL) {
            find_missing(&c, column);
        } else {
            compare_column(&c, column, have);
        }
    }
    compare_others(&c);
}
