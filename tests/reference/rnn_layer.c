#include "rnn_layer.h"

#include "../support/numeric.h"
#include "normalise.h"
#include "philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t gate_rows(const reference_layer *p)
{
    return (size_t)p->net->cell->gates * p->H;
}

static size_t width_of(const reference_layer *p, int state)
{
    return state == 0 ? p->width : p->H;
}

static reference_norm norm_create(size_t steps, size_t n)
{
    return (reference_norm){test_doubles(steps * n), test_doubles(steps), n};
}

reference_trace reference_trace_create(const reference_layer *p)
{
    const size_t steps = (size_t)p->net->T * (size_t)p->net->B, rows = gate_rows(p);
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
        a.states[s] = test_doubles((steps + (size_t)p->net->B) * width_of(p, s));
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

/* Row `step` = t*B + b of a [T,B,n] array; t = T is the row after the last step of a state. */
static double *row(double *array, size_t n, size_t step)
{
    return array + step * n;
}

static size_t step_at(const reference_layer *p, int t, int b)
{
    return (size_t)t * (size_t)p->net->B + (size_t)b;
}

/* The row of a state before this step, and after it. */
static double *before(const reference_layer *p, const reference_trace *a, int state, size_t step)
{
    return row(a->states[state], width_of(p, state), step);
}

static double *after(const reference_layer *p, const reference_trace *a, int state, size_t step)
{
    return row(a->states[state], width_of(p, state), step + (size_t)p->net->B);
}

static bool is_live(const reference_layer *p, int t, int b)
{
    return p->net->lengths == NULL || t < p->net->lengths[b];
}

/* ---- sums of products, rounded once by the size of the sum of magnitudes ---- */

typedef struct sum {
    double value, magnitude;
} sum;

static void add(sum *s, double term)
{
    s->value += term;
    s->magnitude += fabs(term);
}

static double total(const reference_layer *p, const sum *s)
{
    return reference_round(p->net->rounding, s->value, s->magnitude);
}

/* start + sum of a[i]*b[i] */
static double dot(const reference_layer *p, double start, const double *a, const double *b, size_t n)
{
    sum s = {0};
    add(&s, start);
    for (size_t i = 0; i < n; i++)
        add(&s, a[i] * b[i]);
    return total(p, &s);
}

/* ---- layer normalisation: out = gain norm(in) + bias; without it out = in ---- */

static void norm_forward(const reference_layer *p, const double *in, reference_norm *norm, size_t step,
                         const double *gain, const double *bias, double *out)
{
    if (!p->net->layer_norm) {
        memcpy(out, in, norm->n * sizeof *out);
        return;
    }
    double *normal = row(norm->out, norm->n, step);
    norm->rstd[step] = reference_normalise(p->net->rounding, REFERENCE_NORM_EPS, in, norm->n, normal);
    for (size_t i = 0; i < norm->n; i++)
        out[i] = dot(p, bias != NULL ? bias[i] : 0, &gain[i], &normal[i], 1);
}

/* din (=) from dout */
static void norm_backward(const reference_layer *p, const reference_norm *norm, size_t step,
                          const double *gain, const double *dout, double *din)
{
    if (!p->net->layer_norm) {
        memcpy(din, dout, norm->n * sizeof *din);
        return;
    }
    double *dnormal = test_doubles(norm->n);
    for (size_t i = 0; i < norm->n; i++)
        dnormal[i] = gain[i] * dout[i];
    reference_normalise_backward(p->net->rounding, row(norm->out, norm->n, step), norm->rstd[step], dnormal,
                                 norm->n, din);
    free(dnormal);
}

/* ---- products ---- */

/* Rows first .. first+n-1 of W in + bias; layer normalisation adds the bias later. */
static void product_forward(const reference_layer *p, const double *weight, const double *bias,
                            const double *in, size_t columns, size_t first, size_t n, double *out)
{
    for (size_t r = first; r < first + n; r++)
        out[r] = dot(p, bias != NULL && !p->net->layer_norm ? bias[r] : 0, weight + r * columns, in, columns);
}

static void input_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    const size_t rows = gate_rows(p);
    double *product = row(v->product_ih, rows, step);
    product_forward(p, p->w[REFERENCE_WEIGHT_IH], p->w[REFERENCE_BIAS_IH], row(v->x, p->inputs, step),
                    p->inputs, 0, rows, product);
    norm_forward(p, product, &v->norm_ih, step, p->w[REFERENCE_GAIN_IH], p->w[REFERENCE_BIAS_IH],
                 row(v->input, rows, step));
}

