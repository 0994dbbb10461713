/* SPDX-License-Identifier: MIT */
/* What KWDB said of each line. `desc` is one piece for each line, one behind the other; a piece
 * begins at one of four beginnings and ends where the next one begins. Its text may hold a `;`, and
 * one kind has no end mark at all, so nothing can be split on `;`. That a value cannot hold a
 * beginning is the encoder's doing: no `;` and no space leaves in a value. If text from elsewhere
 * does hold one, there is a piece too many, and `success;` comes more often than `rows` says: the
 * whole does not add up. */
#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"
#include "reply_internal.h"

enum piece_begin { BEGIN_SUCCESS, BEGIN_WRONG, BEGIN_SINGLE, BEGIN_PQ, BEGIN_COUNT, BEGIN_NONE };

#define SUCCESS_LEN 8U

/* No two begin with the same letter and none holds another: only one can be found at a time. */
static const char *const beginnings[] = {
    [BEGIN_SUCCESS] = "success;",
    [BEGIN_WRONG] = "wrong telegraf insert statement and please check;",
    [BEGIN_SINGLE] = "only support single statement for each telegraf interface and please check;",
    [BEGIN_PQ] = "pq: ",
};

/* Of a table that is being altered KWDB says `... Please wait for success;`: no beginning. */
static const char wait_for[] = "Please wait for ";
static const char syntax_error[] = "syntax error";
static const char lexical_error[] = "lexical error: ";

/* KWDB's error texts, as they read behind `pq: ` with quoted parts as " and numbers as #. The first
 * rule that fits decides, and the harmless reading comes first: only KWM_PIECE_LINE sets a line
 * aside. */
static const struct {
    const char *lead;     /* the text begins so; "" for any */
    const char *fragment; /* and holds this; "" for nothing more */
    enum kwm_piece piece;
} rules[] = {
    {"", "insert failed, reason:", KWM_PIECE_TRANSIENT},
    {"", "TransactionRetryWithProtoRefreshError", KWM_PIECE_TRANSIENT},
    {"", "Please wait for success", KWM_PIECE_TRANSIENT},
    {"", "query execution canceled", KWM_PIECE_TRANSIENT},
    {"", "cannot acquire lease when draining", KWM_PIECE_TRANSIENT},
    {"", "node unavailable", KWM_PIECE_TRANSIENT},
    {"", "failed to send RPC", KWM_PIECE_TRANSIENT},
    {"duplicate key value", "", KWM_PIECE_DUPLICATE},
    {"relation \"", "does not exist", KWM_PIECE_MEASUREMENT},
    {"column \"", "does not exist", KWM_PIECE_MEASUREMENT},
    {"database \"", "does not exist", KWM_PIECE_MEASUREMENT},
    {"need to specify all primary tag", "", KWM_PIECE_MEASUREMENT},
    {"null value in column ", "violates not-null constraint", KWM_PIECE_MEASUREMENT},
    {"user ", "does not have INSERT privilege on", KWM_PIECE_MEASUREMENT},
    {"value type ", "doesn't match type", KWM_PIECE_MEASUREMENT},
    {"could not resolve \"", "type (column ", KWM_PIECE_LINE},
    {"value \"", "too long for type", KWM_PIECE_LINE},
    {"", "out of range for type ", KWM_PIECE_LINE},
    {"", "numeric constant out of int64 range", KWM_PIECE_LINE},
    {"at or near ", "syntax error", KWM_PIECE_LINE},
    {lexical_error, "", KWM_PIECE_LINE},
    {"", "unsupported input type", KWM_PIECE_LINE},
    {"", "multiple assignments to the same column", KWM_PIECE_LINE},
};

#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

_Static_assert(RULE_COUNT <= KWM_REPLY_RULES_MAX, "raise KWM_REPLY_RULES_MAX");
_Static_assert(sizeof(((struct kwm_reply_pieces *)0)->begin_done) == BEGIN_COUNT, "one for each");

