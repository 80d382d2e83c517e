/* Brings a region of a convolution's source to prepared rows.  Internal to cpu_conv*.c. */
#ifndef ENGINE_CPU_CPU_CONV_ROWS_H
#define ENGINE_CPU_CPU_CONV_ROWS_H

#include "engine/cpu/cpu_conv_plan.h"

/* Some rows of every stored picture. */
struct conv_window {
    const float *x;
    struct conv_rows_of rows;
};

/* What preparing reads. */
struct conv_rows {
    const struct cpu_conv_plan *plan;
    const float *source[2];
    struct conv_rows_of joined;                   /* rows of source 1 */
    struct conv_window window[GRAPH_MAX_WINDOWS]; /* of source 0, from above to below */
    int n_windows;
    const float *affine; /* n pictures of c scales and c shifts; NULL: none */
};

/* Prepares rows [first, first + n) of the region's padded picture, counted over all its pictures
 * and phases together (see cpu_conv_rows_count), for one block of channels. */
void cpu_conv_rows_prepare(const struct conv_rows *s, const struct conv_region *r,
                           const struct conv_block *b, void *to, int64_t first, int64_t n);

/* Rows of the padded picture, all pictures and phases together. */
int64_t cpu_conv_rows_count(const struct cpu_conv_plan *p, const struct conv_region *r);

#endif
