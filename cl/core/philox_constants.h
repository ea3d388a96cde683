/* Philox4x32-10 for cl/core/philox.clh and host/core/random.c, which make the same numbers: C and OpenCL C. */
#ifndef CORE_PHILOX_CONSTANTS_H
#define CORE_PHILOX_CONSTANTS_H

#define PHILOX_ROUNDS 10
/* Factors of counter words 0 and 2. */
#define PHILOX_FACTOR0 0xD2511F53u
#define PHILOX_FACTOR1 0xCD9E8D57u
/* What is added to the two key words each round. */
#define PHILOX_STEP0 0x9E3779B9u
#define PHILOX_STEP1 0xBB67AE85u

#endif
