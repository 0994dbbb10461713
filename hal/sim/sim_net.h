/* SPDX-License-Identifier: MIT */
/**
 * @file sim/sim_net.h
 * @brief A hal_net in virtual time whose peer is a script. Stricter than any real one.
 *
 * The peer hears what was sent at once, and answers by pushing bytes that arrive at a time of its
 * choice (never before what it pushed earlier). Faults are set in struct sim_net_script. Misuse
 * that a real net would forgive panics: sending or receiving before poll() said 1, anything but
 * close() after an error, poll() without open(), an empty send or receive, a host name that changes
 * while it is used.
 *
 * Memory:  the caller's struct, SIM_NET_INBOX_CAP bytes and a little; no heap.
 * Context: one thread. Time is read through a pointer, so that many nets share one clock.
 * Bounds:  bytes and pieces under way: the two macros; more panics, for the test is wrong then.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/net.h"

#define SIM_NET_INBOX_CAP 69632U /* a reply of 64 KiB with its head */
#define SIM_NET_PIECES_MAX 128U
#define SIM_NET_NEVER UINT64_MAX

struct sim_net;

/** The other end. Each may be NULL. */
struct sim_peer {
    void (*on_open)(void *ctx, struct sim_net *net); /**< the connection stands */
    void (*on_bytes)(void *ctx, struct sim_net *net, const uint8_t *data, size_t len);
    void (*on_close)(void *ctx, struct sim_net *net); /**< once for each on_open */
    void *ctx;
};

enum sim_net_end {
    SIM_NET_ORDERLY, /**< after all that was pushed; what is sent to it from then on vanishes */
    SIM_NET_RESET,   /**< what was not received by then is lost */
};

/** How connections fare; read as they go, so it may be changed at any time. Lengths count from
 *  sim_net_init(), over all connections; a reset happens once and then sets its length to
 *  SIM_NET_NEVER, a stall lasts. */
struct sim_net_script {
    int open_err;            /**< what open() returns; KWM_OK */
    int connect_err;         /**< what poll() ends with; KWM_OK: it connects */
    uint64_t connect_ms;     /**< after so long; SIM_NET_NEVER: it never ends */
    size_t send_len_max;     /**< at most so many bytes are taken by a send(); 0: all */
    size_t recv_len_max;     /**< at most so many are given by a recv(); 0: all there are */
    uint64_t send_reset_len; /**< once so many bytes were taken: reset */
    uint64_t recv_reset_len; /**< reset instead of the byte behind so many */
    uint64_t send_stall_len; /**< once so many bytes were taken: no more, for ever */
    uint64_t recv_stall_len; /**< once so many bytes were given: no more, nor an end, for ever */
    int reset_err;           /**< what a reset is told as; KWM_ERR_IO */
    bool is_deaf;            /**< half-open: what is sent is taken, and nobody hears it */
    uint32_t fail_call;      /**< the call of this number (call_count) fails; 0: none */
    int fail_err;            /**< as what; close() cannot fail */
    bool is_secure;          /**< poses as TLS with a verified peer */
    int64_t not_before_s;    /**< validity of its certificate */
    int64_t not_after_s;
    const char *detail; /**< what hal_net.detail says after an error; "" */
};

struct sim_net {
    struct hal_net net; /**< first member: give &sim.net to whoever wants a hal_net */
    struct sim_net_script script;
    struct sim_peer peer;
    /* For tests to look at. */
    uint32_t call_count;                 /**< calls of any operation */
    uint32_t open_count;                 /**< connections begun */
    bool is_open;                        /**< open() without close() */
    char host[HAL_NET_HOST_LEN_MAX + 1]; /**< of the last open() */
    uint16_t port;

    /* Private. */
    const uint64_t *clock_ms;
    const char *host_given;
    uint8_t state;
    uint64_t connect_at_ms;
    bool has_end;
    enum sim_net_end end;
    uint64_t end_at_ms;
    size_t piece_count;
    /* The oldest first; their bytes are in inbox, one after the other. */
    struct sim_net_piece {
        uint64_t at_ms;
        size_t len;
    } pieces[SIM_NET_PIECES_MAX];
    size_t inbox_len;
    uint8_t inbox[SIM_NET_INBOX_CAP];
};

/** Ready the object: it connects at once, is not secure, has no faults. @param clock_ms virtual
 *  boot time, read at each call; stays valid. @param peer copied. */
void sim_net_init(struct sim_net *sim, const uint64_t *clock_ms, const struct sim_peer *peer);

/** The peer sends bytes that arrive at at_ms, or right behind the ones that it pushed before, if
 *  those come later. Copied. Nothing happens if there is no connection. */
void sim_net_push(struct sim_net *sim, const void *data, size_t len, uint64_t at_ms);

/** The peer ends the connection at at_ms. Nothing happens if there is no connection. */
void sim_net_close_at(struct sim_net *sim, uint64_t at_ms, enum sim_net_end end);

/** @return the next time after now at which something happens by itself, SIM_NET_NEVER if nothing
 *  will: how far virtual time may jump. */
uint64_t sim_net_next_event_ms(const struct sim_net *sim);

#endif
