/* Where blocks of known size and lifetime go in one arena.  Internal to layout.c.
 *
 * Several orders are tried and the smallest arena wins: largest first (Pisarchyk and Lee 2020,
 * "Efficient Memory Management for Deep Neural Net Inference", greedy by size), which suits most
 * networks, and oldest first, long lives from below and short ones from above, which suits networks
 * in bands.  Equal blocks get equal places everywhere. */
#ifndef ENGINE_LAYOUT_PLACE_H
#define ENGINE_LAYOUT_PLACE_H

#include "base/error.h"

#include <stddef.h>

/* Something that needs room from one op to another, both included. */
struct layout_block {
    int first, last;
    size_t bytes, offset;
};

/* Sets every offset.  The sum of all bytes must not overflow.  Where no
 * arena of most_bytes (0: no limit) is found, nothing is placed, and *arena_bytes is a larger
 * number; where one is found, it is the one there would be without a limit. */
bool layout_place(struct layout_block *blocks, int n, size_t most_bytes, size_t *arena_bytes,
                  struct error *err) MUST_CHECK;

#endif
