#include "rnn.h"

#include "../support/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one layer computed, kept for its backward pass. Rows and steps past a row's end stay zero. */
typedef struct tape {
    double *x;         /* [T,B,in] the layer's input */
    double *input;     /* [T,B,G*H] x W + b_ih, overwritten by its gradient */
    double *recurrent; /* [T,B,G*H] h U + b_hh, overwritten by its gradient */
    double *states;    /* [T+1,S,B,H] the states before each step, and after the last */
} tape;

static int layer_input(const reference_rnn *net, int layer)
{
    return layer == 0 ? net->I : net->H;
}

static size_t gate_rows(const reference_rnn *net)
{
    return (size_t)net->cell->gates * (size_t)net->H;
}

static bool is_live(const reference_rnn *net, int t, int b)
{
    return net->lengths == NULL || t < net->lengths[b];
}

static size_t sequence_at(reference_strides strides, size_t features, const reference_rnn *net, int t, int b)
{
    if (strides.t == 0 && strides.b == 0)
        return ((size_t)t * (size_t)net->B + (size_t)b) * features;
    return (size_t)(t * strides.t + b * strides.b);
}

/* Row t, b of a dense [T,B,F] array. */
static double *row_of(const reference_rnn *net, double *array, size_t features, int t, int b)
{
    return array + sequence_at((reference_strides){0, 0}, features, net, t, b);
}

/* Row b of state s in the [S,B,H] block `states`. */
static double *state_of(const reference_rnn *net, double *states, int s, int b)
{
    return states + ((size_t)s * (size_t)net->B + (size_t)b) * (size_t)net->H;
}

static size_t state_block(const reference_rnn *net)
{
    return (size_t)net->cell->states * (size_t)net->B * (size_t)net->H;
}

static tape tape_create(const reference_rnn *net, int layer)
{
    const size_t rows = (size_t)net->T * (size_t)net->B;
    return (tape){test_doubles(rows * (size_t)layer_input(net, layer)), test_doubles(rows * gate_rows(net)),
                  test_doubles(rows * gate_rows(net)), test_doubles((size_t)(net->T + 1) * state_block(net))};
}

static void tape_destroy(tape *saved)
{
    free(saved->x);
    free(saved->input);
    free(saved->recurrent);
    free(saved->states);
}

/* sum of a[i]*b[i*stride], plus `start`, rounded once by the size of the sum of magnitudes. */
static double dot(const reference_rnn *net, double start, const double *a, const double *b, size_t stride,
                  size_t n)
{
    double sum = start, magnitude = fabs(start);
    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i * stride];
        magnitude += fabs(a[i] * b[i * stride]);
    }
    return reference_round(net->rounding, sum, magnitude);
}

/* states [S,B,H] (one layer) from or to the separate [L,B,H] arrays of the caller; NULL sources mean zeros.
 */
static void states_load(const reference_rnn *net, int layer, double *states, const double *const source[])
{
    const size_t block = (size_t)net->B * (size_t)net->H;
    for (int s = 0; s < net->cell->states; s++)
        for (size_t i = 0; i < block; i++)
            states[(size_t)s * block + i] = source[s] != NULL ? source[s][(size_t)layer * block + i] : 0;
}

static void states_store(const reference_rnn *net, int layer, const double *states, double *const target[])
{
    const size_t block = (size_t)net->B * (size_t)net->H;
    for (int s = 0; s < net->cell->states; s++)
        if (target[s] != NULL)
            memcpy(target[s] + (size_t)layer * block, states + (size_t)s * block, block * sizeof *states);
}

