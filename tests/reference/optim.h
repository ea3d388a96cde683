/*
 * optim.h - optimisers and gradient clipping in double precision, by PyTorch's definitions.
 *
 * One call is one step over n elements of one parameter; `step` counts from 1. State arrays begin at zero. The gradient
 * is not changed.
 */
#ifndef CLSEQ_TESTS_REFERENCE_OPTIM_H
#define CLSEQ_TESTS_REFERENCE_OPTIM_H

#include <stdbool.h>
#include <stddef.h>

/* g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v) */
typedef struct reference_sgd {
    double lr, momentum, decay;
    bool nesterov;
} reference_sgd;

void reference_sgd_step(const reference_sgd *sgd, const double *gradient, size_t n, double *w,
                        double *velocity);

/*
 * g += decay w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 * decoupled (AdamW): w -= lr decay w first, and no decay in g.
 */
typedef struct reference_adam {
    double lr, beta1, beta2, eps, decay;
    bool decoupled;
} reference_adam;

void reference_adam_step(const reference_adam *adam, int step, const double *gradient, size_t n, double *w,
                         double *m, double *v);

/* Each element limited to [-limit, limit]. */
void reference_clip_value(double limit, double *gradient, size_t n);

double reference_norm(const double *x, size_t n);

/*
 * Scale by limit / (norm + slack) where that is below 1: reference_clip_norm one tensor by its own norm,
 * reference_clip_global_norm all of them by their joint norm. Both return the norm before. slack is 0 in the library
 * and 1e-6 in PyTorch's clip_grad_norm_.
 */
double reference_clip_norm(double limit, double slack, double *gradient, size_t n);
double reference_clip_global_norm(double limit, double slack, double *const gradients[], const size_t n[],
                                  size_t count);

#endif
