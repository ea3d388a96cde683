#include "rnn_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const rnn_golden rnn_goldens[] = {
    {"lstm.txt", "lstm"},
    {"gru.txt", "gru"},
    {"rnn_tanh.txt", "rnn_tanh"},
    {"rnn_relu.txt", "rnn_relu"},
    {"lstm_no_bias.txt", "lstm"},
    {"lstm_bidirectional.txt", "lstm"},
    {"gru_bidirectional.txt", "gru"},
    {"rnn_tanh_bidirectional.txt", "rnn_tanh"},
    {"lstm_projection.txt", "lstm"},
    {"lstm_projection_bidirectional.txt", "lstm"},
    {"lstm_reverse.txt", "lstm"},
    {"gru_reverse.txt", "gru"},
    {"lstm_sum.txt", "lstm"},
    {"gru_sum.txt", "gru"},
    {"lstm_widths.txt", "lstm"},
    {"gru_widths_bidirectional.txt", "gru"},
    {"lstm_layer_norm.txt", "lstm"},
    {"gru_layer_norm.txt", "gru"},
    {"lstm_layer_norm_projection_bidirectional.txt", "lstm"},
    {"rnn_tanh_projection.txt", "rnn_tanh"},
    {"lstm_peephole.txt", "lstm_peephole"},
    {"lstm_peephole_projection_sum.txt", "lstm_peephole"},
    {"gru_reset_before.txt", "gru_reset_before"},
    {"gru_reset_before_bidirectional.txt", "gru_reset_before"},
    {"lstm_residual.txt", "lstm"},
    {"gru_residual_bidirectional.txt", "gru"},
    {"lstm_zoneout_bidirectional.txt", "lstm"},
    {"lstm_peephole_zoneout.txt", "lstm_peephole"},
    {"gru_zoneout_recurrent_dropout.txt", "gru"},
    {"gru_reset_before_recurrent_dropout.txt", "gru_reset_before"},
};
const int rnn_golden_count = sizeof rnn_goldens / sizeof rnn_goldens[0];

/* The numbers of the tensor "net" of a file. */
enum {
    NET_T,
    NET_B,
    NET_I,
    NET_L,
    NET_P,
    NET_LAYER_NORM,
    NET_DIRECTION,
    NET_MERGE,
    NET_BIAS,
    NET_RESIDUAL,
    NET_NUMBERS
};

/* A tensor's n whole numbers, to be freed. */
static int *ints_of(const golden *g, const char *name, int n)
{
    const double *values = golden_values(g, name, (size_t)n);
    int *ints = calloc((size_t)n, sizeof *ints);
    if (ints == NULL)
        abort();
    for (int i = 0; i < n; i++)
        ints[i] = (int)values[i];
    return ints;
}

/* Options that wrap the cell. */
static void set_options(const golden *g, reference_rnn *net)
{
    enum { CLIP, ZONEOUT_H, ZONEOUT_C, DROPOUT, SEED, STREAM, OPTIONS };
    const double *option = golden_values(g, "options", OPTIONS);
    net->cell_clip = option[CLIP];
    net->zoneout[0] = option[ZONEOUT_H];
    net->zoneout[1] = option[ZONEOUT_C];
    net->recurrent_dropout = option[DROPOUT];
    net->seed = (uint64_t)option[SEED];
    net->stream = (uint64_t)option[STREAM];
}

rnn_case *rnn_golden_case(const golden *g, const rnn_golden *file, bool ragged)
{
    int *number = ints_of(g, "net", NET_NUMBERS);
    int *lengths = ints_of(g, "lengths", number[NET_B]), *widths = ints_of(g, "widths", number[NET_L]);
    reference_rnn net = {.cell = reference_cell_find(file->cell),
                         .T = number[NET_T],
                         .B = number[NET_B],
                         .I = number[NET_I],
                         .H = widths[0],
                         .L = number[NET_L],
                         .P = number[NET_P],
                         .widths = widths,
                         .layer_norm = number[NET_LAYER_NORM] != 0,
                         .residual = number[NET_RESIDUAL] != 0,
                         .direction = (reference_direction)number[NET_DIRECTION],
                         .merge = (reference_merge)number[NET_MERGE],
                         .bias = (reference_bias)number[NET_BIAS],
                         .lengths = ragged ? lengths : NULL};
    if (golden_has(g, "options"))
        set_options(g, &net);
    rnn_case *c = rnn_case_create(&net, 1, 0);
    for (int i = 0; i < c->count; i++)
        if (c->n[i] > 0)
            memcpy(c->in[i], golden_values(g, rnn_input_name(c, i), c->n[i]), c->n[i] * sizeof(double));
    free(number);
    free(lengths);
    free(widths);
    return c;
}

void rnn_golden_want(const golden *g, rnn_case *c, bool ragged)
{
    for (int i = 0; i < c->count; i++) {
        char name[GOLDEN_MAX_NAME];
        snprintf(name, sizeof name, "%s%s", ragged ? "ragged/" : "full/", rnn_output_name(c, i));
        if (c->n[i] > 0)
            memcpy(c->want[i], golden_values(g, name, c->n[i]), c->n[i] * sizeof(double));
    }
}
