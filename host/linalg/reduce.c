/* Sums: the launches of cl/linalg/reduce.cl. */
#include "linalg/reduce.h"
#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "linalg/reduce_block.h"

#define FILE_NAME "linalg/reduce.cl"

/* Fewest rows worth a part of their own, and most parts. */
#define PART_ROWS 32
#define MOST_PARTS 256

/* Whether [offset, offset + count) lies within the buffer. */
static clseq_status check_range(clseq_context *ctx, const char *what, cl_mem buffer, int64_t offset,
                                int64_t rows, int64_t ld, int64_t columns)
{
    size_t bytes = 0;
    if (!buffer)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s has no buffer", what);
    CLSEQ__RETURN_IF(clseq__buffer_capacity(ctx, what, buffer, &bytes));
    const int64_t floats = (int64_t)(bytes / sizeof(float)), rest = floats - columns;
    if (rows < 1 || columns < 1 || offset < 0 || ld < columns)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s is [%lld,%lld] with rows %lld apart at offset %lld, expected at least [1,1]",
                            what, (long long)rows, (long long)columns, (long long)ld, (long long)offset);
    if (offset > rest || rows - 1 > (rest - offset) / ld)
        return clseq__error(
            CLSEQ_OUT_OF_BOUNDS,
            "%s, [%lld,%lld] with rows %lld apart at offset %lld, reaches beyond its buffer of "
            "%lld floats",
            what, (long long)rows, (long long)columns, (long long)ld, (long long)offset, (long long)floats);
    return CLSEQ_OK;
}

static clseq_status launch_sum(clseq_context *ctx, clseq__kernel *kernel, clseq__grid grid, cl_mem x,
                               int64_t offset, int64_t n, bool squares, cl_mem out, int64_t out_offset)
{
    return clseq__launch(ctx, kernel, grid,
                         CLSEQ__ARGS(CLSEQ__M(x), CLSEQ__L(offset), CLSEQ__L(n), CLSEQ__I(squares),
                                     CLSEQ__M(out), CLSEQ__L(out_offset),
                                     CLSEQ__LOCAL(grid.local[0] * sizeof(float))));
}

static clseq_status reduce(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, bool squares, cl_mem out,
                           int64_t out_offset)
{
    clseq_status status = CLSEQ_OK;
    clseq__kernel *kernel = NULL;
    cl_mem parts = NULL;
    CLSEQ__TRY(check_range(ctx, "reduce: x", x, offset, 1, n, n));
    CLSEQ__TRY(check_range(ctx, "reduce: out", out, out_offset, 1, 1, 1));
    CLSEQ__TRY(clseq__kernel_get(ctx, FILE_NAME, NULL, "reduce_sum", &kernel));
    const clseq__grid grid = clseq__grid_for(ctx, n), one = CLSEQ__GRID1(1, grid.local[0]);
    if (grid.groups[0] == 1) {
        CLSEQ__TRY(launch_sum(ctx, kernel, one, x, offset, n, squares, out, out_offset));
    } else {
        CLSEQ__TRY(clseq__pool_get(ctx, grid.groups[0] * sizeof(float), "reduce", &parts));
        CLSEQ__TRY(launch_sum(ctx, kernel, grid, x, offset, n, squares, parts, 0));
        CLSEQ__TRY(launch_sum(ctx, kernel, one, parts, 0, (int64_t)grid.groups[0], false, out, out_offset));
    }
done:
    clseq__pool_put(ctx, parts);
    return status;
}

clseq_status clseq__reduce_sum(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                               int64_t out_offset)
{
    return reduce(ctx, x, offset, n, false, out, out_offset);
}

clseq_status clseq__reduce_sum_squares(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                                       int64_t out_offset)
{
    return reduce(ctx, x, offset, n, true, out, out_offset);
}

/* Work-items for `units` of columns. */
static clseq__grid columns_grid(const clseq_context *ctx, int64_t units)
{
    clseq__grid grid = clseq__grid_for(ctx, 1);
    const int64_t local = (int64_t)grid.local[0], groups = (units + local - 1) / local;
    const int64_t most = (int64_t)ctx->traits.groups * (ctx->traits.is_cpu ? 1 : 16);
    grid.groups[0] = (size_t)(groups < most ? groups : most);
    return grid;
}

clseq_status clseq__reduce_columns(clseq_context *ctx, cl_mem x, int64_t offset, int64_t rows, int64_t n,
                                   int64_t ld, cl_mem out, int64_t out_offset, bool add)
{
    clseq_status status = CLSEQ_OK;
    clseq__kernel *kernel = NULL;
    cl_mem scratch = NULL;
    CLSEQ__TRY(check_range(ctx, "reduce: x", x, offset, rows, ld, n));
    CLSEQ__TRY(check_range(ctx, "reduce: out", out, out_offset, 1, n, n));
    CLSEQ__TRY(clseq__kernel_get(ctx, FILE_NAME, NULL, "reduce_columns", &kernel));
    /* As many parts of the rows as give every core a unit, or a GPU some thousand work-items. */
    const int64_t width = ctx->traits.is_cpu ? CPU_COLUMNS : 1, blocks = (n + width - 1) / width;
    const int64_t wanted = (int64_t)ctx->traits.groups * (ctx->traits.is_cpu ? 1 : 1024);
    int64_t parts = (wanted + blocks - 1) / blocks;
    parts = parts < rows / PART_ROWS ? parts : rows / PART_ROWS;
    parts = parts < MOST_PARTS ? parts : MOST_PARTS;
    if (parts > 1)
        CLSEQ__TRY(clseq__pool_get(ctx, (size_t)(parts * n) * sizeof(float), "reduce", &scratch));
    else
        parts = 1;
    CLSEQ__TRY(clseq__launch(ctx, kernel, columns_grid(ctx, parts * blocks),
                             CLSEQ__ARGS(CLSEQ__M(x), CLSEQ__L(offset), CLSEQ__L(rows), CLSEQ__L(n),
                                         CLSEQ__L(ld), CLSEQ__L(parts), CLSEQ__M(scratch ? scratch : out),
                                         CLSEQ__L(scratch ? 0 : out_offset), CLSEQ__I(add && !scratch))));
    if (scratch)
        CLSEQ__TRY(clseq__launch(ctx, kernel, columns_grid(ctx, blocks),
                                 CLSEQ__ARGS(CLSEQ__M(scratch), CLSEQ__L(0), CLSEQ__L(parts), CLSEQ__L(n),
                                             CLSEQ__L(n), CLSEQ__L(1), CLSEQ__M(out), CLSEQ__L(out_offset),
                                             CLSEQ__I(add))));
done:
    clseq__pool_put(ctx, scratch);
    return status;
}
