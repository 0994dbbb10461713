/* SPDX-License-Identifier: MIT */
/*
 * Goal:   what DESIGN.md promises of delivery holds for the whole agent: rows that could be stored
 *         are stored once, the rest are accounted for, and no request is made beyond its bound.
 * Method: the real core and firmware in a sim_world, against the modelled server with one fault
 * each.
 */
#include <string.h>

#include "sim_world.h"
#include "support.h"

static struct sim_world world;

/* ---- sensors ---- */

static const struct hal_tag_def probe_tags[] = {{.key = "unit", .role = HAL_TAG_PRIMARY}};
static const struct hal_field_def probe_fields[] = {
    {.name = "temp", .kind = HAL_KIND_FIXED, .scale = 2},
    {.name = "count", .kind = HAL_KIND_INT},
    {.name = "note", .kind = HAL_KIND_STRING},
};
#define SCHEMA(name)                                                                       \
    {                                                                                      \
        .measurement = (name), .tags = probe_tags, .tag_count = 1, .fields = probe_fields, \
        .field_count = 3                                                                   \
    }
static const struct hal_schema air = SCHEMA("air");
static const struct hal_schema water = SCHEMA("water");
static const struct hal_schema *const air_only[] = {&air};
static const struct hal_schema *const water_only[] = {&water};

/** Points of a sensor: `units` series each reading; every `bad_every`-th point has bad_note. */
struct probe {
    const struct hal_schema *schema;
    unsigned units;
    unsigned bad_every;
    unsigned bad_from;
    unsigned bad_until;
    const char *bad_note;
    unsigned points;
};

static void fill(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    struct probe *probe = ctx;
    (void)sensor;
    for (unsigned i = 0; i < probe->units; i++) {
        const char unit = (char)('a' + i);
        const struct hal_text tag = {.s = &unit, .len = 1};
        const unsigned nth = probe->points++;
        const bool is_bad = probe->bad_every != 0 && nth % probe->bad_every == 0 &&
                            nth >= probe->bad_from && nth < probe->bad_until;
        const char *note = is_bad ? probe->bad_note : "fine";
        const struct hal_value values[] = {
            {.kind = HAL_KIND_FIXED, .scale = 2, .i = (int64_t)(now_ms % 9973) - 2000},
            {.kind = HAL_KIND_INT, .i = (int64_t)nth},
            {.kind = HAL_KIND_STRING, .s = note, .len = (uint16_t)strlen(note)},
        };
        (void)sink->put(
            sink, &(struct hal_point){.schema = probe->schema, .tags = &tag, .values = values});
    }
}

static struct probe air_probe, water_probe;

static const char two_sensors[] =
    "{\"agent\":{\"interval\":\"10s\",\"flush_interval\":\"60s\"},"
    "\"outputs\":{\"http\":{\"url\":\"https://kwdb.test:8080/restapi/telegraf?db=db1\","
    "\"username\":\"kwdb\",\"password\":\"secret\"}},"
    "\"inputs\":{\"sim\":[{},{}]}}";

static const char small_spool[] =
    "{\"agent\":{\"interval\":\"10s\",\"flush_interval\":\"60s\",\"spool\":{\"size\":\"64KiB\"}},"
    "\"outputs\":{\"http\":{\"url\":\"https://kwdb.test:8080/restapi/telegraf?db=db1\","
    "\"username\":\"kwdb\",\"password\":\"secret\"}},"
    "\"inputs\":{\"sim\":[{},{}]}}";

static void begin_with(const char *document, unsigned units)
{
    sim_world_init(&world, support_seed(), UINT64_C(0xFFFFF000));
    air_probe = (struct probe){.schema = &air, .units = units, .bad_until = UINT32_MAX};
    water_probe = (struct probe){.schema = &water, .units = units, .bad_until = UINT32_MAX};
    (void)sim_world_sensor(&world, "air", air_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = &air_probe});
    (void)sim_world_sensor(&world, "water", water_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = &water_probe});
    (void)kwdb_model_table(&world.server, "air");
    (void)kwdb_model_table(&world.server, "water");
    sim_world_start(&world, document);
}

static void begin(void)
{
    begin_with(two_sensors, 3);
}

