/* SPDX-License-Identifier: MIT */
#include "fleet_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"

/* CPU in microseconds, as measured on KWDB. Refusing a token comes before any line. */
#define PASSWORD_US 61500U
#define PASSWORD_LINE_US 180U
#define TOKEN_US 1400U
#define TOKEN_LINE_US 145U
#define LOGIN_US 61500U
#define HANDSHAKE_US 1700U
#define RESUMED_US 260U
#define NOT_FOUND_US 100U

#define SYN_TRIES_MAX 6U
#define TOKEN_LEN 32U
#define STAMP_DIGITS 13U

enum link_state { LINK_CLOSED, LINK_SYN, LINK_HANDSHAKE, LINK_GREETED, LINK_OPEN, LINK_ENDED };

enum kind { KIND_HANDSHAKE, KIND_LINES, KIND_LOGIN, KIND_BAD_TOKEN, KIND_NOT_FOUND };

static struct fleet_link *link_of(const struct fleet_server *server, uint32_t id)
{
    return server->link(server->ctx, id);
}

static struct fleet_second *second(struct fleet_server *server, uint64_t ms)
{
    const uint64_t index = ms / 1000U;
    KWM_ASSERT(index < server->second_count);
    return &server->seconds[index];
}

/* -- Cores and their queue ---------------------------------------------------------------------
 */

bool fleet_server_init(struct fleet_server *server)
{
    KWM_ASSERT(server->core_count > 0 && server->core_count <= FLEET_CORES_MAX);
    server->epoch = 1;
    server->job_cap = 1024;
    server->jobs = malloc(server->job_cap * sizeof(server->jobs[0]));
    return server->jobs != NULL;
}

void fleet_server_free(struct fleet_server *server)
{
    free(server->jobs);
    server->jobs = NULL;
}

static void grow(struct fleet_server *server)
{
    const uint32_t cap = server->job_cap * 2U;
    struct fleet_job *jobs = malloc(cap * sizeof(jobs[0]));
    KWM_ASSERT(jobs != NULL);
    for (uint32_t i = 0; i < server->job_count; i++) {
        jobs[i] = server->jobs[(server->job_first + i) % server->job_cap];
    }
    free(server->jobs);
    server->jobs = jobs;
    server->job_cap = cap;
    server->job_first = 0;
}

static uint64_t cost_us(const struct fleet_server *server, const struct fleet_core *core)
{
    const struct fleet_link *link = link_of(server, core->job.link);
    const uint64_t lines = core->is_run ? link->line_count : 0U;
    switch (core->job.kind) {
    case KIND_HANDSHAKE:
        return link->ticket_epoch == server->epoch ? RESUMED_US : HANDSHAKE_US;
    case KIND_LOGIN:
        return LOGIN_US;
    case KIND_BAD_TOKEN:
        return TOKEN_US;
    case KIND_NOT_FOUND:
        return NOT_FOUND_US;
    default:
        return server->use_token ? TOKEN_US + lines * TOKEN_LINE_US
                                 : PASSWORD_US + lines * PASSWORD_LINE_US;
    }
}

/** Give the first job of the queue to a core that is free from that time on. */
static void start(struct fleet_server *server, struct fleet_core *core, uint64_t from_us)
{
    core->job = server->jobs[server->job_first];
    server->job_first = (server->job_first + 1U) % server->job_cap;
    server->job_count--;
    const struct fleet_link *link = link_of(server, core->job.link);
    core->is_run = link->generation == core->job.generation;
    server->abandoned += core->is_run ? 0U : 1U;
    core->is_busy = true;
    core->done_us = from_us + cost_us(server, core);
}

static void submit(struct fleet_server *server, const struct fleet_link *link)
{
    if (server->job_count == server->job_cap) {
        grow(server);
    }
    const uint32_t last = (server->job_first + server->job_count) % server->job_cap;
    server->jobs[last] =
        (struct fleet_job){.link = link->id, .generation = link->generation, .kind = link->kind};
    server->job_count++;
    for (unsigned i = 0; i < server->core_count; i++) {
        if (!server->cores[i].is_busy) {
            start(server, &server->cores[i], server->now_ms * 1000U);
            return;
        }
    }
    struct fleet_second *now = second(server, server->now_ms);
    now->queue_max = server->job_count > now->queue_max ? server->job_count : now->queue_max;
}

