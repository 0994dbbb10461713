/* SPDX-License-Identifier: MIT */
/**
 * @file report.h
 * @brief Makes sentences of the core's events and writes them to the log: what, why, and what to
 * do.
 *
 * Memory:  struct report is the caller's.   Context: main loop.   Bounds: one line an event.
 */
#ifndef AGENT_REPORT_H
#define AGENT_REPORT_H

#include "config.h"
#include "kwm/event.h"

struct report {
    const struct kwm_config *config; /**< for URLs and the user's name */
};

/** The sink for a report. */
struct kwm_event_sink report_sink(struct report *report);

#endif
