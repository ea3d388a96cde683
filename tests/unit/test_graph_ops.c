/*
 * Every operation of the graph against double arithmetic: values, gradients with a random cotangent, one variable used
 * in several places, training equal to inference. A new operation on equal shapes is a row of `rows`.
 */
#include <criterion/criterion.h>

#include "reference/nn.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/random.h"
#include <math.h>
#include <stdlib.h>

enum { ELEMENTS = 3 * 5 * 7 };
static const int64_t shape[] = {3, 5, 7};

static double *random_doubles(test_random *random, size_t n)
{
    double *values = test_doubles(n);
    test_random_fill(random, values, n, -1.0, 1.0);
    return values;
}

/* ---- operations on equal shapes ---- */

typedef struct row {
    const char *name;
    int inputs;
    clseq_var *(*build)(clseq_graph *g, clseq_var *const *in);
    double (*value)(const double *in);
    double (*slope)(const double *in, int i); /* derivative with respect to input i */
    double roundings;                         /* of value and slope, each of size at most 2 */
} row;

static clseq_var *build_plus(clseq_graph *g, clseq_var *const *in)
{
    return clseq_add(g, in[0], in[1]);
}
static double value_plus(const double *in)
{
    return in[0] + in[1];
}
static double slope_plus(const double *in, int i)
{
    (void)in, (void)i;
    return 1;
}

static clseq_var *build_mul(clseq_graph *g, clseq_var *const *in)
{
    return clseq_mul(g, in[0], in[1]);
}
static double value_mul(const double *in)
{
    return in[0] * in[1];
}
static double slope_mul(const double *in, int i)
{
    return in[1 - i];
}

static clseq_var *build_tanh(clseq_graph *g, clseq_var *const *in)
{
    return clseq_tanh(g, in[0]);
}
static double value_tanh(const double *in)
{
    return tanh(in[0]);
}
static double slope_tanh(const double *in, int i)
{
    (void)i;
    return 1 - tanh(in[0]) * tanh(in[0]);
}

static clseq_var *build_sigmoid(clseq_graph *g, clseq_var *const *in)
{
    return clseq_sigmoid(g, in[0]);
}
static double value_sigmoid(const double *in)
{
    return 1 / (1 + exp(-in[0]));
}
static double slope_sigmoid(const double *in, int i)
{
    (void)i;
    return value_sigmoid(in) * (1 - value_sigmoid(in));
}

static clseq_var *build_relu(clseq_graph *g, clseq_var *const *in)
{
    return clseq_relu(g, in[0]);
}
static double value_relu(const double *in)
{
    return in[0] > 0 ? in[0] : 0;
}
static double slope_relu(const double *in, int i)
{
    (void)i;
    return in[0] > 0 ? 1 : 0;
}

/* x (x + x) + x, so that x has four uses, through two operations. */
static clseq_var *build_fan_out(clseq_graph *g, clseq_var *const *in)
{
    return clseq_add(g, clseq_mul(g, in[0], clseq_add(g, in[0], in[0])), in[0]);
}
static double value_fan_out(const double *in)
{
    return 2 * in[0] * in[0] + in[0];
}
static double slope_fan_out(const double *in, int i)
{
    (void)i;
    return 4 * in[0] + 1;
}

/* mul(x, x) */
static clseq_var *build_square(clseq_graph *g, clseq_var *const *in)
{
    return clseq_mul(g, in[0], in[0]);
}
static double value_square(const double *in)
{
    return in[0] * in[0];
}
static double slope_square(const double *in, int i)
{
    (void)i;
    return 2 * in[0];
}