/** Store the lines of a request. Those of a series come in the order of their stamps, so a stamp
 *  that is not above the newest one is a row that was there. */
static void store(struct fleet_server *server, struct fleet_link *link, uint64_t at_ms)
{
    for (unsigned i = 0; i < link->line_count; i++) {
        const uint32_t stamp = link->stamps[i] / FLEET_SERIES + 1U;
        uint32_t *newest = &link->newest[link->stamps[i] % FLEET_SERIES];
        if (stamp > *newest) {
            *newest = stamp;
            server->rows++;
            second(server, at_ms)->rows++;
        } else {
            server->rewrites++;
        }
    }
}

static void end(struct fleet_server *server, const struct fleet_core *core)
{
    struct fleet_link *link = link_of(server, core->job.link);
    const uint64_t at_ms = (core->done_us + 999U) / 1000U;
    const bool is_there = link->generation == core->job.generation;
    if (core->is_run && is_there && link->kind == KIND_LINES) {
        store(server, link, at_ms);
    }
    if (!is_there || link->is_lost) {
        return;
    }
    if (server->state == FLEET_AWAY) {
        link->is_lost = true;
        return;
    }
    if (link->kind == KIND_HANDSHAKE) {
        const bool is_resumed = link->ticket_epoch == server->epoch;
        server->handshakes_waiting--;
        link->state = LINK_GREETED;
        link->ticket_epoch = server->epoch;
        link->net.info.full_handshakes += is_resumed ? 0U : 1U;
        link->net.info.resumed_handshakes += is_resumed ? 1U : 0U;
        link->reply_ms = at_ms + FLEET_RTT_MS * (is_resumed ? 2U : 3U); /* TCP's, and TLS's */
    } else {
        link->reply_ms = at_ms + FLEET_RTT_MS;
        link->reply_off = 0;
    }
    server->wake(server->ctx, link->id, link->reply_ms);
}

static struct fleet_core *first_done(struct fleet_server *server)
{
    struct fleet_core *first = NULL;
    for (unsigned i = 0; i < server->core_count; i++) {
        struct fleet_core *core = &server->cores[i];
        if (core->is_busy && (first == NULL || core->done_us < first->done_us)) {
            first = core;
        }
    }
    return first;
}

void fleet_server_run(struct fleet_server *server, uint64_t now_ms)
{
    for (;;) {
        struct fleet_core *core = first_done(server);
        if (core == NULL || core->done_us > now_ms * 1000U) {
            break;
        }
        end(server, core);
        core->is_busy = false;
        if (server->job_count > 0) {
            start(server, core, core->done_us);
        }
    }
    server->now_ms = now_ms;
    if (server->job_count > second(server, now_ms)->queue_max) {
        second(server, now_ms)->queue_max = server->job_count;
    }
}

uint64_t fleet_server_next_ms(const struct fleet_server *server)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < server->core_count; i++) {
        const struct fleet_core *core = &server->cores[i];
        const uint64_t done_ms = (core->done_us + 999U) / 1000U;
        next = core->is_busy && done_ms < next ? done_ms : next;
    }
    return next;
}

void fleet_server_set(struct fleet_server *server, enum fleet_state state, uint32_t link_count)
{
    server->state = state;
    if (state != FLEET_DOWN) {
        return;
    }
    server->epoch++;
    server->job_count = 0;
    server->handshakes_waiting = 0;
    for (unsigned i = 0; i < server->core_count; i++) {
        server->cores[i].is_busy = false;
    }
    for (uint32_t i = 0; i < link_count; i++) {
        struct fleet_link *link = link_of(server, i);
        if (link->state >= LINK_HANDSHAKE && link->state <= LINK_OPEN) {
            link->state = LINK_ENDED;
            link->generation++;
            server->wake(server->ctx, i, server->now_ms + FLEET_RTT_MS / 2U);
        }
    }
}

/* -- A request, byte by byte -------------------------------------------------------------------
 */

static void forget_request(struct fleet_link *link)
{
    link->head_len = 0;
    link->body_left = 0;
    link->line_count = 0;
    link->number = 0;
    link->column = 0;
    link->reply_ms = UINT64_MAX;
}

