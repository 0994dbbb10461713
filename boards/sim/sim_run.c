/* SPDX-License-Identifier: MIT */
#include "sim_run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hal/assert.h"

#define SLICE_MS 60000U
/* The longest wait of all: an hour between probes, three of which must blame one line. */
#define REST_HOURS 8U
#define SHORT_MS 600000U
#define CUT_MS 1200000U /* a spool of 16 KiB goes round in it */
/* The seeds of a power cut: first all geometries and tears at one point, then at another one, far
 * away, so that some seeds are spread over the run as well as all are. */
#define CUT_KINDS 36U
#define CUT_POINTS 32749U
#define CUT_STRIDE 12289U
#define SAMPLES_AN_HOUR 4200U

const struct sim_scenario_info sim_scenarios[SIM_SCENARIO_COUNT] = {
    [SIM_SCENARIO_RANDOM] = {"random", "faults of all kinds, at random, most of the time"},
    [SIM_SCENARIO_CALM] = {"calm", "no fault at all"},
    [SIM_SCENARIO_FAIL_NET] = {"fail-net", "ten minutes; seed N: net call N/2 fails"},
    [SIM_SCENARIO_POWER] = {"power", "as random, and the power fails: storage that survives"},
    [SIM_SCENARIO_CUT] = {"cut",
                          "20 minutes; seed N: the power fails at one byte, and again at a mount"},
};

uint32_t sim_run_pick(struct sim_run *run, uint32_t below)
{
    run->random ^= run->random >> 12;
    run->random ^= run->random << 25;
    run->random ^= run->random >> 27;
    return (uint32_t)((run->random * 0x2545F4914F6CDD1DULL) >> 33) % below;
}

uint64_t sim_run_now_ms(const struct sim_run *run)
{
    return run->world.now_ms + run->shift_ms;
}

void sim_run_tell(struct sim_run *run, const char *word, const char *format, ...)
{
    FILE *out = run->options.trace;
    if (out == NULL) {
        return;
    }
    const uint64_t ms = sim_run_now_ms(run) - run->start_ms;
    (void)fprintf(out, "%3" PRIu64 ":%02u:%02u.%03u  %-9s", ms / 3600000U,
                  (unsigned)(ms / 60000U % 60U), (unsigned)(ms / 1000U % 60U),
                  (unsigned)(ms % 1000U), word);
    va_list args;
    va_start(args, format);
    (void)vfprintf(out, format, args);
    va_end(args);
    (void)fputc('\n', out);
}

static void fill(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    struct sim_run *run = ctx;
    const uint8_t index = (uint8_t)(sensor - run->world.sensors);
    const bool is_renamed = index == 2 && run->shares_name;
    struct sim_sample made = {
        .begun_ms = sensor->begun_ms,
        .put_ms = now_ms,
        .sensor = index,
        .manner = run->manners[index],
        .is_late = run->shares_name && index > 0,
        .has_extra_tag = is_renamed,
        .name = is_renamed ? 1 : index,
    };
    const unsigned count = sim_run_pick(run, 8) == 0 ? SIM_TRUTH_POINTS_MAX : 2;
    for (unsigned i = 0; i < count; i++) {
        made.unit = (uint8_t)(i % 2U); /* the first one may come twice, at times in one mode */
        if (i < 2 || !made.is_late || !sim_truth_is_twin(&run->truth)) {
            const uint64_t seq_next = run->world.agent.spool.seq_next;
            struct sim_sample *sample = sim_truth_put(&run->truth, &made, sink);
            const bool is_logged = run->world.agent.spool.seq_next != seq_next;
            sample->sector_seq = is_logged ? run->world.agent.spool.sector_seq : UINT32_MAX;
            sample->end_off = run->world.agent.spool.off;
        }
    }
    sensor->script.takes_ms = sim_run_pick(run, 40) == 0 ? sim_run_pick(run, 3000) : 0;
}

static bool has_faults(const struct sim_run *run)
{
    return run->options.scenario == SIM_SCENARIO_RANDOM ||
           run->options.scenario == SIM_SCENARIO_POWER;
}

