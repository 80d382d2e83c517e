/* Convolution and linear layers: see cpu_conv_plan.h for the idea. */
#include "base/assert.h"
#include "engine/cpu/cpu_conv_beside.h"
#include "engine/cpu/cpu_conv_plan.h"
#include "engine/cpu/cpu_conv_rows.h"
#include "engine/cpu/cpu_ops.h"

#include <string.h>

struct conv_run {
    struct cpu_conv_plan plan;
    struct conv_rows rows;
    struct weight_view weight;
    struct conv_delta delta;
    const float *bias;        /* weight_rows numbers, or NULL */
    const float *channel_add; /* n numbers a picture, or NULL */
    const float *residual, *outer;
    float *out; /* with into_c */
    unsigned char *workspace;
    const struct weights *weights;
    void *merged;  /* where the weight goes with its deltas, while they are merged */
    int first_sub; /* of those that are computed at once */
    /* The columns whose weights are there. */
    int first_panel, piece_panels;
    int first_group;
};

static unsigned char *shared(const struct conv_run *c)
{
    return c->workspace + c->plan.shared_at;
}

static unsigned char *thread_part(const struct conv_run *c, int thread, size_t at)
{
    return c->workspace + c->plan.thread_at + (size_t)thread * c->plan.thread_stride + at;
}

static size_t panel_bytes(const struct cpu_conv_plan *p, const struct conv_block *b)
{
    return (size_t)p->taps * (size_t)b->kc_pad * (size_t)p->k->nr * 4;
}

static size_t packed_block_bytes(const struct cpu_conv_plan *p)
{
    return p->shared_bytes / (size_t)p->n_blocks;
}

/* Packs one panel of nr columns; set 1 is GEGLU's second half. */
static void pack_panel(const struct conv_run *c, int block, int set, int panel, int thread,
                       unsigned char *to)
{
    const struct cpu_conv_plan *p = &c->plan;
    const struct conv_block b = cpu_conv_plan_block(p, block);
    int column = panel * p->k->nr;
    size_t stride = (size_t)(p->channels[0] + p->channels[1]) * (size_t)p->taps;
    size_t first = (size_t)(set * p->n + column) * stride + (size_t)b.whole * (size_t)p->taps;
    struct cpu_pack pack = {.to = to,
                            .from = (const unsigned char *)c->weight.bytes +
                                    first * dtype_bytes(c->weight.dtype),
                            .dtype = c->weight.dtype,
                            .stride = stride,
                            .n = p->n - column < p->k->nr ? p->n - column : p->k->nr,
                            .kc = b.kc,
                            .kc_pad = b.kc_pad,
                            .taps = p->taps};
    if (p->rank && !p->beside) {
        pack.from = cpu_conv_delta_rows(&c->delta, block, set * p->n + column, pack.n, thread,
                                        &pack.stride);
        pack.dtype = DTYPE_F32;
    }
    p->k->pack_weights(&pack);
}

/* Adds up the taps of one result that fall on one stored place, for one column of kc times nine
 * weights.  Of the kernel's three rows the middle one joins the upper one where the result is the
 * lower of its place (low), else the one below; columns likewise. */
static inline void add_taps(float *restrict to, const float *restrict w, int kc, bool low,
                            bool right)
{
    for (int k = 0; k < kc; k++, w += 9, to += 4) {
        float row[2][3];
        for (int x = 0; x < 3; x++) {
            row[0][x] = low ? w[x] + w[3 + x] : w[x];
            row[1][x] = low ? w[6 + x] : w[3 + x] + w[6 + x];
        }
        for (int y = 0; y < 2; y++) {
            to[2 * y] = right ? row[y][0] + row[y][1] : row[y][0];
            to[2 * y + 1] = right ? row[y][2] : row[y][1] + row[y][2];
        }
    }
}

static void add_taps_of(float *to, const float *w, int kc, int sub)
{
    switch (sub) {
    case 0:
        add_taps(to, w, kc, false, false);
        break;
    case 1:
        add_taps(to, w, kc, false, true);
        break;
    case 2:
        add_taps(to, w, kc, true, false);
        break;
    default:
        add_taps(to, w, kc, true, true);
    }
}

