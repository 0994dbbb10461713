/* SPDX-License-Identifier: MIT */
/**
 * @file linux/input_list.h
 * @brief What the inputs and their list share. Not for others.
 */
#ifndef LINUX_INPUT_LIST_H
#define LINUX_INPUT_LIST_H

#include "hal/input.h"
#include "linux/gather.h"

#define LINUX_FILE_INPUTS_MAX 16U

enum linux_input_id {
    LINUX_INPUT_CPU,
    LINUX_INPUT_MEM,
    LINUX_INPUT_SWAP,
    LINUX_INPUT_SYSTEM,
    LINUX_INPUT_DISK,
    LINUX_INPUT_DISKIO,
    LINUX_INPUT_NET,
    LINUX_INPUT_TEMP,
    LINUX_INPUT_KERNEL,
    LINUX_INPUT_PROCESSES,
    LINUX_INPUT_FILE,
    LINUX_INPUT_COUNT,
};

/** Claim one of the sensors of a kind. @return its number, from 0, or KWM_ERR_NOSPC with a
 *  reason. */
KWM_NODISCARD int linux_input_claim(enum linux_input_id id, const struct hal_input_env *env);

/** Give a reason, behind the input's label. @return err. */
__attribute__((format(printf, 3, 4))) int linux_input_refuse(const struct hal_input_env *env,
                                                             int err, const char *format, ...);

bool linux_option_flag(const struct hal_input_env *env, const char *key);

/** @return whether the list of strings of an option has this one. */
bool linux_option_has(const struct hal_option *option, const char *text, size_t len);

/** @return whether one of the option's globs fits; true for an empty list. */
bool linux_option_fits(const struct hal_option *option, const char *name);

extern const struct hal_option_def linux_cpu_options[];
extern const struct hal_option_def linux_mem_options[];
extern const struct hal_option_def linux_system_options[];
extern const struct hal_option_def linux_disk_options[];
extern const struct hal_option_def linux_diskio_options[];
extern const struct hal_option_def linux_net_options[];
extern const struct hal_option_def linux_temp_options[];
extern const struct hal_option_def linux_kernel_options[];
extern const struct hal_option_def linux_file_options[];

int linux_cpu_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_mem_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_swap_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_system_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_disk_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_diskio_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_net_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_temp_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_kernel_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_processes_create(const struct hal_input_env *env, struct hal_sensor **sensor);
int linux_file_create(const struct hal_input_env *env, struct hal_sensor **sensor);

#endif
