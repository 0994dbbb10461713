/* SPDX-License-Identifier: MIT */
#include "sim_truth.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"

/** An epoch follows the clock within half a second; ticks are 10 ms, phases below that. */
#define CLOCK_SLACK_MS 520
/** A second sample of a series in one instant gets the next tick, and so on. */
#define TWIN_SLACK_MS 200
/** What began over a second late bears the instant when it began. */
#define LATE_MS 1000
#define MERGE_MS 15000U
#define CLOCKS_MIN 1024U

enum { FIELD_ID, FIELD_TEMP, FIELD_LOAD, FIELD_NOTE, FIELD_EXTRA, FIELD_COUNT };

static const struct hal_tag_def tags[] = {{.key = "unit", .role = HAL_TAG_PRIMARY},
                                          {.key = "mode", .role = HAL_TAG_MUTABLE}};
static const struct hal_field_def fields[FIELD_COUNT] = {
    [FIELD_ID] = {.name = "id", .kind = HAL_KIND_INT},
    [FIELD_TEMP] = {.name = "temp", .kind = HAL_KIND_FIXED, .scale = 3},
    [FIELD_LOAD] = {.name = "load", .kind = HAL_KIND_DOUBLE},
    [FIELD_NOTE] = {.name = "note", .kind = HAL_KIND_STRING},
    [FIELD_EXTRA] = {.name = "extra", .kind = HAL_KIND_STRING},
};
#define SCHEMA(name)                                                           \
    {                                                                          \
        .measurement = (name), .tags = tags, .tag_count = 2, .fields = fields, \
        .field_count = FIELD_COUNT                                             \
    }
static const struct hal_schema schemas[SIM_TRUTH_SENSORS] = {SCHEMA("air"), SCHEMA("water"),
                                                             SCHEMA("soil")};

const struct hal_schema *sim_truth_schema(unsigned sensor)
{
    return &schemas[sensor];
}

void sim_truth_begin(struct sim_truth *truth, uint64_t seed, uint32_t cap)
{
    struct sim_truth fresh = {.seed = seed,
                              .samples = truth->samples,
                              .cap = truth->cap,
                              .clocks = truth->clocks,
                              .clock_cap = truth->clock_cap};
    if (fresh.cap < cap) {
        fresh.cap = cap;
        fresh.clock_cap = CLOCKS_MIN + cap / 32U;
        fresh.samples = realloc(fresh.samples, fresh.cap * sizeof(*fresh.samples));
        fresh.clocks = realloc(fresh.clocks, fresh.clock_cap * sizeof(*fresh.clocks));
    }
    KWM_ASSERT(fresh.samples != NULL && fresh.clocks != NULL);
    *truth = fresh;
}

