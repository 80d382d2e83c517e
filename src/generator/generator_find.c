#include "generator/generator_find.h"

#include "model/model_vae_find.h"

#include <stdio.h>

static bool take_path(char out[GENERATOR_MODEL_PATH_BYTES], const char *path, struct error *err)
{
    const int n = snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", path);
    return (n >= 0 && n < GENERATOR_MODEL_PATH_BYTES) ||
           error_set(err, ERROR_LIMIT, "the path %.100s... is too long", path);
}

static bool find_entry(char out[GENERATOR_MODEL_PATH_BYTES], struct library *lib,
                       enum library_kind kind, const char *name, struct error *err)
{
    const struct library_entry *entry = NULL;

    const bool ok =
        library_find_sound(lib, kind, name, &entry, err) && take_path(out, entry->path, err);
    library_entry_free(entry);
    return ok;
}

bool generator_find_model(struct generator_model *out, const struct generator_find *f,
                          const char *name, struct error *err)
{
    const struct settings *s = f->settings;
    const struct library_entry *entry = NULL;

    if (!f->library || (!name[0] && s->model[0]))
        return generator_model_find(out, name[0] ? name : s->model, s->models_dir, err);
    *out = (struct generator_model){0};
    const bool ok = (name[0] ? library_find_sound(f->library, LIBRARY_MODEL, name, &entry, err)
                             : library_default_model(f->library, &entry, err)) &&
                    take_path(out->path, entry->path, err);
    if (ok) {
        out->is_demo = entry->is_demo;
        snprintf(out->hash, sizeof out->hash, "%s", entry->short_hash);
    }
    library_entry_free(entry);
    return ok;
}

bool generator_find_vae(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                        const char *name, const struct model_info *info, struct error *err)
{
    const struct settings *s = f->settings;
    struct error why = {0};

    if (!f->library || !name[0])
        return generator_model_find_vae(out, name[0] ? name : s->vae, s->vae_dir, info, err);
    /* "taesd" means another file for SDXL, which the library does not know. */
    return model_vae_find(out, name, s->vae_dir, info->family, &why) ||
           find_entry(out, f->library, LIBRARY_VAE, name, err);
}

bool generator_find_upscaler(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                             const char *name, struct error *err)
{
    if (f->library)
        return find_entry(out, f->library, LIBRARY_UPSCALER, name, err);
    return generator_model_find_upscaler(out, name, f->settings->upscalers_dir, true, err);
}

bool generator_find_lora(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                         const char *name)
{
    struct error why = {0};

    if (f->library)
        return find_entry(out, f->library, LIBRARY_LORA, name, &why);
    return generator_model_is_lora_path(name, f->settings->loras_dir) && take_path(out, name, &why);
}
