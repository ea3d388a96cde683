/* A locale in which numbers have a comma. */
#ifndef CLSEQ_TESTS_SUPPORT_COMMA_H
#define CLSEQ_TESTS_SUPPORT_COMMA_H

#include <stdbool.h>

/* Makes one in the working folder and sets it for the process; false where the system has no sources of locales. */
bool comma_locale(void);

#endif
