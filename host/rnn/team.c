/* The schedule team: its kernels and its layout. team.h tells how it works. */
#include "rnn/team.h"
#include "core/error.h"
#include "core/pool.h"
#include "core/team.h"
#include "rnn/floats.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool applicable(const clseq_context *ctx, const char **why)
{
    *why = ctx->traits.is_cpu ? "the device is a CPU" : "the device is not a CPU";
    return ctx->traits.is_cpu;
}

static clseq_status create(const clseq__rnn_layer *layer, void **data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = layer->ctx;
    clseq__team *team = calloc(1, sizeof *team);
    if (!team)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    team->ctx = ctx;
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_pack.cl", NULL, "team_pack", &team->pack));
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_weights.cl", NULL, "team_weights", &team->weights));
    *data = team;
    team = NULL;
done:
    free(team);
    return status;
}

static void destroy(void *data)
{
    clseq__team *team = data;
    if (team && team->control)
        clseq__pool_put(team->ctx, team->control);
    free(team);
}

/*
 * Products pass W in blocks that stay in the first-level cache, where that has room for one beside all else; in 32 KiB they cost
 * up to 3 % (AMD Zen 4, H = 650).
 */
#define ROOM_FOR_BLOCKS 49152

clseq_status clseq__team_prepare(const clseq__rnn_layer *layer, clseq__team *team, clseq__team_grid grid,
                                 bool backward)
{
    const int t = grid.members > 1;
    clseq__kernel **kernel = backward ? &team->backward[t] : &team->forward[t];
    const int64_t l1_bytes = layer->ctx->traits.l1_bytes;
    const bool too_small = l1_bytes > 0 && l1_bytes < ROOM_FOR_BLOCKS;
    char options[CLSEQ__CELL_OPTIONS + 24];
    if (!*kernel) {
        snprintf(options, sizeof options, "%s -DTEAM=%d%s", layer->options, t,
                 too_small ? " -DW_BYTES=0" : "");
        CLSEQ__RETURN_IF(clseq__kernel_get(layer->ctx,
                                           backward ? "rnn/team_backward.cl" : "rnn/team_forward.cl", options,
                                           backward ? "team_backward" : "team_forward", kernel));
    }
    grid.blocks *= layer->directions;
    if (!t || (team->control && grid.blocks <= team->grid.blocks && grid.members <= team->grid.members))
        return CLSEQ_OK;
    if (team->control)
        clseq__pool_put(layer->ctx, team->control);
    team->control = NULL;
    team->grid.blocks = (int)clseq__larger(grid.blocks, team->grid.blocks);
    team->grid.members = (int)clseq__larger(grid.members, team->grid.members);
    return clseq__team_control_create(layer->ctx, team->grid.blocks, team->grid.members, "rnn team",
                                      &team->control);
}

static void sizes(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__layer_sizes *out)
{
    const clseq__team_layout at = clseq__team_layout_of(layer, shape);
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    *out = (clseq__layer_sizes){.packed_forward = at.packed.end,
                                .packed_backward = training ? at.packed.back_end : 0,
                                .reserve = training ? at.kept_end : 0,
                                .workspace = at.workspace_end,
                                .chain = training ? 0 : at.chain_end,
                                .dchain = training ? at.dchain_end : 0,
                                /* Both directions have a launch; what the second one adds to the rows of the
                                 * first is another. */
                                .launches_forward = !layer->is_second || layer->is_summed ? 1 : 0,
                                .launches_backward = 2};
}

static clseq__place output(const clseq__layer_pass *pass)
{
    if (pass->shape.mode == CLSEQ_MODE_INFERENCE)
        return pass->chain;
    return (clseq__place){pass->reserve.buffer,
                          pass->reserve.at + clseq__team_layout_of(pass->layer, &pass->shape).kept.h.at};
}

static void describe(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, char *text, size_t size)
{
    const clseq_context *ctx = layer->ctx;
    const clseq__team_layout at = clseq__team_layout_of(layer, shape);
    const int rows = (int)at.rows;
    const clseq__team_work work = clseq__team_work_of(layer, shape);
    const clseq__team_cost cost = clseq__team_cost_of(&ctx->traits, &work, at.grid);
    const bool two = layer->directions == 2;
    snprintf(text, size,
             "one launch forward%s; backward one for all steps%s and one for the weights' gradients%s\n"
             "%d block%s of at most %d batch rows%s, %d work-group%s each (%s)\n"
             "estimate of a step: %.2f us (products %.2f, input %.2f, units %.2f, meeting %.2f); "
             "%.0f KiB of weights a group, %s the second-level cache\n"
             "%" PRId64 " chunks of %d steps, %d rows; vectors of %d floats in %d registers, "
             "tiles of %d rows and %d vectors\n",
             two ? " of both directions" : "", two ? " of both" : "", two ? " of each" : "", at.sizes.blocks,
             at.sizes.blocks == 1 ? "" : "s", rows, two ? " a direction" : "", at.grid.members,
             at.grid.members == 1 ? "" : "s", ctx->traits.team_blocks ? "CLSEQ_TEAM" : "the least estimate",
             cost.total * 1e-3, cost.products * 1e-3, cost.input * 1e-3, cost.units * 1e-3,
             cost.meeting * 1e-3, cost.bytes / 1024, cost.in_l2 ? "in" : "beyond", at.chunks, at.sizes.tc,
             at.sizes.tc * rows, ctx->traits.vector_width, ctx->traits.vector_registers, cost.tile_rows,
             cost.tile_vectors);
}

const clseq__rnn_schedule clseq__rnn_team = {.id = CLSEQ_SCHEDULE_TEAM,
                                             .looks_up = true,
                                             .copies_x = true,
                                             .applicable = applicable,
                                             .create = create,
                                             .destroy = destroy,
                                             .sizes = sizes,
                                             .output = output,
                                             .pack = clseq__team_pack,
                                             .forward = clseq__team_forward,
                                             .backward = clseq__team_backward,
                                             .weights = clseq__team_weights,
                                             .describe = describe};
