/* JPEG through libjpeg-turbo: grey and colour in, 8-bit RGB out; the text in EXIF's UserComment. */
#ifndef IMAGE_IMAGE_JPEG_H
#define IMAGE_IMAGE_JPEG_H

#include "image/image_format.h"

/* Ink (CMYK) is turned into light as Pillow does it, without a profile. */
bool image_jpeg_read(struct image_file *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err) MUST_CHECK;

bool image_jpeg_look(struct image_meta *out, const void *bytes, size_t len,
                     struct error *err) MUST_CHECK;

/* Baseline, colour at half resolution, optimised tables, as Pillow's default.  One EXIF block holds
 * about 32700 characters of text; more is ERROR_LIMIT. */
bool image_jpeg_write(struct buf *out, const struct image *image,
                      const struct image_write_options *options, struct error *err) MUST_CHECK;

#endif
