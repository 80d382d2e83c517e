/* Convolutions and linear layers against a plain loop in double precision. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/cpu_kernels.h"
#include "engine/exec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *why;
    int n, c, c2, h, w, out_c, kernel, stride, before, after;
    bool affine, silu, enlarge;
    int enlarge_h, enlarge_w;
    bool bias, channel_add, residual;
    enum graph_act act;
    enum dtype dtype;
    int ranks[3]; /* of deltas, which are stored as dtype too */
    bool rounds;  /* the weight with them is rounded; sums are such that this changes nothing */
};

static const struct row rows[] = {
    {"linear", .n = 1, .c = 40, .h = 1, .w = 77, .out_c = 50, .kernel = 1, .stride = 1,
     .bias = true},
    {"one row", .n = 2, .c = 320, .h = 1, .w = 1, .out_c = 130, .kernel = 1, .stride = 1,
     .bias = true, .act = GRAPH_ACT_SILU, .dtype = DTYPE_F16},
    {"many rows, few weights", .n = 2, .c = 48, .h = 20, .w = 30, .out_c = 40, .kernel = 1,
     .stride = 1, .affine = true, .residual = true, .dtype = DTYPE_BF16},
    {"long k", .n = 1, .c = 1300, .h = 1, .w = 600, .out_c = 33, .kernel = 1, .stride = 1,
     .bias = true, .residual = true, .dtype = DTYPE_F16},
    {"geglu, few rows", .n = 1, .c = 64, .h = 1, .w = 9, .out_c = 100, .kernel = 1, .stride = 1,
     .bias = true, .act = GRAPH_ACT_GEGLU, .dtype = DTYPE_F16},
    {"geglu, many rows", .n = 2, .c = 24, .h = 16, .w = 40, .out_c = 100, .kernel = 1, .stride = 1,
     .bias = true, .act = GRAPH_ACT_GEGLU},
    {"quick gelu", .n = 1, .c = 30, .h = 1, .w = 5, .out_c = 20, .kernel = 1, .stride = 1,
     .bias = true, .act = GRAPH_ACT_QUICK_GELU},
    {"conv, many weights", .n = 2, .c = 70, .h = 5, .w = 7, .out_c = 90, .kernel = 3, .stride = 1,
     .before = 1, .after = 1, .affine = true, .silu = true, .bias = true, .channel_add = true,
     .residual = true, .dtype = DTYPE_F16},
    {"conv, many places", .n = 2, .c = 12, .h = 33, .w = 35, .out_c = 20, .kernel = 3, .stride = 1,
     .before = 1, .after = 1, .affine = true, .silu = true, .bias = true, .channel_add = true,
     .residual = true},
    {"wide picture", .n = 1, .c = 3, .h = 9, .w = 300, .out_c = 17, .kernel = 3, .stride = 1,
     .before = 1, .after = 1, .bias = true},
    {"joined sources", .n = 2, .c = 20, .c2 = 37, .h = 9, .w = 11, .out_c = 24, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .affine = true, .silu = true, .bias = true,
     .dtype = DTYPE_F16},
    {"joined sources, linear", .n = 2, .c = 130, .c2 = 70, .h = 4, .w = 11, .out_c = 300,
     .kernel = 1, .stride = 1, .bias = true},
    {"stride 2", .n = 2, .c = 20, .h = 9, .w = 12, .out_c = 24, .kernel = 3, .stride = 2,
     .before = 1, .after = 1, .bias = true},
    {"stride 2, many places", .n = 1, .c = 5, .h = 64, .w = 131, .out_c = 9, .kernel = 3,
     .stride = 2, .before = 1, .after = 1, .bias = true, .dtype = DTYPE_F16},
    {"stride 2, padded after only", .n = 1, .c = 16, .h = 10, .w = 14, .out_c = 24, .kernel = 3,
     .stride = 2, .before = 0, .after = 1, .bias = true},
    {"enlarged", .n = 2, .c = 20, .h = 5, .w = 6, .out_c = 24, .kernel = 3, .stride = 1,
     .before = 1, .after = 1, .enlarge = true, .bias = true},
    {"enlarged, many places", .n = 1, .c = 8, .h = 40, .w = 70, .out_c = 8, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .enlarge = true, .affine = true, .silu = true},
    {"enlarged to an odd size", .n = 1, .c = 20, .h = 5, .w = 6, .out_c = 24, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .enlarge = true, .enlarge_h = 9, .enlarge_w = 11,
     .bias = true},
    {"relu", .n = 1, .c = 9, .h = 6, .w = 7, .out_c = 20, .kernel = 3, .stride = 1, .before = 1,
     .after = 1, .bias = true, .residual = true, .act = GRAPH_ACT_RELU},
    {"leaky relu", .n = 1, .c = 9, .h = 6, .w = 7, .out_c = 20, .kernel = 3, .stride = 1,
     .before = 1, .after = 1, .bias = true, .residual = true, .act = GRAPH_ACT_LEAKY_RELU},
    {"delta, few rows", .n = 1, .c = 70, .h = 1, .w = 9, .out_c = 100, .kernel = 1, .stride = 1,
     .bias = true, .dtype = DTYPE_F16, .ranks = {4}},
    {"delta, many rows", .n = 2, .c = 48, .h = 20, .w = 30, .out_c = 45, .kernel = 1, .stride = 1,
     .residual = true, .ranks = {16, 5}},
    {"delta of rank 1, long k", .n = 1, .c = 1300, .h = 1, .w = 600, .out_c = 33, .kernel = 1,
     .stride = 1, .bias = true, .dtype = DTYPE_BF16, .ranks = {1}},
    {"deltas, geglu, few rows", .n = 1, .c = 64, .h = 1, .w = 9, .out_c = 100, .kernel = 1,
     .stride = 1, .bias = true, .act = GRAPH_ACT_GEGLU, .dtype = DTYPE_F16, .ranks = {8, 1, 40}},
    {"deltas, geglu, many rows", .n = 2, .c = 24, .h = 16, .w = 40, .out_c = 100, .kernel = 1,
     .stride = 1, .bias = true, .act = GRAPH_ACT_GEGLU, .ranks = {3, 2}},
    {"delta, conv, many weights", .n = 2, .c = 70, .h = 5, .w = 7, .out_c = 90, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .affine = true, .silu = true, .bias = true,
     .dtype = DTYPE_F16, .ranks = {4}},
    {"deltas, conv, many places", .n = 2, .c = 12, .h = 33, .w = 35, .out_c = 20, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .bias = true, .ranks = {4, 3}},
    {"delta, joined sources", .n = 2, .c = 20, .c2 = 37, .h = 9, .w = 11, .out_c = 24, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .dtype = DTYPE_F16, .ranks = {6}},
    {"delta, joined sources, linear", .n = 2, .c = 130, .c2 = 70, .h = 4, .w = 11, .out_c = 300,
     .kernel = 1, .stride = 1, .bias = true, .ranks = {33}},
    {"delta, stride 2", .n = 1, .c = 5, .h = 64, .w = 131, .out_c = 9, .kernel = 3, .stride = 2,
     .before = 1, .after = 1, .bias = true, .dtype = DTYPE_F16, .ranks = {2}},
    {"delta, enlarged, few places", .n = 2, .c = 20, .h = 5, .w = 6, .out_c = 24, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .enlarge = true, .bias = true, .ranks = {4}},
    {"delta, enlarged, many places", .n = 1, .c = 8, .h = 40, .w = 70, .out_c = 43, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .enlarge = true, .dtype = DTYPE_F16, .ranks = {4, 1}},
    {"delta, not few rows enough", .n = 1, .c = 70, .h = 1, .w = 60, .out_c = 100, .kernel = 1,
     .stride = 1, .bias = true, .dtype = DTYPE_F16, .ranks = {4}},
    {"deltas, geglu, not few rows enough", .n = 1, .c = 24, .h = 1, .w = 40, .out_c = 50,
     .kernel = 1, .stride = 1, .bias = true, .act = GRAPH_ACT_GEGLU, .ranks = {3, 20}},
    {"deltas, blocks of k, tasks of rows", .n = 1, .c = 700, .h = 1, .w = 40, .out_c = 100,
     .kernel = 1, .stride = 1, .affine = true, .dtype = DTYPE_BF16, .ranks = {20, 50}},
    {"rounded deltas, many rows", .n = 1, .c = 70, .h = 1, .w = 200, .out_c = 100, .kernel = 1,
     .stride = 1, .bias = true, .dtype = DTYPE_F16, .ranks = {4, 3}, .rounds = true},
    {"rounded deltas, few rows, beside", .n = 2, .c = 700, .h = 1, .w = 40, .out_c = 130,
     .kernel = 1, .stride = 1, .dtype = DTYPE_F16, .ranks = {1}, .rounds = true},
    {"rounded deltas, few rows", .n = 2, .c = 700, .h = 1, .w = 40, .out_c = 130, .kernel = 1,
     .stride = 1, .dtype = DTYPE_F16, .ranks = {20}, .rounds = true},
    {"rounded deltas, not few rows enough", .n = 1, .c = 70, .h = 1, .w = 60, .out_c = 100,
     .kernel = 1, .stride = 1, .act = GRAPH_ACT_GEGLU, .dtype = DTYPE_BF16, .ranks = {5},
     .rounds = true},
    {"rounded deltas, conv", .n = 2, .c = 12, .c2 = 7, .h = 33, .w = 35, .out_c = 20, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .bias = true, .dtype = DTYPE_F16, .ranks = {4, 3},
     .rounds = true},
    {"rounded deltas, float32", .n = 1, .c = 300, .h = 1, .w = 200, .out_c = 33, .kernel = 1,
     .stride = 1, .ranks = {8}, .rounds = true},
    {"rounded delta, enlarged", .n = 1, .c = 8, .h = 40, .w = 70, .out_c = 43, .kernel = 3,
     .stride = 1, .before = 1, .after = 1, .enlarge = true, .dtype = DTYPE_BF16, .ranks = {4},
     .rounds = true},
    {"delta, conv of few places, stride 2", .n = 2, .c = 60, .h = 7, .w = 6, .out_c = 90,
     .kernel = 3, .stride = 2, .before = 1, .after = 1, .bias = true, .ranks = {5}},
    {"one place", .n = 1, .c = 20, .h = 1, .w = 1, .out_c = 24, .kernel = 3, .stride = 1,
     .before = 1, .after = 1, .bias = true},
};

