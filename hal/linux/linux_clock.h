/* SPDX-License-Identifier: MIT */
/**
 * @file linux/linux_clock.h
 * @brief The two clocks of Linux: time since boot, and the time of day with what it is worth.
 *
 * When the time of day counts as set: **it is SET when the system clock is at or after the floor,
 * and FLOOR when it is before.** The floor is the latest of the program's build date and of the
 * times that were verified since. A device without a battery that starts in 1970 is found out by
 * the floor. One that starts where its file system was left (systemd, fake-hwclock) is not: its
 * clock is behind by as long as it was off, and a certificate that was issued meanwhile is refused
 * until NTP has set the clock.
 *
 * The kernel's "unsynchronised" flag (adjtimex, STA_UNSYNC) does not take part: it is set for ever
 * in containers whose host keeps the time, under busybox ntpd -q, rdate and a good RTC, so that a
 * machine with the right time would be refused. It is told as information.
 *
 * Memory:  the caller owns the struct.   Context: any thread; linux_clock_raise_floor() main loop.
 */
#ifndef LINUX_CLOCK_H
#define LINUX_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/clock.h"

struct linux_clock {
    int64_t floor_ms; /**< unix ms; it cannot be earlier than this */
};

/** @param floor_ms unix ms, normally the build date. */
void linux_clock_init(struct linux_clock *clock, int64_t floor_ms);

/** A verified source says that it is at least unix_ms. An earlier one than the floor changes
 *  nothing. */
void linux_clock_raise_floor(struct linux_clock *clock, int64_t unix_ms);

/** @return the time of day by the rule above; with FLOOR it is the floor. */
struct hal_wall linux_clock_wall(const struct linux_clock *clock);

/** The same as a source to hand on; clock must outlive it. */
struct hal_wall_source linux_clock_source(struct linux_clock *clock);

/** @return false while the kernel says that nothing keeps its clock in step; information only. */
bool linux_clock_is_synced(void);

/** @return milliseconds since boot, time asleep included (CLOCK_BOOTTIME); never goes back. */
uint64_t linux_clock_boot_ms(void);

#endif
