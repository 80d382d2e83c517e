/* Checks that hold for every configuration, whether read from config.json or told by shapes. */
#ifndef MODEL_MODEL_CONFIG_CHECK_H
#define MODEL_MODEL_CONFIG_CHECK_H

#include "base/error.h"
#include "model/model_config.h"

/* Widths divisible by groups and heads.  where begins the error: the file the numbers are from. */
bool model_config_check_clip(const struct clip_config *c, const char *where,
                             struct error *err) MUST_CHECK;
bool model_config_check_unet(const struct unet_config *c, const char *where,
                             struct error *err) MUST_CHECK;
bool model_config_check_vae(const struct vae_config *c, const char *where,
                            struct error *err) MUST_CHECK;

#endif
