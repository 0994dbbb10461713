/* SPDX-License-Identifier: MIT */
#include "config_options.h"

#include <string.h>

#include "config_expand.h"
#include "config_value.h"
#include "hal/assert.h"

#define INT_LIMIT 9007199254740992.0 /* 2^53: beyond it a double is no exact integer */

static const char text_expected[] = "a string in double quotes is expected";

/* ---- one value ------------------------------------------------------------------------------- */

/* Reports what went wrong with a variable. The name may be shown, a value never. */
static void report_variable(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                            const struct kwm_config_expand *expand)
{
    struct kwm_text *reason = kwm_config_report_begin(reader);
    if (expand->variable[0] != '\0') {
        kwm_text_append(reason, "the environment variable ");
        kwm_text_append(reason, expand->variable);
        kwm_text_append_char(reason, ' ');
    }
    kwm_text_append(reason, expand->reason);
    kwm_config_report_end(reader, place, KWM_CONFIG_AT_VALUE);
}

/* Puts the variables in, straight into the arena. */
static bool expand_text(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                        struct hal_text *text, bool *has_variable)
{
    size_t room;
    char *tail = kwm_config_arena_tail(&reader->arena, &room);
    const bool is_short = room <= KWM_CONFIG_TEXT_LEN_MAX;
    struct kwm_text out;
    struct kwm_config_expand expand;
    if (room == 0) {
        reader->arena.is_full = true;
        return false;
    }
    kwm_text_init(&out, tail, is_short ? room : KWM_CONFIG_TEXT_LEN_MAX + 1);
    if (kwm_config_expand(&expand, &out, reader->env, kwm_config_json_string(place->node)) !=
        KWM_OK) {
        report_variable(reader, place, &expand);
        return false;
    }
    if (out.is_cut) {
        reader->arena.is_full = reader->arena.is_full || is_short;
        if (!is_short) {
            kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                    "too long: a string has at most 1024 bytes");
        }
        return false;
    }
    kwm_config_arena_keep(&reader->arena, out.len + 1);
    *text = (struct hal_text){.s = tail, .len = (uint16_t)out.len};
    *has_variable = expand.has_variable;
    return true;
}

bool kwm_config_options_text(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                             struct hal_text *text)
{
    bool has_variable;
    if (kwm_config_json_kind(place->node) != KWM_CONFIG_JSON_STRING) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, text_expected);
        return false;
    }
    return expand_text(reader, place, text, &has_variable);
}

static void append_limit(struct kwm_text *text, const struct hal_option_def *def, int64_t limit)
{
    if (def->kind == HAL_OPTION_DURATION) {
        kwm_config_value_append_duration(text, limit);
    } else if (def->kind == KWM_CONFIG_SIZE) {
        kwm_config_value_append_size(text, limit);
    } else {
        kwm_text_append_int(text, limit);
    }
}

/* Checks a number, or the length of something, against the table. */
static bool is_in_range(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                        const struct hal_option_def *def, int64_t number, const char *what)
{
    if (number >= def->min && number <= def->max) {
        return true;
    }
    struct kwm_text *reason = kwm_config_report_begin(reader);
    kwm_text_append(reason, number < def->min ? "too small" : "too large");
    kwm_text_append(reason, ": allowed are ");
    append_limit(reason, def, def->min);
    kwm_text_append(reason, " to ");
    append_limit(reason, def, def->max);
    kwm_text_append(reason, what);
    kwm_config_report_end(reader, place, KWM_CONFIG_AT_VALUE);
    return false;
}

static bool is_chosen(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                      const struct hal_option_def *def, const char *value)
{
    if (def->choices == NULL) {
        return true;
    }
    for (size_t i = 0; def->choices[i] != NULL; i++) {
        if (strcmp(def->choices[i], value) == 0) {
            return true;
        }
    }
    struct kwm_text *reason = kwm_config_report_begin(reader);
    kwm_text_append(reason, "not one of the allowed values:");
    for (size_t i = 0; def->choices[i] != NULL; i++) {
        kwm_text_append(reason, i > 0 ? ", \"" : " \"");
        kwm_text_append(reason, def->choices[i]);
        kwm_text_append_char(reason, '"');
    }
    kwm_config_report_end(reader, place, KWM_CONFIG_AT_VALUE);
    return false;
}

