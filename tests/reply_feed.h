/* SPDX-License-Identifier: MIT */
/**
 * @file reply_feed.h
 * @brief Feeds a reply to the reader in cuts of a given size, each flush against a page that cannot
 *        be read, and records what comes out. Used by the tests and the fuzz target of the reader.
 */
#ifndef REPLY_FEED_H
#define REPLY_FEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kwm/reply.h"

#define FEED_LEN_MAX ((size_t)1 << 20)
#define FEED_PIECES_MAX 64U

/** What the sink was given. */
struct feed_piece {
    uint16_t line;
    uint16_t len;
    enum kwm_piece piece;
    uint32_t hash;
    char text[KWM_PIECE_TEXT_LEN_MAX];
};

struct feed_run {
    int rc;     /**< of the last kwm_reply_feed() */
    int end_rc; /**< of kwm_reply_end(), if rc was 0 */
    enum kwm_reply_verdict verdict;
    size_t piece_count; /**< may be above FEED_PIECES_MAX, of which the first are kept */
    struct feed_piece pieces[FEED_PIECES_MAX];
    struct kwm_reply reply;
};

/** The request that the reply belongs to. */
struct feed_request {
    enum kwm_dialect dialect;
    uint16_t line_count;
};

/** Copy to the end of a page; the next one cannot be touched. */
static inline const uint8_t *feed_guard(const void *data, size_t len)
{
    static uint8_t *pages;
    if (pages == NULL) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        pages = mmap(NULL, FEED_LEN_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
        if (pages == MAP_FAILED || mprotect(pages + FEED_LEN_MAX, page, PROT_NONE) != 0) {
            abort();
        }
    }
    if (len > FEED_LEN_MAX) {
        abort();
    }
    if (len > 0) {
        memcpy(pages + FEED_LEN_MAX - len, data, len);
    }
    return pages + FEED_LEN_MAX - len;
}

static inline void feed_record(void *ctx, const struct kwm_piece_info *info)
{
    struct feed_run *run = ctx;
    if (run->piece_count < FEED_PIECES_MAX) {
        struct feed_piece *piece = &run->pieces[run->piece_count];
        piece->line = info->line;
        piece->len = info->len;
        piece->piece = info->piece;
        piece->hash = info->hash;
        memcpy(piece->text, info->text, info->len);
    }
    run->piece_count++;
}

/** Feed the first `first` bytes at once, the rest in cuts of `cut` bytes, then end the connection
 *  if the reply is not complete. The result is good until the next call. */
static inline const struct feed_run *feed_reply(struct feed_request request, const void *text,
                                                size_t len, size_t first, size_t cut)
{
    static struct feed_run run;
    const struct kwm_piece_sink sink = {feed_record, &run};
    memset(&run, 0, sizeof(run));
    kwm_reply_init(&run.reply, request.dialect, request.line_count, &sink);
    size_t at = 0;
    size_t size = first;
    while (at < len && run.rc >= 0) {
        if (size > len - at) {
            size = len - at;
        }
        run.rc = kwm_reply_feed(&run.reply, feed_guard((const char *)text + at, size), size);
        at += size;
        size = cut;
    }
    if (run.rc == 0) {
        run.end_rc = kwm_reply_end(&run.reply);
    }
    run.verdict = kwm_reply_verdict(&run.reply);
    return &run;
}

/** @return true if both runs ended alike, to the last byte of the reader's state. */
static inline bool feed_is_same(const struct feed_run *a, const struct feed_run *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
