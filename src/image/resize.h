/* Any size to any size, with the same filters and the same rounding as Pillow's Image.resize.
 *
 * Works through the input row by row; what it needs beside the pictures is known beforehand. */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H

#include "image/image.h"

enum resize_filter { RESIZE_NEAREST, RESIZE_BILINEAR, RESIZE_BICUBIC, RESIZE_LANCZOS };

/* A part of the enlarged or reduced picture: the whole would be full_width x full_height, the part
 * begins at x, y.  Making only a part costs only that part. */
struct resize_part {
    int full_width, full_height; /* at most RESIZE_MAX_FULL_SIDE */
    int x, y, width, height;     /* lies inside the whole; sides are at most IMAGE_MAX_SIDE */
};

enum { RESIZE_MAX_FULL_SIDE = 1 << 28 };

/* Pixels in memory, rows from top to bottom; borrowed. */
struct resize_view {
    uint8_t *px;
    int width, height;
    int n_channels;   /* 1 or 3 bytes a pixel */
    size_t row_bytes; /* from one row to the next */
};

struct resize_view resize_view_image(const struct image *image);

/* Filters widen when shrinking, so nothing aliases.  out is a new picture, also for equal sizes. */
bool resize_image(struct image *out, const struct image *in, int width, int height,
                  enum resize_filter filter, struct error *err) MUST_CHECK;

/* Writes the part into out, which has the part's size and as many channels as in, and does not
 * overlap it. */
bool resize_into(struct resize_view out, struct resize_view in, struct resize_part part,
                 enum resize_filter filter, struct error *err) MUST_CHECK;

/* The most that resize_into allocates: a few rows of the part, and the filter's weights. */
size_t resize_scratch_bytes(int in_width, int in_height, int n_channels, struct resize_part part,
                            enum resize_filter filter);

#endif
