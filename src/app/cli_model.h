/* Which model a command means, and what that model likes to be asked.
 *
 * A model is a path, or a name in the setting models_dir; a name never leads out of that folder.
 * With none, it is the demo model that comes with the program. */
#ifndef APP_CLI_MODEL_H
#define APP_CLI_MODEL_H

#include "config/settings.h"
#include "model/model.h"

enum { CLI_MODEL_PATH_BYTES = 4096 };

struct cli_model {
    char path[CLI_MODEL_PATH_BYTES];
    bool is_demo;
};

/* name may be "": the demo model. */
bool cli_model_find(struct cli_model *out, const char *name, const char *models_dir,
                    struct error *err) MUST_CHECK;

/* The tokenizer's folder to give pipeline_open: the one named by a flag; else none where the model
 * has its own; else the setting's; else one of another model in models_dir whose vocabulary fits.
 * *out is NULL or room. */
bool cli_model_find_tokenizer(const char **out, char room[CLI_MODEL_PATH_BYTES],
                              const struct cli_model *m, const struct settings *s,
                              const struct settings_origins *origins, struct error *err) MUST_CHECK;

/* The VAE's path to use instead of info's own: a path, or a name in vae_dir; *out is NULL where the
 * setting is empty, else room. */
bool cli_model_find_vae(const char **out, char room[CLI_MODEL_PATH_BYTES], const struct settings *s,
                        const struct model_info *info, struct error *err) MUST_CHECK;

/* Width and height the model was trained at, pixels. */
int cli_model_native_side(const struct model_info *info);

double cli_model_cfg_scale(const struct cli_model *m);

#endif
