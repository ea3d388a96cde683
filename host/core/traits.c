#include "core/traits.h"

#include "core/error.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The shape of kernels: floats a vector, registers, groups. CPU-shaped kernels are for CPUs whose compiler wants
 * vectors; one that says its own width is 1 puts work-items side by side itself, as GPUs do.
 */
static clseq_status read_shape(const clseq_device_info *device, clseq__traits *traits)
{
    const uint32_t native = device->native_float_width;
    const char *wish = getenv("CLSEQ_VECTOR_WIDTH");
    const bool wished = wish != NULL && wish[0] != '\0';
    traits->is_cpu = (device->type & CL_DEVICE_TYPE_CPU) != 0 && (native > 1 || wished);
    traits->groups = device->compute_units > 0 ? (int)device->compute_units : 1;
    traits->vector_width = native >= 16 ? 16 : native >= 8 ? 8 : 4;
    if (wished) {
        static const char *const allowed[] = {"4", "8", "16"};
        int width = 0;
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
            if (strcmp(wish, allowed[i]) == 0)
                width = atoi(wish);
        if (width == 0)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "context create: CLSEQ_VECTOR_WIDTH is \"%s\", expected 4, 8 or 16", wish);
        traits->vector_width = width;
    }
    traits->vector_registers = traits->vector_width == 16 ? 32 : 16;
    return CLSEQ_OK;
}

/* OpenCL tells the size of the largest cache alone. The cores of a CPU device are the host's. */
static int64_t first_level_cache(void)
{
#ifdef _SC_LEVEL1_DCACHE_SIZE
    const long bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE);
    return bytes > 0 ? bytes : 0;
#else
    return 0;
#endif
}

/* "RxU", blocks of rows and groups for each of the schedule team. */
static clseq_status read_team(clseq__traits *traits)
{
    const char *wish = getenv("CLSEQ_TEAM");
    char rest;
    if (wish == NULL || wish[0] == '\0')
        return CLSEQ_OK;
    if (sscanf(wish, "%4dx%4d%c", &traits->team_blocks, &traits->team_members, &rest) == 2 &&
        traits->team_blocks > 0 && traits->team_members > 0)
        return CLSEQ_OK;
    return clseq__error(
        CLSEQ_INVALID_ARGUMENT,
        "context create: CLSEQ_TEAM is \"%s\", expected RxU, blocks of rows and groups for each, as 2x4",
        CLSEQ__SHOW(wish));
}

clseq_status clseq__traits_of(const clseq_device_info *device, clseq__traits *out)
{
    *out = (clseq__traits){0};
    CLSEQ__RETURN_IF(read_shape(device, out));
    out->l1_bytes = out->is_cpu ? first_level_cache() : 0;
    return read_team(out);
}
