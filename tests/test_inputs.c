/* SPDX-License-Identifier: MIT */
/* Goal:   the inputs of Linux give the rows that they should of what the kernel writes, of any
 *         version, and of what it never writes nothing that is wrong.
 * Method: recorded trees in tests/data/proc and trees that are written here, one reading or
 *         several; the expected rows were worked out by hand from the files. Then this machine,
 *         against tests/tools/read_proc.py, which reads it on its own. */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

#include "input_maker.h"

#define TREES KWM_TESTS_DIR "/data/proc/"
#define READINGS_MAX 3U

static struct input_set set;
static struct input_text out;

/** Let all roots be folders of a tree. */
static void use_tree(const char *tree)
{
    static const char *const names[LINUX_ROOT_COUNT] = {"proc", "sys", "dev", "var", "run"};
    static char paths[LINUX_ROOT_COUNT + 1U][600];
    struct linux_roots roots = {.mount_prefix = paths[LINUX_ROOT_COUNT]};
    for (unsigned i = 0; i < LINUX_ROOT_COUNT; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", tree, names[i]);
        roots.paths[i] = paths[i];
    }
    (void)snprintf(paths[LINUX_ROOT_COUNT], sizeof(paths[0]), "%s/root", tree);
    linux_inputs_set_roots(&roots);
}

static void use_case(const char *name)
{
    char tree[512];
    (void)snprintf(tree, sizeof(tree), TREES "%s", name);
    use_tree(tree);
}

struct reading {
    const char *tree;
    const char *expected; /* file with the rows, sorted; NULL: no row */
    int err;              /* KWM_OK or what poll() says */
    const char *detail;   /* a part of it */
};

struct row {
    const char *name;
    const char *inputs;
    struct reading readings[READINGS_MAX]; /* a second apart */
};

static const struct row rows[] = {
    {"cpu",
     "\"cpu\": {}",
     {{"unplug1", NULL, KWM_OK, NULL},
      {"unplug2", "cpu-unplugged", KWM_OK, NULL},
      {"unplug3", "cpu-plugged", KWM_OK, NULL}}},
    {"cpu, times first",
     "\"cpu\": {\"collect_cpu_time\": true, \"core_tags\": true}",
     {{"amd64", "cpu-times", KWM_OK, NULL}, {"amd64", "cpu-times", KWM_OK, NULL}}},
    {"cpu, counters go back",
     "\"cpu\": {\"percpu\": false, \"report_active\": true, \"collect_cpu_time\": true}",
     {{"wrap1", "cpu-before", KWM_OK, NULL}, {"wrap2", "cpu-back", KWM_OK, NULL}}},
    {"cpu, guests above users, and a jump",
     "\"cpu\": {}",
     {{"jump1", NULL, KWM_OK, NULL}, {"jump2", "cpu-jump", KWM_OK, NULL}}},
    {"cpu, old kernel",
     "\"cpu\": {\"totalcpu\": false, \"collect_cpu_time\": true}",
     {{"old", "cpu-old", KWM_OK, NULL}}},
    {"cpu, file comes and goes",
     "\"cpu\": {\"percpu\": false}",
     {{"missing", NULL, KWM_ERR_NOENT, "/missing/proc/stat: No such file"},
      {"unplug1", NULL, KWM_OK, NULL},
      {"unplug2", "cpu-total", KWM_OK, NULL}}},
    {"mem", "\"mem\": {}", {{"amd64", "mem", KWM_OK, NULL}}},
    {"mem, extended",
     "\"mem\": {\"collect_extended\": true}",
     {{"amd64", "mem-extended", KWM_OK, NULL}}},
    {"mem, old kernel", "\"mem\": {}", {{"old", "mem-old", KWM_OK, NULL}}},
    {"mem, missing", "\"mem\": {}", {{"missing", NULL, KWM_ERR_NOENT, "meminfo: No such"}}},
    {"swap", "\"swap\": {}", {{"amd64", "swap", KWM_OK, NULL}, {"old", "swap-old", KWM_OK, NULL}}},
    {"swap, missing", "\"swap\": {}", {{"missing", NULL, KWM_ERR_NOENT, "meminfo: No such"}}},
    {"system",
     "\"system\": {}",
     {{"amd64", "system", KWM_OK, NULL}, {"old", "system-old", KWM_OK, NULL}}},
    {"system, parts",
     "\"system\": {\"include\": [\"uptime_format\", \"cpus\"]}",
     {{"amd64", "system-parts", KWM_OK, NULL},
      {"old", "system-parts-old", KWM_OK, NULL},
      {"container", "system-container", KWM_ERR_NOENT, "uptime: No such file"}}},
    {"system, missing",
     "\"system\": {}",
     {{"missing", NULL, KWM_ERR_NOENT, "/missing/proc/loadavg: No such file"}}},
    {"net", "\"net\": {}", {{"amd64", "net", KWM_OK, NULL}, {"old", "net-old", KWM_OK, NULL}}},
    {"net, chosen",
     "\"net\": {\"interfaces\": [\"lo\", \"*1\"]}",
     {{"amd64", "net-chosen", KWM_OK, NULL}}},
    {"net, missing", "\"net\": {}", {{"missing", NULL, KWM_ERR_NOENT, "net/dev: No such"}}},
    {"diskio",
     "\"diskio\": {}",
     {{"amd64", "diskio", KWM_OK, NULL}, {"old", "diskio-old", KWM_OK, NULL}}},
    {"diskio, serial numbers",
     "\"diskio\": {\"skip_serial_number\": false, \"devices\": [\"vd?\", \"mmc*\"]}",
     {{"amd64", "diskio-serial", KWM_OK, NULL}}},
    {"diskio, counters go back",
     "\"diskio\": {}",
     {{"wrap1", "diskio-before", KWM_OK, NULL}, {"wrap2", "diskio-back", KWM_OK, NULL}}},
    {"diskio, devices that were away",
     "\"diskio\": {}",
     {{"wrap2", "diskio-first", KWM_OK, NULL},
      {"idle", NULL, KWM_OK, NULL},
      {"wrap2", "diskio-first", KWM_OK, NULL}}},
    {"diskio, missing", "\"diskio\": {}", {{"missing", NULL, KWM_ERR_NOENT, "diskstats: No such"}}},
    {"temp", "\"temp\": {}", {{"amd64", "temp", KWM_OK, NULL}}},
    {"temp, devices",
     "\"temp\": {\"add_device_tag\": true}",
     {{"amd64", "temp-device", KWM_OK, NULL}}},
    {"temp, zones", "\"temp\": {}", {{"container", "temp-zones", KWM_OK, NULL}}},
    {"temp, none", "\"temp\": {}", {{"missing", NULL, KWM_ERR_NOENT, "no temperatures in"}}},
    {"temp, other machine",
     "\"temp\": {}",
     {{"container", "temp-zones", KWM_OK, NULL}, {"amd64", "temp", KWM_OK, NULL}}},
    {"kernel",
     "\"kernel\": {}",
     {{"amd64", "kernel", KWM_OK, NULL}, {"old", "kernel-old", KWM_OK, NULL}}},
    {"kernel, pressure",
     "\"kernel\": {\"collect\": [\"psi\"]}",
     {{"amd64", "kernel-pressure", KWM_OK, NULL},
      {"old", "kernel-old", KWM_ERR_NOENT, "pressure/cpu: No such file"}}},
    {"kernel, missing", "\"kernel\": {}", {{"missing", NULL, KWM_ERR_NOENT, "stat: No such"}}},
    {"processes",
     "\"processes\": {}",
     {{"amd64", "processes", KWM_OK, NULL}, {"old", "processes-old", KWM_OK, NULL}}},
    {"processes, none", "\"processes\": {}", {{"missing", NULL, KWM_ERR_NOENT, "hidepid"}}},
};

