#include "model/model_names.h"

#include <stdarg.h>
#include <stdio.h>

enum { NAME_BYTES = 192, PREFIX_BYTES = 128 };

/* Where names go.  Once fn has said stop, nothing is said any more. */
struct out {
    model_names_fn fn;
    void *ctx;
    bool stopped;
};

static void put(struct out *o, const char *prefix, const char *name, const int64_t *dims,
                int n_dims)
{
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (!o->stopped)
        o->stopped = !o->fn(o->ctx, full, dims, n_dims);
}

PRINTF_LIKE(2, 3) static void format(char out[PREFIX_BYTES], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(out, PREFIX_BYTES, fmt, args);
    va_end(args);
}

static void put_vector(struct out *o, const char *prefix, const char *name, int n)
{
    put(o, prefix, name, (int64_t[]){n}, 1);
}

static void put_norm(struct out *o, const char *prefix, const char *name, int n)
{
    char p[PREFIX_BYTES];
    format(p, "%s%s", prefix, name);
    put_vector(o, p, ".weight", n);
    put_vector(o, p, ".bias", n);
}

static void put_matrix(struct out *o, const char *prefix, const char *name, int rows, int columns)
{
    char p[PREFIX_BYTES];
    format(p, "%s%s", prefix, name);
    put(o, p, ".weight", (int64_t[]){rows, columns}, 2);
}

static void put_linear(struct out *o, const char *prefix, const char *name, int rows, int columns)
{
    char p[PREFIX_BYTES];
    format(p, "%s%s", prefix, name);
    put(o, p, ".weight", (int64_t[]){rows, columns}, 2);
    put_vector(o, p, ".bias", rows);
}

static void put_conv(struct out *o, const char *prefix, const char *name, int to, int from,
                     int kernel)
{
    char p[PREFIX_BYTES];
    format(p, "%s%s", prefix, name);
    put(o, p, ".weight", (int64_t[]){to, from, kernel, kernel}, 4);
    put_vector(o, p, ".bias", to);
}

/* temb is the width of the time embedding; 0: the VAE's blocks have none. */
static void put_resnet(struct out *o, const char *prefix, int from, int to, int temb)
{
    put_norm(o, prefix, "norm1", from);
    put_conv(o, prefix, "conv1", to, from, 3);
    if (temb)
        put_linear(o, prefix, "time_emb_proj", to, temb);
    put_norm(o, prefix, "norm2", to);
    put_conv(o, prefix, "conv2", to, to, 3);
    if (from != to)
        put_conv(o, prefix, "conv_shortcut", to, from, 1);
}

static void put_cross(struct out *o, const char *prefix, const char *name, int width, int context)
{
    char p[PREFIX_BYTES];
    format(p, "%s%s.", prefix, name);
    put_matrix(o, p, "to_q", width, width);
    put_matrix(o, p, "to_k", width, context);
    put_matrix(o, p, "to_v", width, context);
    put_linear(o, p, "to_out.0", width, width);
}

static void put_transformer(struct out *o, const char *prefix, const struct unet_config *c,
                            int width, int depth)
{
    put_norm(o, prefix, "norm", width);
    if (c->linear_projection)
        put_linear(o, prefix, "proj_in", width, width);
    else
        put_conv(o, prefix, "proj_in", width, width, 1);
    for (int i = 0; i < depth; i++) {
        char p[PREFIX_BYTES];
        format(p, "%stransformer_blocks.%d.", prefix, i);
        put_norm(o, p, "norm1", width);
        put_cross(o, p, "attn1", width, width);
        put_norm(o, p, "norm2", width);
        put_cross(o, p, "attn2", width, c->cross_attention_dim);
        put_norm(o, p, "norm3", width);
        put_linear(o, p, "ff.net.0.proj", 8 * width, width); /* GEGLU: gate and value */
        put_linear(o, p, "ff.net.2", width, 4 * width);
    }
    if (c->linear_projection)
        put_linear(o, prefix, "proj_out", width, width);
    else
        put_conv(o, prefix, "proj_out", width, width, 1);
}

/* One level of the UNet; from[i] is what residual block i takes in. */
static void put_unet_block(struct out *o, const char *prefix, const struct unet_config *c,
                           int level, int n, const int *from)
{
    char p[PREFIX_BYTES];
    int width = c->channels[level];

    for (int i = 0; i < n && c->transformer_layers[level]; i++) {
        format(p, "%sattentions.%d.", prefix, i);
        put_transformer(o, p, c, width, c->transformer_layers[level]);
    }
    for (int i = 0; i < n; i++) {
        format(p, "%sresnets.%d.", prefix, i);
        put_resnet(o, p, from[i], width, 4 * c->channels[0]);
    }
}

