/* For the engine's tests: a device that adds numbers up, graphs at random, and a check of layouts
 * that tries every pair. */
#ifndef ENGINE_ENGINE_TESTING_H
#define ENGINE_ENGINE_TESTING_H

#include "base/test.h"
#include "engine/backend.h"
#include "engine/layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ENGINE_TESTING_READS = 16 }; /* more than any op has */

/* Every op writes out[i] = 1 + the sum of all it reads at i (wrapped around), and scribbles over
 * its workspace. */
struct engine_testing_device {
    struct backend base; /* first: the two are the same pointer */
    int arenas;          /* alive */
    int prepared;        /* alive */
    int idle;            /* calls */
    bool refuses_arenas, refuses_graphs;
};

struct engine_testing_prepared {
    struct backend_binding binding;
};

static inline struct engine_testing_device *engine_testing_self(struct backend *b)
{
    return (struct engine_testing_device *)b;
}

static inline bool engine_testing_tensor_bytes(struct backend *b, struct graph_shape shape,
                                               size_t *bytes, struct error *err)
{
    (void)b, (void)err;
    *bytes = sizeof(float) * (size_t)graph_shape_count(shape);
    return true;
}

static inline bool engine_testing_op_needs(struct backend *b, const struct graph *g, int op,
                                           struct backend_needs *out, struct error *err)
{
    (void)b, (void)g, (void)err;
    *out = (struct backend_needs){.workspace_bytes = (size_t)(op * 37 % 5) * 100, .flops = 1};
    return true;
}

static inline bool engine_testing_arena_new(struct backend *b, void **arena, size_t bytes,
                                            struct error *err)
{
    struct engine_testing_device *d = engine_testing_self(b);
    if (!d->refuses_arenas)
        *arena = malloc(bytes);
    if (d->refuses_arenas || !*arena)
        return error_set(err, ERROR_MEMORY, "no arena");
    memset(*arena, 0xff, bytes); /* NaN, should anybody read what nobody wrote */
    d->arenas++;
    return true;
}

static inline void engine_testing_arena_free(struct backend *b, void *arena, size_t bytes)
{
    (void)bytes;
    engine_testing_self(b)->arenas--;
    free(arena);
}

static inline void engine_testing_arena_idle(struct backend *b, void *arena, size_t bytes)
{
    (void)arena, (void)bytes;
    engine_testing_self(b)->idle++;
}

static inline bool engine_testing_prepare(struct backend *b, void **out,
                                          const struct backend_binding *binding, struct error *err)
{
    struct engine_testing_device *d = engine_testing_self(b);
    struct engine_testing_prepared *p = d->refuses_graphs ? NULL : malloc(sizeof *p);

    if (!p)
        return error_set(err, ERROR_MEMORY, "no graph");
    p->binding = *binding;
    d->prepared++;
    *out = p;
    return true;
}

static inline void engine_testing_release(struct backend *b, void *prepared)
{
    engine_testing_self(b)->prepared--;
    free(prepared);
}

/* One op; at(ctx, tensor) says where a tensor lies. */
static inline void engine_testing_op(const struct graph *g, int op, float *(*at)(void *, int),
                                     void *ctx)
{
    const struct graph_op *o = graph_op_view(g, op);
    int reads[ENGINE_TESTING_READS];
    const int n_reads = graph_op_reads(o, reads);
    float *out = at(ctx, o->out);
    const int64_t n = graph_shape_count(graph_tensor_view(g, o->out)->shape);

    for (int64_t i = 0; i < n; i++) {
        float sum = 1;
        for (int r = 0; r < n_reads; r++)
            sum += at(ctx, reads[r])[i % graph_shape_count(graph_tensor_view(g, reads[r])->shape)];
        out[i] = fmodf(sum, 1021);
    }
}

static inline float *engine_testing_in_arena(void *ctx, int tensor)
{
    const struct engine_testing_prepared *p = ctx;
    return (float *)(void *)((unsigned char *)p->binding.arena + p->binding.tensor_offset[tensor]);
}

