/* SPDX-License-Identifier: MIT */
/* file: one row of numbers out of files that hold one each, such as those of IIO and hwmon devices:
 *
 *   value = (number + offset_file) * scale_file * multiplier / 10^scale
 *
 * computed in decimal, and exact unless it needs more than 18 digits. Read by the workers. */
#include <errno.h>
#include <string.h>

#include "hal/assert.h"
#include "linux/ask.h"
#include "linux/input_list.h"

#define CHANNELS_MAX 32U
#define SOURCES_MAX (3U * CHANNELS_MAX) /* number, scale_file, offset_file */
#define GLOBS_MAX 128U                  /* of all inputs together */
#define NAME_LEN_MAX 63U
#define TEXTS_LEN_MAX 1024U /* of the texts in one row */
#define DIGITS_MAX 9
#define DIGITS_BY_SCALE (-1)
#define NO_SOURCE UINT8_MAX
#define NO_GLOB UINT8_MAX

static const char *const kinds[] = {"fixed", "int", "float", "bool", "string", NULL};

static const struct hal_option_def members[] = {
    {.key = "path",
     .help = "the file; \"*\", \"?\" and \"[...]\" may stand for what changes from boot to boot, "
             "as in /sys/class/hwmon/hwmon*/temp1_input, if only one file fits",
     .min = 1,
     .max = HAL_TEXT_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = "field",
     .help = "the field's name: a-z, 0-9, _",
     .min = 1,
     .max = NAME_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = "unit",
     .help = "put behind the field's name: temp in celsius goes out as temp_celsius",
     .fallback = "\"\"",
     .min = 1,
     .max = NAME_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = "kind",
     .help = "fixed: as many digits after the point as digits says, exactly; int: rounded; float: "
             "as many as it takes; bool: of 0 and 1, y and n, on and off, true and false; string: "
             "the first line",
     .fallback = "\"fixed\"",
     .choices = kinds,
     .max = 6,
     .kind = HAL_OPTION_STRING},
    {.key = "scale",
     .help = "digits to put behind the point: 3 for milli, 6 for micro",
     .fallback = "0",
     .min = 0,
     .max = DIGITS_MAX,
     .kind = HAL_OPTION_INT},
    {.key = "digits",
     .help = "digits after the point of a fixed value; -1: as many as scale, and three more with "
             "scale_file or multiplier",
     .fallback = "-1",
     .min = DIGITS_BY_SCALE,
     .max = DIGITS_MAX,
     .kind = HAL_OPTION_INT},
    {.key = "multiplier",
     .help = "decimal number that the value is multiplied by, as in \"0.0625\"",
     .fallback = "\"1\"",
     .min = 1,
     .max = 20,
     .kind = HAL_OPTION_STRING},
    {.key = "scale_file",
     .help = "file with a further factor: IIO's in_<channel>_scale",
     .fallback = "\"\"",
     .min = 1,
     .max = HAL_TEXT_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = "offset_file",
     .help = "file with a number that is added first: IIO's in_<channel>_offset",
     .fallback = "\"\"",
     .min = 1,
     .max = HAL_TEXT_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = NULL},
};

const struct hal_option_def linux_file_options[] = {
    {.key = "name",
     .help = "the measurement: a-z, 0-9, _",
     .min = 1,
     .max = NAME_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = "sensor",
     .help = "value of the tag sensor, which tells rows of one measurement apart; needed where "
             "several inputs have this name and the same fields",
     .fallback = "\"\"",
     .min = 1,
     .max = NAME_LEN_MAX,
     .kind = HAL_OPTION_STRING},
    {.key = "files",
     .help = "the files of one row; for IIO's in_temp_raw, which counts milli degrees: path, "
             "scale_file, offset_file and scale 3; for hwmon's temp1_input: path and scale 3",
     .min = 1,
     .max = CHANNELS_MAX,
     .members = members,
     .kind = HAL_OPTION_OBJECTS},
    {.key = NULL},
};

/** A file to read. */
struct source {
    const char *path;
    uint8_t glob; /**< of globs: where its path is when found; NO_GLOB: it is none */
    bool is_text;
    bool is_bool;
    bool is_there; /**< its number was read */
    struct linux_decimal number;
};

struct channel {
    uint8_t kind;   /**< enum hal_kind */
    uint8_t digits; /**< of a fixed value */
    uint8_t scale;
    struct linux_decimal multiplier;
    uint8_t number, factor, offset; /**< sources */
};