static void put_unet_down(struct out *o, const struct unet_config *c)
{
    int from[MODEL_MAX_LAYERS], before = c->channels[0];

    for (int level = 0; level < c->n_levels; level++) {
        char p[PREFIX_BYTES];
        int width = c->channels[level];
        for (int i = 0; i < c->layers_per_block; i++)
            from[i] = i == 0 ? before : width;
        format(p, "down_blocks.%d.", level);
        put_unet_block(o, p, c, level, c->layers_per_block, from);
        if (level + 1 < c->n_levels)
            put_conv(o, p, "downsamplers.0.conv", width, width, 3);
        before = width;
    }
}

static void put_unet_up(struct out *o, const struct unet_config *c)
{
    int from[MODEL_MAX_LAYERS + 1], before = c->channels[c->n_levels - 1];

    for (int k = 0; k < c->n_levels; k++) {
        char p[PREFIX_BYTES];
        int level = c->n_levels - 1 - k, n = c->layers_per_block + 1;
        int width = c->channels[level], finer = c->channels[level > 0 ? level - 1 : 0];
        /* Each block also takes in what its mirror image on the way down left behind; the last one
         * gets what entered that level. */
        for (int i = 0; i < n; i++)
            from[i] = (i == 0 ? before : width) + (i + 1 < n ? width : finer);
        format(p, "up_blocks.%d.", k);
        put_unet_block(o, p, c, level, n, from);
        if (level > 0)
            put_conv(o, p, "upsamplers.0.conv", width, width, 3);
        before = width;
    }
}

bool model_names_unet(const struct unet_config *c, model_names_fn fn, void *ctx)
{
    struct out o = {.fn = fn, .ctx = ctx};
    int first = c->channels[0], temb = 4 * first, middle = c->channels[c->n_levels - 1];

    put_conv(&o, "", "conv_in", first, c->in_channels, 3);
    put_linear(&o, "time_embedding.", "linear_1", temb, first);
    put_linear(&o, "time_embedding.", "linear_2", temb, temb);
    if (c->addition_input_dim) {
        put_linear(&o, "add_embedding.", "linear_1", temb, c->addition_input_dim);
        put_linear(&o, "add_embedding.", "linear_2", temb, temb);
    }
    put_unet_down(&o, c);
    put_unet_up(&o, c);
    put_transformer(&o, "mid_block.attentions.0.", c, middle, c->mid_transformer_layers);
    put_resnet(&o, "mid_block.resnets.0.", middle, middle, temb);
    put_resnet(&o, "mid_block.resnets.1.", middle, middle, temb);
    put_norm(&o, "", "conv_norm_out", first);
    put_conv(&o, "", "conv_out", c->out_channels, first, 3);
    return !o.stopped;
}

static void put_vae_middle(struct out *o, const char *side, const struct vae_config *c)
{
    char p[PREFIX_BYTES];
    int width = c->channels[c->n_levels - 1];

    if (c->mid_attention) {
        format(p, "%s.mid_block.attentions.0.", side);
        put_norm(o, p, "group_norm", width);
        put_linear(o, p, "to_q", width, width);
        put_linear(o, p, "to_k", width, width);
        put_linear(o, p, "to_v", width, width);
        put_linear(o, p, "to_out.0", width, width);
    }
    for (int i = 0; i < 2; i++) {
        format(p, "%s.mid_block.resnets.%d.", side, i);
        put_resnet(o, p, width, width, 0);
    }
}

static void put_vae_levels(struct out *o, const struct vae_config *c, bool up)
{
    int n = c->layers_per_block + (up ? 1 : 0), last = c->n_levels - 1;
    int before = c->channels[up ? last : 0];

    for (int k = 0; k < c->n_levels; k++) {
        int width = c->channels[up ? last - k : k];
        char block[PREFIX_BYTES], p[PREFIX_BYTES];
        format(block, "%s_blocks.%d.", up ? "decoder.up" : "encoder.down", k);
        for (int i = 0; i < n; i++) {
            format(p, "%sresnets.%d.", block, i);
            put_resnet(o, p, i == 0 ? before : width, width, 0);
        }
        if (k < last)
            put_conv(o, block, up ? "upsamplers.0.conv" : "downsamplers.0.conv", width, width, 3);
        before = width;
    }
}

/* Residual blocks of a tiny autoencoder's level; returns the number of the layer behind them. */
static int put_tiny_blocks(struct out *o, const char *half, int at, int n, int width)
{
    for (int end = at + n; at < end; at++)
        for (int i = 0; i < 3; i++) {
            char p[PREFIX_BYTES];
            format(p, "%s.layers.%d.conv.%d", half, at, 2 * i);
            put_conv(o, p, "", width, width, 3);
        }
    return at;
}

