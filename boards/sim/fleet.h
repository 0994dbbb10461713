/* SPDX-License-Identifier: MIT */
/**
 * @file fleet.h
 * @brief Thousands of devices, each the real core and firmware, in one process and virtual time
 *        against one modelled server: what an outage does to it when they all come back.
 *
 * Every device reads four measurements every 10 s (24 lines a minute) and flushes once a minute.
 * The run has a start over which the devices are switched on, a steady time, the outage, and what
 * comes after. The same configuration gives the same run.
 *
 * Memory:  about 100 KiB a device, from the heap.   Context: one fleet at a time, one thread.
 * Bounds:  fleet_run() ends at its time.
 */
#ifndef FLEET_H
#define FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "fleet_heap.h"
#include "fleet_server.h"
#include "kwm/account.h"

#define FLEET_STEADY_S 600U /* between start and outage; the second half is measured */
#define FLEET_SAMPLE_S 10U

struct fleet_config {
    uint32_t device_count;
    unsigned core_count;
    bool use_token;
    bool is_restart;  /**< the outage is the server's; else the network's, and nothing arrives */
    bool has_phase;   /**< devices flush at phases of their own; else all at once */
    bool has_jitter;  /**< waits are random; else the longest that they may be */
    uint32_t start_s; /**< devices are switched on over so long */
    uint32_t outage_s;
    uint32_t after_s;
    uint64_t seed;
};

/** The state of things every FLEET_SAMPLE_S. */
struct fleet_sample {
    uint64_t waiting; /**< rows on all devices */
    uint32_t queue;   /**< jobs of the server that wait for a core */
};

struct fleet_result {
    uint32_t second_count;
    struct fleet_second *seconds; /**< valid until fleet_free() */
    uint32_t sample_count;
    struct fleet_sample *samples;
    uint32_t outage_begin_s, outage_end_s;
    struct kwm_totals totals; /**< summed over devices, each of which was found to add up */
    uint64_t server_rows, server_rewrites, abandoned, syns_lost;
    uint64_t full_handshakes, resumed_handshakes;
    uint64_t requests_steady; /**< of the measured steady time, FLEET_STEADY_S / 2 */
    uint32_t queue_steady;
    uint32_t peak_1s, peak_10s, peak_60s; /**< most requests of a window after the outage */
    uint32_t queue_peak;                  /**< from the end of the outage on */
    /** Seconds after the outage when every row from before its end was delivered, by 99 % of the
     *  devices and by all; UINT32_MAX: not in this run. */
    uint32_t recovered_99_s, recovered_s;
    uint32_t lines_max; /**< most lines a request had */
    size_t device_len;  /**< bytes of a device */
};

struct fleet;

/** @return a fleet, or NULL if there is not the memory. */
struct fleet *fleet_new(const struct fleet_config *config);

void fleet_run(struct fleet *fleet, struct fleet_result *result);

void fleet_free(struct fleet *fleet);

#endif
