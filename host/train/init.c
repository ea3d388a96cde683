/*
 * Initial values. Element i of a parameter uses number i of the Philox stream that its name selects, under the store's
 * seed: the values do not depend on the order of adding, on other parameters or on the device.
 */
#include "train/params.h"

#include "core/error.h"
#include "core/random.h"
#include <math.h>
#include <stdlib.h>

/* The stream of a name: 64-bit FNV-1a. */
static uint64_t stream_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

/* A parameter seen as `blocks` matrices of [rows,columns], one after the other. */
typedef struct matrices {
    int64_t rows, columns, blocks;
} matrices;

static matrices matrices_of(const clseq_init *init, int ndim, const int64_t *dims)
{
    const int64_t rows = ndim > 1 ? dims[ndim - 2] : 1;
    matrices m = {.rows = init->block > 0 ? init->block : rows, .columns = dims[ndim - 1], .blocks = 1};
    for (int i = 0; i < ndim - 1; i++)
        m.blocks *= dims[i];
    m.blocks /= m.rows;
    return m;
}

static clseq_status draw_zero(const clseq_param *param, uint64_t stream, float *out)
{
    (void)stream;
    for (int64_t i = 0; i < param->elements; i++)
        out[i] = 0.0f;
    return CLSEQ_OK;
}

static clseq_status draw_constant(const clseq_param *param, uint64_t stream, float *out)
{
    (void)stream;
    for (int64_t i = 0; i < param->elements; i++)
        out[i] = param->init.scale;
    return CLSEQ_OK;
}

static void draw_within(const clseq_param *param, uint64_t stream, double bound, float *out)
{
    for (int64_t i = 0; i < param->elements; i++)
        out[i] =
            (float)(bound * (2.0 * clseq__random_uniform(param->store->seed, stream, (uint64_t)i) - 1.0));
}

static clseq_status draw_uniform(const clseq_param *param, uint64_t stream, float *out)
{
    draw_within(param, stream, param->init.scale, out);
    return CLSEQ_OK;
}

static clseq_status draw_normal(const clseq_param *param, uint64_t stream, float *out)
{
    for (int64_t i = 0; i < param->elements; i++)
        out[i] = param->init.scale * clseq__random_normal(param->store->seed, stream, (uint64_t)i);
    return CLSEQ_OK;
}

static clseq_status draw_xavier(const clseq_param *param, uint64_t stream, float *out)
{
    const matrices m = matrices_of(&param->init, param->ndim, param->dims);
    const double fans = (double)m.rows + (double)m.columns;
    draw_within(param, stream, param->init.scale * sqrt(6.0 / fans), out);
    return CLSEQ_OK;
}

