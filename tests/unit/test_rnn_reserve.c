/*
 * The reserves of a plan's layers hold one forward pass for one backward pass, of a plan like the one that filled them and
 * the same shape: everything else is refused before it runs.
 */
#include "reference/cells.h"
#include "support/device.h"
#include "support/random.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A pass that may be run again and again; 5 steps of 3 rows. Its reserves are f.run->reserves. */
typedef struct fixture {
    clseq_context *ctx;
    rnn_case *c;
    rnn_run *run;
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
} fixture;

static void fixture_create(fixture *f, clseq_schedule schedule, int layers)
{
    f->ctx = test_context();
    f->c = rnn_case_create(
        &(reference_rnn){.cell = reference_cell_find("gru"), .T = 5, .B = 3, .I = 2, .H = 4, .L = layers}, 1,
        0);
    f->run = rnn_run_create(f->ctx, f->c, &(rnn_run_options){.schedule = schedule});
    cr_assert_not_null(f->run, "%s", clseq_last_error());
    f->forward = rnn_run_forward_args(f->run);
    f->backward = rnn_run_backward_args(f->run);
}

static void fixture_destroy(fixture *f)
{
    rnn_run_destroy(f->run);
    rnn_case_destroy(f->c);
    clseq_context_destroy(f->ctx);
}

static clseq_status forward(fixture *f)
{
    return clseq_rnn_forward(f->run->plan, &f->run->shape, &f->forward);
}

static clseq_status backward(fixture *f)
{
    return clseq_rnn_backward(f->run->plan, &f->run->shape, &f->backward);
}

static void refused(clseq_status got, const char *sentence)
{
    cr_assert_eq(got, CLSEQ_INVALID_STATE, "got %s: %s", clseq_status_name(got), clseq_last_error());
    cr_assert(strstr(clseq_last_error(), sentence), "the sentence is \"%s\", expected \"%s\" in it",
              clseq_last_error(), sentence);
}

Test(rnn_reserve, is_used_up)
{
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO, 1);
    refused(backward(&f), "rnn backward: reserve[0] holds no forward pass");
    for (int pass = 0; pass < 2; pass++) {
        MUST(forward(&f));
        MUST(backward(&f));
        refused(backward(&f), "rnn backward: reserve[0] holds no forward pass");
    }
    /* A refusal of something else uses nothing up. */
    MUST(forward(&f));
    const clseq_tensor x = f.backward.x;
    f.backward.x.buffer = NULL;
    cr_assert_eq(backward(&f), CLSEQ_INVALID_ARGUMENT);
    f.backward.x = x;
    MUST(backward(&f));
    fixture_destroy(&f);
}

/* A shorter pass fits into the same reserve. */
Test(rnn_reserve, is_of_one_shape_and_mode)
{
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO, 1);
    const clseq_rnn_shape full = f.run->shape, shorter = {.T = 4, .B = 3},
                          inference = {.T = 5, .B = 3, .mode = CLSEQ_MODE_INFERENCE};
    MUST(forward(&f));
    clseq_rnn_backward_args part = f.backward;
    part.x = clseq_tensor_slice(&part.x, 0, 0, 4);
    part.dy = clseq_tensor_slice(&part.dy, 0, 0, 4);
    part.dx = clseq_tensor_slice(&part.dx, 0, 0, 4);
    refused(clseq_rnn_backward(f.run->plan, &shorter, &part),
            "T 5, B 3, expected gru, 1 layer, input 2, hidden 4, bias 0, schedule ");
    cr_assert(strstr(clseq_last_error(), "T 4, B 3"), "%s", clseq_last_error());
    const clseq_rnn_shape narrower = {.T = 5, .B = 2};
    clseq_rnn_backward_args rows = {.packed = f.backward.packed,
                                    .x = clseq_tensor_slice(&f.backward.x, 1, 0, 2),
                                    .reserve = f.backward.reserve,
                                    .workspace = f.backward.workspace};
    refused(clseq_rnn_backward(f.run->plan, &narrower, &rows), "T 5, B 3, expected gru");
    MUST(backward(&f));
    clseq_rnn_sizes sizes;
    MUST(clseq_rnn_plan_sizes(f.run->plan, &inference, &sizes));
    clseq_rnn_forward_args keeping_nothing = f.forward;
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, &sizes.workspace, &keeping_nothing.workspace));
    MUST(clseq_rnn_forward(f.run->plan, &inference, &keeping_nothing));
    refused(backward(&f), "holds no forward pass");
    /* The inference pass keeps nothing in the reserve, so that what waits there goes on waiting. */
    MUST(forward(&f));
    MUST(clseq_rnn_forward(f.run->plan, &inference, &keeping_nothing));
    MUST(clseq_rnn_backward(f.run->plan, &full, &f.backward));
    clseq_tensor_destroy(f.ctx, &keeping_nothing.workspace);
    fixture_destroy(&f);
}

