/* SPDX-License-Identifier: MIT */
/* cpu: /proc/stat. Percentages are of the time since the reading before, as Telegraf computes them:
 * the whole is user + system + nice + iowait + irq + softirq + steal + idle, and user and nice,
 * which contain the guests' time, go out without it. */
#include <string.h>
#include <unistd.h>

#include "linux/input_list.h"

#define CPUS_MAX 256U
#define TICKS_MAX (UINT64_MAX / 16U) /* between two readings; no sum of them overflows */
#define TICK_DIGITS 2U               /* USER_HZ is 100 but on old architectures */

enum column {
    USER,
    NICE,
    SYSTEM,
    IDLE,
    IOWAIT,
    IRQ,
    SOFTIRQ,
    STEAL,
    GUEST,
    GUEST_NICE,
    COLUMN_COUNT,
};

#define DOUBLE(text)                          \
    {                                         \
        .name = text, .kind = HAL_KIND_DOUBLE \
    }
#define SECONDS(text)                                               \
    {                                                               \
        .name = text, .kind = HAL_KIND_FIXED, .scale = TICK_DIGITS, \
    }
/* What is on request stands at the ends, so that each choice is one piece of the list. */
static const struct hal_field_def fields[] = {
    DOUBLE("usage_active"), DOUBLE("usage_user"),       DOUBLE("usage_system"),
    DOUBLE("usage_idle"),   DOUBLE("usage_nice"),       DOUBLE("usage_iowait"),
    DOUBLE("usage_irq"),    DOUBLE("usage_softirq"),    DOUBLE("usage_steal"),
    DOUBLE("usage_guest"),  DOUBLE("usage_guest_nice"), SECONDS("time_user"),
    SECONDS("time_system"), SECONDS("time_idle"),       SECONDS("time_nice"),
    SECONDS("time_iowait"), SECONDS("time_irq"),        SECONDS("time_softirq"),
    SECONDS("time_steal"),  SECONDS("time_guest"),      SECONDS("time_guest_nice"),
    SECONDS("time_active"),
};
#undef DOUBLE
#undef SECONDS
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))
#define USAGE_ACTIVE 0U
#define USAGE 1U
#define TIME (USAGE + COLUMN_COUNT)
#define TIME_ACTIVE (TIME + COLUMN_COUNT)

/** The columns in the order of the fields. */
static const uint8_t columns[COLUMN_COUNT] = {USER, SYSTEM,  IDLE,  NICE,  IOWAIT,
                                              IRQ,  SOFTIRQ, STEAL, GUEST, GUEST_NICE};

static const struct hal_tag_def tags[] = {
    {.key = "cpu", .role = HAL_TAG_PRIMARY},
    {.key = "core_id", .role = HAL_TAG_CONSTANT},
    {.key = "physical_id", .role = HAL_TAG_CONSTANT},
};

struct cpu {
    uint64_t ticks[COLUMN_COUNT];
    uint32_t round; /**< of the reading that saw it last; 0: none did */
    char core_id[12];
    char physical_id[12];
};

static struct {
    struct linux_gather base;
    struct hal_schema schema;
    const struct hal_schema *schemas[1];
    bool has_each, has_total, has_times, has_core_tags;
    unsigned first_field;
    unsigned hz;
    uint32_t round;
    struct cpu total;
    struct cpu list[CPUS_MAX];
} cpus;

static struct linux_file stat_file = LINUX_FILE(LINUX_ROOT_PROC, "stat");

const struct hal_option_def linux_cpu_options[] = {
    {.key = "percpu", .help = "a row for each CPU", .fallback = "true", .kind = HAL_OPTION_BOOL},
    {.key = "totalcpu",
     .help = "a row for all CPUs together",
     .fallback = "true",
     .kind = HAL_OPTION_BOOL},
    {.key = "collect_cpu_time",
     .help = "also the seconds since boot",
     .fallback = "false",
     .kind = HAL_OPTION_BOOL},
    {.key = "report_active",
     .help = "also the sum of all that is not idle",
     .fallback = "false",
     .kind = HAL_OPTION_BOOL},
    {.key = "core_tags",
     .help = "tags core_id and physical_id, which say where a CPU sits",
     .fallback = "false",
     .kind = HAL_OPTION_BOOL},
    {.key = NULL},
};

