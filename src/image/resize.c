/* After Pillow's libImaging/Resample.c (8 bits per channel) and Geometry.c (nearest): 22-bit
 * fixed-point weights, the horizontal pass first and rounded to 8 bits, then the vertical one.
 * Integer sums do not depend on their order, so the rows may be added as they come. */
#include "image/resize.h"

#include "base/assert.h"
#include "image/resize_taps.h"

#include <stdlib.h>
#include <string.h>

/* What both passes need beside the pictures.  Enlarging keeps the last rows, 8 bits each, since few
 * of them make one row of output; reducing keeps the sums, since a row has a part in few of those.
 */
struct work {
    struct resize_taps across, down;
    bool keeps_rows;
    uint8_t *rows; /* down.width of them when they are kept, otherwise one */
    int32_t *sums; /* one row when rows are kept, otherwise down.active */
    size_t row_bytes;
};

static bool keeps_rows(int in_height, int full_height)
{
    return full_height >= in_height;
}

static void work_clear(struct work *w)
{
    resize_taps_clear(&w->across);
    resize_taps_clear(&w->down);
    free(w->rows);
    free(w->sums);
}

static bool work_init(struct work *w, struct resize_view in, struct resize_part p,
                      enum resize_filter filter, struct error *err)
{
    *w = (struct work){.keeps_rows = keeps_rows(in.height, p.full_height),
                       .row_bytes = (size_t)p.width * (size_t)in.n_channels};
    if (!resize_taps_init(&w->across, in.width, p.full_width, p.x, p.width, filter, err) ||
        !resize_taps_init(&w->down, in.height, p.full_height, p.y, p.height, filter, err)) {
        work_clear(w);
        return false;
    }
    w->rows = malloc((w->keeps_rows ? (size_t)w->down.width : 1) * w->row_bytes);
    w->sums = malloc((w->keeps_rows ? 1 : (size_t)w->down.active) * w->row_bytes * sizeof *w->sums);
    if (w->rows && w->sums)
        return true;
    work_clear(w);
    return error_set(err, ERROR_MEMORY, "no memory to resize a picture");
}

size_t resize_scratch_bytes(int in_width, int in_height, int n_channels, struct resize_part p,
                            enum resize_filter filter)
{
    if (filter == RESIZE_NEAREST)
        return (size_t)p.width * sizeof(int);
    size_t row = (size_t)p.width * (size_t)n_channels;
    size_t width = (size_t)resize_taps_width(in_height, p.full_height, filter);
    size_t active = (size_t)resize_taps_active(in_height, p.full_height, p.height, filter);
    size_t rows = keeps_rows(in_height, p.full_height) ? width + sizeof(int32_t)
                                                       : 1 + active * sizeof(int32_t);
    return resize_taps_bytes(in_width, p.full_width, p.width, filter) +
           resize_taps_bytes(in_height, p.full_height, p.height, filter) + rows * row;
}

