/* SPDX-License-Identifier: MIT */
/* disk: statvfs() of what /proc/1/mountinfo lists. The kernel says when that list changes, so it is
 * read only then. Where several file systems are mounted on one path, the last one counts: it is
 * the one that is seen there. mode is that of the file system itself, not of the mount, for a
 * service may see everything mounted read-only. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "linux/ask.h"
#include "linux/input_list.h"

#define MOUNTS_MAX 64U
#define TEXT_LEN_MAX 16384U

enum field {
    FREE,
    INODES_FREE,
    INODES_TOTAL,
    INODES_USED,
    INODES_USED_PERCENT,
    TOTAL,
    USED,
    USED_PERCENT,
    FIELD_COUNT,
};

static const struct hal_field_def fields[FIELD_COUNT] = {
    [FREE] = {.name = "free", .kind = HAL_KIND_UINT},
    [INODES_FREE] = {.name = "inodes_free", .kind = HAL_KIND_UINT},
    [INODES_TOTAL] = {.name = "inodes_total", .kind = HAL_KIND_UINT},
    [INODES_USED] = {.name = "inodes_used", .kind = HAL_KIND_UINT},
    [INODES_USED_PERCENT] = {.name = "inodes_used_percent", .kind = HAL_KIND_DOUBLE},
    [TOTAL] = {.name = "total", .kind = HAL_KIND_UINT},
    [USED] = {.name = "used", .kind = HAL_KIND_UINT},
    [USED_PERCENT] = {.name = "used_percent", .kind = HAL_KIND_DOUBLE},
};

static const struct hal_tag_def tags[] = {
    {.key = "path", .role = HAL_TAG_PRIMARY},    {.key = "device", .role = HAL_TAG_CONSTANT},
    {.key = "fstype", .role = HAL_TAG_CONSTANT}, {.key = "label", .role = HAL_TAG_MUTABLE},
    {.key = "mode", .role = HAL_TAG_MUTABLE},
};
#define TAG_COUNT (sizeof(tags) / sizeof(tags[0]))

static const struct hal_schema schema = {.measurement = "disk",
                                         .tags = tags,
                                         .tag_count = TAG_COUNT,
                                         .fields = fields,
                                         .field_count = FIELD_COUNT};
static const struct hal_schema *const schemas[] = {&schema};

/** A mounted file system. Its texts are in disks.text. */
struct mount {
    struct hal_text path; /**< NUL-terminated */
    struct hal_text device;
    struct hal_text type;
    struct hal_text label;
    bool is_read_only;
    bool is_pseudo; /**< has no blocks (proc, cgroup): not asked again until the list changes */
};

static struct {
    struct linux_ask base;
    const struct hal_option *mount_points, *ignore_fs, *ignore_mount_opts;
    bool is_listed;
    unsigned generation; /**< of the file that the list was read from */
    unsigned count;
    unsigned left_out;
    unsigned odd; /**< lines that are not as the kernel writes them */
    unsigned asked_count;
    uint8_t asked[MOUNTS_MAX]; /**< mounts of this reading's questions */
    size_t text_len;
    char path[LINUX_PATH_LEN_MAX + 1]; /**< that is asked for, behind the mount prefix */
    struct mount list[MOUNTS_MAX];
    char text[TEXT_LEN_MAX];
} disks;

static struct linux_file init_file = LINUX_FILE(LINUX_ROOT_PROC, "1/mountinfo");
static struct linux_file own_file = LINUX_FILE(LINUX_ROOT_PROC, "self/mountinfo");

const struct hal_option_def linux_disk_options[] = {
    {.key = "mount_points",
     .help = "only what is mounted here; none: everything",
     .fallback = "[]",
     .min = 1,
     .max = 255,
     .kind = HAL_OPTION_STRINGS},
    {.key = "ignore_fs",
     .help = "not file systems of these types",
     .fallback = "[\"tmpfs\", \"devtmpfs\", \"devfs\", \"iso9660\", \"overlay\", \"aufs\", "
                 "\"squashfs\"]",
     .min = 1,
     .max = 63,
     .kind = HAL_OPTION_STRINGS},
    {.key = "ignore_mount_opts",
     .help = "not what is mounted with one of these options; \"bind\" is what shows a part only",
     .fallback = "[]",
     .min = 1,
     .max = 63,
     .kind = HAL_OPTION_STRINGS},
    {.key = NULL},
};

/* ---- the list -------------------------------------------------------------------------------- */

