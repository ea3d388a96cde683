/*
 * Pooling over time: attention whose one query is the bias. Steps are projected in the order of time, [T][B][row], as each is
 * read once. Kept: projected, scores or alignment [B][T], parts [B][T][2] of causal, and which steps count. All places count
 * floats.
 */
#include "attention/check.h"
#include "attention/pass.h"
#include "core/error.h"
#include "linalg/reduce.h"
#include "rnn/floats.h"
#include <clseq/gemm.h>

enum {
    COUNTS,
    COPY_ROWS,
    FILL_ROWS,
    FORWARD,
    SCORES,
    DSCORES,
    DPROJECT,
    PARTS,
    CAUSAL,
    CAUSAL_BACKWARD,
    SPREAD,
    KERNELS
};

static const char *const names[KERNELS] = {
    [COUNTS] = "attention_counts",       [COPY_ROWS] = "attention_copy_rows",
    [FILL_ROWS] = "attention_fill_rows", [FORWARD] = "attention_forward",
    [SCORES] = "attention_scores",       [DSCORES] = "attention_dscores",
    [DPROJECT] = "attention_dproject",   [PARTS] = "attention_pool_parts",
    [CAUSAL] = "attention_pool_causal",  [CAUSAL_BACKWARD] = "attention_pool_causal_backward",
    [SPREAD] = "attention_pool_spread",
};

typedef struct pass {
    clseq_context *ctx;
    const clseq_attention_pool_desc *desc;
    int64_t T, B, row; /* `row`: the units of a step, filled up */
    cl_mem kept, scratch;
    /* kept */
    int64_t projected, query, vector, alignment, parts, counts, lengths, kept_end;
    /* scratch */
    int64_t copied, dscores, dquery, dvector, carried, scratch_end;
} pass;

static void place(pass *p, clseq_mode mode)
{
    const int64_t steps = p->T * p->B;
    int64_t end = 0;
    p->projected = clseq__take(&end, steps * p->row);
    p->query = clseq__take(&end, p->row);
    p->vector = clseq__take(&end, p->row);
    p->alignment = clseq__take(&end, steps);
    p->parts = clseq__take(&end, p->desc->causal ? 2 * steps : 0);
    p->counts = clseq__take(&end, steps);
    p->lengths = clseq__take(&end, p->B);
    p->kept_end = end;
    if (mode == CLSEQ_MODE_TRAINING)
        end = 0;
    p->copied = clseq__take(&end, steps * p->desc->input);
    p->dscores = clseq__take(&end, steps);
    p->dquery = clseq__take(&end, p->B * p->row);
    p->dvector = clseq__take(&end, p->B * p->row);
    p->carried = clseq__take(&end, p->B * p->desc->input);
    p->scratch_end = end;
}

static clseq_status begin(const char *call, clseq_context *ctx, const clseq_attention_pool_desc *desc,
                          const clseq_attention_pool_shape *shape, pass *p)
{
    CLSEQ__NEEDS(call, ctx);
    CLSEQ__NOT_NULL(call, desc);
    CLSEQ__NOT_NULL(call, shape);
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "input", desc->input));
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "units", desc->units));
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "T", shape->T));
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "B", shape->B));
    CLSEQ__RETURN_IF(clseq__attention_check_mode(call, shape->mode));
    const double floats =
        (double)shape->T * (double)shape->B * ((double)desc->units + (double)desc->input + 64);
    if (floats * sizeof(float) > 1e17)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: T %lld and B %lld are too large together", call,
                            (long long)shape->T, (long long)shape->B);
    *p = (pass){
        .ctx = ctx, .desc = desc, .T = shape->T, .B = shape->B, .row = clseq__attention_row(desc->units)};
    place(p, shape->mode);
    const int64_t size = (int64_t)sizeof(float);
    if (shape->mode == CLSEQ_MODE_TRAINING)
        CLSEQ__RETURN_IF(clseq__attention_check_bytes(ctx, call, "reserve", p->kept_end * size));
    return clseq__attention_check_bytes(ctx, call, "workspace", p->scratch_end * size);
}

