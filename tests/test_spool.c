/* SPDX-License-Identifier: MIT */
/*
 * Goal:   the log gives back every sample that it still has, as it was put in, in order; it tells
 *         of each one that it lets go; and damaged bytes never become a wrong sample.
 * Method: a model (an array) beside the log, over many laps round the sectors, for several program
 *         sizes and sector sizes; then every byte of a log flipped in turn; and a golden image.
 */
#include <string.h>

#include "kwm/bytes.h"
#include "kwm/spool.h"
#include "ram/ram_flash.h"
#include "sim/sim_flash.h"
#include "support.h"

#define SAMPLES_MAX 20000U
#define SERIES_MAX 8U

struct model_sample {
    uint8_t series;
    int64_t mantissa;
    uint64_t tick;
    bool has_text;
    bool is_dropped;
};

static uint8_t bytes[64U * 4096U];
static struct ram_flash flash;
static struct sim_flash slow_flash;
static struct kwm_series slots[SERIES_MAX];
static struct kwm_measurement measurements[4];
static uint8_t pool[4096];
static struct kwm_local locals[2][16];
static uint8_t scratch[2][KWM_SPOOL_PAYLOAD_LEN_MAX + KWM_RECORD_OVERHEAD];
static uint8_t stage[4096];
static struct kwm_series_table table;
static struct kwm_spool spool;
static struct kwm_reader reader, dropper;
static struct model_sample model[SAMPLES_MAX];
static uint64_t drops;
static uint64_t drop_expected;
static unsigned unreadable; /* told of samples that could not be read */

static void on_drop(void *ctx, uint64_t seq, unsigned measurement)
{
    (void)ctx;
    assert_int_equal(seq, drop_expected); /* in order, none left out, none twice */
    drop_expected++;
    unreadable += measurement == KWM_SERIES_NONE ? 1U : 0U;
    assert_true(measurement < table.measurement_count || measurement == KWM_SERIES_NONE);
    model[seq].is_dropped = true;
    drops++;
}

static void begin_on(struct hal_flash *medium)
{
    memset(bytes, 0xA5, sizeof(bytes)); /* what was there before must not matter */
    table = (struct kwm_series_table){.slots = slots,
                                      .measurements = measurements,
                                      .pool = pool,
                                      .pool_cap = sizeof(pool),
                                      .slot_cap = SERIES_MAX,
                                      .measurement_cap = 4};
    kwm_series_init(&table, KWM_DIALECT_KWDB);
    reader = (struct kwm_reader){.locals = locals[0], .local_cap = 16, .scratch = scratch[0]};
    dropper = (struct kwm_reader){.locals = locals[1], .local_cap = 16, .scratch = scratch[1]};
    const struct kwm_spool_config config = {.flash = medium,
                                            .series = &table,
                                            .stage = stage,
                                            .stage_cap = sizeof(stage),
                                            .on_drop = on_drop,
                                            .dropper = &dropper};
    assert_int_equal(kwm_spool_init(&spool, &config), KWM_OK);
    reader.spool = &spool;
    memset(model, 0, sizeof(model));
    drops = 0;
    drop_expected = 0;
    unreadable = 0;
}

static void begin(uint32_t sector_len, uint32_t sector_count, uint16_t prog_len)
{
    assert_true((size_t)sector_len * sector_count <= sizeof(bytes));
    ram_flash_init(&flash, bytes, sector_len, sector_count, prog_len);
    begin_on(&flash.flash);
}

static void begin_slow(uint32_t sector_len, uint32_t sector_count, uint16_t prog_len)
{
    const struct hal_flash_geometry geometry = {
        .sector_len = sector_len, .sector_count = sector_count, .prog_len = prog_len};
    assert_true((size_t)sector_len * sector_count <= sizeof(bytes));
    sim_flash_init(&slow_flash, bytes, &geometry);
    begin_on(&slow_flash.flash);
}