/** All time but the guests', which is in user and nice. */
static uint64_t sum_of(const uint64_t ticks[COLUMN_COUNT])
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < GUEST; i++) {
        sum += ticks[i];
    }
    return sum;
}

/** Set the percentages. A counter that went back (iowait may, a CPU that was away) is left out.
 *  @return whether any time has passed. */
static bool set_usage(struct hal_value *values, const uint64_t now[COLUMN_COUNT],
                      const uint64_t before[COLUMN_COUNT])
{
    uint64_t delta[COLUMN_COUNT];
    bool is_back[COLUMN_COUNT];
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        is_back[i] = now[i] < before[i] || now[i] - before[i] > TICKS_MAX;
        delta[i] = is_back[i] ? 0 : now[i] - before[i];
    }
    const uint64_t total = sum_of(delta);
    if (total == 0) {
        return false;
    }
    if (!is_back[IDLE]) {
        values[USAGE_ACTIVE] = linux_percent(total - delta[IDLE], total);
    }
    is_back[GUEST] = is_back[GUEST] || delta[USER] < delta[GUEST];
    is_back[GUEST_NICE] = is_back[GUEST_NICE] || delta[NICE] < delta[GUEST_NICE];
    is_back[USER] = is_back[USER] || is_back[GUEST];
    is_back[NICE] = is_back[NICE] || is_back[GUEST_NICE];
    delta[USER] -= delta[GUEST];
    delta[NICE] -= delta[GUEST_NICE];
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        const unsigned column = columns[i];
        if (!is_back[column]) {
            values[USAGE + i] = linux_percent(delta[column], total);
        }
    }
    return true;
}

static struct hal_value seconds(uint64_t ticks)
{
    const uint64_t hz = cpus.hz;
    const uint64_t hundredths = hz == 100U ? ticks : ticks / hz * 100U + ticks % hz * 100U / hz;
    return hundredths <= INT64_MAX ? linux_fixed((int64_t)hundredths, TICK_DIGITS)
                                   : (struct hal_value){.kind = HAL_KIND_NONE};
}

static void set_times(struct hal_value *values, const uint64_t now[COLUMN_COUNT])
{
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        values[TIME + i] = seconds(now[columns[i]]);
    }
    values[TIME_ACTIVE] = seconds(sum_of(now) - now[IDLE]);
}

/** Where the CPU sits; "" where the kernel does not say. */
static void read_place(struct cpu *cpu, struct hal_text number)
{
    static const char folder[] = "devices/system/cpu/cpu";
    if (linux_read_small(LINUX_ROOT_SYS, folder, number, "/topology/core_id", cpu->core_id,
                         sizeof(cpu->core_id)) < 0) {
        cpu->core_id[0] = '\0';
    }
    if (linux_read_small(LINUX_ROOT_SYS, folder, number, "/topology/physical_package_id",
                         cpu->physical_id, sizeof(cpu->physical_id)) < 0) {
        cpu->physical_id[0] = '\0';
    }
}

static struct hal_text place_tag(const char *text)
{
    return (struct hal_text){.s = text[0] != '\0' ? text : NULL, .len = (uint16_t)strlen(text)};
}

static void put(struct cpu *cpu, struct hal_text name, const uint64_t now[COLUMN_COUNT],
                struct hal_sink *sink)
{
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    const bool is_known = cpu->round != 0 && cpu->round + 1U == cpus.round;
    const bool has_usage = is_known && set_usage(values, now, cpu->ticks);
    if (cpus.has_times) {
        set_times(values, now);
    }
    const bool is_cpu = cpu != &cpus.total;
    if (cpus.has_core_tags && is_cpu && !is_known) {
        read_place(cpu, (struct hal_text){.s = name.s + 3, .len = (uint16_t)(name.len - 3U)});
    }
    memcpy(cpu->ticks, now, sizeof(cpu->ticks));
    cpu->round = cpus.round;
    if (!has_usage && !cpus.has_times) {
        return;
    }
    const bool is_placed = cpus.has_core_tags && is_cpu;
    const struct hal_text texts[] = {name, place_tag(is_placed ? cpu->core_id : ""),
                                     place_tag(is_placed ? cpu->physical_id : "")};
    (void)sink->put(sink, &(struct hal_point){.schema = &cpus.schema,
                                              .tags = texts,
                                              .values = values + cpus.first_field});
}

