/*
 * bench_gemm - GFLOP/s of matrix products in one interleaved run: the native kernels with packing on every
 * call and with both operands packed before, CLBlast, and OpenBLAS where it was found when this was built.
 * Ratios are to the best other line's, OpenBLAS if there is one, CLBlast otherwise.
 *
 *     bench_gemm [--transpose nn|nt|tn|tt] [--without-clblast] [M,N,K ...]
 */
#include "bench/bench.h"
#include <clseq/gemm.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_CBLAS
#include <cblas.h>
#endif

typedef struct shape {
    long long m, n, k;
} shape;

static const shape shapes[] = {{64, 2048, 512}, {3200, 512, 128},  {9600, 1024, 256}, {3200, 2048, 512},
                               {512, 128, 640}, {1024, 256, 6400}, {2048, 512, 3200}, {2048, 2048, 2048}};

/* One product on one context, with operands packed before or not. */
typedef struct product {
    clseq_context *ctx;
    clseq_gemm_desc desc;
    clseq_tensor a, b, c;
    clseq_packed *packed_a, *packed_b;
} product;

/* The same product in host memory. */
typedef struct host_product {
    shape size;
    bool ta, tb;
    float *a, *b, *c;
} host_product;

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "bench_gemm: %s\n", clseq_last_error());
    exit(1);
}

static clseq_context *context_for(const char *implementation)
{
    clseq_context *ctx = NULL;
    setenv("CLSEQ_GEMM", implementation, 1);
    check(clseq_context_create(NULL, &ctx));
    return ctx;
}

static void product_create(product *p, clseq_context *ctx, const host_product *h, bool packed)
{
    const shape s = h->size;
    *p = (product){.ctx = ctx};
    check(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, h->ta ? (int64_t[]){s.k, s.m} : (int64_t[]){s.m, s.k},
                              &p->a));
    check(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, h->tb ? (int64_t[]){s.n, s.k} : (int64_t[]){s.k, s.n},
                              &p->b));
    check(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){s.m, s.n}, &p->c));
    check(clseq_tensor_write(ctx, &p->a, h->a));
    check(clseq_tensor_write(ctx, &p->b, h->b));
    p->desc = (clseq_gemm_desc){.transpose_a = h->ta, .transpose_b = h->tb};
    if (packed) {
        check(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &p->a, h->ta, &p->packed_a));
        check(clseq_gemm_pack(ctx, CLSEQ_OPERAND_B, &p->b, h->tb, &p->packed_b));
        p->desc.packed_a = p->packed_a;
        p->desc.packed_b = p->packed_b;
    }
}

static void product_destroy(product *p)
{
    clseq_packed_destroy(p->packed_a);
    clseq_packed_destroy(p->packed_b);
    clseq_tensor_destroy(p->ctx, &p->a);
    clseq_tensor_destroy(p->ctx, &p->b);
    clseq_tensor_destroy(p->ctx, &p->c);
}

static void run_product(void *user)
{
    product *p = user;
    check(clseq_gemm(p->ctx, &p->desc, 1.0f, p->packed_a ? NULL : &p->a, p->packed_b ? NULL : &p->b, 0.0f,
                     &p->c));
    check(clseq_context_finish(p->ctx));
}

#ifdef HAVE_CBLAS
static void run_openblas(void *user)
{
    host_product *h = user;
    const int m = (int)h->size.m, n = (int)h->size.n, k = (int)h->size.k;
    cblas_sgemm(CblasRowMajor, h->ta ? CblasTrans : CblasNoTrans, h->tb ? CblasTrans : CblasNoTrans, m, n, k,
                1.0f, h->a, h->ta ? m : k, h->b, h->tb ? k : n, 0.0f, h->c, n);
}

/* A benchmark of wrong results is worth nothing: the products of small integers here are exact. */
static void compare(const product *p, const host_product *h, const char *name)
{
    float *c = malloc((size_t)(h->size.m * h->size.n) * sizeof *c);
    if (!c)
        exit(1);
    check(clseq_tensor_read(p->ctx, &p->c, c));
    for (long long i = 0; i < h->size.m * h->size.n; i++) {
        if (c[i] != h->c[i]) {
            fprintf(stderr, "bench_gemm: %s gives %g for element %lld, OpenBLAS %g\n", name, c[i], i,
                    h->c[i]);
            exit(1);
        }
    }
    free(c);
}
#endif

