#include "support/outside.h"

#include <stdio.h>
#include <stdlib.h>

/* Aborts, which Criterion reports for the test alone. */
static void must(int code, const char *call)
{
    if (code == CL_SUCCESS)
        return;
    fprintf(stderr, "%s gave %d\n", call, code);
    abort();
}

outside outside_create(cl_command_queue_properties properties)
{
    outside o = {0};
    int code = 0;
    must((int)clseq_device_find(NULL, &o.device), "clseq_device_find");
    o.context = clCreateContext(NULL, 1, &o.device.device, NULL, NULL, &code);
    must(code, "clCreateContext");
    o.queue = clCreateCommandQueue(o.context, o.device.device, properties, &code);
    if (code != CL_SUCCESS)
        o.queue = NULL;
    return o;
}

outside outside_beside(const outside *o)
{
    outside beside = *o;
    int code = 0;
    must(clRetainContext(o->context), "clRetainContext");
    beside.queue = clCreateCommandQueue(o->context, o->device.device, 0, &code);
    must(code, "clCreateCommandQueue");
    return beside;
}

void outside_release(outside *o)
{
    if (o->queue != NULL)
        must(clReleaseCommandQueue(o->queue), "clReleaseCommandQueue");
    must(clReleaseContext(o->context), "clReleaseContext");
}

cl_uint outside_references(const outside *o)
{
    cl_uint count = 0;
    must(clGetCommandQueueInfo(o->queue, CL_QUEUE_REFERENCE_COUNT, sizeof count, &count, NULL),
         "clGetCommandQueueInfo");
    return count;
}
