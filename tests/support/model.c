#include "support/model.h"

#include "support/compare.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/numeric.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct joined_name {
    char text[GOLDEN_MAX_NAME];
} joined_name;

/* PREFIX/NAME, the name of a tensor of the file. */
static joined_name join(const char *prefix, const char *name)
{
    joined_name joined;
    if (snprintf(joined.text, sizeof joined.text, "%s/%s", prefix, name) >= GOLDEN_MAX_NAME)
        abort();
    return joined;
}

static size_t elements_of(clseq_param *param)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_param_value(param, &value));
    return (size_t)clseq_tensor_elements(&value);
}

static double bound_of(const golden *file, const char *name)
{
    return golden_values(file, join("bound", name).text, 1)[0];
}

void model_set_params(clseq_params *params, const golden *file)
{
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        graph_set_param(param,
                        golden_values(file, join("param", clseq_param_name(param)).text, elements_of(param)));
    }
}

int32_t *model_integers(const golden *file, const char *name)
{
    const golden_tensor *tensor = golden_get(file, name);
    int32_t *integers = malloc(tensor->n * sizeof *integers);
    if (!integers)
        abort();
    for (size_t i = 0; i < tensor->n; i++)
        integers[i] = (int32_t)tensor->values[i];
    return integers;
}

clseq_var *model_tokens(clseq_graph *g, const golden *file, const char *name)
{
    const golden_tensor *tensor = golden_get(file, name);
    int64_t dims[GOLDEN_MAX_DIMS];
    for (int i = 0; i < tensor->ndim; i++)
        dims[i] = (int64_t)tensor->dims[i];
    int32_t *tokens = model_integers(file, name);
    clseq_var *x = clseq_input_i32(g, tokens, tensor->ndim, dims);
    free(tokens);
    return x;
}

void model_expect_value(clseq_graph *g, const clseq_var *x, const golden *file, const char *name)
{
    EXPECT_OK(clseq_graph_status(g));
    graph_expect_value(name, g, x, golden_values(file, name, graph_elements(g, x)), bound_of(file, name));
}

static void read_grad(clseq_param *param, float *out)
{
    EXPECT_OK(clseq_param_get_grad(param, out));
}

static void read_value(clseq_param *param, float *out)
{
    EXPECT_OK(clseq_param_get(param, out));
}

/* Compares what `read` gives of a parameter with PREFIX/NAME, or where the file has none with `otherwise` (NULL: zeros). */
static void expect_param(clseq_param *param, void (*read)(clseq_param *param, float *out), const golden *file,
                         const char *prefix, const double *otherwise)
{
    const joined_name joined = join(prefix, clseq_param_name(param));
    const char *name = joined.text;
    const size_t n = elements_of(param);
    float *got = test_floats(n);
    double *zeros = test_doubles(n);
    read(param, got);
    const bool there = golden_has(file, name);
    const double *want = there ? golden_values(file, name, n) : otherwise ? otherwise : zeros;
    if (!compare_floats(name, got, want, n, there ? bound_of(file, name) : 0)) {
        fprintf(stderr, "%s\n", compare_message());
        abort();
    }
    free(zeros);
    free(got);
}

void model_expect_grads(clseq_params *params, const golden *file)
{
    for (size_t i = 0; i < clseq_params_count(params); i++)
        expect_param(clseq_params_at(params, i), read_grad, file, "grad", NULL);
}

void model_expect_step(clseq_params *params, const golden *file)
{
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        const double *before =
            golden_values(file, join("param", clseq_param_name(param)).text, elements_of(param));
        expect_param(param, read_value, file, "after", before);
    }
}

static float *read_all(clseq_params *params, void (*read)(clseq_param *param, float *out))
{
    float *all = test_floats((size_t)clseq_params_elements(params)), *place = all;
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        read(param, place);
        place += elements_of(param);
    }
    return all;
}

float *model_values(clseq_params *params)
{
    return read_all(params, read_value);
}

float *model_grads(clseq_params *params)
{
    return read_all(params, read_grad);
}

void model_best(const float *logits, int rows, int V, int32_t *best)
{
    for (int row = 0; row < rows; row++) {
        best[row] = 0;
        for (int v = 1; v < V; v++)
            if (logits[row * V + v] > logits[row * V + best[row]])
                best[row] = v;
    }
}

model_memory model_memory_now(clseq_context *ctx)
{
    clseq_context_stats stats;
    EXPECT_OK(clseq_context_finish(ctx));
    EXPECT_OK(clseq_context_get_stats(ctx, &stats));
    return (model_memory){stats.bytes_in_use, faults_allocations()};
}

void model_expect_steady(clseq_context *ctx, model_memory since)
{
    const model_memory now = model_memory_now(ctx);
    EXPECT_THAT(now.device_bytes <= since.device_bytes, "memory of the device grows");
    EXPECT_THAT(now.host_allocations <= since.host_allocations + 4, "memory of the host grows");
}