static const struct kwm_totals *totals(void)
{
    return &world.agent.delivery.totals;
}

static uint64_t fate(enum kwm_fate which)
{
    return totals()->fates[which];
}

/** Everything that was collected is stored, once. */
static void assert_all_stored(void)
{
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_STORED), totals()->collected);
    assert_int_equal(world.server.rows, totals()->collected);
}

/** Let what is queued go out: stop collecting, then run. */
static void settle(uint64_t seconds)
{
    sim_world_settle(&world, seconds);
}

/* ---- scenarios ---- */

static void test_steady_hour(void **state)
{
    (void)state;
    begin();
    sim_world_run(&world, SIM_S(3600));
    settle(120);
    assert_all_stored();
    assert_int_equal(totals()->collected, 6 * 361);
    assert_in_range(world.server.requests, 59, 64);
    assert_int_equal(world.server.rewrites, 0);
    assert_int_equal(world.server.disordered, 0);
    assert_int_equal(world.server.connections, 1);
    assert_int_equal(world.server.health_requests, 0);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_DELIVERING, NULL), 1);
    assert_int_equal(world.event_count, 1);
}

static void test_first_rows_are_seen_at_once(void **state)
{
    (void)state;
    begin();
    sim_world_run(&world, SIM_S(2));
    assert_int_equal(world.server.rows, 6);
}

static void test_outage_of_an_hour(void **state)
{
    (void)state;
    begin();
    sim_world_run(&world, SIM_S(600));
    const uint32_t before = world.net.open_count;
    world.net.script.connect_err = KWM_ERR_IO;
    sim_net_close_at(&world.net, world.now_ms, SIM_NET_RESET);
    sim_world_run(&world, SIM_S(3600));
    /* Full jitter up to five minutes: some dozens of attempts, not hundreds. */
    assert_in_range(world.net.open_count - before, 5, 60);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_FAILING, NULL), 1);
    world.net.script.connect_err = KWM_OK;
    sim_world_run(&world, SIM_S(600));
    settle(120);
    assert_all_stored();
    assert_int_equal(world.server.disordered, 0);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_DELIVERING, NULL), 2);
}

/** Faults that must cost nothing but a retry: the rows are stored, and no row is changed. */
static void test_passing_faults(void **state)
{
    static const struct {
        const char *name;
        enum kwdb_fault fault;
        uint32_t arg;
    } cases[] = {
        {"reset before execution", KWDB_DROP_BEFORE, 0},
        {"reset after execution", KWDB_DROP_AFTER, 0},
        {"empty 200", KWDB_EMPTY, 0},
        {"captive portal", KWDB_HTML, 0},
        {"404 while starting", KWDB_NOT_FOUND, 0},
        {"503 with Retry-After", KWDB_UNAVAILABLE, 7},
        {"no answer", KWDB_HANG, 0},
        {"reply cut in the head", KWDB_CUT, 20},
        {"reply cut in the body", KWDB_CUT, 200},
        {"transient texts", KWDB_TRANSIENT, 0},
        {"draining node", KWDB_DRAINING, 0},
        {"wrong password for a while", KWDB_AUTH, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  %s\n", cases[i].name);
        begin();
        sim_world_run(&world, SIM_S(200));
        world.server.fault = cases[i].fault;
        world.server.fault_arg = cases[i].arg;
        world.server.fault_count = 2;
        const uint32_t before = world.server.requests;
        sim_world_run(&world, SIM_S(120));
        assert_true(world.server.requests - before >= 1);
        sim_world_run(&world, SIM_S(4000));
        settle(200);
        assert_all_stored();
        assert_in_range(world.server.requests, 68, 82);
    }
}

static void test_retry_has_the_same_bytes(void **state)
{
    (void)state;
    begin();
    sim_world_run(&world, SIM_S(200));
    world.server.fault = KWDB_DROP_AFTER;
    world.server.fault_count = 3;
    world.wall.unix_ms += 3000; /* the clock steps while rows are in doubt */
    sim_world_run(&world, SIM_S(600));
    settle(120);
    assert_all_stored();
    unsigned same = 0;
    for (unsigned i = 1; i < world.server.served_count; i++) {
        if (world.server.served[i - 1].fault == KWDB_DROP_AFTER) {
            assert_int_equal(world.server.served[i].body, world.server.served[i - 1].body);
            same++;
        }
    }
    assert_int_equal(same, 3);
}

static void test_poisoned_rows(void **state)
{
    (void)state;
    begin_with(two_sensors, 17);
    world.server.tables[0].float_column =
        "note"; /* its text is no number: class L, each row of air */
    sim_world_run(&world, SIM_S(1800));
    settle(120);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_REFUSED_LINE), air_probe.points);
    assert_int_equal(fate(KWM_FATE_STORED), water_probe.points);
    assert_int_equal(world.server.rows, water_probe.points);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_REFUSED, NULL), 1);
    /* 204 rows a minute in batches of 200 and less: the refusals cost no request. */
    assert_in_range(world.server.requests, 30, 64);
    assert_int_equal(world.server.rewrites, 0);
}