/* ---- rows as sorted lines -------------------------------------------------------------------- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/** The lines of a text in order. Folders have none. */
static const char *sorted(const char *text)
{
    static char copy[TEXT_MAX];
    static char result[TEXT_MAX];
    char *lines[256];
    size_t count = 0;
    (void)snprintf(copy, sizeof(copy), "%s", text);
    for (char *line = copy; *line != '\0' && count < 256; count++) {
        lines[count] = line;
        line += strcspn(line, "\n");
        *line++ = '\0';
    }
    qsort(lines, count, sizeof(lines[0]), compare_lines);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(result + len, sizeof(result) - len, "%s\n", lines[i]);
    }
    result[len] = '\0';
    return result;
}

static const char *expected_of(const char *name)
{
    static char text[TEXT_MAX];
    char path[128];
    text[0] = '\0';
    if (name != NULL) {
        (void)snprintf(path, sizeof(path), "data/proc/expected/%s.txt", name);
        text[support_read_file(path, text, sizeof(text) - 1)] = '\0';
    }
    return text;
}

static void check_reading(const struct row *row, const struct reading *expected, uint64_t now_ms)
{
    use_case(expected->tree);
    const int got = input_read(set.sensors[0], now_ms, &out);
    const char *detail = set.sensors[0]->detail;
    const bool is_right =
        got == (expected->err == KWM_OK ? 1 : expected->err) &&
        strcmp(sorted(out.text), expected_of(expected->expected)) == 0 && !out.is_wrong &&
        (expected->detail == NULL ? detail[0] == '\0' : strstr(detail, expected->detail) != NULL);
    if (!is_right) {
        print_error("%s, %s: %d \"%s\"\n%s", row->name, expected->tree, got, detail,
                    sorted(out.text));
    }
    assert_true(is_right);
}

static void test_recorded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        use_case(rows[i].readings[0].tree);
        if (input_make(&set, rows[i].inputs) != KWM_OK) {
            print_error("%s: %s\n", rows[i].name, set.reason);
        }
        assert_int_equal(set.err, KWM_OK);
        for (unsigned j = 0; j < READINGS_MAX && rows[i].readings[j].tree != NULL; j++) {
            check_reading(&rows[i], &rows[i].readings[j], 1000U + 1000U * j);
        }
    }
}

/* ---- trees that are written here ------------------------------------------------------------- */

static char tree[64];

static int make_tree(void **state)
{
    (void)state;
    (void)snprintf(tree, sizeof(tree), "/tmp/kwm_inputs_XXXXXX");
    return mkdtemp(tree) != NULL ? 0 : -1;
}

