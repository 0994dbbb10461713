/* SPDX-License-Identifier: MIT */
#include "line_decoder.h"

#include <stdlib.h>
#include <string.h>

#define KWDB_STAMP_LEN 13U

const char *const line_reserved_words[] = {"all",
                                           "analyse",
                                           "analyze",
                                           "and",
                                           "any",
                                           "array",
                                           "as",
                                           "asc",
                                           "assign",
                                           "asymmetric",
                                           "attribute",
                                           "attributes",
                                           "both",
                                           "case",
                                           "cast",
                                           "cast_check",
                                           "check",
                                           "collate",
                                           "collation",
                                           "column",
                                           "comment",
                                           "compress",
                                           "concurrently",
                                           "constraint",
                                           "continue",
                                           "create",
                                           "cross",
                                           "current_catalog",
                                           "current_date",
                                           "current_role",
                                           "current_schema",
                                           "current_time",
                                           "current_timestamp",
                                           "current_user",
                                           "cursor",
                                           "ddlreplay",
                                           "default",
                                           "deferrable",
                                           "delimiter_eof",
                                           "desc",
                                           "distinct",
                                           "do",
                                           "each",
                                           "else",
                                           "elsif",
                                           "encode",
                                           "end",
                                           "endcase",
                                           "endhandler",
                                           "endif",
                                           "endloop",
                                           "endwhile",
                                           "except",
                                           "exit",
                                           "false",
                                           "family",
                                           "fetch",
                                           "fill",
                                           "for",
                                           "foreign",
                                           "found",
                                           "from",
                                           "full",
                                           "grant",
                                           "group",
                                           "handler",
                                           "having",
                                           "ilike",
                                           "in",
                                           "index",
                                           "initially",
                                           "inner",
                                           "intersect",
                                           "into",
                                           "is",
                                           "isnull",
                                           "join",
                                           "lateral",
                                           "leading",
                                           "left",
                                           "like",
                                           "limit",
                                           "localtime",
                                           "localtimestamp",
                                           "loop",
                                           "natural",
                                           "never",
                                           "none",
                                           "not",
                                           "nothing",
                                           "notnull",
                                           "null",
                                           "offset",
                                           "on",
                                           "only",
                                           "or",
                                           "order",
                                           "outer",
                                           "overlaps",
                                           "placing",
                                           "primary",
                                           "rebalance",
                                           "recurring",
                                           "references",
                                           "returning",
                                           "returns",
                                           "right",
                                           "sample",
                                           "select",
                                           "session_user",
                                           "similar",
                                           "some",
                                           "sqlexception",
                                           "symmetric",
                                           "syntax",
                                           "table",
                                           "tag",
                                           "tag_only",
                                           "tag_table",
                                           "tags",
                                           "then",
                                           "to",
                                           "trailing",
                                           "true",
                                           "union",
                                           "unique",
                                           "user",
                                           "using",
                                           "variadic",
                                           "when",
                                           "where",
                                           "while",
                                           "window",
                                           "with",
                                           NULL};

/* A piece of the line. */
struct span {
    const char *s;
    const char *end;
};

static size_t span_len(struct span span)
{
    return (size_t)(span.end - span.s);
}

/* Take what is before the separator from the rest; all of it if there is none. False: no rest. */
static bool split(struct span *rest, char separator, struct span *piece)
{
    if (rest->s == NULL) {
        return false;
    }
    const char *const at = memchr(rest->s, separator, span_len(*rest));
    *piece = (struct span){rest->s, at != NULL ? at : rest->end};
    rest->s = at != NULL ? at + 1 : NULL;
    return true;
}

static void add_char(struct line_decoded *out, struct line_text *text, char c)
{
    if (out->text_len == LINE_TEXT_MAX) {
        abort();
    }
    out->text[out->text_len++] = c;
    text->len++;
}

static struct line_text begin_text(const struct line_decoded *out)
{
    return (struct line_text){out->text + out->text_len, 0};
}

