/* What a pickle written by torch.save means: which tensors it names, and in which storage each one
 * lies.  Knows nothing of the container; whoever reads that says where a storage's bytes are.
 *
 * Only names that torch.save writes for tensors have a meaning here.  Those of a list of well-known
 * packages that training programs leave beside the weights may occur and mean nothing; all others
 * are refused.  Neither kind is ever called. */
#ifndef MODEL_TORCH_PICKLE_H
#define MODEL_TORCH_PICKLE_H

#include "base/buf.h"
#include "model/pickle.h"
#include "model/tensor_info.h"

enum { TORCH_PICKLE_MAX_TENSORS = 1 << 18, TORCH_PICKLE_MAX_NAME_BYTES = 512 };

/* A storage as the pickle describes it: ('storage', type, key, location, elements). */
struct torch_pickle_storage {
    struct pickle_text key;
    struct pickle_text type_name; /* "FloatStorage" */
    const char *dtype_name;       /* safetensors' spelling; NULL: a type we do not know */
    bool dtype_known;             /* as in struct tensor_info */
    enum dtype dtype;
    uint64_t element_bytes, elements; /* their product does not wrap */
};

/* For pickle_read. */
bool torch_pickle_allows(struct pickle_text module, struct pickle_text name);

/* Reads a value of kind PICKLE_REFERENCE.  An unknown type is no error: dtype_name is NULL. */
bool torch_pickle_storage(const struct pickle *p, const struct pickle_value *v,
                          struct torch_pickle_storage *out, struct error *err) MUST_CHECK;

/* Finds the bytes of a storage: elements * element_bytes of them. */
typedef bool (*torch_pickle_find_fn)(void *ctx, const struct torch_pickle_storage *storage,
                                     const unsigned char **bytes, struct error *err);

/* Zero is the empty list. */
struct torch_pickle_tensors {
    struct tensor_info *tensors; /* owned; sorted by name */
    size_t n, cap;
    struct buf names; /* what the tensors' names point to */
};

/* Collects the tensors of the first dictionary among those called state_dict, params_ema, params,
 * model_state_dict and model at the top that has any; if there is none, all tensors of the pickle,
 * the names on the way to them joined by dots.  Tensors that cannot be read (strides that are not
 * those of rows one after the other, unknown types) have dtype_known false and no bytes. */
bool torch_pickle_collect(struct torch_pickle_tensors *out, const struct pickle *p,
                          torch_pickle_find_fn find, void *ctx, struct error *err) MUST_CHECK;

void torch_pickle_clear(struct torch_pickle_tensors *t);

#endif
