#include "sequence.h"

#include <math.h>
#include <string.h>

static size_t at(const reference_sequence *s, size_t t, size_t b, size_t f)
{
    return (t * s->B + b) * s->F + f;
}

size_t reference_length(const reference_sequence *s, size_t b)
{
    if (s->lengths == NULL)
        return s->T;
    const int32_t length = s->lengths[b];
    return length < 0 ? 0 : (size_t)length < s->T ? (size_t)length : s->T;
}

void reference_reverse(const reference_sequence *s, const double *x, double *y)
{
    for (size_t t = 0; t < s->T; t++)
        for (size_t b = 0; b < s->B; b++) {
            const size_t length = reference_length(s, b), from = t < length ? length - 1 - t : t;
            memcpy(y + at(s, t, b, 0), x + at(s, from, b, 0), s->F * sizeof *y);
        }
}

int32_t reference_largest_step(const reference_sequence *s, const double *x, size_t b, size_t f)
{
    int32_t step = -1;
    for (size_t t = 0; t < reference_length(s, b); t++) {
        const double value = x[at(s, t, b, f)], largest = step < 0 ? 0 : x[at(s, (size_t)step, b, f)];
        if (step < 0 || value > largest || (isnan(value) && !isnan(largest)))
            step = (int32_t)t;
    }
    return step;
}

/* What x[t,b,f] counts in y[b,f]. */
static double weight(const reference_sequence *s, reference_over_time kind, const double *x, size_t t,
                     size_t b, size_t f)
{
    const size_t length = reference_length(s, b);
    if (t >= length)
        return 0;
    if (kind == REFERENCE_MEAN)
        return 1 / (double)length;
    return kind == REFERENCE_LAST ? t == length - 1 : (int32_t)t == reference_largest_step(s, x, b, f);
}

void reference_over_time_forward(const reference_sequence *s, reference_over_time kind, const double *x,
                                 double *y)
{
    for (size_t b = 0; b < s->B; b++)
        for (size_t f = 0; f < s->F; f++) {
            y[b * s->F + f] = 0;
            for (size_t t = 0; t < reference_length(s, b); t++) {
                const double w = weight(s, kind, x, t, b, f);
                y[b * s->F + f] += w != 0 ? w * x[at(s, t, b, f)] : 0;
            }
        }
}

void reference_over_time_backward(const reference_sequence *s, reference_over_time kind, const double *x,
                                  const double *dy, double *dx)
{
    for (size_t t = 0; t < s->T; t++)
        for (size_t b = 0; b < s->B; b++)
            for (size_t f = 0; f < s->F; f++)
                dx[at(s, t, b, f)] = weight(s, kind, x, t, b, f) * dy[b * s->F + f];
}
