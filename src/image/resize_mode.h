/* What to do when a picture's shape is not the one asked for: the resize modes of web UIs. */
#ifndef IMAGE_RESIZE_MODE_H
#define IMAGE_RESIZE_MODE_H

#include "image/resize.h"

/* The numbers are those of the wire, the job and the infotext. */
enum resize_mode {
    RESIZE_MODE_STRETCH, /* "just resize" */
    RESIZE_MODE_CROP,    /* "crop and resize": cover the target, cut what is over */
    RESIZE_MODE_FILL,    /* "resize and fill": fit inside, extend the outermost rows or columns */
    RESIZE_MODE_LATENT,  /* "just resize (latent upscale)": stretches; latents instead of pixels */
    RESIZE_MODE_COUNT
};

const char *resize_mode_name(enum resize_mode mode);

/* A name in any case, or a number's digits.  ERROR_INVALID lists what is allowed. */
bool resize_mode_parse(enum resize_mode *out, const char *text, struct error *err) MUST_CHECK;
bool resize_mode_from_number(enum resize_mode *out, double number, struct error *err) MUST_CHECK;

/* The part of the resized input that is used, and where it stands in the result. */
struct resize_mode_fit {
    struct resize_part part;
    int x, y;
};

/* All sides are 1 or more and at most IMAGE_MAX_SIDE.  Integer arithmetic as in A1111. */
struct resize_mode_fit resize_mode_fit(int in_width, int in_height, int width, int height,
                                       enum resize_mode mode);

/* Fills out, which has as many channels as in and does not overlap it, with Lanczos.  Allocates
 * what resize_scratch_bytes says of the fit's part. */
bool resize_mode_into(struct resize_view out, struct resize_view in, enum resize_mode mode,
                      struct error *err) MUST_CHECK;

/* out is a new picture, also for equal sizes. */
bool resize_mode_image(struct image *out, const struct image *in, int width, int height,
                       enum resize_mode mode, struct error *err) MUST_CHECK;

#endif
