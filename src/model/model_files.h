/* The files of weights of a model's component: found, opened, and brought into the index. */
#ifndef MODEL_MODEL_FILES_H
#define MODEL_MODEL_FILES_H

#include "model/model_index.h"
#include "model/tensor_file.h"

enum { MODEL_FILES_PATH_BYTES = 4096, MODEL_FILES_MAX = 1024 };

/* Zero is the empty list. */
struct model_files {
    struct tensor_file **files; /* owned */
    size_t n;
};

void model_files_clear(struct model_files *list);

/* out = dir/name; fails when that is too long. */
bool model_files_join(char out[MODEL_FILES_PATH_BYTES], const char *dir, const char *name,
                      struct error *err) MUST_CHECK;

/* True for a regular file that can be read. */
bool model_files_is_file(const char *path);

/* Opens path and appends it to the list, which owns it; *out is borrowed. */
bool model_files_open(struct model_files *list, const char *path, struct tensor_file **out,
                      struct error *err) MUST_CHECK;

/* Opens the weights in a component's folder: one file or the shards of an index; safetensors before
 * PyTorch's .bin, the variant in full precision before the one called fp16.  All their tensors go
 * into x. */
bool model_files_open_part(struct model_files *list, struct model_index *x, const char *dir,
                           enum model_part part, struct error *err) MUST_CHECK;

/* What the engine can know of t.  Fails for types and shapes that it cannot read. */
bool model_files_tensor(struct model_tensor *out, const struct tensor_file *file,
                        const struct tensor_info *t, struct error *err) MUST_CHECK;

#endif
