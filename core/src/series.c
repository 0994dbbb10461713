/* SPDX-License-Identifier: MIT */
#include "kwm/series.h"

#include <string.h>

#include "hal/assert.h"
#include "kwm/bytes.h"

void kwm_series_init(struct kwm_series_table *table, enum kwm_dialect dialect)
{
    KWM_ASSERT(table->slots != NULL && table->measurements != NULL && table->pool != NULL);
    KWM_ASSERT(table->slot_cap > 0 && table->slot_cap < KWM_SERIES_NONE);
    memset(table->slots, 0, sizeof(table->slots[0]) * table->slot_cap);
    for (unsigned i = 0; i < KWM_SERIES_BUCKETS; i++) {
        table->buckets[i] = KWM_SERIES_NONE;
    }
    table->pool_len = 0;
    table->measurement_count = 0;
    table->clock = 0;
    table->generation = 0;
    table->retired = 0;
    table->dialect = dialect;
    table->losses = (struct kwm_line_losses){0};
}

/** Take bytes out of the pool and close the gap. */
static void pool_remove(struct kwm_series_table *table, uint32_t off, uint32_t len)
{
    if (len == 0) {
        return;
    }
    const size_t tail = table->pool_len - off - len;
    memmove(table->pool + off, table->pool + off + len, tail);
    table->pool_len -= len;
    for (unsigned i = 0; i < table->slot_cap; i++) {
        struct kwm_series *series = &table->slots[i];
        if (series->decl_off > off) {
            series->decl_off -= len;
        }
        if (series->template_off > off) {
            series->template_off -= len;
        }
    }
}

static void forget_template(struct kwm_series_table *table, struct kwm_series *series)
{
    const uint32_t len = series->template_len;
    series->template_len = 0;
    pool_remove(table, series->template_off, len);
}

void kwm_series_set_dialect(struct kwm_series_table *table, enum kwm_dialect dialect)
{
    table->dialect = dialect;
    for (unsigned i = 0; i < table->slot_cap; i++) {
        forget_template(table, &table->slots[i]);
    }
}

static void unchain(struct kwm_series_table *table, unsigned slot)
{
    uint16_t *link = &table->buckets[table->slots[slot].hash % KWM_SERIES_BUCKETS];
    while (*link != slot) {
        KWM_ASSERT(*link != KWM_SERIES_NONE);
        link = &table->slots[*link].next;
    }
    *link = table->slots[slot].next;
}

static void retire(struct kwm_series_table *table, unsigned slot)
{
    struct kwm_series *series = &table->slots[slot];
    unchain(table, slot);
    forget_template(table, series);
    const uint32_t len = series->decl_len;
    series->decl_len = 0;
    pool_remove(table, series->decl_off, len);
    series->generation = 0;
    table->retired++;
}

/** @return the slot used longest ago other than `keep`, or KWM_SERIES_NONE. */
static unsigned oldest(const struct kwm_series_table *table, unsigned keep)
{
    unsigned found = KWM_SERIES_NONE;
    uint32_t age_max = 0;
    for (unsigned i = 0; i < table->slot_cap; i++) {
        const uint32_t age = table->clock - table->slots[i].used;
        if (table->slots[i].generation != 0 && i != keep &&
            (found == KWM_SERIES_NONE || age > age_max)) {
            found = i;
            age_max = age;
        }
    }
    return found;
}

/** Make the pool have len free bytes. @return whether it could. */
static bool make_room(struct kwm_series_table *table, size_t len, unsigned keep)
{
    while (table->pool_cap - table->pool_len < len) {
        const unsigned slot = oldest(table, keep);
        if (slot == KWM_SERIES_NONE) {
            return false;
        }
        retire(table, slot);
    }
    return true;
}

static unsigned free_slot(struct kwm_series_table *table)
{
    for (unsigned i = 0; i < table->slot_cap; i++) {
        if (table->slots[i].generation == 0) {
            return i;
        }
    }
    const unsigned slot = oldest(table, KWM_SERIES_NONE);
    retire(table, slot);
    return slot;
}

int kwm_series_measurement(struct kwm_series_table *table, struct hal_text name)
{
    KWM_ASSERT(name.len <= HAL_TEXT_LEN_MAX);
    for (unsigned i = 0; i < table->measurement_count; i++) {
        const char *known = table->measurements[i].name;
        if (memcmp(known, name.s, name.len) == 0 && known[name.len] == '\0') {
            return (int)i;
        }
    }
    if (table->measurement_count == table->measurement_cap) {
        return KWM_ERR_NOSPC;
    }
    char *out = table->measurements[table->measurement_count].name;
    memset(out, 0, sizeof(table->measurements[0].name));
    memcpy(out, name.s, name.len);
    return table->measurement_count++;
}

/** What the server tells rows of one stamp apart by: it would overwrite one with the other. */
static uint32_t hash_key(const struct kwm_decl *decl)
{
    uint32_t hash = kwm_hash(KWM_HASH_INIT, decl->bytes, 1U + decl->measurement.len);
    const uint8_t *cursor = decl->tags;
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        const uint8_t *const begin = cursor;
        cursor = kwm_decl_tag(cursor, &tag);
        hash = tag.role == HAL_TAG_PRIMARY ? kwm_hash(hash, begin, (size_t)(cursor - begin)) : hash;
    }
    return hash;
}

static bool is_twin(const struct kwm_series *series, uint32_t key_hash)
{
    return series->generation != 0 && series->key_hash == key_hash;
}

/** Tell the twins (other fields, other tags that are not primary) that there is one more. @return
 *  whether there are any, and their newest tick. */
