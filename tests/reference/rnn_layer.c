#include "rnn_layer.h"

#include "../support/numeric.h"
#include "rnn_draws.h"
#include "rnn_map.h"
#include "rnn_product.h"

#include <stdlib.h>
#include <string.h>

static bool is_live(const reference_layer *p, int t, int b)
{
    return p->net->lengths == NULL || t < p->net->lengths[b];
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
            memcpy(reference_row(v->parameter, REFERENCE_MAX_PARAMETERS * p->H, step) + k * p->H,
                   p->w[REFERENCE_PARAMETER + k], p->H * sizeof(double));
    reference_input_forward(p, v, step);
    reference_mask_forward(p, v, step);
    for (int phase = 0; has_phase(cell, phase); phase++) {
        const int s = normed_state(cell, phase);
        reference_recurrent_forward(p, v, step, phase);
        if (s > 0)
            reference_norm_forward(p, reference_state_after(p, v, s, step), &v->norm_state, step,
                                   p->w[REFERENCE_GAIN_STATE], p->w[REFERENCE_BIAS_STATE],
                                   reference_row(v->normed, p->H, step));
        reference_map_forward(p, v, step, phase, margin);
    }
    reference_projection_forward(p, v, step);
    reference_keep_forward(p, v, step);
}

static void step_backward(const reference_layer *p, const reference_trace *v, reference_trace *d, size_t step)
{
    const reference_cell *cell = p->net->cell;
    double *dstate = test_doubles(p->H);
    reference_keep_backward(p, v, d, step);
    reference_projection_backward(p, d, step);
    for (int phase = REFERENCE_MAX_PHASES - 1; phase >= 0; phase--) {
        const int s = normed_state(cell, phase);
        if (!has_phase(cell, phase))
            continue;
        reference_map_backward(p, v, d, step, phase);
        if (s > 0) {
            reference_norm_backward(p, &v->norm_state, step, p->w[REFERENCE_GAIN_STATE],
                                    reference_row(d->normed, p->H, step), dstate);
            for (size_t j = 0; j < p->H; j++)
                reference_state_after(p, d, s, step)[j] += dstate[j];
        }
        reference_recurrent_backward(p, v, d, step, phase);
    }
    reference_mask_backward(p, d, step);
    reference_input_backward(p, v, d, step);
    free(dstate);
}

void reference_layer_forward(const reference_layer *p, reference_trace *v, double *margin)
{
    for (int t = 0; t < p->net->T; t++)
        for (int b = 0; b < p->net->B; b++) {
            const size_t step = reference_step_at(p, t, b);
            if (is_live(p, t, b)) {
                step_forward(p, v, step, margin);
                continue;
            }
            for (int s = 0; s < p->net->cell->states; s++)
                memcpy(reference_state_after(p, v, s, step), reference_state_before(p, v, s, step),
                       reference_width_of(p, s) * sizeof(double));
        }
}

void reference_layer_backward(const reference_layer *p, const reference_trace *v, const double *dy,
                              reference_trace *d)
{
    for (int t = p->net->T - 1; t >= 0; t--)
        for (int b = 0; b < p->net->B; b++) {
            const size_t step = reference_step_at(p, t, b);
            if (is_live(p, t, b)) {
                for (size_t i = 0; i < p->width; i++)
                    reference_state_after(p, d, 0, step)[i] += dy[step * p->width + i];
                step_backward(p, v, d, step);
                continue;
            }
            for (int s = 0; s < p->net->cell->states; s++)
                memcpy(reference_state_before(p, d, s, step), reference_state_after(p, d, s, step),
                       reference_width_of(p, s) * sizeof(double));
        }
    reference_weights_backward(p, v, d);
}
