#include "rnn/reserve.h"

#include "core/array.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pass {
    cl_mem buffer;
    int64_t begin, end; /* floats of the buffer */
    clseq_rnn_desc desc;
    int64_t T, B;
} pass;

/* Sorted by buffer and beginning. No two overlap. */
typedef struct ledger {
    pass *passes;
    size_t count, capacity;
} ledger;

static void release(void *data)
{
    ledger *all = data;
    free(all->passes);
    free(all);
}

clseq_status clseq__reserve_prepare(clseq_context *ctx)
{
    ledger *all = ctx->reserves;
    if (!all) {
        all = calloc(1, sizeof *all);
        if (!all)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn forward: no memory for the list of reserves");
        ctx->reserves = all;
        ctx->release_reserves = release;
    }
    pass *passes = clseq__array_room(all->passes, sizeof *passes, all->count, &all->capacity);
    if (!passes)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn forward: no memory for the list of reserves");
    all->passes = passes;
    return CLSEQ_OK;
}

/* The first entry of the buffer that ends behind `begin`, or where one that begins there belongs. */
static size_t find(const ledger *all, cl_mem buffer, int64_t begin)
{
    size_t low = 0, high = all->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const pass *at = &all->passes[middle];
        const bool before =
            at->buffer == buffer ? at->end <= begin : (uintptr_t)at->buffer < (uintptr_t)buffer;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void clseq__reserve_written(clseq_context *ctx, const clseq_tensor *tensor, int64_t count)
{
    ledger *all = ctx->reserves;
    if (!all || !tensor->buffer)
        return;
    const size_t first = find(all, tensor->buffer, tensor->offset);
    size_t end = first;
    while (end < all->count && all->passes[end].buffer == tensor->buffer &&
           all->passes[end].begin < tensor->offset + count)
        end++;
    if (end == first)
        return;
    memmove(&all->passes[first], &all->passes[end], (all->count - end) * sizeof *all->passes);
    all->count -= end - first;
}

void clseq__reserve_filled(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                           const clseq_tensor *reserve, int64_t count)
{
    ledger *all = plan->ctx->reserves;
    const size_t at = find(all, reserve->buffer, reserve->offset);
    memmove(&all->passes[at + 1], &all->passes[at], (all->count - at) * sizeof *all->passes);
    all->passes[at] = (pass){.buffer = reserve->buffer,
                             .begin = reserve->offset,
                             .end = reserve->offset + count,
                             .desc = plan->desc,
                             .T = shape->T,
                             .B = shape->B};
    all->count++;
}

static bool like(const clseq_rnn_desc *a, const clseq_rnn_desc *b)
{
    return a->cell == b->cell && a->input == b->input && a->hidden == b->hidden && a->layers == b->layers &&
           a->bias == b->bias && a->schedule == b->schedule && a->one_hot == b->one_hot;
}

/* "lstm, 2 layers, input 3, hidden 4, T 5, B 6" and what else shapes a reserve. */
#define PASS_TEXT 200
static const char *text_of(char text[PASS_TEXT], const clseq_rnn_desc *desc, int64_t T, int64_t B)
{
    snprintf(text, PASS_TEXT,
             "%s, %" PRId64 " layer%s, input %" PRId64 "%s, hidden %" PRId64
             ", bias %d, schedule %d, T %" PRId64 ", B %" PRId64,
             clseq_cell_name(desc->cell), desc->layers, desc->layers == 1 ? "" : "s", desc->input,
             desc->one_hot ? " (one-hot)" : "", desc->hidden, (int)desc->bias, (int)desc->schedule, T, B);
    return text;
}

clseq_status clseq__reserve_check(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_tensor *reserve)
{
    const ledger *all = plan->ctx->reserves;
    const size_t at = all ? find(all, reserve->buffer, reserve->offset) : 0;
    const pass *held = all && at < all->count ? &all->passes[at] : NULL;
    char came[PASS_TEXT], expected[PASS_TEXT];
    if (!held || held->buffer != reserve->buffer || held->begin != reserve->offset)
        return clseq__error(
            CLSEQ_INVALID_STATE,
            "rnn backward: reserve holds no forward pass: none has filled it, or it was written "
            "since, or its backward pass has used it up");
    if (like(&held->desc, &plan->desc) && held->T == shape->T && held->B == shape->B)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_STATE, "rnn backward: reserve holds the pass of %s, expected %s",
                        text_of(came, &held->desc, held->T, held->B),
                        text_of(expected, &plan->desc, shape->T, shape->B));
}
