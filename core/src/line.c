/* SPDX-License-Identifier: MIT */
#include "kwm/line.h"

#include <stdbool.h>
#include <string.h>

#include "hal/assert.h"
#include "kwm/name.h"
#include "kwm/number.h"
#include "number_internal.h"

/* A template is
 *
 *   dialect | separator | prefix length (2) | room of a field (2) | prefix
 *   {kind and flag | scale | form (2) | key length (2) | key}... for each field | 0 | 0...
 *
 * with a prefix such as `env,host='gw-17'`, which with mutable tags goes on ` mode='rw'`, and keys
 * such as `,temp=` (a string's with its opening quote). All keys begin with a comma; the separator
 * replaces the first one of a line. Prefix and keys are copied in blocks, so the zeros at the end
 * are as many as the last block needs. The form is number_put_short()'s; fields whose values it
 * cannot write have the flag. */
#define HEAD_LEN 6U
#define FIELD_HEAD_LEN 6U
#define LONG_FLAG 0x80U
#define BLOCK_LEN 16U

/* What a key and a value in short form may write, beyond the key's own length: a sign, too. */
#define SHORT_ROOM (BLOCK_LEN + 1U + NUMBER_SHORT_ROOM)

#define STAMP_MS_MIN 1000000000000 /* the first one of 13 digits */
#define STAMP_MS_MAX 9999999999999
#define STAMP_LEN 13U
#define NS_PER_MS_ZEROS "000000"
#define NS_STAMP_MS_MAX (INT64_MAX / 1000000)

#define RARELY __attribute__((noinline, cold))

_Static_assert(KWM_LINE_TEMPLATE_LEN_MAX <= UINT16_MAX, "lengths of the head");
_Static_assert(sizeof(struct number_form) == 2 && _Alignof(struct number_form) == 1,
               "a form can be read where it is in a template");
_Static_assert(offsetof(struct hal_value, kind) == 0 && offsetof(struct hal_value, scale) == 1,
               "is_declared() compares both at once");

/* ---------------------------------------------------------------------- text */

/** Where text is written, by what its place makes of it. */
enum text_place {
    PLACE_KWDB,               /**< between single quotes */
    PLACE_INFLUX_STRING,      /**< between double quotes */
    PLACE_INFLUX_MEASUREMENT, /**< bare */
    PLACE_INFLUX_KEY,         /**< bare: tag key, tag value, field name */
};

/** Bytes up to a capacity; len goes on counting beyond it. */
struct sink {
    char *out;
    size_t cap;
    size_t len;
    size_t blocks_end; /**< what is read in blocks ends here */
    uint32_t replaced;
};

static void put(struct sink *sink, char c)
{
    if (sink->len < sink->cap) {
        sink->out[sink->len] = c;
    }
    sink->len++;
}

/** Replace a byte that was put before. */
static void set(struct sink *sink, size_t off, char c)
{
    if (off < sink->cap) {
        sink->out[off] = c;
    }
}

static void set_u16(struct sink *sink, size_t off, size_t value)
{
    set(sink, off, (char)value);
    set(sink, off + 1U, (char)(value >> 8));
}

static void put_bytes(struct sink *sink, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        put(sink, bytes[i]);
    }
}

static bool is_control(char c)
{
    return (uint8_t)c < 0x20U || c == 0x7F;
}

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xC0U) == 0x80U;
}

/** @return bytes of the character at s by RFC 3629 (no overlong forms, no surrogates, nothing above
 *          U+10FFFF), 0 if it is none. */
static size_t utf8_len(const char *s, size_t len)
{
    const uint8_t first = (uint8_t)s[0];
    if (first < 0x80U) {
        return 1;
    }
    const size_t need = first < 0xE0U ? 2U : first < 0xF0U ? 3U : 4U;
    if (first < 0xC2U || first > 0xF4U || len < need) {
        return 0;
    }
    const uint8_t second = (uint8_t)s[1];
    if ((first == 0xE0U && second < 0xA0U) || (first == 0xEDU && second > 0x9FU) ||
        (first == 0xF0U && second < 0x90U) || (first == 0xF4U && second > 0x8FU)) {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if (!is_continuation(s[i])) {
            return 0;
        }
    }
    return need;
}

