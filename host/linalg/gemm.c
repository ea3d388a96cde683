/* Matrix products: checks the arguments, chooses the implementation, packs operands. */
#include "core/error.h"
#include "core/overlap.h"
#include "core/tensor.h"
#include "linalg/gemm_impl.h"
#include <stdlib.h>
#include <string.h>

/* In order of preference; the last one is applicable to every device. */
static const clseq__gemm_implementation *const implementations[] = {&clseq__gemm_native,
                                                                    &clseq__gemm_clblast};
#define IMPLEMENTATIONS (sizeof implementations / sizeof implementations[0])

clseq__product clseq__gemm_part(const clseq__product *product, int64_t first, int64_t count)
{
    clseq__product part = *product;
    clseq__matrix *matrices[] = {&part.a, &part.b, &part.c};
    part.batch = product->batch - first < count ? product->batch - first : count;
    for (int i = 0; i < 3; i++) {
        clseq__matrix *x = matrices[i];
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

/* A matrix of a product, as the caller gives it. */
typedef struct given {
    const char *what;
    const clseq_tensor *tensor;
    const int64_t *offsets;
    bool transpose;
    const clseq_packed *packed; /* A and B only */
    clseq_operand operand;
} given;

/* What offsets place in the buffer of a checked tensor: nothing before the tensor's own place, and all within. */
static clseq_status check_offsets(clseq_context *ctx, const given *x, const clseq_tensor *tensor,
                                  int64_t batch)
{
    clseq_tensor farthest = *tensor;
    int64_t most = 0;
    for (int64_t i = 0; i < batch; i++) {
        if (x->offsets[i] < 0)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "%s has offset %lld for product %lld, expected none below 0", x->what,
                                (long long)x->offsets[i], (long long)i);
        most = x->offsets[i] > most ? x->offsets[i] : most;
    }
    farthest.offset = most > INT64_MAX - tensor->offset ? INT64_MAX : tensor->offset + most;
    return clseq__tensor_check(ctx, x->what, &farthest, tensor->dtype, tensor->ndim, tensor->dims, true);
}

/* Checks op(X) of [rows,columns] (-1: any), one or one for each product, and gives its numbers. */
static clseq_status read_matrix(clseq_context *ctx, const given *x, int64_t batch, int64_t rows,
                                int64_t columns, clseq__matrix *out)
{
    clseq_tensor view = x->tensor ? *x->tensor : (clseq_tensor){0};
    const int first = view.ndim == 3; /* the dimension of rows */
    const int64_t dims[] = {batch, x->transpose ? columns : rows, x->transpose ? rows : columns};
    if (first && x->offsets)
        view.strides[0] = 0;
    CLSEQ__RETURN_IF(
        clseq__tensor_check(ctx, x->what, &view, CLSEQ_DTYPE_F32, first + 2, dims + !first, true));
    *out = (clseq__matrix){.buffer = view.buffer,
                           .offset = view.offset,
                           .rows = view.dims[first],
                           .columns = view.dims[first + 1],
                           .stride = first ? view.strides[0] : 0,
                           .offsets = x->offsets,
                           .transpose = x->transpose};
    out->ld = out->rows > 1 ? view.strides[first] : out->columns;
    if (out->ld < out->columns)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s has rows %lld apart, expected at least %lld, the length of a row", x->what,
                            (long long)out->ld, (long long)out->columns);
    return x->offsets ? check_offsets(ctx, x, &view, batch) : CLSEQ_OK;
}

