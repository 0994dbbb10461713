/* SPDX-License-Identifier: MIT */
/* Goal:   a server is trusted exactly when its certificate says so, and a refusal names the check
 *         that failed in one sentence that a person can act on.
 * Method: certificates made anew at each run, real handshakes with a server in another process, the
 *         clock of the test's own choice; every sentence is compared as a whole. Sessions are
 *         counted. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/platform.h>
#if defined(KWM_TLS13)
#include <psa/crypto.h>
#endif

#include "linux/linux_clock.h"
#include "linux/linux_entropy.h"
#include "linux/tcp_net.h"
#include "mbedtls/tls_net.h"
#include "peer.h"

#define PATIENCE_MS 20000U

/** 2026-11-24 10:00:00 UTC */
#define NOW_S INT64_C(1795514400)
#define TEXTS 16U

static char certs[] = "/tmp/kwm-certs-XXXXXX";
static struct peer peer;
static struct linux_poll_set poll_set;
static struct linux_resolver resolver;
static struct linux_entropy entropy;
static struct linux_tcp_net tcp;
static struct tls_net tls;
static struct hal_wall wall;
static struct hal_net_peer server;
static _Alignas(16) uint8_t heap[256 * 1024];

static struct hal_wall wall_now(void *ctx)
{
    return *(const struct hal_wall *)ctx;
}

static void set_wall(enum hal_wall_state state, int64_t unix_s)
{
    wall = (struct hal_wall){.state = state, .unix_ms = unix_s * 1000};
}

