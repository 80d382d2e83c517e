/* Reference vectors for tests: where they lie, and their tensors by name. */
#ifndef NN_NN_TEST_REFS_H
#define NN_NN_TEST_REFS_H

#include "base/test.h"
#include "model/safetensors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline const char *nn_test_refs_dir(void)
{
    const char *dir = getenv("DAPI_REFS");
    return dir && *dir ? dir : "../shared/refs";
}

/* Says what is missing and returns false when the folder is not there. */
static inline bool nn_test_refs_exist(void)
{
    if (access(nn_test_refs_dir(), R_OK) == 0)
        return true;
    fprintf(stderr, "skipped: no %s (set DAPI_REFS)\n", nn_test_refs_dir());
    return false;
}

/* Opens expect/NAME.safetensors; NULL, counted as a failure, when that does not work. */
static inline struct safetensors *nn_test_refs_open(const char *name)
{
    char path[4096];
    struct safetensors *file = NULL;
    struct error err = {0};

    snprintf(path, sizeof path, "%s/expect/%s.safetensors", nn_test_refs_dir(), name);
    if (!safetensors_open(&file, path, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(file != NULL);
    return file;
}

struct nn_test_tensor {
    int n_dims; /* 0: no such tensor */
    int64_t dims[TENSOR_INFO_MAX_DIMS];
    size_t count;
    float *x; /* owned */
};

/* Row and name make "0.sample"; float32 and int32 are read. */
static inline struct nn_test_tensor nn_test_refs_read(const struct safetensors *file, int row,
                                                      const char *name)
{
    char full[128];
    struct nn_test_tensor out = {.count = 1};

    snprintf(full, sizeof full, "%d.%s", row, name);
    const struct tensor_info *t = safetensors_find(file, full);
    if (!t || !t->dtype_known || (t->dtype != DTYPE_F32 && t->dtype != DTYPE_I32))
        return (struct nn_test_tensor){0};
    for (int d = 0; d < t->n_dims; d++) {
        out.dims[d] = t->dims[d];
        out.count *= (size_t)t->dims[d];
    }
    out.x = malloc(out.count * sizeof *out.x);
    if (!out.x)
        abort();
    for (size_t i = 0; i < out.count; i++) {
        int32_t whole;
        memcpy(&whole, t->bytes + 4 * i, 4);
        if (t->dtype == DTYPE_I32)
            out.x[i] = (float)whole;
        else
            memcpy(&out.x[i], t->bytes + 4 * i, 4);
    }
    out.n_dims = t->n_dims;
    return out;
}

#endif
