/* The launches of cl/linalg/reduce.cl. */
#include "linalg/reduce.h"
#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "core/walk.h"

/* Fewest elements, or rows of vectors, worth a part of their own, and most parts. */
#define PART_ELEMENTS 4096
#define PART_ROWS 32
#define MOST_PARTS 256

/* From so many elements side by side on they are read along, and not across: what makes one number of a vector's, or of a
 * group's, takes its time. */
#define LONG_ROW_CPU 64
#define LONG_ROW_GPU 32

/* A reduction, and how it is launched. */
typedef struct reduction {
    int row;
    float scale;
    bool accumulate;
    walk_record kept, reduced; /* cl/linalg/reduce.cl tells what these are */
    cl_mem x, y;
    bool by_rows;
    int64_t units, parts;
} reduction;

/* x with the dims that `reduced` asks for, the others 1. */
static clseq_tensor dims_of(const clseq_tensor *x, const clseq_tensor *y, bool reduced)
{
    clseq_tensor view = *x;
    for (int i = 0; i < x->ndim; i++)
        if ((y->dims[i] != x->dims[i]) != reduced)
            view.dims[i] = 1;
    return view;
}

/* Which kernel, and how many parts keep the device busy. */
static void plan(const clseq_context *ctx, reduction *r)
{
    const int64_t groups = ctx->traits.groups;
    const bool is_cpu = ctx->traits.is_cpu;
    const walk_record *kept = &r->kept, *reduced = &r->reduced;
    const int64_t long_row = is_cpu ? LONG_ROW_CPU : LONG_ROW_GPU;
    r->by_rows = (reduced->operand[0].stride[0] == 1 && reduced->dim[0] >= long_row) ||
                 (reduced->n >= long_row && kept->n < 16);
    const int64_t columns = kept->operand[0].stride[0] == 1 ? CPU_COLUMNS : CPU_STRIDED_COLUMNS;
    const int64_t width = r->by_rows || !is_cpu ? 1 : columns;
    r->units = kept->n / kept->dim[0] * ((kept->dim[0] + width - 1) / width);
    /* Every core a unit and a few more, or a GPU some thousand work-items. */
    const int64_t wanted = groups * (is_cpu ? (r->by_rows ? 4 : 1) : r->by_rows ? 16 : 1024);
    const int64_t most = reduced->n / (r->by_rows ? PART_ELEMENTS : PART_ROWS);
    r->parts = (wanted + r->units - 1) / r->units;
    r->parts = r->parts < most ? r->parts : most;
    r->parts = r->parts < 1 ? 1 : r->parts > MOST_PARTS ? MOST_PARTS : r->parts;
}

/* Work-items or groups for the units of all parts. */
static clseq__grid grid_of(const clseq_context *ctx, const reduction *r)
{
    clseq__grid grid = clseq__grid_for(ctx, 1);
    const int64_t units = r->units * r->parts;
    if (r->by_rows && !ctx->traits.is_cpu) {
        grid.groups[0] = (size_t)units;
        return grid;
    }
    const int64_t local = (int64_t)grid.local[0], groups = (units + local - 1) / local;
    const int64_t most = (int64_t)ctx->traits.groups * (ctx->traits.is_cpu ? 4 : 16);
    grid.groups[0] = (size_t)(groups < most ? groups : most);
    return grid;
}

static clseq_status launch(clseq_context *ctx, const reduction *r)
{
    clseq__kernel *kernel = NULL;
    const clseq__grid grid = grid_of(ctx, r);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "linalg/reduce.cl", NULL,
                                       r->by_rows ? "reduce_rows" : "reduce_columns", &kernel));
    const clseq__arg args[] = {CLSEQ__RECORD(&r->kept),
                               CLSEQ__RECORD(&r->reduced),
                               CLSEQ__I(r->row),
                               CLSEQ__I(r->accumulate),
                               CLSEQ__F(r->scale),
                               CLSEQ__L(r->parts),
                               CLSEQ__M(r->x),
                               CLSEQ__M(r->y),
                               CLSEQ__LOCAL(grid.local[0] * sizeof(float))};
    const size_t count = sizeof args / sizeof args[0];
    return clseq__launch(ctx, kernel, grid, args, r->by_rows ? count : count - 1);
}

