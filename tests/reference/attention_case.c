#include "attention_case.h"

#include "../support/bounds.h"
#include "../support/numeric.h"

#include <math.h>
#include <stdlib.h>

enum { RUNS = 8, SAFETY = 8 };
/* No key is nearer to the end of a predicted window, so that no rounding and no derivative's step moves it in or out. */
#define MARGIN 0.02

const attention_variant attention_variants[] = {
    {.name = "additive", .score = ATTENTION_ADDITIVE},
    {.name = "additive, bias", .score = ATTENTION_ADDITIVE, .bias = true},
    {.name = "additive, normalised", .score = ATTENTION_ADDITIVE, .bias = true, .normalise = true},
    {.name = "dot", .score = ATTENTION_DOT},
    {.name = "general", .score = ATTENTION_GENERAL},
    {.name = "concat", .score = ATTENTION_CONCAT},
    {.name = "dot, monotonic", .score = ATTENTION_DOT, .window = REFERENCE_MONOTONIC, .radius = 1, .rate = 1},
    {.name = "additive, monotonic",
     .score = ATTENTION_ADDITIVE,
     .window = REFERENCE_MONOTONIC,
     .radius = 2,
     .rate = 1.75},
    {.name = "general, predicted", .score = ATTENTION_GENERAL, .window = REFERENCE_PREDICTED, .radius = 2},
    {.name = "concat, predicted", .score = ATTENTION_CONCAT, .window = REFERENCE_PREDICTED, .radius = 3},
    {.name = "additive, location", .score = ATTENTION_ADDITIVE, .bias = true, .C = 2, .width = 3},
    {.name = "additive, location of sums",
     .score = ATTENTION_ADDITIVE,
     .normalise = true,
     .C = 3,
     .width = 5,
     .sums = true},
    {.name = "additive, location, predicted",
     .score = ATTENTION_ADDITIVE,
     .window = REFERENCE_PREDICTED,
     .radius = 4,
     .C = 1,
     .width = 7},
};
const int attention_variant_count = sizeof attention_variants / sizeof attention_variants[0];

const attention_variant pool_variants[] = {
    {.name = "pool", .score = ATTENTION_POOL},
    {.name = "pool, bias", .score = ATTENTION_POOL, .bias = true},
    {.name = "pool, causal", .score = ATTENTION_POOL, .window = REFERENCE_CAUSAL},
    {.name = "pool, causal, bias", .score = ATTENTION_POOL, .bias = true, .window = REFERENCE_CAUSAL},
};
const int pool_variant_count = sizeof pool_variants / sizeof pool_variants[0];

const attention_shape attention_shapes[] = {
    {1, 1, 1, 1, 1, 0, 1, 0},     {3, 5, 2, 3, 4, 5, 6, 0},
    {2, 4, 3, 5, 2, 0, 3, 4}, /* the small ones end here */
    {4, 7, 3, 17, 9, 0, 33, 5},   {1, 19, 2, 5, 20, 18, 16, 17},
    {7, 3, 4, 32, 16, 64, 48, 0}, {6, 41, 3, 40, 65, 0, 70, 0},
};
const int attention_shape_count = sizeof attention_shapes / sizeof attention_shapes[0];
const int attention_small_count = 3;

static const char *const names[ATTENTION_PLACES][2] = {
    [ATTENTION_QUERIES] = {"queries", "dqueries"},
    [ATTENTION_KEYS] = {"keys", "dkeys"},
    [ATTENTION_VALUES] = {"values", "dvalues"},
    [ATTENTION_INITIAL] = {"initial", "final"},
    [ATTENTION_DCONTEXT] = {"dcontext", "context"},
    [ATTENTION_DALIGNMENT] = {"dalignment", "alignment"},
    [ATTENTION_WEIGHT_QUERY] = {"weight of queries", "gradient of the weight of queries"},
    [ATTENTION_WEIGHT_KEY] = {"weight of keys", "gradient of the weight of keys"},
    [ATTENTION_BIAS] = {"bias", "dbias"},
    [ATTENTION_VECTOR] = {"weight_score", "dweight_score"},
    [ATTENTION_GAIN] = {"gain_score", "dgain_score"},
    [ATTENTION_CENTRE] = {"weight_centre", "dweight_centre"},
    [ATTENTION_CENTRE_VECTOR] = {"score_centre", "dscore_centre"},
    [ATTENTION_FILTER] = {"filter_location", "dfilter_location"},
    [ATTENTION_LOCATION] = {"weight_location", "dweight_location"},
};

const char *attention_input_name(int place)
{
    return names[place][0];
}

const char *attention_output_name(int place)
{
    return names[place][1];
}

