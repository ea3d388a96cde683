/*
 * clseq: training of recurrent sequence models on any OpenCL device. This header includes all others.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     if (clseq_context_create(NULL, &ctx) != CLSEQ_OK || clseq_params_create(ctx, 1, &params) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * Two levels: primitives for programs that have OpenCL code or a framework of their own (tensor.h, gemm.h, rnn.h,
 * attention.h, nn.h), and training (params.h, layers.h, graph.h, optim.h, checkpoint.h, data.h, option.h, run.h), which is built on the
 * first.
 */
#ifndef CLSEQ_CLSEQ_H
#define CLSEQ_CLSEQ_H

#include <clseq/attention.h>
#include <clseq/cells.h>
#include <clseq/checkpoint.h>
#include <clseq/context.h>
#include <clseq/data.h>
#include <clseq/device.h>
#include <clseq/gemm.h>
#include <clseq/graph.h>
#include <clseq/layers.h>
#include <clseq/nn.h>
#include <clseq/ops.h>
#include <clseq/optim.h>
#include <clseq/option.h>
#include <clseq/params.h>
#include <clseq/rnn.h>
#include <clseq/run.h>
#include <clseq/status.h>
#include <clseq/tensor.h>
#include <clseq/version.h>

#endif