void sim_truth_violate(struct sim_truth *truth, const char *format, ...)
{
    if (truth->violation[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(truth->violation, sizeof(truth->violation), format, args);
    va_end(args);
}

void sim_truth_clock(struct sim_truth *truth, uint64_t now_ms, struct hal_wall wall)
{
    const struct sim_clock *last =
        truth->clock_count > 0 ? &truth->clocks[truth->clock_count - 1U] : NULL;
    if (wall.state != HAL_WALL_SET ||
        (last != NULL && last->offset_ms == wall.unix_ms && last->boot == truth->boot)) {
        return;
    }
    KWM_ASSERT(truth->clocks != NULL && truth->clock_count < truth->clock_cap);
    truth->clocks[truth->clock_count++] =
        (struct sim_clock){.from_ms = now_ms, .offset_ms = wall.unix_ms, .boot = truth->boot};
}

void sim_truth_cut(struct sim_truth *truth, uint32_t sector_seq, uint32_t off)
{
    uint32_t volatiles = 0;
    for (uint32_t id = truth->durable; id < truth->count; id++) {
        struct sim_sample *sample = &truth->samples[id];
        const bool is_out = sample->sector_seq < sector_seq ||
                            (sample->sector_seq == sector_seq && sample->end_off <= off);
        sample->is_volatile = sample->is_volatile || !is_out;
        volatiles += is_out ? 0U : 1U;
    }
    truth->durable = truth->count - volatiles;
    truth->volatiles += volatiles;
}

void sim_truth_reboot(struct sim_truth *truth, uint64_t collected)
{
    const uint64_t given = truth->count - truth->lost;
    const uint64_t volatiles = truth->count - truth->durable;
    truth->boot++;
    if (collected > given || collected + volatiles < given) {
        sim_truth_violate(truth,
                          "durable: of %llu samples, %llu need not have survived the power cut; "
                          "the device knows of %llu",
                          (unsigned long long)given, (unsigned long long)volatiles,
                          (unsigned long long)collected);
        return;
    }
    truth->lost += (uint32_t)(given - collected);
    truth->durable = truth->count;
}

uint64_t sim_truth_missing(const struct sim_truth *truth)
{
    uint64_t missing = 0;
    for (uint32_t id = 0; id < truth->count; id++) {
        missing += !truth->samples[id].is_volatile && truth->samples[id].stamp_ms == 0 ? 1U : 0U;
    }
    return missing;
}

/** Everything about a sample that chance decides. */
static uint64_t chance(const struct sim_truth *truth, uint32_t id)
{
    uint64_t z = truth->seed * 0x9E3779B97F4A7C15ULL + id * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static const char *mode_of(uint64_t bits)
{
    return bits % 3U == 0 ? "on" : "of";
}

static const char *note_of(uint64_t bits)
{
    return bits % 97U == 0 ? "odd" : "fine";
}

static const char *extra_of(uint64_t bits)
{
    return bits % 61U == 0 ? "x" : "";
}

static bool has_load(uint64_t bits)
{
    return bits % 5U != 0;
}

static double load_of(uint64_t bits)
{
    return (double)((bits >> 20) % 1000U) / 7.0;
}

static int64_t temp_of(uint64_t bits, enum sim_manner manner)
{
    if (manner == SIM_MANNER_STUCK) {
        return 21437;
    }
    return manner == SIM_MANNER_NOISY ? (int64_t)bits >> 14
                                      : (int64_t)((bits >> 32) % 60000U) - 20000;
}

struct sim_sample *sim_truth_put(struct sim_truth *truth, const struct sim_sample *made,
                                 struct hal_sink *sink)
{
    KWM_ASSERT(truth->count < truth->cap);
    const uint32_t id = truth->count++;
    truth->samples[id] = *made;
    truth->samples[id].boot = truth->boot;
    const uint64_t bits = chance(truth, id);
    const char unit = (char)('a' + made->unit);
    const struct hal_text tag_values[] = {{.s = &unit, .len = 1}, {.s = mode_of(bits), .len = 2}};
    const char *note = note_of(bits);
    const char *extra = extra_of(bits);
    truth->poisoned += extra[0] != '\0' ? 1U : 0U;
    truth->was_merged[made->name] = truth->was_merged[made->name] || made->is_late;
    const struct hal_value values[FIELD_COUNT] = {
        [FIELD_ID] = {.kind = HAL_KIND_INT, .i = id},
        [FIELD_TEMP] = {.kind = HAL_KIND_FIXED,
                        .scale = 3,
                        .i = temp_of(bits, (enum sim_manner)made->manner)},
        [FIELD_LOAD] = {.kind = has_load(bits) ? HAL_KIND_DOUBLE : HAL_KIND_NONE,
                        .d = load_of(bits)},
        [FIELD_NOTE] = {.kind = HAL_KIND_STRING, .s = note, .len = (uint16_t)strlen(note)},
        [FIELD_EXTRA] = {.kind = extra[0] != '\0' ? HAL_KIND_STRING : HAL_KIND_NONE,
                         .s = extra,
                         .len = (uint16_t)strlen(extra)},
    };
    const struct hal_point point = {
        .schema = &schemas[made->sensor], .tags = tag_values, .values = values};
    (void)sink->put(sink, &point);
    return &truth->samples[id];
}

bool sim_truth_is_twin(const struct sim_truth *truth)
{
    return mode_of(chance(truth, truth->count)) == mode_of(chance(truth, truth->count - 2U));
}

/** A line's parts: single spaces between them, as the dialect has it. */
struct parts {
    const char *fields;
    size_t head_len; /**< measurement and tags */
    size_t fields_len;
    int64_t stamp_ms;
};

static bool split(const char *text, size_t len, struct parts *parts)
{
    const char *space = memchr(text, ' ', len);
    if (space == NULL) {
        return false;
    }
    parts->head_len = (size_t)(space - text);
    parts->fields = space + 1;
    const char *second = memchr(space + 1, ' ', len - parts->head_len - 1U);
    if (second == NULL || text + len - second != 14) {
        return false;
    }
    parts->fields_len = (size_t)(second - parts->fields);
    parts->stamp_ms = 0;
    for (const char *c = second + 1; c < text + len; c++) {
        parts->stamp_ms = parts->stamp_ms * 10 + (*c - '0');
    }
    return true;
}

/** Measurement and tags as the line of a sample must have them. */
static size_t make_head(const struct sim_sample *sample, char *out, size_t cap)
{
    const int len =
        snprintf(out, cap, "%s,host='sim-1',unit='%c'%s", schemas[sample->name].measurement,
                 (char)('a' + sample->unit), sample->has_extra_tag ? ",unit2='x'" : "");
    return (size_t)len;
}

static bool is_text(const char *value, size_t len, const char *text)
{
    return len == strlen(text) + 2U && value[0] == '\'' && value[len - 1U] == '\'' &&
           memcmp(value + 1, text, len - 2U) == 0;
}

/** One field of a line. @return whether the sample has it so. */
static bool is_true(uint32_t id, uint64_t bits, enum sim_manner manner, const char *name,
                    size_t name_len, const char *value, size_t len)
{
    char *end = NULL;
    if (name_len == 2) { /* id */
        return strtoull(value, &end, 10) == id && *end == 'i' && end + 1 == value + len;
    }
    switch (name[0]) {
    case 't': {
        const double temp = strtod(value, &end);
        const double mantissa = temp * 1000.0 + (temp < 0 ? -0.5 : 0.5);
        return end == value + len && (int64_t)mantissa == temp_of(bits, manner);
    }
    case 'l': {
        const double load = strtod(value, &end);
        const double wanted = load_of(bits);
        return end == value + len && has_load(bits) && memcmp(&load, &wanted, sizeof(load)) == 0;
    }
    case 'n':
        return is_text(value, len, note_of(bits));
    case 'e':
        return is_text(value, len, extra_of(bits)) && len > 2;
    case 'm':
        return is_text(value, len, mode_of(bits));
    default:
        return false;
    }
}

/** Number of the sample that a line claims to be. @return false if it has none. */
static bool find_id(const struct parts *parts, uint32_t *id)
{
    const char *at = parts->fields;
    const char *end = at + parts->fields_len;
    while (end - at > 3 && memcmp(at, "id=", 3) != 0) {
        at = memchr(at, ',', (size_t)(end - at));
        if (at == NULL) {
            return false;
        }
        at++;
    }
    if (end - at <= 3) {
        return false;
    }
    *id = (uint32_t)strtoul(at + 3, NULL, 10);
    return true;
}

static bool has_true_values(const struct sim_truth *truth, uint32_t id, const struct parts *parts)
{
    const uint64_t bits = chance(truth, id);
    const enum sim_manner manner = (enum sim_manner)truth->samples[id].manner;
    unsigned count = 0;
    const char *at = parts->fields;
    const char *end = at + parts->fields_len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        if (equals == NULL || !is_true(id, bits, manner, at, (size_t)(equals - at), equals + 1,
                                       (size_t)(stop - equals - 1))) {
            return false;
        }
        count++;
        at = stop + 1;
    }
    return count == 4U + (has_load(bits) ? 1U : 0U) + (extra_of(bits)[0] != '\0' ? 1U : 0U);
}

/** What the clock said could be the offset of a sample: the one in force when it was appended, or
 *  the first one if there was none yet. */
static bool has_true_time(const struct sim_truth *truth, const struct sim_sample *sample,
                          int64_t stamp_ms)
{
    const uint64_t until_ms = sample->put_ms + (sample->is_late ? MERGE_MS : 0);
    const int64_t latest_ms = (int64_t)sample->begun_ms + TWIN_SLACK_MS + CLOCK_SLACK_MS;
    const int64_t earliest_ms =
        (int64_t)sample->begun_ms - (int64_t)truth->late_ms_max - LATE_MS - CLOCK_SLACK_MS;
    for (uint32_t i = truth->clock_count; i-- > 0;) {
        const struct sim_clock *clock = &truth->clocks[i];
        const bool is_first = i == 0 || clock[-1].boot != clock->boot;
        if (clock->boot != sample->boot || (clock->from_ms > until_ms && !is_first)) {
            continue;
        }
        const int64_t boot_ms = stamp_ms - clock->offset_ms;
        if (boot_ms >= earliest_ms && boot_ms <= latest_ms) {
            return true;
        }
        if (clock->from_ms <= sample->put_ms) {
            break;
        }
    }
    return false;
}

static uint32_t hash_line(const char *text, size_t len)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    }
    return hash | 1U;
}

