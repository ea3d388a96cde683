/*
 * The double-precision references against golden files that PyTorch wrote in double: they pin the conventions that
 * central differences cannot see (gate orders, which bias is which, what a length does, which epsilon goes where).
 * Both sides compute in double, so they agree to a few hundred roundings.
 */
#include "../reference/cells.h"
#include "../reference/nn.h"
#include "../reference/optim.h"
#include "../reference/rnn_golden.h"
#include "../support/compare.h"
#include "../support/golden.h"
#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGREEMENT 1e-13

static void same(const golden *g, const char *prefix, const char *name, const double *got, size_t n)
{
    char full[GOLDEN_MAX_NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    cr_assert(compare_doubles(full, got, golden_values(g, full, n), n, AGREEMENT), "%s", compare_message());
}

static void check_rnn(const rnn_golden *file, bool ragged)
{
    golden *g = golden_open(file->file);
    rnn_case *c = rnn_golden_case(g, file, ragged);
    rnn_case_run(c);
    for (int i = 0; i < c->count; i++)
        if (c->n[i] > 0)
            same(g, ragged ? "ragged/" : "full/", rnn_output_name(c, i), c->want[i], c->n[i]);
    rnn_case_destroy(c);
    golden_close(g);
}

Test(reference_golden, recurrent_layers)
{
    for (int i = 0; i < rnn_golden_count; i++)
        for (int ragged = 0; ragged <= 1; ragged++)
            check_rnn(&rnn_goldens[i], ragged);
}

/* A cell without a file of its own would be pinned by nothing but its own equations. */
Test(reference_golden, every_cell_has_a_file)
{
    for (int cell = 0; reference_cell_at(cell) != NULL; cell++) {
        int files = 0;
        for (int i = 0; i < rnn_golden_count; i++)
            files += strcmp(rnn_goldens[i].cell, reference_cell_at(cell)->name) == 0;
        cr_assert(files > 0, "%s", reference_cell_at(cell)->name);
    }
}

Test(reference_golden, cross_entropy)
{
    golden *g = golden_open("cross_entropy.txt");
    const golden_tensor *logits = golden_get(g, "logits");
    const size_t N = logits->dims[0], V = logits->dims[1];
    for (int sum = 0; sum <= 1; sum++)
        for (int i = 0; i <= 1; i++) {
            const reference_cross_entropy desc = {.ignore = true, .ignore_index = i ? 2 : -100, .sum = sum};
            char prefix[32], name[GOLDEN_MAX_NAME];
            snprintf(prefix, sizeof prefix, "%s/%d/", sum ? "sum" : "mean", (int)desc.ignore_index);
            snprintf(name, sizeof name, "%stargets", prefix);
            int32_t *targets = calloc(N, sizeof *targets);
            double *dlogits = test_doubles(N * V);
            cr_assert(targets != NULL);
            for (size_t n = 0; n < N; n++)
                targets[n] = (int32_t)golden_values(g, name, N)[n];
            const double loss = reference_cross_entropy_forward(desc, logits->values, targets, N, V);
            reference_cross_entropy_backward(desc, logits->values, targets, N, V, 1, dlogits);
            same(g, prefix, "loss", &loss, 1);
            same(g, prefix, "dlogits", dlogits, N * V);
            free(targets);
            free(dlogits);
        }
    golden_close(g);
}

/* One optimiser's trajectory: the values after every step. `kind` is 's' for SGD, 'a' for Adam, 'w' for AdamW. */
static void check_trajectory(const golden *g, const char *name, char kind)
{
    char key[GOLDEN_MAX_NAME];
    const golden_tensor *gradients = golden_get(g, "gradients");
    const size_t steps = gradients->dims[0], n = gradients->dims[1];
    double *w = test_doubles(n), *m = test_doubles(n), *v = test_doubles(n), *all = test_doubles(steps * n);
    memcpy(w, golden_values(g, "start", n), n * sizeof *w);
    snprintf(key, sizeof key, "%s/numbers", name);
    const double *number = golden_values(g, key, kind == 's' ? 4 : 5);

    for (size_t t = 0; t < steps; t++) {
        const double *gradient = gradients->values + t * n;
        if (kind == 's') {
            const reference_sgd sgd = {number[0], number[1], number[2], number[3] != 0};
            reference_sgd_step(&sgd, gradient, n, w, v);
        } else {
            const reference_adam adam = {number[0], number[1], number[2], number[3], number[4], kind == 'w'};
            reference_adam_step(&adam, (int)t + 1, gradient, n, w, m, v);
        }
        memcpy(all + t * n, w, n * sizeof *w);
    }
    snprintf(key, sizeof key, "%s/", name);
    same(g, key, "values", all, steps * n);
    free(w);
    free(m);
    free(v);
    free(all);
}

Test(reference_golden, optimizers)
{
    static const struct {
        const char *name;
        char kind;
    } rows[] = {{"sgd", 's'},  {"sgd_momentum", 's'}, {"sgd_nesterov", 's'},
                {"adam", 'a'}, {"adam_decay", 'a'},   {"adamw", 'w'}};
    golden *g = golden_open("optimizers.txt");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_trajectory(g, rows[i].name, rows[i].kind);
    golden_close(g);
}

Test(reference_golden, clipping)
{
    static const char *const cases[] = {"over/", "under/", "value/"};
    golden *g = golden_open("clipping.txt");
    for (int i = 0; i < 3; i++) {
        char key[GOLDEN_MAX_NAME];
        double a[6], b[4], *const both[] = {a, b};
        memcpy(a, golden_values(g, "a", 6), sizeof a);
        memcpy(b, golden_values(g, "b", 4), sizeof b);
        snprintf(key, sizeof key, "%slimit", cases[i]);
        const double limit = golden_values(g, key, 1)[0];
        if (i == 2) {
            reference_clip_value(limit, a, 6);
            reference_clip_value(limit, b, 4);
        } else {
            const double norm = reference_clip_global_norm(limit, 1e-6, both, (size_t[]){6, 4}, 2);
            same(g, cases[i], "norm", &norm, 1);
        }
        same(g, cases[i], "a", a, 6);
        same(g, cases[i], "b", b, 4);
    }
    golden_close(g);
}

/* What a state dict computes from zero states; the loader of checkpoints is tested with the same file. */
Test(reference_golden, state_dict)
{
    golden *g = golden_open("lstm_state_dict.txt");
    const golden_tensor *x = golden_get(g, "x"), *hn = golden_get(g, "hn");
    const reference_rnn net = {.cell = reference_cell_find("lstm"),
                               .T = (int)x->dims[0],
                               .B = (int)x->dims[1],
                               .I = (int)x->dims[2],
                               .H = (int)hn->dims[2],
                               .L = (int)hn->dims[0]};
    rnn_case *c = rnn_case_create(&net, 1, 0);
    memcpy(c->in[RNN_X], x->values, x->n * sizeof *x->values);
    for (int i = RNN_INITIAL; i < c->count; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            c->in[i][k] = i < RNN_WEIGHTS ? 0 : golden_values(g, rnn_input_name(c, i), c->n[i])[k];
    rnn_case_run_forward(c);
    for (int i = RNN_Y; i < RNN_WEIGHTS; i++)
        if (c->n[i] > 0)
            same(g, "", rnn_output_name(c, i), c->want[i], c->n[i]);
    rnn_case_destroy(c);
    golden_close(g);
}

/* A mistyped name must not pass as an empty tensor. */
Test(reference_golden, a_missing_tensor_aborts, .signal = SIGABRT)
{
    golden_get(golden_open("clipping.txt"), "no such tensor");
}

Test(reference_golden, a_wrong_size_aborts, .signal = SIGABRT)
{
    golden_values(golden_open("clipping.txt"), "a", 5);
}

Test(reference_golden, a_missing_file_aborts, .signal = SIGABRT)
{
    golden_open("no_such_file.txt");
}
