/* Meters: weighted means that keep their accuracy over many additions, and values that are not finite. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/graph.h"
#include "support/random.h"
#include <math.h>

static void add(clseq_context *ctx, clseq_meter *meter, float value, float weight)
{
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_meter_add(g, meter, clseq_input_f32(g, &value, 1, (int64_t[]){1}), weight);
    graph_end(g);
}

Test(meter, weighted_mean)
{
    clseq_context *ctx = test_context();
    clseq_meter *meter = NULL;
    double mean = 7;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, 0);
    add(ctx, meter, 2, 1);
    add(ctx, meter, 5, 3);
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, 4.25);
    EXPECT_OK(clseq_meter_read(meter, &mean)); /* reading takes nothing away */
    cr_assert_eq(mean, 4.25);
    EXPECT_OK(clseq_meter_reset(meter));
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, 0);
    add(ctx, meter, 2, 0);
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, 0);
    clseq_meter_destroy(meter);
    clseq_context_destroy(ctx);
}

/* Many additions of numbers that no float sum of that size holds: the pairs lose nothing of the mean in double. */
Test(meter, many_additions)
{
    enum { GRAPHS = 20, A_GRAPH = 500 };
    const int graphs = test_small() ? 2 : GRAPHS;
    clseq_context *ctx = test_context();
    clseq_meter *meter = NULL;
    test_random random = test_random_seed(1);
    double sum = 0, weights = 0, mean = 0;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    for (int i = 0; i < graphs; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        for (int k = 0; k < A_GRAPH; k++) {
            float x[2];
            test_random_fill_float(&random, x, 2, 0.5f, 4.0f);
            clseq_meter_add(g, meter, clseq_input_f32(g, x, 1, (int64_t[]){1}), x[1]);
            sum += (double)x[0] * x[1];
            weights += x[1];
        }
        graph_end(g);
    }
    EXPECT_OK(clseq_meter_read(meter, &mean));
    /* The rests are sums of n roundings of their own, each of size eps * eps * sum at most. */
    cr_assert(fabs(mean - sum / weights) <= 1e-11 * mean, "%.17g instead of %.17g", mean, sum / weights);
    clseq_meter_destroy(meter);
    clseq_context_destroy(ctx);
}

/* What a large number pushes out of the sum, and what is too small for it, are both kept. */
Test(meter, the_smaller_of_two_is_not_lost)
{
    static const float numbers[][2] = {{1, 0x1p30f}, {0x1p30f, 1}};
    clseq_context *ctx = test_context();
    for (int i = 0; i < 2; i++) {
        clseq_meter *meter = NULL;
        double mean = 0;
        EXPECT_OK(clseq_meter_create(ctx, &meter));
        add(ctx, meter, numbers[i][0], 1);
        add(ctx, meter, numbers[i][1], 1);
        EXPECT_OK(clseq_meter_read(meter, &mean));
        cr_assert_eq(mean, (0x1p30 + 1) / 2, "%.17g", mean);
        clseq_meter_destroy(meter);
    }
    clseq_context_destroy(ctx);
}

Test(meter, not_finite)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    clseq_context *ctx = test_context();
    clseq_meter *meter = NULL;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    for (int i = 0; i < 3; i++) {
        double mean = 0;
        add(ctx, meter, 1, 1);
        add(ctx, meter, bad[i], 1);
        add(ctx, meter, 1, 1);
        EXPECT_ERROR(clseq_meter_read(meter, &mean), CLSEQ_NOT_FINITE, "meter read: the mean is");
        cr_assert(isnan(bad[i]) ? isnan(mean) : mean == (double)bad[i], "%g came for %g", mean,
                  (double)bad[i]);
        EXPECT_OK(clseq_meter_reset(meter));
    }
    clseq_meter_destroy(meter);
    clseq_context_destroy(ctx);
}

Test(meter, errors)
{
    const float two[2] = {1, 2};
    const int64_t dims[] = {2}, one[] = {1};
    clseq_context *ctx = test_context(), *other = test_context();
    clseq_meter *meter = NULL, *foreign = NULL, *none = NULL;
    double mean = 0;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    EXPECT_OK(clseq_meter_create(other, &foreign));
    EXPECT_ERROR(clseq_meter_create(NULL, &none), CLSEQ_INVALID_ARGUMENT, "meter create: ctx is NULL");
    EXPECT_ERROR(clseq_meter_create(ctx, NULL), CLSEQ_INVALID_ARGUMENT, "meter create: out is NULL");
    EXPECT_ERROR(clseq_meter_read(NULL, &mean), CLSEQ_INVALID_ARGUMENT, "meter read: meter is NULL");
    EXPECT_ERROR(clseq_meter_read(meter, NULL), CLSEQ_INVALID_ARGUMENT, "meter read: mean is NULL");
    EXPECT_ERROR(clseq_meter_reset(NULL), CLSEQ_INVALID_ARGUMENT, "meter reset: meter is NULL");
    clseq_meter_destroy(NULL);
    struct {
        clseq_meter *meter;
        const int64_t *dims;
        float weight;
        clseq_status status;
        const char *sentence;
    } rows[] = {{meter, dims, 1, CLSEQ_INVALID_SHAPE, "meter add: x has shape [2], expected one element"},
                {meter, one, -1, CLSEQ_INVALID_ARGUMENT, "meter add: weight is -1"},
                {meter, one, NAN, CLSEQ_INVALID_ARGUMENT, "meter add: weight is nan"},
                {meter, one, INFINITY, CLSEQ_INVALID_ARGUMENT, "meter add: weight is inf"},
                {NULL, one, 1, CLSEQ_INVALID_ARGUMENT, "meter add: meter is NULL"},
                {foreign, one, 1, CLSEQ_INVALID_ARGUMENT, "meter add: the meter belongs to another context"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        clseq_meter_add(g, rows[i].meter, clseq_input_f32(g, two, 1, rows[i].dims), rows[i].weight);
        EXPECT_ERROR(clseq_graph_end(g), rows[i].status, rows[i].sentence);
    }
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, 0);
    clseq_meter_destroy(meter);
    clseq_meter_destroy(foreign);
    clseq_context_destroy(ctx);
    clseq_context_destroy(other);
}

/* What a small sum loses when a large number is added to it is kept, too. */
Test(meter, large_after_small)
{
    clseq_context *ctx = test_context();
    clseq_meter *meter = NULL;
    double mean = 0;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    add(ctx, meter, 1, 1);
    add(ctx, meter, 0x1p30f, 1);
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, (1 + 0x1p30) / 2, "the mean is %.17g", mean);
    clseq_meter_destroy(meter);
    clseq_context_destroy(ctx);
}
