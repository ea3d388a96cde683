/*
 * The recurrent cells, one row each. Everything that differs between cells stands here and in
 * cl/rnn/cells/NAME.clh, which holds the equations; schedules, tests and benchmarks go through the rows.
 *
 *     const char *names[] = {
 *     #define NAME(enumerator, name, ...) #name,
 *         CLSEQ_CELL_LIST(NAME)
 *     #undef NAME
 *     };
 *     printf("%s\n", names[CLSEQ_CELL_GRU]);
 *
 * A cell sees, for each unit, a few slots: places that hold pre-activations, then activations, then their
 * gradients. The product of the input goes to `gates` slots from x_slot on, that of the last output to
 * `gates` slots from h_slot on (they overlap where the two are simply added), and x_gates, h_gates say which
 * block of rows of weight_ih and weight_hh each of these slots comes from. States: h, and c where there are
 * two.
 *
 * X(enumerator, name, gates, states, slots, x_slot, x_gates, h_slot, h_gates, carries_h)
 *   carries_h: h' also depends on h directly, beside the recurrent product (GRU: z*h)
 */
#ifndef CLSEQ_CELLS_H
#define CLSEQ_CELLS_H

/*
 * LSTM      rows and slots i f g o               i = s(.)  f = s(.)  g = tanh(.)  o = s(.)
 *           states h c                           c' = f*c + i*g    h' = o*tanh(c')
 * GRU       rows r z n, slots n r z hn           r = s(.)  z = s(.)  n = tanh(Wn x + b_in + r*(Un h + b_hn))
 *           state h                              h' = (1-z)*n + z*h
 * RNN_TANH  one row block, one slot, state h     h' = tanh(W x + U h + b)
 * RNN_RELU  the same                             h' = max(W x + U h + b, 0)
 *
 * with (.) = W x + b_ih + U h + b_hh of the gate and s the logistic function.
 */
#define CLSEQ_CELL_LIST(X)                            \
    X(LSTM, lstm, 4, 2, 4, 0, "0123", 0, "0123", 0)   \
    X(GRU, gru, 3, 1, 4, 0, "201", 1, "012", 1)       \
    X(RNN_TANH, rnn_tanh, 1, 1, 1, 0, "0", 0, "0", 0) \
    X(RNN_RELU, rnn_relu, 1, 1, 1, 0, "0", 0, "0", 0)

typedef enum clseq_cell {
#define CLSEQ_CELL_ENUM(enumerator, ...) CLSEQ_CELL_##enumerator,
    CLSEQ_CELL_LIST(CLSEQ_CELL_ENUM)
#undef CLSEQ_CELL_ENUM
        CLSEQ_CELL_COUNT
} clseq_cell;

#endif
