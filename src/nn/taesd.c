#include "nn/taesd.h"

#include "nn/bands.h"
#include "nn/blocks.h"

#include <math.h>

/* One half being built.  Layers are numbered as diffusers numbers them. */
struct half {
    struct graph *g;
    const char *name; /* "encoder" or "decoder" */
    int64_t width;
    int64_t rows; /* of a band; 0: nothing is cut */
    int at;       /* number of the next layer */
};

/* The three convolutions of a residual block. */
struct block {
    struct bands_layer conv[3];
};

void taesd_clamp(float *latent, size_t n)
{
    for (size_t i = 0; i < n; i++)
        latent[i] = 3 * tanhf(latent[i] / 3);
}

static struct bands_layer layer(const struct half *t, int64_t in_c, int64_t out_c, bool bias,
                                const char *name)
{
    const int64_t dims[4] = {out_c, in_c, 3, 3};
    return (struct bands_layer){.weight = graph_weight(t->g, 4, dims, "%s.weight", name),
                                .bias = bias ? graph_weight(t->g, 1, &out_c, "%s.bias", name) : 0,
                                .out_c = out_c,
                                .kernel = 3,
                                .stride = 1,
                                .pad_before = 1,
                                .pad_after = 1};
}

static struct bands_layer next_layer(struct half *t, int64_t in_c, int64_t out_c, bool bias)
{
    return layer(t, in_c, out_c, bias, blocks_name("%s.layers.%d", t->name, t->at++).text);
}

static struct block next_block(struct half *t)
{
    struct block b;
    for (int i = 0; i < 3; i++)
        b.conv[i] = layer(t, t->width, t->width, true,
                          blocks_name("%s.layers.%d.conv.%d", t->name, t->at, 2 * i).text);
    t->at++;
    return b;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows [lo, hi) of the picture x as its only band. */
static struct bands only(const struct bands *x, int tensor)
{
    struct bands one = {.c = x->c, .h = x->h, .w = x->w, .rows = x->rows, .n = 1};
    one.tensor[0] = tensor;
    return one;
}

/* Rows [lo, hi) of a block's result: relu(conv(relu(conv(relu(conv(x))))) + x).  same is x in
 * exactly these rows. */
static int block_rows(struct half *t, const struct block *b, const struct bands *x, int same,
                      int64_t lo, int64_t hi)
{
    const struct bands_with relu = {.act = GRAPH_ACT_RELU};
    struct bands hidden = *x;

    for (int i = 0; i < 3; i++) {
        const int64_t more = 2 - i; /* what the convolutions behind this one reach for */
        const int rows =
            bands_conv_rows(t->g, &hidden, &b->conv[i], at_least(lo - more, 0),
                            at_most(hi + more, x->h), i < 2 ? relu : (struct bands_with){0});
        hidden = only(x, rows);
    }
    return graph_act(t->g, &(struct graph_act_op){hidden.tensor[0], same, GRAPH_ACT_RELU});
}

static struct bands whole_block(struct half *t, const struct bands *x)
{
    const struct block b = next_block(t);
    struct bands out = *x;

