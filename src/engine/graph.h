/* A network as a list of operations on tensors of known shape: built from sizes, executed nowhere
 * here.
 *
 * A network function (nn/) adds operations in the order they run.  The planner lays the graph out
 * and knows its bytes before a weight is read; a backend walks it.  Shapes are logical; element
 * type and physical order belong to the backend.
 *
 * A tensor may be a window: some rows of a taller picture.  A convolution computes any rows of its
 * result from windows that together hold what it reads, and a group norm's sums are taken window by
 * window, in an order that is the same however the picture is cut: a network run in bands gives the
 * same bits as one run whole.
 *
 * Or it may be a ring: of a taller picture the rows written last, row y in place y mod its height.
 * Convolutions write pictures and rings piece by piece, also some channels at a time, and read
 * their first channels alone: a dense block (Huang et al. 2017) grows in one tensor without joined
 * copies.  What rows and channels hold at an op is what ops before it wrote; that they were written
 * and not yet written over is the network function's business.
 *
 * Tensors and weights are named by small numbers; 0 means none.  A failure (no memory, too many
 * operations, shapes that do not fit together) is sticky: build the whole graph, then ask
 * graph_check once. */
#ifndef ENGINE_GRAPH_H
#define ENGINE_GRAPH_H

#include "base/error.h"

#include <stdint.h>

enum {
    GRAPH_MAX_OPS = 1 << 15,
    GRAPH_MAX_TENSORS = 1 << 15,
    GRAPH_MAX_WEIGHTS = 1 << 15,
    GRAPH_MAX_NAME = 128,
    GRAPH_MAX_DIM = 1 << 24,
    GRAPH_MAX_WINDOWS = 8, /* of one source */
    GRAPH_MAX_READS = GRAPH_MAX_WINDOWS + 4,
    GRAPH_MAX_RANK = 1 << 15 /* of all deltas of one weight together */
};

/* n pictures or prompts of c channels over h x w places.  Tokens are a picture of height 1: c is
 * their width, w their count.  A "row" is one place: there are n*h*w rows of c numbers. */
struct graph_shape {
    int64_t n, c, h, w;
};

enum graph_act {
    GRAPH_ACT_NONE,
    GRAPH_ACT_SILU,
    GRAPH_ACT_QUICK_GELU, /* x * sigmoid(1.702 x) */
    GRAPH_ACT_GELU,       /* x * Phi(x), by erf */
    GRAPH_ACT_RELU,
    GRAPH_ACT_LEAKY_RELU, /* x, and 0.2 x below zero */
    GRAPH_ACT_GEGLU       /* the weight has 2c rows: out = first * gelu(second); kernel 1 only */
};

enum graph_op_kind {
    GRAPH_OP_CONV,       /* convolution and linear layer (kernel 1) */
    GRAPH_OP_GROUP_NORM, /* statistics of a group norm, as one scale and one shift per channel */
    GRAPH_OP_LAYER_NORM,
    GRAPH_OP_ATTENTION,
    GRAPH_OP_EMBED,     /* token and position embedding */
    GRAPH_OP_ACT,       /* out = act(a + b), b optional */
    GRAPH_OP_NORM_SUMS, /* sums of each channel of some rows, added to those of the rows above */
    GRAPH_OP_KINDS
};

/* What an operation reads: up to two tensors side by side in c, brought to the form the operation
 * wants on the way in, so that no normalised, activated, enlarged or joined copy exists. */
struct graph_source {
    int x;
    int x2;       /* more channels behind those of x; same n, h, w; 0: none */
    int affine;   /* a GRAPH_OP_GROUP_NORM result over the joined channels: y = x*scale + shift */
    bool silu;    /* after the affine */
    bool enlarge; /* nearest neighbour, before the kernel slides over it: row y of the enlarged
                     picture is row floor(y * h / enlarged h) */
    int64_t enlarge_h, enlarge_w;    /* 0: twice the size of the whole picture */
    int64_t channels;                /* of x2, or of x where there is no x2, only the first so many;
                                        0: all */
    int more[GRAPH_MAX_WINDOWS - 1]; /* windows that follow x from above to below without a gap;
                                        the first 0 ends them; only without x2 */
};

