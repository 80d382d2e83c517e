#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every text lies inside the file, and every id in its range. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vocab_file v;
    struct error err = {0};
    char *json = malloc(size + 1); /* the sanitizer guards the end of the block */
    if (!json)
        return 0;
    memcpy(json, data, size);
    if (vocab_file_parse(&v, json, size, &err))
        for (size_t i = 0; i < v.n; i++)
            if (v.entries[i].text < json || v.entries[i].len > size ||
                v.entries[i].text + v.entries[i].len > json + size || v.entries[i].id < 0 ||
                v.entries[i].id >= VOCAB_FILE_MAX_ENTRIES)
                abort();
    vocab_file_clear(&v);
    free(json);
    return 0;
}
