/* SPDX-License-Identifier: MIT */
#include "sim_net.h"

#include <string.h>

#include "hal/assert.h"

enum state { STATE_CLOSED, STATE_CONNECTING, STATE_CONNECTED, STATE_FAILED };

static size_t least(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

/* What is left until a limit of the script; a limit below what has passed is reached. */
static uint64_t left_until(uint64_t limit_len, uint64_t done_len)
{
    return limit_len > done_len ? limit_len - done_len : 0;
}

static struct sim_net *of(struct hal_net *net)
{
    struct sim_net *sim = (struct sim_net *)(void *)net;
    sim->call_count++;
    return sim;
}

static int fail(struct sim_net *sim, int err)
{
    KWM_ASSERT(err < 0);
    sim->state = sim->state == STATE_CONNECTED ? STATE_FAILED : STATE_CLOSED;
    sim->net.detail = sim->script.detail;
    return err;
}

static void forget(struct sim_net *sim)
{
    sim->piece_count = 0;
    sim->inbox_len = 0;
    sim->has_end = false;
}

/* Whether the script wants this very call to fail. */
static bool is_doomed(const struct sim_net *sim)
{
    return sim->script.fail_call != 0 && sim->call_count == sim->script.fail_call;
}

/* An error ended it, and close() is due. */
static bool is_usable(const struct sim_net *sim)
{
    return sim->is_open && (sim->state == STATE_CONNECTING || sim->state == STATE_CONNECTED);
}

static int sim_open(struct hal_net *net, const struct hal_net_peer *peer, uint64_t now_ms)
{
    struct sim_net *sim = of(net);
    KWM_ASSERT(now_ms == *sim->clock_ms);
    if (sim->is_open) {
        return KWM_ERR_STATE;
    }
    const size_t host_len = strlen(peer->host);
    if (host_len == 0 || host_len > HAL_NET_HOST_LEN_MAX || peer->port == 0) {
        return KWM_ERR_INVAL;
    }
    memcpy(sim->host, peer->host, host_len + 1);
    sim->host_given = peer->host;
    sim->port = peer->port;
    sim->is_open = true;
    sim->open_count++;
    sim->net.detail = "";
    sim->net.info.not_before_s = 0;
    sim->net.info.not_after_s = 0;
    sim->net.info.is_secure = false;
    forget(sim);
    if (sim->script.open_err != KWM_OK) {
        return fail(sim, sim->script.open_err);
    }
    if (is_doomed(sim)) {
        return fail(sim, sim->script.fail_err);
    }
    sim->state = STATE_CONNECTING;
    sim->connect_at_ms = sim->script.connect_ms > SIM_NET_NEVER - now_ms
                             ? SIM_NET_NEVER
                             : now_ms + sim->script.connect_ms;
    return KWM_OK;
}

static int sim_poll(struct hal_net *net, uint64_t now_ms)
{
    struct sim_net *sim = of(net);
    KWM_ASSERT(is_usable(sim));
    KWM_ASSERT(now_ms == *sim->clock_ms);
    KWM_ASSERT(strcmp(sim->host, sim->host_given) == 0);
    if (is_doomed(sim)) {
        return fail(sim, sim->script.fail_err);
    }
    if (sim->state == STATE_CONNECTED) {
        return 1;
    }
    if (sim->connect_at_ms == SIM_NET_NEVER || now_ms < sim->connect_at_ms) {
        return 0;
    }
    if (sim->script.connect_err != KWM_OK) {
        return fail(sim, sim->script.connect_err);
    }
    sim->state = STATE_CONNECTED;
    sim->net.info.is_secure = sim->script.is_secure;
    if (sim->script.is_secure) {
        sim->net.info.not_before_s = sim->script.not_before_s;
        sim->net.info.not_after_s = sim->script.not_after_s;
        sim->net.info.full_handshakes++;
        sim->net.info.handshake_ms = (uint32_t)sim->script.connect_ms;
    }
    if (sim->peer.on_open != NULL) {
        sim->peer.on_open(sim->peer.ctx, sim);
    }
    return 1;
}

/* @return whether the connection is reset by now. */
static bool is_reset(struct sim_net *sim)
{
    struct sim_net_script *script = &sim->script;
    if (sim->net.info.bytes_sent >= script->send_reset_len) {
        script->send_reset_len = SIM_NET_NEVER;
        return true;
    }
    return sim->has_end && sim->end == SIM_NET_RESET && sim->end_at_ms <= *sim->clock_ms;
}

static int sim_send(struct hal_net *net, const uint8_t *data, size_t len)
{
    struct sim_net *sim = of(net);
    const struct sim_net_script *script = &sim->script;
    KWM_ASSERT(is_usable(sim) && sim->state == STATE_CONNECTED);
    KWM_ASSERT(data != NULL && len > 0);
    KWM_ASSERT(strcmp(sim->host, sim->host_given) == 0);
    if (is_doomed(sim)) {
        return fail(sim, script->fail_err);
    }
    if (is_reset(sim)) {
        return fail(sim, script->reset_err);
    }
    const uint64_t sent = sim->net.info.bytes_sent;
    size_t taken = script->send_len_max > 0 ? least(len, script->send_len_max) : len;
    taken = least(taken, left_until(script->send_stall_len, sent));
    taken = least(taken, left_until(script->send_reset_len, sent));
    sim->net.info.bytes_sent += taken;
    const bool is_heard = !script->is_deaf && (!sim->has_end || sim->end_at_ms > *sim->clock_ms);
    if (taken > 0 && is_heard && sim->peer.on_bytes != NULL) {
        sim->peer.on_bytes(sim->peer.ctx, sim, data, taken);
    }
    return (int)taken;
}

static void take_out(struct sim_net *sim, uint8_t *data, size_t len)
{
    memcpy(data, sim->inbox, len);
    sim->inbox_len -= len;
    memmove(sim->inbox, sim->inbox + len, sim->inbox_len);
    sim->pieces[0].len -= len;
    if (sim->pieces[0].len == 0) {
        sim->piece_count--;
        memmove(sim->pieces, sim->pieces + 1, sim->piece_count * sizeof(sim->pieces[0]));
    }
}

static int sim_recv(struct hal_net *net, uint8_t *data, size_t cap)
{
    struct sim_net *sim = of(net);
    struct sim_net_script *script = &sim->script;
    KWM_ASSERT(is_usable(sim) && sim->state == STATE_CONNECTED);
    KWM_ASSERT(data != NULL && cap > 0);
    KWM_ASSERT(strcmp(sim->host, sim->host_given) == 0);
    if (is_doomed(sim)) {
        return fail(sim, script->fail_err);
    }
    if (is_reset(sim)) {
        return fail(sim, script->reset_err);
    }
    const uint64_t received = sim->net.info.bytes_recv;
    const uint64_t stall_left = left_until(script->recv_stall_len, received);
    if (stall_left == 0) {
        return 0;
    }
    if (sim->piece_count == 0) {
        return sim->has_end && sim->end_at_ms <= *sim->clock_ms ? fail(sim, KWM_ERR_CLOSED) : 0;
    }
    if (sim->pieces[0].at_ms > *sim->clock_ms) {
        return 0;
    }
    const uint64_t reset_left = left_until(script->recv_reset_len, received);
    if (reset_left == 0) {
        script->recv_reset_len = SIM_NET_NEVER;
        return fail(sim, script->reset_err);
    }
    size_t given = least(cap, sim->pieces[0].len);
    given = script->recv_len_max > 0 ? least(given, script->recv_len_max) : given;
    given = least(given, stall_left);
    given = least(given, reset_left);
    take_out(sim, data, given);
    sim->net.info.bytes_recv += given;
    return (int)given;
}

static void sim_close(struct hal_net *net)
{
    struct sim_net *sim = of(net);
    const bool was_connected = sim->state == STATE_CONNECTED || sim->state == STATE_FAILED;
    sim->state = STATE_CLOSED;
    sim->is_open = false;
    forget(sim);
    if (was_connected && sim->peer.on_close != NULL) {
        sim->peer.on_close(sim->peer.ctx, sim);
    }
}

static const struct hal_net_ops sim_ops = {
    .open = sim_open,
    .poll = sim_poll,
    .send = sim_send,
    .recv = sim_recv,
    .close = sim_close,
};

void sim_net_init(struct sim_net *sim, const uint64_t *clock_ms, const struct sim_peer *peer)
{
    KWM_ASSERT(sim != NULL && clock_ms != NULL && peer != NULL);
    memset(sim, 0, sizeof(*sim));
    sim->net.ops = &sim_ops;
    sim->net.detail = "";
    sim->clock_ms = clock_ms;
    sim->peer = *peer;
    sim->script.send_reset_len = SIM_NET_NEVER;
    sim->script.recv_reset_len = SIM_NET_NEVER;
    sim->script.send_stall_len = SIM_NET_NEVER;
    sim->script.recv_stall_len = SIM_NET_NEVER;
    sim->script.reset_err = KWM_ERR_IO;
    sim->script.detail = "";
}

void sim_net_push(struct sim_net *sim, const void *data, size_t len, uint64_t at_ms)
{
    KWM_ASSERT(sim != NULL && (data != NULL || len == 0));
    if (sim->state != STATE_CONNECTED || len == 0) {
        return;
    }
    KWM_ASSERT(!sim->has_end); /* the peer said that it was over */
    KWM_ASSERT(sim->piece_count < SIM_NET_PIECES_MAX);
    KWM_ASSERT(len <= SIM_NET_INBOX_CAP - sim->inbox_len);
    if (sim->piece_count > 0 && sim->pieces[sim->piece_count - 1].at_ms > at_ms) {
        at_ms = sim->pieces[sim->piece_count - 1].at_ms;
    }
    sim->pieces[sim->piece_count] = (struct sim_net_piece){.at_ms = at_ms, .len = len};
    sim->piece_count++;
    memcpy(sim->inbox + sim->inbox_len, data, len);
    sim->inbox_len += len;
}

void sim_net_close_at(struct sim_net *sim, uint64_t at_ms, enum sim_net_end end)
{
    KWM_ASSERT(sim != NULL);
    if (sim->state != STATE_CONNECTED) {
        return;
    }
    if (end == SIM_NET_ORDERLY && sim->piece_count > 0 &&
        sim->pieces[sim->piece_count - 1].at_ms > at_ms) {
        at_ms = sim->pieces[sim->piece_count - 1].at_ms;
    }
    sim->has_end = true;
    sim->end = end;
    sim->end_at_ms = at_ms;
}

uint64_t sim_net_next_event_ms(const struct sim_net *sim)
{
    KWM_ASSERT(sim != NULL);
    uint64_t next = SIM_NET_NEVER;
    if (sim->is_open && sim->state == STATE_CONNECTING) {
        next = sim->connect_at_ms;
    } else if (sim->state == STATE_CONNECTED) {
        /* A reset is noticed whatever stalls; bytes and an orderly end are not. */
        const bool is_stalled = sim->net.info.bytes_recv >= sim->script.recv_stall_len;
        if (!is_stalled) {
            for (size_t i = 0; i < sim->piece_count && next == SIM_NET_NEVER; i++) {
                next = sim->pieces[i].at_ms > *sim->clock_ms ? sim->pieces[i].at_ms : next;
            }
        }
        if (sim->has_end && sim->end_at_ms < next && sim->end_at_ms > *sim->clock_ms &&
            (sim->end == SIM_NET_RESET || !is_stalled)) {
            next = sim->end_at_ms;
        }
    }
    return next > *sim->clock_ms ? next : SIM_NET_NEVER;
}
