#include "memory/memory_fit.h"

#include "base/assert.h"

#include <math.h>
#include <stdint.h>

/* Sides are positive ints: the product of two fits. */
static uint64_t pixels(struct memory_size s)
{
    ASSERT(s.width > 0 && s.height > 0);
    return (uint64_t)s.width * (uint64_t)s.height;
}

bool memory_fit_is_over(struct memory_size asked, struct memory_size max)
{
    return pixels(asked) > pixels(max);
}

/* side <= sqrt(own * allowed / other), that is, a picture of that side has at most the allowed
 * pixels at the old aspect ratio. */
static bool side_fits(uint64_t side, uint64_t own, uint64_t other, uint64_t allowed)
{
    uint64_t square, left, right;
    bool left_fits = !__builtin_mul_overflow(side, side, &square) &&
                     !__builtin_mul_overflow(square, other, &left);
    bool right_fits = !__builtin_mul_overflow(own, allowed, &right);

    if (left_fits && right_fits)
        return left <= right;
    if (left_fits != right_fits)
        return left_fits;
    /* Both are beyond 2^64: sides of millions of pixels, where a double is good enough. */
    return (double)side * (double)side / (double)own <= (double)allowed / (double)other;
}

static uint64_t scale_side(uint64_t own, uint64_t other, uint64_t allowed)
{
    const uint64_t step = MEMORY_FIT_MULTIPLE;
    uint64_t side = (uint64_t)sqrt((double)own / (double)other * (double)allowed) / step * step;

    /* The estimate is off by a rounding at most. */
    while (side >= step && !side_fits(side, own, other, allowed))
        side -= step;
    while (side_fits(side + step, own, other, allowed))
        side += step;
    return side;
}

static uint64_t smallest(uint64_t side)
{
    return side < MEMORY_FIT_SMALLEST ? side : MEMORY_FIT_SMALLEST;
}

/* The long side beside a short one that could not shrink as it should: always less than it was. */
static uint64_t beside(uint64_t fixed, uint64_t allowed)
{
    return allowed / fixed / MEMORY_FIT_MULTIPLE * MEMORY_FIT_MULTIPLE;
}

struct memory_size memory_fit_size(struct memory_size asked, struct memory_size max)
{
    if (!memory_fit_is_over(asked, max))
        return asked;

    const uint64_t allowed = pixels(max);
    ASSERT(allowed >= (uint64_t)MEMORY_FIT_SMALLEST * MEMORY_FIT_SMALLEST);
    uint64_t w = scale_side((uint64_t)asked.width, (uint64_t)asked.height, allowed);
    uint64_t h = scale_side((uint64_t)asked.height, (uint64_t)asked.width, allowed);

    if (w < smallest((uint64_t)asked.width)) {
        w = smallest((uint64_t)asked.width);
        h = beside(w, allowed);
    } else if (h < smallest((uint64_t)asked.height)) {
        h = smallest((uint64_t)asked.height);
        w = beside(h, allowed);
    }
    return (struct memory_size){(int)w, (int)h};
}
