/* SPDX-License-Identifier: MIT */
/**
 * @file hal/flash.h
 * @brief Contract: storage in sectors, with the manners of NOR flash.
 *
 * An erased byte reads 0xFF. Bytes are programmed in whole units of prog_len at an offset that is a
 * multiple of it, each unit once between two erases. Reading is immediate; programming and erasing
 * are begun, then polled, one at a time. Also serves EEPROM, a file and plain RAM.
 *
 * Memory:  the implementation's struct has struct hal_flash as its first member; the caller owns
 *          it. Bytes given to prog() stay put until poll() is not 0.
 * Context: main loop only.
 */
#ifndef HAL_FLASH_H
#define HAL_FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"

struct hal_flash_geometry {
    uint32_t sector_len;   /**< bytes of a sector, a multiple of prog_len, 512..1 MiB */
    uint32_t sector_count; /**< 4..65535 */
    uint16_t prog_len;     /**< 1, 2, 4 .. 256 */
    bool is_durable;       /**< survives a power cut */
};

struct hal_flash;

struct hal_flash_ops {
    /** Copy len bytes at off. Allowed at any time. @return KWM_OK or KWM_ERR_IO. */
    int (*read)(struct hal_flash *flash, uint32_t off, uint8_t *out, size_t len);
    /** Begin programming. @return KWM_OK, or KWM_ERR_STATE while an operation goes on. */
    int (*prog)(struct hal_flash *flash, uint32_t off, const uint8_t *data, size_t len);
    /** Begin erasing one sector. @return KWM_OK, or KWM_ERR_STATE while an operation goes on. */
    int (*erase)(struct hal_flash *flash, uint32_t sector);
    /** @return 1 when nothing (more) goes on, 0 while it does, KWM_ERR_IO if it failed. */
    int (*poll)(struct hal_flash *flash);
    /** Begin making durable what was programmed and erased so far. NULL: it is so at once (NOR,
     *  EEPROM, RAM). @return KWM_OK, or KWM_ERR_STATE while an operation goes on. Then poll(). */
    int (*sync)(struct hal_flash *flash);
};

struct hal_flash {
    const struct hal_flash_ops *ops;
    struct hal_flash_geometry geometry;
    const uint8_t *mapped; /**< all of it, readable in place; NULL where that is not possible */
};

KWM_NODISCARD static inline int hal_flash_read(struct hal_flash *flash, uint32_t off, uint8_t *out,
                                               size_t len)
{
    return flash->ops->read(flash, off, out, len);
}

KWM_NODISCARD static inline int hal_flash_prog(struct hal_flash *flash, uint32_t off,
                                               const uint8_t *data, size_t len)
{
    return flash->ops->prog(flash, off, data, len);
}

KWM_NODISCARD static inline int hal_flash_erase(struct hal_flash *flash, uint32_t sector)
{
    return flash->ops->erase(flash, sector);
}

KWM_NODISCARD static inline int hal_flash_poll(struct hal_flash *flash)
{
    return flash->ops->poll(flash);
}

/** @return as for the op; 1 where there is nothing to be done. */
KWM_NODISCARD static inline int hal_flash_sync(struct hal_flash *flash)
{
    return flash->ops->sync != NULL ? flash->ops->sync(flash) : 1;
}

#endif
