/* SPDX-License-Identifier: MIT */
/* swap: /proc/meminfo, and /proc/vmstat for the pages moved since boot. A kernel without event
 * counters has no vmstat: then in and out are left out. */
#include <errno.h>
#include <unistd.h>

#include "linux/input_list.h"

enum field { TOTAL, USED, FREE, USED_PERCENT, IN, OUT, FIELD_COUNT };

static const struct hal_field_def fields[FIELD_COUNT] = {
    [TOTAL] = {.name = "total", .kind = HAL_KIND_UINT},
    [USED] = {.name = "used", .kind = HAL_KIND_UINT},
    [FREE] = {.name = "free", .kind = HAL_KIND_UINT},
    [USED_PERCENT] = {.name = "used_percent", .kind = HAL_KIND_DOUBLE},
    [IN] = {.name = "in", .kind = HAL_KIND_UINT},
    [OUT] = {.name = "out", .kind = HAL_KIND_UINT},
};

static const struct hal_schema schema = {
    .measurement = "swap", .fields = fields, .field_count = FIELD_COUNT};
static const struct hal_schema *const schemas[] = {&schema};

static struct linux_gather swap;
static struct linux_file meminfo_file = LINUX_FILE(LINUX_ROOT_PROC, "meminfo");
static struct linux_file vmstat_file = LINUX_FILE(LINUX_ROOT_PROC, "vmstat");

/** A name and where its number goes. */
struct key {
    const char *name;
    size_t len;
    enum field field;
};

/** Read two lines of a file, in bytes. @return KWM_OK, or an error of the file. */
static int read_two(struct linux_file *file, const struct key keys[2], uint64_t unit,
                    struct hal_value *values)
{
    struct linux_cursor line;
    unsigned found = 0;
    int err = linux_lines_begin(file);
    while (err == KWM_OK && found < 2 && (err = linux_lines_next(&line)) > 0) {
        err = KWM_OK;
        for (unsigned i = 0; i < 2; i++) {
            uint64_t number;
            if (linux_take_prefix(&line, keys[i].name, keys[i].len)) {
                found++;
                if (linux_take_uint(&line, &number) && number <= UINT64_MAX / unit) {
                    values[keys[i].field] = linux_uint(number * unit);
                }
            }
        }
    }
    return err;
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    static const struct key rooms[] = {{"SwapTotal:", 10, TOTAL}, {"SwapFree:", 9, FREE}};
    static const struct key moves[] = {{"pswpin ", 7, IN}, {"pswpout ", 8, OUT}};
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    (void)now_ms;
    int err = read_two(&meminfo_file, rooms, 1024, values);
    if (err != KWM_OK) {
        return linux_sensor_fail_file(&self->base, err, &meminfo_file);
    }
    if (values[TOTAL].kind == HAL_KIND_NONE || values[FREE].kind == HAL_KIND_NONE ||
        values[FREE].u > values[TOTAL].u) {
        return linux_sensor_fail(&self->base, KWM_ERR_CORRUPT,
                                 "%s/meminfo has no SwapTotal and SwapFree that fit together",
                                 linux_root_path(LINUX_ROOT_PROC));
    }
    values[USED] = linux_uint(values[TOTAL].u - values[FREE].u);
    values[USED_PERCENT] = linux_percent(values[USED].u, values[TOTAL].u);
    const long page_len = sysconf(_SC_PAGESIZE);
    err = read_two(&vmstat_file, moves, page_len > 0 ? (uint64_t)page_len : 4096U, values);
    (void)sink->put(sink, &(struct hal_point){.schema = &schema, .values = values});
    if (err == KWM_OK || err == KWM_ERR_NOENT) {
        return KWM_OK;
    }
    return linux_sensor_fail_file(&self->base, err, &vmstat_file);
}

int linux_swap_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_SWAP, env);
    if (slot < 0) {
        return slot;
    }
    linux_gather_init(&swap, "swap", schemas, 1, gather);
    *sensor = &swap.base.sensor;
    return KWM_OK;
}
