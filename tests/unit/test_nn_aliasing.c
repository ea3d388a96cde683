/*
 * Which arguments of an operation may share memory: neighbours in one buffer may, an output that overlaps an input by
 * one element may not.
 */
#include "core/error.h"
#include "support/device.h"

#include <clseq/nn.h>
#include <clseq/tensor.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Arguments in the order of `arguments` below. */
typedef clseq_status (*run)(clseq_context *ctx, const clseq_tensor *t);

static clseq_status affine_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_affine_forward(ctx, &t[0], &t[1], &t[2], &t[3]);
}

static clseq_status affine_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_affine_backward(ctx, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5]);
}

static clseq_status embedding_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_embedding_forward(ctx, &t[0], &t[1], &t[2]);
}

static clseq_status embedding_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_embedding_backward(ctx, &t[0], &t[1], &t[2]);
}

static clseq_status pointwise_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_DIV, NULL, t, &t[2]);
}

static clseq_status pointwise_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_DIV, NULL, t, &t[2], &t[3], 1, true, &t[4]);
}

static clseq_status dropout(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_dropout(ctx, &t[0], 0.5f, 1, 2, &t[1]);
}

static clseq_status reduce_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MAX, &t[0], &t[1]);
}

static clseq_status reduce_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_MAX, &t[0], &t[1], &t[2], true, &t[3]);
}

static clseq_status sum(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_sum(ctx, &t[0], 2, &t[1]);
}

static clseq_status cross_entropy_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_cross_entropy_forward(ctx, NULL, &t[0], &t[1], &t[2], &t[3]);
}

static clseq_status cross_entropy_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_cross_entropy_backward(ctx, NULL, &t[0], &t[1], &t[2], &t[3], &t[4]);
}

static clseq_status softmax_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_softmax_forward(ctx, 0, &t[0], &t[1]);
}

static clseq_status softmax_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_softmax_backward(ctx, 0, &t[0], &t[1], &t[2]);
}

static clseq_status norm_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_norm_forward(ctx, CLSEQ_NORM_LAYER, 1, &t[0], &t[1], &t[2], &t[3], &t[4]);
}

static clseq_status norm_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_norm_backward(ctx, CLSEQ_NORM_LAYER, &t[0], NULL, &t[1], &t[2], &t[3], &t[4], &t[5]);
}

static clseq_status norm_backward_gain(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_norm_backward(ctx, CLSEQ_NORM_LAYER, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], NULL);
}

static clseq_status cumsum(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_cumsum(ctx, 0, false, false, &t[0], &t[1]);
}

static clseq_status gather_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_gather_forward(ctx, 0, &t[0], &t[1], &t[2]);
}

static clseq_status gather_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_gather_backward(ctx, 0, &t[0], &t[1], &t[2]);
}

static clseq_status reverse(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_reverse(ctx, &t[0], &t[1], &t[2]);
}

static clseq_status over_time_forward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_over_time_forward(ctx, CLSEQ_OVER_TIME_MAX, &t[0], &t[1], &t[2], &t[3]);
}

static clseq_status over_time_backward(clseq_context *ctx, const clseq_tensor *t)
{
    return clseq_nn_over_time_backward(ctx, CLSEQ_OVER_TIME_MAX, &t[0], &t[1], &t[2], &t[3]);
}

#define F CLSEQ_DTYPE_F32
#define I CLSEQ_DTYPE_I32

