#include "nn/bands.h"

#include "nn/blocks.h"

/* Rows [lo, hi) of a picture. */
struct rows {
    int64_t lo, hi;
};

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Band b, its edges within the picture moved down by `ahead` rows. */
static struct rows band_rows(const struct bands *x, int b, int64_t ahead)
{
    return (struct rows){b == 0 ? 0 : at_most(x->edge[b] + ahead, x->h),
                         b == x->n - 1 ? x->h : at_most(x->edge[b + 1] + ahead, x->h)};
}

enum { LOWEST_TAPER = 4, TAPER_ROWS = 14 };

/* Where a picture is written while the smaller one that it is made from is forgotten, memory grows
 * to the end, and the last bands decide.  They are lower: a row less saves there, in the Stable
 * Diffusion decoders, what TAPER_ROWS rows take that are still to be written. */
static int64_t next_rows(const struct bands *x, int64_t y, bool taper)
{
    int64_t rows = x->rows, left = x->h - y;

    while (taper && rows > x->rows / 4 && rows / 2 >= LOWEST_TAPER &&
           rows > LOWEST_TAPER + left / TAPER_ROWS)
        rows /= 2;
    return at_most(rows, left);
}

static struct bands make_bands(int64_t c, int64_t h, int64_t w, int64_t rows, bool taper)
{
    struct bands x = {.c = c, .h = h, .w = w, .rows = rows > 0 && rows < h ? rows : h};
    /* So many that the low ones at the end have room, too. */
    const int64_t fewest = (x.h + BANDS_MAX / 2 - 1) / (BANDS_MAX / 2);

    x.rows = x.rows > fewest ? x.rows : fewest;
    for (int64_t y = 0; y < x.h && x.n < BANDS_MAX; x.edge[++x.n] = (int32_t)y)
        y += next_rows(&x, y, taper && x.rows < x.h);
    return x;
}

struct bands bands_whole(const struct graph *g, int tensor)
{
    const struct graph_shape shape = blocks_shape(g, tensor);
    struct bands x = make_bands(shape.c, shape.h, shape.w, 0, false);
    x.tensor[0] = tensor;
    return x;
}

struct bands_layer bands_layer(struct graph *g, int64_t in_c, int64_t out_c, int kernel,
                               const char *name)
{
    const int64_t dims[4] = {out_c, in_c, kernel, kernel};
    return (struct bands_layer){.weight =
                                    graph_weight(g, kernel == 1 ? 2 : 4, dims, "%s.weight", name),
                                .bias = graph_weight(g, 1, &out_c, "%s.bias", name),
                                .out_c = out_c,
                                .kernel = kernel,
                                .stride = 1,
                                .pad_before = kernel / 2,
                                .pad_after = kernel / 2};
}

static struct graph_conv conv_of(const struct bands_layer *l, struct rows rows)
{
    return (struct graph_conv){.in.enlarge = l->enlarge,
                               .weight = l->weight,
                               .bias = l->bias,
                               .out_c = l->out_c,
                               .kernel = l->kernel,
                               .stride = l->stride,
                               .pad_before = l->pad_before,
                               .pad_after = l->pad_after,
                               .out_y = rows.lo,
                               .out_rows = rows.hi - rows.lo};
}

static struct graph_conv conv_with(const struct bands_layer *l, struct rows rows,
                                   const struct bands_with *with)
{
    struct graph_conv conv = conv_of(l, rows);

    conv.in.affine = with->affine;
    conv.in.silu = with->affine != 0;
    conv.residual = with->residual;
    conv.into = with->into;
    conv.act = with->act;
    return conv;
}

void bands_conv_reads(int64_t h, const struct bands_layer *l, int64_t from, int64_t to, int64_t *lo,
                      int64_t *hi)
{
    const struct graph_slide slide = {.kernel = l->kernel,
                                      .stride = l->stride,
                                      .pad_before = l->pad_before,
                                      .enlarged_h = l->enlarge ? 2 * h : 0};
    graph_op_slide_rows(&slide, h, from, to - from, lo, hi);
}

int bands_conv_of(struct graph *g, int tensor, const struct bands_layer *l, int64_t lo, int64_t hi,
                  struct bands_with with)
{
    struct graph_conv conv = conv_with(l, (struct rows){lo, hi}, &with);

    conv.in.x = tensor;
    return graph_conv(g, &conv);
}

