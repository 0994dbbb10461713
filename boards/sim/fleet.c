/* SPDX-License-Identifier: MIT */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "config.h"
#include "hal/assert.h"
#include "ram/ram_flash.h"
#include "sim/sim_sensor.h"

#define SPOOL_LEN 65536U
#define SECTOR_LEN 4096U
#define LOCALS 8U
#define STARTING_MS 5000U /* of a server that answers 404 first */
#define STEPS_MAX 100000U
#define BASE_UNIX_MS INT64_C(1790000000000)

struct device {
    struct fleet *fleet;
    struct agent agent;
    struct fleet_link link;
    struct sim_sensor sensor;
    struct ram_flash flash;
    uint64_t random;
    uint64_t net_ms;           /* when something comes for its link */
    uint64_t collected_at_end; /* of the outage */
    uint32_t recovered_s;
    bool is_started;
    char identity[16];
    struct kwm_series series[FLEET_SERIES];
    struct kwm_measurement measurements[FLEET_SERIES];
    struct kwm_stream streams[FLEET_SERIES];
    uint8_t pool[1024];
    struct kwm_local locals[2U * LOCALS];
    struct kwm_batch_line lines[FLEET_LINES_MAX];
    struct kwm_reason reasons[1];
    struct kwm_row rows[1];
    uint8_t stage[1024];
    uint8_t out[1024];
    char line[256];
    uint8_t spool[SPOOL_LEN];
};

struct fleet {
    struct fleet_config config;
    struct fleet_server server;
    struct fleet_heap heap; /* devices, then the server, then the clock */
    struct kwm_config device_config;
    struct kwm_config_errors errors;
    struct hal_input_def inputs[2];
    struct device *devices;
    struct fleet_second *seconds;
    struct fleet_sample *samples;
    uint32_t sample_count;
    uint32_t lines_max;
    uint64_t now_ms, begin_ms, end_ms, stop_ms; /* outage and run */
    char document[512];
    uint8_t arena[16384];
};

/* -- What a device is made of ------------------------------------------------------------------
 */

static const struct hal_field_def fields[] = {
    {.name = "temp", .kind = HAL_KIND_FIXED, .scale = 3},
    {.name = "count", .kind = HAL_KIND_INT},
};
#define SCHEMA(name)                                              \
    {                                                             \
        .measurement = (name), .fields = fields, .field_count = 2 \
    }
static const struct hal_schema schemas[FLEET_SERIES] = {SCHEMA("m0"), SCHEMA("m1"), SCHEMA("m2"),
                                                        SCHEMA("m3")};
static const struct hal_schema *const schema_list[FLEET_SERIES] = {&schemas[0], &schemas[1],
                                                                   &schemas[2], &schemas[3]};

static const struct hal_option_def no_options[] = {{.key = NULL}};

static struct device *device_made; /* whose sensor is being made */

static uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

static void fill(void *ctx, struct sim_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)ctx;
    for (unsigned i = 0; i < FLEET_SERIES; i++) {
        const struct hal_value values[] = {
            {.kind = HAL_KIND_FIXED, .scale = 3, .i = (int64_t)(20000U + now_ms / 1000U % 5000U)},
            {.kind = HAL_KIND_INT, .i = sensor->readings},
        };
        (void)sink->put(sink, &(struct hal_point){.schema = &schemas[i], .values = values});
    }
}

static int create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    (void)env;
    *sensor = &device_made->sensor.sensor;
    return KWM_OK;
}

static struct hal_wall wall_now(void *ctx)
{
    const struct device *device = ctx;
    return (struct hal_wall){.state = HAL_WALL_SET,
                             .unix_ms = BASE_UNIX_MS + (int64_t)device->fleet->now_ms};
}

static void on_date(void *ctx, int64_t unix_ms, bool is_verified)
{
    (void)ctx;
    (void)unix_ms;
    (void)is_verified;
}

static uint32_t random_bits(void *ctx)
{
    struct device *device = ctx;
    return device->fleet->config.has_jitter ? next_random(&device->random) : UINT32_MAX;
}

static uint64_t memory_peak(void *ctx)
{
    (void)ctx;
    return 0;
}

static void release_inputs(void *ctx)
{
    device_made = ctx;
}

static void on_event(void *ctx, const struct kwm_event *event)
{
    (void)ctx;
    (void)event;
}

