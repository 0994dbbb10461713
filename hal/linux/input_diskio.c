/* SPDX-License-Identifier: MIT */
/* diskio: /proc/diskstats. Devices that never did anything are left out. The three rates need the
 * reading before; counters that went back (32 bits wrapped, or another device under the name) give
 * none of the rates that are made of them. */
#include <string.h>

#include "linux/input_list.h"

#define DEVICES_MAX 64U
#define NAME_LEN_MAX 31U
#define TAG_LEN_MAX 95U
#define SECTOR_LEN 512U /* of this file, whatever the device has */

/** Columns behind the name (Documentation/admin-guide/iostats.rst); newer kernels have more. */
enum column {
    READS,
    READS_MERGED,
    SECTORS_READ,
    READ_MS,
    WRITES,
    WRITES_MERGED,
    SECTORS_WRITTEN,
    WRITE_MS,
    IN_PROGRESS,
    IO_MS,
    WEIGHTED_MS,
    COLUMN_COUNT,
};

enum field {
    IO_AWAIT = COLUMN_COUNT, /* those before are the columns */
    IO_SVCTM,
    IO_UTIL,
    FIELD_COUNT,
};

static const struct hal_field_def fields[FIELD_COUNT] = {
    [READS] = {.name = "reads", .kind = HAL_KIND_UINT},
    [READS_MERGED] = {.name = "merged_reads", .kind = HAL_KIND_UINT},
    [SECTORS_READ] = {.name = "read_bytes", .kind = HAL_KIND_UINT},
    [READ_MS] = {.name = "read_time", .kind = HAL_KIND_UINT},
    [WRITES] = {.name = "writes", .kind = HAL_KIND_UINT},
    [WRITES_MERGED] = {.name = "merged_writes", .kind = HAL_KIND_UINT},
    [SECTORS_WRITTEN] = {.name = "write_bytes", .kind = HAL_KIND_UINT},
    [WRITE_MS] = {.name = "write_time", .kind = HAL_KIND_UINT},
    [IN_PROGRESS] = {.name = "iops_in_progress", .kind = HAL_KIND_UINT},
    [IO_MS] = {.name = "io_time", .kind = HAL_KIND_UINT},
    [WEIGHTED_MS] = {.name = "weighted_io_time", .kind = HAL_KIND_UINT},
    [IO_AWAIT] = {.name = "io_await", .kind = HAL_KIND_DOUBLE},
    [IO_SVCTM] = {.name = "io_svctm", .kind = HAL_KIND_DOUBLE},
    [IO_UTIL] = {.name = "io_util", .kind = HAL_KIND_DOUBLE},
};

static const struct hal_tag_def tags[] = {
    {.key = "name", .role = HAL_TAG_PRIMARY},
    {.key = "wwid", .role = HAL_TAG_CONSTANT},
    {.key = "serial", .role = HAL_TAG_CONSTANT},
};

struct device {
    char name[NAME_LEN_MAX + 1];
    uint8_t name_len;
    uint32_t round; /**< of the reading that saw it last */
    uint64_t columns[COLUMN_COUNT];
    char serial[TAG_LEN_MAX + 1];
    char wwid[TAG_LEN_MAX + 1];
};

static struct {
    struct linux_gather base;
    struct hal_schema schema;
    const struct hal_schema *schemas[1];
    const struct hal_option *devices;
    bool has_serial;
    uint32_t round;
    uint64_t before_ms;
    unsigned left_out;
    unsigned next; /**< entry of list to look at first: the order of the file stays */
    unsigned count;
    struct device list[DEVICES_MAX];
} disks;

static struct linux_file file = LINUX_FILE(LINUX_ROOT_PROC, "diskstats");

const struct hal_option_def linux_diskio_options[] = {
    {.key = "devices",
     .help = "globs of devices, such as \"sd*\" or \"mmcblk0\"; none: all",
     .fallback = "[]",
     .min = 1,
     .max = NAME_LEN_MAX,
     .kind = HAL_OPTION_STRINGS},
    {.key = "skip_serial_number",
     .help = "false: also a tag with the device's serial number",
     .fallback = "true",
     .kind = HAL_OPTION_BOOL},
    {.key = NULL},
};

