/*
 * Filling and copying elements that do not lie packed: 32-bit words of any type. Packed ones are filled and copied
 * without a kernel.
 */
#include "core/walk.clh"

/* y = value; operands: y. */
kernel void tensor_fill(walk_record w, uint value, global uint *restrict y)
{
    const long step = w.operand[0].stride[0];
    FOR_EACH_RUN(run, w, 1)
    {
        global uint *to = y + run.at[0];
        for (long j = run.from; j < run.to; j++)
            to[j * step] = value;
    }
}

/* y = x; operands: x, y. */
kernel void tensor_copy(walk_record w, global const uint *restrict x, global uint *restrict y)
{
    const long x_step = w.operand[0].stride[0], y_step = w.operand[1].stride[0];
    FOR_EACH_RUN(run, w, 2)
    {
        global const uint *from = x + run.at[0];
        global uint *to = y + run.at[1];
        if (x_step == 1 && y_step == 1) {
            for (long j = run.from; j < run.to; j++)
                to[j] = from[j];
        } else {
            for (long j = run.from; j < run.to; j++)
                to[j * y_step] = from[j * x_step];
        }
    }
}