struct graph_conv {
    struct graph_source in;
    int weight; /* [out_c, in_c, kernel, kernel], or [out_c, in_c] for kernel 1 */
    int bias;   /* [out_c], or 0 */
    int64_t out_c;
    int kernel;                /* 1 or 3 */
    int stride;                /* 1 or 2 */
    int pad_before, pad_after; /* zeros (after norm and silu) above/left and below/right */
    int channel_add;           /* [n, out_c, 1, 1], added to every place; 0: none */
    enum graph_act act;
    float scale;       /* of what act gives; 0: 1 */
    int residual;      /* as many channels as the result, and holds its rows; added; 0: none */
    float outer_scale; /* of all that, where there is an outer residual */
    int outer;         /* like residual; added last; 0: none */
    int64_t out_y, out_rows; /* the rows of the result to compute; 0 rows: all.  Stored ops never
                                have 0 rows */
    int into;                /* a graph_picture or graph_ring to write these rows into, perhaps one
                                that is read: the rows and channels of x and x2 must be others, the
                                residual's may be the same; 0: a tensor of its own */
    int64_t into_c;          /* channel of `into` that the first one goes to */
};

struct graph_group_norm {
    int x, x2; /* joined in c as in graph_source; both 0 where sums are given */
    int weight, bias;
    int groups;
    float eps;
    int sums; /* a GRAPH_OP_NORM_SUMS result that has reached the picture's last row; 0: of x */
};

struct graph_norm_sums {
    int x;           /* a window, or a ring, that holds the rows directly below those summed */
    int before;      /* the sums so far; 0: none, the rows begin with the first one */
    int64_t y, rows; /* of the whole picture, to add; 0 rows: all of the window.  Stored ops never
                        have 0 rows */
};

struct graph_layer_norm {
    int x, weight, bias;
    float eps;
};

/* How attention is computed.  The results are equal within float32 rounding. */
enum graph_attention_mode {
    GRAPH_ATTENTION_STREAMING, /* a running softmax over blocks of keys: the least memory */
    GRAPH_ATTENTION_SLICED,    /* all keys' scores of a few queries at a time, within a limit */
    GRAPH_ATTENTION_PLAIN      /* all keys' scores of all queries, one head at a time */
};

/* softmax(q k^T / sqrt(c / heads)) v, head by head; rows of q are n times h*w. */
struct graph_attention {
    int q, k, v; /* [n, c, ...]; k and v have the same number of rows */
    int heads;
    bool causal;                    /* row i sees rows 0..i */
    enum graph_attention_mode mode; /* 0: as graph_set_attention says */
};

struct graph_embed {
    int ids;      /* an input [n, 1, 1, tokens] holding whole numbers */
    int tokens;   /* weight [vocabulary, c] */
    int position; /* weight [positions, c] */
    int more;     /* [1, c, 1, rows] whose rows are the ids behind the vocabulary's; 0: none */
};

struct graph_act_op {
    int a, b; /* b has a's shape (and window, which the result has too), or is 0 */
    enum graph_act act;
};

struct graph_op {
    enum graph_op_kind kind;
    int out;
    int like; /* the op whose rows it continues (graph_conv_more); its own number where it is none
               */
    union {
        struct graph_conv conv;
        struct graph_group_norm group_norm;
        struct graph_layer_norm layer_norm;
        struct graph_attention attention;
        struct graph_embed embed;
        struct graph_act_op act;
        struct graph_norm_sums norm_sums;
    } u;
};

enum graph_tensor_role { GRAPH_VALUE, GRAPH_INPUT, GRAPH_OUTPUT };

struct graph_tensor {
    struct graph_shape shape;
    enum graph_tensor_role role;
    bool ring;      /* keeps shape.h rows of full_h, row y in place y mod shape.h */
    int64_t y0;     /* of a window: the row of the picture it begins with; else 0 */
    int64_t full_h; /* height of the whole picture */
    int first_op;   /* index of the op that writes it (first); -1 for inputs */
    int last_op;    /* last op that reads it; n_ops for outputs */
};

struct graph_weight {
    char name[GRAPH_MAX_NAME]; /* diffusers spelling within its part of the model */
    int n_dims;
    int64_t dims[4]; /* trailing 1s do not count: [c, c, 1, 1] and [c, c] are the same weight */
    int first_op, last_op;
    int delta_rank; /* of the low-rank deltas that are added to it (weights_add_delta), together */
};

struct graph;

/* Returns NULL when there is no memory. */
struct graph *graph_new(void);
void graph_free(struct graph *g);

