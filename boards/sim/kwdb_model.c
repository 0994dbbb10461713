/* SPDX-License-Identifier: MIT */
#include "kwdb_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hal/assert.h"

static uint64_t hash_bytes(uint64_t hash, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)data[i]) * 1099511628211ULL;
    }
    return hash;
}
#define HASH_INIT 14695981039346656037ULL

void kwdb_model_init(struct kwdb_model *model, const uint64_t *clock_ms)
{
    memset(model, 0, sizeof(*model));
    model->clock_ms = clock_ms;
    model->store = model->own_store;
    model->store_cap = KWDB_ROWS_MAX;
    model->latency_ms = 5;
    model->date_unix_ms = INT64_C(1790000000000);
}

void kwdb_model_use_store(struct kwdb_model *model, struct kwdb_row *rows, size_t cap)
{
    KWM_ASSERT(model->rows == 0 && cap > 0 && (cap & (cap - 1U)) == 0);
    model->store = rows;
    model->store_cap = cap;
}

struct kwdb_table *kwdb_model_table(struct kwdb_model *model, const char *name)
{
    KWM_ASSERT(model->table_count < KWDB_TABLES_MAX);
    struct kwdb_table *table = &model->tables[model->table_count++];
    *table = (struct kwdb_table){.name = name};
    return table;
}

static void add_desc(struct kwdb_model *model, const char *text)
{
    const size_t len = strlen(text);
    KWM_ASSERT(model->desc_len + len < sizeof(model->desc));
    memcpy(model->desc + model->desc_len, text, len);
    model->desc_len += len;
}

/** A line as KWDB splits it: on single spaces, without any regard for quotes. */
struct line {
    const char *text;
    size_t len;
    char table[64];
    const char *fields;
    size_t tags_len; /**< table and tags */
    size_t fields_len;
    int64_t stamp_ms;
};

static bool split_line(const char *text, size_t len, size_t stamp_digits, struct line *line)
{
    *line = (struct line){.text = text, .len = len};
    const char *space = memchr(text, ' ', len);
    if (space == NULL) {
        return false;
    }
    line->tags_len = (size_t)(space - text);
    line->fields = space + 1;
    const char *second = memchr(space + 1, ' ', len - line->tags_len - 1);
    if (second == NULL || second == space + 1) {
        return false;
    }
    line->fields_len = (size_t)(second - space - 1);
    const size_t stamp_len = len - line->tags_len - line->fields_len - 2;
    const char *comma = memchr(text, ',', line->tags_len);
    const size_t name_len = comma != NULL ? (size_t)(comma - text) : line->tags_len;
    if (stamp_len != stamp_digits || name_len >= sizeof(line->table) || comma == NULL) {
        return false;
    }
    memcpy(line->table, text, name_len);
    line->table[name_len] = '\0';
    line->stamp_ms = strtoll(second + 1, NULL, 10) / (stamp_digits == 19 ? 1000000 : 1);
    return line->stamp_ms >= INT64_C(1000000000000);
}

static const struct kwdb_table *find_table(const struct kwdb_model *model, const char *name)
{
    for (unsigned i = 0; i < model->table_count; i++) {
        if (strcmp(model->tables[i].name, name) == 0 && !model->tables[i].is_missing) {
            return &model->tables[i];
        }
    }
    return NULL;
}

static bool holds(const char *text, size_t len, const char *what)
{
    const size_t what_len = strlen(what);
    for (size_t i = 0; i + what_len <= len; i++) {
        if (memcmp(text + i, what, what_len) == 0) {
            return true;
        }
    }
    return false;
}

/** @return the value of a field, NULL if the line has none of that name. */
static const char *find_field(const struct line *line, const char *name, size_t *len)
{
    const size_t name_len = strlen(name);
    const char *at = line->fields;
    const char *end = line->fields + line->fields_len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        if ((size_t)(stop - at) > name_len && memcmp(at, name, name_len) == 0 &&
            at[name_len] == '=') {
            *len = (size_t)(stop - at) - name_len - 1;
            return at + name_len + 1;
        }
        at = stop + 1;
    }
    return NULL;
}

/** What is wrong with a line, as a piece of desc. @return false if nothing is. */
static bool complain(const struct kwdb_model *model, const struct line *line, char *out, size_t cap)
{
    const struct kwdb_table *table = find_table(model, line->table);
    size_t len = 0;
    if (table == NULL) {
        (void)snprintf(out, cap, "pq: relation \"%s\" does not exist;", line->table);
    } else if (table->has_no_privilege) {
        (void)snprintf(out, cap,
                       "pq: user kwdb does not have INSERT privilege on timeseries table %s;",
                       line->table);
    } else if (table->lacks_column != NULL && find_field(line, table->lacks_column, &len) != NULL) {
        (void)snprintf(out, cap, "pq: column \"%s\" does not exist;", table->lacks_column);
    } else if (table->strange != NULL && holds(line->text, line->len, table->strange)) {
        (void)snprintf(out, cap, "pq: no such thing at %d;", (int)(line->stamp_ms % 1000));
    } else {
        const char *value =
            table->float_column != NULL ? find_field(line, table->float_column, &len) : NULL;
        if (value == NULL || value[0] != '\'') {
            return false;
        }
        (void)snprintf(out, cap, "pq: could not resolve \"%.*s\" as FLOAT8 type (column %s);",
                       (int)(len - 2), value + 1, table->float_column);
    }
    return true;
}