static uint32_t seed = 1;

static float next_number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static float *new_numbers(size_t n)
{
    float *x = calloc(n ? n : 1, sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = next_number();
    return x;
}

/* Stores numbers as dtype and writes back what was stored. */
static void *new_weight(float *x, size_t n, enum dtype dtype)
{
    unsigned char *bytes = malloc(n * dtype_bytes(dtype) + 1);
    for (size_t i = 0; bytes && i < n; i++) {
        uint16_t half = dtype == DTYPE_F16 ? dtype_f16_from_f32(x[i]) : dtype_bf16_from_f32(x[i]);
        if (dtype != DTYPE_F32)
            x[i] = dtype == DTYPE_F16 ? dtype_f32_from_f16(half) : dtype_f32_from_bf16(half);
        if (dtype == DTYPE_F32)
            memcpy(bytes + 1 + 4 * i, &x[i], 4);
        else
            memcpy(bytes + 1 + 2 * i, &half, 2);
    }
    return bytes; /* the weight begins at byte 1: files align nothing */
}

static double activate(double v, enum graph_act act)
{
    switch (act) {
    case GRAPH_ACT_SILU:
        return v / (1 + exp(-v));
    case GRAPH_ACT_QUICK_GELU:
        return v / (1 + exp(-1.702 * v));
    case GRAPH_ACT_GELU:
        return v * 0.5 * (1 + erf(v / sqrt(2)));
    case GRAPH_ACT_RELU:
        return v > 0 ? v : 0;
    case GRAPH_ACT_LEAKY_RELU:
        return v > 0 ? v : 0.2 * v;
    default:
        return v;
    }
}

/* Everything one row of the table needs. */
struct fixture {
    const struct row *r;
    struct graph *g;
    int x, x2, affine, add, residual, out;
    int oh, ow, eh, ew, weight_rows;
    float *xs, *x2s, *affines, *adds, *residuals, *weights, *biases;
    unsigned char *weight_bytes;
    unsigned char *ups[3], *downs[3]; /* of the deltas; weights has them added */
};

enum { MOST_DELTAS = 3 };

static float delta_factor(const struct row *r, int i)
{
    if (r->rounds)
        return i == 1 ? -0.5f : 0.5f;
    return 0.8f - (float)i; /* the second one is negative */
}

static float source_at(const struct fixture *f, int n, int y, int x, int c)
{
    const struct row *r = f->r;
    if (y < 0 || y >= f->eh || x < 0 || x >= f->ew)
        return 0;
    y = r->enlarge ? y * r->h / f->eh : y;
    x = r->enlarge ? x * r->w / f->ew : x;
    size_t place = ((size_t)n * (size_t)r->h + (size_t)y) * (size_t)r->w + (size_t)x;
    double v = c < r->c ? f->xs[place * (size_t)r->c + (size_t)c]
                        : f->x2s[place * (size_t)r->c2 + (size_t)(c - r->c)];
    if (r->affine) {
        size_t all = (size_t)(r->c + r->c2);
        const float *a = f->affines + (size_t)n * 2 * all;
        v = v * a[c] + a[all + (size_t)c];
    }
    return (float)(r->silu ? activate(v, GRAPH_ACT_SILU) : v);
}

/* One sum, and the sum of magnitudes that bounds its rounding. */
static double naive_sum(const struct fixture *f, int n, int y, int x, int o, double *magnitude)
{
    const struct row *r = f->r;
    int taps = r->kernel * r->kernel, all = r->c + r->c2;
    double sum = r->bias ? f->biases[o] : 0;

    for (int t = 0; t < taps; t++)
        for (int c = 0; c < all; c++) {
            double a = source_at(f, n, y * r->stride - r->before + t / r->kernel,
                                 x * r->stride - r->before + t % r->kernel, c);
            double w = f->weights[((size_t)o * (size_t)all + (size_t)c) * (size_t)taps + (size_t)t];
            sum += a * w;
            *magnitude += fabs(a * w);
        }
    return sum;
}

/* The thread sanitizer looks at threads; under it the plain loop would take minutes and tell
 * nothing that the other builds do not. */
#if defined(__SANITIZE_THREAD__)
enum { COMPARES = 0 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { COMPARES = 0 };
#else
enum { COMPARES = 1 };
#endif
#else
enum { COMPARES = 1 };
#endif

static void compare(const struct fixture *f, const float *got, const char *isa)
{
    const struct row *r = f->r;
    double worst = 0;

    for (int n = 0; n < r->n; n++)
        for (int i = 0; i < f->oh * f->ow; i++)
            for (int o = 0; o < r->out_c; o++) {
                size_t at = ((size_t)(n * f->oh * f->ow + i)) * (size_t)r->out_c + (size_t)o;
                double size = 1;
                double v = naive_sum(f, n, i / f->ow, i % f->ow, o, &size);
                if (r->channel_add)
                    v += f->adds[n * r->out_c + o];
                v = activate(v, r->act);
                if (r->act == GRAPH_ACT_GEGLU)
                    v *= activate(naive_sum(f, n, i / f->ow, i % f->ow, o + r->out_c, &size),
                                  GRAPH_ACT_GELU);
                if (r->residual)
                    v += f->residuals[at];
                double off = fabs(v - got[at]) / size;
                worst = !(off <= worst) ? off : worst;
            }
    /* Two halves of bfloat16 carry 16 bits; float32 sums carry 24. */
    double allowed = strcmp(isa, "amx") == 0 ? 4e-5 : 4e-6;
    if (!(worst <= allowed))
        fprintf(stderr, "%s, %s: off by %g\n", r->why, isa, worst);
    CHECK(worst <= allowed);
}

/* Makes of random numbers so few that sums of products are exact in every type: multiples of 1/32
 * whose sums stay below 4 (weights), and -1/4, 0 or 1/4 (factors). */
static void make_coarse(float *x, size_t n, bool factor)
{
    for (size_t i = 0; i < n; i++)
        x[i] = factor ? roundf(x[i] * 1.4f) / 4 : roundf(x[i] * 32) / 32;
}

/* Stores random factors and adds their product to the weights that the plain loop reads. */
static void build_deltas(struct fixture *f, int weight)
{
    const struct row *r = f->r;
    const size_t columns = (size_t)((r->c + r->c2) * r->kernel * r->kernel);
    const size_t n_rows = (size_t)f->weight_rows;

    for (int i = 0; i < MOST_DELTAS && r->ranks[i]; i++) {
        const size_t rank = (size_t)r->ranks[i];
        float *up = new_numbers(n_rows * rank), *down = new_numbers(rank * columns);
        if (r->rounds) {
            make_coarse(up, n_rows * rank, true);
            make_coarse(down, rank * columns, true);
        }
        f->ups[i] = new_weight(up, n_rows * rank, r->dtype);
        f->downs[i] = new_weight(down, rank * columns, r->dtype);
        for (size_t o = 0; o < n_rows; o++)
            for (size_t k = 0; k < columns; k++) {
                double sum = 0;
                for (size_t q = 0; q < rank; q++)
                    sum += (double)up[o * rank + q] * (double)down[q * columns + k];
                f->weights[o * columns + k] += (float)(sum * (double)delta_factor(r, i));
            }
        CHECK(graph_add_rank(f->g, weight, r->ranks[i]));
        free(up);
        free(down);
    }
}

static void build(struct fixture *f, const struct row *r)
{
    int all = r->c + r->c2, taps = r->kernel * r->kernel;
    *f = (struct fixture){.r = r, .g = graph_new()};
    struct graph *g = f->g;

    f->weight_rows = r->out_c * (r->act == GRAPH_ACT_GEGLU ? 2 : 1);
    f->eh = !r->enlarge ? r->h : r->enlarge_h ? r->enlarge_h : 2 * r->h;
    f->ew = !r->enlarge ? r->w : r->enlarge_w ? r->enlarge_w : 2 * r->w;
    f->oh = (f->eh + r->before + r->after - r->kernel) / r->stride + 1;
    f->ow = (f->ew + r->before + r->after - r->kernel) / r->stride + 1;

    f->x = graph_input(g, (struct graph_shape){r->n, r->c, r->h, r->w});
    if (r->c2)
        f->x2 = graph_input(g, (struct graph_shape){r->n, r->c2, r->h, r->w});
    if (r->affine)
        f->affine = graph_input(g, (struct graph_shape){r->n, 2 * all, 1, 1});
    if (r->channel_add)
        f->add = graph_input(g, (struct graph_shape){r->n, r->out_c, 1, 1});
    if (r->residual)
        f->residual = graph_input(g, (struct graph_shape){r->n, r->out_c, f->oh, f->ow});
    struct graph_conv op = {.in = {.x = f->x,
                                   .x2 = f->x2,
                                   .affine = f->affine,
                                   .silu = r->silu,
                                   .enlarge = r->enlarge,
                                   .enlarge_h = r->enlarge_h,
                                   .enlarge_w = r->enlarge_w},
                            .out_c = r->out_c,
                            .kernel = r->kernel,
                            .stride = r->stride,
                            .pad_before = r->before,
                            .pad_after = r->after,
                            .channel_add = f->add,
                            .act = r->act,
                            .residual = f->residual};
    op.weight = graph_weight(g, 4, (int64_t[]){f->weight_rows, all, r->kernel, r->kernel}, "w");
    if (r->bias)
        op.bias = graph_weight(g, 1, (int64_t[]){f->weight_rows}, "b");
    f->out = graph_conv(g, &op);
    graph_output(g, f->out);

    size_t places = (size_t)(r->n * r->h * r->w);
    f->xs = new_numbers(places * (size_t)r->c);
    f->x2s = new_numbers(places * (size_t)r->c2);
    f->affines = new_numbers((size_t)(r->n * 2 * all));
    f->adds = new_numbers((size_t)(r->n * r->out_c));
    f->residuals = new_numbers((size_t)(r->n * r->out_c * f->oh * f->ow));
    f->weights = new_numbers((size_t)(f->weight_rows * all * taps));
    f->biases = new_numbers((size_t)f->weight_rows);
    if (r->rounds)
        make_coarse(f->weights, (size_t)(f->weight_rows * all * taps), false);
    f->weight_bytes = new_weight(f->weights, (size_t)(f->weight_rows * all * taps), r->dtype);
    build_deltas(f, op.weight);
    if (r->rounds)
        graph_round_deltas(g);
}

static bool add_deltas(const struct fixture *f, struct weights *w, struct error *err)
{
    const struct row *r = f->r;
    const int64_t columns = (int64_t)(r->c + r->c2) * r->kernel * r->kernel;
    bool ok = true;

    for (int i = 0; i < MOST_DELTAS && r->ranks[i] && ok; i++) {
        const struct weight_delta delta = {
            .up = {f->ups[i] + 1, r->dtype, (int64_t)f->weight_rows * r->ranks[i]},
            .down = {f->downs[i] + 1, r->dtype, columns * r->ranks[i]},
            .rank = r->ranks[i],
            .factor = delta_factor(r, i)};
        ok = weights_add_delta(w, 1, &delta, err);
    }
    return ok;
}

static void clear(struct fixture *f)
{
    graph_free(f->g);
    for (int i = 0; i < MOST_DELTAS; i++) {
        free(f->ups[i]);
        free(f->downs[i]);
    }
    free(f->xs);
    free(f->x2s);
    free(f->affines);
    free(f->adds);
    free(f->residuals);
    free(f->weights);
    free(f->biases);
    free(f->weight_bytes);
}

static void write_inputs(const struct fixture *f, struct exec *e)
{
    exec_write(e, f->x, f->xs, BACKEND_ROWS);
    if (f->x2)
        exec_write(e, f->x2, f->x2s, BACKEND_ROWS);
    if (f->affine)
        exec_write(e, f->affine, f->affines, BACKEND_ROWS);
    if (f->add)
        exec_write(e, f->add, f->adds, BACKEND_ROWS);
    if (f->residual)
        exec_write(e, f->residual, f->residuals, BACKEND_ROWS);
}

static float *run(const struct fixture *f, const char *isa, int n_threads)
{
    struct weight_view views[2] = {{f->weight_bytes + 1, f->r->dtype, 0},
                                   {f->biases, DTYPE_F32, f->weight_rows}};
    struct error err = {0};
    struct backend *b = NULL;
    struct weights *w = NULL;
    struct exec *e = NULL;
    float *out = calloc((size_t)(f->r->n * f->r->out_c * f->oh * f->ow), sizeof *out);

    bool ok = graph_check(f->g, &err) && cpu_backend_open(&b, n_threads, isa, &err) &&
              weights_from_views(&w, f->g, views, &err) && add_deltas(f, w, &err) &&
              exec_new(&e, f->g, b, w, 0, &err) && exec_start(e, NULL, &err);
    if (ok) {
        write_inputs(f, e);
        ok = exec_run(e, NULL, NULL, &err);
        exec_read(e, f->out, out, BACKEND_ROWS);
    }
    if (!ok)
        fprintf(stderr, "%s: %s\n", f->r->why, err.text);
    CHECK(ok);
    exec_free(e);
    weights_free(w);
    if (b)
        b->fn->close(b);
    return out;
}

static void equals_a_plain_loop_on_every_instruction_set(void)
{
    const struct cpu_kernels *table[8];
    int n = cpu_kernels_list(table);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        build(&f, &rows[i]);
        for (int k = 0; k < n; k++) {
            float *one = run(&f, table[k]->name, 1);
            if (COMPARES)
                compare(&f, one, table[k]->name);
            for (int threads = 2; threads <= 5; threads += 3) {
                float *more = run(&f, table[k]->name, threads);
                size_t bytes = (size_t)(rows[i].n * rows[i].out_c * f.oh * f.ow) * sizeof *one;
                CHECK(memcmp(one, more, bytes) == 0); /* threads change nothing */
                free(more);
            }
            free(one);
        }
        clear(&f);
    }
}

/* Rows [y, y + n_rows) of x through a square 1x1 convolution; what it computes is a window. */
static int cut_out(struct graph *g, int x, int weight, int y, int n_rows)
{
    const struct graph_shape shape = graph_tensor_view(g, x)->shape;
    const struct graph_conv part = {.in.x = x,
                                    .weight = weight,
                                    .out_c = shape.c,
                                    .kernel = 1,
                                    .stride = 1,
                                    .out_y = y,
                                    .out_rows = n_rows};
    return graph_conv(g, &part);
}

/* The row's convolution with its inputs, but without a source and a residual. */
static struct graph_conv build_inputs(struct graph *g, const struct row *r, const struct fixture *f,
                                      int inputs[5])
{
    int all = r->c + r->c2;
    struct graph_conv op = {.in = {.silu = r->silu,
                                   .enlarge = r->enlarge,
                                   .enlarge_h = r->enlarge_h,
                                   .enlarge_w = r->enlarge_w},
                            .out_c = r->out_c,
                            .kernel = r->kernel,
                            .stride = r->stride,
                            .pad_before = r->before,
                            .pad_after = r->after,
                            .act = r->act};
    op.weight = graph_weight(g, 4, (int64_t[]){f->weight_rows, all, r->kernel, r->kernel}, "w");
    if (r->bias)
        op.bias = graph_weight(g, 1, (int64_t[]){f->weight_rows}, "b");
    inputs[0] = graph_input(g, (struct graph_shape){r->n, r->c, r->h, r->w});
    if (r->c2)
        inputs[1] = graph_input(g, (struct graph_shape){r->n, r->c2, r->h, r->w});
    if (r->affine)
        inputs[2] = graph_input(g, (struct graph_shape){r->n, 2 * all, 1, 1});
    if (r->channel_add)
        inputs[3] = graph_input(g, (struct graph_shape){r->n, r->out_c, 1, 1});
    if (r->residual)
        inputs[4] = graph_input(g, (struct graph_shape){r->n, r->out_c, f->oh, f->ow});
    op.in.x2 = inputs[1];
    op.in.affine = inputs[2];
    op.channel_add = inputs[3];
    return op;
}

/* The row's convolution behind a 1x1 one, so that its source can be cut: into windows of `cut` rows
 * each, computed `band` rows at a time into one picture.  0: everything whole. */
static int build_cut(struct graph *g, const struct row *r, const struct fixture *f, int cut,
                     int band, int inputs[5])
{
    struct graph_conv op = build_inputs(g, r, f, inputs);
    int copy = graph_weight(g, 2, (int64_t[]){r->c, r->c}, "copy");
    int unit = r->residual ? graph_weight(g, 2, (int64_t[]){r->out_c, r->out_c}, "unit") : 0;
    int windows[64], n_windows = 0, height = cut && !r->c2 ? cut : r->h; /* joined: whole */
    int picture = 0;

    for (int y = 0; y < r->h && n_windows < 64; y += height)
        windows[n_windows++] =
            cut_out(g, inputs[0], copy, y, r->h - y < height ? r->h - y : height);
    if (cut)
        picture = graph_picture(g, (struct graph_shape){r->n, r->out_c, f->oh, f->ow});
    for (int y = 0; y < f->oh; y += cut ? band : f->oh) {
        int64_t lo, hi;
        op.out_y = y;
        op.out_rows = !cut || f->oh - y < band ? f->oh - y : band;
        op.into = picture;
        graph_op_conv_rows(&op, r->h, &lo, &hi);
        int *to = op.in.more;
        op.in.x = 0;
        memset(op.in.more, 0, sizeof op.in.more);
        for (int i = 0; i < n_windows; i++)
            if (i * height < hi && (i + 1) * height > lo)
                *(op.in.x ? to++ : &op.in.x) = windows[i];
        if (r->residual)
            op.residual = cut_out(g, inputs[4], unit, y, (int)op.out_rows);
        int out = graph_conv(g, &op);
        picture = cut ? picture : out;
    }
    graph_output(g, picture);
    return picture;
}

static float *run_cut(const struct fixture *f, const char *isa, int n_threads, int cut, int band)
{
    const struct row *r = f->r;
    const float *numbers[5] = {f->xs, f->x2s, f->affines, f->adds, f->residuals};
    int inputs[5] = {0};
    struct error err = {0};
    struct backend *b = NULL;
    struct weights *w = NULL;
    struct exec *e = NULL;
    struct graph *g = graph_new();
    int out = build_cut(g, r, f, cut, band, inputs);
    float *result = calloc((size_t)(r->n * r->out_c * f->oh * f->ow), sizeof *result);
    float *square = new_numbers((size_t)(r->c * r->c));
    float *unit = calloc((size_t)(r->out_c * r->out_c), sizeof *unit);
    struct weight_view views[4];
    int n_weights = graph_n_weights(g);

    CHECK(n_weights > 0 && n_weights <= 4 && result && square && unit);
    for (int i = 0; i < r->out_c; i++)
        unit[i * r->out_c + i] = 1;
    for (int i = 0; i < n_weights && i < 4; i++) {
        const char *name = graph_weight_view(g, i + 1)->name;
        views[i] = *name == 'w'   ? (struct weight_view){f->weight_bytes + 1, r->dtype, 0}
                   : *name == 'b' ? (struct weight_view){f->biases, DTYPE_F32, f->weight_rows}
                   : *name == 'c' ? (struct weight_view){square, DTYPE_F32, r->c * r->c}
                                  : (struct weight_view){unit, DTYPE_F32, r->out_c * r->out_c};
    }
    bool ok = graph_check(g, &err) && cpu_backend_open(&b, n_threads, isa, &err) &&
              weights_from_views(&w, g, views, &err) && exec_new(&e, g, b, w, 0, &err) &&
              exec_start(e, NULL, &err);
    for (int i = 0; ok && i < 5; i++)
        if (inputs[i])
            exec_write(e, inputs[i], numbers[i], BACKEND_ROWS);
    ok = ok && exec_run(e, NULL, NULL, &err);
    if (ok)
        exec_read(e, out, result, BACKEND_ROWS);
    else
        fprintf(stderr, "%s: %s\n", r->why, err.text);
    CHECK(ok);
    exec_free(e);
    weights_free(w);
    if (b)
        b->fn->close(b);
    graph_free(g);
    free(square);
    free(unit);
    return result;
}

static void computes_the_same_bits_window_by_window(void)
{
    static const struct {
        int cut, band, threads;
    } way[] = {{3, 2, 2}, {7, 5, 1}, {2, 1, 3}, {100, 4, 2}};
    const struct cpu_kernels *table[8];
    int n = cpu_kernels_list(table);
    uint32_t start = seed;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        build(&f, &rows[i]);
        size_t bytes = (size_t)(rows[i].n * rows[i].out_c * f.oh * f.ow) * sizeof(float);
        for (int k = 0; k < n; k++) {
            seed = start;
            float *whole = run_cut(&f, table[k]->name, 2, 0, 0);
            for (size_t j = 0; j < sizeof way / sizeof way[0]; j++) {
                seed = start;
                float *cut = run_cut(&f, table[k]->name, way[j].threads, way[j].cut, way[j].band);
                bool same = memcmp(whole, cut, bytes) == 0;
                if (!same)
                    fprintf(stderr, "%s, %s: windows of %d differ\n", rows[i].why, table[k]->name,
                            way[j].band);
                CHECK(same);
                free(cut);
            }
            free(whole);
        }
        clear(&f);
    }
}

