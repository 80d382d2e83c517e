/* RRDBNet against plain loops in double precision, and in rows against itself whole. */
#include "engine/cpu/cpu_kernels.h"
#include "nn/nn_test_run.h"
#include "nn/rrdb.h"

#include <stdlib.h>
#include <string.h>

static float number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

static float *new_numbers(size_t n, uint64_t seed, float scale)
{
    float *x = calloc(n ? n : 1, sizeof *x);
    if (!x)
        exit(2);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * number(&seed);
    return x;
}

/* A weight's numbers follow from its name, however a graph orders them. */
static float *new_weight(const char *name, size_t count)
{
    uint64_t seed = 1;
    for (const char *c = name; *c; c++)
        seed = seed * 31 + (unsigned char)*c;
    return new_numbers(count, seed, strstr(name, ".bias") ? 0.5f : 0.3f);
}

/* --- The plain loops: planes of doubles. --- */

struct picture {
    int c, h, w;
    double *x; /* [c][h][w] */
};

static struct picture new_picture(int c, int h, int w)
{
    struct picture p = {c, h, w, calloc((size_t)(c * h * w), sizeof(double))};
    if (!p.x)
        exit(2);
    return p;
}

static double *at(const struct picture *p, int c, int y, int x)
{
    return &p->x[(c * p->h + y) * p->w + x];
}

static struct picture plain_conv(const struct picture *in, int out_c, const char *layer, bool leaky)
{
    struct picture out = new_picture(out_c, in->h, in->w);
    char name[96];
    snprintf(name, sizeof name, "%s.weight", layer);
    float *w = new_weight(name, (size_t)(out_c * in->c * 9));
    snprintf(name, sizeof name, "%s.bias", layer);
    float *bias = new_weight(name, (size_t)out_c);

    for (int i = 0; i < out_c * in->h * in->w; i++) {
        const int o = i / in->w / in->h, y = i / in->w % in->h, x = i % in->w;
        double sum = bias[o];
        for (int k = 0; k < in->c * 9; k++) {
            const int yy = y + k / 3 % 3 - 1, xx = x + k % 3 - 1;
            if (yy >= 0 && yy < in->h && xx >= 0 && xx < in->w)
                sum += *at(in, k / 9, yy, xx) * w[o * in->c * 9 + k];
        }
        out.x[i] = leaky && sum < 0 ? 0.2 * sum : sum;
    }
    free(w);
    free(bias);
    return out;
}

static struct picture joined(struct picture a, const struct picture *b)
{
    struct picture out = new_picture(a.c + b->c, a.h, a.w);
    const size_t first = (size_t)(a.c * a.h * a.w);
    memcpy(out.x, a.x, first * sizeof(double));
    memcpy(out.x + first, b->x, (size_t)(b->c * b->h * b->w) * sizeof(double));
    return out;
}

/* to = to * scale + x */
static void add(struct picture *to, double scale, const struct picture *x)
{
    for (int i = 0; i < x->c * x->h * x->w; i++)
        to->x[i] = to->x[i] * scale + x->x[i];
}

static struct picture plain_dense(const struct picture *x, const struct upscaler_config *c, int i,
                                  int dense)
{
    struct picture known = new_picture(x->c, x->h, x->w), out = {0};
    char layer[64];

    add(&known, 0, x);
    for (int k = 1; k <= 5; k++) {
        snprintf(layer, sizeof layer, "body.%d.rdb%d.conv%d", i, dense, k);
        out = plain_conv(&known, k == 5 ? c->width : c->growth, layer, k < 5);
        if (k < 5) {
            struct picture more = joined(known, &out);
            free(known.x);
            free(out.x);
            known = more;
        }
    }
    add(&out, 0.2, x);
    free(known.x);
    return out;
}

static struct picture plain_block(const struct picture *x, const struct upscaler_config *c, int i)
{
    struct picture a = plain_dense(x, c, i, 1), b = plain_dense(&a, c, i, 2),
                   out = plain_dense(&b, c, i, 3);
    add(&out, 0.2, x);
    free(a.x);
    free(b.x);
    return out;
}

