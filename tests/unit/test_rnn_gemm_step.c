/* What is gemm_step's own; what every schedule does, test_rnn.c looks at. */
#include "rnn/gemm_step_record.h"
#include "support/device.h"
#include "support/record.h"

#include <criterion/criterion.h>

#define RECORDS "rnn/gemm_step_record.h"

Test(rnn_gemm_step, records_lie_on_the_device_as_on_the_host)
{
    clseq_context *ctx = test_context();
    RECORD_CHECK(ctx, RECORDS, gemm_step_view, GEMM_STEP_VIEW);
    RECORD_CHECK(ctx, RECORDS, gemm_step_copy, GEMM_STEP_COPY);
    RECORD_CHECK(ctx, RECORDS, gemm_step_layer, GEMM_STEP_LAYER);
    RECORD_CHECK(ctx, RECORDS, gemm_step_rows, GEMM_STEP_ROWS);
    clseq_context_destroy(ctx);
}
