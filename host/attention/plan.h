/* What a plan of attention holds, and where its calls keep what. */
#ifndef CLSEQ_ATTENTION_PLAN_H
#define CLSEQ_ATTENTION_PLAN_H

#include "attention/attention_record.h"
#include "core/context.h"
#include "core/launch.h"
#include <clseq/attention.h>

/* What a weight is to the plan. */
typedef enum clseq__attention_role {
    CLSEQ__ROLE_QUERY,
    CLSEQ__ROLE_KEY,
    CLSEQ__ROLE_BOTH, /* [query, key] */
    CLSEQ__ROLE_BIAS,
    CLSEQ__ROLE_VECTOR,
    CLSEQ__ROLE_GAIN,
    CLSEQ__ROLE_CENTRE,
    CLSEQ__ROLE_CENTRE_VECTOR,
    CLSEQ__ROLE_FILTER,
    CLSEQ__ROLE_LOCATION,
    CLSEQ__ROLES
} clseq__attention_role;

/* Kernels: enumerator, name, and the plans that have it. */
#define CLSEQ__ATTENTION_KERNELS(X)                                \
    X(COUNTS, "attention_counts", true)                            \
    X(COPY_ROWS, "attention_copy_rows", true)                      \
    X(FILL_ROWS, "attention_fill_rows", true)                      \
    X(FORWARD, "attention_forward", true)                          \
    X(DSCORES, "attention_dscores", true)                          \
    X(DPROJECT, "attention_dproject", true)                        \
    X(VECTOR, "attention_vector", desc->normalise)                 \
    X(DVECTOR, "attention_dvector", desc->normalise)               \
    X(CENTRE, "attention_centre", desc->window_units > 0)          \
    X(DCENTRE, "attention_dcentre", desc->window_units > 0)        \
    X(DHIDDEN, "attention_dhidden", desc->window_units > 0)        \
    X(FEATURES, "attention_features", desc->location_channels > 0) \
    X(DBEFORE, "attention_dbefore", desc->location_channels > 0)   \
    X(DFILTER, "attention_dfilter", desc->location_channels > 0)   \
    X(BEFORE, "attention_before", desc->location_channels > 0)     \
    X(ADD, "attention_add", desc->location_channels > 0)

enum {
#define CLSEQ__ATTENTION_ENUM(enumerator, name, has) CLSEQ__ATTENTION_##enumerator,
    CLSEQ__ATTENTION_KERNELS(CLSEQ__ATTENTION_ENUM)
#undef CLSEQ__ATTENTION_ENUM
        CLSEQ__ATTENTION_KERNEL_COUNT
};

/* A score: scores that differ in what is projected share their kernels, cl/attention/scores/. */
typedef struct clseq__attention_kind {
    const char *name, *kernels;
    bool has_units; /* tanh and v over A units */
    bool projects_queries, projects_keys;
} clseq__attention_kind;

struct clseq_attention_plan {
    clseq_context *ctx;
    clseq_attention_desc desc;
    const clseq__attention_kind *kind;
    bool values_are_keys;
    int64_t units; /* features that the score sees of a query and of a key: A, or Q */
    /* Features of rows in the kernels' order: units, Q, K, V, P. */
    int64_t units_row, query_row, key_row, value_row, centre_row;
    clseq_attention_weight weights[CLSEQ__ROLES];
    clseq__attention_role roles[CLSEQ__ROLES]; /* of weights[i] */
    int weight_count;
    clseq__kernel *kernels[CLSEQ__ATTENTION_KERNEL_COUNT];
};

const clseq__attention_kind *clseq__attention_kind_of(clseq_attention_score score);

/* The weight of a role; none where the plan has none. Of CONCAT those of queries and of keys are the halves of one. */
clseq_tensor clseq__attention_weight_of(const clseq_attention_plan *plan, const clseq_tensor *weights,
                                        clseq__attention_role role);

/* n features as a row of the kernels. */
int64_t clseq__attention_row(int64_t n);

/* The grid of a kernel that has a group a unit (cl/attention/lanes.clh), and of one that has a work-item a unit on a GPU. */
clseq__grid clseq__attention_grid(const clseq_context *ctx, int64_t units);
clseq__grid clseq__attention_grid_alone(const clseq_context *ctx, int64_t units);

/* Bytes of local memory that a kernel with a group a unit is given. */
size_t clseq__attention_local(const clseq_context *ctx);

/* "additive score, query 3, .." into `text`, which is returned. */
#define CLSEQ__ATTENTION_TEXT 256
const char *clseq__attention_text(const clseq_attention_desc *desc, char text[CLSEQ__ATTENTION_TEXT]);

#endif
