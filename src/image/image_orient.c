/* The eight orientations of TIFF 6.0, page 36. */
#include "image/image_orient.h"

#include <stdlib.h>
#include <string.h>

bool image_orient_swaps_sides(int orientation)
{
    return orientation >= 5;
}

/* The place in a picture of width x height that is seen at x, y. */
static size_t source(int orientation, size_t width, size_t height, size_t x, size_t y)
{
    size_t from_x = image_orient_swaps_sides(orientation) ? y : x,
           from_y = image_orient_swaps_sides(orientation) ? x : y;

    if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        from_x = width - 1 - from_x;
    if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        from_y = height - 1 - from_y;
    return from_y * width + from_x;
}

/* Replaces *px, n_channels bytes a pixel. */
static bool turn(uint8_t **px, size_t n_channels, int orientation, size_t width, size_t height,
                 struct error *err)
{
    const size_t out_width = image_orient_swaps_sides(orientation) ? height : width;
    const size_t out_height = image_orient_swaps_sides(orientation) ? width : height;
    uint8_t *turned = malloc(width * height * n_channels), *to = turned;

    if (!turned)
        return error_set(err, ERROR_MEMORY, "no memory to turn a picture");
    for (size_t y = 0; y < out_height; y++)
        for (size_t x = 0; x < out_width; x++, to += n_channels)
            memcpy(to, *px + source(orientation, width, height, x, y) * n_channels, n_channels);
    free(*px);
    *px = turned;
    return true;
}

bool image_orient_file(struct image_file *file, struct error *err)
{
    struct image *image = &file->image;
    const int orientation = file->orientation;
    const size_t width = (size_t)image->width, height = (size_t)image->height;

    file->orientation = 1;
    if (orientation < 2 || orientation > 8)
        return true;
    if (!turn(&image->px, IMAGE_CHANNELS, orientation, width, height, err) ||
        (file->alpha && !turn(&file->alpha, 1, orientation, width, height, err)))
        return false;
    if (image_orient_swaps_sides(orientation)) {
        image->width = (int)height;
        image->height = (int)width;
    }
    return true;
}