/** The words of a line of mountinfo (proc(5)) that matter. */
struct line {
    struct hal_text number; /**< major:minor */
    struct hal_text root;
    struct hal_text path;
    struct hal_text options;
    struct hal_text type;
    struct hal_text source;
    struct hal_text super_options;
};

/** A file system may have an empty source: then two blanks follow each other. */
static bool take_source(struct linux_cursor *cursor, struct hal_text *source)
{
    *source = (struct hal_text){.s = cursor->at, .len = 0};
    const bool is_empty = cursor->end - cursor->at > 1 && linux_is_blank(cursor->at[1]);
    return is_empty || linux_take_word(cursor, source);
}

static bool read_line(struct linux_cursor *cursor, struct line *line)
{
    struct hal_text word;
    if (!linux_take_word(cursor, &word) || !linux_take_word(cursor, &word) ||
        !linux_take_word(cursor, &line->number) || !linux_take_word(cursor, &line->root) ||
        !linux_take_word(cursor, &line->path) || !linux_take_word(cursor, &line->options)) {
        return false;
    }
    do { /* optional words, up to "-" */
        if (!linux_take_word(cursor, &word)) {
            return false;
        }
    } while (word.len != 1 || word.s[0] != '-');
    return linux_take_word(cursor, &line->type) && take_source(cursor, &line->source) &&
           linux_take_word(cursor, &line->super_options);
}

/** Keep a text, with the kernel's \ooo taken back and a NUL behind it. @return false if there is no
 *  room. */
static bool keep(struct hal_text text, struct hal_text *out)
{
    char *start = disks.text + disks.text_len;
    size_t len = 0;
    if (text.len >= TEXT_LEN_MAX - disks.text_len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char *c = &text.s[i];
        if (*c == '\\' && i + 3U < text.len && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' &&
            c[2] <= '7' && c[3] >= '0' && c[3] <= '7') {
            start[len++] = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
            i += 3;
        } else {
            start[len++] = *c;
        }
    }
    start[len] = '\0';
    disks.text_len += len + 1U;
    *out = (struct hal_text){.s = start, .len = (uint16_t)len};
    return true;
}

static bool has_option(struct hal_text options, const char *wanted, size_t wanted_len)
{
    const char *at = options.s;
    const char *end = options.s + options.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const size_t len = (size_t)((comma != NULL ? comma : end) - at);
        if (len == wanted_len && memcmp(at, wanted, len) == 0) {
            return true;
        }
        at += len + 1U;
    }
    return false;
}

