#include "request/resize_target.h"

#include <math.h>

enum { MULTIPLE = 8 };

struct resize_target_pair resize_target_factor(double factor)
{
    const struct resize_target_number n = {.is_given = true, .value = factor};
    return (struct resize_target_pair){.is_given = factor != 0, .width = n, .height = n};
}

int resize_target_round(int side)
{
    int up = side + MULTIPLE / 2;
    int rest = up % MULTIPLE;
    return up - (rest < 0 ? rest + MULTIPLE : rest);
}

/* The whole part of the number times its unit, rounded: pixels are 1, factors the input's side. */
static bool find_side(int *out, const char *field, const char *member,
                      struct resize_target_number number, double fallback, double unit,
                      struct error *err)
{
    double value = number.is_given ? number.value : fallback;
    double side = value * unit;

    if (!isfinite(side) || side > RESIZE_TARGET_MAX_SIDE || side < -RESIZE_TARGET_MAX_SIDE)
        return error_set(err, ERROR_INVALID, "%s: %s %g gives no size up to %d pixels", field,
                         member, value, RESIZE_TARGET_MAX_SIDE);
    *out = resize_target_round((int)side);
    return true;
}

static int own_side(int side)
{
    int rounded = resize_target_round(side);
    return rounded < MULTIPLE ? MULTIPLE : rounded;
}

bool resize_target_find(int *width, int *height, const struct resize_target_wish *wish,
                        int in_width, int in_height, struct error *err)
{
    const struct resize_target_pair *by = wish->by.is_given ? &wish->by : &wish->resized_by;
    const char *by_name = wish->by.is_given ? "resize_by" : "resized_by";
    int w = 0, h = 0;

    if (wish->to.is_given) {
        if (!find_side(&w, "resize_to", "width", wish->to.width, wish->width, 1, err) ||
            !find_side(&h, "resize_to", "height", wish->to.height, wish->height, 1, err))
            return false;
    } else if (by->is_given) {
        if (!find_side(&w, by_name, "width", by->width, 1, in_width, err) ||
            !find_side(&h, by_name, "height", by->height, 1, in_height, err))
            return false;
    }
    const bool is_usable = w > 0 && h > 0;
    *width = is_usable ? w : own_side(in_width);
    *height = is_usable ? h : own_side(in_height);
    return true;
}
