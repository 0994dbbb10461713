/* SPDX-License-Identifier: MIT */
/*
 * Goal: a reply is read the same however it is cut, never beyond its end, and says of each line
 * what KWDB meant, or that it cannot be told.
 * Method: tables of replies, each fed whole, byte by byte and cut in two at every place, against a
 * page that cannot be read; seeded random batches made of KWDB's own texts, and of hostile ones.
 */
#include "support.h"

#include "reply_feed.h"
#include "reply_texts.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

static const struct feed_request kwdb_1 = {KWM_DIALECT_KWDB, 1};

/* Helpers. */

/* Feed in every way; all must end alike. */
static const struct feed_run *feed_all_cuts(const char *name, struct feed_request request,
                                            const void *text, size_t len)
{
    static struct feed_run whole;
    memcpy(&whole, feed_reply(request, text, len, len, len), sizeof(whole));
    for (size_t cut = 0; cut < len; cut++) {
        const struct feed_run *run = feed_reply(request, text, len, cut, cut == 0 ? 1 : len);
        if (!feed_is_same(run, &whole)) {
            fail_msg("%s: cut after %zu bytes it ends otherwise: %d/%d, whole %d/%d", name, cut,
                     run->rc, run->end_rc, whole.rc, whole.end_rc);
        }
    }
    return &whole;
}

/* Add to the text at out + len. @return its new length. */
static size_t add_text(char *out, size_t cap, size_t len, const char *text)
{
    const size_t more = strlen(text);
    assert_true(more < cap - len);
    memcpy(out + len, text, more + 1);
    return len + more;
}

