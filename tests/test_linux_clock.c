/* SPDX-License-Identifier: MIT */
/* Goal:   Linux's clock counts as set by the rule of linux_clock.h, its boot clock only rises, and
 *         its random bytes fill what was asked for and no more.
 * Method: floors in the past and in the future of the machine's clock; guard bytes. */
#include "support.h"

#include <string.h>
#include <time.h>

#include "linux/linux_clock.h"
#include "linux/linux_entropy.h"

#define HOUR_MS INT64_C(3600000)

static int64_t now_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

static void test_wall(void **state)
{
    (void)state;
    struct linux_clock clock;
    linux_clock_init(&clock, now_ms() - HOUR_MS);
    const struct hal_wall_source source = linux_clock_source(&clock);
    struct hal_wall wall = source.now(source.ctx);
    assert_int_equal(wall.state, HAL_WALL_SET);
    assert_true(wall.unix_ms >= now_ms() - 10000 && wall.unix_ms <= now_ms() + 10000);

    /* A floor only rises, and an earlier time changes nothing. */
    const int64_t floor_ms = now_ms() + HOUR_MS;
    linux_clock_raise_floor(&clock, floor_ms);
    linux_clock_raise_floor(&clock, 5);
    wall = linux_clock_wall(&clock);
    assert_int_equal(wall.state, HAL_WALL_FLOOR);
    assert_int_equal(wall.unix_ms, floor_ms);
    wall = source.now(source.ctx);
    assert_int_equal(wall.state, HAL_WALL_FLOOR);

    linux_clock_init(&clock, 0);
    assert_int_equal(linux_clock_wall(&clock).state, HAL_WALL_SET);
    (void)linux_clock_is_synced(); /* what it says is the machine's affair */
}

static void test_boot_clock(void **state)
{
    (void)state;
    uint64_t before_ms = linux_clock_boot_ms();
    const uint64_t start_ms = before_ms;
    const struct timespec pause = {.tv_nsec = 2000000};
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(nanosleep(&pause, NULL), 0);
        const uint64_t ms = linux_clock_boot_ms();
        assert_true(ms >= before_ms);
        before_ms = ms;
    }
    assert_true(before_ms - start_ms >= 19 && before_ms - start_ms < 10000);
}

static void test_entropy(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 16, 255, 256, 257, 1000};
    struct linux_entropy entropy;
    linux_entropy_init(&entropy);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        uint8_t one[1001] = {0};
        uint8_t two[1001] = {0};
        one[lens[i]] = 0x5a;
        assert_int_equal(hal_entropy_fill(&entropy.entropy, one, lens[i]), KWM_OK);
        assert_int_equal(hal_entropy_fill(&entropy.entropy, two, lens[i]), KWM_OK);
        assert_int_equal(one[lens[i]], 0x5a);
        if (lens[i] >= 16) {
            assert_memory_not_equal(one, two, lens[i]);
            /* The last bytes are filled as well. */
            static const uint8_t zeros[12];
            assert_memory_not_equal(one + lens[i] - 12, zeros, 12);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wall),
        cmocka_unit_test(test_boot_clock),
        cmocka_unit_test(test_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