/** The content of a file of the certificates' folder; the last TEXTS stay valid. */
static const char *text_of(const char *name)
{
    static char texts[TEXTS][8192];
    static size_t next;
    char *text = texts[next];
    next = (next + 1) % TEXTS;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", certs, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("%s: cannot be opened", path);
    }
    text[fread(text, 1, sizeof(texts[0]) - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

static struct tls_config config_of(const char *ca)
{
    return (struct tls_config){
        .ca_pem = ca != NULL ? text_of(ca) : "",
        .ca_name = "tls_ca",
        .wall = {.now = wall_now, .ctx = &wall},
        .entropy = &entropy.entropy,
    };
}

/** Connect to a server of the peer. @return what poll() ends with. */
static int connect_to(const char *host, const char *name)
{
    server = (struct hal_net_peer){.host = host, .port = peer_port(&peer, name)};
    assert_int_equal(hal_net_open(&tls.net, &server, linux_clock_boot_ms()), KWM_OK);
    const uint64_t deadline_ms = linux_clock_boot_ms() + PATIENCE_MS;
    for (;;) {
        const int rc = hal_net_poll(&tls.net, linux_clock_boot_ms());
        if (rc != 0) {
            return rc;
        }
        assert_true(linux_clock_boot_ms() < deadline_ms);
        assert_true(linux_poll_wait(&poll_set, 1000) >= 0);
    }
}

static void send_text(const char *text)
{
    assert_int_equal(hal_net_send(&tls.net, (const uint8_t *)text, strlen(text)), strlen(text));
}

/** Read a line. @return its first bytes, or the error of recv(). */
static int read_line(char *out, size_t cap)
{
    size_t len = 0;
    const uint64_t deadline_ms = linux_clock_boot_ms() + PATIENCE_MS;
    while (len == 0 || out[len - 1] != '\n') {
        const int rc = hal_net_recv(&tls.net, (uint8_t *)out + len, cap - 1 - len);
        if (rc < 0) {
            return rc;
        }
        len += (size_t)rc;
        assert_true(linux_clock_boot_ms() < deadline_ms);
        if (rc == 0) {
            assert_true(linux_poll_wait(&poll_set, 1000) >= 0);
        }
    }
    out[len - 1] = '\0';
    return (int)len;
}

/** What the server says of the session. */
static const char *info_of_server(void)
{
    static char line[512];
    send_text("info 0\n");
    assert_true(read_line(line, sizeof(line)) > 0);
    return line;
}

static void init(const struct tls_config *config)
{
    linux_tcp_net_init(&tcp, &poll_set, &resolver);
    assert_int_equal(tls_net_init(&tls, &tcp.net, config), KWM_OK);
}

/* ---- What is accepted and what is refused
 * -------------------------------------------------------- */

struct trust_case {
    const char *server;
    const char *ca;
    const char *host;
    const char *server_name;
    const char *expected; /**< the sentence, "" if it connects */
};

static const struct trust_case trust_cases[] = {
    {"good_rsa", "ca.pem", "localhost", NULL, ""},
    {"good_ec", "ca_ec.pem", "localhost", NULL, ""},
    {"good_rsa", "cas.pem", "LOCALHOST", NULL, ""},
    {"good_rsa", "cas.pem", "127.0.0.1", "localhost.", ""},
    {"good_rsa", "ca.pem", "127.0.0.1", NULL, ""},
    {"good_rsa", "ca.pem", "::1", NULL, ""},
    {"good_rsa", "ca.pem", "0:0:0::0:1", NULL, ""},
    {"good_rsa", "cas_renewed.pem", "localhost", NULL, ""},
    {"good_rsa", "ca_sha1.pem", "localhost", NULL, ""},
    {"chain", "ca.pem", "localhost", NULL, ""},
    {"chain", "middle.pem", "localhost", NULL, ""},
    {"self", "self.pem", "localhost", NULL, ""},
    {"nameless", "ca.pem", "localhost", NULL, ""},
    {"elsewhere", "ca.pem", "localhost", "db.example", ""},
    {"elsewhere", "ca.pem", "localhost", "a.wild.example", ""},
    {"elsewhere", "ca.pem", "localhost", "10.0.0.1", ""},
    {"elsewhere", "ca.pem", "localhost", "2001:DB8:0::1", ""},
    {"elsewhere", "ca.pem", "localhost", "2001:db8::1%eth0", ""},

    {"elsewhere", "ca.pem", "localhost", NULL,
     "certificate is for db.example, *.wild.example, 10.0.0.1, 2001:db8::1, not for localhost"},
    {"elsewhere", "ca.pem", "127.0.0.1", NULL,
     "certificate is for db.example, *.wild.example, 10.0.0.1, 2001:db8::1, not for 127.0.0.1"},
    {"elsewhere", "ca.pem", "::1", NULL,
     "certificate is for db.example, *.wild.example, 10.0.0.1, 2001:db8::1, not for ::1"},
    {"elsewhere", "ca.pem", "localhost", "wild.example",
     "certificate is for db.example, *.wild.example, 10.0.0.1, 2001:db8::1, not for wild.example"},
    {"good_rsa", "ca.pem", "127.0.0.1", "kwdb.example",
     "certificate is for localhost, 127.0.0.1, ::1, not for kwdb.example"},
    {"nameless", "ca.pem", "127.0.0.1", NULL,
     "certificate is for \"CN=localhost\", not for 127.0.0.1"},

    {"expired", "ca.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" expired on 2026-01-31, it is 2026-11-24"},
    {"future", "ca.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" is not valid before 2027-01-01, it is 2026-11-24"},
    {"good_rsa", "ca_expired.pem", "localhost", NULL,
     "CA certificate of \"O=KWDB, CN=KWDB CA\" expired on 2026-01-31, it is 2026-11-24"},

    {"good_rsa", "ca_other.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" is issued by \"O=KWDB, CN=KWDB CA\" and not signed by any "
     "of "
     "the 1 CA in tls_ca"},
    {"odd", "ca_namesake.pem", "localhost", NULL,
     "certificate of \"O=evil ? name, "
     "CN=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" is issued by "
     "\"CN=Other CA\" and not signed by any of the 1 CA in tls_ca"},
    {"good_rsa", "ca_namesake.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" is issued by \"O=KWDB, CN=KWDB CA\", and the CA of that "
     "name "
     "in tls_ca has another key: it belongs to another installation"},
    {"self", "cas.pem", "localhost", NULL,
     "certificate of \"CN=localhost\" is signed by itself and not among the 3 CAs in tls_ca"},
    {"leaf", "ca.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" is issued by \"O=KWDB, CN=Middle CA\" and not signed by "
     "any "
     "of the 1 CA in tls_ca"},
    /* Wrong in two ways: the CA is what counts. */
    {"expired", "ca_other.pem", "localhost", "kwdb.example",
     "certificate of \"O=KWDB, CN=node\" is issued by \"O=KWDB, CN=KWDB CA\" and not signed by any "
     "of "
     "the 1 CA in tls_ca"},

    {"client_only", "ca.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" is not for servers: its extended key usage lacks "
     "serverAuth"},
    {"sha1", "ca.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" is signed with SHA-1, which is too weak"},
    {"rsa1024", "ca.pem", "localhost", NULL,
     "certificate of \"O=KWDB, CN=node\" has an RSA key of 1024 bits, at least 2048 are needed"},
    {"by_1024", "ca_1024.pem", "localhost", NULL,
     "CA certificate of \"CN=Short CA\" has an RSA key of 1024 bits, at least 2048 are needed"},
    {"critical", "ca.pem", "localhost", NULL,
     "certificate has a critical extension that is not supported (name constraints are one)"},
    {"chain_constrained", "ca.pem", "localhost", NULL,
     "certificate has a critical extension that is not supported (name constraints are one)"},
};

static void test_trust(void **state)
{
    (void)state;
    set_wall(HAL_WALL_SET, NOW_S);
    for (size_t i = 0; i < sizeof(trust_cases) / sizeof(trust_cases[0]); i++) {
        const struct trust_case *row = &trust_cases[i];
        print_message("  %s by %s as %s\n", row->server, row->ca,
                      row->server_name != NULL ? row->server_name : row->host);
        struct tls_config config = config_of(row->ca);
        config.server_name = row->server_name;
        init(&config);
        const int rc = connect_to(row->host, row->server);
        assert_string_equal(tls.net.detail, row->expected);
        const bool is_good = row->expected[0] == '\0';
        assert_int_equal(rc, is_good ? 1 : KWM_ERR_VERIFY);
        assert_int_equal(tls.net.info.is_secure, is_good);
        assert_int_equal(tls.net.info.full_handshakes, is_good ? 1 : 0);
        tls_net_free(&tls);
        assert_int_equal(tls_heap_failures(), 0);
    }
}

static void test_unread_root(void **state)
{
    (void)state;
    /* A root with name constraints is not read, and the sentence says that there was one. */
    static char both[16384];
    (void)snprintf(both, sizeof(both), "%s%s", text_of("ca_constrained.pem"),
                   text_of("ca_other.pem"));
    set_wall(HAL_WALL_SET, NOW_S);
    struct tls_config config = config_of("ca.pem");
    config.ca_pem = both;
    config.ca_name = "/etc/kwmote/ca.crt";
    init(&config);
    assert_int_equal(tls_net_root_count(&tls), 1);
    assert_int_equal(tls_net_root_skipped(&tls), 1);
    assert_int_equal(connect_to("localhost", "chain"), KWM_ERR_VERIFY);
    assert_string_equal(tls.net.detail,
                        "CA certificate of \"O=KWDB, CN=Middle CA\" is issued by "
                        "\"O=KWDB, CN=KWDB CA\" and not signed by any of the 1 CA in "
                        "/etc/kwmote/ca.crt (1 more there could not be read)");
    tls_net_free(&tls);
}

static void test_clock(void **state)
{
    (void)state;
    static const struct {
        const char *server;
        enum hal_wall_state state;
        int64_t unix_s;
        const char *expected;
    } rows[] = {
        /* expired: 2020-01-01 to 2026-01-31 12:00:00; future: from 2027-01-01 */
        {"expired", HAL_WALL_SET, 1769860800, ""},
        {"expired", HAL_WALL_SET, 1769860801,
         "certificate of \"O=KWDB, CN=node\" expired on 2026-01-31 12:00:00 UTC, it is "
         "2026-01-31 12:00:01 UTC"},
        {"expired", HAL_WALL_FLOOR, 1769860800, ""},
        {"expired", HAL_WALL_FLOOR, 1769947200,
         "certificate of \"O=KWDB, CN=node\" expired on 2026-01-31, it is at least 2026-02-01"},
        {"expired", HAL_WALL_UNKNOWN, 0, ""},
        {"future", HAL_WALL_SET, 1798761600, ""},
        {"future", HAL_WALL_SET, 1798761599,
         "certificate of \"O=KWDB, CN=node\" is not valid before 2027-01-01, it is 2026-12-31"},
        {"future", HAL_WALL_FLOOR, 1577836800, ""},
        {"future", HAL_WALL_UNKNOWN, 0, ""},
        {"good_rsa", HAL_WALL_SET, 0,
         "CA certificate of \"O=KWDB, CN=KWDB CA\" is not valid before 2020-01-01, it is "
         "1970-01-01"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s at %lld\n", rows[i].server, (long long)rows[i].unix_s);
        const struct tls_config config = config_of("ca.pem");
        init(&config);
        set_wall(rows[i].state, rows[i].unix_s);
        const bool is_good = rows[i].expected[0] == '\0';
        assert_int_equal(connect_to("localhost", rows[i].server), is_good ? 1 : KWM_ERR_VERIFY);
        assert_string_equal(tls.net.detail, rows[i].expected);
        tls_net_free(&tls);
    }
}

static void test_validity_is_told(void **state)
{
    (void)state;
    /* The narrowest of leaf (2025 to 2030), intermediate and root (2020 to 2045). */
    const struct tls_config config = config_of("ca.pem");
    set_wall(HAL_WALL_FLOOR, NOW_S);
    init(&config);
    assert_int_equal(tls.net.info.not_after_s, 0);
    for (unsigned i = 0; i < 2; i++) { /* full, then resumed */
        assert_int_equal(connect_to("localhost", "chain"), 1);
        assert_int_equal(tls.net.info.not_before_s, 1735689600);
        assert_int_equal(tls.net.info.not_after_s, 1893456000);
        assert_int_equal(tls.net.info.resumed_handshakes, i);
        hal_net_close(&tls.net);
        assert_false(tls.net.info.is_secure);
    }
    tls_net_free(&tls);
}

/* ---- Sessions
 * ------------------------------------------------------------------------------------- */

/** Connect and come so far that a ticket of TLS 1.3 was read; check how many handshakes there were.
 *  */
static void expect_session(const char *host, const char *name, unsigned full, unsigned resumed)
{
    assert_int_equal(connect_to(host, name), 1);
    assert_int_equal(tls.net.info.full_handshakes, full);
    assert_int_equal(tls.net.info.resumed_handshakes, resumed);
    const char *info = info_of_server();
    const unsigned sum = full + resumed;
    static unsigned sum_before;
    static unsigned resumed_before;
    if (sum == 1) {
        resumed_before = 0;
    } else {
        assert_int_equal(sum, sum_before + 1);
    }
    const bool is_resumed = resumed > resumed_before;
    assert_non_null(strstr(info, is_resumed ? "resumed=1" : "resumed=0"));
    sum_before = sum;
    resumed_before = resumed;
    hal_net_close(&tls.net);
}

static void check_sessions(const char *name, struct tls_config config)
{
    set_wall(HAL_WALL_SET, NOW_S);
    init(&config);
    expect_session("localhost", name, 1, 0);
    for (unsigned i = 1; i <= 3; i++) {
        expect_session("localhost", name, 1, i);
    }
    /* The same again is the same. */
    config.ca_pem = text_of("ca.pem");
    assert_int_equal(tls_net_configure(&tls, &config), KWM_OK);
    expect_session("localhost", name, 1, 4);
    /* Another peer, if it were the same machine. */
    expect_session("127.0.0.1", name, 2, 4);
    expect_session("127.0.0.1", name, 2, 5);
    /* Other CAs, even if they, too, trust the server. */
    config.ca_pem = text_of("cas.pem");
    assert_int_equal(tls_net_configure(&tls, &config), KWM_OK);
    expect_session("127.0.0.1", name, 3, 5);
    /* Another name. */
    config.server_name = "localhost";
    assert_int_equal(tls_net_configure(&tls, &config), KWM_OK);
    expect_session("127.0.0.1", name, 4, 5);
    expect_session("127.0.0.1", name, 4, 6);
    /* The certificate's time is over: no session helps. */
    set_wall(HAL_WALL_SET, 1893456001);
    assert_int_equal(connect_to("127.0.0.1", name), KWM_ERR_VERIFY);
    assert_string_equal(
        tls.net.detail,
        "certificate of \"O=KWDB, CN=node\" expired on 2030-01-01 00:00:00 UTC, it is "
        "2030-01-01 00:00:01 UTC");
    hal_net_close(&tls.net);
    set_wall(HAL_WALL_SET, NOW_S);
    expect_session("127.0.0.1", name, 5, 6);
    tls_net_free(&tls);
}

static void test_sessions(void **state)
{
    (void)state;
    struct tls_config config = config_of("ca.pem");
    check_sessions("tls12", config);
#if defined(KWM_TLS13)
    config = config_of("ca.pem");
    config.allow_tls13 = true;
    check_sessions("good_rsa", config);
#endif
}

static void test_no_tickets(void **state)
{
    (void)state;
    const struct tls_config config = config_of("ca.pem");
    init(&config);
    assert_int_equal(connect_to("localhost", "no_tickets"), 1);
    hal_net_close(&tls.net);
    assert_int_equal(connect_to("localhost", "no_tickets"), 1);
    assert_int_equal(tls.net.info.full_handshakes + tls.net.info.resumed_handshakes, 2);
    tls_net_free(&tls);
}

/** A session that was made without verifying is none for a verified connection. */
static void test_insecure(void **state)
{
    (void)state;
    set_wall(HAL_WALL_SET, NOW_S);
    struct tls_config config = config_of(NULL);
    config.insecure_skip_verify = true;
    init(&config);
    const struct tls_config with_ca = {
        .ca_pem = text_of("ca.pem"),
        .ca_name = "tls_ca",
        .insecure_skip_verify = true,
        .wall = config.wall,
        .entropy = config.entropy,
    };
    assert_int_equal(connect_to("localhost", "expired"), 1);
    assert_false(tls.net.info.is_secure);
    assert_string_equal(
        tls.net.detail,
        "the server's certificate is not checked (insecure_skip_verify); it would be "
        "refused: certificate of \"O=KWDB, CN=node\" is issued by \"O=KWDB, CN=KWDB "
        "CA\" and not signed by any of the 0 CAs in tls_ca");
    hal_net_close(&tls.net);
    assert_int_equal(connect_to("localhost", "expired"), 1);
    assert_int_equal(tls.net.info.resumed_handshakes, 1);
    assert_false(tls.net.info.is_secure);
    assert_string_equal(tls.net.detail,
                        "the server's certificate is not checked (insecure_skip_verify)");
    hal_net_close(&tls.net);
    assert_int_equal(tls_net_configure(&tls, &with_ca), KWM_OK);
    assert_int_equal(connect_to("localhost", "expired"), 1);
    assert_int_equal(tls.net.info.full_handshakes, 2);
    assert_string_equal(
        tls.net.detail,
        "the server's certificate is not checked (insecure_skip_verify); it would be "
        "refused: certificate of \"O=KWDB, CN=node\" expired on 2026-01-31, it is "
        "2026-11-24");
    hal_net_close(&tls.net);
    assert_int_equal(connect_to("localhost", "elsewhere"), 1);
    hal_net_close(&tls.net);
    config = with_ca;
    config.insecure_skip_verify = false;
    assert_int_equal(tls_net_configure(&tls, &config), KWM_OK);
    assert_int_equal(connect_to("localhost", "elsewhere"), KWM_ERR_VERIFY);
    tls_net_free(&tls);
}

/* ---- What the server sees
 * -------------------------------------------------------------------------- */

static void test_server_view(void **state)
{
    (void)state;
    static const struct {
        const char *server;
        const char *host;
        const char *server_name;
        bool with_13;
        const char *expected;
    } rows[] = {
        {"tls12", "localhost", NULL, false,
         "sni=localhost resumed=0 alpn=http/1.1 version=TLSv1.2 client=-"},
        {"tls12", "127.0.0.1", NULL, false,
         "sni=- resumed=0 alpn=http/1.1 version=TLSv1.2 client=-"},
        {"tls12", "127.0.0.1", "localhost", false,
         "sni=localhost resumed=0 alpn=http/1.1 version=TLSv1.2 client=-"},
        {"good_rsa", "localhost", NULL, false,
         "sni=localhost resumed=0 alpn=http/1.1 version=TLSv1.2 client=-"},
#if defined(KWM_TLS13)
        {"good_rsa", "localhost", NULL, true,
         "sni=localhost resumed=0 alpn=http/1.1 version=TLSv1.3 client=-"},
        {"tls12", "localhost", NULL, true,
         "sni=localhost resumed=0 alpn=http/1.1 version=TLSv1.2 client=-"},
#endif
    };
    set_wall(HAL_WALL_SET, NOW_S);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls_config config = config_of("ca.pem");
        config.server_name = rows[i].server_name;
        config.allow_tls13 = rows[i].with_13;
        init(&config);
        print_message("  %s as %s\n", rows[i].server, rows[i].host);
        const int rc = connect_to(rows[i].host, rows[i].server);
        assert_string_equal(tls.net.detail, "");
        assert_int_equal(rc, 1);
        assert_string_equal(info_of_server(), rows[i].expected);
        tls_net_free(&tls);
    }
}

/** A server that has only 1.2 and prefers RSA-PSS is met by a second connection, but only once. */
static void test_both_versions_on_offer(void **state)
{
    (void)state;
#if defined(KWM_TLS13)
    set_wall(HAL_WALL_SET, NOW_S);
    struct tls_config config = config_of("ca.pem");
    config.allow_tls13 = true;
    init(&config);
    uint64_t received[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t before = tls.net.info.bytes_recv;
        assert_int_equal(connect_to("localhost", "no_tickets"), 1);
        assert_non_null(strstr(info_of_server(), "version=TLSv1.2"));
        hal_net_close(&tls.net);
        received[i] = tls.net.info.bytes_recv - before;
    }
    assert_true(received[0] > received[1] + 1000);
    assert_true(received[1] < received[2] + 100);
    assert_int_equal(tls.net.info.full_handshakes, 3);
    tls_net_free(&tls);
#else
    skip();
#endif
}

static void test_client_certificate(void **state)
{
    (void)state;
    set_wall(HAL_WALL_SET, NOW_S);
    for (unsigned with_13 = 0; with_13 < 2; with_13++) {
        struct tls_config config = config_of("ca.pem");
        config.allow_tls13 = with_13 == 1;
        config.cert_pem = text_of("client.pem");
        config.key_pem = text_of("client.key");
        init(&config);
        assert_int_equal(connect_to("localhost", "mutual"), 1);
        assert_non_null(strstr(info_of_server(), "client=gateway 17"));
        tls_net_free(&tls);
    }
    /* The server says why and closes; which of the two is met first is a matter of time. */
    const struct tls_config config = config_of("ca.pem");
    init(&config);
    const int rc = connect_to("localhost", "mutual");
    if (rc == KWM_ERR_PROTO) {
        assert_string_equal(
            tls.net.detail,
            "the server refused the TLS connection (alert 40, handshake failure: no "
            "cipher in common, or a client certificate is missing)");
    } else {
        assert_true(rc == KWM_ERR_CLOSED || rc == KWM_ERR_IO);
        assert_true(strlen(tls.net.detail) > 0);
    }
    tls_net_free(&tls);
}

/* ---- Failures that are no matter of trust
 * ------------------------------------------------------------ */

static void test_protocol_failures(void **state)
{
    (void)state;
    static const struct {
        const char *server;
        bool require_tls13;
        int err;
        const char *expected;
    } rows[] = {
        {"http", false, KWM_ERR_PROTO, "the server does not speak TLS on this port"},
        {"tls13", false, KWM_ERR_PROTO,
         "the server refused the TLS connection (alert 70, no TLS version in common)"},
        {"old_ciphers", false, KWM_ERR_PROTO,
         "the server refused the TLS connection (alert 40, handshake failure: no cipher in common, "
         "or a client certificate is missing)"},
        {"ends", false, KWM_ERR_CLOSED,
         "the server closed the connection during the TLS handshake"},
#if defined(KWM_TLS13)
        {"tls12", true, KWM_ERR_PROTO,
         "the server refused the TLS connection (alert 70, no TLS version in common)"},
#endif
    };
    set_wall(HAL_WALL_SET, NOW_S);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].server);
        struct tls_config config = config_of("ca.pem");
        config.require_tls13 = rows[i].require_tls13;
        init(&config);
        const int rc = connect_to("localhost", rows[i].server);
        assert_string_equal(tls.net.detail, rows[i].expected);
        assert_int_equal(rc, rows[i].err);
        tls_net_free(&tls);
    }
}

static void test_endings(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int err;
        const char *expected;
    } rows[] = {
        {"drop 0\n", KWM_ERR_IO, "the connection ended without TLS's closing message"},
        {"garbage 0\n", KWM_ERR_IO, "the TLS connection failed (-0x7200)"},
    };
    set_wall(HAL_WALL_SET, NOW_S);
    const struct tls_config config = config_of("ca.pem");
    init(&config);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[64];
        assert_int_equal(connect_to("localhost", "tls12"), 1);
        send_text(rows[i].command);
        assert_int_equal(read_line(line, sizeof(line)), rows[i].err);
        assert_string_equal(tls.net.detail, rows[i].expected);
        hal_net_close(&tls.net);
    }
    tls_net_free(&tls);
}

