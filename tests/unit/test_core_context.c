/* Making contexts, around own and others' queues. */
#include <criterion/criterion.h>

#include "core/context.h"
#include "support/device.h"
#include "support/log.h"
#include "support/outside.h"
#include <clseq/tensor.h>

#include <stdlib.h>
#include <string.h>

Test(core_context, create_tells_what_it_runs_on)
{
    clseq_context *ctx = test_context();
    const clseq_device_info *device = clseq_context_device(ctx);
    cl_device_id of_queue = NULL;
    cl_context of_context = NULL;
    cr_assert_eq(
        clGetCommandQueueInfo(clseq_context_queue(ctx), CL_QUEUE_DEVICE, sizeof of_queue, &of_queue, NULL),
        CL_SUCCESS);
    cr_assert_eq(clGetCommandQueueInfo(clseq_context_queue(ctx), CL_QUEUE_CONTEXT, sizeof of_context,
                                       &of_context, NULL),
                 CL_SUCCESS);
    cr_assert_eq(of_queue, device->device);
    cr_assert_eq(of_context, clseq_context_cl_context(ctx));
    const bool vectors = device->native_float_width > 1 || getenv("CLSEQ_VECTOR_WIDTH");
    cr_assert_eq(ctx->traits.is_cpu, (device->type & CL_DEVICE_TYPE_CPU) != 0 && vectors);
    cr_assert(ctx->traits.groups >= 1);
    cr_assert(ctx->traits.vector_width == 4 || ctx->traits.vector_width == 8 ||
              ctx->traits.vector_width == 16);
    cr_assert_eq(ctx->traits.vector_registers, ctx->traits.vector_width == 16 ? 32 : 16);
    cr_assert_eq(clseq_context_finish(ctx), CLSEQ_OK);
    clseq_context_destroy(ctx);
}

