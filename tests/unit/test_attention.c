/*
 * Attention on the device against its reference: every score, window and location at shapes of 1 and of odd sizes, rows of
 * all lengths and masks, strided layouts, training and inference; one query a call is the same bits as all of them.
 */
#include "support/attention_run.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/operand.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static int shape_count(void)
{
    return test_small() ? attention_small_count : attention_shape_count;
}

/* Training, with everything checked, then inference, whose outputs are the same bits. */
static void check(clseq_context *ctx, const attention_case *c, guarded_layout layout)
{
    attention_run *run = attention_run_create(ctx, c, &(attention_run_options){.layout = layout});
    attention_run *other = attention_run_create(
        ctx, c, &(attention_run_options){.layout = layout, .mode = CLSEQ_MODE_INFERENCE});
    size_t n = 0, m = 0;
    attention_run_forward(run);
    attention_run_backward(run, false);
    attention_run_check(run);
    attention_run_forward(other);
    attention_run_check(other);
    float *a = attention_run_outputs(run, true, &n), *b = attention_run_outputs(other, true, &m);
    cr_assert_eq(n, m);
    cr_assert(compare_bits("inference", b, a, n), "%s: %s", c->variant->name, compare_message());
    free(a);
    free(b);
    attention_run_destroy(run);
    attention_run_destroy(other);
}

static void check_variant(int variant)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        for (int k = 0; k < shape_count(); k++)
            for (attention_rows_kind rows = 0; rows < ATTENTION_ROWS_KINDS; rows++) {
                attention_case *c =
                    attention_case_create(&attention_variants[variant], &attention_shapes[k], rows,
                                          (uint64_t)(100 * variant + 10 * k + (int)rows));
                check(ctx, c, (guarded_layout)((k + (int)rows) % GUARDED_LAYOUTS));
                attention_case_destroy(c);
            }
        clseq_context_destroy(ctx);
    }
}

/* A test each, so that they run side by side. */
#define VARIANT(i)                       \
    Test(attention, variant_##i)         \
    {                                    \
        if (i < attention_variant_count) \
            check_variant(i);            \
    }
VARIANT(0)
VARIANT(1)
VARIANT(2)
VARIANT(3)
VARIANT(4)
VARIANT(5)
VARIANT(6)
VARIANT(7)
VARIANT(8)
VARIANT(9)
VARIANT(10)
VARIANT(11)
VARIANT(12)

Test(attention, every_variant_has_a_test)
{
    cr_assert_eq(attention_variant_count, 13);
}

/* One query a call, two, and all of them, with room to spare or not; and again. */
static void check_pieces(clseq_context *ctx, const attention_case *c)
{
    static const attention_run_options options[] = {
        {.pieces = 0}, {.pieces = 1}, {.pieces = 2}, {.pieces = 1, .spare = 3}, {.pieces = 0}, {.spare = 2}};
    float *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        attention_run *run = attention_run_create(ctx, c, &options[i]);
        attention_run_forward(run);
        attention_run_backward(run, false);
        attention_run_check(run);
        float *got = attention_run_outputs(run, false, &n);
        if (first)
            cr_assert(compare_bits("pieces", got, first, n), "%s, options %zu: %s", c->variant->name, i,
                      compare_message());
        else
            first = got;
        if (first != got)
            free(got);
        attention_run_destroy(run);
    }
    free(first);
}

Test(attention, as_many_calls_of_one_query_are_the_same_bits)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        for (int variant = 0; variant < attention_variant_count; variant++) {
            const attention_shape shape = {5, 9, 3, 21, 14, 0, 20, 0};
            attention_case *c = attention_case_create(&attention_variants[variant], &shape, ATTENTION_MIXED,
                                                      (uint64_t)variant);
            check_pieces(ctx, c);
            attention_case_destroy(c);
        }
        clseq_context_destroy(ctx);
    }
}

