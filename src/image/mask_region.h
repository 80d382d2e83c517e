/* "Only masked": the part of a picture that is cut out, processed at full size and put back. */
#ifndef IMAGE_MASK_REGION_H
#define IMAGE_MASK_REGION_H

#include "image/mask.h"

/* From x0, y0 up to and without x1, y1. */
struct mask_region {
    int x0, y0, x1, y1;
};

/* The smallest rectangle around everything that is not 0, padding pixels larger on each side but
 * not beyond the mask.  Returns false when the mask is 0 everywhere; *out is then empty. */
bool mask_region_find(struct mask_region *out, const struct mask *mask, int padding);

/* Makes the region wider or higher until it has the shape of width x height, as far as the picture
 * reaches; moves it inside where it would stand out. */
struct mask_region mask_region_expand(struct mask_region region, int width, int height,
                                      int picture_width, int picture_height);

/* The region of a mask or picture, fitted into width x height ("resize and fill").  The region must
 * lie inside. */
bool mask_region_cut_mask(struct mask *out, const struct mask *in, struct mask_region region,
                          int width, int height, struct error *err) MUST_CHECK;
bool mask_region_cut_image(struct image *out, const struct image *in, struct mask_region region,
                           int width, int height, struct error *err) MUST_CHECK;

#endif
