/* GIF, read only: the first frame on its screen, through giflib.  Texts are the comments. */
#ifndef IMAGE_IMAGE_GIF_H
#define IMAGE_IMAGE_GIF_H

#include "image/image_format.h"

/* Reads the blocks without unpacking one; comments stand for the key "comment", several one below
 * the other. */
bool image_gif_look(struct image_meta *out, const void *bytes, size_t len,
                    struct error *err) MUST_CHECK;

/* What the frame does not cover is transparent black.  The screen grows to hold the frame, as in
 * Pillow. */
bool image_gif_read(struct image_file *out, const void *bytes, size_t len,
                    struct image_limits limits, struct error *err) MUST_CHECK;

#endif
