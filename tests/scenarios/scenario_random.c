/* SPDX-License-Identifier: MIT */
/*
 * Goal:   whatever goes wrong in whatever order, the invariants hold, and everything is delivered
 *         once the faults are over. The same for each single call into the net that fails.
 * Method: runs of the simulator (boards/sim/sim_run.h), here with the sanitizers; tools/sim does
 *         many more. KWM_RUNS seeds from KWM_SEED on.
 */
#include <stdio.h>

#include "sim_run.h"
#include "support.h"

static struct sim_run run;

static struct sim_result run_one(enum sim_scenario scenario, uint64_t seed, uint32_t hours)
{
    const struct sim_options options = {.seed = seed, .hours = hours, .scenario = scenario};
    struct sim_result result;
    sim_run(&run, &options, &result);
    if (result.violation[0] != '\0') {
        print_message("seed %llu: %s\n", (unsigned long long)seed, result.violation);
    }
    assert_string_equal(result.violation, "");
    return result;
}

static void test_seeds(void **state)
{
    (void)state;
    const uint64_t first = support_seed();
    const unsigned runs = support_runs(24);
    uint64_t rows = 0;
    uint64_t stored = 0;
    unsigned faults = 0;
    for (unsigned i = 0; i < runs; i++) {
        const struct sim_result result = run_one(SIM_SCENARIO_RANDOM, first + i, 6);
        assert_true(result.collected > 6000);
        assert_true(result.fault_ms * 2U >= result.virtual_ms);
        rows += result.collected;
        stored += result.stored;
        faults += result.faults;
    }
    print_message("%u seeds of 6 hours: %llu rows, %llu stored, %u faults\n", runs,
                  (unsigned long long)rows, (unsigned long long)stored, faults);
    assert_true(stored > rows / 2);
}

static void test_same_seed_same_run(void **state)
{
    (void)state;
    const struct sim_result first = run_one(SIM_SCENARIO_RANDOM, 7, 3);
    const struct sim_result other = run_one(SIM_SCENARIO_RANDOM, 8, 3);
    const struct sim_result again = run_one(SIM_SCENARIO_RANDOM, 7, 3);
    assert_true(first.hash == again.hash);
    assert_true(first.hash != other.hash);
}

static void test_each_net_call_fails(void **state)
{
    (void)state;
    const struct sim_result calm = run_one(SIM_SCENARIO_FAIL_NET, UINT32_MAX, 1);
    assert_in_range(calm.net_calls, 30, 300);
    for (uint64_t seed = 0; seed < 2U * calm.net_calls; seed++) {
        const struct sim_result result = run_one(SIM_SCENARIO_FAIL_NET, seed, 1);
        assert_int_equal(result.stored, result.collected);
        assert_true(result.collected > 350);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_each_net_call_fails),
    };
    return cmocka_run_group_tests_name("scenario_random", tests, NULL, NULL);
}
