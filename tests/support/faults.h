/*
 * Makes calls of OpenCL and of the host's allocator fail on purpose, and counts what was made and not released.
 *
 * Test programs are linked so that calls of the functions in faults.c from the library and from the test come
 * here first (see tests/CMakeLists.txt); calls inside other libraries do not. One thread only.
 *
 *     static clseq_status train_a_step(void *data) { ... create, use, destroy, return the first status ... }
 *
 *     cr_assert(faults_each(train_a_step, NULL), "%s", faults_message());
 */
#ifndef CLSEQ_TESTS_SUPPORT_FAULTS_H
#define CLSEQ_TESTS_SUPPORT_FAULTS_H

#include <CL/cl.h>
#include <clseq/status.h>
#include <stdbool.h>

/*
 * A piece of work that makes things, uses them, releases all of them whatever happens, and returns the first
 * status that was not CLSEQ_OK. It uses no assertion, so that nothing else allocates.
 */
typedef clseq_status (*faults_scenario)(void *data);

/*
 * Runs the scenario again and again: first so that its first call fails, then its second, until it comes
 * through without one that does. Each time it must return a status with a sentence of its own, or CLSEQ_OK
 * where the call was not needed, and leave nothing behind. False when it does not, with the reason in
 * faults_message().
 */
bool faults_each(faults_scenario scenario, void *data);

/* What the last faults_each found, or how many calls it made fail. */
const char *faults_message(void);

/* Calls of malloc, calloc and realloc by the library and the test so far. */
long faults_allocations(void);

/* OpenCL objects that the library and the test made or retained and have not released. */
long faults_objects(void);

/* How many calls the last faults_each made fail, and how many of those runs came through nevertheless. */
int faults_count(void);
int faults_survived(void);

/*
 * Functions of the test that OpenCL's questions go to, for platforms, devices and times that no machine here has. NULL:
 * OpenCL answers.
 */
typedef struct faults_answerers {
    cl_int (*clGetPlatformIDs)(cl_uint n, cl_platform_id *ids, cl_uint *count);
    cl_int (*clGetPlatformInfo)(cl_platform_id platform, cl_platform_info what, size_t size, void *value,
                                size_t *actual);
    cl_int (*clGetDeviceIDs)(cl_platform_id platform, cl_device_type type, cl_uint n, cl_device_id *ids,
                             cl_uint *count);
    cl_int (*clGetDeviceInfo)(cl_device_id device, cl_device_info what, size_t size, void *value,
                              size_t *actual);
    cl_int (*clGetEventProfilingInfo)(cl_event event, cl_profiling_info what, size_t size, void *value,
                                      size_t *actual);
} faults_answerers;

extern faults_answerers faults_answers;

#endif
