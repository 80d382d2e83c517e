/* The published models as graphs: parameters, operations, sizes. */
#include "base/test.h"
#include "nn/clip.h"
#include "nn/nn_test_configs.h"
#include "nn/unet.h"
#include "nn/vae.h"

#include <math.h>
#include <string.h>

struct totals {
    double parameters, flops;
};

static struct totals count(const struct graph *g)
{
    struct totals t = {0};

    for (int i = 1; i <= graph_n_weights(g); i++) {
        const struct graph_weight *w = graph_weight_view(g, i);
        double n = 1;
        for (int d = 0; d < w->n_dims; d++)
            n *= (double)w->dims[d];
        t.parameters += n;
    }
    for (int i = 0; i < graph_n_ops(g); i++)
        t.flops += graph_op_flops(g, i);
    return t;
}

static int build_unet(struct graph *g, const struct unet_config *c, int64_t h, int64_t w)
{
    struct unet_inputs in = {
        .sample = graph_input(g, (struct graph_shape){1, c->in_channels, h, w}),
        .timestep = graph_input(g, (struct graph_shape){1, c->channels[0], 1, 1}),
        .context = graph_input(g, (struct graph_shape){1, c->cross_attention_dim, 1, 77}),
    };
    if (c->addition_input_dim)
        in.added = graph_input(g, (struct graph_shape){1, c->addition_input_dim, 1, 1});
    return unet_build(g, c, &in);
}

