/* SPDX-License-Identifier: MIT */
/* Goal:   the loop never waits for a name or an address that does not answer, wakes when there is
 *         something to do and only then, and leaves nothing behind.
 * Method: name services of the test's own (lists, errors, one that hangs), sockets on loopback that
 *         accept, refuse or are full, and time as a parameter. */
#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "linux/linux_clock.h"
#include "linux/tcp_net.h"

static struct linux_poll_set poll_set;
static struct linux_resolver resolver;

static size_t descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* ---- The poll set ------------------------------------------------------------------------------
 * */

static void test_poll_set(void **state)
{
    (void)state;
    int one[2];
    int two[2];
    char byte;
    assert_int_equal(pipe(one), 0);
    assert_int_equal(pipe(two), 0);
    assert_int_equal(linux_poll_wait(&poll_set, 0), 0);
    linux_poll_set_want(&poll_set, one[0], LINUX_POLL_READ);
    linux_poll_set_want(&poll_set, one[0], LINUX_POLL_READ);
    linux_poll_set_want(&poll_set, two[0], LINUX_POLL_READ);
    assert_int_equal(poll_set.count, 2);
    assert_int_equal(linux_poll_wait(&poll_set, 0), 0);

    /* A wish is good for one time. */
    assert_int_equal(write(one[1], "x", 1), 1);
    assert_int_equal(linux_poll_wait(&poll_set, 1000), 1);
    assert_int_equal(poll_set.count, 1);
    assert_int_equal(linux_poll_wait(&poll_set, 0), 0);
    linux_poll_set_want(&poll_set, one[0], LINUX_POLL_READ);
    assert_int_equal(linux_poll_wait(&poll_set, 0), 1);

    linux_poll_set_want(&poll_set, one[1], LINUX_POLL_WRITE);
    assert_int_equal(linux_poll_wait(&poll_set, 1000), 1);
    linux_poll_set_want(&poll_set, one[0], LINUX_POLL_READ);
    linux_poll_set_remove(&poll_set, one[0]);
    linux_poll_set_remove(&poll_set, one[0]);
    assert_int_equal(linux_poll_wait(&poll_set, 0), 0);
    assert_int_equal(read(one[0], &byte, 1), 1);

    /* The other end's close counts as ready. */
    (void)close(two[1]);
    assert_int_equal(linux_poll_wait(&poll_set, 1000), 1);
    assert_int_equal(poll_set.count, 0);
    (void)close(one[0]);
    (void)close(one[1]);
    (void)close(two[0]);
}

