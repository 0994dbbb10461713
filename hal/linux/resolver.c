/* SPDX-License-Identifier: MIT */
#include "linux/resolver.h"

#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hal/assert.h"
#include "linux/thread.h"

/** For name service modules: nss-resolve, mdns and ldap put buffers of some 10 K on the stack. */
#define STACK_LEN ((size_t)256 * 1024)

void linux_resolver_init(struct linux_resolver *resolver, struct linux_poll_set *poll_set)
{
    *resolver = (struct linux_resolver){
        .lookup = {.get = getaddrinfo, .free = freeaddrinfo},
        .poll_set = poll_set,
    };
    const int rc = pthread_mutex_init(&resolver->mutex, NULL);
    KWM_ASSERT(rc == 0);
    for (size_t i = 0; i < LINUX_LOOKUPS_MAX; i++) {
        resolver->lookups[i].resolver = resolver;
        resolver->lookups[i].wake_fd = -1;
    }
}

static void lock(struct linux_resolver *resolver)
{
    const int rc = pthread_mutex_lock(&resolver->mutex);
    KWM_ASSERT(rc == 0);
}

static void unlock(struct linux_resolver *resolver)
{
    const int rc = pthread_mutex_unlock(&resolver->mutex);
    KWM_ASSERT(rc == 0);
}

static bool is_usable(const struct addrinfo *info)
{
    return (info->ai_family == AF_INET && info->ai_addrlen == sizeof(struct sockaddr_in)) ||
           (info->ai_family == AF_INET6 && info->ai_addrlen == sizeof(struct sockaddr_in6));
}

static void add(struct linux_addr_list *out, const struct addrinfo *info, uint16_t port)
{
    union linux_addr *addr = &out->addrs[out->count];
    memset(addr, 0, sizeof(*addr));
    memcpy(addr, info->ai_addr, info->ai_addrlen);
    if (info->ai_family == AF_INET) {
        addr->v4.sin_port = htons(port);
    } else {
        addr->v6.sin6_port = htons(port);
    }
    out->count++;
}

/** The next entry of the family (or, with is_same false, not of it) from info on. */
static const struct addrinfo *seek(const struct addrinfo *info, int family, bool is_same)
{
    while (info != NULL && (!is_usable(info) || (info->ai_family == family) != is_same)) {
        info = info->ai_next;
    }
    return info;
}

/** Copy the system's order (RFC 6724), the families taking turns, the first one's first. */
static void interleave(struct linux_addr_list *out, const struct addrinfo *list, uint16_t port)
{
    out->count = 0;
    while (list != NULL && !is_usable(list)) {
        list = list->ai_next;
    }
    if (list == NULL) {
        return;
    }
    const int family = list->ai_family;
    const struct addrinfo *first = list;
    const struct addrinfo *other = seek(list, family, false);
    while (out->count < LINUX_ADDRS_MAX && (first != NULL || other != NULL)) {
        if (first != NULL) {
            add(out, first, port);
            first = seek(first->ai_next, family, true);
        }
        if (other != NULL && out->count < LINUX_ADDRS_MAX) {
            add(out, other, port);
            other = seek(other->ai_next, family, false);
        }
    }
}

int linux_resolver_literal(const char *host, uint16_t port, struct linux_addr_list *out)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        return KWM_ERR_NOENT;
    }
    interleave(out, list, port);
    freeaddrinfo(list);
    return out->count > 0 ? KWM_OK : KWM_ERR_NOENT;
}

static void *run(void *arg)
{
    struct linux_lookup *self = arg;
    struct linux_resolver *resolver = self->resolver;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct linux_addr_list found = {.count = 0};
    /* host and port do not change while the lookup runs, so they are read without the mutex. */
    int gai_error = resolver->lookup.get(self->host, NULL, &hints, &list);
    if (gai_error == 0) {
        interleave(&found, list, self->port);
        resolver->lookup.free(list);
        if (found.count == 0) {
            gai_error = EAI_NONAME;
        }
    }

    lock(resolver);
    if (self->state == LINUX_LOOKUP_LEFT) {
        self->state = LINUX_LOOKUP_FREE;
    } else {
        self->found = found;
        self->gai_error = gai_error;
        self->state = LINUX_LOOKUP_DONE;
        const eventfd_t one = 1;
        /* The counter of a fresh eventfd has room for it. */
        (void)eventfd_write(self->wake_fd, one);
    }
    unlock(resolver);
    return NULL;
}

