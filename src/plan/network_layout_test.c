/* The layouts of the published networks, every pair of blocks tried. */
#include "engine/cpu/cpu_backend.h"
#include "engine/engine_testing.h"
#include "nn/clip.h"
#include "nn/nn_test_configs.h"
#include "nn/unet.h"
#include "nn/vae.h"

static void check(struct graph *g, struct backend *b, int out, const char *what)
{
    struct layout l = {0};
    struct error err = {0};

    graph_output(g, out);
    bool ok = layout_make(&l, g, b, 0, &err);
    bool sound = ok && engine_testing_layout_is_sound(&l, g, b);
    if (!sound)
        fprintf(stderr, "%s: %s\n", what, err.text);
    CHECK(sound);
    layout_clear(&l);
    graph_free(g);
}

static void lays_out_the_unet(struct backend *b, int n, int64_t h, int64_t w)
{
    const struct unet_config *c = &nn_test_unet_sd15;
    struct graph *g = graph_new();
    const struct unet_inputs in = {
        .sample = graph_input(g, (struct graph_shape){n, c->in_channels, h, w}),
        .timestep = graph_input(g, (struct graph_shape){n, c->channels[0], 1, 1}),
        .context = graph_input(g, (struct graph_shape){n, c->cross_attention_dim, 1, 77}),
    };
    const int out = unet_build(g, c, &in);
    check(g, b, out, "unet");
}

static void lays_out_the_autoencoder(struct backend *b, int64_t h, int64_t w)
{
    const struct vae_config *c = &nn_test_vae;
    struct graph *g = graph_new();
    int in = graph_input(g, (struct graph_shape){1, c->latent_channels, h, w});
    int out = vae_build_decode(g, c, in);
    check(g, b, out, "decoder");

    g = graph_new();
    in = graph_input(g, (struct graph_shape){1, c->in_channels, 8 * h, 8 * w});
    out = vae_build_encode(g, c, in);
    check(g, b, out, "encoder");
}

static void lays_out_the_text_encoder(struct backend *b)
{
    struct graph *g = graph_new();
    const int in = graph_input(g, (struct graph_shape){2, 1, 1, 77});
    const int out = clip_build(g, &nn_test_clip_l, in, 2, true);
    check(g, b, out, "text encoder");
}

int main(void)
{
    struct backend *b = NULL;
    struct error err = {0};

    if (!cpu_backend_open(&b, 2, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    lays_out_the_unet(b, 2, 64, 64);
    lays_out_the_unet(b, 1, 13, 9);
    lays_out_the_autoencoder(b, 64, 64);
    lays_out_the_autoencoder(b, 9, 13);
    lays_out_the_text_encoder(b);
    b->fn->close(b);
    return TEST_END();
}
