/* Group norm's statistics and layer norm.
 *
 * A group norm writes no normalised copy: its result is one scale and one shift per channel, which
 * the convolution behind it applies on the way in.  Sums run over one line of the picture, and are
 * added line by line from above to below, in double: whoever takes them in pieces gets the same. */
#include "engine/cpu/cpu_ops.h"

#include <math.h>

enum {
    FOLD_NUMBERS = 1 << 8, /* sums of one task */
    LAYER_NUMBERS = 1 << 14
};

static const float *tensor_view(const struct cpu_context *ctx, int tensor)
{
    return tensor ? ctx->tensors[tensor] : NULL;
}

/* Brings a weight of n numbers to float32. */
static void read_weight(float *to, const struct cpu_context *ctx, int weight, int64_t n)
{
    const struct weight_view *w = weights_find(ctx->weights, weight);
    ctx->kernels->to_f32(to, w->bytes, w->dtype, (size_t)n);
}

static size_t floats_bytes(int64_t n)
{
    return cpu_ops_round((size_t)n * sizeof(float));
}

struct group_run {
    const struct cpu_kernels *kernels;
    const float *x, *x2;
    float *out;
    float *weight, *bias;
    double *sums;         /* [picture][line][2][c]: sums, then sums of squares */
    const double *before; /* [picture][2][c]: sums of the lines above; NULL: none */
    double *total;        /* the same with this window's */
    int64_t n, h, w, c, c1;
    int64_t x_h, y0; /* lines x has, and which one of them is the first */
    int lines;       /* in sums: h, or 1 where they are already added up */
    int groups;
    float eps;
};

static bool lines_fit(const struct group_run *r, int64_t tasks_each, struct error *err)
{
    if (r->n * r->h > INT32_MAX || r->n * tasks_each > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "group norm over %lld pictures", (long long)r->n);
    return true;
}

static size_t sums_bytes(const struct group_run *r)
{
    return cpu_ops_round((size_t)(r->n * r->h * 2 * r->c) * sizeof(double));
}

static void sum_task(void *ctx, int task, int thread)
{
    const struct group_run *r = ctx;
    const int64_t line = task / r->h * r->x_h + (r->y0 + task % r->h) % r->x_h;
    const int64_t c2 = r->c - r->c1, row = line * r->w;
    double *sum = r->sums + (int64_t)task * 2 * r->c;
    (void)thread;

    r->kernels->channel_sums(sum, sum + r->c, r->x + row * r->c1, (size_t)r->c1, (size_t)r->w,
                             (int)r->c1);
    if (r->x2)
        r->kernels->channel_sums(sum + r->c1, sum + r->c + r->c1, r->x2 + row * c2, (size_t)c2,
                                 (size_t)r->w, (int)c2);
}

/* Adds up some of the sums of one picture, line by line. */
static void add_lines(double *to, const double *before, const double *lines, int64_t n_lines,
                      int64_t stride, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        to[j] = before ? before[j] + lines[j] : lines[j];
    for (int64_t i = 1; i < n_lines; i++)
        for (int64_t j = 0; j < n; j++)
            to[j] += lines[i * stride + j];
}

/* --- The sums of some rows. --- */

static struct group_run sums_plan(const struct graph *g, int op)
{
    const struct graph_norm_sums *o = &graph_op_view(g, op)->u.norm_sums;
    const struct graph_tensor *t = graph_tensor_view(g, o->x);
    const struct graph_shape x = t->shape;
    /* Of a window y0 is less than its height; of a ring, row y is in place y mod its height. */
    return (struct group_run){
        .n = x.n, .h = o->rows, .w = x.w, .c = x.c, .c1 = x.c, .x_h = x.h, .y0 = o->y - t->y0};
}

static int64_t fold_tasks(const struct group_run *r)
{
    return (2 * r->c + FOLD_NUMBERS - 1) / FOLD_NUMBERS;
}

static bool sums_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                       const struct graph *g, int op, struct error *err)
{
    const struct group_run r = sums_plan(g, op);
    (void)k, (void)n_threads;
    *workspace_bytes = sums_bytes(&r);
    return lines_fit(&r, fold_tasks(&r), err);
}

static void fold_task(void *ctx, int task, int thread)
{
    const struct group_run *r = ctx;
    const int64_t picture = task / fold_tasks(r), first = task % fold_tasks(r) * FOLD_NUMBERS;
    const int64_t n = 2 * r->c - first < FOLD_NUMBERS ? 2 * r->c - first : FOLD_NUMBERS;
    const int64_t at = picture * 2 * r->c + first;
    (void)thread;

    add_lines(r->total + at, r->before ? r->before + at : NULL,
              r->sums + picture * r->h * 2 * r->c + first, r->h, 2 * r->c, n);
}

static void sums_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    struct group_run r = sums_plan(ctx->graph, op);

    r.kernels = ctx->kernels;
    r.x = ctx->tensors[o->u.norm_sums.x];
    r.before = (const double *)(const void *)tensor_view(ctx, o->u.norm_sums.before);
    r.total = (double *)(void *)ctx->tensors[o->out];
    r.sums = (double *)(void *)ctx->workspace;
    cpu_pool_run(ctx->pool, sum_task, &r, (int)(r.n * r.h));
    cpu_pool_run(ctx->pool, fold_task, &r, (int)(r.n * fold_tasks(&r)));
}

/* --- The norm: of a whole tensor, or from sums. --- */

static struct group_run group_plan(const struct graph *g, int op)
{
    const struct graph_group_norm *o = &graph_op_view(g, op)->u.group_norm;
    int x = o->x;

