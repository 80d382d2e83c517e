/* Every table against loops in double precision: what goes row by row. */
#include "base/test.h"
#include "engine/cpu/cpu_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t random_state = 1;

static float random_float(float size)
{
    random_state = random_state * 1664525u + 1013904223u;
    return ((float)(random_state >> 8) * 0x1p-23f - 1.0f) * size;
}

/* Exactly so many, so that the sanitizer sees the first one beyond them. */
static float *random_floats(size_t n, float size)
{
    float *p = malloc(n ? n * sizeof(float) : 1);
    if (!p)
        abort();
    for (size_t i = 0; i < n; i++)
        p[i] = random_float(size);
    return p;
}

static double exact_act(double x, enum graph_act act)
{
    switch (act) {
    case GRAPH_ACT_SILU:
        return x / (1 + exp(-x));
    case GRAPH_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case GRAPH_ACT_GELU:
        return x * 0.5 * erfc(-x / sqrt(2));
    case GRAPH_ACT_RELU:
        return x > 0 ? x : 0;
    case GRAPH_ACT_LEAKY_RELU:
        return x > 0 ? x : 0.2 * x;
    default:
        return x;
    }
}

static bool close_to(float got, double want, double absolute, double relative)
{
    return fabs((double)got - want) <= absolute + relative * fabs(want);
}

static void activates_like_double_precision(const struct cpu_kernels *k)
{
    static const enum graph_act acts[] = {GRAPH_ACT_NONE, GRAPH_ACT_SILU, GRAPH_ACT_QUICK_GELU,
                                          GRAPH_ACT_GELU, GRAPH_ACT_RELU, GRAPH_ACT_LEAKY_RELU};
    enum { COUNT = 4001 };
    float *x = malloc(COUNT * sizeof(float)), *out = malloc(COUNT * sizeof(float));
    if (!x || !out)
        abort();
    for (int i = 0; i < COUNT; i++) /* dense near zero, to 1.6e38 outside */
        x[i] = (i % 2 ? -1.0f : 1.0f) * (float)i * 0.005f;
    for (int i = 0; i < 256; i++)
        x[COUNT - 1 - i] = (i % 2 ? -1.0f : 1.0f) * ldexpf(1.0f, i / 2);
    for (size_t a = 0; a < sizeof acts / sizeof *acts; a++) {
        k->act_rows(out, x, NULL, COUNT, acts[a]);
        int wrong = 0;
        for (int i = 0; i < COUNT; i++)
            wrong += !close_to(out[i], exact_act((double)x[i], acts[a]), 1e-6, 1e-6);
        CHECK(wrong == 0);
        for (int i = 0; i < 40; i++) { /* a lone number is what it is in a crowd */
            float alone;
            k->act_rows(&alone, x + i, NULL, 1, acts[a]);
            CHECK(memcmp(&alone, out + i, sizeof alone) == 0);
        }
    }
    k->act_rows(x, x, out, COUNT, GRAPH_ACT_SILU);
    CHECK(x[0] == x[0]);
    free(x);
    free(out);
}

static void adds_before_it_activates(const struct cpu_kernels *k)
{
    float *a = random_floats(37, 3), *b = random_floats(37, 3), *out = random_floats(37, 1);
    k->act_rows(out, a, b, 37, GRAPH_ACT_SILU);
    for (int i = 0; i < 37; i++)
        CHECK(close_to(out[i], exact_act((double)(a[i] + b[i]), GRAPH_ACT_SILU), 1e-6, 1e-6));
    k->act_rows(a, a, b, 37, GRAPH_ACT_SILU);
    CHECK(memcmp(a, out, 37 * sizeof(float)) == 0);
    free(a);
    free(b);
    free(out);
}

/* Which optional inputs there are: one bit each. */
enum { BIAS = 1, CHANNEL = 2, RESIDUAL = 4, GATE = 8, WITH_SILU = 16, FINISHES = 32 };

