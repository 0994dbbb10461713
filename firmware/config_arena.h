/* SPDX-License-Identifier: MIT */
/**
 * @file config_arena.h
 * @brief The memory of one configuration: what is kept grows from the front, what only the reading
 *        needs (cJSON's tree) from the back.
 *
 * Memory:  the caller's bytes.   Context: as config.h.   Bounds: constant time, but for the copies.
 */
#ifndef KWM_CONFIG_ARENA_H
#define KWM_CONFIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kwm_config_arena {
    uint8_t *bytes;
    size_t front; /**< bytes kept */
    size_t back;  /**< where the scratch begins */
    size_t cap;
    size_t len_max; /**< most in use at once */
    bool is_full;   /**< something did not fit; stays set */
};

void kwm_config_arena_init(struct kwm_config_arena *arena, uint8_t *bytes, size_t cap);

/** @return memory for any type, zeroed, or NULL. */
void *kwm_config_arena_alloc(struct kwm_config_arena *arena, size_t len);

/** The same at the back; not zeroed. */
void *kwm_config_arena_scratch(struct kwm_config_arena *arena, size_t len);

/** Give back all scratch since `back` was this. */
void kwm_config_arena_release(struct kwm_config_arena *arena, size_t back);

/** The free part as one buffer, to write a text of unknown length. @return its start; *room its
 * size, which may be 0. */
char *kwm_config_arena_tail(struct kwm_config_arena *arena, size_t *room);

/** Keep the first len bytes of the tail. */
void kwm_config_arena_keep(struct kwm_config_arena *arena, size_t len);

/** @return a NUL-terminated copy, or NULL. */
const char *kwm_config_arena_copy(struct kwm_config_arena *arena, const char *text, size_t len);

#endif
