/*
 * Checkpoints and safetensors files of any bytes, for clang's libFuzzer: built by the preset "fuzz", run by
 * `tests/run --fuzz SECONDS`. Needs no OpenCL device: the linker puts the functions below in place of those that the
 * store, the optimiser and checkpoints reach a device by, and buffers are host memory.
 *
 * What must hold for every input: a failure has a sentence without control characters and leaves the model bit for bit
 * as it was; a step that was taken over is within bounds; no error of memory or undefined behaviour, and no memory out
 * of proportion (tests/run sets the limits).
 *
 * With CLSEQ_FUZZ_SEEDS=FOLDER the program writes the seeds of tests/fuzz/corpus there and ends: files of the library's
 * own, and by hand the other types. The same bytes each time.
 */
#include "core/context.h"
#include "core/launch.h"
#include "core/pool.h"
#include "train/layers.h"
#include "train/optimizer.h"
#include "train/params.h"
#include "train/safetensors.h"
#include <clseq/clseq.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a device of host memory ---- */

typedef struct buffer {
    size_t size;
    char data[];
} buffer;

clseq_status __wrap_clseq__pool_get(clseq_context *ctx, size_t bytes, const char *what, cl_mem *out);
void __wrap_clseq__pool_put(clseq_context *ctx, cl_mem memory);
clseq_status __wrap_clseq__fill_bytes(clseq_context *ctx, cl_mem memory, size_t offset, size_t size,
                                      unsigned char value);
clseq_status __wrap_clseq__kernel_get(clseq_context *ctx, const char *program, const char *options,
                                      const char *name, clseq__kernel **out);
clseq_status __wrap_clseq_tensor_write(clseq_context *ctx, const clseq_tensor *tensor, const void *data);
clseq_status __wrap_clseq_tensor_read(clseq_context *ctx, const clseq_tensor *tensor, void *data);

clseq_status __wrap_clseq__pool_get(clseq_context *ctx, size_t bytes, const char *what, cl_mem *out)
{
    buffer *memory = calloc(1, sizeof *memory + bytes);
    (void)ctx;
    (void)what;
    if (!memory)
        abort();
    memory->size = bytes;
    *out = (cl_mem)memory;
    return CLSEQ_OK;
}

void __wrap_clseq__pool_put(clseq_context *ctx, cl_mem memory)
{
    (void)ctx;
    free(memory);
}

static char *inside(cl_mem memory, size_t offset, size_t size)
{
    buffer *whole = (buffer *)memory;
    if (offset > whole->size || size > whole->size - offset)
        abort();
    return whole->data + offset;
}

clseq_status __wrap_clseq__fill_bytes(clseq_context *ctx, cl_mem memory, size_t offset, size_t size,
                                      unsigned char value)
{
    (void)ctx;
    memset(inside(memory, offset, size), value, size);
    return CLSEQ_OK;
}

clseq_status __wrap_clseq__kernel_get(clseq_context *ctx, const char *program, const char *options,
                                      const char *name, clseq__kernel **out)
{
    (void)ctx;
    (void)program;
    (void)options;
    (void)name;
    *out = NULL; /* none is launched */
    return CLSEQ_OK;
}

static size_t bytes_of(const clseq_tensor *tensor)
{
    return (size_t)clseq_tensor_elements(tensor) * sizeof(float);
}

clseq_status __wrap_clseq_tensor_write(clseq_context *ctx, const clseq_tensor *tensor, const void *data)
{
    const size_t size = bytes_of(tensor);
    (void)ctx;
    memcpy(inside(tensor->buffer, (size_t)tensor->offset * sizeof(float), size), data, size);
    return CLSEQ_OK;
}

clseq_status __wrap_clseq_tensor_read(clseq_context *ctx, const clseq_tensor *tensor, void *data)
{
    const size_t size = bytes_of(tensor);
    (void)ctx;
    memcpy(data, inside(tensor->buffer, (size_t)tensor->offset * sizeof(float), size), size);
    return CLSEQ_OK;
}

/* ---- the model that is loaded ---- */

static struct clseq_context context;
static clseq_params *params;
static clseq_optimizer *adam;
static char state_name[] = "h", *state_part[] = {state_name};
static clseq_tensor state_tensor[1];
static clseq_state state = {.ctx = &context, .count = 1, .names = state_part, .tensors = state_tensor};
static clseq_state *const states[] = {&state};
static const char *const state_names[] = {"carry"};
static clseq_checkpoint model;

static void must(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "%s\n", clseq_last_error());
    abort();
}

static void make_model(void)
{
    static const float w[3] = {1, 2, 3}, b[1] = {-4};
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1);
    cl_mem carry = NULL;
    context.device.max_allocation = 1 << 20;
    must(clseq_params_create(&context, 1, &params));
    must(clseq_params_add(params, "w", 2, (int64_t[]){1, 3}, NULL, NULL));
    must(clseq_params_add(params, "b", 1, (int64_t[]){1}, NULL, NULL));
    must(clseq_param_set(clseq_params_at(params, 0), w));
    must(clseq_param_set(clseq_params_at(params, 1), b));
    must(clseq_optimizer_create(params, &desc, &adam));
    must(clseq__pool_get(&context, 2 * sizeof(float), "carry", &carry));
    state_tensor[0] = clseq_tensor_view(carry, 0, CLSEQ_DTYPE_F32, 3, (int64_t[]){1, 1, 2});
    model = (clseq_checkpoint){
        .params = params, .optimizer = adam, .states = states, .state_names = state_names, .state_count = 1};
}

/* ---- seeds ---- */

