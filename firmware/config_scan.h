/* SPDX-License-Identifier: MIT */
/**
 * @file config_scan.h
 * @brief Where things stand in a JSON text: comments, syntax, and the place of a value.
 *
 * cJSON keeps no places and takes some texts that are not JSON (RFC 8259). So the text is scanned
 * strictly first, which also gives a syntax error its place and reason, and again for each place
 * that is asked for later.
 *
 * Memory:  the caller's text and struct.   Context: any.
 * Bounds:  linear in the text; nesting of KWM_CONFIG_DEPTH_MAX.
 */
#ifndef KWM_CONFIG_SCAN_H
#define KWM_CONFIG_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/** Blank what stands from // to the end of its line, and a byte order mark. Strings stay. */
void kwm_config_scan_blank(char *text, size_t len);

enum kwm_config_scan_event {
    KWM_CONFIG_SCAN_END,   /**< the text is over, and right */
    KWM_CONFIG_SCAN_ERROR, /**< see reason; off is its place */
    KWM_CONFIG_SCAN_KEY,
    KWM_CONFIG_SCAN_SCALAR, /**< string, number, true, false, null */
    KWM_CONFIG_SCAN_OPEN,   /**< [ or { */
    KWM_CONFIG_SCAN_CLOSE,
};

struct kwm_config_scan {
    const char *text;
    size_t len;
    size_t off;         /**< next byte to read */
    size_t start;       /**< first byte of the event */
    const char *reason; /**< after an error */
    uint8_t depth;      /**< open brackets */
    uint8_t expected;   /**< private */
    bool is_object[KWM_CONFIG_DEPTH_MAX];
};

void kwm_config_scan_init(struct kwm_config_scan *scan, const char *text, size_t len);
enum kwm_config_scan_event kwm_config_scan_next(struct kwm_config_scan *scan);

/**
 * Find a value by its position in each container, the outermost first (a text that scans without
 * error).
 * @param is_key the place of the value's key instead, if it has one.
 * @return offset of its first byte.
 */
size_t kwm_config_scan_locate(const char *text, size_t len, const uint16_t *indices, uint8_t depth,
                              bool is_key);

/** Line and column of an offset, from 1, in characters. */
void kwm_config_scan_place(const char *text, size_t off, uint32_t *line, uint32_t *column);

/** @return bytes of the UTF-8 character that begins here (1..4), 0 if there is none (RFC 3629). */
size_t kwm_config_scan_utf8(const char *text, size_t len);

#endif
