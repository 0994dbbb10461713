/* SPDX-License-Identifier: MIT */
/*
 * The invariants. Each has a word of its own, with which its violation begins; sim_truth.c has
 * those of single rows (value, time, retry, order).
 */
#include "sim_run.h"

#include <inttypes.h>

#define DEADLINE_MS 60000U   /* a request; the configured timeout is 10 s, and it may log in */
#define WAKE_MS_MAX 3700000U /* the longest backoff is an hour */
#define STREAK_MS_MIN 60000U /* SIM_STREAK failures in a row take at least so long */

static const char *const event_words[] = {
    [KWM_EVENT_DELIVERING] = "delivering",
    [KWM_EVENT_FAILING] = "failing",
    [KWM_EVENT_AUTH] = "auth",
    [KWM_EVENT_MISTAKE] = "mistake",
    [KWM_EVENT_PAUSED] = "paused",
    [KWM_EVENT_RESUMED] = "resumed",
    [KWM_EVENT_REFUSED] = "refused",
    [KWM_EVENT_DROPPED] = "dropped",
    [KWM_EVENT_SENSOR] = "sensor",
    [KWM_EVENT_SENSOR_OK] = "sensor ok",
    [KWM_EVENT_CONFLICT] = "conflict",
    [KWM_EVENT_REPLACED] = "replaced",
    [KWM_EVENT_PHASES_WORN] = "phases worn",
};

static void on_event(void *ctx, const struct sim_event *event)
{
    struct sim_run *run = ctx;
    sim_run_tell(run, "event", "%s %s %s", event_words[event->code], event->name, event->text);
}

static void on_line(void *ctx, const char *text, size_t len, bool is_stored)
{
    struct sim_run *run = ctx;
    run->truth.is_out_of_turn = run->world.agent.delivery.kind == KWM_BATCH_PROBE;
    sim_truth_hear(&run->truth, text, len, is_stored);
}

static void on_served(void *ctx, const struct kwdb_served *served)
{
    struct sim_run *run = ctx;
    run->batch.is_excused = run->batch.is_excused || served->fault != KWDB_FINE;
    sim_run_tell(run, "request", "%u lines, %u stored%s", served->lines, served->stored,
                 served->fault != KWDB_FINE ? " (fault)" : "");
}

/* ---- requests ---- */

static unsigned log2_up(unsigned n)
{
    unsigned log = 0;
    while ((1U << log) < n) {
        log++;
    }
    return log;
}

/** A batch is over: did it take no more requests than it may? */
static void close_batch(struct sim_run *run)
{
    struct sim_batch *batch = &run->batch;
    batch->is_open = false;
    if (batch->is_excused || batch->lines == 0) {
        return;
    }
    const unsigned n = batch->lines;
    const unsigned k = run->truth.refused < n ? run->truth.refused : n;
    const unsigned parts = (n + batch->line_cap - 1U) / batch->line_cap;
    const unsigned search =
        k > 0 && run->world.server.is_old ? 2U * k * (log2_up((n + k - 1U) / k) + 1U) : 0;
    if (batch->requests > parts + search + batch->failed) {
        sim_truth_violate(&run->truth,
                          "requests: a batch of %u lines, %u of them refused, took %u requests, "
                          "%u of which failed",
                          n, k, batch->requests, batch->failed);
    }
}

static void watch_batch(struct sim_run *run)
{
    struct sim_batch *batch = &run->batch;
    const struct kwm_delivery *d = &run->world.agent.delivery;
    const bool is_same = batch->is_open && d->kind != KWM_BATCH_NONE && d->base == batch->base &&
                         d->begun_ms == batch->begun_ms;
    if (batch->is_open) {
        batch->failed += (uint32_t)(d->totals.requests_failed - run->requests_failed);
    }
    if (batch->is_open && !is_same) {
        close_batch(run);
    }
    if (!batch->is_open && d->kind != KWM_BATCH_NONE && d->kind != KWM_BATCH_TIME) {
        *batch = (struct sim_batch){.base = d->base,
                                    .begun_ms = d->begun_ms,
                                    .requests = (uint32_t)d->totals.requests - run->requests_seen,
                                    .line_cap = d->line_cap_now,
                                    .is_open = true};
        run->truth.batch++;
        run->truth.refused = 0;
    } else if (batch->is_open) {
        batch->requests += (uint32_t)d->totals.requests - run->requests_seen;
        batch->lines = d->line_count > batch->lines ? d->line_count : batch->lines;
        batch->line_cap = d->line_cap_now < batch->line_cap ? d->line_cap_now : batch->line_cap;
    }
    run->requests_seen = (uint32_t)d->totals.requests;
}

