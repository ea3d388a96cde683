#include "rnn_draws.h"

#include "philox.h"

#include <math.h>

/* ---- recurrent dropout: what products of h read ---- */

bool reference_masks_h(const reference_layer *p)
{
    return p->net->recurrent_dropout > 0 && !p->net->inference;
}

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

void reference_mask_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    for (size_t j = 0; j < p->width && reference_masks_h(p); j++) {
        const double masked = draw_mask(p, step, j) * reference_state_before(p, v, 0, step)[j];
        reference_row(v->masked, p->width, step)[j] =
            reference_round(p->net->rounding, masked, 3 * fabs(masked));
    }
}

void reference_mask_backward(const reference_layer *p, reference_trace *d, size_t step)
{
    for (size_t j = 0; j < p->width && reference_masks_h(p); j++) {
        const double dh = draw_mask(p, step, j) * reference_row(d->masked, p->width, step)[j];
        double *all = &reference_state_before(p, d, 0, step)[j];
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

void reference_keep_forward(const reference_layer *p, reference_trace *v, size_t step)
{
    for (int s = 0; s < p->net->cell->states; s++) {
        const double *old = reference_state_before(p, v, s, step);
        double *new = reference_state_after(p, v, s, step), *keep = reference_row(v->keep[s], p->H, step);
        for (size_t j = 0; j < p->H && p->net->zoneout[s] > 0; j++) {
            keep[j] = draw_keep(p, s, step, j);
            const double scale = p->net->inference ? fabs(old[j]) + 2 * fabs(new[j]) : 0;
            new[j] = reference_round(p->net->rounding, keep[j] * old[j] + (1 - keep[j]) * new[j], scale);
        }
    }
}

void reference_keep_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                             size_t step)
{
    for (int s = 0; s < p->net->cell->states; s++) {
        const double *keep = reference_row(v->keep[s], p->H, step);
        double *dnew = reference_state_after(p, d, s, step), *dold = reference_state_before(p, d, s, step);
        for (size_t j = 0; j < p->H && p->net->zoneout[s] > 0; j++) {
            dold[j] += keep[j] * dnew[j];
            dnew[j] *= 1 - keep[j];
        }
    }
}
