/* SPDX-License-Identifier: MIT */
#include "sim/sim_flash.h"

#include <string.h>

#include "hal/assert.h"

static struct sim_flash *self_of(struct hal_flash *flash)
{
    return (struct sim_flash *)flash;
}

static uint32_t size_of(const struct hal_flash *flash)
{
    return flash->geometry.sector_len * flash->geometry.sector_count;
}

static bool is_busy(const struct sim_flash *self)
{
    return self->data != NULL || self->is_erasing;
}

static int sim_read(struct hal_flash *flash, uint32_t off, uint8_t *out, size_t len)
{
    KWM_ASSERT(off <= size_of(flash) && len <= size_of(flash) - off);
    memcpy(out, self_of(flash)->bytes + off, len);
    return KWM_OK;
}

static int sim_prog(struct hal_flash *flash, uint32_t off, const uint8_t *data, size_t len)
{
    struct sim_flash *self = self_of(flash);
    const struct hal_flash_geometry *geometry = &flash->geometry;
    if (is_busy(self)) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(len > 0 && off % geometry->prog_len == 0 && len % geometry->prog_len == 0);
    KWM_ASSERT(off < size_of(flash) && len <= geometry->sector_len - off % geometry->sector_len);
    self->data = data;
    self->off = off;
    self->len = (uint32_t)len;
    self->polls = 0;
    self->progs++;
    return KWM_OK;
}

static int sim_erase(struct hal_flash *flash, uint32_t sector)
{
    struct sim_flash *self = self_of(flash);
    if (is_busy(self)) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(sector < flash->geometry.sector_count);
    self->is_erasing = true;
    self->off = sector * flash->geometry.sector_len;
    self->len = flash->geometry.sector_len;
    self->polls = 0;
    self->erases++;
    return KWM_OK;
}

static int finish_prog(struct sim_flash *self)
{
    const bool fails = self->script.fails_prog;
    const uint32_t len = fails ? self->len / 2U : self->len;
    for (uint32_t i = 0; i < len; i++) {
        KWM_ASSERT(self->bytes[self->off + i] == 0xFFU); /* programmed before */
        self->bytes[self->off + i] = self->data[i];
    }
    self->data = NULL;
    self->script.fails_prog = false;
    return fails ? KWM_ERR_IO : 1;
}

static int finish_erase(struct sim_flash *self)
{
    const bool fails = self->script.fails_erase;
    memset(self->bytes + self->off, 0xFF, fails ? self->len / 2U : self->len);
    self->is_erasing = false;
    self->script.fails_erase = false;
    return fails ? KWM_ERR_IO : 1;
}

static int sim_poll(struct hal_flash *flash)
{
    struct sim_flash *self = self_of(flash);
    if (!is_busy(self)) {
        return 1;
    }
    const uint32_t needed = self->is_erasing ? self->script.erase_polls : self->script.prog_polls;
    if (needed == UINT32_MAX || self->polls++ < needed) {
        return 0;
    }
    return self->is_erasing ? finish_erase(self) : finish_prog(self);
}

static const struct hal_flash_ops ops = {
    .read = sim_read, .prog = sim_prog, .erase = sim_erase, .poll = sim_poll};

void sim_flash_init(struct sim_flash *sim, uint8_t *bytes,
                    const struct hal_flash_geometry *geometry)
{
    *sim = (struct sim_flash){.flash = {.ops = &ops, .geometry = *geometry}, .bytes = bytes};
}