/** Series n of measurement m<n % 3>: a number and a text. */
static int series(unsigned n)
{
    static const char *const names[] = {"m0", "m1", "m2"};
    uint8_t decl[128];
    char unit = (char)('a' + n);
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, decl, sizeof(decl), (struct hal_text){names[n % 3], 2});
    kwm_decl_build_tag(&builder, &(struct kwm_decl_tag){.key = {"unit", 4}, .value = {&unit, 1}});
    kwm_decl_build_field(&builder, &(struct kwm_decl_field){
                                       .name = {"temp", 4}, .kind = HAL_KIND_FIXED, .scale = 2});
    kwm_decl_build_field(&builder,
                         &(struct kwm_decl_field){.name = {"text", 4}, .kind = HAL_KIND_STRING});
    const int len = kwm_decl_build_end(&builder);
    assert_true(len > 0);
    return kwm_series_intern(&table, decl, (size_t)len);
}

static int append(unsigned n, uint64_t tick, int64_t mantissa, bool has_text, uint64_t *seq)
{
    const int slot = series(n);
    assert_true(slot >= 0);
    const struct hal_value values[2] = {
        {.kind = HAL_KIND_FIXED, .scale = 2, .i = mantissa},
        {.kind = has_text ? HAL_KIND_STRING : HAL_KIND_NONE, .s = "some text", .len = 9},
    };
    const int err = kwm_spool_append(&spool, (unsigned)slot, tick, values, seq);
    if (err == KWM_OK) {
        assert_true(*seq < SAMPLES_MAX);
        model[*seq] = (struct model_sample){
            .series = (uint8_t)n, .mantissa = mantissa, .tick = tick, .has_text = has_text};
    }
    return err;
}

static void assert_sample(const struct kwm_sample *sample)
{
    const struct model_sample *expected = &model[sample->seq];
    struct hal_value values[HAL_FIELDS_MAX];
    assert_false(expected->is_dropped);
    assert_int_equal(kwm_sample_values(&spool, sample, values), KWM_OK);
    assert_int_equal(values[0].kind, HAL_KIND_FIXED);
    assert_int_equal(values[0].i, expected->mantissa);
    assert_int_equal(values[1].kind, expected->has_text ? HAL_KIND_STRING : HAL_KIND_NONE);
    if (expected->has_text) {
        assert_int_equal(values[1].len, 9);
        assert_memory_equal(values[1].s, "some text", 9);
    }
    assert_int_equal(sample->tick, expected->tick);
    struct kwm_decl decl;
    struct kwm_decl_tag tag;
    kwm_series_decl(&table, sample->slot, &decl);
    (void)kwm_decl_tag(decl.tags, &tag);
    assert_int_equal(tag.value.s[0], 'a' + expected->series);
}

/** Read everything from a place on. @return samples seen. */
static unsigned assert_log_from(uint64_t from)
{
    struct kwm_sample sample;
    unsigned budget = UINT32_MAX;
    unsigned count = 0;
    kwm_reader_seek(&reader, from);
    uint64_t expected = from > spool.seq_first ? from : spool.seq_first;
    while (kwm_reader_next(&reader, &sample, &budget) == 1) {
        assert_int_equal(sample.seq, expected);
        expected++;
        count++;
        assert_sample(&sample);
    }
    assert_int_equal(expected, spool.seq_next);
    return count;
}

static void test_laps(void **state)
{
    static const struct {
        uint32_t sector_len, sector_count;
        uint16_t prog_len;
    } cases[] = {{512, 4, 1},     {512, 64, 1},   {1024, 16, 8}, {4096, 16, 32},
                 {4096, 16, 256}, {2048, 4, 256}, {4096, 64, 1}};
    (void)state;
    uint64_t random = support_seed();
    print_message("  seed %llu\n", (unsigned long long)random);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  sectors of %u, %u of them, program size %u\n", cases[i].sector_len,
                      cases[i].sector_count, cases[i].prog_len);
        begin(cases[i].sector_len, cases[i].sector_count, cases[i].prog_len);
        for (unsigned n = 0; n < SAMPLES_MAX; n++) {
            uint64_t seq = 0;
            const uint64_t bits = support_random(&random);
            assert_int_equal(append((unsigned)(bits % 8U), 1000U + n * 7U,
                                    (int64_t)bits >> (bits % 60U), (bits & 256U) != 0, &seq),
                             KWM_OK);
            assert_int_equal(seq, n);
            if (n % 997U == 0) {
                (void)assert_log_from(bits % (n + 1U));
            }
        }
        assert_true(assert_log_from(0) > 20);
        assert_int_equal(drops, spool.seq_first);
        assert_int_equal(unreadable, 0);
        assert_int_equal(spool.counters.corrupt_sectors, 0);
        assert_int_equal(spool.counters.flash_errors, 0);
    }
}

