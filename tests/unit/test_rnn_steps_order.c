/* What is refused of passes in pieces: other orders than that of the steps, and what has no pieces. */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_pieces.h"

#include <criterion/criterion.h>
#include <string.h>

enum { T = 5 };

typedef struct fixture {
    clseq_context *ctx;
    rnn_case *c;
    rnn_run *run;
} fixture;

static fixture fixture_create(void)
{
    fixture f = {.ctx = test_context()};
    const reference_rnn net = {.cell = reference_cell_find("gru"), .T = T, .B = 3, .I = 2, .H = 4, .L = 2};
    f.c = rnn_case_create(&net, 1, 0);
    f.run = rnn_run_create(f.ctx, f.c, &(rnn_run_options){.in_pieces = true});
    cr_assert_not_null(f.run, "%s", clseq_last_error());
    return f;
}

static void fixture_destroy(fixture *f)
{
    rnn_run_destroy(f->run);
    rnn_case_destroy(f->c);
    clseq_context_destroy(f->ctx);
}

static clseq_status forward(const fixture *f, int first, int count)
{
    const clseq_rnn_forward_args args = rnn_pieces_forward_args(f->run, first, count);
    return clseq_rnn_forward(f->run->plan, &f->run->shape, &args);
}

static clseq_status backward(const fixture *f, int first, int count)
{
    const clseq_rnn_backward_args args = rnn_pieces_backward_args(f->run, first, count);
    return clseq_rnn_backward(f->run->plan, &f->run->shape, &args);
}

static clseq_status weights(const fixture *f)
{
    const clseq_rnn_weight_gradients_args args = rnn_pieces_weights_args(f->run);
    return clseq_rnn_weight_gradients(f->run->plan, &f->run->shape, &args);
}

static void refused(clseq_status got, clseq_status expected, const char *sentence)
{
    cr_assert_eq(got, expected, "got %s: %s", clseq_status_name(got), clseq_last_error());
    cr_assert(strstr(clseq_last_error(), sentence), "the sentence is \"%s\", expected \"%s\" in it",
              clseq_last_error(), sentence);
}

#define OUT_OF_ORDER(call, sentence) refused(call, CLSEQ_INVALID_STATE, sentence)

Test(rnn_steps_order, is_that_of_the_steps)
{
    fixture f = fixture_create();
    OUT_OF_ORDER(forward(&f, 1, 1), "rnn forward: reserve[0] holds no forward pass");
    OUT_OF_ORDER(backward(&f, 0, 1), "rnn backward: reserve[0] holds no forward pass");
    OUT_OF_ORDER(weights(&f), "rnn weight gradients: reserve[0] holds no forward pass");
    MUST(forward(&f, 0, 1));
    MUST(forward(&f, 1, 2));
    OUT_OF_ORDER(forward(&f, 1, 2),
                 "the piece begins with step 1, expected step 3, the first one that has not run");
    OUT_OF_ORDER(forward(&f, 4, 1), "the piece begins with step 4, expected step 3");
    OUT_OF_ORDER(forward(&f, 2, 2), "the piece begins with step 2, expected step 3");
    OUT_OF_ORDER(weights(&f), "rnn weight gradients: backward has not run steps [0,3), expected all 3");
    OUT_OF_ORDER(backward(&f, 3, 1), "the piece is steps [3,4), expected one that ends with step 2");
    OUT_OF_ORDER(backward(&f, 1, 1),
                 "the piece is steps [1,2), expected one that ends with step 2: of the 3");
    MUST(backward(&f, 2, 1));
    OUT_OF_ORDER(backward(&f, 2, 1), "of the 3 steps that forward has run 2 are left");
    OUT_OF_ORDER(backward(&f, 1, 2), "the piece is steps [1,3), expected one that ends with step 1");
    OUT_OF_ORDER(forward(&f, 3, 1),
                 "backward has begun, with steps [2,3), expected all forward pieces before");
    OUT_OF_ORDER(weights(&f), "backward has not run steps [0,2)");
    MUST(backward(&f, 0, 2));
    OUT_OF_ORDER(backward(&f, 0, 1), "of the 3 steps that forward has run 0 are left");
    OUT_OF_ORDER(forward(&f, 3, 1), "backward has begun");
    MUST(weights(&f));
    OUT_OF_ORDER(weights(&f), "rnn weight gradients: reserve[0] holds no forward pass");
    /* The first piece begins anew, whatever was there. */
    MUST(forward(&f, 0, T));
    MUST(forward(&f, 0, 2));
    MUST(backward(&f, 0, 2));
    MUST(weights(&f));
    fixture_destroy(&f);
}

