/* SPDX-License-Identifier: MIT */
/**
 * @file ddl.h
 * @brief The tables that the configured inputs need in KWDB, and the SQL that makes them.
 *
 * One table for each measurement; what several inputs say of one measurement is put together.
 *
 * - The time column is called k_timestamp (the endpoint inserts under that name and no other) and
 *   has milliseconds: with another precision KWDB would take the same 13 digits for a time in 1970.
 * - INT8 for whole numbers, FLOAT8 for the others, BOOL, VARCHAR for texts, and for tags that may
 *   change, since KWDB keeps the first value of a tag for ever.
 * - Primary tags are those that tell the table's rows apart, for KWDB replaces a row by another one
 *   of equal primary tags and time: host, what the sensors call primary, and configured tags that
 *   are not the same in all inputs of the table. Each of them must be in every row, and KWDB takes
 *   four at most.
 *
 * Memory:  the caller owns the table, which points into the inputs' schemas and the configuration.
 * Context: any.   Bounds: KWM_DDL_COLUMNS_MAX columns and tags of a table; time is quadratic in
 *          them.
 */
#ifndef KWM_DDL_H
#define KWM_DDL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kwm/collect.h"
#include "kwm/text.h"

#define KWM_DDL_COLUMNS_MAX 192U
#define KWM_DDL_PRIMARY_MAX 4U
#define KWM_DDL_PRIMARY_WIDTH_MAX 128U
#define KWM_DDL_LEN_MAX 20480U /* of a CREATE TABLE: longest names, and KWM_DDL_COLUMNS_MAX */
#define KWM_DDL_ALTER_LEN_MAX 256U

enum kwm_ddl_type { KWM_DDL_INT8, KWM_DDL_FLOAT8, KWM_DDL_BOOL, KWM_DDL_VARCHAR };

/** A column or a tag, but for the time. */
struct kwm_ddl_column {
    struct hal_text name;
    uint8_t type;       /**< enum kwm_ddl_type; VARCHAR for tags */
    uint16_t width;     /**< VARCHAR: bytes */
    uint16_t value_len; /**< tags: bytes of the longest value that the configuration gives; 0: the
                             values are the sensor's */
    bool is_tag;
    bool is_primary;   /**< rows are told apart by it */
    bool is_always;    /**< tags: every row has it */
    const char *input; /**< the first input that has it, for messages */

    /* Private. */
    struct hal_text value;
    bool is_sensors;
    uint16_t source_count;
};

struct kwm_ddl_table {
    const char *name;
    struct kwm_ddl_column columns[KWM_DDL_COLUMNS_MAX];
    uint16_t column_count;
};

/**
 * Work out the next table.
 * @param config     the agent's collector has it: inputs, global tags, host (there must be one).
 * @param[in,out] cursor 0 to begin.
 * @param[out] table valid with 1.
 * @param reason     with KWM_ERR_INVAL: the input, what is wrong with its table, what to do.
 * @return 1, 0 at the end, or KWM_ERR_INVAL if KWDB could not keep such a table; the next call
 *         goes on with the next one.
 */
KWM_NODISCARD int kwm_ddl_next(const struct kwm_collector_config *config, unsigned *cursor,
                               struct kwm_ddl_table *table, struct kwm_text *reason);

/** Add `CREATE TS DATABASE name;`. The name is quoted unless it is a plain one. */
void kwm_ddl_create_database(struct kwm_text *sql, const char *name);

/** Add `CREATE TABLE ...;` in several lines, which may also be joined without anything between
 *  them (KWDB's endpoint does that). */
void kwm_ddl_create_table(struct kwm_text *sql, const struct kwm_ddl_table *table);

/** Add `ALTER TABLE t ADD COLUMN c type;` or `... ADD TAG c type;`. */
void kwm_ddl_add_column(struct kwm_text *sql, const struct kwm_ddl_table *table,
                        const struct kwm_ddl_column *column);

/** Add `ALTER TABLE t ALTER COLUMN c TYPE type;` or `... ALTER TAG ...`. */
void kwm_ddl_alter_type(struct kwm_text *sql, const struct kwm_ddl_table *table,
                        const struct kwm_ddl_column *column);

/** Add a type: `VARCHAR(64)`. */
void kwm_ddl_append_type(struct kwm_text *sql, const struct kwm_ddl_column *column);

/** Add a name, in double quotes if it is a reserved word or not a plain name. */
void kwm_ddl_append_table_name(struct kwm_text *sql, const char *name);
void kwm_ddl_append_column_name(struct kwm_text *sql, struct hal_text name);

#endif