/** A record that our input buffer cannot take is told apart from everything else. */
static void test_large_record(void **state)
{
    (void)state;
    char line[64] = "";
    set_wall(HAL_WALL_SET, NOW_S);
    const struct tls_config config = config_of("ca.pem");
    init(&config);
    assert_int_equal(connect_to("localhost", "tls12"), 1);
    send_text("burst 16384\n"); /* OpenSSL makes one record of it */
    int rc = 0;
    size_t len = 0;
    uint8_t data[4096];
    while (len < 16384 && rc >= 0) {
        assert_true(linux_poll_wait(&poll_set, 100) >= 0);
        rc = hal_net_recv(&tls.net, data, sizeof(data));
        len += rc > 0 ? (size_t)rc : 0;
    }
#if MBEDTLS_SSL_IN_CONTENT_LEN >= 16384
    assert_int_equal(len, 16384);
#else
    assert_int_equal(rc, KWM_ERR_NOSPC);
    char expected[160];
    (void)snprintf(
        expected, sizeof(expected),
        "the server sent a TLS record of 16408 bytes, more than the %d of the input buffer",
        MBEDTLS_SSL_IN_CONTENT_LEN);
    assert_string_equal(tls.net.detail, expected);
    hal_net_close(&tls.net);
    assert_int_equal(connect_to("localhost", "tls12"), 1);
    assert_int_equal(tls.net.info.resumed_handshakes, 1);
#endif
    (void)line;
    tls_net_free(&tls);
}

