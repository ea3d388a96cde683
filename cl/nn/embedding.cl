/*
 * y[n,:] = table[tokens[n],:] and dtable[tokens[n],:] += dy[n,:], for N tokens, rows of E floats and V table rows. A
 * token outside of 0..V-1 gives zeros and no gradient. Offsets in elements; all packed.
 *
 * Backward needs no atomics and adds in the order of n. On a CPU every work-group owns a range of table rows and walks
 * all tokens once. On a GPU one work-group belongs to each n; the one where a token occurs first adds up the rows of all
 * its occurrences.
 */
#include "core/elementwise.clh"
#include "nn/groups.h"

#if CPU
kernel void nn_embedding_forward(long N, long E, int size, global const float *table, long table_offset,
                                 global const int *tokens, long tokens_offset, global float *y, long y_offset)
{
    FOR_EACH(n, N)
    {
        const int token = tokens[tokens_offset + n];
        const bool valid = token >= 0 && token < size;
        global const float *from = table + table_offset + (valid ? token * E : 0);
        for (long e = 0; e < E; e += LANES)
            store(valid ? load(from, e, E) : (V)(0.0f), y + y_offset + n * E, e, E);
    }
}

kernel void nn_embedding_backward(long N, long E, int size, global const int *tokens, long tokens_offset,
                                  global const float *dy, long dy_offset, global float *dtable,
                                  long dtable_offset)
{
    const long groups = get_num_groups(0), group = get_group_id(0);
    const int begin = (int)(size * group / groups), end = (int)(size * (group + 1) / groups);
    for (long n = 0; n < N; n++) {
        const int token = tokens[tokens_offset + n];
        if (token < begin || token >= end)
            continue;
        global const float *from = dy + dy_offset + n * E;
        global float *to = dtable + dtable_offset + token * E;
        for (long e = 0; e < E; e += LANES)
            store(load(to, e, E) + load(from, e, E), to, e, E);
    }
}
#else
kernel void nn_embedding_forward(long N, long E, int size, global const float *table, long table_offset,
                                 global const int *tokens, long tokens_offset, global float *y, long y_offset)
{
    FOR_EACH(i, N * E)
    {
        const int token = tokens[tokens_offset + i / E];
        const bool valid = token >= 0 && token < size;
        y[y_offset + i] = valid ? table[table_offset + token * E + i % E] : 0.0f;
    }
}

/* Whether one of tokens[begin .. end-1] is `token`; the same answer for all work-items. */
static bool occurs(global const int *tokens, long begin, long end, int token, local int *found)
{
    bool mine = false;
    for (long n = begin + (long)get_local_id(0); n < end; n += EMBEDDING_GROUP)
        mine |= tokens[n] == token;
    found[get_local_id(0)] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    bool any = false;
    for (int k = 0; k < EMBEDDING_GROUP; k++)
        any |= found[k] != 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    return any;
}

kernel __attribute__((reqd_work_group_size(EMBEDDING_GROUP, 1, 1))) void
nn_embedding_backward(long N, long E, int size, global const int *tokens, long tokens_offset,
                      global const float *dy, long dy_offset, global float *dtable, long dtable_offset)
{
    local int found[EMBEDDING_GROUP];
    const long first = get_group_id(0);
    tokens += tokens_offset;
    const int token = tokens[first];
    if (token < 0 || token >= size || occurs(tokens, 0, first, token, found))
        return;
    for (long begin = first; begin < N; begin += EMBEDDING_GROUP) {
        const long end = min(N, begin + EMBEDDING_GROUP);
        if (!occurs(tokens, begin, end, token, found))
            continue;
        for (long e = get_local_id(0); e < E; e += EMBEDDING_GROUP) {
            float sum = dtable[dtable_offset + token * E + e];
            for (long n = begin; n < end; n++)
                if (tokens[n] == token)
                    sum += dy[dy_offset + n * E + e];
            dtable[dtable_offset + token * E + e] = sum;
        }
    }
}
#endif
