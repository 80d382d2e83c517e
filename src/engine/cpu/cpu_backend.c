#include "engine/cpu/cpu_backend.h"

#include "base/clock.h"
#include "base/size.h"
#include "base/thread.h"
#include "engine/cpu/cpu_ops.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct cpu_backend {
    struct backend base; /* first: the two are the same pointer */
    const struct cpu_kernels *kernels;
    struct cpu_pool *pool;
    double flops_per_second; /* of one thread's products, measured at start */
};

/* A laid-out graph with every tensor's address. */
struct prepared {
    struct backend_binding binding;
    float **tensors;
};

static const struct cpu_op *const ops[GRAPH_OP_KINDS] = {
    [GRAPH_OP_CONV] = &cpu_conv_op,
    [GRAPH_OP_GROUP_NORM] = &cpu_norm_group_op,
    [GRAPH_OP_LAYER_NORM] = &cpu_norm_layer_op,
    [GRAPH_OP_ATTENTION] = &cpu_attention_op,
    [GRAPH_OP_EMBED] = &cpu_misc_embed_op,
    [GRAPH_OP_ACT] = &cpu_misc_act_op,
    [GRAPH_OP_NORM_SUMS] = &cpu_norm_sums_op,
};

static struct cpu_backend *self(struct backend *b)
{
    return (struct cpu_backend *)b;
}

static bool tensor_bytes(struct backend *b, struct graph_shape s, size_t *bytes, struct error *err)
{
    size_t n;
    (void)b;
    if (!size_mul(&n, (size_t)s.n, (size_t)s.c) || !size_mul(&n, n, (size_t)s.h) ||
        !size_mul(&n, n, (size_t)s.w) || !size_mul(&n, n, sizeof(float)) || n > SIZE_MAX / 2)
        return error_set(err, ERROR_LIMIT, "a tensor is too large for this machine");
    *bytes = n;
    return true;
}

/* What the measured rate of products becomes in whole operations, and what one thread moves. */
static const double CONV_SHARE = 0.6, ATTENTION_SHARE = 0.25, BYTES_PER_SECOND = 4e9;

static double op_seconds(const struct cpu_backend *cpu, enum graph_op_kind kind,
                         const struct backend_needs *n)
{
    double share = kind == GRAPH_OP_ATTENTION ? ATTENTION_SHARE : CONV_SHARE;
    double threads = cpu_pool_threads(cpu->pool);
    bool multiplies = kind == GRAPH_OP_ATTENTION || kind == GRAPH_OP_CONV;
    double compute = multiplies ? n->flops / (cpu->flops_per_second * share) : 0;
    return (compute + n->bytes / BYTES_PER_SECOND) / threads;
}

static bool op_needs(struct backend *b, const struct graph *g, int op, struct backend_needs *out,
                     struct error *err)
{
    struct cpu_backend *cpu = self(b);
    const struct graph_op *o = graph_op_view(g, op);
    struct cpu_conv_cost cost = {.flops_share = 1};

    *out = (struct backend_needs){.flops = graph_op_flops(g, op),
                                  .bytes = 4 * graph_op_numbers(g, op)};
    if (o->kind == GRAPH_OP_CONV)
        cost = cpu_conv_cost(g, op);
    out->bytes += cost.bytes;
    const struct backend_needs done = {.flops = cost.flops_share * out->flops, .bytes = out->bytes};
    const struct backend_needs deltas = {.flops = cost.delta_flops, .bytes = cost.delta_bytes};
    const double delta_seconds = op_seconds(cpu, o->kind, &deltas);
    out->seconds = op_seconds(cpu, o->kind, &done) + delta_seconds;
    out->merge_seconds = graph_rounds_deltas(g) ? delta_seconds : 0;
    return ops[o->kind]->needs(&out->workspace_bytes, cpu->kernels, cpu_pool_threads(cpu->pool), g,
                               op, err);
}

static void weights_order(struct backend *b, const struct graph *g, int op,
                          struct weights_order *out)
{
    const struct cpu_backend *cpu = self(b);

    if (graph_op_view(g, op)->kind == GRAPH_OP_CONV)
        cpu_conv_order(out, cpu->kernels, cpu_pool_threads(cpu->pool), g, op);
}

enum { HUGE_PAGE_BYTES = 2 << 20 };

