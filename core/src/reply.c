/* SPDX-License-Identifier: MIT */
/* The frame of a reply, head, length and chunks (RFC 9112), and the verdict. */
#include "kwm/reply.h"

#include <string.h>

#include "hal/assert.h"
#include "reply_internal.h"

enum frame_state {
    FRAME_HEAD,
    FRAME_BODY,           /* of a known length */
    FRAME_BODY_UNTIL_END, /* of the connection */
    FRAME_CHUNK_SIZE,
    FRAME_CHUNK_EXTENSION,
    FRAME_CHUNK_SIZE_LF,
    FRAME_CHUNK_DATA,
    FRAME_CHUNK_DATA_CR,
    FRAME_CHUNK_DATA_LF,
    FRAME_TRAILERS,
    FRAME_DONE,
    FRAME_FAILED,
};

/* What InfluxDB says with 400 when some line is bad. */
static const char *const influx_faults[] = {"partial write", "unable to parse"};

#define FAULT_COUNT (sizeof(influx_faults) / sizeof(influx_faults[0]))

_Static_assert(sizeof(((struct kwm_reply_frame *)0)->fault_done) == FAULT_COUNT, "one for each");

void kwm_reply_init(struct kwm_reply *reply, enum kwm_dialect dialect, uint16_t line_count,
                    const struct kwm_piece_sink *sink)
{
    KWM_ASSERT(reply != NULL);
    KWM_ASSERT(dialect == KWM_DIALECT_KWDB || dialect == KWM_DIALECT_INFLUX);
    memset(reply, 0, sizeof(*reply));
    reply->dialect = dialect;
    reply->line_count = line_count;
    if (sink != NULL) {
        reply->sink = *sink;
    }
    kwm_reply_json_init(reply);
    kwm_reply_pieces_init(reply);
}

void kwm_reply_desc_clear(struct kwm_reply *reply)
{
    memset(reply->desc, 0, sizeof(reply->desc));
    reply->desc_len = 0;
    reply->is_desc_full = false;
}

void kwm_reply_desc_add(struct kwm_reply *reply, char c)
{
    kwm_reply_keep(reply->desc, KWM_REPLY_DESC_LEN_MAX, &reply->desc_len, &reply->is_desc_full, c);
}

/* Verdict. */

static bool is_complete(const struct kwm_reply *reply)
{
    return reply->frame.state == FRAME_DONE && !reply->is_cut;
}

/* The texts about credentials that KWDB gives, always with 200 and never with `rows`. */
static bool is_auth_text(const char *desc)
{
    static const char *const texts[] = {
        "wrong username or password, please check",
        "can not find Basic attribute, please check",
        "illegal base64 data at input byte",
        "can not find token, need login first",
        "the provided username and password did not match any credentials on the server",
        "the password for user has expired",
        "auth err:",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strncmp(desc, texts[i], strlen(texts[i])) == 0) {
            return true;
        }
    }
    return false;
}

static enum kwm_reply_verdict verdict_kwdb(const struct kwm_reply *reply)
{
    if (!is_complete(reply) || reply->status != 200) {
        return KWM_REPLY_NOT_NOW;
    }
    if (!reply->has_code) { /* as when it is not JSON */
        return reply->line_count == 0 ? KWM_REPLY_STORED : KWM_REPLY_NOT_NOW;
    }
    if (reply->code == 0) {
        return KWM_REPLY_STORED;
    }
    if (!reply->has_rows) {
        return is_auth_text(reply->desc) ? KWM_REPLY_AUTH : KWM_REPLY_NOT_NOW;
    }
    if (reply->line_count == 0) {
        return KWM_REPLY_NOT_NOW;
    }
    if (reply->rows == reply->line_count) {
        return KWM_REPLY_STORED;
    }
    if (reply->line_count == 1 || kwm_reply_pieces_add_up(reply)) {
        return KWM_REPLY_PIECES;
    }
    return KWM_REPLY_UNCLEAR;
}

static enum kwm_reply_verdict verdict_influx(const struct kwm_reply *reply)
{
    switch (reply->status) {
    case 200:
    case 204:
        return is_complete(reply) ? KWM_REPLY_STORED : KWM_REPLY_NOT_NOW;
    case 400:
        if (!is_complete(reply) || !reply->frame.has_fault || reply->line_count == 0) {
            return KWM_REPLY_NOT_NOW;
        }
        return reply->line_count == 1 ? KWM_REPLY_PIECES : KWM_REPLY_UNCLEAR;
    case 401:
        return KWM_REPLY_AUTH;
    case 403:
    case 404:
        return KWM_REPLY_MISTAKE;
    default:
        return KWM_REPLY_NOT_NOW;
    }
}

enum kwm_reply_verdict kwm_reply_verdict(const struct kwm_reply *reply)
{
    KWM_ASSERT(reply != NULL);
    if (reply->status == 413) {
        return KWM_REPLY_TOO_LARGE;
    }
    return reply->dialect == KWM_DIALECT_KWDB ? verdict_kwdb(reply) : verdict_influx(reply);
}

