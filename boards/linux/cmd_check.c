/* SPDX-License-Identifier: MIT */
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "board.h"
#include "commands.h"
#include "identity.h"
#include "kwdb_look.h"
#include "linux/linux_clock.h"
#include "linux/resolver.h"
#include "mbedtls/tls_net.h"
#include "mbedtls/tls_text.h"

#define LOOKUP_POLL_MS 100U
#define CLOCK_SKEW_S_MAX 60
#define CERTIFICATE_DAYS_MIN 14
#define DAY_S 86400
#define LOOKUP_TIMEOUT_MS 10000U /* KWDB may take so long to look a user up */
#define DB_LEN_MAX 128U

enum mark { MARK_OK, MARK_NOTE, MARK_WARN, MARK_FAIL };

struct check {
    struct app *app;
    const struct kwm_config *config;
    unsigned counts[MARK_FAIL + 1];
    /* Of the URL in hand. */
    const struct kwm_endpoint *endpoint;
    char db_escaped[DB_LEN_MAX * 3U + 1U];
    char db[DB_LEN_MAX + 1U];
    bool has_tables; /* some table was looked at */
    /* Of the table in hand. */
    const char *table;
    unsigned findings;
};

static struct kwm_ddl_table wanted;
static struct kwdb_table found;
static struct kwdb_client client;

/* -- Output
 *  ------------------------------------------------------------------------------------- */

static void tell(struct check *check, enum mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct check *check, enum mark mark, const char *format, ...)
{
    static const char *const marks[] = {"ok   ", "note ", "warn ", "FAIL "};
    va_list arguments;
    check->counts[mark]++;
    (void)printf("%s ", marks[mark]);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)printf("\n");
    (void)fflush(stdout); /* the next step may take a while */
}

/** What to do about the line before. */
static void advise(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void advise(const char *format, ...)
{
    va_list arguments;
    (void)printf("      -> ");
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)printf("\n");
}

/** A finding, whose advice stands behind its semicolon. */
static void tell_finding(struct check *check, enum mark mark, const char *where, const char *text)
{
    const char *end = strstr(text, "; ");
    if (end == NULL) {
        tell(check, mark, "%s%s", where, text);
        return;
    }
    tell(check, mark, "%s%.*s", where, (int)(end - text), text);
    advise("%s", end + 2);
}

static int sum_up(const struct check *check, int status)
{
    (void)printf("\n%u ok, %u warnings, %u failures: %s\n", check->counts[MARK_OK],
                 check->counts[MARK_WARN], check->counts[MARK_FAIL],
                 check->counts[MARK_FAIL] == 0 ? "ready to deliver"
                                               : "mend what FAILs, then again");
    return check->counts[MARK_FAIL] == 0 ? EXIT_STATUS_OK : status;
}

/* -- This device
 *  -------------------------------------------------------------------------------- */

static void check_config(struct check *check, const char *path)
{
    const struct kwm_config_errors *problems = app_problems();
    tell(check, MARK_OK, "configuration: %s: %u inputs", path,
         (unsigned)check->config->input_count);
    for (unsigned i = 0; i < problems->warning_count; i++) {
        const struct kwm_config_error *warning = &problems->warnings[i];
        tell(check, MARK_WARN, "configuration: %u:%u: %s: %s", (unsigned)warning->line,
             (unsigned)warning->column, warning->path, warning->reason);
    }
    if (check->config->output.timeout_ms < LOOKUP_TIMEOUT_MS &&
        check->config->output.dialect == KWM_DIALECT_KWDB) {
        tell(check, MARK_NOTE,
             "configuration: outputs.http.timeout is %u ms, but KWDB may take 10 s to look a user "
             "up; a batch that it is late for is sent again",
             (unsigned)check->config->output.timeout_ms);
    }
    if (check->config->output.use_token) {
        tell(check, MARK_WARN,
             "configuration: outputs.http.auth is \"token\", which is off by default: KWDB keeps "
             "its tokens in a table without a lock, and a login beside other requests can crash "
             "the whole node; a token also counts on the one node that gave it, and is lost with "
             "its restart");
        advise("take \"auth\" out, unless the server's CPU matters more: a password costs it "
               "60 ms a request");
    }
}

