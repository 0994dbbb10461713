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

/* What an int, a number with a point or the last block of a key may write behind the key. */
#define NUMBER_ROOM 24U

#define STAMP_MS_MIN 1000000000000 /* the first one of 13 digits */
#define STAMP_MS_MAX 9999999999999
#define STAMP_LEN 13U
#define NS_PER_MS_ZEROS "000000"
#define NS_STAMP_MS_MAX (INT64_MAX / 1000000)

#define RARELY __attribute__((noinline, cold))

_Static_assert(KWM_LINE_TEMPLATE_LEN_MAX <= UINT16_MAX, "lengths of the head");
_Static_assert(NUMBER_ROOM >= KWM_NUMBER_INT_LEN_MAX + 1U && NUMBER_ROOM >= BLOCK_LEN &&
                   NUMBER_ROOM >= KWM_NUMBER_FIXED_LEN_MAX && NUMBER_ROOM >= NUMBER_SHORT_ROOM,
               "what is written without a look at the capacity fits");
_Static_assert(sizeof(struct number_form) == 2 && _Alignof(struct number_form) == 1,
               "a form can be read where it is in a template");
_Static_assert(offsetof(struct hal_value, kind) == 0 && offsetof(struct hal_value, scale) == 1,
               "is_same_kind() compares both at once");

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
    if (sink->len < sink->cap && len <= sink->cap - sink->len) {
        memcpy(sink->out + sink->len, bytes, len);
    }
    sink->len += len;
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
    const bool is_int = field->kind == HAL_KIND_INT || field->kind == HAL_KIND_UINT;
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
    set_u16(sink, 4, key_len_max + NUMBER_ROOM);
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

/** Add what has no short form, or no room to spare for it, or is absent. A value is there if it is
 *  of the declared kind and scale. @return the offset behind it (off if it is absent), 0 if it does
 *  not fit. */
static RARELY size_t put_long_field(char *out, size_t cap, size_t off, const uint8_t *field,
                                    const struct hal_value *value, struct kwm_line_losses *losses)
{
    char text[KWM_NUMBER_DOUBLE_LEN_MAX];
    struct sink sink = {.out = out, .cap = cap, .len = off};
    const char *const key = (const char *)field + FIELD_HEAD_LEN;
    const size_t key_len = get_u16(field + 4);
    if (value->kind != (field[0] & ~LONG_FLAG) || value->scale != field[1] ||
        (value->kind == HAL_KIND_DOUBLE && !is_finite(value->d))) {
        return off;
    }
    put_bytes(&sink, key, key_len);
    if (value->kind == HAL_KIND_STRING) {
        put_string(&sink, key[key_len - 1U], value);
    } else if (sink.len < cap && cap - sink.len >= sizeof(text)) {
        sink.len += put_scalar(out + sink.len, value, losses);
    } else {
        put_bytes(&sink, text, put_scalar(text, value, losses));
    }
    losses->replaced += sink.replaced;
    return sink.len <= cap ? sink.len : 0;
}

/** Copy in whole blocks; most texts are one. */
NUMBER_INLINE void copy_blocks(char *out, const uint8_t *from, size_t len)
{
    memcpy(out, from, BLOCK_LEN);
    if (len <= BLOCK_LEN) {
        return;
    }
    for (size_t off = BLOCK_LEN; off < len; off += BLOCK_LEN) {
        memcpy(out + off, from + off, BLOCK_LEN);
    }
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

/** Add all fields that are present, each with its comma. @param off not 0. @return the offset
 *  behind them, 0 if they do not fit. */
NUMBER_INLINE size_t put_values(char *out, size_t cap, size_t off, const uint8_t *field,
                                size_t room, const struct hal_value *value,
                                struct kwm_line_losses *losses)
{
    /* Up to here there is room for any number. */
    const ptrdiff_t off_max = (ptrdiff_t)cap - (ptrdiff_t)room;
    while (field[0] != 0) {
        const size_t key_len = get_u16(field + 4);
        if (is_same_kind(field, value) && (ptrdiff_t)off <= off_max) {
            const uint64_t number = (uint64_t)value->i;
            copy_blocks(out + off, field + FIELD_HEAD_LEN, key_len);
            off += key_len;
            if (number < NUMBER_E8) {
                off += number_put_short(out + off, (uint32_t)number,
                                        (const struct number_form *)(field + 2));
            } else {
                off += put_scalar(out + off, value, losses);
            }
        } else {
            off = put_long_field(out, cap, off, field, value, losses);
            if (off == 0) {
                return 0;
            }
        }
        field += FIELD_HEAD_LEN + key_len;
        value++;
    }
    return off;
}

/** Add ` 1790000000000`. @return the offset behind it, 0 if it does not fit. */
NUMBER_INLINE size_t put_stamp(char *out, size_t cap, size_t off, uint64_t stamp_ms)
{
    /* Without the lowest 20 bits the quotient is right or one too small. 2^56 / 10^8 =
     *  720575940. */
    uint32_t high = (uint32_t)((stamp_ms >> 20) * 720575940U >> 36);
    uint32_t low = (uint32_t)(stamp_ms - (uint64_t)high * NUMBER_E8);
    if (cap - off <= STAMP_LEN) {
        return 0;
    }
    if (low >= NUMBER_E8) {
        high++;
        low -= NUMBER_E8;
    }
    out[off] = ' ';
    number_put_word(out + off + 1U, number_eight_digits(high) >> 24 | NUMBER_ASCII_ZEROS);
    number_put_word(out + off + 6U, number_eight_digits(low) | NUMBER_ASCII_ZEROS);
    return off + 1U + STAMP_LEN;
}

/** The same in nanoseconds, of any length. */
static RARELY size_t put_ns_stamp(char *out, size_t cap, size_t off, int64_t stamp_ms)
{
    char text[KWM_NUMBER_INT_LEN_MAX];
    struct sink sink = {.out = out, .cap = cap, .len = off};
    put(&sink, ' ');
    put_bytes(&sink, text, kwm_number_int(text, stamp_ms));
    put_bytes(&sink, NS_PER_MS_ZEROS, stamp_ms != 0 ? sizeof(NS_PER_MS_ZEROS) - 1U : 0U);
    return sink.len <= cap ? sink.len : 0;
}

int kwm_line_encode(char *out, size_t cap, const uint8_t *template, const struct hal_value *values,
                    int64_t stamp_ms, struct kwm_line_losses *losses)
{
    const struct kwm_line_losses before = *losses;
    const size_t prefix_len = get_u16(template + 2);
    const uint8_t *const prefix = template + HEAD_LEN;
    if (!is_stamp_valid(template[0], stamp_ms)) {
        return KWM_ERR_INVAL;
    }
    if (cap < prefix_len + BLOCK_LEN) {
        if (cap < prefix_len) {
            return KWM_ERR_NOSPC;
        }
        memcpy(out, prefix, prefix_len);
    } else {
        copy_blocks(out, prefix, prefix_len);
    }
    size_t len = put_values(out, cap, prefix_len, prefix + prefix_len, get_u16(template + 4),
                            values, losses);
    if (len > prefix_len) {
        out[prefix_len] = (char)template[1];
        len = template[0] == KWM_DIALECT_INFLUX ? put_ns_stamp(out, cap, len, stamp_ms)
                                                : put_stamp(out, cap, len, (uint64_t)stamp_ms);
    } else if (len == prefix_len) {
        return KWM_ERR_NOENT;
    }
    if (len == 0) {
        *losses = before;
        return KWM_ERR_NOSPC;
    }
    return (int)len;
}
