/* SPDX-License-Identifier: MIT */
/* Goal:   every hal_net keeps the contract, so that the uplink never needs to know which one it
 * has. Method: the suite of conformance_net.h over TCP, over TLS 1.2 and 1.3, over TLS whose
 *         wrapped net gives and takes a few bytes at a time, and over the simulator's net; real
 *         peers in a process of their own. No descriptor and no TLS memory is left over. */
#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(KWM_TLS13)
#include <psa/crypto.h>
#endif

#include "conformance_net.h"
#include "linux/linux_clock.h"
#include "linux/linux_entropy.h"
#include "linux/tcp_net.h"
#include "mbedtls/tls_net.h"
#include "peer.h"
#include "sim/sim_net.h"

/** What the peer puts into a TLS record, for builds with a small input buffer. */
#define RECORD_LEN (MBEDTLS_SSL_IN_CONTENT_LEN < 16384 ? 1000 : 65536)

static char certs[] = "/tmp/kwm-certs-XXXXXX";
static struct peer peer;
static struct linux_poll_set poll_set;
static struct linux_resolver resolver;
static struct linux_entropy entropy;
static struct linux_clock system_clock;
static struct tls_net tls;
static _Alignas(16) uint8_t heap[128 * 1024];
static char ca_pem[8192];

/* ---- Peers on loopback ----------------------------------------------------------------------- */

struct loopback {
    const char *server;
    const char *stuck;       /**< the server that stands for one that never completes */
    bool is_short_of_breath; /**< the net does not tell the poll set each time it says 0 */
    struct hal_net_peer peer;
};

static const struct hal_net_peer *loopback_arrange(void *ctx, enum conformance_situation situation)
{
    struct loopback *self = ctx;
    const char *names[] = {
        [CONFORMANCE_SERVED] = self->server,
        [CONFORMANCE_REFUSED] = "refused",
        [CONFORMANCE_NO_NAME] = "refused",
        [CONFORMANCE_STUCK] = self->stuck,
    };
    self->peer.port = peer_port(&peer, names[situation]);
    self->peer.host = "127.0.0.1";
    if (situation == CONFORMANCE_NO_NAME) {
        self->peer.host = "no-such-host.invalid";
    } else if (situation == CONFORMANCE_SERVED) {
        self->peer.host = "localhost";
    }
    return &self->peer;
}

static uint64_t loopback_now_ms(void *ctx)
{
    (void)ctx;
    return linux_clock_boot_ms();
}

static void loopback_idle(void *ctx, unsigned ms)
{
    const struct loopback *self = ctx;
    const unsigned most_ms = self->is_short_of_breath ? 0 : ms;
    const uint64_t end_ms = linux_clock_boot_ms() + most_ms;
    const int rc = linux_poll_wait(&poll_set, (int)most_ms);
    assert_true(rc >= 0);
    /* Who said 0 has told the poll set what it waits for. */
    assert_true(most_ms < CONFORMANCE_IDLE_MS || rc > 0 || linux_clock_boot_ms() < end_ms);
}

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

static void run_loopback(const char *name, struct hal_net *net, struct loopback *loopback)
{
    const struct conformance_net subject = {
        .name = name,
        .net = net,
        .arrange = loopback_arrange,
        .idle = loopback_idle,
        .now_ms = loopback_now_ms,
        .ctx = loopback,
    };
    const size_t before = descriptors();
    conformance_net_run(&subject);
    assert_int_equal(poll_set.count, 0);
    assert_int_equal(descriptors(), before);
}

static void init_tls(struct hal_net *lower, bool with_13)
{
    const struct tls_config config = {
        .ca_pem = ca_pem,
        .ca_name = "tls_ca",
        .allow_tls13 = with_13,
        .require_tls13 = with_13,
        .wall = linux_clock_source(&system_clock),
        .entropy = &entropy.entropy,
    };
    assert_int_equal(tls_net_init(&tls, lower, &config), KWM_OK);
}

static void test_tcp(void **state)
{
    (void)state;
    static struct linux_tcp_net tcp;
    struct loopback loopback = {.server = "plain", .stuck = "stuck"};
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    run_loopback("tcp", &tcp.net, &loopback);
}

/** The suite over TLS over lower; is_13 needs a library with it. */
static void run_tls(const char *name, struct hal_net *lower, bool is_13, struct loopback *loopback)
{
    const size_t used = tls_heap_used();
    init_tls(lower, is_13);
    run_loopback(name, &tls.net, loopback);
    assert_int_equal(tls_heap_failures(), 0);
    /* One full handshake in all; but who is reset or dropped in the middle of TLS 1.3 may not have
     * read its ticket yet. */
    assert_true(tls.net.info.full_handshakes == 1 || is_13);
    assert_true(tls.net.info.resumed_handshakes > 15);
    print_message("  %s: %u full and %u resumed handshakes, heap peak %zu\n", name,
                  tls.net.info.full_handshakes, tls.net.info.resumed_handshakes, tls_heap_peak());
    tls_net_free(&tls);
#if defined(KWM_TLS13)
    mbedtls_psa_crypto_free(); /* TLS 1.3's, once a process */
#endif
    assert_int_equal(tls_heap_used(), used);
}