/* One row's pre-activations of one step. */
static void project_row(const reference_rnn *net, int layer, const reference_rnn_layer *p, const tape *saved,
                        int t, int b)
{
    const size_t in = (size_t)layer_input(net, layer), H = (size_t)net->H, rows = gate_rows(net);
    const double *x = row_of(net, saved->x, in, t, b);
    const double *h = state_of(net, saved->states + (size_t)t * state_block(net), 0, b);
    double *input = row_of(net, saved->input, rows, t, b);
    double *recurrent = row_of(net, saved->recurrent, rows, t, b);

    for (size_t r = 0; r < rows; r++) {
        const double b_ih = net->bias != REFERENCE_BIAS_NONE ? p->bias_ih[r] : 0;
        const double b_hh = net->bias == REFERENCE_BIAS_DOUBLE ? p->bias_hh[r] : 0;
        input[r] = dot(net, b_ih, p->weight_ih + r * in, x, 1, in);
        recurrent[r] = dot(net, b_hh, p->weight_hh + r * H, h, 1, H);
    }
}

/* The numbers of one unit, gathered from arrays that keep gates and states H elements apart. */
typedef struct unit {
    double input[REFERENCE_MAX_GATES], recurrent[REFERENCE_MAX_GATES], previous[REFERENCE_MAX_STATES];
} unit;

static unit unit_gather(const reference_rnn *net, const tape *saved, int t, int b, int j)
{
    const double *input = row_of(net, saved->input, gate_rows(net), t, b);
    const double *recurrent = row_of(net, saved->recurrent, gate_rows(net), t, b);
    unit u;
    for (int g = 0; g < net->cell->gates; g++) {
        u.input[g] = input[g * net->H + j];
        u.recurrent[g] = recurrent[g * net->H + j];
    }
    for (int s = 0; s < net->cell->states; s++)
        u.previous[s] = state_of(net, saved->states + (size_t)t * state_block(net), s, b)[j];
    return u;
}

/* One row's states after step t. Functions of the cell are taken to be good to two roundings of their
 * operands. */
static void advance_row(const reference_rnn *net, const tape *saved, int t, int b, double *margin)
{
    double *after = saved->states + (size_t)(t + 1) * state_block(net);
    for (int j = 0; j < net->H; j++) {
        const unit u = unit_gather(net, saved, t, b, j);
        double next[REFERENCE_MAX_STATES];
        net->cell->forward(u.input, u.recurrent, u.previous, next);
        for (int s = 0; s < net->cell->states; s++) {
            const double scale = 2 * (fabs(next[s]) + fabs(u.previous[s]));
            state_of(net, after, s, b)[j] = reference_round(net->rounding, next[s], scale);
        }
        if (margin != NULL)
            *margin = fmin(*margin, fabs(u.input[0] + u.recurrent[0]));
    }
}

/* Runs one layer on saved->x; the states before the first step are in saved->states already. */
static void layer_forward(const reference_rnn *net, int layer, const reference_rnn_layer *p,
                          const tape *saved, double *margin)
{
    const size_t H = (size_t)net->H;
    for (int t = 0; t < net->T; t++) {
        double *before = saved->states + (size_t)t * state_block(net);
        double *after = before + state_block(net);
        for (int b = 0; b < net->B; b++) {
            if (is_live(net, t, b)) {
                project_row(net, layer, p, saved, t, b);
                advance_row(net, saved, t, b, margin);
                continue;
            }
            for (int s = 0; s < net->cell->states; s++)
                memcpy(state_of(net, after, s, b), state_of(net, before, s, b), H * sizeof *after);
        }
    }
}

/* Fills the tapes of all layers. */
static void run_forward(const reference_rnn *net, const reference_rnn_layer *layers, const double *x,
                        const double *const initial[], tape *tapes, double *margin)
{
    for (int l = 0; l < net->L; l++) {
        const size_t in = (size_t)layer_input(net, l);
        tapes[l] = tape_create(net, l);
        for (int t = 0; t < net->T; t++)
            for (int b = 0; b < net->B; b++) {
                double *row = row_of(net, tapes[l].x, in, t, b);
                if (!is_live(net, t, b))
                    continue;
                if (l == 0)
                    memcpy(row, x + sequence_at(net->x, in, net, t, b), in * sizeof *row);
                else
                    memcpy(row, state_of(net, tapes[l - 1].states + (size_t)(t + 1) * state_block(net), 0, b),
                           in * sizeof *row);
            }
        states_load(net, l, tapes[l].states, initial);
        layer_forward(net, l, &layers[l], &tapes[l], margin);
    }
}

