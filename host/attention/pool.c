/* Pooling over time, forward. */
#include "attention/pool.h"
#include "core/error.h"
#include "rnn/floats.h"

static const char *const names[CLSEQ__POOL_KERNELS] = {
    [CLSEQ__POOL_COUNTS] = "attention_counts",
    [CLSEQ__POOL_COPY_ROWS] = "attention_copy_rows",
    [CLSEQ__POOL_FILL_ROWS] = "attention_fill_rows",
    [CLSEQ__POOL_FORWARD] = "attention_forward",
    [CLSEQ__POOL_SCORES] = "attention_scores",
    [CLSEQ__POOL_DSCORES] = "attention_dscores",
    [CLSEQ__POOL_DPROJECT] = "attention_dproject",
    [CLSEQ__POOL_PARTS] = "attention_pool_parts",
    [CLSEQ__POOL_CAUSAL] = "attention_pool_causal",
    [CLSEQ__POOL_CAUSAL_BACKWARD] = "attention_pool_causal_backward",
    [CLSEQ__POOL_SPREAD] = "attention_pool_spread",
};

static void place(clseq__pool_pass *p, clseq_mode mode)
{
    const int64_t steps = p->T * p->B, training = mode == CLSEQ_MODE_TRAINING;
    int64_t end = 0;
    p->projected = clseq__take(&end, steps * p->row);
    p->query = clseq__take(&end, p->row);
    p->vector = clseq__take(&end, p->row);
    p->alignment = clseq__take(&end, steps);
    p->parts = clseq__take(&end, p->desc->causal ? 2 * steps : 0);
    p->counts = clseq__take(&end, steps);
    p->lengths = clseq__take(&end, p->B);
    p->kept_end = end;
    if (training)
        end = 0;
    p->copied = clseq__take(&end, training * steps * p->desc->input);
    p->dscores = clseq__take(&end, steps);
    p->dquery = clseq__take(&end, p->B * p->row);
    p->dvector = clseq__take(&end, p->B * p->row);
    p->carried = clseq__take(&end, p->B * p->desc->input);
    p->scratch_end = end;
}

clseq_status clseq__pool_begin(const char *call, clseq_context *ctx, const clseq_attention_pool_desc *desc,
                               const clseq_attention_pool_shape *shape, clseq__pool_pass *p)
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
    *p = (clseq__pool_pass){
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
    clseq__pool_pass p = {.T = 0};
    CLSEQ__NOT_NULL("attention pool sizes", out);
    CLSEQ__RETURN_IF(clseq__pool_begin("attention pool sizes", ctx, desc, shape, &p));
    *out = (clseq_attention_pool_sizes){.reserve = p.kept_end * (int64_t)sizeof(float),
                                        .workspace = p.scratch_end * (int64_t)sizeof(float)};
    return CLSEQ_OK;
}

void clseq__pool_use(clseq__pool_pass *p, clseq_mode mode, const clseq_tensor *reserve,
                     const clseq_tensor *workspace)
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

clseq_status clseq__pool_kernel(const clseq__pool_pass *p, int kernel, clseq__kernel **out)
{
    return clseq__kernel_get(p->ctx, "attention/", "-DSCORE=additive", names[kernel], out);
}

attention_record clseq__pool_record(const clseq__pool_pass *p, const clseq_tensor *x)
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

attention_rows clseq__pool_rows_of_y(const clseq__pool_pass *p, const clseq_tensor *y)
{
    return p->desc->causal ? clseq__attention_rows_of(y) : (attention_rows){y->offset, {0, y->strides[0]}};
}

clseq_tensor clseq__pool_projected(const clseq__pool_pass *p)
{
    return clseq__attention_view(p->kept, p->projected, p->T, p->B, p->desc->units, p->row);
}

static clseq_status project(const clseq__pool_pass *p, const clseq_attention_pool_forward_args *args)
{
    clseq__kernel *fill = NULL, *counts = NULL;
    const clseq_tensor none = {.buffer = NULL}, y = clseq__pool_projected(p);
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_FILL_ROWS, &fill));
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_COUNTS, &counts));
    CLSEQ__RETURN_IF(clseq__attention_counts(p->ctx, counts, p->T, p->B, &args->lengths, &args->mask, p->kept,
                                             p->counts, p->lengths));
    CLSEQ__RETURN_IF(clseq__attention_fill(p->ctx, fill, 1, &args->bias, p->row, p->kept, p->query));
    CLSEQ__RETURN_IF(clseq__attention_fill(p->ctx, fill, 1, &args->score, p->row, p->kept, p->vector));
    if (p->row != p->desc->units)
        CLSEQ__RETURN_IF(
            clseq__attention_fill(p->ctx, fill, p->T * p->B, &none, p->row, p->kept, p->projected));
    return clseq__attention_product(p->ctx, &args->x, &args->weight, true, 0.0f, &y);
}

