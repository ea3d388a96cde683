/* Matrix products: checks the arguments, chooses the implementation, packs operands. */
#include "core/error.h"
#include "core/overlap.h"
#include "core/pool.h"
#include "linalg/gemm_impl.h"
#include <stdlib.h>
#include <string.h>

/* In order of preference; the last one is applicable to every device. */
static const clseq__gemm_implementation *const implementations[] = {&clseq__gemm_native,
                                                                    &clseq__gemm_clblast};
#define IMPLEMENTATIONS (sizeof implementations / sizeof implementations[0])

clseq_gemm_args clseq__gemm_part(const clseq_gemm_args *args, int64_t first, int64_t count)
{
    clseq_gemm_args part = *args;
    clseq_matrix *matrices[] = {&part.a, &part.b, &part.c};
    part.batch = args->batch - first < count ? args->batch - first : count;
    for (int i = 0; i < 3; i++) {
        clseq_matrix *x = matrices[i];
        if (x->offsets)
            x->offsets += first;
        else
            x->offset += first * x->stride;
        if (x->offsets && part.batch == 1) {
            x->offset += x->offsets[0];
            x->offsets = NULL;
        }
    }
    return part;
}

static void leave(clseq_context *ctx)
{
    ctx->gemm->leave(ctx);
}

/* The implementation of this context: chosen at its first product, then kept. */
static clseq_status choose(clseq_context *ctx)
{
    if (ctx->gemm)
        return CLSEQ_OK;
    const char *forced = ctx->gemm_wish;
    const clseq__gemm_implementation *chosen = NULL;
    for (size_t i = 0; i < IMPLEMENTATIONS && !chosen; i++) {
        if (forced[0] ? strcmp(forced, implementations[i]->name) == 0 : implementations[i]->applicable(ctx))
            chosen = implementations[i];
    }
    if (!chosen)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "CLSEQ_GEMM is \"%s\", expected native or clblast",
                            forced);
    if (!chosen->applicable(ctx))
        return clseq__error(CLSEQ_UNSUPPORTED, "CLSEQ_GEMM is \"%s\", which cannot run on the device %s",
                            forced, ctx->device.name);
    char how[160];
    chosen->describe(ctx, how, sizeof how);
    clseq__log(CLSEQ_LOG_INFO, "gemm: %s%s", how, forced[0] ? " (forced by CLSEQ_GEMM)" : "");
    ctx->gemm = chosen;
    ctx->release_gemm = leave;
    return CLSEQ_OK;
}

/* How many floats of the buffer of a matrix may be used. */
static clseq_status capacity_of(clseq_context *ctx, const char *what, cl_mem buffer, int64_t *capacity)
{
    size_t bytes = 0;
    if (!buffer)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s has no buffer", what);
    CLSEQ__RETURN_IF(clseq__buffer_capacity(ctx, what, buffer, &bytes));
    *capacity = (int64_t)(bytes / sizeof(float));
    return CLSEQ_OK;
}

/* Whether `batch` matrices of [rows,columns] as stored lie within `rest` floats. No sum or product overflows. */
static bool lies_within(const clseq_matrix *x, int64_t rows, int64_t columns, int64_t batch, int64_t rest)
{
    if (x->offset > rest || columns > rest - x->offset)
        return false;
    rest -= x->offset + columns;
    if (rows - 1 > rest / x->ld)
        return false;
    rest -= (rows - 1) * x->ld;
    for (int64_t i = 0; x->offsets && i < batch; i++) {
        if (x->offsets[i] > rest)
            return false;
    }
    return x->offsets || x->stride == 0 || batch - 1 <= rest / x->stride;
}

/* Checks a matrix that is stored as [rows,columns]. */
static clseq_status check_stored(clseq_context *ctx, const char *what, const clseq_matrix *x, int64_t rows,
                                 int64_t columns, int64_t batch)
{
    int64_t capacity = 0;
    CLSEQ__RETURN_IF(capacity_of(ctx, what, x->buffer, &capacity));
    if (x->offset < 0 || x->stride < 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s has offset %lld and stride %lld, expected neither below 0", what,
                            (long long)x->offset, (long long)x->stride);
    if (x->ld < columns)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "%s has leading dimension %lld, expected at least %lld, the length of a stored row", what,
            (long long)x->ld, (long long)columns);
    for (int64_t i = 0; x->offsets && i < batch; i++) {
        if (x->offsets[i] < 0)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "%s has offset %lld for product %lld, expected none below 0", what,
                                (long long)x->offsets[i], (long long)i);
    }
    if (!lies_within(x, rows, columns, batch, capacity))
        return clseq__error(
            CLSEQ_OUT_OF_BOUNDS,
            "%s (%lld stored as [%lld,%lld], offset %lld, leading dimension %lld, stride %lld) "
            "reaches beyond its buffer of %lld floats",
            what, (long long)batch, (long long)rows, (long long)columns, (long long)x->offset,
            (long long)x->ld, (long long)x->stride, (long long)capacity);
    return CLSEQ_OK;
}