/** Failures in a row come more and more slowly. */
static void watch_pace(struct sim_run *run)
{
    const struct kwm_delivery *d = &run->world.agent.delivery;
    if (d->totals.requests_failed == run->requests_failed) {
        return;
    }
    run->requests_failed = d->totals.requests_failed;
    uint64_t *slot = &run->failed_ms[run->requests_failed % SIM_STREAK];
    const uint64_t took_ms = run->world.now_ms - *slot;
    if (d->failures > SIM_STREAK && took_ms < STREAK_MS_MIN) {
        sim_truth_violate(&run->truth, "backoff: %u requests in a row failed within %u ms",
                          SIM_STREAK + 1U, (unsigned)took_ms);
    }
    *slot = run->world.now_ms;
}

static void watch_deadline(struct sim_run *run, uint64_t wake_ms)
{
    const struct kwm_delivery *d = &run->world.agent.delivery;
    const uint64_t now_ms = run->world.now_ms;
    if (!d->is_sent || run->sent_ms == 0 || d->totals.requests != run->sent_number) {
        run->sent_number = d->totals.requests;
        run->sent_ms = d->is_sent ? now_ms : 0;
    }
    if (d->is_sent && now_ms - run->sent_ms > DEADLINE_MS) {
        sim_truth_violate(&run->truth, "deadline: a request goes on for %u ms",
                          (unsigned)(now_ms - run->sent_ms));
    }
    if (d->totals.waiting > 0 && (wake_ms == UINT64_MAX || wake_ms > now_ms + WAKE_MS_MAX)) {
        sim_truth_violate(
            &run->truth, "deadline: %" PRIu64 " samples wait, and nothing is to happen for %u min",
            d->totals.waiting, wake_ms == UINT64_MAX ? 0 : (unsigned)((wake_ms - now_ms) / 60000U));
    }
}

static void on_step(void *ctx, uint64_t wake_ms)
{
    struct sim_run *run = ctx;
    sim_truth_clock(&run->truth, run->world.now_ms, run->world.wall);
    watch_batch(run);
    watch_pace(run);
    watch_deadline(run, wake_ms);
}

/* ---- accounts ---- */

static uint64_t rows_open(const struct sim_world *world)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < world->agent.memory.row_cap; i++) {
        count += world->rows[i].is_used ? 1U : 0U;
    }
    return count;
}

static void watch_identity(struct sim_run *run)
{
    const struct sim_world *world = &run->world;
    const struct kwm_totals *totals = &world->agent.delivery.totals;
    const uint64_t sum = totals->fates[KWM_FATE_STORED] + kwm_totals_refused(totals) +
                         kwm_totals_dropped(totals) + totals->fates[KWM_FATE_UNKNOWN] +
                         totals->waiting;
    const uint64_t held = world->agent.spool.seq_next - world->agent.spool.seq_first;
    const uint64_t given = run->truth.count - run->truth.lost - rows_open(world);
    if (totals->collected != sum) {
        sim_truth_violate(&run->truth,
                          "accounts: %" PRIu64 " collected, but the rest adds up to %" PRIu64,
                          totals->collected, sum);
    }
    if (totals->collected != given) {
        sim_truth_violate(&run->truth,
                          "accounts: %" PRIu64 " collected, but the sensors gave %" PRIu64,
                          totals->collected, given);
    }
    if (totals->waiting > held + run->damaged) {
        sim_truth_violate(&run->truth,
                          "accounts: %" PRIu64 " wait, but the spool holds only %" PRIu64,
                          totals->waiting, held);
    }
    if (totals->fates[KWM_FATE_REFUSED_LINE] > run->truth.poisoned) {
        sim_truth_violate(&run->truth,
                          "accounts: %" PRIu64 " refused for their own content, but only %u could",
                          totals->fates[KWM_FATE_REFUSED_LINE], run->truth.poisoned);
    }
}

