/* SPDX-License-Identifier: MIT */
/**
 * @file kwdb_model.h
 * @brief KWDB's REST endpoints as the agent sees them, in virtual time, with faults.
 *
 * It answers as the real one does: always 200, the truth in the JSON body, one piece of `desc` for
 * each line, the reply in one write. Rows are kept by (table, tags, stamp): a second row of the
 * same key replaces the first and is counted as such, and one of other content is counted apart.
 * Beside KWDB's endpoints there is InfluxDB's /write, with the same tables and faults.
 *
 * Memory:  the caller's struct (a few MiB; static in tests).   Context: one thread.
 */
#ifndef KWDB_MODEL_H
#define KWDB_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/sim_net.h"

#define KWDB_ROWS_MAX 131072U
#define KWDB_BODY_MAX 1048576U
#define KWDB_REPLY_MAX 65536U
#define KWDB_TABLES_MAX 16U
#define KWDB_LOG_MAX 8192U

enum kwdb_fault {
    KWDB_FINE,
    KWDB_DROP_BEFORE, /**< connection reset, nothing executed */
    KWDB_DROP_AFTER,  /**< executed, connection reset without a reply */
    KWDB_CUT,         /**< executed, the reply ends after fault_arg bytes */
    KWDB_EMPTY,       /**< executed, 200 with an empty body */
    KWDB_HTML,        /**< a captive portal: 200, a page, nothing executed */
    KWDB_HANG,        /**< executed, never answers */
    KWDB_NOT_FOUND,   /**< 404 as during start-up */
    KWDB_TOO_LARGE,   /**< 413 if the request has over fault_arg lines */
    KWDB_UNAVAILABLE, /**< 503 with Retry-After: fault_arg */
    KWDB_AUTH,        /**< the credentials are not taken */
    KWDB_TRANSIENT,   /**< lines of an even index answer `insert failed, reason:` */
    KWDB_DRAINING,    /**< every third line answers a draining node's text */
    KWDB_NO_PQ,       /**< refused lines answer without `pq: `: the reply does not add up */
};

/** A table. What is not listed does not exist. */
struct kwdb_table {
    const char *name;
    bool is_missing; /**< not created yet */
    bool has_no_privilege;
    const char *lacks_column; /**< a line with this key is refused; NULL: none */
    const char *float_column; /**< this one takes numbers only; NULL: none */
    const char *strange;      /**< a line that contains this gets a text of no known class; NULL */
};

struct kwdb_row {
    uint64_t key;     /**< hash of table, tags and stamp; 0: free */
    uint64_t content; /**< hash of the whole line */
    int64_t stamp_ms;
    uint32_t writes;
    uint16_t table;
    uint32_t order; /**< when it was first written, counted over all rows */
};

/** One request as it was served. */
struct kwdb_served {
    uint64_t at_ms;
    uint16_t lines;
    uint16_t stored;
    uint64_t body; /**< hash of the body */
    enum kwdb_fault fault;
};

/** Who looks on. Each may be NULL. */
struct kwdb_observer {
    /** A line was executed: stored, or refused. Texts are valid during the call. */
    void (*on_line)(void *ctx, const char *text, size_t len, bool is_stored);
    /** A batch was answered, or was not to be. */
    void (*on_served)(void *ctx, const struct kwdb_served *served);
    void *ctx;
};

struct kwdb_model {
    /* What the test sets. */
    struct kwdb_table tables[KWDB_TABLES_MAX];
    unsigned table_count;
    const char *authorization; /**< the value it takes */
    enum kwdb_fault fault;
    uint32_t fault_arg;
    uint32_t fault_count; /**< so many requests; UINT32_MAX: until changed */
    uint32_t latency_ms;
    bool is_old;          /**< answers as before 2.2: the last line only */
    bool closes;          /**< ends each connection after its reply */
    uint16_t status;      /**< of /write in place of its own, without running anything; 0: none */
    bool is_413_cut;      /**< KWDB_TOO_LARGE: the connection ends before the body of the reply */
    int64_t date_unix_ms; /**< Date header: this at virtual time 0 */
    struct kwdb_observer observer;

    /* What it counts. */
    uint32_t connections;
    uint32_t requests; /**< to /restapi/telegraf */
    uint32_t health_requests;
    uint32_t lines;
    uint32_t rows;       /**< distinct keys */
    uint32_t rewrites;   /**< writes of a row that was there */
    uint32_t changed;    /**< of them, with other content: data destroyed */
    uint32_t disordered; /**< first writes of a series with a stamp below its newest */
    uint32_t malformed;  /**< requests or lines that KWDB could not read */
    uint32_t unauthorized;
    struct kwdb_served served[KWDB_LOG_MAX];
    uint32_t served_count;
    char seen[65536]; /**< the first lines that were stored, each with a line feed; a string */
    size_t seen_len;

    /* Private. */
    const uint64_t *clock_ms;
    bool is_influx; /* the request at hand is one */
    char request[KWDB_BODY_MAX];
    size_t request_len;
    char reply[KWDB_REPLY_MAX];
    size_t reply_len;
    char desc[KWDB_REPLY_MAX];
    size_t desc_len;
    struct kwdb_row *store; /* store_cap of them, a power of two */
    size_t store_cap;
    struct kwdb_row own_store[KWDB_ROWS_MAX];
};

/** Ready it: no tables, takes "Basic " and any credentials unless authorization is set. */
void kwdb_model_init(struct kwdb_model *model, const uint64_t *clock_ms);

/** Add a table. */
struct kwdb_table *kwdb_model_table(struct kwdb_model *model, const char *name);

/** Keep the rows elsewhere, before the first one. @param rows cap of them, all zero, a power of
 *  two; a row and a series take one each. */
void kwdb_model_use_store(struct kwdb_model *model, struct kwdb_row *rows, size_t cap);

/** The peer to give to a sim_net. */
struct sim_peer kwdb_model_peer(struct kwdb_model *model);

#endif
