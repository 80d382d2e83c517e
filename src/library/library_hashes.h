/* SHA-256 of files, remembered by path, size and time, in memory and in a JSON file:
 *
 *     {"version": 1, "files": {"/models/mix.safetensors":
 *         {"bytes": 123, "modified_ns": 456, "sha256": "...", "tensors": "..."}}}
 *
 * The file is not trusted: rows that make no sense are dropped, and computed again when asked for.
 * Several processes may share it; of two that write at once one loses its news, not the file. */
#ifndef LIBRARY_LIBRARY_HASHES_H
#define LIBRARY_LIBRARY_HASHES_H

#include "library/library.h"

enum { LIBRARY_HASHES_MAX_BYTES = 16 << 20, LIBRARY_HASHES_MAX_ROWS = 20000 };

struct library_hashes; /* any thread may use it */

struct library_hashes_row {
    uint64_t bytes;
    int64_t modified_ns;
    char sha256[LIBRARY_SHA256_BYTES];
    char tensors[LIBRARY_SHA256_BYTES]; /* of a safetensors file without its header; or "" */
};

/* file "": memory only.  A file that cannot be read or makes no sense is as good as none. */
bool library_hashes_open(struct library_hashes **out, const char *file,
                         struct error *err) MUST_CHECK;
void library_hashes_close(struct library_hashes *h); /* accepts NULL */

/* Takes over what another process has written since. */
void library_hashes_reload(struct library_hashes *h);

/* False when the path is not known, or only of other bytes or another time. */
bool library_hashes_find(struct library_hashes *h, const char *path, uint64_t bytes,
                         int64_t modified_ns, struct library_hashes_row *out);

/* Remembers a row and writes the file.  Failing means the file: the row is remembered. */
bool library_hashes_add(struct library_hashes *h, const char *path,
                        const struct library_hashes_row *row, struct error *err) MUST_CHECK;

/* Reads rows from the text of such a file into h; for tests.  False: it is no such file. */
bool library_hashes_merge(struct library_hashes *h, const void *text, size_t n_bytes);

/* Rows in memory. */
size_t library_hashes_count(struct library_hashes *h);

#endif
