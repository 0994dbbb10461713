/* SPDX-License-Identifier: MIT */
#include "linux/poll_set.h"

#include <errno.h>

#include "hal/assert.h"

static void drop(struct linux_poll_set *set, size_t index)
{
    set->count--;
    set->fds[index] = set->fds[set->count];
}

void linux_poll_set_want(struct linux_poll_set *set, int fd, unsigned events)
{
    KWM_ASSERT(fd >= 0);
    const int wanted = ((events & LINUX_POLL_READ) != 0 ? POLLIN : 0) |
                       ((events & LINUX_POLL_WRITE) != 0 ? POLLOUT : 0);
    for (size_t i = 0; i < set->count; i++) {
        if (set->fds[i].fd == fd) {
            set->fds[i].events = (short)(set->fds[i].events | wanted);
            return;
        }
    }
    KWM_ASSERT(set->count < LINUX_POLL_MAX);
    set->fds[set->count] = (struct pollfd){.fd = fd, .events = (short)wanted};
    set->count++;
}

void linux_poll_set_wake_in(struct linux_poll_set *set, int ms)
{
    const int bounded_ms = ms > 0 ? ms : 0;
    if (!set->has_wake || bounded_ms < set->wake_in_ms) {
        set->wake_in_ms = bounded_ms;
    }
    set->has_wake = true;
}

void linux_poll_set_remove(struct linux_poll_set *set, int fd)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->fds[i].fd == fd) {
            drop(set, i);
            return;
        }
    }
}

int linux_poll_wait(struct linux_poll_set *set, int timeout_ms)
{
    int wait_ms = timeout_ms < 0 ? -1 : timeout_ms;
    if (set->has_wake && (wait_ms < 0 || set->wake_in_ms < wait_ms)) {
        wait_ms = set->wake_in_ms;
    }
    set->has_wake = false;
    const int ready = poll(set->fds, (nfds_t)set->count, wait_ms);
    if (ready < 0) {
        return errno == EINTR ? 0 : KWM_ERR_IO;
    }
    for (size_t i = set->count; i-- > 0;) {
        if (set->fds[i].revents != 0) {
            drop(set, i);
        }
    }
    return ready;
}
