/* What headers tell of a file or folder: family, scale, vectors, alias, or what is wrong. */
#ifndef LIBRARY_LIBRARY_DETAILS_H
#define LIBRARY_LIBRARY_DETAILS_H

#include "library/library_entry.h"
#include "library/library_lora.h"

enum { LIBRARY_DETAILS_PROBLEM_BYTES = 400 };

/* Fields of an entry, and the texts that they need. */
struct library_details {
    const char *family; /* static */
    enum model_family model_family;
    bool v_prediction;
    int native_side, scale, n_vectors, vector_widths[2];
    bool passing;                         /* the problem may be gone when it is looked at again */
    char alias[LIBRARY_LORA_ALIAS_BYTES]; /* "": none */
    char sshs_hash[LIBRARY_SHA256_BYTES]; /* "": none */
    char problem[LIBRARY_DETAILS_PROBLEM_BYTES]; /* "": none */
};

/* Opens path and reads its headers.  root: the kind's folder, which problems do not mention. */
void library_details_read(struct library_details *out, enum library_kind kind, const char *path,
                          const char *root);

#endif
