#include "team_trouble.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>

int team_trouble_set(clseq_context *ctx, cl_mem control, const team_trouble *next, long seen[TEAM_PROBES_END])
{
    cl_int probe[TEAM_PROBES_END];
    const size_t at = TEAM_PROBE * sizeof(cl_int);
    const int code =
        clEnqueueReadBuffer(ctx->queue, control, CL_TRUE, at, sizeof probe, probe, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        return code;
    for (int i = 0; i < TEAM_PROBES_END; i++)
        seen[i] += probe[i];
    memset(probe, 0, sizeof probe);
    probe[TEAM_FORCE_DROP] = next->drop;
    probe[TEAM_FORCE_QUIT] = next->quit;
    probe[TEAM_FORCE_LATE] = next->late;
    probe[TEAM_DELAY] = next->delay;
    return clEnqueueWriteBuffer(ctx->queue, control, CL_TRUE, at, sizeof probe, probe, 0, NULL, NULL);
}

int team_trouble_passes(int usual)
{
    const char *text = getenv("CLSEQ_TEST_TEAM_PASSES");
    return text != NULL ? atoi(text) : test_small() ? 1 : usual;
}

bool team_trouble_counts_as_race(const clseq_context *ctx)
{
    return strcmp(ctx->device.platform_name, "Oclgrind") == 0;
}
