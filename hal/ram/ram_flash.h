/* SPDX-License-Identifier: MIT */
/**
 * @file ram/ram_flash.h
 * @brief hal_flash in plain memory: for boards without storage of their own. It ends with the
 * power.
 *
 * As strict as NOR flash: programming a byte that is not erased, or off the unit, is a bug and
 * asserts.
 * Memory: the caller's.   Context: main loop.   Bounds: every operation is over when it returns.
 */
#ifndef RAM_FLASH_H
#define RAM_FLASH_H

#include "hal/flash.h"

struct ram_flash {
    struct hal_flash flash; /* first member */
    uint8_t *bytes;
};

/**
 * @param bytes sector_len * sector_count of them; not touched before they are erased.
 */
void ram_flash_init(struct ram_flash *ram, uint8_t *bytes, uint32_t sector_len,
                    uint32_t sector_count, uint16_t prog_len);

#endif