static void input_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                           size_t step)
{
    const size_t rows = gate_rows(p), columns = p->inputs;
    double *dproduct = row(d->product_ih, rows, step), *dx = row(d->x, columns, step);
    norm_backward(p, &v->norm_ih, step, p->w[REFERENCE_GAIN_IH], row(d->input, rows, step), dproduct);
    for (size_t i = 0; i < columns; i++) {
        sum s = {0};
        for (size_t r = 0; r < rows; r++)
            add(&s, dproduct[r] * p->w[REFERENCE_WEIGHT_IH][r * columns + i]);
        dx[i] = total(p, &s);
    }
}

/* Whether a product stands before this phase: of h before the first, of the quantity before the second. */
static bool phase_has_gates(const reference_cell *cell, int phase)
{
    for (int g = 0; g < cell->gates; g++)
        if (cell->gate_phase[g] == phase)
            return true;
    return false;
}

/* Whether products read h times a mask. */
static bool masks_h(const reference_layer *p)
{
    return p->net->recurrent_dropout > 0 && !p->net->inference;
}

/* What the recurrent product of this phase reads, and its width. */
static double *operand(const reference_layer *p, const reference_trace *a, int phase, size_t step,
                       size_t *columns)
{
    *columns = phase == 0 ? p->width : p->H;
    if (phase == 0)
        return masks_h(p) ? row(a->masked, p->width, step) : before(p, a, 0, step);
    return row(a->quantity, p->H, step);
}

static void recurrent_forward(const reference_layer *p, reference_trace *v, size_t step, int phase)
{
    const reference_cell *cell = p->net->cell;
    const size_t rows = gate_rows(p);
    size_t columns;
    const double *in = operand(p, v, phase, step, &columns);
    double *product = row(v->product_hh, rows, step);
    if (!phase_has_gates(cell, phase))
        return;
    for (int g = 0; g < cell->gates; g++)
        if (cell->gate_phase[g] == phase)
            product_forward(p, p->w[REFERENCE_WEIGHT_HH], p->w[REFERENCE_BIAS_HH], in, columns,
                            (size_t)g * p->H, p->H, product);
    norm_forward(p, product, &v->norm_hh, step, p->w[REFERENCE_GAIN_HH], p->w[REFERENCE_BIAS_HH],
                 row(v->recurrent, rows, step));
}

/* Adds to the gradient of the operand. */
static void recurrent_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                               size_t step, int phase)
{
    const reference_cell *cell = p->net->cell;
    const size_t rows = gate_rows(p);
    size_t columns;
    double *din = operand(p, d, phase, step, &columns), *dproduct = row(d->product_hh, rows, step);
    if (!phase_has_gates(cell, phase))
        return;
    norm_backward(p, &v->norm_hh, step, p->w[REFERENCE_GAIN_HH], row(d->recurrent, rows, step), dproduct);
    for (size_t k = 0; k < columns; k++) {
        sum s = {0};
        add(&s, din[k]);
        for (size_t r = 0; r < rows; r++)
            if (cell->gate_phase[r / p->H] == phase)
                add(&s, dproduct[r] * p->w[REFERENCE_WEIGHT_HH][r * columns + k]);
        din[k] = total(p, &s);
    }
}

/* h' = W_hr hidden, or hidden itself */
static void projection_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    const double *hidden = row(v->hidden, p->H, step), *w = p->w[REFERENCE_WEIGHT_HR];
    double *h = after(p, v, 0, step);
    for (size_t i = 0; i < p->width; i++)
        h[i] = w != NULL ? dot(p, 0, w + i * p->H, hidden, p->H) : hidden[i];
}

