/* Where each weight of a graph lives, and when.
 *
 * Nothing is copied: weights stay in the mapped files, and the kernels read them as stored.  Which
 * tensor of a model is which weight is weights_bind's business. */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "base/dtype.h"
#include "engine/graph.h"

#include <stddef.h>

struct weights; /* the weights of one graph */

struct weight_view {
    const void *bytes; /* as stored; aligned to no more than a byte */
    enum dtype dtype;  /* F32, F16 or BF16 */
    int64_t count;
};

/* For tests and tools: weight i (from 1) is views[i - 1].  The array is copied, the bytes are not.
 */
bool weights_from_views(struct weights **out, const struct graph *g,
                        const struct weight_view *views, struct error *err) MUST_CHECK;

/* The same for views into private, read-only mappings of files, whose pages can be given back.  The
 * mappings are borrowed and must outlive *out. */
bool weights_from_mapping(struct weights **out, const struct graph *g,
                          const struct weight_view *views, struct error *err) MUST_CHECK;

void weights_free(struct weights *w);

const struct weight_view *weights_find(const struct weights *w, int weight);

/* Bytes of all weights; with whole pages counted, as they will be resident. */
size_t weights_bytes(const struct weights *w);
size_t weights_resident_bytes(const struct weights *w);

/* Gives the pages back to the system; the next use reads them again from the file. */
void weights_drop(struct weights *w);

/* Around the use of one op's weights, for policies that stream. */
void weights_acquire(struct weights *w, int op);
void weights_release(struct weights *w, int op);

#endif
