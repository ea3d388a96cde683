#include "attention.h"

#include "../support/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a row b of the batch: [T] and [S] first where something is of queries and keys. */
typedef struct row {
    const reference_attention *a;
    double *const *in, *const *out;
    size_t b, units, V, length;
    double *query, *key;             /* [T][units], [S][units] as the score sees them */
    double *vector;                  /* [units] */
    double *tanh;                    /* [T][S][units] */
    double *soft, *bell, *alignment; /* [T][S] */
    double *centre, *hidden;         /* [T], [T][P] */
    double *before, *features;       /* [T+1][S], [T][S][C] */
    double *dquery, *dkey, *dvector, *dscore, *dcentre, *dbefore; /* as what they are of; dbefore [S] */
} row;

size_t reference_attention_size(const reference_attention *a, int place)
{
    const size_t V = a->V ? a->V : a->K, units = a->A ? a->A : a->Q;
    const size_t sizes[ATTENTION_PLACES] = {
        [ATTENTION_QUERIES] = a->T * a->B * a->Q,
        [ATTENTION_KEYS] = a->S * a->B * a->K,
        [ATTENTION_VALUES] = a->S * a->B * a->V,
        [ATTENTION_INITIAL] = a->C ? a->B * a->S : 0,
        [ATTENTION_DCONTEXT] = a->T * a->B * V,
        [ATTENTION_DALIGNMENT] = a->T * a->B * a->S,
        [ATTENTION_WEIGHT_QUERY] = a->projects_queries ? units * a->Q : 0,
        [ATTENTION_WEIGHT_KEY] = a->projects_keys ? units * a->K : 0,
        [ATTENTION_BIAS] = a->bias ? units : 0,
        [ATTENTION_VECTOR] = a->A,
        [ATTENTION_GAIN] = a->normalise,
        [ATTENTION_CENTRE] = a->P * a->Q,
        [ATTENTION_CENTRE_VECTOR] = a->P,
        [ATTENTION_FILTER] = a->C * a->width,
        [ATTENTION_LOCATION] = a->C * units,
    };
    return sizes[place];
}

static double moved(const row *r, double value, double scale)
{
    return reference_round(r->a->rounding, value, scale);
}

/* a . b of n numbers, b's `step` apart, each product rounded. */
static double dot(const row *r, const double *a, const double *b, size_t step, size_t n)
{
    double sum = 0, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i * step];
        magnitude += fabs(a[i] * b[i * step]);
    }
    return moved(r, sum, magnitude);
}

/* y [rows] = W x, or x itself where there is no W. */
static void project(const row *r, const double *w, const double *x, size_t rows, size_t n, double *y)
{
    for (size_t i = 0; i < rows; i++)
        y[i] = w ? dot(r, w + i * n, x, 1, n) : x[i];
}

static const double *at(const row *r, int place, size_t i, size_t n)
{
    return r->in[place] + (i * r->a->B + r->b) * n;
}

static double *to(const row *r, int place, size_t i, size_t n)
{
    return r->out[place] + (i * r->a->B + r->b) * n;
}

static const double *value_of(const row *r, size_t s)
{
    return at(r, r->a->V ? ATTENTION_VALUES : ATTENTION_KEYS, s, r->V);
}

/* Whether key s counts for query t. */
static bool counts(const row *r, size_t t, size_t s)
{
    const reference_attention *a = r->a;
    if (s >= r->length || (a->mask && !a->mask[s * a->B + r->b]))
        return false;
    if (a->window == REFERENCE_CAUSAL)
        return s <= t && t < r->length;
    return a->window == REFERENCE_GLOBAL || fabs((double)s - r->centre[t]) <= a->radius;
}

/* ---- forward ---- */

static void find_vector(row *r)
{
    const reference_attention *a = r->a;
    double squares = 0;
    for (size_t i = 0; i < a->A; i++)
        squares += r->in[ATTENTION_VECTOR][i] * r->in[ATTENTION_VECTOR][i];
    const double factor = a->normalise ? (squares > 0 ? r->in[ATTENTION_GAIN][0] / sqrt(squares) : 0) : 1;
    for (size_t i = 0; i < a->A; i++) {
        const double v = r->in[ATTENTION_VECTOR][i] * factor;
        r->vector[i] = a->normalise ? moved(r, v, 3 * v) : v;
    }
}

