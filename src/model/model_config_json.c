#include "model/model_config_json.h"

#include "model/model_config_check.h"

#include <stdio.h>
#include <string.h>

/* A key that the engine supports in one way only.  Missing and null always stand for `only`, which
 * is each key's default. */
struct fixed {
    const char *key;
    const char *only; /* NULL: false or null */
    double number;    /* when only is "" */
};

static const struct fixed unet_fixed[] = {
    {"act_fn", "silu", 0},
    {"attention_type", "default", 0},
    {"mid_block_type", "UNetMidBlock2DCrossAttn", 0},
    {"resnet_time_scale_shift", "default", 0},
    {"time_embedding_type", "positional", 0},
    {"conv_in_kernel", "", 3},
    {"conv_out_kernel", "", 3},
    {"downsample_padding", "", 1},
    {"mid_block_scale_factor", "", 1},
    {"resnet_out_scale_factor", "", 1},
    {"center_input_sample", NULL, 0},
    {"class_embed_type", NULL, 0},
    {"class_embeddings_concat", NULL, 0},
    {"cross_attention_norm", NULL, 0},
    {"dual_cross_attention", NULL, 0},
    {"encoder_hid_dim", NULL, 0},
    {"encoder_hid_dim_type", NULL, 0},
    {"mid_block_only_cross_attention", NULL, 0},
    {"num_class_embeds", NULL, 0},
    {"only_cross_attention", NULL, 0},
    {"resnet_skip_time_act", NULL, 0},
    {"reverse_transformer_layers_per_block", NULL, 0},
    {"time_cond_proj_dim", NULL, 0},
    {"time_embedding_act_fn", NULL, 0},
    {"time_embedding_dim", NULL, 0},
    {"timestep_post_act", NULL, 0},
};

static const struct fixed vae_fixed[] = {
    {"act_fn", "silu", 0},
    {"latents_mean", NULL, 0},
    {"latents_std", NULL, 0},
};

static const struct fixed schedule_fixed[] = {
    {"trained_betas", NULL, 0},
};

static bool check_fixed(const struct json *j, const struct fixed *rows, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct fixed *row = &rows[i];
        const json_t *v = json_object_get(j->root, row->key);
        char what[120];

        if (!v || json_is_null(v))
            continue;
        if (!row->only) {
            if (!json_is_false(v))
                return json_reject(j, row->key, "only null or false is supported", err);
        } else if (!*row->only) {
            snprintf(what, sizeof what, "only %g is supported", row->number);
            if (!json_is_number(v) || json_number_value(v) != row->number)
                return json_reject(j, row->key, what, err);
        } else if (!json_is_string(v) || strcmp(json_string_value(v), row->only) != 0) {
            snprintf(what, sizeof what, "only \"%s\" is supported", row->only);
            return json_reject(j, row->key, what, err);
        }
    }
    return true;
}

#define CHECK_FIXED(j, rows, err) check_fixed(j, rows, sizeof rows / sizeof rows[0], err)

/* A number for every level, or one for all of them. */
static bool read_per_level(const struct json *j, const char *key, int max, int fallback, int *out,
                           int n_levels, struct error *err)
{
    int n = 0, one;
    char what[80];

    if (json_is_array(json_object_get(j->root, key))) {
        if (!json_want_ints(j, key, 1, max, out, n_levels, &n, err))
            return false;
        snprintf(what, sizeof what, "it must have one number for each of the %d levels", n_levels);
        return n == n_levels || json_reject(j, key, what, err);
    }
    if (!json_maybe_int(j, key, 1, max, fallback, &one, err))
        return false;
    for (int i = 0; i < n_levels; i++)
        out[i] = one;
    return true;
}

/* Sets attention[i] for blocks of the first type, clears it for the second (NULL: not allowed). */
static bool read_blocks(const struct json *j, const char *key, const char *with,
                        const char *without, int n_levels, bool *attention, struct error *err)
{
    const json_t *list;
    char what[160];

    if (!json_want_array(j, key, MODEL_MAX_LEVELS, &list, err))
        return false;
    snprintf(what, sizeof what, "it must have %d blocks, each %s%s%s", n_levels, with,
             without ? " or " : "", without ? without : "");
    if (json_array_size(list) != (size_t)n_levels)
        return json_reject(j, key, what, err);
    for (int i = 0; i < n_levels; i++) {
        const char *type = json_string_value(json_array_get(list, (size_t)i));
        attention[i] = type && strcmp(type, with) == 0;
        if (!attention[i] && (!type || !without || strcmp(type, without) != 0))
            return json_reject(j, key, what, err);
    }
    return true;
}

