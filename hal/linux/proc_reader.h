/* SPDX-License-Identifier: MIT */
/**
 * @file linux/proc_reader.h
 * @brief Files of /proc and /sys, below roots that can be moved, line by line or whole.
 *
 * A file that is read each time stays open and is read anew from its beginning with pread(): the
 * kernel makes its content afresh for that. Roots are moved for containers that see the host's
 * files elsewhere, and for tests on recorded trees.
 *
 * Memory:  one static buffer for lines; struct linux_file is the caller's.
 * Context: main loop only.
 * Bounds:  LINUX_LINE_LEN_MAX bytes of a line are seen, the rest of it is passed over; paths of
 *          LINUX_PATH_LEN_MAX bytes.
 */
#ifndef LINUX_PROC_READER_H
#define LINUX_PROC_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/value.h"
#include "linux/proc_parse.h"

#define LINUX_LINE_LEN_MAX 8192U
#define LINUX_PATH_LEN_MAX 511U

enum linux_root {
    LINUX_ROOT_PROC,
    LINUX_ROOT_SYS,
    LINUX_ROOT_DEV,
    LINUX_ROOT_VAR,
    LINUX_ROOT_RUN,
    LINUX_ROOT_COUNT,
};

/** Where the files are. The texts stay the caller's and stay valid. */
struct linux_roots {
    const char *paths[LINUX_ROOT_COUNT]; /**< NULL: the usual place, such as "/proc" */
    const char *mount_prefix; /**< where the host's mount points are seen; NULL: where they are */
};

/** Move the roots. Files that are open are opened anew. */
void linux_roots_set(const struct linux_roots *roots);

/** @return "/proc" and the like, without a slash at the end; for messages too. */
const char *linux_root_path(enum linux_root root);

/** @return "" if mount points are where they are. */
const char *linux_mount_prefix(void);

/** Put together root, "/" and three parts ("" for none), NUL-terminated. @return its length, or
 *  KWM_ERR_NOSPC. */
KWM_NODISCARD int linux_path(char *out, size_t cap, enum linux_root root, const char *a,
                             struct hal_text b, const char *c);

/** A file that stays open. Begin with LINUX_FILE(root, name). */
struct linux_file {
    const char *name; /**< below its root */
    enum linux_root root;
    int fd;
    unsigned generation; /**< of the roots at which it was opened; 0: not open */
};

#define LINUX_FILE(root_, name_)                                     \
    {                                                                \
        .name = (name_), .root = (root_), .fd = -1, .generation = 0, \
    }

/** Open it, unless it is. @return the descriptor, or KWM_ERR_NOENT or KWM_ERR_IO; errno says
 *  why. */
KWM_NODISCARD int linux_file_open(struct linux_file *file);

/**
 * Begin to read its lines. One file at a time: this ends the reading of another.
 * @return KWM_OK, or KWM_ERR_NOENT or KWM_ERR_IO; errno says why.
 */
KWM_NODISCARD int linux_lines_begin(struct linux_file *file);

/**
 * @param[out] line without its end; valid until the next call. Of a longer one the first
 *             LINUX_LINE_LEN_MAX bytes.
 * @return 1, 0 at the end, or KWM_ERR_IO (errno says why; the file is opened anew next time).
 */
KWM_NODISCARD int linux_lines_next(struct linux_cursor *line);

/**
 * Read a small file at once: root, "/", a, b, c. A blank or line end at its end is taken off.
 * @param[out] out NUL-terminated; of a longer file the first cap - 1 bytes.
 * @return bytes, or KWM_ERR_NOENT or KWM_ERR_IO; errno says why.
 */
KWM_NODISCARD int linux_read_small(enum linux_root root, const char *a, struct hal_text b,
                                   const char *c, char *out, size_t cap);

/** The same of an open descriptor, from its beginning. */
KWM_NODISCARD int linux_read_fd(int fd, char *out, size_t cap);

/** The last name of where a link leads. @return its length; 0 for no link or no room. No NUL. */
size_t linux_link_name(const char *path, char *out, size_t cap);

/** @return KWM_ERR_NOENT for an errno that says that something is not there, else KWM_ERR_IO. */
int linux_errno_code(int code);

#endif
