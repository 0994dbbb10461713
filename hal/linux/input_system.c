/* SPDX-License-Identifier: MIT */
/* system: load, users, CPUs and uptime in one row. Users come from utmp, which systems without
 * login records do not have: then there are none of these fields. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utmp.h>

#include "linux/input_list.h"

#define USERS_MAX 64U     /* different ones */
#define RECORDS_MAX 4096U /* of utmp that are looked at */
#define RECORDS_AT_ONCE 4U
#define CPUS_MAX 1024U
#define FORMAT_LEN_MAX 40U

/* The C library's record where it is glibc; others read files that glibc's programs write. It is
 * the same on all machines but those that have no 32-bit past. */
#if defined(__GLIBC__)
#define RECORD_LEN sizeof(struct utmp)
#elif defined(__aarch64__)
#define RECORD_LEN 400U
#else
#define RECORD_LEN 384U
#endif
#define RECORD_TYPE_OFF 0U
#define RECORD_USER_OFF 44U
#define RECORD_USER_LEN 32U
#if defined(__GLIBC__)
_Static_assert(offsetof(struct utmp, ut_user) == RECORD_USER_OFF, "not the record as known");
_Static_assert(sizeof(((struct utmp *)0)->ut_user) == RECORD_USER_LEN, "not the record as known");
#endif

enum field {
    LOAD1,
    LOAD5,
    LOAD15,
    N_USERS,
    N_UNIQUE_USERS,
    N_CPUS,
    N_PHYSICAL_CPUS,
    UPTIME,
    UPTIME_FORMAT,
    FIELD_COUNT,
};

#define LOAD_DIGITS 2U

static const struct hal_field_def all_fields[FIELD_COUNT] = {
    [LOAD1] = {.name = "load1", .kind = HAL_KIND_FIXED, .scale = LOAD_DIGITS},
    [LOAD5] = {.name = "load5", .kind = HAL_KIND_FIXED, .scale = LOAD_DIGITS},
    [LOAD15] = {.name = "load15", .kind = HAL_KIND_FIXED, .scale = LOAD_DIGITS},
    [N_USERS] = {.name = "n_users", .kind = HAL_KIND_UINT},
    [N_UNIQUE_USERS] = {.name = "n_unique_users", .kind = HAL_KIND_UINT},
    [N_CPUS] = {.name = "n_cpus", .kind = HAL_KIND_UINT},
    [N_PHYSICAL_CPUS] = {.name = "n_physical_cpus", .kind = HAL_KIND_UINT},
    [UPTIME] = {.name = "uptime", .kind = HAL_KIND_UINT},
    [UPTIME_FORMAT] = {.name = "uptime_format", .kind = HAL_KIND_STRING},
};

static const char *const includes[] = {"load", "users", "cpus", "uptime", "uptime_format", NULL};

static struct {
    struct linux_gather base;
    struct hal_field_def fields[FIELD_COUNT]; /**< those that were asked for */
    uint8_t ids[FIELD_COUNT];
    struct hal_schema schema;
    const struct hal_schema *schemas[1];
    bool has_load, has_users, has_cpus, has_uptime;
    char online[256]; /**< the list of CPUs that the counts are of */
    struct hal_value n_cpus, n_physical_cpus;
    char format[FORMAT_LEN_MAX];
} machine;

static struct linux_file load_file = LINUX_FILE(LINUX_ROOT_PROC, "loadavg");
static struct linux_file uptime_file = LINUX_FILE(LINUX_ROOT_PROC, "uptime");
static struct linux_file utmp_file = LINUX_FILE(LINUX_ROOT_VAR, "run/utmp");
static struct linux_file online_file = LINUX_FILE(LINUX_ROOT_SYS, "devices/system/cpu/online");
static struct linux_file stat_file = LINUX_FILE(LINUX_ROOT_PROC, "stat");

const struct hal_option_def linux_system_options[] = {
    {.key = "include",
     .help = "which fields; uptime_format is a text such as \"14 days, 11:07\"",
     .fallback = "[\"load\", \"users\", \"cpus\", \"uptime\"]",
     .min = 1,
     .max = 16,
     .choices = includes,
     .kind = HAL_OPTION_STRINGS},
    {.key = NULL},
};

/** Remember the first thing that is wrong. */
static int fail_file(int *err, int code, const struct linux_file *file)
{
    if (*err == KWM_OK) {
        *err = linux_sensor_fail_file(&machine.base.base, code, file);
    }
    return *err;
}

static void gather_load(struct hal_value *values, int *err)
{
    struct linux_cursor line;
    int code = linux_lines_begin(&load_file);
    code = code == KWM_OK ? linux_lines_next(&line) : code;
    if (code < 0) {
        (void)fail_file(err, code, &load_file);
        return;
    }
    for (unsigned i = LOAD1; code > 0 && i <= LOAD15; i++) {
        struct linux_decimal number;
        if (!linux_take_decimal(&line, &number) || !linux_decimal_rescale(&number, LOAD_DIGITS)) {
            code = 0;
        } else {
            values[i] = linux_fixed(number.mantissa, LOAD_DIGITS);
        }
    }
    if (code == 0) {
        errno = EILSEQ;
        (void)fail_file(err, KWM_ERR_CORRUPT, &load_file);
    }
}

