#include "core/program.h"

#include "core/cache.h"
#include "core/clock.h"
#include "core/pocl.h"
#include "core/program_table.h"
#include "core/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct clseq__program {
    struct clseq__program *next;
    char *file;
    char *options;       /* as the caller gave them */
    clseq__built *built; /* keeps `cl`, which other contexts may share */
    cl_program cl;       /* NULL while it is not built */
    clseq__kernel *kernels;
    cl_uint kernel_count;
} clseq__program;

struct clseq__programs {
    clseq__program *first; /* the one used last stands first */
    char *kernel_dir;      /* CLSEQ_KERNEL_DIR, or NULL */
    clseq__cache *cache;   /* NULL: none */
    bool binaries;         /* whether its entries hold binaries */
};

static void release_kernels(clseq__program *program)
{
    for (cl_uint i = 0; i < program->kernel_count; i++) {
        if (program->kernels[i].cl != NULL)
            clReleaseKernel(program->kernels[i].cl);
        free(program->kernels[i].name);
    }
    free(program->kernels);
    program->kernels = NULL;
    program->kernel_count = 0;
}

/* Gives up what this context has built a program into, so that it can be built again. */
static void program_clear(clseq__program *program)
{
    release_kernels(program);
    if (program->cl != NULL)
        clReleaseProgram(program->cl);
    program->cl = NULL;
}

static void program_destroy(clseq__program *program)
{
    if (program == NULL)
        return;
    release_kernels(program);
    clseq__built_release(program->built);
    free(program->file);
    free(program->options);
    free(program);
}

/*
 * Whether asking for a program's binary is cheap. PoCL compiles no kernel before it is launched, and when it
 * is asked for the binary it compiles every kernel once more in a form that no launch of ours uses, which
 * takes many times as long as the program itself (seconds where loading it saves hundredths). It keeps what
 * launches compile in a cache of its own, so ours only notes that a program was compiled here before.
 */
static bool has_cheap_binaries(const clseq_device_info *device)
{
    return !clseq__is_pocl(device->platform_name, device->platform_version);
}

clseq_status clseq__programs_create(const clseq_context *ctx, const clseq_context_desc *desc,
                                    clseq__programs **out)
{
    clseq_status status = CLSEQ_OK;
    const char *kernel_dir = getenv("CLSEQ_KERNEL_DIR");
    clseq__programs *programs = calloc(1, sizeof *programs);
    if (programs == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "context create: no memory for the list of programs");
    if (kernel_dir != NULL && kernel_dir[0] != '\0') {
        programs->kernel_dir = clseq__text_copy(kernel_dir);
        if (programs->kernel_dir == NULL)
            CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "context create: no memory for CLSEQ_KERNEL_DIR");
    }
    if (!desc->no_cache)
        CLSEQ__TRY(clseq__cache_open(desc->cache_dir, &programs->cache));
    programs->binaries = clseq__cache_forced(programs->cache) || has_cheap_binaries(&ctx->device);
    *out = programs;
    programs = NULL;
done:
    clseq__programs_destroy(programs);
    return status;
}

void clseq__programs_destroy(clseq__programs *programs)
{
    if (programs == NULL)
        return;
    while (programs->first != NULL) {
        clseq__program *program = programs->first;
        programs->first = program->next;
        program_destroy(program);
    }
    clseq__cache_close(programs->cache);
    free(programs->kernel_dir);
    free(programs);
}

/* The compiler's messages, or NULL when there are none. The caller frees them. */
static char *build_log(cl_program program, cl_device_id device)
{
    size_t size = 0;
    if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS ||
        size <= 1)
        return NULL;
    char *text = calloc(size + 1, 1);
    if (text != NULL &&
        clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, text, NULL) != CL_SUCCESS) {
        free(text);
        return NULL;
    }
    for (size_t end = text != NULL ? strlen(text) : 0; end > 0 && text[end - 1] == '\n'; end--)
        text[end - 1] = '\0';
    return text;
}

