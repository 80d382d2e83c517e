#include "bench_ops.h"

#include "engine/exec.h"

#include <stdlib.h>
#include <string.h>

/* One row is one operation.  Linear layers: rows x in -> out.  Convolutions are 3x3 over h x w.
 * Attention: w tokens of c channels in `heads` heads. */
struct bench_op {
    const char *name;
    int kernel; /* 0: attention */
    int h, w, c, out_c, heads;
    int rank; /* of a low-rank delta; 0: none */
};

static const struct bench_op bench_ops[] = {
    {"linear 4096x320x320", .kernel = 1, .h = 1, .w = 4096, .c = 320, .out_c = 320},
    {"linear 1024x640x640", .kernel = 1, .h = 1, .w = 1024, .c = 640, .out_c = 640},
    {"linear 4096x320x2560", .kernel = 1, .h = 1, .w = 4096, .c = 320, .out_c = 2560},
    {"linear 256x1280x1280", .kernel = 1, .h = 1, .w = 256, .c = 1280, .out_c = 1280},
    {"linear 4096x2880x320", .kernel = 1, .h = 1, .w = 4096, .c = 2880, .out_c = 320},
    {"conv 3x3 64x64 320->320", .kernel = 3, .h = 64, .w = 64, .c = 320, .out_c = 320},
    {"conv 3x3 32x32 640->640", .kernel = 3, .h = 32, .w = 32, .c = 640, .out_c = 640},
    {"conv 3x3 16x16 1280->1280", .kernel = 3, .h = 16, .w = 16, .c = 1280, .out_c = 1280},
    {"conv 3x3 256x256 256->256", .kernel = 3, .h = 256, .w = 256, .c = 256, .out_c = 256},
    {"conv 3x3 512x512 128->128", .kernel = 3, .h = 512, .w = 512, .c = 128, .out_c = 128},
    {"linear 512x1280x1280, plain", .kernel = 1, .h = 1, .w = 512, .c = 1280, .out_c = 1280},
    {"linear 512x1280x1280, rank 32", .kernel = 1, .h = 1, .w = 512, .c = 1280, .out_c = 1280,
     .rank = 32},
    {"linear 512x1280x1280, rank 128", .kernel = 1, .h = 1, .w = 512, .c = 1280, .out_c = 1280,
     .rank = 128},
    {"attention 4096 tokens 8x40", .h = 1, .w = 4096, .c = 320, .heads = 8},
    {"attention 4096 tokens 10x64", .h = 1, .w = 4096, .c = 640, .heads = 10},
};

/* A graph of one operation and what it runs with; all owned. */
struct subject {
    struct graph *graph;
    int inputs[3], n_inputs;
    unsigned char *weight, *delta;
    float *bias;
    struct weight_view views[2];
    struct weights *weights;
    struct exec *exec;
};

/* A linear congruential generator; the numbers only have to be the same every time. */
static uint32_t next_bits(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static float next_number(uint32_t *seed)
{
    return (float)next_bits(seed) * 0x1p-23f - 1.0f;
}

static void add_conv(struct subject *s, const struct bench_op *o)
{
    struct graph *g = s->graph;
    const int pad = o->kernel / 2;

    s->inputs[s->n_inputs++] = graph_input(g, (struct graph_shape){1, o->c, o->h, o->w});
    const struct graph_conv conv = {
        .in = {.x = s->inputs[0]},
        .weight = graph_weight(g, 4, (int64_t[]){o->out_c, o->c, o->kernel, o->kernel}, "weight"),
        .bias = graph_weight(g, 1, (int64_t[]){o->out_c}, "bias"),
        .out_c = o->out_c,
        .kernel = o->kernel,
        .stride = 1,
        .pad_before = pad,
        .pad_after = pad};
    graph_output(g, graph_conv(g, &conv));
}

static void add_attention(struct subject *s, const struct bench_op *o)
{
    for (int i = 0; i < 3; i++)
        s->inputs[s->n_inputs++] = graph_input(s->graph, (struct graph_shape){1, o->c, o->h, o->w});
    const struct graph_attention attention = {
        .q = s->inputs[0], .k = s->inputs[1], .v = s->inputs[2], .heads = o->heads};
    graph_output(s->graph, graph_attention(s->graph, &attention));
}

static bool make_weights(struct subject *s, const struct bench_op *o, struct error *err)
{
    const size_t n = (size_t)o->out_c * (size_t)o->c * (size_t)(o->kernel * o->kernel);
    uint32_t seed = 1;

    if (o->kernel == 0)
        return true;
    s->weight = malloc(n * sizeof(uint16_t));
    s->bias = malloc((size_t)o->out_c * sizeof *s->bias);
    if (!s->weight || !s->bias)
        return error_set(err, ERROR_MEMORY, "no memory for %zu weights", n);
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = dtype_f16_from_f32(next_number(&seed) * 0x1p-5f);
        memcpy(s->weight + i * sizeof half, &half, sizeof half);
    }
    for (int i = 0; i < o->out_c; i++)
        s->bias[i] = next_number(&seed);
    s->views[0] = (struct weight_view){s->weight, DTYPE_F16, (int64_t)n};
    s->views[1] = (struct weight_view){s->bias, DTYPE_F32, o->out_c};
    return true;
}

