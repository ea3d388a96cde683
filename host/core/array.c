#include "core/array.h"

#include <stdlib.h>

void *clseq__array_room(void *array, size_t size, size_t count, size_t *capacity)
{
    const size_t wanted = *capacity > 0 ? 2 * *capacity : 16;
    void *grown = NULL;
    if (count < *capacity)
        return array;
    grown = realloc(array, wanted * size);
    if (grown)
        *capacity = wanted;
    return grown;
}
