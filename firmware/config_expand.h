/* SPDX-License-Identifier: MIT */
/**
 * @file config_expand.h
 * @brief Puts the environment into a string: ${NAME}, ${NAME:-default}; $${ stands for ${ itself.
 *
 * As in Telegraf (and the shell), the default is taken when the variable is not set or empty. What
 * was put in is not looked at again. Any other $ stays as it is.
 *
 * Memory:  none.   Context: any.   Bounds: linear in the text and the values.
 */
#ifndef KWM_CONFIG_EXPAND_H
#define KWM_CONFIG_EXPAND_H

#include <stdbool.h>

#include "config.h"
#include "kwm/text.h"

#define KWM_CONFIG_VARIABLE_LEN_MAX 63U

struct kwm_config_expand {
    bool has_variable;                              /**< there was something to put in */
    const char *reason;                             /**< on error */
    char variable[KWM_CONFIG_VARIABLE_LEN_MAX + 1]; /**< on error: its name, or "" */
};

/** @return KWM_OK or KWM_ERR_INVAL. Whether the result was cut, `out` says. */
KWM_NODISCARD int kwm_config_expand(struct kwm_config_expand *expand, struct kwm_text *out,
                                    const struct kwm_config_env *env, const char *text);

#endif