/** The line "E:ID_SERIAL=" of udev's record of a device. */
static bool read_udev(struct hal_text number, char *out, size_t cap)
{
    static const char key[] = "\nE:ID_SERIAL=";
    char record[4096];
    const int len =
        linux_read_small(LINUX_ROOT_RUN, "udev/data/b", number, "", record, sizeof(record));
    const char *found = len > 0 ? strstr(record, key) : NULL;
    if (found == NULL) {
        return false;
    }
    found += sizeof(key) - 1;
    const size_t text_len = strcspn(found, "\n");
    if (text_len >= cap) {
        return false;
    }
    memcpy(out, found, text_len);
    out[text_len] = '\0';
    return text_len > 0;
}

/** What names the hardware; "" where nothing does (partitions, loops). */
static void read_tags(struct device *device, uint64_t major, uint64_t minor)
{
    const struct hal_text name = {.s = device->name, .len = device->name_len};
    char number[44];
    size_t len = linux_format_uint(number, major);
    number[len++] = ':';
    len += linux_format_uint(number + len, minor);
    if (linux_read_small(LINUX_ROOT_SYS, "block/", name, "/wwid", device->wwid,
                         sizeof(device->wwid)) < 0) {
        device->wwid[0] = '\0';
    }
    device->serial[0] = '\0';
    if (disks.has_serial &&
        !read_udev((struct hal_text){.s = number, .len = (uint16_t)len}, device->serial,
                   sizeof(device->serial)) &&
        linux_read_small(LINUX_ROOT_SYS, "block/", name, "/device/serial", device->serial,
                         sizeof(device->serial)) < 0) {
        device->serial[0] = '\0';
    }
}

static bool is_named(const struct device *device, struct hal_text name)
{
    return device->name_len == name.len && memcmp(device->name, name.s, name.len) == 0;
}

/** @return the entry of a name, a new one if there is none; NULL if there is no room. */
static struct device *find(struct hal_text name)
{
    struct device *unused = NULL;
    for (unsigned i = 0; i < disks.count; i++) {
        const unsigned at = (disks.next + i) % disks.count;
        if (is_named(&disks.list[at], name)) {
            disks.next = at + 1U;
            return &disks.list[at];
        }
        if (disks.list[at].round + 1U < disks.round) {
            unused = &disks.list[at]; /* it was not there last time */
        }
    }
    if (unused == NULL && disks.count < DEVICES_MAX) {
        unused = &disks.list[disks.count++];
    }
    if (unused != NULL) {
        memset(unused, 0, sizeof(*unused));
        memcpy(unused->name, name.s, name.len);
        unused->name_len = (uint8_t)name.len;
    }
    return unused;
}

/** The growth of a sum of two columns. @return whether neither went back. */
static bool grow(const struct device *device, const uint64_t *now, enum column a, enum column b,
                 uint64_t *growth)
{
    const uint64_t *before = device->columns;
    *growth = (now[a] - before[a]) + (a != b ? now[b] - before[b] : 0);
    return now[a] >= before[a] && now[b] >= before[b];
}

static void set_rates(const struct device *device, const uint64_t *now, uint64_t span_ms,
                      struct hal_value *values)
{
    uint64_t count;
    uint64_t wait_ms;
    uint64_t busy_ms;
    const bool has_count = grow(device, now, READS, WRITES, &count) && count > 0;
    const bool has_wait = grow(device, now, READ_MS, WRITE_MS, &wait_ms);
    const bool has_busy = grow(device, now, IO_MS, IO_MS, &busy_ms);
    if (has_count && has_wait) {
        values[IO_AWAIT] = linux_double((double)wait_ms / (double)count);
    }
    if (has_count && has_busy) {
        values[IO_SVCTM] = linux_double((double)busy_ms / (double)count);
    }
    if (has_busy && span_ms > 0) {
        values[IO_UTIL] = linux_percent(busy_ms, span_ms);
    }
}

