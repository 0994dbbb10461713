/* SPDX-License-Identifier: MIT */
/**
 * @file fleet_server.h
 * @brief One KWDB server for a fleet in virtual time: what requests cost it, and how long they
 *        queue.
 *
 * Connections, requests and lines take CPU of a number of cores, first come, first served. The
 * costs are those that were measured on KWDB. Who hangs up while queued costs what comes before the
 * lines (a password is verified all the same), and its lines are not run. A restart forgets login
 * tokens and TLS tickets.
 *
 * A link is a hal_net of one device. It takes whole sends, and hears a request byte by byte.
 *
 * Memory:  links are the caller's; the queue is on the heap and grows.   Context: one thread.
 * Bounds:  at most FLEET_BACKLOG connections wait for their handshake; the first packet of a
 *          further one is lost, and comes again after 1, 2, 4 s as TCP does it.
 */
#ifndef FLEET_SERVER_H
#define FLEET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/net.h"

#define FLEET_CORES_MAX 64U
#define FLEET_BACKLOG 4096U
#define FLEET_LINES_MAX 200U
#define FLEET_SERIES 4U
#define FLEET_HEAD_LEN_MAX 512U
#define FLEET_RTT_MS 20U

enum fleet_state {
    FLEET_UP,
    FLEET_AWAY,     /**< the network is gone: nothing arrives, nothing is refused */
    FLEET_DOWN,     /**< the process is gone: connections are refused */
    FLEET_STARTING, /**< it listens, and answers 404 to everything */
};

/** What happened in one second. */
struct fleet_second {
    uint32_t requests; /**< that arrived, logins included */
    uint32_t logins;
    uint32_t handshakes;
    uint32_t rows;      /**< stored for the first time */
    uint32_t queue_max; /**< most jobs that waited for a core */
};

struct fleet_server;

struct fleet_link {
    struct hal_net net; /* first member */
    struct fleet_server *server;
    uint32_t id;
    uint32_t generation; /**< of the connection: a job of an older one has lost its client */
    uint8_t state;
    uint8_t syn_count;
    uint64_t syn_ms; /**< when the next first packet arrives */
    uint32_t ticket_epoch;
    uint64_t reply_ms; /**< when the handshake's end, or the reply, arrives */
    uint32_t reply_off;
    uint8_t kind; /**< of the request and its reply */
    bool is_lost; /**< bytes went into the void: nothing comes back */
    /* The request so far. */
    char head[FLEET_HEAD_LEN_MAX];
    uint16_t head_len;
    uint32_t body_left;
    uint64_t number; /* the digits since the last blank */
    uint8_t column;
    uint8_t series;
    uint16_t line_count;
    uint32_t
        stamps[FLEET_LINES_MAX];   /* relative to base_unix_ms, times FLEET_SERIES, plus series */
    uint32_t newest[FLEET_SERIES]; /* stamp of the newest row stored, plus 1 */
};

struct fleet_job {
    uint32_t link;
    uint32_t generation;
    uint8_t kind;
};

struct fleet_server {
    /* What the caller sets. */
    unsigned core_count;
    bool use_token;
    int64_t base_unix_ms; /**< below all stamps */
    struct fleet_link *(*link)(void *ctx, uint32_t id);
    void (*wake)(void *ctx, uint32_t id, uint64_t at_ms); /**< something is there for a link */
    void *ctx;
    struct fleet_second *seconds;
    uint32_t second_count;

    /* What it counts. */
    uint64_t rows;      /**< stored for the first time */
    uint64_t rewrites;  /**< of rows that were there */
    uint64_t abandoned; /**< requests whose client had gone when their turn came */
    uint64_t syns_lost; /**< first packets that found the backlog full */
    uint64_t not_found; /**< requests answered 404 */
    uint64_t refused_tokens;

    /* Private. */
    enum fleet_state state;
    uint32_t epoch;
    uint64_t now_ms;
    uint32_t handshakes_waiting;
    struct fleet_job *jobs; /* a ring */
    uint32_t job_cap, job_first, job_count;
    struct fleet_core {
        struct fleet_job job;
        bool is_busy;
        bool is_run; /* the client was there when it began */
        uint64_t done_us;
    } cores[FLEET_CORES_MAX];
};

/** Ready it, up. @return whether there is memory. */
bool fleet_server_init(struct fleet_server *server);

void fleet_server_free(struct fleet_server *server);

void fleet_link_init(struct fleet_link *link, struct fleet_server *server, uint32_t id);

/** Another state from now on. link_count: all of them are told where the process is gone. */
void fleet_server_set(struct fleet_server *server, enum fleet_state state, uint32_t link_count);

/** Let it work until now; call it before any link is used at that time. */
void fleet_server_run(struct fleet_server *server, uint64_t now_ms);

/** @return when something ends by itself, UINT64_MAX if nothing does. */
uint64_t fleet_server_next_ms(const struct fleet_server *server);

#endif