static void test_reader_goes_back(void **state)
{
    (void)state;
    begin(1024, 16, 1);
    uint64_t seq = 0;
    for (unsigned n = 0; n < 300; n++) {
        assert_int_equal(append(n % 5U, n + 1U, n, false, &seq), KWM_OK);
    }
    struct kwm_sample sample;
    struct kwm_reader_mark mark;
    unsigned budget = UINT32_MAX;
    for (uint64_t from = spool.seq_first; from < 300; from += 13) {
        kwm_reader_seek(&reader, from);
        kwm_reader_mark(&reader, &mark);
        for (unsigned pass = 0; pass < 2; pass++) {
            for (uint64_t at = from; at < 300; at++) {
                assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
                assert_int_equal(sample.seq, at);
                assert_sample(&sample);
            }
            kwm_reader_return(&reader, &mark);
        }
    }
}

/** A mark late in a sector, another sector read, the first one read anew but not as far: the
 *  declarations that stand between are not at hand. */
static void test_mark_outlives_its_declarations(void **state)
{
    (void)state;
    begin(1024, 16, 1);
    uint64_t seq = 0;
    for (unsigned n = 0; n < 80; n++) {
        assert_int_equal(append(n / 2U % 8U, n + 1U, n, false, &seq), KWM_OK);
    }
    struct kwm_sample sample;
    struct kwm_reader_mark mark;
    unsigned budget = UINT32_MAX;
    kwm_reader_seek(&reader, 0);
    for (unsigned n = 0; n < 12; n++) {
        assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
    }
    kwm_reader_mark(&reader, &mark);
    const uint32_t first_sector = reader.sector_seq;
    while (kwm_reader_next(&reader, &sample, &budget) == 1) {
        assert_sample(&sample);
    }
    assert_true(reader.sector_seq > first_sector);
    kwm_reader_seek(&reader, 1);
    assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
    assert_int_equal(reader.sector_seq, first_sector);
    kwm_reader_return(&reader, &mark);
    for (unsigned n = 12; n < 80; n++) {
        assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
        assert_int_equal(sample.seq, n);
        assert_sample(&sample);
    }
    assert_int_equal(spool.counters.corrupt_sectors, 0);
}

static void test_pinned_samples_stay(void **state)
{
    (void)state;
    begin(512, 4, 1);
    uint64_t seq = 0;
    unsigned taken = 0;
    for (unsigned n = 0; n < 10; n++) {
        assert_int_equal(append(0, n + 1U, n, false, &seq), KWM_OK);
    }
    kwm_spool_pin(&spool, 5);
    while (append(0, 100U + taken, 1, false, &seq) == KWM_OK) {
        taken++;
        assert_true(taken < 1000);
    }
    assert_int_equal(seq, spool.seq_next - 1U); /* what was refused took no number */
    assert_true(spool.seq_first <= 5);
    assert_log_from(5);
    kwm_spool_pin(&spool, KWM_SEQ_NONE);
    assert_int_equal(append(0, 5000, 1, false, &seq), KWM_OK);
    assert_true(spool.seq_first > 5);
}

static void test_equal_ticks_are_kept_apart(void **state)
{
    (void)state;
    begin(4096, 4, 1);
    uint64_t seq = 0;
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(append(0, 77, n, false, &seq), KWM_OK);
        model[seq].tick = 77 + n;
    }
    assert_int_equal(append(0, 12, 9, false, &seq), KWM_OK); /* back in time: the next free one */
    model[seq].tick = 80;
    assert_int_equal(append(3, 77, 9, false, &seq),
                     KWM_OK); /* another series of that measurement */
    assert_int_equal(assert_log_from(0), 5);
}