/* A plan with the same descriptor is as good, also when the one that filled the reserve is gone. */
Test(rnn_reserve, is_of_plans_with_one_descriptor)
{
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO, 1);
    clseq_rnn_plan *equal = NULL, *own = f.run->plan;
    MUST(clseq_rnn_plan_create(f.ctx, &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 2, .hidden = 4},
                               &equal));
    rnn_run_forward(f.run);
    rnn_run_backward(f.run, false);
    rnn_outputs first = rnn_run_outputs(f.run);
    rnn_run_forward(f.run);
    f.run->plan = equal;
    clseq_rnn_plan_destroy(own);
    rnn_run_backward(f.run, false);
    rnn_outputs second = rnn_run_outputs(f.run);
    cr_assert(rnn_outputs_equal(&first, &second, false), "%s", rnn_run_message());
    rnn_outputs_free(&first);
    rnn_outputs_free(&second);
    fixture_destroy(&f);
}

/* Widths are compared one by one, and live as long as a pass does. */
Test(rnn_reserve, remembers_widths)
{
    static const int64_t both[2][2] = {{4, 6}, {4, 7}};
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plans[3] = {NULL};
    const clseq_rnn_shape shape = {.T = 5, .B = 3};
    clseq_rnn_buffers buffers;
    clseq_tensor x = {0}, y = {0};
    for (int i = 0; i < 3; i++)
        MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 2, .layers = 2, .widths = both[i == 1]},
                                   &plans[i]));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){5, 3, 2}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){5, 3, 6}, &y));
    MUST(clseq_tensor_fill(ctx, &x, 0));
    MUST(clseq_rnn_buffers_create(plans[1], &shape, &buffers)); /* of the larger one */
    MUST(clseq_tensor_fill(ctx, &buffers.packed, 0));
    MUST(clseq_rnn_forward(plans[0], &shape,
                           &(clseq_rnn_forward_args){.packed = buffers.packed,
                                                     .x = x,
                                                     .y = y,
                                                     .reserve = buffers.reserve,
                                                     .workspace = buffers.workspace}));
    clseq_rnn_plan_destroy(plans[0]);
    const clseq_rnn_backward_args backward = {
        .packed = buffers.packed, .x = x, .reserve = buffers.reserve, .workspace = buffers.workspace};
    refused(clseq_rnn_backward(plans[1], &shape, &backward),
            "holds the pass of lstm, 2 layers, input 2, hidden 4 6, ");
    cr_assert(strstr(clseq_last_error(), "expected lstm, 2 layers, input 2, hidden 4 7, "), "%s",
              clseq_last_error());
    MUST(clseq_rnn_backward(plans[2], &shape, &backward));
    clseq_rnn_buffers_destroy(plans[1], &buffers);
    clseq_rnn_plan_destroy(plans[1]);
    clseq_rnn_plan_destroy(plans[2]);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
}

#define BOTH .direction = CLSEQ_DIRECTION_BIDIRECTIONAL

