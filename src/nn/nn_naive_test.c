/* The networks on the CPU against a slow double-precision reading of the same architecture. */
#include "nn/clip.h"
#include "nn/nn_test_naive.h"
#include "nn/nn_test_run.h"
#include "nn/unet.h"
#include "nn/vae.h"

/* Float32 sums of a few hundred terms through some twenty layers; what the machine likes best may
 * round each product's factors to 16 bits of fraction. */
static const double PORTABLE_TOLERANCE = 2e-5;
static const double BEST_TOLERANCE = 3e-4;

struct device {
    struct backend *backend;
    double tolerance;
};

/* The residual block: norm, SiLU, convolution, twice, with the time between. */
static struct naive resnet(struct naive x, const struct naive *time, int out_c, int groups,
                           double eps, const char *name)
{
    struct naive h = naive_group_norm(x, naive_name("%s.norm1", name).text, groups, eps);
    h = naive_conv3(naive_map(h, naive_silu), naive_name("%s.conv1", name).text, out_c);
    if (time) {
        const struct naive t =
            naive_linear(*time, naive_name("%s.time_emb_proj", name).text, out_c, true);
        for (int n = 0; n < h.n; n++)
            for (int c = 0; c < h.c; c++)
                for (int p = 0; p < h.h * h.w; p++)
                    *naive_at(h, n, c, 0, p) += *naive_at(t, n, c, 0, 0);
    }
    h = naive_group_norm(h, naive_name("%s.norm2", name).text, groups, eps);
    h = naive_conv3(naive_map(h, naive_silu), naive_name("%s.conv2", name).text, out_c);
    if (x.c != out_c)
        x = naive_linear(x, naive_name("%s.conv_shortcut", name).text, out_c, true);
    return naive_add(x, h);
}

static struct naive attend(struct naive x, struct naive memory, int heads, const char *name)
{
    const struct naive q = naive_linear(x, naive_name("%s.to_q", name).text, x.c, false);
    const struct naive k = naive_linear(memory, naive_name("%s.to_k", name).text, x.c, false);
    const struct naive v = naive_linear(memory, naive_name("%s.to_v", name).text, x.c, false);

    return naive_linear(naive_attention(q, k, v, heads, false),
                        naive_name("%s.to_out.0", name).text, x.c, true);
}

static struct naive transformer(struct naive x, struct naive context, int depth, int heads,
                                int groups, const char *name)
{
    struct naive h = naive_group_norm(x, naive_name("%s.norm", name).text, groups, 1e-6);

    h = naive_linear(h, naive_name("%s.proj_in", name).text, x.c, true);
    for (int i = 0; i < depth; i++) {
        const struct naive_name block = naive_name("%s.transformer_blocks.%d", name, i);
        struct naive in = naive_layer_norm(h, naive_name("%s.norm1", block.text).text, 1e-5);
        h = naive_add(h, attend(in, in, heads, naive_name("%s.attn1", block.text).text));
        in = naive_layer_norm(h, naive_name("%s.norm2", block.text).text, 1e-5);
        h = naive_add(h, attend(in, context, heads, naive_name("%s.attn2", block.text).text));
        in = naive_layer_norm(h, naive_name("%s.norm3", block.text).text, 1e-5);
        in = naive_linear(in, naive_name("%s.ff.net.0.proj", block.text).text, 8 * x.c, true);
        const struct naive gate = naive_map(naive_channels(in, 4 * x.c, 4 * x.c), naive_gelu);
        in = naive_channels(in, 0, 4 * x.c);
        for (size_t k = 0; k < naive_count(in); k++)
            in.x[k] *= gate.x[k];
        h = naive_add(h, naive_linear(in, naive_name("%s.ff.net.2", block.text).text, x.c, true));
    }
    return naive_add(x, naive_linear(h, naive_name("%s.proj_out", name).text, x.c, true));
}

static struct naive embedding(struct naive x, int width, const char *name)
{
    x = naive_linear(x, naive_name("%s.linear_1", name).text, width, true);
    return naive_linear(naive_map(x, naive_silu), naive_name("%s.linear_2", name).text, width,
                        true);
}

