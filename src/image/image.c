#include "image/image.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct image_limits image_default_limits(void)
{
    return (struct image_limits){.max_side = IMAGE_MAX_SIDE, .max_pixels = IMAGE_MAX_PIXELS};
}

bool image_check_size(int64_t width, int64_t height, struct image_limits limits, struct error *err)
{
    if (width < 1 || height < 1)
        return error_set(err, ERROR_INVALID, "a picture of %" PRId64 "x%" PRId64 " is empty", width,
                         height);
    /* The sides first: their product then cannot overflow. */
    if (width > limits.max_side || height > limits.max_side || width * height > limits.max_pixels)
        return error_set(err, ERROR_LIMIT,
                         "a picture of %" PRId64 "x%" PRId64
                         " is too large; at most %d a side and %" PRId64 " pixels",
                         width, height, limits.max_side, limits.max_pixels);
    return true;
}

bool image_init(struct image *out, int width, int height, struct error *err)
{
    *out = (struct image){0};
    if (!image_check_size(width, height, image_default_limits(), err))
        return false;
    struct image image = {.width = width, .height = height};
    image.px = malloc(image_bytes(&image));
    if (!image.px)
        return error_set(err, ERROR_MEMORY, "no memory for a picture of %dx%d", width, height);
    *out = image;
    return true;
}

bool image_init_rgba(struct image *out, int width, int height, struct error *err)
{
    *out = (struct image){0};
    if (!image_check_size(width, height, image_default_limits(), err))
        return false;
    uint8_t *px = calloc((size_t)width * (size_t)height, IMAGE_RGBA);
    if (!px)
        return error_set(err, ERROR_MEMORY, "no memory for a picture of %dx%d", width, height);
    *out = (struct image){.px = px, .width = width, .height = height};
    return true;
}

bool image_split_alpha(uint8_t **alpha, struct image *image, struct error *err)
{
    const size_t n = image_bytes(image) / IMAGE_CHANNELS;
    uint8_t all = 255;

    *alpha = NULL;
    uint8_t *a = malloc(n);
    if (!a)
        return error_set(err, ERROR_MEMORY, "no memory to read a picture");
    for (size_t i = 0; i < n; i++) {
        a[i] = image->px[i * IMAGE_RGBA + IMAGE_CHANNELS];
        all &= a[i];
        memmove(image->px + i * IMAGE_CHANNELS, image->px + i * IMAGE_RGBA, IMAGE_CHANNELS);
    }
    uint8_t *smaller = realloc(image->px, image_bytes(image));
    image->px = smaller ? smaller : image->px;
    if (all == 255)
        free(a);
    else
        *alpha = a;
    return true;
}

void image_clear(struct image *image)
{
    free(image->px);
    *image = (struct image){0};
}

size_t image_bytes(const struct image *image)
{
    return (size_t)image->width * (size_t)image->height * IMAGE_CHANNELS;
}

/* How far the channels of a pixel, and two pixels, are apart. */
static void strides(size_t *channel, size_t *pixel, size_t n_pixels, enum image_order order)
{
    *channel = order == IMAGE_HWC ? 1 : n_pixels;
    *pixel = order == IMAGE_HWC ? IMAGE_CHANNELS : 1;
}

static uint8_t to_byte(float x, enum image_range range)
{
    float unit = range == IMAGE_SIGNED ? x / 2 + 0.5f : x;
    if (!(unit > 0)) /* NaN ends here too */
        return 0;
    return unit >= 1 ? 255 : (uint8_t)rintf(unit * 255);
}

bool image_from_floats(struct image *out, const float *floats, int width, int height,
                       enum image_order order, enum image_range range, struct error *err)
{
    if (!image_init(out, width, height, err))
        return false;
    size_t n = (size_t)width * (size_t)height, channel, pixel;
    strides(&channel, &pixel, n, order);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < IMAGE_CHANNELS; c++)
            out->px[i * IMAGE_CHANNELS + c] = to_byte(floats[i * pixel + c * channel], range);
    return true;
}

void image_to_floats(float *floats, const struct image *image, enum image_order order,
                     enum image_range range)
{
    size_t n = (size_t)image->width * (size_t)image->height, channel, pixel;
    strides(&channel, &pixel, n, order);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < IMAGE_CHANNELS; c++) {
            float unit = (float)image->px[i * IMAGE_CHANNELS + c] / 255;
            floats[i * pixel + c * channel] = range == IMAGE_SIGNED ? 2 * unit - 1 : unit;
        }
}

bool image_crop(struct image *out, const struct image *in, int x, int y, int width, int height,
                struct error *err)
{
    *out = (struct image){0};
    if (x < 0 || y < 0 || width < 1 || height < 1 || width > in->width - x ||
        height > in->height - y)
        return error_set(err, ERROR_INVALID, "%dx%d at %d,%d does not lie inside %dx%d", width,
                         height, x, y, in->width, in->height);
    if (!image_init(out, width, height, err))
        return false;
    size_t row = (size_t)width * IMAGE_CHANNELS, in_row = (size_t)in->width * IMAGE_CHANNELS;
    for (size_t r = 0; r < (size_t)height; r++)
        memcpy(out->px + r * row, in->px + ((size_t)y + r) * in_row + (size_t)x * IMAGE_CHANNELS,
               row);
    return true;
}
