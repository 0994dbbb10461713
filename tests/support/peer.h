/* SPDX-License-Identifier: MIT */
/**
 * @file peer.h
 * @brief Runs tests/support/tls_peer.py, and other programs, for tests of the network.
 */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_PORTS_MAX 40U

struct peer {
    pid_t pid;
    int stdin_fd; /**< the servers end when this is closed, so also with the test */
    size_t count;
    struct {
        char name[32];
        uint16_t port;
    } ports[PEER_PORTS_MAX];
};

/** Start servers. @param listen the texts after --listen, NULL at the end. Fails the test if it
 *  cannot. */
void peer_start(struct peer *peer, const char *const listen[]);

/** @return the port of a server. Fails the test if there is no such. */
uint16_t peer_port(const struct peer *peer, const char *name);

void peer_stop(struct peer *peer);

/** Run a program to its end, argv[0] found in PATH. Fails the test if its exit status is not 0. */
void peer_run(const char *const argv[]);

#endif