/* Packs one panel of one result of a doubled picture. */
static void pack_sub_panel(const struct conv_run *c, int block, int sub, int panel, int thread,
                           unsigned char *to)
{
    const struct cpu_conv_plan *p = &c->plan;
    const struct conv_block b = cpu_conv_plan_block(p, block);
    int column = panel * p->k->nr;
    size_t stride = (size_t)(p->channels[0] + p->channels[1]) * 9;
    float *sums = (float *)(void *)thread_part(c, thread, p->sum_at);
    float *weights = sums + (size_t)p->k->nr * (size_t)p->kc * 4;
    struct cpu_pack pack = {.to = to,
                            .from = sums,
                            .dtype = DTYPE_F32,
                            .stride = (size_t)b.kc * 4,
                            .n = p->n - column < p->k->nr ? p->n - column : p->k->nr,
                            .kc = b.kc,
                            .kc_pad = b.kc_pad,
                            .taps = 4};
    const float *merged = NULL;
    size_t merged_stride = 0;

    if (p->rank)
        merged = cpu_conv_delta_rows(&c->delta, block, column, pack.n, thread, &merged_stride);
    for (int i = 0; i < pack.n; i++) {
        size_t first = (size_t)(column + i) * stride + (size_t)b.whole * 9;
        if (!merged)
            p->k->to_f32(weights,
                         (const unsigned char *)c->weight.bytes +
                             first * dtype_bytes(c->weight.dtype),
                         c->weight.dtype, (size_t)b.kc * 9);
        add_taps_of(sums + (size_t)i * pack.stride,
                    merged ? merged + (size_t)i * merged_stride : weights, b.kc, sub);
    }
    p->k->pack_weights(&pack);
}

static void find_taps(ptrdiff_t tap[CPU_KERNELS_MAX_TAPS], const struct cpu_conv_plan *p,
                      const struct conv_region *r, int sub, size_t a_stride)
{
    for (int t = 0; t < p->taps; t++) {
        int dy, dx;
        conv_plan_where(p, sub, t, &dy, &dx);
        tap[t] = (ptrdiff_t)conv_plan_tap(p, r, dy, dx) * (ptrdiff_t)a_stride;
    }
}

/* acc (+)= a region times the panels at b. */
static void multiply(const struct conv_run *c, const struct conv_region *r, int sub,
                     const struct conv_block *b, const void *a, size_t a_stride, const void *packed,
                     int columns, float *acc, bool add)
{
    const struct cpu_conv_plan *p = &c->plan;
    ptrdiff_t tap[CPU_KERNELS_MAX_TAPS];

    find_taps(tap, p, r, sub, a_stride);
    struct cpu_gemm g = {.acc = acc,
                         .acc_stride = p->acc_stride,
                         .a = a,
                         .a_stride = a_stride,
                         .tap = tap,
                         .n_taps = p->taps,
                         .b = packed,
                         .m = (int)conv_plan_places(p, r),
                         .n = columns,
                         .kc_pad = b->kc_pad,
                         .add = add};
    p->k->gemm(&g);
}

/* Where a block's rows are read: in place, or prepared. */
static const void *direct_rows(const struct conv_run *c, const struct conv_region *r,
                               const struct conv_block *b, size_t *stride)
{
    size_t channels = c->plan.pitch[b->source];
    *stride = channels * 4;
    return c->rows.source[b->source] + (size_t)r->y * channels + b->c;
}

/* Where a run of places that are neighbours in the output begins in each tensor. */
struct spot {
    int64_t image, to, residual, outer;
};

