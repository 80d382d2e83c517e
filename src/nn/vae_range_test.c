/* SDXL's VAE makes numbers beyond float16's range, which is why it is known for black pictures in
 * half precision.  A small VAE whose activations are as large is decoded here from weights in every
 * type of storage, on every instruction set: those that halve the factors keep float32's range. */
#include "engine/cpu/cpu_kernels.h"
#include "nn/nn_test_run.h"
#include "nn/vae.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE = 6, PIXELS = 3 * 64 * SIDE * SIDE };

static const struct vae_config config = {.in_channels = 3,
                                         .out_channels = 3,
                                         .latent_channels = 4,
                                         .n_levels = 4,
                                         .channels = {16, 32, 32, 32},
                                         .layers_per_block = 1,
                                         .groups = 8,
                                         .mid_attention = true,
                                         .quant_conv = true,
                                         .post_quant_conv = true};

static const double float16_max = 65504;

static float number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

/* What is added to the stream of activations is large; the weights themselves fit in float16. */
static float scale_of(const struct graph_weight *w)
{
    static const char *const large[] = {"conv_in.weight", "conv2.weight", "to_out.0.weight"};

    if (w->n_dims == 1)
        return 0.5f;
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        if (strstr(w->name, large[i]))
            return 3e4f;
    return strstr(w->name, "shortcut") ? 0.5f : 0.15f;
}

static void store(unsigned char *to, enum dtype type, float f)
{
    const uint16_t half = type == DTYPE_F16 ? dtype_f16_from_f32(f) : dtype_bf16_from_f32(f);
    if (type == DTYPE_F32)
        memcpy(to, &f, sizeof f);
    else
        memcpy(to, &half, sizeof half);
}

static unsigned char *new_values(const struct graph_weight *w, enum dtype type, int64_t *count)
{
    uint64_t seed = 1;
    *count = 1;
    for (int d = 0; d < w->n_dims; d++)
        *count *= w->dims[d];
    for (const char *c = w->name; *c; c++)
        seed = seed * 31 + (unsigned char)*c;
    unsigned char *bytes = malloc((size_t)*count * dtype_bytes(type));
    for (int64_t i = 0; bytes && i < *count; i++)
        store(bytes + (size_t)i * dtype_bytes(type), type, scale_of(w) * number(&seed));
    return bytes;
}

/* The tensor that the op with this weight writes, kept to the end. */
static int keep(struct graph *g, const char *weight)
{
    for (int i = 0; i < graph_n_ops(g); i++) {
        const struct graph_op *op = graph_op_view(g, i);
        if (op->kind == GRAPH_OP_CONV &&
            strcmp(graph_weight_view(g, op->u.conv.weight)->name, weight) == 0) {
            graph_output(g, op->out);
            return op->out;
        }
    }
    fprintf(stderr, "there is no weight %s\n", weight);
    CHECK(false);
    return 0;
}

/* Smallest of the largest activations of the kept tensors; 0 when it cannot be run. */
static double run(float picture[PIXELS], struct backend *b, const struct graph *g, int in, int out,
                  const int kept[2], enum dtype type)
{
    float latent[4 * SIDE * SIDE];
    const int n = graph_n_weights(g);
    struct weight_view *views = calloc((size_t)n, sizeof *views);
    unsigned char **bytes = calloc((size_t)n, sizeof *bytes);
    struct weights *w = NULL;
    struct exec *e = NULL;
    struct error err = {0};
    uint64_t seed = 3;
    double least = 0;

    for (size_t i = 0; i < sizeof latent / sizeof latent[0]; i++)
        latent[i] = number(&seed);
    for (int i = 0; i < n; i++) {
        bytes[i] = new_values(graph_weight_view(g, i + 1), type, &views[i].count);
        views[i].bytes = bytes[i];
        views[i].dtype = type;
    }
    bool ok = weights_from_views(&w, g, views, &err) && exec_new(&e, g, b, w, 0, &err) &&
              exec_start(e, NULL, &err);
    if (ok)
        exec_write(e, in, latent, BACKEND_ROWS);
    ok = ok && exec_run(e, NULL, NULL, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    for (int i = 0; ok && i < 2; i++) {
        const size_t count = (size_t)graph_shape_count(graph_tensor_view(g, kept[i])->shape);
        float *x = calloc(count, sizeof *x);
        double largest = 0;
        exec_read(e, kept[i], x, BACKEND_ROWS);
        for (size_t k = 0; k < count; k++)
            largest = fmax(largest, fabs((double)x[k]));
        least = i == 0 || largest < least ? largest : least;
        free(x);
    }
    if (ok)
        exec_read(e, out, picture, BACKEND_PLANES);
    exec_free(e);
    weights_free(w);
    for (int i = 0; i < n; i++)
        free(bytes[i]);
    free(bytes);
    free(views);
    return least;
}

static void decodes_what_float16_cannot_hold(void)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static float want[3][PIXELS], have[PIXELS];
    const struct cpu_kernels *table[8];
    const int n_isas = cpu_kernels_list(table);
    struct graph *g = graph_new();
    const int in = graph_input(g, (struct graph_shape){1, 4, SIDE, SIDE});
    const int out = vae_build_decode(g, &config, in);
    struct error err = {0};

    graph_output(g, out);
    const int kept[2] = {keep(g, "decoder.conv_in.weight"),
                         keep(g, "decoder.up_blocks.3.resnets.1.conv2.weight")};
    for (int k = 0; k < n_isas; k++) {
        struct backend *b = NULL;
        const bool is_amx = strcmp(table[k]->name, "amx") == 0;
        CHECK(cpu_backend_open(&b, 2, table[k]->name, &err));
        for (int t = 0; b && t < 3; t++) {
            float *picture = k == 0 ? want[t] : have;
            bool finite = true;
            const double largest = run(picture, b, g, in, out, kept, types[t]);
            CHECK(largest > float16_max && isfinite(largest));
            for (size_t i = 0; i < PIXELS; i++)
                finite = finite && isfinite(picture[i]);
            CHECK(finite);
            const double error = nn_test_error(picture, want[t], PIXELS);
            if (!(error < (is_amx ? 0.1 : 1e-4)))
                fprintf(stderr, "%s, type %d: %g\n", table[k]->name, types[t], error);
            CHECK(error < (is_amx ? 0.1 : 1e-4));
        }
        if (b)
            b->fn->close(b);
    }
    /* Weights of 11 bits instead of 24 are another picture, but not by much. */
    CHECK(nn_test_error(want[1], want[0], PIXELS) < 0.02);
    graph_free(g);
}

int main(void)
{
    decodes_what_float16_cannot_hold();
    return TEST_END();
}
