/*
 * A reserve holds one forward pass for one backward pass, of a plan like the one that filled it and the same shape:
 * everything else is refused before it runs.
 */
#include "reference/cells.h"
#include "support/device.h"
#include "support/random.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A pass that may be run again and again; 5 steps of 3 rows. */
typedef struct fixture {
    clseq_context *ctx;
    rnn_case *c;
    rnn_run *run;
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
    clseq_rnn_weights dweights[RNN_CASE_LAYERS];
} fixture;

static void fixture_create(fixture *f, clseq_schedule schedule)
{
    f->ctx = test_context();
    f->c = rnn_case_create(
        &(reference_rnn){.cell = reference_cell_find("gru"), .T = 5, .B = 3, .I = 2, .H = 4, .L = 1}, 1, 0);
    f->run = rnn_run_create(f->ctx, f->c, &(rnn_run_options){.schedule = schedule});
    cr_assert_not_null(f->run, "%s", clseq_last_error());
    f->forward = rnn_run_forward_args(f->run);
    f->backward = rnn_run_backward_args(f->run, f->dweights);
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
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO);
    refused(backward(&f), "rnn backward: reserve holds no forward pass");
    for (int pass = 0; pass < 2; pass++) {
        MUST(forward(&f));
        MUST(backward(&f));
        refused(backward(&f), "rnn backward: reserve holds no forward pass");
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
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO);
    const clseq_rnn_shape full = f.run->shape, shorter = {.T = 4, .B = 3},
                          inference = {.T = 5, .B = 3, .mode = CLSEQ_MODE_INFERENCE};
    MUST(forward(&f));
    clseq_rnn_backward_args part = f.backward;
    part.x = clseq_tensor_slice(&part.x, 0, 0, 4);
    part.dy = clseq_tensor_slice(&part.dy, 0, 0, 4);
    part.dx = clseq_tensor_slice(&part.dx, 0, 0, 4);
    refused(clseq_rnn_backward(f.run->plan, &shorter, &part),
            "T 5, B 3, expected gru, 1 layer, input 2, hidden 4, ");
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
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 1, &sizes.workspace, &keeping_nothing.workspace));
    MUST(clseq_rnn_forward(f.run->plan, &inference, &keeping_nothing));
    refused(backward(&f), "holds no forward pass");
    /* The inference pass keeps nothing in the reserve, so that what waits there goes on waiting. */
    MUST(forward(&f));
    MUST(clseq_rnn_forward(f.run->plan, &inference, &keeping_nothing));
    MUST(clseq_rnn_backward(f.run->plan, &full, &f.backward));
    clseq_tensor_destroy(f.ctx, &keeping_nothing.workspace);
    fixture_destroy(&f);
}

/* A plan with the same descriptor is as good, one with another is not, and takes the reserve over. */
Test(rnn_reserve, is_of_plans_with_one_descriptor)
{
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO);
    clseq_rnn_plan *equal = NULL, *other = NULL;
    clseq_rnn_desc desc = {.cell = CLSEQ_CELL_GRU, .input = 2, .hidden = 4};
    MUST(clseq_rnn_plan_create(f.ctx, &desc, &equal));
    desc.bias = CLSEQ_BIAS_ONE;
    MUST(clseq_rnn_plan_create(f.ctx, &desc, &other));
    rnn_run_forward(f.run);
    rnn_run_backward(f.run, false);
    rnn_outputs first = rnn_run_outputs(f.run);
    rnn_run_forward(f.run);
    clseq_rnn_plan *own = f.run->plan;
    f.run->plan = equal;
    rnn_run_backward(f.run, false);
    f.run->plan = own;
    rnn_outputs second = rnn_run_outputs(f.run);
    cr_assert(rnn_outputs_equal(&first, &second, false), "%s", rnn_run_message());
    MUST(forward(&f));
    f.backward.dweights = NULL;
    refused(clseq_rnn_backward(other, &f.run->shape, &f.backward), "bias 0, schedule");
    MUST(clseq_rnn_forward(other, &f.run->shape, &f.forward));
    refused(backward(&f), "bias 1, schedule");
    MUST(clseq_rnn_backward(other, &f.run->shape, &f.backward));
    rnn_outputs_free(&first);
    rnn_outputs_free(&second);
    clseq_rnn_plan_destroy(equal);
    clseq_rnn_plan_destroy(other);
    fixture_destroy(&f);
}

/* The workspace of another pass, its reserve at another offset, and packed weights may lie over a reserve. */
Test(rnn_reserve, is_lost_when_written)
{
    fixture f;
    fixture_create(&f, CLSEQ_SCHEDULE_AUTO);
    clseq_tensor room = {0};
    const int64_t reserve = f.run->sizes.reserve,
                  twice = 2 * reserve + f.run->sizes.workspace + f.run->sizes.packed;
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 1, &twice, &room));
    const clseq_tensor spare = f.forward.reserve, workspace = f.forward.workspace;
    const clseq_tensor at = clseq_tensor_slice(&room, 0, 1, reserve);
    for (int how = 0; how < 4; how++) {
        clseq_rnn_weights weights[] = {{f.run->in[RNN_WEIGHTS].tensor, f.run->in[RNN_WEIGHTS + 1].tensor,
                                        f.run->in[RNN_WEIGHTS + 2].tensor,
                                        f.run->in[RNN_WEIGHTS + 3].tensor}};
        f.forward.reserve = f.backward.reserve = at;
        MUST(forward(&f));
        f.forward.reserve = spare;
        if (how == 0)
            f.forward.workspace = clseq_tensor_slice(&room, 0, reserve, f.run->sizes.workspace);
        else if (how == 1)
            f.forward.reserve = clseq_tensor_slice(&room, 0, reserve, reserve);
        else if (how == 2)
            f.forward.reserve = clseq_tensor_slice(&room, 0, 0, reserve);
        MUST(forward(&f));
        f.forward.workspace = workspace;
        if (how == 3) {
            const clseq_tensor packed = clseq_tensor_slice(&room, 0, reserve, f.run->sizes.packed);
            MUST(clseq_rnn_pack(f.run->plan, &f.run->shape, weights, &packed));
        }
        refused(backward(&f), "or it was written since");
        f.backward.reserve = f.forward.reserve;
        MUST(backward(&f));
    }
    clseq_tensor_destroy(f.ctx, &room);
    fixture_destroy(&f);
}

/* Thousands of passes wait for their backward passes, which come in any order. */
static void many_in_flight(clseq_schedule schedule)
{
    fixture f;
    fixture_create(&f, schedule);
    const int count = test_small() ? 50 : schedule == CLSEQ_SCHEDULE_GEMM_STEP ? 200 : 10000;
    const int64_t size = f.run->sizes.reserve, rows = count / 2;
    clseq_tensor rooms[2] = {{0}};
    test_random random = test_random_seed(9);
    int *order = calloc((size_t)count, sizeof *order);
    cr_assert_not_null(order);
    for (int i = 0; i < 2; i++)
        MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){rows, size}, &rooms[i]));
    for (int i = 0; i < count; i++) {
        const int j = test_random_int(&random, 0, i);
        order[i] = order[j];
        order[j] = i;
    }
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < count; i++) {
            const int at = turn ? i : order[i];
            const clseq_tensor place = clseq_tensor_view(
                rooms[at % 2].buffer, rooms[at % 2].offset + at / 2 * size, CLSEQ_DTYPE_F32, 1, &size);
            f.forward.reserve = f.backward.reserve = place;
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
