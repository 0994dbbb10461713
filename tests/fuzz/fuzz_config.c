/* SPDX-License-Identifier: MIT */
/* Goal:   no document makes the reader write or read outside its memory, run without end, or accept
 *         what breaks its own promises.
 * Method: libFuzzer. The first byte chooses the arena's size; document and arena are heap blocks of
 *         exactly their length, so that the sanitizer sees one byte too many. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "hal/assert.h"

#define REQUIRE(condition) ((condition) ? (void)0 : kwm_panic(__FILE__, __LINE__))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const modes[] = {"fast", "slow", NULL};

static const struct hal_option_def members[] = {
    {.key = "path", .help = "", .min = 1, .max = 64, .kind = HAL_OPTION_STRING},
    {.key = "scale", .help = "", .fallback = "0", .min = -9, .max = 9, .kind = HAL_OPTION_INT},
    {.key = NULL},
};

static const struct hal_option_def options[] = {
    {.key = "flag", .help = "", .fallback = "true", .kind = HAL_OPTION_BOOL},
    {.key = "wait", .help = "", .fallback = "\"1s\"", .max = 100000, .kind = HAL_OPTION_DURATION},
    {.key = "mode",
     .help = "",
     .fallback = "\"fast\"",
     .max = 8,
     .choices = modes,
     .kind = HAL_OPTION_STRING},
    {.key = "list",
     .help = "",
     .fallback = "[\"a\"]",
     .min = 1,
     .max = 8,
     .kind = HAL_OPTION_STRINGS},
    {.key = "channels",
     .help = "",
     .fallback = "[]",
     .min = 1,
     .max = 3,
     .members = members,
     .kind = HAL_OPTION_OBJECTS},
    {.key = NULL},
};

static const struct hal_input_def inputs[] = {
    {.name = "cpu", .help = "", .options = options},
    {.name = "file", .help = "", .options = options},
    {.name = NULL},
};

static const char *get_variable(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "A") == 0 ? "value" : strcmp(name, "B") == 0 ? "\r\n\xff;," : NULL;
}

static int read_whole(void *ctx, const char *path, char *out, size_t cap)
{
    (void)ctx;
    if (path[0] != '/' || cap == 0) {
        return KWM_ERR_NOENT;
    }
    const size_t len = strlen(path) < cap ? strlen(path) : cap;
    memcpy(out, path, len);
    return (int)len;
}

static bool is_inside(const void *memory, const uint8_t *arena, size_t cap)
{
    const uint8_t *at = memory;
    return at >= arena && at < arena + cap;
}

static void check_errors(const struct kwm_config_errors *errors, int rc)
{
    REQUIRE((rc == KWM_OK) == (errors->count == 0));
    REQUIRE(errors->count <= KWM_CONFIG_ERRORS_MAX);
    REQUIRE(errors->warning_count <= KWM_CONFIG_WARNINGS_MAX);
    for (uint8_t i = 0; i < errors->count; i++) {
        REQUIRE(strlen(errors->list[i].reason) > 0);
        REQUIRE(strlen(errors->list[i].path) < 128);
        REQUIRE((errors->list[i].line == 0) == (errors->list[i].column == 0));
    }
    for (uint8_t i = 0; i < errors->warning_count; i++) {
        REQUIRE(strlen(errors->warnings[i].reason) > 0 && errors->warnings[i].line > 0);
    }
}

/* What every accepted configuration promises. */
static void check_config(const struct kwm_config *config, const uint8_t *arena, size_t cap)
{
    const struct kwm_config_output *output = &config->output;
    REQUIRE(config->interval_ms >= 100 && config->flush_interval_ms >= 1000);
    REQUIRE(config->metric_batch_size >= 1 && config->metric_batch_size <= 1000);
    REQUIRE(config->spool_len >= 16384 && config->arena_len_max <= cap);
    REQUIRE(output->endpoint_count >= 1 && output->endpoint_count <= KWM_ENDPOINTS_MAX);
    REQUIRE(output->timeout_ms >= 1000);
    REQUIRE(strstr(output->headers, "\r\n\r\n") == NULL);
    if (output->dialect == KWM_DIALECT_KWDB) {
        REQUIRE(output->authorization != NULL && strncmp(output->authorization, "Basic ", 6) == 0);
        REQUIRE(strlen(output->authorization) > 6 && !config->omit_hostname);
    }
    for (uint8_t i = 0; i < output->endpoint_count; i++) {
        REQUIRE(output->endpoints[i].dialect == output->dialect);
        REQUIRE(output->endpoints[i].is_secure || output->dialect == KWM_DIALECT_INFLUX);
    }
    for (uint8_t i = 0; i < config->global_tags.count; i++) {
        REQUIRE(is_inside(config->global_tags.list[i].value.s, arena, cap));
        REQUIRE(config->global_tags.list[i].value.len > 0);
    }
    REQUIRE(config->input_count >= 1 && config->input_count <= KWM_CONFIG_INPUTS_MAX);
    for (uint8_t i = 0; i < config->input_count; i++) {
        const struct kwm_config_input *input = &config->inputs[i];
        REQUIRE(is_inside(input->options.list, arena, cap) && input->options.count == 5);
        REQUIRE(input->collection_offset_ms < input->interval_ms);
        REQUIRE(config->global_tags.count + input->tags.count <= 2U * HAL_TAGS_MAX);
        for (uint16_t j = 0; j < input->options.list[4].objects.count; j++) {
            const struct hal_options *channel = &input->options.list[4].objects.list[j];
            REQUIRE(channel->list[0].text.len > 0 &&
                    is_inside(channel->list[0].text.s, arena, cap));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kwm_config_env env = {
        .inputs = inputs, .getenv = get_variable, .read_file = read_whole};
    static struct kwm_config config;
    static struct kwm_config_errors errors;
    if (size == 0) {
        return 0;
    }
    const size_t cap = data[0] >= ' ' ? 65536 : 1 + (size_t)data[0] * 1024;
    const size_t len = size - 1;
    uint8_t *arena = malloc(cap);
    char *document = malloc(len > 0 ? len : 1);
    REQUIRE(arena != NULL && document != NULL);
    memcpy(document, data + 1, len);
    const int rc = kwm_config_read(&config, &errors, &env, document, len, arena, cap);
    free(document);
    check_errors(&errors, rc);
    if (rc == KWM_OK) {
        check_config(&config, arena, cap);
    }
    free(arena);
    return 0;
}
