/* Networks from first principles for tests: double precision, one loop per index, no graph.
 *
 * Weights are not stored: each number follows from the weight's name and its place, so that the
 * network under test and this one agree without meeting. */
#ifndef NN_NN_TEST_NAIVE_H
#define NN_NN_TEST_NAIVE_H

#include "base/dtype.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* n, c, h, w as PyTorch; freed by naive_free_all. */
struct naive {
    int n, c, h, w;
    double *x;
};

enum { NAIVE_MAX_BLOCKS = 4096 };
static double *naive_blocks[NAIVE_MAX_BLOCKS];
static int naive_n_blocks;

static inline void naive_free_all(void)
{
    while (naive_n_blocks > 0)
        free(naive_blocks[--naive_n_blocks]);
}

static inline struct naive naive_new(int n, int c, int h, int w)
{
    struct naive t = {n, c, h, w, calloc((size_t)n * (size_t)c * (size_t)(h * w), sizeof(double))};
    if (!t.x || naive_n_blocks == NAIVE_MAX_BLOCKS)
        abort();
    naive_blocks[naive_n_blocks++] = t.x;
    return t;
}

static inline double *naive_at(struct naive t, int n, int c, int y, int x)
{
    return &t.x[(((size_t)n * (size_t)t.c + (size_t)c) * (size_t)t.h + (size_t)y) * (size_t)t.w +
                (size_t)x];
}

static inline uint64_t naive_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t naive_hash(const char *name)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return naive_mix(h);
}

/* Each weight is stored in one of the three types that checkpoints have. */
static inline enum dtype naive_dtype(const char *name)
{
    static const enum dtype types[3] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    return types[naive_hash(name) % 3];
}

/* Number i of a weight: matrices keep the variance of what they read, gains stand around 1. */
static inline float naive_weight(const char *name, int64_t fan_in, size_t i)
{
    const uint64_t bits = naive_mix(naive_hash(name) + 0x9e3779b97f4a7c15u * (i + 1));
    const double r = (double)(bits >> 11) * 0x1p-52 - 1; /* -1..1 */
    const char *end = strrchr(name, '.');
    double v = r * sqrt(3.0 / (double)fan_in);

    if (strcmp(end, ".bias") == 0)
        v = 0.2 * r;
    else if (fan_in == 1)
        v = 1 + 0.3 * r;
    const float f = (float)v;
    switch (naive_dtype(name)) {
    case DTYPE_F16:
        return dtype_f32_from_f16(dtype_f16_from_f32(f));
    case DTYPE_BF16:
        return dtype_f32_from_bf16(dtype_bf16_from_f32(f));
    default:
        return f;
    }
}

struct naive_name {
    char text[160];
};

static inline struct naive_name naive_name(const char *fmt, ...)
{
    struct naive_name name;
    va_list args;
    va_start(args, fmt);
    vsnprintf(name.text, sizeof name.text, fmt, args);
    va_end(args);
    return name;
}

/* Pseudo-random input. */
static inline struct naive naive_input(int n, int c, int h, int w, const char *name)
{
    struct naive t = naive_new(n, c, h, w);
    for (size_t i = 0; i < (size_t)n * (size_t)c * (size_t)(h * w); i++)
        t.x[i] = naive_weight(naive_name("input.%s", name).text, 3, i);
    return t;
}

/* kernel x kernel with `before` zeros above and left; the result is out_h x out_w. */
static inline struct naive naive_conv_to(struct naive in, const char *name, int out_c, int kernel,
                                         int stride, int before, int out_h, int out_w, bool bias)
{
    struct naive out = naive_new(in.n, out_c, out_h, out_w);
    const struct naive_name weight = naive_name("%s.weight", name),
                            add = naive_name("%s.bias", name);
    const int fan_in = in.c * kernel * kernel;
    float *w = malloc((size_t)fan_in * sizeof *w);

    if (!w)
        abort();
    for (int o = 0; o < out_c; o++) {
        const double b = bias ? naive_weight(add.text, 1, (size_t)o) : 0;
        for (int i = 0; i < fan_in; i++)
            w[i] = naive_weight(weight.text, fan_in, (size_t)o * (size_t)fan_in + (size_t)i);
        for (int n = 0; n < in.n; n++)
            for (int y = 0; y < out_h; y++)
                for (int x = 0; x < out_w; x++) {
                    double sum = b;
                    for (int c = 0; c < in.c; c++)
                        for (int k = 0; k < kernel * kernel; k++) {
                            const int sy = y * stride + k / kernel - before;
                            const int sx = x * stride + k % kernel - before;
                            if (sy >= 0 && sy < in.h && sx >= 0 && sx < in.w)
                                sum += *naive_at(in, n, c, sy, sx) * w[c * kernel * kernel + k];
                        }
                    *naive_at(out, n, o, y, x) = sum;
                }
    }
    free(w);
    return out;
}

static inline struct naive naive_conv3(struct naive in, const char *name, int out_c)
{
    return naive_conv_to(in, name, out_c, 3, 1, 1, in.h, in.w, true);
}

static inline struct naive naive_linear(struct naive in, const char *name, int out_c, bool bias)
{
    return naive_conv_to(in, name, out_c, 1, 1, 0, in.h, in.w, bias);
}

static inline size_t naive_count(struct naive t)
{
    return (size_t)t.n * (size_t)t.c * (size_t)(t.h * t.w);
}

static inline struct naive naive_map(struct naive in, double (*f)(double))
{
    struct naive out = naive_new(in.n, in.c, in.h, in.w);
    for (size_t i = 0; i < naive_count(in); i++)
        out.x[i] = f(in.x[i]);
    return out;
}

