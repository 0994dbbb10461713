/* SPDX-License-Identifier: MIT */
/* mem: /proc/meminfo, in bytes. What a kernel does not report is left out: high and low memory on
 * 64 bits, MemAvailable before 3.14 (then available is free and cached). */
#include <string.h>

#include "linux/input_list.h"

enum field {
    ACTIVE,
    AVAILABLE,
    AVAILABLE_PERCENT,
    BUFFERED,
    CACHED,
    COMMIT_LIMIT,
    COMMITTED_AS,
    DIRTY,
    FREE,
    HIGH_FREE,
    HIGH_TOTAL,
    HUGE_PAGE_SIZE,
    HUGE_PAGES_FREE,
    HUGE_PAGES_TOTAL,
    INACTIVE,
    LOW_FREE,
    LOW_TOTAL,
    MAPPED,
    PAGE_TABLES,
    SHARED,
    SLAB,
    SRECLAIMABLE,
    SUNRECLAIM,
    SWAP_CACHED,
    SWAP_FREE,
    SWAP_TOTAL,
    TOTAL,
    USED,
    USED_PERCENT,
    VMALLOC_CHUNK,
    VMALLOC_TOTAL,
    VMALLOC_USED,
    WRITE_BACK,
    WRITE_BACK_TMP,
    PLAIN_COUNT,
    ACTIVE_ANON = PLAIN_COUNT, /* collect_extended from here on */
    ACTIVE_FILE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    PERCPU,
    UNEVICTABLE,
    FIELD_COUNT,
};

#define UINT(id, text) [id] = {.name = (text), .kind = HAL_KIND_UINT}
#define DOUBLE(id, text) [id] = {.name = (text), .kind = HAL_KIND_DOUBLE}
static const struct hal_field_def fields[FIELD_COUNT] = {
    UINT(ACTIVE, "active"),
    UINT(AVAILABLE, "available"),
    DOUBLE(AVAILABLE_PERCENT, "available_percent"),
    UINT(BUFFERED, "buffered"),
    UINT(CACHED, "cached"),
    UINT(COMMIT_LIMIT, "commit_limit"),
    UINT(COMMITTED_AS, "committed_as"),
    UINT(DIRTY, "dirty"),
    UINT(FREE, "free"),
    UINT(HIGH_FREE, "high_free"),
    UINT(HIGH_TOTAL, "high_total"),
    UINT(HUGE_PAGE_SIZE, "huge_page_size"),
    UINT(HUGE_PAGES_FREE, "huge_pages_free"),
    UINT(HUGE_PAGES_TOTAL, "huge_pages_total"),
    UINT(INACTIVE, "inactive"),
    UINT(LOW_FREE, "low_free"),
    UINT(LOW_TOTAL, "low_total"),
    UINT(MAPPED, "mapped"),
    UINT(PAGE_TABLES, "page_tables"),
    UINT(SHARED, "shared"),
    UINT(SLAB, "slab"),
    UINT(SRECLAIMABLE, "sreclaimable"),
    UINT(SUNRECLAIM, "sunreclaim"),
    UINT(SWAP_CACHED, "swap_cached"),
    UINT(SWAP_FREE, "swap_free"),
    UINT(SWAP_TOTAL, "swap_total"),
    UINT(TOTAL, "total"),
    UINT(USED, "used"),
    DOUBLE(USED_PERCENT, "used_percent"),
    UINT(VMALLOC_CHUNK, "vmalloc_chunk"),
    UINT(VMALLOC_TOTAL, "vmalloc_total"),
    UINT(VMALLOC_USED, "vmalloc_used"),
    UINT(WRITE_BACK, "write_back"),
    UINT(WRITE_BACK_TMP, "write_back_tmp"),
    UINT(ACTIVE_ANON, "active_anon"),
    UINT(ACTIVE_FILE, "active_file"),
    UINT(INACTIVE_ANON, "inactive_anon"),
    UINT(INACTIVE_FILE, "inactive_file"),
    UINT(PERCPU, "percpu"),
    UINT(UNEVICTABLE, "unevictable"),
};
#undef UINT
#undef DOUBLE

