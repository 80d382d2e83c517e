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

void graph_op_slide_rows(const struct graph_slide *s, int64_t stored_h, int64_t out_y,
                         int64_t out_rows, int64_t *lo, int64_t *hi)
{
    const int64_t enlarged = s->enlarged_h ? s->enlarged_h : stored_h;
    int64_t first = out_y * s->stride - s->pad_before;
    int64_t last = (out_y + out_rows - 1) * s->stride - s->pad_before + s->kernel - 1;

    first = first < 0 ? 0 : first;
    last = last < enlarged ? last : enlarged - 1;
    if (enlarged == stored_h) { /* divisions take their time, and graphs have many ops */
        *lo = first;
        *hi = last + 1;
    } else if (enlarged == 2 * stored_h) {
        *lo = first / 2;
        *hi = last / 2 + 1;
    } else {
        *lo = first * stored_h / enlarged;
        *hi = last * stored_h / enlarged + 1;
    }
}

void graph_op_conv_rows(const struct graph_conv *op, int64_t stored_h, int64_t *lo, int64_t *hi)
{
    const struct graph_slide slide = {
        .kernel = op->kernel,
        .stride = op->stride,
        .pad_before = op->pad_before,
        .enlarged_h = !op->in.enlarge    ? 0
                      : op->in.enlarge_h ? op->in.enlarge_h
                                         : 2 * stored_h,
    };
    graph_op_slide_rows(&slide, stored_h, op->out_y, op->out_rows, lo, hi);
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

/* Tensors that an op is about in the same way, wherever in their pictures its rows are. */
static bool tensors_are_alike(const struct graph *g, int a, int64_t a_y, int b, int64_t b_y)
{
    if (!a || !b)
        return a == b;
    const struct graph_tensor *s = graph_tensor_view(g, a), *t = graph_tensor_view(g, b);
    return (s->y0 == a_y) == (t->y0 == b_y) &&
           (a == b ||
            (s->shape.n == t->shape.n && s->shape.c == t->shape.c && s->shape.h == t->shape.h &&
             s->shape.w == t->shape.w && s->ring == t->ring && s->full_h == t->full_h));
}

/* Whatever their rows and tensors. */
static bool convs_are_the_same(const struct graph_conv *c, const struct graph_conv *d)
{
    return c->weight == d->weight && c->bias == d->bias && c->out_c == d->out_c &&
           c->kernel == d->kernel && c->stride == d->stride && c->pad_before == d->pad_before &&
           c->pad_after == d->pad_after && c->act == d->act && c->in.silu == d->in.silu &&
           c->in.enlarge == d->in.enlarge && c->in.enlarge_h == d->in.enlarge_h &&
           c->in.enlarge_w == d->in.enlarge_w && c->in.channels == d->in.channels &&
           (c->in.more[0] != 0) == (d->in.more[0] != 0) && (c->into != 0) == (d->into != 0);
}

static bool convs_are_alike(const struct graph *g, const struct graph_op *a,
                            const struct graph_op *b)
{
    const struct graph_conv *c = &a->u.conv, *d = &b->u.conv;
    int64_t c_lo, c_hi, d_lo, d_hi;

    if (c->out_rows != d->out_rows || c->out_y % 2 != d->out_y % 2)
        return false;
    /* What is gone on with is read from no window (graph_conv_more). */
    if (a->like == b->like && (c->out_y == 0) != (d->out_y == 0))
        return false;
    if (a->like != b->like &&
        (!convs_are_the_same(c, d) || !tensors_are_alike(g, c->in.x, c->out_y, d->in.x, d->out_y) ||
         !tensors_are_alike(g, c->in.x2, c->out_y, d->in.x2, d->out_y) ||
         !tensors_are_alike(g, c->residual, c->out_y, d->residual, d->out_y) ||
         !tensors_are_alike(g, c->outer, c->out_y, d->outer, d->out_y) ||
         !tensors_are_alike(g, a->out, c->out_y, b->out, d->out_y) ||
         !tensors_are_alike(g, c->channel_add, 0, d->channel_add, 0) ||
         !tensors_are_alike(g, c->in.affine, 0, d->in.affine, 0)))
        return false;
    const int64_t h = graph_tensor_view(g, c->in.x)->full_h;
    graph_op_conv_rows(c, h, &c_lo, &c_hi);
    graph_op_conv_rows(d, h, &d_lo, &d_hi);
    return c_hi - c_lo == d_hi - d_lo;
}

bool graph_op_is_alike(const struct graph *g, int op, int other)
{
    const struct graph_op *a = graph_op_view(g, op), *b = graph_op_view(g, other);

    if (a->kind != b->kind)
        return false;
    if (a->kind == GRAPH_OP_CONV)
        return convs_are_alike(g, a, b);
    if (a->kind != GRAPH_OP_NORM_SUMS)
        return false;
    const struct graph_norm_sums *s = &a->u.norm_sums, *t = &b->u.norm_sums;
    return s->rows == t->rows && (s->before != 0) == (t->before != 0) &&
           tensors_are_alike(g, s->x, s->y, t->x, t->y);
}

const char *graph_op_name(enum graph_op_kind kind)
{
    static const char *const name[GRAPH_OP_KINDS] = {"convolution", "group norm", "layer norm",
                                                     "attention",   "embedding",  "activation",
                                                     "norm sums"};
    return kind < GRAPH_OP_KINDS ? name[kind] : "unknown operation";
}
