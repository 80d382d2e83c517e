#include "nn/transformer.h"

#include "nn/blocks.h"

/* Fixed in diffusers; the UNet's own norm_eps is for its residual blocks. */
static const float GROUP_NORM_EPS = 1e-6f;
static const float LAYER_NORM_EPS = 1e-5f;

/* x plus attention of norm(x) to memory, or to itself when memory is 0.  Queries, keys and values
 * have no bias. */
static int attend(struct graph *g, int x, int memory, int heads, const char *norm, const char *name)
{
    const int64_t width = blocks_shape(g, x).c;
    const struct blocks_extra no_bias = {.no_bias = true};
    const struct graph_source rows = {.x = blocks_layer_norm(g, x, LAYER_NORM_EPS, norm)};
    const struct graph_source seen = {.x = memory ? memory : rows.x};
    const struct graph_attention attention = {
        .q = blocks_linear(g, rows, width, no_bias, blocks_name("%s.to_q", name).text),
        .k = blocks_linear(g, seen, width, no_bias, blocks_name("%s.to_k", name).text),
        .v = blocks_linear(g, seen, width, no_bias, blocks_name("%s.to_v", name).text),
        .heads = heads,
    };
    const struct graph_source out = {.x = graph_attention(g, &attention)};

    return blocks_linear(g, out, width, (struct blocks_extra){.residual = x},
                         blocks_name("%s.to_out.0", name).text);
}

static int block(struct graph *g, const struct transformer_shape *t, int x, const char *name)
{
    const int64_t width = blocks_shape(g, x).c;

    x = attend(g, x, 0, t->heads, blocks_name("%s.norm1", name).text,
               blocks_name("%s.attn1", name).text);
    x = attend(g, x, t->context, t->heads, blocks_name("%s.norm2", name).text,
               blocks_name("%s.attn2", name).text);

    struct graph_source in = {
        .x = blocks_layer_norm(g, x, LAYER_NORM_EPS, blocks_name("%s.norm3", name).text)};
    in.x = blocks_linear(g, in, 4 * width, (struct blocks_extra){.act = GRAPH_ACT_GEGLU},
                         blocks_name("%s.ff.net.0.proj", name).text);
    return blocks_linear(g, in, width, (struct blocks_extra){.residual = x},
                         blocks_name("%s.ff.net.2", name).text);
}

int transformer_build(struct graph *g, const struct transformer_shape *t, int x, const char *name)
{
    const int64_t width = blocks_shape(g, x).c;
    const struct graph_source in = blocks_group_norm(g, x, 0, t->groups, GROUP_NORM_EPS, false,
                                                     blocks_name("%s.norm", name).text);

    int rows =
        blocks_linear(g, in, width, (struct blocks_extra){0}, blocks_name("%s.proj_in", name).text);
    for (int i = 0; i < t->depth; i++)
        rows = block(g, t, rows, blocks_name("%s.transformer_blocks.%d", name, i).text);
    return blocks_linear(g, (struct graph_source){.x = rows}, width,
                         (struct blocks_extra){.residual = x},
                         blocks_name("%s.proj_out", name).text);
}
