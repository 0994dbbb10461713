/* SPDX-License-Identifier: MIT */
#include "sim/sim_sensor.h"

#include <stddef.h>

#include "hal/assert.h"

static struct sim_sensor *self_of(struct hal_sensor *sensor)
{
    return (struct sim_sensor *)sensor;
}

static void say(struct sim_sensor *self)
{
    self->sensor.detail = self->script.detail != NULL ? self->script.detail : "";
}

static int sim_begin(struct hal_sensor *sensor, uint64_t now_ms)
{
    struct sim_sensor *self = self_of(sensor);
    KWM_ASSERT(!self->is_reading);
    sensor->detail = "";
    if (self->script.begin_err != KWM_OK) {
        say(self);
        return self->script.begin_err;
    }
    self->is_reading = true;
    self->begun_ms = now_ms;
    self->done_ms = now_ms + self->script.takes_ms;
    return KWM_OK;
}

static int sim_poll(struct hal_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    struct sim_sensor *self = self_of(sensor);
    KWM_ASSERT(self->is_reading);
    if (self->script.is_silent || now_ms < self->done_ms) {
        return 0;
    }
    self->is_reading = false;
    if (self->script.poll_err != KWM_OK) {
        say(self);
        return self->script.poll_err;
    }
    self->readings++;
    self->script.fill(self->script.ctx, self, now_ms, sink);
    return 1;
}

static void sim_cancel(struct hal_sensor *sensor)
{
    struct sim_sensor *self = self_of(sensor);
    self->cancels += self->is_reading ? 1U : 0U;
    self->is_reading = false;
}

static const struct hal_sensor_ops ops = {
    .begin = sim_begin, .poll = sim_poll, .cancel = sim_cancel};

void sim_sensor_init(struct sim_sensor *self, const char *name,
                     const struct hal_schema *const *schemas, uint8_t schema_count,
                     const struct sim_sensor_script *script)
{
    *self = (struct sim_sensor){
        .sensor = {.ops = &ops,
                   .name = name,
                   .schemas = schemas,
                   .schema_count = schema_count,
                   .detail = ""},
        .script = *script,
    };
}
