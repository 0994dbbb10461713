/* SPDX-License-Identifier: MIT */
#include "conformance_net.h"

#include <stdio.h>
#include <string.h>

#include "support.h"

/** So long may one step take: the slowest machine, under sanitizers. */
#define PATIENCE_MS 20000U
/** Larger than what kernels and TLS keep on the way: Linux lets a socket's buffer grow to 4 MiB. */
#define BIG_LEN 8000000U
#define CHUNK_LEN 20000U

/** Whether the sender ever met its limits in the run of a suite. */
static unsigned held_up_count;

uint8_t conformance_pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 256);
}

static uint64_t deadline(const struct conformance_net *subject)
{
    return subject->now_ms(subject->ctx) + PATIENCE_MS;
}

/** Wait a little, within the deadline. */
static void wait_a_little(const struct conformance_net *subject, uint64_t deadline_ms)
{
    assert_true(subject->now_ms(subject->ctx) < deadline_ms);
    subject->idle(subject->ctx, CONFORMANCE_IDLE_MS);
}

/** @return what poll() ends with. */
static int poll_to_end(const struct conformance_net *subject)
{
    const uint64_t deadline_ms = deadline(subject);
    for (;;) {
        const int rc = hal_net_poll(subject->net, subject->now_ms(subject->ctx));
        if (rc != 0) {
            return rc;
        }
        wait_a_little(subject, deadline_ms);
    }
}

static int open_situation(const struct conformance_net *subject,
                          enum conformance_situation situation)
{
    const struct hal_net_peer *peer = subject->arrange(subject->ctx, situation);
    if (peer == NULL) {
        return KWM_ERR_NOENT;
    }
    return hal_net_open(subject->net, peer, subject->now_ms(subject->ctx));
}

static void connect_served(const struct conformance_net *subject)
{
    assert_int_equal(open_situation(subject, CONFORMANCE_SERVED), KWM_OK);
    assert_int_equal(poll_to_end(subject), 1);
}

/** One send() out of a buffer that is scribbled over afterwards: what was taken was copied, and
 *  what was not taken may come from elsewhere next time. @return bytes taken. */
static size_t send_some(const struct conformance_net *subject, const uint8_t *data, size_t len)
{
    static uint8_t scratch[CHUNK_LEN];
    assert_true(len <= sizeof(scratch));
    memcpy(scratch, data, len);
    const int rc = hal_net_send(subject->net, scratch, len);
    memset(scratch, 0xee, sizeof(scratch));
    assert_true(rc >= 0 && (size_t)rc <= len);
    held_up_count += (size_t)rc < len ? 1U : 0U;
    return (size_t)rc;
}

static void send_all(const struct conformance_net *subject, const void *data, size_t len)
{
    const uint64_t deadline_ms = deadline(subject);
    size_t done = 0;
    while (done < len) {
        const size_t left = len - done;
        const size_t taken =
            send_some(subject, (const uint8_t *)data + done, left < CHUNK_LEN ? left : CHUNK_LEN);
        done += taken;
        if (taken == 0) {
            wait_a_little(subject, deadline_ms);
        }
    }
}

static void command(const struct conformance_net *subject, const char *verb, size_t number)
{
    char line[64];
    const int len = snprintf(line, sizeof(line), "%s %zu\n", verb, number);
    send_all(subject, line, (size_t)len);
}

/** One recv() that waits. @return bytes, or the error. */
static int recv_some(const struct conformance_net *subject, uint8_t *out, size_t cap)
{
    const uint64_t deadline_ms = deadline(subject);
    for (;;) {
        const int rc = hal_net_recv(subject->net, out, cap);
        assert_true(rc <= (int)cap);
        if (rc != 0) {
            return rc;
        }
        wait_a_little(subject, deadline_ms);
    }
}

static void expect_bytes(const struct conformance_net *subject, const void *expected, size_t len)
{
    uint8_t got[256];
    assert_true(len <= sizeof(got));
    size_t done = 0;
    while (done < len) {
        const int rc = recv_some(subject, got + done, len - done);
        assert_true(rc > 0);
        done += (size_t)rc;
    }
    assert_memory_equal(got, expected, len);
}

