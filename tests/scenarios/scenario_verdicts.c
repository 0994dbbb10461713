/* SPDX-License-Identifier: MIT */
/*
 * Goal:   the rarer verdicts: texts that set a line aside at once, replies that do not fit, the
 *         other dialect's statuses, rows that can never be sent, the end of the program.
 * Method: the whole agent in a sim_world, one sensor whose rows a test makes up.
 */
#include <stdio.h>
#include <string.h>

#include "sim_world.h"
#include "support.h"

static struct sim_world world;

static const struct hal_tag_def unit_tags[] = {{.key = "unit", .role = HAL_TAG_PRIMARY}};
static const struct hal_field_def unit_fields[] = {{.name = "count", .kind = HAL_KIND_INT},
                                                   {.name = "note", .kind = HAL_KIND_STRING}};
static const struct hal_schema air = {.measurement = "air",
                                      .tags = unit_tags,
                                      .tag_count = 1,
                                      .fields = unit_fields,
                                      .field_count = 2};
static const struct hal_schema *const air_only[] = {&air};

static unsigned units;
static unsigned noted; /* so many of the next rows have the note */
static unsigned every; /* each so manieth row has it, too; 0: none */
static const char *note;
static unsigned points;

static void fill(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)sensor;
    (void)now_ms;
    for (unsigned i = 0; i < units; i++) {
        char unit[8];
        const struct hal_text tag = {.s = unit,
                                     .len = (uint16_t)snprintf(unit, sizeof(unit), "u%u", i)};
        const bool is_noted = noted > 0 || (every != 0 && points % every == every - 1U);
        noted -= noted > 0 ? 1U : 0U;
        const struct hal_value values[] = {
            {.kind = HAL_KIND_INT, .i = (int64_t)points++},
            {.kind = is_noted ? HAL_KIND_STRING : HAL_KIND_NONE,
             .s = note,
             .len = (uint16_t)strlen(note)},
        };
        (void)sink->put(sink, &(struct hal_point){.schema = &air, .tags = &tag, .values = values});
    }
}

static void begin(unsigned count)
{
    sim_world_init(&world, support_seed(), SIM_S(1000));
    units = count;
    noted = 0;
    every = 0;
    note = "odd";
    points = 0;
    (void)sim_world_sensor(&world, "air", air_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = NULL});
    (void)kwdb_model_table(&world.server, "air");
}

static void start_at(const char *path, const char *more)
{
    char document[2048];
    (void)snprintf(document, sizeof(document),
                   "{\"agent\":{\"interval\":\"10s\"%s},\"outputs\":{"
                   "\"http\":{\"url\":\"https://kwdb.test%s\",\"username\":\"u\",\"password\":"
                   "\"p\"}},\"inputs\":{\"sim\":{}}}",
                   more, path);
    sim_world_start(&world, document);
}

static void start(void)
{
    start_at("/restapi/telegraf?db=db1", "");
}

static const struct kwm_totals *totals(void)
{
    return &world.agent.delivery.totals;
}

static uint64_t fate(enum kwm_fate which)
{
    return totals()->fates[which];
}

static void settle(uint64_t seconds)
{
    sim_world_settle(&world, seconds);
    sim_world_check(&world);
}

/** Once a line was set aside for a text, the next one of that text is at once, as long as others of
 *  its measurement are stored. */
