/* The chunks of a PNG file that are not pixels, read without libpng, which would have to unpack the
 * pixels to come to the texts behind them. */
#ifndef IMAGE_IMAGE_PNG_META_H
#define IMAGE_IMAGE_PNG_META_H

#include "image/image_meta.h"

/* Every chunk ends within the file, up to IEND.  Ask before libpng sees the file: it allocates what
 * a chunk's length claims before it reads, and only warns when that is more than the limit: 98
 * bytes could claim two gigabytes. */
bool image_png_meta_check(const void *bytes, size_t len, struct error *err) MUST_CHECK;

bool image_png_meta_look(struct image_meta *out, const void *bytes, size_t len,
                         struct error *err) MUST_CHECK;

#endif
