/* After precompute_coeffs and normalize_coeffs_8bpc of Pillow's libImaging/Resample.c. */
#include "image/resize_taps.h"

#include <math.h>
#include <stdlib.h>

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

static double scale_of(int in_size, int out_size)
{
    return (double)in_size / out_size;
}

static double support_of(double scale, enum resize_filter filter)
{
    const double radius = filter == RESIZE_BILINEAR ? 1 : filter == RESIZE_BICUBIC ? 2 : 3;
    return radius * (scale < 1 ? 1 : scale);
}

int resize_taps_width(int in_size, int out_size, enum resize_filter filter)
{
    double width = ceil(support_of(scale_of(in_size, out_size), filter)) * 2 + 1;
    return width < in_size ? (int)width : in_size;
}

/* An input's neighbours lie within one support of it, and outputs one scale apart. */
int resize_taps_active(int in_size, int out_size, int n, enum resize_filter filter)
{
    double scale = scale_of(in_size, out_size);
    double active = ceil((2 * support_of(scale, filter) + 2) / scale) + 1;
    return active < n ? (int)active : n;
}

size_t resize_taps_bytes(int in_size, int out_size, int n, enum resize_filter filter)
{
    /* n is a picture's side; width is at most an input's side. */
    size_t width = (size_t)resize_taps_width(in_size, out_size, filter);
    return (size_t)n * (2 * sizeof(int) + width * sizeof(int32_t)) + width * sizeof(double);
}

/* The weights of output i, normalised, one row of real numbers as scratch.  The sum of their sizes
 * stays under 1.6, so that 255 times it, in this fixed point, fits 32 bits. */
static void fill(struct resize_taps *t, double *real, int i, int out, int in_size, double scale,
                 enum resize_filter filter)
{
    const double support = support_of(scale, filter);
    const double filter_scale = scale < 1 ? 1 : scale;
    const double center = (out + 0.5) * scale;
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
        double fixed = (sum != 0 ? real[x] / sum : real[x]) * (1 << RESIZE_TAPS_BITS);
        k[x] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    t->first[i] = lo;
    t->size[i] = hi - lo;
}

bool resize_taps_init(struct resize_taps *t, int in_size, int out_size, int begin, int n,
                      enum resize_filter filter, struct error *err)
{
    *t = (struct resize_taps){.width = resize_taps_width(in_size, out_size, filter),
                              .active = resize_taps_active(in_size, out_size, n, filter)};
    size_t count = (size_t)n, width = (size_t)t->width;
    double *real = malloc(width * sizeof *real);
    t->first = malloc(count * sizeof *t->first);
    t->size = malloc(count * sizeof *t->size);
    t->k = calloc(count * width, sizeof *t->k);
    bool ok = real && t->first && t->size && t->k;
    for (int i = 0; ok && i < n; i++)
        fill(t, real, i, begin + i, in_size, scale_of(in_size, out_size), filter);
    free(real);
    if (ok)
        return true;
    resize_taps_clear(t);
    return error_set(err, ERROR_MEMORY, "no memory to resize a picture");
}

void resize_taps_clear(struct resize_taps *t)
{
    free(t->first);
    free(t->size);
    free(t->k);
    *t = (struct resize_taps){0};
}
