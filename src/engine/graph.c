#include "engine/graph.h"

#include "base/assert.h"
#include "base/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_WRITTEN = INT32_MAX }; /* first_op of a picture that nothing writes yet */

struct graph {
    struct graph_op *ops;
    struct graph_tensor *tensors; /* [0] is none */
    struct graph_weight *weights; /* [0] is none */
    int n_ops, cap_ops;
    int n_tensors, cap_tensors;
    int n_weights, cap_weights;
    enum graph_attention_mode attention;
    bool rounds_deltas, keeps_apart;
    struct error failure; /* first one; ERROR_NONE while all is well */
};

struct graph *graph_new(void)
{
    return calloc(1, sizeof(struct graph));
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    free(g->ops);
    free(g->tensors);
    free(g->weights);
    free(g);
}

static bool failed(const struct graph *g)
{
    return g->failure.code != ERROR_NONE;
}

void graph_fail(struct graph *g, const char *fmt, ...)
{
    char text[sizeof g->failure.text];
    va_list args;

    if (failed(g))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    error_set(&g->failure, ERROR_INVALID, "%s", text);
}

bool graph_check(const struct graph *g, struct error *err)
{
    if (!failed(g))
        return true;
    *err = g->failure;
    return false;
}

/* Makes room for number `*n + 1` of a growing array that starts at 1 or 0. */
static bool make_room(struct graph *g, void **items, int *cap, int need, int limit,
                      size_t item_bytes)
{
    if (failed(g))
        return false;
    if (need > limit) {
        error_set(&g->failure, ERROR_LIMIT, "a network has more than %d parts of one kind", limit);
        return false;
    }
    if (need <= *cap)
        return true;
    int bigger = *cap ? *cap * 4 : 64; /* few copies; pages come when they are used */
    void *moved = realloc(*items, (size_t)bigger * item_bytes);
    if (!moved) {
        error_set(&g->failure, ERROR_MEMORY, "no memory for a network of %d operations", need);
        return false;
    }
    *items = moved;
    *cap = bigger;
    return true;
}

static bool is_sound(struct graph_shape s)
{
    const int64_t side[4] = {s.n, s.c, s.h, s.w};
    double count = 1;

    for (int i = 0; i < 4; i++) {
        if (side[i] < 1 || side[i] > GRAPH_MAX_DIM)
            return false;
        count *= (double)side[i];
    }
    return count < 0x1p48;
}

static int new_tensor(struct graph *g, struct graph_shape shape, enum graph_tensor_role role)
{
    if (!failed(g) && !is_sound(shape))
        graph_fail(g, "a tensor of %lld x %lld x %lld x %lld is beyond what the engine takes",
                   (long long)shape.n, (long long)shape.c, (long long)shape.h, (long long)shape.w);
    if (!make_room(g, (void **)&g->tensors, &g->cap_tensors, g->n_tensors + 2, GRAPH_MAX_TENSORS,
                   sizeof *g->tensors))
        return 0;
    int first = role == GRAPH_INPUT ? -1 : g->n_ops;
    g->tensors[++g->n_tensors] = (struct graph_tensor){
        .shape = shape, .role = role, .full_h = shape.h, .first_op = first, .last_op = first};
    return g->n_tensors;
}

int graph_picture(struct graph *g, struct graph_shape shape)
{
    int tensor = new_tensor(g, shape, GRAPH_VALUE);
    if (tensor)
        g->tensors[tensor].first_op = g->tensors[tensor].last_op = NOT_WRITTEN;
    return tensor;
}

int graph_ring(struct graph *g, struct graph_shape shape, int64_t full_h)
{
    if (shape.h > full_h)
        shape.h = full_h;
    int tensor = graph_picture(g, shape);
    if (tensor) {
        g->tensors[tensor].ring = shape.h < full_h;
        g->tensors[tensor].full_h = full_h;
    }
    return tensor;
}