static void test_poll_time(void **state)
{
    (void)state;
    uint64_t start_ms = linux_clock_boot_ms();
    linux_poll_set_wake_in(&poll_set, 5000);
    linux_poll_set_wake_in(&poll_set, 30);
    linux_poll_set_wake_in(&poll_set, 900);
    assert_int_equal(linux_poll_wait(&poll_set, 10000), 0);
    uint64_t took_ms = linux_clock_boot_ms() - start_ms;
    assert_true(took_ms >= 29 && took_ms < 900);

    /* It was for that wait only. */
    start_ms = linux_clock_boot_ms();
    assert_int_equal(linux_poll_wait(&poll_set, 60), 0);
    assert_true(linux_clock_boot_ms() - start_ms >= 59);

    linux_poll_set_wake_in(&poll_set, -5);
    assert_int_equal(linux_poll_wait(&poll_set, -1), 0);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static void test_poll_signal(void **state)
{
    (void)state;
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    const uint64_t start_ms = linux_clock_boot_ms();
    assert_int_equal(linux_poll_wait(&poll_set, 10000), 0);
    assert_true(linux_clock_boot_ms() - start_ms < 5000);
}

/* ---- Name services of the test's own
 * -------------------------------------------------------------- */

#define LIST_MAX 12U

static struct {
    struct addrinfo infos[LIST_MAX];
    union linux_addr addrs[LIST_MAX];
    size_t count;
    int error;
    atomic_bool has_signals; /**< the thread could be interrupted */
    sem_t gate;              /**< a lookup of "hangs" waits here */
} service;

static void add_service_addr(const char *text)
{
    union linux_addr *addr = &service.addrs[service.count];
    struct addrinfo *info = &service.infos[service.count];
    memset(addr, 0, sizeof(*addr));
    memset(info, 0, sizeof(*info));
    info->ai_addr = &addr->any;
    if (inet_pton(AF_INET, text, &addr->v4.sin_addr) == 1) {
        addr->v4.sin_family = AF_INET;
        info->ai_addrlen = sizeof(addr->v4);
    } else if (inet_pton(AF_INET6, text, &addr->v6.sin6_addr) == 1) {
        addr->v6.sin6_family = AF_INET6;
        info->ai_addrlen = sizeof(addr->v6);
    } else { /* something that is neither */
        addr->any.sa_family = AF_UNIX;
        info->ai_addrlen = sizeof(addr->any);
    }
    info->ai_family = addr->any.sa_family;
    if (service.count > 0) {
        service.infos[service.count - 1].ai_next = info;
    }
    service.count++;
}

static int service_get(const char *host, const char *name, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    (void)name;
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    service.has_signals = sigismember(&blocked, SIGTERM) != 1;
    if (strcmp(host, "hangs.example") == 0) {
        while (sem_wait(&service.gate) != 0) {
        }
    }
    if (hints->ai_socktype != SOCK_STREAM) {
        return EAI_SOCKTYPE;
    }
    *out = service.count > 0 ? &service.infos[0] : NULL;
    return service.error;
}

static void service_free(struct addrinfo *list)
{
    (void)list;
}

/** A name service that knows these addresses, NULL at the end. */
static void set_service(const char *const texts[], int error)
{
    service.count = 0;
    service.error = error;
    for (size_t i = 0; texts[i] != NULL; i++) {
        add_service_addr(texts[i]);
    }
    resolver.lookup.get = service_get;
    resolver.lookup.free = service_free;
}

/** Wait for a lookup, woken by the poll set alone. */
static int finish_lookup(int lookup, struct linux_addr_list *out, int *gai_error)
{
    const uint64_t end_ms = linux_clock_boot_ms() + 10000;
    for (;;) {
        const int rc = linux_resolver_poll(&resolver, lookup, out, gai_error);
        if (rc != 0) {
            return rc;
        }
        assert_true(linux_clock_boot_ms() < end_ms);
        assert_true(linux_poll_wait(&poll_set, 10000) >= 0);
    }
}

static void text_of(const union linux_addr *addr, char *out, socklen_t cap)
{
    const void *bytes = addr->any.sa_family == AF_INET ? (const void *)&addr->v4.sin_addr
                                                       : (const void *)&addr->v6.sin6_addr;
    assert_non_null(inet_ntop(addr->any.sa_family, bytes, out, cap));
}

static void test_order(void **state)
{
    (void)state;
    static const struct {
        const char *found[LIST_MAX + 1];
        const char *tried[LINUX_ADDRS_MAX + 1];
    } rows[] = {
        {{"10.0.0.1"}, {"10.0.0.1"}},
        {{"2001:db8::1", "2001:db8::2", "10.0.0.1", "10.0.0.2"},
         {"2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2"}},
        {{"10.0.0.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"},
         {"10.0.0.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"}},
        {{"neither", "10.0.0.1", "neither", "10.0.0.2", "2001:db8::1"},
         {"10.0.0.1", "2001:db8::1", "10.0.0.2"}},
        {{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7",
          "10.0.0.8", "10.0.0.9", "2001:db8::1"},
         {"10.0.0.1", "2001:db8::1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6",
          "10.0.0.7"}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct linux_addr_list list;
        int gai_error = 0;
        set_service(rows[i].found, 0);
        const int lookup = linux_resolver_begin(&resolver, "kwdb.example", 8080);
        assert_true(lookup >= 0);
        assert_int_equal(finish_lookup(lookup, &list, &gai_error), 1);
        assert_false(service.has_signals);
        size_t k = 0;
        for (; rows[i].tried[k] != NULL; k++) {
            char text[INET6_ADDRSTRLEN];
            assert_true(k < list.count);
            text_of(&list.addrs[k], text, sizeof(text));
            assert_string_equal(text, rows[i].tried[k]);
            const uint16_t port = list.addrs[k].any.sa_family == AF_INET
                                      ? list.addrs[k].v4.sin_port
                                      : list.addrs[k].v6.sin6_port;
            assert_int_equal(ntohs(port), 8080);
        }
        assert_int_equal(list.count, k);
    }
}

static void test_lookup_errors(void **state)
{
    (void)state;
    static const struct {
        int error;
        const char *const found[2];
        int expected;
        int expected_gai;
    } rows[] = {
        {EAI_NONAME, {NULL}, KWM_ERR_NOENT, EAI_NONAME},
        {EAI_AGAIN, {NULL}, KWM_ERR_IO, EAI_AGAIN},
        {EAI_FAIL, {NULL}, KWM_ERR_IO, EAI_FAIL},
        {EAI_SYSTEM, {NULL}, KWM_ERR_IO, EAI_SYSTEM},
        {0, {"neither", NULL}, KWM_ERR_NOENT, EAI_NONAME},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct linux_addr_list list;
        int gai_error = 0;
        set_service(rows[i].found, rows[i].error);
        const int lookup = linux_resolver_begin(&resolver, "kwdb.example", 8080);
        assert_true(lookup >= 0);
        assert_int_equal(finish_lookup(lookup, &list, &gai_error), rows[i].expected);
        assert_int_equal(gai_error, rows[i].expected_gai);
    }
}

static void test_literals(void **state)
{
    (void)state;
    struct linux_addr_list list;
    char text[INET6_ADDRSTRLEN];
    assert_int_equal(linux_resolver_literal("192.0.2.1", 443, &list), KWM_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(ntohs(list.addrs[0].v4.sin_port), 443);
    assert_int_equal(linux_resolver_literal("2001:DB8::0:1", 443, &list), KWM_OK);
    text_of(&list.addrs[0], text, sizeof(text));
    assert_string_equal(text, "2001:db8::1");
    assert_int_equal(linux_resolver_literal("fe80::1%lo", 443, &list), KWM_OK);
    assert_true(list.addrs[0].v6.sin6_scope_id > 0);
    assert_int_equal(linux_resolver_literal("localhost", 443, &list), KWM_ERR_NOENT);
    assert_int_equal(linux_resolver_literal("192.0.2.256", 443, &list), KWM_ERR_NOENT);
}

/** Wait until the hung lookups that were let go have come back. */
static void expect_hung(unsigned expected)
{
    const uint64_t end_ms = linux_clock_boot_ms() + 10000;
    while (linux_resolver_hung(&resolver) != expected) {
        assert_true(linux_clock_boot_ms() < end_ms);
        (void)usleep(1000);
    }
}

static void test_hung_lookups(void **state)
{
    (void)state;
    struct linux_addr_list list;
    int gai_error = 0;
    const char *const found[] = {"10.0.0.1", NULL};
    set_service(found, 0);
    for (unsigned i = 0; i < LINUX_LOOKUPS_MAX - 1; i++) {
        const int lookup = linux_resolver_begin(&resolver, "hangs.example", 80);
        assert_true(lookup >= 0);
        assert_int_equal(linux_resolver_poll(&resolver, lookup, &list, &gai_error), 0);
        assert_int_equal(linux_poll_wait(&poll_set, 5), 0);
        linux_resolver_leave(&resolver, lookup);
        assert_int_equal(linux_resolver_hung(&resolver), i + 1);
    }
    /* The others are none the worse for it. */
    int lookup = linux_resolver_begin(&resolver, "kwdb.example", 80);
    assert_int_equal(finish_lookup(lookup, &list, &gai_error), 1);
    /* But there is an end to it. */
    lookup = linux_resolver_begin(&resolver, "hangs.example", 80);
    assert_true(lookup >= 0);
    assert_int_equal(linux_resolver_begin(&resolver, "kwdb.example", 80), KWM_ERR_NOSPC);

    static struct linux_tcp_net tcp;
    const struct hal_net_peer peer = {.host = "kwdb.example", .port = 80};
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    assert_int_equal(hal_net_open(&tcp.net, &peer, 0), KWM_OK);
    assert_int_equal(hal_net_poll(&tcp.net, 0), KWM_ERR_IO);
    assert_string_equal(tcp.net.detail,
                        "7 name lookups hang, the one of kwdb.example has to wait for them");
    hal_net_close(&tcp.net);

    /* The service answers at last: the one that is waited for gets it, the others free their place.
     * */
    for (unsigned i = 0; i < LINUX_LOOKUPS_MAX; i++) {
        assert_int_equal(sem_post(&service.gate), 0);
    }
    assert_int_equal(finish_lookup(lookup, &list, &gai_error), 1);
    expect_hung(0);
    assert_int_equal(hal_net_open(&tcp.net, &peer, 0), KWM_OK);
    hal_net_close(&tcp.net); /* left while it runs, or done */
    expect_hung(0);
}

static void test_many_lookups(void **state)
{
    (void)state;
    const char *const found[] = {"10.0.0.1", "2001:db8::1", NULL};
    uint64_t random = support_seed();
    set_service(found, 0);
    for (unsigned i = 0; i < 200; i++) {
        struct linux_addr_list list;
        int gai_error = 0;
        const int lookup = linux_resolver_begin(&resolver, "kwdb.example", 80);
        assert_true(lookup >= 0);
        if (support_random(&random) % 2 == 0) {
            linux_resolver_leave(&resolver, lookup);
            expect_hung(0);
        } else {
            assert_int_equal(finish_lookup(lookup, &list, &gai_error), 1);
            assert_int_equal(list.count, 2);
        }
    }
}

/* ---- Happy eyeballs
 * --------------------------------------------------------------------------------- */

static int make_socket(const char *text, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, text, &addr.sin_addr), 1);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&addr, sizeof(addr)), 0);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in addr = {.sin_port = 0};
    socklen_t len = sizeof(addr);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&addr, &len), 0);
    return ntohs(addr.sin_port);
}