static void test_known_text_sets_aside_at_once(void **state)
{
    static const struct {
        const char *name;
        bool is_schema;
        enum kwm_fate fate;
    } cases[] = {{"unknown text", false, KWM_FATE_REFUSED_UNKNOWN},
                 {"missing column", true, KWM_FATE_REFUSED_SCHEMA}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  %s\n", cases[i].name);
        begin(3);
        world.server.tables[0].strange = cases[i].is_schema ? NULL : "'odd'";
        world.server.tables[0].lacks_column = cases[i].is_schema ? "note" : NULL;
        start();
        sim_world_run(&world, SIM_S(100));
        noted = 1;
        sim_world_run(&world, SIM_S(4 * 3600));
        assert_int_equal(fate(KWM_FATE_REFUSED_UNKNOWN), 1); /* the probes made it doubtful */
        assert_int_equal(sim_world_events(&world, KWM_EVENT_PAUSED, NULL), 1);
        const uint64_t before = fate(cases[i].fate);
        noted = 1;
        sim_world_run(&world, SIM_S(100));
        assert_int_equal(fate(cases[i].fate), before + 1U);
        assert_int_equal(sim_world_events(&world, KWM_EVENT_PAUSED, NULL), 1);
        /* All of a batch the same: nothing says that the lines are to blame. */
        noted = 1000;
        sim_world_run(&world, SIM_S(200));
        assert_int_equal(sim_world_events(&world, KWM_EVENT_PAUSED, NULL), 2);
        noted = 0; /* fine ones follow: then it does */
        sim_world_run(&world, SIM_S(2 * 3600));
        assert_in_range(kwm_totals_refused(totals()), 40, 70);
        assert_in_range(fate(KWM_FATE_STORED), totals()->collected - 80U, totals()->collected);
        settle(3700);
        assert_int_equal(totals()->waiting, 0);
    }
}

/** The reply is larger than what TLS can take: fewer lines; at one line the measurement is held. */
static void test_reply_that_does_not_fit(void **state)
{
    (void)state;
    begin(8);
    start();
    sim_world_run(&world, SIM_S(100));
    world.net.script.reset_err = KWM_ERR_NOSPC;
    const uint32_t before = world.server.requests;
    const uint64_t end_ms = world.now_ms + SIM_S(300);
    while (world.now_ms < end_ms && sim_world_events(&world, KWM_EVENT_PAUSED, NULL) == 0) {
        world.net.script.recv_reset_len = world.net.net.info.bytes_recv + 100U;
        sim_world_run(&world, 20);
    }
    /* 48 lines: 48, 32, 16 ... 1, and so each of them, or less as time goes on. */
    assert_in_range(world.server.requests - before, 7, 100);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_PAUSED, NULL), 1);
    world.net.script.recv_reset_len = SIM_NET_NEVER;
    sim_world_run(&world, SIM_S(3600));
    settle(3700);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_STORED), totals()->collected);
}

/* ---- influx ---- */

static void test_influx_searches_bad_lines(void **state)
{
    (void)state;
    begin(16);
    world.server.tables[0].strange = "\"odd\"";
    start_at("/write?db=db1", "");
    sim_world_run(&world, SIM_S(100));
    noted = 1;
    const uint32_t before = world.server.requests;
    sim_world_run(&world, SIM_S(120));
    assert_int_equal(fate(KWM_FATE_REFUSED_UNKNOWN), 1); /* found by halving, so it was in doubt */
    assert_in_range(world.server.requests - before, 7, 2 * (7 + 1) + 1 + 3);
    settle(200);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_STORED), totals()->collected - 1U);
}

/** For k bad lines of n: 2k(ceil(log2(n/k)) + 1) + 1 requests at most; the first half is the
 *  largest power of two below n. */
static void test_halving_keeps_its_bound(void **state)
{
    static const struct {
        unsigned lines, every;
    } cases[] = {{1, 1},   {2, 1},   {2, 2},   {3, 3},    {7, 7},     {64, 64},  {65, 65},
                 {96, 48}, {100, 7}, {100, 1}, {200, 20}, {200, 100}, {200, 200}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const unsigned n = cases[i].lines;
        const unsigned k = n / cases[i].every;
        unsigned log = 0;
        while (k << log < n) {
            log++;
        }
        begin(n);
        every = cases[i].every;
        world.server.tables[0].strange = "\"odd\"";
        start_at("/write?db=db1", "");
        world.net.script.connect_err = KWM_ERR_IO;
        sim_world_run(&world, SIM_S(1));
        world.agent.collector.is_held = true;
        world.net.script.connect_err = KWM_OK;
        settle(600);
        print_message("  %u bad of %u: %u requests\n", k, n, world.server.requests);
        assert_int_equal(kwm_totals_refused(totals()), k);
        assert_int_equal(fate(KWM_FATE_STORED), n - k);
        assert_in_range(world.server.requests, 1, 2U * k * (log + 1U) + 1U);
        assert_int_equal(world.server.served[0].lines, n);
        for (unsigned half = 128; n > 1 && half > 0; half /= 2U) {
            if (half < n) {
                assert_int_equal(world.server.served[1].lines, half);
                break;
            }
        }
    }
}

