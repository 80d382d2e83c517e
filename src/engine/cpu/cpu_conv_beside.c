#include "engine/cpu/cpu_conv_beside.h"

#include "base/size.h"

enum { MOST_TASK_ROWS = 128 }; /* of places: with their sums they stay in the second cache */

static const ptrdiff_t no_tap = 0;

static size_t columns_of(const struct cpu_conv_plan *p)
{
    return (size_t)(p->channels[0] + p->channels[1]) * (size_t)p->taps;
}

static int rank_panels(const struct cpu_conv_plan *p)
{
    return (p->rank + p->k->nr - 1) / p->k->nr;
}

static size_t sum_stride(const struct cpu_conv_plan *p)
{
    return cpu_conv_delta_round((size_t)rank_panels(p) * (size_t)p->k->nr, 16);
}

/* Every thread has some; how many a task has changes no sum. */
static size_t task_rows(const struct cpu_conv_plan *p, int64_t places)
{
    const size_t share = ((size_t)places + (size_t)p->n_threads - 1) / (size_t)p->n_threads;
    return cpu_conv_delta_round(share < MOST_TASK_ROWS ? share : MOST_TASK_ROWS, (size_t)p->k->mr);
}

bool cpu_conv_beside_pays(const struct cpu_conv_plan *p, int64_t places)
{
    const double columns = (double)columns_of(p), rows = (double)p->weight_rows;
    return p->rank && (double)places * (columns + rows) < columns * rows;
}

