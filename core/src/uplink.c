/* SPDX-License-Identifier: MIT */
#include "kwm/uplink.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/text.h"

/* A net that is connecting may have timers of its own (a second address, an answer to a lookup). */
#define CONNECT_POLL_MS 100U
#define RETURN_MS 600000U
/* An early reply is looked at in small bites, for the out buffer holds what is still to be sent. */
#define PEEK_LEN 64U
#define DAY_S 86400
#define DATE_S_MAX INT64_C(253402300799) /* the end of year 9999 */

#define LOGIN_TARGET "/restapi/login"
#define HEALTH_TARGET "/health"
#define TOKEN_PLACEHOLDER "00000000000000000000000000000000"
#define TOKEN_REFUSED "can not find token, need login first"

_Static_assert(sizeof(TOKEN_PLACEHOLDER) == KWM_UPLINK_TOKEN_LEN + 1, "as long as a token");
_Static_assert(sizeof(((struct kwm_reply *)0)->token) > KWM_UPLINK_TOKEN_LEN, "it holds a token");

enum kind { KIND_HEALTH, KIND_LOGIN, KIND_MAIN };

enum phase {
    PHASE_OPEN,
    PHASE_CONNECT,
    PHASE_REUSE, /* see whether a kept connection has ended meanwhile */
    PHASE_SEND,
    PHASE_PEEK, /* see whether a reply comes before all is sent */
    PHASE_RECV,
};

/* -- Configuration ----------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Does the line begin with this header's name, whatever its case? */
static bool is_header(const char *line, size_t len, const char *name)
{
    const size_t name_len = strlen(name);
    if (len < name_len) {
        return false;
    }
    for (size_t i = 0; i < name_len; i++) {
        if (lower(line[i]) != name[i]) {
            return false;
        }
    }
    return true;
}

/* A name, a colon, no control character; and not what would change the frame of the request, what
 * the server must not be asked for, or a credential. */
static bool is_allowed_header(const char *line, size_t len)
{
    static const char *const ours[] = {
        "authorization:", "content-length:", "content-encoding:", "transfer-encoding:",
        "host:",          "connection:",     "accept-encoding:",  "expect:",
    };
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || colon == line) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((line[i] > 0 && line[i] < ' ') || line[i] == '\x7f' ||
            (line + i < colon && line[i] == ' ')) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (is_header(line, len, ours[i])) {
            return false;
        }
    }
    return true;
}

static bool are_headers_good(const char *headers)
{
    while (headers[0] != '\0') {
        const char *end = strchr(headers, '\r');
        if (end == NULL || end[1] != '\n' || !is_allowed_header(headers, (size_t)(end - headers))) {
            return false;
        }
        headers = end + 2;
    }
    return true;
}

static bool is_authorization_good(const struct kwm_uplink_config *config)
{
    if (config->authorization == NULL) {
        return !config->use_token;
    }
    for (uint8_t i = 0; i < config->endpoint_count; i++) {
        const char *reason;
        if (kwm_authorization_check(config->authorization, config->endpoints[i].dialect, &reason) !=
            KWM_OK) {
            return false;
        }
    }
    return true;
}

int kwm_uplink_init(struct kwm_uplink *uplink, const struct kwm_uplink_config *config)
{
    KWM_ASSERT(uplink != NULL && config != NULL);
    memset(uplink, 0, sizeof(*uplink));
    if (config->net == NULL || config->endpoints == NULL || config->out == NULL ||
        config->headers == NULL || config->user_agent == NULL || config->wall.now == NULL ||
        config->on_date == NULL || config->random == NULL) {
        return KWM_ERR_INVAL;
    }
    if (config->endpoint_count < 1 || config->endpoint_count > KWM_ENDPOINTS_MAX ||
        config->timeout_ms == 0 || config->out_cap == 0) {
        return KWM_ERR_INVAL;
    }
    if (!is_authorization_good(config) || !are_headers_good(config->headers)) {
        return KWM_ERR_INVAL;
    }
    uplink->config = *config;
    uplink->outcome.detail = uplink->detail;
    uplink->state = KWM_UPLINK_IDLE;
    return KWM_OK;
}

