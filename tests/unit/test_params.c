/* The parameter store: names, memory, views, versions, what it owns. */
#include "support/compare.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numeric.h"

#include "train/params.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const clseq_init ones = {.kind = CLSEQ_INIT_CONSTANT, .scale = 1};

/* Three parameters of 6, 100 and 1 elements. */
static clseq_params *three(clseq_context *ctx, clseq_param *out[3])
{
    clseq_params *params = NULL;
    MUST(clseq_params_create(ctx, 42, &params));
    MUST(clseq_params_add(params, "a.weight", 2, (int64_t[]){2, 3}, &ones, &out[0]));
    MUST(clseq_params_add(params, "b.weight", 1, (int64_t[]){100}, NULL, &out[1]));
    MUST(clseq_params_add(params, "b.bias", 1, (int64_t[]){1}, &ones, &out[2]));
    return params;
}

Test(params, what_was_added_is_there)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_params *params = three(ctx, p);
    cr_assert_eq(clseq_params_count(params), 3);
    cr_assert_eq(clseq_params_elements(params), 107);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(clseq_params_at(params, i), p[i]);
        cr_assert_eq(clseq_params_find(params, clseq_param_name(p[i])), p[i]);
    }
    cr_assert_str_eq(clseq_param_name(p[1]), "b.weight");
    cr_assert_null(clseq_params_at(params, 3));
    cr_assert_null(clseq_params_find(params, "b"));
    cr_assert_null(clseq_params_find(params, NULL));
    cr_assert_eq(clseq_params_count(NULL), 0);
    cr_assert_eq(clseq_params_elements(NULL), 0);
    cr_assert_null(clseq_params_at(NULL, 0));
    cr_assert_null(clseq_params_find(NULL, "a.weight"));
    cr_assert_str_eq(clseq_param_name(NULL), "");
    clseq_params_destroy(params);
    clseq_params_destroy(NULL);
    clseq_context_destroy(ctx);
}

Test(params, views_share_two_buffers)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_params *params = three(ctx, p);
    clseq_tensor value[3], grad[3];
    for (int i = 0; i < 3; i++) {
        MUST(clseq_param_value(p[i], &value[i]));
        MUST(clseq_param_grad(p[i], &grad[i]));
        cr_assert_eq(value[i].buffer, value[0].buffer);
        cr_assert_eq(grad[i].buffer, grad[0].buffer);
        cr_assert_eq(value[i].offset, grad[i].offset);
        cr_assert_eq(value[i].offset % CLSEQ__PARAM_ALIGN, 0);
        cr_assert(clseq_tensor_is_contiguous(&value[i]));
    }
    cr_assert_neq(value[0].buffer, grad[0].buffer);
    cr_assert_eq(value[0].ndim, 2);
    cr_assert_eq(value[0].dims[1], 3);
    cr_assert_eq(value[1].offset, 64);
    cr_assert_eq(value[2].offset, 192);
    cr_assert_eq(params->flat, 256);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* The whole of a buffer, gaps included. */
static float *flat_of(clseq_params *params, cl_mem buffer)
{
    const clseq_tensor view = clseq_tensor_view(buffer, 0, CLSEQ_DTYPE_F32, 1, &params->flat);
    float *values = test_floats((size_t)params->flat);
    MUST(clseq_tensor_read(params->ctx, &view, values));
    return values;
}

