#include "generator/generator_model.h"

#include "base/fs.h"
#include "model/model_native.h"
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

bool generator_model_is_demo(const char *path)
{
    char demo[GENERATOR_MODEL_PATH_BYTES];
    struct error ignored = {0};
    struct stat a, b;

    return generator_model_find_demo(demo, &ignored) && stat(demo, &a) == 0 &&
           stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
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

int generator_model_native_side(const struct model_info *info)
{
    return model_native_side(info);
}

double generator_model_cfg_scale(const struct generator_model *m)
{
    return m->is_demo ? 5 : 7;
}
