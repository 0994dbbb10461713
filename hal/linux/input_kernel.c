/* SPDX-License-Identifier: MIT */
/* kernel: /proc/stat and the entropy pool; pressure stalls (/proc/pressure) on request. For all
 * CPUs together "full" of cpu has no meaning, and is left out. */
#include <string.h>

#include "linux/input_list.h"

enum field {
    BOOT_TIME,
    CONTEXT_SWITCHES,
    ENTROPY_AVAIL,
    INTERRUPTS,
    PROCESSES_FORKED,
    FIELD_COUNT,
};

static const struct hal_field_def fields[FIELD_COUNT] = {
    [BOOT_TIME] = {.name = "boot_time", .kind = HAL_KIND_UINT},
    [CONTEXT_SWITCHES] = {.name = "context_switches", .kind = HAL_KIND_UINT},
    [ENTROPY_AVAIL] = {.name = "entropy_avail", .kind = HAL_KIND_UINT},
    [INTERRUPTS] = {.name = "interrupts", .kind = HAL_KIND_UINT},
    [PROCESSES_FORKED] = {.name = "processes_forked", .kind = HAL_KIND_UINT},
};

static const struct hal_schema schema = {
    .measurement = "kernel", .fields = fields, .field_count = FIELD_COUNT};

#define AVERAGE_COUNT 3U
#define AVERAGE_DIGITS 2U
#define PRESSURE_COUNT (AVERAGE_COUNT + 1U)

static const struct hal_field_def pressure_fields[PRESSURE_COUNT] = {
    {.name = "avg10", .kind = HAL_KIND_FIXED, .scale = AVERAGE_DIGITS},
    {.name = "avg60", .kind = HAL_KIND_FIXED, .scale = AVERAGE_DIGITS},
    {.name = "avg300", .kind = HAL_KIND_FIXED, .scale = AVERAGE_DIGITS},
    {.name = "total", .kind = HAL_KIND_UINT},
};
static const struct hal_tag_def pressure_tags[] = {{.key = "resource", .role = HAL_TAG_PRIMARY},
                                                   {.key = "type", .role = HAL_TAG_PRIMARY}};
static const struct hal_schema pressure_schema = {.measurement = "pressure",
                                                  .tags = pressure_tags,
                                                  .tag_count = 2,
                                                  .fields = pressure_fields,
                                                  .field_count = PRESSURE_COUNT};
static const struct hal_schema *const schemas[] = {&schema, &pressure_schema};

static struct {
    struct linux_gather base;
    bool has_pressure;
} kernel;

static struct linux_file stat_file = LINUX_FILE(LINUX_ROOT_PROC, "stat");
static struct linux_file entropy_file =
    LINUX_FILE(LINUX_ROOT_PROC, "sys/kernel/random/entropy_avail");
static struct linux_file pressure_files[] = {
    LINUX_FILE(LINUX_ROOT_PROC, "pressure/cpu"),
    LINUX_FILE(LINUX_ROOT_PROC, "pressure/memory"),
    LINUX_FILE(LINUX_ROOT_PROC, "pressure/io"),
};
#define RESOURCE_COUNT (sizeof(pressure_files) / sizeof(pressure_files[0]))
static const char *const resources[RESOURCE_COUNT] = {"cpu", "memory", "io"};

static const char *const collectable[] = {"psi", NULL};

const struct hal_option_def linux_kernel_options[] = {
    {.key = "collect",
     .help = "what else: \"psi\" adds the measurement pressure (kernels since 4.20)",
     .fallback = "[]",
     .min = 1,
     .max = 16,
     .choices = collectable,
     .kind = HAL_OPTION_STRINGS},
    {.key = NULL},
};

