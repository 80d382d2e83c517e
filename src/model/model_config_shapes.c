#include "model/model_config_shapes.h"

#include "model/model_config_check.h"
#include "model/tensor_names.h"

#include <stdio.h>

enum { HEAD_WIDTH = 64, SD1_HEADS = 8, SMALL_CLIP_WIDTH = 512, SMALL_CLIP_HEADS = 4 };

/* Dimension d of the tensor, which must have n_dims and be within the limit of widths. */
static bool want_dim(int *out, const struct model_index *x, enum model_part part, const char *name,
                     int n_dims, int d, int max, const char *file, struct error *err)
{
    const struct model_tensor *t = model_index_find(x, part, name);
    if (!t)
        return error_set(err, ERROR_CORRUPT, "%s: %s: tensor '%s' is missing", file,
                         model_part_name(part), name);
    if (t->n_dims != n_dims || t->dims[d] < 1 || t->dims[d] > max)
        return error_set(err, ERROR_CORRUPT,
                         "%s: tensor '%.200s' must have %d dimensions of 1 to %d", file, t->name,
                         n_dims, max);
    *out = (int)t->dims[d];
    return true;
}

/* How many parts in a row there are.  Each of the two formats has a last %d, the number counted,
 * and names a tensor of the part (i_ among the arguments); one is enough, so that a part that lacks
 * the other is still counted and the missing tensor is what the error names. */
#define COUNT(out, limit, part, one, other, ...)                                                   \
    do {                                                                                           \
        (out) = 0;                                                                                 \
        for (int i_ = 0; i_ < (limit) && (model_index_findf(x, part, one, __VA_ARGS__) ||          \
                                          model_index_findf(x, part, other, __VA_ARGS__));         \
             i_++)                                                                                 \
            (out)++;                                                                               \
    } while (0)

/* The width of a level: rows of its first convolution. */
static bool want_width(int *out, const struct model_index *x, enum model_part part,
                       const char *level, int i, const char *file, struct error *err)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%d.resnets.0.conv1.weight", level, i);
    return want_dim(out, x, part, name, 4, 0, MODEL_MAX_CHANNELS, file, err);
}

bool model_config_shapes_family(enum model_family *out, const struct model_index *x,
                                const char *file, struct error *err)
{
    bool text_time = model_index_find(x, MODEL_UNET, "add_embedding.linear_1.weight");
    bool first =
        model_index_find(x, MODEL_TEXT_ENCODER, "text_model.embeddings.token_embedding.weight");
    bool second =
        model_index_find(x, MODEL_TEXT_ENCODER_2, "text_model.embeddings.token_embedding.weight");

    if (!model_index_find(x, MODEL_UNET, "conv_in.weight"))
        return error_set(err, ERROR_CORRUPT,
                         "%s: no UNet in it (no tensor 'model.diffusion_model.input_blocks.0.0."
                         "weight'): not a Stable Diffusion checkpoint",
                         file);
    if (text_time && !second)
        return error_set(err, ERROR_CORRUPT,
                         "%s: an SDXL UNet without its text encoder (no tensor "
                         "'conditioner.embedders.1.model.token_embedding.weight')",
                         file);
    if (!text_time && !first)
        return error_set(err, ERROR_CORRUPT,
                         "%s: no text encoder in it (no tensor 'cond_stage_model.transformer."
                         "text_model.embeddings.token_embedding.weight')",
                         file);
    *out = !text_time ? MODEL_SD1 : first ? MODEL_SDXL : MODEL_SDXL_REFINER;
    return true;
}

bool model_config_shapes_clip(struct clip_config *out, const struct model_index *x,
                              enum model_part part, const char *file, struct error *err)
{
    static const char tokens[] = "text_model.embeddings.token_embedding.weight";
    struct clip_config c = {.norm_eps = 1e-5f};

