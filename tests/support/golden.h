/*
 * golden.h - reads the golden files of tests/golden, which PyTorch wrote.
 *
 *     golden *g = golden_open("lstm.txt");
 *     const golden_tensor *x = golden_get(g, "x");
 *     ... x->values[0 .. x->n-1], x->dims[0 .. x->ndim-1] ...
 *     golden_close(g);
 *
 * The files are text: lines that start with # are comments; a tensor is its name, its number of dimensions, its
 * dimensions and its values in row-major order, separated by white space. A file or a tensor that is missing or
 * malformed is a mistake in the tests: the functions say what is wrong on stderr and abort.
 */
#ifndef CLSEQ_TESTS_SUPPORT_GOLDEN_H
#define CLSEQ_TESTS_SUPPORT_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>

enum { GOLDEN_MAX_DIMS = 6, GOLDEN_MAX_NAME = 64 };

typedef struct golden_tensor {
    char name[GOLDEN_MAX_NAME];
    int ndim;
    size_t dims[GOLDEN_MAX_DIMS];
    size_t n; /* the product of dims */
    double *values;
} golden_tensor;

typedef struct golden golden;

/* `name` is a file in the folder CLSEQ_TEST_GOLDEN, which the build defines. */
golden *golden_open(const char *name);
void golden_close(golden *g);

bool golden_has(const golden *g, const char *name);
const golden_tensor *golden_get(const golden *g, const char *name);

/* The values of a tensor that must have n elements. */
const double *golden_values(const golden *g, const char *name, size_t n);

#endif
