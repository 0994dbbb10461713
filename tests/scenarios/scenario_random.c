/* SPDX-License-Identifier: MIT */
/*
 * Goal:   whatever goes wrong in whatever order, the accounts add up at every moment, no row is
 *         changed, and
 *         everything is delivered once the faults are over.
 * Method: six virtual hours a seed with a random fault at random times, more than half of the time;
 *         the clock steps, the program reloads, connections end at any byte, sensors fail, storage
 *         is small, coarse or slow. KWM_RUNS seeds from KWM_SEED on. A failing seed is printed.
 */
#include <stdio.h>
#include <string.h>

#include "sim_world.h"
#include "support.h"

static struct sim_world world;

static const struct hal_tag_def tags[] = {{.key = "unit", .role = HAL_TAG_PRIMARY},
                                          {.key = "mode", .role = HAL_TAG_MUTABLE}};
static const struct hal_field_def fields[] = {
    {.name = "temp", .kind = HAL_KIND_FIXED, .scale = 3},
    {.name = "load", .kind = HAL_KIND_DOUBLE},
    {.name = "note", .kind = HAL_KIND_STRING},
};
#define SCHEMA(name)                                                                            \
    {                                                                                           \
        .measurement = (name), .tags = tags, .tag_count = 2, .fields = fields, .field_count = 3 \
    }
static const struct hal_schema schemas[] = {SCHEMA("air"), SCHEMA("water"), SCHEMA("soil")};
static const struct hal_schema *const lists[][1] = {{&schemas[0]}, {&schemas[1]}, {&schemas[2]}};

static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
    return (uint32_t)(support_random(&random_state) >> 33) % below;
}

static void fill(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    const struct hal_schema *schema = ctx;
    (void)now_ms;
    for (unsigned i = 0; i < 3; i++) {
        const char unit =
            (char)('a' + i % 2U); /* the first one comes twice, at times in one mode */
        const struct hal_text values_of[] = {{.s = &unit, .len = 1},
                                             {.s = pick(3) == 0 ? "on" : "of", .len = 2}};
        if (i == 2 && pick(4) != 0) {
            break;
        }
        const char *note = pick(97) == 0 ? "odd" : pick(61) == 0 ? "x" : "fine";
        const struct hal_value values[] = {
            {.kind = HAL_KIND_FIXED, .scale = 3, .i = (int64_t)pick(60000) - 20000},
            {.kind = pick(5) == 0 ? HAL_KIND_NONE : HAL_KIND_DOUBLE, .d = pick(1000) / 7.0},
            {.kind = HAL_KIND_STRING, .s = note, .len = (uint16_t)strlen(note)},
        };
        (void)sink->put(sink,
                        &(struct hal_point){.schema = schema, .tags = values_of, .values = values});
    }
    sensor->script.takes_ms = pick(10) == 0 ? pick(3000) : 0;
}

static char document[512];

/** A configuration; what may change by a reload is another one each time. */
static void write_document(unsigned spool_kib)
{
    (void)snprintf(
        document, sizeof(document),
        "{\"agent\":{\"interval\":\"%us\",\"flush_interval\":\"%us\",\"flush_jitter\":\"%us\","
        "\"metric_batch_size\":%u,\"collection_jitter\":\"%us\","
        "\"spool\":{\"size\":\"%uKiB\"}},\"outputs\":{\"http\":{\"url\":"
        "\"https://kwdb.test/restapi/telegraf?db=d\",\"username\":\"u\",\"password\":\"p\"}},"
        "\"inputs\":{\"sim\":[{},{},{%s}]}}",
        8 + pick(5), 30 + pick(60), pick(20), pick(3) == 0 ? 1 + pick(9) : 200, pick(3), spool_kib,
        pick(4) == 0 ? "\"name_override\":\"water\",\"tags\":{\"unit2\":\"x\"}" : "");
}

static unsigned spool_kib;

