/* SPDX-License-Identifier: MIT */
/**
 * @file support.h
 * @brief What every unit test needs: cmocka with its own prerequisites, the link-time functions,
 *        and a seeded generator.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first. */
#include <cmocka.h>

/** xorshift64*: the same numbers on every machine. @param state not 0. */
uint64_t support_random(uint64_t *state);

/** Seed of a property test: KWM_SEED from the environment, or a fixed one; printed by the
 *  caller. */
uint64_t support_seed(void);

/** Runs of a property test: KWM_RUNS from the environment, or the given number. */
unsigned support_runs(unsigned usual);

/** The last line given to hal_log_write(), NUL-terminated; "" if none since support_log_clear(). */
const char *support_log_last(void);
unsigned support_log_count(void);
void support_log_clear(void);

/** Read a file of tests/ (path relative to tests/). Fails the test if it cannot. @return bytes. */
size_t support_read_file(const char *path, char *out, size_t cap);

#endif
