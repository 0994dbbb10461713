/* SPDX-License-Identifier: MIT */
/**
 * @file mbedtls/tls_net.h
 * @brief TLS client as a hal_net that wraps a hal_net.
 *
 * The server's certificate is always verified: chain up to a configured root, validity (see
 * mbedtls/tls_verify.h for a clock that is not set), host name or IP address. What failed is one
 * sentence in net.detail. SNI is sent for names, not for addresses (RFC 6066, section 3), and ALPN
 * offers http/1.1.
 *
 * Sessions are resumed over reconnects (tickets of TLS 1.2 and 1.3, session IDs): the last one is
 * kept in RAM for the peer it came from. It is not used any more once the trust configuration
 * changed, the peer is another one, the certificate's time is over, or a handshake with it failed.
 *
 * send() takes what it could encrypt: a record that the wrapped net did not take at once waits in
 * the TLS output buffer and goes out with the next send() or recv(). So a caller need not repeat a
 * call with equal arguments, and who has sent all goes on with recv() until the reply is there.
 *
 * A call that returns 0 has had 0 from the wrapped net, which knows what to wait for.
 *
 * Memory:  the caller owns struct tls_net and the wrapped net. Mbed TLS's memory is tls_heap.
 * Context: main loop only. One object at a time is in a call, for all share the library's state.
 * Bounds:  poll() does at most one flight of the handshake: tens of milliseconds on Linux, up to
 *          seconds of computing on a microcontroller without an accelerator.
 */
#ifndef TLS_NET_H
#define TLS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ssl.h>

#include "hal/net.h"
#include "mbedtls/tls_credentials.h"
#include "mbedtls/tls_heap.h"
#include "mbedtls/tls_verify.h"

/** A session with its ticket, and with the server's certificate where the library keeps that. One
 *  that is larger is not kept: each connection is a full handshake then. */
#if defined(MBEDTLS_SSL_KEEP_PEER_CERTIFICATE)
#define TLS_SESSION_LEN_MAX 4096U
#else
#define TLS_SESSION_LEN_MAX 512U
#endif

/** Private: what passed by of the record that is being received. */
struct tls_record {
    uint8_t head[5]; /**< type, version, length */
    size_t head_len;
    size_t body_len; /**< bytes of the body that passed */
    uint8_t alert;   /**< its second byte */
};

enum tls_state {
    TLS_CLOSED,
    TLS_CONNECTING, /**< the wrapped net is */
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_FAILED,
};

/** Fields are private, but for net. */
struct tls_net {
    struct hal_net net;
    struct hal_net *lower;
    struct tls_config config; /**< without the PEM texts */
    struct tls_credentials credentials;
    struct tls_verify verify;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_config ssl_config;
    mbedtls_ssl_context ssl;
    enum tls_state state;
    bool is_seeded;
    bool has_ssl;             /**< ssl is in use */
    bool is_lower_later;      /**< the wrapped net said 0 during the call in hand */
    size_t out_left;          /**< bytes of a record that wait in the TLS output buffer */
    int lower_err;            /**< what the wrapped net failed with */
    uint32_t failures_before; /**< tls_heap_failures() at the connection's begin */
    uint64_t begun_ms;
    struct tls_record record;

    struct hal_net_peer peer;
    uint8_t peer_digest[TLS_DIGEST_LEN]; /**< of credentials and peer */
    bool offers_both;                    /**< the hello offers 1.2 and 1.3 */
    bool has_12_peer;                    /**< the peer of this digest is offered 1.2 alone */
    uint8_t digest_12_peer[TLS_DIGEST_LEN];
    uint8_t session_digest[TLS_DIGEST_LEN];
    size_t session_len; /**< 0 if there is none */
    int64_t session_not_before_s;
    int64_t session_not_after_s;
    uint8_t session[TLS_SESSION_LEN_MAX];
    char text[TLS_TEXT_CAP];
};

/**
 * Ready the object, closed. tls_heap_init() comes first. Calls tls_net_configure().
 * @param lower closed; owned by the object until tls_net_free().
 */
KWM_NODISCARD int tls_net_init(struct tls_net *self, struct hal_net *lower,
                               const struct tls_config *config);

/**
 * Take a new configuration, between connections; sessions stay good unless trust has changed.
 * @return KWM_OK; else the old configuration stays, net.detail has the sentence, and it is
 *         KWM_ERR_INVAL (no root, unreadable PEM, key that does not fit), KWM_ERR_NOSPC (heap),
 *         KWM_ERR_IO (no random numbers, which a client key needs) or KWM_ERR_STATE (not closed).
 */
KWM_NODISCARD int tls_net_configure(struct tls_net *self, const struct tls_config *config);

/** @return roots in use, and how many more certificates in ca_pem could not be read. */
unsigned tls_net_root_count(const struct tls_net *self);
unsigned tls_net_root_skipped(const struct tls_net *self);

/** Close, and give all memory back. */
void tls_net_free(struct tls_net *self);

#endif
