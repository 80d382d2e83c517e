#include "nn/cascade.h"

#include "nn/blocks.h"

enum { NONE = -1 };

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void cascade_begin(struct cascade *c, struct graph *g, const struct bands *x, int64_t rows,
                   int groups, float eps)
{
    *c = (struct cascade){.g = g, .x = x, .rows = rows, .groups = groups, .eps = eps};
}

/* Channels of what the next stage reads. */
static int64_t input_channels(const struct cascade *c)
{
    return c->n ? c->rings[c->stages[c->n - 1].to].c : c->x->c;
}

static int add_ring(struct cascade *c, int64_t channels, int64_t h, int64_t w)
{
    c->rings[c->n_rings] = (struct cascade_ring){.c = channels, .h = h, .w = w};
    return c->n_rings++;
}

/* to: a ring, or NONE for a new one. */
static struct cascade_stage *add_stage(struct cascade *c, const struct bands_layer *l, int to)
{
    if (c->n == CASCADE_MAX_STAGES) {
        graph_fail(c->g, "more than %d convolutions in a row", (int)CASCADE_MAX_STAGES);
        c->n--;
        c->n_rings--;
    }
    const struct cascade_stage *before = c->n ? &c->stages[c->n - 1] : NULL;
    const int64_t in_h = before ? before->h : c->x->h, in_w = before ? before->w : c->x->w;
    const int64_t pad = l->pad_before + l->pad_after - l->kernel, scale = l->enlarge ? 2 : 1;
    struct cascade_stage *s = &c->stages[c->n++];

    *s = (struct cascade_stage){.layer = *l,
                                .h = (scale * in_h + pad) / l->stride + 1,
                                .w = (scale * in_w + pad) / l->stride + 1,
                                .from = before ? before->to : NONE,
                                .residual = NONE};
    s->to = to == NONE ? add_ring(c, l->out_c, s->h, s->w) : to;
    return s;
}

static void add_norm(struct cascade *c, struct cascade_stage *s, int64_t channels, const char *name)
{
    s->norm_weight = graph_weight(c->g, 1, &channels, "%s.weight", name);
    s->norm_bias = graph_weight(c->g, 1, &channels, "%s.bias", name);
}

void cascade_conv(struct cascade *c, const struct bands_layer *l)
{
    add_stage(c, l, NONE);
}

void cascade_norm_conv(struct cascade *c, int64_t out_c, const char *norm, const char *conv)
{
    const int64_t in_c = input_channels(c);
    const struct bands_layer l = bands_layer(c->g, in_c, out_c, 3, conv);
    add_norm(c, add_stage(c, &l, NONE), in_c, norm);
}

/* The block's result takes the place of what it is added to: rows that its first convolution will
 * read again lie below those that the second one writes. */
void cascade_resnet(struct cascade *c, int64_t out_c, const char *name)
{
    const int64_t in_c = input_channels(c);
    const int x = c->n ? c->stages[c->n - 1].to : NONE;
    const struct bands_layer first =
        bands_layer(c->g, in_c, out_c, 3, blocks_name("%s.conv1", name).text);
    const struct bands_layer second =
        bands_layer(c->g, out_c, out_c, 3, blocks_name("%s.conv2", name).text);

    add_norm(c, add_stage(c, &first, NONE), in_c, blocks_name("%s.norm1", name).text);
    struct cascade_stage *s = add_stage(c, &second, in_c == out_c ? x : NONE);
    add_norm(c, s, out_c, blocks_name("%s.norm2", name).text);
    s->residual = x;
    if (in_c != out_c)
        s->shortcut = bands_layer(c->g, in_c, out_c, 1, blocks_name("%s.conv_shortcut", name).text);
}

/* --- Running. --- */

static void reads(const struct cascade *c, int stage, int64_t from, int64_t to, int64_t *lo,
                  int64_t *hi)
{
    bands_conv_reads(stage ? c->stages[stage - 1].h : c->x->h, &c->stages[stage].layer, from, to,
                     lo, hi);
}

/* How far each stage has to be for the last one to reach row `to`. */
static void look_back(struct cascade *c, int last, int64_t to)
{
    c->need[last] = to;
    for (int i = last; i > 0; i--) {
        int64_t lo, hi = c->done[i - 1];
        if (c->need[i] > c->done[i])
            reads(c, i, c->done[i], c->need[i], &lo, &hi);
        if (c->stages[i - 1].layer.enlarge) /* its rows come in pairs */
            hi = at_most((hi + 1) / 2 * 2, c->stages[i - 1].h);
        c->need[i - 1] = at_least(hi, c->done[i - 1]);
    }
}

