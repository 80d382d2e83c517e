/* Adds the deltas of a LoRA to the weights of a graph.  With weights_bind the only parts of the
 * engine that know models. */
#ifndef ENGINE_WEIGHTS_LORA_H
#define ENGINE_WEIGHTS_LORA_H

#include "engine/weights.h"
#include "model/lora_match.h"

/* Before g is laid out.  The match's LoRA is borrowed and must outlive w.  Changes nothing where no
 * delta belongs to the part's weights, and never fails but for want of memory: what has no room is
 * left out, as rank beyond GRAPH_MAX_RANK is. */
bool weights_lora_add(struct weights *w, struct graph *g, const struct lora_match *m,
                      enum model_part part, float scale, struct error *err) MUST_CHECK;

#endif
