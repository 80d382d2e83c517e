/* Which file a name means: for the command line, where a name may also be a path anywhere, and for
 * clients of the server, whose names are looked for in the library and nowhere else. */
#ifndef GENERATOR_GENERATOR_FIND_H
#define GENERATOR_GENERATOR_FIND_H

#include "config/settings.h"
#include "generator/generator_model.h"
#include "library/library.h"
#include "model/lora_set.h"

/* Borrowed. */
struct generator_find {
    const struct settings *settings;
    struct library *library; /* NULL: the command line's rules, with the library of the settings */
    struct library **own; /* where that one is kept once it is open, for its owner to close; NULL:
                             it is opened each time */
};

/* name "": what the setting `model` says; where that is empty too, the library's default for
 * clients, the demo model on the command line. */
bool generator_find_model(struct generator_model *out, const struct generator_find *f,
                          const char *name, struct error *err) MUST_CHECK;

/* name "": the setting's VAE, else the model's own, which is "".  So are "Automatic" and "None", as
 * web UIs say, where no VAE is called so.  "taesd" is "taesdxl" for SDXL's latents. */
bool generator_find_vae(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                        const char *name, const struct model_info *info,
                        struct error *err) MUST_CHECK;

bool generator_find_upscaler(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                             const char *name, struct error *err) MUST_CHECK;

/* True: out is the file.  False: there is none, or none that can be used, as the place below
 * tells. */
bool generator_find_lora(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                         const char *name);

/* What the library has of a kind; the caller ends *out with library_list_clear. */
bool generator_find_list(struct library_list *out, const struct generator_find *f,
                         enum library_kind kind, struct error *err) MUST_CHECK;

/* Where names of LoRAs lead that stand in prompts; borrows f. */
struct lora_set_place generator_find_loras(struct generator_find *f);

#endif
