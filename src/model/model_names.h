/* Names and shapes of the tensors a network has, told by its configuration: the diffusers layout,
 * in the order in which diffusers makes them.  For writing checkpoints and checking tables. */
#ifndef MODEL_MODEL_NAMES_H
#define MODEL_MODEL_NAMES_H

#include "model/model.h"

/* One tensor; name is valid during the call only.  Returning false ends the enumeration. */
typedef bool (*model_names_fn)(void *ctx, const char *name, const int64_t *dims, int n_dims);

/* Each returns false when fn did. */
bool model_names_clip(const struct clip_config *c, model_names_fn fn, void *ctx) MUST_CHECK;
bool model_names_unet(const struct unet_config *c, model_names_fn fn, void *ctx) MUST_CHECK;
bool model_names_vae(const struct vae_config *c, model_names_fn fn, void *ctx) MUST_CHECK;

/* The part of info. */
bool model_names_part(const struct model_info *info, enum model_part part, model_names_fn fn,
                      void *ctx) MUST_CHECK;

#endif
