/* SPDX-License-Identifier: MIT */
/**
 * @file kwdb_table.h
 * @brief A table as KWDB has it, read from its CREATE TABLE, and what it lacks for our rows.
 *
 * Memory:  the caller owns struct kwdb_table (static storage: 100 KiB), which points into the text
 *          that it was read from.
 * Context: any.   Bounds: KWDB_COLUMNS_MAX columns; time is the product of both tables' columns.
 */
#ifndef KWDB_TABLE_H
#define KWDB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ddl.h"
#include "hal/err.h"
#include "hal/value.h"

#define KWDB_COLUMNS_MAX 2048U
#define KWDB_FINDING_LEN_MAX 512U

struct kwdb_column {
    struct hal_text name; /**< as it stands in the text, without quotes */
    struct hal_text type; /**< "VARCHAR"; in whatever case the server writes it */
    uint32_t width;       /**< in brackets behind the type; 0 if there is none */
    bool is_not_null;
    bool has_default;
    bool is_tag;
    bool is_primary;
};

struct kwdb_table {
    struct kwdb_column columns[KWDB_COLUMNS_MAX];
    uint16_t column_count;
    bool is_time_series; /**< it has tags */
};

/**
 * Read the text that `show create table` answers.
 * @param sql NUL-terminated, any white space; stays put while table is used.
 * @return KWM_OK, KWM_ERR_INVAL if this is no CREATE TABLE, KWM_ERR_NOSPC with more columns than
 *         fit.
 */
KWM_NODISCARD int kwdb_table_parse(struct kwdb_table *table, const char *sql);

enum kwdb_level {
    KWDB_MISSING, /**< a column or tag is not there; sql adds it */
    KWDB_WRONG,   /**< rows are refused, or destroy each other, or are kept wrongly */
    KWDB_RISK,    /**< some rows are refused, or lose something */
};

struct kwdb_finding {
    enum kwdb_level level;
    const char *text; /**< what, why, and what to do but for sql */
    const char *sql;  /**< a statement that mends it; "" if there is none. With KWDB_WRONG and
                           KWDB_RISK it changes a column that has rows in it: not to be done
                           without a person's decision */
};

/** Takes findings; their texts are valid during the call. */
struct kwdb_finding_sink {
    void (*put)(void *ctx, const struct kwdb_finding *finding);
    void *ctx;
};

/** Say what a table lacks for the rows that wanted describes. */
void kwdb_table_compare(const struct kwm_ddl_table *wanted, const struct kwdb_table *table,
                        const struct kwdb_finding_sink *sink);

#endif
