#include "base/test.h"
#include "model/tensor_names.h"

#include <string.h>

static void maps_names_of_single_files(void)
{
    /* Two layers per level, four levels of the VAE. */
    static const struct tensor_names_layout layout = {
        .first_op = 3, .input_blocks = 12, .vae_levels = 4};
    static const struct {
        const char *from, *to; /* NULL: no part of the model */
    } rows[] = {
        {"model.diffusion_model.input_blocks.0.0.bias", "conv_in.bias"},
        {"model.diffusion_model.input_blocks.3.0.op.bias",
         "down_blocks.0.downsamplers.0.conv.bias"},
        {"model.diffusion_model.input_blocks.5.1.norm.bias",
         "down_blocks.1.attentions.1.norm.bias"},
        {"model.diffusion_model.output_blocks.2.1.conv.bias", "up_blocks.0.upsamplers.0.conv.bias"},
        {"model.diffusion_model.output_blocks.5.2.conv.bias", "up_blocks.1.upsamplers.0.conv.bias"},
        {"model.diffusion_model.output_blocks.3.0.skip_connection.bias",
         "up_blocks.1.resnets.0.conv_shortcut.bias"},
        {"first_stage_model.decoder.up.0.block.1.norm1.bias",
         "decoder.up_blocks.3.resnets.1.norm1.bias"},
        {"first_stage_model.encoder.mid.attn_1.q.weight",
         "encoder.mid_block.attentions.0.to_q.weight"},
        {"cond_stage_model.transformer.embeddings.token_embedding.weight",
         "text_model.embeddings.token_embedding.weight"},
        {"cond_stage_model.transformer.text_model.embeddings.position_ids", NULL},
        {"model_ema.diffusion_modelinput_blocks00bias", NULL},
        {"model.diffusion_model.input_blocks.x.0.bias", NULL},
        {"model.diffusion_model.input_blocks.12345.0.in_layers.0.bias", NULL},
        {"first_stage_model.decoder.up.4.block.1.norm1.bias", NULL},
        {"alphas_cumprod", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tensor_names_target out[TENSOR_NAMES_MAX_TARGETS];
        int n = tensor_names_map(&layout, rows[i].from, out);
        bool good = rows[i].to ? n == 1 && strcmp(out[0].name, rows[i].to) == 0 : n == 0;
        if (!good)
            fprintf(stderr, "%s: ", rows[i].from);
        CHECK(good);
    }
}

static void cuts_open_clips_fused_projection(void)
{
    static const char from[] =
        "conditioner.embedders.1.model.transformer.resblocks.7.attn.in_proj_weight";
    struct tensor_names_layout layout = {0};
    struct tensor_names_target out[TENSOR_NAMES_MAX_TARGETS];
    CHECK(tensor_names_map(&layout, from, out) == 3);
    CHECK(strcmp(out[1].name, "text_model.encoder.layers.7.self_attn.k_proj.weight") == 0);
    CHECK(out[2].slice == 2 && out[2].n_slices == 3 && out[0].part == MODEL_TEXT_ENCODER_2);
    CHECK(tensor_names_map(&layout, "conditioner.embedders.0.model.text_projection", out) == 1);
    CHECK(out[0].transposed && strcmp(out[0].name, "text_projection.weight") == 0);
}

static void knows_older_and_newer_spellings_in_folders(void)
{
    char out[TENSOR_NAMES_BYTES], longest[2 * TENSOR_NAMES_BYTES];
    CHECK(tensor_names_modernize(MODEL_VAE, "decoder.mid_block.attentions.0.proj_attn.bias", out) &&
          strcmp(out, "decoder.mid_block.attentions.0.to_out.0.bias") == 0);
    CHECK(tensor_names_modernize(MODEL_VAE, "decoder.mid_block.attentions.0.query.weight", out) &&
          strcmp(out, "decoder.mid_block.attentions.0.to_q.weight") == 0);
    CHECK(tensor_names_modernize(MODEL_TEXT_ENCODER, "final_layer_norm.bias", out) &&
          strcmp(out, "text_model.final_layer_norm.bias") == 0);
    CHECK(tensor_names_modernize(MODEL_UNET, "conv_in.bias", out) &&
          strcmp(out, "conv_in.bias") == 0);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    CHECK(!tensor_names_modernize(MODEL_UNET, longest, out));
}

int main(void)
{
    maps_names_of_single_files();
    cuts_open_clips_fused_projection();
    knows_older_and_newer_spellings_in_folders();
    return TEST_END();
}