/* Four partial sums, because one chain of additions would wait for itself. */
static double dot(const double *a, const double *b, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* Takes the parts along the `count` orthonormal vectors `q` of length n out of v; returns what is left of its norm. */
static double project(double *v, const double *q, int64_t count, int64_t n)
{
    for (int64_t j = 0; j < count; j++) {
        const double part = dot(v, q + j * n, n);
        for (int64_t k = 0; k < n; k++)
            v[k] -= part * q[j * n + k];
    }
    return sqrt(dot(v, v, n));
}

/*
 * Makes `count` vectors of length n orthonormal, in place and in order: modified Gram-Schmidt, repeated for a vector
 * of which little was left, since that little holds the rounding errors of the rest. Of normally distributed vectors
 * it makes a uniformly distributed rotation (the R of the factorisation has a positive diagonal).
 */
static void orthonormalize(double *vectors, int64_t count, int64_t n)
{
    for (int64_t i = 0; i < count; i++) {
        double *v = vectors + i * n;
        double before = sqrt(dot(v, v, n));
        double after = project(v, vectors, i, n);
        if (!(after > 1e-8 * before) || before == 0.0) { /* dependent on those before: any other direction */
            for (int64_t k = 0; k < n; k++)
                v[k] = k == i ? 1.0 : 0.0;
            before = 1.0;
            after = project(v, vectors, i, n);
        }
        if (after < 0.1 * before)
            after = project(v, vectors, i, n);
        for (int64_t k = 0; k < n; k++)
            v[k] /= after;
    }
}

/* One matrix: orthonormal rows when it is at most as high as wide, orthonormal columns otherwise. */
static clseq_status draw_orthogonal(const clseq_param *param, uint64_t stream, float *out)
{
    const matrices m = matrices_of(&param->init, param->ndim, param->dims);
    const bool by_rows = m.rows <= m.columns;
    const int64_t count = by_rows ? m.rows : m.columns, n = by_rows ? m.columns : m.rows;
    double *vectors = malloc((size_t)(count * n) * sizeof *vectors);
    if (!vectors)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "params: no memory to draw %s", param->name);
    for (int64_t block = 0; block < m.blocks; block++) {
        const int64_t first = block * m.rows * m.columns;
        for (int64_t i = 0; i < count; i++)
            for (int64_t k = 0; k < n; k++) {
                const int64_t at = first + (by_rows ? i * n + k : k * count + i);
                vectors[i * n + k] = clseq__random_normal(param->store->seed, stream, (uint64_t)at);
            }
        orthonormalize(vectors, count, n);
        for (int64_t i = 0; i < count; i++)
            for (int64_t k = 0; k < n; k++)
                out[first + (by_rows ? i * n + k : k * count + i)] =
                    (float)(param->init.scale * vectors[i * n + k]);
    }
    free(vectors);
    return CLSEQ_OK;
}

/* What each kind draws, and what it takes for a scale. */
static const struct {
    clseq_status (*draw)(const clseq_param *, uint64_t, float *);
    enum { NO_SCALE, ANY_SCALE, SPREAD } scale;
} kinds[] = {
    [CLSEQ_INIT_DEFAULT] = {draw_zero, NO_SCALE},        [CLSEQ_INIT_ZERO] = {draw_zero, NO_SCALE},
    [CLSEQ_INIT_CONSTANT] = {draw_constant, ANY_SCALE},  [CLSEQ_INIT_UNIFORM] = {draw_uniform, SPREAD},
    [CLSEQ_INIT_NORMAL] = {draw_normal, SPREAD},         [CLSEQ_INIT_XAVIER] = {draw_xavier, SPREAD},
    [CLSEQ_INIT_ORTHOGONAL] = {draw_orthogonal, SPREAD},
};

clseq_status clseq__init_draw(const clseq_param *param, float *out)
{
    return kinds[param->init.kind].draw(param, stream_of(param->name), out);
}

clseq_status clseq__init_check(const clseq_init *init, const char *name, int ndim, const int64_t *dims)
{
    int64_t rows = 1;
    if ((int)init->kind < 0 || (size_t)init->kind >= sizeof kinds / sizeof kinds[0])
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "params add: %s: there is no initialiser of kind %d",
                            name, (int)init->kind);
    if (!isfinite(init->scale))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "params add: %s: init.scale is %g, expected a finite number", name,
                            (double)init->scale);
    if (kinds[init->kind].scale == SPREAD && init->scale <= 0.0f)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "params add: %s: init.scale is %g, expected greater than 0 (zeros are "
                            "CLSEQ_INIT_ZERO)",
                            name, (double)init->scale);
    if (kinds[init->kind].scale == NO_SCALE && (init->scale != 0.0f || init->block != 0))
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "params add: %s: init has a scale or block, but its kind, CLSEQ_INIT_%s, takes none", name,
            init->kind == CLSEQ_INIT_ZERO ? "ZERO" : "DEFAULT");
    if (init->kind == CLSEQ_INIT_ORTHOGONAL && ndim < 2)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "params add: %s has one dim, an orthogonal initialiser needs at least 2", name);
    for (int i = 0; i < ndim - 1; i++)
        rows *= dims[i];
    if (init->block < 0 || (init->block > 0 && rows % init->block != 0))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "params add: %s: init.block is %lld, which does not divide its %lld rows", name,
                            (long long)init->block, (long long)rows);
    return CLSEQ_OK;
}