static inline bool engine_testing_run(struct backend *b, void *prepared, backend_hook_fn hook,
                                      void *ctx, struct error *err)
{
    struct engine_testing_prepared *p = prepared;
    const struct graph *g = p->binding.graph;

    for (int op = 0; op < graph_n_ops(g); op++) {
        struct backend_needs needs;
        if (hook && !hook(ctx, op, graph_n_ops(g)))
            return error_set(err, ERROR_CANCELLED, "stopped");
        if (!engine_testing_op_needs(b, g, op, &needs, err))
            return false;
        memset((unsigned char *)p->binding.arena + p->binding.workspace_offset[op], 0xff,
               needs.workspace_bytes);
        engine_testing_op(g, op, engine_testing_in_arena, p);
    }
    return true;
}

static inline void engine_testing_write(struct backend *b, void *prepared, int tensor,
                                        const float *from, enum backend_order order)
{
    const struct engine_testing_prepared *p = prepared;
    (void)b, (void)order;
    memcpy(engine_testing_in_arena(prepared, tensor), from,
           sizeof(float) *
               (size_t)graph_shape_count(graph_tensor_view(p->binding.graph, tensor)->shape));
}

static inline void engine_testing_read(struct backend *b, void *prepared, int tensor, float *to,
                                       enum backend_order order)
{
    const struct engine_testing_prepared *p = prepared;
    (void)b, (void)order;
    memcpy(to, engine_testing_in_arena(prepared, tensor),
           sizeof(float) *
               (size_t)graph_shape_count(graph_tensor_view(p->binding.graph, tensor)->shape));
}

static const struct backend_functions engine_testing_functions = {
    .name = "testing",
    .arena_granule = BACKEND_ALIGN,
    .tensor_bytes = engine_testing_tensor_bytes,
    .op_needs = engine_testing_op_needs,
    .arena_new = engine_testing_arena_new,
    .arena_free = engine_testing_arena_free,
    .arena_idle = engine_testing_arena_idle,
    .prepare = engine_testing_prepare,
    .release = engine_testing_release,
    .run = engine_testing_run,
    .write = engine_testing_write,
    .read = engine_testing_read,
};

/* Repeatable, and the same everywhere. */
static inline int engine_testing_pick(uint32_t *state, int n)
{
    *state = *state * 1664525u + 1013904223u;
    return (int)((*state >> 8) % (uint32_t)n);
}

enum { ENGINE_TESTING_OPS = 60 };

/* Activations, 1x1 convolutions with and without residual, group norms put to use, attention: each
 * of tensors that are chosen at random.  Inputs are tensors 1 and 2, the output is the last. */
static inline struct graph *engine_testing_graph(uint32_t seed)
{
    const struct graph_shape shapes[2] = {{1, 8, 3, 3}, {1, 24, 5, 5}};
    int of_shape[2][2 * ENGINE_TESTING_OPS], count[2] = {1, 1}, last = 0;
    struct graph *g = graph_new();
    uint32_t s = seed;

    for (int k = 0; k < 2; k++)
        of_shape[k][0] = graph_input(g, shapes[k]);
    while (graph_n_ops(g) < ENGINE_TESTING_OPS) {
        const int k = engine_testing_pick(&s, 2);
        const int x = of_shape[k][engine_testing_pick(&s, count[k])];
        const int y = of_shape[k][count[k] - 1 - engine_testing_pick(&s, count[k]) / 4];
        const int64_t c = shapes[k].c, dims[2] = {c, c};
        const int per_channel = graph_weight(g, 1, dims, "v%d", graph_n_ops(g));
        struct graph_conv conv = {.in = {.x = x},
                                  .weight = graph_weight(g, 2, dims, "w%d", graph_n_ops(g)),
                                  .out_c = c,
                                  .kernel = 1,
                                  .stride = 1};
        switch (engine_testing_pick(&s, 5)) {
        case 0:
            last = graph_act(g, &(struct graph_act_op){.a = x, .b = x == y ? 0 : y});
            break;
        case 1:
            conv.in.affine = graph_group_norm(
                g, &(struct graph_group_norm){
                       .x = x, .weight = per_channel, .bias = per_channel, .groups = 2});
            last = graph_conv(g, &conv);
            break;
        case 2:
            last =
                graph_attention(g, &(struct graph_attention){.q = x, .k = y, .v = y, .heads = 1});
            break;
        default:
            conv.residual = y;
            last = graph_conv(g, &conv);
        }
        of_shape[k][count[k]++] = last;
    }
    graph_output(g, last);
    return g;
}

