/* SPDX-License-Identifier: MIT */
#include "agent.h"

#include <string.h>

#include "hal/assert.h"
#include "internal.h"
#include "kwm/text.h"

#define READING_MS_MAX 10000U
#define REST_TIMES 2U
#define FLASH_POLL_MS 10U

static void on_drop(void *ctx, uint64_t seq, unsigned measurement)
{
    struct agent *agent = ctx;
    kwm_delivery_dropped(&agent->delivery, seq, measurement);
}

static size_t save(void *ctx, uint8_t *out, size_t cap)
{
    const struct agent *agent = ctx;
    return kwm_delivery_save(&agent->delivery, out, cap);
}

static void on_date(void *ctx, int64_t unix_ms, bool is_verified)
{
    const struct agent *agent = ctx;
    agent->services.on_date(agent->services.ctx, unix_ms, is_verified);
}

static struct hal_wall wall_now(void *ctx)
{
    const struct agent *agent = ctx;
    return agent->services.wall.now(agent->services.wall.ctx);
}

static uint32_t random_bits(void *ctx)
{
    const struct agent *agent = ctx;
    return agent->services.random(agent->services.ctx);
}

static int fail(struct agent *agent, int err, const char *what, const char *why)
{
    struct kwm_text text;
    kwm_text_init(&text, agent->reason, sizeof(agent->reason));
    kwm_text_append(&text, what);
    kwm_text_append(&text, ": ");
    kwm_text_append(&text, why);
    return err;
}

static int fail_clash(struct agent *agent, const char *label, const char *key)
{
    struct kwm_text text;
    kwm_text_init(&text, agent->reason, sizeof(agent->reason));
    kwm_text_append(&text, label);
    kwm_text_append(&text, ": its rows have a column ");
    kwm_text_append(&text, key);
    kwm_text_append(&text, " of their own; rename that tag in tags or global_tags");
    return KWM_ERR_INVAL;
}

static int init_uplink(struct agent *agent)
{
    const struct kwm_config_output *output = &agent->config->output;
    const struct kwm_uplink_config config = {
        .net = agent->services.net,
        .endpoints = output->endpoints,
        .endpoint_count = output->endpoint_count,
        .authorization = output->authorization,
        .use_token = output->use_token,
        .headers = output->headers,
        .user_agent = agent->services.user_agent,
        .out = agent->memory.out,
        .out_cap = agent->memory.out_cap,
        .timeout_ms = output->timeout_ms,
        .idle_ms_max = output->idle_ms_max,
        .wall = {.now = wall_now, .ctx = agent},
        .on_date = on_date,
        .random = random_bits,
        .ctx = agent,
    };
    const int err = kwm_uplink_init(&agent->uplink, &config);
    return err == KWM_OK ? KWM_OK : fail(agent, err, "outputs.http", "cannot be set up");
}

static uint16_t line_count(const struct agent *agent)
{
    const uint16_t wanted = agent->config->metric_batch_size;
    return wanted < agent->memory.line_count_max ? wanted : agent->memory.line_count_max;
}

static struct kwm_delivery_config delivery_config(struct agent *agent)
{
    const struct kwm_config *config = agent->config;
    return (struct kwm_delivery_config){
        .spool = &agent->spool,
        .uplink = &agent->uplink,
        .reader = &agent->reader,
        .lines = agent->memory.lines,
        .streams = agent->memory.streams,
        .reasons = agent->memory.reasons,
        .reason_cap = agent->memory.reason_cap,
        .line = agent->memory.line,
        .line_cap = agent->memory.line_cap,
        .line_slots = agent->memory.line_slots,
        .line_count_max = line_count(agent),
        .flush = {.interval_ms = config->flush_interval_ms,
                  .offset_ms =
                      kwm_schedule_phase(agent->services.identity, config->flush_interval_ms),
                  .jitter_ms = config->flush_jitter_ms,
                  .is_aligned = config->round_interval},
        .rest_times = REST_TIMES,
        .events = agent->services.events,
        .random = random_bits,
        .ctx = agent,
    };
}

static int init_spool(struct agent *agent)
{
    const struct agent_memory *memory = &agent->memory;
    agent->series = (struct kwm_series_table){
        .slots = memory->series,
        .measurements = memory->measurements,
        .pool = memory->pool,
        .pool_cap = memory->pool_cap,
        .slot_cap = memory->series_cap,
        .measurement_cap = memory->measurement_cap,
    };
    kwm_series_init(&agent->series, agent->config->output.dialect);
    KWM_ASSERT(memory->scratch != NULL || (agent->services.flash->mapped != NULL &&
                                           agent->services.flash->geometry.prog_len == 1));
    agent->reader = (struct kwm_reader){
        .locals = memory->locals, .local_cap = memory->local_cap, .scratch = memory->scratch};
    agent->dropper = (struct kwm_reader){.locals = memory->locals + memory->local_cap,
                                         .local_cap = memory->local_cap};
    if (memory->scratch != NULL) {
        agent->dropper.scratch = memory->scratch + KWM_READER_SCRATCH_LEN;
    }
    const struct kwm_spool_config config = {
        .flash = agent->services.flash,
        .series = &agent->series,
        .stage = memory->stage,
        .stage_cap = memory->stage_cap,
        .on_drop = on_drop,
        .ctx = agent,
        .dropper = &agent->dropper,
        .save = save,
        .boot_mark = agent->services.boot_mark,
        .hold_ms = agent->services.hold_ms,
    };
    const int err = kwm_spool_init(&agent->spool, &config);
    return err == KWM_OK ? KWM_OK : fail(agent, err, "spool", "its size does not fit the board");
}

