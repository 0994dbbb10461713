/* SPDX-License-Identifier: MIT */
#include "linux/proc_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "hal/assert.h"

static const char *const usual[LINUX_ROOT_COUNT] = {
    [LINUX_ROOT_PROC] = "/proc", [LINUX_ROOT_SYS] = "/sys", [LINUX_ROOT_DEV] = "/dev",
    [LINUX_ROOT_VAR] = "/var",   [LINUX_ROOT_RUN] = "/run",
};

static struct linux_roots roots;
static unsigned generation = 1;

/** What lines are made of: buffer[begin..end) is read and not yet given out. */
static struct {
    struct linux_file *file;
    off_t off;
    size_t begin;
    size_t end;
    bool is_over;     /**< the file has no more */
    bool is_skipping; /**< within the rest of a line that was too long */
    char buffer[LINUX_LINE_LEN_MAX];
} lines;

void linux_roots_set(const struct linux_roots *moved)
{
    roots = *moved;
    generation++;
}

const char *linux_root_path(enum linux_root root)
{
    return roots.paths[root] != NULL ? roots.paths[root] : usual[root];
}

const char *linux_mount_prefix(void)
{
    return roots.mount_prefix != NULL ? roots.mount_prefix : "";
}

int linux_path(char *out, size_t cap, enum linux_root root, const char *a, struct hal_text b,
               const char *c)
{
    const char *const parts[] = {linux_root_path(root), "/", a, b.s, c};
    const size_t lens[] = {strlen(parts[0]), 1, strlen(a), b.len, strlen(c)};
    size_t len = 0;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        if (lens[i] >= cap - len) {
            errno = ENAMETOOLONG;
            return KWM_ERR_NOSPC;
        }
        if (lens[i] > 0) {
            memcpy(out + len, parts[i], lens[i]);
        }
        len += lens[i];
    }
    out[len] = '\0';
    return (int)len;
}

int linux_errno_code(int code)
{
    const bool is_missing = code == ENOENT || code == ENODEV || code == ENXIO || code == ENOTDIR;
    return is_missing ? KWM_ERR_NOENT : KWM_ERR_IO;
}

static void close_file(struct linux_file *file)
{
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    file->fd = -1;
    file->generation = 0;
}

int linux_file_open(struct linux_file *file)
{
    if (file->generation == generation) {
        return file->fd;
    }
    close_file(file);
    char path[LINUX_PATH_LEN_MAX + 1];
    const struct hal_text none = {.len = 0};
    if (linux_path(path, sizeof(path), file->root, file->name, none, "") < 0) {
        return KWM_ERR_IO;
    }
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file->fd < 0) {
        return linux_errno_code(errno);
    }
    file->generation = generation;
    return file->fd;
}

int linux_lines_begin(struct linux_file *file)
{
    const int fd = linux_file_open(file);
    if (fd < 0) {
        return fd;
    }
    lines.file = file;
    lines.off = 0;
    lines.begin = 0;
    lines.end = 0;
    lines.is_over = false;
    lines.is_skipping = false;
    return KWM_OK;
}

/** Read on behind what is there. @return KWM_OK or KWM_ERR_IO. */
static int fill(void)
{
    if (lines.begin > 0) {
        memmove(lines.buffer, lines.buffer + lines.begin, lines.end - lines.begin);
        lines.end -= lines.begin;
        lines.begin = 0;
    }
    ssize_t got;
    do {
        got = pread(lines.file->fd, lines.buffer + lines.end, sizeof(lines.buffer) - lines.end,
                    lines.off);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        const int saved = errno;
        close_file(lines.file);
        errno = saved;
        return KWM_ERR_IO;
    }
    lines.is_over = got == 0;
    lines.end += (size_t)got;
    lines.off += got;
    return KWM_OK;
}

/** Give out len bytes, and go past them and the line's end, if it is there. */
static void give(struct linux_cursor *line, size_t len, bool has_end)
{
    *line = linux_cursor_of(lines.buffer + lines.begin, len);
    lines.begin += len + (has_end ? 1U : 0U);
}

int linux_lines_next(struct linux_cursor *line)
{
    KWM_ASSERT(lines.file != NULL);
    for (;;) {
        const size_t len = lines.end - lines.begin;
        const char *start = lines.buffer + lines.begin;
        const char *found = len > 0 ? memchr(start, '\n', len) : NULL;
        if (found != NULL) {
            give(line, (size_t)(found - start), true);
            if (!lines.is_skipping) {
                return 1;
            }
            lines.is_skipping = false;
        } else if (lines.is_skipping) {
            lines.begin = lines.end;
        } else if (len == sizeof(lines.buffer)) {
            give(line, len, false);
            lines.is_skipping = true;
            return 1;
        } else if (lines.is_over && len > 0) {
            give(line, len, false);
            return 1;
        }
        if (found == NULL) {
            if (lines.is_over) {
                return 0;
            }
            const int err = fill();
            if (err != KWM_OK) {
                return err;
            }
        }
    }
}

int linux_read_fd(int fd, char *out, size_t cap)
{
    ssize_t got;
    do {
        got = pread(fd, out, cap - 1, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return linux_errno_code(errno);
    }
    while (got > 0 && (out[got - 1] == '\n' || linux_is_blank(out[got - 1]))) {
        got--;
    }
    out[got] = '\0';
    return (int)got;
}

int linux_read_small(enum linux_root root, const char *a, struct hal_text b, const char *c,
                     char *out, size_t cap)
{
    char path[LINUX_PATH_LEN_MAX + 1];
    if (linux_path(path, sizeof(path), root, a, b, c) < 0) {
        return KWM_ERR_IO;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return linux_errno_code(errno);
    }
    const int len = linux_read_fd(fd, out, cap);
    const int saved = errno;
    (void)close(fd);
    errno = saved;
    return len;
}

size_t linux_link_name(const char *path, char *out, size_t cap)
{
    const ssize_t got = readlink(path, out, cap);
    if (got <= 0 || (size_t)got == cap) {
        return 0;
    }
    const char *slash = memrchr(out, '/', (size_t)got);
    const size_t off = slash != NULL ? (size_t)(slash - out) + 1U : 0;
    memmove(out, out + off, (size_t)got - off);
    return (size_t)got - off;
}