static void format_uptime(struct hal_value *value, uint64_t seconds)
{
    const uint64_t days = seconds / 86400U;
    const unsigned hours = (unsigned)(seconds / 3600U % 24U);
    const unsigned minutes = (unsigned)(seconds / 60U % 60U);
    int len = 0;
    if (days > 0) {
        len = snprintf(machine.format, sizeof(machine.format), "%llu day%s, ",
                       (unsigned long long)days, days > 1 ? "s" : "");
    }
    len += snprintf(machine.format + len, sizeof(machine.format) - (size_t)len, "%2u:%02u", hours,
                    minutes);
    *value = (struct hal_value){.kind = HAL_KIND_STRING, .len = (uint16_t)len, .s = machine.format};
}

static void gather_uptime(struct hal_value *values, int *err)
{
    struct linux_cursor line;
    struct linux_decimal number;
    int code = linux_lines_begin(&uptime_file);
    code = code == KWM_OK ? linux_lines_next(&line) : code;
    if (code < 0) {
        (void)fail_file(err, code, &uptime_file);
        return;
    }
    if (code == 0 || !linux_take_decimal(&line, &number) || number.mantissa < 0) {
        errno = EILSEQ;
        (void)fail_file(err, KWM_ERR_CORRUPT, &uptime_file);
        return;
    }
    while (number.digits > 0) {
        number.mantissa /= 10; /* whole seconds that have passed */
        number.digits--;
    }
    values[UPTIME] = linux_uint((uint64_t)number.mantissa);
    format_uptime(&values[UPTIME_FORMAT], (uint64_t)number.mantissa);
}

/** Names that were seen. */
struct users {
    unsigned count;
    unsigned unique;
    char names[USERS_MAX][RECORD_USER_LEN];
};

static void count_user(struct users *users, const char *record)
{
    short type;
    memcpy(&type, record + RECORD_TYPE_OFF, sizeof(type));
    if (type != USER_PROCESS) {
        return;
    }
    users->count++;
    for (unsigned i = 0; i < users->unique; i++) {
        if (strncmp(users->names[i], record + RECORD_USER_OFF, RECORD_USER_LEN) == 0) {
            return;
        }
    }
    if (users->unique < USERS_MAX) {
        memcpy(users->names[users->unique++], record + RECORD_USER_OFF, RECORD_USER_LEN);
    }
}

static void gather_users(struct hal_value *values, int *err)
{
    char records[RECORDS_AT_ONCE * RECORD_LEN];
    struct users users = {.count = 0};
    const int fd = linux_file_open(&utmp_file);
    if (fd < 0) {
        if (fd != KWM_ERR_NOENT) {
            (void)fail_file(err, fd, &utmp_file);
        }
        return;
    }
    ssize_t got = (ssize_t)sizeof(records);
    off_t off = 0;
    while (got == (ssize_t)sizeof(records) && off < (off_t)(RECORDS_MAX * RECORD_LEN)) {
        got = pread(fd, records, sizeof(records), off);
        off += got;
        for (size_t at = 0; got > 0 && at + RECORD_LEN <= (size_t)got; at += RECORD_LEN) {
            count_user(&users, records + at);
        }
    }
    if (got < 0) {
        (void)fail_file(err, KWM_ERR_IO, &utmp_file);
        return;
    }
    values[N_USERS] = linux_uint(users.count);
    values[N_UNIQUE_USERS] = linux_uint(users.unique);
}

/** Whether a CPU is the first of its core; a core's list begins with it. @return -1: not known. */
static int is_first_of_core(uint64_t cpu)
{
    static const char *const names[] = {"/topology/core_cpus_list",
                                        "/topology/thread_siblings_list"};
    char digits[20];
    char list[64];
    const struct hal_text number = {.s = digits, .len = (uint16_t)linux_format_uint(digits, cpu)};
    for (unsigned i = 0; i < 2; i++) {
        const int len = linux_read_small(LINUX_ROOT_SYS, "devices/system/cpu/cpu", number, names[i],
                                         list, sizeof(list));
        uint64_t first;
        if (len > 0) {
            struct linux_cursor cursor = linux_cursor_of(list, (size_t)len);
            return linux_take_digits(&cursor, &first) ? first == cpu : -1;
        }
    }
    return -1;
}

