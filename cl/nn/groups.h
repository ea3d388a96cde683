/* Work-items a group of kernels that need a group on a GPU: for cl/nn and host/nn, C and OpenCL C. */
#ifndef NN_GROUPS_H
#define NN_GROUPS_H

/* Together they work on one row. */
#define ROW_GROUP_GPU 64
/* Together they look for the tokens that are equal to one, in the embedding's backward. */
#define EMBEDDING_GROUP 64

#endif
