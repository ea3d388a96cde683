/* Pooling over time on the device against its reference, over all steps and causal. */
#include "reference/attention_case.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/attention.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Operands of a problem: places of inputs as the case has them, and outputs. */
typedef struct run {
    clseq_context *ctx;
    const attention_case *c;
    clseq_attention_pool_desc desc;
    clseq_attention_pool_shape shape;
    guarded weight, bias, score, x, lengths, mask, dy, y, alignment, dx, dweight, dbias, dscore, reserve,
        workspace;
} run;

static guarded tensor(const run *r, int ndim, const int64_t *dims, guarded_layout layout,
                      const double *values)
{
    guarded g = guarded_create(r->ctx, CLSEQ_DTYPE_F32, ndim, dims, layout);
    if (values)
        guarded_write_doubles(&g, values);
    return g;
}

/* NaN at steps that do not count. */
static void write_x(const run *r)
{
    const reference_attention *a = &r->c->a;
    float *values = test_floats_of(r->c->in[ATTENTION_KEYS], r->c->n[ATTENTION_KEYS]);
    for (size_t i = 0; i < r->c->n[ATTENTION_KEYS]; i++)
        if (!attention_case_counts(r->c, i / a->K / a->B, i / a->K % a->B))
            values[i] = NAN;
    guarded_write(&r->x, values);
    free(values);
}

static run create(clseq_context *ctx, const attention_case *c, clseq_mode mode, guarded_layout layout)
{
    const int64_t T = (int64_t)c->a.S, B = (int64_t)c->a.B, H = (int64_t)c->a.K, A = (int64_t)c->a.A;
    run r = {.ctx = ctx,
             .c = c,
             .desc = {.input = H, .units = A, .bias = c->a.bias, .causal = c->a.window == REFERENCE_CAUSAL},
             .shape = {T, B, mode}};
    const int ndim = r.desc.causal ? 3 : 2;
    const int64_t steps[] = {T, B, H}, matrix[] = {A, H};
    const int64_t *y = r.desc.causal ? steps : steps + 1;
    const guarded_layout y_layout = r.desc.causal ? layout : GUARDED_APART;
    clseq_attention_pool_sizes sizes;
    MUST(clseq_attention_pool_measure(ctx, &r.desc, &r.shape, &sizes));
    r.weight = tensor(&r, 2, matrix, GUARDED_DENSE, c->in[ATTENTION_WEIGHT_KEY]);
    r.dweight = tensor(&r, 2, matrix, GUARDED_DENSE, NULL);
    if (r.desc.bias) {
        r.bias = tensor(&r, 1, &A, GUARDED_DENSE, c->in[ATTENTION_BIAS]);
        r.dbias = tensor(&r, 1, &A, GUARDED_DENSE, NULL);
    }
    r.score = tensor(&r, 1, &A, GUARDED_DENSE, c->in[ATTENTION_VECTOR]);
    r.dscore = tensor(&r, 1, &A, GUARDED_DENSE, NULL);
    r.x = tensor(&r, 3, steps, layout, NULL);
    r.dx = tensor(&r, 3, steps, layout, NULL);
    write_x(&r);
    r.y = tensor(&r, ndim, y, y_layout, NULL);
    r.dy = tensor(&r, ndim, y, y_layout, c->in[ATTENTION_DCONTEXT]);
    if (!r.desc.causal)
        r.alignment = tensor(&r, 2, (int64_t[]){B, T}, GUARDED_APART, NULL);
    if (c->lengths)
        r.lengths = operand_tokens(ctx, 1, &B, c->lengths);
    if (c->mask)
        r.mask = operand_tokens(ctx, 2, (int64_t[]){T, B}, c->mask);
    if (mode == CLSEQ_MODE_TRAINING)
        r.reserve = guarded_create(ctx, CLSEQ_DTYPE_U8, 1, &sizes.reserve, GUARDED_DENSE);
    r.workspace = guarded_create(ctx, CLSEQ_DTYPE_U8, 1, &sizes.workspace, GUARDED_DENSE);
    return r;
}

static void destroy(run *r)
{
    guarded *all[] = {&r->weight, &r->bias,    &r->score,  &r->x,       &r->lengths,
                      &r->mask,   &r->dy,      &r->y,      &r->dx,      &r->alignment,
                      &r->dbias,  &r->dweight, &r->dscore, &r->reserve, &r->workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        guarded_destroy(all[i]);
}

static void forward(const run *r)
{
    const guarded *written[] = {&r->y, &r->alignment, &r->reserve, &r->workspace};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++)
        guarded_poison(written[i]);
    MUST(
        clseq_attention_pool_forward(r->ctx, &r->desc, &r->shape,
                                     &(clseq_attention_pool_forward_args){.weight = r->weight.tensor,
                                                                          .bias = r->bias.tensor,
                                                                          .score = r->score.tensor,
                                                                          .x = r->x.tensor,
                                                                          .lengths = r->lengths.tensor,
                                                                          .mask = r->mask.tensor,
                                                                          .y = r->y.tensor,
                                                                          .alignment = r->alignment.tensor,
                                                                          .reserve = r->reserve.tensor,
                                                                          .workspace = r->workspace.tensor}));
}