static struct line_text keep(struct line_decoded *out, struct span span)
{
    struct line_text text = begin_text(out);
    for (const char *p = span.s; p < span.end; p++) {
        add_char(out, &text, *p);
    }
    return text;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* By code point: what one needs fewer bytes for, surrogates and what is above U+10FFFF are
 *  wrong. */
bool line_is_utf8(const char *s, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        const uint8_t first = (uint8_t)s[i];
        unsigned count = 1;
        while (count <= 4 && (first >> (7U - count) & 1U) != 0) {
            count++;
        }
        if (first < 0x80) {
            i++;
            continue;
        }
        if (count < 2 || count > 4 || (first & 0x40U) == 0 || len - i < count) {
            return false;
        }
        uint32_t point = first & (0x7FU >> count);
        for (unsigned k = 1; k < count; k++) {
            if (((uint8_t)s[i + k] & 0xC0U) != 0x80U) {
                return false;
            }
            point = point << 6 | ((uint8_t)s[i + k] & 0x3FU);
        }
        if (point < least[count] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
            return false;
        }
        i += count;
    }
    return true;
}

static const char *read_stamp(struct span span, int64_t *stamp)
{
    char digits[24] = {0};
    char *end;
    if (span_len(span) == 0 || span_len(span) >= sizeof(digits)) {
        return "the stamp is empty or too long";
    }
    memcpy(digits, span.s, span_len(span));
    if (!is_digit(digits[0]) && !(digits[0] == '-' && is_digit(digits[1]))) {
        return "the stamp is no integer";
    }
    *stamp = strtoll(digits, &end, 10);
    return *end == '\0' ? NULL : "the stamp is no integer";
}

static bool is_same(struct line_text a, struct line_text b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

/* ---------------------------------------------------------------------- kwdb */

/* KWDB's own expression: ^[+-]?[0-9]*[.]?[0-9]+[i]?$ */
static bool is_kwdb_number(struct span span)
{
    const char *p = span.s;
    if (p < span.end && (*p == '+' || *p == '-')) {
        p++;
    }
    const char *const whole = p;
    while (p < span.end && is_digit(*p)) {
        p++;
    }
    if (p < span.end && *p == '.') {
        p++;
        const char *const fraction = p;
        while (p < span.end && is_digit(*p)) {
            p++;
        }
        if (p == fraction) {
            return false;
        }
    } else if (p == whole) {
        return false;
    }
    if (p < span.end && *p == 'i') {
        p++;
    }
    return p == span.end;
}

/* SQL's string literal without its outer quotes. */
static const char *read_sql_string(struct line_decoded *out, struct span span,
                                   struct line_text *text)
{
    *text = begin_text(out);
    for (const char *p = span.s; p < span.end; p++) {
        if (*p == '\'') {
            if (p + 1 == span.end || p[1] != '\'') {
                return "syntax error: a quote inside a string";
            }
            p++;
        }
        add_char(out, text, *p);
    }
    return NULL;
}

static const char *read_kwdb_value(struct line_decoded *out, struct span span,
                                   struct line_cell *cell)
{
    const bool is_quoted = span_len(span) > 0 && span.s[0] == '\'' && span.end[-1] == '\'';
    if (is_kwdb_number(span)) {
        cell->kind = span.end[-1] == 'i' ? LINE_CELL_INT : LINE_CELL_NUMBER;
        span.end -= cell->kind == LINE_CELL_INT ? 1 : 0;
        cell->text = keep(out, span);
        return NULL;
    }
    cell->kind = is_quoted ? LINE_CELL_STRING : LINE_CELL_WORD;
    if (is_quoted) {
        if (span_len(span) == 1) {
            return "lexical error: unterminated string";
        }
        span = (struct span){span.s + 1, span.end - 1};
    }
    return read_sql_string(out, span, &cell->text);
}

/* SQL's identifier: bare ones fold to lower case and are no reserved words. */
static const char *read_sql_name(struct line_decoded *out, struct span span, bool is_table,
                                 struct line_text *name)
{
    if (span_len(span) > 2 && span.s[0] == '"' && span.end[-1] == '"') {
        *name = keep(out, (struct span){span.s + 1, span.end - 1});
        return memchr(name->s, '"', name->len) == NULL ? NULL : "syntax error: a quote in a name";
    }
    *name = begin_text(out);
    for (const char *p = span.s; p < span.end; p++) {
        const char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        const bool is_letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && !(is_digit(c) && p > span.s)) {
            return "syntax error: no identifier";
        }
        add_char(out, name, c);
    }
    for (size_t i = 0; line_reserved_words[i] != NULL; i++) {
        const char *const word = line_reserved_words[i];
        const bool is_allowed =
            is_table && (strcmp(word, "family") == 0 || strcmp(word, "index") == 0 ||
                         strcmp(word, "nothing") == 0);
        if (strlen(word) == name->len && memcmp(word, name->s, name->len) == 0 && !is_allowed) {
            return "syntax error: a reserved word";
        }
    }
    return name->len > 0 ? NULL : "syntax error: no identifier";
}

