/* SPDX-License-Identifier: MIT */
#include "config_inputs.h"

#include <string.h>

#include "config_options.h"
#include "config_tables.h"
#include "config_tags.h"

static const struct hal_input_def *find_def(const struct hal_input_def *defs, const char *name)
{
    for (; defs->name != NULL; defs++) {
        if (strcmp(defs->name, name) == 0) {
            return defs;
        }
    }
    return NULL;
}

static void report_unknown(struct kwm_config_reader *reader, const struct kwm_config_place *place)
{
    const struct hal_input_def *defs = reader->env->inputs;
    struct kwm_config_guess guess = {.word = kwm_config_json_key(place->node)};
    for (size_t i = 0; defs[i].name != NULL; i++) {
        kwm_config_report_offer(&guess, defs[i].name);
    }
    struct kwm_text *reason = kwm_config_report_begin(reader);
    kwm_text_append(reason, "this board has no such input; ");
    if (guess.best != NULL) {
        kwm_text_append(reason, "did you mean \"");
        kwm_text_append(reason, guess.best);
        kwm_text_append(reason, "\"?");
    } else {
        kwm_text_append(reason, "it has ");
        for (size_t i = 0; defs[i].name != NULL; i++) {
            kwm_text_append(reason, i > 0 ? ", " : "");
            kwm_text_append(reason, defs[i].name);
        }
    }
    kwm_config_report_end(reader, place, KWM_CONFIG_AT_KEY);
}

/* The option if it was given, else the agent's value. */
static uint32_t time_of(const struct hal_option *option, uint32_t usual_ms)
{
    return option->is_given ? (uint32_t)option->number : usual_ms;
}

static const char *text_of(const struct hal_option *option)
{
    return option->text.s != NULL ? option->text.s : "";
}

static void fail_at(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                    const char *key, const char *reason)
{
    const struct kwm_config_place place = kwm_config_report_find(object, key);
    kwm_config_report_error(reader, &place, KWM_CONFIG_AT_VALUE, reason);
}

static void check_times(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                        const struct kwm_config_input *input)
{
    if (input->interval_ms == 0) {
        return; /* it was wrong, and reported */
    }
    if (input->collection_jitter_ms > input->interval_ms) {
        fail_at(reader, object, "collection_jitter",
                "longer than the interval: readings would fall on each other");
    }
    if (input->collection_offset_ms >= input->interval_ms) {
        fail_at(reader, object, "collection_offset", "must be shorter than the interval");
    }
}

static void read_shared(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                        const struct hal_options *shared, struct kwm_config_input *input)
{
    const struct kwm_config *config = reader->config;
    const struct hal_option *options = shared->list;
    input->interval_ms = time_of(&options[KWM_INPUT_INTERVAL], config->interval_ms);
    input->collection_jitter_ms =
        time_of(&options[KWM_INPUT_COLLECTION_JITTER], config->collection_jitter_ms);
    input->collection_offset_ms =
        time_of(&options[KWM_INPUT_COLLECTION_OFFSET], config->collection_offset_ms);
    input->alias = text_of(&options[KWM_INPUT_ALIAS]);
    input->name_override = text_of(&options[KWM_INPUT_NAME_OVERRIDE]);
    input->fieldinclude = options[KWM_INPUT_FIELDINCLUDE].texts.list;
    input->fieldinclude_count = options[KWM_INPUT_FIELDINCLUDE].texts.count;
    input->fieldexclude = options[KWM_INPUT_FIELDEXCLUDE].texts.list;
    input->fieldexclude_count = options[KWM_INPUT_FIELDEXCLUDE].texts.count;
    check_times(reader, object, input);
    const char *reason = NULL;
    if (input->name_override[0] != '\0') {
        reason = kwm_config_tags_check_name(config->output.dialect, input->name_override,
                                            options[KWM_INPUT_NAME_OVERRIDE].text.len);
    }
    if (reason != NULL) {
        fail_at(reader, object, "name_override", reason);
    }
    const struct kwm_config_place tags = kwm_config_report_find(object, "tags");
    if (options[KWM_INPUT_TAGS].is_given &&
        kwm_config_json_kind(tags.node) == KWM_CONFIG_JSON_OBJECT) {
        kwm_config_tags_read(reader, &tags, &config->global_tags, &input->tags);
    }
}