/** KWDB splits at these without regard for quotes; two semicolons in a line are refused. */
static bool is_carried(enum text_place place, char c)
{
    return !is_control(c) &&
           !(place == PLACE_KWDB && (c == ' ' || c == ',' || c == '=' || c == ';'));
}

/** @return what goes before c, '\0' for nothing. */
static char escape_of(enum text_place place, char c)
{
    switch (place) {
    case PLACE_KWDB:
        return c == '\'' ? '\'' : '\0';
    case PLACE_INFLUX_STRING:
        return c == '"' || c == '\\' ? '\\' : '\0';
    case PLACE_INFLUX_MEASUREMENT:
        return c == ' ' || c == ',' ? '\\' : '\0';
    case PLACE_INFLUX_KEY:
    default:
        return c == ' ' || c == ',' || c == '=' ? '\\' : '\0';
    }
}

static void put_text(struct sink *sink, enum text_place place, struct hal_text text)
{
    size_t off = 0;
    while (off < text.len) {
        const char *const s = text.s + off;
        const size_t len = utf8_len(s, text.len - off);
        if (len == 0 || !is_carried(place, s[0])) {
            put(sink, '_');
            sink->replaced++;
            off++;
            continue;
        }
        const char escape = escape_of(place, s[0]);
        if (escape != '\0') {
            put(sink, escape);
        }
        put_bytes(sink, s, len);
        off += len;
    }
}

/* --------------------------------------------------------------------- names */

static bool is_text(struct hal_text text, const char *other)
{
    return text.len == strlen(other) && memcmp(text.s, other, text.len) == 0;
}

/** A server that looks at the byte before a separator, and one that takes bytes in pairs, disagree
 *  on a backslash of the name's own before an escape. One at the end escapes what follows the
 *  name. */
static bool is_influx_name_valid(enum text_place place, struct hal_text name)
{
    for (size_t off = 0; off < name.len;) {
        const size_t len = utf8_len(name.s + off, name.len - off);
        if (len == 0 || is_control(name.s[off])) {
            return false;
        }
        if (name.s[off] == '\\' &&
            (off + 1U == name.len || escape_of(place, name.s[off + 1U]) != '\0')) {
            return false;
        }
        off += len;
    }
    return name.len > 0;
}

static bool is_measurement_valid(enum kwm_dialect dialect, struct hal_text name)
{
    if (dialect == KWM_DIALECT_KWDB) {
        return kwm_name_is_valid(name.s, name.len);
    }
    return is_influx_name_valid(PLACE_INFLUX_MEASUREMENT, name) && name.s[0] != '#'; /* a comment */
}

/** Of a tag or a field. */
static bool is_key_valid(enum kwm_dialect dialect, struct hal_text name)
{
    if (dialect == KWM_DIALECT_KWDB) {
        return kwm_name_is_valid(name.s, name.len);
    }
    return is_influx_name_valid(PLACE_INFLUX_KEY, name) && !is_text(name, "time");
}

static void put_name(struct sink *sink, struct hal_text name, bool is_quoted)
{
    if (is_quoted) {
        put(sink, '"');
    }
    put_bytes(sink, name.s, name.len);
    if (is_quoted) {
        put(sink, '"');
    }
}

static void put_measurement(struct sink *sink, enum kwm_dialect dialect, struct hal_text name)
{
    if (dialect == KWM_DIALECT_KWDB) {
        put_name(sink, name, kwm_name_is_reserved_table(name.s, name.len));
    } else {
        put_text(sink, PLACE_INFLUX_MEASUREMENT, name);
    }
}

static void put_key(struct sink *sink, enum kwm_dialect dialect, struct hal_text name)
{
    put(sink, ',');
    if (dialect == KWM_DIALECT_KWDB) {
        put_name(sink, name, kwm_name_is_reserved_column(name.s, name.len));
    } else {
        put_text(sink, PLACE_INFLUX_KEY, name);
    }
    put(sink, '=');
}

