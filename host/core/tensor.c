#include "core/tensor.h"

#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "core/walk.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
    double least, most; /* of integers */
} dtypes[] = {[CLSEQ_DTYPE_F32] = {"f32", 4, 0, 0},
              [CLSEQ_DTYPE_I32] = {"i32", 4, INT32_MIN, INT32_MAX},
              [CLSEQ_DTYPE_U8] = {"u8", 1, 0, UINT8_MAX}};

static bool is_dtype(clseq_dtype dtype)
{
    return (unsigned)dtype < sizeof dtypes / sizeof dtypes[0];
}

size_t clseq_dtype_size(clseq_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].size : 0;
}

const char *clseq_dtype_name(clseq_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].name : "unknown";
}

clseq_tensor clseq_tensor_view(cl_mem buffer, int64_t offset, clseq_dtype dtype, int ndim,
                               const int64_t *dims)
{
    clseq_tensor tensor = {.buffer = buffer, .offset = offset, .dtype = dtype, .ndim = ndim};
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        if (i >= CLSEQ_MAX_DIMS)
            continue;
        tensor.dims[i] = dims[i];
        tensor.strides[i] = stride;
        /* As unsigned, so that absurd sizes wrap instead of being undefined; checks find them. */
        stride = (int64_t)((uint64_t)stride * (uint64_t)dims[i]);
    }
    return tensor;
}

clseq_tensor clseq_tensor_slice(const clseq_tensor *tensor, int dim, int64_t start, int64_t length)
{
    clseq_tensor slice = *tensor;
    slice.offset += start * tensor->strides[dim];
    slice.dims[dim] = length;
    return slice;
}

clseq_tensor clseq_tensor_transpose(const clseq_tensor *tensor, int dim0, int dim1)
{
    clseq_tensor view = *tensor;
    view.dims[dim0] = tensor->dims[dim1];
    view.dims[dim1] = tensor->dims[dim0];
    view.strides[dim0] = tensor->strides[dim1];
    view.strides[dim1] = tensor->strides[dim0];
    return view;
}

/* The product of two counts that are not negative, or false when it exceeds 63 bits. */
static bool multiply(int64_t a, int64_t b, int64_t *out)
{
    if (a != 0 && b > INT64_MAX / a)
        return false;
    *out = a * b;
    return true;
}

static bool add(int64_t a, int64_t b, int64_t *out)
{
    if (b > INT64_MAX - a)
        return false;
    *out = a + b;
    return true;
}

/* The product of the dims, or false when one is negative or the product exceeds 63 bits. */
static bool elements_of(const clseq_tensor *tensor, int64_t *out)
{
    *out = 1;
    for (int i = 0; i < tensor->ndim && i < CLSEQ_MAX_DIMS; i++)
        if (tensor->dims[i] < 0 || !multiply(*out, tensor->dims[i], out))
            return false;
    return true;
}

int64_t clseq_tensor_elements(const clseq_tensor *tensor)
{
    int64_t count = 0;
    return elements_of(tensor, &count) ? count : INT64_MAX;
}

bool clseq_tensor_is_contiguous(const clseq_tensor *tensor)
{
    int64_t stride = 1;
    for (int i = tensor->ndim - 1; i >= 0; i--) {
        if (tensor->dims[i] > 1 && tensor->strides[i] != stride)
            return false;
        if (!multiply(stride, tensor->dims[i], &stride))
            return false;
    }
    return true;
}

char *clseq__dims_text(char text[CLSEQ__DIMS_TEXT], int ndim, const int64_t *dims)
{
    size_t used = 1;
    text[0] = '[';
    for (int i = 0; i < ndim && i < CLSEQ_MAX_DIMS; i++) {
        int size = dims[i] < 0 ? snprintf(text + used, CLSEQ__DIMS_TEXT - used, "%s?", i > 0 ? "," : "")
                               : snprintf(text + used, CLSEQ__DIMS_TEXT - used, "%s%lld", i > 0 ? "," : "",
                                          (long long)dims[i]);
        used += (size_t)size;
    }
    text[used] = ']';
    text[used + 1] = '\0';
    return text;
}

/* The number of elements from the buffer's start to behind the view's last one; false when it exceeds 63
 * bits. Dims are at least 1, strides and the offset not negative. */
static bool reach_of(const clseq_tensor *tensor, int64_t *out)
{
    int64_t reach = 1;
    if (!add(reach, tensor->offset, &reach))
        return false;
    for (int i = 0; i < tensor->ndim; i++) {
        int64_t extent = 0;
        if (!multiply(tensor->dims[i] - 1, tensor->strides[i], &extent) || !add(reach, extent, &reach))
            return false;
    }
    *out = reach;
    return true;
}

