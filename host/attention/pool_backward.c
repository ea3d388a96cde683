/* Pooling over time, backward. */
#include "attention/pool.h"
#include "core/error.h"
#include "linalg/reduce.h"

/* x with zeros where a step does not count. */
static clseq_status copy_x(const clseq__pool_pass *p, const clseq_tensor *x)
{
    clseq__kernel *kernel = NULL;
    const clseq_tensor rows = clseq_tensor_transpose(x, 0, 1);
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_COPY_ROWS, &kernel));
    return clseq__attention_copy(p->ctx, kernel, &rows, p->kept, p->counts, p->scratch,
                                 (attention_rows){p->copied, {p->desc->input, p->B * p->desc->input}},
                                 p->desc->input);
}

/* The gradients of scores, and what goes straight to x. */
static clseq_status scores_backward(const clseq__pool_pass *p, const clseq_attention_pool_backward_args *args)
{
    clseq__kernel *kernel = NULL;
    attention_record r = clseq__pool_record(p, &args->x);
    r.dqueries = clseq__attention_rows_of(&args->dx);
    if (p->desc->causal) {
        r.context = clseq__pool_rows_of_y(p, &args->y);
        r.given = clseq__pool_rows_of_y(p, &args->dy);
        CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_CAUSAL_BACKWARD, &kernel));
        return clseq__launch(p->ctx, kernel, clseq__attention_grid(p->ctx, p->B),
                             CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(args->x.buffer), CLSEQ__M(p->kept),
                                         CLSEQ__M(p->kept), CLSEQ__M(args->y.buffer),
                                         CLSEQ__M(args->dy.buffer), CLSEQ__M(p->scratch),
                                         CLSEQ__M(p->scratch), CLSEQ__M(args->dx.buffer),
                                         CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
    }
    r.context = clseq__pool_rows_of_y(p, &args->dy);
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_DSCORES, &kernel));
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, kernel, clseq__attention_grid(p->ctx, p->B),
        CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(args->dy.buffer), CLSEQ__M(args->x.buffer), CLSEQ__M(p->kept),
                    CLSEQ__M(NULL), CLSEQ__M(p->kept), CLSEQ__M(NULL), CLSEQ__M(p->scratch),
                    CLSEQ__M(p->scratch), CLSEQ__LOCAL(clseq__attention_local(p->ctx)))));
    if (!args->dx.buffer)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_SPREAD, &kernel));
    return clseq__launch(p->ctx, kernel, clseq__grid_for(p->ctx, p->T * p->B * p->desc->input),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(args->dy.buffer),
                                     CLSEQ__M(args->dx.buffer)));
}

/* The gradients of what is projected take its place. */
static clseq_status projection_backward(const clseq__pool_pass *p, const clseq_tensor *x)
{
    clseq__kernel *kernel = NULL;
    const attention_record r = clseq__pool_record(p, x);
    const int64_t width = p->ctx->traits.is_cpu ? p->ctx->traits.vector_width : 1;
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_DPROJECT, &kernel));
    return clseq__launch(p->ctx, kernel, clseq__attention_grid_alone(p->ctx, p->B * p->row / width),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                                     CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__M(p->scratch),
                                     CLSEQ__M(p->scratch), CLSEQ__M(p->kept), CLSEQ__M(p->scratch)));
}

/* Steps that do not count may be NaN: they are zeros in a copy, which an even x without them needs none of. */
static clseq_status weight_backward(const clseq__pool_pass *p, const clseq_attention_pool_backward_args *args)
{
    const clseq_tensor d = clseq__pool_projected(p), *x = &args->x;
    clseq_tensor copied =
        clseq__attention_view(p->scratch, p->copied, p->T, p->B, p->desc->input, p->desc->input);
    if (args->lengths.buffer || args->mask.buffer || !clseq__attention_is_even(x)) {
        CLSEQ__RETURN_IF(copy_x(p, x));
        x = &copied;
    }
    return clseq__attention_outer(p->ctx, &d, x, 1.0f, &args->dweight);
}

clseq_status clseq_attention_pool_backward(clseq_context *ctx, const clseq_attention_pool_desc *desc,
                                           const clseq_attention_pool_shape *shape,
                                           const clseq_attention_pool_backward_args *args)
{
    static const char call[] = "attention pool backward";
    clseq__pool_pass p = {.T = 0};
    clseq__attention_list list = {.call = call};
    CLSEQ__RETURN_IF(clseq__pool_begin(call, ctx, desc, shape, &p));
    CLSEQ__NOT_NULL(call, args);
    CLSEQ__RETURN_IF(clseq__attention_check_training(call, shape->mode));
    if ((args->dbias.buffer && !desc->bias) || (args->y.buffer && !desc->causal))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is given, which this pooling does not have", call,
                            args->dbias.buffer && !desc->bias ? "dbias" : "y");
    clseq__pool_list(&list, &p,
                     &(clseq__pool_given){&args->weight, NULL, &args->score, &args->x, &args->lengths,
                                          &args->mask, &args->reserve, &args->workspace},
                     shape->mode);
    const int64_t A = desc->units, H = desc->input;
    const clseq__attention_argument outputs[] = {
        {.name = "dx", .tensor = &args->dx, .is_written = true, .ndim = 3, .dims = {p.T, p.B, H}},
        {.name = "dweight",
         .tensor = &args->dweight,
         .is_written = true,
         .form = CLSEQ__ATTENTION_PACKED,
         .ndim = 2,
         .dims = {A, H}},
        {.name = "dbias",
         .tensor = &args->dbias,
         .is_written = true,
         .form = CLSEQ__ATTENTION_PACKED,
         .ndim = 1,
         .dims = {A}},
        {.name = "dscore",
         .tensor = &args->dscore,
         .is_written = true,
         .form = CLSEQ__ATTENTION_PACKED,
         .ndim = 1,
         .dims = {A}},
    };
    if (desc->causal)
        clseq__attention_add_argument(&list, clseq__pool_like_y(&p, "y", &args->y, false));
    clseq__attention_add_argument(&list, clseq__pool_like_y(&p, "dy", &args->dy, false));
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        clseq__attention_add_argument(&list, outputs[i]);
    CLSEQ__RETURN_IF(clseq__attention_check_arguments(ctx, &list));
    clseq__pool_use(&p, shape->mode, &args->reserve, &args->workspace);
    const clseq_tensor d = clseq__pool_projected(&p);
    CLSEQ__RETURN_IF(scores_backward(&p, args));
    CLSEQ__RETURN_IF(projection_backward(&p, &args->x));
    if (args->dx.buffer)
        CLSEQ__RETURN_IF(clseq__attention_product(ctx, &d, &args->weight, false, 1.0f, &args->dx));
    if (args->dweight.buffer)
        CLSEQ__RETURN_IF(weight_backward(&p, args));
    if (args->dbias.buffer)
        CLSEQ__RETURN_IF(clseq__reduce_columns(ctx, p.scratch, p.dquery, p.B, A, p.row, args->dbias.buffer,
                                               args->dbias.offset, true));
    if (args->dscore.buffer)
        CLSEQ__RETURN_IF(clseq__reduce_columns(ctx, p.scratch, p.dvector, p.B, A, p.row, args->dscore.buffer,
                                               args->dscore.offset, true));
    return CLSEQ_OK;
}