static void finish_once(const struct cpu_kernels *k, int n, int what)
{
    enum { ROWS = 3 };
    const size_t stride = (size_t)n + 5, count = (ROWS - 1) * stride + (size_t)n;
    float *acc = random_floats(count, 2), *gate = random_floats(count, 2);
    float *bias = random_floats((size_t)n, 1), *gate_bias = random_floats((size_t)n, 1);
    float *channel = random_floats((size_t)n, 1), *residual = random_floats(count, 1);
    float *out = random_floats(count, 1);
    const struct cpu_finish f = {.out = out,
                                 .out_stride = stride,
                                 .acc = acc,
                                 .acc_stride = stride,
                                 .gate = what & GATE ? gate : NULL,
                                 .bias = what & BIAS ? bias : NULL,
                                 .gate_bias = what & BIAS ? gate_bias : NULL,
                                 .channel_add = what & CHANNEL ? channel : NULL,
                                 .residual = what & RESIDUAL ? residual : NULL,
                                 .residual_stride = stride,
                                 .rows = ROWS,
                                 .n = n,
                                 .act = what & GATE        ? GRAPH_ACT_GEGLU
                                        : what & WITH_SILU ? GRAPH_ACT_SILU
                                                           : GRAPH_ACT_NONE};
    k->finish_rows(&f);
    int wrong = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < (size_t)n; j++) {
            const size_t at = i * stride + j;
            double x = (double)acc[at] + (what & BIAS ? (double)bias[j] : 0) +
                       (what & CHANNEL ? (double)channel[j] : 0);
            if (what & GATE)
                x *= exact_act((double)gate[at] + (what & BIAS ? (double)gate_bias[j] : 0),
                               GRAPH_ACT_GELU);
            else
                x = exact_act(x, f.act);
            wrong +=
                !close_to(out[at], x + (what & RESIDUAL ? (double)residual[at] : 0), 3e-6, 1e-6);
        }
    CHECK(wrong == 0);
    free(acc);
    free(gate);
    free(bias);
    free(gate_bias);
    free(channel);
    free(residual);
    free(out);
}

static void finishes_rows_of_every_kind(const struct cpu_kernels *k)
{
    static const int widths[] = {1, 3, 4, 15, 16, 33, 320};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int what = 0; what < FINISHES; what++)
            finish_once(k, widths[i], what);
}

/* Only for float32 rows: what other forms hold, the products of cpu_kernels_test show. */
static void prepares_rows(const struct cpu_kernels *k)
{
    static const int widths[] = {1, 4, 17, 64, 321};
    for (size_t w = 0; k->a_is_f32 && w < sizeof widths / sizeof *widths; w++) {
        const int kc = widths[w], kc_pad = kc + 3;
        float *from = random_floats((size_t)kc * 2, 4), *to = random_floats((size_t)kc_pad * 2, 1);
        float *scale = random_floats((size_t)kc, 2), *shift = random_floats((size_t)kc, 2);
        for (int what = 0; what < 4; what++) {
            const struct cpu_prepare p = {.to = to,
                                          .to_stride = (size_t)kc_pad * 4,
                                          .from = from,
                                          .from_stride = (size_t)kc,
                                          .rows = 2,
                                          .kc = kc,
                                          .kc_pad = kc_pad,
                                          .scale = what & 1 ? scale : NULL,
                                          .shift = what & 1 ? shift : NULL,
                                          .silu = what & 2};
            k->prepare_rows(&p);
            int wrong = 0;
            for (int i = 0; i < 2 * kc_pad; i++) {
                const int row = i / kc_pad, j = i % kc_pad;
                double x = j < kc ? (double)from[row * kc + j] : 0;
                if (j < kc && what & 1)
                    x = x * (double)scale[j] + (double)shift[j];
                wrong += !close_to(to[i], what & 2 ? exact_act(x, GRAPH_ACT_SILU) : x, 2e-6, 1e-6);
            }
            CHECK(wrong == 0);
        }
        free(from);
        free(to);
        free(scale);
        free(shift);
    }
}

enum { SOFT_ROWS = 5 };

