/* Options as texts of any length. */
#ifndef CLSEQ_TRAIN_OPTION_H
#define CLSEQ_TRAIN_OPTION_H

#include "core/text.h"
#include <clseq/option.h>

/* The value, and what values there are, at the end of a text. Errors: no memory, an index without a name. */
clseq_status clseq__option_print(const clseq_option *option, clseq__text *text);
clseq_status clseq__option_print_values(const clseq_option *option, clseq__text *text);

/* Sets the value; false for a text that is none of the option's values. */
bool clseq__option_parse(const clseq_option *option, const char *text);

/* Whether an option of this kind can be read and written at all: CLSEQ_INVALID_ARGUMENT names what it lacks. */
clseq_status clseq__option_check(const char *operation, const clseq_option *option);

#endif
