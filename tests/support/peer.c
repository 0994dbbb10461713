/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#ifndef KWM_TESTS_DIR
#define KWM_TESTS_DIR "tests"
#endif

/** posix_spawnp() takes what it does not change as changeable. */
static pid_t spawn(const char *const argv[], const posix_spawn_file_actions_t *actions)
{
    union {
        const char *const *given;
        char *const *wanted;
    } args = {.given = argv};
    pid_t pid = -1;
    const int rc = posix_spawnp(&pid, argv[0], actions, NULL, args.wanted, environ);
    if (rc != 0) {
        fail_msg("%s: %s", argv[0], strerror(rc));
    }
    return pid;
}

static void read_ports(struct peer *peer, int fd)
{
    FILE *file = fdopen(fd, "r");
    char line[128];
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL && strcmp(line, "ready\n") != 0) {
        char *port = strchr(line, ' ');
        assert_true(peer->count < PEER_PORTS_MAX);
        assert_non_null(port);
        *port = '\0';
        const size_t len = (size_t)(port - line);
        assert_true(len < sizeof(peer->ports[0].name));
        memcpy(peer->ports[peer->count].name, line, len + 1);
        peer->ports[peer->count].port = (uint16_t)strtoul(port + 1, NULL, 10);
        peer->count++;
    }
    assert_string_equal(line, "ready\n");
    (void)fclose(file);
}

void peer_start(struct peer *peer, const char *const listen[])
{
    int to_child[2];
    int from_child[2];
    const char *argv[4 + 2 * PEER_PORTS_MAX] = {"python3", KWM_TESTS_DIR "/support/tls_peer.py"};
    size_t argc = 2;
    for (size_t i = 0; listen[i] != NULL; i++) {
        assert_true(i < PEER_PORTS_MAX);
        argv[argc++] = "--listen";
        argv[argc++] = listen[i];
    }
    argv[argc] = NULL;
    assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from_child, O_CLOEXEC), 0);

    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, to_child[0], 0), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, from_child[1], 1), 0);
    *peer = (struct peer){.stdin_fd = to_child[1]};
    peer->pid = spawn(argv, &actions);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(to_child[0]);
    (void)close(from_child[1]);
    read_ports(peer, from_child[0]);
}

uint16_t peer_port(const struct peer *peer, const char *name)
{
    for (size_t i = 0; i < peer->count; i++) {
        if (strcmp(peer->ports[i].name, name) == 0) {
            return peer->ports[i].port;
        }
    }
    fail_msg("no server %s", name);
    return 0;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void peer_stop(struct peer *peer)
{
    (void)close(peer->stdin_fd);
    assert_int_equal(wait_for(peer->pid), 0);
}

void peer_run(const char *const argv[])
{
    const int status = wait_for(spawn(argv, NULL));
    if (status != 0) {
        fail_msg("%s %s: exit status %d", argv[0], argv[1], status);
    }
}
