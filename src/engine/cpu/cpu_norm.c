/* Group norm's statistics and layer norm.
 *
 * A group norm writes no normalised copy: its result is one scale and one shift per channel, which
 * the convolution behind it applies on the way in.  Sums run over chunks of rows whose size depends
 * on the shape alone, and are added in the order of the chunks, in double. */
#include "engine/cpu/cpu_ops.h"

#include <math.h>

enum {
    CHUNK_NUMBERS = 1 << 15, /* 128 KiB read by one task */
    CHUNK_ROWS_MIN = 16,
    CHUNKS_MAX = 256,
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
    double *sums; /* [picture][chunk][2][c]: sums, then sums of squares */
    int64_t n, rows, c, c1;
    int64_t chunk_rows;
    int chunks;
    int groups;
    float eps;
};

static struct group_run group_plan(const struct graph *g, int op)
{
    const struct graph_group_norm *o = &graph_op_view(g, op)->u.group_norm;
    const struct graph_shape x = graph_tensor_view(g, o->x)->shape;
    struct group_run r = {.n = x.n, .rows = x.h * x.w, .c = x.c, .c1 = x.c};

    if (o->x2)
        r.c += graph_tensor_view(g, o->x2)->shape.c;
    r.groups = o->groups;
    r.eps = o->eps;
    r.chunk_rows = CHUNK_NUMBERS / r.c;
    if (r.chunk_rows < CHUNK_ROWS_MIN)
        r.chunk_rows = CHUNK_ROWS_MIN;
    if (r.chunk_rows < (r.rows + CHUNKS_MAX - 1) / CHUNKS_MAX)
        r.chunk_rows = (r.rows + CHUNKS_MAX - 1) / CHUNKS_MAX;
    r.chunks = (int)((r.rows + r.chunk_rows - 1) / r.chunk_rows);
    return r;
}

static size_t sums_bytes(const struct group_run *r)
{
    return cpu_ops_round((size_t)(r->n * r->chunks * 2 * r->c) * sizeof(double));
}

static bool group_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                        const struct graph *g, int op, struct error *err)
{
    const struct group_run r = group_plan(g, op);
    (void)k, (void)n_threads;
    if (r.n * r.chunks > INT32_MAX || r.n * r.groups > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "group norm over %lld pictures", (long long)r.n);
    *workspace_bytes = sums_bytes(&r) + 2 * floats_bytes(r.c);
    return true;
}

static void sum_task(void *ctx, int task, int thread)
{
    const struct group_run *r = ctx;
    const int64_t picture = task / r->chunks;
    const int64_t first = task % r->chunks * r->chunk_rows;
    const int64_t rows = r->rows - first < r->chunk_rows ? r->rows - first : r->chunk_rows;
    const int64_t c2 = r->c - r->c1, row = picture * r->rows + first;
    double *sum = r->sums + (int64_t)task * 2 * r->c;
    (void)thread;

    r->kernels->channel_sums(sum, sum + r->c, r->x + row * r->c1, (size_t)r->c1, (size_t)rows,
                             (int)r->c1);
    if (r->x2)
        r->kernels->channel_sums(sum + r->c1, sum + r->c + r->c1, r->x2 + row * c2, (size_t)c2,
                                 (size_t)rows, (int)c2);
}

/* Mean and deviation of one group of one picture, and from them its channels' scale and shift. */
static void scale_task(void *ctx, int task, int thread)
{
    const struct group_run *r = ctx;
    const int64_t picture = task / r->groups, width = r->c / r->groups;
    const int64_t first = task % r->groups * width;
    double sum = 0, squares = 0;
    (void)thread;

    for (int i = 0; i < r->chunks; i++) {
        const double *s = r->sums + (picture * r->chunks + i) * 2 * r->c;
        for (int64_t j = first; j < first + width; j++) {
            sum += s[j];
            squares += s[r->c + j];
        }
    }
    const double count = (double)width * (double)r->rows;
    const double mean = sum / count;
    const double variance = squares / count - mean * mean;
    const double per_deviation = 1.0 / sqrt((variance > 0 ? variance : 0) + (double)r->eps);

    float *scale = r->out + picture * 2 * r->c, *shift = scale + r->c;
    for (int64_t j = first; j < first + width; j++) {
        const double s = (double)r->weight[j] * per_deviation;
        scale[j] = (float)s;
        shift[j] = (float)((double)r->bias[j] - mean * s);
    }
}

static void group_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    struct group_run r = group_plan(ctx->graph, op);
    unsigned char *weights = ctx->workspace + sums_bytes(&r);

    r.kernels = ctx->kernels;
    r.x = tensor_view(ctx, o->u.group_norm.x);
    r.x2 = tensor_view(ctx, o->u.group_norm.x2);
    r.out = ctx->tensors[o->out];
    r.sums = (double *)(void *)ctx->workspace;
    r.weight = (float *)(void *)weights;
    r.bias = (float *)(void *)(weights + floats_bytes(r.c));
    read_weight(r.weight, ctx, o->u.group_norm.weight, r.c);
    read_weight(r.bias, ctx, o->u.group_norm.bias, r.c);
    cpu_pool_run(ctx->pool, sum_task, &r, (int)r.n * r.chunks);
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
const struct cpu_op cpu_norm_layer_op = {layer_needs, layer_run};
