#include "engine/cpu/cpu_conv_rows.h"

#include <string.h>

int64_t cpu_conv_rows_count(const struct cpu_conv_plan *p, const struct conv_region *r)
{
    return p->stride * p->stride * r->n_images * (r->rows + p->edge);
}

static const float *source_row(const struct conv_rows *s, const struct conv_block *b, int64_t row)
{
    return s->source[b->source] + (size_t)row * s->plan->pitch[b->source] + b->c;
}

static void set_affine(struct cpu_prepare *p, const struct conv_rows *s, const struct conv_block *b,
                       int64_t image)
{
    int64_t c = s->plan->channels[0] + s->plan->channels[1];
    if (!s->affine)
        return;
    p->scale = s->affine + 2 * image * c + b->whole;
    p->shift = p->scale + c;
}

/* Rows of a linear layer lie one after another; only the affine changes from picture to picture. */
static void prepare_flat(const struct conv_rows *s, const struct conv_region *r,
                         const struct conv_block *b, unsigned char *to, int64_t first, int64_t n)
{
    const struct cpu_conv_plan *plan = s->plan;
    int64_t row = r->y + first, end = row + n;

    while (row < end) {
        int64_t image = row / plan->image_rows;
        int64_t stop = s->affine ? (image + 1) * plan->image_rows : end;
        struct cpu_prepare p = {.to = to + (size_t)(row - r->y) * b->a_row,
                                .to_stride = b->a_row,
                                .from = source_row(s, b, row),
                                .from_stride = plan->pitch[b->source],
                                .rows = (int)((stop < end ? stop : end) - row),
                                .kc = b->kc,
                                .kc_pad = b->kc_pad,
                                .silu = plan->op->in.silu};
        set_affine(&p, s, b, image);
        plan->k->prepare_rows(&p);
        row += p.rows;
    }
}

/* One row of one phase: places x = 0.. of the region, which stand for columns
 * (x0 + x) * stride - pad + phase of the enlarged picture. */
struct line {
    const struct conv_rows *s;
    const struct conv_block *b;
    unsigned char *to;
    int64_t image;
    const float *from; /* the tensor that holds it, and which of its rows it is */
    int64_t row;
    int64_t first_column, pitch;
};

static void prepare_run(const struct line *l, int64_t x, int64_t step, int64_t column,
                        int64_t column_step, int64_t n)
{
    const struct cpu_conv_plan *plan = l->s->plan;
    int64_t row = l->row * plan->w + column;
    struct cpu_prepare p = {.to = l->to + (size_t)x * l->b->a_row,
                            .to_stride = (size_t)step * l->b->a_row,
                            .from = l->from + (size_t)row * plan->pitch[l->b->source] + l->b->c,
                            .from_stride = (size_t)column_step * plan->pitch[l->b->source],
                            .rows = (int)n,
                            .kc = l->b->kc,
                            .kc_pad = l->b->kc_pad,
                            .silu = plan->op->in.silu};
    set_affine(&p, l->s, l->b, l->image);
    plan->k->prepare_rows(&p);
}

static void clear_places(const struct line *l, int64_t x, int64_t n)
{
    if (n > 0)
        memset(l->to + (size_t)x * l->b->a_row, 0, (size_t)n * l->b->a_row);
}

/* Stored column of an enlarged one; nearest neighbour as PyTorch's. */
static int64_t stored(int64_t at, int64_t size, int64_t enlarged)
{
    return size == enlarged ? at : at * size / enlarged;
}

/* Finds row y of the stored picture.  False where no window holds it: then only results that lie
 * outside the op's window would read it (conv_plan_where). */
static bool find_row(struct line *l, int64_t y)
{
    const struct conv_rows *s = l->s;
    const struct conv_window *w = s->window;

    const struct conv_rows_of *rows = &s->joined;

    l->from = s->source[1];
    if (l->b->source == 0) {
        while (!w->rows.ring && y >= w->rows.y0 + w->rows.h && w < &s->window[s->n_windows - 1])
            w++;
        l->from = w->x;
        rows = &w->rows;
    }
    l->row = conv_plan_row(rows, l->image, y);
    return rows->ring || (y >= rows->y0 && y < rows->y0 + rows->h);
}

static void prepare_line(const struct line *l)
{
    const struct cpu_conv_plan *plan = l->s->plan;
    int64_t stride = plan->stride;
    /* First and last place whose column exists. */
    int64_t lo = l->first_column >= 0 ? 0 : (-l->first_column + stride - 1) / stride;
    int64_t hi = plan->ew - 1 - l->first_column;
    hi = hi < 0 ? 0 : hi / stride + 1;
    hi = hi < l->pitch ? hi : l->pitch;
    lo = lo < hi ? lo : hi;

    clear_places(l, 0, lo);
    if (plan->ew == plan->w) {
        if (hi > lo)
            prepare_run(l, lo, 1, l->first_column + lo * stride, stride, hi - lo);
    } else if (plan->ew == 2 * plan->w && stride == 1) {
        /* Two runs: the places that fall on the left, then the right copy of each stored column. */
        for (int64_t side = 0; side < 2 && lo + side < hi; side++)
            prepare_run(l, lo + side, 2, (l->first_column + lo + side) / 2, 1,
                        (hi - lo - side + 1) / 2);
    } else {
        for (int64_t x = lo; x < hi; x++)
            prepare_run(l, x, 1, stored(l->first_column + x * stride, plan->w, plan->ew), 1, 1);
    }
    clear_places(l, hi, l->pitch - hi);
}

void cpu_conv_rows_prepare(const struct conv_rows *s, const struct conv_region *r,
                           const struct conv_block *b, void *to, int64_t first, int64_t n)
{
    const struct cpu_conv_plan *p = s->plan;
    int64_t pitch = conv_plan_pitch(p, r), rows = r->rows + p->edge;

    if (p->flat) {
        prepare_flat(s, r, b, to, first, n);
        return;
    }
    for (int64_t i = first; i < first + n; i++) {
        int64_t phase = i / (r->n_images * rows), image = i / rows % r->n_images;
        int64_t y = (p->oy + r->y + i % rows) * p->stride - p->pad + phase / p->stride;
        struct line l = {.s = s,
                         .b = b,
                         .to = (unsigned char *)to + (size_t)(i * pitch) * b->a_row,
                         .image = r->image + image,
                         .first_column = r->x * p->stride - p->pad + phase % p->stride,
                         .pitch = pitch};
        if (y < 0 || y >= p->eh || !find_row(&l, stored(y, p->h, p->eh))) {
            clear_places(&l, 0, pitch);
            continue;
        }
        prepare_line(&l);
    }
}
