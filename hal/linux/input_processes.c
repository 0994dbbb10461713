/* SPDX-License-Identifier: MIT */
/* processes: the state and the threads of each, from /proc/<pid>/stat. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "linux/dir_reader.h"
#include "linux/input_list.h"

#define STAT_LEN 512U
#define WORDS_TO_THREADS 16U /* between state and num_threads in proc(5) */

enum field {
    BLOCKED,
    DEAD,
    IDLE,
    PAGING,
    PARKED,
    RUNNING,
    SLEEPING,
    STOPPED,
    TOTAL,
    TOTAL_THREADS,
    UNKNOWN,
    ZOMBIES,
    FIELD_COUNT,
};

static const struct hal_field_def fields[FIELD_COUNT] = {
    [BLOCKED] = {.name = "blocked", .kind = HAL_KIND_UINT},
    [DEAD] = {.name = "dead", .kind = HAL_KIND_UINT},
    [IDLE] = {.name = "idle", .kind = HAL_KIND_UINT},
    [PAGING] = {.name = "paging", .kind = HAL_KIND_UINT},
    [PARKED] = {.name = "parked", .kind = HAL_KIND_UINT},
    [RUNNING] = {.name = "running", .kind = HAL_KIND_UINT},
    [SLEEPING] = {.name = "sleeping", .kind = HAL_KIND_UINT},
    [STOPPED] = {.name = "stopped", .kind = HAL_KIND_UINT},
    [TOTAL] = {.name = "total", .kind = HAL_KIND_UINT},
    [TOTAL_THREADS] = {.name = "total_threads", .kind = HAL_KIND_UINT},
    [UNKNOWN] = {.name = "unknown", .kind = HAL_KIND_UINT},
    [ZOMBIES] = {.name = "zombies", .kind = HAL_KIND_UINT},
};

static const struct hal_schema schema = {
    .measurement = "processes", .fields = fields, .field_count = FIELD_COUNT};
static const struct hal_schema *const schemas[] = {&schema};

static struct linux_gather processes;
static struct linux_file folder = LINUX_FILE(LINUX_ROOT_PROC, ".");

static enum field field_of(char state)
{
    switch (state) {
    case 'R':
        return RUNNING;
    case 'S':
        return SLEEPING;
    case 'D':
        return BLOCKED;
    case 'Z':
        return ZOMBIES;
    case 'X':
    case 'x':
        return DEAD;
    case 'T':
    case 't':
        return STOPPED;
    case 'W':
        return PAGING;
    case 'I':
        return IDLE;
    case 'P':
        return PARKED;
    default:
        return UNKNOWN;
    }
}

/** Count a process by its line "pid (name) state ...": the name may contain anything, and what is
 *  behind it has one blank between its words. */
static void count_line(const char *text, size_t len, uint64_t *counts)
{
    const char *name_end = memrchr(text, ')', len);
    struct linux_cursor cursor = linux_cursor_of(text, len);
    uint64_t threads;
    if (name_end == NULL || cursor.end - name_end < 3) {
        return;
    }
    counts[TOTAL]++;
    counts[field_of(name_end[2])]++;
    cursor.at = name_end + 3;
    for (unsigned blanks = 0; cursor.at < cursor.end; cursor.at++) {
        blanks += *cursor.at == ' ' ? 1U : 0U;
        if (blanks > WORDS_TO_THREADS) {
            break;
        }
    }
    if (linux_take_uint(&cursor, &threads)) {
        counts[TOTAL_THREADS] += threads;
    }
}

/** Read a process's line; one that has ended meanwhile is not counted. */
static void count_process(int proc_fd, struct hal_text name, uint64_t *counts)
{
    static const char stat[] = "/stat";
    char path[32];
    char text[STAT_LEN];
    if (name.len + sizeof(stat) > sizeof(path)) {
        return;
    }
    memcpy(path, name.s, name.len);
    memcpy(path + name.len, stat, sizeof(stat));
    const int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    const ssize_t got = read(fd, text, sizeof(text));
    (void)close(fd);
    if (got > 0) {
        count_line(text, (size_t)got, counts);
    }
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    (void)now_ms;
    struct linux_dir dir;
    struct hal_text name;
    uint64_t counts[FIELD_COUNT] = {0};
    struct hal_value values[FIELD_COUNT];
    const int fd = linux_file_open(&folder);
    if (fd < 0) {
        return linux_sensor_fail_file(&self->base, fd, &folder);
    }
    linux_dir_begin(&dir, fd);
    int more;
    while ((more = linux_dir_next(&dir, &name)) > 0) {
        if (name.s[0] >= '1' && name.s[0] <= '9') {
            count_process(fd, name, counts);
        }
    }
    if (more < 0) {
        return linux_sensor_fail_file(&self->base, more, &folder);
    }
    if (counts[TOTAL] == 0) {
        return linux_sensor_fail(&self->base, KWM_ERR_NOENT,
                                 "%s shows no process; is it mounted with hidepid?",
                                 linux_root_path(LINUX_ROOT_PROC));
    }
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        values[i] = linux_uint(counts[i]);
    }
    (void)sink->put(sink, &(struct hal_point){.schema = &schema, .values = values});
    return KWM_OK;
}

int linux_processes_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_PROCESSES, env);
    if (slot < 0) {
        return slot;
    }
    linux_gather_init(&processes, "processes", schemas, 1, gather);
    *sensor = &processes.base.sensor;
    return KWM_OK;
}