/* Two blocks of columns one after the other against one softmax over both. */
static void softmax_once(const struct cpu_kernels *k, int first, int second, bool causal)
{
    const int cols[2] = {first, second}, total = first + second;
    const float scale = 0.37f;
    float *scores = random_floats((size_t)(SOFT_ROWS * total), 30);
    double weights[SOFT_ROWS][2] = {{0}}; /* sum of p over the blocks, after rescaling */
    float max[SOFT_ROWS], sum[SOFT_ROWS], factor[SOFT_ROWS];

    for (int i = 0; i < SOFT_ROWS; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int b = 0, at = 0; b < 2; at += cols[b++]) {
        float *x = random_floats((size_t)(SOFT_ROWS * cols[b]), 1);
        for (int i = 0; i < SOFT_ROWS; i++)
            memcpy(x + i * cols[b], scores + i * total + at, (size_t)cols[b] * sizeof(float));
        const struct cpu_softmax s = {.scores = x,
                                      .stride = (size_t)cols[b],
                                      .rows = SOFT_ROWS,
                                      .cols = cols[b],
                                      .scale = scale,
                                      .causal = causal,
                                      .visible = 1 - at,
                                      .row_max = max,
                                      .row_sum = sum,
                                      .factor = factor};
        k->softmax_rows(&s);
        for (int i = 0; i < SOFT_ROWS; i++) {
            weights[i][0] *= (double)factor[i];
            for (int j = 0; j < cols[b]; j++) {
                const bool sees = !causal || at + j <= i;
                CHECK(sees || x[i * cols[b] + j] == 0);
                weights[i][b] += (double)x[i * cols[b] + j];
            }
        }
        free(x);
    }
    for (int i = 0; i < SOFT_ROWS; i++) {
        double most = -INFINITY, part[2] = {0, 0};
        for (int j = 0; j < total; j++)
            if (!causal || j <= i)
                most = fmax(most, (double)scores[i * total + j] * (double)scale);
        for (int j = 0; j < total; j++)
            if (!causal || j <= i)
                part[j >= first] += exp((double)scores[i * total + j] * (double)scale - most);
        CHECK(close_to(max[i], most, 1e-6, 1e-6));
        CHECK(close_to(sum[i], part[0] + part[1], 0, 3e-6));
        CHECK(fabs(weights[i][0] - part[0]) < 3e-6 * (part[0] + part[1]));
        CHECK(fabs(weights[i][1] - part[1]) < 3e-6 * (part[0] + part[1]));
    }
    free(scores);
}

static void streams_a_softmax(const struct cpu_kernels *k)
{
    static const int widths[] = {1, 2, 7, 16, 33, 77, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) {
            softmax_once(k, widths[i], widths[j], false);
            softmax_once(k, widths[i], widths[j], true);
        }
}

static void leaves_a_row_that_sees_nothing_as_it_is(const struct cpu_kernels *k)
{
    float *x = random_floats(20, 1);
    float max = 1.5f, sum = 2.5f, factor = 0;
    const struct cpu_softmax s = {.scores = x,
                                  .stride = 20,
                                  .rows = 1,
                                  .cols = 20,
                                  .scale = 1,
                                  .causal = true,
                                  .visible = -3,
                                  .row_max = &max,
                                  .row_sum = &sum,
                                  .factor = &factor};
    k->softmax_rows(&s);
    CHECK(max == 1.5f && sum == 2.5f && factor == 1.0f);
    for (int i = 0; i < 20; i++)
        CHECK(x[i] == 0);
    free(x);
}

/* The exponent is rounded to float32 on the way, so the error grows with it. */
static void makes_exponentials(const struct cpu_kernels *k)
{
    enum { COUNT = 901 };
    float *x = random_floats(COUNT, 1);
    float max = -INFINITY, sum = 0, factor = 0;
    const struct cpu_softmax s = {.scores = x,
                                  .stride = COUNT,
                                  .rows = 1,
                                  .cols = COUNT,
                                  .scale = 0.5f,
                                  .row_max = &max,
                                  .row_sum = &sum,
                                  .factor = &factor};
    for (int i = 0; i < COUNT; i++)
        x[i] = -0.2f * (float)i;
    x[COUNT - 1] = -INFINITY;
    x[COUNT - 2] = -3e38f;
    k->softmax_rows(&s);
    CHECK(max == 0 && factor == 0 && x[0] == 1);
    CHECK(x[COUNT - 1] == 0 && x[COUNT - 2] == 0);
    int wrong = 0;
    for (int i = 0; i < COUNT - 2; i++) {
        const double y = 0.5 * (double)(-0.2f * (float)i), want = exp(y);
        wrong += y > -87 ? !close_to(x[i], want, 0, 2e-7 - 1.2e-7 * y) : !(x[i] < 1.7e-38f);
    }
    CHECK(wrong == 0);
    free(x);
}

