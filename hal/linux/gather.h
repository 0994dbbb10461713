/* SPDX-License-Identifier: MIT */
/**
 * @file linux/gather.h
 * @brief Makes a struct hal_sensor of a function that gathers everything at once. For sources that
 *        cannot block; ask.h is for those that can.
 *
 * Memory:  the caller owns struct linux_gather.
 * Context: main loop only.
 * Bounds:  the function's.
 */
#ifndef LINUX_GATHER_H
#define LINUX_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/input.h"
#include "hal/sensor.h"
#include "linux/proc_reader.h"

#define LINUX_DETAIL_LEN_MAX 255U

/** What both kinds of sensor have. */
struct linux_sensor {
    struct hal_sensor sensor; /**< first member */
    bool is_reading;
    uint64_t begun_ms;
    char detail[LINUX_DETAIL_LEN_MAX + 1];
};

/** Set the sensor's detail, which is cut to fit. @return err. */
__attribute__((format(printf, 3, 4))) int linux_sensor_fail(struct linux_sensor *self, int err,
                                                            const char *format, ...);

/** The same about a file of the roots, with errno's text. */
int linux_sensor_fail_file(struct linux_sensor *self, int err, const struct linux_file *file);

/** begin() of both kinds. */
KWM_NODISCARD int linux_sensor_begin(struct hal_sensor *sensor, uint64_t now_ms);

struct linux_gather {
    struct linux_sensor base; /**< first member */
    /**
     * Put all points of now.
     * @return KWM_OK, or what linux_sensor_fail() returned: then points may be missing.
     */
    int (*gather)(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink);
};

void linux_gather_init(struct linux_gather *self, const char *name,
                       const struct hal_schema *const *schemas, uint8_t schema_count,
                       int (*gather)(struct linux_gather *self, uint64_t now_ms,
                                     struct hal_sink *sink));

static inline struct hal_value linux_uint(uint64_t number)
{
    return (struct hal_value){.kind = HAL_KIND_UINT, .u = number};
}

static inline struct hal_value linux_double(double number)
{
    return (struct hal_value){.kind = HAL_KIND_DOUBLE, .d = number};
}

static inline struct hal_value linux_fixed(int64_t mantissa, uint8_t scale)
{
    return (struct hal_value){.kind = HAL_KIND_FIXED, .scale = scale, .i = mantissa};
}

/** part of whole in percent; 0 of nothing. */
static inline struct hal_value linux_percent(uint64_t part, uint64_t whole)
{
    return linux_double(whole > 0 ? 100.0 * (double)part / (double)whole : 0.0);
}

#endif
