/* SPDX-License-Identifier: MIT */
#include "ram/ram_flash.h"

#include <string.h>

#include "hal/assert.h"

static struct ram_flash *self(struct hal_flash *flash)
{
    return (struct ram_flash *)flash;
}

static int ram_read(struct hal_flash *flash, uint32_t off, uint8_t *out, size_t len)
{
    memcpy(out, self(flash)->bytes + off, len);
    return KWM_OK;
}

static int ram_prog(struct hal_flash *flash, uint32_t off, const uint8_t *data, size_t len)
{
    uint8_t *to = self(flash)->bytes + off;
    KWM_ASSERT(off % flash->geometry.prog_len == 0 && len % flash->geometry.prog_len == 0);
    KWM_ASSERT(len > 0 && to[0] == 0xFFU && to[len - 1U] == 0xFFU);
    memcpy(to, data, len);
    return KWM_OK;
}

static int ram_erase(struct hal_flash *flash, uint32_t sector)
{
    KWM_ASSERT(sector < flash->geometry.sector_count);
    const uint32_t len = flash->geometry.sector_len;
    memset(self(flash)->bytes + (size_t)sector * len, 0xFF, len);
    return KWM_OK;
}

static int ram_poll(struct hal_flash *flash)
{
    (void)flash;
    return 1;
}

static const struct hal_flash_ops ops = {
    .read = ram_read, .prog = ram_prog, .erase = ram_erase, .poll = ram_poll};

void ram_flash_init(struct ram_flash *ram, uint8_t *bytes, uint32_t sector_len,
                    uint32_t sector_count, uint16_t prog_len)
{
    *ram = (struct ram_flash){
        .flash = {.ops = &ops,
                  .geometry = {.sector_len = sector_len,
                               .sector_count = sector_count,
                               .prog_len = prog_len},
                  .mapped = bytes},
        .bytes = bytes,
    };
}