/* The results of parts lie packed behind each other, in the order of the walk. */
static void pack_results(walk_operand *operand, const walk_record *walk)
{
    int64_t stride = 1;
    operand->offset = 0;
    for (int d = 0; d < walk->dims; d++) {
        operand->stride[d] = stride;
        stride *= walk->dim[d];
    }
}

clseq_status clseq__reduce(clseq_context *ctx, int row, const clseq_tensor *x, float scale, bool accumulate,
                           const clseq_tensor *y)
{
    clseq_status status = CLSEQ_OK;
    cl_mem scratch = NULL;
    clseq_tensor first = dims_of(x, y, false), rest = dims_of(x, y, true);
    const clseq_tensor *results[] = {&first, y}, *elements = &rest;
    reduction whole = {.row = row, .scale = scale, .accumulate = accumulate, .x = x->buffer, .y = y->buffer};
    rest.offset = 0;
    clseq__walk_make(2, results, &whole.kept);
    clseq__walk_make(1, &elements, &whole.reduced);
    plan(ctx, &whole);
    if (whole.parts == 1)
        return launch(ctx, &whole);
    /* The parts, and then what they gave. */
    reduction parts = whole;
    CLSEQ__TRY(
        clseq__pool_get(ctx, (size_t)(whole.parts * whole.kept.n) * sizeof(float), "reduce", &scratch));
    parts.scale = 1.0f;
    parts.accumulate = false;
    parts.y = scratch;
    pack_results(&parts.kept.operand[1], &parts.kept);
    CLSEQ__TRY(launch(ctx, &parts));
    pack_results(&whole.kept.operand[0], &whole.kept);
    whole.reduced = (walk_record){.n = whole.parts, .dims = 1, .dim = {whole.parts}};
    whole.reduced.operand[0].stride[0] = whole.kept.n;
    whole.row = row == REDUCE_SQUARES ? REDUCE_SUM : row;
    whole.x = scratch;
    plan(ctx, &whole);
    whole.parts = 1;
    CLSEQ__TRY(launch(ctx, &whole));
done:
    clseq__pool_put(ctx, scratch);
    return status;
}

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

static clseq_status reduce_range(clseq_context *ctx, int row, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                                 int64_t out_offset)
{
    CLSEQ__RETURN_IF(check_range(ctx, "reduce: x", x, offset, 1, n, n));
    CLSEQ__RETURN_IF(check_range(ctx, "reduce: out", out, out_offset, 1, 1, 1));
    const clseq_tensor from = clseq_tensor_view(x, offset, CLSEQ_DTYPE_F32, 1, &n);
    const clseq_tensor to = clseq_tensor_view(out, out_offset, CLSEQ_DTYPE_F32, 1, (int64_t[]){1});
    return clseq__reduce(ctx, row, &from, 1.0f, false, &to);
}

clseq_status clseq__reduce_sum(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                               int64_t out_offset)
{
    return reduce_range(ctx, REDUCE_SUM, x, offset, n, out, out_offset);
}

clseq_status clseq__reduce_sum_squares(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                                       int64_t out_offset)
{
    return reduce_range(ctx, REDUCE_SQUARES, x, offset, n, out, out_offset);
}

clseq_status clseq__reduce_columns(clseq_context *ctx, cl_mem x, int64_t offset, int64_t rows, int64_t n,
                                   int64_t ld, cl_mem out, int64_t out_offset, bool add)
{
    CLSEQ__RETURN_IF(check_range(ctx, "reduce: x", x, offset, rows, ld, n));
    CLSEQ__RETURN_IF(check_range(ctx, "reduce: out", out, out_offset, 1, n, n));
    clseq_tensor from = clseq_tensor_view(x, offset, CLSEQ_DTYPE_F32, 2, (int64_t[]){rows, n});
    const clseq_tensor to = clseq_tensor_view(out, out_offset, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, n});
    from.strides[0] = ld;
    return clseq__reduce(ctx, REDUCE_SUM, &from, 1.0f, add, &to);
}