/* What the descriptors of two plans may differ in, and what the refusal says of it. */
static const struct {
    clseq_rnn_desc desc;
    const char *difference;
} others[] = {
    {{.input = 4, .hidden = 4, BOTH, .bias = CLSEQ_BIAS_ONE}, "bias 1, schedule"},
    {{.input = 4, .hidden = 4, BOTH, .cell = CLSEQ_CELL_LSTM_PEEPHOLE}, "lstm_peephole, 1 layer"},
    {{.input = 4, .hidden = 4, BOTH, .layers = 2}, "lstm, 2 layers"},
    {{.input = 4, .hidden = 4, .direction = CLSEQ_DIRECTION_REVERSE}, "lstm, 1 layer, reverse, input"},
    {{.input = 4, .hidden = 4, BOTH, .merge = CLSEQ_MERGE_SUM}, "bidirectional (sum), input"},
    {{.input = 4, .hidden = 4, BOTH, .projection = 4}, "hidden 4, projection 4, bias"},
    {{.input = 4, .hidden = 4, BOTH, .dropout = 0.5f}, "hidden 4, dropout 0.5, bias"},
    {{.input = 4, .hidden = 4, BOTH, .residual = true}, "hidden 4, residual, bias"},
    {{.input = 4, .hidden = 4, BOTH, .layer_norm = true}, "hidden 4, layer_norm, bias"},
    {{.input = 4, .hidden = 4, BOTH, .one_hot = true}, "input 4 (one-hot), hidden 4"},
    {{.input = 3, .hidden = 4, BOTH}, "input 3, hidden 4"},
    {{.input = 4, .hidden = 3, BOTH}, "input 4, hidden 3"},
    {{.input = 4, .hidden = 4, BOTH, .schedule = CLSEQ_SCHEDULE_GEMM_STEP}, "schedule gemm_step, T 5"},
};

/* Options that wrap the cell, of which plans differ in the values: they take the same kernels. */
#define WRAPPED(clip, h, c, dropout)                                                            \
    {                                                                                           \
        .input = 4, .hidden = 4, BOTH, .cell_clip = (clip), .zoneout_h = (h), .zoneout_c = (c), \
        .recurrent_dropout = (dropout)                                                          \
    }
static const clseq_rnn_desc wrapped = WRAPPED(2, 0.25f, 0.25f, 0.25f);
static const struct {
    clseq_rnn_desc desc;
    const char *difference;
} others_wrapped[] = {
    {WRAPPED(3, 0.25f, 0.25f, 0.25f), "hidden 4, cell_clip 3, zoneout_h"},
    {WRAPPED(2, 0.5f, 0.25f, 0.25f), "zoneout_h 0.5, zoneout_c"},
    {WRAPPED(2, 0.25f, 0.5f, 0.25f), "zoneout_c 0.5, recurrent_dropout"},
    {WRAPPED(2, 0.25f, 0.25f, 0.5f), "recurrent_dropout 0.5, bias"},
};

/* Two plans, memory that is large enough for both, and a call's arguments in it. */
typedef struct pair {
    clseq_context *ctx;
    clseq_tensor memory[4], x, y; /* packed, two reserves, workspace */
} pair;

static const clseq_rnn_shape pair_shape = {.T = 5, .B = 3};

static clseq_tensor pair_x(const pair *p, const clseq_rnn_plan *plan)
{
    const clseq_rnn_desc *desc = clseq_rnn_plan_description(plan);
    return clseq_tensor_view(p->x.buffer, 0, desc->one_hot ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32,
                             desc->one_hot ? 2 : 3, (int64_t[]){5, 3, desc->input});
}

static clseq_status pair_forward(const pair *p, clseq_rnn_plan *plan)
{
    const int64_t dims[] = {5, 3, clseq_rnn_output_size(plan)};
    const clseq_rnn_forward_args args = {.packed = p->memory[0],
                                         .x = pair_x(p, plan),
                                         .y = clseq_tensor_view(p->y.buffer, 0, CLSEQ_DTYPE_F32, 3, dims),
                                         .reserve = &p->memory[1],
                                         .workspace = p->memory[3]};
    return clseq_rnn_forward(plan, &pair_shape, &args);
}

static clseq_status pair_backward(const pair *p, clseq_rnn_plan *plan)
{
    const clseq_rnn_backward_args args = {
        .packed = p->memory[0], .x = pair_x(p, plan), .reserve = &p->memory[1], .workspace = p->memory[3]};
    return clseq_rnn_backward(plan, &pair_shape, &args);
}

