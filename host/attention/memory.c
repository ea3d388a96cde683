/* The memory: what queries need of keys and values. */
#include "attention/check.h"
#include "attention/pass.h"
#include "core/error.h"
#include <clseq/gemm.h>

static clseq_status check(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                          const clseq__attention_places *at, const clseq_attention_memory_args *args)
{
    const int64_t S = shape->S, B = shape->B, K = plan->desc.key, V = plan->desc.value;
    const bool has_values = !plan->values_are_keys;
    clseq__attention_list list = {.call = "attention remember"};
    const clseq__attention_argument all[] = {
        {.name = "keys", .tensor = &args->keys, .needed = true, .ndim = 3, .dims = {S, B, K}},
        {.name = "values", .tensor = &args->values, .needed = has_values, .ndim = 3, .dims = {S, B, V}},
        {.name = "lengths",
         .tensor = &args->lengths,
         .form = CLSEQ__ATTENTION_PACKED,
         .dtype = CLSEQ_DTYPE_I32,
         .ndim = 1,
         .dims = {B}},
        {.name = "mask",
         .tensor = &args->mask,
         .form = CLSEQ__ATTENTION_ANY,
         .dtype = CLSEQ_DTYPE_I32,
         .ndim = 2,
         .dims = {S, B}},
        {.name = "memory",
         .tensor = &args->memory,
         .needed = true,
         .is_written = true,
         .form = CLSEQ__ATTENTION_BYTES,
         .dims = {at->memory_end * (int64_t)sizeof(float)}},
    };
    if (args->values.buffer && !has_values)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "attention remember: values are given, but in this plan the keys are the values");
    CLSEQ__RETURN_IF(clseq__attention_add_weights(&list, plan, "weights", args->weights, false));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq__attention_add_argument(&list, all[i]);
    return clseq__attention_check_arguments(plan->ctx, &list);
}

/* The keys of each row of the batch times their weight; rows of the memory are filled up with zeros before. */
static clseq_status project(const clseq__attention_pass *p, const clseq_tensor *keys)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor none = {.buffer = NULL}, rows = clseq_tensor_transpose(keys, 0, 1);
    const clseq_tensor w = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_KEY);
    const clseq_tensor to =
        clseq__attention_view(p->memory, p->at.keys, p->B, p->S, plan->units, plan->units_row);
    if (plan->units_row != plan->units)
        CLSEQ__RETURN_IF(clseq__attention_fill(p->ctx, plan->kernels[CLSEQ__ATTENTION_FILL_ROWS], p->B * p->S,
                                               &none, plan->units_row, p->memory, p->at.keys));
    return clseq_gemm(p->ctx, &(clseq_gemm_desc){.transpose_b = true}, 1.0f, &rows, &w, 0.0f, &to);
}

static clseq_status copy(const clseq__attention_pass *p, const clseq_tensor *x, int64_t at, int64_t width)
{
    const clseq_tensor rows = clseq_tensor_transpose(x, 0, 1);
    return clseq__attention_copy(p->ctx, p->plan->kernels[CLSEQ__ATTENTION_COPY_ROWS], &rows, p->memory,
                                 p->at.counts, p->memory, clseq__attention_packed_rows(at, p->S, width),
                                 width);
}

/* v, or what it is normalised to; zeros where the score has none. */
static clseq_status fill_vector(const clseq__attention_pass *p)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor v = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_VECTOR);
    const clseq_tensor gain = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_GAIN);
    if (!gain.buffer)
        return clseq__attention_fill(p->ctx, plan->kernels[CLSEQ__ATTENTION_FILL_ROWS], 1, &v,
                                     plan->units_row, p->memory, p->at.vector);
    return clseq__launch(p->ctx, plan->kernels[CLSEQ__ATTENTION_VECTOR], clseq__attention_grid(p->ctx, 1),
                         CLSEQ__ARGS(CLSEQ__L(plan->units), CLSEQ__L(plan->units_row), CLSEQ__M(v.buffer),
                                     CLSEQ__L(v.offset), CLSEQ__M(gain.buffer), CLSEQ__L(gain.offset),
                                     CLSEQ__M(p->memory), CLSEQ__L(p->at.vector),
                                     CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

clseq_status clseq_attention_remember(clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                      const clseq_attention_memory_args *args)
{
    clseq__attention_places at;
    const clseq_tensor none = {.buffer = NULL};
    CLSEQ__RETURN_IF(clseq__attention_check_shape("attention remember", plan, shape));
    CLSEQ__NOT_NULL("attention remember", args);
    clseq__attention_place(plan, shape, &at);
    CLSEQ__RETURN_IF(check(plan, shape, &at, args));
    const clseq__attention_pass p =
        clseq__attention_begin(plan, shape, args->weights, &args->memory, &none, &none, 0, 0);
    CLSEQ__RETURN_IF(clseq__attention_counts(p.ctx, plan->kernels[CLSEQ__ATTENTION_COUNTS], p.S, p.B,
                                             &args->lengths, &args->mask, p.memory, p.at.counts,
                                             p.at.lengths));
    CLSEQ__RETURN_IF(plan->kind->projects_keys ? project(&p, &args->keys)
                                               : copy(&p, &args->keys, p.at.keys, plan->key_row));
    if (p.at.values != p.at.keys)
        CLSEQ__RETURN_IF(
            copy(&p, plan->values_are_keys ? &args->keys : &args->values, p.at.values, plan->value_row));
    return fill_vector(&p);
}
