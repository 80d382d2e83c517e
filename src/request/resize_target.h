/* The size an img2img request asks for, from the fields of the native API. */
#ifndef REQUEST_RESIZE_TARGET_H
#define REQUEST_RESIZE_TARGET_H

#include "base/error.h"

struct resize_target_number {
    bool is_given;
    double value;
};

/* {"width": ..., "height": ...}; is_given is false for an absent, null or empty object. */
struct resize_target_pair {
    bool is_given;
    struct resize_target_number width, height; /* either may be missing */
};

/* The fields as they came; zeroes mean that none did. */
struct resize_target_wish {
    struct resize_target_pair to;         /* "resize_to", pixels */
    struct resize_target_pair by;         /* "resize_by", factors */
    struct resize_target_pair resized_by; /* the older spelling, when "resize_by" is not given */
    int width, height;                    /* of the request: for a missing member of resize_to */
};

enum { RESIZE_TARGET_MAX_SIDE = 1 << 20 };

/* A plain number means both factors; 0 counts as not given. */
struct resize_target_pair resize_target_factor(double factor);

/* To the nearest multiple of 8, 4 upwards: 515 is 512, 516 is 520, 3 is 0. */
int resize_target_round(int side);

/* resize_to, else resize_by, else resized_by, else the input's size; multiples of 8.  Where a side
 * comes out as 0 or less, the input's size is taken, at least 8 a side.  ERROR_INVALID for what is
 * no number or beyond RESIZE_TARGET_MAX_SIDE; whether the size is allowed is the request's check.
 */
bool resize_target_find(int *width, int *height, const struct resize_target_wish *wish,
                        int in_width, int in_height, struct error *err) MUST_CHECK;

#endif