/* What cannot be: a window that misses rows its result needs, a gap, a residual of other rows. */
static void refuses_windows_that_do_not_fit(void)
{
    static const struct {
        const char *why;
        int y[2], rows[2]; /* windows of the source */
        int out_y, out_rows, residual_y;
        bool good;
    } row[] = {
        {"fits", {0, 4}, {4, 4}, 2, 5, 2, true},
        {"row above missing", {2, 6}, {4, 6}, 2, 5, 2, false},
        {"row below missing", {0, 4}, {4, 3}, 2, 5, 2, false},
        {"gap", {0, 5}, {4, 6}, 2, 5, 2, false},
        {"overlap", {0, 3}, {4, 6}, 2, 5, 2, false},
        {"residual of other rows", {0, 4}, {4, 4}, 2, 5, 3, false},
        {"beyond the picture", {0, 4}, {4, 8}, 10, 3, 10, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct error err = {0};
        struct graph *g = graph_new();
        struct graph_conv copy = {.out_c = 4, .kernel = 1, .stride = 1}, op = {0};
        int w1 = graph_weight(g, 2, (int64_t[]){4, 4}, "copy"), part[2], residual;
        copy.in.x = graph_input(g, (struct graph_shape){1, 4, 12, 3});
        copy.weight = w1;
        for (int k = 0; k < 2; k++) {
            copy.out_y = row[i].y[k];
            copy.out_rows = row[i].rows[k];
            part[k] = graph_conv(g, &copy);
        }
        copy.out_y = row[i].residual_y;
        copy.out_rows = row[i].out_y + row[i].out_rows > 12 ? 2 : row[i].out_rows;
        residual = graph_conv(g, &copy);
        CHECK(graph_check(g, &err));
        op = (struct graph_conv){.in = {.x = part[0], .more = {part[1]}},
                                 .out_c = 4,
                                 .kernel = 3,
                                 .stride = 1,
                                 .pad_before = 1,
                                 .pad_after = 1,
                                 .residual = residual,
                                 .out_y = row[i].out_y,
                                 .out_rows = row[i].out_rows};
        op.weight = graph_weight(g, 4, (int64_t[]){4, 4, 3, 3}, "w");
        bool made = graph_conv(g, &op) > 0;
        if (made != row[i].good)
            fprintf(stderr, "%s\n", row[i].why);
        CHECK(made == row[i].good && graph_check(g, &err) == row[i].good);
        graph_free(g);
    }
}

int main(void)
{
    equals_a_plain_loop_on_every_instruction_set();
    computes_the_same_bits_window_by_window();
    refuses_windows_that_do_not_fit();
    return TEST_END();
}
