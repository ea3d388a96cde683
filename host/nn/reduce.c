/* Reductions over dims, through those of host/linalg, and their gradients. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/tensor.h"
#include "core/walk.h"
#include "linalg/reduce.h"
#include "nn/check.h"

typedef struct words {
    const char *x, *y, *dy, *dx;
} words;

#define WORDS(call)                                      \
    {                                                    \
        call ": x", call ": y", call ": dy", call ": dx" \
    }
#define ROW(name, row, is_mean)                                       \
    {                                                                 \
        WORDS(name " forward"), WORDS(name " backward"), row, is_mean \
    }

static const struct {
    words forward, backward;
    int row; /* of linalg/reduce_rows.h */
    bool is_mean;
} rows[CLSEQ_REDUCE_COUNT] = {[CLSEQ_REDUCE_SUM] = ROW("sum", REDUCE_SUM, false),
                              [CLSEQ_REDUCE_MEAN] = ROW("mean", REDUCE_SUM, true),
                              [CLSEQ_REDUCE_MAX] = ROW("max", REDUCE_MAX, false),
                              [CLSEQ_REDUCE_MIN] = ROW("min", REDUCE_MIN, false)};

static clseq_status check_row(clseq_context *ctx, const char *what, clseq_reduction row)
{
    CLSEQ__NEEDS(what, ctx);
    if ((unsigned)row >= CLSEQ_REDUCE_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: there is no reduction %d", what, (int)row);
    return CLSEQ_OK;
}

/* x of any strides, y the same dims, 1 where they are reduced; `whole` is the name of x. */
static clseq_status check_reduced(clseq_context *ctx, const char *whole, const char *what_x,
                                  const clseq_tensor *x, const char *what_y, const clseq_tensor *y)
{
    char came[CLSEQ__DIMS_TEXT], from[CLSEQ__DIMS_TEXT];
    CLSEQ__RETURN_IF(clseq__check_strided(ctx, what_x, x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_strided(ctx, what_y, y, CLSEQ_DTYPE_F32));
    if (y->ndim != x->ndim || !clseq__stretches(y, x->ndim, x->dims))
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has shape %s, expected that of %s, %s, with some dims 1",
                            what_y, clseq__dims_text(came, y->ndim, y->dims), whole,
                            clseq__dims_text(from, x->ndim, x->dims));
    return CLSEQ_OK;
}

/* The number that a result is scaled by. */
static float scale_of(clseq_reduction row, const clseq_tensor *x, const clseq_tensor *y)
{
    return rows[row].is_mean ? (float)((double)clseq_tensor_elements(y) / (double)clseq_tensor_elements(x))
                             : 1.0f;
}

clseq_status clseq_nn_reduce_forward(clseq_context *ctx, clseq_reduction row, const clseq_tensor *x,
                                     const clseq_tensor *y)
{
    CLSEQ__RETURN_IF(check_row(ctx, "reduce forward", row));
    const words *w = &rows[row].forward;
    CLSEQ__RETURN_IF(check_reduced(ctx, "x", w->x, x, w->y, y));
    CLSEQ__RETURN_IF(clseq__check_written(w->y, y));
    CLSEQ__RETURN_IF(clseq__check_apart(w->y, y, "x", x, false));
    return clseq__reduce(ctx, rows[row].row, x, scale_of(row, x, y), false, y);
}

/* dx = scale * dy, or +=, wherever dy went to. */
static clseq_status spread(clseq_context *ctx, float scale, const clseq_tensor *dy, bool accumulate,
                           const clseq_tensor *dx)
{
    return clseq_nn_add(ctx, scale, dy, 1.0f, accumulate ? dx : NULL, dx);
}

/* dx = dy / n where x is y, n being how many of them there are, and 0 elsewhere. */
static clseq_status share(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *y,
                          const clseq_tensor *dy, bool accumulate, const clseq_tensor *dx)
{
    clseq_status status = CLSEQ_OK;
    clseq_tensor is_y = {0}, part = {0};
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, x->ndim, x->dims, &is_y));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, y->ndim, y->dims, &part));
    CLSEQ__TRY(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_SAME, NULL, (clseq_tensor[]){*x, *y}, &is_y));
    CLSEQ__TRY(clseq__reduce(ctx, REDUCE_SUM, &is_y, 1.0f, false, &part));
    CLSEQ__TRY(
        clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_DIV, NULL, (clseq_tensor[]){*dy, part}, &part));
    /* is_y * part, added as gradients are. */
    CLSEQ__TRY(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_MUL, NULL, (clseq_tensor[]){is_y, part}, NULL,
                                           &is_y, 0, accumulate, dx));
done:
    clseq_tensor_destroy(ctx, &is_y);
    clseq_tensor_destroy(ctx, &part);
    return status;
}

clseq_status clseq_nn_reduce_backward(clseq_context *ctx, clseq_reduction row, const clseq_tensor *x,
                                      const clseq_tensor *y, const clseq_tensor *dy, bool accumulate,
                                      const clseq_tensor *dx)
{
    CLSEQ__RETURN_IF(check_row(ctx, "reduce backward", row));
    const words *w = &rows[row].backward;
    const bool is_sum = rows[row].row == REDUCE_SUM;
    CLSEQ__RETURN_IF(check_reduced(ctx, "dx", w->dx, dx, w->dy, dy));
    CLSEQ__RETURN_IF(clseq__check_written(w->dx, dx));
    CLSEQ__RETURN_IF(clseq__check_apart(w->dx, dx, "dy", dy, false));
    if (is_sum)
        return spread(ctx, scale_of(row, dx, dy), dy, accumulate, dx);
    CLSEQ__RETURN_IF(clseq__tensor_check(ctx, w->x, x, CLSEQ_DTYPE_F32, dx->ndim, dx->dims, false));
    CLSEQ__RETURN_IF(clseq__tensor_check(ctx, w->y, y, CLSEQ_DTYPE_F32, dy->ndim, dy->dims, false));
    CLSEQ__RETURN_IF(clseq__check_apart(w->dx, dx, "x", x, false));
    CLSEQ__RETURN_IF(clseq__check_apart(w->dx, dx, "y", y, false));
    return share(ctx, x, y, dy, accumulate, dx);
}

clseq_status clseq_nn_sum(clseq_context *ctx, const clseq_tensor *x, float scale, const clseq_tensor *out)
{
    CLSEQ__NEEDS("sum", ctx);
    CLSEQ__RETURN_IF(clseq__check_strided(ctx, "sum: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_scalar(ctx, "sum: out", out));
    CLSEQ__RETURN_IF(clseq__check_apart("sum: out", out, "x", x, false));
    const clseq_tensor one = clseq_tensor_view(out->buffer, out->offset, CLSEQ_DTYPE_F32, 0, NULL);
    const clseq_tensor to = clseq__aligned(&one, x->ndim);
    return clseq__reduce(ctx, REDUCE_SUM, x, scale, false, &to);
}
