/*
 * Matrix products of CPU devices: the kernels of cl/linalg/gemm.cl. Decides which operands are packed before,
 * how large the blocks are and how the work is dealt to the work-groups.
 */
#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "linalg/gemm_blocks.h"
#include "linalg/gemm_impl.h"
#include <stdio.h>

/* Depth of a block of op(B), in rows: a tile adds to C once for so many. A tile of wide vectors reads few bytes for each
 * multiplication, so that its panels may lie in the second-level cache. Results depend on it. */
#define BLOCK_DEPTH(width) ((width) >= 16 ? 1024 : 256)
/* Floats of a block of op(B), which stays in the second-level cache while all rows of A pass by. */
#define BLOCK_FLOATS (96 * 1024)
/* With so few rows the block is one tile wide instead and stays in the first-level cache. */
#define FEW_ROWS 128
/* Most rows of a transposed A that are transposed before they are used for all columns. */
#define TRANSPOSED_ROWS 1024
/* What packing costs: of op(B), counted in rows of A that could be multiplied with it meanwhile; of A, in panels. */
#define PACK_ROWS 16
#define TRANSPOSE_PANELS 2

#define FILE_NAME "linalg/gemm.cl"

static bool applicable(const clseq_context *ctx)
{
    return ctx->traits.is_cpu;
}

static void describe(const clseq_context *ctx, char *text, size_t size)
{
    snprintf(text, size, "native kernels, %d floats a vector, %d registers, %d work-groups",
             ctx->traits.vector_width, ctx->traits.vector_registers, ctx->traits.groups);
}

static int64_t round_up(int64_t x, int64_t to)
{
    return (x + to - 1) / to * to;
}

static int64_t at_most(int64_t x, int64_t limit)
{
    return x < limit ? x : limit;
}

/* Elements from one row of a packed A to the next: whole vectors, and no power of two, which caches dislike. */
static int64_t packed_ld(const clseq_context *ctx, int64_t k)
{
    return round_up(k, ctx->traits.vector_width) + ctx->traits.vector_width;
}

/* `count` floats of scratch. */
static clseq_status get_floats(clseq_context *ctx, int64_t count, cl_mem *out)
{
    if (count > INT64_MAX / (int64_t)sizeof(float))
        return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY, "gemm: %lld floats of scratch are too many",
                            (long long)count);
    return clseq__pool_get(ctx, (size_t)count * sizeof(float), "gemm: scratch", out);
}

/* op(A) [m,k] to plain rows in `to`, packed_ld apart. */
static clseq_status pack_a(clseq_context *ctx, const clseq__matrix *a, int64_t m, int64_t k, cl_mem to)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, FILE_NAME, NULL, "gemm_pack_a", &kernel));
    int64_t strips = (m + STRIP_ROWS - 1) / STRIP_ROWS;
    return clseq__launch(ctx, kernel, CLSEQ__GRID1((size_t)at_most(strips, ctx->traits.groups), 1),
                         CLSEQ__ARGS(CLSEQ__L(m), CLSEQ__L(k), CLSEQ__I(a->transpose ? A_TRANSPOSED : A_ROWS),
                                     CLSEQ__M(a->buffer), CLSEQ__L(a->offset), CLSEQ__L(a->ld), CLSEQ__M(to),
                                     CLSEQ__L(packed_ld(ctx, k))));
}

/* op(B) [k,n] to panels in `to`. */
static clseq_status pack_b(clseq_context *ctx, const clseq__matrix *b, int64_t k, int64_t n, cl_mem to)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, FILE_NAME, NULL, "gemm_pack_b", &kernel));
    const int64_t width = PACK_PANELS * ctx->traits.vector_width;
    const int64_t units = (n + width - 1) / width * ((k + PACK_DEPTH - 1) / PACK_DEPTH);
    return clseq__launch(ctx, kernel, CLSEQ__GRID1((size_t)at_most(units, ctx->traits.groups), 1),
                         CLSEQ__ARGS(CLSEQ__L(k), CLSEQ__L(n), CLSEQ__I(b->transpose ? B_TRANSPOSED : B_ROWS),
                                     CLSEQ__M(b->buffer), CLSEQ__L(b->offset), CLSEQ__L(b->ld),
                                     CLSEQ__M(to)));
}

/* How the work of a product is cut: parts of rows by parts of columns, and blocks inside a part. */
typedef struct cut {
    int64_t gm, gn;     /* parts */
    int64_t mc, kc, nc; /* of a block */
} cut;

/* Of all grids with as many parts as there are work-groups to a product, the one whose largest part costs least. */
static void cut_parts(const clseq_context *ctx, const clseq__product *x, cut *best)
{
    const int64_t panels = round_up(x->n, ctx->traits.vector_width) / ctx->traits.vector_width;
    const int64_t parts = (ctx->traits.groups + x->batch - 1) / x->batch;
    double least = 0;
    for (int64_t gm = 1; gm <= at_most(parts, x->m); gm++) {
        const int64_t gn = at_most(parts / gm, panels);
        const double rows = (double)((x->m + gm - 1) / gm), columns = (double)((panels + gn - 1) / gn);
        const double cost = rows * columns + (x->b.is_packed ? 0 : PACK_ROWS * columns) +
                            (x->a.transpose ? TRANSPOSE_PANELS * rows : 0);
        if (gm == 1 || cost < least) {
            least = cost;
            best->gm = gm;
            best->gn = gn;
        }
    }
}

