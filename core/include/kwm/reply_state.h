/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/reply_state.h
 * @brief What the reply reader (kwm/reply.h) keeps while it reads. Private to it: the types are
 *        here so that struct kwm_reply has a size, and no one else looks into them.
 */
#ifndef KWM_REPLY_STATE_H
#define KWM_REPLY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define KWM_REPLY_HEAD_LEN_MAX 1024U
#define KWM_REPLY_DEPTH_MAX 32U     /* levels of nested JSON */
#define KWM_REPLY_RULES_MAX 24U     /* rules that classify a piece */
#define KWM_PIECE_TEXT_LEN_MAX 128U /* what is kept of one piece */

/** Head, length and chunks. */
struct kwm_reply_frame {
    uint64_t left;     /* bytes to come of the body or of the chunk */
    int error;         /* what ended the reading, KWM_OK if nothing did */
    uint16_t head_len; /* bytes in head */
    uint16_t line_len; /* bytes of a chunk's size line, or of the trailers */
    uint8_t state;
    uint8_t line_ends; /* where in the blank line that ends the head or the trailers */
    bool is_json_type;
    bool has_digit;        /* of the chunk's size */
    uint8_t fault_done[2]; /* how much of each of the influx dialect's fault texts has matched */
    bool has_fault;        /* one of them was in the body */
    char head[KWM_REPLY_HEAD_LEN_MAX];
};

/** The body as JSON. */
struct kwm_reply_json {
    uint64_t mantissa;
    int32_t scale;
    int32_t exponent;
    uint32_t nesting;    /* bit n: level n is an object */
    const char *literal; /* what is left of true, false or null */
    uint16_t unit;       /* of the \u escape that is being read */
    uint16_t surrogate;  /* the first half of a pair, 0 if none */
    uint8_t state;
    uint8_t number; /* where in a number's grammar */
    uint8_t depth;
    uint8_t field;  /* the last key of the outermost object */
    uint8_t target; /* where the string that is being read goes */
    uint8_t hex_count;
    uint8_t key_len;
    uint8_t token_len;
    uint8_t desc_count; /* how often the key came, saturates at 2 */
    bool has_desc;      /* one of them was a string */
    bool is_negative;
    bool is_exponent_negative;
    bool is_inexact;
    char key[8];
};

/** The pieces of desc. */
struct kwm_reply_pieces {
    uint32_t hash;
    uint32_t len;   /* of this piece, saturates */
    uint32_t count; /* pieces so far, this one included, saturates */
    uint32_t stored_count;
    uint16_t text_len;
    bool is_text_full;
    bool is_broken;        /* some piece was not as it must be for the whole to add up */
    uint8_t begin;         /* with which of the beginnings this piece began */
    uint8_t begin_done[4]; /* how much of each beginning has matched */
    uint8_t rule_done[KWM_REPLY_RULES_MAX]; /* how much of each rule's fragment has */
    uint8_t syntax_done;                    /* how much of `syntax error` at the end has */
    uint8_t wait_done;                      /* how much of `Please wait for ` there */
    char last;                              /* byte of this piece */
    char before;                            /* the last byte outside quotes, 0 at the beginning */
    char quote;                             /* the quote that is open, 0 if none */
    bool is_closing;                        /* the last byte was that quote again */
    bool is_number;
    uint8_t lead_len;
    char lead[32]; /* how the text begins, numbers and quoted parts left aside */
    char text[KWM_PIECE_TEXT_LEN_MAX];
};

#endif