static bool read_string(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                        const struct hal_option_def *def, struct hal_text *text)
{
    struct hal_text read;
    if (!kwm_config_options_text(reader, place, &read) ||
        !is_in_range(reader, place, def, read.len, " bytes") ||
        !is_chosen(reader, place, def, read.s)) {
        return false;
    }
    *text = read;
    return true;
}

/* A bool or a number may come out of the environment: then, and only then, it stands in quotes. */
static bool read_variable(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                          struct hal_text *text, const char *expected)
{
    bool has_variable = false;
    if (kwm_config_json_kind(place->node) == KWM_CONFIG_JSON_STRING) {
        if (!expand_text(reader, place, text, &has_variable)) {
            return false;
        }
        if (has_variable) {
            return true;
        }
    }
    kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, expected);
    return false;
}

static bool read_bool(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                      bool *flag)
{
    static const char expected[] = "true or false is expected, without quotes";
    struct hal_text text;
    if (kwm_config_json_kind(place->node) == KWM_CONFIG_JSON_BOOL) {
        *flag = kwm_config_json_bool(place->node);
        return true;
    }
    if (!read_variable(reader, place, &text, expected)) {
        return false;
    }
    *flag = strcmp(text.s, "true") == 0;
    if (!*flag && strcmp(text.s, "false") != 0) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                "the variable's value is neither true nor false");
        return false;
    }
    return true;
}

/* Decimal digits with an optional minus. @return whether it is a whole number in int64's range. */
static bool parse_int(const char *text, int64_t *number)
{
    const bool is_negative = text[0] == '-';
    const char *digit = text + (is_negative ? 1 : 0);
    int64_t sum = 0;
    if (*digit == '\0' || strlen(digit) > 18) {
        return false;
    }
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return false;
        }
        sum = sum * 10 + (*digit - '0');
    }
    *number = is_negative ? -sum : sum;
    return true;
}

static bool read_int(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                     const struct hal_option_def *def, int64_t *number)
{
    static const char expected[] = "a whole number is expected, without quotes";
    struct hal_text text;
    if (kwm_config_json_kind(place->node) == KWM_CONFIG_JSON_NUMBER) {
        const double value = kwm_config_json_number(place->node);
        const bool is_small = value > -INT_LIMIT && value < INT_LIMIT;
        *number = is_small ? (int64_t)value : 0;
        if (!is_small || (double)*number < value || (double)*number > value) {
            kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, expected);
            return false;
        }
        return is_in_range(reader, place, def, *number, "");
    }
    if (!read_variable(reader, place, &text, expected)) {
        return false;
    }
    if (!parse_int(text.s, number)) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                "the variable's value is not a whole number");
        return false;
    }
    return is_in_range(reader, place, def, *number, "");
}

/* A duration or a size: a string in its notation, or a number of seconds or bytes. */
static bool read_quantity(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                          const struct hal_option_def *def, int64_t *number)
{
    const bool is_duration = def->kind == HAL_OPTION_DURATION;
    const enum kwm_config_json_kind kind = kwm_config_json_kind(place->node);
    const char *reason = is_duration
                             ? "a duration such as \"10s\" or a number of seconds is expected"
                             : "a size such as \"10MB\" or a number of bytes is expected";
    struct hal_text text;
    bool has_variable;
    int rc = KWM_ERR_INVAL;
    if (kind == KWM_CONFIG_JSON_NUMBER && !is_duration) {
        return read_int(reader, place, def, number);
    }
    if (kind == KWM_CONFIG_JSON_NUMBER) {
        rc = kwm_config_value_seconds(kwm_config_json_number(place->node), number, &reason);
    } else if (kind == KWM_CONFIG_JSON_STRING) {
        if (!expand_text(reader, place, &text, &has_variable)) {
            return false;
        }
        rc = is_duration ? kwm_config_value_duration(text.s, text.len, number, &reason)
                         : kwm_config_value_size(text.s, text.len, number, &reason);
    }
    if (rc != KWM_OK) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, reason);
        return false;
    }
    return is_in_range(reader, place, def, *number, "");
}