static void normalises_layers(const struct cpu_kernels *k)
{
    static const int widths[] = {1, 5, 16, 77, 320, 1280, 1283};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const int c = widths[w];
        const size_t n = (size_t)c;
        float *x = random_floats(2 * n, 3), *out = random_floats(2 * n, 1);
        float *weight = random_floats(n, 2), *bias = random_floats(n, 2);
        for (size_t i = 0; i < 2 * n; i++)
            x[i] += 10; /* a mean far from zero */
        k->layer_norm_rows(out, x, 2, c, weight, bias, 1e-5f);
        for (size_t r = 0; r < 2; r++) {
            double mean = 0, variance = 0;
            for (size_t i = 0; i < n; i++)
                mean += (double)x[r * n + i] / c;
            for (size_t i = 0; i < n; i++)
                variance += ((double)x[r * n + i] - mean) * ((double)x[r * n + i] - mean) / c;
            int wrong = 0;
            for (size_t i = 0; i < n; i++) {
                const double y = ((double)x[r * n + i] - mean) / sqrt(variance + 1e-5);
                wrong +=
                    !close_to(out[r * n + i], y * (double)weight[i] + (double)bias[i], 1e-5, 1e-5);
            }
            CHECK(wrong == 0);
        }
        free(x);
        free(out);
        free(weight);
        free(bias);
    }
}

static void sums_channels(const struct cpu_kernels *k)
{
    static const int widths[] = {1, 3, 17, 64, 320, 333};
    static const size_t heights[] = {1, 63, 64, 65, 200};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
            const size_t c = (size_t)widths[w], rows = heights[h], stride = c + 2;
            float *x = random_floats((rows - 1) * stride + c, 2);
            double sum[333], squares[333];
            k->channel_sums(sum, squares, x, stride, rows, widths[w]);
            int wrong = 0;
            for (size_t j = 0; j < c; j++) {
                double s = 0, q = 0;
                for (size_t r = 0; r < rows; r++) {
                    s += (double)x[r * stride + j];
                    q += (double)x[r * stride + j] * (double)x[r * stride + j];
                }
                wrong += !(fabs(sum[j] - s) < 1e-6 * (double)rows);
                wrong += !(fabs(squares[j] - q) < 1e-6 * (double)rows);
            }
            CHECK(wrong == 0);
            free(x);
        }
}

static void scales_rows(const struct cpu_kernels *k)
{
    static const int widths[] = {1, 7, 40, 64};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t n = (size_t)widths[w], stride = n + 1;
        float *x = random_floats(stride + n, 1), *old = random_floats(stride + n, 1);
        const float factor[2] = {0.5f, 3.0f};
        memcpy(old, x, (stride + n) * sizeof(float));
        k->scale_rows(x, stride, 2, widths[w], factor);
        for (size_t i = 0; i < stride + n; i++)
            CHECK(x[i] == (i == n ? old[i] : old[i] * factor[i > n]));
        free(x);
        free(old);
    }
}

int main(void)
{
    const struct cpu_kernels *k[8];
    const int n = cpu_kernels_list(k);
    for (int i = 0; i < n; i++) {
        const int failures = test_failures;
        activates_like_double_precision(k[i]);
        adds_before_it_activates(k[i]);
        finishes_rows_of_every_kind(k[i]);
        prepares_rows(k[i]);
        streams_a_softmax(k[i]);
        leaves_a_row_that_sees_nothing_as_it_is(k[i]);
        makes_exponentials(k[i]);
        normalises_layers(k[i]);
        sums_channels(k[i]);
        scales_rows(k[i]);
        fprintf(stderr, "%s: %s\n", k[i]->name, failures == test_failures ? "good" : "wrong");
    }
    return TEST_END();
}
