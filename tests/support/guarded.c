#include "guarded.h"

#include "numeric.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Canaries: before and after everything, and between rows. No float that a kernel computes has these bits. */
enum { EDGE = 37, EDGE_OF_BYTES = 192, GAP = 3 };
static const uint32_t canary = 0xc0ffee11u;

/* Byte i of memory that is full of canaries. */
static uint8_t canary_byte(int64_t i)
{
    return (uint8_t)(canary >> i % 4 * 8);
}

static char message[256];

const char *guarded_message(void)
{
    return message;
}

void guarded_must(clseq_status status, const char *what)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, clseq_status_name(status), clseq_last_error());
    abort();
}

/* n elements of any type. */
static void *array(int64_t n)
{
    void *p = calloc((size_t)n, sizeof(uint32_t));
    if (p == NULL)
        abort();
    return p;
}

guarded guarded_create(clseq_context *ctx, clseq_dtype dtype, int ndim, const int64_t *dims,
                       guarded_layout layout)
{
    guarded g = {.ctx = ctx};
    int64_t stored[CLSEQ_MAX_DIMS];
    if (layout == GUARDED_BY_ROW && ndim < 3) {
        g = guarded_create(ctx, dtype, ndim, ndim == 2 ? (int64_t[]){dims[1], dims[0]} : dims, GUARDED_APART);
        if (ndim == 2)
            g.tensor = clseq_tensor_transpose(&g.tensor, 0, 1);
        return g;
    }
    for (int i = 0; i < ndim; i++)
        stored[i] = dims[i];
    if (layout == GUARDED_BY_ROW) {
        stored[0] = dims[1];
        stored[1] = dims[0];
    }
    if (layout != GUARDED_DENSE)
        stored[ndim - 1] += GAP;
    const clseq_tensor inner = clseq_tensor_view(NULL, 0, dtype, ndim, stored);
    const int64_t edge = dtype == CLSEQ_DTYPE_U8 ? EDGE_OF_BYTES : EDGE;
    const int64_t room = clseq_tensor_elements(&inner) + 2 * edge, size = (int64_t)clseq_dtype_size(dtype);
    MUST(clseq_tensor_create(ctx, dtype, 1, &room, &g.whole));
    g.tensor = clseq_tensor_view(g.whole.buffer, g.whole.offset + edge, dtype, ndim, stored);
    if (layout != GUARDED_DENSE)
        g.tensor = clseq_tensor_slice(&g.tensor, ndim - 1, 1, dims[ndim - 1]);
    if (layout == GUARDED_BY_ROW)
        g.tensor = clseq_tensor_transpose(&g.tensor, 0, 1);
    g.n = clseq_tensor_elements(&g.tensor);
    uint8_t *canaries = array(room);
    for (int64_t i = 0; i < room * size; i++)
        canaries[i] = canary_byte(i);
    MUST(clseq_tensor_write(ctx, &g.whole, canaries));
    free(canaries);
    return g;
}

void guarded_destroy(guarded *g)
{
    if (g->whole.buffer)
        clseq_tensor_destroy(g->ctx, &g->whole);
    *g = (guarded){0};
}

void guarded_write(const guarded *g, const void *values)
{
    if (g->tensor.buffer)
        MUST(clseq_tensor_write(g->ctx, &g->tensor, values));
}

void guarded_write_doubles(const guarded *g, const double *values)
{
    if (!g->tensor.buffer)
        return;
    float *floats = test_floats_of(values, (size_t)g->n);
    guarded_write(g, floats);
    free(floats);
}

static void write_everywhere(const guarded *g, float value)
{
    if (!g->tensor.buffer)
        return;
    if (g->tensor.dtype == CLSEQ_DTYPE_U8) {
        MUST(clseq_tensor_fill(g->ctx, &g->tensor, isnan(value) ? UINT8_MAX : value));
        return;
    }
    float *values = array(g->n);
    for (int64_t i = 0; i < g->n; i++)
        values[i] = value;
    guarded_write(g, values);
    free(values);
}

void guarded_poison(const guarded *g)
{
    write_everywhere(g, NAN);
}

void guarded_zero(const guarded *g)
{
    write_everywhere(g, 0);
}

float *guarded_read(const guarded *g)
{
    float *values = array(g->n);
    MUST(clseq_tensor_read(g->ctx, &g->tensor, values));
    return values;
}

/* Overwrites the tensor's own elements among `all` with canaries. */
static void hide_elements(const guarded *g, uint8_t *all, int64_t size)
{
    int64_t at[CLSEQ_MAX_DIMS] = {0};
    const clseq_tensor *t = &g->tensor;
    for (int64_t i = 0; i < g->n; i++) {
        int64_t offset = t->offset - g->whole.offset, rest = i;
        for (int d = t->ndim - 1; d >= 0; d--) {
            at[d] = rest % t->dims[d];
            rest /= t->dims[d];
            offset += at[d] * t->strides[d];
        }
        for (int64_t k = offset * size; k < (offset + 1) * size; k++)
            all[k] = canary_byte(k);
    }
}

bool guarded_intact(const char *name, const guarded *g)
{
    int64_t dead = -1;
    if (!g->tensor.buffer)
        return true;
    const int64_t room = g->whole.dims[0], size = (int64_t)clseq_dtype_size(g->whole.dtype);
    uint8_t *all = array(room);
    MUST(clseq_tensor_read(g->ctx, &g->whole, all));
    hide_elements(g, all, size);
    for (int64_t i = 0; i < room * size && dead < 0; i++)
        if (all[i] != canary_byte(i))
            dead = i;
    if (dead >= 0)
        snprintf(message, sizeof message,
                 "%s: memory outside of the tensor was written, %" PRId64
                 " bytes from its beginning (0x%02x)",
                 name, dead - (g->tensor.offset - g->whole.offset) * size, all[dead]);
    free(all);
    return dead < 0;
}