static bool read_strings(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                         const struct hal_option_def *def, struct hal_option *option)
{
    if (kwm_config_json_kind(place->node) != KWM_CONFIG_JSON_ARRAY) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                "an array of strings is expected, as in [\"a\", \"b\"]");
        return false;
    }
    const uint16_t count = kwm_config_report_count(place);
    struct hal_text *list = kwm_config_arena_alloc(&reader->arena, count * sizeof(*list));
    if (list == NULL) {
        return false;
    }
    bool is_right = true;
    struct kwm_config_place child = kwm_config_report_first(place);
    for (uint16_t i = 0; i < count; i++) {
        is_right = read_string(reader, &child, def, &list[i]) && is_right;
        kwm_config_report_next(&child);
    }
    option->texts.list = list;
    option->texts.count = is_right ? count : 0;
    return is_right;
}

/* Any kind but OBJECTS. Sets only the value. */
static bool read_value(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                       const struct hal_option_def *def, struct hal_option *option)
{
    switch (def->kind) {
    case HAL_OPTION_BOOL:
        return read_bool(reader, place, &option->flag);
    case HAL_OPTION_INT:
        return read_int(reader, place, def, &option->number);
    case HAL_OPTION_DURATION:
    case KWM_CONFIG_SIZE:
        return read_quantity(reader, place, def, &option->number);
    case HAL_OPTION_STRING:
        return read_string(reader, place, def, &option->text);
    case HAL_OPTION_STRINGS:
        return read_strings(reader, place, def, option);
    case KWM_CONFIG_ANY:
        return true;
    default:
        KWM_ASSERT(def->kind == KWM_CONFIG_TABLE);
        if (kwm_config_json_kind(place->node) == KWM_CONFIG_JSON_OBJECT) {
            return true;
        }
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                "an object is expected, as in {\"key\": \"value\"}");
        return false;
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint16_t count_defs(const struct hal_option_def *defs)
{
    uint16_t count = 0;
    while (defs != NULL && defs[count].key != NULL) {
        count++;
    }
    return count;
}

static struct hal_option *find_option(struct hal_option *list, const struct hal_option_def *defs,
                                      const char *key)
{
    for (uint16_t i = 0; defs != NULL && defs[i].key != NULL; i++) {
        if (strcmp(defs[i].key, key) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

static const struct kwm_config_foreign *find_foreign(const struct kwm_config_foreign *foreign,
                                                     const char *key)
{
    while (foreign != NULL && foreign->key != NULL) {
        if (strcmp(foreign->key, key) == 0) {
            return foreign;
        }
        foreign++;
    }
    return NULL;
}

/* Whether a word is one of those between bars. */
static bool is_listed(const char *list, const char *word)
{
    const size_t len = strlen(word);
    while (list != NULL) {
        const char *bar = strchr(list, '|');
        const size_t listed_len = bar != NULL ? (size_t)(bar - list) : strlen(list);
        if (listed_len == len && memcmp(list, word, len) == 0) {
            return true;
        }
        list = bar != NULL ? bar + 1 : NULL;
    }
    return false;
}

static bool is_harmless(const struct kwm_config_foreign *foreign, const struct cJSON *node)
{
    switch (kwm_config_json_kind(node)) {
    case KWM_CONFIG_JSON_STRING:
        return is_listed(foreign->accepted, kwm_config_json_string(node));
    case KWM_CONFIG_JSON_BOOL:
        return is_listed(foreign->accepted, kwm_config_json_bool(node) ? "true" : "false");
    case KWM_CONFIG_JSON_ARRAY:
        return kwm_config_json_first(node) == NULL && is_listed(foreign->accepted, "[]");
    default:
        return false;
    }
}

static void append_keys(struct kwm_text *reason, const struct hal_option_def *defs, bool is_first)
{
    for (; defs != NULL && defs->key != NULL; defs++) {
        kwm_text_append(reason, is_first ? "" : ", ");
        kwm_text_append(reason, defs->key);
        is_first = false;
    }
}

static void report_unknown(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                           const struct kwm_config_keys *keys)
{
    struct kwm_config_guess guess = {.word = kwm_config_json_key(place->node)};
    for (uint16_t i = 0; keys->own[i].key != NULL; i++) {
        kwm_config_report_offer(&guess, keys->own[i].key);
    }
    for (uint16_t i = 0; keys->shared != NULL && keys->shared[i].key != NULL; i++) {
        kwm_config_report_offer(&guess, keys->shared[i].key);
    }
    struct kwm_text *reason = kwm_config_report_begin(reader);
    kwm_text_append(reason, "unknown key");
    if (guess.best != NULL) {
        kwm_text_append(reason, "; did you mean \"");
        kwm_text_append(reason, guess.best);
        kwm_text_append(reason, "\"?");
    } else {
        kwm_text_append(reason, "; allowed are ");
        append_keys(reason, keys->own, true);
        append_keys(reason, keys->shared, keys->own[0].key == NULL);
    }
    kwm_config_report_end(reader, place, KWM_CONFIG_AT_KEY);
}

/* @return the option that a key of the document is for; NULL when there is none, and reported. */
static struct hal_option *option_for(struct kwm_config_reader *reader,
                                     const struct kwm_config_place *place,
                                     const struct kwm_config_keys *keys,
                                     const struct hal_options *own,
                                     const struct hal_options *shared)
{
    const char *key = kwm_config_json_key(place->node);
    if (kwm_config_report_repeat(reader, place)) {
        return NULL;
    }
    struct hal_option *option = find_option((struct hal_option *)own->list, keys->own, key);
    if (option == NULL && shared != NULL) {
        option = find_option((struct hal_option *)shared->list, keys->shared, key);
    }
    if (option != NULL) {
        return option;
    }
    const struct kwm_config_foreign *foreign = find_foreign(keys->foreign, key);
    if (foreign == NULL) {
        report_unknown(reader, place, keys);
    } else if (!is_harmless(foreign, place->node)) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_KEY, foreign->reason);
    }
    return NULL;
}

/* ---- fallbacks ------------------------------------------------------------------------------- */

static void report_missing(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                           const struct hal_option_def *def)
{
    struct kwm_text *reason = kwm_config_report_begin(reader);
    kwm_text_append_char(reason, '"');
    kwm_text_append(reason, def->key);
    kwm_text_append(reason, "\" is missing");
    if (def->help[0] != '\0') {
        kwm_text_append(reason, ": ");
        kwm_text_append(reason, def->help);
    }
    kwm_config_report_end(reader, object, KWM_CONFIG_AT_VALUE);
}

/* The fallback is JSON of the table's author: it is read like a value, but not held to the limits,
 * for it may mean "not given". */
static void fall_back(struct kwm_config_reader *reader, const struct hal_option_def *def,
                      struct hal_option *option)
{
    struct hal_option_def relaxed = *def;
    relaxed.min = INT64_MIN;
    relaxed.max = INT64_MAX;
    relaxed.choices = NULL;
    const size_t back = reader->arena.back;
    const struct kwm_config_place place = {
        .node = kwm_config_json_parse(&reader->arena, def->fallback, strlen(def->fallback)),
    };
    if (place.node == NULL) {
        KWM_ASSERT(reader->arena.is_full); /* else the table's fallback is no JSON */
        return;
    }
    if (def->kind == HAL_OPTION_OBJECTS) {
        KWM_ASSERT(kwm_config_json_first(place.node) == NULL); /* only [] makes sense */
    } else {
        const bool is_right = read_value(reader, &place, &relaxed, option);
        KWM_ASSERT(is_right || reader->arena.is_full);
    }
    kwm_config_arena_release(&reader->arena, back);
}

static void fill_absent(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                        const struct hal_options *options)
{
    struct hal_option *list = (struct hal_option *)options->list;
    for (uint16_t i = 0; i < options->count; i++) {
        const bool has_owner =
            list[i].def->kind == KWM_CONFIG_TABLE || list[i].def->kind == KWM_CONFIG_ANY;
        if (list[i].is_given || has_owner) {
            continue;
        }
        if (list[i].def->fallback == NULL) {
            report_missing(reader, object, list[i].def);
        } else {
            fall_back(reader, list[i].def, &list[i]);
        }
    }
}

/* ---- objects --------------------------------------------------------------------------------- */

/* All options of a table, none given yet. @return false when the arena is full. */
static bool make_options(struct kwm_config_reader *reader, const struct hal_option_def *defs,
                         struct hal_options *options)
{
    const uint16_t count = count_defs(defs);
    struct hal_option *list = kwm_config_arena_alloc(&reader->arena, count * sizeof(*list));
    *options = (struct hal_options){.list = list, .count = list != NULL ? count : 0};
    for (uint16_t i = 0; list != NULL && i < count; i++) {
        list[i].def = &defs[i];
    }
    return list != NULL;
}

static bool read_member(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                        const struct hal_option_def *defs, struct hal_options *options)
{
    const struct kwm_config_keys keys = {.own = defs};
    if (kwm_config_json_kind(object->node) != KWM_CONFIG_JSON_OBJECT) {
        kwm_config_report_error(reader, object, KWM_CONFIG_AT_VALUE,
                                "an object is expected, as in {\"key\": \"value\"}");
        return false;
    }
    if (kwm_config_report_crowd(reader, object) || !make_options(reader, defs, options)) {
        return false;
    }
    bool is_right = true;
    struct kwm_config_place child = kwm_config_report_first(object);
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        struct hal_option *option = option_for(reader, &child, &keys, options, NULL);
        if (option == NULL) {
            is_right = false;
            continue;
        }
        option->is_given = true;
        is_right = read_value(reader, &child, option->def, option) && is_right;
    }
    fill_absent(reader, object, options);
    return is_right;
}

/* An array of objects; a single object stands for an array of one, as it does for inputs. */
static bool read_members(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                         const struct hal_option_def *def, struct hal_option *option)
{
    const bool is_array = kwm_config_json_kind(place->node) == KWM_CONFIG_JSON_ARRAY;
    const uint16_t count = is_array ? kwm_config_report_count(place) : 1;
    if (!is_in_range(reader, place, def, count, " objects")) {
        return false;
    }
    struct hal_options *list = kwm_config_arena_alloc(&reader->arena, count * sizeof(*list));
    if (list == NULL) {
        return false;
    }
    bool is_right = true;
    struct kwm_config_place child = is_array ? kwm_config_report_first(place) : *place;
    for (uint16_t i = 0; i < count; i++) {
        is_right = read_member(reader, &child, def->members, &list[i]) && is_right;
        if (is_array) {
            kwm_config_report_next(&child);
        }
    }
    option->objects.list = list;
    option->objects.count = is_right ? count : 0;
    return is_right;
}

void kwm_config_options_read(struct kwm_config_reader *reader,
                             const struct kwm_config_place *object,
                             const struct kwm_config_keys *keys, struct hal_options *own,
                             struct hal_options *shared)
{
    if (!make_options(reader, keys->own, own) ||
        (shared != NULL && !make_options(reader, keys->shared, shared)) ||
        kwm_config_report_crowd(reader, object)) {
        return;
    }
    struct kwm_config_place child = kwm_config_report_first(object);
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        struct hal_option *option = option_for(reader, &child, keys, own, shared);
        if (option == NULL) {
            continue;
        }
        option->is_given = true;
        const bool is_right = option->def->kind == HAL_OPTION_OBJECTS
                                  ? read_members(reader, &child, option->def, option)
                                  : read_value(reader, &child, option->def, option);
        if (!is_right) {
            const struct hal_option_def *def = option->def;
            memset(option, 0, sizeof(*option));
            option->def = def;
            option->is_given = true;
        }
    }
    fill_absent(reader, object, own);
    if (shared != NULL) {
        fill_absent(reader, object, shared);
    }
}