static bool is_good_token(const struct fleet_server *server, const char *head)
{
    const char *value = strstr(head, "\r\nAuthorization: Basic ");
    KWM_ASSERT(value != NULL);
    value += strlen("\r\nAuthorization: Basic ");
    KWM_ASSERT(strcspn(value, "\r") == TOKEN_LEN);
    return strtoul(value + TOKEN_LEN - 8U, NULL, 16) == server->epoch;
}

static enum kind kind_of(struct fleet_server *server, const char *head)
{
    if (server->state == FLEET_STARTING) {
        server->not_found++;
        return KIND_NOT_FOUND;
    }
    if (strncmp(head, "GET /restapi/login ", strlen("GET /restapi/login ")) == 0) {
        second(server, server->now_ms)->logins++;
        return KIND_LOGIN;
    }
    KWM_ASSERT(strncmp(head, "POST /restapi/telegraf?", strlen("POST /restapi/telegraf?")) == 0);
    if (server->use_token && !is_good_token(server, head)) {
        server->refused_tokens++;
        return KIND_BAD_TOKEN;
    }
    return KIND_LINES;
}

static void take_request(struct fleet_link *link)
{
    struct fleet_server *server = link->server;
    second(server, server->now_ms)->requests++;
    link->kind = (uint8_t)kind_of(server, link->head);
    submit(server, link);
}

static void end_line(struct fleet_link *link)
{
    const int64_t stamp = (int64_t)link->number - link->server->base_unix_ms;
    KWM_ASSERT(link->line_count < FLEET_LINES_MAX && link->series < FLEET_SERIES);
    KWM_ASSERT(stamp >= 0 && stamp < UINT32_MAX / FLEET_SERIES);
    link->stamps[link->line_count++] = (uint32_t)stamp * FLEET_SERIES + link->series;
    link->number = 0;
    link->column = 0;
}

/** A line is "m<series>,host=.. v=.. <stamp>". */
static void take_body_byte(struct fleet_link *link, uint8_t c)
{
    link->body_left--;
    if (c == '\n') {
        end_line(link);
        return;
    }
    if (link->column == 1) {
        link->series = (uint8_t)(c - '0');
    }
    link->column = link->column < 2 ? (uint8_t)(link->column + 1U) : 2U;
    link->number = c >= '0' && c <= '9' ? link->number * 10U + (uint64_t)(c - '0') : 0U;
    if (link->body_left == 0) {
        end_line(link);
        take_request(link);
    }
}

static void end_head(struct fleet_link *link)
{
    const char *len = strstr(link->head, "\r\nContent-Length: ");
    link->body_left =
        len != NULL ? (uint32_t)strtoul(len + strlen("\r\nContent-Length: "), NULL, 10) : 0U;
    if (link->body_left == 0) {
        take_request(link);
    }
}

static void take_head_byte(struct fleet_link *link, uint8_t c)
{
    KWM_ASSERT(link->head_len + 1U < sizeof(link->head));
    link->head[link->head_len++] = (char)c;
    link->head[link->head_len] = '\0';
    if (link->head_len >= 4 && memcmp(link->head + link->head_len - 4U, "\r\n\r\n", 4) == 0) {
        end_head(link);
    }
}

/* -- The link as a hal_net ---------------------------------------------------------------------
 */

static struct fleet_link *self_of(struct hal_net *net)
{
    return (struct fleet_link *)net;
}

static int link_open(struct hal_net *net, const struct hal_net_peer *peer, uint64_t now_ms)
{
    struct fleet_link *link = self_of(net);
    (void)peer;
    KWM_ASSERT(link->state == LINK_CLOSED);
    forget_request(link);
    link->state = LINK_SYN;
    link->syn_count = 0;
    link->syn_ms = now_ms;
    link->is_lost = false;
    return KWM_OK;
}

/** The first packet of a connection. @return as poll(). */
static int try_syn(struct fleet_link *link, uint64_t now_ms)
{
    struct fleet_server *server = link->server;
    const bool is_full = server->handshakes_waiting >= FLEET_BACKLOG;
    if (server->state == FLEET_DOWN) {
        link->state = LINK_ENDED;
        return KWM_ERR_IO;
    }
    if (server->state == FLEET_AWAY || is_full) {
        server->syns_lost += is_full ? 1U : 0U;
        link->syn_ms = now_ms + (UINT64_C(1000) << link->syn_count);
        link->syn_count = link->syn_count < SYN_TRIES_MAX ? (uint8_t)(link->syn_count + 1U)
                                                          : (uint8_t)SYN_TRIES_MAX;
        return 0;
    }
    second(server, now_ms)->handshakes++;
    server->handshakes_waiting++;
    link->state = LINK_HANDSHAKE;
    link->kind = KIND_HANDSHAKE;
    submit(server, link);
    return 0;
}

