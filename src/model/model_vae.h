/* VAEs in files of their own: opened alone, and put in the place of a model's. */
#ifndef MODEL_MODEL_VAE_H
#define MODEL_MODEL_VAE_H

#include "model/model.h"

/* A VAE alone, as a model without other parts: a diffusers folder (config.json beside its weights,
 * or a model's folder, of which its vae is taken), a single file with LDM names (with or without
 * "first_stage_model.", so also a whole checkpoint) or diffusers names, or a TAESD in its authors'
 * spelling, whose other half is taken from the file beside it.  What shapes cannot tell comes from
 * `joins`, the model it is meant for (NULL: SD 1.x).  On true the caller owns *out. */
bool model_vae_open(struct model **out, const char *path, const struct model_info *joins,
                    struct error *err) MUST_CHECK;

/* Replaces m's VAE with the one at path (model_vae_open); NULL brings its own back.  Fails, and
 * changes nothing, where the new one's latents are not m's.  Kills what was borrowed from a VAE
 * that an earlier call brought, and nothing else.  Not while others read m. */
bool model_vae_replace(struct model *m, const char *path, struct error *err) MUST_CHECK;

#endif
