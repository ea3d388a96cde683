#include "support/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

clseq_context *test_context_with(const clseq_context_desc *desc)
{
    clseq_context *ctx = NULL;
    if (clseq_context_create(desc, &ctx) != CLSEQ_OK) {
        fprintf(stderr, "no context to test with: %s\n", clseq_last_error());
        abort();
    }
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
