/* A file of named tensors, whatever its container: safetensors, or what PyTorch saves (.pth, .pt,
 * .ckpt, .bin).
 *
 * The container is told by its first bytes, never by the file's name.  Weights stay where they are
 * in the mapped file.  Nothing in the file is trusted, and nothing of it is executed. */
#ifndef MODEL_TENSOR_FILE_H
#define MODEL_TENSOR_FILE_H

#include "base/error.h"
#include "model/tensor_info.h"

#include <stddef.h>

struct tensor_file; /* an open file, memory mapped; one owner, read by many threads */

/* Maps path and checks everything in it but the weights themselves.  On true the caller owns *out.
 * Errors begin with path. */
bool tensor_file_open(struct tensor_file **out, const char *path, struct error *err) MUST_CHECK;

/* The same for bytes in memory, which are borrowed.  name is copied. */
bool tensor_file_from_bytes(struct tensor_file **out, const char *name, const unsigned char *bytes,
                            size_t n_bytes, struct error *err) MUST_CHECK;

/* Accepts NULL.  Everything borrowed from the file is dead afterwards. */
void tensor_file_close(struct tensor_file *file);

/* The path it was opened with. */
const char *tensor_file_path(const struct tensor_file *file);

size_t tensor_file_count(const struct tensor_file *file);

/* Tensors in the order of their names; i < tensor_file_count.  Look at dtype_known before using
 * any other field than the name. */
const struct tensor_info *tensor_file_at(const struct tensor_file *file, size_t i);

/* NULL when there is no such tensor. */
const struct tensor_info *tensor_file_find(const struct tensor_file *file, const char *name);

/* Length of path without one of the endings such files have (".safetensors", ".ckpt", ".pth",
 * ".pt",
 * ".bin"); all of path when it has none of them. */
size_t tensor_file_stem(const char *path);

#endif
