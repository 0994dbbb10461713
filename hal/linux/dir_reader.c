/* SPDX-License-Identifier: MIT */
#include "linux/dir_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/** What getdents64() gives (getdents(2)). */
struct entry {
    uint64_t inode;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
};
#define NAME_OFF offsetof(struct entry, name)
#define LEN_OFF offsetof(struct entry, len)

void linux_dir_begin(struct linux_dir *dir, int fd)
{
    dir->fd = fd;
    dir->at = 0;
    dir->len = 0;
    (void)lseek(fd, 0, SEEK_SET);
}

int linux_dir_open(struct linux_dir *dir, enum linux_root root, const char *a, struct hal_text b,
                   const char *c)
{
    char path[LINUX_PATH_LEN_MAX + 1];
    if (linux_path(path, sizeof(path), root, a, b, c) < 0) {
        return KWM_ERR_IO;
    }
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return linux_errno_code(errno);
    }
    linux_dir_begin(dir, fd);
    return KWM_OK;
}

void linux_dir_close(struct linux_dir *dir)
{
    (void)close(dir->fd);
}

static int refill(struct linux_dir *dir)
{
    const long got = syscall(SYS_getdents64, dir->fd, dir->entries, sizeof(dir->entries));
    if (got < 0) {
        return KWM_ERR_IO;
    }
    dir->at = 0;
    dir->len = (size_t)got;
    return got > 0 ? 1 : 0;
}

int linux_dir_next(struct linux_dir *dir, struct hal_text *name)
{
    for (;;) {
        if (dir->at >= dir->len) {
            const int more = refill(dir);
            if (more <= 0) {
                return more;
            }
        }
        const char *entry = (const char *)dir->entries + dir->at;
        uint16_t len;
        memcpy(&len, entry + LEN_OFF, sizeof(len));
        if (len <= NAME_OFF || len > dir->len - dir->at) {
            errno = EIO;
            return KWM_ERR_IO;
        }
        dir->at += len;
        *name = (struct hal_text){.s = entry + NAME_OFF,
                                  .len = (uint16_t)strnlen(entry + NAME_OFF, len - NAME_OFF)};
        const bool is_dots = name->s[0] == '.' && (name->len == 1 || strcmp(name->s, "..") == 0);
        if (!is_dots) {
            return 1;
        }
    }
}
