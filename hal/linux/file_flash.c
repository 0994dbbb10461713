/* SPDX-License-Identifier: MIT */
/* A log may have 4 GiB. */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include "linux/file_flash.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hal/assert.h"

#define INTERRUPTS_MAX 100U

static struct file_flash *self_of(struct hal_flash *flash)
{
    return (struct file_flash *)flash;
}

static uint32_t size_of(const struct file_flash *self)
{
    return self->flash.geometry.sector_len * self->flash.geometry.sector_count;
}

__attribute__((format(printf, 2, 3))) static void tell(struct file_flash *self, const char *format,
                                                       ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->text, sizeof(self->text), format, arguments);
    va_end(arguments);
    self->changes++;
}

/* ---- sectors in memory ----------------------------------------------------------------------- */

static uint8_t *bytes_of(const struct file_flash *self, const struct file_flash_slot *slot)
{
    return self->overlay + (size_t)(slot - self->slots) * self->flash.geometry.sector_len;
}

static struct file_flash_slot *find_slot(struct file_flash *self, uint32_t sector)
{
    for (uint32_t i = 0; i < self->overlay_count; i++) {
        if (self->slots[i].age != 0 && self->slots[i].sector == sector) {
            return &self->slots[i];
        }
    }
    return NULL;
}

static bool is_dirty(const struct file_flash_slot *slot)
{
    return slot->age != 0 && slot->dirty_from < slot->dirty_end;
}

static void make_dirty(struct file_flash_slot *slot, uint32_t from, uint32_t end)
{
    const bool was_dirty = is_dirty(slot);
    slot->dirty_from = was_dirty && slot->dirty_from < from ? slot->dirty_from : from;
    slot->dirty_end = was_dirty && slot->dirty_end > end ? slot->dirty_end : end;
}

static bool is_forgotten(const struct file_flash *self, uint32_t sector)
{
    return (self->forgotten[sector / 8U] & (1U << sector % 8U)) != 0;
}

static void set_forgotten(struct file_flash *self, uint32_t sector, bool is)
{
    const uint8_t bit = (uint8_t)(1U << sector % 8U);
    uint8_t *byte = &self->forgotten[sector / 8U];
    *byte = (uint8_t)(is ? *byte | bit : *byte & ~bit);
}

/** Whether the file has all of it, as far as is known. */
static bool is_spare(const struct file_flash *self, const struct file_flash_slot *slot)
{
    return !is_dirty(slot) && !(self->is_in_flight && self->flying_sector == slot->sector);
}

/** The slot that is to make room: free, else the oldest that the file has, else the oldest. */
static struct file_flash_slot *choose_slot(struct file_flash *self)
{
    struct file_flash_slot *oldest = &self->slots[0];
    struct file_flash_slot *spare = NULL;
    for (uint32_t i = 0; i < self->overlay_count; i++) {
        struct file_flash_slot *slot = &self->slots[i];
        oldest = slot->age < oldest->age ? slot : oldest;
        if (is_spare(self, slot) && (spare == NULL || slot->age < spare->age)) {
            spare = slot;
        }
    }
    return oldest->age == 0 || spare == NULL ? oldest : spare;
}

/** Get a slot for a sector that has none; its bytes are the caller's to set. */
static struct file_flash_slot *take_slot(struct file_flash *self, uint32_t sector)
{
    struct file_flash_slot *slot = choose_slot(self);
    if (slot->age != 0 && !is_spare(self, slot)) {
        set_forgotten(self, slot->sector, true);
        self->counters.forgotten++;
    }
    *slot = (struct file_flash_slot){.sector = sector, .age = ++self->newest_age};
    return slot;
}

/**
 * Read of the file; what it does not have is 0xFF. In the main loop, for the contract wants it
 * immediate, and delivery reads in order, so that the kernel reads ahead: about 1 us from the page
 * cache, else one access to the disk for each 128 KiB (some ms on an SD card), and as long as the
 * disk hangs if it does. By the thread each record would cost two switches, and wait behind a sync.
 */
