/* Turns and mirrors a picture whose EXIF data says that it is stored otherwise than it is seen. */
#ifndef IMAGE_IMAGE_ORIENT_H
#define IMAGE_IMAGE_ORIENT_H

#include "image/image_format.h"

/* Whether a picture held so is shown with its sides swapped. */
bool image_orient_swaps_sides(int orientation);

/* Applies file->orientation to the pixels and the opacity, and sets it to 1. */
bool image_orient_file(struct image_file *file, struct error *err) MUST_CHECK;

#endif
