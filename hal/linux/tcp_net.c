/* SPDX-License-Identifier: MIT */
#include "linux/tcp_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hal/assert.h"

/** RFC 8305, section 5: the "Connection Attempt Delay". */
#define ATTEMPT_DELAY_MS 250U

/* Keep-alive finds a peer that vanished and keeps a NAT's entry: after a minute of silence, then
 * four more tries 15 s apart. */
#define KEEP_IDLE_S 60
#define KEEP_INTERVAL_S 15
#define KEEP_COUNT 4

static struct linux_tcp_net *self_of(struct hal_net *net)
{
    return (struct linux_tcp_net *)(void *)net;
}

static void close_fd(struct linux_tcp_net *self, int *fd)
{
    if (*fd >= 0) {
        linux_poll_set_remove(self->poll_set, *fd);
        (void)close(*fd);
        *fd = -1;
    }
}

/** Let go of sockets and lookup. */
static void release(struct linux_tcp_net *self)
{
    if (self->state == LINUX_TCP_RESOLVING) {
        linux_resolver_leave(self->resolver, self->lookup);
    }
    for (size_t i = 0; i < self->attempt_count; i++) {
        close_fd(self, &self->fds[i]);
    }
    self->attempt_count = 0;
    close_fd(self, &self->fd);
}

/** The connection is over: err, with the words that are in text. */
static int fail(struct linux_tcp_net *self, int err, int platform_error)
{
    release(self);
    self->state = LINUX_TCP_FAILED;
    self->net.platform_error = platform_error;
    self->net.detail = self->text;
    return err;
}

static int fail_lookup(struct linux_tcp_net *self, int err, int gai_error)
{
    const char *host = self->peer.host;
    if (err == KWM_ERR_NOENT) {
        (void)snprintf(self->text, sizeof(self->text), "no address is known for the name %s", host);
    } else if (err == KWM_ERR_NOSPC) {
        (void)snprintf(self->text, sizeof(self->text),
                       "%u name lookups hang, the one of %s has to wait for them",
                       linux_resolver_hung(self->resolver), host);
        err = KWM_ERR_IO;
    } else if (gai_error != 0) {
        (void)snprintf(self->text, sizeof(self->text), "lookup of the name %s failed: %s", host,
                       gai_strerror(gai_error));
    } else {
        (void)snprintf(self->text, sizeof(self->text),
                       "lookup of the name %s failed: no thread to be had", host);
    }
    return fail(self, err, gai_error);
}

/** Write an address with its port as people write it. */
static void write_addr(const union linux_addr *addr, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (addr->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &addr->v4.sin_addr, host, sizeof(host));
        (void)snprintf(out, cap, "%s:%u", host, (unsigned)ntohs(addr->v4.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &addr->v6.sin6_addr, host, sizeof(host));
        (void)snprintf(out, cap, "[%s]:%u", host, (unsigned)ntohs(addr->v6.sin6_port));
    }
}

static int fail_connect(struct linux_tcp_net *self)
{
    char addr[INET6_ADDRSTRLEN + 16];
    write_addr(&self->list.addrs[self->last_error_attempt], addr, sizeof(addr));
    if (self->list.count == 1) {
        (void)snprintf(self->text, sizeof(self->text), "no connection to %s: %s", addr,
                       strerror(self->last_error));
    } else {
        (void)snprintf(self->text, sizeof(self->text),
                       "no connection to any of the %zu addresses of %s; the last, %s: %s",
                       self->list.count, self->peer.host, addr, strerror(self->last_error));
    }
    return fail(self, KWM_ERR_IO, self->last_error);
}

static void fail_attempt(struct linux_tcp_net *self, size_t attempt, int error)
{
    close_fd(self, &self->fds[attempt]);
    self->last_error = error;
    self->last_error_attempt = attempt;
}

