/* What PoCL does not say itself. */
#ifndef CLSEQ_CORE_POCL_H
#define CLSEQ_CORE_POCL_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a platform of this name and version is PoCL. */
bool clseq__is_pocl(const char *name, const char *version);

/*
 * PoCL keeps what it compiles in a folder ($POCL_CACHE_DIR, $XDG_CACHE_HOME/pocl/kcache or ~/.cache/pocl/kcache).
 * Where that cannot be written it has no device, or fails to build without a reason. Writes "; PoCL cannot write its
 * cache ..." for the end of a sentence, or "" when the folder is not at fault.
 */
void clseq__pocl_cache_trouble(char *text, size_t size);

#endif
