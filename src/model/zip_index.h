/* The entries of a zip file and where their bytes lie, for files whose entries are stored as they
 * are (PyTorch's).  Decompresses nothing, writes nothing, reads no entry.
 *
 * The file is not trusted: the central directory is the one source of sizes and places, every
 * local header must agree with it, and no two entries may share a byte. */
#ifndef MODEL_ZIP_INDEX_H
#define MODEL_ZIP_INDEX_H

#include "base/error.h"

#include <stdint.h>

enum { ZIP_INDEX_MAX_ENTRIES = 1 << 20, ZIP_INDEX_MAX_NAME_BYTES = 512 };

struct zip_index_entry {
    const char *name; /* borrowed from the file; not terminated; printable UTF-8 */
    size_t name_bytes;
    uint64_t header_at, at, n_bytes; /* from the file's start: the local header, the data */
};

/* Zero is the empty index. */
struct zip_index {
    struct zip_index_entry *entries; /* owned; sorted by name */
    size_t n;
};

/* bytes are borrowed for as long as the index lives. */
bool zip_index_read(struct zip_index *out, const unsigned char *bytes, size_t n_bytes,
                    struct error *err) MUST_CHECK;

void zip_index_clear(struct zip_index *x);

/* NULL when there is none. */
const struct zip_index_entry *zip_index_find(const struct zip_index *x, const char *name,
                                             size_t name_bytes);

#endif
