/* Low-rank deltas of a convolution's weight, added while its panels are packed (Hu et al. 2021,
 * "LoRA"), for ops of many places; cpu_conv_beside.h is for those of few.  Internal to cpu_conv*.c.
 *
 * The deltas of a weight are one product up * down over their ranks side by side, and run on the
 * same kernels as everything else: before an op's panels are packed the factors are brought to
 * product form once, then each panel's weights are converted to float32 and the product is added
 * to them.  Packing then goes on from there. */
#ifndef ENGINE_CPU_CPU_CONV_DELTA_H
#define ENGINE_CPU_CPU_CONV_DELTA_H

#include "engine/cpu/cpu_conv_plan.h"

struct conv_delta {
    const struct cpu_conv_plan *plan;
    const struct weight_view *weight;
    const struct weight_delta *list; /* their ranks make plan->rank; n 0: none */
    int n;
    unsigned char *workspace; /* the op's */
};

/* Where a plan keeps the factors and sums, from its blocks and groups.  Sizes are checked when they
 * are added up (cpu_conv_plan.c). */
struct cpu_conv_delta_sizes {
    size_t a_bytes;          /* `up`, or with plan->beside what x * down makes */
    size_t down_block_bytes; /* `down` as panels, for one block along K */
    size_t thread_bytes;
    bool failed;
};
struct cpu_conv_delta_sizes cpu_conv_delta_measure(const struct cpu_conv_plan *p);

/* Brings the factors to product form: so many tasks, which threads share out. */
int cpu_conv_delta_tasks(const struct cpu_conv_plan *p);
void cpu_conv_delta_prepare(const struct conv_delta *d, int task, int thread);

/* Rows [row, row + n) of the weight, n at most nr, over block number `block`, with the deltas
 * added: b->kc numbers for every tap of the kernel.  Valid until the thread's next call; *stride
 * numbers lie between rows. */
const float *cpu_conv_delta_rows(const struct conv_delta *d, int block, int row, int n, int thread,
                                 size_t *stride);

#endif