static reference_attention problem_of(const attention_variant *v, const attention_shape *s)
{
    const bool pools = v->score == ATTENTION_POOL,
               plain = v->score == ATTENTION_DOT || v->score == ATTENTION_GENERAL;
    reference_attention a = {.T = s->T,
                             .S = s->S,
                             .B = s->B,
                             .Q = v->score == ATTENTION_DOT ? s->K : s->Q,
                             .K = s->K,
                             .V = s->V,
                             .A = plain ? 0 : s->A,
                             .projects_queries = !plain,
                             .projects_keys = v->score != ATTENTION_DOT,
                             .bias = v->bias,
                             .normalise = v->normalise,
                             .window = v->window,
                             .radius = (double)v->radius,
                             .rate = v->rate,
                             .C = v->C,
                             .width = v->width,
                             .sums = v->sums};
    if (v->window == REFERENCE_PREDICTED)
        a.P = s->P ? s->P : a.Q;
    if (pools) {
        a.T = v->window == REFERENCE_CAUSAL ? s->S : 1;
        a.Q = a.V = 0;
        a.projects_queries = false;
    }
    return a;
}

/* Some row is empty, some is full; what a mask leaves out may be a whole row. */
static void draw_rows(attention_case *c, attention_rows_kind rows, test_random *random)
{
    const size_t S = c->a.S, B = c->a.B;
    if (rows == ATTENTION_ALL)
        return;
    c->lengths = calloc(B, sizeof *c->lengths);
    if (rows == ATTENTION_MASKED)
        c->mask = calloc(S * B, sizeof *c->mask);
    for (size_t b = 0; b < B; b++)
        c->lengths[b] = b == 0 && rows == ATTENTION_MIXED ? 0
                        : b == 1                          ? (int32_t)S
                                                          : test_random_int(random, 1, (int)S);
    for (size_t i = 0; c->mask && i < S * B; i++)
        c->mask[i] = i % B == 0 && B > 1 ? 0 : test_random_int(random, -1, 1);
    c->a.lengths = c->lengths;
    c->a.mask = c->mask;
}

static void draw(attention_case *c, test_random *random)
{
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        double limit = place < ATTENTION_WEIGHT_QUERY ? 1 : 0.5;
        if (place == ATTENTION_WEIGHT_KEY || place == ATTENTION_WEIGHT_QUERY)
            limit = 1 / sqrt((double)(c->a.K + 1));
        if (place == ATTENTION_DALIGNMENT && c->variant->score == ATTENTION_POOL)
            limit = 0; /* it takes none */
        test_random_fill(random, c->in[place], c->n[place], place == ATTENTION_INITIAL ? 0 : -limit, limit);
    }
}

static void bound(attention_case *c)
{
    reference_rounding rounding = {TEST_EPS, test_random_seed(0x5eed)};
    reference_attention moved = c->a;
    double *out[ATTENTION_PLACES];
    moved.rounding = &rounding;
    moved.margin = NULL;
    for (int place = 0; place < ATTENTION_PLACES; place++)
        out[place] = test_doubles(c->n[place]);
    for (int run = 0; run < RUNS; run++) {
        reference_attention_run(&moved, c->in, out, true);
        for (int place = 0; place < ATTENTION_PLACES; place++)
            for (size_t i = 0; i < c->n[place]; i++)
                c->bound[place][i] = fmax(c->bound[place][i], fabs(out[place][i] - c->want[place][i]));
    }
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        double largest = 0;
        for (size_t i = 0; i < c->n[place]; i++)
            largest = fmax(largest, c->bound[place][i]);
        for (size_t i = 0; i < c->n[place]; i++)
            c->bound[place][i] = c->bound[place][i] > 0 ? SAFETY * largest + TEST_TINY : 0;
        free(out[place]);
    }
}

attention_case *attention_case_create(const attention_variant *variant, const attention_shape *shape,
                                      attention_rows_kind rows, uint64_t seed)
{
    attention_case *c = calloc(1, sizeof *c);
    test_random random = test_random_seed(seed);
    double margin = 0;
    if (c == NULL)
        abort();
    c->variant = variant;
    c->a = problem_of(variant, shape);
    c->a.margin = &margin;
    draw_rows(c, rows, &random);
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        c->n[place] = reference_attention_size(&c->a, place);
        c->in[place] = test_doubles(c->n[place]);
        c->want[place] = test_doubles(c->n[place]);
        c->bound[place] = test_doubles(c->n[place]);
    }
    while (margin < MARGIN) {
        draw(c, &random);
        reference_attention_run(&c->a, c->in, c->want, true);
    }
    c->a.margin = NULL;
    bound(c);
    return c;
}

void attention_case_destroy(attention_case *c)
{
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        free(c->in[place]);
        free(c->want[place]);
        free(c->bound[place]);
    }
    free(c->lengths);
    free(c->mask);
    free(c);
}

bool attention_case_counts(const attention_case *c, size_t s, size_t b)
{
    return (!c->lengths || (int32_t)s < c->lengths[b]) && (!c->mask || c->mask[s * c->a.B + b]);
}