/** Every kind comes back as it went in, in all combinations of what is present. */
static void test_kinds(void **state)
{
    static const struct hal_value given[2][6] = {
        {{.kind = HAL_KIND_INT, .i = INT64_MIN},
         {.kind = HAL_KIND_UINT, .u = UINT64_MAX},
         {.kind = HAL_KIND_DOUBLE, .d = -0.1},
         {.kind = HAL_KIND_FIXED, .scale = 3, .i = INT64_MAX},
         {.kind = HAL_KIND_BOOL, .b = true},
         {.kind = HAL_KIND_STRING, .s = "text", .len = 4}},
        {{.kind = HAL_KIND_INT, .i = 0},
         {.kind = HAL_KIND_UINT, .u = 127},
         {.kind = HAL_KIND_DOUBLE, .d = 1e300},
         {.kind = HAL_KIND_FIXED, .scale = 3, .i = -1},
         {.kind = HAL_KIND_BOOL, .b = false},
         {.kind = HAL_KIND_STRING, .s = "", .len = 0}}};
    (void)state;
    uint8_t decl[128];
    struct kwm_decl_builder builder;
    begin(4096, 16, 1);
    kwm_decl_build(&builder, decl, sizeof(decl), (struct hal_text){"m0", 2});
    for (unsigned i = 0; i < 6; i++) {
        const char name = (char)('a' + i);
        kwm_decl_build_field(&builder, &(struct kwm_decl_field){.name = {&name, 1},
                                                                .kind = given[0][i].kind,
                                                                .scale = given[0][i].scale});
    }
    const int slot = kwm_series_intern(&table, decl, (size_t)kwm_decl_build_end(&builder));
    assert_true(slot >= 0);
    reader.sector_seq = 0;
    for (unsigned n = 2; n < 128; n++) { /* bit 0: which values; the others: what is there */
        struct hal_value values[6];
        struct hal_value back[HAL_FIELDS_MAX];
        struct kwm_sample sample;
        uint64_t seq = 0;
        unsigned budget = 1000;
        memcpy(values, given[n & 1U], sizeof(values));
        for (unsigned i = 0; i < 6; i++) {
            /* Absent: nothing, another kind or scale, no number. */
            if ((n >> (i + 1U) & 1U) == 0) {
                values[i].kind = n % 3U == 0 ? HAL_KIND_NONE : 7;
            }
        }
        assert_int_equal(kwm_spool_append(&spool, (unsigned)slot, n, values, &seq), KWM_OK);
        kwm_reader_seek(&reader, seq);
        assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
        assert_int_equal(kwm_sample_values(&spool, &sample, back), KWM_OK);
        assert_int_equal(sample.is_partial, n >> 1 != 63);
        for (unsigned i = 0; i < 6; i++) {
            const bool is_there = (n >> (i + 1U) & 1U) != 0;
            assert_int_equal(back[i].kind, is_there ? values[i].kind : HAL_KIND_NONE);
            if (!is_there) {
                continue;
            }
            assert_int_equal(back[i].scale, values[i].scale);
            if (values[i].kind == HAL_KIND_STRING) {
                assert_int_equal(back[i].len, values[i].len);
                assert_memory_equal(back[i].s, values[i].s, values[i].len);
            } else if (values[i].kind == HAL_KIND_BOOL) {
                assert_int_equal(back[i].b, values[i].b);
            } else {
                assert_memory_equal(&back[i].u, &values[i].u, sizeof(values[i].u));
            }
        }
        /* Cut anywhere, it is no sample. */
        for (uint16_t len = 0; len < sample.values_len; len++) {
            struct kwm_sample cut = sample;
            cut.values_len = len;
            assert_int_equal(kwm_sample_values(&spool, &cut, back), KWM_ERR_CORRUPT);
        }
    }
}

static void test_nothing_present_is_no_sample(void **state)
{
    (void)state;
    begin(4096, 4, 1);
    const struct hal_value none[2] = {{.kind = HAL_KIND_NONE}, {.kind = HAL_KIND_NONE}};
    uint64_t seq = 99;
    assert_int_equal(kwm_spool_append(&spool, (unsigned)series(0), 1, none, &seq), KWM_ERR_NOENT);
    assert_int_equal(seq, 99);
    assert_int_equal(spool.seq_next, 0);
}

