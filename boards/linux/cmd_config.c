/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "commands.h"
#include "config_sample.h"

int command_config_check(const struct app_options *options)
{
    const struct kwm_config *config = app_read_config(options);
    if (config == NULL) {
        return EXIT_STATUS_CONFIG;
    }
    (void)printf("%s: fine: %u inputs, %u rows a request, to %s\n", options->config_path,
                 (unsigned)config->input_count, (unsigned)config->metric_batch_size,
                 config->output.endpoints[0].host);
    return EXIT_STATUS_OK;
}

static void put(void *ctx, const char *text, size_t len)
{
    (void)fwrite(text, 1, len, ctx);
}

int command_config_create(void)
{
    kwm_config_sample(app_inputs(), put, stdout);
    return EXIT_STATUS_OK;
}