static void expect_pattern(const struct conformance_net *subject, size_t len, size_t cap)
{
    static uint8_t got[CHUNK_LEN];
    size_t done = 0;
    while (done < len) {
        const size_t left = len - done;
        const int rc = recv_some(subject, got, left < cap ? left : cap);
        assert_true(rc > 0);
        for (size_t i = 0; i < (size_t)rc; i++) {
            if (got[i] != conformance_pattern(done + i)) {
                fail_msg("byte %zu is %u", done + i, got[i]);
            }
        }
        done += (size_t)rc;
    }
}

static void expect_echo(const struct conformance_net *subject, const char *text)
{
    command(subject, "echo", strlen(text));
    send_all(subject, text, strlen(text));
    expect_bytes(subject, text, strlen(text));
}

static void case_echo(const struct conformance_net *subject)
{
    connect_served(subject);
    assert_int_equal(hal_net_poll(subject->net, subject->now_ms(subject->ctx)), 1);
    expect_echo(subject, "cpu,host=a usage=1.5 1700000000000");
    expect_echo(subject, "and again");
    assert_int_equal(hal_net_poll(subject->net, subject->now_ms(subject->ctx)), 1);
    assert_true(subject->net->info.bytes_sent > 0);
    assert_true(subject->net->info.bytes_recv > 0);
    hal_net_close(subject->net);
}

static void case_close_twice(const struct conformance_net *subject)
{
    hal_net_close(subject->net);
    assert_int_equal(open_situation(subject, CONFORMANCE_SERVED), KWM_OK);
    hal_net_close(subject->net);
    hal_net_close(subject->net);
    connect_served(subject);
    hal_net_close(subject->net);
    hal_net_close(subject->net);
}

static void case_open_while_open(const struct conformance_net *subject)
{
    assert_int_equal(open_situation(subject, CONFORMANCE_SERVED), KWM_OK);
    assert_int_equal(open_situation(subject, CONFORMANCE_SERVED), KWM_ERR_STATE);
    assert_int_equal(poll_to_end(subject), 1);
    assert_int_equal(open_situation(subject, CONFORMANCE_SERVED), KWM_ERR_STATE);
    expect_echo(subject, "still there");
    hal_net_close(subject->net);
}

static void case_impossible_peer(const struct conformance_net *subject)
{
    char long_host[HAL_NET_HOST_LEN_MAX + 2];
    memset(long_host, 'a', sizeof(long_host) - 1);
    long_host[sizeof(long_host) - 1] = '\0';
    const struct hal_net_peer peers[] = {
        {.host = "", .port = 80},
        {.host = "localhost", .port = 0},
        {.host = long_host, .port = 80},
    };
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        assert_int_equal(hal_net_open(subject->net, &peers[i], subject->now_ms(subject->ctx)),
                         KWM_ERR_INVAL);
    }
    connect_served(subject);
    hal_net_close(subject->net);
}

/** A connection that fails, and the next one is none the worse for it. */
static void expect_failure(const struct conformance_net *subject,
                           enum conformance_situation situation, int expected)
{
    if (subject->arrange(subject->ctx, situation) == NULL) {
        return;
    }
    assert_int_equal(open_situation(subject, situation), KWM_OK);
    assert_int_equal(poll_to_end(subject), expected);
    assert_true(strlen(subject->net->detail) > 0);
    hal_net_close(subject->net);
    assert_true(strlen(subject->net->detail) > 0);
    connect_served(subject);
    assert_string_equal(subject->net->detail, "");
    expect_echo(subject, "after a failure");
    hal_net_close(subject->net);
}

static void case_refused(const struct conformance_net *subject)
{
    expect_failure(subject, CONFORMANCE_REFUSED, KWM_ERR_IO);
}

static void case_no_name(const struct conformance_net *subject)
{
    expect_failure(subject, CONFORMANCE_NO_NAME, KWM_ERR_NOENT);
}

static void case_never_completes(const struct conformance_net *subject)
{
    if (subject->arrange(subject->ctx, CONFORMANCE_STUCK) == NULL) {
        return;
    }
    assert_int_equal(open_situation(subject, CONFORMANCE_STUCK), KWM_OK);
    const uint64_t end_ms = subject->now_ms(subject->ctx) + 700;
    while (subject->now_ms(subject->ctx) < end_ms) {
        assert_int_equal(hal_net_poll(subject->net, subject->now_ms(subject->ctx)), 0);
        subject->idle(subject->ctx, 50);
    }
    hal_net_close(subject->net);
    connect_served(subject);
    expect_echo(subject, "after one that hung");
    hal_net_close(subject->net);
}