/* What a view out of bounds says: `text` is how far it reaches. */
static clseq_status out_of_bounds(const char *what, const clseq_tensor *tensor, const char *text)
{
    char dims[CLSEQ__DIMS_TEXT], strides[CLSEQ__DIMS_TEXT];
    return clseq__error(CLSEQ_OUT_OF_BOUNDS, "%s has shape %s, strides %s and offset %lld: %s", what,
                        clseq__dims_text(dims, tensor->ndim, tensor->dims),
                        clseq__dims_text(strides, tensor->ndim, tensor->strides), (long long)tensor->offset,
                        text);
}

static clseq_status check_bounds(clseq_context *ctx, const char *what, const clseq_tensor *tensor)
{
    if (tensor->offset < 0)
        return clseq__error(CLSEQ_OUT_OF_BOUNDS, "%s starts at offset %lld, expected at least 0", what,
                            (long long)tensor->offset);
    size_t size = 0;
    CLSEQ__RETURN_IF(clseq__buffer_capacity(ctx, what, tensor->buffer, &size));
    const int64_t element = (int64_t)clseq_dtype_size(tensor->dtype);
    int64_t reach = 0, bytes = 0, elements = 0, all = 0;
    /* With strides of 0 there may be more elements than places. */
    if (!reach_of(tensor, &reach) || !multiply(reach, element, &bytes) || !elements_of(tensor, &elements) ||
        !multiply(elements, element, &all))
        return out_of_bounds(what, tensor, "its size exceeds 63 bits");
    if ((uint64_t)bytes > size) {
        char text[96];
        snprintf(text, sizeof text, "it reaches to byte %lld of a buffer of %zu", (long long)bytes, size);
        return out_of_bounds(what, tensor, text);
    }
    return CLSEQ_OK;
}

/* A view that may be used at all: a known type, 0 to CLSEQ_MAX_DIMS dims of at least 1, within a buffer of the context. */
static clseq_status check_view(clseq_context *ctx, const char *what, const clseq_tensor *tensor)
{
    if (tensor == NULL || tensor->buffer == NULL)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is NULL, expected a tensor", what);
    if (!is_dtype(tensor->dtype))
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s has the unknown type %d", what, (int)tensor->dtype);
    if (tensor->ndim < 0 || tensor->ndim > CLSEQ_MAX_DIMS)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has %d dimensions, expected 0 to %d", what, tensor->ndim,
                            CLSEQ_MAX_DIMS);
    char text[CLSEQ__DIMS_TEXT];
    for (int i = 0; i < tensor->ndim; i++) {
        if (tensor->dims[i] < 1)
            return clseq__error(CLSEQ_INVALID_SHAPE, "%s: dimension %d is %lld, expected at least 1", what, i,
                                (long long)tensor->dims[i]);
        if (tensor->strides[i] < 0)
            return clseq__error(
                CLSEQ_INVALID_SHAPE, "%s has shape %s and stride %lld in dimension %d, expected at least 0",
                what, clseq__dims_text(text, tensor->ndim, tensor->dims), (long long)tensor->strides[i], i);
    }
    return check_bounds(ctx, what, tensor);
}

clseq_status clseq__tensor_check(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                 clseq_dtype dtype, int ndim, const int64_t *dims, bool rows)
{
    char came[CLSEQ__DIMS_TEXT], expected[CLSEQ__DIMS_TEXT];
    if (tensor == NULL || tensor->buffer == NULL)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is NULL, expected %s %s", what,
                            clseq_dtype_name(dtype), clseq__dims_text(expected, ndim, dims));
    if (tensor->dtype != dtype)
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s has type %s, expected %s", what,
                            clseq_dtype_name(tensor->dtype), clseq_dtype_name(dtype));
    if (tensor->ndim != ndim)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has %d dimensions, expected %d: %s", what, tensor->ndim,
                            ndim, clseq__dims_text(expected, ndim, dims));
    for (int i = 0; i < ndim; i++)
        if (dims[i] >= 0 && tensor->dims[i] != dims[i])
            return clseq__error(CLSEQ_INVALID_SHAPE, "%s has shape %s, expected %s", what,
                                clseq__dims_text(came, ndim, tensor->dims),
                                clseq__dims_text(expected, ndim, dims));
    CLSEQ__RETURN_IF(check_view(ctx, what, tensor));
    if (rows && ndim > 0 && tensor->dims[ndim - 1] > 1 && tensor->strides[ndim - 1] != 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has stride %lld in its last dimension, expected 1", what,
                            (long long)tensor->strides[ndim - 1]);
    return CLSEQ_OK;
}

