#include "model/safetensors.h"

#include <stdlib.h>

/* Every tensor of an accepted file lies inside the buffer, apart from its neighbours, and answers
 * to its name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    struct error err = {0};
    unsigned sum = 0;
    uint64_t total = 0;

    if (!safetensors_from_bytes(&file, "fuzz", data, size, &err)) {
        if (file || err.code == ERROR_NONE || !err.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_info *t = safetensors_at(file, i);
        if (t->bytes < data || t->n_bytes > size || t->bytes + t->n_bytes > data + size)
            abort();
        for (uint64_t k = 0; k < t->n_bytes; k++)
            sum += t->bytes[k]; /* the sanitizer guards the buffer's ends */
        total += t->n_bytes;
        if (safetensors_find(file, t->name) != t)
            abort();
    }
    if (total + safetensors_unused_bytes(file) > size || sum > 255u * size)
        abort();
    safetensors_close(file);
    return 0;
}
