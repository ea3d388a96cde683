#include "core/launch.h"

#include "core/error.h"
#include "core/profile.h"

static clseq_status set_arguments(const clseq__kernel *kernel, const clseq__arg *args, size_t count)
{
    if (count != kernel->argument_count)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "kernel %s takes %u arguments, %zu were given",
                            kernel->name, (unsigned)kernel->argument_count, count);
    for (size_t i = 0; i < count; i++) {
        const clseq__arg *arg = &args[i];
        const void *const values[] = {[CLSEQ__ARG_VALUE] = &arg->value,
                                      [CLSEQ__ARG_LOCAL] = NULL,
                                      [CLSEQ__ARG_BYTES] = arg->value.bytes};
        int code = clSetKernelArg(kernel->cl, (cl_uint)i, arg->size, values[arg->kind]);
        if (code != CL_SUCCESS)
            return clseq__error(clseq__cl_status(code), "kernel %s, argument %zu (%zu bytes%s): %s",
                                kernel->name, i, arg->size,
                                arg->kind == CLSEQ__ARG_LOCAL ? " of local memory" : "",
                                clseq__cl_error_name(code));
    }
    return CLSEQ_OK;
}

/* An event's place when the context profiles. */
static cl_event *event_slot(const clseq_context *ctx, cl_event *event)
{
    return clseq__profiles(ctx) ? event : NULL;
}

clseq_status clseq__launch(clseq_context *ctx, clseq__kernel *kernel, clseq__grid grid,
                           const clseq__arg *args, size_t count)
{
    CLSEQ__RETURN_IF(set_arguments(kernel, args, count));
    size_t global[3] = {1, 1, 1};
    for (int i = 0; i < grid.dims; i++) {
        if (grid.groups[i] == 0)
            return CLSEQ_OK;
        global[i] = grid.groups[i] * grid.local[i];
    }
    cl_event event = NULL;
    int code = clEnqueueNDRangeKernel(ctx->queue, kernel->cl, (cl_uint)grid.dims, NULL, global, grid.local, 0,
                                      NULL, event_slot(ctx, &event));
    if (code != CL_SUCCESS)
        return clseq__error(clseq__cl_status(code), "kernel %s, %zux%zux%zu groups of %zux%zux%zu: %s",
                            kernel->name, grid.groups[0], grid.groups[1], grid.groups[2], grid.local[0],
                            grid.local[1], grid.local[2], clseq__cl_error_name(code));
    clseq__profile_event(ctx, kernel->name, event);
    ctx->stats.launches++;
    return CLSEQ_OK;
}

clseq__grid clseq__grid_for(const clseq_context *ctx, int64_t n)
{
    /* A CPU's group costs about as much as a few thousand elements; a GPU wants many groups in flight. */
    const int64_t per_group = ctx->traits.is_cpu ? 4096 : 1024;
    const int64_t most = (int64_t)ctx->traits.groups * (ctx->traits.is_cpu ? 4 : 16);
    size_t local = 1;
    if (!ctx->traits.is_cpu)
        local = ctx->device.max_work_group_size < 256 ? ctx->device.max_work_group_size : 256;
    int64_t groups = n / per_group + (n % per_group != 0);
    groups = groups < most ? groups : most;
    return CLSEQ__GRID1((size_t)(groups > 0 ? groups : 1), local);
}

clseq_status clseq__mark(clseq_context *ctx, const char *what, cl_event *out)
{
    int code = clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, out);
    if (code == CL_SUCCESS) {
        code = clFlush(ctx->queue);
        if (code == CL_SUCCESS)
            return CLSEQ_OK;
        clReleaseEvent(*out);
    }
    *out = NULL;
    return clseq__error(clseq__cl_status(code), "%s: %s", what, clseq__cl_error_name(code));
}

clseq_status clseq__fill_bytes(clseq_context *ctx, cl_mem buffer, size_t offset, size_t bytes,
                               uint32_t pattern)
{
    if (bytes == 0)
        return CLSEQ_OK;
    cl_event event = NULL;
    const size_t unit = (offset | bytes) % sizeof pattern ? 1 : sizeof pattern;
    int code = clEnqueueFillBuffer(ctx->queue, buffer, &pattern, unit, offset, bytes, 0, NULL,
                                   event_slot(ctx, &event));
    if (code != CL_SUCCESS)
        return clseq__error(clseq__cl_status(code), "fill of %zu bytes at %zu: %s", bytes, offset,
                            clseq__cl_error_name(code));
    clseq__profile_event(ctx, "fill", event);
    ctx->stats.launches++;
    return CLSEQ_OK;
}

clseq_status clseq__copy_bytes(clseq_context *ctx, cl_mem from, size_t from_offset, cl_mem to,
                               size_t to_offset, size_t bytes)
{
    if (bytes == 0)
        return CLSEQ_OK;
    cl_event event = NULL;
    int code = clEnqueueCopyBuffer(ctx->queue, from, to, from_offset, to_offset, bytes, 0, NULL,
                                   event_slot(ctx, &event));
    if (code != CL_SUCCESS)
        return clseq__error(clseq__cl_status(code), "copy of %zu bytes from %zu to %zu: %s", bytes,
                            from_offset, to_offset, clseq__cl_error_name(code));
    clseq__profile_event(ctx, "copy", event);
    ctx->stats.launches++;
    return CLSEQ_OK;
}
