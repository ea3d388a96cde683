/* Calls of recurrent plans: every refusal of an argument and its sentence. */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refused(clseq_status got, clseq_status expected, const char *sentence)
{
    cr_assert_eq(got, expected, "got %s (%s), expected %s", clseq_status_name(got), clseq_last_error(),
                 clseq_status_name(expected));
    cr_assert(strstr(clseq_last_error(), sentence) != NULL, "the sentence is \"%s\", expected \"%s\" in it",
              clseq_last_error(), sentence);
}

/* Everything that a good call needs, to be spoilt one thing at a time. The arrays of arguments belong to the run. */
typedef struct good {
    clseq_context *ctx;
    clseq_rnn_plan *plan;
    rnn_case *c;
    rnn_run *run;
    clseq_rnn_shape shape;
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
} good;

enum { T = 5, B = 3, I = 7, H = 4, L = 2 };

static const int lengths[] = {5, 0, 2};

static good good_create(reference_rnn net)
{
    good g = {.ctx = test_context(), .shape = {.T = T, .B = B}};
    net.T = T;
    net.B = B;
    net.I = I;
    net.H = H;
    net.L = L;
    net.bias = REFERENCE_BIAS_SINGLE;
    net.lengths = lengths;
    g.c = rnn_case_create(&net, 1, 0);
    g.run = rnn_run_create(g.ctx, g.c, &(rnn_run_options){.schedule = CLSEQ_SCHEDULE_AUTO});
    cr_assert_not_null(g.run, "%s", clseq_last_error());
    g.plan = g.run->plan;
    g.forward = rnn_run_forward_args(g.run);
    g.backward = rnn_run_backward_args(g.run);
    return g;
}

static good good_of(const char *cell)
{
    return good_create((reference_rnn){.cell = reference_cell_find(cell)});
}

static void good_destroy(good *g)
{
    rnn_run_destroy(g->run);
    rnn_case_destroy(g->c);
    clseq_context_destroy(g->ctx);
}

static clseq_status run_pack(good *g)
{
    return clseq_rnn_pack(g->plan, &g->shape, g->run->given + RNN_WEIGHTS, &g->forward.packed);
}

static clseq_status run_forward(good *g)
{
    return clseq_rnn_forward(g->plan, &g->shape, &g->forward);
}

static clseq_status run_backward(good *g)
{
    return clseq_rnn_backward(g->plan, &g->shape, &g->backward);
}

/* ---- tensors that are wrong ---- */

/* Ways to spoil a tensor, each with what must be said of it. */
static void spoil(clseq_tensor *tensor, int how)
{
    const int last = tensor->ndim - 1;
    switch (how) {
    case 0:
        tensor->dtype = tensor->dtype == CLSEQ_DTYPE_F32 ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32;
        break;
    case 1:
        tensor->dtype = tensor->dtype == CLSEQ_DTYPE_U8 ? CLSEQ_DTYPE_F32 : CLSEQ_DTYPE_U8;
        break;
    case 2:
        tensor->ndim--;
        break;
    case 3:
        tensor->dims[last]--;
        break;
    case 4:
        tensor->strides[last] = 0;
        break;
    default:
        tensor->offset = 1 << 20;
        break;
    }
}

static const clseq_status spoilt[] = {CLSEQ_INVALID_DTYPE, CLSEQ_INVALID_DTYPE, CLSEQ_INVALID_SHAPE,
                                      CLSEQ_INVALID_SHAPE, CLSEQ_INVALID_SHAPE, CLSEQ_OUT_OF_BOUNDS};
enum { SPOILS = sizeof spoilt / sizeof spoilt[0] };

/* One argument of a call is spoilt in every way; the sentence must begin with its name. */
static void refuse(good *g, clseq_status (*run)(good *g), clseq_tensor *argument, const char *name)
{
    const clseq_tensor own = *argument;
    for (int how = 0; how < SPOILS; how++) {
        char begin[160];
        spoil(argument, how);
        refused(run(g), spoilt[how], name);
        snprintf(begin, sizeof begin, "%s ", name);
        cr_assert(strncmp(clseq_last_error(), begin, strlen(begin)) == 0, "%s", clseq_last_error());
        *argument = own;
    }
}

