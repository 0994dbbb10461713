/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "commands.h"
#include "kwm/text.h"
#include "linux_board.h"

#define FINISH_MS_MAX 5000U
#define ONCE_MS_MAX 60000U
#define RATE_MS 1000U
#define GATHER_MS_MAX 10000U

static volatile sig_atomic_t has_term;
static volatile sig_atomic_t has_hup;
static int signal_fd = -1;

static void on_signal(int number)
{
    const int saved = errno;
    if (number == SIGHUP) {
        has_hup = 1;
    } else {
        has_term = 1;
    }
    const uint64_t one = 1;
    const ssize_t written = write(signal_fd, &one, sizeof(one));
    (void)written;
    errno = saved;
}

static void catch_signals(void)
{
    signal_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

/** One turn of the loop that a signal ends early. */
static void turn(struct app *app, uint64_t until_ms)
{
    uint64_t count;
    while (read(signal_fd, &count, sizeof(count)) > 0) {
    }
    linux_poll_set_want(linux_board_poll_set(), signal_fd, LINUX_POLL_READ);
    app_turn(app, has_term || has_hup ? 0 : until_ms);
}

static void say(const struct kwm_text *text)
{
    hal_log_write(HAL_LOG_INFO, text->out, text->len);
}

static void append_account(struct kwm_text *text, const struct kwm_totals *totals)
{
    kwm_text_append_uint(text, totals->collected);
    kwm_text_append(text, " rows collected: ");
    kwm_text_append_uint(text, totals->fates[KWM_FATE_STORED]);
    kwm_text_append(text, " stored, ");
    kwm_text_append_uint(text, kwm_totals_refused(totals));
    kwm_text_append(text, " refused, ");
    kwm_text_append_uint(text, kwm_totals_dropped(totals));
    kwm_text_append(text, " dropped, ");
    kwm_text_append_uint(text, totals->fates[KWM_FATE_UNKNOWN]);
    kwm_text_append(text, " unknown, ");
    kwm_text_append_uint(text, totals->waiting);
    kwm_text_append(text, " waiting");
}

/** What will be collected, where to, as whom. */
static void say_plan(struct app *app)
{
    char line[900];
    struct kwm_text text;
    const struct kwm_config *config = app_config(app);
    const struct kwm_config_output *output = &config->output;
    kwm_text_init(&text, line, sizeof(line));
    kwm_text_append(&text, "kwmote " KWM_VERSION ": host ");
    kwm_text_append(&text, config->hostname[0] != '\0' ? config->hostname : app_identity());
    kwm_text_append(&text, ", every ");
    kwm_text_append_uint(&text, config->interval_ms / 1000U);
    kwm_text_append(&text, " s:");
    for (unsigned i = 0; i < config->input_count; i++) {
        kwm_text_append(&text, i == 0 ? " " : ", ");
        kwm_text_append(&text, config->inputs[i].label);
    }
    say(&text);
    kwm_text_init(&text, line, sizeof(line));
    kwm_text_append(&text, output->dialect == KWM_DIALECT_KWDB ? "to KWDB at" : "to InfluxDB at");
    for (unsigned i = 0; i < output->endpoint_count; i++) {
        kwm_text_append(&text, i == 0 ? " " : ", else ");
        kwm_text_append(&text, output->endpoints[i].is_secure ? "https://" : "http://");
        kwm_text_append(&text, output->endpoints[i].host);
        kwm_text_append_char(&text, ':');
        kwm_text_append_uint(&text, output->endpoints[i].port);
        kwm_text_append(&text, output->endpoints[i].target);
    }
    kwm_text_append(&text, output->user[0] != '\0' ? " as user " : "");
    kwm_text_append(&text, output->user);
    kwm_text_append(&text, ", every ");
    kwm_text_append_uint(&text, config->flush_interval_ms / 1000U);
    kwm_text_append(&text, " s");
    say(&text);
}

/** Send what there is, for so long at most. */
static void finish(struct app *app, uint32_t ms_max)
{
    struct agent *agent = app_agent(app);
    const uint64_t end_ms = board_now_ms() + ms_max;
    agent_finish(agent);
    while (!agent_is_settled(agent) && board_now_ms() < end_ms) {
        app_turn(app, end_ms);
    }
    kwm_delivery_abort(&agent->delivery);
}

static void say_end(struct app *app)
{
    char line[300];
    struct kwm_text text;
    kwm_text_init(&text, line, sizeof(line));
    kwm_text_append(&text, "stopped; ");
    append_account(&text, &app_agent(app)->delivery.totals);
    if (app_agent(app)->delivery.totals.waiting > 0) {
        kwm_text_append(&text, " (lost with this process: the queue is in memory)");
    }
    say(&text);
}

int command_run(const struct app_options *options)
{
    catch_signals();
    struct app *app = app_start(options);
    if (app == NULL) {
        return EXIT_STATUS_CONFIG;
    }
    say_plan(app);
    while (!has_term) {
        turn(app, UINT64_MAX);
        if (has_hup) {
            has_hup = 0;
            if (app_reload(app)) {
                say_plan(app);
            } else {
                static const char text[] = "the configuration before goes on";
                hal_log_write(HAL_LOG_WARN, text, sizeof(text) - 1);
            }
        }
    }
    finish(app, FINISH_MS_MAX);
    say_end(app);
    return EXIT_STATUS_OK;
}

/** Let a reading of every input end. */
static void gather(struct app *app)
{
    struct agent *agent = app_agent(app);
    kwm_collector_gather(&agent->collector, board_now_ms());
    const uint64_t end_ms = board_now_ms() + GATHER_MS_MAX;
    do {
        const uint64_t now_ms = board_now_ms();
        const uint64_t wake = kwm_collector_step(&agent->collector, now_ms);
        if (kwm_collector_is_busy(&agent->collector)) {
            board_idle(wake < end_ms ? wake : end_ms);
        }
    } while (kwm_collector_is_busy(&agent->collector) && board_now_ms() < end_ms && !has_term);
    kwm_collector_cancel(&agent->collector);
}

/** Start, and collect one row of everything; rates over a second. @return NULL for a mistake. */
static struct app *collect_once(const struct app_options *options)
{
    catch_signals();
    struct app *app = app_start(options);
    if (app == NULL) {
        return NULL;
    }
    struct kwm_collector *collector = &app_agent(app)->collector;
    collector->is_held = true;
    collector->is_priming = true;
    gather(app);
    const uint64_t until_ms = board_now_ms() + RATE_MS;
    while (board_now_ms() < until_ms && !has_term) {
        board_idle(until_ms);
    }
    collector->is_priming = false;
    gather(app);
    return app;
}

int command_test(const struct app_options *options)
{
    struct app *app = collect_once(options);
    if (app == NULL) {
        return EXIT_STATUS_CONFIG;
    }
    struct agent *agent = app_agent(app);
    struct kwm_sample sample;
    unsigned budget = UINT16_MAX;
    kwm_reader_seek(&agent->reader, 0);
    while (kwm_reader_next(&agent->reader, &sample, &budget) == 1) {
        const int len = kwm_delivery_line(&agent->delivery, &sample);
        if (len < 0) {
            (void)fprintf(stderr, "a row of %s cannot be sent: %s\n",
                          agent->series.measurements[sample.measurement].name,
                          len == KWM_ERR_NOSPC ? "too long" : "a name or time that does not fit");
            continue;
        }
        (void)printf("> %.*s\n", len, agent->memory.line);
    }
    return EXIT_STATUS_OK;
}

/** Whether rows of some measurement are held or were set aside by the server. */
static bool is_refused(const struct agent *agent)
{
    if (kwm_totals_refused(&agent->delivery.totals) > 0) {
        return true;
    }
    for (unsigned i = 0; i < agent->series.measurement_count; i++) {
        if (agent->memory.streams[i].state == KWM_STREAM_PAUSED) {
            return true;
        }
    }
    return false;
}

int command_once(const struct app_options *options)
{
    struct app *app = collect_once(options);
    if (app == NULL) {
        return EXIT_STATUS_CONFIG;
    }
    struct agent *agent = app_agent(app);
    const uint64_t end_ms = board_now_ms() + ONCE_MS_MAX;
    say_plan(app);
    agent_finish(agent);
    while (!agent_is_settled(agent) && !agent->delivery.is_blocked && !has_term &&
           board_now_ms() < end_ms) {
        turn(app, end_ms);
    }
    kwm_delivery_abort(&agent->delivery);
    char line[300];
    struct kwm_text text;
    kwm_text_init(&text, line, sizeof(line));
    append_account(&text, &agent->delivery.totals);
    say(&text);
    if (agent->delivery.totals.collected == agent->delivery.totals.fates[KWM_FATE_STORED]) {
        return EXIT_STATUS_OK;
    }
    return is_refused(agent) ? EXIT_STATUS_REFUSED : EXIT_STATUS_NOT_DELIVERED;
}
