#include "engine/cpu/cpu_conv_plan.h"

#include "base/size.h"
#include "engine/cpu/cpu_conv_beside.h"

enum {
    TARGET_A_BYTES = 640 << 10,   /* a region's prepared rows: about a third of a 2 MB L2 */
    TARGET_FLAT_ROWS = 256,       /* rows of a region of a linear layer */
    TARGET_COLS = 128,            /* widest region of a picture */
    TARGET_ACC_BYTES = 640 << 10, /* a region's sums */
    FEWEST_PLACES = 256,          /* of a region of a picture */
    MOST_PLACES = 2048,
    MOST_SUB_BYTES = 6 << 20,   /* packed weights of four results */
    TARGET_B_BYTES = 160 << 10, /* one group of packed columns of one block */
    TARGET_GROUP_COLUMNS = 64,
    SMALLEST_BLOCK = 32
};

static int round_to(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct conv_rows_of rows_of(const struct graph *g, int tensor)
{
    if (!tensor)
        return (struct conv_rows_of){0};
    const struct graph_tensor *t = graph_tensor_view(g, tensor);
    return (struct conv_rows_of){t->shape.h, t->y0, t->ring, (size_t)t->shape.c};
}

/* Shapes of the whole picture. */
static void take_shapes(struct cpu_conv_plan *p, const struct graph *g, int op)
{
    const struct graph_conv *c = &graph_op_view(g, op)->u.conv;
    struct graph_shape x = graph_tensor_view(g, c->in.x)->shape;
    const struct graph_tensor *out = graph_tensor_view(g, graph_op_view(g, op)->out);

    x.h = graph_tensor_view(g, c->in.x)->full_h;
    p->op = c;
    p->pitch[0] = (size_t)x.c;
    p->pitch[1] = c->in.x2 ? (size_t)graph_tensor_view(g, c->in.x2)->shape.c : 0;
    for (int i = 0; i < 2; i++)
        p->channels[i] =
            (int)(c->in.channels && i == (c->in.x2 != 0) ? c->in.channels : (int64_t)p->pitch[i]);
    p->to = rows_of(g, graph_op_view(g, op)->out);
    p->residual = rows_of(g, c->residual);
    p->outer = rows_of(g, c->outer);
    p->n = (int)c->out_c;
    p->panel_sets = c->act == GRAPH_ACT_GEGLU ? 2 : 1;
    p->weight_rows = p->n * p->panel_sets;
    p->kernel = c->kernel;
    p->stride = c->stride;
    p->pad = c->pad_before;
    p->taps = c->kernel * c->kernel;
    p->subs = p->subs_at_once = 1;
    p->edge = (c->kernel - 1) / c->stride;
    p->rank = graph_weight_view(g, c->weight)->delta_rank;
    p->rounds = graph_rounds_deltas(g);
    p->flat = c->kernel == 1 && c->stride == 1 && !c->in.enlarge && !c->pad_before && !c->pad_after;
    p->image_rows = x.h * x.w;
    if (p->flat) {
        p->images = 1;
        p->h = p->eh = p->oh = x.n * x.h * x.w;
        p->w = p->ew = p->ow = 1;
        return;
    }
    p->images = x.n;
    p->h = x.h;
    p->w = x.w;
    p->eh = !c->in.enlarge ? x.h : c->in.enlarge_h ? c->in.enlarge_h : 2 * x.h;
    p->ew = !c->in.enlarge ? x.w : c->in.enlarge_w ? c->in.enlarge_w : 2 * x.w;
    p->oh = out->full_h;
    p->ow = out->shape.w;
}

/* Turns to stored places where the picture is exactly doubled. */
static void take_subs(struct cpu_conv_plan *p)
{
    const struct graph_conv *c = p->op;

    if (p->share_a || !c->in.enlarge || p->eh != 2 * p->h || p->ew != 2 * p->w || p->kernel != 3 ||
        p->stride != 1 || c->pad_before != 1 || c->pad_after != 1)
        return;
    p->subs = p->subs_at_once = 4;
    if ((double)p->channels[0] * p->n * 4 * 4 * 4 > MOST_SUB_BYTES)
        p->subs_at_once = 2;
    p->taps = 4;
    p->oh = p->eh = p->h;
    p->ow = p->ew = p->w;
}

/* True when the op's rows are all that the tensor holds, so that rows need no thinking. */
static bool is_just(const struct graph *g, int tensor, const struct graph_conv *c)
{
    if (!tensor)
        return true;
    const struct graph_tensor *t = graph_tensor_view(g, tensor);
    return !t->ring && t->y0 == c->out_y && t->shape.h == c->out_rows;
}

/* Narrows a plan for the whole picture to the rows that the op computes. */
static void take_window(struct cpu_conv_plan *p, const struct graph *g)
{
    const struct graph_conv *c = p->op;
    const struct graph_tensor *x = graph_tensor_view(g, c->in.x);
    bool same_rows = is_just(g, c->in.x, c) && is_just(g, c->in.x2, c) &&
                     is_just(g, c->residual, c) && is_just(g, c->outer, c);

    if (p->flat && same_rows && !c->into) {
        p->image_rows = x->shape.h * x->shape.w;
        p->h = p->eh = p->oh = x->shape.n * p->image_rows;
        return;
    }
    if (p->flat) {
        p->flat = false;
        p->images = x->shape.n;
        p->h = p->eh = x->full_h;
        p->w = p->ew = p->ow = x->shape.w;
    }
    p->oy = c->out_y;
    p->oh = c->out_rows;
    if (p->subs == 4) {
        p->oy = c->out_y / 2;
        p->oh = (c->out_y + c->out_rows - 1) / 2 - p->oy + 1;
    }
}

static int blocks_of(int channels, int kc)
{
    return (channels + kc - 1) / kc;
}

/* Equal blocks along K of at most kc channels. */
static void set_blocks(struct cpu_conv_plan *p, int64_t kc)
{
    int widest = p->channels[0] > p->channels[1] ? p->channels[0] : p->channels[1];

    kc = at_most(at_least(kc, SMALLEST_BLOCK), widest);
    int equal = (widest + blocks_of(widest, (int)kc) - 1) / blocks_of(widest, (int)kc);
    p->kc = round_to(equal, p->k->k_multiple > 16 ? p->k->k_multiple : 16);
    if (p->kc > widest)
        p->kc = widest;
    p->n_blocks =
        blocks_of(p->channels[0], p->kc) + (p->channels[1] ? blocks_of(p->channels[1], p->kc) : 0);
    p->kc_pad_max = round_to(p->kc, p->k->k_multiple);
}

struct conv_block cpu_conv_plan_block(const struct cpu_conv_plan *p, int i)
{
    int first = blocks_of(p->channels[0], p->kc);
    struct conv_block b = {.source = i >= first};

    b.c = (b.source ? i - first : i) * p->kc;
    b.whole = b.c + (b.source ? p->channels[0] : 0);
    b.kc = (int)at_most(p->kc, p->channels[b.source] - b.c);
    b.kc_pad = round_to(b.kc, p->k->k_multiple);
    b.a_row = cpu_kernels_row_bytes(p->k, b.kc_pad);
    return b;
}

struct conv_region cpu_conv_plan_everything(const struct cpu_conv_plan *p)
{
    return (struct conv_region){0, p->images, 0, p->oh, 0, p->ow};
}

int cpu_conv_plan_n_regions(const struct cpu_conv_plan *p)
{
    return (int)(p->images * p->n_regions_y * p->n_regions_x);
}

struct conv_region cpu_conv_plan_region(const struct cpu_conv_plan *p, int task)
{
    struct conv_region r = {.n_images = 1};
    int64_t x = task % p->n_regions_x;
    int64_t y = task / p->n_regions_x % p->n_regions_y;

    r.image = task / p->n_regions_x / p->n_regions_y;
    r.y = y * p->region_rows;
    r.x = x * p->region_cols;
    r.rows = at_most(p->region_rows, p->oh - r.y);
    r.cols = at_most(p->region_cols, p->ow - r.x);
    return r;
}

/* Regions whose sums fill about TARGET_ACC_BYTES; smaller ones when there are too few for the
 * threads. */
static void set_regions(struct cpu_conv_plan *p)
{
    p->region_cols = (p->ow + TARGET_COLS - 1) / TARGET_COLS;
    p->region_cols = (p->ow + p->region_cols - 1) / p->region_cols;
    int64_t places = at_most(at_least(TARGET_ACC_BYTES / 4 / p->n / p->subs_at_once, FEWEST_PLACES),
                             MOST_PLACES);
    p->region_rows = p->flat ? TARGET_FLAT_ROWS : at_least(1, places / p->region_cols);
    p->region_rows = at_most(p->region_rows, p->oh);
    for (;;) {
        p->n_regions_x = (p->ow + p->region_cols - 1) / p->region_cols;
        p->n_regions_y = (p->oh + p->region_rows - 1) / p->region_rows;
        int64_t smallest = p->flat ? p->k->mr : at_least(1, 2 * p->k->mr / p->region_cols);
        if (p->images * p->n_regions_x * p->n_regions_y >= 2 * p->n_threads ||
            p->region_rows / 2 < smallest)
            return;
        p->region_rows = (p->region_rows + 1) / 2;
    }
}

static int groups_of(const struct cpu_conv_plan *p)
{
    return (p->n_panels + p->group_panels - 1) / p->group_panels;
}

static void set_columns(struct cpu_conv_plan *p)
{
    p->n_panels = (p->n + p->k->nr - 1) / p->k->nr;
    p->group_panels = (int)at_least(1, TARGET_GROUP_COLUMNS / p->k->nr / p->panel_sets);
    p->n_groups = groups_of(p);
    if (p->share_a && p->n_groups < 2 * p->n_threads) {
        p->group_panels = 1;
        p->n_groups = groups_of(p);
    }
}

/* Sums sizes and remembers an overflow. */
struct sum {
    size_t bytes;
    bool failed;
};

static size_t product(struct sum *s, size_t a, size_t b, size_t c)
{
    size_t r = 0;
    if (!size_mul(&r, a, b) || !size_mul(&r, r, c) || r > SIZE_MAX / 4)
        s->failed = true;
    return r;
}

/* Adds a part of `bytes`, rounded to whole cache lines, and returns where it begins. */
static size_t part(struct sum *s, size_t bytes)
{
    size_t at = s->bytes;
    if (!size_add(&s->bytes, at, cpu_ops_round(bytes)))
        s->failed = true;
    return at;
}

/* Prepared rows of a region for one block: the product may read up to mr rows past the end. */
static size_t prepared_bytes(struct sum *s, const struct cpu_conv_plan *p,
                             const struct conv_region *r)
{
    size_t places = (size_t)(conv_plan_phase(p, r) * p->stride * p->stride + p->k->mr);
    return product(s, places, cpu_kernels_row_bytes(p->k, p->kc_pad_max), 1);
}

static size_t packed_bytes(struct sum *s, const struct cpu_conv_plan *p, int panels)
{
    size_t panel = product(s, (size_t)(p->taps * p->k->nr), (size_t)p->kc_pad_max, 4);
    return product(s, panel, (size_t)(panels * p->panel_sets), (size_t)p->subs_at_once);
}

static bool set_scratch(struct cpu_conv_plan *p, struct error *err)
{
    struct sum whole = {0}, thread = {0};
    struct conv_region r = p->share_a ? cpu_conv_plan_everything(p) : cpu_conv_plan_region(p, 0);
    int nr = p->k->nr;
    int all_panels = p->subs == 1 ? p->n_panels : p->n_groups * p->group_panels * p->subs_at_once;
    int acc_panels = p->share_a || p->n_blocks == 1 ? p->group_panels : all_panels;
    size_t places =
        (size_t)round_to((int)at_most(conv_plan_places(p, &r), INT32_MAX / 2), p->k->mr);

    p->acc_stride = (size_t)round_to(acc_panels * p->panel_sets * nr, 16);
    p->bias_at = part(&whole, (size_t)p->weight_rows * 4);
    if (p->share_a)
        p->shared_bytes =
            p->direct_a ? 0
                        : product(&whole, prepared_bytes(&whole, p, &r), (size_t)p->n_blocks, 1);
    else
        p->shared_bytes =
            product(&whole, packed_bytes(&whole, p, p->n_panels), (size_t)p->n_blocks, 1);
    p->shared_at = part(&whole, p->shared_bytes);
    const struct cpu_conv_delta_sizes delta =
        p->beside ? cpu_conv_beside_measure(p, conv_plan_places(p, &r)) : cpu_conv_delta_measure(p);
    p->delta_block_bytes = delta.down_block_bytes;
    p->delta_a_at = part(&whole, delta.a_bytes);
    p->delta_down_at =
        part(&whole, product(&whole, delta.down_block_bytes, (size_t)p->n_blocks, 1));

    p->thread_a = part(&thread, p->share_a || p->direct_a ? 0 : prepared_bytes(&thread, p, &r));
    if (p->subs == 4) { /* weights are added up before any row is prepared, in the same place */
        size_t sums = (size_t)nr * (size_t)p->kc * 4 * 4, column = (size_t)p->kc * 9 * 4;
        p->sum_at = p->thread_a;
        if (thread.bytes < p->thread_a + sums + column)
            thread.bytes = cpu_ops_round(p->thread_a + sums + column);
    }
    p->thread_delta = part(&thread, delta.thread_bytes);
    size_t packed = p->share_a ? packed_bytes(&thread, p, p->group_panels) : 0;
    size_t up = p->beside
                    ? product(&thread, cpu_conv_beside_panel_bytes(p), (size_t)p->group_panels, 1)
                    : 0;
    p->thread_b = part(&thread, packed > up ? packed : up);
    p->thread_acc = part(&thread, product(&thread, places, p->acc_stride, 4));
    p->thread_stride = thread.bytes;
    p->thread_at = part(&whole, product(&whole, thread.bytes, (size_t)p->n_threads, 1));
    p->workspace_bytes = whole.bytes;
    if (whole.failed || thread.failed || delta.failed || conv_plan_places(p, &r) > INT32_MAX / 2)
        return error_set(err, ERROR_LIMIT, "a convolution is too large for this machine");
    return true;
}

/* From the whole picture's shapes. */
static void choose_way(struct cpu_conv_plan *p, const struct graph *g, int op)
{
    double channels = p->channels[0] + p->channels[1];
    struct conv_region all = cpu_conv_plan_everything(p);
    double a_bytes = 4.0 * channels * (double)(conv_plan_phase(p, &all) * p->stride * p->stride);
    double b_bytes = 4.0 * channels * p->taps * p->weight_rows;
    p->share_a = a_bytes <= b_bytes;
    p->beside = p->share_a && (p->rounds ? graph_keeps_deltas_apart(g, op)
                                         : cpu_conv_beside_pays(p, conv_plan_places(p, &all)));
    take_subs(p);
}

bool cpu_conv_plan_is_doubled(const struct graph *g, int op)
{
    struct cpu_conv_plan p = {0};
    take_shapes(&p, g, op);
    choose_way(&p, g, op);
    return p.subs == 4;
}

double cpu_conv_plan_delta_work(const struct graph *g, int op, bool *beside)
{
    struct cpu_conv_plan p = {0};
    take_shapes(&p, g, op);
    choose_way(&p, g, op);
    const struct conv_region all = cpu_conv_plan_everything(&p);
    const double columns = (double)(p.channels[0] + p.channels[1]) * p.kernel * p.kernel;
    *beside = p.beside;
    return p.rank * (p.beside ? (double)conv_plan_places(&p, &all) * (columns + p.weight_rows)
                              : columns * p.weight_rows);
}

bool cpu_conv_plan_make(struct cpu_conv_plan *p, const struct cpu_kernels *k, int n_threads,
                        const struct graph *g, int op, struct error *err)
{
    *p = (struct cpu_conv_plan){.k = k, .n_threads = n_threads};
    take_shapes(p, g, op);

    choose_way(p, g, op);

    /* Block sizes must follow neither the threads nor the window: regions are measured as if there
     * were one thread for the whole picture. */
    struct cpu_conv_plan one = *p;
    one.n_threads = 1;
    one.region_rows = one.oh;
    one.region_cols = one.ow;
    one.n_regions_x = one.n_regions_y = 1;
    if (!p->share_a)
        set_regions(&one);
    struct conv_region r = cpu_conv_plan_region(&one, 0);
    int64_t places = conv_plan_phase(p, &r) * p->stride * p->stride;
    set_blocks(p, p->share_a ? TARGET_B_BYTES / (4 * p->taps * TARGET_GROUP_COLUMNS)
                             : TARGET_A_BYTES / (4 * places));

    take_window(p, g);
    p->direct_a = p->flat && k->a_is_f32 && !p->op->in.affine && !p->op->in.silu;
    p->region_rows = p->oh;
    p->region_cols = p->ow;
    p->n_regions_x = p->n_regions_y = 1;
    if (!p->share_a)
        set_regions(p);
    set_columns(p);
    return set_scratch(p, err);
}
