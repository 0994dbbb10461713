/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "board.h"
#include "commands.h"
#include "kwdb_look.h"

#define DDL_PATH "/restapi/ddl"
#define PASSWORD_ENV "KWMOTE_APPLY_PASSWORD"
#define PASSWORD_LEN_MAX 128U
#define REASON_LEN_MAX 512U
#define DB_LEN_MAX 128U
/* A table that is being changed asks for patience: once a second, so often. */
#define PATIENCE_MS 1000U
#define PATIENCE_COUNT 30U
#define PATIENCE_WORDS "Please wait for success"

struct schema {
    struct app *app;
    const struct kwm_collector_config *inputs;
    bool is_diff;
    bool is_apply;
    const char *user_argument;             /**< NULL: none was given */
    char user[PASSWORD_LEN_MAX + 1U];      /**< of it */
    char db_escaped[DB_LEN_MAX * 3U + 1U]; /**< as it stands in the URL */
    char db[DB_LEN_MAX + 1U];
    char authorization[KWM_AUTHORIZATION_LEN_MAX + 1U];
    unsigned table_count;
    unsigned missing; /**< statements that would have to run */
    unsigned done;    /**< of which so many did */
    unsigned wrong;   /**< what no statement mends */
    bool is_lost;     /**< the server cannot be asked any further */
    /** Tables that were made. */
    const char *created[KWM_CONFIG_INPUTS_MAX * KWM_COLLECT_SCHEMAS_MAX];
    unsigned created_count;
    const char *name;    /**< of the table in hand */
    struct kwm_text sql; /**< statements for it, each with a line feed */
};

static struct kwm_ddl_table wanted;
static struct kwdb_table found;
static struct kwdb_client client;
static char sql_buffer[KWM_DDL_COLUMNS_MAX * KWM_DDL_ALTER_LEN_MAX];
static char statement[KWM_DDL_LEN_MAX];

/* -- Arguments
 *  ---------------------------------------------------------------------------------- */

static bool parse_arguments(struct schema *schema, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--diff") == 0) {
            schema->is_diff = true;
        } else if (strcmp(argv[i], "--apply") == 0) {
            schema->is_apply = true;
        } else if (strncmp(argv[i], "--user=", 7) == 0) {
            schema->user_argument = argv[i] + 7;
        } else if (strcmp(argv[i], "--user") == 0 && i + 1 < argc) {
            schema->user_argument = argv[++i];
        } else {
            (void)fprintf(stderr, "kwmote schema: unknown argument %s\n", argv[i]);
            return false;
        }
    }
    if (schema->is_apply && schema->user_argument == NULL) {
        (void)fprintf(stderr, "kwmote schema: --apply needs --user USER[:PASSWORD], of one who may "
                              "create tables; the password may also stand in " PASSWORD_ENV
                              ", else it is asked for\n");
        return false;
    }
    if (schema->user_argument != NULL && !schema->is_apply && !schema->is_diff) {
        (void)fprintf(stderr, "kwmote schema: --user goes with --diff or --apply\n");
        return false;
    }
    return true;
}

/** Ask on the terminal, without echo. @return whether something was typed. */
static bool ask_password(const char *user, char *out, size_t cap)
{
    struct termios before;
    const int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (fd < 0 || tcgetattr(fd, &before) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    (void)tcsetattr(fd, TCSAFLUSH, &quiet); /* before asking: who is asked may type at once */
    (void)dprintf(fd, "Password of %s: ", user);
    ssize_t got;
    do {
        got = read(fd, out, cap - 1U);
    } while (got < 0 && errno == EINTR);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)dprintf(fd, "\n");
    (void)close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    while (len > 0 && (out[len - 1U] == '\n' || out[len - 1U] == '\r')) {
        len--;
    }
    out[len] = '\0';
    return len > 0;
}