static struct kwdb_row *find_row(struct kwdb_model *model, uint64_t key)
{
    for (size_t i = 0; i < model->store_cap; i++) {
        struct kwdb_row *row = &model->store[((key >> 1) + i) & (model->store_cap - 1U)];
        if (row->key == key || row->key == 0) {
            return row;
        }
    }
    KWM_ASSERT(false); /* the test needs a larger store */
    return NULL;
}

static void store(struct kwdb_model *model, const struct line *line)
{
    const uint64_t series = hash_bytes(HASH_INIT, line->text, line->tags_len);
    uint64_t key = hash_bytes(series, line->text + line->tags_len + line->fields_len + 2, 13) | 1U;
    const uint64_t content = hash_bytes(HASH_INIT, line->text, line->len);
    struct kwdb_row *row = find_row(model, key);
    if (row->key == key) {
        model->rewrites++;
        model->changed += row->content != content ? 1U : 0U;
        row->content = content;
        row->writes++;
        return;
    }
    *row = (struct kwdb_row){.key = key,
                             .content = content,
                             .stamp_ms = line->stamp_ms,
                             .writes = 1,
                             .table = (uint16_t)(find_table(model, line->table) - model->tables),
                             .order = model->rows++};
    struct kwdb_row *newest = find_row(model, (series << 1) | 1U);
    if (newest->key == 0) {
        newest->key = (series << 1) | 1U;
    }
    model->disordered += line->stamp_ms < newest->stamp_ms ? 1U : 0U;
    newest->stamp_ms = line->stamp_ms > newest->stamp_ms ? line->stamp_ms : newest->stamp_ms;
}

static const char *fault_text(const struct kwdb_model *model, unsigned index)
{
    if (model->fault == KWDB_TRANSIENT && index % 2U == 0) {
        return "pq: insert failed, reason: replica is busy;";
    }
    if (model->fault == KWDB_DRAINING && index % 3U == 0) {
        return "pq: cannot acquire lease when draining;";
    }
    return NULL;
}

/** @return whether the line was stored; its piece is in desc. */
static bool run_line(struct kwdb_model *model, const char *text, size_t len, unsigned index)
{
    struct line line;
    char piece[512];
    if (!split_line(text, len, model->is_influx ? 19 : 13, &line)) {
        model->malformed++;
        add_desc(model, "wrong telegraf insert statement and please check;");
        return false;
    }
    const char *fault = fault_text(model, index);
    if (fault != NULL) {
        add_desc(model, fault);
        return false;
    }
    if (complain(model, &line, piece, sizeof(piece))) {
        add_desc(model, model->fault == KWDB_NO_PQ ? piece + 4 : piece);
        return false;
    }
    store(model, &line);
    if (model->seen_len + len + 2U < sizeof(model->seen)) {
        memcpy(model->seen + model->seen_len, text, len);
        model->seen_len += len + 1U;
        model->seen[model->seen_len - 1U] = '\n';
    }
    add_desc(model, "success;");
    return true;
}

static bool execute_line(struct kwdb_model *model, const char *text, size_t len, unsigned index)
{
    const bool is_stored = run_line(model, text, len, index);
    if (model->observer.on_line != NULL) {
        model->observer.on_line(model->observer.ctx, text, len, is_stored);
    }
    return is_stored;
}

static unsigned execute(struct kwdb_model *model, const char *body, size_t len, unsigned *lines)
{
    unsigned stored = 0;
    *lines = 0;
    model->desc_len = 0;
    const char *at = body;
    const char *end = body + len;
    while (at <= end && len > 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        if (model->is_old) {
            model->desc_len = 0;
        }
        stored += execute_line(model, at, (size_t)(stop - at), *lines) ? 1U : 0U;
        (*lines)++;
        at = stop + 1;
    }
    model->lines += *lines;
    return stored;
}