/* A pair: an output and what it must not overlap. The first pair of the same two numbers ends the list. */
static const struct {
    const char *name;
    run run;
    struct {
        const char *name;
        clseq_dtype dtype;
        int ndim;
        int64_t dims[2];
    } arguments[6];
    int pairs[10][2];
} operations[] = {
    {"affine forward",
     affine_forward,
     {{"x", F, 2, {3, 5}}, {"w", F, 2, {4, 5}}, {"b", F, 1, {4}}, {"y", F, 2, {3, 4}}},
     {{3, 0}, {3, 1}, {3, 2}}},
    {"affine backward",
     affine_backward,
     {{"x", F, 2, {3, 5}},
      {"w", F, 2, {4, 5}},
      {"dy", F, 2, {3, 4}},
      {"dx", F, 2, {3, 5}},
      {"dw", F, 2, {4, 5}},
      {"db", F, 1, {4}}},
     {{3, 0}, {3, 1}, {3, 2}, {4, 0}, {4, 1}, {4, 2}, {5, 0}, {5, 1}, {5, 2}}},
    {"embedding forward",
     embedding_forward,
     {{"table", F, 2, {4, 5}}, {"tokens", I, 1, {3}}, {"y", F, 2, {3, 5}}},
     {{2, 0}, {2, 1}}},
    {"embedding backward",
     embedding_backward,
     {{"tokens", I, 1, {3}}, {"dy", F, 2, {3, 5}}, {"dtable", F, 2, {4, 5}}},
     {{2, 0}, {2, 1}}},
    {"div forward",
     pointwise_forward,
     {{"in[0]", F, 1, {7}}, {"in[1]", F, 1, {7}}, {"y", F, 1, {7}}},
     {{2, 0}, {2, 1}}},
    {"div backward",
     pointwise_backward,
     {{"in[0]", F, 1, {7}}, {"in[1]", F, 1, {7}}, {"y", F, 1, {7}}, {"dy", F, 1, {7}}, {"dx", F, 1, {7}}},
     {{4, 1}, {4, 2}, {4, 3}}},
    {"max forward", reduce_forward, {{"x", F, 2, {3, 5}}, {"y", F, 2, {3, 1}}}, {{1, 0}}},
    {"max backward",
     reduce_backward,
     {{"x", F, 2, {3, 5}}, {"y", F, 2, {3, 1}}, {"dy", F, 2, {3, 1}}, {"dx", F, 2, {3, 5}}},
     {{3, 0}, {3, 1}, {3, 2}}},
    {"dropout", dropout, {{"x", F, 1, {7}}, {"y", F, 1, {7}}}, {{1, 0}}},
    {"sum", sum, {{"x", F, 1, {7}}, {"out", F, 1, {1}}}, {{1, 0}}},
    {"cross entropy forward",
     cross_entropy_forward,
     {{"logits", F, 2, {3, 5}}, {"targets", I, 1, {3}}, {"loss", F, 1, {1}}, {"saved", F, 1, {4}}},
     {{2, 0}, {2, 3}, {3, 0}}},
    {"cross entropy backward",
     cross_entropy_backward,
     {{"logits", F, 2, {3, 5}},
      {"targets", I, 1, {3}},
      {"saved", F, 1, {4}},
      {"dloss", F, 1, {1}},
      {"dlogits", F, 2, {3, 5}}},
     {{4, 0}, {4, 2}, {4, 3}}},
    {"softmax forward", softmax_forward, {{"x", F, 2, {3, 5}}, {"y", F, 2, {3, 5}}}, {{1, 0}}},
    {"softmax backward",
     softmax_backward,
     {{"y", F, 2, {3, 5}}, {"dy", F, 2, {3, 5}}, {"dx", F, 2, {3, 5}}},
     {{2, 0}, {2, 1}}},
    {"layer norm forward",
     norm_forward,
     {{"x", F, 2, {3, 5}},
      {"gain", F, 1, {5}},
      {"shift", F, 1, {5}},
      {"y", F, 2, {3, 5}},
      {"saved", F, 2, {3, 2}}},
     {{3, 0}, {3, 1}, {3, 2}, {3, 4}, {4, 0}, {4, 1}, {4, 2}}},
    {"layer norm backward",
     norm_backward,
     {{"x", F, 2, {3, 5}},
      {"saved", F, 2, {3, 2}},
      {"dy", F, 2, {3, 5}},
      {"dx", F, 2, {3, 5}},
      {"dgain", F, 1, {5}},
      {"dshift", F, 1, {5}}},
     {{3, 0}, {3, 1}, {3, 2}, {3, 4}, {3, 5}, {4, 0}, {4, 1}, {4, 2}, {4, 5}}},
    {"layer norm backward",
     norm_backward_gain,
     {{"x", F, 2, {3, 5}},
      {"gain", F, 1, {5}},
      {"saved", F, 2, {3, 2}},
      {"dy", F, 2, {3, 5}},
      {"dx", F, 2, {3, 5}},
      {"dgain", F, 1, {5}}},
     {{4, 1}, {5, 1}}},
    {"cumsum", cumsum, {{"x", F, 2, {3, 5}}, {"y", F, 2, {3, 5}}}, {{1, 0}}},
    {"gather forward",
     gather_forward,
     {{"x", F, 2, {3, 5}}, {"index", I, 2, {4, 5}}, {"y", F, 2, {4, 5}}},
     {{2, 0}, {2, 1}}},
    {"gather backward",
     gather_backward,
     {{"index", I, 2, {4, 5}}, {"dy", F, 2, {4, 5}}, {"dx", F, 2, {3, 5}}},
     {{2, 0}, {2, 1}}},
    {"reverse",
     reverse,
     {{"x", F, 2, {3, 5}}, {"lengths", I, 1, {5}}, {"y", F, 2, {3, 5}}},
     {{2, 0}, {2, 1}}},
    {"over time forward",
     over_time_forward,
     {{"x", F, 2, {3, 5}}, {"lengths", I, 1, {5}}, {"y", F, 1, {5}}, {"step", I, 1, {5}}},
     {{2, 0}, {2, 1}, {2, 3}, {3, 0}, {3, 1}}},
    {"over time backward",
     over_time_backward,
     {{"lengths", I, 1, {5}}, {"step", I, 1, {5}}, {"dy", F, 1, {5}}, {"dx", F, 2, {3, 5}}},
     {{3, 0}, {3, 1}, {3, 2}}},
};

