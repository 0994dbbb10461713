/* SPDX-License-Identifier: MIT */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hal/assert.h"
#include "identity.h"
#include "internal.h"
#include "linux/linux_clock.h"
#include "linux/linux_entropy.h"
#include "linux/linux_inputs.h"
#include "linux/resolver.h"
#include "linux/tcp_net.h"
#include "linux_board.h"
#include "mbedtls/tls_heap.h"
#include "mbedtls/tls_net.h"
#include "ram/ram_flash.h"
#include "report.h"

#define SERIES_MAX 512U
#define MEASUREMENTS_MAX 64U
#define POOL_LEN (512U * 1024U)
#define LOCALS_MAX 512U
#define ROWS_MAX 8U
#define REASONS_MAX 64U
#define STAGE_LEN (16U * 1024U)
#define OUT_LEN (KWM_LINE_LEN_MAX + 2048U)
#define TLS_HEAP_LEN (2U * 1024U * 1024U) /* the system's CA bundle takes half of it */
#define PEM_LEN_MAX (512U * 1024U)
#define CONFIG_ARENA_LEN (256U * 1024U)
#define INPUTS_MAX 32U
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

static struct kwm_series series[SERIES_MAX];
static struct kwm_measurement measurements[MEASUREMENTS_MAX];
static struct kwm_stream streams[MEASUREMENTS_MAX];
static uint8_t pool[POOL_LEN];
static struct kwm_local locals[2U * LOCALS_MAX];
static struct kwm_batch_line lines[KWM_BATCH_LINES_MAX];
static struct kwm_reason reasons[REASONS_MAX];
static struct kwm_row rows[ROWS_MAX];
static uint8_t stage[STAGE_LEN];
static uint8_t out[OUT_LEN];
static char line[KWM_LINE_LEN_MAX];
static uint8_t tls_heap[TLS_HEAP_LEN];
static char document[KWM_CONFIG_LEN_MAX];

/** What one reading of the configuration made. Two, so that a reload can fail without harm. */
struct app_reading {
    struct kwm_config config;
    uint8_t arena[CONFIG_ARENA_LEN];
};

struct app {
    struct app_options options;
    struct app_reading readings[2];
    unsigned reading;
    struct agent agent;
    struct report report;
    struct linux_resolver resolver;
    struct linux_tcp_net tcp;
    struct linux_entropy entropy;
    struct tls_net tls;
    bool has_tls;
    struct linux_clock clock;
    int64_t
        date_offset_ms; /**< wall minus boot, from /health, while the system's clock is not set */
    bool has_date;
    uint64_t random;
    struct ram_flash flash;
    char identity[IDENTITY_LEN_MAX + 1];
    struct hal_input_def inputs[INPUTS_MAX];
};

static struct app app;

struct agent *app_agent(struct app *a)
{
    return &a->agent;
}

struct app_net app_net(struct app *a)
{
    return (struct app_net){
        .resolver = &a->resolver, .tcp = &a->tcp.net, .tls = a->has_tls ? &a->tls : NULL};
}

const struct kwm_config *app_config(const struct app *a)
{
    return &a->readings[a->reading].config;
}

const char *app_identity(void)
{
    if (app.identity[0] == '\0' && !linux_identity(app.identity, sizeof(app.identity))) {
        static const char text[] =
            "this device has a default host name and neither /etc/machine-id nor a network card: "
            "set agent.hostname, for two devices of one name destroy each other's rows";
        hal_log_write(HAL_LOG_WARN, text, sizeof(text) - 1);
    }
    return app.identity;
}

const struct hal_input_def *app_inputs(void)
{
    if (app.inputs[0].name == NULL) {
        unsigned count = 0;
        while (linux_inputs[count].name != NULL) {
            app.inputs[count] = linux_inputs[count];
            count++;
        }
        KWM_ASSERT(count + 2U <= INPUTS_MAX);
        app.inputs[count] = agent_internal_input;
    }
    return app.inputs;
}

