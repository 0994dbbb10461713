/* SPDX-License-Identifier: MIT */
/**
 * @file kwdb_look.h
 * @brief Looks at a server's databases and tables through kwdb_client.
 *
 * Memory:  one table at a time, which lives in the client until its next question.
 * Context: as kwdb_client.h.   Bounds: one question a URL for each call.
 */
#ifndef KWDB_LOOK_H
#define KWDB_LOOK_H

#include "kwdb_client.h"
#include "kwdb_table.h"

enum kwdb_state {
    KWDB_THERE,
    KWDB_ABSENT,
    KWDB_HIDDEN,  /**< the user has no privilege on it; client->text has the server's words */
    KWDB_UNKNOWN, /**< there is no telling; client->text says why */
    KWDB_DENIED,  /**< the credentials are refused; the same */
    KWDB_LOST,    /**< no answer; the same */
};

/**
 * Ask for the databases, and look for one.
 * @param name as KWDB has it, unescaped.
 */
enum kwdb_state kwdb_look_database(struct kwdb_client *client, const char *name);

/**
 * Ask for a table.
 * @param db         as kwdb_client_post().
 * @param[out] table with KWDB_THERE; valid until the client's next question.
 */
enum kwdb_state kwdb_look_table(struct kwdb_client *client, const char *db, const char *name,
                                struct kwdb_table *table);

#endif