int graph_input(struct graph *g, struct graph_shape shape)
{
    return new_tensor(g, shape, GRAPH_INPUT);
}

static bool is_tensor(const struct graph *g, int tensor)
{
    return tensor >= 1 && tensor <= g->n_tensors;
}

static bool is_weight(const struct graph *g, int weight)
{
    return weight >= 1 && weight <= g->n_weights;
}

void graph_output(struct graph *g, int tensor)
{
    if (failed(g))
        return;
    if (!is_tensor(g, tensor) || g->tensors[tensor].first_op == NOT_WRITTEN) {
        graph_fail(g, "an output that does not exist");
        return;
    }
    g->tensors[tensor].role = GRAPH_OUTPUT;
}

int graph_weight(struct graph *g, int n_dims, const int64_t *dims, const char *fmt, ...)
{
    va_list args;

    if (!make_room(g, (void **)&g->weights, &g->cap_weights, g->n_weights + 2, GRAPH_MAX_WEIGHTS,
                   sizeof *g->weights))
        return 0;
    if (n_dims < 1 || n_dims > 4) {
        graph_fail(g, "a weight with %d dimensions", n_dims);
        return 0;
    }
    struct graph_weight w = {.n_dims = n_dims, .first_op = -1, .last_op = -1};
    struct graph_shape as_shape = {1, 1, 1, 1};
    int64_t *side[4] = {&as_shape.n, &as_shape.c, &as_shape.h, &as_shape.w};
    for (int i = 0; i < n_dims; i++)
        *side[i] = w.dims[i] = dims[i];

    va_start(args, fmt);
    int len = names_format(w.name, sizeof w.name, fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof w.name || !is_sound(as_shape)) {
        graph_fail(g, "weight '%s' has an impossible name or shape", w.name);
        return 0;
    }
    g->weights[++g->n_weights] = w;
    return g->n_weights;
}

/* What an op names. */
struct names {
    int reads[GRAPH_MAX_READS], weights[2];
    int n_reads, n_weights;
};

static struct names names_of(const struct graph_op *op)
{
    struct names n;
    n.n_reads = graph_op_reads(op, n.reads);
    n.n_weights = graph_op_weights(op, n.weights);
    return n;
}

/* Adds op with a result of this shape, or one that writes into a picture; marks what it reads. */
static int add_into(struct graph *g, const struct graph_op *op, const struct names *names,
                    struct graph_shape shape, int into)
{
    if (!make_room(g, (void **)&g->ops, &g->cap_ops, g->n_ops + 1, GRAPH_MAX_OPS, sizeof *g->ops))
        return 0;
    int out = into ? into : new_tensor(g, shape, GRAPH_VALUE);
    if (!out)
        return 0;
    if (g->tensors[out].first_op == NOT_WRITTEN)
        g->tensors[out].first_op = g->n_ops;
    g->tensors[out].last_op = g->n_ops;
    for (int i = 0; i < names->n_reads; i++)
        g->tensors[names->reads[i]].last_op = g->n_ops;
    for (int i = 0; i < names->n_weights; i++) {
        struct graph_weight *w = &g->weights[names->weights[i]];
        if (w->first_op < 0)
            w->first_op = g->n_ops;
        w->last_op = g->n_ops;
    }
    g->ops[g->n_ops] = *op;
    g->ops[g->n_ops].out = out;
    if (op->like < 0)
        g->ops[g->n_ops].like = g->n_ops;
    g->n_ops++;
    return out;
}

static int add(struct graph *g, const struct graph_op *op, const struct names *names,
               struct graph_shape shape)
{
    return add_into(g, op, names, shape, 0);
}

static bool is_whole(const struct graph *g, int tensor)
{
    return g->tensors[tensor].shape.h == g->tensors[tensor].full_h;
}

