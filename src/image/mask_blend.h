/* The two places where a mask mixes pictures: filling what is painted anew with surrounding colours
 * before the work, and laying the original over the result after it. */
#ifndef IMAGE_MASK_BLEND_H
#define IMAGE_MASK_BLEND_H

#include "image/mask_region.h"

/* "inpainting_fill" on the wire. */
enum mask_blend_fill {
    MASK_BLEND_FILL,     /* surrounding colours, blurred: mask_blend_fill_image */
    MASK_BLEND_ORIGINAL, /* the picture as it is */
    MASK_BLEND_NOISE,    /* as FILL, then noise in the latent where it is painted anew */
    MASK_BLEND_NOTHING,  /* as FILL, then zeros there */
    MASK_BLEND_COUNT
};

/* Replaces what the mask covers by blurred colours from around it.  The mask has the picture's
 * size.  The same numbers as Pillow gives A1111's masking.fill. */
bool mask_blend_fill_image(struct image *image, const struct mask *mask,
                           struct error *err) MUST_CHECK;

/* What mask_blend_fill_image allocates: two pictures with opacity and a few columns. */
size_t mask_blend_fill_bytes(int width, int height);

/* Lays the original over the result: where the mask is 0 the result becomes the original again.
 * All three have the same size.  The same numbers as A1111's apply_overlay. */
void mask_blend_restore(struct image *result, const struct image *original,
                        const struct mask *mask);

/* The same for a result of the region alone: brings it to the region's size ("crop and resize"),
 * lays the original over it, and writes it into *picture, which comes as the original. */
bool mask_blend_paste(struct image *picture, const struct image *result, const struct mask *mask,
                      struct mask_region region, struct error *err) MUST_CHECK;

#endif
