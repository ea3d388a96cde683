/* Products of variables, single or in batches, read where they lie. */
#include "train/graph.h"

#include "core/tensor.h"
#include <clseq/gemm.h>
#include <string.h>

/* Matrices [...,r,c] as clseq_gemm takes them. */
typedef struct operand {
    clseq_tensor matrices; /* two dims, or three: a batch */
    bool transpose;        /* how they lie */
    const int64_t
        *offsets; /* of each matrix of the batch where they lie no constant way apart; NULL: they do */
} operand;

/* Whether single rows lie together, one behind the other. */
static bool has_rows(const clseq_tensor *x, int row, int column)
{
    return (x->dims[column] == 1 || x->strides[column] == 1) &&
           (x->dims[row] == 1 || x->strides[row] >= x->dims[column]);
}

/* Whether a product can read x, as it is or transposed. */
static bool is_readable(const clseq_tensor *x)
{
    return has_rows(x, x->ndim - 2, x->ndim - 1) || has_rows(x, x->ndim - 1, x->ndim - 2);
}

static int64_t batch_of(const clseq_tensor *x)
{
    int64_t batch = 1;
    for (int i = 0; i + 2 < x->ndim; i++)
        batch *= x->dims[i];
    return batch;
}

/* The way from one matrix of the batch to the next; false where it is not the same everywhere. */
static bool batch_stride(const clseq_tensor *x, int64_t *stride)
{
    int64_t extent = -1;
    *stride = 0;
    for (int i = x->ndim - 2; i-- > 0;) {
        if (x->dims[i] == 1)
            continue;
        if (extent < 0)
            *stride = x->strides[i];
        else if (x->strides[i] != extent)
            return false;
        extent = x->strides[i] * x->dims[i];
    }
    return true;
}

/* The offset of each matrix, from x's own. */
static clseq_status list_offsets(clseq_graph *g, const clseq_tensor *x, int64_t batch, const int64_t **out)
{
    int64_t *offsets = clseq__arena_get(&g->nodes, (size_t)batch * sizeof *offsets);
    if (!offsets)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for the places of %lld matrices",
                            (long long)batch);
    for (int64_t n = 0; n < batch; n++) {
        int64_t rest = n;
        offsets[n] = 0;
        for (int i = x->ndim - 2; i-- > 0; rest /= x->dims[i])
            offsets[n] += rest % x->dims[i] * x->strides[i];
    }
    *out = offsets;
    return CLSEQ_OK;
}

/* x, which is readable. */
static clseq_status make_operand(clseq_graph *g, const clseq_tensor *x, operand *out)
{
    const int64_t batch = batch_of(x);
    int row = x->ndim - 2, column = x->ndim - 1;
    int64_t stride = 0;
    *out = (operand){.transpose = !has_rows(x, row, column)};
    if (out->transpose) {
        row = x->ndim - 1;
        column = x->ndim - 2;
    }
    const int64_t dims[] = {batch, x->dims[row], x->dims[column]};
    if (!batch_stride(x, &stride))
        CLSEQ__RETURN_IF(list_offsets(g, x, batch, &out->offsets));
    out->matrices = batch > 1 ? clseq_tensor_view(x->buffer, x->offset, CLSEQ_DTYPE_F32, 3, dims)
                              : clseq_tensor_view(x->buffer, x->offset, CLSEQ_DTYPE_F32, 2, dims + 1);
    clseq_tensor *m = &out->matrices;
    m->strides[m->ndim - 1] = 1;
    m->strides[m->ndim - 2] = x->dims[row] > 1 ? x->strides[row] : x->dims[column];
    if (batch > 1)
        m->strides[0] = stride;
    return CLSEQ_OK;
}

static void give_back(clseq_graph *g, const operand *x, int64_t batch)
{
    if (x->offsets)
        clseq__arena_put(&g->nodes, (void *)x->offsets, (size_t)batch * sizeof *x->offsets);
}

/* c = op(a) op(b) + beta c over a batch; all readable, the rows of c together. */
static clseq_status multiply(clseq_graph *g, const clseq_tensor *a, bool transpose_a, const clseq_tensor *b,
                             bool transpose_b, float beta, const clseq_tensor *c)
{
    clseq_status status = CLSEQ_OK;
    const int64_t batch = batch_of(c);
    operand oa = {.offsets = NULL}, ob = oa, oc = oa;
    CLSEQ__TRY(make_operand(g, a, &oa));
    CLSEQ__TRY(make_operand(g, b, &ob));
    CLSEQ__TRY(make_operand(g, c, &oc));
    CLSEQ__TRY(clseq_gemm(g->ctx,
                          &(clseq_gemm_desc){.transpose_a = oa.transpose != transpose_a,
                                             .transpose_b = ob.transpose != transpose_b,
                                             .offsets_a = oa.offsets,
                                             .offsets_b = ob.offsets,
                                             .offsets_c = oc.offsets},
                          1.0f, &oa.matrices, &ob.matrices, beta, &oc.matrices));
done:
    give_back(g, &oa, batch);
    give_back(g, &ob, batch);
    give_back(g, &oc, batch);
    return status;
}

static clseq_status matmul_forward(clseq_graph *g, clseq__node *node)
{
    return multiply(g, &node->in[0]->value, false, &node->in[1]->value, false, 0.0f, &node->out[0]->value);
}