/* Fails unless every tensor the op names exists, in a form that it takes. */
static bool names_exist(struct graph *g, const struct graph_op *op, const struct names *names)
{
    const int *reads = names->reads, n_reads = names->n_reads;

    if (failed(g))
        return false;
    bool exist = true;
    for (int i = 0; i < n_reads; i++)
        exist = exist && is_tensor(g, reads[i]) && g->tensors[reads[i]].first_op != NOT_WRITTEN;
    for (int i = 0; i < names->n_weights; i++)
        exist = exist && is_weight(g, names->weights[i]);
    if (!exist)
        graph_fail(g, "%s reads something that does not exist", graph_op_name(op->kind));
    bool windows =
        op->kind == GRAPH_OP_CONV || op->kind == GRAPH_OP_NORM_SUMS || op->kind == GRAPH_OP_ACT;
    for (int i = 0; exist && !windows && i < n_reads; i++)
        if (!is_whole(g, reads[i])) {
            graph_fail(g, "%s reads a window", graph_op_name(op->kind));
            return false;
        }
    return exist;
}

static bool weight_is(const struct graph *g, int weight, int64_t d0, int64_t d1, int64_t d2)
{
    const struct graph_weight *w = &g->weights[weight];
    const int64_t want[4] = {d0, d1, d2, d2};
    for (int i = 0; i < 4; i++)
        if ((i < w->n_dims ? w->dims[i] : 1) != want[i])
            return false;
    return true;
}

static bool same_shape(struct graph_shape a, struct graph_shape b)
{
    return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}

/* Joined channels of x and x2, or 0 when they do not fit together. */
static int64_t joined_channels(const struct graph *g, int x, int x2)
{
    struct graph_shape a = g->tensors[x].shape;
    if (!x2)
        return a.c;
    struct graph_shape b = g->tensors[x2].shape;
    return a.n == b.n && g->tensors[x].full_h == g->tensors[x2].full_h && a.w == b.w ? a.c + b.c
                                                                                     : 0;
}

/* Of what a source reads, or 0 when its parts do not fit together. */
static int64_t source_channels(const struct graph *g, const struct graph_source *s)
{
    const int64_t all = joined_channels(g, s->x, s->x2);
    const int64_t last = g->tensors[s->x2 ? s->x2 : s->x].shape.c;

    if (!all || !s->channels)
        return all;
    return s->channels > 0 && s->channels <= last ? all - last + s->channels : 0;
}

/* What a convolution's kernel slides over, whole, or n = 0 when the parts do not fit. */
static struct graph_shape source_shape(const struct graph *g, const struct graph_source *s)
{
    struct graph_shape shape = g->tensors[s->x].shape;

    shape.c = source_channels(g, s);
    shape.h = g->tensors[s->x].full_h;
    if (s->enlarge) {
        shape.h = s->enlarge_h ? s->enlarge_h : shape.h * 2;
        shape.w = s->enlarge_w ? s->enlarge_w : shape.w * 2;
    }
    if (s->affine) {
        struct graph_shape affine = g->tensors[s->affine].shape;
        if (affine.n != shape.n || affine.c != 2 * shape.c || affine.h != 1 || affine.w != 1)
            shape.n = 0;
    }
    return shape.c ? shape : (struct graph_shape){0};
}

/* True when rows [lo, hi) have a place in the tensor at the same time. */
static bool holds_rows(const struct graph_tensor *t, int64_t lo, int64_t hi)
{
    return t->ring ? hi - lo <= t->shape.h : lo >= t->y0 && hi <= t->y0 + t->shape.h;
}

/* True when the source's windows follow one another and hold all rows the op reads. */
static bool windows_suffice(const struct graph *g, const struct graph_conv *op)
{
    const struct graph_tensor *first = &g->tensors[op->in.x];
    int64_t end = first->y0 + first->shape.h, lo, hi;

    for (int i = 0; i < GRAPH_MAX_WINDOWS - 1 && op->in.more[i]; i++) {
        const struct graph_tensor *t = &g->tensors[op->in.more[i]];
        struct graph_shape as_first = first->shape;
        as_first.h = t->shape.h;
        if (op->in.x2 || first->ring || t->ring || t->y0 != end || t->full_h != first->full_h ||
            !same_shape(t->shape, as_first))
            return false;
        end += t->shape.h;
    }
    graph_op_conv_rows(op, first->full_h, &lo, &hi);
    if (op->in.x2 && !holds_rows(&g->tensors[op->in.x2], lo, hi))
        return false;
    return first->ring ? holds_rows(first, lo, hi) : lo >= first->y0 && hi <= end;
}

