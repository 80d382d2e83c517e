#include "nn/unet.h"

#include "nn/blocks.h"
#include "nn/transformer.h"

#include <math.h>
#include <string.h>

/* What the way up joins again: one tensor per convolution and residual block of the way down. */
enum { MAX_SKIPS = MODEL_MAX_LEVELS * (MODEL_MAX_LAYERS + 1) + 1 };

struct build {
    struct graph *g;
    const struct unet_config *c;
    int context;
    int time; /* SiLU of the time embedding, shared by all residual blocks */
    int skips[MAX_SKIPS];
    int n_skips;
};

void unet_timestep_embedding(float *out, const float *timesteps, int n, int dim,
                             bool flip_sin_to_cos, int freq_shift)
{
    const int half = dim / 2;

    for (int i = 0; i < n; i++) {
        float *sines = out + (size_t)i * (size_t)dim + (flip_sin_to_cos ? half : 0);
        float *cosines = out + (size_t)i * (size_t)dim + (flip_sin_to_cos ? 0 : half);
        for (int k = 0; k < half; k++) {
            float exponent = (float)-log(10000.0) * (float)k;
            exponent /= (float)(half - freq_shift);
            const float angle = timesteps[i] * expf(exponent);
            sines[k] = sinf(angle);
            cosines[k] = cosf(angle);
        }
        if (dim % 2)
            out[(size_t)i * (size_t)dim + (size_t)dim - 1] = 0;
    }
}

static bool config_is_possible(struct graph *g, const struct unet_config *c,
                               const struct unet_inputs *in)
{
    if (c->n_levels < 1 || c->n_levels > MODEL_MAX_LEVELS || c->layers_per_block < 1 ||
        c->layers_per_block > MODEL_MAX_LAYERS) {
        graph_fail(g, "a UNet of %d levels with %d layers cannot be built", c->n_levels,
                   c->layers_per_block);
        return false;
    }
    if ((c->addition_input_dim > 0) != (in->added > 0)) {
        graph_fail(g, "the UNet %s an embedding of size and pooled text",
                   in->added ? "does not take" : "needs");
        return false;
    }
    return true;
}

/* Two linear layers with SiLU between them. */
static int embed(struct graph *g, int x, int64_t width, enum graph_act last, const char *name)
{
    const struct graph_source hidden = {
        .x = blocks_linear(g, (struct graph_source){.x = x}, width,
                           (struct blocks_extra){.act = GRAPH_ACT_SILU},
                           blocks_name("%s.linear_1", name).text)};

    return blocks_linear(g, hidden, width, (struct blocks_extra){.act = last},
                         blocks_name("%s.linear_2", name).text);
}

/* Every residual block reads SiLU of the embedding, so it is taken once, here. */
static int embed_time(struct graph *g, const struct unet_config *c, const struct unet_inputs *in)
{
    const int64_t width = 4 * (int64_t)c->channels[0];

    if (!in->added)
        return embed(g, in->timestep, width, GRAPH_ACT_SILU, "time_embedding");
    const struct graph_act_op sum = {
        .a = embed(g, in->timestep, width, GRAPH_ACT_NONE, "time_embedding"),
        .b = embed(g, in->added, width, GRAPH_ACT_NONE, "add_embedding"),
        .act = GRAPH_ACT_SILU,
    };
    return graph_act(g, &sum);
}

static void push(struct build *b, int tensor)
{
    if (b->n_skips < MAX_SKIPS)
        b->skips[b->n_skips++] = tensor;
    else
        graph_fail(b->g, "a UNet with more than %d skip connections", (int)MAX_SKIPS);
}

static int pop(struct build *b)
{
    return b->n_skips > 0 ? b->skips[--b->n_skips] : 0;
}

static int resnet(struct build *b, int x, int skip, int out_c, const char *name)
{
    const struct blocks_resnet block = {.x = x,
                                        .x2 = skip,
                                        .time = b->time,
                                        .out_c = out_c,
                                        .groups = b->c->groups,
                                        .eps = b->c->norm_eps};

    return blocks_resnet(b->g, &block, name);
}

static int transformer(struct build *b, int x, int depth, int heads, const char *name)
{
    const struct transformer_shape shape = {
        .depth = depth, .heads = heads, .groups = b->c->groups, .context = b->context};

    return depth > 0 ? transformer_build(b->g, &shape, x, name) : x;
}

