/* How cl/linalg/gemm.cl and host/linalg/gemm_native.c cut a matrix product: for both of them, C and OpenCL C. */
#ifndef LINALG_GEMM_BLOCKS_H
#define LINALG_GEMM_BLOCKS_H

/* How op(A) and op(B) are found. */
#define A_ROWS 0       /* plain rows [m,k] */
#define A_TRANSPOSED 1 /* stored as [k,m], to be transposed */
#define B_PACKED 0     /* panels */
#define B_ROWS 1       /* plain rows [k,n], to be packed */
#define B_TRANSPOSED 2 /* stored as [n,k], to be packed */

/* Vectors of the widest tile of a device with so many vector registers, and rows of the highest. */
#define TILE_VECTORS_OF(registers) ((registers) >= 32 ? 4 : 2)
#define TILE_ROWS 6

/* Rows of A that are packed, or transposed and then multiplied, at once: a multiple of TILE_ROWS and of VW. */
#define STRIP_ROWS 48

/* What of op(B) is packed before as one unit of work: the depth is a multiple of VW. */
#define PACK_DEPTH 256
#define PACK_PANELS 8

/* Floats from one row of a transposed block of A, kc deep, to the next: no power of two, which caches dislike. */
#define BLOCK_ROW(kc, width) ((kc) + (width))

#endif