static int remove_tree(void **state)
{
    char command[128];
    (void)state;
    linux_inputs_set_roots(&(struct linux_roots){.mount_prefix = NULL});
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", tree);
    return system(command);
}

/** Write a file below the tree, with the folders that it needs. */
static void write_file(const char *name, const void *content, size_t len)
{
    char path[512];
    const int path_len = snprintf(path, sizeof(path), "%s/%s", tree, name);
    assert_true(path_len > 0 && (size_t)path_len < sizeof(path));
    for (char *slash = path + strlen(tree) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static int read_once(const char *inputs)
{
    if (input_make(&set, inputs) != KWM_OK) {
        print_error("%s: %s\n", inputs, set.reason);
    }
    assert_int_equal(set.err, KWM_OK);
    const int got = input_read(set.sensors[0], 1000, &out);
    assert_false(out.is_wrong);
    return got;
}

struct odd {
    const char *name;
    const char *inputs;
    const char *file;
    const char *content;
    int expected;
    const char *lines;
};

#define TIMES "\"cpu\": {\"collect_cpu_time\": true, \"percpu\": false}"
#define NO_TIMES                                                                        \
    "time_iowait=0.00,time_irq=0.00,time_softirq=0.00,time_steal=0.00,time_guest=0.00," \
    "time_guest_nice=0.00"
#define OVER "99999999999999999999999"

static const struct odd odds[] = {
    {"cpu, empty", "\"cpu\": {}", "stat", "", KWM_ERR_CORRUPT, ""},
    {"cpu, no number", "\"cpu\": {}", "stat", "cpu\n", KWM_ERR_CORRUPT, ""},
    {"cpu, garbage", "\"cpu\": {}", "stat", "\x01\xff\x80\n\n", KWM_ERR_CORRUPT, ""},
    {"cpu, letters", TIMES, "stat", "cpu 1 2x 3 4\n", KWM_ERR_CORRUPT, ""},
    {"cpu, too big", TIMES, "stat", "cpu " OVER " 2 3 4\n", KWM_ERR_CORRUPT, ""},
    {"cpu, no end of line", TIMES, "stat", "cpu 1 2 3 4", 1,
     "cpu,cpu=cpu-total time_user=0.01,time_system=0.03,time_idle=0.04,time_nice=0.02," NO_TIMES
     "\n"},
    {"cpu, above the bound", "\"cpu\": {\"collect_cpu_time\": true, \"totalcpu\": false}", "stat",
     "cpu 1 2 3 4\ncpu256 1 2 3 4\n", KWM_ERR_NOSPC, ""},
    {"mem, empty", "\"mem\": {}", "meminfo", "", KWM_ERR_CORRUPT, ""},
    {"mem, too big", "\"mem\": {}", "meminfo", "MemTotal: " OVER " kB\n", KWM_ERR_CORRUPT, ""},
    {"mem, too big in bytes", "\"mem\": {}", "meminfo", "MemTotal: 18446744073709551615 kB\n",
     KWM_ERR_CORRUPT, ""},
    {"mem, available above total", "\"mem\": {}", "meminfo", "MemAvailable: 2 kB\nMemTotal: 1 kB\n",
     1, "mem available=2048u,total=1024u\n"},
    {"mem, in an order", "\"mem\": {}", "meminfo", "MemTotal:       9 kB\nBuffers:        2 kB\n",
     1, "mem buffered=2048u,total=9216u\n"},
    {"mem, in another order", "\"mem\": {}", "meminfo",
     "Buffers:        3 kB\nMemTotal:       8 kB\nNew:            1 kB\n", 1,
     "mem buffered=3072u,total=8192u\n"},
    {"mem, what was none", "\"mem\": {}", "meminfo",
     "Old:            3 kB\nMemTotal:       8 kB\nDirty:          1 kB\n", 1,
     "mem dirty=1024u,total=8192u\n"},
    {"mem, nothing", "\"mem\": {}", "meminfo", "MemTotal: 0 kB\n", 1, "mem total=0u\n"},
    {"swap, more free than there is", "\"swap\": {}", "meminfo",
     "SwapTotal: 1 kB\nSwapFree: 2 kB\n", KWM_ERR_CORRUPT, ""},
    {"net, empty", "\"net\": {}", "net/dev", "", KWM_ERR_CORRUPT, ""},
    {"net, garbage", "\"net\": {}", "net/dev", "a\nb\nc:\n: 1\n", KWM_ERR_CORRUPT, ""},
    {"net, short line", "\"net\": {\"interfaces\": [\"*\"]}", "net/dev",
     "a|\nb|\nx: 1 2 3\ny:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", KWM_ERR_CORRUPT,
     "net,interface=y bytes_recv=1u,bytes_sent=9u,drop_in=4u,drop_out=12u,err_in=3u,err_out=11u,"
     "packets_recv=2u,packets_sent=10u,speed=-1i\n"},
    {"diskio, empty", "\"diskio\": {}", "diskstats", "", 1, ""},
    {"diskio, garbage", "\"diskio\": {}", "diskstats", "8 0\n\xff\n", KWM_ERR_CORRUPT, ""},
    {"diskio, nothing done", "\"diskio\": {}", "diskstats", "8 0 a 0 0 0 0 0 0 0 0 0 0 0\n", 1, ""},
    {"kernel, empty", "\"kernel\": {}", "stat", "", KWM_ERR_CORRUPT, ""},
    {"kernel, too big", "\"kernel\": {}", "stat", "ctxt " OVER "\nintr 1\n", KWM_ERR_CORRUPT, ""},
    {"kernel, some", "\"kernel\": {}", "stat", "ctxt 7\nintr " OVER "\n", 1,
     "kernel context_switches=7u\n"},
    {"pressure, garbage", "\"kernel\": {\"collect\": [\"psi\"]}", "pressure/cpu", "some avg10=x\n",
     KWM_ERR_CORRUPT, "kernel context_switches=7u\n"},
    {"load, garbage", "\"system\": {\"include\": [\"load\"]}", "loadavg", "0.5 1", KWM_ERR_CORRUPT,
     "system load1=0.50,load5=1.00\n"},
    {"load, empty", "\"system\": {\"include\": [\"load\"]}", "loadavg", "", KWM_ERR_CORRUPT, ""},
    {"uptime, below zero", "\"system\": {\"include\": [\"uptime\"]}", "uptime", "-5.00 1\n",
     KWM_ERR_CORRUPT, ""},
    {"disk, garbage", "\"disk\": {}", "self/mountinfo", "1 2 3\n\xff\n", KWM_ERR_CORRUPT, ""},
    {"disk, empty", "\"disk\": {}", "self/mountinfo", "", 1, ""},
    {"disk, no such place", "\"disk\": {\"mount_points\": [\"/nothing\"]}", "self/mountinfo",
     "1 1 8:1 / /nothing rw - ext4 /dev/sda1 rw\n", KWM_ERR_NOENT, ""},
    {"processes, garbage", "\"processes\": {}", "5/stat", "5 x S 1\n", KWM_ERR_NOENT, ""},
};

static void test_odd(void **state)
{
    (void)state;
    use_tree(tree);
    for (size_t i = 0; i < sizeof(odds) / sizeof(odds[0]); i++) {
        const struct odd *odd = &odds[i];
        char name[64];
        (void)snprintf(name, sizeof(name), "proc/%s", odd->file);
        if (strcmp(odd->file, "pressure/cpu") == 0) {
            write_text("proc/stat", "ctxt 7\n");
        }
        write_text(name, odd->content);
        const int got = read_once(odd->inputs);
        if (got != odd->expected || strcmp(out.text, odd->lines) != 0) {
            print_error("%s: %d \"%s\"\n%s", odd->name, got, set.sensors[0]->detail, out.text);
        }
        assert_int_equal(got, odd->expected);
        assert_string_equal(out.text, odd->lines);
        assert_true((set.sensors[0]->detail[0] != '\0') == (got < 0));
    }
}

/** Lines longer than the reader's buffer: their beginning counts, and what follows them is seen. */
static void test_long_lines(void **state)
{
    (void)state;
    static char text[40000];
    use_tree(tree);
    size_t len = (size_t)snprintf(text, sizeof(text), "cpu  1 1 1 1\nintr 99");
    for (unsigned i = 0; i < 9000; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, " %u", i % 100U);
    }
    len += (size_t)snprintf(text + len, sizeof(text) - len, "\nctxt 5\nbtime 6\nprocesses 7");
    assert_true(len > 3U * LINUX_LINE_LEN_MAX);
    write_file("proc/stat", text, len);
    assert_int_equal(read_once("\"kernel\": {}"), 1);
    assert_string_equal(out.text, "kernel boot_time=6u,context_switches=5u,interrupts=99u,"
                                  "processes_forked=7u\n");

    /* What follows the buffer's end within a line is no line. */
    memset(text, 'x', LINUX_LINE_LEN_MAX);
    len = LINUX_LINE_LEN_MAX;
    len += (size_t)snprintf(text + len, sizeof(text) - len, "btime 66\nctxt 5\n");
    write_file("proc/stat", text, len);
    assert_int_equal(read_once("\"kernel\": {}"), 1);
    assert_string_equal(out.text, "kernel context_switches=5u\n");

    /* Lines that meet the buffer's end at every place. */
    for (unsigned shift = 0; shift < 40; shift++) {
        len = 0;
        while (len < LINUX_LINE_LEN_MAX - 20U + shift) {
            text[len++] = 'x';
        }
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\nctxt %u\n", shift);
        write_file("proc/stat", text, len);
        assert_int_equal(read_once("\"kernel\": {}"), 1);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "kernel context_switches=%uu\n", shift);
        assert_string_equal(out.text, expected);
    }
}