/* The log gets all that the compiler said, the sentence its beginning. */
static clseq_status build_failed(const clseq_context *ctx, const clseq__program *program, const char *options,
                                 int code)
{
    enum { SHOWN = 1500 };
    char *text = build_log(program->cl, ctx->device.device), reason[1400] = "";
    if (clseq__is_pocl(ctx->device.platform_name, ctx->device.platform_version))
        clseq__pocl_cache_trouble(reason, sizeof reason);
    clseq__log(CLSEQ_LOG_ERROR, "%s does not compile with %s; the compiler says:", program->file, options);
    clseq__log_text(CLSEQ_LOG_ERROR, text != NULL ? text : "(nothing)");
    clseq_status status = clseq__cl_status(code);
    if (status == CLSEQ_OPENCL_ERROR)
        status = CLSEQ_BUILD_FAILED;
    status = clseq__error(status, "%s does not compile for %s with %s (%s): %.*s%s%s", program->file,
                          ctx->device.name, options, clseq__cl_error_name(code), SHOWN,
                          text != NULL ? text : "the compiler says nothing",
                          text != NULL && strlen(text) > SHOWN ? " ..." : "", reason);
    free(text);
    return status;
}

/* Compiles program->cl from source; `known` when that was done before and the driver has kept the result. */
static clseq_status compile(clseq_context *ctx, clseq__program *program, const clseq__text *source,
                            const char *options, bool known)
{
    clseq_status status = CLSEQ_OK;
    int code = 0;
    clseq__log(known ? CLSEQ_LOG_DEBUG : CLSEQ_LOG_INFO, "Compiling %s for %s", program->file,
               ctx->device.name);
    clseq__log(CLSEQ_LOG_DEBUG, "options of %s: %s", program->file, options);
    program->cl = clCreateProgramWithSource(ctx->cl, 1, (const char *[]){source->data}, &source->size, &code);
    if (code != CL_SUCCESS)
        CLSEQ__FAIL(clseq__cl_status(code), "%s: clCreateProgramWithSource gave %s", program->file,
                    clseq__cl_error_name(code));
    code = clBuildProgram(program->cl, 1, &ctx->device.device, options, NULL, NULL);
    if (code != CL_SUCCESS)
        CLSEQ__TRY(build_failed(ctx, program, options, code));
    if (clseq__log_shows(CLSEQ_LOG_DEBUG)) {
        char *text = build_log(program->cl, ctx->device.device);
        if (text != NULL)
            clseq__log_text(CLSEQ_LOG_DEBUG, text);
        free(text);
    }
    ctx->stats.programs_built++;
done:
    return status;
}

/* Makes all kernels of a built program and notes what launches check. */
static clseq_status create_kernels(clseq__program *program)
{
    clseq_status status = CLSEQ_OK;
    cl_kernel *handles = NULL;
    cl_uint count = 0;
    CLSEQ__TRY_CL(clCreateKernelsInProgram(program->cl, 0, NULL, &count));
    handles = calloc(count > 0 ? count : 1, sizeof *handles);
    program->kernels = calloc(count > 0 ? count : 1, sizeof *program->kernels);
    if (handles == NULL || program->kernels == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its %u kernels", program->file,
                    (unsigned)count);
    CLSEQ__TRY_CL(clCreateKernelsInProgram(program->cl, count, handles, NULL));
    program->kernel_count = count;
    for (cl_uint i = 0; i < count; i++) {
        program->kernels[i].cl = handles[i];
        program->kernels[i].program = program;
    }
    for (cl_uint i = 0; i < count; i++) {
        clseq__kernel *kernel = &program->kernels[i];
        size_t size = 0;
        CLSEQ__TRY_CL(clGetKernelInfo(kernel->cl, CL_KERNEL_FUNCTION_NAME, 0, NULL, &size));
        kernel->name = calloc(size + 1, 1);
        if (kernel->name == NULL)
            CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its kernels' names", program->file);
        CLSEQ__TRY_CL(clGetKernelInfo(kernel->cl, CL_KERNEL_FUNCTION_NAME, size, kernel->name, NULL));
        CLSEQ__TRY_CL(clGetKernelInfo(kernel->cl, CL_KERNEL_NUM_ARGS, sizeof kernel->argument_count,
                                      &kernel->argument_count, NULL));
    }
done:
    free(handles);
    return status;
}

