/* Entries: constant, counted, each in one block with its texts. */
#ifndef LIBRARY_LIBRARY_ENTRY_H
#define LIBRARY_LIBRARY_ENTRY_H

#include "library/library.h"

/* What the library alone knows of an entry. */
struct library_entry_extra {
    uint64_t stamp;      /* of the files as they were when they were opened; 0: open them again */
    int64_t modified_ns; /* of the newest file; the key of the hashes together with bytes */
    char sshs_hash[LIBRARY_SHA256_BYTES]; /* LoRA: the hash that its metadata claims, or "" */
};

/* A new entry, copied from e with its texts; the title is made here, whatever e says.  NULL when
 * there is no memory. */
const struct library_entry *library_entry_make(const struct library_entry *e,
                                               const struct library_entry_extra *x);

const struct library_entry_extra *library_entry_extra_view(const struct library_entry *e);

#endif
