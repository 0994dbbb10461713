/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong, and when. The world has places where one fault at a time can go on; faults of
 * several places overlap. Some are over as soon as they have come (a step of the clock).
 */
#include "sim_run.h"

#include "hal/assert.h"

#define MINUTE_MS UINT64_C(60000)
#define PAUSE_MINUTES_MAX 20U
#define RECORD_LEN_MIN 16U
#define OVERLAPS_MAX 9U /* stamps stay apart for so many steps back; see kwm/epoch.h */

enum place { LINK, PACE, SERVER, REPLY, TABLE, SENSOR, CLOCK, FLASH, NOWHERE };
_Static_assert(NOWHERE < SIM_FAULT_PLACES, "a place for each");

struct kind {
    const char *name;
    enum place place;
    uint16_t minutes_max;
    void (*begin)(struct sim_run *run, const struct sim_fault *fault);
    void (*end)(struct sim_run *run, const struct sim_fault *fault);
};

/* ---- the link ---- */

static void cut_link(struct sim_run *run, int err, const char *detail)
{
    run->world.net.script.connect_err = err;
    run->world.net.script.detail = detail;
    sim_net_close_at(&run->world.net, run->world.now_ms, SIM_NET_RESET);
}

static void lose_link(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    cut_link(run, KWM_ERR_IO, "network is unreachable");
}

static void lose_name(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    cut_link(run, KWM_ERR_NOENT, "name not found");
}

static void break_tls(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    cut_link(run, KWM_ERR_PROTO, "unexpected message");
}

static void expire(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    cut_link(run, KWM_ERR_VERIFY, "the certificate has expired");
}

static void renew(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.connect_err = KWM_OK;
    run->world.net.script.detail = "";
    run->world.net.script.not_before_s += 86400;
    run->world.net.script.not_after_s += 86400;
}

static void hang_link(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.connect_ms = SIM_NET_NEVER;
    sim_net_close_at(&run->world.net, run->world.now_ms, SIM_NET_ORDERLY);
}

static void mend_link(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.connect_err = KWM_OK;
    run->world.net.script.connect_ms = 0;
    run->world.net.script.detail = "";
}

/* ---- how bytes go ---- */

static void drip(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.send_len_max = 1 + sim_run_pick(run, 50);
    run->world.net.script.recv_len_max = 1 + sim_run_pick(run, 50);
}

static void stall_sending(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.send_stall_len =
        run->world.net.net.info.bytes_sent + sim_run_pick(run, 8000);
}

static void stall_receiving(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.recv_stall_len =
        run->world.net.net.info.bytes_recv + sim_run_pick(run, 2000);
}

static void deafen(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.is_deaf = true;
}

static void mend_pace(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    struct sim_net_script *script = &run->world.net.script;
    script->send_len_max = 0;
    script->recv_len_max = 0;
    script->send_stall_len = SIM_NET_NEVER;
    script->recv_stall_len = SIM_NET_NEVER;
    if (script->is_deaf) { /* the one that it spoke to knows nothing of it by now */
        script->is_deaf = false;
        sim_net_close_at(&run->world.net, run->world.now_ms, SIM_NET_RESET);
    }
}

static void reset_sending(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.send_reset_len =
        run->world.net.net.info.bytes_sent + sim_run_pick(run, 8000);
}

static void reset_receiving(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.net.script.recv_reset_len =
        run->world.net.net.info.bytes_recv + sim_run_pick(run, 2000);
}

/* ---- the server ---- */

static const char *const server_faults[] = {
    [KWDB_DROP_BEFORE] = "resets before it executes",
    [KWDB_DROP_AFTER] = "executes, then resets",
    [KWDB_CUT] = "cuts its replies",
    [KWDB_EMPTY] = "answers with nothing",
    [KWDB_HTML] = "is hidden by a captive portal",
    [KWDB_HANG] = "never answers",
    [KWDB_NOT_FOUND] = "restarts: 404",
    [KWDB_TOO_LARGE] = "takes few lines: 413",
    [KWDB_UNAVAILABLE] = "is unavailable: 503",
    [KWDB_AUTH] = "does not take the password",
    [KWDB_TRANSIENT] = "has busy replicas",
    [KWDB_DRAINING] = "is shutting down",
    [KWDB_NO_PQ] = "answers what does not add up",
};
#define SERVER_FAULTS (sizeof(server_faults) / sizeof(server_faults[0]) - 1U)

