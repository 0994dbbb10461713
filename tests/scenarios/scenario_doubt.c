/* SPDX-License-Identifier: MIT */
/*
 * Goal:   what was sent without a verdict stays in doubt whatever comes next (a reload, a changed
 *         table, room that is needed), damaged records are counted and hold nobody up, and no two
 *         rows that the server could take for one get the same stamp.
 * Method: the whole agent in a sim_world, driven to one such moment in each test.
 */
#include <stdio.h>
#include <string.h>

#include "kwm/bytes.h"
#include "sim_world.h"
#include "support.h"

static struct sim_world world;

static const struct hal_tag_def unit_tags[] = {{.key = "unit", .role = HAL_TAG_PRIMARY},
                                               {.key = "mode", .role = HAL_TAG_MUTABLE}};
static const struct hal_field_def unit_fields[] = {{.name = "count", .kind = HAL_KIND_INT},
                                                   {.name = "note", .kind = HAL_KIND_STRING}};
#define SCHEMA(text)                                                                     \
    {                                                                                    \
        .measurement = (text), .tags = unit_tags, .tag_count = 2, .fields = unit_fields, \
        .field_count = 2                                                                 \
    }
static const struct hal_schema air = SCHEMA("air");
static const struct hal_schema water = SCHEMA("water");
static const struct hal_schema *const air_only[] = {&air};
static const struct hal_schema *const water_only[] = {&water};

/** What a sensor puts at each reading: rows of `units` units, with a note if there is one. */
struct source {
    const struct hal_schema *schema;
    unsigned units;
    const char *note;
    const char *mode;
    bool is_twice; /**< the same units again, in another mode */
    unsigned points;
};

static struct source air_source, water_source;

static void put_units(struct source *source, const char *mode, struct hal_sink *sink)
{
    for (unsigned i = 0; i < source->units; i++) {
        const char unit = (char)('a' + i);
        const struct hal_text tags[] = {{.s = &unit, .len = 1},
                                        {.s = mode, .len = (uint16_t)strlen(mode)}};
        const struct hal_value values[] = {
            {.kind = HAL_KIND_INT, .i = (int64_t)source->points++},
            {.kind = source->note != NULL ? HAL_KIND_STRING : HAL_KIND_NONE,
             .s = source->note,
             .len = source->note != NULL ? (uint16_t)strlen(source->note) : 0},
        };
        (void)sink->put(
            sink, &(struct hal_point){.schema = source->schema, .tags = tags, .values = values});
    }
}

static void fill(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    struct source *source = ctx;
    (void)sensor;
    (void)now_ms;
    put_units(source, source->mode, sink);
    if (source->is_twice) {
        put_units(source, "other", sink);
    }
}

static void write_document(char *out, size_t cap, const char *agent)
{
    (void)snprintf(out, cap,
                   "{\"agent\":{\"interval\":\"10s\"%s},\"outputs\":{"
                   "\"http\":{\"url\":\"https://kwdb.test/restapi/telegraf?db=db1\",\"username\":"
                   "\"u\",\"password\":\"p\"}},\"inputs\":{\"sim\":[{},{}]}}",
                   agent);
}

static void begin(unsigned units)
{
    sim_world_init(&world, support_seed(), SIM_S(1000));
    air_source = (struct source){.schema = &air, .units = units, .mode = "m"};
    water_source = (struct source){.schema = &water, .units = units, .mode = "m"};
    (void)sim_world_sensor(&world, "air", air_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = &air_source});
    (void)sim_world_sensor(&world, "water", water_only, 1,
                           &(struct sim_sensor_script){.fill = fill, .ctx = &water_source});
    (void)kwdb_model_table(&world.server, "air");
    (void)kwdb_model_table(&world.server, "water");
}

static void start(const char *agent)
{
    char document[1024];
    write_document(document, sizeof(document), agent);
    sim_world_start(&world, document);
}

static void reload(const char *agent)
{
    char document[1024];
    write_document(document, sizeof(document), agent);
    sim_world_reload(&world, document);
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
}

/** Step at most so long, until a condition holds. */
static void run_until(bool (*is_reached)(void), uint64_t seconds)
{
    const uint64_t end_ms = world.now_ms + SIM_S(seconds);
    while (!is_reached()) {
        assert_true(world.now_ms < end_ms);
        uint64_t next = agent_step(&world.agent, world.now_ms);
        const uint64_t event_ms = sim_net_next_event_ms(&world.net);
        next = event_ms < next ? event_ms : next;
        world.now_ms = next > world.now_ms ? next : world.now_ms;
    }
}

