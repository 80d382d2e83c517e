/* Attention, as a rule without its N x N matrix: blocks of scores that fit a core's cache, and a
 * running maximum and sum per row (Milakov and Gimelshein 2018; Rabe and Staats 2021; Dao et al.
 * 2022).
 *
 * K and V are packed once for a group of (picture, head) pairs and then read by all threads; each
 * thread takes blocks of q rows.  The size of a k/v block depends on the head alone, so that a
 * result depends on nothing else.  Sliced and plain attention are the same with one block of all
 * keys; plain attention gives every block of q rows scores of its own instead of every thread. */
#include "base/assert.h"
#include "engine/cpu/cpu_ops.h"

#include <math.h>
#include <string.h>

enum {
    GROUP_BYTES = 8 << 20,   /* packed K and V held at a time, unless one pair is larger */
    BLOCK_NUMBERS = 1 << 16, /* about d times the tokens of a k/v block */
    BLOCK_TOKENS_MIN = 64,
    BLOCK_TOKENS_MAX = 256,
    SLICE_BYTES = 2 << 20, /* of one thread's scores, unless a register tile's rows have more */
    Q_ROWS = 128,          /* with 256 tokens: 128 KiB of scores, and the same prepared */
    TASKS_PER_THREAD = 4,
    MAX_ROWS = 1 << 24
};

struct plan {
    int heads, d, n_q, n_k;
    bool causal;
    enum graph_attention_mode mode;
    int64_t c;     /* numbers between rows of q, k, v and out */
    int64_t pairs; /* pictures times heads */

    int q_rows, q_blocks;                /* per task; per pair */
    int tokens, kv_blocks;               /* per block; per pair */
    int d_pad;                           /* k-dim of Q K^T */
    int d_columns;                       /* columns of P V in whole panels */
    size_t k_block_bytes, v_block_bytes; /* of a full block */
    size_t k_panel_bytes;
    int64_t group; /* pairs packed at a time */

    /* One slot of the workspace: offsets and size.  A slot belongs to a thread; for plain attention
     * to a block of q rows. */
    int n_slots;
    size_t q_stride, p_stride;       /* bytes */
    size_t score_stride, acc_stride; /* floats */
    size_t at_scores, at_p, at_acc, at_state, slot_bytes;
    size_t shared_bytes;
};

static int up(int n, int to)
{
    return (n + to - 1) / to * to;
}