size_t kwm_reply_match(const char *pattern, size_t done, char c)
{
    KWM_ASSERT(pattern[done] != '\0');
    if (pattern[done] == c) {
        return done + 1;
    }
    for (size_t rest = done; rest > 0; rest--) { /* a shorter beginning in what had matched? */
        const size_t kept = rest - 1;
        if (pattern[kept] == c && memcmp(pattern, pattern + done - kept, kept) == 0) {
            return kept + 1;
        }
    }
    return 0;
}

void kwm_reply_keep(char *out, size_t cap, uint16_t *len, bool *is_full, char c)
{
    const uint8_t byte = (uint8_t)c;
    const size_t need = byte >= 0xF0U ? 4U : byte >= 0xE0U ? 3U : byte >= 0xC0U ? 2U : 1U;
    *is_full = *is_full || *len + need > cap;
    if (!*is_full) {
        out[*len] = byte < 0x20U || byte == 0x7FU ? ' ' : c;
        (*len)++;
    }
}

static bool is_one_piece(const struct kwm_reply *reply)
{
    return reply->line_count <= 1 || reply->dialect != KWM_DIALECT_KWDB;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_one_of(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* One piece's text. */

/* A byte of the text with quoted parts and numbers left aside. */
static void put_plain(struct kwm_reply_pieces *pieces, char c)
{
    pieces->hash = kwm_hash(pieces->hash, &c, 1);
    if (pieces->lead_len < sizeof(pieces->lead)) {
        pieces->lead[pieces->lead_len] = c;
        pieces->lead_len++;
    }
    for (size_t i = 0; i < RULE_COUNT; i++) {
        const char *fragment = rules[i].fragment;
        if (fragment[pieces->rule_done[i]] != '\0') {
            pieces->rule_done[i] = (uint8_t)kwm_reply_match(fragment, pieces->rule_done[i], c);
        }
    }
}

/* A quoted part begins behind a blank or a bracket and ends before a blank, a bracket or a stop, so
 * that an apostrophe in a word or a quote inside a value is none.
 * @return true if c belongs to it. */
static bool step_quote(struct kwm_reply_pieces *pieces, char c)
{
    if (pieces->quote != '\0') {
        if (pieces->is_closing && is_one_of(" ;:,)]", c)) {
            pieces->before = pieces->quote;
            pieces->quote = '\0';
            return false;
        }
        pieces->is_closing = c == pieces->quote;
        return true;
    }
    if ((c == '"' || c == '\'') && (pieces->before == '\0' || is_one_of(" ([,=", pieces->before))) {
        pieces->quote = c;
        pieces->is_closing = false;
        pieces->is_number = false;
        put_plain(pieces, '"');
        return true;
    }
    return false;
}

/* @return true if c is a part of a number, or of a word that begins with a digit. */
static bool step_number(struct kwm_reply_pieces *pieces, char c)
{
    if (pieces->is_number) {
        pieces->is_number = is_word(c) || c == '.';
        return pieces->is_number;
    }
    if (c >= '0' && c <= '9' && !is_word(pieces->before)) {
        pieces->is_number = true;
        put_plain(pieces, '#');
        return true;
    }
    return false;
}

static void put_text(struct kwm_reply_pieces *pieces, char c)
{
    if (step_quote(pieces, c)) {
        return;
    }
    if (!step_number(pieces, c)) {
        put_plain(pieces, c);
    }
    pieces->before = c;
}

/* How much of the pattern does the text end in? No beginning of these patterns is an ending too. */
static void step_ending(uint8_t *done, const char *pattern, char c)
{
    *done = (uint8_t)kwm_reply_match(pattern, pattern[*done] == '\0' ? 0 : *done, c);
}

/* A byte of the piece as it came. */
static void put_raw(struct kwm_reply_pieces *pieces, char c)
{
    kwm_reply_keep(pieces->text, sizeof(pieces->text), &pieces->text_len, &pieces->is_text_full, c);
    if (pieces->len < UINT32_MAX) {
        pieces->len++;
    }
    step_ending(&pieces->syntax_done, syntax_error, c);
    step_ending(&pieces->wait_done, wait_for, c);
    pieces->last = c;
}

static bool has_lead(const struct kwm_reply_pieces *pieces, const char *lead)
{
    const size_t len = strlen(lead);
    KWM_ASSERT(len <= sizeof(pieces->lead));
    return len <= pieces->lead_len && memcmp(pieces->lead, lead, len) == 0;
}

static bool is_stored(const struct kwm_reply_pieces *pieces)
{
    return pieces->begin == BEGIN_SUCCESS && pieces->len == SUCCESS_LEN;
}

/* Is it as a piece must be, so that nothing else can hide in it? */
static bool is_sound(const struct kwm_reply_pieces *pieces)
{
    if (pieces->begin == BEGIN_SUCCESS) {
        return is_stored(pieces);
    }
    if (pieces->last == ';') {
        return true;
    }
    return pieces->begin == BEGIN_PQ &&
           (syntax_error[pieces->syntax_done] == '\0' || has_lead(pieces, lexical_error));
}

static enum kwm_piece classify(const struct kwm_reply_pieces *pieces)
{
    if (pieces->begin == BEGIN_WRONG || pieces->begin == BEGIN_SINGLE) {
        return KWM_PIECE_LINE;
    }
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (has_lead(pieces, rules[i].lead) && rules[i].fragment[pieces->rule_done[i]] == '\0') {
            return rules[i].piece;
        }
    }
    return KWM_PIECE_UNKNOWN;
}

/* One after the other. */

static void put_piece(const struct kwm_reply *reply, uint16_t line, enum kwm_piece piece)
{
    const struct kwm_reply_pieces *pieces = &reply->pieces;
    const struct kwm_piece_info info = {
        .line = line,
        .piece = piece,
        .hash = piece == KWM_PIECE_STORED ? 0 : pieces->hash,
        .text = pieces->text,
        .len = pieces->text_len,
    };
    if (reply->sink.put != NULL) {
        reply->sink.put(reply->sink.ctx, &info);
    }
}

static void end_piece(struct kwm_reply *reply)
{
    struct kwm_reply_pieces *pieces = &reply->pieces;
    if (pieces->begin == BEGIN_NONE || is_one_piece(reply)) {
        return;
    }
    const bool is_good = is_stored(pieces);
    pieces->is_broken = pieces->is_broken || !is_sound(pieces);
    pieces->stored_count += is_good ? 1U : 0U;
    if (pieces->count <= reply->line_count && reply->json.desc_count == 1) {
        put_piece(reply, (uint16_t)(pieces->count - 1U),
                  is_good ? KWM_PIECE_STORED : classify(pieces));
    }
}

static void clear_piece(struct kwm_reply_pieces *pieces)
{
    pieces->hash = KWM_HASH_INIT;
    pieces->len = 0;
    pieces->text_len = 0;
    pieces->is_text_full = false;
    memset(pieces->rule_done, 0, sizeof(pieces->rule_done));
    pieces->syntax_done = 0;
    pieces->wait_done = 0;
    pieces->last = '\0';
    pieces->before = '\0';
    pieces->quote = '\0';
    pieces->is_number = false;
    pieces->lead_len = 0;
}

static void begin_piece(struct kwm_reply *reply, uint8_t begin)
{
    struct kwm_reply_pieces *pieces = &reply->pieces;
    end_piece(reply);
    clear_piece(pieces);
    pieces->begin = begin;
    pieces->count += pieces->count < UINT32_MAX ? 1U : 0U;
    if (begin == BEGIN_SUCCESS) { /* nearly all are this: no rule needs to look at it */
        pieces->len = SUCCESS_LEN;
        pieces->text_len = SUCCESS_LEN;
        pieces->last = ';';
        memcpy(pieces->text, beginnings[BEGIN_SUCCESS], SUCCESS_LEN);
        return;
    }
    for (const char *c = beginnings[begin]; *c != '\0'; c++) {
        put_raw(pieces, *c);
        if (begin != BEGIN_PQ) {
            put_text(pieces, *c);
        }
    }
}

/* A byte that is not part of a beginning: the current piece's, if there is one. */
static void release(struct kwm_reply *reply, char c)
{
    struct kwm_reply_pieces *pieces = &reply->pieces;
    if (pieces->begin == BEGIN_NONE && !is_one_piece(reply)) {
        pieces->is_broken = true; /* something comes before the first piece */
        return;
    }
    put_raw(pieces, c);
    put_text(pieces, c);
}

/* @return the beginning of which most has matched. */
static uint8_t farthest(const struct kwm_reply_pieces *pieces)
{
    uint8_t best = 0;
    for (uint8_t i = 1; i < BEGIN_COUNT; i++) {
        if (pieces->begin_done[i] > pieces->begin_done[best]) {
            best = i;
        }
    }
    return best;
}

static void release_held(struct kwm_reply *reply, const char *held, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        release(reply, held[i]);
    }
}

