#include "generator/generator_find.h"

#include "generator/generator_library.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool take_path(char out[GENERATOR_MODEL_PATH_BYTES], const char *path, struct error *err)
{
    const int n = snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", path);
    return (n >= 0 && n < GENERATOR_MODEL_PATH_BYTES) ||
           error_set(err, ERROR_LIMIT, "the path %.100s... is too long", path);
}

/* The library to look in.  *closing: it is nobody's, and must be closed when it has answered. */
static struct library *open_library(const struct generator_find *f, bool *closing,
                                    struct error *err)
{
    struct library *lib = f->library ? f->library : f->own ? *f->own : NULL;

    *closing = false;
    if (lib)
        return lib;
    if (!generator_library_open(&lib, f->settings, err))
        return NULL;
    *closing = !f->own;
    if (f->own)
        *f->own = lib;
    return lib;
}

/* A sound entry of the library, which the caller frees; for a model, name "" is its default. */
static const struct library_entry *find_entry(const struct generator_find *f,
                                              enum library_kind kind, const char *name,
                                              struct error *err)
{
    const struct library_entry *entry = NULL;
    bool closing;
    struct library *lib = open_library(f, &closing, err);

    if (!lib)
        return NULL;
    const bool ok = name[0] ? library_find_sound(lib, kind, name, &entry, err)
                            : library_default_model(lib, &entry, err);
    if (closing)
        library_close(lib);
    return ok ? entry : NULL;
}

static bool find_path(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                      enum library_kind kind, const char *name, struct error *err)
{
    const struct library_entry *entry = find_entry(f, kind, name, err);
    const bool ok = entry && take_path(out, entry->path, err);

    library_entry_free(entry);
    return ok;
}

static bool find_in_library(struct generator_model *out, const struct generator_find *f,
                            const char *name, struct error *err)
{
    const struct library_entry *entry = find_entry(f, LIBRARY_MODEL, name, err);
    const bool ok = entry && take_path(out->path, entry->path, err);

    if (ok) {
        out->is_demo = entry->is_demo;
        snprintf(out->name, sizeof out->name, "%s", entry->name);
        snprintf(out->hash, sizeof out->hash, "%s", entry->short_hash);
    }
    library_entry_free(entry);
    return ok;
}

/* As the library calls it. */
static void take_demo(struct generator_model *out)
{
    out->is_demo = true;
    snprintf(out->name, sizeof out->name, "demo");
}

bool generator_find_model(struct generator_model *out, const struct generator_find *f,
                          const char *name, struct error *err)
{
    const char *word = name[0] ? name : f->settings->model;

    *out = (struct generator_model){0};
    if (f->library)
        return find_in_library(out, f, name, err);
    if (!word[0]) {
        take_demo(out);
        return generator_model_find_demo(out->path, err);
    }
    if (!exists(word))
        return find_in_library(out, f, word, err) ||
               (err->code == ERROR_NOT_FOUND &&
                error_prefix(err, "neither a path nor a name in models_dir '%.80s'",
                             f->settings->models_dir));
    if (generator_model_is_demo(word))
        take_demo(out);
    return take_path(out->path, word, err);
}

/* In the library; with paths, what holds a slash and exists is one, and another word where there is
 * no such name. */
static bool find_file(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                      enum library_kind kind, const char *name, bool paths, struct error *err)
{
    const bool is_there = paths && exists(name);

    if (is_there && strchr(name, '/'))
        return take_path(out, name, err);
    if (find_path(out, f, kind, name, err))
        return true;
    return is_there && err->code == ERROR_NOT_FOUND && take_path(out, name, err);
}

bool generator_find_vae(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                        const char *name, const struct model_info *info, struct error *err)
{
    const char *word = name[0] ? name : f->settings->vae;
    const bool tiny = strcmp(word, "taesd") == 0 && info->family != MODEL_SD1;

    out[0] = 0;
    if (!word[0] ||
        find_file(out, f, LIBRARY_VAE, tiny ? "taesdxl" : word, !f->library || !name[0], err))
        return true;
    out[0] = 0;
    return err->code == ERROR_NOT_FOUND &&
           (strcasecmp(word, "automatic") == 0 || strcasecmp(word, "none") == 0);
}

bool generator_find_upscaler(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                             const char *name, struct error *err)
{
    return find_file(out, f, LIBRARY_UPSCALER, name, !f->library, err);
}

bool generator_find_lora(char out[GENERATOR_MODEL_PATH_BYTES], const struct generator_find *f,
                         const char *name)
{
    struct error why = {0};
    return name[0] && find_file(out, f, LIBRARY_LORA, name, !f->library, &why);
}

bool generator_find_list(struct library_list *out, const struct generator_find *f,
                         enum library_kind kind, struct error *err)
{
    bool closing;
    struct library *lib = open_library(f, &closing, err);

    if (!lib)
        return false;
    const bool ok = library_list(lib, kind, out, err); /* lists outlive the library */
    if (closing)
        library_close(lib);
    return ok;
}

static bool find_lora(void *ctx, char out[LORA_SET_PATH_BYTES], const char *name, struct error *err)
{
    _Static_assert((int)LORA_SET_PATH_BYTES == (int)GENERATOR_MODEL_PATH_BYTES, "room for a path");
    return find_path(out, ctx, LIBRARY_LORA, name, err);
}

struct lora_set_place generator_find_loras(struct generator_find *f)
{
    return (struct lora_set_place){.find = find_lora, .ctx = f};
}