static void check_identity(struct check *check)
{
    char identity[IDENTITY_LEN_MAX + 1U];
    const bool is_unique = linux_identity(identity, sizeof(identity));
    const char *hostname = check->config->hostname;
    if (check->config->omit_hostname) {
        tell(check, MARK_WARN,
             "identity: no host tag (agent.omit_hostname): rows of two devices "
             "with the same tags replace each other");
        advise("be sure that global_tags are this device's alone");
    } else if (hostname[0] != '\0' && linux_identity_is_default(hostname)) {
        tell(check, MARK_WARN,
             "identity: host %s is a name that every device has at first: rows "
             "of two such devices replace each other",
             hostname);
        advise("set another agent.hostname, or take it out: then a suffix is added");
    } else if (hostname[0] != '\0') {
        tell(check, MARK_OK, "identity: host %s (agent.hostname)", hostname);
    } else if (is_unique) {
        tell(check, MARK_OK, "identity: host %s", identity);
    } else {
        tell(check, MARK_FAIL,
             "identity: the host name %s is a default one, and there is neither "
             "/etc/machine-id nor a network card to make it unique",
             identity);
        advise("set agent.hostname");
    }
}

static struct hal_wall wall_now(const struct check *check)
{
    const struct hal_wall_source *wall = &app_agent(check->app)->services.wall;
    return wall->now(wall->ctx);
}

static void format_time(char *out, size_t cap, int64_t unix_s)
{
    struct tls_text text;
    tls_text_init(&text, out, cap);
    tls_text_add_time(&text, unix_s);
}

static void check_clock(struct check *check)
{
    char text[40];
    const struct hal_wall wall = wall_now(check);
    format_time(text, sizeof(text), (int64_t)time(NULL));
    if (wall.state != HAL_WALL_SET) {
        tell(check, MARK_WARN,
             "clock: %s is before this program was built: the clock is not set; rows wait until "
             "a server's Date says what time it is",
             text);
        advise("set it, by NTP or by hand");
        return;
    }
    tell(check, MARK_OK, "clock: %s%s", text,
         linux_clock_is_synced() ? ", kept in step"
                                 : "; the kernel does not know of anything that keeps it in step");
}

/* -- Connection
 *  --------------------------------------------------------------------------------- */

static void format_address(const union linux_addr *addr, char *out, size_t cap)
{
    const socklen_t len =
        addr->any.sa_family == AF_INET6 ? (socklen_t)sizeof(addr->v6) : (socklen_t)sizeof(addr->v4);
    if (getnameinfo(&addr->any, len, out, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) != 0) {
        (void)snprintf(out, cap, "?");
    }
}

static void tell_addresses(struct check *check, const struct linux_addr_list *list)
{
    char all[LINUX_ADDRS_MAX * 48U] = "";
    size_t len = 0;
    for (size_t i = 0; i < list->count; i++) {
        char one[46];
        format_address(&list->addrs[i], one, sizeof(one));
        len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i > 0 ? ", " : "", one);
    }
    tell(check, MARK_OK, "name: %s is %s", check->endpoint->host, all);
}

