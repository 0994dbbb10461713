/* SPDX-License-Identifier: MIT */
/*
 * Goal:   every hal_flash keeps the contract, and the log bears one that is slow, fails or never
 * ends.
 * Method: one suite over all implementations and several geometries; then the log over sim_flash.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kwm/spool.h"
#include "linux/file_flash.h"
#include "ram/ram_flash.h"
#include "sim/sim_flash.h"
#include "support.h"

#define FLASH_LEN (16U * 4096U)
#define POLLS_MAX 1000U

static uint8_t bytes[FLASH_LEN];
static struct ram_flash ram;
static struct sim_flash sim;
static struct file_flash file;
static struct linux_poll_set poll_set;
static char path[] = "/tmp/kwm_flash_XXXXXX";

/** FILE_FALLEN: on a disk that is full. */
enum kind { RAM, SIM_FAST, SIM_SLOW, FILE_OK, FILE_FALLEN };

static const struct hal_flash_geometry geometries[] = {
    {.sector_len = 512, .sector_count = 16, .prog_len = 1},
    {.sector_len = 4096, .sector_count = 16, .prog_len = 8},
    {.sector_len = 4096, .sector_count = 4, .prog_len = 256},
};

static ssize_t refuse_write(int fd, const uint8_t *data, size_t len, uint64_t off)
{
    (void)fd;
    (void)data;
    (void)len;
    (void)off;
    errno = ENOSPC;
    return -1;
}

static const struct file_sys full_disk = {.write_at = refuse_write};

/** A file that has the bytes. */
static struct hal_flash *make_file(const struct hal_flash_geometry *geometry,
                                   const struct file_sys *sys)
{
    static uint8_t overlay[FLASH_LEN], forgotten[FILE_FLASH_FORGOTTEN_LEN(16)];
    const uint32_t len = geometry->sector_len * geometry->sector_count;
    const struct file_flash_config config = {.path = path,
                                             .sector_len = geometry->sector_len,
                                             .sector_count = geometry->sector_count,
                                             .prog_len = geometry->prog_len,
                                             .overlay = overlay,
                                             .overlay_count = 4,
                                             .forgotten = forgotten,
                                             .poll_set = &poll_set,
                                             .sys = sys};
    memcpy(path + sizeof(path) - 7U, "XXXXXX", 6);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
    assert_int_equal(file_flash_open(&file, &config, 0), KWM_OK);
    return &file.flash;
}

static void unmake(enum kind kind)
{
    if (kind == FILE_OK || kind == FILE_FALLEN) {
        assert_int_equal(file_flash_close(&file, 10000), kind == FILE_OK ? KWM_OK : KWM_ERR_IO);
        assert_int_equal(unlink(path), 0);
    }
}

static struct hal_flash *make(enum kind kind, const struct hal_flash_geometry *geometry)
{
    memset(bytes, 0x5A, sizeof(bytes));
    if (kind == RAM) {
        ram_flash_init(&ram, bytes, geometry->sector_len, geometry->sector_count,
                       geometry->prog_len);
        return &ram.flash;
    }
    if (kind == FILE_OK || kind == FILE_FALLEN) {
        return make_file(geometry, kind == FILE_OK ? NULL : &full_disk);
    }
    sim_flash_init(&sim, bytes, geometry);
    sim.script.prog_polls = kind == SIM_SLOW ? 3 : 0;
    sim.script.erase_polls = kind == SIM_SLOW ? 50 : 0;
    return &sim.flash;
}

/** Poll until it is over. */
static void wait(struct hal_flash *flash)
{
    int done = 0;
    for (unsigned i = 0; i < POLLS_MAX && done == 0; i++) {
        done = hal_flash_poll(flash);
        if (done == 0 && poll_set.count != 0) {
            assert_int_equal(linux_poll_wait(&poll_set, 10000), 1);
        }
    }
    assert_int_equal(done, 1);
}

static void assert_all(struct hal_flash *flash, uint32_t off, size_t len, uint8_t value)
{
    static uint8_t got[4096];
    assert_int_equal(hal_flash_read(flash, off, got, len), KWM_OK);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(got[i], value);
    }
    if (flash->mapped != NULL) {
        assert_memory_equal(flash->mapped + off, got, len);
    }
}

/** Make it durable, where that can be. */
static void sync_all(struct hal_flash *flash, bool can_sync)
{
    const int begun = hal_flash_sync(flash);
    if (flash->ops->sync == NULL) {
        assert_int_equal(begun, 1);
        return;
    }
    assert_int_equal(begun, KWM_OK);
    if (can_sync) {
        wait(flash);
    } else {
        assert_int_equal(hal_flash_poll(flash), KWM_ERR_IO);
    }
    assert_int_equal(hal_flash_poll(flash), 1);
}

