/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/bytes.h
 * @brief Little-endian integers, varints, and the checksum, for what is stored in the log.
 *
 * Memory:  caller's bytes.   Context: any.   Bounds: a varint is at most KWM_VARINT_LEN_MAX bytes.
 */
#ifndef KWM_BYTES_H
#define KWM_BYTES_H

#include <stddef.h>
#include <stdint.h>

#define KWM_VARINT_LEN_MAX 10U

void kwm_put_u16(uint8_t *out, uint16_t value);
void kwm_put_u32(uint8_t *out, uint32_t value);
void kwm_put_u64(uint8_t *out, uint64_t value);
uint16_t kwm_get_u16(const uint8_t *in);
uint32_t kwm_get_u32(const uint8_t *in);
uint64_t kwm_get_u64(const uint8_t *in);

/** LEB128: seven bits a byte, low ones first. @return the byte behind the last one written. */
uint8_t *kwm_put_varint(uint8_t *out, uint64_t value);

/** @return the byte behind it, or NULL if it does not end before end, or is over 64 bits. */
const uint8_t *kwm_get_varint(const uint8_t *in, const uint8_t *end, uint64_t *value);

/** Signed to unsigned so that small magnitudes stay small: 0, -1, 1, -2 become 0, 1, 2, 3. */
static inline uint64_t kwm_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0U);
}

static inline int64_t kwm_unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (0U - (value & 1U)));
}

/** CRC-32C (Castagnoli, reflected, as RFC 3720). @param crc 0, or the result so far to go on. */
uint32_t kwm_crc32c(uint32_t crc, const uint8_t *data, size_t len);

/** FNV-1a, 32 bit. @param hash KWM_HASH_INIT, or the result so far to go on. */
#define KWM_HASH_INIT 2166136261U
uint32_t kwm_hash(uint32_t hash, const void *data, size_t len);

#endif
