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

enum { T = 3, B = 2, I = 5, H = 4, L = 2, MOST = 64 };

/* An argument: its name in sentences, the tensor in the arguments of the call, whether the call writes it. */
typedef struct argument {
    char name[64];
    clseq_tensor *tensor;
    bool is_written;
} argument;

typedef struct fixture {
    clseq_context *ctx;
    rnn_case *c;
    rnn_run *run;
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
    argument arguments[MOST];
    int count;
} fixture;

/* Two layers, so that there are two reserves; peepholes and a projection beside the usual weights. */
static void fixture_create(fixture *f)
{
    static const int lengths[] = {3, 2};
    *f = (fixture){.ctx = test_context()};
    f->c = rnn_case_create(&(reference_rnn){.cell = reference_cell_find("lstm_peephole"),
                                            .T = T,
                                            .B = B,
                                            .I = I,
                                            .H = H,
                                            .L = L,
                                            .P = 3,
                                            .lengths = lengths},
                           1, 0);
    f->run = rnn_run_create(f->ctx, f->c, &(rnn_run_options){.schedule = CLSEQ_SCHEDULE_AUTO});
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

static void add(fixture *f, const char *name, clseq_tensor *tensor, bool is_written)
{
    argument *a = &f->arguments[f->count++];
    cr_assert(f->count <= MOST);
    snprintf(a->name, sizeof a->name, "%s", name);
    a->tensor = tensor;
    a->is_written = is_written;
}

/* The arrays of arguments belong to the run. */
static void add_states(fixture *f, const char *name, int first, clseq_tensor *tensors, bool is_written)
{
    static const char *const states[] = {"h", "c"};
    for (int s = 0; s < 2; s++) {
        char text[64];
        snprintf(text, sizeof text, "%s[%d] (%s)", name, s, states[s]);
        add(f, text, &tensors[first + s], is_written);
    }
}

static void add_weights(fixture *f, const char *name, clseq_tensor *tensors, bool is_written)
{
    for (int i = 0; i < f->c->weights; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s[%d] (%s)", name, i, f->c->weight[i].name);
        add(f, text, &tensors[RNN_WEIGHTS + i], is_written);
    }
}

static void add_reserves(fixture *f)
{
    for (int l = 0; l < L; l++) {
        char text[64];
        snprintf(text, sizeof text, "reserve[%d]", l);
        add(f, text, &f->run->reserves[l], true);
    }
}

static clseq_status run_pack(fixture *f)
{
    return clseq_rnn_pack(f->run->plan, &f->run->shape, f->run->given + RNN_WEIGHTS, &f->forward.packed);
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
    add_weights(f, "weights", f->run->given, false);
    add(f, "packed", &f->forward.packed, true);
}

static void add_forward(fixture *f)
{
    add(f, "packed", &f->forward.packed, false);
    add(f, "x", &f->forward.x, false);
    add(f, "lengths", &f->forward.lengths, false);
    add_states(f, "initial", RNN_INITIAL, f->run->given, false);
    add(f, "y", &f->forward.y, true);
    add_states(f, "final", RNN_FINAL, f->run->written, true);
    add_reserves(f);
    add(f, "workspace", &f->forward.workspace, true);
}

static void add_backward(fixture *f)
{
    add(f, "packed", &f->backward.packed, false);
    add(f, "x", &f->backward.x, false);
    add(f, "lengths", &f->backward.lengths, false);
    add(f, "dy", &f->backward.dy, false);
    add_states(f, "dfinal", RNN_DFINAL, f->run->given, false);
    add(f, "dx", &f->backward.dx, true);
    add_states(f, "dinitial", RNN_DINITIAL, f->run->written, true);
    add_reserves(f);
    add(f, "workspace", &f->backward.workspace, true);
    add_weights(f, "dweights", f->run->written, true);
}

static const struct call {
    const char *name;
    void (*add)(fixture *f);
    clseq_status (*run)(fixture *f);
} calls[] = {{"rnn pack", add_pack, run_pack},
             {"rnn forward", add_forward, run_forward},
             {"rnn backward", add_backward, run_backward}};
enum { CALLS = sizeof calls / sizeof calls[0] };

/* A refusal that names the call and both arguments, what is written first. */
static void refused(const fixture *f, const struct call *call, clseq_status got, int i, int j)
{
    const char *written = f->arguments[i].name, *other = f->arguments[j].name;
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s: %s overlaps %s, expected memory of its own", call->name, written,
             other);
    cr_assert_eq(got, CLSEQ_INVALID_ARGUMENT, "%s and %s: got %s", written, other, clseq_status_name(got));
    cr_assert_str_eq(clseq_last_error(), sentence);
}