static bool read_text_time(struct unet_config *c, const struct json *j, struct error *err)
{
    const char *type;

    if (!json_maybe_string(j, "addition_embed_type", "", &type, err))
        return false;
    if (!*type)
        return true;
    if (strcmp(type, "text_time") != 0)
        return json_reject(j, "addition_embed_type", "only null or \"text_time\" is supported",
                           err);
    return json_want_int(j, "addition_time_embed_dim", 1, MODEL_MAX_CHANNELS, &c->addition_time_dim,
                         err) &&
           json_want_int(j, "projection_class_embeddings_input_dim", 1, MODEL_MAX_CHANNELS,
                         &c->addition_input_dim, err);
}

static bool read_unet_attention(struct unet_config *c, const struct json *j, struct error *err)
{
    bool down[MODEL_MAX_LEVELS], up[MODEL_MAX_LEVELS];
    const char *heads =
        json_has(j, "num_attention_heads") ? "num_attention_heads" : "attention_head_dim";

    if (!read_blocks(j, "down_block_types", "CrossAttnDownBlock2D", "DownBlock2D", c->n_levels,
                     down, err) ||
        !read_blocks(j, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D", c->n_levels, up,
                     err) ||
        !read_per_level(j, "transformer_layers_per_block", MODEL_MAX_LAYERS, 1,
                        c->transformer_layers, c->n_levels, err) ||
        !read_per_level(j, heads, MODEL_MAX_CHANNELS, 8, c->heads, c->n_levels, err) ||
        !json_maybe_int(j, "cross_attention_dim", 1, MODEL_MAX_CHANNELS, 1280,
                        &c->cross_attention_dim, err))
        return false;
    c->mid_transformer_layers = c->transformer_layers[c->n_levels - 1];
    c->mid_heads = c->heads[c->n_levels - 1];
    for (int i = 0; i < c->n_levels; i++) {
        if (down[i] != up[c->n_levels - 1 - i])
            return json_reject(j, "up_block_types", "it must mirror down_block_types", err);
        if (!down[i])
            c->transformer_layers[i] = 0;
    }
    return true;
}

bool model_config_json_unet(struct unet_config *out, const struct json *j, struct error *err)
{
    struct unet_config c = {0};

    if (!CHECK_FIXED(j, unet_fixed, err) ||
        !json_want_ints(j, "block_out_channels", 1, MODEL_MAX_CHANNELS, c.channels,
                        MODEL_MAX_LEVELS, &c.n_levels, err) ||
        !json_maybe_int(j, "in_channels", 1, MODEL_MAX_CHANNELS, 4, &c.in_channels, err) ||
        !json_maybe_int(j, "out_channels", 1, MODEL_MAX_CHANNELS, 4, &c.out_channels, err) ||
        !json_maybe_int(j, "layers_per_block", 1, MODEL_MAX_LAYERS, 2, &c.layers_per_block, err) ||
        !json_maybe_int(j, "norm_num_groups", 1, MODEL_MAX_CHANNELS, 32, &c.groups, err) ||
        !json_maybe_float(j, "norm_eps", 0, 1, 1e-5f, &c.norm_eps, err) ||
        !json_maybe_bool(j, "use_linear_projection", false, &c.linear_projection, err) ||
        !json_maybe_bool(j, "flip_sin_to_cos", true, &c.flip_sin_to_cos, err) ||
        !json_maybe_int(j, "freq_shift", 0, 1, 0, &c.freq_shift, err) ||
        !read_unet_attention(&c, j, err) || !read_text_time(&c, j, err) ||
        !model_config_check_unet(&c, j->file, err))
        return false;
    *out = c;
    return true;
}

bool model_config_json_vae(struct vae_config *out, const struct json *j, struct error *err)
{
    struct vae_config c = {0};
    bool unused[MODEL_MAX_LEVELS];

    if (!CHECK_FIXED(j, vae_fixed, err) ||
        !json_want_ints(j, "block_out_channels", 1, MODEL_MAX_CHANNELS, c.channels,
                        MODEL_MAX_LEVELS, &c.n_levels, err) ||
        !read_blocks(j, "down_block_types", "DownEncoderBlock2D", NULL, c.n_levels, unused, err) ||
        !read_blocks(j, "up_block_types", "UpDecoderBlock2D", NULL, c.n_levels, unused, err) ||
        !json_maybe_int(j, "in_channels", 1, MODEL_MAX_CHANNELS, 3, &c.in_channels, err) ||
        !json_maybe_int(j, "out_channels", 1, MODEL_MAX_CHANNELS, 3, &c.out_channels, err) ||
        !json_maybe_int(j, "latent_channels", 1, MODEL_MAX_CHANNELS, 4, &c.latent_channels, err) ||
        !json_maybe_int(j, "layers_per_block", 1, MODEL_MAX_LAYERS, 1, &c.layers_per_block, err) ||
        !json_maybe_int(j, "norm_num_groups", 1, MODEL_MAX_CHANNELS, 32, &c.groups, err) ||
        !json_maybe_bool(j, "mid_block_add_attention", true, &c.mid_attention, err) ||
        !json_maybe_bool(j, "use_quant_conv", true, &c.quant_conv, err) ||
        !json_maybe_bool(j, "use_post_quant_conv", true, &c.post_quant_conv, err) ||
        !json_maybe_float(j, "scaling_factor", 1e-6f, 1e6f, 0.18215f, &c.scaling_factor, err) ||
        !json_maybe_float(j, "shift_factor", -1e6f, 1e6f, 0, &c.shift_factor, err) ||
        !model_config_check_vae(&c, j->file, err))
        return false;
    *out = c;
    return true;
}

