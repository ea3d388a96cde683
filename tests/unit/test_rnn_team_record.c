/* The records of the schedule team: the same on host and device, and small enough for every device. */
#include "rnn/team_record.h"
#include "support/device.h"
#include "support/record.h"

#include <criterion/criterion.h>

#define HEADER "rnn/team_record.h"

Test(rnn_team_record, lies_on_the_device_as_on_the_host)
{
    clseq_context *ctx = test_context();
    RECORD_CHECK(ctx, HEADER, team_array, TEAM_ARRAY);
    RECORD_CHECK(ctx, HEADER, team_rows, TEAM_ROWS);
    RECORD_CHECK(ctx, HEADER, team_sizes, TEAM_SIZES);
    RECORD_CHECK(ctx, HEADER, team_kept, TEAM_KEPT);
    RECORD_CHECK(ctx, HEADER, team_matrix, TEAM_MATRIX);
    RECORD_CHECK(ctx, HEADER, team_vector, TEAM_VECTOR);
    RECORD_CHECK(ctx, HEADER, team_gradient, TEAM_GRADIENT);
    RECORD_CHECK(ctx, HEADER, team_forward_record, TEAM_FORWARD);
    RECORD_CHECK(ctx, HEADER, team_backward_record, TEAM_BACKWARD);
    RECORD_CHECK(ctx, HEADER, team_pack_record, TEAM_PACK);
    RECORD_CHECK(ctx, HEADER, team_weights_record, TEAM_WEIGHTS);
    clseq_context_destroy(ctx);
}

/* OpenCL promises 1024 bytes for all arguments of a kernel together. */
Test(rnn_team_record, fits_into_a_kernels_arguments)
{
    const size_t buffer = sizeof(cl_mem), most = 1024;
    cr_assert_leq(sizeof(team_forward_record) + (6 + 2 * TEAM_STATES) * buffer, most);
    cr_assert_leq(sizeof(team_backward_record) + (8 + 2 * TEAM_STATES) * buffer, most);
    cr_assert_leq(sizeof(team_pack_record) + (2 + TEAM_PARTS) * buffer, most);
    cr_assert_leq(sizeof(team_weights_record) + (4 + TEAM_PARTS) * buffer, most);
}