clseq_status clseq_attention_pool_measure(clseq_context *ctx, const clseq_attention_pool_desc *desc,
                                          const clseq_attention_pool_shape *shape,
                                          clseq_attention_pool_sizes *out)
{
    pass p = {.T = 0};
    CLSEQ__NOT_NULL("attention pool sizes", out);
    CLSEQ__RETURN_IF(begin("attention pool sizes", ctx, desc, shape, &p));
    *out = (clseq_attention_pool_sizes){.reserve = p.kept_end * (int64_t)sizeof(float),
                                        .workspace = p.scratch_end * (int64_t)sizeof(float)};
    return CLSEQ_OK;
}

/* Moves places to where the buffers' tensors begin. */
static void use(pass *p, clseq_mode mode, const clseq_tensor *reserve, const clseq_tensor *workspace)
{
    const clseq_tensor *kept = mode == CLSEQ_MODE_TRAINING ? reserve : workspace;
    const int64_t size = (int64_t)sizeof(float);
    p->kept = kept->buffer;
    p->scratch = workspace->buffer;
    for (int64_t *at = &p->projected; at < &p->copied; at++)
        *at += kept->offset / size;
    for (int64_t *at = &p->copied; at < &p->scratch_end; at++)
        *at += workspace->offset / size;
}

static clseq_status get(const pass *p, int kernel, clseq__kernel **out)
{
    return clseq__kernel_get(p->ctx, "attention/", "-DSCORE=additive", names[kernel], out);
}

/* What kernels take: steps are keys and values, and the query is the same for all rows. */
static attention_record record_of(const pass *p, const clseq_tensor *x)
{
    attention_record r = {.T = 1,
                          .S = p->T,
                          .B = p->B,
                          .value = p->desc->input,
                          .units = p->row,
                          .vector = p->vector,
                          .counts = p->counts,
                          .lengths = p->lengths,
                          .dvector = p->dvector,
                          .carried = p->carried,
                          .fresh = 1};
    r.queries.at = p->query;
    r.keys = (attention_rows){p->projected, {p->row, p->B * p->row}};
    r.dkeys = r.keys;
    r.values = (attention_rows){x->offset, {x->strides[1], x->strides[0]}};
    r.alignment = clseq__attention_packed_rows(p->desc->causal ? p->parts : p->alignment, p->B,
                                               (p->desc->causal ? 2 : 1) * p->T);
    r.dscores = clseq__attention_packed_rows(p->dscores, p->B, p->T);
    r.dqueries = clseq__attention_packed_rows(p->dquery, p->B, p->row);
    return r;
}

/* y as rows (t,b), of which there is one for each b where it is not causal. */
static attention_rows rows_of_y(const pass *p, const clseq_tensor *y)
{
    return p->desc->causal ? clseq__attention_rows_of(y) : (attention_rows){y->offset, {0, y->strides[0]}};
}

/* x with zeros where a step does not count. */
static clseq_status copy_x(const pass *p, const clseq_tensor *x)
{
    clseq__kernel *kernel = NULL;
    const clseq_tensor rows = clseq_tensor_transpose(x, 0, 1);
    CLSEQ__RETURN_IF(get(p, COPY_ROWS, &kernel));
    return clseq__attention_copy(p->ctx, kernel, &rows, p->kept, p->counts, p->scratch,
                                 (attention_rows){p->copied, {p->desc->input, p->B * p->desc->input}},
                                 p->desc->input);
}

/* Steps as [T,B,units]. */
static clseq_tensor projected_of(const pass *p)
{
    return clseq__attention_view(p->kept, p->projected, p->T, p->B, p->desc->units, p->row);
}

