/* What the networks of a model look like: numbers only, checked against limits, no weights.
 *
 * Filled from config.json files (model_config_json.c) or from tensor shapes
 * (model_config_shapes.c). */
#ifndef MODEL_MODEL_CONFIG_H
#define MODEL_MODEL_CONFIG_H

#include <stdbool.h>

enum { MODEL_MAX_LEVELS = 8, MODEL_MAX_CHANNELS = 16384, MODEL_MAX_LAYERS = 64 };

enum model_family { MODEL_SD1, MODEL_SDXL, MODEL_SDXL_REFINER };

enum model_prediction { MODEL_EPSILON, MODEL_V_PREDICTION };

enum model_act { MODEL_ACT_QUICK_GELU, MODEL_ACT_GELU };

/* CLIP text transformer. */
struct clip_config {
    int vocab_size, max_positions;
    int width, intermediate, heads, layers;
    int projection_dim; /* columns of text_projection; 0 when the encoder has none */
    int bos_id, eos_id, pad_id;
    enum model_act act;
    float norm_eps;
};

/* UNet2DConditionModel.  Levels are counted from the highest resolution. */
struct unet_config {
    int in_channels, out_channels;
    int n_levels;
    int channels[MODEL_MAX_LEVELS]; /* width of each level */
    int layers_per_block;           /* residual blocks per down level; up levels have one more */
    int transformer_layers[MODEL_MAX_LEVELS]; /* depth of each transformer; 0: level has no
                                                 attention */
    int mid_transformer_layers;
    int heads[MODEL_MAX_LEVELS]; /* number of attention heads (not their width) */
    int mid_heads;
    int cross_attention_dim;
    int groups;
    float norm_eps;
    bool linear_projection; /* proj_in and proj_out are linear: the same arithmetic as 1x1 */
    bool flip_sin_to_cos;
    int freq_shift;
    /* SDXL's "text_time" conditioning; zero elsewhere. */
    int addition_time_dim;  /* width of the embedding of each of the time ids */
    int addition_input_dim; /* columns of add_embedding.linear_1 */
};

/* AutoencoderKL, or a tiny autoencoder. */
struct vae_config {
    int in_channels, out_channels, latent_channels;
    int n_levels;
    int channels[MODEL_MAX_LEVELS];
    int layers_per_block; /* of the encoder; the decoder has one more */
    int groups;
    bool mid_attention, quant_conv, post_quant_conv;
    float scaling_factor;
    float shift_factor; /* 0 for every SD 1.x and SDXL model */
    /* TAESD, which diffusers calls AutoencoderTiny: one width, no norms and no attention;
     * layers_per_block and groups mean nothing.  Pictures are 0..1, latents the sampler's own. */
    bool tiny;
    bool no_encoder;                      /* only the decoder is there */
    int encoder_blocks[MODEL_MAX_LEVELS]; /* residual blocks by level, from the picture down */
    int decoder_blocks[MODEL_MAX_LEVELS]; /* likewise, from the latent up */
};

/* Noise schedule the model was trained with. */
struct schedule_config {
    int train_timesteps;
    float beta_start, beta_end;
    bool scaled_linear; /* betas linear in their square root; otherwise linear */
    enum model_prediction prediction;
    bool zero_snr;    /* rescale_betas_zero_snr */
    int steps_offset; /* of diffusers' "leading" spacing */
};

#endif