/* Checks op(A) or op(B) of [rows,columns], packed or not. */
static clseq_status check_operand(clseq_context *ctx, clseq_operand operand, const clseq_matrix *x,
                                  int64_t rows, int64_t columns, int64_t batch)
{
    const char *what = operand == CLSEQ_OPERAND_A ? "gemm: a" : "gemm: b";
    const clseq_packed *packed = x->packed;
    if (!packed)
        return x->transpose ? check_stored(ctx, what, x, columns, rows, batch)
                            : check_stored(ctx, what, x, rows, columns, batch);
    if (packed->ctx != ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s was packed in another context", what);
    if (packed->operand != operand)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s was packed as the other operand", what);
    if (packed->rows != rows || packed->columns != columns)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s was packed as [%lld,%lld], expected [%lld,%lld]", what,
                            (long long)packed->rows, (long long)packed->columns, (long long)rows,
                            (long long)columns);
    if (batch != 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is packed, which is for one product, not %lld", what,
                            (long long)batch);
    return CLSEQ_OK;
}

/* The rows of products [first, first + count) of a matrix that is stored as [rows,columns]. */
static clseq__runs runs_of(const clseq_matrix *x, int64_t rows, int64_t columns, int64_t first, int64_t count)
{
    return (clseq__runs){.buffer = x->buffer,
                         .offset = x->offset + (x->offsets ? x->offsets[first] : first * x->stride),
                         .count = {count, rows},
                         .stride = {x->stride, x->ld},
                         .length = columns};
}

/* Everything between the first and the last element of a batch. */
static clseq__runs envelope_of(const clseq_matrix *x, int64_t rows, int64_t columns, int64_t batch)
{
    clseq__runs all = runs_of(x, rows, columns, 0, x->offsets ? 1 : batch);
    int64_t end = clseq__runs_end(&all);
    for (int64_t i = 1; x->offsets && i < batch; i++) {
        const clseq__runs one = runs_of(x, rows, columns, i, 1);
        all.offset = one.offset < all.offset ? one.offset : all.offset;
        end = clseq__runs_end(&one) > end ? clseq__runs_end(&one) : end;
    }
    return (clseq__runs){
        .buffer = x->buffer, .offset = all.offset, .count = {1, 1}, .length = end - all.offset};
}

/* Whether C shares elements with an operand that is stored as [rows,columns]; offsets one product at a time. */
static bool overlaps_c(const clseq_gemm_args *args, const clseq_matrix *x, int64_t rows, int64_t columns)
{
    const clseq_matrix *c = &args->c;
    const int64_t of_c = c->offsets ? 1 : args->batch, of_x = x->offsets ? 1 : args->batch;
    if (x->buffer != c->buffer)
        return false;
    const clseq__runs all_c = envelope_of(c, args->m, args->n, args->batch);
    const clseq__runs all_x = envelope_of(x, rows, columns, args->batch);
    if (!clseq__runs_overlap(&all_c, &all_x))
        return false;
    for (int64_t i = 0; i < args->batch; i += of_c)
        for (int64_t j = 0; j < args->batch; j += of_x) {
            const clseq__runs written = runs_of(c, args->m, args->n, i, of_c);
            const clseq__runs read = runs_of(x, rows, columns, j, of_x);
            if (clseq__runs_overlap(&written, &read))
                return true;
        }
    return false;
}

