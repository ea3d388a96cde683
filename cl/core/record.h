/*
 * Records: what a kernel takes beside its buffers (sizes, offsets, strides) as one struct, declared once for the host
 * and for kernels. A header that is both C11 and OpenCL C lists the members and makes the type of the list,
 *
 *     #define PANELS_RECORD(M) \
 *         M(clseq_long, rows)  \
 *         M(clseq_long, at[2]) \
 *         M(clseq_int, width)  \
 *         M(clseq_float, scale)
 *     CLSEQ_RECORD(panels_record, PANELS_RECORD);
 *
 * and both include it by its path below cl/, as it includes this one. The kernel takes `panels_record r`, the host gives
 * CLSEQ__RECORD(&r) (host/core/launch.h). A member may be an array, or a record. The larger types come first, and an even
 * number of the smaller ones: then there are no holes, whose bytes nobody sets, and which rusticl does not count in a
 * record's size. RECORD_CHECK of tests/support/record.h compares size and places of all members on host and device.
 *
 * In a folder whose files share a program each file that includes the header has a type of its own (host/core/source.c),
 * for which CLSEQ_RECORD stands at the beginning of a line.
 */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#ifdef __OPENCL_VERSION__
#define clseq_int int
#define clseq_long long
#define clseq_float float
#else
#include <CL/cl.h>
typedef cl_int clseq_int;
typedef cl_long clseq_long;
typedef cl_float clseq_float;
#endif

#define CLSEQ_RECORD_MEMBER(type, name) type name;
#define CLSEQ_RECORD(name, MEMBERS)  \
    typedef struct name {            \
        MEMBERS(CLSEQ_RECORD_MEMBER) \
    } name

#endif
