/* AVIF through libavif, whatever AV1 codec it brings; the text in EXIF's UserComment. */
#ifndef IMAGE_IMAGE_AVIF_H
#define IMAGE_IMAGE_AVIF_H

#include "image/image_format.h"

/* How to turn the picture is what the container says; an orientation in EXIF data does not count
 * (ISO/IEC 23000-22, section 7.3.9). */
bool image_avif_look(struct image_meta *out, const void *bytes, size_t len,
                     struct error *err) MUST_CHECK;

/* 10 and 12 bits become 8.  Of an animation the first frame. */
bool image_avif_read(struct image_file *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err) MUST_CHECK;

/* 8 bits, full range, BT.601, sRGB; colour at half resolution below a quality of 90.  Needs a
 * libavif with an encoder: ERROR_INVALID says so where it has none. */
bool image_avif_write(struct buf *out, const struct image *image,
                      const struct image_write_options *options, struct error *err) MUST_CHECK;

#endif
