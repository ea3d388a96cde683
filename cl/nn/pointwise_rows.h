/*
 * Operations element by element, one row each, for cl/nn/pointwise.cl, host/nn/pointwise.c and the tests: C and OpenCL C.
 *
 *     M(NAME, name, masked, y, f, reads, p, q)                      of one float input, a
 *     M(NAME, name, masked, y, f0, reads0, f1, reads1, p, q)        of two, a and b
 *
 * y is an expression of the inputs, of the parameters p and q and, where the row is masked, of the mask m, an i32 input
 * that stands in front of the others. f are the local derivatives: da = dy * f0, db = dy * f1; reads says what of a, b, m
 * and y they are made of. All of these are V of core/vector.clh, m is VI; a constant is (V)(1.0f). p and q at the end are
 * what a call without parameters gets.
 *
 * A row needs its errors in POINTWISE_BOUNDS and its reference in tests/reference/pointwise.c; then every test of the
 * family runs it.
 */
#ifndef NN_POINTWISE_ROWS_H
#define NN_POINTWISE_ROWS_H

/* What a derivative is made of. */
#define POINTWISE_A 1
#define POINTWISE_B 2
#define POINTWISE_M 4
#define POINTWISE_Y 8

#define POINTWISE_UNARY(M)                                                                              \
    M(ADD_SCALAR, "add scalar", 0, a + p, (V)(1.0f), 0, 0, 0)                                           \
    M(MUL_SCALAR, "mul scalar", 0, scaled(a, p), p, 0, 1, 0)                                            \
    M(DIV_SCALAR, "div scalar", 0, a / p, 1.0f / p, 0, 1, 0)                                            \
    M(RECIPROCAL, "reciprocal", 0, 1.0f / a, -scaled(y, y), POINTWISE_Y, 0, 0)                          \
    M(EXP, "exp", 0, full_exp(a), y, POINTWISE_Y, 0, 0)                                                 \
    M(LOG, "log", 0, log(a), 1.0f / a, POINTWISE_A, 0, 0)                                               \
    M(SQRT, "sqrt", 0, sqrt(a), 0.5f / y, POINTWISE_Y, 0, 0)                                            \
    M(SQUARE, "square", 0, scaled(a, a), 2.0f * a, POINTWISE_A, 0, 0)                                   \
    M(ABS, "abs", 0, fabs(a), sign_of(a), POINTWISE_A, 0, 0)                                            \
    M(TANH, "tanh", 0, clseq_tanh(a), clseq_dtanh(y), POINTWISE_Y, 0, 0)                                \
    M(SIGMOID, "sigmoid", 0, clseq_sigmoid(a), clseq_dsigmoid(y), POINTWISE_Y, 0, 0)                    \
    M(RELU, "relu", 0, relu(a), drelu(y), POINTWISE_Y, 0, 0)                                            \
    M(GELU, "gelu", 0, scaled(a, normal_share(a)), dgelu(a), POINTWISE_A, 0, 0)                         \
    M(GELU_TANH, "gelu tanh", 0, scaled(a, logistic(gelu_bend(a))), dgelu_tanh(a), POINTWISE_A, 0, 0)   \
    M(SILU, "silu", 0, scaled(a, logistic(a)), dsilu(a), POINTWISE_A, 0, 0)                             \
    M(SOFTPLUS, "softplus", 0, softplus(a), logistic(a), POINTWISE_A, 0, 0)                             \
    M(LEAKY_RELU, "leaky relu", 0, a > (V)(0.0f) ? a : p * a, step_of(a, p), POINTWISE_A, 0.01f, 0)     \
    M(ELU, "elu", 0, a > (V)(0.0f) ? a : p * expm1(a), step_of(a, p * clseq_exp(a)), POINTWISE_A, 1, 0) \
    M(CLAMP, "clamp", 0, clamped(a, p, q), dclamped(a, p, q), POINTWISE_A, -INFINITY, INFINITY)         \
    M(POW, "pow", 0, pow(a, p), dpow(a, p), POINTWISE_A, 1, 0)                                          \
    M(MASKED_FILL, "masked fill", 1, m != (VI)(0) ? p : a, chosen(m, 0.0f, 1.0f), POINTWISE_M, 0, 0)

