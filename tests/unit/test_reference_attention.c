/* The reference of attention: every gradient is the central difference of a random functional of all outputs. */
#include "../reference/attention_case.h"
#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

typedef struct functional {
    attention_case *c;
    double *out[ATTENTION_PLACES];
} functional;

/* The sum of contexts and alignments times their gradients. */
static double value(void *context)
{
    const functional *f = context;
    double sum = 0;
    reference_attention_run(&f->c->a, f->c->in, f->out, false);
    for (int place = ATTENTION_DCONTEXT; place <= ATTENTION_DALIGNMENT; place++)
        for (size_t i = 0; i < f->c->n[place]; i++)
            sum += f->out[place][i] * f->c->in[place][i];
    return sum;
}

static void check(const attention_variant *variant, const attention_shape *shape, attention_rows_kind rows)
{
    functional f = {.c = attention_case_create(variant, shape, rows, 7)};
    for (int place = 0; place < ATTENTION_PLACES; place++)
        f.out[place] = test_doubles(f.c->n[place]);
    for (int place = 0; place < ATTENTION_PLACES; place++) {
        if (place >= ATTENTION_INITIAL && place <= ATTENTION_DALIGNMENT)
            continue;
        for (size_t i = 0; i < f.c->n[place]; i++) {
            const double got = f.c->want[place][i], want = test_derivative(value, &f, &f.c->in[place][i]);
            cr_assert(fabs(got - want) <= TEST_DERIVATIVE_BOUND(want),
                      "%s, rows %d: %s[%zu] is %.12g, expected %.12g", variant->name, (int)rows,
                      attention_output_name(place), i, got, want);
        }
    }
    for (int place = 0; place < ATTENTION_PLACES; place++)
        free(f.out[place]);
    attention_case_destroy(f.c);
}

Test(reference_attention, gradients_are_central_differences)
{
    for (int i = 0; i < attention_variant_count; i++)
        for (int k = 0; k < attention_small_count; k++)
            for (attention_rows_kind rows = 0; rows < ATTENTION_ROWS_KINDS; rows++)
                check(&attention_variants[i], &attention_shapes[k], rows);
}

Test(reference_attention, gradients_of_pooling_are_central_differences)
{
    for (int i = 0; i < pool_variant_count; i++)
        for (int k = 0; k < attention_small_count; k++)
            for (attention_rows_kind rows = 0; rows < ATTENTION_ROWS_KINDS; rows++)
                check(&pool_variants[i], &attention_shapes[k], rows);
}