static clseq_status project(const pass *p, const clseq_attention_pool_forward_args *args)
{
    clseq__kernel *fill = NULL, *counts = NULL;
    const clseq_tensor none = {.buffer = NULL}, y = projected_of(p);
    CLSEQ__RETURN_IF(get(p, FILL_ROWS, &fill));
    CLSEQ__RETURN_IF(get(p, COUNTS, &counts));
    CLSEQ__RETURN_IF(clseq__attention_counts(p->ctx, counts, p->T, p->B, &args->lengths, &args->mask, p->kept,
                                             p->counts, p->lengths));
    CLSEQ__RETURN_IF(clseq__attention_fill(p->ctx, fill, 1, &args->bias, p->row, p->kept, p->query));
    CLSEQ__RETURN_IF(clseq__attention_fill(p->ctx, fill, 1, &args->score, p->row, p->kept, p->vector));
    if (p->row != p->desc->units)
        CLSEQ__RETURN_IF(
            clseq__attention_fill(p->ctx, fill, p->T * p->B, &none, p->row, p->kept, p->projected));
    return clseq__attention_product(p->ctx, &args->x, &args->weight, true, 0.0f, &y);
}

static clseq_status pool_whole(const pass *p, const clseq_attention_pool_forward_args *args)
{
    clseq__kernel *kernel = NULL;
    attention_record r = record_of(p, &args->x);
    r.context = rows_of_y(p, &args->y);
    r.given = (attention_rows){args->alignment.offset, {0, args->alignment.strides[0]}};
    r.has_given = args->alignment.buffer != NULL;
    CLSEQ__RETURN_IF(get(p, FORWARD, &kernel));
    return clseq__launch(p->ctx, kernel, clseq__attention_grid(p->ctx, p->B),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                                     CLSEQ__M(args->x.buffer), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                                     CLSEQ__M(NULL), CLSEQ__M(p->kept), CLSEQ__M(args->alignment.buffer),
                                     CLSEQ__M(args->y.buffer), CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

/* Parts of the features of a row that are worked on side by side. */
static int64_t parts_of(const pass *p)
{
    const int64_t H = p->desc->input, vectors = clseq__divided(H, p->ctx->traits.vector_width);
    if (!p->ctx->traits.is_cpu)
        return H;
    const int64_t wanted = clseq__divided(p->ctx->traits.groups, p->B);
    return wanted < vectors ? wanted : vectors;
}

static clseq_status pool_causal(const pass *p, const clseq_attention_pool_forward_args *args)
{
    clseq__kernel *scores = NULL, *parts = NULL, *causal = NULL;
    const int64_t across = parts_of(p);
    attention_record r = record_of(p, &args->x);
    attention_record of_scores = r;
    of_scores.alignment = r.dscores = clseq__attention_packed_rows(p->alignment, p->B, p->T);
    r.context = rows_of_y(p, &args->y);
    CLSEQ__RETURN_IF(get(p, SCORES, &scores));
    CLSEQ__RETURN_IF(get(p, PARTS, &parts));
    CLSEQ__RETURN_IF(get(p, CAUSAL, &causal));
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, scores, clseq__attention_grid(p->ctx, p->B * clseq__divided(p->T, 64)),
        CLSEQ__ARGS(CLSEQ__RECORD(&of_scores), CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                    CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__LOCAL(clseq__attention_local(p->ctx)))));
    CLSEQ__RETURN_IF(clseq__launch(p->ctx, parts, clseq__grid_for(p->ctx, p->B * p->T),
                                   CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->kept))));
    return clseq__launch(p->ctx, causal, clseq__attention_grid_alone(p->ctx, p->B * across),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__L(across), CLSEQ__M(args->x.buffer),
                                     CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__M(args->y.buffer)));
}

/* The arguments that both ways have, and those of y's shape. */
typedef struct given {
    const clseq_tensor *weight, *bias /* NULL: backward has none */, *score, *x, *lengths, *mask, *reserve,
        *workspace;
} given;

