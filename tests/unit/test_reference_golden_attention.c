/* The reference of attention and pooling against what PyTorch computed in double. */
#include "../reference/attention_case.h"
#include "../support/compare.h"
#include "../support/golden.h"
#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGREEMENT 1e-13

/* A variant of the file; what stands for W of keys in it. */
typedef struct variant {
    const char *name, *weight_key;
    reference_attention a;
} variant;

#define SIZES .T = 3, .S = 5, .B = 2, .Q = 3, .K = 3
#define TANH SIZES, .A = 4, .projects_queries = true, .projects_keys = true
static const variant variants[] = {
    {"additive", "weight_key", {TANH, .bias = true}},
    {"normalised", "weight_key", {TANH, .bias = true, .normalise = true}},
    {"dot", NULL, {SIZES}},
    {"general", "weight_general", {SIZES, .projects_keys = true}},
    {"concat", "weight_key", {TANH}},
    {"monotonic", NULL, {SIZES, .window = REFERENCE_MONOTONIC, .radius = 2, .rate = 1.5}},
    {"predicted",
     "weight_general",
     {SIZES, .projects_keys = true, .window = REFERENCE_PREDICTED, .radius = 2, .P = 2}},
    {"location", "weight_key", {TANH, .bias = true, .C = 2, .width = 3}},
    {"location_sums", "weight_key", {TANH, .bias = true, .C = 2, .width = 3, .sums = true}},
    {"pooled", "weight_key", {.T = 1, .S = 5, .B = 2, .K = 3, .A = 4, .projects_keys = true, .bias = true}},
    {"causal",
     "weight_key",
     {.T = 5,
      .S = 5,
      .B = 2,
      .K = 3,
      .A = 4,
      .projects_keys = true,
      .bias = true,
      .window = REFERENCE_CAUSAL}},
};

/* What the file calls an input, and after a "d" its gradient. */
static const char *name_of(const variant *v, int place)
{
    static const char *const names[ATTENTION_PLACES] = {
        [ATTENTION_QUERIES] = "queries",           [ATTENTION_KEYS] = "keys",
        [ATTENTION_DCONTEXT] = "dcontext",         [ATTENTION_DALIGNMENT] = "dalignment",
        [ATTENTION_WEIGHT_QUERY] = "weight_query", [ATTENTION_BIAS] = "bias",
        [ATTENTION_VECTOR] = "weight_score",       [ATTENTION_GAIN] = "gain_score",
        [ATTENTION_CENTRE] = "weight_centre",      [ATTENTION_CENTRE_VECTOR] = "score_centre",
        [ATTENTION_FILTER] = "filter_location",    [ATTENTION_LOCATION] = "weight_location"};
    if (v->a.Q == 0 && place == ATTENTION_DCONTEXT)
        return v->a.window == REFERENCE_CAUSAL ? "dcausal" : "dpooled";
    if (v->a.Q == 0 && place == ATTENTION_DALIGNMENT)
        return NULL;
    return place == ATTENTION_WEIGHT_KEY ? v->weight_key : names[place];
}

static void same(const golden *g, const variant *v, const char *part, const double *got, size_t n)
{
    char name[2 * GOLDEN_MAX_NAME];
    snprintf(name, sizeof name, "%s/%s", v->name, part);
    cr_assert(compare_doubles(name, got, golden_values(g, name, n), n, AGREEMENT), "%s", compare_message());
}

static void check(const golden *g, const variant *v, const int32_t *lengths)
{
    double *in[ATTENTION_PLACES], *out[ATTENTION_PLACES];
    reference_attention a = v->a;
    a.lengths = lengths;
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        const size_t n = reference_attention_size(&a, place);
        const char *name = name_of(v, place);
        in[place] = test_doubles(n);
        out[place] = test_doubles(n);
        if (n > 0 && name)
            memcpy(in[place], golden_values(g, name, n), n * sizeof *in[place]);
    }
    reference_attention_run(&a, in, out, true);
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        const size_t n = reference_attention_size(&a, place);
        const char *name = name_of(v, place);
        char part[GOLDEN_MAX_NAME];
        const bool is_output = place == ATTENTION_DCONTEXT || place == ATTENTION_DALIGNMENT;
        if (n > 0 && name) {
            snprintf(part, sizeof part, "%s%s", is_output ? "" : "d", is_output ? name + 1 : name);
            same(g, v, a.Q == 0 && is_output ? "y" : part, out[place], n);
        }
        free(in[place]);
        free(out[place]);
    }
}

Test(reference_golden_attention, every_variant)
{
    golden *g = golden_open("attention.txt");
    const double *numbers = golden_values(g, "lengths", 2);
    const int32_t lengths[] = {(int32_t)numbers[0], (int32_t)numbers[1]};
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        check(g, &variants[i], lengths);
    golden_close(g);
}