static const char *read_kwdb_cell(struct line_decoded *out, struct span piece)
{
    struct span name;
    struct span value;
    struct line_cell *const cell = &out->cells[out->cell_count];
    if (out->cell_count == LINE_CELLS_MAX) {
        return "too many columns for this decoder";
    }
    (void)split(&piece, '=', &name);
    if (!split(&piece, '=', &value)) {
        return "wrong telegraf insert statement";
    }
    const char *reason = read_sql_name(out, name, false, &cell->name);
    if (reason == NULL) {
        reason = read_kwdb_value(out, value, cell);
    }
    for (unsigned i = 0; i < out->cell_count && reason == NULL; i++) {
        if (is_same(out->cells[i].name, cell->name)) {
            reason = "multiple assignments to the same column";
        }
    }
    out->cell_count++;
    return reason;
}

static const char *read_kwdb_cells(struct line_decoded *out, struct span rest)
{
    struct span piece;
    const char *reason = NULL;
    while (reason == NULL && split(&rest, ',', &piece)) {
        reason = read_kwdb_cell(out, piece);
    }
    return reason;
}

static const char *read_kwdb_parts(struct line_decoded *out, const struct span parts[3])
{
    struct span tags = parts[0];
    struct span table;
    (void)split(&tags, ',', &table);
    const char *reason = read_sql_name(out, table, true, &out->measurement);
    if (reason == NULL) {
        reason = read_kwdb_cells(out, tags);
    }
    out->tag_count = out->cell_count;
    if (reason == NULL) {
        reason = read_kwdb_cells(out, parts[1]);
    }
    if (reason == NULL) {
        struct span stamp = parts[2];
        if (span_len(stamp) > KWDB_STAMP_LEN) {
            stamp.end = stamp.s + KWDB_STAMP_LEN;
        }
        reason = read_stamp(stamp, &out->stamp);
    }
    return reason;
}

const char *line_decode_kwdb(struct line_decoded *out, const char *line, size_t len)
{
    struct span rest = {line, line + len};
    struct span parts[3];
    struct span piece;
    unsigned semicolons = 0;
    out->cell_count = 0;
    out->part_count = 0;
    out->text_len = 0;
    for (size_t i = 0; i < len; i++) {
        semicolons += line[i] == ';' ? 1U : 0U;
        if (line[i] == '\n') {
            return "two lines";
        }
    }
    while (split(&rest, ' ', &piece)) {
        if (out->part_count < 3) {
            parts[out->part_count] = piece;
        }
        out->part_count++;
    }
    if (out->part_count < 3) {
        return "wrong telegraf insert statement";
    }
    if (semicolons > 1) {
        return "only support single statement for each telegraf interface";
    }
    if (!line_is_utf8(line, len)) {
        return "lexical error: invalid UTF-8 byte sequence";
    }
    return read_kwdb_parts(out, parts);
}

/* -------------------------------------------------------------------- influx */

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A text up to one of the ends that has no backslash before it; of the escapes, a backslash
 *  goes. */
static struct line_text read_name(struct line_decoded *out, const char **p, const char *end,
                                  const char *ends, const char *escapes)
{
    struct line_text text = begin_text(out);
    const char *const begin = *p;
    while (*p < end && (!is_one_of(**p, ends) || (*p > begin && (*p)[-1] == '\\'))) {
        if (text.len > 0 && (*p)[-1] == '\\' && is_one_of(**p, escapes)) {
            out->text_len--;
            text.len--;
        }
        add_char(out, &text, **p);
        (*p)++;
    }
    return text;
}

/* A field's key: here a backslash takes the character behind it along, whatever it is. */
static struct line_text read_field_key(struct line_decoded *out, const char **p, const char *end)
{
    struct line_text text = begin_text(out);
    while (*p < end && !is_one_of(**p, "=, ")) {
        if (**p == '\\' && *p + 1 < end) {
            if (!is_one_of((*p)[1], "=, ")) {
                add_char(out, &text, '\\');
            }
            (*p)++;
        }
        add_char(out, &text, **p);
        (*p)++;
    }
    return text;
}