static bool check_name(struct check *check)
{
    struct linux_addr_list list;
    const struct kwm_endpoint *endpoint = check->endpoint;
    struct linux_resolver *resolver = app_net(check->app).resolver;
    if (linux_resolver_literal(endpoint->host, endpoint->port, &list) == KWM_OK) {
        return true; /* an address needs no lookup */
    }
    const uint64_t end_ms = board_now_ms() + check->config->output.timeout_ms;
    const int lookup = linux_resolver_begin(resolver, endpoint->host, endpoint->port);
    int gai_error = 0;
    int rc = lookup < 0 ? lookup : 0;
    while (rc == 0 && board_now_ms() < end_ms) {
        rc = linux_resolver_poll(resolver, lookup, &list, &gai_error);
        if (rc == 0) {
            board_idle(board_now_ms() + LOOKUP_POLL_MS);
        }
    }
    if (rc > 0) {
        tell_addresses(check, &list);
        return true;
    }
    if (rc == 0) {
        linux_resolver_leave(resolver, lookup);
    }
    tell(check, MARK_FAIL, "name: %s: %s", endpoint->host,
         rc == 0          ? "no answer from the name service in time"
         : gai_error != 0 ? gai_strerror(gai_error)
                          : "the system cannot look it up now");
    advise("look at the name in outputs.http.url, and at /etc/resolv.conf");
    return false;
}

/** Open a net and wait for it. @return as hal_net_poll(), KWM_ERR_TIMEOUT. */
static int connect_net(struct check *check, struct hal_net *net, uint32_t *took_ms)
{
    const struct hal_net_peer peer = {.host = check->endpoint->host, .port = check->endpoint->port};
    const uint64_t begin_ms = board_now_ms();
    const uint64_t end_ms = begin_ms + check->config->output.timeout_ms;
    int rc = hal_net_open(net, &peer, begin_ms);
    while (rc == 0) {
        const uint64_t now_ms = board_now_ms();
        rc = hal_net_poll(net, now_ms);
        if (rc == 0 && now_ms >= end_ms) {
            rc = KWM_ERR_TIMEOUT;
        } else if (rc == 0) {
            const uint64_t poll_ms = now_ms + LOOKUP_POLL_MS;
            board_idle(poll_ms < end_ms ? poll_ms : end_ms);
        }
    }
    *took_ms = (uint32_t)(board_now_ms() - begin_ms);
    return rc;
}

static const char *net_detail(const struct hal_net *net, int err)
{
    if (err == KWM_ERR_TIMEOUT) {
        return "no answer in time";
    }
    return net->detail != NULL && net->detail[0] != '\0' ? net->detail : "failed";
}

static bool check_tcp(struct check *check)
{
    uint32_t took_ms;
    struct hal_net *net = app_net(check->app).tcp;
    const int rc = connect_net(check, net, &took_ms);
    if (rc > 0) {
        tell(check, MARK_OK, "TCP: port %u answers, %u ms", (unsigned)check->endpoint->port,
             (unsigned)took_ms);
    } else {
        tell(check, MARK_FAIL, "TCP: %s", net_detail(net, rc));
        advise("look at host and port in outputs.http.url, whether the server runs, and at "
               "firewalls between");
    }
    hal_net_close(net);
    return rc > 0;
}

static void tell_certificate(struct check *check, struct tls_net *tls)
{
    char buffer[700];
    struct tls_text text;
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&tls->ssl);
    if (crt == NULL) {
        return;
    }
    const int64_t now_s = wall_now(check).unix_ms / 1000;
    const int64_t end_s = tls_unix_s(&crt->valid_to);
    const int64_t days = end_s > now_s ? (end_s - now_s) / DAY_S : 0;
    tls_text_init(&text, buffer, sizeof(buffer));
    tls_text_add(&text, "certificate: ");
    tls_text_add_name(&text, &crt->subject);
    tls_text_add(&text, " for ");
    tls_text_add_hosts(&text, crt);
    tls_text_add(&text, ", from ");
    tls_text_add_day(&text, tls_unix_s(&crt->valid_from));
    tls_text_add(&text, " to ");
    tls_text_add_day(&text, end_s);
    tls_text_add(&text, " (");
    tls_text_add_uint(&text, (uint64_t)days);
    tls_text_add(&text, " days left)");
    const bool is_short = days < CERTIFICATE_DAYS_MIN;
    tell(check, is_short ? MARK_WARN : MARK_OK, "%s", buffer);
    if (is_short) {
        advise("renew the server's certificate: without a valid one nothing is delivered");
    }
}