static void test_influx_statuses_keep_all(void **state)
{
    static const struct {
        uint16_t status;
        enum kwm_event_code code;
    } cases[] = {{401, KWM_EVENT_AUTH},
                 {403, KWM_EVENT_MISTAKE},
                 {404, KWM_EVENT_MISTAKE},
                 {500, KWM_EVENT_FAILING}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  %u\n", cases[i].status);
        begin(2);
        world.server.status = cases[i].status;
        start_at("/write?db=db1", "");
        sim_world_run(&world, SIM_S(3600));
        assert_int_equal(sim_world_events(&world, cases[i].code, NULL), 1);
        assert_int_equal(world.event_count, 1);
        assert_int_equal(totals()->waiting, totals()->collected);
        assert_int_equal(world.agent.delivery.is_blocked, cases[i].code != KWM_EVENT_FAILING);
        assert_in_range(world.server.requests, 5, 60);
        world.server.status = 0;
        sim_world_run(&world, SIM_S(3700));
        settle(100);
        assert_int_equal(fate(KWM_FATE_STORED), totals()->collected);
    }
}

/* ---- what can never be sent ---- */

static void test_rows_that_cannot_be_sent(void **state)
{
    static const struct {
        const char *name;
        int64_t wall_ms;
        unsigned tag_len;
        enum kwm_fate fate;
    } cases[] = {
        {"a clock in 2300", INT64_C(10413792000000), 0, KWM_FATE_DROPPED_NO_TIME},
        {"a clock in 2000", INT64_C(946684800000), 0, KWM_FATE_DROPPED_NO_TIME},
        {"a line over the buffer", INT64_C(1790000000000), 250, KWM_FATE_DROPPED_TOO_LONG},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char tag[256] = {0};
        char more[1400];
        print_message("  %s\n", cases[i].name);
        begin(2);
        world.wall.unix_ms = cases[i].wall_ms;
        world.net.script.not_before_s = 0;
        world.net.script.not_after_s = INT64_MAX / 1000;
        memset(tag, 't', cases[i].tag_len);
        (void)snprintf(more, sizeof(more),
                       "},\"global_tags\":{\"a\":\"%s\",\"b\":\"%s\",\"c\":\"%s\",\"d\":\"%s\"",
                       tag, tag, tag, tag);
        start_at("/restapi/telegraf?db=db1", cases[i].tag_len > 0 ? more : "");
        sim_world_run(&world, SIM_S(300));
        settle(100);
        assert_int_equal(totals()->waiting, 0);
        assert_int_equal(fate(cases[i].fate), totals()->collected);
        assert_in_range(totals()->collected, 60, 64);
        assert_int_equal(world.server.requests, 0);
        const struct sim_event *last = NULL;
        assert_int_equal(sim_world_events(&world, KWM_EVENT_DROPPED, &last), 1);
        assert_string_equal(last->name, "air");
    }
}

