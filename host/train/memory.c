/* Giving memory back before a graph's end: single variables, and scopes. */
#include "train/graph.h"

#include "core/array.h"
#include <stdio.h>

void clseq_release(clseq_graph *g, clseq_var *x)
{
    static const char op[] = "release";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL;
    if (!x || !clseq__op_enter(g, op))
        return;
    CLSEQ__TRY(clseq__op_find(g, op, "x", x, &in));
    clseq__var_release(g, in);
done:
    clseq__op_leave(g, op, status, NULL);
}

void clseq_scope_begin(clseq_graph *g)
{
    static const char op[] = "scope begin";
    clseq_status status = CLSEQ_OK;
    uint64_t *scopes = NULL;
    if (!clseq__op_enter(g, op))
        return;
    scopes = clseq__array_room(g->scopes, sizeof *scopes, g->scope_count, &g->scope_capacity);
    if (!scopes)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for a scope", op);
    g->scopes = scopes;
    g->scopes[g->scope_count++] = g->serial;
done:
    clseq__op_leave(g, op, status, NULL);
}

clseq_status clseq__vars_pin(clseq_graph *g, const char *op, int count, clseq_var *const *vars, bool pin)
{
    if (count < 0 || (count > 0 && !vars))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %d variables%s, expected 0 or more", op, count,
                            vars ? "" : " (NULL)");
    for (int i = 0; i < count; i++) {
        char name[32];
        clseq__var *x = NULL;
        snprintf(name, sizeof name, "keep[%d]", i);
        CLSEQ__RETURN_IF(clseq__op_find(g, op, name, vars[i], &x));
        x->is_pinned = pin;
    }
    return CLSEQ_OK;
}

/* Letting one go may let others go, so the walk holds where it stands. */
void clseq__vars_release_since(clseq_graph *g, uint64_t serial)
{
    clseq__var *x = g->last;
    if (x)
        x->holds++;
    while (x) {
        clseq__var *previous = x->serial > serial ? x->previous : NULL;
        if (previous)
            previous->holds++;
        if (x->serial > serial && !x->is_pinned)
            clseq__var_release(g, x);
        clseq__var_let_go(g, x);
        x = previous;
    }
}

void clseq_scope_end(clseq_graph *g, int count, clseq_var *const *keep)
{
    static const char op[] = "scope end";
    clseq_status status = CLSEQ_OK;
    if (!clseq__op_enter(g, op))
        return;
    if (g->scope_count == 0)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: no scope has begun", op);
    CLSEQ__TRY(clseq__vars_pin(g, op, count, keep, true));
    clseq__vars_release_since(g, g->scopes[--g->scope_count]);
    CLSEQ__TRY(clseq__vars_pin(g, op, count, keep, false));
done:
    clseq__op_leave(g, op, status, NULL);
}
