/* The denoiser of latent diffusion (Rombach et al. 2022; Podell et al. 2023 for SDXL), as
 * diffusers' UNet2DConditionModel builds it. */
#ifndef NN_UNET_H
#define NN_UNET_H

#include "engine/graph.h"
#include "model/model_config.h"

/* Inputs of the graph.  h and w may be any size: a level halves them, rounding up, and the way up
 * meets the sizes of the way down. */
struct unet_inputs {
    int sample;   /* [n, in_channels, h, w] */
    int timestep; /* [n, channels[0], 1, 1], from unet_timestep_embedding */
    int context;  /* [n, cross_attention_dim, 1, tokens] */
    int added;    /* [n, addition_input_dim, 1, 1]: SDXL's pooled text, then the embedded time ids,
                     made    with unet_timestep_embedding of addition_time_dim; 0 where the config has
                     none */
};

/* Returns the network's output [n, out_channels, h, w]. */
int unet_build(struct graph *g, const struct unet_config *c, const struct unet_inputs *in);

/* Writes n rows of dim sines and cosines (sines first unless flip_sin_to_cos), in float32 step by
 * step as diffusers' get_timestep_embedding.  Timesteps need not be whole numbers. */
void unet_timestep_embedding(float *out, const float *timesteps, int n, int dim,
                             bool flip_sin_to_cos, int freq_shift);

/* What the UNet needs at least, before its graph is built: pictures that are in memory at the same
 * time, whatever the layout.  sample: as in unet_inputs.  Writes at most UNET_ALIVE_MOST shapes to
 * `out` and returns how many; 0: nothing is known. */
enum { UNET_ALIVE_MOST = MODEL_MAX_LEVELS * (MODEL_MAX_LAYERS + 1) + 5 };
int unet_alive(const struct unet_config *c, struct graph_shape sample, struct graph_shape *out);

#endif