/* -- Details ----------------------------------------------------------------------------------- */

static struct kwm_text begin_detail(struct kwm_uplink *uplink)
{
    struct kwm_text text;
    kwm_text_init(&text, uplink->detail, sizeof(uplink->detail));
    return text;
}

/* Words from outside: they may end up in a terminal. */
static void set_detail(struct kwm_uplink *uplink, const char *words)
{
    struct kwm_text text = begin_detail(uplink);
    kwm_text_append(&text, words);
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.out[i] < ' ' || text.out[i] == '\x7f') {
            text.out[i] = '_';
        }
    }
}

static void append_two_digits(struct kwm_text *text, int64_t value)
{
    kwm_text_append_char(text, (char)('0' + value / 10));
    kwm_text_append_char(text, (char)('0' + value % 10));
}

/* "2026-07-11 09:30 UTC". Days are counted in years that begin in March, so that the leap day is a
 * year's last, from 0000-03-01. */
static void append_date(struct kwm_text *text, int64_t unix_s)
{
    const int64_t kept = unix_s < 0 ? 0 : unix_s > DATE_S_MAX ? DATE_S_MAX : unix_s;
    const int64_t days = kept / DAY_S + 719468;
    const int64_t era = days / 146097;
    const int64_t day_of_era = days % 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month = (5 * day_of_year + 2) / 153; /* from March, 0 */
    const int64_t year = era * 400 + year_of_era + (month >= 10 ? 1 : 0);
    kwm_text_append_int(text, year);
    kwm_text_append_char(text, '-');
    append_two_digits(text, month < 10 ? month + 3 : month - 9);
    kwm_text_append_char(text, '-');
    append_two_digits(text, day_of_year - (153 * month + 2) / 5 + 1);
    kwm_text_append_char(text, ' ');
    append_two_digits(text, kept % DAY_S / 3600);
    kwm_text_append_char(text, ':');
    append_two_digits(text, kept % 3600 / 60);
    kwm_text_append(text, " UTC");
}

/* -- How an exchange ends ---------------------------------------------------------------------- */

static void close_net(struct kwm_uplink *uplink)
{
    if (uplink->is_open) {
        hal_net_close(uplink->config.net);
        uplink->is_open = false;
    }
}

static enum kwm_uplink_stage stage(const struct kwm_uplink *uplink)
{
    if (uplink->phase == PHASE_OPEN || uplink->phase == PHASE_CONNECT) {
        return KWM_UPLINK_RESOLVE_CONNECT;
    }
    if (uplink->kind != KIND_MAIN) {
        return uplink->kind == KIND_HEALTH ? KWM_UPLINK_HEALTH : KWM_UPLINK_LOGIN;
    }
    return uplink->phase == PHASE_RECV ? KWM_UPLINK_RECV : KWM_UPLINK_SEND;
}

static void leave_endpoint(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_uplink_config *config = &uplink->config;
    if (config->endpoint_count > 1) {
        uplink->endpoint = (uint8_t)((uplink->endpoint + 1U) % config->endpoint_count);
        uplink->return_ms = now_ms + RETURN_MS + config->random(config->ctx) % RETURN_MS;
    }
}

static void finish(struct kwm_uplink *uplink, int err, uint64_t now_ms)
{
    const uint64_t took_ms = now_ms - uplink->submit_ms;
    uplink->outcome.err = err;
    uplink->outcome.stage = stage(uplink);
    uplink->outcome.took_ms = took_ms < UINT32_MAX ? (uint32_t)took_ms : UINT32_MAX;
    uplink->state = KWM_UPLINK_DONE;
}

/* There is no reply, and the request is to blame: the next one may use this endpoint. detail is
 * set. */
static void fail_request(struct kwm_uplink *uplink, int err, uint64_t now_ms)
{
    close_net(uplink);
    finish(uplink, err, now_ms);
}

