/* SPDX-License-Identifier: MIT */
#include "kwdb_look.h"

#include <stdio.h>
#include <string.h>

#define QUERY_PATH "/restapi/query"

/** A question may be put to each URL in turn: it changes nothing. */
static enum kwdb_state ask(struct kwdb_client *client, const char *db, const char *sql)
{
    enum kwdb_answer answer = KWDB_FAILED;
    for (uint8_t i = 0; i < client->uplink.config.endpoint_count && answer == KWDB_FAILED; i++) {
        answer = kwdb_client_post(client, QUERY_PATH, db, sql);
    }
    switch (answer) {
    case KWDB_DONE:
        return KWDB_THERE;
    case KWDB_AUTH:
        return KWDB_DENIED;
    case KWDB_FAILED:
        return KWDB_LOST;
    default:
        break;
    }
    if (strstr(client->text, "does not exist") != NULL) {
        return KWDB_ABSENT;
    }
    return strstr(client->text, "privilege") != NULL ? KWDB_HIDDEN : KWDB_UNKNOWN;
}

enum kwdb_state kwdb_look_database(struct kwdb_client *client, const char *name)
{
    const enum kwdb_state state = ask(client, NULL, "SHOW DATABASES");
    if (state != KWDB_THERE) {
        return state == KWDB_ABSENT ? KWDB_UNKNOWN : state;
    }
    const unsigned count = kwdb_client_row_count(client);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(kwdb_client_cell(client, i, 0), name) == 0) {
            return KWDB_THERE;
        }
    }
    return KWDB_ABSENT;
}

enum kwdb_state kwdb_look_table(struct kwdb_client *client, const char *db, const char *name,
                                struct kwdb_table *table)
{
    char sql[KWM_DDL_ALTER_LEN_MAX];
    struct kwm_text text;
    kwm_text_init(&text, sql, sizeof(sql));
    kwm_text_append(&text, "SHOW CREATE TABLE ");
    kwm_ddl_append_table_name(&text, name);
    const enum kwdb_state state = ask(client, db, sql);
    if (state != KWDB_THERE) {
        return state;
    }
    const int err = kwdb_table_parse(table, kwdb_client_cell(client, 0, 1));
    if (err != KWM_OK) {
        (void)snprintf(client->text, sizeof(client->text), "%s",
                       err == KWM_ERR_NOSPC ? "it has more columns than can be looked at"
                                            : "the server's CREATE TABLE cannot be read");
        return KWDB_UNKNOWN;
    }
    return KWDB_THERE;
}
