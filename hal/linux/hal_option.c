/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "hal/assert.h"
#include "hal/input.h"

const struct hal_option *hal_option_get(const struct hal_options *options, const char *key)
{
    const struct hal_option *found = NULL;
    for (uint16_t i = 0; i < options->count && found == NULL; i++) {
        if (strcmp(options->list[i].def->key, key) == 0) {
            found = &options->list[i];
        }
    }
    KWM_ASSERT(found != NULL);
    return found;
}
