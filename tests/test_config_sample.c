/* SPDX-License-Identifier: MIT */
/* Goal:   the sample is accepted as it is, says every option, and gives nothing but defaults; what
 *         stands behind // can be taken in line by line.
 * Method: the sample of inputs made up here is read by the reader itself, as written, and with
 *         lines uncommented. */
#include "support.h"

#include <string.h>

#include "config.h"
#include "config_sample.h"
#include "config_tables.h"

#define SAMPLE_CAP 32768U

static const char *const modes[] = {"fast", "slow", NULL};

static const struct hal_option_def cpu_options[] = {
    {.key = "percpu", .help = "each core", .fallback = "true", .kind = HAL_OPTION_BOOL},
    {.key = "mode",
     .help = "how",
     .fallback = "\"\"",
     .choices = modes,
     .max = 8,
     .kind = HAL_OPTION_STRING},
    {.key = NULL},
};

/* Nothing but options that mean "not given" by default. */
static const struct hal_option_def disk_options[] = {
    {.key = "root",
     .help = "where",
     .fallback = "\"\"",
     .min = 1,
     .max = 8,
     .kind = HAL_OPTION_STRING},
    {.key = "wait",
     .help = "",
     .fallback = "\"0s\"",
     .min = 5,
     .max = 100000,
     .kind = HAL_OPTION_DURATION},
    {.key = NULL},
};

static const struct hal_option_def channel_members[] = {
    {.key = "path",
     .help = "file with the number",
     .fallback = NULL,
     .min = 1,
     .max = 64,
     .kind = HAL_OPTION_STRING},
    {.key = "wait",
     .help = "how long",
     .fallback = NULL,
     .min = 1,
     .max = 100000,
     .kind = HAL_OPTION_DURATION},
    {.key = "is_raw", .help = "raw", .fallback = NULL, .kind = HAL_OPTION_BOOL},
    {.key = "names",
     .help = "names",
     .fallback = NULL,
     .min = 1,
     .max = 8,
     .kind = HAL_OPTION_STRINGS},
    {.key = "scale",
     .help = "power of ten",
     .fallback = "0",
     .min = -9,
     .max = 9,
     .kind = HAL_OPTION_INT},
    {.key = NULL},
};

static const struct hal_option_def file_options[] = {
    {.key = "count",
     .help = "how many",
     .fallback = NULL,
     .min = 7,
     .max = 9,
     .kind = HAL_OPTION_INT},
    {.key = "channels",
     .help = "what to read",
     .fallback = NULL,
     .min = 1,
     .max = 3,
     .members = channel_members,
     .kind = HAL_OPTION_OBJECTS},
    {.key = NULL},
};

static const struct hal_option_def no_options[] = {{.key = NULL}};

static const struct hal_input_def inputs[] = {
    {.name = "cpu", .help = "processors", .options = cpu_options},
    {.name = "disk", .help = "file systems", .options = disk_options},
    {.name = "mem", .help = "memory", .options = no_options},
    {.name = "file", .help = "numbers in files", .options = file_options},
    {.name = NULL},
};

static const struct hal_input_def file_only[] = {
    {.name = "file", .help = "numbers in files", .options = file_options},
    {.name = NULL},
};

struct memory {
    char text[SAMPLE_CAP];
    size_t len;
};

static void take(void *ctx, const char *text, size_t len)
{
    struct memory *memory = ctx;
    assert_true(len > 0 && text[len - 1] == '\n');
    assert_null(memchr(text, '\n', len - 1));
    assert_true(memory->len + len < sizeof(memory->text));
    memcpy(memory->text + memory->len, text, len);
    memory->len += len;
    memory->text[memory->len] = '\0';
}

static void write_sample(struct memory *memory, const struct hal_input_def *list)
{
    memset(memory, 0, sizeof(*memory));
    kwm_config_sample(list, take, memory);
}

static struct kwm_config config;

