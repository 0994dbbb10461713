/* SPDX-License-Identifier: MIT */
/* Goal:   whatever stands in a file of /proc, /sys or utmp, no input reads or writes outside its
 *         memory, runs without end, or puts a point that breaks its schema or cannot be true.
 * Method: libFuzzer. The first byte chooses a file of a tree in memory-backed storage; what follows
 *         is its content, up to a blank line of two NULs, and from there its content at a second
 *         reading. All else in the tree is as a kernel writes it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hal/assert.h"
#include "input_maker.h"

#define REQUIRE(condition) ((condition) ? (void)0 : kwm_panic(__FILE__, __LINE__))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    char letter;
    const char *path;
    const char *usual;
    const char *inputs; /* that read it */
};

#define FILE_OF(kind, more) \
    "{\"path\": \"@/sys/f\", \"field\": \"" kind "\", \"kind\": \"" kind "\"" more "}"

static const struct target targets[] = {
    {'c', "proc/stat", "cpu  1 2 3 4\ncpu0 1 2 3 4\nctxt 1\n",
     "\"cpu\": {\"collect_cpu_time\": true, \"report_active\": true}, \"kernel\": {}"},
    {'m', "proc/meminfo", "MemTotal: 9 kB\nMemFree: 5 kB\nSwapTotal: 9 kB\nSwapFree: 5 kB\n",
     "\"mem\": {\"collect_extended\": true}, \"swap\": {}"},
    {'v', "proc/vmstat", "pswpin 1\npswpout 2\n", "\"swap\": {}"},
    {'l', "proc/loadavg", "0.10 0.20 0.30 1/2 3\n", "\"system\": {\"include\": [\"load\"]}"},
    {'u', "proc/uptime", "9.00 9.00\n",
     "\"system\": {\"include\": [\"uptime_format\", \"uptime\"]}"},
    {'y', "var/run/utmp", "", "\"system\": {\"include\": [\"users\"]}"},
    {'o', "sys/devices/system/cpu/online", "0-1\n", "\"system\": {\"include\": [\"cpus\"]}"},
    {'n', "proc/net/dev", "a\nb\n a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
     "\"net\": {\"interfaces\": [\"*\"]}"},
    {'g', "sys/class/net/a/flags", "0x1003\n", "\"net\": {}"},
    {'s', "sys/class/net/a/speed", "100\n", "\"net\": {\"interfaces\": [\"?\"]}"},
    {'d', "proc/diskstats", "8 0 a 1 2 3 4 5 6 7 8 9 10 11\n",
     "\"diskio\": {\"skip_serial_number\": false}"},
    {'e', "run/udev/data/b8:0", "E:ID_SERIAL=x\n", "\"diskio\": {\"skip_serial_number\": false}"},
    {'p', "proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
     "\"kernel\": {\"collect\": [\"psi\"]}"},
    {'q', "proc/7/stat", "7 (x) S 1 2\n", "\"processes\": {}"},
    {'i', "proc/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "\"disk\": {}"},
    {'h', "sys/class/hwmon/hwmon0/name", "chip\n", "\"temp\": {}"},
    {'t', "sys/class/hwmon/hwmon0/temp1_input", "1000\n", "\"temp\": {}"},
    {'f', "sys/f", "1\n",
     "\"file\": {\"name\": \"f\", \"files\": [" FILE_OF("int", ", \"scale\": 3") ", " FILE_OF(
         "fixed",
         ", \"multiplier\": \"-0.0123456789\", \"digits\": "
         "9") ", " FILE_OF("bool",
                           "") ", " FILE_OF("string",
                                            "") ", " FILE_OF("float",
                                                             ", \"scale_file\": \"@/sys/f\", "
                                                             "\"offset_file\": \"@/sys/f\"") "]}"},
};
#define TARGET_COUNT (sizeof(targets) / sizeof(targets[0]))

static char tree[64];
static struct linux_poll_set poll_set;

static void write_file(const char *name, const uint8_t *content, size_t len)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", tree, name);
    for (char *slash = path + strlen(tree) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, content, len) == (ssize_t)len);
    (void)close(fd);
}

static void remove_tree(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", tree);
    (void)!system(command);
}

