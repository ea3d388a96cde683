/*
 * Validates the references of what works along a dim, on rows, and over time: gradients of every input by central differences
 * of sum(dy y) with a random dy, and a few values by hand.
 */
#include "../reference/along.h"
#include "../reference/norm.h"
#include "../reference/sequence.h"
#include "../support/compare.h"
#include "../support/numeric.h"
#include "../support/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MOST = 64, INPUTS = 3 };

/* An operation under test; what its functions read of a case beside inputs. */
typedef struct operation {
    const char *name;
    void (*forward)(struct operation *op);
    void (*backward)(struct operation *op); /* writes `gradient` */
    reference_along along;
    bool flags[2];
    size_t m; /* of gather */
    reference_row_norm norm;
    reference_over_time over_time;
    size_t sizes[3]; /* T, B, F */
    const int32_t *index;
    double in[INPUTS][MOST], gradient[INPUTS][MOST], y[MOST], dy[MOST];
    size_t n[INPUTS], y_n;
} operation;

static double loss_of(void *context)
{
    operation *op = context;
    double sum = 0;
    op->forward(op);
    for (size_t i = 0; i < op->y_n; i++)
        sum += op->dy[i] * op->y[i];
    return sum;
}

static void prove(operation *op)
{
    test_random random = test_random_seed(5);
    for (int i = 0; i < INPUTS; i++)
        test_random_fill(&random, op->in[i], op->n[i], -2, 2);
    test_random_fill(&random, op->dy, op->y_n, -1, 1);
    memset(op->gradient, 0, sizeof op->gradient);
    op->forward(op);
    op->backward(op);
    for (int i = 0; i < INPUTS; i++)
        for (size_t k = 0; k < op->n[i]; k++) {
            const double want = test_derivative(loss_of, op, &op->in[i][k]), got = op->gradient[i][k];
            cr_assert(fabs(got - want) <= TEST_DERIVATIVE_BOUND(want),
                      "%s, flags %d %d: gradient of input %d element %zu is %.17g, numerically %.17g",
                      op->name, op->flags[0], op->flags[1], i, k, got, want);
        }
}

static void softmax(operation *op)
{
    reference_softmax_forward(op->along, op->flags[0], op->in[0], op->y);
}

static void softmax_backward(operation *op)
{
    reference_softmax_backward(op->along, op->flags[0], op->y, op->dy, op->gradient[0]);
}

static void cumsum(operation *op)
{
    reference_cumsum(op->along, op->flags[0], op->flags[1], op->in[0], op->y, NULL);
}

static void cumsum_backward(operation *op)
{
    reference_cumsum(op->along, op->flags[0], !op->flags[1], op->dy, op->gradient[0], NULL);
}

static const int32_t some_indices[MOST] = {1, 0, 2, 2, -1, 1, 7, 0, 0, 2, 1, 1, 2, 0, 3, 0, 1, 2};

static void gather(operation *op)
{
    reference_gather_forward(op->along, op->m, op->in[0], some_indices, op->y);
}

static void gather_backward(operation *op)
{
    reference_gather_backward(op->along, op->m, some_indices, op->dy, op->gradient[0], NULL, NULL);
}

Test(reference_along, gradients)
{
    static const reference_along shapes[] = {{1, 1, 1}, {2, 3, 4}, {1, 7, 1},
                                             {5, 3, 1}, {1, 4, 3}, {3, 1, 2}};
    const operation operations[] = {
        {.name = "softmax", .forward = softmax, .backward = softmax_backward},
        {.name = "cumsum", .forward = cumsum, .backward = cumsum_backward},
        {.name = "gather", .forward = gather, .backward = gather_backward, .m = 2},
        {.name = "gather", .forward = gather, .backward = gather_backward, .m = 5}};
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
            for (int flags = 0; flags < 4; flags++) {
                operation op = operations[i];
                op.along = shapes[k];
                op.flags[0] = flags & 1;
                op.flags[1] = flags & 2;
                op.n[0] = shapes[k].outer * shapes[k].n * shapes[k].inner;
                op.y_n = op.m ? shapes[k].outer * op.m * shapes[k].inner : op.n[0];
                prove(&op);
            }
}

static void norm(operation *op)
{
    reference_row_norm_forward(op->norm, op->in[0], op->n[1] ? op->in[1] : NULL, op->n[2] ? op->in[2] : NULL,
                               op->y);
}

static void norm_backward(operation *op)
{
    reference_row_norm_backward(op->norm, op->in[0], op->n[1] ? op->in[1] : NULL, op->dy, op->gradient[0],
                                op->gradient[1], op->gradient[2]);
}