/* True when the tensor can be added to rows [y, y + out.h) of a result that is full_h high. */
static bool is_addend(const struct graph *g, int tensor, struct graph_shape out, int64_t full_h,
                      int64_t y)
{
    const struct graph_tensor *t = &g->tensors[tensor];
    return t->shape.n == out.n && t->shape.c == out.c && t->shape.w == out.w &&
           t->full_h == full_h && holds_rows(t, y, y + out.h);
}

/* True when the op's rows have a place in `into`, in channels that it does not read. */
static bool fits_into(const struct graph *g, const struct graph_conv *op, struct graph_shape out,
                      int64_t full_h)
{
    if (!is_tensor(g, op->into) || g->tensors[op->into].role == GRAPH_INPUT)
        return false;
    const struct graph_tensor *t = &g->tensors[op->into];
    const int64_t read = op->into == (op->in.x2 ? op->in.x2 : op->in.x) ? op->in.channels : 0;
    if ((op->into == op->in.x || op->into == op->in.x2) && (!read || op->into_c < read))
        return false;
    return t->shape.n == out.n && op->into_c >= 0 && op->into_c <= t->shape.c - out.c &&
           t->shape.w == out.w && t->full_h == full_h &&
           holds_rows(t, op->out_y, op->out_y + out.h);
}

/* Completes the window of a result that is full_h rows high; false when something does not fit. */
static bool set_window(const struct graph *g, struct graph_conv *op, struct graph_shape *out)
{
    int64_t full_h = out->h;

    if (!op->out_rows && !op->out_y)
        op->out_rows = full_h;
    if (op->out_rows < 1 || op->out_y < 0 || op->out_y > full_h - op->out_rows)
        return false;
    out->h = op->out_rows;
    if ((op->residual && !is_addend(g, op->residual, *out, full_h, op->out_y)) ||
        (op->outer && !is_addend(g, op->outer, *out, full_h, op->out_y)) ||
        (op->into && !fits_into(g, op, *out, full_h)))
        return false;
    return windows_suffice(g, op);
}

/* The rows whose sums a tensor ends with; NULL when it holds no sums. */
static const struct graph_norm_sums *sums_of(const struct graph *g, int tensor)
{
    int op = tensor ? g->tensors[tensor].first_op : -1;
    if (op < 0 || op >= g->n_ops || g->ops[op].kind != GRAPH_OP_NORM_SUMS)
        return NULL;
    return &g->ops[op].u.norm_sums;
}

/* True when the rows of s follow those of `above` in the same picture; NULL: when they are first.
 */
static bool follows(const struct graph *g, const struct graph_norm_sums *s,
                    const struct graph_norm_sums *above)
{
    if (!above)
        return s->y == 0;
    const struct graph_tensor *x = &g->tensors[s->x], *t = &g->tensors[above->x];
    return above->y + above->rows == s->y && t->full_h == x->full_h && t->shape.n == x->shape.n &&
           t->shape.c == x->shape.c && t->shape.w == x->shape.w;
}