static void test_missing_table_is_held_and_drains_in_order(void **state)
{
    (void)state;
    begin();
    world.server.tables[1].is_missing = true;
    sim_world_run(&world, SIM_S(7200));
    sim_world_check(&world);
    assert_true(totals()->waiting >= 3 * 720);
    assert_true(fate(KWM_FATE_STORED) >= 3 * 710);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_PAUSED, NULL), 1);
    const uint32_t before = world.server.requests;
    assert_in_range(before, 120, 140); /* one a minute, and a probe now and then */
    world.server.tables[1].is_missing = false;
    sim_world_run(&world, SIM_S(3700));
    settle(120);
    assert_all_stored(); /* the probe's newer row came before the older ones: a pause may do that */
    assert_int_equal(sim_world_events(&world, KWM_EVENT_RESUMED, NULL), 1);
}

static void test_strange_line_is_set_aside_after_an_hour(void **state)
{
    (void)state;
    begin();
    world.server.tables[0].strange = "'odd'";
    sim_world_run(&world, SIM_S(600));
    air_probe.bad_every = 1;
    air_probe.bad_from = air_probe.points;
    air_probe.bad_until = air_probe.points + 1;
    air_probe.bad_note = "odd";
    sim_world_run(&world, SIM_S(3000));
    sim_world_check(&world);
    assert_int_equal(kwm_totals_refused(totals()), 0);
    sim_world_run(&world, SIM_S(4 * 3600));
    settle(200);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_REFUSED_UNKNOWN), 1);
    assert_int_equal(fate(KWM_FATE_STORED), totals()->collected - 1);
    assert_int_equal(world.server.rows, totals()->collected - 1);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_REFUSED, NULL), 1);
}

static void test_old_release_is_searched_by_halving(void **state)
{
    (void)state;
    begin_with(two_sensors, 16);
    world.server.is_old = true;
    world.server.tables[0].strange = "'odd'";
    air_probe.bad_every = 1;
    air_probe.bad_from = 40;
    air_probe.bad_until = 41;
    air_probe.bad_note = "odd";
    sim_world_run(&world, SIM_S(180));
    /* One bad line of at most 200: 2(8 + 1) + 1 requests at most, beside five flushes and a
     *  probe. */
    assert_in_range(world.server.requests, 8, 19 + 6);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_PAUSED, NULL), 1);
    sim_world_check(&world);
}

static void test_reply_that_does_not_add_up(void **state)
{
    (void)state;
    begin_with(two_sensors, 3);
    world.server.fault = KWDB_NO_PQ;
    world.server.fault_count = UINT32_MAX;
    world.server.tables[0].float_column = "note";
    sim_world_run(&world, SIM_S(1800));
    sim_world_check(&world);
    /* Only a request of one line tells what is wrong with it; it was in doubt by then. */
    assert_true(fate(KWM_FATE_STORED) >= 3 * 170);
    assert_true(fate(KWM_FATE_REFUSED_UNKNOWN) >= 3 * 170);
    assert_int_equal(fate(KWM_FATE_REFUSED_LINE) + totals()->waiting,
                     totals()->collected - fate(KWM_FATE_STORED) - fate(KWM_FATE_REFUSED_UNKNOWN));
    assert_int_equal(world.server.rows, fate(KWM_FATE_STORED));
}