/** Append so many points of both sensors at once that the oldest must go. */
static void need_room(void)
{
    const uint64_t first = world.agent.spool.seq_first;
    for (unsigned i = 0; world.agent.spool.seq_first == first; i++) {
        assert_true(i < 100000);
        kwm_collector_gather(&world.agent.collector, world.now_ms);
        (void)kwm_collector_step(&world.agent.collector, world.now_ms);
        kwm_spool_step(&world.agent.spool);
    }
}

static bool is_on_its_way(void)
{
    return world.agent.delivery.is_sent && world.server.fault == KWDB_FINE; /* it hung */
}

/** Batch sent, run by the server, reply not seen; then the program reloads and the rights are
 *  gone. */
static void test_doubt_outlives_a_reload_and_a_pause(void **state)
{
    (void)state;
    begin(3);
    world.sector_len = 512;
    start(",\"spool\":{\"size\":\"16KiB\"}");
    sim_world_run(&world, SIM_S(70));
    world.server.fault = KWDB_HANG;
    world.server.fault_count = 1;
    const uint64_t stored = fate(KWM_FATE_STORED);
    run_until(is_on_its_way, 120);
    assert_true(world.server.rows > stored);
    reload(",\"spool\":{\"size\":\"16KiB\"}");
    world.server.tables[0].has_no_privilege = true;
    world.server.tables[1].has_no_privilege = true;
    sim_world_run(&world, SIM_S(3600)); /* what is held makes room for what comes */
    sim_world_check(&world);
    assert_true(fate(KWM_FATE_DROPPED_ROOM) > 0);
    const uint64_t more = world.server.rows - fate(KWM_FATE_STORED);
    assert_true(more > 0);
    assert_true(more <= fate(KWM_FATE_UNKNOWN)); /* also without those that wait */
}

/** The oldest held line is refused for its own sake by the probe that stores the later one. */
static void test_probe_tells_a_sure_refusal(void **state)
{
    (void)state;
    begin(1);
    start("");
    water_source.note = "words";
    world.server.tables[1].has_no_privilege = true;
    sim_world_run(&world, SIM_S(5)); /* the first round: one row of water, with a note */
    water_source.note = NULL;
    sim_world_run(&world, SIM_S(60));
    world.server.tables[1].has_no_privilege = false;
    world.server.tables[1].float_column = "note";
    sim_world_run(&world, SIM_S(1200));
    settle(120);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fate(KWM_FATE_REFUSED_LINE), 1);
    assert_int_equal(fate(KWM_FATE_REFUSED_UNKNOWN), 0);
}

static bool is_first_of_two_stored(void)
{
    const struct kwm_delivery *d = &world.agent.delivery;
    return d->kind == KWM_BATCH_PROBE && d->range_count == 1 && !d->is_sent &&
           d->config.lines[0].piece == KWM_PIECE_STORED;
}

/** To the moment between the two requests of a probe, the first of which stored its line. */
static void begin_in_a_probe(void)
{
    begin(1);
    world.sector_len = 512;
    world.line_count_max = 1;
    world.server.latency_ms = 400; /* a rest of some length between the two */
    start(",\"spool\":{\"size\":\"16KiB\"}");
    sim_world_run(&world, SIM_S(5));
    world.server.tables[1].has_no_privilege = true;
    sim_world_run(&world, SIM_S(100));
    world.server.tables[1].has_no_privilege = false;
    run_until(is_first_of_two_stored, 1000);
}

