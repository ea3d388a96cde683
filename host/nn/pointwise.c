/* Operations element by element, by the rows of cl/nn/pointwise_rows.h. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "core/tensor.h"
#include "core/walk.h"
#include "linalg/reduce.h"
#include "nn/check.h"
#include "nn/pointwise_rows.h"

#include <math.h>

/* Operands that are read, in the kernels' order. Of a masked row in[0] is the mask. */
enum { A, B, MASK, OPERANDS };

static const int reading[OPERANDS] = {[A] = POINTWISE_A, [B] = POINTWISE_B, [MASK] = POINTWISE_M};
static const char *const names[OPERANDS] = {"in[0]", "in[1]", "in[2]"};

/* What sentences about a direction of a row begin with. */
typedef struct words {
    const char *call, *in[OPERANDS], *y, *dy, *dx;
} words;

#define WORDS(call)                                                                                  \
    {                                                                                                \
        call, {call ": in[0]", call ": in[1]", call ": in[2]"}, call ": y", call ": dy", call ": dx" \
    }
#define UNARY(NAME, name, masked, y, f, reads, p, q) \
    [POINTWISE_##NAME] = {WORDS(name " forward"), WORDS(name " backward"), masked, 1, {reads}, {p, q}},
#define BINARY(NAME, name, masked, y, f0, reads0, f1, reads1, p, q) \
    [POINTWISE_##                                                   \
        NAME] = {WORDS(name " forward"), WORDS(name " backward"), masked, 2, {reads0, reads1}, {p, q}},

static const struct {
    words forward, backward;
    int masked, inputs; /* a mask, 0 or 1, and float inputs */
    int reads[2];       /* by the derivatives */
    float params[2];
} rows[POINTWISE_COUNT] = {POINTWISE_UNARY(UNARY) POINTWISE_BINARY(BINARY)};

/* The public enumerators are the table's. */
#define SAME_NUMBER(NAME, ...) \
    _Static_assert((int)CLSEQ_POINTWISE_##NAME == (int)POINTWISE_##NAME, "CLSEQ_POINTWISE_" #NAME);
POINTWISE_UNARY(SAME_NUMBER)
POINTWISE_BINARY(SAME_NUMBER)
_Static_assert((int)CLSEQ_POINTWISE_COUNT == (int)POINTWISE_COUNT, "there are rows without an enumerator");

#define FAST(NAME) [POINTWISE_##NAME] = "nn_pointwise_forward_" #NAME,
static const char *const fast_kernels[POINTWISE_COUNT] = {POINTWISE_FAST(FAST)};

typedef struct call {
    const words *words;
    int row, masked;
    float params[2];
    int reads;
    clseq_tensor operand[OPERANDS]; /* stretched */
} call;

/* The number of an operand in `in`. */
static int place_of(const call *c, int operand)
{
    return operand == MASK ? 0 : operand + c->masked;
}

int clseq_nn_pointwise_inputs(clseq_pointwise row)
{
    return (unsigned)row < POINTWISE_COUNT ? rows[row].masked + rows[row].inputs : 0;
}

static clseq_status begin(clseq_context *ctx, const char *what, clseq_pointwise row, const float *params,
                          call *c)
{
    CLSEQ__NEEDS(what, ctx);
    if ((unsigned)row >= POINTWISE_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: there is no row %d", what, (int)row);
    *c = (call){.row = row, .masked = rows[row].masked};
    for (int i = 0; i < 2; i++)
        c->params[i] = params ? params[i] : rows[row].params[i];
    return CLSEQ_OK;
}

/* Takes what is read from `in`, stretched to the dims of `like`. What nobody reads stands where `like` does, so that the
 * walk is as if it were not there. */
static clseq_status take_inputs(clseq_context *ctx, call *c, const clseq_tensor *in, const clseq_tensor *like)
{
    for (int k = 0; k < OPERANDS; k++) {
        const int at = place_of(c, k);
        c->operand[k] = *like;
        if (!(c->reads & reading[k]))
            continue;
        CLSEQ__RETURN_IF(clseq__check_stretches(ctx, c->words->in[at], in ? &in[at] : NULL,
                                                k == MASK ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, like->ndim,
                                                like->dims));
        c->operand[k] = clseq__stretched(&in[at], like->ndim, like->dims);
    }
    return CLSEQ_OK;
}

/* `out` shares no element within itself nor with an input, which it may be itself where `same` is set. */
static clseq_status check_output(const call *c, const char *what, const clseq_tensor *out, bool same)
{
    CLSEQ__RETURN_IF(clseq__check_written(what, out));
    for (int k = 0; k < OPERANDS; k++)
        if (c->reads & reading[k])
            CLSEQ__RETURN_IF(clseq__check_apart(what, out, names[place_of(c, k)], &c->operand[k], same));
    return CLSEQ_OK;
}

clseq_status clseq_nn_pointwise_forward(clseq_context *ctx, clseq_pointwise row, const float *params,
                                        const clseq_tensor *in, const clseq_tensor *y)
{
    call c;
    walk_record walk;
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(begin(ctx, "pointwise forward", row, params, &c));
    c.words = &rows[row].forward;
    c.reads = POINTWISE_A | (rows[row].inputs == 2 ? POINTWISE_B : 0) | (c.masked ? POINTWISE_M : 0);
    CLSEQ__RETURN_IF(clseq__check_strided(ctx, c.words->y, y, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(take_inputs(ctx, &c, in, y));
    CLSEQ__RETURN_IF(check_output(&c, c.words->y, y, true));
    clseq__walk_make(4, (const clseq_tensor *[]){&c.operand[A], &c.operand[B], &c.operand[MASK], y}, &walk);
    CLSEQ__RETURN_IF(clseq__kernel_get(
        ctx, "nn/", NULL, fast_kernels[row] ? fast_kernels[row] : "nn_pointwise_forward", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, walk.n),
                         CLSEQ__ARGS(CLSEQ__RECORD(&walk), CLSEQ__I(row), CLSEQ__I(c.reads),
                                     CLSEQ__F(c.params[0]), CLSEQ__F(c.params[1]),
                                     CLSEQ__M(c.operand[A].buffer), CLSEQ__M(c.operand[B].buffer),
                                     CLSEQ__M(c.operand[MASK].buffer), CLSEQ__M(y->buffer)));
}

/* The gradient by float input number `by`; all are of the dims of dy. */
static clseq_status launch_backward(clseq_context *ctx, const call *c, int by, const clseq_tensor *y,
                                    const clseq_tensor *dy, bool accumulate, const clseq_tensor *dx)
{
    walk_record walk;
    clseq__kernel *kernel = NULL;
    const clseq_tensor *const operands[] = {&c->operand[A], &c->operand[B], &c->operand[MASK], y, dy, dx};
    clseq__walk_make(6, operands, &walk);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_pointwise_backward", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, walk.n),
                         CLSEQ__ARGS(CLSEQ__RECORD(&walk), CLSEQ__I(c->row), CLSEQ__I(by), CLSEQ__I(c->reads),
                                     CLSEQ__F(c->params[0]), CLSEQ__F(c->params[1]),
                                     CLSEQ__M(operands[A]->buffer), CLSEQ__M(operands[B]->buffer),
                                     CLSEQ__M(operands[MASK]->buffer), CLSEQ__M(y->buffer),
                                     CLSEQ__M(dy->buffer), CLSEQ__I(accumulate), CLSEQ__M(dx->buffer)));
}

/*
 * The same where the input was stretched: its gradient is the sum over where it went. A derivative that is made of nothing
 * is the same everywhere, so that dy is summed first.
 */
static clseq_status backward_stretched(clseq_context *ctx, const call *c, int by, const clseq_tensor *y,
                                       const clseq_tensor *dy, bool accumulate, const clseq_tensor *dx)
{
    clseq_status status = CLSEQ_OK;
    clseq_tensor scratch = {0};
    const bool first = c->reads == 0;
    const clseq_tensor *like = first ? dx : dy;
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, like->ndim, like->dims, &scratch));
    if (first) {
        call summed = *c;
        for (int k = 0; k < OPERANDS; k++)
            summed.operand[k] = scratch;
        CLSEQ__TRY(clseq__reduce(ctx, REDUCE_SUM, dy, 1.0f, false, &scratch));
        CLSEQ__TRY(launch_backward(ctx, &summed, by, &scratch, &scratch, accumulate, dx));
    } else {
        CLSEQ__TRY(launch_backward(ctx, c, by, y, dy, false, &scratch));
        CLSEQ__TRY(clseq__reduce(ctx, REDUCE_SUM, &scratch, 1.0f, accumulate, dx));
    }
done:
    clseq_tensor_destroy(ctx, &scratch);
    return status;
}

clseq_status clseq_nn_pointwise_backward(clseq_context *ctx, clseq_pointwise row, const float *params,
                                         const clseq_tensor *in, const clseq_tensor *y,
                                         const clseq_tensor *dy, int i, bool accumulate,
                                         const clseq_tensor *dx)
{
    call c;
    CLSEQ__RETURN_IF(begin(ctx, "pointwise backward", row, params, &c));
    const words *w = c.words = &rows[row].backward;
    const int by = i - c.masked;
    if (by < 0 || by >= rows[row].inputs)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: there is no gradient of input %d", w->call, i);
    c.reads = rows[row].reads[by];
    CLSEQ__RETURN_IF(clseq__check_strided(ctx, w->dy, dy, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(take_inputs(ctx, &c, in, dy));
    CLSEQ__RETURN_IF(clseq__check_stretches(ctx, w->dx, dx, CLSEQ_DTYPE_F32, dy->ndim, dy->dims));
    const clseq_tensor to = clseq__aligned(dx, dy->ndim);
    CLSEQ__RETURN_IF(check_output(&c, w->dx, &to, false));
    if (c.reads & POINTWISE_Y) {
        CLSEQ__RETURN_IF(clseq__tensor_check(ctx, w->y, y, CLSEQ_DTYPE_F32, dy->ndim, dy->dims, false));
        CLSEQ__RETURN_IF(clseq__check_apart(w->dx, &to, "y", y, false));
    } else {
        y = dy;
    }
    const bool stretched = clseq_tensor_elements(&to) != clseq_tensor_elements(dy);
    CLSEQ__RETURN_IF(clseq__check_apart(w->dx, &to, "dy", dy, !stretched));
    return (stretched ? backward_stretched : launch_backward)(ctx, &c, by, y, dy, accumulate, &to);
}

clseq_status clseq_nn_add(clseq_context *ctx, float alpha, const clseq_tensor *a, float beta,
                          const clseq_tensor *b, const clseq_tensor *y)
{
    const clseq_tensor none = {0};
    const clseq_tensor in[] = {a ? *a : none, b ? *b : none};
    return clseq_nn_pointwise_forward(ctx, b ? CLSEQ_POINTWISE_ADD : CLSEQ_POINTWISE_MUL_SCALAR,
                                      (const float[]){alpha, beta}, in, y);
}
