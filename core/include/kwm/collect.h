/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/collect.h
 * @brief Asks the sensors at their times and puts what they say into the spool: one row for each
 *        (measurement, tags, instant).
 *
 * Where two inputs may speak of one measurement, their points of one instant are merged before they
 * are appended; a second value for a field is an error that names both inputs, and the first one
 * stays. A row is closed when all inputs of its instant have answered, or at their deadline.
 *
 * Memory:  inputs and rows are the caller's.   Context: main loop only.
 * Bounds:  a step begins or polls each input at most once.
 */
#ifndef KWM_COLLECT_H
#define KWM_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/sensor.h"
#include "kwm/delivery.h"
#include "kwm/schedule.h"

#define KWM_COLLECT_POLL_MS \
    10U /* how often an unfinished reading is asked, unless something wakes us */
#define KWM_COLLECT_SCHEMAS_MAX 8U
#define KWM_ROW_TEXT_LEN_MAX 512U
#define KWM_COLLECT_MEMOS 32U
#define KWM_COLLECT_MEMO_LEN_MAX 76U

struct kwm_collect_tag {
    struct hal_text key;
    struct hal_text value;
};

struct kwm_input_config {
    struct hal_sensor *sensor;
    const char *name; /**< for messages: "cpu", or its alias */
    struct kwm_schedule_config schedule;
    uint32_t deadline_ms;               /**< for one reading */
    const struct kwm_collect_tag *tags; /**< constant ones of this input */
    uint8_t tag_count;
    const char *name_override;               /**< measurement; "" for the schema's */
    uint64_t masks[KWM_COLLECT_SCHEMAS_MAX]; /**< fields of each schema that are wanted */
};

struct kwm_input {
    struct kwm_input_config config;
    struct kwm_schedule schedule;
    bool is_reading;
    uint8_t merges; /**< bit for each schema: another input may speak of its measurement */
    uint64_t tick;  /**< of the reading that goes on */
    uint64_t deadline_ms;
    uint32_t gathers; /**< readings that ended well */
    uint32_t errors;
    uint32_t timeouts;
    uint32_t missed; /**< ticks left out */
    uint32_t told;   /**< hash of the error that was told last; 0: none */
};

/** A row that waits for other inputs of its instant. */
struct kwm_row {
    bool is_used;
    uint64_t tick;
    uint16_t identity_len;
    uint16_t text_len;
    uint8_t field_count;
    uint8_t identity[KWM_DECL_LEN_MAX / 2U];
    const struct hal_field_def *fields[HAL_FIELDS_MAX];
    struct hal_value values[HAL_FIELDS_MAX];
    uint8_t inputs[HAL_FIELDS_MAX]; /**< who gave it */
    char text[KWM_ROW_TEXT_LEN_MAX];
};

/** Which series a point was of: one with the same key is of it, too. */
struct kwm_collect_memo {
    uint32_t generation; /**< of the slot */
    uint16_t slot;
    uint8_t key_len;                    /**< 0: unused */
    char key[KWM_COLLECT_MEMO_LEN_MAX]; /**< input, schema, and its tags' values */
};

struct kwm_collector_config {
    struct kwm_spool *spool;
    struct kwm_delivery *delivery;
    struct kwm_input *inputs;
    uint8_t input_count;
    struct kwm_row *rows;
    uint8_t row_cap;
    const struct kwm_collect_tag *tags; /**< global ones */
    uint8_t tag_count;
    struct hal_text host; /**< s == NULL: no host tag */
    struct kwm_event_sink events;
    uint32_t (*random)(void *ctx);
    void *ctx;
};

struct kwm_collector {
    struct hal_sink sink; /* first member */
    struct kwm_collector_config config;
    unsigned current; /**< input whose points come */
    bool is_held;     /**< no reading begins by the clock */
    bool is_priming;  /**< points only set the base for rates, and are not kept */
    uint64_t points;
    uint32_t conflicts;
    uint32_t told_conflict;
    uint8_t decl[KWM_DECL_LEN_MAX];
    struct kwm_collect_memo memos[KWM_COLLECT_MEMOS];
    uint8_t memo_at;   /**< behind the one found last: points come in the same order again */
    uint8_t memo_next; /**< the next one to be written */
};

/**
 * Set the first ticks. The inputs' config is filled in by the caller.
 * @param is_first_now collect at once, then at the times.
 */
void kwm_collector_init(struct kwm_collector *collector, const struct kwm_collector_config *config,
                        uint64_t now_ms, bool is_first_now);

/** @return boot time (ms) of the oldest sample that may still be appended; at most now_ms. */
uint64_t kwm_collector_oldest_ms(const struct kwm_collector *collector, uint64_t now_ms);

/** The wall clock was set or stepped: align the ticks anew. */
void kwm_collector_realign(struct kwm_collector *collector, uint64_t now_ms);

/** @return when to call again at the latest (boot ms). */
uint64_t kwm_collector_step(struct kwm_collector *collector, uint64_t now_ms);

/** Begin a reading of every input now, whatever its schedule says (--once, --test). */
void kwm_collector_gather(struct kwm_collector *collector, uint64_t now_ms);

/** @return whether a reading goes on. */
bool kwm_collector_is_busy(const struct kwm_collector *collector);

/** Give up what goes on (reload, end). */
void kwm_collector_cancel(struct kwm_collector *collector);

/** @return what a schema's measurement is called under this input's name_override. */
const char *kwm_input_measurement(const struct kwm_input *input, unsigned schema);

#endif
