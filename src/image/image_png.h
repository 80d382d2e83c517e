/* PNG through libpng: any kind in, 8-bit RGB out.  Texts are read by image_png_meta. */
#ifndef IMAGE_IMAGE_PNG_H
#define IMAGE_IMAGE_PNG_H

#include "image/image_format.h"

/* 16-bit values lose their low byte, as in Pillow's convert("RGB"). */
bool image_png_read(struct image_file *out, const void *bytes, size_t len,
                    struct image_limits limits, struct error *err) MUST_CHECK;

/* The text goes under the keyword "parameters", into tEXt when it fits Latin-1, into iTXt
 * otherwise. */
bool image_png_write(struct buf *out, const struct image *image,
                     const struct image_write_options *options, struct error *err) MUST_CHECK;

#endif