static struct picture doubled(const struct picture *x)
{
    struct picture out = new_picture(x->c, 2 * x->h, 2 * x->w);
    for (int i = 0; i < out.c * out.h * out.w; i++)
        out.x[i] = *at(x, i / out.w / out.h, i / out.w % out.h / 2, i % out.w / 2);
    return out;
}

static struct picture replaced(struct picture old, struct picture made)
{
    free(old.x);
    return made;
}

static struct picture plain_network(const struct picture *image, const struct upscaler_config *c)
{
    struct picture first = plain_conv(image, c->width, "conv_first", false);
    struct picture x = new_picture(first.c, first.h, first.w);
    char layer[32];

    add(&x, 0, &first);
    for (int i = 0; i < c->blocks; i++)
        x = replaced(x, plain_block(&x, c, i));
    x = replaced(x, plain_conv(&x, c->width, "conv_body", false));
    add(&x, 1, &first);
    for (int i = 1; i <= c->ups; i++) {
        snprintf(layer, sizeof layer, "conv_up%d", i);
        x = replaced(x, doubled(&x));
        x = replaced(x, plain_conv(&x, c->width, layer, true));
    }
    x = replaced(x, plain_conv(&x, c->width, "conv_hr", true));
    x = replaced(x, plain_conv(&x, 3, "conv_last", false));
    free(first.x);
    return x;
}

/* --- The graph. --- */

struct taking {
    const struct graph *g;
    struct exec *e;
    int out, next_op;
    int64_t rows_taken;
    float *ring, *to; /* [h][w][3] */
};

/* Reads rows from the ring as soon as they are there. */
static bool take(void *ctx, int done_ops, int n_ops)
{
    struct taking *t = ctx;
    const struct graph_shape s = graph_tensor_view(t->g, t->out)->shape;

    (void)n_ops;
    for (; t->next_op < done_ops; t->next_op++) {
        const struct graph_op *op = graph_op_view(t->g, t->next_op);
        if (op->out != t->out)
            continue;
        exec_read(t->e, t->out, t->ring, BACKEND_ROWS);
        for (int64_t y = op->u.conv.out_y; y < op->u.conv.out_y + op->u.conv.out_rows; y++)
            memcpy(t->to + y * s.w * 3, t->ring + y % s.h * s.w * 3,
                   (size_t)s.w * 3 * sizeof(float));
        CHECK(op->u.conv.out_y == t->rows_taken);
        t->rows_taken += op->u.conv.out_rows;
    }
    return true;
}

struct way {
    struct upscaler_config c;
    int h, w; /* of the trunk */
};