struct unet_values {
    struct naive sample, timestep, context, added;
};

static struct naive naive_unet(const struct unet_config *c, const struct unet_values *in)
{
    struct naive skip[32], time = embedding(in->timestep, 4 * c->channels[0], "time_embedding");
    int n_skips = 0;
    const int last = c->n_levels - 1, groups = c->groups;

    if (c->addition_input_dim)
        time = naive_add(time, embedding(in->added, 4 * c->channels[0], "add_embedding"));
    time = naive_map(time, naive_silu);

    struct naive x = skip[n_skips++] = naive_conv3(in->sample, "conv_in", c->channels[0]);
    for (int i = 0; i <= last; i++) {
        for (int j = 0; j < c->layers_per_block; j++) {
            x = resnet(x, &time, c->channels[i], groups, c->norm_eps,
                       naive_name("down_blocks.%d.resnets.%d", i, j).text);
            if (c->transformer_layers[i])
                x = transformer(x, in->context, c->transformer_layers[i], c->heads[i], groups,
                                naive_name("down_blocks.%d.attentions.%d", i, j).text);
            skip[n_skips++] = x;
        }
        if (i < last)
            x = skip[n_skips++] =
                naive_conv_to(x, naive_name("down_blocks.%d.downsamplers.0.conv", i).text, x.c, 3,
                              2, 1, (x.h + 1) / 2, (x.w + 1) / 2, true);
    }
    x = resnet(x, &time, x.c, groups, c->norm_eps, "mid_block.resnets.0");
    x = transformer(x, in->context, c->mid_transformer_layers, c->mid_heads, groups,
                    "mid_block.attentions.0");
    x = resnet(x, &time, x.c, groups, c->norm_eps, "mid_block.resnets.1");
    for (int i = last; i >= 0; i--) {
        for (int j = 0; j <= c->layers_per_block; j++) {
            x = resnet(naive_join(x, skip[--n_skips]), &time, c->channels[i], groups, c->norm_eps,
                       naive_name("up_blocks.%d.resnets.%d", last - i, j).text);
            if (c->transformer_layers[i])
                x = transformer(x, in->context, c->transformer_layers[i], c->heads[i], groups,
                                naive_name("up_blocks.%d.attentions.%d", last - i, j).text);
        }
        if (i > 0) {
            const struct naive to = skip[n_skips - 1];
            x = naive_conv3(naive_resize(x, to.h, to.w),
                            naive_name("up_blocks.%d.upsamplers.0.conv", last - i).text, x.c);
        }
    }
    x = naive_map(naive_group_norm(x, "conv_norm_out", groups, c->norm_eps), naive_silu);
    return naive_conv3(x, "conv_out", c->out_channels);
}

static struct naive vae_mid(struct naive x, const struct vae_config *c, const char *half)
{
    const struct naive_name name = naive_name("%s.mid_block.attentions.0", half);

    x = resnet(x, NULL, x.c, c->groups, 1e-6, naive_name("%s.mid_block.resnets.0", half).text);
    struct naive in =
        naive_group_norm(x, naive_name("%s.group_norm", name.text).text, c->groups, 1e-6);
    const struct naive q = naive_linear(in, naive_name("%s.to_q", name.text).text, x.c, true);
    const struct naive k = naive_linear(in, naive_name("%s.to_k", name.text).text, x.c, true);
    const struct naive v = naive_linear(in, naive_name("%s.to_v", name.text).text, x.c, true);
    in = naive_linear(naive_attention(q, k, v, 1, false), naive_name("%s.to_out.0", name.text).text,
                      x.c, true);
    return resnet(naive_add(x, in), NULL, x.c, c->groups, 1e-6,
                  naive_name("%s.mid_block.resnets.1", half).text);
}

static struct naive naive_decode(const struct vae_config *c, struct naive x)
{
    const int last = c->n_levels - 1;