/** A configuration; what may change by a reload is another one each time. */
static void write_document(struct sim_run *run)
{
    const uint32_t jitter_s = sim_run_pick(run, 3);
    const bool is_plain = !has_faults(run);
    /* A row that waits for others has no place in the log yet. */
    run->shares_name = !is_plain && !run->world.is_flash_durable && sim_run_pick(run, 4) == 0;
    run->truth.late_ms_max =
        run->truth.late_ms_max > jitter_s * 1000U ? run->truth.late_ms_max : jitter_s * 1000U;
    /* One after the other: the order of arguments is the compiler's. */
    const bool is_small = !is_plain && sim_run_pick(run, 6) == 0;
    const uint32_t batch = is_small ? 4 + sim_run_pick(run, 20) : 200;
    const uint32_t flush_jitter_s = sim_run_pick(run, 20);
    const uint32_t flush_s = 30 + sim_run_pick(run, 60);
    const uint32_t interval_s = 8 + sim_run_pick(run, 3);
    (void)snprintf(
        run->document, sizeof(run->document),
        "{\"agent\":{\"interval\":\"%us\",\"flush_interval\":\"%us\",\"flush_jitter\":\"%us\","
        "\"metric_batch_size\":%u,\"collection_jitter\":\"%us\","
        "\"spool\":{\"size\":\"%uKiB\"}},\"outputs\":{\"http\":{\"url\":"
        "\"https://kwdb.test/restapi/telegraf?db=d\",\"username\":\"u\",\"password\":\"p\"}},"
        "\"inputs\":{\"sim\":[{},{},{%s}]}}",
        interval_s, flush_s, flush_jitter_s, batch, jitter_s, run->spool_kib,
        run->shares_name ? "\"name_override\":\"water\",\"tags\":{\"unit2\":\"x\"}" : "");
}

void sim_run_reload(struct sim_run *run)
{
    write_document(run);
    sim_run_tell(run, "reload", "%s", run->document);
    sim_world_reload(&run->world, run->document);
}

/** A durable sector has to have room for a checkpoint. */
static void widen_sector(struct sim_world *world)
{
    while (world->is_flash_durable && world->sector_len < 3U * world->prog_len + 384U) {
        world->sector_len *= 2U;
    }
}