static const char *read_influx_string(struct line_decoded *out, const char **p, const char *end,
                                      struct line_cell *cell)
{
    cell->kind = LINE_CELL_STRING;
    cell->text = begin_text(out);
    (*p)++;
    while (*p < end && **p != '"') {
        if (**p == '\\' && *p + 1 < end && ((*p)[1] == '"' || (*p)[1] == '\\')) {
            (*p)++;
        }
        add_char(out, &cell->text, **p);
        (*p)++;
    }
    if (*p == end) {
        return "unbalanced quotes";
    }
    (*p)++;
    return NULL;
}

static const char *read_influx_value(struct line_decoded *out, const char **p, const char *end,
                                     struct line_cell *cell)
{
    if (*p < end && **p == '"') {
        return read_influx_string(out, p, end, cell);
    }
    struct span span = {*p, *p};
    while (span.end < end && *span.end != ',' && *span.end != ' ') {
        span.end++;
    }
    *p = span.end;
    if (span_len(span) == 0) {
        return "missing field value";
    }
    if (span.s[0] != '+' && span.s[0] != '.' && is_kwdb_number(span)) {
        const bool is_int = span.end[-1] == 'i';
        if (is_int && memchr(span.s, '.', span_len(span)) != NULL) {
            return "invalid number";
        }
        cell->kind = is_int ? LINE_CELL_INT : LINE_CELL_NUMBER;
        span.end -= is_int ? 1 : 0;
    } else {
        cell->kind = LINE_CELL_WORD;
    }
    cell->text = keep(out, span);
    return cell->kind != LINE_CELL_WORD ||
                   (cell->text.len == 4 && memcmp(span.s, "true", 4) == 0) ||
                   (cell->text.len == 5 && memcmp(span.s, "false", 5) == 0)
               ? NULL
               : "invalid value";
}

static const char *read_influx_tags(struct line_decoded *out, const char **p, const char *end)
{
    while (*p < end && **p == ',') {
        struct line_cell *const cell = &out->cells[out->cell_count];
        if (out->cell_count == LINE_CELLS_MAX) {
            return "too many tags for this decoder";
        }
        (*p)++;
        cell->name = read_name(out, p, end, "=, ", "=, ");
        if (cell->name.len == 0 || *p == end || **p != '=') {
            return "missing tag key or value";
        }
        (*p)++;
        cell->kind = LINE_CELL_STRING;
        cell->text = read_name(out, p, end, "=, ", "=, ");
        if (cell->text.len == 0 || (*p < end && **p == '=')) {
            return "missing tag value or invalid tag format";
        }
        out->cell_count++;
    }
    out->tag_count = out->cell_count;
    return *p < end && **p == ' ' ? NULL : "missing fields";
}

static const char *read_influx_fields(struct line_decoded *out, const char **p, const char *end)
{
    do {
        struct line_cell *const cell = &out->cells[out->cell_count];
        if (out->cell_count == LINE_CELLS_MAX) {
            return "too many fields for this decoder";
        }
        (*p)++;
        cell->name = read_field_key(out, p, end);
        if (cell->name.len == 0 || *p == end || **p != '=') {
            return "missing field key";
        }
        (*p)++;
        const char *const reason = read_influx_value(out, p, end, cell);
        if (reason != NULL) {
            return reason;
        }
        out->cell_count++;
    } while (*p < end && **p == ',');
    return *p < end && **p == ' ' ? NULL : "missing stamp";
}

const char *line_decode_influx(struct line_decoded *out, const char *line, size_t len)
{
    const char *p = line;
    const char *const end = line + len;
    out->cell_count = 0;
    out->part_count = 3;
    out->text_len = 0;
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)line[i] < 0x20 || line[i] == 0x7F) {
            return "a control character";
        }
    }
    if (!line_is_utf8(line, len)) {
        return "invalid UTF-8";
    }
    if (len == 0 || line[0] == '#' || line[0] == ',') {
        return "a comment, or no measurement";
    }
    out->measurement = read_name(out, &p, end, ", ", ", ");
    const char *reason = read_influx_tags(out, &p, end);
    if (reason == NULL) {
        reason = read_influx_fields(out, &p, end);
    }
    if (reason == NULL) {
        reason = read_stamp((struct span){p + 1, end}, &out->stamp);
    }
    return reason;
}
