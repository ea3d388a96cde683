/* Arrays that grow by doubling. */
#ifndef CLSEQ_CORE_ARRAY_H
#define CLSEQ_CORE_ARRAY_H

#include <stddef.h>

/*
 * The array, with room for one more element of `size` bytes behind the `count` it has; NULL when there is no memory (the
 * old one stays). Begin with NULL and a capacity of 0.
 */
void *clseq__array_room(void *array, size_t size, size_t count, size_t *capacity);

#endif
