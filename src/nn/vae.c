#include "nn/vae.h"

#include "nn/bands.h"
#include "nn/blocks.h"
#include "nn/cascade.h"

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

/* --- Bands. --- */

/* What to hold and what to compute again, in numbers of one picture. */
struct cut {
    int64_t band_rows;
    double hold;
    int last; /* level of those that are cut */
};

static double numbers(int64_t c, int64_t h, int64_t w)
{
    return (double)c * (double)h * (double)w;
}

/* The largest hidden state is held anyway; more only where asked. */
static struct cut make_cut(const struct vae_tiling *t, double largest, int last, int64_t n)
{
    const double asked = (double)t->hold_bytes / 4 / (double)(n > 0 ? n : 1);
    return (struct cut){t->band_rows, asked > largest ? asked : largest, last};
}

static struct bands_resnet tiled_resnet(const struct vae_config *c, int out_c, int64_t rows)
{
    return (struct bands_resnet){
        .out_c = out_c, .rows = rows, .groups = c->groups, .eps = NORM_EPS};
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

/* One level of the decoder: its hidden state, the enlarged picture it begins with, and the level
 * below, which that one is made from. */
struct up_level {
    double hidden, enlarged, below;
    int64_t rows; /* 0: not cut */
};

static struct up_level up_level(const struct vae_config *c, const struct cut *cut, int i,
                                struct graph_shape latent)
{
    const int top = c->n_levels - 1;
    const int64_t h = latent.h << i, w = latent.w << i;
    const int64_t below_c = c->channels[top - (i ? i - 1 : 0)];
    struct up_level l = {.hidden = numbers(c->channels[top - i], h, w),
                         .enlarged = numbers(below_c, h, w),
                         .below = numbers(below_c, h / 2, w / 2)};
    /* What the next level begins with, if it is held. */
    const double next = i < cut->last ? numbers(c->channels[top - i], 2 * h, 2 * w) : 0;
    const double larger = l.hidden > l.enlarged ? l.hidden : l.enlarged;