/** Make the Authorization of --user. */
static bool read_user(struct schema *schema)
{
    char password[PASSWORD_LEN_MAX + 1U] = "";
    const char *reason = "";
    const char *colon = strchr(schema->user_argument, ':');
    const char *from_env = getenv(PASSWORD_ENV);
    const size_t user_len =
        colon != NULL ? (size_t)(colon - schema->user_argument) : strlen(schema->user_argument);
    const char *given = colon != NULL ? colon + 1 : from_env != NULL ? from_env : "";
    if (user_len > PASSWORD_LEN_MAX || strlen(given) > PASSWORD_LEN_MAX) {
        (void)fprintf(stderr, "kwmote schema: --user: at most 128 characters each\n");
        return false;
    }
    memcpy(schema->user, schema->user_argument, user_len);
    schema->user[user_len] = '\0';
    memcpy(password, given, strlen(given) + 1U);
    if (given[0] == '\0' && !ask_password(schema->user, password, sizeof(password))) {
        (void)fprintf(stderr,
                      "kwmote schema: no password of %s: give it as --user %s:PASSWORD, "
                      "in " PASSWORD_ENV ", or on a terminal\n",
                      schema->user, schema->user);
        return false;
    }
    const int len = kwm_authorization(schema->authorization, sizeof(schema->authorization),
                                      schema->user, password, &reason);
    explicit_bzero(password, sizeof(password));
    if (len < 0) {
        (void)fprintf(stderr, "kwmote schema: --user: %s\n", reason);
    }
    return len >= 0;
}

static bool read_database(struct schema *schema)
{
    const struct kwm_endpoint *endpoint = &app_config(schema->app)->output.endpoints[0];
    const struct hal_text db = kwdb_client_find_db(endpoint);
    if (db.s == NULL || db.len >= sizeof(schema->db_escaped) ||
        !kwdb_client_unescape(db, schema->db, sizeof(schema->db))) {
        (void)fprintf(stderr, "kwmote schema: outputs.http.url: db= is not a name of a database\n");
        return false;
    }
    memcpy(schema->db_escaped, db.s, db.len);
    schema->db_escaped[db.len] = '\0';
    return true;
}

/* -- Output
 *  ------------------------------------------------------------------------------------- */

static void print_grant(const struct schema *schema, const char *table)
{
    char line[KWM_DDL_ALTER_LEN_MAX];
    struct kwm_text text;
    kwm_text_init(&text, line, sizeof(line));
    kwm_ddl_append_table_name(&text, schema->db);
    kwm_text_append_char(&text, '.');
    kwm_ddl_append_table_name(&text, table);
    kwm_text_append(&text, " TO ");
    kwm_ddl_append_table_name(&text, app_config(schema->app)->output.user);
    (void)printf("-- GRANT INSERT ON TABLE %s;\n", line);
}

/** Work out the next table. @return false at the end; one that cannot be is told and counted. */
static bool next_table(struct schema *schema, unsigned *cursor)
{
    for (;;) {
        char reason[REASON_LEN_MAX];
        struct kwm_text text;
        kwm_text_init(&text, reason, sizeof(reason));
        const int rc = kwm_ddl_next(schema->inputs, cursor, &wanted, &text);
        if (rc >= 0) {
            schema->name = wanted.name;
            schema->table_count += rc == 1 ? 1U : 0U;
            return rc == 1;
        }
        (void)fprintf(stderr, "%s\n", reason);
        schema->wrong++;
    }
}

static void make_create(void)
{
    struct kwm_text text;
    kwm_text_init(&text, statement, sizeof(statement));
    kwm_ddl_create_table(&text, &wanted);
}

/** What all inputs need, without asking anybody. */
static int print_all(struct schema *schema)
{
    char line[KWM_DDL_ALTER_LEN_MAX];
    struct kwm_text text;
    kwm_text_init(&text, line, sizeof(line));
    kwm_ddl_create_database(&text, schema->db);
    kwm_text_append(&text, "\nUSE ");
    kwm_ddl_append_table_name(&text, schema->db);
    (void)printf("%s;\n", line);
    for (unsigned cursor = 0; next_table(schema, &cursor);) {
        make_create();
        (void)printf("\n%s\n", statement);
    }
    if (app_config(schema->app)->output.user[0] != '\0') {
        (void)printf("\n-- The agent's user needs to insert, if not by its role, then by:\n");
        for (unsigned cursor = 0; next_table(schema, &cursor);) {
            print_grant(schema, schema->name);
        }
    }
    return schema->wrong > 0 ? EXIT_STATUS_CONFIG : EXIT_STATUS_OK;
}

