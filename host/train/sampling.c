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

static clseq_status check(const float *logits, int32_t size, float temperature, int32_t top_k, double random,
                          const int32_t *token)
{
    CLSEQ__NOT_NULL("sample token", logits);
    CLSEQ__NOT_NULL("sample token", token);
    if (size < 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "sample token: size is %d, expected at least 1",
                            (int)size);
    if (!(temperature >= 0) || isinf(temperature))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "sample token: temperature is %g, expected a finite number of at least 0",
                            (double)temperature);
    if (top_k < 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "sample token: top_k is %d, expected at least 0",
                            (int)top_k);
    if (!(random >= 0 && random < 1))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "sample token: random is %g, expected 0 <= random < 1",
                            random);
    return CLSEQ_OK;
}

clseq_status clseq_sample_token(const float *logits, int32_t size, float temperature, int32_t top_k,
                                double random, int32_t *token)
{
    CLSEQ__RETURN_IF(check(logits, size, temperature, top_k, random, token));
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