/* Body. */

static void find_fault(struct kwm_reply *reply, char c)
{
    struct kwm_reply_frame *frame = &reply->frame;
    for (size_t i = 0; i < FAULT_COUNT && !frame->has_fault; i++) {
        frame->fault_done[i] = (uint8_t)kwm_reply_match(influx_faults[i], frame->fault_done[i], c);
        frame->has_fault = influx_faults[i][frame->fault_done[i]] == '\0';
    }
}

static void feed_body(struct kwm_reply *reply, const uint8_t *data, size_t len)
{
    reply->body_len += len;
    if (reply->body.put != NULL) {
        reply->body.put(reply->body.ctx, data, len);
    }
    for (size_t i = 0; i < len; i++) {
        if (!reply->json.has_desc) {
            kwm_reply_desc_add(reply, (char)data[i]);
        }
        if (reply->frame.is_json_type) {
            kwm_reply_json_feed(reply, data[i]);
        } else if (reply->dialect == KWM_DIALECT_INFLUX) {
            kwm_reply_pieces_feed(reply, (char)data[i]);
        }
        if (reply->dialect == KWM_DIALECT_INFLUX) {
            find_fault(reply, (char)data[i]);
        }
    }
}

/* The reply is over: work out what holds only now. */
static void finish(struct kwm_reply *reply)
{
    struct kwm_reply_frame *frame = &reply->frame;
    frame->state = FRAME_DONE;
    reply->is_json = frame->is_json_type && kwm_reply_json_is_whole(reply);
    reply->is_cut = frame->is_json_type && kwm_reply_json_is_begun(reply);
    if (!frame->is_json_type) {
        kwm_reply_pieces_end(reply);
    }
    if (!reply->is_json) {
        reply->has_code = false;
        reply->has_rows = false;
        reply->token[0] = '\0';
    } else if (!reply->json.has_desc) {
        kwm_reply_desc_clear(reply);
    }
    if (reply->line_count == 1 && kwm_reply_verdict(reply) == KWM_REPLY_PIECES) {
        kwm_reply_pieces_put_only(reply, reply->dialect == KWM_DIALECT_INFLUX);
    }
}

/* Frame. */

static void fail(struct kwm_reply *reply, int error)
{
    KWM_ASSERT(error < 0);
    reply->frame.state = FRAME_FAILED;
    reply->frame.error = error;
    reply->keep_alive = false;
}

/* One byte of the head or the trailers. @return true when they end with it: a blank line. */
static bool is_blank_line(struct kwm_reply_frame *frame, uint8_t byte)
{
    if (byte == '\n') {
        frame->line_ends++;
    } else if (byte != '\r' || frame->line_ends != 1) {
        frame->line_ends = 0;
    }
    return frame->line_ends == 2;
}

static void begin_body(struct kwm_reply *reply, const struct kwm_reply_head *head)
{
    struct kwm_reply_frame *frame = &reply->frame;
    reply->status = head->status;
    reply->keep_alive = head->keep_alive;
    reply->date_unix_s = head->date_unix_s;
    reply->retry_after_ms = head->retry_after_ms;
    frame->is_json_type = head->is_json;
    frame->left = head->body_len;
    if (head->status == 204 || head->status == 304) { /* RFC 9112 6.3: these have no body */
        finish(reply);
    } else if (head->is_chunked) {
        frame->state = FRAME_CHUNK_SIZE;
    } else if (!head->has_body_len) {
        frame->state = FRAME_BODY_UNTIL_END;
        reply->keep_alive = false;
    } else if (head->body_len == 0) {
        finish(reply);
    } else {
        frame->state = FRAME_BODY;
    }
}

/* A head is complete; one of 1xx only announces the next. */
static void end_head(struct kwm_reply *reply)
{
    struct kwm_reply_frame *frame = &reply->frame;
    struct kwm_reply_head head;
    const int rc = kwm_reply_head_parse(&head, frame->head, frame->head_len);
    frame->head_len = 0;
    frame->line_ends = 0;
    if (rc != KWM_OK) {
        fail(reply, rc);
    } else if (head.status >= 200) {
        begin_body(reply, &head);
    } else if (head.status == 101) { /* nobody asked for another protocol */
        fail(reply, KWM_ERR_PROTO);
    }
}

/* The first bytes are looked at as they come, so that another protocol is refused at once. */
static void feed_head(struct kwm_reply *reply, uint8_t byte)
{
    static const char version[] = "HTTP/1.";
    struct kwm_reply_frame *frame = &reply->frame;
    if (frame->head_len < sizeof(version) - 1 && byte != (uint8_t)version[frame->head_len]) {
        fail(reply, KWM_ERR_PROTO);
        return;
    }
    if (frame->head_len == sizeof(frame->head)) {
        fail(reply, KWM_ERR_NOSPC);
        return;
    }
    frame->head[frame->head_len] = (char)byte;
    frame->head_len++;
    if (is_blank_line(frame, byte)) {
        end_head(reply);
    }
}