struct file_input {
    struct linux_ask base;
    struct hal_schema schema;
    const struct hal_schema *schemas[1];
    struct hal_text sensor;
    unsigned channel_count;
    unsigned source_count;
    unsigned asked_count;
    size_t text_len;
    uint8_t asked[SOURCES_MAX]; /**< sources of this round's questions */
    struct source sources[SOURCES_MAX];
    struct channel channels[CHANNELS_MAX];
    struct hal_field_def fields[CHANNELS_MAX];
    struct hal_value values[CHANNELS_MAX];
    char names[CHANNELS_MAX][NAME_LEN_MAX + 1];
    char text[TEXTS_LEN_MAX];
};

static const struct hal_tag_def tags[] = {{.key = "sensor", .role = HAL_TAG_PRIMARY}};

static struct file_input inputs[LINUX_FILE_INPUTS_MAX];

/** What globs were found to mean; "" until then. */
static char globs[GLOBS_MAX][HAL_TEXT_LEN_MAX + 1];
static unsigned globs_used;

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_lost(const struct source *source)
{
    return source->glob != NO_GLOB && globs[source->glob][0] == '\0';
}

/** The first round of a reading asks for the globs that are not known, the second one for files. */
static bool is_finding(const struct file_input *self)
{
    return self->base.round == 0;
}

static int prepare(struct linux_ask *ask)
{
    struct file_input *self = (struct file_input *)ask;
    self->asked_count = 0;
    for (unsigned i = 0; i < self->source_count; i++) {
        self->sources[i].is_there = false;
        if (is_lost(&self->sources[i]) == is_finding(self)) {
            self->asked[self->asked_count++] = (uint8_t)i;
        }
    }
    memset(self->values, 0, sizeof(self->values));
    self->text_len = 0;
    return (int)self->asked_count;
}

static const char *path_of(struct linux_ask *ask, unsigned index, enum linux_question *question)
{
    const struct file_input *self = (const struct file_input *)ask;
    const struct source *source = &self->sources[self->asked[index]];
    *question = is_finding(self) ? LINUX_ASK_GLOB : LINUX_ASK_READ;
    return is_finding(self) || source->glob == NO_GLOB ? source->path : globs[source->glob];
}

/** The first line, without what is blank at its ends. */
static struct hal_text first_line(const struct linux_answer *answer)
{
    const char *end = memchr(answer->text, '\n', answer->len);
    struct linux_cursor line =
        linux_cursor_of(answer->text, end != NULL ? (size_t)(end - answer->text) : answer->len);
    linux_skip_blanks(&line);
    while (line.end > line.at && (linux_is_blank(line.end[-1]) || line.end[-1] == '\r')) {
        line.end--;
    }
    return (struct hal_text){.s = line.at, .len = (uint16_t)(line.end - line.at)};
}

static bool read_bool(struct hal_text text, struct linux_decimal *number)
{
    static const char *const words[] = {"0",   "1",  "n",     "y",    "N",  "Y",
                                        "off", "on", "false", "true", "no", "yes"};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i]) == text.len && memcmp(words[i], text.s, text.len) == 0) {
            *number = (struct linux_decimal){.mantissa = i % 2U};
            return true;
        }
    }
    return false;
}

/** Keep a text for the row. Bytes that are no printable ASCII become "?", for what a file holds
 *  need not be UTF-8. @return whether there was room. */
static bool keep_text(struct file_input *self, const struct source *source, struct hal_text text)
{
    char *out = self->text + self->text_len;
    if (text.len > sizeof(self->text) - self->text_len) {
        return false;
    }
    for (uint16_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.s[i];
        out[i] = c < 0x20U || c > 0x7EU ? '?' : (char)c;
    }
    self->text_len += text.len;
    for (unsigned i = 0; i < self->channel_count; i++) {
        if (&self->sources[self->channels[i].number] == source) {
            self->values[i] =
                (struct hal_value){.kind = HAL_KIND_STRING, .len = text.len, .s = out};
        }
    }
    return true;
}

static void note_glob(struct linux_ask *ask, const char *path, int error)
{
    if (error == E2BIG) {
        linux_ask_note_text(ask, KWM_ERR_INVAL, "several files fit %s: write more of it out", path);
    } else if (error == ENOENT) {
        linux_ask_note_text(ask, KWM_ERR_NOENT, "no file fits %s", path);
    } else {
        linux_ask_note(ask, path, error);
    }
}

