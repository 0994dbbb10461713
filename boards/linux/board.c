/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hal/assert.h"
#include "linux/linux_clock.h"
#include "linux_board.h"

static struct linux_poll_set poll_set;
static enum hal_log_level level_max = HAL_LOG_INFO;
static int log_fd = STDERR_FILENO;

struct linux_poll_set *linux_board_poll_set(void)
{
    return &poll_set;
}

uint64_t board_now_ms(void)
{
    return linux_clock_boot_ms();
}

void board_idle(uint64_t until_ms)
{
    const uint64_t now_ms = board_now_ms();
    const uint64_t wait = until_ms > now_ms ? until_ms - now_ms : 0;
    /* A look at the clock every minute also notices that it was set. */
    const int got = linux_poll_wait(&poll_set, wait < 60000U ? (int)wait : 60000);
    if (got < 0) {
        const struct timespec pause = {.tv_nsec = 10000000};
        (void)nanosleep(&pause, NULL);
    }
}

void linux_board_log_level(enum hal_log_level level)
{
    level_max = level;
}

bool linux_board_log_file(const char *path)
{
    int fd = STDERR_FILENO;
    if (path[0] != '\0') {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    }
    if (fd < 0) {
        return false;
    }
    if (log_fd != STDERR_FILENO) {
        (void)close(log_fd);
    }
    log_fd = fd;
    return true;
}

void hal_log_write(enum hal_log_level level, const char *text, size_t len)
{
    static const char marks[] = {'E', 'W', 'I', 'D'};
    if (level > level_max) {
        return;
    }
    char line[1200];
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &utc);
    line[used++] = marks[level];
    line[used++] = '!';
    line[used++] = ' ';
    const size_t kept = len < sizeof(line) - used - 1 ? len : sizeof(line) - used - 1;
    for (size_t i = 0; i < kept; i++) {
        const unsigned char c = (unsigned char)text[i];
        line[used++] = c < 0x20U || c == 0x7FU ? '?' : (char)c;
    }
    line[used++] = '\n';
    const ssize_t written = write(log_fd, line, used); /* one write: lines do not mix */
    (void)written;
}

_Noreturn void kwm_panic(const char *file, int line)
{
    (void)fprintf(stderr, "kwmote: internal error at %s:%d; please report it\n", file, line);
    abort();
}