    /* A level that is small beside the others is quicker whole. */
    if (i > 0 && (3 * larger > cut->hold || l.hidden + next > cut->hold))
        l.rows = cut->band_rows;
    return l;
}

/* The convolution that enlarges what comes from level i - 1 of the decoder. */
static struct bands_layer enlarging(struct graph *g, int64_t c, int i)
{
    struct bands_layer up =
        bands_layer(g, c, c, 3, blocks_name("decoder.up_blocks.%d.upsamplers.0.conv", i - 1).text);
    up.enlarge = true;
    return up;
}

static struct bands decode_level(struct graph *g, const struct vae_config *c, const struct cut *cut,
                                 int i, const struct up_level *l, struct bands x)
{
    struct bands_resnet r = tiled_resnet(c, c->channels[c->n_levels - 1 - i], l->rows);
    struct bands_layer up = {0};
    double read = l->hidden;

    if (i > 0) {
        up = enlarging(g, x.c, i);
        const bool held = !l->rows || l->enlarged <= cut->hold;
        read = held ? l->enlarged : l->below;
        if (held)
            x = bands_conv(g, &x, &up, l->rows);
        else
            r.first = &up;
    }
    for (int j = 0; j < c->layers_per_block + 1; j++) {
        r.hold = !l->rows || read + l->hidden <= cut->hold;
        x = bands_resnet(g, &x, &r, blocks_name("decoder.up_blocks.%d.resnets.%d", i, j).text);
        read = l->hidden;
        r.first = NULL;
    }
    return x;
}

/* Levels from `first` to the last one and the picture, of which nothing is held. */
static int decode_again(struct graph *g, const struct vae_config *c, int first, int64_t rows,
                        const struct bands *x)
{
    struct cascade chain;
    int64_t width = x->c;

    cascade_begin(&chain, g, x, rows, c->groups, NORM_EPS);
    for (int i = first; i < c->n_levels; i++) {
        const struct bands_layer up = enlarging(g, width, i);
        cascade_conv(&chain, &up);
        width = c->channels[c->n_levels - 1 - i];
        for (int j = 0; j < c->layers_per_block + 1; j++)
            cascade_resnet(&chain, width,
                           blocks_name("decoder.up_blocks.%d.resnets.%d", i, j).text);
    }
    cascade_norm_conv(&chain, c->out_channels, "decoder.conv_norm_out", "decoder.conv_out");
    return cascade_run(&chain, 0).tensor[0];
}

/* Levels that are computed again; one is always held. */
static int levels_again(const struct vae_config *c, const struct vae_tiling *t)
{
    return t->again < c->n_levels ? t->again : c->n_levels - 1;
}

int vae_build_decode_tiled(struct graph *g, const struct vae_config *c, int latent,
                           const struct vae_tiling *tiling)
{
    if (!tiling || tiling->band_rows <= 0)
        return vae_build_decode(g, c, latent);
    if (!config_is_possible(g, c))
        return 0;

    const struct graph_shape shape = blocks_shape(g, latent);
    const int held = c->n_levels - levels_again(c, tiling);
    double largest = 0;
    for (int i = 0; i < held; i++) {
        const double hidden = numbers(c->channels[c->n_levels - 1 - i], shape.h << i, shape.w << i);
        largest = hidden > largest ? hidden : largest;
    }
    const struct cut cut = make_cut(tiling, largest, held - 1, shape.n);
    struct bands x = bands_whole(g, begin_decode(g, c, latent));
    for (int i = 0; i < held; i++) {
        const struct up_level level = up_level(c, &cut, i, shape);
        x = decode_level(g, c, &cut, i, &level, x);
    }
    if (held < c->n_levels)
        return decode_again(g, c, held, tiling->band_rows, &x);
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

/* The convolution that halves what level i of the encoder has made. */
static struct bands_layer halving(struct graph *g, int64_t c, int i)
{
    struct bands_layer down =
        bands_layer(g, c, c, 3, blocks_name("encoder.down_blocks.%d.downsamplers.0.conv", i).text);
    down.stride = 2;
    down.pad_before = 0; /* as in downsample */
    return down;
}

/* The first levels, of which nothing is held, as far as the next one begins. */
static struct bands encode_again(struct graph *g, const struct vae_config *c, int levels,
                                 const struct cut *cut, const struct bands *image,
                                 const struct bands_layer *in, int64_t rows)
{
    struct cascade chain;

    cascade_begin(&chain, g, image, cut->band_rows, c->groups, NORM_EPS);
    cascade_conv(&chain, in);
    for (int i = 0; i < levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            cascade_resnet(&chain, c->channels[i],
                           blocks_name("encoder.down_blocks.%d.resnets.%d", i, j).text);
        const struct bands_layer down = halving(g, c->channels[i], i);
        cascade_conv(&chain, &down);
    }
    return cascade_run(&chain, rows);
}

/* Rows of the bands of a level of the encoder; 0: not cut.  The last one is whole, for the middle.
 */
static int64_t down_rows(const struct vae_config *c, const struct cut *cut, int i,
                         struct graph_shape image)
{
    const int64_t h = image.h >> i, w = image.w >> i;
    const double hidden = numbers(c->channels[i], h, w);
    const double above = i ? numbers(c->channels[i - 1], 2 * h, 2 * w) : 0;
    const double shrunk = i ? numbers(c->channels[i - 1], h, w) : 0;

    if (i == c->n_levels - 1 || (3 * hidden <= cut->hold && above + shrunk <= cut->hold))
        return 0;
    return cut->band_rows;
}

static struct bands encode_level(struct graph *g, const struct vae_config *c, const struct cut *cut,
                                 int i, int64_t rows, struct bands x)
{
    struct bands_resnet r = tiled_resnet(c, c->channels[i], rows);
    const double hidden = numbers(c->channels[i], x.h, x.w);

    for (int j = 0; j < c->layers_per_block; j++) {
        r.hold = !rows || numbers(x.c, x.h, x.w) + hidden <= cut->hold;
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
    const int again = levels_again(c, tiling);
    double largest = 0;
    for (int i = again; i < c->n_levels; i++) {
        const double hidden = numbers(c->channels[i], shape.h >> i, shape.w >> i);
        largest = hidden > largest ? hidden : largest;
    }
    const struct cut cut = make_cut(tiling, largest, c->n_levels - 1, shape.n);
    struct bands_layer in = bands_layer(g, shape.c, c->channels[0], 3, "encoder.conv_in");
    struct bands x = bands_whole(g, image);
    for (int i = again; i < c->n_levels; i++) {
        const int64_t rows = down_rows(c, &cut, i, shape);
        if (i > 0 && i == again)
            x = encode_again(g, c, again, &cut, &x, &in, rows);
        else
            x = bands_conv(g, &x, &in, rows);
        x = encode_level(g, c, &cut, i, rows, x);
        if (i < c->n_levels - 1)
            in = halving(g, x.c, i);
    }
    return end_encode(g, c, x.tensor[0]);
}