/* All arguments one behind the other in `buffer`; returns where the next one would begin. */
static int64_t lay_out(size_t op, cl_mem buffer, clseq_tensor t[6])
{
    int64_t next = 0;
    for (int i = 0; i < 6 && operations[op].arguments[i].name; i++) {
        t[i] = clseq_tensor_view(buffer, next, operations[op].arguments[i].dtype,
                                 operations[op].arguments[i].ndim, operations[op].arguments[i].dims);
        next += clseq_tensor_elements(&t[i]);
    }
    return next;
}

static void check_pair(clseq_context *ctx, size_t op, const int pair[2], cl_mem buffer)
{
    const char *name = operations[op].name, *out = operations[op].arguments[pair[0]].name,
               *in = operations[op].arguments[pair[1]].name;
    clseq_tensor t[6];
    char sentence[100];
    const int64_t free = lay_out(op, buffer, t), outs = clseq_tensor_elements(&t[pair[0]]),
                  ins = clseq_tensor_elements(&t[pair[1]]);
    /* Where both begin, and whether they overlap. */
    const struct {
        int64_t out, in;
        bool overlap;
    } places[] = {{0, outs, false}, {ins, 0, false}, {0, outs - 1, true}, {ins - 1, 0, true}};
    snprintf(sentence, sizeof sentence, "%s: %s overlaps %s", name, out, in);
    for (size_t i = 0; i < 4; i++) {
        t[pair[0]].offset = free + places[i].out;
        t[pair[1]].offset = free + places[i].in;
        if (places[i].out == places[i].in)
            continue; /* single elements: the same place, which some operations allow */
        const clseq_status status = operations[op].run(ctx, t);
        if (places[i].overlap)
            cr_expect(status == CLSEQ_INVALID_ARGUMENT && strcmp(clseq_last_error(), sentence) == 0,
                      "place %zu: expected \"%s\", got %s: \"%s\"", i, sentence, clseq_status_name(status),
                      clseq_last_error());
        else
            cr_expect_eq(status, CLSEQ_OK, "%s with %s next to %s: %s", name, out, in, clseq_last_error());
    }
}

Test(nn_aliasing, outputs_overlap_no_inputs)
{
    clseq_context *ctx = test_context();
    clseq_tensor room = {0};
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){1000}, &room), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_fill(ctx, &room, 0), CLSEQ_OK);
    for (size_t op = 0; op < sizeof operations / sizeof operations[0]; op++)
        for (const int(*pair)[2] = operations[op].pairs; (*pair)[0] != (*pair)[1]; pair++)
            check_pair(ctx, op, *pair, room.buffer);
    clseq_tensor_destroy(ctx, &room);
    clseq_context_destroy(ctx);
}
