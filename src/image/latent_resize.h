/* Enlarges and reduces latents for the "Latent" modes of the hires fix: planes of floats, with the
 * numbers of torch.nn.functional.interpolate (align_corners off, size given). */
#ifndef IMAGE_LATENT_RESIZE_H
#define IMAGE_LATENT_RESIZE_H

#include "base/error.h"

enum latent_resize_mode {
    LATENT_RESIZE_BILINEAR,
    LATENT_RESIZE_BILINEAR_ANTIALIASED,
    LATENT_RESIZE_BICUBIC,
    LATENT_RESIZE_BICUBIC_ANTIALIASED,
    LATENT_RESIZE_NEAREST,
    LATENT_RESIZE_NEAREST_EXACT,
    LATENT_RESIZE_COUNT
};

enum { LATENT_RESIZE_MAX_SIDE = 1 << 14 };

/* in is n_planes planes of in_height rows of in_width values, out the same of its size; they do not
 * overlap.  Sides are from 1 to LATENT_RESIZE_MAX_SIDE. */
bool latent_resize(float *out, int width, int height, const float *in, int in_width, int in_height,
                   size_t n_planes, enum latent_resize_mode mode, struct error *err) MUST_CHECK;

/* What latent_resize allocates. */
size_t latent_resize_scratch_bytes(int width, int height, int in_width, int in_height,
                                   enum latent_resize_mode mode);

#endif
