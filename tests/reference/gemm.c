#include "gemm.h"

#include <math.h>

static double element(reference_matrix x, size_t row, size_t column)
{
    return x.transpose ? x.data[column * x.ld + row] : x.data[row * x.ld + column];
}

void reference_gemm(size_t m, size_t n, size_t k, double alpha, reference_matrix a, reference_matrix b,
                    double beta, double *c, size_t ldc, double *magnitude)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const double before = beta != 0 ? beta * c[i * ldc + j] : 0;
            double sum = 0, size = 0;
            for (size_t l = 0; l < k; l++) {
                const double product = element(a, i, l) * element(b, l, j);
                sum += product;
                size += fabs(product);
            }
            c[i * ldc + j] = alpha * sum + before;
            if (magnitude != NULL)
                magnitude[i * n + j] = fabs(alpha) * size + fabs(before);
        }
}