Test(reference_along, norm)
{
    static const size_t sizes[][2] = {{1, 1}, {3, 5}, {1, 9}, {4, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int options = 0; options < 8; options++) {
            const size_t N = sizes[i][0], n = sizes[i][1];
            operation op = {.name = "norm", .forward = norm, .backward = norm_backward, .y_n = N * n};
            op.norm = (reference_row_norm){options & 1, 0.25, N, n};
            op.n[0] = N * n;
            op.n[1] = options & 2 ? n : 0;
            op.n[2] = options & 4 ? n : 0;
            prove(&op);
        }
}

static const int32_t some_lengths[] = {2, 0, 4, 1, 9};

static reference_sequence sequence_of(const operation *op)
{
    return (reference_sequence){op->sizes[0], op->sizes[1], op->sizes[2], op->flags[0] ? some_lengths : NULL};
}

static void reverse(operation *op)
{
    const reference_sequence s = sequence_of(op);
    reference_reverse(&s, op->in[0], op->y);
}

static void reverse_backward(operation *op)
{
    const reference_sequence s = sequence_of(op);
    reference_reverse(&s, op->dy, op->gradient[0]);
}

static void over_time(operation *op)
{
    const reference_sequence s = sequence_of(op);
    reference_over_time_forward(&s, op->over_time, op->in[0], op->y);
}

static void over_time_backward(operation *op)
{
    const reference_sequence s = sequence_of(op);
    reference_over_time_backward(&s, op->over_time, op->in[0], op->dy, op->gradient[0]);
}

Test(reference_along, sequences)
{
    static const size_t sizes[][3] = {{1, 1, 1}, {4, 5, 3}, {5, 2, 1}, {1, 3, 4}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int lengths = 0; lengths < 2; lengths++) {
            const size_t T = sizes[i][0], rows = sizes[i][1] * sizes[i][2];
            operation op = {.name = "reverse", .forward = reverse, .backward = reverse_backward};
            memcpy(op.sizes, sizes[i], sizeof op.sizes);
            op.flags[0] = lengths;
            op.n[0] = op.y_n = T * rows;
            prove(&op);
            op.name = "over time";
            op.forward = over_time;
            op.backward = over_time_backward;
            op.y_n = rows;
            for (op.over_time = REFERENCE_LAST; op.over_time <= REFERENCE_MAX; op.over_time++)
                prove(&op);
        }
}

static void same(const char *name, const double *got, const double *want, size_t n)
{
    cr_assert(compare_doubles(name, got, want, n, 1e-15), "%s", compare_message());
}

Test(reference_along, by_hand)
{
    const reference_along middle = {1, 2, 2};
    const double x[] = {log(3), 0, 0, 0}, masked[] = {-INFINITY, 0, -INFINITY, 0};
    double y[6], dx[6];
    reference_softmax_forward(middle, false, x, y);
    same("softmax", y, (double[]){0.75, 0.5, 0.25, 0.5}, 4);
    reference_softmax_forward(middle, false, masked, y);
    same("masked", y, (double[]){0, 0.5, 0, 0.5}, 4);
    reference_softmax_backward(middle, false, y, (double[]){1, 2, 3, 4}, dx);
    same("masked gradient", dx, (double[]){0, -0.5, 0, 0.5}, 4);
    reference_softmax_forward(middle, true, masked, y);
    cr_assert(y[0] == -INFINITY && y[2] == -INFINITY);
    const double terms[] = {1, 2, 3, 4, 5, 6};
    reference_cumsum((reference_along){1, 3, 2}, false, false, terms, y, NULL);
    same("cumsum", y, (double[]){1, 2, 4, 6, 9, 12}, 6);
    reference_cumsum((reference_along){2, 3, 1}, true, true, terms, y, dx);
    same("cumsum of what comes", y, (double[]){5, 3, 0, 11, 6, 0}, 6);
    same("magnitude", dx, (double[]){6, 5, 3, 15, 11, 6}, 6);
    reference_gather_forward((reference_along){1, 3, 2}, 1, terms, (int32_t[]){2, 0}, y);
    same("gather", y, (double[]){5, 2}, 2);
    double magnitude[6], count[6];
    reference_gather_backward((reference_along){2, 3, 1}, 2, (int32_t[]){2, 2, 0, 3}, (double[]){1, -2, 4, 8},
                              dx, magnitude, count);
    same("gather gradient", dx, (double[]){0, 0, -1, 4, 0, 0}, 6);
    same("gather magnitude", magnitude, (double[]){0, 0, 3, 4, 0, 0}, 6);
    same("gather count", count, (double[]){0, 0, 2, 1, 0, 0}, 6);
}

Test(reference_along, sequences_by_hand)
{
    const int32_t lengths[] = {2, 0, 9};
    const double x[] = {1, 2, 3, 4, 5, 6, NAN, 8, 6}, dy[] = {2, 3, 4};
    const reference_sequence s = {3, 3, 1, lengths};
    double y[9], dx[9];
    cr_assert(reference_length(&s, 0) == 2 && reference_length(&s, 1) == 0 && reference_length(&s, 2) == 3);
    reference_reverse(&s, x, y);
    same("reverse", y, (double[]){4, 2, 6, 1, 5, 6}, 6);
    cr_assert(isnan(y[6]) && y[7] == 8 && y[8] == 3);
    static const double values[][3] = {{4, 0, 6}, {2.5, 0, 5}, {4, 0, 6}};
    static const double gradients[][9] = {{0, 0, 0, 2, 0, 0, 0, 0, 4},
                                          {1, 0, 4.0 / 3, 1, 0, 4.0 / 3, 0, 0, 4.0 / 3},
                                          {0, 0, 0, 2, 0, 4, 0, 0, 0}};
    for (reference_over_time kind = REFERENCE_LAST; kind <= REFERENCE_MAX; kind++) {
        reference_over_time_forward(&s, kind, x, y);
        same("over time", y, values[kind], 3);
        reference_over_time_backward(&s, kind, x, dy, dx);
        same("over time gradient", dx, gradients[kind], 9);
    }
    cr_assert_eq(reference_largest_step(&s, x, 1, 0), -1);
    const double ties[] = {1, NAN, 3, NAN};
    cr_assert_eq(reference_largest_step(&(reference_sequence){4, 1, 1, NULL}, ties, 0, 0), 1);
}