    for (int i = 0; i < x->n; i++)
        out.tensor[i] = block_rows(t, &b, x, x->tensor[i], x->edge[i], x->edge[i + 1]);
    return out;
}

static struct bands blocks(struct half *t, struct bands x, int n)
{
    for (int i = 0; i < n; i++)
        x = whole_block(t, &x);
    return x;
}

/* The largest level, which has one block between two convolutions, is never held: first, block and
 * last run band by band of last's result.  Returns the result in bands of t->rows, or in one
 * tensor. */
struct largest {
    struct bands_layer first, last;
    struct block block;
    struct bands between; /* shape of what first and the block make */
};

static int largest_rows(struct half *t, const struct largest *l, const struct bands *x, int64_t lo,
                        int64_t hi, int into)
{
    int64_t from, to;
    struct bands fed = l->between;

    bands_conv_reads(l->between.h, &l->last, lo, hi, &from, &to);
    /* In three pieces, because the middle one alone is what the block adds to its result. */
    const int64_t edge[4] = {at_least(from - 3, 0), from, to, at_most(to + 3, fed.h)};
    fed.n = 3;
    for (int i = 0; i < 3; i++)
        fed.tensor[i] = edge[i] < edge[i + 1] ? bands_conv_rows(t->g, x, &l->first, edge[i],
                                                                edge[i + 1], (struct bands_with){0})
                                              : 0;
    const struct bands made =
        only(&l->between, block_rows(t, &l->block, &fed, fed.tensor[1], from, to));
    return bands_conv_rows(t->g, &made, &l->last, lo, hi, (struct bands_with){.into = into});
}

static bool is_cut(const struct half *t, int64_t h)
{
    return t->rows > 0 && t->rows < h;
}

/* Levels above the latent's, from the smallest up. */
int taesd_build_decode(struct graph *g, const struct vae_config *c, int latent, int64_t band_rows)
{
    struct half t = {.g = g, .name = "decoder", .width = c->channels[0], .rows = band_rows};
    const struct graph_shape shape = blocks_shape(g, latent);
    struct bands x = bands_whole(g, latent), out;
    const struct bands_layer in = next_layer(&t, c->latent_channels, t.width, true);

    t.at++; /* the ReLU has a number */
    out = bands_cut(t.width, x.h, x.w, t.rows);
    for (int i = 0; i < out.n; i++)
        out.tensor[i] = bands_conv_rows(g, &x, &in, out.edge[i], out.edge[i + 1],
                                        (struct bands_with){.act = GRAPH_ACT_RELU});
    x = out;
    for (int level = 0; level + 1 < c->n_levels; level++) {
        x = blocks(&t, x, c->decoder_blocks[level]);
        t.at++; /* so has the doubling */
        struct bands_layer up = next_layer(&t, t.width, t.width, false);
        up.enlarge = true;
        const struct bands larger = bands_cut(t.width, 2 * x.h, 2 * x.w, t.rows);
        if (level + 2 == c->n_levels && c->decoder_blocks[level + 1] == 1 && is_cut(&t, larger.h)) {
            struct largest l = {.first = up, .block = next_block(&t), .between = larger};
            l.last = next_layer(&t, t.width, c->out_channels, true);
            const int picture = graph_picture(
                g, (struct graph_shape){shape.n, c->out_channels, larger.h, larger.w});
            for (int i = 0; i < larger.n; i++)
                largest_rows(&t, &l, &x, larger.edge[i], larger.edge[i + 1], picture);
            return picture;
        }
        x = bands_conv(g, &x, &up, t.rows);
    }
    x = blocks(&t, x, c->decoder_blocks[c->n_levels - 1]);
    const struct bands_layer last = next_layer(&t, t.width, c->out_channels, true);
    return bands_conv(g, &x, &last, 0).tensor[0];
}

static bool can_encode(struct graph *g, const struct vae_config *c, struct graph_shape image)
{
    const int64_t scale = (int64_t)1 << (c->n_levels - 1);

    if (c->no_encoder)
        graph_fail(g, "the VAE holds a decoder only, and this takes an encoder");
    else if (image.h % scale != 0 || image.w % scale != 0)
        graph_fail(g, "the VAE needs sides that are multiples of %lld", (long long)scale);
    else
        return true;
    return false;
}

/* A convolution that halves both sides, in bands of t->rows. */
static struct bands_layer down_layer(struct half *t)
{
    struct bands_layer down = next_layer(t, t->width, t->width, false);
    down.stride = 2;
    return down;
}

/* The first level, band by band of the halved picture. */
static struct bands first_level(struct half *t, const struct bands *image,
                                const struct bands_layer *in)
{
    struct largest l = {.first = *in, .block = next_block(t)};
    struct bands out = bands_cut(t->width, (image->h + 1) / 2, (image->w + 1) / 2, t->rows);

    l.between = bands_cut(t->width, image->h, image->w, t->rows);
    l.last = down_layer(t);
    for (int i = 0; i < out.n; i++)
        out.tensor[i] = largest_rows(t, &l, image, out.edge[i], out.edge[i + 1], 0);
    return out;
}

int taesd_build_encode(struct graph *g, const struct vae_config *c, int image, int64_t band_rows)
{
    struct half t = {.g = g, .name = "encoder", .width = c->channels[0], .rows = band_rows};
    struct bands x = bands_whole(g, image);

    if (!can_encode(g, c, blocks_shape(g, image)))
        return 0;
    const struct bands_layer in = next_layer(&t, c->in_channels, t.width, true);
    const bool fused = c->n_levels > 1 && c->encoder_blocks[0] == 1 && is_cut(&t, x.h);
    x = fused ? first_level(&t, &x, &in) : bands_conv(g, &x, &in, t.rows);
    for (int level = fused ? 1 : 0; level < c->n_levels; level++) {
        x = blocks(&t, x, c->encoder_blocks[level]);
        if (level + 1 < c->n_levels) {
            const struct bands_layer down = down_layer(&t);
            x = bands_conv(g, &x, &down, t.rows);
        }
    }
    const struct bands_layer last = next_layer(&t, t.width, c->latent_channels, true);
    return bands_conv(g, &x, &last, 0).tensor[0];
}
