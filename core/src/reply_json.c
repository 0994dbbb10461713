/* SPDX-License-Identifier: MIT */
/* The body as JSON (RFC 8259): one object, read byte by byte, without recursion. Of everything but
 * the outermost object's known keys only the grammar is checked. */
#include <string.h>

#include "hal/assert.h"
#include "reply_internal.h"

enum json_state {
    JSON_START, /* the object must begin */
    JSON_VALUE,
    JSON_VALUE_OR_END, /* an array has just begun */
    JSON_KEY,
    JSON_KEY_OR_END, /* an object has just begun */
    JSON_COLON,
    JSON_AFTER, /* a value is over */
    JSON_STRING,
    JSON_ESCAPE,
    JSON_UNICODE,
    JSON_NUMBER,
    JSON_LITERAL,
    JSON_DONE, /* only blanks may follow */
    JSON_BAD,
};

/* Where in a number; each can be followed by what the grammar allows. */
enum json_number {
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_INT,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_E_SIGN,
    NUMBER_EXPONENT,
};

enum json_field { FIELD_OTHER, FIELD_CODE, FIELD_DESC, FIELD_ROWS, FIELD_TOKEN };

enum json_target { TARGET_NONE, TARGET_NAME, TARGET_KEY, TARGET_DESC, TARGET_TOKEN };

#define SCALE_MAX 1000000
#define TOKEN_LEN 32U
#define REPLACEMENT 0xFFFDU

_Static_assert(KWM_REPLY_DEPTH_MAX <= 32U, "nesting has a bit for each level");
_Static_assert(sizeof(((struct kwm_reply *)0)->token) > TOKEN_LEN, "a token fits");

void kwm_reply_json_init(struct kwm_reply *reply)
{
    reply->json.state = JSON_START;
}

bool kwm_reply_json_is_whole(const struct kwm_reply *reply)
{
    return reply->json.state == JSON_DONE;
}

bool kwm_reply_json_is_begun(const struct kwm_reply *reply)
{
    const uint8_t state = reply->json.state;
    return state != JSON_START && state != JSON_DONE && state != JSON_BAD;
}

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* Strings. */

/* A decoded byte of the string that is being read. */
static void put_byte(struct kwm_reply *reply, char c)
{
    struct kwm_reply_json *json = &reply->json;
    switch (json->target) {
    case TARGET_KEY:
        if (json->key_len < sizeof(json->key)) {
            json->key[json->key_len] = c;
            json->key_len++;
        }
        break;
    case TARGET_DESC:
        kwm_reply_desc_add(reply, c);
        kwm_reply_pieces_feed(reply, c);
        break;
    case TARGET_TOKEN:
        if (json->token_len < TOKEN_LEN && is_hex((uint8_t)c)) {
            reply->token[json->token_len] = c;
            json->token_len++;
        } else {
            json->token_len = TOKEN_LEN + 1U;
        }
        break;
    default:
        break;
    }
}

static void put_code_point(struct kwm_reply *reply, uint32_t code)
{
    if (code < 0x80U) {
        put_byte(reply, (char)code);
        return;
    }
    if (code < 0x800U) {
        put_byte(reply, (char)(0xC0U | (code >> 6)));
    } else {
        if (code < 0x10000U) {
            put_byte(reply, (char)(0xE0U | (code >> 12)));
        } else {
            put_byte(reply, (char)(0xF0U | (code >> 18)));
            put_byte(reply, (char)(0x80U | ((code >> 12) & 0x3FU)));
        }
        put_byte(reply, (char)(0x80U | ((code >> 6) & 0x3FU)));
    }
    put_byte(reply, (char)(0x80U | (code & 0x3FU)));
}

/* The first half of a pair without the second is no character. */
static void end_surrogate(struct kwm_reply *reply)
{
    if (reply->json.surrogate != 0) {
        reply->json.surrogate = 0;
        put_code_point(reply, REPLACEMENT);
    }
}

static void put_unit(struct kwm_reply *reply, uint32_t unit)
{
    struct kwm_reply_json *json = &reply->json;
    const bool is_second = unit >= 0xDC00U && unit <= 0xDFFFU;
    if (is_second && json->surrogate != 0) {
        const uint32_t first = json->surrogate;
        json->surrogate = 0;
        put_code_point(reply, 0x10000U + ((first - 0xD800U) << 10) + (unit - 0xDC00U));
        return;
    }
    end_surrogate(reply);
    if (unit >= 0xD800U && unit <= 0xDBFFU) {
        json->surrogate = (uint16_t)unit;
    } else {
        put_code_point(reply, is_second ? REPLACEMENT : unit);
    }
}