static void break_server(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    struct kwdb_model *server = &run->world.server;
    server->fault = (enum kwdb_fault)(1U + sim_run_pick(run, SERVER_FAULTS));
    server->fault_arg = sim_run_pick(run, 400);
    server->fault_count = sim_run_pick(run, 2) == 0 ? 1 + sim_run_pick(run, 5) : UINT32_MAX;
    sim_run_tell(run, "fault", "the server %s (%u)", server_faults[server->fault],
                 server->fault_arg);
    if (server->fault == KWDB_NOT_FOUND) {
        sim_net_close_at(&run->world.net, run->world.now_ms, SIM_NET_RESET);
    }
}

static void mend_server(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.server.fault = KWDB_FINE;
}

static void close_each(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.server.closes = true;
}

static void slow_server(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.server.latency_ms = 1000 + sim_run_pick(run, 12000);
}

static void mend_reply(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.server.closes = false;
    run->world.server.latency_ms = 20;
}

static struct kwdb_table *table_of(struct sim_run *run, const struct sim_fault *fault)
{
    return &run->world.server.tables[fault->target];
}

static void drop_table(struct sim_run *run, const struct sim_fault *fault)
{
    table_of(run, fault)->is_missing = true;
}

static void revoke(struct sim_run *run, const struct sim_fault *fault)
{
    table_of(run, fault)->has_no_privilege = true;
}

static void drop_column(struct sim_run *run, const struct sim_fault *fault)
{
    table_of(run, fault)->lacks_column = "load";
}

static void complain_strangely(struct sim_run *run, const struct sim_fault *fault)
{
    table_of(run, fault)->strange = "'odd'";
}

static void mend_table(struct sim_run *run, const struct sim_fault *fault)
{
    struct kwdb_table *table = table_of(run, fault);
    table->is_missing = false;
    table->has_no_privilege = false;
    table->lacks_column = NULL;
    table->strange = NULL;
}

/* ---- the device ---- */

static struct sim_sensor_script *sensor_of(struct sim_run *run, const struct sim_fault *fault)
{
    return &run->world.sensors[fault->target].script;
}

static void silence(struct sim_run *run, const struct sim_fault *fault)
{
    sensor_of(run, fault)->is_silent = true;
}

static void lose_sensor(struct sim_run *run, const struct sim_fault *fault)
{
    sensor_of(run, fault)->begin_err = KWM_ERR_NOENT;
}

static void break_sensor(struct sim_run *run, const struct sim_fault *fault)
{
    sensor_of(run, fault)->poll_err = KWM_ERR_IO;
}

static void stick(struct sim_run *run, const struct sim_fault *fault)
{
    run->manners[fault->target] = SIM_MANNER_STUCK;
}

static void add_noise(struct sim_run *run, const struct sim_fault *fault)
{
    run->manners[fault->target] = SIM_MANNER_NOISY;
}

static void mend_sensor(struct sim_run *run, const struct sim_fault *fault)
{
    struct sim_sensor_script *script = sensor_of(run, fault);
    script->is_silent = false;
    script->begin_err = KWM_OK;
    script->poll_err = KWM_OK;
    run->manners[fault->target] = SIM_MANNER_FINE;
}

static bool may_step(const struct sim_run *run)
{
    return run->world.wall.state == HAL_WALL_SET &&
           run->world.agent.spool.epochs.overlaps < OVERLAPS_MAX;
}

static void set_clock(struct sim_run *run, int64_t by_ms)
{
    run->world.wall.unix_ms += by_ms;
    sim_truth_clock(&run->truth, run->world.now_ms, run->world.wall);
}

/** Some steps are of exactly what lies between two readings. */
static void step_clock(struct sim_run *run, const struct sim_fault *fault)
{
    static const int64_t steps[] = {10000, 8000, 9000, 11000, 12000, 60000, 3600000, 700, 30};
    (void)fault;
    if (may_step(run)) {
        const int64_t step = steps[sim_run_pick(run, sizeof(steps) / sizeof(steps[0]))];
        const int64_t by_ms = sim_run_pick(run, 3) == 0 ? step : -step;
        set_clock(run, by_ms);
        sim_run_tell(run, "fault", "the clock steps by %lld ms", (long long)by_ms);
    }
}