static size_t whole_pages(size_t bytes)
{
    size_t rounded = (bytes + HUGE_PAGE_BYTES - 1) & ~(size_t)(HUGE_PAGE_BYTES - 1);
    return rounded ? rounded : HUGE_PAGE_BYTES;
}

/* Anonymous pages, so that giving the arena back gives the memory back at once; huge ones where the
 * system has them, which spares the kernels most of their address translation. */
static bool arena_new(struct backend *b, void **arena, size_t bytes, struct error *err)
{
    (void)b;
    if (bytes > SIZE_MAX / 2)
        return error_set(err, ERROR_LIMIT, "an arena of %zu bytes is too large", bytes);
    size_t size = whole_pages(bytes), reserve = size + HUGE_PAGE_BYTES;
    unsigned char *map =
        mmap(NULL, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ERROR_MEMORY, "the system has no %zu bytes for an arena", bytes);

    size_t skip =
        (HUGE_PAGE_BYTES - ((uintptr_t)map & (HUGE_PAGE_BYTES - 1))) & (HUGE_PAGE_BYTES - 1);
    if (skip)
        munmap(map, skip);
    if (reserve - skip - size)
        munmap(map + skip + size, reserve - skip - size);
#ifdef MADV_HUGEPAGE
    (void)madvise(map + skip, size, MADV_HUGEPAGE);
#endif
    *arena = map + skip;
    return true;
}

static void arena_free(struct backend *b, void *arena, size_t bytes)
{
    (void)b;
    munmap(arena, whole_pages(bytes));
}

static void arena_idle(struct backend *b, void *arena, size_t bytes)
{
    (void)b;
#ifdef __APPLE__
    /* MADV_FREE alone leaves the pages in the resident size until others want them. */
    (void)madvise(arena, whole_pages(bytes), MADV_FREE);
#else
    (void)madvise(arena, whole_pages(bytes), MADV_DONTNEED);
#endif
}

static bool prepare(struct backend *b, void **out, const struct backend_binding *binding,
                    struct error *err)
{
    size_t n = (size_t)graph_n_tensors(binding->graph);
    struct prepared *p = calloc(1, sizeof *p);

    (void)b;
    if (p)
        p->tensors = calloc(n + 1, sizeof *p->tensors);
    if (!p || !p->tensors) {
        free(p);
        return error_set(err, ERROR_MEMORY, "no memory to prepare a network");
    }
    p->binding = *binding;
    for (size_t t = 1; t <= n; t++)
        p->tensors[t] = (float *)((unsigned char *)binding->arena + binding->tensor_offset[t]);
    *out = p;
    return true;
}

static void release(struct backend *b, void *prepared)
{
    struct prepared *p = prepared;
    (void)b;
    free(p->tensors);
    free(p);
}

static bool run(struct backend *b, void *prepared, backend_hook_fn hook, void *ctx,
                struct error *err)
{
    struct cpu_backend *cpu = self(b);
    const struct prepared *p = prepared;
    const struct graph *g = p->binding.graph;
    int n_ops = graph_n_ops(g);
    bool cancelled = false;

    for (int op = 0; op < n_ops; op++) {
        cancelled = hook && !hook(ctx, op, n_ops);
        if (cancelled)
            break;
        struct cpu_context c = {
            .kernels = cpu->kernels,
            .pool = cpu->pool,
            .graph = g,
            .tensors = p->tensors,
            .workspace = (unsigned char *)p->binding.arena + p->binding.workspace_offset[op],
            .weights = p->binding.weights,
        };
        weights_acquire(p->binding.weights, op);
        ops[graph_op_view(g, op)->kind]->run(&c, op);
        weights_release(p->binding.weights, op);
    }
    weights_finish(p->binding.weights);
    return !cancelled || error_set(err, ERROR_CANCELLED, "stopped on request");
}

/* Copies between rows of c (ours) and planes of h*w. */
static void transpose(float *to, const float *from, int64_t n, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < columns; k++)
                to[(i * columns + k) * rows + r] = from[(i * rows + r) * columns + k];
}

static void write_tensor(struct backend *b, void *prepared, int tensor, const float *from,
                         enum backend_order order)
{
    const struct prepared *p = prepared;
    struct graph_shape s = graph_tensor_view(p->binding.graph, tensor)->shape;
    (void)b;
    if (order == BACKEND_ROWS)
        memcpy(p->tensors[tensor], from, (size_t)graph_shape_count(s) * sizeof *from);
    else
        transpose(p->tensors[tensor], from, s.n, s.c, s.h * s.w);
}

