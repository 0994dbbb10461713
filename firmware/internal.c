/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include "agent.h"
#include "hal/assert.h"

#define SECONDS_A_DAY 86400

#define INT(text)                          \
    {                                      \
        .name = text, .kind = HAL_KIND_INT \
    }
static const struct hal_field_def agent_fields[] = {
    INT("metrics_gathered"), INT("gathers"),        INT("gather_errors"),
    INT("gather_timeouts"),  INT("gather_missed"),  INT("series"),
    INT("series_retired"),   INT("values_altered"), INT("tls_heap_peak"),
};
static const struct hal_field_def write_fields[] = {
    INT("metrics_collected"), INT("metrics_written"),
    INT("metrics_rejected"),  INT("metrics_dropped"),
    INT("metrics_unknown"),   INT("metrics_waiting"),
    INT("buffer_size"),       INT("buffer_limit"),
    INT("requests"),          INT("errors"),
    INT("bytes_sent"),        INT("bytes_received"),
    INT("handshakes_full"),   INT("handshakes_resumed"),
    INT("handshake_ms"),      INT("certificate_days"),
};
#undef INT
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const struct hal_tag_def write_tags[] = {{.key = "output", .role = HAL_TAG_PRIMARY}};
static const struct hal_schema agent_schema = {
    .measurement = "internal_agent", .fields = agent_fields, .field_count = COUNT(agent_fields)};
static const struct hal_schema write_schema = {.measurement = "internal_write",
                                               .tags = write_tags,
                                               .tag_count = COUNT(write_tags),
                                               .fields = write_fields,
                                               .field_count = COUNT(write_fields)};
static const struct hal_schema *const schemas[] = {&agent_schema, &write_schema};

static const struct agent *agent_bound;

void agent_internal_bind(const struct agent *agent)
{
    agent_bound = agent;
}

static void set(struct hal_value *value, uint64_t number)
{
    *value = (struct hal_value){.kind = HAL_KIND_INT,
                                .i = number < INT64_MAX ? (int64_t)number : INT64_MAX};
}

static void put_agent(const struct agent *agent, struct hal_sink *sink)
{
    struct hal_value values[COUNT(agent_fields)];
    uint64_t sums[4] = {0};
    for (unsigned i = 0; i < agent->collector.config.input_count; i++) {
        sums[0] += agent->inputs[i].gathers;
        sums[1] += agent->inputs[i].errors;
        sums[2] += agent->inputs[i].timeouts;
        sums[3] += agent->inputs[i].missed;
    }
    uint64_t series = 0;
    for (unsigned i = 0; i < agent->series.slot_cap; i++) {
        series += agent->series.slots[i].generation != 0 ? 1U : 0U;
    }
    set(&values[0], agent->collector.points);
    for (unsigned i = 0; i < COUNT(sums); i++) {
        set(&values[1 + i], sums[i]);
    }
    set(&values[5], series);
    set(&values[6], agent->series.retired);
    set(&values[7], (uint64_t)agent->series.losses.replaced + agent->series.losses.clipped);
    set(&values[8], agent->services.memory_peak(agent->services.ctx));
    (void)sink->put(sink, &(struct hal_point){.schema = &agent_schema, .values = values});
}

/** Bytes of the log that hold something. */
static uint64_t spool_used(const struct agent *agent)
{
    const struct kwm_spool *spool = &agent->spool;
    const struct hal_flash_geometry *geometry = &spool->config.flash->geometry;
    if (spool->sector_seq == 0) {
        return 0;
    }
    const uint32_t full =
        (spool->head + geometry->sector_count - spool->tail) % geometry->sector_count;
    return (uint64_t)full * geometry->sector_len + spool->off;
}

static void put_write(const struct agent *agent, struct hal_sink *sink)
{
    const struct kwm_totals *totals = &agent->delivery.totals;
    const struct hal_net_info *info = &agent->services.net->info;
    const struct hal_flash_geometry *geometry = &agent->services.flash->geometry;
    const struct hal_wall wall = agent->services.wall.now(agent->services.wall.ctx);
    const uint64_t numbers[COUNT(write_fields) - 1] = {
        totals->collected,
        totals->fates[KWM_FATE_STORED],
        kwm_totals_refused(totals),
        kwm_totals_dropped(totals),
        totals->fates[KWM_FATE_UNKNOWN],
        totals->waiting,
        spool_used(agent),
        (uint64_t)geometry->sector_len * geometry->sector_count,
        totals->requests,
        totals->requests_failed,
        info->bytes_sent,
        info->bytes_recv,
        info->full_handshakes,
        info->resumed_handshakes,
        info->handshake_ms,
    };
    struct hal_value values[COUNT(write_fields)];
    for (unsigned i = 0; i < COUNT(numbers); i++) {
        set(&values[i], numbers[i]);
    }
    struct hal_value *days = &values[COUNT(numbers)];
    *days = (struct hal_value){.kind = HAL_KIND_NONE};
    if (info->not_after_s != 0 && wall.state == HAL_WALL_SET) {
        *days = (struct hal_value){.kind = HAL_KIND_INT,
                                   .i = (info->not_after_s - wall.unix_ms / 1000) / SECONDS_A_DAY};
    }
    const struct hal_text tag = {.s = "http", .len = 4};
    (void)sink->put(sink,
                    &(struct hal_point){.schema = &write_schema, .tags = &tag, .values = values});
}

static int internal_begin(struct hal_sensor *sensor, uint64_t now_ms)
{
    (void)sensor;
    (void)now_ms;
    return KWM_OK;
}

static int internal_poll(struct hal_sensor *sensor, uint64_t now_ms, struct hal_sink *sink)
{
    (void)sensor;
    (void)now_ms;
    KWM_ASSERT(agent_bound != NULL);
    put_agent(agent_bound, sink);
    put_write(agent_bound, sink);
    return 1;
}

static void internal_cancel(struct hal_sensor *sensor)
{
    (void)sensor;
}

static const struct hal_sensor_ops ops = {
    .begin = internal_begin, .poll = internal_poll, .cancel = internal_cancel};

static struct hal_sensor internal_sensor = {.ops = &ops,
                                            .name = "internal",
                                            .schemas = schemas,
                                            .schema_count = COUNT(schemas),
                                            .detail = ""};

static int internal_create(const struct hal_input_env *env, struct hal_sensor **sensor)
{
    (void)env;
    *sensor = &internal_sensor;
    return KWM_OK;
}

static const struct hal_option_def no_options[] = {{.key = NULL}};

const struct hal_input_def agent_internal_input = {
    .name = "internal",
    .help = "the agent's own state: what was collected and what became of it",
    .options = no_options,
    .create = internal_create,
};