Test(rnn_arguments, wrong_tensors_of_passes)
{
    good g = good_of("lstm");
    refuse(&g, run_forward, &g.forward.packed, "rnn forward: packed");
    refuse(&g, run_forward, &g.forward.x, "rnn forward: x");
    refuse(&g, run_forward, &g.forward.lengths, "rnn forward: lengths");
    refuse(&g, run_forward, &g.run->given[RNN_INITIAL], "rnn forward: initial[0] (h)");
    refuse(&g, run_forward, &g.run->given[RNN_INITIAL + 1], "rnn forward: initial[1] (c)");
    refuse(&g, run_forward, &g.forward.y, "rnn forward: y");
    refuse(&g, run_forward, &g.run->written[RNN_FINAL], "rnn forward: final[0] (h)");
    refuse(&g, run_forward, &g.run->written[RNN_FINAL + 1], "rnn forward: final[1] (c)");
    refuse(&g, run_forward, &g.run->reserves[1], "rnn forward: reserve[1]");
    refuse(&g, run_forward, &g.forward.workspace, "rnn forward: workspace");
    refuse(&g, run_backward, &g.backward.packed, "rnn backward: packed");
    refuse(&g, run_backward, &g.backward.x, "rnn backward: x");
    refuse(&g, run_backward, &g.backward.lengths, "rnn backward: lengths");
    refuse(&g, run_backward, &g.backward.dy, "rnn backward: dy");
    refuse(&g, run_backward, &g.run->given[RNN_DFINAL + 1], "rnn backward: dfinal[1] (c)");
    refuse(&g, run_backward, &g.backward.dx, "rnn backward: dx");
    refuse(&g, run_backward, &g.run->written[RNN_DINITIAL], "rnn backward: dinitial[0] (h)");
    refuse(&g, run_backward, &g.run->reserves[0], "rnn backward: reserve[0]");
    refuse(&g, run_backward, &g.backward.workspace, "rnn backward: workspace");
    good_destroy(&g);
}

/* A weight is named by its place and by what it is. */
Test(rnn_arguments, wrong_weights)
{
    good g = good_create((reference_rnn){
        .cell = reference_cell_find("lstm_peephole"), .direction = REFERENCE_BIDIRECTIONAL, .P = 3});
    for (int i = 0; i < g.c->weights; i++) {
        char name[96];
        snprintf(name, sizeof name, "rnn pack: weights[%d] (%s)", i, g.c->weight[i].name);
        refuse(&g, run_pack, &g.run->given[RNN_WEIGHTS + i], name);
        snprintf(name, sizeof name, "rnn backward: dweights[%d] (%s)", i, g.c->weight[i].name);
        refuse(&g, run_backward, &g.run->written[RNN_DWEIGHTS + i], name);
    }
    g.run->given[RNN_WEIGHTS + 8].dims[1] = 9;
    refused(run_pack(&g), CLSEQ_INVALID_SHAPE,
            "rnn pack: weights[8] (weight_hh_l0_reverse) has shape [16,9], expected [16,3]");
    good_destroy(&g);
}

/* ---- tensors that are missing, or not wanted ---- */

static void refuse_missing(good *g, clseq_status (*run)(good *g), clseq_tensor *argument,
                           const char *sentence)
{
    const clseq_tensor own = *argument;
    *argument = (clseq_tensor){0};
    refused(run(g), CLSEQ_INVALID_ARGUMENT, sentence);
    *argument = own;
}