static void take_glob(struct file_input *self, const struct source *source,
                      const struct linux_answer *answer)
{
    if (answer->error != 0) {
        note_glob(&self->base, source->path, answer->error);
        return;
    }
    memcpy(globs[source->glob], answer->text, answer->len + 1U);
}

static void take_answer(struct linux_ask *ask, unsigned index, const struct linux_answer *answer,
                        struct hal_sink *sink)
{
    struct file_input *self = (struct file_input *)ask;
    struct source *source = &self->sources[self->asked[index]];
    enum linux_question question;
    (void)sink;
    if (is_finding(self)) {
        take_glob(self, source, answer);
        return;
    }
    const char *path = path_of(ask, index, &question);
    if (answer->error != 0) {
        linux_ask_note(ask, path, answer->error);
        if (source->glob != NO_GLOB && linux_errno_code(answer->error) == KWM_ERR_NOENT) {
            globs[source->glob][0] = '\0'; /* it may have another number now */
        }
        return;
    }
    const struct hal_text text = first_line(answer);
    struct linux_cursor cursor = linux_cursor_of(text.s, text.len);
    if (source->is_text) {
        source->is_there = keep_text(self, source, text);
    } else if (source->is_bool) {
        source->is_there = read_bool(text, &source->number);
    } else {
        source->is_there = linux_take_decimal(&cursor, &source->number);
    }
    if (!source->is_there) {
        linux_ask_note_text(ask, KWM_ERR_CORRUPT, "%s: \"%.*s\" is %s", path,
                            text.len < 40 ? text.len : 40, text.s,
                            source->is_text   ? "too long with the other texts"
                            : source->is_bool ? "neither true nor false"
                                              : "no number that fits");
    }
}

/** The factors and the offset. @return whether all are there, and the result fits. */
static bool compute(const struct file_input *self, const struct channel *channel,
                    struct linux_decimal *value)
{
    const struct source *factor =
        channel->factor != NO_SOURCE ? &self->sources[channel->factor] : NULL;
    const struct source *offset =
        channel->offset != NO_SOURCE ? &self->sources[channel->offset] : NULL;
    if ((factor != NULL && !factor->is_there) || (offset != NULL && !offset->is_there)) {
        return false;
    }
    const bool is_fitting = (offset == NULL || linux_decimal_add(value, offset->number)) &&
                            (factor == NULL || linux_decimal_multiply(value, factor->number)) &&
                            linux_decimal_multiply(value, channel->multiplier);
    if (is_fitting) {
        linux_decimal_shift(value, channel->scale);
    }
    return is_fitting;
}

static double to_double(struct linux_decimal value)
{
    double power = 1.0;
    for (; value.digits > 0; value.digits--) {
        power *= 10.0; /* exact up to 10^22 */
    }
    return (double)value.mantissa / power;
}

/** @return false if the value does not fit. */
static bool set_value(const struct channel *channel, struct linux_decimal number,
                      struct hal_value *value)
{
    switch (channel->kind) {
    case HAL_KIND_BOOL:
        *value = (struct hal_value){.kind = HAL_KIND_BOOL, .b = number.mantissa != 0};
        return true;
    case HAL_KIND_DOUBLE:
        *value = linux_double(to_double(number));
        return true;
    default:
        KWM_ASSERT(channel->kind == HAL_KIND_INT || channel->kind == HAL_KIND_FIXED);
        if (!linux_decimal_rescale(&number, channel->digits)) {
            return false;
        }
        *value = (struct hal_value){
            .kind = channel->kind, .scale = channel->digits, .i = number.mantissa};
        return true;
    }
}

static int finish(struct linux_ask *ask, struct hal_sink *sink)
{
    struct file_input *self = (struct file_input *)ask;
    bool has_any = false;
    if (is_finding(self)) {
        return 1;
    }
    for (unsigned i = 0; i < self->channel_count; i++) {
        const struct channel *channel = &self->channels[i];
        const struct source *source = &self->sources[channel->number];
        struct linux_decimal number = source->number;
        if (source->is_there && channel->kind != HAL_KIND_STRING &&
            !(compute(self, channel, &number) && set_value(channel, number, &self->values[i]))) {
            linux_ask_note_text(ask, KWM_ERR_CORRUPT, "%s: the value of %s does not fit",
                                source->path, self->fields[i].name);
        }
        has_any = has_any || self->values[i].kind != HAL_KIND_NONE;
    }
    if (has_any) {
        (void)sink->put(sink, &(struct hal_point){.schema = &self->schema,
                                                  .tags = &self->sensor,
                                                  .values = self->values});
    }
    return KWM_OK;
}