/** Read the columns; kernels before 2.6.33 have fewer. @return whether the first four are there. */
static bool read_ticks(struct linux_cursor *line, uint64_t ticks[COLUMN_COUNT])
{
    unsigned count = 0;
    while (count < COLUMN_COUNT && linux_take_uint(line, &ticks[count])) {
        count++;
    }
    for (unsigned i = count; i < COLUMN_COUNT; i++) {
        ticks[i] = 0;
    }
    return count > IDLE;
}

/** One line of a CPU. @return KWM_OK, or an error for one that is left out. */
static int gather_cpu(struct linux_cursor line, struct hal_sink *sink)
{
    const char *start = line.at - 3;
    uint64_t ticks[COLUMN_COUNT];
    uint64_t number = 0;
    const bool is_total = linux_is_blank(line.at < line.end ? *line.at : '\0');
    if (!is_total && !linux_take_digits(&line, &number)) {
        return KWM_ERR_CORRUPT;
    }
    const struct hal_text name = {.s = start, .len = (uint16_t)(line.at - start)};
    if (!read_ticks(&line, ticks)) {
        return KWM_ERR_CORRUPT;
    }
    if (is_total) {
        static const struct hal_text all = {.s = "cpu-total", .len = 9};
        if (cpus.has_total) {
            put(&cpus.total, all, ticks, sink);
        }
        return KWM_OK;
    }
    if (number >= CPUS_MAX) {
        return KWM_ERR_NOSPC;
    }
    put(&cpus.list[number], name, ticks, sink);
    return KWM_OK;
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    (void)now_ms;
    struct linux_cursor line;
    int err = linux_lines_begin(&stat_file);
    int more = 0;
    int kept = KWM_OK;
    unsigned count = 0;
    cpus.round += err == KWM_OK ? 1U : 0U;
    while (err == KWM_OK && (more = linux_lines_next(&line)) > 0 &&
           linux_take_prefix(&line, "cpu", 3)) {
        const int cpu_err = gather_cpu(line, sink);
        kept = kept == KWM_OK ? cpu_err : kept;
        count++;
        if (!cpus.has_each) {
            break; /* the first line is the total */
        }
    }
    err = more < 0 ? more : err;
    if (err != KWM_OK) {
        return linux_sensor_fail_file(&self->base, err, &stat_file);
    }
    if (kept == KWM_ERR_NOSPC) {
        return linux_sensor_fail(&self->base, kept, "CPUs from number %u on are left out",
                                 CPUS_MAX);
    }
    if (kept != KWM_OK || count == 0) {
        return linux_sensor_fail(&self->base, KWM_ERR_CORRUPT,
                                 "%s/stat: its lines of CPUs are not what the kernel writes",
                                 linux_root_path(LINUX_ROOT_PROC));
    }
    return KWM_OK;
}

int linux_cpu_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const bool has_each = linux_option_flag(env, "percpu");
    const bool has_total = linux_option_flag(env, "totalcpu");
    if (!has_each && !has_total) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "percpu and totalcpu are both false, so nothing would be "
                                  "collected: set one of them, or remove the input");
    }
    const int slot = linux_input_claim(LINUX_INPUT_CPU, env);
    if (slot < 0) {
        return slot;
    }
    memset(&cpus, 0, sizeof(cpus));
    const bool has_active = linux_option_flag(env, "report_active");
    cpus.has_each = has_each;
    cpus.has_total = has_total;
    cpus.has_times = linux_option_flag(env, "collect_cpu_time");
    cpus.has_core_tags = linux_option_flag(env, "core_tags");
    const long hz = sysconf(_SC_CLK_TCK);
    cpus.hz = hz > 0 ? (unsigned)hz : 100U;
    cpus.first_field = has_active ? USAGE_ACTIVE : USAGE;
    const unsigned time_end = has_active ? TIME_ACTIVE + 1U : TIME_ACTIVE;
    const unsigned field_end = cpus.has_times ? time_end : TIME;
    cpus.schema = (struct hal_schema){
        .measurement = "cpu",
        .tags = tags,
        .tag_count = cpus.has_core_tags ? 3 : 1,
        .fields = fields + cpus.first_field,
        .field_count = (uint8_t)(field_end - cpus.first_field),
    };
    cpus.schemas[0] = &cpus.schema;
    linux_gather_init(&cpus.base, "cpu", cpus.schemas, 1, gather);
    *sensor = &cpus.base.base.sensor;
    return KWM_OK;
}
