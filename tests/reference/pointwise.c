#include "pointwise.h"

#include <math.h>

#define UNARY(NAME, name, masked, y, f, reads, p, q) \
    [POINTWISE_##NAME] = {name, #NAME, masked, 1, {reads}, {p, q}},
#define BINARY(NAME, name, masked, y, f0, reads0, f1, reads1, p, q) \
    [POINTWISE_##NAME] = {name, #NAME, masked, 2, {reads0, reads1}, {p, q}},
const reference_pointwise_row reference_pointwise_rows[POINTWISE_COUNT] = {POINTWISE_UNARY(UNARY)
                                                                               POINTWISE_BINARY(BINARY)};

#define BOUNDS(NAME, y_error, f_error, a_least, a_most, b_least, b_most) \
    [POINTWISE_##NAME] = {y_error, f_error, {a_least, b_least}, {a_most, b_most}},
const reference_pointwise_bounds reference_pointwise_bound[POINTWISE_COUNT] = {POINTWISE_BOUNDS(BOUNDS)};

typedef reference_pointwise result;

/* y and its derivatives, each rounded as itself. */
static result plain(double y, double fa, double fb)
{
    return (result){y, {fa, fb}, fabs(y), {fabs(fa), fabs(fb)}};
}

static double logistic(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static result add(const reference_point *x)
{
    result r = plain(x->p * x->a + x->q * x->b, x->p, x->q);
    r.y_size = fabs(x->p * x->a) + fabs(x->q * x->b);
    return r;
}

static result mul(const reference_point *x)
{
    return plain(x->p * x->a * x->b, x->p * x->b, x->p * x->a);
}

static result div_(const reference_point *x)
{
    return plain(x->a / x->b, 1 / x->b, -x->a / (x->b * x->b));
}

static double below(double a, double b)
{
    return a < b ? 1 : a == b ? 0.5 : 0;
}

static result minimum(const reference_point *x)
{
    return plain(x->a < x->b || isnan(x->a) ? x->a : x->b, below(x->a, x->b), below(x->b, x->a));
}

static result maximum(const reference_point *x)
{
    return plain(x->a > x->b || isnan(x->a) ? x->a : x->b, below(x->b, x->a), below(x->a, x->b));
}

static result same(const reference_point *x)
{
    return plain(x->a == x->b || (isnan(x->a) && isnan(x->b)), 0, 0);
}

static result where(const reference_point *x)
{
    return plain(x->m ? x->a : x->b, x->m, !x->m);
}

static result masked_fill(const reference_point *x)
{
    return plain(x->m ? x->p : x->a, !x->m, 0);
}

static result add_scalar(const reference_point *x)
{
    return plain(x->a + x->p, 1, 0);
}

static result mul_scalar(const reference_point *x)
{
    return plain(x->p * x->a, x->p, 0);
}

static result div_scalar(const reference_point *x)
{
    return plain(x->a / x->p, 1 / x->p, 0);
}

static result reciprocal(const reference_point *x)
{
    return plain(1 / x->a, -1 / (x->a * x->a), 0);
}

static result exp_(const reference_point *x)
{
    return plain(exp(x->a), exp(x->a), 0);
}

static result log_(const reference_point *x)
{
    return plain(log(x->a), 1 / x->a, 0);
}

static result sqrt_(const reference_point *x)
{
    return plain(sqrt(x->a), 0.5 / sqrt(x->a), 0);
}

static result square(const reference_point *x)
{
    return plain(x->a * x->a, 2 * x->a, 0);
}

static result abs_(const reference_point *x)
{
    return plain(fabs(x->a), x->a > 0 ? 1 : x->a < 0 ? -1 : 0, 0);
}

/* The derivatives of these two are differences of numbers up to 1. */
static result tanh_(const reference_point *x)
{
    result r = plain(tanh(x->a), 1 - tanh(x->a) * tanh(x->a), 0);
    r.f_size[0] = 1;
    return r;
}

static result sigmoid(const reference_point *x)
{
    const double s = logistic(x->a);
    return (result){s, {s * logistic(-x->a)}, 1, {1}};
}

static result relu(const reference_point *x)
{
    return plain(x->a < 0 ? 0 : x->a, x->a > 0, 0);
}

/* exp(-x^2/2) is off by x^2/2 roundings of the exponent. */
static result gelu(const reference_point *x)
{
    const double share = 0.5 * erfc(-x->a * sqrt(0.5)), more = 1 + x->a * x->a / 20;
    const double density = exp(-0.5 * x->a * x->a) / sqrt(8 * atan(1));
    result r = plain(x->a * share, share + x->a * density, 0);
    r.y_size *= more;
    r.f_size[0] = more * (share + fabs(x->a) * density);
    return r;
}

/* The logistic of u is off by u times the roundings of u. */
static result gelu_tanh(const reference_point *x)
{
    const double k = sqrt(2 / (4 * atan(1))), u = 2 * k * (x->a + 0.044715 * x->a * x->a * x->a);
    const double s = logistic(u), slope = s * logistic(-u) * 2 * k * (1 + 3 * 0.044715 * x->a * x->a);
    result r = plain(x->a * s, s + x->a * slope, 0);
    r.y_size *= 1 + fabs(u) / 3;
    r.f_size[0] = (s + fabs(x->a) * slope) * (1 + fabs(u) / 4);
    return r;
}

static result silu(const reference_point *x)
{
    const double s = logistic(x->a), slope = s * logistic(-x->a);
    result r = plain(x->a * s, s + x->a * slope, 0);
    r.f_size[0] = s + fabs(x->a) * slope;
    return r;
}

static result softplus(const reference_point *x)
{
    return plain((x->a < 0 ? 0 : x->a) + log1p(exp(-fabs(x->a))), logistic(x->a), 0);
}

static result leaky_relu(const reference_point *x)
{
    return plain(x->a > 0 ? x->a : x->p * x->a, x->a > 0 ? 1 : x->p, 0);
}

static result elu(const reference_point *x)
{
    return plain(x->a > 0 ? x->a : x->p * expm1(x->a), x->a > 0 ? 1 : x->p * exp(x->a), 0);
}

static result clamp(const reference_point *x)
{
    const double y = x->a < x->p ? x->p : x->a;
    return plain(y > x->q ? x->q : y, x->a > x->p && x->a < x->q, 0);
}

static result pow_(const reference_point *x)
{
    return plain(pow(x->a, x->p), x->p == 0 ? 0 : x->p * pow(x->a, x->p - 1), 0);
}

static result (*const functions[POINTWISE_COUNT])(const reference_point *x) = {
    [POINTWISE_ADD] = add,
    [POINTWISE_MUL] = mul,
    [POINTWISE_DIV] = div_,
    [POINTWISE_MINIMUM] = minimum,
    [POINTWISE_MAXIMUM] = maximum,
    [POINTWISE_SAME] = same,
    [POINTWISE_WHERE] = where,
    [POINTWISE_MASKED_FILL] = masked_fill,
    [POINTWISE_ADD_SCALAR] = add_scalar,
    [POINTWISE_MUL_SCALAR] = mul_scalar,
    [POINTWISE_DIV_SCALAR] = div_scalar,
    [POINTWISE_RECIPROCAL] = reciprocal,
    [POINTWISE_EXP] = exp_,
    [POINTWISE_LOG] = log_,
    [POINTWISE_SQRT] = sqrt_,
    [POINTWISE_SQUARE] = square,
    [POINTWISE_ABS] = abs_,
    [POINTWISE_TANH] = tanh_,
    [POINTWISE_SIGMOID] = sigmoid,
    [POINTWISE_RELU] = relu,
    [POINTWISE_GELU] = gelu,
    [POINTWISE_GELU_TANH] = gelu_tanh,
    [POINTWISE_SILU] = silu,
    [POINTWISE_SOFTPLUS] = softplus,
    [POINTWISE_LEAKY_RELU] = leaky_relu,
    [POINTWISE_ELU] = elu,
    [POINTWISE_CLAMP] = clamp,
    [POINTWISE_POW] = pow_,
};

reference_pointwise reference_pointwise_at(int row, const reference_point *x)
{
    return functions[row](x);
}
