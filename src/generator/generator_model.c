#include "generator/generator_model.h"

#include "base/fs.h"
#include "model/lora_set.h"
#include "model/model_native.h"
#include "model/model_vae_find.h"
#include "model/upscaler_file.h"
#include "text/tokenizer.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* The folder of the running program. */
static bool program_folder(char out[GENERATOR_MODEL_PATH_BYTES])
{
#ifdef __APPLE__
    char raw[GENERATOR_MODEL_PATH_BYTES];
    uint32_t size = sizeof raw;
    char *real = _NSGetExecutablePath(raw, &size) == 0 ? realpath(raw, NULL) : NULL;
#else
    char *real = realpath("/proc/self/exe", NULL);
#endif
    char *slash = real ? strrchr(real, '/') : NULL;
    size_t len = slash ? (size_t)(slash - real) : 0;
    bool ok = slash && len < GENERATOR_MODEL_PATH_BYTES;
    if (ok) {
        memcpy(out, real, len);
        out[len] = 0;
    }
    free(real);
    return ok;
}

/* Installed beside the program, or where it was built. */
bool generator_model_find_demo(char out[GENERATOR_MODEL_PATH_BYTES], struct error *err)
{
    char folder[GENERATOR_MODEL_PATH_BYTES];

    if (program_folder(folder) &&
        fs_join(out, GENERATOR_MODEL_PATH_BYTES, folder, "../share/diffusionapi/demo-model", err) &&
        exists(out))
        return true;
    snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", DIFFUSIONAPI_DEMO_MODEL);
    return exists(out) ||
           error_set(err, ERROR_NOT_FOUND,
                     "the demo model is neither beside the program nor at %.200s; name a model "
                     "with --model PATH",
                     DIFFUSIONAPI_DEMO_MODEL);
}

static bool is_hidden(const char *name)
{
    return name[0] == '.';
}

static void list_models(char *list, size_t room, const char *models_dir)
{
    DIR *dir = opendir(models_dir);
    struct dirent *entry;

    snprintf(list, room, "%s", dir ? "" : "it cannot be read");
    while (dir && (entry = readdir(dir)) != NULL) {
        size_t have = strlen(list), len = strlen(entry->d_name);
        if (is_hidden(entry->d_name) || have + len + 3 > room)
            continue;
        snprintf(list + have, room - have, "%s%.120s", have ? ", " : "", entry->d_name);
    }
    if (dir)
        closedir(dir);
    if (!list[0])
        snprintf(list, room, "it is empty");
}

/* name, or name with the ending of a single file, in models_dir. */
static bool find_by_name(char out[GENERATOR_MODEL_PATH_BYTES], const char *name,
                         const char *models_dir, struct error *err)
{
    static const char *const endings[] = {"", ".safetensors", ".ckpt"};
    char file[SETTINGS_TEXT_BYTES + 16], list[160];
    struct error ignored = {0};

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(file, sizeof file, "%.1000s%s", name, endings[i]);
        if (!strchr(name, '/') && !is_hidden(name) &&
            fs_join(out, GENERATOR_MODEL_PATH_BYTES, models_dir, file, &ignored) && exists(out))
            return true;
    }
    list_models(list, sizeof list, models_dir);
    return error_set(err, ERROR_NOT_FOUND,
                     "there is no model '%.120s': it is neither a path nor a name in models_dir "
                     "'%.80s' (%s)",
                     name, models_dir, list);
}

