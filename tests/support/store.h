/*
 * store.h - parameter stores of vectors for tests of what works on all parameters at once.
 *
 *     clseq_params *params = store_of(ctx, 2, (const char *const[]){"a.weight", "a.bias"}, (const int64_t[]){70, 3});
 *     store_fill(params, params->values, 1);
 *     float *values = store_read(params, params->values);
 *
 * A failing call aborts the test.
 */
#ifndef CLSEQ_TESTS_SUPPORT_STORE_H
#define CLSEQ_TESTS_SUPPORT_STORE_H

#include "train/params.h"

/* Parameters of one dim with these names and numbers of elements, all zero, with their memory. */
clseq_params *store_of(clseq_context *ctx, size_t count, const char *const *names, const int64_t *elements);

/* Random numbers for all parameters, the frozen ones too, in one of the store's buffers; zeros between them. */
void store_fill(clseq_params *params, cl_mem buffer, uint64_t seed);

/* All of a buffer of the store's layout, params->flat floats, to be freed. */
float *store_read(const clseq_params *params, cl_mem buffer);

#endif
