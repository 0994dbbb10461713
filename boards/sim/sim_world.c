/* SPDX-License-Identifier: MIT */
#include "sim_world.h"

#include <stdio.h>
#include <string.h>

#include "hal/assert.h"
#include "internal.h"

static struct sim_world *world_made; /* whose sensors are being made */

/** A device without power sends nothing, although its step goes on. */
static void on_bytes(void *ctx, struct sim_net *net, const uint8_t *data, size_t len)
{
    struct sim_world *w = ctx;
    if (!w->slow_flash.is_off) {
        w->peer.on_bytes(w->peer.ctx, net, data, len);
    }
}

static void on_open(void *ctx, struct sim_net *net)
{
    struct sim_world *w = ctx;
    w->peer.on_open(w->peer.ctx, net);
}

void sim_world_init(struct sim_world *w, uint64_t seed, uint64_t now_ms)
{
    memset(w, 0, sizeof(*w));
    w->now_ms = now_ms;
    w->wall = (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = INT64_C(1790000000000)};
    w->random = seed * 0x9E3779B97F4A7C15ULL | 1U;
    w->sector_len = 4096;
    w->prog_len = 1;
    w->line_count_max = 200;
    kwdb_model_init(&w->server, &w->now_ms);
    w->peer = kwdb_model_peer(&w->server);
    const struct sim_peer peer = {.on_open = on_open, .on_bytes = on_bytes, .ctx = w};
    sim_net_init(&w->net, &w->now_ms, &peer);
    w->net.script.is_secure = true;
    w->net.script.not_before_s = INT64_C(1700000000);
    w->net.script.not_after_s = INT64_C(1900000000);
}

struct sim_sensor *sim_world_sensor(struct sim_world *w, const char *name,
                                    const struct hal_schema *const *schemas, uint8_t schema_count,
                                    const struct sim_sensor_script *script)
{
    KWM_ASSERT(w->sensor_count < SIM_SENSORS_MAX);
    struct sim_sensor *sensor = &w->sensors[w->sensor_count++];
    sim_sensor_init(sensor, name, schemas, schema_count, script);
    return sensor;
}

static int create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    (void)env;
    struct sim_world *w = world_made;
    KWM_ASSERT(w->sensors_made < w->sensor_count);
    *sensor = &w->sensors[w->sensors_made++].sensor;
    return KWM_OK;
}

static const struct hal_option_def no_options[] = {{.key = NULL}};

static struct hal_wall wall_now(void *ctx)
{
    const struct sim_world *w = ctx;
    struct hal_wall wall = w->wall;
    if (wall.state == HAL_WALL_SET) {
        wall.unix_ms += (int64_t)w->now_ms;
    }
    return wall;
}

static void on_date(void *ctx, int64_t unix_ms, bool is_verified)
{
    struct sim_world *w = ctx;
    if (!is_verified) {
        w->wall = (struct hal_wall){.state = HAL_WALL_SET, .unix_ms = unix_ms - (int64_t)w->now_ms};
    }
}

static uint32_t random_bits(void *ctx)
{
    struct sim_world *w = ctx;
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (uint32_t)((w->random * 0x2545F4914F6CDD1DULL) >> 32);
}

static uint64_t memory_peak(void *ctx)
{
    (void)ctx;
    return 0;
}

static void release_inputs(void *ctx)
{
    struct sim_world *w = ctx;
    w->sensors_made = 0;
}

static void on_event(void *ctx, const struct kwm_event *event)
{
    struct sim_world *w = ctx;
    struct sim_event *out = &w->events[w->event_count++ % SIM_EVENTS_MAX];
    *out = (struct sim_event){
        .at_ms = w->now_ms, .code = event->code, .reason = event->reason, .err = event->err};
    (void)snprintf(out->name, sizeof(out->name), "%s", event->name);
    (void)snprintf(out->text, sizeof(out->text), "%s", event->text);
    if (w->observer.on_event != NULL) {
        w->observer.on_event(w->observer.ctx, out);
    }
}

