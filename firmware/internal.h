/* SPDX-License-Identifier: MIT */
/**
 * @file internal.h
 * @brief The input `internal`: the agent's own state, under Telegraf's names where it has them.
 *
 * internal_agent: what is collected, and memory. internal_write: what became of it (the accounts of
 * kwm/delivery.h), the queue, and the connection.
 *
 * Memory:  one sensor in an image.   Context: main loop.   Bounds: constant time.
 */
#ifndef AGENT_INTERNAL_H
#define AGENT_INTERNAL_H

#include "hal/input.h"

struct agent;

/** Whose state it is. Before any sensor is made. */
void agent_internal_bind(const struct agent *agent);

/** For the board's list of inputs. */
extern const struct hal_input_def agent_internal_input;

#endif
