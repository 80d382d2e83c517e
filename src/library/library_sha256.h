/* SHA-256 of files, read in pieces. */
#ifndef LIBRARY_LIBRARY_SHA256_H
#define LIBRARY_LIBRARY_SHA256_H

#include "library/library.h"

struct library_sha256 {
    char all[LIBRARY_SHA256_BYTES]; /* 64 digits in lower case */
    /* Of what follows the header, which web UIs call a LoRA's hash (AutoV3): it stays the same when
     * metadata changes.  "" where it was not asked for, or there is no such header. */
    char tensors[LIBRARY_SHA256_BYTES];
    uint64_t bytes; /* that were read */
};

/* Hashes n files one after another as if they were one.  tensors: also without the header of the
 * first one, which is safetensors.  cancelled (may be NULL) is asked every megabyte.  A file that
 * changes meanwhile is ERROR_BUSY. */
bool library_sha256_files(struct library_sha256 *out, const char *const *paths, size_t n,
                          bool tensors, bool (*cancelled)(void *ctx), void *ctx,
                          struct error *err) MUST_CHECK;

/* True for exactly 64 hexadecimal digits in lower case. */
bool library_sha256_is(const char *text);

#endif