static struct agent_memory memory_of(struct sim_world *w)
{
    return (struct agent_memory){
        .series = w->series,
        .series_cap = SIM_SERIES_MAX,
        .measurements = w->measurements,
        .streams = w->streams,
        .measurement_cap = SIM_MEASUREMENTS_MAX,
        .pool = w->pool,
        .pool_cap = sizeof(w->pool),
        .locals = w->locals,
        .scratch = w->scratch,
        .local_cap = sizeof(w->locals) / sizeof(w->locals[0]) / 2U,
        .lines = w->lines,
        .line_slots = KWM_BATCH_LINES_MAX,
        .line_count_max = w->line_count_max,
        .reasons = w->reasons,
        .reason_cap = sizeof(w->reasons) / sizeof(w->reasons[0]),
        .rows = w->rows,
        .row_cap = sizeof(w->rows) / sizeof(w->rows[0]),
        .stage = w->stage,
        .stage_cap = sizeof(w->stage),
        .out = w->out,
        .out_cap = sizeof(w->out),
        .line = w->line,
        .line_cap = sizeof(w->line),
    };
}

static struct agent_services services_of(struct sim_world *w)
{
    return (struct agent_services){
        .net = &w->net.net,
        .flash = w->is_flash_slow || w->is_flash_durable ? &w->slow_flash.flash : &w->flash.flash,
        .wall = {.now = wall_now, .ctx = w},
        .on_date = on_date,
        .random = random_bits,
        .memory_peak = memory_peak,
        .release_inputs = release_inputs,
        .ctx = w,
        .hold_ms = w->hold_ms,
        .identity = "sim-1",
        .user_agent = "kwmote/sim",
        .events = {.put = on_event, .ctx = w},
    };
}

static struct kwm_config *read_config(struct sim_world *w, const char *document)
{
    w->inputs[0] = (struct hal_input_def){
        .name = "sim", .help = "a scripted sensor", .options = no_options, .create = create};
    w->inputs[1] = agent_internal_input;
    const struct kwm_config_env env = {.inputs = w->inputs};
    const int len = snprintf(w->document, sizeof(w->document), "%s", document);
    KWM_ASSERT(len > 0 && (size_t)len < sizeof(w->document));
    w->config_index ^= 1U;
    struct kwm_config *config = &w->configs[w->config_index];
    const int err = kwm_config_read(config, &w->errors, &env, w->document, (size_t)len,
                                    w->arenas[w->config_index], sizeof(w->arenas[0]));
    if (err != KWM_OK) {
        (void)fprintf(stderr, "%u:%u %s: %s\n", w->errors.list[0].line, w->errors.list[0].column,
                      w->errors.list[0].path, w->errors.list[0].reason);
    }
    KWM_ASSERT(err == KWM_OK);
    world_made = w;
    return config;
}

static void make_flash(struct sim_world *w, uint32_t spool_len)
{
    const struct hal_flash_geometry geometry = {
        .sector_len = w->sector_len,
        .sector_count = spool_len / w->sector_len,
        .prog_len = w->prog_len,
        .is_durable = w->is_flash_durable,
    };
    KWM_ASSERT(spool_len <= sizeof(w->spool));
    ram_flash_init(&w->flash, w->spool, w->sector_len, geometry.sector_count, w->prog_len);
    const struct sim_flash_script script = w->slow_flash.script;
    if (w->is_flash_durable) {
        memset(w->spool, 0xFF, spool_len);
    }
    sim_flash_init(&w->slow_flash, w->spool, &geometry);
    w->slow_flash.script = script;
    w->slow_flash.random = w->random;
    if (w->is_flash_cached) {
        sim_flash_use_cache(&w->slow_flash, w->synced);
    }
}

static void boot(struct sim_world *w, const struct kwm_config *config)
{
    const struct agent_memory memory = memory_of(w);
    w->boots++;
    const struct agent_services services = services_of(w);
    const int err = agent_init(&w->agent, &memory, &services, config, w->now_ms);
    if (err != KWM_OK && !w->slow_flash.is_off) {
        (void)fprintf(stderr, "the agent does not start: %s\n", w->agent.reason);
    }
    KWM_ASSERT(err == KWM_OK || w->slow_flash.is_off);
}

void sim_world_start(struct sim_world *w, const char *document)
{
    const struct kwm_config *config = read_config(w, document);
    make_flash(w, config->spool_len);
    boot(w, config);
}

/** What was in RAM is not zero when the power comes back. */
static void spoil(void *bytes, size_t len)
{
    memset(bytes, 0xA5, len);
}

