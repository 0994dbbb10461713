/* SPDX-License-Identifier: MIT */
/**
 * @file fleet_heap.h
 * @brief Who is to be woken next: a binary heap of times, each member in it for good.
 *
 * Of equal times the lower member comes first, so that a run is the same each time.
 *
 * Memory:  from the heap, once; freed by fleet_heap_free().   Context: one thread.
 * Bounds:  setting a time takes log2(count) exchanges.
 */
#ifndef FLEET_HEAP_H
#define FLEET_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct fleet_heap {
    uint32_t count;
    uint64_t *times_ms; /**< of each member */
    uint32_t *members;  /**< in the order of the heap */
    uint32_t *places;   /**< where each member is in it */
};

/** Ready it, all times UINT64_MAX. @return whether there is memory for it. */
bool fleet_heap_init(struct fleet_heap *heap, uint32_t count);

void fleet_heap_free(struct fleet_heap *heap);

/** Give a member another time, earlier or later. */
void fleet_heap_set(struct fleet_heap *heap, uint32_t member, uint64_t time_ms);

/** @return who is the first. */
uint32_t fleet_heap_first(const struct fleet_heap *heap);

#endif
