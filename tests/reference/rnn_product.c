#include "rnn_product.h"

#include "../support/numeric.h"
#include "normalise.h"
#include "rnn_draws.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

void reference_norm_forward(const reference_layer *p, const double *in, reference_norm *norm, size_t step,
                            const double *gain, const double *bias, double *out)
{
    if (!p->net->layer_norm) {
        memcpy(out, in, norm->n * sizeof *out);
        return;
    }
    double *normal = reference_row(norm->out, norm->n, step);
    norm->rstd[step] = reference_normalise(p->net->rounding, REFERENCE_NORM_EPS, in, norm->n, normal);
    for (size_t i = 0; i < norm->n; i++)
        out[i] = dot(p, bias != NULL ? bias[i] : 0, &gain[i], &normal[i], 1);
}

void reference_norm_backward(const reference_layer *p, const reference_norm *norm, size_t step,
                             const double *gain, const double *dout, double *din)
{
    if (!p->net->layer_norm) {
        memcpy(din, dout, norm->n * sizeof *din);
        return;
    }
    double *dnormal = test_doubles(norm->n);
    for (size_t i = 0; i < norm->n; i++)
        dnormal[i] = gain[i] * dout[i];
    reference_normalise_backward(p->net->rounding, reference_row(norm->out, norm->n, step), norm->rstd[step],
                                 dnormal, norm->n, din);
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

void reference_input_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    const size_t rows = reference_gate_rows(p);
    double *product = reference_row(v->product_ih, rows, step);
    product_forward(p, p->w[REFERENCE_WEIGHT_IH], p->w[REFERENCE_BIAS_IH],
                    reference_row(v->x, p->inputs, step), p->inputs, 0, rows, product);
    reference_norm_forward(p, product, &v->norm_ih, step, p->w[REFERENCE_GAIN_IH], p->w[REFERENCE_BIAS_IH],
                           reference_row(v->input, rows, step));
}

void reference_input_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                              size_t step)
{
    const size_t rows = reference_gate_rows(p), columns = p->inputs;
    double *dproduct = reference_row(d->product_ih, rows, step), *dx = reference_row(d->x, columns, step);
    reference_norm_backward(p, &v->norm_ih, step, p->w[REFERENCE_GAIN_IH],
                            reference_row(d->input, rows, step), dproduct);
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

/* What the recurrent product of this phase reads, and its width. */
static double *operand(const reference_layer *p, const reference_trace *a, int phase, size_t step,
                       size_t *columns)
{
    *columns = phase == 0 ? p->width : p->H;
    if (phase == 0)
        return reference_masks_h(p) ? reference_row(a->masked, p->width, step)
                                    : reference_state_before(p, a, 0, step);
    return reference_row(a->quantity, p->H, step);
}

void reference_recurrent_forward(const reference_layer *p, reference_trace *v, size_t step, int phase)
{
    const reference_cell *cell = p->net->cell;
    const size_t rows = reference_gate_rows(p);
    size_t columns;
    const double *in = operand(p, v, phase, step, &columns);
    double *product = reference_row(v->product_hh, rows, step);
    if (!phase_has_gates(cell, phase))
        return;
    for (int g = 0; g < cell->gates; g++)
        if (cell->gate_phase[g] == phase)
            product_forward(p, p->w[REFERENCE_WEIGHT_HH], p->w[REFERENCE_BIAS_HH], in, columns,
                            (size_t)g * p->H, p->H, product);
    reference_norm_forward(p, product, &v->norm_hh, step, p->w[REFERENCE_GAIN_HH], p->w[REFERENCE_BIAS_HH],
                           reference_row(v->recurrent, rows, step));
}

void reference_recurrent_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                                  size_t step, int phase)
{
    const reference_cell *cell = p->net->cell;
    const size_t rows = reference_gate_rows(p);
    size_t columns;
    double *din = operand(p, d, phase, step, &columns), *dproduct = reference_row(d->product_hh, rows, step);
    if (!phase_has_gates(cell, phase))
        return;
    reference_norm_backward(p, &v->norm_hh, step, p->w[REFERENCE_GAIN_HH],
                            reference_row(d->recurrent, rows, step), dproduct);
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
void reference_projection_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    const double *hidden = reference_row(v->hidden, p->H, step), *w = p->w[REFERENCE_WEIGHT_HR];
    double *h = reference_state_after(p, v, 0, step);
    for (size_t i = 0; i < p->width; i++)
        h[i] = w != NULL ? dot(p, 0, w + i * p->H, hidden, p->H) : hidden[i];
}

void reference_projection_backward(const reference_layer *p, reference_trace *d, size_t step)
{
    double *dhidden = reference_row(d->hidden, p->H, step);
    const double *dh = reference_state_after(p, d, 0, step), *w = p->w[REFERENCE_WEIGHT_HR];
    for (size_t j = 0; j < p->H; j++) {
        sum s = {0};
        for (size_t i = 0; i < p->width && w != NULL; i++)
            add(&s, dh[i] * w[i * p->H + j]);
        dhidden[j] = w != NULL ? total(p, &s) : dh[j];
    }
}

/* ---- gradients of the weights ---- */

/* start + sum over all steps of a[step,i] * b[step,k]; without b of a[step,i] */
static double over_steps(const reference_layer *p, double start, const double *a, size_t a_width, size_t i,
                         const double *b, size_t b_width, size_t k)
{
    sum s = {0};
    add(&s, start);
    for (size_t step = 0; step < reference_step_at(p, p->net->T, 0); step++)
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

void reference_weights_backward(const reference_layer *p, const reference_trace *v, const reference_trace *d)
{
    const reference_cell *cell = p->net->cell;
    const size_t rows = reference_gate_rows(p), H = p->H;
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
