/*
 * The recurrent cells: their equations and their names. How a cell is put together inside the library stands in
 * host/rnn/cells.c, its equations as code in cl/rnn/cells/NAME.clh.
 *
 *     const char *names[] = {
 *     #define NAME(enumerator, name, number) #name,
 *         CLSEQ_CELL_LIST(NAME)
 *     #undef NAME
 *     };
 *     printf("%s\n", names[CLSEQ_CELL_GRU]);
 *
 * LSTM              rows i f g o            i = s(.)  f = s(.)  g = tanh(.)  o = s(.)
 * .                 states h c              c' = f*c + i*g    h' = o*tanh(c')
 * GRU               rows r z n, state h     r = s(.)  z = s(.)  n = tanh(Wn x + b_in + r*(Un h + b_hn))
 * .                                         h' = (1-z)*n + z*h
 * RNN_TANH          state h                 h' = tanh(W x + U h + b)
 * RNN_RELU          state h                 h' = max(W x + U h + b, 0)
 * GRU_RESET_BEFORE  rows r z n, state h     r = s(.)  z = s(.)  n = tanh(Wn x + Un (r*h) + b_n)
 * .                                         h' = (1-z)*n + z*h
 * LSTM_PEEPHOLE     rows i f g o            i = s(. + w_ci*c)  f = s(. + w_cf*c)  g = tanh(.)
 * .                 states h c              c' = f*c + i*g    o = s(. + w_co*c')    h' = o*tanh(c')
 *
 * with (.) = W x + b_ih + U h + b_hh of the gate, s the logistic function, * between vectors element by element.
 *
 * LSTM: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. GRU: Cho et al. 2014, with the
 * reset gate after the recurrent product as in PyTorch and cuDNN; GRU_RESET_BEFORE: as in that paper, oneDNN's
 * vanilla GRU and Keras' reset_after=False. RNN: Elman 1990. LSTM_PEEPHOLE: Gers, Schraudolph and Schmidhuber 2002.
 */
#ifndef CLSEQ_CELLS_H
#define CLSEQ_CELLS_H

/* X(enumerator, name, number) */
#define CLSEQ_CELL_LIST(X)                   \
    X(LSTM, lstm, 0)                         \
    X(GRU, gru, 1)                           \
    X(RNN_TANH, rnn_tanh, 2)                 \
    X(RNN_RELU, rnn_relu, 3)                 \
    X(GRU_RESET_BEFORE, gru_reset_before, 4) \
    X(LSTM_PEEPHOLE, lstm_peephole, 5)

typedef enum clseq_cell {
#define CLSEQ_CELL_ENUM(enumerator, name, number) CLSEQ_CELL_##enumerator = number,
    CLSEQ_CELL_LIST(CLSEQ_CELL_ENUM)
#undef CLSEQ_CELL_ENUM
        CLSEQ_CELL_COUNT = 6
} clseq_cell;

#endif
