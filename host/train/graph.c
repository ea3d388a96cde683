/* The life of a graph: begin, end, the first failure, and the memory that stays with the context. */
#include "train/graph.h"

#include "core/context.h"
#include "core/pool.h"
#include "train/params.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gives all memory of the graph back. */
static void give_back(clseq_graph *g)
{
    for (clseq__node *node = g->tape; node; node = node->previous)
        clseq__node_forget(g, node);
    while (g->last)
        clseq__var_destroy(g, g->last);
    for (int i = 0; i < CLSEQ__PENDING; i++)
        clseq_tensor_destroy(g->ctx, &g->pending[i]);
    for (const clseq__reading *r = g->readings; r; r = r->previous)
        clseq__params_release(r->param->store);
    g->readings = NULL;
    g->tape = NULL;
    g->scope_count = 0;
    clseq__vars_reset(&g->vars);
}

/*
 * Called when the context is destroyed. Its queue is empty by then, but Mesa's rusticl (22.3) returns from clFinish
 * before commands that clFlush has sent are complete, so the copies out of staging are waited for by their events.
 */
static void release(void *graphs)
{
    clseq_graph *g = graphs;
    give_back(g);
    clseq__staging_release(&g->staging);
    clseq__arena_release(&g->nodes);
    clseq__vars_release(&g->vars);
    free(g->scopes);
    free(g);
}

/* The context's graph, made at the first use. */
static clseq_graph *graph_of(clseq_context *ctx)
{
    clseq_graph *g = ctx->graphs;
    if (!g) {
        g = calloc(1, sizeof *g);
        if (!g)
            return NULL;
        g->ctx = ctx;
        ctx->graphs = g;
        ctx->release_graphs = release;
    }
    return g;
}

/* A graph may begin, and is there. */
static clseq_status check_begin(clseq_context *ctx, clseq_mode mode)
{
    const clseq_graph *g = NULL;
    CLSEQ__NEEDS("graph begin", ctx);
    if (mode != CLSEQ_MODE_TRAINING && mode != CLSEQ_MODE_INFERENCE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "graph begin: mode is %d, expected CLSEQ_MODE_TRAINING or CLSEQ_MODE_INFERENCE",
                            (int)mode);
    g = graph_of(ctx);
    if (!g)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "graph begin: no memory for the graph");
    if (g->is_open)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "graph begin: the context's last graph was not ended with clseq_graph_end");
    return CLSEQ_OK;
}

clseq_graph *clseq_graph_begin(clseq_context *ctx, clseq_mode mode)
{
    static const char op[] = "graph begin";
    clseq_graph *g = NULL;
    if (clseq__made(op, check_begin(ctx, mode)) != CLSEQ_OK)
        return NULL;
    g = ctx->graphs;
    clseq__context_retain(ctx); /* until clseq_graph_end */
    g->generation++;
    g->mode = mode;
    g->is_open = true;
    g->is_backward_done = false;
    g->on_grad_ready = NULL;
    g->status = CLSEQ_OK;
    g->sentence[0] = '\0';
    g->seed = 0;
    g->step = g->generation - 1;
    g->draws = 0;
    g->readings = NULL;
    g->recur_lines = NULL;
    clseq__arena_reset(&g->nodes);
    g->is_in_part = false;
    clseq__op_leave(g, op, clseq__staging_begin(&g->staging), NULL);
    return g;
}

clseq_status clseq_graph_end(clseq_graph *g)
{
    clseq_status status = CLSEQ_OK;
    CLSEQ__NEEDS("graph end", g);
    if (!g->is_open)
        return clseq__error(CLSEQ_INVALID_STATE, "graph end: the graph has ended already");
    if (g->is_in_hook)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "graph end: backward is running, expected it after clseq_backward has returned");
    give_back(g);
    CLSEQ__TRY_CL(clFlush(clseq_context_queue(g->ctx)));
