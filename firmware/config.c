/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <string.h>

#include "config_inputs.h"
#include "config_options.h"
#include "config_output.h"
#include "config_report.h"
#include "config_scan.h"
#include "config_tables.h"
#include "config_tags.h"

enum section { SECTION_AGENT, SECTION_GLOBAL_TAGS, SECTION_OUTPUTS, SECTION_INPUTS, SECTION_COUNT };

static const struct hal_option_def section_defs[] = {
    [SECTION_AGENT] = {.key = "agent", .help = "", .kind = KWM_CONFIG_TABLE},
    [SECTION_GLOBAL_TAGS] = {.key = "global_tags", .help = "", .kind = KWM_CONFIG_TABLE},
    [SECTION_OUTPUTS] = {.key = "outputs", .help = "", .kind = KWM_CONFIG_TABLE},
    [SECTION_INPUTS] = {.key = "inputs", .help = "", .kind = KWM_CONFIG_TABLE},
    [SECTION_COUNT] = {.key = NULL},
};

/* ---- agent ----------------------------------------------------------------------------------- */

static void fail_at(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                    const char *key, const char *reason)
{
    const struct kwm_config_place place = kwm_config_report_find(object, key);
    kwm_config_report_error(reader, &place, KWM_CONFIG_AT_VALUE, reason);
}

static const char *text_of(const struct hal_option *option)
{
    return option->text.s != NULL ? option->text.s : "";
}

static void set_spool_len(struct kwm_config_reader *reader, const struct kwm_config_place *agent,
                          const struct hal_option *options)
{
    const struct hal_option *spool = &options[KWM_AGENT_SPOOL];
    const struct hal_option *rows = &options[KWM_AGENT_BUFFER_LIMIT];
    if (spool->is_given && rows->is_given) {
        fail_at(reader, agent, "spool", "give metric_buffer_limit or spool, not both");
        return;
    }
    if (spool->is_given) {
        const bool is_right = spool->objects.count == 1; /* else it was reported */
        reader->config->spool_len = is_right ? (uint32_t)spool->objects.list[0].list[0].number : 0;
        return;
    }
    reader->config->spool_len = (uint32_t)rows->number * KWM_CONFIG_ROW_LEN;
}

static void read_agent(struct kwm_config_reader *reader, const struct kwm_config_place *place)
{
    static const struct kwm_config_keys keys = {.own = kwm_config_agent_defs,
                                                .foreign = kwm_config_agent_foreign};
    struct kwm_config *config = reader->config;
    struct hal_options read;
    kwm_config_options_read(reader, place, &keys, &read, NULL);
    const struct hal_option *options = read.list;
    if (options == NULL) {
        return;
    }
    config->interval_ms = (uint32_t)options[KWM_AGENT_INTERVAL].number;
    config->round_interval = options[KWM_AGENT_ROUND_INTERVAL].flag;
    config->collection_jitter_ms = (uint32_t)options[KWM_AGENT_COLLECTION_JITTER].number;
    config->collection_offset_ms = (uint32_t)options[KWM_AGENT_COLLECTION_OFFSET].number;
    config->flush_interval_ms = (uint32_t)options[KWM_AGENT_FLUSH_INTERVAL].number;
    config->flush_jitter_ms = (uint32_t)options[KWM_AGENT_FLUSH_JITTER].number;
    config->metric_batch_size = (uint16_t)options[KWM_AGENT_BATCH_SIZE].number;
    config->hostname = text_of(&options[KWM_AGENT_HOSTNAME]);
    config->omit_hostname = options[KWM_AGENT_OMIT_HOSTNAME].flag;
    config->debug = options[KWM_AGENT_DEBUG].flag;
    config->quiet = options[KWM_AGENT_QUIET].flag;
    config->logfile = text_of(&options[KWM_AGENT_LOGFILE]);
    set_spool_len(reader, place, options);
    if (config->debug && config->quiet) {
        fail_at(reader, place, "quiet", "debug and quiet contradict each other");
    }
}

/* What of the agent's depends on where the rows go. */
static void check_identity(struct kwm_config_reader *reader, const struct kwm_config_place *agent)
{
    const struct kwm_config *config = reader->config;
    const bool is_kwdb =
        config->output.endpoint_count > 0 && config->output.dialect == KWM_DIALECT_KWDB;
    if (config->omit_hostname && is_kwdb) {
        fail_at(
            reader, agent, "omit_hostname",
            "KWDB overwrites rows of equal tags and stamp: the tag \"host\" tells devices apart");
    }
    if (config->omit_hostname && config->hostname[0] != '\0') {
        fail_at(reader, agent, "hostname", "omit_hostname is true: remove one of the two");
    }
    if (config->hostname[0] != '\0') {
        const char *reason = kwm_config_tags_check_value(config->output.dialect, config->hostname,
                                                         strlen(config->hostname));
        if (reason != NULL) {
            fail_at(reader, agent, "hostname", reason);
        }
    }
}

/* ---- the document ---------------------------------------------------------------------------- */