static void test_too_large_requests_are_halved(void **state)
{
    (void)state;
    begin_with(two_sensors, 16);
    world.server.fault = KWDB_TOO_LARGE;
    world.server.fault_arg = 10;
    world.server.fault_count = UINT32_MAX;
    sim_world_run(&world, SIM_S(1800));
    settle(600);
    assert_all_stored();
    assert_int_equal(world.server.rewrites, 0);
}

static void test_full_spool_drops_the_oldest_and_counts(void **state)
{
    (void)state;
    begin_with(small_spool, 16);
    sim_world_run(&world, SIM_S(100));
    world.server.fault = KWDB_DROP_AFTER; /* rows arrive, but we never learn it */
    world.server.fault_count = 1;
    sim_world_run(&world, SIM_S(60));
    world.net.script.connect_err = KWM_ERR_IO;
    sim_net_close_at(&world.net, world.now_ms, SIM_NET_RESET);
    sim_world_run(&world, SIM_S(7200));
    sim_world_check(&world);
    assert_true(fate(KWM_FATE_DROPPED_ROOM) > 5000);
    world.net.script.connect_err = KWM_OK;
    sim_world_run(&world, SIM_S(600));
    settle(120);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_DROPPED_NO_ROOM), 0);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_DROPPED, NULL) >= 1, 1);
}

static void test_wrong_password_is_not_hammered(void **state)
{
    (void)state;
    begin();
    world.server.authorization = "Basic somebody-else";
    sim_world_run(&world, SIM_S(4 * 3600));
    assert_in_range(world.server.unauthorized, 3, 60);
    assert_int_equal(world.server.rows, 0);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_AUTH, NULL), 1);
    world.server.authorization = NULL;
    sim_world_run(&world, SIM_S(3700));
    settle(120);
    assert_all_stored();
}

static void test_time_that_comes_late(void **state)
{
    (void)state;
    begin();
    world.wall = (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    /* Started with the time set; so begin anew without it. */
    sim_world_init(&world, 7, SIM_S(5));
    air_probe.points = 0;
    world.wall = (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    (void)sim_world_sensor(&world, "air", air_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = &air_probe});
    (void)sim_world_sensor(&world, "water", water_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = &water_probe});
    (void)kwdb_model_table(&world.server, "air");
    (void)kwdb_model_table(&world.server, "water");
    world.net.script.connect_err = KWM_ERR_IO; /* nor can a server be asked for it */
    sim_world_start(&world, two_sensors);
    sim_world_run(&world, SIM_S(600));
    assert_int_equal(world.server.rows, 0);
    world.net.script.connect_err = KWM_OK;
    world.wall = (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = INT64_C(1790000000000)};
    sim_world_run(&world, SIM_S(600));
    settle(120);
    assert_all_stored();
    assert_int_equal(world.server.disordered, 0);
}

static void test_clock_steps_keep_stamps_apart(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 9; i++) { /* ten phases: nine overlaps can be kept apart */
        sim_world_run(&world, SIM_S(90));
        world.wall.unix_ms += i % 2 == 0 ? -45000 : 30000;
    }
    settle(120);
    sim_world_check(&world);
    assert_int_equal(world.server.changed, 0);
    assert_int_equal(world.server.rows, totals()->collected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady_hour),
        cmocka_unit_test(test_first_rows_are_seen_at_once),
        cmocka_unit_test(test_outage_of_an_hour),
        cmocka_unit_test(test_passing_faults),
        cmocka_unit_test(test_retry_has_the_same_bytes),
        cmocka_unit_test(test_poisoned_rows),
        cmocka_unit_test(test_missing_table_is_held_and_drains_in_order),
        cmocka_unit_test(test_strange_line_is_set_aside_after_an_hour),
        cmocka_unit_test(test_old_release_is_searched_by_halving),
        cmocka_unit_test(test_reply_that_does_not_add_up),
        cmocka_unit_test(test_too_large_requests_are_halved),
        cmocka_unit_test(test_full_spool_drops_the_oldest_and_counts),
        cmocka_unit_test(test_wrong_password_is_not_hammered),
        cmocka_unit_test(test_time_that_comes_late),
        cmocka_unit_test(test_clock_steps_keep_stamps_apart),
    };
    return cmocka_run_group_tests_name("scenario_delivery", tests, NULL, NULL);
}