static void backward(const run *r)
{
    guarded_poison(&r->dx);
    guarded_poison(&r->workspace);
    guarded_zero(&r->dweight);
    guarded_zero(&r->dbias);
    guarded_zero(&r->dscore);
    MUST(clseq_attention_pool_backward(r->ctx, &r->desc, &r->shape,
                                       &(clseq_attention_pool_backward_args){
                                           .weight = r->weight.tensor,
                                           .score = r->score.tensor,
                                           .x = r->x.tensor,
                                           .lengths = r->lengths.tensor,
                                           .mask = r->mask.tensor,
                                           .y = r->desc.causal ? r->y.tensor : (clseq_tensor){.buffer = NULL},
                                           .dy = r->dy.tensor,
                                           .dx = r->dx.tensor,
                                           .dweight = r->dweight.tensor,
                                           .dbias = r->dbias.tensor,
                                           .dscore = r->dscore.tensor,
                                           .reserve = r->reserve.tensor,
                                           .workspace = r->workspace.tensor}));
}

static void check_place(const run *r, int place, const guarded *g)
{
    if (!g->tensor.buffer)
        return;
    const char *name = attention_output_name(place);
    float *got = guarded_read(g);
    cr_assert(compare_floats_each(name, got, r->c->want[place], r->c->n[place], r->c->bound[place]),
              "%s, %s kernels: %s", r->c->variant->name, name, compare_message());
    cr_assert(guarded_intact(name, g), "%s", guarded_message());
    free(got);
}

static void check(clseq_context *ctx, const attention_case *c, guarded_layout layout)
{
    run training = create(ctx, c, CLSEQ_MODE_TRAINING, layout),
        other = create(ctx, c, CLSEQ_MODE_INFERENCE, layout);
    forward(&training);
    forward(&other);
    float *y = guarded_read(&training.y), *z = guarded_read(&other.y);
    cr_assert(compare_bits("inference", z, y, c->n[ATTENTION_DCONTEXT]), "%s", compare_message());
    float *first = NULL;
    for (int again = 0; again < 2; again++) {
        if (again)
            forward(&training);
        backward(&training);
        check_place(&training, ATTENTION_DCONTEXT, &training.y);
        check_place(&training, ATTENTION_DALIGNMENT, &training.alignment);
        check_place(&training, ATTENTION_KEYS, &training.dx);
        check_place(&training, ATTENTION_WEIGHT_KEY, &training.dweight);
        check_place(&training, ATTENTION_BIAS, &training.dbias);
        check_place(&training, ATTENTION_VECTOR, &training.dscore);
        cr_assert(guarded_intact("reserve", &training.reserve), "%s", guarded_message());
        cr_assert(guarded_intact("workspace", &training.workspace), "%s", guarded_message());
        float *dx = guarded_read(&training.dx);
        if (first)
            cr_assert(compare_bits("dx again", dx, first, c->n[ATTENTION_KEYS]), "%s", compare_message());
        free(first);
        first = dx;
    }
    free(first);
    free(y);
    free(z);
    destroy(&training);
    destroy(&other);
}

static void check_variant(int variant)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        for (int k = 0; k < (test_small() ? attention_small_count : attention_shape_count); k++)
            for (attention_rows_kind rows = 0; rows < ATTENTION_ROWS_KINDS; rows++) {
                attention_case *c = attention_case_create(&pool_variants[variant], &attention_shapes[k], rows,
                                                          (uint64_t)(10 * k + variant));
                check(ctx, c, (guarded_layout)((k + (int)rows) % GUARDED_LAYOUTS));
                attention_case_destroy(c);
            }
        clseq_context_destroy(ctx);
    }
}

Test(attention_pool, over_all_steps)
{
    check_variant(0);
    check_variant(1);
}

Test(attention_pool, causal)
{
    check_variant(2);
    check_variant(3);
}

/* Scores that rise and fall by hundreds: nothing overflows, and what came long before fades to nothing. */
Test(attention_pool, causal_of_large_scores)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        const attention_shape shape = {.S = 30, .B = 2, .K = 5, .A = 4};
        attention_case *c = attention_case_create(&pool_variants[2], &shape, ATTENTION_ALL, 3);
        for (int i = 0; i < 4; i++)
            c->in[ATTENTION_VECTOR][i] = 200;
        run r = create(ctx, c, CLSEQ_MODE_TRAINING, GUARDED_DENSE);
        forward(&r);
        backward(&r);
        float *y = guarded_read(&r.y), *dx = guarded_read(&r.dx);
        for (size_t i = 0; i < c->n[ATTENTION_KEYS]; i++)
            cr_assert(fabsf(y[i]) <= 1.0001f && isfinite(dx[i]), "[%zu]: %g, %g", i, (double)y[i],
                      (double)dx[i]);
        free(y);
        free(dx);
        destroy(&r);
        attention_case_destroy(c);
        clseq_context_destroy(ctx);
    }
}