int bands_conv_rows(struct graph *g, const struct bands *x, const struct bands_layer *l, int64_t lo,
                    int64_t hi, struct bands_with with)
{
    struct graph_conv conv = conv_with(l, (struct rows){lo, hi}, &with);
    int n = 0;

    graph_op_conv_rows(&conv, x->h, &lo, &hi);
    for (int b = 0; b < x->n; b++) {
        if (!x->tensor[b])
            continue;
        const struct graph_tensor *t = graph_tensor_view(g, x->tensor[b]);
        if (!t->ring && t->y0 >= hi)
            break; /* and so are all below */
        if (!t->ring && t->y0 + t->shape.h <= lo)
            continue;
        if (n == GRAPH_MAX_WINDOWS) {
            graph_fail(g, "bands of %lld rows are too thin", (long long)x->rows);
            return 0;
        }
        *(n ? &conv.in.more[n - 1] : &conv.in.x) = x->tensor[b];
        n++;
    }
    return graph_conv(g, &conv);
}

static int conv_rows(struct graph *g, const struct bands *x, const struct bands_layer *l,
                     struct rows rows, struct bands_with with)
{
    return bands_conv_rows(g, x, l, rows.lo, rows.hi, with);
}

struct bands bands_cut(int64_t c, int64_t h, int64_t w, int64_t rows)
{
    return make_bands(c, h, w, rows, false);
}

struct bands bands_cut_tapered(int64_t c, int64_t h, int64_t w, int64_t rows)
{
    return make_bands(c, h, w, rows, true);
}

int64_t bands_rows_of_two(const struct bands *x)
{
    int64_t most = x->edge[1];

    for (int b = 1; b < x->n; b++) {
        const int64_t two = x->edge[b + 1] - x->edge[b - 1];
        most = two > most ? two : most;
    }
    return most;
}

static struct bands result_bands(const struct bands *x, const struct bands_layer *l, int64_t rows)
{
    const int64_t h = l->enlarge ? 2 * x->h : x->h, w = l->enlarge ? 2 * x->w : x->w;
    const int64_t pad = l->pad_before + l->pad_after - l->kernel;
    return make_bands(l->out_c, (h + pad) / l->stride + 1, (w + pad) / l->stride + 1, rows, false);
}

/* Bands to one tensor, a strip at a time, so that each band is read for the last time early. */
static int join(struct graph *g, const struct bands *x, const struct bands_layer *l,
                const struct bands *out)
{
    const int64_t strip = x->rows > l->stride ? x->rows / l->stride : 1;
    const struct bands_with with = {
        .into = graph_picture(
            g, (struct graph_shape){blocks_shape(g, x->tensor[0]).n, out->c, out->h, out->w})};

    for (int64_t y = 0; y < out->h; y += strip)
        conv_rows(g, x, l, (struct rows){y, at_most(y + strip, out->h)}, with);
    return with.into;
}

struct bands bands_conv(struct graph *g, const struct bands *x, const struct bands_layer *l,
                        int64_t rows)
{
    struct bands out = result_bands(x, l, rows);

    if (out.n == 1 && x->n > 1) {
        out.tensor[0] = join(g, x, l, &out);
        return out;
    }
    for (int b = 0; b < out.n; b++)
        out.tensor[b] = conv_rows(g, x, l, band_rows(&out, b, 0), (struct bands_with){0});
    return out;
}

static int add_sums(struct graph *g, int sums, int tensor)
{
    return graph_norm_sums(g, &(struct graph_norm_sums){.x = tensor, .before = sums});
}

static int norm_of(struct graph *g, int sums, int64_t c, const struct bands_resnet *r,
                   const char *name)
{
    struct graph_group_norm norm = {.sums = sums, .groups = r->groups, .eps = r->eps};
    norm.weight = graph_weight(g, 1, &c, "%s.weight", name);
    norm.bias = graph_weight(g, 1, &c, "%s.bias", name);
    return graph_group_norm(g, &norm);
}

/* A residual block being built. */
struct block {
    struct graph *g;
    const struct bands_resnet *r;
    const struct bands *x;
    struct bands fed; /* what the block reads: `first` of x, of which a few bands exist at a time */
    struct bands hidden;
    struct bands_layer conv1, conv2, shortcut;
    int affine1, affine2;
};

/* What the block reads, with band b there. */
static const struct bands *feed(struct block *k, int b, int64_t ahead)
{
    if (!k->r->first)
        return k->x;
    const struct rows rows = band_rows(&k->fed, b, ahead);
    k->fed.tensor[b] =
        rows.lo < rows.hi ? conv_rows(k->g, k->x, k->r->first, rows, (struct bands_with){0}) : 0;
    return &k->fed;
}