int app_read_file(const char *path, char *to, size_t cap)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return KWM_ERR_IO;
    }
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < cap) {
        got = read(fd, to + len, cap - len);
        len += got > 0 ? (size_t)got : 0;
    }
    char more;
    const bool is_over = got > 0 && read(fd, &more, 1) > 0;
    (void)close(fd);
    if (got < 0) {
        return KWM_ERR_IO;
    }
    return is_over ? KWM_ERR_NOSPC : (int)len;
}

static const char *get_env(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static int read_file(void *ctx, const char *path, char *to, size_t cap)
{
    (void)ctx;
    return app_read_file(path, to, cap);
}

static void tell_problem(const char *path, const char *kind, const struct kwm_config_error *error)
{
    (void)fprintf(stderr, "%s:%u:%u: %s: %s%s%s\n", path, error->line, error->column, kind,
                  error->path, error->path[0] != '\0' ? ": " : "", error->reason);
}

static int tell_problems(const struct app_options *options,
                         const struct kwm_config_errors *problems)
{
    const char *path = options->config_path;
    for (unsigned i = 0; i < problems->count; i++) {
        tell_problem(path, "error", &problems->list[i]);
    }
    for (unsigned i = 0; i < problems->warning_count && !options->is_command; i++) {
        tell_problem(path, "warning", &problems->warnings[i]);
    }
    if (problems->is_more) {
        (void)fprintf(stderr, "%s: there is more; mend these first\n", path);
    }
    return problems->count;
}

static struct kwm_config_errors errors;

const struct kwm_config_errors *app_problems(void)
{
    return &errors;
}

/** @return whether the configuration was read into the reading. */
static bool read_into(struct app_reading *reading, const struct app_options *options)
{
    const int len = app_read_file(options->config_path, document, sizeof(document));
    if (len < 0) {
        (void)fprintf(
            stderr, "%s: %s; --config names another file, `kwmote config create` writes one\n",
            options->config_path, len == KWM_ERR_NOSPC ? "is longer than 64 KiB" : strerror(errno));
        return false;
    }
    const struct kwm_config_env env = {
        .inputs = app_inputs(), .getenv = get_env, .read_file = read_file};
    memset(&errors, 0, sizeof(errors));
    const int err = kwm_config_read(&reading->config, &errors, &env, document, (size_t)len,
                                    reading->arena, sizeof(reading->arena));
    memset(document, 0, (size_t)len); /* it may hold a password */
    (void)tell_problems(options, &errors);
    return err == KWM_OK;
}

const struct kwm_config *app_read_config(const struct app_options *options)
{
    struct app_reading *reading = &app.readings[app.reading ^ 1U];
    return read_into(reading, options) ? &reading->config : NULL;
}

static struct hal_wall wall_now(void *ctx)
{
    const struct app *a = ctx;
    const struct hal_wall wall = linux_clock_wall(&a->clock);
    if (wall.state == HAL_WALL_SET || !a->has_date) {
        return wall;
    }
    return (struct hal_wall){.state = HAL_WALL_SET,
                             .unix_ms = (int64_t)board_now_ms() + a->date_offset_ms};
}

static void on_date(void *ctx, int64_t unix_ms, bool is_verified)
{
    struct app *a = ctx;
    if (is_verified) {
        linux_clock_raise_floor(&a->clock, unix_ms);
    } else {
        a->date_offset_ms = unix_ms - (int64_t)board_now_ms();
        a->has_date = true;
    }
}

static uint32_t random_bits(void *ctx)
{
    struct app *a = ctx;
    a->random ^= a->random >> 12;
    a->random ^= a->random << 25;
    a->random ^= a->random >> 27;
    return (uint32_t)((a->random * 0x2545F4914F6CDD1DULL) >> 32);
}

static uint64_t memory_peak(void *ctx)
{
    (void)ctx;
    return tls_heap_peak();
}

static void release_inputs(void *ctx)
{
    (void)ctx;
    linux_inputs_release();
}

static void say(enum hal_log_level level, const char *text)
{
    hal_log_write(level, text, strlen(text));
}

/** Read a PEM file into its own static buffer. @return NULL if it cannot be read; that is told. */
static const char *read_pem(const char *key, const char *path, char *to, size_t cap)
{
    to[0] = '\0';
    if (path[0] == '\0') {
        return to;
    }
    const int len = app_read_file(path, to, cap - 1);
    if (len < 0) {
        char text[512];
        (void)snprintf(text, sizeof(text), "outputs.http.%s: %s: %s", key, path,
                       len == KWM_ERR_NOSPC ? "is too long" : strerror(errno));
        say(HAL_LOG_ERROR, text);
        return NULL;
    }
    to[len] = '\0';
    return to;
}

static bool configure_tls(struct app *a, const struct kwm_config_output *output)
{
    static char ca[PEM_LEN_MAX], cert[65536], key[16384];
    const char *ca_path = output->tls_ca[0] != '\0' ? output->tls_ca : SYSTEM_CA;
    const bool is_needed = output->tls_ca[0] != '\0' || !output->insecure_skip_verify;
    const struct tls_config config = {
        .ca_pem = read_pem("tls_ca", is_needed ? ca_path : "", ca, sizeof(ca)),
        .ca_name = ca_path,
        .cert_pem = read_pem("tls_cert", output->tls_cert, cert, sizeof(cert)),
        .key_pem = read_pem("tls_key", output->tls_key, key, sizeof(key)),
        .key_password = output->tls_key_pwd,
        .server_name = output->tls_server_name[0] != '\0' ? output->tls_server_name : NULL,
        .allow_tls13 = true,
        .require_tls13 = output->tls_min_13,
        .insecure_skip_verify = output->insecure_skip_verify,
        .wall = {.now = wall_now, .ctx = a},
        .entropy = &a->entropy.entropy,
    };
    if (config.ca_pem == NULL || config.cert_pem == NULL || config.key_pem == NULL) {
        return false;
    }
    const int err = a->has_tls ? tls_net_configure(&a->tls, &config)
                               : tls_net_init(&a->tls, &a->tcp.net, &config);
    memset(key, 0, config.key_pem != NULL ? strlen(key) : 0);
    if (err != KWM_OK) {
        say(HAL_LOG_ERROR, a->tls.net.detail);
        return false;
    }
    a->has_tls = true;
    return true;
}

/** The net that the URLs ask for. @return NULL if it cannot be had. */
static struct hal_net *choose_net(struct app *a, const struct kwm_config_output *output)
{
    if (!output->endpoints[0].is_secure) {
        return &a->tcp.net;
    }
    return configure_tls(a, output) ? &a->tls.net : NULL;
}

static void apply_log(const struct app *a, const struct kwm_config *config)
{
    linux_board_log_level(a->options.debug || config->debug   ? HAL_LOG_DEBUG
                          : a->options.quiet || config->quiet ? HAL_LOG_ERROR
                                                              : HAL_LOG_INFO);
    if (!linux_board_log_file(a->options.is_command ? "" : config->logfile)) {
        say(HAL_LOG_ERROR, "agent.logfile: cannot be opened; standard error is used");
    }
}

static bool init_flash(struct app *a, uint32_t len)
{
    const uint32_t sector_len = len >= 512U * 1024U ? 32768U : len >= 65536U ? 8192U : 4096U;
    const uint32_t count = len / sector_len < 4U ? 4U : len / sector_len;
    const size_t size = (size_t)sector_len * count;
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) {
        say(HAL_LOG_ERROR, "spool: the system has not that much memory; make it smaller");
        return false;
    }
    ram_flash_init(&a->flash, bytes, sector_len, count, 1);
    return true;
}

