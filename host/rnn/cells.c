/* The cell table. */
#include "rnn/cells.h"
#include "core/error.h"
#include "core/text.h"
#include <stdio.h>
#include <string.h>

/* Rows and slots i f g o. */
#define LSTM_GATES(first)                                   \
    {                                                       \
        .slot = (first), .count = 4, .gate = { 0, 1, 2, 3 } \
    }

/* Rows r z n; slots n r z hn, so that n r z take the input's product and r z hn that of h. */
#define GRU_NRZ(first)                                   \
    {                                                    \
        .slot = (first), .count = 3, .gate = { 2, 0, 1 } \
    }
#define GRU_RZN(first)                                   \
    {                                                    \
        .slot = (first), .count = 3, .gate = { 0, 1, 2 } \
    }

#define ONE_GATE                             \
    {                                        \
        .slot = 0, .count = 1, .gate = { 0 } \
    }

static const clseq__cell cells[] = {
    {.id = CLSEQ_CELL_LSTM,
     .name = "lstm",
     .gates = 4,
     .slots = 4,
     .states = 2,
     .state = {"h", "c"},
     .input = LSTM_GATES(0),
     .bias_ih = LSTM_GATES(0),
     .bias_hh = LSTM_GATES(0),
     .phases = 1,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = LSTM_GATES(0)}},
     .clips_c = true},

    {.id = CLSEQ_CELL_GRU,
     .name = "gru",
     .gates = 3,
     .slots = 4,
     .states = 1,
     .state = {"h"},
     .input = GRU_NRZ(0),
     .bias_ih = GRU_NRZ(0),
     .bias_hh = GRU_RZN(1),
     .phases = 1,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = GRU_RZN(1)}},
     .carries_h = true},

    {.id = CLSEQ_CELL_RNN_TANH,
     .name = "rnn_tanh",
     .gates = 1,
     .slots = 1,
     .states = 1,
     .state = {"h"},
     .input = ONE_GATE,
     .bias_ih = ONE_GATE,
     .bias_hh = ONE_GATE,
     .phases = 1,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = ONE_GATE}}},

    {.id = CLSEQ_CELL_RNN_RELU,
     .name = "rnn_relu",
     .gates = 1,
     .slots = 1,
     .states = 1,
     .state = {"h"},
     .input = ONE_GATE,
     .bias_ih = ONE_GATE,
     .bias_hh = ONE_GATE,
     .phases = 1,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = ONE_GATE}}},

    /* Slots n r z. The first map writes r*h, the second reads its product. */
    {.id = CLSEQ_CELL_GRU_RESET_BEFORE,
     .name = "gru_reset_before",
     .gates = 3,
     .slots = 3,
     .states = 1,
     .state = {"h"},
     .set_by = {1},
     .quantities = 1,
     .input = GRU_NRZ(0),
     .bias_ih = GRU_NRZ(0),
     .bias_hh = GRU_NRZ(0),
     .phases = 2,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = {.slot = 1, .count = 2, .gate = {0, 1}}},
               {.operand = 0, .product = {.slot = 0, .count = 1, .gate = {2}}}},
     .carries_h = true},

    {.id = CLSEQ_CELL_LSTM_PEEPHOLE,
     .name = "lstm_peephole",
     .gates = 4,
     .slots = 4,
     .states = 2,
     .state = {"h", "c"},
     .parameters = 3,
     .input = LSTM_GATES(0),
     .bias_ih = LSTM_GATES(0),
     .bias_hh = LSTM_GATES(0),
     .phases = 1,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = LSTM_GATES(0)}},
     .clips_c = true,
     .own = {{"weight_ci", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_UNIT, {0, 1, {0}}},
             {"weight_cf", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_UNIT, {1, 1, {0}}},
             {"weight_co", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_UNIT, {2, 1, {0}}}}},

    /* Slots i f g o, tanh(norm(c')), the products as they are, of x and of h, and c'. */
    {.id = CLSEQ_CELL_LSTM,
     .layer_norm = true,
     .name = "lstm_norm",
     .gates = 4,
     .slots = 14,
     .states = 2,
     .state = {"h", "c"},
     .set_by = {1, 0},
     .parameters = 9,
     .input = LSTM_GATES(5),
     .bias_ih = LSTM_GATES(0),
     .bias_hh = LSTM_GATES(0),
     .phases = 2,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = LSTM_GATES(9), .norm = 0, .norms = 2},
               {.operand = CLSEQ__OPERAND_NONE, .norm = 2, .norms = 1}},
     .norms = 3,
     .norm = {{.source = 5, .count = 4, .target = 0, .gain = 0},
              {.source = 9, .count = 4, .target = 0, .gain = 4},
              {.source = 13, .count = 1, .target = 4, .gain = 8}},
     .clips_c = true,
     .own = {{"gain_ih", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_GAIN, LSTM_GATES(0)},
             {"gain_hh", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_GAIN, LSTM_GATES(4)},
             {"gain_c", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_GAIN, {8, 1, {0}}},
             {"bias_c", CLSEQ__PART_SLOTS, CLSEQ_RNN_WEIGHT_SHIFT, {4, 1, {0}}}}},

    /* Slots n r z hn, then the products as they are: n r z of x, r z hn of h. The maps are those of the plain GRU. */
    {.id = CLSEQ_CELL_GRU,
     .layer_norm = true,
     .name = "gru",
     .gates = 3,
     .slots = 10,
     .states = 1,
     .state = {"h"},
     .parameters = 6,
     .input = GRU_NRZ(4),
     .bias_ih = GRU_NRZ(0),
     .bias_hh = GRU_RZN(1),
     .phases = 1,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = GRU_RZN(7), .norm = 0, .norms = 2}},
     .norms = 2,
     .norm = {{.source = 4, .count = 3, .target = 0, .gain = 0},
              {.source = 7, .count = 3, .target = 1, .gain = 3}},
     .carries_h = true,
     .own = {{"gain_ih", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_GAIN, GRU_NRZ(0)},
             {"gain_hh", CLSEQ__PART_PARAMETERS, CLSEQ_RNN_WEIGHT_GAIN, GRU_RZN(3)}}},
};
enum { CELLS = sizeof cells / sizeof cells[0] };