static inline double naive_silu(double x)
{
    return x / (1 + exp(-x));
}

static inline double naive_gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static inline double naive_quick_gelu(double x)
{
    return x / (1 + exp(-1.702 * x));
}

static inline struct naive naive_add(struct naive a, struct naive b)
{
    struct naive out = naive_new(a.n, a.c, a.h, a.w);
    if (naive_count(a) != naive_count(b))
        abort();
    for (size_t i = 0; i < naive_count(a); i++)
        out.x[i] = a.x[i] + b.x[i];
    return out;
}

/* Channels of a, then those of b. */
static inline struct naive naive_join(struct naive a, struct naive b)
{
    struct naive out = naive_new(a.n, a.c + b.c, a.h, a.w);
    if (a.n != b.n || a.h != b.h || a.w != b.w)
        abort();
    for (int n = 0; n < a.n; n++)
        for (int c = 0; c < out.c; c++)
            for (int i = 0; i < a.h * a.w; i++)
                *naive_at(out, n, c, 0, i) =
                    c < a.c ? *naive_at(a, n, c, 0, i) : *naive_at(b, n, c - a.c, 0, i);
    return out;
}

/* torch.nn.functional.interpolate(size=(h, w), mode="nearest"). */
static inline struct naive naive_resize(struct naive in, int h, int w)
{
    struct naive out = naive_new(in.n, in.c, h, w);
    for (int n = 0; n < in.n; n++)
        for (int c = 0; c < in.c; c++)
            for (int y = 0; y < h; y++)
                for (int x = 0; x < w; x++)
                    *naive_at(out, n, c, y, x) = *naive_at(in, n, c, y * in.h / h, x * in.w / w);
    return out;
}

/* Channels first..first + count - 1. */
static inline struct naive naive_channels(struct naive in, int first, int count)
{
    struct naive out = naive_new(in.n, count, in.h, in.w);
    for (int n = 0; n < in.n; n++)
        for (int c = 0; c < count; c++)
            for (int i = 0; i < in.h * in.w; i++)
                *naive_at(out, n, c, 0, i) = *naive_at(in, n, first + c, 0, i);
    return out;
}

/* Channels c0..c0 + n_c - 1 of picture n at places p0..p0 + n_p - 1, brought to mean 0 and
 * variance 1. */
static inline void naive_standardise(struct naive in, struct naive out, int n, int c0, int n_c,
                                     int p0, int n_p, double eps)
{
    double mean = 0, variance = 0;
    for (int c = c0; c < c0 + n_c; c++)
        for (int p = p0; p < p0 + n_p; p++)
            mean += *naive_at(in, n, c, 0, p) / (n_c * n_p);
    for (int c = c0; c < c0 + n_c; c++)
        for (int p = p0; p < p0 + n_p; p++)
            variance += pow(*naive_at(in, n, c, 0, p) - mean, 2) / (n_c * n_p);
    for (int c = c0; c < c0 + n_c; c++)
        for (int p = p0; p < p0 + n_p; p++)
            *naive_at(out, n, c, 0, p) = (*naive_at(in, n, c, 0, p) - mean) / sqrt(variance + eps);
}

static inline void naive_gain(struct naive t, const char *name)
{
    const struct naive_name weight = naive_name("%s.weight", name),
                            bias = naive_name("%s.bias", name);
    for (int n = 0; n < t.n; n++)
        for (int c = 0; c < t.c; c++)
            for (int p = 0; p < t.h * t.w; p++) {
                double *x = naive_at(t, n, c, 0, p);
                *x = *x * naive_weight(weight.text, 1, (size_t)c) +
                     naive_weight(bias.text, 1, (size_t)c);
            }
}

static inline struct naive naive_group_norm(struct naive in, const char *name, int groups,
                                            double eps)
{
    struct naive out = naive_new(in.n, in.c, in.h, in.w);
    for (int n = 0; n < in.n; n++)
        for (int g = 0; g < groups; g++)
            naive_standardise(in, out, n, g * (in.c / groups), in.c / groups, 0, in.h * in.w, eps);
    naive_gain(out, name);
    return out;
}

static inline struct naive naive_layer_norm(struct naive in, const char *name, double eps)
{
    struct naive out = naive_new(in.n, in.c, in.h, in.w);
    for (int n = 0; n < in.n; n++)
        for (int p = 0; p < in.h * in.w; p++)
            naive_standardise(in, out, n, 0, in.c, p, 1, eps);
    naive_gain(out, name);
    return out;
}

static inline struct naive naive_attention(struct naive q, struct naive k, struct naive v,
                                           int heads, bool causal)
{
    struct naive out = naive_new(q.n, q.c, q.h, q.w);
    const int d = q.c / heads, n_keys = k.h * k.w;
    double *score = malloc((size_t)n_keys * sizeof *score);

    if (!score)
        abort();
    for (int n = 0; n < q.n; n++)
        for (int head = 0; head < heads; head++)
            for (int i = 0; i < q.h * q.w; i++) {
                const int seen = causal ? i + 1 : n_keys;
                double sum = 0;
                for (int j = 0; j < seen; j++) {
                    double dot = 0;
                    for (int c = head * d; c < head * d + d; c++)
                        dot += *naive_at(q, n, c, 0, i) * *naive_at(k, n, c, 0, j);
                    sum += score[j] = exp(dot / sqrt(d));
                }
                for (int c = head * d; c < head * d + d; c++)
                    for (int j = 0; j < seen; j++)
                        *naive_at(out, n, c, 0, i) += score[j] / sum * *naive_at(v, n, c, 0, j);
            }
    free(score);
    return out;
}

#endif