/* There is no reply, and who knows whether this endpoint will ever give one. detail is set. */
static void fail_endpoint(struct kwm_uplink *uplink, int err, uint64_t now_ms)
{
    fail_request(uplink, err, now_ms);
    leave_endpoint(uplink, now_ms);
}

static void fail_timeout(struct kwm_uplink *uplink, uint64_t now_ms)
{
    static const char *const what[] = {
        [KWM_UPLINK_RESOLVE_CONNECT] = "no connection",
        [KWM_UPLINK_HEALTH] = "no reply to GET " HEALTH_TARGET,
        [KWM_UPLINK_LOGIN] = "no reply to GET " LOGIN_TARGET,
        [KWM_UPLINK_SEND] = "the server did not take the whole request",
        [KWM_UPLINK_RECV] = "no complete reply",
    };
    struct kwm_text text = begin_detail(uplink);
    kwm_text_append(&text, what[stage(uplink)]);
    kwm_text_append(&text, " within ");
    kwm_text_append_uint(&text, uplink->config.timeout_ms);
    kwm_text_append(&text, " ms");
    fail_endpoint(uplink, KWM_ERR_TIMEOUT, now_ms);
}

/* The net's words, or ours if it has none. */
static void fail_net(struct kwm_uplink *uplink, int err, const char *words, uint64_t now_ms)
{
    const char *said = uplink->config.net->detail;
    set_detail(uplink, said != NULL && said[0] != '\0' ? said : words);
    fail_endpoint(uplink, err, now_ms);
}

/* -- Heads ------------------------------------------------------------------------------------- */

static void append_line(struct kwm_text *text, const char *name, const char *value)
{
    kwm_text_append(text, name);
    kwm_text_append(text, value);
    kwm_text_append(text, "\r\n");
}

static void append_host(struct kwm_text *text, const struct kwm_endpoint *endpoint)
{
    kwm_text_append(text, "Host: ");
    kwm_text_append(text, endpoint->is_ipv6 ? "[" : "");
    kwm_text_append(text, endpoint->host);
    kwm_text_append(text, endpoint->is_ipv6 ? "]" : "");
    if (endpoint->has_port) {
        kwm_text_append_char(text, ':');
        kwm_text_append_uint(text, endpoint->port);
    }
    kwm_text_append(text, "\r\n");
}

/* KWDB reads a token from the place of the base64 text: "Basic", one space, 32 hexadecimal digits.
 */
static void append_authorization(const struct kwm_uplink *uplink, enum kind kind,
                                 struct kwm_text *text)
{
    const char *token = uplink->tokens[uplink->endpoint];
    if (kind == KIND_HEALTH || uplink->config.authorization == NULL) {
        return;
    }
    if (kind == KIND_MAIN && uplink->config.use_token) {
        append_line(text, "Authorization: Basic ", token[0] != '\0' ? token : TOKEN_PLACEHOLDER);
    } else {
        append_line(text, "Authorization: ", uplink->config.authorization);
    }
}

static bool has_content(const struct kwm_request *request)
{
    return strcmp(request->method, "GET") != 0;
}

static const char *target_of(const struct kwm_uplink *uplink, enum kind kind)
{
    if (kind != KIND_MAIN) {
        return kind == KIND_HEALTH ? HEALTH_TARGET : LOGIN_TARGET;
    }
    return uplink->request.target != NULL ? uplink->request.target
                                          : uplink->config.endpoints[uplink->endpoint].target;
}

/* Stage a head. Further headers may be secret, too: they are not sent before the gate is passed.
 * @return whether it fits. */
static bool stage_head(struct kwm_uplink *uplink, enum kind kind)
{
    const struct kwm_uplink_config *config = &uplink->config;
    struct kwm_text text;
    kwm_text_init(&text, (char *)config->out, config->out_cap);
    kwm_text_append(&text, kind == KIND_MAIN ? uplink->request.method : "GET");
    kwm_text_append_char(&text, ' ');
    append_line(&text, target_of(uplink, kind), " HTTP/1.1");
    append_host(&text, &config->endpoints[uplink->endpoint]);
    append_line(&text, "User-Agent: ", config->user_agent);
    append_authorization(uplink, kind, &text);
    if (kind == KIND_MAIN && has_content(&uplink->request)) {
        append_line(&text, "Content-Type: ", "text/plain; charset=utf-8");
        kwm_text_append(&text, "Content-Length: ");
        kwm_text_append_uint(&text, uplink->request.content_len);
        kwm_text_append(&text, "\r\n");
    }
    if (kind != KIND_HEALTH) {
        kwm_text_append(&text, config->headers);
    }
    kwm_text_append(&text, "\r\n");
    uplink->head_len = text.len;
    uplink->out_len = text.len;
    uplink->out_off = 0;
    return !text.is_cut;
}