static struct agent_memory memory_of(struct device *device)
{
    return (struct agent_memory){
        .series = device->series,
        .series_cap = FLEET_SERIES,
        .measurements = device->measurements,
        .streams = device->streams,
        .measurement_cap = FLEET_SERIES,
        .pool = device->pool,
        .pool_cap = sizeof(device->pool),
        .locals = device->locals,
        .local_cap = LOCALS,
        .lines = device->lines,
        .line_slots = FLEET_LINES_MAX,
        .line_count_max = FLEET_LINES_MAX,
        .reasons = device->reasons,
        .reason_cap = 1,
        .rows = device->rows,
        .row_cap = 1,
        .stage = device->stage,
        .stage_cap = sizeof(device->stage),
        .out = device->out,
        .out_cap = sizeof(device->out),
        .line = device->line,
        .line_cap = sizeof(device->line),
    };
}

static void start_device(struct fleet *fleet, uint32_t id)
{
    struct device *device = &fleet->devices[id];
    const struct agent_memory memory = memory_of(device);
    const struct agent_services services = {
        .net = &device->link.net,
        .flash = &device->flash.flash,
        .wall = {.now = wall_now, .ctx = device},
        .on_date = on_date,
        .random = random_bits,
        .memory_peak = memory_peak,
        .release_inputs = release_inputs,
        .ctx = device,
        .identity = device->identity,
        .user_agent = "kwmote/fleet",
        .events = {.put = on_event, .ctx = device},
    };
    ram_flash_init(&device->flash, device->spool, SECTOR_LEN, SPOOL_LEN / SECTOR_LEN, 1);
    sim_sensor_init(&device->sensor, "sim", schema_list, FLEET_SERIES,
                    &(struct sim_sensor_script){.fill = fill});
    const int err =
        agent_init(&device->agent, &memory, &services, &fleet->device_config, fleet->now_ms);
    KWM_ASSERT(err == KWM_OK);
    device->is_started = true;
}

static void read_config(struct fleet *fleet)
{
    fleet->inputs[0] = (struct hal_input_def){
        .name = "sim", .help = "four readings", .options = no_options, .create = create};
    const struct kwm_config_env env = {.inputs = fleet->inputs};
    const int len =
        snprintf(fleet->document, sizeof(fleet->document),
                 "{\"agent\":{\"spool\":{\"size\":\"%uKiB\"}},\"outputs\":{\"http\":{\"url\":"
                 "\"https://kwdb.test:8080/restapi/"
                 "telegraf?db=d\",\"username\":\"u\",\"password\":\"p\"%s}},"
                 "\"inputs\":{\"sim\":{}}}",
                 SPOOL_LEN / 1024U, fleet->config.use_token ? ",\"auth\":\"token\"" : "");
    KWM_ASSERT(len > 0 && (size_t)len < sizeof(fleet->document));
    const int err = kwm_config_read(&fleet->device_config, &fleet->errors, &env, fleet->document,
                                    (size_t)len, fleet->arena, sizeof(fleet->arena));
    KWM_ASSERT(err == KWM_OK);
}

/* -- The fleet ---------------------------------------------------------------------------------
 */

static struct fleet_link *link_of(void *ctx, uint32_t id)
{
    struct fleet *fleet = ctx;
    return &fleet->devices[id].link;
}

static void wake(void *ctx, uint32_t id, uint64_t at_ms)
{
    struct fleet *fleet = ctx;
    struct device *device = &fleet->devices[id];
    device->net_ms = at_ms < device->net_ms ? at_ms : device->net_ms;
    if (device->net_ms < fleet->heap.times_ms[id]) {
        fleet_heap_set(&fleet->heap, id, device->net_ms);
    }
}

static bool allocate(struct fleet *fleet)
{
    const struct fleet_config *config = &fleet->config;
    const uint32_t seconds = (uint32_t)(fleet->stop_ms / 1000U) + 1U;
    fleet->devices = calloc(config->device_count, sizeof(fleet->devices[0]));
    fleet->seconds = calloc(seconds, sizeof(fleet->seconds[0]));
    fleet->samples = calloc(seconds / FLEET_SAMPLE_S + 1U, sizeof(fleet->samples[0]));
    fleet->server.seconds = fleet->seconds;
    fleet->server.second_count = seconds;
    return fleet->devices != NULL && fleet->seconds != NULL && fleet->samples != NULL &&
           fleet_heap_init(&fleet->heap, config->device_count + 2U) &&
           fleet_server_init(&fleet->server);
}