/* In inference the steps of a decoder, each by itself, are those of the whole. */
Test(attention, a_decoder_sees_the_same_bits)
{
    clseq_context *ctx = test_context();
    for (int variant = 0; variant < attention_variant_count; variant++) {
        const attention_shape shape = {4, 6, 2, 7, 7, 3, 18, 0};
        float *outputs[2];
        size_t n = 0;
        attention_case *c =
            attention_case_create(&attention_variants[variant], &shape, ATTENTION_MASKED, (uint64_t)variant);
        for (int64_t pieces = 0; pieces < 2; pieces++) {
            attention_run *run = attention_run_create(
                ctx, c, &(attention_run_options){.mode = CLSEQ_MODE_INFERENCE, .pieces = pieces});
            attention_run_forward(run);
            outputs[pieces] = attention_run_outputs(run, true, &n);
            attention_run_destroy(run);
        }
        cr_assert(compare_bits("steps", outputs[1], outputs[0], n), "%s: %s", c->variant->name,
                  compare_message());
        free(outputs[0]);
        free(outputs[1]);
        attention_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

/* Any descriptor and shape, whatever goes together. */
static attention_variant draw_variant(test_random *random)
{
    attention_variant v = {.name = "random", .score = test_random_int(random, 0, 3)};
    v.window = (reference_window)test_random_int(random, REFERENCE_GLOBAL, REFERENCE_PREDICTED);
    if (v.window != REFERENCE_GLOBAL)
        v.radius = (size_t)test_random_int(random, 1, 6);
    if (v.window == REFERENCE_MONOTONIC)
        v.rate = test_random_int(random, 1, 12) / 4.0;
    if (v.score != ATTENTION_ADDITIVE)
        return v;
    v.bias = test_random_int(random, 0, 1);
    v.normalise = test_random_int(random, 0, 1);
    if (test_random_int(random, 0, 2) == 0) {
        v.C = (size_t)test_random_int(random, 1, 5);
        v.width = 2 * (size_t)test_random_int(random, 0, 6) + 1;
        v.sums = test_random_int(random, 0, 1);
    }
    return v;
}

Test(attention, random_descriptors)
{
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(2015);
    for (int i = 0; i < (test_small() ? 5 : 40); i++) {
        const attention_variant v = draw_variant(&random);
        size_t n[8];
        for (int k = 0; k < 8; k++)
            n[k] = (size_t)test_random_int(&random, 1, k < 3 ? 12 : 40);
        const attention_shape shape = {n[0], n[1], n[2], n[3], n[4], i % 2 ? n[5] : 0, n[6], n[7]};
        attention_case *c =
            attention_case_create(&v, &shape, (attention_rows_kind)(i % ATTENTION_ROWS_KINDS), (uint64_t)i);
        check(ctx, c, (guarded_layout)(i % GUARDED_LAYOUTS));
        attention_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

/* Scores of hundreds: nothing overflows; alignments are off, relative to them, by what sums of such products round off. */
Test(attention, large_scores)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        const attention_shape shape = {4, 6, 2, 16, 16, 0, 0, 0};
        attention_case *c = attention_case_create(&attention_variants[3], &shape, ATTENTION_ALL, 3);
        for (size_t i = 0; i < c->n[ATTENTION_QUERIES]; i++)
            c->in[ATTENTION_QUERIES][i] *= 300;
        reference_attention_run(&c->a, c->in, c->want, true);
        const double bound = 2 * test_sum_bound(16, 300 * 16);
        attention_run *run = attention_run_create(ctx, c, &(attention_run_options){.layout = GUARDED_DENSE});
        attention_run_forward(run);
        attention_run_backward(run, false);
        float *alignment = guarded_read(&run->alignment), *dkeys = guarded_read(&run->out[ATTENTION_KEYS]);
        cr_assert(compare_floats("alignment", alignment, c->want[ATTENTION_DALIGNMENT],
                                 c->n[ATTENTION_DALIGNMENT], bound),
                  "%s", compare_message());
        for (size_t i = 0; i < c->n[ATTENTION_KEYS]; i++)
            cr_assert(isfinite(dkeys[i]), "dkeys[%zu] is %g", i, (double)dkeys[i]);
        free(alignment);
        free(dkeys);
        attention_run_destroy(run);
        attention_case_destroy(c);
        clseq_context_destroy(ctx);
    }
}
