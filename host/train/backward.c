/* Running the tape backward: where it begins, and who is told when a parameter's gradient is complete. */
#include "train/graph.h"

#include "core/launch.h"
#include "core/pool.h"
#include "core/tensor.h"
#include "train/params.h"
#include <stdio.h>
#include <string.h>

/* A variable that backward begins with, and its gradient; NULL: 1. */
typedef struct seed {
    clseq__var *y, *dy;
} seed;

/* Backward reads parameters again, so they must be those that forward ran with. */
static clseq_status check_readings(const clseq_graph *g)
{
    for (const clseq__reading *r = g->readings; r; r = r->previous)
        if (r->param->store->version != r->version)
            return clseq__error(
                CLSEQ_INVALID_STATE,
                "backward: the store of %s has changed since %s read it in this graph, expected "
                "that values change after backward",
                r->param->name, r->op);
    return CLSEQ_OK;
}

/* ---- the hook ----
 *
 * A parameter's gradient is complete when the last of the operations that add to it has run or turned out not to be
 * reached. So those on the tape are counted before, and counted down.
 */

typedef void visit_fn(clseq_param *param, void *data);

/* The parameters that the operation may add a gradient to; one that stands in it twice comes twice, a frozen one not. */
static void each_param(const clseq__node *node, visit_fn *visit, void *data)
{
    for (int l = 0; l < CLSEQ__NODE_LAYERS && node->layers[l]; l++)
        for (size_t i = 0; i < node->layers[l]->count; i++)
            if (!node->layers[l]->all[i]->is_frozen)
                visit(node->layers[l]->all[i], data);
    for (int i = 0; i < node->in_count; i++)
        if (node->in[i] && node->in[i]->param)
            visit(node->in[i]->param, data);
}

static void forget(clseq_param *param, void *data)
{
    (void)data;
    param->awaited = 0;
    param->is_reached = false;
}

static void await(clseq_param *param, void *data)
{
    (void)data;
    param->awaited++;
}

/* `visit` for all parameters of the tape and of the seeds. */
static void each_param_of_all(const clseq_graph *g, const seed *seeds, int count, visit_fn *visit)
{
    for (const clseq__node *node = g->tape; node; node = node->previous)
        each_param(node, visit, NULL);
    for (int i = 0; i < count; i++)
        if (seeds[i].y->param)
            visit(seeds[i].y->param, NULL);
}

/* An operation that has run, or the seeds. */
typedef struct settling {
    clseq_graph *g;
    bool is_reached;
    cl_event ready; /* NULL: nobody was told yet */
    clseq_status status;
} settling;

/* Calls the hook. It may have called the library: what failed there is in the sentence, or has failed the graph. */
static clseq_status tell(settling *s, clseq_param *param)
{
    clseq_graph *g = s->g;
    char before[sizeof g->sentence];
    clseq_status status = CLSEQ_OK;
    if (!s->ready)
        CLSEQ__RETURN_IF(clseq__mark(g->ctx, "backward: marker", &s->ready));
    snprintf(before, sizeof before, "%s", clseq_last_error());
    g->is_in_hook = true;
    status = g->on_grad_ready(param, s->ready, g->on_grad_ready_user);
    g->is_in_hook = false;
    if (g->status != CLSEQ_OK)
        return clseq__error(g->status, "%s", g->sentence);
    if (status != CLSEQ_OK) {
        const bool is_new = strncmp(before, clseq_last_error(), sizeof before - 1) != 0;
        return clseq__error(status, "backward: on_grad_ready gave %s for %s%s%s", clseq_status_name(status),
                            param->name, is_new ? ": " : "", is_new ? clseq_last_error() : "");
    }
    return check_readings(g);
}

static void settle(clseq_param *param, void *data)
{
    settling *s = data;
    param->is_reached = param->is_reached || s->is_reached;
    if (--param->awaited == 0 && param->is_reached && s->status == CLSEQ_OK)
        s->status = tell(s, param);
}

/* After an operation, or after the seeds where `node` is NULL. */
static clseq_status settle_all(clseq_graph *g, const clseq__node *node, bool is_reached, const seed *seeds,
                               int count)
{
    settling s = {.g = g, .is_reached = is_reached};
    if (!g->on_grad_ready)
        return CLSEQ_OK;
    if (node)
        each_param(node, settle, &s);
    for (int i = 0; !node && i < count; i++)
        if (seeds[i].y->param)
            settle(seeds[i].y->param, &s);
    if (s.ready)
        clReleaseEvent(s.ready);
    return s.status;
}

void clseq_graph_on_grad_ready(clseq_graph *g, clseq_grad_ready_fn fn, void *user)
{
    static const char op[] = "graph on grad ready";
    clseq_status status = CLSEQ_OK;
    if (!clseq__op_enter(g, op))
        return;
    if (g->is_backward_done)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: backward has run already", op);
    g->on_grad_ready = fn;
    g->on_grad_ready_user = user;
done:
    clseq__op_leave(g, op, status, NULL);
}

/* ---- backward ---- */

/* Whether a gradient has come to one of the node's outputs, or to what it finishes. */
static bool reaches(const clseq__node *node)
{
    bool is_reached = node->is_reached;
    for (int i = 0; i < node->out_count; i++)
        is_reached = is_reached || (node->out[i] && node->out[i]->grad.buffer);
    return is_reached;
}

