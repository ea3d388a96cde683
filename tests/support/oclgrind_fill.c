/*
 * Preloaded where programs run in Oclgrind, which does not notice that clEnqueueFillBuffer initialises a buffer: what
 * was filled is written once more, from the host.
 */
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef cl_int (*fill_fn)(cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint,
                          const cl_event *, cl_event *);

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size,
                           size_t offset, size_t size, cl_uint waits, const cl_event *wait_list,
                           cl_event *event)
{
    fill_fn fill = NULL;
    *(void **)&fill = dlsym(RTLD_NEXT, "clEnqueueFillBuffer");
    cl_int code = fill(queue, buffer, pattern, pattern_size, offset, size, waits, wait_list, event);
    if (code != CL_SUCCESS)
        return code;
    char *bytes = malloc(size);
    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < size; i += pattern_size)
        memcpy(bytes + i, pattern, pattern_size);
    code = clEnqueueWriteBuffer(queue, buffer, CL_TRUE, offset, size, bytes, 0, NULL, NULL);
    free(bytes);
    return code;
}