/* Writes one run of places of one picture. */
static void finish_run(const struct conv_run *c, const float *acc, struct spot at, int64_t rows,
                       int column, int columns, int gate_at)
{
    const struct cpu_conv_plan *p = &c->plan;
    bool geglu = p->op->act == GRAPH_ACT_GEGLU;
    size_t step = p->subs == 4 ? 2 : 1;
    struct cpu_finish f = {
        .out = c->out + (size_t)at.to * p->to.c + column,
        .out_stride = p->to.c * step,
        .acc = acc,
        .acc_stride = p->acc_stride,
        .gate = geglu ? acc + gate_at : NULL,
        .bias = c->bias ? c->bias + column : NULL,
        .gate_bias = geglu && c->bias ? c->bias + p->n + column : NULL,
        .channel_add = c->channel_add ? c->channel_add + at.image * p->n + column : NULL,
        .residual = c->residual ? c->residual + (size_t)at.residual * p->residual.c + column : NULL,
        .residual_stride = p->residual.c * step,
        .outer = c->outer ? c->outer + (size_t)at.outer * p->outer.c + column : NULL,
        .outer_stride = p->outer.c * step,
        .scale = p->op->scale,
        .outer_scale = p->op->outer_scale,
        .rows = (int)rows,
        .n = columns,
        .act = p->op->act,
    };
    p->k->finish_rows(&f);
}

/* Writes columns [column, column + columns) of a region from its sums. */
static void finish(const struct conv_run *c, const struct conv_region *r, int sub, const float *acc,
                   int column, int columns, int gate_at)
{
    const struct cpu_conv_plan *p = &c->plan;
    const int64_t scale = p->subs == 4 ? 2 : 1, width = scale * p->ow;

    if (p->flat) {
        for (int64_t row = r->y; row < r->y + r->rows;) {
            int64_t image = row / p->image_rows, stop = (image + 1) * p->image_rows;
            if (!c->channel_add || stop > r->y + r->rows)
                stop = r->y + r->rows;
            finish_run(c, acc + (size_t)(row - r->y) * p->acc_stride,
                       (struct spot){image, row, row, row}, stop - row, column, columns, gate_at);
            row = stop;
        }
        return;
    }
    for (int64_t i = 0; i < r->n_images; i++)
        for (int64_t y = 0; y < r->rows; y++) {
            int64_t at = i * conv_plan_image(p, r) + y * conv_plan_pitch(p, r);
            int64_t image = r->image + i;
            /* Of a doubled picture's four results two may lie outside the window. */
            int64_t row = scale * (p->oy + r->y + y) + sub / 2, x = scale * r->x + sub % 2;
            if (row < p->op->out_y || row >= p->op->out_y + p->op->out_rows)
                continue;
            struct spot spot = {.image = image,
                                .to = conv_plan_row(&p->to, image, row) * width + x};
            if (c->residual)
                spot.residual = conv_plan_row(&p->residual, image, row) * width + x;
            if (c->outer)
                spot.outer = conv_plan_row(&p->outer, image, row) * width + x;
            finish_run(c, acc + (size_t)at * p->acc_stride, spot, r->cols, column, columns,
                       gate_at);
        }
}

/* Panels of group `group`, and its columns. */
static int group_panels(const struct cpu_conv_plan *p, int group)
{
    int left = p->n_panels - group * p->group_panels;
    return left < p->group_panels ? left : p->group_panels;
}

static void finish_group(const struct conv_run *c, const struct conv_region *r, int sub,
                         const float *acc, int group, int gate_at)
{
    const struct cpu_conv_plan *p = &c->plan;
    int column = group * p->group_panels * p->k->nr;
    int columns = group_panels(p, group) * p->k->nr;
    finish(c, r, sub, acc, column, p->n - column < columns ? p->n - column : columns, gate_at);
}

/* --- Many places: B is shared, a task is a region. --- */

static void pack_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    const struct cpu_conv_plan *p = &c->plan;
    int panels = c->piece_panels * p->panel_sets * p->subs_at_once;
    struct conv_block b = cpu_conv_plan_block(p, task / panels);
    int panel = c->first_panel + task % panels % c->piece_panels +
                task % panels / c->piece_panels * p->n_panels;
    unsigned char *to = shared(c) + (size_t)(task / panels) * packed_block_bytes(p) +
                        (size_t)panel * panel_bytes(p, &b);

    if (p->subs == 4)
        pack_sub_panel(c, task / panels, c->first_sub + panel / p->n_panels, panel % p->n_panels,
                       thread, to);
    else
        pack_panel(c, task / panels, panel / p->n_panels, panel % p->n_panels, thread, to);
}