static void list_readers(struct cascade *c)
{
    for (int i = 0; i < c->n_rings; i++)
        c->rings[i].n_readers = 0;
    for (int i = 0; i < c->n; i++) {
        const int ring[] = {c->stages[i].from, c->stages[i].residual};
        for (int k = 0; k < 2; k++) {
            if (ring[k] == NONE || (k > 0 && ring[k] == ring[0]))
                continue; /* once a stage: so many have room */
            struct cascade_ring *r = &c->rings[ring[k]];
            r->readers[r->n_readers++] = i;
        }
    }
}

/* The lowest row of a ring that somebody still reads when stage `by` is about to write. */
static int64_t oldest(const struct cascade *c, int by, int last)
{
    const int ring = c->stages[by].to;
    const struct cascade_ring *r = &c->rings[ring];
    int64_t row = c->done[by];

    for (int k = 0; k < r->n_readers && r->readers[k] <= last; k++) {
        const int i = r->readers[k];
        const struct cascade_stage *s = &c->stages[i];
        int64_t lo, hi;
        if (i <= by || c->done[i] >= s->h)
            continue;
        if (s->residual == ring)
            row = at_most(row, c->done[i]);
        if (s->from != ring)
            continue;
        reads(c, i, c->done[i], c->done[i] + 1, &lo, &hi);
        row = at_most(row, lo);
    }
    return row;
}

static void measure(struct cascade *c, int stage, int last)
{
    struct cascade_ring *r = &c->rings[c->stages[stage].to];

    r->newest = at_least(r->newest, c->need[stage]);
    r->rows = at_least(r->rows, r->newest - oldest(c, stage, last));
}

/* Rows [lo, hi) of a layer's result, read from a ring or from the picture.  *op: the first one of
 * those that differ in nothing else. */
static int conv_rows(const struct cascade *c, int ring, const struct bands_layer *l, int64_t lo,
                     int64_t hi, struct bands_with with, int *op)
{
    if (*op)
        return graph_conv_more(c->g, *op - 1, lo, hi - lo);
    const int result = ring == NONE ? bands_conv_rows(c->g, c->x, l, lo, hi, with)
                                    : bands_conv_of(c->g, c->rings[ring].tensor, l, lo, hi, with);
    if (result && with.into && (ring != NONE || c->x->n == 1))
        *op = graph_n_ops(c->g);
    return result;
}

/* Writes into the stage's ring, or a tensor of its own, which is returned. */
static int write_rows(struct cascade *c, int stage, bool own)
{
    struct cascade_stage *s = &c->stages[stage];
    const int64_t lo = c->done[stage], hi = c->need[stage];
    struct bands_with with = {.affine = s->affine, .into = own ? 0 : c->rings[s->to].tensor};

    if (s->shortcut.weight)
        conv_rows(c, s->residual, &s->shortcut, lo, hi, (struct bands_with){.into = with.into},
                  &s->shortcut_op);
    if (s->residual != NONE)
        with.residual = with.into;
    int none = 0;
    return conv_rows(c, s->from, &s->layer, lo, hi, with, own ? &none : &s->op);
}

/* What a run from above to below is for. */
struct purpose {
    bool measures;     /* rings, which are not there yet */
    bool sums;         /* of the last stage's result */
    struct bands *out; /* that result, in bands; or NULL */
};

/* Begins with stages 0 to last above; returns the rows of the last one that are made at a time. */
static int64_t begin_walk(struct cascade *c, int last, const struct bands *out)
{
    const int64_t h = c->stages[last].h;
    int64_t tallest = h;

    for (int i = 0; i <= last; i++) {
        c->done[i] = 0;
        tallest = at_least(tallest, c->stages[i].h);
    }
    for (int i = 0; i < c->n_rings; i++)
        c->rings[i].newest = 0;
    return out ? out->rows : at_least(c->rows * h / tallest, 1);
}

/* Runs stages 0 to last.  Returns the sums. */
static int walk(struct cascade *c, int last, struct purpose p)
{
    const int64_t h = c->stages[last].h, step = begin_walk(c, last, p.out);
    int total = 0, band = 0;

    for (int64_t y = 0; y < h; y += step) {
        look_back(c, last, at_most(y + step, h));
        for (int i = 0; i <= last; i++) {
            if (c->need[i] <= c->done[i])
                continue;
            if (p.measures)
                measure(c, i, last);
            else if (i == last && p.out)
                p.out->tensor[band++] = write_rows(c, i, true);
            else
                write_rows(c, i, false);
            if (i == last && p.sums)
                total = graph_norm_sums(
                    c->g, &(struct graph_norm_sums){.x = c->rings[c->stages[i].to].tensor,
                                                    .before = total,
                                                    .y = c->done[i],
                                                    .rows = c->need[i] - c->done[i]});
            c->done[i] = c->need[i];
        }
    }
    return total;
}

