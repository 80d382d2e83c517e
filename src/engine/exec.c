#include "engine/exec.h"

#include "base/assert.h"

#include <stdlib.h>

struct exec {
    const struct graph *graph;
    struct backend *backend;
    struct weights *weights;
    struct layout layout;
    void *own_arena; /* NULL when the caller's is used */
    void *prepared;  /* NULL when stopped */
};

/* Asks how ops read one weight. */
static void ask_for(struct weights_order *orders, const struct graph *g, struct backend *b,
                    int weight)
{
    const struct graph_weight *w = graph_weight_view(g, weight);

    for (int op = w->first_op; op >= 0 && op <= w->last_op; op++) {
        int weights[2];
        if (graph_op_weights(graph_op_view(g, op), weights) > 0 && weights[0] == weight)
            b->fn->weights_order(b, g, op, &orders[op]);
    }
}

/* Weights that are not large are streamed as a whole, whatever their order. */
bool exec_order_weights(const struct graph *g, struct backend *b, struct weights *w,
                        struct error *err)
{
    struct weights_order *orders = NULL;

    if (weights_has_orders(w))
        return true;
    for (int i = 1; i <= graph_n_weights(g) && b->fn->weights_order; i++) {
        if (!weights_may_have_pieces(w, i))
            continue;
        if (!orders)
            orders = calloc((size_t)graph_n_ops(g) + 1, sizeof *orders);
        if (!orders)
            return error_set(err, ERROR_MEMORY, "no memory for a network");
        ask_for(orders, g, b, i);
    }
    const bool ok = weights_set_orders(w, g, orders, err);
    free(orders);
    return ok;
}

bool exec_new(struct exec **out, const struct graph *g, struct backend *b, struct weights *w,
              size_t most_bytes, struct error *err)
{
    struct exec *e = calloc(1, sizeof *e);
    if (!e)
        return error_set(err, ERROR_MEMORY, "no memory for a network");
    e->graph = g;
    e->backend = b;
    e->weights = w;
    if (!layout_make(&e->layout, g, b, most_bytes, err) ||
        (w && e->layout.is_placed && !exec_order_weights(g, b, w, err))) {
        exec_free(e);
        return false;
    }
    *out = e;
    return true;
}

void exec_free(struct exec *e)
{
    if (!e)
        return;
    exec_stop(e);
    layout_clear(&e->layout);
    free(e);
}

size_t exec_arena_bytes(const struct exec *e)
{
    return e->layout.arena_bytes;
}

size_t exec_first_run_bytes(const struct exec *e)
{
    const size_t most = weights_first_run_bytes(e->weights, e->graph, e->layout.touched_bytes);
    return most > e->layout.arena_bytes ? most : e->layout.arena_bytes;
}

double exec_flops(const struct exec *e)
{
    return e->layout.flops;
}

double exec_merge_seconds(const struct exec *e)
{
    return e->layout.merge_seconds;
}

double exec_seconds(const struct exec *e)
{
    return e->layout.seconds;
}

bool exec_start(struct exec *e, void *arena, struct error *err)
{
    ASSERT(!e->prepared && e->layout.is_placed);
    if (!arena) {
        if (!e->backend->fn->arena_new(e->backend, &e->own_arena, e->layout.arena_bytes, err))
            return false;
        arena = e->own_arena;
    }
    struct backend_binding binding = {.graph = e->graph,
                                      .tensor_offset = e->layout.tensor_offset,
                                      .workspace_offset = e->layout.workspace_offset,
                                      .arena = arena,
                                      .weights = e->weights};
    if (!e->backend->fn->prepare(e->backend, &e->prepared, &binding, err)) {
        exec_stop(e);
        return false;
    }
    return true;
}

void exec_stop(struct exec *e)
{
    if (e->prepared)
        e->backend->fn->release(e->backend, e->prepared);
    if (e->own_arena)
        e->backend->fn->arena_free(e->backend, e->own_arena, e->layout.arena_bytes);
    e->prepared = NULL;
    e->own_arena = NULL;
}

void exec_write(struct exec *e, int tensor, const float *from, enum backend_order order)
{
    ASSERT(e->prepared);
    e->backend->fn->write(e->backend, e->prepared, tensor, from, order);
}

void exec_read(struct exec *e, int tensor, float *to, enum backend_order order)
{
    ASSERT(e->prepared);
    e->backend->fn->read(e->backend, e->prepared, tensor, to, order);
}

bool exec_run(struct exec *e, backend_hook_fn hook, void *ctx, struct error *err)
{
    ASSERT(e->prepared);
    return e->backend->fn->run(e->backend, e->prepared, hook, ctx, err);
}
