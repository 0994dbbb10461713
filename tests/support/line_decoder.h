/* SPDX-License-Identifier: MIT */
/**
 * @file line_decoder.h
 * @brief Reads a line as its server does, by rules that owe nothing to the encoder.
 *
 * kwdb:   KWDB splits at spaces, commas and `=` without a look at quotes, drops what is behind a
 *         second `=` and behind the 13th character of the stamp, pastes the pieces into an INSERT,
 *         and lets SQL read that.
 * influx: InfluxDB's line protocol. In names a backslash escapes the separator behind it; a field's
 *         key and a string are read in pairs.
 */
#ifndef LINE_DECODER_H
#define LINE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_CELLS_MAX 96U
#define LINE_TEXT_MAX 65536U

enum line_cell_kind {
    LINE_CELL_NUMBER, /**< [-]digits[.digits] */
    LINE_CELL_INT,    /**< the same with an i, which text leaves out */
    LINE_CELL_WORD,   /**< unquoted text, such as true */
    LINE_CELL_STRING, /**< quoted text, unescaped */
};

struct line_text {
    const char *s; /* in struct line_decoded's own memory */
    size_t len;
};

struct line_cell {
    struct line_text name;
    struct line_text text;
    enum line_cell_kind kind;
};

struct line_decoded {
    struct line_text measurement;
    struct line_cell cells[LINE_CELLS_MAX]; /**< tags, then fields */
    unsigned tag_count;
    unsigned cell_count;
    unsigned part_count; /**< kwdb: pieces between spaces; all but three are passed over */
    int64_t stamp;
    size_t text_len;
    char text[LINE_TEXT_MAX];
};

/** @return NULL, or why the server would refuse the line whatever its tables are. */
const char *line_decode_kwdb(struct line_decoded *out, const char *line, size_t len);
const char *line_decode_influx(struct line_decoded *out, const char *line, size_t len);

/** The words that KWDB takes as a column in double quotes only; NULL is behind the last one. */
extern const char *const line_reserved_words[];

bool line_is_utf8(const char *s, size_t len);

#endif
