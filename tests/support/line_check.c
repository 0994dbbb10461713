/* SPDX-License-Identifier: MIT */
#include "line_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line_decoder.h"

#define NUMBER_CAP 400U

/* What is expected of a text: the bytes, and how many of them stand for something else. */
struct expected {
    char s[HAL_TEXT_LEN_MAX];
    size_t len;
    uint32_t replaced;
};

static bool is_control(char c)
{
    return (uint8_t)c < 0x20 || c == 0x7F;
}

/* Bytes of the character at s, 0 if it is broken. */
static size_t char_len(const char *s, size_t len)
{
    for (size_t n = 1; n <= 4 && n <= len; n++) {
        if (line_is_utf8(s, n)) {
            return n;
        }
    }
    return 0;
}

static void expect_text(enum kwm_dialect dialect, struct hal_text text, struct expected *out)
{
    const char *const lost = dialect == KWM_DIALECT_KWDB ? " ,=;" : "";
    out->len = text.len;
    out->replaced = 0;
    for (size_t i = 0; i < text.len;) {
        const size_t n = char_len(text.s + i, text.len - i);
        if (n == 0 || is_control(text.s[i]) || strchr(lost, text.s[i]) != NULL) {
            out->s[i++] = '_';
            out->replaced++;
        } else {
            memcpy(out->s + i, text.s + i, n);
            i += n;
        }
    }
}

static struct hal_text trim(struct hal_text text, uint32_t *replaced)
{
    while (text.len > 0 && text.s[text.len - 1] == '\\') {
        text.len--;
        (*replaced)++;
    }
    return text;
}

/* --------------------------------------------------------------------- names */

static bool is_kwdb_name(struct hal_text name)
{
    if (name.len == 0 || name.len > 63 || (name.len == 11 && !memcmp(name.s, "k_timestamp", 11)) ||
        strchr("0123456789", name.s[0]) != NULL) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.s[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_influx_name(struct hal_text name, const char *escaped)
{
    if (name.len == 0 || !line_is_utf8(name.s, name.len) || name.s[name.len - 1] == '\\') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (is_control(name.s[i]) || (name.s[i] == '\\' && strchr(escaped, name.s[i + 1]))) {
            return false;
        }
    }
    return true;
}

static bool is_key(enum kwm_dialect dialect, struct hal_text name)
{
    if (dialect == KWM_DIALECT_KWDB) {
        return is_kwdb_name(name);
    }
    return is_influx_name(name, ", =") && !(name.len == 4 && memcmp(name.s, "time", 4) == 0);
}

bool line_is_carried(enum kwm_dialect dialect, const struct kwm_decl *decl)
{
    const bool is_kwdb = dialect == KWM_DIALECT_KWDB;
    struct hal_text names[HAL_TAGS_MAX + HAL_FIELDS_MAX];
    unsigned count = 0;
    unsigned tags = 0;
    uint32_t ignored = 0;
    const uint8_t *cursor = decl->tags;
    if (is_kwdb ? !is_kwdb_name(decl->measurement)
                : !is_influx_name(decl->measurement, ", ") || decl->measurement.s[0] == '#') {
        return false;
    }
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        tags += tag.role == HAL_TAG_PRIMARY || (tag.role == HAL_TAG_CONSTANT && tag.value.len > 0);
        names[count++] = is_kwdb ? tag.key : trim(tag.key, &ignored);
    }
    cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        names[count++] = field.name;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!is_key(dialect, names[i])) {
            return false;
        }
        for (unsigned k = 0; is_kwdb && k < i; k++) {
            if (names[i].len == names[k].len && !memcmp(names[i].s, names[k].s, names[i].len)) {
                return false;
            }
        }
    }
    return !is_kwdb || tags > 0;
}

/* --------------------------------------------------------------------- cells */

struct check {
    enum kwm_dialect dialect;
    const struct line_decoded *line;
    unsigned at; /* the next cell */
    uint32_t replaced;
    uint32_t clipped;
};

static bool is_text(struct line_text text, const char *s, size_t len)
{
    return text.len == len && memcmp(text.s, s, len) == 0;
}

static bool is_word(struct line_text text, const char *word)
{
    return is_text(text, word, strlen(word));
}

/* The next cell, which has to have that name; else NULL. */
static const struct line_cell *next_cell(struct check *check, struct hal_text name)
{
    if (check->at == check->line->cell_count) {
        return NULL;
    }
    const struct line_cell *const cell = &check->line->cells[check->at++];
    return is_text(cell->name, name.s, name.len) ? cell : NULL;
}

static const char *check_text(struct check *check, const struct line_cell *cell,
                              struct hal_text text)
{
    struct expected expected;
    expect_text(check->dialect, text, &expected);
    check->replaced += expected.replaced;
    if (cell->kind != LINE_CELL_STRING) {
        return "a text is no string";
    }
    return is_text(cell->text, expected.s, expected.len) ? NULL : "a text is another";
}

static const char *check_tags(struct check *check, const struct kwm_decl *decl, bool is_mutable)
{
    const bool is_kwdb = check->dialect == KWM_DIALECT_KWDB;
    const uint8_t *cursor = decl->tags;
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        if (!is_kwdb) {
            tag.key = trim(tag.key, &check->replaced);
            tag.value = trim(tag.value, &check->replaced);
        }
        if ((is_kwdb && (tag.role == HAL_TAG_MUTABLE) != is_mutable) ||
            (tag.value.len == 0 && !(is_kwdb && tag.role == HAL_TAG_PRIMARY))) {
            continue;
        }
        const struct line_cell *const cell = next_cell(check, tag.key);
        const char *const reason =
            cell == NULL ? "a tag is missing" : check_text(check, cell, tag.value);
        if (reason != NULL) {
            return reason;
        }
    }
    return NULL;
}

