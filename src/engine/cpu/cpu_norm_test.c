#include "engine/cpu/cpu_ops_testing.h"

#include <math.h>

struct bound {
    struct graph *g;
    struct weights *w;
    float *tensors[8];
    unsigned char *stored[2]; /* weight and bias, one byte off any alignment */
    float *plain[2];
};

/* Stores n numbers as dtype, unaligned, and what a reader must make of them in plain. */
static void store(struct bound *b, int i, int64_t n, enum dtype dtype)
{
    b->plain[i] = ops_testing_floats(n, 77 + (uint64_t)i);
    b->stored[i] = malloc((size_t)n * dtype_bytes(dtype) + 1);
    if (!b->stored[i])
        exit(2);
    for (int64_t j = 0; j < n; j++) {
        unsigned char *to = b->stored[i] + 1 + (size_t)j * dtype_bytes(dtype);
        const float x = b->plain[i][j];
        const uint16_t half = dtype == DTYPE_F16 ? dtype_f16_from_f32(x) : dtype_bf16_from_f32(x);
        memcpy(to, dtype == DTYPE_F32 ? (const void *)&x : (const void *)&half, dtype_bytes(dtype));
        if (dtype != DTYPE_F32)
            b->plain[i][j] =
                dtype == DTYPE_F16 ? dtype_f32_from_f16(half) : dtype_f32_from_bf16(half);
    }
}

static void bind(struct bound *b, int64_t n, enum dtype dtype, float offset)
{
    struct error err;
    struct weight_view views[2];
    for (int i = 0; i < 2; i++) {
        store(b, i, n, dtype);
        views[i] = (struct weight_view){b->stored[i] + 1, dtype, n};
    }
    CHECK(graph_check(b->g, &err));
    CHECK(weights_from_views(&b->w, b->g, views, &err));
    for (int t = 1; t <= graph_n_tensors(b->g); t++) {
        const int64_t count = ops_testing_count(b->g, t);
        b->tensors[t] = ops_testing_floats(count, (uint64_t)t);
        for (int64_t j = 0; j < count; j++)
            b->tensors[t][j] += offset;
    }
}

static void clear(struct bound *b)
{
    for (int t = 1; t <= graph_n_tensors(b->g); t++)
        free(b->tensors[t]);
    for (int i = 0; i < 2; i++) {
        free(b->stored[i]);
        free(b->plain[i]);
    }
    weights_free(b->w);
    graph_free(b->g);
}

static double *doubles(int64_t n)
{
    double *x = calloc((size_t)n, sizeof *x);
    if (!x)
        exit(2);
    return x;
}

struct group_case {
    const char *why;
    int64_t n, c1, c2, h, w;
    int groups;
    enum dtype dtype;
    float offset;
};

/* Mean first, then deviations from it, in double. */
static void scales_of(double *want, const struct group_case *s, const struct bound *b, float eps)
{
    const int64_t c = s->c1 + s->c2, rows = s->h * s->w, width = c / s->groups;
    for (int64_t i = 0; i < s->n * s->groups; i++) {
        const int64_t picture = i / s->groups, first = i % s->groups * width;
        double mean = 0, variance = 0;
        for (int pass = 0; pass < 2; pass++) {
            double sum = 0;
            for (int64_t r = picture * rows; r < (picture + 1) * rows; r++) {
                for (int64_t j = first; j < first + width; j++) {
                    const double x = (double)(j < s->c1 ? b->tensors[1][r * s->c1 + j]
                                                        : b->tensors[2][r * s->c2 + j - s->c1]);
                    sum += pass ? (x - mean) * (x - mean) : x;
                }
            }
            *(pass ? &variance : &mean) = sum / (double)(width * rows);
        }
        double *scale = want + picture * 2 * c, *shift = scale + c;
        for (int64_t j = first; j < first + width; j++) {
            scale[j] = (double)b->plain[0][j] / sqrt(variance + (double)eps);
            shift[j] = (double)b->plain[1][j] - mean * scale[j];
        }
    }
}