static void region_group(const struct conv_run *c, const struct conv_region *r, int sub, int block,
                         int group, const void *a, size_t a_stride, float *acc)
{
    const struct cpu_conv_plan *p = &c->plan;
    struct conv_block b = cpu_conv_plan_block(p, block);
    int columns = group_panels(p, group) * p->k->nr;

    for (int set = 0; set < p->panel_sets; set++) {
        int panel = (sub - c->first_sub + set) * p->n_panels + group * p->group_panels;
        const unsigned char *packed =
            shared(c) + (size_t)block * packed_block_bytes(p) + (size_t)panel * panel_bytes(p, &b);
        multiply(c, r, sub, &b, a, a_stride, packed, columns,
                 acc + set * p->group_panels * p->k->nr, block > 0);
    }
}

static void region_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    const struct cpu_conv_plan *p = &c->plan;
    struct conv_region r = cpu_conv_plan_region(p, task);
    float *acc = (float *)(void *)thread_part(c, thread, p->thread_acc);
    /* With one block a group is finished at once and the next one reuses its place. */
    size_t group_step = p->n_blocks == 1 ? 0 : (size_t)(p->group_panels * p->panel_sets * p->k->nr);
    int gate_at = p->group_panels * p->k->nr;

    for (int block = 0; block < p->n_blocks; block++) {
        struct conv_block b = cpu_conv_plan_block(p, block);
        size_t a_stride = b.a_row;
        const void *a = thread_part(c, thread, p->thread_a);
        if (p->direct_a)
            a = direct_rows(c, &r, &b, &a_stride);
        else
            cpu_conv_rows_prepare(&c->rows, &r, &b, thread_part(c, thread, p->thread_a), 0,
                                  p->flat ? r.rows : cpu_conv_rows_count(p, &r));
        for (int i = 0; i < p->n_groups * p->subs_at_once; i++) {
            int group = i / p->subs_at_once, sub = c->first_sub + i % p->subs_at_once;
            float *at = acc + (size_t)i * group_step;
            region_group(c, &r, sub, block, group, a, a_stride, at);
            if (block == p->n_blocks - 1)
                finish_group(c, &r, sub, at, group, gate_at);
        }
    }
}

/* --- Many weights: A is shared, a task is a group of columns. --- */

enum { PREPARE_ROWS = 16 };

static int prepare_tasks_per_block(const struct cpu_conv_plan *p)
{
    struct conv_region r = cpu_conv_plan_everything(p);
    return (int)((cpu_conv_rows_count(p, &r) + PREPARE_ROWS - 1) / PREPARE_ROWS);
}

static void prepare_rows(const struct conv_run *c, int task)
{
    const struct cpu_conv_plan *p = &c->plan;
    struct conv_region r = cpu_conv_plan_everything(p);
    int per_block = prepare_tasks_per_block(p);
    struct conv_block b = cpu_conv_plan_block(p, task / per_block);
    int64_t first = (int64_t)(task % per_block) * PREPARE_ROWS;
    int64_t left = cpu_conv_rows_count(p, &r) - first;

    cpu_conv_rows_prepare(&c->rows, &r, &b,
                          shared(c) + (size_t)(task / per_block) * packed_block_bytes(p), first,
                          left < PREPARE_ROWS ? left : PREPARE_ROWS);
}

/* Where a block's rows of everything are read. */
static const unsigned char *shared_rows(const struct conv_run *c, const struct conv_region *r,
                                        int block, const struct conv_block *b, size_t *stride)
{
    *stride = b->a_row;
    return c->plan.direct_a ? direct_rows(c, r, b, stride)
                            : shared(c) + (size_t)block * packed_block_bytes(&c->plan);
}

/* Some places times the deltas' `down`. */
static void beside_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    const struct cpu_conv_plan *p = &c->plan;
    const struct conv_region r = cpu_conv_plan_everything(p);
    ptrdiff_t tap[CPU_KERNELS_MAX_TAPS];
    int64_t first;
    struct cpu_gemm g =
        cpu_conv_beside_begin(&c->delta, conv_plan_places(p, &r), task, thread, &first);

    g.tap = tap;
    g.n_taps = p->taps;
    for (int block = 0; block < p->n_blocks; block++) {
        const struct conv_block b = cpu_conv_plan_block(p, block);
        const unsigned char *a = shared_rows(c, &r, block, &b, &g.a_stride);
        find_taps(tap, p, &r, 0, g.a_stride);
        g.a = a + (size_t)first * g.a_stride;
        g.b = cpu_conv_delta_down(&c->delta, block);
        g.kc_pad = b.kc_pad;
        g.add = block > 0;
        p->k->gemm(&g);
    }
    cpu_conv_beside_finish(&c->delta, first, &g);
}

