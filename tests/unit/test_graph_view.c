/*
 * Views and what puts variables together: random chains of transpose, permute, slice, expand, reshape, unsqueeze, squeeze,
 * split, contiguous, concat and stack, followed element by element on the host. A chain knows for each element of its result
 * which element of x it is; the gradient of x is the sum of those of its copies.
 */
#include <criterion/criterion.h>

#include "support/bounds.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/log.h"
#include "support/numeric.h"
#include "support/random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 6000, CHAINS = 400, STEPS = 6 };

/* Dims, and for each element, row-major, the element of x that it shows. */
typedef struct map {
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
    int source[MOST];
} map;

static int64_t elements(const map *m)
{
    int64_t n = 1;
    for (int i = 0; i < m->ndim; i++)
        n *= m->dims[i];
    return n;
}

static void indices(const map *m, int64_t i, int64_t *at)
{
    for (int d = m->ndim; d-- > 0; i /= m->dims[d])
        at[d] = i % m->dims[d];
}

static int at_indices(const map *m, const int64_t *at)
{
    int64_t i = 0;
    for (int d = 0; d < m->ndim; d++)
        i = i * m->dims[d] + at[d];
    return m->source[i];
}

/* ---- the steps: each changes the map and returns the variable, or does nothing ---- */

static clseq_var *step_permute(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    int order[CLSEQ_MAX_DIMS];
    const map from = *m;
    for (int i = 0; i < m->ndim; i++)
        order[i] = i;
    for (int i = m->ndim; i-- > 1;) {
        const int k = test_random_int(random, 0, i), other = order[k];
        order[k] = order[i];
        order[i] = other;
    }
    for (int i = 0; i < m->ndim; i++)
        m->dims[i] = from.dims[order[i]];
    for (int64_t i = 0; i < elements(m); i++) {
        int64_t at[CLSEQ_MAX_DIMS] = {0}, source[CLSEQ_MAX_DIMS] = {0};
        indices(m, i, at);
        for (int d = 0; d < m->ndim; d++)
            source[order[d]] = at[d];
        m->source[i] = at_indices(&from, source);
    }
    return clseq_permute(g, x, order);
}

static clseq_var *step_transpose(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const map from = *m;
    const int a = test_random_int(random, 0, m->ndim - 1), b = test_random_int(random, 0, m->ndim - 1);
    m->dims[a] = from.dims[b];
    m->dims[b] = from.dims[a];
    for (int64_t i = 0; i < elements(m); i++) {
        int64_t at[CLSEQ_MAX_DIMS] = {0};
        indices(m, i, at);
        const int64_t other = at[a];
        at[a] = at[b];
        at[b] = other;
        m->source[i] = at_indices(&from, at);
    }
    return clseq_transpose(g, x, a - (a % 2 ? m->ndim : 0), b);
}

static void cut(map *m, int dim, int64_t start, int64_t length)
{
    const map from = *m;
    m->dims[dim] = length;
    for (int64_t i = 0; i < elements(m); i++) {
        int64_t at[CLSEQ_MAX_DIMS] = {0};
        indices(m, i, at);
        at[dim] += start;
        m->source[i] = at_indices(&from, at);
    }
}

static clseq_var *step_slice(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const int dim = test_random_int(random, 0, m->ndim - 1);
    const int64_t start = test_random_int(random, 0, (int)m->dims[dim] - 1);
    const int64_t length = test_random_int(random, 1, (int)(m->dims[dim] - start));
    cut(m, dim, start, length);
    return clseq_slice(g, x, dim - m->ndim, start, length);
}

/* One of two parts. */
static clseq_var *step_split(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const int dim = test_random_int(random, 0, m->ndim - 1), which = test_random_int(random, 0, 1);
    clseq_var *parts[2] = {NULL};
    if (m->dims[dim] < 2)
        return x;
    const int64_t first = test_random_int(random, 1, (int)m->dims[dim] - 1);
    const int64_t lengths[] = {first, m->dims[dim] - first};
    clseq_split(g, x, dim, 2, lengths, parts);
    cut(m, dim, which ? first : 0, lengths[which]);
    return parts[which];
}

