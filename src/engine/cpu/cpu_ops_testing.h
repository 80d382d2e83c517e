/* For the tests of operations: numbers, a run of one op with every table and thread count. */
#ifndef ENGINE_CPU_CPU_OPS_TESTING_H
#define ENGINE_CPU_CPU_OPS_TESTING_H

#include "base/test.h"
#include "engine/cpu/cpu_ops.h"

#include <stdlib.h>
#include <string.h>

/* Numbers between -1 and 1 that are the same everywhere (xorshift64*). */
static inline float ops_testing_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (float)((*state * 2685821657736338717u) >> 40) / (float)(1 << 23) - 1.0f;
}

/* n numbers from 64-byte aligned memory of exactly their size; the caller frees them. */
static inline float *ops_testing_floats(int64_t n, uint64_t seed)
{
    void *room = NULL;
    if (posix_memalign(&room, 64, (size_t)n * sizeof(float)) != 0)
        exit(2);
    uint64_t state = seed * 2 + 1;
    float *x = room;
    for (int64_t i = 0; i < n; i++)
        x[i] = ops_testing_random(&state);
    return x;
}

static inline int64_t ops_testing_count(const struct graph *g, int tensor)
{
    return graph_shape_count(graph_tensor_view(g, tensor)->shape);
}

static inline void ops_testing_begin(void *kernels)
{
    cpu_kernels_thread_begin(kernels);
}

static inline void ops_testing_end(void *kernels)
{
    cpu_kernels_thread_end(kernels);
}

/* Runs op number `index` in a workspace of exactly its size, full of NaN. */
static inline void ops_testing_run(const struct cpu_op *op, const struct graph *g, int index,
                                   float *const *tensors, struct weights *w,
                                   const struct cpu_kernels *k, int n_threads)
{
    struct error err;
    struct cpu_pool *pool = NULL;
    size_t bytes = 0;
    void *workspace = NULL;

    if (!cpu_pool_new(&pool, n_threads, ops_testing_begin, ops_testing_end, (void *)(uintptr_t)k,
                      &err) ||
        !op->needs(&bytes, k, n_threads, g, index, &err) ||
        posix_memalign(&workspace, 64, bytes ? bytes : 1) != 0) {
        CHECK(pool && workspace); /* the op can be run */
        cpu_pool_free(pool);
        return;
    }
    CHECK(bytes % 64 == 0);
    memset(workspace, 0xff, bytes);
    const struct cpu_context ctx = {.kernels = k,
                                    .pool = pool,
                                    .graph = g,
                                    .tensors = tensors,
                                    .workspace = workspace,
                                    .weights = w};
    op->run(&ctx, index);
    cpu_pool_free(pool);
    free(workspace);
}

/* A table that wants prepared rows and padded k, as those of matrix units do, on any machine. */
static inline struct cpu_kernels ops_testing_padded(const struct cpu_kernels *portable)
{
    struct cpu_kernels k = *portable;
    k.k_multiple = 32;
    k.a_is_f32 = false;
    return k;
}

/* Runs the op with every table and a padded one, by 1, 2, 3 and 5 threads.  Results must lie
 * within `tolerance` of want (tensor `out`) and be the same bits for every number of threads. */
static inline void ops_testing_compare(const char *why, const struct cpu_op *op,
                                       const struct graph *g, int index, float **tensors, int out,
                                       struct weights *w, const double *want, double tolerance)
{
    static const int threads[] = {1, 2, 3, 5};
    const struct cpu_kernels *table[9];
    int n_tables = cpu_kernels_list(table);
    const struct cpu_kernels padded = ops_testing_padded(table[0]);
    table[n_tables++] = &padded;
    const int64_t n = ops_testing_count(g, out);
    float *first = ops_testing_floats(n, 1);

    for (int t = 0; t < n_tables; t++) {
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
            memset(tensors[out], 0xff, (size_t)n * sizeof(float));
            ops_testing_run(op, g, index, tensors, w, table[t], threads[i]);
            if (i == 0)
                memcpy(first, tensors[out], (size_t)n * sizeof(float));
            CHECK(memcmp(first, tensors[out], (size_t)n * sizeof(float)) == 0);
        }
        double worst = 0;
        for (int64_t i = 0; i < n; i++) {
            const double d = (double)first[i] > want[i] ? (double)first[i] - want[i]
                                                        : want[i] - (double)first[i];
            worst = d <= worst ? worst : d; /* NaN stays */
        }
        /* Prepared rows may carry 16 bits of significand instead of 24. */
        const double allowed = table[t]->a_is_f32 ? tolerance : 5 * tolerance;
        if (!(worst <= allowed))
            fprintf(stderr, "%s, %s: off by %g\n", why, table[t]->name, worst);
        CHECK(worst <= allowed);
    }
    free(first);
}

#endif