static void begin(uint64_t seed)
{
    random_state = seed;
    sim_world_init(&world, seed, UINT64_C(0xFFFFFFFF) - pick(1000000));
    for (unsigned i = 0; i < 3; i++) {
        (void)sim_world_sensor(
            &world, schemas[i].measurement, lists[i], 1,
            &(struct sim_sensor_script){.fill = fill, .ctx = (void *)(uintptr_t)&schemas[i]});
        (void)kwdb_model_table(&world.server, schemas[i].measurement);
    }
    world.server.is_old = pick(4) == 0;
    world.sector_len = 512U << pick(4);
    world.line_count_max = (uint16_t)(pick(3) == 0 ? 1U + pick(5) : 200U);
    world.prog_len = (uint16_t)(pick(3) == 0 ? 8U << pick(6) : 1U);
    world.is_flash_slow = pick(4) == 0;
    world.slow_flash.script.prog_polls = pick(3);
    world.slow_flash.script.erase_polls = pick(20);
    if (pick(6) == 0) {
        world.wall = (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    }
    spool_kib = 16U << pick(6);
    if (spool_kib * 1024U < 4U * world.sector_len) {
        world.sector_len = 4096;
    }
    write_document(spool_kib);
    sim_world_start(&world, document);
}

static void heal(void)
{
    world.server.fault = KWDB_FINE;
    world.net.script.connect_err = KWM_OK;
    world.net.script.connect_ms = 0;
    world.net.script.send_len_max = 0;
    world.net.script.recv_len_max = 0;
    for (unsigned i = 0; i < 3; i++) {
        world.server.tables[i].is_missing = false;
        world.server.tables[i].has_no_privilege = false;
        world.server.tables[i].strange = NULL;
        world.sensors[i].script.is_silent = false;
        world.sensors[i].script.begin_err = KWM_OK;
        world.sensors[i].script.poll_err = KWM_OK;
    }
    world.net.script.send_reset_len = SIM_NET_NEVER;
    world.net.script.recv_reset_len = SIM_NET_NEVER;
    world.server.closes = false;
}

/** Nine steps can be kept apart. Some are of exactly what lies between two readings. */
static void step_clock(void)
{
    static const int64_t steps[] = {10000, 8000, 9000, 11000, 12000, 60000, 3600000, 700, 30};
    if (world.wall.state == HAL_WALL_SET && world.agent.spool.epochs.overlaps < 9) {
        const int64_t step = steps[pick(sizeof(steps) / sizeof(steps[0]))];
        world.wall.unix_ms += pick(3) == 0 ? step : -step;
    }
}

static void break_something(void)
{
    struct kwdb_table *table = &world.server.tables[pick(3)];
    switch (pick(17)) {
    case 0:
        world.net.script.connect_err = KWM_ERR_IO;
        sim_net_close_at(&world.net, world.now_ms, SIM_NET_RESET);
        break;
    case 1:
        world.net.script.connect_ms = SIM_NET_NEVER;
        sim_net_close_at(&world.net, world.now_ms, SIM_NET_ORDERLY);
        break;
    case 2:
        world.net.script.send_len_max = 1 + pick(50);
        world.net.script.recv_len_max = 1 + pick(50);
        break;
    case 3:
        table->is_missing = true;
        break;
    case 4:
        table->has_no_privilege = true;
        break;
    case 5:
        table->strange = "'odd'";
        break;
    case 6:
        world.sensors[pick(3)].script.is_silent = true;
        break;
    case 7:
        world.server.closes = true;
        break;
    case 8:
        world.sensors[pick(3)].script.begin_err = KWM_ERR_IO;
        world.sensors[pick(3)].script.poll_err = KWM_ERR_IO;
        break;
    case 9:
        step_clock();
        break;
    case 10:
        write_document(spool_kib);
        sim_world_reload(&world, document);
        break;
    case 11:
        world.net.script.send_reset_len = world.net.net.info.bytes_sent + pick(8000);
        break;
    case 12:
        world.net.script.recv_reset_len = world.net.net.info.bytes_recv + pick(2000);
        break;
    default:
        world.server.fault = (enum kwdb_fault)(1 + pick(KWDB_NO_PQ));
        world.server.fault_arg = pick(400);
        world.server.fault_count = pick(2) == 0 ? 1 + pick(5) : UINT32_MAX;
        break;
    }
}

static void run_seed(uint64_t seed)
{
    begin(seed);
    const uint64_t end_ms = world.now_ms + SIM_S(6 * 3600);
    while (world.now_ms < end_ms) {
        if (pick(3) != 0) {
            break_something();
        }
        sim_world_run(&world, SIM_S(10 + pick(900)));
        sim_world_check(&world);
        if (pick(2) == 0) {
            heal();
        }
    }
    heal();
    world.agent.collector.is_held = true;
    /* The longest wait of all: an hour between probes, one of which must blame a line thrice. */
    sim_world_run(&world, SIM_S(8 * 3600));
    sim_world_check(&world);
    const struct kwm_totals *totals = &world.agent.delivery.totals;
    assert_int_equal(totals->waiting, 0);
    assert_int_equal(totals->fates[KWM_FATE_DROPPED_CORRUPT], 0);
    assert_int_equal(totals->fates[KWM_FATE_DROPPED_TOO_LONG], 0);
    assert_true(totals->collected > 3000);
}

static void test_seeds(void **state)
{
    (void)state;
    const uint64_t first = support_seed();
    const unsigned runs = support_runs(150);
    uint64_t rows = 0;
    uint64_t stored = 0;
    uint64_t requests = 0;
    for (unsigned i = 0; i < runs; i++) {
        print_message("\rseed %llu ", (unsigned long long)(first + i));
        run_seed(first + i);
        rows += world.agent.delivery.totals.collected;
        stored += world.agent.delivery.totals.fates[KWM_FATE_STORED];
        requests += world.server.requests;
    }
    print_message("\r%u seeds of 14 hours: %llu rows, %llu stored, %llu requests\n", runs,
                  (unsigned long long)rows, (unsigned long long)stored,
                  (unsigned long long)requests);
    assert_true(stored > rows / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests_name("scenario_random", tests, NULL, NULL);
}
