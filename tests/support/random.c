#include "random.h"

test_random test_random_seed(uint64_t seed)
{
    return (test_random){seed};
}

/* SplitMix64: a counter in steps of the golden ratio, mixed by two multiplications (Steele, Lea, Flood 2014).
 */
uint64_t test_random_bits(test_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double test_random_uniform(test_random *random, double low, double high)
{
    const double unit = (double)(test_random_bits(random) >> 11) * 0x1p-53;
    return low + (high - low) * unit;
}

int test_random_int(test_random *random, int low, int high)
{
    const uint64_t count = (uint64_t)((int64_t)high - low + 1);
    return (int)(low + (int64_t)(test_random_bits(random) % count));
}

void test_random_fill(test_random *random, double *out, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)test_random_uniform(random, low, high);
}

void test_random_fill_float(test_random *random, float *out, size_t n, float low, float high)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)test_random_uniform(random, low, high);
}

void test_random_fill_int(test_random *random, int32_t *out, size_t n, int low, int high)
{
    for (size_t i = 0; i < n; i++)
        out[i] = test_random_int(random, low, high);
}
