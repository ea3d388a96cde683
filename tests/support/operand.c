#include "operand.h"

#include "compare.h"
#include "device.h"
#include "numeric.h"

#include "core/context.h"
#include <stdio.h>
#include <stdlib.h>

operand operand_random(clseq_context *ctx, test_random *random, int ndim, const int64_t *dims, double low,
                       double high)
{
    operand x = {.g = guarded_create(ctx, CLSEQ_DTYPE_F32, ndim, dims, GUARDED_DENSE)};
    x.n = (size_t)x.g.n;
    x.values = test_doubles(x.n);
    test_random_fill(random, x.values, x.n, low, high);
    operand_reset(&x);
    return x;
}

guarded operand_tokens(clseq_context *ctx, int ndim, const int64_t *dims, const int32_t *values)
{
    guarded g = guarded_create(ctx, CLSEQ_DTYPE_I32, ndim, dims, GUARDED_DENSE);
    guarded_write(&g, values);
    return g;
}

operand operand_output(clseq_context *ctx, int ndim, const int64_t *dims)
{
    operand x = {.g = guarded_create(ctx, CLSEQ_DTYPE_F32, ndim, dims, GUARDED_DENSE)};
    x.n = (size_t)x.g.n;
    operand_reset(&x);
    return x;
}

void operand_reset(operand *x)
{
    if (x->values)
        guarded_write_doubles(&x->g, x->values);
    else
        guarded_poison(&x->g);
}

void operand_destroy(operand *x)
{
    guarded_destroy(&x->g);
    free(x->values);
    *x = (operand){0};
}

static void fail(const char *message)
{
    fprintf(stderr, "%s\n", message);
    abort();
}

void operand_check(const char *name, const operand *x, const double *want, const double *bounds)
{
    float *got = guarded_read(&x->g);
    if (!compare_floats_each(name, got, want, x->n, bounds))
        fail(compare_message());
    if (!guarded_intact(name, &x->g))
        fail(guarded_message());
    free(got);
}

void operand_check_bits(const char *name, const operand *x, const float *want)
{
    float *got = guarded_read(&x->g);
    if (!compare_bits(name, got, want, x->n))
        fail(compare_message());
    if (!guarded_intact(name, &x->g))
        fail(guarded_message());
    free(got);
}

clseq_context *test_context_shape(int shape)
{
    if (shape > 1)
        return NULL;
    clseq_context *ctx = test_context();
    if (shape == 1 && !ctx->traits.is_cpu) {
        clseq_context_destroy(ctx);
        return NULL;
    }
    if (shape == 1)
        ctx->traits.is_cpu = false;
    return ctx;
}
