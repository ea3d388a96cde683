#include "philox.h"

/* One round: two 32x32-bit products, whose halves are mixed with the other words and the round's key. */
static void round_once(uint32_t x[4], const uint32_t key[2])
{
    const uint64_t p0 = UINT64_C(0xd2511f53) * x[0];
    const uint64_t p1 = UINT64_C(0xcd9e8d57) * x[2];
    const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ x[1] ^ key[0], (uint32_t)p1,
                              (uint32_t)(p0 >> 32) ^ x[3] ^ key[1], (uint32_t)p0};
    for (int i = 0; i < 4; i++)
        x[i] = next[i];
}

void reference_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t k[2] = {key[0], key[1]};
    for (int i = 0; i < 4; i++)
        out[i] = counter[i];
    for (int r = 0; r < 10; r++) {
        round_once(out, k);
        k[0] += UINT32_C(0x9e3779b9);
        k[1] += UINT32_C(0xbb67ae85);
    }
}

double reference_random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    const uint64_t block = index / 4;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
                                 (uint32_t)(stream >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4];
    reference_philox(counter, key, words);
    return (words[index % 4] >> 8) * 0x1p-24;
}