static clseq_var *step_expand(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const map from = *m;
    const int more = m->ndim < CLSEQ_MAX_DIMS ? test_random_int(random, 0, 1) : 0;
    map wide = {.ndim = m->ndim + more};
    for (int i = 0; i < wide.ndim; i++) {
        const int64_t was = i < more ? 1 : from.dims[i - more];
        wide.dims[i] = was == 1 ? test_random_int(random, 1, 3) : was;
    }
    if (elements(&wide) > MOST)
        return x;
    *m = wide;
    for (int64_t i = 0; i < elements(m); i++) {
        int64_t at[CLSEQ_MAX_DIMS] = {0};
        indices(m, i, at);
        for (int d = 0; d < from.ndim; d++)
            at[d] = from.dims[d] == 1 ? 0 : at[d + more];
        m->source[i] = at_indices(&from, at);
    }
    return clseq_expand(g, x, m->ndim, m->dims);
}

/* Factors of the number of elements, at random; one of them is said as -1. */
static clseq_var *step_reshape(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    int64_t left = elements(m), asked[CLSEQ_MAX_DIMS];
    m->ndim = test_random_int(random, 1, CLSEQ_MAX_DIMS);
    for (int i = 0; i + 1 < m->ndim; i++) {
        m->dims[i] = test_random_int(random, 1, 5);
        if (left % m->dims[i] != 0)
            m->dims[i] = 1;
        left /= m->dims[i];
    }
    m->dims[m->ndim - 1] = left;
    memcpy(asked, m->dims, sizeof asked);
    asked[test_random_int(random, 0, m->ndim - 1)] = -1;
    return clseq_reshape(g, x, m->ndim, asked);
}

static clseq_var *step_unsqueeze(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const int dim = test_random_int(random, 0, m->ndim);
    if (m->ndim == CLSEQ_MAX_DIMS)
        return x;
    for (int i = m->ndim++; i > dim; i--)
        m->dims[i] = m->dims[i - 1];
    m->dims[dim] = 1;
    return clseq_unsqueeze(g, x, dim - (dim % 2 ? m->ndim : 0));
}

static clseq_var *step_squeeze(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const int dim = test_random_int(random, 0, m->ndim - 1);
    if (m->dims[dim] != 1 || m->ndim == 1)
        return x;
    m->ndim--;
    for (int i = dim; i < m->ndim; i++)
        m->dims[i] = m->dims[i + 1];
    return clseq_squeeze(g, x, dim);
}

static clseq_var *step_contiguous(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    (void)m, (void)random;
    return clseq_contiguous(g, x);
}

/* `count` of the same, one after the other or side by side. */
static void repeat(map *m, int dim, int count, bool is_new)
{
    const map from = *m;
    if (is_new)
        for (int i = m->ndim++; i > dim; i--)
            m->dims[i] = m->dims[i - 1];
    m->dims[dim] = is_new ? count : count * from.dims[dim];
    for (int64_t i = 0; i < elements(m); i++) {
        int64_t at[CLSEQ_MAX_DIMS] = {0};
        indices(m, i, at);
        if (is_new)
            for (int d = dim; d < from.ndim; d++)
                at[d] = at[d + 1];
        else
            at[dim] %= from.dims[dim];
        m->source[i] = at_indices(&from, at);
    }
}

static clseq_var *step_concat(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const int dim = test_random_int(random, 0, m->ndim - 1), count = test_random_int(random, 1, 3);
    if (count * elements(m) > MOST)
        return x;
    repeat(m, dim, count, false);
    return clseq_concat(g, (clseq_var *[]){x, x, x}, count, dim);
}

static clseq_var *step_stack(clseq_graph *g, clseq_var *x, map *m, test_random *random)
{
    const int dim = test_random_int(random, 0, m->ndim), count = test_random_int(random, 1, 3);
    if (count * elements(m) > MOST || m->ndim == CLSEQ_MAX_DIMS)
        return x;
    repeat(m, dim, count, true);
    return clseq_stack(g, (clseq_var *[]){x, x, x}, count, dim);
}

typedef clseq_var *step_fn(clseq_graph *g, clseq_var *x, map *m, test_random *random);

static step_fn *const steps[] = {step_permute, step_transpose, step_slice,   step_split,
                                 step_expand,  step_reshape,   step_reshape, step_unsqueeze,
                                 step_squeeze, step_concat,    step_stack,   step_contiguous};

/* The map that shows x as it is, of random dims. */
static void begin(map *m, test_random *random)
{
    m->ndim = test_random_int(random, 1, 4);
    for (int i = 0; i < m->ndim; i++)
        m->dims[i] = test_random_int(random, 1, 5);
    for (int i = 0; i < elements(m); i++)
        m->source[i] = i;
}