/* Building.  Each returns the new tensor's (or weight's) number, or 0 after a failure. */
int graph_input(struct graph *g, struct graph_shape shape);
void graph_output(struct graph *g, int tensor); /* keeps it to the end of the run */
int graph_weight(struct graph *g, int n_dims, const int64_t *dims, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Makes room for one more delta of this rank on a weight that convolutions read; before the graph
 * is laid out.  Returns false when GRAPH_MAX_RANK is exceeded or something else reads the weight.
 */
bool graph_add_rank(struct graph *g, int weight, int rank) MUST_CHECK;
/* Weights with deltas are rounded to float16 (float32 where they are that), as if they were stored
 * so: adding deltas anew in every run and merging them then give the same results.  After the last
 * graph_add_rank, before the graph is laid out.  Without it sums are exact, and ops may keep deltas
 * apart from the weight as they like. */
void graph_round_deltas(struct graph *g);
bool graph_rounds_deltas(const struct graph *g);
/* Whether a convolution of such a graph keeps its deltas apart even so, exact and never merged: it
 * has few places, where adding them anew costs much, and those of all such ops together cost next
 * to nothing.  By one picture's places: several at once and one after the other give the same
 * results. */
bool graph_keeps_deltas_apart(const struct graph *g, int op);
/* A tensor that convolutions write piece by piece (`into`). */
int graph_picture(struct graph *g, struct graph_shape shape);
/* The same of a picture full_h rows high, of which shape.h rows are kept; a picture where that is
 * all of them. */
int graph_ring(struct graph *g, struct graph_shape shape, int64_t full_h);
int graph_conv(struct graph *g, const struct graph_conv *op);
/* The same as an earlier convolution, which writes into a picture, for other rows. */
int graph_conv_more(struct graph *g, int op, int64_t out_y, int64_t out_rows);
int graph_norm_sums(struct graph *g, const struct graph_norm_sums *op);   /* [n, 4c, 1, 1] */
int graph_group_norm(struct graph *g, const struct graph_group_norm *op); /* [n, 2c, 1, 1] */
int graph_layer_norm(struct graph *g, const struct graph_layer_norm *op);
int graph_attention(struct graph *g, const struct graph_attention *op);
/* For attention added from now on that names no mode; streaming at first. */
void graph_set_attention(struct graph *g, enum graph_attention_mode mode);
int graph_embed(struct graph *g, const struct graph_embed *op);
int graph_act(struct graph *g, const struct graph_act_op *op);

/* Fails the build with a reason; for network functions that find their config impossible. */
void graph_fail(struct graph *g, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* True when everything so far succeeded. */
bool graph_check(const struct graph *g, struct error *err) MUST_CHECK;

/* Looking.  Numbers run from 1 to the count; ops from 0 to n_ops - 1. */
int graph_n_ops(const struct graph *g);
int graph_n_tensors(const struct graph *g);
int graph_n_weights(const struct graph *g);
const struct graph_op *graph_op_view(const struct graph *g, int op);
const struct graph_tensor *graph_tensor_view(const struct graph *g, int tensor);
const struct graph_weight *graph_weight_view(const struct graph *g, int weight);

/* How a kernel slides down a picture, whose height is first brought to enlarged_h; 0: is not. */
struct graph_slide {
    int kernel, stride, pad_before;
    int64_t enlarged_h;
};

/* Rows [*lo, *hi) of the stored picture that rows [out_y, out_y + out_rows) of a convolution's
 * result are computed from; stored_h is the height of the whole stored picture. */
void graph_op_conv_rows(const struct graph_conv *op, int64_t stored_h, int64_t *lo, int64_t *hi);
void graph_op_slide_rows(const struct graph_slide *s, int64_t stored_h, int64_t out_y,
                         int64_t out_rows, int64_t *lo, int64_t *hi);

/* Tensors and weights an op reads, in a fixed order; returns how many (at most GRAPH_MAX_READS and
 * 2). */
int graph_op_reads(const struct graph_op *op, int tensors[GRAPH_MAX_READS]);
int graph_op_weights(const struct graph_op *op, int weights[2]);

/* True when two convolutions, or two ops that sum rows, differ in nothing but where their rows are
 * in the picture, the tops of both at even rows or both at odd ones: they read and compute as much,
 * in the same way.  Of others it knows nothing. */
bool graph_op_is_alike(const struct graph *g, int op, int other);

/* Multiplications and additions of one op, counted as two per multiply-add. */
double graph_op_flops(const struct graph *g, int op);
/* Numbers one op reads and writes in tensors; of windows and pictures, the rows it is about. */
double graph_op_numbers(const struct graph *g, int op);
const char *graph_op_name(enum graph_op_kind kind);

/* Numbers in a tensor; fits int64_t for every shape that graph_* accepted. */
static inline int64_t graph_shape_count(struct graph_shape s)
{
    return s.n * s.c * s.h * s.w;
}

#endif