/** Whether a glob with * and ? matches all of a name. Linear but for the number of stars. */
static bool is_match(struct hal_text glob, const char *name)
{
    size_t g = 0;
    size_t n = 0;
    size_t star = SIZE_MAX;
    size_t star_n = 0;
    const size_t len = strlen(name);
    while (n < len) {
        if (g < glob.len && glob.s[g] == '*') {
            star = g++;
            star_n = n;
        } else if (g < glob.len && (glob.s[g] == '?' || glob.s[g] == name[n])) {
            g++;
            n++;
        } else if (star != SIZE_MAX) {
            g = star + 1U;
            n = ++star_n;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.s[g] == '*') {
        g++;
    }
    return g == glob.len;
}

static bool is_any_match(const struct hal_text *globs, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_match(globs[i], name)) {
            return true;
        }
    }
    return false;
}

static uint64_t field_mask(const struct kwm_config_input *config, const struct hal_schema *schema)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < schema->field_count; i++) {
        const char *name = schema->fields[i].name;
        const bool is_in = config->fieldinclude_count == 0 ||
                           is_any_match(config->fieldinclude, config->fieldinclude_count, name);
        if (is_in && !is_any_match(config->fieldexclude, config->fieldexclude_count, name)) {
            mask |= UINT64_C(1) << i;
        }
    }
    return mask;
}

static uint8_t copy_tags(struct kwm_collect_tag *out, const struct kwm_config_tags *tags)
{
    for (unsigned i = 0; i < tags->count; i++) {
        out[i] = (struct kwm_collect_tag){.key = tags->list[i].key, .value = tags->list[i].value};
    }
    return tags->count;
}

static int init_input(struct agent *agent, unsigned index)
{
    const struct kwm_config_input *config = &agent->config->inputs[index];
    struct kwm_input *input = &agent->inputs[index];
    const struct hal_input_env env = {
        .options = config->options,
        .label = config->label,
        .reason = agent->reason,
        .reason_cap = sizeof(agent->reason),
    };
    struct hal_sensor *sensor = NULL;
    const int err = config->def->create(&env, &sensor);
    if (err != KWM_OK) {
        return err;
    }
    const uint32_t interval = config->interval_ms;
    *input =
        (struct kwm_input){.config = {
                               .sensor = sensor,
                               .name = config->alias[0] != '\0' ? config->alias : config->label,
                               .schedule = {.interval_ms = interval,
                                            .offset_ms = config->collection_offset_ms,
                                            .jitter_ms = config->collection_jitter_ms,
                                            .is_aligned = agent->config->round_interval},
                               .deadline_ms = interval < READING_MS_MAX ? interval : READING_MS_MAX,
                               .tags = agent->input_tags[index],
                               .tag_count = copy_tags(agent->input_tags[index], &config->tags),
                               .name_override = config->name_override,
                           }};
    if (sensor->schema_count > KWM_COLLECT_SCHEMAS_MAX) {
        return fail(agent, KWM_ERR_NOSPC, config->label, "yields too many measurements");
    }
    for (unsigned s = 0; s < sensor->schema_count; s++) {
        const char *clash = kwm_config_find_clash(agent->config, config, sensor->schemas[s]);
        if (clash != NULL) {
            return fail_clash(agent, config->label, clash);
        }
        input->config.masks[s] = field_mask(config, sensor->schemas[s]);
    }
    return KWM_OK;
}

static int init_inputs(struct agent *agent, uint64_t now_ms)
{
    const struct kwm_config *config = agent->config;
    agent_internal_bind(agent);
    agent->services.release_inputs(agent->services.ctx);
    for (unsigned i = 0; i < config->input_count; i++) {
        const int err = init_input(agent, i);
        if (err != KWM_OK) {
            return err;
        }
    }
    const char *host = config->hostname[0] != '\0' ? config->hostname : agent->services.identity;
    const struct kwm_collector_config collector = {
        .spool = &agent->spool,
        .delivery = &agent->delivery,
        .inputs = agent->inputs,
        .input_count = config->input_count,
        .rows = agent->memory.rows,
        .row_cap = agent->memory.row_cap,
        .tags = agent->tags,
        .tag_count = copy_tags(agent->tags, &config->global_tags),
        .host = {.s = config->omit_hostname ? NULL : host, .len = (uint16_t)strlen(host)},
        .events = agent->services.events,
        .random = random_bits,
        .ctx = agent,
    };
    kwm_collector_init(&agent->collector, &collector, now_ms, true);
    agent->is_first_round = !agent->delivery.was_ever_stored;
    return KWM_OK;
}

