/* Norms of rows; the kernels are in cl/nn/norm.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "core/tensor.h"
#include "linalg/reduce.h"
#include "nn/along.h"
#include "nn/check.h"
#include <math.h>
#include <stdio.h>

static const struct {
    const char *forward, *backward;
    bool centred;
} kinds[CLSEQ_NORM_COUNT] = {
    [CLSEQ_NORM_LAYER] = {"layer norm forward", "layer norm backward", true},
    [CLSEQ_NORM_RMS] = {"rms norm forward", "rms norm backward", false},
};

typedef struct sizes {
    int64_t N, n;
} sizes;

/* An argument of a call; one that is NULL is not there. */
typedef struct argument {
    const char *name;
    const clseq_tensor *tensor;
    enum { LIKE_X, LIKE_ROW, LIKE_SAVED } shape;
    bool is_needed, is_written;
} argument;

#define MOST_TEXT 64

static clseq_status check_argument(clseq_context *ctx, const char *op, const argument *a,
                                   const clseq_tensor *x, sizes s)
{
    char what[MOST_TEXT];
    if (!a->tensor && !a->is_needed)
        return CLSEQ_OK;
    snprintf(what, sizeof what, "%s: %s", op, a->name);
    if (a->shape == LIKE_X)
        return clseq__check_like(ctx, what, a->tensor, x);
    if (a->shape == LIKE_ROW)
        return clseq__tensor_check_packed(ctx, what, a->tensor, CLSEQ_DTYPE_F32, 1, &s.n);
    return clseq__tensor_check_packed(ctx, what, a->tensor, CLSEQ_DTYPE_F32, 2, (int64_t[]){s.N, 2});
}

/* What is written shares nothing with other arguments, but may take the place of what is of x's shape: number `same`. */
static clseq_status check_apart(const char *op, const argument *a, int count, int same)
{
    char what[MOST_TEXT];
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count && a[i].is_written && a[i].tensor; j++) {
            if (j == i || !a[j].tensor)
                continue;
            snprintf(what, sizeof what, "%s: %s", op, a[i].name);
            CLSEQ__RETURN_IF(clseq__check_apart(what, a[i].tensor, a[j].name, a[j].tensor,
                                                j == same && a[i].shape == LIKE_X));
        }
    }
    return CLSEQ_OK;
}

/* All arguments; the first is x. */
static clseq_status check(clseq_context *ctx, const char *op, const argument *a, int count, int same,
                          sizes *s)
{
    char what[MOST_TEXT];
    const clseq_tensor *x = a[0].tensor;
    CLSEQ__NEEDS(op, ctx);
    snprintf(what, sizeof what, "%s: %s", op, a[0].name);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, what, x, CLSEQ_DTYPE_F32));
    if (x->ndim == 0)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has no dimensions, expected [...,n]", what);
    s->n = x->dims[x->ndim - 1];
    s->N = clseq_tensor_elements(x) / s->n;
    for (int i = 1; i < count; i++)
        CLSEQ__RETURN_IF(check_argument(ctx, op, &a[i], x, *s));
    return check_apart(op, a, count, same);
}

static clseq_status check_kind(clseq_norm_kind kind)
{
    if ((unsigned)kind >= CLSEQ_NORM_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "norm: there is no norm %d", (int)kind);
    return CLSEQ_OK;
}

clseq_status clseq_nn_norm_forward(clseq_context *ctx, clseq_norm_kind kind, float eps, const clseq_tensor *x,
                                   const clseq_tensor *gain, const clseq_tensor *shift, const clseq_tensor *y,
                                   const clseq_tensor *saved)
{
    const argument arguments[] = {{"x", x, LIKE_X, true, false},
                                  {"gain", gain, LIKE_ROW, false, false},
                                  {"shift", shift, LIKE_ROW, false, false},
                                  {"y", y, LIKE_X, true, true},
                                  {"saved", saved, LIKE_SAVED, true, true}};
    clseq__kernel *kernel = NULL;
    sizes s = {0};
    CLSEQ__RETURN_IF(check_kind(kind));
    CLSEQ__RETURN_IF(check(ctx, kinds[kind].forward, arguments, 5, 0, &s));
    if (!(eps >= 0.0f && eps < INFINITY))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: eps is %g, expected a number of at least 0",
                            kinds[kind].forward, (double)eps);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_norm_forward", &kernel));
    return clseq__launch(ctx, kernel, clseq__rows_grid(ctx, s.N, s.n),
                         CLSEQ__ARGS(CLSEQ__L(s.N), CLSEQ__L(s.n), CLSEQ__I(kinds[kind].centred),
                                     CLSEQ__F(eps), CLSEQ__PLACE(x), CLSEQ__PLACE(gain), CLSEQ__PLACE(shift),
                                     CLSEQ__PLACE(y), CLSEQ__PLACE(saved)));
}

clseq_status clseq_nn_norm_backward(clseq_context *ctx, clseq_norm_kind kind, const clseq_tensor *x,
                                    const clseq_tensor *gain, const clseq_tensor *saved,
                                    const clseq_tensor *dy, const clseq_tensor *dx, const clseq_tensor *dgain,
                                    const clseq_tensor *dshift)
{
    const argument arguments[] = {{"x", x, LIKE_X, true, false},
                                  {"gain", gain, LIKE_ROW, false, false},
                                  {"saved", saved, LIKE_SAVED, true, false},
                                  {"dy", dy, LIKE_X, true, false},
                                  {"dx", dx, LIKE_X, false, true},
                                  {"dgain", dgain, LIKE_ROW, false, true},
                                  {"dshift", dshift, LIKE_ROW, false, true}};
    clseq_status status = CLSEQ_OK;
    clseq__kernel *kernel = NULL;
    cl_mem partial = NULL;
    sizes s = {0};
    CLSEQ__TRY(check_kind(kind));
    CLSEQ__TRY(check(ctx, kinds[kind].backward, arguments, 7, 3, &s));
    const clseq__grid grid = clseq__rows_grid(ctx, s.N, s.n);
    const int64_t groups = (int64_t)grid.groups[0];
    if (dgain || dshift)
        CLSEQ__TRY(
            clseq__pool_get(ctx, (size_t)(groups * 2 * s.n) * sizeof(float), kinds[kind].backward, &partial));
    CLSEQ__TRY(clseq__kernel_get(ctx, "nn/", NULL, "nn_norm_backward", &kernel));
    CLSEQ__TRY(clseq__launch(ctx, kernel, grid,
                             CLSEQ__ARGS(CLSEQ__L(s.N), CLSEQ__L(s.n), CLSEQ__I(kinds[kind].centred),
                                         CLSEQ__PLACE(x), CLSEQ__PLACE(gain), CLSEQ__PLACE(saved),
                                         CLSEQ__PLACE(dy), CLSEQ__PLACE(dx), CLSEQ__M(partial))));
    if (dgain)
        CLSEQ__TRY(
            clseq__reduce_columns(ctx, partial, 0, groups, s.n, 2 * s.n, dgain->buffer, dgain->offset, true));
    if (dshift)
        CLSEQ__TRY(clseq__reduce_columns(ctx, partial, s.n, groups, s.n, 2 * s.n, dshift->buffer,
                                         dshift->offset, true));
done:
    clseq__pool_put(ctx, partial);
    return status;
}
