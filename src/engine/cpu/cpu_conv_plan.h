/* How a convolution (or linear layer) is cut into blocks.  Internal to cpu_conv*.c.
 *
 * The product has M places (rows of A), K = channels x taps, N output channels.  A region of places
 * is prepared as a padded picture, laid out so that every place's neighbours lie at the same
 * distance: tap (dy, dx) is an offset, and the whole region is one plain product per tap.  The
 * price is a few useless places at the right edge.  With stride s the picture is split into s*s
 * phases for the same reason (see conv_plan_tap).
 *
 * Two ways, whichever needs less shared scratch:
 *   many places:  all of B is packed once, shared; a task is a region, prepared by its thread;
 *   many weights: all of A is prepared once, shared; a task is a group of columns, packed by its
 *                 thread.
 * A picture that is doubled before a 3x3 kernel slides over it is never made: of its nine taps
 * those that fall on the same stored place are added up, and each of the four results above a
 * stored place is a product of four taps (Shi et al. 2016, "Is the deconvolution layer the same as
 * a convolutional layer?").  Places are then stored places, and each has `subs` = 4 results.
 *
 * Block sizes along K depend on the whole picture's shape alone, so the order of additions does
 * too: neither threads nor windows change it. */
#ifndef ENGINE_CPU_CPU_CONV_PLAN_H
#define ENGINE_CPU_CPU_CONV_PLAN_H

#include "engine/cpu/cpu_ops.h"

/* A rectangle of output places, of one picture or of several whole ones. */
struct conv_region {
    int64_t image, n_images;
    int64_t y, rows;
    int64_t x, cols;
};

/* How the rows of a picture lie in a tensor that is read or written. */
struct conv_rows_of {
    int64_t h, y0; /* rows there are, and which the first one is */
    bool ring;     /* row y in place y mod h */
    size_t c;      /* channels there are */
};

static inline int64_t conv_plan_row(const struct conv_rows_of *t, int64_t image, int64_t y)
{
    return image * t->h + (t->ring ? y % t->h : y - t->y0);
}

/* Channels [c, c + kc) of source tensor 0 or 1. */
struct conv_block {
    int source;
    int c;     /* within the source */
    int whole; /* within the joined channels */
    int kc, kc_pad;
    size_t a_row; /* bytes of a prepared row */
};

struct cpu_conv_plan {
    const struct graph_conv *op;
    const struct cpu_kernels *k;
    int n_threads;

    /* Shapes.  A kernel of 1 that changes no size sees one picture of width 1. */
    bool flat;
    int64_t images, image_rows; /* image_rows: places of one real picture, for flat ones */
    int64_t h, w;               /* stored picture, whole */
    int64_t eh, ew;             /* after enlarging */
    int64_t oh, ow;             /* places of the window, whose first row is oy */
    int64_t oy;
    struct conv_rows_of to, residual, outer;
    int channels[2];    /* that are read */
    size_t pitch[2];    /* channels there are */
    int n, weight_rows; /* output channels; rows of the weight (twice n for GEGLU) */
    int kernel, stride, pad, taps;
    int subs;         /* results of a place: 4 where a doubled picture is not made, else 1 */
    int subs_at_once; /* 2 where the packed weights of all four would be large */
    int edge; /* (kernel - 1) / stride: places a region's rows are longer than its columns */

    /* Blocks along K. */
    int kc, n_blocks, kc_pad_max;

    int rank;    /* of the weight's deltas together; 0: none */
    bool beside; /* they are products of their own (cpu_conv_beside.h), of everything at once */
    bool rounds; /* the weight with them is rounded, and may be merged (graph_round_deltas) */

    /* Blocks along N: panels of nr columns, groups of panels. */
    int n_panels;     /* of n columns; GEGLU has as many again */
    int panel_sets;   /* 2 for GEGLU */
    int group_panels; /* panels of a group */
    int n_groups;

    bool share_a;  /* the second way */
    bool direct_a; /* rows are read where they lie */
    int64_t region_rows, region_cols;
    int64_t n_regions_y, n_regions_x;

    /* Scratch, in bytes; offsets from the workspace's start. */
    size_t shared_bytes;
    size_t bias_at, shared_at, thread_at, thread_stride;
    size_t thread_a, thread_b, thread_acc; /* within a thread's part */
    size_t sum_at;                         /* within a thread's A: weights being added up */
    size_t delta_a_at, delta_down_at, delta_block_bytes; /* factors of the deltas, shared */
    size_t thread_delta;                                 /* weights with their deltas */
    size_t acc_stride;                                   /* floats */
    size_t workspace_bytes;
};

/* Fails when a size overflows. */
bool cpu_conv_plan_make(struct cpu_conv_plan *p, const struct cpu_kernels *k, int n_threads,
                        const struct graph *g, int op, struct error *err) MUST_CHECK;

/* Whether the op's doubled picture is not made (subs). */
bool cpu_conv_plan_is_doubled(const struct graph *g, int op);

/* Multiply-adds that the op's deltas take, and whether it has them beside its weight. */
double cpu_conv_plan_delta_work(const struct graph *g, int op, bool *beside);

struct conv_block cpu_conv_plan_block(const struct cpu_conv_plan *p, int i);
struct conv_region cpu_conv_plan_region(const struct cpu_conv_plan *p, int task);
int cpu_conv_plan_n_regions(const struct cpu_conv_plan *p);
struct conv_region cpu_conv_plan_everything(const struct cpu_conv_plan *p);

/* Of a prepared region, in places: the length of a row, of one picture's phase, of all pictures'
 * phase, and the places the product runs over. */
static inline int64_t conv_plan_pitch(const struct cpu_conv_plan *p, const struct conv_region *r)
{
    return r->cols + p->edge;
}

static inline int64_t conv_plan_image(const struct cpu_conv_plan *p, const struct conv_region *r)
{
    return (r->rows + p->edge) * conv_plan_pitch(p, r);
}

static inline int64_t conv_plan_phase(const struct cpu_conv_plan *p, const struct conv_region *r)
{
    return r->n_images * conv_plan_image(p, r);
}

static inline int64_t conv_plan_places(const struct cpu_conv_plan *p, const struct conv_region *r)
{
    return (r->n_images - 1) * conv_plan_image(p, r) + (r->rows - 1) * conv_plan_pitch(p, r) +
           r->cols;
}

/* Row and column of tap t of result `sub` in a prepared region, from its place. */
static inline void conv_plan_where(const struct cpu_conv_plan *p, int sub, int t, int *dy, int *dx)
{
    *dy = p->subs == 4 ? sub / 2 + t / 2 : t / p->kernel;
    *dx = p->subs == 4 ? sub % 2 + t % 2 : t % p->kernel;
}

/* Offset of tap (dy, dx) from a place, in places. */
static inline int64_t conv_plan_tap(const struct cpu_conv_plan *p, const struct conv_region *r,
                                    int dy, int dx)
{
    int phase = dy % p->stride * p->stride + dx % p->stride;
    return phase * conv_plan_phase(p, r) + dy / p->stride * conv_plan_pitch(p, r) + dx / p->stride;
}

#endif
