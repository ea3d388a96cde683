/* A plan in words and in bytes. */
#include "attention/check.h"
#include "attention/pass.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends to a text of `size` bytes, as much as fits. */
static void CLSEQ__PRINTF(3, 4) print(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list values;
    va_start(values, format);
    vsnprintf(text + used, size - used, format, values);
    va_end(values);
}

const char *clseq__attention_text(const clseq_attention_desc *desc, char text[CLSEQ__ATTENTION_TEXT])
{
    const size_t size = CLSEQ__ATTENTION_TEXT;
    text[0] = '\0';
    print(text, size, "%s score%s, query %" PRId64 ", key %" PRId64 ", value %" PRId64,
          clseq_attention_score_name(desc->score), desc->normalise ? " (normalised)" : "", desc->query,
          desc->key, desc->value);
    if (desc->units)
        print(text, size, ", units %" PRId64, desc->units);
    if (desc->window_radius)
        print(text, size, ", %s window of +-%" PRId64, clseq_attention_window_name(desc->window),
              desc->window_radius);
    if (desc->location_channels)
        print(text, size, ", location of %" PRId64 " channels, width %" PRId64 "%s", desc->location_channels,
              desc->location_width, desc->location_sums ? " (sums)" : "");
    return text;
}

static clseq_status measure(const char *call, const clseq_attention_plan *plan,
                            const clseq_attention_shape *shape, clseq_attention_sizes *out)
{
    clseq__attention_places at;
    const int64_t size = (int64_t)sizeof(float);
    clseq__attention_place(plan, shape, &at);
    *out = (clseq_attention_sizes){
        .memory = at.memory_end * size, .reserve = at.reserve_end * size, .workspace = at.scratch_end * size};
    CLSEQ__RETURN_IF(clseq__attention_check_bytes(plan->ctx, call, "memory", out->memory));
    if (shape->mode == CLSEQ_MODE_TRAINING)
        CLSEQ__RETURN_IF(clseq__attention_check_bytes(plan->ctx, call, "reserve", out->reserve));
    return clseq__attention_check_bytes(plan->ctx, call, "workspace", out->workspace);
}

clseq_status clseq_attention_plan_sizes(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                        clseq_attention_sizes *out)
{
    CLSEQ__RETURN_IF(clseq__attention_check_shape("attention sizes", plan, shape));
    CLSEQ__NOT_NULL("attention sizes", out);
    return measure("attention sizes", plan, shape, out);
}

clseq_status clseq_attention_describe(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                      char *text, size_t size)
{
    const double mib = 1.0 / 1048576;
    clseq_attention_sizes sizes;
    char net[CLSEQ__ATTENTION_TEXT];
    CLSEQ__RETURN_IF(clseq__attention_check_shape("attention describe", plan, shape));
    if (!text || size == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "attention describe: %s",
                            text ? "size is 0, expected room for the text" : "text is NULL");
    CLSEQ__RETURN_IF(measure("attention describe", plan, shape, &sizes));
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    text[0] = '\0';
    print(text, size, "%s, T %" PRId64 ", S %" PRId64 ", B %" PRId64 ", %s\n",
          clseq__attention_text(&plan->desc, net), shape->T, shape->S, shape->B,
          training ? "training" : "inference");
    print(text, size, "queries: %s\n",
          plan->desc.location_channels ? "one after another, some launches each"
                                       : "all of a call in one launch, each by a work-group of its own");
    print(text, size, "memory: %.3f MiB memory, ", (double)sizes.memory * mib);
    if (training)
        print(text, size, "%.3f MiB reserve, ", (double)sizes.reserve * mib);
    print(text, size, "%.3f MiB workspace\n", (double)sizes.workspace * mib);
    return CLSEQ_OK;
}

static clseq_status make(const clseq_attention_plan *plan, int64_t bytes, clseq_tensor *out)
{
    return clseq_tensor_create(plan->ctx, CLSEQ_DTYPE_U8, 1, &bytes, out);
}

clseq_status clseq_attention_buffers_create(const clseq_attention_plan *plan,
                                            const clseq_attention_shape *shape, clseq_attention_buffers *out)
{
    clseq_status status = CLSEQ_OK;
    clseq_attention_buffers buffers = {.memory = {.buffer = NULL}};
    clseq_attention_sizes sizes;
    CLSEQ__NOT_NULL("attention buffers", out);
    *out = buffers;
    CLSEQ__NEEDS("attention buffers", plan);
    CLSEQ__TRY(clseq_attention_plan_sizes(plan, shape, &sizes));
    CLSEQ__TRY(make(plan, sizes.memory, &buffers.memory));
    if (shape->mode == CLSEQ_MODE_TRAINING)
        CLSEQ__TRY(make(plan, sizes.reserve, &buffers.reserve));
    CLSEQ__TRY(make(plan, sizes.workspace, &buffers.workspace));
    *out = buffers;
    buffers = (clseq_attention_buffers){.memory = {.buffer = NULL}};
done:
    clseq_attention_buffers_destroy(plan, &buffers);
    return status;
}

void clseq_attention_buffers_destroy(const clseq_attention_plan *plan, clseq_attention_buffers *buffers)
{
    if (!plan || !buffers)
        return;
    clseq_tensor_destroy(plan->ctx, &buffers->memory);
    clseq_tensor_destroy(plan->ctx, &buffers->reserve);
    clseq_tensor_destroy(plan->ctx, &buffers->workspace);
}