static void begin_drift(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->drift_ms = (int32_t)sim_run_pick(run, 61) - 30;
}

static void end_drift(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->drift_ms = 0;
}

static void reload(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    sim_run_reload(run);
}

static void hang_flash(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.slow_flash.script.erase_polls = UINT32_MAX;
}

static void mend_flash(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    run->world.slow_flash.script.erase_polls = 20;
}

/** What one damaged sector, and what was on its way to it, may cost in samples. */
static void allow_damage(struct sim_run *run)
{
    run->damaged += (run->world.sector_len + sizeof(run->world.stage)) / RECORD_LEN_MIN;
}

static bool has_sim_flash(const struct sim_run *run)
{
    return run->world.is_flash_slow || run->world.is_flash_durable;
}

static void fail_prog(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    allow_damage(run);
    run->world.slow_flash.script.fails_prog = true;
}

static void fail_erase(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    allow_damage(run);
    run->world.slow_flash.script.fails_erase = true;
}

/** A bit of what was programmed: one that is erased would not be taken by the next programming. */
static void rot(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    struct sim_flash *flash = &run->world.slow_flash;
    for (unsigned tries = 0; tries < 100; tries++) {
        const uint32_t off = sim_run_pick(run, run->spool_kib * 1024U);
        if (flash->bytes[off] != 0xFF && flash->bytes[off] != 0) {
            allow_damage(run);
            sim_flash_rot(flash, off, sim_run_pick(run, 8));
            return;
        }
    }
}

/** Now, or in the midst of what the flash will be doing. */
static void cut_power(struct sim_run *run, const struct sim_fault *fault)
{
    (void)fault;
    struct sim_flash *flash = &run->world.slow_flash;
    flash->script.tear = (enum sim_flash_tear)sim_run_pick(run, SIM_FLASH_TEAR_COUNT);
    if (sim_run_pick(run, 3) == 0) {
        sim_flash_cut(flash);
    } else {
        flash->script.cut_point = flash->points + 1U + sim_run_pick(run, 3000);
    }
}

