/* The operations of graph.h on the CPU: how much scratch each wants, and how it runs.
 *
 * Tensors are float32 rows, n*h*w rows of c, without padding, 64-byte aligned.  The number of
 * threads changes the scratch and who does what, never a result. */
#ifndef ENGINE_CPU_CPU_OPS_H
#define ENGINE_CPU_CPU_OPS_H

#include "engine/cpu/cpu_kernels.h"
#include "engine/cpu/cpu_pool.h"
#include "engine/weights.h"

/* What one op sees while it runs.  All borrowed. */
struct cpu_context {
    const struct cpu_kernels *kernels;
    struct cpu_pool *pool;
    const struct graph *graph;
    float *const *tensors;    /* by tensor number */
    unsigned char *workspace; /* 64-byte aligned, as many bytes as *_needs asked for */
    struct weights *weights;
};

struct cpu_op {
    /* Workspace for one op of this kind; 64-byte multiples.  False when it cannot be run. */
    bool (*needs)(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                  const struct graph *g, int op, struct error *err);
    void (*run)(const struct cpu_context *ctx, int op);
};

extern const struct cpu_op cpu_conv_op; /* cpu_conv.c */

/* What a convolution costs beside its multiplications: how many of graph_op_flops it really does,
 * and bytes moved to bring its weights to panel form once more for every window.  Of deltas, what
 * merging them would save is apart. */
struct cpu_conv_cost {
    double flops_share, bytes;
    double delta_flops, delta_bytes;
};
struct cpu_conv_cost cpu_conv_cost(const struct graph *g, int op);

/* How the op of this kind reads its weight. */
void cpu_conv_order(struct weights_order *out, const struct cpu_kernels *k, int n_threads,
                    const struct graph *g, int op);

extern const struct cpu_op cpu_attention_op;  /* cpu_attention.c */
extern const struct cpu_op cpu_norm_group_op; /* cpu_norm.c */
extern const struct cpu_op cpu_norm_sums_op;
extern const struct cpu_op cpu_norm_layer_op;
extern const struct cpu_op cpu_misc_embed_op; /* cpu_misc.c */
extern const struct cpu_op cpu_misc_act_op;

static inline size_t cpu_ops_round(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

#endif
