/* SPDX-License-Identifier: MIT */
#include "linux/ask.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hal/assert.h"

static void answer_failure(struct linux_ask *self, unsigned index, int error, struct hal_sink *sink)
{
    const struct linux_answer answer = {.error = error};
    self->ops->answer(self, index, &answer, sink);
}

/** Put as many of the next questions into the job as it takes. */
static void fill_job(struct linux_ask *self, struct hal_sink *sink)
{
    self->job_size = 0;
    self->taken = 0;
    for (; self->next < self->count; self->next++) {
        enum linux_question question;
        const char *path = self->ops->path(self, self->next, &question);
        if (linux_workers_hang_on(path)) {
            answer_failure(self, self->next, ETIMEDOUT, sink);
        } else if (linux_job_add(self->job, question, path) == KWM_OK) {
            self->indexes[self->job_size++] = (uint8_t)self->next;
        } else if (self->job_size > 0) {
            return; /* for the next job */
        } else {
            answer_failure(self, self->next, ENAMETOOLONG, sink);
        }
    }
}

/** Give the next questions to a worker. @return KWM_OK, or why not. */
static int start_job(struct linux_ask *self, uint64_t now_ms, struct hal_sink *sink)
{
    const int job = linux_job_begin();
    if (job < 0) {
        return job;
    }
    self->job = job;
    self->moved_ms = now_ms;
    fill_job(self, sink);
    if (self->job_size > 0) {
        linux_job_start(job);
        return KWM_OK;
    }
    linux_job_end(job);
    self->job = -1;
    return KWM_OK;
}

/** Take what has come; leave the worker behind if it does not get on. */
static void follow_job(struct linux_ask *self, uint64_t now_ms, struct hal_sink *sink)
{
    const unsigned done = linux_job_poll(self->job);
    for (; self->taken < done; self->taken++) {
        self->moved_ms = now_ms;
        self->ops->answer(self, self->indexes[self->taken],
                          linux_job_answer(self->job, self->taken), sink);
    }
    if (self->taken == self->job_size) {
        linux_job_end(self->job);
        self->job = -1;
    } else if (now_ms - self->moved_ms >= LINUX_ASK_STALL_MS) {
        const unsigned hung = self->indexes[self->taken];
        linux_job_leave(self->job);
        self->job = -1;
        answer_failure(self, hung, ETIMEDOUT, sink);
        self->next = hung + 1U;
    }
}

static int end(struct linux_ask *self, int result)
{
    self->base.is_reading = false;
    const int told = result > 0 && self->err != KWM_OK ? self->err : result;
    if (told < 0) {
        self->base.sensor.detail = self->base.detail;
    }
    return told;
}

/** Go on as far as it goes at once. @return 1 over, 0 not yet, or an error. */
static int advance(struct linux_ask *self, uint64_t now_ms, struct hal_sink *sink)
{
    if (!self->is_prepared) {
        const int count = self->ops->prepare(self);
        if (count < 0) {
            return count;
        }
        KWM_ASSERT(count <= UINT8_MAX);
        self->is_prepared = true;
        self->count = (unsigned)count;
        self->next = 0;
    }
    if (self->job >= 0) {
        follow_job(self, now_ms, sink);
    }
    if (self->job < 0 && self->next < self->count) {
        const int err = start_job(self, now_ms, sink);
        if (err == KWM_ERR_NOSPC) {
            return linux_sensor_fail(&self->base, err,
                                     "%u workers hang on files or file systems that do not answer; "
                                     "no more are asked until one comes back",
                                     linux_workers_hung());
        }
        if (err == KWM_ERR_IO) {
            return linux_sensor_fail(&self->base, err, "the system gives no thread");
        }
    }
    if (self->job >= 0) {
        (void)linux_job_poll(self->job); /* wakes us */
        return 0;
    }
    if (self->next < self->count) {
        return 0;
    }
    self->is_prepared = false;
    const int more = self->ops->finish(self, sink);
    self->round++;
    return more < 0 ? more : 1 - more;
}

static int ask_poll(struct hal_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    struct linux_ask *self = (struct linux_ask *)sensor;
    sensor->detail = "";
    if (!self->base.is_reading) {
        return linux_sensor_fail(&self->base, KWM_ERR_STATE, "no reading is going on");
    }
    int result = advance(self, now_ms, sink);
    if (result == 0 && !self->is_prepared) {
        result = advance(self, now_ms, sink); /* another round: begin it at once */
    }
    return result == 0 ? 0 : end(self, result);
}

static int ask_begin(struct hal_sensor *sensor, uint64_t now_ms)
{
    struct linux_ask *self = (struct linux_ask *)sensor;
    const int err = linux_sensor_begin(sensor, now_ms);
    if (err == KWM_OK) {
        self->err = KWM_OK;
        self->round = 0;
        self->is_prepared = false;
        self->job = -1;
    }
    return err;
}

void linux_ask_note_text(struct linux_ask *self, int err, const char *format, ...)
{
    if (self->err == KWM_OK) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(self->base.detail, sizeof(self->base.detail), format, args);
        va_end(args);
        self->err = err;
    }
}

void linux_ask_note(struct linux_ask *self, const char *path, int error)
{
    if (error == ETIMEDOUT) {
        linux_ask_note_text(self, KWM_ERR_TIMEOUT,
                            "%s does not answer; it is left out until it does", path);
    } else {
        linux_ask_note_text(self, linux_errno_code(error), "%s: %s", path, strerror(error));
    }
}

static void ask_cancel(struct hal_sensor *sensor)
{
    struct linux_ask *self = (struct linux_ask *)sensor;
    if (self->base.is_reading && self->job >= 0) {
        linux_job_leave(self->job);
        self->job = -1;
    }
    self->base.is_reading = false;
}

static const struct hal_sensor_ops ops = {
    .begin = ask_begin, .poll = ask_poll, .cancel = ask_cancel};

void linux_ask_init(struct linux_ask *self, const char *name,
                    const struct hal_schema *const *schemas, uint8_t schema_count,
                    const struct linux_ask_ops *ask_ops)
{
    if (self->base.is_reading) {
        ask_cancel(&self->base.sensor);
    }
    *self = (struct linux_ask){
        .base = {.sensor = {.ops = &ops,
                            .name = name,
                            .schemas = schemas,
                            .schema_count = schema_count,
                            .detail = ""}},
        .ops = ask_ops,
        .job = -1,
    };
}