/** Room is needed from a sector that cannot be read, while nothing can be sent. */
static void test_damaged_sector_makes_room(void **state)
{
    (void)state;
    begin(8);
    world.sector_len = 512;
    world.net.script.connect_err = KWM_ERR_IO;
    start_at("/restapi/telegraf?db=db1", ",\"spool\":{\"size\":\"16KiB\"}");
    sim_world_run(&world, SIM_S(200));
    memset(world.spool + 1024 + 60, 0xEE, 300); /* in the third sector of 32 */
    while (world.agent.spool.tail != 4) {
        sim_world_run(&world, SIM_S(10));
    }
    assert_in_range(fate(KWM_FATE_DROPPED_CORRUPT), 4, 10);
    assert_in_range(fate(KWM_FATE_DROPPED_ROOM), 12, 30);
    world.net.script.connect_err = KWM_OK;
    sim_world_run(&world, SIM_S(600));
    world.agent.collector.is_held = true;
    sim_world_run(&world, SIM_S(100));
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(world.server.rows, fate(KWM_FATE_STORED));
    assert_int_equal(totals()->collected,
                     fate(KWM_FATE_STORED) + kwm_totals_dropped(totals()) + fate(KWM_FATE_UNKNOWN));
}

/* ---- pace ---- */

static void test_backlog_is_sent_with_rests(void **state)
{
    (void)state;
    begin(8);
    world.line_count_max = 20;
    world.server.latency_ms = 500;
    start();
    world.net.script.connect_err = KWM_ERR_IO;
    sim_world_run(&world, SIM_S(1200));
    world.net.script.connect_err = KWM_OK;
    while (world.server.requests < 20) {
        sim_world_run(&world, 50);
    }
    for (unsigned i = 2; i < 20; i++) { /* twice as long as a request took, and the request */
        assert_in_range(world.server.served[i].at_ms - world.server.served[i - 1U].at_ms, 1500,
                        1600);
    }
}

static void test_full_batch_does_not_wait_for_its_flush(void **state)
{
    (void)state;
    begin(4);
    world.line_count_max = 20;
    start_at("/restapi/telegraf?db=db1", ",\"flush_interval\":\"1h\"");
    sim_world_run(&world, SIM_S(1000));
    assert_in_range(world.server.requests, 19, 23);
    assert_int_equal(world.server.served[10].lines, 20);
}

static void test_retry_after_is_honoured(void **state)
{
    (void)state;
    begin(4);
    start();
    sim_world_run(&world, SIM_S(5));
    world.server.fault = KWDB_UNAVAILABLE;
    world.server.fault_arg = 500;
    world.server.fault_count = 1;
    sim_world_run(&world, SIM_S(1000));
    assert_int_equal(world.server.served[1].fault, KWDB_UNAVAILABLE);
    assert_in_range(world.server.served[2].at_ms - world.server.served[1].at_ms, SIM_S(500),
                    SIM_S(501));
    settle(200);
    assert_int_equal(totals()->waiting, 0);
}

static void test_third_cut_reply_means_fewer_lines(void **state)
{
    (void)state;
    begin(4);
    start();
    sim_world_run(&world, SIM_S(5));
    world.server.fault = KWDB_CUT;
    world.server.fault_arg = 150;
    world.server.fault_count = 3;
    sim_world_run(&world, SIM_S(100));
    const struct kwdb_served *served = &world.server.served[1];
    assert_in_range(served[0].lines, 5, 32);
    assert_int_equal(served[1].lines, served[0].lines);
    assert_int_equal(served[2].lines, served[0].lines);
    assert_in_range(served[3].lines, served[0].lines / 2U, served[0].lines - 1U);
    settle(200);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_STORED), totals()->collected);
}

/* ---- the end ---- */