/* Two chains from one x: gradients of views meet in x. */
static void check_chains(clseq_context *ctx, uint64_t seed)
{
    static map m;
    test_random random = test_random_seed(seed);
    char name[64];
    begin(&m, &random);
    const map first = m;
    const size_t n = (size_t)elements(&m);
    double *x = test_doubles(n), *dx = test_doubles(n), *magnitude = test_doubles(n);
    clseq_var *ends[2] = {NULL}, *grads[2] = {NULL};
    test_random_fill(&random, x, n, -1, 1);
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *vx = graph_input(g, x, first.ndim, first.dims);
    for (int c = 0; c < 2; c++) {
        snprintf(name, sizeof name, "chain %d of seed %llu", c, (unsigned long long)seed);
        m = first;
        clseq_var *y = vx;
        for (int s = test_random_int(&random, 1, STEPS); s-- > 0;)
            y = steps[test_random_int(&random, 0, sizeof steps / sizeof steps[0] - 1)](g, y, &m, &random);
        const size_t count = (size_t)elements(&m);
        double *want = test_doubles(count), *dy = test_doubles(count);
        test_random_fill(&random, dy, count, -1, 1);
        for (size_t i = 0; i < count; i++) {
            want[i] = x[m.source[i]];
            dx[m.source[i]] += dy[i];
            magnitude[m.source[i]] += 1;
        }
        graph_expect_value(name, g, y, want, 0);
        float *floats = test_floats_of(dy, count);
        ends[c] = y;
        grads[c] = clseq_input_f32(g, floats, m.ndim, m.dims);
        free(floats);
        free(want);
        free(dy);
    }
    EXPECT_OK(clseq_backward_from(g, 2, ends, grads));
    for (size_t i = 0; i < n; i++)
        magnitude[i] = test_sum_bound(magnitude[i], magnitude[i]);
    graph_expect_grad_each(name, g, vx, dx, magnitude);
    graph_end(g);
    free(x);
    free(dx);
    free(magnitude);
}

Test(graph_view, random_chains)
{
    clseq_context *ctx = test_context();
    const int chains = test_small() ? 20 : CHAINS;
    for (int i = 1; i <= chains; i++)
        check_chains(ctx, (uint64_t)i);
    clseq_context_destroy(ctx);
}

/* ---- nothing is moved ---- */

static uint64_t launches(clseq_context *ctx)
{
    clseq_context_stats stats;
    EXPECT_OK(clseq_context_get_stats(ctx, &stats));
    return stats.launches;
}

Test(graph_view, views_launch_nothing_and_share_memory)
{
    clseq_context *ctx = test_context();
    float values[24] = {0};
    clseq_tensor value, view;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_input_f32(g, values, 3, (int64_t[]){2, 3, 4}), *parts[3];
    const uint64_t before = launches(ctx);
    clseq_split(g, x, 1, 3, NULL, parts);
    clseq_var *views[] = {clseq_transpose(g, x, 0, 2),
                          clseq_permute(g, x, (int[]){2, 0, 1}),
                          clseq_slice(g, x, 2, 1, 2),
                          clseq_expand(g, x, 4, (int64_t[]){5, 2, 3, 4}),
                          clseq_reshape(g, x, 2, (int64_t[]){6, 4}),
                          clseq_reshape(g, clseq_slice(g, x, 2, 1, 2), 2, (int64_t[]){6, 2}),
                          clseq_unsqueeze(g, x, 1),
                          clseq_detach(g, x),
                          clseq_contiguous(g, x),
                          parts[2]};
    EXPECT_OK(clseq_var_value(g, x, &value));
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        EXPECT_OK(clseq_var_value(g, views[i], &view));
        cr_assert_eq(view.buffer, value.buffer, "view %zu has a buffer of its own", i);
    }
    cr_assert_eq(launches(ctx), before);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* A tensor of the program in the order [B,T,F] is read by a recurrent layer where it lies, and gives the same bits. */
