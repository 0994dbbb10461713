/* SPDX-License-Identifier: MIT */
/*
 * Goal:   after a power cut at any byte that is programmed or erased, the log has every sample that
 *         a checkpoint had saved and that did not make room, none that is torn, and none twice; and
 *         the same after a second cut while it goes on.
 * Method: a medium that counts bytes, stops at the n-th one and leaves it torn in one of three
 *         ways; a workload of some laps is repeated with a cut at each place (KWM_CUTS of them,
 *         evenly spread), for several program and sector sizes, with and without held records.
 */
#include <string.h>

#include "kwm/bytes.h"
#include "kwm/spool.h"
#include "support.h"

#define BYTES_MAX (16U * 4096U)
#define SAMPLES_MAX 4000U
#define SERIES_MAX 8U
#define SAVED_LEN 48U

enum tear { TEAR_CLEAN, TEAR_GARBLED, TEAR_BLANK_TAIL, TEARS };

/** A medium that dies. */
struct cut_flash {
    struct hal_flash flash; /* first member */
    uint64_t done;          /**< bytes programmed or erased so far */
    uint64_t cut_at;        /**< the power goes before this one */
    enum tear tear;
    bool is_dead;
};

static uint8_t bytes[BYTES_MAX];
static struct cut_flash medium;
static struct kwm_series slots[SERIES_MAX];
static struct kwm_measurement measurements[4];
static uint8_t pool[4096];
static struct kwm_local locals[2][16];
static uint8_t scratch[2][KWM_READER_SCRATCH_LEN];
static uint8_t stage[4096];
static struct kwm_series_table table;
static struct kwm_spool spool;
static struct kwm_reader reader, dropper;
static int64_t model[SAMPLES_MAX]; /* by number */
static uint64_t dropped_below;
static uint64_t saved_below; /* numbers that a saved checkpoint stands behind */
static uint64_t noted;       /* what the last checkpoint says */
static uint64_t random_state;

static uint8_t torn_byte(uint8_t was, uint8_t wanted)
{
    const uint8_t noise = (uint8_t)support_random(&random_state);
    switch (medium.tear) {
    case TEAR_CLEAN:
        return was;
    case TEAR_GARBLED:
        return (uint8_t)(was & (wanted | noise)); /* some of the bits that were to fall */
    default:
        return (uint8_t)(was & wanted);
    }
}

static int cut_read(struct hal_flash *flash, uint32_t off, uint8_t *out, size_t len)
{
    (void)flash;
    memcpy(out, bytes + off, len);
    return KWM_OK;
}

static int cut_prog(struct hal_flash *flash, uint32_t off, const uint8_t *data, size_t len)
{
    assert_int_equal(off % flash->geometry.prog_len, 0);
    assert_int_equal(len % flash->geometry.prog_len, 0);
    for (size_t i = 0; i < len && !medium.is_dead; i++) {
        if (medium.done++ == medium.cut_at) {
            bytes[off + i] = torn_byte(bytes[off + i], data[i]);
            medium.is_dead = true;
            break;
        }
        assert_int_equal(bytes[off + i], 0xFF); /* not programmed since it was erased */
        bytes[off + i] = data[i];
    }
    return KWM_OK;
}

static int cut_erase(struct hal_flash *flash, uint32_t sector)
{
    const uint32_t len = flash->geometry.sector_len;
    for (uint32_t i = 0; i < len && !medium.is_dead; i++) {
        if (medium.done++ == medium.cut_at) {
            medium.is_dead = true;
            break;
        }
        bytes[sector * len + i] = 0xFF;
    }
    return KWM_OK;
}

static int cut_poll(struct hal_flash *flash)
{
    (void)flash;
    return medium.is_dead ? 0 : 1;
}

static const struct hal_flash_ops ops = {
    .read = cut_read, .prog = cut_prog, .erase = cut_erase, .poll = cut_poll};

static void on_drop(void *ctx, uint64_t seq, unsigned measurement)
{
    (void)ctx;
    (void)measurement;
    dropped_below = seq + 1U;
}