static void test_epochs_date_what_is_under_them(void **state)
{
    (void)state;
    begin(512, 8, 1);
    const int64_t base = INT64_C(1790000000000);
    uint64_t seq = 0;
    assert_int_equal(append(0, 100, 0, false, &seq), KWM_OK); /* before the time is known */
    kwm_spool_set_wall(&spool, 2000, 2000, (struct hal_wall){HAL_WALL_SET, base + 2000},
                       KWM_EPOCH_SYSTEM);
    assert_int_equal(append(0, 200, 0, false, &seq), KWM_OK);
    kwm_spool_set_wall(&spool, 3000, 3000, (struct hal_wall){HAL_WALL_SET, base + 3400},
                       KWM_EPOCH_SYSTEM);
    assert_int_equal(append(0, 300, 0, false, &seq), KWM_OK); /* 400 ms are no step */
    kwm_spool_set_wall(&spool, 4000, 4000, (struct hal_wall){HAL_WALL_SET, base + 9000},
                       KWM_EPOCH_SYSTEM);
    assert_int_equal(append(0, 400, 0, false, &seq), KWM_OK); /* forward by 5 s */
    kwm_spool_set_wall(&spool, 5000, 5000, (struct hal_wall){HAL_WALL_SET, base + 5000},
                       KWM_EPOCH_SYSTEM);
    assert_int_equal(append(0, 500, 0, false, &seq), KWM_OK); /* back: another phase */
    static const int64_t expected[] = {1000, 2000, 3000, 9000, 5001};
    struct kwm_sample sample;
    unsigned budget = UINT32_MAX;
    for (unsigned lap = 0; lap < 2; lap++) {
        kwm_reader_seek(&reader, 0);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
            assert_int_equal(sample.stamp_ms, base + expected[i]);
        }
        /* A sector that begins later restates the epoch; the old ones keep theirs. */
        for (unsigned n = 0; lap == 0 && n < 20; n++) {
            assert_int_equal(append(1, 600 + n, 0, true, &seq), KWM_OK);
        }
    }
    while (kwm_reader_next(&reader, &sample, &budget) == 1) {
        assert_int_equal(sample.stamp_ms, base + (int64_t)sample.tick * 10 + 1);
    }
}

static void test_flipped_bytes_never_make_a_wrong_sample(void **state)
{
    static uint8_t image[4U * 512U];
    (void)state;
    begin(512, 4, 1);
    uint64_t seq = 0;
    for (unsigned n = 0; n < 60; n++) {
        assert_int_equal(append(n % 3U, n + 1U, (int64_t)n * 1000 - 7, n % 4U == 0, &seq), KWM_OK);
    }
    memcpy(image, bytes, sizeof(image));
    unsigned lost = 0;
    for (size_t at = 0; at < sizeof(image) * 8U; at++) {
        memcpy(bytes, image, sizeof(image));
        bytes[at / 8U] = (uint8_t)(bytes[at / 8U] ^ (1U << (at % 8U)));
        struct kwm_sample sample;
        unsigned budget = 10000;
        uint64_t newest = 0;
        unsigned count = 0;
        reader.sector_seq = 0;
        kwm_reader_seek(&reader, 0);
        while (kwm_reader_next(&reader, &sample, &budget) == 1) {
            assert_true(count == 0 || sample.seq > newest);
            newest = sample.seq;
            count++;
            assert_sample(&sample);
        }
        assert_true(budget > 0);
        lost += 60U - (unsigned)spool.seq_first - count;
    }
    assert_true(lost > 0); /* else the flips were not seen at all */
    memcpy(bytes, image, sizeof(image));
}

/** Put a record into the head as it is, with a right checksum. */
static void put_raw(uint8_t type, const char *payload, uint8_t len)
{
    uint8_t *to = bytes + spool.head * flash.flash.geometry.sector_len + spool.off;
    to[0] = type;
    to[1] = len;
    memcpy(to + 2, payload, len);
    kwm_put_u32(to + 2 + len, kwm_crc32c(spool.sector_seq, to, 2U + len));
    spool.off += 6U + len;
    spool.stage_off = spool.off;
}