/* Everything that a compiled program depends on, as a text. */
static clseq_status make_key(const clseq_context *ctx, const char *options, const clseq__text *source,
                             clseq__text *key)
{
    const clseq_device_info *device = &ctx->device;
    CLSEQ__RETURN_IF(clseq__text_print(key, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n", clseq_version(),
                                       device->platform_name, device->platform_version, device->name,
                                       device->version, device->driver_version, options));
    return clseq__text_add(key, source->data, source->size);
}

/* Makes program->cl and its kernels from a binary of the cache. */
static clseq_status load_binary(clseq_context *ctx, clseq__program *program, const char *options,
                                const unsigned char *binary, size_t size)
{
    clseq_status status = CLSEQ_OK;
    int code = 0;
    cl_int binary_code = 0;
    program->cl =
        clCreateProgramWithBinary(ctx->cl, 1, &ctx->device.device, &size, &binary, &binary_code, &code);
    CLSEQ__TRY_CL(code);
    CLSEQ__TRY_CL(binary_code);
    CLSEQ__TRY_CL(clBuildProgram(program->cl, 1, &ctx->device.device, options, NULL, NULL));
    CLSEQ__TRY(create_kernels(program));
    ctx->stats.programs_loaded++;
done:
    return status;
}

/* Whether the cache had the program. Otherwise it may still `know` that it was compiled before. */
static bool load_cached(clseq_context *ctx, clseq__program *program, const char *options,
                        const clseq__text *key, bool *known)
{
    clseq__cache *cache = ctx->programs->cache;
    unsigned char *binary = NULL;
    size_t size = 0;
    bool loaded = false;
    *known = clseq__cache_load(cache, key->data, key->size, &binary, &size);
    if (*known && size > 0) {
        *known = false;
        loaded = load_binary(ctx, program, options, binary, size) == CLSEQ_OK;
        if (!loaded) {
            clseq__log(CLSEQ_LOG_WARN, "the driver refuses the cached binary of %s: %s", program->file,
                       clseq_last_error());
            program_clear(program);
        }
    }
    free(binary);
    return loaded;
}

/* Puts a program into the cache. Its kernels exist already, which some drivers want before they are asked. */
static void store_cached(clseq_context *ctx, const clseq__program *program, const clseq__text *key)
{
    clseq_status status = CLSEQ_OK;
    clseq__cache *cache = ctx->programs->cache;
    unsigned char *binary = NULL;
    size_t size = 0;
    if (cache == NULL)
        return;
    if (ctx->programs->binaries) {
        CLSEQ__TRY_CL(clGetProgramInfo(program->cl, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL));
        binary = malloc(size > 0 ? size : 1);
        if (binary == NULL || size == 0)
            CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "there is no binary, or no memory for its %zu bytes", size);
        CLSEQ__TRY_CL(clGetProgramInfo(program->cl, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL));
    }
    clseq__cache_store(cache, key->data, key->size, binary, size);
done:
    if (status != CLSEQ_OK)
        clseq__log(CLSEQ_LOG_WARN, "%s is not put into the cache: %s", program->file, clseq_last_error());
    free(binary);
}

/* Whether fma() is an instruction of the device. */
static bool has_fma(const clseq_context *ctx)
{
    cl_device_fp_config config = 0;
    int code = clGetDeviceInfo(ctx->device.device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL);
    return code == CL_SUCCESS && config & CL_FP_FMA;
}

