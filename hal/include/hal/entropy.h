/* SPDX-License-Identifier: MIT */
/**
 * @file hal/entropy.h
 * @brief Contract: random bytes fit for keys. A board without a source fails closed.
 */
#ifndef HAL_ENTROPY_H
#define HAL_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"

struct hal_entropy;

struct hal_entropy_ops {
    /** Fill all of out. @return KWM_OK, or KWM_ERR_IO when no (or not enough) entropy is to be
     *  had. */
    int (*fill)(struct hal_entropy *entropy, uint8_t *out, size_t len);
};

struct hal_entropy {
    const struct hal_entropy_ops *ops;
};

KWM_NODISCARD static inline int hal_entropy_fill(struct hal_entropy *entropy, uint8_t *out,
                                                 size_t len)
{
    return entropy->ops->fill(entropy, out, len);
}

#endif
