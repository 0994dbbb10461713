/* SPDX-License-Identifier: MIT */
/* temp: every temp<n>_input of hwmon, in degrees Celsius; thermal zones where there is none. Read
 * by the workers: a bus may be stuck, a disk has to answer first. The folders are searched again
 * when the list of hwmon's devices changes, or one of them has gone.
 *
 * Telegraf's tag `sensor` is not unique: two chips of a kind have the same. Here it tells rows
 * apart, so what is double gets its number within the chip ("_temp2") or its device ("_1-0048"). */
#include <errno.h>
#include <string.h>

#include "linux/ask.h"
#include "linux/dir_reader.h"
#include "linux/input_list.h"

#define SENSORS_MAX 64U
#define FOLDER_LEN_MAX 31U
#define NAME_LEN_MAX 95U
#define DEVICE_LEN_MAX 63U
#define CHANNEL_MAX 999U
#define MILLI_DIGITS 3U

static const struct hal_field_def fields[] = {
    {.name = "temp", .kind = HAL_KIND_FIXED, .scale = MILLI_DIGITS}};
static const struct hal_tag_def tags[] = {{.key = "sensor", .role = HAL_TAG_PRIMARY},
                                          {.key = "device", .role = HAL_TAG_CONSTANT}};

/** A text that grows as far as there is room. */
struct name {
    uint8_t len;
    char text[NAME_LEN_MAX + 1];
};

struct sensor {
    char folder[FOLDER_LEN_MAX + 1]; /**< of class/hwmon or class/thermal */
    uint16_t channel;                /**< n of temp<n>_input; of zones 0 */
    bool is_below_device;            /**< as old drivers have it: in device/ */
    bool is_double;
    struct name name;
    uint8_t device_len;
    char device[DEVICE_LEN_MAX + 1];
};

static struct {
    struct linux_ask base;
    struct hal_schema schema;
    const struct hal_schema *schemas[1];
    bool is_known;    /**< the list is that of `listing` */
    uint32_t listing; /**< hash of hwmon's folders */
    bool is_over;     /**< there were more */
    unsigned count;
    char path[LINUX_PATH_LEN_MAX + 1];
    struct sensor list[SENSORS_MAX];
} temps;

static const char *const formats[] = {"v2", NULL};

const struct hal_option_def linux_temp_options[] = {
    {.key = "metric_format",
     .help = "\"v2\", as Telegraf's: the field temp, the tag sensor",
     .fallback = "\"v2\"",
     .max = 2,
     .choices = formats,
     .kind = HAL_OPTION_STRING},
    {.key = "add_device_tag",
     .help = "also a tag with the device that the sensor belongs to",
     .fallback = "false",
     .kind = HAL_OPTION_BOOL},
    {.key = NULL},
};

/* ---- the search ------------------------------------------------------------------------------ */

static void append(struct name *name, const char *text, size_t len)
{
    for (size_t i = 0; i < len && name->len < NAME_LEN_MAX; i++) {
        name->text[name->len++] = text[i];
    }
}

/** Behind "_", in lower case and without blanks. */
static void append_label(struct name *name, const char *label, size_t len)
{
    append(name, "_", 1);
    for (size_t i = 0; i < len; i++) {
        const char c = label[i];
        const char lower = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        append(name, linux_is_blank(c) ? "_" : &lower, 1);
    }
}

static struct hal_text folder_of(const struct sensor *sensor)
{
    return (struct hal_text){.s = sensor->folder, .len = (uint16_t)strlen(sensor->folder)};
}

/** A file of a sensor below its folder: "/temp<n><suffix>", or in device/. */
struct attribute {
    char text[48];
};

static const char *make_attribute(struct attribute *attribute, const struct sensor *sensor,
                                  const char *suffix)
{
    static const char start[] = "/device/temp";
    size_t len = sizeof(start) - 1;
    memcpy(attribute->text, start, len);
    len += linux_format_uint(attribute->text + len, sensor->channel);
    memcpy(attribute->text + len, suffix, strlen(suffix) + 1U);
    return attribute->text + (sensor->is_below_device ? 0 : strlen("/device"));
}

static void read_device(struct sensor *sensor)
{
    char path[LINUX_PATH_LEN_MAX + 1];
    if (linux_path(path, sizeof(path), LINUX_ROOT_SYS, "class/hwmon/", folder_of(sensor),
                   "/device") > 0) {
        sensor->device_len = (uint8_t)linux_link_name(path, sensor->device, DEVICE_LEN_MAX);
    }
}

static struct sensor *new_sensor(struct hal_text folder)
{
    if (temps.count == SENSORS_MAX || folder.len > FOLDER_LEN_MAX) {
        temps.is_over = true;
        return NULL;
    }
    struct sensor *sensor = &temps.list[temps.count++];
    memset(sensor, 0, sizeof(*sensor));
    memcpy(sensor->folder, folder.s, folder.len);
    return sensor;
}

