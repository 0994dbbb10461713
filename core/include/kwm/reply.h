/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/reply.h
 * @brief Reads an HTTP reply as it comes and works out what became of each line.
 *
 * KWDB says 200 to everything; the truth is in the JSON body: `code`, `rows`, and in `desc` one
 * piece for each line, glued together. Nothing of the body is kept but what is listed in struct
 * kwm_reply. The influx dialect's truth is the HTTP status; of its body only the error text
 * matters.
 *
 * Memory:  caller owns the object.   Context: main loop.
 * Bounds:  KWM_REPLY_HEAD_LEN_MAX bytes and KWM_REPLY_HEADERS_MAX fields for the head, as many
 *          bytes for a chunk's size line and for the trailers, KWM_REPLY_DEPTH_MAX levels of JSON;
 *          any length for the body. Work is linear in the input.
 */
#ifndef KWM_REPLY_H
#define KWM_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "kwm/line.h"
#include "kwm/reply_state.h"

#define KWM_REPLY_HEADERS_MAX 32U
#define KWM_REPLY_RETRY_AFTER_MS_MAX 86400000U
#define KWM_REPLY_DESC_LEN_MAX 160U /* what is kept of desc or of a non-JSON body, for messages */

/** What KWDB said of one line (classes of its error texts). */
enum kwm_piece {
    KWM_PIECE_STORED = 1,  /**< success; */
    KWM_PIECE_LINE,        /**< permanent, this line's own making (class L) */
    KWM_PIECE_MEASUREMENT, /**< schema or grants: permanent until somebody changes them (M) */
    KWM_PIECE_DUPLICATE,   /**< `duplicate key value`: stored already if it was in doubt (S) */
    KWM_PIECE_TRANSIENT,   /**< goes away by itself (T) */
    KWM_PIECE_UNKNOWN,     /**< any other text (U) */
};

/** The whole reply in one word. */
enum kwm_reply_verdict {
    KWM_REPLY_STORED,    /**< every line is stored */
    KWM_REPLY_PIECES,    /**< the pieces add up: each line has its own verdict, none needs asking */
    KWM_REPLY_UNCLEAR,   /**< some line is bad and the reply does not say which: halve */
    KWM_REPLY_TOO_LARGE, /**< 413: send fewer lines */
    KWM_REPLY_NOT_NOW,   /**< keep everything, try the same again later, never split */
    KWM_REPLY_AUTH,      /**< as NOT_NOW, but it is the credentials: long backoff, say so */
    KWM_REPLY_MISTAKE,   /**< influx 403 or 404: a configuration mistake, keep everything */
};

struct kwm_piece_info {
    uint16_t line; /**< which line of the request, 0..line_count - 1 */
    enum kwm_piece piece;
    uint32_t hash;    /**< of the text with numbers and quoted parts left aside; 0 for STORED */
    const char *text; /**< the first bytes of it, control characters as spaces; not
                           NUL-terminated; valid during the call only */
    uint16_t len;     /**< 0..KWM_PIECE_TEXT_LEN_MAX */
};

/**
 * Called for each piece, in order, each line at most once. Of a request of several lines they come
 * as they pass, and whether they count is known only at the end: only if the verdict is
 * KWM_REPLY_PIECES. Of a request of one line the one piece comes at the end, and only if it counts.
 */
struct kwm_piece_sink {
    void (*put)(void *ctx, const struct kwm_piece_info *info);
    void *ctx;
};

/** Takes the decoded body as it comes, for who wants more of it than struct kwm_reply keeps. */
struct kwm_body_sink {
    void (*put)(void *ctx, const uint8_t *data, size_t len);
    void *ctx;
};

struct kwm_reply {
    struct kwm_body_sink body; /**< set after kwm_reply_init(); put may be NULL */
    /* Results: status and headers once the head is complete, the rest at the end. */
    uint16_t status;     /**< 0 until known */
    bool is_json;        /**< Content-Type is application/json and the body was one JSON object */
    bool keep_alive;     /**< the connection may be used again once the reply is complete */
    bool has_code;       /**< `code` is a whole number */
    bool has_rows;       /**< `rows` is a whole number, 0 or above */
    bool is_cut;         /**< the body ended before its length, or inside the JSON */
    int32_t code;        /**< saturates */
    uint32_t rows;       /**< saturates */
    int64_t date_unix_s; /**< Date header (RFC 9110 5.6.7, IMF-fixdate); 0 if none or malformed */
    uint32_t retry_after_ms; /**< Retry-After in seconds or as a date after Date; 0 if none; at most
                                  KWM_REPLY_RETRY_AFTER_MS_MAX */
    char token[40]; /**< /restapi/login's, NUL-terminated; "" if none or not 32 hex digits */
    /** Beginning of desc (influx: of `error` or `message`), or of a body that is not JSON; control
     *  characters as spaces. */
    char desc[KWM_REPLY_DESC_LEN_MAX + 1];
    uint64_t body_len; /**< decoded bytes seen */

    /* Private: scanner state. */
    enum kwm_dialect dialect;
    uint16_t line_count;
    struct kwm_piece_sink sink;
    uint16_t desc_len;
    bool is_desc_full;
    struct kwm_reply_frame frame;
    struct kwm_reply_json json;
    struct kwm_reply_pieces pieces;
};

/**
 * Ready the object for one reply.
 * @param line_count lines in the request; 0 for a request that is not a batch (health, login).
 * @param sink       copied; may be NULL.
 */
void kwm_reply_init(struct kwm_reply *reply, enum kwm_dialect dialect, uint16_t line_count,
                    const struct kwm_piece_sink *sink);

/**
 * Take the next bytes, of any cut. Heads of 1xx are skipped.
 * @return 1 when the reply is complete (bytes after it are ignored and clear keep_alive), 0 when
 *         more must come, KWM_ERR_PROTO when this is not HTTP/1.x, a length is impossible
 *         (conflicting, beside chunks, not a number) or the chunks are malformed, KWM_ERR_NOSPC
 *         when the head is over its bounds. An error is final.
 */
KWM_NODISCARD int kwm_reply_feed(struct kwm_reply *reply, const uint8_t *data, size_t len);

/**
 * The connection ended; no call of feed may follow.
 * @return 1 if the reply is complete, by itself or by that (a body up to the end; is_cut is set
 *         even so if its JSON is not whole), else KWM_ERR_CLOSED: then is_cut is set if a head had
 *         come.
 */
KWM_NODISCARD int kwm_reply_end(struct kwm_reply *reply);

/**
 * The verdict; call it once the reply is complete or cut.
 *
 * kwdb:   STORED with 200, JSON and `code` 0, or `rows` equal to the lines sent. With another code
 *         and `rows`: PIECES if `desc` adds up, which a request of one line always does, else
 *         UNCLEAR. AUTH for an authentication text, which comes without `rows`. 413 is TOO_LARGE,
 *         all else NOT_NOW.
 * influx: 200 and 204 are STORED; 400 with `partial write` or `unable to parse` is UNCLEAR, or with
 *         one line PIECES, the piece being KWM_PIECE_LINE; 401 is AUTH, 403 and 404 are MISTAKE,
 *         413 is TOO_LARGE, all else NOT_NOW.
 * No lines (health, login): STORED with 200 and, if the body is JSON with a `code`, that 0; whoever
 *         logs in must also look at `token`. AUTH and the rest as above.
 * A reply that was cut is NOT_NOW, unless its status alone says TOO_LARGE, AUTH or MISTAKE.
 */
enum kwm_reply_verdict kwm_reply_verdict(const struct kwm_reply *reply);

#endif