Test(rnn_arguments, missing_tensors)
{
    good g = good_of("gru");
    refuse_missing(&g, run_forward, &g.forward.packed, "rnn forward: packed is NULL, expected u8 [?]");
    refuse_missing(&g, run_forward, &g.forward.x, "rnn forward: x is NULL, expected f32 [5,3,7]");
    refuse_missing(&g, run_forward, &g.forward.y, "rnn forward: y is NULL, expected f32 [5,3,4]");
    refuse_missing(&g, run_forward, &g.run->reserves[1], "rnn forward: reserve[1] is NULL, expected u8 [?]");
    refuse_missing(&g, run_forward, &g.forward.workspace, "rnn forward: workspace is NULL");
    refuse_missing(&g, run_backward, &g.backward.packed, "rnn backward: packed is NULL");
    refuse_missing(&g, run_backward, &g.backward.x, "rnn backward: x is NULL");
    refuse_missing(&g, run_backward, &g.run->reserves[0], "rnn backward: reserve[0] is NULL");
    refuse_missing(&g, run_backward, &g.backward.workspace, "rnn backward: workspace is NULL");
    refuse_missing(&g, run_pack, &g.run->given[RNN_WEIGHTS + 1],
                   "rnn pack: weights[1] (weight_hh_l0) is NULL, expected f32 [12,4]");
    refused(clseq_rnn_pack(g.plan, &g.shape, NULL, &g.forward.packed), CLSEQ_INVALID_ARGUMENT,
            "rnn pack: weights is NULL");
    refused(clseq_rnn_pack(g.plan, &g.shape, g.run->given + RNN_WEIGHTS, NULL), CLSEQ_INVALID_ARGUMENT,
            "rnn pack: packed is NULL");
    g.forward.reserve = g.backward.reserve = NULL;
    refused(run_forward(&g), CLSEQ_INVALID_ARGUMENT,
            "rnn forward: reserve is NULL, expected a tensor for each layer");
    refused(run_backward(&g), CLSEQ_INVALID_ARGUMENT, "rnn backward: reserve is NULL");
    good_destroy(&g);
}

/* Everything that may be left out at once: states and gradients, arrays of none, and in inference the reserve. */
Test(rnn_arguments, what_may_be_missing)
{
    good g = good_of("lstm");
    clseq_tensor *given = g.run->given, *written = g.run->written;
    for (int none = 0; none < 2; none++) {
        if (none) {
            g.forward.initial = g.forward.final = NULL;
            g.backward.dfinal = g.backward.dinitial = g.backward.dweights = NULL;
        } else {
            for (int i = RNN_INITIAL; i < g.c->count; i++)
                given[i] = written[i] = (clseq_tensor){0};
        }
        MUST(run_forward(&g));
        g.backward.dx = g.backward.dy = (clseq_tensor){0};
        MUST(run_backward(&g));
    }
    g.shape.mode = CLSEQ_MODE_INFERENCE;
    g.forward.reserve = NULL;
    clseq_rnn_sizes sizes;
    MUST(clseq_rnn_plan_sizes(g.plan, &g.shape, &sizes));
    MUST(clseq_tensor_create(g.ctx, CLSEQ_DTYPE_U8, 1, &sizes.workspace, &g.forward.workspace));
    MUST(run_forward(&g));
    MUST(clseq_context_finish(g.ctx));
    clseq_tensor_destroy(g.ctx, &g.forward.workspace);
    good_destroy(&g);
}

