/* Low-rank deltas of a convolution's weight, added while its panels are packed (Hu et al. 2021,
 * "LoRA"), for ops of many places; cpu_conv_beside.h is for those of few.  Internal to cpu_conv*.c.
 *
 * The deltas of a weight are one product up * down over their ranks side by side, and run on the
 * same kernels as everything else: before an op's panels are packed the factors are brought to
 * product form once, then each panel's weights are converted to float32 and the product is added
 * to them.  Packing then goes on from there.  Or the sums are written where the weight lies, once,
 * and the op is one without deltas from then on (weights_merge_begin). */
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
 * added, and rounded where the plan says so: b->kc numbers for every tap of the kernel.  Valid
 * until the thread's next call; *stride numbers lie between rows. */
const float *cpu_conv_delta_rows(const struct conv_delta *d, int block, int row, int n, int thread,
                                 size_t *stride);

/* Writes the same of the whole weight, which is rounded, to `to`: so many tasks.  `to` may be where
 * the weight lies. */
int cpu_conv_delta_merge_tasks(const struct cpu_conv_plan *p);
void cpu_conv_delta_merge(const struct conv_delta *d, int task, int thread, void *to);

/* --- What both ways with deltas share. --- */

static inline size_t cpu_conv_delta_round(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Ranks as products take them, and bytes of one row of so many as they are prepared. */
static inline size_t cpu_conv_delta_rank_pad(const struct cpu_conv_plan *p)
{
    return cpu_conv_delta_round((size_t)p->rank, (size_t)p->k->k_multiple);
}

static inline size_t cpu_conv_delta_row_bytes(const struct cpu_conv_plan *p)
{
    return cpu_kernels_row_bytes(p->k, (int)cpu_conv_delta_rank_pad(p));
}

/* A thread's own numbers, thread_bytes of them. */
static inline float *cpu_conv_delta_scratch(const struct conv_delta *d, int thread)
{
    const struct cpu_conv_plan *p = d->plan;
    return (float *)(void *)(d->workspace + p->thread_at + (size_t)thread * p->thread_stride +
                             p->thread_delta);
}

/* `down` as panels, for one block along K. */
static inline unsigned char *cpu_conv_delta_down(const struct conv_delta *d, int block)
{
    return d->workspace + d->plan->delta_down_at + (size_t)block * d->plan->delta_block_bytes;
}

/* Numbers [first, first + n) of a factor, in float32. */
static inline void cpu_conv_delta_convert(const struct cpu_conv_plan *p, float *to,
                                          const struct weight_view *v, size_t first, size_t n)
{
    const unsigned char *from = (const unsigned char *)v->bytes + first * dtype_bytes(v->dtype);
    p->k->to_f32(to, from, v->dtype, n);
}

#endif