static cut cut_of(const clseq_context *ctx, const clseq__product *x)
{
    const int64_t width = ctx->traits.vector_width,
                  tile = width * TILE_VECTORS_OF(ctx->traits.vector_registers);
    const int64_t depth = BLOCK_DEPTH(width), depths = (x->k + depth - 1) / depth;
    cut by = {0};
    cut_parts(ctx, x, &by);
    const int64_t rows = (x->m + by.gm - 1) / by.gm, columns = round_up(x->n, tile);
    by.mc = x->a.transpose ? at_most(rows, TRANSPOSED_ROWS) : rows;
    by.kc = round_up((x->k + depths - 1) / depths, width);
    by.nc = rows > FEW_ROWS && BLOCK_FLOATS / by.kc > tile ? BLOCK_FLOATS / by.kc / tile * tile : tile;
    by.nc = at_most(by.nc, columns);
    return by;
}

/* Products whose matrices lie at regular strides, in one launch. */
static clseq_status multiply(clseq_context *ctx, const clseq__product *x)
{
    clseq_status status = CLSEQ_OK;
    clseq__kernel *kernel = NULL;
    cl_mem scratch = NULL;
    const clseq__matrix *a = &x->a, *b = &x->b, *c = &x->c;
    const int a_mode = a->transpose ? A_TRANSPOSED : A_ROWS;
    const int b_mode = x->b.is_packed ? B_PACKED : b->transpose ? B_TRANSPOSED : B_ROWS;
    const cut by = cut_of(ctx, x);
    const int64_t groups = at_most(x->batch * by.gm * by.gn, ctx->traits.groups);
    const int64_t transposed = a->transpose ? by.mc * BLOCK_ROW(by.kc, ctx->traits.vector_width) : 0;
    CLSEQ__TRY(clseq__kernel_get(ctx, FILE_NAME, NULL, "gemm_product", &kernel));
    CLSEQ__TRY(get_floats(ctx, groups * (by.kc * by.nc + transposed), &scratch));
    CLSEQ__TRY(clseq__launch(
        ctx, kernel, CLSEQ__GRID1((size_t)groups, 1),
        CLSEQ__ARGS(CLSEQ__L(x->m), CLSEQ__L(x->n), CLSEQ__L(x->k), CLSEQ__L(x->batch), CLSEQ__F(x->alpha),
                    CLSEQ__F(x->beta), CLSEQ__I(a_mode), CLSEQ__M(a->buffer), CLSEQ__L(a->offset),
                    CLSEQ__L(a->ld), CLSEQ__L(a->stride), CLSEQ__I(b_mode), CLSEQ__M(b->buffer),
                    CLSEQ__L(b->offset), CLSEQ__L(b->ld), CLSEQ__L(b->stride), CLSEQ__M(c->buffer),
                    CLSEQ__L(c->offset), CLSEQ__L(c->ld), CLSEQ__L(c->stride), CLSEQ__M(scratch),
                    CLSEQ__L(by.gm), CLSEQ__L(by.gn), CLSEQ__L(by.mc), CLSEQ__L(by.kc), CLSEQ__L(by.nc))));
done:
    clseq__pool_put(ctx, scratch);
    return status;
}

static clseq_status run(clseq_context *ctx, const clseq__product *x)
{
    const bool scattered = x->a.offsets || x->b.offsets || x->c.offsets;
    const int64_t count = scattered ? 1 : x->batch;
    for (int64_t first = 0; first < x->batch; first += count) {
        const clseq__product part = clseq__gemm_part(x, first, count);
        CLSEQ__RETURN_IF(multiply(ctx, &part));
    }
    return CLSEQ_OK;
}

static clseq_status pack(clseq_packed *packed, const clseq__matrix *matrix)
{
    clseq_context *ctx = packed->ctx;
    const bool is_a = packed->operand == CLSEQ_OPERAND_A;
    const int64_t ld = is_a ? packed_ld(ctx, packed->columns) : ctx->traits.vector_width;
    if (!packed->buffer) {
        int64_t rows = is_a ? packed->rows : packed->rows * (round_up(packed->columns, ld) / ld);
        if (rows > INT64_MAX / ld)
            return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY, "gemm pack: [%lld,%lld] is too large",
                                (long long)packed->rows, (long long)packed->columns);
        CLSEQ__RETURN_IF(get_floats(ctx, rows * ld, &packed->buffer));
        packed->view = (clseq__matrix){.buffer = packed->buffer,
                                       .rows = packed->rows,
                                       .columns = packed->columns,
                                       .ld = ld,
                                       .is_packed = true};
    }
    return is_a ? pack_a(ctx, matrix, packed->rows, packed->columns, packed->buffer)
                : pack_b(ctx, matrix, packed->rows, packed->columns, packed->buffer);
}

static void unpack(clseq_packed *packed)
{
    clseq__pool_put(packed->ctx, packed->buffer);
}

static void leave(clseq_context *ctx)
{
    (void)ctx;
}

const clseq__gemm_implementation clseq__gemm_native = {"native", applicable, describe, run,
                                                       pack,     unpack,     leave};
