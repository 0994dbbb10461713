/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/uplink.h: whatever the network does, an exchange ends by its deadline, says OK only
 * with a whole reply, knows whether lines are in doubt, and sends no credential too early or in
 * vain. Method: a scripted server behind sim_net in virtual time. Tables of scenarios; faults at
 * every byte until a run no longer reaches the byte; random faults against the invariants. The
 * server keeps every byte that reached it, and the driver counts the calls of each step. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "kwm/uplink.h"
#include "sim/sim_net.h"

#define NOW_S INT64_C(1783764000) /* 2026-07-11 10:00:00 UTC */
#define DATE "Date: Sat, 11 Jul 2026 10:00:00 GMT\r\n"
#define TIMEOUT_MS 10000U
#define START_MS ((UINT64_C(1) << 32) - 3000) /* 32-bit time would wrap in the middle */
#define LOG_CAP 262144U
#define ANSWERS_MAX 8U
#define TOKEN_A "0123456789abcdef0123456789abcdef"
#define TOKEN_B "fedcba9876543210fedcba9876543210"
#define LOGGED_IN(token) "{\"code\":0,\"token\":\"" token "\"}"
#define STORED "{\"code\":0,\"desc\":\"success;success;\",\"time\":0.001,\"rows\":2}"
#define NO_TOKEN "{\"code\":-1,\"desc\":\"can not find token, need login first\"}"
#define CREDENTIALS "cm9vdDprd2RicGFzc3dvcmQ="
#define AUTHORIZATION "Basic " CREDENTIALS
#define JSON "Content-Type: application/json\r\n"
#define CLOSE "Connection: close\r\n"

enum then { KEEP, END, RESET };

/* What the server does about one request. */
struct answer {
    unsigned status;     /* 0: no reply */
    const char *headers; /* NULL: JSON DATE */
    const char *body;    /* NULL: "" */
    uint64_t delay_ms;
    enum then then;
    bool is_early;   /* at the head's end */
    const char *raw; /* instead of all that: these bytes */
    size_t cut_len;  /* only so many bytes of it, if not 0 */
};

static const struct answer stored = {.status = 200, .body = STORED};
static const struct answer healthy = {.status = 200, .headers = DATE, .body = "{}"};

struct server {
    struct answer
        answers[ANSWERS_MAX]; /* to the requests in order; the last one to all later ones */
    unsigned answer_count;
    unsigned request_count;  /* heads that came */
    unsigned executed_count; /* POSTs that came whole */
    size_t body_len_seen;    /* bytes of POST bodies that came */
    unsigned early_count;    /* replies given at the head's end */
    bool is_date_given;      /* a Date was pushed */
    size_t authorized_at;    /* request_count at the first Authorization, 0 if none came */
    size_t begin;            /* of the request that is coming, in log */
    size_t head_end;         /* behind its head, 0 while that is coming */
    size_t request_len;      /* all of it, once head_end is known */
    size_t connection_count;
    size_t log_len;
    char log[LOG_CAP];
};

struct body {
    const char *text;
    size_t len;
    size_t off;
    size_t piece_len; /* what a read gives: whole pieces only */
    unsigned rewind_count;
    unsigned read_count;
    unsigned failing_read; /* this read fails, if not 0 */
    bool is_slow;          /* a read gives one piece at most */
    int rewind_err;
};

struct bed {
    uint64_t now_ms;
    struct sim_net sim;
    struct server server;
    struct body body;
    struct hal_wall wall;
    bool is_wall_set_by_date;
    unsigned date_count;
    bool is_date_verified;
    int64_t date_ms;
    uint32_t random;
    struct kwm_endpoint endpoints[KWM_ENDPOINTS_MAX];
    struct kwm_uplink_config config;
    struct kwm_request request;
    struct kwm_uplink uplink;
    uint8_t out[4096];
};

static struct bed bed;
static char big_body[20000];

/* -- The server -------------------------------------------------------------------------------- */

static size_t format_answer(const struct answer *answer, char *out, size_t cap)
{
    if (answer->raw != NULL) {
        return (size_t)snprintf(out, cap, "%s", answer->raw);
    }
    const char *body = answer->body != NULL ? answer->body : "";
    const char *headers = answer->headers != NULL ? answer->headers : JSON DATE;
    return (size_t)snprintf(out, cap, "HTTP/1.1 %u X\r\n%sContent-Length: %zu\r\n\r\n%s",
                            answer->status, headers, strlen(body), body);
}

static void reply(struct server *server, struct sim_net *sim, const struct answer *answer)
{
    static char text[SIM_NET_INBOX_CAP];
    const uint64_t at_ms = *sim->clock_ms + answer->delay_ms;
    if (answer->status != 0 || answer->raw != NULL) {
        const size_t len = format_answer(answer, text, sizeof(text));
        assert_true(len < sizeof(text));
        const size_t kept = answer->cut_len > 0 && answer->cut_len < len ? answer->cut_len : len;
        sim_net_push(sim, text, kept, at_ms);
        server->is_date_given = server->is_date_given || strstr(text, "Date: ") != NULL;
    }
    if (answer->then != KEEP) {
        sim_net_close_at(sim, at_ms, answer->then == END ? SIM_NET_ORDERLY : SIM_NET_RESET);
    }
}

static const struct answer *current_answer(const struct server *server)
{
    const unsigned last = server->answer_count - 1;
    const unsigned i = server->request_count - 1;
    return &server->answers[i < last ? i : last];
}

static void take_head(struct server *server, const char *head, size_t len)
{
    const char *length = strstr(head, "\r\nContent-Length: ");
    size_t content_len = 0;
    if (length != NULL) {
        assert_int_equal(sscanf(length, "\r\nContent-Length: %zu", &content_len), 1);
    }
    server->request_count++;
    server->head_end = server->begin + len;
    server->request_len = len + content_len;
    if (strstr(head, "uthorization:") != NULL && server->authorized_at == 0) {
        server->authorized_at = server->request_count;
    }
}

static void server_bytes(void *ctx, struct sim_net *sim, const uint8_t *data, size_t len)
{
    struct server *server = ctx;
    assert_true(server->log_len + len < LOG_CAP);
    for (size_t i = 0; i < len; i++) {
        server->log[server->log_len++] = (char)data[i];
        server->log[server->log_len] = '\0';
        const char *begin = server->log + server->begin;
        if (server->head_end == 0 && server->log_len - server->begin >= 4 &&
            memcmp(server->log + server->log_len - 4, "\r\n\r\n", 4) == 0) {
            take_head(server, begin, server->log_len - server->begin);
            if (current_answer(server)->is_early) {
                server->early_count++;
                reply(server, sim, current_answer(server));
            }
        } else if (server->head_end != 0) {
            server->body_len_seen++;
        }
        if (server->head_end != 0 && server->log_len - server->begin == server->request_len) {
            server->executed_count += begin[0] == 'P' ? 1 : 0;
            server->begin = server->log_len;
            server->head_end = 0;
            if (!current_answer(server)->is_early) {
                reply(server, sim, current_answer(server));
            }
        }
    }
}

static void server_open(void *ctx, struct sim_net *sim)
{
    struct server *server = ctx;
    (void)sim;
    server->connection_count++;
    server->begin = server->log_len;
    server->head_end = 0;
}

/* -- The bed ----------------------------------------------------------------------------------- */

static int body_rewind(void *ctx)
{
    struct body *body = ctx;
    body->off = 0;
    body->rewind_count++;
    return body->rewind_err;
}

static int body_read(void *ctx, uint8_t *out, size_t cap)
{
    struct body *body = ctx;
    size_t len = 0;
    body->read_count++;
    if (body->read_count == body->failing_read) {
        return KWM_ERR_CORRUPT;
    }
    while (body->off < body->len) {
        const size_t rest = body->len - body->off;
        const size_t piece = rest < body->piece_len ? rest : body->piece_len;
        if (piece > cap - len) {
            break;
        }
        memcpy(out + len, body->text + body->off, piece);
        body->off += piece;
        len += piece;
        if (body->is_slow) {
            break;
        }
    }
    return (int)len;
}

static struct hal_wall wall_now(void *ctx)
{
    (void)ctx;
    return bed.wall;
}

static void on_date(void *ctx, int64_t unix_ms, bool is_verified)
{
    assert_ptr_equal(ctx, &bed);
    bed.date_count++;
    bed.date_ms = unix_ms;
    bed.is_date_verified = is_verified;
    if (bed.is_wall_set_by_date) {
        bed.wall = (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = unix_ms};
    }
}

static uint32_t random_bits(void *ctx)
{
    (void)ctx;
    return bed.random;
}

static void parse(struct kwm_endpoint *endpoint, const char *url)
{
    const char *reason = "no reason";
    if (kwm_url_parse(endpoint, url, strlen(url), &reason) != KWM_OK) {
        fail_msg("%s: %s", url, reason);
    }
}

