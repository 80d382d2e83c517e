/* After Pillow's libImaging/Resample.c (8 bits per channel) and Geometry.c (nearest): 22-bit
 * fixed-point weights, the horizontal pass first and rounded to 8 bits, then the vertical one. */
#include "image/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRECISION_BITS = 32 - 8 - 2 };

/* The weights of one axis: output i is the sum of size[i] inputs from first[i] on, with the weights
 * k[i * width ...]. */
struct taps {
    int *first, *size;
    int32_t *k;
    int width;
};

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;
    return x == 0 ? 1 : sin(x * pi) / (x * pi);
}

static double weight(enum resize_filter filter, double x)
{
    const double a = -0.5; /* the bicubic kernel of Keys 1981 */

    x = fabs(x);
    if (filter == RESIZE_BILINEAR)
        return x < 1 ? 1 - x : 0;
    if (filter == RESIZE_LANCZOS)
        return x < 3 ? sinc(x) * sinc(x / 3) : 0;
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static void taps_clear(struct taps *t)
{
    free(t->first);
    free(t->size);
    free(t->k);
}

/* The weights of output i, normalised; one row of real numbers as scratch. */
static void fill_taps(struct taps *t, double *real, int i, int in_size, double scale,
                      double support, enum resize_filter filter)
{
    const double filter_scale = scale < 1 ? 1 : scale;
    const double center = (i + 0.5) * scale;
    int lo = (int)(center - support + 0.5);
    int hi = (int)(center + support + 0.5);
    double sum = 0;

    lo = lo < 0 ? 0 : lo;
    hi = hi > in_size ? in_size : hi;
    for (int x = 0; x < hi - lo; x++) {
        real[x] = weight(filter, (x + lo - center + 0.5) * (1 / filter_scale));
        sum += real[x];
    }
    int32_t *k = t->k + (size_t)i * (size_t)t->width;
    for (int x = 0; x < hi - lo; x++) {
        double fixed = (sum != 0 ? real[x] / sum : real[x]) * (1 << PRECISION_BITS);
        k[x] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    t->first[i] = lo;
    t->size[i] = hi - lo;
}

static bool taps_init(struct taps *t, int in_size, int out_size, enum resize_filter filter,
                      struct error *err)
{
    const double radius = filter == RESIZE_BILINEAR ? 1 : filter == RESIZE_BICUBIC ? 2 : 3;
    const double scale = (double)in_size / out_size;
    const double support = radius * (scale < 1 ? 1 : scale);

    *t = (struct taps){.width = (int)ceil(support) * 2 + 1};
    size_t n = (size_t)out_size, width = (size_t)t->width; /* both small: sides are at most 16384 */
    double *real = malloc(width * sizeof *real);
    t->first = malloc(n * sizeof *t->first);
    t->size = malloc(n * sizeof *t->size);
    t->k = calloc(n * width, sizeof *t->k);
    bool ok = real && t->first && t->size && t->k;
    for (int i = 0; ok && i < out_size; i++)
        fill_taps(t, real, i, in_size, scale, support, filter);
    free(real);
    return ok || error_set(err, ERROR_MEMORY, "no memory to resize a picture");
}

static uint8_t to_byte(int32_t sum)
{
    int v = sum >> PRECISION_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void resize_row(uint8_t *out, const uint8_t *in, int out_width, const struct taps *t)
{
    for (int i = 0; i < out_width; i++) {
        const int32_t *k = t->k + (size_t)i * (size_t)t->width;
        const uint8_t *px = in + (size_t)t->first[i] * IMAGE_CHANNELS;
        int32_t sum[IMAGE_CHANNELS];
        for (int c = 0; c < IMAGE_CHANNELS; c++)
            sum[c] = 1 << (PRECISION_BITS - 1);
        for (int x = 0; x < t->size[i]; x++)
            for (int c = 0; c < IMAGE_CHANNELS; c++)
                sum[c] += px[x * IMAGE_CHANNELS + c] * k[x];
        for (int c = 0; c < IMAGE_CHANNELS; c++)
            *out++ = to_byte(sum[c]);
    }
}

static void sum_rows(uint8_t *out, int32_t *sum, const uint8_t *ring, size_t row, int i,
                     const struct taps *t)
{
    const int32_t *k = t->k + (size_t)i * (size_t)t->width;

    for (size_t b = 0; b < row; b++)
        sum[b] = 1 << (PRECISION_BITS - 1);
    for (int y = 0; y < t->size[i]; y++) {
        const uint8_t *in = ring + (size_t)((t->first[i] + y) % t->width) * row;
        for (size_t b = 0; b < row; b++)
            sum[b] += in[b] * k[y];
    }
    for (size_t b = 0; b < row; b++)
        out[b] = to_byte(sum[b]);
}

/* Keeps only the rows that the vertical filter still needs, in a ring as high as the filter.  A
 * pass that would not change the size copies, as in Pillow. */
static bool filter_image(struct image *out, const struct image *in, enum resize_filter filter,
                         struct error *err)
{
    struct taps across = {0}, down = {0};
    uint8_t *ring = NULL;
    int32_t *sum = NULL;
    bool ok = false;
    const size_t row = (size_t)out->width * IMAGE_CHANNELS;
    const size_t in_row = (size_t)in->width * IMAGE_CHANNELS;
    const bool same_height = out->height == in->height;
    int next = 0; /* the first row not in the ring yet */

    if (!taps_init(&across, in->width, out->width, filter, err) ||
        !taps_init(&down, in->height, out->height, filter, err))
        goto done;
    ring = malloc((size_t)down.width * row);
    sum = malloc(row * sizeof *sum);
    if (!ring || !sum) {
        error_set(err, ERROR_MEMORY, "no memory to resize a picture");
        goto done;
    }
    for (int i = 0; i < out->height; i++) {
        int end = same_height ? i + 1 : down.first[i] + down.size[i];
        for (; next < end; next++) {
            uint8_t *to = ring + (size_t)(next % down.width) * row;
            const uint8_t *from = in->px + (size_t)next * in_row;
            if (out->width == in->width)
                memcpy(to, from, row);
            else
                resize_row(to, from, out->width, &across);
        }
        uint8_t *to = out->px + (size_t)i * row;
        if (same_height)
            memcpy(to, ring + (size_t)(i % down.width) * row, row);
        else
            sum_rows(to, sum, ring, row, i, &down);
    }
    ok = true;

done:
    free(sum);
    free(ring);
    taps_clear(&down);
    taps_clear(&across);
    return ok;
}

/* Adds the step up as Pillow does, so that the same pixels are taken where it rounds. */
static void pick_nearest(struct image *out, const struct image *in)
{
    const double x_step = (double)in->width / out->width;
    const double y_step = (double)in->height / out->height;
    uint8_t *to = out->px;
    double y = y_step * 0.5;

    for (int r = 0; r < out->height; r++, y += y_step) {
        int from_y = (int)y < in->height ? (int)y : in->height - 1;
        const uint8_t *row = in->px + (size_t)from_y * (size_t)in->width * IMAGE_CHANNELS;
        double x = x_step * 0.5;
        for (int c = 0; c < out->width; c++, x += x_step) {
            int from_x = (int)x < in->width ? (int)x : in->width - 1;
            memcpy(to, row + (size_t)from_x * IMAGE_CHANNELS, IMAGE_CHANNELS);
            to += IMAGE_CHANNELS;
        }
    }
}

bool resize_image(struct image *out, const struct image *in, int width, int height,
                  enum resize_filter filter, struct error *err)
{
    if (!image_init(out, width, height, err))
        return false;
    if (width == in->width && height == in->height)
        memcpy(out->px, in->px, image_bytes(in));
    else if (filter == RESIZE_NEAREST)
        pick_nearest(out, in);
    else if (!filter_image(out, in, filter, err)) {
        image_clear(out);
        return false;
    }
    return true;
}