enum { MOST_OPS = GRAPH_MAX_OPS / 4 * 3 }; /* the rest is for the levels that are held */

/* So many rows at a time that the whole fits in a graph. */
static int64_t fewest_rows(const struct cascade *c)
{
    int64_t ops = 0, run = 0, tallest = 1; /* run: from the first stage to this one */

    for (int i = 0; i < c->n; i++) {
        ops += c->stages[i].norm_weight ? run + 1 : 0; /* and the sums */
        run += c->stages[i].shortcut.weight ? 2 : 1;
        tallest = at_least(tallest, c->stages[i].h);
    }
    return (tallest * (ops + run) + MOST_OPS - 1) / MOST_OPS;
}

static void make_rings(struct cascade *c, struct bands *out)
{
    const int64_t n = blocks_shape(c->g, c->x->tensor[0]).n;

    for (int i = 0; i < c->n; i++)
        walk(c, i, (struct purpose){.measures = true});
    if (out)
        walk(c, c->n - 1, (struct purpose){.measures = true, .out = out});
    else
        c->rings[c->n_rings - 1].rows = c->rings[c->n_rings - 1].h;
    for (int i = 0; i < c->n_rings - (out != NULL); i++) {
        struct cascade_ring *r = &c->rings[i];
        r->tensor = graph_ring(c->g, (struct graph_shape){n, r->c, r->rows, r->w}, r->h);
    }
}

/* No stage is done: each ring has been written, or will be before the others are read for the last
 * time, and will be written again. */
static bool all_are_at_work(const struct cascade *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->done[i] == 0 || c->done[i] >= c->stages[i].h)
            return false;
    return true;
}

/* The last run from above to below.  Rings are as high as it takes, or higher. */
int cascade_alive(struct cascade *c, int64_t rows, int64_t n, struct graph_shape *out,
                  int64_t *x_rows)
{
    const int last = c->n - 1;
    const int64_t h = c->stages[last].h;
    const struct bands bands = bands_cut(1, h, 1, rows);
    int64_t made = 0, lo, hi;

    c->rows = at_least(c->rows, fewest_rows(c));
    list_readers(c);
    *x_rows = 0;
    const int64_t step = begin_walk(c, last, bands.n > 1 ? &bands : NULL);
    for (int64_t y = 0; y < h; y += step) {
        look_back(c, last, at_most(y + step, h));
        for (int i = 0; i <= last; i++)
            if (c->need[i] > c->done[i]) {
                measure(c, i, last);
                c->done[i] = c->need[i];
            }
        if (!all_are_at_work(c))
            break;
        if (bands.n == 1 && made)
            continue; /* the result is there as a whole, and x goes */
        made = c->done[last];
        reads(c, 0, c->done[0], c->done[0] + 1, &lo, &hi);
        for (int b = 0; b < c->x->n && c->x->edge[b] <= lo; b++) /* in whole bands */
            *x_rows = c->x->h - c->x->edge[b];
    }
    if (!made)
        return 0;
    for (int i = 0; i < c->n_rings; i++) {
        const struct cascade_ring *r = &c->rings[i];
        const bool is_result = i == c->stages[last].to;
        out[i] = (struct graph_shape){n, r->c, !is_result ? r->rows : bands.n > 1 ? made : h, r->w};
    }
    return c->n_rings;
}

struct bands cascade_run(struct cascade *c, int64_t rows)
{
    const struct cascade_ring *last = &c->rings[c->n_rings - 1];
    struct bands out = bands_cut(last->c, last->h, last->w, rows);
    struct error ignored;

    c->rows = at_least(c->rows, fewest_rows(c));

    list_readers(c);
    make_rings(c, out.n > 1 ? &out : NULL);
    for (int i = 1; i < c->n && graph_check(c->g, &ignored); i++) {
        struct cascade_stage *s = &c->stages[i];
        if (s->norm_weight)
            s->affine = graph_group_norm(
                c->g,
                &(struct graph_group_norm){.sums = walk(c, i - 1, (struct purpose){.sums = true}),
                                           .weight = s->norm_weight,
                                           .bias = s->norm_bias,
                                           .groups = c->groups,
                                           .eps = c->eps});
    }
    if (!graph_check(c->g, &ignored))
        return out;
    walk(c, c->n - 1, (struct purpose){.out = out.n > 1 ? &out : NULL});
    if (out.n == 1)
        out.tensor[0] = last->tensor;
    return out;
}