static void says_why(const struct graph *g)
{
    struct error err = {0};

    if (!graph_check(g, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(graph_check(g, &err));
}

/* Parameters are exact; operations are those of the design's table, counted by PyTorch, within 1 %.
 */
static void counts_unets_like_the_published_models(void)
{
    static const struct {
        const struct unet_config *config;
        int64_t side;
        double parameters, flops;
    } row[] = {
        {&nn_test_unet_sd15, 64, 859520964, 0.803e12},
        {&nn_test_unet_sdxl, 128, 2567463684, 6.761e12},
        {&nn_test_unet_refiner, 128, 2259526660, 7.29e12},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct graph *g = graph_new();
        const int out = build_unet(g, row[i].config, row[i].side, row[i].side);
        says_why(g);
        CHECK(out > 0);
        const struct totals t = count(g);
        CHECK(t.parameters == row[i].parameters);
        CHECK(fabs(t.flops / row[i].flops - 1) < 0.01);
        if (fabs(t.flops / row[i].flops - 1) >= 0.01)
            fprintf(stderr, "row %zu: %.4g, not %.4g operations\n", i, t.flops, row[i].flops);
        graph_free(g);
    }
}

static void counts_the_autoencoder_like_the_published_model(void)
{
    static const struct {
        bool encode;
        int64_t side_px;
        double flops;
    } row[] = {{false, 512, 2.515e12},
               {false, 1024, 10.47e12},
               {true, 512, 1.12e12},
               {true, 1024, 4.88e12}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const int64_t side = row[i].side_px;
        struct graph *g = graph_new();
        const struct graph_shape image = {1, 3, side, side}, latent = {1, 4, side / 8, side / 8};
        const int out = row[i].encode ? vae_build_encode(g, &nn_test_vae, graph_input(g, image))
                                      : vae_build_decode(g, &nn_test_vae, graph_input(g, latent));
        says_why(g);
        CHECK(out > 0);
        const struct totals t = count(g);
        /* With the 1x1 convolutions outside of encoder and decoder. */
        CHECK(t.parameters == (row[i].encode ? 34163664.0 : 49490199.0));
        CHECK(fabs(t.flops / row[i].flops - 1) < 0.01);
        if (fabs(t.flops / row[i].flops - 1) >= 0.01)
            fprintf(stderr, "row %zu: %.4g, not %.4g operations\n", i, t.flops, row[i].flops);
        graph_free(g);
    }
}

static void counts_text_encoders_like_the_published_models(void)
{
    static const struct {
        const struct clip_config *config;
        double parameters, flops;
    } row[] = {
        {&nn_test_clip_l, 123060480, 0.013e12},
        {&nn_test_clip_big_g, 694659840 - 1280.0 * 1280, 0.098e12}, /* without the projection */
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct graph *g = graph_new();
        const int ids = graph_input(g, (struct graph_shape){1, 1, 1, 77});
        CHECK(clip_build(g, row[i].config, ids, 1, true) > 0);
        says_why(g);
        const struct totals t = count(g);
        CHECK(t.parameters == row[i].parameters);
        CHECK(fabs(t.flops / row[i].flops - 1) < 0.05); /* the table has two digits */
        graph_free(g);
    }
}

static void meets_the_skips_at_every_size(void)
{
    for (int64_t h = 1; h <= 20; h++)
        for (int64_t w = 1; w <= 20; w += 3) {
            struct graph *g = graph_new();
            const int out = build_unet(g, &nn_test_unet_sd15, h, w);
            says_why(g);
            if (out) {
                const struct graph_shape s = graph_tensor_view(g, out)->shape;
                CHECK(s.n == 1 && s.c == 4 && s.h == h && s.w == w);
            }
            graph_free(g);
        }
}

static bool names(const struct graph *g, const char *part)
{
    for (int i = 1; i <= graph_n_weights(g); i++)
        if (strstr(graph_weight_view(g, i)->name, part))
            return true;
    return false;
}

static void names_no_weight_of_a_skipped_layer(void)
{
    struct graph *g = graph_new();
    const int ids = graph_input(g, (struct graph_shape){2, 1, 1, 77});

    CHECK(clip_build(g, &nn_test_clip_l, ids, 2, false) > 0);
    CHECK(names(g, "layers.10.") && !names(g, "layers.11.") && !names(g, "final_layer_norm"));
    graph_free(g);
}

static void refuses_what_cannot_be(void)
{
    static const int bad_skip[] = {0, -1, 13};
    struct error err;

    for (size_t i = 0; i < sizeof bad_skip / sizeof bad_skip[0]; i++) {
        struct graph *g = graph_new();
        const int ids = graph_input(g, (struct graph_shape){1, 1, 1, 77});
        CHECK(clip_build(g, &nn_test_clip_l, ids, bad_skip[i], true) == 0);
        CHECK(!graph_check(g, &err) && strstr(err.text, "clip skip"));
        graph_free(g);
    }

    struct graph *g = graph_new();
    CHECK(clip_build(g, &nn_test_clip_l, graph_input(g, (struct graph_shape){1, 1, 1, 78}), 1,
                     true) == 0);
    CHECK(!graph_check(g, &err) && strstr(err.text, "77 positions"));
    graph_free(g);

    g = graph_new();
    struct unet_config unet = nn_test_unet_sd15;
    unet.groups = 33;
    CHECK(build_unet(g, &unet, 8, 8) == 0 && !graph_check(g, &err));
    graph_free(g);

    g = graph_new();
    unet = nn_test_unet_sd15;
    unet.heads[1] = 7;
    CHECK(build_unet(g, &unet, 8, 8) == 0 && !graph_check(g, &err));
    graph_free(g);

    g = graph_new();
    unet = nn_test_unet_sd15;
    unet.n_levels = 0;
    CHECK(build_unet(g, &unet, 8, 8) == 0 && !graph_check(g, &err));
    graph_free(g);

    g = graph_new();
    CHECK(vae_build_encode(g, &nn_test_vae, graph_input(g, (struct graph_shape){1, 3, 64, 68})) ==
          0);
    CHECK(!graph_check(g, &err) && strstr(err.text, "multiples of 8"));
    graph_free(g);
}

/* Numbers of diffusers' get_timestep_embedding(…, 6, flip_sin_to_cos=True, downscale_freq_shift=0),
 * computed in float32: cos and sin of t * 10000^(-k/3). */
static void embeds_timesteps(void)
{
    const float steps[2] = {0, 499.5f};
    float flipped[12], plain[14];

    unet_timestep_embedding(flipped, steps, 2, 6, true, 0);
    unet_timestep_embedding(plain, steps, 2, 7, false, 0);
    for (int k = 0; k < 3; k++) {
        const double angle = 499.5 * pow(10000, -k / 3.0);
        CHECK(flipped[k] == 1 && flipped[3 + k] == 0);
        CHECK(fabs(flipped[6 + k] - cos(angle)) < 2e-5 && fabs(flipped[9 + k] - sin(angle)) < 2e-5);
        CHECK(plain[7 + k] == flipped[9 + k] && plain[10 + k] == flipped[6 + k]);
    }
    CHECK(plain[6] == 0 && plain[13] == 0); /* an odd width ends in a zero */
    unet_timestep_embedding(plain, steps + 1, 1, 4, true, 1);
    CHECK(fabs(plain[1] - cos(499.5 / 10000)) < 1e-6); /* shifted: the last frequency is 1/10000 */
}

int main(void)
{
    counts_unets_like_the_published_models();
    counts_the_autoencoder_like_the_published_model();
    counts_text_encoders_like_the_published_models();
    meets_the_skips_at_every_size();
    names_no_weight_of_a_skipped_layer();
    refuses_what_cannot_be();
    embeds_timesteps();
    return TEST_END();
}
