/* Sizes of a net, the table of its weights, and the masks of its dropout. */
#include "rnn.h"

#include "philox.h"

#include <stdio.h>
#include <stdlib.h>

int reference_rnn_directions(const reference_rnn *net)
{
    return net->direction == REFERENCE_BIDIRECTIONAL ? 2 : 1;
}

int reference_rnn_hidden(const reference_rnn *net, int layer)
{
    return net->widths != NULL ? net->widths[layer] : net->H;
}

int reference_rnn_state_width(const reference_rnn *net, int state, int layer)
{
    return state == 0 && net->P > 0 ? net->P : reference_rnn_hidden(net, layer);
}

int reference_rnn_outputs(const reference_rnn *net, int layer)
{
    const int halves = net->merge == REFERENCE_CONCAT ? reference_rnn_directions(net) : 1;
    return halves * reference_rnn_state_width(net, 0, layer);
}

int reference_rnn_inputs(const reference_rnn *net, int layer)
{
    return layer == 0 ? net->I : reference_rnn_outputs(net, layer - 1);
}

size_t reference_rnn_state_offset(const reference_rnn *net, int state, int layer, int direction)
{
    const int D = reference_rnn_directions(net);
    size_t rows = 0;
    for (int l = 0; l < layer; l++)
        rows += (size_t)(D * reference_rnn_state_width(net, state, l));
    if (layer < net->L)
        rows += (size_t)(direction * reference_rnn_state_width(net, state, layer));
    return rows * (size_t)net->B;
}

/* How many parameters of a unit the cell has. */
static int parameters(const reference_cell *cell)
{
    int n = 0;
    while (n < REFERENCE_MAX_PARAMETERS && cell->parameter_names[n] != NULL)
        n++;
    return n;
}

static bool has_weight(const reference_rnn *net, reference_weight_kind kind)
{
    if (kind == REFERENCE_BIAS_IH)
        return net->bias != REFERENCE_BIAS_NONE;
    if (kind == REFERENCE_BIAS_HH)
        return net->bias == REFERENCE_BIAS_DOUBLE;
    if (kind == REFERENCE_WEIGHT_HR)
        return net->P > 0;
    if (kind >= REFERENCE_PARAMETER && kind < REFERENCE_GAIN_IH)
        return (int)kind - REFERENCE_PARAMETER < parameters(net->cell);
    if (kind == REFERENCE_GAIN_STATE || kind == REFERENCE_BIAS_STATE)
        return net->layer_norm && net->cell->normed_state > 0;
    return kind < REFERENCE_GAIN_IH || net->layer_norm;
}

/* "weight_ih", or for a weight of a state or of a unit, what the cell calls it. */
static void base_name(const reference_rnn *net, reference_weight_kind kind, char *name, size_t size)
{
    static const char *const names[REFERENCE_WEIGHT_KINDS] = {
        [REFERENCE_WEIGHT_IH] = "weight_ih", [REFERENCE_WEIGHT_HH] = "weight_hh",
        [REFERENCE_BIAS_IH] = "bias_ih",     [REFERENCE_BIAS_HH] = "bias_hh",
        [REFERENCE_WEIGHT_HR] = "weight_hr", [REFERENCE_GAIN_IH] = "gain_ih",
        [REFERENCE_GAIN_HH] = "gain_hh",     [REFERENCE_GAIN_STATE] = "gain_",
        [REFERENCE_BIAS_STATE] = "bias_"};
    const bool of_state = kind == REFERENCE_GAIN_STATE || kind == REFERENCE_BIAS_STATE;
    snprintf(name, size, "%s%s",
             names[kind] != NULL ? names[kind] : net->cell->parameter_names[kind - REFERENCE_PARAMETER],
             of_state ? net->cell->state_names[net->cell->normed_state] : "");
}

/* A weight's rows and, for matrices, columns; 0 columns for a vector. */
static void dims_of(const reference_rnn *net, reference_weight *w)
{
    const size_t H = (size_t)reference_rnn_hidden(net, w->layer), GH = (size_t)net->cell->gates * H;
    const size_t rows[REFERENCE_WEIGHT_KINDS] = {[REFERENCE_WEIGHT_IH] = GH,
                                                 [REFERENCE_WEIGHT_HH] = GH,
                                                 [REFERENCE_BIAS_IH] = GH,
                                                 [REFERENCE_BIAS_HH] = GH,
                                                 [REFERENCE_GAIN_IH] = GH,
                                                 [REFERENCE_GAIN_HH] = GH,
                                                 [REFERENCE_WEIGHT_HR] = (size_t)net->P};
    const size_t columns[REFERENCE_WEIGHT_KINDS] = {
        [REFERENCE_WEIGHT_IH] = (size_t)reference_rnn_inputs(net, w->layer),
        [REFERENCE_WEIGHT_HH] = (size_t)reference_rnn_state_width(net, 0, w->layer),
        [REFERENCE_WEIGHT_HR] = H};
    w->dims[0] = rows[w->kind] > 0 ? rows[w->kind] : H;
    w->dims[1] = columns[w->kind];
    w->ndim = w->dims[1] > 0 ? 2 : 1;
    w->n = w->dims[0] * (w->ndim == 2 ? w->dims[1] : 1);
}

/* The kinds of weights that every layer and direction of the net has, in their order; returns how many. */
static int kinds_of(const reference_rnn *net, reference_weight_kind kinds[REFERENCE_WEIGHT_KINDS])
{
    int n = 0;
    for (int kind = 0; kind < REFERENCE_WEIGHT_KINDS; kind++)
        if (has_weight(net, (reference_weight_kind)kind))
            kinds[n++] = (reference_weight_kind)kind;
    return n;
}

int reference_rnn_weight_count(const reference_rnn *net)
{
    reference_weight_kind kinds[REFERENCE_WEIGHT_KINDS];
    return net->L * reference_rnn_directions(net) * kinds_of(net, kinds);
}

reference_weight reference_rnn_weight(const reference_rnn *net, int index)
{
    reference_weight_kind kinds[REFERENCE_WEIGHT_KINDS];
    const int each = kinds_of(net, kinds), D = reference_rnn_directions(net);
    reference_weight w = {
        .kind = kinds[index % each], .layer = index / (each * D), .direction = index / each % D};
    char base[20];
    if (index < 0 || index >= reference_rnn_weight_count(net))
        abort();
    base_name(net, w.kind, base, sizeof base);
    snprintf(w.name, sizeof w.name, "%s_l%d%s", base, w.layer, w.direction == 1 ? "_reverse" : "");
    dims_of(net, &w);
    return w;
}

/* ---- dropout ---- */

double reference_rnn_mask(const reference_rnn *net, int layer, int t, int b, int f)
{
    const uint64_t row = (uint64_t)((net->variational ? 0 : t) * net->B + b);
    const uint64_t position = row * (uint64_t)reference_rnn_outputs(net, layer) + (uint64_t)f;
    const double number =
        reference_random_uniform(net->seed, net->stream, ((uint64_t)layer << 34) + position);
    return number >= net->dropout ? 1 / (1 - net->dropout) : 0;
}
