/* SPDX-License-Identifier: MIT */
#include "config_report.h"

#include <string.h>

#include "config_scan.h"
#include "hal/assert.h"

#define WORD_LEN_MAX 32U      /* longer words are not guessed at */
#define KEY_SHOWN_LEN_MAX 40U /* of a key in a path */

struct kwm_config_place kwm_config_report_first(const struct kwm_config_place *container)
{
    return (struct kwm_config_place){
        .parent = container,
        .node = container->node != NULL ? kwm_config_json_first(container->node) : NULL,
    };
}

void kwm_config_report_next(struct kwm_config_place *place)
{
    place->node = kwm_config_json_next(place->node);
    place->index++;
}

uint16_t kwm_config_report_count(const struct kwm_config_place *container)
{
    uint16_t count = 0;
    struct kwm_config_place child = kwm_config_report_first(container);
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        count++;
    }
    return count;
}

struct kwm_config_place kwm_config_report_find(const struct kwm_config_place *object,
                                               const char *key)
{
    struct kwm_config_place place = kwm_config_report_first(object);
    while (place.node != NULL && strcmp(kwm_config_json_key(place.node), key) != 0) {
        kwm_config_report_next(&place);
    }
    return place.node != NULL ? place : *object;
}

/* The places from below the root down to this one. @return how many. */
static uint8_t chain_of(const struct kwm_config_place *place,
                        const struct kwm_config_place *chain[KWM_CONFIG_DEPTH_MAX])
{
    uint8_t depth = 0;
    for (const struct kwm_config_place *p = place; p->parent != NULL; p = p->parent) {
        depth++;
    }
    KWM_ASSERT(depth <= KWM_CONFIG_DEPTH_MAX);
    uint8_t at = depth;
    for (const struct kwm_config_place *p = place; p->parent != NULL; p = p->parent) {
        chain[--at] = p;
    }
    return depth;
}

/* A key comes from the document: only what is safe on a terminal is shown of it. */
static void append_key(struct kwm_text *text, const char *key)
{
    for (size_t i = 0; i < KEY_SHOWN_LEN_MAX && key[i] != '\0'; i++) {
        const bool is_plain = key[i] > ' ' && key[i] <= '~';
        kwm_text_append_char(text, is_plain ? key[i] : '?');
    }
}

void kwm_config_report_path(struct kwm_text *text, const struct kwm_config_place *place)
{
    const struct kwm_config_place *chain[KWM_CONFIG_DEPTH_MAX];
    const uint8_t depth = chain_of(place, chain);
    for (uint8_t i = 0; i < depth; i++) {
        const char *key = chain[i]->node != NULL ? kwm_config_json_key(chain[i]->node) : NULL;
        if (key != NULL) {
            kwm_text_append(text, i > 0 ? "." : "");
            append_key(text, key);
        } else if (chain[i]->node != NULL) {
            kwm_text_append_char(text, '[');
            kwm_text_append_uint(text, chain[i]->index);
            kwm_text_append_char(text, ']');
        }
    }
}

static void set_place(const struct kwm_config_reader *reader, struct kwm_config_error *report,
                      const struct kwm_config_place *place, enum kwm_config_at at)
{
    /* What is not in the document is reported where it would be. */
    while (place->node == NULL && place->parent != NULL) {
        place = place->parent;
    }
    const struct kwm_config_place *chain[KWM_CONFIG_DEPTH_MAX];
    uint16_t indices[KWM_CONFIG_DEPTH_MAX];
    const uint8_t depth = chain_of(place, chain);
    for (uint8_t i = 0; i < depth; i++) {
        indices[i] = chain[i]->index;
    }
    const size_t off = kwm_config_scan_locate(reader->document, reader->len, indices, depth,
                                              at == KWM_CONFIG_AT_KEY);
    kwm_config_scan_place(reader->document, off, &report->line, &report->column);
}

/* An arena that is full is reported by the reader itself, when all is over. */
static const char *keep(struct kwm_config_reader *reader, const struct kwm_text *text)
{
    const char *copy = kwm_config_arena_copy(&reader->arena, text->out, text->len);
    return copy != NULL ? copy : "";
}

static const char *path_of(struct kwm_config_reader *reader, const struct kwm_config_place *place)
{
    char buffer[KWM_CONFIG_PATH_LEN_MAX + 1];
    struct kwm_text path;
    kwm_text_init(&path, buffer, sizeof(buffer));
    kwm_config_report_path(&path, place);
    return path.len > 0 ? keep(reader, &path) : "";
}

static void fill(struct kwm_config_reader *reader, struct kwm_config_error *report,
                 const struct kwm_config_place *place, enum kwm_config_at at, const char *reason)
{
    *report = (struct kwm_config_error){.path = "", .reason = reason};
    if (place != NULL) {
        report->path = path_of(reader, place);
        set_place(reader, report, place, at);
    }
}