static void test_tls12(void **state)
{
    (void)state;
    static struct linux_tcp_net tcp;
    struct loopback loopback = {.server = "tls12", .stuck = "silent"};
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    run_tls("tls 1.2", &tcp.net, false, &loopback);
}

static void test_tls13(void **state)
{
    (void)state;
#if defined(KWM_TLS13)
    static struct linux_tcp_net tcp;
    struct loopback loopback = {.server = "tls13", .stuck = "silent"};
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    run_tls("tls 1.3", &tcp.net, true, &loopback);
#else
    skip();
#endif
}

/* ---- A wrapped net that is short of breath -----------------------------------------------------
 * */

/** Passes at most a few bytes on, and says 0 every other time. */
struct trickle {
    struct hal_net net;
    struct hal_net *lower;
    uint64_t random;
};

static int trickle_open(struct hal_net *net, const struct hal_net_peer *to, uint64_t now_ms)
{
    struct trickle *self = (struct trickle *)(void *)net;
    return hal_net_open(self->lower, to, now_ms);
}

static int trickle_poll(struct hal_net *net, uint64_t now_ms)
{
    struct trickle *self = (struct trickle *)(void *)net;
    const int rc = hal_net_poll(self->lower, now_ms);
    net->detail = self->lower->detail;
    return rc;
}

static size_t breath(struct trickle *self, size_t len)
{
    const size_t most =
        support_random(&self->random) % 2 == 0 ? 0 : 1 + support_random(&self->random) % 3000;
    return len < most ? len : most;
}

static int trickle_send(struct hal_net *net, const uint8_t *data, size_t len)
{
    struct trickle *self = (struct trickle *)(void *)net;
    const size_t part = breath(self, len);
    const int rc = part > 0 ? hal_net_send(self->lower, data, part) : 0;
    net->info = self->lower->info;
    net->detail = self->lower->detail;
    return rc;
}

static int trickle_recv(struct hal_net *net, uint8_t *data, size_t cap)
{
    struct trickle *self = (struct trickle *)(void *)net;
    const size_t part = breath(self, cap);
    const int rc = part > 0 ? hal_net_recv(self->lower, data, part) : 0;
    net->info = self->lower->info;
    net->detail = self->lower->detail;
    return rc;
}

static void trickle_close(struct hal_net *net)
{
    struct trickle *self = (struct trickle *)(void *)net;
    hal_net_close(self->lower);
}

static void test_tls_over_trickle(void **state)
{
    (void)state;
    static const struct hal_net_ops ops = {.open = trickle_open,
                                           .poll = trickle_poll,
                                           .send = trickle_send,
                                           .recv = trickle_recv,
                                           .close = trickle_close};
    static struct linux_tcp_net tcp;
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    struct trickle trickle = {
        .net = {.ops = &ops, .detail = ""}, .lower = &tcp.net, .random = support_seed()};
    struct loopback loopback = {.server = "tls12", .stuck = "silent", .is_short_of_breath = true};
    run_tls("tls 1.2 over a trickle", &trickle.net, false, &loopback);
#if defined(KWM_TLS13)
    loopback.server = "tls13";
    run_tls("tls 1.3 over a trickle", &trickle.net, true, &loopback);
#endif
}

/* ---- The simulator's net ------------------------------------------------------------------------
 * */

/** Obeys as tls_peer.py does. */
struct sim_server {
    struct sim_net net;
    struct hal_net_peer peer;
    uint64_t now_ms;
    char line[32];
    size_t line_len;
    size_t echo_len;  /**< bytes that are still to be sent back */
    size_t count_len; /**< bytes that are still to be counted */
    size_t counted;
    bool is_good;
    size_t send_len; /**< bytes of the pattern that are still to be sent, when there is room */
    size_t sent;
};

/** Send what is asked for, as far as the simulator's inbox has room. */
static void sim_pump(struct sim_server *self)
{
    uint8_t data[1000];
    while (self->send_len > 0 && self->net.inbox_len + sizeof(data) <= SIM_NET_INBOX_CAP &&
           self->net.piece_count < SIM_NET_PIECES_MAX) {
        const size_t part = self->send_len < sizeof(data) ? self->send_len : sizeof(data);
        for (size_t i = 0; i < part; i++) {
            data[i] = conformance_pattern(self->sent + i);
        }
        sim_net_push(&self->net, data, part, self->now_ms + 1);
        self->send_len -= part;
        self->sent += part;
    }
}

