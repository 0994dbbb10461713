/* SPDX-License-Identifier: MIT */
/**
 * @file linux/resolver.h
 * @brief Name lookup that never blocks the loop: getaddrinfo() in a thread of its own.
 *
 * Why not c-ares: getaddrinfo() finds what every other program on the machine finds: /etc/hosts,
 * mDNS (.local), systemd-resolved, LDAP, whatever nsswitch.conf names; c-ares knows hosts and DNS
 * alone. And it costs little: 2.3 KB of code against 82 KB (Debian 12's libcares, text; the whole
 * program is to be at most 300 KB), 20 KB of private memory after the first lookup (stack and
 * malloc arena, measured) and 40 to 90 us a lookup for the thread. With musl it links statically as
 * well; with glibc neither way makes NSS static. The price is that a lookup cannot be cancelled:
 * one that hangs (resolv.conf's timeouts are up to 30 s and more) is left behind in its slot and
 * the next one gets a thread of its own, up to LINUX_LOOKUPS_MAX. A thread for each lookup instead
 * of a lasting one: lookups are rare, nothing stays between them, and there is no generation to
 * mistake, for a slot is its thread's.
 *
 * Memory:  the caller owns struct linux_resolver; static storage, for a lookup that hangs uses its
 *          slot until it comes back, be it after the owner gave it up.
 * Context: main loop only; the threads are the module's own.
 * Bounds:  LINUX_LOOKUPS_MAX lookups at once, hung ones included; LINUX_ADDRS_MAX addresses a name.
 */
#ifndef LINUX_RESOLVER_H
#define LINUX_RESOLVER_H

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/net.h"
#include "linux/poll_set.h"

#define LINUX_LOOKUPS_MAX 8U
#define LINUX_ADDRS_MAX 8U

/** IPv4 or IPv6 address with its port. */
union linux_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/** Where a name leads, in the order in which to try: families take turns (RFC 8305, section 4). */
struct linux_addr_list {
    union linux_addr addrs[LINUX_ADDRS_MAX];
    size_t count;
};

/** getaddrinfo() and freeaddrinfo(); tests put others in. */
struct linux_resolver_lookup {
    int (*get)(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **out);
    void (*free)(struct addrinfo *list);
};

enum linux_lookup_state {
    LINUX_LOOKUP_FREE,
    LINUX_LOOKUP_RUNNING,
    LINUX_LOOKUP_DONE,
    LINUX_LOOKUP_LEFT, /**< running, and nobody waits for it any more */
};

/** Private: one lookup and its thread. */
struct linux_lookup {
    struct linux_resolver *resolver;
    enum linux_lookup_state state; /**< under the resolver's mutex, as is what follows */
    int wake_fd;                   /**< becomes readable with DONE; the loop's, gone with LEFT */
    int gai_error;                 /**< EAI_*, 0 for success */
    struct linux_addr_list found;
    char host[HAL_NET_HOST_LEN_MAX + 1U];
    uint16_t port;
};

struct linux_resolver {
    pthread_mutex_t mutex;
    struct linux_resolver_lookup lookup;
    struct linux_poll_set *poll_set;
    struct linux_lookup lookups[LINUX_LOOKUPS_MAX];
};

/** @param poll_set is woken when a lookup is over; stays with the resolver. */
void linux_resolver_init(struct linux_resolver *resolver, struct linux_poll_set *poll_set);

/**
 * Read an address that is written as one ("192.0.2.1", "2001:db8::1", "fe80::1%eth0").
 * @return KWM_OK, or KWM_ERR_NOENT if host is not one.
 */
KWM_NODISCARD int linux_resolver_literal(const char *host, uint16_t port,
                                         struct linux_addr_list *out);

/**
 * Begin to look up host (copied; at most HAL_NET_HOST_LEN_MAX bytes, asserted).
 * @return a lookup's number (0..LINUX_LOOKUPS_MAX - 1), KWM_ERR_NOSPC if all are taken by lookups
 *         that hang, or KWM_ERR_IO if the system lacks a thread or a descriptor.
 */
KWM_NODISCARD int linux_resolver_begin(struct linux_resolver *resolver, const char *host,
                                       uint16_t port);

/**
 * Ask for the result. After anything but 0 the lookup's number is void.
 * @param[out] gai_error EAI_* of a failed lookup, else 0.
 * @return 1 and the addresses (at least one), 0 not yet, KWM_ERR_NOENT no such name, KWM_ERR_IO the
 *         name service did not answer or failed.
 */
KWM_NODISCARD int linux_resolver_poll(struct linux_resolver *resolver, int lookup,
                                      struct linux_addr_list *out, int *gai_error);

/** Lose interest in a lookup; its number is void afterwards. */
void linux_resolver_leave(struct linux_resolver *resolver, int lookup);

/** @return lookups that nobody waits for any more and that have not come back. */
unsigned linux_resolver_hung(struct linux_resolver *resolver);

#endif