#define HOG_LEN 2048U

/** Take memory until about room bytes are left. @return blocks taken. */
static size_t hog(void *blocks[], size_t room)
{
    size_t count = 0;
    while (tls_heap_used() + HOG_LEN + room < tls_heap_len()) {
        blocks[count] = mbedtls_calloc(1, HOG_LEN);
        if (blocks[count] == NULL) {
            break;
        }
        count++;
    }
    return count;
}

/** With any amount of memory the connection stands, or it is the memory that is blamed. */
static void test_out_of_memory(void **state)
{
    (void)state;
    set_wall(HAL_WALL_SET, NOW_S);
    const struct tls_config config = config_of("ca.pem");
    init(&config);
    unsigned failed = 0;
    unsigned connected = 0;
    uint32_t failures = tls_heap_failures();
    char expected[128];
    (void)snprintf(expected, sizeof(expected),
                   "out of memory in the TLS connection: its %zu bytes do not suffice",
                   tls_heap_len());
    for (size_t room = 1000; room < 40000; room += 250) {
        static void *blocks[sizeof(heap) / HOG_LEN];
        const size_t count = hog(blocks, room);
        const int rc = connect_to("localhost", "tls12");
        if (rc == 1) {
            connected++;
            /* A session may have been too much to keep; nothing else may have failed. */
            hal_net_close(&tls.net);
        } else {
            assert_int_equal(rc, KWM_ERR_IO);
            assert_string_equal(tls.net.detail, expected);
            assert_true(tls_heap_failures() > failures);
            failed++;
            hal_net_close(&tls.net);
        }
        failures = tls_heap_failures();
        for (size_t i = 0; i < count; i++) {
            mbedtls_free(blocks[i]);
        }
        /* The next one shall be a full handshake again. */
        struct tls_config other = config_of(room / 250 % 2 == 0 ? "ca.pem" : "cas.pem");
        assert_int_equal(tls_net_configure(&tls, &other), KWM_OK);
    }
    assert_true(failed > 20);
    assert_true(connected > 20);
    print_message("  %u connections failed, %u stood\n", failed, connected);
    tls_net_free(&tls);
}

