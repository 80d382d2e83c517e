#include "nn/vae.h"

#include "nn/blocks.h"

static const float NORM_EPS = 1e-6f; /* fixed in AutoencoderKL; no config names it */
static const struct blocks_extra plain;

static bool config_is_possible(struct graph *g, const struct vae_config *c)
{
    if (c->n_levels >= 1 && c->n_levels <= MODEL_MAX_LEVELS && c->layers_per_block >= 1)
        return true;
    graph_fail(g, "a VAE of %d levels with %d layers cannot be built", c->n_levels,
               c->layers_per_block);
    return false;
}

int vae_scale(const struct vae_config *c)
{
    return 1 << (c->n_levels - 1);
}

static int resnet(struct graph *g, const struct vae_config *c, int x, int out_c, const char *name)
{
    const struct blocks_resnet block = {
        .x = x, .out_c = out_c, .groups = c->groups, .eps = NORM_EPS};

    return blocks_resnet(g, &block, name);
}

/* One head over all places. */
static int mid_attention(struct graph *g, const struct vae_config *c, int x, const char *name)
{
    const int64_t width = blocks_shape(g, x).c;
    const struct graph_source in = blocks_group_norm(g, x, 0, c->groups, NORM_EPS, false,
                                                     blocks_name("%s.group_norm", name).text);
    const struct graph_attention attention = {
        .q = blocks_linear(g, in, width, plain, blocks_name("%s.to_q", name).text),
        .k = blocks_linear(g, in, width, plain, blocks_name("%s.to_k", name).text),
        .v = blocks_linear(g, in, width, plain, blocks_name("%s.to_v", name).text),
        .heads = 1,
    };
    const struct graph_source out = {.x = graph_attention(g, &attention)};

    return blocks_linear(g, out, width, (struct blocks_extra){.residual = x},
                         blocks_name("%s.to_out.0", name).text);
}

static int mid_block(struct graph *g, const struct vae_config *c, int x, const char *half)
{
    const int width = c->channels[c->n_levels - 1];

    x = resnet(g, c, x, width, blocks_name("%s.mid_block.resnets.0", half).text);
    if (c->mid_attention)
        x = mid_attention(g, c, x, blocks_name("%s.mid_block.attentions.0", half).text);
    return resnet(g, c, x, width, blocks_name("%s.mid_block.resnets.1", half).text);
}

static int conv_out(struct graph *g, const struct vae_config *c, int x, int out_c, const char *half)
{
    const struct graph_source in = blocks_group_norm(g, x, 0, c->groups, NORM_EPS, true,
                                                     blocks_name("%s.conv_norm_out", half).text);

    return blocks_conv3(g, in, out_c, 1, plain, blocks_name("%s.conv_out", half).text);
}

int vae_build_decode(struct graph *g, const struct vae_config *c, int latent)
{
    if (!config_is_possible(g, c))
        return 0;

    int x = latent;
    if (c->post_quant_conv)
        x = blocks_linear(g, (struct graph_source){.x = x}, c->latent_channels, plain,
                          "post_quant_conv");
    x = blocks_conv3(g, (struct graph_source){.x = x}, c->channels[c->n_levels - 1], 1, plain,
                     "decoder.conv_in");
    x = mid_block(g, c, x, "decoder");

    for (int i = 0; i < c->n_levels; i++) {
        const int width = c->channels[c->n_levels - 1 - i];
        for (int j = 0; j < c->layers_per_block + 1; j++)
            x = resnet(g, c, x, width, blocks_name("decoder.up_blocks.%d.resnets.%d", i, j).text);
        if (i < c->n_levels - 1) {
            const struct graph_shape shape = blocks_shape(g, x);
            x = blocks_upsample(g, x, 2 * shape.h, 2 * shape.w,
                                blocks_name("decoder.up_blocks.%d.upsamplers.0.conv", i).text);
        }
    }
    return conv_out(g, c, x, c->out_channels, "decoder");
}

/* Halves both sides.  The zeros stand below and right only, as AutoencoderKL was trained. */
static int downsample(struct graph *g, int x, int level)
{
    const int64_t c = blocks_shape(g, x).c;
    const int64_t dims[4] = {c, c, 3, 3};
    struct graph_conv conv = {
        .in.x = x, .out_c = c, .kernel = 3, .stride = 2, .pad_before = 0, .pad_after = 1};

    conv.weight =
        graph_weight(g, 4, dims, "encoder.down_blocks.%d.downsamplers.0.conv.weight", level);
    conv.bias = graph_weight(g, 1, &c, "encoder.down_blocks.%d.downsamplers.0.conv.bias", level);
    return graph_conv(g, &conv);
}

int vae_build_encode(struct graph *g, const struct vae_config *c, int image)
{
    if (!config_is_possible(g, c))
        return 0;
    const struct graph_shape shape = blocks_shape(g, image);
    if (shape.h % vae_scale(c) || shape.w % vae_scale(c)) {
        graph_fail(g, "the VAE needs sides that are multiples of %d", vae_scale(c));
        return 0;
    }

    int x = blocks_conv3(g, (struct graph_source){.x = image}, c->channels[0], 1, plain,
                         "encoder.conv_in");
    for (int i = 0; i < c->n_levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            x = resnet(g, c, x, c->channels[i],
                       blocks_name("encoder.down_blocks.%d.resnets.%d", i, j).text);
        if (i < c->n_levels - 1)
            x = downsample(g, x, i);
    }
    x = mid_block(g, c, x, "encoder");
    x = conv_out(g, c, x, 2 * c->latent_channels, "encoder");
    if (c->quant_conv)
        x = blocks_linear(g, (struct graph_source){.x = x}, 2 * c->latent_channels, plain,
                          "quant_conv");
    return x;
}
