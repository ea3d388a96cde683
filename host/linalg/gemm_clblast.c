/*
 * Matrix products through CLBlast, for every device that the native kernels are not made for.
 *
 * What has to be known about CLBlast 1.5 and is dealt with here:
 * - Its caches are not safe against a second thread: one lock for the process around each call.
 * - It keeps programs of a context in a cache of the process, which must be emptied before the context goes.
 * - Sizes and offsets are 32-bit inside its kernels.
 * - SgemmStridedBatched ignores offset and stride of a matrix that it does not copy first (one without gaps
 *   between its rows): such batches go to SgemmBatched, which takes an offset for each product.
 * - A temporary buffer that is not passed in is created on every call: single products get one of the pool.
 */
#include "core/error.h"
#include "core/pool.h"
#include "core/profile.h"
#include "linalg/gemm_impl.h"
#include <clblast_c.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Products in one batched call: the third dimension of a launch holds no more than this on many devices. */
#define BATCH_LIMIT 32768

/* CLBlast's temporary copies have sides that are multiples of its tiles, which are powers of two up to this. */
#define PADDING 128

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What each of CLBlast's own codes means, where it can occur here. */
static const struct {
    int code;
    clseq_status status;
    const char *text;
} codes[] = {
    {CLBlastTempBufferAllocFailure, CLSEQ_OUT_OF_DEVICE_MEMORY, "no device memory for its temporary buffer"},
    {CLBlastOpenCLOutOfResources, CLSEQ_OUT_OF_DEVICE_MEMORY, "the device is out of resources"},
    {CLBlastOpenCLOutOfHostMemory, CLSEQ_OUT_OF_HOST_MEMORY, "no host memory"},
    {CLBlastOpenCLBuildProgramFailure, CLSEQ_BUILD_FAILED, "its kernels did not compile"},
    {CLBlastInsufficientMemoryA, CLSEQ_OUT_OF_BOUNDS, "a reaches beyond its buffer"},
    {CLBlastInsufficientMemoryB, CLSEQ_OUT_OF_BOUNDS, "b reaches beyond its buffer"},
    {CLBlastInsufficientMemoryC, CLSEQ_OUT_OF_BOUNDS, "c reaches beyond its buffer"},
    {CLBlastInsufficientMemoryTemp, CLSEQ_OPENCL_ERROR, "its temporary buffer is too small"},
    {CLBlastInvalidMatrixA, CLSEQ_INVALID_ARGUMENT, "a is not a buffer of this context"},
    {CLBlastInvalidMatrixB, CLSEQ_INVALID_ARGUMENT, "b is not a buffer of this context"},
    {CLBlastInvalidMatrixC, CLSEQ_INVALID_ARGUMENT, "c is not a buffer of this context"},
    {CLBlastInvalidLocalMemUsage, CLSEQ_UNSUPPORTED, "the device has too little local memory"},
    {CLBlastInvalidLocalThreadsTotal, CLSEQ_UNSUPPORTED, "the device's work-groups are too small"},
};

static clseq_status check(CLBlastStatusCode code, const char *call)
{
    if (code == CLBlastSuccess)
        return CLSEQ_OK;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code == (int)code)
            return clseq__error(codes[i].status, "gemm: CLBlast %s: %s (%d)", call, codes[i].text, (int)code);
    }
    if ((int)code > CLBlastNotImplemented)
        return clseq__error(CLSEQ_OPENCL_ERROR, "gemm: CLBlast %s failed with %s (%d)", call,
                            clseq__cl_error_name((int)code), (int)code);
    return clseq__error(CLSEQ_CLBLAST_ERROR, "gemm: CLBlast %s failed with its code %d", call, (int)code);
}

static bool applicable(const clseq_context *ctx)
{
    (void)ctx;
    return true;
}

static void describe(const clseq_context *ctx, char *text, size_t size)
{
    snprintf(text, size, "CLBlast on %s", ctx->device.name);
}

/* The last element that a batch of matrices touches, plus 1. */
static int64_t reach(const clseq__matrix *x, int64_t batch)
{
    int64_t last = x->stride * (batch - 1);
    for (int64_t i = 0; x->offsets && i < batch; i++)
        last = i == 0 || x->offsets[i] > last ? x->offsets[i] : last;
    return x->offset + last + (x->rows - 1) * x->ld + x->columns;
}

