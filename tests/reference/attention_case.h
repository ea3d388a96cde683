/*
 * attention_case.h - random problems of attention: inputs, expected outputs and error bounds.
 *
 *     attention_case *c = attention_case_create(&variants[i], &shapes[k], ATTENTION_MIXED, seed);
 *     ... run the device on float copies of c->in[...] ...
 *     compare_floats_each(name, got[i], c->want[i], c->n[i], c->bound[i]);
 *
 * Bounds come from runs in which every intermediate result is moved by its float rounding error, as those of rnn_case.h do: 8
 * times the largest movement of 8 runs, for each element of a tensor that ever moves; what never moves is exact.
 */
#ifndef CLSEQ_TESTS_REFERENCE_ATTENTION_CASE_H
#define CLSEQ_TESTS_REFERENCE_ATTENTION_CASE_H

#include "attention.h"

/* What a plan is, beside its sizes: score numbered as clseq_attention_score, 4 for pooling. */
enum { ATTENTION_ADDITIVE, ATTENTION_DOT, ATTENTION_GENERAL, ATTENTION_CONCAT, ATTENTION_POOL };

typedef struct attention_variant {
    const char *name;
    int score;
    bool bias, normalise;
    reference_window window;
    size_t radius;
    double rate;
    size_t C, width;
    bool sums;
} attention_variant;

/* Q and K of DOT are both K. V 0: the keys are the values. Pooling takes S, B, K and A alone. */
typedef struct attention_shape {
    size_t T, S, B, Q, K, V, A, P;
} attention_shape;

/* Which keys count. */
typedef enum attention_rows_kind {
    ATTENTION_ALL,
    ATTENTION_MIXED,
    ATTENTION_MASKED,
    ATTENTION_ROWS_KINDS
} attention_rows_kind;

extern const attention_variant attention_variants[], pool_variants[];
extern const int attention_variant_count, pool_variant_count;
extern const attention_shape attention_shapes[];
extern const int attention_shape_count, attention_small_count;

typedef struct attention_case {
    reference_attention a;
    const attention_variant *variant;
    int32_t *lengths, *mask; /* NULL: none */
    size_t n[ATTENTION_PLACES];
    double *in[ATTENTION_PLACES], *want[ATTENTION_PLACES], *bound[ATTENTION_PLACES];
} attention_case;

/* Where the centres are predicted other data is drawn until no key is near the end of a window. */
attention_case *attention_case_create(const attention_variant *variant, const attention_shape *shape,
                                      attention_rows_kind rows, uint64_t seed);
void attention_case_destroy(attention_case *c);

/* "queries" and "dqueries", or "context" of dcontext. */
const char *attention_input_name(int place);
const char *attention_output_name(int place);

/* Whether key s of row b counts, apart from windows. */
bool attention_case_counts(const attention_case *c, size_t s, size_t b);

#endif