/* As read_matrix, for what was packed. */
static clseq_status read_packed(clseq_context *ctx, const given *x, int64_t batch, int64_t rows,
                                int64_t columns, clseq__matrix *out)
{
    const clseq_packed *packed = x->packed;
    const int64_t came[] = {packed->rows, packed->columns}, expected[] = {rows, columns};
    char texts[2][CLSEQ__DIMS_TEXT];
    if (x->tensor)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s is there as a tensor and packed, expected one of the two", x->what);
    if (packed->ctx != ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s was packed in another context", x->what);
    if (packed->operand != x->operand)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s was packed as the other operand", x->what);
    if (packed->rows != rows || (columns >= 0 && packed->columns != columns))
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s was packed as %s, expected %s", x->what,
                            clseq__dims_text(texts[0], 2, came), clseq__dims_text(texts[1], 2, expected));
    if (batch != 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is packed, which is for one product, not %lld",
                            x->what, (long long)batch);
    *out = packed->view;
    return CLSEQ_OK;
}

static clseq_status read_operand(clseq_context *ctx, const given *x, int64_t batch, int64_t rows,
                                 int64_t columns, clseq__matrix *out)
{
    return (x->packed ? read_packed : read_matrix)(ctx, x, batch, rows, columns, out);
}

/* The rows of products [first, first + count). */
static clseq__runs runs_of(const clseq__matrix *x, int64_t first, int64_t count)
{
    return (clseq__runs){.buffer = x->buffer,
                         .offset = x->offset + (x->offsets ? x->offsets[first] : first * x->stride),
                         .dims = 2,
                         .count = {count, x->rows},
                         .stride = {x->stride, x->ld},
                         .length = x->columns};
}

/* Everything between the first and the last element of a batch. */
static clseq__runs envelope_of(const clseq__matrix *x, int64_t batch)
{
    clseq__runs all = runs_of(x, 0, x->offsets ? 1 : batch);
    int64_t end = clseq__runs_end(&all);
    for (int64_t i = 1; x->offsets && i < batch; i++) {
        const clseq__runs one = runs_of(x, i, 1);
        all.offset = one.offset < all.offset ? one.offset : all.offset;
        end = clseq__runs_end(&one) > end ? clseq__runs_end(&one) : end;
    }
    return (clseq__runs){.buffer = x->buffer, .offset = all.offset, .length = end - all.offset};
}

/* Whether C shares elements with an operand; offsets one product at a time. */
static bool overlaps_c(const clseq__product *product, const clseq__matrix *x)
{
    const clseq__matrix *c = &product->c;
    const int64_t of_c = c->offsets ? 1 : product->batch, of_x = x->offsets ? 1 : product->batch;
    if (x->buffer != c->buffer)
        return false;
    const clseq__runs all_c = envelope_of(c, product->batch), all_x = envelope_of(x, product->batch);
    if (!clseq__runs_overlap(&all_c, &all_x))
        return false;
    for (int64_t i = 0; i < product->batch; i += of_c)
        for (int64_t j = 0; j < product->batch; j += of_x) {
            const clseq__runs written = runs_of(c, i, of_c), read = runs_of(x, j, of_x);
            if (clseq__runs_overlap(&written, &read))
                return true;
        }
    return false;
}

/* C shares no element with A or B, nor do the matrices of its batch with each other. */
static clseq_status check_apart(const clseq__product *x)
{
    static const char *const names[] = {"a", "b"};
    const clseq__matrix *operands[] = {&x->a, &x->b};
    for (int i = 0; i < 2; i++)
        if (overlaps_c(x, operands[i]))
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "gemm: c overlaps %s, expected memory of its own",
                                names[i]);
    if (x->batch > 1 && x->c.stride == 0 && !x->c.offsets)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "gemm: c has stride 0, but each of the %lld products needs its own",
                            (long long)x->batch);
    const clseq__runs written = runs_of(&x->c, 0, x->batch);
    if (x->batch > 1 && !x->c.offsets && clseq__runs_collide(&written))
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "gemm: c has stride %lld, with which its %lld matrices [%lld,%lld] with rows %lld apart overlap",
            (long long)x->c.stride, (long long)x->batch, (long long)x->m, (long long)x->n,
            (long long)x->c.ld);
    return CLSEQ_OK;
}