static tape *tapes_create(const reference_rnn *net)
{
    tape *tapes = calloc((size_t)net->L, sizeof *tapes);
    if (tapes == NULL)
        abort();
    return tapes;
}

static void tapes_destroy(const reference_rnn *net, tape *tapes)
{
    for (int l = 0; l < net->L; l++)
        tape_destroy(&tapes[l]);
    free(tapes);
}

void reference_rnn_forward(const reference_rnn *net, const reference_rnn_forward_args *args)
{
    const size_t H = (size_t)net->H;
    tape *tapes = tapes_create(net);
    if (args->margin != NULL)
        *args->margin = INFINITY;
    run_forward(net, args->layers, args->x, args->initial, tapes, args->margin);

    for (int l = 0; l < net->L; l++)
        states_store(net, l, tapes[l].states + (size_t)net->T * state_block(net), args->final);
    for (int t = 0; t < net->T && args->y != NULL; t++)
        for (int b = 0; b < net->B; b++) {
            const double *h =
                state_of(net, tapes[net->L - 1].states + (size_t)(t + 1) * state_block(net), 0, b);
            double *row = args->y + sequence_at(net->y, H, net, t, b);
            for (size_t j = 0; j < H; j++)
                row[j] = is_live(net, t, b) ? h[j] : 0;
        }
    tapes_destroy(net, tapes);
}

/*
 * One row, one step back. dstates [S,B,H] holds the gradient of the states after the step and is replaced by
 * that of the states before it; the pre-activations on the tape are replaced by their gradients.
 */
static void retreat_row(const reference_rnn *net, const reference_rnn_layer *p, const tape *saved, int t,
                        int b, const double *dy, double *dstates)
{
    const size_t H = (size_t)net->H, rows = gate_rows(net);
    double *input = row_of(net, saved->input, rows, t, b);
    double *recurrent = row_of(net, saved->recurrent, rows, t, b);

    for (int j = 0; j < net->H; j++) {
        const unit u = unit_gather(net, saved, t, b, j);
        double dnext[REFERENCE_MAX_STATES], dprevious[REFERENCE_MAX_STATES];
        double dinput[REFERENCE_MAX_GATES], drecurrent[REFERENCE_MAX_GATES];
        double scale = 0, largest = 1;
        for (int s = 0; s < net->cell->states; s++) {
            dnext[s] = state_of(net, dstates, s, b)[j] + (s == 0 ? dy[j] : 0);
            scale += fabs(dnext[s]);
            largest = fmax(largest, fabs(u.previous[s]));
        }
        scale *= 2 * largest;
        net->cell->backward(u.input, u.recurrent, u.previous, dnext, dinput, drecurrent, dprevious);
        for (int g = 0; g < net->cell->gates; g++) {
            input[g * net->H + j] = reference_round(net->rounding, dinput[g], scale);
            recurrent[g * net->H + j] = reference_round(net->rounding, drecurrent[g], scale);
        }
        for (int s = 0; s < net->cell->states; s++)
            state_of(net, dstates, s, b)[j] =
                reference_round(net->rounding, dprevious[s], 2 * fabs(dprevious[s]));
    }
    double *dh = state_of(net, dstates, 0, b);
    for (size_t j = 0; j < H; j++)
        dh[j] = dot(net, dh[j], recurrent, p->weight_hh + j, H, rows);
}

/* Adds the sum over all real steps of (gate gradient)^T (operand row), and of the gate gradients for the
 * bias. */