int graph_conv(struct graph *g, const struct graph_conv *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_CONV, .like = -1, .u.conv = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    struct graph_shape in = source_shape(g, &op->in);
    bool geglu = op->act == GRAPH_ACT_GEGLU;
    bool fits = in.n && (op->kernel == 1 || op->kernel == 3) &&
                (op->stride == 1 || op->stride == 2) && op->pad_before >= 0 && op->pad_before < 3 &&
                op->pad_after >= 0 && op->pad_after < 3 &&
                in.h + op->pad_before + op->pad_after >= op->kernel &&
                in.w + op->pad_before + op->pad_after >= op->kernel &&
                (!geglu || (op->kernel == 1 && !op->channel_add)) && op->out_c > 0;
    struct graph_shape out = {in.n, op->out_c, 0, 0};
    int64_t full_h = 0;
    if (fits) {
        out.h = full_h = (in.h + op->pad_before + op->pad_after - op->kernel) / op->stride + 1;
        out.w = (in.w + op->pad_before + op->pad_after - op->kernel) / op->stride + 1;
        int64_t rows = geglu ? 2 * op->out_c : op->out_c;
        fits = weight_is(g, op->weight, rows, in.c, op->kernel) &&
               (!op->bias || weight_is(g, op->bias, rows, 1, 1)) &&
               set_window(g, &whole.u.conv, &out) &&
               (!op->channel_add || same_shape(g->tensors[op->channel_add].shape,
                                               (struct graph_shape){in.n, op->out_c, 1, 1}));
    }
    if (!fits) {
        graph_fail(g, "convolution with weight '%s' does not fit what it reads",
                   g->weights[op->weight].name);
        return 0;
    }
    int result = add_into(g, &whole, &names, out, op->into);
    if (result && !op->into) {
        g->tensors[result].y0 = whole.u.conv.out_y;
        g->tensors[result].full_h = full_h;
    }
    return result;
}

static bool begins_above(const struct graph *g, int tensor)
{
    return !tensor || g->tensors[tensor].y0 == 0;
}

/* True when the op's rows are what it writes into pictures and rings, read from such. */
static bool can_go_on(const struct graph *g, int op)
{
    if (op < 0 || op >= g->n_ops || g->ops[op].kind != GRAPH_OP_CONV)
        return false;
    const struct graph_conv *c = &g->ops[op].u.conv;
    return c->into && !c->in.more[0] && begins_above(g, c->in.x) && begins_above(g, c->in.x2) &&
           begins_above(g, c->residual) && begins_above(g, c->outer);
}

int graph_conv_more(struct graph *g, int op, int64_t out_y, int64_t out_rows)
{
    if (!make_room(g, (void **)&g->ops, &g->cap_ops, g->n_ops + 1, GRAPH_MAX_OPS, sizeof *g->ops))
        return 0;
    if (!can_go_on(g, op)) {
        graph_fail(g, "more rows of something that is no convolution into a picture");
        return 0;
    }
    struct graph_op *next = &g->ops[g->n_ops];
    *next = g->ops[op];
    struct graph_conv *c = &next->u.conv;
    const struct graph_tensor *t = &g->tensors[c->into];
    struct graph_shape out = {t->shape.n, c->out_c, t->full_h, t->shape.w};
    c->out_y = out_y;
    c->out_rows = out_rows;
    if (out_rows < 1 || !set_window(g, c, &out)) {
        graph_fail(g, "convolution with weight '%s' has no rows from %lld to %lld",
                   g->weights[c->weight].name, (long long)out_y, (long long)(out_y + out_rows));
        return 0;
    }
    const int named[] = {c->into,        c->in.x,     c->in.x2, c->in.affine,
                         c->channel_add, c->residual, c->outer};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        g->tensors[named[i]].last_op = g->n_ops; /* of [0], which is none, too */
    g->weights[c->weight].last_op = g->weights[c->bias].last_op = g->n_ops;
    g->n_ops++;
    return c->into;
}

int graph_norm_sums(struct graph *g, const struct graph_norm_sums *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_NORM_SUMS, .like = -1, .u.norm_sums = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    const struct graph_tensor *x = &g->tensors[op->x];
    const struct graph_norm_sums *above = sums_of(g, op->before);
    struct graph_norm_sums *s = &whole.u.norm_sums;
    if (!s->rows && !s->y) {
        s->y = x->y0;
        s->rows = x->shape.h;
    }
    if (s->rows < 1 || s->y < 0 || s->y > x->full_h - s->rows ||
        !holds_rows(x, s->y, s->y + s->rows) || (op->before && !above) || !follows(g, s, above)) {
        graph_fail(g, "sums of rows that do not follow those before");
        return 0;
    }
    return add(g, &whole, &names, (struct graph_shape){x->shape.n, 4 * x->shape.c, 1, 1});
}

