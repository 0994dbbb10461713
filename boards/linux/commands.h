/* SPDX-License-Identifier: MIT */
/**
 * @file commands.h
 * @brief What the program can be asked to do. Each returns the exit status.
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "app.h"

enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_CONFIG = 1,        /**< the configuration, or the command line */
    EXIT_STATUS_REFUSED = 2,       /**< the server refused rows, by line or by measurement */
    EXIT_STATUS_NOT_DELIVERED = 3, /**< rows are left for another reason */
};

/** Collect and deliver until TERM or INT. */
int command_run(const struct app_options *options);

/** Collect once, deliver, and say how it went. */
int command_once(const struct app_options *options);

/** Collect once and print the lines. */
int command_test(const struct app_options *options);

int command_config_check(const struct app_options *options);
int command_config_create(void);

/** Print the tables that the configured inputs need. argc and argv: what stands behind `schema`. */
int command_schema(const struct app_options *options, int argc, char **argv);

/** Go through everything from the name lookup to each table, and say what is wrong. */
int command_check(const struct app_options *options);

#endif