static int down_level(struct build *b, int x, int level)
{
    const struct unet_config *c = b->c;

    for (int j = 0; j < c->layers_per_block; j++) {
        x = resnet(b, x, 0, c->channels[level],
                   blocks_name("down_blocks.%d.resnets.%d", level, j).text);
        x = transformer(b, x, c->transformer_layers[level], c->heads[level],
                        blocks_name("down_blocks.%d.attentions.%d", level, j).text);
        push(b, x);
    }
    if (level == c->n_levels - 1)
        return x;
    x = blocks_conv3(b->g, (struct graph_source){.x = x}, c->channels[level], 2,
                     (struct blocks_extra){0},
                     blocks_name("down_blocks.%d.downsamplers.0.conv", level).text);
    push(b, x);
    return x;
}

static int mid_block(struct build *b, int x)
{
    const struct unet_config *c = b->c;
    const int width = c->channels[c->n_levels - 1];

    x = resnet(b, x, 0, width, "mid_block.resnets.0");
    x = transformer(b, x, c->mid_transformer_layers, c->mid_heads, "mid_block.attentions.0");
    return resnet(b, x, 0, width, "mid_block.resnets.1");
}

/* Blocks are numbered on the way up: block 0 is the last level. */
static int up_level(struct build *b, int x, int level)
{
    const struct unet_config *c = b->c;
    const int block = c->n_levels - 1 - level;

    for (int j = 0; j < c->layers_per_block + 1; j++) {
        x = resnet(b, x, pop(b), c->channels[level],
                   blocks_name("up_blocks.%d.resnets.%d", block, j).text);
        x = transformer(b, x, c->transformer_layers[level], c->heads[level],
                        blocks_name("up_blocks.%d.attentions.%d", block, j).text);
    }
    if (level == 0)
        return x;
    /* The skip that is joined next has the size to come to: 2h, or 2h - 1 where halving rounded up.
     */
    const struct graph_shape next =
        blocks_shape(b->g, b->n_skips > 0 ? b->skips[b->n_skips - 1] : 0);
    return blocks_upsample(b->g, x, next.h, next.w,
                           blocks_name("up_blocks.%d.upsamplers.0.conv", block).text);
}

int unet_build(struct graph *g, const struct unet_config *c, const struct unet_inputs *in)
{
    struct build b = {.g = g, .c = c, .context = in->context};

    if (!config_is_possible(g, c, in))
        return 0;
    b.time = embed_time(g, c, in);

    int x = blocks_conv3(g, (struct graph_source){.x = in->sample}, c->channels[0], 1,
                         (struct blocks_extra){0}, "conv_in");
    push(&b, x);
    for (int level = 0; level < c->n_levels; level++)
        x = down_level(&b, x, level);
    x = mid_block(&b, x);
    for (int level = c->n_levels - 1; level >= 0; level--)
        x = up_level(&b, x, level);

    const struct graph_source out =
        blocks_group_norm(g, x, 0, c->groups, c->norm_eps, true, "conv_norm_out");
    return blocks_conv3(g, out, c->out_channels, 1, (struct blocks_extra){0}, "conv_out");
}

static double numbers(const struct graph_shape *shapes, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)graph_shape_count(shapes[i]);
    return sum;
}

/* On the way down, in a transformer's last block: the skips so far, what the transformer and the
 * block add their results to, the norm that feed-forward reads, and its hidden rows. */
static int alive_in_level(const struct graph_shape *skips, int n_skips, struct graph_shape x,
                          struct graph_shape *out)
{
    struct graph_shape hidden = x;

    hidden.c = 4 * x.c;
    for (int i = 0; i < n_skips; i++)
        out[i] = skips[i];
    out[n_skips] = out[n_skips + 1] = out[n_skips + 2] = x;
    out[n_skips + 3] = hidden;
    return n_skips + 4;
}

int unet_alive(const struct unet_config *c, struct graph_shape sample, struct graph_shape *out)
{
    struct graph_shape skips[MAX_SKIPS], here[UNET_ALIVE_MOST];
    struct graph_shape x = sample;
    int n_skips = 0, most = 0;

    x.c = c->channels[0];
    if (c->n_levels < 1 || c->n_levels > MODEL_MAX_LEVELS || c->layers_per_block < 1 ||
        c->layers_per_block > MODEL_MAX_LAYERS)
        return 0;
    skips[n_skips++] = x;
    for (int level = 0; level < c->n_levels; level++) {
        x.c = c->channels[level];
        for (int j = 0; j < c->layers_per_block; j++) {
            const int n = alive_in_level(skips, n_skips, x, here);
            if (c->transformer_layers[level] > 0 && numbers(here, n) > numbers(out, most)) {
                memcpy(out, here, (size_t)n * sizeof *here);
                most = n;
            }
            skips[n_skips++] = x;
        }
        x.h = (x.h + 1) / 2;
        x.w = (x.w + 1) / 2;
        if (level < c->n_levels - 1)
            skips[n_skips++] = x;
    }
    return most;
}
