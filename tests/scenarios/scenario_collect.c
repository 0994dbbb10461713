/* SPDX-License-Identifier: MIT */
/*
 * Goal:   one row for each (measurement, tags, instant), whatever the sensors do.
 * Method: the whole agent in a sim_world; what the server stored is looked at as text.
 */
#include <stdio.h>
#include <string.h>

#include "sim_world.h"
#include "support.h"

static struct sim_world world;

static const struct hal_field_def near_fields[] = {{.name = "near", .kind = HAL_KIND_INT},
                                                   {.name = "shared", .kind = HAL_KIND_INT}};
static const struct hal_field_def far_fields[] = {
    {.name = "far", .kind = HAL_KIND_FIXED, .scale = 1}, {.name = "word", .kind = HAL_KIND_STRING}};
static const struct hal_field_def clash_fields[] = {{.name = "shared", .kind = HAL_KIND_INT},
                                                    {.name = "third", .kind = HAL_KIND_INT}};
static const struct hal_schema near = {
    .measurement = "row", .fields = near_fields, .field_count = 2};
static const struct hal_schema far = {.measurement = "row", .fields = far_fields, .field_count = 2};
static const struct hal_schema clash = {
    .measurement = "row", .fields = clash_fields, .field_count = 2};
static const struct hal_schema *const near_only[] = {&near};
static const struct hal_schema *const far_only[] = {&far};
static const struct hal_schema *const clash_only[] = {&clash};

static void fill_near(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)now_ms;
    const struct hal_value values[] = {{.kind = HAL_KIND_INT, .i = sensor->readings},
                                       {.kind = HAL_KIND_INT, .i = 1}};
    (void)sink->put(sink, &(struct hal_point){.schema = &near, .values = values});
}

static void fill_far(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)now_ms;
    char word[] = "hot"; /* gone when the call is over */
    const struct hal_value values[] = {
        {.kind = HAL_KIND_FIXED, .scale = 1, .i = (int64_t)sensor->readings * 10 + 5},
        {.kind = HAL_KIND_STRING, .s = word, .len = 3}};
    (void)sink->put(sink, &(struct hal_point){.schema = &far, .values = values});
    memset(word, '#', sizeof(word));
}

static void fill_clash(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)sensor;
    (void)now_ms;
    const struct hal_value values[] = {{.kind = HAL_KIND_INT, .i = 2},
                                       {.kind = HAL_KIND_INT, .i = 3}};
    (void)sink->put(sink, &(struct hal_point){.schema = &clash, .values = values});
}

static void begin(void)
{
    sim_world_init(&world, support_seed(), SIM_S(100));
    (void)kwdb_model_table(&world.server, "row");
}

static char document[1024];

static void start(const char *agent, const char *inputs)
{
    (void)snprintf(
        document, sizeof(document),
        "{\"agent\":{\"interval\":\"10s\",\"flush_interval\":\"10s\"%s},\"outputs\":{\"http\":"
        "{\"url\":\"https://kwdb.test/restapi/telegraf?db=db1\",\"username\":\"u\","
        "\"password\":\"p\"}},\"inputs\":{\"sim\":[%s]}}",
        agent, inputs);
    sim_world_start(&world, document);
}

static struct sim_sensor *add(const char *name, const struct hal_schema *const *schemas,
                              void (*fill)(void *, struct sim_sensor *, uint64_t,
                                           struct hal_sink *))
{
    return sim_world_sensor(&world, name, schemas, 1, &(struct sim_sensor_script){.fill = fill});
}