/* Both factors from the same numbers, halves like the weight. */
static bool add_delta(struct subject *s, const struct bench_op *o, struct error *err)
{
    const size_t up = (size_t)(o->out_c * o->rank);
    const size_t down = (size_t)(o->c * o->kernel * o->kernel * o->rank);
    const size_t n = up > down ? up : down;
    uint32_t seed = 3;

    if (!o->rank)
        return true;
    s->delta = malloc(n * sizeof(uint16_t));
    if (!s->delta)
        return error_set(err, ERROR_MEMORY, "no memory for %zu numbers", n);
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = dtype_f16_from_f32(next_number(&seed) * 0x1p-5f);
        memcpy(s->delta + i * sizeof half, &half, sizeof half);
    }
    const struct weight_delta delta = {.up = {s->delta, DTYPE_F16, (int64_t)up},
                                       .down = {s->delta, DTYPE_F16, (int64_t)down},
                                       .rank = o->rank,
                                       .factor = 0.5f};
    return weights_add_delta(s->weights, 1, &delta, err);
}

static bool write_inputs(struct subject *s, const struct bench_op *o, struct error *err)
{
    const size_t n = (size_t)o->h * (size_t)o->w * (size_t)o->c;
    float *numbers = malloc(n * sizeof *numbers);
    uint32_t seed = 2;

    if (!numbers)
        return error_set(err, ERROR_MEMORY, "no memory for %zu numbers", n);
    for (int i = 0; i < s->n_inputs; i++) {
        for (size_t k = 0; k < n; k++)
            numbers[k] = next_number(&seed);
        exec_write(s->exec, s->inputs[i], numbers, BACKEND_ROWS);
    }
    free(numbers);
    return true;
}

static bool subject_init(struct subject *s, const struct bench_op *o, struct backend *b,
                         struct error *err)
{
    *s = (struct subject){.graph = graph_new()};
    if (!s->graph)
        return error_set(err, ERROR_MEMORY, "no memory for a graph");
    if (o->kernel)
        add_conv(s, o);
    else
        add_attention(s, o);
    return graph_check(s->graph, err) && make_weights(s, o, err) &&
           (!o->rank || graph_add_rank(s->graph, 1, o->rank)) &&
           weights_from_views(&s->weights, s->graph, s->views, err) && add_delta(s, o, err) &&
           exec_new(&s->exec, s->graph, b, s->weights, 0, err) && exec_start(s->exec, NULL, err) &&
           write_inputs(s, o, err);
}

static void subject_clear(struct subject *s)
{
    exec_free(s->exec);
    weights_free(s->weights);
    graph_free(s->graph);
    free(s->weight);
    free(s->delta);
    free(s->bias);
}

static bool run_once(void *ctx, struct error *err)
{
    struct subject *s = ctx;
    return exec_run(s->exec, NULL, NULL, err);
}

bool bench_ops_run(struct bench_report *r, struct backend *b, const char *isa, const char *only,
                   bool tell, struct error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof bench_ops / sizeof bench_ops[0]; i++) {
        const struct bench_op *o = &bench_ops[i];
        struct subject s;
        if (only && !strstr(o->name, only))
            continue;
        ok = subject_init(&s, o, b, err) &&
             bench_report_measure(r, o->name, isa, exec_flops(s.exec), run_once, &s, err);
        if (ok && tell)
            bench_report_print_result(r, &r->results[r->n_results - 1]);
        subject_clear(&s);
    }
    return ok;
}