/** There are no random numbers: no connection, and one as soon as there are. */
static int no_fill(struct hal_entropy *self, uint8_t *out, size_t len)
{
    (void)self;
    (void)out;
    (void)len;
    return KWM_ERR_IO;
}

static void test_no_entropy(void **state)
{
    (void)state;
    static const struct hal_entropy_ops none = {.fill = no_fill};
    const struct hal_entropy_ops *some = entropy.entropy.ops;
    set_wall(HAL_WALL_SET, NOW_S);
    struct tls_config config = config_of("ca.pem");
    init(&config);
    entropy.entropy.ops = &none;
    assert_int_equal(connect_to("localhost", "tls12"), KWM_ERR_IO);
    assert_string_equal(tls.net.detail, "no random numbers to be had yet, and TLS needs them");
    hal_net_close(&tls.net);
    config = config_of("ca.pem");
    config.cert_pem = text_of("client.pem");
    config.key_pem = text_of("client.key");
    assert_int_equal(tls_net_configure(&tls, &config), KWM_ERR_IO);
    assert_string_equal(tls.net.detail, "no random numbers to be had yet, and tls_key needs them");
    entropy.entropy.ops = some;
    assert_int_equal(connect_to("localhost", "tls12"), 1);
    tls_net_free(&tls);
}

