/* SPDX-License-Identifier: MIT */
/**
 * @file linux/linux_entropy.h
 * @brief Random bytes from the kernel (getrandom(2)).
 *
 * It never waits: while the kernel's generator has no seed yet (the first seconds of a device's
 * boot) it fails, and the caller tries again later.
 *
 * Memory:  the caller owns the struct.   Context: any thread.   Bounds: one system call a 256
 *          bytes.
 */
#ifndef LINUX_ENTROPY_H
#define LINUX_ENTROPY_H

#include "hal/entropy.h"

struct linux_entropy {
    struct hal_entropy entropy;
};

void linux_entropy_init(struct linux_entropy *self);

#endif
