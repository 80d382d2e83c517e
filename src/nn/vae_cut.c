#include "nn/vae_cut.h"

#include "nn/blocks.h"

/* Levels that are computed again; one is always held. */
static int levels_again(const struct vae_config *c, const struct vae_tiling *t)
{
    return t->again < c->n_levels ? t->again : c->n_levels - 1;
}

/* The largest hidden state is held anyway; more only where asked. */
static struct vae_cut make_cut(const struct vae_config *c, const struct vae_tiling *t,
                               double largest, int last, int64_t n)
{
    const double asked = (double)t->hold_bytes / 4 / (double)(n > 0 ? n : 1);
    return (struct vae_cut){.band_rows = t->band_rows,
                            .hold = asked > largest ? asked : largest,
                            .again = levels_again(c, t),
                            .last = last};
}

struct vae_cut vae_cut_decoder(const struct vae_config *c, struct graph_shape latent,
                               const struct vae_tiling *t)
{
    const int held = c->n_levels - levels_again(c, t);
    double largest = 0;

    for (int i = 0; i < held; i++) {
        const double hidden =
            vae_cut_numbers(c->channels[c->n_levels - 1 - i], latent.h << i, latent.w << i);
        largest = hidden > largest ? hidden : largest;
    }
    return make_cut(c, t, largest, held - 1, latent.n);
}

struct vae_cut vae_cut_encoder(const struct vae_config *c, struct graph_shape image,
                               const struct vae_tiling *t)
{
    double largest = 0;

    for (int i = levels_again(c, t); i < c->n_levels; i++) {
        const double hidden = vae_cut_numbers(c->channels[i], image.h >> i, image.w >> i);
        largest = hidden > largest ? hidden : largest;
    }
    return make_cut(c, t, largest, c->n_levels - 1, image.n);
}

struct vae_cut_level vae_cut_up(const struct vae_config *c, const struct vae_cut *cut, int i,
                                struct graph_shape latent)
{
    const int top = c->n_levels - 1;
    const int64_t h = latent.h << i, w = latent.w << i;
    const int64_t below_c = c->channels[top - (i ? i - 1 : 0)];
    struct vae_cut_level l = {.hidden = vae_cut_numbers(c->channels[top - i], h, w),
                              .enlarged = vae_cut_numbers(below_c, h, w),
                              .below = vae_cut_numbers(below_c, h / 2, w / 2)};
    /* What the next level begins with, if it is held. */
    const double next = i < cut->last ? vae_cut_numbers(c->channels[top - i], 2 * h, 2 * w) : 0;
    const double larger = l.hidden > l.enlarged ? l.hidden : l.enlarged;

    /* A level that is small beside the others is quicker whole. */
    if (i > 0 && (3 * larger > cut->hold || l.hidden + next > cut->hold))
        l.rows = cut->band_rows;
    l.enlarged_is_held = !l.rows || l.enlarged <= cut->hold;
    return l;
}

int64_t vae_cut_down_rows(const struct vae_config *c, const struct vae_cut *cut, int i,
                          struct graph_shape image)
{
    const int64_t h = image.h >> i, w = image.w >> i;
    const double hidden = vae_cut_numbers(c->channels[i], h, w);
    const double above = i ? vae_cut_numbers(c->channels[i - 1], 2 * h, 2 * w) : 0;
    const double shrunk = i ? vae_cut_numbers(c->channels[i - 1], h, w) : 0;

    if (i == c->n_levels - 1 || (3 * hidden <= cut->hold && above + shrunk <= cut->hold))
        return 0;
    return cut->band_rows;
}

struct bands_layer vae_cut_enlarging(struct graph *g, int64_t channels, int i)
{
    struct bands_layer up =
        bands_layer(g, channels, channels, 3,
                    blocks_name("decoder.up_blocks.%d.upsamplers.0.conv", i - 1).text);
    up.enlarge = true;
    return up;
}

/* The zeros stand below and right only, as AutoencoderKL was trained. */
struct bands_layer vae_cut_halving(struct graph *g, int64_t channels, int i)
{
    struct bands_layer down =
        bands_layer(g, channels, channels, 3,
                    blocks_name("encoder.down_blocks.%d.downsamplers.0.conv", i).text);
    down.stride = 2;
    down.pad_before = 0;
    return down;
}

void vae_cut_chain_up(struct cascade *chain, struct graph *g, const struct vae_config *c,
                      const struct vae_cut *cut, const struct bands *x)
{
    int64_t width = x->c;

    cascade_begin(chain, g, x, cut->band_rows, c->groups, VAE_CUT_NORM_EPS);
    for (int i = c->n_levels - cut->again; i < c->n_levels; i++) {
        const struct bands_layer up = vae_cut_enlarging(g, width, i);
        cascade_conv(chain, &up);
        width = c->channels[c->n_levels - 1 - i];
        for (int j = 0; j < c->layers_per_block + 1; j++)
            cascade_resnet(chain, width, blocks_name("decoder.up_blocks.%d.resnets.%d", i, j).text);
    }
    cascade_norm_conv(chain, c->out_channels, "decoder.conv_norm_out", "decoder.conv_out");
}

void vae_cut_chain_down(struct cascade *chain, struct graph *g, const struct vae_config *c,
                        const struct vae_cut *cut, const struct bands *image,
                        const struct bands_layer *in)
{
    cascade_begin(chain, g, image, cut->band_rows, c->groups, VAE_CUT_NORM_EPS);
    cascade_conv(chain, in);
    for (int i = 0; i < cut->again; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            cascade_resnet(chain, c->channels[i],
                           blocks_name("encoder.down_blocks.%d.resnets.%d", i, j).text);
        const struct bands_layer down = vae_cut_halving(g, c->channels[i], i);
        cascade_conv(chain, &down);
    }
}
