/* SPDX-License-Identifier: MIT */
/*
 * Goal: no reply makes the reader read beyond its end, break its bounds, or end otherwise for being
 * cut in another way; and what it says of lines is consistent.
 * Input: a line of three characters, dialect (k or i), lines of the request ('0' and up) and the
 * size of a cut ('0' and up); then the reply. Each cut lies against a page that cannot be read.
 */
#include "reply_feed.h"

#include "hal/assert.h"

#define HEADER_LEN 4U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the sink was given comes in order, each line once, and within its bounds. */
static void check_pieces(const struct feed_run *run, uint16_t line_count)
{
    uint32_t stored_count = 0;
    KWM_ASSERT(run->piece_count <= line_count);
    for (size_t i = 0; i < run->piece_count && i < FEED_PIECES_MAX; i++) {
        const struct feed_piece *piece = &run->pieces[i];
        KWM_ASSERT(piece->line == i);
        KWM_ASSERT(piece->len <= KWM_PIECE_TEXT_LEN_MAX);
        KWM_ASSERT(piece->piece >= KWM_PIECE_STORED && piece->piece <= KWM_PIECE_UNKNOWN);
        stored_count += piece->piece == KWM_PIECE_STORED ? 1U : 0U;
    }
    if (run->verdict == KWM_REPLY_PIECES) {
        KWM_ASSERT(run->piece_count == line_count);
        KWM_ASSERT(line_count == 1 || line_count > FEED_PIECES_MAX ||
                   stored_count == run->reply.rows);
        KWM_ASSERT(line_count != 1 || stored_count == 0);
    }
}

static void check_reply(const struct feed_run *run, const struct feed_request *request)
{
    const struct kwm_reply *reply = &run->reply;
    const bool is_complete = run->rc == 1 || run->end_rc == 1;
    KWM_ASSERT(run->rc == 0 || run->rc == 1 || run->rc == KWM_ERR_PROTO ||
               run->rc == KWM_ERR_NOSPC);
    KWM_ASSERT(reply->retry_after_ms <= KWM_REPLY_RETRY_AFTER_MS_MAX);
    KWM_ASSERT(reply->date_unix_s >= 0);
    KWM_ASSERT(memchr(reply->desc, '\0', sizeof(reply->desc)) != NULL);
    KWM_ASSERT(strlen(reply->token) == 0 || (strlen(reply->token) == 32 && reply->is_json));
    KWM_ASSERT(is_complete || !reply->keep_alive);
    KWM_ASSERT(is_complete ||
               (run->verdict != KWM_REPLY_STORED && run->verdict != KWM_REPLY_PIECES &&
                run->verdict != KWM_REPLY_UNCLEAR));
    KWM_ASSERT(run->verdict != KWM_REPLY_UNCLEAR || request->line_count > 1);
    KWM_ASSERT(run->verdict != KWM_REPLY_MISTAKE || request->dialect == KWM_DIALECT_INFLUX);
    check_pieces(run, request->line_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct feed_run whole;
    if (size < HEADER_LEN || size > FEED_LEN_MAX) {
        return 0;
    }
    const struct feed_request request = {
        .dialect = data[0] == 'i' ? KWM_DIALECT_INFLUX : KWM_DIALECT_KWDB,
        .line_count = (uint8_t)(data[1] - '0'),
    };
    const size_t cut = 1U + (uint8_t)(data[2] - '0');
    const uint8_t *reply = data + HEADER_LEN;
    const size_t len = size - HEADER_LEN;
    memcpy(&whole, feed_reply(request, reply, len, len, len), sizeof(whole));
    check_reply(&whole, &request);
    KWM_ASSERT(feed_is_same(&whole, feed_reply(request, reply, len, 1, 1)));
    KWM_ASSERT(feed_is_same(&whole, feed_reply(request, reply, len, cut, cut)));
    return 0;
}
