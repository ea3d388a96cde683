/*
 * What lies where among the arguments of recurrent passes: everything close together in one buffer is right, one element
 * that two of them share and one of them writes is refused, and so is what lies beyond its buffer or in another context.
 */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { T = 3, B = 2, I = 5, H = 4, MOST = 32 };

/* An argument: its name in sentences, the tensor in the arguments of the call, whether the call writes it. */
typedef struct argument {
    char name[32];
    clseq_tensor *tensor;
    bool is_written;
} argument;

typedef struct fixture {
    clseq_context *ctx;
    rnn_case *c;
    rnn_run *run;
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
    clseq_rnn_weights weights[RNN_CASE_LAYERS], dweights[RNN_CASE_LAYERS];
    argument arguments[MOST];
    int count;
} fixture;

static void fixture_create(fixture *f)
{
    static const int lengths[] = {3, 2};
    *f = (fixture){.ctx = test_context()};
    f->c = rnn_case_create(
        &(reference_rnn){
            .cell = reference_cell_find("lstm"), .T = T, .B = B, .I = I, .H = H, .L = 2, .lengths = lengths},
        1, 0);
    f->run = rnn_run_create(f->ctx, f->c, &(rnn_run_options){.schedule = CLSEQ_SCHEDULE_AUTO});
    cr_assert_not_null(f->run, "%s", clseq_last_error());
    f->forward = rnn_run_forward_args(f->run);
    f->backward = rnn_run_backward_args(f->run, f->dweights);
    for (int l = 0; l < 2; l++) {
        const guarded *w = &f->run->in[RNN_WEIGHTS + 4 * l];
        f->weights[l] = (clseq_rnn_weights){w[0].tensor, w[1].tensor, w[2].tensor, w[3].tensor};
    }
}

static void fixture_destroy(fixture *f)
{
    rnn_run_destroy(f->run);
    rnn_case_destroy(f->c);
    clseq_context_destroy(f->ctx);
}

static void add(fixture *f, const char *name, clseq_tensor *tensor, bool is_written)
{
    argument *a = &f->arguments[f->count++];
    cr_assert(f->count <= MOST);
    snprintf(a->name, sizeof a->name, "%s", name);
    a->tensor = tensor;
    a->is_written = is_written;
}

static void add_weights(fixture *f, const char *name, clseq_rnn_weights *weights, bool is_written)
{
    static const char *const names[] = {"w_ih", "w_hh", "b_ih", "b_hh"};
    for (int l = 0; l < 2; l++) {
        clseq_tensor *tensors[] = {&weights[l].w_ih, &weights[l].w_hh, &weights[l].b_ih, &weights[l].b_hh};
        for (int k = 0; k < 4; k++) {
            char text[32];
            snprintf(text, sizeof text, "%s[%d].%s", name, l, names[k]);
            add(f, text, tensors[k], is_written);
        }
    }
}

static clseq_status run_pack(fixture *f)
{
    return clseq_rnn_pack(f->run->plan, &f->run->shape, f->weights, &f->forward.packed);
}

static clseq_status run_forward(fixture *f)
{
    return clseq_rnn_forward(f->run->plan, &f->run->shape, &f->forward);
}

static clseq_status run_backward(fixture *f)
{
    return clseq_rnn_backward(f->run->plan, &f->run->shape, &f->backward);
}

static void add_pack(fixture *f)
{
    add(f, "packed", &f->forward.packed, true);
    add_weights(f, "weights", f->weights, false);
}

static void add_forward(fixture *f)
{
    add(f, "packed", &f->forward.packed, false);
    add(f, "x", &f->forward.x, false);
    add(f, "lengths", &f->forward.lengths, false);
    add(f, "initial[0]", &f->forward.initial[0], false);
    add(f, "initial[1]", &f->forward.initial[1], false);
    add(f, "y", &f->forward.y, true);
    add(f, "final[0]", &f->forward.final[0], true);
    add(f, "final[1]", &f->forward.final[1], true);
    add(f, "reserve", &f->forward.reserve, true);
    add(f, "workspace", &f->forward.workspace, true);
}

