/* Where calls keep what. */
#include "attention/pass.h"
#include "rnn/floats.h"

/* Integers have places among floats. */
_Static_assert(sizeof(cl_int) == sizeof(cl_float), "an integer is as large as a float");

static void place_memory(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                         clseq__attention_places *at)
{
    const int64_t keys = shape->B * shape->S;
    int64_t end = 0;
    at->keys = clseq__take(&end, keys * plan->units_row);
    /* Keys that are not projected are the values as well. */
    at->values = plan->values_are_keys && !plan->kind->projects_keys
                     ? at->keys
                     : clseq__take(&end, keys * plan->value_row);
    at->vector = clseq__take(&end, plan->units_row);
    at->counts = clseq__take(&end, keys);
    at->lengths = clseq__take(&end, shape->B);
    at->memory_end = end;
}

static void place_kept(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                       clseq__attention_places *at)
{
    const int64_t queries = shape->T * shape->B, located = plan->desc.location_channels > 0;
    int64_t end = 0;
    at->queries = clseq__take(&end, queries * plan->query_row);
    at->projected = plan->kind->projects_queries ? clseq__take(&end, queries * plan->units_row) : at->queries;
    at->alignment = clseq__take(&end, queries * shape->S);
    at->hidden = clseq__take(&end, queries * plan->centre_row);
    at->centres = clseq__take(&end, queries);
    at->before = clseq__take(&end, located * (shape->T + 1) * shape->B * shape->S);
    at->kept_end = end;
}

static void place_gathered(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                           clseq__attention_places *at)
{
    const int64_t queries = shape->T * shape->B, channels = plan->desc.location_channels;
    int64_t end = at->kept_end;
    at->dcontext = clseq__take(&end, queries * plan->value_row);
    at->dprojected = clseq__take(&end, queries * plan->units_row);
    at->dkeys = clseq__take(&end, shape->B * shape->S * plan->units_row);
    at->dvector = clseq__take(&end, shape->B * plan->units_row);
    at->dcentring = clseq__take(&end, shape->B * plan->centre_row);
    at->dbefore = clseq__take(&end, (channels > 0) * shape->B * shape->S);
    at->dfilter = clseq__take(&end, channels * plan->desc.location_width);
    at->dlocation = clseq__take(&end, channels * plan->units);
    at->reserve_end = end;
}

static void place_scratch(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                          clseq__attention_places *at)
{
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const int64_t keys = shape->B * shape->S, channels = plan->desc.location_channels, located = channels > 0;
    int64_t end = training ? 0 : at->kept_end;
    at->near = clseq__take(&end, located * keys * plan->units_row);
    at->features = clseq__take(&end, keys * channels);
    if (training) {
        at->dscores = clseq__take(&end, shape->T * keys);
        at->dnear = clseq__take(&end, located * keys * plan->units_row);
        at->dfeatures = clseq__take(&end, keys * channels);
        at->copied = clseq__take(&end, keys * plan->key_row);
        at->dnormal = clseq__take(&end, plan->units_row);
    }
    at->scratch_end = clseq__larger(end, CLSEQ__ALIGNED);
}

void clseq__attention_place(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                            clseq__attention_places *out)
{
    *out = (clseq__attention_places){.keys = 0};
    place_memory(plan, shape, out);
    place_kept(plan, shape, out);
    place_gathered(plan, shape, out);
    place_scratch(plan, shape, out);
}
