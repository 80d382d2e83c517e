/* Arithmetic of Pillow's Paste.c, Convert.c, AlphaComposite.c and BoxBlur.c; the latter
 * approximates a Gaussian by three extended boxes: Gwosdek, Grewenig, Bruhn and Weickert 2011. */
#include "image/mask_blend.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RGBA = 4,
    N_PASSES = 3,
    COLUMNS = 16, /* blurred together, since they share cache lines */
};

static uint8_t divide_255(uint32_t x)
{
    x += 128;
    return (uint8_t)(((x >> 8) + x) >> 8);
}

/* What is left of a pixel under the mask, multiplied with its opacity. */
static void keep_unmasked(uint8_t *out, const uint8_t *px, uint8_t mask)
{
    const uint32_t opacity = 255u - mask;
    for (int c = 0; c < IMAGE_CHANNELS; c++)
        out[c] = divide_255(px[c] * opacity);
    out[3] = (uint8_t)opacity;
}

/* Colours that were multiplied with their opacity get it out again. */
static void unmultiply(uint8_t *px)
{
    if (px[3] == 0 || px[3] == 255)
        return;
    for (int c = 0; c < IMAGE_CHANNELS; c++) {
        int v = 255 * px[c] / px[3];
        px[c] = (uint8_t)(v > 255 ? 255 : v);
    }
}

/* Lays above over px, both with opacity and not multiplied with it. */
static void lay_over(uint8_t *px, const uint8_t *above)
{
    enum { BITS = 7 };

    if (above[3] == 0)
        return;
    uint32_t below = px[3] * (255u - above[3]);
    uint32_t opacity = above[3] * 255u + below;
    uint32_t k_above = above[3] * 255u * 255u * (1 << BITS) / opacity;
    uint32_t k_below = 255u * (1 << BITS) - k_above;
    for (int c = 0; c < IMAGE_CHANNELS; c++) {
        uint32_t sum = above[c] * k_above + px[c] * k_below + (0x80 << BITS);
        px[c] = (uint8_t)((((sum >> 8) + sum) >> 8) >> BITS);
    }
    px[3] = divide_255(opacity);
}

/* A box of radius whole + a fraction, as weights with 24 bits behind the point. */
struct box {
    int radius;
    uint32_t inner, outer;
};

static struct box box_for(float sigma)
{
    float sigma2 = sigma * sigma / N_PASSES;
    float length = (float)sqrt(12.0 * (double)sigma2 + 1.0);
    float whole = (float)floor(((double)length - 1.0) / 2.0);
    float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * sigma2);
    part /= 6 * (sigma2 - (whole + 1) * (whole + 1));
    float radius = whole + part;

    struct box box = {.radius = (int)radius};
    box.inner = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
    box.outer = ((1u << 24) - ((uint32_t)box.radius * 2 + 1) * box.inner) / 2;
    return box;
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void blur_once(uint8_t *out, const uint8_t *in, int n, const struct box *box)
{
    for (int c = 0; c < RGBA; c++) {
        uint32_t sum = 0; /* of the box around the place before x; at most 255 * (2 * 256 + 1) */
        for (int i = -1 - box->radius; i < box->radius; i++)
            sum += in[clamp(i, n) * RGBA + c];
        for (int x = 0; x < n; x++) {
            uint32_t left = in[clamp(x - box->radius - 1, n) * RGBA + c];
            sum += in[clamp(x + box->radius, n) * RGBA + c] - left;
            uint32_t ends = left + in[clamp(x + box->radius + 1, n) * RGBA + c];
            out[x * RGBA + c] =
                (uint8_t)((sum * box->inner + ends * box->outer + (1u << 23)) >> 24);
        }
    }
}

/* Leaves the result of an odd number of passes in *line. */
static void blur_line(uint8_t *line, uint8_t *spare, int n, const struct box *box)
{
    for (int i = 0; i < N_PASSES; i++) {
        blur_once(spare, line, n, box);
        memcpy(line, spare, (size_t)n * RGBA);
    }
}