/* The rest of the deltas' product, for one group of columns. */
static void add_beside(const struct conv_run *c, const struct conv_region *r, int group, int set,
                       int thread, unsigned char *packed, float *acc)
{
    const struct cpu_conv_plan *p = &c->plan;
    struct cpu_gemm g = cpu_conv_beside_up(&c->delta, conv_plan_places(p, r));
    const int panels = group_panels(p, group), nr = p->k->nr;

    for (int i = 0; i < panels; i++) {
        const int column = (group * p->group_panels + i) * nr;
        cpu_conv_beside_pack_up(&c->delta, set * p->n + column,
                                p->n - column < nr ? p->n - column : nr, thread,
                                packed + (size_t)i * cpu_conv_beside_panel_bytes(p));
    }
    g.acc = acc;
    g.b = packed;
    g.n = panels * nr;
    p->k->gemm(&g);
}

static void columns_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    const int group = c->first_group + task;
    const struct cpu_conv_plan *p = &c->plan;
    struct conv_region r = cpu_conv_plan_everything(p);
    float *acc = (float *)(void *)thread_part(c, thread, p->thread_acc);
    unsigned char *packed = thread_part(c, thread, p->thread_b);
    int panels = group_panels(p, group), gate_at = p->group_panels * p->k->nr;

    for (int block = 0; block < p->n_blocks; block++) {
        struct conv_block b = cpu_conv_plan_block(p, block);
        size_t a_stride;
        const void *a = shared_rows(c, &r, block, &b, &a_stride);
        for (int set = 0; set < p->panel_sets; set++) {
            for (int i = 0; i < panels; i++)
                pack_panel(c, block, set, group * p->group_panels + i, thread,
                           packed + (size_t)i * panel_bytes(p, &b));
            multiply(c, &r, 0, &b, a, a_stride, packed, panels * p->k->nr, acc + set * gate_at,
                     block > 0);
        }
    }
    for (int set = 0; p->beside && set < p->panel_sets; set++)
        add_beside(c, &r, group, set, thread, packed, acc + set * gate_at);
    finish_group(c, &r, 0, acc, group, gate_at);
}

/* --- The op. --- */

static bool needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                  const struct graph *g, int op, struct error *err)
{
    struct cpu_conv_plan p;
    if (!cpu_conv_plan_make(&p, k, n_threads, g, op, err))
        return false;
    *workspace_bytes = p.workspace_bytes;
    return true;
}

struct cpu_conv_cost cpu_conv_cost(const struct graph *g, int op)
{
    struct cpu_conv_cost cost = {0};
    const struct graph_op *o = graph_op_view(g, op);
    const struct graph_weight *w = graph_weight_view(g, o->u.conv.weight);
    double weights = 1;

    for (int i = 0; i < w->n_dims; i++)
        weights *= (double)w->dims[i];
    /* Four results of four taps each stand for four of nine. */
    cost.flops_share = cpu_conv_plan_is_doubled(g, op) ? 4.0 / 9 : 1;
    bool is_window = o->u.conv.into || graph_tensor_view(g, o->out)->full_h > o->u.conv.out_rows;
    cost.bytes = is_window ? 8 * weights : 0;
    if (w->delta_rank) {
        bool beside;
        const double flops = 2 * cpu_conv_plan_delta_work(g, op, &beside);
        if (beside) {
            cost.flops_share += flops / graph_op_flops(g, op);
        } else {
            cost.delta_flops = flops;
            cost.delta_bytes = 2 * weights; /* the way through float32, within a cache */
        }
    }
    return cost;
}

