/* How the autoencoder's levels are cut into bands of rows: what is held, what is computed again.
 * Internal to vae*.c. */
#ifndef NN_VAE_CUT_H
#define NN_VAE_CUT_H

#include "nn/cascade.h"
#include "nn/vae.h"

#define VAE_CUT_NORM_EPS 1e-6f /* fixed in AutoencoderKL; no config names it */

/* What to hold and what to compute again, in numbers of one picture. */
struct vae_cut {
    int64_t band_rows;
    double hold;
    int again; /* levels that nothing is held of */
    int last;  /* level of those that are cut */
};

/* Of pictures of n x ... at full size: h x w latent places, or pixels for the encoder. */
struct vae_cut vae_cut_decoder(const struct vae_config *c, struct graph_shape latent,
                               const struct vae_tiling *t);
struct vae_cut vae_cut_encoder(const struct vae_config *c, struct graph_shape image,
                               const struct vae_tiling *t);

/* One level of the decoder: its hidden state, the enlarged picture it begins with, and the level
 * below, which that one is made from. */
struct vae_cut_level {
    double hidden, enlarged, below;
    int64_t rows; /* 0: not cut */
    bool enlarged_is_held;
};

struct vae_cut_level vae_cut_up(const struct vae_config *c, const struct vae_cut *cut, int i,
                                struct graph_shape latent);

/* Rows of the bands of a level of the encoder; 0: not cut.  The last one is whole, for the middle.
 */
int64_t vae_cut_down_rows(const struct vae_config *c, const struct vae_cut *cut, int i,
                          struct graph_shape image);

static inline double vae_cut_numbers(int64_t c, int64_t h, int64_t w)
{
    return (double)c * (double)h * (double)w;
}

/* The convolution that enlarges what comes from level i - 1 of the decoder, and the one that halves
 * what level i of the encoder has made. */
struct bands_layer vae_cut_enlarging(struct graph *g, int64_t channels, int i);
struct bands_layer vae_cut_halving(struct graph *g, int64_t channels, int i);

/* The chain of what is computed again: levels from the first such one to the decoder's picture,
 * and from the image to what the first level of the encoder that is held begins with, `in` being
 * its first convolution. */
void vae_cut_chain_up(struct cascade *chain, struct graph *g, const struct vae_config *c,
                      const struct vae_cut *cut, const struct bands *x);
void vae_cut_chain_down(struct cascade *chain, struct graph *g, const struct vae_config *c,
                        const struct vae_cut *cut, const struct bands *image,
                        const struct bands_layer *in);

#endif