/** The first time that a line of this sample comes: in its turn? */
static void look_at_order(struct sim_truth *truth, uint32_t id)
{
    const unsigned name = truth->samples[id].name;
    if (truth->was_merged[name]) {
        return;
    }
    if (id + 1U < truth->newest[name]) {
        sim_truth_violate(truth, "order: sample %u of %s comes after its sample %u", id,
                          schemas[name].measurement, truth->newest[name] - 1U);
    }
    truth->newest[name] = id + 1U > truth->newest[name] ? id + 1U : truth->newest[name];
}

static void look_at_content(struct sim_truth *truth, uint32_t id, const struct parts *parts,
                            const char *text, size_t len)
{
    const struct sim_sample *sample = &truth->samples[id];
    char head[96];
    const size_t head_len = make_head(sample, head, sizeof(head));
    if (head_len != parts->head_len || memcmp(head, text, head_len) != 0) {
        sim_truth_violate(truth, "value: sample %u was of %s, but its row says %.*s", id, head,
                          (int)parts->head_len, text);
    } else if (!has_true_values(truth, id, parts)) {
        sim_truth_violate(truth, "value: sample %u was not as its row says: %.*s", id, (int)len,
                          text);
    } else if (!has_true_time(truth, sample, parts->stamp_ms)) {
        sim_truth_violate(truth, "time: sample %u was read %llu ms after boot, its row says %lld",
                          id, (unsigned long long)sample->begun_ms, (long long)parts->stamp_ms);
    }
}

void sim_truth_hear(struct sim_truth *truth, const char *text, size_t len, bool is_stored)
{
    struct parts parts;
    uint32_t id = 0;
    if (!split(text, len, &parts) || !find_id(&parts, &id) || id >= truth->count) {
        sim_truth_violate(truth, "value: no sample was so: %.*s", (int)len, text);
        return;
    }
    struct sim_sample *sample = &truth->samples[id];
    const uint32_t content = hash_line(text, len);
    truth->hash = (truth->hash ^ content) * 1099511628211ULL;
    if (sample->content == 0) {
        look_at_content(truth, id, &parts, text, len);
        sample->content = content;
    } else if (sample->content != content) {
        sim_truth_violate(truth, "retry: sample %u came again with other bytes: %.*s", id, (int)len,
                          text);
    }
    if (!sample->was_in_turn && !truth->is_out_of_turn) {
        sample->was_in_turn = true;
        look_at_order(truth, id);
    }
    if (!is_stored && sample->batch != truth->batch) {
        sample->batch = truth->batch;
        truth->refused++;
    } else if (is_stored && sample->stamp_ms == 0) {
        sample->stamp_ms = parts.stamp_ms;
        truth->stored++;
    }
}