static void test_users(void **state)
{
    (void)state;
    static const struct {
        short type;
        const char *user;
    } logins[] = {{USER_PROCESS, "ada"},  {DEAD_PROCESS, "gone"},
                  {USER_PROCESS, "bob"},  {USER_PROCESS, "ada"},
                  {BOOT_TIME, "reboot"},  {USER_PROCESS, "ada"},
                  {LOGIN_PROCESS, "tty"}, {USER_PROCESS, "abcdefghijklmnopqrstuvwxyz012345"}};
    struct utmp records[sizeof(logins) / sizeof(logins[0])];
    memset(records, 0, sizeof(records));
    for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
        records[i].ut_type = logins[i].type;
        memcpy(records[i].ut_user, logins[i].user, strlen(logins[i].user));
    }
    use_tree(tree);
    write_file("var/run/utmp", records, sizeof(records));
    assert_int_equal(read_once("\"system\": {\"include\": [\"users\"]}"), 1);
    assert_string_equal(out.text, "system n_users=5u,n_unique_users=3u\n");
    write_file("var/run/utmp", records, sizeof(records[0]) + 7); /* a record is being written */
    assert_int_equal(read_once("\"system\": {\"include\": [\"users\"]}"), 1);
    assert_string_equal(out.text, "system n_users=1u,n_unique_users=1u\n");
}