    x = naive_linear(x, "post_quant_conv", c->latent_channels, true);
    x = vae_mid(naive_conv3(x, "decoder.conv_in", c->channels[last]), c, "decoder");
    for (int i = 0; i <= last; i++) {
        for (int j = 0; j <= c->layers_per_block; j++)
            x = resnet(x, NULL, c->channels[last - i], c->groups, 1e-6,
                       naive_name("decoder.up_blocks.%d.resnets.%d", i, j).text);
        if (i < last)
            x = naive_conv3(naive_resize(x, 2 * x.h, 2 * x.w),
                            naive_name("decoder.up_blocks.%d.upsamplers.0.conv", i).text, x.c);
    }
    x = naive_map(naive_group_norm(x, "decoder.conv_norm_out", c->groups, 1e-6), naive_silu);
    return naive_conv3(x, "decoder.conv_out", c->out_channels);
}

static struct naive naive_encode(const struct vae_config *c, struct naive x)
{
    x = naive_conv3(x, "encoder.conv_in", c->channels[0]);
    for (int i = 0; i < c->n_levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            x = resnet(x, NULL, c->channels[i], c->groups, 1e-6,
                       naive_name("encoder.down_blocks.%d.resnets.%d", i, j).text);
        if (i < c->n_levels - 1) /* zeros below and right only */
            x = naive_conv_to(x, naive_name("encoder.down_blocks.%d.downsamplers.0.conv", i).text,
                              x.c, 3, 2, 0, x.h / 2, x.w / 2, true);
    }
    x = vae_mid(x, c, "encoder");
    x = naive_map(naive_group_norm(x, "encoder.conv_norm_out", c->groups, 1e-6), naive_silu);
    x = naive_conv3(x, "encoder.conv_out", 2 * c->latent_channels);
    return naive_linear(x, "quant_conv", 2 * c->latent_channels, true);
}

static struct naive naive_clip(const struct clip_config *c, struct naive ids, int skip, bool norm)
{
    struct naive x = naive_new(ids.n, c->width, 1, ids.w);

    for (int n = 0; n < x.n; n++)
        for (int t = 0; t < x.w; t++)
            for (int k = 0; k < x.c; k++) {
                const int id = (int)*naive_at(ids, n, 0, 0, t);
                const char *tokens = "text_model.embeddings.token_embedding.weight";
                const char *places = "text_model.embeddings.position_embedding.weight";
                *naive_at(x, n, k, 0, t) =
                    (double)naive_weight(tokens, c->width, (size_t)(id * c->width + k)) +
                    (double)naive_weight(places, c->width, (size_t)(t * c->width + k));
            }
    for (int i = 0; i <= c->layers - skip; i++) {
        const struct naive_name layer = naive_name("text_model.encoder.layers.%d", i);
        struct naive in =
            naive_layer_norm(x, naive_name("%s.layer_norm1", layer.text).text, c->norm_eps);
        struct naive qkv[3];
        for (int k = 0; k < 3; k++)
            qkv[k] = naive_linear(in, naive_name("%s.self_attn.%c_proj", layer.text, "qkv"[k]).text,
                                  x.c, true);
        in = naive_attention(qkv[0], qkv[1], qkv[2], c->heads, true);
        in = naive_linear(in, naive_name("%s.self_attn.out_proj", layer.text).text, x.c, true);
        x = naive_add(x, in);
        in = naive_layer_norm(x, naive_name("%s.layer_norm2", layer.text).text, c->norm_eps);
        in = naive_linear(in, naive_name("%s.mlp.fc1", layer.text).text, c->intermediate, true);
        in = naive_map(in, c->act == MODEL_ACT_GELU ? naive_gelu : naive_quick_gelu);
        x = naive_add(x, naive_linear(in, naive_name("%s.mlp.fc2", layer.text).text, x.c, true));
    }
    return norm ? naive_layer_norm(x, "text_model.final_layer_norm", c->norm_eps) : x;
}

