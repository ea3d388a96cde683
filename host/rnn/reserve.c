#include "rnn/reserve.h"

#include "core/array.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A plan's descriptor as its passes know it: it lives as long as the plan or one of them. */
typedef struct clseq__pass_key {
    int64_t users;
    clseq_rnn_desc desc;
    int64_t widths[]; /* where the descriptor has them */
} pass_key;

/* A reserve that waits. */
typedef struct entry {
    cl_mem buffer;
    int64_t begin, end; /* bytes of the buffer */
    pass_key *key;
    clseq_schedule schedule;
    clseq_rnn_shape shape;
    clseq__pass_progress at;
    uint64_t pass; /* its number among all of the context */
    int64_t layer;
} entry;

/* Sorted by buffer and beginning. No two overlap. */
typedef struct ledger {
    entry *entries;
    size_t count, capacity;
    uint64_t passes;
} ledger;

static void key_release(pass_key *key)
{
    if (key && --key->users == 0)
        free(key);
}

static void release(void *data)
{
    ledger *all = data;
    for (size_t i = 0; i < all->count; i++)
        key_release(all->entries[i].key);
    free(all->entries);
    free(all);
}

static pass_key *key_create(const clseq_rnn_desc *desc)
{
    const size_t bytes = desc->widths ? (size_t)desc->layers * sizeof *desc->widths : 0;
    pass_key *key = malloc(sizeof *key + bytes);
    if (!key)
        return NULL;
    key->users = 1;
    key->desc = *desc;
    if (desc->widths) {
        memcpy(key->widths, desc->widths, bytes);
        key->desc.widths = key->widths;
    }
    return key;
}

static bool make_room(ledger *all, int64_t entries)
{
    while (all->capacity < all->count + (size_t)entries) {
        entry *larger = clseq__array_room(all->entries, sizeof *larger, all->capacity, &all->capacity);
        if (!larger)
            return false;
        all->entries = larger;
    }
    return true;
}

clseq_status clseq__reserve_prepare(clseq_rnn_plan *plan)
{
    clseq_context *ctx = plan->ctx;
    if (!ctx->reserves && (ctx->reserves = calloc(1, sizeof(ledger))))
        ctx->release_reserves = release;
    if (!plan->pass_key)
        plan->pass_key = key_create(&plan->desc);
    if (!ctx->reserves || !plan->pass_key || !make_room(ctx->reserves, plan->desc.layers))
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn forward: no memory for the list of reserves");
    return CLSEQ_OK;
}

void clseq__reserve_plan_gone(clseq_rnn_plan *plan)
{
    key_release(plan->pass_key);
    plan->pass_key = NULL;
}

/* The first entry of the buffer that ends behind `begin`, or where one that begins there belongs. */
static size_t find(const ledger *all, cl_mem buffer, int64_t begin)
{
    size_t low = 0, high = all->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const entry *at = &all->entries[middle];
        const bool before =
            at->buffer == buffer ? at->end <= begin : (uintptr_t)at->buffer < (uintptr_t)buffer;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void clseq__reserve_written(clseq_context *ctx, const clseq_tensor *tensor, int64_t bytes)
{
    ledger *all = ctx->reserves;
    if (!all || !tensor->buffer)
        return;
    const size_t first = find(all, tensor->buffer, tensor->offset);
    size_t end = first;
    while (end < all->count && all->entries[end].buffer == tensor->buffer &&
           all->entries[end].begin < tensor->offset + bytes)
        key_release(all->entries[end++].key);
    if (end == first)
        return;
    memmove(&all->entries[first], &all->entries[end], (all->count - end) * sizeof *all->entries);
    all->count -= end - first;
}

void clseq__reserve_all_written(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_tensor *reserve)
{
    for (int64_t l = 0; l < plan->desc.layers; l++)
        clseq__reserve_written(plan->ctx, &reserve[l], clseq__stack_reserve(plan, shape, l));
}

static clseq_schedule schedule_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    return clseq__rnn_form_of(plan, shape)->schedule->id;
}