static void put_tiny_conv(struct out *o, const char *half, int at, int to, int from, bool bias)
{
    char p[PREFIX_BYTES];
    format(p, "%s.layers.%d", half, at);
    put(o, p, ".weight", (int64_t[]){to, from, 3, 3}, 4);
    if (bias)
        put_vector(o, p, ".bias", to);
}

/* The numbering is told in model_config_tiny.h. */
static void put_tiny_half(struct out *o, const struct vae_config *c, bool decoder)
{
    const char *half = decoder ? "decoder" : "encoder";
    const int *blocks = decoder ? c->decoder_blocks : c->encoder_blocks;
    int width = c->channels[0], at = decoder ? 2 : 1; /* the decoder's first ReLU is a layer */

    put_tiny_conv(o, half, 0, width, decoder ? c->latent_channels : c->in_channels, true);
    for (int level = 0; level < c->n_levels; level++) {
        at = put_tiny_blocks(o, half, at, blocks[level], width);
        if (level + 1 == c->n_levels)
            break;
        at += decoder; /* so is the doubling */
        put_tiny_conv(o, half, at++, width, width, false);
    }
    put_tiny_conv(o, half, at, decoder ? c->out_channels : c->latent_channels, width, true);
}

static bool put_tiny(const struct vae_config *c, model_names_fn fn, void *ctx)
{
    struct out o = {.fn = fn, .ctx = ctx};

    if (!c->no_encoder)
        put_tiny_half(&o, c, false);
    put_tiny_half(&o, c, true);
    return !o.stopped;
}

bool model_names_vae(const struct vae_config *c, model_names_fn fn, void *ctx)
{
    if (c->tiny)
        return put_tiny(c, fn, ctx);
    struct out o = {.fn = fn, .ctx = ctx};
    int first = c->channels[0], last = c->channels[c->n_levels - 1], latent = c->latent_channels;

    put_conv(&o, "encoder.", "conv_in", first, c->in_channels, 3);
    put_vae_levels(&o, c, false);
    put_vae_middle(&o, "encoder", c);
    put_norm(&o, "encoder.", "conv_norm_out", last);
    put_conv(&o, "encoder.", "conv_out", 2 * latent, last, 3); /* mean and log of the variance */
    put_conv(&o, "decoder.", "conv_in", last, latent, 3);
    put_vae_levels(&o, c, true);
    put_vae_middle(&o, "decoder", c);
    put_norm(&o, "decoder.", "conv_norm_out", first);
    put_conv(&o, "decoder.", "conv_out", c->out_channels, first, 3);
    if (c->quant_conv)
        put_conv(&o, "", "quant_conv", 2 * latent, 2 * latent, 1);
    if (c->post_quant_conv)
        put_conv(&o, "", "post_quant_conv", latent, latent, 1);
    return !o.stopped;
}

bool model_names_clip(const struct clip_config *c, model_names_fn fn, void *ctx)
{
    struct out o = {.fn = fn, .ctx = ctx};
    int w = c->width;

    put_matrix(&o, "text_model.embeddings.", "token_embedding", c->vocab_size, w);
    put_matrix(&o, "text_model.embeddings.", "position_embedding", c->max_positions, w);
    for (int i = 0; i < c->layers; i++) {
        char p[PREFIX_BYTES];
        format(p, "text_model.encoder.layers.%d.", i);
        put_linear(&o, p, "self_attn.k_proj", w, w);
        put_linear(&o, p, "self_attn.v_proj", w, w);
        put_linear(&o, p, "self_attn.q_proj", w, w);
        put_linear(&o, p, "self_attn.out_proj", w, w);
        put_norm(&o, p, "layer_norm1", w);
        put_linear(&o, p, "mlp.fc1", c->intermediate, w);
        put_linear(&o, p, "mlp.fc2", w, c->intermediate);
        put_norm(&o, p, "layer_norm2", w);
    }
    put_norm(&o, "text_model.", "final_layer_norm", w);
    if (c->projection_dim)
        put_matrix(&o, "", "text_projection", c->projection_dim, w);
    return !o.stopped;
}

bool model_names_part(const struct model_info *info, enum model_part part, model_names_fn fn,
                      void *ctx)
{
    if (part == MODEL_UNET)
        return model_names_unet(&info->unet, fn, ctx);
    if (part == MODEL_VAE)
        return model_names_vae(&info->vae, fn, ctx);
    return model_names_clip(&info->clip[part], fn, ctx);
}