/* A POST of two lines to KWDB over TLS, with the time known. */
static void bed_init(void)
{
    memset(&bed, 0, sizeof(bed));
    bed.now_ms = START_MS;
    const struct sim_peer peer = {
        .on_open = server_open, .on_bytes = server_bytes, .ctx = &bed.server};
    sim_net_init(&bed.sim, &bed.now_ms, &peer);
    bed.sim.script.is_secure = true;
    bed.sim.script.not_before_s = NOW_S - 86400;
    bed.sim.script.not_after_s = NOW_S + 86400;
    bed.server.answers[0] = stored;
    bed.server.answer_count = 1;
    bed.wall = (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = NOW_S * 1000};
    bed.body = (struct body){
        .text = "cpu,host='a' v=1 1783764000000\ncpu,host='a' v=2 1783764000010", .piece_len = 1};
    bed.body.len = strlen(bed.body.text);
    parse(&bed.endpoints[0], "https://db.example:8080/restapi/telegraf?db=db1");
    parse(&bed.endpoints[1], "https://second/restapi/telegraf?db=db1");
    parse(&bed.endpoints[2], "https://[2001:db8::3]:8080/restapi/telegraf?db=db1");
    bed.config = (struct kwm_uplink_config){
        .net = &bed.sim.net,
        .endpoints = bed.endpoints,
        .endpoint_count = 1,
        .authorization = AUTHORIZATION,
        .headers = "",
        .user_agent = "kwmote/0.1",
        .out = bed.out,
        .out_cap = 1024,
        .timeout_ms = TIMEOUT_MS,
        .wall = {.now = wall_now},
        .on_date = on_date,
        .random = random_bits,
        .ctx = &bed,
    };
    bed.request = (struct kwm_request){
        .method = "POST",
        .content_len = (uint32_t)bed.body.len,
        .body = {.rewind = body_rewind, .read = body_read, .ctx = &bed.body},
        .line_count = 2,
    };
}

static void bed_start(void)
{
    assert_int_equal(kwm_uplink_init(&bed.uplink, &bed.config), KWM_OK);
}

static void use_big_body(size_t len)
{
    for (size_t i = 0; i < len; i++) {
        big_body[i] = (char)(i % 50 == 49 ? '\n' : 'a' + (int)(i / 50 % 26));
    }
    bed.body.text = big_body;
    bed.body.len = len;
    bed.request.content_len = (uint32_t)len;
}

/* One step, with its bounds. @return whether the exchange goes on. */
static bool step(void)
{
    const uint32_t before = bed.sim.call_count;
    const uint64_t wake_ms = kwm_uplink_step(&bed.uplink, bed.now_ms);
    assert_true(bed.sim.call_count - before <= KWM_UPLINK_OPS_MAX);
    if (bed.uplink.state != KWM_UPLINK_BUSY) {
        assert_int_equal(wake_ms, KWM_TIME_NEVER);
        return false;
    }
    assert_true(wake_ms >= bed.now_ms && wake_ms != KWM_TIME_NEVER);
    const uint64_t event_ms = sim_net_next_event_ms(&bed.sim);
    bed.now_ms = wake_ms < event_ms ? wake_ms : event_ms;
    return true;
}

static const struct kwm_uplink_outcome *submit_and_run(void)
{
    const uint64_t begin_ms = bed.now_ms;
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    assert_int_equal(bed.uplink.state, KWM_UPLINK_BUSY);
    for (unsigned i = 0; step(); i++) {
        assert_true(i < 200000);
    }
    const struct kwm_uplink_outcome *outcome = &bed.uplink.outcome;
    assert_int_equal(bed.uplink.state, KWM_UPLINK_DONE);
    assert_int_equal(outcome->took_ms, bed.now_ms - begin_ms);
    assert_non_null(outcome->detail);
    assert_null(strstr(outcome->detail, CREDENTIALS));
    assert_null(strstr(outcome->detail, TOKEN_A));
    if (outcome->err != KWM_OK) {
        assert_true(strlen(outcome->detail) > 0);
        assert_false(bed.sim.is_open);
        assert_true(outcome->took_ms <= 2 * TIMEOUT_MS);
    }
    return outcome;
}

static void expect_ok(void)
{
    const struct kwm_uplink_outcome *outcome = submit_and_run();
    if (outcome->err != KWM_OK) {
        fail_msg("%d: %s", outcome->err, outcome->detail);
    }
    assert_int_equal(outcome->stage, KWM_UPLINK_RECV);
    assert_int_equal(bed.uplink.reply.status, 200);
    assert_string_equal(outcome->detail, "");
}

static void expect_detail(const char *word)
{
    if (strstr(bed.uplink.outcome.detail, word) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", word, bed.uplink.outcome.detail);
    }
}

static void use_answers(const struct answer *answers, size_t count)
{
    assert_true(count <= ANSWERS_MAX);
    memcpy(bed.server.answers, answers, count * sizeof(*answers));
    bed.server.answer_count = (unsigned)count;
}

#define USE_ANSWERS(...)                              \
    use_answers((const struct answer[]){__VA_ARGS__}, \
                sizeof((const struct answer[]){__VA_ARGS__}) / sizeof(struct answer))

static unsigned count_of(const char *text)
{
    unsigned count = 0;
    for (const char *at = bed.server.log; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

/* -- What goes out ----------------------------------------------------------------------------- */

static void test_keep_alive(void **state)
{
    (void)state;
    bed_init();
    bed_start();
    expect_ok();
    assert_string_equal(bed.server.log,
                        "POST /restapi/telegraf?db=db1 HTTP/1.1\r\n"
                        "Host: db.example:8080\r\n"
                        "User-Agent: kwmote/0.1\r\n"
                        "Authorization: " AUTHORIZATION "\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Length: 61\r\n"
                        "\r\n"
                        "cpu,host='a' v=1 1783764000000\ncpu,host='a' v=2 1783764000010");
    assert_string_equal(bed.sim.host, "db.example");
    assert_int_equal(bed.sim.port, 8080);
    assert_true(bed.uplink.outcome.was_sent);
    assert_int_equal(kwm_reply_verdict(&bed.uplink.reply), KWM_REPLY_STORED);
    /* open, poll, send with head and body in one, receive. */
    assert_int_equal(bed.sim.call_count, 4);
    assert_int_equal(bed.date_count, 1);
    assert_true(bed.is_date_verified);
    assert_int_equal(bed.date_ms, NOW_S * 1000);
    bed.now_ms += 600000;
    expect_ok();
    assert_int_equal(bed.sim.open_count, 1);
    assert_int_equal(bed.server.executed_count, 2);
    assert_int_equal(bed.body.rewind_count, 2);
    assert_int_equal(bed.sim.call_count, 7);
    assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), KWM_TIME_NEVER);
}

static void test_heads(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *authorization;
        const char *headers;
        const char *method;
        const char *target;
        const char *expected;
    } rows[] = {
        {"https://[2001:db8::1]:8080/restapi/telegraf?db=db1", AUTHORIZATION,
         "X-Site: a\r\nX-B: c\r\n", "POST", NULL,
         "POST /restapi/telegraf?db=db1 HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n"
         "User-Agent: kwmote/0.1\r\nAuthorization: " AUTHORIZATION "\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 61\r\n"
         "X-Site: a\r\nX-B: c\r\n\r\n"},
        {"https://[::1]/restapi/telegraf?db=db1", NULL, "", "POST", "/restapi/query?db=db1",
         "POST /restapi/query?db=db1 HTTP/1.1\r\nHost: [::1]\r\nUser-Agent: kwmote/0.1\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 61\r\n\r\n"},
        {"http://influx/write?db=t", "Token abc", "", "POST", NULL,
         "POST /write?db=t HTTP/1.1\r\nHost: influx\r\nUser-Agent: kwmote/0.1\r\n"
         "Authorization: Token abc\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 61\r\n\r\n"},
        {"http://influx:80/write?db=t", NULL, "X: y\r\n", "GET", "/health",
         "GET /health HTTP/1.1\r\nHost: influx:80\r\nUser-Agent: kwmote/0.1\r\nX: y\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        parse(&bed.endpoints[0], rows[i].url);
        bed.config.authorization = rows[i].authorization;
        bed.config.headers = rows[i].headers;
        bed.request.method = rows[i].method;
        bed.request.target = rows[i].target;
        const bool is_get = strcmp(rows[i].method, "GET") == 0;
        bed.request.content_len = is_get ? 0 : bed.request.content_len;
        bed_start();
        expect_ok();
        char expected[1024];
        (void)snprintf(expected, sizeof(expected), "%s%s", rows[i].expected,
                       is_get ? "" : bed.body.text);
        assert_string_equal(bed.server.log, expected);
        assert_int_equal(bed.uplink.outcome.was_sent, !is_get);
        assert_int_equal(bed.body.rewind_count, is_get ? 0 : 1);
    }
}

/* Bodies of many buffers, sources of whole lines, and nets that take and give little at a time: the
 * server gets the same bytes. */
static void test_pieces_of_all_sizes(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 2, 3, 7, 50, 300, 5000};
    static const size_t pieces[] = {1, 50, 299};
    for (size_t s = 0; s < sizeof(limits) / sizeof(limits[0]); s++) {
        for (size_t r = 0; r < sizeof(limits) / sizeof(limits[0]); r++) {
            for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
                bed_init();
                use_big_body(3000);
                bed.body.piece_len = pieces[p];
                bed.config.out_cap = 300; /* the head leaves no room for the longest pieces */
                bed.sim.script.send_len_max = limits[s];
                bed.sim.script.recv_len_max = limits[r];
                bed_start();
                expect_ok();
                expect_ok();
                assert_int_equal(bed.server.executed_count, 2);
                assert_int_equal(bed.sim.open_count, 1);
                assert_int_equal(bed.server.log_len % 2, 0);
                assert_memory_equal(bed.server.log + bed.server.log_len - 3000, big_body, 3000);
                assert_memory_equal(bed.server.log, bed.server.log + bed.server.log_len / 2,
                                    bed.server.log_len / 2);
                assert_true(bed.uplink.outcome.was_sent);
            }
        }
    }
}

