/* SPDX-License-Identifier: MIT */
#include "sim_cli.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hal/assert.h"
#include "sim_run.h"

#define WORKERS_MAX 64U
#define HOURS_MAX 240U
#define TOLD_MAX 10U /* violations that are spelled out */

static const char usage[] =
    "usage: tools/sim [--seed N] [--seeds M] [--hours H] [--scenario S] [--trace] [--json]\n"
    "       tools/sim --plants | --plant NAME\n"
    "\n"
    "The whole agent in virtual time: its core, firmware and configuration are the product's,\n"
    "everything else is a model that goes wrong at random. The same seed gives the same run.\n"
    "\n"
    "  --seed N      the first seed (1)\n"
    "  --seeds M     so many seeds (1; fail-net: one for each call and way of failing)\n"
    "  --hours H     virtual hours of each (24), and then as long as it takes to come to rest\n"
    "  --scenario S  what goes wrong:\n";
static const char usage_end[] = "  --trace       tell the story of the run; one seed\n"
                                "  --json        the result as JSON\n"
                                "  --plants      list the planted bugs\n"
                                "  --plant NAME  run with one of them in it\n"
                                "\n"
                                "exit: 0 no violation, 1 some, 2 wrong usage\n";

struct cli {
    struct sim_options options;
    uint64_t seeds; /**< 0: not said */
    const struct sim_plant *plant;
    bool is_json;
    bool is_done; /**< nothing is left to do */
};

/** All runs together. */
struct sums {
    struct sim_result all; /**< seed: that of the first violation */
    uint64_t runs;
    uint64_t violations;
    double started_s;
};

struct worker {
    pid_t pid;
    int fd;
    uint64_t next; /**< the seed whose result it owes */
};

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- options ---- */

static void print_usage(FILE *out)
{
    (void)fputs(usage, out);
    for (unsigned i = 0; i < SIM_SCENARIO_COUNT; i++) {
        (void)fprintf(out, "                %-9s %s%s\n", sim_scenarios[i].name,
                      sim_scenarios[i].help, i == 0 ? " (default)" : "");
    }
    (void)fputs(usage_end, out);
}

static int complain(const char *option, const char *value, const char *why)
{
    (void)fprintf(stderr, "tools/sim: %s %s: %s; see --help\n", option, value, why);
    return 2;
}

static bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= min &&
           *out <= max;
}

static int choose_scenario(struct cli *cli, const char *name)
{
    for (unsigned i = 0; i < SIM_SCENARIO_COUNT; i++) {
        if (strcmp(name, sim_scenarios[i].name) == 0) {
            cli->options.scenario = (enum sim_scenario)i;
            return 0;
        }
    }
    return complain("--scenario", name, "there is none of this name");
}

static int list_plants(struct cli *cli, const struct sim_plants *plants)
{
    for (const struct sim_plant *p = plants->list; p->name != NULL; p++) {
        (void)printf("%-14s %-9s %s (seed %" PRIu64 ")\n", p->name, p->invariant, p->help, p->seed);
    }
    cli->is_done = true;
    return 0;
}

static int choose_plant(struct cli *cli, const struct sim_plants *plants, const char *name)
{
    for (const struct sim_plant *p = plants->list; p->name != NULL; p++) {
        if (strcmp(name, p->name) == 0) {
            cli->plant = p;
            cli->options.seed = p->seed;
            return 0;
        }
    }
    return complain("--plant", name, "there is none of this name; --plants lists them");
}

/** An option with a value. */
static int read_option(struct cli *cli, const struct sim_plants *plants, const char *option,
                       const char *value)
{
    uint64_t number = 0;
    if (strcmp(option, "--scenario") == 0) {
        return choose_scenario(cli, value);
    }
    if (strcmp(option, "--plant") == 0) {
        return plants != NULL ? choose_plant(cli, plants, value)
                              : complain(option, value, "this program has no planted bugs");
    }
    if (strcmp(option, "--seed") == 0) {
        return read_number(value, 0, UINT64_MAX, &cli->options.seed)
                   ? 0
                   : complain(option, value, "not a number");
    }
    if (strcmp(option, "--seeds") == 0) {
        return read_number(value, 1, UINT32_MAX, &cli->seeds)
                   ? 0
                   : complain(option, value, "not a number above 0");
    }
    if (strcmp(option, "--hours") == 0) {
        const bool is_good = read_number(value, 1, HOURS_MAX, &number);
        cli->options.hours = (uint32_t)number;
        return is_good ? 0 : complain(option, value, "not a number from 1 to 240");
    }
    return complain(option, value, "there is no such option");
}

