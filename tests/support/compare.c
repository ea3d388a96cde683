#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static char message[1024];
static double worst_ratio;

const char *compare_message(void)
{
    return message;
}

double compare_worst_ratio(void)
{
    return worst_ratio;
}

void compare_reset(void)
{
    worst_ratio = 0;
}

/* Either kind of array behind one index; bounds is NULL where one bound serves all. */
typedef struct comparison {
    const float *floats;
    const double *doubles;
    const double *want;
    const double *bounds;
    double bound;
} comparison;

static double got_at(const comparison *c, size_t i)
{
    return c->floats != NULL ? c->floats[i] : c->doubles[i];
}

static double bound_at(const comparison *c, size_t i)
{
    return c->bounds != NULL ? c->bounds[i] : c->bound;
}

static double error_at(const comparison *c, size_t i)
{
    const double got = got_at(c, i), want = c->want[i];
    return got == want ? 0 : fabs(got - want); /* equal infinities have no difference */
}

/* Error in units of the bound; infinite where a bound of 0 is missed, and for NaN. */
static double ratio_at(const comparison *c, size_t i)
{
    const double error = error_at(c, i), bound = bound_at(c, i);
    if (error == 0 && bound >= 0)
        return 0;
    return isnan(error) || !(bound > 0) ? INFINITY : error / bound;
}

static bool report(const char *name, const comparison *c, size_t n, size_t failed, size_t first, size_t worst)
{
    snprintf(message, sizeof message,
             "%s: %zu of %zu elements differ; first [%zu]: got %.9g, expected %.9g, error %.3g, bound %.3g; "
             "worst [%zu]: got "
             "%.9g, expected %.9g, error %.3g, bound %.3g",
             name, failed, n, first, got_at(c, first), c->want[first], error_at(c, first), bound_at(c, first),
             worst, got_at(c, worst), c->want[worst], error_at(c, worst), bound_at(c, worst));
    return false;
}

static bool compare(const char *name, const comparison *c, size_t n)
{
    size_t failed = 0, first = 0, worst = 0;
    double worst_here = -1;
    for (size_t i = 0; i < n; i++) {
        const double ratio = ratio_at(c, i);
        if (ratio > worst_here) {
            worst_here = ratio;
            worst = i;
        }
        if (!(error_at(c, i) <= bound_at(c, i)) && failed++ == 0)
            first = i;
    }
    worst_ratio = fmax(worst_ratio, worst_here);
    return failed == 0 ? true : report(name, c, n, failed, first, worst);
}

bool compare_floats(const char *name, const float *got, const double *want, size_t n, double bound)
{
    return compare(name, &(comparison){.floats = got, .want = want, .bound = bound}, n);
}

bool compare_doubles(const char *name, const double *got, const double *want, size_t n, double bound)
{
    return compare(name, &(comparison){.doubles = got, .want = want, .bound = bound}, n);
}

bool compare_floats_each(const char *name, const float *got, const double *want, size_t n,
                         const double *bound)
{
    return compare(name, &(comparison){.floats = got, .want = want, .bounds = bound}, n);
}

bool compare_doubles_each(const char *name, const double *got, const double *want, size_t n,
                          const double *bound)
{
    return compare(name, &(comparison){.doubles = got, .want = want, .bounds = bound}, n);
}

bool compare_bits(const char *name, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t a, b;
        memcpy(&a, &got[i], sizeof a);
        memcpy(&b, &want[i], sizeof b);
        if (a != b) {
            snprintf(message, sizeof message,
                     "%s[%zu]: got %.9g (0x%08" PRIx32 "), expected the bits of %.9g (0x%08" PRIx32 ")", name,
                     i, (double)got[i], a, (double)want[i], b);
            return false;
        }
    }
    return true;
}

bool compare_ints(const char *name, const int32_t *got, const int32_t *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i]) {
            snprintf(message, sizeof message, "%s[%zu]: got %" PRId32 ", expected %" PRId32, name, i, got[i],
                     want[i]);
            return false;
        }
    return true;
}
