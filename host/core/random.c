#include "core/random.h"

#include "core/philox_constants.h"

#include <math.h>

void clseq__philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_FACTOR0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_FACTOR1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_STEP0;
        k1 += PHILOX_STEP1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

float clseq__random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t block[4];
    clseq__philox(seed, stream, index / 4, block);
    return (float)(block[index % 4] >> 8) * 0x1p-24f;
}

float clseq__random_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t block[4];
    clseq__philox(seed, stream, index / 4, block);
    const uint32_t *pair = block + (index % 4 & 2);
    /* In (0,1], so that the logarithm is finite. */
    double radius = sqrt(-2.0 * log(((double)pair[0] + 1.0) * 0x1p-32));
    double angle = 6.283185307179586 * ((double)pair[1] * 0x1p-32);
    return (float)(radius * (index % 2 == 0 ? cos(angle) : sin(angle)));
}
