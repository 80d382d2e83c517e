/* The tensors of a model by part and diffusers name, whatever files they come from. */
#ifndef MODEL_MODEL_INDEX_H
#define MODEL_MODEL_INDEX_H

#include "model/model.h"

#include <stddef.h>

struct model_index_entry {
    char *name; /* diffusers spelling; owned */
    enum model_part part;
    struct model_tensor tensor;
};

/* Zero is an empty index. */
struct model_index {
    struct model_index_entry *entries; /* sorted by part and name once finished */
    size_t n, cap;
};

/* name is copied, what the tensor points to is borrowed. */
bool model_index_add(struct model_index *x, enum model_part part, const char *name,
                     const struct model_tensor *tensor, struct error *err) MUST_CHECK;

/* Sorts; refuses two tensors that answer to the same name. */
bool model_index_finish(struct model_index *x, struct error *err) MUST_CHECK;

void model_index_clear(struct model_index *x);

/* NULL when there is none.  Only after model_index_finish. */
const struct model_tensor *model_index_find(const struct model_index *x, enum model_part part,
                                            const char *name);

/* The same for a name put together like printf. */
const struct model_tensor *model_index_findf(const struct model_index *x, enum model_part part,
                                             const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
