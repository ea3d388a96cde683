/* Signals that ask a process to end, taken by a thread of their own. */
#include <clseq/run.h>

#include "core/error.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_bool watching, deferred;
static atomic_int came; /* the signal's number */
static const char *farewell_text;
static sigset_t watched;

/* What the signal does by itself. */
static void let_it_kill(int number)
{
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    kill(getpid(), number);
}

static void *watch(void *unused)
{
    (void)unused;
    for (;;) {
        int number = 0;
        if (sigwait(&watched, &number) != 0)
            continue;
        if (!deferred && farewell_text)
            (void)!write(STDERR_FILENO, farewell_text, strlen(farewell_text));
        if (!deferred || came)
            let_it_kill(number);
        came = number;
    }
    return NULL;
}

clseq_status clseq_signals_watch(const char *farewell)
{
    struct sigaction hangup;
    pthread_t thread;
    sigset_t before;
    if (atomic_exchange(&watching, true))
        return clseq__error(CLSEQ_INVALID_STATE, "signals watch: they are watched already");
    farewell_text = farewell;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* not under nohup */
        sigaddset(&watched, SIGHUP);
    int code = pthread_sigmask(SIG_BLOCK, &watched, &before);
    if (code == 0 && (code = pthread_create(&thread, NULL, watch, NULL)) != 0)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        watching = false;
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "signals watch: no thread can be made: %s",
                            strerror(code));
    }
    pthread_detach(thread);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write that fails, after which work can be saved */
    return CLSEQ_OK;
}

void clseq_signals_defer(void)
{
    deferred = true;
}

int clseq_signals_came(void)
{
    return came;
}