/* A text body of known length, with its head. */
static size_t make_reply(char *out, size_t cap, const char *head, const char *body)
{
    const int len = snprintf(out, cap, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    assert_in_range(len, 1, cap - 1);
    return (size_t)len;
}

/* Add a string as Go's encoder writes it. */
static size_t add_escaped(char *out, size_t cap, size_t len, const char *text)
{
    for (; *text != '\0'; text++) {
        const uint8_t c = (uint8_t)*text;
        char escaped[8] = {(char)c, '\0'};
        if (c == '"' || c == '\\') {
            (void)snprintf(escaped, sizeof(escaped), "\\%c", c);
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        }
        len = add_text(out, cap, len, escaped);
    }
    return len;
}

/* The reply of /restapi/telegraf. */
static size_t make_telegraf(char *out, size_t cap, int code, const char *desc, unsigned rows)
{
    static char body[1 << 17];
    char tail[64];
    size_t len = (size_t)snprintf(body, sizeof(body), "{\"code\":%d,\"desc\":\"", code);
    (void)snprintf(tail, sizeof(tail), "\",\"time\":1.2e-05,\"rows\":%u}", rows);
    len = add_escaped(body, sizeof(body), len, desc);
    (void)add_text(body, sizeof(body), len, tail);
    return make_reply(out, cap, JSON_HEAD, body);
}

static char letter_of(enum kwm_piece piece)
{
    return "?sLMDTU"[piece];
}

/* Head. */

#define NO_BODY "Content-Length: 0\r\n\r\n"
#define DATE "Date: Tue, 24 Nov 2026 14:06:00 GMT\r\n"

static const struct {
    const char *name;
    const char *text;
    int rc;
    uint16_t status;
    bool keep_alive;
    int64_t date_unix_s;
    uint32_t retry_after_ms;
} heads[] = {
    {"plain", "HTTP/1.1 200 OK\r\n" NO_BODY, 1, 200, true, 0, 0},
    {"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", 1, 200, true, 0, 0},
    {"empty reason", "HTTP/1.1 204 \r\n\r\n", 1, 204, true, 0, 0},
    {"304 has no body", "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", 1, 304, true, 0, 0},
    {"1.0 closes", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" NO_BODY, 1, 200, false, 0, 0},
    {"close", "HTTP/1.1 200 OK\r\nconnection:CLOSE\r\n" NO_BODY, 1, 200, false, 0, 0},
    {"close in a list", "HTTP/1.1 200 OK\r\nConnection: x , close\t,y\r\n" NO_BODY, 1, 200, false,
     0, 0},
    {"closed is not close", "HTTP/1.1 200 OK\r\nConnection: closed, enclose\r\n" NO_BODY, 1, 200,
     true, 0, 0},
    {"1xx are skipped",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nDate: x\r\n\r\nHTTP/1.1 413 x\r\n" NO_BODY, 1,
     413, true, 0, 0},
    {"101 is refused", "HTTP/1.1 101 x\r\n\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"ends before its head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 0, 0, false, 0, 0},
    {"HTTP/2", "HTTP/2 200 OK\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"another protocol", "SSH-2.0-x", KWM_ERR_PROTO, 0, false, 0, 0},
    {"an alert", "\x15\x03\x03", KWM_ERR_PROTO, 0, false, 0, 0},
    {"status of letters", "HTTP/1.1 abc x\r\n\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"status 099", "HTTP/1.1 099 x\r\n\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"no status", "HTTP/1.1\n\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"half a status", "HTTP/1.1 2\n\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"a CR too many", "HTTP/1.1 200 OK\r\nA: b\r\n\r\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"no colon", "HTTP/1.1 200 OK\r\nfoo\r\n\r\n", KWM_ERR_PROTO, 0, false, 0, 0},
    {"equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n", 1, 200,
     true, 0, 0},
    {"conflicting lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
     KWM_ERR_PROTO, 0, false, 0, 0},
    {"list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", KWM_ERR_PROTO, 0, false,
     0, 0},
    {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", KWM_ERR_PROTO, 0, false, 0,
     0},
    {"no length at all", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", KWM_ERR_PROTO, 0, false, 0,
     0},
    {"impossible length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n",
     KWM_ERR_PROTO, 0, false, 0, 0},
    {"length and chunks",
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", KWM_ERR_PROTO, 0,
     false, 0, 0},
    {"other coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", KWM_ERR_PROTO,
     0, false, 0, 0},
    {"coded twice",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     KWM_ERR_PROTO, 0, false, 0, 0},
    {"date", "HTTP/1.1 200 OK\r\n" DATE NO_BODY, 1, 200, true, 1795529160, 0},
    {"RFC 9110's date", "HTTP/1.1 200 OK\r\nDate:\t Sun, 06 Nov 1994 08:49:37 GMT \r\n" NO_BODY, 1,
     200, true, 784111777, 0},
    {"first date counts", "HTTP/1.1 200 OK\r\nDate: x\r\n" DATE NO_BODY, 1, 200, true, 0, 0},
    {"seconds to wait", "HTTP/1.1 503 x\r\nRetry-After: 120\r\n" NO_BODY, 1, 503, true, 0, 120000},
    {"nothing to wait", "HTTP/1.1 503 x\r\nRetry-After: \r\n" NO_BODY, 1, 503, true, 0, 0},
    {"zero to wait", "HTTP/1.1 503 x\r\nRetry-After: 0\r\n" NO_BODY, 1, 503, true, 0, 0},
    {"a day at most", "HTTP/1.1 503 x\r\nRetry-After: 86401\r\n" NO_BODY, 1, 503, true, 0,
     86400000},
    {"for ever", "HTTP/1.1 503 x\r\nRetry-After: 99999999999999999999999999\r\n" NO_BODY, 1, 503,
     true, 0, 86400000},
    {"not seconds", "HTTP/1.1 503 x\r\nRetry-After: 12s\r\n" NO_BODY, 1, 503, true, 0, 0},
    {"negative seconds", "HTTP/1.1 503 x\r\nRetry-After: -5\r\n" NO_BODY, 1, 503, true, 0, 0},
    {"wait until", "HTTP/1.1 503 x\r\nRetry-After: Tue, 24 Nov 2026 14:07:30 GMT\r\n" DATE NO_BODY,
     1, 503, true, 1795529160, 90000},
    {"wait until tomorrow night",
     "HTTP/1.1 503 x\r\n" DATE "Retry-After: Wed, 25 Nov 2026 23:00:00 GMT\r\n" NO_BODY, 1, 503,
     true, 1795529160, 86400000},
    {"wait until the past",
     "HTTP/1.1 503 x\r\n" DATE "Retry-After: Tue, 24 Nov 2026 14:05:59 GMT\r\n" NO_BODY, 1, 503,
     true, 1795529160, 0},
    {"until, without a date",
     "HTTP/1.1 503 x\r\nRetry-After: Tue, 24 Nov 2026 14:07:30 GMT\r\n" NO_BODY, 1, 503, true, 0,
     0},
};

static void test_head(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        const char *name = heads[i].name;
        const struct feed_run *run =
            feed_all_cuts(name, kwdb_1, heads[i].text, strlen(heads[i].text));
        print_message("%s\n", name);
        assert_int_equal(run->rc, heads[i].rc);
        assert_int_equal(run->reply.status, heads[i].status);
        assert_int_equal(run->reply.keep_alive, heads[i].keep_alive);
        assert_int_equal(run->reply.date_unix_s, heads[i].date_unix_s);
        assert_int_equal(run->reply.retry_after_ms, heads[i].retry_after_ms);
    }
}

static const struct {
    const char *text;
    int64_t unix_s;
} dates[] = {
    {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
    {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
    {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
    {"Thu, 29 Feb 2023 00:00:00 GMT", 0},          /* no leap year */
    {"Mon, 29 Feb 2100 00:00:00 GMT", 0},          /* nor this */
    {"Mon, 30 Feb 2024 00:00:00 GMT", 0},
    {"Wed, 00 Jan 2025 00:00:00 GMT", 0},
    {"Wed, 32 Jan 2025 00:00:00 GMT", 0},
    {"Mon, 24 Nov 2026 14:06:00 GMT", 0}, /* it was a Tuesday */
    {"Tue, 24 Nov 2026 24:06:00 GMT", 0},
    {"Tue, 24 Nov 2026 14:60:00 GMT", 0},
    {"Tue, 24 Nov 2026 14:06:61 GMT", 0},
    {"Tue, 24 Nov 2026 14:06:00 UTC", 0},
    {"Tue, 24 nov 2026 14:06:00 GMT", 0},
    {"tue, 24 Nov 2026 14:06:00 GMT", 0},
    {"Tue, 24 Nov 2026 14:06:0a GMT", 0},
    {"Tue, 24 Nov 2026 14:06:00 GMTx", 0},
    {"Tue, 4 Nov 2026 14:06:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", 0},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 0}, /* the two obsolete forms */
    {"Sun Nov  6 08:49:37 1994", 0},
};

static void test_date(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        char text[256];
        const int len =
            snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nDate: %s\r\n" NO_BODY, dates[i].text);
        print_message("%s\n", dates[i].text);
        const struct feed_run *run = feed_reply(kwdb_1, text, (size_t)len, (size_t)len, 1);
        assert_int_equal(run->rc, 1);
        assert_int_equal(run->reply.date_unix_s, dates[i].unix_s);
    }
}

/* Every day from 1970 to 2100 is a day later than the one before. */
static void test_date_days(void **state)
{
    static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    (void)state;
    int64_t days = 0;
    for (unsigned month = 0; month < 12U * 131U; month++) {
        for (unsigned day = 1; day <= 31; day++) {
            char text[256];
            const int len =
                snprintf(text, sizeof(text),
                         "HTTP/1.1 200 OK\r\nDate: %s, %02u %s %u 00:00:01 GMT\r\n" NO_BODY,
                         weekdays[days % 7], day, months[month % 12], 1970 + month / 12);
            const struct feed_run *run = feed_reply(kwdb_1, text, (size_t)len, (size_t)len, 1);
            if (run->reply.date_unix_s == 0) {
                assert_in_range(day, 29, 31); /* the month has no such day */
                break;
            }
            assert_int_equal(run->reply.date_unix_s, days * 86400 + 1);
            days++;
        }
    }
    assert_int_equal(days, 47847); /* to 2100-12-31, by `date -d` */
}

static void test_head_bounds(void **state)
{
    (void)state;
    static const char line[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ";
    char text[KWM_REPLY_HEAD_LEN_MAX + 1];
    memset(text, 'x', sizeof(text));
    memcpy(text, line, sizeof(line) - 1);
    memcpy(text + KWM_REPLY_HEAD_LEN_MAX - 4, "\r\n\r\n", 4);
    const struct feed_run *run = feed_all_cuts("longest", kwdb_1, text, KWM_REPLY_HEAD_LEN_MAX);
    assert_int_equal(run->rc, 1);
    memcpy(text + KWM_REPLY_HEAD_LEN_MAX - 4, "x\r\n\r\n", 5);
    run = feed_all_cuts("too long", kwdb_1, text, KWM_REPLY_HEAD_LEN_MAX + 1);
    assert_int_equal(run->rc, KWM_ERR_NOSPC);
    assert_int_equal(run->reply.status, 0);
    assert_false(run->reply.keep_alive);
    assert_int_equal(run->verdict, KWM_REPLY_NOT_NOW);

    for (size_t count = KWM_REPLY_HEADERS_MAX - 1; count <= KWM_REPLY_HEADERS_MAX + 1; count++) {
        size_t len = add_text(text, sizeof(text), 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (size_t i = 1; i < count; i++) {
            len = add_text(text, sizeof(text), len, "A: b\r\n");
        }
        len = add_text(text, sizeof(text), len, "\r\n");
        run = feed_reply(kwdb_1, text, len, len, 1);
        assert_int_equal(run->rc, count <= KWM_REPLY_HEADERS_MAX ? 1 : KWM_ERR_NOSPC);
    }
}

/* Frame. */

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"

static const struct {
    const char *name;
    const char *text;
    int rc;
    int end_rc;
    const char *body; /* its beginning, as desc keeps it */
    bool keep_alive;
    bool is_cut;
} frames[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, 0, "hello", true, false},
    {"one byte less", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 0, KWM_ERR_CLOSED,
     "hello", false, true},
    {"one byte more", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", 1, 0, "hell", false,
     false},
    {"until the end", "HTTP/1.1 200 OK\r\n\r\nhello", 0, 1, "hello", false, false},
    {"nothing until the end", "HTTP/1.1 200 OK\r\n\r\n", 0, 1, "", false, false},
    {"head only", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0, KWM_ERR_CLOSED, "", false,
     true},
    {"cut head", "HTTP/1.1 200 OK\r\nContent-Le", 0, KWM_ERR_CLOSED, "", false, false},
    {"nothing", "", 0, KWM_ERR_CLOSED, "", false, false},
    {"204 with bytes after it", "HTTP/1.1 204 x\r\n\r\nHTTP", 1, 0, "", false, false},
    {"one chunk", CHUNKED "5\r\nhello\r\n0\r\n\r\n", 1, 0, "hello", true, false},
    {"no chunk", CHUNKED "0\r\n\r\n", 1, 0, "", true, false},
    {"chunks", CHUNKED "001\r\nh\r\nC\r\nello, world!\r\n00\r\n\r\n", 1, 0, "hello, world!", true,
     false},
    {"hex", CHUNKED "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", 1, 0,
     "01234567890123456789a", true, false},
    {"extensions", CHUNKED "1;a=b;c=\"d\"\r\nh\r\n1 \t\r\ni\r\n0;x\r\n\r\n", 1, 0, "hi", true,
     false},
    {"trailers", CHUNKED "1\r\nh\r\n0\r\nA: b\r\nContent-Length: 7\r\n\r\n", 1, 0, "h", true,
     false},
    {"bytes after chunks", CHUNKED "1\r\nh\r\n0\r\n\r\nH", 1, 0, "h", false, false},
    {"cut in a size", CHUNKED "1", 0, KWM_ERR_CLOSED, "", false, true},
    {"cut in a chunk", CHUNKED "5\r\nhel", 0, KWM_ERR_CLOSED, "hel", false, true},
    {"cut after a chunk", CHUNKED "5\r\nhello\r\n", 0, KWM_ERR_CLOSED, "hello", false, true},
    {"cut in the last line", CHUNKED "5\r\nhello\r\n0\r\n\r", 0, KWM_ERR_CLOSED, "hello", false,
     true},
    {"cut in trailers", CHUNKED "0\r\nA: b\r\n", 0, KWM_ERR_CLOSED, "", false, true},
    {"size missing", CHUNKED "\r\nh", KWM_ERR_PROTO, 0, "", false, false},
    {"size of no digits", CHUNKED ";a\r\n", KWM_ERR_PROTO, 0, "", false, false},
    {"second size missing", CHUNKED "1\r\nh\r\n\r\n", KWM_ERR_PROTO, 0, "h", false, false},
    {"bad digit", CHUNKED "5g\r\nhello\r\n", KWM_ERR_PROTO, 0, "", false, false},
    {"negative size", CHUNKED "-5\r\nhello\r\n", KWM_ERR_PROTO, 0, "", false, false},
    {"size with 0x", CHUNKED "0x5\r\nhello\r\n", KWM_ERR_PROTO, 0, "", false, false},
    {"size over 60 bits", CHUNKED "1000000000000000\r\nh", KWM_ERR_PROTO, 0, "", false, false},
    {"size of 60 bits", CHUNKED "fffffffffffffff\r\nh", 0, KWM_ERR_CLOSED, "h", false, true},
    {"bare LF after size", CHUNKED "5\nhello\r\n0\r\n\r\n", KWM_ERR_PROTO, 0, "", false, false},
    {"bare LF after extension", CHUNKED "5;a\nhello", KWM_ERR_PROTO, 0, "", false, false},
    {"CR alone after size", CHUNKED "5\rhello", KWM_ERR_PROTO, 0, "", false, false},
    {"chunk too long", CHUNKED "4\r\nhello\r\n0\r\n\r\n", KWM_ERR_PROTO, 0, "hell", false, false},
    {"no LF after data", CHUNKED "4\r\nhell\rx", KWM_ERR_PROTO, 0, "hell", false, false},
};

static void test_frame(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        const struct feed_run *run =
            feed_all_cuts(frames[i].name, kwdb_1, frames[i].text, strlen(frames[i].text));
        print_message("%s\n", frames[i].name);
        assert_int_equal(run->rc, frames[i].rc);
        assert_int_equal(run->end_rc, frames[i].end_rc);
        assert_string_equal(run->reply.desc, frames[i].body);
        assert_int_equal(run->reply.body_len, strlen(frames[i].body));
        assert_int_equal(run->reply.keep_alive, frames[i].keep_alive);
        assert_int_equal(run->reply.is_cut, frames[i].is_cut);
        assert_false(run->reply.is_json);
        assert_int_equal(run->verdict, KWM_REPLY_NOT_NOW);
    }
}

/* What cannot end is refused at its bound: zeros of a size, an extension, trailers. */
static void test_chunk_bounds(void **state)
{
    static const char *const begins[] = {"", "1;", "0\r\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        char text[KWM_REPLY_HEAD_LEN_MAX + 128];
        size_t len = add_text(text, sizeof(text), 0, CHUNKED);
        len = add_text(text, sizeof(text), len, begins[i]);
        memset(text + len, '0', KWM_REPLY_HEAD_LEN_MAX + 1);
        len += KWM_REPLY_HEAD_LEN_MAX + 1;
        assert_int_equal(feed_reply(kwdb_1, text, len, len, 1)->rc, KWM_ERR_PROTO);
    }
}

/* JSON. */

#define HEX32 "0123456789abcdef0123456789abcdef"
#define NEST_31 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define UNNEST_31 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

static const struct {
    const char *name;
    const char *body;
    bool is_json;
    bool is_cut;
    int code;     /* INT32_MIN: has none */
    int64_t rows; /* -1: has none */
    const char *desc;
    const char *token;
} jsons[] = {
    {"success", "{\"code\":0,\"desc\":\"success;\",\"time\":0.00123,\"rows\":1}", true, false, 0, 1,
     "success;", ""},
    {"other order", " {\t\"rows\" : 7 ,\r\n\"desc\":\"x\",\"code\":-1}\n", true, false, -1, 7, "x",
     ""},
    {"login", "{\"code\":0,\"token\":\"" HEX32 "\"}", true, false, 0, -1, "", HEX32},
    {"token too long", "{\"token\":\"" HEX32 "0\"}", true, false, INT32_MIN, -1, "", ""},
    {"token too short", "{\"token\":\"0123\"}", true, false, INT32_MIN, -1, "", ""},
    {"token not hex", "{\"token\":\"0123456789abcdef0123456789abcdeg\"}", true, false, INT32_MIN,
     -1, "", ""},
    {"token, then none", "{\"token\":\"" HEX32 "\",\"token\":null}", true, false, INT32_MIN, -1, "",
     ""},
    {"token of a cut body", "{\"token\":\"" HEX32 "\"", false, true, INT32_MIN, -1,
     "{\"token\":\"" HEX32 "\"", ""},
    {"empty object", "{}", true, false, INT32_MIN, -1, "", ""},
    {"escapes", "{\"desc\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u003c\\u00E9\\u20ac\\ud83d\\ude00\"}",
     true, false, INT32_MIN, -1, "\"\\/     <\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", ""},
    {"lone halves", "{\"desc\":\"\\ud83dx\\ude00\\ud83d\\n\\ud83d\\ud83d\\ude00\\ud83d\"}", true,
     false, INT32_MIN, -1,
     "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd", ""},
    {"NUL", "{\"desc\":\"a\\u0000b\"}", true, false, INT32_MIN, -1, "a b", ""},
    {"not UTF-8", "{\"desc\":\"\xff\xc3\"}", true, false, INT32_MIN, -1, "\xff\xc3", ""},
    {"escaped key", "{\"\\u0063o\\u0064e\":5}", true, false, 5, -1, "", ""},
    {"keys like ours", "{\"cod\":1,\"codes\":2,\"Code\":3,\"\":4,\"codecodecode\":5}", true, false,
     INT32_MIN, -1, "", ""},
    {"inner keys", "{\"a\":{\"code\":0,\"rows\":9},\"b\":[{\"desc\":\"x\"}]}", true, false,
     INT32_MIN, -1, "", ""},
    {"code is an array", "{\"code\":[0],\"rows\":{\"rows\":5}}", true, false, INT32_MIN, -1, "",
     ""},
    {"desc is an array", "{\"code\":-1,\"desc\":[\"a\",\"b\"],\"rows\":0}", true, false, -1, 0, "",
     ""},
    {"desc is an object", "{\"desc\":{\"desc\":\"x\"},\"code\":1}", true, false, 1, -1, "", ""},
    {"last code counts", "{\"code\":0,\"code\":-1}", true, false, -1, -1, "", ""},
    {"last code is none", "{\"code\":0,\"code\":\"0\"}", true, false, INT32_MIN, -1, "", ""},
    {"code is a text", "{\"code\":\"0\",\"rows\":null}", true, false, INT32_MIN, -1, "", ""},
    {"exponents", "{\"code\":-10e-1,\"rows\":1.2E+1}", true, false, -1, 12, "", ""},
    {"minus zero", "{\"code\":-0,\"rows\":-0.0}", true, false, 0, 0, "", ""},
    {"zero and exponents", "{\"code\":0e99999999999,\"rows\":0.000E-5}", true, false, 0, 0, "", ""},
    {"not whole", "{\"code\":0.5,\"rows\":1e-1}", true, false, INT32_MIN, -1, "", ""},
    {"nearly zero", "{\"code\":1e-99999999999,\"rows\":0.00000000000000000000000000001}", true,
     false, INT32_MIN, -1, "", ""},
    {"too large", "{\"code\":2147483648,\"rows\":4294967296}", true, false, INT32_MAX, UINT32_MAX,
     "", ""},
    {"far too large", "{\"code\":-1e300,\"rows\":123456789012345678901234567890}", true, false,
     -INT32_MAX, UINT32_MAX, "", ""},
    {"largest", "{\"code\":2147483647,\"rows\":4294967295.000000000000000000000000000000}", true,
     false, INT32_MAX, UINT32_MAX, "", ""},
    {"nearly one", "{\"rows\":1.00000000000000000000000000000000001}", true, false, INT32_MIN, -1,
     "", ""},
    {"negative rows", "{\"code\":0,\"rows\":-1}", true, false, 0, -1, "", ""},
    {"other values", "{\"a\":true,\"b\":false,\"c\":null,\"d\":[],\"e\":{},\"f\":[1,[2,{}]]}", true,
     false, INT32_MIN, -1, "", ""},
    {"32 levels", "{\"a\":" NEST_31 UNNEST_31 "}", true, false, INT32_MIN, -1, "", ""},
    {"33 levels", "{\"a\":[" NEST_31 UNNEST_31 "]}", false, false, INT32_MIN, -1,
     "{\"a\":[" NEST_31 UNNEST_31 "]}", ""},
    {"two objects", "{\"code\":-1}{\"code\":-1}", false, false, INT32_MIN, -1,
     "{\"code\":-1}{\"code\":-1}", ""},
    {"rubbish after it", "{\"code\":0} x", false, false, INT32_MIN, -1, "{\"code\":0} x", ""},
    {"empty body", "", false, false, INT32_MIN, -1, "", ""},
    {"blank body", " \n", false, false, INT32_MIN, -1, "  ", ""},
    {"array", "[{\"code\":0}]", false, false, INT32_MIN, -1, "[{\"code\":0}]", ""},
    {"text", "\"code\"", false, false, INT32_MIN, -1, "\"code\"", ""},
    {"cut", "{\"code\":0,\"rows\":1", false, true, INT32_MIN, -1, "{\"code\":0,\"rows\":1", ""},
    {"cut in desc", "{\"code\":0,\"desc\":\"suc", false, true, INT32_MIN, -1, "suc", ""},
    {"cut in an escape", "{\"desc\":\"x\\u00", false, true, INT32_MIN, -1, "x", ""},
    {"comma at the end", "{\"code\":0,}", false, false, INT32_MIN, -1, "{\"code\":0,}", ""},
    {"comma in an array", "{\"a\":[1,]}", false, false, INT32_MIN, -1, "{\"a\":[1,]}", ""},
    {"comma at the beginning", "{,}", false, false, INT32_MIN, -1, "{,}", ""},
    {"no comma", "{\"code\":0\"rows\":1}", false, false, INT32_MIN, -1, "{\"code\":0\"rows\":1}",
     ""},
    {"no colon", "{\"code\" 0}", false, false, INT32_MIN, -1, "{\"code\" 0}", ""},
    {"no value", "{\"code\":}", false, false, INT32_MIN, -1, "{\"code\":}", ""},
    {"crossed brackets", "{\"a\":[}]", false, false, INT32_MIN, -1, "{\"a\":[}]", ""},
    {"crossed brackets after a value", "{\"a\":[1}]", false, false, INT32_MIN, -1, "{\"a\":[1}]",
     ""},
    {"array ended too early", "{\"a\":1]", false, false, INT32_MIN, -1, "{\"a\":1]", ""},
    {"key without quotes", "{code:0}", false, false, INT32_MIN, -1, "{code:0}", ""},
    {"single quotes", "{'code':0}", false, false, INT32_MIN, -1, "{'code':0}", ""},
    {"leading zero", "{\"code\":00}", false, false, INT32_MIN, -1, "{\"code\":00}", ""},
    {"plus", "{\"code\":+0}", false, false, INT32_MIN, -1, "{\"code\":+0}", ""},
    {"minus alone", "{\"code\":-}", false, false, INT32_MIN, -1, "{\"code\":-}", ""},
    {"point alone", "{\"code\":0.}", false, false, INT32_MIN, -1, "{\"code\":0.}", ""},
    {"exponent alone", "{\"code\":0e}", false, false, INT32_MIN, -1, "{\"code\":0e}", ""},
    {"exponent's sign alone", "{\"code\":0e+}", false, false, INT32_MIN, -1, "{\"code\":0e+}", ""},
    {"hex number", "{\"code\":0x0}", false, false, INT32_MIN, -1, "{\"code\":0x0}", ""},
    {"NaN", "{\"code\":NaN}", false, false, INT32_MIN, -1, "{\"code\":NaN}", ""},
    {"word cut", "{\"a\":nul}", false, false, INT32_MIN, -1, "{\"a\":nul}", ""},
    {"word too long", "{\"a\":nulll}", false, false, INT32_MIN, -1, "{\"a\":nulll}", ""},
    {"bad escape", "{\"a\":\"\\x\"}", false, false, INT32_MIN, -1, "{\"a\":\"\\x\"}", ""},
    {"bad hex", "{\"a\":\"\\u00g0\"}", false, false, INT32_MIN, -1, "{\"a\":\"\\u00g0\"}", ""},
    {"line feed in a text", "{\"a\":\"\n\"}", false, false, INT32_MIN, -1, "{\"a\":\" \"}", ""},
    {"BOM", "\xef\xbb\xbf{}", false, false, INT32_MIN, -1, "\xef\xbb\xbf{}", ""},
};

static void test_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(jsons); i++) {
        char text[1024];
        const size_t len = make_reply(text, sizeof(text), JSON_HEAD, jsons[i].body);
        const struct feed_run *run = feed_all_cuts(jsons[i].name, kwdb_1, text, len);
        const struct kwm_reply *reply = &run->reply;
        print_message("%s\n", jsons[i].name);
        assert_int_equal(run->rc, 1);
        assert_int_equal(reply->is_json, jsons[i].is_json);
        assert_int_equal(reply->is_cut, jsons[i].is_cut);
        assert_int_equal(reply->has_code, jsons[i].code != INT32_MIN);
        assert_int_equal(reply->has_rows, jsons[i].rows != -1);
        if (reply->has_code) {
            assert_int_equal(reply->code, jsons[i].code);
        }
        if (reply->has_rows) {
            assert_int_equal(reply->rows, jsons[i].rows);
        }
        assert_string_equal(reply->desc, jsons[i].desc);
        assert_string_equal(reply->token, jsons[i].token);
    }
}

/* A number of a million digits is still none that could be mistaken. */
static void test_long_number(void **state)
{
    (void)state;
    static char text[1 << 20];
    static const char *const begins[] = {"1", "0."};
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        size_t len = add_text(text, sizeof(text), 0, JSON_HEAD "\r\n{\"code\":");
        len = add_text(text, sizeof(text), len, begins[i]);
        memset(text + len, '0', 1000100);
        len = add_text(text, sizeof(text), len + 1000100, "1e1000100,\"rows\":1}");
        const struct feed_run *run = feed_reply(kwdb_1, text, len, 4096, 4096);
        assert_true(run->reply.is_json);
        assert_int_equal(run->reply.has_code, i == 0);
        assert_int_equal(run->reply.code, i == 0 ? INT32_MAX : 0);
        assert_int_equal(run->verdict, i == 0 ? KWM_REPLY_STORED : KWM_REPLY_NOT_NOW); /* rows 1 */
    }
}

static const struct {
    const char *type;
    bool is_json;
} types[] = {
    {"Content-Type: application/json\r\n", true},
    {"content-type:Application/JSON;charset=utf-8\r\n", true},
    {"Content-Type: application/json ; x\r\n", true},
    {"Content-Type: application/json\r\nContent-Type: application/json\r\n", true},
    {"", false},
    {"Content-Type:\r\n", false},
    {"Content-Type: text/html\r\n", false},
    {"Content-Type: application/jsonp\r\n", false},
    {"Content-Type: application/json+x\r\n", false},
    {"Content-Type: text/plain, application/json\r\n", false},
    {"Content-Type: application/json\r\nContent-Type: text/html\r\n", false},
    {"Content-Type: text/html\r\nContent-Type: application/json\r\n", false},
};

static void test_content_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char text[256];
        const int len =
            snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\n%sContent-Length: 10\r\n\r\n{\"code\":0}", types[i].type);
        const struct feed_run *run = feed_all_cuts(types[i].type, kwdb_1, text, (size_t)len);
        print_message("%s", types[i].type);
        assert_int_equal(run->reply.is_json, types[i].is_json);
        assert_int_equal(run->verdict, types[i].is_json ? KWM_REPLY_STORED : KWM_REPLY_NOT_NOW);
    }
}

