#include "optim.h"

#include <math.h>

void reference_sgd_step(const reference_sgd *sgd, const double *gradient, size_t n, double *w,
                        double *velocity)
{
    for (size_t i = 0; i < n; i++) {
        const double g = gradient[i] + sgd->decay * w[i];
        velocity[i] = sgd->momentum * velocity[i] + g;
        w[i] -= sgd->lr * (sgd->nesterov ? g + sgd->momentum * velocity[i] : velocity[i]);
    }
}

void reference_adam_step(const reference_adam *adam, int step, const double *gradient, size_t n, double *w,
                         double *m, double *v)
{
    const double correction1 = 1 - pow(adam->beta1, step), correction2 = 1 - pow(adam->beta2, step);
    for (size_t i = 0; i < n; i++) {
        double g = gradient[i];
        if (adam->decoupled)
            w[i] -= adam->lr * adam->decay * w[i];
        else
            g += adam->decay * w[i];
        m[i] = adam->beta1 * m[i] + (1 - adam->beta1) * g;
        v[i] = adam->beta2 * v[i] + (1 - adam->beta2) * g * g;
        w[i] -= adam->lr * (m[i] / correction1) / (sqrt(v[i] / correction2) + adam->eps);
    }
}

void reference_clip_value(double limit, double *gradient, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fabs(gradient[i]) > limit) /* NaN stays */
            gradient[i] = copysign(limit, gradient[i]);
}

double reference_norm(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

double reference_clip_norm(double limit, double slack, double *gradient, size_t n)
{
    return reference_clip_global_norm(limit, slack, &gradient, &n, 1);
}

double reference_clip_global_norm(double limit, double slack, double *const gradients[], const size_t n[],
                                  size_t count)
{
    double sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += pow(reference_norm(gradients[k], n[k]), 2);
    const double norm = sqrt(sum), factor = fmin(1, limit / (norm + slack));
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < n[k]; i++)
            gradients[k][i] *= factor;
    return norm;
}
