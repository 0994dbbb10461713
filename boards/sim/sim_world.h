/* SPDX-License-Identifier: MIT */
/**
 * @file sim_world.h
 * @brief One device and its server in virtual time: the real core and firmware, everything else a
 * model.
 *
 * The same configuration and seed give the same run, to the byte. Any number of worlds may live
 * side by side.
 *
 * Memory:  the caller's struct (some MiB: static in tests).   Context: one thread.
 * Bounds:  sim_world_run() ends at its time; a device that asks to run again at the same instant
 *          more than SIM_SPINS_MAX times is stuck, and panics.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent.h"
#include "config.h"
#include "kwdb_model.h"
#include "ram/ram_flash.h"
#include "sim/sim_flash.h"
#include "sim/sim_net.h"
#include "sim/sim_sensor.h"

#define SIM_SENSORS_MAX 8U
#define SIM_SPINS_MAX 100000U
#define SIM_SERIES_MAX 32U
#define SIM_MEASUREMENTS_MAX 16U
#define SIM_SPOOL_LEN_MAX (1024U * 1024U)
#define SIM_EVENTS_MAX 64U

/** What the agent had to tell. */
struct sim_event {
    uint64_t at_ms;
    enum kwm_event_code code;
    uint8_t reason;
    int err;
    char name[32];
    char text[128];
};

/** Who looks on. Each may be NULL. */
struct sim_observer {
    void (*on_event)(void *ctx, const struct sim_event *event);
    /** The agent made a step, and wants to go on at the latest then. */
    void (*on_step)(void *ctx, uint64_t wake_ms);
    void *ctx;
};

struct sim_world {
    uint64_t now_ms;      /**< virtual boot clock */
    struct hal_wall wall; /**< at virtual time 0; SET unless a test changes it */
    uint64_t random;
    struct sim_net net;
    struct kwdb_model server;
    struct sim_sensor sensors[SIM_SENSORS_MAX];
    unsigned sensor_count;
    unsigned sensors_made;
    struct ram_flash flash;
    struct sim_flash slow_flash; /**< in its place, if is_flash_slow */
    struct agent agent;
    struct kwm_config configs[2]; /**< the one in use, and the one before it or to come */
    unsigned config_index;
    struct hal_input_def inputs[3]; /**< the last one ends the list */
    struct kwm_config_errors errors;
    struct sim_event events[SIM_EVENTS_MAX];
    uint32_t event_count;
    struct sim_observer observer;
    struct sim_peer peer;  /**< the server */
    uint32_t sector_len;   /**< of the spool: set before start; default 4096 */
    uint16_t prog_len;     /**< default 1 */
    bool is_flash_slow;    /**< storage that takes its time: set before start, with its script */
    bool is_flash_durable; /**< and that survives: slow_flash, too; set before start */
    bool is_flash_cached;  /**< and that is a file behind a cache: set before start */
    uint32_t cut_again_points; /**< after it came back, the power fails again there, once; 0: no */
    uint32_t boots;            /**< starts with another boot clock so far */
    uint32_t hold_ms;          /**< rows are in RAM alone for so long; default 0 */
    uint16_t line_count_max;   /**< board's limit of lines a request; default 200 */

    /* Memory of the device. */
    struct kwm_series series[SIM_SERIES_MAX];
    struct kwm_measurement measurements[SIM_MEASUREMENTS_MAX];
    struct kwm_stream streams[SIM_MEASUREMENTS_MAX];
    uint8_t pool[16384];
    struct kwm_local locals[2U * 64U];
    uint8_t scratch[2U * KWM_READER_SCRATCH_LEN];
    struct kwm_batch_line lines[KWM_BATCH_LINES_MAX];
    struct kwm_reason reasons[8];
    struct kwm_row rows[4];
    uint8_t stage[8192];
    uint8_t out[4096];
    char line[1024];
    uint8_t spool[SIM_SPOOL_LEN_MAX];
    uint8_t synced[SIM_SPOOL_LEN_MAX];
    uint8_t arenas[2][65536];
    char document[8192];
};

/** Ready the world: clock at now_ms, time of day set, server without tables, no sensors. */
void sim_world_init(struct sim_world *world, uint64_t seed, uint64_t now_ms);

/** Add a sensor; it is made by the next entry of "inputs": {"sim": [{}, ...]}. */
struct sim_sensor *sim_world_sensor(struct sim_world *world, const char *name,
                                    const struct hal_schema *const *schemas, uint8_t schema_count,
                                    const struct sim_sensor_script *script);

/** Start the device with a configuration document, its storage erased. Panics if it is refused: the
 *  test is wrong then. */
void sim_world_start(struct sim_world *world, const char *document);

/** Reload the device with another configuration, of as many sensors; its spool stays as it is. */
void sim_world_reload(struct sim_world *world, const char *document);

/** The power fails: what the agent had in RAM is gone, its connection too. Flash and server stay.
 *  Also to be called when slow_flash lost its power by its own script. */
void sim_world_power_cut(struct sim_world *world);

/** The power is back after down_ms: another boot, whose clock begins at boot_ms. The device knows
 *  the time of day if it did and has an RTC. Panics if it does not start. */
void sim_world_power_on(struct sim_world *world, uint64_t down_ms, uint64_t boot_ms, bool has_rtc);

/** Run until the given virtual time has passed, or the power failed. */
void sim_world_run(struct sim_world *world, uint64_t ms);

/** Collect no more, and give the delivery so many seconds for what waits. */
void sim_world_settle(struct sim_world *world, uint64_t seconds);

/** @return events of a kind so far; the newest of them in *last unless NULL. */
unsigned sim_world_events(const struct sim_world *world, enum kwm_event_code code,
                          const struct sim_event **last);

/** Panics unless the accounts add up, and the server holds what they say. */
void sim_world_check(const struct sim_world *world);

/** Seconds as the schedule's milliseconds. */
#define SIM_S(seconds) ((uint64_t)(seconds)*1000U)

#endif