static void add_backward(fixture *f)
{
    add(f, "packed", &f->backward.packed, false);
    add(f, "x", &f->backward.x, false);
    add(f, "lengths", &f->backward.lengths, false);
    add(f, "dy", &f->backward.dy, false);
    add(f, "dfinal[0]", &f->backward.dfinal[0], false);
    add(f, "dfinal[1]", &f->backward.dfinal[1], false);
    add(f, "dx", &f->backward.dx, true);
    add(f, "dinitial[0]", &f->backward.dinitial[0], true);
    add(f, "dinitial[1]", &f->backward.dinitial[1], true);
    add(f, "reserve", &f->backward.reserve, true);
    add(f, "workspace", &f->backward.workspace, true);
    add_weights(f, "dweights", f->dweights, true);
}

static const struct call {
    const char *name;
    void (*add)(fixture *f);
    clseq_status (*run)(fixture *f);
} calls[] = {{"rnn pack", add_pack, run_pack},
             {"rnn forward", add_forward, run_forward},
             {"rnn backward", add_backward, run_backward}};
enum { CALLS = sizeof calls / sizeof calls[0] };

/* A refusal that names the call and both arguments, in either order. */
static void refused(const fixture *f, const struct call *call, clseq_status got, int i, int j)
{
    const char *a = f->arguments[i].name, *b = f->arguments[j].name;
    char one[128], two[128];
    snprintf(one, sizeof one, "%s: %s overlaps %s, expected memory of its own", call->name, a, b);
    snprintf(two, sizeof two, "%s: %s overlaps %s, expected memory of its own", call->name, b, a);
    cr_assert_eq(got, CLSEQ_INVALID_ARGUMENT, "%s and %s: got %s", a, b, clseq_status_name(got));
    cr_assert(strcmp(clseq_last_error(), f->arguments[i].is_written ? one : two) == 0 ||
                  (f->arguments[j].is_written && strcmp(clseq_last_error(), two) == 0),
              "%s and %s: %s", a, b, clseq_last_error());
}

/* Every argument of a call in one buffer, one right behind the other; then each pair on the same place. */
static void check_call(const struct call *call)
{
    fixture f;
    int64_t size = 0;
    clseq_tensor arena = {0}, place[MOST];
    fixture_create(&f);
    call->add(&f);
    for (int i = 0; i < f.count; i++)
        size += clseq_tensor_elements(f.arguments[i].tensor);
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 1, &size, &arena));
    MUST(clseq_tensor_fill(f.ctx, &arena, 0));
    MUST(clseq_rnn_forward(f.run->plan, &f.run->shape, &f.forward));
    int64_t at = 0;
    for (int i = 0; i < f.count; i++) {
        clseq_tensor *t = f.arguments[i].tensor;
        place[i] = *t = clseq_tensor_view(arena.buffer, at, t->dtype, t->ndim, t->dims);
        at += clseq_tensor_elements(t);
    }
    if (call->run == run_backward) {
        f.forward.reserve = f.backward.reserve;
        MUST(run_forward(&f));
    }
    MUST(call->run(&f));
    for (int i = 0; i < f.count; i++)
        for (int j = 0; j < i; j++) {
            /* The last element of j is the first of i. */
            const int64_t to = place[j].offset + clseq_tensor_elements(&place[j]) - 1;
            if (!(f.arguments[i].is_written || f.arguments[j].is_written) ||
                to + clseq_tensor_elements(&place[i]) > size)
                continue;
            f.arguments[i].tensor->offset = to;
            const clseq_status got = call->run(&f);
            f.arguments[i].tensor->offset = place[i].offset;
            if (j == i - 1)
                refused(&f, call, got, i, j);
            else
                cr_assert(got == CLSEQ_INVALID_ARGUMENT && strstr(clseq_last_error(), "overlaps"),
                          "%s on %s: %s", f.arguments[i].name, f.arguments[j].name, clseq_last_error());
        }
    MUST(clseq_context_finish(f.ctx));
    clseq_tensor_destroy(f.ctx, &arena);
    fixture_destroy(&f);
}

