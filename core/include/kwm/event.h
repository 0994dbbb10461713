/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/event.h
 * @brief What the core has to tell a person. It tells changes, each once; firmware makes sentences.
 */
#ifndef KWM_EVENT_H
#define KWM_EVENT_H

#include <stdint.h>

enum kwm_event_code {
    KWM_EVENT_DELIVERING,  /**< the first request that worked, or the first after a failure */
    KWM_EVENT_FAILING,     /**< a request failed in a way that is new: err, stage, status, text */
    KWM_EVENT_AUTH,        /**< the server does not take the credentials: text */
    KWM_EVENT_MISTAKE,     /**< the configuration does not fit the server: status, text */
    KWM_EVENT_PAUSED,      /**< a measurement is held back: measurement, reason, text */
    KWM_EVENT_RESUMED,     /**< and goes on: measurement */
    KWM_EVENT_REFUSED,     /**< rows were set aside: measurement, reason, text, line */
    KWM_EVENT_DROPPED,     /**< rows were lost for a reason that is new: measurement, reason */
    KWM_EVENT_SENSOR,      /**< a sensor fails in a way that is new: name, text */
    KWM_EVENT_SENSOR_OK,   /**< and works again: name */
    KWM_EVENT_CONFLICT,    /**< two sensors give one field: name, text */
    KWM_EVENT_REPLACED,    /**< a row holds what the dialect cannot carry: measurement, line */
    KWM_EVENT_PHASES_WORN, /**< the clock stepped back for the tenth time: rows may meet others */
};

struct kwm_event {
    enum kwm_event_code code;
    int err;        /**< enum kwm_err */
    uint8_t stage;  /**< enum kwm_uplink_stage */
    uint8_t reason; /**< enum kwm_fate, or enum kwm_piece with PAUSED */
    uint8_t endpoint;
    uint16_t status;  /**< HTTP */
    uint32_t wait_ms; /**< until the next try */
    uint32_t count;
    const char *name; /**< measurement or sensor, "" if none */
    const char *text; /**< words of the server, net or sensor, "" if none */
    const char *line; /**< the line as it was sent, "" if none; not NUL-terminated */
    uint16_t line_len;
};

struct kwm_event_sink {
    void (*put)(void *ctx, const struct kwm_event *event);
    void *ctx;
};

#endif
