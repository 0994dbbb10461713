/* SPDX-License-Identifier: MIT */
/**
 * @file linux/dir_reader.h
 * @brief The names in a folder, read with the system call itself: opendir() takes 32 KiB of heap.
 *
 * Memory:  the caller's.   Context: main loop.   Bounds: the folder's.
 */
#ifndef LINUX_DIR_READER_H
#define LINUX_DIR_READER_H

#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/value.h"
#include "linux/proc_reader.h"

struct linux_dir {
    int fd;
    size_t at;
    size_t len;
    uint64_t entries[256]; /**< as the kernel gives them */
};

/** Begin to read an open folder from its beginning. The descriptor stays the caller's. */
void linux_dir_begin(struct linux_dir *dir, int fd);

/** Open a folder: root, "/", a, b, c. @return KWM_OK, or KWM_ERR_NOENT or KWM_ERR_IO; errno says
 *  why. */
KWM_NODISCARD int linux_dir_open(struct linux_dir *dir, enum linux_root root, const char *a,
                                 struct hal_text b, const char *c);

void linux_dir_close(struct linux_dir *dir);

/** @param[out] name NUL-terminated, valid until the next call; "." and ".." are passed over.
 *  @return 1, 0 at the end, or KWM_ERR_IO (errno says why). */
KWM_NODISCARD int linux_dir_next(struct linux_dir *dir, struct hal_text *name);

#endif
