/* SPDX-License-Identifier: MIT */
#include "linux/linux_entropy.h"

#include <sys/random.h>
#include <sys/types.h>

#include "hal/assert.h"

/** Up to so many bytes the kernel gives all or nothing, signals or not. */
#define CHUNK_LEN 256U

static int fill(struct hal_entropy *entropy, uint8_t *out, size_t len)
{
    KWM_ASSERT(entropy != NULL);
    size_t done = 0;
    while (done < len) {
        const size_t left = len - done;
        const size_t chunk = left < CHUNK_LEN ? left : CHUNK_LEN;
        if (getrandom(out + done, chunk, GRND_NONBLOCK) != (ssize_t)chunk) {
            return KWM_ERR_IO;
        }
        done += chunk;
    }
    return KWM_OK;
}

void linux_entropy_init(struct linux_entropy *self)
{
    static const struct hal_entropy_ops ops = {.fill = fill};
    self->entropy.ops = &ops;
}