static int read_options(struct cli *cli, int argc, char **argv, const struct sim_plants *plants)
{
    *cli = (struct cli){.options = {.seed = 1, .hours = 24}};
    for (int i = 1; i < argc; i++) {
        int err = 0;
        if (strcmp(argv[i], "--help") == 0) {
            print_usage(stdout);
            cli->is_done = true;
            return 0;
        }
        if (strcmp(argv[i], "--trace") == 0) {
            cli->options.trace = stdout;
        } else if (strcmp(argv[i], "--json") == 0) {
            cli->is_json = true;
        } else if (strcmp(argv[i], "--plants") == 0 && plants != NULL) {
            return list_plants(cli, plants);
        } else if (i + 1 < argc) {
            err = read_option(cli, plants, argv[i], argv[i + 1]);
            i++;
        } else {
            err = complain(argv[i], "", "no such option, or its value is missing");
        }
        if (err != 0) {
            return err;
        }
    }
    if (cli->options.trace != NULL && (cli->seeds > 1 || cli->is_json)) {
        return complain("--trace", "", "it tells one run's story: no --seeds, no --json");
    }
    return 0;
}

/* ---- processes ---- */

static struct sim_run *new_run(void)
{
    struct sim_run *run = calloc(1, sizeof(*run));
    KWM_ASSERT(run != NULL);
    return run;
}

/** Run seeds first, first + step, ... below end, and send each result. */
_Noreturn static void work(const struct cli *cli, uint64_t first, uint64_t step, uint64_t end,
                           int fd)
{
    struct sim_run *run = new_run();
    struct sim_options options = cli->options;
    struct sim_result result;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a panic must not cut the story short */
    for (uint64_t seed = first; seed < end; seed += step) {
        options.seed = cli->options.seed + seed;
        sim_run(run, &options, &result);
        (void)fflush(stdout);
        if (write(fd, &result, sizeof(result)) != (ssize_t)sizeof(result)) {
            break;
        }
    }
    _exit(0);
}

static void start(struct worker *worker, const struct cli *cli, uint64_t step)
{
    int fds[2];
    (void)fflush(stdout);
    if (pipe(fds) != 0 || (worker->pid = fork()) < 0) {
        perror("tools/sim: no process can be started");
        exit(2);
    }
    if (worker->pid == 0) {
        (void)close(fds[0]);
        work(cli, worker->next, step, cli->seeds, fds[1]);
    }
    (void)close(fds[1]);
    worker->fd = fds[0];
}

/** How many runs the scenario has, if nobody said. */
static uint64_t count_runs(const struct cli *cli)
{
    if (cli->options.scenario != SIM_SCENARIO_FAIL_NET || cli->plant != NULL ||
        cli->options.trace != NULL) {
        return 1;
    }
    struct sim_run *run = new_run();
    struct sim_options options = cli->options;
    struct sim_result result;
    options.seed = UINT32_MAX; /* a call that never comes */
    sim_run(run, &options, &result);
    free(run);
    return (uint64_t)result.net_calls * 2U;
}

/* ---- the report ---- */

static void tell_violation(const struct cli *cli, const struct sim_result *result)
{
    char more[96] = "";
    if (cli->options.hours != 24) {
        (void)snprintf(more, sizeof(more), " --hours %u", cli->options.hours);
    }
    if (cli->options.scenario != SIM_SCENARIO_RANDOM) {
        const size_t len = strlen(more);
        (void)snprintf(more + len, sizeof(more) - len, " --scenario %s",
                       sim_scenarios[cli->options.scenario].name);
    }
    if (cli->plant != NULL) {
        const size_t len = strlen(more);
        (void)snprintf(more + len, sizeof(more) - len, " --plant %s", cli->plant->name);
    }
    const uint64_t s = result->at_ms / 1000U;
    (void)fprintf(stderr,
                  "seed %" PRIu64 ", after %" PRIu64 ":%02u:%02u: %s\n"
                  "  to see it: tools/sim%s --seed %" PRIu64 " --trace\n",
                  result->seed, s / 3600U, (unsigned)(s / 60U % 60U), (unsigned)(s % 60U),
                  result->violation, more, result->seed);
}

static void add(struct sums *sums, const struct cli *cli, const struct sim_result *result)
{
    struct sim_result *all = &sums->all;
    sums->runs++;
    /* Runs end in any order. */
    all->hash += (result->hash ^ result->seed) * 0x9E3779B97F4A7C15ULL;
    all->virtual_ms += result->virtual_ms;
    all->fault_ms += result->fault_ms;
    all->collected += result->collected;
    all->stored += result->stored;
    all->refused += result->refused;
    all->dropped += result->dropped;
    all->unknown += result->unknown;
    all->waiting += result->waiting;
    all->requests += result->requests;
    all->faults += result->faults;
    all->cpu_s += result->cpu_s;
    if (result->violation[0] != '\0' && sums->violations++ < TOLD_MAX) {
        tell_violation(cli, result);
    }
}

static double hours_of(uint64_t ms)
{
    return (double)ms / 3600000.0;
}

static void tell_progress(const struct sums *sums, const struct cli *cli)
{
    const double wall_s = seconds() - sums->started_s;
    const double left_s = wall_s / (double)sums->runs * (double)(cli->seeds - sums->runs);
    (void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " runs, %.0f device-hours/s, %.0f s left ",
                  sums->runs, cli->seeds, hours_of(sums->all.virtual_ms) / wall_s, left_s);
}

