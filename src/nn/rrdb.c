#include "nn/rrdb.h"

#include "nn/blocks.h"

enum { STAGES = 15, DENSE = 5, MARGIN = 4 };

static const float RESIDUAL_SCALE = 0.2f; /* Wang et al. 2018: beta */

struct layer {
    int weight, bias;
    int64_t out_c;
};

struct builder {
    struct graph *g;
    const struct upscaler_config *c;
    int64_t h, w; /* of the trunk */
    int trunk;
    int growth[3]; /* rings of what a dense block's convolutions add, joined behind what it reads */
    int between[2]; /* rings of the first and second dense block's results */
};

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct layer new_layer(struct graph *g, int64_t in_c, int64_t out_c, const char *name)
{
    const int64_t dims[4] = {out_c, in_c, 3, 3};
    return (struct layer){.weight = graph_weight(g, 4, dims, "%s.weight", name),
                          .bias = graph_weight(g, 1, &out_c, "%s.bias", name),
                          .out_c = out_c};
}

/* Rows [lo, hi) of a layer's result; base holds what else the convolution does. */
static void conv(struct builder *b, const struct layer *l, struct graph_conv base, int64_t lo,
                 int64_t hi)
{
    base.weight = l->weight;
    base.bias = l->bias;
    base.out_c = l->out_c;
    base.kernel = 3;
    base.stride = base.pad_before = base.pad_after = 1;
    base.out_y = lo;
    base.out_rows = hi - lo;
    if (hi > lo)
        graph_conv(b->g, &base);
}

/* Convolution `stage` of a block: four that add to what the dense block knows, and one that makes
 * its result of all of it. */
static struct graph_conv dense_conv(const struct builder *b, int stage)
{
    const int dense = stage / DENSE, k = stage % DENSE;
    const int x = dense == 0 ? b->trunk : b->between[dense - 1];
    struct graph_conv conv = {.in = {.x = x, .x2 = k ? b->growth[dense] : 0}};

    conv.in.channels = k ? (int64_t)k * b->c->growth : 0;
    if (k < DENSE - 1) {
        conv.act = GRAPH_ACT_LEAKY_RELU;
        conv.into = b->growth[dense];
        conv.into_c = (int64_t)k * b->c->growth;
        return conv;
    }
    conv.scale = RESIDUAL_SCALE;
    conv.residual = x;
    conv.into = dense == 2 ? b->trunk : b->between[dense];
    if (dense == 2) {
        conv.outer = b->trunk;
        conv.outer_scale = RESIDUAL_SCALE;
    }
    return conv;
}

/* Each stage is a row behind the one before it, which is what its kernel needs: row y of a stage
 * reads rows to y + 1.  The last one writes rows of the trunk that no stage reads any more. */
static void block(struct builder *b, int number, int64_t rows)
{
    struct layer layers[STAGES];

    for (int i = 0; i < STAGES; i++) {
        const int k = i % DENSE;
        const struct blocks_name name =
            blocks_name("body.%d.rdb%d.conv%d", number, i / DENSE + 1, k + 1);
        layers[i] = new_layer(b->g, b->c->width + (int64_t)k * b->c->growth,
                              k == DENSE - 1 ? b->c->width : b->c->growth, name.text);
    }
    for (int64_t y = 0; y < b->h + STAGES - 1; y += rows)
        for (int i = 0; i < STAGES; i++)
            conv(b, &layers[i], dense_conv(b, i), at_most(at_least(y - i, 0), b->h),
                 at_most(at_least(y + rows - i, 0), b->h));
}

static int ring(const struct builder *b, int64_t c, int64_t rows, int64_t h, int64_t w)
{
    return graph_ring(b->g, (struct graph_shape){1, c, rows, w}, h);
}

static void trunk(struct builder *b, int image, const struct layer *first, int64_t rows)
{
    /* What a ring's last reader needs lies this far behind what is written first: a dense block's
     * five stages apart, and a row that the kernel reaches further. */
    const int64_t kept = rows + DENSE + 1;

    b->trunk = graph_picture(b->g, (struct graph_shape){1, b->c->width, b->h, b->w});
    for (int i = 0; i < 3; i++)
        b->growth[i] = ring(b, (int64_t)(DENSE - 1) * b->c->growth, kept, b->h, b->w);
    for (int i = 0; i < 2; i++)
        b->between[i] = ring(b, b->c->width, kept, b->h, b->w);
    for (int64_t y = 0; y < b->h; y += rows)
        conv(b, first, (struct graph_conv){.in.x = image, .into = b->trunk}, y,
             at_most(y + rows, b->h));
    for (int i = 0; i < b->c->blocks; i++)
        block(b, i, rows);
}

