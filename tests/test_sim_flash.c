/* SPDX-License-Identifier: MIT */
/*
 * Goal:   a power cut leaves what the three ways of tearing say, at every point of an operation; a
 *         cache loses only what was not synced; worn sectors and rot.
 * Method: one operation a case, on a flash of four sectors.
 */
#include <string.h>

#include "sim/sim_flash.h"
#include "support.h"

#define SECTOR_LEN 1024U
#define FLASH_LEN (4U * SECTOR_LEN)
#define DATA_LEN 64U

static uint8_t bytes[FLASH_LEN];
static uint8_t synced[FLASH_LEN];
static uint8_t data[DATA_LEN];
static struct sim_flash sim;

static void begin(uint16_t prog_len)
{
    const struct hal_flash_geometry geometry = {
        .sector_len = SECTOR_LEN, .sector_count = 4, .prog_len = prog_len, .is_durable = true};
    memset(bytes, 0xFF, sizeof(bytes));
    for (unsigned i = 0; i < DATA_LEN; i++) {
        data[i] = (uint8_t)(i * 37U + 1U);
    }
    sim_flash_init(&sim, bytes, &geometry);
}

static int finish(void)
{
    for (unsigned i = 0; i < 10; i++) {
        const int done = hal_flash_poll(&sim.flash);
        if (done != 0) {
            return done;
        }
    }
    return 0;
}

static void program(uint32_t off)
{
    assert_int_equal(hal_flash_prog(&sim.flash, off, data, DATA_LEN), KWM_OK);
}

static void expect_off(void)
{
    assert_true(sim.is_off);
    assert_int_equal(hal_flash_prog(&sim.flash, 512, data, DATA_LEN), KWM_ERR_STATE);
    assert_int_equal(hal_flash_erase(&sim.flash, 1), KWM_ERR_STATE);
    assert_int_equal(finish(), 0);
    sim_flash_power_on(&sim);
    assert_int_equal(hal_flash_poll(&sim.flash), 1);
}

static void test_cut_at_each_byte(void **state)
{
    (void)state;
    for (uint16_t prog_len = 1; prog_len <= 32; prog_len = (uint16_t)(prog_len * 8U)) {
        for (unsigned tear = 0; tear < SIM_FLASH_TEAR_COUNT; tear++) {
            unsigned odd = 0;
            for (uint32_t at = 0; at < DATA_LEN; at++) {
                begin(prog_len);
                sim.script.tear = (enum sim_flash_tear)tear;
                sim.script.cut_point = at + 1U;
                program(128);
                assert_int_equal(finish(), 0);
                expect_off();
                const uint32_t unit = at / prog_len * prog_len;
                const uint32_t sure = tear == SIM_FLASH_TEAR_CLEAN ? at : unit;
                const uint32_t torn_end = tear == SIM_FLASH_TEAR_CLEAN     ? at
                                          : tear == SIM_FLASH_TEAR_GARBLED ? DATA_LEN
                                                                           : unit + prog_len;
                assert_memory_equal(bytes + 128, data, sure);
                for (uint32_t i = sure; i < DATA_LEN; i++) {
                    const uint8_t is = bytes[128 + i];
                    if (i >= torn_end) {
                        assert_int_equal(is, 0xFF);
                    } else if (tear == SIM_FLASH_TEAR_GARBLED) {
                        assert_int_equal(is & data[i], data[i]); /* bits only fall as asked */
                    }
                    odd += i < torn_end && is != data[i] && is != 0xFF ? 1U : 0U;
                }
                assert_int_equal(bytes[127], 0xFF);
                assert_int_equal(bytes[128 + DATA_LEN], 0xFF);
            }
            assert_int_equal(odd > 0, tear != SIM_FLASH_TEAR_CLEAN);
        }
    }
}

static void test_cut_in_an_erase(void **state)
{
    (void)state;
    for (unsigned tear = 0; tear < SIM_FLASH_TEAR_COUNT; tear++) {
        for (uint32_t at = 0; at < SIM_FLASH_ERASE_POINTS; at++) {
            begin(1);
            memset(bytes, 0x5A, sizeof(bytes));
            sim.script.tear = (enum sim_flash_tear)tear;
            sim.script.cut_point = at + 1U;
            assert_int_equal(hal_flash_erase(&sim.flash, 1), KWM_OK);
            assert_int_equal(finish(), 0);
            expect_off();
            for (uint32_t i = 0; i < SECTOR_LEN; i++) {
                const uint8_t is = bytes[SECTOR_LEN + i];
                if (tear == SIM_FLASH_TEAR_GARBLED) {
                    assert_int_equal(is & 0x5A, 0x5A);
                } else if (i < SECTOR_LEN / SIM_FLASH_ERASE_POINTS * at) {
                    assert_int_equal(is, 0xFF);
                } else if (i > SECTOR_LEN / SIM_FLASH_ERASE_POINTS * at) {
                    assert_int_equal(is, 0x5A);
                }
            }
            assert_int_equal(bytes[SECTOR_LEN - 1U], 0x5A);
            assert_int_equal(bytes[2U * SECTOR_LEN], 0x5A);
        }
    }
}

static void test_points_are_counted(void **state)
{
    (void)state;
    begin(1);
    program(0);
    assert_int_equal(finish(), 1);
    assert_int_equal(hal_flash_erase(&sim.flash, 0), KWM_OK);
    assert_int_equal(finish(), 1);
    assert_int_equal(sim.points, DATA_LEN + SIM_FLASH_ERASE_POINTS);
    program(0);
    sim_flash_cut(&sim);
    expect_off();
}

static void test_the_cache_keeps_what_was_synced(void **state)
{
    unsigned lost = 0;
    unsigned kept = 0;
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        begin(1);
        sim_flash_use_cache(&sim, synced);
        sim.random = i;
        program(0);
        assert_int_equal(finish(), 1);
        assert_int_equal(hal_flash_sync(&sim.flash), KWM_OK);
        assert_int_equal(hal_flash_sync(&sim.flash), KWM_ERR_STATE);
        assert_int_equal(finish(), 1);
        program(DATA_LEN);
        assert_int_equal(finish(), 1);
        program(2048);
        assert_int_equal(finish(), 1);
        sim_flash_cut(&sim);
        expect_off();
        assert_memory_equal(bytes, data, DATA_LEN);
        lost += bytes[DATA_LEN] == 0xFF ? 1U : 0U;
        kept += bytes[2048] == data[0] ? 1U : 0U;
        assert_true(bytes[DATA_LEN] == 0xFF || bytes[DATA_LEN] == data[0]);
    }
    assert_in_range(lost, 10, 54);
    assert_in_range(kept, 10, 54);
}

static void test_a_worn_sector_fails(void **state)
{
    (void)state;
    begin(1);
    sim.script.worn = 2;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(hal_flash_erase(&sim.flash, 1), KWM_OK);
        assert_int_equal(finish(), KWM_ERR_IO);
    }
    program(SECTOR_LEN);
    assert_int_equal(finish(), KWM_ERR_IO);
    program(0);
    assert_int_equal(finish(), 1);
    sim_flash_rot(&sim, 5, 3);
    assert_int_equal(bytes[5], data[5] ^ 8U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_each_byte),
        cmocka_unit_test(test_cut_in_an_erase),
        cmocka_unit_test(test_points_are_counted),
        cmocka_unit_test(test_the_cache_keeps_what_was_synced),
        cmocka_unit_test(test_a_worn_sector_fails),
    };
    return cmocka_run_group_tests_name("sim_flash", tests, NULL, NULL);
}
