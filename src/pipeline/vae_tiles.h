/* Cuts one side of a latent into overlapping tiles whose weights add up to 1 everywhere, so that
 * tiles worked on one by one blend into each other without a seam.
 *
 * Approximate by nature: a tile's group norms see only the tile.  Used when nothing exact fits. */
#ifndef PIPELINE_VAE_TILES_H
#define PIPELINE_VAE_TILES_H

#include "base/error.h"

enum { VAE_TILES_OVERLAP_PERCENT = 25 };

struct vae_tiles_axis {
    int n;         /* tiles */
    int tile;      /* latent places of each */
    int *at;       /* owned; first place of each, rising */
    int scale;     /* weights per latent place */
    float *weight; /* owned; n rows of tile * scale */
};

/* length >= tile >= 1.  scale is 8 for pixels, 1 for latents.  On true the caller owns *out. */
bool vae_tiles_init(struct vae_tiles_axis *out, int length, int tile, int scale,
                    struct error *err) MUST_CHECK;
void vae_tiles_clear(struct vae_tiles_axis *axis);

/* Tiles along a side. */
int vae_tiles_count(int length, int tile);

#endif