static const struct agent_memory memory = {
    .series = series,
    .series_cap = SERIES_MAX,
    .measurements = measurements,
    .streams = streams,
    .measurement_cap = MEASUREMENTS_MAX,
    .pool = pool,
    .pool_cap = POOL_LEN,
    .locals = locals,
    .local_cap = LOCALS_MAX,
    .lines = lines,
    .line_slots = KWM_BATCH_LINES_MAX,
    .line_count_max = KWM_BATCH_LINES_MAX,
    .reasons = reasons,
    .reason_cap = REASONS_MAX,
    .rows = rows,
    .row_cap = ROWS_MAX,
    .stage = stage,
    .stage_cap = STAGE_LEN,
    .out = out,
    .out_cap = OUT_LEN,
    .line = line,
    .line_cap = KWM_LINE_LEN_MAX,
};

static struct agent_services make_services(struct app *a, struct hal_net *net)
{
    return (struct agent_services){
        .net = net,
        .flash = &a->flash.flash,
        .wall = {.now = wall_now, .ctx = a},
        .on_date = on_date,
        .random = random_bits,
        .memory_peak = memory_peak,
        .release_inputs = release_inputs,
        .ctx = a,
        .identity = app_identity(),
        .user_agent = "kwmote/" KWM_VERSION,
        .events = report_sink(&a->report),
    };
}