    if (!want_dim(&c.vocab_size, x, part, tokens, 2, 0, 1 << 20, file, err) ||
        !want_dim(&c.width, x, part, tokens, 2, 1, MODEL_MAX_CHANNELS, file, err) ||
        !want_dim(&c.max_positions, x, part, "text_model.embeddings.position_embedding.weight", 2,
                  0, 4096, file, err) ||
        !want_dim(&c.intermediate, x, part, "text_model.encoder.layers.0.mlp.fc1.weight", 2, 0,
                  4 * MODEL_MAX_CHANNELS, file, err))
        return false;
    COUNT(c.layers, MODEL_MAX_LAYERS + 1, part, "text_model.encoder.layers.%d.mlp.fc1.weight",
          "text_model.encoder.layers.%d.mlp.fc2.weight", i_);
    c.heads = c.width >= SMALL_CLIP_WIDTH ? c.width / HEAD_WIDTH : SMALL_CLIP_HEADS;

    const struct model_tensor *projection = model_index_find(x, part, "text_projection.weight");
    if (projection && part == MODEL_TEXT_ENCODER_2 &&
        !want_dim(&c.projection_dim, x, part, "text_projection.weight", 2,
                  projection->transposed ? 1 : 0, MODEL_MAX_CHANNELS, file, err))
        return false;
    bool open_clip = tensor_names_is_open_clip(model_index_find(x, part, tokens)->name);
    c.act = open_clip ? MODEL_ACT_GELU : MODEL_ACT_QUICK_GELU;
    /* SD 2.x was trained on the output of the last layer but one. */
    if (open_clip && part == MODEL_TEXT_ENCODER && c.layers > 1)
        c.layers--;
    c.eos_id = c.vocab_size - 1;
    c.bos_id = c.vocab_size > 1 ? c.vocab_size - 2 : 0;
    c.pad_id = open_clip ? 0 : c.eos_id; /* OpenCLIP's tokenizer pads with "!", which is 0 */
    if (!model_config_check_clip(&c, file, err))
        return false;
    *out = c;
    return true;
}

static int head_count(const struct unet_config *c, int level)
{
    if (!c->linear_projection)
        return SD1_HEADS;
    if (c->channels[0] % HEAD_WIDTH == 0)
        return c->channels[level] / HEAD_WIDTH;
    return level < 2 ? 2 << level : 8;
}

static bool read_levels(struct unet_config *c, const struct model_index *x, const char *file,
                        struct error *err)
{
    COUNT(c->n_levels, MODEL_MAX_LEVELS + 1, MODEL_UNET, "down_blocks.%d.resnets.0.conv1.weight",
          "down_blocks.%d.resnets.0.conv2.weight", i_);
    COUNT(c->layers_per_block, MODEL_MAX_LAYERS + 1, MODEL_UNET,
          "down_blocks.0.resnets.%d.conv1.weight", "down_blocks.0.resnets.%d.conv2.weight", i_);
    if (c->n_levels < 1 || c->n_levels > MODEL_MAX_LEVELS)
        return error_set(err, ERROR_CORRUPT, "%s: the UNet has %d levels, not 1 to %d", file,
                         c->n_levels, MODEL_MAX_LEVELS);
    for (int i = 0; i < c->n_levels; i++) {
        if (!want_width(&c->channels[i], x, MODEL_UNET, "down_blocks", i, file, err))
            return false;
        COUNT(c->transformer_layers[i], MODEL_MAX_LAYERS + 1, MODEL_UNET,
              "down_blocks.%d.attentions.0.transformer_blocks.%d.norm1.weight",
              "down_blocks.%d.attentions.0.transformer_blocks.%d.norm2.weight", i, i_);
        c->heads[i] = head_count(c, i);
    }
    COUNT(c->mid_transformer_layers, MODEL_MAX_LAYERS + 1, MODEL_UNET,
          "mid_block.attentions.0.transformer_blocks.%d.norm1.weight",
          "mid_block.attentions.0.transformer_blocks.%d.norm2.weight", i_);
    c->mid_heads = head_count(c, c->n_levels - 1);
    return true;
}

/* The input is the pooled text and a sinusoidal embedding of each time id: sizes and crop (6), or
 * for the refiner sizes, crop and score (5).  Podell et al. 2023, section 2.2. */