void clseq__reserve_filled(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                           const clseq_tensor *reserve, const clseq__pass_progress *at)
{
    ledger *all = plan->ctx->reserves;
    all->passes++;
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        const size_t i = find(all, reserve[l].buffer, reserve[l].offset);
        memmove(&all->entries[i + 1], &all->entries[i], (all->count - i) * sizeof *all->entries);
        all->entries[i] = (entry){.buffer = reserve[l].buffer,
                                  .begin = reserve[l].offset,
                                  .end = reserve[l].offset + clseq__stack_reserve(plan, shape, l),
                                  .key = plan->pass_key,
                                  .schedule = schedule_of(plan, shape),
                                  .shape = *shape,
                                  .at = *at,
                                  .pass = all->passes,
                                  .layer = l};
        plan->pass_key->users++;
        all->count++;
    }
}

static bool like(const clseq_rnn_desc *a, const clseq_rnn_desc *b)
{
    const bool same = a->cell == b->cell && a->input == b->input && a->layers == b->layers &&
                      a->bias == b->bias && a->direction == b->direction && a->merge == b->merge &&
                      a->projection == b->projection && a->dropout == b->dropout &&
                      a->variational_dropout == b->variational_dropout && a->residual == b->residual &&
                      a->layer_norm == b->layer_norm && a->one_hot == b->one_hot &&
                      a->cell_clip == b->cell_clip && a->zoneout_h == b->zoneout_h &&
                      a->zoneout_c == b->zoneout_c && a->recurrent_dropout == b->recurrent_dropout;
    for (int64_t l = 0; same && l < a->layers; l++)
        if ((a->widths ? a->widths[l] : a->hidden) != (b->widths ? b->widths[l] : b->hidden))
            return false;
    return same;
}

/* "lstm, 2 layers, input 3, hidden 4, bias 0, schedule team, T 5, B 6, in pieces". */
#define PASS_TEXT (CLSEQ__DESC_TEXT + 128)
static const char *text_of(char text[PASS_TEXT], const clseq_rnn_desc *desc, clseq_schedule schedule,
                           const clseq_rnn_shape *shape)
{
    char net[CLSEQ__DESC_TEXT];
    snprintf(text, PASS_TEXT, "%s, bias %d, schedule %s, T %" PRId64 ", B %" PRId64 "%s",
             clseq__rnn_desc_text(desc, net), (int)desc->bias, clseq_schedule_name(schedule), shape->T,
             shape->B, shape->in_pieces ? ", in pieces" : "");
    return text;
}

/* The entry is that of layer l of the pass that `first`, that of layer 0, belongs to. */
static clseq_status check_layer(const char *call, const entry *held, const entry *first, int64_t l)
{
    if (held->layer != l)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: reserve[%" PRId64 "] holds layer %" PRId64
                            " of a pass, expected layer %" PRId64,
                            call, l, held->layer, l);
    if (held->pass != first->pass)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: reserve[%" PRId64
                            "] holds another pass than reserve[0], expected the layers of one",
                            call, l);
    return CLSEQ_OK;
}

static bool same_shape(const clseq_rnn_shape *a, const clseq_rnn_shape *b)
{
    return a->T == b->T && a->B == b->B && a->in_pieces == b->in_pieces;
}

clseq_status clseq__reserve_check(const char *call, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_tensor *reserve, clseq__pass_progress *at)
{
    const ledger *all = plan->ctx->reserves;
    const clseq_schedule schedule = schedule_of(plan, shape);
    const entry *first = NULL;
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        char came[PASS_TEXT], expected[PASS_TEXT];
        const size_t i = all ? find(all, reserve[l].buffer, reserve[l].offset) : 0;
        const entry *held = all && i < all->count ? &all->entries[i] : NULL;
        if (!held || held->buffer != reserve[l].buffer || held->begin != reserve[l].offset)
            return clseq__error(CLSEQ_INVALID_STATE,
                                "%s: reserve[%" PRId64
                                "] holds no forward pass: none has filled it, or it was written "
                                "since, or its backward pass has used it up",
                                call, l);
        const bool alike = held->key == plan->pass_key || like(&held->key->desc, &plan->desc);
        if (!alike || held->schedule != schedule || !same_shape(&held->shape, shape))
            return clseq__error(CLSEQ_INVALID_STATE,
                                "%s: reserve[%" PRId64 "] holds the pass of %s, expected %s", call, l,
                                text_of(came, &held->key->desc, held->schedule, &held->shape),
                                text_of(expected, &plan->desc, schedule, shape));
        first = l == 0 ? held : first;
        CLSEQ__RETURN_IF(check_layer(call, held, first, l));
    }
    *at = first->at;
    return CLSEQ_OK;
}
