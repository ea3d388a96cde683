/*
 * Preloaded where programs run in Oclgrind 21.10. It does not notice that clEnqueueFillBuffer initialises memory, and
 * after a host's write or a copy to a part of a buffer it takes the rest for uninitialised. After each of them the
 * whole buffer is written once more as it is. What is still found: reads of memory that nobody wrote, in buffers that
 * only kernels write, in local and in private memory.
 */
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>

typedef cl_int (*fill_fn)(cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint,
                          const cl_event *, cl_event *);
typedef cl_int (*write_fn)(cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *, cl_uint,
                           const cl_event *, cl_event *);
typedef cl_int (*copy_fn)(cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, const cl_event *,
                          cl_event *);

/* `f` becomes the function of that name that this file stands in front of. */
#define REAL(f, name) *(void **)&(f) = dlsym(RTLD_NEXT, name)

/* Passes on the code of a call that changed the buffer; when it succeeded, all of the buffer counts as written. */
static cl_int changed(cl_int code, cl_command_queue queue, cl_mem buffer)
{
    size_t size = 0;
    write_fn write = NULL;
    REAL(write, "clEnqueueWriteBuffer");
    if (code != CL_SUCCESS || clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof size, &size, NULL) != CL_SUCCESS)
        return code;
    char *bytes = malloc(size);
    if (bytes == NULL || clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, size, bytes, 0, NULL, NULL) ||
        write(queue, buffer, CL_TRUE, 0, size, bytes, 0, NULL, NULL))
        abort();
    free(bytes);
    return code;
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size,
                           size_t offset, size_t size, cl_uint waits, const cl_event *wait_list,
                           cl_event *event)
{
    fill_fn fill = NULL;
    REAL(fill, "clEnqueueFillBuffer");
    return changed(fill(queue, buffer, pattern, pattern_size, offset, size, waits, wait_list, event), queue,
                   buffer);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool wait, size_t offset, size_t size,
                            const void *from, cl_uint waits, const cl_event *wait_list, cl_event *event)
{
    write_fn write = NULL;
    REAL(write, "clEnqueueWriteBuffer");
    return changed(write(queue, buffer, wait, offset, size, from, waits, wait_list, event), queue, buffer);
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset,
                           size_t to_offset, size_t size, cl_uint waits, const cl_event *wait_list,
                           cl_event *event)
{
    copy_fn copy = NULL;
    REAL(copy, "clEnqueueCopyBuffer");
    return changed(copy(queue, from, to, from_offset, to_offset, size, waits, wait_list, event), queue, to);
}
