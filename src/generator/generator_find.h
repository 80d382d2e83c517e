/* Which file a name means: for the command line, where a name may be a path anywhere, and for
 * clients of the server, whose names are looked for in the library and nowhere else. */
#ifndef GENERATOR_GENERATOR_FIND_H
#define GENERATOR_GENERATOR_FIND_H

#include "config/settings.h"
#include "generator/generator_model.h"
#include "library/library.h"

/* Borrowed. */
struct generator_find {
    const struct settings *settings;
    struct library *library; /* NULL: the command line's rules */
};

/* name "": the setting's model, or the library's default. */
bool generator_find_model(struct generator_model *out, const struct generator_find *f,
                          const char *name, struct error *err) MUST_CHECK;

/* name "": the setting's VAE, else the model's own, which is "". */
bool generator_find_vae(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                        const char *name, const struct model_info *info,
                        struct error *err) MUST_CHECK;

bool generator_find_upscaler(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                             const char *name, struct error *err) MUST_CHECK;

/* True: out is the file.  False: there is none, or the name is one of a file in loras_dir. */
bool generator_find_lora(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                         const char *name);

#endif
