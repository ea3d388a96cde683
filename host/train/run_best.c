/* The best checkpoint of a run. */
#include "train/run.h"

clseq_status clseq__run_judge(clseq_run *run, double validation, bool *better)
{
    clseq_progress *done = &run->done;
    *better = done->best_step == 0 || validation < done->best_loss;
    if (!*better)
        return CLSEQ_OK;
    done->best_loss = validation;
    done->best_step = done->steps;
    return run->best ? clseq__run_save(run, run->best) : CLSEQ_OK;
}

clseq_status clseq_run_load_best(clseq_run *run)
{
    bool own = false;
    CLSEQ__NEEDS("run load best", run);
    if (run->phase != CLSEQ__RUN_BEGUN && run->phase != CLSEQ__RUN_FINISHED)
        return clseq__error(CLSEQ_INVALID_STATE, "run load best: the run has %s",
                            run->phase == CLSEQ__RUN_FAILED ? "failed" : "not begun");
    const clseq_progress *done = &run->done;
    const clseq_checkpoint parameters = {.params = run->contents.params};
    if (!run->best || done->best_step == 0 || done->best_step == done->steps)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__run_best_is_own(run, &own));
    if (own && clseq_checkpoint_load(run->best, &parameters) == CLSEQ_OK)
        clseq__run_say(run, "back to step %lld, which had the lowest validation loss (%.4f)\n",
                       (long long)done->best_step, done->best_loss);
    else
        clseq__run_say(run, "%s is missing or of another run: the last step is used instead\n", run->best);
    return CLSEQ_OK;
}
