/* Semantics of get_crop_region_v2 and expand_crop_region in A1111's modules/masking.py. */
#include "image/mask_region.h"

#include <limits.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

bool mask_region_find(struct mask_region *out, const struct mask *mask, int padding)
{
    struct mask_region r = {INT_MAX, INT_MAX, 0, 0};
    const uint8_t *px = mask->px;

    for (int y = 0; y < mask->height; y++)
        for (int x = 0; x < mask->width; x++)
            if (*px++) {
                r.x0 = least(r.x0, x);
                r.y0 = least(r.y0, y);
                r.x1 = most(r.x1, x + 1);
                r.y1 = most(r.y1, y + 1);
            }
    *out = (struct mask_region){0};
    if (r.x1 == 0)
        return false;
    padding = least(most(padding, 0), IMAGE_MAX_SIDE);
    *out = (struct mask_region){.x0 = most(r.x0 - padding, 0),
                                .y0 = most(r.y0 - padding, 0),
                                .x1 = least(r.x1 + padding, mask->width),
                                .y1 = least(r.y1 + padding, mask->height)};
    return true;
}

/* Grows begin..end by more, half on each side, and moves it back inside 0..size. */
static void grow(int *begin, int *end, int more, int size)
{
    *begin -= more / 2;
    *end += more - more / 2;
    if (*end >= size) {
        *begin -= *end - size;
        *end = size;
    }
    if (*begin < 0) {
        *end -= *begin;
        *begin = 0;
    }
    *end = least(*end, size);
}

struct mask_region mask_region_expand(struct mask_region r, int width, int height,
                                      int picture_width, int picture_height)
{
    const int w = r.x1 - r.x0, h = r.y1 - r.y0;
    const double ratio = (double)width / height;

    if ((double)w / h > ratio)
        grow(&r.y0, &r.y1, (int)(w / ratio - h), picture_height);
    else
        grow(&r.x0, &r.x1, (int)(h * ratio - w), picture_width);
    return r;
}

/* The region of in, as a view on it. */
static bool cut(struct resize_view *out, struct resize_view in, struct mask_region r,
                struct error *err)
{
    if (r.x0 < 0 || r.y0 < 0 || r.x1 <= r.x0 || r.y1 <= r.y0 || r.x1 > in.width || r.y1 > in.height)
        return error_set(err, ERROR_INVALID, "the region %d,%d to %d,%d does not lie inside %dx%d",
                         r.x0, r.y0, r.x1, r.y1, in.width, in.height);
    *out = in;
    out->px = in.px + (size_t)r.y0 * in.row_bytes + (size_t)r.x0 * (size_t)in.n_channels;
    out->width = r.x1 - r.x0;
    out->height = r.y1 - r.y0;
    return true;
}

bool mask_region_cut_mask(struct mask *out, const struct mask *in, struct mask_region region,
                          int width, int height, struct error *err)
{
    struct resize_view from;

    *out = (struct mask){0};
    if (!cut(&from, mask_view(in), region, err) || !mask_init(out, width, height, err))
        return false;
    if (resize_mode_into(mask_view(out), from, RESIZE_MODE_FILL, err))
        return true;
    mask_clear(out);
    return false;
}

bool mask_region_cut_image(struct image *out, const struct image *in, struct mask_region region,
                           int width, int height, struct error *err)
{
    struct resize_view from;

    *out = (struct image){0};
    if (!cut(&from, resize_view_image(in), region, err) || !image_init(out, width, height, err))
        return false;
    if (resize_mode_into(resize_view_image(out), from, RESIZE_MODE_FILL, err))
        return true;
    image_clear(out);
    return false;
}