static void find_centre(row *r, size_t t)
{
    const reference_attention *a = r->a;
    r->centre[t] = a->rate * (double)t;
    if (a->window != REFERENCE_PREDICTED)
        return;
    double *hidden = r->hidden + t * a->P, z = 0, magnitude = 0;
    project(r, r->in[ATTENTION_CENTRE], at(r, ATTENTION_QUERIES, t, a->Q), a->P, a->Q, hidden);
    for (size_t i = 0; i < a->P; i++) {
        hidden[i] = moved(r, tanh(hidden[i]), 3 * tanh(hidden[i]));
        z += r->in[ATTENTION_CENTRE_VECTOR][i] * hidden[i];
        magnitude += fabs(r->in[ATTENTION_CENTRE_VECTOR][i] * hidden[i]);
    }
    const double p = (double)r->length / (1 + exp(-moved(r, z, magnitude)));
    r->centre[t] = moved(r, p, 4 * p);
    for (size_t s = 0; s < r->length && a->margin; s++)
        *a->margin = fmin(*a->margin, fabs(fabs((double)s - r->centre[t]) - a->radius));
}

/* What the location adds to unit i of key s. */
static double located(const row *r, size_t t, size_t s, size_t i)
{
    const size_t C = r->a->C;
    return C ? dot(r, r->in[ATTENTION_LOCATION] + i * C, r->features + (t * r->a->S + s) * C, 1, C) : 0;
}

static void find_features(row *r, size_t t)
{
    const reference_attention *a = r->a;
    const double *before = r->before + t * a->S;
    for (size_t s = 0; s < a->S; s++)
        for (size_t c = 0; c < a->C; c++) {
            double sum = 0, magnitude = 0;
            for (size_t j = 0; j < a->width; j++) {
                const size_t from = s + j, left = (a->width - 1) / 2;
                if (from < left || from - left >= a->S)
                    continue;
                const double x = r->in[ATTENTION_FILTER][c * a->width + j] * before[from - left];
                sum += x;
                magnitude += fabs(x);
            }
            r->features[(t * a->S + s) * a->C + c] = moved(r, sum, magnitude);
        }
}

static double score_of(row *r, size_t t, size_t s)
{
    const double *q = r->query + t * r->units, *k = r->key + s * r->units;
    double *y = r->tanh + (t * r->a->S + s) * r->units;
    if (r->a->A == 0)
        return dot(r, q, k, 1, r->units);
    for (size_t i = 0; i < r->units; i++) {
        const double near = r->a->C ? moved(r, k[i] + located(r, t, s, i), fabs(k[i])) : k[i];
        const double x = moved(r, q[i] + near, q[i] + near);
        y[i] = moved(r, tanh(x), 3 * tanh(x));
    }
    return dot(r, r->vector, y, 1, r->units);
}

/* soft, bell and alignment of query t. */
static void align(row *r, size_t t)
{
    const reference_attention *a = r->a;
    double largest = -INFINITY, sum = 0, *soft = r->soft + t * a->S;
    for (size_t s = 0; s < a->S; s++) {
        soft[s] = counts(r, t, s) ? score_of(r, t, s) : -INFINITY;
        largest = fmax(largest, soft[s]);
    }
    for (size_t s = 0; s < a->S; s++) {
        const double x = counts(r, t, s) ? moved(r, soft[s] - largest, soft[s] - largest) : 0;
        soft[s] = counts(r, t, s) ? moved(r, exp(x), 2 * exp(x)) : 0;
        sum += soft[s];
    }
    sum = moved(r, sum, sum);
    for (size_t s = 0; s < a->S; s++) {
        const size_t i = t * a->S + s;
        const double far = (double)s - r->centre[t], D = a->radius;
        r->bell[i] = a->window == REFERENCE_PREDICTED ? exp(-far * far * 2 / (D * D)) : 1;
        /* The device makes those of causal pooling step by step from the one before. */
        const double steps = a->window == REFERENCE_CAUSAL ? 2 * fabs(far - (double)t) : 0;
        soft[s] = sum > 0 ? moved(r, soft[s] / sum, (2 + steps) * soft[s] / sum) : 0;
        r->alignment[i] = moved(r, soft[s] * r->bell[i], (r->bell[i] < 1 ? 6 : 1) * soft[s] * r->bell[i]);
    }
}

