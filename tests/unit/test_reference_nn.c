/*
 * Validates the references of the operations around recurrent layers: gradients by central differences of
 * sum(dy y) with a random dy, and a few values that can be checked by hand.
 */
#include "../reference/gemm.h"
#include "../reference/nn.h"
#include "../reference/philox.h"
#include "../support/compare.h"
#include "../support/numeric.h"
#include "../support/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { N = 5, IN = 3, OUT = 4, V = 4, E = 3, MOST = 64 };

/* An operation under test: up to three inputs, one output, loss = sum(dy y). */
typedef struct operation {
    double in[3][MOST], y[MOST], dy[MOST], gradient[3][MOST];
    size_t n[3], y_n;
    void (*forward)(struct operation *op);
    reference_cross_entropy cross_entropy;
    const int32_t *index;
    bool kept[MOST];
} operation;

static void fill(operation *op, uint64_t seed)
{
    test_random random = test_random_seed(seed);
    for (int i = 0; i < 3; i++)
        test_random_fill(&random, op->in[i], op->n[i], -2, 2);
    test_random_fill(&random, op->dy, op->y_n, -1, 1);
}

static double loss_of(void *context)
{
    operation *op = context;
    double sum = 0;
    op->forward(op);
    for (size_t i = 0; i < op->y_n; i++)
        sum += op->dy[i] * op->y[i];
    return sum;
}

static void check(const char *name, operation *op)
{
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < op->n[i]; k++) {
            const double expected = test_derivative(loss_of, op, &op->in[i][k]), got = op->gradient[i][k];
            cr_assert(fabs(got - expected) <= TEST_DERIVATIVE_BOUND(expected),
                      "%s: gradient of input %d element %zu is %.17g, numerically %.17g", name, i, k, got,
                      expected);
        }
    op->forward(op); /* y of the inputs as they were */
}

static void affine(operation *op)
{
    reference_affine_forward(op->in[0], op->in[1], op->n[2] > 0 ? op->in[2] : NULL, N, IN, OUT, op->y, NULL);
}

Test(reference_nn, affine)
{
    for (size_t bias = 0; bias <= OUT; bias += OUT) {
        operation op = {.n = {N * IN, OUT * IN, bias}, .y_n = N * OUT, .forward = affine};
        fill(&op, 1);
        reference_affine_backward(op.in[0], op.in[1], op.dy, N, IN, OUT, op.gradient[0], op.gradient[1],
                                  bias > 0 ? op.gradient[2] : NULL);
        check("affine", &op);
        /* once more: parameter gradients add, that of x does not */
        double dx[MOST], dw[MOST];
        for (size_t i = 0; i < MOST; i++) {
            dx[i] = op.gradient[0][i];
            dw[i] = 2 * op.gradient[1][i];
        }
        reference_affine_backward(op.in[0], op.in[1], op.dy, N, IN, OUT, op.gradient[0], op.gradient[1],
                                  NULL);
        cr_assert(compare_doubles("dx", op.gradient[0], dx, N * IN, 0), "%s", compare_message());
        cr_assert(compare_doubles("dw", op.gradient[1], dw, OUT * IN, 1e-14), "%s", compare_message());
    }
}

static void embedding(operation *op)
{
    reference_embedding_forward(op->in[0], V, E, op->index, N, op->y);
}

Test(reference_nn, embedding)
{
    const int32_t tokens[N] = {2, 0, 2, V, -1}; /* a repeated one, an unused one, two outside of the table */
    operation op = {.n = {V * E}, .y_n = N * E, .forward = embedding, .index = tokens};
    double magnitude[V * E];
    fill(&op, 2);
    reference_embedding_backward(tokens, N, op.dy, V, E, op.gradient[0], magnitude);
    check("embedding", &op);
    for (int e = 0; e < E; e++) {
        cr_assert(op.y[3 * E + e] == 0 && op.y[4 * E + e] == 0 && op.y[e] == op.in[0][2 * E + e]);
        cr_assert_eq(magnitude[2 * E + e], fabs(op.dy[e]) + fabs(op.dy[2 * E + e]));
        cr_assert_eq(magnitude[3 * E + e], 0);
    }
}

static void dropout(operation *op)
{
    reference_dropout(op->in[0], op->kept, 0.25, MOST, op->y);
}

Test(reference_nn, dropout)
{
    operation op = {.n = {MOST}, .y_n = MOST, .forward = dropout};
    fill(&op, 6);
    reference_dropout_mask(9, 1, 0.25f, MOST, op.kept);
    reference_dropout(op.dy, op.kept, 0.25, MOST, op.gradient[0]);
    check("dropout", &op);
    size_t kept = 0;
    for (int i = 0; i < MOST; i++) {
        kept += op.kept[i];
        cr_assert(op.y[i] == (op.kept[i] ? op.in[0][i] / 0.75 : 0));
    }
    cr_assert(kept > 36 && kept < 60, "%zu of 64 kept with p = 0.25", kept);
}

