/* SPDX-License-Identifier: MIT */
/**
 * @file sim/sim_flash.h
 * @brief hal_flash in memory that takes its time, fails on demand, and forgives nothing.
 *
 * What was begun happens when it is over, byte by byte as it was given: bytes that the caller
 * changes meanwhile are seen. Programming what is not erased, off the unit or over the end of a
 * sector, and beginning one operation during another, panic or are refused as the contract says.
 *
 * Memory:  the caller's.   Context: one thread.   Bounds: as RAM.
 */
#ifndef SIM_FLASH_H
#define SIM_FLASH_H

#include <stdbool.h>

#include "hal/flash.h"

struct sim_flash_script {
    uint32_t prog_polls;  /**< programming is over at the poll after so many */
    uint32_t erase_polls; /**< the same for erasing; UINT32_MAX: never */
    bool fails_prog;      /**< the next programming fails, having done half of it */
    bool fails_erase;     /**< the next erase fails, having done half of it */
};

struct sim_flash {
    struct hal_flash flash; /* first member */
    struct sim_flash_script script;
    uint8_t *bytes;
    const uint8_t *data; /**< being programmed; NULL: nothing is */
    uint32_t off;
    uint32_t len;
    bool is_erasing;
    uint32_t polls;
    uint32_t progs;
    uint32_t erases;
};

/** @param bytes sector_len * sector_count of them. */
void sim_flash_init(struct sim_flash *sim, uint8_t *bytes,
                    const struct hal_flash_geometry *geometry);

#endif