/* A section, or an object without keys where the document has none. @return whether it can be read:
 * what is no object was reported. */
static bool find_section(const struct kwm_config_place *root, enum section section,
                         struct kwm_config_place *place)
{
    *place = kwm_config_report_find(root, section_defs[section].key);
    if (place->node == root->node) {
        *place = (struct kwm_config_place){.parent = root};
        return true;
    }
    return kwm_config_json_kind(place->node) == KWM_CONFIG_JSON_OBJECT;
}

static void read_sections(struct kwm_config_reader *reader, const struct kwm_config_place *root)
{
    static const struct kwm_config_keys keys = {.own = section_defs,
                                                .foreign = kwm_config_root_foreign};
    struct hal_options sections;
    kwm_config_options_read(reader, root, &keys, &sections, NULL);
    struct kwm_config_place agent;
    struct kwm_config_place place;
    const bool has_agent = find_section(root, SECTION_AGENT, &agent);
    if (has_agent) {
        read_agent(reader, &agent);
    }
    if (find_section(root, SECTION_OUTPUTS, &place)) {
        kwm_config_output_read(reader, &place);
    }
    if (has_agent) {
        check_identity(reader, &agent);
    }
    if (find_section(root, SECTION_GLOBAL_TAGS, &place)) {
        kwm_config_tags_read(reader, &place, NULL, &reader->config->global_tags);
    }
    if (find_section(root, SECTION_INPUTS, &place)) {
        kwm_config_inputs_read(reader, &place);
    }
}

/* @return whether the text is JSON as we take it. */
static bool check_syntax(struct kwm_config_reader *reader)
{
    struct kwm_config_scan scan;
    enum kwm_config_scan_event event;
    if (reader->len > KWM_CONFIG_LEN_MAX) {
        kwm_config_report_error(reader, NULL, KWM_CONFIG_AT_VALUE,
                                "the document is too long: at most 65536 bytes");
        return false;
    }
    kwm_config_scan_init(&scan, reader->document, reader->len);
    do {
        event = kwm_config_scan_next(&scan);
    } while (event != KWM_CONFIG_SCAN_END && event != KWM_CONFIG_SCAN_ERROR);
    if (event == KWM_CONFIG_SCAN_ERROR) {
        kwm_config_report_syntax(reader, scan.start, scan.reason);
    }
    return event == KWM_CONFIG_SCAN_END;
}

static void read_document(struct kwm_config_reader *reader)
{
    if (!check_syntax(reader)) {
        return;
    }
    const struct kwm_config_place root = {
        .node = kwm_config_json_parse(&reader->arena, reader->document, reader->len),
    };
    if (root.node == NULL) {
        reader->arena.is_full = true; /* the scan left no other reason */
        return;
    }
    if (kwm_config_json_kind(root.node) != KWM_CONFIG_JSON_OBJECT) {
        kwm_config_report_error(reader, &root, KWM_CONFIG_AT_VALUE,
                                "an object is expected: {\"agent\": {...}, \"outputs\": {...}, "
                                "\"inputs\": {...}}");
        return;
    }
    read_sections(reader, &root);
}

int kwm_config_read(struct kwm_config *config, struct kwm_config_errors *errors,
                    const struct kwm_config_env *env, char *document, size_t len, uint8_t *arena,
                    size_t arena_cap)
{
    struct kwm_config_reader reader = {
        .config = config, .errors = errors, .env = env, .document = document, .len = len};
    memset(config, 0, sizeof(*config));
    memset(errors, 0, sizeof(*errors));
    config->hostname = "";
    kwm_config_arena_init(&reader.arena, arena, arena_cap);
    kwm_config_scan_blank(document, len);
    read_document(&reader);
    config->arena_len_max = reader.arena.len_max;
    if (reader.arena.is_full) {
        errors->count = 0; /* texts of theirs may be missing */
        errors->warning_count = 0;
        kwm_config_report_error(&reader, NULL, KWM_CONFIG_AT_VALUE,
                                "the configuration is larger than this board's memory for it");
        return KWM_ERR_NOSPC;
    }
    kwm_config_report_sort(errors);
    return errors->count > 0 ? KWM_ERR_INVAL : KWM_OK;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

static bool is_column(const struct hal_schema *schema, const char *key)
{
    for (uint8_t i = 0; i < schema->tag_count; i++) {
        if (strcmp(schema->tags[i].key, key) == 0) {
            return true;
        }
    }
    for (uint8_t i = 0; i < schema->field_count; i++) {
        if (strcmp(schema->fields[i].name, key) == 0) {
            return true;
        }
    }
    return false;
}

const char *kwm_config_find_clash(const struct kwm_config *config,
                                  const struct kwm_config_input *input,
                                  const struct hal_schema *schema)
{
    const struct kwm_config_tags *both[] = {&input->tags, &config->global_tags};
    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        for (uint8_t j = 0; j < both[i]->count; j++) {
            if (is_column(schema, both[i]->list[j].key.s)) {
                return both[i]->list[j].key.s;
            }
        }
    }
    return NULL;
}