static size_t save(void *ctx, uint8_t *out, size_t cap)
{
    (void)ctx;
    assert_true(cap >= 64);
    noted = spool.seq_next;
    kwm_put_u64(out, noted);
    kwm_put_u64(out + 8, dropped_below);
    memset(out + 16, 0x55, SAVED_LEN - 16U);
    return SAVED_LEN;
}

static void start(uint32_t hold_ms)
{
    table = (struct kwm_series_table){.slots = slots,
                                      .measurements = measurements,
                                      .pool = pool,
                                      .pool_cap = sizeof(pool),
                                      .slot_cap = SERIES_MAX,
                                      .measurement_cap = 4};
    kwm_series_init(&table, KWM_DIALECT_KWDB);
    memset(locals, 0, sizeof(locals));
    reader = (struct kwm_reader){.locals = locals[0], .local_cap = 16, .scratch = scratch[0]};
    dropper = (struct kwm_reader){.locals = locals[1], .local_cap = 16, .scratch = scratch[1]};
    const struct kwm_spool_config config = {.flash = &medium.flash,
                                            .series = &table,
                                            .stage = stage,
                                            .stage_cap = sizeof(stage),
                                            .on_drop = on_drop,
                                            .save = save,
                                            .hold_ms = hold_ms,
                                            .dropper = &dropper};
    assert_int_equal(kwm_spool_init(&spool, &config), KWM_OK);
    reader.spool = &spool;
}

static int series(unsigned n)
{
    uint8_t decl[128];
    const char unit = (char)('a' + n);
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, decl, sizeof(decl), (struct hal_text){"air", 3});
    kwm_decl_build_tag(&builder, &(struct kwm_decl_tag){.key = {"unit", 4}, .value = {&unit, 1}});
    kwm_decl_build_field(&builder, &(struct kwm_decl_field){
                                       .name = {"temp", 4}, .kind = HAL_KIND_FIXED, .scale = 2});
    const int len = kwm_decl_build_end(&builder);
    return kwm_series_intern(&table, decl, (size_t)len);
}

/** Take note of a checkpoint that is saved: with nothing held, all before it is, too. */
static void look_at_checkpoint(void)
{
    if (!medium.is_dead && spool.checkpoint == KWM_CHECKPOINT_SAVED && noted > saved_below) {
        saved_below = noted;
    }
}

/** Samples, and a checkpoint now and then, until the power goes. @return samples taken. */
static unsigned work(unsigned count)
{
    unsigned taken = 0;
    for (unsigned n = 0; n < count && !medium.is_dead; n++) {
        const int64_t value = (int64_t)(support_random(&random_state) >> 40);
        const struct hal_value values[1] = {{.kind = HAL_KIND_FIXED, .scale = 2, .i = value}};
        uint64_t seq = 0;
        const uint64_t next = spool.seq_next;
        assert_true(next < SAMPLES_MAX);
        const int64_t before = model[next];
        model[next] = value;
        if (kwm_spool_append(&spool, (unsigned)series(n % 3U), 10U * n + 1U, values, &seq) ==
            KWM_OK) {
            taken++;
        } else {
            model[next] = before;
        }
        if (n % 7U == 6U && kwm_spool_checkpoint(&spool, false) == KWM_OK) {
            kwm_spool_step(&spool);
            look_at_checkpoint();
        }
    }
    return taken;
}

static unsigned restarts;
static unsigned untold; /* after which the account did not know what had been erased */

/** What save() wrote into the newest checkpoint is found, and is not older than the one that was
 *  saved last. */
static void assert_saved(void)
{
    uint8_t found[64];
    const int len = kwm_spool_saved(&spool, found, sizeof(found));
    if (saved_below == 0 && len == 0) {
        return;
    }
    assert_int_equal(len, SAVED_LEN);
    assert_true(kwm_get_u64(found) >= saved_below);
    untold += kwm_get_u64(found + 8) < spool.seq_first ? 1U : 0U;
    restarts++;
    for (unsigned i = 16; i < SAVED_LEN; i++) {
        assert_int_equal(found[i], 0x55);
    }
}