static void projection_backward(const reference_layer *p, reference_trace *d, size_t step)
{
    double *dhidden = row(d->hidden, p->H, step);
    const double *dh = after(p, d, 0, step), *w = p->w[REFERENCE_WEIGHT_HR];
    for (size_t j = 0; j < p->H; j++) {
        sum s = {0};
        for (size_t i = 0; i < p->width && w != NULL; i++)
            add(&s, dh[i] * w[i * p->H + j]);
        dhidden[j] = w != NULL ? total(p, &s) : dh[j];
    }
}

/* ---- the cell, unit by unit ---- */

/* Where the numbers of unit j stand; NULL what it has not. */
typedef struct places {
    double *input[REFERENCE_MAX_GATES], *recurrent[REFERENCE_MAX_GATES], *previous[REFERENCE_MAX_STATES],
        *parameter[REFERENCE_MAX_PARAMETERS], *quantity, *normed, *next[REFERENCE_MAX_STATES];
} places;

static places places_of(const reference_layer *p, const reference_trace *a, size_t step, size_t j)
{
    const reference_cell *cell = p->net->cell;
    places u = {.quantity = row(a->quantity, p->H, step) + j, .normed = row(a->normed, p->H, step) + j};
    for (int g = 0; g < cell->gates; g++) {
        u.input[g] = row(a->input, gate_rows(p), step) + (size_t)g * p->H + j;
        u.recurrent[g] = row(a->recurrent, gate_rows(p), step) + (size_t)g * p->H + j;
    }
    for (int s = 0; s < cell->states; s++) {
        u.previous[s] = s == 0 && p->net->P > 0 ? NULL : before(p, a, s, step) + j;
        u.next[s] = s == 0 ? row(a->hidden, p->H, step) + j : after(p, a, s, step) + j;
    }
    for (size_t k = 0; k < REFERENCE_MAX_PARAMETERS; k++)
        u.parameter[k] = row(a->parameter, REFERENCE_MAX_PARAMETERS * p->H, step) + k * p->H + j;
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
static void map_forward(const reference_layer *p, reference_trace *v, size_t step, int phase, double *margin)
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
static void map_backward(const reference_layer *p, const reference_trace *v, reference_trace *d, size_t step,
                         int phase)
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

/* ---- recurrent dropout: what products of h read ---- */

/* 0 or 1/(1-p), the same at all steps of a row; the numbers are those of host/rnn/draws.h. */
static double draw_mask(const reference_layer *p, size_t step, size_t j)
{
    const double share = p->net->recurrent_dropout;
    const uint64_t first = UINT64_C(2) << 59 | (uint64_t)p->direction << 58 | (uint64_t)p->number << 32;
    const uint64_t b = step % (size_t)p->net->B;
    const double number =
        reference_random_uniform(p->net->seed, p->net->stream, 4 * (first + b * p->width + j));
    return number < share ? 0 : 1 / (1 - share);
}

static void mask_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    for (size_t j = 0; j < p->width && masks_h(p); j++) {
        const double masked = draw_mask(p, step, j) * before(p, v, 0, step)[j];
        row(v->masked, p->width, step)[j] = reference_round(p->net->rounding, masked, 3 * fabs(masked));
    }
}

static void mask_backward(const reference_layer *p, reference_trace *d, size_t step)
{
    for (size_t j = 0; j < p->width && masks_h(p); j++) {
        const double dh = draw_mask(p, step, j) * row(d->masked, p->width, step)[j];
        double *all = &before(p, d, 0, step)[j];
        *all = reference_round(p->net->rounding, *all + dh, fabs(*all) + 4 * fabs(dh));
    }
}

/* ---- zoneout: what of a state stays what it was before the step ---- */

/* 0 or 1 in training; the numbers are those of host/rnn/draws.h. */
static double draw_keep(const reference_layer *p, int state, size_t step, size_t j)
{
    const double share = p->net->zoneout[state];
    const uint64_t first = UINT64_C(1) << 59 | (uint64_t)p->direction << 58 | (uint64_t)p->number << 32;
    if (share == 0 || p->net->inference)
        return share;
    return reference_random_uniform(p->net->seed, p->net->stream,
                                    4 * (first + step * p->H + j) + (uint64_t)state) < share;
}

