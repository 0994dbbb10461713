/* SPDX-License-Identifier: MIT */
/**
 * @file app.h
 * @brief The agent on Linux: its memory, its nets, its configuration file.
 *
 * Memory:  one, static; the queue and the second configuration's texts are mapped once at start.
 * Context: main loop only.
 */
#ifndef APP_H
#define APP_H

#include <stdbool.h>

#include "agent.h"
#include "config.h"

struct app_options {
    const char *config_path;
    bool debug;
    bool quiet;
    /** For a person who waits: all is said on standard error, whatever agent.logfile is, but for
     *  the configuration's warnings, which the command looks at itself (app_problems()). */
    bool is_command;
};

struct app;

/** Read the configuration, tell every mistake in it. @return it, or NULL. Valid until the read
 *  after the next one. */
const struct kwm_config *app_read_config(const struct app_options *options);

/** Read and start everything. Mistakes are told. @return NULL for a mistake in the
 *  configuration. */
struct app *app_start(const struct app_options *options);

struct agent *app_agent(struct app *app);

/** What the last reading of a configuration found. */
const struct kwm_config_errors *app_problems(void);

/** The parts of the net, for who looks at them one by one. tls is NULL without https. */
struct app_net {
    struct linux_resolver *resolver;
    struct hal_net *tcp;
    struct tls_net *tls;
};
struct app_net app_net(struct app *app);

const struct kwm_config *app_config(const struct app *app);

/** HUP: read anew; a mistake is told, and leaves everything as it was. @return whether it was
 *  taken. */
bool app_reload(struct app *app);

/** One turn of the loop, waiting no longer than until_ms. */
void app_turn(struct app *app, uint64_t until_ms);

/** The board's inputs, with the agent's own. */
const struct hal_input_def *app_inputs(void);

/** The name of this device. */
const char *app_identity(void);

/** Read a whole file. @return bytes, KWM_ERR_NOSPC if it is longer than cap, KWM_ERR_IO. */
int app_read_file(const char *path, char *out, size_t cap);

#endif
