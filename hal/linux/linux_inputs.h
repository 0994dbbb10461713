/* SPDX-License-Identifier: MIT */
/**
 * @file linux/linux_inputs.h
 * @brief The inputs of a Linux machine, with Telegraf's names, options and fields.
 *
 * Memory:  static, a fixed number of each input (linux_inputs.c).
 * Context: main loop only; what can block is asked by worker.h's threads.
 */
#ifndef LINUX_LINUX_INPUTS_H
#define LINUX_LINUX_INPUTS_H

#include "hal/input.h"
#include "linux/poll_set.h"
#include "linux/proc_reader.h"

/** Ends with an entry whose name is NULL. */
extern const struct hal_input_def linux_inputs[];

/** Where the inputs find their files. Sensors made before see the new places at once. */
void linux_inputs_set_roots(const struct linux_roots *roots);

/** The same from the environment, as Telegraf: HOST_PROC, HOST_SYS, HOST_DEV, HOST_VAR, HOST_RUN,
 *  HOST_MOUNT_PREFIX. (HOST_ETC is not needed: no input reads there.) */
void linux_inputs_roots_from_env(void);

/** Let the workers wake the loop. Without this, readings that go on are only seen when polled. */
void linux_inputs_init(struct linux_poll_set *poll_set);

/**
 * The sensors made so far are not needed any more: all may be created anew (reload). They may still
 * be cancelled, until then.
 */
void linux_inputs_release(void);

#endif
