/* Reads the safetensors container: names, types, shapes and where the bytes lie.
 *
 * Knows nothing of diffusion models and converts nothing.  The file is not trusted: every number
 * in its header is checked against the file's real size before it is believed.  Tensor data is
 * never touched. */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include "base/error.h"
#include "model/tensor_info.h"

#include <stdint.h>

enum { SAFETENSORS_MAX_HEADER_BYTES = 64 << 20 };

struct safetensors; /* an open file; one owner, read by many threads */

/* Maps path and checks its whole header: lengths, types, shapes, ranges, overlaps, duplicates.
 * On true the caller owns *out. */
bool safetensors_open(struct safetensors **out, const char *path, struct error *err) MUST_CHECK;

/* The same for bytes in memory, which are borrowed.  name is copied. */
bool safetensors_from_bytes(struct safetensors **out, const char *name, const unsigned char *bytes,
                            size_t n_bytes, struct error *err) MUST_CHECK;

/* Accepts NULL.  Everything borrowed from the file is dead afterwards. */
void safetensors_close(struct safetensors *file);

/* The path it was opened with. */
const char *safetensors_path(const struct safetensors *file);

size_t safetensors_count(const struct safetensors *file);

/* Tensors in the order of their names; i < safetensors_count. */
const struct tensor_info *safetensors_at(const struct safetensors *file, size_t i);

/* NULL when there is no such tensor. */
const struct tensor_info *safetensors_find(const struct safetensors *file, const char *name);

/* Bytes of the data part that belong to no tensor.  Harmless, but no writer leaves any. */
uint64_t safetensors_unused_bytes(const struct safetensors *file);

#endif