/* What is kept of a long desc is cut between two characters. */
static void test_desc_bound(void **state)
{
    (void)state;
    for (size_t ahead = KWM_REPLY_DESC_LEN_MAX - 5; ahead <= KWM_REPLY_DESC_LEN_MAX; ahead++) {
        char desc[KWM_REPLY_DESC_LEN_MAX + 16];
        char text[1024];
        memset(desc, 'a', ahead);
        (void)add_text(desc, sizeof(desc), ahead, "\xf0\x9f\x98\x80xy");
        const size_t len = make_telegraf(text, sizeof(text), -1, desc, 0);
        const struct feed_run *run = feed_reply(kwdb_1, text, len, len, 1);
        const size_t kept = ahead + 4 <= KWM_REPLY_DESC_LEN_MAX ? ahead + 4 : ahead;
        const size_t more = kept == ahead ? 0 : KWM_REPLY_DESC_LEN_MAX - kept;
        assert_int_equal(strlen(run->reply.desc), kept + (more > 2 ? 2 : more));
        assert_memory_equal(run->reply.desc, desc, strlen(run->reply.desc));
    }
}

/* Verdict. */

#define OK_HTML "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
#define STATUS(status) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"
#define AUTH(text) "{\"code\":-1,\"desc\":\"" text "\"}"
#define TOKEN_TEXT "can not find token, need login first"

