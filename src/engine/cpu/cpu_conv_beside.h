/* Low-rank deltas of a convolution's weight as two products of their own, y += (x * down) * up,
 * for ops of few places (struct cpu_conv_plan, beside).  Internal to cpu_conv*.c.
 *
 * The ranks of all deltas lie side by side, like the output channels of one convolution with the
 * kernel of the real one.  Its results, times the deltas' factors, are prepared once for all
 * threads; with `up` they are one more block along K.  Factors are read as their file has them:
 * `down` is packed once per run of an op, `up` with the columns that it belongs to. */
#ifndef ENGINE_CPU_CPU_CONV_BESIDE_H
#define ENGINE_CPU_CPU_CONV_BESIDE_H

#include "engine/cpu/cpu_conv_delta.h"

/* Whether an op of so many places has less work this way; places is that of the whole picture. */
bool cpu_conv_beside_pays(const struct cpu_conv_plan *p, int64_t places);

struct cpu_conv_delta_sizes cpu_conv_beside_measure(const struct cpu_conv_plan *p, int64_t places);

/* First: packs `down`, in so many tasks. */
int cpu_conv_beside_pack_tasks(const struct cpu_conv_plan *p);
void cpu_conv_beside_pack(const struct conv_delta *d, int task, int thread);

/* Then x * down, in tasks of some places each.  The caller makes g.acc the product of g.m places
 * from `first` on, block by block with the panels of cpu_conv_delta_down, and finishes it. */
int cpu_conv_beside_tasks(const struct cpu_conv_plan *p, int64_t places);
struct cpu_gemm cpu_conv_beside_begin(const struct conv_delta *d, int64_t places, int task,
                                      int thread, int64_t *first);
void cpu_conv_beside_finish(const struct conv_delta *d, int64_t first, const struct cpu_gemm *g);

/* Last, for every group of columns: packs the `up` of one panel from weight row `row` on, n rows,
 * whose panel takes cpu_conv_beside_panel_bytes, and describes the product but for acc, b and n. */
size_t cpu_conv_beside_panel_bytes(const struct cpu_conv_plan *p);
void cpu_conv_beside_pack_up(const struct conv_delta *d, int row, int n, int thread, void *to);
struct cpu_gemm cpu_conv_beside_up(const struct conv_delta *d, int64_t places);

#endif