/** The number of "temp<n>_input"; 0 for another name. */
static uint16_t channel_of(struct hal_text name)
{
    struct linux_cursor cursor = linux_cursor_of(name.s, name.len);
    uint64_t number;
    const bool is_input = linux_take_prefix(&cursor, "temp", 4) &&
                          linux_take_digits(&cursor, &number) && number <= CHANNEL_MAX &&
                          linux_take_prefix(&cursor, "_input", 6) && cursor.at == cursor.end;
    return is_input ? (uint16_t)number : 0;
}

static void add_channel(struct hal_text folder, bool is_below_device, uint16_t channel)
{
    char text[NAME_LEN_MAX + 1];
    struct sensor *sensor = new_sensor(folder);
    if (sensor == NULL) {
        return;
    }
    sensor->channel = channel;
    sensor->is_below_device = is_below_device;
    read_device(sensor);
    int len = linux_read_small(LINUX_ROOT_SYS, "class/hwmon/", folder, "/name", text, sizeof(text));
    if (len <= 0) {
        len = linux_read_small(LINUX_ROOT_SYS, "class/hwmon/", folder, "/device/name", text,
                               sizeof(text));
    }
    if (len > 0) {
        append(&sensor->name, text, (size_t)len);
    } else {
        append(&sensor->name, folder.s, folder.len);
    }
    struct attribute label;
    len = linux_read_small(LINUX_ROOT_SYS, "class/hwmon/", folder,
                           make_attribute(&label, sensor, "_label"), text, sizeof(text));
    if (len > 0) {
        append_label(&sensor->name, text, (size_t)len);
    }
}

/** @return how many inputs the folder has. */
static unsigned search_folder(struct hal_text folder, bool is_below_device)
{
    struct linux_dir dir;
    struct hal_text name;
    unsigned found = 0;
    if (linux_dir_open(&dir, LINUX_ROOT_SYS, "class/hwmon/", folder,
                       is_below_device ? "/device" : "") != KWM_OK) {
        return 0;
    }
    while (linux_dir_next(&dir, &name) > 0) {
        const uint16_t channel = channel_of(name);
        if (channel > 0) {
            add_channel(folder, is_below_device, channel);
            found++;
        }
    }
    linux_dir_close(&dir);
    return found;
}

/** Call for each folder of a class. @return hash of their names. */
static uint32_t each_folder(const char *class_name, void (*visit)(struct hal_text folder))
{
    const struct hal_text none = {.len = 0};
    struct linux_dir dir;
    struct hal_text name;
    uint32_t hash = 2166136261U; /* FNV-1a */
    if (linux_dir_open(&dir, LINUX_ROOT_SYS, class_name, none, "") != KWM_OK) {
        return hash;
    }
    while (linux_dir_next(&dir, &name) > 0) {
        for (uint16_t i = 0; i <= name.len; i++) {
            hash = (hash ^ (unsigned char)name.s[i]) * 16777619U;
        }
        visit(name);
    }
    linux_dir_close(&dir);
    return hash;
}

static void visit_nothing(struct hal_text folder)
{
    (void)folder;
}

static void visit_hwmon(struct hal_text folder)
{
    if (search_folder(folder, false) == 0) {
        (void)search_folder(folder, true);
    }
}

static void visit_zone(struct hal_text folder)
{
    static const char prefix[] = "thermal_zone";
    char text[NAME_LEN_MAX + 1];
    if (folder.len < sizeof(prefix) || memcmp(folder.s, prefix, sizeof(prefix) - 1) != 0) {
        return;
    }
    struct sensor *sensor = new_sensor(folder);
    const int len =
        linux_read_small(LINUX_ROOT_SYS, "class/thermal/", folder, "/type", text, sizeof(text));
    if (sensor != NULL && len > 0) {
        append(&sensor->name, text, (size_t)len);
    } else if (sensor != NULL) {
        append(&sensor->name, folder.s, folder.len);
    }
}

/** Mark the sensors that share their name with another, of the same folder or of another one. */
static void mark_doubles(bool is_same_folder)
{
    for (unsigned i = 0; i < temps.count; i++) {
        struct sensor *sensor = &temps.list[i];
        sensor->is_double = false;
        for (unsigned j = 0; j < temps.count && !sensor->is_double; j++) {
            const struct sensor *other = &temps.list[j];
            sensor->is_double = i != j && other->name.len == sensor->name.len &&
                                memcmp(other->name.text, sensor->name.text, other->name.len) == 0 &&
                                (strcmp(other->folder, sensor->folder) == 0) == is_same_folder;
        }
    }
}

