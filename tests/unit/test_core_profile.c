/* Measuring where the time goes. */
#include <criterion/criterion.h>

#include "core/launch.h"
#include "core/profile.h"
#include "support/device.h"
#include "support/faults.h"
#include <clseq/tensor.h>

#include <stdlib.h>
#include <string.h>

static clseq_context *profiling(void)
{
    return test_context_with(&(clseq_context_desc){.profile = true});
}

static clseq_tensor tensor(clseq_context *ctx, int64_t n)
{
    clseq_tensor x = {0};
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){n, 2}, &x), CLSEQ_OK);
    return x;
}

/* The calls that the profile has for a name, 0 when it has no such row. */
static uint64_t calls_of(clseq_context *ctx, const char *kernel, double *seconds)
{
    clseq_profile_row rows[16];
    size_t count = 0;
    cr_assert_eq(clseq_context_profile(ctx, rows, 16, &count), CLSEQ_OK, "%s", clseq_last_error());
    for (size_t i = 0; i < count && i < 16; i++)
        if (strcmp(rows[i].kernel, kernel) == 0) {
            if (seconds != NULL)
                *seconds = rows[i].seconds;
            return rows[i].calls;
        }
    return 0;
}

Test(core_profile, calls_and_times_by_kernel)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, test_small() ? 64 : 200000);
    clseq_tensor half = clseq_tensor_slice(&x, 1, 0, 1);
    double seconds = -1;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(clseq_tensor_fill(ctx, &half, 1), CLSEQ_OK, "%s", clseq_last_error());
    for (int i = 0; i < 3; i++)
        cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "tensor_fill", &seconds), 5);
    cr_assert(seconds > 0 && seconds < 60, "%g s", seconds);
    cr_assert_eq(calls_of(ctx, "fill", NULL), 3);
    cr_assert_eq(calls_of(ctx, "tensor_copy", NULL), 0);
    clseq_context_stats stats;
    cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
    cr_assert_eq(stats.launches, 8);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

/* Each question is one microsecond later than the one before: a command takes 1, a span 1. */
static cl_ulong clock_now;

static cl_int ticking(cl_event event, cl_profiling_info what, size_t size, void *value, size_t *actual)
{
    (void)event, (void)what, (void)size, (void)actual;
    clock_now += 1000;
    memcpy(value, &clock_now, sizeof clock_now);
    return CL_SUCCESS;
}

Test(core_profile, seconds_are_the_sum_of_all_calls)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, 4);
    double seconds = 0, span = 0;
    faults_answers.clGetEventProfilingInfo = ticking;
    for (int i = 0; i < 1500; i++)
        cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    for (int i = 0; i < 3; i++)
        clseq__profile_end(ctx, "several", clseq__profile_begin(ctx));
    cr_assert_eq(calls_of(ctx, "fill", &seconds), 1500);
    cr_assert_eq(calls_of(ctx, "several", &span), 3);
    cr_assert_float_eq(seconds, 1500e-6, 1e-12, "%g s", seconds);
    cr_assert_float_eq(span, 3e-6, 1e-12, "%g s", span);
    cr_assert_eq(clseq_context_profile_reset(ctx), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", &seconds), 1);
    cr_assert_float_eq(seconds, 1e-6, 1e-12, "%g s after a reset", seconds);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

/* Begin and end of a command, and of a span the end of what is before and the start of what is behind. */
static cl_int by_kind(cl_event event, cl_profiling_info what, size_t size, void *value, size_t *actual)
{
    const cl_ulong time = what == CL_PROFILING_COMMAND_START ? 5000 : 2000;
    (void)event, (void)size, (void)actual;
    memcpy(value, &time, sizeof time);
    return CL_SUCCESS;
}

Test(core_profile, a_clock_that_runs_backwards_counts_as_nothing)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, 4);
    double seconds = -1, span = -1;
    faults_answers.clGetEventProfilingInfo = by_kind;
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    clseq__profile_end(ctx, "span", clseq__profile_begin(ctx));
    cr_assert_eq(calls_of(ctx, "fill", &seconds), 1);
    cr_assert_eq(calls_of(ctx, "span", &span), 1);
    cr_assert_eq(seconds, 0);
    cr_assert_float_eq(span, 3e-6, 1e-12, "from the end of the first to the start of the last: %g s", span);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