/* tanh(x) used again by relu and tanh: gradients that meet in an operation that cannot add in place. */
static clseq_var *build_shared(clseq_graph *g, clseq_var *const *in)
{
    clseq_var *t = clseq_tanh(g, in[0]);
    return clseq_add(g, clseq_relu(g, t), clseq_add(g, clseq_tanh(g, t), clseq_relu(g, in[0])));
}
static double value_shared(const double *in)
{
    const double t = tanh(in[0]);
    return (t > 0 ? t : 0) + tanh(t) + (in[0] > 0 ? in[0] : 0);
}
static double slope_shared(const double *in, int i)
{
    const double t = tanh(in[0]), dt = (t > 0 ? 1 : 0) + 1 - tanh(t) * tanh(t);
    (void)i;
    return dt * (1 - t * t) + (in[0] > 0 ? 1 : 0);
}

/* A rational tanh is good to 3e-7, 5 roundings of something of size 1; a slope of it twice that. */
static const row rows[] = {
    {"add", 2, build_plus, value_plus, slope_plus, 1},
    {"mul", 2, build_mul, value_mul, slope_mul, 1},
    {"tanh", 1, build_tanh, value_tanh, slope_tanh, 10},
    {"sigmoid", 1, build_sigmoid, value_sigmoid, slope_sigmoid, 10},
    {"relu", 1, build_relu, value_relu, slope_relu, 1},
    {"fan out", 1, build_fan_out, value_fan_out, slope_fan_out, 8},
    {"square", 1, build_square, value_square, slope_square, 2},
    {"shared", 1, build_shared, value_shared, slope_shared, 24},
};

static void check_row(clseq_context *ctx, const row *r)
{
    test_random random = test_random_seed(7);
    double *in[2], *dy = random_doubles(&random, ELEMENTS), *want = test_doubles(ELEMENTS);
    double *dwant[2] = {test_doubles(ELEMENTS), test_doubles(ELEMENTS)};
    float *training = test_floats(ELEMENTS), *inference = test_floats(ELEMENTS);
    clseq_var *vars[2] = {NULL};
    for (int i = 0; i < 2; i++)
        in[i] = random_doubles(&random, ELEMENTS);
    for (int e = 0; e < ELEMENTS; e++) {
        const double x[] = {in[0][e], in[1][e]};
        want[e] = r->value(x);
        for (int i = 0; i < r->inputs; i++)
            dwant[i][e] = dy[e] * r->slope(x, i);
    }

    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    for (int i = 0; i < r->inputs; i++)
        vars[i] = graph_input(g, in[i], 3, shape);
    clseq_var *y = r->build(g, vars);
    graph_expect_value(r->name, g, y, want, test_rounding_bound(r->roundings, 2));
    EXPECT_OK(clseq_read(g, y, training));
    graph_backward(g, y, dy);
    for (int i = 0; i < r->inputs; i++)
        graph_expect_grad(r->name, g, vars[i], dwant[i], test_rounding_bound(r->roundings + 2, 5));
    graph_end(g);

    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    for (int i = 0; i < r->inputs; i++)
        vars[i] = graph_input(g, in[i], 3, shape);
    EXPECT_OK(clseq_read(g, r->build(g, vars), inference));
    graph_end(g);
    cr_assert(compare_bits(r->name, inference, training, ELEMENTS), "%s", compare_message());

    for (int i = 0; i < 2; i++) {
        free(in[i]);
        free(dwant[i]);
    }
    free(dy);
    free(want);
    free(training);
    free(inference);
}

Test(graph_ops, equal_shapes)
{
    clseq_context *ctx = test_context();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(ctx, &rows[i]);
    clseq_context_destroy(ctx);
}

/* ---- operations that move elements ---- */

/* Elements of a shape before and after dimension `dim`. */
static int64_t product(const int64_t *dims, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= dims[i];
    return n;
}

/* Copies (or adds to) a block [outer, length, inner] of an array whose middle dimension is `whole`. */
static void block(double *to, const double *from, int64_t outer, int64_t inner, int64_t whole, int64_t start,
                  int64_t length, bool is_from_whole)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < length * inner; i++) {
            const int64_t at = (o * whole + start) * inner + i, part = o * length * inner + i;
            if (is_from_whole)
                to[part] = from[at];
            else
                to[at] += from[part];
        }
}

