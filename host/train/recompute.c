/*
 * Parts of a graph whose values are computed again in backward instead of being kept (Chen et al. 2016, "Training deep
 * nets with sublinear memory cost"): the nodes of a part run forward once more, on the same inputs with the same random
 * numbers, before the last of them runs backward.
 */
#include "train/graph.h"

struct clseq__part {
    clseq__node **nodes; /* [count] in the order of running */
    size_t count;
    bool is_restored;
};

void clseq_recompute_begin(clseq_graph *g)
{
    static const char op[] = "recompute begin";
    clseq_status status = CLSEQ_OK;
    if (!clseq__op_enter(g, op))
        return;
    if (g->is_in_part)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: the part before was not ended with clseq_recompute_end", op);
    g->is_in_part = true;
    g->part_serial = g->serial;
    g->part_below = g->tape;
done:
    clseq__op_leave(g, op, status, NULL);
}

/* The nodes that were recorded since recompute_begin, as a part. */
static clseq_status make_part(clseq_graph *g, clseq__part **out)
{
    clseq__part *part = NULL;
    size_t count = 0;
    void *memory = NULL;
    for (const clseq__node *node = g->tape; node != g->part_below; node = node->previous)
        count++;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, sizeof *part, &memory));
    part = memory;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, count * sizeof *part->nodes, &memory));
    *part = (clseq__part){.nodes = memory, .count = count};
    for (clseq__node *node = g->tape; count > 0; node = node->previous) {
        part->nodes[--count] = node;
        node->part = part;
    }
    *out = part;
    return CLSEQ_OK;
}

static clseq__var *root_of(clseq__var *x)
{
    return x->base ? x->base : x;
}

static bool is_made_by(const clseq__var *x, const clseq__part *part)
{
    return x->node && x->node->part == part;
}

/* What is used after the part, for itself or in a view, keeps its memory; so does what a view that no node will make again
 * looks at. */
static void pin_roots(clseq_graph *g, const clseq__part *part)
{
    for (clseq__var *x = g->last; x && x->serial > g->part_serial; x = x->previous)
        if (x->is_pinned || (x->base && !is_made_by(x, part)))
            root_of(x)->is_pinned = true;
}

static void unpin_roots(clseq_graph *g)
{
    for (clseq__var *x = g->last; x && x->serial > g->part_serial; x = x->previous)
        root_of(x)->is_pinned = false;
}

/* Gives up the value of a node's output. */
static void drop_value(clseq_graph *g, clseq__var *x)
{
    const clseq_tensor value = x->value;
    if (x->owns_value)
        clseq_tensor_destroy(g->ctx, &x->value);
    x->value = clseq_tensor_view(NULL, 0, value.dtype, value.ndim, value.dims);
}

static void drop_values(clseq_graph *g, const clseq__part *part)
{
    for (size_t i = part->count; i-- > 0;) {
        clseq__node *node = part->nodes[i];
        clseq__node_forget(g, node);
        for (int o = 0; o < node->out_count; o++)
            if (node->out[o] && !root_of(node->out[o])->is_pinned && is_made_by(root_of(node->out[o]), part))
                drop_value(g, node->out[o]);
    }
}

void clseq_recompute_end(clseq_graph *g, int count, clseq_var *const *keep)
{
    static const char op[] = "recompute end";
    clseq_status status = CLSEQ_OK;
    clseq__part *part = NULL;
    if (!clseq__op_enter(g, op))
        return;
    if (!g->is_in_part)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: no part has begun", op);
    CLSEQ__TRY(clseq__vars_pin(g, op, count, keep, true));
    g->is_in_part = false;
    if (g->tape != g->part_below) {
        CLSEQ__TRY(make_part(g, &part));
        pin_roots(g, part);
        drop_values(g, part);
        unpin_roots(g);
        CLSEQ__TRY(clseq__vars_pin(g, op, count, keep, true));
    }
    clseq__vars_release_since(g, g->part_serial);
    CLSEQ__TRY(clseq__vars_pin(g, op, count, keep, false));
done:
    clseq__op_leave(g, op, status, NULL);
}

/* Whether a value or what was saved is missing. */
static bool is_incomplete(const clseq__node *node)
{
    bool is_missing = node->saved_count > 0;
    for (int i = 0; i < node->out_count; i++)
        is_missing = is_missing || (node->out[i] && !node->out[i]->value.buffer);
    return is_missing && !node->is_pending;
}

clseq_status clseq__part_restore(clseq_graph *g, const clseq__node *node)
{
    clseq__part *part = node->part;
    if (!part || part->is_restored)
        return CLSEQ_OK;
    part->is_restored = true;
    for (size_t i = 0; i < part->count; i++)
        if (is_incomplete(part->nodes[i]))
            CLSEQ__RETURN_IF(clseq__node_forward(g, part->nodes[i]));
    return CLSEQ_OK;
}