static void watch_server(struct sim_run *run)
{
    const struct kwm_totals *totals = &run->world.agent.delivery.totals;
    const uint64_t stored = totals->fates[KWM_FATE_STORED];
    const uint64_t doubtful =
        totals->fates[KWM_FATE_UNKNOWN] + totals->fates[KWM_FATE_REFUSED_UNKNOWN] + totals->waiting;
    if (run->truth.stored < stored) {
        sim_truth_violate(&run->truth,
                          "stored: %" PRIu64 " rows count as stored, but the server has %u", stored,
                          run->truth.stored);
    }
    if (run->truth.stored > stored + doubtful + run->unnoted) {
        sim_truth_violate(&run->truth,
                          "stored: the server has %u rows, but only %" PRIu64 " count as stored "
                          "and %" PRIu64 " may be",
                          run->truth.stored, stored, doubtful);
    }
    if (run->world.server.changed != 0 || run->world.server.rows != run->truth.stored) {
        sim_truth_violate(&run->truth, "once: %u samples were stored in %u rows", run->truth.stored,
                          run->world.server.rows);
    }
    if (run->world.server.malformed != 0) {
        sim_truth_violate(&run->truth, "value: the server could not read what it got");
    }
}

void sim_watch_accounts(struct sim_run *run, bool is_end)
{
    const struct kwm_totals *totals = &run->world.agent.delivery.totals;
    watch_identity(run);
    watch_server(run);
    const bool is_hurt = run->truth.boot != 0 || run->damaged != 0;
    if ((run->world.agent.spool.counters.corrupt_sectors != 0 && !is_hurt) ||
        totals->fates[KWM_FATE_DROPPED_CORRUPT] > run->truth.volatiles + run->damaged) {
        sim_truth_violate(&run->truth,
                          "corrupt: %" PRIu64 " samples and the rest of %u sectors could not be "
                          "read back; damage to the flash may have cost %" PRIu64,
                          totals->fates[KWM_FATE_DROPPED_CORRUPT],
                          run->world.agent.spool.counters.corrupt_sectors, run->damaged);
    }
    /* A boot that ended before it learned the time leaves samples that nobody can date. */
    const uint64_t undated = run->truth.boot == 0 ? totals->fates[KWM_FATE_DROPPED_NO_TIME] : 0;
    if (totals->fates[KWM_FATE_DROPPED_TOO_LONG] + undated != 0) {
        sim_truth_violate(&run->truth, "accounts: samples were dropped for no reason");
    }
    const uint64_t accounted =
        kwm_totals_refused(totals) + kwm_totals_dropped(totals) + totals->fates[KWM_FATE_UNKNOWN];
    if (is_end && totals->waiting == 0 && sim_truth_missing(&run->truth) > accounted) {
        sim_truth_violate(&run->truth,
                          "durable: %" PRIu64 " samples are not on the server, but only %" PRIu64
                          " are accounted for",
                          sim_truth_missing(&run->truth), accounted);
    }
    if (is_end && totals->waiting != 0) {
        sim_truth_violate(&run->truth,
                          "recovery: hours after the last fault, %" PRIu64 " samples still wait",
                          totals->waiting);
    }
}

void sim_watch_reboot(struct sim_run *run)
{
    const struct kwm_totals *totals = &run->world.agent.delivery.totals;
    run->batch.is_open = false;
    run->sent_ms = 0;
    run->requests_seen = (uint32_t)totals->requests;
    run->requests_failed = totals->requests_failed;
}

void sim_watch_begin(struct sim_run *run)
{
    run->world.observer =
        (struct sim_observer){.on_event = on_event, .on_step = on_step, .ctx = run};
    run->world.server.observer =
        (struct kwdb_observer){.on_line = on_line, .on_served = on_served, .ctx = run};
}
