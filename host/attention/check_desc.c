/* What can be wrong with a descriptor. */
#include "attention/check.h"
#include "core/error.h"
#include <float.h>
#include <inttypes.h>

static clseq_status check_enums(const clseq_attention_desc *desc)
{
    if ((int)desc->score < 0 || desc->score >= CLSEQ_ATTENTION_SCORE_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "attention plan: score is %d, which is no clseq_attention_score",
                            (int)desc->score);
    if ((int)desc->window < 0 || desc->window >= CLSEQ_ATTENTION_WINDOW_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "attention plan: window is %d, which is no clseq_attention_window",
                            (int)desc->window);
    return CLSEQ_OK;
}

/* Options, each with whether it is set and whether the score or the window has it. */
static clseq_status check_options(const clseq_attention_desc *desc)
{
    const bool additive = desc->score == CLSEQ_ATTENTION_SCORE_ADDITIVE,
               located = desc->location_channels != 0;
    const bool predicted = desc->window == CLSEQ_ATTENTION_WINDOW_PREDICTED;
    const char *score = clseq_attention_score_name(desc->score),
               *window = clseq_attention_window_name(desc->window);
    const struct {
        const char *name;
        bool is_set, is_there;
        const char *of, *which;
    } options[] = {
        {"units", desc->units != 0, clseq__attention_kind_of(desc->score)->has_units, "score ", score},
        {"bias", desc->bias, additive, "score ", score},
        {"normalise", desc->normalise, additive, "score ", score},
        {"location_channels", located, additive, "score ", score},
        {"window_radius", desc->window_radius != 0, desc->window != CLSEQ_ATTENTION_WINDOW_GLOBAL, "window ",
         window},
        {"window_rate", desc->window_rate != 0, desc->window == CLSEQ_ATTENTION_WINDOW_MONOTONIC, "window ",
         window},
        {"window_units", desc->window_units != 0, predicted, "window ", window},
        {"location_width", desc->location_width != 0, located, "location_channels ", "0"},
        {"location_sums", desc->location_sums, located, "location_channels ", "0"},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].is_set && !options[i].is_there)
            return clseq__error(CLSEQ_UNSUPPORTED, "attention plan: %s is set, which does not go with %s%s",
                                options[i].name, options[i].of, options[i].which);
    return CLSEQ_OK;
}

static clseq_status check_window(const clseq_attention_desc *desc)
{
    if (desc->window != CLSEQ_ATTENTION_WINDOW_GLOBAL)
        CLSEQ__RETURN_IF(
            clseq__attention_check_range("attention plan", "window_radius", desc->window_radius));
    if (!(desc->window_rate >= 0 && desc->window_rate <= FLT_MAX))
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "attention plan: window_rate is %g, expected 0 (one key a query) or a finite number above it",
            (double)desc->window_rate);
    if (desc->window_units != 0)
        CLSEQ__RETURN_IF(clseq__attention_check_range("attention plan", "window_units", desc->window_units));
    return CLSEQ_OK;
}

static clseq_status check_location(const clseq_attention_desc *desc)
{
    if (desc->location_channels == 0)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(
        clseq__attention_check_range("attention plan", "location_channels", desc->location_channels));
    CLSEQ__RETURN_IF(clseq__attention_check_range("attention plan", "location_width", desc->location_width));
    if (desc->location_width % 2 == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "attention plan: location_width is %" PRId64 ", expected an odd number",
                            desc->location_width);
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_desc(const clseq_attention_desc *desc)
{
    CLSEQ__NOT_NULL("attention plan", desc);
    CLSEQ__RETURN_IF(check_enums(desc));
    CLSEQ__RETURN_IF(clseq__attention_check_range("attention plan", "query", desc->query));
    CLSEQ__RETURN_IF(clseq__attention_check_range("attention plan", "key", desc->key));
    if (desc->value != 0)
        CLSEQ__RETURN_IF(clseq__attention_check_range("attention plan", "value", desc->value));
    CLSEQ__RETURN_IF(check_options(desc));
    if (clseq__attention_kind_of(desc->score)->has_units)
        CLSEQ__RETURN_IF(clseq__attention_check_range("attention plan", "units", desc->units));
    if (desc->score == CLSEQ_ATTENTION_SCORE_DOT && desc->query != desc->key)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "attention plan: query is %" PRId64 " and key is %" PRId64
                            ", expected as many: the score is their product",
                            desc->query, desc->key);
    CLSEQ__RETURN_IF(check_window(desc));
    return check_location(desc);
}
