/* An OpenCL context and queue that belong to the test, for contexts of the library around them. */
#ifndef CLSEQ_TESTS_SUPPORT_OUTSIDE_H
#define CLSEQ_TESTS_SUPPORT_OUTSIDE_H

#include <clseq/context.h>

typedef struct outside {
    clseq_device_info device;
    cl_context context;
    cl_command_queue queue; /* NULL: the device has no queue with these properties */
} outside;

/* On the device that the tests run on; the test fails when it cannot be made. */
outside outside_create(cl_command_queue_properties properties);
void outside_release(outside *o);

/* Another queue of the same OpenCL context and device, to be released too. */
outside outside_beside(const outside *o);

/* How often the queue is held. */
cl_uint outside_references(const outside *o);

#endif