/* Two slices that overlap in one index, of each dimension: values, and gradients that add up in the overlap. */
Test(graph_ops, slice)
{
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(3);
    double *x = random_doubles(&random, ELEMENTS);
    for (int dim = 0; dim < 3; dim++) {
        const int64_t outer = product(shape, 0, dim), inner = product(shape, dim + 1, 3), whole = shape[dim];
        const int64_t starts[] = {0, whole - 2}, lengths[] = {whole - 1, 2};
        double *dx = test_doubles(ELEMENTS);
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *vx = graph_input(g, x, 3, shape), *sum = NULL;
        for (int i = 0; i < 2; i++) {
            const size_t n = (size_t)(outer * lengths[i] * inner);
            double *want = test_doubles(n), *weight = random_doubles(&random, n);
            int64_t dims[] = {shape[0], shape[1], shape[2]};
            dims[dim] = lengths[i];
            block(want, x, outer, inner, whole, starts[i], lengths[i], true);
            block(dx, weight, outer, inner, whole, starts[i], lengths[i], false);
            clseq_var *y = clseq_slice(g, vx, dim, starts[i], lengths[i]);
            graph_expect_value("slice", g, y, want, 0);
            /* sum(y * weight) sends `weight` back through the slice */
            clseq_var *part = clseq_sum(g, clseq_mul(g, y, graph_input(g, weight, 3, dims)));
            sum = sum ? clseq_add(g, sum, part) : part;
            free(want);
            free(weight);
        }
        EXPECT_OK(clseq_backward(g, sum));
        graph_expect_grad("slice", g, vx, dx, test_rounding_bound(1, 2));
        graph_end(g);
        free(dx);
    }
    free(x);
    clseq_context_destroy(ctx);
}

/* Three parts along each dimension; one variable stands in it twice. */
Test(graph_ops, concat)
{
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(4);
    for (int dim = 0; dim < 3; dim++) {
        const int64_t lengths[] = {shape[dim], 2, shape[dim]}, whole = 2 * shape[dim] + 2;
        const int64_t outer = product(shape, 0, dim), inner = product(shape, dim + 1, 3);
        const size_t total = (size_t)(outer * whole * inner), second = (size_t)(outer * 2 * inner);
        int64_t dims[] = {shape[0], shape[1], shape[2]}, start = 0;
        double *x = random_doubles(&random, ELEMENTS), *z = random_doubles(&random, second);
        double *y = test_doubles(total), *dy = random_doubles(&random, total);
        double *dx = test_doubles(ELEMENTS), *dz = test_doubles(second), *part = test_doubles(ELEMENTS);
        dims[dim] = 2;
        for (int i = 0; i < 3; start += lengths[i++]) {
            block(y, i == 1 ? z : x, outer, inner, whole, start, lengths[i], false);
            block(i == 1 ? dz : part, dy, outer, inner, whole, start, lengths[i], true);
            for (int e = 0; i != 1 && e < ELEMENTS; e++)
                dx[e] += part[e];
        }
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *vx = graph_input(g, x, 3, shape), *vz = graph_input(g, z, 3, dims);
        clseq_var *vy = clseq_concat(g, (clseq_var *[]){vx, vz, vx}, 3, dim);
        graph_expect_value("concat", g, vy, y, 0);
        graph_backward(g, vy, dy);
        graph_expect_grad("concat x", g, vx, dx, test_rounding_bound(1, 2));
        graph_expect_grad("concat z", g, vz, dz, 0);
        graph_end(g);
        double *all[] = {x, z, y, dy, dx, dz, part};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            free(all[i]);
    }
    clseq_context_destroy(ctx);
}

