#include "model/model_presets.h"

#include <string.h>

struct preset {
    const char *name;
    enum model_family family;
    struct clip_config clip[2]; /* width 0: the model has no such encoder */
    struct unet_config unet;
    int vae_channels[MODEL_MAX_LEVELS]; /* of four levels */
};

#define CLIP_VIT_L                                                                                 \
    {                                                                                              \
        .vocab_size = 49408, .max_positions = 77, .width = 768, .intermediate = 3072, .heads = 12, \
        .layers = 12, .bos_id = 49406, .eos_id = 49407, .pad_id = 49407,                           \
        .act = MODEL_ACT_QUICK_GELU, .norm_eps = 1e-5f                                             \
    }

#define OPEN_CLIP_BIG_G                                                                            \
    {                                                                                              \
        .vocab_size = 49408, .max_positions = 77, .width = 1280, .intermediate = 5120,             \
        .heads = 20, .layers = 32, .projection_dim = 1280, .bos_id = 49406, .eos_id = 49407,       \
        .pad_id = 0, .act = MODEL_ACT_GELU, .norm_eps = 1e-5f                                      \
    }

/* The same vocabulary's size whatever its width. */
#define TINY_CLIP(clip_width, clip_act, clip_pad, clip_projection)                                 \
    {                                                                                              \
        .vocab_size = 1000, .max_positions = 77, .width = clip_width, .intermediate = 192,         \
        .heads = 4, .layers = 2, .bos_id = 998, .eos_id = 999, .act = clip_act,                    \
        .pad_id = clip_pad, .projection_dim = clip_projection, .norm_eps = 1e-5f                   \
    }

#define UNET_COMMON                                                                                \
    .in_channels = 4, .out_channels = 4, .layers_per_block = 2, .groups = 32, .norm_eps = 1e-5f,   \
    .flip_sin_to_cos = true

/* From the config.json files that Stability AI and Runway published with the models. */
static const struct preset presets[] = {
    {.name = "sd15",
     .family = MODEL_SD1,
     .clip = {CLIP_VIT_L},
     .unet = {UNET_COMMON, .n_levels = 4, .channels = {320, 640, 1280, 1280},
              .transformer_layers = {1, 1, 1, 0}, .mid_transformer_layers = 1,
              .heads = {8, 8, 8, 8}, .mid_heads = 8, .cross_attention_dim = 768},
     .vae_channels = {128, 256, 512, 512}},
    {.name = "sdxl",
     .family = MODEL_SDXL,
     .clip = {CLIP_VIT_L, OPEN_CLIP_BIG_G},
     .unet = {UNET_COMMON, .n_levels = 3, .channels = {320, 640, 1280},
              .transformer_layers = {0, 2, 10}, .mid_transformer_layers = 10, .heads = {5, 10, 20},
              .mid_heads = 20, .cross_attention_dim = 2048, .linear_projection = true,
              .addition_time_dim = 256, .addition_input_dim = 2816},
     .vae_channels = {128, 256, 512, 512}},
    {.name = "refiner",
     .family = MODEL_SDXL_REFINER,
     .clip = {{0}, OPEN_CLIP_BIG_G},
     .unet = {UNET_COMMON, .n_levels = 4, .channels = {384, 768, 1536, 1536},
              .transformer_layers = {0, 4, 4, 0}, .mid_transformer_layers = 4,
              .heads = {6, 12, 24, 24}, .mid_heads = 24, .cross_attention_dim = 1280,
              .linear_projection = true, .addition_time_dim = 256, .addition_input_dim = 2560},
     .vae_channels = {128, 256, 512, 512}},
    {.name = "tiny",
     .family = MODEL_SD1,
     .clip = {TINY_CLIP(48, MODEL_ACT_QUICK_GELU, 999, 0)},
     .unet = {UNET_COMMON, .n_levels = 4, .channels = {32, 64, 96, 96},
              .transformer_layers = {1, 1, 1, 0}, .mid_transformer_layers = 1,
              .heads = {8, 8, 8, 8}, .mid_heads = 8, .cross_attention_dim = 48},
     .vae_channels = {32, 32, 64, 64}},
    {.name = "tiny-sdxl",
     .family = MODEL_SDXL,
     .clip = {TINY_CLIP(48, MODEL_ACT_QUICK_GELU, 999, 0), TINY_CLIP(64, MODEL_ACT_GELU, 0, 40)},
     .unet = {UNET_COMMON, .n_levels = 3, .channels = {32, 64, 64}, .transformer_layers = {0, 1, 2},
              .mid_transformer_layers = 2, .heads = {2, 4, 8}, .mid_heads = 8,
              .cross_attention_dim = 112, .linear_projection = true, .addition_time_dim = 8,
              .addition_input_dim = 88},
     .vae_channels = {32, 32, 64, 64}},
    {.name = "tiny-refiner",
     .family = MODEL_SDXL_REFINER,
     .clip = {{0}, TINY_CLIP(64, MODEL_ACT_GELU, 0, 40)},
     .unet = {UNET_COMMON, .n_levels = 4, .channels = {32, 64, 64, 64},
              .transformer_layers = {0, 1, 1, 0}, .mid_transformer_layers = 1,
              .heads = {2, 4, 8, 8}, .mid_heads = 8, .cross_attention_dim = 64,
              .linear_projection = true, .addition_time_dim = 8, .addition_input_dim = 80},
     .vae_channels = {32, 32, 64, 64}},
};

bool model_presets_find(struct model_info *out, const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        const struct preset *p = &presets[i];
        if (strcmp(p->name, name) != 0)
            continue;
        *out = (struct model_info){
            .family = p->family,
            .has_part = {p->clip[0].width > 0, p->clip[1].width > 0, true, true},
            .clip = {p->clip[0], p->clip[1]},
            .unet = p->unet,
            .vae = {.in_channels = 3,
                    .out_channels = 3,
                    .latent_channels = 4,
                    .n_levels = 4,
                    .layers_per_block = 2,
                    .groups = 32,
                    .mid_attention = true,
                    .quant_conv = true,
                    .post_quant_conv = true,
                    .scaling_factor = p->family == MODEL_SD1 ? 0.18215f : 0.13025f},
            .schedule = {.train_timesteps = 1000,
                         .beta_start = 0.00085f,
                         .beta_end = 0.012f,
                         .scaled_linear = true,
                         .steps_offset = 1}};
        memcpy(out->vae.channels, p->vae_channels, sizeof p->vae_channels);
        return true;
    }
    return false;
}
