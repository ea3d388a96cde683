/* Learning rates as functions of the step. */
#include <clseq/optim.h>

#include <math.h>

/* The factor of the warm-up: it grows from 0 at step 0 and is 1 from step `warmup` on. */
static double warm(const clseq_lr *lr, int64_t step)
{
    return step < lr->warmup ? (double)step / (double)lr->warmup : 1.0;
}

/* How much of the time between the warm-up and step `period` is over, 0 to 1. */
static double progress(const clseq_lr *lr, int64_t step)
{
    const int64_t warmup = lr->warmup > 0 ? lr->warmup : 0;
    if (step <= warmup)
        return 0.0;
    return step >= lr->period ? 1.0 : (double)(step - warmup) / (double)(lr->period - warmup);
}

float clseq_lr_constant(int64_t step, void *user)
{
    const clseq_lr *lr = user;
    return lr ? (float)(lr->base * warm(lr, step)) : NAN;
}

float clseq_lr_decay(int64_t step, void *user)
{
    const clseq_lr *lr = user;
    const int64_t since = lr && lr->warmup > 0 ? step - lr->warmup : step;
    const int64_t times = lr && lr->period > 0 && since > 0 ? since / lr->period : 0;
    return lr ? (float)(lr->base * warm(lr, step) * pow(lr->factor, (double)times)) : NAN;
}

float clseq_lr_linear(int64_t step, void *user)
{
    const clseq_lr *lr = user;
    return lr ? (float)(lr->base * warm(lr, step) * (1.0 + (lr->factor - 1.0) * progress(lr, step))) : NAN;
}

float clseq_lr_cosine(int64_t step, void *user)
{
    const clseq_lr *lr = user;
    double height = 0.0;
    if (!lr)
        return NAN;
    height = 0.5 * (1.0 + cos(3.141592653589793 * progress(lr, step)));
    return (float)(lr->base * warm(lr, step) * (lr->factor + (1.0 - lr->factor) * height));
}