/* Rows of [h][w][3], of the caller. */
static float *run(const struct way *y, struct backend *b, const float *image,
                  const struct rrdb_tiling *tiling)
{
    struct graph *g = graph_new();
    const int in = graph_input(g, (struct graph_shape){1, 3 * y->c.fold * y->c.fold, y->h, y->w});
    const int out = rrdb_build(g, &y->c, in, tiling), n = graph_n_weights(g);
    struct weight_view *views = calloc((size_t)n + 1, sizeof *views);
    struct weights *w = NULL;
    struct error err = {0};
    const int64_t full = (int64_t)(y->h << y->c.ups) * (y->w << y->c.ups) * 3;
    struct taking t = {.g = g, .out = out};

    if (!graph_check(g, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(graph_check(g, &err));
    CHECK(graph_n_ops(g) <= rrdb_ops(&y->c, y->h, tiling));
    for (int i = 0; i < n; i++) {
        const struct graph_weight *weight = graph_weight_view(g, i + 1);
        int64_t count = 1;
        for (int d = 0; d < weight->n_dims; d++)
            count *= weight->dims[d];
        views[i] = (struct weight_view){new_weight(weight->name, (size_t)count), DTYPE_F32, count};
    }
    t.ring = calloc((size_t)full, sizeof *t.ring);
    t.to = calloc((size_t)full, sizeof *t.to);
    bool ok = weights_from_views(&w, g, views, &err) && exec_new(&t.e, g, b, w, 0, &err) &&
              exec_start(t.e, NULL, &err);
    if (ok)
        exec_write(t.e, in, image, BACKEND_ROWS);
    ok = ok && exec_run(t.e, take, &t, &err) && take(&t, graph_n_ops(g), graph_n_ops(g));
    CHECK(ok && t.rows_taken == y->h << y->c.ups);
    exec_free(t.e);
    weights_free(w);
    for (int i = 0; i < n; i++) {
        union {
            const void *in;
            void *out;
        } edge = {.in = views[i].bytes};
        free(edge.out);
    }
    free(views);
    free(t.ring);
    graph_free(g);
    return t.to;
}

static const struct way ways[] = {
    {{.width = 8, .growth = 4, .blocks = 2, .ups = 2, .fold = 1}, 13, 9},
    {{.width = 7, .growth = 5, .blocks = 1, .ups = 2, .fold = 2}, 11, 6},
    {{.width = 8, .growth = 4, .blocks = 1, .ups = 2, .fold = 4}, 6, 5},
    {{.width = 8, .growth = 4, .blocks = 1, .ups = 3, .fold = 1}, 9, 4},
    {{.width = 8, .growth = 4, .blocks = 1, .ups = 0, .fold = 1}, 20, 5},
    {{.width = 8, .growth = 8, .blocks = 1, .ups = 1, .fold = 1}, 1, 1},
};

static float *image_of(const struct way *y)
{
    return new_numbers((size_t)(y->h * y->w * 3 * y->c.fold * y->c.fold), 7, 1);
}

static void equals_plain_loops(struct backend *b, double allowed)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const struct way *y = &ways[i];
        float *image = image_of(y), *have = run(y, b, image, NULL);
        struct picture in = new_picture(3 * y->c.fold * y->c.fold, y->h, y->w);
        for (int k = 0; k < in.c * in.h * in.w; k++)
            in.x[k % in.c * in.h * in.w + k / in.c] = image[k];
        struct picture want = plain_network(&in, &y->c);
        float *rows = calloc((size_t)(want.h * want.w * 3), sizeof *rows);
        for (int k = 0; rows && k < want.h * want.w * 3; k++)
            rows[k] = (float)want.x[k % 3 * want.h * want.w + k / 3];
        const double error = nn_test_error(have, rows, (size_t)(want.h * want.w * 3));
        if (!(error <= allowed))
            fprintf(stderr, "network %zu: off by %g\n", i, error);
        CHECK(error <= allowed);
        free(rows);
        free(in.x);
        free(want.x);
        free(image);
        free(have);
    }
}

static void has_the_same_bits_for_any_number_of_rows(struct backend *b)
{
    static const struct rrdb_tiling tilings[] = {{1, 1},  {2, 3},  {3, 2},  {5, 1},
                                                 {8, 12}, {14, 4}, {19, 9}, {4, 0}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const struct way *y = &ways[i];
        const size_t bytes = (size_t)(y->h << y->c.ups) * (size_t)(y->w << y->c.ups) * 12;
        float *image = image_of(y), *whole = run(y, b, image, NULL);
        for (size_t k = 0; k < sizeof tilings / sizeof *tilings; k++) {
            float *tiled = run(y, b, image, &tilings[k]);
            const bool same = memcmp(whole, tiled, bytes) == 0;
            if (!same)
                fprintf(stderr, "network %zu differs by rows of %d and %d\n", i,
                        (int)tilings[k].rows, (int)tilings[k].up_rows);
            CHECK(same);
            free(tiled);
        }
        free(whole);
        free(image);
    }
}

int main(void)
{
    const struct cpu_kernels *table[8];
    const int n = cpu_kernels_list(table);

    for (int i = 0; i < n; i++) {
        struct error err = {0};
        struct backend *b = NULL;
        const bool opened = cpu_backend_open(&b, 2, table[i]->name, &err);
        CHECK(opened);
        if (!opened)
            continue;
        equals_plain_loops(b, strcmp(table[i]->name, "amx") == 0 ? 2e-4 : 2e-5);
        has_the_same_bits_for_any_number_of_rows(b);
        b->fn->close(b);
    }
    return TEST_END();
}