static bool is_demo(const char *path)
{
    char demo[GENERATOR_MODEL_PATH_BYTES];
    struct error ignored = {0};
    struct stat a, b;

    return generator_model_find_demo(demo, &ignored) && stat(demo, &a) == 0 &&
           stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool generator_model_find(struct generator_model *out, const char *name, const char *models_dir,
                          struct error *err)
{
    *out = (struct generator_model){0};
    if (!name[0]) {
        out->is_demo = true;
        return generator_model_find_demo(out->path, err);
    }
    if (exists(name))
        snprintf(out->path, sizeof out->path, "%s", name);
    else if (!find_by_name(out->path, name, models_dir, err))
        return false;
    out->is_demo = is_demo(out->path);
    return true;
}

bool generator_model_find_name(struct generator_model *out, const char *name,
                               const char *models_dir, struct error *err)
{
    struct error why = {0};

    *out = (struct generator_model){0};
    if (find_by_name(out->path, name, models_dir, &why)) {
        out->is_demo = is_demo(out->path);
        return true;
    }
    if (strcmp(name, "demo") == 0) {
        out->is_demo = true;
        return generator_model_find_demo(out->path, err);
    }
    *err = why;
    return false;
}

/* The folder holds a vocabulary of exactly this size. */
static bool fits(const char *dir, int vocab_size)
{
    struct tokenizer *t = NULL;
    struct error ignored = {0};
    bool ok =
        exists(dir) && tokenizer_open(&t, dir, &ignored) && tokenizer_vocab_size(t) == vocab_size;
    tokenizer_close(t);
    return ok;
}

/* Among the models in models_dir, the first by name, so that every run finds the same. */
static bool borrow_tokenizer(char out[GENERATOR_MODEL_PATH_BYTES], const char *models_dir,
                             int vocab_size)
{
    struct dirent **entries = NULL;
    struct error ignored = {0};
    int n = scandir(models_dir, &entries, NULL, alphasort);
    bool found = false;

    for (int i = 0; i < n; i++) {
        char name[300];
        snprintf(name, sizeof name, "%s/tokenizer", entries[i]->d_name);
        found = found || (!is_hidden(entries[i]->d_name) &&
                          fs_join(out, GENERATOR_MODEL_PATH_BYTES, models_dir, name, &ignored) &&
                          fits(out, vocab_size));
        free(entries[i]);
    }
    free(entries);
    return found;
}

static bool is_from_flag(const struct settings_origins *origins, const char *key)
{
    return origins->from[settings_find(key) - settings_rows] == SETTINGS_FLAG;
}

bool generator_model_find_tokenizer(const char **out, char room[GENERATOR_MODEL_PATH_BYTES],
                                    const struct generator_model *m, const struct settings *s,
                                    const struct settings_origins *origins, struct error *err)
{
    struct model *model = NULL;
    bool named = s->tokenizer_dir[0] != 0;

    *out = NULL;
    if (m->is_demo && !named)
        return true;
    if (named && is_from_flag(origins, "tokenizer_dir")) {
        *out = s->tokenizer_dir;
        return true;
    }
    if (!model_open(&model, m->path, err))
        return false;
    const struct model_info *info = model_view(model);
    if (!info->tokenizer_dir[0] && !info->tokenizer_dir[1]) {
        const struct clip_config *clip = &info->clip[info->has_part[MODEL_TEXT_ENCODER] ? 0 : 1];
        if (named)
            *out = s->tokenizer_dir;
        else if (borrow_tokenizer(room, s->models_dir, clip->vocab_size))
            *out = room;
    }
    model_close(model);
    return true;
}

bool generator_model_find_vae(char out[GENERATOR_MODEL_PATH_BYTES], const char *name,
                              const char *vae_dir, const struct model_info *info, struct error *err)
{
    out[0] = 0;
    if (!name[0])
        return true;
    if (strchr(name, '/') && exists(name)) {
        snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", name);
    } else if (!model_vae_find(out, name, vae_dir, info->family, err)) {
        /* A plain name means vae_dir first, and a file of this folder only then. */
        if (!exists(name))
            return false;
        snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", name);
    }
    return true;
}

bool generator_model_is_lora_path(const char *word, const char *loras_dir)
{
    char path[LORA_SET_PATH_BYTES];
    struct error ignored;

    if (strchr(word, '/'))
        return true;
    return !(lora_set_path(path, loras_dir, word, &ignored) && exists(path)) && exists(word);
}

bool generator_model_find_upscaler(char out[GENERATOR_MODEL_PATH_BYTES], const char *name,
                                   const char *upscalers_dir, bool allow_paths, struct error *err)
{
    struct stat st;

    _Static_assert((int)GENERATOR_MODEL_PATH_BYTES >= (int)UPSCALER_FILE_PATH_BYTES,
                   "room for a path");
    if (allow_paths && strchr(name, '/')) {
        snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", name);
        return true;
    }
    if (upscaler_file_path(out, upscalers_dir, name, err))
        return true;
    if (!allow_paths || stat(name, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", name);
    return true;
}

int generator_model_native_side(const struct model_info *info)
{
    return model_native_side(info);
}

double generator_model_cfg_scale(const struct generator_model *m)
{
    return m->is_demo ? 5 : 7;
}
