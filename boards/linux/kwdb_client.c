/* SPDX-License-Identifier: MIT */
#include "kwdb_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "cJSON.h"
#include "hal/assert.h"

/* -- Body of the request, body of the reply
 *  ----------------------------------------------------- */

static int rewind_request(void *ctx)
{
    struct kwdb_client *client = ctx;
    client->request_off = 0;
    return KWM_OK;
}

static int read_request(void *ctx, uint8_t *out, size_t cap)
{
    struct kwdb_client *client = ctx;
    const size_t left = client->request_len - client->request_off;
    const size_t len = left < cap ? left : cap;
    memcpy(out, client->request + client->request_off, len);
    client->request_off += len;
    return (int)len;
}

static void put_body(void *ctx, const uint8_t *data, size_t len)
{
    struct kwdb_client *client = ctx;
    const size_t room = KWDB_BODY_LEN_MAX - client->body_len;
    const size_t kept = len < room ? len : room;
    memcpy(client->body + client->body_len, data, kept);
    client->body_len += kept;
    client->is_over = client->is_over || kept < len;
}

/* -- The agent's services
 *  ----------------------------------------------------------------------- */

static uint32_t random_bits(void *ctx)
{
    const struct agent *agent = ctx;
    return agent->services.random(agent->services.ctx);
}

static void on_date(void *ctx, int64_t unix_ms, bool is_verified)
{
    const struct agent *agent = ctx;
    agent->services.on_date(agent->services.ctx, unix_ms, is_verified);
}

bool kwdb_client_init(struct kwdb_client *client, const struct kwdb_client_config *config)
{
    const struct kwm_config_output *output = &config->agent->config->output;
    const struct kwm_uplink_config uplink = {
        .net = config->agent->services.net,
        .endpoints = config->endpoints,
        .endpoint_count = config->endpoint_count,
        .authorization = config->authorization,
        .use_token = config->use_token,
        .headers = config->authorization != NULL ? output->headers : "", /* they may be secret */
        .user_agent = config->agent->services.user_agent,
        .out = config->agent->memory.out,
        .out_cap = config->agent->memory.out_cap,
        .timeout_ms = output->timeout_ms,
        .wall = config->agent->services.wall,
        .on_date = on_date,
        .random = random_bits,
        .ctx = (void *)(uintptr_t)config->agent,
    };
    client->root = NULL;
    client->text[0] = '\0';
    if (kwm_uplink_init(&client->uplink, &uplink) != KWM_OK) {
        (void)snprintf(client->text, sizeof(client->text), "the output cannot be set up");
        return false;
    }
    return true;
}

void kwdb_client_close(struct kwdb_client *client)
{
    kwm_uplink_abort(&client->uplink);
    cJSON_Delete(client->root);
    client->root = NULL;
}

/* -- The answer
 *  --------------------------------------------------------------------------------- */

/** Words from outside, for a terminal. */
static void set_text(struct kwdb_client *client, const char *words)
{
    (void)snprintf(client->text, sizeof(client->text), "%s", words);
    for (char *c = client->text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == '\x7f') {
            *c = ' ';
        }
    }
}

/** `desc` is a text, or a list of them of which those count that are not `success`. */
static void take_desc(struct kwdb_client *client)
{
    const cJSON *desc = cJSON_GetObjectItemCaseSensitive(client->root, "desc");
    const cJSON *item = NULL;
    set_text(client, cJSON_IsString(desc) ? desc->valuestring : "no reason is given");
    if (!cJSON_IsArray(desc)) {
        return;
    }
    char all[sizeof(client->text)] = "";
    size_t len = 0;
    cJSON_ArrayForEach(item, desc)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, "success") != 0) {
            const int more = snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? "," : "",
                                      item->valuestring);
            len = (size_t)more < sizeof(all) - len ? len + (size_t)more : sizeof(all) - 1U;
        }
    }
    if (len > 0) {
        set_text(client, all);
    }
}

static enum kwdb_answer fail_status(struct kwdb_client *client)
{
    const struct kwm_reply *reply = &client->uplink.reply;
    (void)snprintf(client->text, sizeof(client->text), "HTTP status %u%s", (unsigned)reply->status,
                   reply->status == 404 ? ": is this KWDB's address? (it says so while it starts, "
                                          "too: try again)"
                                        : "");
    return KWDB_FAILED;
}

/** Make sense of a complete reply of one of KWDB's endpoints. */
static enum kwdb_answer judge(struct kwdb_client *client)
{
    const struct kwm_reply *reply = &client->uplink.reply;
    if (reply->status != 200) {
        return fail_status(client);
    }
    client->body[client->body_len] = '\0';
    client->root = client->is_over ? NULL : cJSON_ParseWithLength(client->body, client->body_len);
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(client->root, "code");
    if (!cJSON_IsNumber(code)) {
        set_text(client, client->is_over         ? "the reply is longer than 256 KiB"
                         : client->body_len == 0 ? "the reply is empty"
                                                 : "the reply is not what KWDB says: is this "
                                                   "KWDB's address?");
        return KWDB_FAILED;
    }
    if (code->valueint == 0) {
        return KWDB_DONE;
    }
    take_desc(client);
    return kwm_reply_verdict(reply) == KWM_REPLY_AUTH ? KWDB_AUTH : KWDB_REFUSED;
}