/* The stages behind the trunk: its own last convolution, a doubling each, two more. */
struct ladder {
    struct layer layers[UPSCALER_FILE_MAX_UPS + 3];
    struct graph_conv convs[UPSCALER_FILE_MAX_UPS + 3];
    int64_t h[UPSCALER_FILE_MAX_UPS + 3]; /* of the results */
    int64_t done[UPSCALER_FILE_MAX_UPS + 3];
    int n;
};

static void add_rung(struct builder *b, struct ladder *l, const char *name, struct graph_conv conv,
                     int64_t c, int64_t rows)
{
    const int i = l->n++, ups = conv.in.enlarge;
    const int64_t h = i ? l->h[i - 1] << ups : b->h;

    l->layers[i] = new_layer(b->g, b->c->width, c, name);
    l->h[i] = h;
    conv.in.x = i ? l->convs[i - 1].into : b->trunk;
    conv.into = ring(b, c, rows, h, b->w * (h / b->h));
    l->convs[i] = conv;
}

/* To row `to` of the last result: how far each stage has to be for the next one. */
static void climb(struct builder *b, struct ladder *l, int64_t to, int image,
                  const struct layer *first)
{
    int64_t need[UPSCALER_FILE_MAX_UPS + 3];

    need[l->n - 1] = to;
    for (int i = l->n - 1; i > 0; i--) {
        const int64_t rows = at_most(need[i] + 1, l->h[i]);
        need[i - 1] = l->convs[i].in.enlarge ? at_most((rows + 1) / 2, l->h[i - 1]) : rows;
    }
    conv(b, first, (struct graph_conv){.in.x = image, .into = l->convs[0].residual}, l->done[0],
         need[0]);
    for (int i = 0; i < l->n; i++) {
        conv(b, &l->layers[i], l->convs[i], l->done[i], need[i]);
        l->done[i] = at_least(l->done[i], need[i]);
    }
}

static int enlarged(struct builder *b, int image, const struct layer *first, int64_t rows)
{
    struct ladder l = {0};
    const int ups = b->c->ups;
    /* The first convolution is computed once more: the trunk has overwritten it. */
    const int skip = ring(b, b->c->width, rows + MARGIN, b->h, b->w);

    add_rung(b, &l, "conv_body", (struct graph_conv){.residual = skip}, b->c->width, rows + MARGIN);
    for (int i = 1; i <= ups; i++)
        add_rung(b, &l, blocks_name("conv_up%d", i).text,
                 (struct graph_conv){.in.enlarge = true, .act = GRAPH_ACT_LEAKY_RELU}, b->c->width,
                 (rows << i) + MARGIN);
    add_rung(b, &l, "conv_hr", (struct graph_conv){.act = GRAPH_ACT_LEAKY_RELU}, b->c->width,
             (rows << ups) + MARGIN);
    add_rung(b, &l, "conv_last", (struct graph_conv){0}, 3, rows << ups);
    for (int64_t y = 0; y < b->h; y += rows)
        climb(b, &l, at_most(y + rows, b->h) << ups, image, first);
    return l.convs[l.n - 1].into;
}

static int64_t rows_of(int64_t asked, int64_t h)
{
    return asked > 0 && asked < h + STAGES - 1 ? asked : h + STAGES - 1;
}

int64_t rrdb_ops(const struct upscaler_config *c, int64_t h, const struct rrdb_tiling *t)
{
    const int64_t rows = rows_of(t ? t->rows : 0, h), up_rows = rows_of(t ? t->up_rows : 0, h);
    return ((h + STAGES - 1) / rows + 1) * (c->blocks * STAGES + 1) +
           (h / up_rows + 1) * (c->ups + 4);
}

int rrdb_build(struct graph *g, const struct upscaler_config *c, int image,
               const struct rrdb_tiling *t)
{
    const struct graph_shape in = blocks_shape(g, image);
    struct builder b = {.g = g, .c = c, .h = in.h, .w = in.w};

    if (!in.n)
        return 0;
    const struct layer first = new_layer(g, in.c, c->width, "conv_first");
    trunk(&b, image, &first, rows_of(t ? t->rows : 0, in.h));
    return enlarged(&b, image, &first, rows_of(t ? t->up_rows : 0, in.h));
}
