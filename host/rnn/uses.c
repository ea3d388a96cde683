#include "rnn/uses.h"

#include "core/error.h"
#include "core/overlap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct use use;
struct use {
    clseq__argument argument;
    clseq__runs runs;
    int64_t end; /* the byte behind the last one */
    bool is_written;
    use *next; /* in a list of those that may still be met */
};

struct clseq__uses {
    size_t count;
    use **sorted; /* by buffer and beginning */
    use all[];    /* in the order of the arguments */
};

/* The longest list is that of backward: six single tensors, two for each state, the reserves and the gradients. */
static size_t capacity_of(const clseq_rnn_plan *plan)
{
    return (size_t)(6 + 2 * plan->cell->states + plan->desc.layers + plan->weights);
}

clseq_status clseq__uses_create(clseq_rnn_plan *plan)
{
    const size_t capacity = capacity_of(plan);
    clseq__uses *uses = malloc(sizeof *uses + capacity * (sizeof(use) + sizeof(use *)));
    if (!uses)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory for what its calls use");
    uses->count = 0;
    uses->sorted = (use **)(void *)&uses->all[capacity];
    plan->uses = uses;
    return CLSEQ_OK;
}

void clseq__uses_destroy(clseq_rnn_plan *plan)
{
    free(plan->uses);
    plan->uses = NULL;
}

void clseq__uses_begin(const clseq_rnn_plan *plan)
{
    plan->uses->count = 0;
}

void clseq__uses_add(const clseq_rnn_plan *plan, clseq__argument argument, const clseq_tensor *tensor,
                     int64_t bytes, bool is_written)
{
    clseq__uses *uses = plan->uses;
    if (!tensor->buffer)
        return;
    use *new = &uses->all[uses->count];
    *new = (use){.argument = argument, .runs = clseq__runs_of(tensor), .is_written = is_written};
    if (bytes)
        new->runs.length = bytes;
    new->end = clseq__runs_end(&new->runs);
    uses->sorted[uses->count++] = new;
}

const char *clseq__argument_text(const clseq_rnn_plan *plan, const clseq__argument *argument,
                                 char text[CLSEQ__ARGUMENT_TEXT])
{
    char index[24] = "", name[CLSEQ_RNN_WEIGHT_NAME + 4] = "";
    clseq_rnn_weight weight;
    if (argument->of != CLSEQ__ONE)
        snprintf(index, sizeof index, "[%" PRId64 "]", argument->index);
    if (argument->of == CLSEQ__STATES)
        snprintf(name, sizeof name, " (%s)", plan->cell->state[argument->index]);
    if (argument->of == CLSEQ__WEIGHTS && clseq_rnn_weight_info(plan, argument->index, &weight) == CLSEQ_OK)
        snprintf(name, sizeof name, " (%s)", weight.name);
    snprintf(text, CLSEQ__ARGUMENT_TEXT, "%s: %s%s%s", argument->call, argument->name, index, name);
    return text;
}

static int by_place(const void *left, const void *right)
{
    const use *a = *(use *const *)left, *b = *(use *const *)right;
    if (a->runs.buffer != b->runs.buffer)
        return (uintptr_t)a->runs.buffer < (uintptr_t)b->runs.buffer ? -1 : 1;
    if (a->runs.offset != b->runs.offset)
        return a->runs.offset < b->runs.offset ? -1 : 1;
    return (a > b) - (a < b);
}

/* The first of a list that shares memory with `with`. Those that end before it begins leave the list: what is still to
 * come begins no earlier. */
static use *first_shared(use **list, const use *with)
{
    while (*list) {
        use *other = *list;
        if (other->runs.buffer == with->runs.buffer && other->end > with->runs.offset) {
            if (clseq__runs_overlap(&other->runs, &with->runs))
                return other;
            list = &other->next;
        } else {
            *list = other->next;
        }
    }
    return NULL;
}

/* Calls list what they read before what they write, so that of two the later one is written. */
static clseq_status overlap(const clseq_rnn_plan *plan, const use *a, const use *b)
{
    char what[CLSEQ__ARGUMENT_TEXT], with[CLSEQ__ARGUMENT_TEXT];
    const use *written = a > b ? a : b, *other = a > b ? b : a;
    clseq__argument_text(plan, &other->argument, with);
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s overlaps %s, expected memory of its own",
                        clseq__argument_text(plan, &written->argument, what),
                        with + strlen(other->argument.call) + strlen(": "));
}

/* From the first place to the last. Reads are compared with writes only, so that any number of them may lie on one
 * place at no cost. */
clseq_status clseq__uses_check(const clseq_rnn_plan *plan)
{
    clseq__uses *uses = plan->uses;
    use *reads = NULL, *writes = NULL;
    qsort(uses->sorted, uses->count, sizeof *uses->sorted, by_place);
    for (size_t i = 0; i < uses->count; i++) {
        use *at = uses->sorted[i], **own = at->is_written ? &writes : &reads;
        const use *shared = first_shared(&writes, at);
        if (!shared && at->is_written)
            shared = first_shared(&reads, at);
        if (shared)
            return overlap(plan, at, shared);
        at->next = *own;
        *own = at;
    }
    return CLSEQ_OK;
}