/* What a plan has left in its reserves is refused to the other one, which says what both are. */
static void check_apart(const pair *p, const clseq_rnn_desc *own_desc, const clseq_rnn_desc *other_desc,
                        const char *difference)
{
    clseq_rnn_plan *own = NULL, *other = NULL;
    MUST(clseq_rnn_plan_create(p->ctx, own_desc, &own));
    MUST(clseq_rnn_plan_create(p->ctx, other_desc, &other));
    for (int turn = 0; turn < 2; turn++) {
        clseq_rnn_plan *fills = turn ? other : own, *comes = turn ? own : other;
        MUST(pair_forward(p, fills));
        refused(pair_backward(p, comes), difference);
        const bool is_expected =
            strstr(clseq_last_error(), difference) > strstr(clseq_last_error(), "expected");
        cr_assert_eq(is_expected, turn == 0, "%s", clseq_last_error());
        MUST(pair_backward(p, fills));
    }
    clseq_rnn_plan_destroy(own);
    clseq_rnn_plan_destroy(other);
}

Test(rnn_reserve, tells_descriptors_apart)
{
    static const clseq_rnn_desc desc = {.input = 4, .hidden = 4, BOTH};
    pair p = {.ctx = test_context()};
    clseq_rnn_desc drops = desc, drops_alike = desc;
    clseq_rnn_plan *own = NULL;
    clseq_schedule schedule = CLSEQ_SCHEDULE_AUTO;
    MUST(clseq_rnn_plan_create(p.ctx, &desc, &own));
    MUST(clseq_rnn_plan_schedule(own, &pair_shape, &schedule));
    clseq_rnn_plan_destroy(own);
    for (int i = 0; i < 4; i++) {
        MUST(clseq_tensor_create(p.ctx, CLSEQ_DTYPE_U8, 1, (int64_t[]){1 << 20}, &p.memory[i]));
        MUST(clseq_tensor_fill(p.ctx, &p.memory[i], 0));
    }
    MUST(clseq_tensor_create(p.ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){5 * 3 * 16}, &p.x));
    MUST(clseq_tensor_create(p.ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){5 * 3 * 16}, &p.y));
    MUST(clseq_tensor_fill(p.ctx, &p.x, 0));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].desc.schedule != schedule)
            check_apart(&p, &desc, &others[i].desc, others[i].difference);
    for (size_t i = 0; i < sizeof others_wrapped / sizeof others_wrapped[0]; i++)
        check_apart(&p, &wrapped, &others_wrapped[i].desc, others_wrapped[i].difference);
    drops.dropout = drops_alike.dropout = 0.5f;
    drops_alike.variational_dropout = true;
    check_apart(&p, &drops, &drops_alike, "hidden 4, variational dropout 0.5, bias");
    for (int i = 0; i < 4; i++)
        clseq_tensor_destroy(p.ctx, &p.memory[i]);
    clseq_tensor_destroy(p.ctx, &p.x);
    clseq_tensor_destroy(p.ctx, &p.y);
    clseq_context_destroy(p.ctx);
}

/* Every layer's reserve must hold its own layer of the one pass. */
Test(rnn_reserve, all_layers_are_of_one_pass)
{
    enum { L = 3 };
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO, L);
    clseq_tensor *reserve = f.run->reserves, first[L], second[L];
    for (int l = 0; l < L; l++) {
        first[l] = reserve[l];
        MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, first[l].dims, &second[l]));
    }
    MUST(forward(&f));
    memcpy(reserve, second, sizeof second);
    MUST(forward(&f));
    for (int l = 0; l < L; l++) {
        reserve[l] = first[l];
        if (l < L - 1)
            refused(backward(&f), l == 0 ? "rnn backward: reserve[1] holds another pass than reserve[0]"
                                         : "rnn backward: reserve[2] holds another pass than reserve[0]");
    }
    reserve[1] = first[2];
    reserve[2] = first[1];
    refused(backward(&f), "rnn backward: reserve[1] holds layer 2 of a pass, expected layer 1");
    memcpy(reserve, first, sizeof first);
    MUST(backward(&f));
    for (int l = 0; l < L; l++)
        refused(backward(&f), "rnn backward: reserve[0] holds no forward pass");
    /* One layer of the other pass is written over: it is lost as a whole. */
    memcpy(reserve, second, sizeof second);
    reserve[1] = first[1];
    refused(backward(&f), "rnn backward: reserve[1] holds no forward pass");
    reserve[0] = first[0];
    reserve[1] = second[1];
    reserve[2] = first[2];
    MUST(forward(&f));
    memcpy(reserve, second, sizeof second);
    refused(backward(&f), "rnn backward: reserve[1] holds another pass than reserve[0]");
    for (int l = 0; l < L; l++)
        clseq_tensor_destroy(f.ctx, &second[l]);
    fixture_destroy(&f);
}

