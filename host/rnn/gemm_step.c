/* The schedule gemm_step: what it is to a plan. gemm_step.h tells how it works. */
#include "rnn/gemm_step.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool applicable(const clseq_context *ctx, const char **why)
{
    (void)ctx;
    *why = "it runs on every device";
    return true;
}

static clseq_status create(const clseq__rnn_layer *layer, void **out)
{
    const struct {
        const char *name, *file;
        bool has;
    } kernels[] = {
#define KERNEL(enumerator, name, file, has) {name, "rnn/" file ".cl", has},
        CLSEQ__GEMM_STEP_KERNELS(KERNEL)
#undef KERNEL
    };
    clseq_status status = CLSEQ_OK;
    clseq__gemm_step *data = calloc(1, sizeof *data);
    if (!data)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    for (int i = 0; i < CLSEQ__GEMM_STEP_KERNEL_COUNT; i++)
        if (kernels[i].has)
            CLSEQ__TRY(clseq__kernel_get(layer->ctx, kernels[i].file, layer->options, kernels[i].name,
                                         &data->kernels[i]));
    *out = data;
    data = NULL;
done:
    free(data);
    return status;
}

static void destroy(void *data)
{
    free(data);
}

/* Launches a step of either pass: products, norms and maps of its phases, the projection's product and kernel, a mask. */
static int64_t step_launches(const clseq__rnn_layer *layer)
{
    const clseq__cell *cell = layer->cell;
    int64_t launches = cell->phases + (layer->is_projected ? 2 : 0) + (layer->extras.recurrent_dropout > 0);
    for (int k = 0; k < cell->phases; k++)
        launches += cell->phase[k].operand != CLSEQ__OPERAND_NONE;
    for (int k = 0; k < cell->norms; k++)
        launches += !clseq__gemm_step_is_ahead(cell, k);
    return launches;
}

static void sizes(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__layer_sizes *out)
{
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const clseq__cell *cell = layer->cell;
    gemm_step_layer r = clseq__gemm_step_layer_of(layer, shape);
    const int64_t kept = clseq__gemm_step_place_kept(layer, shape, 0, &r), rows = shape->T * shape->B;
    const int64_t steps = shape->T * (step_launches(layer) + (shape->in_pieces ? cell->states : 0));
    out->packed_forward = clseq__gemm_step_place_packed(layer, 0, &r);
    out->packed_backward = 0;
    out->reserve = training ? kept : 0;
    out->workspace = clseq__gemm_step_place_scratch(layer, training, 0, &r) + (training ? 0 : kept);
    out->chain = training ? 0 : (shape->T + 1) * shape->B * layer->output;
    out->dchain = training ? rows * layer->input : 0;
    /* x; bias and product of the input; states in and out, and a mask */
    out->launches_forward = 4 + cell->norms + 2 * cell->states + steps;
    /* x; dstates in and out, zeros; dx and its copy; for each gate of a weight a product or a sum of two kernels */
    out->launches_backward =
        4 + cell->norms + 2 * cell->states + steps + 2 * (int64_t)layer->part_count * cell->gates;
}

static clseq__place output(const clseq__layer_pass *args)
{
    const clseq__gemm_step_pass p = clseq__gemm_step_begin(args, false);
    const clseq_tensor h = clseq__gemm_step_after(&p, 0, 0, args->count);
    return (clseq__place){.buffer = h.buffer, .at = h.offset};
}

/* Appends to the text what still fits. */
#define ADD(...) snprintf(text + strlen(text), size - strlen(text), __VA_ARGS__)

static void describe(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, char *text, size_t size)
{
    const clseq__cell *cell = layer->cell;
    const int64_t T = shape->T, B = shape->B, H = layer->hidden;
    if (size == 0)
        return;
    text[0] = '\0';
    if (layer->one_hot)
        ADD("rows of a table [%" PRId64 ",%" PRId64 "] once", layer->input, cell->input.count * H);
    else
        ADD("one product [%" PRId64 ",%" PRId64 "] by [%" PRId64 ",%" PRId64 "]", T * B, layer->input,
            layer->input, cell->input.count * H);
    ADD(", then %" PRId64 " times", T);
    for (int k = 0; k < cell->phases; k++) {
        const clseq__phase *phase = &cell->phase[k];
        if (phase->operand != CLSEQ__OPERAND_NONE)
            ADD(" [%" PRId64 ",%" PRId64 "] by [%" PRId64 ",%" PRId64 "],", B, layer->output, layer->output,
                phase->product.count * H);
        ADD("%s a pointwise kernel%s", phase->norms ? " statistics of rows," : "",
            k < cell->phases - 1 ? "," : "");
    }
    if (layer->is_projected)
        ADD(", [%" PRId64 ",%" PRId64 "] by [%" PRId64 ",%" PRId64 "]", B, H, H, layer->output);
    ADD("\n");
}

const clseq__rnn_schedule clseq__rnn_gemm_step = {.id = CLSEQ_SCHEDULE_GEMM_STEP,
                                                  .applicable = applicable,
                                                  .create = create,
                                                  .destroy = destroy,
                                                  .sizes = sizes,
                                                  .output = output,
                                                  .pack = clseq__gemm_step_pack,
                                                  .forward = clseq__gemm_step_forward,
                                                  .backward = clseq__gemm_step_backward,
                                                  .weights = clseq__gemm_step_weights,
                                                  .describe = describe};