/* Slices along a dimension, put together again, are the whole, and so is the gradient. */
Test(graph_ops, slices_concatenate_to_the_whole)
{
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(5);
    double *x = random_doubles(&random, ELEMENTS), *dy = random_doubles(&random, ELEMENTS);
    for (int dim = 0; dim < 3; dim++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *vx = graph_input(g, x, 3, shape), *parts[8];
        for (int i = 0; i < shape[dim]; i++)
            parts[i] = clseq_slice(g, vx, dim, i, 1);
        clseq_var *y = clseq_concat(g, parts, (int)shape[dim], dim);
        graph_expect_value("whole", g, y, x, 0);
        graph_backward(g, y, dy);
        graph_expect_grad("whole", g, vx, dy, 0);
        graph_end(g);
    }
    free(x);
    free(dy);
    clseq_context_destroy(ctx);
}

/* Every way to write the elements, there and back; the gradient keeps the order. */
Test(graph_ops, reshape)
{
    static const struct {
        int ndim;
        int64_t dims[4];
    } shapes[] = {{1, {105}},     {2, {15, 7}},      {2, {3, 35}},
                  {3, {7, 5, 3}}, {4, {1, 3, 5, 7}}, {4, {3, 1, 35, 1}}};
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(6);
    double *x = random_doubles(&random, ELEMENTS), *dy = random_doubles(&random, ELEMENTS);
    double *dx = test_doubles(ELEMENTS);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *vx = graph_input(g, x, 3, shape);
        clseq_var *r = clseq_reshape(g, vx, shapes[i].ndim, shapes[i].dims);
        clseq_var *y = clseq_mul(g, clseq_reshape(g, r, 3, shape), vx);
        clseq_tensor value = {0};
        EXPECT_OK(clseq_var_value(g, r, &value));
        cr_assert_eq(value.ndim, shapes[i].ndim);
        for (int d = 0; d < value.ndim; d++)
            cr_assert_eq(value.dims[d], shapes[i].dims[d]);
        graph_expect_value("reshape", g, r, x, 0);
        graph_backward(g, y, dy);
        for (int e = 0; e < ELEMENTS; e++)
            dx[e] = 2 * x[e] * dy[e];
        graph_expect_grad("reshape", g, vx, dx, test_rounding_bound(3, 2));
        graph_end(g);
    }
    free(x);
    free(dy);
    free(dx);
    clseq_context_destroy(ctx);
}

/* A tensor on the device is used where it lies, one with gaps is copied. */
Test(graph_ops, input_tensor)
{
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(8);
    double *x = random_doubles(&random, ELEMENTS), *transposed = test_doubles(ELEMENTS);
    float *floats = test_floats_of(x, ELEMENTS);
    clseq_tensor tensor = {0}, value = {0};
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, shape, &tensor));
    EXPECT_OK(clseq_tensor_write(ctx, &tensor, floats));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 5; j++)
            for (int k = 0; k < 7; k++)
                transposed[(k * 5 + j) * 3 + i] = x[(i * 5 + j) * 7 + k];
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_tensor view = clseq_tensor_transpose(&tensor, 0, 2);
    clseq_var *a = clseq_input_tensor(g, &tensor), *b = clseq_require_grad(g, clseq_input_tensor(g, &view));
    EXPECT_OK(clseq_var_value(g, a, &value));
    cr_assert_eq(value.buffer, tensor.buffer);
    graph_expect_value("packed", g, a, x, 0);
    graph_expect_value("transposed", g, b, transposed, 0);
    graph_backward(g, clseq_add(g, b, b), transposed);
    for (int e = 0; e < ELEMENTS; e++)
        transposed[e] *= 2;
    graph_expect_grad("transposed", g, b, transposed, 0);
    graph_end(g);
    free(x);
    free(transposed);
    free(floats);
    clseq_tensor_destroy(ctx, &tensor);
    clseq_context_destroy(ctx);
}

/* ---- operations that end in one number ---- */