/* Numbers in the place of x: what fits features does not fit them, and no gradient comes back. */
Test(rnn_arguments, one_hot)
{
    good g = good_of("gru");
    clseq_rnn_sizes sizes;
    clseq_rnn_plan *plan = NULL;
    const clseq_rnn_desc desc = {.cell = CLSEQ_CELL_GRU,
                                 .input = I,
                                 .hidden = H,
                                 .layers = L,
                                 .bias = CLSEQ_BIAS_ONE,
                                 .one_hot = true};
    clseq_rnn_forward_args forward = g.forward;
    clseq_rnn_backward_args backward = g.backward;
    MUST(clseq_rnn_plan_create(g.ctx, &desc, &plan));
    MUST(clseq_rnn_plan_sizes(plan, &g.shape, &sizes));
    cr_assert_float_eq(sizes.flop_forward, 2.0 * 3 * H * (H + 2 * H) * T * B, 0.5);
    refused(clseq_rnn_forward(plan, &g.shape, &forward), CLSEQ_INVALID_DTYPE, "rnn forward: x");
    forward.x.dtype = CLSEQ_DTYPE_I32;
    refused(clseq_rnn_forward(plan, &g.shape, &forward), CLSEQ_INVALID_SHAPE, "rnn forward: x");
    backward.x.dtype = CLSEQ_DTYPE_I32;
    backward.x.ndim = 2;
    refused(clseq_rnn_backward(plan, &g.shape, &backward), CLSEQ_INVALID_ARGUMENT, "dx is given");
    clseq_rnn_plan_destroy(plan);
    good_destroy(&g);
}

/* ---- shapes ---- */