struct app *app_start(const struct app_options *options)
{
    struct app *a = &app;
    a->options = *options;
    const struct kwm_config *config = app_read_config(options);
    if (config == NULL) {
        return NULL;
    }
    a->reading ^= 1U;
    apply_log(a, config);
    a->report.config = config;
    tls_heap_init(tls_heap, sizeof(tls_heap));
    linux_entropy_init(&a->entropy);
    linux_clock_init(&a->clock, KWM_BUILD_UNIX_S * 1000);
    linux_inputs_init(linux_board_poll_set());
    linux_resolver_init(&a->resolver, linux_board_poll_set());
    linux_tcp_net_init(&a->tcp, linux_board_poll_set(), &a->resolver);
    if (hal_entropy_fill(&a->entropy.entropy, (uint8_t *)&a->random, sizeof(a->random)) != KWM_OK) {
        say(HAL_LOG_ERROR, "the system gives no random numbers");
        return NULL;
    }
    a->random |= 1U;
    struct hal_net *net = choose_net(a, &config->output);
    if (net == NULL || !init_flash(a, config->spool_len)) {
        return NULL;
    }
    const struct agent_services services = make_services(a, net);
    if (agent_init(&a->agent, &memory, &services, config, board_now_ms()) != KWM_OK) {
        say(HAL_LOG_ERROR, a->agent.reason);
        return NULL;
    }
    return a;
}

/** A new configuration could not be put to use: the one before goes on. */
static void go_back(struct app *a)
{
    const struct kwm_config *config = app_config(a);
    struct hal_net *net = choose_net(a, &config->output);
    if (net != NULL) {
        a->agent.services.net = net;
    }
    if (agent_reload(&a->agent, config, board_now_ms()) != KWM_OK) {
        say(HAL_LOG_ERROR, a->agent.reason);
    }
}

bool app_reload(struct app *a)
{
    const struct kwm_config *config = app_read_config(&a->options);
    if (config == NULL) {
        return false;
    }
    kwm_delivery_abort(&a->agent.delivery);
    kwm_uplink_abort(&a->agent.uplink); /* TLS is configured between connections */
    struct hal_net *net = choose_net(a, &config->output);
    if (net == NULL) {
        return false;
    }
    struct hal_net *net_before = a->agent.services.net;
    a->agent.services.net = net;
    if (agent_reload(&a->agent, config, board_now_ms()) != KWM_OK) {
        say(HAL_LOG_ERROR, a->agent.reason);
        a->agent.services.net = net_before;
        go_back(a);
        return false;
    }
    a->reading ^= 1U;
    apply_log(a, config);
    a->report.config = config;
    return true;
}

void app_turn(struct app *a, uint64_t until_ms)
{
    const bool was_blocked = a->agent.delivery.is_blocked;
    const uint64_t wake = agent_step(&a->agent, board_now_ms());
    if (a->agent.delivery.is_blocked && !was_blocked) {
        return; /* the caller may not want to wait for the next try */
    }
    board_idle(wake < until_ms ? wake : until_ms);
}