static int take_slot(struct linux_resolver *resolver)
{
    int found = KWM_ERR_NOSPC;
    lock(resolver);
    for (int i = 0; i < (int)LINUX_LOOKUPS_MAX && found < 0; i++) {
        if (resolver->lookups[i].state == LINUX_LOOKUP_FREE) {
            resolver->lookups[i].state = LINUX_LOOKUP_RUNNING;
            found = i;
        }
    }
    unlock(resolver);
    return found;
}

/** Give up the loop's side of a lookup. */
static void drop_wake(struct linux_resolver *resolver, struct linux_lookup *self)
{
    linux_poll_set_remove(resolver->poll_set, self->wake_fd);
    (void)close(self->wake_fd);
    self->wake_fd = -1;
}

int linux_resolver_begin(struct linux_resolver *resolver, const char *host, uint16_t port)
{
    const size_t host_len = strlen(host);
    KWM_ASSERT(host_len <= HAL_NET_HOST_LEN_MAX);
    const int slot = take_slot(resolver);
    if (slot < 0) {
        return slot;
    }
    struct linux_lookup *self = &resolver->lookups[slot];
    memcpy(self->host, host, host_len + 1);
    self->port = port;
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd >= 0 && linux_thread_start(run, self, STACK_LEN)) {
        return slot;
    }
    if (self->wake_fd >= 0) {
        drop_wake(resolver, self);
    }
    lock(resolver);
    self->state = LINUX_LOOKUP_FREE;
    unlock(resolver);
    return KWM_ERR_IO;
}

static bool is_unknown_name(int gai_error)
{
#ifdef EAI_NODATA /* glibc: the name exists and has no address; musl has one code for both */
    if (gai_error == EAI_NODATA) {
        return true;
    }
#endif
    return gai_error == EAI_NONAME;
}

int linux_resolver_poll(struct linux_resolver *resolver, int lookup, struct linux_addr_list *out,
                        int *gai_error)
{
    KWM_ASSERT(lookup >= 0 && lookup < (int)LINUX_LOOKUPS_MAX);
    struct linux_lookup *self = &resolver->lookups[lookup];
    *gai_error = 0;
    lock(resolver);
    KWM_ASSERT(self->state == LINUX_LOOKUP_RUNNING || self->state == LINUX_LOOKUP_DONE);
    const bool is_done = self->state == LINUX_LOOKUP_DONE;
    if (is_done) {
        *out = self->found;
        *gai_error = self->gai_error;
        drop_wake(resolver, self);
        self->state = LINUX_LOOKUP_FREE;
    }
    unlock(resolver);
    if (!is_done) {
        linux_poll_set_want(resolver->poll_set, self->wake_fd, LINUX_POLL_READ);
        return 0;
    }
    if (*gai_error == 0) {
        return 1;
    }
    return is_unknown_name(*gai_error) ? KWM_ERR_NOENT : KWM_ERR_IO;
}

void linux_resolver_leave(struct linux_resolver *resolver, int lookup)
{
    KWM_ASSERT(lookup >= 0 && lookup < (int)LINUX_LOOKUPS_MAX);
    struct linux_lookup *self = &resolver->lookups[lookup];
    lock(resolver);
    KWM_ASSERT(self->state == LINUX_LOOKUP_RUNNING || self->state == LINUX_LOOKUP_DONE);
    drop_wake(resolver, self);
    self->state = self->state == LINUX_LOOKUP_RUNNING ? LINUX_LOOKUP_LEFT : LINUX_LOOKUP_FREE;
    unlock(resolver);
}

unsigned linux_resolver_hung(struct linux_resolver *resolver)
{
    unsigned count = 0;
    lock(resolver);
    for (size_t i = 0; i < LINUX_LOOKUPS_MAX; i++) {
        count += resolver->lookups[i].state == LINUX_LOOKUP_LEFT ? 1U : 0U;
    }
    unlock(resolver);
    return count;
}