/* Bytes of weight w as a checkpoint of its type would hold them. */
static void fill_weight(const struct graph_weight *w, struct weight_view *view)
{
    int64_t count = 1, fan_in = 1;
    for (int d = 0; d < w->n_dims; d++) {
        count *= w->dims[d];
        fan_in *= d ? w->dims[d] : 1;
    }
    const enum dtype type = naive_dtype(w->name);
    unsigned char *bytes = malloc((size_t)count * dtype_bytes(type));
    if (!bytes)
        abort();
    for (size_t i = 0; i < (size_t)count; i++) {
        const float f = naive_weight(w->name, fan_in, i);
        const uint16_t half = type == DTYPE_F16 ? dtype_f16_from_f32(f) : dtype_bf16_from_f32(f);
        if (type == DTYPE_F32)
            memcpy(bytes + i * 4, &f, 4);
        else
            memcpy(bytes + i * 2, &half, 2);
    }
    *view = (struct weight_view){bytes, type, count};
}

static float *floats(struct naive t)
{
    float *f = malloc(naive_count(t) * sizeof *f);
    if (!f)
        abort();
    for (size_t i = 0; i < naive_count(t); i++)
        f[i] = (float)t.x[i];
    return f;
}

struct value {
    int tensor;
    struct naive numbers;
};

/* Runs g, whose result is `out`, and holds it against `want`. */
static void compare(const struct device *d, struct graph *g, const struct value *in, int n_in,
                    int out, struct naive want, const char *what)
{
    const int n_weights = graph_n_weights(g);
    struct weight_view *views = calloc((size_t)n_weights, sizeof *views);
    struct weights *weights = NULL;
    struct nn_test_input inputs[4];
    struct error err = {0};
    float *expected = floats(want), *have = calloc(naive_count(want), sizeof *have);

    if (!views || !have)
        abort();
    graph_output(g, out);
    for (int i = 0; i < n_weights; i++)
        fill_weight(graph_weight_view(g, i + 1), &views[i]);
    CHECK(weights_from_views(&weights, g, views, &err));
    for (int i = 0; i < n_in; i++)
        inputs[i] = (struct nn_test_input){in[i].tensor, floats(in[i].numbers), BACKEND_PLANES};
    if (nn_test_run(g, weights, d->backend, inputs, n_in, out, have, BACKEND_PLANES)) {
        const double error = nn_test_error(have, expected, naive_count(want));
        CHECK(error <= d->tolerance);
        if (!(error <= d->tolerance))
            fprintf(stderr, "%s: error %.3g\n", what, error);
    }
    for (int i = 0; i < n_in; i++)
        free((void *)(uintptr_t)inputs[i].numbers);
    for (int i = 0; i < n_weights; i++)
        free((void *)(uintptr_t)views[i].bytes);
    weights_free(weights);
    free(views);
    free(expected);
    free(have);
    graph_free(g);
    naive_free_all();
}

static struct graph_shape shape_of(struct naive t)
{
    return (struct graph_shape){t.n, t.c, t.h, t.w};
}

static const struct unet_config unet_row[] = {
    {.in_channels = 4,
     .out_channels = 3,
     .n_levels = 3,
     .channels = {12, 20, 24},
     .layers_per_block = 1,
     .transformer_layers = {1, 0, 2},
     .mid_transformer_layers = 1,
     .heads = {2, 1, 3},
     .mid_heads = 4,
     .cross_attention_dim = 10,
     .groups = 4,
     .norm_eps = 1e-5f},
    {.in_channels = 5,
     .out_channels = 4,
     .n_levels = 2,
     .channels = {16, 48},
     .layers_per_block = 2,
     .transformer_layers = {0, 1},
     .mid_transformer_layers = 2,
     .heads = {1, 6},
     .mid_heads = 6,
     .cross_attention_dim = 17,
     .groups = 8,
     .norm_eps = 1e-3f,
     .addition_time_dim = 2,
     .addition_input_dim = 9},
};