static void test_many(void **state)
{
    (void)state;
    static char text[20000];
    size_t len = 0;
    use_tree(tree);
    for (unsigned i = 0; i < 66; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "8 %u sd%u 1 0 0 0 0 0 0 0 0 0 0\n",
                                i, i);
    }
    write_file("proc/diskstats", text, len);
    assert_int_equal(read_once("\"diskio\": {}"), KWM_ERR_NOSPC);
    assert_int_equal(out.points, 64);
    assert_non_null(strstr(set.sensors[0]->detail, "2 devices above 64"));
    /* Devices that went make room for others, after a reading without them. */
    write_text("proc/diskstats", "8 70 sd70 1 0 0 0 0 0 0 0 0 0 0\n");
    assert_int_equal(input_read(set.sensors[0], 2000, &out), KWM_ERR_NOSPC);
    assert_int_equal(input_read(set.sensors[0], 3000, &out), 1);
    assert_int_equal(out.points, 1);

    len = 0;
    for (unsigned i = 0; i < 70; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "sys/class/hwmon/hwmon%u/temp1_input", i);
        write_text(name, "1000\n");
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "1 1 8:1 / /m%u rw - ext4 /dev/sda1 rw\n", i);
        (void)snprintf(name, sizeof(name), "root/m%u/x", i);
        write_text(name, "");
    }
    write_file("proc/self/mountinfo", text, len);
    assert_int_equal(read_once("\"disk\": {}"), KWM_ERR_NOSPC);
    assert_int_equal(out.points, 64);
    assert_non_null(strstr(set.sensors[0]->detail, "6 mounts are left out"));
    assert_int_equal(read_once("\"temp\": {}"), KWM_ERR_NOSPC);
    assert_int_equal(out.points, 64);
}

/* ---- disk ------------------------------------------------------------------------------------ */

static void test_disk(void **state)
{
    (void)state;
    static const struct {
        const char *inputs;
        int expected;
        const char *detail;
        const char *tags[6]; /* of the rows, in order */
    } cases[] = {
        {"\"disk\": {}",
         1,
         "",
         {"path=/,device=vda1,fstype=ext4,mode=rw ",
          "path=/data disk,device=dm-0,fstype=ext4,label=vg-data,mode=rw ",
          "path=/boot,device=vda2,fstype=vfat,mode=ro ",
          "path=/mnt/bind,device=vda1,fstype=ext4,mode=rw ",
          "path=/mnt/none,device=,fstype=ext4,mode=rw ",
          "path=/mnt/twice,device=sdb1,fstype=xfs,mode=rw "}},
        {"\"disk\": {\"ignore_mount_opts\": [\"bind\", \"ro\"], \"ignore_fs\": [\"xfs\", "
         "\"tmpfs\", "
         "\"proc\", \"sysfs\", \"devtmpfs\"]}",
         1,
         "",
         {"path=/,device=vda1,fstype=ext4,mode=rw ",
          "path=/mnt/over,device=overlay,fstype=overlay,mode=rw ",
          "path=/mnt/none,device=,fstype=ext4,mode=rw "}},
        {"\"disk\": {\"mount_points\": [\"/boot\", \"/sdcard\"]}",
         KWM_ERR_NOENT,
         "nothing is mounted on /sdcard",
         {"path=/boot,device=vda2,fstype=vfat,mode=ro "}},
    };
    use_case("amd64");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_once(cases[i].inputs), cases[i].expected);
        assert_string_equal(set.sensors[0]->detail, cases[i].detail);
        const char *line = out.text;
        unsigned count = 0;
        for (; *line != '\0'; count++) {
            assert_true(count < 6 && cases[i].tags[count] != NULL);
            const size_t len = strlen(cases[i].tags[count]);
            if (strncmp(line, "disk,", 5) != 0 || strncmp(line + 5, cases[i].tags[count], len)) {
                print_error("%s: row %u: %s", cases[i].inputs, count, line);
            }
            assert_memory_equal(line, "disk,", 5);
            assert_memory_equal(line + 5, cases[i].tags[count], len);
            line += strcspn(line, "\n") + 1;
        }
        assert_true(count == 6 || cases[i].tags[count] == NULL);
    }
    /* What a container sees of others is left out without a word. */
    use_case("container");
    assert_int_equal(read_once("\"disk\": {\"ignore_mount_opts\": [\"bind\"]}"), 1);
    assert_string_equal(out.text, "");
}

/* ---- file ------------------------------------------------------------------------------------ */

#define IIO "/sys/bus/iio/devices/iio:device0/"
#define HWMON "/sys/class/hwmon/"

