/* SPDX-License-Identifier: MIT */
/**
 * @file conformance_net.h
 * @brief What every hal_net has to do, as one suite over any of them.
 *
 * An implementation hands in a struct conformance_net. Its peer obeys the commands that are listed
 * in tests/support/tls_peer.py; the pattern is there, too.
 */
#ifndef CONFORMANCE_NET_H
#define CONFORMANCE_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/net.h"

#define CONFORMANCE_IDLE_MS 10000U

enum conformance_situation {
    CONFORMANCE_SERVED,  /**< a peer that obeys */
    CONFORMANCE_REFUSED, /**< nobody is there, and that is said at once */
    CONFORMANCE_NO_NAME, /**< the host's name leads nowhere */
    CONFORMANCE_STUCK,   /**< poll() stays 0 for ever */
};

struct conformance_net {
    const char *name;
    struct hal_net *net; /**< closed */
    /** Prepare what the next open() meets. @return the peer to open, or NULL if there is no such
     *  situation for this implementation. */
    const struct hal_net_peer *(*arrange)(void *ctx, enum conformance_situation situation);
    /** Let time pass until something may have happened, at most ms milliseconds. After a 0 of the
     *  net ms is CONFORMANCE_IDLE_MS, and a hook may complain if all of it passes. */
    void (*idle)(void *ctx, unsigned ms);
    uint64_t (*now_ms)(void *ctx);
    void *ctx;
};

/** Run all of it. Fails the cmocka test that calls it, after printing implementation and case. */
void conformance_net_run(const struct conformance_net *subject);

/** Byte i of the pattern. */
uint8_t conformance_pattern(size_t i);

#endif
