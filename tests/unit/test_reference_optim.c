/* Validates the references of optimisers and clipping with steps worked out by hand; golden files do the rest. */
#include "../reference/optim.h"
#include "../support/compare.h"

#include <criterion/criterion.h>
#include <math.h>

Test(reference_optim, sgd)
{
    const double gradient[] = {1};
    double w[] = {2}, velocity[] = {0};
    const reference_sgd plain = {.lr = 0.5};
    reference_sgd_step(&plain, gradient, 1, w, velocity);
    cr_assert_float_eq(w[0], 1.5, 1e-15);

    /* v: 1, 1.5, 1.75 */
    const reference_sgd momentum = {.lr = 0.5, .momentum = 0.5};
    w[0] = 2, velocity[0] = 0;
    const double after[] = {1.5, 0.75, -0.125};
    for (int t = 0; t < 3; t++) {
        reference_sgd_step(&momentum, gradient, 1, w, velocity);
        cr_assert_float_eq(w[0], after[t], 1e-15);
    }

    /* v: 1, 1.5; steps of 1 + 0.5 v: 1.5, 1.75 */
    const reference_sgd nesterov = {.lr = 0.5, .momentum = 0.5, .nesterov = true};
    w[0] = 2, velocity[0] = 0;
    for (int t = 0; t < 2; t++)
        reference_sgd_step(&nesterov, gradient, 1, w, velocity);
    cr_assert_float_eq(w[0], 2 - 0.75 - 0.875, 1e-15);

    const reference_sgd decay = {.lr = 0.5, .decay = 0.1}; /* g = 1 + 0.2 */
    w[0] = 2, velocity[0] = 0;
    reference_sgd_step(&decay, gradient, 1, w, velocity);
    cr_assert_float_eq(w[0], 1.4, 1e-15);
}

Test(reference_optim, adam)
{
    /* With a constant gradient both corrected moments are those of the gradient itself: every step is lr g/(|g|+eps). */
    const reference_adam adam = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const double gradient[] = {3, -0.5};
    double w[] = {1, 1}, m[2] = {0}, v[2] = {0};
    for (int t = 1; t <= 5; t++) {
        reference_adam_step(&adam, t, gradient, 2, w, m, v);
        const double want[] = {1 - 0.1 * t * 3 / (3 + 1e-8), 1 + 0.1 * t * 0.5 / (0.5 + 1e-8)};
        cr_assert(compare_doubles("w", w, want, 2, 1e-13), "step %d: %s", t, compare_message());
    }
    /* a change of sign at step 2: m = 0.09 g - 0.1 g = -0.01 g, corrected by 1 - 0.81; v corrected is g^2 */
    double w2[] = {0}, m2[] = {0}, v2[] = {0}, g = 2;
    const reference_adam no_eps = {.lr = 1, .beta1 = 0.9, .beta2 = 0.999};
    reference_adam_step(&no_eps, 1, &g, 1, w2, m2, v2);
    g = -2;
    reference_adam_step(&no_eps, 2, &g, 1, w2, m2, v2);
    cr_assert_float_eq(w2[0], -1 + 0.01 / 0.19, 1e-12);
}

Test(reference_optim, adam_and_adamw_decay_differently)
{
    /* At the first step Adam moves by lr times the sign of the gradient with decay; AdamW shrinks and then moves. */
    const double gradient[] = {-0.1};
    double w[] = {2}, m[] = {0}, v[] = {0};
    const reference_adam adam = {.lr = 0.25, .beta1 = 0.9, .beta2 = 0.999, .decay = 0.1}; /* g = -0.1 + 0.2 */
    reference_adam_step(&adam, 1, gradient, 1, w, m, v);
    cr_assert_float_eq(w[0], 1.75, 1e-14);
    const reference_adam adamw = {.lr = 0.25, .beta1 = 0.9, .beta2 = 0.999, .decay = 0.1, .decoupled = true};
    w[0] = 2, m[0] = v[0] = 0;
    reference_adam_step(&adamw, 1, gradient, 1, w, m, v);
    cr_assert_float_eq(w[0], 2 - 0.05 + 0.25, 1e-14);
}

Test(reference_optim, clipping)
{
    double a[] = {3, -4, 0, NAN}, b[] = {12}, *const both[] = {a, b};
    reference_clip_value(3.5, a, 4);
    cr_assert(a[0] == 3 && a[1] == -3.5 && a[2] == 0 && isnan(a[3]));

    a[1] = -4;
    double norm =
        reference_clip_norm(10, 0, a, 3); /* apart from the assertion, which evaluates its arguments twice */
    cr_assert_float_eq(norm, 5, 1e-15);
    cr_assert(compare_doubles("below the limit", a, (double[]){3, -4, 0}, 3, 0), "%s", compare_message());
    norm = reference_clip_global_norm(1.3, 0, both, (size_t[]){3, 1}, 2);
    cr_assert_float_eq(norm, 13, 1e-14);
    cr_assert(compare_doubles("global", a, (double[]){0.3, -0.4, 0}, 3, 1e-15), "%s", compare_message());
    cr_assert_float_eq(b[0], 1.2, 1e-15);
    norm = reference_clip_norm(0.25, 0, a, 3);
    cr_assert_float_eq(norm, 0.5, 1e-15);
    cr_assert(compare_doubles("own norm", a, (double[]){0.15, -0.2, 0}, 3, 1e-15), "%s", compare_message());
    norm = reference_clip_norm(1, 1, b, 1);
    cr_assert_float_eq(norm, 1.2, 1e-15);
    cr_assert_float_eq(b[0], 1.2 / 2.2, 1e-15); /* limit/(norm + slack) */
}