/* -- Statements
 *  --------------------------------------------------------------------------------- */

static void pause_for(uint64_t ms)
{
    const uint64_t until_ms = board_now_ms() + ms;
    while (board_now_ms() < until_ms) {
        board_idle(until_ms);
    }
}

static enum kwdb_answer post(const char *db, const char *sql)
{
    enum kwdb_answer answer = kwdb_client_post(&client, DDL_PATH, db, sql);
    for (unsigned i = 0; i < PATIENCE_COUNT && answer == KWDB_REFUSED &&
                         strstr(client.text, PATIENCE_WORDS) != NULL;
         i++) {
        pause_for(PATIENCE_MS);
        answer = kwdb_client_post(&client, DDL_PATH, db, sql);
    }
    return answer;
}

/** Print a statement that is missing, and run it if asked to. @return whether it ran. */
static bool take_statement(struct schema *schema, const char *db, const char *sql)
{
    schema->missing++;
    (void)printf("%s\n", sql);
    (void)fflush(stdout);
    if (!schema->is_apply || schema->is_lost) {
        return false;
    }
    const enum kwdb_answer answer = post(db, sql);
    if (answer == KWDB_DONE) {
        schema->done++;
        (void)printf("-- done\n");
        return true;
    }
    (void)printf("-- FAILED: %s\n", client.text);
    if (answer == KWDB_REFUSED && strstr(client.text, "privilege") != NULL) {
        (void)printf("-- user %s may not do this: name one who may by --user\n", schema->user);
    }
    schema->is_lost = answer != KWDB_REFUSED;
    return false;
}

static void take_create(struct schema *schema)
{
    make_create();
    if (take_statement(schema, schema->db_escaped, statement)) {
        schema->created[schema->created_count] = schema->name;
        schema->created_count++;
    }
}

static void take_finding(void *ctx, const struct kwdb_finding *finding)
{
    struct schema *schema = ctx;
    if (finding->level == KWDB_MISSING) {
        kwm_text_append(&schema->sql, finding->sql);
        kwm_text_append_char(&schema->sql, '\n');
        return;
    }
    schema->wrong += finding->level == KWDB_WRONG ? 1U : 0U;
    (void)printf("-- table %s: %s\n", schema->name, finding->text);
    if (finding->sql[0] != '\0') {
        (void)printf("--   KWDB can change it, if you have looked at what its rows hold: %s\n",
                     finding->sql);
    }
}

/** The statements are kept until the table was looked at, for its text goes with the next
 *  question. */
static void take_difference(struct schema *schema)
{
    const struct kwdb_finding_sink sink = {.put = take_finding, .ctx = schema};
    kwm_text_init(&schema->sql, sql_buffer, sizeof(sql_buffer));
    kwdb_table_compare(&wanted, &found, &sink);
    char *line = sql_buffer;
    for (char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
        *end = '\0';
        (void)take_statement(schema, schema->db_escaped, line);
        line = end + 1;
    }
}

/* -- Differences
 *  -------------------------------------------------------------------------------- */

static void tell_state(struct schema *schema, enum kwdb_state state, const char *what)
{
    schema->wrong++;
    schema->is_lost = state == KWDB_DENIED || state == KWDB_LOST;
    (void)printf("-- %s: %s\n", what, client.text);
    if (state == KWDB_HIDDEN) {
        (void)printf("-- whoever asks needs some privilege on it: name another user by --user%s\n",
                     schema->user[0] != '\0' ? "" : ", or");
        if (schema->user[0] == '\0') {
            print_grant(schema, schema->name);
        }
    } else if (state == KWDB_DENIED) {
        (void)printf("-- wrong user or password, or the server could not look the user up\n");
    }
}

