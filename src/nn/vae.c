#include "nn/vae.h"

#include "nn/blocks.h"
#include "nn/vae_cut.h"

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
        .x = x, .out_c = out_c, .groups = c->groups, .eps = VAE_CUT_NORM_EPS};

    return blocks_resnet(g, &block, name);
}

/* One head over all places. */
static int mid_attention(struct graph *g, const struct vae_config *c, int x, const char *name)
{
    const int64_t width = blocks_shape(g, x).c;
    const struct graph_source in = blocks_group_norm(g, x, 0, c->groups, VAE_CUT_NORM_EPS, false,
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
    const struct graph_source in = blocks_group_norm(g, x, 0, c->groups, VAE_CUT_NORM_EPS, true,
                                                     blocks_name("%s.conv_norm_out", half).text);

    return blocks_conv3(g, in, out_c, 1, plain, blocks_name("%s.conv_out", half).text);
}

/* --- Bands. --- */

static struct bands_resnet tiled_resnet(const struct vae_config *c, int out_c, int64_t rows)
{
    return (struct bands_resnet){
        .out_c = out_c, .rows = rows, .groups = c->groups, .eps = VAE_CUT_NORM_EPS};
}

static int begin_decode(struct graph *g, const struct vae_config *c, int latent)
{
    int x = latent;
    if (c->post_quant_conv)
        x = blocks_linear(g, (struct graph_source){.x = x}, c->latent_channels, plain,
                          "post_quant_conv");
    x = blocks_conv3(g, (struct graph_source){.x = x}, c->channels[c->n_levels - 1], 1, plain,
                     "decoder.conv_in");
    return mid_block(g, c, x, "decoder");
}

int vae_build_decode(struct graph *g, const struct vae_config *c, int latent)
{
    if (!config_is_possible(g, c))
        return 0;

    int x = begin_decode(g, c, latent);
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

static struct bands decode_level(struct graph *g, const struct vae_config *c,
                                 const struct vae_cut *cut, int i, struct graph_shape latent,
                                 struct bands x)
{
    const struct vae_cut_level l = vae_cut_up(c, cut, i, latent);
    struct bands_resnet r = tiled_resnet(c, c->channels[c->n_levels - 1 - i], l.rows);
    struct bands_layer up = {0};
    double read = l.hidden;

    if (i > 0) {
        up = vae_cut_enlarging(g, x.c, i);
        read = l.enlarged_is_held ? l.enlarged : l.below;
        if (l.enlarged_is_held)
            x = bands_conv(g, &x, &up, l.rows);
        else
            r.first = &up;
    }
    for (int j = 0; j < c->layers_per_block + 1; j++) {
        r.hold = !l.rows || read + l.hidden <= cut->hold;
        x = bands_resnet(g, &x, &r, blocks_name("decoder.up_blocks.%d.resnets.%d", i, j).text);
        read = l.hidden;
        r.first = NULL;
    }
    return x;
}

int vae_build_decode_tiled(struct graph *g, const struct vae_config *c, int latent,
                           const struct vae_tiling *tiling)
{
    if (!tiling || tiling->band_rows <= 0)
        return vae_build_decode(g, c, latent);
    if (!config_is_possible(g, c))
        return 0;

    const struct graph_shape shape = blocks_shape(g, latent);
    const struct vae_cut cut = vae_cut_decoder(c, shape, tiling);
    struct bands x = bands_whole(g, begin_decode(g, c, latent));
    for (int i = 0; i < c->n_levels - cut.again; i++)
        x = decode_level(g, c, &cut, i, shape, x);
    if (cut.again > 0) {
        struct cascade chain;
        vae_cut_chain_up(&chain, g, c, &cut, &x);
        return cascade_run(&chain, 0).tensor[0];
    }
    const struct bands_resnet out = tiled_resnet(c, c->out_channels, tiling->band_rows);
    return bands_conv_out(g, &x, &out, "decoder.conv_norm_out", "decoder.conv_out");
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

static bool can_encode(struct graph *g, const struct vae_config *c, int image)
{
    if (!config_is_possible(g, c))
        return false;
    const struct graph_shape shape = blocks_shape(g, image);
    if (shape.h % vae_scale(c) == 0 && shape.w % vae_scale(c) == 0)
        return true;
    graph_fail(g, "the VAE needs sides that are multiples of %d", vae_scale(c));
    return false;
}

static int end_encode(struct graph *g, const struct vae_config *c, int x)
{
    x = mid_block(g, c, x, "encoder");
    x = conv_out(g, c, x, 2 * c->latent_channels, "encoder");
    if (c->quant_conv)
        x = blocks_linear(g, (struct graph_source){.x = x}, 2 * c->latent_channels, plain,
                          "quant_conv");
    return x;
}

int vae_build_encode(struct graph *g, const struct vae_config *c, int image)
{
    if (!can_encode(g, c, image))
        return 0;

    int x = blocks_conv3(g, (struct graph_source){.x = image}, c->channels[0], 1, plain,
                         "encoder.conv_in");
    for (int i = 0; i < c->n_levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            x = resnet(g, c, x, c->channels[i],
                       blocks_name("encoder.down_blocks.%d.resnets.%d", i, j).text);
        if (i < c->n_levels - 1)
            x = downsample(g, x, i);
    }
    return end_encode(g, c, x);
}

static struct bands encode_level(struct graph *g, const struct vae_config *c,
                                 const struct vae_cut *cut, int i, int64_t rows, struct bands x)
{
    struct bands_resnet r = tiled_resnet(c, c->channels[i], rows);
    const double hidden = vae_cut_numbers(c->channels[i], x.h, x.w);

    for (int j = 0; j < c->layers_per_block; j++) {
        r.hold = !rows || vae_cut_numbers(x.c, x.h, x.w) + hidden <= cut->hold;
        x = bands_resnet(g, &x, &r, blocks_name("encoder.down_blocks.%d.resnets.%d", i, j).text);
    }
    return x;
}

int vae_build_encode_tiled(struct graph *g, const struct vae_config *c, int image,
                           const struct vae_tiling *tiling)
{
    if (!tiling || tiling->band_rows <= 0)
        return vae_build_encode(g, c, image);
    if (!can_encode(g, c, image))
        return 0;

    const struct graph_shape shape = blocks_shape(g, image);
    const struct vae_cut cut = vae_cut_encoder(c, shape, tiling);
    struct bands_layer in = bands_layer(g, shape.c, c->channels[0], 3, "encoder.conv_in");
    struct bands x = bands_whole(g, image);
    for (int i = cut.again; i < c->n_levels; i++) {
        const int64_t rows = vae_cut_down_rows(c, &cut, i, shape);
        if (i > 0 && i == cut.again) {
            struct cascade chain;
            vae_cut_chain_down(&chain, g, c, &cut, &x, &in);
            x = cascade_run(&chain, rows);
        } else {
            x = bands_conv(g, &x, &in, rows);
        }
        x = encode_level(g, c, &cut, i, rows, x);
        if (i < c->n_levels - 1)
            in = vae_cut_halving(g, x.c, i);
    }
    return end_encode(g, c, x.tensor[0]);
}