static const struct {
    const char *name;
    enum kwm_dialect dialect;
    uint16_t line_count;
    const char *head;
    const char *body;
    enum kwm_reply_verdict verdict;
    const char *pieces; /* a letter for each: s stored, L, M, D duplicate, T, U */
} verdicts[] = {
    {"stored", KWM_DIALECT_KWDB, 1, JSON_HEAD, "{\"code\":0,\"desc\":\"success;\",\"rows\":1}",
     KWM_REPLY_STORED, ""},
    {"whatever rows says", KWM_DIALECT_KWDB, 3, JSON_HEAD,
     "{\"code\":0,\"desc\":\"success;\",\"rows\":0}", KWM_REPLY_STORED, "s"},
    {"old release, stored", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":0,\"desc\":\"success\",\"rows\":1}", KWM_REPLY_STORED, ""},
    {"an empty line failed too", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"success;wrong telegraf insert statement and please check;\","
     "\"rows\":1}",
     KWM_REPLY_STORED, ""},
    {"rows of two", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"success;success;x\",\"rows\":2}", KWM_REPLY_STORED, "sU"},
    {"one line, refused", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"pq: at or near \\\"x\\\": syntax error\",\"rows\":0}",
     KWM_REPLY_PIECES, "L"},
    {"one line, no ; at its end", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"pq: relation \\\"x\\\" does not exist\",\"rows\":0}",
     KWM_REPLY_PIECES, "M"},
    {"one line, internal error", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"failed to send RPC,\",\"rows\":0}", KWM_REPLY_PIECES, "T"},
    {"one line, looks like three", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"pq: x;success;pq: relation \\\"x\\\" does not exist;\",\"rows\":0}",
     KWM_REPLY_PIECES, "U"},
    {"one line, contradiction", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"success;\",\"rows\":0}", KWM_REPLY_PIECES, "U"},
    {"one line, no desc", KWM_DIALECT_KWDB, 1, JSON_HEAD, "{\"code\":-1,\"rows\":0}",
     KWM_REPLY_PIECES, "U"},
    {"one line, desc is an array", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":[\"pq: at or near\"],\"rows\":0}", KWM_REPLY_PIECES, "U"},
    {"one line, desc twice", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"pq: x;\",\"desc\":\"pq: lexical error: y\",\"rows\":0}",
     KWM_REPLY_PIECES, "L"},
    {"two lines", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"rows\":1,\"desc\":\"pq: at or near \\\"x\\\": syntax errorsuccess;\",\"code\":-1}",
     KWM_REPLY_PIECES, "Ls"},
    {"two lines, desc twice", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"success;pq: x;\",\"desc\":\"success;pq: x;\",\"rows\":1}",
     KWM_REPLY_UNCLEAR, "sU"},
    {"two lines, desc is an array", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":[\"success;pq: x;\"],\"rows\":1}", KWM_REPLY_UNCLEAR, ""},
    {"two lines, desc is an array first", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":[],\"desc\":\"success;pq: x;\",\"rows\":1}", KWM_REPLY_UNCLEAR, ""},
    {"two lines, no desc", KWM_DIALECT_KWDB, 2, JSON_HEAD, "{\"code\":-1,\"rows\":1}",
     KWM_REPLY_UNCLEAR, ""},
    {"old release, last line bad", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"pq: relation \\\"x\\\" does not exist\",\"rows\":0}",
     KWM_REPLY_UNCLEAR, "M"},
    {"old release, first line bad", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"success\",\"rows\":1}", KWM_REPLY_UNCLEAR, ""},
    {"no token", KWM_DIALECT_KWDB, 2, JSON_HEAD, AUTH(TOKEN_TEXT), KWM_REPLY_AUTH, ""},
    {"no credentials", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     AUTH("wrong username or password, please check"), KWM_REPLY_AUTH, ""},
    {"not Basic", KWM_DIALECT_KWDB, 1, JSON_HEAD,
     AUTH("can not find Basic attribute, please check"), KWM_REPLY_AUTH, ""},
    {"not base64", KWM_DIALECT_KWDB, 1, JSON_HEAD, AUTH("illegal base64 data at input byte 4"),
     KWM_REPLY_AUTH, ""},
    {"login refused", KWM_DIALECT_KWDB, 0, JSON_HEAD,
     AUTH("the provided username and password did not match any credentials on the server."),
     KWM_REPLY_AUTH, ""},
    {"login expired", KWM_DIALECT_KWDB, 0, JSON_HEAD, AUTH("the password for user has expired."),
     KWM_REPLY_AUTH, ""},
    {"login looked up in vain", KWM_DIALECT_KWDB, 0, JSON_HEAD,
     AUTH("auth err:authentication timeout"), KWM_REPLY_AUTH, ""},
    {"login by POST", KWM_DIALECT_KWDB, 0, JSON_HEAD, AUTH("support only GET method."),
     KWM_REPLY_NOT_NOW, ""},
    {"an auth text with rows", KWM_DIALECT_KWDB, 2, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"" TOKEN_TEXT "\",\"rows\":0}", KWM_REPLY_UNCLEAR, ""},
    {"whole request", KWM_DIALECT_KWDB, 1, JSON_HEAD, AUTH("pq: database \\\"x\\\" does not exist"),
     KWM_REPLY_NOT_NOW, ""},
    {"no desc, no rows", KWM_DIALECT_KWDB, 1, JSON_HEAD, "{\"code\":-1}", KWM_REPLY_NOT_NOW, ""},
    {"no code", KWM_DIALECT_KWDB, 1, JSON_HEAD, "{\"desc\":\"success;\",\"rows\":1}",
     KWM_REPLY_NOT_NOW, ""},
    {"half a code", KWM_DIALECT_KWDB, 1, JSON_HEAD, "{\"code\":0.5,\"rows\":1}", KWM_REPLY_NOT_NOW,
     ""},
    {"empty", KWM_DIALECT_KWDB, 1, JSON_HEAD, "", KWM_REPLY_NOT_NOW, ""},
    {"cut", KWM_DIALECT_KWDB, 1, JSON_HEAD, "{\"code\":0,\"desc\":\"success;\",\"rows\":1",
     KWM_REPLY_NOT_NOW, ""},
    {"two objects", KWM_DIALECT_KWDB, 1, JSON_HEAD, AUTH("x") AUTH("x"), KWM_REPLY_NOT_NOW, ""},
    {"HTML", KWM_DIALECT_KWDB, 1, OK_HTML, "<html>success;</html>", KWM_REPLY_NOT_NOW, ""},
    {"JSON that is called HTML", KWM_DIALECT_KWDB, 1, OK_HTML, "{\"code\":0,\"rows\":1}",
     KWM_REPLY_NOT_NOW, ""},
    {"start-up", KWM_DIALECT_KWDB, 1, STATUS("404 Not Found"), "404 page not found\n",
     KWM_REPLY_NOT_NOW, ""},
    {"plain HTTP on a TLS port", KWM_DIALECT_KWDB, 1, STATUS("307 x"), "{\"code\":0}",
     KWM_REPLY_NOT_NOW, ""},
    {"201 is not 200", KWM_DIALECT_KWDB, 1, STATUS("201 x"), "{\"code\":0,\"rows\":1}",
     KWM_REPLY_NOT_NOW, ""},
    {"401 from a proxy", KWM_DIALECT_KWDB, 1, STATUS("401 x"), "", KWM_REPLY_NOT_NOW, ""},
    {"500 with rows", KWM_DIALECT_KWDB, 2, STATUS("500 x"),
     "{\"code\":-1,\"desc\":\"success;pq: x;\",\"rows\":1}", KWM_REPLY_NOT_NOW, "sU"},
    {"too large", KWM_DIALECT_KWDB, 2, STATUS("413 x"), "{\"code\":0}", KWM_REPLY_TOO_LARGE, ""},
    {"health", KWM_DIALECT_KWDB, 0, JSON_HEAD, "{\"nodeId\":1}", KWM_REPLY_STORED, ""},
    {"health in words", KWM_DIALECT_KWDB, 0, OK_HTML, "ok", KWM_REPLY_STORED, ""},
    {"health, not yet", KWM_DIALECT_KWDB, 0, STATUS("503 x"), "", KWM_REPLY_NOT_NOW, ""},
    {"login", KWM_DIALECT_KWDB, 0, JSON_HEAD, "{\"code\":0,\"token\":\"" HEX32 "\"}",
     KWM_REPLY_STORED, ""},
    {"rows of no lines", KWM_DIALECT_KWDB, 0, JSON_HEAD, "{\"code\":-1,\"rows\":0}",
     KWM_REPLY_NOT_NOW, ""},

    {"influx, stored", KWM_DIALECT_INFLUX, 9, "HTTP/1.1 204 x\r\n", "", KWM_REPLY_STORED, ""},
    {"influx, stored too", KWM_DIALECT_INFLUX, 9, JSON_HEAD, "{}", KWM_REPLY_STORED, ""},
    {"influx, KWDB's words mean nothing", KWM_DIALECT_INFLUX, 1, JSON_HEAD,
     "{\"code\":-1,\"desc\":\"pq: x;\",\"rows\":0}", KWM_REPLY_STORED, ""},
    {"influx 1, one of many", KWM_DIALECT_INFLUX, 2, STATUS("400 x"),
     "{\"error\":\"partial write: field type conflict dropped=1\"}", KWM_REPLY_UNCLEAR, ""},
    {"influx 1, the one", KWM_DIALECT_INFLUX, 1, STATUS("400 x"),
     "{\"error\":\"unable to parse 'cpu x': missing fields\"}", KWM_REPLY_PIECES, "L"},
    {"influx 2, the one", KWM_DIALECT_INFLUX, 1, STATUS("400 x"),
     "{\"code\":\"invalid\",\"message\":\"unable to parse\"}", KWM_REPLY_PIECES, "L"},
    {"influx, plain text", KWM_DIALECT_INFLUX, 1, "HTTP/1.1 400 x\r\n", "uunable to parse\n",
     KWM_REPLY_PIECES, "L"},
    {"influx, of no lines", KWM_DIALECT_INFLUX, 0, "HTTP/1.1 400 x\r\n", "unable to parse\n",
     KWM_REPLY_NOT_NOW, ""},
    {"influx, another 400", KWM_DIALECT_INFLUX, 1, STATUS("400 x"),
     "{\"error\":\"unable to read the partial writ\"}", KWM_REPLY_NOT_NOW, ""},
    {"influx, credentials", KWM_DIALECT_INFLUX, 1, STATUS("401 x"),
     "{\"error\":\"unable to parse\"}", KWM_REPLY_AUTH, ""},
    {"influx, forbidden", KWM_DIALECT_INFLUX, 1, STATUS("403 x"), "", KWM_REPLY_MISTAKE, ""},
    {"influx, no database", KWM_DIALECT_INFLUX, 1, STATUS("404 x"), "", KWM_REPLY_MISTAKE, ""},
    {"influx, too large", KWM_DIALECT_INFLUX, 1, STATUS("413 x"), "", KWM_REPLY_TOO_LARGE, ""},
    {"influx, busy", KWM_DIALECT_INFLUX, 1, STATUS("503 x"), "", KWM_REPLY_NOT_NOW, ""},
};

