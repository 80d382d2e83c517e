/* RRDBNet: residual-in-residual dense blocks (Wang et al. 2018, "ESRGAN: Enhanced Super-Resolution
 * Generative Adversarial Networks", section 3.1), then doublings with a convolution each.
 *
 * The trunk's picture exists whole, once.  A block goes through it from above to below: its fifteen
 * convolutions follow one another a row apart, each on some rows at a time, so that no row is
 * computed twice and between them only rings of a few more rows are kept; its result takes the
 * place of what it read.  What is enlarged exists as rings alone.  Every number is the same
 * whatever the number of rows (engine/graph.h). */
#ifndef NN_RRDB_H
#define NN_RRDB_H

#include "engine/graph.h"
#include "model/upscaler_file.h"

struct rrdb_tiling {
    int64_t rows;    /* of the trunk at a time; 0: all */
    int64_t up_rows; /* of the trunk that are enlarged at a time; 0: all */
};

/* image [1, 3 * fold * fold, h, w] in 0..1, already folded (channel (c*fold + y)*fold + x is colour
 * c of pixel y, x).  Returns a tensor of 3 channels that the last convolutions write (`into`), some
 * rows each from above to below: a picture, or a ring that must be read after each of them. */
int rrdb_build(struct graph *g, const struct upscaler_config *c, int image,
               const struct rrdb_tiling *tiling);

/* About how many operations that makes, to hold against GRAPH_MAX_OPS before it is built. */
int64_t rrdb_ops(const struct upscaler_config *c, int64_t h, const struct rrdb_tiling *tiling);

#endif
