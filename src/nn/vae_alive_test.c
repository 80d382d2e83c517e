/* What is said to be alive together never needs more than a layout, and not much less. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/layout.h"
#include "nn/nn_test_configs.h"
#include "nn/vae_alive.h"

static bool needs_nothing(struct backend *b, const struct graph *g, int op,
                          struct backend_needs *out, struct error *err)
{
    (void)b, (void)g, (void)op, (void)err;
    *out = (struct backend_needs){0};
    return true;
}

struct bytes {
    size_t alive, arena;
};

static struct bytes measure(struct backend *b, const struct vae_config *c, bool encode,
                            struct graph_shape latent, const struct vae_tiling *t)
{
    const int64_t scale = vae_scale(c);
    const struct graph_shape shape =
        encode ? (struct graph_shape){latent.n, c->in_channels, scale * latent.h, scale * latent.w}
               : (struct graph_shape){latent.n, c->latent_channels, latent.h, latent.w};
    struct graph_shape alive[VAE_ALIVE_MOST];
    struct graph *g = graph_new();
    struct layout l = {0};
    struct bytes bytes = {0, 0};
    struct error err = {0};
    const int in = graph_input(g, shape);
    const int out =
        encode ? vae_build_encode_tiled(g, c, in, t) : vae_build_decode_tiled(g, c, in, t);
    const int n = (encode ? vae_alive_encode : vae_alive_decode)(c, shape, t, alive);

    graph_output(g, out);
    for (int i = 0; i < n; i++) {
        size_t one;
        CHECK(b->fn->tensor_bytes(b, alive[i], &one, &err));
        bytes.alive += one;
    }
    if (graph_check(g, &err)) { /* some bands are too thin for a small picture */
        CHECK(layout_make(&l, g, b, 0, &err));
        bytes.arena = l.arena_bytes;
    }
    layout_clear(&l);
    graph_free(g);
    return bytes;
}

static const struct vae_config uneven = {.in_channels = 3,
                                         .out_channels = 3,
                                         .latent_channels = 4,
                                         .n_levels = 3,
                                         .channels = {8, 24, 16},
                                         .layers_per_block = 1,
                                         .groups = 4,
                                         .mid_attention = true,
                                         .post_quant_conv = true};

static void check_all_ways(struct backend *b, const struct vae_config *c, struct graph_shape latent)
{
    static const int rows[] = {0, 1, 3, 8, 16, 64};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int again = 0; again <= (rows[i] ? c->n_levels : 0); again++)
            for (int way = 0; way < 4; way++) {
                const struct vae_tiling t = {
                    .band_rows = rows[i], .again = again, .hold_bytes = way & 2 ? 3 << 20 : 0};
                const struct bytes bytes = measure(b, c, way & 1, latent, &t);
                const bool is_below = !bytes.arena || bytes.alive <= bytes.arena;
                if (!is_below)
                    fprintf(stderr, "%s %dx%d, bands of %d, %d again: %zu > %zu\n",
                            way & 1 ? "encode" : "decode", (int)latent.w, (int)latent.h, rows[i],
                            again, bytes.alive, bytes.arena);
                CHECK(is_below && bytes.alive > 0);
            }
}

/* On a device that needs nothing beside the tensors, which come in the smallest granules. */
static void never_says_too_much(struct backend *cpu)
{
    static const struct vae_config *const configs[] = {&nn_test_vae, &uneven};
    static const struct graph_shape latents[] = {{1, 4, 1, 1},  {1, 4, 8, 8},   {1, 4, 40, 24},
                                                 {2, 4, 19, 7}, {1, 4, 64, 3},  {1, 4, 3, 64},
                                                 {1, 4, 33, 1}, {1, 4, 56, 40}, {3, 4, 5, 5}};
    struct backend_functions fn = *cpu->fn;
    struct backend plain = {.fn = &fn};

    fn.op_needs = needs_nothing;
    fn.arena_granule = BACKEND_ALIGN;
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++)
        for (size_t i = 0; i < sizeof latents / sizeof latents[0]; i++)
            check_all_ways(&plain, configs[c], latents[i]);
}

static void says_enough_to_be_of_use(struct backend *b)
{
    static const struct vae_tiling ways[] = {
        {.band_rows = 0},
        {.band_rows = 64},
        {.band_rows = 16},
        {.band_rows = 16, .again = 1},
        {.band_rows = 16, .again = 2},
        {.band_rows = 8, .again = 2},
    };
    const struct graph_shape latent = {1, 4, 128, 128};

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        for (int encode = 0; encode < 2; encode++) {
            const struct bytes bytes = measure(b, &nn_test_vae, encode, latent, &ways[i]);
            const double part = (double)bytes.alive / (double)bytes.arena;
            /* What attention takes for its work is most of a lean encoder. */
            const bool is_much = part >= (encode && ways[i].again == 2 ? 0.6 : 0.9);
            if (!is_much)
                fprintf(stderr, "%s in bands of %d, %d again: %.1f of %.1f MB\n",
                        encode ? "encode" : "decode", (int)ways[i].band_rows, ways[i].again,
                        (double)bytes.alive / 1e6, (double)bytes.arena / 1e6);
            CHECK(is_much);
        }
}

static void says_nothing_of_what_it_does_not_know(void)
{
    const struct vae_config tiny = {.tiny = true, .n_levels = 4}, none = {0};
    struct graph_shape out[VAE_ALIVE_MOST];

    CHECK(vae_alive_decode(&tiny, (struct graph_shape){1, 4, 8, 8}, NULL, out) == 0);
    CHECK(vae_alive_encode(&none, (struct graph_shape){1, 3, 8, 8}, NULL, out) == 0);
}

int main(void)
{
    struct error err = {0};
    struct backend *b = NULL;

    CHECK(cpu_backend_open(&b, 2, "auto", &err));
    if (b) {
        never_says_too_much(b);
        says_enough_to_be_of_use(b);
        b->fn->close(b);
    }
    says_nothing_of_what_it_does_not_know();
    return TEST_END();
}
