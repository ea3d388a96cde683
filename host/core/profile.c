#include "core/profile.h"

#include "core/array.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Events that are kept before their times are read: bounds the memory, and waits rarely. */
#define PENDING_MAX 1024

typedef struct pending {
    size_t row;
    cl_event begin; /* NULL: the span is the command of `end` alone */
    cl_event end;
} pending;

struct clseq__profile {
    clseq_profile_row *rows;
    size_t row_count;
    size_t row_capacity;
    pending pending[PENDING_MAX];
    size_t pending_count;
};

clseq_status clseq__profile_create(clseq__profile **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? CLSEQ_OK
                        : clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "context create: no memory for a profile");
}

static void release_pending(clseq__profile *profile)
{
    for (size_t i = 0; i < profile->pending_count; i++) {
        if (profile->pending[i].begin != NULL)
            clReleaseEvent(profile->pending[i].begin);
        clReleaseEvent(profile->pending[i].end);
    }
    profile->pending_count = 0;
}

void clseq__profile_destroy(clseq__profile *profile)
{
    if (profile == NULL)
        return;
    release_pending(profile);
    for (size_t i = 0; i < profile->row_count; i++)
        free((char *)profile->rows[i].kernel);
    free(profile->rows);
    free(profile);
}

bool clseq__profiles(const clseq_context *ctx)
{
    return ctx->profile != NULL;
}

/* The row of this name, made when there is none; false when the host has no memory for it. */
static bool find_row(clseq__profile *profile, const char *name, size_t *out)
{
    for (size_t i = 0; i < profile->row_count; i++)
        if (strcmp(profile->rows[i].kernel, name) == 0) {
            *out = i;
            return true;
        }
    clseq_profile_row *rows =
        clseq__array_room(profile->rows, sizeof *rows, profile->row_count, &profile->row_capacity);
    if (rows == NULL)
        return false;
    profile->rows = rows;
    char *copy = clseq__text_copy(name);
    if (copy == NULL)
        return false;
    profile->rows[profile->row_count] = (clseq_profile_row){.kernel = copy};
    *out = profile->row_count++;
    return true;
}

/* Waits for the pending commands and adds their times to their rows. */
static clseq_status drain(clseq_context *ctx)
{
    clseq_status status = CLSEQ_OK;
    clseq__profile *profile = ctx->profile;
    CLSEQ__TRY_CL(clFinish(ctx->queue));
    for (size_t i = 0; i < profile->pending_count; i++) {
        const pending *p = &profile->pending[i];
        cl_ulong begin = 0, end = 0;
        CLSEQ__TRY_CL(
            clGetEventProfilingInfo(p->begin != NULL ? p->begin : p->end,
                                    p->begin != NULL ? CL_PROFILING_COMMAND_END : CL_PROFILING_COMMAND_START,
                                    sizeof begin, &begin, NULL));
        CLSEQ__TRY_CL(clGetEventProfilingInfo(
            p->end, p->begin != NULL ? CL_PROFILING_COMMAND_START : CL_PROFILING_COMMAND_END, sizeof end,
            &end, NULL));
        profile->rows[p->row].calls++;
        profile->rows[p->row].seconds += end > begin ? 1e-9 * (double)(end - begin) : 0.0;
    }
done:
    release_pending(profile);
    return status;
}

/* Takes both events over. What cannot be measured is said in the log; the work itself went well. */
static void add_span(clseq_context *ctx, const char *name, cl_event begin, cl_event end)
{
    clseq__profile *profile = ctx->profile;
    size_t row = 0;
    if (!find_row(profile, name, &row)) {
        clseq__log(CLSEQ_LOG_WARN, "profile: no memory for the row of %s, which is not measured", name);
        if (begin != NULL)
            clReleaseEvent(begin);
        clReleaseEvent(end);
        return;
    }
    profile->pending[profile->pending_count++] = (pending){row, begin, end};
    if (profile->pending_count == PENDING_MAX && drain(ctx) != CLSEQ_OK)
        clseq__log(CLSEQ_LOG_WARN, "profile: some times are lost: %s", clseq_last_error());
}

