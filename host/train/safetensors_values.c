#include "train/safetensors.h"

#include "core/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t little_endian(const uint8_t *bytes, size_t size)
{
    uint64_t bits = 0;
    while (size-- > 0)
        bits = bits << 8 | bytes[size];
    return bits;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_f32(const uint8_t *bytes)
{
    return float_of_bits((uint32_t)little_endian(bytes, 4));
}

static float from_f64(const uint8_t *bytes)
{
    uint64_t bits = little_endian(bytes, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

/* bfloat16 is the upper half of a float. */
static float from_bf16(const uint8_t *bytes)
{
    return float_of_bits((uint32_t)little_endian(bytes, 2) << 16);
}

/* IEEE half: 1 sign, 5 exponent and 10 mantissa bits. */
static float from_f16(const uint8_t *bytes)
{
    uint32_t bits = (uint32_t)little_endian(bytes, 2), mantissa = bits & 0x3ff;
    int exponent = (int)(bits >> 10 & 0x1f);
    float size = exponent == 0    ? ldexpf((float)mantissa, -24)
                 : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                  : ldexpf((float)(mantissa | 0x400), exponent - 25);
    return bits & 0x8000 ? -size : size;
}

static int32_t from_i32(const uint8_t *bytes)
{
    const uint32_t bits = (uint32_t)little_endian(bytes, 4);
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A type of the file, and how it becomes one of the library's: `to_float` for F32, `to_int` for I32. */
typedef struct conversion {
    const char *name;
    size_t size;
    float (*to_float)(const uint8_t *bytes);
    int32_t (*to_int)(const uint8_t *bytes);
} conversion;

static const conversion conversions[] = {{"F32", 4, from_f32, NULL},
                                         {"F64", 8, from_f64, NULL},
                                         {"F16", 2, from_f16, NULL},
                                         {"BF16", 2, from_bf16, NULL},
                                         {"I32", 4, NULL, from_i32}};

/* NULL where there is none. */
static const conversion *find(const char *name, clseq_dtype dtype)
{
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
        if (strcmp(conversions[i].name, name) == 0)
            return (dtype == CLSEQ_DTYPE_F32) == (conversions[i].to_float != NULL) ? &conversions[i] : NULL;
    return NULL;
}

clseq_status clseq__st_read_values(clseq__st_reader *reader, const clseq__st_entry *entry, clseq_dtype dtype,
                                   void *values)
{
    const conversion *c = find(entry->dtype, dtype);
    if (!c)
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s: tensor %s is %s, expected %s", clseq__st_path(reader),
                            CLSEQ__SHOW(entry->name), entry->dtype,
                            dtype == CLSEQ_DTYPE_F32 ? "F32, F64, F16 or BF16" : "I32");
    size_t bytes = (size_t)(entry->end - entry->begin);
    uint8_t *data = malloc(bytes + 1);
    if (!data)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: tensor %s: no memory for %zu bytes",
                            clseq__st_path(reader), CLSEQ__SHOW(entry->name), bytes);
    clseq_status status = clseq__st_read(reader, entry, data);
    for (size_t i = 0; status == CLSEQ_OK && i < bytes / c->size; i++)
        if (c->to_float)
            ((float *)values)[i] = c->to_float(data + i * c->size);
        else
            ((int32_t *)values)[i] = c->to_int(data + i * c->size);
    free(data);
    return status;
}