static void forget(struct bands *x)
{
    for (int b = 0; b < x->n; b++)
        x->tensor[b] = 0;
}

static int input_sums(struct block *k)
{
    int sums = 0;
    for (int b = 0; b < (k->r->first ? k->fed.n : k->x->n); b++)
        sums = add_sums(k->g, sums, feed(k, b, 0)->tensor[b]);
    forget(&k->fed);
    return sums;
}

static int hidden_sums(struct block *k)
{
    const struct bands_with norm = {.affine = k->affine1};
    int sums = 0;

    for (int b = 0; b < k->hidden.n; b++) {
        const struct bands *in = feed(k, b, 2); /* one would do; doubled rows come in pairs */
        k->hidden.tensor[b] = conv_rows(k->g, in, &k->conv1, band_rows(&k->hidden, b, 0), norm);
        sums = add_sums(k->g, sums, k->hidden.tensor[b]);
    }
    if (!k->r->hold)
        forget(&k->hidden);
    forget(&k->fed);
    return sums;
}

/* What is added to band b of the result. */
static int residual(struct block *k, const struct bands *in, int b)
{
    const struct rows rows = band_rows(&k->hidden, b, 0);

    if (k->shortcut.weight)
        return conv_rows(k->g, in, &k->shortcut, rows, (struct bands_with){0});
    if (k->r->first) /* bands that are ahead are not those of the result */
        return conv_rows(k->g, k->x, k->r->first, rows, (struct bands_with){0});
    return in->tensor[b];
}

static struct bands result(struct block *k)
{
    struct bands out = k->hidden;
    const bool needs_feed = !k->r->hold || k->shortcut.weight;

    for (int b = 0; b < out.n; b++) {
        const struct bands *in = needs_feed ? feed(k, b, k->r->hold ? 0 : 2) : k->x;
        const struct rows ahead = band_rows(&k->hidden, b, 1);
        if (!k->r->hold)
            k->hidden.tensor[b] = ahead.lo < ahead.hi
                                      ? conv_rows(k->g, in, &k->conv1, ahead,
                                                  (struct bands_with){.affine = k->affine1})
                                      : 0;
        out.tensor[b] =
            conv_rows(k->g, &k->hidden, &k->conv2, band_rows(&out, b, 0),
                      (struct bands_with){.affine = k->affine2, .residual = residual(k, in, b)});
    }
    return out;
}

struct bands bands_resnet(struct graph *g, const struct bands *x, const struct bands_resnet *r,
                          const char *name)
{
    const int64_t in_c = r->first ? r->first->out_c : x->c;
    struct block k = {.g = g, .r = r, .x = x};

    k.conv1 = bands_layer(g, in_c, r->out_c, 3, blocks_name("%s.conv1", name).text);
    k.conv2 = bands_layer(g, r->out_c, r->out_c, 3, blocks_name("%s.conv2", name).text);
    if (in_c != r->out_c)
        k.shortcut = bands_layer(g, in_c, r->out_c, 1, blocks_name("%s.conv_shortcut", name).text);
    k.hidden = *x;
    if (r->first)
        k.hidden = make_bands(r->out_c, r->first->enlarge ? 2 * x->h : x->h,
                              r->first->enlarge ? 2 * x->w : x->w, r->rows, true);
    k.hidden.c = r->out_c;
    forget(&k.hidden);

    k.fed = k.hidden;
    k.affine1 = norm_of(g, input_sums(&k), in_c, r, blocks_name("%s.norm1", name).text);
    k.affine2 = norm_of(g, hidden_sums(&k), r->out_c, r, blocks_name("%s.norm2", name).text);
    return result(&k);
}

int bands_conv_out(struct graph *g, const struct bands *x, const struct bands_resnet *r,
                   const char *norm, const char *conv)
{
    const struct bands_layer l = bands_layer(g, x->c, r->out_c, 3, conv);
    struct bands out = x->n > 1 ? *x : make_bands(x->c, x->h, x->w, r->rows, false);
    int sums = 0;

    for (int b = 0; b < x->n; b++)
        sums = add_sums(g, sums, x->tensor[b]);
    struct bands_with with = {.affine = norm_of(g, sums, x->c, r, norm)};
    with.into = graph_picture(
        g, (struct graph_shape){blocks_shape(g, x->tensor[0]).n, r->out_c, out.h, out.w});
    for (int b = 0; b < out.n; b++)
        conv_rows(g, x, &l, band_rows(&out, b, 0), with);
    return with.into;
}