/* The workspace of another pass, its reserve at another offset, and packed weights may lie over a reserve. */
Test(rnn_reserve, is_lost_when_written)
{
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO, 1);
    clseq_tensor room = {0}, *reserves = f.run->reserves;
    const int64_t reserve = (f.run->sizes.reserve + 63) / 64 * 64,
                  twice = 2 * reserve + f.run->sizes.workspace + f.run->sizes.packed;
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, &twice, &room));
    const clseq_tensor spare = reserves[0], workspace = f.forward.workspace;
    const clseq_tensor at = clseq_tensor_slice(&room, 0, 64, reserve);
    for (int how = 0; how < 4; how++) {
        reserves[0] = at;
        MUST(forward(&f));
        reserves[0] = spare;
        /* In its last 64 bytes and behind it, or in its first ones and before it. */
        if (how == 0)
            f.forward.workspace = clseq_tensor_slice(&room, 0, reserve, f.run->sizes.workspace);
        else if (how == 1)
            reserves[0] = clseq_tensor_slice(&room, 0, reserve, reserve);
        else if (how == 2)
            reserves[0] = clseq_tensor_slice(&room, 0, 0, reserve);
        MUST(forward(&f));
        f.forward.workspace = workspace;
        if (how == 3) {
            const clseq_tensor packed = clseq_tensor_slice(&room, 0, reserve, f.run->sizes.packed);
            MUST(clseq_rnn_pack(f.run->plan, &f.run->shape, f.run->given + RNN_WEIGHTS, &packed));
        }
        const clseq_tensor other = reserves[0];
        reserves[0] = at;
        refused(backward(&f), "or it was written since");
        reserves[0] = other;
        MUST(backward(&f));
    }
    clseq_tensor_destroy(f.ctx, &room);
    fixture_destroy(&f);
}

/* Thousands of passes wait for their backward passes, which come in any order. */
static void many_in_flight(clseq_schedule schedule)
{
    fixture f;
    fixture_create(&f, schedule, 1);
    const int count = test_small() ? 50 : schedule == CLSEQ_SCHEDULE_GEMM_STEP ? 200 : 10000;
    const int64_t size = (f.run->sizes.reserve + 63) / 64 * 64, rows = count / 2;
    clseq_tensor rooms[2] = {{0}};
    test_random random = test_random_seed(9);
    int *order = calloc((size_t)count, sizeof *order);
    cr_assert_not_null(order);
    for (int i = 0; i < 2; i++)
        MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 2, (int64_t[]){rows, size}, &rooms[i]));
    for (int i = 0; i < count; i++) {
        const int j = test_random_int(&random, 0, i);
        order[i] = order[j];
        order[j] = i;
    }
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < count; i++) {
            const int at = turn ? i : order[i];
            f.run->reserves[0] = clseq_tensor_view(rooms[at % 2].buffer, rooms[at % 2].offset + at / 2 * size,
                                                   CLSEQ_DTYPE_U8, 1, &size);
            MUST(turn ? backward(&f) : forward(&f));
            if (turn)
                refused(backward(&f), "holds no forward pass");
        }
    for (int i = 0; i < 2; i++)
        clseq_tensor_destroy(f.ctx, &rooms[i]);
    free(order);
    fixture_destroy(&f);
}

Test(rnn_reserve, many_are_in_flight)
{
    many_in_flight(CLSEQ_SCHEDULE_AUTO);
    many_in_flight(CLSEQ_SCHEDULE_GEMM_STEP);
}
