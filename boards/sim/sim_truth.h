/* SPDX-License-Identifier: MIT */
/**
 * @file sim_truth.h
 * @brief What really happened: every sample that a simulated sensor gave, and what the server has
 *        of it.
 *
 * A sample is known by its number, which is one of its fields. Everything else of it follows from
 * the number, so that a row can be compared with the truth down to the last digit; the time that it
 * must bear follows from when it was read and from what the device's clock said then.
 *
 * Memory:  from the heap, once a process.   Context: one thread.
 * Bounds:  so many samples as are said, a clock set two times a minute; more panics.
 */
#ifndef SIM_TRUTH_H
#define SIM_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/clock.h"
#include "hal/sensor.h"

#define SIM_TRUTH_SENSORS 3U
#define SIM_TRUTH_POINTS_MAX 3U /* of one reading */
#define SIM_TRUTH_TEXT_LEN_MAX 400U

/** How a sensor measures. */
enum sim_manner {
    SIM_MANNER_FINE,
    SIM_MANNER_STUCK, /**< always the same */
    SIM_MANNER_NOISY, /**< anything */
};

struct sim_sample {
    uint64_t begun_ms;            /**< when its reading began (boot clock) */
    uint64_t put_ms;              /**< when it was given to the agent */
    int64_t stamp_ms;             /**< that the server has; 0: it does not have the sample */
    uint32_t content;             /**< hash of its line, as it was first heard; 0: never */
    uint32_t batch;               /**< in which it was refused last */
    uint32_t sector_seq, end_off; /**< where the log has its record */
    uint16_t boot;
    uint8_t sensor;
    uint8_t unit;
    uint8_t manner;     /**< enum sim_manner */
    bool is_volatile;   /**< it need not have survived a power cut */
    bool was_in_turn;   /**< it was heard, and not by the way as in a probe */
    bool is_late;       /**< it waits for others of its instant, and is appended later */
    bool has_extra_tag; /**< the configuration gave it one more tag */
    uint8_t name;       /**< sensor whose measurement it goes to */
};

struct sim_clock {
    uint64_t from_ms;
    int64_t offset_ms; /**< of the time of day to the boot clock */
    uint16_t boot;
};

struct sim_truth {
    uint64_t seed;
    struct sim_sample *samples;
    uint32_t cap;
    uint32_t count;
    uint32_t durable;   /**< so many of them were durable at the last power cut */
    uint32_t lost;      /**< how many the agent never heard of again, having lost its RAM */
    uint32_t volatiles; /**< how many need not have survived a power cut */
    uint16_t boot;
    uint32_t stored;   /**< of them, how many the server has */
    uint32_t poisoned; /**< of them, how many hold what the server may refuse for good */
    uint32_t batch;    /**< a number for the batch in hand */
    uint32_t refused;  /**< samples that were refused in it, each once */
    uint32_t newest[SIM_TRUTH_SENSORS]; /**< number of the newest sample heard in its turn, + 1 */
    bool is_out_of_turn;                /**< what is heard now need not be in order (a probe) */
    bool was_merged[SIM_TRUTH_SENSORS]; /**< rows of it may have waited for others */
    uint32_t late_ms_max;               /**< between an instant and the reading */
    struct sim_clock *clocks;
    uint32_t clock_count, clock_cap;
    uint64_t hash;                          /**< of every line that was heard */
    char violation[SIM_TRUTH_TEXT_LEN_MAX]; /**< the first one; "" if there was none */
};

/** Schema of a sensor: 0, 1 or 2. */
const struct hal_schema *sim_truth_schema(unsigned sensor);

/** Ready it for a run. @param cap samples it is to hold; memory is kept from run to run. */
void sim_truth_begin(struct sim_truth *truth, uint64_t seed, uint32_t cap);

/** Note a violation unless there is one already. */
void sim_truth_violate(struct sim_truth *truth, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The device's clock may have changed. */
void sim_truth_clock(struct sim_truth *truth, uint64_t now_ms, struct hal_wall wall);

/** The power fails: what the log had programmed up to there survives.
 *  @param sector_seq, off the sector that was written, and how much of it. */
void sim_truth_cut(struct sim_truth *truth, uint32_t sector_seq, uint32_t off);

/** The device is up again, and says that it has collected so many in all. */
void sim_truth_reboot(struct sim_truth *truth, uint64_t collected);

/** How many samples had to survive, and are not on the server. */
uint64_t sim_truth_missing(const struct sim_truth *truth);

/**
 * Give a sensor's next sample to the agent.
 * @param made what is known of it beforehand: times, sensor, unit, manner, name and marks.
 * @return the sample: where its record is may be filled in.
 */
struct sim_sample *sim_truth_put(struct sim_truth *truth, const struct sim_sample *made,
                                 struct hal_sink *sink);

/** Whether a sample that would be put now has the same tags as the one before it. */
bool sim_truth_is_twin(const struct sim_truth *truth);

/** The server executed a line: is it one of ours, as it was, in its turn? */
void sim_truth_hear(struct sim_truth *truth, const char *text, size_t len, bool is_stored);

#endif