/* -- The body ---------------------------------------------------------------------------------- */

static void fail_length(struct kwm_uplink *uplink, const char *word, uint64_t now_ms)
{
    struct kwm_text text = begin_detail(uplink);
    kwm_text_append(&text, "the body is ");
    kwm_text_append(&text, word);
    kwm_text_append(&text, " than its length of ");
    kwm_text_append_uint(&text, uplink->request.content_len);
    kwm_text_append(&text,
                    " bytes, which went out before; the request was broken off, so the server "
                    "runs nothing of it");
    fail_request(uplink, KWM_ERR_STATE, now_ms);
}

static void fail_source(struct kwm_uplink *uplink, int err, uint64_t now_ms)
{
    set_detail(uplink, "the body cannot be made again; the request was broken off");
    fail_request(uplink, err, now_ms);
}

static int read_source(struct kwm_uplink *uplink)
{
    const struct kwm_body_source *body = &uplink->request.body;
    const size_t room = uplink->config.out_cap - uplink->out_len;
    const int rc = body->read(body->ctx, uplink->config.out + uplink->out_len, room);
    KWM_ASSERT(rc <= 0 || (size_t)rc <= room);
    return rc;
}

/* Stage the next bytes of the body. That a body is too long is found before its last bytes go out.
 */
static void stage_body(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const uint32_t left = uplink->request.content_len - uplink->body_len;
    const int len = read_source(uplink);
    if (len < 0) {
        fail_source(uplink, len, now_ms);
        return;
    }
    if (len == 0 && uplink->out_len == 0) {
        fail_length(uplink, "shorter", now_ms);
        return;
    }
    if ((uint32_t)len > left) {
        fail_length(uplink, "longer", now_ms);
        return;
    }
    uplink->body_len += (uint32_t)len;
    uplink->out_len += (size_t)len;
    if ((uint32_t)len < left) {
        return;
    }
    const int more = read_source(uplink);
    if (more < 0) {
        fail_source(uplink, more, now_ms);
    } else if (more > 0) {
        fail_length(uplink, "longer", now_ms);
    }
}

/* -- Requests on a connection that stands ------------------------------------------------------ */

/* Whether the server's time must be asked for before a credential is sent. Without TLS there is no
 * certificate whose validity could be checked. */
static bool needs_health(const struct kwm_uplink *uplink)
{
    return uplink->config.authorization != NULL && uplink->config.net->info.is_secure &&
           !uplink->is_time_known && !uplink->is_gate_passed;
}

static enum kind next_kind(const struct kwm_uplink *uplink)
{
    if (needs_health(uplink)) {
        return KIND_HEALTH;
    }
    if (uplink->config.use_token && uplink->tokens[uplink->endpoint][0] == '\0') {
        return KIND_LOGIN;
    }
    return KIND_MAIN;
}

static void stage_main(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_request *request = &uplink->request;
    uplink->body_len = 0;
    if (request->content_len == 0) {
        return;
    }
    const int rc = request->body.rewind(request->body.ctx);
    if (rc < 0) {
        fail_source(uplink, rc, now_ms);
        return;
    }
    stage_body(uplink, now_ms);
}