static void group_norm_agrees_with_the_definition(void)
{
    static const struct group_case cases[] = {
        {"one number", 1, 1, 0, 1, 1, 1, DTYPE_F32, 0},
        {"one group", 1, 7, 0, 3, 5, 1, DTYPE_F16, 0.5f},
        {"a group per channel", 2, 5, 0, 9, 7, 5, DTYPE_BF16, 0},
        {"joined, a group straddles", 2, 20, 28, 7, 9, 3, DTYPE_F32, 1},
        {"joined, wide", 1, 640, 320, 8, 8, 32, DTYPE_F16, 0},
        {"many chunks", 1, 33, 0, 97, 101, 3, DTYPE_F32, -2},
        {"more chunks than the bound", 1, 2048, 0, 65, 64, 32, DTYPE_BF16, 0.25f},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct group_case *s = &cases[i];
        const int64_t c = s->c1 + s->c2;
        struct bound b = {.g = graph_new()};
        struct graph_group_norm op = {.groups = s->groups, .eps = 1e-5f};
        op.x = graph_input(b.g, (struct graph_shape){s->n, s->c1, s->h, s->w});
        if (s->c2)
            op.x2 = graph_input(b.g, (struct graph_shape){s->n, s->c2, s->h, s->w});
        op.weight = graph_weight(b.g, 1, &c, "norm.weight");
        op.bias = graph_weight(b.g, 1, &c, "norm.bias");
        const int out = graph_group_norm(b.g, &op);
        graph_output(b.g, out);
        bind(&b, c, s->dtype, s->offset);

        double *want = doubles(ops_testing_count(b.g, out));
        scales_of(want, s, &b, op.eps);
        /* One number's variance is 0 and its scale 316 times the weight. */
        const double tolerance = s->h * s->w * c == 1 ? 1e-3 : 2e-5;
        ops_testing_compare(s->why, &cpu_norm_group_op, b.g, 0, b.tensors, out, b.w, want,
                            tolerance);
        free(want);
        clear(&b);
    }
}

static void layer_norm_agrees_with_the_definition(void)
{
    static const struct {
        const char *why;
        int64_t n, c, h, w;
        enum dtype dtype;
        float offset;
    } cases[] = {
        {"one number a row", 1, 1, 1, 3, DTYPE_F32, 0},
        {"odd width", 2, 37, 1, 77, DTYPE_F16, 0.5f},
        {"CLIP", 1, 768, 1, 77, DTYPE_F32, 0},
        {"picture", 1, 320, 13, 17, DTYPE_BF16, -3},
        {"wider than a task", 1, 20000, 1, 3, DTYPE_F16, 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t c = cases[i].c;
        struct bound b = {.g = graph_new()};
        struct graph_layer_norm op = {.eps = 1e-5f};
        op.x = graph_input(b.g, (struct graph_shape){cases[i].n, c, cases[i].h, cases[i].w});
        op.weight = graph_weight(b.g, 1, &c, "norm.weight");
        op.bias = graph_weight(b.g, 1, &c, "norm.bias");
        const int out = graph_layer_norm(b.g, &op);
        graph_output(b.g, out);
        bind(&b, c, cases[i].dtype, cases[i].offset);

        double *want = doubles(ops_testing_count(b.g, out));
        for (int64_t r = 0; r < ops_testing_count(b.g, out) / c; r++) {
            const float *x = b.tensors[op.x] + r * c;
            double mean = 0, variance = 0;
            for (int64_t j = 0; j < c; j++)
                mean += (double)x[j] / (double)c;
            for (int64_t j = 0; j < c; j++)
                variance += ((double)x[j] - mean) * ((double)x[j] - mean) / (double)c;
            for (int64_t j = 0; j < c; j++)
                want[r * c + j] = ((double)x[j] - mean) / sqrt(variance + (double)op.eps) *
                                      (double)b.plain[0][j] +
                                  (double)b.plain[1][j];
        }
        ops_testing_compare(cases[i].why, &cpu_norm_layer_op, b.g, 0, b.tensors, out, b.w, want,
                            2e-5);
        free(want);
        clear(&b);
    }
}

int main(void)
{
    group_norm_agrees_with_the_definition();
    layer_norm_agrees_with_the_definition();
    return TEST_END();
}
