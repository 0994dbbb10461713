/* SPDX-License-Identifier: MIT */
#include "config_arena.h"

#include <stdalign.h>
#include <string.h>

#include "hal/assert.h"

#define ALIGN alignof(max_align_t)

void kwm_config_arena_init(struct kwm_config_arena *arena, uint8_t *bytes, size_t cap)
{
    *arena = (struct kwm_config_arena){.bytes = bytes, .back = cap, .cap = cap};
}

static void note_use(struct kwm_config_arena *arena)
{
    const size_t used = arena->front + (arena->cap - arena->back);
    if (used > arena->len_max) {
        arena->len_max = used;
    }
}

void *kwm_config_arena_alloc(struct kwm_config_arena *arena, size_t len)
{
    const size_t odd = (uintptr_t)(arena->bytes + arena->front) % ALIGN;
    const size_t pad = odd == 0 ? 0 : ALIGN - odd;
    const size_t room = arena->back - arena->front;
    if (pad > room || len > room - pad) {
        arena->is_full = true;
        return NULL;
    }
    void *memory = arena->bytes + arena->front + pad;
    memset(memory, 0, len);
    arena->front += pad + len;
    note_use(arena);
    return memory;
}

void *kwm_config_arena_scratch(struct kwm_config_arena *arena, size_t len)
{
    const size_t room = arena->back - arena->front;
    if (len > room) {
        arena->is_full = true;
        return NULL;
    }
    const size_t odd = (uintptr_t)(arena->bytes + arena->back - len) % ALIGN;
    if (odd > room - len) {
        arena->is_full = true;
        return NULL;
    }
    arena->back -= len + odd;
    note_use(arena);
    return arena->bytes + arena->back;
}

void kwm_config_arena_release(struct kwm_config_arena *arena, size_t back)
{
    KWM_ASSERT(back >= arena->back && back <= arena->cap);
    arena->back = back;
}

char *kwm_config_arena_tail(struct kwm_config_arena *arena, size_t *room)
{
    *room = arena->back - arena->front;
    return (char *)arena->bytes + arena->front;
}

void kwm_config_arena_keep(struct kwm_config_arena *arena, size_t len)
{
    KWM_ASSERT(len <= arena->back - arena->front);
    arena->front += len;
    note_use(arena);
}

const char *kwm_config_arena_copy(struct kwm_config_arena *arena, const char *text, size_t len)
{
    size_t room;
    char *copy = kwm_config_arena_tail(arena, &room);
    if (len >= room) {
        arena->is_full = true;
        return NULL;
    }
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    kwm_config_arena_keep(arena, len + 1);
    return copy;
}