/** Lines that were stored and hold the text. */
static unsigned seen(const char *text)
{
    unsigned count = 0;
    for (const char *at = strstr(world.server.seen, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

static void test_two_inputs_make_one_row(void **state)
{
    (void)state;
    begin();
    (void)add("near", near_only, fill_near);
    struct sim_sensor *slow = add("far", far_only, fill_far);
    slow->script.takes_ms = 750;
    start("", "{},{}");
    sim_world_run(&world, SIM_S(100));
    sim_world_check(&world);
    assert_in_range(world.server.rows, 10, 12);
    assert_int_equal(seen("row,host='sim-1' near="), world.server.rows);
    assert_int_equal(seen("i,shared=1i,far="), world.server.rows);
    assert_int_equal(seen(",word='hot' "), world.server.rows);
}

static void test_late_channel_is_counted_not_merged(void **state)
{
    (void)state;
    begin();
    (void)add("near", near_only, fill_near);
    struct sim_sensor *silent = add("far", far_only, fill_far);
    silent->script.is_silent = true;
    start("", "{},{}");
    sim_world_run(&world, SIM_S(100));
    assert_in_range(world.server.rows, 8, 11);
    assert_int_equal(seen("far="), 0);
    assert_true(world.agent.inputs[1].timeouts >= 8);
    assert_int_equal(silent->cancels, world.agent.inputs[1].timeouts);
    const struct sim_event *last = NULL;
    assert_int_equal(sim_world_events(&world, KWM_EVENT_SENSOR, &last), 1);
    assert_string_equal(last->name, "inputs.sim[1]");
    assert_int_equal(last->err, KWM_ERR_TIMEOUT);
    silent->script.is_silent = false;
    sim_world_run(&world, SIM_S(30));
    assert_true(seen("far=") >= 1);
    assert_int_equal(sim_world_events(&world, KWM_EVENT_SENSOR_OK, NULL), 1);
    sim_world_check(&world);
}

static void test_second_value_is_an_error_that_names_both(void **state)
{
    (void)state;
    begin();
    (void)add("near", near_only, fill_near);
    (void)add("clash", clash_only, fill_clash);
    start("", "{\"alias\":\"one\"},{\"alias\":\"two\"}");
    sim_world_run(&world, SIM_S(60));
    sim_world_check(&world);
    assert_int_equal(seen("shared=1i"), world.server.rows); /* the first one counts */
    assert_int_equal(seen("shared=2i"), 0);
    assert_int_equal(seen("third=3i"), world.server.rows);
    const struct sim_event *last = NULL;
    assert_int_equal(sim_world_events(&world, KWM_EVENT_CONFLICT, &last), 1);
    assert_string_equal(last->name, "one");
    assert_string_equal(last->text, "two");
}

static void test_tags_masks_and_names(void **state)
{
    (void)state;
    begin();
    (void)kwdb_model_table(&world.server, "other");
    (void)add("near", near_only, fill_near);
    (void)add("far", far_only, fill_far);
    start("},\"global_tags\":{\"site\":\"plant-3\",\"area\":\"a\"",
          "{\"fieldexclude\":[\"sh*\"],\"tags\":{\"area\":\"own\"}},"
          "{\"name_override\":\"other\",\"fieldinclude\":[\"wor?\"]}");
    sim_world_run(&world, SIM_S(60));
    sim_world_check(&world);
    assert_true(seen("row,area='own',host='sim-1',site='plant-3' near=") >= 5);
    assert_true(seen("other,area='a',host='sim-1',site='plant-3' word='hot' ") >= 5);
    assert_int_equal(seen("shared="), 0);
    assert_int_equal(seen("far="), 0);
}

static void test_failing_sensor_is_told_once(void **state)
{
    (void)state;
    begin();
    (void)add("near", near_only, fill_near);
    struct sim_sensor *broken = add("far", far_only, fill_far);
    broken->script.poll_err = KWM_ERR_IO;
    broken->script.detail = "the wire is off";
    start("", "{},{}");
    sim_world_run(&world, SIM_S(100));
    const struct sim_event *last = NULL;
    assert_int_equal(sim_world_events(&world, KWM_EVENT_SENSOR, &last), 1);
    assert_string_equal(last->text, "the wire is off");
    broken->script.detail = "the wire is on fire";
    sim_world_run(&world, SIM_S(100));
    assert_int_equal(sim_world_events(&world, KWM_EVENT_SENSOR, &last), 2);
    assert_true(seen("near=") >= 18);
    sim_world_check(&world);
}

/** A row that waits for another input of its instant is kept when the program reloads or ends. */
static void test_open_row_outlives_a_reload(void **state)
{
    (void)state;
    begin();
    (void)add("near", near_only, fill_near);
    (void)add("far", far_only, fill_far);
    start("", "{},{\"collection_jitter\":\"9s\"}");
    unsigned open = 0;
    for (unsigned i = 0; i < 300; i++) {
        sim_world_run(&world, 100);
        if (world.rows[0].is_used || world.rows[1].is_used || world.rows[2].is_used ||
            world.rows[3].is_used) {
            open++;
            sim_world_reload(&world, document);
        }
    }
    assert_true(open >= 2);
    world.agent.collector.is_held = true;
    kwm_collector_cancel(&world.agent.collector);
    sim_world_run(&world, SIM_S(30));
    sim_world_check(&world);
    assert_int_equal(seen("near="), world.sensors[0].readings);
}

/* ---- many series ---- */

static const struct hal_tag_def many_tags[] = {{.key = "n", .role = HAL_TAG_PRIMARY}};
static const struct hal_schema many = {.measurement = "row",
                                       .tags = many_tags,
                                       .tag_count = 1,
                                       .fields = near_fields,
                                       .field_count = 1};
static const struct hal_schema *const many_only[] = {&many};

static void fill_many(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)now_ms;
    for (unsigned i = 0; i < 3U * SIM_SERIES_MAX; i++) {
        char n[8];
        const struct hal_text tag = {.s = n, .len = (uint16_t)snprintf(n, sizeof(n), "%u", i)};
        const struct hal_value value = {.kind = HAL_KIND_INT, .i = sensor->readings};
        (void)sink->put(sink, &(struct hal_point){.schema = &many, .tags = &tag, .values = &value});
    }
}

static void test_more_series_than_slots(void **state)
{
    (void)state;
    begin();
    (void)add("many", many_only, fill_many);
    start("", "{}");
    sim_world_run(&world, SIM_S(120));
    world.agent.collector.is_held = true;
    sim_world_run(&world, SIM_S(30));
    sim_world_check(&world);
    const struct kwm_totals *totals = &world.agent.delivery.totals;
    assert_int_equal(totals->fates[KWM_FATE_STORED], totals->collected);
    assert_in_range(totals->collected, 12 * 96, 13 * 96);
    assert_true(world.agent.series.retired > 100);
    assert_int_equal(world.server.changed, 0);
}

/** One series that the collector remembers, and after it so many that it does not that all slots
 *  change hands. */
static void fill_crowd(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)now_ms;
    for (unsigned i = 0; i <= SIM_SERIES_MAX; i++) {
        char n[128];
        const int len = snprintf(n, sizeof(n), "%0*u", i == 0 ? 1 : 100, i);
        const struct hal_text tag = {.s = n, .len = (uint16_t)len};
        const struct hal_value value = {.kind = HAL_KIND_INT, .i = sensor->readings};
        (void)sink->put(sink, &(struct hal_point){.schema = &many, .tags = &tag, .values = &value});
    }
}

static void test_remembered_series_whose_slot_changed_hands(void **state)
{
    (void)state;
    begin();
    (void)add("crowd", many_only, fill_crowd);
    start("", "{}");
    sim_world_run(&world, SIM_S(60));
    sim_world_check(&world);
    assert_true(world.agent.series.retired > 4U * SIM_SERIES_MAX);
    for (unsigned i = 1; i <= 5; i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "row,host='sim-1',n='0' near=%ui ", i);
        assert_int_equal(seen(line), 1);
    }
}

