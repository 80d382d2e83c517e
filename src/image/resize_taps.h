/* The weights with which one axis of a picture is enlarged or reduced. */
#ifndef IMAGE_RESIZE_TAPS_H
#define IMAGE_RESIZE_TAPS_H

#include "image/resize.h"

enum { RESIZE_TAPS_BITS = 32 - 8 - 2 }; /* behind the point of a weight */

/* Output i is the sum of size[i] inputs from first[i] on, with the weights k[i * width ...].  first
 * and first + size never fall from one output to the next. */
struct resize_taps {
    int *first, *size;
    int32_t *k;
    int width;  /* the most inputs of one output */
    int active; /* the most outputs that one input has a part in */
};

/* For n outputs from begin on of the out_size that in_size would become.  On true the caller clears
 * *t; a failure leaves nothing. */
bool resize_taps_init(struct resize_taps *t, int in_size, int out_size, int begin, int n,
                      enum resize_filter filter, struct error *err) MUST_CHECK;
void resize_taps_clear(struct resize_taps *t);

/* What resize_taps_init allocates, and the width and active that it sets. */
size_t resize_taps_bytes(int in_size, int out_size, int n, enum resize_filter filter);
int resize_taps_width(int in_size, int out_size, enum resize_filter filter);
int resize_taps_active(int in_size, int out_size, int n, enum resize_filter filter);

#endif
