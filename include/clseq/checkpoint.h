/*
 * Checkpoints: one safetensors file with everything that a run needs to go on as if it had never stopped.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_rnn *rnn = NULL;
 *     clseq_optimizer *adam = NULL;
 *     clseq_state *carry = NULL;
 *     clseq_context_create(NULL, &ctx);
 *     clseq_params_create(ctx, 1, &params);
 *     clseq_rnn_new(params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = 4}, NULL, &rnn);
 *     clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1e-3f);
 *     clseq_optimizer_create(params, &desc, &adam);
 *     clseq_state_create(rnn, 2, &carry);
 *     clseq_meta meta[] = {{"epoch", "3"}, {"position", "1200"}};
 *     clseq_checkpoint all = {.params = params, .optimizer = adam, .states = &carry,
 *                             .state_names = (const char *[]){"carry"}, .state_count = 1,
 *                             .meta = meta, .meta_count = 2};
 *     if (clseq_checkpoint_save("model.safetensors", &all) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *     clseq_state_destroy(carry);
 *     clseq_optimizer_destroy(adam);
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * In the file, parameters stand under their own names in PyTorch's layout as F32 tensors, the optimiser's moments
 * under "optimizer.KIND.NAME", states under "state.NAME.h" and "state.NAME.c", or what their tensors are called, as F32 or
 * I32, and the step, the optimiser's kind and the caller's pairs in "__metadata__". Python's safetensors.torch.load_file
 * reads it. An optimiser's groups and which parameters are frozen are not in it: a program says that again.
 *
 * Saving writes a temporary file in the same folder, flushes it to the disk and renames it: a full disk or a crash
 * leaves the old file as it was. A process that is killed while it saves may leave that file, FILE.clseq-XXXXXXXX with
 * eight hexadecimal digits; the next save of the same file deletes those that no living process has open. A symbolic
 * link is followed; what is there and no regular file is refused; the mode of a file that is replaced stays, its owner
 * and group where the system permits it.
 *
 * Loading checks every field of the header against the file and the model before anything is changed; a file that does
 * not fit leaves the model as it was. Each tensor has a checksum in "__metadata__" (XXH3, 64 bits, under
 * "clseq.xxh3.NAME"), which is checked where it is there, so that files of other programs load too.
 */
#ifndef CLSEQ_CHECKPOINT_H
#define CLSEQ_CHECKPOINT_H

#include <clseq/layers.h>
#include <clseq/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pair of the caller's; keys must not start with "clseq.". */
typedef struct clseq_meta {
    const char *key;
    const char *value;
} clseq_meta;

typedef struct clseq_checkpoint {
    clseq_params *params;
    clseq_optimizer *optimizer; /* NULL: none */
    clseq_state *const *states;
    const char *const *state_names; /* one for each state */
    size_t state_count;
    const clseq_meta *meta; /* save only */
    size_t meta_count;
} clseq_checkpoint;

/*
 * Waits for the queue. Errors: CLSEQ_IO_ERROR with the system's reason, or where `path` is something else than a regular
 * file; CLSEQ_INVALID_ARGUMENT (a NULL, a name or a key that is there twice or kept for the file itself).
 */
CLSEQ_API clseq_status clseq_checkpoint_save(const char *path, const clseq_checkpoint *what);

/*
 * Whether a file can be made at `path`, as far as that can be known without its contents: to be asked before hours of
 * training, not after them. Makes and deletes an empty temporary file. Errors: as clseq_checkpoint_save.
 */
CLSEQ_API clseq_status clseq_checkpoint_can_save(const char *path);

/*
 * Loads everything that `what` names; each tensor must be there with the same shape, and no parameter of the file may
 * be left over. Errors: CLSEQ_IO_ERROR, CLSEQ_CORRUPT_FILE (the file contradicts itself, a tensor does not have its
 * checksum, or the step is not within 0 .. 2^53), CLSEQ_NOT_FOUND, CLSEQ_INVALID_SHAPE, CLSEQ_INVALID_DTYPE,
 * CLSEQ_INVALID_ARGUMENT (the file has another kind of optimiser).
 */
CLSEQ_API clseq_status clseq_checkpoint_load(const char *path, const clseq_checkpoint *what);

/*
 * Loads parameters from any safetensors file, for instance one that PyTorch wrote: tensor `from` + X of the file goes
 * to parameter `to` + X, for every X. With from "" and to "lstm." an nn.LSTM's state dict fills the layer "lstm".
 * Every parameter that starts with `to` must be found, and every tensor that starts with `from` must have a place.
 * Errors: as clseq_checkpoint_load.
 */
CLSEQ_API clseq_status clseq_params_load(clseq_params *params, const char *path, const char *from,
                                         const char *to);

/*
 * From now on a parameter can only be added to the store when the file has a tensor of its name and shape; a layer that
 * asks for another one is CLSEQ_NOT_FOUND or CLSEQ_INVALID_SHAPE. For models that are made from a checkpoint's metadata:
 * whatever those ask for, no more memory is taken than for what is in the file. A fragment:
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_rnn *rnn = NULL;
 *     clseq_rnn_desc desc = {0};
 *     clseq_params_create(ctx, 1, &params);
 *     if (clseq_params_expect(params, "model.safetensors") != CLSEQ_OK ||
 *         clseq_rnn_new(params, "rnn", &desc, NULL, &rnn) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *
 * It loads nothing, and ends with the store's first use. To be called before the first parameter is added, else
 * CLSEQ_INVALID_STATE. Errors: CLSEQ_IO_ERROR, CLSEQ_CORRUPT_FILE.
 */
CLSEQ_API clseq_status clseq_params_expect(clseq_params *params, const char *path);

/*
 * The value of a metadata key, copied to `value` (at most `size` bytes with the closing 0; a longer one is
 * CLSEQ_INVALID_ARGUMENT). CLSEQ_NOT_FOUND when the key is not there. For settings that must be known before the
 * model can be made. The value comes from the file as it is: escape it before it reaches a terminal.
 */
CLSEQ_API clseq_status clseq_checkpoint_meta(const char *path, const char *key, char *value, size_t size);

#ifdef __cplusplus
}
#endif
#endif
