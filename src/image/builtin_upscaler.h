/* The upscalers that need no model: their names on the wire, and what each does to pixels and to
 * latents. */
#ifndef IMAGE_BUILTIN_UPSCALER_H
#define IMAGE_BUILTIN_UPSCALER_H

#include "image/latent_resize.h"
#include "image/resize.h"

struct builtin_upscaler {
    const char *name;
    bool keeps_size;                /* "None": the picture stays as it is */
    enum resize_filter filter;      /* for pixels; also what a latent mode does to a picture */
    bool is_latent;                 /* the hires fix resizes the latent and adds noise */
    enum latent_resize_mode latent; /* when is_latent */
};

/* The rows, latent modes in A1111's order; NULL behind the last. */
const struct builtin_upscaler *builtin_upscaler_at(size_t i);
/* In any case; NULL when it is none of these. */
const struct builtin_upscaler *builtin_upscaler_find(const char *name);

/* Brings a picture to width x height in pixels; "None" copies it.  out is a new picture. */
bool builtin_upscaler_run(struct image *out, const struct image *in,
                          const struct builtin_upscaler *upscaler, int width, int height,
                          struct error *err) MUST_CHECK;

#endif
