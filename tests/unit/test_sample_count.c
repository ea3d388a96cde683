/* samples/count, the program that README shows, as a user runs it. */
#include "support/sample.h"
#include <criterion/criterion.h>
#include <string.h>

TestSuite(count, .init = sample_setup, .fini = sample_teardown);

static int run(const char *argument, const sample_options *how)
{
    return sample_finish(sample_start((const char *const[]){argument, NULL}, NULL, how));
}

Test(count, learns_to_count_and_says_so)
{
    cr_assert_eq(run(NULL, &(sample_options){.program = "count"}), 0, "%s", sample_output);
    cr_assert(strstr(sample_output, "step 200  loss 0."), "%s", sample_output);
    cr_assert(strstr(sample_output, "120 of 120 digits\nit counts\n"), "%s", sample_output);
}

Test(count, tells_how_it_is_used)
{
    cr_assert_eq(run("--help", &(sample_options){.program = "count"}), 0, "%s", sample_output);
    cr_assert(strstr(sample_output, "usage: "), "%s", sample_output);
    cr_assert_not(strstr(sample_output, "step"), "%s", sample_output);
}

Test(count, fails_with_a_sentence_where_there_is_no_device)
{
    cr_assert_eq(run(NULL, &(sample_options){.program = "count", .device = "no such device"}), 1, "%s",
                 sample_output);
    cr_assert(strstr(sample_output, "none matches \"no such device\""), "%s", sample_output);
}