static void set_option(int fd, int level, int name, int value)
{
    /* They only make it better: a kernel that lacks one still connects. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/** Begin to connect to the next address. */
static void begin_attempt(struct linux_tcp_net *self, uint64_t now_ms)
{
    KWM_ASSERT(self->attempt_count < self->list.count);
    const size_t attempt = self->attempt_count;
    const union linux_addr *addr = &self->list.addrs[attempt];
    self->attempt_count++;
    self->next_attempt_ms = now_ms + ATTEMPT_DELAY_MS;

    const int fd =
        socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    self->fds[attempt] = fd;
    if (fd < 0) {
        fail_attempt(self, attempt, errno);
        return;
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
    const socklen_t len =
        addr->any.sa_family == AF_INET ? (socklen_t)sizeof(addr->v4) : (socklen_t)sizeof(addr->v6);
    if (connect(fd, &addr->any, len) != 0 && errno != EINPROGRESS) {
        fail_attempt(self, attempt, errno);
    }
}

/** @return 1 connected, 0 not yet, or KWM_ERR_IO with the attempt ended. */
static int check_attempt(struct linux_tcp_net *self, size_t attempt)
{
    struct pollfd ready = {.fd = self->fds[attempt], .events = POLLOUT};
    const int count = poll(&ready, 1, 0);
    if (count == 0 || (count < 0 && errno == EINTR)) {
        return 0;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    if (count < 0 || getsockopt(ready.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        fail_attempt(self, attempt, error);
        return KWM_ERR_IO;
    }
    return 1;
}

/** Look at all attempts. @param[out] running how many go on. @return true if one connected. */
static bool check_attempts(struct linux_tcp_net *self, size_t *running)
{
    *running = 0;
    for (size_t i = 0; i < self->attempt_count; i++) {
        if (self->fds[i] < 0) {
            continue;
        }
        const int rc = check_attempt(self, i);
        if (rc > 0) {
            self->fd = self->fds[i];
            self->fds[i] = -1;
            return true;
        }
        *running += rc == 0 ? 1U : 0U;
    }
    return false;
}

static int poll_connecting(struct linux_tcp_net *self, uint64_t now_ms)
{
    size_t running = 0;
    for (;;) { /* each turn but the last begins one of the addresses */
        if (check_attempts(self, &running)) {
            for (size_t i = 0; i < self->attempt_count; i++) {
                close_fd(self, &self->fds[i]);
            }
            self->state = LINUX_TCP_OPEN;
            return 1;
        }
        const bool is_left = self->attempt_count < self->list.count;
        if (running == 0 && !is_left) {
            return fail_connect(self);
        }
        if (!is_left || (running > 0 && now_ms < self->next_attempt_ms)) {
            break;
        }
        begin_attempt(self, now_ms);
    }
    for (size_t i = 0; i < self->attempt_count; i++) {
        if (self->fds[i] >= 0) {
            linux_poll_set_want(self->poll_set, self->fds[i], LINUX_POLL_WRITE);
        }
    }
    if (self->attempt_count < self->list.count) {
        linux_poll_set_wake_in(self->poll_set, (int)(self->next_attempt_ms - now_ms));
    }
    return 0;
}

static int poll_resolving(struct linux_tcp_net *self, uint64_t now_ms)
{
    int gai_error = 0;
    const int rc = linux_resolver_poll(self->resolver, self->lookup, &self->list, &gai_error);
    if (rc == 0) {
        return 0;
    }
    self->state = LINUX_TCP_CONNECTING;
    return rc > 0 ? poll_connecting(self, now_ms) : fail_lookup(self, rc, gai_error);
}

static int tcp_open(struct hal_net *net, const struct hal_net_peer *peer, uint64_t now_ms)
{
    struct linux_tcp_net *self = self_of(net);
    (void)now_ms;
    if (self->state != LINUX_TCP_CLOSED) {
        return KWM_ERR_STATE;
    }
    if (peer->host == NULL || peer->host[0] == '\0' || peer->port == 0 ||
        strlen(peer->host) > HAL_NET_HOST_LEN_MAX) {
        return KWM_ERR_INVAL;
    }
    net->platform_error = 0;
    net->detail = "";
    self->peer = *peer;
    self->lookup = 0;
    self->list.count = 0;
    if (linux_resolver_literal(peer->host, peer->port, &self->list) == KWM_OK) {
        self->state = LINUX_TCP_CONNECTING;
        return KWM_OK;
    }
    /* Out of lookups is said by poll(), which has a code for it. */
    self->lookup = linux_resolver_begin(self->resolver, peer->host, peer->port);
    self->state = self->lookup >= 0 ? LINUX_TCP_RESOLVING : LINUX_TCP_CONNECTING;
    return KWM_OK;
}

static int tcp_poll(struct hal_net *net, uint64_t now_ms)
{
    struct linux_tcp_net *self = self_of(net);
    switch (self->state) {
    case LINUX_TCP_RESOLVING:
        return poll_resolving(self, now_ms);
    case LINUX_TCP_CONNECTING:
        return self->lookup < 0 && self->list.count == 0 ? fail_lookup(self, self->lookup, 0)
                                                         : poll_connecting(self, now_ms);
    case LINUX_TCP_OPEN:
        return 1;
    case LINUX_TCP_CLOSED:
    case LINUX_TCP_FAILED:
    default:
        return KWM_ERR_STATE;
    }
}

/** A system call on the open connection failed with error. */
static int fail_open(struct linux_tcp_net *self, const char *verb, int error)
{
    (void)snprintf(self->text, sizeof(self->text), "connection to %s lost while %s: %s",
                   self->peer.host, verb, strerror(error));
    return fail(self, error == EPIPE ? KWM_ERR_CLOSED : KWM_ERR_IO, error);
}

static bool is_later(int error)
{
    return error == EAGAIN || error == EINTR;
}

static int tcp_send(struct hal_net *net, const uint8_t *data, size_t len)
{
    struct linux_tcp_net *self = self_of(net);
    if (self->state != LINUX_TCP_OPEN) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(len > 0 && len <= INT_MAX);
    const ssize_t sent = send(self->fd, data, len, MSG_NOSIGNAL);
    if (sent > 0) {
        net->info.bytes_sent += (uint64_t)sent;
        return (int)sent;
    }
    if (sent == 0 || is_later(errno)) {
        linux_poll_set_want(self->poll_set, self->fd, LINUX_POLL_WRITE);
        return 0;
    }
    return fail_open(self, "sending", errno);
}

static int tcp_recv(struct hal_net *net, uint8_t *data, size_t cap)
{
    struct linux_tcp_net *self = self_of(net);
    if (self->state != LINUX_TCP_OPEN) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(cap > 0 && cap <= INT_MAX);
    const ssize_t got = recv(self->fd, data, cap, 0);
    if (got > 0) {
        net->info.bytes_recv += (uint64_t)got;
        return (int)got;
    }
    if (got == 0) {
        (void)snprintf(self->text, sizeof(self->text), "%s closed the connection", self->peer.host);
        return fail(self, KWM_ERR_CLOSED, 0);
    }
    if (is_later(errno)) {
        linux_poll_set_want(self->poll_set, self->fd, LINUX_POLL_READ);
        return 0;
    }
    return fail_open(self, "receiving", errno);
}

static void tcp_close(struct hal_net *net)
{
    struct linux_tcp_net *self = self_of(net);
    release(self);
    self->state = LINUX_TCP_CLOSED;
}

void linux_tcp_net_init(struct linux_tcp_net *self, struct linux_poll_set *poll_set,
                        struct linux_resolver *resolver)
{
    static const struct hal_net_ops ops = {
        .open = tcp_open,
        .poll = tcp_poll,
        .send = tcp_send,
        .recv = tcp_recv,
        .close = tcp_close,
    };
    *self = (struct linux_tcp_net){
        .net = {.ops = &ops, .detail = ""},
        .poll_set = poll_set,
        .resolver = resolver,
        .state = LINUX_TCP_CLOSED,
        .fd = -1,
    };
}