static void cross_entropy(operation *op)
{
    op->y[0] = reference_cross_entropy_forward(op->cross_entropy, op->in[0], op->index, N, V);
}

Test(reference_nn, cross_entropy)
{
    static const int32_t targets[][N] = {
        {0, 3, 1, 2, 3}, {0, -7, 1, 2, 3}, {2, 2, 2, 2, 2}, {0, V, -1, 1, 2}};
    static const reference_cross_entropy descs[] = {{0}, {.ignore = true, .ignore_index = 2}, {.sum = true}};
    for (int t = 0; t < 4; t++)
        for (int d = 0; d < 3; d++) {
            operation op = {.n = {N * V}, .y_n = 1, .forward = cross_entropy};
            op.index = targets[t];
            op.cross_entropy = descs[d];
            fill(&op, 7);
            reference_cross_entropy_backward(descs[d], op.in[0], op.index, N, V, op.dy[0], op.gradient[0]);
            check("cross-entropy", &op);
            if (t == 2 && d == 1) /* every row ignored */
                cr_assert(op.y[0] == 0 && op.gradient[0][0] == 0);
        }
}

Test(reference_nn, cross_entropy_by_hand)
{
    /* equal logits: log V; two classes apart by log 3: probabilities 3/4 and 1/4; nothing overflows */
    const double equal[V] = {5, 5, 5, 5}, quarters[2] = {log(3), 0}, large[2] = {1e4, 0};
    const int32_t first[] = {0}, second[] = {1};
    const reference_cross_entropy mean = {0};
    cr_assert_float_eq(reference_cross_entropy_forward(mean, equal, first, 1, V), log(4), 1e-15);
    cr_assert_float_eq(reference_cross_entropy_forward(mean, quarters, second, 1, 2), log(4), 1e-15);
    cr_assert_float_eq(reference_cross_entropy_forward(mean, large, second, 1, 2), 1e4, 0);
    double softmax[2];
    reference_softmax(quarters, 2, softmax);
    cr_assert(compare_doubles("softmax", softmax, (double[]){0.75, 0.25}, 2, 1e-15), "%s", compare_message());
}

Test(reference_nn, sum_and_mean)
{
    const double x[] = {1, -2, 6, 3};
    cr_assert(reference_sum(x, 4) == 8 && reference_mean(x, 4) == 2 && reference_mean(x, 0) == 0);
}

/* Every transposition and padded leading dimensions against a product that can be done by hand. */
Test(reference_nn, gemm)
{
    const double a[] = {1, 2, 3, 4, 5, 6},
                 at[] = {1, 4, -1, 2, 5, -1, 3, 6, -1}; /* [2,3]; [3,2] in rows of 3 */
    const double b[] = {1, -1, 0, 2, 3, 1},
                 bt[] = {1, 0, 3, 9, 9, -1, 2, 1, 9, 9}; /* [3,2]; [2,3] in rows of 5 */
    for (int t = 0; t < 4; t++) {
        const reference_matrix A = {t & 1 ? at : a, 3, t & 1}, B = {t & 2 ? bt : b, t & 2 ? 5 : 2, t & 2};
        double c[] = {1, 1, 7, 1, 1, 7}, magnitude[4];
        reference_gemm(2, 2, 3, 2, A, B, -1, c, 3, magnitude);
        cr_assert(compare_doubles("c", c, (double[]){19, 11, 7, 43, 23, 7}, 6, 0), "%d: %s", t,
                  compare_message());
        cr_assert(compare_doubles("magnitude", magnitude, (double[]){21, 17, 45, 41}, 4, 0), "%s",
                  compare_message());
        c[0] = NAN;
        reference_gemm(2, 2, 3, 1, A, B, 0, c, 3, NULL);
        cr_assert(compare_doubles("c", c, (double[]){10, 6, 7, 22, 12, 7}, 6, 0), "%d: %s", t,
                  compare_message());
    }
}

/* The test vectors that its authors publish with the generator. */
Test(reference_nn, philox)
{
    static const uint32_t vectors[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
         0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
         0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        reference_philox(vectors[i], vectors[i] + 4, out);
        cr_assert(memcmp(out, vectors[i] + 6, sizeof out) == 0, "vector %d begins with %08x", i,
                  (unsigned)out[0]);
    }
    cr_assert_eq(reference_random_uniform(0, 0, 1), (0xe169c58d >> 8) * 0x1p-24);
    const uint32_t counter[] = {0x243f6a88, 0x05a308d3, 0x13198a2e, 0x03707344},
                   key[] = {0xa4093822, 0x299f31d0};
    uint32_t words[4];
    reference_philox(counter, key, words);
    for (uint64_t i = 0; i < 4; i++) /* all 128 bits of the counter and 64 of the key are used */
        cr_assert_eq(reference_random_uniform(UINT64_C(0x299f31d0a4093822), UINT64_C(0x0370734413198a2e),
                                              UINT64_C(0x05a308d3243f6a88) * 4 + i),
                     (words[i] >> 8) * 0x1p-24);
}
