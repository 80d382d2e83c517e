/* Which model a command means, and what that model likes to be asked.
 *
 * A model is a path, or a name in the setting models_dir; a name never leads out of that folder.
 * With none, it is the demo model that comes with the program. */
#ifndef APP_GENERATOR_MODEL_H
#define APP_GENERATOR_MODEL_H

#include "config/settings.h"
#include "model/model.h"

enum { GENERATOR_MODEL_PATH_BYTES = 4096 };

struct generator_model {
    char path[GENERATOR_MODEL_PATH_BYTES];
    bool is_demo;
    char hash[16]; /* the beginning of its SHA-256; "": not known */
};

/* The demo model's folder. */
bool generator_model_find_demo(char out[GENERATOR_MODEL_PATH_BYTES], struct error *err) MUST_CHECK;

/* name may be "": the demo model. */
bool generator_model_find(struct generator_model *out, const char *name, const char *models_dir,
                          struct error *err) MUST_CHECK;

/* By name in models_dir alone, or "demo" where there is no such name: for clients. */
bool generator_model_find_name(struct generator_model *out, const char *name,
                               const char *models_dir, struct error *err) MUST_CHECK;

/* The tokenizer's folder to give pipeline_open: the one named by a flag; else none where the model
 * has its own; else the setting's; else one of another model in models_dir whose vocabulary fits.
 * *out is NULL or room. */
bool generator_model_find_tokenizer(const char **out, char room[GENERATOR_MODEL_PATH_BYTES],
                                    const struct generator_model *m, const struct settings *s,
                                    const struct settings_origins *origins,
                                    struct error *err) MUST_CHECK;

/* The path of a VAE to use instead of info's own: name is a path, or a name in vae_dir; "" gives
 * "". */
bool generator_model_find_vae(char out[GENERATOR_MODEL_PATH_BYTES], const char *name,
                              const char *vae_dir, const struct model_info *info,
                              struct error *err) MUST_CHECK;

/* Whether the word is a LoRA's path: it holds a slash, or is a file here and no name in loras_dir.
 */
bool generator_model_is_lora_path(const char *word, const char *loras_dir);

/* The file of an upscaler's name in upscalers_dir.  With allow_paths, what holds a slash is a path,
 * and a file of this folder is taken where there is no such name. */
bool generator_model_find_upscaler(char out[GENERATOR_MODEL_PATH_BYTES], const char *name,
                                   const char *upscalers_dir, bool allow_paths,
                                   struct error *err) MUST_CHECK;

/* Width and height the model was trained at, pixels. */
int generator_model_native_side(const struct model_info *info);

double generator_model_cfg_scale(const struct generator_model *m);

#endif