static const char *label_of(struct kwm_config_reader *reader, const struct kwm_config_place *place)
{
    char buffer[KWM_CONFIG_PATH_LEN_MAX + 1];
    struct kwm_text path;
    kwm_text_init(&path, buffer, sizeof(buffer));
    kwm_config_report_path(&path, place);
    const char *label = kwm_config_arena_copy(&reader->arena, path.out, path.len);
    return label != NULL ? label : "";
}

static void read_input(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                       const struct hal_input_def *def, struct kwm_config_input *list)
{
    struct kwm_config *config = reader->config;
    const struct kwm_config_keys keys = {
        .own = def->options, .shared = kwm_config_input_defs, .foreign = kwm_config_input_foreign};
    struct hal_options shared = {.list = NULL};
    if (kwm_config_json_kind(place->node) != KWM_CONFIG_JSON_OBJECT) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                "an object of options is expected; {} takes the defaults");
        return;
    }
    if (config->input_count == KWM_CONFIG_INPUTS_MAX) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, "too many inputs: at most 32");
        return;
    }
    struct kwm_config_input *input = &list[config->input_count++];
    input->def = def;
    input->label = label_of(reader, place);
    kwm_config_options_read(reader, place, &keys, &input->options, &shared);
    if (shared.list != NULL) {
        read_shared(reader, place, &shared, input);
    }
}

/* An object, or an array of objects. */
static void read_kind(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                      struct kwm_config_input *list)
{
    if (kwm_config_report_repeat(reader, place)) {
        return;
    }
    const struct hal_input_def *def =
        find_def(reader->env->inputs, kwm_config_json_key(place->node));
    if (def == NULL) {
        report_unknown(reader, place);
        return;
    }
    if (kwm_config_json_kind(place->node) != KWM_CONFIG_JSON_ARRAY) {
        read_input(reader, place, def, list);
        return;
    }
    struct kwm_config_place child = kwm_config_report_first(place);
    if (child.node == NULL) {
        kwm_config_report_error(
            reader, place, KWM_CONFIG_AT_VALUE,
            "the array is empty: give at least one object, or leave the key out");
    }
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        read_input(reader, &child, def, list);
    }
}

/* Room for so many is needed at most. */
static size_t count_inputs(const struct kwm_config_place *inputs)
{
    size_t count = 0;
    struct kwm_config_place child = kwm_config_report_first(inputs);
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        const bool is_array = kwm_config_json_kind(child.node) == KWM_CONFIG_JSON_ARRAY;
        count += is_array ? kwm_config_report_count(&child) : 1;
    }
    return count < KWM_CONFIG_INPUTS_MAX ? count : KWM_CONFIG_INPUTS_MAX;
}

void kwm_config_inputs_read(struct kwm_config_reader *reader, const struct kwm_config_place *inputs)
{
    struct kwm_config *config = reader->config;
    struct kwm_config_place child = kwm_config_report_first(inputs);
    if (child.node == NULL) {
        kwm_config_report_error(reader, inputs, KWM_CONFIG_AT_VALUE,
                                "at least one input is needed, as in \"inputs\": {\"cpu\": {}}");
        return;
    }
    struct kwm_config_input *list =
        kwm_config_arena_alloc(&reader->arena, count_inputs(inputs) * sizeof(*list));
    if (list == NULL || kwm_config_report_crowd(reader, inputs)) {
        return;
    }
    config->inputs = list;
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        read_kind(reader, &child, list);
    }
}
