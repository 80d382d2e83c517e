/* What a model is, for people: `diffusionapi inspect PATH`. */
#ifndef MODEL_MODEL_INSPECT_H
#define MODEL_MODEL_INSPECT_H

#include "model/model.h"

#include <stdio.h>

struct model_inspect_part {
    uint64_t parameters, bytes, tensors;
    uint64_t dtype_tensors[DTYPE_COUNT]; /* how many tensors have each type */
};

/* Counts from headers alone; tables of whole numbers count as parameters too. */
struct model_inspect_part model_inspect_count(const struct model *m, enum model_part part);

/* The files that a part's tensors lie in, each once, in the order of their names, at most `most` of
 * them; borrowed from m.  Returns how many. */
size_t model_inspect_files(const struct model *m, enum model_part part, const char **out,
                           size_t most);

/* Writes family, components, sizes, prediction and tokenizers as lines of text.  Returns false when
 * writing failed. */
bool model_inspect_write(const struct model *m, FILE *to) MUST_CHECK;

#endif
