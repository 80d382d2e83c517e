/* Semantics of ATen/native/UpSample.h and cpu/UpSampleKernel.cpp: float arithmetic throughout, the
 * horizontal pass first.  The antialiased bicubic kernel has a = -0.5 like Pillow's, the plain one
 * a = -0.75 and clamps its four places to the edge. */
#include "image/latent_resize.h"

#include <math.h>
#include <stdlib.h>

/* Output i is the sum of size[i] inputs from first[i] on; places beyond the edges mean the edge. */
struct taps {
    int *first, *size;
    float *k; /* width for each output */
    int width;
};

static bool is_antialiased(enum latent_resize_mode mode)
{
    return mode == LATENT_RESIZE_BILINEAR_ANTIALIASED || mode == LATENT_RESIZE_BICUBIC_ANTIALIASED;
}

static bool is_bicubic(enum latent_resize_mode mode)
{
    return mode == LATENT_RESIZE_BICUBIC || mode == LATENT_RESIZE_BICUBIC_ANTIALIASED;
}

/* Within one of its centre, and from one to two. */
static float cubic_near(float x, float a)
{
    return ((a + 2) * x - (a + 3)) * x * x + 1;
}

static float cubic_far(float x, float a)
{
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

static float weight(float x, bool bicubic)
{
    x = fabsf(x);
    if (!bicubic)
        return x < 1 ? 1 - x : 0;
    return x < 1 ? cubic_near(x, -0.5f) : x < 2 ? cubic_far(x, -0.5f) : 0;
}

static float support_of(float scale, enum latent_resize_mode mode)
{
    return (is_bicubic(mode) ? 2.0f : 1.0f) * (scale < 1 ? 1 : scale);
}

static int width_of(int in_size, int size, enum latent_resize_mode mode)
{
    if (is_antialiased(mode))
        return (int)ceilf(support_of((float)in_size / (float)size, mode)) * 2 + 1;
    return mode == LATENT_RESIZE_BICUBIC ? 4 : mode == LATENT_RESIZE_BILINEAR ? 2 : 1;
}

static void fill_antialiased(struct taps *t, int i, int in_size, float scale,
                             enum latent_resize_mode mode)
{
    const float support = support_of(scale, mode), inverse = scale < 1 ? 1 : 1 / scale;
    const float center = scale * ((float)i + 0.5f);
    int lo = (int)(center - support + 0.5f), hi = (int)(center + support + 0.5f);
    float *k = t->k + (size_t)i * (size_t)t->width;
    float sum = 0;

    lo = lo < 0 ? 0 : lo;
    hi = hi > in_size ? in_size : hi;
    hi = hi > lo + t->width ? lo + t->width : hi;
    for (int x = 0; x < hi - lo; x++) {
        k[x] = weight(((float)(x + lo) - center + 0.5f) * inverse, is_bicubic(mode));
        sum += k[x];
    }
    for (int x = 0; sum != 0 && x < hi - lo; x++)
        k[x] /= sum;
    t->first[i] = lo;
    t->size[i] = hi - lo;
}

static void fill_plain(struct taps *t, int i, int in_size, float scale,
                       enum latent_resize_mode mode)
{
    float *k = t->k + (size_t)i * (size_t)t->width;
    /* Torch takes the place from a float scale, but in double. */
    double at = (double)scale * (i + 0.5) - 0.5;

    t->size[i] = t->width;
    if (mode == LATENT_RESIZE_NEAREST || mode == LATENT_RESIZE_NEAREST_EXACT) {
        t->first[i] = (int)floorf(scale * ((float)i + (mode == LATENT_RESIZE_NEAREST ? 0 : 0.5f)));
        k[0] = 1;
        return;
    }
    if (mode == LATENT_RESIZE_BILINEAR)
        at = at < 0 ? 0 : at;
    double below = floor(at);
    below = below > in_size - 1 ? in_size - 1 : below;
    float x = (float)(at - below);
    x = x < 0 ? 0 : x > 1 ? 1 : x;
    if (mode == LATENT_RESIZE_BILINEAR) {
        t->first[i] = (int)below;
        k[0] = 1 - x;
        k[1] = x;
        return;
    }
    t->first[i] = (int)below - 1;
    k[0] = cubic_far(x + 1, -0.75f);
    k[1] = cubic_near(x, -0.75f);
    k[2] = cubic_near(1 - x, -0.75f);
    k[3] = cubic_far(2 - x, -0.75f);
}

static void taps_clear(struct taps *t)
{
    free(t->first);
    free(t->size);
    free(t->k);
}

static size_t taps_bytes(int in_size, int size, enum latent_resize_mode mode)
{
    return (size_t)size * (2 * sizeof(int) + (size_t)width_of(in_size, size, mode) * sizeof(float));
}

static bool taps_init(struct taps *t, int in_size, int size, enum latent_resize_mode mode)
{
    const float scale = (float)in_size / (float)size;
    const size_t n = (size_t)size;

    *t = (struct taps){.width = width_of(in_size, size, mode)};
    t->first = malloc(n * sizeof *t->first);
    t->size = malloc(n * sizeof *t->size);
    t->k = malloc(n * (size_t)t->width * sizeof *t->k);
    if (!t->first || !t->size || !t->k)
        return false;
    for (int i = 0; i < size; i++) {
        if (is_antialiased(mode))
            fill_antialiased(t, i, in_size, scale, mode);
        else
            fill_plain(t, i, in_size, scale, mode);
    }
    return true;
}

/* Sums along one axis, whose n values lie step apart. */
static float sum_taps(const float *in, size_t step, int n, const struct taps *t, int i)
{
    const float *k = t->k + (size_t)i * (size_t)t->width;
    float sum = 0;

    for (int x = 0; x < t->size[i]; x++) {
        int at = t->first[i] + x;
        at = at < 0 ? 0 : at >= n ? n - 1 : at;
        sum += in[(size_t)at * step] * k[x];
    }
    return sum;
}

static void resize_plane(float *out, int width, int height, const float *in, int in_width,
                         int in_height, const struct taps *across, const struct taps *down,
                         float *rows)
{
    float *row = rows;
    for (int y = 0; y < in_height; y++, in += in_width)
        for (int x = 0; x < width; x++)
            *row++ = sum_taps(in, 1, in_width, across, x);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            *out++ = sum_taps(rows + x, (size_t)width, in_height, down, y);
}

static bool is_side(int side)
{
    return side >= 1 && side <= LATENT_RESIZE_MAX_SIDE;
}

bool latent_resize(float *out, int width, int height, const float *in, int in_width, int in_height,
                   size_t n_planes, enum latent_resize_mode mode, struct error *err)
{
    struct taps across = {0}, down = {0};
    float *rows = NULL;

    if (!is_side(width) || !is_side(height) || !is_side(in_width) || !is_side(in_height))
        return error_set(err, ERROR_INVALID, "a latent of %dx%d cannot become %dx%d", in_width,
                         in_height, width, height);
    const size_t n_in = (size_t)in_width * (size_t)in_height;
    const size_t n_out = (size_t)width * (size_t)height;
    bool ok =
        taps_init(&across, in_width, width, mode) && taps_init(&down, in_height, height, mode);
    if (ok) {
        rows = malloc((size_t)width * (size_t)in_height * sizeof *rows);
        ok = rows != NULL;
    }
    for (size_t i = 0; ok && i < n_planes; i++)
        resize_plane(out + i * n_out, width, height, in + i * n_in, in_width, in_height, &across,
                     &down, rows);
    free(rows);
    taps_clear(&down);
    taps_clear(&across);
    return ok || error_set(err, ERROR_MEMORY, "no memory to resize a latent");
}

size_t latent_resize_scratch_bytes(int width, int height, int in_width, int in_height,
                                   enum latent_resize_mode mode)
{
    return taps_bytes(in_width, width, mode) + taps_bytes(in_height, height, mode) +
           (size_t)width * (size_t)in_height * sizeof(float);
}