Test(graph_ops, mean_and_total)
{
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(9);
    double *x = random_doubles(&random, ELEMENTS), *dx = test_doubles(ELEMENTS), magnitude = 0;
    for (int e = 0; e < ELEMENTS; e++)
        magnitude += fabs(x[e]);
    for (int is_mean = 0; is_mean < 2; is_mean++) {
        const double scale = is_mean ? 1.0 / ELEMENTS : 1.0, want = scale * reference_sum(x, ELEMENTS);
        const double dy = 0.75;
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *vx = graph_input(g, x, 3, shape);
        clseq_var *y = is_mean ? clseq_mean(g, vx) : clseq_sum(g, vx);
        graph_expect_value("sum", g, y, &want, test_sum_bound(ELEMENTS, scale * magnitude));
        graph_backward(g, y, &dy);
        for (int e = 0; e < ELEMENTS; e++)
            dx[e] = dy * scale;
        graph_expect_grad("sum", g, vx, dx, test_rounding_bound(3, scale));
        graph_end(g);
    }
    free(x);
    free(dx);
    clseq_context_destroy(ctx);
}

/* Mean and sum, with and without ignored targets; the gradient scaled by what lies behind. */
Test(graph_ops, cross_entropy)
{
    enum { N = 15, V = 7 };
    static const clseq_cross_entropy_desc descs[] = {{0},
                                                     {.sum = true},
                                                     {.ignore = true, .ignore_index = -1},
                                                     {.ignore = true, .ignore_index = 3, .sum = true}};
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(10);
    double *x = random_doubles(&random, N * V), *dx = test_doubles(N * V);
    int32_t targets[N];
    for (size_t i = 0; i < sizeof descs / sizeof descs[0]; i++) {
        const reference_cross_entropy desc = {descs[i].ignore, descs[i].ignore_index, descs[i].sum};
        test_random_fill_int(&random, targets, N, 0, V - 1);
        for (int n = 0; descs[i].ignore && n < N; n += 4)
            targets[n] = descs[i].ignore_index;
        const double want = 3 * reference_cross_entropy_forward(desc, x, targets, N, V);
        reference_cross_entropy_backward(desc, x, targets, N, V, 3, dx);
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *logits = graph_input(g, x, 3, (int64_t[]){5, 3, V});
        clseq_var *loss =
            clseq_cross_entropy(g, logits, clseq_input_i32(g, targets, 2, (int64_t[]){5, 3}), &descs[i]);
        loss = clseq_add(g, loss, clseq_add(g, loss, loss));
        EXPECT_OK(clseq_backward(g, loss));
        /* A row's log-sum-exp has V exponentials of a few ulp, the loss adds up N rows of size at most 4. */
        graph_expect_value("loss", g, loss, &want, test_rounding_bound(16 + V, 3 * 4.0 * (desc.sum ? N : 1)));
        graph_expect_grad("logits", g, logits, dx, test_rounding_bound(16 + V, 3));
        graph_end(g);
    }
    free(x);
    free(dx);
    clseq_context_destroy(ctx);
}

/* ---- layers ---- */

