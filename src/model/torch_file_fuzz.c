#include "model/tensor_file.h"
#include "model/torch_file.h"

#include <stdlib.h>
#include <string.h>

/* Every tensor of an accepted file lies inside the buffer, is as long as its shape says, and
 * answers to its name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct torch_file *file = NULL;
    struct error err = {0};
    unsigned sum = 0;

    if (!torch_file_from_bytes(&file, "fuzz", data, size, &err)) {
        if (file || err.code == ERROR_NONE || !err.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < torch_file_count(file); i++) {
        const struct tensor_info *t = torch_file_at(file, i);
        if (torch_file_find(file, t->name) != t || !t->dtype_name)
            abort();
        if (!t->dtype_known)
            continue;
        uint64_t want = dtype_bytes(t->dtype);
        for (int d = 0; d < t->n_dims; d++)
            want *= (uint64_t)t->dims[d];
        if (want != t->n_bytes || t->bytes < data || t->n_bytes > size ||
            t->bytes + t->n_bytes > data + size)
            abort();
        if (t->n_bytes)
            sum += t->bytes[0] + t->bytes[t->n_bytes - 1]; /* the sanitizer guards the ends */
    }
    if (sum > 510u * torch_file_count(file))
        abort();
    torch_file_close(file);
    return 0;
}
