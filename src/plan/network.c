#include "plan/network.h"

#include "engine/weights_bind.h"
#include "engine/weights_lora.h"
#include "nn/clip.h"
#include "nn/taesd.h"
#include "nn/vae.h"

enum {
    PAGE_BYTES = 4096,
    SDXL_SKIP = 2, /* SDXL reads its encoders' last layer but one, without the final norm */
};

static bool begin(struct network *n, enum graph_attention_mode attention, struct error *err)
{
    *n = (struct network){.graph = graph_new()};
    if (!n->graph)
        return error_set(err, ERROR_MEMORY, "no memory for a network");
    graph_set_attention(n->graph, attention);
    return true;
}

/* Their ranks are part of what is laid out. */
static bool add_loras(struct network *n, enum model_part part, struct error *err)
{
    for (int i = 0; n->loras && i < n->loras->n; i++) {
        const struct lora_set_entry *e = &n->loras->entries[i];
        const float scale = (float)(part == MODEL_UNET ? e->unet_scale : e->text_scale);
        if (scale != 0 && !weights_lora_add(n->weights, n->graph, &e->match, part, scale, err))
            return false;
    }
    if (n->loras && part == MODEL_UNET)
        graph_round_deltas(n->graph); /* it runs often enough to merge them */
    return true;
}

/* What is left for the arena beside the weights; 0: no limit. */
static bool limit_arena(size_t *most_bytes, const struct network *n, struct backend *b,
                        struct error *err)
{
    if (!*most_bytes)
        return true;
    if (!exec_order_weights(n->graph, b, n->weights, err))
        return false;
    const size_t least = weights_peak_resident_bytes(n->weights, WEIGHTS_STREAMED);
    *most_bytes = *most_bytes > least ? *most_bytes - least : 1;
    return true;
}

/* Finds the weights and lays the graph out. */
static bool finish(struct network *n, const struct model *m, enum model_part part,
                   struct backend *b, size_t most_bytes, bool is_beside_weights, struct error *err)
{
    graph_output(n->graph, n->out);
    if (!weights_bind(&n->weights, n->graph, m, part, err) || !add_loras(n, part, err) ||
        (is_beside_weights && !limit_arena(&most_bytes, n, b, err)) ||
        !exec_new(&n->exec, n->graph, b, n->weights, most_bytes, err)) {
        network_clear(n);
        return false;
    }
    n->resident_bytes = weights_resident_bytes(n->weights);
    n->arena_bytes = exec_arena_bytes(n->exec);
    n->flops = exec_flops(n->exec);
    n->seconds = exec_seconds(n->exec);
    n->merge_seconds = exec_merge_seconds(n->exec);
    return true;
}

/* Web UIs and diffusers' users count clip skip differently; what SDXL was trained with is both 1
 * and 2 here, and deeper layers count from the last. */
static int sdxl_skip(int clip_skip)
{
    return clip_skip > SDXL_SKIP ? clip_skip : SDXL_SKIP;
}

static bool has_part(const struct model *m, enum model_part part, struct error *err)
{
    if (model_view(m)->has_part[part])
        return true;
    return error_set(err, ERROR_CORRUPT, "%s: the model has no %s", model_view(m)->path,
                     model_part_name(part));
}

/* What ids behind the vocabulary stand for. */
static int more_rows(struct network *out, const struct clip_config *c, int vectors)
{
    if (vectors > 0)
        out->more = graph_input(out->graph, (struct graph_shape){1, c->width, 1, vectors});
    return out->more;
}

/* Of the token table only the rows of the prompts' words are touched: a page each at most. */
static void count_touched_rows(struct network *out, const struct clip_config *c, int n)
{
    size_t table = (size_t)c->vocab_size * (size_t)c->width * 2;
    size_t touched = (size_t)n * (size_t)c->max_positions * 2 * PAGE_BYTES;

    if (touched < table && table < out->resident_bytes)
        out->resident_bytes -= table - touched;
}

bool network_text_encoder(struct network *out, const struct model *m, struct backend *b, int n,
                          int clip_skip, const struct network_options *options, struct error *err)
{
    const struct clip_config *c = &model_view(m)->clip[0];
    const bool is_sd1 = model_view(m)->family == MODEL_SD1;

    if (!has_part(m, MODEL_TEXT_ENCODER, err) || !begin(out, options->attention, err))
        return false;
    out->loras = options->loras;
    out->ids = graph_input(out->graph, (struct graph_shape){n, 1, 1, c->max_positions});
    out->out = clip_build_words(out->graph, c, out->ids, more_rows(out, c, options->vectors),
                                is_sd1 ? clip_skip : sdxl_skip(clip_skip), is_sd1);
    if (!finish(out, m, MODEL_TEXT_ENCODER, b, options->most_arena_bytes, false, err))
        return false;
    count_touched_rows(out, c, n > options->chunks ? n : options->chunks);
    return true;
}