/* ---- Configuration
 * ------------------------------------------------------------------------------------ */

static void test_bad_configuration(void **state)
{
    (void)state;
    static char cut[16384];
    (void)snprintf(cut, sizeof(cut), "%s", text_of("cas.pem"));
    cut[strlen(cut) - 60] = '\0';
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    const struct {
        const char *ca;
        const char *cert;
        const char *key;
        const char *password;
        const char *server_name;
        const char *expected;
    } rows[] = {
        {"", NULL, NULL, NULL, NULL, "tls_ca is empty: without a CA no server can be trusted"},
        {"no PEM", NULL, NULL, NULL, NULL,
         "tls_ca has no certificate in it: PEM is needed, with a line -----BEGIN CERTIFICATE-----"},
        {cut, NULL, NULL, NULL, NULL, "tls_ca ends in the middle of a certificate"},
        {text_of("ca_constrained.pem"), NULL, NULL, NULL, NULL,
         "tls_ca has no certificate that can be read (-0x2562)"},
        {NULL, text_of("client.pem"), NULL, NULL, NULL, "tls_cert is set without tls_key"},
        {NULL, NULL, text_of("client.key"), NULL, NULL, "tls_key is set without tls_cert"},
        {NULL, text_of("client.pem"), text_of("rsa.key"), NULL, NULL,
         "tls_key is not the key of the certificate in tls_cert"},
        {NULL, text_of("client.pem"), text_of("client.pem"), NULL, NULL,
         "tls_key cannot be read (-0x3d00)"},
        {NULL, text_of("client.pem"), text_of("locked.key"), "secret", NULL,
         "tls_key is encrypted in a way that is not supported: write it without a password "
         "(openssl "
         "pkey -in KEY -out NEWKEY)"},
        {NULL, NULL, NULL, NULL, long_name, "tls_server_name is longer than 253 bytes"},
    };
    set_wall(HAL_WALL_SET, NOW_S);
    const struct tls_config good = config_of("ca.pem");
    init(&good);
    const size_t used = tls_heap_used();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls_config config = config_of("ca.pem");
        config.ca_pem = rows[i].ca != NULL ? rows[i].ca : config.ca_pem;
        config.cert_pem = rows[i].cert;
        config.key_pem = rows[i].key;
        config.key_password = rows[i].password;
        config.server_name = rows[i].server_name;
        const int rc = tls_net_configure(&tls, &config);
        assert_string_equal(tls.net.detail, rows[i].expected);
        assert_int_equal(rc, KWM_ERR_INVAL);
        assert_int_equal(tls_heap_used(), used);
    }
    /* The old one is still in force. */
    assert_int_equal(connect_to("localhost", "tls12"), 1);
    assert_int_equal(tls_net_configure(&tls, &good), KWM_ERR_STATE);
    hal_net_close(&tls.net);

    static void *blocks[sizeof(heap) / HOG_LEN];
    const size_t count = hog(blocks, 1000);
    const struct tls_config config = config_of("cas.pem");
    assert_int_equal(tls_net_configure(&tls, &config), KWM_ERR_NOSPC);
    assert_string_equal(tls.net.detail,
                        "the certificates do not fit the TLS memory of 262144 bytes");
    for (size_t i = 0; i < count; i++) {
        mbedtls_free(blocks[i]);
    }
    assert_int_equal(connect_to("localhost", "tls12"), 1);
    tls_net_free(&tls);
}

