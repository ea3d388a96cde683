/*
 * Checkpoints: one safetensors file with everything that a run needs to go on as if it had never stopped.
 *
 *     clseq_params *params = NULL;
 *     clseq_optimizer *adam = NULL;
 *     clseq_state *carry = NULL;
 *     clseq_meta meta[] = {{"epoch", "3"}, {"position", "1200"}};
 *     clseq_checkpoint all = {.params = params, .optimizer = adam, .states = &carry,
 *                             .state_names = (const char *[]){"carry"}, .state_count = 1,
 *                             .meta = meta, .meta_count = 2};
 *     if (clseq_checkpoint_save("model.safetensors", &all) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *
 * In the file, parameters stand under their own names in PyTorch's layout as F32 tensors, the optimiser's moments
 * under "optimizer.KIND.NAME", states under "state.NAME.h" and "state.NAME.c", and the step, the optimiser's kind
 * and the caller's pairs in "__metadata__". Python's safetensors.torch.load_file reads it.
 *
 * Saving writes a temporary file in the same folder, flushes it to the disk and renames it: a full disk or a crash
 * leaves the old file as it was. Loading checks every field of the header against the file and the model before
 * anything is changed; a file that does not fit leaves the model as it was.
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

/* Waits for the queue. Errors: CLSEQ_IO_ERROR with the system's reason. */
CLSEQ_API clseq_status clseq_checkpoint_save(const char *path, const clseq_checkpoint *what);

/*
 * Loads everything that `what` names; each tensor must be there with the same shape, and no parameter of the file may
 * be left over. Errors: CLSEQ_IO_ERROR, CLSEQ_CORRUPT_FILE, CLSEQ_NOT_FOUND, CLSEQ_INVALID_SHAPE.
 */
CLSEQ_API clseq_status clseq_checkpoint_load(const char *path, const clseq_checkpoint *what);

/*
 * Loads parameters from any safetensors file, for instance one that PyTorch wrote: tensor `from` + X of the file goes
 * to parameter `to` + X, for every X. With from "" and to "lstm." an nn.LSTM's state dict fills the layer "lstm".
 * Every parameter that starts with `to` must be found, and every tensor that starts with `from` must have a place.
 */
CLSEQ_API clseq_status clseq_params_load(clseq_params *params, const char *path, const char *from,
                                         const char *to);

/*
 * The value of a metadata key, copied to `value` (at most `size` bytes with the closing 0; a longer one is
 * CLSEQ_INVALID_ARGUMENT). CLSEQ_NOT_FOUND when the key is not there. For settings that must be known before the
 * model can be made.
 */
CLSEQ_API clseq_status clseq_checkpoint_meta(const char *path, const char *key, char *value, size_t size);

#ifdef __cplusplus
}
#endif
#endif