/** Submit, and turn the loop until it is over. @return KWM_OK if there is a complete reply. */
static int exchange(struct kwdb_client *client, const struct kwm_request *request)
{
    cJSON_Delete(client->root);
    client->root = NULL;
    client->body_len = 0;
    client->is_over = false;
    client->text[0] = '\0';
    const int err = kwm_uplink_submit(&client->uplink, request, board_now_ms());
    if (err != KWM_OK) {
        set_text(client, "the request's head does not fit its buffer");
        return err;
    }
    while (client->uplink.state == KWM_UPLINK_BUSY) {
        const uint64_t wake = kwm_uplink_step(&client->uplink, board_now_ms());
        if (client->uplink.state == KWM_UPLINK_BUSY) {
            board_idle(wake);
        }
    }
    const struct kwm_uplink_outcome *outcome = &client->uplink.outcome;
    if (outcome->err != KWM_OK) {
        set_text(client, outcome->detail[0] != '\0' ? outcome->detail : "no reply");
    }
    return outcome->err;
}

enum kwdb_answer kwdb_client_get(struct kwdb_client *client, const char *target)
{
    const struct kwm_request request = {
        .method = "GET", .target = target, .reply_body = {.put = put_body, .ctx = client}};
    if (exchange(client, &request) != KWM_OK) {
        return KWDB_FAILED;
    }
    const uint16_t status = client->uplink.reply.status;
    if (status == 401 || status == 403) {
        (void)fail_status(client);
        return KWDB_AUTH;
    }
    return status == 200 || status == 204 ? KWDB_DONE : fail_status(client);
}

enum kwdb_answer kwdb_client_post(struct kwdb_client *client, const char *path, const char *db,
                                  const char *sql)
{
    client->request = sql;
    client->request_len = strlen(sql);
    (void)snprintf(client->target, sizeof(client->target), "%s%s%s", path, db != NULL ? "?db=" : "",
                   db != NULL ? db : "");
    const struct kwm_request request = {
        .method = "POST",
        .target = client->target,
        .content_len = (uint32_t)client->request_len,
        .body = {.rewind = rewind_request, .read = read_request, .ctx = client},
        .reply_body = {.put = put_body, .ctx = client},
    };
    const int err = exchange(client, &request);
    if (err == KWM_OK) {
        return judge(client);
    }
    return err == KWM_ERR_AUTH ? KWDB_AUTH : KWDB_FAILED;
}

static const cJSON *rows_of(const struct kwdb_client *client)
{
    return cJSON_GetObjectItemCaseSensitive(client->root, "data");
}

unsigned kwdb_client_row_count(const struct kwdb_client *client)
{
    const int count = cJSON_GetArraySize(rows_of(client));
    return count > 0 ? (unsigned)count : 0;
}

const char *kwdb_client_cell(const struct kwdb_client *client, unsigned row, unsigned column)
{
    const cJSON *cell =
        cJSON_GetArrayItem(cJSON_GetArrayItem(rows_of(client), (int)row), (int)column);
    return cJSON_IsString(cell) ? cell->valuestring : "";
}

/* -- URLs
 *  --------------------------------------------------------------------------------------- */

struct hal_text kwdb_client_find_db(const struct kwm_endpoint *endpoint)
{
    const char *at = strchr(endpoint->target, '?');
    while (at != NULL) {
        at++;
        if (strncmp(at, "db=", 3) == 0) {
            const size_t len = strcspn(at + 3, "&");
            return (struct hal_text){.s = at + 3, .len = (uint16_t)len};
        }
        at = strchr(at, '&');
    }
    return (struct hal_text){.s = NULL};
}

static int hex_value(char c)
{
    const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)((at - digits) % 16) : -1;
}

bool kwdb_client_unescape(struct hal_text text, char *out, size_t cap)
{
    size_t len = 0;
    for (uint16_t i = 0; i < text.len; i++) {
        char c = text.s[i] == '+' ? ' ' : text.s[i];
        if (c == '%' && i + 2U < text.len && hex_value(text.s[i + 1U]) >= 0 &&
            hex_value(text.s[i + 2U]) >= 0) {
            c = (char)(hex_value(text.s[i + 1U]) * 16 + hex_value(text.s[i + 2U]));
            i = (uint16_t)(i + 2U);
        }
        if (len + 1U >= cap || (unsigned char)c < ' ' || c == ';' || c == '\x7f') {
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return len > 0;
}
