/* Configurations from the JSON files of a diffusers folder.
 *
 * Every key that changes the arithmetic is either obeyed or refused: an error names the file, the
 * key, its value and what is allowed.  Missing keys have the defaults of diffusers and
 * transformers. */
#ifndef MODEL_MODEL_CONFIG_JSON_H
#define MODEL_MODEL_CONFIG_JSON_H

#include "base/json.h"
#include "model/model_config.h"

/* CLIPTextModel or CLIPTextModelWithProjection.  Configs from before transformers 4.31 have the
 * wrong special tokens (bos 0, eos 2): these become the last two of the vocabulary, as in CLIP. */
bool model_config_json_clip(struct clip_config *out, const struct json *j,
                            struct error *err) MUST_CHECK;

/* UNet2DConditionModel.  attention_head_dim is the NUMBER of heads when num_attention_heads is
 * null: a misnomer that diffusers keeps. */
bool model_config_json_unet(struct unet_config *out, const struct json *j,
                            struct error *err) MUST_CHECK;

/* AutoencoderKL. */
bool model_config_json_vae(struct vae_config *out, const struct json *j,
                           struct error *err) MUST_CHECK;

/* scheduler_config.json of any of diffusers' schedulers. */
bool model_config_json_schedule(struct schedule_config *out, const struct json *j,
                                struct error *err) MUST_CHECK;

#endif