/* A reserve of one form is none of the other, also where both have the same T and B. */
Test(rnn_steps_order, tells_pieces_from_whole_passes)
{
    fixture f = fixture_create();
    const clseq_rnn_shape shape = {.T = T, .B = 3};
    clseq_rnn_forward_args all = rnn_run_forward_args(f.run);
    clseq_rnn_backward_args back = rnn_run_backward_args(f.run);
    back.dweights = NULL;
    clseq_rnn_sizes sizes;
    MUST(clseq_rnn_plan_sizes(f.run->plan, &shape, &sizes));
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, &sizes.workspace, &all.workspace));
    back.workspace = all.workspace;
    MUST(clseq_rnn_forward(f.run->plan, &shape, &all));
    OUT_OF_ORDER(backward(&f, 4, 1), "T 5, B 3, expected gru");
    OUT_OF_ORDER(forward(&f, 4, 1), "T 5, B 3, in pieces");
    MUST(clseq_rnn_backward(f.run->plan, &shape, &back));
    MUST(forward(&f, 0, 5));
    OUT_OF_ORDER(clseq_rnn_backward(f.run->plan, &shape, &back), "T 5, B 3, in pieces, expected gru");
    MUST(backward(&f, 0, 5));
    MUST(weights(&f));
    clseq_tensor_destroy(f.ctx, &all.workspace);
    fixture_destroy(&f);
}

/* What is written over one layer's reserve ends the pass. */
Test(rnn_steps_order, needs_its_reserves)
{
    fixture f = fixture_create();
    MUST(forward(&f, 0, 2));
    clseq_tensor over = f.run->reserve[1].tensor;
    MUST(clseq_rnn_pack(f.run->plan, &f.run->shape, rnn_run_weights(f.run), &f.run->packed.tensor));
    MUST(forward(&f, 2, 1));
    cr_assert_geq(over.dims[0], f.run->sizes.packed);
    MUST(clseq_rnn_pack(f.run->plan, &f.run->shape, rnn_run_weights(f.run), &over));
    OUT_OF_ORDER(forward(&f, 3, 1), "rnn forward: reserve[1] holds no forward pass");
    OUT_OF_ORDER(backward(&f, 2, 1), "rnn backward: reserve[1] holds no forward pass");
    fixture_destroy(&f);
}

Test(rnn_steps_order, pieces_lie_within_the_pass)
{
    fixture f = fixture_create();
    static const int wrong[][2] = {{-1, 1}, {0, 0}, {0, -1}, {0, T + 1}, {T, 1}, {T - 1, 2}};
    clseq_rnn_forward_args args = rnn_pieces_forward_args(f.run, 0, 1);
    clseq_rnn_backward_args back = rnn_pieces_backward_args(f.run, 0, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        args.first = back.first = wrong[i][0];
        args.count = back.count = wrong[i][1];
        refused(clseq_rnn_forward(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
                "expected steps of 0..T-1 = 0..4");
        refused(clseq_rnn_backward(f.run->plan, &f.run->shape, &back), CLSEQ_INVALID_ARGUMENT,
                "rnn backward: first is ");
    }
    args = rnn_pieces_forward_args(f.run, 0, 1);
    args.count = 2;
    refused(clseq_rnn_forward(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_SHAPE,
            "rnn forward: x has shape");
    const clseq_rnn_shape whole = {.T = T, .B = 3};
    args = rnn_run_forward_args(f.run);
    args.count = T;
    refused(clseq_rnn_forward(f.run->plan, &whole, &args), CLSEQ_INVALID_ARGUMENT,
            "first is 0 and count 5, expected 0 for a shape that is not in_pieces");
    fixture_destroy(&f);
}

Test(rnn_steps_order, refuses_what_has_no_pieces)
{
    fixture f = fixture_create();
    clseq_tensor lengths = {0};
    clseq_rnn_sizes sizes;
    clseq_rnn_plan *other = NULL;
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){3}, &lengths));
    clseq_rnn_forward_args args = rnn_pieces_forward_args(f.run, 0, 1);
    args.lengths = lengths;
    refused(clseq_rnn_forward(f.run->plan, &f.run->shape, &args), CLSEQ_UNSUPPORTED,
            "rnn forward: lengths are not for a pass in pieces");
    clseq_rnn_backward_args back = rnn_pieces_backward_args(f.run, 0, 1);
    back.lengths = lengths;
    refused(clseq_rnn_backward(f.run->plan, &f.run->shape, &back), CLSEQ_UNSUPPORTED, "lengths are not");
    back = rnn_pieces_backward_args(f.run, 0, 1);
    back.dweights = rnn_pieces_weights_args(f.run).dweights;
    refused(clseq_rnn_backward(f.run->plan, &f.run->shape, &back), CLSEQ_INVALID_ARGUMENT,
            "made by clseq_rnn_weight_gradients");
    refused(clseq_rnn_plan_sizes(
                f.run->plan,
                &(clseq_rnn_shape){.T = T, .B = 3, .mode = CLSEQ_MODE_INFERENCE, .in_pieces = true}, &sizes),
            CLSEQ_UNSUPPORTED, "in_pieces is for training");
    const clseq_rnn_weight_gradients_args w = rnn_pieces_weights_args(f.run);
    refused(clseq_rnn_weight_gradients(f.run->plan, &(clseq_rnn_shape){.T = T, .B = 3}, &w),
            CLSEQ_INVALID_ARGUMENT, "rnn weight gradients: the shape is not in_pieces");
    refused(clseq_rnn_weight_gradients(
                f.run->plan, &f.run->shape,
                &(clseq_rnn_weight_gradients_args){.reserve = w.reserve, .workspace = w.workspace}),
            CLSEQ_INVALID_ARGUMENT, "rnn weight gradients: dweights is NULL");
    for (int direction = CLSEQ_DIRECTION_REVERSE; direction <= CLSEQ_DIRECTION_BIDIRECTIONAL; direction++) {
        MUST(clseq_rnn_plan_create(
            f.ctx, &(clseq_rnn_desc){.input = 2, .hidden = 4, .direction = (clseq_direction)direction},
            &other));
        refused(clseq_rnn_plan_sizes(other, &f.run->shape, &sizes), CLSEQ_UNSUPPORTED,
                direction == CLSEQ_DIRECTION_REVERSE ? "this one runs in reverse" : "this one has two");
        clseq_rnn_plan_destroy(other);
    }
    clseq_tensor_destroy(f.ctx, &lengths);
    fixture_destroy(&f);
}