/** The names of tags and fields, one after the other. */
struct names {
    const uint8_t *cursor;
    const uint8_t *fields;
    unsigned tags_left;
    unsigned fields_left;
};

static bool next_name(struct names *names, struct hal_text *name)
{
    if (names->tags_left > 0) {
        struct kwm_decl_tag tag;
        names->cursor = kwm_decl_tag(names->cursor, &tag);
        names->tags_left--;
        names->cursor = names->tags_left > 0 ? names->cursor : names->fields;
        *name = tag.key;
        return true;
    }
    if (names->fields_left > 0) {
        struct kwm_decl_field field;
        names->cursor = kwm_decl_field(names->cursor, &field);
        names->fields_left--;
        *name = field.name;
        return true;
    }
    return false;
}

/** KWDB keeps tags and fields in one list of columns and refuses a line that sets one twice. */
static bool has_repeated_name(const struct kwm_decl *decl)
{
    struct names names = {decl->tag_count > 0 ? decl->tags : decl->fields, decl->fields,
                          decl->tag_count, decl->field_count};
    struct hal_text name;
    while (next_name(&names, &name)) {
        struct names others = names;
        struct hal_text other;
        while (next_name(&others, &other)) {
            if (other.len == name.len && memcmp(other.s, name.s, name.len) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ------------------------------------------------------------------ template */

static void put_quoted(struct sink *sink, struct hal_text text)
{
    put(sink, '\'');
    put_text(sink, PLACE_KWDB, text);
    put(sink, '\'');
}

/** The tags of kwdb's first token (primary and constant), or of its second (mutable).
 *  @return how many there were, or KWM_ERR_INVAL. */
static int put_kwdb_tags(struct sink *sink, const struct kwm_decl *decl, bool is_mutable)
{
    int count = 0;
    const uint8_t *cursor = decl->tags;
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        if (!is_key_valid(KWM_DIALECT_KWDB, tag.key)) {
            return KWM_ERR_INVAL;
        }
        if ((tag.role == HAL_TAG_MUTABLE) == is_mutable &&
            (tag.value.len > 0 || tag.role == HAL_TAG_PRIMARY)) {
            put_key(sink, KWM_DIALECT_KWDB, tag.key);
            put_quoted(sink, tag.value);
            count++;
        }
    }
    return count;
}

static int put_kwdb_prefix(struct sink *sink, const struct kwm_decl *decl, char *separator)
{
    const int tags = put_kwdb_tags(sink, decl, false);
    if (tags <= 0 || has_repeated_name(decl)) {
        return KWM_ERR_INVAL;
    }
    const size_t space_off = sink->len;
    const int mutables = put_kwdb_tags(sink, decl, true);
    if (mutables > 0) {
        set(sink, space_off, ' ');
        *separator = ',';
    }
    return KWM_OK;
}

/** Without the backslashes at the end, which would escape what follows. */
static struct hal_text trim(struct sink *sink, struct hal_text text)
{
    while (text.len > 0 && text.s[text.len - 1U] == '\\') {
        text.len--;
        sink->replaced++;
    }
    return text;
}

static int put_influx_tags(struct sink *sink, const struct kwm_decl *decl)
{
    const uint8_t *cursor = decl->tags;
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        const struct hal_text key = trim(sink, tag.key);
        const struct hal_text value = trim(sink, tag.value);
        if (!is_key_valid(KWM_DIALECT_INFLUX, key)) {
            return KWM_ERR_INVAL;
        }
        if (value.len > 0) {
            put_key(sink, KWM_DIALECT_INFLUX, key);
            put_text(sink, PLACE_INFLUX_KEY, value);
        }
    }
    return KWM_OK;
}

static inline unsigned get_u16(const uint8_t *in)
{
    return in[0] | (unsigned)in[1] << 8;
}

/** Note that a text in blocks begins at off and ends here. */
static void end_blocks(struct sink *sink, size_t off)
{
    const size_t blocks = (sink->len - off + BLOCK_LEN - 1U) / BLOCK_LEN;
    const size_t end = off + blocks * BLOCK_LEN;
    sink->blocks_end = end > sink->blocks_end ? end : sink->blocks_end;
}

static void put_field_head(struct sink *sink, const struct kwm_decl_field *field)
{
    const bool is_int = field->kind == HAL_KIND_INT;
    const bool is_point = field->kind == HAL_KIND_FIXED && field->scale >= 1U &&
                          field->scale <= NUMBER_SHORT_SCALE_MAX;
    const struct number_form form = {(uint8_t)(is_point ? 8U - field->scale : 8U),
                                     is_point ? '.' : 'i'};
    put(sink, (char)(field->kind | (is_int || is_point ? 0U : LONG_FLAG)));
    put(sink, (char)field->scale);
    put_bytes(sink, (const char *)&form, sizeof(form));
    put_bytes(sink, "\0\0", 2);
}

static int put_fields(struct sink *sink, enum kwm_dialect dialect, const struct kwm_decl *decl)
{
    size_t key_len_max = 0;
    const uint8_t *cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        if (!is_key_valid(dialect, field.name)) {
            return KWM_ERR_INVAL;
        }
        put_field_head(sink, &field);
        const size_t key_off = sink->len;
        put_key(sink, dialect, field.name);
        if (field.kind == HAL_KIND_STRING) {
            put(sink, dialect == KWM_DIALECT_KWDB ? '\'' : '"');
        }
        const size_t key_len = sink->len - key_off;
        key_len_max = key_len > key_len_max ? key_len : key_len_max;
        set_u16(sink, key_off - 2U, key_len);
        end_blocks(sink, key_off);
    }
    put(sink, '\0');
    set_u16(sink, 4, key_len_max + SHORT_ROOM);
    return KWM_OK;
}

static int put_prefix(struct sink *sink, enum kwm_dialect dialect, const struct kwm_decl *decl)
{
    char separator = ' ';
    if (!is_measurement_valid(dialect, decl->measurement)) {
        return KWM_ERR_INVAL;
    }
    put(sink, (char)dialect);
    put_bytes(sink, "\0\0\0\0", HEAD_LEN - 1U);
    put_measurement(sink, dialect, decl->measurement);
    const int err = dialect == KWM_DIALECT_KWDB ? put_kwdb_prefix(sink, decl, &separator)
                                                : put_influx_tags(sink, decl);
    set(sink, 1, separator);
    set_u16(sink, 2, sink->len - HEAD_LEN);
    end_blocks(sink, HEAD_LEN);
    return err;
}

int kwm_line_template(uint8_t *out, size_t cap, enum kwm_dialect dialect,
                      const struct kwm_decl *decl, struct kwm_line_losses *losses)
{
    struct sink sink = {.out = (char *)out,
                        .cap = cap < KWM_LINE_TEMPLATE_LEN_MAX ? cap : KWM_LINE_TEMPLATE_LEN_MAX};
    int err = put_prefix(&sink, dialect, decl);
    if (err == KWM_OK) {
        err = put_fields(&sink, dialect, decl);
    }
    if (err != KWM_OK) {
        return err;
    }
    while (sink.len < sink.blocks_end) {
        put(&sink, '\0');
    }
    if (sink.len > sink.cap) {
        return KWM_ERR_NOSPC;
    }
    losses->replaced += sink.replaced;
    return (int)sink.len;
}

/* ---------------------------------------------------------------------- line */

static bool is_stamp_valid(unsigned dialect, int64_t stamp_ms)
{
    if (dialect == KWM_DIALECT_KWDB) {
        return stamp_ms >= STAMP_MS_MIN && stamp_ms <= STAMP_MS_MAX;
    }
    return stamp_ms >= -NS_STAMP_MS_MAX && stamp_ms <= NS_STAMP_MS_MAX;
}

static bool is_finite(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (bits >> 52 & 0x7FFU) != 0x7FFU;
}

static size_t put_bool(char *out, bool value)
{
    memcpy(out, value ? "true\0" : "false", 5);
    return value ? 4U : 5U;
}

static size_t put_int(char *out, int64_t value)
{
    const size_t len = kwm_number_int(out, value);
    out[len] = 'i';
    return len + 1U;
}

/** Any value but a string. @param out KWM_NUMBER_DOUBLE_LEN_MAX bytes. @return bytes written. */
static size_t put_scalar(char *out, const struct hal_value *value, struct kwm_line_losses *losses)
{
    const bool is_clipped = value->kind == HAL_KIND_UINT && value->u > INT64_MAX;
    switch (value->kind) {
    case HAL_KIND_FIXED:
        return kwm_number_fixed(out, value->i, value->scale);
    case HAL_KIND_INT:
        return put_int(out, value->i);
    case HAL_KIND_UINT:
        losses->clipped += is_clipped ? 1U : 0U;
        return put_int(out, is_clipped ? INT64_MAX : (int64_t)value->u);
    case HAL_KIND_DOUBLE:
        return kwm_number_double(out, value->d);
    default:
        KWM_ASSERT(value->kind == HAL_KIND_BOOL);
        return put_bool(out, value->b);
    }
}

/** The key brings the opening quote. */
static void put_string(struct sink *sink, char quote, const struct hal_value *value)
{
    put_text(sink, quote == '\'' ? PLACE_KWDB : PLACE_INFLUX_STRING,
             (struct hal_text){value->s, value->len});
    put(sink, quote);
}

/** What has no short form, or no room to spare for it, or is absent. A value is there if it is of the
 *  declared kind and scale. @return the byte behind it (p if it is absent), NULL if it does not
 *  fit. */
static RARELY char *put_long_field(char *p, const char *end, const uint8_t *field,
                                   const struct hal_value *value, struct kwm_line_losses *losses)
{
    char text[KWM_NUMBER_DOUBLE_LEN_MAX];
    struct sink sink = {.out = p, .cap = (size_t)(end - p)};
    const char *const key = (const char *)field + FIELD_HEAD_LEN;
    const size_t key_len = get_u16(field + 4);
    if (value->kind != (field[0] & ~LONG_FLAG) || value->scale != field[1] ||
        (value->kind == HAL_KIND_DOUBLE && !is_finite(value->d))) {
        return p;
    }
    put_bytes(&sink, key, key_len);
    if (value->kind == HAL_KIND_STRING) {
        put_string(&sink, key[key_len - 1U], value);
    } else {
        put_bytes(&sink, text, put_scalar(text, value, losses));
    }
    losses->replaced += sink.replaced;
    return sink.len <= sink.cap ? p + sink.len : NULL;
}

/** Copy in whole blocks. @return the byte behind the len bytes. */
NUMBER_INLINE char *copy_blocks(char *p, const uint8_t *from, size_t len)
{
    memcpy(p, from, BLOCK_LEN);
    if (len <= BLOCK_LEN) {
        return p + len;
    }
    for (size_t off = BLOCK_LEN; off < len; off += BLOCK_LEN) {
        memcpy(p + off, from + off, BLOCK_LEN);
    }
    return p + len;
}

/** With as little room as it needs. @return the byte behind it. */
NUMBER_INLINE char *copy_prefix(char *out, size_t cap, const uint8_t *prefix, size_t len)
{
    if (cap - len >= BLOCK_LEN) {
        return copy_blocks(out, prefix, len);
    }
    memcpy(out, prefix, len);
    return out + len;
}

/** Whether the value is of the kind and scale that the field's first two bytes say. */
NUMBER_INLINE bool is_same_kind(const uint8_t *field, const struct hal_value *value)
{
    uint16_t declared;
    uint16_t given;
    memcpy(&declared, field, sizeof(declared));
    memcpy(&given, value, sizeof(given));
    return given == declared;
}

/** @return the byte behind it, NULL if there is no short form of the number. */
NUMBER_INLINE char *put_short_field(char *p, const uint8_t *field, size_t key_len, int64_t number)
{
    uint64_t magnitude = (uint64_t)number;
    p = copy_blocks(p, field + FIELD_HEAD_LEN, key_len);
    if (number < 0) {
        magnitude = 0U - magnitude;
        *p++ = '-';
    }
    if (magnitude >= NUMBER_E8) {
        return NULL;
    }
    return number_put_short(p, (uint32_t)magnitude, (const struct number_form *)(field + 2));
}

/** All fields that are present, each with its comma. @return the byte behind, NULL if they do not
 *  fit. */
NUMBER_INLINE char *put_values(char *p, const char *end, const uint8_t *field, size_t room,
                               const struct hal_value *value, struct kwm_line_losses *losses)
{
    while (field[0] != 0) {
        char *const begin = p;
        const size_t key_len = get_u16(field + 4);
        p = NULL;
        if (is_same_kind(field, value) && (size_t)(end - begin) >= room) {
            p = put_short_field(begin, field, key_len, value->i);
        }
        if (p == NULL) {
            p = put_long_field(begin, end, field, value, losses);
            if (p == NULL) {
                return NULL;
            }
        }
        field += FIELD_HEAD_LEN + key_len;
        value++;
    }
    return p;
}

/** ` 1790000000000`. @param p has room for it. */
NUMBER_INLINE char *put_stamp(char *p, uint64_t stamp_ms)
{
    /* Without the lowest 20 bits the quotient is right or one too small. 2^56 / 10^8 = 720575940. */
    uint32_t high = (uint32_t)((stamp_ms >> 20) * 720575940U >> 36);
    uint32_t low = (uint32_t)(stamp_ms - (uint64_t)high * NUMBER_E8);
    if (low >= NUMBER_E8) {
        high++;
        low -= NUMBER_E8;
    }
    const uint64_t five_digits = number_eight_digits(high) >> 24;
    *p = ' ';
    number_put_word(p + 1, five_digits | NUMBER_ASCII_ZEROS);
    number_put_word(p + 6, number_eight_digits(low) | NUMBER_ASCII_ZEROS);
    return p + 1U + STAMP_LEN;
}

/** The same in nanoseconds, of any length. @return the byte behind it, NULL if it does not fit. */
static RARELY char *put_ns_stamp(char *p, const char *end, int64_t stamp_ms)
{
    char text[KWM_NUMBER_INT_LEN_MAX];
    struct sink sink = {.out = p, .cap = (size_t)(end - p)};
    put(&sink, ' ');
    put_bytes(&sink, text, kwm_number_int(text, stamp_ms));
    put_bytes(&sink, NS_PER_MS_ZEROS, stamp_ms != 0 ? sizeof(NS_PER_MS_ZEROS) - 1U : 0U);
    return sink.len <= sink.cap ? p + sink.len : NULL;
}

int kwm_line_encode(char *out, size_t cap, const uint8_t *template, const struct hal_value *values,
                    int64_t stamp_ms, struct kwm_line_losses *losses)
{
    const struct kwm_line_losses before = *losses;
    const unsigned dialect = template[0];
    const size_t prefix_len = get_u16(template + 2);
    const char *const end = out + cap;
    if (!is_stamp_valid(dialect, stamp_ms)) {
        return KWM_ERR_INVAL;
    }
    if (cap < prefix_len) {
        return KWM_ERR_NOSPC;
    }
    char *const prefix_end = copy_prefix(out, cap, template + HEAD_LEN, prefix_len);
    char *p = put_values(prefix_end, end, template + HEAD_LEN + prefix_len, get_u16(template + 4),
                         values, losses);
    if (p == prefix_end) {
        return KWM_ERR_NOENT;
    }
    if (p != NULL) {
        *prefix_end = (char)template[1];
        if (dialect == KWM_DIALECT_INFLUX) {
            p = put_ns_stamp(p, end, stamp_ms);
        } else {
            p = (size_t)(end - p) > STAMP_LEN ? put_stamp(p, (uint64_t)stamp_ms) : NULL;
        }
    }
    if (p == NULL) {
        *losses = before;
        return KWM_ERR_NOSPC;
    }
    return (int)(p - out);
}
