#include "support/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void leave(void)
{
    fflush(NULL);
    _exit(0);
}

/*
 * Mesa's rusticl crashes once in some hundred processes when its threads are torn down at exit, after the test has
 * been reported. There processes end without its exit handlers, which were registered before this one.
 */
static void leave_quickly(const clseq_context *ctx)
{
    static bool registered = false;
    if (!registered && strstr(clseq_context_device(ctx)->platform_name, "rusticl") && atexit(leave) == 0)
        registered = true;
}

clseq_context *test_context_with(const clseq_context_desc *desc)
{
    clseq_context *ctx = NULL;
    if (clseq_context_create(desc, &ctx) != CLSEQ_OK) {
        fprintf(stderr, "no context to test with: %s\n", clseq_last_error());
        abort();
    }
    leave_quickly(ctx);
    return ctx;
}

clseq_context *test_context(void)
{
    return test_context_with(NULL);
}

bool test_small(void)
{
    const char *text = getenv("CLSEQ_TEST_SMALL");
    return text != NULL && strcmp(text, "1") == 0;
}