static clseq_status check_contiguous(const char *what, const clseq_tensor *tensor)
{
    char shape[CLSEQ__DIMS_TEXT], strides[CLSEQ__DIMS_TEXT];
    if (!clseq_tensor_is_contiguous(tensor))
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has shape %s and strides %s, expected it packed", what,
                            clseq__dims_text(shape, tensor->ndim, tensor->dims),
                            clseq__dims_text(strides, tensor->ndim, tensor->strides));
    return CLSEQ_OK;
}

clseq_status clseq__tensor_check_packed(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                        clseq_dtype dtype, int ndim, const int64_t *dims)
{
    CLSEQ__RETURN_IF(clseq__tensor_check(ctx, what, tensor, dtype, ndim, dims, false));
    return check_contiguous(what, tensor);
}

/* A view whose elements can be moved: the kernels that follow strides know elements of four bytes. */
static clseq_status check_movable(clseq_context *ctx, const char *what, const clseq_tensor *tensor)
{
    CLSEQ__RETURN_IF(check_view(ctx, what, tensor));
    return clseq_dtype_size(tensor->dtype) == sizeof(uint32_t) ? CLSEQ_OK : check_contiguous(what, tensor);
}

clseq_status clseq_tensor_create(clseq_context *ctx, clseq_dtype dtype, int ndim, const int64_t *dims,
                                 clseq_tensor *out)
{
    if (out != NULL)
        *out = (clseq_tensor){0};
    CLSEQ__NEEDS("tensor create", ctx);
    if (out == NULL || (dims == NULL && ndim > 0))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "tensor create: %s is NULL",
                            out == NULL ? "out" : "dims");
    if (!is_dtype(dtype))
        return clseq__error(CLSEQ_INVALID_DTYPE, "tensor create: the type %d is unknown", (int)dtype);
    if (ndim < 0 || ndim > CLSEQ_MAX_DIMS)
        return clseq__error(CLSEQ_INVALID_SHAPE, "tensor create: %d dimensions, expected 0 to %d", ndim,
                            CLSEQ_MAX_DIMS);
    char text[CLSEQ__DIMS_TEXT];
    int64_t bytes = (int64_t)clseq_dtype_size(dtype);
    for (int i = 0; i < ndim; i++) {
        if (dims[i] < 1)
            return clseq__error(CLSEQ_INVALID_SHAPE,
                                "tensor create: dimension %d is %lld, expected at least 1", i,
                                (long long)dims[i]);
        if (!multiply(bytes, dims[i], &bytes))
            return clseq__error(CLSEQ_INVALID_SHAPE, "tensor create: shape %s exceeds 63 bits of bytes",
                                clseq__dims_text(text, ndim, dims));
    }
    if ((uint64_t)bytes > SIZE_MAX)
        return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY,
                            "tensor create: shape %s exceeds this machine's sizes",
                            clseq__dims_text(text, ndim, dims));
    cl_mem buffer = NULL;
    clseq_status status = clseq__pool_get(ctx, (size_t)bytes, "tensor create", &buffer);
    if (status != CLSEQ_OK)
        return clseq__error(status, "tensor create %s%s", clseq__dims_text(text, ndim, dims),
                            clseq_last_error() + strlen("tensor create"));
    clseq__pool_hold(ctx, buffer);
    *out = clseq_tensor_view(buffer, 0, dtype, ndim, dims);
    return CLSEQ_OK;
}

void clseq_tensor_destroy(clseq_context *ctx, clseq_tensor *tensor)
{
    if (tensor == NULL)
        return;
    if (ctx != NULL)
        clseq__pool_put(ctx, tensor->buffer);
    *tensor = (clseq_tensor){0};
}

static size_t byte_offset(const clseq_tensor *tensor)
{
    return (size_t)tensor->offset * clseq_dtype_size(tensor->dtype);
}

static size_t byte_size(const clseq_tensor *tensor)
{
    return (size_t)clseq_tensor_elements(tensor) * clseq_dtype_size(tensor->dtype);
}

/* Copies between checked views of the same dims and type. */
static clseq_status copy_elements(clseq_context *ctx, const clseq_tensor *from, const clseq_tensor *to)
{
    walk_record walk;
    clseq__kernel *kernel = NULL;
    clseq__walk_make(2, (const clseq_tensor *[]){from, to}, &walk);
    if (clseq__walk_is_packed(&walk, 2))
        return clseq__copy_bytes(ctx, from->buffer, byte_offset(from), to->buffer, byte_offset(to),
                                 byte_size(from));
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "core/tensor.cl", NULL, "tensor_copy", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, walk.n),
                         CLSEQ__ARGS(CLSEQ__RECORD(&walk), CLSEQ__M(from->buffer), CLSEQ__M(to->buffer)));
}

