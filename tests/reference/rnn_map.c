#include "rnn_map.h"

#include <math.h>

/* Where the numbers of unit j stand; NULL what it has not. */
typedef struct places {
    double *input[REFERENCE_MAX_GATES], *recurrent[REFERENCE_MAX_GATES], *previous[REFERENCE_MAX_STATES],
        *parameter[REFERENCE_MAX_PARAMETERS], *quantity, *normed, *next[REFERENCE_MAX_STATES];
} places;

static places places_of(const reference_layer *p, const reference_trace *a, size_t step, size_t j)
{
    const reference_cell *cell = p->net->cell;
    places u = {.quantity = reference_row(a->quantity, p->H, step) + j,
                .normed = reference_row(a->normed, p->H, step) + j};
    for (int g = 0; g < cell->gates; g++) {
        u.input[g] = reference_row(a->input, reference_gate_rows(p), step) + (size_t)g * p->H + j;
        u.recurrent[g] = reference_row(a->recurrent, reference_gate_rows(p), step) + (size_t)g * p->H + j;
    }
    for (int s = 0; s < cell->states; s++) {
        u.previous[s] = s == 0 && p->net->P > 0 ? NULL : reference_state_before(p, a, s, step) + j;
        u.next[s] =
            s == 0 ? reference_row(a->hidden, p->H, step) + j : reference_state_after(p, a, s, step) + j;
    }
    for (size_t k = 0; k < REFERENCE_MAX_PARAMETERS; k++)
        u.parameter[k] = reference_row(a->parameter, REFERENCE_MAX_PARAMETERS * p->H, step) + k * p->H + j;
    return u;
}

static void get(double *to, double *const *from, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = from[i] != NULL ? *from[i] : 0;
}

static void put(double *const *to, const double *from, int n)
{
    for (int i = 0; i < n; i++)
        if (to[i] != NULL)
            *to[i] = from[i];
}

static reference_unit gather(const reference_layer *p, const places *at)
{
    reference_unit u = {.clip = p->net->cell_clip};
    get(u.input, at->input, REFERENCE_MAX_GATES);
    get(u.recurrent, at->recurrent, REFERENCE_MAX_GATES);
    get(u.previous, at->previous, REFERENCE_MAX_STATES);
    get(u.parameter, at->parameter, REFERENCE_MAX_PARAMETERS);
    get(u.next, at->next, REFERENCE_MAX_STATES);
    u.quantity = *at->quantity;
    u.normed = *at->normed;
    return u;
}

static void scatter(const places *at, const reference_unit *u)
{
    put(at->input, u->input, REFERENCE_MAX_GATES);
    put(at->recurrent, u->recurrent, REFERENCE_MAX_GATES);
    put(at->previous, u->previous, REFERENCE_MAX_STATES);
    put(at->parameter, u->parameter, REFERENCE_MAX_PARAMETERS);
    put(at->next, u->next, REFERENCE_MAX_STATES);
    *at->quantity = u->quantity;
    *at->normed = u->normed;
}

/* Moves *value by the size of its rounding error if a phase has changed it. */
static void settle(const reference_layer *p, double *value, double old, double scale)
{
    if (*value != old)
        *value = reference_round(p->net->rounding, *value, scale);
}

/* How near the unit came to a kink: of a clipped state in the first phase, of a sum in cells that have one. */
static double room_of(const reference_layer *p, const reference_unit *u, int phase)
{
    double room = INFINITY;
    if (phase == 0 && u->clip > 0)
        room = fabs(fabs(u->unclipped) - u->clip);
    if (p->net->cell->has_kink)
        room = fmin(room, fabs(u->input[0] + u->recurrent[0]));
    return room;
}

/* Functions of the cell are taken to be good to two roundings of their operands. */
void reference_map_forward(const reference_layer *p, reference_trace *v, size_t step, int phase,
                           double *margin)
{
    for (size_t j = 0; j < p->H; j++) {
        const places at = places_of(p, v, step, j);
        const reference_unit old = gather(p, &at);
        reference_unit u = old;
        p->net->cell->phases[phase].forward(&u);
        if (margin != NULL)
            *margin = fmin(*margin, room_of(p, &u, phase));
        for (int s = 0; s < REFERENCE_MAX_STATES; s++)
            settle(p, &u.next[s], old.next[s], 2 * (fabs(u.next[s]) + fabs(u.previous[s])));
        settle(p, &u.quantity, old.quantity, 2 * fabs(u.quantity));
        scatter(&at, &u);
    }
}

/* As forward; derivative factors such as 1 - s^2 are off by u of what they multiply. */
void reference_map_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                            size_t step, int phase)
{
    for (size_t j = 0; j < p->H; j++) {
        const places at_v = places_of(p, v, step, j), at = places_of(p, d, step, j);
        const reference_unit u = gather(p, &at_v), old = gather(p, &at);
        reference_unit du = old;
        p->net->cell->phases[phase].backward(&u, &du);

        double incoming = fabs(old.quantity), largest = 1, next = 1, parameters = 0;
        for (int s = 0; s < REFERENCE_MAX_STATES; s++) {
            incoming += fabs(old.next[s]);
            largest = fmax(largest, fabs(u.previous[s]));
            next = fmax(next, fabs(u.next[s]));
        }
        for (int k = 0; k < REFERENCE_MAX_PARAMETERS; k++)
            parameters += fabs(u.parameter[k]);
        const double scale = 2 * incoming * largest;
        for (int g = 0; g < REFERENCE_MAX_GATES; g++) {
            settle(p, &du.input[g], old.input[g], scale);
            settle(p, &du.recurrent[g], old.recurrent[g], scale);
        }
        for (int s = 0; s < REFERENCE_MAX_STATES; s++)
            settle(p, &du.previous[s], old.previous[s], 2 * fabs(du.previous[s]) + scale * parameters);
        for (int k = 0; k < REFERENCE_MAX_PARAMETERS; k++)
            settle(p, &du.parameter[k], old.parameter[k], scale * next);
        settle(p, &du.normed, old.normed, scale);
        scatter(&at, &du);
    }
}