static void tell_tls(struct check *check, struct tls_net *tls, uint32_t took_ms)
{
    tell(check, MARK_OK, "TLS: %s, %s, %u ms", mbedtls_ssl_get_version(&tls->ssl),
         mbedtls_ssl_get_ciphersuite(&tls->ssl), (unsigned)took_ms);
    tell_certificate(check, tls);
    if (check->config->output.insecure_skip_verify) {
        tell(check, MARK_WARN,
             "TLS: NOBODY'S IDENTITY IS CHECKED (insecure_skip_verify): whoever stands between "
             "this device and the server can read the password and change the rows");
        advise("take insecure_skip_verify out, and name the server's CA in tls_ca");
    }
}

/** Nothing of us is sent but the hello. */
static bool check_tls(struct check *check)
{
    uint32_t took_ms;
    struct tls_net *tls = app_net(check->app).tls;
    if (!check->endpoint->is_secure || tls == NULL) {
        tell(check, MARK_WARN, "TLS: none: password and rows cross the network in clear");
        advise("use https:// in outputs.http.url");
        return true;
    }
    const int rc = connect_net(check, &tls->net, &took_ms);
    if (rc > 0) {
        tell_tls(check, tls, took_ms);
    } else {
        tell(check, MARK_FAIL, "TLS: %s", net_detail(&tls->net, rc));
        advise("%s", rc == KWM_ERR_VERIFY
                         ? "no password was sent, and none will be until this is mended: name the "
                           "CA in tls_ca, use a name that is in the certificate, or renew it"
                         : "is this the port of an https server?");
    }
    hal_net_close(&tls->net);
    return rc > 0;
}

/* -- Server
 *  ------------------------------------------------------------------------------------- */

static bool init_client(struct check *check, bool has_credentials)
{
    const struct kwm_config_output *output = &check->config->output;
    const struct kwdb_client_config config = {
        .agent = app_agent(check->app),
        .endpoints = check->endpoint,
        .endpoint_count = 1,
        .authorization = has_credentials ? output->authorization : NULL,
        .use_token = has_credentials && output->use_token,
    };
    const bool is_good = kwdb_client_init(&client, &config);
    if (!is_good) {
        tell(check, MARK_FAIL, "%s", client.text);
    }
    return is_good;
}

/** Compare the server's clock with ours. */
static void check_date(struct check *check, int64_t date_s)
{
    char theirs[40];
    const int64_t now_s = (int64_t)time(NULL);
    const int64_t ahead_s = now_s - date_s;
    format_time(theirs, sizeof(theirs), date_s);
    if (date_s == 0) {
        tell(check, MARK_NOTE, "server's clock: it does not tell (no Date)");
    } else if (ahead_s > CLOCK_SKEW_S_MAX || ahead_s < -CLOCK_SKEW_S_MAX) {
        tell(check, MARK_WARN, "server's clock: %s, and this device's is %lld s %s", theirs,
             (long long)(ahead_s < 0 ? -ahead_s : ahead_s), ahead_s > 0 ? "ahead" : "behind");
        advise("set the wrong one right: rows carry this device's time");
    } else {
        tell(check, MARK_OK, "server's clock: %s, as this device's", theirs);
    }
}

/** Is an HTTP server there? No credentials are sent. */
static bool check_health(struct check *check)
{
    const bool is_kwdb = check->config->output.dialect == KWM_DIALECT_KWDB;
    const char *target = is_kwdb ? "/health" : "/ping";
    if (!init_client(check, false)) {
        return false;
    }
    const enum kwdb_answer answer = kwdb_client_get(&client, target);
    const bool is_there = client.uplink.outcome.err == KWM_OK;
    if (answer == KWDB_DONE) {
        tell(check, MARK_OK, "server: GET %s is answered", target);
        check_date(check, client.uplink.reply.date_unix_s);
    } else {
        tell(check, is_there ? MARK_WARN : MARK_FAIL, "server: GET %s: %s", target, client.text);
        advise("is this the address of %s?", is_kwdb ? "KWDB's web port" : "InfluxDB");
    }
    kwdb_client_close(&client);
    return is_there;
}

