/* SPDX-License-Identifier: MIT */
/* net: /proc/net/dev, and /sys/class/net for flags and speed. Without a list of interfaces those
 * that are up, without loopback. Counters go out as the kernel has them, wraps and all. */
#include <string.h>

#include "linux/input_list.h"

#define FLAG_UP 0x1U
#define FLAG_LOOPBACK 0x8U
#define COLUMN_COUNT 16U
#define NAME_LEN_MAX 63U
#define SPEED_UNKNOWN_OLD UINT32_MAX /* how kernels before 2.6.38 write -1 */

enum field {
    BYTES_RECV,
    BYTES_SENT,
    DROP_IN,
    DROP_OUT,
    ERR_IN,
    ERR_OUT,
    PACKETS_RECV,
    PACKETS_SENT,
    SPEED,
    FIELD_COUNT,
};

static const struct hal_field_def fields[FIELD_COUNT] = {
    [BYTES_RECV] = {.name = "bytes_recv", .kind = HAL_KIND_UINT},
    [BYTES_SENT] = {.name = "bytes_sent", .kind = HAL_KIND_UINT},
    [DROP_IN] = {.name = "drop_in", .kind = HAL_KIND_UINT},
    [DROP_OUT] = {.name = "drop_out", .kind = HAL_KIND_UINT},
    [ERR_IN] = {.name = "err_in", .kind = HAL_KIND_UINT},
    [ERR_OUT] = {.name = "err_out", .kind = HAL_KIND_UINT},
    [PACKETS_RECV] = {.name = "packets_recv", .kind = HAL_KIND_UINT},
    [PACKETS_SENT] = {.name = "packets_sent", .kind = HAL_KIND_UINT},
    [SPEED] = {.name = "speed", .kind = HAL_KIND_INT},
};

/** Which column of the file each field is. */
static const uint8_t columns[SPEED] = {
    [BYTES_RECV] = 0, [BYTES_SENT] = 8, [DROP_IN] = 3,      [DROP_OUT] = 11,
    [ERR_IN] = 2,     [ERR_OUT] = 10,   [PACKETS_RECV] = 1, [PACKETS_SENT] = 9,
};

static const struct hal_tag_def tags[] = {{.key = "interface", .role = HAL_TAG_PRIMARY}};
static const struct hal_schema schema = {.measurement = "net",
                                         .tags = tags,
                                         .tag_count = 1,
                                         .fields = fields,
                                         .field_count = FIELD_COUNT};
static const struct hal_schema *const schemas[] = {&schema};

static struct {
    struct linux_gather base;
    const struct hal_option *interfaces;
} net;

static struct linux_file file = LINUX_FILE(LINUX_ROOT_PROC, "net/dev");

const struct hal_option_def linux_net_options[] = {
    {.key = "interfaces",
     .help = "globs of interfaces, such as \"eth*\"; none: all that are up, without loopback",
     .fallback = "[]",
     .min = 1,
     .max = 63,
     .kind = HAL_OPTION_STRINGS},
    {.key = "ignore_protocol_stats",
     .help = "taken for Telegraf's sake: there are no rows of protocols anyway",
     .fallback = "true",
     .kind = HAL_OPTION_BOOL},
    {.key = NULL},
};

/** Whether an interface is up and not the loopback; where /sys does not say, by its name. */
static bool is_usual(struct hal_text name)
{
    char text[24];
    const int len =
        linux_read_small(LINUX_ROOT_SYS, "class/net/", name, "/flags", text, sizeof(text));
    if (len < 3) {
        return !(name.len == 2 && memcmp(name.s, "lo", 2) == 0);
    }
    unsigned flags = 0;
    for (int i = 2; i < len; i++) { /* behind 0x */
        const unsigned char c = (unsigned char)text[i];
        flags = flags << 4 | (c <= '9' ? c - (unsigned)'0' : (c | 0x20U) - (unsigned)'a' + 10U);
    }
    return (flags & FLAG_UP) != 0 && (flags & FLAG_LOOPBACK) == 0;
}

static bool is_wanted(struct hal_text name)
{
    if (net.interfaces->texts.count == 0) {
        return is_usual(name);
    }
    char text[NAME_LEN_MAX + 1];
    memcpy(text, name.s, name.len);
    text[name.len] = '\0';
    return linux_option_fits(net.interfaces, text);
}

/** In Mbit/s; -1 where it is not known (no carrier, wireless, virtual). */
static struct hal_value speed_of(struct hal_text name)
{
    char text[24];
    struct linux_decimal number = {.mantissa = -1};
    const int len =
        linux_read_small(LINUX_ROOT_SYS, "class/net/", name, "/speed", text, sizeof(text));
    if (len > 0) {
        struct linux_cursor cursor = linux_cursor_of(text, (size_t)len);
        if (!linux_take_decimal(&cursor, &number) || number.digits > 0 ||
            number.mantissa == SPEED_UNKNOWN_OLD) {
            number.mantissa = -1;
        }
    }
    return (struct hal_value){.kind = HAL_KIND_INT, .i = number.mantissa};
}

/** Split off the name: up to the last colon, for the numbers have none. */
static bool take_name(struct linux_cursor *line, struct hal_text *name)
{
    linux_skip_blanks(line);
    const char *colon = memrchr(line->at, ':', (size_t)(line->end - line->at));
    if (colon == NULL || colon == line->at || (size_t)(colon - line->at) > NAME_LEN_MAX) {
        return false;
    }
    *name = (struct hal_text){.s = line->at, .len = (uint16_t)(colon - line->at)};
    line->at = colon + 1;
    return true;
}

/** @return false for a line that is not an interface's (there are two of headings). */
static bool gather_interface(struct linux_cursor line, struct hal_sink *sink)
{
    struct hal_text name;
    uint64_t numbers[COLUMN_COUNT];
    if (!take_name(&line, &name)) {
        return false;
    }
    if (!is_wanted(name)) {
        return true;
    }
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        if (!linux_take_uint(&line, &numbers[i])) {
            return false;
        }
    }
    struct hal_value values[FIELD_COUNT];
    for (unsigned i = 0; i < SPEED; i++) {
        values[i] = linux_uint(numbers[columns[i]]);
    }
    values[SPEED] = speed_of(name);
    (void)sink->put(sink, &(struct hal_point){.schema = &schema, .tags = &name, .values = values});
    return true;
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    (void)now_ms;
    struct linux_cursor line;
    unsigned lines = 0;
    unsigned odd = 0;
    int err = linux_lines_begin(&file);
    while (err == KWM_OK && (err = linux_lines_next(&line)) > 0) {
        lines++;
        odd += gather_interface(line, sink) ? 0U : 1U;
        err = KWM_OK;
    }
    if (err < 0) {
        return linux_sensor_fail_file(&self->base, err, &file);
    }
    if (lines < 2 || odd > 2) {
        return linux_sensor_fail(&self->base, KWM_ERR_CORRUPT,
                                 "%s/net/dev is not what the kernel writes",
                                 linux_root_path(LINUX_ROOT_PROC));
    }
    return KWM_OK;
}

int linux_net_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_NET, env);
    if (slot < 0) {
        return slot;
    }
    net.interfaces = hal_option_get(&env->options, "interfaces");
    linux_gather_init(&net.base, "net", schemas, 1, gather);
    *sensor = &net.base.base.sensor;
    return KWM_OK;
}
