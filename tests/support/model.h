/*
 * model.h - whole models in tests, with parameters, inputs, results and their bounds from what
 * tests/golden/make_models.py wrote.
 *
 *     golden *file = golden_open("model_transformer.txt");
 *     model_set_params(params, file);
 *     clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
 *     clseq_var *loss = ... model_tokens(g, file, "tokens") ...;
 *     model_expect_value(g, loss, file, "loss");
 *     EXPECT_OK(clseq_backward(g, loss));
 *     graph_end(g);
 *     model_expect_grads(params, file);
 *
 * A failure fails the test at once.
 */
#ifndef CLSEQ_TESTS_SUPPORT_MODEL_H
#define CLSEQ_TESTS_SUPPORT_MODEL_H

#include "support/golden.h"
#include <clseq/clseq.h>

/* Every parameter gets the values of "param/NAME". */
void model_set_params(clseq_params *params, const golden *file);

/* A tensor of the file as integers, to be freed; as an i32 variable. */
int32_t *model_integers(const golden *file, const char *name);
clseq_var *model_tokens(clseq_graph *g, const golden *file, const char *name);

/* Compares a variable with the tensor `name`, every element within bound/NAME. */
void model_expect_value(clseq_graph *g, const clseq_var *x, const golden *file, const char *name);

/* Compares every parameter's gradient with "grad/NAME"; one that is not in the file has none: zeros. */
void model_expect_grads(clseq_params *params, const golden *file);

/* Compares the values of every parameter with "after/NAME"; one that is not in the file is as it was, bit for bit. */
void model_expect_step(clseq_params *params, const golden *file);

/* The values, or the gradients, of all parameters one after the other, to be freed. */
float *model_values(clseq_params *params);
float *model_grads(clseq_params *params);

/* Each row's class with the largest of logits [rows,V]. */
void model_best(const float *logits, int rows, int V, int32_t *best);

/* What is in use on the device, and how often the host asked for memory, the queue being finished. */
typedef struct model_memory {
    uint64_t device_bytes;
    long host_allocations;
} model_memory;

model_memory model_memory_now(clseq_context *ctx);

/* Nothing on the device has been added since, and on the host no more than the few blocks that inputs are copied to. */
void model_expect_steady(clseq_context *ctx, model_memory since);

#endif
