/* clseq_nn_pointwise_forward and _backward beside the table of shapes: in place, special values, what is refused. */
#include "reference/pointwise.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/operand.h"
#include "support/random.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One input that is stretched by itself. */
Test(nn_pointwise_edges, stretched_alone)
{
    static const float value[] = {1, 4, 9}, slope[] = {-2 * 70, 4 * 4 * 70, 6 * 9 * 70};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 1}, GUARDED_APART);
        guarded y = guarded_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){2, 3, 35}, GUARDED_BY_ROW);
        guarded dx = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 1}, GUARDED_APART);
        guarded_write(&x, (float[]){-1, 2, 3});
        guarded_poison(&y);
        guarded_poison(&dx);
        MUST(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_SQUARE, NULL, &x.tensor, &y.tensor));
        float *got = guarded_read(&y);
        for (int i = 0; i < 2 * 3 * 35; i++)
            cr_assert_eq(got[i], value[i / 35 % 3]);
        MUST(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_SQUARE, NULL, &x.tensor, NULL, &y.tensor, 0,
                                         false, &dx.tensor));
        float *gradient = guarded_read(&dx);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(gradient[i], slope[i], "%g", (double)gradient[i]);
        cr_assert(guarded_intact("y", &y) && guarded_intact("dx", &dx), "%s", guarded_message());
        free(got);
        free(gradient);
        guarded_destroy(&x);
        guarded_destroy(&y);
        guarded_destroy(&dx);
        clseq_context_destroy(ctx);
    }
}

/* y may be an input, and dx may be dy, where they are the same view. */
Test(nn_pointwise_edges, in_place)
{
    enum { N = 3 * 35 };
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        test_random random = test_random_seed(8);
        float a[N], b[N];
        test_random_fill_float(&random, a, N, -2, 2);
        test_random_fill_float(&random, b, N, 1, 2);
        for (int layout = 0; layout < GUARDED_LAYOUTS; layout++)
            for (int which = 0; which < 2; which++) {
                guarded g[2];
                for (int k = 0; k < 2; k++)
                    g[k] =
                        guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 35}, (guarded_layout)layout);
                guarded_write(&g[0], a);
                guarded_write(&g[1], b);
                MUST(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_MUL, NULL,
                                                (clseq_tensor[]){g[0].tensor, g[1].tensor},
                                                &g[which].tensor));
                float *got = guarded_read(&g[which]);
                for (int i = 0; i < N; i++)
                    cr_assert_eq(got[i], a[i] * b[i]);
                free(got);
                guarded_write(&g[0], a);
                guarded_write(&g[1], b);
                MUST(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_MUL, NULL,
                                                 (clseq_tensor[]){g[0].tensor, g[1].tensor}, NULL,
                                                 &g[0].tensor, 0, false, &g[0].tensor));
                got = guarded_read(&g[0]);
                for (int i = 0; i < N; i++)
                    cr_assert_eq(got[i], a[i] * b[i]);
                free(got);
                cr_assert(guarded_intact("a", &g[0]) && guarded_intact("b", &g[1]), "%s", guarded_message());
                guarded_destroy(&g[0]);
                guarded_destroy(&g[1]);
            }
        clseq_context_destroy(ctx);
    }
}

/* Zeros of both signs, infinities, NaN and what is very large, in every row and in pairs; the classes of the results are
 * those of the reference, and finite ones are near. */
