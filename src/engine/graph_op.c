/* What one operation reads and costs. */
#include "engine/graph.h"

/* Appends what is not none. */
static int list(int *out, int n, const int *ids)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (ids[i])
            out[count++] = ids[i];
    return count;
}

void graph_op_conv_rows(const struct graph_conv *op, int64_t stored_h, int64_t *lo, int64_t *hi)
{
    int64_t enlarged = !op->in.enlarge    ? stored_h
                       : op->in.enlarge_h ? op->in.enlarge_h
                                          : 2 * stored_h;
    int64_t first = op->out_y * op->stride - op->pad_before;
    int64_t last = (op->out_y + op->out_rows - 1) * op->stride - op->pad_before + op->kernel - 1;

    first = first < 0 ? 0 : first;
    last = last < enlarged ? last : enlarged - 1;
    *lo = first * stored_h / enlarged;
    *hi = last * stored_h / enlarged + 1;
}

int graph_op_reads(const struct graph_op *op, int tensors[GRAPH_MAX_READS])
{
    switch (op->kind) {
    case GRAPH_OP_CONV: {
        const struct graph_conv *c = &op->u.conv;
        const int ids[] = {c->in.x, c->in.x2, c->in.affine, c->channel_add, c->residual, c->outer};
        if (!c->in.x)
            return list(tensors, 1, (int[]){-1});
        int n = list(tensors, 6, ids);
        /* Several windows stand in for x2, so that all together have room. */
        return n + list(tensors + n, c->in.x2 ? 0 : GRAPH_MAX_WINDOWS - 1, c->in.more);
    }
    case GRAPH_OP_GROUP_NORM: {
        const int ids[] = {op->u.group_norm.x, op->u.group_norm.x2, op->u.group_norm.sums};
        bool complete = (ids[0] != 0) != (ids[2] != 0) && (ids[0] || !ids[1]);
        return complete ? list(tensors, 3, ids) : list(tensors, 1, (int[]){-1});
    }
    case GRAPH_OP_NORM_SUMS: {
        const int ids[] = {op->u.norm_sums.x, op->u.norm_sums.before};
        return ids[0] ? list(tensors, 2, ids) : list(tensors, 1, (int[]){-1});
    }
    case GRAPH_OP_LAYER_NORM:
        tensors[0] = op->u.layer_norm.x;
        return 1;
    case GRAPH_OP_ATTENTION:
        tensors[0] = op->u.attention.q;
        tensors[1] = op->u.attention.k;
        tensors[2] = op->u.attention.v;
        return 3;
    case GRAPH_OP_EMBED: {
        const int ids[] = {op->u.embed.ids, op->u.embed.more};
        return ids[0] ? list(tensors, 2, ids) : list(tensors, 1, (int[]){-1});
    }
    case GRAPH_OP_ACT: {
        const int ids[] = {op->u.act.a, op->u.act.b};
        return ids[0] ? list(tensors, 2, ids) : list(tensors, 1, (int[]){-1});
    }
    case GRAPH_OP_KINDS:
        break;
    }
    return 0;
}

int graph_op_weights(const struct graph_op *op, int weights[2])
{
    switch (op->kind) {
    case GRAPH_OP_CONV:
        weights[0] = op->u.conv.weight;
        weights[1] = op->u.conv.bias;
        return op->u.conv.bias ? 2 : 1;
    case GRAPH_OP_GROUP_NORM:
        weights[0] = op->u.group_norm.weight;
        weights[1] = op->u.group_norm.bias;
        return 2;
    case GRAPH_OP_LAYER_NORM:
        weights[0] = op->u.layer_norm.weight;
        weights[1] = op->u.layer_norm.bias;
        return 2;
    case GRAPH_OP_EMBED:
        weights[0] = op->u.embed.tokens;
        weights[1] = op->u.embed.position;
        return 2;
    case GRAPH_OP_ATTENTION:
    case GRAPH_OP_ACT:
    case GRAPH_OP_NORM_SUMS:
    case GRAPH_OP_KINDS:
        break;
    }
    return 0;
}