static uint8_t to_byte(int32_t sum)
{
    int v = sum >> RESIZE_TAPS_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Inlined below with a known number of channels. */
static inline void resize_channels(uint8_t *out, const uint8_t *in, int width, int n_channels,
                                   const struct resize_taps *t)
{
    for (int i = 0; i < width; i++) {
        const int32_t *k = t->k + (size_t)i * (size_t)t->width;
        const uint8_t *px = in + (size_t)t->first[i] * (size_t)n_channels;
        int32_t sum[IMAGE_CHANNELS];
        for (int c = 0; c < n_channels; c++)
            sum[c] = 1 << (RESIZE_TAPS_BITS - 1);
        for (int x = 0; x < t->size[i]; x++)
            for (int c = 0; c < n_channels; c++)
                sum[c] += px[x * n_channels + c] * k[x];
        for (int c = 0; c < n_channels; c++)
            *out++ = to_byte(sum[c]);
    }
}

/* One row through the horizontal pass. */
static void resize_row(uint8_t *out, struct resize_view in, int y, int width,
                       const struct resize_taps *t)
{
    const uint8_t *row = in.px + (size_t)y * in.row_bytes;
    if (in.n_channels == 1)
        resize_channels(out, row, width, 1, t);
    else
        resize_channels(out, row, width, IMAGE_CHANNELS, t);
}

static void start_sums(int32_t *sums, size_t n)
{
    for (size_t b = 0; b < n; b++)
        sums[b] = 1 << (RESIZE_TAPS_BITS - 1);
}

static void add_row(int32_t *sums, const uint8_t *row, int32_t k, size_t n)
{
    for (size_t b = 0; b < n; b++)
        sums[b] += row[b] * k;
}

static void finish_sums(uint8_t *out, const int32_t *sums, size_t n)
{
    for (size_t b = 0; b < n; b++)
        out[b] = to_byte(sums[b]);
}

/* Keeps the rows that the next output may need in a ring. */
static void enlarge(struct resize_view out, struct resize_view in, const struct work *w)
{
    const struct resize_taps *t = &w->down;
    int next = t->first[0]; /* the first row not in the ring yet */

    for (int i = 0; i < out.height; i++) {
        const int32_t *k = t->k + (size_t)i * (size_t)t->width;
        for (; next < t->first[i] + t->size[i]; next++)
            resize_row(w->rows + (size_t)(next % t->width) * w->row_bytes, in, next, out.width,
                       &w->across);
        start_sums(w->sums, w->row_bytes);
        for (int y = 0; y < t->size[i]; y++)
            add_row(w->sums, w->rows + (size_t)((t->first[i] + y) % t->width) * w->row_bytes, k[y],
                    w->row_bytes);
        finish_sums(out.px + (size_t)i * out.row_bytes, w->sums, w->row_bytes);
    }
}

/* Adds each row to the sums of all outputs it has a part in; begin is the first of them not
 * finished, end the first not started. */
static void reduce(struct resize_view out, struct resize_view in, const struct work *w)
{
    const struct resize_taps *t = &w->down;
    const int last = t->first[out.height - 1] + t->size[out.height - 1];
    int begin = 0, end = 0;

    for (int y = t->first[0]; y < last; y++) {
        resize_row(w->rows, in, y, out.width, &w->across);
        for (; end < out.height && t->first[end] <= y; end++)
            start_sums(w->sums + (size_t)(end % t->active) * w->row_bytes, w->row_bytes);
        for (int i = begin; i < end; i++)
            add_row(w->sums + (size_t)(i % t->active) * w->row_bytes, w->rows,
                    t->k[(size_t)i * (size_t)t->width + (size_t)(y - t->first[i])], w->row_bytes);
        for (; begin < end && t->first[begin] + t->size[begin] == y + 1; begin++)
            finish_sums(out.px + (size_t)begin * out.row_bytes,
                        w->sums + (size_t)(begin % t->active) * w->row_bytes, w->row_bytes);
    }
}

/* The input that Pillow picks for each of n outputs from begin on: it adds the step up, and rounds
 * accordingly. */
static int pick_next(double *at, double step, int in_size)
{
    int from = (int)*at < in_size ? (int)*at : in_size - 1;
    *at += step;
    return from;
}

static bool pick_nearest(struct resize_view out, struct resize_view in, struct resize_part p,
                         struct error *err)
{
    const double x_step = (double)in.width / p.full_width;
    const double y_step = (double)in.height / p.full_height;
    const size_t n = (size_t)in.n_channels;
    double x = x_step * 0.5, y = y_step * 0.5;

    int *columns = malloc((size_t)p.width * sizeof *columns);
    if (!columns)
        return error_set(err, ERROR_MEMORY, "no memory to resize a picture");
    for (int i = 0; i < p.x; i++)
        x += x_step;
    for (int i = 0; i < p.y; i++)
        y += y_step;
    for (int i = 0; i < p.width; i++)
        columns[i] = pick_next(&x, x_step, in.width);
    for (int r = 0; r < p.height; r++) {
        const uint8_t *from = in.px + (size_t)pick_next(&y, y_step, in.height) * in.row_bytes;
        uint8_t *to = out.px + (size_t)r * out.row_bytes;
        for (int i = 0; i < p.width; i++, to += n)
            memcpy(to, from + (size_t)columns[i] * n, n);
    }
    free(columns);
    return true;
}

static bool check_axis(int in_size, int full, int begin, int n)
{
    return in_size >= 1 && in_size <= IMAGE_MAX_SIDE && full >= 1 && full <= RESIZE_MAX_FULL_SIDE &&
           n >= 1 && n <= IMAGE_MAX_SIDE && begin >= 0 && n <= full && begin <= full - n;
}

bool resize_into(struct resize_view out, struct resize_view in, struct resize_part p,
                 enum resize_filter filter, struct error *err)
{
    struct work w;

    if (!check_axis(in.width, p.full_width, p.x, p.width) ||
        !check_axis(in.height, p.full_height, p.y, p.height))
        return error_set(err, ERROR_INVALID, "%dx%d at %d,%d of %dx%d cannot be made from %dx%d",
                         p.width, p.height, p.x, p.y, p.full_width, p.full_height, in.width,
                         in.height);
    ASSERT(out.width == p.width && out.height == p.height && out.n_channels == in.n_channels);
    if (filter == RESIZE_NEAREST)
        return pick_nearest(out, in, p, err);
    if (!work_init(&w, in, p, filter, err))
        return false;
    if (w.keeps_rows)
        enlarge(out, in, &w);
    else
        reduce(out, in, &w);
    work_clear(&w);
    return true;
}

struct resize_view resize_view_image(const struct image *image)
{
    return (struct resize_view){.px = image->px,
                                .width = image->width,
                                .height = image->height,
                                .n_channels = IMAGE_CHANNELS,
                                .row_bytes = (size_t)image->width * IMAGE_CHANNELS};
}

bool resize_image(struct image *out, const struct image *in, int width, int height,
                  enum resize_filter filter, struct error *err)
{
    const struct resize_part whole = {
        .full_width = width, .full_height = height, .width = width, .height = height};

    if (!image_init(out, width, height, err))
        return false;
    if (width == in->width && height == in->height)
        memcpy(out->px, in->px, image_bytes(in));
    else if (!resize_into(resize_view_image(out), resize_view_image(in), whole, filter, err)) {
        image_clear(out);
        return false;
    }
    return true;
}