/* ---- tags that come, change and go ---- */

static const struct hal_tag_def moody_tags[] = {{.key = "a", .role = HAL_TAG_PRIMARY},
                                                {.key = "b", .role = HAL_TAG_PRIMARY}};
static const struct hal_schema moody = {.measurement = "row",
                                        .tags = moody_tags,
                                        .tag_count = 2,
                                        .fields = near_fields,
                                        .field_count = 1};
static const struct hal_schema *const moody_only[] = {&moody};

/** The same bytes, split among two tags; and one tag that is absent, empty, or too long for the
 *  collector to remember. */
static void fill_moody(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    (void)now_ms;
    static const char letters[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                  "xxxxxxxxxxxxxxxx";
    const struct hal_text tags[][2] = {
        {{"x", 1}, {"xx", 2}}, {{"xx", 2}, {"x", 1}},      {{"x", 1}, {NULL, 0}},
        {{"x", 1}, {"", 0}},   {{"xx", 2}, {letters, 80}}, {{"x", 1}, {letters, 80}},
    };
    for (unsigned i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        const struct hal_value value = {.kind = HAL_KIND_INT,
                                        .i = i * 100U + sensor->readings % 100U};
        (void)sink->put(sink,
                        &(struct hal_point){.schema = &moody, .tags = tags[i], .values = &value});
    }
}

static void test_each_tag_makes_its_series(void **state)
{
    (void)state;
    begin();
    (void)add("moody", moody_only, fill_moody);
    start("", "{}");
    sim_world_run(&world, SIM_S(60));
    sim_world_check(&world);
    assert_true(seen("row,a='x',b='xx',host='sim-1' near=") >= 5);
    for (unsigned i = 1; i <= 5; i++) {
        char line[160];
        const char *const starts[] = {"a='x',b='xx'", "a='xx',b='x'", "a='x'", "a='x',b=''"};
        for (unsigned k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
            (void)snprintf(line, sizeof(line), "row,%s,host='sim-1' near=%ui ", starts[k],
                           k * 100U + i);
            assert_int_equal(seen(line), 1);
        }
    }
    assert_true(seen("x',host='sim-1' near=401i ") == 1 && seen("x',host='sim-1' near=501i ") == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_inputs_make_one_row),
        cmocka_unit_test(test_late_channel_is_counted_not_merged),
        cmocka_unit_test(test_second_value_is_an_error_that_names_both),
        cmocka_unit_test(test_tags_masks_and_names),
        cmocka_unit_test(test_failing_sensor_is_told_once),
        cmocka_unit_test(test_open_row_outlives_a_reload),
        cmocka_unit_test(test_more_series_than_slots),
        cmocka_unit_test(test_remembered_series_whose_slot_changed_hands),
        cmocka_unit_test(test_each_tag_makes_its_series),
    };
    return cmocka_run_group_tests_name("scenario_collect", tests, NULL, NULL);
}
