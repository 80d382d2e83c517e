/* Finds the weights of a graph in a model's files: the only part of the engine that knows models.
 */
#ifndef ENGINE_WEIGHTS_BIND_H
#define ENGINE_WEIGHTS_BIND_H

#include "engine/weights.h"
#include "model/model.h"

/* Binds every weight of g to the part's tensors: checks presence, element type and shape.  Both are
 * borrowed and must outlive *out, which the caller owns.  Errors name the file, the tensor and what
 * differs. */
bool weights_bind(struct weights **out, const struct graph *g, const struct model *m,
                  enum model_part part, struct error *err) MUST_CHECK;

#endif