int graph_group_norm(struct graph *g, const struct graph_group_norm *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_GROUP_NORM, .like = -1, .u.group_norm = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    const struct graph_norm_sums *last = op->sums ? sums_of(g, op->sums) : NULL;
    const struct graph_tensor *x = &g->tensors[last ? last->x : op->x];
    bool ends = op->sums ? last && last->y + last->rows == x->full_h : is_whole(g, op->x);
    int64_t c = !ends ? 0 : op->sums ? x->shape.c : joined_channels(g, op->x, op->x2);
    if (!c || op->groups < 1 || c % op->groups != 0 || !weight_is(g, op->weight, c, 1, 1) ||
        !weight_is(g, op->bias, c, 1, 1)) {
        graph_fail(g, "group norm '%s' does not fit %lld channels in %d groups",
                   g->weights[op->weight].name, (long long)c, op->groups);
        return 0;
    }
    return add(g, &whole, &names, (struct graph_shape){x->shape.n, 2 * c, 1, 1});
}

int graph_layer_norm(struct graph *g, const struct graph_layer_norm *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_LAYER_NORM, .like = -1, .u.layer_norm = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    struct graph_shape x = g->tensors[op->x].shape;
    if (!weight_is(g, op->weight, x.c, 1, 1) || !weight_is(g, op->bias, x.c, 1, 1)) {
        graph_fail(g, "layer norm '%s' does not fit %lld numbers a row",
                   g->weights[op->weight].name, (long long)x.c);
        return 0;
    }
    return add(g, &whole, &names, x);
}

int graph_attention(struct graph *g, const struct graph_attention *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_ATTENTION, .like = -1, .u.attention = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    struct graph_shape q = g->tensors[op->q].shape;
    struct graph_shape k = g->tensors[op->k].shape;
    if (!same_shape(k, g->tensors[op->v].shape) || q.n != k.n || q.c != k.c || op->heads < 1 ||
        q.c % op->heads != 0) {
        graph_fail(g, "attention with %d heads does not fit what it reads", op->heads);
        return 0;
    }
    if (!op->mode)
        whole.u.attention.mode = g->attention;
    return add(g, &whole, &names, q);
}

void graph_set_attention(struct graph *g, enum graph_attention_mode mode)
{
    g->attention = mode;
}

int graph_embed(struct graph *g, const struct graph_embed *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_EMBED, .like = -1, .u.embed = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    struct graph_shape ids = g->tensors[op->ids].shape;
    const struct graph_weight *table = &g->weights[op->tokens];
    const struct graph_weight *places = &g->weights[op->position];
    if (ids.c != 1 || ids.h != 1 || table->n_dims != 2 || places->n_dims != 2 ||
        table->dims[1] != places->dims[1] || ids.w > places->dims[0]) {
        graph_fail(g, "embedding '%s' does not fit %lld tokens", table->name, (long long)ids.w);
        return 0;
    }
    if (op->more) {
        struct graph_shape more = g->tensors[op->more].shape;
        if (more.n != 1 || more.h != 1 || more.c != table->dims[1]) {
            graph_fail(g, "embedding '%s' does not fit more rows of %lld numbers", table->name,
                       (long long)more.c);
            return 0;
        }
    }
    return add(g, &whole, &names, (struct graph_shape){ids.n, table->dims[1], 1, ids.w});
}