/** What a later version may write is passed over; what cannot be right ends the sector. */
static void test_records_of_others(void **state)
{
    static const struct {
        const char *name;
        uint8_t type;
        const char *payload;
        uint8_t len;
        bool ends;
    } cases[] = {
        {"a type of the future", 9, "abc", 3, false},
        {"a checkpoint", KWM_RECORD_CHECKPOINT, "abc", 3, false},
        {"a dead letter", KWM_RECORD_DEAD, "", 0, false},
        {"another boot", KWM_RECORD_BOOT, "\7\0\0\0\0\0\0\0\0\0\0", 12, false},
        {"a boot cut short", KWM_RECORD_BOOT, "\7\0\0\0\0\0\0\0\0\0", 11, true},
        {"an epoch of another boot", KWM_RECORD_EPOCH, "\7\0\0\0\0\0\0\0\0\0\0\0\1\1", 14, false},
        {"an epoch without a phase", KWM_RECORD_EPOCH, "\1\0\0\0\0\0\0\0\0\0\0\0\12\1", 14, true},
        {"an epoch cut short", KWM_RECORD_EPOCH, "\1\0\0\0\0\0\0\0\0\0\0\0\1", 13, true},
        {"an empty sample", KWM_RECORD_SAMPLE, "", 0, true},
        {"a sample without a tick", KWM_RECORD_SAMPLE, "\0\3", 2, true},
        {"a sample of no series", KWM_RECORD_SAMPLE, "\5\3\0\0", 4, true},
        {"a declaration that is none", KWM_RECORD_DECL, "\5x", 2, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  %s\n", cases[i].name);
        begin(4096, 4, 1);
        uint64_t seq = 0;
        for (unsigned n = 0; n < 3; n++) {
            assert_int_equal(append(n, n + 1U, n, false, &seq), KWM_OK);
        }
        put_raw(cases[i].type, cases[i].payload, cases[i].len);
        struct kwm_sample sample;
        unsigned budget = 100;
        unsigned count = 0;
        assert_int_equal(append(0, 4, 4, false, &seq), KWM_OK);
        kwm_reader_seek(&reader, 0);
        while (kwm_reader_next(&reader, &sample, &budget) == 1) {
            count++;
        }
        assert_int_equal(count, cases[i].ends ? 3 : 4);
        assert_int_equal(spool.counters.corrupt_sectors, cases[i].ends ? 1 : 0);
        assert_int_equal(sample.boot_id,
                         cases[i].type == KWM_RECORD_BOOT && !cases[i].ends ? 7 : 1);
    }
}

static void test_golden_image(void **state)
{
    (void)state;
    begin(512, 4, 1);
    uint64_t seq = 0;
    kwm_spool_set_wall(&spool, 1000, 1000, (struct hal_wall){HAL_WALL_SET, INT64_C(1790000000000)},
                       KWM_EPOCH_SYSTEM);
    assert_int_equal(append(0, 100, 2143, true, &seq), KWM_OK);
    assert_int_equal(append(0, 200, -5, false, &seq), KWM_OK);
    static uint8_t golden[512];
    const size_t len = support_read_file("data/spool/golden.bin", (char *)golden, sizeof(golden));
    assert_int_equal(len, spool.off);
    assert_memory_equal(bytes, golden, len);
}

/** However far ahead, the next sample costs the records of one sector at most. */
static void test_seeking_ahead_costs_a_sector(void **state)
{
    (void)state;
    begin(1024, 64, 1);
    uint64_t seq = 0;
    for (unsigned n = 0; n < 2000; n++) {
        assert_int_equal(append(n % 5U, n + 1U, n, false, &seq), KWM_OK);
    }
    struct kwm_sample sample;
    for (uint64_t to = 1; to < 2000; to += 111) {
        unsigned budget = 1024U / 12U + 2U; /* no record of it is under 12 bytes */
        kwm_reader_seek(&reader, 0);
        assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
        kwm_reader_seek(&reader, to);
        assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
        assert_int_equal(sample.seq, to);
        assert_sample(&sample);
    }
}

static int append_long(unsigned name_len)
{
    static char name[HAL_TEXT_LEN_MAX];
    uint8_t decl[1024];
    struct kwm_decl_builder builder;
    memset(name, 'x', sizeof(name));
    kwm_decl_build(&builder, decl, sizeof(decl), (struct hal_text){"m0", 2});
    for (unsigned i = 0; i < 2; i++) {
        name[0] = (char)('a' + i);
        kwm_decl_build_field(
            &builder, &(struct kwm_decl_field){.name = {name, (uint16_t)name_len}, .kind = 1});
    }
    const int len = kwm_decl_build_end(&builder);
    const int slot = kwm_series_intern(&table, decl, (size_t)len);
    const struct hal_value values[2] = {{.kind = HAL_KIND_INT, .i = 1},
                                        {.kind = HAL_KIND_INT, .i = 2}};
    uint64_t seq = 0;
    assert_true(slot >= 0);
    return kwm_spool_append(&spool, (unsigned)slot, 5, values, &seq);
}

/** What could not be had in an empty sector must not cost what is there. */
static void test_what_can_never_fit_costs_nothing(void **state)
{
    (void)state;
    begin(512, 4, 1);
    uint64_t seq = 0;
    for (unsigned n = 0; n < 30; n++) {
        assert_int_equal(append(0, n + 1U, n, false, &seq), KWM_OK);
    }
    const uint32_t sector_seq = spool.sector_seq;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(append_long(250), KWM_ERR_NOSPC);
    }
    assert_int_equal(spool.sector_seq, sector_seq);
    assert_int_equal(assert_log_from(0), 30);
    /* The longest that fits does, whatever is in the head; a byte more does not. */
    unsigned longest = 100;
    while (append_long(longest) == KWM_OK) {
        longest++;
    }
    /* 2 * (name and 2) and 5 of the declaration; head, epoch, and what the records may take. */
    const unsigned taken = KWM_SPOOL_HEADER_LEN + 21U + 2U * (longest - 1U + 2U) + 5U + 7U;
    assert_in_range(512 - taken, 25 + 2 + 7 + 3, 25 + 2 + 7 + 3 + 2);
}