/** Fill the queue of a server, so that no further connection completes. */
static void stuff(int fd, int fillers[3])
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&addr, &len), 0);
    for (unsigned i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], (const struct sockaddr *)(const void *)&addr, len);
    }
}

static struct linux_tcp_net tcp;

/** Poll at a time of the test's choice until rc is not 0 or real_ms are over. */
static int poll_at(uint64_t now_ms, unsigned real_ms)
{
    const uint64_t end_ms = linux_clock_boot_ms() + real_ms;
    for (;;) {
        const int rc = hal_net_poll(&tcp.net, now_ms);
        if (rc != 0 || linux_clock_boot_ms() >= end_ms) {
            return rc;
        }
        (void)usleep(1000);
    }
}

/** Begin with a name of these addresses, and poll until its lookup is done. @return what poll()
 *  gave. */
static int open_addrs(const char *const addrs[], uint16_t port, uint64_t now_ms)
{
    static struct hal_net_peer peer;
    peer = (struct hal_net_peer){.host = "kwdb.example", .port = port};
    set_service(addrs, 0);
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    assert_int_equal(hal_net_open(&tcp.net, &peer, now_ms), KWM_OK);
    const uint64_t end_ms = linux_clock_boot_ms() + 10000;
    int rc = 0;
    while (tcp.state == LINUX_TCP_RESOLVING) {
        assert_true(linux_clock_boot_ms() < end_ms);
        rc = hal_net_poll(&tcp.net, now_ms);
    }
    return rc;
}

