/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/schedule.h: ticks are aligned, jittered within bounds, never in a burst, none is lost
 *         without being counted; devices spread over the interval; backoff is uniform under its
 * cap. Method: tables, each also with boot clocks just below 2^32 and far beyond; random walks
 * against the definition; a chi-square test with a fixed seed. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "kwm/schedule.h"

#define T INT64_C(1783764000000) /* 2026-07-11 10:00:00 UTC: whole in every interval used here */

static const struct hal_wall unknown = {.state = HAL_WALL_UNKNOWN};

static struct hal_wall set(int64_t unix_ms)
{
    return (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = unix_ms};
}

/* Boot clocks at which nothing may be special. */
static const uint64_t bases[] = {
    0,
    1,
    (UINT64_C(1) << 31) - 500,
    (UINT64_C(1) << 32) - 500,
    (UINT64_C(1) << 32) - 1,
    UINT64_C(1) << 32,
    (UINT64_C(1) << 63) - 500,
    UINT64_MAX - 300000000,
};

static void test_first_tick(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t interval_ms, offset_ms;
        bool is_aligned, is_first_now;
        int64_t wall_ms; /* at now; 0: unknown */
        uint64_t expected_wait_ms;
    } rows[] = {
        {"aligned to the wall", 10000, 0, true, false, T + 3456, 6544},
        {"at the instant itself: the next one", 10000, 0, true, false, T, 10000},
        {"1 ms before", 10000, 0, true, false, T - 1, 1},
        {"with offset", 10000, 2500, true, false, T + 3456, 9044},
        {"with offset, before it", 10000, 2500, true, false, T + 456, 2044},
        {"offset over the interval", 10000, 12500, true, false, T + 456, 2044},
        {"offset is the interval", 10000, 10000, true, false, T + 1, 9999},
        {"an hour", 3600000, 0, true, false, T + 1, 3599999},
        {"a day, its phase", 86400000, 1000, true, false, T, 50401000},
        {"1 ms", 1, 0, true, false, T, 1},
        {"before 1970", 10000, 0, true, false, -1, 1},
        {"before 1970, whole", 10000, 0, true, false, -20000, 10000},
        {"first now", 10000, 2500, true, true, T + 3456, 0},
        {"not aligned", 10000, 0, false, false, T + 3456, 10000},
        {"not aligned, offset", 10000, 300, false, false, T + 3456, 300},
        {"not aligned, first now", 10000, 300, false, true, T + 3456, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
            struct kwm_schedule schedule;
            const struct kwm_schedule_config config = {
                .interval_ms = rows[i].interval_ms,
                .offset_ms = rows[i].offset_ms,
                .is_aligned = rows[i].is_aligned,
            };
            print_message("%s, base %llu\n", rows[i].name, (unsigned long long)bases[b]);
            kwm_schedule_init(&schedule, &config, bases[b], set(rows[i].wall_ms),
                              rows[i].is_first_now, UINT32_MAX);
            assert_int_equal(schedule.instant_ms - bases[b], rows[i].expected_wait_ms);
            assert_int_equal(schedule.due_ms, schedule.instant_ms);
        }
    }
}

/* Without a time of day, or with a floor only, the boot clock is what ticks are aligned to. */
static void test_unknown_wall(void **state)
{
    (void)state;
    const struct hal_wall walls[] = {unknown, {.state = HAL_WALL_FLOOR, .unix_ms = T + 17}};
    for (size_t i = 0; i < 2; i++) {
        struct kwm_schedule schedule;
        const struct kwm_schedule_config config = {
            .interval_ms = 1000, .offset_ms = 250, .is_aligned = true};
        kwm_schedule_init(&schedule, &config, 7300, walls[i], false, 0);
        assert_int_equal(schedule.instant_ms, 8250);
        struct kwm_tick tick;
        assert_true(kwm_schedule_take(&schedule, 8251, walls[i], 0, &tick));
        assert_int_equal(tick.instant_ms, 8250);
        assert_int_equal(schedule.instant_ms, 9250);
    }
}

