/* What can be wrong with pieces of a pass, and with the time that a pass draws from. */
#include "core/error.h"
#include "rnn/check.h"
#include "rnn/draws.h"
#include <inttypes.h>

clseq_status clseq__rnn_check_pieces(const char *call, const clseq_rnn_plan *plan,
                                     const clseq_rnn_shape *shape)
{
    if (!shape->in_pieces)
        return CLSEQ_OK;
    if (shape->mode != CLSEQ_MODE_TRAINING)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "%s: in_pieces is for training: in inference each piece is a pass of its own",
                            call);
    if (plan->desc.direction != CLSEQ_DIRECTION_FORWARD)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "%s: in_pieces is for layers in forward direction, this one %s", call,
                            plan->directions == 2 ? "has two" : "runs in reverse");
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_part(const char *call, const clseq_rnn_shape *shape, int64_t first,
                                   int64_t count, const clseq_tensor *lengths)
{
    if (!shape->in_pieces && (first != 0 || count != 0))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: first is %" PRId64 " and count %" PRId64
                            ", expected 0 for a shape that is not in_pieces",
                            call, first, count);
    if (!shape->in_pieces)
        return CLSEQ_OK;
    if (first < 0 || count < 1 || first > shape->T - count)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: first is %" PRId64 " and count %" PRId64
                            ", expected steps of 0..T-1 = 0..%" PRId64,
                            call, first, count, shape->T - 1);
    if (lengths->buffer)
        return clseq__error(CLSEQ_UNSUPPORTED, "%s: lengths are not for a pass in pieces", call);
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_time(const char *call, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                   int64_t time)
{
    int64_t widest = 0;
    if (shape->mode != CLSEQ_MODE_TRAINING || !clseq__rnn_draws(&plan->desc))
        return CLSEQ_OK;
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        const int64_t H = clseq__rnn_layer_at(plan, l, 0)->hidden, F = clseq__rnn_features(plan, l);
        widest = H > widest ? H : widest;
        widest = F > widest ? F : widest;
    }
    const int64_t most = (int64_t)CLSEQ__STEP_LIMIT / (shape->B * widest) - shape->T;
    if (time < 0 || time > most)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: time is %" PRId64 ", expected 0..%" PRId64
                            ", for which there are random numbers",
                            call, time, most);
    return CLSEQ_OK;
}
