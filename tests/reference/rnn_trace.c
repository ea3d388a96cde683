#include "rnn_trace.h"

#include "../support/numeric.h"

#include <stdlib.h>

static reference_norm norm_create(size_t steps, size_t n)
{
    return (reference_norm){test_doubles(steps * n), test_doubles(steps), n};
}

reference_trace reference_trace_create(const reference_layer *p)
{
    const size_t steps = (size_t)p->net->T * (size_t)p->net->B, rows = reference_gate_rows(p);
    reference_trace a = {.x = test_doubles(steps * p->inputs),
                         .product_ih = test_doubles(steps * rows),
                         .product_hh = test_doubles(steps * rows),
                         .input = test_doubles(steps * rows),
                         .recurrent = test_doubles(steps * rows),
                         .parameter = test_doubles(steps * REFERENCE_MAX_PARAMETERS * p->H),
                         .quantity = test_doubles(steps * p->H),
                         .normed = test_doubles(steps * p->H),
                         .hidden = test_doubles(steps * p->H),
                         .masked = test_doubles(steps * p->width),
                         .norm_ih = norm_create(steps, rows),
                         .norm_hh = norm_create(steps, rows),
                         .norm_state = norm_create(steps, p->H)};
    for (int s = 0; s < p->net->cell->states; s++) {
        a.states[s] = test_doubles((steps + (size_t)p->net->B) * reference_width_of(p, s));
        a.keep[s] = test_doubles(steps * p->H);
    }
    return a;
}

void reference_trace_destroy(reference_trace *a)
{
    double *const all[] = {a->x,           a->product_ih,   a->product_hh,     a->input,
                           a->recurrent,   a->parameter,    a->quantity,       a->normed,
                           a->hidden,      a->masked,       a->norm_ih.out,    a->norm_ih.rstd,
                           a->norm_hh.out, a->norm_hh.rstd, a->norm_state.out, a->norm_state.rstd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++) {
        free(a->states[s]);
        free(a->keep[s]);
    }
}