static void test_catch_up(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t after_ms;         /* the tick is taken so long after its instant */
        uint64_t expected_instant; /* the same */
        uint32_t expected_missed;
        uint64_t expected_next; /* the same */
    } rows[] = {
        {"on time", 0, 0, 0, 10000},
        {"a second late", 1000, 0, 0, 10000},
        {"over a second late", 1001, 1001, 0, 10000},
        {"just before the next", 9999, 9999, 0, 10000},
        {"at the next one", 10000, 10000, 1, 20000},
        {"one missed, in time for the next", 10300, 10000, 1, 20000},
        {"three missed", 35000, 35000, 3, 40000},
        {"three missed, in time for the fourth", 30999, 30000, 3, 40000},
        {"a day asleep", 86400000, 86400000, 8640, 86410000},
        {"asleep for more ticks than fit", UINT64_C(50000000000000), UINT64_C(50000000000000),
         UINT32_MAX, UINT64_C(50000000010000)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned is_aligned = 0; is_aligned < 2; is_aligned++) {
            for (size_t b = 0; b + 1 < sizeof(bases) / sizeof(bases[0]); b++) {
                struct kwm_schedule schedule;
                const struct kwm_schedule_config config = {.interval_ms = 10000,
                                                           .is_aligned = is_aligned != 0};
                print_message("%s, aligned %u, base %llu\n", rows[i].name, is_aligned,
                              (unsigned long long)bases[b]);
                kwm_schedule_init(&schedule, &config, bases[b], set(T), true, 0);
                struct kwm_tick tick;
                const uint64_t now = bases[b] + rows[i].after_ms;
                const struct hal_wall wall = set(T + (int64_t)rows[i].after_ms);
                assert_true(kwm_schedule_take(&schedule, now, wall, 0, &tick));
                assert_int_equal(tick.instant_ms - bases[b], rows[i].expected_instant);
                assert_int_equal(tick.missed, rows[i].expected_missed);
                assert_int_equal(schedule.instant_ms - bases[b], rows[i].expected_next);
                assert_false(kwm_schedule_take(&schedule, now, wall, 0, &tick)); /* no burst */
            }
        }
    }
}

static void test_jitter(void **state)
{
    (void)state;
    static const struct {
        uint32_t jitter_ms, random;
        uint64_t expected_delay;
    } rows[] = {
        {0, UINT32_MAX, 0},
        {2000, 0, 0},
        {2000, UINT32_MAX, 2000},
        {2000, UINT32_MAX / 2, 1000},
        {10000, UINT32_MAX, 9999}, /* below the interval, whatever is asked for */
        {UINT32_MAX, UINT32_MAX, 9999},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kwm_schedule schedule;
        const struct kwm_schedule_config config = {
            .interval_ms = 10000, .jitter_ms = rows[i].jitter_ms, .is_aligned = true};
        struct kwm_tick tick;
        kwm_schedule_init(&schedule, &config, 5, set(T - 1), false, rows[i].random);
        assert_int_equal(schedule.instant_ms, 6);
        assert_int_equal(schedule.due_ms - schedule.instant_ms, rows[i].expected_delay);
        const uint64_t due = schedule.due_ms;
        const struct hal_wall wall = set(T + (int64_t)rows[i].expected_delay);
        if (rows[i].expected_delay > 0) {
            assert_false(kwm_schedule_take(&schedule, due - 1, wall, 0, &tick));
        }
        /* However long the jitter, the instant stays, and nothing counts as missed. */
        assert_true(kwm_schedule_take(&schedule, due, wall, rows[i].random, &tick));
        assert_int_equal(tick.instant_ms, 6);
        assert_int_equal(tick.missed, 0);
        assert_int_equal(schedule.instant_ms, 10006);
        assert_int_equal(schedule.due_ms - schedule.instant_ms, rows[i].expected_delay);
    }
}

static void test_late_is_measured_from_the_jitter(void **state)
{
    (void)state;
    struct kwm_schedule schedule;
    const struct kwm_schedule_config config = {.interval_ms = 60000, .jitter_ms = 5000};
    struct kwm_tick tick;
    kwm_schedule_init(&schedule, &config, 1000, unknown, false, UINT32_MAX);
    assert_int_equal(schedule.due_ms, 66000);
    assert_true(kwm_schedule_take(&schedule, 67000, unknown, UINT32_MAX, &tick));
    assert_int_equal(tick.instant_ms, 61000);
    assert_true(kwm_schedule_take(&schedule, 127001, unknown, 0, &tick));
    assert_int_equal(tick.instant_ms, 127001);
}

