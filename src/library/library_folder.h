/* Model folders: recognised, measured, their links checked; Hugging Face's layouts. */
#ifndef LIBRARY_LIBRARY_FOLDER_H
#define LIBRARY_LIBRARY_FOLDER_H

#include "library/library.h"

enum { LIBRARY_FOLDER_PATH_BYTES = 4096, LIBRARY_FOLDER_MAX_FILES = 4096 };

/* Where links may lead: real paths without a slash at their end, or "". */
struct library_folder_fence {
    char root[LIBRARY_FOLDER_PATH_BYTES];
    char hf_cache[LIBRARY_FOLDER_PATH_BYTES];
};

/* Fills out from two paths; false when the first does not exist or is no folder. */
bool library_folder_fence(struct library_folder_fence *out, const char *root, const char *hf_cache);

/* Whether path, with every link followed, lies inside.  NULL when it does, else what is wrong: a
 * static sentence. */
const char *library_folder_leads_out(const struct library_folder_fence *f, const char *path);

/* Whether the folder at path is one of the kind: a model with model_index.json or a UNet, a VAE
 * with its configuration beside its weights or in a model. */
bool library_folder_is(enum library_kind kind, const char *path);

/* "models--org--name". */
bool library_folder_is_hf(const char *name);

/* The folder that counts in models--org--name: the snapshot that refs/main names, else the newest,
 * else (there are none: a flat tree) the folder itself. */
bool library_folder_hf_root(char out[LIBRARY_FOLDER_PATH_BYTES], const char *path);

/* "org/name" of models--org--name and org__name; "" for others. */
void library_folder_repository(char out[LIBRARY_NAME_BYTES], const char *name);

struct library_folder_size {
    uint64_t bytes;
    int64_t modified_ns;
    uint64_t stamp;
    const char *problem; /* static; NULL: none */
};

/* Looks at the files that a model is read from. */
void library_folder_measure(struct library_folder_size *out, enum library_kind kind,
                            const char *path, const struct library_folder_fence *f);

/* Mixes another file into a size. */
struct stat;
void library_folder_count(struct library_folder_size *out, const char *name, const struct stat *st);

#endif
