#include "support/record.h"

#include "core/launch.h"
#include "core/source.h"
#include "support/guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char sentence[256];

static const char kernels[] = "#define PLACE(type, name)                                     \\\n"
                              "    *places++ = (int)((const uchar *)&r.name - (const uchar *)&r); \\\n"
                              "    *places++ = (int)sizeof(struct { type name; });\n"
                              "kernel void record_places(RECORD r, global int *places)\n"
                              "{\n"
                              "    *places++ = (int)sizeof r;\n"
                              "    LIST(PLACE)\n"
                              "    *places = ((const uchar *)&r)[get_global_size(0) % sizeof r];\n"
                              "}\n"
                              "kernel void record_bytes(RECORD r, global int *bytes)\n"
                              "{\n"
                              "    for (int i = 0; i < (int)sizeof r; i++)\n"
                              "        bytes[i] = ((const uchar *)&r)[i];\n"
                              "}\n";

/* Builds the header with the kernels behind it. Both read the record: rusticl does not count an argument that is not read. */
static cl_program build(clseq_context *ctx, const record_layout *layout)
{
    char options[256];
    clseq__text text = {0};
    cl_device_id device = clseq_context_device(ctx)->device;
    MUST(clseq__source_resolve(CLSEQ_SOURCE_DIR "/cl", layout->header, "", &text));
    MUST(clseq__text_add(&text, kernels, sizeof kernels - 1));
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DRECORD=%s -DLIST=%s", layout->type, layout->list);
    cl_program program =
        clCreateProgramWithSource(clseq_context_cl_context(ctx), 1, (const char *[]){text.data}, NULL, NULL);
    const int code = clBuildProgram(program, 1, &device, options, NULL, NULL);
    guarded_must(code == CL_SUCCESS ? CLSEQ_OK : CLSEQ_BUILD_FAILED, layout->header);
    free(text.data);
    return program;
}

/* What a kernel makes of a record with these bytes: `n` numbers. */
static int32_t *run(clseq_context *ctx, cl_program program, const char *name, const unsigned char *bytes,
                    size_t size, size_t n)
{
    clseq__kernel kernel = {clCreateKernel(program, name, NULL), (char *)name, 2, NULL};
    clseq_tensor y = {0};
    int32_t *values = malloc(n * sizeof *values);
    MUST(values != NULL ? CLSEQ_OK : CLSEQ_OUT_OF_HOST_MEMORY);
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){(int64_t)n}, &y));
    MUST(clseq__launch(ctx, &kernel, CLSEQ__GRID1(1, 1),
                       CLSEQ__ARGS(CLSEQ__BYTES(bytes, size), CLSEQ__M(y.buffer))));
    MUST(clseq_tensor_read(ctx, &y, values));
    clseq_tensor_destroy(ctx, &y);
    clReleaseKernel(kernel.cl);
    return values;
}

/* Asked first: not every runtime takes a record with a hole at its end. */
static bool has_holes(const record_layout *x)
{
    size_t sum = 0;
    for (size_t i = 0; i < x->count; i++)
        sum += x->members[i].size;
    if (x->size != sum)
        snprintf(sentence, sizeof sentence, "%s is %zu bytes and its members are %zu: expected no holes",
                 x->type, x->size, sum);
    return x->size != sum;
}

/* places: the size, then place and size of each member, and what was read. */
static bool places_differ(const record_layout *x, const int32_t *places)
{
    for (size_t i = 0; i < x->count; i++) {
        const record_member *m = &x->members[i];
        const int32_t *there = places + 1 + 2 * i;
        if (m->at == (size_t)there[0] && m->size == (size_t)there[1])
            continue;
        snprintf(sentence, sizeof sentence, "%s.%s is %zu bytes at %zu on the host, %d at %d on the device",
                 x->type, m->name, m->size, m->at, there[1], there[0]);
        return true;
    }
    if (x->size != (size_t)places[0])
        snprintf(sentence, sizeof sentence, "%s is %zu bytes on the host, %d on the device", x->type, x->size,
                 places[0]);
    return sentence[0] != '\0';
}

static bool bytes_differ(const record_layout *x, const unsigned char *want, const int32_t *got)
{
    for (size_t i = 0; i < x->size && sentence[0] == '\0'; i++)
        if (got[i] != want[i])
            snprintf(sentence, sizeof sentence, "byte %zu of a %s is %d on the device, expected %d", i,
                     x->type, got[i], want[i]);
    return sentence[0] != '\0';
}

const char *record_difference(clseq_context *ctx, const record_layout *layout)
{
    if (has_holes(layout))
        return sentence;
    unsigned char *bytes = malloc(layout->size);
    MUST(bytes != NULL ? CLSEQ_OK : CLSEQ_OUT_OF_HOST_MEMORY);
    for (size_t i = 0; i < layout->size; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    cl_program program = build(ctx, layout);
    int32_t *places = run(ctx, program, "record_places", bytes, layout->size, 2 + 2 * layout->count);
    int32_t *got = run(ctx, program, "record_bytes", bytes, layout->size, layout->size);
    sentence[0] = '\0';
    const bool differs = places_differ(layout, places) || bytes_differ(layout, bytes, got);
    free(places);
    free(got);
    free(bytes);
    clReleaseProgram(program);
    return differs ? sentence : NULL;
}
