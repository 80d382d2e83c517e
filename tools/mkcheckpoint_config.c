#include "mkcheckpoint.h"
#include "model/model_files.h"

#include <errno.h>
#include <stdio.h>

static FILE *start(char path[MODEL_FILES_PATH_BYTES], const char *dir, const char *name,
                   struct error *err)
{
    if (!model_files_join(path, dir, name, err))
        return NULL;
    FILE *f = fopen(path, "w");
    if (!f) {
        error_set_errno(err, errno, "cannot write");
        error_prefix(err, "%s", path);
    }
    return f;
}

static bool finish(FILE *f, const char *path, struct error *err)
{
    bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed)
        return error_set_errno(err, errno, "cannot write") || error_prefix(err, "%s", path);
    return true;
}

static void put_ints(FILE *f, const char *key, const int *values, int n)
{
    fprintf(f, "  \"%s\": [", key);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s%d", i ? ", " : "", values[i]);
    fprintf(f, "],\n");
}

static void put_blocks(FILE *f, const char *key, const char *const *types, int n)
{
    fprintf(f, "  \"%s\": [", key);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s\"%s\"", i ? ", " : "", types[i]);
    fprintf(f, "],\n");
}

static void put_clip(FILE *f, const struct clip_config *c)
{
    fprintf(f,
            "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"clip_text_model\",\n"
            "  \"vocab_size\": %d,\n  \"max_position_embeddings\": %d,\n  \"hidden_size\": %d,\n"
            "  \"intermediate_size\": %d,\n  \"num_attention_heads\": %d,\n"
            "  \"num_hidden_layers\": %d,\n  \"projection_dim\": %d,\n  \"hidden_act\": \"%s\",\n"
            "  \"layer_norm_eps\": %g,\n  \"bos_token_id\": %d,\n  \"eos_token_id\": %d,\n"
            "  \"pad_token_id\": %d\n}\n",
            c->projection_dim ? "CLIPTextModelWithProjection" : "CLIPTextModel", c->vocab_size,
            c->max_positions, c->width, c->intermediate, c->heads, c->layers,
            c->projection_dim ? c->projection_dim : c->width,
            c->act == MODEL_ACT_GELU ? "gelu" : "quick_gelu", (double)c->norm_eps, c->bos_id,
            c->eos_id, c->pad_id);
}

static void put_unet(FILE *f, const struct unet_config *c)
{
    const char *down[MODEL_MAX_LEVELS], *up[MODEL_MAX_LEVELS];
    int depth[MODEL_MAX_LEVELS], last = c->n_levels - 1;

    for (int i = 0; i < c->n_levels; i++) {
        bool attention = c->transformer_layers[i] > 0;
        down[i] = attention ? "CrossAttnDownBlock2D" : "DownBlock2D";
        up[last - i] = attention ? "CrossAttnUpBlock2D" : "UpBlock2D";
        /* Levels without attention have a number too; the last one's is the middle's. */
        depth[i] = attention ? c->transformer_layers[i] : 1;
    }
    depth[last] = c->mid_transformer_layers;
    fprintf(f, "{\n  \"_class_name\": \"UNet2DConditionModel\",\n  \"act_fn\": \"silu\",\n");
    put_ints(f, "block_out_channels", c->channels, c->n_levels);
    put_ints(f, "attention_head_dim", c->heads, c->n_levels);
    put_ints(f, "transformer_layers_per_block", depth, c->n_levels);
    put_blocks(f, "down_block_types", down, c->n_levels);
    put_blocks(f, "up_block_types", up, c->n_levels);
    if (c->addition_input_dim)
        fprintf(f,
                "  \"addition_embed_type\": \"text_time\",\n  \"addition_time_embed_dim\": %d,\n"
                "  \"projection_class_embeddings_input_dim\": %d,\n",
                c->addition_time_dim, c->addition_input_dim);
    fprintf(f,
            "  \"in_channels\": %d,\n  \"out_channels\": %d,\n  \"layers_per_block\": %d,\n"
            "  \"cross_attention_dim\": %d,\n  \"norm_num_groups\": %d,\n  \"norm_eps\": %g,\n"
            "  \"use_linear_projection\": %s,\n  \"flip_sin_to_cos\": %s,\n"
            "  \"freq_shift\": %d,\n  \"sample_size\": %d\n}\n",
            c->in_channels, c->out_channels, c->layers_per_block, c->cross_attention_dim, c->groups,
            (double)c->norm_eps, c->linear_projection ? "true" : "false",
            c->flip_sin_to_cos ? "true" : "false", c->freq_shift, c->addition_input_dim ? 128 : 64);
}