static void test_body_of_a_wrong_length(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int more; /* the source gives so many bytes more than announced */
        size_t piece_len;
        unsigned failing_read;
        int rewind_err;
        int expected_err;
        const char *word;
    } rows[] = {
        {"a byte longer", 1, 1, 0, 0, KWM_ERR_STATE, "longer"},
        {"much longer", 2000, 1, 0, 0, KWM_ERR_STATE, "longer"},
        {"longer by a last piece", 50, 50, 0, 0, KWM_ERR_STATE, "longer"},
        {"longer by a piece that comes alone", 50, 50, 0, 0, KWM_ERR_STATE, "longer"},
        {"the source fails at the end", 0, 50, 61, 0, KWM_ERR_CORRUPT, "cannot be made again"},
        {"a byte shorter", -1, 1, 0, 0, KWM_ERR_STATE, "shorter"},
        {"a piece shorter", -50, 50, 0, 0, KWM_ERR_STATE, "shorter"},
        {"nothing at all", -3000, 1, 0, 0, KWM_ERR_STATE, "shorter"},
        {"a piece that never fits", 0, 2999, 0, 0, KWM_ERR_STATE, "shorter"},
        {"the source fails at once", 0, 1, 1, 0, KWM_ERR_CORRUPT, "cannot be made again"},
        {"the source fails later", 0, 1, 3, 0, KWM_ERR_CORRUPT, "cannot be made again"},
        {"the source cannot begin", 0, 1, 0, KWM_ERR_IO, KWM_ERR_IO, "cannot be made again"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        print_message("%s\n", rows[i].name);
        use_big_body(3000);
        bed.body.len = (size_t)(3000 + rows[i].more);
        bed.body.piece_len = rows[i].piece_len;
        bed.body.is_slow = rows[i].piece_len == 50;
        bed.body.failing_read = rows[i].failing_read;
        bed.body.rewind_err = rows[i].rewind_err;
        bed.config.out_cap = 512;
        bed.config.endpoint_count = 2;
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, rows[i].expected_err);
        assert_int_equal(outcome->stage, KWM_UPLINK_SEND);
        assert_int_equal(outcome->was_sent, bed.server.body_len_seen > 0);
        expect_detail(rows[i].word);
        assert_int_equal(bed.server.executed_count, 0);
        /* It says nothing of the server: the next exchange goes to the same, on a new connection.
         */
        bed.body = (struct body){.text = big_body, .len = 3000, .piece_len = 1};
        expect_ok();
        assert_string_equal(bed.sim.host, "db.example");
        assert_int_equal(bed.sim.open_count, 2);
    }
}

/* -- Cuts and resets --------------------------------------------------------------------------- */

static void test_reply_cut_at_every_byte(void **state)
{
    (void)state;
    static const enum then ends[] = {END, RESET};
    char whole[1024];
    const size_t whole_len = format_answer(&stored, whole, sizeof(whole));
    const size_t head_len = (size_t)(strstr(whole, "\r\n\r\n") + 4 - whole);
    for (size_t e = 0; e < 2; e++) {
        for (size_t len = 0; len <= whole_len; len++) {
            bed_init();
            struct answer cut = stored;
            cut.cut_len = len;
            cut.then = ends[e];
            cut.delay_ms = 5;
            if (len == 0) {
                cut.status = 0;
            }
            USE_ANSWERS(cut);
            bed.config.endpoint_count = 2;
            bed_start();
            const struct kwm_uplink_outcome *outcome = submit_and_run();
            const bool is_whole = len == whole_len && ends[e] == END;
            assert_int_equal(outcome->err, is_whole         ? KWM_OK
                                           : ends[e] == END ? KWM_ERR_CLOSED
                                                            : KWM_ERR_IO);
            assert_int_equal(outcome->stage, KWM_UPLINK_RECV);
            assert_true(outcome->was_sent);
            assert_int_equal(bed.sim.open_count, 1);
            assert_int_equal(bed.server.executed_count, 1);
            /* A reset at the very time of the bytes takes them with it. */
            assert_int_equal(bed.uplink.reply.is_cut,
                             ends[e] == END && len >= head_len && len < whole_len);
            if (!is_whole) {
                assert_int_not_equal(kwm_reply_verdict(&bed.uplink.reply), KWM_REPLY_STORED);
                assert_int_equal(bed.uplink.endpoint, 1);
            }
        }
    }
}

static void test_body_that_ends_with_the_connection(void **state)
{
    (void)state;
    static const enum sim_net_end ends[] = {SIM_NET_ORDERLY, SIM_NET_RESET};
    for (size_t e = 0; e < 2; e++) {
        bed_init();
        USE_ANSWERS({.raw = "HTTP/1.1 200 OK\r\n" JSON DATE "\r\n" STORED});
        bed_start();
        assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
        while (bed.uplink.reply.status == 0 && step()) {
        }
        sim_net_close_at(&bed.sim, bed.now_ms + 50, ends[e]);
        bed.now_ms += 50;
        while (step()) {
        }
        assert_int_equal(bed.uplink.outcome.err, e == 0 ? KWM_OK : KWM_ERR_IO);
        assert_int_equal(bed.uplink.reply.is_cut, e == 1);
        assert_int_equal(kwm_reply_verdict(&bed.uplink.reply),
                         e == 0 ? KWM_REPLY_STORED : KWM_REPLY_NOT_NOW);
        assert_false(bed.sim.is_open);
        expect_detail(e == 0 ? "" : "inside the reply");
    }
}

/* @return the length of a request's head. */
static size_t head_len(void)
{
    return (size_t)(strstr(bed.server.log, "\r\n\r\n") + 4 - bed.server.log);
}

static void test_reset_at_every_byte_sent(void **state)
{
    (void)state;
    static const struct {
        size_t send_len_max;
        size_t piece_len; /* 61: the head leaves no room for it, so it goes out alone */
    } rows[] = {{0, 1}, {1, 1}, {64, 1}, {0, 61}, {7, 61}};
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        bed_init();
        bed_start();
        expect_ok();
        const size_t body_at = head_len();
        for (uint64_t len = 0;; len++) {
            bed_init();
            bed.config.out_cap = 256;
            bed.body.piece_len = rows[k].piece_len;
            bed.sim.script.send_len_max = rows[k].send_len_max;
            bed.sim.script.send_reset_len = len;
            bed.sim.script.detail = "connection reset by peer";
            bed_start();
            const struct kwm_uplink_outcome *outcome = submit_and_run();
            assert_int_equal(bed.sim.open_count, 1);
            if (bed.sim.script.send_reset_len != SIM_NET_NEVER) {
                assert_int_equal(outcome->err, KWM_OK);
                assert_int_equal(len, body_at + bed.body.len + 1);
                break;
            }
            assert_int_equal(outcome->err, KWM_ERR_IO);
            assert_string_equal(outcome->detail, "connection reset by peer");
            assert_int_equal(outcome->was_sent, len > body_at);
            assert_int_equal(bed.server.body_len_seen, len > body_at ? len - body_at : 0);
            assert_int_equal(bed.server.executed_count, len == body_at + bed.body.len);
            assert_int_equal(bed.uplink.reply.status, 0);
        }
    }
}

static void test_reset_at_every_byte_received(void **state)
{
    (void)state;
    char whole[1024];
    const size_t whole_len = format_answer(&stored, whole, sizeof(whole));
    for (uint64_t len = 0;; len++) {
        bed_init();
        bed.sim.script.recv_reset_len = len;
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(bed.sim.open_count, 1);
        assert_true(outcome->was_sent);
        if (bed.sim.script.recv_reset_len != SIM_NET_NEVER) {
            assert_int_equal(outcome->err, KWM_OK);
            assert_int_equal(len, whole_len);
            break;
        }
        assert_int_equal(outcome->err, KWM_ERR_IO);
        assert_int_equal(outcome->stage, KWM_UPLINK_RECV);
    }
}

/* -- Kept connections -------------------------------------------------------------------------- */

static void test_stale_before_it_is_used(void **state)
{
    (void)state;
    static const char bye[] = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    for (unsigned how = 0; how < 3; how++) {
        bed_init();
        bed_start();
        expect_ok();
        if (how == 2) {
            sim_net_push(&bed.sim, bye, sizeof(bye) - 1, bed.now_ms + 5);
        }
        sim_net_close_at(&bed.sim, bed.now_ms + 10, how == 0 ? SIM_NET_RESET : SIM_NET_ORDERLY);
        bed.now_ms += 20;
        expect_ok();
        assert_int_equal(bed.sim.open_count, 2);
        assert_int_equal(bed.server.request_count, 2);
        assert_int_equal(bed.server.executed_count, 2);
        assert_int_equal(bed.body.rewind_count, 2);
    }
}

/* The server ends the kept connection when the request comes: sent again once, from the first byte.
 */
static void test_stale_when_it_is_used(void **state)
{
    (void)state;
    static const enum then ends[] = {END, RESET};
    for (size_t e = 0; e < 2; e++) {
        bed_init();
        USE_ANSWERS(stored, {.then = ends[e], .delay_ms = 30}, stored);
        bed_start();
        expect_ok();
        const size_t first_len = bed.server.log_len;
        expect_ok();
        assert_int_equal(bed.sim.open_count, 2);
        assert_int_equal(bed.server.request_count, 3);
        assert_int_equal(bed.body.rewind_count, 3);
        assert_true(bed.uplink.outcome.was_sent);
        assert_int_equal(bed.server.log_len, 3 * first_len);
        assert_memory_equal(bed.server.log, bed.server.log + 2 * first_len, first_len);
    }
}