static void test_end_sends_what_there_is_without_rests(void **state)
{
    (void)state;
    begin(8);
    world.line_count_max = 5;
    start();
    world.net.script.connect_err = KWM_ERR_IO;
    sim_world_run(&world, SIM_S(900));
    world.net.script.connect_err = KWM_OK;
    world.server.latency_ms = 300;
    while (world.server.requests == 0) {
        sim_world_run(&world, 50);
    }
    const uint64_t waiting = totals()->waiting;
    assert_true(waiting > 500);
    assert_false(agent_is_settled(&world.agent));
    const uint64_t begun_ms = world.now_ms;
    agent_finish(&world.agent);
    while (!agent_is_settled(&world.agent)) {
        assert_true(world.now_ms < begun_ms + SIM_S(600));
        sim_world_run(&world, 50);
    }
    assert_in_range(world.now_ms - begun_ms, 300, (waiting / 5U + 2U) * 350U);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

/** At the end a measurement that is held for a passing reason is awaited; one without a table is
 *  not. */
static void test_what_is_settled(void **state)
{
    (void)state;
    begin(2);
    start();
    world.server.fault = KWDB_TRANSIENT;
    world.server.fault_count = UINT32_MAX;
    sim_world_run(&world, SIM_S(2));
    agent_finish(&world.agent);
    sim_world_run(&world, SIM_S(20));
    assert_false(agent_is_settled(&world.agent));
    world.server.fault = KWDB_FINE;
    world.server.tables[0].is_missing = true;
    sim_world_run(&world, SIM_S(100));
    assert_true(agent_is_settled(&world.agent));
    assert_true(totals()->waiting > 0);
    sim_world_check(&world);
}

/* ---- our own state ---- */

static void test_own_state_is_a_row(void **state)
{
    static const char *const texts[] = {"internal_agent,host='sim-1' ", "metrics_gathered=",
                                        "internal_write,host='sim-1',output='http' ",
                                        "metrics_written=", "certificate_days=1273i"};
    (void)state;
    begin(3);
    (void)kwdb_model_table(&world.server, "internal_agent");
    (void)kwdb_model_table(&world.server, "internal_write");
    sim_world_start(&world,
                    "{\"agent\":{\"interval\":\"10s\",\"flush_interval\":\"10s\"},\"outputs\":{"
                    "\"http\":{\"url\":\"https://kwdb.test/restapi/telegraf?db=d\",\"username\":"
                    "\"u\",\"password\":\"p\"}},\"inputs\":{\"sim\":{},\"internal\":{}}}");
    sim_world_run(&world, SIM_S(300));
    settle(60);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(world.server.rows, totals()->collected);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strstr(world.server.seen, texts[i]) == NULL) {
            fail_msg("no row has %s", texts[i]);
        }
    }
    /* The last row of it before the end: the identity holds in it, too. */
    const char *last = NULL;
    for (const char *at = strstr(world.server.seen, "metrics_collected="); at != NULL;
         at = strstr(at + 1, "metrics_collected=")) {
        last = at;
    }
    unsigned long values[8] = {0};
    assert_non_null(last);
    assert_int_equal(sscanf(last,
                            "metrics_collected=%lui,metrics_written=%lui,metrics_rejected=%lui,"
                            "metrics_dropped=%lui,metrics_unknown=%lui,metrics_waiting=%lui,"
                            "buffer_size=%lui,buffer_limit=%lui",
                            &values[0], &values[1], &values[2], &values[3], &values[4], &values[5],
                            &values[6], &values[7]),
                     8);
    assert_true(values[0] > 100);
    assert_int_equal(values[0], values[1] + values[2] + values[3] + values[4] + values[5]);
    assert_true(values[6] > 0 && values[6] < values[7]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_text_sets_aside_at_once),
        cmocka_unit_test(test_reply_that_does_not_fit),
        cmocka_unit_test(test_influx_searches_bad_lines),
        cmocka_unit_test(test_halving_keeps_its_bound),
        cmocka_unit_test(test_influx_statuses_keep_all),
        cmocka_unit_test(test_rows_that_cannot_be_sent),
        cmocka_unit_test(test_damaged_sector_makes_room),
        cmocka_unit_test(test_backlog_is_sent_with_rests),
        cmocka_unit_test(test_full_batch_does_not_wait_for_its_flush),
        cmocka_unit_test(test_retry_after_is_honoured),
        cmocka_unit_test(test_third_cut_reply_means_fewer_lines),
        cmocka_unit_test(test_end_sends_what_there_is_without_rests),
        cmocka_unit_test(test_what_is_settled),
        cmocka_unit_test(test_own_state_is_a_row),
    };
    return cmocka_run_group_tests_name("scenario_verdicts", tests, NULL, NULL);
}
