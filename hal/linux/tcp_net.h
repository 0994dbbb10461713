/* SPDX-License-Identifier: MIT */
/**
 * @file linux/tcp_net.h
 * @brief hal_net over non-blocking TCP, IPv6 and IPv4.
 *
 * A name may lead to several addresses. They are tried as RFC 8305 says: families take turns, a new
 * attempt every 250 ms or as soon as the one before has failed, the first to connect is kept and
 * the others are closed.
 *
 * A call that returns 0 has told the poll set what it waits for.
 *
 * Memory:  the caller owns struct linux_tcp_net, poll set and resolver.
 * Context: main loop only.
 * Bounds:  LINUX_ADDRS_MAX attempts at once; a call makes one system call, poll() up to three for
 *          each attempt.
 */
#ifndef LINUX_TCP_NET_H
#define LINUX_TCP_NET_H

#include <stddef.h>
#include <stdint.h>

#include "hal/net.h"
#include "linux/poll_set.h"
#include "linux/resolver.h"

enum linux_tcp_state {
    LINUX_TCP_CLOSED,
    LINUX_TCP_RESOLVING,
    LINUX_TCP_CONNECTING,
    LINUX_TCP_OPEN,
    LINUX_TCP_FAILED,
};

/** Fields are private, but for net. */
struct linux_tcp_net {
    struct hal_net net;
    struct linux_poll_set *poll_set;
    struct linux_resolver *resolver;
    enum linux_tcp_state state;
    struct hal_net_peer peer;
    int lookup;
    struct linux_addr_list list;
    size_t attempt_count;     /**< addresses begun; they lead list */
    int fds[LINUX_ADDRS_MAX]; /**< of each attempt, -1 if over */
    uint64_t next_attempt_ms; /**< boot clock */
    int fd;                   /**< the connection, -1 if none */
    int last_error;           /**< errno of the newest failed attempt */
    size_t last_error_attempt;
    char text[HAL_NET_HOST_LEN_MAX + 160U];
};

/** Ready the object, closed. */
void linux_tcp_net_init(struct linux_tcp_net *self, struct linux_poll_set *poll_set,
                        struct linux_resolver *resolver);

#endif