static const struct linux_ask_ops ops = {
    .prepare = prepare, .path = path_of, .answer = take_answer, .finish = finish};

/* ---- making ---------------------------------------------------------------------------------- */

static bool is_plain_name(const struct hal_text *name)
{
    for (uint16_t i = 0; i < name->len; i++) {
        const char c = name->s[i];
        const bool is_digit = c >= '0' && c <= '9';
        if (!((c >= 'a' && c <= 'z') || c == '_' || (is_digit && i > 0))) {
            return false;
        }
    }
    return name->len > 0 && name->len <= NAME_LEN_MAX;
}

static bool is_plain_value(const struct hal_text *value)
{
    static const char refused[] = " ,;='\"\\";
    for (uint16_t i = 0; i < value->len; i++) {
        const unsigned char c = (unsigned char)value->s[i];
        if (c <= 0x20U || c > 0x7EU || memchr(refused, c, sizeof(refused) - 1) != NULL) {
            return false;
        }
    }
    return true;
}

/** Add a file. @return KWM_OK, or an error with its reason; NO_SOURCE in out for "". */
static int add_source(struct file_input *self, const struct hal_input_env *env,
                      const struct hal_option *option, uint8_t *out)
{
    const struct hal_text *path = &option->text;
    *out = NO_SOURCE;
    if (path->len == 0) {
        return KWM_OK;
    }
    if (path->s[0] != '/') {
        return linux_input_refuse(env, KWM_ERR_INVAL, "%s \"%s\": write the whole path, from /",
                                  option->def->key, path->s);
    }
    struct source *source = &self->sources[self->source_count];
    *source = (struct source){.path = path->s, .glob = NO_GLOB};
    if (strpbrk(path->s, "*?[") != NULL) {
        if (globs_used == GLOBS_MAX) {
            return linux_input_refuse(env, KWM_ERR_NOSPC,
                                      "more than %u paths with \"*\", \"?\" or \"[\" in all inputs",
                                      GLOBS_MAX);
        }
        globs[globs_used][0] = '\0';
        source->glob = (uint8_t)globs_used++;
    }
    *out = (uint8_t)self->source_count++;
    return KWM_OK;
}

static int set_name(struct file_input *self, const struct hal_input_env *env,
                    const struct hal_options *options)
{
    const struct hal_text *field = &hal_option_get(options, "field")->text;
    const struct hal_text *unit = &hal_option_get(options, "unit")->text;
    char *name = self->names[self->channel_count];
    const size_t len = field->len + (unit->len > 0 ? unit->len + 1U : 0U);
    if (len > NAME_LEN_MAX) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "field \"%s\" with its unit is longer than %u bytes", field->s,
                                  NAME_LEN_MAX);
    }
    memcpy(name, field->s, field->len);
    if (unit->len > 0) {
        name[field->len] = '_';
        memcpy(name + field->len + 1U, unit->s, unit->len);
    }
    name[len] = '\0';
    const struct hal_text whole = {.s = name, .len = (uint16_t)len};
    if (!is_plain_name(&whole)) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "field \"%s\": a-z, 0-9 and _ only, and no digit first", name);
    }
    for (unsigned i = 0; i < self->channel_count; i++) {
        if (strcmp(self->names[i], name) == 0) {
            return linux_input_refuse(env, KWM_ERR_INVAL, "field \"%s\" is there twice", name);
        }
    }
    return KWM_OK;
}

static uint8_t kind_of(const char *text)
{
    static const uint8_t values[] = {HAL_KIND_FIXED, HAL_KIND_INT, HAL_KIND_DOUBLE, HAL_KIND_BOOL,
                                     HAL_KIND_STRING};
    unsigned i = 0;
    while (kinds[i] != NULL && strcmp(kinds[i], text) != 0) {
        i++;
    }
    KWM_ASSERT(kinds[i] != NULL);
    return values[i];
}

