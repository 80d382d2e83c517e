#include "image/mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool mask_init(struct mask *out, int width, int height, struct error *err)
{
    *out = (struct mask){0};
    if (!image_check_size(width, height, image_default_limits(), err))
        return false;
    struct mask mask = {.width = width, .height = height};
    mask.px = malloc(mask_bytes(&mask));
    if (!mask.px)
        return error_set(err, ERROR_MEMORY, "no memory for a mask of %dx%d", width, height);
    *out = mask;
    return true;
}

void mask_clear(struct mask *mask)
{
    free(mask->px);
    *mask = (struct mask){0};
}

size_t mask_bytes(const struct mask *mask)
{
    return (size_t)mask->width * (size_t)mask->height;
}

/* ITU-R BT.601, in Pillow's fixed point. */
static uint8_t brightness(const uint8_t *px)
{
    return (uint8_t)((px[0] * 19595u + px[1] * 38470u + px[2] * 7471u + 0x8000u) >> 16);
}

bool mask_from_picture(struct mask *out, const struct image_file *file, bool is_round,
                       struct error *err)
{
    if (!mask_init(out, file->image.width, file->image.height, err))
        return false;
    for (size_t i = 0; i < mask_bytes(out); i++) {
        if (!file->alpha)
            out->px[i] = brightness(file->image.px + i * IMAGE_CHANNELS);
        else
            out->px[i] = !is_round ? file->alpha[i] : file->alpha[i] > 128 ? 255 : 0;
    }
    return true;
}

bool mask_read(struct mask *out, const void *bytes, size_t len, struct image_limits limits,
               bool is_round, struct error *err)
{
    struct image_file file;

    *out = (struct mask){0};
    if (!image_format_read_alpha(&file, bytes, len, limits, err))
        return error_prefix(err, "mask");
    bool ok = mask_from_picture(out, &file, is_round, err);
    image_format_clear(&file);
    return ok;
}

bool mask_load(struct mask *out, const char *path, bool is_round, struct error *err)
{
    struct image_file file;

    *out = (struct mask){0};
    if (!image_format_load_alpha(&file, path, err))
        return false;
    bool ok = mask_from_picture(out, &file, is_round, err);
    image_format_clear(&file);
    return ok;
}

void mask_invert(struct mask *mask)
{
    for (size_t i = 0; i < mask_bytes(mask); i++)
        mask->px[i] = (uint8_t)(255 - mask->px[i]);
}

/* The right half of OpenCV's kernel for bytes, the centre first: 8 bits behind the point, each
 * tap's rounding error handed to the next one inwards, the centre making the sum 256. */
static void fill_kernel(int *kernel, int radius, double sigma)
{
    const double scale = -0.5 / (sigma * sigma);
    double sum = 0, rest = 0;
    int placed = 0;

    for (int i = radius; i > 0; i--)
        sum += exp(i * i * scale);
    const double normal = 1 / (2 * sum + 1);
    for (int i = radius; i > 0; i--) {
        double exact = exp(i * i * scale) * normal * 256 + rest;
        kernel[i] = (int)rint(exact);
        rest = exact - kernel[i];
        placed += kernel[i];
    }
    kernel[0] = 256 - 2 * placed;
}

/* Mirrors at the edge without repeating it: OpenCV's BORDER_REFLECT_101. */
static int reflect(int i, int n)
{
    if (n == 1)
        return 0;
    while (i < 0 || i >= n)
        i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

/* line has radius places of room on both sides of its n. */
static void blur_line(uint8_t *out, size_t step, uint8_t *line, int n, const int *kernel,
                      int radius)
{
    for (int i = 1; i <= radius; i++) {
        line[-i] = line[reflect(-i, n)];
        line[n - 1 + i] = line[reflect(n - 1 + i, n)];
    }
    for (int x = 0; x < n; x++) {
        int sum = kernel[0] * line[x] + 128;
        for (int i = 1; i <= radius; i++)
            sum += kernel[i] * (line[x - i] + line[x + i]);
        int v = sum >> 8;
        out[(size_t)x * step] = (uint8_t)(v > 255 ? 255 : v);
    }
}

/* n_lines lines of n pixels, one pixel step apart. */
static bool blur_lines(uint8_t *px, int n_lines, size_t line_step, int n, size_t step, double sigma,
                       struct error *err)
{
    const int radius = (int)(2.5 * sigma + 0.5);
    bool ok = false;

    if (sigma == 0 || radius == 0)
        return true;
    int *kernel = malloc(((size_t)radius + 1) * sizeof *kernel);
    uint8_t *line = malloc((size_t)n + 2 * (size_t)radius);
    if (!kernel || !line) {
        error_set(err, ERROR_MEMORY, "no memory to blur a mask");
        goto done;
    }
    fill_kernel(kernel, radius, sigma);
    for (int i = 0; i < n_lines; i++) {
        uint8_t *first = px + (size_t)i * line_step;
        for (int x = 0; x < n; x++)
            line[radius + x] = first[(size_t)x * step];
        blur_line(first, step, line + radius, n, kernel, radius);
    }
    ok = true;

done:
    free(line);
    free(kernel);
    return ok;
}

bool mask_blur(struct mask *mask, double sigma_x, double sigma_y, struct error *err)
{
    const size_t row = (size_t)mask->width;

    if (!(sigma_x >= 0 && sigma_x <= MASK_MAX_BLUR && sigma_y >= 0 && sigma_y <= MASK_MAX_BLUR))
        return error_set(err, ERROR_INVALID, "mask_blur is from 0 to %d, not %g and %g",
                         MASK_MAX_BLUR, sigma_x, sigma_y);
    return blur_lines(mask->px, mask->height, row, mask->width, 1, sigma_x, err) &&
           blur_lines(mask->px, mask->width, 1, mask->height, row, sigma_y, err);
}

struct resize_view mask_view(const struct mask *mask)
{
    return (struct resize_view){.px = mask->px,
                                .width = mask->width,
                                .height = mask->height,
                                .n_channels = 1,
                                .row_bytes = (size_t)mask->width};
}

bool mask_resize(struct mask *out, const struct mask *in, int width, int height,
                 enum resize_mode mode, struct error *err)
{
    if (!mask_init(out, width, height, err))
        return false;
    if (resize_mode_into(mask_view(out), mask_view(in), mode, err))
        return true;
    mask_clear(out);
    return false;
}

void mask_strengthen(struct mask *mask)
{
    for (size_t i = 0; i < mask_bytes(mask); i++)
        mask->px[i] = (uint8_t)(mask->px[i] > 127 ? 255 : 2 * mask->px[i]);
}

bool mask_to_latent(float *out, int width, int height, const struct mask *in, bool is_round,
                    struct error *err)
{
    const struct resize_part whole = {
        .full_width = width, .full_height = height, .width = width, .height = height};
    struct mask small;

    if (!mask_init(&small, width, height, err))
        return false;
    bool ok = resize_into(mask_view(&small), mask_view(in), whole, RESIZE_BICUBIC, err);
    for (size_t i = 0; ok && i < mask_bytes(&small); i++) {
        float v = (float)small.px[i] / 255;
        out[i] = is_round ? rintf(v) : v;
    }
    mask_clear(&small);
    return ok;
}
