/* CLIP's text encoder (Radford et al. 2021), as SD 1.x, SDXL and its refiner use it. */
#ifndef NN_CLIP_H
#define NN_CLIP_H

#include "engine/graph.h"
#include "model/model_config.h"

/* Adds the encoder to g and returns the hidden states [n, width, 1, tokens].
 *
 * ids is an input [n, 1, 1, tokens], tokens at most c->max_positions.  skip 1 is the last layer's
 * output, 2 the one before it, up to the first's; layers behind it are not built and their weights
 * not named.  final_norm: through the final layer norm, as SD 1.x wants it; SDXL does not.  more is
 * an input [1, width, 1, rows] whose rows the ids behind the vocabulary's are, or 0. */
int clip_build_words(struct graph *g, const struct clip_config *c, int ids, int more, int skip,
                     bool final_norm);

/* Without more words. */
int clip_build(struct graph *g, const struct clip_config *c, int ids, int skip, bool final_norm);

/* As clip_build_words without the final norm, but with every layer: *last is the last one's output
 * through the final norm, from which the pooled text is read. */
int clip_build_with_last(struct graph *g, const struct clip_config *c, int ids, int more, int skip,
                         int *last);

#endif