static void case_orderly_end(const struct conformance_net *subject)
{
    uint8_t byte;
    connect_served(subject);
    command(subject, "close", 0);
    expect_bytes(subject, "bye", 3);
    assert_int_equal(recv_some(subject, &byte, 1), KWM_ERR_CLOSED);
    hal_net_close(subject->net);
    connect_served(subject);
    hal_net_close(subject->net);
}

static void case_reset(const struct conformance_net *subject)
{
    uint8_t byte;
    connect_served(subject);
    command(subject, "reset", 0);
    assert_int_equal(recv_some(subject, &byte, 1), KWM_ERR_IO);
    assert_true(strlen(subject->net->detail) > 0);
    hal_net_close(subject->net);
    connect_served(subject);
    hal_net_close(subject->net);
}

static void case_big_recv(const struct conformance_net *subject)
{
    connect_served(subject);
    command(subject, "send", 1000);
    expect_pattern(subject, 1000, 1);
    command(subject, "send", BIG_LEN);
    expect_pattern(subject, BIG_LEN, CHUNK_LEN);
    expect_echo(subject, "nothing too much");
    hal_net_close(subject->net);
}

static void case_big_send(const struct conformance_net *subject)
{
    static uint8_t data[CHUNK_LEN];
    connect_served(subject);
    command(subject, "count", BIG_LEN);
    held_up_count = 0;
    for (size_t done = 0; done < BIG_LEN; done += CHUNK_LEN) {
        for (size_t i = 0; i < CHUNK_LEN; i++) {
            data[i] = conformance_pattern(done + i);
        }
        send_all(subject, data, CHUNK_LEN);
    }
    /* Else the case has shown nothing. */
    assert_true(held_up_count > 0);
    expect_bytes(subject, "ok\n", 3);
    hal_net_close(subject->net);
}

/** Both directions at once, sizes at random. */
static void case_duplex(const struct conformance_net *subject)
{
    static uint8_t data[CHUNK_LEN];
    const size_t len = 400000;
    uint64_t random = support_seed();
    const uint64_t deadline_ms = deadline(subject);
    size_t sent = 0;
    size_t received = 0;
    connect_served(subject);
    command(subject, "echo", len);
    while (received < len) {
        size_t part = 1 + support_random(&random) % 3000;
        part = part < len - sent ? part : len - sent;
        for (size_t i = 0; i < part; i++) {
            data[i] = conformance_pattern(sent + i);
        }
        const size_t taken = part > 0 ? send_some(subject, data, part) : 0;
        sent += taken;
        size_t got = 0;
        for (unsigned turn = 0; turn < 3; turn++) {
            const int rc = hal_net_recv(subject->net, data, 1 + support_random(&random) % 4000);
            if (rc < 0) {
                fail_msg("after %zu bytes: %d %s", received, rc, subject->net->detail);
            }
            for (size_t i = 0; i < (size_t)rc; i++) {
                assert_int_equal(data[i], conformance_pattern(received + got + i));
            }
            got += (size_t)rc;
        }
        received += got;
        if (taken == 0 && got == 0) {
            wait_a_little(subject, deadline_ms);
        }
    }
    hal_net_close(subject->net);
}

/** What an earlier connection left on the way does not reach the next one. */
static void case_close_in_the_middle(const struct conformance_net *subject)
{
    uint8_t byte;
    for (unsigned i = 0; i < 5; i++) {
        connect_served(subject);
        command(subject, "send", 100000);
        assert_int_equal(recv_some(subject, &byte, 1), 1);
        hal_net_close(subject->net);
    }
    connect_served(subject);
    expect_echo(subject, "only this");
    hal_net_close(subject->net);
}

void conformance_net_run(const struct conformance_net *subject)
{
    static const struct {
        const char *name;
        void (*run)(const struct conformance_net *subject);
    } cases[] = {
        {"echo", case_echo},
        {"close twice", case_close_twice},
        {"open while open", case_open_while_open},
        {"impossible peer", case_impossible_peer},
        {"refused", case_refused},
        {"name not found", case_no_name},
        {"never completes", case_never_completes},
        {"orderly end", case_orderly_end},
        {"reset", case_reset},
        {"big receive", case_big_recv},
        {"big send, slow peer", case_big_send},
        {"both directions", case_duplex},
        {"close in the middle", case_close_in_the_middle},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  %s: %s\n", subject->name, cases[i].name);
        cases[i].run(subject);
        hal_net_close(subject->net);
    }
}