struct fleet *fleet_new(const struct fleet_config *config)
{
    KWM_ASSERT(config->device_count > 0);
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet == NULL) {
        return NULL;
    }
    fleet->config = *config;
    fleet->begin_ms = (config->start_s + FLEET_STEADY_S) * UINT64_C(1000);
    fleet->end_ms = fleet->begin_ms + config->outage_s * UINT64_C(1000);
    fleet->stop_ms = fleet->end_ms + config->after_s * UINT64_C(1000);
    fleet->server.core_count = config->core_count;
    fleet->server.use_token = config->use_token;
    fleet->server.base_unix_ms = BASE_UNIX_MS;
    fleet->server.link = link_of;
    fleet->server.wake = wake;
    fleet->server.ctx = fleet;
    if (!allocate(fleet)) {
        fleet_free(fleet);
        return NULL;
    }
    read_config(fleet);
    uint64_t random = config->seed * UINT64_C(0x9E3779B97F4A7C15) | 1U;
    for (uint32_t i = 0; i < config->device_count; i++) {
        struct device *device = &fleet->devices[i];
        device->fleet = fleet;
        device->random = ((uint64_t)next_random(&random) << 32 | next_random(&random)) | 1U;
        device->net_ms = UINT64_MAX;
        device->recovered_s = UINT32_MAX;
        (void)snprintf(device->identity, sizeof(device->identity), "dev-%05u",
                       config->has_phase ? (unsigned)i : 0U);
        fleet_link_init(&device->link, &fleet->server, i);
        const uint64_t spread_ms = config->start_s * UINT64_C(1000);
        fleet_heap_set(&fleet->heap, i, next_random(&random) % spread_ms);
    }
    fleet_heap_set(&fleet->heap, config->device_count + 1U, 0);
    return fleet;
}

void fleet_free(struct fleet *fleet)
{
    fleet_server_free(&fleet->server);
    fleet_heap_free(&fleet->heap);
    free(fleet->devices);
    free(fleet->seconds);
    free(fleet->samples);
    free(fleet);
}

static void run_device(struct fleet *fleet, uint32_t id)
{
    struct device *device = &fleet->devices[id];
    if (!device->is_started) {
        start_device(fleet, id);
    }
    device->net_ms = device->net_ms <= fleet->now_ms ? UINT64_MAX : device->net_ms;
    uint64_t next = fleet->now_ms;
    for (unsigned i = 0; next <= fleet->now_ms; i++) {
        KWM_ASSERT(i < STEPS_MAX);
        next = agent_step(&device->agent, fleet->now_ms);
    }
    const uint32_t lines = device->agent.delivery.line_count;
    fleet->lines_max = lines > fleet->lines_max ? lines : fleet->lines_max;
    fleet_heap_set(&fleet->heap, id, next < device->net_ms ? next : device->net_ms);
}

static void set_state(struct fleet *fleet, enum fleet_state state)
{
    if (fleet->server.state != state) {
        fleet_server_set(&fleet->server, state, fleet->config.device_count);
    }
}

static void follow_plan(struct fleet *fleet)
{
    const bool is_restart = fleet->config.is_restart;
    if (fleet->now_ms < fleet->begin_ms) {
        return;
    }
    if (fleet->now_ms < fleet->end_ms) {
        set_state(fleet, is_restart ? FLEET_DOWN : FLEET_AWAY);
        return;
    }
    if (fleet->now_ms == fleet->end_ms) {
        for (uint32_t i = 0; i < fleet->config.device_count; i++) {
            struct device *device = &fleet->devices[i];
            device->collected_at_end = device->agent.delivery.totals.collected;
        }
    }
    const bool is_starting = is_restart && fleet->now_ms < fleet->end_ms + STARTING_MS;
    set_state(fleet, is_starting ? FLEET_STARTING : FLEET_UP);
}

static void take_sample(struct fleet *fleet)
{
    struct fleet_sample *sample = &fleet->samples[fleet->sample_count++];
    sample->queue = fleet->server.job_count;
    for (uint32_t i = 0; i < fleet->config.device_count; i++) {
        struct device *device = &fleet->devices[i];
        const struct kwm_totals *totals = &device->agent.delivery.totals;
        sample->waiting += totals->waiting;
        if (fleet->now_ms > fleet->end_ms && device->recovered_s == UINT32_MAX &&
            totals->collected - totals->waiting >= device->collected_at_end) {
            device->recovered_s = (uint32_t)((fleet->now_ms - fleet->end_ms) / 1000U);
        }
    }
}

/** Once a second: the outage begins and ends, and things are looked at. */
static void run_clock(struct fleet *fleet)
{
    follow_plan(fleet);
    if (fleet->now_ms % (FLEET_SAMPLE_S * 1000U) == 0) {
        take_sample(fleet);
    }
    fleet_heap_set(&fleet->heap, fleet->config.device_count + 1U, fleet->now_ms + 1000U);
}

/* -- What came of it ---------------------------------------------------------------------------
 */