static uint8_t find_field(const struct kwm_reply *reply)
{
    static const struct {
        const char *name;
        uint8_t dialect;
        uint8_t field;
    } fields[] = {
        {"code", KWM_DIALECT_KWDB, FIELD_CODE},     {"desc", KWM_DIALECT_KWDB, FIELD_DESC},
        {"rows", KWM_DIALECT_KWDB, FIELD_ROWS},     {"token", KWM_DIALECT_KWDB, FIELD_TOKEN},
        {"error", KWM_DIALECT_INFLUX, FIELD_DESC},  /* InfluxDB 1 */
        {"message", KWM_DIALECT_INFLUX, FIELD_DESC} /* InfluxDB 2 */
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].dialect == reply->dialect && reply->json.key_len == strlen(fields[i].name) &&
            memcmp(reply->json.key, fields[i].name, reply->json.key_len) == 0) {
            return fields[i].field;
        }
    }
    return FIELD_OTHER;
}

/* A key of the outermost object is complete. The last value of a repeated key counts. */
static void take_key(struct kwm_reply *reply)
{
    reply->json.field = find_field(reply);
    switch (reply->json.field) {
    case FIELD_CODE:
        reply->has_code = false;
        break;
    case FIELD_ROWS:
        reply->has_rows = false;
        break;
    case FIELD_TOKEN:
        reply->token[0] = '\0';
        break;
    case FIELD_DESC:
        reply->json.desc_count = (uint8_t)(reply->json.desc_count == 0 ? 1 : 2);
        break;
    default:
        break;
    }
}

static void begin_string(struct kwm_reply *reply)
{
    struct kwm_reply_json *json = &reply->json;
    const bool is_name = json->state == JSON_KEY || json->state == JSON_KEY_OR_END;
    json->state = JSON_STRING;
    json->surrogate = 0;
    json->target = is_name ? TARGET_NAME : TARGET_NONE;
    if (json->depth != 1) {
        return;
    }
    if (is_name) {
        json->target = TARGET_KEY;
        json->key_len = 0;
    } else if (json->field == FIELD_TOKEN) {
        json->target = TARGET_TOKEN;
        json->token_len = 0;
    } else if (json->field == FIELD_DESC) {
        json->target = TARGET_DESC;
        json->has_desc = true;
        kwm_reply_desc_clear(reply);
        kwm_reply_pieces_init(reply);
    }
}

static void end_string(struct kwm_reply *reply)
{
    struct kwm_reply_json *json = &reply->json;
    end_surrogate(reply);
    json->state =
        json->target == TARGET_NAME || json->target == TARGET_KEY ? JSON_COLON : JSON_AFTER;
    switch (json->target) {
    case TARGET_KEY:
        take_key(reply);
        break;
    case TARGET_DESC:
        kwm_reply_pieces_end(reply);
        break;
    case TARGET_TOKEN:
        reply->token[json->token_len == TOKEN_LEN ? TOKEN_LEN : 0] = '\0';
        break;
    default:
        break;
    }
}

static void step_string(struct kwm_reply *reply, uint8_t byte)
{
    if (byte == '\\') {
        reply->json.state = JSON_ESCAPE;
    } else if (byte == '"') {
        end_string(reply);
    } else if (byte < 0x20U) {
        reply->json.state = JSON_BAD;
    } else {
        end_surrogate(reply);
        put_byte(reply, (char)byte);
    }
}

static void step_escape(struct kwm_reply *reply, uint8_t byte)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (byte == 'u') {
        reply->json.state = JSON_UNICODE;
        reply->json.unit = 0;
        reply->json.hex_count = 0;
        return;
    }
    const char *name = memchr(names, byte, sizeof(names) - 1);
    if (name == NULL) {
        reply->json.state = JSON_BAD;
        return;
    }
    end_surrogate(reply);
    put_byte(reply, values[name - names]);
    reply->json.state = JSON_STRING;
}

static void step_unicode(struct kwm_reply *reply, uint8_t byte)
{
    struct kwm_reply_json *json = &reply->json;
    if (!is_hex(byte)) {
        json->state = JSON_BAD;
        return;
    }
    const uint32_t digit = byte <= '9' ? (uint32_t)byte - '0' : ((uint32_t)byte & 0x0FU) + 9U;
    json->unit = (uint16_t)(((uint32_t)json->unit << 4) | digit);
    json->hex_count++;
    if (json->hex_count == 4) {
        json->state = JSON_STRING;
        put_unit(reply, json->unit);
    }
}