Test(nn_pointwise_edges, special_values)
{
    static const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 1e30f, -1e30f, 88.5f};
    enum { COUNT = sizeof special / sizeof special[0], N = COUNT * COUNT };
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        guarded g[4];
        float a[N], b[N];
        int32_t m[N];
        for (int i = 0; i < N; i++) {
            a[i] = special[i % COUNT];
            b[i] = special[i / COUNT];
            m[i] = i % 2;
        }
        for (int k = 0; k < 4; k++)
            g[k] = guarded_create(ctx, k == 2 ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, 1, (int64_t[]){N},
                                  GUARDED_DENSE);
        guarded_write(&g[0], a);
        guarded_write(&g[1], b);
        guarded_write(&g[2], m);
        for (int row = 0; row < POINTWISE_COUNT; row++) {
            const reference_pointwise_row *r = &reference_pointwise_rows[row];
            clseq_tensor in[3] = {g[2].tensor};
            in[r->masked] = g[0].tensor;
            in[r->masked + 1] = g[1].tensor;
            MUST(clseq_nn_pointwise_forward(ctx, (clseq_pointwise)row, NULL, in, &g[3].tensor));
            float *got = guarded_read(&g[3]);
            for (int i = 0; i < N; i++) {
                const reference_point x = {(double)a[i], (double)b[i], r->params[0], r->params[1], m[i] != 0};
                const reference_pointwise want = reference_pointwise_at(row, &x);
                const bool is_large = fabs(want.y) > (double)FLT_MAX;
                const double error = fabs((double)got[i] - want.y);
                cr_expect(isnan(want.y) ? isnan(got[i])
                          : is_large    ? isinf(got[i]) && (got[i] > 0) == (want.y > 0)
                                        : error <= test_rounding_bound(reference_pointwise_bound[row].y_error,
                                                                       fmax(1, want.y_size)),
                          "%s of %g, %g is %g, expected %g", r->name, x.a, x.b, (double)got[i], want.y);
            }
            free(got);
        }
        for (int k = 0; k < 4; k++)
            guarded_destroy(&g[k]);
        clseq_context_destroy(ctx);
    }
}

static void refuses(clseq_status came, clseq_status status, const char *sentence)
{
    cr_expect(came == status && strcmp(clseq_last_error(), sentence) == 0, "%s: \"%s\" instead of \"%s\"",
              clseq_status_name(came), clseq_last_error(), sentence);
}

