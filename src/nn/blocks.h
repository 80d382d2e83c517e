/* The pieces that the networks share: convolution, linear layer, norms and the residual block.
 *
 * Every function adds operations to g and returns the number of the new tensor, or 0 after a
 * failure (graph.h: failures are sticky).  `name` is the weights' common prefix, without the
 * ".weight". */
#ifndef NN_BLOCKS_H
#define NN_BLOCKS_H

#include "engine/graph.h"

/* A weight's prefix with its numbers filled in; too long a name fails the graph later, in
 * graph_weight. */
struct blocks_name {
    char text[GRAPH_MAX_NAME];
};
struct blocks_name blocks_name(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What a convolution or linear layer does beyond its weight: all zero is "nothing". */
struct blocks_extra {
    bool no_bias;
    int channel_add;
    enum graph_act act;
    int residual;
};

/* All zero for tensor 0, so that building may go on after a failure. */
struct graph_shape blocks_shape(const struct graph *g, int tensor);

/* Channels of both tensors of a source. */
int64_t blocks_channels(const struct graph *g, struct graph_source in);

/* 3x3 with one zero around, stride 1 or 2. */
int blocks_conv3(struct graph *g, struct graph_source in, int64_t out_c, int stride,
                 struct blocks_extra extra, const char *name);

/* A linear layer on every row, which is a 1x1 convolution. */
int blocks_linear(struct graph *g, struct graph_source in, int64_t out_c, struct blocks_extra extra,
                  const char *name);

/* The source x (and x2 behind it) through a group norm, optionally with SiLU. */
struct graph_source blocks_group_norm(struct graph *g, int x, int x2, int groups, float eps,
                                      bool silu, const char *name);

int blocks_layer_norm(struct graph *g, int x, float eps, const char *name);

/* ResnetBlock2D: norm1, SiLU, conv1 (+ projected time), norm2, SiLU, conv2, plus the input, which a
 * 1x1 convolution brings to out_c where its width differs. */
struct blocks_resnet {
    int x, x2; /* x2: channels of a skip connection behind x's; 0: none */
    int time;  /* SiLU of the time embedding [n, width, 1, 1]; 0: none */
    int64_t out_c;
    int groups;
    float eps;
};
int blocks_resnet(struct graph *g, const struct blocks_resnet *r, const char *name);

/* Nearest neighbour to h x w (2h or one less in each direction), then a 3x3 convolution. */
int blocks_upsample(struct graph *g, int x, int64_t h, int64_t w, const char *name);

#endif