Test(graph_view, a_sequence_by_batch_rows_is_not_copied)
{
    enum { T = 4, B = 3, I = 5, H = 6 };
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_rnn *rnn = NULL;
    clseq_tensor rows = {0}, value;
    float x[B * T * I], by_time[T * B * I], y[2][T * B * H];
    test_random random = test_random_seed(5);
    test_random_fill_float(&random, x, B * T * I, -1, 1);
    for (int t = 0; t < T; t++)
        for (int b = 0; b < B; b++)
            memcpy(by_time + (t * B + b) * I, x + (b * T + t) * I, I * sizeof *x);
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_rnn_new(params, "rnn",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = I, .hidden = H}, NULL, &rnn));
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){B, T, I}, &rows));
    EXPECT_OK(clseq_tensor_write(ctx, &rows, x));
    const clseq_tensor seen = clseq_tensor_transpose(&rows, 0, 1);
    for (int i = 0; i < 2; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *in =
            i == 0 ? clseq_input_tensor(g, &seen) : clseq_input_f32(g, by_time, 3, (int64_t[]){T, B, I});
        EXPECT_OK(clseq_read(g, clseq_recur(g, rnn, in, NULL), y[i]));
        EXPECT_OK(clseq_var_value(g, in, &value));
        cr_assert(i == 1 || value.buffer == rows.buffer);
        graph_end(g);
    }
    cr_assert_eq(memcmp(y[0], y[1], sizeof y[0]), 0);
    clseq_tensor_destroy(ctx, &rows);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* An operation that needs packed input packs it, says so, and its gradient comes back in the order of x. */
Test(graph_view, packing_stands_in_the_log)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, 2, 3, 4, 5, 6}, dx[] = {1, 3, 5, 2, 4, 6}, dy[] = {1, 2, 3, 4, 5, 6};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 2, (int64_t[]){2, 3});
    log_capture(CLSEQ_LOG_DEBUG);
    clseq_graph_seed(g, 1, 1);
    clseq_var *y = clseq_reshape(g, clseq_transpose(g, in, 0, 1), 1, (int64_t[]){6});
    cr_assert(log_contains("reshape: x with shape [3,2] and strides [1,3] is packed first"), "%s",
              log_text());
    graph_backward(g, y, dy);
    graph_expect_grad("x", g, in, dx, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* Tokens that were transposed or cut are still checked on the host, and are the right ones on the device. */
Test(graph_view, views_of_tokens_are_checked)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    const int32_t tokens[] = {0, 1, 2, 9, 4, 3};
    int32_t read[4];
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", 5, 2, &embed));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *all = clseq_transpose(g, clseq_input_i32(g, tokens, 2, (int64_t[]){2, 3}), 0, 1);
    clseq_var *good = clseq_slice(g, all, 0, 1, 2);
    EXPECT_OK(clseq_read(g, good, read));
    cr_assert_eq(memcmp(read, (int32_t[]){1, 4, 2, 3}, sizeof read), 0);
    cr_assert_not_null(clseq_embed(g, embed, good));
    cr_assert_null(clseq_embed(g, embed, all));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT,
                 "embed: token 9 at [0,1] is outside of the vocabulary 0..4");
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Nothing flows back through detach; x gets only what comes another way. */
Test(graph_view, detach_stops_gradients)
{
    clseq_context *ctx = test_context();
    const double x[] = {2, -3}, dy[] = {5, 7}, dx[] = {5 * 2, 7 * -3};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){2});
    graph_backward(g, clseq_mul(g, in, clseq_detach(g, in)), dy);
    graph_expect_grad("x", g, in, dx, 0);
    graph_end(g);
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    in = graph_input(g, x, 1, (int64_t[]){2});
    EXPECT_ERROR(clseq_backward(g, clseq_sum(g, clseq_detach(g, in))), CLSEQ_INVALID_ARGUMENT,
                 "no parameter and no variable that asked for its gradient");
    clseq_graph_end(g);
    clseq_context_destroy(ctx);
}

/* ---- bad input ---- */