static void test_room_takes_a_line_known_as_stored(void **state)
{
    (void)state;
    begin_in_a_probe();
    const uint64_t stored = fate(KWM_FATE_STORED);
    const uint64_t seq = world.agent.delivery.base + world.lines[0].seq_off;
    while (world.agent.spool.seq_first <= seq) {
        need_room();
    }
    assert_int_equal(fate(KWM_FATE_STORED), stored + 1U);
    assert_int_equal(fate(KWM_FATE_UNKNOWN), 0);
    settle(20000);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

static void test_reload_keeps_a_line_known_as_stored_in_doubt(void **state)
{
    (void)state;
    begin_in_a_probe();
    const uint64_t seq = world.agent.delivery.base + world.lines[0].seq_off;
    reload(",\"spool\":{\"size\":\"16KiB\"}");
    while (world.agent.spool.seq_first <= seq) {
        need_room();
    }
    assert_int_equal(fate(KWM_FATE_UNKNOWN), 1);
    settle(20000);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

/** Some lines of a batch were stored, but behind one that holds their measurement; then all make
 *  room. */
static void test_room_takes_lines_behind_a_held_one(void **state)
{
    (void)state;
    begin(8);
    world.sector_len = 512;
    start(",\"spool\":{\"size\":\"16KiB\"}");
    world.server.fault = KWDB_DRAINING; /* each third line is not stored, the first one, too */
    world.server.fault_count = 1;
    while (world.server.requests == 0) {
        sim_world_run(&world, 10);
    }
    sim_world_run(&world, 20);
    assert_int_equal(world.streams[0].state, KWM_STREAM_PAUSED);
    assert_in_range(world.server.rows, 10, 11); /* of 16 */
    world.net.script.connect_err = KWM_ERR_IO;
    sim_net_close_at(&world.net, world.now_ms, SIM_NET_RESET);
    while (world.agent.spool.seq_first < 16) {
        need_room();
    }
    assert_int_equal(fate(KWM_FATE_STORED), 1); /* the first of water; its second one was not */
    assert_in_range(fate(KWM_FATE_UNKNOWN), world.server.rows - 1U, 15);
    assert_in_range(fate(KWM_FATE_DROPPED_ROOM), 0, world.agent.spool.seq_first - 11U);
}

/** A probe stored a row that the cursor had not come to; its measurement joined the cursor; then
 *  the row makes room. */
static void test_doubt_goes_with_a_measurement_that_joins(void **state)
{
    (void)state;
    begin(1);
    world.sector_len = 512;
    start(",\"spool\":{\"size\":\"16KiB\"},\"flush_interval\":\"2h\"");
    world.server.tables[1].is_missing = true;
    sim_world_run(&world, SIM_S(5));
    assert_int_equal(world.streams[1].state, KWM_STREAM_PAUSED);
    world.server.tables[1].is_missing = false;
    const struct kwm_stream *stream = &world.streams[1];
    while (stream->state != KWM_STREAM_NORMAL) {
        sim_world_run(&world, 100);
        assert_true(world.now_ms < SIM_S(2000));
    }
    assert_int_equal(fate(KWM_FATE_STORED), 2);
    assert_int_equal(world.server.rows, 3); /* the probe's later one */
    world.net.script.connect_err = KWM_ERR_IO;
    sim_net_close_at(&world.net, world.now_ms, SIM_NET_RESET);
    const uint64_t end = world.agent.spool.seq_next;
    while (world.agent.spool.seq_first < end) {
        need_room();
    }
    assert_in_range(fate(KWM_FATE_UNKNOWN), 1, 20);
}

/* ---- damaged records ---- */

/** Damage the record of the n-th sample from seq_first on: the last byte of its checksum, or its
 *  whole form. */
static void damage(unsigned nth, bool is_whole)
{
    struct kwm_sample sample;
    unsigned budget = 100000;
    struct kwm_reader *reader = &world.agent.dropper;
    reader->sector_seq = 0;
    reader->wants_measurement_only = true;
    kwm_reader_seek(reader, world.agent.spool.seq_first + nth);
    assert_int_equal(kwm_reader_next(reader, &sample, &budget), 1);
    const uint32_t off = reader->sector * world.sector_len + reader->off;
    world.spool[off - 1U] ^= 1U;
    if (is_whole) {
        memset(world.spool + off - 20U, 0xEE, 20); /* it is not shorter than that */
    }
    reader->sector_seq = 0;
}

static uint64_t fates_sum(void)
{
    return fate(KWM_FATE_STORED) + kwm_totals_refused(totals()) + kwm_totals_dropped(totals()) +
           fate(KWM_FATE_UNKNOWN) + totals()->waiting;
}

static void test_damaged_records_are_counted(void **state)
{
    (void)state;
    begin(3);
    world.sector_len = 512;
    start("");
    world.net.script.connect_err = KWM_ERR_IO;
    sim_world_run(&world, SIM_S(600));
    damage(100, false); /* behind the batch that is in hand */
    world.net.script.connect_err = KWM_OK;
    sim_world_run(&world, SIM_S(600));
    settle(700);
    assert_int_equal(totals()->waiting, 0);
    assert_in_range(fate(KWM_FATE_DROPPED_CORRUPT), 1, 40); /* the rest of its sector, at most */
    assert_int_equal(fates_sum(), totals()->collected);
    assert_int_equal(world.server.rows, fate(KWM_FATE_STORED));
    assert_int_equal(world.server.changed, 0);
}

static void test_damage_in_the_batch_in_hand_holds_nobody_up(void **state)
{
    (void)state;
    begin(3);
    world.sector_len = 512;
    start("");
    world.net.script.connect_err = KWM_ERR_IO;
    sim_world_run(&world, SIM_S(600));
    assert_int_equal(world.agent.delivery.kind, KWM_BATCH_MAIN);
    damage(world.agent.delivery.line_count / 2U, true);
    world.net.script.connect_err = KWM_OK;
    sim_world_run(&world, SIM_S(1200));
    settle(700);
    assert_int_equal(totals()->waiting, 0);
    assert_true(fate(KWM_FATE_DROPPED_CORRUPT) >= 1);
    assert_int_equal(fates_sum(), totals()->collected);
    assert_int_equal(world.server.rows, fate(KWM_FATE_STORED));
}

static void test_what_is_damaged_in_doubt_is_unknown(void **state)
{
    (void)state;
    begin(3);
    world.sector_len = 512;
    start("");
    world.net.script.send_stall_len = 1500; /* some way into the first body that is longer */
    sim_world_run(&world, SIM_S(200));
    reload("");
    world.net.script.send_stall_len = SIM_NET_NEVER;
    world.net.script.connect_err = KWM_ERR_IO; /* the batch is chosen while nothing can be sent */
    damage(20, false);
    world.net.script.connect_err = KWM_OK;
    sim_world_run(&world, SIM_S(600));
    settle(700);
    assert_true(fate(KWM_FATE_UNKNOWN) >= 1);
    assert_int_equal(totals()->waiting, 0);
    assert_int_equal(fates_sum(), totals()->collected);
}

/* ---- pace ---- */

/** Two tries an hour apart are not enough to blame a line: a third one has to say the same. */
static void test_blame_needs_three_tries(void **state)
{
    (void)state;
    begin(1);
    start("");
    world.server.tables[0].strange = "'odd'";
    sim_world_run(&world, SIM_S(100));
    air_source.note = "odd";
    sim_world_run(&world, SIM_S(10));
    air_source.note = NULL;
    const struct kwm_stream *stream = &world.streams[0];
    while (stream->blame_tries == 0) {
        sim_world_run(&world, SIM_S(1));
        assert_true(world.now_ms < SIM_S(4000));
    }
    world.net.script.connect_err = KWM_ERR_IO; /* nothing is tried for two hours */
    sim_net_close_at(&world.net, world.now_ms, SIM_NET_RESET);
    sim_world_run(&world, SIM_S(7200));
    world.net.script.connect_err = KWM_OK;
    while (stream->blame_tries < 2) {
        sim_world_run(&world, 100);
        assert_true(world.now_ms < SIM_S(12000));
    }
    assert_int_equal(stream->state, KWM_STREAM_PAUSED);
    assert_int_equal(kwm_totals_refused(totals()), 0);
    sim_world_run(&world, SIM_S(3700));
    assert_int_equal(kwm_totals_refused(totals()), 1);
    settle(100);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

/** While one measurement drains, the rows of the other go on. */
static void test_draining_takes_turns_with_the_others(void **state)
{
    (void)state;
    begin(3);
    world.line_count_max = 20;
    start("");
    world.server.tables[1].is_missing = true;
    sim_world_run(&world, SIM_S(7200));
    world.server.tables[1].is_missing = false;
    world.server.latency_ms = 6000; /* slow: a rest of 12 s after each request */
    const struct kwm_stream *stream = &world.streams[1];
    while (stream->state != KWM_STREAM_DRAINING) {
        sim_world_run(&world, SIM_S(1));
    }
    unsigned long longest = 0;
    for (unsigned i = 0; i < 100 && stream->state == KWM_STREAM_DRAINING; i++) {
        sim_world_run(&world, SIM_S(10));
        const unsigned long behind =
            (unsigned long)(world.agent.spool.seq_next - world.agent.delivery.cursor);
        longest = behind > longest ? behind : longest;
    }
    /* 36 rows a minute; a flush and a request of what drains take 36 s. */
    assert_in_range(longest, 0, 36 * 3);
    sim_world_run(&world, SIM_S(7200));
    settle(4000);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

static bool is_choosing_a_probe(void)
{
    const struct kwm_delivery *d = &world.agent.delivery;
    return d->kind == KWM_BATCH_PROBE && d->is_select_begun && !d->is_selected;
}

static void test_choosing_pins_nothing(void **state)
{
    (void)state;
    begin(3);
    start("");
    world.server.tables[1].is_missing = true;
    sim_world_run(&world, SIM_S(7200));
    run_until(is_choosing_a_probe, 4000);
    assert_true(world.agent.spool.pinned_from == KWM_SEQ_NONE);
}

/** The held rows of a measurement made room; its next ones are far away in the log. */
static void test_held_rows_far_away_are_found(void **state)
{
    (void)state;
    begin(3);
    world.sector_len = 512;
    start(",\"spool\":{\"size\":\"16KiB\"}");
    world.server.tables[1].is_missing = true;
    sim_world_run(&world, SIM_S(5));
    water_source.units = 0;
    sim_world_run(&world, SIM_S(4 * 3600));
    assert_int_equal(world.streams[1].counts[KWM_FATE_DROPPED_ROOM], 3);
    water_source.units = 3;
    sim_world_run(&world, SIM_S(100));
    assert_int_equal(world.streams[1].state, KWM_STREAM_PAUSED);
    world.server.tables[1].is_missing = false;
    settle(3700);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
    assert_in_range(world.streams[1].counts[KWM_FATE_STORED], 27, 33);
}

/* ---- replies ---- */

/** A 413 whose reply is cut off says enough; so does a cut reply that its connection's end
 *  hides. */
static void test_cut_413_is_too_large(void **state)
{
    (void)state;
    begin(3);
    start("");
    sim_world_run(&world, SIM_S(5));
    world.server.fault = KWDB_TOO_LARGE;
    world.server.fault_arg = 0;
    world.server.fault_count = 1;
    world.server.is_413_cut = true;
    const uint32_t before = world.server.requests;
    sim_world_run(&world, SIM_S(70));
    assert_true(world.agent.delivery.totals.requests_failed == 0);
    assert_true(world.server.requests - before >= 2);
    settle(200);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

/* ---- stamps ---- */

/** A slow reading spans a step back by exactly the interval. */
static void test_late_reading_after_a_step_back(void **state)
{
    (void)state;
    begin(1);
    start("");
    world.sensors[0].script.takes_ms = 4000;
    world.sensors[1].script.takes_ms = 4000;
    sim_world_run(&world, SIM_S(31)); /* a reading goes on; the one before is 10 s older */
    assert_true(world.sensors[0].is_reading);
    world.wall.unix_ms -= 10000;
    sim_world_run(&world, SIM_S(100));
    settle(120);
    assert_int_equal(world.server.changed, 0);
    sim_world_check(&world);
    assert_int_equal(world.server.rows, totals()->collected);
}

/** The server tells rows apart by primary tags and stamp only. */
static void test_rows_of_equal_primary_tags_get_stamps_of_their_own(void **state)
{
    (void)state;
    begin(3);
    air_source.is_twice = true;
    start("");
    sim_world_run(&world, SIM_S(300));
    air_source.mode = "third";
    sim_world_run(&world, SIM_S(300));
    settle(120);
    assert_int_equal(world.server.changed, 0);
    sim_world_check(&world);
    assert_int_equal(world.server.rows, totals()->collected);
}

/** A device without a clock asks the server, without credentials, and goes on. */
static void test_time_comes_from_the_server(void **state)
{
    static const struct hal_wall walls[] = {{.state = HAL_WALL_UNKNOWN},
                                            {HAL_WALL_FLOOR, INT64_C(1750000000000)}};
    (void)state;
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        begin(2);
        world.wall = walls[i];
        start("");
        sim_world_run(&world, SIM_S(600));
        settle(120);
        sim_world_check(&world);
        assert_int_equal(totals()->waiting, 0);
        assert_int_equal(world.server.rows, totals()->collected);
        assert_in_range(world.server.health_requests, 1, 3);
        assert_in_range(world.server.requests, 10, 13);
    }
}

/** A server that gives no time is asked again, at growing intervals, and one message says why. */
static void test_time_that_no_server_gives(void **state)
{
    (void)state;
    begin(2);
    world.wall = (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    world.server.date_unix_ms = INT64_C(1000000000000); /* before its certificate begins */
    start("");
    sim_world_run(&world, SIM_S(7200));
    assert_in_range(world.server.health_requests, 10, 80);
    assert_int_equal(world.server.requests, 0);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_FAILING, NULL), 1);
    reload("");
    world.server.date_unix_ms = INT64_C(1790000000000);
    sim_world_run(&world, SIM_S(900));
    settle(600);
    sim_world_check(&world);
    assert_int_equal(world.server.rows, totals()->collected);
}

static void test_worn_phases_are_told_once(void **state)
{
    (void)state;
    begin(1);
    start("");
    for (unsigned i = 0; i < 14; i++) {
        sim_world_run(&world, SIM_S(40));
        world.wall.unix_ms -= 45000;
        assert_int_equal(sim_world_events(&world, KWM_EVENT_PHASES_WORN, NULL), i > 9 ? 1 : 0);
    }
}

static void test_what_cannot_be_carried_is_told_once(void **state)
{
    (void)state;
    begin(2);
    air_source.note = "two words";
    start("");
    sim_world_run(&world, SIM_S(600));
    const struct sim_event *last = NULL;
    assert_int_equal(sim_world_events(&world, KWM_EVENT_REPLACED, &last), 1);
    assert_string_equal(last->name, "air");
    settle(100);
    sim_world_check(&world);
    assert_int_equal(totals()->waiting, 0);
}

/* ---- storage ---- */

static void test_storage_that_takes_its_time(void **state)
{
    static const struct {
        uint16_t prog_len;
        bool is_slow;
        uint32_t polls;
    } cases[] = {{8, false, 0}, {256, false, 0}, {1, true, 0}, {32, true, 2}, {256, true, 5}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("  units of %u, %u polls\n", cases[i].prog_len, cases[i].polls);
        begin(4);
        world.prog_len = cases[i].prog_len;
        world.is_flash_slow = cases[i].is_slow;
        world.slow_flash.script.prog_polls = cases[i].polls;
        world.slow_flash.script.erase_polls = cases[i].polls;
        start("");
        world.net.script.connect_err = KWM_ERR_IO;
        sim_world_run(&world, SIM_S(1800));
        world.net.script.connect_err = KWM_OK;
        sim_world_run(&world, SIM_S(1800));
        settle(600);
        sim_world_check(&world);
        /* A sector is opened once the one before it is written out: meanwhile there is no room. */
        const uint64_t lost = fate(KWM_FATE_DROPPED_NO_ROOM);
        assert_int_equal(fate(KWM_FATE_STORED) + lost, totals()->collected);
        assert_in_range(lost, 0, cases[i].polls * totals()->collected / 50U);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubt_outlives_a_reload_and_a_pause),
        cmocka_unit_test(test_probe_tells_a_sure_refusal),
        cmocka_unit_test(test_room_takes_a_line_known_as_stored),
        cmocka_unit_test(test_reload_keeps_a_line_known_as_stored_in_doubt),
        cmocka_unit_test(test_room_takes_lines_behind_a_held_one),
        cmocka_unit_test(test_doubt_goes_with_a_measurement_that_joins),
        cmocka_unit_test(test_blame_needs_three_tries),
        cmocka_unit_test(test_damaged_records_are_counted),
        cmocka_unit_test(test_damage_in_the_batch_in_hand_holds_nobody_up),
        cmocka_unit_test(test_what_is_damaged_in_doubt_is_unknown),
        cmocka_unit_test(test_draining_takes_turns_with_the_others),
        cmocka_unit_test(test_choosing_pins_nothing),
        cmocka_unit_test(test_held_rows_far_away_are_found),
        cmocka_unit_test(test_cut_413_is_too_large),
        cmocka_unit_test(test_late_reading_after_a_step_back),
        cmocka_unit_test(test_rows_of_equal_primary_tags_get_stamps_of_their_own),
        cmocka_unit_test(test_time_comes_from_the_server),
        cmocka_unit_test(test_time_that_no_server_gives),
        cmocka_unit_test(test_worn_phases_are_told_once),
        cmocka_unit_test(test_what_cannot_be_carried_is_told_once),
        cmocka_unit_test(test_storage_that_takes_its_time),
    };
    return cmocka_run_group_tests_name("scenario_doubt", tests, NULL, NULL);
}
