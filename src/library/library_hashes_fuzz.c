#include "library/library_hashes.h"
#include "library/library_sha256.h"

#include <stdlib.h>

/* Whatever the file says: no more rows than the limit, and what is found looks like a hash. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct library_hashes *h = NULL;
    struct library_hashes_row row;
    struct error err;

    if (!library_hashes_open(&h, "", &err))
        return 0;
    if (!library_hashes_merge(h, data, size) && library_hashes_count(h) != 0)
        abort();
    if (library_hashes_count(h) > LIBRARY_HASHES_MAX_ROWS)
        abort();
    if (library_hashes_find(h, "/a", 1, 2, &row) &&
        (!library_sha256_is(row.sha256) || row.bytes != 1 || row.modified_ns != 2))
        abort();
    library_hashes_close(h);
    return 0;
}