/** @return whether the database is there, or was made. */
static bool take_database(struct schema *schema)
{
    char line[KWM_DDL_ALTER_LEN_MAX];
    struct kwm_text text;
    const enum kwdb_state state = kwdb_look_database(&client, schema->db);
    if (state == KWDB_THERE) {
        return true;
    }
    if (state != KWDB_ABSENT) {
        tell_state(schema, state, "databases");
        return true; /* the tables may be there all the same */
    }
    kwm_text_init(&text, line, sizeof(line));
    kwm_ddl_create_database(&text, schema->db);
    return take_statement(schema, NULL, line);
}

static void take_table(struct schema *schema)
{
    char what[80];
    const enum kwdb_state state =
        kwdb_look_table(&client, schema->db_escaped, schema->name, &found);
    switch (state) {
    case KWDB_THERE:
        take_difference(schema);
        break;
    case KWDB_ABSENT:
        take_create(schema);
        break;
    default:
        (void)snprintf(what, sizeof(what), "table %s", schema->name);
        tell_state(schema, state, what);
        break;
    }
}

static int compare_all(struct schema *schema)
{
    const struct kwm_config_output *output = &app_config(schema->app)->output;
    const bool has_user = schema->user_argument != NULL;
    const struct kwdb_client_config config = {
        .agent = app_agent(schema->app),
        .endpoints = output->endpoints,
        .endpoint_count = output->endpoint_count,
        .authorization = has_user ? schema->authorization : output->authorization,
        .use_token = !has_user && output->use_token,
    };
    if (!kwdb_client_init(&client, &config)) {
        (void)fprintf(stderr, "kwmote schema: %s\n", client.text);
        return EXIT_STATUS_CONFIG;
    }
    const bool is_there = take_database(schema);
    for (unsigned cursor = 0; !schema->is_lost && next_table(schema, &cursor);) {
        if (is_there) {
            take_table(schema);
        } else if (!schema->is_apply) {
            take_create(schema);
        }
    }
    kwdb_client_close(&client);
    if (schema->created_count > 0 && output->user[0] != '\0' &&
        strcmp(schema->user, output->user) != 0) {
        (void)printf("-- The agent's user may have to be allowed to insert:\n");
        for (unsigned i = 0; i < schema->created_count; i++) {
            print_grant(schema, schema->created[i]);
        }
    }
    if (schema->missing == 0 && schema->wrong == 0) {
        (void)printf("-- nothing is missing: %u tables are as the inputs need them\n",
                     schema->table_count);
    }
    return schema->missing == schema->done && schema->wrong == 0 ? EXIT_STATUS_OK
                                                                 : EXIT_STATUS_REFUSED;
}

int command_schema(const struct app_options *options, int argc, char **argv)
{
    static struct schema schema;
    struct app_options ours = *options;
    ours.is_command = true;
    if (!parse_arguments(&schema, argc, argv)) {
        return EXIT_STATUS_CONFIG;
    }
    schema.app = app_start(&ours);
    if (schema.app == NULL) {
        return EXIT_STATUS_CONFIG;
    }
    if (app_config(schema.app)->output.dialect != KWM_DIALECT_KWDB) {
        (void)printf("-- InfluxDB needs no tables: it makes them from the first row of each\n");
        return EXIT_STATUS_OK;
    }
    schema.inputs = &app_agent(schema.app)->collector.config;
    if (!read_database(&schema)) {
        return EXIT_STATUS_CONFIG;
    }
    if (!schema.is_diff && !schema.is_apply) {
        return print_all(&schema);
    }
    if (schema.user_argument != NULL && !read_user(&schema)) {
        return EXIT_STATUS_CONFIG;
    }
    const int status = compare_all(&schema);
    explicit_bzero(schema.authorization, sizeof(schema.authorization));
    return status;
}