/* @return the digit's value, or -1. */
static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

static void feed_chunk_size(struct kwm_reply *reply, uint8_t byte)
{
    struct kwm_reply_frame *frame = &reply->frame;
    const int digit = hex_value(byte);
    if (digit >= 0 && frame->left >> 56 == 0) {
        frame->left = frame->left << 4 | (uint64_t)digit;
        frame->has_digit = true;
    } else if (digit < 0 && frame->has_digit && byte == '\r') {
        frame->state = FRAME_CHUNK_SIZE_LF;
    } else if (digit < 0 && frame->has_digit && (byte == ';' || byte == ' ' || byte == '\t')) {
        frame->state = FRAME_CHUNK_EXTENSION;
    } else {
        fail(reply, KWM_ERR_PROTO);
    }
}

static void expect(struct kwm_reply *reply, bool is_expected, enum frame_state next)
{
    if (is_expected) {
        reply->frame.state = (uint8_t)next;
    } else {
        fail(reply, KWM_ERR_PROTO);
    }
}

/* A byte of the chunked coding that is not data (RFC 9112 7.1). Extensions and trailers are
 * skipped. */
static void feed_chunk_frame(struct kwm_reply *reply, uint8_t byte)
{
    struct kwm_reply_frame *frame = &reply->frame;
    if (frame->line_len == KWM_REPLY_HEAD_LEN_MAX) {
        fail(reply, KWM_ERR_PROTO);
        return;
    }
    frame->line_len++;
    switch (frame->state) {
    case FRAME_CHUNK_SIZE:
        feed_chunk_size(reply, byte);
        break;
    case FRAME_CHUNK_EXTENSION:
        expect(reply, byte != '\n', byte == '\r' ? FRAME_CHUNK_SIZE_LF : FRAME_CHUNK_EXTENSION);
        break;
    case FRAME_CHUNK_SIZE_LF:
        expect(reply, byte == '\n', frame->left > 0 ? FRAME_CHUNK_DATA : FRAME_TRAILERS);
        frame->line_len = 0;
        frame->line_ends = 1;
        break;
    case FRAME_CHUNK_DATA_CR:
        expect(reply, byte == '\r', FRAME_CHUNK_DATA_LF);
        break;
    case FRAME_CHUNK_DATA_LF:
        expect(reply, byte == '\n', FRAME_CHUNK_SIZE);
        frame->line_len = 0;
        frame->has_digit = false;
        break;
    default:
        KWM_ASSERT(frame->state == FRAME_TRAILERS);
        if (is_blank_line(frame, byte)) {
            finish(reply);
        }
        break;
    }
}

/* Body bytes at the front of data. @return how many were taken. */
static size_t feed_data(struct kwm_reply *reply, const uint8_t *data, size_t len)
{
    struct kwm_reply_frame *frame = &reply->frame;
    if (frame->state == FRAME_BODY_UNTIL_END) {
        feed_body(reply, data, len);
        return len;
    }
    const size_t count = frame->left < len ? (size_t)frame->left : len;
    feed_body(reply, data, count);
    frame->left -= count;
    if (frame->left == 0 && frame->state == FRAME_BODY) {
        finish(reply);
    } else if (frame->left == 0) {
        frame->state = FRAME_CHUNK_DATA_CR;
    }
    return count;
}

int kwm_reply_feed(struct kwm_reply *reply, const uint8_t *data, size_t len)
{
    KWM_ASSERT(reply != NULL);
    KWM_ASSERT(data != NULL || len == 0);
    size_t at = 0;
    while (at < len && reply->frame.state != FRAME_DONE && reply->frame.state != FRAME_FAILED) {
        switch (reply->frame.state) {
        case FRAME_HEAD:
            feed_head(reply, data[at]);
            at++;
            break;
        case FRAME_BODY:
        case FRAME_BODY_UNTIL_END:
        case FRAME_CHUNK_DATA:
            at += feed_data(reply, data + at, len - at);
            break;
        default:
            feed_chunk_frame(reply, data[at]);
            at++;
            break;
        }
    }
    if (reply->frame.state == FRAME_FAILED) {
        return reply->frame.error;
    }
    if (at < len) { /* nobody asked for more: what follows cannot be trusted to be ours */
        reply->keep_alive = false;
    }
    return reply->frame.state == FRAME_DONE ? 1 : 0;
}

int kwm_reply_end(struct kwm_reply *reply)
{
    KWM_ASSERT(reply != NULL);
    reply->keep_alive = false;
    if (reply->frame.state == FRAME_BODY_UNTIL_END) {
        finish(reply);
    }
    if (reply->frame.state == FRAME_DONE) {
        return 1;
    }
    reply->is_cut = reply->status != 0;
    reply->has_code = false;
    reply->has_rows = false;
    reply->token[0] = '\0';
    return KWM_ERR_CLOSED;
}
