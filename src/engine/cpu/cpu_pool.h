/* Threads that share out the tasks of one loop at a time.
 *
 * One owner calls cpu_pool_run; the calling thread works too.  Tasks are handed out in order from a
 * shared counter, so results must not depend on who runs which. */
#ifndef ENGINE_CPU_CPU_POOL_H
#define ENGINE_CPU_CPU_POOL_H

#include "base/error.h"

enum { CPU_POOL_MAX_THREADS = 256 };

struct cpu_pool;

/* fn runs once per task; thread is 0..n_threads-1 and tells which scratch to use. */
typedef void (*cpu_pool_fn)(void *ctx, int task, int thread);

/* Called by each thread before its first task of a cpu_pool_run and after its last. May be NULL. */
typedef void (*cpu_pool_edge_fn)(void *ctx);

/* n_threads includes the caller's: 1 starts no thread. */
bool cpu_pool_new(struct cpu_pool **out, int n_threads, cpu_pool_edge_fn begin,
                  cpu_pool_edge_fn end, void *edge_ctx, struct error *err) MUST_CHECK;
void cpu_pool_free(struct cpu_pool *p);
int cpu_pool_threads(const struct cpu_pool *p);

/* Returns when all tasks 0..n_tasks-1 are done. */
void cpu_pool_run(struct cpu_pool *p, cpu_pool_fn fn, void *ctx, int n_tasks);

#endif
