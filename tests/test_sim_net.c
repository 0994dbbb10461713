/* SPDX-License-Identifier: MIT */
/* Goal:   sim/sim_net.h keeps hal/net.h's contract, is exact about its faults, panics on misuse.
 * Method: each fault at its boundary, in virtual time; each misuse expected to panic. */
#include "support.h"

#include <string.h>

#include "sim/sim_net.h"

static struct sim_net sim;
static struct hal_net *const net = &sim.net;
static uint64_t now_ms;
static char heard[256];
static size_t heard_len;
static unsigned open_count, close_count;
static const struct hal_net_peer somebody = {.host = "host", .port = 80};

static void on_open(void *ctx, struct sim_net *whose)
{
    assert_ptr_equal(ctx, heard);
    assert_ptr_equal(whose, &sim);
    open_count++;
}

static void on_bytes(void *ctx, struct sim_net *whose, const uint8_t *data, size_t len)
{
    assert_ptr_equal(ctx, heard);
    assert_ptr_equal(whose, &sim);
    assert_true(heard_len + len <= sizeof(heard));
    memcpy(heard + heard_len, data, len);
    heard_len += len;
}

static void on_close(void *ctx, struct sim_net *whose)
{
    (void)ctx;
    (void)whose;
    close_count++;
}

static void begin(void)
{
    const struct sim_peer peer = {
        .on_open = on_open, .on_bytes = on_bytes, .on_close = on_close, .ctx = heard};
    now_ms = UINT64_C(1) << 32;
    heard_len = 0;
    open_count = 0;
    close_count = 0;
    sim_net_init(&sim, &now_ms, &peer);
}

static void connect(void)
{
    begin();
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    assert_int_equal(hal_net_poll(net, now_ms), 1);
}

static int send_text(const char *text)
{
    return hal_net_send(net, (const uint8_t *)text, strlen(text));
}

static int recv_byte(void)
{
    uint8_t byte;
    const int rc = hal_net_recv(net, &byte, 1);
    return rc == 1 ? byte : rc;
}

static void test_open(void **state)
{
    (void)state;
    begin();
    sim.script.connect_ms = 30;
    sim.script.is_secure = true;
    sim.script.not_before_s = 5;
    sim.script.not_after_s = 9;
    sim.script.detail = "refused";
    assert_int_equal(sim_net_next_event_ms(&sim), SIM_NET_NEVER);
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_ERR_STATE);
    assert_int_equal(hal_net_poll(net, now_ms), 0);
    assert_int_equal(sim_net_next_event_ms(&sim), now_ms + 30);
    assert_false(net->info.is_secure);
    now_ms += 30;
    assert_int_equal(open_count, 0);
    assert_int_equal(hal_net_poll(net, now_ms), 1);
    assert_int_equal(hal_net_poll(net, now_ms), 1);
    assert_int_equal(open_count, 1);
    assert_true(net->info.is_secure);
    assert_int_equal(net->info.not_before_s, 5);
    assert_int_equal(net->info.not_after_s, 9);
    assert_int_equal(net->info.full_handshakes, 1);
    hal_net_close(net);
    hal_net_close(net);
    assert_int_equal(close_count, 1);
    sim.script.connect_err = KWM_ERR_IO;
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    assert_int_equal(net->info.not_after_s, 0);
    assert_string_equal(net->detail, "");
    now_ms += 30;
    assert_int_equal(hal_net_poll(net, now_ms), KWM_ERR_IO);
    assert_string_equal(net->detail, "refused");
    hal_net_close(net);
    assert_int_equal(close_count, 1); /* it never stood */
    const struct hal_net_peer bad[] = {{.host = "", .port = 80}, {.host = "host", .port = 0}};
    assert_int_equal(hal_net_open(net, &bad[0], now_ms), KWM_ERR_INVAL);
    assert_int_equal(hal_net_open(net, &bad[1], now_ms), KWM_ERR_INVAL);
    sim.script.connect_ms = SIM_NET_NEVER;
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    assert_int_equal(hal_net_poll(net, now_ms), 0);
    assert_int_equal(sim_net_next_event_ms(&sim), SIM_NET_NEVER);
}