/* Runs one node backward, when a gradient has reached it. */
static clseq_status run(clseq_graph *g, clseq__node *node, bool is_reached)
{
    if (is_reached) {
        CLSEQ__RETURN_IF(clseq__part_restore(g, node));
        for (int i = 0; i < node->out_count && !(node->op->flags & CLSEQ__OP_STRIDED); i++)
            if (node->out[i])
                CLSEQ__RETURN_IF(clseq__grad_pack(g, node->out[i]));
        CLSEQ__RETURN_IF(node->op->backward(g, node));
    }
    for (int i = 0; i < node->out_count; i++)
        if (node->out[i])
            clseq__grad_drop(g, node->out[i]);
    return CLSEQ_OK;
}

/* y's gradient, added to what other seeds have given it. */
static clseq_status sow(clseq_graph *g, const seed *s)
{
    clseq_tensor dy = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, s->y, &dy));
    CLSEQ__RETURN_IF(s->dy ? clseq_tensor_copy(g->ctx, &s->dy->value, &dy)
                           : clseq_tensor_fill(g->ctx, &dy, 1.0));
    return clseq__grad_end(g, s->y, &dy);
}

static clseq_status backward(clseq_graph *g, const seed *seeds, int count)
{
    CLSEQ__RETURN_IF(check_readings(g));
    g->is_backward_done = true;
    if (g->on_grad_ready) {
        each_param_of_all(g, seeds, count, forget);
        each_param_of_all(g, seeds, count, await);
    }
    for (int i = 0; i < count; i++)
        CLSEQ__RETURN_IF(sow(g, &seeds[i]));
    CLSEQ__RETURN_IF(settle_all(g, NULL, true, seeds, count));
    while (g->tape) {
        clseq__node *node = g->tape;
        const bool is_reached = reaches(node);
        clseq_status status = run(g, node, is_reached);
        if (status != CLSEQ_OK) {
            clseq__op_leave(g, node->op->name, status, NULL);
            return status;
        }
        CLSEQ__RETURN_IF(settle_all(g, node, is_reached, NULL, 0));
        g->tape = node->previous;
        clseq__node_destroy(g, node);
    }
    return CLSEQ_OK;
}

/* One variable and its gradient, with the names that sentences use; `other`: what else than one element would do. */
static clseq_status check_seed(clseq_graph *g, const char *name, const clseq_var *y, const char *grad_name,
                               const clseq_var *dy, const char *other, seed *out)
{
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__RETURN_IF(clseq__op_input(g, "backward", name, y, CLSEQ_DTYPE_F32, &out->y));
    if (dy) {
        CLSEQ__RETURN_IF(clseq__op_input(g, "backward", grad_name, dy, CLSEQ_DTYPE_F32, &out->dy));
        CLSEQ__RETURN_IF(clseq__op_same_dims("backward", grad_name, out->dy, name, out->y));
    } else if (clseq_tensor_elements(&out->y->value) != 1) {
        return clseq__error(CLSEQ_INVALID_SHAPE, "backward: %s has shape %s, expected one element%s", name,
                            clseq__dims_text(text, out->y->value.ndim, out->y->value.dims), other);
    }
    if (!out->y->needs_grad)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "backward: no parameter and no variable that asked for its gradient lies above %s", name);
    return CLSEQ_OK;
}

/* All variables and gradients, before any gradient is touched. */
static clseq_status check_seeds(clseq_graph *g, int count, clseq_var *const *vars, clseq_var *const *grads,
                                seed **out)
{
    void *memory = NULL;
    if (count < 1 || !vars)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "backward: %d variables%s, expected at least 1", count,
                            vars ? "" : " (NULL)");
    CLSEQ__RETURN_IF(clseq__graph_memory(g, (size_t)count * sizeof **out, &memory));
    *out = memory;
    for (int i = 0; i < count; i++) {
        char name[32], grad_name[32];
        snprintf(name, sizeof name, "vars[%d]", i);
        snprintf(grad_name, sizeof grad_name, "grads[%d]", i);
        (*out)[i] = (seed){0};
        CLSEQ__RETURN_IF(check_seed(g, name, vars[i], grad_name, grads ? grads[i] : NULL,
                                    " or a gradient in grads", &(*out)[i]));
    }
    return CLSEQ_OK;
}

/* What both entries share: `loss`, or the variables where it stands for none. */
static clseq_status enter(clseq_graph *g, bool is_loss, clseq_var *loss, int count, clseq_var *const *vars,
                          clseq_var *const *grads)
{
    clseq_status status = CLSEQ_OK;
    seed one = {0}, *seeds = &one;
    CLSEQ__NEEDS("backward", g);
    if (!clseq__op_enter(g, "backward"))
        return g->is_open ? clseq__error(g->status, "%s", g->sentence) : CLSEQ_INVALID_STATE;
    if (g->mode != CLSEQ_MODE_TRAINING)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "backward: the graph was begun for inference");
    if (g->is_backward_done)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "backward: it has run already in this graph");
    if (g->is_in_part)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE,
                    "backward: a part of the graph was not ended with clseq_recompute_end");
    if (is_loss)
        CLSEQ__TRY(check_seed(g, "the loss", loss, "", NULL, "", &one));
    else
        CLSEQ__TRY(check_seeds(g, count, vars, grads, &seeds));
    CLSEQ__TRY(backward(g, seeds, is_loss ? 1 : count));
done:
    clseq__op_leave(g, "backward", status, NULL);
    return g->status == CLSEQ_OK ? CLSEQ_OK : clseq__error(g->status, "%s", g->sentence);
}

clseq_status clseq_backward(clseq_graph *g, clseq_var *loss)
{
    return enter(g, true, loss, 1, NULL, NULL);
}

clseq_status clseq_backward_from(clseq_graph *g, int count, clseq_var *const *vars, clseq_var *const *grads)
{
    return enter(g, false, NULL, count, vars, grads);
}
