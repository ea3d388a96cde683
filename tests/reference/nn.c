#include "nn.h"

#include "gemm.h"
#include "philox.h"

#include <math.h>
#include <string.h>

static bool in_range(int32_t index, size_t count)
{
    return index >= 0 && (size_t)index < count;
}

void reference_embedding_forward(const double *table, size_t V, size_t E, const int32_t *tokens, size_t N,
                                 double *y)
{
    for (size_t n = 0; n < N; n++)
        for (size_t e = 0; e < E; e++)
            y[n * E + e] = in_range(tokens[n], V) ? table[(size_t)tokens[n] * E + e] : 0;
}

void reference_embedding_backward(const int32_t *tokens, size_t N, const double *dy, size_t V, size_t E,
                                  double *dtable, double *magnitude)
{
    for (size_t i = 0; i < V * E && magnitude != NULL; i++)
        magnitude[i] = fabs(dtable[i]);
    for (size_t n = 0; n < N; n++)
        for (size_t e = 0; e < E && in_range(tokens[n], V); e++) {
            const size_t at = (size_t)tokens[n] * E + e;
            dtable[at] += dy[n * E + e];
            if (magnitude != NULL)
                magnitude[at] += fabs(dy[n * E + e]);
        }
}

void reference_affine_forward(const double *x, const double *w, const double *b, size_t N, size_t in,
                              size_t out, double *y, double *magnitude)
{
    for (size_t i = 0; i < N * out; i++)
        y[i] = b != NULL ? b[i % out] : 0;
    reference_gemm(N, out, in, 1, (reference_matrix){x, in, false}, (reference_matrix){w, in, true}, 1, y,
                   out, magnitude);
}

void reference_affine_backward(const double *x, const double *w, const double *dy, size_t N, size_t in,
                               size_t out, double *dx, double *dw, double *db)
{
    if (dx != NULL)
        reference_gemm(N, in, out, 1, (reference_matrix){dy, out, false}, (reference_matrix){w, in, false}, 0,
                       dx, in, NULL);
    if (dw != NULL)
        reference_gemm(out, in, N, 1, (reference_matrix){dy, out, true}, (reference_matrix){x, in, false}, 1,
                       dw, in, NULL);
    for (size_t i = 0; i < N * out && db != NULL; i++)
        db[i % out] += dy[i];
}

void reference_dropout(const double *x, const bool *kept, double p, size_t n, double *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = kept[i] ? x[i] / (1 - p) : 0;
}

void reference_dropout_mask(uint64_t seed, uint64_t stream, float p, size_t n, bool *kept)
{
    for (size_t i = 0; i < n; i++)
        kept[i] = reference_random_uniform(seed, stream, i) >= p;
}

/* log(sum(exp(logits))), shifted by the largest so that nothing overflows. */
static double log_sum_exp(const double *logits, size_t V)
{
    double largest = logits[0], sum = 0;
    for (size_t v = 1; v < V; v++)
        largest = fmax(largest, logits[v]);
    for (size_t v = 0; v < V; v++)
        sum += exp(logits[v] - largest);
    return largest + log(sum);
}

void reference_softmax(const double *logits, size_t V, double *softmax)
{
    const double lse = log_sum_exp(logits, V);
    for (size_t v = 0; v < V; v++)
        softmax[v] = exp(logits[v] - lse);
}

static bool counts(reference_cross_entropy desc, int32_t target, size_t V)
{
    return in_range(target, V) && !(desc.ignore && target == desc.ignore_index);
}

/* What the sum over rows is divided by. */
static double divisor_of(reference_cross_entropy desc, const int32_t *targets, size_t N, size_t V)
{
    size_t count = 0;
    for (size_t n = 0; n < N; n++)
        count += counts(desc, targets[n], V);
    return desc.sum || count == 0 ? 1 : (double)count;
}

double reference_cross_entropy_forward(reference_cross_entropy desc, const double *logits,
                                       const int32_t *targets, size_t N, size_t V)
{
    double sum = 0;
    for (size_t n = 0; n < N; n++)
        if (counts(desc, targets[n], V))
            sum += log_sum_exp(logits + n * V, V) - logits[n * V + (size_t)targets[n]];
    return sum / divisor_of(desc, targets, N, V);
}

void reference_cross_entropy_backward(reference_cross_entropy desc, const double *logits,
                                      const int32_t *targets, size_t N, size_t V, double dloss,
                                      double *dlogits)
{
    const double factor = dloss / divisor_of(desc, targets, N, V);
    for (size_t n = 0; n < N; n++) {
        double *row = dlogits + n * V;
        reference_softmax(logits + n * V, V, row);
        for (size_t v = 0; v < V; v++)
            row[v] = counts(desc, targets[n], V) ? factor * (row[v] - ((size_t)targets[n] == v)) : 0;
    }
}

double reference_sum(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

double reference_mean(const double *x, size_t n)
{
    return n > 0 ? reference_sum(x, n) / (double)n : 0;
}