Test(core_context, missing_arguments)
{
    clseq_context *ctx = NULL;
    clseq_context_stats stats;
    clseq_context_destroy(NULL);
    cr_assert_eq(clseq_context_create(NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_context_wrap(NULL, NULL, NULL, &ctx), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_context_finish(NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_context_trim(NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_context_get_stats(NULL, &stats), CLSEQ_INVALID_ARGUMENT);
    cr_assert_null(clseq_context_device(NULL));
    cr_assert_null(clseq_context_cl_context(NULL));
    cr_assert_null(clseq_context_queue(NULL));
}

Test(core_context, a_device_that_is_not_there)
{
    clseq_context *ctx = (clseq_context *)&ctx;
    cr_assert_eq(clseq_context_create(&(clseq_context_desc){.device = "no such device"}, &ctx),
                 CLSEQ_NO_DEVICE);
    cr_assert_null(ctx);
    cr_assert(strstr(clseq_last_error(), "no such device") != NULL, "%s", clseq_last_error());
}

Test(core_context, vector_width_of_the_environment)
{
    static const struct {
        const char *text;
        int width, registers;
    } cases[] = {{"4", 4, 16}, {"8", 8, 16}, {"16", 16, 32}};
    clseq_context *ctx = NULL;
    for (size_t i = 0; i < 3; i++) {
        setenv("CLSEQ_VECTOR_WIDTH", cases[i].text, 1);
        ctx = test_context();
        cr_assert_eq(ctx->traits.vector_width, cases[i].width);
        cr_assert_eq(ctx->traits.vector_registers, cases[i].registers);
        clseq_context_destroy(ctx);
    }
    static const char *const wrong[] = {"2", "32", "8 ", "eight", "-4"};
    for (size_t i = 0; i < 5; i++) {
        setenv("CLSEQ_VECTOR_WIDTH", wrong[i], 1);
        cr_assert_eq(clseq_context_create(NULL, &ctx), CLSEQ_INVALID_ARGUMENT, "%s", wrong[i]);
        cr_assert(strstr(clseq_last_error(), wrong[i]) != NULL, "%s", clseq_last_error());
    }
}

Test(core_context, wrap_retains_and_releases)
{
    outside o = outside_create(0);
    clseq_context *ctx = NULL;
    cl_uint before = outside_references(&o);
    cr_assert_eq(clseq_context_wrap(o.context, o.queue, NULL, &ctx), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(outside_references(&o), before + 1);
    cr_assert_eq(clseq_context_queue(ctx), o.queue);
    cr_assert_eq(clseq_context_cl_context(ctx), o.context);
    cr_assert_eq(clseq_context_device(ctx)->device, o.device.device);
    clseq_context_destroy(ctx);
    cr_assert_eq(outside_references(&o), before);
    outside_release(&o);
}

Test(core_context, commands_of_the_caller_and_the_library_keep_their_order)
{
    outside o = outside_create(0);
    clseq_context *ctx = NULL;
    clseq_tensor x = {0};
    float value = 0, two = 2;
    cr_assert_eq(clseq_context_wrap(o.context, o.queue, NULL, &ctx), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(clEnqueueWriteBuffer(o.queue, x.buffer, CL_FALSE, 0, 4, &two, 0, NULL, NULL), CL_SUCCESS);
    cr_assert_eq(clseq_tensor_read(ctx, &x, &value), CLSEQ_OK);
    cr_assert_eq(value, 2.0f);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
    outside_release(&o);
}

Test(core_context, wrap_refuses_a_queue_that_does_not_keep_order)
{
    outside o = outside_create(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    clseq_context *ctx = NULL;
    /* A device without such queues cannot break the rule. */
    if (o.queue != NULL) {
        cr_assert_eq(clseq_context_wrap(o.context, o.queue, NULL, &ctx), CLSEQ_UNSUPPORTED);
        cr_assert_null(ctx);
        cr_assert(strstr(clseq_last_error(), "out-of-order") != NULL, "%s", clseq_last_error());
        cr_assert_eq(outside_references(&o), 1);
    }
    outside_release(&o);
}

Test(core_context, wrap_refuses_a_queue_of_another_context)
{
    outside a = outside_create(0), b = outside_create(0);
    clseq_context *ctx = NULL;
    cr_assert_eq(clseq_context_wrap(a.context, b.queue, NULL, &ctx), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "another OpenCL context") != NULL, "%s", clseq_last_error());
    outside_release(&a);
    outside_release(&b);
}

Test(core_context, wrap_measures_only_what_the_queue_measures)
{
    outside plain = outside_create(0), measuring = outside_create(CL_QUEUE_PROFILING_ENABLE);
    clseq_context *ctx = NULL;
    clseq_context_desc desc = {.profile = true};
    cr_assert_eq(clseq_context_wrap(plain.context, plain.queue, &desc, &ctx), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "CL_QUEUE_PROFILING_ENABLE") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq_context_wrap(measuring.context, measuring.queue, &desc, &ctx), CLSEQ_OK);
    cr_assert_not_null(ctx->profile);
    clseq_context_destroy(ctx);
    /* The environment asks for every context, also for those that cannot: they say so. */
    setenv("CLSEQ_PROFILE", "1", 1);
    log_capture(CLSEQ_LOG_WARN);
    cr_assert_eq(clseq_context_wrap(plain.context, plain.queue, NULL, &ctx), CLSEQ_OK);
    cr_assert_null(ctx->profile);
    cr_assert(log_contains("CLSEQ_PROFILE"), "%s", log_text());
    clseq_context_destroy(ctx);
    cr_assert_eq(clseq_context_wrap(measuring.context, measuring.queue, NULL, &ctx), CLSEQ_OK);
    cr_assert_not_null(ctx->profile);
    clseq_context_destroy(ctx);
    outside_release(&plain);
    outside_release(&measuring);
}

Test(core_context, two_contexts_at_once)
{
    clseq_context *a = test_context(), *b = test_context();
    clseq_tensor x = {0}, y = {0};
    float one = 0, two = 0;
    cr_assert_eq(clseq_tensor_create(a, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(b, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &y), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_fill(a, &x, 1), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_fill(b, &y, 2), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_read(a, &x, &one), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_read(b, &y, &two), CLSEQ_OK);
    cr_assert(one == 1 && two == 2);
    clseq_tensor_destroy(a, &x);
    clseq_context_destroy(a);
    clseq_tensor_destroy(b, &y);
    clseq_context_destroy(b);
}