static void test_realign(void **state)
{
    (void)state;
    struct kwm_schedule schedule;
    struct kwm_tick tick;
    const struct kwm_schedule_config config = {
        .interval_ms = 10000, .jitter_ms = 100, .is_aligned = true};
    /* The clock is set while the tick is still to come. */
    kwm_schedule_init(&schedule, &config, 12000, unknown, false, 0);
    assert_int_equal(schedule.instant_ms, 20000);
    kwm_schedule_realign(&schedule, 13000, set(T + 7000), UINT32_MAX);
    assert_int_equal(schedule.instant_ms, 16000);
    assert_int_equal(schedule.due_ms, 16100);
    /* It steps back and forth. */
    kwm_schedule_realign(&schedule, 14000, set(T - 3600000 + 1), 0);
    assert_int_equal(schedule.instant_ms, 23999);
    kwm_schedule_realign(&schedule, 15000, set(T + 3600000), 0);
    assert_int_equal(schedule.instant_ms, 25000);
    /* A tick that has come is not taken away. */
    kwm_schedule_realign(&schedule, 25000, set(T + 9), 0);
    assert_int_equal(schedule.instant_ms, 25000);
    assert_true(kwm_schedule_take(&schedule, 25000, set(T + 9), 0, &tick));
    assert_int_equal(tick.instant_ms, 25000);
    assert_int_equal(schedule.instant_ms, 34991);
    /* The first tick, now, neither. */
    kwm_schedule_init(&schedule, &config, 700, unknown, true, 0);
    kwm_schedule_realign(&schedule, 700, set(T + 5), 0);
    assert_true(kwm_schedule_take(&schedule, 700, set(T + 5), 0, &tick));
    assert_int_equal(tick.instant_ms, 700);
    /* What is not aligned does not care. */
    const struct kwm_schedule_config free_running = {.interval_ms = 10000};
    kwm_schedule_init(&schedule, &free_running, 12000, unknown, false, 0);
    kwm_schedule_realign(&schedule, 13000, set(T + 7000), UINT32_MAX);
    assert_int_equal(schedule.instant_ms, 22000);
}

/* A wall clock that is slewed, up to the tenth that chrony may take: never two ticks for one
 * instant, never one left out. */
static void test_slewed_wall(void **state)
{
    (void)state;
    static const int64_t ppm[] = {-500, -1, 0, 1, 500, 100000, -100000};
    for (size_t i = 0; i < sizeof(ppm) / sizeof(ppm[0]); i++) {
        struct kwm_schedule schedule;
        struct kwm_tick tick;
        const struct kwm_schedule_config config = {.interval_ms = 1000, .is_aligned = true};
        uint64_t now = 77;
        kwm_schedule_init(&schedule, &config, now, set(T), false, 0);
        unsigned ticks = 0;
        int64_t wall = T;
        while (ticks < 5000) {
            now = schedule.due_ms;
            wall = T + (int64_t)(now - 77) * (1000000 + ppm[i]) / 1000000;
            assert_true(kwm_schedule_take(&schedule, now, set(wall), 0, &tick));
            assert_int_equal(tick.missed, 0);
            const int64_t phase = (wall + 500) % 1000 - 500;
            assert_true(phase >= -112 && phase <= 112);
            ticks++;
        }
        assert_true(wall - T >= 4999000 && wall - T <= 5001000);
    }
}

/* Whatever the delays: instants rise, no tick is due at once after another, and what was taken and
 * what was missed add up to the ticks that were. */
static void test_random_delays(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    for (unsigned run = 0; run < support_runs(500); run++) {
        struct kwm_schedule schedule;
        struct kwm_tick tick;
        const uint32_t interval = 1 + (uint32_t)(support_random(&seed) % 5000);
        const struct kwm_schedule_config config = {
            .interval_ms = interval,
            .jitter_ms = (uint32_t)(support_random(&seed) % (2 * interval)),
            .is_aligned = support_random(&seed) % 2 == 0,
        };
        const uint64_t start = (UINT64_C(1) << 32) - 100000;
        uint64_t now = start;
        kwm_schedule_init(&schedule, &config, now, unknown, false, 0);
        const uint64_t first = schedule.instant_ms;
        uint64_t last = 0;
        uint64_t ticks = 0;
        for (unsigned i = 0; i < 200; i++) {
            now = schedule.due_ms + (support_random(&seed) % 3 == 0
                                         ? support_random(&seed) % (4 * (uint64_t)interval + 2000)
                                         : 0);
            assert_true(
                kwm_schedule_take(&schedule, now, unknown, (uint32_t)support_random(&seed), &tick));
            assert_true(tick.instant_ms <= now && tick.instant_ms > last);
            assert_true(schedule.instant_ms > tick.instant_ms || interval == 1);
            assert_false(schedule.instant_ms <= now && !config.jitter_ms);
            last = tick.instant_ms;
            ticks += 1U + tick.missed;
            assert_int_equal((schedule.instant_ms - first) / interval, ticks);
            assert_int_equal((schedule.instant_ms - first) % interval, 0);
        }
    }
}

/* 10,000 names of a kind that fleets have, 100 classes: chi-square with 99 degrees of freedom is
 * below 149 in 99.9 % of draws from a uniform distribution. */
