/* SPDX-License-Identifier: MIT */
#include "fleet_heap.h"

#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"

bool fleet_heap_init(struct fleet_heap *heap, uint32_t count)
{
    KWM_ASSERT(count > 0);
    *heap = (struct fleet_heap){
        .count = count,
        .times_ms = malloc(count * sizeof(heap->times_ms[0])),
        .members = malloc(count * sizeof(heap->members[0])),
        .places = malloc(count * sizeof(heap->places[0])),
    };
    if (heap->times_ms == NULL || heap->members == NULL || heap->places == NULL) {
        fleet_heap_free(heap);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        heap->times_ms[i] = UINT64_MAX;
        heap->members[i] = i;
        heap->places[i] = i;
    }
    return true;
}

void fleet_heap_free(struct fleet_heap *heap)
{
    free(heap->times_ms);
    free(heap->members);
    free(heap->places);
    memset(heap, 0, sizeof(*heap));
}

static bool is_before(const struct fleet_heap *heap, uint32_t a, uint32_t b)
{
    const uint32_t first = heap->members[a];
    const uint32_t second = heap->members[b];
    return heap->times_ms[first] != heap->times_ms[second]
               ? heap->times_ms[first] < heap->times_ms[second]
               : first < second;
}

static void exchange(struct fleet_heap *heap, uint32_t a, uint32_t b)
{
    const uint32_t member = heap->members[a];
    heap->members[a] = heap->members[b];
    heap->members[b] = member;
    heap->places[heap->members[a]] = a;
    heap->places[heap->members[b]] = b;
}

void fleet_heap_set(struct fleet_heap *heap, uint32_t member, uint64_t time_ms)
{
    KWM_ASSERT(member < heap->count);
    heap->times_ms[member] = time_ms;
    uint32_t at = heap->places[member];
    while (at > 0 && is_before(heap, at, (at - 1U) / 2U)) {
        exchange(heap, at, (at - 1U) / 2U);
        at = (at - 1U) / 2U;
    }
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2U * at + 1U; child <= 2U * at + 2U && child < heap->count; child++) {
            least = is_before(heap, child, least) ? child : least;
        }
        if (least == at) {
            return;
        }
        exchange(heap, at, least);
        at = least;
    }
}

uint32_t fleet_heap_first(const struct fleet_heap *heap)
{
    return heap->members[0];
}