/** The kernel's names, in its order. */
static const struct {
    const char *key;
    uint8_t len;
    uint8_t field;
    uint16_t unit;
} keys[] = {
#define KEY(text, id, bytes)                                                   \
    {                                                                          \
        .key = (text), .len = sizeof(text) - 1, .field = (id), .unit = (bytes) \
    }
    KEY("MemTotal:", TOTAL, 1024),
    KEY("MemFree:", FREE, 1024),
    KEY("MemAvailable:", AVAILABLE, 1024),
    KEY("Buffers:", BUFFERED, 1024),
    KEY("Cached:", CACHED, 1024),
    KEY("SwapCached:", SWAP_CACHED, 1024),
    KEY("Active:", ACTIVE, 1024),
    KEY("Inactive:", INACTIVE, 1024),
    KEY("Active(anon):", ACTIVE_ANON, 1024),
    KEY("Inactive(anon):", INACTIVE_ANON, 1024),
    KEY("Active(file):", ACTIVE_FILE, 1024),
    KEY("Inactive(file):", INACTIVE_FILE, 1024),
    KEY("Unevictable:", UNEVICTABLE, 1024),
    KEY("HighTotal:", HIGH_TOTAL, 1024),
    KEY("HighFree:", HIGH_FREE, 1024),
    KEY("LowTotal:", LOW_TOTAL, 1024),
    KEY("LowFree:", LOW_FREE, 1024),
    KEY("SwapTotal:", SWAP_TOTAL, 1024),
    KEY("SwapFree:", SWAP_FREE, 1024),
    KEY("Dirty:", DIRTY, 1024),
    KEY("Writeback:", WRITE_BACK, 1024),
    KEY("Mapped:", MAPPED, 1024),
    KEY("Shmem:", SHARED, 1024),
    KEY("Slab:", SLAB, 1024),
    KEY("SReclaimable:", SRECLAIMABLE, 1024),
    KEY("SUnreclaim:", SUNRECLAIM, 1024),
    KEY("PageTables:", PAGE_TABLES, 1024),
    KEY("WritebackTmp:", WRITE_BACK_TMP, 1024),
    KEY("CommitLimit:", COMMIT_LIMIT, 1024),
    KEY("Committed_AS:", COMMITTED_AS, 1024),
    KEY("VmallocTotal:", VMALLOC_TOTAL, 1024),
    KEY("VmallocUsed:", VMALLOC_USED, 1024),
    KEY("VmallocChunk:", VMALLOC_CHUNK, 1024),
    KEY("Percpu:", PERCPU, 1024),
    KEY("HugePages_Total:", HUGE_PAGES_TOTAL, 1),
    KEY("HugePages_Free:", HUGE_PAGES_FREE, 1),
    KEY("Hugepagesize:", HUGE_PAGE_SIZE, 1024),
#undef KEY
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static struct {
    struct linux_gather base;
    struct hal_schema schema;
    const struct hal_schema *schemas[1];
} memory;

static struct linux_file file = LINUX_FILE(LINUX_ROOT_PROC, "meminfo");

const struct hal_option_def linux_mem_options[] = {
    {.key = "collect_extended",
     .help = "also active and inactive memory by kind, percpu and unevictable",
     .fallback = "false",
     .kind = HAL_OPTION_BOOL},
    {.key = NULL},
};

/** How the n-th line began the last time, and which entry it was (KEY_COUNT: none). The lines of a
 *  running kernel stay, and a third of them is of no use here. */
#define HEAD_LEN 16U /* no key is longer */
static struct {
    char head[HEAD_LEN];
    uint8_t found;
} seen[64];

_Static_assert(sizeof("HugePages_Total:") - 1U == HEAD_LEN, "the longest key fits into a head");

static size_t search(const struct linux_cursor *line)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        struct linux_cursor cursor = *line;
        if (*line->at == *keys[i].key && linux_take_prefix(&cursor, keys[i].key, keys[i].len)) {
            return i;
        }
    }
    return KEY_COUNT;
}