static int64_t bytes_of(const clseq_tensor *t)
{
    return clseq_tensor_elements(t) * (int64_t)clseq_dtype_size(t->dtype);
}

/* Memory for the library's own use begins at multiples of 64 bytes, everything else at elements. */
static int64_t alignment_of(const clseq_tensor *t)
{
    return t->dtype == CLSEQ_DTYPE_U8 ? 64 : (int64_t)clseq_dtype_size(t->dtype);
}

static int64_t aligned(int64_t at, const clseq_tensor *t)
{
    return (at + alignment_of(t) - 1) / alignment_of(t) * alignment_of(t);
}

static void put(clseq_tensor *t, cl_mem buffer, int64_t byte)
{
    *t = clseq_tensor_view(buffer, byte / (int64_t)clseq_dtype_size(t->dtype), t->dtype, t->ndim, t->dims);
}

/* Every argument of a call in one buffer, one right behind the other; then each pair on the same place. */
static void check_call(const struct call *call)
{
    fixture f;
    int64_t size = 0, place[MOST];
    clseq_tensor arena = {0};
    fixture_create(&f);
    call->add(&f);
    for (int i = 0; i < f.count; i++) {
        place[i] = aligned(size, f.arguments[i].tensor);
        size = place[i] + bytes_of(f.arguments[i].tensor);
    }
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, &size, &arena));
    MUST(clseq_tensor_fill(f.ctx, &arena, 0));
    for (int i = 0; i < f.count; i++)
        put(f.arguments[i].tensor, arena.buffer, place[i]);
    if (call->run == run_backward)
        MUST(run_forward(&f));
    MUST(call->run(&f));
    for (int i = 0; i < f.count; i++)
        for (int j = 0; j < i; j++) {
            /* The last element of j is the first of i, or as near as i may begin. */
            clseq_tensor *t = f.arguments[i].tensor;
            const int64_t end = place[j] + bytes_of(f.arguments[j].tensor),
                          to = aligned(end, t) - alignment_of(t);
            if (!(f.arguments[i].is_written || f.arguments[j].is_written) || to + bytes_of(t) > size)
                continue;
            put(t, arena.buffer, to);
            const clseq_status got = call->run(&f);
            put(t, arena.buffer, place[i]);
            if (j == i - 1 && to >= place[j])
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
    clseq_tensor *initial = f.run->given + RNN_INITIAL, *final = f.run->written + RNN_FINAL;
    final[0] = initial[0];
    final[1] = initial[1];
    MUST(run_forward(&f));
    clseq_tensor h = {0};
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){2 * L * B * H}, &h));
    initial[0] = clseq_tensor_view(h.buffer, 0, CLSEQ_DTYPE_F32, 3, initial[0].dims);
    initial[1] =
        clseq_tensor_view(h.buffer, clseq_tensor_elements(&initial[0]), CLSEQ_DTYPE_F32, 3, initial[1].dims);
    final[0] = initial[0];
    final[1] = initial[1];
    MUST(run_forward(&f));
    final[0].offset++;
    cr_assert_eq(run_forward(&f), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(),
                     "rnn forward: final[0] (h) overlaps initial[0] (h), expected memory of its own");
    final[0].offset--;
    final[1] = f.run->out[RNN_FINAL + 1].tensor;
    final[0].offset = initial[1].offset;
    cr_assert_eq(run_forward(&f), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(),
                     "rnn forward: final[0] (h) overlaps initial[1] (c), expected memory of its own");
    clseq_tensor_destroy(f.ctx, &h);
    fixture_destroy(&f);
}

