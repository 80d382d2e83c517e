/* One tensor of a file of weights, whatever the file's format. */
#ifndef MODEL_TENSOR_INFO_H
#define MODEL_TENSOR_INFO_H

#include "base/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum { TENSOR_INFO_MAX_DIMS = 8 };

/* Everything is borrowed from the file.  The elements lie row by row, without gaps. */
struct tensor_info {
    const char *name;
    const char *dtype_name; /* in safetensors' spelling; for what cannot be read, what it is */
    bool dtype_known;       /* false: dtype means nothing, and the engine cannot read it */
    enum dtype dtype;
    int n_dims;
    int64_t dims[TENSOR_INFO_MAX_DIMS];
    const unsigned char *bytes; /* aligned to no more than a byte */
    uint64_t n_bytes;
};

#endif