static int read_file(const struct file_flash *self, uint32_t off, uint8_t *out, size_t len)
{
    size_t done = 0;
    for (unsigned interrupts = 0; self->fd >= 0 && done < len;) {
        const ssize_t got = pread(self->fd, out + done, len - done, (off_t)off + (off_t)done);
        if (got == 0) {
            break;
        }
        if (got < 0 && (errno != EINTR || ++interrupts > INTERRUPTS_MAX)) {
            return KWM_ERR_IO;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    memset(out + done, 0xFF, len - done);
    return KWM_OK;
}

/** Read within one sector. */
static int read_sector(struct file_flash *self, uint32_t off, uint8_t *out, size_t len)
{
    const uint32_t sector = off / self->flash.geometry.sector_len;
    const struct file_flash_slot *slot = find_slot(self, sector);
    if (slot != NULL) {
        memcpy(out, bytes_of(self, slot) + off % self->flash.geometry.sector_len, len);
        return KWM_OK;
    }
    if (is_forgotten(self, sector)) {
        memset(out, 0xFF, len);
        return KWM_OK;
    }
    return read_file(self, off, out, len);
}

/** A sector in memory, read of the file if it is not there. @return NULL if it cannot be read. */
static struct file_flash_slot *load_slot(struct file_flash *self, uint32_t sector)
{
    const uint32_t len = self->flash.geometry.sector_len;
    struct file_flash_slot *slot = find_slot(self, sector);
    if (slot != NULL) {
        return slot;
    }
    const bool was_forgotten = is_forgotten(self, sector);
    slot = take_slot(self, sector);
    if (was_forgotten) {
        memset(bytes_of(self, slot), 0xFF, len);
        make_dirty(slot, 0, len);
        set_forgotten(self, sector, false);
    } else if (read_file(self, sector * len, bytes_of(self, slot), len) != KWM_OK) {
        slot->age = 0;
        return NULL;
    }
    return slot;
}

/* ---- the file's state ------------------------------------------------------------------------ */

static void tell_fallen_back(struct file_flash *self)
{
    const unsigned kept = self->overlay_count * (self->flash.geometry.sector_len / 256U) / 4U;
    const char *why = self->error == EWOULDBLOCK ? "in use by another process"
                      : self->error == ETIMEDOUT ? "the disk does not answer"
                                                 : strerror(self->error);
    tell(self, "%s: cannot be written (%s): keeping the newest %u KiB in memory until it can",
         self->path, why, kept);
}

static void tell_in_use(struct file_flash *self)
{
    char who[32] = "";
    if (self->holder > 0) {
        (void)snprintf(who, sizeof(who), " (pid %d)", self->holder);
    }
    tell(self, "%s: is in use by another process%s", self->path, who);
}

/** Go on in memory. What was asked for is done there, but for a sync. */
static void fall_back(struct file_flash *self, int error)
{
    const bool is_news = self->state == FILE_FLASH_OK || self->error != error;
    self->counters.fallbacks += self->state == FILE_FLASH_OK ? 1U : 0U;
    self->state = FILE_FLASH_FALLEN_BACK;
    self->error = error;
    self->is_mending = false;
    self->retry_at_ms = self->now_ms + FILE_FLASH_RETRY_MS;
    if (self->op == FILE_FLASH_OP_SYNC) {
        self->op_result = KWM_ERR_IO;
    }
    self->op = FILE_FLASH_OP_NONE;
    if (is_news) {
        tell_fallen_back(self);
    }
}

/** The piece in flight has arrived, or not. Its sector may have been forgotten meanwhile. */
static void end_write(struct file_flash *self, int error)
{
    struct file_flash_slot *slot = find_slot(self, self->flying_sector);
    self->is_in_flight = false;
    if (error != 0) {
        if (slot != NULL) {
            make_dirty(slot, self->flying_from, self->flying_end);
        }
        fall_back(self, error);
        return;
    }
    self->counters.writes++;
    if (slot != NULL) {
        slot->is_unsynced = true;
    }
    if (self->is_refill) {
        set_forgotten(self, self->flying_sector, false);
    }
}

static void end_sync(struct file_flash *self, int error)
{
    self->counters.syncs++;
    for (uint32_t i = 0; i < self->overlay_count; i++) {
        struct file_flash_slot *slot = &self->slots[i];
        if (error != 0 && slot->is_unsynced) {
            make_dirty(slot, 0, self->flash.geometry.sector_len);
        }
        slot->is_unsynced = false;
    }
    if (error != 0) {
        fall_back(self, error);
    } else if (self->op == FILE_FLASH_OP_SYNC) {
        self->op = FILE_FLASH_OP_NONE;
        self->op_result = 1;
    }
    self->is_synced = error == 0;
}

/** Another file is at the path: all of it is 0xFF, so what is in memory has to go there. */
static void take_other_file(struct file_flash *self)
{
    memset(self->forgotten, 0, FILE_FLASH_FORGOTTEN_LEN(self->flash.geometry.sector_count));
    for (uint32_t i = 0; i < self->overlay_count; i++) {
        make_dirty(&self->slots[i], 0, self->flash.geometry.sector_len);
    }
}

static void end_open(struct file_flash *self, const struct file_result *result)
{
    self->fd = result->fd;
    self->holder = (int)result->holder;
    self->is_set_aside = self->is_set_aside || result->is_set_aside;
    if (result->is_other) {
        take_other_file(self);
    }
    if (result->error != 0) {
        fall_back(self, result->error);
    } else if (result->found_len != 0 && result->found_len != size_of(self)) {
        tell(self, "%s: had %llu bytes, has %lu now: %lu sectors of %lu", self->path,
             (unsigned long long)result->found_len, (unsigned long)size_of(self),
             (unsigned long)self->flash.geometry.sector_count,
             (unsigned long)self->flash.geometry.sector_len);
    }
}

/** Take note of the job that is over, if one is. */
static void take_result(struct file_flash *self)
{
    struct file_result result;
    if (!file_worker_take(self->worker, &result)) {
        return;
    }
    if (self->poll_set != NULL) {
        linux_poll_set_remove(self->poll_set, file_worker_wake_fd(self->worker));
    }
    if (result.job == FILE_JOB_WRITE) {
        end_write(self, result.error);
    } else if (result.job == FILE_JOB_SYNC) {
        end_sync(self, result.error);
    } else {
        end_open(self, &result);
    }
}

/* ---- what the thread is given to do ---------------------------------------------------------- */

static void fly(struct file_flash *self, uint32_t sector, uint32_t from, uint32_t end,
                const uint8_t *data)
{
    self->is_in_flight = true;
    self->is_refill = data == NULL;
    self->flying_sector = sector;
    self->flying_from = from;
    self->flying_end = end;
    file_worker_write(self->worker, (uint64_t)sector * self->flash.geometry.sector_len + from, data,
                      end - from);
}

/** Begin to write a piece of the oldest dirty sector. @return whether there is one. */
static bool write_dirty(struct file_flash *self)
{
    struct file_flash_slot *first = NULL;
    for (uint32_t i = 0; i < self->overlay_count; i++) {
        struct file_flash_slot *slot = &self->slots[i];
        if (is_dirty(slot) && (first == NULL || slot->age < first->age)) {
            first = slot;
        }
    }
    if (first == NULL) {
        return false;
    }
    const uint32_t from = first->dirty_from;
    const uint32_t left = first->dirty_end - from;
    const uint32_t end = from + (left < FILE_PIECE_LEN_MAX ? left : FILE_PIECE_LEN_MAX);
    first->dirty_from = end;
    fly(self, first->sector, from, end, bytes_of(self, first) + from);
    return true;
}

/** Begin to write 0xFF into a forgotten sector. @return whether there is one. */
static bool write_forgotten(struct file_flash *self)
{
    uint32_t sector = 0;
    while (sector < self->flash.geometry.sector_count && !is_forgotten(self, sector)) {
        sector++;
    }
    if (sector == self->flash.geometry.sector_count) {
        return false;
    }
    fly(self, sector, 0, self->flash.geometry.sector_len, NULL);
    return true;
}

/** The file has all, and it was synced; what was written since will be with the next sync. */
static void end_mending(struct file_flash *self)
{
    self->is_mending = false;
    self->state = FILE_FLASH_OK;
    self->error = 0;
    tell(self, "%s: can be written again%s", self->path,
         self->is_set_aside ? "; what was found there is kept, with " FILE_ASIDE_SUFFIX
                              " at the end of its name"
                            : "");
    self->is_set_aside = false;
}

static void begin_retry(struct file_flash *self)
{
    self->counters.retries++;
    self->is_mending = true;
    self->is_synced = false;
    file_worker_open(self->worker);
}

/** Give the thread the next thing to do, if it has nothing to do. */
static void pump(struct file_flash *self)
{
    take_result(self);
    if (file_worker_is_busy(self->worker) ||
        (self->state == FILE_FLASH_FALLEN_BACK && !self->is_mending)) {
        return;
    }
    if (write_dirty(self) || (self->is_mending && write_forgotten(self))) {
        return;
    }
    if (self->is_mending && self->is_synced) {
        end_mending(self);
    } else if (self->is_mending || self->op == FILE_FLASH_OP_SYNC) {
        file_worker_sync(self->worker);
    } else if (self->op == FILE_FLASH_OP_WRITE) {
        self->op = FILE_FLASH_OP_NONE;
        self->op_result = 1;
    }
}

/** Wake the main loop when the thread is done. */
static void want_wake(struct file_flash *self)
{
    if (self->poll_set != NULL && file_worker_is_busy(self->worker)) {
        linux_poll_set_want(self->poll_set, file_worker_wake_fd(self->worker), LINUX_POLL_READ);
    }
}

/* ---- the contract ---------------------------------------------------------------------------- */

static int file_read(struct hal_flash *flash, uint32_t off, uint8_t *out, size_t len)
{
    struct file_flash *self = self_of(flash);
    const uint32_t sector_len = flash->geometry.sector_len;
    KWM_ASSERT(off <= size_of(self) && len <= size_of(self) - off);
    int err = KWM_OK;
    for (size_t done = 0; done < len && err == KWM_OK;) {
        const uint32_t at = off + (uint32_t)done;
        const size_t here = sector_len - at % sector_len;
        const size_t part = len - done < here ? len - done : here;
        err = read_sector(self, at, out + done, part);
        done += part;
    }
    return err;
}

/** An operation is on its way, or over already. */
static void begin_op(struct file_flash *self, enum file_flash_op op)
{
    self->op = op;
    self->op_since_ms = self->now_ms;
    if (self->state == FILE_FLASH_FALLEN_BACK) {
        self->op_result = op == FILE_FLASH_OP_SYNC ? KWM_ERR_IO : 1;
        self->op = FILE_FLASH_OP_NONE;
        return;
    }
    pump(self);
}

static int file_prog(struct hal_flash *flash, uint32_t off, const uint8_t *data, size_t len)
{
    struct file_flash *self = self_of(flash);
    const struct hal_flash_geometry *geometry = &flash->geometry;
    if (self->op != FILE_FLASH_OP_NONE) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(len > 0 && off % geometry->prog_len == 0 && len % geometry->prog_len == 0);
    KWM_ASSERT(off < size_of(self) && len <= geometry->sector_len - off % geometry->sector_len);
    struct file_flash_slot *slot = load_slot(self, off / geometry->sector_len);
    if (slot == NULL) {
        self->op_result = KWM_ERR_IO;
        return KWM_OK;
    }
    const uint32_t from = off % geometry->sector_len;
    memcpy(bytes_of(self, slot) + from, data, len);
    make_dirty(slot, from, from + (uint32_t)len);
    begin_op(self, FILE_FLASH_OP_WRITE);
    return KWM_OK;
}

static int file_erase(struct hal_flash *flash, uint32_t sector)
{
    struct file_flash *self = self_of(flash);
    if (self->op != FILE_FLASH_OP_NONE) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(sector < flash->geometry.sector_count);
    struct file_flash_slot *slot = find_slot(self, sector);
    slot = slot != NULL ? slot : take_slot(self, sector);
    slot->age = ++self->newest_age;
    memset(bytes_of(self, slot), 0xFF, flash->geometry.sector_len);
    make_dirty(slot, 0, flash->geometry.sector_len);
    set_forgotten(self, sector, false);
    begin_op(self, FILE_FLASH_OP_WRITE);
    return KWM_OK;
}

static int file_sync(struct hal_flash *flash)
{
    struct file_flash *self = self_of(flash);
    if (self->op != FILE_FLASH_OP_NONE) {
        return KWM_ERR_STATE;
    }
    begin_op(self, FILE_FLASH_OP_SYNC);
    return KWM_OK;
}

static int file_poll(struct hal_flash *flash)
{
    struct file_flash *self = self_of(flash);
    pump(self);
    want_wake(self);
    if (self->op != FILE_FLASH_OP_NONE) {
        return 0;
    }
    const int result = self->op_result;
    self->op_result = 1;
    return result;
}

static const struct hal_flash_ops ops = {.read = file_read,
                                         .prog = file_prog,
                                         .erase = file_erase,
                                         .poll = file_poll,
                                         .sync = file_sync};

/* ---- opening, keeping going, closing --------------------------------------------------------- */

static bool is_valid(const struct file_flash_config *config)
{
    const uint32_t unit = config->prog_len;
    return unit >= 1 && unit <= 256 && (unit & (unit - 1U)) == 0 && config->sector_len >= 512 &&
           config->sector_len <= (1U << 20) && config->sector_len % unit == 0 &&
           config->sector_count >= 4 && config->sector_count <= UINT16_MAX &&
           (uint64_t)config->sector_len * config->sector_count <= UINT32_MAX &&
           config->overlay_count >= FILE_FLASH_OVERLAY_MIN &&
           config->overlay_count <= FILE_FLASH_OVERLAY_MAX && strlen(config->path) > 0 &&
           strlen(config->path) <= FILE_PATH_LEN_MAX;
}

static void set_up(struct file_flash *self, const struct file_flash_config *config, uint64_t now_ms)
{
    *self = (struct file_flash){
        .flash = {.ops = &ops,
                  .geometry = {.sector_len = config->sector_len,
                               .sector_count = config->sector_count,
                               .prog_len = config->prog_len,
                               .is_durable = true}},
        .overlay = config->overlay,
        .forgotten = config->forgotten,
        .overlay_count = config->overlay_count,
        .poll_set = config->poll_set,
        .fd = -1,
        .op_result = 1,
        .now_ms = now_ms,
    };
    memcpy(self->path, config->path, strlen(config->path) + 1U);
    memset(self->forgotten, 0, FILE_FLASH_FORGOTTEN_LEN(config->sector_count));
}

int file_flash_open(struct file_flash *self, const struct file_flash_config *config,
                    uint64_t now_ms)
{
    KWM_ASSERT(config->path != NULL && config->overlay != NULL && config->forgotten != NULL);
    if (!is_valid(config)) {
        return KWM_ERR_INVAL;
    }
    set_up(self, config, now_ms);
    self->worker = file_worker_begin(self->path, size_of(self),
                                     config->sys != NULL ? config->sys : &file_sys_linux);
    if (self->worker < 0) {
        return self->worker;
    }
    file_worker_open(self->worker);
    if (!file_worker_wait(self->worker, FILE_FLASH_OPEN_MS)) {
        self->fd = file_worker_no_content(self->worker);
        fall_back(self, ETIMEDOUT);
        want_wake(self);
        return KWM_OK;
    }
    (void)file_worker_no_content(self->worker);
    take_result(self);
    if (self->error == EWOULDBLOCK) {
        tell_in_use(self);
        (void)file_worker_end(self->worker, FILE_FLASH_OPEN_MS);
        return KWM_ERR_STATE;
    }
    return self->state == FILE_FLASH_OK && self->changes != 0 ? FILE_FLASH_RESIZED : KWM_OK;
}

uint64_t file_flash_step(struct file_flash *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    pump(self);
    if (self->op != FILE_FLASH_OP_NONE && now_ms - self->op_since_ms >= FILE_FLASH_STALL_MS) {
        fall_back(self, ETIMEDOUT);
    }
    const bool is_waiting = self->state == FILE_FLASH_FALLEN_BACK && !self->is_mending;
    if (is_waiting && now_ms >= self->retry_at_ms && !file_worker_is_busy(self->worker)) {
        begin_retry(self);
    }
    want_wake(self);
    if (self->op != FILE_FLASH_OP_NONE) {
        return self->op_since_ms + FILE_FLASH_STALL_MS;
    }
    if (self->state == FILE_FLASH_OK || self->is_mending || file_worker_is_busy(self->worker)) {
        return UINT64_MAX; /* the poll set is woken */
    }
    return self->retry_at_ms;
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    const int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    KWM_ASSERT(rc == 0);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

/** Milliseconds that are left, at least one: what is over already can be taken. */
static unsigned left_of(uint64_t end_ms)
{
    const uint64_t now_ms = monotonic_ms();
    return now_ms < end_ms ? (unsigned)(end_ms - now_ms) : 1U;
}

/** Let what goes on come to its end. @return whether it did. */
static bool settle(struct file_flash *self, uint64_t end_ms)
{
    bool is_in_time = true;
    for (;;) {
        pump(self);
        if (!file_worker_is_busy(self->worker) && !self->is_mending &&
            self->op == FILE_FLASH_OP_NONE) {
            return true;
        }
        if (!is_in_time) {
            return false;
        }
        is_in_time = file_worker_wait(self->worker, left_of(end_ms)) && monotonic_ms() < end_ms;
    }
}

int file_flash_close(struct file_flash *self, unsigned ms)
{
    const uint64_t end_ms = monotonic_ms() + ms;
    bool is_settled = settle(self, end_ms);
    if (is_settled && self->state == FILE_FLASH_FALLEN_BACK) {
        begin_retry(self);
        is_settled = settle(self, end_ms);
    }
    if (is_settled && self->state == FILE_FLASH_OK) {
        begin_op(self, FILE_FLASH_OP_SYNC);
        is_settled = settle(self, end_ms);
    }
    if (self->poll_set != NULL) {
        linux_poll_set_remove(self->poll_set, file_worker_wake_fd(self->worker));
    }
    const bool has_ended = file_worker_end(self->worker, left_of(end_ms));
    self->fd = -1;
    if (!is_settled || !has_ended) {
        return KWM_ERR_TIMEOUT;
    }
    return self->state == FILE_FLASH_OK ? KWM_OK : KWM_ERR_IO;
}
