#include "generator/generator_tokenizer.h"

#include "base/fs.h"
#include "text/tokenizer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
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
        found = found || (entries[i]->d_name[0] != '.' &&
                          fs_join(out, GENERATOR_MODEL_PATH_BYTES, models_dir, name, &ignored) &&
                          fits(out, vocab_size));
        free(entries[i]);
    }
    free(entries);
    return found;
}

/* Among the models of the library, which lie in folders within or in Hugging Face's cache too. */
static bool borrow_from_library(char out[GENERATOR_MODEL_PATH_BYTES],
                                const struct generator_find *f, int vocab_size)
{
    struct library_list list = {0};
    struct error ignored = {0};
    bool found = false;

    if (!generator_find_list(&list, f, LIBRARY_MODEL, &ignored))
        return false;
    for (size_t i = 0; !found && i < list.n; i++) {
        const struct library_entry *e = list.entries[i];
        found = e->is_folder && !e->is_demo && !e->problem &&
                fs_join(out, GENERATOR_MODEL_PATH_BYTES, e->path, "tokenizer", &ignored) &&
                fits(out, vocab_size);
    }
    library_list_clear(&list);
    return found;
}

static bool is_from_flag(const struct settings_origins *origins, const char *key)
{
    return origins->from[settings_find(key) - settings_rows] == SETTINGS_FLAG;
}

bool generator_tokenizer_find(const char **out, char room[GENERATOR_MODEL_PATH_BYTES],
                              const struct generator_model *m, const struct generator_find *f,
                              const struct settings_origins *origins, struct error *err)
{
    const struct settings *s = f->settings;
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
        else if (borrow_tokenizer(room, s->models_dir, clip->vocab_size) ||
                 borrow_from_library(room, f, clip->vocab_size))
            *out = room;
    }
    model_close(model);
    return true;
}
