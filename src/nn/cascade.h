/* A picture too large to be kept, computed again for every group norm that needs its statistics.
 *
 * A chain of convolutions and residual blocks that begins with a picture that is kept.  All that
 * lies between it and the last result exists as rings of a few rows.  For each group norm the
 * chain runs from above to below as far as the norm's input, for the sums alone; then once more
 * for the result.  The work grows with the square of the chain, the memory with its width. Every
 * number is the same as in the network that is not cut (engine/graph.h says why). */
#ifndef NN_CASCADE_H
#define NN_CASCADE_H

#include "nn/bands.h"

enum { CASCADE_MAX_STAGES = 64 };

/* One convolution.  Stage i reads what stage i - 1 has written. */
struct cascade_stage {
    struct bands_layer layer;
    struct bands_layer shortcut; /* of a residual block that changes the channels; weight 0: none */
    int64_t h, w;                /* of the result */
    int from, to;                /* rings; from of the first stage: none */
    int residual;                /* ring that is added: `to`, or before the shortcut; NONE */
    int norm_weight, norm_bias;  /* of the group norm and SiLU before it; 0: none */
    int affine;                  /* of the norm, once its sums are known */
    int op, shortcut_op;         /* that wrote rows first, plus 1; 0: not yet */
};

struct cascade_ring {
    int64_t c, h, w;
    int64_t rows; /* that are kept */
    int64_t newest;
    int tensor;
    int readers[CASCADE_MAX_STAGES]; /* stages that read it or add it, by rising number */
    int n_readers;
};

struct cascade {
    struct graph *g;
    const struct bands *x;
    int groups;
    float eps;
    int64_t rows; /* of the tallest result that are written at a time */
    struct cascade_stage stages[CASCADE_MAX_STAGES];
    int n;
    struct cascade_ring rings[CASCADE_MAX_STAGES];
    int n_rings;
    int64_t done[CASCADE_MAX_STAGES]; /* rows of each stage, while the chain runs */
    int64_t need[CASCADE_MAX_STAGES];
};

/* x is borrowed until cascade_run.  rows: more where a graph has no room for so many operations. */
void cascade_begin(struct cascade *c, struct graph *g, const struct bands *x, int64_t rows,
                   int groups, float eps);

/* Appends.  The first stage is a convolution without norm. */
void cascade_conv(struct cascade *c, const struct bands_layer *l);
void cascade_resnet(struct cascade *c, int64_t out_c, const char *name);
void cascade_norm_conv(struct cascade *c, int64_t out_c, const char *norm, const char *conv);

/* What is in memory at the same time in any layout of what cascade_run adds: rings, and the result,
 * or of a result in bands as much as is there by then.  Adds nothing to the graph.  Returns how
 * many shapes of pictures were written to `out`, at most CASCADE_MAX_STAGES; 0: nothing is known.
 * *x_rows: lowest rows of x that are there, too; its bands need not be there yet. */
int cascade_alive(struct cascade *c, int64_t rows, int64_t n, struct graph_shape *out,
                  int64_t *x_rows);

/* The last stage's result in bands of `rows`, of which none is there after a failure; 0: one. */
struct bands cascade_run(struct cascade *c, int64_t rows);

#endif
