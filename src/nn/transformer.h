/* The UNet's transformer over places: self attention, attention to the context, gated perceptron
 * (diffusers' Transformer2DModel). */
#ifndef NN_TRANSFORMER_H
#define NN_TRANSFORMER_H

#include "engine/graph.h"

struct transformer_shape {
    int depth; /* blocks of the three */
    int heads;
    int groups;  /* of the norm before the first block */
    int context; /* [n, width, 1, tokens] */
};

/* x [n, c, h, w] to the same shape, x added.  name: the weights' common prefix.  Projections before
 * and after the blocks may be stored as linear layers or as 1x1 convolutions: it is the same
 * arithmetic. */
int transformer_build(struct graph *g, const struct transformer_shape *t, int x, const char *name);

#endif