/* Numbers of a convolution's result: of pictures that it writes into, its own part. */
static double conv_numbers(const struct graph *g, const struct graph_op *o)
{
    const struct graph_shape out = graph_tensor_view(g, o->out)->shape;
    const struct graph_conv *c = &o->u.conv;
    return (double)out.n * (double)c->out_c * (double)c->out_rows * (double)out.w;
}

/* Numbers of the rows that are summed. */
static double sums_numbers(const struct graph *g, const struct graph_op *o)
{
    const struct graph_shape x = graph_tensor_view(g, o->u.norm_sums.x)->shape;
    return (double)(x.n * x.c * x.w) * (double)o->u.norm_sums.rows;
}

double graph_op_flops(const struct graph *g, int op)
{
    const struct graph_op *o = graph_op_view(g, op);
    double out = (double)graph_shape_count(graph_tensor_view(g, o->out)->shape);

    switch (o->kind) {
    case GRAPH_OP_CONV: {
        const struct graph_weight *w = graph_weight_view(g, o->u.conv.weight);
        double depth = 1;
        for (int i = 1; i < w->n_dims; i++)
            depth *= (double)w->dims[i];
        return conv_numbers(g, o) * depth * (o->u.conv.act == GRAPH_ACT_GEGLU ? 4 : 2);
    }
    case GRAPH_OP_ATTENTION: {
        struct graph_shape k = graph_tensor_view(g, o->u.attention.k)->shape;
        return out * (double)(k.h * k.w) * 4;
    }
    case GRAPH_OP_NORM_SUMS:
        return 3 * sums_numbers(g, o);
    case GRAPH_OP_GROUP_NORM: {
        if (o->u.group_norm.sums)
            break;
        double x = (double)graph_shape_count(graph_tensor_view(g, o->u.group_norm.x)->shape);
        if (o->u.group_norm.x2)
            x += (double)graph_shape_count(graph_tensor_view(g, o->u.group_norm.x2)->shape);
        return 3 * x;
    }
    case GRAPH_OP_LAYER_NORM:
        return 8 * out;
    case GRAPH_OP_EMBED:
    case GRAPH_OP_ACT:
    case GRAPH_OP_KINDS:
        break;
    }
    return out;
}

static double count(const struct graph *g, int tensor)
{
    return (double)graph_shape_count(graph_tensor_view(g, tensor)->shape);
}

/* Windows overlap what is read, and a picture is written in parts. */
static double conv_moved(const struct graph *g, const struct graph_op *o)
{
    const struct graph_conv *c = &o->u.conv;
    const struct graph_tensor *x = graph_tensor_view(g, c->in.x);
    int64_t lo, hi, channels = x->shape.c;

    if (c->in.x2)
        channels += graph_tensor_view(g, c->in.x2)->shape.c;
    if (c->in.channels)
        channels += c->in.channels - graph_tensor_view(g, c->in.x2 ? c->in.x2 : c->in.x)->shape.c;
    graph_op_conv_rows(c, x->full_h, &lo, &hi);
    return (double)(x->shape.n * channels * x->shape.w) * (double)(hi - lo) +
           conv_numbers(g, o) * (1 + (c->residual != 0) + (c->outer != 0)) +
           (c->in.affine ? count(g, c->in.affine) : 0) +
           (c->channel_add ? count(g, c->channel_add) : 0);
}

double graph_op_numbers(const struct graph *g, int op)
{
    const struct graph_op *o = graph_op_view(g, op);
    int reads[GRAPH_MAX_READS];

    if (o->kind == GRAPH_OP_CONV)
        return conv_moved(g, o);
    if (o->kind == GRAPH_OP_NORM_SUMS)
        return sums_numbers(g, o) + count(g, o->out) * (1 + (o->u.norm_sums.before != 0));
    int n = graph_op_reads(o, reads);
    double sum = count(g, o->out);
    for (int i = 0; i < n; i++)
        sum += count(g, reads[i]);
    return sum;
}

const char *graph_op_name(enum graph_op_kind kind)
{
    static const char *const name[GRAPH_OP_KINDS] = {"convolution", "group norm", "layer norm",
                                                     "attention",   "embedding",  "activation",
                                                     "norm sums"};
    return kind < GRAPH_OP_KINDS ? name[kind] : "unknown operation";
}