/* lines has room for COLUMNS + 1 lines of the longer side. */
static void blur(uint8_t *px, int width, int height, float sigma, uint8_t *lines)
{
    const struct box box = box_for(sigma);
    const size_t row = (size_t)width * RGBA, column = (size_t)height * RGBA;

    for (int y = 0; y < height; y++)
        blur_line(px + (size_t)y * row, lines, width, &box);
    for (int x = 0; x < width; x += COLUMNS) {
        const size_t n = (size_t)(width - x < COLUMNS ? width - x : COLUMNS);
        for (size_t y = 0; y < (size_t)height; y++)
            for (size_t i = 0; i < n; i++)
                memcpy(lines + (i + 1) * column + y * RGBA, px + y * row + ((size_t)x + i) * RGBA,
                       RGBA);
        for (size_t i = 0; i < n; i++)
            blur_line(lines + (i + 1) * column, lines, height, &box);
        for (size_t y = 0; y < (size_t)height; y++)
            for (size_t i = 0; i < n; i++)
                memcpy(px + y * row + ((size_t)x + i) * RGBA, lines + (i + 1) * column + y * RGBA,
                       RGBA);
    }
}

static size_t line_bytes(int width, int height)
{
    return (COLUMNS + 1) * (size_t)(width > height ? width : height) * RGBA;
}

size_t mask_blend_fill_bytes(int width, int height)
{
    return 2 * (size_t)width * (size_t)height * RGBA + line_bytes(width, height);
}

bool mask_blend_fill_image(struct image *image, const struct mask *mask, struct error *err)
{
    static const struct {
        float sigma;
        int repeats; /* laid over this often, since it is not opaque */
    } step[] = {{256, 1}, {64, 1}, {16, 2}, {4, 4}, {2, 2}, {0, 1}};
    const size_t n = mask_bytes(mask);
    bool ok = false;

    ASSERT(image->width == mask->width && image->height == mask->height);
    uint8_t *filled = calloc(n, RGBA);
    uint8_t *blurred = malloc(n * RGBA);
    uint8_t *lines = malloc(line_bytes(image->width, image->height));
    if (!filled || !blurred || !lines) {
        error_set(err, ERROR_MEMORY, "no memory to fill a mask");
        goto done;
    }
    for (size_t s = 0; s < sizeof step / sizeof step[0]; s++) {
        for (size_t i = 0; i < n; i++)
            keep_unmasked(blurred + i * RGBA, image->px + i * IMAGE_CHANNELS, mask->px[i]);
        if (step[s].sigma > 0)
            blur(blurred, image->width, image->height, step[s].sigma, lines);
        for (size_t i = 0; i < n; i++) {
            unmultiply(blurred + i * RGBA);
            for (int k = 0; k < step[s].repeats; k++)
                lay_over(filled + i * RGBA, blurred + i * RGBA);
        }
    }
    for (size_t i = 0; i < n; i++)
        memcpy(image->px + i * IMAGE_CHANNELS, filled + i * RGBA, IMAGE_CHANNELS);
    ok = true;

done:
    free(lines);
    free(blurred);
    free(filled);
    return ok;
}

/* One pixel of the original over one of the result. */
static void restore(uint8_t *result, const uint8_t *original, uint8_t mask)
{
    uint8_t below[RGBA] = {result[0], result[1], result[2], 255}, above[RGBA];

    keep_unmasked(above, original, mask);
    unmultiply(above);
    lay_over(below, above);
    memcpy(result, below, IMAGE_CHANNELS);
}

void mask_blend_restore(struct image *result, const struct image *original, const struct mask *mask)
{
    ASSERT(result->width == mask->width && result->height == mask->height);
    ASSERT(original->width == mask->width && original->height == mask->height);
    for (size_t i = 0; i < mask_bytes(mask); i++)
        restore(result->px + i * IMAGE_CHANNELS, original->px + i * IMAGE_CHANNELS, mask->px[i]);
}

bool mask_blend_paste(struct image *picture, const struct image *result, const struct mask *mask,
                      struct mask_region r, struct error *err)
{
    struct image part;

    ASSERT(picture->width == mask->width && picture->height == mask->height);
    ASSERT(r.x0 >= 0 && r.y0 >= 0 && r.x1 > r.x0 && r.y1 > r.y0 && r.x1 <= mask->width &&
           r.y1 <= mask->height);
    if (!resize_mode_image(&part, result, r.x1 - r.x0, r.y1 - r.y0, RESIZE_MODE_CROP, err))
        return false;
    const uint8_t *from = part.px;
    for (int y = r.y0; y < r.y1; y++)
        for (int x = r.x0; x < r.x1; x++, from += IMAGE_CHANNELS) {
            size_t i = (size_t)y * (size_t)mask->width + (size_t)x;
            uint8_t px[IMAGE_CHANNELS] = {from[0], from[1], from[2]};
            restore(px, picture->px + i * IMAGE_CHANNELS, mask->px[i]);
            memcpy(picture->px + i * IMAGE_CHANNELS, px, IMAGE_CHANNELS);
        }
    image_clear(&part);
    return true;
}
