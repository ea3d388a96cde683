#include "train/view.h"

clseq_tensor clseq__view_permute(const clseq_tensor *x, const int *order)
{
    clseq_tensor view = *x;
    for (int i = 0; i < x->ndim; i++) {
        view.dims[i] = x->dims[order[i]];
        view.strides[i] = x->strides[order[i]];
    }
    return view;
}

/*
 * Both lists of dims are cut into the shortest runs with the same number of elements. A run of x must lie like one dim:
 * each stride is the next one times the next dim.
 */
bool clseq__view_reshape(const clseq_tensor *x, int ndim, const int64_t *dims, clseq_tensor *out)
{
    clseq_tensor view = clseq_tensor_view(x->buffer, x->offset, x->dtype, ndim, dims);
    int from = x->ndim - 1, to = ndim - 1;
    while (from >= 0 || to >= 0) {
        /* The run's last dims, and the dim of x, not of 1, that stands behind what was looked at. */
        int64_t elements = 1, made = 1, stride = 0, extent = 0;
        while (from >= 0 && x->dims[from] == 1)
            from--;
        if (from >= 0) {
            elements = x->dims[from];
            stride = x->strides[from];
            extent = stride * elements;
            from--;
        }
        while (to >= 0 && (made < elements || dims[to] == 1)) {
            view.strides[to] = stride * made;
            made *= dims[to--];
            while (made > elements && from >= 0) {
                if (x->dims[from] > 1 && x->strides[from] != extent)
                    return false;
                elements *= x->dims[from];
                extent *= x->dims[from--];
            }
        }
        if (made != elements)
            return false;
    }
    *out = view;
    return true;
}