static void computes_the_unet_at_even_and_odd_sizes(const struct device *d)
{
    static const int size[][3] = {{1, 8, 8}, {2, 9, 13}, {1, 1, 7}, {3, 6, 5}};

    for (size_t r = 0; r < sizeof unet_row / sizeof unet_row[0]; r++)
        for (size_t s = 0; s < sizeof size / sizeof size[0]; s++) {
            const struct unet_config *c = &unet_row[r];
            const int n = size[s][0];
            struct unet_values v = {
                .sample = naive_input(n, c->in_channels, size[s][1], size[s][2], "sample"),
                .timestep = naive_input(n, c->channels[0], 1, 1, "timestep"),
                .context = naive_input(n, c->cross_attention_dim, 1, 11, "context"),
            };
            struct graph *g = graph_new();
            struct unet_inputs in = {.sample = graph_input(g, shape_of(v.sample)),
                                     .timestep = graph_input(g, shape_of(v.timestep)),
                                     .context = graph_input(g, shape_of(v.context))};
            if (c->addition_input_dim) {
                v.added = naive_input(n, c->addition_input_dim, 1, 1, "added");
                in.added = graph_input(g, shape_of(v.added));
            }
            const struct value values[] = {{in.sample, v.sample},
                                           {in.timestep, v.timestep},
                                           {in.context, v.context},
                                           {in.added, v.added}};
            compare(d, g, values, in.added ? 4 : 3, unet_build(g, c, &in), naive_unet(c, &v),
                    naive_name("unet %zu, size %zu", r, s).text);
        }
}

static void computes_the_autoencoder_both_ways(const struct device *d)
{
    static const struct vae_config c = {.in_channels = 3,
                                        .out_channels = 3,
                                        .latent_channels = 4,
                                        .n_levels = 3,
                                        .channels = {8, 12, 24},
                                        .layers_per_block = 1,
                                        .groups = 4,
                                        .mid_attention = true,
                                        .quant_conv = true,
                                        .post_quant_conv = true};
    static const int size[][3] = {{1, 4, 4}, {2, 3, 5}};

    for (size_t s = 0; s < sizeof size / sizeof size[0]; s++) {
        const int n = size[s][0], h = size[s][1], w = size[s][2];
        const struct naive latent = naive_input(n, 4, h, w, "latent");
        struct graph *g = graph_new();
        const struct value in = {graph_input(g, shape_of(latent)), latent};
        compare(d, g, &in, 1, vae_build_decode(g, &c, in.tensor), naive_decode(&c, latent),
                "decode");

        const struct naive image = naive_input(n, 3, 4 * h, 4 * w, "image");
        g = graph_new();
        const struct value from = {graph_input(g, shape_of(image)), image};
        compare(d, g, &from, 1, vae_build_encode(g, &c, from.tensor), naive_encode(&c, image),
                "encode");
    }
}

static void computes_the_text_encoder_with_every_skip(const struct device *d)
{
    for (int skip = 1; skip <= 3; skip++)
        for (int act = 0; act < 2; act++) {
            const struct clip_config c = {.vocab_size = 50,
                                          .max_positions = 9,
                                          .width = 24,
                                          .intermediate = 40,
                                          .heads = 3,
                                          .layers = 3,
                                          .act = act ? MODEL_ACT_GELU : MODEL_ACT_QUICK_GELU,
                                          .norm_eps = 1e-5f};
            struct naive ids = naive_new(2, 1, 1, 7);
            for (size_t i = 0; i < naive_count(ids); i++)
                ids.x[i] = (double)(i * 17 % 50);
            struct graph *g = graph_new();
            const struct value in = {graph_input(g, shape_of(ids)), ids};
            compare(d, g, &in, 1, clip_build(g, &c, in.tensor, skip, act == 0),
                    naive_clip(&c, ids, skip, act == 0), naive_name("clip skip %d", skip).text);
        }
}

static void computes_what_the_architecture_says(const char *isa, double tolerance)
{
    struct device d = {.tolerance = tolerance};
    struct error err = {0};

    if (!cpu_backend_open(&d.backend, 2, isa, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(d.backend != NULL);
    if (!d.backend)
        return;
    computes_the_unet_at_even_and_odd_sizes(&d);
    computes_the_autoencoder_both_ways(&d);
    computes_the_text_encoder_with_every_skip(&d);
    d.backend->fn->close(d.backend);
}

int main(void)
{
    computes_what_the_architecture_says("portable", PORTABLE_TOLERANCE);
    computes_what_the_architecture_says("auto", BEST_TOLERANCE);
    return TEST_END();
}