static void check_pieces(const struct feed_run *run, const char *letters)
{
    char seen[FEED_PIECES_MAX + 1] = "";
    assert_in_range(run->piece_count, 0, FEED_PIECES_MAX);
    for (size_t i = 0; i < run->piece_count; i++) {
        assert_int_equal(run->pieces[i].line, i);
        seen[i] = letter_of(run->pieces[i].piece);
    }
    assert_string_equal(seen, letters);
}

static void test_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        char text[1024];
        const struct feed_request request = {verdicts[i].dialect, verdicts[i].line_count};
        const size_t len = make_reply(text, sizeof(text), verdicts[i].head, verdicts[i].body);
        const struct feed_run *run = feed_all_cuts(verdicts[i].name, request, text, len);
        print_message("%s\n", verdicts[i].name);
        assert_int_equal(run->rc, 1);
        assert_int_equal(run->verdict, verdicts[i].verdict);
        check_pieces(run, verdicts[i].pieces);
    }
}

/* A reply that ends too early says nothing, unless its status alone does. */
static void test_verdict_cut(void **state)
{
    static const struct {
        const char *status;
        enum kwm_dialect dialect;
        enum kwm_reply_verdict verdict;
    } cuts[] = {
        {"200", KWM_DIALECT_KWDB, KWM_REPLY_NOT_NOW},
        {"413", KWM_DIALECT_KWDB, KWM_REPLY_TOO_LARGE},
        {"200", KWM_DIALECT_INFLUX, KWM_REPLY_NOT_NOW},
        {"400", KWM_DIALECT_INFLUX, KWM_REPLY_NOT_NOW},
        {"401", KWM_DIALECT_INFLUX, KWM_REPLY_AUTH},
        {"403", KWM_DIALECT_INFLUX, KWM_REPLY_MISTAKE},
        {"413", KWM_DIALECT_INFLUX, KWM_REPLY_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        char text[256];
        const int len = snprintf(text, sizeof(text),
                                 "HTTP/1.1 %s x\r\nContent-Length: 99\r\nContent-Type: "
                                 "application/json\r\n\r\n{\"code\":0,\"error\":\"partial write\"}",
                                 cuts[i].status);
        for (uint16_t lines = 0; lines <= 2; lines++) {
            const struct feed_request request = {cuts[i].dialect, lines};
            const struct feed_run *run = feed_all_cuts(cuts[i].status, request, text, (size_t)len);
            assert_int_equal(run->end_rc, KWM_ERR_CLOSED);
            assert_true(run->reply.is_cut);
            assert_false(run->reply.has_code);
            assert_false(run->reply.keep_alive);
            assert_int_equal(run->verdict, cuts[i].verdict);
            assert_int_equal(run->piece_count, 0);
        }
    }
}

/* A body up to the end of the connection: whole, and inside its JSON. */
static void test_until_end(void **state)
{
    static const char text[] = JSON_HEAD "\r\n{\"code\":0,\"rows\":1}";
    (void)state;
    const struct feed_run *run = feed_all_cuts("whole", kwdb_1, text, sizeof(text) - 1);
    assert_int_equal(run->end_rc, 1);
    assert_int_equal(run->verdict, KWM_REPLY_STORED);
    run = feed_all_cuts("cut", kwdb_1, text, sizeof(text) - 2);
    assert_int_equal(run->end_rc, 1);
    assert_true(run->reply.is_cut);
    assert_int_equal(run->verdict, KWM_REPLY_NOT_NOW);
}

/* Pieces. */

#define WRONG "wrong telegraf insert statement and please check;"
#define SINGLE "only support single statement for each telegraf interface and please check;"
#define SYNTAX "pq: at or near \"x\": syntax error"
#define LEXICAL "pq: lexical error: unterminated string"
#define TABLE "pq: relation \"x\" does not exist;"

static const struct {
    const char *name;
    uint16_t line_count;
    unsigned rows;
    const char *desc;
    const char *pieces; /* NULL: does not add up */
} sums[] = {
    {"one of each", 6, 1, "success;" WRONG SINGLE SYNTAX LEXICAL TABLE, "sLLLLM"},
    {"the other way", 6, 1, TABLE LEXICAL SYNTAX SINGLE WRONG "success;", "MLLLLs"},
    {"a semicolon inside", 2, 1, "pq: node unavailable; try another peer;success;", "Ts"},
    {"success; inside", 3, 1, "pq: Please wait for success;success;pq: Please wait for success;",
     "TsT"},
    {"none stored", 2, 0, WRONG TABLE, "LM"},
    {"a piece too few", 3, 1, "success;" TABLE, NULL},
    {"a piece too many", 2, 1, "success;" TABLE TABLE, NULL},
    {"rows too few", 3, 1, "success;success;" TABLE, NULL},
    {"rows too many", 4, 3, "success;success;" TABLE TABLE, NULL},
    {"begins with a blank", 2, 1, " success;" TABLE, NULL},
    {"begins with something else", 2, 1, "failed,success;" TABLE, NULL},
    {"nothing", 2, 1, "", NULL},
    {"internal error after success", 3, 1, "success;failed," TABLE, NULL},
    {"internal error instead of a piece", 2, 1, "success;failed,", NULL},
    {"internal error after a table", 2, 1, "success;" TABLE "failed,", NULL},
    {"internal error after a fixed text", 2, 1, "success;" WRONG "failed,", NULL},
    {"internal error after a syntax error", 2, 1, "success;" SYNTAX "failed,", NULL},
    {"internal error after a lexical one", 3, 1, "success;" LEXICAL "failed,", NULL},
    {"no end", 2, 1, "success;pq: relation \"x\" does not exist", NULL},
    {"success without end", 2, 1, TABLE "success", NULL},
    {"success with more", 2, 1, TABLE "success;;", NULL},
    {"twice begun", 2, 1, "successuccess;" TABLE, NULL},
    {"begun inside a text", 2, 1, "pq: sucsuccesuccesswronwrong teonly pq:pq ;success;", "Us"},
    {"begun at the end", 2, 1, "success;pq: only support sing;", "sU"},
    {"held back at the end", 2, 1, "success;pq: x;only support sing", NULL},
    {"begun in the end of a text", 2, 1, "pq: lexical error: successuccess;", "Ls"},
    {"a quote at the beginning", 2, 1, "success;pq: 'failed to send RPC' no;", "sU"},
};

static void test_pieces_add_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        char text[1024];
        const struct feed_request request = {KWM_DIALECT_KWDB, sums[i].line_count};
        const size_t len = make_telegraf(text, sizeof(text), -1, sums[i].desc, sums[i].rows);
        const struct feed_run *run = feed_all_cuts(sums[i].name, request, text, len);
        print_message("%s\n", sums[i].name);
        assert_in_range(run->piece_count, 0, sums[i].line_count);
        if (sums[i].pieces == NULL) {
            assert_int_equal(run->verdict, KWM_REPLY_UNCLEAR);
        } else {
            assert_int_equal(run->verdict, KWM_REPLY_PIECES);
            check_pieces(run, sums[i].pieces);
        }
    }
}

