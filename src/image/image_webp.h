/* WebP through libwebp: lossy and lossless in, lossy out; the text in EXIF's UserComment.  The RIFF
 * container is read and written here: libwebpmux takes time that grows with the square of the
 * number of frames. */
#ifndef IMAGE_IMAGE_WEBP_H
#define IMAGE_IMAGE_WEBP_H

#include "image/image_format.h"

bool image_webp_look(struct image_meta *out, const void *bytes, size_t len,
                     struct error *err) MUST_CHECK;

/* The first frame of an animation stands on a transparent canvas. */
bool image_webp_read(struct image_file *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err) MUST_CHECK;

/* Sides up to 16383, the format's own limit; more is ERROR_LIMIT. */
bool image_webp_write(struct buf *out, const struct image *image,
                      const struct image_write_options *options, struct error *err) MUST_CHECK;

#endif