static void make_tree(void)
{
    static char paths[LINUX_ROOT_COUNT][80];
    static const char *const names[LINUX_ROOT_COUNT] = {"proc", "sys", "dev", "var", "run"};
    struct linux_roots roots = {.mount_prefix = tree};
    (void)snprintf(tree, sizeof(tree), "/dev/shm/kwm_fuzz_XXXXXX");
    if (mkdtemp(tree) == NULL) {
        (void)snprintf(tree, sizeof(tree), "/tmp/kwm_fuzz_XXXXXX");
        REQUIRE(mkdtemp(tree) != NULL);
    }
    (void)atexit(remove_tree);
    for (unsigned i = 0; i < LINUX_ROOT_COUNT; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", tree, names[i]);
        roots.paths[i] = paths[i];
    }
    for (unsigned i = 0; i < TARGET_COUNT; i++) {
        write_file(targets[i].path, (const uint8_t *)targets[i].usual, strlen(targets[i].usual));
    }
    linux_inputs_set_roots(&roots);
    linux_inputs_init(&poll_set);
}

static bool is_possible(const char *field, double number)
{
    const bool is_share = strncmp(field, "usage_", 6) == 0 || strstr(field, "percent") != NULL;
    return number == number && (is_share ? number >= 0.0 && number <= 100.0 : true);
}

static int put(struct hal_sink *sink, const struct hal_point *point)
{
    const struct hal_schema *schema = point->schema;
    volatile char sum = 0; /* so that all texts are read */
    unsigned count = 0;
    (void)sink;
    for (unsigned i = 0; i < schema->tag_count; i++) {
        for (unsigned j = 0; point->tags[i].s != NULL && j < point->tags[i].len; j++) {
            sum = (char)(sum ^ point->tags[i].s[j]);
        }
    }
    for (unsigned i = 0; i < schema->field_count; i++) {
        const struct hal_value *value = &point->values[i];
        if (value->kind == HAL_KIND_NONE) {
            continue;
        }
        count++;
        REQUIRE(value->kind == schema->fields[i].kind && value->scale == schema->fields[i].scale);
        if (value->kind == HAL_KIND_DOUBLE) {
            REQUIRE(is_possible(schema->fields[i].name, value->d));
        }
        for (unsigned j = 0; value->kind == HAL_KIND_STRING && j < value->len; j++) {
            REQUIRE(value->len <= HAL_TEXT_LEN_MAX && value->s[j] >= ' ');
        }
    }
    REQUIRE(count > 0);
    return KWM_OK;
}

static void read_all(const struct input_set *set, uint64_t now_ms)
{
    struct hal_sink sink = {.put = put};
    for (unsigned i = 0; i < set->count; i++) {
        struct hal_sensor *sensor = set->sensors[i];
        int done = hal_sensor_begin(sensor, now_ms);
        REQUIRE(done == KWM_OK);
        while (done == 0) {
            done = hal_sensor_poll(sensor, now_ms, &sink);
            if (done == 0) {
                REQUIRE(linux_poll_wait(&poll_set, 1000) >= 0);
            }
        }
        REQUIRE((done < 0) == (sensor->detail[0] != '\0'));
    }
}

/** The inputs with @ replaced by the tree's path. */
static void make_inputs(struct input_set *set, const char *inputs)
{
    char text[4096];
    size_t len = 0;
    for (const char *c = inputs; *c != '\0'; c++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, *c == '@' ? "%s" : "%.1s",
                                *c == '@' ? tree : c);
    }
    REQUIRE(len < sizeof(text) && input_make(set, text) == KWM_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input_set set;
    if (tree[0] == '\0') {
        make_tree();
    }
    if (size == 0) {
        return 0;
    }
    const struct target *target = &targets[data[0] % TARGET_COUNT];
    for (unsigned i = 0; i < TARGET_COUNT; i++) {
        target = targets[i].letter == (char)data[0] ? &targets[i] : target;
    }
    const uint8_t *content = data + 1;
    const size_t len = size - 1;
    const uint8_t *cut = len >= 2 ? memmem(content, len, "\0\0", 2) : NULL;
    const size_t first_len = cut != NULL ? (size_t)(cut - content) : len;
    write_file(target->path, content, first_len);
    make_inputs(&set, target->inputs);
    read_all(&set, 1000);
    if (cut != NULL) {
        write_file(target->path, cut + 2, len - first_len - 2);
        read_all(&set, 2000);
    }
    write_file(target->path, (const uint8_t *)target->usual, strlen(target->usual));
    return 0;
}