/* Numbers. */

static void begin_number(struct kwm_reply_json *json, uint8_t byte)
{
    json->state = JSON_NUMBER;
    json->number = byte == '-' ? NUMBER_MINUS : byte == '0' ? NUMBER_ZERO : NUMBER_INT;
    json->is_negative = byte == '-';
    json->is_exponent_negative = false;
    json->is_inexact = false;
    json->mantissa = byte == '-' ? 0U : (uint64_t)byte - '0';
    json->scale = 0;
    json->exponent = 0;
}

/* The value is mantissa * 10^(scale + exponent); digits that no longer fit are left off. */
static void add_digit(struct kwm_reply_json *json, uint8_t byte)
{
    const bool is_fraction = json->number == NUMBER_FRACTION;
    if (json->scale <= -SCALE_MAX || json->scale >= SCALE_MAX) {
        json->is_inexact = true;
    } else if (json->mantissa <= (UINT64_MAX - 9U) / 10U) {
        json->mantissa = json->mantissa * 10U + (uint64_t)byte - '0';
        json->scale -= is_fraction ? 1 : 0;
    } else {
        json->is_inexact = json->is_inexact || byte != '0';
        json->scale += is_fraction ? 0 : 1;
    }
}

static void add_exponent_digit(struct kwm_reply_json *json, uint8_t byte)
{
    if (json->exponent < SCALE_MAX) {
        json->exponent = json->exponent * 10 + byte - '0';
    }
}

/* @return true if the number is whole. @param[out] magnitude of it, or something above 32 bits. */
static bool whole_magnitude(const struct kwm_reply_json *json, uint64_t *magnitude)
{
    int32_t scale = json->scale + (json->is_exponent_negative ? -json->exponent : json->exponent);
    uint64_t value = json->mantissa;
    if (value > 0) {
        for (; scale < 0; scale++) {
            if (value % 10U != 0) {
                return false;
            }
            value /= 10U;
        }
        for (; scale > 0 && value <= UINT32_MAX; scale--) {
            value *= 10U;
        }
    }
    *magnitude = value;
    return !json->is_inexact || value > UINT32_MAX;
}

static void end_number(struct kwm_reply *reply)
{
    const struct kwm_reply_json *json = &reply->json;
    uint64_t magnitude = 0;
    if (json->depth != 1 || !whole_magnitude(json, &magnitude)) {
        return;
    }
    if (json->field == FIELD_CODE) {
        const int32_t size = magnitude > INT32_MAX ? INT32_MAX : (int32_t)magnitude;
        reply->has_code = true;
        reply->code = json->is_negative ? -size : size;
    } else if (json->field == FIELD_ROWS && !(json->is_negative && magnitude > 0)) {
        reply->has_rows = true;
        reply->rows = magnitude > UINT32_MAX ? UINT32_MAX : (uint32_t)magnitude;
    }
}

/* @return where in the number the byte leads, or -1 if it does not belong to it. */
static int next_number(uint8_t number, uint8_t byte)
{
    const bool is_digit = byte >= '0' && byte <= '9';
    const bool is_e = byte == 'e' || byte == 'E';
    switch (number) {
    case NUMBER_MINUS:
        return !is_digit ? -1 : byte == '0' ? NUMBER_ZERO : NUMBER_INT;
    case NUMBER_INT:
        if (is_digit) {
            return NUMBER_INT;
        }
        return byte == '.' ? NUMBER_POINT : is_e ? NUMBER_E : -1;
    case NUMBER_ZERO:
        return byte == '.' ? NUMBER_POINT : is_e ? NUMBER_E : -1;
    case NUMBER_POINT:
        return is_digit ? NUMBER_FRACTION : -1;
    case NUMBER_FRACTION:
        return is_digit ? NUMBER_FRACTION : is_e ? NUMBER_E : -1;
    case NUMBER_E:
        return byte == '+' || byte == '-' ? NUMBER_E_SIGN : is_digit ? NUMBER_EXPONENT : -1;
    default:
        return is_digit ? NUMBER_EXPONENT : -1;
    }
}