/* Every text, alone and in the middle of a batch, is of its class; the sink gets its beginning. */
static void test_piece_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < REPLY_TEXT_COUNT; i++) {
        char text[2048];
        char desc[1024];
        const char *piece = reply_texts[i].text;
        print_message("%s\n", piece);
        size_t len = make_telegraf(text, sizeof(text), -1, piece, 0);
        const struct feed_run *run = feed_all_cuts(piece, kwdb_1, text, len);
        assert_int_equal(run->verdict, KWM_REPLY_PIECES);
        assert_int_equal(run->piece_count, 1);
        assert_int_equal(run->pieces[0].piece, reply_texts[i].piece);
        const uint32_t hash = run->pieces[0].hash;

        (void)snprintf(desc, sizeof(desc), "success;%ssuccess;", piece);
        len = make_telegraf(text, sizeof(text), -1, desc, 2);
        const struct feed_request three = {KWM_DIALECT_KWDB, 3};
        run = feed_reply(three, text, len, len, 1);
        assert_int_equal(run->verdict, KWM_REPLY_PIECES);
        assert_int_equal(run->piece_count, 3);
        assert_int_equal(run->pieces[0].piece, KWM_PIECE_STORED);
        assert_int_equal(run->pieces[0].hash, 0);
        assert_int_equal(run->pieces[1].piece, reply_texts[i].piece);
        assert_int_equal(run->pieces[1].hash, hash);
        assert_int_not_equal(hash, 0);
        assert_int_equal(run->pieces[2].piece, KWM_PIECE_STORED);
        assert_in_range(run->pieces[1].len, 1, strlen(piece));
        assert_memory_equal(run->pieces[1].text, piece, run->pieces[1].len);
    }
}

/* Texts in which a value speaks: what is inside quotes is not KWDB's word. */
static const struct {
    const char *text;
    enum kwm_piece piece;
} echoes[] = {
    {"pq: could not resolve \"TransactionRetryWithProtoRefreshError\" as FLOAT8 type (column c);",
     KWM_PIECE_LINE},
    {"pq: value 'failed to send RPC' too long for type VARCHAR(4) (column c);", KWM_PIECE_LINE},
    {"pq: value 'x\"does not exist\"x' too long for type VARCHAR(4) (column c);", KWM_PIECE_LINE},
    {"pq: value 'it's' too long for type VARCHAR(1) (column c);", KWM_PIECE_LINE},
    {"pq: value ''''' too long for type VARCHAR(1) (column c);", KWM_PIECE_LINE},
    {"pq: could not resolve \"a\"b\" as FLOAT8 type (column c);", KWM_PIECE_LINE},
    {"pq: could not resolve \"a\":b\" as FLOAT8 type (column c);", KWM_PIECE_LINE},
    {"pq: could not resolve \"\" as FLOAT8 type (column c);", KWM_PIECE_LINE},
    {"pq: at or near \"\"\": syntax error", KWM_PIECE_LINE},
    {"pq: at or near \"'\": syntax error", KWM_PIECE_LINE},
    {"pq: at or near \"duplicate key value\": syntax error", KWM_PIECE_LINE},
    {"pq: column \"out of range for type \" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: relation \"lexical error: \" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: foo 'out of range for type ';", KWM_PIECE_UNKNOWN},
    {"pq: foo \"duplicate key value\";", KWM_PIECE_UNKNOWN},
    {"pq: foo: duplicate key value;", KWM_PIECE_UNKNOWN},
    {"pq: foo doesn't exist 'does not exist';", KWM_PIECE_UNKNOWN},
    {"pq: fofailed to sendfailed to send RPC;", KWM_PIECE_TRANSIENT},
    {"pq: query executioquery execution canceled;", KWM_PIECE_TRANSIENT},
    {"pq: value 'x' too long for too long for type VARCHAR(4) (column c);", KWM_PIECE_LINE},
    {"pq: query execution cancelled;", KWM_PIECE_UNKNOWN},
};

