/* SPDX-License-Identifier: MIT */
#include "linux/linux_clock.h"

#include <sys/timex.h>
#include <time.h>

#include "hal/assert.h"

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    const int rc = clock_gettime(id, &now);
    KWM_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000 + (int64_t)now.tv_nsec / 1000000;
}

void linux_clock_init(struct linux_clock *clock, int64_t floor_ms)
{
    clock->floor_ms = floor_ms;
}

void linux_clock_raise_floor(struct linux_clock *clock, int64_t unix_ms)
{
    if (unix_ms > clock->floor_ms) {
        clock->floor_ms = unix_ms;
    }
}

struct hal_wall linux_clock_wall(const struct linux_clock *clock)
{
    const int64_t now_ms = read_ms(CLOCK_REALTIME);
    if (now_ms < clock->floor_ms) {
        return (struct hal_wall){.state = HAL_WALL_FLOOR, .unix_ms = clock->floor_ms};
    }
    return (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = now_ms};
}

static struct hal_wall source_now(void *ctx)
{
    return linux_clock_wall(ctx);
}

struct hal_wall_source linux_clock_source(struct linux_clock *clock)
{
    return (struct hal_wall_source){.now = source_now, .ctx = clock};
}

bool linux_clock_is_synced(void)
{
    struct timex state = {.modes = 0};
    return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

uint64_t linux_clock_boot_ms(void)
{
    return (uint64_t)read_ms(CLOCK_BOOTTIME);
}