/* C shares no element with A or B, nor do the matrices of its batch with each other. */
static clseq_status check_apart(const clseq_gemm_args *x)
{
    static const char *const names[] = {"a", "b"};
    const clseq_matrix *operands[] = {clseq__gemm_view(&x->a), clseq__gemm_view(&x->b)};
    const int64_t rows[] = {x->m, x->k}, columns[] = {x->k, x->n};
    for (int i = 0; i < 2; i++) {
        const bool transposed = operands[i]->transpose;
        if (overlaps_c(x, operands[i], transposed ? columns[i] : rows[i], transposed ? rows[i] : columns[i]))
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "gemm: c overlaps %s, expected memory of its own",
                                names[i]);
    }
    const clseq__runs written = runs_of(&x->c, x->m, x->n, 0, x->batch);
    if (x->batch > 1 && !x->c.offsets && clseq__runs_collide(&written))
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "gemm: c has stride %lld, with which its %lld matrices [%lld,%lld] with rows %lld apart overlap",
            (long long)x->c.stride, (long long)x->batch, (long long)x->m, (long long)x->n,
            (long long)x->c.ld);
    return CLSEQ_OK;
}

static clseq_status check_product(clseq_context *ctx, const clseq_gemm_args *x)
{
    if (x->m < 1 || x->n < 1 || x->k < 1 || x->batch < 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "gemm: m, n, k are %lld, %lld, %lld and batch %lld, expected all at least 1",
                            (long long)x->m, (long long)x->n, (long long)x->k, (long long)x->batch);
    CLSEQ__RETURN_IF(check_operand(ctx, CLSEQ_OPERAND_A, &x->a, x->m, x->k, x->batch));
    CLSEQ__RETURN_IF(check_operand(ctx, CLSEQ_OPERAND_B, &x->b, x->k, x->n, x->batch));
    if (x->c.transpose || x->c.packed)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "gemm: c can be neither transposed nor packed");
    if (x->batch > 1 && x->c.stride == 0 && !x->c.offsets)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "gemm: c has stride 0, but each of the %lld products needs its own",
                            (long long)x->batch);
    CLSEQ__RETURN_IF(check_stored(ctx, "gemm: c", &x->c, x->m, x->n, x->batch));
    return check_apart(x);
}

clseq_status clseq_gemm(clseq_context *ctx, const clseq_gemm_args *args)
{
    CLSEQ__NEEDS("gemm", ctx);
    CLSEQ__NOT_NULL("gemm", args);
    clseq_gemm_args product = *args;
    if (product.batch == 0)
        product.batch = 1;
    CLSEQ__RETURN_IF(check_product(ctx, &product));
    CLSEQ__RETURN_IF(choose(ctx));
    return ctx->gemm->run(ctx, &product);
}

/* Checks a matrix that is to become this packed operand, and packs it. */
static clseq_status pack(clseq_packed *packed, const clseq_matrix *matrix)
{
    if (!matrix || matrix->packed)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "gemm pack: matrix is %s",
                            matrix ? "packed already" : "NULL");
    CLSEQ__RETURN_IF(check_operand(packed->ctx, packed->operand, matrix, packed->rows, packed->columns, 1));
    return packed->implementation->pack(packed, matrix);
}

clseq_status clseq_gemm_pack(clseq_context *ctx, clseq_operand operand, const clseq_matrix *matrix,
                             int64_t rows, int64_t columns, clseq_packed **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_packed *packed = NULL;
    CLSEQ__MAKES("gemm pack", out);
    CLSEQ__NEEDS("gemm pack", ctx);
    if (operand != CLSEQ_OPERAND_A && operand != CLSEQ_OPERAND_B)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "gemm pack: operand is %d, expected CLSEQ_OPERAND_A or CLSEQ_OPERAND_B",
                            (int)operand);
    if (rows < 1 || columns < 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "gemm pack: rows and columns are %lld and %lld, expected both at least 1",
                            (long long)rows, (long long)columns);
    CLSEQ__TRY(choose(ctx));
    packed = calloc(1, sizeof *packed);
    if (!packed)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "gemm pack: no memory for %zu bytes", sizeof *packed);
    *packed = (clseq_packed){.ctx = clseq__context_retain(ctx),
                             .implementation = ctx->gemm,
                             .operand = operand,
                             .rows = rows,
                             .columns = columns};
    CLSEQ__TRY(pack(packed, matrix));
    *out = packed;
    packed = NULL;
done:
    clseq_packed_destroy(packed);
    return status;
}

clseq_status clseq_gemm_repack(clseq_packed *packed, const clseq_matrix *matrix)
{
    CLSEQ__NEEDS("gemm repack", packed);
    return pack(packed, matrix);
}

void clseq_packed_destroy(clseq_packed *packed)
{
    if (!packed)
        return;
    packed->implementation->unpack(packed);
    clseq__context_release(packed->ctx);
    free(packed);
}
