/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/uplink.h
 * @brief One HTTP/1.1 exchange at a time over a hal_net: connect, send, read the reply, keep alive.
 *
 * Policy-free: it knows nothing of batches, verdicts and backoff (kwm/delivery.h). It does know
 * what makes an exchange safe: head and body in one stream of full writes, the exact Content-Length
 * or an aborted connection, one deadline over everything, no credential before the time of day is
 * plausible, no empty credential ever, a stale kept-alive connection retried once, the next URL
 * after a failure, and the login for a token where that is configured. Redirects are never
 * followed.
 *
 * Failover: an exchange uses one URL. If it got no complete reply, or a batch's verdict is
 * KWM_REPLY_NOT_NOW, the next exchange takes the next URL. What was the request's own fault, or a
 * reply too large for us, changes nothing. After 10 to 20 minutes (at random, so that a fleet does
 * not return at once) on another URL than the first, the first is tried again.
 *
 * Memory:  the caller owns the object, the net, the out buffer and all texts of the configuration.
 * Context: main loop only.
 * Bounds:  a step makes at most KWM_UPLINK_OPS_MAX calls into the net.
 */
#ifndef KWM_UPLINK_H
#define KWM_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/clock.h"
#include "hal/net.h"
#include "kwm/reply.h"
#include "kwm/schedule.h"
#include "kwm/url.h"

#define KWM_UPLINK_OPS_MAX 8U
#define KWM_ENDPOINTS_MAX 4U
#define KWM_UPLINK_DETAIL_LEN_MAX 239U
#define KWM_UPLINK_TOKEN_LEN 32U

/** The body of a request, made as it is sent. */
struct kwm_body_source {
    /** Begin (again) at the first byte. @return KWM_OK or an error that ends the exchange. */
    int (*rewind)(void *ctx);
    /** Write the next bytes: whole lines, as many as fit. @return bytes (> 0), 0 at the end or if
     *  not one line fits, or an error that ends the exchange with the connection aborted. It is
     *  offered what the head leaves of the out buffer, then the whole of it; and asked once more at
     *  the end, when it must give nothing. */
    int (*read)(void *ctx, uint8_t *out, size_t cap);
    void *ctx;
};

struct kwm_uplink_config {
    struct hal_net *net;
    const struct kwm_endpoint *endpoints; /**< in order of preference */
    uint8_t endpoint_count;               /**< 1..KWM_ENDPOINTS_MAX */
    const char *authorization;            /**< value of the header ("Basic ..."), NULL for none */
    bool use_token; /**< log in at /restapi/login and send the token instead */
    /** Further header lines, each with CR LF; "" for none. Not those that this module writes: Host,
     *  Authorization, Content-Length, ... */
    const char *headers;
    const char *user_agent;
    uint8_t *out; /**< staging for what goes out; replies are received into it, too */
    /** Must hold the head and one byte more, and the longest line with its line feed. */
    size_t out_cap;
    uint32_t timeout_ms;  /**< one attempt, from open to the end of the reply; > 0 */
    uint32_t idle_ms_max; /**< a kept connection older than this is not used again; 0: no limit */
    struct hal_wall_source wall; /**< FLOOR or UNKNOWN: /health is asked before any credential */
    /** Time of a reply's Date header. is_verified: on a connection whose certificate was checked
     *  against a known time; otherwise it is /health's, within the certificate's validity. */
    void (*on_date)(void *ctx, int64_t unix_ms, bool is_verified);
    /** Uniform random bits, for jitter only (when the first URL is tried again). */
    uint32_t (*random)(void *ctx);
    void *ctx;
};

struct kwm_request {
    const char *method;          /**< "POST" or "GET" */
    const char *target;          /**< NULL: the endpoint's own; stays valid until the end */
    uint32_t content_len;        /**< exact; 0 with GET */
    struct kwm_body_source body; /**< unused when content_len is 0 */
    uint16_t line_count;         /**< for the reply's reading */
    struct kwm_piece_sink pieces;
    struct kwm_body_sink reply_body; /**< put may be NULL */
};