static const struct {
    const char *name;
    const char *files; /* with @ for the tree's path */
    int expected;
    const char *detail;
    const char *line; /* behind "file env" */
} channels[] = {
    {"IIO's temperature: (1370 - 12.5) * 0.0625 milli degrees",
     "{\"path\": \"@" IIO "in_temp_raw\", \"scale_file\": \"@" IIO "in_temp_scale\","
     " \"offset_file\": \"@" IIO "in_temp_offset\", \"scale\": 3, \"field\": \"temp\"}",
     1, "", "temp=0.084844"},
    {"all its digits",
     "{\"path\": \"@" IIO "in_temp_raw\", \"scale_file\": \"@" IIO "in_temp_scale\","
     " \"offset_file\": \"@" IIO "in_temp_offset\", \"scale\": 3, \"field\": \"temp\","
     " \"digits\": 9}",
     1, "", "temp=0.084843750"},
    {"hwmon",
     "{\"path\": \"@" HWMON "hwmon1/temp1_input\", \"field\": \"temp\", \"unit\": \"celsius\","
     " \"scale\": 3}",
     1, "", "temp_celsius=21.437"},
    {"several, and a glob",
     "[{\"path\": \"@" HWMON "hwmon0/temp?_max\", \"field\": \"a\", \"scale\": 3},"
     " {\"path\": \"@" HWMON "hwmon0/temp2_input\", \"field\": \"b\", \"kind\": \"int\"},"
     " {\"path\": \"@" HWMON "hwmon[0]/temp2_label\", \"field\": \"c\", \"kind\": \"string\"},"
     " {\"path\": \"@" IIO "buffer/enable\", \"field\": \"d\", \"kind\": \"bool\"},"
     " {\"path\": \"@" IIO "in_pressure_raw\", \"field\": \"e\", \"kind\": \"float\","
     "  \"scale_file\": \"@" IIO "in_pressure_scale\"}]",
     1, "", "a=99.000,b=-5250i,c=\"Core 0\",d=false,e=24.691358"},
    {"multiplier",
     "[{\"path\": \"@" IIO "in_voltage0_raw\", \"field\": \"u\", \"multiplier\": \"1.5\"},"
     " {\"path\": \"@" IIO "in_voltage0_raw\", \"field\": \"v\", \"multiplier\": \"-0.5\","
     "  \"digits\": 0},"
     " {\"path\": \"@" IIO "in_voltage0_raw\", \"field\": \"w\", \"multiplier\": \"0.0001\","
     "  \"kind\": \"int\"}]",
     1, "", "u=-3072.000,v=1024,w=0i"},
    {"one is missing",
     "[{\"path\": \"@" IIO "in_humidity_raw\", \"field\": \"a\"},"
     " {\"path\": \"@" IIO "in_voltage0_raw\", \"field\": \"b\"},"
     " {\"path\": \"@" IIO "in_voltage0_raw\", \"field\": \"c\", \"scale_file\": \"@/no\"}]",
     KWM_ERR_NOENT, "in_humidity_raw: No such file", "b=-2048"},
    {"a glob of nothing", "{\"path\": \"@" HWMON "hwmon9*/temp1_input\", \"field\": \"a\"}",
     KWM_ERR_NOENT, "no file fits", NULL},
    {"a glob of several", "{\"path\": \"@" HWMON "hwmon*/temp1_input\", \"field\": \"a\"}",
     KWM_ERR_INVAL, "several files fit", NULL},
    {"no number", "{\"path\": \"@" IIO "name\", \"field\": \"a\"}", KWM_ERR_CORRUPT,
     "\"dps310\" is no number", NULL},
    {"no bool", "{\"path\": \"@" IIO "name\", \"field\": \"a\", \"kind\": \"bool\"}",
     KWM_ERR_CORRUPT, "neither true nor false", NULL},
    {"too big",
     "{\"path\": \"@" IIO "in_pressure_raw\", \"field\": \"a\","
     " \"multiplier\": \"1000000000000\"}",
     KWM_ERR_CORRUPT, "the value of a does not fit", NULL},
    {"a folder", "{\"path\": \"@" IIO "\", \"field\": \"a\"}", KWM_ERR_IO, "Is a directory", NULL},
};

/** "files" with the path of the recorded tree put in. */
static void make_file_input(char *inputs, size_t cap, const char *files, const char *place)
{
    size_t len = (size_t)snprintf(inputs, cap, "\"file\": {\"name\": \"env\", \"files\": ");
    for (const char *c = files; *c != '\0'; c++) {
        len += (size_t)snprintf(inputs + len, cap - len, *c == '@' ? "%s" : "%.1s",
                                *c == '@' ? place : c);
    }
    (void)snprintf(inputs + len, cap - len, "}");
}

static void test_file(void **state)
{
    (void)state;
    static char inputs[6000];
    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        char expected[256] = "";
        make_file_input(inputs, sizeof(inputs), channels[i].files, TREES "amd64");
        const int got = read_once(inputs);
        if (channels[i].line != NULL) {
            (void)snprintf(expected, sizeof(expected), "env %s\n", channels[i].line);
        }
        if (got != channels[i].expected || strcmp(out.text, expected) != 0) {
            print_error("%s: %d \"%s\" %s", channels[i].name, got, set.sensors[0]->detail,
                        out.text);
        }
        assert_int_equal(got, channels[i].expected);
        assert_string_equal(out.text, expected);
        assert_non_null(strstr(set.sensors[0]->detail, channels[i].detail));
        /* And again: what globs meant is known now. */
        assert_int_equal(input_read(set.sensors[0], 2000, &out), channels[i].expected);
        assert_string_equal(out.text, expected);
    }
}

