/* SPDX-License-Identifier: MIT */
/*
 * Goal:   a record's stamp never changes once given, and no two records of one series get the same
 *         one, however the wall clock steps.
 * Method: a table of single steps, then random steps beside a set of all stamps given.
 */
#include <string.h>

#include "kwm/bytes.h"
#include "kwm/epoch.h"
#include "support.h"

#define BASE INT64_C(1790000000000)

static struct hal_wall at(int64_t ms)
{
    return (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = BASE + ms};
}

static void test_steps(void **state)
{
    static const struct {
        const char *name;
        int64_t wall_ms; /* at boot time 10000, after a start in step */
        bool is_new;
        int64_t stamp_ms; /* of tick 1000 afterwards */
    } cases[] = {
        {"in step", 10000, false, 10000},
        {"off by half a second", 10500, false, 10000},
        {"off by more", 10510, true, 10510},
        {"forward by a minute", 70000, true, 70000},
        {"back by half a second", 9500, false, 10000},
        {"back by more, over stamps that were given", 9480, true, 9481},
        {"back by an hour", 10000 - 3600000, true, 10001 - 3600000},
        {"rounded to ten", 20004, true, 20000},
        {"rounded up", 20005, true, 20010},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  %s\n", cases[i].name);
        struct kwm_epochs epochs;
        kwm_epochs_init(&epochs, 3);
        assert_true(kwm_epochs_update(&epochs, 0, 0, at(0), KWM_EPOCH_SYSTEM));
        for (uint64_t tick = 0; tick < 1000; tick += 100) {
            kwm_epochs_given(&epochs, tick);
        }
        kwm_epochs_given(&epochs, 999);
        const bool is_new =
            kwm_epochs_update(&epochs, 10000, 10000, at(cases[i].wall_ms), KWM_EPOCH_SYSTEM);
        assert_int_equal(is_new, cases[i].is_new);
        assert_int_equal(kwm_epoch_stamp_ms(&epochs.current, 1000), BASE + cases[i].stamp_ms);
        assert_int_equal(epochs.current.boot_id, 3);
    }
}

static void test_no_time_is_no_epoch(void **state)
{
    (void)state;
    struct kwm_epochs epochs;
    kwm_epochs_init(&epochs, 1);
    assert_false(kwm_epochs_update(&epochs, 5, 5, (struct hal_wall){.state = HAL_WALL_UNKNOWN},
                                   KWM_EPOCH_SYSTEM));
    assert_false(kwm_epochs_update(&epochs, 5, 5, (struct hal_wall){HAL_WALL_FLOOR, BASE},
                                   KWM_EPOCH_SYSTEM));
    assert_int_equal(kwm_epochs_wall(&epochs, 5).state, HAL_WALL_UNKNOWN);
    assert_true(kwm_epochs_update(&epochs, 50, 50, at(1050), KWM_EPOCH_DATE));
    assert_int_equal(kwm_epochs_wall(&epochs, 60).unix_ms, BASE + 1060);
    assert_int_equal(epochs.first.source, KWM_EPOCH_DATE);
}

/** Random steps; up to nine overlaps, for there are ten phases. */
static void test_stamps_stay_apart(void **state)
{
    static int64_t given[20000];
    (void)state;
    uint64_t random = support_seed();
    print_message("  seed %llu\n", (unsigned long long)random);
    for (unsigned run = 0; run < 300; run++) {
        struct kwm_epochs epochs;
        int64_t wall_off = 0;
        size_t count = 0;
        kwm_epochs_init(&epochs, 1);
        for (uint64_t tick = 1; epochs.overlaps < 9 && count < 3000; tick += 100) {
            if (support_random(&random) % 20 == 0) {
                wall_off += (int64_t)(support_random(&random) % 240000) - 120000;
            }
            const uint64_t now_ms = tick * KWM_TICK_MS;
            (void)kwm_epochs_update(&epochs, now_ms, now_ms, at((int64_t)now_ms + wall_off),
                                    KWM_EPOCH_SYSTEM);
            kwm_epochs_given(&epochs, tick);
            given[count++] = kwm_epoch_stamp_ms(&epochs.current, tick);
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < i; k++) {
                assert_int_not_equal(given[i], given[k]);
            }
        }
        assert_true(count > 20);
        assert_false(epochs.is_phase_worn);
    }
}

static void test_varints_and_checksum(void **state)
{
    static const uint64_t values[] = {0,     1,          127,       128,       16383,
                                      16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint8_t bytes[KWM_VARINT_LEN_MAX];
        uint64_t back = 0;
        const uint8_t *end = kwm_put_varint(bytes, values[i]);
        assert_ptr_equal(kwm_get_varint(bytes, end, &back), end);
        assert_int_equal(back, values[i]);
        for (const uint8_t *cut = bytes; cut < end; cut++) {
            assert_null(kwm_get_varint(bytes, cut, &back));
        }
        assert_int_equal(kwm_unzigzag(kwm_zigzag((int64_t)values[i])), (int64_t)values[i]);
    }
    static const uint8_t endless[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                        0x80, 0x80, 0x80, 0x80, 0x01};
    static const uint8_t over[10] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02};
    uint64_t back = 0;
    assert_null(kwm_get_varint(endless, endless + sizeof(endless), &back));
    assert_null(kwm_get_varint(over, over + sizeof(over), &back));
    /* RFC 3720, appendix B.4: 32 bytes of zero, and the check value of the nine digits. */
    static const uint8_t zeros[32];
    assert_int_equal(kwm_crc32c(0, zeros, sizeof(zeros)), 0x8A9136AAU);
    assert_int_equal(kwm_crc32c(0, (const uint8_t *)"123456789", 9), 0xE3069283U);
    const uint32_t half = kwm_crc32c(0, (const uint8_t *)"1234", 4);
    assert_int_equal(kwm_crc32c(half, (const uint8_t *)"56789", 5), 0xE3069283U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_no_time_is_no_epoch),
        cmocka_unit_test(test_stamps_stay_apart),
        cmocka_unit_test(test_varints_and_checksum),
    };
    return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
