/* count: learns to count with a recurrent layer; the smallest complete program, which README shows. */
#include <clseq/clseq.h>
#include <stdio.h>

enum { T = 16, B = 8, V = 10, H = 32, ALL = (T - 1) * B };

/* How many digits the model predicts, once two of a row have told its stride. */
static int right_of(float y[T][B][V], int32_t digits[T + 1][B])
{
    int right = 0;
    for (int i = B; i < T * B; i++) {
        int best = 0;
        for (int v = 1; v < V; v++)
            best = y[i / B][i % B][v] > y[i / B][i % B][best] ? v : best;
        right += best == digits[i / B + 1][i % B];
    }
    return right;
}

/* Row b goes up by b+1 each step, modulo 10. */
int main(int argc, char **argv)
{
    clseq_context *ctx = NULL;
    clseq_params *params = NULL;
    clseq_optimizer *adam = NULL;
    clseq_embedding *embed = NULL;
    clseq_rnn *lstm = NULL;
    clseq_linear *out = NULL;
    float loss = 0, logits[T][B][V];
    int32_t digits[T + 1][B]; /* the one below each is to be predicted */
    int right = 0;
    if (argc > 1)
        return printf("usage: %s; CLSEQ_DEVICE chooses the device\n", argv[0]) < 0;
    clseq_context_create(NULL, &ctx); /* the best device, or the one that CLSEQ_DEVICE names */
    clseq_params_create(ctx, 1, &params);
    clseq_embedding_new(params, "embed", V, H, &embed);
    clseq_rnn_new(params, "lstm", &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = H, .hidden = H}, NULL,
                  &lstm);
    clseq_linear_new(params, "out", H, V, true, &out);
    clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1e-2f);
    clseq_optimizer_create(params, &desc, &adam);
    for (int step = 1; step <= 200; step++) {
        for (int i = 0; i < (T + 1) * B; i++)
            digits[i / B][i % B] = (step + i / B * (i % B + 1)) % V;
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x =
            clseq_embed(g, embed, clseq_input_i32(g, digits[0], 2, (int64_t[]){T, B})); /* [T,B,H] */
        clseq_var *y = clseq_affine(g, out, clseq_recur(g, lstm, x, NULL));             /* [T,B,V] */
        clseq_var *l = clseq_cross_entropy(g, y, clseq_input_i32(g, digits[1], 2, (int64_t[]){T, B}), NULL);
        clseq_backward(g, l);
        if (step % 20 == 0 && clseq_read(g, y, logits) == CLSEQ_OK &&
            clseq_read_float(g, l, &loss) == CLSEQ_OK) {
            right = right_of(logits, digits);
            printf("step %3d  loss %.4f  %3d of %d digits\n", step, loss, right, ALL);
        }
        if (clseq_graph_end(g) != CLSEQ_OK || clseq_optimizer_step(adam) != CLSEQ_OK)
            return fprintf(stderr, "%s\n", clseq_last_error()), 1;
    }
    clseq_optimizer_destroy(adam);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
    printf("it %s\n", right == ALL ? "counts" : "does not count");
    return right == ALL ? 0 : 1;
}