/* @return the next free entry, or NULL. */
static struct kwm_config_error *next_error(struct kwm_config_errors *errors)
{
    if (errors->count == KWM_CONFIG_ERRORS_MAX) {
        errors->is_more = true;
        return NULL;
    }
    return &errors->list[errors->count++];
}

void kwm_config_report_error(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                             enum kwm_config_at at, const char *reason)
{
    struct kwm_config_error *report = next_error(reader->errors);
    if (report != NULL) {
        fill(reader, report, place, at, reason);
    }
}

void kwm_config_report_warning(struct kwm_config_reader *reader,
                               const struct kwm_config_place *place, enum kwm_config_at at,
                               const char *reason)
{
    struct kwm_config_errors *errors = reader->errors;
    if (errors->warning_count == KWM_CONFIG_WARNINGS_MAX) {
        errors->is_more = true;
        return;
    }
    fill(reader, &errors->warnings[errors->warning_count++], place, at, reason);
}

void kwm_config_report_syntax(struct kwm_config_reader *reader, size_t off, const char *reason)
{
    struct kwm_config_error *report = next_error(reader->errors);
    if (report != NULL) {
        *report = (struct kwm_config_error){.path = "", .reason = reason};
        kwm_config_scan_place(reader->document, off, &report->line, &report->column);
    }
}

struct kwm_text *kwm_config_report_begin(struct kwm_config_reader *reader)
{
    kwm_text_init(&reader->reason, reader->reason_buffer, sizeof(reader->reason_buffer));
    return &reader->reason;
}

void kwm_config_report_end(struct kwm_config_reader *reader, const struct kwm_config_place *place,
                           enum kwm_config_at at)
{
    struct kwm_config_error *report = next_error(reader->errors);
    if (report != NULL) {
        fill(reader, report, place, at, keep(reader, &reader->reason));
    }
}

bool kwm_config_report_repeat(struct kwm_config_reader *reader,
                              const struct kwm_config_place *place)
{
    const char *key = kwm_config_json_key(place->node);
    const struct kwm_config_place first = kwm_config_report_find(place->parent, key);
    if (first.index == place->index) {
        return false;
    }
    struct kwm_config_error earlier;
    set_place(reader, &earlier, &first, KWM_CONFIG_AT_KEY);
    struct kwm_text *reason = kwm_config_report_begin(reader);
    kwm_text_append(reason, "this key was given before, in line ");
    kwm_text_append_uint(reason, earlier.line);
    kwm_text_append(reason, "; a key may be given once");
    kwm_config_report_end(reader, place, KWM_CONFIG_AT_KEY);
    return true;
}

bool kwm_config_report_crowd(struct kwm_config_reader *reader,
                             const struct kwm_config_place *object)
{
    struct kwm_config_place child = kwm_config_report_first(object);
    for (unsigned i = 0; i < KWM_CONFIG_KEYS_MAX && child.node != NULL; i++) {
        kwm_config_report_next(&child);
    }
    if (child.node == NULL) {
        return false;
    }
    kwm_config_report_error(reader, &child, KWM_CONFIG_AT_KEY, "an object has at most 64 keys");
    return true;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (a character more, less, other, or two swapped) between words of WORD_LEN_MAX at most. */
static unsigned count_edits(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][WORD_LEN_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            const unsigned change = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = least(above[j - 1] + change, 1 + least(above[j], now[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = least(now[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void kwm_config_report_offer(struct kwm_config_guess *guess, const char *known)
{
    const size_t word_len = strlen(guess->word);
    const size_t known_len = strlen(known);
    if (word_len > WORD_LEN_MAX || known_len > WORD_LEN_MAX) {
        return;
    }
    const unsigned distance = count_edits(guess->word, word_len, known, known_len);
    const unsigned allowed = known_len < 5 ? 1 : 2;
    if (distance <= allowed && (guess->best == NULL || distance < guess->distance)) {
        guess->best = known;
        guess->distance = distance;
    }
}

static bool is_behind(const struct kwm_config_error *a, const struct kwm_config_error *b)
{
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

static void sort(struct kwm_config_error *list, uint8_t count)
{
    for (uint8_t i = 1; i < count; i++) {
        const struct kwm_config_error moved = list[i];
        uint8_t at = i;
        for (; at > 0 && is_behind(&list[at - 1], &moved); at--) {
            list[at] = list[at - 1];
        }
        list[at] = moved;
    }
}

void kwm_config_report_sort(struct kwm_config_errors *errors)
{
    sort(errors->list, errors->count);
    sort(errors->warnings, errors->warning_count);
}
