#include "nn/vae_alive.h"

#include "nn/vae_cut.h"

/* Shapes that are alive together, and those of them that need the most so far. */
struct alive {
    struct graph_shape *out;
    int n;
    double numbers;
};

static double sum(const struct graph_shape *shapes, int n)
{
    double numbers = 0;
    for (int i = 0; i < n; i++)
        numbers += (double)shapes[i].n * vae_cut_numbers(shapes[i].c, shapes[i].h, shapes[i].w);
    return numbers;
}

static void offer(struct alive *a, const struct graph_shape *shapes, int n)
{
    const double numbers = sum(shapes, n);

    if (numbers <= a->numbers)
        return;
    a->numbers = numbers;
    a->n = n;
    for (int i = 0; i < n; i++)
        a->out[i] = shapes[i];
}

static void offer_two(struct alive *a, struct graph_shape input, struct graph_shape one,
                      struct graph_shape other)
{
    const struct graph_shape shapes[] = {input, one, other};
    offer(a, shapes, 3);
}

static struct graph_shape with(struct graph_shape like, int64_t c, int64_t h)
{
    return (struct graph_shape){like.n, c, h, like.w};
}

/* A block that keeps its channels: what it reads is added to what it computes, band by band; of the
 * hidden picture there is all of it, or the two bands that one of the result is made from. */
static void offer_block(struct alive *a, struct graph_shape input, struct graph_shape x, bool hold,
                        const struct bands *cut)
{
    offer_two(a, input, x, hold ? x : with(x, x.c, bands_rows_of_two(cut)));
}

/* A block in one piece: what it reads, its hidden picture and, where channels change, what it reads
 * brought to as many. */
static void offer_first_block(struct alive *a, struct graph_shape input, int64_t from,
                              struct graph_shape x)
{
    const struct graph_shape shapes[] = {input, with(x, from, x.h), x, x};
    offer(a, shapes, from == x.c ? 3 : 4);
}

/* The bands that a level of the decoder ends in. */
static struct bands bands_of_level(const struct vae_cut_level *l, int i, struct graph_shape x)
{
    return (i > 0 && !l->enlarged_is_held ? bands_cut_tapered : bands_cut)(x.c, x.h, x.w, l->rows);
}

/* A level of the decoder that is computed once.  Returns what it ends in. */
static struct bands offer_up(struct alive *a, const struct vae_config *c, const struct vae_cut *cut,
                             int i, struct graph_shape latent)
{
    const struct vae_cut_level l = vae_cut_up(c, cut, i, latent);
    const int64_t channels = c->channels[c->n_levels - 1 - i];
    const int64_t before = c->channels[c->n_levels - 1 - (i ? i - 1 : 0)];
    const struct graph_shape x = {latent.n, channels, latent.h << i, latent.w << i};
    const struct bands bands = bands_of_level(&l, i, x);

    if (!l.rows)
        offer_first_block(a, latent, before, x);
    if (!l.rows && i > 0)
        offer_two(a, latent, with(x, before, x.h),
                  (struct graph_shape){x.n, before, x.h / 2, x.w / 2});
    offer_block(a, latent, x, !l.rows || 2 * l.hidden <= cut->hold, &bands);
    if (i == c->n_levels - 1)
        offer_two(a, latent, x, with(x, c->out_channels, x.h));
    return bands;
}

/* The picture that the chain begins with, as far as it is still read, and the chain's rings. */
static void offer_chain(struct alive *a, struct graph_shape input, struct cascade *chain,
                        int64_t rows, bool x_is_input)
{
    struct graph_shape shapes[VAE_ALIVE_MOST];
    int64_t x_rows;
    int n = cascade_alive(chain, rows, input.n, shapes, &x_rows);

    if (n == 0 || n + 2 > VAE_ALIVE_MOST)
        return;
    shapes[n++] = input;
    if (!x_is_input)
        shapes[n++] = (struct graph_shape){input.n, chain->x->c, x_rows, chain->x->w};
    offer(a, shapes, n);
}

static bool is_possible(const struct vae_config *c)
{
    return !c->tiny && c->n_levels >= 1 && c->n_levels <= MODEL_MAX_LEVELS &&
           c->layers_per_block >= 1;
}

/* Without bands there is nothing that they ask for. */
static struct vae_tiling of_bands(const struct vae_tiling *t)
{
    return t && t->band_rows > 0 ? *t : (struct vae_tiling){0};
}

int vae_alive_decode(const struct vae_config *c, struct graph_shape latent,
                     const struct vae_tiling *tiling, struct graph_shape *out)
{
    const struct vae_tiling bands = of_bands(tiling);
    struct alive a = {.out = out};

    if (!is_possible(c))
        return 0;
    const struct vae_cut cut = vae_cut_decoder(c, latent, &bands);
    struct bands x = {0};
    for (int i = 0; i < c->n_levels - cut.again; i++)
        x = offer_up(&a, c, &cut, i, latent);
    struct graph *names = cut.again ? graph_new() : NULL; /* of weights; nothing else is added */
    if (names) {
        struct cascade chain;
        vae_cut_chain_up(&chain, names, c, &cut, &x);
        offer_chain(&a, latent, &chain, 0, false);
        graph_free(names);
    }
    return a.n;
}

static void offer_down(struct alive *a, const struct vae_config *c, const struct vae_cut *cut,
                       int i, struct graph_shape image)
{
    const int64_t rows = vae_cut_down_rows(c, cut, i, image);
    const struct graph_shape x = {image.n, c->channels[i], image.h >> i, image.w >> i};
    const struct bands bands = bands_cut(x.c, x.h, x.w, rows);
    const double numbers = vae_cut_numbers(x.c, x.h, x.w);

    /* Of two blocks the second one has as many channels as the first one made. */
    if (c->layers_per_block > 1 || i == 0 || c->channels[i - 1] == c->channels[i])
        offer_block(a, image, x, !rows || 2 * numbers <= cut->hold, &bands);
    if (!rows && i > 0)
        offer_first_block(a, image, c->channels[i - 1], x);
}

int vae_alive_encode(const struct vae_config *c, struct graph_shape image,
                     const struct vae_tiling *tiling, struct graph_shape *out)
{
    const struct vae_tiling bands = of_bands(tiling);
    struct alive a = {.out = out};

    if (!is_possible(c))
        return 0;
    const struct vae_cut cut = vae_cut_encoder(c, image, &bands);
    for (int i = cut.again; i < c->n_levels; i++)
        offer_down(&a, c, &cut, i, image);
    struct graph *names = cut.again ? graph_new() : NULL;
    if (names) {
        const struct bands x = bands_cut(image.c, image.h, image.w, 0);
        const struct bands_layer in =
            bands_layer(names, image.c, c->channels[0], 3, "encoder.conv_in");
        struct cascade chain;
        vae_cut_chain_down(&chain, names, c, &cut, &x, &in);
        offer_chain(&a, image, &chain, vae_cut_down_rows(c, &cut, cut.again, image), true);
        graph_free(names);
    }
    return a.n;
}