size_t cpu_conv_beside_panel_bytes(const struct cpu_conv_plan *p)
{
    return cpu_conv_delta_rank_pad(p) * (size_t)p->k->nr * sizeof(float);
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct cpu_conv_delta_sizes cpu_conv_beside_measure(const struct cpu_conv_plan *p, int64_t places)
{
    struct cpu_conv_delta_sizes s = {0};
    const size_t nr = (size_t)p->k->nr;
    size_t sums, down, up;

    s.failed =
        !size_mul(&s.a_bytes, (size_t)places + (size_t)p->k->mr, cpu_conv_delta_row_bytes(p)) ||
        !size_mul(&s.down_block_bytes, (size_t)(p->taps * p->kc_pad_max) * sizeof(float),
                  (size_t)rank_panels(p) * nr) ||
        !size_mul(&sums, task_rows(p, places), sum_stride(p) * sizeof(float)) ||
        !size_mul(&down, nr * sizeof(float), (size_t)(p->kc * p->taps)) ||
        !size_mul(&up, nr * sizeof(float), (size_t)p->rank);
    if (!s.failed)
        s.thread_bytes = most(sums, most(down, up));
    return s;
}

static size_t down_panel_bytes(const struct cpu_conv_plan *p, const struct conv_block *b)
{
    return (size_t)p->taps * (size_t)b->kc_pad * (size_t)p->k->nr * sizeof(float);
}

int cpu_conv_beside_pack_tasks(const struct cpu_conv_plan *p)
{
    return p->n_blocks * rank_panels(p);
}

/* One rank of all deltas: which delta has it, and which of its own it is. */
static const struct weight_delta *find_rank(const struct conv_delta *d, int *rank)
{
    int i = 0;
    while (*rank >= d->list[i].rank)
        *rank -= d->list[i++].rank;
    return &d->list[i];
}

/* A panel within one delta is packed as its file has it, one across several by way of float32;
 * both make the same numbers. */
void cpu_conv_beside_pack(const struct conv_delta *d, int task, int thread)
{
    const struct cpu_conv_plan *p = d->plan;
    const int panels = rank_panels(p), block = task / panels, begin = task % panels * p->k->nr;
    const int n = p->rank - begin < p->k->nr ? p->rank - begin : p->k->nr;
    const struct conv_block b = cpu_conv_plan_block(p, block);
    const size_t first = (size_t)b.whole * (size_t)p->taps;
    const size_t width = (size_t)b.kc * (size_t)p->taps;
    struct cpu_pack pack = {.to = cpu_conv_delta_down(d, block) +
                                  (size_t)(task % panels) * down_panel_bytes(p, &b),
                            .n = n,
                            .kc = b.kc,
                            .kc_pad = b.kc_pad,
                            .taps = p->taps};
    int rank = begin;
    const struct weight_delta *one = find_rank(d, &rank);

    if (rank + n <= one->rank) {
        pack.from = (const unsigned char *)one->down.bytes +
                    ((size_t)rank * columns_of(p) + first) * dtype_bytes(one->down.dtype);
        pack.dtype = one->down.dtype;
        pack.stride = columns_of(p);
    } else {
        float *rows = cpu_conv_delta_scratch(d, thread);
        for (int i = 0; i < n; i++) {
            rank = begin + i;
            one = find_rank(d, &rank);
            cpu_conv_delta_convert(p, rows + (size_t)i * width, &one->down,
                                   (size_t)rank * columns_of(p) + first, width);
        }
        pack.from = rows;
        pack.dtype = DTYPE_F32;
        pack.stride = width;
    }
    p->k->pack_weights(&pack);
}

int cpu_conv_beside_tasks(const struct cpu_conv_plan *p, int64_t places)
{
    const size_t rows = task_rows(p, places);
    return (int)(((size_t)places + rows - 1) / rows);
}

struct cpu_gemm cpu_conv_beside_begin(const struct conv_delta *d, int64_t places, int task,
                                      int thread, int64_t *first)
{
    const struct cpu_conv_plan *p = d->plan;
    const int64_t rows = (int64_t)task_rows(p, places);

    *first = task * rows;
    return (struct cpu_gemm){.acc = cpu_conv_delta_scratch(d, thread),
                             .acc_stride = sum_stride(p),
                             .m = (int)(places - *first < rows ? places - *first : rows),
                             .n = p->rank};
}

void cpu_conv_beside_finish(const struct conv_delta *d, int64_t first, const struct cpu_gemm *g)
{
    const struct cpu_conv_plan *p = d->plan;

    for (int y = 0; y < g->m; y++) {
        float *at = g->acc + (size_t)y * g->acc_stride;
        for (int i = 0; i < d->n; at += d->list[i++].rank)
            for (int r = 0; r < d->list[i].rank; r++)
                at[r] *= d->list[i].factor;
    }
    const struct cpu_prepare prepare = {.to = d->workspace + p->delta_a_at +
                                              (size_t)first * cpu_conv_delta_row_bytes(p),
                                        .to_stride = cpu_conv_delta_row_bytes(p),
                                        .from = g->acc,
                                        .from_stride = g->acc_stride,
                                        .rows = g->m,
                                        .kc = p->rank,
                                        .kc_pad = (int)cpu_conv_delta_rank_pad(p)};
    p->k->prepare_rows(&prepare);
}

void cpu_conv_beside_pack_up(const struct conv_delta *d, int row, int n, int thread, void *to)
{
    const struct cpu_conv_plan *p = d->plan;
    const size_t rank = (size_t)p->rank;
    struct cpu_pack pack = {.to = to,
                            .stride = rank,
                            .n = n,
                            .kc = p->rank,
                            .kc_pad = (int)cpu_conv_delta_rank_pad(p),
                            .taps = 1};

    if (d->n == 1) {
        const struct weight_view *up = &d->list[0].up;
        pack.from = (const unsigned char *)up->bytes + (size_t)row * rank * dtype_bytes(up->dtype);
        pack.dtype = up->dtype;
    } else {
        float *rows = cpu_conv_delta_scratch(d, thread);
        pack.from = rows;
        pack.dtype = DTYPE_F32;
        for (int y = row; y < row + n; y++)
            for (int i = 0; i < d->n; rows += d->list[i++].rank) {
                const size_t own = (size_t)d->list[i].rank;
                cpu_conv_delta_convert(p, rows, &d->list[i].up, (size_t)y * own, own);
            }
    }
    p->k->pack_weights(&pack);
}

struct cpu_gemm cpu_conv_beside_up(const struct conv_delta *d, int64_t places)
{
    const struct cpu_conv_plan *p = d->plan;
    return (struct cpu_gemm){.acc_stride = p->acc_stride,
                             .a = d->workspace + p->delta_a_at,
                             .a_stride = cpu_conv_delta_row_bytes(p),
                             .tap = &no_tap,
                             .n_taps = 1,
                             .m = (int)places,
                             .kc_pad = (int)cpu_conv_delta_rank_pad(p),
                             .add = true};
}