static void test_stale_is_retried_once(void **state)
{
    (void)state;
    static const enum then ends[] = {END, RESET};
    for (size_t e = 0; e < 2; e++) {
        bed_init();
        USE_ANSWERS(stored, {.then = ends[e]});
        bed_start();
        expect_ok();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, ends[e] == END ? KWM_ERR_CLOSED : KWM_ERR_IO);
        assert_int_equal(bed.sim.open_count, 2);
        assert_int_equal(bed.server.request_count, 3);
        expect_detail("without a reply");
        /* The next exchange opens anew and is not taken for one on a kept connection. */
        outcome = submit_and_run();
        assert_int_not_equal(outcome->err, KWM_OK);
        assert_int_equal(bed.sim.open_count, 3);
    }
}

/* What went out on the stale connection stays in doubt though the retry never gets as far. */
static void test_stale_keeps_the_doubt(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS(stored, {.then = RESET});
    bed_start();
    expect_ok();
    bed.sim.script.connect_err = KWM_ERR_IO;
    bed.sim.script.connect_ms = 5;
    const struct kwm_uplink_outcome *outcome = submit_and_run();
    assert_int_equal(outcome->err, KWM_ERR_IO);
    assert_int_equal(outcome->stage, KWM_UPLINK_RESOLVE_CONNECT);
    assert_true(outcome->was_sent);
    outcome = submit_and_run();
    assert_false(outcome->was_sent);
}

/* A retry is an attempt of its own, with a deadline of its own. */
static void test_stale_has_time_again(void **state)
{
    (void)state;
    bed_init();
    struct answer slow = stored;
    slow.delay_ms = 9500;
    USE_ANSWERS(stored, {.then = END, .delay_ms = 9000}, slow);
    bed_start();
    expect_ok();
    expect_ok();
    assert_int_equal(bed.uplink.outcome.took_ms, 18500);
    bed.server.answers[2].delay_ms = 10001;
    bed.server.request_count = 1;
    assert_int_equal(submit_and_run()->err, KWM_ERR_TIMEOUT);
    assert_int_equal(bed.uplink.outcome.took_ms, 19000);
}

/* On a kept connection: a reset at every byte of the second exchange. Until a byte of the reply has
 * come the request is sent again, afterwards not. */
static void test_reset_at_every_byte_of_a_second_exchange(void **state)
{
    (void)state;
    bed_init();
    bed_start();
    expect_ok();
    const size_t sent_len = bed.server.log_len;
    const uint64_t received_len = bed.sim.net.info.bytes_recv;
    for (uint64_t len = 0; len <= sent_len; len++) {
        bed_init();
        bed_start();
        expect_ok();
        bed.sim.script.send_reset_len = sent_len + len;
        expect_ok();
        assert_int_equal(bed.sim.open_count, 2);
        assert_int_equal(bed.server.executed_count, len == sent_len ? 3 : 2);
    }
    for (uint64_t len = 0; len < received_len; len++) {
        bed_init();
        bed_start();
        expect_ok();
        bed.sim.script.recv_reset_len = received_len + len;
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, len == 0 ? KWM_OK : KWM_ERR_IO);
        assert_int_equal(bed.sim.open_count, len == 0 ? 2 : 1);
    }
}

static void test_idle_limit(void **state)
{
    (void)state;
    static const struct {
        uint32_t idle_ms_max;
        uint64_t idle_ms;
        uint32_t expected_open_count;
    } rows[] = {{0, 86400000, 1}, {30000, 30000, 1}, {30000, 30001, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        bed.config.idle_ms_max = rows[i].idle_ms_max;
        bed_start();
        expect_ok();
        bed.now_ms += rows[i].idle_ms;
        expect_ok();
        assert_int_equal(bed.sim.open_count, rows[i].expected_open_count);
        assert_int_equal(bed.server.request_count, 2);
    }
}

static void test_connection_close(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS({.status = 200, .headers = JSON CLOSE, .body = STORED, .then = END});
    bed_start();
    expect_ok();
    assert_false(bed.sim.is_open);
    expect_ok();
    assert_int_equal(bed.sim.open_count, 2);
}

/* -- Deadlines --------------------------------------------------------------------------------- */

static void test_timeout_in_each_state(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t connect_ms, send_stall_len, recv_stall_len;
        bool is_wall_set, use_token;
        unsigned silent_request; /* this one gets no reply, if not 0 */
        enum kwm_uplink_stage expected_stage;
        bool expected_sent;
        const char *word;
    } rows[] = {
        {"never connects", SIM_NET_NEVER, SIM_NET_NEVER, SIM_NET_NEVER, true, false, 0,
         KWM_UPLINK_RESOLVE_CONNECT, false, "no connection within 10000 ms"},
        {"connects too late", TIMEOUT_MS + 1, SIM_NET_NEVER, SIM_NET_NEVER, true, false, 0,
         KWM_UPLINK_RESOLVE_CONNECT, false, "no connection within 10000 ms"},
        {"takes nothing", 10, 0, SIM_NET_NEVER, true, false, 0, KWM_UPLINK_SEND, false,
         "did not take the whole request"},
        {"takes a part of the head", 10, 100, SIM_NET_NEVER, true, false, 0, KWM_UPLINK_SEND, false,
         "did not take the whole request"},
        {"takes a part of the body", 10, 250, SIM_NET_NEVER, true, false, 0, KWM_UPLINK_SEND, true,
         "did not take the whole request"},
        {"no reply", 10, SIM_NET_NEVER, SIM_NET_NEVER, true, false, 1, KWM_UPLINK_RECV, true,
         "no complete reply"},
        {"a part of a reply", 10, SIM_NET_NEVER, 40, true, false, 0, KWM_UPLINK_RECV, true,
         "no complete reply"},
        {"no reply but a byte", 10, SIM_NET_NEVER, 120, true, false, 0, KWM_UPLINK_RECV, true,
         "no complete reply"},
        {"no time", 10, SIM_NET_NEVER, SIM_NET_NEVER, false, false, 1, KWM_UPLINK_HEALTH, false,
         "no reply to GET /health"},
        {"takes a part of GET /health", 10, 9, SIM_NET_NEVER, false, false, 0, KWM_UPLINK_HEALTH,
         false, "no reply to GET /health"},
        {"no token", 10, SIM_NET_NEVER, SIM_NET_NEVER, false, true, 2, KWM_UPLINK_LOGIN, false,
         "no reply to GET /restapi/login"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        print_message("%s\n", rows[i].name);
        bed.sim.script.connect_ms = rows[i].connect_ms;
        bed.sim.script.send_stall_len = rows[i].send_stall_len;
        bed.sim.script.recv_stall_len = rows[i].recv_stall_len;
        bed.config.use_token = rows[i].use_token;
        if (!rows[i].is_wall_set) {
            bed.wall.state = HAL_WALL_FLOOR;
            USE_ANSWERS(healthy, stored);
        }
        if (rows[i].silent_request > 0) {
            bed.server.answers[rows[i].silent_request - 1].status = 0;
        }
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, KWM_ERR_TIMEOUT);
        assert_int_equal(outcome->took_ms, TIMEOUT_MS);
        assert_int_equal(outcome->stage, rows[i].expected_stage);
        assert_int_equal(outcome->was_sent, rows[i].expected_sent);
        expect_detail(rows[i].word);
    }
}

/* A peer that trickles, always in time for the next byte, does not hold us. */
static void test_trickle(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS({.status = 0});
    bed_start();
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    const uint64_t begin_ms = bed.now_ms;
    static const char head[] = "HTTP/1.1 200 OK\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    for (size_t at = 0; step(); at++) {
        assert_true(at < sizeof(head) - 1);
        sim_net_push(&bed.sim, head + at, 1, bed.now_ms + 500);
        bed.now_ms += 500;
    }
    assert_int_equal(bed.uplink.outcome.err, KWM_ERR_TIMEOUT);
    assert_true(bed.now_ms - begin_ms <= TIMEOUT_MS + 500);
}

/* A net that connects is polled for its own timers' sake, the rest waits for I/O or the deadline.
 */
static void test_wake(void **state)
{
    (void)state;
    bed_init();
    bed.sim.script.connect_ms = 10050;
    bed.config.timeout_ms = 10100;
    bed_start();
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), START_MS + 100);
    bed.now_ms = START_MS + 10049;
    assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), START_MS + 10100);
    bed.now_ms = START_MS + 10050;
    bed.server.answers[0].status = 0;
    assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), START_MS + 10100);
    bed.now_ms = START_MS + 10099;
    assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), START_MS + 10100);
    bed.now_ms = START_MS + 10100;
    assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), KWM_TIME_NEVER);
    assert_int_equal(bed.uplink.outcome.err, KWM_ERR_TIMEOUT);
}

/* -- Replies of other kinds -------------------------------------------------------------------- */

static void test_early_reply(void **state)
{
    (void)state;
    static const enum then ends[] = {KEEP, END};
    for (size_t e = 0; e < 2; e++) {
        bed_init();
        use_big_body(20000);
        bed.sim.script.send_len_max = 100;
        USE_ANSWERS({.status = 200,
                     .body = "{\"code\":-1,\"desc\":\"wrong username or password, please check\"}",
                     .then = ends[e],
                     .is_early = true});
        bed_start();
        expect_ok();
        assert_int_equal(kwm_reply_verdict(&bed.uplink.reply), KWM_REPLY_AUTH);
        assert_int_equal(bed.server.executed_count, 0);
        assert_true(bed.server.log_len < 2000);
        assert_false(bed.sim.is_open); /* half a request was sent on it */
        assert_true(bed.uplink.outcome.was_sent);
        bed.server.answers[0] = stored;
        expect_ok();
        assert_int_equal(bed.sim.open_count, 2);
    }
}

