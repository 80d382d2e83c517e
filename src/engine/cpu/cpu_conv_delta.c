#include "engine/cpu/cpu_conv_delta.h"

#include "base/size.h"

enum {
    MERGE_PANELS = 4, /* panels of `down` that a merge takes at a time */
    CHUNK_PANELS = 4, /* panels of `down` that one task packs */
    CHUNK_ROWS = 64   /* rows of `up` that one task prepares */
};

static size_t kernel_taps(const struct cpu_conv_plan *p)
{
    return (size_t)p->kernel * (size_t)p->kernel;
}

/* Numbers between the rows of a panel's sums: whole panels of `down`, whole cache lines. */
static size_t sum_stride(const struct cpu_conv_plan *p)
{
    return cpu_conv_delta_round(
        cpu_conv_delta_round((size_t)p->kc * kernel_taps(p), (size_t)p->k->nr), 16);
}

static size_t chunk_columns(const struct cpu_conv_plan *p)
{
    return (size_t)CHUNK_PANELS * (size_t)p->k->nr;
}

struct cpu_conv_delta_sizes cpu_conv_delta_measure(const struct cpu_conv_plan *p)
{
    struct cpu_conv_delta_sizes s = {0};
    size_t sums, packing;
    const size_t rows = cpu_conv_delta_round((size_t)p->k->nr, (size_t)p->k->mr);

    if (!p->rank)
        return s;
    s.failed =
        !size_mul(&s.a_bytes, (size_t)p->weight_rows + (size_t)p->k->mr,
                  cpu_conv_delta_row_bytes(p)) ||
        !size_mul(&s.down_block_bytes, sum_stride(p), cpu_conv_delta_rank_pad(p) * sizeof(float)) ||
        !size_mul(&sums, sum_stride(p), rows * sizeof(float)) ||
        !size_mul(&packing, chunk_columns(p), (size_t)p->rank * sizeof(float));
    if (!s.failed)
        s.thread_bytes = sums > packing ? sums : packing;
    return s;
}

static int chunks_per_block(const struct cpu_conv_plan *p)
{
    return (int)((sum_stride(p) + chunk_columns(p) - 1) / chunk_columns(p));
}

