/* Masks for inpainting: one byte a pixel, 255 where the picture is painted anew, 0 where it stays.
 *
 * The arithmetic is A1111's (modules/processing.py), so that the same mask gives the same region.
 */
#ifndef IMAGE_MASK_H
#define IMAGE_MASK_H

#include "image/image_format.h"
#include "image/resize_mode.h"

struct mask {
    uint8_t *px; /* owned; width * height bytes */
    int width, height;
};

/* A mask of the default limits with undefined pixels. */
bool mask_init(struct mask *out, int width, int height, struct error *err) MUST_CHECK;
void mask_clear(struct mask *mask);
size_t mask_bytes(const struct mask *mask);
struct resize_view mask_view(const struct mask *mask); /* for resize_into and the modes */

/* From a picture: its opacity when it is not opaque everywhere, otherwise its brightness.  is_round
 * ("mask_round") makes opacity 255 above 128 and 0 elsewhere. */
bool mask_from_picture(struct mask *out, const struct image_file *file, bool is_round,
                       struct error *err) MUST_CHECK;
/* The same from the bytes of a file. */
bool mask_read(struct mask *out, const void *bytes, size_t len, struct image_limits limits,
               bool is_round, struct error *err) MUST_CHECK;
bool mask_load(struct mask *out, const char *path, bool is_round, struct error *err) MUST_CHECK;

void mask_invert(struct mask *mask);

enum { MASK_MAX_BLUR = 256 };

/* Gaussian blur with these deviations in pixels ("mask_blur_x", "mask_blur_y"), 0..MASK_MAX_BLUR; 0
 * leaves a direction alone.  The numbers are those of OpenCV's GaussianBlur for bytes with a kernel
 * of 2 * int(2.5 * sigma + 0.5) + 1. */
bool mask_blur(struct mask *mask, double sigma_x, double sigma_y, struct error *err) MUST_CHECK;

/* Lanczos, in the mode that the picture is resized with. */
bool mask_resize(struct mask *out, const struct mask *in, int width, int height,
                 enum resize_mode mode, struct error *err) MUST_CHECK;

/* Doubles every value: what covers the original when the whole picture is processed. */
void mask_strengthen(struct mask *mask);

/* Bicubic to the size of the latent, 0..1: 1 where it is painted anew.  is_round makes every value
 * 0 or 1.  out holds width * height values. */
bool mask_to_latent(float *out, int width, int height, const struct mask *in, bool is_round,
                    struct error *err) MUST_CHECK;

#endif