/* Only CLIPTextModelWithProjection has a text_projection; the key projection_dim is always there.
 */
static bool has_projection(const struct json *j)
{
    const char *name =
        json_string_value(json_array_get(json_object_get(j->root, "architectures"), 0));
    return name && strcmp(name, "CLIPTextModelWithProjection") == 0;
}

static bool read_clip_tokens(struct clip_config *c, const struct json *j, struct error *err)
{
    int last = c->vocab_size - 1;

    if (!json_maybe_int(j, "bos_token_id", 0, last, last > 0 ? last - 1 : 0, &c->bos_id, err) ||
        !json_maybe_int(j, "eos_token_id", 0, last, last, &c->eos_id, err) ||
        !json_maybe_int(j, "pad_token_id", 0, last, last, &c->pad_id, err))
        return false;
    if (c->eos_id == 2 && c->vocab_size > 3) {
        c->bos_id = last - 1;
        c->eos_id = last;
        c->pad_id = has_projection(j) ? 0 : last; /* "!" pads SDXL's second encoder */
    }
    return true;
}

bool model_config_json_clip(struct clip_config *out, const struct json *j, struct error *err)
{
    struct clip_config c = {0};
    const char *act;

    if (!json_maybe_int(j, "vocab_size", 1, 1 << 20, 49408, &c.vocab_size, err) ||
        !json_maybe_int(j, "max_position_embeddings", 1, 4096, 77, &c.max_positions, err) ||
        !json_want_int(j, "hidden_size", 1, MODEL_MAX_CHANNELS, &c.width, err) ||
        !json_want_int(j, "intermediate_size", 1, 4 * MODEL_MAX_CHANNELS, &c.intermediate, err) ||
        !json_want_int(j, "num_attention_heads", 1, MODEL_MAX_CHANNELS, &c.heads, err) ||
        !json_want_int(j, "num_hidden_layers", 1, MODEL_MAX_LAYERS, &c.layers, err) ||
        !json_maybe_float(j, "layer_norm_eps", 0, 1, 1e-5f, &c.norm_eps, err) ||
        !json_maybe_string(j, "hidden_act", "quick_gelu", &act, err) ||
        !read_clip_tokens(&c, j, err))
        return false;
    if (strcmp(act, "gelu") == 0)
        c.act = MODEL_ACT_GELU;
    else if (strcmp(act, "quick_gelu") == 0)
        c.act = MODEL_ACT_QUICK_GELU;
    else
        return json_reject(j, "hidden_act", "only \"quick_gelu\" or \"gelu\" is supported", err);
    if (has_projection(j) &&
        !json_maybe_int(j, "projection_dim", 1, MODEL_MAX_CHANNELS, 512, &c.projection_dim, err))
        return false;
    if (!model_config_check_clip(&c, j->file, err))
        return false;
    *out = c;
    return true;
}

bool model_config_json_schedule(struct schedule_config *out, const struct json *j,
                                struct error *err)
{
    struct schedule_config c = {0};
    const char *betas, *prediction;

    if (!CHECK_FIXED(j, schedule_fixed, err) ||
        !json_maybe_int(j, "num_train_timesteps", 1, 100000, 1000, &c.train_timesteps, err) ||
        !json_maybe_float(j, "beta_start", 1e-9f, 0.999f, 0.0001f, &c.beta_start, err) ||
        !json_maybe_float(j, "beta_end", 1e-9f, 0.999f, 0.02f, &c.beta_end, err) ||
        !json_maybe_string(j, "beta_schedule", "linear", &betas, err) ||
        !json_maybe_string(j, "prediction_type", "epsilon", &prediction, err) ||
        !json_maybe_bool(j, "rescale_betas_zero_snr", false, &c.zero_snr, err) ||
        !json_maybe_int(j, "steps_offset", 0, 1000, 0, &c.steps_offset, err))
        return false;
    c.scaled_linear = strcmp(betas, "scaled_linear") == 0;
    if (!c.scaled_linear && strcmp(betas, "linear") != 0)
        return json_reject(j, "beta_schedule", "only \"scaled_linear\" or \"linear\" is supported",
                           err);
    if (c.beta_end < c.beta_start)
        return json_reject(j, "beta_end", "it must not be smaller than beta_start", err);
    if (strcmp(prediction, "v_prediction") == 0)
        c.prediction = MODEL_V_PREDICTION;
    else if (strcmp(prediction, "epsilon") != 0)
        return json_reject(j, "prediction_type",
                           "only \"epsilon\" or \"v_prediction\" is supported", err);
    *out = c;
    return true;
}
