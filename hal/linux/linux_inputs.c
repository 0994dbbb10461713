/* SPDX-License-Identifier: MIT */
#include "linux/linux_inputs.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"
#include "linux/input_list.h"
#include "linux/worker.h"

static const struct hal_option_def no_options[] = {{.key = NULL}};

const struct hal_input_def linux_inputs[] = {
    {.name = "cpu",
     .help = "use of each CPU and of all, in percent",
     .options = linux_cpu_options,
     .create = linux_cpu_create},
    {.name = "mem",
     .help = "use of memory",
     .options = linux_mem_options,
     .create = linux_mem_create},
    {.name = "swap",
     .help = "use of swap space, and what was read from and written to it",
     .options = no_options,
     .create = linux_swap_create},
    {.name = "system",
     .help = "load, users, CPUs and uptime",
     .options = linux_system_options,
     .create = linux_system_create},
    {.name = "disk",
     .help = "room on each mounted file system",
     .options = linux_disk_options,
     .create = linux_disk_create},
    {.name = "diskio",
     .help = "what each block device reads and writes",
     .options = linux_diskio_options,
     .create = linux_diskio_create},
    {.name = "net",
     .help = "what each network interface receives and sends",
     .options = linux_net_options,
     .create = linux_net_create},
    {.name = "temp",
     .help = "temperatures of hwmon's sensors, or of thermal zones where there are none",
     .options = linux_temp_options,
     .create = linux_temp_create},
    {.name = "kernel",
     .help = "interrupts, context switches, forks, entropy; pressure stalls on request",
     .options = linux_kernel_options,
     .create = linux_kernel_create},
    {.name = "processes",
     .help = "processes by state, and threads",
     .options = no_options,
     .create = linux_processes_create},
    {.name = "file",
     .help = "numbers from files, one in each: IIO, hwmon, anything below /sys",
     .options = linux_file_options,
     .create = linux_file_create},
    {.name = NULL},
};

/** Sensors made since the last release. */
static unsigned used[LINUX_INPUT_COUNT];

void linux_inputs_set_roots(const struct linux_roots *roots)
{
    linux_roots_set(roots);
}

void linux_inputs_roots_from_env(void)
{
    const struct linux_roots roots = {
        .paths = {[LINUX_ROOT_PROC] = getenv("HOST_PROC"),
                  [LINUX_ROOT_SYS] = getenv("HOST_SYS"),
                  [LINUX_ROOT_DEV] = getenv("HOST_DEV"),
                  [LINUX_ROOT_VAR] = getenv("HOST_VAR"),
                  [LINUX_ROOT_RUN] = getenv("HOST_RUN")},
        .mount_prefix = getenv("HOST_MOUNT_PREFIX"),
    };
    linux_roots_set(&roots);
}

void linux_inputs_init(struct linux_poll_set *poll_set)
{
    linux_workers_init(poll_set);
}

void linux_inputs_release(void)
{
    memset(used, 0, sizeof(used));
}

int linux_input_claim(enum linux_input_id id, const struct hal_input_env *env)
{
    const unsigned max = id == LINUX_INPUT_FILE ? LINUX_FILE_INPUTS_MAX : 1U;
    if (used[id] == max) {
        return linux_input_refuse(env, KWM_ERR_NOSPC,
                                  "only %u of this input can be had: put their options together",
                                  max);
    }
    used[id]++;
    return (int)(used[id] - 1U);
}

int linux_input_refuse(const struct hal_input_env *env, int err, const char *format, ...)
{
    const int len = snprintf(env->reason, env->reason_cap, "%s: ", env->label);
    if (len >= 0 && (size_t)len < env->reason_cap) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(env->reason + len, env->reason_cap - (size_t)len, format, args);
        va_end(args);
    }
    return err;
}

bool linux_option_flag(const struct hal_input_env *env, const char *key)
{
    const struct hal_option *option = hal_option_get(&env->options, key);
    KWM_ASSERT(option->def->kind == HAL_OPTION_BOOL);
    return option->flag;
}

bool linux_option_has(const struct hal_option *option, const char *text, size_t len)
{
    KWM_ASSERT(option->def->kind == HAL_OPTION_STRINGS);
    for (uint16_t i = 0; i < option->texts.count; i++) {
        if (option->texts.list[i].len == len && memcmp(option->texts.list[i].s, text, len) == 0) {
            return true;
        }
    }
    return false;
}

bool linux_option_fits(const struct hal_option *option, const char *name)
{
    KWM_ASSERT(option->def->kind == HAL_OPTION_STRINGS);
    for (uint16_t i = 0; i < option->texts.count; i++) {
        if (fnmatch(option->texts.list[i].s, name, 0) == 0) {
            return true;
        }
    }
    return option->texts.count == 0;
}