static const struct {
    const char *name;
    size_t len;
    enum field field;
} keys[] = {
    {"intr ", 5, INTERRUPTS},
    {"ctxt ", 5, CONTEXT_SWITCHES},
    {"btime ", 6, BOOT_TIME},
    {"processes ", 10, PROCESSES_FORKED},
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/** @return KWM_OK, or an error of the file. */
static int read_stat(struct hal_value *values)
{
    struct linux_cursor line;
    unsigned found = 0;
    int err = linux_lines_begin(&stat_file);
    while (err == KWM_OK && found < KEY_COUNT && (err = linux_lines_next(&line)) > 0) {
        err = KWM_OK;
        for (unsigned i = 0; i < KEY_COUNT; i++) {
            uint64_t number;
            if (linux_take_prefix(&line, keys[i].name, keys[i].len)) {
                found++;
                if (linux_take_uint(&line, &number)) {
                    values[keys[i].field] = linux_uint(number);
                }
            }
        }
    }
    return err;
}

static void read_entropy(struct hal_value *values)
{
    char text[24];
    uint64_t number;
    const int fd = linux_file_open(&entropy_file);
    const int len = fd >= 0 ? linux_read_fd(fd, text, sizeof(text)) : fd;
    if (len > 0) {
        struct linux_cursor cursor = linux_cursor_of(text, (size_t)len);
        if (linux_take_uint(&cursor, &number)) {
            values[ENTROPY_AVAIL] = linux_uint(number);
        }
    }
}

/** A line such as "some avg10=0.00 avg60=0.12 avg300=0.05 total=1234". */
static bool read_pressure(struct linux_cursor *line, struct hal_text *type,
                          struct hal_value *values)
{
    static const char *const names[PRESSURE_COUNT] = {"avg10=", "avg60=", "avg300=", "total="};
    if (!linux_take_word(line, type)) {
        return false;
    }
    for (unsigned i = 0; i < PRESSURE_COUNT; i++) {
        struct linux_decimal average;
        linux_skip_blanks(line);
        if (!linux_take_prefix(line, names[i], strlen(names[i]))) {
            return false;
        }
        if (i == AVERAGE_COUNT) {
            uint64_t total;
            const bool is_number = linux_take_uint(line, &total);
            values[i] = linux_uint(total);
            return is_number;
        }
        if (!linux_take_decimal(line, &average) ||
            !linux_decimal_rescale(&average, AVERAGE_DIGITS)) {
            return false;
        }
        values[i] = linux_fixed(average.mantissa, AVERAGE_DIGITS);
    }
    return true;
}

static int gather_pressure(unsigned resource, struct hal_sink *sink)
{
    struct linux_cursor line;
    const char *name = resources[resource];
    int err = linux_lines_begin(&pressure_files[resource]);
    while (err == KWM_OK && (err = linux_lines_next(&line)) > 0) {
        struct hal_value values[PRESSURE_COUNT];
        struct hal_text texts[2] = {{.s = name, .len = (uint16_t)strlen(name)}};
        if (!read_pressure(&line, &texts[1], values)) {
            return KWM_ERR_CORRUPT;
        }
        err = KWM_OK;
        const bool is_full = texts[1].len == 4 && memcmp(texts[1].s, "full", 4) == 0;
        if (resource != 0 || !is_full) {
            (void)sink->put(sink, &(struct hal_point){
                                      .schema = &pressure_schema, .tags = texts, .values = values});
        }
    }
    return err;
}

static int fail(struct linux_gather *self, int err, const struct linux_file *file)
{
    if (err == KWM_ERR_CORRUPT) {
        return linux_sensor_fail(&self->base, err, "%s/%s is not what the kernel writes",
                                 linux_root_path(file->root), file->name);
    }
    return linux_sensor_fail_file(&self->base, err, file);
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    (void)now_ms;
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    int err = read_stat(values);
    if (err == KWM_OK && values[CONTEXT_SWITCHES].kind == HAL_KIND_NONE) {
        err = KWM_ERR_CORRUPT;
    }
    if (err != KWM_OK) {
        return fail(self, err, &stat_file);
    }
    read_entropy(values);
    (void)sink->put(sink, &(struct hal_point){.schema = &schema, .values = values});
    for (unsigned i = 0; kernel.has_pressure && i < RESOURCE_COUNT; i++) {
        err = gather_pressure(i, sink);
        if (err != KWM_OK) {
            return fail(self, err, &pressure_files[i]);
        }
    }
    return KWM_OK;
}

int linux_kernel_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_KERNEL, env);
    if (slot < 0) {
        return slot;
    }
    kernel.has_pressure = hal_option_get(&env->options, "collect")->texts.count > 0;
    linux_gather_init(&kernel.base, "kernel", schemas, kernel.has_pressure ? 2 : 1, gather);
    *sensor = &kernel.base.base.sensor;
    return KWM_OK;
}