static clseq_status pool_whole(const clseq__pool_pass *p, const clseq_attention_pool_forward_args *args)
{
    clseq__kernel *kernel = NULL;
    attention_record r = clseq__pool_record(p, &args->x);
    r.context = clseq__pool_rows_of_y(p, &args->y);
    r.given = (attention_rows){args->alignment.offset, {0, args->alignment.strides[0]}};
    r.has_given = args->alignment.buffer != NULL;
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_FORWARD, &kernel));
    return clseq__launch(p->ctx, kernel, clseq__attention_grid(p->ctx, p->B),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                                     CLSEQ__M(args->x.buffer), CLSEQ__M(p->kept), CLSEQ__M(p->kept),
                                     CLSEQ__M(NULL), CLSEQ__M(p->kept), CLSEQ__M(args->alignment.buffer),
                                     CLSEQ__M(args->y.buffer), CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

/* Parts of the features of a row that are worked on side by side. */
static int64_t parts_of(const clseq__pool_pass *p)
{
    const int64_t H = p->desc->input, vectors = clseq__divided(H, p->ctx->traits.vector_width);
    if (!p->ctx->traits.is_cpu)
        return H;
    const int64_t wanted = clseq__divided(p->ctx->traits.groups, p->B);
    return wanted < vectors ? wanted : vectors;
}

static clseq_status pool_causal(const clseq__pool_pass *p, const clseq_attention_pool_forward_args *args)
{
    clseq__kernel *scores = NULL, *parts = NULL, *causal = NULL;
    const int64_t across = parts_of(p);
    attention_record r = clseq__pool_record(p, &args->x);
    attention_record of_scores = r;
    of_scores.alignment = r.dscores = clseq__attention_packed_rows(p->alignment, p->B, p->T);
    r.context = clseq__pool_rows_of_y(p, &args->y);
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_SCORES, &scores));
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_PARTS, &parts));
    CLSEQ__RETURN_IF(clseq__pool_kernel(p, CLSEQ__POOL_CAUSAL, &causal));
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

void clseq__pool_list(clseq__attention_list *list, const clseq__pool_pass *p, const clseq__pool_given *g,
                      clseq_mode mode)
{
    static const clseq_tensor none = {.buffer = NULL};
    const int64_t A = p->desc->units, H = p->desc->input;
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
        clseq__attention_memory_of("reserve", training ? g->reserve : &none, training, true, p->kept_end),
        clseq__attention_memory_of("workspace", g->workspace, true, true, p->scratch_end),
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq__attention_add_argument(list, all[i]);
}

clseq__attention_argument clseq__pool_like_y(const clseq__pool_pass *p, const char *name,
                                             const clseq_tensor *tensor, bool is_written)
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
    clseq__pool_pass p = {.T = 0};
    clseq__attention_list list = {.call = call};
    CLSEQ__RETURN_IF(clseq__pool_begin(call, ctx, desc, shape, &p));
    CLSEQ__NOT_NULL(call, args);
    if ((args->bias.buffer && !desc->bias) || (args->alignment.buffer && desc->causal))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is given, which this pooling does not have", call,
                            args->bias.buffer && !desc->bias ? "bias" : "alignment");
    clseq__pool_list(&list, &p,
                     &(clseq__pool_given){&args->weight, &args->bias, &args->score, &args->x, &args->lengths,
                                          &args->mask, &args->reserve, &args->workspace},
                     shape->mode);
    clseq__attention_add_argument(&list, clseq__pool_like_y(&p, "y", &args->y, true));
    clseq__attention_add_argument(&list, (clseq__attention_argument){.name = "alignment",
                                                                     .tensor = &args->alignment,
                                                                     .is_written = true,
                                                                     .ndim = 2,
                                                                     .dims = {p.B, p.T}});
    CLSEQ__RETURN_IF(clseq__attention_check_arguments(ctx, &list));
    clseq__pool_use(&p, shape->mode, &args->reserve, &args->workspace);
    CLSEQ__RETURN_IF(project(&p, args));
    return desc->causal ? pool_causal(&p, args) : pool_whole(&p, args);
}
