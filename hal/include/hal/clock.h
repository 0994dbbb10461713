/* SPDX-License-Identifier: MIT */
/**
 * @file hal/clock.h
 * @brief What is known about the time of day, as a value that is passed around.
 *
 * The boot clock is a plain uint64_t of milliseconds (board_now_ms); this is the other clock.
 */
#ifndef HAL_CLOCK_H
#define HAL_CLOCK_H

#include <stdint.h>

enum hal_wall_state {
    HAL_WALL_UNKNOWN, /**< Nothing is known. */
    HAL_WALL_FLOOR,   /**< It is not earlier than unix_ms (build time or a verified time). */
    HAL_WALL_SET,     /**< It is unix_ms. */
};

struct hal_wall {
    enum hal_wall_state state;
    int64_t unix_ms; /**< Milliseconds since 1970-01-01 UTC; 0 when unknown. */
};

/** Who wants to know the time is given one of these; ctx belongs to whoever filled it. */
struct hal_wall_source {
    struct hal_wall (*now)(void *ctx);
    void *ctx;
};

#endif