static void make_unique(void)
{
    char digits[20];
    mark_doubles(true);
    for (unsigned i = 0; i < temps.count; i++) {
        if (temps.list[i].is_double) {
            append(&temps.list[i].name, "_temp", 5);
            append(&temps.list[i].name, digits, linux_format_uint(digits, temps.list[i].channel));
        }
    }
    mark_doubles(false);
    for (unsigned i = 0; i < temps.count; i++) {
        struct sensor *sensor = &temps.list[i];
        if (sensor->is_double && sensor->device_len > 0) {
            append_label(&sensor->name, sensor->device, sensor->device_len);
        } else if (sensor->is_double) {
            append_label(&sensor->name, sensor->folder, strlen(sensor->folder));
        }
    }
}

static int prepare(struct linux_ask *self)
{
    const uint32_t listing = each_folder("class/hwmon", visit_nothing);
    if (!temps.is_known || listing != temps.listing) {
        temps.count = 0;
        temps.is_over = false;
        temps.listing = each_folder("class/hwmon", visit_hwmon);
        if (temps.count == 0) {
            (void)each_folder("class/thermal", visit_zone);
        }
        make_unique();
        temps.is_known = temps.count > 0;
    }
    if (temps.is_over) {
        linux_ask_note_text(self, KWM_ERR_NOSPC, "sensors above %u are left out", SENSORS_MAX);
    }
    if (temps.count == 0) {
        return linux_sensor_fail(&self->base, KWM_ERR_NOENT,
                                 "no temperatures in %s/class/hwmon and class/thermal: this "
                                 "machine shows none",
                                 linux_root_path(LINUX_ROOT_SYS));
    }
    return (int)temps.count;
}

/* ---- the values ------------------------------------------------------------------------------ */

static const char *path_of(struct linux_ask *self, unsigned index, enum linux_question *question)
{
    const struct sensor *sensor = &temps.list[index];
    struct attribute input;
    (void)self;
    *question = LINUX_ASK_READ;
    const bool is_zone = sensor->channel == 0;
    const char *name = is_zone ? "/temp" : make_attribute(&input, sensor, "_input");
    if (linux_path(temps.path, sizeof(temps.path), LINUX_ROOT_SYS,
                   is_zone ? "class/thermal/" : "class/hwmon/", folder_of(sensor), name) < 0) {
        temps.path[0] = '\0';
    }
    return temps.path;
}

/** Whether a sensor may be so: it is off, has nothing yet, or its device sleeps. */
static bool is_silent(int error)
{
    return error == ENODATA || error == EAGAIN || error == ENETDOWN;
}

static void take_answer(struct linux_ask *self, unsigned index, const struct linux_answer *answer,
                        struct hal_sink *sink)
{
    const struct sensor *sensor = &temps.list[index];
    struct linux_decimal milli;
    enum linux_question question;
    if (is_silent(answer->error)) {
        return;
    }
    if (answer->error != 0) {
        temps.is_known = temps.is_known && linux_errno_code(answer->error) != KWM_ERR_NOENT;
        linux_ask_note(self, path_of(self, index, &question), answer->error);
        return;
    }
    const size_t len = strcspn(answer->text, "\n");
    struct linux_cursor cursor = linux_cursor_of(answer->text, len);
    if (!linux_take_decimal(&cursor, &milli) || !linux_decimal_rescale(&milli, 0)) {
        linux_ask_note_text(self, KWM_ERR_CORRUPT, "%s holds no number",
                            path_of(self, index, &question));
        return;
    }
    const struct hal_value value = linux_fixed(milli.mantissa, MILLI_DIGITS);
    const struct hal_text texts[] = {
        {.s = sensor->name.text, .len = sensor->name.len},
        {.s = sensor->device_len > 0 ? sensor->device : NULL, .len = sensor->device_len}};
    (void)sink->put(sink,
                    &(struct hal_point){.schema = &temps.schema, .tags = texts, .values = &value});
}

static int finish(struct linux_ask *self, struct hal_sink *sink)
{
    (void)self;
    (void)sink;
    return KWM_OK;
}

static const struct linux_ask_ops ops = {
    .prepare = prepare, .path = path_of, .answer = take_answer, .finish = finish};

int linux_temp_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_TEMP, env);
    if (slot < 0) {
        return slot;
    }
    temps.schema = (struct hal_schema){
        .measurement = "temp",
        .tags = tags,
        .tag_count = linux_option_flag(env, "add_device_tag") ? 2 : 1,
        .fields = fields,
        .field_count = 1,
    };
    temps.schemas[0] = &temps.schema;
    temps.is_known = false;
    linux_ask_init(&temps.base, "temp", temps.schemas, 1, &ops);
    *sensor = &temps.base.base.sensor;
    return KWM_OK;
}