static void bind_windows(struct conv_rows *rows, const struct cpu_context *ctx,
                         const struct graph_source *in)
{
    for (int tensor = in->x; tensor && rows->n_windows < GRAPH_MAX_WINDOWS;) {
        const struct graph_tensor *t = graph_tensor_view(ctx->graph, tensor);
        rows->window[rows->n_windows++] = (struct conv_window){
            ctx->tensors[tensor], {t->shape.h, t->y0, t->ring, (size_t)t->shape.c}};
        tensor = rows->n_windows < GRAPH_MAX_WINDOWS ? in->more[rows->n_windows - 1] : 0;
    }
}

static void bind_weight(struct conv_run *c, const struct cpu_context *ctx)
{
    const int weight = c->plan.op->weight;

    c->weight = *weights_find(ctx->weights, weight);
    c->delta =
        (struct conv_delta){.plan = &c->plan, .weight = &c->weight, .workspace = ctx->workspace};
    c->delta.n = weights_find_deltas(ctx->weights, weight, &c->delta.list);
    int rank = 0;
    for (int i = 0; i < c->delta.n; i++)
        rank += c->delta.list[i].rank;
    /* The graph made room for exactly these; a merged weight has none left. */
    ASSERT(rank == c->plan.rank || (c->plan.rounds && rank == 0));
    c->plan.rank = rank;
}

static void bind(struct conv_run *c, const struct cpu_context *ctx, int op)
{
    const struct graph_conv *o = c->plan.op;

    c->workspace = ctx->workspace;
    bind_weight(c, ctx);
    c->out = ctx->tensors[graph_op_view(ctx->graph, op)->out] + o->into_c;
    c->rows = (struct conv_rows){
        .plan = &c->plan,
        .source = {ctx->tensors[o->in.x], o->in.x2 ? ctx->tensors[o->in.x2] : NULL},
        .affine = o->in.affine ? ctx->tensors[o->in.affine] : NULL};
    bind_windows(&c->rows, ctx, &o->in);
    if (o->in.x2) {
        const struct graph_tensor *t = graph_tensor_view(ctx->graph, o->in.x2);
        c->rows.joined = (struct conv_rows_of){t->shape.h, t->y0, t->ring, (size_t)t->shape.c};
    }
    c->channel_add = o->channel_add ? ctx->tensors[o->channel_add] : NULL;
    c->residual = o->residual ? ctx->tensors[o->residual] : NULL;
    c->outer = o->outer ? ctx->tensors[o->outer] : NULL;
    if (o->bias) {
        const struct weight_view *bias = weights_find(ctx->weights, o->bias);
        float *to = (float *)(void *)(ctx->workspace + c->plan.bias_at);
        ctx->kernels->to_f32(to, bias->bytes, bias->dtype, (size_t)c->plan.weight_rows);
        c->bias = to;
    }
}

static int delta_tasks(const struct cpu_conv_plan *p)
{
    return !p->rank ? 0 : p->beside ? cpu_conv_beside_pack_tasks(p) : cpu_conv_delta_tasks(p);
}

/* What comes before any product: the deltas' factors and, where they are shared, all rows. */
static void prepare_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    const int deltas = delta_tasks(&c->plan);

    if (task >= deltas)
        prepare_rows(c, task - deltas);
    else if (c->plan.beside)
        cpu_conv_beside_pack(&c->delta, task, thread);
    else
        cpu_conv_delta_prepare(&c->delta, task, thread);
}

static void bring_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    (void)thread;
    weights_merge_bring_pages(c->weights, c->plan.op->weight, task);
}

static void merge_task(void *ctx, int task, int thread)
{
    const struct conv_run *c = ctx;
    cpu_conv_delta_merge(&c->delta, task, thread, c->merged);
}

/* The weight's deltas become part of it, if the policy is to merge them and they are not yet. */
static void merge(struct conv_run *c, const struct cpu_context *ctx)
{
    const struct cpu_conv_plan *p = &c->plan;
    const int weight = p->op->weight;

    c->weights = ctx->weights;
    c->merged =
        p->rank && p->rounds && !p->beside ? weights_merge_begin(ctx->weights, weight) : NULL;
    if (!c->merged)
        return;
    if (weights_merge_tasks(ctx->weights, weight) > 0)
        cpu_pool_run(ctx->pool, bring_task, c, weights_merge_tasks(ctx->weights, weight));
    cpu_pool_run(ctx->pool, prepare_task, c, delta_tasks(p));
    cpu_pool_run(ctx->pool, merge_task, c, cpu_conv_delta_merge_tasks(p));
    weights_merge_end(ctx->weights, weight);
    bind_weight(c, ctx);
}