Test(rnn_overlap, pack)
{
    check_call(&calls[0]);
}

Test(rnn_overlap, forward)
{
    check_call(&calls[1]);
}

Test(rnn_overlap, backward)
{
    check_call(&calls[2]);
}

/* Final states may be written over the initial ones, but each over its own and over nothing else. */
Test(rnn_overlap, states_over_states)
{
    fixture f;
    fixture_create(&f);
    f.forward.final[0] = f.forward.initial[0];
    f.forward.final[1] = f.forward.initial[1];
    MUST(run_forward(&f));
    f.forward.final[0] = f.forward.initial[1];
    f.forward.final[1] = f.forward.initial[0];
    cr_assert_eq(run_forward(&f), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "final[0] overlaps"), "%s", clseq_last_error());
    fixture_destroy(&f);
}

/* x and y as columns of one array: rows take turns and share nothing. */
Test(rnn_overlap, columns_of_one_array)
{
    fixture f;
    clseq_tensor both = {0};
    fixture_create(&f);
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){T, B, I + H}, &both));
    const clseq_tensor x = clseq_tensor_slice(&both, 2, 0, I);
    f.forward.y = clseq_tensor_slice(&both, 2, I, H);
    MUST(clseq_tensor_copy(f.ctx, &f.forward.x, &x));
    f.forward.x = x;
    MUST(run_forward(&f));
    MUST(clseq_tensor_copy(f.ctx, &f.forward.y, &f.run->out[RNN_Y].tensor));
    rnn_outputs apart, together = rnn_run_outputs(f.run);
    rnn_run_forward(f.run);
    apart = rnn_run_outputs(f.run);
    cr_assert(memcmp(apart.data[RNN_Y], together.data[RNN_Y], apart.n[RNN_Y] * sizeof(float)) == 0);
    f.forward.y = clseq_tensor_slice(&both, 2, I - 1, H);
    cr_assert_eq(run_forward(&f), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(), "rnn forward: y overlaps x, expected memory of its own");
    rnn_outputs_free(&apart);
    rnn_outputs_free(&together);
    clseq_tensor_destroy(f.ctx, &both);
    fixture_destroy(&f);
}

/* Every argument one element beyond its tensor, whose buffer the pool has made larger, and in another context. */
Test(rnn_overlap, refuses_foreign_memory_and_what_lies_beyond)
{
    clseq_context *other = test_context();
    for (int i = 0; i < CALLS; i++) {
        fixture f;
        fixture_create(&f);
        calls[i].add(&f);
        MUST(run_forward(&f));
        for (int k = 0; k < f.count; k++) {
            const clseq_tensor own = *f.arguments[k].tensor;
            char sentence[64];
            snprintf(sentence, sizeof sentence, "%s: %s", calls[i].name, f.arguments[k].name);
            for (int foreign = 0; foreign < 2; foreign++) {
                clseq_tensor tensor = {0};
                MUST(clseq_tensor_create(foreign ? other : f.ctx, own.dtype, own.ndim, own.dims, &tensor));
                *f.arguments[k].tensor = tensor;
                f.arguments[k].tensor->offset = !foreign;
                const clseq_status got = calls[i].run(&f);
                cr_assert_eq(got, foreign ? CLSEQ_INVALID_ARGUMENT : CLSEQ_OUT_OF_BOUNDS, "%s: %s", sentence,
                             clseq_status_name(got));
                cr_assert(strstr(clseq_last_error(), sentence) == clseq_last_error(), "%s: %s", sentence,
                          clseq_last_error());
                cr_assert(!foreign || strstr(clseq_last_error(), "another context"), "%s",
                          clseq_last_error());
                clseq_tensor_destroy(foreign ? other : f.ctx, &tensor);
                *f.arguments[k].tensor = own;
            }
        }
        fixture_destroy(&f);
    }
    clseq_context_destroy(other);
}