bool network_text_encoder_2(struct network *out, const struct model *m, struct backend *b, int n,
                            int clip_skip, const struct network_options *options, struct error *err)
{
    const struct clip_config *c = &model_view(m)->clip[1];
    struct model_tensor projection;

    if (!has_part(m, MODEL_TEXT_ENCODER_2, err) || !begin(out, options->attention, err))
        return false;
    out->loras = options->loras;
    out->ids = graph_input(out->graph, (struct graph_shape){n, 1, 1, c->max_positions});
    out->out = clip_build_with_last(out->graph, c, out->ids, more_rows(out, c, options->vectors),
                                    sdxl_skip(clip_skip), &out->last);
    graph_output(out->graph, out->last);
    if (!finish(out, m, MODEL_TEXT_ENCODER_2, b, options->most_arena_bytes, false, err))
        return false;
    count_touched_rows(out, c, n > options->chunks ? n : options->chunks);
    if (model_find(m, MODEL_TEXT_ENCODER_2, "text_projection.weight", &projection))
        out->resident_bytes += (size_t)projection.n_bytes;
    return true;
}

bool network_is_inpainting(const struct model_info *info)
{
    return info->unet.in_channels == 2 * info->vae.latent_channels + 1;
}

int network_tokens(const struct model_info *info)
{
    return info->clip[info->has_part[MODEL_TEXT_ENCODER] ? 0 : 1].max_positions;
}

bool network_unet(struct network *out, const struct model *m, struct backend *b, int n,
                  int latent_h, int latent_w, const struct network_options *options,
                  struct error *err)
{
    const struct model_info *info = model_view(m);
    const struct unet_config *c = &info->unet;

    if (!has_part(m, MODEL_UNET, err) || !begin(out, options->attention, err))
        return false;
    out->loras = options->loras;
    struct graph *g = out->graph;
    out->unet.sample = graph_input(g, (struct graph_shape){n, c->in_channels, latent_h, latent_w});
    out->unet.timestep = graph_input(g, (struct graph_shape){n, c->channels[0], 1, 1});
    out->unet.context = graph_input(
        g, (struct graph_shape){n, c->cross_attention_dim, 1,
                                (options->chunks ? options->chunks : 1) * network_tokens(info)});
    if (c->addition_input_dim)
        out->unet.added = graph_input(g, (struct graph_shape){n, c->addition_input_dim, 1, 1});
    out->out = unet_build(g, c, &out->unet);
    return finish(out, m, MODEL_UNET, b, options->most_arena_bytes, options->is_beside_weights,
                  err);
}

bool network_vae_decoder(struct network *out, const struct model *m, struct backend *b, int n,
                         int latent_h, int latent_w, const struct network_vae_options *options,
                         struct error *err)
{
    const struct vae_config *c = &model_view(m)->vae;

    if (!has_part(m, MODEL_VAE, err) || !begin(out, options->attention, err))
        return false;
    const struct vae_tiling tiling = {.band_rows = options->band_rows, .again = options->again};
    out->in =
        graph_input(out->graph, (struct graph_shape){n, c->latent_channels, latent_h, latent_w});
    out->out = c->tiny ? taesd_build_decode(out->graph, c, out->in, options->band_rows)
                       : vae_build_decode_tiled(out->graph, c, out->in, &tiling);
    return finish(out, m, MODEL_VAE, b, options->most_arena_bytes, false, err);
}

bool network_vae_encoder(struct network *out, const struct model *m, struct backend *b, int n,
                         int latent_h, int latent_w, const struct network_vae_options *options,
                         struct error *err)
{
    const struct vae_config *c = &model_view(m)->vae;
    int64_t scale = vae_scale(c);
    const struct vae_tiling tiling = {.band_rows = options->band_rows, .again = options->again};

    if (!has_part(m, MODEL_VAE, err) || !begin(out, options->attention, err))
        return false;
    out->in = graph_input(
        out->graph, (struct graph_shape){n, c->in_channels, scale * latent_h, scale * latent_w});
    out->out = c->tiny ? taesd_build_encode(out->graph, c, out->in, options->band_rows)
                       : vae_build_encode_tiled(out->graph, c, out->in, &tiling);
    return finish(out, m, MODEL_VAE, b, options->most_arena_bytes, false, err);
}

void network_clear(struct network *n)
{
    exec_free(n->exec);
    weights_free(n->weights);
    graph_free(n->graph);
    *n = (struct network){0};
}