static int link_poll(struct hal_net *net, uint64_t now_ms)
{
    struct fleet_link *link = self_of(net);
    switch (link->state) {
    case LINK_SYN:
        return now_ms >= link->syn_ms ? try_syn(link, now_ms) : 0;
    case LINK_HANDSHAKE:
        return 0;
    case LINK_GREETED:
        if (now_ms < link->reply_ms) {
            return 0;
        }
        forget_request(link);
        link->state = LINK_OPEN;
        return 1;
    case LINK_OPEN:
        return 1;
    default:
        return KWM_ERR_IO;
    }
}

static int link_send(struct hal_net *net, const uint8_t *data, size_t len)
{
    struct fleet_link *link = self_of(net);
    if (link->state != LINK_OPEN) {
        return KWM_ERR_IO;
    }
    link->is_lost = link->is_lost || link->server->state == FLEET_AWAY;
    for (size_t i = 0; i < len && !link->is_lost; i++) {
        if (link->body_left > 0) {
            take_body_byte(link, data[i]);
        } else {
            take_head_byte(link, data[i]);
        }
    }
    return (int)len;
}

static size_t make_reply(const struct fleet_link *link, char *out, size_t cap)
{
    char body[8U * FLEET_LINES_MAX + 128U];
    const char *status = "200 OK";
    int len = 0;
    if (link->kind == KIND_LINES) {
        len = snprintf(body, sizeof(body), "{\"code\":0,\"desc\":\"");
        for (unsigned i = 0; i < link->line_count; i++) {
            memcpy(body + len, "success;", 8);
            len += 8;
        }
        len += snprintf(body + len, sizeof(body) - (size_t)len, "\",\"time\":0.00123,\"rows\":%u}",
                        link->line_count);
    } else if (link->kind == KIND_LOGIN) {
        len = snprintf(body, sizeof(body), "{\"code\":0,\"token\":\"%08x%08x%08x%08x\"}",
                       (unsigned)link->id, 0xabcdefU, 0U, (unsigned)link->server->epoch);
    } else if (link->kind == KIND_BAD_TOKEN) {
        len = snprintf(body, sizeof(body),
                       "{\"code\":-1,\"desc\":\"can not find token, need login first\"}");
    } else {
        len = snprintf(body, sizeof(body), "404 page not found");
        status = "404 Not Found";
    }
    const int total = snprintf(
        out, cap, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%.*s", status,
        link->kind == KIND_NOT_FOUND ? "text/plain" : "application/json", len, len, body);
    KWM_ASSERT(total > 0 && (size_t)total < cap);
    return (size_t)total;
}

static int link_recv(struct hal_net *net, uint8_t *data, size_t cap)
{
    static char text[8U * FLEET_LINES_MAX + 512U];
    struct fleet_link *link = self_of(net);
    if (link->state != LINK_OPEN) {
        return KWM_ERR_IO;
    }
    if (link->reply_ms > link->server->now_ms) {
        return 0;
    }
    const size_t left = make_reply(link, text, sizeof(text)) - link->reply_off;
    const size_t len = left < cap ? left : cap;
    memcpy(data, text + link->reply_off, len);
    link->reply_off += (uint32_t)len;
    if (len == left) {
        forget_request(link);
    }
    return (int)len;
}

static void link_close(struct hal_net *net)
{
    struct fleet_link *link = self_of(net);
    if (link->state == LINK_HANDSHAKE) {
        link->server->handshakes_waiting--;
    }
    link->generation++;
    link->state = LINK_CLOSED;
}

static const struct hal_net_ops link_ops = {.open = link_open,
                                            .poll = link_poll,
                                            .send = link_send,
                                            .recv = link_recv,
                                            .close = link_close};

void fleet_link_init(struct fleet_link *link, struct fleet_server *server, uint32_t id)
{
    *link = (struct fleet_link){
        .net = {.ops = &link_ops,
                .detail = "",
                .info = {.is_secure = true,
                         .not_before_s = INT64_C(1700000000),
                         .not_after_s = INT64_C(1900000000)}},
        .server = server,
        .id = id,
    };
}
