/* What kernels and schedules go by of a device: asked once, when a context is made. */
#ifndef CLSEQ_CORE_TRAITS_H
#define CLSEQ_CORE_TRAITS_H

#include <clseq/device.h>
#include <stdbool.h>

typedef struct clseq__traits {
    bool is_cpu;          /* CPU-shaped kernels are taken */
    int groups;           /* work-groups that run at once in CPU-shaped kernels: the compute units */
    int vector_width;     /* floats a vector in CPU-shaped kernels: 4, 8 or 16 */
    int vector_registers; /* how many such registers there are: 16, or 32 with 16 floats */
    int64_t l1_bytes;     /* of a core's first-level data cache; 0: not known */
    /* What CLSEQ_TEAM says: blocks of rows and groups a block; 0: nothing. */
    int team_blocks, team_members;
    int team_groups; /* that a team's launch has; 0: as many as clseq__team_groups says. Set by tests */
} clseq__traits;

/* Of a device, and of the environment variables that overrule it. */
clseq_status clseq__traits_of(const clseq_device_info *device, clseq__traits *out);

#endif
