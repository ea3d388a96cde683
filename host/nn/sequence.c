/* Rows of steps with lengths of their own; the kernels are in cl/nn/sequence.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "core/tensor.h"
#include "nn/check.h"

static const struct {
    const char *kernel;
    bool has_step; /* of each element, which forward puts out and backward takes */
} kinds[CLSEQ_OVER_TIME_COUNT] = {
    [CLSEQ_OVER_TIME_LAST] = {"nn_last_forward", false},
    [CLSEQ_OVER_TIME_MEAN] = {"nn_mean_over_time_forward", false},
    [CLSEQ_OVER_TIME_MAX] = {"nn_max_over_time_forward", true},
};

/* x is [T,B,F]. */
typedef struct sizes {
    int64_t T, B, F;
} sizes;

static clseq_status check_sequence(clseq_context *ctx, const char *what_x, const clseq_tensor *x,
                                   const char *what_lengths, const clseq_tensor *lengths, sizes *s)
{
    CLSEQ__RETURN_IF(clseq__check_any(ctx, what_x, x, CLSEQ_DTYPE_F32));
    if (x->ndim < 2 || x->dims[0] > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has %d dimensions, expected [T,B,...], T at most 2^31-1",
                            what_x, x->ndim);
    *s = (sizes){x->dims[0], x->dims[1], 1};
    for (int i = 2; i < x->ndim; i++)
        s->F *= x->dims[i];
    if (lengths)
        return clseq__tensor_check_packed(ctx, what_lengths, lengths, CLSEQ_DTYPE_I32, 1, &s->B);
    return CLSEQ_OK;
}

static clseq_status check_kind(const char *op, clseq_over_time kind)
{
    if ((unsigned)kind >= CLSEQ_OVER_TIME_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: there is no kind %d", op, (int)kind);
    return CLSEQ_OK;
}

/* y, or its gradient, and the steps of x [T,...]; *step is NULL where the kind has none. */
static clseq_status check_rows(clseq_context *ctx, const char *const what[2], clseq_over_time kind,
                               const clseq_tensor *x, const clseq_tensor *y, const clseq_tensor **step)
{
    CLSEQ__RETURN_IF(clseq__tensor_check_packed(ctx, what[0], y, CLSEQ_DTYPE_F32, x->ndim - 1, x->dims + 1));
    if (!kinds[kind].has_step) {
        *step = NULL;
        return CLSEQ_OK;
    }
    return clseq__tensor_check_packed(ctx, what[1], *step, CLSEQ_DTYPE_I32, x->ndim - 1, x->dims + 1);
}

/* Whether what is written is apart from a tensor that may be NULL. */
static clseq_status check_apart(const char *what, const clseq_tensor *out, const char *other,
                                const clseq_tensor *in)
{
    return in ? clseq__check_apart(what, out, other, in, false) : CLSEQ_OK;
}

clseq_status clseq_nn_reverse(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *lengths,
                              const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    sizes s = {0};
    CLSEQ__NEEDS("reverse", ctx);
    CLSEQ__RETURN_IF(check_sequence(ctx, "reverse: x", x, "reverse: lengths", lengths, &s));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "reverse: y", y, x));
    CLSEQ__RETURN_IF(check_apart("reverse: y", y, "x", x));
    CLSEQ__RETURN_IF(check_apart("reverse: y", y, "lengths", lengths));
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_reverse", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, clseq_tensor_elements(x)),
                         CLSEQ__ARGS(CLSEQ__I(s.T), CLSEQ__L(s.B), CLSEQ__L(s.F), CLSEQ__PLACE(lengths),
                                     CLSEQ__PLACE(x), CLSEQ__PLACE(y)));
}

clseq_status clseq_nn_over_time_forward(clseq_context *ctx, clseq_over_time kind, const clseq_tensor *x,
                                        const clseq_tensor *lengths, const clseq_tensor *y,
                                        const clseq_tensor *step)
{
    static const char *const what[] = {"over time forward: y", "over time forward: step"};
    clseq__kernel *kernel = NULL;
    sizes s = {0};
    CLSEQ__NEEDS("over time forward", ctx);
    CLSEQ__RETURN_IF(check_kind("over time forward", kind));
    CLSEQ__RETURN_IF(
        check_sequence(ctx, "over time forward: x", x, "over time forward: lengths", lengths, &s));
    CLSEQ__RETURN_IF(check_rows(ctx, what, kind, x, y, &step));
    CLSEQ__RETURN_IF(check_apart(what[0], y, "x", x));
    CLSEQ__RETURN_IF(check_apart(what[0], y, "lengths", lengths));
    CLSEQ__RETURN_IF(check_apart(what[0], y, "step", step));
    if (step) {
        CLSEQ__RETURN_IF(check_apart(what[1], step, "x", x));
        CLSEQ__RETURN_IF(check_apart(what[1], step, "lengths", lengths));
    }
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, kinds[kind].kernel, &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, clseq_tensor_elements(x)),
                         CLSEQ__ARGS(CLSEQ__I(s.T), CLSEQ__L(s.B), CLSEQ__L(s.F), CLSEQ__PLACE(lengths),
                                     CLSEQ__PLACE(x), CLSEQ__PLACE(y), CLSEQ__PLACE(step)));
}

clseq_status clseq_nn_over_time_backward(clseq_context *ctx, clseq_over_time kind,
                                         const clseq_tensor *lengths, const clseq_tensor *step,
                                         const clseq_tensor *dy, const clseq_tensor *dx)
{
    static const char *const what[] = {"over time backward: dy", "over time backward: step"};
    clseq__kernel *kernel = NULL;
    sizes s = {0};
    CLSEQ__NEEDS("over time backward", ctx);
    CLSEQ__RETURN_IF(check_kind("over time backward", kind));
    CLSEQ__RETURN_IF(
        check_sequence(ctx, "over time backward: dx", dx, "over time backward: lengths", lengths, &s));
    CLSEQ__RETURN_IF(check_rows(ctx, what, kind, dx, dy, &step));
    CLSEQ__RETURN_IF(check_apart("over time backward: dx", dx, "dy", dy));
    CLSEQ__RETURN_IF(check_apart("over time backward: dx", dx, "lengths", lengths));
    CLSEQ__RETURN_IF(check_apart("over time backward: dx", dx, "step", step));
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_over_time_backward", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, clseq_tensor_elements(dx)),
                         CLSEQ__ARGS(CLSEQ__I(kind == CLSEQ_OVER_TIME_MEAN), CLSEQ__I(s.T), CLSEQ__L(s.B),
                                     CLSEQ__L(s.F), CLSEQ__PLACE(lengths), CLSEQ__PLACE(step),
                                     CLSEQ__PLACE(dy), CLSEQ__PLACE(dx)));
}