/** Everything that is there is right; everything that a checkpoint saved and that did not make room
 *  is there. */
static void check(void)
{
    struct kwm_sample sample;
    struct hal_value values[HAL_FIELDS_MAX];
    unsigned budget = UINT32_MAX;
    uint64_t first = 0;
    uint64_t end = 0;
    kwm_reader_seek(&reader, 0);
    while (kwm_reader_next(&reader, &sample, &budget) == 1) {
        if (end == 0) {
            first = sample.seq;
        } else {
            assert_int_equal(sample.seq, end); /* in order, none twice, none missing */
        }
        end = sample.seq + 1U;
        assert_int_equal(kwm_sample_values(&spool, &sample, values), KWM_OK);
        assert_int_equal(values[0].i, model[sample.seq]);
    }
    if (saved_below > dropped_below) {
        assert_true(end >= saved_below);
        assert_true(first <= dropped_below);
    }
    assert_true(spool.seq_next >= saved_below);
}

static const struct {
    uint32_t sector_len, sector_count;
    uint16_t prog_len;
    uint32_t hold_ms;
} cases[] = {
    {512, 4, 1, 0},    {512, 8, 8, 0},    {1024, 4, 32, 0},   {4096, 4, 256, 0},
    {512, 4, 1, 1000}, {1024, 6, 32, 50}, {4096, 4, 256, 50},
};

#define HELD_CASES_FROM 4U

static void begin(size_t c, enum tear tear, uint64_t cut_at)
{
    memset(bytes, 0xFF, sizeof(bytes));
    medium = (struct cut_flash){.flash = {.ops = &ops,
                                          .geometry = {.sector_len = cases[c].sector_len,
                                                       .sector_count = cases[c].sector_count,
                                                       .prog_len = cases[c].prog_len,
                                                       .is_durable = true}},
                                .cut_at = cut_at,
                                .tear = tear};
    dropped_below = 0;
    saved_below = 0;
    noted = 0;
    random_state = 7;
    start(cases[c].hold_ms);
}

static void test_every_cut(void **state)
{
    (void)state;
    const unsigned cuts = support_runs(400);
    uint64_t points = 0;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const unsigned samples = 3U * cases[c].sector_len * cases[c].sector_count / 30U;
        const unsigned count = samples < 1500U ? samples : 1500U;
        begin(c, TEAR_CLEAN, UINT64_MAX);
        assert_true(work(count) > 100);
        const uint64_t total = medium.done;
        check();
        const uint64_t step = total / cuts > 0 ? total / cuts : 1U;
        for (uint64_t cut = 0; cut < total; cut += step) {
            for (unsigned tear = 0; tear < TEARS; tear++) {
                begin(c, (enum tear)tear, cut);
                (void)work(count);
                assert_true(medium.is_dead);
                medium.is_dead = false;
                medium.cut_at = medium.done + cut % 97U * 13U; /* and again, soon */
                start(cases[c].hold_ms);
                assert_saved();
                check();
                (void)work(60);
                medium.is_dead = false;
                medium.cut_at = UINT64_MAX;
                start(cases[c].hold_ms);
                assert_saved();
                check();
                assert_true(work(40) > 0);
                check();
                points += 2;
            }
        }
        print_message("  sectors of %u, %u of them, program size %u, held %u ms\n",
                      cases[c].sector_len, cases[c].sector_count, cases[c].prog_len,
                      cases[c].hold_ms);
    }
    print_message("  %llu cuts\n", (unsigned long long)points);
    print_message("  %u of %u restarts did not know what had been erased\n", untold, restarts);
    /* Only where a second cut comes before the head that the first one tore was followed by another
     * sector: it has no room to tell, and has to have the next one erased first. */
    assert_true(untold * 25U < restarts);
}

