/*
 * Choosing an OpenCL device.
 *
 * A selector is the string "platform:device". Either part may be empty, an index, or a part of the name in
 * any case: "pocl:" or ":0" or "nvidia:h200" or "1:0". A platform is known by its name and its version text.
 * Without a colon the string is matched against the platform and against the device, and a number is a
 * position in the list of all devices. NULL or "" mean the environment variable CLSEQ_DEVICE. Where several
 * devices match, or nothing is said at all, it is the best of them: a GPU before an accelerator before a CPU,
 * the first of its kind.
 *
 *     clseq_device_info devices[16];
 *     size_t count = 0;
 *     if (clseq_device_list(devices, 16, &count) == CLSEQ_OK)
 *         for (size_t i = 0; i < count && i < 16; i++)
 *             printf("%s\n", devices[i].name);
 *
 * All functions here may be called from any thread.
 */
#ifndef CLSEQ_DEVICE_H
#define CLSEQ_DEVICE_H

#include <clseq/status.h>

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clseq_device_info {
    cl_platform_id platform;
    cl_device_id device;
    int platform_index; /* position among the platforms, as a selector counts them */
    int device_index;   /* position among the platform's devices; -1 for a part of a device */
    cl_device_type type;
    char platform_name[128];
    char platform_version[128];
    char name[128];
    char version[128];
    char driver_version[128];
    uint32_t compute_units;
    /* Floats in the device's own vector register; 1 for most GPUs, 0 when it does not say. */
    uint32_t native_float_width;
    size_t max_work_group_size;
    uint64_t global_memory;  /* bytes */
    uint64_t max_allocation; /* bytes of the largest single buffer */
    uint64_t local_memory;   /* bytes a work-group */
} clseq_device_info;

/*
 * Writes up to `capacity` devices to `out` (which may be NULL when capacity is 0) and the number that there
 * is to `count`. Platforms without devices are passed over. No device at all is CLSEQ_NO_DEVICE.
 */
CLSEQ_API clseq_status clseq_device_list(clseq_device_info *out, size_t capacity, size_t *count);

/* The device that a selector names. When none matches: CLSEQ_NO_DEVICE, and the sentence lists what there is.
 */
CLSEQ_API clseq_status clseq_device_find(const char *selector, clseq_device_info *out);

/* The description of a device that the caller already has. */
CLSEQ_API clseq_status clseq_device_describe(cl_device_id device, clseq_device_info *out);

#ifdef __cplusplus
}
#endif
#endif
