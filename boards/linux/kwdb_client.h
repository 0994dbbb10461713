/* SPDX-License-Identifier: MIT */
/**
 * @file kwdb_client.h
 * @brief One question to a server and its answer, waited for: what `schema` and `check` ask.
 *
 * It speaks through the agent's own net and kwm/uplink.h, so that what works here works there:
 * same TLS, same rules for credentials. The agent's own uplink must be idle, and its connection
 * closed.
 *
 * Memory:  static storage for the struct (256 KiB of it are the reply's body); the parsed reply is
 *          on the heap until the next question.
 * Context: main loop; a question waits for its answer in board_idle(), at most the configured
 *          timeout and once more where a kept connection has ended.
 * Bounds:  a reply of KWDB_BODY_LEN_MAX bytes.
 */
#ifndef KWDB_CLIENT_H
#define KWDB_CLIENT_H

#include "agent.h"

#define KWDB_BODY_LEN_MAX 262144U
#define KWDB_TARGET_LEN_MAX (KWM_URL_TARGET_LEN_MAX + 32U)

struct cJSON;

enum kwdb_answer {
    KWDB_DONE,    /**< the server did it */
    KWDB_REFUSED, /**< it understood and refused; text has its words */
    KWDB_AUTH,    /**< it refused the credentials; text has its words */
    KWDB_FAILED,  /**< there is no answer; text says why */
};

/** What the client is to be. Everything stays valid as long as it is used. */
struct kwdb_client_config {
    const struct agent *agent;
    const struct kwm_endpoint *endpoints;
    uint8_t endpoint_count;
    const char *authorization; /**< NULL: none is sent */
    bool use_token;
};

/** Fields are private, but for uplink's reply and outcome, and text. */
struct kwdb_client {
    struct kwm_uplink uplink;
    char text[256]; /**< see enum kwdb_answer; control characters replaced */
    char target[KWDB_TARGET_LEN_MAX + 1U];
    const char *request;
    size_t request_len;
    size_t request_off;
    struct cJSON *root;
    size_t body_len;
    bool is_over; /**< the body was longer than there is room for */
    char body[KWDB_BODY_LEN_MAX + 1U];
};

/** Ready a client. @return false if the configuration's bounds are broken; text says so. */
bool kwdb_client_init(struct kwdb_client *client, const struct kwdb_client_config *config);

/** Close the connection and let go of the last reply. Allowed at any time after init. */
void kwdb_client_close(struct kwdb_client *client);

/** GET target. KWDB_DONE with status 200 or 204. */
enum kwdb_answer kwdb_client_get(struct kwdb_client *client, const char *target);

/**
 * POST sql to path.
 * @param db value of ?db=, as it stands in the URL (escaped); NULL: none.
 */
enum kwdb_answer kwdb_client_post(struct kwdb_client *client, const char *path, const char *db,
                                  const char *sql);

/** Rows of the last reply to a query. */
unsigned kwdb_client_row_count(const struct kwdb_client *client);

/** @return a cell of it as text, "" if there is none. Valid until the next question. */
const char *kwdb_client_cell(const struct kwdb_client *client, unsigned row, unsigned column);

/** The db parameter of an endpoint's target. @return its text as it stands there (escaped), not
 *  NUL-terminated, with its length; s NULL if there is none. */
struct hal_text kwdb_client_find_db(const struct kwm_endpoint *endpoint);

/**
 * Undo the URL's escapes.
 * @return false if it does not fit, or has what must not be in SQL that the server splits at `;`
 *         and line feeds.
 */
bool kwdb_client_unescape(struct hal_text text, char *out, size_t cap);

#endif