static void follow_wall(struct agent *agent, uint64_t now_ms)
{
    const uint32_t boot_id = agent->spool.epochs.boot_id;
    const struct kwm_epoch before = agent->spool.epochs.current;
    const bool was_worn = agent->spool.epochs.is_phase_worn;
    kwm_spool_set_wall(&agent->spool, now_ms, kwm_collector_oldest_ms(&agent->collector, now_ms),
                       wall_now(agent), KWM_EPOCH_SYSTEM);
    const struct kwm_epoch *after = &agent->spool.epochs.current;
    KWM_ASSERT(agent->spool.epochs.boot_id == boot_id);
    if (before.source != after->source || before.offset_ticks != after->offset_ticks) {
        kwm_collector_realign(&agent->collector, now_ms);
        kwm_delivery_realign(&agent->delivery, now_ms);
    }
    if (agent->spool.epochs.is_phase_worn && !was_worn) {
        const struct kwm_event event = {
            .code = KWM_EVENT_PHASES_WORN, .name = "", .text = "", .line = ""};
        agent->services.events.put(agent->services.events.ctx, &event);
    }
}

/** Go on where the log says that the last run ended. */
static void restore(struct agent *agent)
{
    const int len = kwm_spool_saved(&agent->spool, agent->dropper.scratch, KWM_READER_SCRATCH_LEN);
    kwm_delivery_restore(&agent->delivery, agent->dropper.scratch, len > 0 ? (size_t)len : 0);
}

int agent_init(struct agent *agent, const struct agent_memory *memory,
               const struct agent_services *services, const struct kwm_config *config,
               uint64_t now_ms)
{
    memset(agent, 0, sizeof(*agent));
    agent->memory = *memory;
    agent->services = *services;
    agent->config = config;
    int err = init_spool(agent);
    if (err == KWM_OK) {
        kwm_spool_set_wall(&agent->spool, now_ms, now_ms, wall_now(agent), KWM_EPOCH_SYSTEM);
        err = init_uplink(agent);
    }
    if (err == KWM_OK) {
        const struct kwm_delivery_config delivery = delivery_config(agent);
        err = kwm_delivery_init(&agent->delivery, &delivery, now_ms);
    }
    if (err == KWM_OK && services->flash->geometry.is_durable) {
        restore(agent);
    }
    return err == KWM_OK ? init_inputs(agent, now_ms) : err;
}

int agent_reload(struct agent *agent, const struct kwm_config *config, uint64_t now_ms)
{
    kwm_collector_cancel(&agent->collector);
    kwm_delivery_abort(&agent->delivery);
    kwm_uplink_abort(&agent->uplink);
    agent->config = config;
    agent->collector.config.input_count = 0;
    kwm_series_set_dialect(&agent->series, config->output.dialect);
    const int err = init_uplink(agent);
    if (err != KWM_OK) {
        return err;
    }
    const struct kwm_delivery_config delivery = delivery_config(agent);
    kwm_delivery_reconfigure(&agent->delivery, &delivery, now_ms);
    return init_inputs(agent, now_ms);
}

/** The first collection of a new spool is sent as soon as it is over: a newcomer sees rows at
 *  once. */
static void look_at_first_round(struct agent *agent)
{
    if (agent->is_first_round && agent->collector.points > 0 &&
        !kwm_collector_is_busy(&agent->collector)) {
        agent->is_first_round = false;
        kwm_delivery_flush(&agent->delivery);
    }
}

uint64_t agent_step(struct agent *agent, uint64_t now_ms)
{
    follow_wall(agent, now_ms);
    uint64_t wake = kwm_collector_step(&agent->collector, now_ms);
    look_at_first_round(agent);
    kwm_spool_step(&agent->spool);
    if (kwm_spool_is_busy(&agent->spool) && wake > now_ms + FLASH_POLL_MS) {
        wake = now_ms + FLASH_POLL_MS;
    }
    const uint64_t held_ms = kwm_spool_hold(&agent->spool, now_ms);
    wake = held_ms < wake ? held_ms : wake;
    const uint64_t next = kwm_delivery_step(&agent->delivery, now_ms);
    return next < wake ? next : wake;
}

void agent_finish(struct agent *agent)
{
    agent->collector.is_held = true;
    kwm_collector_cancel(&agent->collector);
    kwm_delivery_hurry(&agent->delivery);
}

bool agent_is_settled(const struct agent *agent)
{
    return !kwm_collector_is_busy(&agent->collector) && kwm_delivery_is_settled(&agent->delivery);
}