static void weights_backward(const reference_rnn *net, double *dgates, double *operand, size_t operand_stride,
                             size_t features, double *dweight, double *dbias)
{
    const size_t rows = gate_rows(net), steps = (size_t)net->T * (size_t)net->B;
    double *gate = test_doubles(steps), *column = test_doubles(steps), *ones = test_doubles(steps);
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < steps; k++) {
            gate[k] = dgates[k * rows + r];
            ones[k] = 1;
        }
        for (size_t i = 0; i < features && dweight != NULL; i++) {
            for (int t = 0; t < net->T; t++)
                for (int b = 0; b < net->B; b++)
                    column[t * net->B + b] = operand[(size_t)t * operand_stride + (size_t)b * features + i];
            dweight[r * features + i] = dot(net, dweight[r * features + i], gate, column, 1, steps);
        }
        if (dbias != NULL)
            dbias[r] = dot(net, dbias[r], gate, ones, 1, steps);
    }
    free(gate);
    free(column);
    free(ones);
}

/* One layer back in time. dy [T,B,H] in, dx [T,B,in] out (dense), dstates [S,B,H] of the final states in,
 * initial out. */
static void layer_backward(const reference_rnn *net, int layer, const reference_rnn_layer *p,
                           const tape *saved, double *dy, double *dx, double *dstates,
                           const reference_rnn_layer *dp)
{
    const size_t in = (size_t)layer_input(net, layer), H = (size_t)net->H, rows = gate_rows(net);
    for (int t = net->T - 1; t >= 0; t--)
        for (int b = 0; b < net->B; b++) {
            if (!is_live(net, t, b))
                continue;
            retreat_row(net, p, saved, t, b, row_of(net, dy, H, t, b), dstates);
            for (size_t i = 0; i < in; i++)
                row_of(net, dx, in, t, b)[i] =
                    dot(net, 0, row_of(net, saved->input, rows, t, b), p->weight_ih + i, in, rows);
        }
    if (dp == NULL)
        return;
    weights_backward(net, saved->input, saved->x, (size_t)net->B * in, in, dp->weight_ih,
                     net->bias != REFERENCE_BIAS_NONE ? dp->bias_ih : NULL);
    weights_backward(net, saved->recurrent, saved->states, state_block(net), H, dp->weight_hh,
                     net->bias == REFERENCE_BIAS_DOUBLE ? dp->bias_hh : NULL);
}

void reference_rnn_backward(const reference_rnn *net, const reference_rnn_backward_args *args)
{
    const size_t H = (size_t)net->H, steps = (size_t)net->T * (size_t)net->B;
    tape *tapes = tapes_create(net);
    double *dstates = test_doubles(state_block(net)), *dy = test_doubles(steps * H), *dx = NULL;
    run_forward(net, args->layers, args->x, args->initial, tapes, NULL);

    for (int t = 0; t < net->T && args->dy != NULL; t++)
        for (int b = 0; b < net->B; b++)
            memcpy(row_of(net, dy, H, t, b), args->dy + sequence_at(net->y, H, net, t, b), H * sizeof *dy);
    for (int l = net->L - 1; l >= 0; l--) {
        dx = test_doubles(steps * (size_t)layer_input(net, l));
        states_load(net, l, dstates, args->dfinal);
        layer_backward(net, l, &args->layers[l], &tapes[l], dy, dx, dstates,
                       args->dlayers != NULL ? &args->dlayers[l] : NULL);
        states_store(net, l, dstates, args->dinitial);
        free(dy);
        dy = dx;
    }
    for (int t = 0; t < net->T && args->dx != NULL; t++)
        for (int b = 0; b < net->B; b++)
            memcpy(args->dx + sequence_at(net->x, (size_t)net->I, net, t, b),
                   row_of(net, dy, (size_t)net->I, t, b), (size_t)net->I * sizeof *dy);
    free(dy);
    free(dstates);
    tapes_destroy(net, tapes);
}