int cpu_conv_delta_tasks(const struct cpu_conv_plan *p)
{
    return p->n_blocks * chunks_per_block(p) + (p->weight_rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
}

/* Some columns of one block of `down`, all deltas' ranks below each other. */
static void pack_down(const struct conv_delta *d, int block, int chunk, float *rows)
{
    const struct cpu_conv_plan *p = d->plan;
    const struct conv_block b = cpu_conv_plan_block(p, block);
    const size_t taps = kernel_taps(p), width = (size_t)b.kc * taps, nr = (size_t)p->k->nr;
    const size_t all = (size_t)(p->channels[0] + p->channels[1]) * taps;
    const size_t begin = (size_t)chunk * chunk_columns(p);

    if (begin >= width)
        return;
    const size_t n = width - begin < chunk_columns(p) ? width - begin : chunk_columns(p);
    float *row = rows;
    for (int i = 0; i < d->n; i++)
        for (int r = 0; r < d->list[i].rank; r++, row += n)
            cpu_conv_delta_convert(p, row, &d->list[i].down,
                                   (size_t)r * all + (size_t)b.whole * taps + begin, n);
    for (size_t column = 0; column < n; column += nr) {
        const struct cpu_pack pack = {.to = cpu_conv_delta_down(d, block) +
                                            (begin + column) * cpu_conv_delta_rank_pad(p) *
                                                sizeof(float),
                                      .from = rows + column,
                                      .dtype = DTYPE_F32,
                                      .stride = n,
                                      .n = (int)(n - column < nr ? n - column : nr),
                                      .kc = p->rank,
                                      .kc_pad = (int)cpu_conv_delta_rank_pad(p),
                                      .taps = 1};
        p->k->pack_columns(&pack);
    }
}

/* Some rows of `up`, all deltas' ranks side by side, times their factors. */
static void prepare_up(const struct conv_delta *d, int chunk, float *row)
{
    const struct cpu_conv_plan *p = d->plan;
    const int begin = chunk * CHUNK_ROWS;
    const int end = p->weight_rows - begin < CHUNK_ROWS ? p->weight_rows : begin + CHUNK_ROWS;

    for (int y = begin; y < end; y++) {
        float *at = row;
        for (int i = 0; i < d->n; i++) {
            const struct weight_delta *delta = &d->list[i];
            cpu_conv_delta_convert(p, at, &delta->up, (size_t)y * (size_t)delta->rank,
                                   (size_t)delta->rank);
            for (int r = 0; r < delta->rank; r++)
                at[r] *= delta->factor;
            at += delta->rank;
        }
        const struct cpu_prepare prepare = {.to = d->workspace + p->delta_a_at +
                                                  (size_t)y * cpu_conv_delta_row_bytes(p),
                                            .to_stride = cpu_conv_delta_row_bytes(p),
                                            .from = row,
                                            .rows = 1,
                                            .kc = p->rank,
                                            .kc_pad = (int)cpu_conv_delta_rank_pad(p)};
        p->k->prepare_rows(&prepare);
    }
}

void cpu_conv_delta_prepare(const struct conv_delta *d, int task, int thread)
{
    const int per_block = chunks_per_block(d->plan), down = d->plan->n_blocks * per_block;

    if (task < down)
        pack_down(d, task / per_block, task % per_block, cpu_conv_delta_scratch(d, thread));
    else
        prepare_up(d, task - down, cpu_conv_delta_scratch(d, thread));
}

/* The next numbers of a row, maybe beyond its end.  Rows are read in short runs, one after the
 * other, which the processor does not foresee: without this they took a third longer. */
static void fetch_ahead(const struct weight_view *v, size_t first, size_t n)
{
    const size_t bytes = dtype_bytes(v->dtype);
    const uintptr_t at = (uintptr_t)v->bytes + first * bytes;

    for (size_t i = 0; i < n * bytes; i += 64)
        __builtin_prefetch((const void *)(at + i));
}

/* To what a merged weight has. */
static void round_rows(const struct conv_delta *d, float *rows, size_t stride, int n,
                       size_t columns)
{
    uint16_t halves[MERGE_PANELS * CPU_KERNELS_MAX_NR];

    if (weights_merged_dtype(d->weight->dtype) == DTYPE_F32)
        return;
    for (int i = 0; i < n; i++, rows += stride) {
        d->plan->k->from_f32(halves, rows, DTYPE_F16, columns);
        d->plan->k->to_f32(rows, halves, DTYPE_F16, columns);
    }
}

/* The first of some columns of n rows, with the deltas added. */
static void merge(const struct conv_delta *d, int block, int row, int n, size_t first,
                  size_t columns, float *to)
{
    static const ptrdiff_t no_tap = 0;
    const struct cpu_conv_plan *p = d->plan;
    const struct conv_block b = cpu_conv_plan_block(p, block);
    const size_t taps = kernel_taps(p), stride = sum_stride(p);
    const size_t all = (size_t)(p->channels[0] + p->channels[1]) * taps;

    for (int i = 0; i < n; i++) {
        const size_t at = (size_t)(row + i) * all + (size_t)b.whole * taps + first;
        fetch_ahead(d->weight, at + columns, columns);
        cpu_conv_delta_convert(p, to + (size_t)i * stride, d->weight, at, columns);
    }
    const struct cpu_gemm g = {
        .acc = to,
        .acc_stride = stride,
        .a = d->workspace + p->delta_a_at + (size_t)row * cpu_conv_delta_row_bytes(p),
        .a_stride = cpu_conv_delta_row_bytes(p),
        .tap = &no_tap,
        .n_taps = 1,
        .b = cpu_conv_delta_down(d, block) + first * cpu_conv_delta_rank_pad(p) * sizeof(float),
        .m = n,
        .n = (int)columns,
        .kc_pad = (int)cpu_conv_delta_rank_pad(p),
        .add = true};
    p->k->gemm(&g);
    if (p->rounds)
        round_rows(d, to, stride, n, columns);
}

const float *cpu_conv_delta_rows(const struct conv_delta *d, int block, int row, int n, int thread,
                                 size_t *stride)
{
    const struct cpu_conv_plan *p = d->plan;
    const size_t width = (size_t)cpu_conv_plan_block(p, block).kc * kernel_taps(p);
    /* So many columns that their sums stay in the first cache from one to the other. */
    const size_t step = (size_t)MERGE_PANELS * (size_t)p->k->nr;
    float *sums = cpu_conv_delta_scratch(d, thread);

    *stride = sum_stride(p);
    for (size_t first = 0; first < width; first += step)
        merge(d, block, row, n, first, width - first < step ? width - first : step, sums + first);
    return sums;
}

static int row_panels(const struct cpu_conv_plan *p)
{
    return (p->weight_rows + p->k->nr - 1) / p->k->nr;
}

int cpu_conv_delta_merge_tasks(const struct cpu_conv_plan *p)
{
    return row_panels(p) * p->n_blocks;
}

void cpu_conv_delta_merge(const struct conv_delta *d, int task, int thread, void *to)
{
    const struct cpu_conv_plan *p = d->plan;
    const struct conv_block b = cpu_conv_plan_block(p, task % p->n_blocks);
    const int row = task / p->n_blocks * p->k->nr, left = p->weight_rows - row;
    const int n = left < p->k->nr ? left : p->k->nr;
    const size_t taps = kernel_taps(p);
    const size_t all = (size_t)(p->channels[0] + p->channels[1]) * taps;
    const enum dtype dtype = weights_merged_dtype(d->weight->dtype);
    size_t stride;
    const float *sums = cpu_conv_delta_rows(d, task % p->n_blocks, row, n, thread, &stride);

    for (int i = 0; i < n; i++) {
        const size_t at = (size_t)(row + i) * all + (size_t)b.whole * taps;
        p->k->from_f32((unsigned char *)to + at * dtype_bytes(dtype), sums + (size_t)i * stride,
                       dtype, (size_t)b.kc * taps);
    }
}
