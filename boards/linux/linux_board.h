/* SPDX-License-Identifier: MIT */
/**
 * @file linux_board.h
 * @brief What the Linux board's own files share: the poll set behind board_idle(), and the log.
 */
#ifndef LINUX_BOARD_H
#define LINUX_BOARD_H

#include <stdbool.h>

#include "board.h"
#include "hal/log.h"
#include "linux/poll_set.h"

/** The descriptors that board_idle() waits for. */
struct linux_poll_set *linux_board_poll_set(void);

/** Least important level that is written. */
void linux_board_log_level(enum hal_log_level level);

/** Write to this file from now on (appended to); "" is standard error. @return whether it
 *  opened. */
bool linux_board_log_file(const char *path);

#endif
