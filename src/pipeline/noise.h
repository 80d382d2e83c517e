/* The noise that a picture starts from, as AUTOMATIC1111 makes it: of its seed, mixed with that of
 * a variation's seed, or that of another size in the middle.  Internal to pipeline/. */
#ifndef PIPELINE_NOISE_H
#define PIPELINE_NOISE_H

#include "request/gen_request.h"

struct noise_shape {
    int channels, height, width; /* of a latent */
    int scale;                   /* pixels of a place's side, for the request's seed_resize sizes */
};

/* Writes picture i's noise of a round, planes of the shape.  The first draws come from rng, the
 * picture's own generator, which goes on behind them; others from generators of their own. */
bool noise_start(float *out, struct rng *rng, const struct gen_request *r, int i,
                 struct noise_shape shape, struct error *err) MUST_CHECK;

/* Spherical interpolation from low (0) to high (1) column by column of a plane, as A1111's slerp:
 * along a straight line where the two hardly differ.  low is overwritten. */
void noise_slerp(float *low, const float *high, double part, struct noise_shape shape);

#endif
