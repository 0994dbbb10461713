/* SPDX-License-Identifier: MIT */
/**
 * @file mbedtls/tls_heap.h
 * @brief The memory of Mbed TLS: one arena for the process, given once.
 *
 * Mbed TLS brings an allocator (MBEDTLS_MEMORY_BUFFER_ALLOC_C), and it is not used for two reasons.
 * An allocation that fails while a signature is checked comes out of the library as "not trusted",
 * which sends the user after a certificate that is fine: only a count of failures tells the two
 * apart, and that allocator keeps none. And it spends 32 bytes on each block (64 on 64-bit
 * machines) where 8 (16) do.
 *
 * Best fit, neighbours merged at once, so memory that was freed is whole again between connections.
 *
 * Memory:  the caller's buffer, for ever.   Context: main loop only.
 * Bounds:  linear in the number of free blocks (a few dozen).
 */
#ifndef TLS_HEAP_H
#define TLS_HEAP_H

#include <stddef.h>
#include <stdint.h>

/** Give Mbed TLS its memory: before any other call into it, again only when none of it is in use.
 *  @param len at least 1 KiB (asserted); a few bytes may go to alignment. */
void tls_heap_init(void *buf, size_t len);

/** @return bytes of the arena. */
size_t tls_heap_len(void);

/** @return bytes in use, headers included. */
size_t tls_heap_used(void);

/** @return the most that tls_heap_used() ever was. Fragmentation is on top: leave a tenth. */
size_t tls_heap_peak(void);

/** @return allocations that found no room so far. */
uint32_t tls_heap_failures(void);

#endif
