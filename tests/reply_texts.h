/* SPDX-License-Identifier: MIT */
/**
 * @file reply_texts.h
 * @brief KWDB's error texts, each as one piece of `desc`, with what each says of its line.
 */
#ifndef REPLY_TEXTS_H
#define REPLY_TEXTS_H

#include "kwm/reply.h"

static const struct {
    const char *text;
    enum kwm_piece piece;
} reply_texts[] = {
    /* What a server answered to bad lines of every sort. */
    {"pq: could not resolve \"42\" as VARCHAR(64) type (column host);", KWM_PIECE_LINE},
    {"pq: could not resolve \"1.2\" as VARCHAR(64) type (column host);", KWM_PIECE_LINE},
    {"pq: could not resolve \"12\" as VARCHAR(64) type (column host);", KWM_PIECE_LINE},
    {"wrong telegraf insert statement and please check;", KWM_PIECE_LINE},
    {"pq: need to specify all primary tag [host];", KWM_PIECE_MEASUREMENT},
    {"pq: lexical error: unterminated string", KWM_PIECE_LINE},
    {"pq: at or near \"s\": syntax error", KWM_PIECE_LINE},
    {"only support single statement for each telegraf interface and please check;", KWM_PIECE_LINE},
    {"pq: value 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxx' too long for type VARCHAR(64) (column host);",
     KWM_PIECE_LINE},
    {"pq: value 'éééééééééééééééééééééééé"
     "ééééééééé' too long for type VARCHA"
     "R(64) (column host);",
     KWM_PIECE_LINE},
    {"pq: could not resolve \"5\" as INT4 type (column unit);", KWM_PIECE_LINE},
    {"pq: multiple assignments to the same column \"host\";", KWM_PIECE_LINE},
    {"pq: value 'yyyyyyyyyyyyyyyyy' too long for type VARCHAR(16) (column site);", KWM_PIECE_LINE},
    {"pq: could not resolve \"1E-3\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"5.\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"7u\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"nan\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"Inf\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"1.5\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: could not resolve \"true\" as FLOAT8 type (column temp);", KWM_PIECE_LINE},
    {"pq: float \"99999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999\" out of range for type FLOAT8"
     " (column temp);",
     KWM_PIECE_LINE},
    {"pq: float \"99999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999999999999999999999999999999999"
     "9999999999999999999999999999999999999999999999999999999999999999999999"
     "99999999999999999999999999999999999999999\" out of range for type FLOAT"
     "8 (column temp);",
     KWM_PIECE_LINE},
    {"pq: could not resolve \"3.4e38\" as FLOAT4 type (column hum);", KWM_PIECE_LINE},
    {"pq: float \"999999999999999999999999999999999999999\" out of range for t"
     "ype FLOAT4 (column hum);",
     KWM_PIECE_LINE},
    {"pq: could not resolve \"18446744073709551615u\" as INT8 type (column cnt);", KWM_PIECE_LINE},
    {"pq: could not resolve \"7u\" as INT8 type (column cnt);", KWM_PIECE_LINE},
    {"pq: could not resolve \"true\" as INT8 type (column cnt);", KWM_PIECE_LINE},
    {"pq: could not resolve \"2\" as BOOL type (column ok);", KWM_PIECE_LINE},
    {"pq: could not resolve \"x\" as BOOL type (column ok);", KWM_PIECE_LINE},
    {"pq: at or near \",'a','\": syntax error", KWM_PIECE_LINE},
    {"pq: could not resolve \"12\" as VARCHAR(32) type (column msg);", KWM_PIECE_LINE},
    {"pq: column \"Temp\" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: at or near \"-\": syntax error", KWM_PIECE_LINE},
    {"pq: relation \"my.sensor\" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: lexical error: trailing junk after numeric literal at or near \"1t\"", KWM_PIECE_LINE},
    {"pq: multiple assignments to the same column \"temp\";", KWM_PIECE_LINE},
    {"pq: column \"w\" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: at or near \",\": syntax error", KWM_PIECE_LINE},
    {"pq: could not resolve \"1.5\" as TIMESTAMPTZ(3) type (column k_timestamp);", KWM_PIECE_LINE},
    {"pq: at or near \"ts\": syntax error", KWM_PIECE_LINE},
    {"pq: unsupported input type relation \"abc\" (column k_timestamp);", KWM_PIECE_LINE},
    {"pq: column \"a\" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: at or near \"x\": syntax error", KWM_PIECE_LINE},
    /* Others, from its source and from other releases. */
    {"pq: null value in column \"loc\" violates not-null constraint;", KWM_PIECE_MEASUREMENT},
    {"pq: user KWDB does not have INSERT privilege on timeseries table sensor;",
     KWM_PIECE_MEASUREMENT},
    {"pq: value type int doesn't match type varchar of column \"host\";", KWM_PIECE_MEASUREMENT},
    {"pq: relation \"nowhere\" does not exist;", KWM_PIECE_MEASUREMENT},
    {"pq: integer \"32768\" out of range for type INT2 (column small);", KWM_PIECE_LINE},
    {"pq: numeric constant out of int64 range;", KWM_PIECE_LINE},
    {"pq: value \"99999999999999\" out of range for type TIMESTAMPTZ(3);", KWM_PIECE_LINE},
    {"pq: lexical error: invalid UTF-8 byte sequence", KWM_PIECE_LINE},
    {"pq: at or near \"brien\": syntax error;", KWM_PIECE_LINE},
    {"pq: duplicate key value (k_timestamp,host)=(1687898010000,'a') violates unique constraint "
     "\"primary\";",
     KWM_PIECE_DUPLICATE},
    {"pq: insert failed, reason:value out of range for type INT4;", KWM_PIECE_TRANSIENT},
    {"pq: TransactionRetryWithProtoRefreshError: TransactionAbortedError(ABORT_REASON_9): \"sql\" "
     "id=1f2e3d4c key=/Table/53/1/0 rw=true;",
     KWM_PIECE_TRANSIENT},
    {"pq: relation \"sensor\" is being altered. Please wait for success;", KWM_PIECE_TRANSIENT},
    {"pq: query execution canceled;", KWM_PIECE_TRANSIENT},
    {"pq: cannot acquire lease when draining;", KWM_PIECE_TRANSIENT},
    {"pq: node unavailable; try another peer;", KWM_PIECE_TRANSIENT},
    {"pq: failed to send RPC: sending to all 3 replicas failed; last error: r23: closed;",
     KWM_PIECE_TRANSIENT},
    {"pq: something that nobody has seen;", KWM_PIECE_UNKNOWN},
    {"pq: could not resolve the host;", KWM_PIECE_UNKNOWN},
    {"pq: ;", KWM_PIECE_UNKNOWN},
};

#define REPLY_TEXT_COUNT (sizeof(reply_texts) / sizeof(reply_texts[0]))

#endif