static void list_given(clseq__attention_list *list, const pass *p, const given *g, clseq_mode mode)
{
    static const clseq_tensor none = {.buffer = NULL};
    const int64_t A = p->desc->units, H = p->desc->input, bytes = (int64_t)sizeof(float);
    const bool training = mode == CLSEQ_MODE_TRAINING;
    const clseq__attention_argument all[] = {
        {.name = "weight",
         .tensor = g->weight,
         .needed = true,
         .form = CLSEQ__ATTENTION_PACKED,
         .ndim = 2,
         .dims = {A, H}},
        {.name = "bias",
         .tensor = g->bias ? g->bias : &none,
         .needed = g->bias && p->desc->bias,
         .form = CLSEQ__ATTENTION_PACKED,
         .ndim = 1,
         .dims = {A}},
        {.name = "score",
         .tensor = g->score,
         .needed = true,
         .form = CLSEQ__ATTENTION_PACKED,
         .ndim = 1,
         .dims = {A}},
        {.name = "x", .tensor = g->x, .needed = true, .ndim = 3, .dims = {p->T, p->B, H}},
        {.name = "lengths",
         .tensor = g->lengths,
         .form = CLSEQ__ATTENTION_PACKED,
         .dtype = CLSEQ_DTYPE_I32,
         .ndim = 1,
         .dims = {p->B}},
        {.name = "mask",
         .tensor = g->mask,
         .form = CLSEQ__ATTENTION_ANY,
         .dtype = CLSEQ_DTYPE_I32,
         .ndim = 2,
         .dims = {p->T, p->B}},
        {.name = "reserve",
         .tensor = training ? g->reserve : &none,
         .needed = training,
         .is_written = true,
         .form = CLSEQ__ATTENTION_BYTES,
         .dims = {p->kept_end * bytes}},
        {.name = "workspace",
         .tensor = g->workspace,
         .needed = true,
         .is_written = true,
         .form = CLSEQ__ATTENTION_BYTES,
         .dims = {p->scratch_end * bytes}},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq__attention_add_argument(list, all[i]);
}

/* [B,H], or [T,B,H] where it is causal. */
static clseq__attention_argument like_y(const pass *p, const char *name, const clseq_tensor *tensor,
                                        bool is_written)
{
    clseq__attention_argument y = {.name = name,
                                   .tensor = tensor,
                                   .needed = true,
                                   .is_written = is_written,
                                   .ndim = 2,
                                   .dims = {p->B, p->desc->input}};
    if (p->desc->causal)
        y = (clseq__attention_argument){.name = name,
                                        .tensor = tensor,
                                        .needed = true,
                                        .is_written = is_written,
                                        .ndim = 3,
                                        .dims = {p->T, p->B, p->desc->input}};
    return y;
}

clseq_status clseq_attention_pool_forward(clseq_context *ctx, const clseq_attention_pool_desc *desc,
                                          const clseq_attention_pool_shape *shape,
                                          const clseq_attention_pool_forward_args *args)
{
    static const char call[] = "attention pool forward";
    pass p = {.T = 0};
    clseq__attention_list list = {.call = call};
    CLSEQ__RETURN_IF(begin(call, ctx, desc, shape, &p));
    CLSEQ__NOT_NULL(call, args);
    if ((args->bias.buffer && !desc->bias) || (args->alignment.buffer && desc->causal))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is given, which this pooling does not have", call,
                            args->bias.buffer && !desc->bias ? "bias" : "alignment");
    list_given(&list, &p,
               &(given){&args->weight, &args->bias, &args->score, &args->x, &args->lengths, &args->mask,
                        &args->reserve, &args->workspace},
               shape->mode);
    clseq__attention_add_argument(&list, like_y(&p, "y", &args->y, true));
    clseq__attention_add_argument(&list, (clseq__attention_argument){.name = "alignment",
                                                                     .tensor = &args->alignment,
                                                                     .is_written = true,
                                                                     .ndim = 2,
                                                                     .dims = {p.B, p.T}});
    CLSEQ__RETURN_IF(clseq__attention_check_arguments(ctx, &list));
    use(&p, shape->mode, &args->reserve, &args->workspace);
    CLSEQ__RETURN_IF(project(&p, args));
    return desc->causal ? pool_causal(&p, args) : pool_whole(&p, args);
}