/* A packed tensor of the same dims, for the way between strided elements and the host. */
static clseq_status create_packed(clseq_context *ctx, const clseq_tensor *like, clseq_tensor *out)
{
    return clseq_tensor_create(ctx, like->dtype, like->ndim, like->dims, out);
}

clseq_status clseq_tensor_write(clseq_context *ctx, const clseq_tensor *tensor, const void *host)
{
    clseq_status status = CLSEQ_OK;
    clseq_tensor packed = {0};
    CLSEQ__NEEDS("tensor write", ctx);
    CLSEQ__NOT_NULL("tensor write", host);
    CLSEQ__TRY(check_movable(ctx, "tensor write: tensor", tensor));
    if (clseq_tensor_is_contiguous(tensor)) {
        CLSEQ__TRY_CL(clEnqueueWriteBuffer(ctx->queue, tensor->buffer, CL_TRUE, byte_offset(tensor),
                                           byte_size(tensor), host, 0, NULL, NULL));
    } else {
        CLSEQ__TRY(create_packed(ctx, tensor, &packed));
        CLSEQ__TRY_CL(clEnqueueWriteBuffer(ctx->queue, packed.buffer, CL_TRUE, 0, byte_size(&packed), host, 0,
                                           NULL, NULL));
        CLSEQ__TRY(copy_elements(ctx, &packed, tensor));
        CLSEQ__TRY(clseq_context_finish(ctx));
    }
done:
    clseq_tensor_destroy(ctx, &packed);
    return status;
}

clseq_status clseq_tensor_read(clseq_context *ctx, const clseq_tensor *tensor, void *host)
{
    clseq_status status = CLSEQ_OK;
    clseq_tensor packed = {0};
    const clseq_tensor *source = tensor;
    CLSEQ__NEEDS("tensor read", ctx);
    CLSEQ__NOT_NULL("tensor read", host);
    CLSEQ__TRY(check_movable(ctx, "tensor read: tensor", tensor));
    if (!clseq_tensor_is_contiguous(tensor)) {
        CLSEQ__TRY(create_packed(ctx, tensor, &packed));
        CLSEQ__TRY(copy_elements(ctx, tensor, &packed));
        source = &packed;
    }
    CLSEQ__TRY_CL(clEnqueueReadBuffer(ctx->queue, source->buffer, CL_TRUE, byte_offset(source),
                                      byte_size(source), host, 0, NULL, NULL));
done:
    clseq_tensor_destroy(ctx, &packed);
    return status;
}

/* The bits of `value` as an element, of bytes four times. */
static uint32_t bits_of(clseq_dtype dtype, double value)
{
    uint32_t bits = 0;
    if (dtype == CLSEQ_DTYPE_F32) {
        float x = (float)value;
        memcpy(&bits, &x, sizeof bits);
        return bits;
    }
    const double least = dtypes[dtype].least, most = dtypes[dtype].most, rounded = rint(value);
    bits = (uint32_t)(int64_t)(!(rounded > least) ? least : rounded >= most ? most : rounded);
    return dtype == CLSEQ_DTYPE_U8 ? bits * 0x01010101u : bits;
}

clseq_status clseq_tensor_fill(clseq_context *ctx, const clseq_tensor *tensor, double value)
{
    CLSEQ__NEEDS("tensor fill", ctx);
    CLSEQ__RETURN_IF(check_movable(ctx, "tensor fill: tensor", tensor));
    const uint32_t bits = bits_of(tensor->dtype, value);
    walk_record walk;
    clseq__kernel *kernel = NULL;
    clseq__walk_make(1, &tensor, &walk);
    if (clseq__walk_is_packed(&walk, 1))
        return clseq__fill_bytes(ctx, tensor->buffer, byte_offset(tensor), byte_size(tensor), bits);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "core/tensor.cl", NULL, "tensor_fill", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, walk.n),
                         CLSEQ__ARGS(CLSEQ__RECORD(&walk), CLSEQ__U(bits), CLSEQ__M(tensor->buffer)));
}

clseq_status clseq_tensor_copy(clseq_context *ctx, const clseq_tensor *from, const clseq_tensor *to)
{
    CLSEQ__NEEDS("tensor copy", ctx);
    CLSEQ__RETURN_IF(check_movable(ctx, "tensor copy: from", from));
    CLSEQ__RETURN_IF(
        clseq__tensor_check(ctx, "tensor copy: to", to, from->dtype, from->ndim, from->dims, false));
    CLSEQ__RETURN_IF(check_movable(ctx, "tensor copy: to", to));
    return copy_elements(ctx, from, to);
}