Test(params, starts_as_said_with_zeros_between)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_params *params = three(ctx, p);
    MUST(clseq__param_preset(p[1], 20, 30, -2.5f));
    MUST(clseq__params_materialize(params));
    float *values = flat_of(params, params->values), *grads = flat_of(params, params->grads);
    for (int i = 0; i < params->flat; i++) {
        const float want = i < 6 || i == 192 ? 1 : i >= 84 && i < 114 ? -2.5f : 0;
        cr_assert_eq(values[i], want, "value %d is %g, expected %g", i, (double)values[i], (double)want);
        cr_assert_eq(grads[i], 0, "gradient %d is %g", i, (double)grads[i]);
    }
    free(values);
    free(grads);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(params, set_and_get)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_params *params = three(ctx, p);
    float in[100], gradient[100], out[100], neighbour[6];
    clseq_tensor grad;
    for (int i = 0; i < 100; i++)
        in[i] = (float)i - 50;
    MUST(clseq_param_set(p[1], in));
    MUST(clseq_param_get(p[1], out));
    cr_assert(compare_bits("values", out, in, 100), "%s", compare_message());
    MUST(clseq_param_get(p[0], neighbour));
    for (int i = 0; i < 6; i++)
        cr_assert_eq(neighbour[i], 1);
    MUST(clseq_param_grad(p[1], &grad));
    MUST(clseq_tensor_write(ctx, &grad, in));
    MUST(clseq_param_get_grad(p[1], out));
    cr_assert(compare_bits("gradient", out, in, 100), "%s", compare_message());
    for (int i = 0; i < 100; i++)
        gradient[i] = 2 * in[i];
    MUST(clseq_param_set_grad(p[1], gradient));
    MUST(clseq_param_get_grad(p[1], out));
    cr_assert(compare_bits("gradient that was set", out, gradient, 100), "%s", compare_message());
    MUST(clseq_param_get(p[1], out));
    cr_assert(compare_bits("values beside it", out, in, 100), "%s", compare_message());
    MUST(clseq_param_get_grad(p[0], neighbour));
    for (int i = 0; i < 6; i++)
        cr_assert_eq(neighbour[i], 0);
    MUST(clseq_params_zero_grad(params));
    MUST(clseq_param_get_grad(p[1], out));
    for (int i = 0; i < 100; i++)
        cr_assert_eq(out[i], 0);
    MUST(clseq_param_get(p[1], out));
    cr_assert(compare_bits("values after zero_grad", out, in, 100), "%s", compare_message());
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(params, version_counts_changes)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_params *params = three(ctx, p);
    const float one = 1;
    MUST(clseq__params_materialize(params));
    const uint64_t start = params->version;
    float out;
    MUST(clseq__params_materialize(params));
    MUST(clseq_param_get(p[2], &out));
    MUST(clseq_params_zero_grad(params));
    MUST(clseq_param_set_grad(p[2], &one));
    cr_assert_eq(params->version, start);
    MUST(clseq_param_set(p[2], &one));
    cr_assert_eq(params->version, start + 1);
    clseq_params_touch(params);
    clseq_params_touch(NULL);
    cr_assert_eq(params->version, start + 2);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

static int order[3], released;

static void release(void *object)
{
    order[released++] = *(int *)object;
}

Test(params, releases_what_it_owns_last_first)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    int objects[3] = {0, 1, 2};
    MUST(clseq_params_create(ctx, 1, &params));
    for (int i = 0; i < 3; i++)
        MUST(clseq__params_own(params, &objects[i], release));
    cr_assert_eq(released, 0);
    clseq_params_destroy(params);
    cr_assert_eq(released, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(order[i], 2 - i);
    clseq_context_destroy(ctx);
}

Test(params, many)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    char name[16];
    MUST(clseq_params_create(ctx, 1, &params));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "p%d", i);
        MUST(clseq_params_add(params, name, 1, (int64_t[]){i + 1},
                              &(clseq_init){.kind = CLSEQ_INIT_CONSTANT, .scale = (float)i}, NULL));
    }
    float out[100];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "p%d", i);
        MUST(clseq_param_get(clseq_params_find(params, name), out));
        for (int k = 0; k <= i; k++)
            cr_assert_eq(out[k], (float)i);
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* A store gives all its memory back. */
Test(params, memory_comes_back)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_context_stats stats;
    clseq_params *params = three(ctx, p);
    MUST(clseq__params_materialize(params));
    MUST(clseq_context_get_stats(ctx, &stats));
    cr_assert_gt(stats.bytes_in_use, 0);
    clseq_params_destroy(params);
    MUST(clseq_context_get_stats(ctx, &stats));
    cr_assert_eq(stats.bytes_in_use, 0);
    clseq_context_destroy(ctx);
}

