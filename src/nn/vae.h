/* The autoencoder between pictures and latents (Rombach et al. 2022; diffusers' AutoencoderKL). */
#ifndef NN_VAE_H
#define NN_VAE_H

#include "engine/graph.h"
#include "model/model_config.h"

/* Pixels of a latent place's side: 8 for all Stable Diffusion models. */
int vae_scale(const struct vae_config *c);

/* latent [n, latent_channels, h, w], already divided by the scaling factor, to a picture
 * [n, out_channels, scale*h, scale*w] of about -1..1, not clamped. */
int vae_build_decode(struct graph *g, const struct vae_config *c, int latent);

/* Picture [n, in_channels, h, w] in -1..1, sides multiples of the scale, to the posterior
 * [n, 2 * latent_channels, h/scale, w/scale]: first the means, then the logarithms of the
 * variances, which diffusers clamps to -30..20; not multiplied by the scaling factor. */
int vae_build_encode(struct graph *g, const struct vae_config *c, int image);

/* How to cut the work into bands of rows.  The result has the same bits however it is cut. */
struct vae_tiling {
    int64_t band_rows;  /* rows of a band of a level's picture; 0: nothing is cut */
    int64_t hold_bytes; /* pictures that are held together may take this much, at four bytes a
                           number; others are computed twice or thrice.  0: as little as the largest
                           level's hidden state takes anyway */
    int again;          /* so many of the largest levels are not held at all but computed again for
                           every norm (nn/cascade.h); at most all but one */
};

/* As above; tiling may be NULL: nothing is cut. */
int vae_build_decode_tiled(struct graph *g, const struct vae_config *c, int latent,
                           const struct vae_tiling *tiling);
int vae_build_encode_tiled(struct graph *g, const struct vae_config *c, int image,
                           const struct vae_tiling *tiling);

#endif
