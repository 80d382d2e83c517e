/* Runs the VAE over a picture: at once, or tile by tile, blended.  Internal to pipeline/. */
#ifndef PIPELINE_VAE_TILED_H
#define PIPELINE_VAE_TILED_H

#include "pipeline/stages.h"

/* One side of a VAE: rows of c numbers, `scale` of them per latent place and direction. */
struct vae_side {
    int c, scale;
};

/* Calls of the network for one picture. */
int vae_tiled_calls(const struct plan_stage *p);

/* to = network(from) for a whole picture.  first_call of calls is for the progress. */
bool vae_tiled_run(const struct stage *s, struct network *n, enum plan_phase phase, int first_call,
                   int calls, const float *from, struct vae_side in, float *to, struct vae_side out,
                   struct error *err) MUST_CHECK;

#endif