static const struct kind kinds[] = {
    {"the link is lost", LINK, 30, lose_link, mend_link},
    {"no name is found", LINK, 20, lose_name, mend_link},
    {"TLS breaks", LINK, 20, break_tls, mend_link},
    {"the certificate has expired", LINK, 40, expire, renew},
    {"connecting takes for ever", LINK, 20, hang_link, mend_link},
    {"bytes drip", PACE, 20, drip, mend_pace},
    {"sending stalls", PACE, 20, stall_sending, mend_pace},
    {"receiving stalls", PACE, 20, stall_receiving, mend_pace},
    {"nobody hears (half-open)", PACE, 20, deafen, mend_pace},
    {"a reset within what is sent", NOWHERE, 0, reset_sending, NULL},
    {"a reset within what is received", NOWHERE, 0, reset_receiving, NULL},
    {"the server", SERVER, 30, break_server, mend_server},
    {"the server", SERVER, 30, break_server, mend_server},
    {"the server", SERVER, 30, break_server, mend_server},
    {"the server ends each connection", REPLY, 30, close_each, mend_reply},
    {"the server is slow", REPLY, 20, slow_server, mend_reply},
    {"a table is missing", TABLE, 40, drop_table, mend_table},
    {"a table is not ours to write", TABLE, 40, revoke, mend_table},
    {"a table lacks a column", TABLE, 40, drop_column, mend_table},
    {"a table has strange complaints", TABLE, 40, complain_strangely, mend_table},
    {"a sensor never completes", SENSOR, 10, silence, mend_sensor},
    {"a sensor is gone", SENSOR, 30, lose_sensor, mend_sensor},
    {"a sensor fails", SENSOR, 30, break_sensor, mend_sensor},
    {"a sensor is stuck", SENSOR, 30, stick, mend_sensor},
    {"a sensor is noisy", SENSOR, 30, add_noise, mend_sensor},
    {"the clock drifts", CLOCK, 60, begin_drift, end_drift},
    {"the clock steps", NOWHERE, 0, step_clock, NULL},
    {"another configuration", NOWHERE, 0, reload, NULL},
    {"erasing never ends", FLASH, 30, hang_flash, mend_flash},
    {"programming fails", NOWHERE, 0, fail_prog, NULL},
    {"erasing fails", NOWHERE, 0, fail_erase, NULL},
    {"a bit tips over", NOWHERE, 0, rot, NULL},
    {"the power fails", NOWHERE, 0, cut_power, NULL},
    {"the power fails", NOWHERE, 0, cut_power, NULL},
    {"the power fails", NOWHERE, 0, cut_power, NULL},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static void end_fault(struct sim_run *run, struct sim_fault *fault)
{
    const struct kind *kind = &kinds[fault->kind];
    kind->end(run, fault);
    fault->end_ms = 0;
    sim_run_tell(run, "over", "%s", kind->name);
}

static bool is_possible(const struct sim_run *run, const struct kind *kind)
{
    if (kind->begin == cut_power) {
        return run->world.is_flash_durable;
    }
    const bool is_flash = kind->place == FLASH || kind->begin == fail_prog ||
                          kind->begin == fail_erase || kind->begin == rot;
    return !is_flash || has_sim_flash(run);
}

static void begin_fault(struct sim_run *run)
{
    const uint8_t index = (uint8_t)sim_run_pick(run, KIND_COUNT);
    const struct kind *kind = &kinds[index];
    struct sim_fault *fault = &run->faults[kind->place];
    if (fault->end_ms != 0 || !is_possible(run, kind)) {
        return;
    }
    run->fault_count++;
    fault->kind = index;
    fault->target = (uint8_t)sim_run_pick(run, SIM_TRUTH_SENSORS);
    uint64_t minutes = kind->minutes_max == 0 ? 0 : 1U + sim_run_pick(run, kind->minutes_max);
    if (kind->place == LINK && sim_run_pick(run, 12) == 0) {
        minutes *= 10U;
    }
    sim_run_tell(run, "fault", "%s (%u, for %u min)", kind->name, fault->target, (unsigned)minutes);
    kind->begin(run, fault);
    fault->end_ms = kind->end != NULL ? sim_run_now_ms(run) + minutes * MINUTE_MS : 0;
}

bool sim_faults_step(struct sim_run *run)
{
    const uint64_t now_ms = sim_run_now_ms(run);
    bool is_any = false;
    for (unsigned i = 0; i < SIM_FAULT_PLACES; i++) {
        if (run->faults[i].end_ms != 0 && run->faults[i].end_ms <= now_ms) {
            end_fault(run, &run->faults[i]);
        }
        is_any = is_any || run->faults[i].end_ms != 0;
    }
    /* At least half of the time. */
    const bool is_owed = !is_any && run->fault_ms * 100U < (now_ms - run->start_ms) * 55U;
    if (now_ms >= run->next_fault_ms || is_owed) {
        begin_fault(run);
        run->next_fault_ms = now_ms + (1U + sim_run_pick(run, PAUSE_MINUTES_MAX)) * MINUTE_MS;
    }
    if (run->drift_ms != 0 && may_step(run)) {
        set_clock(run, run->drift_ms);
    }
    for (unsigned i = 0; i < SIM_FAULT_PLACES; i++) {
        is_any = is_any || run->faults[i].end_ms != 0;
    }
    return is_any;
}

uint64_t sim_faults_next_ms(const struct sim_run *run)
{
    uint64_t next_ms = run->next_fault_ms;
    for (unsigned i = 0; i < SIM_FAULT_PLACES; i++) {
        const uint64_t end_ms = run->faults[i].end_ms;
        next_ms = end_ms != 0 && end_ms < next_ms ? end_ms : next_ms;
    }
    return next_ms;
}

void sim_faults_heal(struct sim_run *run)
{
    for (unsigned i = 0; i < SIM_FAULT_PLACES; i++) {
        if (run->faults[i].end_ms != 0) {
            end_fault(run, &run->faults[i]);
        }
    }
    run->world.net.script.send_reset_len = SIM_NET_NEVER;
    run->world.net.script.recv_reset_len = SIM_NET_NEVER;
    run->world.server.fault = KWDB_FINE;
}