static void choose_world(struct sim_run *run)
{
    struct sim_world *world = &run->world;
    run->spool_kib = 1024;
    world->is_flash_durable =
        run->options.scenario == SIM_SCENARIO_POWER || run->options.scenario == SIM_SCENARIO_CUT;
    if (run->options.scenario == SIM_SCENARIO_CUT) {
        run->spool_kib = 16; /* the log goes round more than once */
        world->sector_len = (uint32_t[]){512, 1024, 4096}[run->options.seed / 3U % 3U];
        world->prog_len = (uint16_t[]){1, 8, 32, 256}[run->options.seed / 9U % 4U];
    }
    widen_sector(world);
    if (!has_faults(run)) {
        return;
    }
    world->server.is_old = sim_run_pick(run, 5) == 0;
    world->server.latency_ms = 1 + sim_run_pick(run, 100);
    world->server.tables[sim_run_pick(run, 3)].float_column =
        sim_run_pick(run, 3) == 0 ? "extra" : NULL;
    world->sector_len = 512U << sim_run_pick(run, 4);
    world->line_count_max =
        (uint16_t)(sim_run_pick(run, 12) == 0 ? 2U + sim_run_pick(run, 10) : 200U);
    world->prog_len = (uint16_t)(sim_run_pick(run, 3) == 0 ? 8U << sim_run_pick(run, 6) : 1U);
    world->is_flash_slow = sim_run_pick(run, 4) == 0;
    world->slow_flash.script.prog_polls = sim_run_pick(run, 3);
    world->slow_flash.script.erase_polls = sim_run_pick(run, 20);
    if (sim_run_pick(run, 6) == 0) {
        world->wall = (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    }
    run->spool_kib = 16U << sim_run_pick(run, 6);
    if (run->spool_kib * 1024U < 4U * world->sector_len) {
        world->sector_len = 4096;
    }
    widen_sector(world);
    static const uint32_t holds_ms[] = {0, 0, 5000, 90000};
    world->hold_ms = holds_ms[sim_run_pick(run, 4)];
}

static void begin(struct sim_run *run)
{
    static const struct hal_schema *lists[SIM_TRUTH_SENSORS][1];
    const uint64_t seed = run->options.seed;
    struct sim_world *world = &run->world;
    run->random = (seed + 1U) * 0x9E3779B97F4A7C15ULL | 1U;
    (void)sim_run_pick(run, 2);
    run->start_ms =
        UINT64_C(0xFFFFFFFF) - sim_run_pick(run, 80000000); /* 32 bits wrap on the way */
    sim_world_init(world, seed, run->start_ms);
    const uint32_t samples = run->options.hours * SAMPLES_AN_HOUR;
    sim_truth_begin(&run->truth, seed, samples);
    if (run->row_cap < samples * 2U) {
        for (run->row_cap = 1024; run->row_cap < samples * 2U; run->row_cap *= 2U) {
        }
        free(run->rows);
        run->rows = malloc(run->row_cap * sizeof(*run->rows));
        KWM_ASSERT(run->rows != NULL);
    }
    memset(run->rows, 0, run->row_cap * sizeof(*run->rows));
    kwdb_model_use_store(&world->server, run->rows, run->row_cap);
    for (unsigned i = 0; i < SIM_TRUTH_SENSORS; i++) {
        lists[i][0] = sim_truth_schema(i);
        (void)sim_world_sensor(world, lists[i][0]->measurement, lists[i], 1,
                               &(struct sim_sensor_script){.fill = fill, .ctx = run});
        (void)kwdb_model_table(&world->server, lists[i][0]->measurement);
    }
    choose_world(run);
    write_document(run);
    sim_watch_begin(run);
    sim_run_tell(run, "start", "seed %" PRIu64 ", spool of %u KiB, sectors of %u B by %u%s%s", seed,
                 run->spool_kib, world->sector_len, world->prog_len,
                 world->is_flash_slow ? ", slow" : "",
                 world->server.is_old ? "; a server before 2.2" : "");
    sim_run_tell(run, "start", "%s", run->document);
    sim_truth_clock(&run->truth, world->now_ms, world->wall);
    sim_world_start(world, run->document);
}

/** What was in RAM is gone; after a while the device comes up again. */
static void reboot(struct sim_run *run)
{
    struct sim_world *world = &run->world;
    const uint64_t down_ms =
        1000U * (1U + sim_run_pick(run, sim_run_pick(run, 8) == 0 ? 7200 : 60));
    const uint64_t boot_ms = 1U + sim_run_pick(run, 20000);
    const bool has_rtc = sim_run_pick(run, 3) != 0;
    const uint64_t then_ms = sim_run_now_ms(run) + down_ms;
    const struct kwm_spool *spool = &world->agent.spool;
    run->unnoted += world->agent.delivery.rows_unnoted;
    const bool is_old_open = spool->old_len != 0; /* the sector before the head is not out yet */
    sim_truth_cut(&run->truth, spool->sector_seq - (is_old_open ? 1U : 0U),
                  is_old_open ? spool->old_off : spool->stage_off);
    sim_run_tell(run, "power", "fails, for %u s; %s", (unsigned)(down_ms / 1000U),
                 has_rtc ? "a clock of its own goes on" : "the time of day is lost");
    sim_world_power_cut(world);
    sim_world_power_on(world, down_ms, boot_ms, has_rtc);
    run->shift_ms = then_ms - boot_ms;
    run->boots++;
    if (!world->slow_flash.is_off) {
        sim_truth_reboot(&run->truth, world->agent.delivery.totals.collected);
        sim_truth_clock(&run->truth, world->now_ms, world->wall);
        sim_watch_reboot(run);
        sim_run_tell(run, "power", "is back; %" PRIu64 " samples wait",
                     world->agent.delivery.totals.waiting);
    }
}

/** A minute at most, and what is due at its end. */
static void run_slice(struct sim_run *run, uint64_t end_ms, bool is_quiet)
{
    struct sim_world *world = &run->world;
    const uint64_t now_ms = sim_run_now_ms(run);
    uint64_t until_ms = now_ms + SLICE_MS < end_ms ? now_ms + SLICE_MS : end_ms;
    if (!is_quiet) {
        run->is_faulty = sim_faults_step(run);
        const uint64_t next_ms = sim_faults_next_ms(run);
        until_ms = next_ms > now_ms && next_ms < until_ms ? next_ms : until_ms;
    }
    sim_world_run(world, until_ms - now_ms);
    while (world->slow_flash.is_off) {
        reboot(run);
    }
    run->fault_ms += run->is_faulty ? sim_run_now_ms(run) - now_ms : 0;
    sim_watch_accounts(run, false);
}

static bool is_broken(const struct sim_run *run)
{
    return run->truth.violation[0] != '\0';
}

/** Nothing new comes, and nothing is wrong any more: all must get its verdict. */
static void come_to_rest(struct sim_run *run)
{
    struct sim_world *world = &run->world;
    sim_faults_heal(run);
    run->is_faulty = false;
    world->slow_flash.script.cut_point = 0;
    world->agent.collector.is_held = true;
    const uint64_t end_ms = sim_run_now_ms(run) + SIM_S(REST_HOURS * 3600U);
    sim_run_tell(run, "rest", "no more samples, no more faults");
    while (sim_run_now_ms(run) < end_ms && !is_broken(run)) {
        run_slice(run, end_ms, true);
        if (world->agent.delivery.totals.waiting == 0 &&
            !kwm_collector_is_busy(&world->agent.collector)) {
            break;
        }
    }
    sim_watch_accounts(run, true);
}

static void settle_result(struct sim_run *run, struct sim_result *result)
{
    const struct kwm_totals *totals = &run->world.agent.delivery.totals;
    *result = (struct sim_result){
        .seed = run->options.seed,
        .at_ms = sim_run_now_ms(run) - run->start_ms,
        .virtual_ms = run->run_ms,
        .fault_ms = run->fault_ms,
        .collected = totals->collected,
        .stored = totals->fates[KWM_FATE_STORED],
        .refused = kwm_totals_refused(totals),
        .dropped = kwm_totals_dropped(totals),
        .unknown = totals->fates[KWM_FATE_UNKNOWN],
        .waiting = totals->waiting,
        .requests = run->world.server.requests,
        .faults = run->fault_count,
        .boots = run->boots,
        .net_calls = run->world.net.call_count,
        .flash_points = run->world.slow_flash.points,
    };
    result->hash = run->truth.hash ^ (totals->collected << 32) ^ totals->requests ^
                   ((uint64_t)result->net_calls << 16) ^ run->world.now_ms ^ result->flash_points;
    memcpy(result->violation, run->truth.violation, sizeof(result->violation));
}

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void clear(struct sim_run *run, const struct sim_options *options)
{
    struct kwdb_row *rows = run->rows;
    const uint32_t row_cap = run->row_cap;
    const struct sim_truth truth = run->truth;
    memset(run, 0, sizeof(*run));
    run->options = *options;
    run->rows = rows;
    run->row_cap = row_cap;
    run->truth = truth;
}

/** The one fault of a short run. */
static void place_fault(struct sim_run *run)
{
    const uint64_t seed = run->options.seed;
    struct sim_flash_script *flash = &run->world.slow_flash.script;
    run->fault_count = 1;
    if (run->options.scenario == SIM_SCENARIO_CUT) {
        flash->cut_point = seed / CUT_KINDS % CUT_POINTS * CUT_STRIDE % CUT_POINTS + 1U;
        flash->tear = (enum sim_flash_tear)(seed % SIM_FLASH_TEAR_COUNT);
        run->world.cut_again_points = sim_run_pick(run, 2) == 0 ? 1U + sim_run_pick(run, 200) : 0;
        return;
    }
    run->world.net.script.fail_call = (uint32_t)(seed / 2U + 1U);
    run->world.net.script.fail_err = seed % 2U == 0 ? KWM_ERR_IO : KWM_ERR_CLOSED;
}

void sim_run(struct sim_run *run, const struct sim_options *options, struct sim_result *result)
{
    const double started_s = cpu_seconds();
    clear(run, options);
    begin(run);
    uint64_t ms = SIM_S(options->hours * 3600U);
    if (!has_faults(run) && options->scenario != SIM_SCENARIO_CALM) {
        ms = options->scenario == SIM_SCENARIO_CUT ? CUT_MS : SHORT_MS;
        place_fault(run);
    }
    const uint64_t end_ms = run->start_ms + ms;
    while (sim_run_now_ms(run) < end_ms && !is_broken(run)) {
        run_slice(run, end_ms, !has_faults(run));
    }
    run->run_ms = sim_run_now_ms(run) - run->start_ms;
    if (!is_broken(run)) {
        come_to_rest(run);
    }
    settle_result(run, result);
    result->cpu_s = cpu_seconds() - started_s;
    if (is_broken(run)) {
        sim_run_tell(run, "VIOLATION", "%s", result->violation);
    } else {
        sim_run_tell(run, "end", "%" PRIu64 " collected, %" PRIu64 " stored", result->collected,
                     result->stored);
    }
}
