/* SPDX-License-Identifier: MIT */
#include "kwm/collect.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"

static struct hal_text text_of(const char *s)
{
    return (struct hal_text){.s = s, .len = (uint16_t)strlen(s)};
}

const char *kwm_input_measurement(const struct kwm_input *input, unsigned schema)
{
    const char *name = input->config.name_override;
    return name[0] != '\0' ? name : input->config.sensor->schemas[schema]->measurement;
}

static struct hal_wall wall_now(const struct kwm_collector *c, uint64_t now_ms)
{
    return kwm_epochs_wall(&c->config.spool->epochs, now_ms);
}

static uint32_t random_bits(const struct kwm_collector *c)
{
    return c->config.random(c->config.ctx);
}

/** Whether another input may speak of the same measurement. */
static bool is_shared(const struct kwm_collector *c, unsigned index, unsigned schema)
{
    const char *name = kwm_input_measurement(&c->config.inputs[index], schema);
    for (unsigned i = 0; i < c->config.input_count; i++) {
        const struct kwm_input *other = &c->config.inputs[i];
        for (unsigned s = 0; i != index && s < other->config.sensor->schema_count; s++) {
            if (strcmp(name, kwm_input_measurement(other, s)) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int put(struct hal_sink *sink, const struct hal_point *point);

void kwm_collector_init(struct kwm_collector *c, const struct kwm_collector_config *config,
                        uint64_t now_ms, bool is_first_now)
{
    KWM_ASSERT(config->spool != NULL && config->delivery != NULL && config->inputs != NULL);
    KWM_ASSERT(config->row_cap > 0 && config->rows != NULL);
    memset(c, 0, sizeof(*c));
    c->sink.put = put;
    c->config = *config;
    for (unsigned i = 0; i < config->row_cap; i++) {
        config->rows[i].is_used = false;
    }
    for (unsigned i = 0; i < config->input_count; i++) {
        struct kwm_input *input = &config->inputs[i];
        KWM_ASSERT(input->config.sensor->schema_count <= KWM_COLLECT_SCHEMAS_MAX);
        input->merges = 0;
        for (unsigned s = 0; s < input->config.sensor->schema_count; s++) {
            if (is_shared(c, i, s)) {
                input->merges = (uint8_t)(input->merges | (1U << s));
            }
        }
        kwm_schedule_init(&input->schedule, &input->config.schedule, now_ms, wall_now(c, now_ms),
                          is_first_now, random_bits(c));
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t kwm_collector_oldest_ms(const struct kwm_collector *c, uint64_t now_ms)
{
    uint64_t oldest_ms = now_ms;
    for (unsigned i = 0; i < c->config.input_count; i++) {
        const struct kwm_input *input = &c->config.inputs[i];
        if (input->is_reading) {
            oldest_ms = earlier(oldest_ms, input->tick * KWM_TICK_MS);
        }
        if (!c->is_held) { /* its instant may have come, and only its jitter is awaited */
            oldest_ms = earlier(oldest_ms, input->schedule.instant_ms);
        }
    }
    for (unsigned i = 0; i < c->config.row_cap; i++) {
        if (c->config.rows[i].is_used) {
            oldest_ms = earlier(oldest_ms, c->config.rows[i].tick * KWM_TICK_MS);
        }
    }
    return oldest_ms;
}

void kwm_collector_realign(struct kwm_collector *c, uint64_t now_ms)
{
    for (unsigned i = 0; i < c->config.input_count; i++) {
        kwm_schedule_realign(&c->config.inputs[i].schedule, now_ms, wall_now(c, now_ms),
                             random_bits(c));
    }
}

/** All tags of a point, sorted by key. The sensor's own win over the input's, those over global
 *  ones. */
struct tag_list {
    struct kwm_decl_tag list[HAL_TAGS_MAX];
    unsigned count;
    bool is_over;
};

static int compare(struct hal_text a, struct hal_text b)
{
    const int order = memcmp(a.s, b.s, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (int)a.len - (int)b.len;
}

static void add_tag(struct tag_list *tags, struct hal_text key, struct hal_text value, uint8_t role)
{
    unsigned at = tags->count;
    while (at > 0 && compare(tags->list[at - 1U].key, key) > 0) {
        at--;
    }
    if (at > 0 && compare(tags->list[at - 1U].key, key) == 0) {
        return;
    }
    if (tags->count == HAL_TAGS_MAX) {
        tags->is_over = true;
        return;
    }
    memmove(&tags->list[at + 1U], &tags->list[at], (tags->count - at) * sizeof(tags->list[0]));
    tags->list[at] = (struct kwm_decl_tag){.key = key, .value = value, .role = role};
    tags->count++;
}

static void gather_tags(const struct kwm_collector *c, const struct kwm_input *input,
                        const struct hal_point *point, struct tag_list *tags)
{
    const struct hal_schema *schema = point->schema;
    for (unsigned i = 0; i < schema->tag_count; i++) {
        const struct hal_tag_def *def = &schema->tags[i];
        if (point->tags[i].s != NULL && (point->tags[i].len > 0 || def->role == HAL_TAG_PRIMARY)) {
            add_tag(tags, text_of(def->key), point->tags[i], def->role);
        }
    }
    if (c->config.host.s != NULL) {
        add_tag(tags, text_of("host"), c->config.host, HAL_TAG_PRIMARY);
    }
    for (unsigned i = 0; i < input->config.tag_count; i++) {
        add_tag(tags, input->config.tags[i].key, input->config.tags[i].value, HAL_TAG_CONSTANT);
    }
    for (unsigned i = 0; i < c->config.tag_count; i++) {
        add_tag(tags, c->config.tags[i].key, c->config.tags[i].value, HAL_TAG_CONSTANT);
    }
}

/** Begin a declaration with everything but the fields. @return whether there are not too many
 *  tags. */
static bool build_identity(struct kwm_collector *c, const struct kwm_input *input, unsigned schema,
                           const struct hal_point *point, struct kwm_decl_builder *builder)
{
    struct tag_list tags = {.count = 0};
    gather_tags(c, input, point, &tags);
    kwm_decl_build(builder, c->decl, sizeof(c->decl),
                   text_of(kwm_input_measurement(input, schema)));
    for (unsigned i = 0; i < tags.count; i++) {
        kwm_decl_build_tag(builder, &tags.list[i]);
    }
    return !tags.is_over;
}

static void build_field(struct kwm_decl_builder *builder, const struct hal_field_def *def)
{
    const struct kwm_decl_field field = {
        .name = text_of(def->name), .kind = def->kind, .scale = def->scale};
    kwm_decl_build_field(builder, &field);
}

static void lose(struct kwm_collector *c, const char *measurement, enum kwm_fate fate)
{
    const int index = kwm_series_measurement(c->config.spool->config.series, text_of(measurement));
    kwm_delivery_lost(c->config.delivery, index >= 0 ? (unsigned)index : KWM_SERIES_NONE, fate);
}

/** @return the slot of the declaration that was built; or an error, and one sample is counted as
 *  lost. */
static int intern(struct kwm_collector *c, struct kwm_decl_builder *builder,
                  const char *measurement)
{
    const int len = kwm_decl_build_end(builder);
    const int slot =
        len < 0 ? len : kwm_series_intern(c->config.spool->config.series, c->decl, (size_t)len);
    if (slot < 0) {
        lose(c, measurement, len < 0 ? KWM_FATE_DROPPED_TOO_LONG : KWM_FATE_DROPPED_NO_ROOM);
    }
    return slot;
}

/** Append to a series. Counts what is lost. */
static int append(struct kwm_collector *c, unsigned slot, uint64_t tick,
                  const struct hal_value *values)
{
    uint64_t seq = 0;
    const unsigned index = c->config.spool->config.series->slots[slot].measurement;
    const int err = kwm_spool_append(c->config.spool, slot, tick, values, &seq);
    if (err == KWM_OK) {
        kwm_delivery_collected(c->config.delivery, index);
        c->points++;
    } else if (err != KWM_ERR_NOENT) {
        kwm_delivery_lost(c->config.delivery, index, KWM_FATE_DROPPED_NO_ROOM);
    }
    return err;
}

/** What makes a point's series, beside what stays the same while the collector runs.
 *  @return bytes of the key, 0 if it is too long to be remembered. */
static size_t put_key(char *key, unsigned input, unsigned schema, const struct hal_point *point)
{
    size_t len = 2;
    key[0] = (char)input;
    key[1] = (char)schema;
    for (unsigned i = 0; i < point->schema->tag_count; i++) {
        const struct hal_text *tag = &point->tags[i];
        const size_t value_len = tag->s != NULL ? tag->len : 0;
        if (KWM_COLLECT_MEMO_LEN_MAX - len < 1U + value_len) {
            return 0;
        }
        key[len++] = (char)(tag->s != NULL ? value_len : UINT8_MAX);
        memcpy(key + len, tag->s != NULL ? tag->s : "", value_len);
        len += value_len;
    }
    return len;
}

/** Build the declaration of a point. @return its slot; or an error, and the point was counted. */
static int declare(struct kwm_collector *c, const struct kwm_input *input, unsigned schema,
                   const struct hal_point *point)
{
    struct kwm_decl_builder builder;
    const char *measurement = kwm_input_measurement(input, schema);
    if (!build_identity(c, input, schema, point, &builder)) {
        lose(c, measurement, KWM_FATE_DROPPED_TOO_LONG);
        return KWM_ERR_NOSPC;
    }
    for (unsigned i = 0; i < point->schema->field_count; i++) {
        if ((input->config.masks[schema] >> i & 1U) != 0) {
            build_field(&builder, &point->schema->fields[i]);
        }
    }
    return intern(c, &builder, measurement);
}

/** @return what is remembered under a key, NULL if nothing is. */
static struct kwm_collect_memo *find_memo(struct kwm_collector *c, const char *key, size_t len)
{
    unsigned at = c->memo_at;
    for (unsigned i = 0; i < KWM_COLLECT_MEMOS; i++) {
        struct kwm_collect_memo *memo = &c->memos[at];
        at = at + 1U < KWM_COLLECT_MEMOS ? at + 1U : 0;
        if (memo->key_len == len && memcmp(memo->key, key, len) == 0) {
            c->memo_at = (uint8_t)at;
            return memo;
        }
    }
    return NULL;
}

/** @return the memo that is written over next. */
static struct kwm_collect_memo *next_memo(struct kwm_collector *c)
{
    struct kwm_collect_memo *memo = &c->memos[c->memo_next];
    c->memo_next = (uint8_t)((c->memo_next + 1U) % KWM_COLLECT_MEMOS);
    return memo;
}

/** @return the slot of a point's series; or an error, and the point was counted. */
static int find_slot(struct kwm_collector *c, const struct kwm_input *input, unsigned schema,
                     const struct hal_point *point)
{
    char key[KWM_COLLECT_MEMO_LEN_MAX];
    const size_t len = put_key(key, c->current, schema, point);
    struct kwm_series_table *table = c->config.spool->config.series;
    struct kwm_collect_memo *memo = len > 0 ? find_memo(c, key, len) : NULL;
    if (memo != NULL && kwm_series_use(table, memo->slot, memo->generation)) {
        return memo->slot;
    }
    const int slot = declare(c, input, schema, point);
    if (slot >= 0 && len > 0) {
        memo = memo != NULL ? memo : next_memo(c);
        memo->generation = table->slots[slot].generation;
        memo->slot = (uint16_t)slot;
        memo->key_len = (uint8_t)len;
        memcpy(memo->key, key, len);
    }
    return slot;
}

static int put_direct(struct kwm_collector *c, const struct kwm_input *input, unsigned schema,
                      const struct hal_point *point)
{
    struct hal_value values[HAL_FIELDS_MAX];
    const int slot = find_slot(c, input, schema, point);
    if (slot < 0) {
        return slot;
    }
    const uint64_t mask = input->config.masks[schema];
    if ((mask & (mask + 1U)) == 0) { /* the first ones, most often all of them */
        return append(c, (unsigned)slot, input->tick, point->values);
    }
    unsigned count = 0;
    for (unsigned i = 0; i < point->schema->field_count; i++) {
        if ((mask >> i & 1U) != 0) {
            values[count++] = point->values[i];
        }
    }
    return append(c, (unsigned)slot, input->tick, values);
}

static void close_row(struct kwm_collector *c, struct kwm_row *row)
{
    struct kwm_decl decl;
    struct kwm_decl_builder builder;
    row->is_used = false;
    memcpy(c->decl, row->identity, row->identity_len);
    c->decl[row->identity_len] = 0;
    const int err = kwm_decl_parse(&decl, c->decl, row->identity_len + 1U);
    KWM_ASSERT(err == KWM_OK);
    const struct hal_text name = {.s = (const char *)row->identity + 1, .len = row->identity[0]};
    kwm_decl_build(&builder, c->decl, sizeof(c->decl), name);
    const uint8_t *cursor = row->identity + (decl.tags - decl.bytes);
    for (unsigned i = 0; i < decl.tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        kwm_decl_build_tag(&builder, &tag);
    }
    for (unsigned i = 0; i < row->field_count; i++) {
        build_field(&builder, row->fields[i]);
    }
    char measurement[HAL_TEXT_LEN_MAX + 1U] = {0};
    memcpy(measurement, name.s, name.len);
    const int slot = intern(c, &builder, measurement);
    if (slot >= 0) {
        (void)append(c, (unsigned)slot, row->tick, row->values);
    }
}

/** @return the row of an identity and instant, a new one if there is none; NULL if it cannot be
 *  held. */
static struct kwm_row *find_row(struct kwm_collector *c, size_t identity_len, uint64_t tick)
{
    struct kwm_row *unused = NULL;
    for (unsigned i = 0; i < c->config.row_cap; i++) {
        struct kwm_row *row = &c->config.rows[i];
        if (!row->is_used) {
            unused = row;
        } else if (row->tick == tick && row->identity_len == identity_len &&
                   memcmp(row->identity, c->decl, identity_len) == 0) {
            return row;
        }
    }
    if (unused == NULL || identity_len > sizeof(unused->identity)) {
        return NULL;
    }
    unused->is_used = true;
    unused->tick = tick;
    unused->identity_len = (uint16_t)identity_len;
    unused->text_len = 0;
    unused->field_count = 0;
    memcpy(unused->identity, c->decl, identity_len);
    return unused;
}

static void tell_conflict(struct kwm_collector *c, const struct kwm_row *row, unsigned field)
{
    c->conflicts++;
    const uint32_t hash = kwm_hash(KWM_HASH_INIT, &row->fields[field], sizeof(row->fields[0])) | 1U;
    if (hash == c->told_conflict) {
        return;
    }
    c->told_conflict = hash;
    const struct kwm_event event = {
        .code = KWM_EVENT_CONFLICT,
        .name = c->config.inputs[row->inputs[field]].config.name,
        .text = c->config.inputs[c->current].config.name,
        .line = row->fields[field]->name,
        .line_len = (uint16_t)strlen(row->fields[field]->name),
    };
    c->config.events.put(c->config.events.ctx, &event);
}

/** Add one field to a row. @return KWM_OK, or KWM_ERR_NOSPC. */
static int add_field(struct kwm_collector *c, struct kwm_row *row, const struct hal_field_def *def,
                     const struct hal_value *value)
{
    for (unsigned i = 0; i < row->field_count; i++) {
        if (strcmp(row->fields[i]->name, def->name) == 0) {
            tell_conflict(c, row, i);
            return KWM_OK;
        }
    }
    const size_t text_len = value->kind == HAL_KIND_STRING ? value->len : 0;
    if (row->field_count == HAL_FIELDS_MAX || row->text_len + text_len > sizeof(row->text)) {
        return KWM_ERR_NOSPC;
    }
    const unsigned at = row->field_count++;
    row->fields[at] = def;
    row->inputs[at] = (uint8_t)c->current;
    row->values[at] = *value;
    if (value->kind == HAL_KIND_STRING) {
        memcpy(row->text + row->text_len, value->s, text_len);
        row->values[at].s = row->text + row->text_len;
        row->text_len = (uint16_t)(row->text_len + text_len);
    }
    return KWM_OK;
}

static int put_merged(struct kwm_collector *c, const struct kwm_input *input, unsigned schema,
                      const struct hal_point *point)
{
    struct kwm_decl_builder builder;
    const bool is_fine = build_identity(c, input, schema, point, &builder);
    const int len = is_fine ? kwm_decl_build_end(&builder) : KWM_ERR_NOSPC;
    struct kwm_row *row = len > 0 ? find_row(c, (size_t)len - 1U, input->tick) : NULL;
    if (row == NULL) {
        lose(c, kwm_input_measurement(input, schema), KWM_FATE_DROPPED_NO_ROOM);
        return KWM_ERR_NOSPC;
    }
    int err = KWM_OK;
    for (unsigned i = 0; i < point->schema->field_count; i++) {
        if ((input->config.masks[schema] >> i & 1U) != 0 &&
            point->values[i].kind != HAL_KIND_NONE) {
            const int added = add_field(c, row, &point->schema->fields[i], &point->values[i]);
            err = err == KWM_OK ? added : err;
        }
    }
    return err;
}

static int put(struct hal_sink *sink, const struct hal_point *point)
{
    struct kwm_collector *c = (struct kwm_collector *)sink;
    const struct kwm_input *input = &c->config.inputs[c->current];
    for (unsigned s = 0; !c->is_priming && s < input->config.sensor->schema_count; s++) {
        if (input->config.sensor->schemas[s] == point->schema) {
            return (input->merges >> s & 1U) != 0 ? put_merged(c, input, s, point)
                                                  : put_direct(c, input, s, point);
        }
    }
    return c->is_priming ? KWM_OK : KWM_ERR_INVAL; /* a point outside the sensor's own list */
}

static void tell_sensor(struct kwm_collector *c, struct kwm_input *input, int err, const char *text)
{
    const uint32_t hash = err == KWM_OK ? 0 : (kwm_hash((uint32_t)err, text, strlen(text)) | 1U);
    if (hash == input->told) {
        return;
    }
    input->told = hash;
    const struct kwm_event event = {
        .code = err == KWM_OK ? KWM_EVENT_SENSOR_OK : KWM_EVENT_SENSOR,
        .err = err,
        .name = input->config.name,
        .text = text,
        .line = "",
    };
    c->config.events.put(c->config.events.ctx, &event);
}

static void failed(struct kwm_collector *c, struct kwm_input *input, int err, const char *text)
{
    input->is_reading = false;
    input->errors++;
    tell_sensor(c, input, err, text);
}

static void begin(struct kwm_collector *c, struct kwm_input *input, uint64_t instant_ms,
                  uint64_t now_ms)
{
    input->tick = instant_ms / KWM_TICK_MS;
    input->deadline_ms = now_ms + input->config.deadline_ms;
    const int err = hal_sensor_begin(input->config.sensor, now_ms);
    if (err != KWM_OK) {
        failed(c, input, err, input->config.sensor->detail);
        return;
    }
    input->is_reading = true;
}

static void poll(struct kwm_collector *c, unsigned index, uint64_t now_ms)
{
    struct kwm_input *input = &c->config.inputs[index];
    c->current = index;
    const int done = hal_sensor_poll(input->config.sensor, now_ms, &c->sink);
    if (done < 0) {
        failed(c, input, done, input->config.sensor->detail);
    } else if (done > 0) {
        input->is_reading = false;
        input->gathers++;
        tell_sensor(c, input, KWM_OK, "");
    } else if (now_ms >= input->deadline_ms) {
        hal_sensor_cancel(input->config.sensor);
        input->timeouts++;
        failed(c, input, KWM_ERR_TIMEOUT, "no answer before its deadline");
    }
}

/** Whether an input may still add to rows of this instant. */
static bool is_awaited(const struct kwm_collector *c, uint64_t tick)
{
    for (unsigned i = 0; i < c->config.input_count; i++) {
        const struct kwm_input *input = &c->config.inputs[i];
        const bool is_coming = !c->is_held && input->schedule.instant_ms / KWM_TICK_MS == tick;
        if (input->merges != 0 && (is_coming || (input->is_reading && input->tick == tick))) {
            return true;
        }
    }
    return false;
}

static void close_rows(struct kwm_collector *c)
{
    for (;;) {
        struct kwm_row *oldest = NULL;
        for (unsigned i = 0; i < c->config.row_cap; i++) {
            struct kwm_row *row = &c->config.rows[i];
            if (row->is_used && (oldest == NULL || row->tick < oldest->tick)) {
                oldest = row;
            }
        }
        if (oldest == NULL || is_awaited(c, oldest->tick)) {
            return;
        }
        close_row(c, oldest);
    }
}

uint64_t kwm_collector_step(struct kwm_collector *c, uint64_t now_ms)
{
    uint64_t wake = KWM_TIME_NEVER;
    for (unsigned i = 0; i < c->config.input_count; i++) {
        struct kwm_input *input = &c->config.inputs[i];
        struct kwm_tick tick;
        if (!c->is_held && !input->is_reading &&
            kwm_schedule_take(&input->schedule, now_ms, wall_now(c, now_ms), random_bits(c),
                              &tick)) {
            input->missed += tick.missed;
            begin(c, input, tick.instant_ms, now_ms);
        }
        if (input->is_reading) {
            poll(c, i, now_ms);
        }
        const uint64_t due = c->is_held ? KWM_TIME_NEVER : input->schedule.due_ms;
        const uint64_t next = input->is_reading ? now_ms + KWM_COLLECT_POLL_MS : due;
        wake = next < wake ? next : wake;
    }
    close_rows(c);
    return wake;
}

void kwm_collector_gather(struct kwm_collector *c, uint64_t now_ms)
{
    for (unsigned i = 0; i < c->config.input_count; i++) {
        struct kwm_input *input = &c->config.inputs[i];
        if (!input->is_reading) {
            begin(c, input, now_ms, now_ms);
        }
    }
}

bool kwm_collector_is_busy(const struct kwm_collector *c)
{
    for (unsigned i = 0; i < c->config.input_count; i++) {
        if (c->config.inputs[i].is_reading) {
            return true;
        }
    }
    return false;
}

void kwm_collector_cancel(struct kwm_collector *c)
{
    for (unsigned i = 0; i < c->config.input_count; i++) {
        if (c->config.inputs[i].is_reading) {
            hal_sensor_cancel(c->config.inputs[i].config.sensor);
            c->config.inputs[i].is_reading = false;
        }
    }
    for (unsigned i = 0; i < c->config.row_cap; i++) {
        if (c->config.rows[i].is_used) {
            close_row(c, &c->config.rows[i]);
        }
    }
}