/** @param nth of the line. @return its entry, or KEY_COUNT if it has none. */
static size_t find(const struct linux_cursor *line, size_t nth)
{
    if (nth >= sizeof(seen) / sizeof(seen[0]) || (size_t)(line->end - line->at) < HEAD_LEN) {
        return search(line);
    }
    if (memcmp(seen[nth].head, line->at, HEAD_LEN) != 0) {
        memcpy(seen[nth].head, line->at, HEAD_LEN);
        seen[nth].found = (uint8_t)search(line);
    }
    return seen[nth].found;
}

/** Set the field of a line, if it is one of ours. */
static void read_line(struct linux_cursor *line, size_t nth, struct hal_value *values)
{
    if (line->at == line->end) {
        return;
    }
    const size_t found = find(line, nth);
    uint64_t number;
    if (found == KEY_COUNT) {
        return;
    }
    line->at += keys[found].len;
    if (linux_take_uint(line, &number) && number <= UINT64_MAX / keys[found].unit) {
        values[keys[found].field] = linux_uint(number * keys[found].unit);
    }
}

static bool has(const struct hal_value *value)
{
    return value->kind != HAL_KIND_NONE;
}

/** What follows from the kernel's numbers; as Telegraf has it since 1.36. */
static void derive(struct hal_value *values)
{
    if (has(&values[CACHED]) && has(&values[SRECLAIMABLE])) {
        values[CACHED].u += values[SRECLAIMABLE].u;
    }
    if (!has(&values[AVAILABLE]) && has(&values[FREE]) && has(&values[CACHED])) {
        values[AVAILABLE] = linux_uint(values[FREE].u + values[CACHED].u);
    }
    const uint64_t total = values[TOTAL].u;
    if (!has(&values[AVAILABLE]) || total == 0 || values[AVAILABLE].u > total) {
        return;
    }
    values[USED] = linux_uint(total - values[AVAILABLE].u);
    values[USED_PERCENT] = linux_percent(values[USED].u, total);
    values[AVAILABLE_PERCENT] = linux_percent(values[AVAILABLE].u, total);
}

static int gather(struct linux_gather *self, uint64_t now_ms, struct hal_sink *sink)
{
    (void)now_ms;
    struct hal_value values[FIELD_COUNT] = {{.kind = HAL_KIND_NONE}};
    struct linux_cursor line;
    size_t nth = 0;
    int err = linux_lines_begin(&file);
    while (err == KWM_OK && (err = linux_lines_next(&line)) > 0) {
        read_line(&line, nth++, values);
        err = KWM_OK;
    }
    if (err < 0) {
        return linux_sensor_fail_file(&self->base, err, &file);
    }
    if (!has(&values[TOTAL])) {
        return linux_sensor_fail(&self->base, KWM_ERR_CORRUPT, "%s/meminfo has no MemTotal",
                                 linux_root_path(LINUX_ROOT_PROC));
    }
    derive(values);
    (void)sink->put(sink, &(struct hal_point){.schema = &memory.schema, .values = values});
    return KWM_OK;
}

int linux_mem_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    const int slot = linux_input_claim(LINUX_INPUT_MEM, env);
    if (slot < 0) {
        return slot;
    }
    memory.schema = (struct hal_schema){
        .measurement = "mem",
        .fields = fields,
        .field_count = linux_option_flag(env, "collect_extended") ? FIELD_COUNT : PLAIN_COUNT,
    };
    memory.schemas[0] = &memory.schema;
    linux_gather_init(&memory.base, "mem", memory.schemas, 1, gather);
    *sensor = &memory.base.base.sensor;
    return KWM_OK;
}
