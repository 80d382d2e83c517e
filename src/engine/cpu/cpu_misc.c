/* The small operations: looking up embeddings, and activations that no convolution could take
 * along. */
#include "base/assert.h"
#include "engine/cpu/cpu_ops.h"

#include <string.h>

enum { ACT_NUMBERS = 1 << 14 };

/* Room for one row of positions as float32. */
static bool embed_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                        const struct graph *g, int op, struct error *err)
{
    const struct graph_op *o = graph_op_view(g, op);
    (void)k, (void)n_threads, (void)err;
    *workspace_bytes = cpu_ops_round((size_t)graph_tensor_view(g, o->out)->shape.c * sizeof(float));
    return true;
}

static const unsigned char *table_row(const struct weight_view *table, int64_t row, int64_t c)
{
    return (const unsigned char *)table->bytes + (size_t)(row * c) * dtype_bytes(table->dtype);
}

/* A prompt has some dozens of tokens: not worth waking a thread.  Only the rows in use are read, so
 * that the rest of a large table never leaves the disk. */
static void embed_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    const struct graph_shape out = graph_tensor_view(ctx->graph, o->out)->shape;
    const struct weight_view *tokens = weights_find(ctx->weights, o->u.embed.tokens);
    const struct weight_view *positions = weights_find(ctx->weights, o->u.embed.position);
    const float *ids = ctx->tensors[o->u.embed.ids];
    float *place = (float *)(void *)ctx->workspace;
    const int64_t vocabulary = (int64_t)tokens->count / out.c;
    const float *more = o->u.embed.more ? ctx->tensors[o->u.embed.more] : NULL;
    const int64_t n_more = more ? graph_tensor_view(ctx->graph, o->u.embed.more)->shape.w : 0;

    for (int64_t i = 0; i < out.n * out.w; i++) {
        float *row = ctx->tensors[o->out] + i * out.c;
        const int64_t id = (int64_t)ids[i];
        ASSERT(id >= 0 && id < vocabulary + n_more); /* checked by the caller */
        if (id < vocabulary)
            ctx->kernels->to_f32(row, table_row(tokens, id, out.c), tokens->dtype, (size_t)out.c);
        else
            memcpy(row, more + (id - vocabulary) * out.c, (size_t)out.c * sizeof *row);
        ctx->kernels->to_f32(place, table_row(positions, i % out.w, out.c), positions->dtype,
                             (size_t)out.c);
        ctx->kernels->act_rows(row, row, place, (size_t)out.c, GRAPH_ACT_NONE);
    }
}

struct act_run {
    const struct cpu_kernels *kernels;
    const float *a, *b;
    float *out;
    int64_t n;
    enum graph_act act;
};

static bool act_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                      const struct graph *g, int op, struct error *err)
{
    const int64_t n = graph_shape_count(graph_tensor_view(g, graph_op_view(g, op)->out)->shape);
    (void)k, (void)n_threads;
    if (n / ACT_NUMBERS >= INT32_MAX)
        return error_set(err, ERROR_LIMIT, "activation of %lld numbers", (long long)n);
    *workspace_bytes = 0;
    return true;
}

static void act_task(void *ctx, int task, int thread)
{
    const struct act_run *r = ctx;
    const int64_t first = (int64_t)task * ACT_NUMBERS;
    const int64_t n = r->n - first < ACT_NUMBERS ? r->n - first : ACT_NUMBERS;
    (void)thread;
    r->kernels->act_rows(r->out + first, r->a + first, r->b ? r->b + first : NULL, (size_t)n,
                         r->act);
}

static void act_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    struct act_run r = {
        .kernels = ctx->kernels,
        .a = ctx->tensors[o->u.act.a],
        .b = o->u.act.b ? ctx->tensors[o->u.act.b] : NULL,
        .out = ctx->tensors[o->out],
        .n = graph_shape_count(graph_tensor_view(ctx->graph, o->out)->shape),
        .act = o->u.act.act,
    };
    cpu_pool_run(ctx->pool, act_task, &r, (int)((r.n + ACT_NUMBERS - 1) / ACT_NUMBERS));
}

const struct cpu_op cpu_misc_embed_op = {embed_needs, embed_run};
const struct cpu_op cpu_misc_act_op = {act_needs, act_run};