static void sim_obey(struct sim_server *self)
{
    const char *verb = self->line;
    char *space = strchr(self->line, ' ');
    assert_non_null(space);
    *space = '\0';
    const size_t number = strtoul(space + 1, NULL, 10);
    if (strcmp(verb, "echo") == 0) {
        self->echo_len = number;
    } else if (strcmp(verb, "count") == 0) {
        self->count_len = number;
        self->counted = 0;
        self->is_good = true;
    } else if (strcmp(verb, "send") == 0) {
        self->send_len = number;
        self->sent = 0;
        sim_pump(self);
    } else if (strcmp(verb, "close") == 0) {
        sim_net_push(&self->net, "bye", 3, self->now_ms + 1);
        sim_net_close_at(&self->net, self->now_ms + 1, SIM_NET_ORDERLY);
    } else {
        assert_string_equal(verb, "reset");
        sim_net_close_at(&self->net, self->now_ms + 1, SIM_NET_RESET);
    }
}

static void sim_count(struct sim_server *self, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        self->is_good = self->is_good && data[i] == conformance_pattern(self->counted + i);
    }
    self->counted += len;
    self->count_len -= len;
    if (self->count_len == 0) {
        sim_net_push(&self->net, self->is_good ? "ok\n" : "bad\n", self->is_good ? 3 : 4,
                     self->now_ms + 1);
    }
}

static void sim_on_bytes(void *ctx, struct sim_net *net, const uint8_t *data, size_t len)
{
    struct sim_server *self = ctx;
    for (size_t at = 0; at < len;) {
        const size_t left = len - at;
        size_t part = 1;
        if (self->echo_len > 0) {
            part = left < self->echo_len ? left : self->echo_len;
            sim_net_push(net, data + at, part, self->now_ms);
            self->echo_len -= part;
        } else if (self->count_len > 0) {
            part = left < self->count_len ? left : self->count_len;
            sim_count(self, data + at, part);
        } else if (data[at] == '\n') {
            self->line[self->line_len] = '\0';
            self->line_len = 0;
            sim_obey(self);
        } else {
            assert_true(self->line_len + 1 < sizeof(self->line));
            self->line[self->line_len] = (char)data[at];
            self->line_len++;
        }
        at += part;
    }
}

static void sim_on_open(void *ctx, struct sim_net *net)
{
    struct sim_server *self = ctx;
    (void)net;
    self->line_len = 0;
    self->echo_len = 0;
    self->count_len = 0;
    self->send_len = 0;
}

static const struct hal_net_peer *sim_arrange(void *ctx, enum conformance_situation situation)
{
    struct sim_server *self = ctx;
    struct sim_net_script *script = &self->net.script;
    script->send_len_max = 1000;
    script->connect_ms = situation == CONFORMANCE_STUCK ? SIM_NET_NEVER : 3;
    script->connect_err = KWM_OK;
    script->detail = "scripted";
    if (situation == CONFORMANCE_REFUSED) {
        script->connect_err = KWM_ERR_IO;
    } else if (situation == CONFORMANCE_NO_NAME) {
        script->connect_err = KWM_ERR_NOENT;
    }
    self->peer = (struct hal_net_peer){.host = "kwdb.example", .port = 8080};
    return &self->peer;
}

static void sim_idle(void *ctx, unsigned ms)
{
    (void)ms;
    struct sim_server *self = ctx;
    self->now_ms++;
    sim_pump(self);
}

static uint64_t sim_now_ms(void *ctx)
{
    const struct sim_server *self = ctx;
    return self->now_ms;
}

static void test_sim(void **state)
{
    (void)state;
    static struct sim_server server;
    const struct sim_peer on = {.on_open = sim_on_open, .on_bytes = sim_on_bytes, .ctx = &server};
    server.now_ms = 1;
    sim_net_init(&server.net, &server.now_ms, &on);
    const struct conformance_net subject = {
        .name = "simulator",
        .net = &server.net.net,
        .arrange = sim_arrange,
        .idle = sim_idle,
        .now_ms = sim_now_ms,
        .ctx = &server,
    };
    conformance_net_run(&subject);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(certs));
    peer_run((const char *const[]){"python3", KWM_TESTS_DIR "/support/make_certs.py", certs, NULL});
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/ca.pem", certs);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    ca_pem[fread(ca_pem, 1, sizeof(ca_pem) - 1, file)] = '\0';
    (void)fclose(file);

    char tls12[160];
    char tls13[160];
    static const char format[] = "%s,cert=%s/good_rsa.pem,key=%s/good_rsa.key,%s,chunk=%d";
    (void)snprintf(tls12, sizeof(tls12), format, "tls12", certs, certs, "max=1.2", RECORD_LEN);
    (void)snprintf(tls13, sizeof(tls13), format, "tls13", certs, certs, "min=1.3", RECORD_LEN);
    peer_start(&peer, (const char *const[]){"plain", tls12, tls13, "silent,silent", NULL});
    linux_resolver_init(&resolver, &poll_set);
    linux_entropy_init(&entropy);
    linux_clock_init(&system_clock, 0);
    tls_heap_init(heap, sizeof(heap));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peer_stop(&peer);
    peer_run((const char *const[]){"rm", "-r", certs, NULL});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),   cmocka_unit_test(test_tls12),
        cmocka_unit_test(test_tls13), cmocka_unit_test(test_tls_over_trickle),
        cmocka_unit_test(test_sim),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
