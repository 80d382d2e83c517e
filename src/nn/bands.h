/* A picture as windows of rows from above to below, and the blocks that work on it band by band.
 *
 * Only what is asked to be held exists whole: a picture whose statistics a group norm needs but
 * that is too large to keep is computed once for its sums and again, band by band, where it is
 * used. Every number is the same as in the network that is not cut (engine/graph.h says why).
 *
 * A pass that writes a picture reads one that it may forget: each band reaches a row further than
 * the one it is needed for, so that two neighbouring bands of what lies between suffice, and the
 * result may take the place of the residual. */
#ifndef NN_BANDS_H
#define NN_BANDS_H

#include "engine/graph.h"

enum { BANDS_MAX = 512 };

struct bands {
    int64_t c, h, w; /* of the whole picture */
    int64_t rows;    /* of the tallest band */
    int n;
    int32_t edge[BANDS_MAX + 1]; /* band b is rows [edge[b], edge[b + 1]) */
    int tensor[BANDS_MAX];       /* from above to below; 0 where nothing is */
};

/* A convolution's weights, named once however often they are used. */
struct bands_layer {
    int weight, bias;
    int64_t out_c;
    int kernel, stride;
    int pad_before, pad_after;
    bool enlarge; /* the source is doubled first */
};

/* A tensor as one band. */
struct bands bands_whole(const struct graph *g, int tensor);

/* Stride 1 and sides kept: kernel 1 or 3. */
struct bands_layer bands_layer(struct graph *g, int64_t in_c, int64_t out_c, int kernel,
                               const char *name);

/* A picture c x h x w cut into bands of `rows`, none of them there yet; 0: one. */
struct bands bands_cut(int64_t c, int64_t h, int64_t w, int64_t rows);

/* The same as a block cuts its result that begins with a layer of its own (bands_resnet.first). */
struct bands bands_cut_tapered(int64_t c, int64_t h, int64_t w, int64_t rows);

/* Rows of the two tallest neighbours. */
int64_t bands_rows_of_two(const struct bands *x);

/* What a convolution of bands takes besides its layer. */
struct bands_with {
    int affine; /* and SiLU */
    int residual;
    int into;
    enum graph_act act;
};

/* Rows [lo, hi) of the layer's result, read from the bands of x that hold what they need. */
int bands_conv_rows(struct graph *g, const struct bands *x, const struct bands_layer *l, int64_t lo,
                    int64_t hi, struct bands_with with);

/* The same from one tensor, which holds all that they need. */
int bands_conv_of(struct graph *g, int tensor, const struct bands_layer *l, int64_t lo, int64_t hi,
                  struct bands_with with);

/* Rows [*lo, *hi) of a picture h rows high that rows [from, to) of the layer's result are computed
 * from. */
void bands_conv_reads(int64_t h, const struct bands_layer *l, int64_t from, int64_t to, int64_t *lo,
                      int64_t *hi);

/* The layer's result of x in bands of `rows`, all of them; 0: one. */
struct bands bands_conv(struct graph *g, const struct bands *x, const struct bands_layer *l,
                        int64_t rows);

/* ResnetBlock2D without time (blocks_resnet). */
struct bands_resnet {
    const struct bands_layer *first; /* runs before the block, its result never held; NULL: none */
    int64_t out_c;
    int64_t rows; /* of the result's bands; they are those of x where there is no `first` */
    int groups;
    float eps;
    bool hold; /* keeps the hidden picture between its two uses */
};
struct bands bands_resnet(struct graph *g, const struct bands *x, const struct bands_resnet *r,
                          const char *name);

/* Group norm, SiLU and a 3x3 convolution, `rows` rows at a time, into one tensor. */
int bands_conv_out(struct graph *g, const struct bands *x, const struct bands_resnet *r,
                   const char *norm, const char *conv);

#endif
