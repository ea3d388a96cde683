#include <clseq/data.h>

#include "core/error.h"
#include "core/random.h"
#include <math.h>

double clseq_random(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t block[4];
    clseq__philox(seed, stream, index, block);
    return (((uint64_t)block[0] << 21) ^ (block[1] >> 11)) * 0x1p-53;
}

/* Whether logit i stands before logit j in descending order; ties go to the lower token. */
static bool is_before(const float *logits, int32_t i, int32_t j)
{
    return logits[i] > logits[j] || (logits[i] == logits[j] && i < j);
}

/* The last logit, in descending order, that top_k keeps: one pass for each logit kept, and no memory. */
static int32_t last_kept(const float *logits, int32_t size, int32_t top_k, int32_t best)
{
    int32_t last = best;
    for (int32_t kept = 1; kept < top_k; kept++) {
        int32_t next = -1;
        for (int32_t i = 0; i < size; i++)
            if (is_before(logits, last, i) && (next < 0 || is_before(logits, i, next)))
                next = i;
        last = next;
    }
    return last;
}

clseq_status clseq_sample_token(const float *logits, int32_t size, float temperature, int32_t top_k,
                                double random, int32_t *token)
{
    if (!logits || !token || size < 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "sample token: logits or token is NULL, or size %d is under 1", (int)size);
    if (!(temperature >= 0) || isinf(temperature) || top_k < 0 || !(random >= 0 && random < 1))
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "sample token: temperature %g and top_k %d must not be negative, random %g within [0,1)",
            (double)temperature, (int)top_k, random);
    int32_t best = 0;
    for (int32_t i = 0; i < size; i++) {
        if (!isfinite(logits[i]))
            return clseq__error(CLSEQ_NOT_FINITE, "sample token: logit %d is %g", (int)i, (double)logits[i]);
        if (logits[i] > logits[best])
            best = i;
    }
    *token = best;
    if (temperature == 0)
        return CLSEQ_OK;
    bool all = top_k == 0 || top_k >= size;
    int32_t last = all ? -1 : last_kept(logits, size, top_k, best);
    double total = 0;
    for (int32_t i = 0; i < size; i++)
        if (all || !is_before(logits, last, i))
            total += exp(((double)logits[i] - logits[best]) / temperature);
    double left = random * total;
    for (int32_t i = 0; i < size; i++) {
        if (!all && is_before(logits, last, i))
            continue;
        *token = i; /* rounding may leave a little behind the last one */
        left -= exp(((double)logits[i] - logits[best]) / temperature);
        if (left < 0)
            break;
    }
    return CLSEQ_OK;
}