static bool is_ignored(const struct line *line)
{
    static const char autofs[] = "autofs"; /* to ask it would mount something */
    if (linux_option_has(disks.ignore_fs, line->type.s, line->type.len) ||
        (line->type.len == sizeof(autofs) - 1 &&
         memcmp(line->type.s, autofs, line->type.len) == 0)) {
        return true;
    }
    const bool is_part = line->root.len != 1;
    for (uint16_t i = 0; i < disks.ignore_mount_opts->texts.count; i++) {
        const struct hal_text *option = &disks.ignore_mount_opts->texts.list[i];
        if (has_option(line->options, option->s, option->len) ||
            (is_part && strcmp(option->s, "bind") == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct hal_text *path)
{
    return disks.mount_points->texts.count == 0 ||
           linux_option_has(disks.mount_points, path->s, path->len);
}

/** The device's name without /dev/: of /dev/root what it stands for, of /dev/mapper/x its dm-N. */
static bool keep_device(const struct line *line, struct hal_text *device)
{
    static const char dev[] = "/dev/";
    static const char mapper[] = "mapper/";
    char path[LINUX_PATH_LEN_MAX + 1];
    char name[128];
    struct hal_text source = line->source;
    if (source.len <= 5 || memcmp(source.s, dev, 5) != 0) {
        return keep(source, device);
    }
    source.s += 5;
    source.len = (uint16_t)(source.len - 5U);
    int len = KWM_ERR_NOENT;
    if (source.len == 4 && memcmp(source.s, "root", 4) == 0) {
        len = linux_path(path, sizeof(path), LINUX_ROOT_SYS, "dev/block/", line->number, "");
    } else if (source.len > 7 && memcmp(source.s, mapper, 7) == 0) {
        len = linux_path(path, sizeof(path), LINUX_ROOT_DEV, "", source, "");
    }
    const size_t name_len = len > 0 ? linux_link_name(path, name, sizeof(name)) : 0;
    if (name_len > 0) {
        source = (struct hal_text){.s = name, .len = (uint16_t)name_len};
    }
    return keep(source, device);
}

/** The device mapper's name of dm-N; absent for other devices. */
static bool keep_label(const struct hal_text *device, struct hal_text *label)
{
    char name[128];
    *label = (struct hal_text){.s = NULL};
    if (device->len <= 3 || memcmp(device->s, "dm-", 3) != 0) {
        return true;
    }
    const int len =
        linux_read_small(LINUX_ROOT_SYS, "block/", *device, "/dm/name", name, sizeof(name));
    return len <= 0 || keep((struct hal_text){.s = name, .len = (uint16_t)len}, label);
}

/** @return the entry of a path, or the first that is not used; NULL if all are. */
static struct mount *entry_of(const struct hal_text *path)
{
    for (unsigned i = 0; i < disks.count; i++) {
        const struct hal_text *known = &disks.list[i].path;
        if (known->len == path->len && memcmp(known->s, path->s, path->len) == 0) {
            return &disks.list[i];
        }
    }
    return disks.count < MOUNTS_MAX ? &disks.list[disks.count] : NULL;
}

static void remove_entry(const struct hal_text *path)
{
    struct mount *entry = entry_of(path);
    if (entry != NULL && entry < &disks.list[disks.count]) {
        disks.count--;
        memmove(entry, entry + 1, (size_t)(&disks.list[disks.count] - entry) * sizeof(*entry));
    }
}

static void list_mount(const struct line *line)
{
    struct mount mount = {.is_pseudo = false};
    const size_t text_len = disks.text_len;
    bool is_kept = keep(line->path, &mount.path);
    if (is_kept && (is_ignored(line) || !is_wanted(&mount.path))) {
        remove_entry(&mount.path); /* it hides what was mounted there before */
        disks.text_len = text_len;
        return;
    }
    struct mount *entry = is_kept ? entry_of(&mount.path) : NULL;
    is_kept = entry != NULL && mount.path.len <= HAL_TEXT_LEN_MAX &&
              keep_device(line, &mount.device) && keep(line->type, &mount.type) &&
              keep_label(&mount.device, &mount.label);
    if (!is_kept) {
        disks.left_out++;
        disks.text_len = text_len;
        return;
    }
    mount.is_read_only = has_option(line->super_options, "ro", 2);
    disks.count += entry == &disks.list[disks.count] ? 1U : 0U;
    *entry = mount;
}

/** Whether the kernel has another list than the one that was read. */
static bool has_changed(const struct linux_file *file)
{
    struct pollfd fd = {.fd = file->fd, .events = POLLPRI};
    return !disks.is_listed || disks.generation != file->generation || poll(&fd, 1, 0) > 0;
}

static int list_mounts(struct linux_file *file)
{
    struct linux_cursor cursor;
    struct line line;
    int more;
    int err = linux_lines_begin(file);
    disks.is_listed = false;
    disks.count = 0;
    disks.left_out = 0;
    disks.odd = 0;
    disks.text_len = 0;
    while (err == KWM_OK && (more = linux_lines_next(&cursor)) != 0) {
        if (more < 0) {
            err = more;
        } else if (read_line(&cursor, &line)) {
            list_mount(&line);
        } else {
            disks.odd++;
        }
    }
    disks.is_listed = err == KWM_OK;
    disks.generation = file->generation;
    return err;
}

/** What was asked for by name should be there. */
static void note_missing(void)
{
    for (uint16_t i = 0; i < disks.mount_points->texts.count; i++) {
        const struct hal_text *wanted = &disks.mount_points->texts.list[i];
        bool is_there = false;
        for (unsigned j = 0; j < disks.count && !is_there; j++) {
            is_there = strcmp(disks.list[j].path.s, wanted->s) == 0;
        }
        if (!is_there) {
            linux_ask_note_text(&disks.base, KWM_ERR_NOENT, "nothing is mounted on %s", wanted->s);
        }
    }
}

static int prepare(struct linux_ask *self)
{
    struct linux_file *file = &init_file;
    int fd = linux_file_open(file);
    if (fd < 0) {
        file = &own_file; /* init is hidden from us */
        fd = linux_file_open(file);
    }
    const int err = fd < 0 ? fd : has_changed(file) ? list_mounts(file) : KWM_OK;
    if (err != KWM_OK) {
        return linux_sensor_fail_file(&self->base, err, file);
    }
    if (disks.left_out > 0) {
        linux_ask_note_text(self, KWM_ERR_NOSPC,
                            "%u mounts are left out: more than %u, or a path of over 255 bytes; "
                            "choose with mount_points or ignore_fs",
                            disks.left_out, MOUNTS_MAX);
    }
    if (disks.odd > 0) {
        linux_ask_note_text(self, KWM_ERR_CORRUPT, "%s/%s is not what the kernel writes",
                            linux_root_path(file->root), file->name);
    }
    note_missing();
    disks.asked_count = 0;
    for (unsigned i = 0; i < disks.count; i++) {
        if (!disks.list[i].is_pseudo) {
            disks.asked[disks.asked_count++] = (uint8_t)i;
        }
    }
    return (int)disks.asked_count;
}

/* ---- the room -------------------------------------------------------------------------------- */

/** The mount point where it is seen, and behind it what is named after it. */
static const char *path_of(struct linux_ask *self, unsigned index, enum linux_question *question)
{
    const struct hal_text *path = &disks.list[disks.asked[index]].path;
    const char *prefix = linux_mount_prefix();
    const size_t prefix_len = strlen(prefix);
    (void)self;
    *question = LINUX_ASK_STATVFS;
    if (prefix_len == 0 || strncmp(path->s, prefix, prefix_len) == 0 ||
        prefix_len + path->len >= sizeof(disks.path)) {
        return path->s;
    }
    memcpy(disks.path, prefix, prefix_len);
    memcpy(disks.path + prefix_len, path->s, path->len + 1U);
    return disks.path;
}

static struct hal_value times(uint64_t count, uint64_t unit)
{
    uint64_t product;
    return __builtin_mul_overflow(count, unit, &product) ? (struct hal_value){.kind = HAL_KIND_NONE}
                                                         : linux_uint(product);
}

static void set_values(const struct linux_answer *room, struct hal_value *values)
{
    values[TOTAL] = times(room->blocks, room->unit);
    values[FREE] = times(room->blocks_available, room->unit);
    if (room->blocks >= room->blocks_free) {
        const uint64_t used = room->blocks - room->blocks_free;
        values[USED] = times(used, room->unit);
        values[USED_PERCENT] = linux_percent(used, used + room->blocks_available);
    }
    values[INODES_TOTAL] = linux_uint(room->inodes);
    values[INODES_FREE] = linux_uint(room->inodes_free);
    if (room->inodes >= room->inodes_free) {
        const uint64_t used = room->inodes - room->inodes_free;
        values[INODES_USED] = linux_uint(used);
        values[INODES_USED_PERCENT] = linux_percent(used, room->inodes);
    }
}

static bool is_told(int error)
{
    const bool is_hidden = error == ENOENT || error == EACCES || error == EPERM;
    return !is_hidden || disks.mount_points->texts.count > 0;
}

/** The path as the host has it: without the prefix that it may be listed with. */
static struct hal_text shown_path(const struct hal_text *path)
{
    const char *prefix = linux_mount_prefix();
    const size_t len = strlen(prefix);
    if (len == 0 || path->len < len || memcmp(path->s, prefix, len) != 0) {
        return *path;
    }
    if (path->len == len) {
        return (struct hal_text){.s = "/", .len = 1};
    }
    return (struct hal_text){.s = path->s + len, .len = (uint16_t)(path->len - len)};
}

static void take_answer(struct linux_ask *self, unsigned index, const struct linux_answer *answer,
                        struct hal_sink *sink)
{
    struct mount *mount = &disks.list[disks.asked[index]];
    if (answer->error != 0) {
        if (is_told(answer->error)) {
            linux_ask_note(self, mount->path.s, answer->error);
        }
        return;
    }
    if (answer->blocks == 0) {
        mount->is_pseudo = true;
        return;
    }
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    set_values(answer, values);
    const struct hal_text texts[TAG_COUNT] = {shown_path(&mount->path),
                                              mount->device,
                                              mount->type,
                                              mount->label,
                                              {.s = mount->is_read_only ? "ro" : "rw", .len = 2}};
    (void)sink->put(sink, &(struct hal_point){.schema = &schema, .tags = texts, .values = values});
}

static int finish(struct linux_ask *self, struct hal_sink *sink)
{
    (void)self;
    (void)sink;
    return KWM_OK;
}

static const struct linux_ask_ops ops = {
    .prepare = prepare, .path = path_of, .answer = take_answer, .finish = finish};

int linux_disk_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_DISK, env);
    if (slot < 0) {
        return slot;
    }
    disks.mount_points = hal_option_get(&env->options, "mount_points");
    disks.ignore_fs = hal_option_get(&env->options, "ignore_fs");
    disks.ignore_mount_opts = hal_option_get(&env->options, "ignore_mount_opts");
    disks.is_listed = false;
    linux_ask_init(&disks.base, "disk", schemas, 1, &ops);
    *sensor = &disks.base.base.sensor;
    return KWM_OK;
}
