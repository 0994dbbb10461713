/* SPDX-License-Identifier: MIT */
/**
 * @file hal/sensor.h
 * @brief Contract: anything that can be asked for a reading.
 *
 * A reading is begun, then polled until it is over; nothing here waits. One reading may yield any
 * number of points (one for each CPU, say), all of the instant at which it was begun.
 *
 * Memory:  the implementation's struct has struct hal_sensor as its first member; the caller owns
 * it.
 * Context: main loop only. An implementation that has to wait for the world does so elsewhere
 *          (an interrupt, a worker) and only records; poll() picks up what was recorded.
 * Bounds:  begin() and poll() return at once. The caller's deadline ends a reading by cancel().
 */
#ifndef HAL_SENSOR_H
#define HAL_SENSOR_H

#include "hal/err.h"
#include "hal/value.h"

/** Takes points. The one who begins a reading provides it. */
struct hal_sink {
    /**
     * @return KWM_OK, or an error that the sensor need not act on (the sink counts it): it goes on
     *         with its next point.
     */
    int (*put)(struct hal_sink *sink, const struct hal_point *point);
};

struct hal_sensor;

struct hal_sensor_ops {
    /**
     * Begin a reading. Rates are differences to the reading before, by this clock.
     * @param now_ms boot clock.
     * @return KWM_OK; KWM_ERR_STATE while one is going on (a reading that was cancelled may still
     *         occupy the hardware); another error if it cannot begin.
     */
    int (*begin)(struct hal_sensor *sensor, uint64_t now_ms);
    /**
     * Go on with it, and deliver what has come.
     * @return 1 when the reading is over, 0 when there may be more to come, an error when it ended
     *         without (all of) its points: `detail` then says why.
     */
    int (*poll)(struct hal_sensor *sensor, uint64_t now_ms, struct hal_sink *sink);
    /** Give up the reading that goes on, if any. Nothing of it is delivered later. */
    void (*cancel)(struct hal_sensor *sensor);
};

struct hal_sensor {
    const struct hal_sensor_ops *ops;
    const char *name;                        /**< "cpu"; for messages */
    const struct hal_schema *const *schemas; /**< every measurement that it may deliver */
    uint8_t schema_count;
    const char *detail; /**< why the last call failed, "" otherwise; valid until the next call */
};

KWM_NODISCARD static inline int hal_sensor_begin(struct hal_sensor *sensor, uint64_t now_ms)
{
    return sensor->ops->begin(sensor, now_ms);
}

KWM_NODISCARD static inline int hal_sensor_poll(struct hal_sensor *sensor, uint64_t now_ms,
                                                struct hal_sink *sink)
{
    return sensor->ops->poll(sensor, now_ms, sink);
}

static inline void hal_sensor_cancel(struct hal_sensor *sensor)
{
    sensor->ops->cancel(sensor);
}

#endif
