#include "train/linear_packed.h"

#include "core/error.h"

/* Rows from which on packing saves less than a twentieth of a product. */
#define MOST_ROWS 128

clseq_status clseq__linear_packed_get(clseq__linear_packed *p, const clseq_param *weight, bool transpose,
                                      int64_t rows, const clseq_packed **out)
{
    const clseq_params *store = weight->store;
    const bool is_first = p->asked != store->version;
    const clseq_tensor w =
        clseq_tensor_view(store->values, weight->offset, CLSEQ_DTYPE_F32, weight->ndim, weight->dims);
    *out = NULL;
    if (rows > MOST_ROWS)
        return CLSEQ_OK;
    p->asked = store->version;
    if (p->version != store->version) {
        if (is_first)
            return CLSEQ_OK;
        CLSEQ__RETURN_IF(p->packed ? clseq_gemm_repack(p->packed, &w)
                                   : clseq_gemm_pack(store->ctx, CLSEQ_OPERAND_B, &w, transpose, &p->packed));
        p->version = store->version;
    }
    *out = p->packed;
    return CLSEQ_OK;
}