Test(nn_pointwise_edges, bad_arguments)
{
    clseq_context *ctx = test_context();
    clseq_tensor room = {0}, ints = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){200}, &room));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){3, 4}, &ints));
    const clseq_tensor x = clseq_tensor_view(room.buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 4});
    const clseq_tensor y = clseq_tensor_view(room.buffer, 20, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 4});
    const clseq_tensor z = clseq_tensor_view(room.buffer, 40, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 4});
    const clseq_tensor row = clseq_tensor_view(room.buffer, 60, CLSEQ_DTYPE_F32, 1, (int64_t[]){3});
    const clseq_tensor high = clseq_tensor_view(room.buffer, 80, CLSEQ_DTYPE_F32, 3, (int64_t[]){1, 3, 4});
    const clseq_tensor shifted = clseq_tensor_view(room.buffer, 1, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 4});
    const clseq_tensor none = {0};
    const clseq_tensor square = clseq_tensor_view(room.buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 3});
    const clseq_tensor turned_square = clseq_tensor_transpose(&square, 0, 1);
    clseq_tensor flat = y;
    flat.strides[0] = 0;
    const clseq_tensor pair[] = {x, row}, tall[] = {x, high}, missing[] = {x, none}, masked[] = {x, x, x};
    const clseq_tensor turned = clseq_tensor_transpose(&x, 0, 1), wide[] = {x, y};
    refuses(clseq_nn_pointwise_forward(NULL, CLSEQ_POINTWISE_EXP, NULL, &x, &y), CLSEQ_INVALID_ARGUMENT,
            "pointwise forward: ctx is NULL");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_COUNT, NULL, &x, &y), CLSEQ_INVALID_ARGUMENT,
            "pointwise forward: there is no row 28");
    refuses(clseq_nn_pointwise_forward(ctx, (clseq_pointwise)-1, NULL, &x, &y), CLSEQ_INVALID_ARGUMENT,
            "pointwise forward: there is no row -1");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_ADD, NULL, pair, &y), CLSEQ_INVALID_SHAPE,
            "add forward: in[1] has shape [3], which cannot be stretched to [3,4]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_ADD, NULL, tall, &y), CLSEQ_INVALID_SHAPE,
            "add forward: in[1] has shape [1,3,4], which cannot be stretched to [3,4]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_ADD, NULL, missing, &y), CLSEQ_INVALID_ARGUMENT,
            "add forward: in[1] is NULL, expected f32 [?]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_ADD, NULL, NULL, &y), CLSEQ_INVALID_ARGUMENT,
            "add forward: in[0] is NULL, expected f32 [?]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &ints, &y), CLSEQ_INVALID_DTYPE,
            "exp forward: in[0] has type i32, expected f32");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_WHERE, NULL, masked, &y), CLSEQ_INVALID_DTYPE,
            "where forward: in[0] has type f32, expected i32");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &x, NULL), CLSEQ_INVALID_ARGUMENT,
            "exp forward: y is NULL, expected f32 [?]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &x, &ints), CLSEQ_INVALID_DTYPE,
            "exp forward: y has type i32, expected f32");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &x, &flat), CLSEQ_INVALID_ARGUMENT,
            "exp forward: y has shape [3,4] and strides [0,1], with which elements stand in one place");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &x, &shifted), CLSEQ_INVALID_ARGUMENT,
            "exp forward: y overlaps in[0]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &square, &turned_square),
            CLSEQ_INVALID_ARGUMENT, "exp forward: y overlaps in[0]");
    refuses(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_EXP, NULL, &row, &x), CLSEQ_INVALID_SHAPE,
            "exp forward: in[0] has shape [3], which cannot be stretched to [3,4]");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_WHERE, NULL, masked, NULL, &y, 0, false, &z),
            CLSEQ_INVALID_ARGUMENT, "where backward: there is no gradient of input 0");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_ADD, NULL, NULL, NULL, &y, 2, false, &z),
            CLSEQ_INVALID_ARGUMENT, "add backward: there is no gradient of input 2");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_TANH, NULL, NULL, NULL, &y, 0, false, &z),
            CLSEQ_INVALID_ARGUMENT, "tanh backward: y is NULL, expected f32 [3,4]");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_TANH, NULL, NULL, &turned, &y, 0, false, &z),
            CLSEQ_INVALID_SHAPE, "tanh backward: y has shape [4,3], expected [3,4]");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_TANH, NULL, NULL, &y, &x, 0, false, &y),
            CLSEQ_INVALID_ARGUMENT, "tanh backward: dx overlaps y");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_MUL, NULL, wide, NULL, &z, 0, false, &y),
            CLSEQ_INVALID_ARGUMENT, "mul backward: dx overlaps in[1]");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_ADD, NULL, NULL, NULL, &y, 0, false, &row),
            CLSEQ_INVALID_SHAPE, "add backward: dx has shape [3], which cannot be stretched to [3,4]");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_ADD, NULL, NULL, NULL, &x, 0, false, &shifted),
            CLSEQ_INVALID_ARGUMENT, "add backward: dx overlaps dy");
    refuses(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_ADD, NULL, NULL, NULL, &x, 0, false, &flat),
            CLSEQ_INVALID_ARGUMENT,
            "add backward: dx has shape [3,4] and strides [0,1], with which elements stand in one place");
    cr_expect_eq(clseq_nn_pointwise_inputs(CLSEQ_POINTWISE_WHERE), 3);
    cr_expect_eq(clseq_nn_pointwise_inputs(CLSEQ_POINTWISE_MASKED_FILL), 2);
    cr_expect_eq(clseq_nn_pointwise_inputs(CLSEQ_POINTWISE_EXP), 1);
    cr_expect_eq(clseq_nn_pointwise_inputs(CLSEQ_POINTWISE_COUNT), 0);
    clseq_tensor_destroy(ctx, &room);
    clseq_tensor_destroy(ctx, &ints);
    clseq_context_destroy(ctx);
}

/* y = alpha a + beta b, and y = alpha a; what graphs add gradients with. */
Test(nn_pointwise_edges, add)
{
    static const float sum[] = {7, 14, 21, 13, 20, 27};
    clseq_context *ctx = test_context();
    guarded a = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 3}, GUARDED_BY_ROW);
    guarded b = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){3}, GUARDED_DENSE);
    guarded_write(&a, (float[]){1, 2, 3, 4, 5, 6});
    guarded_write(&b, (float[]){10, 20, 30});
    MUST(clseq_nn_add(ctx, 2, &a.tensor, 0.5f, &b.tensor, &a.tensor));
    float *got = guarded_read(&a);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(got[i], sum[i]);
    free(got);
    MUST(clseq_nn_add(ctx, -1, &a.tensor, NAN, NULL, &a.tensor));
    got = guarded_read(&a);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(got[i], -sum[i]);
    free(got);
    refuses(clseq_nn_add(ctx, 1, NULL, 1, &b.tensor, &a.tensor), CLSEQ_INVALID_ARGUMENT,
            "add forward: in[0] is NULL, expected f32 [?]");
    guarded_destroy(&a);
    guarded_destroy(&b);
    clseq_context_destroy(ctx);
}