static void read_sample(const char *text, const struct hal_input_def *list)
{
    static uint8_t arena[65536];
    static char copy[SAMPLE_CAP];
    static struct kwm_config_errors errors;
    const struct kwm_config_env env = {.inputs = list};
    const size_t len = strlen(text);
    memcpy(copy, text, len);
    const int rc = kwm_config_read(&config, &errors, &env, copy, len, arena, sizeof(arena));
    for (uint8_t i = 0; i < errors.count; i++) {
        print_message("%s:%u:%u: %s\n", errors.list[i].path, (unsigned)errors.list[i].line,
                      (unsigned)errors.list[i].column, errors.list[i].reason);
    }
    if (rc != KWM_OK) {
        print_message("%s", text);
    }
    assert_int_equal(rc, KWM_OK);
    assert_int_equal(errors.warning_count, 0);
}

/* Take the comment marks of lines that hold a commented key (or a bracket) after `from`. */
static void uncomment(char *text, const char *from, const char *to)
{
    char *stop = strstr(text, to);
    char *line = strstr(text, from);
    assert_non_null(line);
    assert_non_null(stop);
    while (line != NULL && line < stop) {
        char *mark = line + strspn(line, " \n");
        if (strncmp(mark, "// \"", 4) == 0 || strncmp(mark, "// }", 4) == 0 ||
            strncmp(mark, "//   \"", 6) == 0) {
            memset(mark, ' ', 2);
        }
        line = strchr(mark, '\n');
    }
}

static void test_accepted(void **state)
{
    (void)state;
    static struct memory memory;
    write_sample(&memory, inputs);
    read_sample(memory.text, inputs);
    assert_int_equal(config.interval_ms, 10000);
    assert_int_equal(config.flush_interval_ms, 60000);
    assert_int_equal(config.metric_batch_size, 200);
    assert_int_equal(config.spool_len, 1000000);
    assert_int_equal(config.output.timeout_ms, 10000);
    assert_int_equal(config.output.endpoint_count, 1);
    assert_string_equal(config.output.user, "kwmote");
    assert_false(config.output.use_token);
    assert_int_equal(config.global_tags.count, 0);
    assert_int_equal(config.input_count, 3);
    assert_string_equal(config.inputs[0].label, "inputs.cpu");
    assert_string_equal(config.inputs[2].label, "inputs.mem");
}

static void test_says_every_option(void **state)
{
    (void)state;
    static struct memory memory;
    static const struct hal_option_def *const tables[] = {
        kwm_config_agent_defs, kwm_config_http_defs, kwm_config_input_defs, cpu_options,
        disk_options,          file_options,         channel_members,
    };
    write_sample(&memory, inputs);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct hal_option_def *def = tables[i]; def->key != NULL; def++) {
            assert_non_null(strstr(memory.text, def->key));
            assert_non_null(strstr(memory.text, def->help));
        }
    }
}

static void test_uncommented(void **state)
{
    (void)state;
    static struct memory memory;
    write_sample(&memory, inputs);
    uncomment(memory.text, "\"global_tags\"", "\"outputs\"");
    uncomment(memory.text, "\"inputs\"", "\"mem\"");
    uncomment(memory.text, "// numbers in files", "// memory");
    read_sample(memory.text, inputs);
    assert_int_equal(config.global_tags.count, 1);
    assert_int_equal(config.input_count, 4);
    assert_string_equal(config.inputs[2].label, "inputs.file");
    assert_int_equal(config.inputs[2].options.list[0].number, 7);
    const struct hal_option *channels = &config.inputs[2].options.list[1];
    assert_int_equal(channels->objects.count, 1);
    assert_string_equal(channels->objects.list[0].list[0].text.s, "...");
}

static void test_board_with_nothing_ready(void **state)
{
    (void)state;
    static struct memory memory;
    write_sample(&memory, file_only);
    read_sample(memory.text, file_only);
    assert_int_equal(config.input_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_says_every_option),
        cmocka_unit_test(test_uncommented),
        cmocka_unit_test(test_board_with_nothing_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