static void test_second_address_after_delay(void **state)
{
    (void)state;
    const char *const addrs[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", NULL};
    const uint64_t start_ms = 5000000000U;
    int fillers[3];
    const int full = make_socket("127.0.0.1", 0);
    const uint16_t port = port_of(full);
    const int good = make_socket("127.0.0.2", port);
    const int unused = make_socket("127.0.0.3", port);
    stuff(full, fillers);
    assert_int_equal(listen(good, 5), 0);
    assert_int_equal(listen(unused, 5), 0);
    const size_t before = descriptors();

    assert_int_equal(open_addrs(addrs, port, start_ms), 0);
    assert_int_equal(poll_at(start_ms + 249, 30), 0);
    assert_int_equal(descriptors(), before + 1);
    assert_true(poll_set.has_wake);
    assert_true(poll_set.wake_in_ms == 1);
    assert_int_equal(poll_at(start_ms + 250, 2000), 1);
    assert_int_equal(descriptors(), before + 1); /* the loser is closed */
    assert_int_equal(tcp.attempt_count, 2);
    struct sockaddr_in addr = {.sin_port = 0};
    socklen_t len = sizeof(addr);
    assert_int_equal(getpeername(tcp.fd, (struct sockaddr *)(void *)&addr, &len), 0);
    assert_int_equal(ntohl(addr.sin_addr.s_addr), 0x7f000002);
    hal_net_close(&tcp.net);
    assert_int_equal(descriptors(), before);
    for (unsigned i = 0; i < 3; i++) {
        (void)close(fillers[i]);
    }
    (void)close(full);
    (void)close(good);
    (void)close(unused);
    poll_set.has_wake = false;
}

static void test_second_address_after_refusal(void **state)
{
    (void)state;
    const char *const addrs[] = {"127.0.0.1", "127.0.0.2", NULL};
    const int refuses = make_socket("127.0.0.1", 0);
    const uint16_t port = port_of(refuses);
    const int good = make_socket("127.0.0.2", port);
    assert_int_equal(listen(good, 5), 0);
    const size_t before = descriptors();
    const int rc = open_addrs(addrs, port, 1000);
    assert_true(rc == 0 || rc == 1);
    assert_int_equal(poll_at(1000, 2000), 1); /* no time has passed */
    assert_int_equal(descriptors(), before + 1);
    hal_net_close(&tcp.net);
    (void)close(refuses);
    (void)close(good);
}

static void test_all_addresses_refused(void **state)
{
    (void)state;
    const char *const addrs[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", NULL};
    const int refuses = make_socket("127.0.0.1", 0);
    const uint16_t port = port_of(refuses);
    const int too = make_socket("127.0.0.2", port);
    const int also = make_socket("127.0.0.3", port);
    const size_t before = descriptors();
    int rc = open_addrs(addrs, port, 1000);
    rc = rc == 0 ? poll_at(1000, 2000) : rc;
    assert_int_equal(rc, KWM_ERR_IO);
    char expected[160];
    (void)snprintf(expected, sizeof(expected),
                   "no connection to any of the 3 addresses of kwdb.example; the last, "
                   "127.0.0.3:%u: Connection refused",
                   (unsigned)port);
    assert_string_equal(tcp.net.detail, expected);
    assert_int_equal(tcp.net.platform_error, ECONNREFUSED);
    assert_int_equal(descriptors(), before);
    hal_net_close(&tcp.net);
    (void)close(refuses);
    (void)close(too);
    (void)close(also);
}

static void test_close_while_connecting(void **state)
{
    (void)state;
    const char *const addrs[] = {"127.0.0.1", "127.0.0.1", "127.0.0.1", NULL};
    int fillers[3];
    const int full = make_socket("127.0.0.1", 0);
    stuff(full, fillers);
    const size_t before = descriptors();
    assert_int_equal(open_addrs(addrs, port_of(full), 0), 0);
    assert_int_equal(hal_net_poll(&tcp.net, 250), 0);
    assert_int_equal(hal_net_poll(&tcp.net, 500), 0);
    assert_int_equal(hal_net_poll(&tcp.net, 100000), 0);
    assert_int_equal(descriptors(), before + 3);
    assert_int_equal(poll_set.count, 3);
    hal_net_close(&tcp.net);
    assert_int_equal(descriptors(), before);
    assert_int_equal(poll_set.count, 0);
    for (unsigned i = 0; i < 3; i++) {
        (void)close(fillers[i]);
    }
    (void)close(full);
    poll_set.has_wake = false;
}

static void test_sentences(void **state)
{
    (void)state;
    static const char *const nobody[] = {NULL};
    const struct {
        int error;
        int expected;
        const char *text;
    } rows[] = {
        {EAI_NONAME, KWM_ERR_NOENT, "no address is known for the name kwdb.example"},
        {EAI_AGAIN, KWM_ERR_IO,
         "lookup of the name kwdb.example failed: Temporary failure in name resolution"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct hal_net_peer peer = {.host = "kwdb.example", .port = 1};
        set_service(nobody, rows[i].error);
        linux_tcp_net_init(&tcp, &poll_set, &resolver);
        assert_int_equal(hal_net_open(&tcp.net, &peer, 0), KWM_OK);
        assert_int_equal(poll_at(0, 10000), rows[i].expected);
        assert_string_equal(tcp.net.detail, rows[i].text);
        hal_net_close(&tcp.net);
    }
    const int refuses = make_socket("127.0.0.1", 0);
    const struct hal_net_peer peer = {.host = "127.0.0.1", .port = port_of(refuses)};
    char expected[96];
    (void)snprintf(expected, sizeof(expected), "no connection to 127.0.0.1:%u: Connection refused",
                   (unsigned)peer.port);
    assert_int_equal(hal_net_open(&tcp.net, &peer, 0), KWM_OK);
    assert_int_equal(poll_at(0, 10000), KWM_ERR_IO);
    assert_string_equal(tcp.net.detail, expected);
    hal_net_close(&tcp.net);
    (void)close(refuses);
}

static int set_up(void **state)
{
    (void)state;
    linux_resolver_init(&resolver, &poll_set);
    return sem_init(&service.gate, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poll_set),
        cmocka_unit_test(test_poll_time),
        cmocka_unit_test(test_poll_signal),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_lookup_errors),
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_hung_lookups),
        cmocka_unit_test(test_many_lookups),
        cmocka_unit_test(test_second_address_after_delay),
        cmocka_unit_test(test_second_address_after_refusal),
        cmocka_unit_test(test_all_addresses_refused),
        cmocka_unit_test(test_close_while_connecting),
        cmocka_unit_test(test_sentences),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
