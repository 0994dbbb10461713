/* SPDX-License-Identifier: MIT */
/**
 * @file sim/sim_sensor.h
 * @brief A sensor whose readings a test makes up, and that can be slow, broken or silent.
 *
 * Memory:  the caller's.   Context: main loop.   Bounds: as the script.
 */
#ifndef SIM_SENSOR_H
#define SIM_SENSOR_H

#include <stdbool.h>

#include "hal/sensor.h"

struct sim_sensor;

struct sim_sensor_script {
    /** Put this reading's points. */
    void (*fill)(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink);
    void *ctx;
    uint32_t takes_ms;  /**< a reading takes so long */
    bool is_silent;     /**< a reading never ends */
    int begin_err;      /**< begin() fails */
    int poll_err;       /**< poll() fails, when the reading would be over */
    const char *detail; /**< says so; NULL: nothing */
};

struct sim_sensor {
    struct hal_sensor sensor; /* first member */
    struct sim_sensor_script script;
    bool is_reading;
    uint64_t begun_ms; /**< of the reading that goes on, or the last one */
    uint64_t done_ms;
    uint32_t readings;
    uint32_t cancels;
};

void sim_sensor_init(struct sim_sensor *self, const char *name,
                     const struct hal_schema *const *schemas, uint8_t schema_count,
                     const struct sim_sensor_script *script);

#endif