static void test_phase_spread(void **state)
{
    (void)state;
    static const char *const forms[] = {"raspberrypi-%04x", "%d", "pump-%05d.plant.example",
                                        "00:1b:44:11:%02x:%02x"};
    for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        unsigned classes[100] = {0};
        const uint32_t interval = 60000;
        for (int i = 0; i < 10000; i++) {
            char name[64];
            if (f == 3) {
                (void)snprintf(name, sizeof(name), "00:1b:44:11:%02x:%02x", (unsigned)i >> 8,
                               (unsigned)i & 255U);
            } else if (f == 0) {
                (void)snprintf(name, sizeof(name), "raspberrypi-%04x", (unsigned)i);
            } else {
                (void)snprintf(name, sizeof(name), f == 1 ? "%d" : "pump-%05d.plant.example", i);
            }
            const uint32_t phase = kwm_schedule_phase(name, interval);
            assert_true(phase < interval);
            assert_int_equal(phase, kwm_schedule_phase(name, interval));
            classes[phase / 600]++;
        }
        double chi = 0;
        for (size_t i = 0; i < 100; i++) {
            const double off = (double)classes[i] - 100.0;
            chi += off * off / 100.0;
        }
        print_message("%s: chi-square %.1f\n", forms[f], chi);
        assert_true(chi < 149.0 && chi > 50.0);
    }
    assert_int_equal(kwm_schedule_phase("anything", 1), 0);
    assert_int_equal(kwm_schedule_phase("", 1000), kwm_schedule_phase("", 1000));
}

static void test_backoff_bounds(void **state)
{
    (void)state;
    static const struct {
        uint32_t base_ms, cap_ms;
        unsigned tries;
        uint32_t random, expected;
    } rows[] = {
        {1000, 60000, 0, 0, 0},
        {1000, 60000, 0, UINT32_MAX, 1000},
        {1000, 60000, 1, UINT32_MAX, 2000},
        {1000, 60000, 5, UINT32_MAX, 32000},
        {1000, 60000, 6, UINT32_MAX, 60000},
        {1000, 60000, 31, UINT32_MAX, 60000},
        {1000, 60000, 32, UINT32_MAX, 60000},
        {1000, 60000, 64, UINT32_MAX, 60000},
        {1000, 60000, UINT32_MAX, UINT32_MAX, 60000},
        {1000, 500, 0, UINT32_MAX, 500},
        {0, 60000, UINT32_MAX, UINT32_MAX, 0},
        {1, UINT32_MAX, 32, UINT32_MAX, UINT32_MAX},
        {UINT32_MAX, UINT32_MAX, 9, UINT32_MAX, UINT32_MAX},
        {1000, 60000, 2, 1U << 31, 2000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            kwm_backoff_ms(rows[i].base_ms, rows[i].cap_ms, rows[i].tries, rows[i].random),
            rows[i].expected);
    }
}

static void test_backoff_is_uniform(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15); /* fixed: the bounds are statistical */
    unsigned classes[100] = {0};
    uint64_t sum = 0;
    for (unsigned i = 0; i < 10000; i++) {
        const uint32_t wait =
            kwm_backoff_ms(1000, 3600000, 4, (uint32_t)(support_random(&seed) >> 32));
        assert_true(wait <= 16000);
        classes[wait * 100U / 16001U]++;
        sum += wait;
    }
    double chi = 0;
    for (size_t i = 0; i < 100; i++) {
        const double off = (double)classes[i] - 100.0;
        chi += off * off / 100.0;
    }
    print_message("chi-square %.1f, mean %llu\n", chi, (unsigned long long)(sum / 10000));
    assert_true(chi < 149.0 && chi > 50.0);
    assert_true(sum / 10000 > 7800 && sum / 10000 < 8200);
}

static void test_misuse(void **state)
{
    (void)state;
    struct kwm_schedule schedule;
    const struct kwm_schedule_config none = {.interval_ms = 0};
    const struct kwm_schedule_config over = {.interval_ms = 86400001};
    expect_assert_failure(kwm_schedule_init(&schedule, &none, 0, unknown, false, 0));
    expect_assert_failure(kwm_schedule_init(&schedule, &over, 0, unknown, false, 0));
    expect_assert_failure((void)kwm_schedule_phase("x", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_tick),
        cmocka_unit_test(test_unknown_wall),
        cmocka_unit_test(test_catch_up),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_late_is_measured_from_the_jitter),
        cmocka_unit_test(test_realign),
        cmocka_unit_test(test_slewed_wall),
        cmocka_unit_test(test_random_delays),
        cmocka_unit_test(test_phase_spread),
        cmocka_unit_test(test_backoff_bounds),
        cmocka_unit_test(test_backoff_is_uniform),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
