#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include "support/faults.h"

#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long calls;           /* since the scenario began */
static long failing;         /* number of the call that fails, 0: none */
static const char *failed;   /* the function whose call failed */
static long objects, blocks; /* OpenCL objects and blocks of host memory that exist */
static long allocations;     /* calls of the allocator since the program began */
static int failures, survivals;
static char message[1024];

faults_answerers faults_answers;

/* Whether this call is the one that fails. */
static bool is_due(const char *function)
{
    if (failing == 0 || ++calls != failing)
        return false;
    failed = function;
    return true;
}

/* The linker gives __real_f the function f. Weak, because programs that are linked without the option have none. */
#define REAL __attribute__((weak))

/* A function that returns its error code. */
#define CODE(name, code, parameters, arguments)                \
    REAL cl_int __real_##name parameters;                      \
    cl_int __wrap_##name parameters;                           \
    cl_int __wrap_##name parameters                            \
    {                                                          \
        return is_due(#name) ? code : __real_##name arguments; \
    }

/* The same, where a test may answer itself (see faults.h). */
#define ANSWERED(name, code, parameters, arguments)                                                   \
    REAL cl_int __real_##name parameters;                                                             \
    cl_int __wrap_##name parameters;                                                                  \
    cl_int __wrap_##name parameters                                                                   \
    {                                                                                                 \
        if (is_due(#name))                                                                            \
            return code;                                                                              \
        return faults_answers.name != NULL ? faults_answers.name arguments : __real_##name arguments; \
    }

/* The same as CODE, which makes or gives up references. */
#define COUNTED(name, code, change, parameters, arguments) \
    REAL cl_int __real_##name parameters;                  \
    cl_int __wrap_##name parameters;                       \
    cl_int __wrap_##name parameters                        \
    {                                                      \
        if (is_due(#name))                                 \
            return code;                                   \
        cl_int result_ = __real_##name arguments;          \
        if (result_ == CL_SUCCESS)                         \
            objects += (change);                           \
        return result_;                                    \
    }

/* A release, which never fails. */
#define RELEASE(name, type)           \
    REAL cl_int __real_##name(type);  \
    cl_int __wrap_##name(type);       \
    cl_int __wrap_##name(type object) \
    {                                 \
        objects--;                    \
        return __real_##name(object); \
    }

/* A function that returns a new object and writes its error code to `code_out`. */
#define CREATE(name, type, code, parameters, arguments) \
    REAL type __real_##name parameters;                 \
    type __wrap_##name parameters;                      \
    type __wrap_##name parameters                       \
    {                                                   \
        if (is_due(#name)) {                            \
            *code_out = code;                           \
            return NULL;                                \
        }                                               \
        type object_ = __real_##name arguments;         \
        objects += object_ != NULL;                     \
        return object_;                                 \
    }

ANSWERED(clGetPlatformIDs, CL_OUT_OF_HOST_MEMORY, (cl_uint n, cl_platform_id *ids, cl_uint *count),
         (n, ids, count))
ANSWERED(clGetPlatformInfo, CL_OUT_OF_HOST_MEMORY,
         (cl_platform_id platform, cl_platform_info what, size_t size, void *value, size_t *actual),
         (platform, what, size, value, actual))
ANSWERED(clGetDeviceIDs, CL_OUT_OF_RESOURCES,
         (cl_platform_id platform, cl_device_type type, cl_uint n, cl_device_id *ids, cl_uint *count),
         (platform, type, n, ids, count))
ANSWERED(clGetDeviceInfo, CL_OUT_OF_RESOURCES,
         (cl_device_id device, cl_device_info what, size_t size, void *value, size_t *actual),
         (device, what, size, value, actual))
CODE(clGetCommandQueueInfo, CL_OUT_OF_RESOURCES,
     (cl_command_queue queue, cl_command_queue_info what, size_t size, void *value, size_t *actual),
     (queue, what, size, value, actual))
CODE(clGetMemObjectInfo, CL_OUT_OF_RESOURCES,
     (cl_mem memory, cl_mem_info what, size_t size, void *value, size_t *actual),
     (memory, what, size, value, actual))
CODE(clGetKernelInfo, CL_OUT_OF_RESOURCES,
     (cl_kernel kernel, cl_kernel_info what, size_t size, void *value, size_t *actual),
     (kernel, what, size, value, actual))
CODE(clGetProgramInfo, CL_OUT_OF_RESOURCES,
     (cl_program program, cl_program_info what, size_t size, void *value, size_t *actual),
     (program, what, size, value, actual))
ANSWERED(clGetEventProfilingInfo, CL_PROFILING_INFO_NOT_AVAILABLE,
         (cl_event event, cl_profiling_info what, size_t size, void *value, size_t *actual),
         (event, what, size, value, actual))
CODE(clBuildProgram, CL_BUILD_PROGRAM_FAILURE,
     (cl_program program, cl_uint n, const cl_device_id *devices, const char *options,
      void(CL_CALLBACK *notify)(cl_program, void *), void *data),
     (program, n, devices, options, notify, data))
CODE(clSetKernelArg, CL_OUT_OF_RESOURCES, (cl_kernel kernel, cl_uint index, size_t size, const void *value),
     (kernel, index, size, value))
CODE(clFlush, CL_OUT_OF_RESOURCES, (cl_command_queue queue), (queue))
CODE(clFinish, CL_OUT_OF_RESOURCES, (cl_command_queue queue), (queue))
CODE(clWaitForEvents, CL_OUT_OF_RESOURCES, (cl_uint n, const cl_event *events), (n, events))

COUNTED(clCreateKernelsInProgram, CL_OUT_OF_RESOURCES, kernels != NULL ? (long)n : 0,
        (cl_program program, cl_uint n, cl_kernel *kernels, cl_uint *count), (program, n, kernels, count))
COUNTED(clRetainContext, CL_OUT_OF_RESOURCES, 1, (cl_context context), (context))
COUNTED(clRetainCommandQueue, CL_OUT_OF_RESOURCES, 1, (cl_command_queue queue), (queue))
COUNTED(clRetainMemObject, CL_OUT_OF_RESOURCES, 1, (cl_mem memory), (memory))
COUNTED(clRetainEvent, CL_OUT_OF_RESOURCES, 1, (cl_event event), (event))
COUNTED(clEnqueueNDRangeKernel, CL_OUT_OF_RESOURCES, event != NULL,
        (cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset, const size_t *global,
         const size_t *local, cl_uint waits, const cl_event *list, cl_event *event),
        (queue, kernel, dims, offset, global, local, waits, list, event))
COUNTED(clEnqueueFillBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE, event != NULL,
        (cl_command_queue queue, cl_mem memory, const void *pattern, size_t pattern_size, size_t offset,
         size_t size, cl_uint waits, const cl_event *list, cl_event *event),
        (queue, memory, pattern, pattern_size, offset, size, waits, list, event))
COUNTED(clEnqueueCopyBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE, event != NULL,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset, size_t size,
         cl_uint waits, const cl_event *list, cl_event *event),
        (queue, from, to, from_offset, to_offset, size, waits, list, event))
COUNTED(clEnqueueReadBuffer, CL_OUT_OF_RESOURCES, event != NULL,
        (cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size, void *host,
         cl_uint waits, const cl_event *list, cl_event *event),
        (queue, memory, blocking, offset, size, host, waits, list, event))
COUNTED(clEnqueueWriteBuffer, CL_OUT_OF_RESOURCES, event != NULL,
        (cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size,
         const void *host, cl_uint waits, const cl_event *list, cl_event *event),
        (queue, memory, blocking, offset, size, host, waits, list, event))
COUNTED(clEnqueueMarkerWithWaitList, CL_OUT_OF_RESOURCES, event != NULL,
        (cl_command_queue queue, cl_uint waits, const cl_event *list, cl_event *event),
        (queue, waits, list, event))

RELEASE(clReleaseContext, cl_context)
RELEASE(clReleaseCommandQueue, cl_command_queue)
RELEASE(clReleaseMemObject, cl_mem)
RELEASE(clReleaseProgram, cl_program)
RELEASE(clReleaseKernel, cl_kernel)
RELEASE(clReleaseEvent, cl_event)

CREATE(clCreateContext, cl_context, CL_OUT_OF_HOST_MEMORY,
       (const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
        void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data, cl_int *code_out),
       (properties, n, devices, notify, data, code_out))
CREATE(clCreateCommandQueue, cl_command_queue, CL_OUT_OF_RESOURCES,
       (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *code_out),
       (context, device, properties, code_out))
CREATE(clCreateBuffer, cl_mem, CL_INVALID_VALUE,
       (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *code_out),
       (context, flags, size, host, code_out))
CREATE(clCreateProgramWithSource, cl_program, CL_OUT_OF_HOST_MEMORY,
       (cl_context context, cl_uint n, const char **texts, const size_t *sizes, cl_int *code_out),
       (context, n, texts, sizes, code_out))
CREATE(clCreateProgramWithBinary, cl_program, CL_INVALID_BINARY,
       (cl_context context, cl_uint n, const cl_device_id *devices, const size_t *sizes,
        const unsigned char **binaries, cl_int *codes, cl_int *code_out),
       (context, n, devices, sizes, binaries, codes, code_out))
CREATE(clCreateKernel, cl_kernel, CL_OUT_OF_HOST_MEMORY,
       (cl_program program, const char *name, cl_int *code_out), (program, name, code_out))

REAL void *__real_malloc(size_t);
REAL void *__real_calloc(size_t, size_t);
REAL void *__real_realloc(void *, size_t);
REAL void __real_free(void *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void __wrap_free(void *);

void *__wrap_malloc(size_t size)
{
    allocations++;
    void *block = is_due("malloc") ? NULL : __real_malloc(size);
    blocks += block != NULL;
    return block;
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    void *block = is_due("calloc") ? NULL : __real_calloc(count, size);
    blocks += block != NULL;
    return block;
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    if (is_due("realloc"))
        return NULL;
    void *block = __real_realloc(old, size);
    blocks += block != NULL && old == NULL;
    return block;
}

void __wrap_free(void *block)
{
    blocks -= block != NULL;
    __real_free(block);
}

/* Runs the scenario with call number `number` failing. */
static bool run_once(faults_scenario scenario, void *data, long number)
{
    static const char before[] = "the sentence before";
    long objects_before = objects, blocks_before = blocks;
    clseq__error(CLSEQ_OK, "%s", before);
    calls = 0;
    failed = NULL;
    failing = number;
    clseq_status status = scenario(data);
    failing = 0;
    const char *name = failed != NULL ? failed : "none";
    if (objects != objects_before || blocks != blocks_before)
        snprintf(message, sizeof message,
                 "call %ld (%s) fails: %ld OpenCL objects and %ld blocks of memory are left; status %s: %s",
                 number, name, objects - objects_before, blocks - blocks_before, clseq_status_name(status),
                 clseq_last_error());
    else if (status != CLSEQ_OK && (failed == NULL || strcmp(clseq_last_error(), before) == 0))
        snprintf(message, sizeof message, "call %ld (%s) fails: status %s without a sentence: %s", number,
                 name, clseq_status_name(status), clseq_last_error());
    else
        message[0] = '\0';
    failures += failed != NULL;
    survivals += failed != NULL && status == CLSEQ_OK;
    return message[0] == '\0';
}

bool faults_each(faults_scenario scenario, void *data)
{
    failures = survivals = 0;
    if (__real_malloc == NULL) {
        snprintf(message, sizeof message, "the program is not linked with --wrap");
        return false;
    }
    for (long number = 1; number == 1 || failed != NULL; number++)
        if (!run_once(scenario, data, number))
            return false;
    snprintf(message, sizeof message, "%d calls failed, %d of them without harm", failures, survivals);
    return true;
}

const char *faults_message(void)
{
    return message;
}

long faults_objects(void)
{
    return objects;
}

long faults_allocations(void)
{
    return allocations;
}

int faults_count(void)
{
    return failures;
}

int faults_survived(void)
{
    return survivals;
}