#define POINTWISE_BINARY(M)                                                                                \
    M(ADD, "add", 0, fma(q, b, scaled(a, p)), p, 0, q, 0, 1, 1)                                            \
    M(MUL, "mul", 0, scaled(a, scaled(b, p)), scaled(b, p), POINTWISE_B, scaled(a, p), POINTWISE_A, 1, 0)  \
    M(DIV, "div", 0, a / b, 1.0f / b, POINTWISE_B, -y / b, POINTWISE_B | POINTWISE_Y, 0, 0)                \
    M(MINIMUM, "minimum", 0, least(a, b), share_below(a, b), POINTWISE_A | POINTWISE_B, share_below(b, a), \
      POINTWISE_A | POINTWISE_B, 0, 0)                                                                     \
    M(MAXIMUM, "maximum", 0, most(a, b), share_below(b, a), POINTWISE_A | POINTWISE_B, share_below(a, b),  \
      POINTWISE_A | POINTWISE_B, 0, 0)                                                                     \
    M(SAME, "same", 0, same(a, b), (V)(0.0f), 0, (V)(0.0f), 0, 0, 0)                                       \
    M(WHERE, "where", 1, m != (VI)(0) ? a : b, chosen(m, 1.0f, 0.0f), POINTWISE_M, chosen(m, 0.0f, 1.0f),  \
      POINTWISE_M, 0, 0)

#define POINTWISE_ENUMERATOR(NAME, ...) POINTWISE_##NAME,
enum { POINTWISE_UNARY(POINTWISE_ENUMERATOR) POINTWISE_BINARY(POINTWISE_ENUMERATOR) POINTWISE_COUNT };

/* Rows whose loops are compiled on their own as well, as they are in every model. */
#define POINTWISE_FAST(M) M(ADD) M(MUL)

/*
 *     M(NAME, y_error, f_error, a_least, a_most, b_least, b_most)
 *
 * The errors of y and of a gradient are multiples of 2^-24 of a size that the reference knows: of the result, or of the
 * largest thing that was rounded on the way. They add up the roundings of the expression and what OpenCL lets its functions
 * be off: a division 5 of 2^-24, sqrt, log and expm1 6, log1p 4, pow 32; exp.clh and gates.clh tell theirs. They hold, and
 * tests draw, where a and b lie within their least and most.
 */
#define POINTWISE_BOUNDS(M)            \
    M(ADD_SCALAR, 1, 1, -8, 8, 0, 0)   \
    M(MUL_SCALAR, 1, 1, -8, 8, 0, 0)   \
    M(DIV_SCALAR, 5, 6, -8, 8, 0, 0)   \
    M(RECIPROCAL, 5, 4, 0.25, 8, 0, 0) \
    M(EXP, 4, 2, -87, 87.9, 0, 0)      \
    M(LOG, 6, 6, 0.001, 1000, 0, 0)    \
    M(SQRT, 6, 7, 0.001, 1000, 0, 0)   \
    M(SQUARE, 1, 1, -8, 8, 0, 0)       \
    M(ABS, 0, 1, -8, 8, 0, 0)          \
    M(TANH, 11, 4, -20, 20, 0, 0)      \
    M(SIGMOID, 7, 3, -40, 40, 0, 0)    \
    M(RELU, 0, 1, -8, 8, 0, 0)         \
    M(GELU, 16, 18, -12, 12, 0, 0)     \
    M(GELU_TANH, 16, 28, -9, 9, 0, 0)  \
    M(SILU, 11, 20, -40, 40, 0, 0)     \
    M(SOFTPLUS, 8, 11, -40, 40, 0, 0)  \
    M(LEAKY_RELU, 1, 1, -8, 8, 0, 0)   \
    M(ELU, 7, 4, -40, 40, 0, 0)        \
    M(CLAMP, 0, 1, -8, 8, 0, 0)        \
    M(POW, 32, 40, 0.05, 20, 0, 0)     \
    M(MASKED_FILL, 0, 1, -8, 8, 0, 0)  \
    M(ADD, 2, 1, -8, 8, -8, 8)         \
    M(MUL, 2, 2, -8, 8, -8, 8)         \
    M(DIV, 5, 7, -8, 8, 0.25, 8)       \
    M(MINIMUM, 0, 1, -8, 8, -8, 8)     \
    M(MAXIMUM, 0, 1, -8, 8, -8, 8)     \
    M(SAME, 0, 0, -8, 8, -8, 8)        \
    M(WHERE, 0, 1, -8, 8, -8, 8)

#endif