static uint32_t peak(const struct fleet_second *seconds, uint32_t from, uint32_t to,
                     uint32_t window)
{
    uint32_t sum = 0;
    uint32_t most = 0;
    for (uint32_t i = from; i < to; i++) {
        sum += seconds[i].requests;
        sum -= i >= from + window ? seconds[i - window].requests : 0U;
        most = sum > most ? sum : most;
    }
    return most;
}

static void sum_devices(const struct fleet *fleet, struct fleet_result *result)
{
    for (uint32_t i = 0; i < fleet->config.device_count; i++) {
        const struct device *device = &fleet->devices[i];
        const struct kwm_totals *totals = &device->agent.delivery.totals;
        uint64_t sum = totals->waiting;
        for (unsigned fate = 0; fate < KWM_FATE_COUNT; fate++) {
            sum += totals->fates[fate];
            result->totals.fates[fate] += totals->fates[fate];
        }
        KWM_ASSERT(sum == totals->collected);
        result->totals.collected += totals->collected;
        result->totals.waiting += totals->waiting;
        result->totals.requests += totals->requests;
        result->totals.requests_failed += totals->requests_failed;
        result->full_handshakes += device->link.net.info.full_handshakes;
        result->resumed_handshakes += device->link.net.info.resumed_handshakes;
    }
    KWM_ASSERT(fleet->server.rows >= result->totals.fates[KWM_FATE_STORED]);
    KWM_ASSERT(fleet->server.rows <= result->totals.fates[KWM_FATE_STORED] +
                                         result->totals.fates[KWM_FATE_UNKNOWN] +
                                         result->totals.waiting);
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static void rank_recovery(const struct fleet *fleet, struct fleet_result *result)
{
    const uint32_t count = fleet->config.device_count;
    uint32_t *times = malloc(count * sizeof(times[0]));
    KWM_ASSERT(times != NULL);
    for (uint32_t i = 0; i < count; i++) {
        times[i] = fleet->devices[i].recovered_s;
    }
    qsort(times, count, sizeof(times[0]), compare);
    result->recovered_99_s = times[(count - 1U) * 99U / 100U];
    result->recovered_s = times[count - 1U];
    free(times);
}

static void measure(const struct fleet *fleet, struct fleet_result *result)
{
    const uint32_t begin_s = (uint32_t)(fleet->begin_ms / 1000U);
    const uint32_t end_s = (uint32_t)(fleet->end_ms / 1000U);
    const uint32_t stop_s = (uint32_t)(fleet->stop_ms / 1000U);
    *result = (struct fleet_result){
        .second_count = stop_s,
        .seconds = fleet->seconds,
        .sample_count = fleet->sample_count,
        .samples = fleet->samples,
        .outage_begin_s = begin_s,
        .outage_end_s = end_s,
        .server_rows = fleet->server.rows,
        .server_rewrites = fleet->server.rewrites,
        .abandoned = fleet->server.abandoned,
        .syns_lost = fleet->server.syns_lost,
        .peak_1s = peak(fleet->seconds, end_s, stop_s, 1),
        .peak_10s = peak(fleet->seconds, end_s, stop_s, 10),
        .peak_60s = peak(fleet->seconds, end_s, stop_s, 60),
        .lines_max = fleet->lines_max,
        .device_len = sizeof(fleet->devices[0]),
    };
    for (uint32_t i = begin_s - FLEET_STEADY_S / 2U; i < begin_s; i++) {
        const struct fleet_second *s = &fleet->seconds[i];
        result->requests_steady += s->requests;
        result->queue_steady =
            s->queue_max > result->queue_steady ? s->queue_max : result->queue_steady;
    }
    for (uint32_t i = end_s; i < stop_s; i++) {
        const uint32_t queue = fleet->seconds[i].queue_max;
        result->queue_peak = queue > result->queue_peak ? queue : result->queue_peak;
    }
    sum_devices(fleet, result);
    rank_recovery(fleet, result);
}

void fleet_run(struct fleet *fleet, struct fleet_result *result)
{
    const uint32_t server = fleet->config.device_count;
    for (;;) {
        const uint32_t who = fleet_heap_first(&fleet->heap);
        const uint64_t next = fleet->heap.times_ms[who];
        if (next >= fleet->stop_ms) {
            break;
        }
        fleet->now_ms = next > fleet->now_ms ? next : fleet->now_ms;
        fleet_server_run(&fleet->server, fleet->now_ms);
        if (who == server + 1U) {
            run_clock(fleet);
        } else if (who != server) {
            run_device(fleet, who);
        }
        fleet_heap_set(&fleet->heap, server, fleet_server_next_ms(&fleet->server));
    }
    measure(fleet, result);
}