static int common_multiple(int a, int b)
{
    int x = a, y = b;
    while (y != 0) {
        const int rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Rows do not know of each other, so the size of a q block may follow the threads. */
static void plan_rows(struct plan *p, const struct cpu_kernels *k, int n_threads)
{
    p->q_rows = up(Q_ROWS, k->mr);
    while (p->q_rows > 2 * k->mr && p->group * ((p->n_q + p->q_rows - 1) / p->q_rows) <
                                        TASKS_PER_THREAD * (int64_t)n_threads)
        p->q_rows = up(p->q_rows / 2, k->mr);
    if (p->mode == GRAPH_ATTENTION_SLICED) {
        const size_t fit = SLICE_BYTES / ((size_t)p->tokens * 4) / (size_t)k->mr * (size_t)k->mr;
        if ((size_t)p->q_rows > fit)
            p->q_rows = fit ? (int)fit : k->mr;
    }
    if (p->q_rows > up(p->n_q, k->mr))
        p->q_rows = up(p->n_q, k->mr);
    p->q_blocks = (p->n_q + p->q_rows - 1) / p->q_rows;
    p->n_slots = p->mode == GRAPH_ATTENTION_PLAIN ? p->q_blocks : n_threads;
}

static void plan_blocks(struct plan *p, const struct cpu_kernels *k, int n_threads)
{
    /* Full blocks are whole panels, and whole cache lines of scores. */
    const int step = common_multiple(common_multiple(k->nr, k->k_multiple), 16);
    int tokens = BLOCK_NUMBERS / p->d;
    tokens = tokens < BLOCK_TOKENS_MIN ? BLOCK_TOKENS_MIN : tokens;
    tokens = tokens > BLOCK_TOKENS_MAX ? BLOCK_TOKENS_MAX : tokens;
    p->tokens = up(tokens, step);
    if (p->tokens > up(p->n_k, step) || p->mode != GRAPH_ATTENTION_STREAMING)
        p->tokens = up(p->n_k, step);
    p->kv_blocks = (p->n_k + p->tokens - 1) / p->tokens;
    p->d_pad = up(p->d, k->k_multiple);
    p->d_columns = up(p->d, k->nr);

    p->k_panel_bytes = (size_t)p->d_pad * (size_t)k->nr * 4;
    p->k_block_bytes = cpu_ops_round((size_t)up(p->tokens, k->nr) * (size_t)p->d_pad * 4);
    p->v_block_bytes = cpu_ops_round((size_t)p->d_columns * (size_t)p->tokens * 4);
    const size_t pair_bytes = (p->k_block_bytes + p->v_block_bytes) * (size_t)p->kv_blocks;
    p->group = (int64_t)(GROUP_BYTES / pair_bytes);
    p->group = p->group < 1 ? 1 : p->group > p->pairs ? p->pairs : p->group;
    if (p->mode == GRAPH_ATTENTION_PLAIN)
        p->group = 1;
    plan_rows(p, k, n_threads);
}

static void plan_workspace(struct plan *p, const struct cpu_kernels *k)
{
    const size_t rows = (size_t)p->q_rows;

    p->q_stride = cpu_kernels_row_bytes(k, p->d_pad);
    p->score_stride = (size_t)up(p->tokens, 16);
    p->p_stride = cpu_kernels_row_bytes(k, (int)p->score_stride);
    p->acc_stride = (size_t)up(p->d_columns, 16);

    p->at_scores = cpu_ops_round(rows * p->q_stride);
    p->at_p = p->at_scores + cpu_ops_round(rows * p->score_stride * 4);
    p->at_acc = p->at_p + (k->a_is_f32 ? 0 : cpu_ops_round(rows * p->p_stride));
    p->at_state = p->at_acc + cpu_ops_round(rows * p->acc_stride * 4);
    p->slot_bytes = p->at_state + cpu_ops_round(3 * rows * 4);
    p->shared_bytes =
        (p->k_block_bytes + p->v_block_bytes) * (size_t)p->kv_blocks * (size_t)p->group;
}

static bool make_plan(struct plan *p, const struct cpu_kernels *k, int n_threads,
                      const struct graph *g, int op)
{
    const struct graph_attention *a = &graph_op_view(g, op)->u.attention;
    const struct graph_shape q = graph_tensor_view(g, a->q)->shape;
    const struct graph_shape kv = graph_tensor_view(g, a->k)->shape;

    if (q.h * q.w > MAX_ROWS || kv.h * kv.w > MAX_ROWS)
        return false;
    *p = (struct plan){
        .heads = a->heads,
        .d = (int)(q.c / a->heads),
        .n_q = (int)(q.h * q.w),
        .n_k = (int)(kv.h * kv.w),
        .causal = a->causal,
        .mode = a->mode,
        .c = q.c,
        .pairs = q.n * a->heads,
    };
    plan_blocks(p, k, n_threads);
    plan_workspace(p, k);
    return true;
}

static bool attention_needs(size_t *workspace_bytes, const struct cpu_kernels *k, int n_threads,
                            const struct graph *g, int op, struct error *err)
{
    struct plan p;
    if (!make_plan(&p, k, n_threads, g, op))
        return error_set(err, ERROR_LIMIT, "attention over more than %d places", (int)MAX_ROWS);
    *workspace_bytes = p.shared_bytes + p.slot_bytes * (size_t)p.n_slots;
    return true;
}

struct run {
    const struct plan *p;
    const struct cpu_kernels *kernels;
    const float *q, *k, *v;
    float *out;
    unsigned char *shared, *slots;
    int64_t first_pair; /* of the group */
};

static size_t at_head(const struct plan *p, int64_t pair, int rows, int row)
{
    const int64_t picture = pair / p->heads, head = pair % p->heads;
    return (size_t)((picture * rows + row) * p->c + head * p->d);
}

static unsigned char *k_block(const struct run *r, int64_t in_group, int block)
{
    const struct plan *p = r->p;
    const size_t at = (size_t)in_group * (size_t)p->kv_blocks + (size_t)block;
    return r->shared + at * (p->k_block_bytes + p->v_block_bytes);
}

static int block_tokens(const struct plan *p, int block)
{
    const int rest = p->n_k - block * p->tokens;
    return rest < p->tokens ? rest : p->tokens;
}

/* Packs one block of K and V of one pair. */
static void pack_task(void *ctx, int task, int thread)
{
    const struct run *r = ctx;
    const struct plan *p = r->p;
    const int nr = r->kernels->nr;
    const int64_t in_group = task / p->kv_blocks;
    const int block = task % p->kv_blocks;
    const int n = block_tokens(p, block);
    const size_t from = at_head(p, r->first_pair + in_group, p->n_k, block * p->tokens);
    unsigned char *to = k_block(r, in_group, block);
    (void)thread;

    /* The columns of K^T are tokens: rows of K, laid out as weights are. */
    struct cpu_pack pack = {
        .dtype = DTYPE_F32, .stride = (size_t)p->c, .kc = p->d, .kc_pad = p->d_pad, .taps = 1};
    for (int j = 0; j < n; j += nr) {
        pack.to = to + (size_t)(j / nr) * p->k_panel_bytes;
        pack.from = r->k + from + (size_t)j * (size_t)p->c;
        pack.n = n - j < nr ? n - j : nr;
        r->kernels->pack_weights(&pack);
    }

    pack.kc = n;
    pack.kc_pad = up(n, r->kernels->k_multiple);
    const size_t panel_bytes = (size_t)pack.kc_pad * (size_t)nr * 4;
    for (int j = 0; j < p->d; j += nr) {
        pack.to = to + p->k_block_bytes + (size_t)(j / nr) * panel_bytes;
        pack.from = r->v + from + (size_t)j;
        pack.n = p->d - j < nr ? p->d - j : nr;
        r->kernels->pack_columns(&pack);
    }
}

/* What one task works in. */
struct scratch {
    unsigned char *q, *p;
    float *scores, *acc;
    float *row_max, *row_sum, *factor;
};

static struct scratch scratch_view(const struct run *r, int slot)
{
    const struct plan *p = r->p;
    unsigned char *base = r->slots + (size_t)slot * p->slot_bytes;
    float *state = (float *)(void *)(base + p->at_state);
    return (struct scratch){
        .q = base,
        .scores = (float *)(void *)(base + p->at_scores),
        .p = r->kernels->a_is_f32 ? base + p->at_scores : base + p->at_p,
        .acc = (float *)(void *)(base + p->at_acc),
        .row_max = state,
        .row_sum = state + p->q_rows,
        .factor = state + 2 * p->q_rows,
    };
}

/* Factors of exactly 1 are the rule once the maximum has been met. */
static bool changes_something(const float *factor, int rows)
{
    for (int i = 0; i < rows; i++) {
        if (factor[i] != 1.0f)
            return true;
    }
    return false;
}

/* acc = acc * factor + softmax block * V block, for q rows first_row and on. */
static void add_block(const struct run *r, const struct scratch *s, const unsigned char *packed,
                      int block, int first_row, int rows)
{
    const struct plan *p = r->p;
    const struct cpu_kernels *k = r->kernels;
    static const ptrdiff_t no_tap = 0;
    const int n = block_tokens(p, block);

    struct cpu_gemm gemm = {.acc = s->scores,
                            .acc_stride = p->score_stride,
                            .a = s->q,
                            .a_stride = p->q_stride,
                            .tap = &no_tap,
                            .n_taps = 1,
                            .b = packed,
                            .m = rows,
                            .n = n,
                            .kc_pad = p->d_pad};
    k->gemm(&gemm);

    const struct cpu_softmax softmax = {.scores = s->scores,
                                        .stride = p->score_stride,
                                        .rows = rows,
                                        .cols = n,
                                        .scale = (float)(1.0 / sqrt((double)p->d)),
                                        .causal = p->causal,
                                        .visible = first_row - block * p->tokens + 1,
                                        .row_max = s->row_max,
                                        .row_sum = s->row_sum,
                                        .factor = s->factor};
    k->softmax_rows(&softmax);

    const int n_pad = up(n, k->k_multiple);
    if (!k->a_is_f32) {
        const struct cpu_prepare prepare = {.to = s->p,
                                            .to_stride = p->p_stride,
                                            .from = s->scores,
                                            .from_stride = p->score_stride,
                                            .rows = rows,
                                            .kc = n,
                                            .kc_pad = n_pad};
        k->prepare_rows(&prepare);
    }
    if (block > 0 && changes_something(s->factor, rows))
        k->scale_rows(s->acc, p->acc_stride, rows, p->d_columns, s->factor);

    gemm.acc = s->acc;
    gemm.acc_stride = p->acc_stride;
    gemm.a = s->p;
    gemm.a_stride = p->p_stride;
    gemm.b = packed + p->k_block_bytes;
    gemm.n = p->d;
    gemm.kc_pad = n_pad;
    gemm.add = block > 0;
    k->gemm(&gemm);
}

/* One block of q rows of one pair, from Q to out. */
static void attend_task(void *ctx, int task, int thread)
{
    const struct run *r = ctx;
    const struct plan *p = r->p;
    const int64_t in_group = task / p->q_blocks;
    const int block = task % p->q_blocks, first = block * p->q_rows;
    const struct scratch s = scratch_view(r, p->mode == GRAPH_ATTENTION_PLAIN ? block : thread);
    const int rows = p->n_q - first < p->q_rows ? p->n_q - first : p->q_rows;
    const size_t at = at_head(p, r->first_pair + in_group, p->n_q, first);

    const struct cpu_prepare prepare = {.to = s.q,
                                        .to_stride = p->q_stride,
                                        .from = r->q + at,
                                        .from_stride = (size_t)p->c,
                                        .rows = rows,
                                        .kc = p->d,
                                        .kc_pad = p->d_pad};
    r->kernels->prepare_rows(&prepare);
    for (int i = 0; i < rows; i++) {
        s.row_max[i] = -INFINITY;
        s.row_sum[i] = 0;
    }
    for (int b = 0; b < p->kv_blocks; b++) {
        if (p->causal && b * p->tokens > first + rows - 1)
            break; /* no row of this task sees the rest */
        add_block(r, &s, k_block(r, in_group, b), b, first, rows);
    }

    for (int i = 0; i < rows; i++)
        s.factor[i] = 1.0f / s.row_sum[i];
    r->kernels->scale_rows(s.acc, p->acc_stride, rows, p->d, s.factor);
    for (int i = 0; i < rows; i++)
        memcpy(r->out + at + (size_t)i * (size_t)p->c, s.acc + (size_t)i * p->acc_stride,
               (size_t)p->d * sizeof(float));
}

static void attention_run(const struct cpu_context *ctx, int op)
{
    const struct graph_op *o = graph_op_view(ctx->graph, op);
    const int n_threads = cpu_pool_threads(ctx->pool);
    struct plan p;

    const bool fits = make_plan(&p, ctx->kernels, n_threads, ctx->graph, op);
    ASSERT(fits);
    struct run r = {
        .p = &p,
        .kernels = ctx->kernels,
        .q = ctx->tensors[o->u.attention.q],
        .k = ctx->tensors[o->u.attention.k],
        .v = ctx->tensors[o->u.attention.v],
        .out = ctx->tensors[o->out],
        .shared = ctx->workspace,
        .slots = ctx->workspace + p.shared_bytes,
    };
    while (r.first_pair < p.pairs) {
        const int64_t left = p.pairs - r.first_pair;
        const int pairs = (int)(left < p.group ? left : p.group);
        cpu_pool_run(ctx->pool, pack_task, &r, pairs * p.kv_blocks);
        cpu_pool_run(ctx->pool, attend_task, &r, pairs * p.q_blocks);
        r.first_pair += pairs;
    }
}

const struct cpu_op cpu_attention_op = {attention_needs, attention_run};
