/* The inner loops of the CPU, one table per instruction set, chosen once at start.
 *
 * Activations are float32 rows (NHWC): one row is the c numbers of one place.  Everything that adds
 * up along k adds in the same order whatever m, n and the caller's blocking are, so that a result
 * does not depend on how work is split.
 *
 * A product C = A B runs on prepared forms whose inside only the table knows:
 *   A rows:   `prepare_rows` writes kc_pad numbers as 4*kc_pad bytes (float32, or two bfloat16
 * halves whose sum carries 16 bits of significand).  kc_pad is kc rounded up to k_multiple. B
 * panels: `pack_weights` / `pack_columns` write `nr` columns as taps * kc_pad * nr * 4 bytes. The
 * portable table stands first and is the one the others are tested against. */
#ifndef ENGINE_CPU_CPU_KERNELS_H
#define ENGINE_CPU_CPU_KERNELS_H

#include "base/dtype.h"
#include "base/error.h"
#include "engine/graph.h"

#include <stdint.h>

enum { CPU_KERNELS_MAX_MR = 64, CPU_KERNELS_MAX_NR = 64, CPU_KERNELS_MAX_TAPS = 9 };

/* acc[i][j] = (add ? acc[i][j] : 0) + sum over t, k of A[i + tap t][k] * B[t][k][j] */
struct cpu_gemm {
    float *acc; /* 64-byte aligned; m rounded up to mr rows and n to nr columns are written */
    size_t acc_stride; /* floats between rows; a multiple of 16 */
    const void *a;     /* prepared rows, or plain float32 rows where a_is_f32 */
    size_t a_stride;   /* bytes between rows; rows up to m - 1 rounded up to mr are readable unless
                          a_is_f32, which reads no row beyond m - 1 */
    const ptrdiff_t *tap; /* n_taps byte offsets added to a */
    int n_taps;
    const void
        *b; /* panels, one after another, each n_taps * kc_pad * nr * 4 bytes; 64-byte aligned */
    int m, n, kc_pad;
    bool add;
};

/* Brings rows to A form: y = x*scale + shift (both NULL: y = x), then y*sigmoid(y) if silu. */
struct cpu_prepare {
    void *to;           /* 64-byte aligned rows */
    size_t to_stride;   /* bytes */
    const float *from;  /* rows of at least kc numbers */
    size_t from_stride; /* floats; 0 repeats one row */
    int rows;
    int kc, kc_pad; /* numbers kc..kc_pad-1 become zero */
    const float *scale, *shift;
    bool silu;
};

/* Brings nr columns of B to panel form from weights laid out [n][k][taps] (a convolution's
 * [out][in][kh*kw], or a linear layer's [out][in] with taps 1). */
struct cpu_pack {
    void *to;         /* one panel, 64-byte aligned */
    const void *from; /* first number of column 0; alignment of one byte is enough */
    enum dtype dtype; /* F32, F16 or BF16 */
    size_t stride;    /* numbers between columns */
    int n;            /* columns there are, at most nr; the rest become zero */
    int kc, kc_pad;   /* k there are; the rest become zero */
    int taps;         /* numbers between k are `taps`, tap t lies at +t */
};

/* out = outer + outer_scale * (residual + scale * act(acc + bias + channel_add)), row by row, each
 * step rounded; pointers may be NULL where said. */
struct cpu_finish {
    float *out;
    size_t out_stride; /* floats */
    const float *acc;
    size_t acc_stride;
    const float *gate; /* GEGLU: out = (acc + bias) * gelu(gate + gate_bias); same stride as acc */
    const float *bias, *gate_bias; /* n numbers, or NULL */
    const float *channel_add;      /* n numbers, or NULL */
    const float *residual;         /* may equal out; or NULL */
    size_t residual_stride;
    const float *outer; /* like residual; NULL: neither added nor scaled */
    size_t outer_stride;
    float scale; /* 0: 1 */
    float outer_scale;
    int rows, n;
    enum graph_act act;
};

/* One block of columns of streaming softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
 * On entry row_max/row_sum hold the state so far (-INFINITY and 0 at first).  scores are replaced
 * by exp(score*scale - new max); factor[i] = exp(old max - new max) tells what to multiply the
 * row's earlier results with.  Row i sees only its first min(cols, visible + i) columns when
 * causal. */
struct cpu_softmax {
    float *scores;
    size_t stride;
    int rows, cols;
    float scale;
    bool causal;
    int visible; /* columns row 0 sees; may be zero or negative */
    float *row_max, *row_sum, *factor;
};

struct cpu_kernels {
    const char *name; /* "portable", "avx2", "avx512", "amx", "neon" */
    int mr, nr;       /* the register tile; callers round blocks to it */
    int k_multiple;
    bool a_is_f32; /* A form is plain float32 rows: prepare_rows may be skipped */

    void (*gemm)(const struct cpu_gemm *g);
    void (*prepare_rows)(const struct cpu_prepare *p);
    void (*pack_weights)(const struct cpu_pack *p);
    /* The same from float32 [k][n] rows: stride is numbers between k, columns are neighbours;
     * dtype is F32 and taps 1. */
    void (*pack_columns)(const struct cpu_pack *p);
    void (*finish_rows)(const struct cpu_finish *f);

    void (*softmax_rows)(const struct cpu_softmax *s);
    void (*scale_rows)(float *x, size_t stride, int rows, int cols, const float *factor);
    void (*layer_norm_rows)(float *out, const float *x, size_t rows, int c, const float *weight,
                            const float *bias, float eps);
    /* sum[c] and sum_squares[c] over rows (overwritten), each in float64 after at most 64 rows of
     * float32. */
    void (*channel_sums)(double *sum, double *sum_squares, const float *x, size_t stride,
                         size_t rows, int c);
    /* out = act(a + b); b may be NULL, out may be a. */
    void (*act_rows)(float *out, const float *a, const float *b, size_t n, enum graph_act act);
    void (*to_f32)(float *to, const void *from, enum dtype dtype, size_t n);
    /* To F32 or F16, rounded to nearest, ties to even; `to` needs no alignment. */
    void (*from_f32)(void *to, const float *from, enum dtype dtype, size_t n);
};

/* Bytes from one prepared row to the next where the caller is free to choose: an odd number of
 * cache lines for matrix units, whose 16 rows at a time would else share a few sets of the first
 * cache (measured on AMX: 1060 GFLOP/s instead of 710 at kc 320). */
static inline size_t cpu_kernels_row_bytes(const struct cpu_kernels *k, int kc_pad)
{
    const size_t bytes = (size_t)kc_pad * 4;
    return k->a_is_f32 ? bytes : (bytes + 63) / 64 * 64 | 64;
}

/* Called by every thread before it runs a gemm of this table, and after (AMX sets up its tiles);
 * may be called when there is nothing to do. */
void cpu_kernels_thread_begin(const struct cpu_kernels *k);
void cpu_kernels_thread_end(const struct cpu_kernels *k);

/* The best table this processor and system can run, or the one named ("auto" or NULL: the best).
 * Returns NULL and an error that lists the possible names when the named one is unknown or cannot
 * run here. */
const struct cpu_kernels *cpu_kernels_find(const char *name, struct error *err);

/* Tables that can run here, portable first; returns how many (at most 8). */
int cpu_kernels_list(const struct cpu_kernels *out[8]);

#endif