static int set_up(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *cert;
        const char *more;
    } servers[] = {
        {"good_rsa", "good_rsa", ""},
        {"good_ec", "good_ec", ""},
        {"chain", "chain", ""},
        {"leaf", "leaf", ""},
        {"self", "self", ""},
        {"nameless", "nameless", ""},
        {"elsewhere", "elsewhere", ""},
        {"expired", "expired", ""},
        {"future", "future", ""},
        {"odd", "odd", ""},
        {"client_only", "client_only", ""},
        {"sha1", "sha1", ""},
        {"rsa1024", "rsa1024", ""},
        {"by_1024", "by_1024", ""},
        {"critical", "critical", ""},
        {"chain_constrained", "chain_constrained", ""},
        {"tls12", "good_rsa", ",max=1.2"},
        {"tls13", "good_rsa", ",min=1.3"},
        {"no_tickets", "good_rsa", ",max=1.2,no_tickets"},
        {"old_ciphers", "good_rsa", ",max=1.2,ciphers=AES128-SHA"},
        {"mutual", "good_rsa", ",client_ca="},
    };
    static char texts[sizeof(servers) / sizeof(servers[0])][256];
    const char *listen[PEER_PORTS_MAX] = {"http,http", "ends,ends"};
    size_t count = 2;
    assert_non_null(mkdtemp(certs));
    peer_run((const char *const[]){"python3", KWM_TESTS_DIR "/support/make_certs.py", certs, NULL});
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        const bool is_mutual = strcmp(servers[i].name, "mutual") == 0;
        (void)snprintf(texts[i], sizeof(texts[i]), "%s,cert=%s/%s.pem,key=%s/%s.key%s%s%s",
                       servers[i].name, certs, servers[i].cert, certs, servers[i].cert,
                       servers[i].more, is_mutual ? certs : "", is_mutual ? "/ca.pem" : "");
        listen[count] = texts[i];
        count++;
    }
    peer_start(&peer, listen);
    linux_resolver_init(&resolver, &poll_set);
    linux_entropy_init(&entropy);
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
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_unread_root),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_validity_is_told),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_no_tickets),
        cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_server_view),
        cmocka_unit_test(test_both_versions_on_offer),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_protocol_failures),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_large_record),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_no_entropy),
        cmocka_unit_test(test_bad_configuration),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