Test(rnn_arguments, wrong_shapes)
{
    good g = good_of("lstm");
    clseq_rnn_sizes sizes;
    char text[64];
    static const clseq_rnn_shape bad[] = {{.T = 0, .B = B},
                                          {.T = T, .B = 0},
                                          {.T = -1, .B = B},
                                          {.T = INT64_C(1) << 40, .B = B},
                                          {.T = T, .B = INT64_C(1) << 31},
                                          {.T = T, .B = INT64_C(1) << 30},
                                          {.T = T, .B = B, .mode = (clseq_mode)5}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refused(clseq_rnn_plan_sizes(g.plan, &bad[i], &sizes), CLSEQ_INVALID_ARGUMENT, "rnn sizes: ");
        refused(clseq_rnn_describe(g.plan, &bad[i], text, sizeof text), CLSEQ_INVALID_ARGUMENT,
                "rnn describe: ");
        refused(clseq_rnn_pack(g.plan, &bad[i], g.run->given + RNN_WEIGHTS, &g.forward.packed),
                CLSEQ_INVALID_ARGUMENT, "rnn pack: ");
        refused(clseq_rnn_forward(g.plan, &bad[i], &g.forward), CLSEQ_INVALID_ARGUMENT, "rnn forward: ");
        refused(clseq_rnn_backward(g.plan, &bad[i], &g.backward), CLSEQ_INVALID_ARGUMENT, "rnn backward: ");
    }
    refused(clseq_rnn_plan_sizes(NULL, &g.shape, &sizes), CLSEQ_INVALID_ARGUMENT, "plan is NULL");
    refused(clseq_rnn_plan_sizes(g.plan, NULL, &sizes), CLSEQ_INVALID_ARGUMENT, "shape is NULL");
    refused(clseq_rnn_plan_sizes(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn sizes: out is NULL");
    refused(clseq_rnn_describe(g.plan, &g.shape, NULL, 3), CLSEQ_INVALID_ARGUMENT,
            "rnn describe: text is NULL");
    refused(clseq_rnn_describe(g.plan, &g.shape, text, 0), CLSEQ_INVALID_ARGUMENT, "rnn describe: size is 0");
    refused(clseq_rnn_describe(NULL, &g.shape, text, 3), CLSEQ_INVALID_ARGUMENT,
            "rnn describe: plan is NULL");
    refused(clseq_rnn_forward(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn forward: args is NULL");
    refused(clseq_rnn_backward(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn backward: args is NULL");
    g.shape.mode = CLSEQ_MODE_INFERENCE;
    refused(run_backward(&g), CLSEQ_INVALID_ARGUMENT, "CLSEQ_MODE_INFERENCE");
    good_destroy(&g);
}

/* The step that must stay under 2^31 elements is that of the widest layer. */
Test(rnn_arguments, steps_of_every_layer_are_counted)
{
    static const int64_t widths[] = {4, 20000, 4};
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_sizes sizes;
    const clseq_rnn_shape shape = {.T = 1, .B = 40000};
    MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 3, .layers = 3, .widths = widths}, &plan));
    refused(
        clseq_rnn_plan_sizes(plan, &shape, &sizes), CLSEQ_INVALID_ARGUMENT,
        "rnn sizes: T 1 and B 40000 are too large: one step of input 4 and hidden 20000 must stay under 2^31 "
        "elements");
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}

/* ---- memory for the library's own use ---- */

static void refuse_memory(good *g, clseq_status (*run)(good *g), clseq_tensor *memory, int64_t need,
                          const char *name, const char *source)
{
    const clseq_tensor own = *memory;
    char sentence[160];
    clseq_tensor room = {0};
    memory->dims[0] = need - 1;
    snprintf(sentence, sizeof sentence, "%s has %lld bytes, expected at least %lld (%s)", name,
             (long long)need - 1, (long long)need, source);
    refused(run(g), CLSEQ_INVALID_SHAPE, sentence);
    MUST(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, (int64_t[]){need + 64}, &room));
    for (int64_t at = 1; at < 64; at += at) {
        *memory = clseq_tensor_slice(&room, 0, at, need);
        snprintf(sentence, sizeof sentence, "%s starts at byte %lld, expected a multiple of 64", name,
                 (long long)at);
        refused(run(g), CLSEQ_INVALID_ARGUMENT, sentence);
    }
    *memory = own;
    clseq_tensor_destroy(g->ctx, &room);
}

Test(rnn_arguments, memory_too_small_or_not_aligned)
{
    good g = good_of("lstm");
    int64_t reserve = 0;
    MUST(clseq_rnn_reserve_size(g.plan, &g.shape, 1, &reserve));
    const char *const sizes = "clseq_rnn_plan_sizes", *const of_layer = "clseq_rnn_reserve_size";
    const int64_t packed = g.run->sizes.packed, workspace = g.run->sizes.workspace;
    refuse_memory(&g, run_pack, &g.forward.packed, packed, "rnn pack: packed", sizes);
    refuse_memory(&g, run_forward, &g.forward.packed, packed, "rnn forward: packed", sizes);
    refuse_memory(&g, run_forward, &g.forward.workspace, workspace, "rnn forward: workspace", sizes);
    refuse_memory(&g, run_forward, &g.run->reserves[1], reserve, "rnn forward: reserve[1]", of_layer);
    refuse_memory(&g, run_backward, &g.backward.packed, packed, "rnn backward: packed", sizes);
    refuse_memory(&g, run_backward, &g.backward.workspace, workspace, "rnn backward: workspace", sizes);
    refuse_memory(&g, run_backward, &g.run->reserves[1], reserve, "rnn backward: reserve[1]", of_layer);
    good_destroy(&g);
}

/* ---- outputs over themselves and others ---- */

Test(rnn_arguments, outputs_that_overlap_themselves)
{
    good g = good_of("gru");
    const clseq_tensor y = g.forward.y;
    const int64_t strides[][2] = {
        {B * H, H - 1}, {0, H}, {B * H - 1, H}, {H, T * H - 1}}; /* by row, by time; by one element */
    for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
        g.forward.y = y;
        g.forward.y.strides[0] = strides[i][0];
        g.forward.y.strides[1] = strides[i][1];
        refused(run_forward(&g), CLSEQ_INVALID_SHAPE, "with which its elements overlap");
    }
    g.backward.dx = g.backward.x;
    refused(run_backward(&g), CLSEQ_INVALID_ARGUMENT,
            "rnn backward: dx overlaps x, expected memory of its own");
    good_destroy(&g);
}

/* After refusals the same objects still work. */
Test(rnn_arguments, good_ones_work_after_a_refusal)
{
    good g = good_of("lstm");
    refused(clseq_rnn_forward(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn forward: args is NULL");
    MUST(run_forward(&g));
    MUST(run_backward(&g));
    MUST(clseq_context_finish(g.ctx));
    good_destroy(&g);
}