static void conform(struct hal_flash *flash, bool can_sync)
{
    static uint8_t data[4096], got[4096];
    const uint32_t sector = flash->geometry.sector_len;
    const uint32_t unit = flash->geometry.prog_len;
    assert_int_equal(hal_flash_poll(flash), 1); /* nothing goes on */
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(hal_flash_erase(flash, i), KWM_OK);
        wait(flash);
        assert_all(flash, i * sector, sector, 0xFF);
    }
    for (size_t i = 0; i < sector; i++) {
        data[i] = (uint8_t)(i * 7U);
    }
    /* Unit by unit, then the rest at once; the neighbours stay as they are. */
    assert_int_equal(hal_flash_prog(flash, sector, data, unit), KWM_OK);
    wait(flash);
    assert_int_equal(hal_flash_prog(flash, sector + unit, data + unit, sector - unit), KWM_OK);
    wait(flash);
    assert_int_equal(hal_flash_read(flash, sector, got, sector), KWM_OK);
    assert_memory_equal(got, data, sector);
    sync_all(flash, can_sync);
    assert_int_equal(hal_flash_read(flash, sector, got, sector), KWM_OK);
    assert_memory_equal(got, data, sector);
    assert_all(flash, 0, sector, 0xFF);
    assert_all(flash, 2U * sector, sector, 0xFF);
    assert_int_equal(hal_flash_erase(flash, 1), KWM_OK);
    wait(flash);
    assert_all(flash, sector, sector, 0xFF);
    assert_all(flash, flash->geometry.sector_count * sector - sector, sector,
               flash->geometry.sector_count > 3U ? 0x5A : 0xFF);
}

static void test_conformance(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof(geometries) / sizeof(geometries[0]); g++) {
        for (int kind = RAM; kind <= FILE_FALLEN; kind++) {
            conform(make((enum kind)kind, &geometries[g]), kind != FILE_FALLEN);
            unmake((enum kind)kind);
        }
    }
}

static void assert_one_at_a_time(struct hal_flash *flash)
{
    static const uint8_t data[1] = {1};
    assert_int_equal(hal_flash_erase(flash, 0), KWM_OK);
    assert_int_equal(hal_flash_erase(flash, 1), KWM_ERR_STATE);
    assert_int_equal(hal_flash_prog(flash, 512, data, 1), KWM_ERR_STATE);
    wait(flash);
    assert_int_equal(hal_flash_prog(flash, 0, data, 1), KWM_OK);
    assert_int_equal(hal_flash_erase(flash, 1), KWM_ERR_STATE);
    wait(flash);
    if (flash->ops->sync != NULL) {
        assert_int_equal(hal_flash_sync(flash), KWM_OK);
        assert_int_equal(hal_flash_sync(flash), KWM_ERR_STATE);
        assert_int_equal(hal_flash_erase(flash, 1), KWM_ERR_STATE);
        wait(flash);
    }
}

static void test_one_operation_at_a_time(void **state)
{
    (void)state;
    assert_one_at_a_time(make(SIM_SLOW, &geometries[0]));
    assert_one_at_a_time(make(FILE_OK, &geometries[0]));
    unmake(FILE_OK);
}

static void assert_misuse_panics(enum kind kind)
{
    static const uint8_t data[8] = {0};
    static struct hal_flash *flash;
    static volatile int err;
    flash = make(kind, &geometries[1]);
    assert_int_equal(hal_flash_erase(flash, 0), KWM_OK);
    wait(flash);
    expect_assert_failure(err = hal_flash_prog(flash, 4, data, 8));
    expect_assert_failure(err = hal_flash_prog(flash, 0, data, 4));
    expect_assert_failure(err = hal_flash_erase(flash, 16));
    assert_int_equal(err, 0); /* none of them returned */
}

static void test_misuse_panics(void **state)
{
    (void)state;
    assert_misuse_panics(RAM);
    assert_misuse_panics(SIM_FAST);
    assert_misuse_panics(FILE_OK);
    unmake(FILE_OK);
}

/* ---- the log over it ---- */

static struct kwm_series slots[4];
static struct kwm_measurement measurements[2];
static uint8_t pool[1024];
static struct kwm_local locals[2][8];
static uint8_t scratch[2][KWM_SPOOL_PAYLOAD_LEN_MAX + KWM_RECORD_OVERHEAD];
static uint8_t stage[2048];
static struct kwm_series_table table;
static struct kwm_spool spool;
static struct kwm_reader reader, dropper;
static uint64_t drops;

static void on_drop(void *ctx, uint64_t seq, unsigned measurement)
{
    (void)ctx;
    (void)seq;
    (void)measurement;
    drops++;
}