static double rate_of(const struct sums *sums)
{
    return sums->all.cpu_s > 0 ? hours_of(sums->all.virtual_ms) / sums->all.cpu_s : 0;
}

static double share_of(const struct sums *sums)
{
    return sums->all.virtual_ms > 0 ? (double)sums->all.fault_ms / (double)sums->all.virtual_ms : 0;
}

static void print_json(const struct sums *sums, const struct cli *cli)
{
    const struct sim_result *all = &sums->all;
    (void)printf("{\"scenario\":\"%s\",\"seed\":%" PRIu64 ",\"runs\":%" PRIu64
                 ",\"violations\":%" PRIu64 ",\"hash\":\"%016" PRIx64 "\",\"virtual_hours\":%.3f,"
                 "\"device_hours_per_cpu_second\":%.1f,\"rows_collected\":%" PRIu64
                 ",\"rows_stored\":%" PRIu64 ",\"rows_refused\":%" PRIu64
                 ",\"rows_dropped\":%" PRIu64 ",\"rows_unknown\":%" PRIu64
                 ",\"rows_waiting\":%" PRIu64 ",\"requests\":%u,\"faults\":%u,"
                 "\"fault_share\":%.3f}\n",
                 sim_scenarios[cli->options.scenario].name, cli->options.seed, sums->runs,
                 sums->violations, all->hash, hours_of(all->virtual_ms), rate_of(sums),
                 all->collected, all->stored, all->refused, all->dropped, all->unknown,
                 all->waiting, all->requests, all->faults, share_of(sums));
}

static void print_text(const struct sums *sums)
{
    const struct sim_result *all = &sums->all;
    (void)printf("%" PRIu64 " runs, %" PRIu64 " violations; %.1f device-hours, %.0f a CPU second\n",
                 sums->runs, sums->violations, hours_of(all->virtual_ms), rate_of(sums));
    (void)printf("rows: %" PRIu64 " collected = %" PRIu64 " stored + %" PRIu64 " refused + %" PRIu64
                 " dropped + %" PRIu64 " unknown + %" PRIu64 " waiting; "
                 "%u requests\n",
                 all->collected, all->stored, all->refused, all->dropped, all->unknown,
                 all->waiting, all->requests);
    (void)printf("faults: %u, one or more for %.0f %% of the time; hash %016" PRIx64 "\n",
                 all->faults, share_of(sums) * 100.0, all->hash);
}

/** A result came, or the end. @return whether the worker goes on. */
static bool take(struct worker *worker, const struct cli *cli, struct sums *sums, uint64_t step)
{
    struct sim_result result;
    const ssize_t len = read(worker->fd, &result, sizeof(result));
    if (len == (ssize_t)sizeof(result)) {
        add(sums, cli, &result);
        worker->next += step;
        return true;
    }
    int status = 0;
    (void)close(worker->fd);
    (void)waitpid(worker->pid, &status, 0);
    if (worker->next >= cli->seeds) {
        return false;
    }
    result = (struct sim_result){.seed = cli->options.seed + worker->next};
    (void)snprintf(result.violation, sizeof(result.violation),
                   "panic: the program ended by signal %d; what it said is above",
                   WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    add(sums, cli, &result);
    worker->next += step;
    if (worker->next >= cli->seeds) {
        return false;
    }
    start(worker, cli, step);
    return true;
}

static void run_all(const struct cli *cli, struct sums *sums)
{
    struct worker workers[WORKERS_MAX];
    struct pollfd fds[WORKERS_MAX];
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = cores > 0 && cores < (long)WORKERS_MAX ? (unsigned)cores : 1U;
    count = cli->seeds < count ? (unsigned)cli->seeds : count;
    const bool is_shown = isatty(STDERR_FILENO) != 0 && cli->seeds > 1;
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.next = i};
        start(&workers[i], cli, count);
        fds[i] = (struct pollfd){.fd = workers[i].fd, .events = POLLIN};
    }
    for (unsigned left = count; left > 0;) {
        if (poll(fds, count, -1) < 0) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0) {
                const bool goes_on = take(&workers[i], cli, sums, count);
                fds[i].fd = goes_on ? workers[i].fd : -1;
                left -= goes_on ? 0U : 1U;
            }
        }
        if (is_shown && sums->runs > 0) {
            tell_progress(sums, cli);
        }
    }
    if (is_shown) {
        (void)fputs("\r\033[K", stderr);
    }
}

int sim_cli(int argc, char **argv, const struct sim_plants *plants)
{
    struct cli cli;
    struct sums sums = {.started_s = seconds()};
    const int err = read_options(&cli, argc, argv, plants);
    if (err != 0 || cli.is_done) {
        return err;
    }
    if (cli.plant != NULL) {
        plants->choose(cli.plant);
    }
    cli.seeds = cli.seeds != 0 ? cli.seeds : count_runs(&cli);
    run_all(&cli, &sums);
    if (cli.is_json) {
        print_json(&sums, &cli);
    } else {
        print_text(&sums);
    }
    return sums.violations > 0 ? 1 : 0;
}
