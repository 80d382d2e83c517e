/* Everything that goes row by row: forms of A, activations, softmax, norms.
 * Included by cpu_isa_template.h.
 *
 * The last numbers of a row run through the same vector code as the others, so a number's value
 * does not depend on where a row or a block ends. */
#ifndef ENGINE_CPU_CPU_ISA_ROWS_H
#define ENGINE_CPU_CPU_ISA_ROWS_H

#include "engine/cpu/cpu_isa_pack.h"

#include <math.h>

/* n numbers, at most VEC_LANES. */
ALWAYS_INLINE vf load_some(const float *p, int n)
{
    return n == VEC_LANES ? load(p) : load_part(p, n);
}

ALWAYS_INLINE void store_some(float *p, vf v, int n)
{
    if (n == VEC_LANES)
        store(p, v);
    else
        store_part(p, v, n);
}

ALWAYS_INLINE int lanes_left(int64_t n, int64_t at)
{
    return n - at < VEC_LANES ? (int)(n - at) : VEC_LANES;
}

ALWAYS_INLINE void prepare_kind(const struct cpu_prepare *p, const bool affine,
                                const bool with_silu)
{
    for (int i = 0; i < p->rows; i++) {
        float *to = (float *)(void *)((unsigned char *)p->to + (size_t)i * p->to_stride);
        const float *from = p->from + (size_t)i * p->from_stride;
        for (int k = 0; k < p->kc; k += VEC_LANES) {
            const int n = lanes_left(p->kc, k);
            vf x = load_some(from + k, n);
            if (affine)
                x = VEC_FMA(x, load_some(p->scale + k, n), load_some(p->shift + k, n));
            if (with_silu)
                x = silu(x);
            store_some(to + k, x, n);
        }
        memset(to + p->kc, 0, (size_t)(p->kc_pad - p->kc) * sizeof(float));
    }
}

static void prepare_rows(const struct cpu_prepare *p)
{
    if (p->scale && p->silu)
        prepare_kind(p, true, true);
    else if (p->scale)
        prepare_kind(p, true, false);
    else if (p->silu)
        prepare_kind(p, false, true);
    else
        prepare_kind(p, false, false);
}

ALWAYS_INLINE void finish_kind(const struct cpu_finish *f, const enum graph_act act)
{
    for (int i = 0; i < f->rows; i++) {
        const float *acc = f->acc + (size_t)i * f->acc_stride;
        const float *gate = f->gate ? f->gate + (size_t)i * f->acc_stride : NULL;
        const float *residual = f->residual ? f->residual + (size_t)i * f->residual_stride : NULL;
        const float *outer = f->outer ? f->outer + (size_t)i * f->outer_stride : NULL;
        float *out = f->out + (size_t)i * f->out_stride;
        for (int j = 0; j < f->n; j += VEC_LANES) {
            const int n = lanes_left(f->n, j);
            vf x = load_some(acc + j, n);
            if (f->bias)
                x += load_some(f->bias + j, n);
            if (f->channel_add)
                x += load_some(f->channel_add + j, n);
            if (gate) {
                vf g = load_some(gate + j, n);
                if (f->gate_bias)
                    g += load_some(f->gate_bias + j, n);
                x *= gelu(g);
            } else {
                x = activate(x, act);
            }
            if (f->scale != 0.0f)
                x *= splat(f->scale);
            if (residual)
                x += load_some(residual + j, n);
            if (outer)
                x = x * splat(f->outer_scale) + load_some(outer + j, n);
            store_some(out + j, x, n);
        }
    }
}

static void finish_rows(const struct cpu_finish *f)
{
    switch (f->act) {
    case GRAPH_ACT_SILU:
        finish_kind(f, GRAPH_ACT_SILU);
        break;
    case GRAPH_ACT_QUICK_GELU:
        finish_kind(f, GRAPH_ACT_QUICK_GELU);
        break;
    case GRAPH_ACT_GELU:
        finish_kind(f, GRAPH_ACT_GELU);
        break;
    case GRAPH_ACT_RELU:
        finish_kind(f, GRAPH_ACT_RELU);
        break;
    case GRAPH_ACT_LEAKY_RELU:
        finish_kind(f, GRAPH_ACT_LEAKY_RELU);
        break;
    case GRAPH_ACT_NONE:
    case GRAPH_ACT_GEGLU:
        finish_kind(f, GRAPH_ACT_NONE);
        break;
    }
}