/* Stage what has to be asked next. */
static void begin_request(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_endpoint *endpoint = &uplink->config.endpoints[uplink->endpoint];
    const struct kwm_piece_sink *sink = &uplink->request.pieces;
    const enum kind kind = next_kind(uplink);
    uplink->kind = (uint8_t)kind;
    uplink->phase = PHASE_SEND;
    uplink->is_all_sent = false;
    if (kind == KIND_HEALTH && uplink->is_health_asked) {
        set_detail(uplink,
                   "the server closes the connection after GET " HEALTH_TARGET ", so its time "
                   "cannot be checked before credentials are sent; set this device's clock, or "
                   "let the server keep connections");
        fail_endpoint(uplink, KWM_ERR_CLOSED, now_ms);
        return;
    }
    const bool is_fitting = stage_head(uplink, kind);
    KWM_ASSERT(is_fitting); /* it did in kwm_uplink_submit() */
    if (kind == KIND_MAIN) {
        kwm_reply_init(&uplink->reply, endpoint->dialect, uplink->request.line_count,
                       sink->put != NULL ? sink : NULL);
        uplink->reply.body = uplink->request.reply_body;
        stage_main(uplink, now_ms);
    } else {
        uplink->is_health_asked = uplink->is_health_asked || kind == KIND_HEALTH;
        kwm_reply_init(&uplink->reply, KWM_DIALECT_KWDB, 0, NULL);
    }
}

/* What was asked aside is answered. */
static void go_on(struct kwm_uplink *uplink, bool is_kept, uint64_t now_ms)
{
    if (is_kept) {
        begin_request(uplink, now_ms);
    } else {
        close_net(uplink);
        uplink->phase = PHASE_OPEN;
    }
}

/* The server's time is used only if it is plausible: within the certificate's validity, and not
 * before what is the earliest that it can be. */
static void end_health(struct kwm_uplink *uplink, bool is_kept, uint64_t now_ms)
{
    const struct kwm_uplink_config *config = &uplink->config;
    const struct hal_net_info *info = &config->net->info;
    const struct hal_wall wall = config->wall.now(config->wall.ctx);
    const int64_t date_s = uplink->reply.date_unix_s;
    struct kwm_text text = begin_detail(uplink);
    if (date_s == 0) {
        kwm_text_append(&text,
                        "the reply to GET " HEALTH_TARGET " has no Date, so the time cannot be "
                        "checked before credentials are sent; set this device's clock");
        fail_endpoint(uplink, KWM_ERR_PROTO, now_ms);
        return;
    }
    kwm_text_append(&text, "the server's clock says ");
    append_date(&text, date_s);
    if (date_s < info->not_before_s || date_s > info->not_after_s) {
        kwm_text_append(&text, ", but its certificate is valid from ");
        append_date(&text, info->not_before_s);
        kwm_text_append(&text, " to ");
        append_date(&text, info->not_after_s);
        kwm_text_append(&text, "; set the server's clock right or renew the certificate");
        fail_endpoint(uplink, KWM_ERR_VERIFY, now_ms);
        return;
    }
    if (wall.state == HAL_WALL_FLOOR && date_s < wall.unix_ms / 1000) {
        kwm_text_append(&text, ", but it is not earlier than ");
        append_date(&text, wall.unix_ms / 1000);
        kwm_text_append(&text, "; set the server's clock right");
        fail_endpoint(uplink, KWM_ERR_VERIFY, now_ms);
        return;
    }
    set_detail(uplink, "");
    uplink->is_gate_passed = true;
    config->on_date(config->ctx, date_s * 1000, false);
    go_on(uplink, is_kept, now_ms);
}

static void end_login(struct kwm_uplink *uplink, bool is_kept, uint64_t now_ms)
{
    const struct kwm_reply *reply = &uplink->reply;
    char *token = uplink->tokens[uplink->endpoint];
    if (reply->status == 200 && strlen(reply->token) == KWM_UPLINK_TOKEN_LEN) {
        memcpy(token, reply->token, KWM_UPLINK_TOKEN_LEN + 1);
        go_on(uplink, is_kept, now_ms);
        return;
    }
    /* KWDB's own words are safe to show; another server's page might give our header back. */
    if (reply->status == 200 && reply->is_json && reply->desc[0] != '\0') {
        set_detail(uplink, reply->desc);
    } else {
        struct kwm_text text = begin_detail(uplink);
        kwm_text_append(&text, "the reply to GET " LOGIN_TARGET " (status ");
        kwm_text_append_uint(&text, reply->status);
        kwm_text_append(&text, ") holds no token; is this KWDB's address?");
    }
    fail_endpoint(uplink, KWM_ERR_AUTH, now_ms);
}