/* embed -> affine, with tokens that repeat; the affine layer is used twice, so that its gradient adds up. */
Test(graph_ops, embed_and_affine)
{
    enum { N = 6, V = 4, E = 5, O = 3 };
    const int32_t tokens[N] = {3, 0, 3, 1, 3, 0};
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    clseq_linear *linear = NULL;
    test_random random = test_random_seed(11);
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", V, E, &embed));
    EXPECT_OK(clseq_linear_new(params, "out", E, O, true, &linear));
    double *table = graph_param_values(clseq_params_find(params, "embed.weight"));
    double *w = graph_param_values(clseq_params_find(params, "out.weight"));
    double *b = graph_param_values(clseq_params_find(params, "out.bias"));
    double x[N * E], y[N * O], dx[N * E], dw[O * E] = {0}, db[O] = {0}, dtable[V * E] = {0};
    double *dy = random_doubles(&random, N * O);
    reference_embedding_forward(table, V, E, tokens, N, x);
    reference_affine_forward(x, w, b, N, E, O, y, NULL);
    reference_affine_backward(x, w, dy, N, E, O, dx, dw, db);
    reference_embedding_backward(tokens, N, dx, V, E, dtable, NULL);
    for (int i = 0; i < O * E; i++)
        dw[i] *= 2;
    for (int i = 0; i < O; i++)
        db[i] *= 2;
    for (int i = 0; i < V * E; i++)
        dtable[i] *= 2;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *vx = clseq_embed(g, embed, clseq_input_i32(g, tokens, 2, (int64_t[]){2, 3}));
    clseq_var *y1 = clseq_affine(g, linear, vx), *y2 = clseq_affine(g, linear, vx);
    graph_expect_value("embed", g, vx, x, 0);
    graph_expect_value("affine", g, y1, y, test_sum_bound(E + 1, 10));
    graph_backward(g, clseq_add(g, y1, y2), dy);
    graph_expect_param_grad(clseq_params_find(params, "out.weight"), dw, test_sum_bound(2 * N, 40));
    graph_expect_param_grad(clseq_params_find(params, "out.bias"), db, test_sum_bound(2 * N, 2 * N));
    graph_expect_param_grad(clseq_params_find(params, "embed.weight"), dtable, test_sum_bound(2 * N * O, 20));
    graph_end(g);
    double *all[] = {table, w, b, dy};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* A parameter as a variable: gradients are added to the store's, twice in a graph and over two graphs. */
Test(graph_ops, param_var_accumulates)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_param *w = NULL;
    EXPECT_OK(clseq_params_create(ctx, 5, &params));
    EXPECT_OK(
        clseq_params_add(params, "w", 3, shape, &(clseq_init){.kind = CLSEQ_INIT_UNIFORM, .scale = 1}, &w));
    double *x = graph_param_values(w), *want = test_doubles(ELEMENTS);
    for (int graph = 1; graph <= 2; graph++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *v = clseq_param_var(g, w), *again = clseq_param_var(g, w);
        EXPECT_OK(clseq_backward(g, clseq_sum(g, clseq_add(g, clseq_mul(g, v, again), clseq_tanh(g, v)))));
        for (int e = 0; e < ELEMENTS; e++)
            want[e] = graph * (2 * x[e] + 1 - tanh(x[e]) * tanh(x[e]));
        graph_expect_param_grad(w, want, test_rounding_bound(24, 6));
        graph_end(g);
    }
    EXPECT_OK(clseq_params_zero_grad(params));
    for (int e = 0; e < ELEMENTS; e++)
        want[e] = 0;
    graph_expect_param_grad(w, want, 0);
    free(x);
    free(want);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* ---- dropout ---- */

/* One run: y and dx for x = 1 and dy = 1 are both the mask over 1-p. */
static void drop_run(clseq_context *ctx, float p, uint64_t seed, uint64_t step, int before, float *y,
                     float *dx)
{
    float ones[ELEMENTS];
    for (int e = 0; e < ELEMENTS; e++)
        ones[e] = 1;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, seed, step);
    clseq_var *x = clseq_require_grad(g, clseq_input_f32(g, ones, 3, shape));
    for (int i = 0; i < before; i++)
        clseq_dropout(g, x, 0.5f);
    clseq_var *dropped = clseq_dropout(g, x, p);
    clseq_tensor grad = {0};
    graph_backward_floats(g, dropped, ones);
    EXPECT_OK(clseq_read(g, dropped, y));
    EXPECT_OK(clseq_var_grad(g, x, &grad));
    EXPECT_OK(clseq_tensor_read(ctx, &grad, dx));
    graph_end(g);
}