void kwm_reply_pieces_init(struct kwm_reply *reply)
{
    struct kwm_reply_pieces *pieces = &reply->pieces;
    memset(pieces, 0, sizeof(*pieces));
    pieces->begin = BEGIN_NONE;
    clear_piece(pieces);
}

/* The way of nearly every byte: the next one of `success;`, but for its last. @return whether it
 *  is. */
static bool step_success(struct kwm_reply_pieces *pieces, char c)
{
    uint8_t *done = &pieces->begin_done[BEGIN_SUCCESS];
    const unsigned others = pieces->begin_done[BEGIN_WRONG] | pieces->begin_done[BEGIN_SINGLE] |
                            pieces->begin_done[BEGIN_PQ];
    const bool is_next =
        others == 0 && *done + 1U < SUCCESS_LEN && beginnings[BEGIN_SUCCESS][*done] == c;
    *done = (uint8_t)(*done + (is_next ? 1U : 0U));
    return is_next;
}

/* What may be the first bytes of a beginning is held back until that is known. What is held is
 * always the first bytes of the beginning that has matched farthest, so no copy of it is needed. */
void kwm_reply_pieces_feed(struct kwm_reply *reply, char c)
{
    struct kwm_reply_pieces *pieces = &reply->pieces;
    if (step_success(pieces, c)) {
        return;
    }
    const uint8_t old = farthest(pieces);
    const size_t held = pieces->begin_done[old];
    for (size_t i = 0; i < BEGIN_COUNT; i++) {
        pieces->begin_done[i] = (uint8_t)kwm_reply_match(beginnings[i], pieces->begin_done[i], c);
    }
    const uint8_t now = farthest(pieces);
    const size_t kept = pieces->begin_done[now];
    release_held(reply, beginnings[old], kept == 0 ? held : held + 1 - kept);
    if (kept == 0) {
        release(reply, c);
    }
    if (beginnings[now][kept] != '\0') {
        return;
    }
    memset(pieces->begin_done, 0, sizeof(pieces->begin_done));
    const bool is_waiting = now == BEGIN_SUCCESS && wait_for[pieces->wait_done] == '\0';
    if (is_waiting || (is_one_piece(reply) && pieces->len > 0)) {
        release_held(reply, beginnings[now], kept);
    } else {
        begin_piece(reply, now);
    }
}

void kwm_reply_pieces_end(struct kwm_reply *reply)
{
    struct kwm_reply_pieces *pieces = &reply->pieces;
    const uint8_t last = farthest(pieces);
    const size_t held = pieces->begin_done[last];
    memset(pieces->begin_done, 0, sizeof(pieces->begin_done));
    release_held(reply, beginnings[last], held);
    end_piece(reply);
}

bool kwm_reply_pieces_add_up(const struct kwm_reply *reply)
{
    const struct kwm_reply_pieces *pieces = &reply->pieces;
    return reply->json.desc_count == 1 && !pieces->is_broken &&
           pieces->count == reply->line_count && pieces->stored_count == reply->rows;
}

void kwm_reply_pieces_put_only(const struct kwm_reply *reply, bool is_refused)
{
    put_piece(reply, 0, is_refused ? KWM_PIECE_LINE : classify(&reply->pieces));
}