static void end_main(struct kwm_uplink *uplink, bool is_kept, uint64_t now_ms)
{
    const struct kwm_reply *reply = &uplink->reply;
    if (!is_kept) {
        close_net(uplink);
    }
    uplink->kept_ms = now_ms;
    uplink->phase = PHASE_RECV;
    if (uplink->config.use_token && strcmp(reply->desc, TOKEN_REFUSED) == 0) {
        memset(uplink->tokens[uplink->endpoint], 0, KWM_UPLINK_TOKEN_LEN + 1);
        uplink->outcome.was_token_refused = true;
    }
    finish(uplink, KWM_OK, now_ms);
    if (uplink->request.line_count > 0 && kwm_reply_verdict(reply) == KWM_REPLY_NOT_NOW) {
        leave_endpoint(uplink, now_ms);
    }
}

static void end_reply(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_uplink_config *config = &uplink->config;
    const bool is_kept = uplink->reply.keep_alive && uplink->is_all_sent;
    const int64_t date_s = uplink->reply.date_unix_s;
    if (uplink->is_time_known && config->net->info.is_secure && date_s > 0) {
        config->on_date(config->ctx, date_s * 1000, true);
    }
    switch (uplink->kind) {
    case KIND_HEALTH:
        end_health(uplink, is_kept, now_ms);
        break;
    case KIND_LOGIN:
        end_login(uplink, is_kept, now_ms);
        break;
    default:
        end_main(uplink, is_kept, now_ms);
        break;
    }
}

/* -- Steps. Each makes at most two calls into the net: one of its own, and a close. -------------
 */

/* The net gave an error while sending or receiving. */
static void lose(struct kwm_uplink *uplink, int err, uint64_t now_ms)
{
    const bool is_ended = err == KWM_ERR_CLOSED || err == KWM_ERR_IO;
    if (uplink->is_reused && is_ended) {
        /* The server had ended the kept connection, which shows only now: once, a new one. */
        close_net(uplink);
        uplink->is_reused = false;
        uplink->deadline_ms = now_ms + uplink->config.timeout_ms;
        uplink->phase = PHASE_OPEN;
        return;
    }
    if (err == KWM_ERR_CLOSED && kwm_reply_end(&uplink->reply) == 1) {
        end_reply(uplink, now_ms);
        return;
    }
    uplink->reply.is_cut = uplink->reply.status != 0; /* a reset completes nothing */
    uplink->reply.keep_alive = false;
    if (err == KWM_ERR_NOSPC) {
        set_detail(uplink, "the reply does not fit the TLS input buffer");
        if (uplink->kind == KIND_MAIN) {
            uplink->outcome.is_reply_too_large = true;
            fail_request(uplink, err, now_ms);
        } else {
            fail_endpoint(uplink, KWM_ERR_PROTO, now_ms);
        }
        return;
    }
    fail_net(uplink, err,
             uplink->reply.status != 0 ? "the connection ended inside the reply"
                                       : "the connection ended without a reply",
             now_ms);
}

/* Bytes of the reply. @return whether it goes on. */
static bool take_bytes(struct kwm_uplink *uplink, const uint8_t *data, int len, uint64_t now_ms)
{
    uplink->is_reused = false;
    const int rc = kwm_reply_feed(&uplink->reply, data, (size_t)len);
    if (rc < 0) {
        set_detail(uplink, rc == KWM_ERR_NOSPC
                               ? "the head of the reply is longer than any that is expected"
                               : "the reply is not HTTP/1.1; is this the right port?");
        fail_endpoint(uplink, KWM_ERR_PROTO, now_ms);
    } else if (rc == 1) {
        end_reply(uplink, now_ms);
    }
    return rc == 0;
}