int graph_act(struct graph *g, const struct graph_act_op *op)
{
    struct graph_op whole = {.kind = GRAPH_OP_ACT, .like = -1, .u.act = *op};
    const struct names names = names_of(&whole);
    if (!names_exist(g, &whole, &names))
        return 0;

    const struct graph_tensor a = g->tensors[op->a];
    const struct graph_tensor *b = &g->tensors[op->b ? op->b : op->a];
    if (!same_shape(a.shape, b->shape) || a.y0 != b->y0 || a.full_h != b->full_h ||
        op->act == GRAPH_ACT_GEGLU) {
        graph_fail(g, "activation of two different shapes");
        return 0;
    }
    int result = add(g, &whole, &names, a.shape);
    if (result) {
        g->tensors[result].y0 = a.y0;
        g->tensors[result].full_h = a.full_h;
    }
    return result;
}

int graph_n_ops(const struct graph *g)
{
    return g->n_ops;
}

int graph_n_tensors(const struct graph *g)
{
    return g->n_tensors;
}

bool graph_add_rank(struct graph *g, int weight, int rank)
{
    struct graph_weight *w = &g->weights[weight];

    ASSERT(is_weight(g, weight) && rank >= 1);
    if (rank > GRAPH_MAX_RANK - w->delta_rank || w->first_op < 0)
        return false;
    for (int op = w->first_op; op <= w->last_op; op++) {
        int weights[2], n = graph_op_weights(&g->ops[op], weights);
        for (int i = 0; i < n; i++)
            if (weights[i] == weight &&
                (g->ops[op].kind != GRAPH_OP_CONV || g->ops[op].u.conv.weight != weight))
                return false;
    }
    w->delta_rank += rank;
    return true;
}

/* A prompt's tokens, a UNet's middle. */
enum { FEW_PLACES = 128, GUIDED = 2 };

/* What all such ops may take of a run. */
static const double APART_SHARE = 0.01;

/* Multiply-adds of a product with one factor's row and the other's column, of those with the
 * weight; 0 where there is no delta. */
static double delta_share(const struct graph *g, int op)
{
    const struct graph_op *o = &g->ops[op];
    const struct graph_weight *w = o->kind == GRAPH_OP_CONV ? &g->weights[o->u.conv.weight] : NULL;
    double columns = 1;

    if (!w || !w->delta_rank)
        return 0;
    for (int i = 1; i < w->n_dims; i++)
        columns *= (double)w->dims[i];
    return 1 / columns + 1 / (double)w->dims[0];
}

/* So few places that keeping deltas apart is less work than adding them to the weight. */
static bool is_few(const struct graph *g, int op)
{
    const struct graph_shape s = g->tensors[g->ops[op].out].shape;
    const double share = delta_share(g, op);

    return share > 0 && s.h * s.w <= FEW_PLACES && (double)(GUIDED * s.h * s.w) * share < 1;
}

void graph_round_deltas(struct graph *g)
{
    double apart = 0, all = 0;

    for (int op = 0; op < g->n_ops; op++) {
        const double flops = graph_op_flops(g, op);
        all += flops;
        if (is_few(g, op))
            apart += flops * g->weights[g->ops[op].u.conv.weight].delta_rank * delta_share(g, op);
    }
    g->rounds_deltas = true;
    g->keeps_apart = apart <= APART_SHARE * all;
}

bool graph_keeps_deltas_apart(const struct graph *g, int op)
{
    return g->keeps_apart && is_few(g, op);
}

bool graph_rounds_deltas(const struct graph *g)
{
    return g->rounds_deltas;
}

int graph_n_weights(const struct graph *g)
{
    return g->n_weights;
}

const struct graph_op *graph_op_view(const struct graph *g, int op)
{
    ASSERT(op >= 0 && op < g->n_ops);
    return &g->ops[op];
}

const struct graph_tensor *graph_tensor_view(const struct graph *g, int tensor)
{
    ASSERT(is_tensor(g, tensor));
    return &g->tensors[tensor];
}

const struct graph_weight *graph_weight_view(const struct graph *g, int weight)
{
    ASSERT(is_weight(g, weight));
    return &g->weights[weight];
}
