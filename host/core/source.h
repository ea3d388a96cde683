/* Kernel sources with their includes resolved: what program.c compiles and the cache takes its key from. */
#ifndef CLSEQ_CORE_SOURCE_H
#define CLSEQ_CORE_SOURCE_H

#include "core/text.h"

/*
 * The text of `file` (a path below cl/) from the folder `kernel_dir` or, when that is NULL, from the library,
 * with every `#include "path"` replaced by the file it names. A path that ends in a slash means all .cl files that
 * the library has there; program.h says what they share, which is nothing. `options` give the values of $NAME. #line directives keep the
 * compiler's messages pointing at the files.
 */
clseq_status clseq__source_resolve(const char *kernel_dir, const char *file, const char *options,
                                   clseq__text *out);

#endif
