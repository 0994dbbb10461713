/* SPDX-License-Identifier: MIT */
/**
 * @file input_maker.h
 * @brief Inputs of the Linux board for tests: made of their JSON by the reader of the product, and
 *        read into lines of text.
 *
 * A line is "measurement,tag=value field=value ...": unsigned numbers end in u, signed ones in i,
 * decimal ones have their point, others are doubles of ten digits, texts stand in quotes.
 */
#ifndef INPUT_MAKER_H
#define INPUT_MAKER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "hal/sensor.h"
#include "linux/linux_inputs.h"

#define MADE_MAX 32U
#define TEXT_MAX 32768U

struct input_text {
    struct hal_sink sink; /* first member */
    unsigned points;
    bool is_wrong; /* a point that breaks its schema */
    size_t len;
    char text[TEXT_MAX];
};

/** What the last input_make() made. */
struct input_set {
    struct hal_sensor *sensors[MADE_MAX];
    unsigned count;
    int err;
    char reason[512];
};

__attribute__((format(printf, 2, 3))) static inline void input_print(struct input_text *out,
                                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(out->text + out->len, sizeof(out->text) - out->len, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof(out->text) - out->len) {
        out->len += (size_t)len;
    }
}

static inline void input_print_fixed(struct input_text *out, int64_t mantissa, unsigned scale)
{
    char digits[40];
    const bool is_negative = mantissa < 0;
    const uint64_t size = is_negative ? 0U - (uint64_t)mantissa : (uint64_t)mantissa;
    const int len =
        snprintf(digits, sizeof(digits), "%0*llu", (int)scale + 1, (unsigned long long)size);
    const int whole = len - (int)scale;
    input_print(out, "%s%.*s%s%s", is_negative ? "-" : "", whole, digits, scale > 0 ? "." : "",
                digits + whole);
}

static inline void input_print_value(struct input_text *out, const struct hal_value *value)
{
    switch (value->kind) {
    case HAL_KIND_INT:
        input_print(out, "%lldi", (long long)value->i);
        break;
    case HAL_KIND_UINT:
        input_print(out, "%lluu", (unsigned long long)value->u);
        break;
    case HAL_KIND_DOUBLE:
        input_print(out, "%.10g", value->d);
        break;
    case HAL_KIND_FIXED:
        input_print_fixed(out, value->i, value->scale);
        break;
    case HAL_KIND_BOOL:
        input_print(out, "%s", value->b ? "true" : "false");
        break;
    default:
        input_print(out, "\"%.*s\"", value->len, value->s);
        break;
    }
}

static inline int input_put(struct hal_sink *sink, const struct hal_point *point)
{
    struct input_text *out = (struct input_text *)sink;
    const struct hal_schema *schema = point->schema;
    const char *before = " ";
    out->points++;
    input_print(out, "%s", schema->measurement);
    for (unsigned i = 0; i < schema->tag_count; i++) {
        if (point->tags[i].s != NULL) {
            out->is_wrong = out->is_wrong || point->tags[i].len > HAL_TEXT_LEN_MAX;
            input_print(out, ",%s=%.*s", schema->tags[i].key, point->tags[i].len, point->tags[i].s);
        }
    }
    for (unsigned i = 0; i < schema->field_count; i++) {
        const struct hal_value *value = &point->values[i];
        if (value->kind == HAL_KIND_NONE) {
            continue;
        }
        out->is_wrong = out->is_wrong || value->kind != schema->fields[i].kind ||
                        (value->kind == HAL_KIND_STRING && value->len > HAL_TEXT_LEN_MAX) ||
                        value->scale != schema->fields[i].scale;
        input_print(out, "%s%s=", before, schema->fields[i].name);
        input_print_value(out, value);
        before = ",";
    }
    input_print(out, "\n");
    return KWM_OK;
}

/** Make the inputs of a document's "inputs" (the text between its braces), with all those before
 *  gone. @return KWM_OK, or the error of the reader or of the input; reason says why. */
static inline int input_make(struct input_set *set, const char *inputs)
{
    static uint8_t arena[262144];
    static struct kwm_config config;
    static struct kwm_config_errors errors;
    static char document[8192];
    static const struct kwm_config_env env = {.inputs = linux_inputs};
    const int len = snprintf(document, sizeof(document),
                             "{\"agent\": {\"hostname\": \"t\"}, \"outputs\": {\"http\": {\"url\": "
                             "\"https://127.0.0.1:8080/restapi/telegraf?db=d\", \"username\": "
                             "\"u\", \"password\": \"p\"}}, \"inputs\": {%s}}",
                             inputs);
    for (unsigned i = 0; i < set->count; i++) {
        hal_sensor_cancel(set->sensors[i]);
    }
    linux_inputs_release();
    memset(set, 0, sizeof(*set));
    set->err = kwm_config_read(&config, &errors, &env, document, (size_t)len, arena, sizeof(arena));
    if (set->err != KWM_OK) {
        (void)snprintf(set->reason, sizeof(set->reason), "%s: %s", errors.list[0].path,
                       errors.list[0].reason);
        return set->err;
    }
    for (unsigned i = 0; i < config.input_count && set->err == KWM_OK; i++) {
        const struct hal_input_env input = {.options = config.inputs[i].options,
                                            .label = config.inputs[i].label,
                                            .reason = set->reason,
                                            .reason_cap = sizeof(set->reason)};
        set->err = config.inputs[i].def->create(&input, &set->sensors[i]);
        set->count += set->err == KWM_OK ? 1U : 0U;
    }
    return set->err;
}

/** Read a sensor to its end. Time goes on by a millisecond for each that passes. @return what the
 *  last poll() said. */
static inline int input_read(struct hal_sensor *sensor, uint64_t now_ms, struct input_text *out)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    out->sink.put = input_put;
    out->points = 0;
    out->is_wrong = false;
    out->len = 0;
    out->text[0] = '\0';
    int done = hal_sensor_begin(sensor, now_ms);
    for (unsigned i = 0; done == KWM_OK; i++) {
        done = hal_sensor_poll(sensor, now_ms + i, &out->sink);
        if (done == 0) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return done;
}

#endif