static void append_date(const struct kwdb_model *model, char *out, size_t cap)
{
    const time_t now = (time_t)((model->date_unix_ms + (int64_t)*model->clock_ms) / 1000);
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    (void)strftime(out, cap, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

/** Make the whole reply in model->reply. */
static void make_reply(struct kwdb_model *model, const char *status, const char *type,
                       const char *extra, const char *body, size_t len)
{
    char date[64];
    append_date(model, date, sizeof(date));
    const int head =
        snprintf(model->reply, sizeof(model->reply),
                 "HTTP/1.1 %s\r\nContent-Type: %s\r\nDate: %s\r\n%s%s"
                 "Content-Length: %zu\r\n\r\n",
                 status, type, date, extra, model->closes ? "Connection: close\r\n" : "", len);
    KWM_ASSERT(head > 0 && (size_t)head + len <= sizeof(model->reply));
    memcpy(model->reply + head, body, len);
    model->reply_len = (size_t)head + len;
}

static void make_json(struct kwdb_model *model, unsigned lines, unsigned stored)
{
    static char body[KWDB_REPLY_MAX];
    const bool is_good = stored == lines;
    size_t len = (size_t)snprintf(body, sizeof(body), "{\"code\":%d,\"desc\":\"", is_good ? 0 : -1);
    if (model->is_old) {
        /* The last line only, without the ending semicolon; code is sticky. */
        model->desc_len -= model->desc_len > 0 && model->desc[model->desc_len - 1] == ';' ? 1U : 0U;
    }
    for (size_t i = 0; i < model->desc_len; i++) {
        if (model->desc[i] == '"') {
            body[len++] = '\\';
        }
        body[len++] = model->desc[i];
        KWM_ASSERT(len < sizeof(body) - 64);
    }
    const unsigned rows = model->is_old ? (is_good ? 1U : 0U) : stored;
    len +=
        (size_t)snprintf(body + len, sizeof(body) - len, "\",\"time\":0.00123,\"rows\":%u}", rows);
    make_reply(model, "200 OK", "application/json", "Cache-control: no-cache\r\n", body, len);
}

static void answer(struct kwdb_model *model, struct sim_net *net, size_t len)
{
    const uint64_t at_ms = *model->clock_ms + model->latency_ms;
    sim_net_push(net, model->reply, len, at_ms);
    if (len < model->reply_len || model->closes) {
        sim_net_close_at(net, at_ms, SIM_NET_ORDERLY);
    }
}

static const char *const auth_reply =
    "{\"code\":-1,\"desc\":\"can not find token, need login first\"}";

/** Faults that answer without running anything. @return whether it was one. */
static bool refuse_early(struct kwdb_model *model, struct sim_net *net, unsigned lines)
{
    static const char page[] = "<html><body>Please log in to the hotel network</body></html>";
    char extra[64];
    switch (model->fault) {
    case KWDB_DROP_BEFORE:
        sim_net_close_at(net, *model->clock_ms, SIM_NET_RESET);
        return true;
    case KWDB_HTML:
        make_reply(model, "200 OK", "text/html", "", page, sizeof(page) - 1);
        break;
    case KWDB_NOT_FOUND:
        make_reply(model, "404 Not Found", "text/plain", "", "404 page not found", 18);
        break;
    case KWDB_TOO_LARGE:
        if (lines <= model->fault_arg) {
            return false;
        }
        make_reply(model, "413 Payload Too Large", "text/plain", "", "too large", 9);
        answer(model, net, model->reply_len - (model->is_413_cut ? 9U : 0U));
        return true;
    case KWDB_UNAVAILABLE:
        (void)snprintf(extra, sizeof(extra), "Retry-After: %u\r\n", (unsigned)model->fault_arg);
        make_reply(model, "503 Service Unavailable", "text/plain", extra, "busy", 4);
        break;
    case KWDB_AUTH:
        make_reply(model, "200 OK", "application/json", "", auth_reply, strlen(auth_reply));
        break;
    default:
        return false;
    }
    answer(model, net, model->reply_len);
    return true;
}

/** InfluxDB says how many it dropped, not which. */
static void make_influx(struct kwdb_model *model, unsigned lines, unsigned stored)
{
    char body[128];
    if (stored == lines) {
        make_reply(model, "204 No Content", "application/json", "", "", 0);
        return;
    }
    const int len = snprintf(body, sizeof(body),
                             "{\"error\":\"partial write: field type conflict: dropped=%u\"}\n",
                             lines - stored);
    make_reply(model, "400 Bad Request", "application/json", "", body, (size_t)len);
}

static void reply_to_lines(struct kwdb_model *model, struct sim_net *net, unsigned lines,
                           unsigned stored)
{
    if (model->is_influx) {
        make_influx(model, lines, stored);
    } else {
        make_json(model, lines, stored);
    }
    switch (model->fault) {
    case KWDB_DROP_AFTER:
        sim_net_close_at(net, *model->clock_ms + model->latency_ms, SIM_NET_RESET);
        return;
    case KWDB_CUT:
        answer(model, net,
               model->fault_arg < model->reply_len ? model->fault_arg : model->reply_len);
        return;
    case KWDB_EMPTY:
        make_reply(model, "200 OK", "application/json", "", "", 0);
        answer(model, net, model->reply_len);
        return;
    case KWDB_HANG:
        return;
    default:
        answer(model, net, model->reply_len);
        return;
    }
}

static unsigned count_lines(const char *body, size_t len)
{
    unsigned lines = 1;
    for (size_t i = 0; i < len; i++) {
        lines += body[i] == '\n' ? 1U : 0U;
    }
    return lines;
}

static bool is_authorized(const struct kwdb_model *model, const char *head)
{
    const char *value = strstr(head, "\r\nAuthorization: Basic ");
    if (value == NULL) {
        return false;
    }
    value += strlen("\r\nAuthorization: ");
    return model->authorization == NULL ||
           (strncmp(value, model->authorization, strlen(model->authorization)) == 0 &&
            value[strlen(model->authorization)] == '\r');
}

static void serve_lines(struct kwdb_model *model, struct sim_net *net, const char *body, size_t len)
{
    struct kwdb_served *served = &model->served[model->served_count % KWDB_LOG_MAX];
    unsigned lines = count_lines(body, len);
    model->requests++;
    model->served_count++;
    *served = (struct kwdb_served){.at_ms = *model->clock_ms,
                                   .lines = (uint16_t)lines,
                                   .body = hash_bytes(HASH_INIT, body, len),
                                   .fault = model->fault};
    if (!refuse_early(model, net, lines)) {
        const unsigned stored = execute(model, body, len, &lines);
        served->stored = (uint16_t)stored;
        reply_to_lines(model, net, lines, stored);
    }
    if (model->observer.on_served != NULL) {
        model->observer.on_served(model->observer.ctx, served);
    }
    if (model->fault_count != UINT32_MAX && model->fault_count > 0 && --model->fault_count == 0) {
        model->fault = KWDB_FINE;
    }
}

/** @return whether a request of InfluxDB's was answered by a status alone. */
static bool refuse_by_status(struct kwdb_model *model, struct sim_net *net)
{
    static const char body[] = "{\"error\":\"no\"}";
    char status[32];
    if (!model->is_influx || model->status == 0) {
        return false;
    }
    model->requests++;
    (void)snprintf(status, sizeof(status), "%u No", (unsigned)model->status);
    make_reply(model, status, "application/json", "", body, sizeof(body) - 1);
    answer(model, net, model->reply_len);
    return true;
}

static void serve(struct kwdb_model *model, struct sim_net *net, const char *head, const char *body,
                  size_t len)
{
    model->is_influx = strncmp(head, "POST /write?db=", 15) == 0;
    if (strncmp(head, "GET /health ", 12) == 0) {
        model->health_requests++;
        make_reply(model, "200 OK", "application/json", "", "{}", 2);
        answer(model, net, model->reply_len);
    } else if (refuse_by_status(model, net)) {
        return;
    } else if ((strncmp(head, "POST /restapi/telegraf?db=", 26) != 0 && !model->is_influx) ||
               strstr(head, "\r\nHost: ") == NULL) {
        model->malformed++;
        make_reply(model, "404 Not Found", "text/plain", "", "404 page not found", 18);
        answer(model, net, model->reply_len);
    } else if (!is_authorized(model, head)) {
        model->unauthorized++;
        make_reply(model, "200 OK", "application/json", "", auth_reply, strlen(auth_reply));
        answer(model, net, model->reply_len);
    } else {
        serve_lines(model, net, body, len);
    }
}

static void on_bytes(void *ctx, struct sim_net *net, const uint8_t *data, size_t len)
{
    struct kwdb_model *model = ctx;
    KWM_ASSERT(model->request_len + len < sizeof(model->request));
    memcpy(model->request + model->request_len, data, len);
    model->request_len += len;
    model->request[model->request_len] = '\0';
    char *end = strstr(model->request, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    const size_t head_len = (size_t)(end - model->request) + 4;
    const char *length = strstr(model->request, "\r\nContent-Length: ");
    const size_t body_len = length != NULL && length < end
                                ? strtoul(length + strlen("\r\nContent-Length: "), NULL, 10)
                                : 0;
    if (model->request_len < head_len + body_len) {
        return;
    }
    model->request_len = 0;
    end[2] = '\0'; /* the head ends with its last line's CR LF */
    serve(model, net, model->request, model->request + head_len, body_len);
}

static void on_open(void *ctx, struct sim_net *net)
{
    struct kwdb_model *model = ctx;
    (void)net;
    model->connections++;
    model->request_len = 0;
}

struct sim_peer kwdb_model_peer(struct kwdb_model *model)
{
    return (struct sim_peer){.on_open = on_open, .on_bytes = on_bytes, .ctx = model};
}