static float *integers(long long n, int modulus)
{
    float *x = malloc((size_t)n * sizeof *x);
    if (!x)
        exit(1);
    for (long long i = 0; i < n; i++)
        x[i] = (float)((i * 7 + i / 31) % modulus - modulus / 2);
    return x;
}

static void bench_shape(clseq_context *native, clseq_context *clblast, shape s, const char *transpose,
                        double logs[3])
{
    enum { NATIVE, PACKED, CLBLAST, OPENBLAS, COUNT };
    host_product h = {.size = s, .ta = transpose[0] == 't', .tb = transpose[1] == 't'};
    product p[3] = {{0}};
    bench_candidate candidates[COUNT] = {{0}};
    h.a = integers(s.m * s.k, 7);
    h.b = integers(s.k * s.n, 5);
    h.c = integers(s.m * s.n, 3);
    product_create(&p[NATIVE], native, &h, false);
    product_create(&p[PACKED], native, &h, true);
    for (int i = NATIVE; i <= PACKED; i++)
        candidates[i] = (bench_candidate){run_product, &p[i], 0};
    if (clblast) {
        product_create(&p[CLBLAST], clblast, &h, false);
        candidates[CLBLAST] = (bench_candidate){run_product, &p[CLBLAST], 0};
    }
#ifdef HAVE_CBLAS
    candidates[OPENBLAS] = (bench_candidate){run_openblas, &h, 0};
#endif
    bench_compare(candidates, COUNT, (bench_plan){0});
#ifdef HAVE_CBLAS
    compare(&p[NATIVE], &h, "native");
    compare(&p[PACKED], &h, "native packed");
#endif
    const double flop = 2.0 * (double)s.m * (double)s.n * (double)s.k;
    printf("%5lld %5lld %5lld ", s.m, s.n, s.k);
    for (int i = 0; i < COUNT; i++)
        printf(candidates[i].run ? " %8.1f" : "        -", flop / 1e9 / candidates[i].seconds);
    const double other =
        candidates[OPENBLAS].run ? candidates[OPENBLAS].seconds : candidates[CLBLAST].seconds;
    if (other > 0) {
        printf("  %6.3f %6.3f", other / candidates[NATIVE].seconds, other / candidates[PACKED].seconds);
        logs[0] += log(other / candidates[NATIVE].seconds);
        logs[1] += log(other / candidates[PACKED].seconds);
        logs[2] += 1;
    }
    printf("\n");
    fflush(stdout);
    for (int i = 0; i < 3; i++)
        if (p[i].ctx)
            product_destroy(&p[i]);
    free(h.a);
    free(h.b);
    free(h.c);
}

int main(int argc, char **argv)
{
    const char *transpose = "nn";
    bool with_clblast = true;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--without-clblast") == 0)
            with_clblast = false;
        else if (strcmp(argv[first], "--transpose") == 0 && first + 1 < argc && strlen(argv[first + 1]) == 2)
            transpose = argv[++first];
        else {
            fprintf(stderr, "usage: bench_gemm [--transpose nn|nt|tn|tt] [--without-clblast] [M,N,K ...]\n");
            return 2;
        }
    }
    clseq_context *native = context_for("native"), *clblast = with_clblast ? context_for("clblast") : NULL;
    printf("%s, GFLOP/s, transpose %s\n", clseq_context_device(native)->name, transpose);
    printf("    m     n     k    native   packed  clblast openblas   ratio packed\n");
    double logs[3] = {0};
    for (int i = first; i < argc; i++) {
        shape s = {0};
        if (sscanf(argv[i], "%lld,%lld,%lld", &s.m, &s.n, &s.k) != 3 || s.m < 1 || s.n < 1 || s.k < 1) {
            fprintf(stderr, "bench_gemm: \"%s\" is no shape, expected M,N,K\n", argv[i]);
            return 2;
        }
        bench_shape(native, clblast, s, transpose, logs);
    }
    for (size_t i = 0; first >= argc && i < sizeof shapes / sizeof shapes[0]; i++)
        bench_shape(native, clblast, shapes[i], transpose, logs);
    if (logs[2] > 0)
        printf("geometric mean of the ratios: %.3f, packed %.3f\n", exp(logs[0] / logs[2]),
               exp(logs[1] / logs[2]));
    clseq_context_destroy(native);
    clseq_context_destroy(clblast);
    return 0;
}