/* x's gradient += op(a) op(b), added by the product where the gradient's rows lie together. */
static clseq_status add_product(clseq_graph *g, clseq__var *x, const clseq_tensor *a, bool transpose_a,
                                const clseq_tensor *b, bool transpose_b)
{
    const clseq_tensor *grad = &x->grad;
    clseq_tensor dx = {0};
    bool accumulate = false;
    if (!grad->buffer || has_rows(grad, grad->ndim - 2, grad->ndim - 1)) {
        CLSEQ__RETURN_IF(clseq__grad_open(g, x, &dx, &accumulate));
        return dx.buffer ? multiply(g, a, transpose_a, b, transpose_b, accumulate ? 1.0f : 0.0f, &dx)
                         : CLSEQ_OK;
    }
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    if (dx.buffer)
        CLSEQ__RETURN_IF(multiply(g, a, transpose_a, b, transpose_b, 0.0f, &dx));
    return clseq__grad_end(g, x, &dx);
}

/* da = dy b^T, db = a^T dy */
static clseq_status matmul_backward(clseq_graph *g, clseq__node *node)
{
    clseq__var *a = node->in[0], *b = node->in[1], *y = node->out[0];
    if (!is_readable(&y->grad))
        CLSEQ__RETURN_IF(clseq__grad_pack(g, y));
    CLSEQ__RETURN_IF(add_product(g, a, &y->grad, false, &b->value, true));
    return add_product(g, b, &a->value, true, &y->grad, false);
}

static const clseq__op op = {"matmul", matmul_forward, matmul_backward, CLSEQ__OP_STRIDED};

/* The dims of both before the last two, broadcast, then m and n. */
static clseq_status result_dims(const clseq_tensor *a, const clseq_tensor *b, int *ndim, int64_t *dims)
{
    char text[CLSEQ__DIMS_TEXT], other[CLSEQ__DIMS_TEXT];
    bool fits = a->ndim >= 2 && b->ndim >= 2 && a->dims[a->ndim - 1] == b->dims[b->ndim - 2];
    *ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; fits && i + 2 < *ndim; i++) {
        const int ia = i - (*ndim - a->ndim), ib = i - (*ndim - b->ndim);
        const int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
        fits = da == db || da == 1 || db == 1;
        dims[i] = da == 1 ? db : da;
    }
    if (!fits)
        return clseq__error(
            CLSEQ_INVALID_SHAPE, "matmul: a has shape %s and b %s, expected [...,m,k] and [...,k,n]",
            clseq__dims_text(text, a->ndim, a->dims), clseq__dims_text(other, b->ndim, b->dims));
    dims[*ndim - 2] = a->dims[a->ndim - 2];
    dims[*ndim - 1] = b->dims[b->ndim - 1];
    return CLSEQ_OK;
}

/* One operand, broadcast to the batch of `dims`, and packed where a product could not read it. */
static clseq_status prepare(clseq_graph *g, const char *name, clseq__var *x, int ndim, const int64_t *dims,
                            clseq__var **out)
{
    int64_t whole[CLSEQ_MAX_DIMS];
    bool is_whole = x->value.ndim == ndim;
    *out = x;
    for (int i = 0; i < ndim; i++)
        whole[i] = i + 2 < ndim ? dims[i] : x->value.dims[i - ndim + x->value.ndim];
    for (int i = 0; is_whole && i < ndim; i++)
        is_whole = whole[i] == x->value.dims[i];
    if (!is_readable(&x->value))
        CLSEQ__RETURN_IF(clseq__var_packed(g, op.name, name, x, out));
    if (is_whole)
        return CLSEQ_OK;
    clseq_var *wide = clseq_expand(g, (*out)->handle, ndim, whole);
    if (!wide)
        return g->status;
    if (*out != x)
        clseq__var_release(g, *out);
    CLSEQ__RETURN_IF(clseq__op_find(g, op.name, name, wide, out));
    (*out)->is_internal = true;
    return CLSEQ_OK;
}

/* a [...,m,k] times one matrix is one product of all rows. */
static clseq_var *multiply_rows(clseq_graph *g, clseq__var *a, clseq_var *b, int ndim, const int64_t *dims)
{
    const int64_t k = a->value.dims[ndim - 1];
    clseq_var *rows = clseq_reshape(g, a->handle, 2, (int64_t[]){-1, k});
    clseq_var *product = clseq_matmul(g, rows, b);
    clseq_var *y = clseq_reshape(g, product, ndim, dims);
    clseq_release(g, rows);
    clseq_release(g, product);
    return y;
}

clseq_var *clseq_matmul(clseq_graph *g, clseq_var *a, clseq_var *b)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in[2] = {0}, *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS];
    int ndim = 0;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op.name, "a", a, CLSEQ_DTYPE_F32, &in[0]));
    CLSEQ__TRY(clseq__op_input(g, op.name, "b", b, CLSEQ_DTYPE_F32, &in[1]));
    CLSEQ__TRY(result_dims(&in[0]->value, &in[1]->value, &ndim, dims));
    if (ndim > 2 && in[1]->value.ndim == 2)
        return multiply_rows(g, in[0], b, ndim, dims);
    for (int i = 0; i < 2; i++)
        CLSEQ__TRY(prepare(g, i == 0 ? "a" : "b", in[i], ndim, dims, &in[i]));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, ndim, dims, &y));
    CLSEQ__TRY(
        clseq__op_run(g, &(clseq__call){.op = &op, .in = in, .in_count = 2, .out = &y, .out_count = 1}));
done:
    return clseq__op_leave(g, op.name, status, y);
}
