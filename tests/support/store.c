#include "support/store.h"

#include "support/numeric.h"
#include "support/operand.h"
#include "support/random.h"
#include <stdlib.h>

clseq_params *store_of(clseq_context *ctx, size_t count, const char *const *names, const int64_t *elements)
{
    clseq_params *params = NULL;
    MUST(clseq_params_create(ctx, 1, &params));
    for (size_t i = 0; i < count; i++)
        MUST(clseq_params_add(params, names[i], 1, &elements[i], NULL, NULL));
    MUST(clseq__params_materialize(params));
    return params;
}

static clseq_tensor whole(const clseq_params *params, cl_mem buffer)
{
    return clseq_tensor_view(buffer, 0, CLSEQ_DTYPE_F32, 1, &params->flat);
}

void store_fill(clseq_params *params, cl_mem buffer, uint64_t seed)
{
    const clseq_tensor view = whole(params, buffer);
    float *flat = test_floats((size_t)params->flat);
    test_random random = test_random_seed(seed);
    for (size_t i = 0; i < params->count; i++)
        test_random_fill_float(&random, flat + params->all[i]->offset, (size_t)params->all[i]->elements, -1,
                               1);
    MUST(clseq_tensor_write(params->ctx, &view, flat));
    free(flat);
}

float *store_read(const clseq_params *params, cl_mem buffer)
{
    const clseq_tensor view = whole(params, buffer);
    float *flat = test_floats((size_t)params->flat);
    MUST(clseq_tensor_read(params->ctx, &view, flat));
    return flat;
}
