/* SPDX-License-Identifier: MIT */
/*
 * Goal: the reply reader's JSON scanner reads what cJSON reads.
 * Method: seeded random objects (keys in any order, unknown ones with nested values, escapes,
 * numbers with exponents), fed in cuts of every size, and objects with one byte changed. cJSON also
 * walks the replies that KWDB gave, each of which is read as its recorded code and rows say.
 */
#include "support.h"

#include <cJSON.h>
#include <math.h>
#include <regex.h>

#include "reply_feed.h"

#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define BODY_CAP 8192U
#define DEPTH_MAX 6U

static const struct feed_request one_line = {KWM_DIALECT_KWDB, 1};

/* A text that grows. */
struct json {
    char text[BODY_CAP];
    size_t len;
    uint64_t random;
};

static size_t below(struct json *json, size_t bound)
{
    return (size_t)(support_random(&json->random) % bound);
}

static void add(struct json *json, const char *text)
{
    const size_t len = strlen(text);
    assert_true(len < sizeof(json->text) - json->len);
    memcpy(json->text + json->len, text, len + 1);
    json->len += len;
}

static void add_blank(struct json *json)
{
    static const char *const blanks[] = {"", "", "", "", " ", "\n", "\r\n", "\t", "  "};
    add(json, blanks[below(json, sizeof(blanks) / sizeof(blanks[0]))]);
}

/* Text as it stands between the quotes. No NUL and no half of a pair: cJSON takes neither. */
static void add_characters(struct json *json, size_t count)
{
    static const char *const pieces[] = {
        "a",
        "Z",
        "0",
        " ",
        ";",
        ":",
        "{",
        "]",
        ",",
        "'",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u003c",
        "\\u003E",
        "\\u0001",
        "\\u00e9",
        "\\u20AC",
        "\\uFFFF",
        "\\ud83d\\ude00",
        "\\uDBFF\\uDFFF",
        "\\uD800\\udc00",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "success;",
        "pq: ",
        "code",
        "\x7f",
    };
    for (size_t i = 0; i < count; i++) {
        add(json, pieces[below(json, sizeof(pieces) / sizeof(pieces[0]))]);
    }
}

static void add_string(struct json *json, size_t count_max)
{
    add(json, "\"");
    add_characters(json, below(json, count_max + 1));
    add(json, "\"");
}

static void add_number(struct json *json)
{
    static const char *const wholes[] = {"0", "1", "7", "10", "42", "200", "65535", "123456789"};
    static const char *const fractions[] = {"", "", ".0", ".5", ".25", ".000", ".125", ".75000"};
    static const char *const exponents[] = {"",   "",     "e0", "E+1", "e-1", "e2",
                                            "E3", "e-02", "e5", "e20", "e-20"};
    add(json, below(json, 3) == 0 ? "-" : "");
    add(json, wholes[below(json, sizeof(wholes) / sizeof(wholes[0]))]);
    add(json, fractions[below(json, sizeof(fractions) / sizeof(fractions[0]))]);
    add(json, exponents[below(json, sizeof(exponents) / sizeof(exponents[0]))]);
}

static void add_scalar(struct json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    switch (below(json, 3)) {
    case 0:
        add(json, words[below(json, 3)]);
        break;
    case 1:
        add_number(json);
        break;
    default:
        add_string(json, 5);
        break;
    }
}

/* A value with levels below it: the stack says which bracket each one needs. */
static void add_nested(struct json *json)
{
    char closers[DEPTH_MAX + 1];
    size_t depth = 0;
    bool is_first = true;
    for (;;) {
        const size_t pick = below(json, 5);
        if (depth > 0 && (pick == 0 || json->len > BODY_CAP / 2)) {
            depth--;
            add(json, (const char[]){closers[depth], '\0'});
            is_first = false;
            if (depth == 0) {
                return;
            }
            continue;
        }
        add(json, depth > 0 && !is_first ? "," : "");
        add_blank(json);
        if (depth > 0 && closers[depth - 1] == '}') {
            add(json, below(json, 3) == 0   ? "\"code\":"
                      : below(json, 2) == 0 ? "\"desc\" :"
                                            : "\"\":");
        }
        if (depth < DEPTH_MAX && (depth == 0 || pick == 1)) {
            const bool is_object = below(json, 2) == 0;
            add(json, is_object ? "{" : "[");
            closers[depth] = is_object ? '}' : ']';
            depth++;
            is_first = true;
        } else {
            add_scalar(json);
            is_first = false;
        }
        add_blank(json);
    }
}

static void add_token(struct json *json)
{
    const size_t count = below(json, 4) == 0 ? below(json, 40) : 32;
    add(json, "\"");
    for (size_t i = 0; i < count; i++) {
        const char *digits = below(json, 200) == 0 ? "ghijklmnopqrstuv" : "0123456789abcdef";
        add(json, (const char[]){digits[below(json, 16)], '\0'});
    }
    add(json, "\"");
}