static void find_context(row *r, size_t t)
{
    for (size_t v = 0; v < r->V; v++) {
        double sum = 0, magnitude = 0;
        for (size_t s = 0; s < r->a->S; s++) {
            const double w = r->alignment[t * r->a->S + s];
            if (w == 0)
                continue;
            sum += w * value_of(r, s)[v];
            magnitude += fabs(w * value_of(r, s)[v]);
        }
        to(r, ATTENTION_DCONTEXT, t, r->V)[v] = moved(r, sum, magnitude);
    }
}

static void forward(row *r)
{
    const reference_attention *a = r->a;
    find_vector(r);
    for (size_t s = 0; s < r->length; s++)
        project(r, a->projects_keys ? r->in[ATTENTION_WEIGHT_KEY] : NULL, at(r, ATTENTION_KEYS, s, a->K),
                r->units, a->K, r->key + s * r->units);
    if (a->C)
        memcpy(r->before, r->in[ATTENTION_INITIAL] + r->b * a->S, a->S * sizeof *r->before);
    for (size_t t = 0; t < a->T; t++) {
        double *q = r->query + t * r->units, *before = r->before + t * a->S;
        if (a->Q)
            project(r, a->projects_queries ? r->in[ATTENTION_WEIGHT_QUERY] : NULL,
                    at(r, ATTENTION_QUERIES, t, a->Q), r->units, a->Q, q);
        for (size_t i = 0; i < r->units && a->bias; i++)
            q[i] = moved(r, q[i] + r->in[ATTENTION_BIAS][i], fabs(q[i]) + fabs(r->in[ATTENTION_BIAS][i]));
        find_centre(r, t);
        find_features(r, t);
        align(r, t);
        find_context(r, t);
        memcpy(to(r, ATTENTION_DALIGNMENT, t, a->S), r->alignment + t * a->S, a->S * sizeof *q);
        for (size_t s = 0; s < a->S; s++)
            before[a->S + s] = r->alignment[t * a->S + s] + (a->sums ? moved(r, before[s], before[s]) : 0);
    }
    if (a->C)
        memcpy(r->out[ATTENTION_INITIAL] + r->b * a->S, r->before + a->T * a->S, a->S * sizeof *r->before);
}

/* ---- backward ---- */

/* x += product, rounded as one term of a sum. */
static void add(const row *r, double *x, double product)
{
    *x += moved(r, product, product);
}

/* From dcontext, dalignment and dbefore: dscore, dcentre, and the values' gradient. */
static void align_backward(row *r, size_t t)
{
    const reference_attention *a = r->a;
    const double *dc = at(r, ATTENTION_DCONTEXT, t, r->V), *w = r->alignment + t * a->S;
    double all = 0, magnitude = 0, *dw = test_doubles(a->S);
    for (size_t s = 0; s < a->S; s++) {
        if (w[s] == 0)
            continue;
        double *dv = to(r, a->V ? ATTENTION_VALUES : ATTENTION_KEYS, s, r->V);
        dw[s] = dot(r, dc, value_of(r, s), 1, r->V) + at(r, ATTENTION_DALIGNMENT, t, a->S)[s] +
                (a->C ? r->dbefore[s] : 0);
        for (size_t v = 0; v < r->V; v++)
            add(r, &dv[v], w[s] * dc[v]);
        all += w[s] * dw[s];
        magnitude += fabs(w[s] * dw[s]);
    }
    all = moved(r, all, magnitude);
    for (size_t s = 0; s < a->S; s++) {
        const double far = (double)s - r->centre[t], x = w[s] * dw[s], less = r->soft[t * a->S + s] * all;
        r->dscore[s] = moved(r, x - less, 2 * fabs(x) + 4 * fabs(less));
        if (a->window == REFERENCE_PREDICTED)
            add(r, &r->dcentre[t], x * far * 4 / (a->radius * a->radius));
    }
    free(dw);
}

