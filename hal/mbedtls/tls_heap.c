/* SPDX-License-Identifier: MIT */
#include "mbedtls/tls_heap.h"

#include <string.h>

#include <mbedtls/platform.h>

#include "hal/assert.h"

/** Lengths are in bytes and a multiple of ALIGN; they include the header. The lowest bit of len
 *  says that the block is in use. prev_len is that of the block before in memory, 0 for the first.
 *  */
struct block {
    size_t len;
    size_t prev_len;
};

/** What a free block holds behind its header. */
struct links {
    struct block *next;
    struct block *prev;
};

#define ALIGN sizeof(struct block)
#define USED ((size_t)1)
#define BLOCK_LEN_MIN (sizeof(struct block) + sizeof(struct links))
#define ARENA_LEN_MIN 1024U

_Static_assert(sizeof(struct links) % sizeof(struct block) == 0, "free blocks keep the alignment");

static struct {
    uint8_t *start;
    uint8_t *end;
    struct block *free;
    size_t used;
    size_t peak;
    uint32_t failures;
} heap;

static struct block *at(uint8_t *place)
{
    return (struct block *)(void *)place;
}

static size_t len_of(const struct block *block)
{
    return block->len & ~USED;
}

static struct links *links_of(struct block *block)
{
    return (struct links *)(void *)(block + 1);
}

static struct block *after(struct block *block)
{
    uint8_t *next = (uint8_t *)block + len_of(block);
    return next < heap.end ? at(next) : NULL;
}

static struct block *before(struct block *block)
{
    return block->prev_len > 0 ? at((uint8_t *)block - block->prev_len) : NULL;
}

static void list_add(struct block *block)
{
    struct links *links = links_of(block);
    links->prev = NULL;
    links->next = heap.free;
    if (heap.free != NULL) {
        links_of(heap.free)->prev = block;
    }
    heap.free = block;
}

static void list_remove(struct block *block)
{
    const struct links *links = links_of(block);
    if (links->prev != NULL) {
        links_of(links->prev)->next = links->next;
    } else {
        heap.free = links->next;
    }
    if (links->next != NULL) {
        links_of(links->next)->prev = links->prev;
    }
}

/** Make one free block of len bytes at block, and tell the block after it. */
static void set_free(struct block *block, size_t len)
{
    block->len = len;
    struct block *next = after(block);
    if (next != NULL) {
        next->prev_len = len;
    }
    list_add(block);
}

static struct block *best_fit(size_t len)
{
    struct block *best = NULL;
    for (struct block *block = heap.free; block != NULL; block = links_of(block)->next) {
        if (block->len == len) {
            return block;
        }
        if (block->len > len && (best == NULL || block->len < best->len)) {
            best = block;
        }
    }
    return best;
}

static void *heap_calloc(size_t count, size_t size)
{
    if (count == 0 || size == 0) {
        return NULL;
    }
    if (count > SIZE_MAX / 2 / size) {
        heap.failures++;
        return NULL;
    }
    size_t len = (count * size + sizeof(struct block) + ALIGN - 1) / ALIGN * ALIGN;
    if (len < BLOCK_LEN_MIN) {
        len = BLOCK_LEN_MIN;
    }
    struct block *block = best_fit(len);
    if (block == NULL) {
        heap.failures++;
        return NULL;
    }
    list_remove(block);
    const size_t rest_len = block->len - len;
    if (rest_len >= BLOCK_LEN_MIN) {
        struct block *rest = at((uint8_t *)block + len);
        rest->prev_len = len;
        set_free(rest, rest_len);
    } else {
        len = block->len;
    }
    block->len = len | USED;
    heap.used += len;
    if (heap.used > heap.peak) {
        heap.peak = heap.used;
    }
    return memset(block + 1, 0, len - sizeof(struct block));
}

static void heap_free(void *data)
{
    if (data == NULL) {
        return;
    }
    KWM_ASSERT((uint8_t *)data > heap.start && (uint8_t *)data < heap.end);
    struct block *block = (struct block *)data - 1;
    KWM_ASSERT((block->len & USED) != 0);
    size_t len = len_of(block);
    heap.used -= len;
    struct block *next = after(block);
    if (next != NULL && (next->len & USED) == 0) {
        list_remove(next);
        len += next->len;
    }
    struct block *prev = before(block);
    if (prev != NULL && (prev->len & USED) == 0) {
        list_remove(prev);
        len += prev->len;
        block = prev;
    }
    set_free(block, len);
}

void tls_heap_init(void *buf, size_t len)
{
    KWM_ASSERT(heap.used == 0);
    KWM_ASSERT(len >= ARENA_LEN_MIN);
    const size_t skipped_len = (ALIGN - (uintptr_t)buf % ALIGN) % ALIGN;
    const size_t usable_len = (len - skipped_len) / ALIGN * ALIGN;
    memset(&heap, 0, sizeof(heap));
    heap.start = (uint8_t *)buf + skipped_len;
    heap.end = heap.start + usable_len;
    struct block *all = at(heap.start);
    all->prev_len = 0;
    set_free(all, usable_len);
    const int rc = mbedtls_platform_set_calloc_free(heap_calloc, heap_free);
    KWM_ASSERT(rc == 0);
}

size_t tls_heap_len(void)
{
    return (size_t)(heap.end - heap.start);
}

size_t tls_heap_used(void)
{
    return heap.used;
}

size_t tls_heap_peak(void)
{
    return heap.peak;
}

uint32_t tls_heap_failures(void)
{
    return heap.failures;
}