done:
    clseq__op_leave(g, "graph end", status, NULL);
    g->is_open = false;
    status = clseq_graph_status(g);
    clseq__context_release(g->ctx);
    return status;
}

clseq_status clseq_graph_status(const clseq_graph *g)
{
    CLSEQ__NEEDS("graph status", g);
    return g->status == CLSEQ_OK ? CLSEQ_OK : clseq__error(g->status, "%s", g->sentence);
}

void clseq_graph_seed(clseq_graph *g, uint64_t seed, uint64_t step)
{
    if (!g)
        return;
    g->seed = seed;
    g->step = step;
}

/* Spreads the bits of x over a word: the finaliser of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t clseq__op_stream(clseq_graph *g)
{
    return mix(mix(g->step + 0x9e3779b97f4a7c15u) + g->draws++);
}

bool clseq__op_enter(clseq_graph *g, const char *op)
{
    if (!g)
        return false;
    if (!g->is_open)
        clseq__error(CLSEQ_INVALID_STATE, "%s: the graph has ended", op);
    return g->is_open && g->status == CLSEQ_OK;
}

/* Whether the operation's name stands at the sentence's begin, or behind what it follows from. */
static bool is_named(const char *sentence, const char *op)
{
    static const char then[] = "; then ";
    const char *follows = strstr(sentence, then);
    return strncmp(sentence, op, strlen(op)) == 0 ||
           (follows && strncmp(follows + strlen(then), op, strlen(op)) == 0);
}

clseq_var *clseq__op_leave(clseq_graph *g, const char *op, clseq_status status, const clseq__var *y)
{
    const char *sentence = clseq_last_error();
    if (status == CLSEQ_OK)
        return y ? y->handle : NULL;
    if (g->status == CLSEQ_OK) {
        const bool named = is_named(sentence, op);
        g->status = status;
        snprintf(g->sentence, sizeof g->sentence, "%s%s%s", named ? "" : op, named ? "" : ": ", sentence);
        clseq__error(status, "%s", g->sentence);
    }
    return NULL;
}

clseq_status clseq__graph_memory(clseq_graph *g, size_t bytes, void **out)
{
    *out = clseq__arena_get(&g->nodes, bytes);
    if (!*out)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for %zu bytes of the graph", bytes);
    return CLSEQ_OK;
}

clseq_status clseq__op_reads(clseq_graph *g, const char *op, const clseq_param *param)
{
    void *memory = NULL;
    clseq__reading *reading = NULL;
    CLSEQ__RETURN_IF(clseq__params_materialize(param->store));
    for (const clseq__reading *r = g->readings; r; r = r->previous)
        if (r->param->store == param->store && r->version == param->store->version)
            return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, sizeof *reading, &memory));
    reading = memory;
    *reading = (clseq__reading){g->readings, op, param, param->store->version};
    clseq__params_retain(param->store);
    g->readings = reading;
    return CLSEQ_OK;
}

clseq_status clseq__stage(clseq_graph *g, const void *host, size_t bytes, const clseq_tensor *to,
                          const void **kept, clseq__chunk **chunk)
{
    clseq_status status = CLSEQ_OK;
    clseq__chunk *place = NULL;
    cl_event copied = NULL;
    void *copy = clseq__staging_get(&g->staging, bytes, &place);
    if (!copy)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "no memory to copy %zu bytes of input", bytes);
    memcpy(copy, host, bytes);
    CLSEQ__TRY_CL(clEnqueueWriteBuffer(clseq_context_queue(g->ctx), to->buffer, CL_FALSE,
                                       (size_t)to->offset * clseq_dtype_size(to->dtype), bytes, copy, 0, NULL,
                                       &copied));
    clseq__staging_copied(place, copied);
    if (kept)
        *kept = copy;
    if (chunk) {
        clseq__staging_hold(place);
        *chunk = place;
    }
done:
    return status;
}
