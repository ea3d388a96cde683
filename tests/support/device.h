/* The device that tests run on. */
#ifndef CLSEQ_TESTS_SUPPORT_DEVICE_H
#define CLSEQ_TESTS_SUPPORT_DEVICE_H

#include <clseq/context.h>
#include <stdbool.h>

/*
 * A new context on the device that CLSEQ_DEVICE names, or the best one. The test fails, it is not skipped, when
 * there is none: the process aborts, which Criterion reports for that test alone. The caller destroys it.
 */
clseq_context *test_context(void);

/* The same with a descriptor. */
clseq_context *test_context_with(const clseq_context_desc *desc);

/* Whether shapes should be tiny, because the device is a slow interpreter: CLSEQ_TEST_SMALL=1. */
bool test_small(void);

#endif