/** A device that gets another number is found again. */
static void test_file_moves(void **state)
{
    (void)state;
    static char inputs[1000];
    char path[128];
    char to[128];
    write_text("dev/x0/value", "5\n");
    make_file_input(inputs, sizeof(inputs), "{\"path\": \"@/dev/x*/value\", \"field\": \"a\"}",
                    tree);
    assert_int_equal(read_once(inputs), 1);
    assert_string_equal(out.text, "env a=5\n");
    (void)snprintf(path, sizeof(path), "%s/dev/x0", tree);
    (void)snprintf(to, sizeof(to), "%s/dev/x1", tree);
    assert_int_equal(rename(path, to), 0);
    assert_int_equal(input_read(set.sensors[0], 2000, &out), KWM_ERR_NOENT);
    assert_int_equal(input_read(set.sensors[0], 3000, &out), 1);
    assert_string_equal(out.text, "env a=5\n");
    write_text("dev/x1/value", "\xff\tz\r\n more\n");
    make_file_input(inputs, sizeof(inputs),
                    "{\"path\": \"@/dev/x1/value\", \"field\": \"a\", \"kind\": \"string\"}", tree);
    assert_int_equal(read_once(inputs), 1);
    assert_string_equal(out.text, "env a=\"??z\"\n");
}

/* ---- making ---------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *inputs;
        int err;
        const char *reason;
    } cases[] = {
        {"\"cpu\": [{}, {}]", KWM_ERR_NOSPC, "inputs.cpu[1]: only 1 of this input"},
        {"\"cpu\": {\"percpu\": false, \"totalcpu\": false}", KWM_ERR_INVAL, "both false"},
        {"\"system\": {\"include\": []}", KWM_ERR_INVAL, "include is empty"},
        {"\"system\": {\"include\": [\"dmi\"]}", KWM_ERR_INVAL, "not one of the allowed"},
        {"\"temp\": {\"metric_format\": \"v1\"}", KWM_ERR_INVAL, "not one of the allowed"},
        {"\"file\": {}", KWM_ERR_INVAL, "missing"},
        {"\"file\": {\"name\": \"A\", \"files\": {\"path\": \"/a\", \"field\": \"a\"}}",
         KWM_ERR_INVAL, "name \"A\""},
        {"\"file\": {\"name\": \"a\", \"files\": {\"path\": \"a\", \"field\": \"a\"}}",
         KWM_ERR_INVAL, "path \"a\": write the whole path"},
        {"\"file\": {\"name\": \"a\", \"files\": {\"path\": \"/a\", \"field\": \"1\"}}",
         KWM_ERR_INVAL, "field \"1\""},
        {"\"file\": {\"name\": \"a\", \"files\": [{\"path\": \"/a\", \"field\": \"a_b\"},"
         "{\"path\": \"/a\", \"field\": \"a\", \"unit\": \"b\"}]}",
         KWM_ERR_INVAL, "\"a_b\" is there twice"},
        {"\"file\": {\"name\": \"a\", \"sensor\": \"x y\","
         " \"files\": {\"path\": \"/a\", \"field\": \"a\"}}",
         KWM_ERR_INVAL, "sensor \"x y\""},
        {"\"file\": {\"name\": \"a\", \"files\": {\"path\": \"/a\", \"field\": \"a\","
         " \"multiplier\": \"1e3\"}}",
         KWM_ERR_INVAL, "multiplier \"1e3\""},
        {"\"file\": {\"name\": \"a\", \"files\": {\"path\": \"/a\", \"field\": \"a\","
         " \"kind\": \"bool\", \"scale\": 3}}",
         KWM_ERR_INVAL, "is no number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int err = input_make(&set, cases[i].inputs);
        if (err != cases[i].err || strstr(set.reason, cases[i].reason) == NULL) {
            print_error("%s: %d %s\n", cases[i].inputs, err, set.reason);
        }
        assert_int_equal(err, cases[i].err);
        assert_non_null(strstr(set.reason, cases[i].reason));
    }
}

static void test_contract(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        "\"cpu\": {\"collect_cpu_time\": true}",
        "\"mem\": {}",
        "\"swap\": {}",
        "\"system\": {}",
        "\"disk\": {}",
        "\"diskio\": {}",
        "\"net\": {}",
        "\"temp\": {}",
        "\"kernel\": {\"collect\": [\"psi\"]}",
        "\"processes\": {}",
        "\"file\": {\"name\": \"a\", \"sensor\": \"s\", \"files\": {\"path\": \"" TREES
        "amd64/proc/uptime\", \"field\": \"a\", \"kind\": \"string\"}}"};
    use_case("amd64");
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        assert_int_equal(input_make(&set, inputs[i]), KWM_OK);
        struct hal_sensor *sensor = set.sensors[0];
        assert_true(strncmp(inputs[i] + 1, sensor->name, strlen(sensor->name)) == 0);
        hal_sensor_cancel(sensor); /* nothing goes on */
        assert_int_equal(hal_sensor_poll(sensor, 1, &out.sink), KWM_ERR_STATE);
        assert_int_equal(hal_sensor_begin(sensor, 1), KWM_OK);
        assert_int_equal(hal_sensor_begin(sensor, 1), KWM_ERR_STATE);
        assert_true(sensor->detail[0] != '\0');
        hal_sensor_cancel(sensor);
        /* Nothing of the cancelled reading comes with the next one: exactly the rows of one. */
        assert_int_equal(input_read(sensor, 5000, &out), 1);
        const unsigned points = out.points;
        assert_true(points > 0);
        assert_int_equal(input_read(sensor, 6000, &out), 1);
        assert_int_equal(out.points, points);
        assert_string_equal(sensor->detail, "");
    }
}