static void keep_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    for (int s = 0; s < p->net->cell->states; s++) {
        const double *old = before(p, v, s, step);
        double *new = after(p, v, s, step), *keep = row(v->keep[s], p->H, step);
        for (size_t j = 0; j < p->H && p->net->zoneout[s] > 0; j++) {
            keep[j] = draw_keep(p, s, step, j);
            const double scale = p->net->inference ? fabs(old[j]) + 2 * fabs(new[j]) : 0;
            new[j] = reference_round(p->net->rounding, keep[j] * old[j] + (1 - keep[j]) * new[j], scale);
        }
    }
}

static void keep_backward(const reference_layer *p, const reference_trace *v, reference_trace *d, size_t step)
{
    for (int s = 0; s < p->net->cell->states; s++) {
        const double *keep = row(v->keep[s], p->H, step);
        double *dnew = after(p, d, s, step), *dold = before(p, d, s, step);
        for (size_t j = 0; j < p->H && p->net->zoneout[s] > 0; j++) {
            dold[j] += keep[j] * dnew[j];
            dnew[j] *= 1 - keep[j];
        }
    }
}

/* ---- a step of a row ---- */

static bool has_phase(const reference_cell *cell, int phase)
{
    return phase < REFERENCE_MAX_PHASES && cell->phases[phase].forward != NULL;
}

/* The state that units of the second phase see normalised; 0: none. */
static int normed_state(const reference_cell *cell, int phase)
{
    return phase == 1 ? cell->normed_state : 0;
}

static void step_forward(const reference_layer *p, reference_trace *v, size_t step, double *margin)
{
    const reference_cell *cell = p->net->cell;
    for (size_t k = 0; k < REFERENCE_MAX_PARAMETERS; k++)
        if (p->w[REFERENCE_PARAMETER + k] != NULL)
            memcpy(row(v->parameter, REFERENCE_MAX_PARAMETERS * p->H, step) + k * p->H,
                   p->w[REFERENCE_PARAMETER + k], p->H * sizeof(double));
    input_forward(p, v, step);
    mask_forward(p, v, step);
    for (int phase = 0; has_phase(cell, phase); phase++) {
        const int s = normed_state(cell, phase);
        recurrent_forward(p, v, step, phase);
        if (s > 0)
            norm_forward(p, after(p, v, s, step), &v->norm_state, step, p->w[REFERENCE_GAIN_STATE],
                         p->w[REFERENCE_BIAS_STATE], row(v->normed, p->H, step));
        map_forward(p, v, step, phase, margin);
    }
    projection_forward(p, v, step);
    keep_forward(p, v, step);
}

static void step_backward(const reference_layer *p, const reference_trace *v, reference_trace *d, size_t step)
{
    const reference_cell *cell = p->net->cell;
    double *dstate = test_doubles(p->H);
    keep_backward(p, v, d, step);
    projection_backward(p, d, step);
    for (int phase = REFERENCE_MAX_PHASES - 1; phase >= 0; phase--) {
        const int s = normed_state(cell, phase);
        if (!has_phase(cell, phase))
            continue;
        map_backward(p, v, d, step, phase);
        if (s > 0) {
            norm_backward(p, &v->norm_state, step, p->w[REFERENCE_GAIN_STATE], row(d->normed, p->H, step),
                          dstate);
            for (size_t j = 0; j < p->H; j++)
                after(p, d, s, step)[j] += dstate[j];
        }
        recurrent_backward(p, v, d, step, phase);
    }
    mask_backward(p, d, step);
    input_backward(p, v, d, step);
    free(dstate);
}

void reference_layer_forward(const reference_layer *p, reference_trace *v, double *margin)
{
    for (int t = 0; t < p->net->T; t++)
        for (int b = 0; b < p->net->B; b++) {
            const size_t step = step_at(p, t, b);
            if (is_live(p, t, b)) {
                step_forward(p, v, step, margin);
                continue;
            }
            for (int s = 0; s < p->net->cell->states; s++)
                memcpy(after(p, v, s, step), before(p, v, s, step), width_of(p, s) * sizeof(double));
        }
}

