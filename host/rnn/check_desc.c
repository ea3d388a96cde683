/* What can be wrong with a descriptor. */
#include "core/error.h"
#include "rnn/check.h"
#include <float.h>
#include <inttypes.h>
#include <stdio.h>

clseq_status clseq__rnn_check_range(const char *call, const char *name, int64_t value)
{
    if (value < 1 || value > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is %" PRId64 ", expected 1 to %d", call, name,
                            value, INT32_MAX);
    return CLSEQ_OK;
}

static int64_t hidden_of(const clseq_rnn_desc *desc, int64_t l)
{
    return desc->widths ? desc->widths[l] : desc->hidden;
}

/* Features that a layer puts out in one direction, and in all together. */
static int64_t output_of(const clseq_rnn_desc *desc, int64_t l)
{
    return desc->projection ? desc->projection : hidden_of(desc, l);
}

static int64_t features_of(const clseq_rnn_desc *desc, int64_t l)
{
    const bool both = desc->direction == CLSEQ_DIRECTION_BIDIRECTIONAL && desc->merge == CLSEQ_MERGE_CONCAT;
    return (both ? 2 : 1) * output_of(desc, l);
}

/* Enumerations, each with the last of its values. */
static clseq_status check_enums(const clseq_rnn_desc *desc)
{
    const struct {
        const char *name, *type;
        int value, last;
    } enums[] = {{"bias", "clseq_bias", (int)desc->bias, CLSEQ_BIAS_NONE},
                 {"direction", "clseq_direction", (int)desc->direction, CLSEQ_DIRECTION_BIDIRECTIONAL},
                 {"merge", "clseq_merge", (int)desc->merge, CLSEQ_MERGE_SUM},
                 {"schedule", "clseq_schedule", (int)desc->schedule, CLSEQ_SCHEDULE_GEMM_STEP}};
    for (size_t i = 0; i < sizeof enums / sizeof enums[0]; i++)
        if (enums[i].value < 0 || enums[i].value > enums[i].last)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn plan: %s is %d, which is no %s", enums[i].name,
                                enums[i].value, enums[i].type);
    return CLSEQ_OK;
}

/* Options that not every cell has. */
static clseq_status check_options(const clseq_rnn_desc *desc, const clseq__cell *cell)
{
    if (desc->layer_norm && !clseq__cell_of(desc->cell, true))
        return clseq__error(
            CLSEQ_UNSUPPORTED,
            "rnn plan: layer_norm is set, but the cell %s has no form with layer normalisation",
            clseq_cell_name(desc->cell));
    if (desc->projection && cell->carries_h)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "rnn plan: projection is %" PRId64
                            ", but a unit of the cell %s carries its own h on, expected 0",
                            desc->projection, clseq_cell_name(desc->cell));
    return CLSEQ_OK;
}

/* Probabilities, each with what it is of: of c, which not every cell has, or of anything. */
static clseq_status check_probabilities(const clseq_rnn_desc *desc, const clseq__cell *cell)
{
    const struct {
        const char *name;
        float p;
        bool of_c;
    } all[] = {{"dropout", desc->dropout, false},
               {"zoneout_h", desc->zoneout_h, false},
               {"zoneout_c", desc->zoneout_c, true},
               {"recurrent_dropout", desc->recurrent_dropout, false}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!(all[i].p >= 0.0f && all[i].p < 1.0f))
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "rnn plan: %s is %g, expected at least 0 and less than 1", all[i].name,
                                (double)all[i].p);
        if (all[i].p > 0 && all[i].of_c && cell->states < 2)
            return clseq__error(CLSEQ_UNSUPPORTED, "rnn plan: %s is %g, but the cell %s has no c, expected 0",
                                all[i].name, (double)all[i].p, clseq_cell_name(desc->cell));
    }
    if (desc->variational_dropout && desc->dropout == 0.0f)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn plan: variational_dropout is set, but dropout is 0, expected more");
    if (desc->zoneout_h > 0 && desc->projection)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "rnn plan: zoneout_h is %g, but h is projected, to %" PRId64
                            ", expected 0, or no projection",
                            (double)desc->zoneout_h, desc->projection);
    return CLSEQ_OK;
}

static clseq_status check_clip(const clseq_rnn_desc *desc, const clseq__cell *cell)
{
    if (!(desc->cell_clip >= 0 && desc->cell_clip <= FLT_MAX))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn plan: cell_clip is %g, expected 0 (none) or a finite number above it",
                            (double)desc->cell_clip);
    if (desc->cell_clip > 0 && !cell->clips_c)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "rnn plan: cell_clip is %g, but the cell %s has no c to clip, expected 0",
                            (double)desc->cell_clip, clseq_cell_name(desc->cell));
    return CLSEQ_OK;
}

static clseq_status check_layer(const clseq_rnn_desc *desc, const clseq__cell *cell, int64_t l)
{
    const int64_t in = l == 0 ? desc->input : features_of(desc, l - 1), hidden = hidden_of(desc, l);
    const int64_t columns = in > output_of(desc, l) ? in : output_of(desc, l);
    char name[32] = "hidden";
    if (desc->widths)
        snprintf(name, sizeof name, "widths[%" PRId64 "]", l);
    CLSEQ__RETURN_IF(clseq__rnn_check_range("rnn plan", name, hidden));
    if (desc->projection < 0 || desc->projection > hidden)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn plan: projection is %" PRId64
                            ", expected 0 (none) or 1 to %s, which is %" PRId64,
                            desc->projection, name, hidden);
    if (desc->residual && l > 0 && features_of(desc, l) != in)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn plan: residual is set, but layer %" PRId64 " reads %" PRId64
                            " features and puts out %" PRId64 ", expected as many",
                            l, in, features_of(desc, l));
    if ((double)cell->slots * (double)hidden * (double)columns > CLSEQ__STEP_LIMIT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn plan: input %" PRId64 " and hidden %" PRId64 " of layer %" PRId64
                            " make a weight matrix of 2^31 elements or more",
                            in, hidden, l);
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_desc(const clseq_rnn_desc *desc)
{
    CLSEQ__NOT_NULL("rnn plan", desc);
    const clseq__cell *cell = clseq__cell_of(desc->cell, false);
    if (!cell)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn plan: cell is %d, expected 0 to %d", (int)desc->cell,
                            (int)CLSEQ_CELL_COUNT - 1);
    CLSEQ__RETURN_IF(check_enums(desc));
    CLSEQ__RETURN_IF(check_options(desc, cell));
    CLSEQ__RETURN_IF(check_probabilities(desc, cell));
    CLSEQ__RETURN_IF(check_clip(desc, cell));
    CLSEQ__RETURN_IF(clseq__rnn_check_range("rnn plan", "input", desc->input));
    if (desc->layers != 0)
        CLSEQ__RETURN_IF(clseq__rnn_check_range("rnn plan", "layers", desc->layers));
    /* Without widths of their own, the layers from the second on are alike. */
    const int64_t layers = desc->layers ? desc->layers : 1, kinds = desc->widths || layers < 2 ? layers : 2;
    for (int64_t l = 0; l < kinds; l++)
        CLSEQ__RETURN_IF(check_layer(desc, clseq__cell_of(desc->cell, desc->layer_norm), l));
    return CLSEQ_OK;
}
