/* The rule by which pictures are made smaller. */
#ifndef MEMORY_MEMORY_FIT_H
#define MEMORY_MEMORY_FIT_H

#include <stdbool.h>

enum { MEMORY_FIT_MULTIPLE = 8, MEMORY_FIT_SMALLEST = 64 };

struct memory_size {
    int width, height; /* pixels, positive */
};

/* Scales asked down to no more pixels than max has: both sides times sqrt(allowed / asked), then
 * down to a multiple of 8.  Computed in whole numbers, so that 2048 under 768x768 is 768 and not
 * what a rounded quotient makes of it.
 *
 * What has no more pixels than max comes back as it is, multiple of 8 or not.  No side becomes
 * smaller than 64 or larger than it was.  Where that keeps the short side of a very long picture
 * from shrinking as far as it should, the long side shrinks further: the promise is the number of
 * pixels.  max needs 64x64 pixels for that. */
struct memory_size memory_fit_size(struct memory_size asked, struct memory_size max);

/* The picture has more pixels than max. */
bool memory_fit_is_over(struct memory_size asked, struct memory_size max);

#endif
