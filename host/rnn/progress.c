/* The order of the pieces of a pass. */
#include "core/error.h"
#include "rnn/reserve.h"
#include <inttypes.h>

clseq_status clseq__progress_check_forward(const clseq__pass_progress *at, int64_t first)
{
    if (at->left < at->ran)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "rnn forward: backward has begun, with steps [%" PRId64 ",%" PRId64
                            "), expected all forward pieces before it",
                            at->left, at->ran);
    if (first != at->ran)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "rnn forward: the piece begins with step %" PRId64 ", expected step %" PRId64
                            ", the first one that has not run",
                            first, at->ran);
    return CLSEQ_OK;
}

clseq_status clseq__progress_check_backward(const clseq__pass_progress *at, int64_t first, int64_t count)
{
    if (first + count != at->left)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "rnn backward: the piece is steps [%" PRId64 ",%" PRId64
                            "), expected one that ends with step %" PRId64 ": of the %" PRId64
                            " steps that forward has run %" PRId64 " are left",
                            first, first + count, at->left - 1, at->ran, at->left);
    return CLSEQ_OK;
}

clseq_status clseq__progress_check_weights(const clseq__pass_progress *at)
{
    if (at->left > 0)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "rnn weight gradients: backward has not run steps [0,%" PRId64
                            "), expected all %" PRId64 " that forward has run",
                            at->left, at->ran);
    return CLSEQ_OK;
}