/* A file of one tensor "w" of three numbers, with bytes 0, 1, 2, ... as data. */
static void write_plain(const char *path, const char *dtype, size_t size)
{
    char header[256];
    const int length =
        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[1,3],\"data_offsets\":[0,%zu]}}",
                 dtype, 3 * size);
    FILE *file = fopen(path, "wb");
    if (!file)
        abort();
    fprintf(file, "%c%c%c%c%c%c%c%c%s", length, 0, 0, 0, 0, 0, 0, 0, header);
    for (size_t i = 0; i < 3 * size; i++)
        fputc((int)i, file);
    fclose(file);
}

static void write_seeds(const char *folder)
{
    static const struct {
        const char *dtype;
        size_t size;
    } types[] = {{"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I32", 4}};
    const clseq_meta meta = {"note", "\"\\\n\xc3\xbc"};
    char path[1024];
    clseq_checkpoint what = model;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(path, sizeof path, "%s/%s.safetensors", folder, types[i].dtype);
        write_plain(path, types[i].dtype, types[i].size);
    }
    snprintf(path, sizeof path, "%s/whole.safetensors", folder);
    what.meta = &meta;
    what.meta_count = 1;
    must(clseq_checkpoint_save(path, &what));
    snprintf(path, sizeof path, "%s/params.safetensors", folder);
    must(clseq_checkpoint_save(path, &(clseq_checkpoint){.params = params}));
}

/* ---- an input ---- */

static int descriptor = -1;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *seeds = getenv("CLSEQ_FUZZ_SEEDS");
    char name[] = "/tmp/clseq-fuzz-XXXXXX";
    (void)argc;
    (void)argv;
    make_model();
    if (seeds) {
        write_seeds(seeds);
        exit(0);
    }
    descriptor = mkstemp(name); /* one file that is written again and again, gone with the process */
    if (descriptor < 0)
        abort();
    unlink(name);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return 0;
}

static void take(const clseq_tensor *tensor, char **at)
{
    must(clseq_tensor_read(&context, tensor, *at));
    *at += bytes_of(tensor);
}

/* Everything that loading may change, into `at`. */
static size_t snapshot(char bytes[256])
{
    char *at = bytes;
    const int64_t steps = clseq_optimizer_steps(adam);
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_tensor value;
        must(clseq_param_value(clseq_params_at(params, i), &value));
        take(&value, &at);
        for (int k = 0; k < 2; k++) {
            clseq_tensor moment = clseq__optimizer_moment(adam, k, clseq_params_at(params, i));
            take(&moment, &at);
        }
    }
    take(&state.tensors[0], &at);
    memcpy(at, &steps, sizeof steps);
    return (size_t)(at - bytes) + sizeof steps;
}

static void check_sentence(void)
{
    const char *text = clseq_last_error();
    if (!*text)
        abort();
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
}

/* The reader by itself: every tensor, found by its name. */
static void read_all(void)
{
    clseq__st_reader *reader = NULL;
    if (clseq__st_open(path, &reader) != CLSEQ_OK) {
        check_sentence();
        return;
    }
    for (size_t i = 0; i < clseq__st_count(reader); i++) {
        const clseq__st_entry *entry = clseq__st_at(reader, i);
        float *values = malloc((size_t)(entry->end - entry->begin) * 2 + 1);
        if (!values || clseq__st_find(reader, entry->name) != entry)
            abort();
        if (clseq__st_read_values(reader, entry, CLSEQ_DTYPE_F32, values) != CLSEQ_OK)
            check_sentence();
        free(values);
    }
    clseq__st_close(reader);
}

static void expect_unchanged(clseq_status status, const char *before, size_t size)
{
    char after[256];
    if (status == CLSEQ_OK)
        return;
    check_sentence();
    if (snapshot(after) != size || memcmp(before, after, size) != 0)
        abort();
}

/* A store that expects the file. */
static void expect(void)
{
    clseq_params *store = NULL;
    must(clseq_params_create(&context, 1, &store));
    if (clseq_params_expect(store, path) != CLSEQ_OK ||
        clseq_params_add(store, "w", 2, (int64_t[]){1, 3}, NULL, NULL) != CLSEQ_OK)
        check_sentence();
    clseq_params_destroy(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char before[256], value[32];
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != (ssize_t)size)
        abort();
    read_all();
    expect();
    if (clseq_checkpoint_meta(path, "note", value, sizeof value) != CLSEQ_OK)
        check_sentence();
    size_t taken = snapshot(before);
    expect_unchanged(clseq_checkpoint_load(path, &model), before, taken);
    if (clseq_optimizer_steps(adam) < 0 || clseq_optimizer_steps(adam) > INT64_C(1) << 53)
        abort();
    taken = snapshot(before);
    expect_unchanged(clseq_params_load(params, path, "", ""), before, taken);
    return 0;
}

/* Mutates the header or the data by themselves and sets the header's length, which blind changes seldom hit. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0 && size >= 8; i--)
        length = length << 8 | data[i];
    if (size < 8 || length > size - 8 || room < size || seed % 16 == 0)
        return LLVMFuzzerMutate(data, size, room);
    const size_t header = (size_t)length, tail = size - 8 - header;
    if (seed % 4 == 0)
        return 8 + header + LLVMFuzzerMutate(data + 8 + header, tail, room - 8 - header);
    uint8_t *rest = malloc(tail + 1);
    if (!rest)
        abort();
    memcpy(rest, data + 8 + header, tail);
    const size_t now = LLVMFuzzerMutate(data + 8, header, room - 8 - tail);
    memcpy(data + 8 + now, rest, tail);
    for (int i = 0; i < 8; i++)
        data[i] = (uint8_t)((uint64_t)now >> 8 * i);
    free(rest);
    return 8 + now + tail;
}