Test(graph_ops, dropout)
{
    enum { RUNS = 4 };
    clseq_context *ctx = test_context();
    float y[RUNS][ELEMENTS], dx[ELEMENTS], again[ELEMENTS];
    int kept = 0;
    drop_run(ctx, 0.25f, 1, 1, 0, y[0], dx);
    drop_run(ctx, 0.25f, 2, 1, 0, y[1], dx);
    drop_run(ctx, 0.25f, 1, 2, 0, y[2], dx);
    drop_run(ctx, 0.25f, 1, 1, 1, y[3], dx);
    for (int a = 0; a < RUNS; a++)
        for (int b = 0; b < a; b++)
            cr_assert(!compare_bits("masks", y[a], y[b], ELEMENTS), "masks of runs %d and %d are equal", a,
                      b);
    drop_run(ctx, 0.25f, 1, 1, 0, again, dx);
    cr_assert(compare_bits("mask again", again, y[0], ELEMENTS), "%s", compare_message());
    cr_assert(compare_bits("gradient", dx, y[0], ELEMENTS), "%s", compare_message());
    for (int e = 0; e < ELEMENTS; e++) {
        cr_assert(y[0][e] == 0 || fabsf(y[0][e] - 1 / 0.75f) < 1e-6f, "element %d is %g", e, y[0][e]);
        kept += y[0][e] != 0;
    }
    /* 105 draws with probability 3/4: 79 +- 4.4 */
    cr_assert(kept > 79 - 27 && kept < 79 + 22, "%d of %d are kept", kept, ELEMENTS);

    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_input_f32(g, y[0], 3, shape);
    cr_assert_eq(clseq_dropout(g, x, 0.5f), x);
    graph_end(g);
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    x = clseq_input_f32(g, y[0], 3, shape);
    cr_assert_eq(clseq_dropout(g, x, 0.0f), x);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* The gradient beside a slice is zero, whatever the buffer held before: NaN here. */
Test(graph_ops, zeros_beside_a_slice)
{
    setenv("CLSEQ_POOL_POISON", "1", 1);
    clseq_context *ctx = test_context();
    for (int64_t start = 0; start < 4; start++)
        for (int dim = 0; dim < 2; dim++) {
            const float values[16] = {0};
            float got[16];
            clseq_tensor dx = {0};
            clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
            clseq_var *x = clseq_require_grad(g, clseq_input_f32(g, values, 2, (int64_t[]){4, 4}));
            EXPECT_OK(clseq_backward(g, clseq_sum(g, clseq_slice(g, x, dim, start, 1))));
            EXPECT_OK(clseq_var_grad(g, x, &dx));
            EXPECT_OK(clseq_tensor_read(ctx, &dx, got));
            for (int i = 0; i < 16; i++)
                cr_assert_eq(got[i], (dim == 0 ? i / 4 : i % 4) == start,
                             "dim %d from %d on: element %d is %g", dim, (int)start, i, (double)got[i]);
            graph_end(g);
        }
    clseq_context_destroy(ctx);
}

/* The range of tokens is checked within the slice that is looked up, and there only. */
Test(graph_ops, tokens_of_a_slice)
{
    static const int32_t tokens[] = {9, 1, 2, 3, 4, 0, 9, 9};
    /* Where the slice begins, of two each: rows of [4,2], or columns of [2,4]. */
    static const struct {
        int64_t dims[2];
        int dim;
        int64_t start, length;
        bool fits;
    } slices[] = {{{4, 2}, 0, 0, 1, false}, {{4, 2}, 0, 1, 2, true}, {{4, 2}, 0, 2, 2, false},
                  {{2, 4}, 1, 0, 2, false}, {{2, 4}, 1, 1, 1, true}, {{2, 4}, 1, 2, 2, false},
                  {{2, 4}, 1, 0, 1, false}, {{8, 1}, 0, 1, 5, true}};
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", 5, 3, &embed));
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        clseq_var *x = clseq_input_i32(g, tokens, 2, slices[i].dims);
        clseq_var *y =
            clseq_embed(g, embed, clseq_slice(g, x, slices[i].dim, slices[i].start, slices[i].length));
        cr_assert_eq(y != NULL, slices[i].fits, "slice %zu: %s", i, clseq_last_error());
        if (slices[i].fits)
            graph_end(g);
        else
            EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT, "embed: token 9 at");
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