/* The gradients of scores, and what goes straight to x. */
static clseq_status scores_backward(const pass *p, const clseq_attention_pool_backward_args *args)
{
    clseq__kernel *kernel = NULL;
    attention_record r = record_of(p, &args->x);
    r.dqueries = clseq__attention_rows_of(&args->dx);
    if (p->desc->causal) {
        r.context = rows_of_y(p, &args->y);
        r.given = rows_of_y(p, &args->dy);
        CLSEQ__RETURN_IF(get(p, CAUSAL_BACKWARD, &kernel));
        return clseq__launch(p->ctx, kernel, clseq__attention_grid(p->ctx, p->B),
                             CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(args->x.buffer), CLSEQ__M(p->kept),
                                         CLSEQ__M(p->kept), CLSEQ__M(args->y.buffer),
                                         CLSEQ__M(args->dy.buffer), CLSEQ__M(p->scratch),
                                         CLSEQ__M(p->scratch), CLSEQ__M(args->dx.buffer),
                                         CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
    }
    r.context = rows_of_y(p, &args->dy);
    CLSEQ__RETURN_IF(get(p, DSCORES, &kernel));
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, kernel, clseq__attention_grid(p->ctx, p->B),
        CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(args->dy.buffer), CLSEQ__M(args->x.buffer), CLSEQ__M(p->kept),
                    CLSEQ__M(NULL), CLSEQ__M(p->kept), CLSEQ__M(NULL), CLSEQ__M(p->scratch),
                    CLSEQ__M(p->scratch), CLSEQ__LOCAL(clseq__attention_local(p->ctx)))));
    if (!args->dx.buffer)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(get(p, SPREAD, &kernel));
    return clseq__launch(p->ctx, kernel, clseq__grid_for(p->ctx, p->T * p->B * p->desc->input),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(args->dy.buffer),
                                     CLSEQ__M(args->dx.buffer)));
}

/* The gradients of what is projected take its place. */
static clseq_status projection_backward(const pass *p, const clseq_tensor *x)
{
    clseq__kernel *kernel = NULL;
    const attention_record r = record_of(p, x);
    const int64_t width = p->ctx->traits.is_cpu ? p->ctx->traits.vector_width : 1;
    CLSEQ__RETURN_IF(get(p, DPROJECT, &kernel));
    return clseq__launch(p->ctx, kernel, clseq__attention_grid_alone(p->ctx, p->B * p->row / width),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                                     CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__M(p->scratch),
                                     CLSEQ__M(p->scratch), CLSEQ__M(p->kept), CLSEQ__M(p->scratch)));
}

/* Steps that do not count may be NaN: they are zeros in a copy, which an even x without them needs none of. */
static clseq_status weight_backward(const pass *p, const clseq_attention_pool_backward_args *args)
{
    const clseq_tensor d = projected_of(p), *x = &args->x;
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
    pass p = {.T = 0};
    clseq__attention_list list = {.call = call};
    CLSEQ__RETURN_IF(begin(call, ctx, desc, shape, &p));
    CLSEQ__NOT_NULL(call, args);
    CLSEQ__RETURN_IF(clseq__attention_check_training(call, shape->mode));
    if ((args->dbias.buffer && !desc->bias) || (args->y.buffer && !desc->causal))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is given, which this pooling does not have", call,
                            args->dbias.buffer && !desc->bias ? "dbias" : "y");
    list_given(&list, &p,
               &(given){&args->weight, NULL, &args->score, &args->x, &args->lengths, &args->mask,
                        &args->reserve, &args->workspace},
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
        clseq__attention_add_argument(&list, like_y(&p, "y", &args->y, false));
    clseq__attention_add_argument(&list, like_y(&p, "dy", &args->dy, false));
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        clseq__attention_add_argument(&list, outputs[i]);
    CLSEQ__RETURN_IF(clseq__attention_check_arguments(ctx, &list));
    use(&p, shape->mode, &args->reserve, &args->workspace);
    const clseq_tensor d = projected_of(&p);
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