static uint64_t counted_below; /* delivered: need not be there */
static uint64_t flushed_below; /* on the medium, but for what was counted before */
static uint64_t counted_then;  /* counted_below at that time */

/** The newest sample is found by a reader that was in the head already. */
static void read_newest(void)
{
    struct kwm_sample sample;
    unsigned budget = UINT32_MAX;
    kwm_reader_seek(&reader, spool.seq_next - 1U);
    assert_int_equal(kwm_reader_next(&reader, &sample, &budget), 1);
    assert_int_equal(sample.seq, spool.seq_next - 1U);
}

/** A link that comes and goes: rows are held, some are delivered out of the stage, with a
 *  checkpoint that overtakes them; at times all goes out. */
static void deliver(unsigned rounds)
{
    for (unsigned n = 0; n < rounds && !medium.is_dead; n++) {
        const uint64_t kind = support_random(&random_state) % 5U;
        for (unsigned i = 0; i < 4; i++) {
            const struct hal_value values[1] = {
                {.kind = HAL_KIND_FIXED, .scale = 2, .i = (int64_t)(n * 8U + i)}};
            uint64_t seq = 0;
            const uint64_t next = spool.seq_next;
            if (kwm_spool_append(&spool, (unsigned)series((n + i) % 5U), 10U * n + i, values,
                                 &seq) == KWM_OK) {
                model[next] = values[0].i;
                read_newest();
            }
        }
        if (kind < 3) {
            const bool is_put = kwm_spool_checkpoint(&spool, true) == KWM_OK;
            if (is_put && !medium.is_dead && kind < 2) {
                read_newest();
                counted_below = spool.seq_next;
                kwm_spool_counted(&spool, counted_below);
            }
        } else if (kind == 3) {
            kwm_spool_flush(&spool);
            if (!medium.is_dead && spool.stage_len == 0) {
                flushed_below = spool.seq_next;
                counted_then = counted_below;
            }
        }
    }
}

/** In order, right, and whole where it has to be. */
static void check_delivered(void)
{
    struct kwm_sample sample;
    struct hal_value values[HAL_FIELDS_MAX];
    unsigned budget = UINT32_MAX;
    uint64_t expected = counted_then > dropped_below ? counted_then : dropped_below;
    uint64_t last = 0;
    kwm_reader_seek(&reader, 0);
    while (kwm_reader_next(&reader, &sample, &budget) == 1) {
        assert_true(last == 0 || sample.seq > last);
        last = sample.seq;
        assert_int_equal(kwm_sample_values(&spool, &sample, values), KWM_OK);
        assert_int_equal(values[0].i, model[sample.seq]);
        if (sample.seq == expected) {
            expected++;
        }
    }
    assert_true(expected >= flushed_below);
}

static void test_held_rows(void **state)
{
    (void)state;
    const unsigned cuts = support_runs(400);
    unsigned points = 0;
    unsigned discarded = 0;
    for (size_t c = HELD_CASES_FROM; c < sizeof(cases) / sizeof(cases[0]); c++) {
        begin(c, TEAR_CLEAN, UINT64_MAX);
        deliver(400);
        check_delivered();
        discarded += spool.counters.stages_discarded;
        const uint64_t total = medium.done;
        const uint64_t step = total / cuts > 0 ? total / cuts : 1U;
        for (uint64_t cut = 0; cut < total; cut += step) {
            counted_below = flushed_below = counted_then = 0;
            begin(c, (enum tear)(points % TEARS), cut);
            deliver(400);
            assert_true(medium.is_dead);
            medium.is_dead = false;
            medium.cut_at = UINT64_MAX;
            start(cases[c].hold_ms);
            assert_saved();
            check_delivered();
            points++;
        }
        counted_below = flushed_below = counted_then = 0;
    }
    assert_true(discarded > 100);
    print_message("  %u cuts, %u stages discarded\n", points, discarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_cut),
                                       cmocka_unit_test(test_held_rows)};
    return cmocka_run_group_tests_name("power_cut", tests, NULL, NULL);
}
