/* philox.h - Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw (SC 2011). */
#ifndef CLSEQ_TESTS_REFERENCE_PHILOX_H
#define CLSEQ_TESTS_REFERENCE_PHILOX_H

#include <stdint.h>

/* Four random words for a 128-bit counter and a 64-bit key, low words first. */
void reference_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/*
 * Number `index` of a stream in the library's order, uniform in [0,1) with 24 bits: component index%4 of the block at
 * counter (index/4, stream), low words first, under key `seed`.
 */
double reference_random_uniform(uint64_t seed, uint64_t stream, uint64_t index);

#endif
