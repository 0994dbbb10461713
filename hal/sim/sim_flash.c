/* SPDX-License-Identifier: MIT */
#include "sim/sim_flash.h"

#include <string.h>

#include "hal/assert.h"

#define PAGE_LEN 512U /* of the cache */

static struct sim_flash *self_of(struct hal_flash *flash)
{
    return (struct sim_flash *)flash;
}

static uint32_t size_of(const struct hal_flash *flash)
{
    return flash->geometry.sector_len * flash->geometry.sector_count;
}

static uint8_t random_byte(struct sim_flash *self)
{
    self->random = self->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint8_t)(self->random >> 56);
}

static bool is_busy(const struct sim_flash *self)
{
    return self->data != NULL || self->is_erasing || self->is_syncing;
}

static bool is_worn(const struct sim_flash *self)
{
    return self->script.worn != 0 &&
           self->off / self->flash.geometry.sector_len == self->script.worn - 1U;
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
    if (is_busy(self) || self->is_off) {
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
    if (is_busy(self) || self->is_off) {
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

static int sim_sync(struct hal_flash *flash)
{
    struct sim_flash *self = self_of(flash);
    if (is_busy(self) || self->is_off) {
        return KWM_ERR_STATE;
    }
    self->is_syncing = true;
    self->polls = 0;
    self->syncs++;
    return KWM_OK;
}

/** Program so many of the bytes that were given. */
static void put_bytes(struct sim_flash *self, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        KWM_ASSERT(self->bytes[self->off + i] == 0xFFU); /* programmed before */
        self->bytes[self->off + i] = self->data[i];
    }
}

static void tear_prog(struct sim_flash *self, uint32_t at)
{
    const uint32_t unit_len = self->flash.geometry.prog_len;
    const uint32_t unit = at / unit_len * unit_len;
    uint8_t *bytes = self->bytes + self->off;
    put_bytes(self, self->script.tear == SIM_FLASH_TEAR_CLEAN ? at : unit);
    if (self->script.tear == SIM_FLASH_TEAR_GARBLED) {
        for (uint32_t i = unit; i < self->len; i++) {
            bytes[i] = self->data[i] | random_byte(self);
        }
    } else if (self->script.tear == SIM_FLASH_TEAR_UNIT) {
        for (uint32_t i = unit; i < unit + unit_len; i++) {
            bytes[i] = random_byte(self);
        }
    }
}

static void tear_erase(struct sim_flash *self, uint32_t at)
{
    const uint32_t done = self->len / SIM_FLASH_ERASE_POINTS * at;
    const uint32_t unit_len = self->flash.geometry.prog_len;
    uint8_t *bytes = self->bytes + self->off;
    if (self->script.tear == SIM_FLASH_TEAR_GARBLED) {
        for (uint32_t i = 0; i < self->len; i++) {
            bytes[i] |= random_byte(self);
        }
        return;
    }
    memset(bytes, 0xFF, done);
    for (uint32_t i = done; self->script.tear == SIM_FLASH_TEAR_UNIT && i < done + unit_len; i++) {
        bytes[i] = random_byte(self);
    }
}

/** What the cache had not written yet is there or not, page by page. */
static void lose_cache(struct sim_flash *self)
{
    if (self->synced == NULL) {
        return;
    }
    for (uint32_t off = 0; off < size_of(&self->flash); off += PAGE_LEN) {
        if (random_byte(self) < 128U) {
            memcpy(self->bytes + off, self->synced + off, PAGE_LEN);
        }
    }
    memcpy(self->synced, self->bytes, size_of(&self->flash));
}

static void cut(struct sim_flash *self, uint32_t at)
{
    if (self->data != NULL) {
        tear_prog(self, at);
    } else if (self->is_erasing) {
        tear_erase(self, at);
    }
    lose_cache(self);
    self->is_off = true;
}

/** The operation is over, unless its end is never seen. @return whether the power failed in it. */
static bool pass_points(struct sim_flash *self, uint32_t count)
{
    const uint64_t first = self->points + 1U;
    self->points += count;
    if (self->script.cut_point < first || self->script.cut_point > self->points) {
        return false;
    }
    cut(self, (uint32_t)(self->script.cut_point - first));
    return true;
}

static int finish_prog(struct sim_flash *self)
{
    const bool fails = self->script.fails_prog || is_worn(self);
    if (pass_points(self, self->len)) {
        return 0;
    }
    put_bytes(self, fails ? self->len / 2U : self->len);
    self->data = NULL;
    self->script.fails_prog = false;
    return fails ? KWM_ERR_IO : 1;
}

static int finish_erase(struct sim_flash *self)
{
    const bool fails = self->script.fails_erase || is_worn(self);
    if (pass_points(self, SIM_FLASH_ERASE_POINTS)) {
        return 0;
    }
    memset(self->bytes + self->off, 0xFF, fails ? self->len / 2U : self->len);
    self->is_erasing = false;
    self->script.fails_erase = false;
    return fails ? KWM_ERR_IO : 1;
}

static int finish_sync(struct sim_flash *self)
{
    if (self->synced != NULL) {
        memcpy(self->synced, self->bytes, size_of(&self->flash));
    }
    self->is_syncing = false;
    return 1;
}

static uint32_t polls_needed(const struct sim_flash *self)
{
    if (self->is_syncing) {
        return self->script.sync_polls;
    }
    return self->is_erasing ? self->script.erase_polls : self->script.prog_polls;
}

static int sim_poll(struct hal_flash *flash)
{
    struct sim_flash *self = self_of(flash);
    if (self->is_off) {
        return 0;
    }
    if (!is_busy(self)) {
        return 1;
    }
    const uint32_t needed = polls_needed(self);
    if (needed == UINT32_MAX || self->polls++ < needed) {
        return 0;
    }
    if (self->is_syncing) {
        return finish_sync(self);
    }
    return self->is_erasing ? finish_erase(self) : finish_prog(self);
}

static const struct hal_flash_ops ops = {
    .read = sim_read, .prog = sim_prog, .erase = sim_erase, .poll = sim_poll};

static const struct hal_flash_ops cached_ops = {
    .read = sim_read, .prog = sim_prog, .erase = sim_erase, .poll = sim_poll, .sync = sim_sync};

void sim_flash_init(struct sim_flash *sim, uint8_t *bytes,
                    const struct hal_flash_geometry *geometry)
{
    *sim = (struct sim_flash){
        .flash = {.ops = &ops, .geometry = *geometry}, .bytes = bytes, .random = 1};
}

void sim_flash_use_cache(struct sim_flash *sim, uint8_t *synced)
{
    sim->flash.ops = &cached_ops;
    sim->synced = synced;
    memcpy(synced, sim->bytes, size_of(&sim->flash));
}

void sim_flash_cut(struct sim_flash *sim)
{
    const uint32_t count = sim->is_erasing ? SIM_FLASH_ERASE_POINTS : sim->len;
    cut(sim, is_busy(sim) && count > 0 ? random_byte(sim) % count : 0);
}

void sim_flash_power_on(struct sim_flash *sim)
{
    KWM_ASSERT(sim->is_off);
    sim->is_off = false;
    sim->data = NULL;
    sim->is_erasing = false;
    sim->is_syncing = false;
    sim->script.cut_point = 0;
}

void sim_flash_rot(struct sim_flash *sim, uint32_t off, unsigned bit)
{
    KWM_ASSERT(off < size_of(&sim->flash) && bit < 8);
    sim->bytes[off] = (uint8_t)(sim->bytes[off] ^ (1U << bit));
}