/** While flash is behind, what the stage cannot take is refused: the head is not given up for
 *  it. */
static void test_a_full_stage_is_no_full_sector(void **state)
{
    (void)state;
    begin_slow(4096, 8, 1);
    spool.config.stage_cap = 800;
    uint64_t seq = 0;
    for (unsigned i = 0; i < 4; i++) {
        kwm_spool_step(&spool);
    }
    slow_flash.script.prog_polls = UINT32_MAX;
    unsigned taken = 0;
    while (append(0, taken + 1U, taken, true, &seq) == KWM_OK) {
        taken++;
        assert_true(taken < 100);
    }
    assert_in_range(taken, 8, 40);
    assert_int_equal(spool.sector_seq, 1);
    slow_flash.script.prog_polls = slow_flash.polls + 2U; /* it ends while an append tries */
    for (unsigned n = 0; n < 30; n++) {
        taken += append(0, 100U + n, n, true, &seq) == KWM_OK ? 1U : 0U;
    }
    assert_int_equal(spool.sector_seq, 1);
    slow_flash.script.prog_polls = 0;
    assert_int_equal(assert_log_from(0), taken);
}

/** An epoch that finds no room is there before the next record all the same. */
static void test_epoch_waits_for_room(void **state)
{
    (void)state;
    const int64_t base = INT64_C(1790000000000);
    begin_slow(4096, 8, 1);
    spool.config.stage_cap = 800;
    kwm_spool_set_wall(&spool, 0, 0, (struct hal_wall){HAL_WALL_SET, base}, KWM_EPOCH_SYSTEM);
    kwm_spool_step(&spool);
    kwm_spool_step(&spool);
    slow_flash.script.prog_polls = UINT32_MAX;
    uint64_t seq = 0;
    unsigned taken = 0;
    while (append(0, taken + 1U, taken, false, &seq) == KWM_OK) {
        taken++;
    }
    spool.config.stage_cap = spool.stage_len + 10U; /* no room for an epoch either */
    kwm_spool_set_wall(&spool, 1000, 1000, (struct hal_wall){HAL_WALL_SET, base + 100000},
                       KWM_EPOCH_SYSTEM);
    assert_true(spool.is_epoch_due);
    spool.config.stage_cap = 800;
    slow_flash.script.prog_polls = 0;
    kwm_spool_step(&spool);
    assert_int_equal(append(0, 1000, 0, false, &seq), KWM_OK);
    assert_int_equal(spool.sector_seq, 1);
    struct kwm_sample sample;
    unsigned budget = 1000;
    kwm_reader_seek(&reader, seq - 1U);
    assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
    assert_int_equal(sample.stamp_ms, base + (int64_t)taken * 10);
    assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
    assert_int_equal(sample.stamp_ms, base + 99000 + 10000);
}

