/* SPDX-License-Identifier: MIT */
/**
 * @file hal/err.h
 * @brief The one table of error codes, and the convention of every int that is returned.
 *
 * A function that can fail returns int: above 0 is progress or a length, 0 is "nothing now, call
 * again" or plain success where the comment says so, below 0 is one of these codes. 0 never means
 * that a connection was closed. The values are stable: they appear in logs and tests.
 */
#ifndef HAL_ERR_H
#define HAL_ERR_H

#define KWM_NODISCARD __attribute__((warn_unused_result))

/** X(name, value, text). Add a code only if some caller acts differently on it. */
#define KWM_ERR_TABLE(X)                            \
    X(OK, 0, "success")                             \
    X(INVAL, -1, "invalid argument or value")       \
    X(NOSPC, -2, "no space left in a fixed buffer") \
    X(NOENT, -3, "not found")                       \
    X(IO, -4, "input/output error")                 \
    X(CORRUPT, -5, "stored data is corrupt")        \
    X(TIMEOUT, -6, "deadline passed")               \
    X(CLOSED, -7, "connection closed by the peer")  \
    X(PROTO, -8, "the peer broke the protocol")     \
    X(AUTH, -9, "credentials refused")              \
    X(STATE, -10, "not possible in this state")     \
    X(VERIFY, -11, "the peer's certificate does not verify")

#define KWM_ERR_ENUM(name, value, text) KWM_ERR_##name = (value),
enum kwm_err { KWM_ERR_TABLE(KWM_ERR_ENUM) KWM_ERR_COUNT_ = 12 };
#undef KWM_ERR_ENUM

#define KWM_OK KWM_ERR_OK

#endif
