/* SPDX-License-Identifier: MIT */
/**
 * @file fleet_main.c
 * @brief kwmote_fleet: one run of a fleet, its figures as JSON. tools/fleet is its face.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

static const char usage[] =
    "kwmote_fleet KEY=NUMBER...: run a fleet in virtual time, and print what came of it as JSON.\n"
    "keys: devices cores token restart phase jitter start outage after seed\n";

/** @return the number behind "key=" in the arguments, or the fallback. */
static uint32_t number(int argc, char **argv, const char *key, uint32_t fallback)
{
    const size_t len = strlen(key);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=') {
            return (uint32_t)strtoul(argv[i] + len + 1, NULL, 10);
        }
    }
    return fallback;
}

static void print_totals(const struct kwm_totals *totals)
{
    printf("  \"collected\": %" PRIu64 ",\n  \"waiting\": %" PRIu64 ",\n", totals->collected,
           totals->waiting);
    for (unsigned fate = 0; fate < KWM_FATE_COUNT; fate++) {
        printf("  \"%s\": %" PRIu64 ",\n", kwm_fate_name((enum kwm_fate)fate), totals->fates[fate]);
    }
    printf("  \"requests\": %" PRIu64 ",\n  \"requests_failed\": %" PRIu64 ",\n", totals->requests,
           totals->requests_failed);
}

/** Seconds, or null for never. */
static void print_time(const char *key, uint32_t value)
{
    if (value == UINT32_MAX) {
        printf("  \"%s\": null,\n", key);
    } else {
        printf("  \"%s\": %" PRIu32 ",\n", key, value);
    }
}

/** [requests, logins, rows, most in the queue, rows that wait] of each FLEET_SAMPLE_S. */
static void print_series(const struct fleet_result *result)
{
    printf("  \"sample_s\": %u,\n  \"series\": [", FLEET_SAMPLE_S);
    for (uint32_t i = 0; i < result->sample_count; i++) {
        struct fleet_second sum = {0};
        for (uint32_t s = i * FLEET_SAMPLE_S;
             s < (i + 1U) * FLEET_SAMPLE_S && s < result->second_count; s++) {
            const struct fleet_second *one = &result->seconds[s];
            sum.requests += one->requests;
            sum.logins += one->logins;
            sum.rows += one->rows;
            sum.queue_max = one->queue_max > sum.queue_max ? one->queue_max : sum.queue_max;
        }
        printf("%s\n    [%" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu64 "]",
               i > 0 ? "," : "", sum.requests, sum.logins, sum.rows, sum.queue_max,
               result->samples[i].waiting);
    }
    printf("\n  ]\n");
}

static void print_result(const struct fleet_config *config, const struct fleet_result *result)
{
    printf("{\n  \"devices\": %" PRIu32 ",\n  \"cores\": %u,\n", config->device_count,
           config->core_count);
    print_totals(&result->totals);
    printf("  \"server_rows\": %" PRIu64 ",\n  \"server_rewrites\": %" PRIu64 ",\n",
           result->server_rows, result->server_rewrites);
    printf("  \"abandoned\": %" PRIu64 ",\n  \"syns_lost\": %" PRIu64 ",\n", result->abandoned,
           result->syns_lost);
    printf("  \"full_handshakes\": %" PRIu64 ",\n  \"resumed_handshakes\": %" PRIu64 ",\n",
           result->full_handshakes, result->resumed_handshakes);
    printf("  \"steady_per_s\": %.2f,\n", (double)result->requests_steady / (FLEET_STEADY_S / 2.0));
    printf("  \"peak_1s\": %.2f,\n  \"peak_10s\": %.2f,\n  \"peak_60s\": %.2f,\n",
           (double)result->peak_1s, result->peak_10s / 10.0, result->peak_60s / 60.0);
    printf("  \"queue_steady\": %" PRIu32 ",\n  \"queue_peak\": %" PRIu32 ",\n",
           result->queue_steady, result->queue_peak);
    print_time("recovered_99_s", result->recovered_99_s);
    print_time("recovered_s", result->recovered_s);
    printf("  \"lines_max\": %" PRIu32 ",\n  \"device_bytes\": %zu,\n", result->lines_max,
           result->device_len);
    printf("  \"outage_begin_s\": %" PRIu32 ",\n  \"outage_end_s\": %" PRIu32 ",\n",
           result->outage_begin_s, result->outage_end_s);
    print_series(result);
    printf("}\n");
}

int main(int argc, char **argv)
{
    const struct fleet_config config = {
        .device_count = number(argc, argv, "devices", 100),
        .core_count = number(argc, argv, "cores", 2),
        .use_token = number(argc, argv, "token", 0) != 0,
        .is_restart = number(argc, argv, "restart", 0) != 0,
        .has_phase = number(argc, argv, "phase", 1) != 0,
        .has_jitter = number(argc, argv, "jitter", 1) != 0,
        .start_s = number(argc, argv, "start", 60),
        .outage_s = number(argc, argv, "outage", 3600),
        .after_s = number(argc, argv, "after", 3600),
        .seed = number(argc, argv, "seed", 1),
    };
    if (config.device_count < 1 || config.core_count < 1 || config.core_count > FLEET_CORES_MAX ||
        config.start_s < 1 || config.outage_s < 1 || config.after_s < 60) {
        (void)fputs(usage, stderr);
        return 2;
    }
    struct fleet *fleet = fleet_new(&config);
    if (fleet == NULL) {
        (void)fputs("kwmote_fleet: not enough memory for so many devices\n", stderr);
        return 1;
    }
    struct fleet_result result;
    fleet_run(fleet, &result);
    print_result(&config, &result);
    fleet_free(fleet);
    return 0;
}
