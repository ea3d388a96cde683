/* Validates the references of both tables of operations: by central differences, and by PyTorch's numbers. */
#include "../reference/pointwise.h"
#include "../reference/reduce.h"
#include "../support/golden.h"
#include "../support/numeric.h"
#include "../support/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 60 };

typedef struct point {
    int row;
    reference_point at;
    double dy;
} point;

static double loss_of(void *context)
{
    const point *p = context;
    return p->dy * reference_pointwise_at(p->row, &p->at).y;
}

/* Steps of a quarter, away from whole numbers and their halves, so that no difference crosses a kink, and b never is a. */
static double draw(test_random *random, int row, int input)
{
    const reference_pointwise_bounds *r = &reference_pointwise_bound[row];
    const double least = fmax(r->least[input], -9), most = fmin(r->most[input], 9);
    const double step = floor(4 * test_random_uniform(random, least + 0.2, most - 0.3)) / 4;
    return fmax(step, least) + (input == 0 ? 0.11 : 0.06);
}

Test(reference_pointwise, derivatives)
{
    test_random random = test_random_seed(1);
    for (int row = 0; row < POINTWISE_COUNT; row++)
        for (int k = 0; k < POINTS; k++) {
            const reference_pointwise_row *r = &reference_pointwise_rows[row];
            point p = {row, {.m = k % 3 == 0}, test_random_uniform(&random, -2, 2)};
            p.at.a = draw(&random, row, 0);
            p.at.b = r->inputs == 2 ? draw(&random, row, 1) : 0;
            p.at.p = k % 2 ? r->params[0] : 0.75;
            p.at.q = k % 2 ? r->params[1] : 1.75;
            const reference_pointwise got = reference_pointwise_at(row, &p.at);
            for (int i = 0; i < r->inputs; i++) {
                const double want = test_derivative(loss_of, &p, i == 0 ? &p.at.a : &p.at.b);
                /* Fifth derivatives grow as y does. */
                cr_assert(fabs(p.dy * got.f[i] - want) <= TEST_DERIVATIVE_BOUND(want) * (1 + fabs(got.y)),
                          "%s: derivative %d at %g, %g is %.17g, numerically %.17g", r->name, i, p.at.a,
                          p.at.b, p.dy * got.f[i], want);
            }
        }
}

static void expect(const char *what, double got, double want)
{
    cr_assert(fabs(got - want) <= 1e-12 * (1 + fabs(want)), "%s is %.17g, PyTorch has %.17g", what, got,
              want);
}

Test(reference_pointwise, golden)
{
    golden *g = golden_open("pointwise.txt");
    for (int row = 0; row < POINTWISE_COUNT; row++)
        for (int set = 0; set < 2; set++) {
            const reference_pointwise_row *r = &reference_pointwise_rows[row];
            static const char *const parts[] = {"params", "a", "b", "m", "y", "da", "db", "dy"};
            const double *values[8];
            char name[GOLDEN_MAX_NAME];
            size_t n = 0;
            for (int k = 0; k < 8; k++) {
                snprintf(name, sizeof name, "%s/%d/%s", r->number, set, parts[k]);
                const golden_tensor *t = golden_get(g, name);
                values[k] = t->values;
                n = k > 0 ? t->n : n;
            }
            for (size_t e = 0; e < n; e++) {
                const reference_point at = {values[1][e], values[2][e], values[0][0], values[0][1],
                                            values[3][e] != 0};
                const reference_pointwise got = reference_pointwise_at(row, &at);
                expect(name, got.y, values[4][e]);
                for (int i = 0; i < r->inputs; i++)
                    expect(name, values[7][e] * got.f[i], values[5 + i][e]);
            }
        }
    golden_close(g);
}

/* ---- reductions ---- */

typedef struct reducing {
    reference_reduction r;
    double x[64], y[64], dy[64];
} reducing;

static double reduced_loss(void *context)
{
    reducing *c = context;
    double sum = 0;
    reference_reduce_forward(&c->r, c->x, c->y, NULL);
    for (int64_t k = 0; k < reference_reduce_elements(&c->r, true); k++)
        sum += c->dy[k] * c->y[k];
    return sum;
}

Test(reference_reduce, derivatives)
{
    test_random random = test_random_seed(2);
    for (clseq_reduction row = 0; row < CLSEQ_REDUCE_COUNT; row++)
        for (int which = 0; which < 8; which++) {
            reducing c = {.r = {row, 3, {3, 2, 4}, {which & 1, which & 2, which & 4}}};
            double dx[64];
            test_random_fill(&random, c.x, 24, -2, 2);
            test_random_fill(&random, c.dy, 24, -1, 1);
            reference_reduce_backward(&c.r, c.x, c.dy, dx);
            for (int i = 0; i < 24; i++) {
                const double want = test_derivative(reduced_loss, &c, &c.x[i]);
                cr_assert(fabs(dx[i] - want) <= TEST_DERIVATIVE_BOUND(want),
                          "row %d, dims %d: %.17g, numerically %.17g", (int)row, which, dx[i], want);
            }
        }
}

/* With ties. */
Test(reference_reduce, golden)
{
    static const char *const names[CLSEQ_REDUCE_COUNT] = {"sum", "mean", "max", "min"};
    golden *g = golden_open("reduce.txt");
    const double *x = golden_values(g, "x", 24);
    for (clseq_reduction row = 0; row < CLSEQ_REDUCE_COUNT; row++)
        for (int which = 1; which < 8; which++) {
            const reference_reduction r = {row, 3, {3, 2, 4}, {which & 1, which & 2, which & 4}};
            const size_t n = (size_t)reference_reduce_elements(&r, true);
            double y[24], dx[24];
            char name[3][GOLDEN_MAX_NAME];
            for (int k = 0; k < 3; k++)
                snprintf(name[k], sizeof name[k], "%s/%d/%s", names[row], which,
                         (const char *const[]){"y", "dy", "dx"}[k]);
            const double *want = golden_values(g, name[0], n), *dwant = golden_values(g, name[2], 24);
            reference_reduce_forward(&r, x, y, NULL);
            reference_reduce_backward(&r, x, golden_values(g, name[1], n), dx);
            for (size_t k = 0; k < n; k++)
                expect(name[0], y[k], want[k]);
            for (size_t i = 0; i < 24; i++)
                expect(name[2], dx[i], dwant[i]);
        }
    golden_close(g);
}