/** A medium that fails costs what was on its way, is counted, and is written on. */
static void test_flash_that_fails(void **state)
{
    static const uint16_t prog_lens[] = {1, 16, 256};
    (void)state;
    for (size_t i = 0; i < sizeof(prog_lens) / sizeof(prog_lens[0]); i++) {
        print_message("  program size %u\n", prog_lens[i]);
        begin_slow(2048, 6, prog_lens[i]);
        uint64_t seq = 0;
        for (unsigned n = 0; n < 3000; n++) {
            slow_flash.script.fails_prog = n % 101U == 100U;
            slow_flash.script.fails_erase = n % 7U == 0;
            for (unsigned tries = 0; append(n % 4U, n + 1U, n, n % 3U == 0, &seq) != KWM_OK;) {
                assert_true(++tries < 20);
            }
        }
        slow_flash.script = (struct sim_flash_script){0};
        assert_true(spool.counters.flash_errors > 5);
        struct kwm_sample sample;
        unsigned budget = 100000;
        unsigned count = 0;
        reader.sector_seq = 0;
        kwm_reader_seek(&reader, 0);
        while (kwm_reader_next(&reader, &sample, &budget) == 1) {
            assert_sample(&sample);
            count++;
        }
        assert_in_range(count, 50, spool.seq_next - spool.seq_first);
        assert_int_equal(drops, spool.seq_first);
        assert_in_range(unreadable, 1, drops / 2U);
    }
}

static void test_unreadable_head_costs_its_sector(void **state)
{
    (void)state;
    begin(512, 8, 1);
    uint64_t seq = 0;
    while (spool.sector_seq < 7) {
        assert_int_equal(append(0, spool.seq_next + 1U, 1, false, &seq), KWM_OK);
    }
    bytes[2U * 512U + 20U] ^= 1U; /* the head of the third sector */
    const uint64_t before = spool.seq_next;
    while (spool.seq_first == 0 || spool.tail < 2) {
        assert_int_equal(append(0, spool.seq_next + 1U, 1, false, &seq), KWM_OK);
    }
    assert_true(spool.seq_first < before); /* not all of it */
    assert_in_range(unreadable, 10, 512 / 12);
    struct kwm_sample sample;
    unsigned budget = 10000;
    kwm_reader_seek(&reader, 0);
    assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
    assert_int_equal(sample.seq, spool.seq_first);
}

static void test_impossible_geometries_are_refused(void **state)
{
    static const struct hal_flash_geometry cases[] = {
        {.sector_len = 256, .sector_count = 4, .prog_len = 1},
        {.sector_len = 4096, .sector_count = 3, .prog_len = 1},
        {.sector_len = 4096, .sector_count = 4, .prog_len = 3},
        {.sector_len = 4096, .sector_count = 4, .prog_len = 512},
        {.sector_len = 1000, .sector_count = 4, .prog_len = 16},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(512, 4, 1);
        flash.flash.geometry = cases[i];
        const struct kwm_spool_config config = spool.config;
        assert_int_equal(kwm_spool_init(&spool, &config), KWM_ERR_INVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_laps),
        cmocka_unit_test(test_reader_goes_back),
        cmocka_unit_test(test_mark_outlives_its_declarations),
        cmocka_unit_test(test_pinned_samples_stay),
        cmocka_unit_test(test_equal_ticks_are_kept_apart),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_nothing_present_is_no_sample),
        cmocka_unit_test(test_epochs_date_what_is_under_them),
        cmocka_unit_test(test_flipped_bytes_never_make_a_wrong_sample),
        cmocka_unit_test(test_records_of_others),
        cmocka_unit_test(test_golden_image),
        cmocka_unit_test(test_seeking_ahead_costs_a_sector),
        cmocka_unit_test(test_what_can_never_fit_costs_nothing),
        cmocka_unit_test(test_a_full_stage_is_no_full_sector),
        cmocka_unit_test(test_epoch_waits_for_room),
        cmocka_unit_test(test_flash_that_fails),
        cmocka_unit_test(test_unreadable_head_costs_its_sector),
        cmocka_unit_test(test_impossible_geometries_are_refused),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
