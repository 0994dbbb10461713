/* SPDX-License-Identifier: MIT */
/**
 * @file sim_run.h
 * @brief One device's life in virtual time: a seed decides the configuration, the faults and when
 *        they come; invariants are looked at all the time.
 *
 * The same options give the same run, to the byte; `hash` of the result is the proof. A run ends at
 * its first violation.
 *
 * Memory:  struct sim_run (some MiB) and what it takes from the heap, kept from run to run.
 * Context: one thread; one run at a time in a process.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim_truth.h"
#include "sim_world.h"

#define SIM_STREAK 16U /* failed requests in a row whose pace is looked at */

enum sim_scenario {
    SIM_SCENARIO_RANDOM,   /**< faults of all kinds, at random, most of the time */
    SIM_SCENARIO_CALM,     /**< none at all */
    SIM_SCENARIO_FAIL_NET, /**< a short run in which one call into the net fails */
    SIM_SCENARIO_POWER,    /**< as RANDOM, with storage that survives and power that fails */
    SIM_SCENARIO_CUT,      /**< a short run in which the power fails at one point */
    SIM_SCENARIO_COUNT,
};

struct sim_options {
    uint64_t seed; /**< FAIL_NET, CUT: which call or point, and how it fails */
    uint32_t hours;
    enum sim_scenario scenario;
    FILE *trace; /**< tells the story; NULL: silent */
};

/** Plain values: it goes through a pipe between processes. */
struct sim_result {
    uint64_t seed;
    uint64_t hash;
    uint64_t at_ms; /**< of virtual time, of the violation */
    uint64_t virtual_ms;
    uint64_t fault_ms; /**< of them, with at least one fault going on */
    uint64_t collected, stored, refused, dropped, unknown, waiting;
    uint32_t requests;
    uint32_t faults;
    uint32_t boots;
    uint32_t net_calls;
    uint64_t flash_points;
    double cpu_s;
    char violation[SIM_TRUTH_TEXT_LEN_MAX]; /**< "" if there was none */
};

/** A fault that goes on in one part of the world; see sim_faults.c. */
struct sim_fault {
    uint64_t end_ms; /**< 0: none goes on */
    uint8_t kind;
    uint8_t target; /**< which sensor or table */
};

#define SIM_FAULT_PLACES 9U

/** The batch in hand, as it is seen from outside. */
struct sim_batch {
    uint64_t base, begun_ms;
    uint32_t lines;
    uint32_t requests, failed;
    uint16_t line_cap; /**< the smallest one */
    bool is_open;
    bool is_excused; /**< a fault had its part in how the server answered */
};

struct sim_run {
    struct sim_options options;
    struct sim_world world;
    struct sim_truth truth;
    struct sim_fault faults[SIM_FAULT_PLACES];
    struct sim_batch batch;
    struct kwdb_row *rows;
    uint32_t row_cap;
    uint64_t random;
    uint64_t shift_ms; /**< virtual time less the boot clock */
    uint64_t start_ms, next_fault_ms;
    uint64_t run_ms; /**< of virtual time, without the rest at the end */
    uint64_t fault_ms;
    uint64_t sent_ms; /**< when the request that is on its way was first seen; 0: none is */
    uint64_t failed_ms[SIM_STREAK];
    uint64_t requests_failed;
    uint64_t sent_number;
    uint32_t requests_seen;
    uint32_t fault_count;
    uint64_t damaged; /**< samples that damaged flash may have cost */
    uint64_t unnoted; /**< lines sent while the flash took no checkpoint, before a power cut */
    uint32_t boots;
    uint32_t spool_kib;
    int32_t drift_ms;                   /**< of the clock, a minute */
    uint8_t manners[SIM_TRUTH_SENSORS]; /**< enum sim_manner */
    bool is_faulty;                     /**< a fault goes on */
    bool shares_name; /**< the third sensor's rows go to the second one's measurement */
    char document[1024];
};

/** Names of the scenarios, and what each is for. */
extern const struct sim_scenario_info {
    const char *name;
    const char *help;
} sim_scenarios[SIM_SCENARIO_COUNT];

/** Do it. */
void sim_run(struct sim_run *run, const struct sim_options *options, struct sim_result *result);

/* ---- for its parts ---- */

/** @return a number below the given one. */
uint32_t sim_run_pick(struct sim_run *run, uint32_t below);

/** @return virtual time, which no boot begins anew. */
uint64_t sim_run_now_ms(const struct sim_run *run);

/** Tell the story, if anybody listens. */
void sim_run_tell(struct sim_run *run, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Take another configuration in the midst of it. */
void sim_run_reload(struct sim_run *run);

/** Begin and end faults that are due. @return whether one goes on. */
bool sim_faults_step(struct sim_run *run);

/** When something is to begin or to end next. */
uint64_t sim_faults_next_ms(const struct sim_run *run);

/** End all. */
void sim_faults_heal(struct sim_run *run);

/** Look on: the invariants that hold at every step (sim_watch.c). */
void sim_watch_begin(struct sim_run *run);

/** The device's own counters begin anew. */
void sim_watch_reboot(struct sim_run *run);

/** Those that are looked at now and then. @param is_end everything has come to rest. */
void sim_watch_accounts(struct sim_run *run, bool is_end);

#endif