/* ... also when nothing more is taken from us, or the reply takes its time. */
static void test_early_reply_to_a_blocked_request(void **state)
{
    (void)state;
    bed_init();
    use_big_body(20000);
    bed.sim.script.send_stall_len = 1500;
    bed.sim.script.recv_len_max = 1;
    USE_ANSWERS({.status = 413, .body = "too large", .delay_ms = 700, .is_early = true});
    bed_start();
    const struct kwm_uplink_outcome *outcome = submit_and_run();
    assert_int_equal(outcome->err, KWM_OK);
    assert_int_equal(outcome->took_ms, 700);
    assert_int_equal(bed.uplink.reply.status, 413);
    assert_true(outcome->was_sent);
    assert_false(bed.sim.is_open);
}

/* Sending ends with the reply's head, however long its body takes. */
static void test_early_reply_whose_body_comes_late(void **state)
{
    (void)state;
    bed_init();
    use_big_body(5000);
    bed.sim.script.send_len_max = 100;
    USE_ANSWERS({.raw = "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n", .is_early = true});
    bed_start();
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    for (unsigned i = 0; i < 100; i++) {
        (void)kwm_uplink_step(&bed.uplink, bed.now_ms);
    }
    assert_true(bed.server.log_len < 1000);
    sim_net_push(&bed.sim, "{}", 2, bed.now_ms);
    while (step()) {
    }
    assert_int_equal(bed.uplink.outcome.err, KWM_OK);
    assert_int_equal(bed.uplink.reply.status, 503);
    assert_int_equal(bed.server.executed_count, 0);
}

static void test_interim_reply(void **state)
{
    (void)state;
    bed_init();
    use_big_body(5000);
    bed.sim.script.send_len_max = 100;
    USE_ANSWERS({.raw = "HTTP/1.1 100 Continue\r\n\r\n", .is_early = true});
    bed_start();
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    while (step() && bed.server.executed_count == 0) {
    }
    assert_int_equal(bed.server.executed_count, 1);
    reply(&bed.server, &bed.sim, &stored);
    while (step()) {
    }
    assert_int_equal(bed.uplink.outcome.err, KWM_OK);
    assert_true(bed.sim.is_open);
}

static void test_large_reply(void **state)
{
    (void)state;
    static char text[66000];
    bed_init();
    size_t len = (size_t)snprintf(text, sizeof(text), "{\"code\":0,\"desc\":\"");
    while (len < 64000) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "success;");
    }
    (void)snprintf(text + len, sizeof(text) - len, "\",\"time\":1,\"rows\":8000}");
    USE_ANSWERS({.status = 200, .body = text});
    bed_start();
    expect_ok();
    assert_int_equal(bed.uplink.reply.body_len, strlen(text));
    assert_true(bed.sim.is_open);
    expect_ok();
    assert_int_equal(bed.sim.open_count, 1);
}

static void test_replies_that_are_none(void **state)
{
    (void)state;
    static char long_head[3000];
    memset(long_head, 'x', sizeof(long_head) - 1);
    memcpy(long_head, "HTTP/1.1 200 OK\r\nX: ", 20);
    const struct {
        const char *name;
        const char *raw;
        uint64_t reset_len;
        int reset_err;
        int expected_err;
        bool expected_too_large;
        bool expected_next; /* the next exchange takes the next endpoint */
        const char *word;
    } rows[] = {
        {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", SIM_NET_NEVER, 0, KWM_ERR_PROTO, false,
         true, "is this the right port?"},
        {"an alert in clear", "\x15\x03\x01", SIM_NET_NEVER, 0, KWM_ERR_PROTO, false, true,
         "not HTTP/1.1"},
        {"a head without end", long_head, SIM_NET_NEVER, 0, KWM_ERR_PROTO, false, true,
         "head of the reply"},
        {"lengths that contradict each other",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", SIM_NET_NEVER, 0,
         KWM_ERR_PROTO, false, true, "not HTTP/1.1"},
        {"a record too large for us", "x", 0, KWM_ERR_NOSPC, KWM_ERR_NOSPC, true, false,
         "TLS input buffer"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        print_message("%s\n", rows[i].name);
        USE_ANSWERS({.raw = rows[i].raw});
        bed.sim.script.recv_reset_len = rows[i].reset_len;
        bed.sim.script.reset_err = rows[i].reset_err != 0 ? rows[i].reset_err : KWM_ERR_IO;
        bed.config.endpoint_count = 2;
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, rows[i].expected_err);
        assert_int_equal(outcome->is_reply_too_large, rows[i].expected_too_large);
        assert_true(outcome->was_sent);
        expect_detail(rows[i].word);
        bed.server.answers[0] = stored;
        expect_ok();
        assert_string_equal(bed.sim.host, rows[i].expected_next ? "second" : "db.example");
        assert_false(bed.uplink.outcome.is_reply_too_large);
    }
}

/* ... nor is a request sent again for it on a kept connection: its lines are in. */
static void test_too_large_is_not_stale(void **state)
{
    (void)state;
    bed_init();
    bed_start();
    expect_ok();
    bed.sim.script.recv_reset_len = bed.sim.net.info.bytes_recv;
    bed.sim.script.reset_err = KWM_ERR_NOSPC;
    assert_int_equal(submit_and_run()->err, KWM_ERR_NOSPC);
    assert_true(bed.uplink.outcome.is_reply_too_large);
    assert_int_equal(bed.server.executed_count, 2);
    assert_int_equal(bed.sim.open_count, 1);
}

static void test_redirect_is_not_followed(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS({.status = 307, .headers = "Location: https://evil.example/\r\n"});
    bed_start();
    const struct kwm_uplink_outcome *outcome = submit_and_run();
    assert_int_equal(outcome->err, KWM_OK);
    assert_int_equal(bed.uplink.reply.status, 307);
    assert_int_equal(bed.sim.open_count, 1);
    assert_int_equal(bed.server.request_count, 1);
    assert_string_equal(bed.sim.host, "db.example");
}

static void test_connect_errors(void **state)
{
    (void)state;
    static const struct {
        int open_err, connect_err;
        const char *detail;
        int expected_err;
        const char *word;
    } rows[] = {
        {KWM_ERR_INVAL, 0, "", KWM_ERR_INVAL, "cannot be opened"},
        {0, KWM_ERR_NOENT, "no such host: db.example", KWM_ERR_NOENT, "no such host: db.example"},
        {0, KWM_ERR_IO, "", KWM_ERR_IO, "the connection failed"},
        {0, KWM_ERR_VERIFY, "expired on\n2020-01-01", KWM_ERR_VERIFY, "expired on_2020-01-01"},
        {0, KWM_ERR_PROTO, "handshake", KWM_ERR_PROTO, "handshake"},
        {0, KWM_ERR_CLOSED, "", KWM_ERR_CLOSED, "the connection failed"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        bed.sim.script.open_err = rows[i].open_err;
        bed.sim.script.connect_err = rows[i].connect_err;
        bed.sim.script.connect_ms = 40;
        bed.sim.script.detail = rows[i].detail;
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, rows[i].expected_err);
        assert_int_equal(outcome->stage, KWM_UPLINK_RESOLVE_CONNECT);
        assert_int_equal(outcome->took_ms, rows[i].open_err != 0 ? 0 : 40);
        assert_false(outcome->was_sent);
        expect_detail(rows[i].word);
        bed.sim.script.open_err = 0;
        bed.sim.script.connect_err = 0;
        expect_ok();
    }
    /* Words from outside are cut to a bound. */
    static char long_detail[1000];
    memset(long_detail, 'w', sizeof(long_detail) - 1);
    bed_init();
    bed.sim.script.connect_err = KWM_ERR_VERIFY;
    bed.sim.script.detail = long_detail;
    bed_start();
    assert_int_equal(strlen(submit_and_run()->detail), KWM_UPLINK_DETAIL_LEN_MAX);
}

/* -- The time before the credentials ----------------------------------------------------------- */