static int begin_log(void)
{
    static uint8_t decl[64];
    table = (struct kwm_series_table){.slots = slots,
                                      .measurements = measurements,
                                      .pool = pool,
                                      .pool_cap = sizeof(pool),
                                      .slot_cap = 4,
                                      .measurement_cap = 2};
    kwm_series_init(&table, KWM_DIALECT_KWDB);
    reader = (struct kwm_reader){
        .spool = &spool, .locals = locals[0], .local_cap = 8, .scratch = scratch[0]};
    dropper = (struct kwm_reader){.locals = locals[1], .local_cap = 8, .scratch = scratch[1]};
    const struct kwm_spool_config config = {.flash = &sim.flash,
                                            .series = &table,
                                            .stage = stage,
                                            .stage_cap = sizeof(stage),
                                            .on_drop = on_drop,
                                            .dropper = &dropper};
    drops = 0;
    assert_int_equal(kwm_spool_init(&spool, &config), KWM_OK);
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, decl, sizeof(decl), (struct hal_text){"m", 1});
    kwm_decl_build_tag(&builder, &(struct kwm_decl_tag){.key = {"t", 1}, .value = {"v", 1}});
    kwm_decl_build_field(&builder,
                         &(struct kwm_decl_field){.name = {"n", 1}, .kind = HAL_KIND_INT});
    const int len = kwm_decl_build_end(&builder);
    assert_true(len > 0);
    return kwm_series_intern(&table, decl, (size_t)len);
}

static int append(int slot, unsigned n)
{
    const struct hal_value value = {.kind = HAL_KIND_INT, .i = n};
    uint64_t seq = 0;
    return kwm_spool_append(&spool, (unsigned)slot, n + 1U, &value, &seq);
}

/** Read what there is. @return samples, each of which is right. */
static unsigned read_all(void)
{
    struct kwm_sample sample;
    struct hal_value values[HAL_FIELDS_MAX];
    unsigned budget = UINT32_MAX;
    unsigned count = 0;
    reader.sector_seq = 0;
    kwm_reader_seek(&reader, 0);
    while (kwm_reader_next(&reader, &sample, &budget) == 1) {
        assert_int_equal(kwm_sample_values(&spool, &sample, values), KWM_OK);
        assert_int_equal(values[0].i + 1, sample.tick);
        count++;
    }
    return count;
}

static void test_log_over_slow_flash(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof(geometries) / sizeof(geometries[0]); g++) {
        (void)make(SIM_SLOW, &geometries[g]);
        const int slot = begin_log();
        unsigned refused = 0;
        for (unsigned n = 0; n < 5000; n++) {
            for (unsigned tries = 0; append(slot, n) != KWM_OK; tries++) {
                assert_true(tries < POLLS_MAX);
                refused++;
                kwm_spool_step(&spool);
            }
        }
        assert_int_equal(spool.seq_next, 5000);
        assert_true(refused > 0); /* it was slow indeed */
        assert_int_equal(read_all() + drops, 5000);
    }
}

static void test_log_over_flash_that_never_ends(void **state)
{
    (void)state;
    (void)make(SIM_FAST, &geometries[0]);
    const int slot = begin_log();
    for (unsigned n = 0; n < 10; n++) {
        assert_int_equal(append(slot, n), KWM_OK);
    }
    sim.script.erase_polls = UINT32_MAX;
    unsigned taken = 10;
    for (unsigned n = 10; n < 2000; n++) {
        const int err = append(slot, n);
        assert_true(err == KWM_OK || err == KWM_ERR_NOSPC);
        taken += err == KWM_OK ? 1U : 0U;
        kwm_spool_step(&spool);
    }
    assert_true(taken < 100);
    assert_int_equal(read_all(), taken); /* what was taken is there */
}

static void test_log_over_flash_that_fails(void **state)
{
    (void)state;
    (void)make(SIM_FAST, &geometries[0]);
    const int slot = begin_log();
    for (unsigned n = 0; n < 400; n++) {
        sim.script.fails_prog = n % 50U == 49U;
        const int err = append(slot, n);
        assert_true(err == KWM_OK || err == KWM_ERR_NOSPC);
    }
    assert_true(spool.counters.flash_errors >= 7);
    assert_true(read_all() > 100); /* half a record ends its sector, and no more than that */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conformance),
        cmocka_unit_test(test_one_operation_at_a_time),
        cmocka_unit_test(test_misuse_panics),
        cmocka_unit_test(test_log_over_slow_flash),
        cmocka_unit_test(test_log_over_flash_that_never_ends),
        cmocka_unit_test(test_log_over_flash_that_fails),
    };
    return cmocka_run_group_tests_name("flash_conformance", tests, NULL, NULL);
}