ALWAYS_INLINE void act_kind(float *out, const float *a, const float *b, size_t n,
                            const enum graph_act act)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        const int some = lanes_left((int64_t)n, (int64_t)i);
        vf x = load_some(a + i, some);
        if (b)
            x += load_some(b + i, some);
        store_some(out + i, activate(x, act), some);
    }
}

static void act_rows(float *out, const float *a, const float *b, size_t n, enum graph_act act)
{
    switch (act) {
    case GRAPH_ACT_SILU:
        act_kind(out, a, b, n, GRAPH_ACT_SILU);
        break;
    case GRAPH_ACT_QUICK_GELU:
        act_kind(out, a, b, n, GRAPH_ACT_QUICK_GELU);
        break;
    case GRAPH_ACT_GELU:
        act_kind(out, a, b, n, GRAPH_ACT_GELU);
        break;
    case GRAPH_ACT_RELU:
        act_kind(out, a, b, n, GRAPH_ACT_RELU);
        break;
    case GRAPH_ACT_LEAKY_RELU:
        act_kind(out, a, b, n, GRAPH_ACT_LEAKY_RELU);
        break;
    case GRAPH_ACT_NONE:
    case GRAPH_ACT_GEGLU:
        act_kind(out, a, b, n, GRAPH_ACT_NONE);
        break;
    }
}

ALWAYS_INLINE float sum_lanes(vf v)
{
    double sum = 0;
    for (int i = 0; i < VEC_LANES; i++)
        sum += (double)v[i];
    return (float)sum;
}

ALWAYS_INLINE float max_lanes(vf v)
{
    float max = v[0];
    for (int i = 1; i < VEC_LANES; i++)
        max = v[i] > max ? v[i] : max;
    return max;
}

/* The largest of n > 0 scaled scores. */
static float scaled_max(const float *x, int n, vf scale)
{
    vf max[4] = {splat(-INFINITY), splat(-INFINITY), splat(-INFINITY), splat(-INFINITY)};
    int j = 0;

    for (; j + 4 * VEC_LANES <= n; j += 4 * VEC_LANES)
        for (int q = 0; q < 4; q++)
            max[q] = VEC_MAX(load(x + j + q * VEC_LANES) * scale, max[q]);
    for (; j + VEC_LANES <= n; j += VEC_LANES)
        max[0] = VEC_MAX(load(x + j) * scale, max[0]);
    float result = max_lanes(VEC_MAX(VEC_MAX(max[0], max[1]), VEC_MAX(max[2], max[3])));
    if (j < n) {
        const vf rest = load_part(x + j, n - j) * scale;
        for (int i = 0; i < n - j; i++)
            result = rest[i] > result ? rest[i] : result;
    }
    return result;
}