static void set_counters(const uint64_t *now, struct hal_value *values)
{
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        values[i] = linux_uint(now[i]);
    }
    values[SECTORS_READ] = linux_uint(now[SECTORS_READ] * SECTOR_LEN);
    values[SECTORS_WRITTEN] = linux_uint(now[SECTORS_WRITTEN] * SECTOR_LEN);
}

static struct hal_text tag_of(const char *text)
{
    return (struct hal_text){.s = text[0] != '\0' ? text : NULL, .len = (uint16_t)strlen(text)};
}

/** A line of a device. @return false if it is none. */
static bool gather_device(struct linux_cursor line, uint64_t now_ms, struct hal_sink *sink)
{
    uint64_t major;
    uint64_t minor;
    uint64_t now[COLUMN_COUNT];
    uint64_t sum = 0;
    struct hal_text name;
    if (!linux_take_uint(&line, &major) || !linux_take_uint(&line, &minor) ||
        !linux_take_word(&line, &name) || name.len > NAME_LEN_MAX) {
        return false;
    }
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        if (!linux_take_uint(&line, &now[i])) {
            return i == 4; /* a partition before 2.6.25: four columns of another meaning */
        }
        sum |= now[i];
    }
    char text[NAME_LEN_MAX + 1];
    memcpy(text, name.s, name.len);
    text[name.len] = '\0';
    if (sum == 0 || !linux_option_fits(disks.devices, text)) {
        return true;
    }
    struct device *device = find(name);
    if (device == NULL) {
        disks.left_out++;
        return true;
    }
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    set_counters(now, values);
    const bool is_known = device->round != 0 && device->round + 1U == disks.round;
    if (is_known) {
        set_rates(device, now, now_ms - disks.before_ms, values);
    }
    if (!is_known || now[READS] < device->columns[READS]) {
        read_tags(device, major, minor); /* it may be another one */
    }
    memcpy(device->columns, now, sizeof(now));
    device->round = disks.round;
    const struct hal_text texts[] = {name, tag_of(device->wwid), tag_of(device->serial)};
    (void)sink->put(sink,
                    &(struct hal_point){.schema = &disks.schema, .tags = texts, .values = values});
    return true;
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    struct linux_cursor line;
    unsigned odd = 0;
    int err = linux_lines_begin(&file);
    disks.round += err == KWM_OK ? 1U : 0U;
    disks.left_out = 0;
    disks.next = 0;
    while (err == KWM_OK && (err = linux_lines_next(&line)) > 0) {
        odd += gather_device(line, now_ms, sink) ? 0U : 1U;
        err = KWM_OK;
    }
    disks.before_ms = now_ms;
    if (err < 0) {
        return linux_sensor_fail_file(&self->base, err, &file);
    }
    if (odd > 0) {
        return linux_sensor_fail(&self->base, KWM_ERR_CORRUPT,
                                 "%s/diskstats is not what the kernel writes",
                                 linux_root_path(LINUX_ROOT_PROC));
    }
    if (disks.left_out > 0) {
        return linux_sensor_fail(&self->base, KWM_ERR_NOSPC,
                                 "%u devices above %u are left out; choose with devices",
                                 disks.left_out, DEVICES_MAX);
    }
    return KWM_OK;
}

int linux_diskio_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_DISKIO, env);
    if (slot < 0) {
        return slot;
    }
    memset(&disks, 0, sizeof(disks));
    disks.devices = hal_option_get(&env->options, "devices");
    disks.has_serial = !linux_option_flag(env, "skip_serial_number");
    disks.schema = (struct hal_schema){.measurement = "diskio",
                                       .tags = tags,
                                       .tag_count = disks.has_serial ? 3 : 2,
                                       .fields = fields,
                                       .field_count = FIELD_COUNT};
    disks.schemas[0] = &disks.schema;
    linux_gather_init(&disks.base, "diskio", disks.schemas, 1, gather);
    *sensor = &disks.base.base.sensor;
    return KWM_OK;
}