static void test_piece_echoes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(echoes); i++) {
        char text[512];
        const size_t len = make_telegraf(text, sizeof(text), -1, echoes[i].text, 0);
        const struct feed_run *run = feed_reply(kwdb_1, text, len, len, 1);
        print_message("%s\n", echoes[i].text);
        assert_int_equal(run->piece_count, 1);
        assert_int_equal(run->pieces[0].piece, echoes[i].piece);
    }
}

static uint32_t hash_of(const char *desc)
{
    char text[1024];
    const size_t len = make_telegraf(text, sizeof(text), -1, desc, 0);
    const struct feed_run *run = feed_reply(kwdb_1, text, len, len, 1);
    assert_int_equal(run->piece_count, 1);
    return run->pieces[0].hash;
}

static void test_piece_hash(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool is_same;
    } pairs[] = {
        {"pq: value 'abc' too long for type VARCHAR(64) (column host);",
         "pq: value 'it's \"42\"' too long for type VARCHAR(64) (column host);", true},
        {"pq: could not resolve \"1e5\" as FLOAT8 type (column temp);",
         "pq: could not resolve \"\" as FLOAT8 type (column temp);", true},
        {"pq: failed after 17 tries in 1.5s;", "pq: failed after 3 tries in 200ms;", true},
        {"pq: failed id=1f2e;", "pq: failed id=9;", true},
        {"pq: duplicate key value (k_timestamp,host)=(1687898010000,'a') violates;",
         "pq: duplicate key value (k_timestamp,host)=(1687898020001,'b.c') violates;", true},
        {"pq: could not resolve \"x\" as FLOAT8 type (column temp);",
         "pq: could not resolve \"x\" as FLOAT8 type (column hum);", false},
        {"pq: could not resolve \"x\" as FLOAT8 type (column temp);",
         "pq: could not resolve \"x\" as FLOAT4 type (column temp);", false},
        {"pq: column c1 fell;", "pq: column c2 fell;", false},
        {"pq: a;", "pq: b;", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        print_message("%s\n", pairs[i].a);
        if (pairs[i].is_same) {
            assert_int_equal(hash_of(pairs[i].a), hash_of(pairs[i].b));
        } else {
            assert_int_not_equal(hash_of(pairs[i].a), hash_of(pairs[i].b));
        }
    }
}

/* Of the influx dialect's one line the sink gets the error's words. */
static void test_influx_text(void **state)
{
    static const char *const bodies[][2] = {
        {STATUS("400 x"), "{\"error\":\"unable to parse 'a\\\"b': bad\"}\n"},
        {"HTTP/1.1 400 x\r\nContent-Type: text/plain\r\n", "unable to parse 'a\"b': bad"},
    };
    static const struct feed_request request = {KWM_DIALECT_INFLUX, 1};
    (void)state;
    uint32_t hashes[2];
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        char text[256];
        const size_t len = make_reply(text, sizeof(text), bodies[i][0], bodies[i][1]);
        const struct feed_run *run = feed_all_cuts(bodies[i][1], request, text, len);
        assert_int_equal(run->piece_count, 1);
        assert_int_equal(run->pieces[0].len, 26);
        assert_memory_equal(run->pieces[0].text, "unable to parse 'a\"b': bad", 26);
        assert_string_equal(run->reply.desc, "unable to parse 'a\"b': bad");
        hashes[i] = run->pieces[0].hash;
    }
    assert_int_equal(hashes[0], hashes[1]);
}

/* Random batches. */

#define BATCH_LINES_MAX 60U

/* A batch: the texts of its lines, and what each line should be read as. */
struct batch {
    char desc[1 << 16];
    size_t len;
    uint16_t line_count;
    unsigned rows;
    enum kwm_piece truth[BATCH_LINES_MAX];
};

static void add_line(struct batch *batch, const char *text, enum kwm_piece truth)
{
    const size_t len = strlen(text);
    assert_in_range(batch->line_count, 0, BATCH_LINES_MAX - 1);
    assert_true(batch->len + len < sizeof(batch->desc));
    memcpy(batch->desc + batch->len, text, len + 1);
    batch->len += len;
    batch->truth[batch->line_count] = truth;
    batch->line_count++;
    batch->rows += truth == KWM_PIECE_STORED ? 1U : 0U;
}

/* The batch's reply, in chunks of random length or with its length. */
static size_t make_batch_reply(char *out, size_t cap, const struct batch *batch, uint64_t *random)
{
    static char plain[1 << 18];
    const size_t len = make_telegraf(plain, sizeof(plain), -1, batch->desc, batch->rows);
    if (support_random(random) % 2 == 0) {
        assert_in_range(len, 1, cap);
        memcpy(out, plain, len);
        return len;
    }
    const char *body = strstr(plain, "\r\n\r\n") + 4;
    size_t left = len - (size_t)(body - plain);
    size_t at = add_text(out, cap, 0, JSON_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    while (left > 0) {
        size_t size = 1 + support_random(random) % 300;
        size = size < left ? size : left;
        at += (size_t)snprintf(out + at, cap - at, "%zx\r\n", size);
        memcpy(out + at, body, size);
        at = add_text(out, cap, at + size, "\r\n");
        body += size;
        left -= size;
        assert_in_range(at, 1, cap - 512);
    }
    return add_text(out, cap, at, "0\r\n\r\n");
}

/* Feed the batch's reply in several ways. @return the run. */
static const struct feed_run *feed_batch(const struct batch *batch, uint64_t *random, bool in_all)
{
    static char text[1 << 18];
    static struct feed_run first;
    const struct feed_request request = {KWM_DIALECT_KWDB, batch->line_count};
    const size_t len = make_batch_reply(text, sizeof(text), batch, random);
    if (in_all) {
        return feed_all_cuts("batch", request, text, len);
    }
    memcpy(&first, feed_reply(request, text, len, len, len), sizeof(first));
    const size_t cuts[] = {1, 2, 3 + support_random(random) % 61,
                           64 + support_random(random) % 1400};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        const struct feed_run *run = feed_reply(request, text, len, cuts[i], cuts[i]);
        assert_true(feed_is_same(run, &first));
    }
    return &first;
}

static void fail_batch(const struct batch *batch, const struct feed_run *run, uint64_t seed,
                       const char *what)
{
    for (size_t i = 0; i < batch->line_count; i++) {
        print_error("line %zu: %c, read as %c\n", i, letter_of(batch->truth[i]),
                    i < run->piece_count ? letter_of(run->pieces[i].piece) : '-');
    }
    fail_msg("%s; KWM_SEED=%llu, desc: %s", what, (unsigned long long)seed, batch->desc);
}

/* Good and bad lines of KWDB's own texts: each line is read rightly, and none is unclear. */
static void test_random_batches(void **state)
{
    (void)state;
    static struct batch batch;
    const uint64_t seed = support_seed();
    uint64_t random = seed;
    const unsigned runs = support_runs(1600);
    print_message("KWM_SEED=%llu, %u batches\n", (unsigned long long)seed, runs);
    for (unsigned i = 0; i < runs; i++) {
        memset(&batch, 0, sizeof(batch));
        const bool is_small = i % 32 == 0;
        const unsigned lines = 2 + (unsigned)(support_random(&random) % (is_small ? 5 : 59));
        const unsigned good_of_8 = (unsigned)(support_random(&random) % 9);
        for (unsigned line = 0; line < lines; line++) {
            const size_t pick = support_random(&random) % REPLY_TEXT_COUNT;
            if (support_random(&random) % 8 < good_of_8) {
                add_line(&batch, "success;", KWM_PIECE_STORED);
            } else {
                add_line(&batch, reply_texts[pick].text, reply_texts[pick].piece);
            }
        }
        const struct feed_run *run = feed_batch(&batch, &random, is_small);
        if (batch.rows == batch.line_count) {
            assert_int_equal(run->verdict, KWM_REPLY_STORED);
            continue;
        }
        if (run->verdict != KWM_REPLY_PIECES || run->piece_count != lines) {
            fail_batch(&batch, run, seed, "unclear");
        }
        for (unsigned line = 0; line < lines; line++) {
            if (run->pieces[line].line != line || run->pieces[line].piece != batch.truth[line]) {
                fail_batch(&batch, run, seed, "read wrongly");
            }
        }
    }
}

