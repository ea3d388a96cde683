#include "support/exact.h"

#include "support/compare.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/random.h"
#include <stdlib.h>

int exact_number(uint64_t seed, int64_t i)
{
    test_random random = test_random_seed(seed * 1000003 + (uint64_t)i);
    return test_random_int(&random, -2, 2);
}

static size_t elements_of(clseq_param *param)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_param_value(param, &value));
    return (size_t)clseq_tensor_elements(&value);
}

void exact_set(clseq_param *param, uint64_t seed)
{
    const size_t n = elements_of(param);
    float *values = test_floats(n);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)exact_number(seed, (int64_t)i);
    EXPECT_OK(clseq_param_set(param, values));
    free(values);
}

void exact_backward(clseq_graph *g, clseq_var *y, int64_t first, int64_t columns)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_var_value(g, y, &value));
    EXPECT_THAT(value.ndim == 3, "y is no sequence");
    const int64_t B = value.dims[1], F = value.dims[2];
    float *dy = test_floats((size_t)clseq_tensor_elements(&value));
    for (int64_t t = 0; t < value.dims[0]; t++)
        for (int64_t i = 0; i < B * F; i++)
            dy[t * B * F + i] = (float)exact_number(99, (t * columns + first) * F + i);
    graph_backward_floats(g, y, dy);
    free(dy);
}

float *exact_grad(clseq_param *param)
{
    float *grad = test_floats(elements_of(param));
    EXPECT_OK(clseq_param_get_grad(param, grad));
    return grad;
}

void exact_expect_same(clseq_param *got, clseq_param *want)
{
    float *a = exact_grad(got), *b = exact_grad(want);
    EXPECT_THAT(compare_bits(clseq_param_name(got), a, b, elements_of(got)), compare_message());
    free(a);
    free(b);
}
