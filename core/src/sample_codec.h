/* SPDX-License-Identifier: MIT */
/**
 * @file sample_codec.h
 * @brief Values of a sample as bytes in the log: private to the spool. Layout in docs/SPEC.md.
 */
#ifndef KWM_SAMPLE_CODEC_H
#define KWM_SAMPLE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/value.h"
#include "kwm/decl.h"

/** What an encoding will take. */
struct sample_size {
    size_t len;
    unsigned present;
    bool is_partial;
};

/** Measure. Doubles that are not finite, and kinds other than declared, count as absent. */
struct sample_size sample_measure(const struct kwm_decl *decl, const struct hal_value *values);

/** Write what was measured. @return the byte behind. */
uint8_t *sample_write(uint8_t *out, const struct kwm_decl *decl, const struct hal_value *values,
                      bool is_partial);

/** Read it back. @return KWM_OK, or KWM_ERR_CORRUPT if the bytes do not come out even. */
int sample_read(const struct kwm_decl *decl, const uint8_t *in, size_t len, bool is_partial,
                struct hal_value *values);

#endif