/** Count the CPUs of a list such as "0-3,6". @return false for another text. */
static bool count_list(const char *text, size_t len)
{
    struct linux_cursor cursor = linux_cursor_of(text, len);
    uint64_t cpus = 0;
    uint64_t cores = 0;
    bool is_known = true;
    do {
        uint64_t first;
        uint64_t last;
        if (!linux_take_digits(&cursor, &first)) {
            return false;
        }
        last = first;
        if (linux_take_prefix(&cursor, "-", 1) && !linux_take_digits(&cursor, &last)) {
            return false;
        }
        if (last < first || last - first >= CPUS_MAX || cpus >= CPUS_MAX) {
            return false;
        }
        cpus += last - first + 1U;
        for (uint64_t cpu = first; is_known && cpu <= last; cpu++) {
            const int is_first = is_first_of_core(cpu);
            is_known = is_first >= 0;
            cores += is_first > 0 ? 1U : 0U;
        }
    } while (linux_take_prefix(&cursor, ",", 1));
    machine.n_cpus = linux_uint(cpus);
    machine.n_physical_cpus =
        is_known ? linux_uint(cores) : (struct hal_value){.kind = HAL_KIND_NONE};
    return true;
}

/** Count the lines of /proc/stat, where /sys says nothing. */
static void count_stat(int *err)
{
    struct linux_cursor line;
    uint64_t count = 0;
    int code = linux_lines_begin(&stat_file);
    while (code == KWM_OK && (code = linux_lines_next(&line)) > 0 &&
           linux_take_prefix(&line, "cpu", 3)) {
        count += linux_is_blank(line.at < line.end ? *line.at : ' ') ? 0U : 1U;
        code = KWM_OK;
    }
    if (code < 0) {
        (void)fail_file(err, code, &stat_file);
    } else if (count > 0) {
        machine.n_cpus = linux_uint(count);
    }
}

static void gather_cpus(struct hal_value *values, int *err)
{
    char online[sizeof(machine.online)];
    const int fd = linux_file_open(&online_file);
    const int len = fd >= 0 ? linux_read_fd(fd, online, sizeof(online)) : fd;
    if (len <= 0) {
        machine.n_cpus.kind = HAL_KIND_NONE;
        machine.n_physical_cpus.kind = HAL_KIND_NONE;
        machine.online[0] = '\0';
        count_stat(err);
    } else if (strcmp(online, machine.online) != 0) {
        memcpy(machine.online, online, (size_t)len + 1U);
        machine.n_cpus.kind = HAL_KIND_NONE;
        machine.n_physical_cpus.kind = HAL_KIND_NONE;
        if (!count_list(online, (size_t)len)) {
            machine.online[0] = '\0';
            errno = EILSEQ;
            (void)fail_file(err, KWM_ERR_CORRUPT, &online_file);
        }
    }
    values[N_CPUS] = machine.n_cpus;
    values[N_PHYSICAL_CPUS] = machine.n_physical_cpus;
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    (void)self;
    (void)now_ms;
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    struct hal_value chosen[FIELD_COUNT];
    int err = KWM_OK;
    bool has_any = false;
    if (machine.has_load) {
        gather_load(values, &err);
    }
    if (machine.has_users) {
        gather_users(values, &err);
    }
    if (machine.has_cpus) {
        gather_cpus(values, &err);
    }
    if (machine.has_uptime) {
        gather_uptime(values, &err);
    }
    for (unsigned i = 0; i < machine.schema.field_count; i++) {
        chosen[i] = values[machine.ids[i]];
        has_any = has_any || chosen[i].kind != HAL_KIND_NONE;
    }
    if (has_any) {
        (void)sink->put(sink, &(struct hal_point){.schema = &machine.schema, .values = chosen});
    }
    return err;
}

static void choose(unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        machine.ids[machine.schema.field_count] = (uint8_t)i;
        machine.fields[machine.schema.field_count] = all_fields[i];
        machine.schema.field_count++;
    }
}

static bool is_included(const struct hal_input_env *env, const char *name)
{
    return linux_option_has(hal_option_get(&env->options, "include"), name, strlen(name));
}

int linux_system_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    if (hal_option_get(&env->options, "include")->texts.count == 0) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "include is empty, so nothing would be collected: name "
                                  "something, or remove the input");
    }
    const int slot = linux_input_claim(LINUX_INPUT_SYSTEM, env);
    if (slot < 0) {
        return slot;
    }
    memset(&machine, 0, sizeof(machine));
    machine.schema = (struct hal_schema){.measurement = "system", .fields = machine.fields};
    machine.has_load = is_included(env, "load");
    machine.has_users = is_included(env, "users");
    machine.has_cpus = is_included(env, "cpus");
    const bool has_seconds = is_included(env, "uptime");
    const bool has_format = is_included(env, "uptime_format");
    machine.has_uptime = has_seconds || has_format;
    if (machine.has_load) {
        choose(LOAD1, LOAD15);
    }
    if (machine.has_users) {
        choose(N_USERS, N_UNIQUE_USERS);
    }
    if (machine.has_cpus) {
        choose(N_CPUS, N_PHYSICAL_CPUS);
    }
    if (has_seconds) {
        choose(UPTIME, UPTIME);
    }
    if (has_format) {
        choose(UPTIME_FORMAT, UPTIME_FORMAT);
    }
    machine.schemas[0] = &machine.schema;
    linux_gather_init(&machine.base, "system", machine.schemas, 1, gather);
    *sensor = &machine.base.base.sensor;
    return KWM_OK;
}
