/* SPDX-License-Identifier: MIT */
/**
 * @file board.h
 * @brief What every board defines, at link time; one per image, so no state is passed.
 *
 * Also link-time, from the board: kwm_panic() (hal/assert.h) and hal_log_write() (hal/log.h).
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/** @return milliseconds since boot, suspended time included; never goes back. */
uint64_t board_now_ms(void);

/**
 * Sleep until something may have happened: I/O, a worker's answer, or the time until_ms (boot
 * clock). Returning too early is allowed.
 */
void board_idle(uint64_t until_ms);

#endif
