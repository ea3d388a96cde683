/* A plan in words. */
#include "core/error.h"
#include "rnn/check.h"
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

static const char *const directions[] = {[CLSEQ_DIRECTION_FORWARD] = "",
                                         [CLSEQ_DIRECTION_REVERSE] = ", reverse",
                                         [CLSEQ_DIRECTION_BIDIRECTIONAL] = ", bidirectional"};

const char *clseq__rnn_desc_text(const clseq_rnn_desc *desc, char text[CLSEQ__DESC_TEXT])
{
    const bool sums = desc->direction == CLSEQ_DIRECTION_BIDIRECTIONAL && desc->merge == CLSEQ_MERGE_SUM;
    text[0] = '\0';
    print(text, CLSEQ__DESC_TEXT, "%s, %" PRId64 " layer%s%s%s, input %" PRId64 "%s, hidden",
          clseq_cell_name(desc->cell), desc->layers, desc->layers == 1 ? "" : "s",
          directions[desc->direction], sums ? " (sum)" : "", desc->input, desc->one_hot ? " (one-hot)" : "");
    for (int64_t l = 0; l < (desc->widths ? desc->layers : 1) && l < 8; l++)
        print(text, CLSEQ__DESC_TEXT, " %" PRId64, desc->widths ? desc->widths[l] : desc->hidden);
    if (desc->widths && desc->layers > 8)
        print(text, CLSEQ__DESC_TEXT, " ..");
    if (desc->projection)
        print(text, CLSEQ__DESC_TEXT, ", projection %" PRId64, desc->projection);
    if (desc->dropout > 0.0f)
        print(text, CLSEQ__DESC_TEXT, ", %sdropout %g", desc->variational_dropout ? "variational " : "",
              (double)desc->dropout);
    if (desc->residual)
        print(text, CLSEQ__DESC_TEXT, ", residual");
    if (desc->layer_norm)
        print(text, CLSEQ__DESC_TEXT, ", layer_norm");
    if (desc->cell_clip > 0)
        print(text, CLSEQ__DESC_TEXT, ", cell_clip %g", (double)desc->cell_clip);
    if (desc->zoneout_h > 0)
        print(text, CLSEQ__DESC_TEXT, ", zoneout_h %g", (double)desc->zoneout_h);
    if (desc->zoneout_c > 0)
        print(text, CLSEQ__DESC_TEXT, ", zoneout_c %g", (double)desc->zoneout_c);
    if (desc->recurrent_dropout > 0)
        print(text, CLSEQ__DESC_TEXT, ", recurrent_dropout %g", (double)desc->recurrent_dropout);
    return text;
}

static void print_pass(char *text, size_t size, const char *pass, int64_t launches, double flop)
{
    print(text, size, "%s: at most %" PRId64 " launch%s, %.3g GFLOP\n", pass, launches,
          launches == 1 ? "" : "es", flop * 1e-9);
}

/* The reserve is one a layer: its largest, and all together. */
static void print_memory(char *text, size_t size, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                         const clseq_rnn_sizes *sizes)
{
    const double mib = 1.0 / 1048576;
    double all = 0;
    print(text, size, "memory: %.3f MiB packed weights, ", (double)sizes->packed * mib);
    if (shape->mode == CLSEQ_MODE_TRAINING) {
        for (int64_t l = 0; l < plan->desc.layers; l++)
            all += (double)clseq__stack_reserve(plan, shape, l) * mib;
        print(text, size, "%.3f MiB reserve", all);
        if (plan->desc.layers > 1)
            print(text, size, " (%.3f MiB in the largest layer)", (double)sizes->reserve * mib);
        print(text, size, ", ");
    }
    print(text, size, "%.3f MiB workspace\n", (double)sizes->workspace * mib);
}

/* The schedule's own lines, of the first layer and of each whose lines are others than those of the layer below. */
static void print_layers(char *text, size_t size, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    const clseq__rnn_schedule *schedule = clseq__rnn_form_of(plan, shape)->schedule;
    char lines[2][1024] = {"", ""};
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        char *own = lines[l % 2];
        own[0] = '\0';
        schedule->describe(clseq__rnn_layer_at(plan, l, 0), shape, own, sizeof lines[0]);
        if (l > 0 && strcmp(own, lines[1 - l % 2]) == 0)
            continue;
        if (l > 0)
            print(text, size, "layer %" PRId64 ":\n", l);
        print(text, size, "%s", own);
    }
}

clseq_status clseq_rnn_describe(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, char *text,
                                size_t size)
{
    clseq_rnn_sizes sizes;
    char net[CLSEQ__DESC_TEXT];
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn describe", plan, shape));
    if (!text || size == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn describe: %s",
                            text ? "size is 0, expected room for the text" : "text is NULL");
    clseq__stack_sizes(plan, shape, &sizes);
    CLSEQ__RETURN_IF(clseq__rnn_check_sizes("rnn describe", plan, &sizes));
    const clseq__rnn_form *form = clseq__rnn_form_of(plan, shape);
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    text[0] = '\0';
    print(text, size, "%s, T %" PRId64 ", B %" PRId64 ", %s\nschedule %s: %s\n",
          clseq__rnn_desc_text(&plan->desc, net), shape->T, shape->B, training ? "training" : "inference",
          clseq_schedule_name(form->schedule->id), form->why);
    print_pass(text, size, "forward", sizes.launches_forward, sizes.flop_forward);
    if (training)
        print_pass(text, size, "backward", sizes.launches_backward, 2 * sizes.flop_forward);
    print_memory(text, size, plan, shape, &sizes);
    print_layers(text, size, plan, shape);
    return CLSEQ_OK;
}