static void put_vae(FILE *f, const struct vae_config *c)
{
    const char *down[MODEL_MAX_LEVELS], *up[MODEL_MAX_LEVELS];

    for (int i = 0; i < c->n_levels; i++) {
        down[i] = "DownEncoderBlock2D";
        up[i] = "UpDecoderBlock2D";
    }
    fprintf(f, "{\n  \"_class_name\": \"AutoencoderKL\",\n  \"act_fn\": \"silu\",\n");
    put_ints(f, "block_out_channels", c->channels, c->n_levels);
    put_blocks(f, "down_block_types", down, c->n_levels);
    put_blocks(f, "up_block_types", up, c->n_levels);
    fprintf(
        f,
        "  \"in_channels\": %d,\n  \"out_channels\": %d,\n  \"latent_channels\": %d,\n"
        "  \"layers_per_block\": %d,\n  \"norm_num_groups\": %d,\n  \"scaling_factor\": %g\n}\n",
        c->in_channels, c->out_channels, c->latent_channels, c->layers_per_block, c->groups,
        (double)c->scaling_factor);
}

static void put_schedule(FILE *f, const struct schedule_config *c)
{
    fprintf(f,
            "{\n  \"_class_name\": \"EulerDiscreteScheduler\",\n  \"beta_start\": %g,\n"
            "  \"beta_end\": %g,\n  \"beta_schedule\": \"%s\",\n  \"num_train_timesteps\": %d,\n"
            "  \"prediction_type\": \"%s\",\n  \"rescale_betas_zero_snr\": %s,\n"
            "  \"steps_offset\": %d,\n  \"timestep_spacing\": \"leading\"\n}\n",
            (double)c->beta_start, (double)c->beta_end,
            c->scaled_linear ? "scaled_linear" : "linear", c->train_timesteps,
            c->prediction == MODEL_V_PREDICTION ? "v_prediction" : "epsilon",
            c->zero_snr ? "true" : "false", c->steps_offset);
}

static void put_pipeline(FILE *f, const struct model_info *info)
{
    static const char *const pipelines[] = {"StableDiffusionPipeline", "StableDiffusionXLPipeline",
                                            "StableDiffusionXLImg2ImgPipeline"};

    fprintf(f, "{\n  \"_class_name\": \"%s\",\n", pipelines[info->family]);
    if (info->has_part[MODEL_TEXT_ENCODER])
        fprintf(f, "  \"text_encoder\": [\"transformers\", \"CLIPTextModel\"],\n"
                   "  \"tokenizer\": [\"transformers\", \"CLIPTokenizer\"],\n");
    if (info->has_part[MODEL_TEXT_ENCODER_2])
        fprintf(f, "  \"text_encoder_2\": [\"transformers\", \"CLIPTextModelWithProjection\"],\n"
                   "  \"tokenizer_2\": [\"transformers\", \"CLIPTokenizer\"],\n");
    fprintf(f, "  \"scheduler\": [\"diffusers\", \"EulerDiscreteScheduler\"],\n"
               "  \"unet\": [\"diffusers\", \"UNet2DConditionModel\"],\n"
               "  \"vae\": [\"diffusers\", \"AutoencoderKL\"]\n}\n");
}

bool mkcheckpoint_config_write(const struct model_info *info, const char *dir, struct error *err)
{
    char path[MODEL_FILES_PATH_BYTES], name[64];
    FILE *f = start(path, dir, "model_index.json", err);
    if (!f)
        return false;
    put_pipeline(f, info);
    if (!finish(f, path, err))
        return false;

    if (!(f = start(path, dir, "scheduler/scheduler_config.json", err)))
        return false;
    put_schedule(f, &info->schedule);
    if (!finish(f, path, err))
        return false;

    for (enum model_part part = 0; part < MODEL_PARTS; part++) {
        if (!info->has_part[part])
            continue;
        snprintf(name, sizeof name, "%s/config.json", model_part_name(part));
        if (!(f = start(path, dir, name, err)))
            return false;
        if (part == MODEL_UNET)
            put_unet(f, &info->unet);
        else if (part == MODEL_VAE)
            put_vae(f, &info->vae);
        else
            put_clip(f, &info->clip[part]);
        if (!finish(f, path, err))
            return false;
    }
    return true;
}