static bool read_text_time(struct unet_config *c, const struct model_index *x,
                           const struct model_info *info, struct error *err)
{
    int ids = info->family == MODEL_SDXL ? 6 : 5;

    if (info->family == MODEL_SD1)
        return true;
    if (!want_dim(&c->addition_input_dim, x, MODEL_UNET, "add_embedding.linear_1.weight", 2, 1,
                  MODEL_MAX_CHANNELS, info->path, err))
        return false;
    int left = c->addition_input_dim - info->clip[1].projection_dim;
    if (left <= 0 || left % ids != 0)
        return error_set(err, ERROR_CORRUPT,
                         "%s: add_embedding takes %d numbers: not the text's %d and %d time ids",
                         info->path, c->addition_input_dim, info->clip[1].projection_dim, ids);
    c->addition_time_dim = left / ids;
    return true;
}

bool model_config_shapes_unet(struct unet_config *out, const struct model_index *x,
                              const struct model_info *info, struct error *err)
{
    struct unet_config c = {.groups = 32, .norm_eps = 1e-5f, .flip_sin_to_cos = true};
    const char *file = info->path;
    const struct model_tensor *proj =
        model_index_find(x, MODEL_UNET, "mid_block.attentions.0.proj_in.weight");

    c.linear_projection = proj && proj->n_dims == 2;
    if (!want_dim(&c.in_channels, x, MODEL_UNET, "conv_in.weight", 4, 1, MODEL_MAX_CHANNELS, file,
                  err) ||
        !want_dim(&c.out_channels, x, MODEL_UNET, "conv_out.weight", 4, 0, MODEL_MAX_CHANNELS, file,
                  err) ||
        !want_dim(&c.cross_attention_dim, x, MODEL_UNET,
                  "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", 2, 1,
                  MODEL_MAX_CHANNELS, file, err) ||
        !read_levels(&c, x, file, err) || !read_text_time(&c, x, info, err) ||
        !model_config_check_unet(&c, file, err))
        return false;
    *out = c;
    return true;
}

bool model_config_shapes_vae(struct vae_config *out, const struct model_index *x,
                             const struct model_info *info, struct error *err)
{
    struct vae_config c = {.groups = 32};
    const char *file = info->path;

    if (!want_dim(&c.in_channels, x, MODEL_VAE, "encoder.conv_in.weight", 4, 1, MODEL_MAX_CHANNELS,
                  file, err) ||
        !want_dim(&c.out_channels, x, MODEL_VAE, "decoder.conv_out.weight", 4, 0,
                  MODEL_MAX_CHANNELS, file, err) ||
        !want_dim(&c.latent_channels, x, MODEL_VAE, "decoder.conv_in.weight", 4, 1,
                  MODEL_MAX_CHANNELS, file, err))
        return false;
    COUNT(c.n_levels, MODEL_MAX_LEVELS + 1, MODEL_VAE,
          "encoder.down_blocks.%d.resnets.0.conv1.weight",
          "encoder.down_blocks.%d.resnets.0.conv2.weight", i_);
    COUNT(c.layers_per_block, MODEL_MAX_LAYERS + 1, MODEL_VAE,
          "encoder.down_blocks.0.resnets.%d.conv1.weight",
          "encoder.down_blocks.0.resnets.%d.conv2.weight", i_);
    for (int i = 0; i < c.n_levels && i < MODEL_MAX_LEVELS; i++)
        if (!want_width(&c.channels[i], x, MODEL_VAE, "encoder.down_blocks", i, file, err))
            return false;
    c.mid_attention = model_index_find(x, MODEL_VAE, "decoder.mid_block.attentions.0.to_q.weight");
    c.quant_conv = model_index_find(x, MODEL_VAE, "quant_conv.weight");
    c.post_quant_conv = model_index_find(x, MODEL_VAE, "post_quant_conv.weight");
    c.scaling_factor = info->family == MODEL_SD1 ? 0.18215f : 0.13025f;
    if (!model_config_check_vae(&c, file, err))
        return false;
    *out = c;
    return true;
}

struct schedule_config model_config_shapes_schedule(void)
{
    return (struct schedule_config){.train_timesteps = 1000,
                                    .beta_start = 0.00085f,
                                    .beta_end = 0.012f,
                                    .scaled_linear = true,
                                    .steps_offset = 1};
}
