/* The tiny autoencoder of Ollin Boer Bohan (TAESD; diffusers' AutoencoderTiny): 3x3 convolutions
 * and ReLUs of one width, no norms.  A decoder of a fraction of the work and memory, whose pictures
 * are close to AutoencoderKL's.
 *
 * The picture may be cut into bands of rows: having no norms, each needs only the rows around it,
 * which are computed again where bands meet.  The result has the same bits however it is cut. */
#ifndef NN_TAESD_H
#define NN_TAESD_H

#include "engine/graph.h"
#include "model/model_config.h"

#include <stddef.h>

/* What stands before the decoder: 3 tanh(x / 3), which keeps wild latents from it. */
void taesd_clamp(float *latent, size_t n);

/* Clamped latent [n, latent_channels, h, w], in the sampler's scale, to a picture of about 0..1,
 * not clamped.  band_rows of each level's picture; 0: nothing is cut. */
int taesd_build_decode(struct graph *g, const struct vae_config *c, int latent, int64_t band_rows);

/* Picture [n, in_channels, h, w] in 0..1, sides multiples of the scale, to its latent. */
int taesd_build_encode(struct graph *g, const struct vae_config *c, int image, int64_t band_rows);

#endif
