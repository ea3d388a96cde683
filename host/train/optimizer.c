/* Optimisers by a table of update rules; the kernels are in cl/train/optimizer.cl. */
#include "train/optimizer.h"

#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include <math.h>
#include <stdlib.h>

_Static_assert(STEP_BLOCK == CLSEQ__PARAM_ALIGN, "a block belongs to one parameter");

static void fill_sgd(const clseq_optimizer *o, float lr, step_record *r)
{
    r->rate = lr;
    r->coupled = 1.0f;
    r->beta1 = o->desc.momentum;
    r->nesterov = o->desc.nesterov;
}

/* The bias corrections are a function of the step alone: in double, since 1 - b2^t is small at first. */
static void fill_moments(const clseq_optimizer *o, float lr, step_record *r)
{
    const clseq_optimizer_desc *d = &o->desc;
    const double t = (double)o->steps + 1.0;
    const double correction1 = 1.0 - pow(d->beta1, t), correction2 = 1.0 - pow(d->beta2, t);
    r->rate = (float)(lr / correction1);
    r->correction = (float)(1.0 / sqrt(correction2));
    r->beta1 = d->beta1;
    r->rest1 = (float)(1.0 - (double)d->beta1);
    r->beta2 = d->beta2;
    r->rest2 = (float)(1.0 - (double)d->beta2);
    r->eps = d->eps;
}

static void fill_adam(const clseq_optimizer *o, float lr, step_record *r)
{
    fill_moments(o, lr, r);
    r->coupled = 1.0f;
}

static void fill_adamw(const clseq_optimizer *o, float lr, step_record *r)
{
    fill_moments(o, lr, r);
    r->decoupled = lr;
}

static const clseq__rule sgd = {"sgd", 0, {NULL}, "sgd_step", .fill = fill_sgd};

/* Adam's numbers, of both kinds. */
#define ADAM {"exp_avg", "exp_avg_sq"}, "adam_step", 0.9f, 0.999f, 1e-8f

static const clseq__rule rules[CLSEQ_OPTIMIZER_COUNT] = {
    [CLSEQ_OPTIMIZER_SGD] = {"sgd", 1, {"momentum_buffer"}, "momentum_step", .fill = fill_sgd},
    [CLSEQ_OPTIMIZER_ADAM] = {"adam", 2, ADAM, fill_adam},
    [CLSEQ_OPTIMIZER_ADAMW] = {"adamw", 2, ADAM, fill_adamw},
};

static bool is_known(clseq_optimizer_kind kind)
{
    return (unsigned)kind < CLSEQ_OPTIMIZER_COUNT;
}

clseq_optimizer_desc clseq_optimizer_desc_default(clseq_optimizer_kind kind, float lr)
{
    clseq_optimizer_desc desc = {.kind = kind, .lr = lr};
    if (is_known(kind)) {
        desc.beta1 = rules[kind].beta1;
        desc.beta2 = rules[kind].beta2;
        desc.eps = rules[kind].eps;
    }
    return desc;
}

/* low <= value < high; NaN fails. */
static clseq_status check_range(const char *name, float value, double low, double high)
{
    if (value >= low && value < high)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "optimizer create: %s is %g, expected %g <= %s < %g", name,
                        (double)value, low, name, high);
}

static clseq_status check_lr(const char *what, float lr)
{
    if (lr > 0.0f && isfinite(lr))
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: lr is %g, expected a positive number", what, (double)lr);
}

static clseq_status check_desc(const clseq_optimizer_desc *desc)
{
    if (!is_known(desc->kind))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "optimizer create: there is no optimiser of kind %d",
                            (int)desc->kind);
    if (!desc->lr_at)
        CLSEQ__RETURN_IF(check_lr("optimizer create", desc->lr));
    CLSEQ__RETURN_IF(check_range("momentum", desc->momentum, 0.0, 1.0));
    CLSEQ__RETURN_IF(check_range("beta1", desc->beta1, 0.0, 1.0));
    CLSEQ__RETURN_IF(check_range("beta2", desc->beta2, 0.0, 1.0));
    CLSEQ__RETURN_IF(check_range("eps", desc->eps, 0.0, INFINITY));
    CLSEQ__RETURN_IF(check_range("weight_decay", desc->weight_decay, 0.0, INFINITY));
    if (desc->nesterov && desc->momentum == 0.0f)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "optimizer create: nesterov is set, but momentum is 0");
    if (desc->kind != CLSEQ_OPTIMIZER_SGD && desc->momentum != 0.0f)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "optimizer create: momentum is %g, but %s takes beta1 instead",
                            (double)desc->momentum, rules[desc->kind].name);
    if (desc->kind != CLSEQ_OPTIMIZER_SGD && desc->beta2 == 0.0f && desc->eps == 0.0f)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "optimizer create: beta2 and eps are 0, expected one of them greater, as "
                            "clseq_optimizer_desc_default() makes them");
    return CLSEQ_OK;
}