static const char *check_double(const struct line_cell *cell, double value)
{
    char text[NUMBER_CAP];
    if (cell->kind != LINE_CELL_NUMBER || cell->text.len >= sizeof(text)) {
        return "a double is no number";
    }
    memcpy(text, cell->text.s, cell->text.len);
    text[cell->text.len] = '\0';
    const double read = strtod(text, NULL);
    return memcmp(&read, &value, sizeof(read)) == 0 ? NULL : "a double is another";
}

static const char *check_fixed(const struct line_cell *cell, const struct hal_value *value)
{
    char text[NUMBER_CAP];
    const unsigned long long magnitude =
        value->i < 0 ? 0ULL - (unsigned long long)value->i : (unsigned long long)value->i;
    unsigned long long power = 1;
    for (unsigned i = 0; i < value->scale; i++) {
        power *= 10;
    }
    (void)snprintf(text, sizeof(text), "%s%llu", value->i < 0 ? "-" : "", magnitude / power);
    if (value->scale > 0) {
        const size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, ".%0*llu", (int)value->scale,
                       magnitude % power);
    }
    return cell->kind == LINE_CELL_NUMBER && is_word(cell->text, text) ? NULL
                                                                       : "a fixed point is another";
}

static const char *check_value(struct check *check, const struct line_cell *cell,
                               const struct hal_value *value)
{
    char text[NUMBER_CAP];
    switch (value->kind) {
    case HAL_KIND_INT:
        (void)snprintf(text, sizeof(text), "%lld", (long long)value->i);
        return cell->kind == LINE_CELL_INT && is_word(cell->text, text) ? NULL
                                                                        : "an int is another";
    case HAL_KIND_UINT:
        check->clipped += value->u > INT64_MAX ? 1U : 0U;
        (void)snprintf(text, sizeof(text), "%llu",
                       (unsigned long long)(value->u > INT64_MAX ? INT64_MAX : value->u));
        return cell->kind == LINE_CELL_INT && is_word(cell->text, text) ? NULL
                                                                        : "a uint is another";
    case HAL_KIND_DOUBLE:
        return check_double(cell, value->d);
    case HAL_KIND_FIXED:
        return check_fixed(cell, value);
    case HAL_KIND_BOOL:
        return cell->kind == LINE_CELL_WORD && is_word(cell->text, value->b ? "true" : "false")
                   ? NULL
                   : "a bool is another";
    default:
        return check_text(check, cell, (struct hal_text){value->s, value->len});
    }
}

static bool is_present(const struct kwm_decl_field *field, const struct hal_value *value)
{
    return value->kind == field->kind && value->scale == field->scale &&
           !(value->kind == HAL_KIND_DOUBLE && !isfinite(value->d));
}

unsigned line_present_count(const struct kwm_decl *decl, const struct hal_value *values)
{
    unsigned count = 0;
    const uint8_t *cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        count += is_present(&field, &values[i]) ? 1U : 0U;
    }
    return count;
}

static const char *check_fields(struct check *check, const struct kwm_decl *decl,
                                const struct hal_value *values)
{
    const uint8_t *cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        if (!is_present(&field, &values[i])) {
            continue;
        }
        const struct line_cell *const cell = next_cell(check, field.name);
        const char *const reason =
            cell == NULL ? "a field is missing" : check_value(check, cell, &values[i]);
        if (reason != NULL) {
            return reason;
        }
    }
    return check->at == check->line->cell_count ? NULL : "something more than declared";
}

const char *line_check(enum kwm_dialect dialect, const struct kwm_decl *decl,
                       const struct hal_value *values, int64_t stamp_ms, const char *line,
                       size_t len, const struct kwm_line_losses *template_losses,
                       const struct kwm_line_losses *losses)
{
    static struct line_decoded decoded;
    const bool is_kwdb = dialect == KWM_DIALECT_KWDB;
    struct check check = {.dialect = dialect, .line = &decoded};
    const char *reason =
        is_kwdb ? line_decode_kwdb(&decoded, line, len) : line_decode_influx(&decoded, line, len);
    if (reason != NULL) {
        return reason;
    }
    if (!is_text(decoded.measurement, decl->measurement.s, decl->measurement.len)) {
        return "the measurement is another";
    }
    reason = check_tags(&check, decl, false);
    if (reason == NULL && check.at != decoded.tag_count) {
        reason = "a tag is a field, or the other way round";
    }
    if (reason == NULL && is_kwdb) {
        reason = check_tags(&check, decl, true);
    }
    if (reason == NULL && template_losses->replaced != check.replaced) {
        reason = "the template's losses are miscounted";
    }
    check.replaced = 0;
    if (reason == NULL) {
        reason = check_fields(&check, decl, values);
    }
    if (reason == NULL &&
        (losses->replaced != check.replaced || losses->clipped != check.clipped)) {
        reason = "the line's losses are miscounted";
    }
    if (reason == NULL &&
        (decoded.stamp != (is_kwdb ? stamp_ms : stamp_ms * 1000000) || decoded.part_count != 3)) {
        reason = "the stamp is another, or something is behind it";
    }
    return reason;
}