static void location_backward(row *r, size_t t, size_t s, const double *through, double *dbefore)
{
    const reference_attention *a = r->a;
    for (size_t c = 0; c < a->C; c++) {
        double df = 0;
        for (size_t i = 0; i < r->units; i++) {
            add(r, &df, through[i] * r->in[ATTENTION_LOCATION][i * a->C + c]);
            add(r, &r->out[ATTENTION_LOCATION][i * a->C + c],
                through[i] * r->features[(t * a->S + s) * a->C + c]);
        }
        for (size_t j = 0; j < a->width; j++) {
            const size_t from = s + j, left = (a->width - 1) / 2;
            if (from < left || from - left >= a->S)
                continue;
            add(r, &dbefore[from - left], df * r->in[ATTENTION_FILTER][c * a->width + j]);
            add(r, &r->out[ATTENTION_FILTER][c * a->width + j], df * r->before[t * a->S + from - left]);
        }
    }
}

/* From dscore to what the scores have seen. */
static void scores_backward(row *r, size_t t)
{
    const reference_attention *a = r->a;
    double *dbefore = test_doubles(a->S), *through = test_doubles(r->units);
    for (size_t s = 0; s < a->S; s++) {
        const double de = r->dscore[s], *k = r->key + s * r->units, *q = r->query + t * r->units;
        const double *y = r->tanh + (t * a->S + s) * r->units;
        for (size_t i = 0; i < r->units && r->alignment[t * a->S + s] != 0; i++) {
            through[i] = de * r->vector[i] * (1 - y[i] * y[i]);
            if (a->A)
                add(r, &r->dvector[i], de * y[i]);
            /* 1 - y^2 is off by 2 y times y's error, which what is moved above has, and by u. */
            through[i] = moved(r, through[i], 2 * through[i] + de * r->vector[i]);
            add(r, &r->dquery[t * r->units + i], a->A ? through[i] : de * k[i]);
            add(r, &r->dkey[s * r->units + i], a->A ? through[i] : de * q[i]);
        }
        if (r->alignment[t * a->S + s] != 0)
            location_backward(r, t, s, through, dbefore);
    }
    for (size_t s = 0; s < a->S && a->C; s++)
        r->dbefore[s] = dbefore[s] + (a->sums ? r->dbefore[s] : 0);
    free(dbefore);
    free(through);
}

/* dx (+=) and dw (+=) of y = W x, or dx (+=) alone. */
static void project_backward(const row *r, int weight, const double *dy, const double *x, size_t rows,
                             size_t n, bool projects, double *dx)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            if (projects) {
                add(r, &dx[j], dy[i] * r->in[weight][i * n + j]);
                add(r, &r->out[weight][i * n + j], dy[i] * x[j]);
            } else if (i == j) {
                dx[j] += dy[i];
            }
        }
}

static void query_backward(row *r, size_t t)
{
    const reference_attention *a = r->a;
    const double *d = r->dquery + t * r->units;
    for (size_t i = 0; i < r->units && a->bias; i++)
        r->out[ATTENTION_BIAS][i] += d[i];
    if (a->Q == 0)
        return;
    const double *q = at(r, ATTENTION_QUERIES, t, a->Q);
    double *dq = to(r, ATTENTION_QUERIES, t, a->Q);
    project_backward(r, ATTENTION_WEIGHT_QUERY, d, q, r->units, a->Q, a->projects_queries, dq);
    if (a->window != REFERENCE_PREDICTED || r->length == 0)
        return;
    const double part = r->centre[t] / (double)r->length, dz = r->dcentre[t] * r->centre[t] * (1 - part);
    double *dh = test_doubles(a->P);
    for (size_t i = 0; i < a->P; i++) {
        const double y = r->hidden[t * a->P + i], v = r->in[ATTENTION_CENTRE_VECTOR][i];
        dh[i] = moved(r, dz * v * (1 - y * y), 6 * dz * v);
        add(r, &r->out[ATTENTION_CENTRE_VECTOR][i], dz * y);
    }
    project_backward(r, ATTENTION_CENTRE, dh, q, a->P, a->Q, true, dq);
    free(dh);
}