clseq_status clseq_optimizer_create(clseq_params *params, const clseq_optimizer_desc *desc,
                                    clseq_optimizer **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_optimizer *o = NULL;
    CLSEQ__MAKES("optimizer create", out);
    CLSEQ__NEEDS("optimizer create", params);
    CLSEQ__NOT_NULL("optimizer create", desc);
    CLSEQ__RETURN_IF(check_desc(desc));
    CLSEQ__RETURN_IF(clseq__params_materialize(params));
    o = calloc(1, sizeof *o);
    if (!o)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "optimizer create: no memory for the optimiser");
    o->ctx = params->ctx;
    o->params = clseq__params_retain(params);
    o->desc = *desc;
    o->rule = desc->kind == CLSEQ_OPTIMIZER_SGD && desc->momentum == 0.0f ? &sgd : &rules[desc->kind];
    o->desc.groups = NULL; /* the caller's, which need not stay */
    o->desc.group_count = 0;
    CLSEQ__TRY(clseq__optimizer_take_groups(o, desc->groups, desc->group_count));
    CLSEQ__TRY(clseq__kernel_get(o->ctx, "train/", NULL, o->rule->kernel, &o->kernel));
    for (int i = 0; i < o->rule->moments; i++) {
        const size_t bytes = (size_t)params->flat * sizeof(float);
        CLSEQ__TRY(clseq__pool_get(o->ctx, bytes, "optimizer create: moments", &o->moments[i]));
        CLSEQ__TRY(clseq__fill_bytes(o->ctx, o->moments[i], 0, bytes, 0));
    }
    *out = o;
    return CLSEQ_OK;
done:
    clseq_optimizer_destroy(o);
    return clseq__made("optimizer create", status);
}

void clseq_optimizer_destroy(clseq_optimizer *optimizer)
{
    if (!optimizer)
        return;
    for (int i = 0; i < CLSEQ__MOMENTS_MAX; i++)
        clseq__pool_put(optimizer->ctx, optimizer->moments[i]);
    clseq__pool_put(optimizer->ctx, optimizer->blocks);
    free(optimizer->own);
    clseq__params_release(optimizer->params);
    free(optimizer);
}

/* One launch, of the kernel that looks up blocks where some differ from others. */
static clseq_status enqueue(clseq_optimizer *o, float lr)
{
    cl_mem blocks = NULL;
    clseq__kernel *kernel = o->kernel;
    step_record r = {.n = o->params->flat, .decay = o->desc.weight_decay};
    CLSEQ__RETURN_IF(clseq__optimizer_blocks(o, &blocks));
    if (blocks)
        kernel = o->kernel_by_block;
    o->rule->fill(o, lr, &r);
    return clseq__launch(o->ctx, kernel, clseq__grid_for(o->ctx, r.n),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(o->params->values),
                                     CLSEQ__M(o->params->grads), CLSEQ__M(o->moments[0]),
                                     CLSEQ__M(o->moments[1]), CLSEQ__M(blocks)));
}

clseq_status clseq_optimizer_step(clseq_optimizer *optimizer)
{
    float lr = 0.0f;
    CLSEQ__NEEDS("optimizer step", optimizer);
    lr = clseq_optimizer_lr(optimizer);
    /* A schedule may begin or end at 0. */
    if (!(lr >= 0.0f) || !isfinite(lr))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "optimizer step: lr_at gave %g for step %lld, expected a number of at least 0",
                            (double)lr, (long long)optimizer->steps);
    CLSEQ__RETURN_IF(enqueue(optimizer, lr));
    optimizer->steps++;
    clseq_params_touch(optimizer->params);
    return CLSEQ_OK;
}

int64_t clseq_optimizer_steps(const clseq_optimizer *optimizer)
{
    return optimizer ? optimizer->steps : 0;
}

clseq_status clseq_optimizer_set_lr(clseq_optimizer *optimizer, float lr)
{
    CLSEQ__NEEDS("optimizer set lr", optimizer);
    CLSEQ__RETURN_IF(check_lr("optimizer set lr", lr));
    optimizer->desc.lr = lr;
    optimizer->desc.lr_at = NULL;
    return CLSEQ_OK;
}

float clseq_optimizer_lr(const clseq_optimizer *optimizer)
{
    if (!optimizer)
        return NAN;
    return optimizer->desc.lr_at ? optimizer->desc.lr_at(optimizer->steps, optimizer->desc.lr_user)
                                 : optimizer->desc.lr;
}

clseq_tensor clseq__optimizer_moment(const clseq_optimizer *optimizer, int moment, const clseq_param *param)
{
    return clseq_tensor_view(optimizer->moments[moment], param->offset, CLSEQ_DTYPE_F32, param->ndim,
                             param->dims);
}

void clseq__optimizer_set_steps(clseq_optimizer *optimizer, int64_t steps)
{
    optimizer->steps = steps;
}