    if (o->sums)
        x = graph_op_view(g, graph_tensor_view(g, o->sums)->first_op)->u.norm_sums.x;
    const struct graph_tensor *t = graph_tensor_view(g, x);
    struct group_run r = {
        .n = t->shape.n, .h = t->full_h, .w = t->shape.w, .c = t->shape.c, .x_h = t->shape.h};
    r.c1 = r.c;
    if (o->x2)
        r.c += graph_tensor_view(g, o->x2)->shape.c;
    r.lines = o->sums ? 1 : (int)r.h;
    r.groups = o->groups;
    r.eps = o->eps;
    return r;
}

static bool group_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                        const struct graph *g, int op, struct error *err)
{
    const struct group_run r = group_plan(g, op);
    (void)k, (void)n_threads;
    *workspace_bytes = 2 * floats_bytes(r.c);
    if (!graph_op_view(g, op)->u.group_norm.sums)
        *workspace_bytes += sums_bytes(&r);
    return lines_fit(&r, r.groups, err);
}

/* Mean and deviation of one group of one picture, and from them its channels' scale and shift. */
static void scale_task(void *ctx, int task, int thread)
{
    const struct group_run *r = ctx;
    const int64_t picture = task / r->groups, width = r->c / r->groups;
    const int64_t first = task % r->groups * width;
    double *s = r->sums + picture * r->lines * 2 * r->c + first;
    double sum = 0, squares = 0;
    (void)thread;

    /* The first line of sums becomes their total; only this group's, so nobody else looks. */
    for (int64_t half = 0; half < 2 && r->lines > 1; half++)
        add_lines(s + half * r->c, NULL, s + half * r->c, r->lines, 2 * r->c, width);
    for (int64_t j = 0; j < width; j++) {
        sum += s[j];
        squares += s[r->c + j];
    }
    const double count = (double)width * (double)r->h * (double)r->w;
    const double mean = sum / count;
    const double variance = squares / count - mean * mean;
    const double per_deviation = 1.0 / sqrt((variance > 0 ? variance : 0) + (double)r->eps);

    float *scale = r->out + picture * 2 * r->c, *shift = scale + r->c;
    for (int64_t j = first; j < first + width; j++) {
        const double d = (double)r->weight[j] * per_deviation;
        scale[j] = (float)d;
        shift[j] = (float)((double)r->bias[j] - mean * d);
    }
}

static void group_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    const struct graph_group_norm *norm = &o->u.group_norm;
    struct group_run r = group_plan(ctx->graph, op);
    unsigned char *weights = ctx->workspace + (norm->sums ? 0 : sums_bytes(&r));

    r.kernels = ctx->kernels;
    r.x = tensor_view(ctx, norm->x);
    r.x2 = tensor_view(ctx, norm->x2);
    r.out = ctx->tensors[o->out];
    r.sums =
        (double *)(void *)(norm->sums ? (unsigned char *)ctx->tensors[norm->sums] : ctx->workspace);
    r.weight = (float *)(void *)weights;
    r.bias = (float *)(void *)(weights + floats_bytes(r.c));
    read_weight(r.weight, ctx, norm->weight, r.c);
    read_weight(r.bias, ctx, norm->bias, r.c);
    if (!norm->sums)
        cpu_pool_run(ctx->pool, sum_task, &r, (int)(r.n * r.h));
    cpu_pool_run(ctx->pool, scale_task, &r, (int)r.n * r.groups);
}

struct layer_run {
    const struct cpu_kernels *kernels;
    const float *x;
    float *out;
    float *weight, *bias;
    int64_t rows, c, task_rows;
    float eps;
};

static struct layer_run layer_plan(const struct graph *g, int op)
{
    const struct graph_layer_norm *o = &graph_op_view(g, op)->u.layer_norm;
    const struct graph_shape x = graph_tensor_view(g, o->x)->shape;
    struct layer_run r = {.rows = x.n * x.h * x.w, .c = x.c, .eps = o->eps};

    r.task_rows = LAYER_NUMBERS / r.c;
    if (r.task_rows < 1)
        r.task_rows = 1;
    return r;
}

static int64_t layer_tasks(const struct layer_run *r)
{
    return (r->rows + r->task_rows - 1) / r->task_rows;
}

static bool layer_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                        const struct graph *g, int op, struct error *err)
{
    const struct layer_run r = layer_plan(g, op);
    (void)k, (void)n_threads;
    if (layer_tasks(&r) > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "layer norm over %lld rows", (long long)r.rows);
    *workspace_bytes = 2 * floats_bytes(r.c);
    return true;
}

static void layer_task(void *ctx, int task, int thread)
{
    const struct layer_run *r = ctx;
    const int64_t first = task * r->task_rows;
    const int64_t rows = r->rows - first < r->task_rows ? r->rows - first : r->task_rows;
    (void)thread;
    r->kernels->layer_norm_rows(r->out + first * r->c, r->x + first * r->c, (size_t)rows, (int)r->c,
                                r->weight, r->bias, r->eps);
}

static void layer_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    struct layer_run r = layer_plan(ctx->graph, op);

    r.kernels = ctx->kernels;
    r.x = ctx->tensors[o->u.layer_norm.x];
    r.out = ctx->tensors[o->out];
    r.weight = (float *)(void *)ctx->workspace;
    r.bias = (float *)(void *)(ctx->workspace + floats_bytes(r.c));
    read_weight(r.weight, ctx, o->u.layer_norm.weight, r.c);
    read_weight(r.bias, ctx, o->u.layer_norm.bias, r.c);
    cpu_pool_run(ctx->pool, layer_task, &r, (int)layer_tasks(&r));
}

const struct cpu_op cpu_norm_group_op = {group_needs, group_run};
const struct cpu_op cpu_norm_sums_op = {sums_needs, sums_run};
const struct cpu_op cpu_norm_layer_op = {layer_needs, layer_run};
