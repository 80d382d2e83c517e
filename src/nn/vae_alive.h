/* What an autoencoder needs at least, before its graph is built: pictures that are in memory at the
 * same time, whatever the layout.  Without work space and alignment, so a layout needs more. */
#ifndef NN_VAE_ALIVE_H
#define NN_VAE_ALIVE_H

#include "nn/vae.h"

enum { VAE_ALIVE_MOST = 80 };

/* Each writes at most VAE_ALIVE_MOST shapes to `out` and returns how many; 0: nothing is known.
 * The arguments are those of vae_build_decode_tiled and vae_build_encode_tiled. */
int vae_alive_decode(const struct vae_config *c, struct graph_shape latent,
                     const struct vae_tiling *tiling, struct graph_shape *out);
int vae_alive_encode(const struct vae_config *c, struct graph_shape image,
                     const struct vae_tiling *tiling, struct graph_shape *out);

#endif