static void add_member(struct json *json, size_t key)
{
    static const char *const keys[] = {"code", "desc", "rows", "token",  "time",   "cod",
                                       "",     "Code", "x",    "notice", "descri", "co\\u0064e2"};
    add_blank(json);
    add(json, "\"");
    add(json, key == 0 && below(json, 4) == 0 ? "\\u0063od\\u0065" : keys[key]);
    add(json, "\"");
    add_blank(json);
    add(json, ":");
    add_blank(json);
    const size_t pick = below(json, 8);
    if (pick == 0) {
        add_nested(json);
    } else if (pick == 1) {
        add_scalar(json);
    } else if (key == 1) {
        add_string(json, 40);
    } else if (key == 3) {
        add_token(json);
    } else {
        add_number(json);
    }
    add_blank(json);
}

/* An object with each key at most once, in any order. (Of equals, cJSON finds the first one.) */
static void make_object(struct json *json)
{
    size_t order[12];
    json->len = 0;
    json->text[0] = '\0';
    for (size_t i = 0; i < 12; i++) {
        const size_t at = below(json, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    add_blank(json);
    add(json, "{");
    const size_t count = below(json, 13);
    for (size_t i = 0; i < count; i++) {
        add(json, i > 0 ? "," : "");
        add_member(json, order[i]);
    }
    add(json, count == 0 && below(json, 2) == 0 ? " }" : "}");
    add_blank(json);
}

/* A double of 2^53 or more has no digits behind the point. */
static bool is_whole(const cJSON *item)
{
    return cJSON_IsNumber(item) && (fabs(item->valuedouble) >= 9007199254740992.0 ||
                                    item->valuedouble == (double)(int64_t)item->valuedouble);
}

static void check_numbers(const struct kwm_reply *reply, const cJSON *code, const cJSON *rows)
{
    const bool has_rows = is_whole(rows) && rows->valuedouble >= 0;
    assert_int_equal(reply->has_code, is_whole(code));
    assert_int_equal(reply->has_rows, has_rows);
    if (reply->has_code) {
        const double held = fmax(fmin(code->valuedouble, INT32_MAX), -INT32_MAX);
        assert_int_equal(reply->code, (int32_t)held);
    }
    if (reply->has_rows) {
        assert_int_equal(reply->rows, (uint32_t)fmin(rows->valuedouble, UINT32_MAX));
    }
}

/* What the reader keeps of a text: its beginning, control characters as spaces. */
static void check_desc(const struct kwm_reply *reply, const cJSON *desc)
{
    const char *text = cJSON_IsString(desc) ? desc->valuestring : "";
    const size_t len = strlen(reply->desc);
    assert_in_range(strlen(text), len, len <= KWM_REPLY_DESC_LEN_MAX - 4 ? len : SIZE_MAX);
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = (uint8_t)text[i];
        assert_int_equal((uint8_t)reply->desc[i], c < 0x20 || c == 0x7f ? ' ' : c);
    }
}

static void check_token(const struct kwm_reply *reply, const cJSON *token)
{
    const char *text = cJSON_IsString(token) ? token->valuestring : "";
    const bool is_token = strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
    assert_string_equal(reply->token, is_token ? text : "");
}

/* cJSON takes more than RFC 8259 allows: any control character as a blank, and numbers as strtod
 * reads them (zeros ahead, no digit beside the point). */
static bool is_lenient(const char *text)
{
    static regex_t numbers;
    static bool is_ready;
    if (!is_ready) {
        const char *odd = "(^|[^0-9.eE+-])-?0[0-9]|[.]([^0-9]|$)|-[.]";
        assert_int_equal(regcomp(&numbers, odd, REG_EXTENDED | REG_NOSUB), 0);
        is_ready = true;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((uint8_t)*c < 0x20 && *c != '\t' && *c != '\n' && *c != '\r') {
            return true;
        }
    }
    return regexec(&numbers, text, 0, NULL, 0) == 0;
}

/* Does cJSON, too, see an object, or none? @return it, to be deleted, or NULL. */
static cJSON *parse_alike(const struct json *json, const struct kwm_reply *reply)
{
    cJSON *root = cJSON_ParseWithLengthOpts(json->text, json->len + 1, NULL, 1);
    const bool is_object = cJSON_IsObject(root);
    if (reply->is_json != is_object && (reply->is_json || !is_lenient(json->text))) {
        fail_msg("is_json is %d, cJSON says %d: %s", reply->is_json, is_object, json->text);
    }
    return root;
}

static size_t make_reply(char *out, size_t cap, const char *body, size_t len)
{
    const int head = snprintf(out, cap, JSON_HEAD "Content-Length: %zu\r\n\r\n", len);
    assert_in_range(head, 1, cap - len);
    memcpy(out + head, body, len);
    return (size_t)head + len;
}

/* Feed in cuts of every size from 1 to the whole length, or of a few; all must end alike. */
static const struct feed_run *feed_cuts(const char *text, size_t len, bool in_all)
{
    static struct feed_run first;
    memcpy(&first, feed_reply(one_line, text, len, len, len), sizeof(first));
    for (size_t cut = 1; cut < len; cut = in_all || cut < 4 ? cut + 1 : cut * 3) {
        const struct feed_run *run = feed_reply(one_line, text, len, cut, cut);
        if (!feed_is_same(run, &first)) {
            fail_msg("in cuts of %zu bytes it ends otherwise: %s", cut, text);
        }
    }
    return &first;
}

static void test_random_objects(void **state)
{
    (void)state;
    static struct json json;
    static char text[BODY_CAP + 256];
    const uint64_t seed = support_seed();
    const unsigned runs = support_runs(1500);
    print_message("KWM_SEED=%llu, %u objects\n", (unsigned long long)seed, runs);
    json.random = seed;
    for (unsigned i = 0; i < runs; i++) {
        make_object(&json);
        const size_t len = make_reply(text, sizeof(text), json.text, json.len);
        const struct feed_run *run = feed_cuts(text, len, i % 8 == 0);
        assert_int_equal(run->rc, 1);
        if (!run->reply.is_json) {
            fail_msg("an object is not seen as one: %s", json.text);
        }
        cJSON *root = parse_alike(&json, &run->reply);
        check_numbers(&run->reply, cJSON_GetObjectItemCaseSensitive(root, "code"),
                      cJSON_GetObjectItemCaseSensitive(root, "rows"));
        check_desc(&run->reply, cJSON_GetObjectItemCaseSensitive(root, "desc"));
        check_token(&run->reply, cJSON_GetObjectItemCaseSensitive(root, "token"));
        cJSON_Delete(root);
    }
}

/* One byte changed: still JSON or not, as cJSON says. Escapes are left alone: cJSON refuses some,
 * half of a pair and NUL. */
static void test_damaged_objects(void **state)
{
    (void)state;
    static struct json json;
    static char text[BODY_CAP + 256];
    static const char bytes[] = "{}[]:,\"0-.eE+tfn x1";
    const uint64_t seed = support_seed();
    const unsigned runs = support_runs(20000);
    unsigned json_count = 0;
    print_message("KWM_SEED=%llu, %u damaged objects\n", (unsigned long long)seed, runs);
    json.random = seed;
    for (unsigned i = 0; i < runs; i++) {
        json.len = 0;
        add(&json, "{\"code\":");
        add_number(&json);
        add(&json, ",\"b\":");
        add_nested(&json);
        add(&json, ",\"rows\":");
        add_scalar(&json);
        add(&json, "}");
        const size_t at = below(&json, json.len);
        json.text[at] = bytes[below(&json, sizeof(bytes) - 1)];
        if (json.len > 600 || strchr(json.text, '\\') != NULL) {
            continue;
        }
        const size_t len = make_reply(text, sizeof(text), json.text, json.len);
        const struct feed_run *run = feed_reply(one_line, text, len, len, 1);
        json_count += run->reply.is_json ? 1U : 0U;
        cJSON_Delete(parse_alike(&json, &run->reply));
    }
    print_message("%u of them are JSON still\n", json_count);
    assert_in_range(json_count, 1, runs - 1);
}

/* Each of the replies that KWDB gave to one line, or to a body of none. */
static void test_recorded_replies(void **state)
{
    (void)state;
    static char file[1 << 20];
    static char text[BODY_CAP];
    const size_t file_len = support_read_file("data/kwdb-vectors.json", file, sizeof(file));
    cJSON *root = cJSON_ParseWithLength(file, file_len);
    const cJSON *cases = cJSON_GetObjectItemCaseSensitive(root, "cases");
    unsigned count = 0;
    for (const cJSON *one = cases == NULL ? NULL : cases->child; one != NULL; one = one->next) {
        const cJSON *reply = cJSON_GetObjectItemCaseSensitive(one, "reply");
        const cJSON *rows = cJSON_GetObjectItemCaseSensitive(reply, "rows");
        char *body = cJSON_PrintUnformatted(reply);
        assert_non_null(body);
        const size_t len = make_reply(text, sizeof(text), body, strlen(body));
        const struct feed_run *run = feed_cuts(text, len, true);
        const int code = cJSON_GetObjectItemCaseSensitive(reply, "code")->valueint;
        const enum kwm_reply_verdict verdict = code == 0      ? KWM_REPLY_STORED
                                               : rows == NULL ? KWM_REPLY_NOT_NOW
                                                              : KWM_REPLY_PIECES;
        assert_int_equal(run->verdict, verdict);
        assert_int_equal(run->piece_count, verdict == KWM_REPLY_PIECES ? 1 : 0);
        if (run->piece_count > 0 && run->pieces[0].piece != KWM_PIECE_LINE &&
            run->pieces[0].piece != KWM_PIECE_MEASUREMENT) {
            fail_msg("neither a line's nor a table's fault: %s", body);
        }
        cJSON_free(body);
        count++;
    }
    cJSON_Delete(root);
    assert_in_range(count, 100, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_objects),
        cmocka_unit_test(test_damaged_objects),
        cmocka_unit_test(test_recorded_replies),
    };
    return cmocka_run_group_tests_name("reply_oracle", tests, NULL, NULL);
}