static clseq_var *bad_permute(clseq_graph *g, clseq_var *x)
{
    return clseq_permute(g, x, (int[]){0, 2, 0});
}
static clseq_var *bad_permute_null(clseq_graph *g, clseq_var *x)
{
    return clseq_permute(g, x, NULL);
}
static clseq_var *bad_transpose(clseq_graph *g, clseq_var *x)
{
    return clseq_transpose(g, x, 0, 3);
}
static clseq_var *bad_slice_dim(clseq_graph *g, clseq_var *x)
{
    return clseq_slice(g, x, -4, 0, 1);
}
static clseq_var *bad_slice(clseq_graph *g, clseq_var *x)
{
    return clseq_slice(g, x, 1, 2, 2);
}
static clseq_var *bad_expand(clseq_graph *g, clseq_var *x)
{
    return clseq_expand(g, x, 3, (int64_t[]){2, 6, 4});
}
static clseq_var *bad_expand_dims(clseq_graph *g, clseq_var *x)
{
    return clseq_expand(g, x, 3, (int64_t[]){2, 0, 4});
}
static clseq_var *bad_reshape(clseq_graph *g, clseq_var *x)
{
    return clseq_reshape(g, x, 2, (int64_t[]){5, -1});
}
static clseq_var *bad_reshape_twice(clseq_graph *g, clseq_var *x)
{
    return clseq_reshape(g, x, 2, (int64_t[]){-1, -1});
}
static clseq_var *bad_unsqueeze(clseq_graph *g, clseq_var *x)
{
    return clseq_unsqueeze(g, x, 4);
}
static clseq_var *bad_squeeze(clseq_graph *g, clseq_var *x)
{
    return clseq_squeeze(g, x, 1);
}
static clseq_var *bad_split(clseq_graph *g, clseq_var *x)
{
    clseq_var *parts[2] = {x, x};
    clseq_split(g, x, 1, 2, NULL, parts);
    cr_assert_null(parts[0]);
    cr_assert_null(parts[1]);
    return NULL;
}
static clseq_var *bad_split_count(clseq_graph *g, clseq_var *x)
{
    clseq_split(g, x, 1, 2, NULL, NULL);
    return NULL;
}
static clseq_var *bad_stack(clseq_graph *g, clseq_var *x)
{
    return clseq_stack(g, (clseq_var *[]){x, clseq_transpose(g, x, 0, 1)}, 2, 0);
}
static clseq_var *bad_concat_dtype(clseq_graph *g, clseq_var *x)
{
    const int32_t tokens[24] = {0};
    return clseq_concat(g, (clseq_var *[]){x, clseq_input_i32(g, tokens, 3, (int64_t[]){2, 3, 4})}, 2, 0);
}

static const struct {
    clseq_var *(*run)(clseq_graph *g, clseq_var *x);
    clseq_status status;
    const char *sentence;
} bad[] = {
    {bad_permute, CLSEQ_INVALID_SHAPE, "permute: dim 0 stands in order twice"},
    {bad_permute_null, CLSEQ_INVALID_ARGUMENT, "permute: order is NULL"},
    {bad_transpose, CLSEQ_INVALID_SHAPE, "transpose: dim is 3, x has shape [2,3,4]"},
    {bad_slice_dim, CLSEQ_INVALID_SHAPE, "slice: dim is -4, x has shape [2,3,4]"},
    {bad_slice, CLSEQ_INVALID_SHAPE, "slice: start 2 and length 2 in dim 1, x has shape [2,3,4]"},
    {bad_expand, CLSEQ_INVALID_SHAPE, "expand: x has shape [2,3,4], which does not stretch to [2,6,4]"},
    {bad_expand_dims, CLSEQ_INVALID_SHAPE, "expand: dim 1 is 0, expected at least 1"},
    {bad_reshape, CLSEQ_INVALID_SHAPE, "reshape: x has shape [2,3,4], which has not the elements of [5,?]"},
    {bad_reshape_twice, CLSEQ_INVALID_SHAPE, "reshape: x has shape [2,3,4], which has not the elements of"},
    {bad_unsqueeze, CLSEQ_INVALID_SHAPE, "unsqueeze: dim is 4, x has 3 dims"},
    {bad_squeeze, CLSEQ_INVALID_SHAPE, "squeeze: dim is 1, x has shape [2,3,4]"},
    {bad_split, CLSEQ_INVALID_SHAPE, "split: 2 parts of 2 together in dim 1, x has shape [2,3,4]"},
    {bad_split_count, CLSEQ_INVALID_ARGUMENT, "split: 2 parts (out is NULL), expected at least 1"},
    {bad_stack, CLSEQ_INVALID_SHAPE,
     "stack: xs[1] has shape [3,2,4] and xs[0] has [2,3,4], expected the same"},
    {bad_concat_dtype, CLSEQ_INVALID_DTYPE, "concat: xs[1] has type i32, expected f32"},
};

Test(graph_view, bad_input)
{
    clseq_context *ctx = test_context();
    const float values[24] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x = clseq_input_f32(g, values, 3, (int64_t[]){2, 3, 4});
        cr_assert_null(bad[i].run(g, x));
        EXPECT_ERROR(clseq_graph_end(g), bad[i].status, bad[i].sentence);
    }
    clseq_context_destroy(ctx);
}
