#include "rnn_variant.h"

const rnn_variant rnn_variants[RNN_VARIANTS] = {
    [RNN_PLAIN] = {.title = "plain"},
    [RNN_REVERSE] = {.title = "reverse", .direction = REFERENCE_REVERSE},
    [RNN_BOTH] = {.title = "bidirectional", .direction = REFERENCE_BIDIRECTIONAL},
    [RNN_SUMMED] = {.title = "summed", .direction = REFERENCE_BIDIRECTIONAL, .merge = REFERENCE_SUM},
    [RNN_PROJECTED] = {.title = "projection", .projection = true},
    [RNN_WIDTHS] = {.title = "widths", .widths = true},
    [RNN_NORMED] = {.title = "layer norm", .layer_norm = true},
    [RNN_REVERSE_WITH_OPTIONS] = {.title = "reverse, projection, widths",
                                  .direction = REFERENCE_REVERSE,
                                  .projection = true,
                                  .widths = true},
    [RNN_BOTH_WITH_OPTIONS] = {.title = "bidirectional, projection, widths, layer norm",
                               .direction = REFERENCE_BIDIRECTIONAL,
                               .projection = true,
                               .widths = true,
                               .layer_norm = true},
    [RNN_SUMMED_WITH_OPTIONS] = {.title = "summed, projection, layer norm",
                                 .direction = REFERENCE_BIDIRECTIONAL,
                                 .merge = REFERENCE_SUM,
                                 .projection = true,
                                 .layer_norm = true},
    [RNN_DROPPED] = {.title = "dropout, residual", .residual = true, .dropout = true},
    [RNN_DROPPED_BOTH] = {.title = "bidirectional, projection, variational dropout, residual",
                          .direction = REFERENCE_BIDIRECTIONAL,
                          .projection = true,
                          .residual = true,
                          .dropout = true,
                          .variational = true},
    [RNN_ZONEOUT] = {.title = "bidirectional, zoneout, cell clip",
                     .direction = REFERENCE_BIDIRECTIONAL,
                     .cell_clip = true,
                     .zoneout = true},
    [RNN_ZONEOUT_WITH_OPTIONS] = {.title =
                                      "reverse, widths, layer norm, cell clip, zoneout, recurrent dropout",
                                  .direction = REFERENCE_REVERSE,
                                  .widths = true,
                                  .layer_norm = true,
                                  .cell_clip = true,
                                  .zoneout = true,
                                  .recurrent_dropout = true},
};

bool rnn_variant_apply(const rnn_variant *variant, reference_rnn *net, int widths[RNN_VARIANT_LAYERS])
{
    net->direction = variant->direction;
    net->merge = variant->merge;
    net->layer_norm = variant->layer_norm && net->cell->layer_norm;
    net->P = variant->projection && !net->cell->carries_h ? (net->H + 1) / 2 : 0;
    net->residual = variant->residual;
    net->dropout = variant->dropout ? 0.375 : 0;
    net->variational = variant->variational;
    net->cell_clip = variant->cell_clip && net->cell->clips ? 0.5 : 0;
    net->zoneout[0] = variant->zoneout && net->P == 0 ? 0.25 : 0;
    net->zoneout[1] = variant->zoneout && net->cell->states > 1 ? 0.375 : 0;
    net->recurrent_dropout = variant->recurrent_dropout ? 0.375 : 0;
    net->seed = RNN_VARIANT_SEED;
    net->stream = RNN_VARIANT_STREAM;
    for (int l = 0; l < net->L; l++)
        widths[l] = net->H + l * 5 % 7;
    if (variant->widths)
        net->widths = widths;
    if (net->residual || net->dropout > 0)
        return net->L > 1;
    return variant == &rnn_variants[RNN_PLAIN] || net->direction != REFERENCE_FORWARD || net->P ||
           net->widths || net->layer_norm || net->cell_clip > 0 || reference_rnn_draws(net);
}