static bool join_twins(struct kwm_series_table *table, uint32_t key_hash, uint64_t *newest)
{
    bool is_any = false;
    *newest = 0;
    for (unsigned i = 0; i < table->slot_cap; i++) {
        struct kwm_series *series = &table->slots[i];
        if (is_twin(series, key_hash)) {
            is_any = true;
            series->has_twin = true;
            *newest = series->tick_newest > *newest ? series->tick_newest : *newest;
        }
    }
    return is_any;
}

void kwm_series_give_tick(struct kwm_series_table *table, unsigned slot, uint64_t tick)
{
    const struct kwm_series *given = &table->slots[slot];
    KWM_ASSERT(slot < table->slot_cap && tick > given->tick_newest);
    table->slots[slot].tick_newest = tick;
    for (unsigned i = 0; given->has_twin && i < table->slot_cap; i++) {
        if (is_twin(&table->slots[i], given->key_hash)) {
            table->slots[i].tick_newest = tick;
        }
    }
}

static int take_in(struct kwm_series_table *table, const struct kwm_decl *decl, uint32_t hash)
{
    const int measurement = kwm_series_measurement(table, decl->measurement);
    if (measurement < 0) {
        return measurement;
    }
    const uint32_t key_hash = hash_key(decl);
    uint64_t tick = 0;
    const bool has_twin = join_twins(table, key_hash, &tick); /* before one makes room */
    const unsigned slot = free_slot(table);
    if (!make_room(table, decl->len, KWM_SERIES_NONE)) {
        return KWM_ERR_NOSPC;
    }
    struct kwm_series *series = &table->slots[slot];
    table->generation++;
    *series = (struct kwm_series){
        .hash = hash,
        .key_hash = key_hash,
        .generation = table->generation,
        .used = ++table->clock,
        .decl_off = (uint32_t)table->pool_len,
        .decl_len = decl->len,
        .next = table->buckets[hash % KWM_SERIES_BUCKETS],
        .measurement = (uint16_t)measurement,
        .identity_len = decl->identity_len,
        .tags_off = (uint16_t)(decl->tags - decl->bytes),
        .fields_off = (uint16_t)(decl->fields - decl->bytes),
        .tag_count = decl->tag_count,
        .field_count = decl->field_count,
        .tick_newest = tick,
        .has_twin = has_twin,
    };
    memcpy(table->pool + table->pool_len, decl->bytes, decl->len);
    table->pool_len += decl->len;
    table->buckets[hash % KWM_SERIES_BUCKETS] = (uint16_t)slot;
    return (int)slot;
}

int kwm_series_intern(struct kwm_series_table *table, const uint8_t *bytes, size_t len)
{
    const uint32_t hash = kwm_hash(KWM_HASH_INIT, bytes, len);
    unsigned slot = table->buckets[hash % KWM_SERIES_BUCKETS];
    while (slot != KWM_SERIES_NONE) {
        struct kwm_series *series = &table->slots[slot];
        if (series->hash == hash && series->decl_len == len &&
            memcmp(table->pool + series->decl_off, bytes, len) == 0) {
            series->used = ++table->clock;
            return (int)slot;
        }
        slot = series->next;
    }
    struct kwm_decl decl;
    const int err = kwm_decl_parse(&decl, bytes, len);
    return err != KWM_OK ? err : take_in(table, &decl, hash);
}

bool kwm_series_use(struct kwm_series_table *table, unsigned slot, uint32_t generation)
{
    KWM_ASSERT(slot < table->slot_cap);
    if (generation == 0 || table->slots[slot].generation != generation) {
        return false;
    }
    table->slots[slot].used = ++table->clock;
    return true;
}

void kwm_series_decl(const struct kwm_series_table *table, unsigned slot, struct kwm_decl *decl)
{
    const struct kwm_series *series = &table->slots[slot];
    KWM_ASSERT(slot < table->slot_cap && series->generation != 0);
    const uint8_t *bytes = table->pool + series->decl_off;
    *decl = (struct kwm_decl){
        .bytes = bytes,
        .len = series->decl_len,
        .identity_len = series->identity_len,
        .measurement = {.s = (const char *)bytes + 1, .len = bytes[0]},
        .tags = bytes + series->tags_off,
        .fields = bytes + series->fields_off,
        .tag_count = series->tag_count,
        .field_count = series->field_count,
    };
}

/** Build at the end of the pool, retiring others until it fits. @return length or an error. */
static int build_template(struct kwm_series_table *table, unsigned slot)
{
    struct kwm_line_losses losses = {0};
    for (unsigned tries = 0; tries <= table->slot_cap; tries++) {
        struct kwm_decl decl;
        kwm_series_decl(table, slot, &decl);
        losses = (struct kwm_line_losses){0};
        const int len =
            kwm_line_template(table->pool + table->pool_len, table->pool_cap - table->pool_len,
                              table->dialect, &decl, &losses);
        if (len != KWM_ERR_NOSPC) {
            table->losses.replaced += losses.replaced;
            return len;
        }
        const unsigned victim = oldest(table, slot);
        if (victim == KWM_SERIES_NONE) {
            return KWM_ERR_NOSPC;
        }
        retire(table, victim);
    }
    return KWM_ERR_NOSPC;
}

const uint8_t *kwm_series_template(struct kwm_series_table *table, unsigned slot)
{
    struct kwm_series *series = &table->slots[slot];
    KWM_ASSERT(slot < table->slot_cap && series->generation != 0);
    series->used = ++table->clock;
    if (series->template_len == 0) {
        const int len = build_template(table, slot);
        if (len < 0) {
            return NULL;
        }
        series->template_off = (uint32_t)table->pool_len;
        series->template_len = (uint16_t)len;
        table->pool_len += (size_t)len;
    }
    return table->pool + series->template_off;
}