/* A place in the arena and the ops during which it holds something. */
struct engine_testing_place {
    int first, last;
    size_t from, end;
    int tensor; /* 0: a workspace */
};

/* Whether b's op may write b over a: a is its residual or first operand, read here for the last
 * time, and not read as anything else. */
static inline bool engine_testing_may_share(const struct graph *g,
                                            const struct engine_testing_place *a,
                                            const struct engine_testing_place *b)
{
    int reads[ENGINE_TESTING_READS], times = 0;

    if (!a->tensor || !b->tensor || a->last != b->first || a->from != b->from || b->first < 0 ||
        graph_tensor_view(g, a->tensor)->role != GRAPH_VALUE)
        return false;
    const struct graph_op *o = graph_op_view(g, b->first);
    const int n = graph_op_reads(o, reads);
    for (int i = 0; i < n; i++)
        times += reads[i] == a->tensor;
    if (o->kind == GRAPH_OP_CONV)
        return times == 1 && o->u.conv.residual == a->tensor;
    return o->kind == GRAPH_OP_ACT && o->u.act.a == a->tensor;
}

/* No two blocks that live at the same time overlap, all lie within the arena and are aligned.  Says
 * the first offence. */
static inline bool engine_testing_layout_is_sound(const struct layout *l, const struct graph *g,
                                                  struct backend *b)
{
    const int n_tensors = graph_n_tensors(g), n_ops = graph_n_ops(g);
    struct engine_testing_place *p = calloc((size_t)(n_tensors + n_ops), sizeof *p);
    struct error err = {0};
    bool sound = p != NULL;
    int n = 0;

    for (int t = 1; sound && t <= n_tensors; t++) {
        const struct graph_tensor *v = graph_tensor_view(g, t);
        size_t bytes = 0;
        sound = b->fn->tensor_bytes(b, v->shape, &bytes, &err);
        /* Inputs keep their values from run to run. */
        const int first = v->role == GRAPH_INPUT ? -1 : v->first_op;
        const int last = v->role == GRAPH_VALUE ? v->last_op : n_ops;
        p[n++] = (struct engine_testing_place){first, last, l->tensor_offset[t],
                                               l->tensor_offset[t] + bytes, t};
    }
    for (int op = 0; sound && op < n_ops; op++) {
        struct backend_needs needs = {0};
        sound = b->fn->op_needs(b, g, op, &needs, &err);
        p[n++] = (struct engine_testing_place){op, op, l->workspace_offset[op],
                                               l->workspace_offset[op] + needs.workspace_bytes, 0};
    }
    for (int i = 0; sound && i < n; i++) {
        sound = p[i].end <= l->arena_bytes && p[i].from % BACKEND_ALIGN == 0;
        for (int k = 0; sound && k < i; k++) {
            const bool meet = p[i].first <= p[k].last && p[k].first <= p[i].last &&
                              p[i].from < p[k].end && p[k].from < p[i].end;
            sound = !meet || engine_testing_may_share(g, &p[i], &p[k]) ||
                    engine_testing_may_share(g, &p[k], &p[i]);
            if (!sound)
                fprintf(stderr, "tensors %d (ops %d-%d) and %d (ops %d-%d) overlap\n", p[i].tensor,
                        p[i].first, p[i].last, p[k].tensor, p[k].first, p[k].last);
        }
    }
    free(p);
    return sound;
}

#endif