static void test_gate(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum hal_wall_state wall;
        int64_t wall_s, not_before_s, not_after_s;
        const char *reply; /* to GET /health: the headers of a 200, "" for a reset */
        int expected_err;  /* KWM_OK: passed */
        const char *word;
    } rows[] = {
        {"inside", HAL_WALL_FLOOR, NOW_S - 100, NOW_S - 10, NOW_S + 10, DATE, KWM_OK, ""},
        {"nothing known", HAL_WALL_UNKNOWN, 0, NOW_S - 10, NOW_S + 10, DATE, KWM_OK, ""},
        {"at the edges", HAL_WALL_FLOOR, NOW_S, NOW_S, NOW_S, DATE, KWM_OK, ""},
        {"before the certificate", HAL_WALL_FLOOR, 0, NOW_S + 1, NOW_S + 61, DATE, KWM_ERR_VERIFY,
         "the server's clock says 2026-07-11 10:00 UTC, but its certificate is valid from "
         "2026-07-11 10:00 UTC to 2026-07-11 10:01 UTC; set the server's clock right or renew"},
        {"after the certificate", HAL_WALL_FLOOR, 0, INT64_C(951782400), INT64_C(1709164799), DATE,
         KWM_ERR_VERIFY, "valid from 2000-02-29 00:00 UTC to 2024-02-28 23:59 UTC"},
        {"no validity seen", HAL_WALL_FLOOR, 0, 0, 0, DATE, KWM_ERR_VERIFY,
         "valid from 1970-01-01 00:00 UTC to 1970-01-01 00:00 UTC"},
        {"before the floor", HAL_WALL_FLOOR, NOW_S + 60, NOW_S - 10, NOW_S + 100, DATE,
         KWM_ERR_VERIFY,
         "10:00 UTC, but it is not earlier than 2026-07-11 10:01 UTC; set the server's clock "
         "right"},
        {"no Date", HAL_WALL_FLOOR, 0, NOW_S - 10, NOW_S + 10, JSON, KWM_ERR_PROTO, "has no Date"},
        {"a bad Date", HAL_WALL_FLOOR, 0, NOW_S - 10, NOW_S + 10, "Date: now\r\n", KWM_ERR_PROTO,
         "has no Date"},
        {"no reply", HAL_WALL_FLOOR, 0, NOW_S - 10, NOW_S + 10, "", KWM_ERR_IO, "without a reply"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        print_message("%s\n", rows[i].name);
        bed.wall = (struct hal_wall){.state = rows[i].wall, .unix_ms = rows[i].wall_s * 1000};
        bed.sim.script.not_before_s = rows[i].not_before_s;
        bed.sim.script.not_after_s = rows[i].not_after_s;
        bed.config.headers = "X-Key: secret\r\n";
        USE_ANSWERS({.status = 200, .headers = rows[i].reply, .body = "{}"}, stored);
        if (rows[i].reply[0] == '\0') {
            bed.server.answers[0].then = RESET;
        }
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, rows[i].expected_err);
        assert_int_equal(bed.sim.open_count, 1);
        assert_non_null(strstr(bed.server.log, "GET /health HTTP/1.1\r\nHost: db.example:8080\r\n"
                                               "User-Agent: kwmote/0.1\r\n\r\n"));
        if (outcome->err != KWM_OK) {
            assert_int_equal(outcome->stage, KWM_UPLINK_HEALTH);
            assert_false(outcome->was_sent);
            assert_int_equal(bed.server.authorized_at, 0);
            assert_null(strstr(bed.server.log, "secret"));
            assert_int_equal(bed.server.request_count, 1);
            assert_int_equal(bed.date_count, 0);
            expect_detail(rows[i].word);
            continue;
        }
        assert_string_equal(outcome->detail, "");
        assert_int_equal(bed.server.authorized_at, 2);
        assert_int_equal(bed.date_count, 1);
        assert_int_equal(bed.date_ms, NOW_S * 1000);
        assert_false(bed.is_date_verified);
        /* Once for a connection. */
        expect_ok();
        assert_int_equal(bed.server.request_count, 3);
        assert_int_equal(bed.date_count, 1);
    }
}

/* Any server has a Date: also one that does not know /health. A cut reply is none. */
static void test_gate_by_other_replies(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS({.status = 404, .headers = DATE, .body = "404 page not found"}, stored);
    bed.wall.state = HAL_WALL_FLOOR;
    bed_start();
    expect_ok();
    bed_init();
    USE_ANSWERS({.status = 200, .headers = DATE, .body = "{}", .cut_len = 75, .then = END}, stored);
    bed.wall.state = HAL_WALL_FLOOR;
    bed_start();
    assert_int_equal(submit_and_run()->err, KWM_ERR_CLOSED);
    assert_int_equal(bed.server.authorized_at, 0);
    expect_detail("inside the reply");
}

static void test_gate_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_secure, has_authorization, is_set;
        unsigned expected_requests, expected_dates;
    } rows[] = {
        {"needed", true, true, false, 2, 1},
        {"the time is known", true, true, true, 1, 1},
        {"no certificate", false, true, false, 1, 0},
        {"no certificate, time known", false, true, true, 1, 0},
        {"no credentials", true, false, false, 1, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        print_message("%s\n", rows[i].name);
        USE_ANSWERS(rows[i].expected_requests == 2 ? healthy : stored, stored);
        bed.sim.script.is_secure = rows[i].is_secure;
        bed.config.authorization = rows[i].has_authorization ? AUTHORIZATION : NULL;
        bed.wall.state = rows[i].is_set ? HAL_WALL_SET : HAL_WALL_FLOOR;
        bed_start();
        expect_ok();
        assert_int_equal(bed.server.request_count, rows[i].expected_requests);
        assert_int_equal(bed.date_count, rows[i].expected_dates);
        assert_int_equal(bed.is_date_verified, rows[i].is_set && rows[i].is_secure);
    }
}

/* A server that ends the connection after /health: with its time the next connection is checked;
 * without (nobody took it over) it would go on for ever, so it ends. */
static void test_gate_and_a_server_that_closes(void **state)
{
    (void)state;
    static const struct answer closing = {
        .status = 200, .headers = DATE CLOSE, .body = "{}", .then = END};
    for (unsigned is_taken_over = 0; is_taken_over < 2; is_taken_over++) {
        bed_init();
        USE_ANSWERS(closing, is_taken_over ? stored : closing);
        bed.wall.state = HAL_WALL_FLOOR;
        bed.is_wall_set_by_date = is_taken_over != 0;
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(bed.sim.open_count, 2);
        if (is_taken_over) {
            assert_int_equal(outcome->err, KWM_OK);
            assert_int_equal(bed.server.authorized_at, 2);
            assert_int_equal(bed.date_count, 2);
            assert_true(bed.is_date_verified);
        } else {
            assert_int_equal(outcome->err, KWM_ERR_CLOSED);
            assert_int_equal(outcome->stage, KWM_UPLINK_HEALTH);
            assert_int_equal(bed.server.authorized_at, 0);
            assert_int_equal(bed.server.request_count, 1);
            expect_detail("closes the connection after GET /health");
        }
    }
}

/* A connection that was opened before the time was known was not checked against it. */
static void test_gate_follows_the_handshake(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS(healthy, stored);
    bed.wall.state = HAL_WALL_FLOOR;
    bed.sim.script.connect_ms = 300;
    bed_start();
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    assert_true(step());
    bed.wall.state = HAL_WALL_SET;
    while (step()) {
    }
    assert_int_equal(bed.uplink.outcome.err, KWM_OK);
    assert_int_equal(bed.server.authorized_at, 2);
    assert_false(bed.is_date_verified);
    /* A new connection for a stale one passes the gate anew. */
    bed.wall.state = HAL_WALL_FLOOR;
    bed.server.request_count = 0;
    bed.server.authorized_at = 0;
    sim_net_close_at(&bed.sim, bed.now_ms, SIM_NET_RESET);
    expect_ok();
    assert_int_equal(bed.server.authorized_at, 2);
    assert_int_equal(bed.date_count, 2);
}

/* -- Tokens ------------------------------------------------------------------------------------ */

static void test_token(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS({.status = 200, .body = LOGGED_IN(TOKEN_A)}, stored, stored,
                {.status = 200, .body = NO_TOKEN}, {.status = 200, .body = LOGGED_IN(TOKEN_B)},
                stored);
    bed.config.use_token = true;
    bed.config.headers = "X-Site: a\r\n";
    bed_start();
    expect_ok();
    assert_non_null(strstr(bed.server.log,
                           "GET /restapi/login HTTP/1.1\r\nHost: db.example:8080\r\n"
                           "User-Agent: kwmote/0.1\r\nAuthorization: " AUTHORIZATION
                           "\r\nX-Site: a\r\n\r\nPOST /restapi/telegraf"));
    assert_int_equal(count_of("Authorization: Basic " TOKEN_A "\r\n"), 1);
    assert_false(bed.uplink.outcome.was_token_refused);
    expect_ok();
    assert_int_equal(count_of("Authorization: Basic " TOKEN_A "\r\n"), 2);
    assert_int_equal(count_of("GET /restapi/login"), 1);
    /* The server has lost it. */
    expect_ok();
    assert_true(bed.uplink.outcome.was_token_refused);
    assert_int_equal(kwm_reply_verdict(&bed.uplink.reply), KWM_REPLY_AUTH);
    assert_int_equal(bed.server.request_count, 4); /* no login of its own accord */
    expect_ok();
    assert_false(bed.uplink.outcome.was_token_refused);
    assert_int_equal(count_of("GET /restapi/login"), 2);
    assert_int_equal(count_of("Authorization: Basic " TOKEN_B "\r\n"), 1);
    assert_int_equal(count_of(AUTHORIZATION), 2);
    assert_int_equal(bed.sim.open_count, 1);
    assert_int_equal(bed.date_count, 6);
}

/* Without tokens that text speaks of the password, and there is nothing to log in for. */
static void test_token_text_without_tokens(void **state)
{
    (void)state;
    bed_init();
    USE_ANSWERS({.status = 200, .body = NO_TOKEN});
    bed_start();
    expect_ok();
    assert_false(bed.uplink.outcome.was_token_refused);
    assert_int_equal(count_of("login"), 0);
}