static void test_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("HOST_PROC", TREES "old/proc", 1), 0);
    linux_inputs_roots_from_env();
    assert_int_equal(read_once("\"system\": {\"include\": [\"load\"]}"), 1);
    assert_string_equal(out.text, "system load1=0.00,load5=0.01,load15=0.05\n");
    assert_int_equal(unsetenv("HOST_PROC"), 0);
    linux_inputs_roots_from_env();
    assert_string_equal(linux_root_path(LINUX_ROOT_PROC), "/proc");
    /* A prefix that mount points already have is taken off. */
    write_text("proc/self/mountinfo", "");
    use_tree(tree);
    char line[256];
    const struct linux_roots roots = {.paths = {[LINUX_ROOT_PROC] = linux_root_path(0)},
                                      .mount_prefix = tree};
    linux_inputs_set_roots(&roots);
    (void)snprintf(line, sizeof(line), "1 1 8:1 / %s/proc rw - ext4 /dev/sda1 rw\n", tree);
    write_text("proc/self/mountinfo", line);
    assert_int_equal(read_once("\"disk\": {}"), 1);
    assert_memory_equal(out.text, "disk,path=/proc,device=sda1,", 28);
}

/* ---- this machine ---------------------------------------------------------------------------- */

/** What read_proc.py says: "key number" a line. @return false if it does not name the key. */
static bool find_number(const char *text, const char *key, double *number)
{
    const size_t len = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, len) == 0 && line[len] == ' ') {
            *number = strtod(line + len + 1, NULL);
            return true;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

static void run_oracle(char *text, size_t cap)
{
    FILE *pipe = popen("python3 " KWM_TESTS_DIR "/tools/read_proc.py", "r");
    assert_non_null(pipe);
    text[fread(text, 1, cap - 1, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
}

/** Compare each field of a row with the oracle's, read before and after it. */
static void compare_row(const char *row, const char *before, const char *after, unsigned *compared)
{
    char tags[256];
    const size_t tags_len = strcspn(row, " ");
    assert_true(tags_len < sizeof(tags));
    memcpy(tags, row, tags_len);
    tags[tags_len] = '\0';
    for (const char *field = row + tags_len + 1; *field != '\n';) {
        char key[512];
        double low;
        double high;
        double slack = 0.0;
        const size_t name_len = strcspn(field, "=");
        (void)snprintf(key, sizeof(key), "%s.%.*s", tags, (int)name_len, field);
        const double number = strtod(field + name_len + 1, NULL);
        if (find_number(before, key, &low) && find_number(after, key, &high)) {
            char slack_key[520];
            (void)snprintf(slack_key, sizeof(slack_key), "~%s", key);
            (void)find_number(before, slack_key, &slack);
            if (low > high) {
                const double other = low;
                low = high;
                high = other;
            }
            if (number < low - slack || number > high + slack) {
                print_error("%s: %.10g is not in %.10g..%.10g\n", key, number, low - slack,
                            high + slack);
            }
            assert_true(number >= low - slack && number <= high + slack);
            (*compared)++;
        }
        field += strcspn(field, ",\n");
        field += *field == ',' ? 1 : 0;
    }
}

static void test_machine(void **state)
{
    (void)state;
    static const char *const inputs[] = {"\"cpu\": {\"collect_cpu_time\": true}", "\"mem\": {}",
                                         "\"disk\": {}", "\"net\": {\"interfaces\": [\"*\"]}",
                                         "\"system\": {}"};
    static const unsigned at_least[] = {8, 25, 0, 8, 4};
    static char before[65536];
    static char after[65536];
    linux_inputs_set_roots(&(struct linux_roots){.mount_prefix = NULL});
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        unsigned compared = 0;
        assert_int_equal(input_make(&set, inputs[i]), KWM_OK);
        run_oracle(before, sizeof(before));
        assert_int_equal(input_read(set.sensors[0], 1000, &out), 1);
        run_oracle(after, sizeof(after));
        for (const char *row = out.text; *row != '\0'; row += strcspn(row, "\n") + 1) {
            compare_row(row, before, after, &compared);
        }
        if (compared < at_least[i]) {
            print_error("%s: only %u fields were compared\n%s", inputs[i], compared, out.text);
        }
        assert_true(compared >= at_least[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded),
        cmocka_unit_test_setup_teardown(test_odd, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(test_long_lines, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(test_users, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(test_many, make_tree, remove_tree),
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_file),
        cmocka_unit_test_setup_teardown(test_file_moves, make_tree, remove_tree),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_contract),
        cmocka_unit_test_setup_teardown(test_environment, make_tree, remove_tree),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