static int64_t padded(int64_t rows, int64_t columns)
{
    return (rows + PADDING - 1) / PADDING * PADDING * ((columns + PADDING - 1) / PADDING * PADDING);
}

/* Everything that CLBlast's kernels count must fit into 31 bits, the offsets in its temporary buffer too. */
static clseq_status check_range(const clseq__product *x)
{
    int64_t m = x->m, n = x->n, k = x->k, limit = INT32_MAX;
    bool fits = reach(&x->a, x->batch) <= limit && reach(&x->b, x->batch) <= limit &&
                reach(&x->c, x->batch) <= limit && m <= limit - PADDING && n <= limit - PADDING &&
                k <= limit - PADDING;
    int64_t all = fits ? padded(m, k) / 2 + padded(k, n) / 2 + padded(m, n) / 2 : 0;
    int64_t products = x->batch < BATCH_LIMIT ? x->batch : BATCH_LIMIT;
    if (!fits || all > limit / 2 / products)
        return clseq__error(
            CLSEQ_UNSUPPORTED,
            "gemm: %lld products of [%lld,%lld] by [%lld,%lld] reach beyond the 2^31 elements that "
            "CLBlast's kernels can count",
            (long long)x->batch, (long long)m, (long long)k, (long long)k, (long long)n);
    return CLSEQ_OK;
}

static CLBlastTranspose transposed(const clseq__matrix *x)
{
    return x->transpose ? CLBlastTransposeYes : CLBlastTransposeNo;
}

static clseq_status run_single(clseq_context *ctx, const clseq__product *x)
{
    clseq_status status = CLSEQ_OK;
    const clseq__matrix *a = &x->a, *b = &x->b, *c = &x->c;
    const CLBlastLayout layout = CLBlastLayoutRowMajor;
    const size_t ao = (size_t)a->offset, bo = (size_t)b->offset, co = (size_t)c->offset;
    const size_t m = (size_t)x->m, n = (size_t)x->n, k = (size_t)x->k;
    const size_t al = (size_t)a->ld, bl = (size_t)b->ld, cl = (size_t)c->ld;
    cl_mem scratch = NULL;
    size_t bytes = 0;
    CLSEQ__TRY(check(CLBlastSGemmTempBufferSize(layout, transposed(a), transposed(b), m, n, k, ao, al, bo, bl,
                                                co, cl, &ctx->queue, &bytes),
                     "SGemmTempBufferSize"));
    if (bytes > 0) {
        CLSEQ__TRY(clseq__pool_get(ctx, bytes, "gemm", &scratch));
        CLSEQ__TRY(check(CLBlastSgemmWithTempBuffer(layout, transposed(a), transposed(b), m, n, k, x->alpha,
                                                    a->buffer, ao, al, b->buffer, bo, bl, x->beta, c->buffer,
                                                    co, cl, &ctx->queue, NULL, scratch),
                         "SgemmWithTempBuffer"));
    } else {
        CLSEQ__TRY(check(CLBlastSgemm(layout, transposed(a), transposed(b), m, n, k, x->alpha, a->buffer, ao,
                                      al, b->buffer, bo, bl, x->beta, c->buffer, co, cl, &ctx->queue, NULL),
                         "Sgemm"));
    }
done:
    clseq__pool_put(ctx, scratch);
    return status;
}

/* Whether SgemmStridedBatched reads this matrix as it is told to: see the top. */
static bool stride_is_safe(const clseq__matrix *x)
{
    if (x->offsets)
        return false;
    return x->ld > x->columns || (x->offset == 0 && x->stride == x->rows * x->columns);
}

static clseq_status run_strided(clseq_context *ctx, const clseq__product *x)
{
    const clseq__matrix *a = &x->a, *b = &x->b, *c = &x->c;
    return check(CLBlastSgemmStridedBatched(CLBlastLayoutRowMajor, transposed(a), transposed(b), (size_t)x->m,
                                            (size_t)x->n, (size_t)x->k, x->alpha, a->buffer,
                                            (size_t)a->offset, (size_t)a->ld, (size_t)a->stride, b->buffer,
                                            (size_t)b->offset, (size_t)b->ld, (size_t)b->stride, x->beta,
                                            c->buffer, (size_t)c->offset, (size_t)c->ld, (size_t)c->stride,
                                            (size_t)x->batch, &ctx->queue, NULL),
                 "SgemmStridedBatched");
}