static void read_tensor(struct backend *b, void *prepared, int tensor, float *to,
                        enum backend_order order)
{
    const struct prepared *p = prepared;
    struct graph_shape s = graph_tensor_view(p->binding.graph, tensor)->shape;
    (void)b;
    if (order == BACKEND_ROWS)
        memcpy(to, p->tensors[tensor], (size_t)graph_shape_count(s) * sizeof *to);
    else
        transpose(to, p->tensors[tensor], s.n, s.h * s.w, s.c);
}

static void close_backend(struct backend *b)
{
    if (!b)
        return;
    cpu_pool_free(self(b)->pool);
    free(b);
}

static const struct backend_functions functions = {
    .name = "cpu",
    .unified = true,
    .arena_granule = HUGE_PAGE_BYTES,
    .tensor_bytes = tensor_bytes,
    .op_needs = op_needs,
    .weights_order = weights_order,
    .arena_new = arena_new,
    .arena_free = arena_free,
    .arena_idle = arena_idle,
    .prepare = prepare,
    .release = release,
    .run = run,
    .write = write_tensor,
    .read = read_tensor,
    .close = close_backend,
};

/* Rate of one thread's products, the fastest of a few tries of well under a millisecond. */
static bool measure(struct cpu_backend *cpu, struct error *err)
{
    enum { M = 128, N = 64, K = 256, TRIES = 5 };
    const struct cpu_kernels *k = cpu->kernels;
    size_t row = cpu_kernels_row_bytes(k, K), rows = M + CPU_KERNELS_MAX_MR;
    static const ptrdiff_t no_tap = 0;
    double best = 1;
    size_t bytes =
        rows * row + (size_t)(N + CPU_KERNELS_MAX_NR) * K * 4 + rows * (N + CPU_KERNELS_MAX_NR) * 4;
    unsigned char *at = aligned_alloc(BACKEND_ALIGN, cpu_ops_round(bytes));

    if (!at)
        return error_set(err, ERROR_MEMORY, "no memory to measure the processor");
    memset(at, 0, bytes);
    struct cpu_gemm g = {.a = at,
                         .a_stride = row,
                         .b = at + rows * row,
                         .tap = &no_tap,
                         .n_taps = 1,
                         .m = M,
                         .n = N,
                         .kc_pad = K};
    g.acc = (float *)(void *)(at + rows * row + (size_t)(N + CPU_KERNELS_MAX_NR) * K * 4);
    g.acc_stride = N + CPU_KERNELS_MAX_NR;
    cpu_kernels_thread_begin(k);
    for (int i = 0; i < TRIES; i++) {
        double started = clock_seconds();
        k->gemm(&g);
        double seconds = clock_seconds() - started;
        best = seconds > 0 && seconds < best ? seconds : best;
    }
    cpu_kernels_thread_end(k);
    free(at);
    cpu->flops_per_second = 2.0 * M * N * K / best;
    return true;
}

static void thread_begin(void *kernels)
{
    cpu_kernels_thread_begin(kernels);
}

static void thread_end(void *kernels)
{
    cpu_kernels_thread_end(kernels);
}

bool cpu_backend_open(struct backend **out, int n_threads, const char *isa, struct error *err)
{
    const struct cpu_kernels *kernels = cpu_kernels_find(isa, err);
    if (!kernels)
        return false;
    if (n_threads == 0)
        n_threads = thread_physical_cores();
    if (n_threads < 1 || n_threads > CPU_POOL_MAX_THREADS)
        return error_set(err, ERROR_INVALID, "threads are from 1 to %d, not %d",
                         CPU_POOL_MAX_THREADS, n_threads);

    struct cpu_backend *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(err, ERROR_MEMORY, "no memory for the CPU backend");
    b->base.fn = &functions;
    b->kernels = kernels;
    /* The table is const; the pool hands it back as it came. */
    union {
        const struct cpu_kernels *in;
        void *out;
    } edge = {.in = kernels};
    if (!cpu_pool_new(&b->pool, n_threads, thread_begin, thread_end, edge.out, err) ||
        !measure(b, err)) {
        close_backend(&b->base);
        return false;
    }
    *out = &b->base;
    return true;
}

int cpu_backend_threads(const struct backend *b)
{
    return cpu_pool_threads(((const struct cpu_backend *)b)->pool);
}

const char *cpu_backend_isa(const struct backend *b)
{
    return ((const struct cpu_backend *)b)->kernels->name;
}