/* What else clseq_rnn_weight_gradients is given, and writes over nothing of it. */
Test(rnn_steps_order, weight_gradients_check_what_they_get)
{
    fixture f = fixture_create();
    const clseq_rnn_plan *plan = f.run->plan;
    const clseq_rnn_weight_gradients_args good = rnn_pieces_weights_args(f.run);
    clseq_rnn_weight_gradients_args args = good;
    clseq_tensor dweights[64];
    refused(clseq_rnn_weight_gradients(NULL, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "rnn weight gradients: plan is NULL");
    refused(clseq_rnn_weight_gradients(f.run->plan, NULL, &args), CLSEQ_INVALID_ARGUMENT,
            "rnn weight gradients: shape is NULL");
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, NULL), CLSEQ_INVALID_ARGUMENT,
            "rnn weight gradients: args is NULL");
    args.reserve = NULL;
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "rnn weight gradients: reserve is NULL");
    args = good;
    args.workspace = (clseq_tensor){0};
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "rnn weight gradients: workspace");
    for (int64_t i = 0; i < clseq_rnn_weight_count(plan); i++)
        dweights[i] = good.dweights[i];
    dweights[1] = dweights[2];
    args = good;
    args.dweights = dweights;
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_SHAPE,
            "rnn weight gradients: dweights[1] (weight_hh_l0)");
    dweights[1] = good.dweights[1];
    dweights[3] = good.dweights[2];
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "rnn weight gradients: dweights[3] (bias_hh_l0) overlaps dweights[2] (bias_ih_l0)");
    /* A refusal has used nothing up. */
    MUST(forward(&f, 0, 2));
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "overlaps");
    MUST(backward(&f, 0, 2));
    refused(clseq_rnn_weight_gradients(f.run->plan, &f.run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "overlaps");
    MUST(weights(&f));
    fixture_destroy(&f);
}

Test(rnn_steps_order, time_leaves_random_numbers)
{
    clseq_context *ctx = test_context();
    const reference_rnn net = {.cell = reference_cell_find("gru"),
                               .T = T,
                               .B = 3,
                               .I = 2,
                               .H = 4,
                               .L = 1,
                               .zoneout = {0.5},
                               .seed = 1};
    rnn_case *c = rnn_case_create(&net, 1, 0);
    rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){0});
    clseq_rnn_forward_args args = rnn_run_forward_args(run);
    const int64_t most = INT32_MAX / 12 - T;
    args.time = most + 1;
    refused(clseq_rnn_forward(run->plan, &run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "rnn forward: time is ");
    args.time = -1;
    refused(clseq_rnn_forward(run->plan, &run->shape, &args), CLSEQ_INVALID_ARGUMENT,
            "time is -1, expected 0..");
    args.time = most;
    MUST(clseq_rnn_forward(run->plan, &run->shape, &args));
    rnn_run_destroy(run);
    rnn_case_destroy(c);
    clseq_context_destroy(ctx);
}