enum kwm_uplink_stage {
    KWM_UPLINK_RESOLVE_CONNECT, /**< name lookup, TCP and TLS */
    KWM_UPLINK_HEALTH,          /**< asking for the time */
    KWM_UPLINK_LOGIN,           /**< asking for a token */
    KWM_UPLINK_SEND,
    KWM_UPLINK_RECV,
};

/** How an exchange ended. */
struct kwm_uplink_outcome {
    int err; /**< KWM_OK: reply is complete (any status). Else the reason there is none */
    enum kwm_uplink_stage stage; /**< where it ended */
    bool was_sent; /**< at least one byte of the request's body left: its lines are in doubt */
    /** KWM_ERR_NOSPC, and only then: the net cannot hold the reply; the batch ran all the same. */
    bool is_reply_too_large;
    /** The server does not know the token (any more; the reply is complete). The next exchange logs
     *  in again: wait a jittered time before it. */
    bool was_token_refused;
    uint32_t took_ms; /**< from submit to the end */
    uint8_t endpoint; /**< index of the URL that was used */
    /** Words of the net, the server or this module, never a credential; "" if none. At most
     *  KWM_UPLINK_DETAIL_LEN_MAX bytes, in the uplink's object. */
    const char *detail;
};

enum kwm_uplink_state {
    KWM_UPLINK_IDLE,
    KWM_UPLINK_BUSY,
    KWM_UPLINK_DONE, /**< outcome and reply are valid until the next submit */
};

struct kwm_uplink {
    struct kwm_uplink_config config;
    struct kwm_reply reply;
    struct kwm_uplink_outcome outcome;
    enum kwm_uplink_state state;

    /* Private. */
    struct kwm_request request;
    uint64_t submit_ms;
    uint64_t deadline_ms;
    uint64_t kept_ms;      /* when the kept connection was last used */
    uint64_t return_ms;    /* when the first endpoint is tried again */
    size_t out_len;        /* bytes staged in the out buffer */
    size_t out_off;        /* of which so many are sent */
    size_t head_len;       /* of which so many are the head */
    uint32_t body_len;     /* bytes that the source has given */
    uint8_t phase;         /* what the next step does */
    uint8_t kind;          /* of the request that is on its way: for the time, the token, or ours */
    uint8_t endpoint;      /* that the next exchange uses, or this one does */
    uint8_t open_endpoint; /* that the connection leads to */
    bool is_open;
    bool is_reused; /* the connection is a kept one, and has not given a byte in this exchange */
    bool is_time_known;   /* the time of day was known when the connection was opened */
    bool is_gate_passed;  /* the server's time on this connection is within its certificate's */
    bool is_health_asked; /* in this exchange */
    bool is_all_sent;
    bool is_send_blocked;
    char tokens[KWM_ENDPOINTS_MAX][KWM_UPLINK_TOKEN_LEN + 1]; /* "" where not logged in */
    char detail[KWM_UPLINK_DETAIL_LEN_MAX + 1];
};

/** @return KWM_OK, or KWM_ERR_INVAL if a bound of the configuration is broken: something is
 *  missing, the authorization is none that the endpoints take, further headers are not lines. */
KWM_NODISCARD int kwm_uplink_init(struct kwm_uplink *uplink,
                                  const struct kwm_uplink_config *config);

/** Begin an exchange. @return KWM_OK, KWM_ERR_STATE while one goes on, KWM_ERR_NOSPC if a head does
 *  not fit the out buffer. */
KWM_NODISCARD int kwm_uplink_submit(struct kwm_uplink *uplink, const struct kwm_request *request,
                                    uint64_t now_ms);

/** Do a bounded amount of work. @return when to call again at the latest (boot ms; now_ms: at once;
 *  KWM_TIME_NEVER: nothing to do), if no I/O happens before. */
uint64_t kwm_uplink_step(struct kwm_uplink *uplink, uint64_t now_ms);

/** Give the exchange up (TERM, reload): the connection is closed. The state is IDLE afterwards. */
void kwm_uplink_abort(struct kwm_uplink *uplink);

#endif
