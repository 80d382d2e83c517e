/* A laid-out graph with its weights and its arena, ready to run again and again.
 *
 *     struct exec *e;
 *     exec_new(&e, graph, backend, weights, &err);    plans; allocates no arena
 *     exec_arena_bytes(e);                            what start will take
 *     exec_start(e, NULL, &err);                      takes the arena, prepares kernels
 *     exec_write(e, input, numbers, BACKEND_PLANES);  as often as inputs change
 *     exec_run(e, hook, ctx, &err);
 *     exec_read(e, output, numbers, BACKEND_PLANES);
 *     exec_free(e);
 *
 * Inputs keep their values from run to run. */
#ifndef ENGINE_EXEC_H
#define ENGINE_EXEC_H

#include "engine/layout.h"

struct exec;

/* graph, backend and weights are borrowed and must outlive *out, which the caller owns.  What needs
 * an arena of more than most_bytes (0: no limit) cannot be started; its exec_arena_bytes, more than
 * most_bytes, may then be too low. */
bool exec_new(struct exec **out, const struct graph *g, struct backend *b, struct weights *w,
              size_t most_bytes, struct error *err) MUST_CHECK;
void exec_free(struct exec *e);

/* Tells mapped weights how the device reads them (weights_set_orders), so that it is known what
 * streaming takes.  exec_new does it for what can be started; earlier where that is asked before.
 */
bool exec_order_weights(const struct graph *g, struct backend *b, struct weights *w,
                        struct error *err) MUST_CHECK;

size_t exec_arena_bytes(const struct exec *e);
/* Most bytes of arena and streamed weights together in the first run after a start: the arena fills
 * as ops touch it, and the largest weights need not be there when it is full.  From the second run
 * on it is full. */
size_t exec_first_run_bytes(const struct exec *e);

double exec_flops(const struct exec *e);
double exec_seconds(const struct exec *e); /* modelled, of one run */
double
exec_merge_seconds(const struct exec *e); /* of these, what is saved once deltas are merged */

/* Uses arena (at least exec_arena_bytes, from the backend's arena_new, borrowed), or takes one of
 * its own when arena is NULL. */
bool exec_start(struct exec *e, void *arena, struct error *err) MUST_CHECK;

/* Gives back what exec_start took; the exec can be started again. */
void exec_stop(struct exec *e);

void exec_write(struct exec *e, int tensor, const float *from, enum backend_order order);
void exec_read(struct exec *e, int tensor, float *to, enum backend_order order);
bool exec_run(struct exec *e, backend_hook_fn hook, void *ctx, struct error *err) MUST_CHECK;

#endif