static void test_times(void **state)
{
    (void)state;
    connect();
    sim_net_push(&sim, "b", 1, now_ms + 20);
    sim_net_push(&sim, "c", 1, now_ms + 10); /* a stream: not before b */
    sim_net_close_at(&sim, now_ms, SIM_NET_ORDERLY);
    assert_int_equal(sim_net_next_event_ms(&sim), now_ms + 20);
    assert_int_equal(recv_byte(), 0);
    now_ms += 20;
    assert_int_equal(sim_net_next_event_ms(&sim), SIM_NET_NEVER);
    assert_int_equal(send_text("gone"), 4); /* the peer has ended, which the sender cannot know */
    assert_int_equal(heard_len, 0);
    assert_int_equal(recv_byte(), 'b');
    assert_int_equal(recv_byte(), 'c');
    assert_int_equal(recv_byte(), KWM_ERR_CLOSED);
    hal_net_close(net);
    connect();
    sim_net_push(&sim, "b", 1, now_ms + 20);
    sim_net_close_at(&sim, now_ms + 10, SIM_NET_RESET); /* takes b with it */
    assert_int_equal(sim_net_next_event_ms(&sim), now_ms + 10);
    assert_int_equal(send_text("x"), 1);
    now_ms += 20;
    assert_int_equal(send_text("x"), KWM_ERR_IO);
    assert_int_equal(sim_net_next_event_ms(&sim), SIM_NET_NEVER);
    hal_net_close(net);
    sim_net_push(&sim, "late", 4, now_ms);
    sim_net_close_at(&sim, now_ms, SIM_NET_RESET);
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    assert_int_equal(hal_net_poll(net, now_ms), 1);
    assert_int_equal(recv_byte(), 0);
}

static void test_limits(void **state)
{
    (void)state;
    connect();
    sim.script.send_len_max = 3;
    sim.script.recv_len_max = 2;
    sim.script.send_stall_len = 5;
    sim.script.recv_stall_len = 3;
    assert_int_equal(send_text("abcdef"), 3);
    assert_int_equal(send_text("def"), 2);
    assert_int_equal(send_text("f"), 0);
    assert_memory_equal(heard, "abcde", 5);
    uint8_t data[8];
    sim_net_push(&sim, "12345", 5, now_ms);
    sim_net_close_at(&sim, now_ms + 1, SIM_NET_ORDERLY);
    assert_int_equal(hal_net_recv(net, data, sizeof(data)), 2);
    assert_int_equal(hal_net_recv(net, data, sizeof(data)), 1);
    assert_int_equal(data[0], '3');
    assert_int_equal(hal_net_recv(net, data, sizeof(data)), 0);
    assert_int_equal(sim_net_next_event_ms(&sim), SIM_NET_NEVER);
    now_ms += 100;
    assert_int_equal(hal_net_recv(net, data, sizeof(data)), 0); /* nor an end */
    assert_int_equal(net->info.bytes_sent, 5);
    assert_int_equal(net->info.bytes_recv, 3);
}

static void test_resets(void **state)
{
    (void)state;
    connect();
    sim.script.send_reset_len = 4;
    assert_int_equal(send_text("abcdef"), 4);
    assert_int_equal(recv_byte(), KWM_ERR_IO);
    assert_int_equal(sim.script.send_reset_len, SIM_NET_NEVER);
    hal_net_close(net);
    assert_int_equal(close_count, 1);
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    assert_int_equal(hal_net_poll(net, now_ms), 1);
    sim.script.recv_reset_len = 2;
    sim.script.reset_err = KWM_ERR_NOSPC;
    sim_net_push(&sim, "123", 3, now_ms);
    uint8_t data[8];
    assert_int_equal(send_text("abcdef"), 6);
    assert_int_equal(hal_net_recv(net, data, sizeof(data)), 2);
    assert_int_equal(hal_net_recv(net, data, sizeof(data)), KWM_ERR_NOSPC);
    hal_net_close(net);
}

static void test_misuse(void **state)
{
    (void)state;
    static uint8_t data[4];
    int rc = 0;
    begin();
    expect_assert_failure(rc = hal_net_poll(net, now_ms));
    expect_assert_failure(rc = send_text("a"));
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    expect_assert_failure(rc = send_text("a"));
    expect_assert_failure(rc = hal_net_recv(net, data, sizeof(data)));
    expect_assert_failure(rc = hal_net_poll(net, now_ms + 1)); /* another clock than the net's */
    connect();
    expect_assert_failure(rc = send_text(""));
    expect_assert_failure(rc = hal_net_recv(net, data, 0));
    sim_net_close_at(&sim, now_ms, SIM_NET_ORDERLY);
    expect_assert_failure(sim_net_push(&sim, "a", 1, now_ms));
    assert_int_equal(recv_byte(), KWM_ERR_CLOSED);
    expect_assert_failure(rc = recv_byte());
    expect_assert_failure(rc = send_text("a"));
    expect_assert_failure(rc = hal_net_poll(net, now_ms));
    begin();
    static char host[] = "host";
    const struct hal_net_peer moving = {.host = host, .port = 80};
    assert_int_equal(hal_net_open(net, &moving, now_ms), KWM_OK);
    host[0] = 'x';
    expect_assert_failure(rc = hal_net_poll(net, now_ms));
    begin();
    sim.script.open_err = KWM_ERR_INVAL;
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_ERR_INVAL);
    expect_assert_failure(rc = hal_net_poll(net, now_ms));
    hal_net_close(net);
    sim.script.open_err = KWM_OK;
    assert_int_equal(hal_net_open(net, &somebody, now_ms), KWM_OK);
    (void)rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),   cmocka_unit_test(test_times),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_resets), cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