static size_t offset_of(const clseq__matrix *x, int64_t product)
{
    return (size_t)(x->offset + (x->offsets ? x->offsets[product] : x->stride * product));
}

static clseq_status run_offsets(clseq_context *ctx, const clseq__product *x)
{
    clseq_status status = CLSEQ_OK;
    const size_t batch = (size_t)x->batch;
    size_t *offsets = malloc(3 * batch * sizeof *offsets);
    float *scalars = malloc(2 * batch * sizeof *scalars);
    if (!offsets || !scalars)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "gemm: no memory for the offsets of %zu products", batch);
    for (size_t i = 0; i < batch; i++) {
        offsets[i] = offset_of(&x->a, (int64_t)i);
        offsets[batch + i] = offset_of(&x->b, (int64_t)i);
        offsets[2 * batch + i] = offset_of(&x->c, (int64_t)i);
        scalars[i] = x->alpha;
        scalars[batch + i] = x->beta;
    }
    CLSEQ__TRY(
        check(CLBlastSgemmBatched(CLBlastLayoutRowMajor, transposed(&x->a), transposed(&x->b), (size_t)x->m,
                                  (size_t)x->n, (size_t)x->k, scalars, x->a.buffer, offsets, (size_t)x->a.ld,
                                  x->b.buffer, offsets + batch, (size_t)x->b.ld, scalars + batch, x->c.buffer,
                                  offsets + 2 * batch, (size_t)x->c.ld, batch, &ctx->queue, NULL),
              "SgemmBatched"));
done:
    free(scalars);
    free(offsets);
    return status;
}

static clseq_status run_batch(clseq_context *ctx, const clseq__product *x)
{
    const bool strided = stride_is_safe(&x->a) && stride_is_safe(&x->b) && stride_is_safe(&x->c);
    return strided ? run_strided(ctx, x) : run_offsets(ctx, x);
}

static clseq_status run(clseq_context *ctx, const clseq__product *x)
{
    clseq_status status = CLSEQ_OK;
    CLSEQ__RETURN_IF(check_range(x));
    cl_event begin = clseq__profile_begin(ctx);
    pthread_mutex_lock(&lock);
    for (int64_t first = 0; first < x->batch && status == CLSEQ_OK; first += BATCH_LIMIT) {
        clseq__product part = clseq__gemm_part(x, first, BATCH_LIMIT);
        status = part.batch == 1 ? run_single(ctx, &part) : run_batch(ctx, &part);
        ctx->stats.clblast_calls++;
    }
    pthread_mutex_unlock(&lock);
    clseq__profile_end(ctx, x->batch == 1 ? "clblast sgemm" : "clblast sgemm batched", begin);
    return status;
}

static clseq_status pack(clseq_packed *packed, const clseq__matrix *matrix)
{
    int code = clRetainMemObject(matrix->buffer);
    if (code != CL_SUCCESS)
        return clseq__cl_error(code, "gemm pack: clRetainMemObject");
    if (packed->buffer)
        clReleaseMemObject(packed->buffer);
    packed->buffer = matrix->buffer;
    packed->view = *matrix;
    return CLSEQ_OK;
}

static void unpack(clseq_packed *packed)
{
    if (packed->buffer)
        clReleaseMemObject(packed->buffer);
}

clseq_status clseq__clblast_override(clseq_context *ctx, const char *routine, size_t count,
                                     const char **names, const size_t *values)
{
    pthread_mutex_lock(&lock);
    CLBlastStatusCode code =
        CLBlastOverrideParameters(ctx->device.device, routine, CLBlastPrecisionSingle, count, names, values);
    pthread_mutex_unlock(&lock);
    return check(code, "OverrideParameters");
}

/* CLBlast's cache belongs to the process: other contexts compile their kernels again afterwards. */
static void leave(clseq_context *ctx)
{
    if (ctx->stats.clblast_calls == 0)
        return;
    pthread_mutex_lock(&lock);
    CLBlastStatusCode code = CLBlastClearCache();
    pthread_mutex_unlock(&lock);
    if (code != CLBlastSuccess)
        clseq__log(CLSEQ_LOG_ERROR, "gemm: CLBlast could not clear its cache (%d)", (int)code);
}

const clseq__gemm_implementation clseq__gemm_clblast = {"clblast", applicable, describe, run,
                                                        pack,      unpack,     leave};
