/* The published models' sizes, for tests. */
#ifndef NN_NN_TEST_CONFIGS_H
#define NN_NN_TEST_CONFIGS_H

#include "model/model_config.h"

static const struct clip_config nn_test_clip_l = {.vocab_size = 49408,
                                                  .max_positions = 77,
                                                  .width = 768,
                                                  .intermediate = 3072,
                                                  .heads = 12,
                                                  .layers = 12,
                                                  .act = MODEL_ACT_QUICK_GELU,
                                                  .norm_eps = 1e-5f};

static const struct clip_config nn_test_clip_big_g = {.vocab_size = 49408,
                                                      .max_positions = 77,
                                                      .width = 1280,
                                                      .intermediate = 5120,
                                                      .heads = 20,
                                                      .layers = 32,
                                                      .projection_dim = 1280,
                                                      .act = MODEL_ACT_GELU,
                                                      .norm_eps = 1e-5f};

static const struct unet_config nn_test_unet_sd15 = {.in_channels = 4,
                                                     .out_channels = 4,
                                                     .n_levels = 4,
                                                     .channels = {320, 640, 1280, 1280},
                                                     .layers_per_block = 2,
                                                     .transformer_layers = {1, 1, 1, 0},
                                                     .mid_transformer_layers = 1,
                                                     .heads = {8, 8, 8, 8},
                                                     .mid_heads = 8,
                                                     .cross_attention_dim = 768,
                                                     .groups = 32,
                                                     .norm_eps = 1e-5f,
                                                     .flip_sin_to_cos = true};

static const struct unet_config nn_test_unet_sdxl = {.in_channels = 4,
                                                     .out_channels = 4,
                                                     .n_levels = 3,
                                                     .channels = {320, 640, 1280},
                                                     .layers_per_block = 2,
                                                     .transformer_layers = {0, 2, 10},
                                                     .mid_transformer_layers = 10,
                                                     .heads = {5, 10, 20},
                                                     .mid_heads = 20,
                                                     .cross_attention_dim = 2048,
                                                     .groups = 32,
                                                     .norm_eps = 1e-5f,
                                                     .linear_projection = true,
                                                     .flip_sin_to_cos = true,
                                                     .addition_time_dim = 256,
                                                     .addition_input_dim = 2816};

static const struct unet_config nn_test_unet_refiner = {.in_channels = 4,
                                                        .out_channels = 4,
                                                        .n_levels = 4,
                                                        .channels = {384, 768, 1536, 1536},
                                                        .layers_per_block = 2,
                                                        .transformer_layers = {0, 4, 4, 0},
                                                        .mid_transformer_layers = 4,
                                                        .heads = {6, 12, 24, 24},
                                                        .mid_heads = 24,
                                                        .cross_attention_dim = 1280,
                                                        .groups = 32,
                                                        .norm_eps = 1e-5f,
                                                        .linear_projection = true,
                                                        .flip_sin_to_cos = true,
                                                        .addition_time_dim = 256,
                                                        .addition_input_dim = 2560};

static const struct vae_config nn_test_vae = {.in_channels = 3,
                                              .out_channels = 3,
                                              .latent_channels = 4,
                                              .n_levels = 4,
                                              .channels = {128, 256, 512, 512},
                                              .layers_per_block = 2,
                                              .groups = 32,
                                              .mid_attention = true,
                                              .quant_conv = true,
                                              .post_quant_conv = true,
                                              .scaling_factor = 0.18215f};

#endif
