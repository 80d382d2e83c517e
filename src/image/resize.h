/* Any size to any size, with the same filters and the same rounding as Pillow's Image.resize. */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H

#include "image/image.h"

enum resize_filter { RESIZE_NEAREST, RESIZE_BILINEAR, RESIZE_BICUBIC, RESIZE_LANCZOS };

/* Filters widen when shrinking, so nothing aliases.  out is a new picture, also for equal sizes. */
bool resize_image(struct image *out, const struct image *in, int width, int height,
                  enum resize_filter filter, struct error *err) MUST_CHECK;

#endif