/* @return true if the byte was part of the number. */
static bool step_number(struct kwm_reply *reply, uint8_t byte)
{
    struct kwm_reply_json *json = &reply->json;
    const int next = next_number(json->number, byte);
    if (next < 0) {
        const bool is_whole = json->number == NUMBER_ZERO || json->number == NUMBER_INT ||
                              json->number == NUMBER_FRACTION || json->number == NUMBER_EXPONENT;
        json->state = is_whole ? JSON_AFTER : JSON_BAD;
        if (is_whole) {
            end_number(reply);
        }
        return false;
    }
    json->number = (uint8_t)next;
    if (next == NUMBER_ZERO || next == NUMBER_INT || next == NUMBER_FRACTION) {
        add_digit(json, byte);
    } else if (next == NUMBER_EXPONENT) {
        add_exponent_digit(json, byte);
    } else if (next == NUMBER_E_SIGN) {
        json->is_exponent_negative = byte == '-';
    }
    return true;
}

/* Structure. */

static bool is_in_object(const struct kwm_reply_json *json)
{
    KWM_ASSERT(json->depth >= 1);
    return ((json->nesting >> (json->depth - 1U)) & 1U) != 0;
}

static void open_level(struct kwm_reply_json *json, bool is_object)
{
    if (json->depth == KWM_REPLY_DEPTH_MAX) {
        json->state = JSON_BAD;
        return;
    }
    const uint32_t bit = 1U << json->depth;
    json->nesting = is_object ? json->nesting | bit : json->nesting & ~bit;
    json->depth++;
    json->state = is_object ? JSON_KEY_OR_END : JSON_VALUE_OR_END;
}

static void close_level(struct kwm_reply_json *json, bool is_object)
{
    if (is_in_object(json) != is_object) {
        json->state = JSON_BAD;
        return;
    }
    json->depth--;
    json->state = json->depth == 0 ? JSON_DONE : JSON_AFTER;
}

static void begin_literal(struct kwm_reply_json *json, const char *rest)
{
    json->state = JSON_LITERAL;
    json->literal = rest;
}

static void begin_value(struct kwm_reply *reply, uint8_t byte)
{
    struct kwm_reply_json *json = &reply->json;
    if (byte == '"') {
        begin_string(reply);
    } else if (byte == '{' || byte == '[') {
        open_level(json, byte == '{');
    } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        begin_number(json, byte);
    } else if (byte == 't') {
        begin_literal(json, "rue");
    } else if (byte == 'f') {
        begin_literal(json, "alse");
    } else if (byte == 'n') {
        begin_literal(json, "ull");
    } else {
        json->state = JSON_BAD;
    }
}

static void step_literal(struct kwm_reply_json *json, uint8_t byte)
{
    if (byte != (uint8_t)json->literal[0]) {
        json->state = JSON_BAD;
        return;
    }
    json->literal++;
    if (json->literal[0] == '\0') {
        json->state = JSON_AFTER;
    }
}

static void step_after(struct kwm_reply_json *json, uint8_t byte)
{
    if (byte == ',') {
        json->state = is_in_object(json) ? JSON_KEY : JSON_VALUE;
    } else if (byte == '}' || byte == ']') {
        close_level(json, byte == '}');
    } else {
        json->state = JSON_BAD;
    }
}

static void step_structure(struct kwm_reply *reply, uint8_t byte)
{
    struct kwm_reply_json *json = &reply->json;
    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
        return;
    }
    if (json->state == JSON_START && byte == '{') {
        open_level(json, true);
    } else if (json->state == JSON_AFTER) {
        step_after(json, byte);
    } else if (json->state == JSON_COLON && byte == ':') {
        json->state = JSON_VALUE;
    } else if ((json->state == JSON_KEY_OR_END && byte == '}') ||
               (json->state == JSON_VALUE_OR_END && byte == ']')) {
        close_level(json, byte == '}');
    } else if ((json->state == JSON_KEY || json->state == JSON_KEY_OR_END) && byte == '"') {
        begin_string(reply);
    } else if (json->state == JSON_VALUE || json->state == JSON_VALUE_OR_END) {
        begin_value(reply, byte);
    } else {
        json->state = JSON_BAD;
    }
}

void kwm_reply_json_feed(struct kwm_reply *reply, uint8_t byte)
{
    switch (reply->json.state) {
    case JSON_STRING:
        step_string(reply, byte);
        break;
    case JSON_ESCAPE:
        step_escape(reply, byte);
        break;
    case JSON_UNICODE:
        step_unicode(reply, byte);
        break;
    case JSON_LITERAL:
        step_literal(&reply->json, byte);
        break;
    case JSON_NUMBER:
        if (!step_number(reply, byte) && reply->json.state == JSON_AFTER) {
            step_structure(reply, byte); /* what ends a number belongs to what holds it */
        }
        break;
    case JSON_BAD:
        break;
    default:
        step_structure(reply, byte);
        break;
    }
}
