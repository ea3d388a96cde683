/* xxHash (https://xxhash.com), compiled into what includes this: programs that link clseq need no further library. */
#ifndef CLSEQ_CORE_HASH_H
#define CLSEQ_CORE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#endif