/* ---- gradients of the weights ---- */

/* start + sum over all steps of a[step,i] * b[step,k]; without b of a[step,i] */
static double over_steps(const reference_layer *p, double start, const double *a, size_t a_width, size_t i,
                         const double *b, size_t b_width, size_t k)
{
    sum s = {0};
    add(&s, start);
    for (size_t step = 0; step < step_at(p, p->net->T, 0); step++)
        add(&s, a[step * a_width + i] * (b != NULL ? b[step * b_width + k] : 1));
    return total(p, &s);
}

/* dw[i] += sum of a[step,i] * b[step,i] */
static void vector_backward(const reference_layer *p, reference_weight_kind kind, const double *a, size_t n,
                            const double *b)
{
    double *dw = p->dw[kind];
    for (size_t i = 0; i < n && dw != NULL; i++)
        dw[i] = over_steps(p, dw[i], a, n, i, b, n, i);
}

/* dw[i,k] += sum of a[step,i] * b[step,k], for rows first .. first+n-1 of the a_width that dw has */
static void matrix_backward(const reference_layer *p, reference_weight_kind kind, const double *a,
                            size_t a_width, size_t first, size_t n, const double *b, size_t columns)
{
    double *dw = p->dw[kind];
    for (size_t i = first; i < first + n && dw != NULL; i++)
        for (size_t k = 0; k < columns; k++)
            dw[i * columns + k] = over_steps(p, dw[i * columns + k], a, a_width, i, b, columns, k);
}

static void weights_backward(const reference_layer *p, const reference_trace *v, const reference_trace *d)
{
    const reference_cell *cell = p->net->cell;
    const size_t rows = gate_rows(p), H = p->H;
    matrix_backward(p, REFERENCE_WEIGHT_IH, d->product_ih, rows, 0, rows, v->x, p->inputs);
    for (int g = 0; g < cell->gates; g++) {
        size_t columns;
        const double *in = operand(p, v, cell->gate_phase[g], 0, &columns);
        matrix_backward(p, REFERENCE_WEIGHT_HH, d->product_hh, rows, (size_t)g * H, H, in, columns);
    }
    matrix_backward(p, REFERENCE_WEIGHT_HR, d->states[0] + (size_t)p->net->B * p->width, p->width, 0,
                    p->width, v->hidden, H);
    vector_backward(p, REFERENCE_BIAS_IH, d->input, rows, NULL);
    vector_backward(p, REFERENCE_BIAS_HH, d->recurrent, rows, NULL);
    vector_backward(p, REFERENCE_GAIN_IH, d->input, rows, v->norm_ih.out);
    vector_backward(p, REFERENCE_GAIN_HH, d->recurrent, rows, v->norm_hh.out);
    vector_backward(p, REFERENCE_GAIN_STATE, d->normed, H, v->norm_state.out);
    vector_backward(p, REFERENCE_BIAS_STATE, d->normed, H, NULL);
    for (size_t k = 0; k < REFERENCE_MAX_PARAMETERS; k++) {
        double *dw = p->dw[REFERENCE_PARAMETER + k];
        for (size_t j = 0; j < H && dw != NULL; j++)
            dw[j] = over_steps(p, dw[j], d->parameter, REFERENCE_MAX_PARAMETERS * H, k * H + j, NULL, 0, 0);
    }
}

void reference_layer_backward(const reference_layer *p, const reference_trace *v, const double *dy,
                              reference_trace *d)
{
    for (int t = p->net->T - 1; t >= 0; t--)
        for (int b = 0; b < p->net->B; b++) {
            const size_t step = step_at(p, t, b);
            if (is_live(p, t, b)) {
                for (size_t i = 0; i < p->width; i++)
                    after(p, d, 0, step)[i] += dy[step * p->width + i];
                step_backward(p, v, d, step);
                continue;
            }
            for (int s = 0; s < p->net->cell->states; s++)
                memcpy(before(p, d, s, step), after(p, d, s, step), width_of(p, s) * sizeof(double));
        }
    weights_backward(p, v, d);
}