static void test_login_refused(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        const char *body;
        unsigned status; /* 0: a reset */
        size_t cut_len;
        int expected_err;
        const char *word;
    } rows[] = {
        {JSON,
         "{\"code\":-1,\"desc\":\"the provided username and password did not match any credentials "
         "on the server.\"}",
         200, 0, KWM_ERR_AUTH, "did not match any credentials"},
        {JSON, "{\"code\":0,\"token\":\"\"}", 200, 0, KWM_ERR_AUTH, "holds no token"},
        {JSON, "{\"code\":0,\"token\":\"abcd\"}", 200, 0, KWM_ERR_AUTH, "holds no token"},
        {"", "You sent " AUTHORIZATION, 200, 0, KWM_ERR_AUTH, "(status 200) holds no token"},
        {"", "404 page not found", 404, 0, KWM_ERR_AUTH, "(status 404) holds no token"},
        {JSON, LOGGED_IN(TOKEN_A), 500, 0, KWM_ERR_AUTH, "(status 500) holds no token"},
        {JSON, LOGGED_IN(TOKEN_A), 200, 110, KWM_ERR_CLOSED, "inside the reply"},
        {JSON, "", 0, 0, KWM_ERR_IO, "without a reply"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        USE_ANSWERS({.status = rows[i].status, .headers = rows[i].headers, .body = rows[i].body},
                    {.status = 200, .body = LOGGED_IN(TOKEN_B)}, stored);
        bed.server.answers[0].cut_len = rows[i].cut_len;
        bed.server.answers[0].then = rows[i].status == 0    ? RESET
                                     : rows[i].cut_len != 0 ? END
                                                            : KEEP;
        bed.config.use_token = true;
        bed_start();
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, rows[i].expected_err);
        assert_int_equal(outcome->stage, KWM_UPLINK_LOGIN);
        assert_false(outcome->was_sent);
        assert_int_equal(bed.server.request_count, 1);
        expect_detail(rows[i].word);
        expect_ok();
        assert_int_equal(count_of("Basic " TOKEN_B), 1);
    }
}

/* A reply to a login that is too large for us says nothing of the batch. */
static void test_login_too_large(void **state)
{
    (void)state;
    bed_init();
    bed.config.use_token = true;
    bed.sim.script.recv_reset_len = 0;
    bed.sim.script.reset_err = KWM_ERR_NOSPC;
    bed_start();
    const struct kwm_uplink_outcome *outcome = submit_and_run();
    assert_int_equal(outcome->err, KWM_ERR_PROTO);
    assert_int_equal(outcome->stage, KWM_UPLINK_LOGIN);
    assert_false(outcome->is_reply_too_large);
}

/* A token belongs to one node. Clock, login, and a server that closes after each reply. */
static void test_token_for_each_endpoint(void **state)
{
    (void)state;
    static const struct answer closing_login = {
        .status = 200, .headers = JSON DATE CLOSE, .body = LOGGED_IN(TOKEN_A), .then = END};
    bed_init();
    bed.config.use_token = true;
    bed.config.endpoint_count = 2;
    bed.wall.state = HAL_WALL_FLOOR;
    bed.is_wall_set_by_date = true;
    USE_ANSWERS({.status = 200, .headers = DATE CLOSE, .body = "{}", .then = END}, closing_login,
                {.then = RESET}, {.status = 200, .body = LOGGED_IN(TOKEN_B)}, stored, stored,
                {.then = RESET}, stored);
    bed_start();
    const struct kwm_uplink_outcome *outcome = submit_and_run();
    assert_int_equal(outcome->err, KWM_ERR_IO);
    assert_true(outcome->was_sent);
    assert_int_equal(bed.server.connection_count, 3);
    assert_int_equal(count_of("Basic " TOKEN_A), 1);
    expect_ok(); /* on the second: a login of its own */
    assert_string_equal(bed.sim.host, "second");
    assert_int_equal(count_of("Basic " TOKEN_B), 1);
    expect_ok();
    bed.server.request_count = 6;
    sim_net_close_at(&bed.sim, bed.now_ms, SIM_NET_RESET);
    outcome = submit_and_run();
    assert_int_equal(outcome->err, KWM_ERR_IO);
    expect_ok(); /* back on the first, whose token is still there */
    assert_string_equal(bed.sim.host, "db.example");
    assert_int_equal(count_of("Basic " TOKEN_A), 2);
    assert_int_equal(count_of("GET /restapi/login"), 2);
}

/* -- Several URLs ------------------------------------------------------------------------------ */

static void test_failover(void **state)
{
    (void)state;
    bed_init();
    bed.config.endpoint_count = 3;
    bed.random = 599999;
    bed_start();
    static const char *const order[] = {"db.example", "second", "2001:db8::3", "db.example",
                                        "second"};
    bed.sim.script.connect_err = KWM_ERR_IO;
    for (size_t i = 0; i < 5; i++) {
        const struct kwm_uplink_outcome *outcome = submit_and_run();
        assert_int_equal(outcome->err, KWM_ERR_IO);
        assert_int_equal(outcome->endpoint, i % 3);
        assert_string_equal(bed.sim.host, order[i]);
        assert_int_equal(bed.sim.open_count, i + 1); /* one URL for an exchange */
    }
    bed.sim.script.connect_err = KWM_OK;
    expect_ok();
    assert_string_equal(bed.sim.host, "2001:db8::3");
    const uint64_t moved_ms = bed.now_ms;
    /* It stays there until the first is tried again: 10 minutes and a part, here 9:59.999, later.
     */
    bed.now_ms = moved_ms + 1199998;
    expect_ok();
    assert_int_equal(bed.sim.open_count, 6);
    bed.now_ms = moved_ms + 1199999;
    expect_ok();
    assert_string_equal(bed.sim.host, "db.example");
    assert_int_equal(bed.uplink.outcome.endpoint, 0);
    assert_int_equal(bed.sim.open_count, 7);
    bed.now_ms += 86400000;
    expect_ok();
    assert_int_equal(bed.sim.open_count, 7);
}

/* A server that answers but cannot take the batch now is left, too; one that refuses lines is not.
 */
static void test_failover_by_verdict(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *headers;
        const char *body;
        uint16_t line_count;
        const char *expected_host;
    } rows[] = {
        {503, "", "", 2, "second"},
        {404, "", "404 page not found", 2, "second"},
        {200, "Content-Type: text/html\r\n", "<html>", 2, "second"},
        {503, "", "", 0, "db.example"}, /* not a batch: whoever asks, judges */
        {200, JSON, STORED, 2, "db.example"},
        {200, JSON, NO_TOKEN, 2, "db.example"},
        {413, "", "", 2, "db.example"},
        {200, JSON, "{\"code\":-1,\"desc\":\"pq: a;pq: b;\",\"time\":1,\"rows\":0}", 2,
         "db.example"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bed_init();
        bed.config.endpoint_count = 2;
        bed.request.line_count = rows[i].line_count;
        USE_ANSWERS({.status = rows[i].status, .headers = rows[i].headers, .body = rows[i].body},
                    stored);
        bed_start();
        assert_int_equal(submit_and_run()->err, KWM_OK);
        expect_ok();
        assert_string_equal(bed.sim.host, rows[i].expected_host);
    }
}

/* -- Calls ------------------------------------------------------------------------------------- */

static void test_abort_in_each_state(void **state)
{
    (void)state;
    bool is_over = false;
    unsigned steps = 0;
    for (; !is_over; steps++) {
        bed_init();
        USE_ANSWERS(healthy, {.status = 200, .body = LOGGED_IN(TOKEN_A)}, stored);
        bed.wall.state = HAL_WALL_FLOOR;
        bed.config.use_token = true;
        bed.sim.script.connect_ms = 20;
        bed.sim.script.send_len_max = 30;
        bed.sim.script.recv_len_max = 30;
        bed_start();
        kwm_uplink_abort(&bed.uplink); /* while idle */
        assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
        for (unsigned i = 0; i < steps && !is_over; i++) {
            is_over = !step();
        }
        kwm_uplink_abort(&bed.uplink);
        assert_int_equal(bed.uplink.state, KWM_UPLINK_IDLE);
        assert_false(bed.sim.is_open);
        assert_int_equal(kwm_uplink_step(&bed.uplink, bed.now_ms), KWM_TIME_NEVER);
        assert_int_equal(bed.uplink.outcome.was_sent, bed.server.body_len_seen > 0);
        bed.server.request_count = bed.uplink.tokens[0][0] != '\0' ? 7 : 0;
        bed.wall.state = HAL_WALL_SET;
        USE_ANSWERS({.status = 200, .body = LOGGED_IN(TOKEN_A)}, stored);
        expect_ok();
    }
    print_message("%u steps\n", steps);
    assert_true(steps > 10);
}

static void test_init_bounds(void **state)
{
    (void)state;
    struct kwm_uplink_config bad[32];
    bed_init();
    for (size_t i = 0; i < 32; i++) {
        bad[i] = bed.config;
    }
    size_t n = 0;
    bad[n++].net = NULL;
    bad[n++].endpoints = NULL;
    bad[n++].out = NULL;
    bad[n++].headers = NULL;
    bad[n++].user_agent = NULL;
    bad[n++].wall.now = NULL;
    bad[n++].on_date = NULL;
    bad[n++].random = NULL;
    bad[n++].endpoint_count = 0;
    bad[n++].endpoint_count = KWM_ENDPOINTS_MAX + 1;
    bad[n++].timeout_ms = 0;
    bad[n++].out_cap = 0;
    bad[n++].authorization = "";
    bad[n++].authorization = "Basic";
    bad[n++].authorization = "Basic ";
    bad[n++].authorization = "Token abc";
    bad[n].use_token = true;
    bad[n++].authorization = NULL;
    bad[n++].headers = "X: y";
    bad[n++].headers = "X: y\n";
    bad[n++].headers = "X: y\r";
    bad[n++].headers = "X: y\r\n\r\n";
    bad[n++].headers = "X: y\r\nno colon\r\n";
    bad[n++].headers = ": y\r\n";
    bad[n++].headers = "X : y\r\n";
    bad[n++].headers = "X: y\nZ: a\r\n";
    bad[n++].headers = "X: y\r\nauthorization: Basic\r\n";
    bad[n++].headers = "Transfer-Encoding: chunked\r\n";
    bad[n++].headers = "Content-Length: 1\r\n";
    bad[n++].headers = "Accept-Encoding: gzip\r\n";
    for (size_t i = 0; i < n; i++) {
        print_message("bound %zu\n", i);
        assert_int_equal(kwm_uplink_init(&bed.uplink, &bad[i]), KWM_ERR_INVAL);
    }
    bed.config.headers = "X-Y: \xc3\xa4 z\r\nHostess: no host\r\n";
    assert_int_equal(kwm_uplink_init(&bed.uplink, &bed.config), KWM_OK);
    assert_string_equal(bed.uplink.outcome.detail, "");
}