static bool step_open(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_uplink_config *config = &uplink->config;
    const struct kwm_endpoint *endpoint = &config->endpoints[uplink->endpoint];
    const struct hal_net_peer peer = {.host = endpoint->host, .port = endpoint->port};
    uplink->is_open = true;
    uplink->open_endpoint = uplink->endpoint;
    uplink->is_gate_passed = false;
    uplink->is_time_known = config->wall.now(config->wall.ctx).state == HAL_WALL_SET;
    const int rc = hal_net_open(config->net, &peer, now_ms);
    if (rc < 0) {
        fail_net(uplink, rc, "the connection cannot be opened", now_ms);
        return true;
    }
    uplink->phase = PHASE_CONNECT;
    return true;
}

static bool step_connect(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const int rc = hal_net_poll(uplink->config.net, now_ms);
    if (rc < 0) {
        fail_net(uplink, rc, "the connection failed", now_ms);
    } else if (rc > 0) {
        begin_request(uplink, now_ms);
    }
    return rc != 0;
}

/* On a kept connection nothing is to come before we ask: an end, or bytes, make it useless. */
static bool step_reuse(struct kwm_uplink *uplink, uint64_t now_ms)
{
    uint8_t byte;
    if (hal_net_recv(uplink->config.net, &byte, sizeof(byte)) == 0) {
        begin_request(uplink, now_ms);
        return true;
    }
    close_net(uplink);
    uplink->is_reused = false;
    uplink->phase = PHASE_OPEN;
    return true;
}

static bool step_send(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_uplink_config *config = &uplink->config;
    const size_t left = uplink->out_len - uplink->out_off;
    KWM_ASSERT(left > 0);
    const int len = hal_net_send(config->net, config->out + uplink->out_off, left);
    KWM_ASSERT(len <= 0 || (size_t)len <= left);
    if (len < 0) {
        lose(uplink, len, now_ms);
        return true;
    }
    uplink->is_send_blocked = len == 0;
    uplink->out_off += (size_t)len;
    if (uplink->kind == KIND_MAIN && uplink->out_off > uplink->head_len) {
        uplink->outcome.was_sent = true;
    }
    uplink->phase = PHASE_PEEK;
    if (uplink->out_off < uplink->out_len) {
        return true;
    }
    if (uplink->kind != KIND_MAIN || uplink->body_len == uplink->request.content_len) {
        uplink->is_all_sent = true;
        uplink->phase = PHASE_RECV;
        return true;
    }
    uplink->out_len = 0;
    uplink->out_off = 0;
    uplink->head_len = 0;
    stage_body(uplink, now_ms);
    return true;
}

/* A reply whose head is here before all is sent ends the sending: the server has made up its mind,
 * and sending on could cost us the rest of the reply. */
static bool step_peek(struct kwm_uplink *uplink, uint64_t now_ms)
{
    uint8_t data[PEEK_LEN];
    const int len = hal_net_recv(uplink->config.net, data, sizeof(data));
    if (len < 0) {
        lose(uplink, len, now_ms);
        return true;
    }
    if (len == 0) {
        uplink->phase = PHASE_SEND;
        return !uplink->is_send_blocked;
    }
    if (take_bytes(uplink, data, len, now_ms)) {
        uplink->phase = uplink->reply.status != 0 ? PHASE_RECV : PHASE_SEND;
    }
    return true;
}

static bool step_recv(struct kwm_uplink *uplink, uint64_t now_ms)
{
    const struct kwm_uplink_config *config = &uplink->config;
    const int len = hal_net_recv(config->net, config->out, config->out_cap);
    if (len < 0) {
        lose(uplink, len, now_ms);
    } else if (len > 0) {
        (void)take_bytes(uplink, config->out, len, now_ms);
    }
    return len != 0;
}

