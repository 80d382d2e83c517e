/* What a device must offer to run graphs.
 *
 * The graph knows shapes; a backend decides element type, physical order and kernels.  It is asked
 * first (tensor_bytes, op_needs): its answers are the plan.  Then `prepare` once per laid-out graph
 * and `run` per step.  Nothing here allocates during a run. */
#ifndef ENGINE_BACKEND_H
#define ENGINE_BACKEND_H

#include "engine/graph.h"
#include "engine/weights.h"

enum { BACKEND_ALIGN = 64 }; /* every offset in the arena is a multiple of this */

struct backend_needs {
    size_t workspace_bytes; /* scratch in the arena while the op runs, all threads together */
    double flops;
    double bytes;         /* moved to and from memory, an estimate */
    double seconds;       /* modelled from the device's measured rates */
    double merge_seconds; /* of these, what is saved once its weight's deltas are merged */
};

/* How numbers lie in the host's arrays. */
enum backend_order {
    BACKEND_PLANES, /* n, c, h, w as PyTorch does */
    BACKEND_ROWS    /* n, h, w, c: pixels and tokens */
};

/* A graph with a place for everything.  Borrowed by what prepare returns. */
struct backend_binding {
    const struct graph *graph;
    const size_t *tensor_offset;    /* by tensor number; [0] unused */
    const size_t *workspace_offset; /* by op */
    void *arena;                    /* from arena_new */
    struct weights *weights;
};

/* Called between ops.  Returning false stops the run with ERROR_CANCELLED. */
typedef bool (*backend_hook_fn)(void *ctx, int done_ops, int n_ops);

struct backend; /* a device and its threads */

struct backend_functions {
    const char *name; /* "cpu" */
    bool unified;     /* weights are read where they are mapped; giving back means dropping pages */
    size_t arena_granule; /* arenas are taken in multiples of this: a power of two */

    bool (*tensor_bytes)(struct backend *b, struct graph_shape shape, size_t *bytes,
                         struct error *err);
    /* The same for ops that are alike (graph_op_is_alike): not asked for each of them. */
    bool (*op_needs)(struct backend *b, const struct graph *g, int op, struct backend_needs *out,
                     struct error *err);

    /* How the op reads its weight; NULL: every op reads whole weights. */
    void (*weights_order)(struct backend *b, const struct graph *g, int op,
                          struct weights_order *out);

    bool (*arena_new)(struct backend *b, void **arena, size_t bytes, struct error *err);
    void (*arena_free)(struct backend *b, void *arena, size_t bytes);
    /* Gives the arena's memory back but keeps its place; what it held is lost. */
    void (*arena_idle)(struct backend *b, void *arena, size_t bytes);

    bool (*prepare)(struct backend *b, void **prepared, const struct backend_binding *binding,
                    struct error *err);
    void (*release)(struct backend *b, void *prepared);
    bool (*run)(struct backend *b, void *prepared, backend_hook_fn hook, void *ctx,
                struct error *err);

    /* Copies count numbers to or from a tensor of a prepared graph. */
    void (*write)(struct backend *b, void *prepared, int tensor, const float *from,
                  enum backend_order order);
    void (*read)(struct backend *b, void *prepared, int tensor, float *to,
                 enum backend_order order);

    void (*close)(struct backend *b);
};

struct backend {
    const struct backend_functions *fn;
};

#endif
