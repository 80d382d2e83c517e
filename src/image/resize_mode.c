/* Semantics of resize_image in A1111's modules/images.py.  One difference: its bands are a bicubic
 * enlargement of an empty box at the edge, which overshoots (9/8 of the outermost row less 1/8 of
 * the next); here they repeat the outermost row or column. */
#include "image/resize_mode.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static const char *const names[RESIZE_MODE_COUNT] = {
    "just resize", "crop and resize", "resize and fill", "just resize (latent upscale)"};

const char *resize_mode_name(enum resize_mode mode)
{
    return names[mode];
}

bool resize_mode_parse(enum resize_mode *out, const char *text, struct error *err)
{
    for (int i = 0; i < RESIZE_MODE_COUNT; i++)
        if (strcasecmp(text, names[i]) == 0 || (text[0] == '0' + i && text[1] == 0)) {
            *out = (enum resize_mode)i;
            return true;
        }
    return error_set(err, ERROR_INVALID,
                     "resize_mode '%.100s' is unknown; it is 0 \"%s\", 1 \"%s\", 2 \"%s\" or 3 "
                     "\"%s\"",
                     text, names[0], names[1], names[2], names[3]);
}

bool resize_mode_from_number(enum resize_mode *out, double number, struct error *err)
{
    if (!(number >= 0 && number < RESIZE_MODE_COUNT) || number != floor(number))
        return error_set(err, ERROR_INVALID, "resize_mode is from 0 to %d, not %g",
                         RESIZE_MODE_COUNT - 1, number);
    *out = (enum resize_mode)(int)number;
    return true;
}

struct resize_mode_fit resize_mode_fit(int in_width, int in_height, int width, int height,
                                       enum resize_mode mode)
{
    /* Sides are at most 2^14, so products fit. */
    const bool is_wider = width * in_height > in_width * height;
    const bool is_narrower = width * in_height < in_width * height;
    int full_width = width, full_height = height;

    if ((mode == RESIZE_MODE_CROP && is_wider) || (mode == RESIZE_MODE_FILL && is_narrower))
        full_height = in_height * width / in_width;
    if ((mode == RESIZE_MODE_CROP && is_narrower) || (mode == RESIZE_MODE_FILL && is_wider))
        full_width = in_width * height / in_height;
    full_width = full_width < 1 ? 1 : full_width;
    full_height = full_height < 1 ? 1 : full_height;

    struct resize_mode_fit fit = {.part = {.full_width = full_width, .full_height = full_height}};
    int x = width / 2 - full_width / 2, y = height / 2 - full_height / 2;
    fit.x = x > 0 ? x : 0;
    fit.y = y > 0 ? y : 0;
    fit.part.x = x < 0 ? -x : 0;
    fit.part.y = y < 0 ? -y : 0;
    fit.part.width = full_width < width ? full_width : width;
    fit.part.height = full_height < height ? full_height : height;
    return fit;
}

/* Repeats the outermost columns of a row sideways. */
static void extend_row(uint8_t *row, int width, int begin, int end, size_t n)
{
    for (int i = 0; i < begin; i++)
        memcpy(row + (size_t)i * n, row + (size_t)begin * n, n);
    for (int i = end; i < width; i++)
        memcpy(row + (size_t)i * n, row + (size_t)(end - 1) * n, n);
}

static void extend(struct resize_view out, const struct resize_mode_fit *fit)
{
    const size_t n = (size_t)out.n_channels, row_bytes = (size_t)out.width * n;
    const int end = fit->y + fit->part.height;

    for (int y = fit->y; y < end; y++)
        extend_row(out.px + (size_t)y * out.row_bytes, out.width, fit->x, fit->x + fit->part.width,
                   n);
    for (int y = 0; y < fit->y; y++)
        memcpy(out.px + (size_t)y * out.row_bytes, out.px + (size_t)fit->y * out.row_bytes,
               row_bytes);
    for (int y = end; y < out.height; y++)
        memcpy(out.px + (size_t)y * out.row_bytes, out.px + (size_t)(end - 1) * out.row_bytes,
               row_bytes);
}

static bool is_side(int side)
{
    return side >= 1 && side <= IMAGE_MAX_SIDE;
}

bool resize_mode_into(struct resize_view out, struct resize_view in, enum resize_mode mode,
                      struct error *err)
{
    if (!is_side(out.width) || !is_side(out.height) || !is_side(in.width) || !is_side(in.height))
        return error_set(err, ERROR_INVALID, "%dx%d cannot be resized to %dx%d", in.width,
                         in.height, out.width, out.height);
    const struct resize_mode_fit fit =
        resize_mode_fit(in.width, in.height, out.width, out.height, mode);
    struct resize_view inner = out;
    inner.px = out.px + (size_t)fit.y * out.row_bytes + (size_t)fit.x * (size_t)out.n_channels;
    inner.width = fit.part.width;
    inner.height = fit.part.height;
    if (!resize_into(inner, in, fit.part, RESIZE_LANCZOS, err))
        return false;
    extend(out, &fit);
    return true;
}

bool resize_mode_image(struct image *out, const struct image *in, int width, int height,
                       enum resize_mode mode, struct error *err)
{
    if (!image_init(out, width, height, err))
        return false;
    if (resize_mode_into(resize_view_image(out), resize_view_image(in), mode, err))
        return true;
    image_clear(out);
    return false;
}
