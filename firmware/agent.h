/* SPDX-License-Identifier: MIT */
/**
 * @file agent.h
 * @brief The product: sensors, collector, spool, delivery and uplink wired together. The same on
 *        every board.
 *
 * Memory:  the board owns struct agent and everything in agent_memory; sizes are the board's
 * choice.
 * Context: main loop only.
 * Bounds:  one step is bounded work; it returns when it next wants to run:
 *              for (;;) board_idle(agent_step(&agent, board_now_ms()));
 */
#ifndef KWM_AGENT_H
#define KWM_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "hal/clock.h"
#include "hal/flash.h"
#include "hal/net.h"
#include "kwm/collect.h"
#include "kwm/delivery.h"
#include "kwm/series.h"
#include "kwm/spool.h"
#include "kwm/uplink.h"

/** Arrays of the board, by their capacities. */
struct agent_memory {
    struct kwm_series *series;
    uint16_t series_cap;
    struct kwm_measurement *measurements;
    struct kwm_stream *streams; /**< measurement_cap of them */
    uint16_t measurement_cap;
    uint8_t *pool;
    size_t pool_cap;
    struct kwm_local *locals; /**< 2 * local_cap of them */
    uint16_t local_cap;
    /** 2 * KWM_READER_SCRATCH_LEN bytes; NULL only where flash is mapped and takes single bytes. */
    uint8_t *scratch;
    struct kwm_batch_line *lines;
    uint16_t line_slots;     /**< entries of lines */
    uint16_t line_count_max; /**< lines a request may have on this board */
    struct kwm_reason *reasons;
    uint8_t reason_cap;
    struct kwm_row *rows;
    uint8_t row_cap;
    uint8_t *stage;
    size_t stage_cap;
    uint8_t *out; /**< what goes out, head and longest line */
    size_t out_cap;
    char *line;
    uint16_t line_cap;
};

struct agent_services {
    struct hal_net *net;
    struct hal_flash *flash;
    struct hal_wall_source wall;
    /** A time from a reply: raise the board's floor; set a clock that had none. */
    void (*on_date)(void *ctx, int64_t unix_ms, bool is_verified);
    uint32_t (*random)(void *ctx);
    void *ctx;
    uint64_t (*memory_peak)(void *ctx); /**< high-water mark of the TLS heap, bytes */
    /** The sensors made so far are not needed any more: they may be made anew. */
    void (*release_inputs)(void *ctx);
    const char *identity; /**< unique name of this device: host tag unless configured */
    const char *user_agent;
    struct kwm_event_sink events;
    /** The same in two starts if the boot clock went on in between; 0: it never does. */
    uint64_t boot_mark;
    uint32_t hold_ms; /**< how long a row may be in RAM alone where flash is durable */
};

struct agent {
    struct agent_memory memory;
    struct agent_services services;
    const struct kwm_config *config;
    struct kwm_series_table series;
    struct kwm_reader reader;
    struct kwm_reader dropper;
    struct kwm_spool spool;
    struct kwm_uplink uplink;
    struct kwm_delivery delivery;
    struct kwm_collector collector;
    struct kwm_input inputs[KWM_CONFIG_INPUTS_MAX];
    struct kwm_collect_tag tags[HAL_TAGS_MAX];
    struct kwm_collect_tag input_tags[KWM_CONFIG_INPUTS_MAX][HAL_TAGS_MAX];
    char reason[256];    /**< why the last init or reload failed */
    bool is_first_round; /**< the first collection goes on: it is flushed when it is over */
};

/**
 * Make everything from a configuration that was read.
 * @return KWM_OK, or an error with a sentence in agent->reason.
 */
KWM_NODISCARD int agent_init(struct agent *agent, const struct agent_memory *memory,
                             const struct agent_services *services, const struct kwm_config *config,
                             uint64_t now_ms);

/** Take another configuration; what is queued stays. The old one is let go in any case but an
 *  error.
 *  @return KWM_OK, or an error with a sentence in agent->reason: the agent then has no inputs. */
KWM_NODISCARD int agent_reload(struct agent *agent, const struct kwm_config *config,
                               uint64_t now_ms);

/** @return when to call again at the latest (boot ms), if no I/O happens before. */
uint64_t agent_step(struct agent *agent, uint64_t now_ms);

/** Collect no more; send what there is without rests (TERM, --once). */
void agent_finish(struct agent *agent);

/** @return whether nothing is left to be tried: every row has a verdict, or is held for its
 *  measurement. */
bool agent_is_settled(const struct agent *agent);

#endif
