/* SPDX-License-Identifier: MIT */
/**
 * @file linux/thread.h
 * @brief Starts a thread that nobody waits for, with all signals left to the main loop.
 *
 * Memory:  the stack is the system's.   Context: main loop.   Bounds: one system call or two.
 */
#ifndef LINUX_THREAD_H
#define LINUX_THREAD_H

#include <stdbool.h>
#include <stddef.h>

/** @param stack_len bytes. @return whether it runs. */
bool linux_thread_start(void *(*run)(void *arg), void *arg, size_t stack_len);

#endif