Test(params, bad_names_and_shapes)
{
    clseq_context *ctx = test_context();
    clseq_param *p[3];
    clseq_params *params = three(ctx, p);
    const int64_t two[] = {2, 2}, zero[] = {2, 0}, huge[] = {(int64_t)1 << 40, (int64_t)1 << 40};
    char longest[CLSEQ__PARAM_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_expect_eq(clseq_params_add(NULL, "c", 2, two, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_add(params, NULL, 2, two, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_add(params, "", 2, two, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_add(params, longest, 2, two, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_add(params, "b.weight", 2, two, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "\"b.weight\"") != NULL, "%s", clseq_last_error());
    cr_expect_eq(clseq_params_add(params, "c", 0, two, NULL, NULL), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_params_add(params, "c", CLSEQ_MAX_DIMS + 1, two, NULL, NULL), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_params_add(params, "c", 2, NULL, NULL, NULL), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_params_add(params, "c", 2, zero, NULL, NULL), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_params_add(params, "c", 2, huge, NULL, NULL), CLSEQ_OUT_OF_DEVICE_MEMORY);
    cr_expect_eq(clseq_params_count(params), 3, "a parameter that failed was added");
    MUST(clseq_params_add(params, longest + 1, 2, two, NULL, NULL));
    MUST(clseq__params_materialize(params));
    cr_expect_eq(clseq_params_add(params, "late", 2, two, NULL, NULL), CLSEQ_INVALID_STATE);
    cr_expect(strstr(clseq_last_error(), "late comes too late") != NULL, "%s", clseq_last_error());
    cr_expect_eq(clseq__param_preset(p[0], 0, 1, 1), CLSEQ_INVALID_STATE);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(params, bad_arguments)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_param *p[3];
    clseq_tensor view;
    float value = 0;
    cr_expect_eq(clseq_params_create(NULL, 1, &params), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_create(ctx, 1, NULL), CLSEQ_INVALID_ARGUMENT);
    MUST(clseq_params_create(ctx, 1, &params));
    cr_expect_eq(clseq__params_materialize(params), CLSEQ_INVALID_STATE);
    cr_expect_eq(clseq_params_zero_grad(params), CLSEQ_INVALID_STATE);
    cr_expect_eq(clseq_params_zero_grad(NULL), CLSEQ_INVALID_ARGUMENT);
    clseq_params_destroy(params);
    params = three(ctx, p);
    cr_expect_eq(clseq__param_preset(p[0], -1, 2, 0), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq__param_preset(p[0], 5, 2, 0), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq__param_preset(p[0], 2, -1, 0), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_value(NULL, &view), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_value(p[0], NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_grad(NULL, &view), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_set(NULL, &value), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_set(p[0], NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_set_grad(NULL, &value), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "param set grad: param is NULL"), "%s", clseq_last_error());
    cr_expect_eq(clseq_param_set_grad(p[0], NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "param set grad: the gradients for"), "%s", clseq_last_error());
    cr_expect_eq(clseq_param_get(NULL, &value), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_get(p[0], NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_param_get_grad(p[0], NULL), CLSEQ_INVALID_ARGUMENT);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(params, names_are_found_whatever_is_dropped)
{
    enum { COUNT = 3000 };
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    char name[16];
    MUST(clseq_params_create(ctx, 1, &params));
    for (int round = 0; round < 2; round++) {
        for (int i = (int)clseq_params_count(params); i < COUNT; i++) {
            snprintf(name, sizeof name, "p%d", i * 7919 % COUNT);
            MUST(clseq_params_add(params, name, 1, (int64_t[]){1}, NULL, NULL));
            cr_assert_eq(clseq_params_add(params, name, 1, (int64_t[]){1}, NULL, NULL),
                         CLSEQ_INVALID_ARGUMENT);
        }
        for (int i = 0; i < COUNT; i++)
            cr_assert_eq(clseq_params_find(params, clseq_param_name(clseq_params_at(params, (size_t)i))),
                         clseq_params_at(params, (size_t)i));
        snprintf(name, sizeof name, "p%d", 2000 * 7919 % COUNT);
        clseq__params_drop(params, round == 0 ? 1000 : COUNT);
        cr_assert_eq(clseq_params_find(params, name) == NULL, round == 0);
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