/* Makes the program and its kernels from the disk cache or from source. */
static clseq_status program_build(clseq_context *ctx, clseq__program *program, const clseq__text *source,
                                  const char *options, const clseq__text *key)
{
    clseq_status status = CLSEQ_OK;
    bool known = false;
    if (load_cached(ctx, program, options, key, &known))
        return CLSEQ_OK;
    CLSEQ__TRY(compile(ctx, program, source, options, known));
    CLSEQ__TRY(create_kernels(program));
    if (!known || ctx->programs->binaries)
        store_cached(ctx, program, key);
done:
    if (status != CLSEQ_OK)
        program_clear(program);
    return status;
}

/* The same unless another context around the same OpenCL context has built it; then only the kernels are made. */
static clseq_status program_share(clseq_context *ctx, clseq__program *program, const clseq__text *source,
                                  const char *options, const clseq__text *key)
{
    clseq_status status = CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__built_take(ctx, key->data, key->size, &program->built));
    cl_program *shared = clseq__built_lock(program->built);
    program->cl = *shared;
    if (program->cl != NULL)
        CLSEQ__TRY(create_kernels(program));
    else
        CLSEQ__TRY(program_build(ctx, program, source, options, key));
    *shared = program->cl;
done:
    clseq__built_unlock(program->built);
    return status;
}

/* Fills a program's kernels. */
static clseq_status program_fill(clseq_context *ctx, clseq__program *program)
{
    clseq_status status = CLSEQ_OK;
    clseq__text source = {0}, options = {0}, key = {0};
    CLSEQ__TRY(clseq__text_print(
        &options, "-cl-std=CL1.2 -cl-denorms-are-zero -DVW=%d -DCPU=%d -DREGISTERS=%d -DFMA=%d%s%s",
        ctx->traits.vector_width, (int)ctx->traits.is_cpu, ctx->traits.vector_registers, has_fma(ctx),
        program->options[0] != '\0' ? " " : "", program->options));
    CLSEQ__TRY(clseq__source_resolve(ctx->programs->kernel_dir, program->file, options.data, &source));
    CLSEQ__TRY(make_key(ctx, options.data, &source, &key));
    CLSEQ__TRY(program_share(ctx, program, &source, options.data, &key));
done:
    free(source.data);
    free(options.data);
    free(key.data);
    return status;
}

/* Makes and lists a program. */
static clseq_status program_create(clseq_context *ctx, const char *file, const char *options,
                                   clseq__program **out)
{
    clseq_status status = CLSEQ_OK;
    double start = clseq__seconds();
    clseq__program *program = calloc(1, sizeof *program);
    if (program == NULL || (program->file = clseq__text_copy(file)) == NULL ||
        (program->options = clseq__text_copy(options)) == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for the program", file);
    CLSEQ__TRY(program_fill(ctx, program));
    program->next = ctx->programs->first;
    ctx->programs->first = program;
    *out = program;
    program = NULL;
done:
    ctx->stats.build_seconds += clseq__seconds() - start;
    program_destroy(program);
    return status;
}

/* The program if the context has it; it moves to the front of the list. */
static clseq__program *program_find(clseq__programs *programs, const char *file, const char *options)
{
    for (clseq__program **at = &programs->first; *at != NULL; at = &(*at)->next) {
        clseq__program *program = *at;
        if (strcmp(program->file, file) == 0 && strcmp(program->options, options) == 0) {
            *at = program->next;
            program->next = programs->first;
            programs->first = program;
            return program;
        }
    }
    return NULL;
}

clseq_status clseq__kernel_get(clseq_context *ctx, const char *file, const char *options, const char *name,
                               clseq__kernel **out)
{
    options = options != NULL ? options : "";
    clseq__program *program = program_find(ctx->programs, file, options);
    if (program == NULL)
        CLSEQ__RETURN_IF(program_create(ctx, file, options, &program));
    for (cl_uint i = 0; i < program->kernel_count; i++)
        if (strcmp(program->kernels[i].name, name) == 0) {
            *out = &program->kernels[i];
            return CLSEQ_OK;
        }
    return clseq__error(CLSEQ_NOT_FOUND, "%s has no kernel %s with options \"%s\"", file, name, options);
}