void clseq__profile_event(clseq_context *ctx, const char *name, cl_event event)
{
    if (event == NULL)
        return;
    if (ctx->profile == NULL)
        clReleaseEvent(event);
    else
        add_span(ctx, name, NULL, event);
}

static cl_event marker(clseq_context *ctx)
{
    cl_event event = NULL;
    int code = clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, &event);
    if (code != CL_SUCCESS) {
        clseq__log(CLSEQ_LOG_WARN, "profile: clEnqueueMarkerWithWaitList gave %s",
                   clseq__cl_error_name(code));
        return NULL;
    }
    return event;
}

cl_event clseq__profile_begin(clseq_context *ctx)
{
    return ctx->profile != NULL ? marker(ctx) : NULL;
}

void clseq__profile_end(clseq_context *ctx, const char *name, cl_event begin)
{
    if (begin == NULL)
        return;
    cl_event end = marker(ctx);
    if (end == NULL)
        clReleaseEvent(begin);
    else
        add_span(ctx, name, begin, end);
}

static int by_time(const void *a, const void *b)
{
    const clseq_profile_row *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? 1 : -1;
    return strcmp(x->kernel, y->kernel);
}

/* Reads what is pending and sorts the rows; nothing is pending afterwards, so their order may change. */
static clseq_status collect(clseq_context *ctx, const char *what)
{
    CLSEQ__NEEDS(what, ctx);
    if (ctx->profile == NULL)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: the context does not profile; set clseq_context_desc.profile or "
                            "CLSEQ_PROFILE=1 when it is made",
                            what);
    CLSEQ__RETURN_IF(drain(ctx));
    if (ctx->profile->row_count > 0)
        qsort(ctx->profile->rows, ctx->profile->row_count, sizeof(clseq_profile_row), by_time);
    return CLSEQ_OK;
}

clseq_status clseq_context_profile(clseq_context *ctx, clseq_profile_row *out, size_t capacity, size_t *count)
{
    if (count == NULL || (out == NULL && capacity > 0))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "context profile: %s is NULL",
                            count == NULL ? "count" : "out");
    CLSEQ__RETURN_IF(collect(ctx, "context profile"));
    *count = ctx->profile->row_count;
    for (size_t i = 0; i < *count && i < capacity; i++)
        out[i] = ctx->profile->rows[i];
    return CLSEQ_OK;
}

clseq_status clseq_context_profile_text(clseq_context *ctx, char *text, size_t size)
{
    if (text == NULL || size == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "context profile text: there is no room for the text");
    text[0] = '\0';
    CLSEQ__RETURN_IF(collect(ctx, "context profile text"));
    const clseq__profile *profile = ctx->profile;
    double total = 0;
    for (size_t i = 0; i < profile->row_count; i++)
        total += profile->rows[i].seconds;
    size_t used = 0;
    int more =
        snprintf(text, size, "%12s %7s %10s %12s  %s\n", "seconds", "share", "calls", "us/call", "kernel");
    for (size_t i = 0; i < profile->row_count && more >= 0 && (used += (size_t)more) < size; i++) {
        const clseq_profile_row *row = &profile->rows[i];
        more = snprintf(text + used, size - used, "%12.6f %6.1f%% %10llu %12.2f  %s\n", row->seconds,
                        total > 0 ? 100 * row->seconds / total : 0.0, (unsigned long long)row->calls,
                        row->calls > 0 ? 1e6 * row->seconds / (double)row->calls : 0.0, row->kernel);
    }
    return CLSEQ_OK;
}

clseq_status clseq_context_profile_reset(clseq_context *ctx)
{
    CLSEQ__RETURN_IF(collect(ctx, "context profile reset"));
    for (size_t i = 0; i < ctx->profile->row_count; i++) {
        ctx->profile->rows[i].calls = 0;
        ctx->profile->rows[i].seconds = 0;
    }
    return CLSEQ_OK;
}
