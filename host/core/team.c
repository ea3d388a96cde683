#include "core/team.h"

#include "cl/core/team_control.h"
#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"

clseq_status clseq__team_control_create(clseq_context *ctx, int blocks, int members, const char *what,
                                        cl_mem *control)
{
    const size_t bytes = sizeof(cl_int) * TEAM_WORDS((size_t)blocks, (size_t)members);
    *control = NULL;
    CLSEQ__RETURN_IF(clseq__pool_get(ctx, bytes, what, control));
    const clseq_status status = clseq__fill_bytes(ctx, *control, 0, bytes, 0);
    if (status != CLSEQ_OK) {
        clseq__pool_put(ctx, *control);
        *control = NULL;
    }
    return status;
}

size_t clseq__team_groups(int blocks, int members)
{
    const size_t most = (size_t)blocks * (size_t)members;
    return members > 1 ? 2 * most : most;
}
