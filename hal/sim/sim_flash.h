/* SPDX-License-Identifier: MIT */
/**
 * @file sim/sim_flash.h
 * @brief hal_flash in memory that takes its time, fails on demand, loses its power at any byte, and
 *        forgives nothing.
 *
 * What was begun happens when it is over, byte by byte as it was given: bytes that the caller
 * changes meanwhile are seen. Programming what is not erased, off the unit or over the end of a
 * sector, and beginning one operation during another, panic or are refused as the contract says.
 *
 * With a cache (sim_flash_use_cache()) it is a file on a disk: a power cut may lose what was not
 * synced, page by page in any order.
 *
 * Memory:  the caller's.   Context: main loop.   Bounds: as RAM.
 */
#ifndef SIM_FLASH_H
#define SIM_FLASH_H

#include <stdbool.h>

#include "hal/flash.h"

#define SIM_FLASH_ERASE_POINTS 4U /* places within an erase where the power can fail */

/** What a power cut leaves of the operation that went on. */
enum sim_flash_tear {
    SIM_FLASH_TEAR_CLEAN,   /**< all before the cut is done, the rest is untouched */
    SIM_FLASH_TEAR_GARBLED, /**< from the cut's unit on, some bits changed and some did not */
    SIM_FLASH_TEAR_UNIT,    /**< the cut's unit holds anything, the rest is untouched */
    SIM_FLASH_TEAR_COUNT,
};

struct sim_flash_script {
    uint32_t prog_polls;  /**< programming is over at the poll after so many */
    uint32_t erase_polls; /**< the same for erasing; UINT32_MAX: never */
    uint32_t sync_polls;  /**< the same for syncing */
    bool fails_prog;      /**< the next programming fails, having done half of it */
    bool fails_erase;     /**< the next erase fails, having done half of it */
    uint32_t worn;        /**< this sector + 1 fails every programming and erase so; 0: none */
    uint64_t cut_point;   /**< the power fails at this point; 0: never */
    enum sim_flash_tear tear;
};

struct sim_flash {
    struct hal_flash flash; /* first member */
    struct sim_flash_script script;
    uint8_t *bytes;
    uint8_t *synced;     /**< with a cache: what a power cut cannot take; NULL: there is none */
    const uint8_t *data; /**< being programmed; NULL: nothing is */
    uint32_t off;
    uint32_t len;
    bool is_erasing;
    bool is_syncing;
    bool is_off; /**< the power failed: nothing happens any more */
    uint32_t polls;
    uint32_t progs;
    uint32_t erases;
    uint32_t syncs;
    uint64_t points; /**< passed so far: one a byte, SIM_FLASH_ERASE_POINTS an erase */
    uint64_t random;
};

/** @param bytes sector_len * sector_count of them. */
void sim_flash_init(struct sim_flash *sim, uint8_t *bytes,
                    const struct hal_flash_geometry *geometry);

/** Only what was synced survives a cut. @param synced as many bytes; taken over as they are. */
void sim_flash_use_cache(struct sim_flash *sim, uint8_t *synced);

/** The power fails now, whatever goes on. */
void sim_flash_cut(struct sim_flash *sim);

/** And comes back. The script has no cut point then. */
void sim_flash_power_on(struct sim_flash *sim);

/** One bit tips over. */
void sim_flash_rot(struct sim_flash *sim, uint32_t off, unsigned bit);

#endif
