/* Configurations told by the names and shapes of the tensors, for files that carry no config.json.
 *
 * What shapes cannot tell follows the family's rule: 32 norm groups; 8 attention heads in SD 1.x,
 * heads 64 wide in SD 2.x and SDXL; CLIP heads 64 wide.  Networks too narrow for 64-wide heads are
 * test models: their UNet has 2, 4, 8, 8, ... heads by level, their CLIP (width below 512) 4. */
#ifndef MODEL_MODEL_CONFIG_SHAPES_H
#define MODEL_MODEL_CONFIG_SHAPES_H

#include "model/model_index.h"

/* By the parts that are there and the UNet's add_embedding. */
bool model_config_shapes_family(enum model_family *out, const struct model_index *x,
                                const char *file, struct error *err) MUST_CHECK;

bool model_config_shapes_clip(struct clip_config *out, const struct model_index *x,
                              enum model_part part, const char *file, struct error *err) MUST_CHECK;

/* The text encoders of info must be known, for the width of SDXL's time ids. */
bool model_config_shapes_unet(struct unet_config *out, const struct model_index *x,
                              const struct model_info *info, struct error *err) MUST_CHECK;

bool model_config_shapes_vae(struct vae_config *out, const struct model_index *x,
                             const struct model_info *info, struct error *err) MUST_CHECK;

/* The schedule all these families were trained with; v_prediction and zero_snr are the caller's. */
struct schedule_config model_config_shapes_schedule(void);

#endif