/* C says how many products there are and how large they are; A and B fit it and each other. */
static clseq_status read_product(clseq_context *ctx, const given *a, const given *b, const given *c,
                                 clseq__product *x)
{
    x->batch = c->tensor && c->tensor->ndim == 3 ? c->tensor->dims[0] : 1;
    CLSEQ__RETURN_IF(read_matrix(ctx, c, x->batch, -1, -1, &x->c));
    x->m = x->c.rows;
    x->n = x->c.columns;
    CLSEQ__RETURN_IF(read_operand(ctx, a, x->batch, x->m, -1, &x->a));
    x->k = x->a.transpose ? x->a.rows : x->a.columns;
    CLSEQ__RETURN_IF(read_operand(ctx, b, x->batch, x->k, x->n, &x->b));
    return check_apart(x);
}

clseq_status clseq_gemm(clseq_context *ctx, const clseq_gemm_desc *desc, float alpha, const clseq_tensor *a,
                        const clseq_tensor *b, float beta, const clseq_tensor *c)
{
    static const clseq_gemm_desc plain = {0};
    CLSEQ__NEEDS("gemm", ctx);
    const clseq_gemm_desc *d = desc ? desc : &plain;
    const given of_a = {"gemm: a", a, d->offsets_a, d->transpose_a, d->packed_a, CLSEQ_OPERAND_A};
    const given of_b = {"gemm: b", b, d->offsets_b, d->transpose_b, d->packed_b, CLSEQ_OPERAND_B};
    const given of_c = {.what = "gemm: c", .tensor = c, .offsets = d->offsets_c};
    clseq__product product = {.alpha = alpha, .beta = beta};
    CLSEQ__RETURN_IF(read_product(ctx, &of_a, &of_b, &of_c, &product));
    CLSEQ__RETURN_IF(choose(ctx));
    return ctx->gemm->run(ctx, &product);
}

/* Checks a matrix that is to become this packed operand, of the dims that it has if it has any, and packs it. */
static clseq_status pack(clseq_packed *packed, const char *what, const clseq_tensor *matrix)
{
    const given from = {.what = what, .tensor = matrix, .transpose = packed->transpose};
    clseq__matrix x;
    CLSEQ__RETURN_IF(read_matrix(packed->ctx, &from, 1, packed->rows, packed->columns, &x));
    packed->rows = x.transpose ? x.columns : x.rows;
    packed->columns = x.transpose ? x.rows : x.columns;
    return packed->implementation->pack(packed, &x);
}

clseq_status clseq_gemm_pack(clseq_context *ctx, clseq_operand operand, const clseq_tensor *matrix,
                             bool transpose, clseq_packed **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_packed *packed = NULL;
    CLSEQ__MAKES("gemm pack", out);
    CLSEQ__NEEDS("gemm pack", ctx);
    if (operand != CLSEQ_OPERAND_A && operand != CLSEQ_OPERAND_B)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "gemm pack: operand is %d, expected CLSEQ_OPERAND_A or CLSEQ_OPERAND_B",
                            (int)operand);
    CLSEQ__TRY(choose(ctx));
    packed = calloc(1, sizeof *packed);
    if (!packed)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "gemm pack: no memory for %zu bytes", sizeof *packed);
    *packed = (clseq_packed){.ctx = clseq__context_retain(ctx),
                             .implementation = ctx->gemm,
                             .operand = operand,
                             .transpose = transpose,
                             .rows = -1,
                             .columns = -1};
    CLSEQ__TRY(pack(packed, "gemm pack: matrix", matrix));
    *out = packed;
    packed = NULL;
done:
    clseq_packed_destroy(packed);
    return status;
}

clseq_status clseq_gemm_repack(clseq_packed *packed, const clseq_tensor *matrix)
{
    CLSEQ__NEEDS("gemm repack", packed);
    return pack(packed, "gemm repack: matrix", matrix);
}

void clseq_packed_destroy(clseq_packed *packed)
{
    if (!packed)
        return;
    packed->implementation->unpack(packed);
    clseq__context_release(packed->ctx);
    free(packed);
}
