/* SPDX-License-Identifier: MIT */
/**
 * @file hal/net.h
 * @brief Contract: one client connection, a stream of bytes. TLS is a hal_net that wraps a hal_net.
 *
 * open() begins; poll() goes on until the connection stands; then send() and recv(); close() at
 * any time. Nothing here waits and nothing here has a deadline: the caller owns it.
 *
 * Memory:  the implementation's struct has struct hal_net as its first member; the caller owns it.
 * Context: main loop only.
 * Returns: above 0 progress, 0 "nothing now, call again", below 0 an error, after which only
 *          close() and then open() are allowed. 0 never means that the connection is gone.
 */
#ifndef HAL_NET_H
#define HAL_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"

#define HAL_NET_HOST_LEN_MAX 253U

struct hal_net_peer {
    const char *host; /**< name or address, IPv6 without brackets; stays valid until close() */
    uint16_t port;    /**< 1..65535 */
};

/** What the connection can tell. A wrapper adds to what the wrapped one says. */
struct hal_net_info {
    uint64_t bytes_sent; /**< on the wire of the lowest net, since the object was made */
    uint64_t bytes_recv;
    uint32_t full_handshakes;
    uint32_t resumed_handshakes;
    uint32_t handshake_ms; /**< of the last one */
    bool is_secure;        /**< TLS with a verified peer */
    int64_t not_before_s;  /**< validity of the peer's certificate (the narrowest of its chain), */
    int64_t not_after_s;   /**< unix seconds; 0 if none was seen yet */
};

struct hal_net;

struct hal_net_ops {
    /** @return KWM_OK, KWM_ERR_STATE if open, KWM_ERR_INVAL for an impossible peer. */
    int (*open)(struct hal_net *net, const struct hal_net_peer *peer, uint64_t now_ms);
    /**
     * @return 1 connected (again 1 when called again), 0 not yet, KWM_ERR_NOENT name not found,
     *         KWM_ERR_IO refused or no route, KWM_ERR_VERIFY, KWM_ERR_PROTO (TLS), KWM_ERR_CLOSED.
     */
    int (*poll)(struct hal_net *net, uint64_t now_ms);
    /** @return bytes taken (1..len), 0 later, KWM_ERR_CLOSED or KWM_ERR_IO. */
    int (*send)(struct hal_net *net, const uint8_t *data, size_t len);
    /**
     * @return bytes given (1..cap), 0 later, KWM_ERR_CLOSED after an orderly end, KWM_ERR_IO after
     *         a reset, KWM_ERR_NOSPC if the peer's record is larger than our buffer.
     */
    int (*recv)(struct hal_net *net, uint8_t *data, size_t cap);
    /** Let go of everything, at once. Allowed in any state, also twice. */
    void (*close)(struct hal_net *net);
};

struct hal_net {
    const struct hal_net_ops *ops;
    int32_t platform_error; /**< errno, err_t, MBEDTLS_ERR_*: for logs only; 0 if none */
    const char *detail;     /**< what failed, in words, "" if nothing did; valid until open() */
    struct hal_net_info info;
};

KWM_NODISCARD static inline int hal_net_open(struct hal_net *net, const struct hal_net_peer *peer,
                                             uint64_t now_ms)
{
    return net->ops->open(net, peer, now_ms);
}

KWM_NODISCARD static inline int hal_net_poll(struct hal_net *net, uint64_t now_ms)
{
    return net->ops->poll(net, now_ms);
}

KWM_NODISCARD static inline int hal_net_send(struct hal_net *net, const uint8_t *data, size_t len)
{
    return net->ops->send(net, data, len);
}

KWM_NODISCARD static inline int hal_net_recv(struct hal_net *net, uint8_t *data, size_t cap)
{
    return net->ops->recv(net, data, cap);
}

static inline void hal_net_close(struct hal_net *net)
{
    net->ops->close(net);
}

#endif