/* What is only read may lie on one place any number of times. */
Test(rnn_overlap, reads_share)
{
    fixture f;
    fixture_create(&f);
    clseq_tensor *weights = f.run->given + RNN_WEIGHTS;
    const int per_layer = f.c->weights / L;
    for (int i = 0; i < f.c->weights; i++)
        for (int j = 0; j < i; j++)
            if (weights[i].ndim == weights[j].ndim && weights[i].dims[0] == weights[j].dims[0] &&
                (weights[i].ndim == 1 || weights[i].dims[1] == weights[j].dims[1]))
                weights[i] = weights[j];
    cr_assert_eq(weights[per_layer + 2].buffer, weights[2].buffer);
    MUST(run_pack(&f));
    /* A short read within a long one, and a write behind the short one. */
    const clseq_tensor whole = f.run->given[RNN_WEIGHTS], packed = f.forward.packed;
    clseq_tensor room = {0};
    const int64_t bytes = 256 + packed.dims[0];
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, &bytes, &room));
    MUST(clseq_tensor_fill(f.ctx, &room, 0));
    cr_assert(bytes_of(&whole) > 256);
    put(&weights[0], room.buffer, 0);
    put(&weights[2], room.buffer, 16);
    f.forward.packed = clseq_tensor_slice(&room, 0, 256, packed.dims[0]);
    cr_assert_eq(run_pack(&f), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(),
                     "rnn pack: packed overlaps weights[0] (weight_ih_l0), expected memory of its own");
    weights[0] = whole;
    MUST(run_pack(&f));
    f.forward.packed = packed;
    f.run->given[RNN_DFINAL + 1] = f.run->given[RNN_INITIAL + 1];
    MUST(run_forward(&f));
    MUST(run_backward(&f));
    clseq_tensor_destroy(f.ctx, &room);
    fixture_destroy(&f);
}

/* Of memory for the library's own use no more counts than it needs. */
Test(rnn_overlap, larger_memory_may_reach_over_others)
{
    fixture f;
    clseq_tensor arena = {0};
    fixture_create(&f);
    clseq_tensor *const memory[] = {&f.forward.packed, &f.run->reserves[0], &f.run->reserves[1],
                                    &f.forward.workspace};
    int64_t size = 0, place[4];
    for (int i = 0; i < 4; i++) {
        place[i] = aligned(size, memory[i]);
        size = place[i] + bytes_of(memory[i]);
    }
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 1, &size, &arena));
    MUST(clseq_tensor_fill(f.ctx, &arena, 0));
    for (int i = 0; i < 4; i++)
        *memory[i] = clseq_tensor_slice(&arena, 0, place[i], size - place[i]);
    f.backward.packed = f.forward.packed;
    f.backward.workspace = f.forward.workspace;
    MUST(run_pack(&f));
    MUST(run_forward(&f));
    MUST(run_backward(&f));
    clseq_tensor_destroy(f.ctx, &arena);
    fixture_destroy(&f);
}

/* x and y as columns of one array: rows take turns and share nothing. */
Test(rnn_overlap, columns_of_one_array)
{
    fixture f;
    clseq_tensor both = {0};
    fixture_create(&f);
    MUST(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){T, B, I + 3}, &both));
    const clseq_tensor x = clseq_tensor_slice(&both, 2, 0, I);
    f.forward.y = clseq_tensor_slice(&both, 2, I, 3);
    MUST(clseq_tensor_copy(f.ctx, &f.forward.x, &x));
    f.forward.x = x;
    MUST(run_forward(&f));
    MUST(clseq_tensor_copy(f.ctx, &f.forward.y, &f.run->out[RNN_Y].tensor));
    rnn_outputs apart, together = rnn_run_outputs(f.run);
    rnn_run_forward(f.run);
    apart = rnn_run_outputs(f.run);
    cr_assert(memcmp(apart.data[RNN_Y], together.data[RNN_Y], f.c->n[RNN_Y] * sizeof(float)) == 0);
    f.forward.y = clseq_tensor_slice(&both, 2, I - 1, 3);
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
            char sentence[128];
            snprintf(sentence, sizeof sentence, "%s: %s", calls[i].name, f.arguments[k].name);
            for (int foreign = 0; foreign < 2; foreign++) {
                clseq_tensor tensor = {0};
                MUST(clseq_tensor_create(foreign ? other : f.ctx, own.dtype, own.ndim, own.dims, &tensor));
                *f.arguments[k].tensor = tensor;
                f.arguments[k].tensor->offset = foreign ? 0 : alignment_of(&own) == 64 ? 64 : 1;
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