/* x becomes 2^(x*scale - max); returns the sum. */
static float exponentials(float *x, int n, vf scale, vf max)
{
    vf sum[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
    int j = 0;

    for (; j + 4 * VEC_LANES <= n; j += 4 * VEC_LANES)
        for (int q = 0; q < 4; q++) {
            float *at = x + j + q * VEC_LANES;
            const vf p = exp2_negative(VEC_FMA(load(at), scale, -max));
            store(at, p);
            sum[q] += p;
        }
    for (; j < n; j += VEC_LANES) {
        const int some = lanes_left(n, j);
        const vf p = exp2_negative(VEC_FMA(load_some(x + j, some), scale, -max));
        store_some(x + j, p, some);
        sum[0] += load_some(x + j, some);
    }
    return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* Exponents are taken to base 2.  A row's maximum is brought to that base in one way, here, so that
 * the factor between two blocks is exactly the one between their exponentials. */
static void softmax_rows(const struct cpu_softmax *s)
{
    const float log2_e = 1.44269504088896341f;
    const vf scale = splat(s->scale), scale2 = splat(s->scale * log2_e);

    for (int i = 0; i < s->rows; i++) {
        float *x = s->scores + (size_t)i * s->stride;
        const int64_t sees = s->causal ? (int64_t)s->visible + i : s->cols;
        const int n = sees < 0 ? 0 : sees < s->cols ? (int)sees : s->cols;
        const float old = s->row_max[i];
        const float block = n > 0 ? scaled_max(x, n, scale) : -INFINITY;
        const float max = block > old ? block : old;

        memset(x + n, 0, (size_t)(s->cols - n) * sizeof(float));
        s->factor[i] = 1.0f;
        if (n == 0)
            continue;
        if (max == -INFINITY) { /* every score is -infinity: as if nothing were visible */
            memset(x, 0, (size_t)n * sizeof(float));
            continue;
        }
        const float max2 = max * log2_e;
        s->factor[i] = exp2_negative(splat(old * log2_e - max2))[0];
        s->row_max[i] = max;
        s->row_sum[i] = s->row_sum[i] * s->factor[i] + exponentials(x, n, scale2, splat(max2));
    }
}

static void scale_rows(float *x, size_t stride, int rows, int cols, const float *factor)
{
    for (int i = 0; i < rows; i++, x += stride)
        for (int j = 0; j < cols; j += VEC_LANES) {
            const int n = lanes_left(cols, j);
            store_some(x + j, load_some(x + j, n) * splat(factor[i]), n);
        }
}

/* Sum of x - shift, or of its square. */
ALWAYS_INLINE float row_sum(const float *x, int c, vf shift, const bool squared)
{
    vf sum[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
    int j = 0;

    for (; j + 4 * VEC_LANES <= c; j += 4 * VEC_LANES)
        for (int q = 0; q < 4; q++) {
            const vf d = load(x + j + q * VEC_LANES) - shift;
            sum[q] = squared ? VEC_FMA(d, d, sum[q]) : sum[q] + d;
        }
    for (; j + VEC_LANES <= c; j += VEC_LANES) {
        const vf d = load(x + j) - shift;
        sum[0] = squared ? VEC_FMA(d, d, sum[0]) : sum[0] + d;
    }
    float rest = 0;
    for (; j < c; j++) {
        const float d = x[j] - shift[0];
        rest += squared ? d * d : d;
    }
    return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

static void layer_norm_rows(float *out, const float *x, size_t rows, int c, const float *weight,
                            const float *bias, float eps)
{
    for (size_t i = 0; i < rows; i++, x += c, out += c) {
        const vf mean = splat(row_sum(x, c, splat(0.0f), false) / (float)c);
        const float variance = row_sum(x, c, mean, true) / (float)c;
        const vf scale = splat(1.0f / sqrtf(variance + eps));
        for (int j = 0; j < c; j += VEC_LANES) {
            const int n = lanes_left(c, j);
            vf y = (load_some(x + j, n) - mean) * scale;
            if (weight)
                y *= load_some(weight + j, n);
            if (bias)
                y += load_some(bias + j, n);
            store_some(out + j, y, n);
        }
    }
}

enum { SUM_ROWS = 64, SUM_VECS = 4 };

/* At most SUM_VECS vectors of channels over at most SUM_ROWS rows, added to the float64 sums. */
ALWAYS_INLINE void sum_block(double *sum, double *sum_squares, const float *x, size_t stride,
                             size_t rows, int c, const int vecs)
{
    vf s[SUM_VECS], q[SUM_VECS];

    for (int v = 0; v < vecs; v++)
        s[v] = q[v] = splat(0.0f);
    for (size_t r = 0; r < rows; r++, x += stride)
        for (int v = 0; v < vecs; v++) {
            const vf y = load_some(x + v * VEC_LANES, vecs == 1 ? c : VEC_LANES);
            s[v] += y;
            q[v] = VEC_FMA(y, y, q[v]);
        }
    for (int v = 0; v < vecs; v++) {
        float lanes[VEC_LANES], squares[VEC_LANES];
        store(lanes, s[v]);
        store(squares, q[v]);
        const int n = vecs == 1 ? c : VEC_LANES;
        for (int i = 0; i < n; i++) {
            sum[v * VEC_LANES + i] += (double)lanes[i];
            sum_squares[v * VEC_LANES + i] += (double)squares[i];
        }
    }
}

static void channel_sums(double *sum, double *sum_squares, const float *x, size_t stride,
                         size_t rows, int c)
{
    for (int j = 0; j < c; j++)
        sum[j] = sum_squares[j] = 0;
    for (size_t r = 0; r < rows; r += SUM_ROWS, x += SUM_ROWS * stride) {
        const size_t n = rows - r < SUM_ROWS ? rows - r : SUM_ROWS;
        int j = 0;
        for (; j + SUM_VECS * VEC_LANES <= c; j += SUM_VECS * VEC_LANES)
            sum_block(sum + j, sum_squares + j, x + j, stride, n, 0, SUM_VECS);
        for (; j < c; j += VEC_LANES)
            sum_block(sum + j, sum_squares + j, x + j, stride, n, lanes_left(c, j), 1);
    }
}

#endif
