/* Files that torch.save writes: a zip of a pickle and raw storages (PyTorch 1.6 and later), or a
 * row of pickles followed by the storages (before, and whoever still asks for it).
 *
 * Tensors stay where they are in the file.  The pickle is read as data (pickle.h): nothing in the
 * file is executed, and none of its numbers is believed before it is checked. */
#ifndef MODEL_TORCH_FILE_H
#define MODEL_TORCH_FILE_H

#include "base/error.h"
#include "model/tensor_info.h"

#include <stddef.h>

struct torch_file; /* one owner, read by many threads */

/* Whether the first bytes are those of such a file, sound or not, and of no safetensors file. */
bool torch_file_is_torch(const unsigned char *bytes, size_t n_bytes);

/* bytes are borrowed for as long as the file lives, name is copied.  On true the caller owns
 * *out. */
bool torch_file_from_bytes(struct torch_file **out, const char *name, const unsigned char *bytes,
                           size_t n_bytes, struct error *err) MUST_CHECK;

/* Accepts NULL.  Everything borrowed from the file is dead afterwards. */
void torch_file_close(struct torch_file *file);

const char *torch_file_path(const struct torch_file *file);

size_t torch_file_count(const struct torch_file *file);

/* Tensors in the order of their names; i < torch_file_count. */
const struct tensor_info *torch_file_at(const struct torch_file *file, size_t i);

/* NULL when there is no such tensor. */
const struct tensor_info *torch_file_find(const struct torch_file *file, const char *name);

#endif