static void vector_backward(row *r)
{
    const reference_attention *a = r->a;
    const double *v = r->in[ATTENTION_VECTOR], *d = r->dvector;
    double squares = 0, along = 0;
    for (size_t i = 0; i < a->A; i++) {
        squares += v[i] * v[i];
        along += v[i] * d[i];
    }
    if (a->normalise && squares > 0)
        r->out[ATTENTION_GAIN][0] += moved(r, along / sqrt(squares), 4 * along / sqrt(squares));
    for (size_t i = 0; i < a->A; i++) {
        if (!a->normalise)
            r->out[ATTENTION_VECTOR][i] += d[i];
        else if (squares > 0)
            r->out[ATTENTION_VECTOR][i] += moved(
                r, r->in[ATTENTION_GAIN][0] / sqrt(squares) * (d[i] - v[i] * along / squares),
                4 * r->in[ATTENTION_GAIN][0] / sqrt(squares) * (fabs(d[i]) + fabs(v[i] * along / squares)));
    }
}

static void backward(row *r)
{
    const reference_attention *a = r->a;
    for (size_t t = a->T; t-- > 0;) {
        align_backward(r, t);
        scores_backward(r, t);
        query_backward(r, t);
    }
    for (size_t s = 0; s < r->length; s++)
        if (!a->mask || a->mask[s * a->B + r->b])
            project_backward(r, ATTENTION_WEIGHT_KEY, r->dkey + s * r->units, at(r, ATTENTION_KEYS, s, a->K),
                             r->units, a->K, a->projects_keys, to(r, ATTENTION_KEYS, s, a->K));
    vector_backward(r);
}

/* ---- rows ---- */

static void run_row(row *r, bool with_backward)
{
    const reference_attention *a = r->a;
    const size_t T = a->T, S = a->S, n = r->units;
    const struct {
        double **array;
        size_t n;
    } arrays[] = {{&r->query, T * n},
                  {&r->key, S * n},
                  {&r->vector, n},
                  {&r->tanh, T * S * n},
                  {&r->soft, T * S},
                  {&r->bell, T * S},
                  {&r->alignment, T * S},
                  {&r->centre, T},
                  {&r->hidden, T * a->P},
                  {&r->dquery, T * n},
                  {&r->features, T * S * a->C},
                  {&r->before, (T + 1) * S},
                  {&r->dkey, S * n},
                  {&r->dvector, n},
                  {&r->dscore, S},
                  {&r->dcentre, T},
                  {&r->dbefore, S}};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        *arrays[i].array = test_doubles(arrays[i].n);
    forward(r);
    if (with_backward)
        backward(r);
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(*arrays[i].array);
}

void reference_attention_run(const reference_attention *a, double *const in[], double *const out[],
                             bool with_backward)
{
    if (a->margin)
        *a->margin = INFINITY;
    for (int place = 0; place < ATTENTION_PLACES; place++)
        for (size_t i = 0; i < reference_attention_size(a, place); i++)
            out[place][i] = 0;
    for (size_t b = 0; b < a->B; b++) {
        const int32_t length = a->lengths ? a->lengths[b] : (int32_t)a->S;
        row r = {.a = a, .in = in, .out = out, .b = b, .units = a->A ? a->A : a->Q, .V = a->V ? a->V : a->K};
        r.length = length < 0 ? 0 : (size_t)length < a->S ? (size_t)length : a->S;
        run_row(&r, with_backward);
    }
}
