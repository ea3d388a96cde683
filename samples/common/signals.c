#include "common/signals.h"
#include "common/program.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_bool deferred;
static atomic_int came; /* the signal's number */
static sigset_t watched;

static void *watch(void *unused)
{
    (void)unused;
    for (;;) {
        int number = 0;
        if (sigwait(&watched, &number) != 0)
            continue;
        if (!deferred)
            dprintf(STDERR_FILENO, "\n%s: interrupted before the first step\n", program_name());
        if (!deferred || came)
            _exit(128 + number); /* not exit: other threads are at work */
        came = number;
    }
    return NULL;
}

void signals_begin(void)
{
    struct sigaction hangup;
    pthread_t thread;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* not under nohup */
        sigaddset(&watched, SIGHUP);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write that fails, after which work can be saved */
    int code = pthread_sigmask(SIG_BLOCK, &watched, NULL);
    if (code == 0)
        code = pthread_create(&thread, NULL, watch, NULL);
    if (code == 0)
        code = pthread_detach(thread);
    if (code != 0)
        fail("cannot watch for signals: %s", strerror(code));
}

void signals_defer(void)
{
    deferred = true;
}

bool signals_came(void)
{
    return came != 0;
}

int signals_exit_code(void)
{
    return 128 + came;
}