static void test_submit_bounds(void **state)
{
    (void)state;
    bed_init();
    bed_start();
    expect_ok();
    const size_t len = head_len();
    for (unsigned with_token = 0; with_token < 2; with_token++) {
        /* A token's header is longer than that of a short password: 38 bytes for 10. */
        const size_t need =
            len + 1 - strlen(AUTHORIZATION) + (with_token ? 38 : strlen("Basic YTpi"));
        for (size_t cap = need - 1; cap <= need; cap++) {
            bed_init();
            USE_ANSWERS(with_token ? (struct answer){.status = 200, .body = LOGGED_IN(TOKEN_A)}
                                   : stored,
                        stored);
            bed.config.authorization = "Basic YTpi";
            bed.config.use_token = with_token != 0;
            bed.config.out_cap = cap;
            bed_start();
            if (cap < need) {
                assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms),
                                 KWM_ERR_NOSPC);
                assert_int_equal(bed.uplink.state, KWM_UPLINK_IDLE);
            } else {
                expect_ok();
            }
        }
    }
    bed_init();
    bed_start();
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_OK);
    assert_int_equal(kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms), KWM_ERR_STATE);
    bed.request.method = "GET";
    int rc = 0;
    expect_assert_failure(rc = kwm_uplink_submit(&bed.uplink, &bed.request, bed.now_ms));
    assert_int_equal(rc, 0);
}

/* -- Random faults ----------------------------------------------------------------------------- */

static uint64_t pick(uint64_t *seed, uint64_t limit)
{
    return support_random(seed) % limit;
}

static struct answer random_answer(uint64_t *seed)
{
    static const unsigned statuses[] = {200, 200, 200, 200, 404, 503, 0};
    static const char *const bodies[] = {
        STORED, STORED, NO_TOKEN, LOGGED_IN(TOKEN_A), LOGGED_IN(TOKEN_A), "{}"};
    static const char *const headers[] = {JSON DATE, JSON DATE, JSON, DATE CLOSE};
    return (struct answer){
        .status = statuses[pick(seed, 7)],
        .headers = headers[pick(seed, 4)],
        .body = bodies[pick(seed, 6)],
        .delay_ms = pick(seed, 3) == 0 ? pick(seed, 12000) : 0,
        .then = pick(seed, 4) == 0 ? (enum then)pick(seed, 3) : KEEP,
        .is_early = pick(seed, 8) == 0,
        .cut_len = pick(seed, 8) == 0 ? pick(seed, 200) : 0,
    };
}

static void random_script(uint64_t *seed)
{
    struct sim_net_script *script = &bed.sim.script;
    const uint64_t sent = bed.sim.net.info.bytes_sent;
    const uint64_t received = bed.sim.net.info.bytes_recv;
    script->connect_err = pick(seed, 12) == 0 ? KWM_ERR_IO : KWM_OK;
    script->connect_ms = pick(seed, 8) == 0 ? SIM_NET_NEVER : pick(seed, 3000);
    script->send_len_max = pick(seed, 2) == 0 ? 1 + pick(seed, 200) : 0;
    script->recv_len_max = pick(seed, 2) == 0 ? 1 + pick(seed, 200) : 0;
    script->send_reset_len = pick(seed, 6) == 0 ? sent + pick(seed, 900) : SIM_NET_NEVER;
    script->recv_reset_len = pick(seed, 6) == 0 ? received + pick(seed, 500) : SIM_NET_NEVER;
    script->send_stall_len = pick(seed, 12) == 0 ? sent + pick(seed, 900) : SIM_NET_NEVER;
    script->recv_stall_len = pick(seed, 12) == 0 ? received + pick(seed, 500) : SIM_NET_NEVER;
    const bool is_sending_well = script->send_reset_len == SIM_NET_NEVER;
    script->reset_err = is_sending_well && pick(seed, 8) == 0 ? KWM_ERR_NOSPC : KWM_ERR_IO;
}

static void check_invariants(const struct kwm_uplink_outcome *outcome, unsigned executed_before,
                             size_t body_before)
{
    const bool was_body_seen = bed.server.body_len_seen > body_before;
    if (!outcome->was_sent) {
        assert_false(was_body_seen);
    }
    if (outcome->err == KWM_OK) {
        assert_true(bed.uplink.reply.status >= 200 && !bed.uplink.reply.is_cut);
        /* Stored is said only of what was executed, unless the server spoke too early. */
        const bool is_stored = kwm_reply_verdict(&bed.uplink.reply) == KWM_REPLY_STORED;
        assert_true(!is_stored || bed.server.executed_count > executed_before ||
                    bed.server.early_count > 0);
    }
    assert_int_equal(outcome->is_reply_too_large, outcome->err == KWM_ERR_NOSPC);
    assert_true(bed.server.authorized_at == 0 || bed.server.is_date_given ||
                bed.wall.state == HAL_WALL_SET);
}

static void test_random_faults(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    unsigned good = 0;
    unsigned bad = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned run = 0; run < support_runs(3000); run++) {
        bed_init();
        use_big_body(1 + pick(&seed, 600));
        bed.config.out_cap = 260 + pick(&seed, 400);
        bed.config.use_token = pick(&seed, 3) == 0;
        bed.config.endpoint_count = (uint8_t)(1 + pick(&seed, 3));
        bed.config.idle_ms_max = pick(&seed, 2) == 0 ? 0 : 5000;
        const bool is_set = pick(&seed, 2) == 0;
        bed.wall.state = is_set ? HAL_WALL_SET : HAL_WALL_FLOOR;
        bed.is_wall_set_by_date = pick(&seed, 2) == 0;
        bed_start();
        for (unsigned i = 0; i < ANSWERS_MAX; i++) {
            bed.server.answers[i] = random_answer(&seed);
        }
        bed.server.answer_count = ANSWERS_MAX;
        for (unsigned i = 0; i < 6; i++) {
            random_script(&seed);
            const unsigned executed = bed.server.executed_count;
            const size_t body = bed.server.body_len_seen;
            const uint32_t opened = bed.sim.open_count;
            const struct kwm_uplink_outcome *outcome = submit_and_run();
            assert_true(bed.sim.open_count - opened <= 4);
            assert_true(bed.server.executed_count - executed <= 2);
            check_invariants(outcome, executed, body);
            good += outcome->err == KWM_OK;
            bad += outcome->err != KWM_OK;
            bed.now_ms += pick(&seed, 10000);
        }
    }
    print_message("%u exchanges with a reply, %u without\n", good, bad);
    assert_true(good > 0 && bad > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_pieces_of_all_sizes),
        cmocka_unit_test(test_body_of_a_wrong_length),
        cmocka_unit_test(test_reply_cut_at_every_byte),
        cmocka_unit_test(test_body_that_ends_with_the_connection),
        cmocka_unit_test(test_reset_at_every_byte_sent),
        cmocka_unit_test(test_reset_at_every_byte_received),
        cmocka_unit_test(test_stale_before_it_is_used),
        cmocka_unit_test(test_stale_when_it_is_used),
        cmocka_unit_test(test_stale_is_retried_once),
        cmocka_unit_test(test_stale_keeps_the_doubt),
        cmocka_unit_test(test_stale_has_time_again),
        cmocka_unit_test(test_reset_at_every_byte_of_a_second_exchange),
        cmocka_unit_test(test_idle_limit),
        cmocka_unit_test(test_connection_close),
        cmocka_unit_test(test_timeout_in_each_state),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_early_reply),
        cmocka_unit_test(test_early_reply_to_a_blocked_request),
        cmocka_unit_test(test_early_reply_whose_body_comes_late),
        cmocka_unit_test(test_interim_reply),
        cmocka_unit_test(test_large_reply),
        cmocka_unit_test(test_replies_that_are_none),
        cmocka_unit_test(test_too_large_is_not_stale),
        cmocka_unit_test(test_redirect_is_not_followed),
        cmocka_unit_test(test_connect_errors),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_gate_by_other_replies),
        cmocka_unit_test(test_gate_is_left_out),
        cmocka_unit_test(test_gate_and_a_server_that_closes),
        cmocka_unit_test(test_gate_follows_the_handshake),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_token_text_without_tokens),
        cmocka_unit_test(test_login_refused),
        cmocka_unit_test(test_login_too_large),
        cmocka_unit_test(test_token_for_each_endpoint),
        cmocka_unit_test(test_failover),
        cmocka_unit_test(test_failover_by_verdict),
        cmocka_unit_test(test_abort_in_each_state),
        cmocka_unit_test(test_init_bounds),
        cmocka_unit_test(test_submit_bounds),
        cmocka_unit_test(test_random_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
