/*
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011). The number for (seed, stream, index) is the same on host and device and does not
 * depend on what was drawn before. The device's twin is cl/core/philox.clh.
 */
#ifndef CLSEQ_CORE_RANDOM_H
#define CLSEQ_CORE_RANDOM_H

#include <stdint.h>

/* The block of four 32-bit numbers at 128-bit counter (index low, index high, stream low, stream high) under
 * key `seed`. */
void clseq__philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);

/* Number `index` of a stream, uniform in [0,1) with 24 bits: component index%4 of block index/4. */
float clseq__random_uniform(uint64_t seed, uint64_t stream, uint64_t index);

/* Number `index` of a stream, standard normal (Box-Muller over blocks; two components a pair). */
float clseq__random_normal(uint64_t seed, uint64_t stream, uint64_t index);

#endif