Test(core_profile, rows_are_sorted_and_counted_beyond_the_capacity)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, 1000), y = tensor(ctx, 1000);
    clseq_tensor half = clseq_tensor_slice(&x, 1, 0, 1);
    clseq_profile_row rows[3];
    size_t count = 0;
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_fill(ctx, &half, 1), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_copy(ctx, &x, &y), CLSEQ_OK);
    cr_assert_eq(clseq_context_profile(ctx, NULL, 0, &count), CLSEQ_OK);
    cr_assert_eq(count, 3);
    cr_assert_eq(clseq_context_profile(ctx, rows, 3, &count), CLSEQ_OK);
    cr_assert(rows[0].seconds >= rows[1].seconds && rows[1].seconds >= rows[2].seconds);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
}

Test(core_profile, more_launches_than_are_kept_pending)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, 4);
    const int launches = 2500;
    for (int i = 0; i < launches; i++)
        cr_assert_eq(clseq_tensor_fill(ctx, &x, i), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", NULL), (uint64_t)launches);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

Test(core_profile, a_span_covers_several_commands)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, test_small() ? 64 : 500000);
    double span = 0, inside = 0;
    cl_event begin = clseq__profile_begin(ctx);
    cr_assert_not_null(begin);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    clseq__profile_end(ctx, "several", begin);
    cr_assert_eq(calls_of(ctx, "several", &span), 1);
    cr_assert_eq(calls_of(ctx, "fill", &inside), 4);
    /* Clocks of markers and of commands may be read a little apart. */
    cr_assert(span >= 0.9 * inside - 1e-6, "the span took %g s, the commands in it %g s", span, inside);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

Test(core_profile, reset_forgets)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, 4);
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", NULL), 1);
    cr_assert_eq(clseq_context_profile_reset(ctx), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", NULL), 0);
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", NULL), 1);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

Test(core_profile, the_table_fits_where_it_is_put)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, 4);
    char whole[1024], part[1024];
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(clseq_context_profile_text(ctx, whole, sizeof whole), CLSEQ_OK);
    cr_assert(strstr(whole, "kernel") != NULL && strstr(whole, "  fill\n") != NULL, "%s", whole);
    for (size_t size = 1; size < strlen(whole) + 3; size++) {
        memset(part, '#', sizeof part);
        cr_assert_eq(clseq_context_profile_text(ctx, part, size), CLSEQ_OK);
        size_t length = strlen(whole) < size ? strlen(whole) : size - 1;
        cr_assert_eq(strlen(part), length);
        cr_assert_eq(strncmp(part, whole, length), 0);
        cr_assert_eq(part[size], '#');
    }
    cr_assert_eq(clseq_context_profile_text(ctx, whole, 0), CLSEQ_INVALID_ARGUMENT);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

Test(core_profile, a_context_that_does_not_measure)
{
    unsetenv("CLSEQ_PROFILE");
    clseq_context *ctx = test_context();
    char text[64];
    size_t count = 0;
    cr_assert(!clseq__profiles(ctx));
    cr_assert_null(clseq__profile_begin(ctx));
    clseq__profile_end(ctx, "nothing", NULL);
    clseq__profile_event(ctx, "nothing", NULL);
    cr_assert_eq(clseq_context_profile(ctx, NULL, 0, &count), CLSEQ_INVALID_STATE);
    cr_assert(strstr(clseq_last_error(), "CLSEQ_PROFILE=1") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq_context_profile_text(ctx, text, sizeof text), CLSEQ_INVALID_STATE);
    cr_assert_eq(clseq_context_profile_reset(ctx), CLSEQ_INVALID_STATE);
    clseq_context_destroy(ctx);
    setenv("CLSEQ_PROFILE", "1", 1);
    ctx = test_context();
    cr_assert_eq(clseq_context_profile(ctx, NULL, 0, &count), CLSEQ_OK);
    cr_assert_eq(count, 0);
    clseq_context_destroy(ctx);
}

Test(core_profile, missing_arguments)
{
    size_t count;
    clseq_profile_row row;
    cr_assert_eq(clseq_context_profile(NULL, &row, 1, &count), CLSEQ_INVALID_ARGUMENT);
    clseq_context *ctx = profiling();
    cr_assert_eq(clseq_context_profile(ctx, NULL, 1, &count), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_context_profile(ctx, &row, 1, NULL), CLSEQ_INVALID_ARGUMENT);
    clseq_context_destroy(ctx);
}

/* Not only the calls: a row that was reset has no time either. */
Test(core_profile, reset_forgets_the_time)
{
    clseq_context *ctx = profiling();
    clseq_tensor x = tensor(ctx, test_small() ? 64 : 200000);
    double before = 0, after = -1;
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", &before), 1);
    cr_assert(before > 0);
    cr_assert_eq(clseq_context_profile_reset(ctx), CLSEQ_OK);
    cr_assert_eq(calls_of(ctx, "fill", &after), 0);
    cr_assert_eq(after, 0);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}