/* A value in the way of the encoder: no blank, no `;`, no `,`, no `=`; or anything at all. */
static void make_value(char *out, size_t cap, uint64_t *random, bool is_encoded)
{
    static const char *const encoded[] = {"pq:",  "success", "a", "\"",   "'",    ":",  ")", "(",
                                          "pq:_", "]",       "7", "\xc3", "[",    "''", "-", ":pq",
                                          "does", "_not_",   ".", "/**/", "wrong"};
    static const char *const hostile[] = {
        "success;", "pq: ", ";pq: ", ";", " ",    "syntax error",    WRONG, "pq:",
        "success",  ",",    "\"; ",  "'", SINGLE, "lexical error: ", "x",   "success;success;"};
    const unsigned parts = (unsigned)(support_random(random) % 6);
    size_t len = add_text(out, cap, 0, "");
    for (unsigned i = 0; i < parts; i++) {
        const uint64_t pick = support_random(random);
        len = add_text(out, cap, len,
                       is_encoded ? encoded[pick % ARRAY_LEN(encoded)]
                                  : hostile[pick % ARRAY_LEN(hostile)]);
    }
}

static void add_hostile_line(struct batch *batch, uint64_t *random, bool is_encoded)
{
    static const struct {
        const char *form;
        enum kwm_piece truth;
    } forms[] = {
        {"pq: could not resolve \"%s\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
        {"pq: value '%s' too long for type VARCHAR(4) (column host);", KWM_PIECE_LINE},
        {"pq: at or near \"%s\": syntax error", KWM_PIECE_LINE},
        {"pq: lexical error: unterminated string at or near \"%s\"", KWM_PIECE_LINE},
        {"pq: column \"%s\" does not exist;", KWM_PIECE_MEASUREMENT},
        {"pq: duplicate key value (k_timestamp,host)=(1687898010000,'%s') violates it;",
         KWM_PIECE_DUPLICATE},
    };
    char value[512];
    char text[1024];
    const size_t pick = support_random(random) % ARRAY_LEN(forms);
    make_value(value, sizeof(value), random, is_encoded);
    (void)snprintf(text, sizeof(text), forms[pick].form, value);
    add_line(batch, text, forms[pick].truth);
}

static void check_hostile(const struct batch *batch, const struct feed_run *run, uint64_t seed,
                          unsigned *unclear_count)
{
    if (run->verdict == KWM_REPLY_UNCLEAR) {
        (*unclear_count)++;
        return;
    }
    if (run->verdict != KWM_REPLY_PIECES || run->piece_count != batch->line_count) {
        fail_batch(batch, run, seed, "neither pieces nor unclear");
    }
    for (unsigned line = 0; line < batch->line_count; line++) {
        const enum kwm_piece read = run->pieces[line].piece;
        if (run->pieces[line].line != line ||
            (read != batch->truth[line] &&
             (read != KWM_PIECE_UNKNOWN || batch->truth[line] == KWM_PIECE_STORED))) {
            fail_batch(batch, run, seed, "read wrongly");
        }
    }
}

/* Values that hold what pieces are made of. Those that the encoder lets out are never mistaken; of
 * the others it may be said that it cannot be told, and nothing else. Of the encoder's batches,
 * some hold an internal error, which has no beginning: then, too, the batch is unclear, never
 * wrong. */
static void test_hostile_batches(void **state)
{
    (void)state;
    static struct batch batch;
    const uint64_t seed = support_seed();
    uint64_t random = seed;
    const unsigned runs = support_runs(2400);
    unsigned unclear[3] = {0, 0, 0};
    for (unsigned i = 0; i < runs; i++) {
        const unsigned kind = i % 3; /* encoded, encoded with internal errors, anything */
        memset(&batch, 0, sizeof(batch));
        const unsigned lines = 2 + (unsigned)(support_random(&random) % 12);
        for (unsigned line = 0; line < lines; line++) {
            const uint64_t pick = support_random(&random) % 8;
            if (pick < 4) {
                add_line(&batch, "success;", KWM_PIECE_STORED);
            } else if (pick == 4 && kind == 1) {
                add_line(&batch, "no inbound stream \\\"7\\\",", KWM_PIECE_UNKNOWN);
            } else {
                add_hostile_line(&batch, &random, kind < 2);
            }
        }
        if (batch.rows < batch.line_count) {
            check_hostile(&batch, feed_batch(&batch, &random, i % 200 == 0), seed, &unclear[kind]);
        }
    }
    print_message("KWM_SEED=%llu, %u batches, unclear: %u encoded, %u with internal errors, %u "
                  "of anything\n",
                  (unsigned long long)seed, runs, unclear[0], unclear[1], unclear[2]);
    assert_int_equal(unclear[0], 0);
    assert_in_range(unclear[1], 1, runs / 3);
    assert_in_range(unclear[2], 1, runs / 3);
}

/* As many lines as can be asked for: the last one is bad, and it is found. */
static void test_largest_batch(void **state)
{
    (void)state;
    static char text[1 << 20];
    static const char tail[] = "pq: column \\\"x\\\" does not exist;\",\"time\":1,\"rows\":65534}";
    size_t len = add_text(text, sizeof(text), 0, JSON_HEAD "\r\n{\"code\":-1,\"desc\":\"");
    for (unsigned i = 0; i < 65534; i++) {
        len = add_text(text, sizeof(text), len, "success;");
    }
    len = add_text(text, sizeof(text), len, tail);
    const struct feed_request request = {KWM_DIALECT_KWDB, 65535};
    const struct feed_run *run = feed_reply(request, text, len, 1000, 1000);
    assert_int_equal(run->end_rc, 1);
    assert_int_equal(run->verdict, KWM_REPLY_PIECES);
    assert_int_equal(run->piece_count, 65535);
    run = feed_reply(kwdb_1, text, len, 1000, 1000);
    assert_int_equal(run->verdict, KWM_REPLY_PIECES);
    assert_int_equal(run->piece_count, 1);
}

/* Use. */

static void test_use(void **state)
{
    (void)state;
    static const uint8_t text[] = "HTTP/1.1 204 x\r\n\r\n";
    struct kwm_reply reply;
    expect_assert_failure(kwm_reply_init(NULL, KWM_DIALECT_KWDB, 0, NULL));
    expect_assert_failure(kwm_reply_init(&reply, (enum kwm_dialect)7, 0, NULL));
    kwm_reply_init(&reply, KWM_DIALECT_INFLUX, 1, NULL);
    expect_assert_failure((void)!kwm_reply_feed(&reply, NULL, 1));
    assert_int_equal(kwm_reply_feed(&reply, NULL, 0), 0);
    assert_int_equal(kwm_reply_feed(&reply, text, sizeof(text) - 1), 1);
    assert_int_equal(kwm_reply_feed(&reply, NULL, 0), 1);
    assert_true(reply.keep_alive);
    assert_int_equal(kwm_reply_feed(&reply, text, 1), 1);
    assert_false(reply.keep_alive);
    assert_int_equal(kwm_reply_end(&reply), 1);

    kwm_reply_init(&reply, KWM_DIALECT_KWDB, 1, NULL);
    assert_int_equal(kwm_reply_feed(&reply, text + 1, 1), KWM_ERR_PROTO);
    assert_int_equal(kwm_reply_feed(&reply, text, sizeof(text) - 1), KWM_ERR_PROTO);
    assert_int_equal(kwm_reply_end(&reply), KWM_ERR_CLOSED);
    assert_false(reply.is_cut);
    print_message("struct kwm_reply: %zu bytes\n", sizeof(reply));
    assert_in_range(sizeof(reply), 1, 1945);
}

/* Without a sink the verdicts are the same. */
static void test_no_sink(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        char text[1024];
        struct kwm_reply reply;
        const size_t len = make_reply(text, sizeof(text), verdicts[i].head, verdicts[i].body);
        kwm_reply_init(&reply, verdicts[i].dialect, verdicts[i].line_count, NULL);
        assert_int_equal(kwm_reply_feed(&reply, feed_guard(text, len), len), 1);
        assert_int_equal(kwm_reply_verdict(&reply), verdicts[i].verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),           cmocka_unit_test(test_date),
        cmocka_unit_test(test_date_days),      cmocka_unit_test(test_head_bounds),
        cmocka_unit_test(test_frame),          cmocka_unit_test(test_chunk_bounds),
        cmocka_unit_test(test_json),           cmocka_unit_test(test_long_number),
        cmocka_unit_test(test_content_type),   cmocka_unit_test(test_desc_bound),
        cmocka_unit_test(test_verdict),        cmocka_unit_test(test_verdict_cut),
        cmocka_unit_test(test_until_end),      cmocka_unit_test(test_pieces_add_up),
        cmocka_unit_test(test_piece_classes),  cmocka_unit_test(test_piece_echoes),
        cmocka_unit_test(test_piece_hash),     cmocka_unit_test(test_influx_text),
        cmocka_unit_test(test_random_batches), cmocka_unit_test(test_hostile_batches),
        cmocka_unit_test(test_largest_batch),  cmocka_unit_test(test_use),
        cmocka_unit_test(test_no_sink),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