const clseq__cell *clseq__cell_of(clseq_cell cell, bool layer_norm)
{
    for (int i = 0; i < CELLS; i++)
        if (cells[i].id == cell && cells[i].layer_norm == layer_norm)
            return &cells[i];
    return NULL;
}

/* Names by enumerator: those of the public list. */
static const char *const names[] = {
#define NAME(enumerator, name, number) [number] = #name,
    CLSEQ_CELL_LIST(NAME)
#undef NAME
};

_Static_assert(sizeof names / sizeof names[0] == CLSEQ_CELL_COUNT,
               "CLSEQ_CELL_COUNT: expected the length of the list");

int64_t clseq_cell_gates(clseq_cell cell)
{
    const clseq__cell *found = clseq__cell_of(cell, false);
    return found ? found->gates : 0;
}

int clseq_cell_states(clseq_cell cell)
{
    const clseq__cell *found = clseq__cell_of(cell, false);
    return found ? found->states : 0;
}

const char *clseq_cell_name(clseq_cell cell)
{
    return (int)cell >= 0 && cell < CLSEQ_CELL_COUNT ? names[cell] : "unknown";
}

clseq_status clseq_cell_find(const char *name, clseq_cell *out)
{
    char list[256] = "";
    CLSEQ__NOT_NULL("cell find", name);
    CLSEQ__NOT_NULL("cell find", out);
    for (int i = 0; i < CLSEQ_CELL_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (clseq_cell)i;
            return CLSEQ_OK;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    return clseq__error(CLSEQ_NOT_FOUND, "cell find: name is \"%s\", expected one of %s", CLSEQ__SHOW(name),
                        list);
}

int clseq__cell_parts(const clseq__cell *cell, clseq_bias bias, bool is_projected,
                      clseq__part parts[CLSEQ__MAX_PARTS])
{
    /* Those that every cell has, and the modes of bias and projection in which it does. */
    const struct {
        clseq__part part;
        bool is_there;
    } common[] = {
        {{"weight_ih", CLSEQ__PART_INPUT, CLSEQ_RNN_WEIGHT_INPUT, {0}}, true},
        {{"weight_hh", CLSEQ__PART_RECURRENT, CLSEQ_RNN_WEIGHT_RECURRENT, {0}}, true},
        {{"bias_ih", CLSEQ__PART_SLOTS, CLSEQ_RNN_WEIGHT_BIAS, cell->bias_ih}, bias != CLSEQ_BIAS_NONE},
        {{"bias_hh", CLSEQ__PART_SLOTS, CLSEQ_RNN_WEIGHT_BIAS, cell->bias_hh}, bias == CLSEQ_BIAS_BOTH},
        {{"weight_hr", CLSEQ__PART_PROJECTION, CLSEQ_RNN_WEIGHT_PROJECTION, {0}}, is_projected},
    };
    int n = 0;
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (common[i].is_there)
            parts[n++] = common[i].part;
    for (const clseq__part *own = cell->own; own->name; own++)
        parts[n++] = *own;
    return n;
}

/* Appends "-DNAME=value" to the options. */
static void define(char *text, const char *name, int index, int value)
{
    char number[12] = "";
    if (index >= 0)
        snprintf(number, sizeof number, "%d", index);
    snprintf(text + strlen(text), CLSEQ__CELL_OPTIONS - strlen(text), " -D%s%s=%d", name, number, value);
}

clseq__cell_extras clseq__cell_extras_of(const clseq_rnn_desc *desc)
{
    return (clseq__cell_extras){.clip = desc->cell_clip,
                                .zoneout = {desc->zoneout_h, desc->zoneout_c},
                                .recurrent_dropout = desc->recurrent_dropout};
}

void clseq__cell_options(const clseq__cell *cell, bool is_projected, const clseq__cell_extras *extras,
                         char text[CLSEQ__CELL_OPTIONS])
{
    int kept = 0;
    for (int k = 0; k < CLSEQ__MAX_STATES; k++)
        kept |= (extras->zoneout[k] > 0) << k;
    snprintf(text, CLSEQ__CELL_OPTIONS, "-DCELL=%s", cell->name);
    define(text, "SLOTS", -1, cell->slots);
    define(text, "STATES", -1, cell->states);
    define(text, "QUANTITIES", -1, cell->quantities);
    define(text, "PARAMETERS", -1, cell->parameters);
    define(text, "MAP_CARRIES_H", -1, cell->carries_h);
    define(text, "CELL_CLIP", -1, extras->clip > 0);
    define(text, "ZONEOUT", -1, kept);
    define(text, "RECURRENT_DROPOUT", -1, extras->recurrent_dropout > 0);
    define(text, "PROJECTED", -1, is_projected);
    define(text, "INPUT_SLOT", -1, cell->input.slot);
    define(text, "INPUT_COUNT", -1, cell->input.count);
    define(text, "PHASES", -1, cell->phases);
    define(text, "NORMS", -1, cell->norms);
    for (int k = 0; k < CLSEQ__MAX_STATES; k++)
        define(text, "SET_BY_", k, cell->set_by[k]);
    for (int p = 0; p < cell->phases; p++) {
        const clseq__phase *phase = &cell->phase[p];
        define(text, "OPERAND_", p, phase->operand);
        define(text, "SLOT_", p, phase->product.slot);
        define(text, "COUNT_", p, phase->product.count);
        define(text, "NORM_", p, phase->norm);
        define(text, "NORMS_", p, phase->norms);
    }
    for (int k = 0; k < cell->norms; k++) {
        const clseq__norm *norm = &cell->norm[k];
        define(text, "SOURCE_", k, norm->source);
        define(text, "VALUES_", k, norm->count);
        define(text, "TARGET_", k, norm->target);
        define(text, "GAIN_", k, norm->gain);
    }
}

int clseq__slot_runs(const clseq__slots *slots, clseq__slot_run runs[CLSEQ__MAX_GATES])
{
    int count = 0;
    for (int k = 0; k < slots->count; k++) {
        if (count > 0 && runs[count - 1].gate + runs[count - 1].count == slots->gate[k])
            runs[count - 1].count++;
        else
            runs[count++] = (clseq__slot_run){.slot = slots->slot + k, .gate = slots->gate[k], .count = 1};
    }
    return count;
}
