/* Pictures as the rest of the program passes them on: 8-bit RGB, rows from top to bottom, no
 * padding. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { IMAGE_CHANNELS = 3, IMAGE_RGBA = 4, IMAGE_MAX_SIDE = 16384, IMAGE_MAX_PIXELS = 64 << 20 };

struct image {
    uint8_t *px; /* owned; width * height * 3 bytes */
    int width, height;
};

/* What a reader accepts.  Checked against a file's header before anything is decoded. */
struct image_limits {
    int max_side;
    int64_t max_pixels;
};

struct image_limits image_default_limits(void);

/* ERROR_INVALID for empty sides, ERROR_LIMIT for too large ones. */
bool image_check_size(int64_t width, int64_t height, struct image_limits limits,
                      struct error *err) MUST_CHECK;

/* A picture of the default limits with undefined pixels. */
bool image_init(struct image *out, int width, int height, struct error *err) MUST_CHECK;
void image_clear(struct image *image);

/* For readers on their way to a picture: px holds four bytes a pixel, all 0, until they are split.
 */
bool image_init_rgba(struct image *out, int width, int height, struct error *err) MUST_CHECK;
/* RGBA becomes RGB, and *alpha, which the caller then owns, NULL when all of it is opaque. */
bool image_split_alpha(uint8_t **alpha, struct image *rgba, struct error *err) MUST_CHECK;

size_t image_bytes(const struct image *image);

enum image_order { IMAGE_HWC, IMAGE_PLANES };
enum image_range {
    IMAGE_SIGNED, /* -1..1: what a VAE speaks */
    IMAGE_UNIT,   /* 0..1: what upscalers speak */
};

/* Rounds floats to 8 bits as diffusers does: x/2 + 0.5 for signed values, clamped, times 255, to
 * the nearest, ties to even.  NaN becomes 0.  floats holds width * height * 3 values. */
bool image_from_floats(struct image *out, const float *floats, int width, int height,
                       enum image_order order, enum image_range range,
                       struct error *err) MUST_CHECK;

/* The way back: x/255, and 2x - 1 for signed values. */
void image_to_floats(float *floats, const struct image *image, enum image_order order,
                     enum image_range range);

/* Copies the rectangle, which must lie inside. */
bool image_crop(struct image *out, const struct image *in, int x, int y, int width, int height,
                struct error *err) MUST_CHECK;

#endif