void sim_world_power_cut(struct sim_world *w)
{
    KWM_ASSERT(w->is_flash_durable);
    if (!w->slow_flash.is_off) {
        sim_flash_cut(&w->slow_flash);
    }
    hal_net_close(&w->net.net);
    for (unsigned i = 0; i < w->sensor_count; i++) {
        hal_sensor_cancel(&w->sensors[i].sensor);
    }
    spoil(&w->agent, sizeof(w->agent));
    spoil(w->series, sizeof(w->series));
    spoil(w->measurements, sizeof(w->measurements));
    spoil(w->streams, sizeof(w->streams));
    spoil(w->pool, sizeof(w->pool));
    spoil(w->locals, sizeof(w->locals));
    spoil(w->scratch, sizeof(w->scratch));
    spoil(w->lines, sizeof(w->lines));
    spoil(w->reasons, sizeof(w->reasons));
    spoil(w->rows, sizeof(w->rows));
    spoil(w->stage, sizeof(w->stage));
    spoil(w->out, sizeof(w->out));
    spoil(w->line, sizeof(w->line));
}

void sim_world_power_on(struct sim_world *w, uint64_t down_ms, uint64_t boot_ms, bool has_rtc)
{
    const int64_t shift_ms = (int64_t)(w->now_ms + down_ms) - (int64_t)boot_ms;
    w->now_ms = boot_ms;
    w->server.date_unix_ms += shift_ms;
    if (w->wall.state == HAL_WALL_SET && has_rtc) {
        w->wall.unix_ms += shift_ms;
    } else {
        w->wall = (struct hal_wall){.state = HAL_WALL_UNKNOWN};
    }
    if (w->slow_flash.is_off) {
        sim_flash_power_on(&w->slow_flash);
        w->slow_flash.script.cut_point =
            w->cut_again_points != 0 ? w->slow_flash.points + w->cut_again_points : 0;
        w->cut_again_points = 0;
    }
    world_made = w;
    boot(w, &w->configs[w->config_index]);
}

void sim_world_reload(struct sim_world *w, const char *document)
{
    const int err = agent_reload(&w->agent, read_config(w, document), w->now_ms);
    KWM_ASSERT(err == KWM_OK);
}

void sim_world_run(struct sim_world *w, uint64_t ms)
{
    const uint64_t end_ms = w->now_ms + ms;
    unsigned spins = 0;
    while (w->now_ms < end_ms && !w->slow_flash.is_off) {
        uint64_t next = agent_step(&w->agent, w->now_ms);
        if (w->observer.on_step != NULL) {
            w->observer.on_step(w->observer.ctx, next);
        }
        const uint64_t event_ms = sim_net_next_event_ms(&w->net);
        next = event_ms < next ? event_ms : next;
        next = next < end_ms ? next : end_ms;
        spins = next > w->now_ms ? 0 : spins + 1U;
        KWM_ASSERT(spins < SIM_SPINS_MAX);
        w->now_ms = next > w->now_ms ? next : w->now_ms;
    }
}

void sim_world_settle(struct sim_world *w, uint64_t seconds)
{
    w->agent.collector.is_held = true;
    sim_world_run(w, SIM_S(seconds));
}

unsigned sim_world_events(const struct sim_world *w, enum kwm_event_code code,
                          const struct sim_event **last)
{
    unsigned count = 0;
    const uint32_t first = w->event_count > SIM_EVENTS_MAX ? w->event_count - SIM_EVENTS_MAX : 0;
    for (uint32_t i = first; i < w->event_count; i++) {
        if (w->events[i % SIM_EVENTS_MAX].code == code) {
            count++;
            if (last != NULL) {
                *last = &w->events[i % SIM_EVENTS_MAX];
            }
        }
    }
    return count;
}

void sim_world_check(const struct sim_world *w)
{
    const struct kwm_totals *totals = &w->agent.delivery.totals;
    const uint64_t stored = totals->fates[KWM_FATE_STORED];
    const uint64_t unknown = totals->fates[KWM_FATE_UNKNOWN];
    const uint64_t doubtful = unknown + totals->fates[KWM_FATE_REFUSED_UNKNOWN] + totals->waiting;
    KWM_ASSERT(totals->collected == stored + kwm_totals_refused(totals) +
                                        kwm_totals_dropped(totals) + unknown + totals->waiting);
    KWM_ASSERT(w->server.rows >= stored);
    KWM_ASSERT(w->server.rows - stored <= doubtful);
    KWM_ASSERT(w->server.changed == 0);
    KWM_ASSERT(w->server.malformed == 0);
    KWM_ASSERT(w->agent.spool.counters.corrupt_sectors == 0);
}