static bool step_once(struct kwm_uplink *uplink, uint64_t now_ms)
{
    switch (uplink->phase) {
    case PHASE_OPEN:
        return step_open(uplink, now_ms);
    case PHASE_CONNECT:
        return step_connect(uplink, now_ms);
    case PHASE_REUSE:
        return step_reuse(uplink, now_ms);
    case PHASE_SEND:
        return step_send(uplink, now_ms);
    case PHASE_PEEK:
        return step_peek(uplink, now_ms);
    default:
        KWM_ASSERT(uplink->phase == PHASE_RECV);
        return step_recv(uplink, now_ms);
    }
}

uint64_t kwm_uplink_step(struct kwm_uplink *uplink, uint64_t now_ms)
{
    KWM_ASSERT(uplink != NULL);
    bool is_moving = true;
    for (unsigned i = 0; i < KWM_UPLINK_OPS_MAX / 2U && is_moving; i++) {
        if (uplink->state != KWM_UPLINK_BUSY) {
            return KWM_TIME_NEVER;
        }
        is_moving = step_once(uplink, now_ms);
    }
    if (uplink->state != KWM_UPLINK_BUSY) {
        return KWM_TIME_NEVER;
    }
    /* The deadline counts whatever moved: a peer that trickles must not hold us for ever. */
    if (now_ms >= uplink->deadline_ms) {
        fail_timeout(uplink, now_ms);
        return KWM_TIME_NEVER;
    }
    if (is_moving) {
        return now_ms;
    }
    const uint64_t poll_ms = now_ms + CONNECT_POLL_MS;
    return uplink->phase == PHASE_CONNECT && poll_ms < uplink->deadline_ms ? poll_ms
                                                                           : uplink->deadline_ms;
}

/* -- Calls ------------------------------------------------------------------------------------- */

static bool do_heads_fit(struct kwm_uplink *uplink)
{
    const bool has_authorization = uplink->config.authorization != NULL;
    return stage_head(uplink, KIND_MAIN) &&
           (!has_authorization || stage_head(uplink, KIND_HEALTH)) &&
           (!uplink->config.use_token || stage_head(uplink, KIND_LOGIN));
}

/* A kept connection is used again if it leads to the right place and was not idle for too long. */
static bool is_usable(const struct kwm_uplink *uplink, uint64_t now_ms)
{
    const uint32_t idle_ms_max = uplink->config.idle_ms_max;
    return uplink->open_endpoint == uplink->endpoint &&
           (idle_ms_max == 0 || now_ms - uplink->kept_ms <= idle_ms_max);
}

int kwm_uplink_submit(struct kwm_uplink *uplink, const struct kwm_request *request, uint64_t now_ms)
{
    KWM_ASSERT(uplink != NULL && request != NULL);
    KWM_ASSERT(has_content(request) || request->content_len == 0);
    KWM_ASSERT(request->content_len == 0 ||
               (request->body.rewind != NULL && request->body.read != NULL));
    if (uplink->state == KWM_UPLINK_BUSY) {
        return KWM_ERR_STATE;
    }
    if (uplink->endpoint != 0 && now_ms >= uplink->return_ms) {
        uplink->endpoint = 0;
    }
    uplink->request = *request;
    if (!do_heads_fit(uplink)) {
        return KWM_ERR_NOSPC;
    }
    if (!is_usable(uplink, now_ms)) {
        close_net(uplink);
    }
    uplink->outcome = (struct kwm_uplink_outcome){
        .endpoint = uplink->endpoint,
        .detail = uplink->detail,
    };
    uplink->detail[0] = '\0';
    uplink->submit_ms = now_ms;
    uplink->deadline_ms = now_ms + uplink->config.timeout_ms;
    uplink->is_reused = uplink->is_open;
    uplink->is_health_asked = false;
    uplink->kind = KIND_MAIN;
    uplink->phase = uplink->is_open ? PHASE_REUSE : PHASE_OPEN;
    uplink->state = KWM_UPLINK_BUSY;
    kwm_reply_init(&uplink->reply, uplink->config.endpoints[uplink->endpoint].dialect,
                   request->line_count, NULL);
    return KWM_OK;
}

void kwm_uplink_abort(struct kwm_uplink *uplink)
{
    KWM_ASSERT(uplink != NULL);
    close_net(uplink);
    uplink->state = KWM_UPLINK_IDLE;
}
