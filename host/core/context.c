#include "core/context.h"

#include "core/error.h"
#include "core/pool.h"
#include "core/profile.h"
#include "core/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool clseq__env_is_on(const char *variable)
{
    const char *text = getenv(variable);
    return text != NULL && strcmp(text, "1") == 0;
}

/* What both ways of making a context share, once its OpenCL handles are there. */
static clseq_status create_parts(clseq_context *ctx, const clseq_context_desc *desc, bool profile)
{
    const char *gemm = getenv("CLSEQ_GEMM");
    snprintf(ctx->gemm_wish, sizeof ctx->gemm_wish, "%s", gemm != NULL ? gemm : "");
    CLSEQ__RETURN_IF(clseq__traits_of(&ctx->device, &ctx->traits));
    CLSEQ__RETURN_IF(clseq__pool_create(&ctx->pool));
    CLSEQ__RETURN_IF(clseq__programs_create(ctx, desc, &ctx->programs));
    if (profile)
        CLSEQ__RETURN_IF(clseq__profile_create(&ctx->profile));
    return CLSEQ_OK;
}

clseq_status clseq_context_create(const clseq_context_desc *desc, clseq_context **out)
{
    CLSEQ__MAKES("context create", out);
    static const clseq_context_desc defaults = {0};
    desc = desc != NULL ? desc : &defaults;
    clseq_status status = CLSEQ_OK;
    int code = 0;
    bool profile = desc->profile || clseq__env_is_on("CLSEQ_PROFILE");
    clseq_context *ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "context create: no memory for the context");
    ctx->references = 1;
    CLSEQ__TRY(clseq_device_find(desc->device, &ctx->device));
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)ctx->device.platform, 0};
    ctx->cl = clCreateContext(properties, 1, &ctx->device.device, NULL, NULL, &code);
    if (code != CL_SUCCESS)
        CLSEQ__FAIL(clseq__cl_status(code), "context create: clCreateContext on %s gave %s", ctx->device.name,
                    clseq__cl_error_name(code));
    ctx->queue =
        clCreateCommandQueue(ctx->cl, ctx->device.device, profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (code != CL_SUCCESS)
        CLSEQ__FAIL(clseq__cl_status(code), "context create: clCreateCommandQueue on %s gave %s",
                    ctx->device.name, clseq__cl_error_name(code));
    CLSEQ__TRY(create_parts(ctx, desc, profile));
    *out = ctx;
    ctx = NULL;
done:
    clseq_context_destroy(ctx);
    return clseq__made("context create", status);
}

/* Checks the caller's queue; gives its device and whether it measures. */
static clseq_status check_queue(cl_context context, cl_command_queue queue, bool profile,
                                cl_device_id *device, bool *measures)
{
    clseq_status status = CLSEQ_OK;
    cl_context own = NULL;
    cl_command_queue_properties properties = 0;
    CLSEQ__TRY_CL(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof own, &own, NULL));
    CLSEQ__TRY_CL(clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof *device, device, NULL));
    CLSEQ__TRY_CL(clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL));
    if (own != context)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "context wrap: the queue belongs to another OpenCL context");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        CLSEQ__FAIL(CLSEQ_UNSUPPORTED, "context wrap: the queue is out-of-order, expected an in-order one");
    *measures = (properties & CL_QUEUE_PROFILING_ENABLE) != 0;
    if (profile && !*measures)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT,
                    "context wrap: desc.profile is set, but the queue lacks CL_QUEUE_PROFILING_ENABLE");
done:
    return status;
}

clseq_status clseq_context_wrap(cl_context context, cl_command_queue queue, const clseq_context_desc *desc,
                                clseq_context **out)
{
    CLSEQ__MAKES("context wrap", out);
    CLSEQ__NOT_NULL("context wrap", context);
    CLSEQ__NOT_NULL("context wrap", queue);
    static const clseq_context_desc defaults = {0};
    desc = desc != NULL ? desc : &defaults;
    clseq_status status = CLSEQ_OK;
    cl_device_id device = NULL;
    bool measures = false, profile = desc->profile;
    clseq_context *ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "context wrap: no memory for the context");
    ctx->references = 1;
    CLSEQ__TRY(check_queue(context, queue, profile, &device, &measures));
    if (!profile && clseq__env_is_on("CLSEQ_PROFILE")) {
        profile = measures;
        if (!measures)
            clseq__log(CLSEQ_LOG_WARN, "CLSEQ_PROFILE=1 has no effect on a context around a queue without "
                                       "CL_QUEUE_PROFILING_ENABLE");
    }
    CLSEQ__TRY(clseq_device_describe(device, &ctx->device));
    CLSEQ__TRY_CL(clRetainContext(context));
    ctx->cl = context;
    CLSEQ__TRY_CL(clRetainCommandQueue(queue));
    ctx->queue = queue;
    CLSEQ__TRY(create_parts(ctx, desc, profile));
    *out = ctx;
    ctx = NULL;
done:
    clseq_context_destroy(ctx);
    return clseq__made("context create", status);
}

static void wait_for_queue(const clseq_context *ctx)
{
    const int code = ctx->queue != NULL ? clFinish(ctx->queue) : CL_SUCCESS;
    if (code != CL_SUCCESS)
        clseq__log(CLSEQ_LOG_ERROR, "context destroy: clFinish gave %s", clseq__cl_error_name(code));
}

clseq_context *clseq__context_retain(clseq_context *ctx)
{
    if (ctx != NULL)
        ctx->references++;
    return ctx;
}

void clseq__context_release(clseq_context *ctx)
{
    if (ctx == NULL || --ctx->references > 0)
        return;
    wait_for_queue(ctx);
    if (ctx->release_graphs != NULL)
        ctx->release_graphs(ctx->graphs);
    if (ctx->release_reserves != NULL)
        ctx->release_reserves(ctx->reserves);
    if (ctx->release_gemm != NULL)
        ctx->release_gemm(ctx);
    clseq__profile_destroy(ctx->profile);
    clseq__programs_destroy(ctx->programs);
    clseq__pool_destroy(ctx->pool);
    if (ctx->queue != NULL)
        clReleaseCommandQueue(ctx->queue);
    if (ctx->cl != NULL)
        clReleaseContext(ctx->cl);
    free(ctx);
}

void clseq_context_destroy(clseq_context *ctx)
{
    if (ctx == NULL)
        return;
    if (ctx->references > 1) {
        clseq__log(CLSEQ_LOG_INFO,
                   "context destroy: it lives on for %zu made from it, with %llu bytes in use",
                   ctx->references - 1, (unsigned long long)ctx->stats.bytes_in_use);
        wait_for_queue(ctx);
    }
    clseq__context_release(ctx);
}

clseq_status clseq_context_finish(clseq_context *ctx)
{
    clseq_status status = CLSEQ_OK;
    CLSEQ__NEEDS("context finish", ctx);
    CLSEQ__TRY_CL(clFinish(ctx->queue));
done:
    return status;
}

const clseq_device_info *clseq_context_device(const clseq_context *ctx)
{
    return ctx != NULL ? &ctx->device : NULL;
}

cl_context clseq_context_cl_context(const clseq_context *ctx)
{
    return ctx != NULL ? ctx->cl : NULL;
}

cl_command_queue clseq_context_queue(const clseq_context *ctx)
{
    return ctx != NULL ? ctx->queue : NULL;
}

clseq_status clseq_context_get_stats(const clseq_context *ctx, clseq_context_stats *out)
{
    CLSEQ__NEEDS("context stats", ctx);
    CLSEQ__NOT_NULL("context stats", out);
    *out = ctx->stats;
    return CLSEQ_OK;
}
