/* SPDX-License-Identifier: MIT */
#include "config_tags.h"

#include <string.h>

#include "config_options.h"
#include "config_scan.h"
#include "kwm/name.h"

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* The document is UTF-8, but the environment need not be. */
static bool is_utf8(const char *text, size_t len)
{
    for (size_t off = 0; off < len;) {
        const size_t step = kwm_config_scan_utf8(text + off, len - off);
        if (step == 0) {
            return false;
        }
        off += step;
    }
    return true;
}

const char *kwm_config_tags_check_name(enum kwm_dialect dialect, const char *name, size_t len)
{
    if (len == 0 || has_control(name, len)) {
        return "a name is not empty and has no control characters";
    }
    if (dialect == KWM_DIALECT_INFLUX) {
        return strcmp(name, "time") == 0 ? "InfluxDB keeps the name \"time\" for its stamps" : NULL;
    }
    if (strcmp(name, "k_timestamp") == 0) {
        return "KWDB keeps the name \"k_timestamp\" for its stamps";
    }
    return kwm_name_is_valid(name, len)
               ? NULL
               : "KWDB takes a name as SQL: allowed are a-z, 0-9 and _, no digit first, at most 63 "
                 "characters, no upper case (KWDB would fold it)";
}

const char *kwm_config_tags_check_value(enum kwm_dialect dialect, const char *value, size_t len)
{
    if (len == 0) {
        return "a tag's value must not be empty";
    }
    if (len > HAL_TEXT_LEN_MAX) {
        return "a tag's value has at most 255 bytes";
    }
    if (has_control(value, len) || !is_utf8(value, len)) {
        return "line protocol cannot carry control characters, nor what is not UTF-8";
    }
    if (dialect == KWM_DIALECT_INFLUX) {
        return value[len - 1] == '\\' ? "line protocol cannot carry a \\ at the end" : NULL;
    }
    return strpbrk(value, " ,=;") == NULL ? NULL
                                          : "KWDB splits lines at blank , = and ; whatever quotes "
                                            "stand around them: use other "
                                            "characters, such as _";
}

static bool is_in(const struct kwm_config_tags *tags, const char *key)
{
    for (uint8_t i = 0; tags != NULL && i < tags->count; i++) {
        if (strcmp(tags->list[i].key.s, key) == 0) {
            return true;
        }
    }
    return false;
}

/* How many tags of a row are spoken for before these: the host's, and the others. */
static uint8_t count_taken(const struct kwm_config_reader *reader,
                           const struct kwm_config_tags *others)
{
    return (uint8_t)((reader->config->omit_hostname ? 0 : 1) +
                     (others != NULL ? others->count : 0));
}

/* @return whether it is a tag to keep; else it was reported. */
static bool read_tag(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                     struct kwm_config_tag *tag)
{
    const enum kwm_dialect dialect = reader->config->output.dialect;
    const char *key = kwm_config_json_key(place->node);
    const size_t key_len = strlen(key);
    if (kwm_config_report_repeat(reader, place)) {
        return false;
    }
    const char *reason = kwm_config_tags_check_name(dialect, key, key_len);
    if (reason == NULL && strcmp(key, "host") == 0 && !reader->config->omit_hostname) {
        reason = "the tag \"host\" is the agent's: set it as \"hostname\" in \"agent\"";
    }
    if (reason != NULL) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_KEY, reason);
        return false;
    }
    if (!kwm_config_options_text(reader, place, &tag->value)) {
        return false;
    }
    reason = kwm_config_tags_check_value(dialect, tag->value.s, tag->value.len);
    if (reason != NULL) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, reason);
        return false;
    }
    tag->key.s = kwm_config_arena_copy(&reader->arena, key, key_len);
    tag->key.len = (uint16_t)key_len;
    return tag->key.s != NULL;
}

void kwm_config_tags_read(struct kwm_config_reader *reader, const struct kwm_config_place *object,
                          const struct kwm_config_tags *others, struct kwm_config_tags *tags)
{
    *tags = (struct kwm_config_tags){.list = NULL};
    struct kwm_config_place child = kwm_config_report_first(object);
    if (child.node == NULL || kwm_config_report_crowd(reader, object)) {
        return;
    }
    const uint16_t given = kwm_config_report_count(object);
    const uint16_t cap = given < HAL_TAGS_MAX ? given : HAL_TAGS_MAX;
    struct kwm_config_tag *list = kwm_config_arena_alloc(&reader->arena, cap * sizeof(*list));
    if (list == NULL) {
        return;
    }
    uint8_t taken = count_taken(reader, others);
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        struct kwm_config_tag tag;
        if (!read_tag(reader, &child, &tag)) {
            continue;
        }
        if (!is_in(others, tag.key.s)) { /* one that replaces another takes no room */
            taken++;
        }
        if (taken > HAL_TAGS_MAX || tags->count == HAL_TAGS_MAX) {
            kwm_config_report_error(
                reader, &child, KWM_CONFIG_AT_KEY,
                "too many tags: a row has at most 16, the host's and global ones "
                "included");
            return;
        }
        list[tags->count++] = tag;
        tags->list = list;
    }
}
