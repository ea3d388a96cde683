/* Meters: a weighted mean that is added up on the device. */
#include "train/meter.h"

#include "core/context.h"
#include "core/launch.h"
#include "core/tensor.h"
#include "train/graph.h"
#include <math.h>
#include <stdlib.h>

/* Elements of the accumulator: each sum as a float and what rounding took from it. */
enum { SUM, SUM_REST, WEIGHT, WEIGHT_REST, PARTS = CLSEQ__METER_PARTS };

struct clseq_meter {
    clseq_context *ctx;
    clseq__kernel *add;
    clseq_tensor parts;
};

clseq_status clseq_meter_create(clseq_context *ctx, clseq_meter **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_meter *meter = NULL;
    CLSEQ__MAKES("meter create", out);
    CLSEQ__NEEDS("meter create", ctx);
    meter = calloc(1, sizeof *meter);
    if (!meter)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "meter create: no memory for the meter");
    meter->ctx = clseq__context_retain(ctx);
    CLSEQ__TRY(clseq__kernel_get(ctx, "train/", NULL, "meter_add", &meter->add));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){PARTS}, &meter->parts));
    CLSEQ__TRY(clseq_meter_reset(meter));
    *out = meter;
    meter = NULL;
done:
    clseq_meter_destroy(meter);
    return clseq__made("meter create", status);
}

void clseq_meter_destroy(clseq_meter *meter)
{
    if (!meter)
        return;
    clseq_tensor_destroy(meter->ctx, &meter->parts);
    clseq__context_release(meter->ctx);
    free(meter);
}

void clseq_meter_add(clseq_graph *g, clseq_meter *meter, clseq_var *x, float weight)
{
    static const char op[] = "meter add";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL;
    char text[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op))
        return;
    if (!meter)
        CLSEQ__TRY(clseq__error_null(op, "meter"));
    if (meter->ctx != g->ctx)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: the meter belongs to another context", op);
    CLSEQ__TRY(clseq__op_input(g, op, "x", x, CLSEQ_DTYPE_F32, &in));
    if (clseq_tensor_elements(&in->value) != 1)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "%s: x has shape %s, expected one element", op,
                    clseq__dims_text(text, in->value.ndim, in->value.dims));
    if (!(weight >= 0.0f) || !isfinite(weight))
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: weight is %g, expected a finite number of at least 0", op,
                    (double)weight);
    CLSEQ__TRY(clseq__launch(g->ctx, meter->add, CLSEQ__GRID1(1, 1),
                             CLSEQ__ARGS(CLSEQ__M(in->value.buffer), CLSEQ__L(in->value.offset),
                                         CLSEQ__F(weight), CLSEQ__M(meter->parts.buffer))));
done:
    clseq__op_leave(g, op, status, NULL);
}

/* A sum and its rest; a sum that is NaN or infinite has no meaningful rest. */
static double joined(float sum, float rest)
{
    return isfinite(sum) ? (double)sum + (double)rest : (double)sum;
}

clseq_status clseq__meter_get(const clseq_meter *meter, float parts[CLSEQ__METER_PARTS])
{
    return clseq_tensor_read(meter->ctx, &meter->parts, parts);
}

clseq_status clseq__meter_set(clseq_meter *meter, const float parts[CLSEQ__METER_PARTS])
{
    return clseq_tensor_write(meter->ctx, &meter->parts, parts);
}

double clseq__meter_weight(const float parts[CLSEQ__METER_PARTS])
{
    return joined(parts[WEIGHT], parts[WEIGHT_REST]);
}

double clseq__meter_mean(const float parts[CLSEQ__METER_PARTS])
{
    const double weight = clseq__meter_weight(parts), sum = joined(parts[SUM], parts[SUM_REST]);
    return weight != 0.0 ? sum / weight : sum;
}

clseq_status clseq_meter_read(const clseq_meter *meter, double *mean)
{
    float parts[PARTS];
    CLSEQ__NEEDS("meter read", meter);
    CLSEQ__NOT_NULL("meter read", mean);
    CLSEQ__RETURN_IF(clseq__meter_get(meter, parts));
    *mean = clseq__meter_mean(parts);
    if (!isfinite(*mean))
        return clseq__error(CLSEQ_NOT_FINITE, "meter read: the mean is %g", *mean);
    return CLSEQ_OK;
}

clseq_status clseq_meter_reset(clseq_meter *meter)
{
    CLSEQ__NEEDS("meter reset", meter);
    return clseq_tensor_fill(meter->ctx, &meter->parts, 0.0);
}
