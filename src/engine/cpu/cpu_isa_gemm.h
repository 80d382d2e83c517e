/* The register tile: TILE_ROWS x TILE_VECS vectors of sums that stay in registers over all taps and
 * all k.  Included by cpu_isa_template.h. */
#ifndef ENGINE_CPU_CPU_ISA_GEMM_H
#define ENGINE_CPU_CPU_ISA_GEMM_H

#include "engine/cpu/cpu_isa_math.h"
#include "engine/cpu/cpu_kernels.h"

enum { TILE_COLUMNS = TILE_VECS * VEC_LANES };

/* How far ahead the panel is fetched, beyond its end too: it streams from the second-level cache,
 * and the processor's own prefetch falls behind where a tile of A fills the first. */
enum { TILE_AHEAD_BYTES = 16 * TILE_COLUMNS * 4 };

/* Every height and width adds in the same order, k by k within tap by tap, starting from what stood
 * in acc: neither the tile nor a caller's blocks of k change a result. */
ALWAYS_INLINE void tile_run(const struct cpu_gemm *g, const unsigned char *a, const float *b,
                            float *acc, const int rows, const int vecs)
{
    const size_t stride = g->a_stride;
    vf sum[TILE_ROWS][TILE_VECS];

    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vecs; j++)
        {
            const float *from = acc + (size_t)i * g->acc_stride + j * VEC_LANES;
            sum[i][j] = g->add ? load(from) : splat(0.0f);
        }
    }
    for (int t = 0; t < g->n_taps; t++) {
        const unsigned char *p = a + g->tap[t];
        for (int k = 0; k < g->kc_pad; k++) {
            vf column[TILE_VECS];
            UNROLL for (int j = 0; j < vecs; j++) column[j] = load(b + j * VEC_LANES);
            UNROLL for (int i = 0; i < rows; i++)
            {
                float x;
                memcpy(&x, p + (size_t)i * stride, sizeof x);
                UNROLL for (int j = 0; j < vecs; j++) sum[i][j] =
                    VEC_FMA(splat(x), column[j], sum[i][j]);
            }
            UNROLL for (int j = 0; j < vecs * VEC_LANES; j += 16)
                __builtin_prefetch((const void *)((uintptr_t)(b + j) + TILE_AHEAD_BYTES));
            p += sizeof(float);
            b += TILE_COLUMNS;
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vecs; j++)
            store(acc + (size_t)i * g->acc_stride + j * VEC_LANES, sum[i][j]);
    }
}

typedef void (*tile_fn)(const struct cpu_gemm *g, const unsigned char *a, const float *b,
                        float *acc);

#define TILE(rows, vecs)                                                                           \
    static void tile_##rows##_##vecs(const struct cpu_gemm *g, const unsigned char *a,             \
                                     const float *b, float *acc)                                   \
    {                                                                                              \
        tile_run(g, a, b, acc, rows, vecs);                                                        \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
#define TILE_ROW(rows)                                                                             \
    {                                                                                              \
        tile_##rows##_1, tile_##rows##_2                                                           \
    }

TILES(1)
TILES(2)
TILES(3)
TILES(4)
#if TILE_ROWS >= 6
TILES(5)
TILES(6)
#endif
#if TILE_ROWS >= 8
TILES(7)
TILES(8)
#endif
#if TILE_ROWS >= 12
TILES(9)
TILES(10)
TILES(11)
TILES(12)
#endif
#if TILE_ROWS >= 14
TILES(13)
TILES(14)
#endif

static const tile_fn tiles[TILE_ROWS][TILE_VECS] = {
    TILE_ROW(1),  TILE_ROW(2),  TILE_ROW(3),  TILE_ROW(4),
#if TILE_ROWS >= 6
    TILE_ROW(5),  TILE_ROW(6),
#endif
#if TILE_ROWS >= 8
    TILE_ROW(7),  TILE_ROW(8),
#endif
#if TILE_ROWS >= 12
    TILE_ROW(9),  TILE_ROW(10), TILE_ROW(11), TILE_ROW(12),
#endif
#if TILE_ROWS >= 14
    TILE_ROW(13), TILE_ROW(14),
#endif
};

/* Columns from n on are zeros in the panel: their vectors need no arithmetic. */
static void gemm(const struct cpu_gemm *g)
{
    const size_t panel = (size_t)g->n_taps * (size_t)g->kc_pad * TILE_COLUMNS;

    for (int i = 0; i < g->m; i += TILE_ROWS) {
        const int rows = g->m - i < TILE_ROWS ? g->m - i : TILE_ROWS;
        const unsigned char *a = (const unsigned char *)g->a + (size_t)i * g->a_stride;
        const float *b = g->b;
        for (int j = 0; j < g->n; j += TILE_COLUMNS, b += panel) {
            float *acc = g->acc + (size_t)i * g->acc_stride + j;
            const int left = g->n - j;
            const int vecs = left >= TILE_COLUMNS ? TILE_VECS : (left + VEC_LANES - 1) / VEC_LANES;
            tiles[rows - 1][vecs - 1](g, a, b, acc);
            if (vecs < TILE_VECS && !g->add)
                for (int r = 0; r < rows; r++)
                    memset(acc + (size_t)r * g->acc_stride + vecs * VEC_LANES, 0,
                           (size_t)(TILE_VECS - vecs) * sizeof(vf));
        }
    }
}

#endif
