/* The autoencoder in bands: the same bits as whole, in less memory. */
#include "engine/cpu/cpu_kernels.h"
#include "engine/engine_testing.h"
#include "nn/nn_test_configs.h"
#include "nn/nn_test_run.h"
#include "nn/vae.h"

#include <stdlib.h>
#include <string.h>

static float number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

static float *new_numbers(size_t n, uint64_t seed, float scale)
{
    float *x = calloc(n ? n : 1, sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = scale * number(&seed);
    return x;
}

/* Weights whose numbers follow from their names, however a graph orders them. */
static struct weights *new_weights(const struct graph *g, float **numbers)
{
    int n = graph_n_weights(g);
    struct weight_view *views = calloc((size_t)n, sizeof *views);
    struct weights *w = NULL;
    struct error err = {0};

    for (int i = 0; views && i < n; i++) {
        const struct graph_weight *weight = graph_weight_view(g, i + 1);
        uint64_t seed = 1;
        size_t count = 1;
        for (const char *c = weight->name; *c; c++)
            seed = seed * 31 + (unsigned char)*c;
        for (int d = 0; d < weight->n_dims; d++)
            count *= (size_t)weight->dims[d];
        numbers[i] = new_numbers(count, seed, weight->n_dims > 1 ? 0.3f : 1);
        views[i] = (struct weight_view){numbers[i], DTYPE_F32, (int64_t)count};
    }
    CHECK(views && weights_from_views(&w, g, views, &err));
    free(views);
    return w;
}

struct way {
    const struct vae_config *config;
    bool encode;
    int n, h, w; /* pictures, rows and columns of the latent */
    struct vae_tiling tiling;
};

/* A graph and the room for its answer; frees nothing of the caller's. */
static struct graph *build(const struct way *y, struct nn_test_input *in, int *out, size_t *count)
{
    const struct vae_config *c = y->config;
    const int scale = vae_scale(c);
    const struct graph_shape latent = {y->n, c->latent_channels, y->h, y->w},
                             image = {y->n, c->in_channels, scale * y->h, scale * y->w};
    struct graph *g = graph_new();
    in->tensor = graph_input(g, y->encode ? image : latent);
    *out = y->encode ? vae_build_encode_tiled(g, c, in->tensor, &y->tiling)
                     : vae_build_decode_tiled(g, c, in->tensor, &y->tiling);
    graph_output(g, *out);
    struct error err = {0};
    if (!graph_check(g, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(graph_check(g, &err) && *out > 0);
    *count = *out > 0 ? (size_t)graph_shape_count(graph_tensor_view(g, *out)->shape) : 0;
    return g;
}

static float *run(const struct way *y, struct backend *b, const float *input, size_t *count)
{
    struct nn_test_input in = {.numbers = input, .order = BACKEND_ROWS};
    int out = 0;
    struct graph *g = build(y, &in, &out, count);
    float **numbers = calloc((size_t)graph_n_weights(g) + 1, sizeof *numbers);
    struct weights *w = new_weights(g, numbers);
    float *answer = calloc(*count + 1, sizeof *answer);

    if (*count)
        nn_test_run(g, w, b, &in, 1, out, answer, BACKEND_ROWS);
    weights_free(w);
    for (int i = 0; i < graph_n_weights(g); i++)
        free(numbers[i]);
    free(numbers);
    graph_free(g);
    return answer;
}

static const struct vae_config small = {.in_channels = 3,
                                        .out_channels = 3,
                                        .latent_channels = 4,
                                        .n_levels = 4,
                                        .channels = {8, 16, 32, 32},
                                        .layers_per_block = 2,
                                        .groups = 4,
                                        .mid_attention = true,
                                        .quant_conv = true,
                                        .post_quant_conv = true};

/* Levels of equal width have no shortcut to compute. */
static const struct vae_config even = {.in_channels = 3,
                                       .out_channels = 3,
                                       .latent_channels = 4,
                                       .n_levels = 3,
                                       .channels = {12, 12, 12},
                                       .layers_per_block = 1,
                                       .groups = 3,
                                       .mid_attention = true};

static void compare(const struct way *whole, const char *isa)
{
    static const int64_t band_rows[] = {8, 16, 24, 64, 5, 1};
    const int scale = vae_scale(whole->config);
    const float *input =
        new_numbers((size_t)(whole->n * whole->h * whole->w * 4 * scale * scale), 7, 1);
    struct error err = {0};
    struct backend *one = NULL, *three = NULL;
    size_t n = 0, m = 0;

    CHECK(cpu_backend_open(&one, 1, isa, &err) && cpu_backend_open(&three, 3, isa, &err));
    float *want = run(whole, one, input, &n);
    for (size_t i = 0; i < 3 * sizeof band_rows / sizeof *band_rows; i++) {
        struct way tiled = *whole;
        tiled.tiling.band_rows = band_rows[i / 3];
        tiled.tiling.hold_bytes = i % 3 == 1 ? 1 << 30 : 0;
        tiled.tiling.again = i % 3 == 2 ? 1 + (int)(i / 3) % 4 : 0;
        float *have = run(&tiled, i % 2 ? three : one, input, &m);
        bool same = n == m && memcmp(want, have, n * sizeof *want) == 0;
        if (!same)
            fprintf(stderr, "%s, %s of %d x %d in bands of %d, %d levels again: other bits\n", isa,
                    whole->encode ? "encode" : "decode", whole->h, whole->w,
                    (int)tiled.tiling.band_rows, tiled.tiling.again);
        CHECK(same);
        free(have);
    }
    free(want);
    free((void *)(uintptr_t)input);
    one->fn->close(one);
    three->fn->close(three);
}

static void gives_the_same_bits_however_it_is_cut(void)
{
    const struct cpu_kernels *table[8];
    int n = cpu_kernels_list(table);

    for (int k = 0; k < n; k++)
        for (int encode = 0; encode < 2; encode++) {
            compare(&(struct way){&small, encode, 1, 9, 25, {0}}, table[k]->name);
            compare(&(struct way){&small, encode, 2, 3, 5, {0}}, table[k]->name);
            compare(&(struct way){&even, encode, 1, 11, 7, {0}}, table[k]->name);
        }
}

/* Bytes at the full size, without running: what the bands are for. */
static void takes_the_memory_of_the_largest_hidden_state(void)
{
    static const struct {
        bool encode;
        int side_px, band_rows, again;
        double most_bytes, most_flops;
    } row[] = {
        {false, 512, 0, 0, 540e6, 2.53e12},  {false, 512, 8, 0, 155e6, 3.62e12},
        {false, 1024, 8, 0, 563e6, 14.9e12}, {true, 512, 8, 0, 165e6, 1.28e12},
        {true, 1024, 8, 0, 563e6, 5.51e12},  {false, 1024, 8, 1, 345e6, 31.6e12},
        {true, 1024, 8, 1, 310e6, 7.3e12},   {false, 1024, 8, 2, 255e6, 67e12},
        {true, 1024, 8, 2, 290e6, 14e12},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const int side = row[i].side_px / 8;
        const struct way y = {
            &nn_test_vae, row[i].encode, 1,
            side,         side,          {.band_rows = row[i].band_rows, .again = row[i].again}};
        struct nn_test_input in;
        struct error err = {0};
        struct backend *b = NULL;
        struct layout l = {0};
        int out;
        size_t count;
        struct graph *g = build(&y, &in, &out, &count);

        CHECK(cpu_backend_open(&b, 2, "auto", &err) && layout_make(&l, g, b, 0, &err));
        bool fits = (double)l.arena_bytes <= row[i].most_bytes && l.flops <= row[i].most_flops;
        if (!fits)
            fprintf(stderr, "%s %d in bands of %d, %d levels again: %.1f MB, %.3f TFLOP\n",
                    row[i].encode ? "encode" : "decode", row[i].side_px, row[i].band_rows,
                    row[i].again, (double)l.arena_bytes / 1e6, l.flops / 1e12);
        CHECK(fits);
        CHECK(engine_testing_layout_is_sound(&l, g, b));
        layout_clear(&l);
        if (b)
            b->fn->close(b);
        graph_free(g);
    }
}

/* A layout asks for one of several ops that are alike (engine/backend.h). */
static void needs_the_same_for_ops_that_are_alike(void)
{
    static const struct way ways[] = {
        {&nn_test_vae, false, 1, 40, 24, {.band_rows = 16}},
        {&nn_test_vae, false, 2, 40, 24, {.band_rows = 8, .again = 2}},
        {&nn_test_vae, true, 1, 40, 24, {.band_rows = 16, .again = 1}},
        {&small, false, 1, 19, 11, {.band_rows = 6, .again = 2}},
    };
    struct error err = {0};
    struct backend *b = NULL;

    CHECK(cpu_backend_open(&b, 3, "auto", &err));
    for (size_t i = 0; b && i < sizeof ways / sizeof ways[0]; i++) {
        struct nn_test_input in;
        size_t count;
        int out, alike = 0, different = 0;
        struct graph *g = build(&ways[i], &in, &out, &count);
        for (int op = 1; op < graph_n_ops(g); op++)
            for (int other = op - 1; other >= 0 && other > op - 100; other--) {
                struct backend_needs x = {0}, y = {0};
                if (!graph_op_is_alike(g, op, other))
                    continue;
                CHECK(b->fn->op_needs(b, g, op, &x, &err) &&
                      b->fn->op_needs(b, g, other, &y, &err));
                alike++;
                different += x.workspace_bytes != y.workspace_bytes || x.flops < y.flops ||
                             x.flops > y.flops || x.seconds < y.seconds || x.seconds > y.seconds;
                break;
            }
        CHECK(alike > graph_n_ops(g) / 3 && different == 0);
        graph_free(g);
    }
    if (b)
        b->fn->close(b);
}

int main(void)
{
    needs_the_same_for_ops_that_are_alike();
    gives_the_same_bits_however_it_is_cut();
    takes_the_memory_of_the_largest_hidden_state();
    return TEST_END();
}