static void prepare(struct conv_run *c, const struct cpu_context *ctx)
{
    const struct cpu_conv_plan *p = &c->plan;
    const bool rows = p->share_a && !p->direct_a;
    const int tasks = delta_tasks(p) + (rows ? p->n_blocks * prepare_tasks_per_block(p) : 0);

    if (tasks)
        cpu_pool_run(ctx->pool, prepare_task, c, tasks);
}

/* Panels of the columns that the weight's rows [first, first + rows) make. */
static void pack_piece(struct conv_run *c, const struct cpu_context *ctx, int64_t first,
                       int64_t rows)
{
    const struct cpu_conv_plan *p = &c->plan;

    c->first_panel = (int)(first / p->k->nr);
    c->piece_panels = (int)((rows + p->k->nr - 1) / p->k->nr);
    cpu_pool_run(ctx->pool, pack_task, c,
                 p->n_blocks * c->piece_panels * p->panel_sets * p->subs_at_once);
}

static void multiply_piece(struct conv_run *c, const struct cpu_context *ctx, int64_t first,
                           int64_t rows)
{
    const int columns = c->plan.group_panels * c->plan.k->nr;

    c->first_group = (int)(first / columns);
    cpu_pool_run(ctx->pool, columns_task, c, (int)((rows + columns - 1) / columns));
}

/* Everything times `down`, before the groups of columns need it. */
static void multiply_beside(struct conv_run *c, const struct cpu_context *ctx)
{
    const struct conv_region r = cpu_conv_plan_everything(&c->plan);

    cpu_pool_run(ctx->pool, beside_task, c,
                 cpu_conv_beside_tasks(&c->plan, conv_plan_places(&c->plan, &r)));
}

/* Streamed weights come in pieces of whole groups of columns. */
static void each_piece(struct conv_run *c, const struct cpu_context *ctx, int op,
                       void (*work)(struct conv_run *c, const struct cpu_context *ctx,
                                    int64_t first, int64_t rows))
{
    const int pieces = weights_pieces(ctx->weights, op);
    const int64_t rows = weights_piece_rows(ctx->weights, op);

    for (int i = 0; i < pieces; i++) {
        const int64_t first = i ? i * rows : 0, left = c->plan.n - first;
        if (i)
            weights_advance(ctx->weights, op);
        work(c, ctx, first, left < rows ? left : rows);
    }
}

void cpu_conv_order(struct weights_order *out, const struct cpu_kernels *k, int n_threads,
                    const struct graph *g, int op)
{
    struct cpu_conv_plan p;
    struct error ignored;

    if (!cpu_conv_plan_make(&p, k, n_threads, g, op, &ignored))
        return;
    /* Every thread has as much to do with each piece. */
    const int columns = (p.share_a ? p.group_panels : 1) * k->nr;
    *out = (struct weights_order){.rounds = p.subs / p.subs_at_once,
                                  .halves = p.panel_sets,
                                  .row_step = (int64_t)columns * n_threads};
}

static void run(const struct cpu_context *ctx, int op)
{
    struct conv_run c = {0};
    struct error err = {0};
    int n_threads = cpu_pool_threads(ctx->pool);
    bool planned = cpu_conv_plan_make(&c.plan, ctx->kernels, n_threads, ctx->graph, op, &err);
    ASSERT(planned); /* the layout asked the same question */

    bind(&c, ctx, op);
    merge(&c, ctx);
    prepare(&c, ctx);
    if (!c.plan.share_a) {
        for (; c.first_sub < c.plan.subs; c.first_sub += c.plan.subs_at_once) {
            if (c.first_sub)
                weights_advance(ctx->weights, op);
            each_piece(&c, ctx, op, pack_piece);
            cpu_pool_run(ctx->pool, region_task, &c, cpu_conv_plan_n_regions(&c.plan));
        }
        return;
    }
    if (c.plan.beside)
        multiply_beside(&c, ctx);
    each_piece(&c, ctx, op, multiply_piece);
}

const struct cpu_op cpu_conv_op = {needs, run};
