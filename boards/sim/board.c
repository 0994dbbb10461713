/* SPDX-License-Identifier: MIT */
/**
 * @file board.c
 * @brief Link-time functions of the simulator board. Time is no business of theirs: each sim_world
 *        has its own, and steps its agent itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hal/assert.h"
#include "hal/log.h"

_Noreturn void kwm_panic(const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed\n", file, line);
    abort();
}

void hal_log_write(enum hal_log_level level, const char *text, size_t len)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)fprintf(stderr, "%s: %.*s\n", names[level], (int)len, text);
}
