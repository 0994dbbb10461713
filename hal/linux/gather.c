/* SPDX-License-Identifier: MIT */
#include "linux/gather.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hal/assert.h"

int linux_sensor_fail(struct linux_sensor *self, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(self->detail, sizeof(self->detail), format, args);
    va_end(args);
    self->sensor.detail = self->detail;
    return err;
}

int linux_sensor_fail_file(struct linux_sensor *self, int err, const struct linux_file *file)
{
    const int code = errno;
    return linux_sensor_fail(self, err, "%s/%s: %s", linux_root_path(file->root), file->name,
                             strerror(code));
}

int linux_sensor_begin(struct hal_sensor *sensor, uint64_t now_ms)
{
    struct linux_sensor *self = (struct linux_sensor *)sensor;
    sensor->detail = "";
    if (self->is_reading) {
        return linux_sensor_fail(self, KWM_ERR_STATE, "a reading is going on");
    }
    self->is_reading = true;
    self->begun_ms = now_ms;
    return KWM_OK;
}

static int gather_poll(struct hal_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    struct linux_gather *self = (struct linux_gather *)sensor;
    (void)now_ms;
    sensor->detail = "";
    if (!self->base.is_reading) {
        return linux_sensor_fail(&self->base, KWM_ERR_STATE, "no reading is going on");
    }
    self->base.is_reading = false;
    const int err = self->gather(self, self->base.begun_ms, sink);
    KWM_ASSERT(err <= 0);
    return err == KWM_OK ? 1 : err;
}

static void gather_cancel(struct hal_sensor *sensor)
{
    ((struct linux_sensor *)sensor)->is_reading = false;
}

static const struct hal_sensor_ops ops = {
    .begin = linux_sensor_begin, .poll = gather_poll, .cancel = gather_cancel};

void linux_gather_init(struct linux_gather *self, const char *name,
                       const struct hal_schema *const *schemas, uint8_t schema_count,
                       int (*gather)(struct linux_gather *self, uint64_t now_ms,
                                     struct hal_sink *sink))
{
    *self = (struct linux_gather){
        .base = {.sensor = {.ops = &ops,
                            .name = name,
                            .schemas = schemas,
                            .schema_count = schema_count,
                            .detail = ""}},
        .gather = gather,
    };
}