/** Scale, digits and multiplier. @return KWM_OK, or an error with its reason. */
static int set_factors(struct channel *channel, const struct hal_input_env *env,
                       const struct hal_options *options, const char *name)
{
    const struct hal_text *multiplier = &hal_option_get(options, "multiplier")->text;
    struct linux_cursor cursor = linux_cursor_of(multiplier->s, multiplier->len);
    const bool has_multiplier = strcmp(multiplier->s, "1") != 0;
    const bool has_file = channel->factor != NO_SOURCE || channel->offset != NO_SOURCE;
    channel->scale = (uint8_t)hal_option_get(options, "scale")->number;
    const bool is_number = channel->kind != HAL_KIND_BOOL && channel->kind != HAL_KIND_STRING;
    if (!is_number && (has_multiplier || has_file || channel->scale > 0)) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "field \"%s\" is no number: scale, multiplier, scale_file and "
                                  "offset_file do not go with its kind",
                                  name);
    }
    if (!linux_take_decimal(&cursor, &channel->multiplier) || cursor.at != cursor.end) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "multiplier \"%s\": a decimal number is expected, such as "
                                  "\"0.0625\"",
                                  multiplier->s);
    }
    const int64_t digits = hal_option_get(options, "digits")->number;
    const bool has_factor = has_multiplier || channel->factor != NO_SOURCE;
    const int64_t usual = channel->scale + (has_factor ? 3 : 0);
    channel->digits = (uint8_t)(digits != DIGITS_BY_SCALE ? digits : usual);
    if (channel->kind != HAL_KIND_FIXED) {
        channel->digits = 0;
    }
    return KWM_OK;
}

static int add_channel(struct file_input *self, const struct hal_input_env *env,
                       const struct hal_options *options)
{
    struct channel *channel = &self->channels[self->channel_count];
    const char *name = self->names[self->channel_count];
    *channel = (struct channel){.kind = kind_of(hal_option_get(options, "kind")->text.s)};
    int err = set_name(self, env, options);
    if (err == KWM_OK) {
        err = add_source(self, env, hal_option_get(options, "path"), &channel->number);
    }
    if (err == KWM_OK) {
        err = add_source(self, env, hal_option_get(options, "scale_file"), &channel->factor);
    }
    if (err == KWM_OK) {
        err = add_source(self, env, hal_option_get(options, "offset_file"), &channel->offset);
    }
    if (err == KWM_OK) {
        err = set_factors(channel, env, options, name);
    }
    if (err != KWM_OK) {
        return err;
    }
    self->sources[channel->number].is_text = channel->kind == HAL_KIND_STRING;
    self->sources[channel->number].is_bool = channel->kind == HAL_KIND_BOOL;
    self->fields[self->channel_count++] =
        (struct hal_field_def){.name = name, .kind = channel->kind, .scale = channel->digits};
    return KWM_OK;
}

int linux_file_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const struct hal_text *name = &hal_option_get(&env->options, "name")->text;
    const struct hal_text *tag = &hal_option_get(&env->options, "sensor")->text;
    const struct hal_option *files = hal_option_get(&env->options, "files");
    if (!is_plain_name(name)) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "name \"%s\": a-z, 0-9 and _ only, and no digit first", name->s);
    }
    if (!is_plain_value(tag)) {
        return linux_input_refuse(env, KWM_ERR_INVAL,
                                  "sensor \"%s\": printable ASCII without blanks and , ; = ' \" \\",
                                  tag->s);
    }
    const int slot = linux_input_claim(LINUX_INPUT_FILE, env);
    if (slot < 0) {
        return slot;
    }
    struct file_input *self = &inputs[slot];
    globs_used = slot == 0 ? 0 : globs_used; /* the first of a new list */
    linux_ask_init(&self->base, "file", self->schemas, 1, &ops);
    self->channel_count = 0;
    self->source_count = 0;
    self->sensor = *tag;
    for (uint16_t i = 0; i < files->objects.count; i++) {
        const int err = add_channel(self, env, &files->objects.list[i]);
        if (err != KWM_OK) {
            return err;
        }
    }
    self->schema = (struct hal_schema){.measurement = name->s,
                                       .tags = tags,
                                       .tag_count = tag->len > 0 ? 1 : 0,
                                       .fields = self->fields,
                                       .field_count = (uint8_t)self->channel_count};
    self->schemas[0] = &self->schema;
    *sensor = &self->base.base.sensor;
    return KWM_OK;
}