static bool find_database(struct check *check)
{
    const struct hal_text db = kwdb_client_find_db(check->endpoint);
    if (db.s == NULL || db.len >= sizeof(check->db_escaped) ||
        !kwdb_client_unescape(db, check->db, sizeof(check->db))) {
        tell(check, MARK_FAIL, "database: db= in outputs.http.url is not a name of a database");
        return false;
    }
    memcpy(check->db_escaped, db.s, db.len);
    check->db_escaped[db.len] = '\0';
    return true;
}

/** Credentials and database in one question. @return whether tables can be asked for. */
static bool check_database(struct check *check)
{
    const char *user = check->config->output.user[0] != '\0' ? check->config->output.user : "?";
    const enum kwdb_state state = kwdb_look_database(&client, check->db);
    if (state == KWDB_DENIED) {
        tell(check, MARK_FAIL, "credentials: user %s: the server says \"%s\"", user, client.text);
        advise("wrong user or password, an expired one, or the server could not look the user up "
               "in time (then it goes well when tried again)");
        return false;
    }
    if (state == KWDB_LOST) {
        tell(check, MARK_FAIL, "credentials: no answer to a query: %s", client.text);
        return false;
    }
    tell(check, MARK_OK, "credentials: user %s", user);
    if (state == KWDB_THERE) {
        tell(check, MARK_OK, "database: %s", check->db);
    } else if (state == KWDB_ABSENT) {
        tell(check, MARK_FAIL, "database: %s does not exist (upper and lower case count)",
             check->db);
        advise("kwmote schema --apply --user root, or set db= in outputs.http.url right");
    } else {
        tell(check, MARK_WARN, "database: whether %s exists cannot be seen: %s", check->db,
             client.text);
    }
    return state != KWDB_ABSENT;
}

/* -- Tables
 *  ------------------------------------------------------------------------------------- */

static void take_finding(void *ctx, const struct kwdb_finding *finding)
{
    struct check *check = ctx;
    char where[80];
    check->findings++;
    (void)snprintf(where, sizeof(where), "table %s: ", check->table);
    tell_finding(check, finding->level == KWDB_RISK ? MARK_WARN : MARK_FAIL, where, finding->text);
    if (finding->level == KWDB_MISSING) {
        advise("kwmote schema --apply --user root, or: %s", finding->sql);
    } else if (finding->sql[0] != '\0') {
        advise("if you have looked at what its rows hold: %s", finding->sql);
    }
}

static void advise_grant(const struct check *check)
{
    char sql[KWM_DDL_ALTER_LEN_MAX];
    struct kwm_text text;
    kwm_text_init(&text, sql, sizeof(sql));
    kwm_text_append(&text, "GRANT INSERT ON TABLE ");
    kwm_ddl_append_table_name(&text, check->db);
    kwm_text_append_char(&text, '.');
    kwm_ddl_append_table_name(&text, check->table);
    kwm_text_append(&text, " TO ");
    kwm_ddl_append_table_name(&text, check->config->output.user);
    advise("as an administrator: %s;", sql);
}

/** @return whether the server answers still. */
static bool check_table(struct check *check)
{
    const struct kwdb_finding_sink sink = {.put = take_finding, .ctx = check};
    const enum kwdb_state state = kwdb_look_table(&client, check->db_escaped, check->table, &found);
    check->findings = 0;
    switch (state) {
    case KWDB_THERE:
        check->has_tables = true;
        kwdb_table_compare(&wanted, &found, &sink);
        if (check->findings == 0) {
            tell(check, MARK_OK, "table %s: has all %u columns and tags", check->table,
                 (unsigned)wanted.column_count + 1U);
        }
        return true;
    case KWDB_ABSENT:
        tell(check, MARK_FAIL, "table %s: does not exist", check->table);
        advise("kwmote schema --apply --user root; kwmote schema prints its CREATE TABLE");
        return true;
    case KWDB_HIDDEN:
        tell(check, MARK_FAIL, "table %s: %s", check->table, client.text);
        advise_grant(check);
        return true;
    case KWDB_UNKNOWN:
        tell(check, MARK_FAIL, "table %s: %s", check->table, client.text);
        return true;
    default:
        tell(check, MARK_FAIL, "table %s: no answer: %s", check->table, client.text);
        return false;
    }
}

