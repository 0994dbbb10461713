/* SPDX-License-Identifier: MIT */
#include "linux/thread.h"

#include <pthread.h>
#include <signal.h>

bool linux_thread_start(void *(*run)(void *arg), void *arg, size_t stack_len)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool is_started = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
                            pthread_attr_setstacksize(&attr, stack_len) == 0 &&
                            pthread_create(&thread, &attr, run, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return is_started;
}