static void check_tables(struct check *check)
{
    const struct kwm_collector_config *inputs = &app_agent(check->app)->collector.config;
    bool goes_on = true;
    for (unsigned cursor = 0; goes_on;) {
        char reason[512];
        struct kwm_text text;
        kwm_text_init(&text, reason, sizeof(reason));
        const int rc = kwm_ddl_next(inputs, &cursor, &wanted, &text);
        if (rc == 0) {
            return;
        }
        if (rc < 0) {
            tell_finding(check, MARK_FAIL, "", reason);
            continue;
        }
        check->table = wanted.name;
        goes_on = check_table(check);
    }
}

static void check_kwdb(struct check *check)
{
    if (check->config->output.authorization == NULL) {
        tell(check, MARK_FAIL, "credentials: none are configured, and KWDB takes nothing without");
        advise("set username and password in outputs.http");
        return;
    }
    if (!find_database(check) || !init_client(check, true)) {
        return;
    }
    if (check_database(check)) {
        check_tables(check);
    }
    kwdb_client_close(&client);
}

/** InfluxDB 1.x tells about credentials without a write; others do not. */
static void check_influx(struct check *check)
{
    if (strncmp(check->endpoint->target, "/write", 6) != 0 || !init_client(check, true)) {
        tell(check, MARK_NOTE,
             "credentials: only a write shows whether they are right: try "
             "kwmote --once");
        return;
    }
    const enum kwdb_answer answer = kwdb_client_get(&client, "/query?q=SHOW+DATABASES");
    if (answer == KWDB_DONE) {
        tell(check, MARK_OK, "credentials: taken");
    } else {
        tell(check, MARK_FAIL, "credentials: %s", client.text);
        advise("look at username and password in outputs.http");
    }
    kwdb_client_close(&client);
}

static void check_endpoint(struct check *check, const struct kwm_endpoint *endpoint)
{
    check->endpoint = endpoint;
    (void)printf("\n%s://%s%s%s:%u\n", endpoint->is_secure ? "https" : "http",
                 endpoint->is_ipv6 ? "[" : "", endpoint->host, endpoint->is_ipv6 ? "]" : "",
                 (unsigned)endpoint->port);
    if (!check_name(check) || !check_tcp(check) || !check_tls(check) || !check_health(check)) {
        return;
    }
    if (check->config->output.dialect == KWM_DIALECT_KWDB) {
        check_kwdb(check);
    } else {
        check_influx(check);
    }
}

int command_check(const struct app_options *options)
{
    static struct check check;
    struct app_options ours = *options;
    ours.is_command = true;
    check.app = app_start(&ours);
    if (check.app == NULL) {
        tell(&check, MARK_FAIL, "configuration: %s: see above", options->config_path);
        return sum_up(&check, EXIT_STATUS_CONFIG);
    }
    check.config = app_config(check.app);
    check_config(&check, options->config_path);
    check_identity(&check);
    check_clock(&check);
    for (uint8_t i = 0; i < check.config->output.endpoint_count; i++) {
        check_endpoint(&check, &check.config->output.endpoints[i]);
    }
    if (check.has_tables) {
        tell(&check, MARK_NOTE,
             "whether user %s may insert shows only when rows are sent: kwmote --once",
             check.config->output.user);
    }
    return sum_up(&check, EXIT_STATUS_REFUSED);
}
